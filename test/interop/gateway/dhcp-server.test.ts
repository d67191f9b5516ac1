/** The DHCP server and the clients of Debian: udhcpc, dhclient, dhcpcd, and perfdhcp with a crowd of them. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { leaseFile } from "../../../ports/node/index.js";
import { ping } from "../../../stack/raw/ping.js";
import { dhcpServer } from "../../../stack/service/dhcp-server.js";
import type {
  DhcpScopeOptions,
  DhcpServerConfiguration,
  ServerLease,
} from "../../../stack/service/dhcp-server.js";
import type { HostOptions } from "../support/host.js";
import { namespace6 } from "../support/host6.js";
import { Namespace } from "../support/namespace.js";
import { pingFrom } from "../support/ping.js";
import { GATEWAY, createServices } from "../support/services.js";
import type { Services } from "../support/services.js";

async function serve(
  t: ExecutionContext,
  scope: Partial<DhcpScopeOptions> = {},
  configuration: DhcpServerConfiguration = {},
  options: HostOptions = {},
) {
  const events: string[] = [];
  const pings = ping();
  const server = dhcpServer({
    probe: pings,
    probeTime: 100,
    onLease: (lease: ServerLease, present) =>
      events.push(`${present ? "+" : "-"}${lease.address} ${lease.hostName}`),
    ...configuration,
  });
  const host = await createServices(t, { ...options, components: [pings, server] });
  const open = () =>
    server.serve({
      interface: host.nif,
      network: "10.77.0.0/24",
      pools: ["10.77.0.100-10.77.0.109"],
      leaseTime: 3600,
      options: {
        routers: [GATEWAY],
        nameServers: [GATEWAY, "10.77.0.9"],
        domain: "home.test",
        search: ["home.test", "example.org"],
        ntpServers: [GATEWAY],
        mtu: 1400,
        routes: [
          { prefix: "0.0.0.0/0", gateway: GATEWAY },
          { prefix: "172.16.0.0/12", gateway: "10.77.0.7" },
        ],
      },
      ...scope,
    });
  return { ...host, server, events, open, scope: open() };
}

const SCRIPT = `#!/bin/sh
[ "$1" = deconfig ] && { ip address flush dev $interface; exit 0; }
echo "$1 ip=$ip subnet=$subnet router=$router dns=$dns domain=$domain mtu=$mtu lease=$lease ntp=$ntpsrv search=$search routes=$staticroutes hostname=$hostname"
[ "$1" = bound ] && ip address replace $ip/$mask dev $interface
exit 0
`;

/** Runs udhcpc until it has a lease, or has given up; what its script said. */
async function udhcpc(host: Services, ...more: string[]): Promise<string> {
  const script = host.file("udhcpc", SCRIPT, 0o755);
  const options = ["-f", "-q", "-n", "-t", "4", "-T", "1", "-i", host.device, "-s", script];
  const asked = ["-O", "search", "-O", "staticroutes", "-O", "mtu", "-O", "ntpsrv"];
  const { stdout } = await host.ns.run("busybox", ["udhcpc", ...options, ...asked, ...more], { codes: null });
  return stdout;
}

const leased = (text: string): string => /bound ip=(\S+)/.exec(text)?.[1] ?? text;

test("udhcpc gets an address, and all that there is to know", async (t) => {
  const host = await serve(t);
  const text = await udhcpc(host, "-x", "hostname:Lamp");
  t.regex(
    text,
    /bound ip=10\.77\.0\.10\d subnet=255\.255\.255\.0 router=10\.77\.0\.1 dns=10\.77\.0\.1 10\.77\.0\.9 domain=home\.test mtu=1400 lease=3600 ntp=10\.77\.0\.1 search=home\.test example\.org routes=0\.0\.0\.0\/0 10\.77\.0\.1 172\.16\.0\.0\/12 10\.77\.0\.7/,
  );
  // It asks once more when the probe of the address takes longer than its patience of a second.
  t.is(host.server.counters.offers, host.server.counters.discovers);
  t.like(host.server.counters, {
    requests: 1,
    acks: 1,
    malformed: 0,
    sendFailed: 0,
  });
  const [lease] = host.server.list();
  t.is(lease!.hostName, "lamp");
  t.deepEqual(host.events, [`+${lease!.address} lamp`]);
  await pingFrom(t, host.ns, GATEWAY, { interval: 0.2 });
  // The same client gets the same address again; another one another.
  t.true((await udhcpc(host)).includes(`ip=${lease!.address} `));
  host.ns.ip("link", "set", host.device, "address", "02:00:00:00:77:01");
  t.false((await udhcpc(host)).includes(`ip=${lease!.address} `));
  t.is(host.server.list().length, 2);
});

test("reservations: the address, the name and the options of one client", async (t) => {
  const host = await serve(t, {
    pools: [],
    reservations: [
      {
        address: "10.77.0.50",
        mac: "02:00:00:00:77:05",
        hostName: "printer",
        options: { routers: ["10.77.0.254"] },
      },
      { address: "10.77.0.51", clientId: Uint8Array.of(0, 1, 2, 3) },
    ],
  });
  t.notRegex(await udhcpc(host, "-t", "1"), /bound/);
  t.true(host.server.counters.exhausted > 0);
  host.ns.ip("link", "set", host.device, "address", "02:00:00:00:77:05");
  t.regex(await udhcpc(host), /bound ip=10\.77\.0\.50 .* router=10\.77\.0\.254 .* hostname=printer/);
  t.regex(await udhcpc(host, "-C", "-x", "0x3d:00010203"), /bound ip=10\.77\.0\.51 .* router=10\.77\.0\.1 /);
});

/** Runs dhclient, which asks once and stays in the background no longer than the test. */
async function dhclient(host: Services, ...more: string[]) {
  const files = ["-lf", join(host.folder, "leases"), "-pf", join(host.folder, "pid"), "-sf", "/bin/true"];
  const conf = host.file("dhclient.conf", "timeout 10;\n");
  const { stderr } = await host.ns.run("dhclient", ["-4", "-v", "-cf", conf, ...files, ...more, host.device]);
  return stderr;
}

test("dhclient: a lease, rebooting with it, giving it back", async (t) => {
  const host = await serve(t);
  const first = await dhclient(host, "-1");
  t.regex(first, /DHCPOFFER of 10\.77\.0\.10\d from 10\.77\.0\.1/);
  const [lease] = host.server.list();
  t.regex(first, new RegExp(`bound to ${lease!.address} -- renewal in \\d+ seconds`));
  await dhclient(host, "-x");
  const again = await dhclient(host, "-1");
  t.notRegex(again, /DHCPDISCOVER/);
  t.regex(again, new RegExp(`DHCPACK of ${lease!.address}`));
  const conf = readFileSync(join(host.folder, "leases"), "utf8");
  t.regex(conf, /option domain-name "home\.test"/);
  t.regex(conf, /option dhcp-renewal-time 1800/);
  host.ns.ip("address", "add", lease!.address + "/24", "dev", host.device);
  await dhclient(host, "-r");
  t.deepEqual(host.server.list(), []);
  t.is(host.server.counters.releases, 1);
});

test("a client of another network is told so, and finds an address here", async (t) => {
  const host = await serve(t);
  const moved = `lease {\n interface "${host.device}";\n fixed-address 192.168.5.7;\n option subnet-mask 255.255.255.0;\n renew never;\n rebind never;\n expire never;\n}\n`;
  host.file("leases", moved);
  const text = await dhclient(host, "-1");
  t.regex(text, /DHCPREQUEST for 192\.168\.5\.7/);
  t.regex(text, /DHCPNAK from 10\.77\.0\.1/);
  t.regex(text, /bound to 10\.77\.0\.10\d/);
});

test("dhcpcd takes a lease, and leaves with a release", async (t) => {
  const host = await serve(t);
  const conf = host.file(
    "dhcpcd.conf",
    "hostname sensor\nduid\noption domain_name_servers, interface_mtu\nrelease\n",
  );
  const parameters = ["-4", "-B", "-d", "-f", conf, "--nohook", "resolv.conf", "--noipv6", "-A", host.device];
  const daemon = host.ns.start("dhcpcd", parameters);
  await daemon.until(() => host.server.list().length === 1);
  const [lease] = host.server.list();
  t.is(lease!.hostName, "sensor");
  // A client identifier as RFC 4361 has it.
  t.regex(lease!.client, /^ff/);
  await daemon.until(() => host.ns.ip("address", "show", "dev", host.device).includes(lease!.address));
  const { stdout } = await host.ns.run("ping", ["-c", "1", GATEWAY]);
  t.regex(stdout, / 0% packet loss/);
  await daemon.stop();
  t.is(host.server.list().length, 0);
});

test("an address that somebody uses is found out by ARP and not offered", async (t) => {
  const host = await serve(t, { pools: ["10.77.0.100-10.77.0.103"] });
  host.ns.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0");
  host.ns.ip("link", "set", host.device, "master", "br0");
  host.ns.ip("link", "set", "br0", "up");
  const squatter = new Namespace();
  t.teardown(() => squatter.close());
  host.ns.ip("link", "add", "port", "type", "veth", "peer", "name", "eth0", "netns", squatter.name);
  host.ns.ip("link", "set", "port", "master", "br0", "up");
  squatter.ip("link", "set", "eth0", "up");
  for (const last of [100, 101, 103]) squatter.ip("address", "add", `10.77.0.${last}/24`, "dev", "eth0");
  // One of them keeps quiet to pings.
  squatter.sysctl("net.ipv4.icmp_echo_ignore_all", 1);
  const text = await udhcpc({ ...host, device: "br0" });
  t.regex(text, /bound ip=10\.77\.0\.102 /);
  host.ns.ip("link", "set", "br0", "address", "02:00:00:00:77:09");
  t.notRegex(await udhcpc({ ...host, device: "br0" }), /bound/);
  t.is(host.server.counters.conflicts, 3);
});

test("leases outlive the server, and nobody is given another's address", async (t) => {
  const namespace = namespace6(t);
  const file = mkdtempSync(join(tmpdir(), "anystack-leases-")) + "/leases";
  const one = await serve(t, {}, { store: leaseFile(file) }, { namespace });
  const macs = Array.from({ length: 9 }, (_, i) => `02:00:00:00:77:0${i}`);
  const given = new Map<string, string>();
  for (const mac of macs) {
    one.ns.ip("link", "set", one.device, "address", mac);
    given.set(mac, leased(await udhcpc(one)));
  }
  t.is(new Set(given.values()).size, 9);
  one.stack.close();
  const two = await serve(t, {}, { store: leaseFile(file) }, { namespace, device: "tap1" });
  t.is(two.server.list().length, 9);
  two.ns.ip("link", "set", two.device, "address", "02:00:00:00:77:aa");
  const stranger = leased(await udhcpc(two));
  t.regex(stranger, /^10\./);
  t.false([...given.values()].includes(stranger));
  for (const mac of [...macs].reverse()) {
    two.ns.ip("link", "set", two.device, "address", mac);
    t.is(leased(await udhcpc(two)), given.get(mac)!);
  }
  rmSync(dirname(file), { recursive: true });
});

test("perfdhcp: a thousand clients through a relay agent, none without a lease, no address twice", async (t) => {
  const host = await serve(
    t,
    { network: "10.76.0.0/16", pools: ["10.76.1.0-10.76.20.255"], relays: ["10.77.0.2"] },
    { limit: 8192, probe: undefined },
    { captureLimit: 1 << 20 },
  );
  host.ns.ip("address", "add", "10.77.0.2/24", "dev", host.device);
  const { stdout } = await host.ns.run(
    "perfdhcp",
    // What comes within a minute is not lost, and the last are waited for.
    [..."-4 -r 300 -R 1000 -n 1000 -d 60 -W 5000000 -l".split(" "), host.device, GATEWAY],
    { codes: null, timeout: 120_000 },
  );
  t.regex(stdout, /DISCOVER-OFFER[^]*received packets: 1000[^]*REQUEST-ACK[^]*received packets: 1000/);
  t.is(stdout.match(/non unique addresses: 0/g)!.length, 2);
  t.is(stdout.match(/drops: 0/g)!.length, 2);
  t.log(stdout.match(/Rate: .*|avg delay: [0-9].*/g)!.join("; "));
  t.like(host.server.counters, { acks: 1000, naks: 0, exhausted: 0, malformed: 0, sendFailed: 0 });
});
