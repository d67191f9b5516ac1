/** Multicast between kernels: Linux listens behind us, a bridge with Linux's snooping is before us, and python sends and receives. */
import test from "ava";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { mld } from "../../../stack/ipv6/mld.js";
import { multicast } from "../../../stack/routing/multicast.js";
import { nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { bridge } from "../../../stack/link/bridge.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { snooping } from "../../../stack/link/snooping.js";
import { createGateway } from "../support/gateway.js";
import { namespace6 } from "../support/host6.js";
import { until } from "../../support/until.js";

const GROUPS = [
  ["239.7.7.7", "wan0"],
  ["ff1e::7:7", "wan0"],
] as const;

/** Joins a group on an interface and prints what comes; ends by its input, or with the namespace. */
const LISTEN = `
import socket, struct, sys
group, device = sys.argv[1:3]
six = ":" in group
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((group, 5555))
index = socket.if_nametoindex(device)
if six: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
else: s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", socket.inet_aton(group), b"\\0\\0\\0\\0", index))
print("joined", flush=True)
while True: print("got", s.recv(2000)[:20].decode(), flush=True)
`;
/** Sends numbers, ten a second, with four hops. */
const SEND = `
import socket, struct, sys, time
group, device = sys.argv[1:3]
six = ":" in group
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
index = socket.if_nametoindex(device)
if six:
  s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 4)
  s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
else:
  s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
  s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s4si", b"\\0\\0\\0\\0", b"\\0\\0\\0\\0", index))
n = 0
while True:
  s.sendto(str(n).encode(), (group, 5555))
  n += 1
  time.sleep(0.1)
`;

test("a kernel joins behind us, a bridge before us hears of it, and what is sent arrives until the kernel leaves", async (t) => {
  const groups = multicast({ interval: 5 });
  const net = await createGateway(t, { components: [igmp(), mld(), groups] });
  const { lan, wan, lanNif, wanNif } = net;
  // Only who has joined gets anything from this bridge: its snooping believes our reports.
  wan.ip(
    "link",
    "add",
    "br0",
    "type",
    "bridge",
    "forward_delay",
    "0",
    "mcast_snooping",
    "1",
    "mcast_querier",
    "1",
  );
  wan.ip("link", "set", "br0", "addrgenmode", "none");
  wan.ip("address", "flush", "dev", "wan0");
  wan.ip("link", "set", "wan0", "master", "br0");
  wan.ip("link", "set", "br0", "up");
  wan.ip("address", "add", "10.2.0.2/24", "dev", "br0");
  wan.ip("address", "add", "fd02::2/64", "dev", "br0", "nodad");
  wan.ip("address", "add", "fe80::2/64", "dev", "br0", "nodad");
  wan.ip("route", "replace", "default", "via", "10.2.0.1");
  wan.ip("-6", "route", "replace", "default", "via", "fe80::1", "dev", "br0");
  groups.enable(lanNif);
  groups.setUpstream(wanNif);
  for (const [group] of GROUPS) {
    const listener = lan.start("python3", ["-c", LISTEN, group, "lan0"]);
    await listener.until(/joined/);
    await until("the kernel's report", () => groups.groups().some((each) => each.group === group));
    const mdb = async () => (await wan.run("bridge", ["mdb", "show"])).stdout;
    await listener.until(async () => new RegExp(`port wan0 grp ${group} `).test(await mdb()));
    const sender = wan.start("python3", ["-c", SEND, group, "br0"]);
    await listener.until(/got \d+\ngot \d+\ngot \d+/);
    // It answers our general queries, or it would be gone after two intervals and ten seconds: one answer is enough here.
    const { reports } = groups.counters;
    await until("an answer to a query", () => groups.counters.reports > reports);
    await listener.stop("SIGKILL");
    const left = performance.now();
    await until("it has left", () => !groups.groups().some((each) => each.group === group));
    t.log(`${group}: left after ${Math.round(performance.now() - left)} ms`);
    const { forwarded } = groups.counters;
    await new Promise((resolve) => setTimeout(resolve, 300));
    t.is(groups.counters.forwarded, forwarded);
    await sender.stop("SIGKILL");
    // And the other way: from behind us to a listener in the world.
    const outside = wan.start("python3", ["-c", LISTEN, group, "br0"]);
    await outside.until(/joined/);
    const inside = lan.start("python3", ["-c", SEND, group, "lan0"]);
    await outside.until(/got \d+\ngot \d+/);
    await inside.stop("SIGKILL");
    await outside.stop("SIGKILL");
  }
  // Before it has an address a kernel reports from ::, which no router believes (RFC 3810 section 5.2.13).
  t.true(groups.counters.malformed <= 2);
});

test("three kernels on our bridge with snooping: who has not joined hears nothing", async (t) => {
  const host = nodeHost();
  const [ip, ip6, groups, snoop] = [ipv4(), ipv6({ linkLocal: false }), multicast(), snooping()];
  const middle = bridge({ mac: Uint8Array.of(2, 0, 0, 0, 9, 9), snooping: snoop });
  const parts = [ethernet(), arp(), ip, igmp(), ip6, icmpv6(), nd(), mld(), middle, groups];
  const stack = host.drive(createStack(host, parts));
  t.teardown(() => stack.close());
  const [a, b, c] = [1, 2, 3].map((number) => {
    const ns = namespace6(t);
    middle.addPort(openTap({ name: "tap0", netns: ns.name }));
    ns.ip("link", "set", "tap0", "addrgenmode", "none");
    ns.ip("link", "set", "tap0", "up");
    ns.ip("address", "add", `10.5.0.${number}/24`, "dev", "tap0");
    ns.ip("address", "add", `fe80::${number}0/64`, "dev", "tap0", "nodad");
    return ns;
  });
  const nif = stack.addInterface(middle, "br0");
  ip.addAddress(nif, "10.5.0.9/24");
  ip6.addAddress(nif, "fe80::9/64");
  groups.enable(nif);
  for (const [group] of GROUPS) {
    const listener = b!.start("python3", ["-c", LISTEN, group, "tap0"]);
    await listener.until(/joined/);
    await until("the report", () => groups.groups().some((each) => each.group === group));
    const sender = a!.start("python3", ["-c", SEND, group, "tap0"]);
    await listener.until(/got \d+\ngot \d+/);
    const received = async () =>
      Number((await c!.run("cat", ["/sys/class/net/tap0/statistics/rx_packets"])).stdout);
    const { pruned } = snoop.counters;
    const before = await received();
    await until("datagrams that are kept from it", () => snoop.counters.pruned - pruned >= 10);
    t.true((await received()) - before <= 4, "a query or two, and none of ten datagrams");
    await sender.stop("SIGKILL");
    await listener.stop("SIGKILL");
  }
  t.true(snoop.counters.malformed === 0 && snoop.counters.queries >= 2);
});
