/** Wires: time and bandwidth, queues, and each thing that can go wrong on the way, counted. */
import test from "ava";
import fc from "fast-check";
import { createWorld, wire } from "../../../ports/sim/index.js";
import type { World, WireOptions } from "../../../ports/sim/index.js";
import { Recorder, named } from "./recorder.js";

function open(world: World, options: WireOptions = {}) {
  const [a, b] = wire(world, options);
  const left = new Recorder(world);
  const right = new Recorder(world);
  a.open(left);
  b.open(right);
  return { a, b, left, right };
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

test("a frame takes its serialisation and the delay, never comes at once, and is copied", (t) => {
  const world = createWorld();
  const { a, right } = open(world, { bandwidth: 1e6, delay: 10 });
  const [frame, start, end] = named(7, 125);
  t.is(a.transmit(frame, start, end, null), 0);
  frame.fill(0);
  a.transmit(...named(8, 125));
  t.is(right.frames.length, 0);
  world.run(100);
  t.deepEqual(
    right.frames.map(({ time, bytes }) => [time, bytes.length, bytes[0]]),
    [
      [11, 125, 7],
      [12, 125, 8],
    ],
  );
  const plain = open(world);
  plain.a.transmit(...named(1));
  t.is(plain.right.frames.length, 0, "even without any delay");
  world.run(0);
  t.is(plain.right.frames.length, 1);
});

test("the two directions differ where asked", (t) => {
  const world = createWorld();
  const { a, b, left, right } = open(world, { delay: 5, b: { delay: 50 } });
  a.transmit(...named(1));
  b.transmit(...named(2));
  world.run(100);
  t.deepEqual([right.frames[0].time, left.frames[0].time], [5, 50]);
});

test("a full queue drops the newest, or refuses and says when there is room", (t) => {
  const world = createWorld();
  const drop = open(world, { bandwidth: 8000, queueFrames: 3 });
  t.deepEqual(
    range(5).map((i) => drop.a.transmit(...named(i, 10))),
    [0, 0, 0, 0, 0],
  );
  world.run(100);
  t.deepEqual(drop.right.names, [0, 1, 2]);
  t.is(drop.a.out.counters.overflowed, 2);
  const refuse = open(world, { bandwidth: 8000, queueBytes: 45, full: "refuse" });
  t.deepEqual(
    range(6).map((i) => refuse.a.transmit(...named(i, 10))),
    [0, 0, 0, 0, -1, -1],
  );
  world.run(15);
  t.is(refuse.left.writables, 0);
  world.run(20);
  t.is(refuse.left.writables, 1);
  t.is(refuse.a.transmit(...named(9, 10)), 0);
  world.run(100);
  t.deepEqual(refuse.right.names, [0, 1, 2, 3, 9]);
});

test("loss, duplication and corruption happen as often as asked", (t) => {
  const world = createWorld({ seed: 3 });
  const { a, right } = open(world, { loss: 0.25, duplicate: 0.2, corrupt: 0.1 });
  for (let i = 0; i < 4000; i++) a.transmit(...named(0xaa));
  world.run(1);
  const { counters } = a.out;
  t.true(Math.abs(counters.lost - 1000) < 120, "lost " + counters.lost);
  t.true(Math.abs(counters.duplicated - 600) < 100, "duplicated " + counters.duplicated);
  t.true(Math.abs(counters.corrupted - 360) < 80, "corrupted " + counters.corrupted);
  t.is(counters.delivered, 4000 - counters.lost + counters.duplicated);
  const flipped = right.frames.filter(({ bytes }) => bytes.some((byte) => byte !== 0xaa));
  t.is(flipped.length, counters.corrupted);
  for (const { bytes } of flipped) {
    const bits = bytes.reduce((sum, byte) => sum + (byte ^ 0xaa).toString(2).replaceAll("0", "").length, 0);
    t.is(bits, 1);
  }
});

test("jitter keeps the order, reordering does not", (t) => {
  const world = createWorld();
  const jitter = open(world, { jitter: 20 });
  const reorder = open(world, { reorder: 0.3, reorderDelay: 30 });
  for (let i = 0; i < 200; i++) {
    world.at(i, () => jitter.a.transmit(...named(i)));
    world.at(i, () => reorder.a.transmit(...named(i)));
  }
  world.run(1000);
  t.deepEqual(jitter.right.names, range(200));
  t.notDeepEqual(reorder.right.names, range(200));
  t.deepEqual(
    [...reorder.right.names].sort((x, y) => x - y),
    range(200),
  );
});

test("a black hole swallows what is larger than it lets through", (t) => {
  const world = createWorld();
  const { a, right } = open(world, { maximum: 1000 });
  a.transmit(...named(1, 1014));
  a.transmit(...named(2, 1015));
  world.run(1);
  t.deepEqual(right.names, [1]);
  t.is(a.out.counters.oversized, 1);
});

test("a filter drops, passes, changes and replaces", (t) => {
  const world = createWorld();
  const { a, right } = open(world);
  a.out.filter = (frame) => {
    if (frame[0] === 1) return false;
    if (frame[0] === 2) frame[0] = 22;
    if (frame[0] === 3) return Uint8Array.of(33, 34);
    return true;
  };
  for (let i = 0; i < 4; i++) a.transmit(...named(i));
  world.run(1);
  t.deepEqual(right.names, [0, 22, 33]);
  t.is(right.frames[2].bytes.length, 2);
  t.is(a.out.counters.filtered, 1);
});

test("taps see what is sent and what arrives", (t) => {
  const world = createWorld();
  const { a, b } = open(world, { delay: 4, loss: 1 });
  const seen: string[] = [];
  a.out.onSent = (frame, start, end, channel, time) => {
    seen.push(`${frame[start]} ${end - start} ${channel === a.out} ${time}`);
  };
  a.out.onDelivered = (frame, start) => seen.push("arrived " + frame[start]);
  a.transmit(...named(1));
  a.out.loss = 0;
  a.transmit(...named(2, 70));
  b.transmit(...named(3));
  world.run(10);
  t.deepEqual(seen, ["1 60 true 0", "2 70 true 0", "arrived 2"]);
});

test("a cut cable loses what is on it and both ends see the carrier go", (t) => {
  const world = createWorld();
  const { a, b, left, right } = open(world, { delay: 10 });
  a.transmit(...named(1));
  world.run(5);
  a.cut();
  world.run(1);
  a.transmit(...named(2));
  b.restore();
  a.transmit(...named(3));
  world.run(20);
  t.deepEqual(right.names, [3]);
  t.deepEqual(
    [left.carriers, right.carriers],
    [
      [false, true],
      [false, true],
    ],
  );
  t.is(a.out.counters.cut, 2);
  a.cut(true);
  world.run(1);
  t.is(left.carriers.length, 2, "a silent cut is not seen");
});

test("who opens a link of a cut cable hears so; a closed link gets nothing and may be opened again", (t) => {
  const world = createWorld();
  const { a, b, left, right } = open(world);
  b.close();
  b.close();
  a.transmit(...named(1));
  world.run(1);
  t.is(b.transmit(...named(1)), -1);
  a.cut();
  const again = new Recorder(world);
  b.open(again);
  t.throws(() => b.open(again));
  world.run(1);
  t.deepEqual(again.carriers.includes(false), true);
  t.is(right.frames.length + left.frames.length, 0);
});

test("scribbling spoils the bytes of who keeps them", (t) => {
  const world = createWorld({ scribble: true });
  const { a, right } = open(world);
  a.transmit(...named(5));
  world.run(1);
  t.deepEqual([right.kept[0][0], right.frames[0].bytes[0]], [0xdb, 5]);
});

test("frames are conserved, and their memory comes back and is used again", (t) => {
  const probability = fc.constantFrom(0, 0.2, 0.9);
  const options = fc.record({
    loss: probability,
    duplicate: probability,
    reorder: probability,
    corrupt: probability,
    bandwidth: fc.constantFrom(Infinity, 1e6),
    queueFrames: fc.integer({ min: 1, max: 20 }),
    maximum: fc.constantFrom(Infinity, 700),
  });
  fc.assert(
    fc.property(options, fc.array(fc.nat(1400), { maxLength: 60 }), fc.nat(), (wiring, sizes, seed) => {
      const world = createWorld({ seed, scribble: true });
      const { a, right } = open(world, wiring);
      sizes.forEach((size, i) => world.at(i, () => a.transmit(...named(i, 60 + size))));
      world.run(sizes.length / 2);
      a.cut();
      world.run(3);
      a.restore();
      world.run(10000);
      const { sent, duplicated, delivered, lost, oversized, cut, overflowed } = a.out.counters;
      t.is(sent + overflowed, sizes.length);
      t.is(sent + duplicated, delivered + lost + oversized + cut);
      t.is(right.frames.length, delivered);
      t.is(world.buffers.used, 0);
    }),
    { numRuns: 100 },
  );
  const world = createWorld();
  const { a } = open(world);
  for (let i = 0; i < 1000; i++) {
    a.transmit(...named(i));
    world.run(1);
  }
  t.is(world.flights.length, 1, "one frame at a time takes one buffer for all");
});
