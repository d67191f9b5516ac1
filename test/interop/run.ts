/**
 * `npm run interop -- [suite ...]`: the stack against real peers, in network namespaces. `--list` names the suites.
 *
 * A suite is the folder test/interop/NAME. Its tests run one after the other, for they share the machine. A peer that is
 * missing is a failure, not a reason to skip.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { runAva } from "../support/ava.js";
import { filesBelow, ROOT } from "../support/files.js";

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
      ...["tayga", "natpmpc"],
    ],
  },
  routing: {
    about:
      "routing protocols and multicast against bird, babeld, keepalived and kernels: routes, a link that fails, fail-over, queriers",
    programs: ["ip", "bridge", "ping", "tshark", "bird", "birdc", "babeld", "keepalived", "python3"],
  },
  ike: {
    about:
      "IKEv2 with strongSwan in both roles: secrets, certificates, rekeys at once, cookies, MOBIKE, a peer that is killed",
    programs: ["ip", "ping", "curl", "python3", "tshark", "charon-systemd", "swanctl", "pki"],
  },
  links: {
    about:
      "tunnels, VXLAN, PPPoE and SLIP against Linux (its kernel, and one in user mode), pppoe-server, pppd, curl, nginx",
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

export interface SuiteOutcome {
  readonly passed: number;
  readonly failed: number;
}

/** Runs one suite; prints its tests as they end and `NAME: N passed, N failed`. */
export async function runSuite(name: string): Promise<SuiteOutcome> {
  const problem = obstacle(name);
  let outcome = { passed: 0, failed: 1 };
  if (problem !== null) console.log(`${name}: ${problem}`);
  else {
    // Two files at a time, the tests of each one after the other: they wait more than they work, and each has its namespaces.
    const { passed, failed, skipped } = await runAva(filesBelow(`test/interop/${name}`, ".test.ts"), {
      live: true,
      concurrency: 2,
      serial: true,
    });
    outcome = { passed, failed: failed + skipped };
  }
  console.log(`${name}: ${outcome.passed} passed, ${outcome.failed} failed`);
  return outcome;
}

/** Why a suite cannot run here, or null. */
function obstacle(name: string): string | null {
  const path = (process.env.PATH ?? "").split(delimiter).concat("/usr/sbin", "/sbin");
  const missing = SUITES[name]!.programs.filter(
    (program) => !path.some((folder) => existsSync(join(folder, program))),
  );
  if (missing.length > 0) return `missing: ${missing.join(", ")} (.ci/run installs them)`;
  if (process.getuid?.() !== 0) return "needs root (it makes network namespaces and TAP devices)";
  if (
    !existsSync(join(ROOT, "test/interop", name)) ||
    filesBelow(`test/interop/${name}`, ".test.ts").length === 0
  ) {
    return "no tests found";
  }
  return null;
}

async function main(names: string[]): Promise<void> {
  if (names.includes("--list")) {
    for (const [name, { about }] of Object.entries(SUITES)) console.log(`${name.padEnd(10)}${about}`);
    return;
  }
  const unknown = names.filter((name) => !(name in SUITES));
  if (unknown.length > 0) {
    console.error(
      `interop: no such suite: ${unknown.join(", ")}; there are ${Object.keys(SUITES).join(", ")}`,
    );
    process.exitCode = 2;
    return;
  }
  for (const name of names.length > 0 ? names : Object.keys(SUITES)) {
    if ((await runSuite(name)).failed > 0) process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) await main(process.argv.slice(2));
