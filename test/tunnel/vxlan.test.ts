/** VXLAN, byte by byte: headers, where stations are, whom it believes, bounds, loops, and what hostile peers send. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { igmp } from "../../stack/ipv4/igmp.js";
import { vxlan } from "../../stack/tunnel/vxlan.js";
import type { VxlanConfiguration, VxlanOptions } from "../../stack/tunnel/vxlan.js";
import { parseVxlan } from "../../stack/wire/vxlan.js";
import { concat, macBytes } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { PROBE_IP, STACK_IP, be32, eth, frame, ip4, udp } from "../support/packets.js";
import { probed } from "../support/probe.js";

const OWN = "02:00:00:00:99:01";
const A = "02:00:00:00:aa:01";
const B = "02:00:00:00:bb:01";
const OTHER = "10.0.0.3";
const VNI = 42;

const header = (vni = VNI, flags = 0x08000000) => concat(be32(flags), be32(vni << 8));
const inner = (src: string, dst = OWN, type = 0x88b5) => frame(eth({ src, dst, type }), new Uint8Array(46));
const sum = (counters: object) => Object.values(counters).reduce((a: number, b: number) => a + b, 0);

/** A stack with an overlay network to the probe (10.0.0.2) and to 10.0.0.3, which is the probe too; its link is the test's. */
function setUp(
  t: ExecutionContext | null,
  options: Partial<VxlanOptions> = {},
  more: VxlanConfiguration = {},
) {
  const overlays = vxlan(more);
  const node = probed(t, { components: () => [overlays, igmp()] });
  const { cache } = node.arp;
  cache.setStatic(cache.obtain(node.nif, 0, 0, 0, 0x0a000003)!, 0x0200, 3);
  const link = overlays.create({ vni: VNI, mac: macBytes(OWN), remotes: [PROBE_IP, OTHER], ...options });
  const received: Uint8Array[] = [];
  const receiver = {
    receive: (data: Uint8Array, start: number, end: number) => void received.push(data.slice(start, end)),
  };
  link.open(receiver as never);
  t?.teardown(() => link.close());
  node.probe.take();
  const put = (src: string, payload: Uint8Array, dport = 4789) =>
    node.probe.send(frame(eth(), ip4({ src }), udp({ sport: 50000, dport }), payload));
  const say = (from: string, station: string) => put(from, concat(header(), inner(station)));
  /** Where a frame to `station` goes. */
  const ways = (station: string): string[] => {
    const bytes = new Uint8Array(256);
    bytes.set(inner(OWN, station), 160);
    link.transmit(bytes, 160, 220);
    return node.probe.take().map((each) => expectFrame(t!, each, { ip4: { src: STACK_IP } }).ip4!.dst);
  };
  return { ...node, overlays, link, received, put, say, ways, counters: overlays.counters };
}

test("the headers of RFC 7348: flag, VNI, port 4789, no checksum, DF; one source port for two stations", (t) => {
  const { link, probe } = setUp(t, { remotes: [PROBE_IP] });
  t.is(link.mtu, 1450);
  const ports = new Set<number>();
  for (const station of [A, A, B, "02:00:00:00:00:07", "02:00:00:00:00:08"]) {
    const each = inner(OWN, station);
    // Without room before it, too.
    link.transmit(each.slice(), 0, each.length);
    const bytes = probe.next()!;
    t.deepEqual(bytes.slice(40, 42), new Uint8Array(2));
    const sent = expectFrame(t, bytes, {
      ip4: { dst: PROBE_IP, df: true, ttl: 64 },
      udp: { dport: 4789 },
    });
    t.deepEqual(sent.payload, concat(header(), each));
    t.true(sent.udp!.sport >= 49152);
    ports.add(sent.udp!.sport);
  }
  t.true(ports.size > 1 && ports.size <= 4);
});

test("frames go to all until it is known where their station is; it moves, and is forgotten", (t) => {
  const { say, ways, world, counters, received } = setUp(t, { ageing: 10 });
  t.deepEqual(ways(A), [PROBE_IP, OTHER]);
  say(OTHER, A);
  t.deepEqual(received.pop(), inner(A));
  t.deepEqual(ways(A), [OTHER]);
  say(PROBE_IP, A);
  t.deepEqual(ways(A), [PROBE_IP]);
  t.is(counters.moved, 1);
  // Groups are for all; our own address is learnt of nobody.
  t.deepEqual(ways("ff:ff:ff:ff:ff:ff"), [PROBE_IP, OTHER]);
  say(OTHER, OWN);
  t.deepEqual(ways(OWN), [PROBE_IP, OTHER]);
  world.run(10_001);
  t.deepEqual(ways(A), [PROBE_IP, OTHER]);
});

test("stations are bounded: the oldest gives way; nothing is left when the link closes", (t) => {
  const { say, ways, world, counters, link } = setUp(t, { stations: 3 });
  const station = (n: number) => `02:00:00:00:cc:0${n}`;
  for (let n = 0; n < 5; n++) {
    say(OTHER, station(n));
    world.run(10);
  }
  t.is(counters.evicted, 2);
  t.deepEqual(
    [0, 1, 2, 3, 4].map((n) => ways(station(n)).length),
    [2, 2, 1, 1, 1],
  );
  link.close();
  link.close();
  say(OTHER, A);
  t.is(sum(counters), counters.received + counters.sent + counters.flooded + counters.evicted);
});

test("RES-05: each datagram that is not taken raises one counter", (t) => {
  const { put, counters, received } = setUp(t);
  const cases: [keyof typeof counters, string, Uint8Array][] = [
    ["malformed", OTHER, new Uint8Array(0)],
    ["malformed", OTHER, header()],
    ["malformed", OTHER, concat(header(), new Uint8Array(13))],
    ["malformed", OTHER, concat(header(VNI, 0), inner(A))],
    ["malformed", OTHER, concat(header(), inner("03:00:00:00:00:01"))],
    ["unknownNetwork", OTHER, concat(header(VNI + 1), inner(A))],
    ["unknownPeer", "10.0.0.9", concat(header(), inner(A))],
  ];
  for (const [name, from, payload] of cases) {
    const [before, all] = [counters[name], sum(counters)];
    put(from, payload);
    t.is(counters[name], before + 1, name);
    t.is(sum(counters), all + 1, name);
  }
  t.deepEqual(received, []);
  // Reserved bits and bytes are ignored (section 5).
  put(OTHER, concat(be32(0xffffffff | 0), be32((VNI << 8) | 0xff), inner(A)));
  t.is(received.length, 1);
});

test("RES-05: any bytes: nothing throws, one counter each, tables stay in their bounds", (t) => {
  const { put, counters, link, received, stack } = setUp(null, { stations: 4 });
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
  fc.assert(
    fc.property(fc.boolean(), fc.nat(0xffffff), bytes(90), (good, vni, rest) => {
      const [evicted, moved, all] = [counters.evicted, counters.moved, sum(counters)];
      put(OTHER, good ? concat(header(), rest) : concat(be32(0x08000000), be32(vni << 8), rest));
      t.is(sum(counters) - (counters.evicted - evicted) - (counters.moved - moved), all + 1);
      t.true((link as never as { stations: unknown[] })["stations"].length <= 4);
    }),
  );
  t.true(received.every(({ length }) => length >= 14));
  fc.assert(
    fc.property(bytes(40), fc.nat(40), (data, at) => {
      const vni = parseVxlan(data, Math.min(at, data.length), data.length);
      t.true(vni >= -1 && vni <= 0xffffff);
    }),
  );
  link.close();
  stack.close();
});

test("with a group peers are found, as many as there may be; frames for all go to the group", (t) => {
  const { say, ways, counters, link } = setUp(t, { remotes: [], group: "239.1.1.1", peers: 2 });
  t.deepEqual(ways(A), ["239.1.1.1"]);
  for (const host of [7, 8, 9]) say(`10.0.0.${host}`, `02:00:00:00:dd:0${host}`);
  t.is(link.peers.length, 2);
  t.is(counters.unknownPeer, 1);
});

test("larger than the link's MTU: dropped and counted; a path through the overlay itself is no path", (t) => {
  const { link, counters, overlays, stack, ip, probe } = setUp(t);
  const big = new Uint8Array(2000);
  t.is(link.transmit(big, 0, 14 + 4 + link.mtu + 1), 0);
  t.is(counters.tooBig, 1);
  const loop = overlays.create({ vni: 7, mac: macBytes(A), remotes: ["10.8.0.2"], mtu: 1400 });
  const nif = stack.addInterface(loop, "vx0");
  ip.addAddress(nif, "10.8.0.1/24");
  probe.take();
  const frames = counters.sent;
  loop.transmit(new Uint8Array(256), 160, 220);
  t.is(counters.nested, 1);
  t.is(counters.sent, frames);
  t.deepEqual(probe.take(), []);
});

test("misuse throws at once: options, a network twice, too many", (t) => {
  const { overlays, link } = setUp(t, {}, { limit: 2 });
  const mac = macBytes(A);
  const bad: Partial<VxlanOptions>[] = [
    ...[{ vni: -1 }, { vni: 1 << 24 }, { mac: Uint8Array.of(1, 0, 0, 0, 0, 1) }, { mac: new Uint8Array(5) }],
    ...[{ remotes: [] }, { remotes: ["x"] }, { remotes: ["239.1.1.1"] }, { group: "10.0.0.9" }, { port: 0 }],
    ...[{ mtu: 67 }, { ttl: 0 }, { ttl: 256 }, { peers: 4097 }],
  ];
  for (const each of bad) {
    const options = { vni: 1, mac, remotes: [OTHER], ...each };
    t.throws(() => overlays.create(options), { code: "EINVAL" }, JSON.stringify(each));
  }
  t.throws(() => overlays.create({ vni: 1, mac, remotes: [OTHER], local: "10.0.0.77" }), {
    code: "EADDRNOTAVAIL",
  });
  t.throws(() => overlays.create({ vni: 1, mac, remotes: [OTHER, PROBE_IP], peers: 1 }), { code: "ENOBUFS" });
  const receiver = { receive: () => undefined } as never;
  t.throws(() => link.open(receiver), { code: "EBUSY" });
  const same = overlays.create({ vni: VNI, mac, remotes: [OTHER] });
  t.throws(() => same.open(receiver), { code: "EEXIST" });
  const second = overlays.create({ vni: 1, mac, remotes: [OTHER] });
  second.open(receiver);
  t.throws(() => overlays.create({ vni: 2, mac, remotes: [OTHER] }).open(receiver), { code: "ENOBUFS" });
  second.close();
});
