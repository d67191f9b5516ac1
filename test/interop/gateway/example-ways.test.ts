/** `examples/gateway`, the ways that packets go: relays, NPTv6, tables with rules and marks, VRFs, routes that lead nowhere, the CLAT before tayga. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { parseConfig } from "../../../examples/gateway/config.js";
import { startGateway } from "../../../examples/gateway/gateway.js";
import { services } from "../../../examples/gateway/parts/services.js";
import { until } from "../../support/until.js";
import { namespace6 } from "../support/host6.js";
import type { Namespace } from "../support/namespace.js";
import { pingFrom } from "../support/ping.js";
import { curlFile, scratch, serveFile, serveNginx } from "../support/site.js";
import { startTayga } from "../support/tayga.js";
import { wireguardGo } from "../support/wireguard.js";

const SERVER = "192.0.2.1";
const SERVER6 = "2001:db8:1::1";
/** Behind both providers. */
const FAR = "203.0.113.1";
const PREFIX = "fd64::/96";

/** A gateway of this configuration, its state in `folder`. */
async function startSite(t: ExecutionContext, folder: string, config: object) {
  const parse = (more: object) =>
    parseConfig(JSON.stringify({ state: join(folder, "state"), ...config, ...more }));
  const lines: string[] = [];
  const gateway = await startGateway(parse({}), (line) => lines.push(line));
  t.teardown(() => gateway.close());
  const shown = (name: string) => services(gateway).find((one) => one.name === name)?.state ?? "";
  return { gateway, lines, shown, reload: (more: object) => gateway.reload(parse(more)) };
}

/** The kernel's end of a TAP that the gateway has made. */
function settle(ns: Namespace, device: string, ...addresses: string[]): void {
  ns.ip("link", "set", device, "addrgenmode", "none");
  ns.ip("link", "set", device, "up");
  for (const address of addresses)
    ns.ip("address", "add", address, "dev", device, ...(address.includes(":") ? ["nodad"] : []));
}

/** nginx that tells who asks: on ports 8080 and 8081 of `FAR`, and on 8080 of `more`. */
async function serveMe(ns: Namespace, folder: string, more = ""): Promise<void> {
  mkdirSync(folder);
  const me = 'location = /me { return 200 "$remote_addr"; }';
  await serveNginx(ns, `${more && `${more}:8080; listen `}${FAR}:8081; ${me} listen ${FAR}`, folder);
}

test("DHCP is dnsmasq's, elsewhere; NPTv6; one source, and one port, go by another provider; a black hole; a network of its own", async (t) => {
  const folder = scratch(t);
  const [lan, lab, wan, lte] = [namespace6(t), namespace6(t), namespace6(t), namespace6(t)];
  const tap = (name: string, ns: Namespace) => ({ tap: name, netns: ns.name });
  const routes = [
    { to: "0.0.0.0/0", via: "198.51.100.1", on: "lte", table: 7 },
    { to: "0.0.0.0/0", via: "198.51.100.1", on: "lte", table: 9 },
    // The way back to it.
    { to: "192.168.9.0/24", on: "lab", table: 254 },
    { to: "10.66.0.0/16", type: "blackhole" },
    { to: "10.67.0.0/16", type: "unreachable" },
    { to: "fd68::/48", type: "prohibit" },
  ];
  const policy = [
    { from: "192.168.7.50/32", table: 7 },
    { mark: 5, table: 7 },
  ];
  const { gateway, shown, reload } = await startSite(t, folder, {
    wan: [
      {
        link: tap("wan0", wan),
        ipv4: { address: "192.0.2.2/24", gateway: SERVER },
        ipv6: { address: "2001:db8:1::2/64", gateway: SERVER6 },
      },
      { name: "lte", link: tap("wan1", lte), ipv4: { address: "198.51.100.2/24", gateway: "198.51.100.1" } },
    ],
    lan: [
      {
        ...{ name: "lan", link: tap("lan0", lan), address: "192.168.7.1/24", address6: "fd00:7::1/64" },
        relay: { servers: [SERVER, SERVER6], circuitId: "port7" },
      },
      { name: "lab", link: tap("lab0", lab), address: "192.168.9.1/24", subnet: 1 },
    ],
    ...{ routes, policy },
    marks: [{ mark: 5, from: "lan", protocol: "tcp", port: 8081 }],
    vrf: [{ table: 9, on: ["lab"] }],
    nptv6: [{ inside: "fd00:7::/48", outside: "2001:db8:7::/48" }],
  });
  const { parts } = gateway;
  settle(wan, "wan0", `${SERVER}/24`, `${SERVER6}/64`);
  settle(lte, "wan1", "198.51.100.1/24");
  settle(lab, "lab0", "192.168.9.2/24");
  lab.ip("route", "add", "default", "via", "192.168.9.1");
  settle(lan, "lan0", "fe80::7/64");
  for (const ns of [wan, lte]) ns.ip("address", "add", `${FAR}/32`, "dev", "lo");
  // The servers answer to the network's address; to NPTv6's prefix there is no other way.
  wan.ip("route", "add", "192.168.7.0/24", "via", "192.0.2.2");
  wan.ip("-6", "route", "add", "fd00:7::/64", "via", "2001:db8:1::2");
  const dnsmasq = await wan.serve("udp", 67, "dnsmasq", [
    ...["-d", "-C", "/dev/null", "--port=0", "--user=root", "--no-ping", "--log-dhcp", "--interface=wan0"],
    ...["--dhcp-range=192.168.7.100,192.168.7.110,255.255.255.0,1h", "--dhcp-option=3,192.168.7.1"],
    ...["--dhcp-range=fd00:7::1000,fd00:7::1fff,64,1h", `--dhcp-leasefile=${join(folder, "leases")}`],
  ]);
  const script = join(folder, "udhcpc.sh");
  writeFileSync(script, '#!/bin/sh\necho "$1 $ip $router $serverid"\n', { mode: 0o755 });
  const udhcpc = ["udhcpc", "-f", "-q", "-n", "-t", "20", "-T", "1", "-i", "lan0", "-s", script];
  const { stdout } = await lan.run("busybox", udhcpc, { codes: null });
  t.regex(stdout, /bound 192\.168\.7\.1\d\d 192\.168\.7\.1 192\.0\.2\.1/, dnsmasq.output);
  t.regex(dnsmasq.output, /option: 82 agent-id\s+01:05:70:6f:72:74:37/);
  const script6 = join(folder, "dhclient.sh");
  writeFileSync(script6, "#!/bin/sh\nenv | grep ^new_ip6\nexit 0\n", { mode: 0o755 });
  const files = ["-lf", join(folder, "l6"), "-pf", join(folder, "p6"), "-sf", script6, "-cf", "/dev/null"];
  const six = await lan.run("dhclient", ["-6", "-v", "-1", "-N", ...files, "lan0"], { codes: null });
  t.regex(six.stdout + six.stderr, /new_ip6_address=fd00:7::1[0-9a-f]{3}/, dnsmasq.output);
  t.regex(shown("relay for lan"), /^to 192\.0\.2\.1, 2001:db8:1::1; [1-9]\d* answers of DHCP, [1-9]\d* of/);

  wan.ip("-6", "route", "del", "fd00:7::/64");
  wan.ip("route", "del", "192.168.7.0/24");
  wan.ip("-6", "route", "add", "2001:db8:7::/48", "via", "2001:db8:1::2");
  for (const address of ["192.168.7.2/24", "192.168.7.50/24"])
    lan.ip("address", "add", address, "dev", "lan0");
  lan.ip("address", "add", "fd00:7::2/64", "dev", "lan0", "nodad");
  lan.ip("route", "add", "default", "via", "192.168.7.1");
  lan.ip("-6", "route", "add", "default", "via", "fd00:7::1");
  await serveMe(wan, join(folder, "0"), `[${SERVER6}]`);
  await serveMe(lte, join(folder, "1"));
  const ask = async (ns: Namespace, url: string, ...more: string[]) =>
    (await ns.run("curl", ["-gs", "-m", "60", ...more, `http://${url}/me`], { codes: null })).stdout;
  // RFC 6296's arithmetic: the difference of the prefixes is made up in the subnet.
  t.regex(await ask(lan, `[${SERVER6}]:8080`), /^2001:db8:7:[0-9a-f]+::2$/);
  await pingFrom(t, lan, SERVER6);
  t.true(parts.npt.counters.outwards > 0 && parts.npt.counters.inwards > 0);

  await until("the first provider is the way", () => /^good/.test(shown("wan")));
  const from = async (source: string, port = 8080) => ask(lan, `${FAR}:${port}`, "--interface", source);
  await until("packets go by it", async () => (await from("192.168.7.2")) === "192.0.2.2");
  t.is(await from("192.168.7.50"), "198.51.100.2", "one source has another way");
  t.is(await from("192.168.7.2", 8081), "198.51.100.2", "and one port");
  t.regex(shown("marks"), /^1 rule, [1-9]\d* packets?$/);
  t.is(await ask(lab, `${FAR}:8080`), "198.51.100.2", "its own table leads there");
  await pingFrom(t, lab, "192.168.9.1");
  const told = async (ns: Namespace, host: string, count = "1") =>
    (await ns.run("ping", ["-n", "-c", count, "-W", "2", host], { codes: null })).stdout;
  // What has a table of its own does not find the others.
  const before = parts.router.router.counters.refused;
  t.regex(await told(lab, SERVER), / 0 received/);
  t.regex(await told(lan, "10.66.0.1"), /^(?!.*From)[^]* 0 received/);
  t.is(parts.router.router.counters.refused, before + 1);
  t.regex(await told(lan, "10.67.0.1", "3"), /From 192\.168\.7\.1 icmp_seq=\d Destination Host Unreachable/);
  t.regex(
    await told(lan, "fd68::1", "3"),
    /From fd00:7::1 icmp_seq=\d Destination unreachable: Administratively/,
  );

  // A reload takes a rule and the black hole away, and leaves the rest alone.
  const marked = parts.marks.counters.marked;
  const table7 = parts.routes.table(7).list()[0];
  await reload({ policy: policy.slice(1), routes: routes.filter(({ type }) => type !== "blackhole") });
  t.is(await from("192.168.7.50"), "192.0.2.2");
  t.is(await from("192.168.7.2", 8081), "198.51.100.2");
  t.true(parts.marks.counters.marked > marked);
  t.true(parts.routes.table(7).list()[0] === table7);
  // By the default route it goes out now, where there is no such network.
  const { refused } = parts.router.router.counters;
  t.regex(await told(lan, "10.66.0.1"), /1 packets transmitted/);
  t.is(parts.router.router.counters.refused, refused);
});

test("a peer of WireGuard that has a name is the way of everything, but for what the gateway knows; and no longer", async (t) => {
  const folder = scratch(t);
  const [lan, wan] = [namespace6(t), namespace6(t)];
  const friend = await wireguardGo(t, wan, 51821);
  const peer = { publicKey: friend.publicKey, endpoint: "gate.test:51821", keepalive: 5 };
  const tunnel = (...peers: object[]) => ({ wireguard: [{ name: "wg0", address: "10.97.0.1/24", peers }] });
  const { gateway, lines, reload } = await startSite(t, folder, {
    wan: {
      link: { tap: "wan0", netns: wan.name },
      ipv4: { address: "192.0.2.2/24", gateway: SERVER },
      ...{ ipv6: "off", nameServers: [SERVER] },
    },
    lan: [{ name: "lan", link: { tap: "lan0", netns: lan.name }, address: "192.168.7.1/24" }],
    ...tunnel({ ...peer, allowedIps: ["0.0.0.0/0"] }),
  });
  settle(lan, "lan0", "192.168.7.2/24");
  lan.ip("route", "add", "default", "via", "192.168.7.1");
  settle(wan, "wan0", `${SERVER}/24`);
  wan.ip("address", "add", `${FAR}/32`, "dev", "lo");
  const own = Buffer.from(gateway.wireguards.devices.get("wg0")!.publicKey()).toString("base64");
  friend.set(own, "allowed-ips", "10.97.0.1/32,192.168.7.0/24");
  settle(wan, friend.name, "10.97.0.2/24");
  wan.ip("route", "add", "192.168.7.0/24", "dev", friend.name);
  await serveMe(wan, join(folder, "0"), SERVER);
  await wan.serve("udp", 53, "dnsmasq", [
    ...["-k", "-C", "/dev/null", "--no-resolv", "--no-hosts", "--user=root"],
    ...["--host-record=gate.test,192.0.2.1", "--local=/test/"],
  ]);
  await until("the name is known", () => lines.includes("gate.test is 192.0.2.1"));
  const ask = async (host: string) =>
    (await lan.run("curl", ["-gs", "-m", "60", `http://${host}:8080/me`], { codes: null })).stdout;
  await until("packets go by the peer", async () => (await ask(FAR)) === "192.168.7.2");
  t.is(await ask(SERVER), "192.0.2.2", "a network of the gateway's own");
  await reload(tunnel({ ...peer, allowedIps: ["10.97.0.2/32"] }));
  await until("packets go by the WAN", async () => (await ask(FAR)) === "192.0.2.2");
  t.is(gateway.parts.wg.counters.malformed, 0);
});

/** A router that says which prefix its NAT64 has (RFC 8781): radvd of Debian cannot say so. `$1`: the device. */
const ROUTER = `
import socket, struct, sys, time
pton = lambda text: socket.inet_pton(socket.AF_INET6, text)
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.setsockopt(41, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(41, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(sys.argv[1]))
ra = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
ra += struct.pack("!BBBBIII16s", 3, 4, 64, 0xc0, 7200, 3600, 0, pton("2001:db8:1::"))
ra += struct.pack("!BBH12s", 38, 2, 1800, pton("fd64::")[:12])
while True:
    s.sendto(ra, ("ff02::1", 0))
    time.sleep(1)
`;

test("464XLAT: outside there is IPv6 alone, whose router tells of its NAT64, and a host of IPv4 reaches a server of IPv4 by tayga", async (t) => {
  const folder = scratch(t);
  const [lan, wan] = [namespace6(t), namespace6(t)];
  const { gateway, shown, reload } = await startSite(t, folder, {
    wan: {
      link: { tap: "wan0", netns: wan.name },
      ipv4: "off",
    },
    lan: [{ name: "lan", link: { tap: "lan0", netns: lan.name }, address: "192.168.7.1/24" }],
    clat: { address: "2001:db8:c1a7::464" },
  });
  settle(lan, "lan0", "192.168.7.2/24");
  lan.ip("route", "add", "default", "via", "192.168.7.1");
  settle(wan, "wan0", `${SERVER6}/64`, "fe80::1/64");
  const { six, stack } = gateway.parts;
  const own = six.addresses.find(({ nif, bytes }) => nif.name === "wan" && bytes[0] === 0xfe)!;
  const ours = six.addressText(own.bytes, 0, null);
  wan.ip("-6", "route", "add", "2001:db8:c1a7::/64", "via", ours, "dev", "wan0");
  t.is(stack.findInterface("clat"), null);
  t.is(shown("CLAT"), "knows no prefix, or no address yet");
  wan.ip("address", "add", `${FAR}/32`, "dev", "lo");
  await startTayga(t, wan, PREFIX);
  wan.start("python3", ["-c", ROUTER, "wan0"]);
  await until("the prefix", () => stack.findInterface("clat") !== null);
  for (const size of [0, 56, 1200]) await pingFrom(t, lan, FAR, { size });
  const size = 4 << 20;
  await serveFile(t, wan, [FAR], size);
  await curlFile(t, lan, FAR, size);
  t.is(shown("CLAT"), `by ${PREFIX}, as 2001:db8:c1a7::464`);
  await until("the way out is good", () => shown("wan") === "good, by IPv6 alone");
  const { xlat4, wall } = gateway.parts;
  t.is(xlat4.counters.malformed + xlat4.counters.address, 0);
  // From outside nothing comes in by it, and nothing goes through.
  const { dropped } = wall.counters;
  const knock = await wan.run("ping", ["-n", "-c", "1", "-W", "2", "2001:db8:c1a7::464"], { codes: null });
  t.regex(knock.stdout, / 0 received/);
  t.true(wall.counters.dropped > dropped);
  await reload({ clat: undefined });
  const gone = await lan.run("ping", ["-n", "-c", "3", "-W", "2", FAR], { codes: null });
  t.regex(gone.stdout, /From 192\.168\.7\.1 icmp_seq=\d Destination Net Unreachable/);
});
