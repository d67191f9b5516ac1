/**
 * `npm run interop -- [--long] [suite[/file] ...]`: the stack against real peers, in network namespaces. `--list` names the suites; with
 * `--long` they move gigabytes where the usual run moves less.
 *
 * A suite is the folder test/interop/NAME, `gateway/firewall` one file of it; files named `.long.test.ts` are for `--long`. The
 * tests of a file run one after the other. A peer that is missing is a failure, not a reason to skip.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Outcome, runAva } from "../support/ava.js";
import { filesBelow } from "../support/files.js";

interface Suite {
  readonly about: string;
  /** Programs that the suite's peers are made of (Debian's packages are listed in .ci/run). */
  readonly programs: readonly string[];
}

export const SUITES: Readonly<Record<string, Suite>> = {
  ipv4: {
    about:
      "IPv4 host against Linux, dnsmasq, avahi, chrony, curl, wrk, nginx, traceroute, tshark (TAP devices in namespaces)",
    programs: [
      "ip",
      "ping",
      "curl",
      "tshark",
      "dnsmasq",
      "chronyd",
      "traceroute",
      "wrk",
      "nginx",
      "python3",
      "hping3",
      "avahi-daemon",
      "avahi-browse",
      "dbus-daemon",
    ],
  },
  ipv6: {
    about:
      "IPv6 host against Linux, radvd, avahi, dnsmasq, Kea, Dibbler, curl, wrk, nginx, traceroute and, as hostile neighbours, thc-ipv6",
    programs: [
      "ip",
      "ping",
      "tshark",
      "radvd",
      "avahi-daemon",
      "avahi-browse",
      "dbus-daemon",
      "ndisc6",
      "dnsmasq",
      "kea-dhcp6",
      "dibbler-server",
      "atk6-flood_router26",
      "curl",
      "traceroute",
      "wrk",
      "nginx",
      "python3",
    ],
  },
  browser: {
    about: "a page in Chromium, on a cable of WebSocket and TAP, against Linux, dnsmasq, nginx, curl",
    programs: ["ip", "ping", "tshark", "dnsmasq", "curl", "nginx", "chromium"],
  },
  gateway: {
    about:
      "a router between two kernels (ping, traceroute, curl, nginx), its services, and who uses them: udhcpc, dhclient, dhcpcd, perfdhcp; rdisc6, radvdump, rdnssd; dig, dnsperf, dnsmasq, unbound; dibbler, chrony",
    programs: [
      ...["ip", "ping", "tshark", "curl", "nginx", "traceroute"],
      ...["busybox", "dhclient", "dhcpcd", "perfdhcp"],
      ...["rdisc6", "radvdump", "rdnssd", "dibbler-client", "chronyd"],
      ...["dig", "dnsperf", "dnsmasq", "unbound"],
      ...["linux.uml", "setpriv", "avahi-daemon", "dbus-daemon", "kea-dhcp6"],
      ...["tayga", "natpmpc", "upnpc", "gssdp-discover"],
      ...["wireguard-go", "wg", "bird", "birdc", "keepalived"],
    ],
  },
  routing: {
    about:
      "routing protocols and multicast against bird, babeld, keepalived and kernels: routes, a link that fails, fail-over, queriers",
    programs: ["ip", "bridge", "ping", "tshark", "bird", "birdc", "babeld", "keepalived", "python3"],
  },
  ike: {
    about:
      "IKEv2 with strongSwan in both roles: secrets, certificates, rekeys at once, cookies, MOBIKE, redirects, a peer that is killed; ESP of its own, and the kernel's in user-mode-linux",
    programs: ["ip", "ping", "curl", "python3", "tshark", "charon-systemd", "swanctl", "pki", "linux"],
  },
  links: {
    about:
      "tunnels, VXLAN, PPPoE, SLIP, WireGuard and bridges against Linux (its kernel, and one in user mode), wireguard-go, Open vSwitch, pppoe-server, pppd, curl, nginx",
    programs: [
      "ip",
      "ping",
      "curl",
      "nginx",
      "tshark",
      "linux",
      "modprobe",
      "pppoe-server",
      "pppd",
      "slattach",
      "ovs-vswitchd",
      "wireguard-go",
      "wg",
      "kea-dhcp6",
      "radvd",
    ],
  },
  ipsec: {
    about:
      "ESP and AH against the Linux kernel in user-mode-linux: modes, families and algorithms, with static keys",
    programs: ["linux", "ip", "python3"],
  },
  bare: {
    about:
      "firmware images on QEMU's boards against Linux (its ESP too), dnsmasq, curl and python's web server, over a bad cable too",
    programs: [
      "ip",
      "ping",
      "tshark",
      "dnsmasq",
      "curl",
      "python3",
      "qemu-system-arm",
      "arm-none-eabi-gcc",
      "xz",
      "linux",
    ],
  },
};

export type SuiteOutcome = Pick<Outcome, "passed" | "failed" | "output">;

/**
 * Runs one suite; prints its tests as they end and `NAME: N passed, N failed`.
 *
 * @param file one file alone, without its ending
 */
export async function runSuite(name: string, file?: string): Promise<SuiteOutcome> {
  const folder = `test/interop/${name}`;
  const long = Boolean(process.env.ANYSTACK_LONG);
  const files = filesBelow(folder, ".test.ts").filter((path) =>
    file === undefined
      ? long || !path.endsWith(".long.test.ts")
      : path === `${folder}/${file}.test.ts` || (long && path === `${folder}/${file}.long.test.ts`),
  );
  const problem = obstacle(name, files);
  let outcome = { passed: 0, failed: 1, output: `${name}: ${problem}` };
  if (problem !== null) console.log(outcome.output);
  else {
    // Two files at a time, the tests of each one after the other: they wait more than they work, and each has its namespaces.
    const { passed, failed, skipped, output } = await runAva(files, {
      live: true,
      concurrency: 2,
      serial: true,
    });
    outcome = { passed, failed: failed + skipped, output };
  }
  console.log(`${name}: ${outcome.passed} passed, ${outcome.failed} failed`);
  return outcome;
}

/** Why a suite cannot run here, or null. */
function obstacle(name: string, files: readonly string[]): string | null {
  const path = (process.env.PATH ?? "").split(delimiter).concat("/usr/sbin", "/sbin");
  const missing = SUITES[name]!.programs.filter(
    (program) => !path.some((folder) => existsSync(join(folder, program))),
  );
  if (missing.length > 0) return `missing: ${missing.join(", ")} (.ci/run installs them)`;
  if (process.getuid?.() !== 0) return "needs root (it makes network namespaces and TAP devices)";
  return files.length === 0 ? "no tests found" : null;
}

async function main(parameters: string[]): Promise<void> {
  if (parameters.includes("--long")) process.env.ANYSTACK_LONG = "1";
  const names = parameters.filter((name) => name !== "--long");
  if (names.includes("--list")) {
    for (const [name, { about }] of Object.entries(SUITES)) console.log(`${name.padEnd(10)}${about}`);
    return;
  }
  const wanted = (names.length > 0 ? names : Object.keys(SUITES)).map((name) => name.split("/"));
  const unknown = wanted.map(([suite]) => suite!).filter((suite) => !(suite in SUITES));
  if (unknown.length > 0) {
    console.error(
      `interop: no such suite: ${unknown.join(", ")}; there are ${Object.keys(SUITES).join(", ")}`,
    );
    process.exitCode = 2;
    return;
  }
  for (const [suite, file] of wanted) {
    if ((await runSuite(suite!, file)).failed > 0) process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) await main(process.argv.slice(2));
