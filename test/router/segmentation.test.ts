/** What links have merged, on its way through a router: cut or whole, hosts get the segments that they would have got one by one. */
import test from "ava";
import fc from "fast-check";
import { CHECKSUM_PARTIAL, CHECKSUM_VERIFIED } from "../../hypercall/index.js";
import type { LinkOffloads } from "../../hypercall/index.js";
import { completeChecksum, countSegments, emitSegment } from "../../ports/sim/segment.js";
import { FORWARD, POSTROUTING } from "../../stack/core/network.js";
import { segmentation } from "../../stack/router/segmentation.js";
import { expectFrame } from "../support/expect.js";
import { concat, internetChecksum, pattern } from "../support/bytes.js";
import { STACK_MAC, eth, frame, ip4, ip6, tcp, tcpOptions } from "../support/packets.js";
import type { Probe } from "../support/probe.js";
import { FAR, FAR6, LAN6_HOST, LAN_HOST, router } from "./support.js";

const ACK = 0x10;

interface Shape {
  six: boolean;
  size: number;
  count: number;
  /** Bytes of the last one. */
  rest: number;
  flags: number;
  first: number;
  id: number;
  seq: number;
  df: boolean;
  timestamps: boolean;
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  six: fc.boolean(),
  size: fc.integer({ min: 8, max: 1428 }),
  count: fc.integer({ min: 2, max: 12 }),
  rest: fc.integer({ min: 1, max: 8 }),
  flags: fc.constantFrom(ACK, ACK | 8, ACK | 9),
  first: fc.constantFrom(ACK, ACK | 0x80),
  id: fc.integer({ min: 0, max: 65535 }),
  seq: fc.constantFrom(1, 0x7fffff00, 0xffffff00),
  df: fc.boolean(),
  timestamps: fc.boolean(),
});

/** The segments, and what a link would merge them into. */
function build(shape: Shape, more: { ttl?: number; options?: Uint8Array } = {}) {
  const { six, size, count, df, id, seq } = shape;
  const network = six ? 54 : 34 + (more.options?.length ?? 0);
  const options = shape.timestamps ? tcpOptions({ timestamps: [1, 2] }) : undefined;
  const header = network + 20 + (options?.length ?? 0);
  const bytes = pattern(size * (count - 1) + shape.rest);
  const make = (index: number, payload: Uint8Array, flags: number) =>
    frame(
      eth({ dst: STACK_MAC }),
      six
        ? ip6({ src: LAN6_HOST, dst: FAR6, hops: more.ttl ?? 64 })
        : ip4({ dst: FAR, df, id: (id + index) & 0xffff, ttl: more.ttl ?? 64, options: more.options }),
      tcp({ flags, seq: (seq + index * size) >>> 0, options }),
      payload,
    );
  const flagsOf = (index: number) => (index === count - 1 ? shape.flags : index === 0 ? shape.first : ACK);
  const pieces = Array.from({ length: count }, (_, i) =>
    make(i, bytes.subarray(i * size, (i + 1) * size), flagsOf(i)),
  );
  const merged = make(0, bytes, shape.flags | shape.first);
  // The checksum is unfinished: the pseudo-header's sum.
  const addresses = six ? merged.subarray(22, 54) : merged.subarray(26, 34);
  const length = merged.length - network;
  const sum = ~internetChecksum(concat(addresses, Uint8Array.of(0, 6, length >> 8, length & 255))) & 0xffff;
  const partial = merged.slice();
  partial.set([sum >> 8, sum & 255], network + 16);
  return { pieces, merged, partial, header };
}

/** What is on the wire in the end of what a link was given: no frame is shorter than 60 bytes. */
function onWire(probe: Probe): Uint8Array[] {
  return handed(probe).map((bytes) => concat(bytes, new Uint8Array(Math.max(0, 60 - bytes.length))));
}

function handed(probe: Probe): Uint8Array[] {
  return probe.sent.splice(0).flatMap(({ bytes, offload }) => {
    if (!offload) return [bytes];
    if (offload.segment === 0) {
      completeChecksum(bytes, 0, bytes.length, offload);
      return [bytes];
    }
    return Array.from({ length: countSegments(bytes.length, offload) }, (_, i) => {
      const target = new Uint8Array(bytes.length);
      return target.subarray(0, emitSegment(bytes, 0, bytes.length, offload, i, target, 0));
    });
  });
}

const OFFLOADS = { transmitChecksum: true, segmentation: 65535, receiveCoalescing: true };
const merging = { forwarding: { segments: segmentation() }, probe: { offloads: OFFLOADS } };

test("any merged segment comes out as the segments it was, whatever the next link can do", (t) => {
  const kinds = [
    { offloads: undefined, whole: false },
    { offloads: { transmitChecksum: true }, whole: false },
    { offloads: OFFLOADS, whole: true },
    { offloads: { ...OFFLOADS, segmentation: 1600 }, whole: false },
  ].map(({ offloads, whole }) => ({ whole, offloads, node: router(t, { ...merging, wan: { offloads } }) }));
  fc.assert(
    fc.property(shapes, fc.nat(3), fc.boolean(), (shape, which, verified) => {
      const kind = kinds[which]!;
      const { lan, wan, counters, counters6 } = kind.node;
      const { pieces, merged, partial } = build(shape);
      for (const piece of pieces) lan.send(piece);
      const expected = onWire(wan);
      const before = counters.forwarded + counters6.forwarded;
      // A link that has verified the segments may have made a whole checksum, or left it.
      if (verified) lan.send(merged, CHECKSUM_VERIFIED, shape.size);
      else lan.send(partial, CHECKSUM_PARTIAL, shape.size);
      const given = wan.sent.length;
      t.deepEqual(onWire(wan), expected);
      const fits = partial.length - 14 <= ((kind.offloads as LinkOffloads | undefined)?.segmentation ?? 0);
      t.is(given, (kind.whole || fits) && kind.offloads ? 1 : pieces.length);
      t.is(counters.forwarded + counters6.forwarded - before, given);
      t.deepEqual(lan.take(), []);
    }),
    { numRuns: 300 },
  );
});

const SHAPE: Shape = {
  ...{ six: false, size: 1400, count: 4, rest: 100, flags: ACK | 8, first: ACK },
  ...{ id: 7, seq: 1, df: true, timestamps: true },
};

test("the MTU is that of the segments: too large, and the sender is told once; without DF each is cut into fragments", (t) => {
  const node = router(t, { ...merging, wan: { offloads: OFFLOADS, mtu: 1000 } });
  const { lan, wan, counters, counters6 } = node;
  for (const six of [false, true]) {
    lan.send(build({ ...SHAPE, six }).partial, CHECKSUM_PARTIAL, 1400);
    const told = expectFrame(
      t,
      lan.next(),
      six ? { icmp: { type: 2, rest: 1000 } } : { icmp: { type: 3, code: 4 } },
    );
    t.truthy(told);
    t.deepEqual(lan.take(), []);
  }
  t.is(counters.tooBig + counters6.tooBig, 2);
  t.deepEqual(wan.take(), []);
  const { pieces, partial } = build({ ...SHAPE, df: false });
  for (const piece of pieces) lan.send(piece);
  const expected = onWire(wan);
  t.is(expected.length, 7);
  lan.send(partial, CHECKSUM_PARTIAL, 1400);
  t.deepEqual(onWire(wan), expected);
});

test("headers with options, and links with larger headers, want it cut", (t) => {
  const { lan, wan, counters } = router(t, { ...merging, wan: { offloads: OFFLOADS } });
  const options = Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0);
  const { pieces, partial } = build(SHAPE, { options });
  for (const piece of pieces) lan.send(piece);
  const expected = onWire(wan);
  lan.send(partial, CHECKSUM_PARTIAL, 1400);
  t.is(wan.sent.length, 4);
  t.deepEqual(onWire(wan), expected);
  const narrow = router(t, {
    ...merging,
    probe: { medium: "ip", offloads: OFFLOADS },
    wan: { offloads: OFFLOADS },
  });
  narrow.lan.send(build(SHAPE).partial.subarray(14), CHECKSUM_PARTIAL, 1400);
  t.is(narrow.wan.sent.length, 4);
  t.is(narrow.counters.copied, 4);
  t.is(counters.copied, 0);
});

test("hooks see it whole before it is cut and each piece after; one error says that its last hop is used up", (t) => {
  const { lan, wan, ip, counters } = router(t, { ...merging });
  const seen: number[] = [];
  ip.hook = (packet, point) => {
    if (point === FORWARD || point === POSTROUTING) seen.push(packet.end - packet.network);
    return seen.length !== 3;
  };
  lan.send(build(SHAPE).partial, CHECKSUM_PARTIAL, 1400);
  t.deepEqual(seen, [4352, 1452, 1452, 1452, 152]);
  // The second piece was refused.
  t.is(wan.take().length, 3);
  ip.hook = null;
  lan.send(build(SHAPE, { ttl: 1 }).partial, CHECKSUM_PARTIAL, 1400);
  t.is(lan.take().length, 1);
  t.is(counters.expired, 1);
});

test("under a policy (IPsec) each piece is asked about for itself, and what it takes is gone", (t) => {
  const { lan, wan, ip, ip6 } = router(t, { ...merging, wan: { offloads: OFFLOADS } });
  for (const six of [false, true]) {
    const { pieces, partial } = build({ ...SHAPE, six });
    for (const piece of pieces) lan.send(piece);
    const expected = onWire(wan);
    const seen: number[] = [];
    const policy = {
      forward: (packet: { end: number; network: number }) => seen.push(packet.end - packet.network) !== 2,
    };
    ip.policy = ip6.policy = policy as never;
    lan.send(partial, CHECKSUM_PARTIAL, 1400);
    ip.policy = ip6.policy = null;
    const headers = six ? 72 : 52;
    t.deepEqual(
      seen,
      [1400, 1400, 1400, 100].map((size) => size + headers),
    );
    t.deepEqual(onWire(wan), [expected[0]!, expected[2]!, expected[3]!]);
  }
});

test("what says that it was merged, and is no TCP segment that was, is taken as it is", (t) => {
  const { lan, wan, counters } = router(t, { ...merging, wan: { offloads: OFFLOADS } });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 120 }),
      fc.integer({ min: 1, max: 65535 }),
      fc.constantFrom(6, 17, 47),
      (bytes, size, protocol) => {
        lan.send(
          frame(eth({ dst: STACK_MAC }), ip4({ src: LAN_HOST, dst: FAR, protocol }), bytes),
          CHECKSUM_PARTIAL,
          size,
        );
        const out = wan.sent.splice(0);
        t.true(out.length >= 1);
        for (const each of out) t.is(internetChecksum(each.bytes.subarray(14, 34)), 0);
      },
    ),
  );
  t.is(counters.tooBig, 0);
});
