/** Virtual time: the order of events, and that equal seeds give equal runs. */
import test from "ava";
import fc from "fast-check";
import { createWorld, wire } from "../../../ports/sim/index.js";
import { Event, EventQueue } from "../../../ports/sim/queue.js";
import { Random } from "../../../ports/sim/random.js";
import { Recorder, named } from "./recorder.js";

test("events come by time, and in the order of their making within one instant", (t) => {
  fc.assert(
    fc.property(fc.array(fc.record({ time: fc.nat(20), clear: fc.nat(3) })), (list) => {
      const queue = new EventQueue();
      const order: number[] = [];
      const expected: { time: number; index: number }[] = [];
      list.forEach(({ time, clear }, index) => {
        const event = new Event(() => order.push(index), null);
        queue.set(event, 99);
        queue.set(event, time);
        if (clear === 0) queue.clear(event);
        else expected.push({ time, index });
      });
      expected.sort((a, b) => a.time - b.time || a.index - b.index);
      for (let event = queue.first(); event; event = queue.first()) {
        queue.clear(event);
        event.fire(event.owner);
      }
      t.deepEqual(
        order,
        expected.map(({ index }) => index),
      );
    }),
  );
});

test("time passes only where something waits", (t) => {
  const world = createWorld();
  const seen: number[] = [];
  world.at(1.5, () => {
    seen.push(world.time);
    world.at(3600000, () => seen.push(world.time));
  });
  world.run(1);
  t.deepEqual([world.time, seen.length], [1, 0]);
  t.true(world.runUntil(() => seen.length === 2, 1e9));
  t.deepEqual(seen, [1.5, 3600001.5]);
  t.false(world.runUntil(() => false, 10));
  t.is(world.time, 3600011.5);
});

test("a world in which time cannot pass says so", (t) => {
  const world = createWorld();
  const again = () => void world.at(0, again);
  again();
  t.throws(() => world.run(1), { message: /stands still/ });
});

test("sfc32 follows its recurrence, whatever the sign of the words", (t) => {
  const random = new Random(0);
  const words = [random.next(), random.next()];
  const a = { a: 0, b: 0, c: 0, n: 1 };
  const reference = () => {
    const sum = (a.a + a.b + a.n) >>> 0;
    a.n = (a.n + 1) >>> 0;
    a.a = (a.b ^ (a.b >>> 9)) >>> 0;
    a.b = (a.c + ((a.c << 3) >>> 0)) >>> 0;
    a.c = (((((a.c << 21) >>> 0) | (a.c >>> 11)) >>> 0) + sum) >>> 0;
    return sum;
  };
  for (let i = 0; i < 15; i++) reference();
  t.deepEqual(words, [reference() | 0, reference() | 0]);
});

test("draws are even enough", (t) => {
  const random = new Random(5);
  const counts = new Array(16).fill(0);
  for (let i = 0; i < 16000; i++) counts[random.below(16)]++;
  const chi = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  t.true(chi < 37.7, "chi square with 15 degrees of freedom: " + chi); // p > 0.001
});

/** A run with a bit of everything; its digest. */
function digest(seed: number): string {
  const world = createWorld({ seed, trace: true });
  const [a, b] = wire(world, {
    bandwidth: 1e6,
    delay: 3,
    jitter: 2,
    loss: 0.1,
    duplicate: 0.1,
    reorder: 0.2,
    corrupt: 0.1,
  });
  a.open(new Recorder(world));
  b.open(new Recorder(world));
  for (let i = 0; i < 100; i++) {
    world.at(world.random() * 50, () => a.transmit(...named(i)));
    world.at(i, () => b.transmit(...named(i, 60 + i)));
  }
  world.run(1000);
  return world.trace!.digest();
}

test("equal seeds give equal traces, different seeds different ones", (t) => {
  const digests = [1, 2, 3, 4294967296 + 1, 1].map(digest);
  t.is(digests[4], digests[0]);
  t.is(new Set(digests).size, 4);
});
