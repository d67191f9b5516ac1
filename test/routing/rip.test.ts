/** RIPv2 (RFC 2453) and RIPng (RFC 2080): distances spread and heal, and what strangers say is weighed. */
import test from "ava";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { ripAuthentication } from "../../stack/routing/rip-authentication.js";
import fc from "fast-check";
import { get16, put16, put32 } from "../../stack/core/bytes.js";
import type { DistanceVector, RipInterfaceOptions, RipOptions } from "../../stack/routing/distance-vector.js";
import { rip } from "../../stack/routing/rip.js";
import { ripng } from "../../stack/routing/ripng.js";
import { ip4Bytes, ip6Bytes } from "../support/bytes.js";
import { routers, settles, survey, way } from "./support.js";
import type { Router } from "./support.js";

const FAMILIES = [4, 6] as const;
const maker = (family: 4 | 6, options?: RipOptions) => () => (family === 4 ? rip(options) : ripng(options));

for (const family of FAMILIES) {
  test(`family ${family}: a ring of 12 converges, heals within seconds, and a lost network is gone everywhere`, (t) => {
    const { world, list, add, connect } = routers(t, maker(family), (protocol, nif) => protocol.enable(nif));
    for (let i = 0; i < 12; i++) add();
    const cables = list.map((_, i) => connect(i, (i + 1) % 12));
    t.true(settles(world, () => survey(list, family).ways === 144, 60_000));
    t.true(world.time < 40_000, `${world.time}`);
    world.run(60_000);
    t.deepEqual(way(list, 0, 5, family), [0, 1, 2, 3, 4, 5]);
    const cut = world.time;
    cables[2]![0].cut();
    world.run(1);
    t.true(survey(list, family).ways < 144);
    t.true(settles(world, () => survey(list, family).ways === 144, 60_000));
    t.log(`healed after ${world.time - cut} ms`);
    t.true(world.time - cut < 25_000);
    t.deepEqual(way(list, 2, 3, family), [2, 1, 0, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
    // The stub of router 7 goes: nobody counts to infinity for long.
    const gone = world.time;
    list[7]!.stack.setInterface(list[7]!.stub, { enabled: false });
    t.true(
      settles(
        world,
        () => list.every((each) => each.number === 7 || way(list, each.number, 7, family).at(-1)! < 0),
        60_000,
      ),
    );
    t.log(`withdrawn after ${world.time - gone} ms`);
    world.run(200_000);
    t.is(list[0]!.protocol.routes().filter(({ prefix }) => /[.:]200[.:]7[.:]/.test(prefix)).length, 0);
  });
}

/** Two routers, the second's protocol quiet: what is said to the first is made by hand from there. */
function stranger(
  t: Parameters<typeof routers>[0],
  family: 4 | 6,
  options?: RipOptions,
  nifOptions?: RipInterfaceOptions,
) {
  let first = true;
  const { world, list, add, connect } = routers(t, maker(family, options), (protocol, nif) => {
    if (first) protocol.enable(nif, nifOptions);
    first = false;
  });
  add();
  add();
  connect(0, 1);
  const [us, them] = list as [Router<DistanceVector>, Router<DistanceVector>];
  const group = family === 4 ? "224.0.0.9" : "ff02::9";
  const port = family === 4 ? 520 : 521;
  const nif = them.links[0]!.nif;
  const heard: Uint8Array[] = [];
  const socket = them.udp.open({
    family,
    port,
    interface: nif,
    multicastTtl: 255,
    ttl: 255,
    onReadable() {
      const data = new Uint8Array(1500);
      for (let n = this.receive(data); n >= 0; n = this.receive(data)) heard.push(data.slice(0, n));
    },
  });
  socket.join(group, nif);
  world.run(2000);
  const state = { world, us, them, nif, socket, heard, counters: us.protocol.counters, group, port };
  const say = (data: Uint8Array, from = state.socket) => {
    from.sendTo(group, port, data);
    world.run(10);
  };
  return Object.assign(state, { say });
}

const header = (command: number, family: 4 | 6) => [command, family === 4 ? 2 : 1, 0, 0];

function entry(
  family: 4 | 6,
  address: string,
  length: number,
  metric: number,
  tag = 0,
  hop?: string,
): number[] {
  const data = new Uint8Array(20);
  if (family === 6) {
    data.set(ip6Bytes(address));
    put16(data, 16, tag);
    data[18] = length;
    data[19] = metric;
  } else {
    put16(data, 0, 2);
    put16(data, 2, tag);
    data.set(ip4Bytes(address), 4);
    put32(data, 8, length === 0 ? 0 : -1 << (32 - length));
    if (hop) data.set(ip4Bytes(hop), 12);
    put32(data, 16, metric);
  }
  return [...data];
}

const NET = { 4: ["192.0.2.0", 24], 6: ["2001:db8:9::", 48] } as const;

for (const family of FAMILIES) {
  const [net, length] = NET[family];
  const about = (node: { us: Router<DistanceVector> }) =>
    node.us.protocol.routes().filter(({ prefix }) => prefix.startsWith(net));

  test(`family ${family}: a route comes, grows old, is told as gone, is forgotten`, (t) => {
    const node = stranger(t, family, { update: 2, timeout: 6, garbage: 5 });
    node.say(new Uint8Array([...header(2, family), ...entry(family, net, length, 3, 77)]));
    t.like(about(node)[0], { metric: 4, tag: 77 });
    node.world.run(5000);
    t.is(about(node)[0]!.metric, 4);
    node.world.run(2000);
    t.is(about(node)[0]!.metric, 16);
    t.is(node.counters.expired, 1);
    node.world.run(6000);
    t.deepEqual(about(node), []);
  });

  test(`family ${family}: poison reverse, the whole table on request, and single entries`, (t) => {
    const node = stranger(t, family, { update: 2 });
    node.say(new Uint8Array([...header(2, family), ...entry(family, net, length, 3)]));
    node.heard.length = 0;
    node.world.run(3000);
    const metricOf = (data: Uint8Array, address: string) => {
      const bytes = family === 4 ? ip4Bytes(address) : ip6Bytes(address);
      for (let at = 4; at + 20 <= data.length; at += 20) {
        const start = at + (family === 4 ? 4 : 0);
        if (bytes.every((byte, i) => data[start + i] === byte)) return data[at + 19];
      }
      return undefined;
    };
    const own = family === 4 ? "10.200.0.0" : "fd00:200:0::";
    t.true(node.heard.length > 0);
    t.true(node.heard.some((data) => metricOf(data, net) === 16));
    t.true(node.heard.some((data) => metricOf(data, own) === 1));
    node.heard.length = 0;
    node.say(new Uint8Array([...header(1, family), ...entry(family, net, length, 1)]));
    t.true(node.heard.some((data) => metricOf(data, net) === 4));
    node.heard.length = 0;
    const all = family === 4 ? [...new Uint8Array(19), 16] : entry(6, "::", 0, 16);
    node.say(new Uint8Array([...header(1, family), ...all]));
    t.true(node.heard.some((data) => metricOf(data, own) === 1));
    for (let i = 0; i < 50; i++) node.say(new Uint8Array([...header(1, family), ...all]));
    t.true(node.counters.limited > 30);
  });

  test(`family ${family}: what is not from a neighbour's port or link is not believed, nor what is no prefix`, (t) => {
    const node = stranger(t, family);
    const good = entry(family, net, length, 3);
    const other = node.them.udp.open({ family, interface: node.nif, multicastTtl: 255 });
    node.say(new Uint8Array([...header(2, family), ...good]), other);
    t.is(node.counters.badSource, 1);
    if (family === 6) {
      node.socket.close();
      const far = node.them.udp.open({ family, port: 521, interface: node.nif, multicastTtl: 254 });
      node.say(new Uint8Array([...header(2, family), ...good]), far);
      far.close();
      node.socket = node.them.udp.open({ family, port: 521, interface: node.nif, multicastTtl: 255 });
      t.is(node.counters.badSource, 2);
    }
    for (const bad of [
      entry(family, net, length, 0),
      entry(family, net, length, 17),
      entry(family, family === 4 ? "224.0.0.0" : "ff02::", 8, 1),
      entry(family, family === 4 ? "127.0.0.0" : "::1", family === 4 ? 8 : 128, 1),
      entry(family, family === 4 ? "169.254.0.0" : "fe80::", 16, 1),
      family === 4 ? entry(4, "192.0.2.1", 24, 1) : entry(6, "::ffff:192.0.2.0", 120, 1),
      family === 4 ? entry(4, "0.0.0.0", 8, 1) : entry(6, "::", 96, 1),
    ])
      node.say(new Uint8Array([...header(2, family), ...bad]));
    t.is(node.counters.badEntry, 7);
    for (const bad of [
      [],
      [2],
      header(2, family),
      [...header(2, family), ...good, 1],
      [3, 2, 0, 0, ...good],
      [2, 0, 0, 0, ...good],
    ])
      node.say(new Uint8Array(bad));
    t.is(node.counters.malformed, 6);
    t.deepEqual(about(node), []);
  });

  test(`family ${family}: whatever comes, the table is bounded and the machine goes on`, (t) => {
    const node = stranger(t, family, { routes: 16 });
    fc.assert(
      fc.property(
        fc.record({
          command: fc.constantFrom(1, 2, 2, 2, 9),
          version: fc.constantFrom(1, 2, 2, 3),
          entries: fc.array(
            fc.oneof(
              fc.uint8Array({ minLength: 20, maxLength: 20 }),
              fc
                .tuple(fc.nat(255), fc.nat(18))
                .map(
                  ([n, metric]) =>
                    new Uint8Array(entry(family, family === 4 ? `192.${n}.0.0` : `2001:${n}::`, 32, metric)),
                ),
            ),
            { maxLength: 40 },
          ),
          tail: fc.uint8Array({ maxLength: 3 }),
        }),
        ({ command, version, entries, tail }) => {
          node.say(
            new Uint8Array([
              command,
              family === 4 ? version : 1,
              0,
              0,
              ...entries.flatMap((e) => [...e]),
              ...tail,
            ]),
          );
          return node.us.protocol.routes().length <= 16;
        },
      ),
      { numRuns: 300 },
    );
    const { received, malformed, badSource, badPassword } = node.counters;
    t.true(received > 200 && malformed < received && badSource === 0);
    t.true(family === 6 || badPassword >= 0);
    t.true(node.counters.full > 0);
    const fib = family === 4 ? node.us.ip.fib.list() : node.us.ip6.fib.list();
    t.true(fib.filter(({ origin }) => origin.startsWith("rip")).length <= 16);
  });
}

test("RIPv2: a password keeps off who does not know it; next hops on the link are used", (t) => {
  const node = stranger(t, 4, {}, { password: "sesame" });
  const good = entry(4, "192.0.2.0", 24, 1);
  const password = (text: string) => {
    const data = new Uint8Array(20);
    put16(data, 0, 0xffff);
    put16(data, 2, 2);
    for (let i = 0; i < text.length; i++) data[4 + i] = text.charCodeAt(i);
    return [...data];
  };
  node.say(new Uint8Array([2, 2, 0, 0, ...good]));
  node.say(new Uint8Array([2, 2, 0, 0, ...password("sesam"), ...good]));
  t.is(node.counters.badPassword, 2);
  node.say(new Uint8Array([2, 2, 0, 0, ...password("sesame"), ...good]));
  t.is(node.us.protocol.routes().filter(({ prefix }) => prefix === "192.0.2.0/24").length, 1);
  t.is(get16(node.heard[0]!, 4), 0xffff);
  // 10.0.1.0/30 is the link: .3 is its broadcast, .1 ourselves, 10.9.9.9 elsewhere.
  for (const hop of ["10.0.1.3", "10.0.1.1", "10.9.9.9"]) {
    node.say(new Uint8Array([2, 2, 0, 0, ...password("sesame"), ...entry(4, "192.0.3.0", 24, 1, 0, hop)]));
    const [route] = node.us.ip.fib.list().filter(({ prefix }) => prefix === ((192 << 24) | (3 << 8)));
    t.is(route!.gateway, (10 << 24) | (1 << 8) | 2);
  }
});

test("misuse throws", (t) => {
  for (const options of [{ update: 0 }, { routes: -1 }, { distance: -1 }] as RipOptions[])
    t.throws(
      () => {
        const node = stranger(t, 4, options);
        void node;
      },
      { code: "EINVAL" },
    );
  const node = stranger(t, 4);
  t.throws(() => node.us.protocol.enable(node.us.links[0]!.nif), { code: "EEXIST" });
  t.throws(() => node.us.protocol.enable(node.us.stub, { cost: 16 }), { code: "EINVAL" });
  t.throws(() => node.us.protocol.enable(node.us.stub, { password: "x".repeat(17) }), { code: "EINVAL" });
  t.false(node.us.protocol.disable(node.us.stub));
  t.true(node.us.protocol.disable(node.us.links[0]!.nif));
});

test("RFC 4822: what was changed, cut, said before or under another key is refused; misuse throws", (t) => {
  const stack = { host: { calls: { crypto: nodeCrypto() } } } as never;
  const secret = Uint8Array.of(1, 2, 3);
  let time = 1.7e12;
  const make = (options = {}) => {
    const own = ripAuthentication({ secret, clock: () => time, ...options });
    own.attach(stack);
    return own;
  };
  const [sender, receiver] = [make(), make()];
  const say = () => {
    const data = new Uint8Array(600);
    data.set([2, 2, 0, 0]);
    const at = sender.begin(data, 4);
    data.set([0, 2, 0, 0, 10, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], at);
    return data.slice(0, sender.finish(data, at + 20));
  };
  const first = say();
  t.is(first.length, 4 + 20 + 20 + 36);
  t.is(receiver.check(first.slice(), first.length, 1), 44);
  t.is(receiver.check(first.slice(), first.length, 1), 44, "the same number is no older one");
  time += 5000;
  const second = say();
  t.is(receiver.check(second.slice(), second.length, 1), 44);
  t.is(receiver.check(first.slice(), first.length, 1), -1, "older");
  t.is(receiver.check(first.slice(), first.length, 2), 44, "another's numbers are its own");
  t.is(make({ keyId: 2 }).check(second.slice(), second.length, 1), -1);
  t.is(make({ secret: Uint8Array.of(9) }).check(second.slice(), second.length, 1), -1);
  fc.assert(
    fc.property(fc.nat(79), fc.integer({ min: 1, max: 255 }), fc.nat(80), (at, by, length) => {
      const bytes = second.slice();
      bytes[at]! ^= by;
      const cut = second.slice(0, length);
      const padded = new Uint8Array(600);
      padded.set(cut);
      return (
        receiver.check(bytes, bytes.length, 1) === -1 &&
        (length === 80 || receiver.check(padded, length, 1) === -1)
      );
    }),
  );
  // Many neighbours: the memory of them is bounded.
  for (let from = 0; from < 200; from++) receiver.check(second.slice(), second.length, from);
  t.is((receiver as unknown as { heard: number[] }).heard.length, 128);
  for (const options of [
    { secret: new Uint8Array(0) },
    { secret: new Uint8Array(33) },
    { keyId: 256 },
    { clock: 1 },
  ])
    t.throws(() => make(options), { code: "EINVAL" });
  t.throws(() => ripAuthentication({ secret, clock: () => 0 }).attach({ host: { calls: {} } } as never), {
    code: "EOPNOTSUPP",
  });
});
