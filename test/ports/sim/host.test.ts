/** The host of a world: its wake-ups, its randomness, and its faults. */
import test from "ava";
import { createWorld } from "../../../ports/sim/index.js";
import { pair } from "../../support/network.js";

function driven(seed = 1) {
  const world = createWorld({ seed });
  const host = world.host();
  const polls: number[] = [];
  host.drive({ poll: () => void polls.push(world.time) });
  return { world, host, polls };
}

test("one wake-up is pending, the last that was asked for", (t) => {
  const { world, host, polls } = driven();
  host.wake(50);
  host.wake(10);
  world.run(20);
  host.wake(5);
  host.wake(-1);
  host.wake(-1);
  world.run(100);
  t.deepEqual(polls, [10]);
  host.wake(0);
  t.is(polls.length, 1, "not from inside");
  world.run(0);
  t.is(polls.length, 2);
  t.throws(() => host.wake(NaN));
});

test("faults of the wake-up", (t) => {
  const { world, host, polls } = driven();
  host.faults.wake = "never";
  host.wake(1);
  world.run(10);
  t.deepEqual(polls, []);
  host.faults.wake = "early";
  host.wake(10);
  world.run(5);
  t.deepEqual(polls, [11]);
  host.faults.wake = "twice";
  host.wake(1);
  world.run(1);
  t.deepEqual(polls, [11, 16, 16]);
  host.faults.wake = "";
  host.faults.wakeLate = 7;
  host.wake(1);
  world.run(10);
  t.is(polls[3], 24);
  host.faults.wake = "throw";
  t.throws(() => host.wake(1));
  host.faults.wake = "";
  host.wake(1);
  host.powerOff();
  world.run(10);
  t.is(polls.length, 4);
});

test("hosts draw by seed and by name of place, and fail when told to", (t) => {
  const draw = (seed: number, index: number) => {
    const world = createWorld({ seed });
    const hosts = [world.host(), world.host()];
    const target = new Uint8Array(37);
    t.true(hosts[index].random(target));
    return target.join();
  };
  t.is(draw(1, 0), draw(1, 0));
  t.not(draw(1, 0), draw(1, 1));
  t.not(draw(1, 0), draw(2, 0));
  const { host } = driven();
  const target = Uint8Array.of(1, 2, 3);
  host.faults.random = "fail";
  t.false(host.random(target));
  host.faults.random = "throw";
  t.throws(() => host.random(target));
  host.faults.random = "constant";
  t.true(host.random(target));
  t.deepEqual([...target], [0, 0, 0]);
});

test("a clock that goes back, stops, or gives no number is counted by the stack and survived", (t) => {
  const { world, a } = pair(t, { leaks: { faults: true } });
  const { host, stack } = a;
  world.run(1000);
  const before = stack.now();
  host.faults.clock = (time) => time - 500;
  t.is(stack.now(), before);
  host.faults.clock = () => NaN;
  t.is(stack.now(), before);
  host.faults.clock = () => {
    throw new Error("broken");
  };
  t.is(stack.now(), before);
  t.is(stack.host.counters.clock, 3);
  t.is(host.logged.length, 1);
  host.faults.clock = null;
  world.run(10);
  t.true(stack.now() >= before);
});

test("a callback that throws is a panic of the world, and only that", (t) => {
  const { world, a, b } = pair(t, { leaks: { panics: true } });
  const socket = b.udp.open({
    port: 7,
    onReadable: () => {
      throw new Error("oops");
    },
  });
  a.udp.open().sendTo("10.0.0.2", 7, new Uint8Array(3));
  world.run(100);
  t.is(world.panics.length, 1);
  t.is((world.panics[0].error as Error).message, "oops");
  t.is(world.panics[0].host, b.host);
  t.is(socket.receive(new Uint8Array(9)), 3);
});
