/** Router discovery and autoconfiguration against a probe that plays routers. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { nameServers } from "../../stack/core/name-servers.js";
import { DEPRECATED, PREFERRED } from "../../stack/ipv6/address.js";
import { format6 } from "../../stack/core/text6.js";
import { SOURCE } from "../../stack/ipv6/path.js";
import { concat, hex, ip6Text } from "../support/bytes.js";
import { STACK_IP6, STACK_MAC } from "../support/packets.js";
import {
  NA,
  RA,
  long,
  mtuOption,
  nat64Option,
  nd6,
  option,
  prefixOption,
  probed6,
  routeOption,
  searchOption,
  serverOption,
  sourceLink,
  targetLink,
  targetOf,
} from "../support/packets6.js";
import type { NdFields, Probed6, RaFields } from "../support/packets6.js";

const A = "fe80::a";
const B = "fe80::b";
const MAC: Record<string, string> = { [A]: "02:00:00:00:00:0a", [B]: "02:00:00:00:00:0b" };
const PREFIX = "2001:db8:1::";
const OTHER = "2001:db8:2::";
const FAR = "2001:db8:ffff::1";

const host = (t: ExecutionContext, options = {}) =>
  probed6(t, { slaac: true, addresses: [STACK_IP6 + "/64"], ...options });

function advertise(node: Probed6, router: string, fields: RaFields, ...options: Uint8Array[]): void {
  node.probe.send(nd6(RA(fields), { src: router, mac: MAC[router] }, sourceLink(MAC[router]), ...options));
}

const made = (node: Probed6) => node.ip6.addresses.filter(({ origin }) => origin === "slaac");

/** The next hop to `destination`, and the source address. */
function way(node: Probed6, destination = FAR): { hop: string; source: string; mtu: number; code: number } {
  const path = node.ip6.createPath();
  node.ip6.setRemote(path, destination);
  const code = node.ip6.route(path);
  const hop = path.neighbour;
  const words = hop ? [hop.a0, hop.a1, hop.a2, hop.a3] : [0, 0, 0, 0];
  const text = words.map((each) => (each >>> 16).toString(16) + ":" + (each & 0xffff).toString(16)).join(":");
  return { hop: text, source: ip6Text(path.ends.subarray(SOURCE, SOURCE + 16)), mtu: path.mtu, code };
}

const lease = (node: Probed6) => Math.round(((made(node)[0]!.validUntil - node.stack.now()) | 0) / 1000);

test("a router's word: address, default route, on-link prefix, hop limit, MTU", (t) => {
  const node = host(t);
  advertise(node, A, { hops: 50 }, prefixOption(PREFIX), mtuOption(1400));
  const [entry] = made(node);
  t.is(format6(entry!.bytes, 0).startsWith("2001:db8:1:"), true);
  t.is(entry!.state, PREFERRED);
  t.deepEqual(way(node), { hop: long(A), source: long(format6(entry!.bytes, 0)), mtu: 1400, code: 0 });
  t.is(way(node, PREFIX + "77").hop, long(PREFIX + "77"));
  t.is(node.ip6.hopLimitOf(node.nif), 50);
  advertise(node, A, { hops: 1 }, mtuOption(1279), mtuOption(9000));
  t.is(node.ip6.hopLimitOf(node.nif), 50, "a hop limit that reaches nobody is not taken");
  t.is(way(node).mtu, 1400);
});

test("L and A are two things; a prefix that is not 64 bits long makes no address", (t) => {
  const node = host(t);
  advertise(node, A, {}, prefixOption(PREFIX, 1000, 1000, "L"), prefixOption(OTHER, 1000, 1000, "A"));
  t.is(made(node).length, 1);
  t.is(way(node, PREFIX + "77").hop, long(PREFIX + "77"));
  t.is(way(node, OTHER + "77").hop, long(A));
  advertise(node, A, {}, prefixOption("2001:db8:3::", 1000, 1000, "LA", 48));
  t.is(made(node).length, 1);
  t.is(way(node, "2001:db8:3:9::1").hop, long("2001:db8:3:9::1"));
});

test("prefixes that make no sense are passed over, and the rest of the advertisement is taken", (t) => {
  const node = host(t);
  advertise(
    node,
    A,
    {},
    prefixOption("fe80::", 1000, 1000),
    prefixOption("ff02::", 1000, 1000),
    prefixOption("::", 1000, 1000),
    prefixOption(PREFIX, 1000, 1001),
    prefixOption(PREFIX, 1000, 0xffffffff),
    prefixOption(PREFIX, 1000, 1000, "LA", 129),
    prefixOption(OTHER, 0, 0),
  );
  t.is(node.slaac!.counters.badOptions, 6);
  t.is(made(node).length, 0);
  t.is(way(node).hop, long(A));
});

test("lifetimes: preferred, deprecated, gone", (t) => {
  const node = host(t);
  advertise(node, A, { lifetime: 9000 }, prefixOption(PREFIX, 100, 40));
  const [entry] = made(node);
  t.is(lease(node), 100, "the two hours are for addresses that are there already");
  node.world.run(39_000);
  t.is(entry!.state, PREFERRED);
  node.world.run(2_000);
  t.is(entry!.state, DEPRECATED);
  t.is(way(node).source, long(format6(entry!.bytes, 0)), "there is no better one");
  node.world.run(60_000);
  t.is(made(node).length, 0);
  t.is(way(node, PREFIX + "77").hop, long(A), "nor is the prefix on-link");
  t.deepEqual(node.slaac!.inspect(node.nif).prefixes, []);
});

test("an advertisement renews a lifetime, and shortens it to two hours at the least", (t) => {
  const node = host(t);
  advertise(node, A, {}, prefixOption(PREFIX, 86400, 14400));
  advertise(node, A, {}, prefixOption(PREFIX, 20000, 14400));
  t.is(lease(node), 20000, "more than two hours: as it is told");
  advertise(node, A, {}, prefixOption(PREFIX, 600, 0));
  t.is(lease(node), 7200);
  t.is(made(node)[0]!.state, DEPRECATED, "a preferred lifetime is always taken");
  node.world.run(1000_000);
  advertise(node, A, {}, prefixOption(PREFIX, 0, 0));
  t.is(lease(node), 6200, "what is left is kept");
  advertise(node, A, {}, prefixOption(PREFIX, 7000, 7000));
  t.is(lease(node), 7000);
  t.is(made(node)[0]!.state, PREFERRED);
});

test("an infinite lifetime does not end, nor does a finite preferred one within it last", (t) => {
  const node = host(t);
  advertise(node, A, {}, prefixOption(PREFIX, 0xffffffff, 0xffffffff), prefixOption(OTHER, 0xffffffff, 3600));
  node.world.run(3_700_000);
  t.deepEqual(
    made(node).map(({ state }) => state),
    [PREFERRED, DEPRECATED],
  );
  for (let i = 0; i < 60; i++) node.world.run(86_400_000);
  t.is(made(node).length, 2);
});

test("renumbering: the new prefix is used, the old one fades", (t) => {
  const node = host(t);
  advertise(node, A, {}, prefixOption(PREFIX, 600, 300));
  advertise(node, A, {}, prefixOption(PREFIX, 600, 0), prefixOption(OTHER, 600, 300));
  t.true(way(node).source.startsWith("2001:db8:2:"));
  node.world.run(601_000);
  t.is(made(node).length, 0);
});

test("an address that is taken away by hand comes again with the next advertisement", (t) => {
  const node = host(t);
  advertise(node, A, {}, prefixOption(PREFIX));
  const text = format6(made(node)[0]!.bytes, 0);
  node.ip6.removeAddress(node.nif, text + "/64");
  advertise(node, A, {}, prefixOption(PREFIX));
  t.is(format6(made(node)[0]!.bytes, 0), text);
});

test("routers: the preferred one, and its leaving", (t) => {
  const node = host(t);
  advertise(node, A, { preference: "low" }, prefixOption(PREFIX));
  advertise(node, B, {});
  t.is(way(node).hop, long(B));
  advertise(node, A, { preference: "high" });
  t.is(way(node).hop, long(A));
  advertise(node, A, { lifetime: 0 });
  t.is(way(node).hop, long(B));
  node.world.run(1801_000);
  t.true(way(node).code < 0);
  t.deepEqual(node.slaac!.inspect(node.nif).routers, []);
});

test("more specific routes win over the default router (RFC 4191)", (t) => {
  const node = host(t);
  advertise(node, A, { preference: "high" }, prefixOption(PREFIX));
  advertise(
    node,
    B,
    { lifetime: 0 },
    routeOption("2001:db8:ff00::", 40, 600),
    routeOption("::", 0, 600, "low"),
  );
  t.is(way(node).hop, long(B));
  t.is(way(node, "2001:db9::1").hop, long(A));
  advertise(node, A, { lifetime: 0 });
  t.is(way(node, "2001:db9::1").hop, long(B), "a route to ::/0 makes a default router");
  node.world.run(601_000);
  t.true(way(node).code < 0);
});

test("a router that does not answer gives way to another, until it shows itself again", (t) => {
  const node = host(t);
  const options = [prefixOption(PREFIX)];
  advertise(node, A, { preference: "high" }, ...options);
  advertise(node, B, {}, ...options);
  node.probe.onFrame = (_bytes, { icmp, ip6, payload }) => {
    if (icmp?.type !== 135 || ip6!.src === long("::")) return;
    const target = ip6Text(payload.subarray(0, 16));
    const dst = ip6!.src;
    if (target === long(B))
      node.world.at(0, () => node.probe.send(nd6(NA(B, "SR"), { src: B, dst }, targetLink(MAC[B]))));
  };
  const echo = () => {
    const path = node.ip6.createPath();
    node.ip6.setRemote(path, FAR);
    const tx = node.stack.prepare(8)!;
    tx.data.fill(0, tx.start, tx.end);
    node.ip6.output(tx, path, 253);
  };
  t.is(way(node).hop, long(A));
  echo();
  for (let i = 0; i < 12; i++) {
    node.world.run(1000);
    echo();
  }
  t.is(way(node).hop, long(B));
  node.world.run(20_000);
  t.is(way(node).hop, long(B));
  advertise(node, A, { preference: "high" }, ...options);
  t.is(way(node).hop, long(A));
  t.is(node.nd.cache.entries.filter(({ router }) => router).length, 2);
});

test("two routers that are both silent take turns", (t) => {
  const node = host(t);
  advertise(node, A, {}, prefixOption(PREFIX));
  advertise(node, B, {}, prefixOption(PREFIX));
  const asked = new Set<string>();
  node.probe.onFrame = (_bytes, parsed) => {
    if (parsed.icmp?.type === 135) asked.add(targetOf(parsed));
  };
  const path = node.ip6.createPath();
  node.ip6.setRemote(path, FAR);
  for (let i = 0; i < 60; i++) {
    if (i === 30) asked.clear();
    const tx = node.stack.prepare(8)!;
    tx.data.fill(0, tx.start, tx.end);
    node.ip6.output(tx, path, 253);
    node.world.run(1000);
  }
  t.deepEqual([...asked].sort(), [long(A), long(B)]);
});

test("a neighbour that says it is no router is none (RFC 4861 section 7.2.5)", (t) => {
  const node = host(t);
  advertise(node, A, {}, prefixOption(PREFIX), routeOption("2001:db8:ff00::", 40));
  t.is(way(node).hop, long(A));
  node.probe.send(nd6(NA(A, "O"), { src: A, mac: MAC[A] }, targetLink(MAC[A])));
  t.true(way(node).code < 0);
  t.deepEqual(node.slaac!.inspect(node.nif).routers, []);
});

test("the source goes with the router that advertised its prefix, and the router with the source (RFC 8028)", (t) => {
  const node = host(t);
  advertise(node, A, {}, prefixOption(PREFIX));
  advertise(node, B, {}, prefixOption(OTHER));
  t.is(way(node).hop, long(A));
  t.true(way(node).source.startsWith("2001:db8:1:"));
  // FAR has more bits in common with none of them: swap the preference, and the source follows.
  advertise(node, B, { preference: "high" }, prefixOption(OTHER));
  t.is(way(node).hop, long(B));
  t.true(way(node).source.startsWith("2001:db8:2:"));
  const path = node.ip6.createPath();
  node.ip6.setLocal(path, format6(made(node)[0]!.bytes, 0));
  node.ip6.setRemote(path, FAR);
  t.is(node.ip6.route(path), 0);
  t.is(path.neighbour!.a3, 0xa);
});

test("name servers and search domains come, are renewed, and go (RFC 8106)", (t) => {
  const node = host(t);
  const servers = () => node.stack.nameServers?.list().map(({ address }) => address) ?? [];
  advertise(
    node,
    A,
    {},
    serverOption(300, "2001:db8::53", "fe80::53", "ff02::1", "::"),
    searchOption(100, "example.com", "lab"),
  );
  t.deepEqual(servers(), ["2001:db8::53", "fe80::53%eth0"]);
  t.deepEqual(node.stack.nameServers!.search(), ["example.com", "lab"]);
  node.world.run(101_000);
  t.deepEqual(node.stack.nameServers!.search(), []);
  advertise(
    node,
    A,
    {},
    serverOption(0, "2001:db8::53"),
    serverOption(300, ...Array.from({ length: 9 }, (_, i) => "2001:db8::" + i)),
  );
  t.is(servers().length, 4);
  node.world.run(301_000);
  t.deepEqual(servers(), []);
});

test("search lists that are no names are not taken", (t) => {
  const node = host(t);
  for (const bytes of [
    "0461626364 00",
    "0361 00",
    "4061",
    "0361c300 00",
    "03612f62 00",
    "07 61626364 6566",
  ]) {
    advertise(node, A, {}, option(31, hex("0000 00000100" + bytes)));
  }
  t.deepEqual(node.stack.nameServers!.search(), ["abcd"]);
});

test("a NAT64 prefix is told, and outlasts advertisements of others without it (RFC 8781)", (t) => {
  const told: string[] = [];
  const node = host(t, { slaac: { onAdvertisement: ({ nat64 }: { nat64: string }) => told.push(nat64) } });
  advertise(node, A, {}, nat64Option("64:ff9b::", 80));
  advertise(node, B, {});
  advertise(node, B, {}, nat64Option("64:ff9b::", 80, 6));
  t.deepEqual(told, ["64:ff9b::/96", "64:ff9b::/96", "64:ff9b::/96"]);
  node.world.run(81_000);
  t.is(node.slaac!.inspect(node.nif).nat64, "");
});

test("routers are asked for, ever less often, until one answers (RFC 7559)", (t) => {
  const node = probed6(t, { slaac: true });
  const times: number[] = [];
  node.probe.onFrame = (_bytes, parsed) => {
    if (parsed.icmp?.type !== 133) return;
    times.push(node.world.time);
    t.is(parsed.ip6!.dst, long("ff02::2"));
    t.is(parsed.ip6!.hops, 255);
    t.deepEqual([...parsed.payload], [1, 1, ...hex(STACK_MAC)]);
  };
  node.world.run(300_000);
  t.true(times[0]! <= 1000);
  for (let i = 1; i < times.length; i++) {
    const gap = times[i]! - times[i - 1]!;
    const expected = 4000 * 2 ** (i - 1);
    t.true(gap >= expected * 0.99 && gap <= expected * 1.11, `${i}: ${gap}`);
  }
  t.is(times.length, 7);
  advertise(node, A, { lifetime: 0 });
  node.world.run(300_000);
  t.is(times.length, 8, "who is no router does not end the search");
  advertise(node, A, {});
  node.world.run(3_600_000);
  t.is(times.length, 8);
});

for (const [what, fields, code, cut] of [
  ["hop limit 254", { hops: 254 }, 0, 0],
  ["code 1", {}, 1, 0],
  ["15 bytes", {}, 0, 1],
  ["a global source", { src: "2001:db8::1" }, 0, 0],
] as [string, NdFields, number, number][]) {
  test(`ND-01 an advertisement with ${what} is dropped`, (t) => {
    const node = host(t);
    const message = RA();
    node.probe.send(nd6({ ...message, code, body: message.body.subarray(cut) }, fields));
    t.is(node.slaac!.counters.invalid, 1);
    t.deepEqual(node.slaac!.inspect(node.nif).routers, []);
  });
}

test("ND-02 an advertisement with an option of length 0, or past its end, is dropped as a whole", (t) => {
  const node = host(t);
  for (const bytes of ["0300", "0500 000000000000", "0502 000000000000", "05"]) {
    advertise(node, A, {}, prefixOption(PREFIX), hex(bytes));
  }
  t.is(node.slaac!.counters.invalid, 4);
  t.is(made(node).length, 0);
});

test("ND-04 a flood of advertisements: tables keep their bounds and the router that was there; all of it goes again", (t) => {
  const node = host(t);
  const FLOOD = 10000;
  const greet = () => advertise(node, A, {}, prefixOption(PREFIX), serverOption(9000, "2001:db8::53"));
  const held = () => ({
    ...node.slaac!.inspect(node.nif),
    addresses: node.ip6.addresses.map(({ bytes }) => format6(bytes, 0)),
    groups: node.ip6.groups.length,
    routes: node.ip6.fib.list().length,
    servers: nameServers(node.stack).list().length,
    neighbours: node.nd.cache.entries.filter(({ router }) => router).length,
    packets: node.stack.pool.used,
  });
  // Routers are many, what they advertise is of 256 kinds: each is more than the tables take.
  const kinds = (lifetime: number) =>
    Array.from({ length: 256 }, (_, kind) => {
      const word = (kind + 1).toString(16);
      return concat(
        ...Array.from({ length: 17 }, (_, k) => prefixOption(`2001:${word}:${k}::`, lifetime, lifetime)),
        ...Array.from({ length: 10 }, (_, k) => routeOption(`2002:${word}:${k}::`, 48, lifetime)),
        serverOption(lifetime, `2001:db8::${word}`),
      );
    });
  const flood = (lifetime: number, options: Uint8Array[]) => {
    for (let i = 1; i <= FLOOD; i++)
      advertise(node, `fe80::bad:${i.toString(16)}`, { lifetime }, options[i & 255]!);
  };
  greet();
  way(node);
  const before = held();
  flood(65535, kinds(0xffffffff));
  const { routers, prefixes } = node.slaac!.inspect(node.nif);
  t.is(routers.length, 4);
  t.is(routers[0], A + "%eth0");
  t.is(prefixes.length, 8);
  t.true(node.ip6.addresses.length <= 9);
  t.true(node.ip6.fib.list().length <= 64);
  t.true(node.nd.cache.entries.length <= 64);
  t.is(way(node).hop, long(A));
  t.true(way(node).source.startsWith("2001:db8:1:"));
  t.true(node.slaac!.counters.refused > 5000);
  flood(0, kinds(0));
  t.deepEqual(node.slaac!.inspect(node.nif).routers, [A + "%eth0"]);
  // Addresses stay for two hours, whatever is advertised (RFC 4862 section 5.5.3 (e)).
  for (let minutes = 0; minutes < 140; minutes += 20) {
    node.world.run(20 * 60000);
    greet();
  }
  way(node);
  t.deepEqual(held(), before);
});

test("ND-04 routers that come, are used and go do not fill the neighbour cache with what is never evicted", (t) => {
  const node = host(t);
  for (let i = 1; i <= 200; i++) {
    const router = `fe80::bad:${i.toString(16)}`;
    advertise(node, router, { preference: "high" }, prefixOption(PREFIX));
    t.is(way(node).hop, long(router));
    advertise(node, router, { lifetime: 0 });
  }
  t.is(node.nd.cache.entries.filter(({ router }) => router).length, 0);
});

test("ND-06 whoever claims each address made of a prefix: four are tried, whatever is advertised", (t) => {
  const node = host(t, { dad: 1 });
  let claimed = 0;
  node.probe.onFrame = (_bytes, parsed) => {
    if (parsed.icmp?.type !== 135 || parsed.ip6!.src !== long("::")) return;
    const target = targetOf(parsed);
    if (!target.startsWith("2001:")) return;
    claimed++;
    node.world.at(0, () => node.probe.send(nd6(NA(target, "O"), { src: target }, targetLink())));
  };
  for (let i = 0; i < 20; i++) {
    advertise(node, A, {}, prefixOption(PREFIX));
    node.world.run(5000);
  }
  t.is(claimed, 4);
  t.is(made(node).length, 0);
});

test("ND-09 an advertisement behind extension headers is ignored", (t) => {
  const node = host(t);
  const plain = nd6(RA(), { src: A, mac: MAC[A] });
  for (const header of ["3a00 0104 00000000", "3a00 0000 00000001"]) {
    for (const next of [0, 44, 60]) {
      const bytes = new Uint8Array([...plain.subarray(0, 54), ...hex(header), ...plain.subarray(54)]);
      bytes[20] = next;
      bytes[19] += 8;
      node.probe.send(bytes);
    }
  }
  t.is(node.slaac!.counters.advertisements, 0);
  t.is(node.slaac!.counters.invalid, 3, "the others were no headers");
  t.deepEqual(node.slaac!.inspect(node.nif).routers, []);
});

test("ND-09 an advertisement from our own address, to a router, or not accepted is ignored", (t) => {
  const asked: string[] = [];
  const accept = (_nif: unknown, router: string) => {
    asked.push(router);
    return router.startsWith(A);
  };
  const node = host(t, { slaac: { accept } });
  node.probe.send(nd6(RA(), { src: STACK_IP6 }));
  t.deepEqual(asked, []);
  advertise(node, B, {}, prefixOption(PREFIX));
  t.is(node.slaac!.counters.ignored, 1);
  advertise(node, A, {}, prefixOption(PREFIX));
  t.deepEqual(asked, [B + "%eth0", A + "%eth0"]);
  t.is(made(node).length, 1);
  // A router towards its provider: whom it accepts is told, so it is a host there (RFC 7084 W-3).
  const forwarder = { input: () => false, undeliverable: () => false };
  node.ip6.forwarder = forwarder;
  advertise(node, B, {}, prefixOption(OTHER));
  t.is(made(node).length, 1);
  advertise(node, A, {}, prefixOption(OTHER));
  t.is(made(node).length, 2);
  t.is(node.slaac!.counters.ignored, 2);
  // Else it takes no other router's word.
  const router = host(t);
  router.ip6.forwarder = forwarder;
  advertise(router, A, {}, prefixOption(PREFIX));
  t.is(made(router).length, 0);
  t.is(router.slaac!.counters.ignored, 1);
});

test("IP6-06 identifiers: the same for the same secret and prefix, else others, and none tells the hardware address", (t) => {
  const seen = new Set<string>();
  const boot = (secret: number, prefix: string, network = "") => {
    const node = probed6(null, {
      slaac: { secret: new Uint8Array(16).fill(secret), network },
      addresses: [STACK_IP6 + "/64"],
    });
    advertise(node, A, {}, prefixOption(prefix));
    const bytes = made(node)[0]!.bytes.subarray(8);
    node.stack.close();
    return ip6Text(new Uint8Array([...new Uint8Array(8), ...bytes]));
  };
  t.is(boot(1, PREFIX), boot(1, PREFIX));
  t.not(boot(1, PREFIX), boot(1, PREFIX, "another"));
  for (let i = 0; i < 100; i++) {
    for (const identifier of [boot(i, PREFIX), boot(1, `2001:db8:${(i + 16).toString(16)}::`)]) {
      seen.add(identifier);
      t.false(identifier.includes("ff:fe00:1"));
    }
  }
  t.true(seen.size >= 199);
});
