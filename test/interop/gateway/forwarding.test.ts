/** Two kernels with our router between them: what ping, traceroute, curl and their routing caches say of it. */
import test from "ava";
import type { TunLink } from "../../../ports/node/index.js";
import { WAN_HOST, WAN_HOST6, createGateway, settle } from "../support/gateway.js";
import { namespace6 } from "../support/host6.js";
import { pingFrom } from "../support/ping.js";
import { curlFile, serveFile } from "../support/site.js";

test("ping and traceroute: we are the hop between", async (t) => {
  const { lan, four, six } = await createGateway(t);
  for (const host of [WAN_HOST, WAN_HOST6]) {
    t.regex(await pingFrom(t, lan, host, { count: 5, size: 1400 }), /ttl=63/);
  }
  t.is(four.router.counters.copied, 0);
  t.is(six.router.counters.copied, 0);
  for (const option of ["-U", "-I", "-T"]) {
    const probes = ["-n", "-q", "1", "-w", "20", "-m", "4", option];
    const { stdout } = await lan.run("traceroute", [...probes, WAN_HOST]);
    t.regex(stdout, /^ 1 {2}10\.1\.0\.1 {2}[\d.]+ ms\n 2 {2}10\.2\.0\.2 {2}[\d.]+ ms$/m);
    const routed = await lan.run("traceroute", ["-6", ...probes, WAN_HOST6]);
    t.regex(routed.stdout, /^ 1 {2}fd01::1 {2}[\d.]+ ms\n 2 {2}fd02::2 {2}[\d.]+ ms$/m);
  }
});

test("record route: the kernel reads us in its list", async (t) => {
  const { lan } = await createGateway(t);
  const { stdout } = await lan.run("ping", ["-n", "-R", "-c", "1", WAN_HOST]);
  t.regex(stdout, /RR:\s+10\.1\.0\.2\s+10\.2\.0\.1\s+10\.2\.0\.2\s+10\.2\.0\.2\s+10\.1\.0\.1\s+10\.1\.0\.2/);
});

test("64 MiB by curl in both families", async (t) => {
  const { lan, wan, four, six } = await createGateway(t);
  const size = 64 << 20;
  const hosts = [WAN_HOST, `[${WAN_HOST6}]`];
  await serveFile(t, wan, hosts, size);
  for (const host of hosts) await curlFile(t, lan, host, size);
  t.true(four.router.counters.forwarded > 45_000);
  t.true(six.router.counters.forwarded > 45_000);
});

for (const [what, offloads, cuts] of [
  ["pass whole", ["lan0", "wan0"], false],
  ["that the kernel has cut are merged", ["lan0", "wan0"], true],
  ["are cut for a link that takes none", ["wan0"], false],
] as const) {
  test(`with virtio headers: large segments ${what}`, async (t) => {
    const { lan, wan, lanNif, wanNif, four, six } = await createGateway(t, { offloads });
    const off = ["tx", "tso", "gso", "gro"].flatMap((name) => [name, "off"]);
    if (cuts) await wan.run("ethtool", ["-K", "wan0", ...off]);
    const size = 64 << 20;
    const hosts = [WAN_HOST, `[${WAN_HOST6}]`];
    await serveFile(t, wan, hosts, size);
    for (const host of hosts) await curlFile(t, lan, host, size);
    const { rxFrames, txFrames } = { rxFrames: wanNif.counters.rxFrames, txFrames: lanNif.counters.txFrames };
    // 92,000 segments are what it takes at the least, one by one.
    t.true(rxFrames < 90_000, `${rxFrames} frames`);
    t.is(txFrames > 90_000, offloads.length === 1, `${txFrames} frames`);
    if (cuts) t.true((wanNif.link as TunLink).coalesced > 0);
    for (const { counters } of [four.router, six.router]) t.is(counters.tooBig, 0);
    for (const nif of [lanNif, wanNif]) t.is((nif.link as TunLink).transmitErrors, 0);
  });
}

test("path MTU: the kernel is told, believes it, and what may be cut is cut", async (t) => {
  const { lan, four } = await createGateway(t, { wanMtu: 1400 });
  const refused = await lan.run("ping", ["-n", "-c", "1", "-W", "1", "-M", "do", "-s", "1400", WAN_HOST], {
    codes: null,
  });
  t.regex(refused.stdout, /From 10\.1\.0\.1 icmp_seq=1 Frag needed and DF set \(mtu = 1400\)/);
  t.regex(lan.ip("route", "get", WAN_HOST), /mtu 1400/);
  lan.ip("route", "flush", "cache");
  await pingFrom(t, lan, WAN_HOST, { count: 3, size: 4000, options: ["-M", "dont"] });
  t.true(four.router.counters.fragments >= 6);
  const six = await lan.run("ping", ["-n", "-c", "1", "-W", "10", "-s", "1400", WAN_HOST6], { codes: null });
  t.regex(six.stdout, /From fd01::1 icmp_seq=1 Packet too big: mtu=1400/);
  await pingFrom(t, lan, WAN_HOST6, { count: 3, size: 1400 });
  t.regex(lan.ip("-6", "route", "get", WAN_HOST6), /mtu 1400/);
});

test("nobody there, no way there: the kernel is told which", async (t) => {
  const { lan } = await createGateway(t);
  const ask = async (host: string) =>
    (await lan.run("ping", ["-n", "-c", "1", "-W", "6", host], { codes: null })).stdout;
  t.regex(await ask("10.2.0.77"), /From 10\.1\.0\.1 icmp_seq=1 Destination Host Unreachable/);
  t.regex(await ask("fd02::77"), /From fd01::1 icmp_seq=1 Destination unreachable: Address unreachable/);
  t.regex(await ask("192.0.2.1"), /From 10\.1\.0\.1 icmp_seq=1 Destination Net Unreachable/);
  t.regex(await ask("2001:db8::1"), /From fd01::1 icmp_seq=1 Destination unreachable: No route/);
});

test("redirects: the kernel takes the shorter way that we tell it", async (t) => {
  const { lan, ip, ip6, lanNif, four, six } = await createGateway(t, { plain: true });
  const second = namespace6(t);
  lan.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0");
  lan.ip("link", "set", "br0", "addrgenmode", "none");
  lan.ip("link", "set", "br0", "up");
  lan.ip("link", "set", "lan0", "master", "br0");
  lan.ip("link", "add", "port", "type", "veth", "peer", "name", "eth0", "netns", second.name);
  lan.ip("link", "set", "port", "master", "br0", "up");
  second.ip("link", "set", "eth0", "addrgenmode", "none");
  second.ip("link", "set", "eth0", "up");
  settle(lan, "br0", 1);
  settle(second, "eth0", 1, 3);
  second.ip("address", "add", "10.9.0.1/32", "dev", "lo");
  second.ip("address", "add", "fd09::1/128", "dev", "lo");
  second.sysctl("net.ipv6.conf.all.forwarding", 1);
  ip.addAddress(lanNif, "10.1.0.1/24");
  ip6.addAddress(lanNif, "fd01::1/64");
  ip6.addAddress(lanNif, "fe80::1/64");
  ip.addRoute("10.9.0.0/24", { gateway: "10.1.0.3" });
  ip6.addRoute("fd09::/64", { gateway: "fe80::3", interface: lanNif });
  for (const host of ["10.9.0.1", "fd09::1"]) {
    await pingFrom(t, lan, host, { count: 4, interval: 0.2 });
  }
  t.regex(lan.ip("route", "get", "10.9.0.1"), /via 10\.1\.0\.3/);
  t.regex(lan.ip("-6", "route", "get", "fd09::1"), /via fe80::3/);
  t.true(four.router.counters.redirects >= 1 && four.router.counters.forwarded <= 3);
  t.true(six.router.counters.redirects >= 1 && six.router.counters.forwarded <= 3);
});
