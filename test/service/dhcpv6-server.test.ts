/** The DHCPv6 server by hand: each message, relay agents, bounds, hostile messages (ids as in the list), records. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { dhcpv6 } from "../../stack/service/dhcpv6.js";
import { dhcpv6Server } from "../../stack/service/dhcpv6-server.js";
import type { Dhcpv6ScopeOptions, Dhcpv6ServerConfiguration } from "../../stack/service/dhcpv6-server.js";
import { format6 } from "../../stack/core/text6.js";
import { concat, ip6Bytes } from "../support/bytes.js";
import { network } from "../support/network.js";
import { be16, be32, eth, frame, ip6, udp } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";
import { MemoryStore } from "./dhcp-server-support.js";

const DUID = (n: number) => Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, n >> 8, n & 255);
const option = (code: number, ...value: Uint8Array[]) => {
  const bytes = concat(...value);
  return concat(be16(code), be16(bytes.length), bytes);
};
const ia = (code: number, iaid: number, ...inner: Uint8Array[]) =>
  option(code, be32(iaid), be32(0), be32(0), ...inner);
const iaAddress = (text: string) => option(5, ip6Bytes(text), be32(0), be32(0));

interface Reply {
  type: number;
  options: Map<number, Uint8Array[]>;
  bytes: Uint8Array;
}

function readOptions(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const found = new Map<number, Uint8Array[]>();
  for (let at = 0; at < bytes.length;) {
    const code = bytes[at]! * 256 + bytes[at + 1]!;
    const length = bytes[at + 2]! * 256 + bytes[at + 3]!;
    if (at + 4 + length > bytes.length) throw new Error("an option that lies");
    found.set(code, [...(found.get(code) ?? []), bytes.slice(at + 4, at + 4 + length)]);
    at += 4 + length;
  }
  return found;
}

function serverTest(
  t: ExecutionContext | null,
  scope: Partial<Dhcpv6ScopeOptions> = {},
  configuration: Dhcpv6ServerConfiguration = {},
) {
  const ip = ipv6();
  const server = dhcpv6Server(configuration);
  const node = probed(t, { components: () => [ip, icmpv6(), nd(), server], leaks: { chunks: 32 } });
  ip.addAddress(node.nif, "2001:db8::1/64");
  const served = server.serve({
    interface: node.nif,
    pool: "2001:db8::1:0:0/96",
    delegate: { prefix: "2001:db8:8000::/40", length: 56 },
    nameServers: ["2001:db8::53"],
    rapidCommit: true,
    ...scope,
  });
  // The neighbour's hardware address is known, so that replies come at once.
  const meet = (address: string) => {
    const entry = node.stack.component(Object.getPrototypeOf(nd()).constructor as never) as {
      cache: any;
    } | null;
    const bytes = ip6Bytes(address);
    const view = new DataView(bytes.buffer);
    const words = [0, 4, 8, 12].map((at) => view.getInt32(at)) as [number, number, number, number];
    const neighbour = entry!.cache.obtain(node.nif, ...words);
    entry!.cache.setStatic(neighbour, 0x0200, 2);
  };
  meet("fe80::2");
  meet("2001:db8::99");
  const raw = (bytes: Uint8Array, src = "fe80::2", sport = 546): Uint8Array | undefined => {
    node.probe.take();
    node.probe.send(
      frame(
        eth({ dst: "33:33:00:01:00:02" }),
        ip6({ src, dst: "ff02::1:2" }),
        udp({ sport, dport: 547 }),
        bytes,
      ),
    );
    for (const sent of node.probe.take()) {
      const parsed = parseFrame(sent);
      if (parsed.udp?.sport === 547) return parsed.payload;
    }
    return undefined;
  };
  const ask = (type: number, n: number, ...options: Uint8Array[]): Reply | undefined => {
    const bytes = raw(concat(Uint8Array.of(type, 1, 2, 3), option(1, DUID(n)), ...options));
    return bytes && { type: bytes[0]!, options: readOptions(bytes.subarray(4)), bytes };
  };
  const own = option(2, Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 1));
  /** The address or prefix of an association in a reply, or its status. */
  const given = (reply: Reply | undefined, code = 3) => {
    const inner = readOptions(reply!.options.get(code)![0]!.subarray(12));
    const value = inner.get(code === 3 ? 5 : 26)?.[0];
    if (!value) return `status ${inner.get(13)![0]![1]}`;
    return code === 3 ? format6(value, 0) : `${format6(value, 9)}/${value[8]}`;
  };
  return { ...node, ip6: ip, server, scope: served, raw, ask, own, given };
}

test("solicit, advertise, request, reply; renew, rebind, release; the same again for who comes back", (t) => {
  const s = serverTest(t);
  const advertise = s.ask(1, 7, ia(3, 1), ia(25, 2), option(6, be16(23)));
  t.is(advertise!.type, 2);
  const address = s.given(advertise);
  const prefix = s.given(advertise, 25);
  t.regex(address, /^2001:db8::1:/);
  t.regex(prefix, /^2001:db8:80[0-9a-f]{2}:.*\/56$/);
  t.is(s.server.list().length, 0, "an offer costs nothing");
  t.is(format6(advertise!.options.get(23)![0]!, 0), "2001:db8::53");
  const reply = s.ask(3, 7, s.own, ia(3, 1), ia(25, 2));
  t.deepEqual([reply!.type, s.given(reply), s.given(reply, 25)], [7, address, prefix]);
  t.false(reply!.options.has(23), "was not asked for");
  t.deepEqual(
    s.server
      .list()
      .map(({ value }) => value)
      .sort(),
    [address, prefix].sort(),
  );
  t.is(s.ip6.fib.list().filter(({ origin }) => origin === "dhcp").length, 1);
  t.is(s.given(s.ask(5, 7, s.own, ia(3, 1, iaAddress(address)))), address);
  t.is(s.given(s.ask(6, 7, ia(3, 1, iaAddress(address)))), address);
  t.is(
    s.ask(
      8,
      7,
      s.own,
      ia(3, 1, iaAddress(address)),
      ia(25, 2, option(26, be32(0), be32(0), Uint8Array.of(56), ip6Bytes(prefix.split("/")[0]!))),
    )!.type,
    7,
  );
  t.deepEqual(s.server.list(), []);
  t.is(s.ip6.fib.list().filter(({ origin }) => origin === "dhcp").length, 0);
  t.is(s.given(s.ask(3, 7, s.own, ia(3, 1))), address);
});

test("confirm, decline, parameters alone, rapid commit", (t) => {
  const s = serverTest(t);
  const status = (reply: Reply | undefined) => reply?.options.get(13)?.[0]?.[1];
  t.is(status(s.ask(4, 1, ia(3, 1, iaAddress("2001:db8::5")))), 0);
  t.is(status(s.ask(4, 1, ia(3, 1, iaAddress("2001:db8:1::5")))), 4);
  t.is(s.ask(4, 1, ia(3, 1)), undefined);
  const rapid = s.ask(1, 2, option(14), ia(3, 1));
  t.is(rapid!.type, 7);
  t.true(rapid!.options.has(14));
  const address = s.given(rapid);
  s.ask(9, 2, s.own, ia(3, 1, iaAddress(address)));
  t.not(s.given(s.ask(3, 2, s.own, ia(3, 1))), address);
  const inform = s.ask(11, 3, option(6, be16(23), be16(24)));
  t.deepEqual([...inform!.options.get(32)![0]!], [0, 1, 0x51, 0x80]);
  t.true(inform!.options.has(23));
  t.false(inform!.options.has(24));
  s.world.run(3_700_000);
});

test("what the client has from elsewhere ends; leases expire; reservations", (t) => {
  const s = serverTest(t, {
    valid: 600,
    preferred: 300,
    reservations: [{ duid: DUID(9), address: "2001:db8::9", prefix: "2001:db8:9::/48" }],
  });
  const renewed = s.ask(5, 1, s.own, ia(3, 1, iaAddress("2001:db8:1::5")));
  const values = readOptions(renewed!.options.get(3)![0]!.subarray(12)).get(5)!;
  t.deepEqual(
    values.map((value) => [...value.subarray(20, 24)]),
    [
      [0, 0, 2, 88],
      [0, 0, 0, 0],
    ],
  );
  const reserved = s.ask(3, 9, s.own, ia(3, 1), ia(25, 1));
  t.deepEqual([s.given(reserved), s.given(reserved, 25)], ["2001:db8::9", "2001:db8:9::/48"]);
  t.not(s.given(s.ask(3, 8, s.own, ia(3, 1, iaAddress("2001:db8::9")))), "2001:db8::9");
  s.world.run(620_000);
  t.deepEqual(s.server.list(), []);
  t.is(s.server.counters.expired, 4);
});

test("relay agents: the link that they name, what they put around, and none that is strange", (t) => {
  const s = serverTest(t, {
    network: "2001:db8:5::/64",
    pool: "2001:db8:5::1:0:0/96",
    relays: ["2001:db8::99"],
  });
  const inner = concat(Uint8Array.of(1, 1, 2, 3), option(1, DUID(4)), ia(3, 1));
  const around = (link: string, hops: number, message: Uint8Array, id = "") =>
    concat(
      Uint8Array.of(12, hops),
      ip6Bytes(link),
      ip6Bytes("fe80::77"),
      ...(id ? [option(18, Uint8Array.from(Buffer.from(id)))] : []),
      option(9, message),
    );
  const twice = around("::", 1, around("2001:db8:5::1", 0, inner, "port7"), "outer");
  const reply = s.raw(twice, "2001:db8::99", 547)!;
  t.is(reply[0], 13);
  const outer = readOptions(reply.subarray(34));
  t.is(Buffer.from(outer.get(18)![0]!).toString(), "outer");
  const next = outer.get(9)![0]!;
  t.deepEqual([next[0], next[1], format6(next, 2)], [13, 0, "2001:db8:5::1"]);
  const last = readOptions(next.subarray(34));
  t.is(Buffer.from(last.get(18)![0]!).toString(), "port7");
  t.is(last.get(9)![0]![0], 2);
  t.is(s.raw(around("2001:db8:6::1", 0, inner), "2001:db8::99", 547), undefined);
  t.is(s.raw(around("2001:db8:5::1", 0, inner), "2001:db8::98", 547), undefined);
  let deep = inner;
  for (let i = 0; i < 32; i++) deep = around("2001:db8:5::1", i, deep);
  t.is(s.raw(deep, "2001:db8::99", 547), undefined, "DH6-04");
});

test("DH6-01 DH6-02 messages that lie, lack or carry what they must not: no answer, one counter", (t) => {
  const s = serverTest(t);
  const head = Uint8Array.of(1, 1, 2, 3);
  const client = option(1, DUID(1));
  const bad = [
    new Uint8Array(0),
    head.subarray(0, 3),
    concat(head, Uint8Array.of(0, 1, 0)),
    concat(head, Uint8Array.of(0, 1, 0, 200, 1, 2)),
    concat(head, option(1, Uint8Array.of(1, 2)), ia(3, 1)),
    concat(head, option(1, new Uint8Array(131)), ia(3, 1)),
    concat(head, client, option(3, new Uint8Array(11))),
    concat(head, client, option(3, new Uint8Array(12), Uint8Array.of(0, 5, 0, 24))),
    concat(Uint8Array.of(12, 0), new Uint8Array(32), option(18, Uint8Array.of(1))),
  ];
  for (const bytes of bad) t.is(s.raw(bytes), undefined);
  t.is(s.server.counters.malformed, bad.length);
  const other = option(2, Uint8Array.of(0, 3, 0, 1, 9, 9, 9, 9, 9, 9));
  const wrong = [
    concat(head, ia(3, 1)),
    concat(head, client, s.own, ia(3, 1)),
    concat(Uint8Array.of(3, 1, 2, 3), client, ia(3, 1)),
    concat(Uint8Array.of(3, 1, 2, 3), client, other, ia(3, 1)),
    concat(Uint8Array.of(6, 1, 2, 3), client, s.own, ia(3, 1)),
    concat(Uint8Array.of(7, 1, 2, 3), client, s.own),
    concat(Uint8Array.of(10, 1, 2, 3), client, s.own),
  ];
  for (const bytes of wrong) t.is(s.raw(bytes), undefined);
  t.is(
    s.raw(concat(head, client, ia(3, 1)), "2001:db8::99"),
    undefined,
    "from an address that is not of the link",
  );
  t.is(s.server.counters.notOurs, wrong.length + 1);
});

test("DH6-04 floods: the table and the pool have bounds, what is in force stays", (t) => {
  const s = serverTest(t, { pool: "2001:db8::100/120" }, { limit: 40 });
  const first = s.given(s.ask(3, 1, s.own, ia(3, 1)));
  for (let n = 2; n < 500; n++) s.ask(3, n, s.own, ia(3, 1));
  t.is(s.server.list().length, 40);
  t.is(s.server.counters.exhausted, 459);
  t.is(s.given(s.ask(5, 1, s.own, ia(3, 1))), first);
  t.is(s.given(s.ask(1, 600, ia(25, 1)), 25).slice(-3), "/56");
  t.is(s.given(s.ask(3, 600, s.own, ia(3, 1))), "status 2");
  const many = s.ask(1, 1, ...Array.from({ length: 60 }, (_, i) => ia(3, i)));
  t.true(many!.options.get(3)!.length <= 8);
  s.world.run(7_300_000);
  t.is(s.server.list().length, 0);
  const tiny = serverTest(t, { delegate: { prefix: "2001:db8:8000::/56", length: 57 }, pool: undefined });
  t.deepEqual(
    [1, 2, 3]
      .map((n) => tiny.given(tiny.ask(3, n, tiny.own, ia(25, 1)), 25))
      .filter((each) => each.endsWith("/57")).length,
    2,
  );
  t.is(tiny.given(tiny.ask(3, 4, tiny.own, ia(3, 1))), "status 2");
});

test("bindings outlive a restart; damaged records are left out", (t) => {
  const store = new MemoryStore();
  const one = serverTest(t, {}, { store });
  const address = one.given(one.ask(3, 1, one.own, ia(3, 1)));
  const prefix = one.given(one.ask(3, 1, one.own, ia(25, 1)), 25);
  const gone = one.given(one.ask(3, 2, one.own, ia(3, 1)));
  one.ask(8, 2, one.own, ia(3, 1, iaAddress(gone)));
  store.seconds += 3600;
  store.records.push("6 N x", "", store.records[0]!.replace("6 N", "6 X"));
  const two = serverTest(t, {}, { store });
  t.deepEqual(
    two.server
      .list()
      .map(({ value, left }) => [value, left])
      .sort(),
    [
      [address, 3600],
      [prefix, 3600],
    ].sort(),
  );
  t.is(two.server.counters.badRecords, 3);
  t.is(two.given(two.ask(5, 1, two.own, ia(3, 1))), address);
});

test("our own client: an address and a prefix for days", (t) => {
  const server = dhcpv6Server();
  const client = dhcpv6();
  let made = 0;
  const { world, nodes } = network(t, 2, {
    components: () => [ipv6(), icmpv6(), nd(), made++ === 0 ? server : client],
    leaks: { chunks: 32, timers: 16 },
  });
  const [a, b] = nodes;
  server.serve({
    interface: a!.nif,
    pool: "2001:db8::1:0:0/96",
    delegate: { prefix: "2001:db8:8000::/40", length: 56 },
  });
  const opened = client.open(b!.nif, { prefix: {} });
  world.run(3 * 86_400_000);
  t.is(opened.lease!.addresses.length, 1);
  t.is(opened.lease!.prefixes.length, 1);
  t.is(server.list().length, 2);
  t.is(server.counters.expired, 0);
  opened.release();
  world.run(5000);
  t.deepEqual(server.list(), []);
});

test("any mutation of good messages throws nothing and keeps the bounds", (t) => {
  const s = serverTest(t, {}, { limit: 16 });
  const good = [1, 3, 4, 5, 6, 8, 9, 11].map((type) =>
    concat(
      Uint8Array.of(type, 1, 2, 3),
      option(1, DUID(1)),
      ...(type === 3 || type === 5 || type > 7 ? [s.own] : []),
      ia(3, 1, iaAddress("2001:db8::1:0:5")),
      ia(25, 1),
    ),
  );
  const change = fc.tuple(fc.nat(120), fc.nat(255));
  fc.assert(
    fc.property(fc.constantFrom(...good), fc.array(change, { maxLength: 6 }), (from, changes) => {
      const bytes = from.slice();
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      s.raw(bytes);
      return s.server.bindings.byValue.size <= 16;
    }),
    { numRuns: 3000 },
  );
  t.is(s.world.panics.length, 0);
});
