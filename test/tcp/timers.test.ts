/** Keepalive, clocks that jump, timers that come late, and the timer that all deadlines of a connection share. */
import test from "ava";
import { ETIMEDOUT } from "../../stack/core/errors.js";
import { CLOSE_WAIT, FIN_WAIT_2 } from "../../stack/tcp/connection.js";
import { tcp as createTcp } from "../../stack/tcp/tcp.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { pair } from "../support/network.js";
import { transfer } from "../support/transfer.js";
import { accepted, connected, drain, patternFrom, show } from "./support.js";

test("keepalive: a probe after the idle time, answered or again every 75 s, nine times (RFC 9293 section 3.8.4)", (t) => {
  const { peer, socket, run, events } = accepted(t);
  socket.setKeepAlive(60_000);
  run(59_900);
  peer.silent();
  run(200);
  t.deepEqual(peer.take().map(show), ["A 0 ack 1"]);
  peer.send("A");
  run(74_500);
  peer.silent();
  run(600);
  t.deepEqual(peer.take().map(show), ["A 0 ack 1"]);
  run(75_000 * 9 - 20_000);
  t.is(peer.take().length, 8);
  t.deepEqual(events, []);
  run(75_000);
  t.deepEqual(events, ["close " + ETIMEDOUT]);
});

test("keepalive: what comes in puts it off; 0 ends it", (t) => {
  const { peer, socket, run } = accepted(t);
  socket.setKeepAlive(1000);
  for (let i = 0; i < 20; i++) {
    run(900);
    peer.data(i, 1);
    run(50);
    t.true(peer.take().every((seen) => seen.seq === 1));
  }
  socket.setKeepAlive(0);
  run(1_000_000);
  peer.silent();
  drain(t, socket, 0);
});

test("keepalive: none while data are in flight (RFC 9293, MUST-25), or behind a closed window: they have timers of their own", (t) => {
  const { peer, socket, run, lab } = accepted(t, { window: 100 });
  socket.setKeepAlive(1000);
  socket.write(patternFrom(0, 50));
  peer.take();
  run(5000);
  t.true(peer.take().every((seen) => seen.length > 0));
  peer.window = 0;
  peer.send("A", { ack: 51 });
  socket.write(patternFrom(50, 50));
  lab.probe.onFrame = () => {
    lab.world.at(1, () => peer.send("A", { ack: 51 }));
    return true;
  };
  run(60_000);
  t.is(lab.tcp.counters.keepalives, 0);
  lab.probe.onFrame = null;
  socket.abort();
});

test("keepalive goes on in CLOSE-WAIT and in FIN-WAIT-2: half-open peers that vanish are found (TCP-18)", (t) => {
  const one = connected(t, { connect: { keepAlive: 60_000 } });
  one.peer.send("FA");
  one.run(1);
  t.is(one.socket.state(), CLOSE_WAIT);
  one.run(60_000 + 75_000 * 10);
  t.is(one.events.pop(), "close " + ETIMEDOUT);

  const two = connected(t, { connect: { keepAlive: 60_000 } });
  two.socket.shutdown();
  two.run(10_000);
  two.peer.take();
  two.peer.send("A");
  t.is(two.socket.state(), FIN_WAIT_2);
  two.run(120_000 + 75_000 * 10);
  t.is(two.events.pop(), "close " + ETIMEDOUT);
});

test("keepalive counts on after an exchange that had timers of its own", (t) => {
  const { peer, socket, run } = accepted(t);
  socket.setKeepAlive(10_000);
  socket.write(patternFrom(0, 5));
  run(9_000);
  peer.take();
  peer.send("A");
  run(9_900);
  peer.silent();
  run(200);
  t.deepEqual(peer.take().map(show), ["A 5 ack 1"]);
});

test("deadlines share a timer: cleared ones fire for nothing, later ones are kept, none is lost", (t) => {
  const { peer, socket, run, lab, c } = accepted(t);
  socket.setKeepAlive(100_000);
  for (let i = 0; i < 50; i++) {
    socket.write(patternFrom(0, 10));
    peer.take();
    run(10);
    peer.send("A");
    peer.data(i * 10, 10);
    t.is(c.timer.slot >= 0, true);
  }
  drain(t, socket, 0);
  run(1000);
  peer.take();
  t.is(c.armed, 1 << 3, "only keepalive");
  t.true(lab.stack.timers.count() <= 2);
  run(100_000);
  t.is(lab.tcp.counters.keepalives, 1);
  socket.abort();
  t.is(c.timer.slot, -1);
});

for (const [name, go] of Object.entries({
  "goes back an hour": (time: number) => (time > 2000 ? time - 3_600_000 : time),
  "stands still for a second": (time: number) => (time > 2000 && time < 3000 ? 2000 : time),
  "jumps half a second ahead": (time: number) => (time > 2000 ? time + 500 : time),
  "jumps an hour ahead": (time: number) => (time > 2000 ? time + 3_600_000 : time),
  "jumps fifty days ahead": (time: number) => (time > 2000 ? time + 50 * 86_400_000 : time),
  "is no number now and then": (time: number) => (Math.floor(time) % 7 === 3 ? NaN : time),
  "wraps at 2^31": (time: number) => time + 0x7fffffff - 2000,
  "wraps at 2^32": (time: number) => time + 0xffffffff - 2000,
})) {
  test(`RES-04: a clock that ${name} costs no byte of a transfer`, (t) => {
    const parts: Tcp[] = [];
    const net = pair(t, {
      delay: 20,
      loss: 0.02,
      leaks: { faults: true },
      components: () => {
        const one = createTcp({ timeWait: 5000 });
        parts.push(one);
        return [one];
      },
    });
    net.a.host.faults.clock = go;
    const result = transfer(parts[0], parts[1], "10.0.0.2", { forth: 400_000, back: 400_000 });
    t.true(net.world.runUntil(result.done, 600_000));
    t.deepEqual(
      [result.far.received, result.near.received, result.far.wrong, result.near.wrong],
      [400_000, 400_000, -1, -1],
    );
    t.deepEqual([result.near.closed, result.far.closed], [0, 0]);
    net.run(6000);
  });
}

for (const fault of ["never", "early", "twice", "throw"] as const) {
  test(`RES-04: wake-ups: ${fault}`, (t) => {
    const parts: Tcp[] = [];
    const net = pair(t, {
      delay: 5,
      loss: fault === "never" || fault === "throw" ? 0 : 0.02,
      leaks: false,
      components: () => {
        const one = createTcp({ timeWait: 100 });
        parts.push(one);
        return [one];
      },
    });
    net.a.host.faults.wake = fault;
    const result = transfer(parts[0], parts[1], "10.0.0.2", { forth: 200_000, back: 200_000 });
    // A host that never wakes still polls now and then.
    for (let i = 0; i < 3000 && !result.done(); i++) {
      net.run(100);
      net.a.stack.poll();
    }
    t.true(result.done());
    t.deepEqual([result.far.received, result.near.received], [200_000, 200_000]);
    net.run(1000);
  });
}

test("RES-09: a host that polls every second, or every ten, carries the data all the same", (t) => {
  for (const late of [1000, 10_000]) {
    const parts: Tcp[] = [];
    const net = pair(t, {
      delay: 5,
      components: () => {
        const one = createTcp({ timeWait: 100 });
        parts.push(one);
        return [one];
      },
    });
    net.a.host.faults.wakeLate = late;
    const result = transfer(parts[0], parts[1], "10.0.0.2", { forth: 200_000, back: 200_000 });
    t.true(net.world.runUntil(result.done, 600_000));
    t.deepEqual([result.far.received, result.near.received], [200_000, 200_000]);
    t.deepEqual([result.near.closed, result.far.closed], [0, 0]);
    net.run(30_000);
  }
});

test("RES-09: eight connections over one narrow link share it fairly (Jain's index above 0.8)", (t) => {
  const parts: Tcp[] = [];
  const net = pair(t, {
    delay: 10,
    bandwidth: 8e6,
    queueFrames: 60,
    stack: { packetMemory: 4 << 20 },
    components: () => {
      const one = createTcp({ timeWait: 100 });
      parts.push(one);
      return [one];
    },
  });
  const results = Array.from({ length: 8 }, (_, i) =>
    transfer(parts[0], parts[1], "10.0.0.2", { port: 100 + i, forth: 50_000_000, piece: 16_384 }),
  );
  net.run(20_000);
  const got = results.map((result) => result.far.received);
  const sum = got.reduce((a, b) => a + b);
  const index = (sum * sum) / (8 * got.reduce((a, b) => a + b * b, 0));
  t.true(index > 0.8, index + ": " + got.join(" "));
  t.true(sum > 0.8 * 20_000_000, sum + " bytes in 20 s of 1 MB/s");
  t.true(results.every((result) => result.far.wrong === -1));
});
