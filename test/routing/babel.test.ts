/** Babel (RFC 8966): rings converge and heal without a loop at any moment; what strangers say is weighed. */
import test from "ava";
import fc from "fast-check";
import { nobleCrypto, withWireguard } from "../../ports/noble/index.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { put16 } from "../../stack/core/bytes.js";
import { babelAuthentication } from "../../stack/routing/babel-authentication.js";
import type { BabelAuthenticationOptions } from "../../stack/routing/babel-authentication.js";
import { BabelReader, BabelWriter, later } from "../../stack/routing/babel-message.js";
import {
  ANSWER,
  AUTHENTIC,
  BabelNeighbour,
  BabelPort,
  CHALLENGE,
} from "../../stack/routing/babel-neighbour.js";
import { babel } from "../../stack/routing/babel.js";
import type { Babel, BabelOptions } from "../../stack/routing/babel.js";
import { mapped, mask } from "../../stack/routing/prefix.js";
import { ip6Bytes } from "../support/bytes.js";
import { routers, settles, survey, way } from "./support.js";
import type { Router, Routers } from "./support.js";

/** Lets time pass in steps until `done`, and counts loops that any pair of routers is in at any of them. */
function watch(net: Routers<Babel>, done: () => boolean, limit: number, families: (4 | 6)[]): number {
  let loops = 0;
  const end = net.world.time + limit;
  while (net.world.time < end && !done()) {
    net.world.run(400);
    for (const family of families) loops += survey(net.list, family).loops;
  }
  return loops;
}

test("a ring of 20 converges in both families, heals, and grows back, without a loop at any moment", (t) => {
  const net = routers(
    t,
    () => babel(),
    (protocol, nif) => protocol.enable(nif),
  );
  const { world, list, add, connect } = net;
  for (let i = 0; i < 20; i++) add();
  const cables = list.map((_, i) => connect(i, (i + 1) % 20));
  const all = () => survey(list, 6).ways === 400 && survey(list, 4).ways === 400;
  let loops = watch(net, all, 120_000, [6]);
  t.true(all());
  t.log(`converged after ${world.time} ms`);
  loops += watch(net, () => false, 30_000, []);
  t.is(way(list, 0, 10, 6).length, 11);
  t.deepEqual(way(list, 0, 7, 4), [0, 1, 2, 3, 4, 5, 6, 7]);
  const cut = world.time;
  cables[3]![0].cut();
  world.run(1);
  loops += watch(net, all, 60_000, [4, 6]);
  t.true(all());
  t.log(`healed after ${world.time - cut} ms`);
  t.true(world.time - cut < 15_000);
  t.is(way(list, 3, 4, 6).length, 20);
  // Behind a switch nobody sees the carrier: hellos that do not come say it.
  const silent = world.time;
  cables[3]![0].restore();
  watch(net, () => way(list, 3, 4, 6).length === 2, 60_000, [6]);
  t.is(way(list, 3, 4, 6).length, 2);
  t.log(`back after ${world.time - silent} ms`);
  world.run(30_000);
  const dark = world.time;
  cables[12]![0].cut(true);
  world.run(1);
  const through = () => way(list, 12, 13, 6).length === 20 && way(list, 13, 12, 4).length === 20;
  loops += watch(net, through, 90_000, [6]);
  t.true(through());
  t.log(`found the other way after ${world.time - dark} ms`);
  t.is(loops, 0);
  for (const { protocol } of list) t.is(protocol.counters.badTlv + protocol.counters.malformed, 0);
});

test("a network that goes is gone everywhere at once, and is forgotten", (t) => {
  const net = routers(
    t,
    () => babel(),
    (protocol, nif) => protocol.enable(nif),
  );
  for (let i = 0; i < 6; i++) net.add();
  for (let i = 0; i < 6; i++) net.connect(i, (i + 1) % 6);
  settles(net.world, () => survey(net.list, 6).ways === 36, 60_000);
  const gone = net.world.time;
  net.list[5]!.stack.setInterface(net.list[5]!.stub, { enabled: false });
  const loops = watch(
    net,
    () => net.list.every(({ number }) => number === 5 || way(net.list, number, 5, 6).at(-1) === -1),
    60_000,
    [6],
  );
  t.is(loops, 0);
  t.log(`withdrawn after ${net.world.time - gone} ms`);
  t.true(net.world.time - gone < 5000);
  // Blocked for a while, lest a default route leads it round; then it is forgotten.
  const blocked = () => net.list[0]!.ip6.fib.list().filter(({ nif }) => nif.name === "nowhere").length;
  t.is(blocked(), 1);
  net.world.run(70_000);
  t.is(blocked(), 0);
  net.world.run(330_000);
  t.false(net.list[0]!.protocol.routes().some(({ prefix }) => prefix.startsWith("fd00:200:5:")));
  // It comes back: whoever starved asks for a later number, and gets it.
  net.list[5]!.stack.setInterface(net.list[5]!.stub, { enabled: true });
  t.true(settles(net.world, () => survey(net.list, 6).ways === 36, 20_000));
});

test("a starved router asks for a later number: the longer way is taken when the shorter breaks", (t) => {
  // 0 - 1 - 2 - 3 and a chord 0 - 4 - 5 - 2 that is longer: when 1 - 2 breaks, 1 has a way only by 0, which is not feasible.
  const net = routers(
    t,
    () => babel(),
    (protocol, nif) => protocol.enable(nif),
  );
  for (let i = 0; i < 6; i++) net.add();
  const [, middle] = [net.connect(0, 1), net.connect(1, 2)];
  for (const [a, b] of [
    [2, 3],
    [0, 4],
    [4, 5],
    [5, 2],
  ] as const)
    net.connect(a, b);
  settles(net.world, () => survey(net.list, 6).ways === 36, 60_000);
  net.world.run(30_000);
  t.deepEqual(way(net.list, 1, 3, 6), [1, 2, 3]);
  middle![0].cut();
  net.world.run(1);
  const loops = watch(net, () => survey(net.list, 6).ways === 36, 30_000, [4, 6]);
  t.deepEqual(way(net.list, 1, 3, 6), [1, 0, 4, 5, 2, 3]);
  t.is(loops, 0);
  const sum = (name: "seqnoRequests" | "seqnoAnswers") =>
    net.list.reduce((total, { protocol }) => total + protocol.counters[name], 0);
  t.true(sum("seqnoRequests") > 0);
  t.true(sum("seqnoAnswers") > 0);
});

test("costs: two of three hellos, or the share of them; a restart is seen", (t) => {
  const port = new BabelPort(null as never, null as never);
  const neighbour = new BabelNeighbour(port, ip6Bytes("fe80::9"), "");
  neighbour.ihuUntil = 1 << 29;
  neighbour.txcost = 100;
  neighbour.hello(65535, 4000, 0);
  t.is(neighbour.linkCost(), 65535);
  neighbour.hello(0, 4000, 4000);
  t.is(neighbour.rxcost(), 96);
  t.is(neighbour.linkCost(), 100);
  neighbour.hello(2, 4000, 12_000);
  t.is(neighbour.rxcost(), 96);
  t.true(neighbour.alive(18_000));
  t.is(neighbour.rxcost(), 65535);
  neighbour.hello(9000, 4000, 19_000);
  t.is(neighbour.history, 0x8000);
  port.lossy = true;
  port.cost = 256;
  t.is(neighbour.rxcost(), 512);
  t.is(neighbour.linkCost(), 512);
  t.false(neighbour.alive(19_000 + 70_000));
  fc.assert(
    fc.property(
      fc.array(fc.record({ seqno: fc.nat(65535), interval: fc.nat(655350), wait: fc.nat(100000) })),
      (hellos) => {
        const each = new BabelNeighbour(port, ip6Bytes("fe80::9"), "");
        let now = 0;
        for (const { seqno, interval, wait } of hellos) {
          now += wait;
          each.hello(seqno, interval, now);
          each.alive(now);
          if (
            each.history < 0x8000 ||
            each.history > 0xffff ||
            each.rxcost() < 256 ||
            each.linkCost() > 65535
          )
            return false;
        }
        return true;
      },
    ),
  );
  t.true(later(0, 65535));
  t.false(later(65535, 0));
  t.false(later(7, 7));
});

const ID = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);

test("what is written is read back, however small the packets are", (t) => {
  const prefix = fc.oneof(
    fc
      .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 128 }))
      .map(([bytes, length]) => {
        bytes[0] |= 0x20;
        mask(bytes, length);
        return { bytes, length };
      }),
    fc.tuple(fc.integer(), fc.integer({ min: 96, max: 128 })).map(([word, length]) => {
      const bytes = mapped(word);
      mask(bytes, length);
      return { bytes, length };
    }),
  );
  const update = fc.record({
    prefix,
    id: fc.integer({ min: 1, max: 3 }),
    seqno: fc.nat(65535),
    metric: fc.nat(65535),
  });
  fc.assert(
    fc.property(fc.array(update, { maxLength: 60 }), fc.integer({ min: 80, max: 1500 }), (updates, room) => {
      const reader = new BabelReader();
      const seen: string[] = [];
      const show = (bytes: Uint8Array, length: number, ...rest: number[]) =>
        [...bytes, length, ...rest].join();
      const writer = new BabelWriter((data, end) => {
        if (end > room) throw new Error("too large");
        reader.read(data.slice(0, end), end, ip6Bytes("fe80::7"), (tlv) => {
          if (tlv.type === 8)
            seen.push(show(tlv.prefix, tlv.length, tlv.seqno, tlv.metric, tlv.routerId[0]!));
        });
      });
      writer.begin(room);
      for (const each of updates) {
        const id = new Uint8Array(8).fill(each.id);
        writer.update(
          each.prefix.bytes,
          each.prefix.length,
          id,
          each.seqno,
          each.metric,
          4000,
          mapped(0x0a000001),
        );
      }
      writer.flush();
      t.is(reader.bad, 0);
      t.deepEqual(
        seen,
        updates.map((each) => show(each.prefix.bytes, each.prefix.length, each.seqno, each.metric, each.id)),
      );
      return true;
    }),
    { numRuns: 200 },
  );
});

test("a neighbour goes and comes back before its prefixes have been blocked for long: the block goes when they come", (t) => {
  const net = routers(
    t,
    () => babel(),
    (protocol, nif) => protocol.enable(nif),
  );
  for (let i = 0; i < 2; i++) net.add();
  net.connect(0, 1);
  const finds = () => way(net.list, 0, 1, 6).join() === "0,1";
  t.true(settles(net.world, finds, 60_000));
  const { protocol, links } = net.list[0]!;
  protocol.disable(links[0]!.nif);
  net.world.run(5000);
  protocol.enable(links[0]!.nif);
  t.true(settles(net.world, finds, 20_000));
});

/** Two routers, the second's mouth in our hand. */
function stranger(t: Parameters<typeof routers>[0], options?: BabelOptions) {
  let first = true;
  const net = routers(
    t,
    () => babel(options),
    (protocol, nif) => {
      if (first) protocol.enable(nif, { hello: 1, splitHorizon: false });
      first = false;
    },
  );
  net.add();
  net.add();
  net.connect(0, 1);
  const [us, them] = net.list as [Router<Babel>, Router<Babel>];
  const nif = them.links[0]!.nif;
  const socket = them.udp.open({ family: 6, port: 6696, interface: nif });
  socket.join("ff02::1:6", nif);
  const say = (body: number[] | Uint8Array, length = body.length) => {
    const data = new Uint8Array(4 + body.length);
    data[0] = 42;
    data[1] = 2;
    put16(data, 2, length);
    data.set(body, 4);
    socket.sendTo("ff02::1:6", 6696, data);
    net.world.run(1);
  };
  const here = us.ip6.addresses.find((each) => each.nif === us.links[0]!.nif)!.bytes;
  let seqno = 0;
  /** Hellos, and that we are heard. */
  const greet = () => {
    for (let i = 0; i < 3; i++) {
      say([4, 6, 0, 0, 0, seqno++ & 255, 3, 0xe8, 5, 14, 3, 0, 0, 96, 0x27, 0x10, ...here.slice(8)]);
      net.world.run(100);
    }
  };
  return { ...net, us, them, say, greet, socket, counters: us.protocol.counters };
}

const routerId = (n: number) => [6, 10, 0, 0, ...ID.map((byte) => byte ^ n)];
const update6 = (prefix: string, plen: number, metric: number, seqno = 1, flags = 0) => {
  const bytes = ip6Bytes(prefix).slice(0, (plen + 7) >> 3);
  return [
    8,
    10 + bytes.length,
    2,
    flags,
    plen,
    0,
    0x0f,
    0xff,
    seqno >> 8,
    seqno & 255,
    metric >> 8,
    metric & 255,
    ...bytes,
  ];
};

test("routes of a neighbour come, are worth what the link costs, and go; feasibility holds", (t) => {
  const node = stranger(t);
  const about = () => node.us.protocol.routes().find(({ prefix }) => prefix === "2001:db8::/32");
  node.say([...routerId(0), ...update6("2001:db8::", 32, 100)]);
  t.is(node.counters.stranger, 1);
  node.greet();
  node.say([...routerId(0), ...update6("2001:db8::", 32, 100)]);
  t.like(about(), { metric: 196, selected: true, routerId: "0102030405060708" });
  node.world.run(500);
  // It has been told: what is farther under the same number is not feasible, and stays as it was; a later number is believed.
  node.say([...routerId(0), ...update6("2001:db8::", 32, 300)]);
  t.is(node.counters.unfeasible, 1);
  t.like(about(), { metric: 196, selected: true });
  node.say([...routerId(0), ...update6("2001:db8::", 32, 300, 2)]);
  t.like(about(), { metric: 396, selected: true });
  node.say([...routerId(0), ...update6("2001:db8::", 32, 65535, 2)]);
  t.like(about(), { metric: 65535, selected: false });
  node.say([
    ...routerId(0),
    ...update6("2001:db8::", 32, 10, 3),
    8,
    10,
    0,
    0,
    0,
    0,
    0xff,
    0xff,
    0,
    0,
    0xff,
    0xff,
  ]);
  t.like(about(), { metric: 65535 });
});

test("sub-TLVs: what must be understood and is not leaves the TLV out, but not what it says of others", (t) => {
  const node = stranger(t);
  node.greet();
  const with_ = (tlv: number[], extra: number[]) => [
    tlv[0]!,
    tlv[1]! + extra.length,
    ...tlv.slice(2),
    ...extra,
  ];
  const has = (text: string) => node.us.protocol.routes().some(({ prefix }) => prefix === text);
  node.say([
    ...routerId(0),
    ...with_(update6("2001:db8:1::", 48, 1), [0x85, 1, 9]),
    ...update6("2001:db8:2::", 48, 1),
  ]);
  t.false(has("2001:db8:1::/48"));
  t.true(has("2001:db8:2::/48"));
  node.say([...routerId(0), ...with_(update6("2001:db8:3::", 48, 1), [5, 1, 9, 0])]);
  t.true(has("2001:db8:3::/48"));
  // The one left out has named the prefix that the next one omits, and the router behind it.
  node.say([
    ...with_(update6("2001:db8:4::7", 128, 1, 1, 0xc0), [0x85, 0]),
    ...[8, 12, 2, 0, 48, 4, 0x0f, 0xff, 0, 1, 0, 1, 0, 5],
  ]);
  t.false(has("2001:db8:4::7/128"));
  t.like(
    node.us.protocol.routes().find(({ prefix }) => prefix === "2001:db8:5::/48"),
    { routerId: "0000000000000007" },
  );
  t.is(node.counters.badTlv, 0);
});

test("what does not hold together is counted, and nothing of it kept", (t) => {
  const node = stranger(t);
  node.greet();
  const before = node.us.protocol.routes().length;
  const bad: number[][] = [
    [4, 6, 0, 0],
    [4],
    [8, 3, 2, 0, 0],
    update6("2001:db8::", 32, 1),
    [...routerId(0), 8, 10, 2, 0, 129, 0, 1, 0, 0, 1, 0, 1],
    [...routerId(0), 8, 10, 2, 0, 128, 0, 1, 0, 0, 1, 0, 1],
    [...routerId(0), 8, 12, 2, 0, 32, 2, 1, 0, 0, 1, 0, 1, 1, 2],
    [...routerId(0), 8, 14, 1, 0, 32, 0, 1, 0, 0, 1, 0, 1, 192, 0, 2, 1],
    [6, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [7, 6, 9, 0, 1, 2, 3, 4],
    [...routerId(0), ...update6("fe80::", 10, 1)],
    [...routerId(0), ...update6("ff00::", 8, 1)],
    [...routerId(0), ...update6("::ffff:0:0", 96, 1)],
    [10, 16, 2, 16, 0, 1, 0, 0, ...ID, 0x20, 1],
  ];
  for (const body of bad) node.say(body);
  t.is(node.counters.badTlv, bad.length);
  t.is(node.us.protocol.routes().length, before);
  node.say([1, 2], 9);
  node.socket.sendTo("ff02::1:6", 6696, new Uint8Array([42, 3, 0, 0]));
  node.socket.sendTo("ff02::1:6", 6696, new Uint8Array([42]));
  node.world.run(1);
  t.is(node.counters.malformed, 3);
  const other = node.them.udp.open({ family: 6, interface: node.them.links[0]!.nif });
  other.sendTo("ff02::1:6", 6696, new Uint8Array([42, 2, 0, 0]));
  node.world.run(1);
  t.is(node.counters.badSource, 1);
});

test("whatever comes, tables are bounded, the counters agree, and what is asked is answered under a rate", (t) => {
  const node = stranger(t, { routes: 32, neighbours: 4 });
  node.greet();
  const tlv = fc.oneof(
    fc
      .tuple(fc.nat(12), fc.uint8Array({ maxLength: 24 }))
      .map(([type, body]) => [type, body.length, ...body]),
    fc
      .tuple(fc.nat(255), fc.nat(3), fc.nat(400))
      .map(([n, id, metric]) => [...routerId(id), ...update6(`2001:${n}::`, 32, metric)]),
    fc
      .tuple(fc.nat(255), fc.nat(65535))
      .map(([n, seqno]) => [10, 18, 2, 32, seqno >> 8, seqno & 255, 3, 0, ...ID, 0x20, 1, 0, n]),
    fc.constant([9, 2, 0, 0]),
    fc.constant([2, 6, 0, 0, 1, 2, 0, 9]),
  );
  fc.assert(
    fc.property(fc.array(tlv, { maxLength: 30 }), fc.nat(3), (tlvs, cut) => {
      const body = tlvs.flat();
      node.say(body.slice(0, Math.max(0, Math.min(body.length - cut, 1400))));
      return node.us.protocol.routes().length <= 32 * 4;
    }),
    { numRuns: 400 },
  );
  node.world.run(5000);
  t.true(node.counters.full > 0 && node.counters.limited > 0);
  const known = new Set(node.us.protocol.routes().map(({ prefix }) => prefix));
  t.true(known.size <= 32);
  t.true(node.us.ip6.fib.list().filter(({ origin }) => origin === "babel").length <= 32);
});

test("misuse throws", (t) => {
  const node = stranger(t);
  const { protocol, stub, links } = node.us;
  t.throws(() => protocol.enable(links[0]!.nif), { code: "EEXIST" });
  for (const options of [{ cost: 0 }, { cost: 65535 }, { hello: 0 }, { update: 9999 }, { type: "tin can" }])
    t.throws(() => protocol.enable(stub, options as never), { code: "EINVAL" });
  for (const options of [
    { routes: 0.5 },
    { neighbours: -1 },
    { routerId: new Uint8Array(8) },
    { routerId: new Uint8Array(7) },
  ])
    t.throws(() => babel(options), { code: "EINVAL" });
  t.false(protocol.disable(stub));
  t.true(protocol.disable(links[0]!.nif));
});

const SECRET = Uint8Array.of(1, 2, 3);
const [ONE, TWO, GROUP] = ["fe80::1", "fe80::2", "ff02::1:6"].map((text) => ip6Bytes(text)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
];

/** One end of a link, without the rest of Babel; `seed` makes what is random. */
function end(seed: number, options: Partial<BabelAuthenticationOptions> = {}) {
  let state = seed;
  const random = (target: Uint8Array) => {
    for (let i = 0; i < target.length; i++) target[i] = state = ((state * 75 + 74) % 65537) & 255 || 1;
    return true;
  };
  const stack = { host: { random, calls: { crypto: withWireguard(nodeCrypto()) } } } as never;
  const own = babelAuthentication({ secret: SECRET, ...options });
  own.attach(stack);
  const say = (body: number[], from: Uint8Array, to: Uint8Array) => {
    const data = new Uint8Array(1500);
    data.set([42, 2, 0, body.length, ...body]);
    return data.slice(0, own.finish(data, 4 + body.length, from, to));
  };
  const hears = (data: Uint8Array, from: Uint8Array, to: Uint8Array, now = 0) => {
    const copy = new Uint8Array(1500);
    copy.set(data);
    return own.check(copy, data.length, from, to, now);
  };
  return { own, say, hears };
}

const HELLO = [4, 6, 0, 0, 0, 1, 0, 100];
const tlv = (type: number, bytes: Uint8Array) => [type, bytes.length, ...bytes];

/** `two` takes `one` for whom it says it is, by a challenge. */
function acquaint(one: ReturnType<typeof end>, two: ReturnType<typeof end>, now = 0): Uint8Array {
  if (two.hears(one.say(HELLO, ONE, GROUP), ONE, GROUP, now) !== CHALLENGE) throw new Error("no challenge");
  const asked = two.say(tlv(18, two.own.nonce), TWO, ONE);
  if (!(one.hears(asked, TWO, ONE, now) & ANSWER)) throw new Error("no answer");
  const reply = one.say(tlv(19, one.own.answer), ONE, TWO);
  if (two.hears(reply, ONE, TWO, now) !== AUTHENTIC) throw new Error("not won");
  return reply;
}

for (const algorithm of ["hmac-sha256", "blake2s"] as const)
  test(`RFC 8967, ${algorithm}: who answers a challenge is believed; what is changed, cut, recorded or under another key is not`, (t) => {
    const [one, two] = [end(1, { algorithm }), end(2, { algorithm })];
    const reply = acquaint(one, two);
    t.is(two.hears(reply, ONE, TWO), 0, "recorded");
    const hello = one.say(HELLO, ONE, GROUP);
    t.is(hello.length, 4 + HELLO.length + one.own.overhead);
    const later_ = one.say(HELLO, ONE, GROUP);
    t.is(two.hears(later_, ONE, GROUP), AUTHENTIC);
    t.is(two.hears(hello, ONE, GROUP), 0, "older");
    t.is(two.hears(one.say(HELLO, ONE, TWO), ONE, TWO), AUTHENTIC, "others count apart (RFC 9467)");
    const next = one.say(HELLO, ONE, GROUP);
    t.is(two.hears(next, TWO, GROUP), 0, "from another address");
    t.is(two.hears(next, ONE, TWO), 0, "to another address");
    t.is(end(3, { algorithm, secret: Uint8Array.of(9) }).hears(next, ONE, GROUP), 0);
    t.is(
      end(3, { algorithm, secret: Uint8Array.of(9), permissive: true }).hears(next, ONE, GROUP),
      AUTHENTIC,
    );
    fc.assert(
      fc.property(
        fc.nat(next.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(next.length),
        (at, by, size) => {
          const bytes = next.slice();
          bytes[at]! ^= by;
          return (
            two.hears(bytes, ONE, GROUP) === 0 &&
            (size === next.length || two.hears(next.slice(0, size), ONE, GROUP) === 0)
          );
        },
      ),
    );
    t.is(two.hears(next, ONE, GROUP), AUTHENTIC);
    // It begins anew: another index, and what was recorded under the old one is worth a challenge and no more.
    const again = end(7, { algorithm });
    t.is(two.hears(again.say(HELLO, ONE, GROUP), ONE, GROUP, 1000), CHALLENGE);
    t.is(two.hears(again.say(HELLO, ONE, GROUP), ONE, GROUP, 1100), 0, "challenges are 300 ms apart");
    acquaint(again, two, 2000);
    t.is(two.hears(next, ONE, GROUP, 3000), CHALLENGE);
  });

test("RFC 8967: challenges grow old, are answered to one receiver alone, and keys are changed without a gap", (t) => {
  const [one, two] = [end(1), end(2)];
  two.hears(one.say(HELLO, ONE, GROUP), ONE, GROUP, 0);
  const nonce = two.own.nonce.slice();
  t.is(two.hears(one.say(tlv(19, nonce), ONE, GROUP), ONE, GROUP, 1) & AUTHENTIC, 0, "to a group");
  t.is(two.hears(one.say(tlv(19, nonce.slice(0, 7)), ONE, TWO), ONE, TWO, 1) & AUTHENTIC, 0, "cut");
  t.is(two.hears(one.say(tlv(19, nonce), ONE, TWO), ONE, TWO, 31_000) & AUTHENTIC, 0, "old");
  // Five minutes of silence: it is a stranger again.
  acquaint(one, two, 40_000);
  t.is(two.hears(one.say(HELLO, ONE, GROUP), ONE, GROUP, 41_000), AUTHENTIC);
  t.is(two.hears(one.say(HELLO, ONE, GROUP), ONE, GROUP, 400_000), CHALLENGE);
  // No counter, or no room for one: authentic, but nothing that could be told from a recording.
  const others = [{ secret: Uint8Array.of(4), algorithm: "blake2s" as const }];
  const both = end(3, { others });
  t.is(both.own.overhead, 14 + 34 + 18);
  acquaint(both, end(4));
  acquaint(both, end(5, { secret: Uint8Array.of(4), algorithm: "blake2s" }));
  acquaint(end(6), end(9, { others }));
  // Many neighbours: the memory of them is bounded.
  for (let i = 0; i < 200; i++) {
    const from = ip6Bytes(`fe80::${i + 10}`);
    two.hears(one.say(HELLO, from, GROUP), from, GROUP, 500_000 + i);
  }
  t.is((two.own as unknown as { neighbours: unknown[] }).neighbours.length, 64);
  for (const options of [
    { secret: new Uint8Array(0) },
    { secret: new Uint8Array(65) },
    { secret: new Uint8Array(33), algorithm: "blake2s" },
    { algorithm: "md5" },
    { others: [1, 2, 3, 4].map(() => ({ secret: SECRET })) },
    { others: [{ secret: "x" }] },
  ])
    t.throws(() => end(1, options as never), { code: "EINVAL" });
  t.throws(() => one.own.attach(null as never), { code: "EBUSY" });
  for (const algorithm of ["hmac-sha256", "blake2s"] as const)
    t.throws(
      () => babelAuthentication({ secret: SECRET, algorithm }).attach({ host: { calls: {} } } as never),
      {
        code: "EOPNOTSUPP",
      },
    );
});

test("a ring with keys converges, one router has another key and is left out, and a restart is believed again", (t) => {
  let number = 0;
  const net = routers(
    t,
    () => babel(),
    (protocol, nif) => {
      const secret = number++ === 5 ? Uint8Array.of(9) : SECRET;
      protocol.enable(nif, { authentication: babelAuthentication({ secret }) });
    },
    1,
    nobleCrypto(),
  );
  for (let i = 0; i < 4; i++) net.add();
  net.connect(0, 1);
  net.connect(1, 2);
  const finds = () => way(net.list, 0, 2, 6).join() === "0,1,2" && way(net.list, 2, 0, 4).join() === "2,1,0";
  t.true(settles(net.world, finds, 60_000));
  net.connect(2, 3);
  net.world.run(30_000);
  t.is(way(net.list, 0, 3, 6).at(-1), -1);
  const [first, , , last] = net.list as [Router<Babel>, Router<Babel>, Router<Babel>, Router<Babel>];
  t.true(last.protocol.counters.badMac > 0);
  t.is(last.protocol.neighbourList().length, 0);
  const { nif } = first.links[0]!;
  t.true(first.protocol.disable(nif));
  first.protocol.enable(nif, { authentication: babelAuthentication({ secret: SECRET }) });
  t.true(settles(net.world, finds, 60_000));
  for (const { protocol } of net.list) t.is(protocol.counters.badTlv + protocol.counters.malformed, 0);
});
