/** The stack as an instance: interfaces, wake-ups, memory for packets. */
import test from "ava";
import { createWorld } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { Timer } from "../../stack/core/timers.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { Probe, probed } from "../support/probe.js";
import { PROBE_IP, eth, frame } from "../support/packets.js";

test("an interface without a name does not take the name of another", (t) => {
  const world = createWorld();
  const stack = createStack(world.host(), [ethernet()]);
  stack.addInterface(new Probe(world), "eth1");
  t.is(stack.addInterface(new Probe(world)).name, "eth0");
  t.is(stack.addInterface(new Probe(world)).name, "eth2");
  t.throws(() => stack.addInterface(new Probe(world), "eth1"), { code: "EEXIST" });
});

test("a small host sends small packets first", (t) => {
  const { udp, probe } = probed(t, { stack: { maximumPacket: 576, chunkSize: 256, budget: 8192 } });
  const socket = udp.open({ port: 7 });
  t.is(socket.sendTo(PROBE_IP, 9, Uint8Array.of(1)), 1);
  t.is(probe.take().length, 1);
});

for (const fault of ["never", "throw"] as const) {
  test(`RES-04 the next frame makes up for a wake-up that never came (${fault})`, (t) => {
    const { world, host, stack, probe } = probed(t, { leaks: { faults: true } });
    let fired = 0;
    host.faults.wake = fault;
    stack.timers.set(new Timer(() => fired++, null), stack.now() + 10);
    world.run(1000);
    t.is(fired, 0);
    stack.now();
    probe.send(frame(eth(), "anything"));
    t.is(fired, 1);
  });
}

test("RES-04 a driver that lies about a frame's place is not believed", (t) => {
  const { nif } = probed(t);
  const data = new Uint8Array(100);
  const before = nif.counters.rxDropped;
  nif.receive(data, 0, 101);
  nif.receive(data, 60, 50);
  nif.receive(data, -1, 50);
  nif.receive(data, NaN, 50);
  nif.receive(undefined as never, 0, 0);
  t.is(nif.counters.rxDropped, before + 5);
});

test("RES-04 where the engine's memory ends within a frame or a timer, the stack says so and goes on", (t) => {
  const { world, host, stack, nif } = probed(t);
  const input = nif.medium.input;
  const full = () => {
    throw new RangeError("out of memory");
  };
  nif.medium.input = full;
  const data = new Uint8Array(60);
  const { rxDropped } = nif.counters;
  const { callback } = stack.host.counters;
  nif.receive(data, 0, 60);
  t.is(nif.counters.rxDropped, rxDropped + 1);
  t.is(stack.host.counters.callback, callback + 1);
  t.false(stack.busy);
  nif.medium.input = (packet) => input.call(nif.medium, packet);
  nif.receive(data, 0, 60);
  t.is(nif.counters.rxDropped, rxDropped + 1);

  let fired = 0;
  stack.timers.set(new Timer(full, null), stack.now() + 10);
  stack.timers.set(new Timer(() => fired++, null), stack.now() + 11);
  world.run(100);
  t.is(fired, 1);
  t.is(stack.host.counters.callback, callback + 2);
  t.truthy(host);
});
