/** What the receiver tells of data out of order: SACK (RFC 2018) and D-SACK blocks (RFC 2883), exactly; and the bounds of reassembly. */
import test from "ava";
import fc from "fast-check";
import { ALL_OPTIONS, WITH_SACK, accepted, drain, patternFrom } from "./support.js";

test("SACK: the block of the latest segment comes first, the others follow by age", (t) => {
  const { peer } = accepted(t, { syn: WITH_SACK });
  peer.data(100, 10);
  peer.expect("A", { ack: 1, sack: [[101, 111]] });
  peer.data(200, 10);
  peer.expect("A", {
    sack: [
      [201, 211],
      [101, 111],
    ],
  });
  peer.data(300, 10);
  peer.expect("A", {
    sack: [
      [301, 311],
      [201, 211],
      [101, 111],
    ],
  });
  peer.data(210, 10);
  peer.expect("A", {
    sack: [
      [201, 221],
      [301, 311],
      [101, 111],
    ],
  });
  peer.data(400, 10);
  peer.expect("A", {
    sack: [
      [401, 411],
      [201, 221],
      [301, 311],
      [101, 111],
    ],
  });
  peer.data(500, 10);
  peer.expect("A", {
    sack: [
      [501, 511],
      [401, 411],
      [201, 221],
      [301, 311],
    ],
  });
});

test("SACK: three blocks beside timestamps", (t) => {
  const { peer } = accepted(t, { syn: ALL_OPTIONS });
  for (let i = 1; i <= 5; i++) peer.data(i * 100, 10);
  const last = peer.take().pop()!;
  t.deepEqual(last.sack, [
    [501, 511],
    [401, 411],
    [301, 311],
  ]);
});

test("SACK: blocks that grow together become one; holes that are filled vanish", (t) => {
  const { peer, socket } = accepted(t, { syn: WITH_SACK });
  peer.data(100, 100);
  peer.data(300, 100);
  peer.take();
  peer.data(200, 100);
  peer.expect("A", { ack: 1, sack: [[101, 401]] });
  peer.data(50, 100);
  peer.expect("A", { ack: 1, sack: [[51, 401]] });
  peer.data(500, 10);
  peer.take();
  peer.data(0, 50);
  peer.expect("A", { ack: 401, sack: [[501, 511]] });
  peer.data(400, 100);
  peer.expect("A", { ack: 511, sack: null });
  t.is(drain(t, socket, 0), 510);
});

test("SACK: none where the peer did not ask for it, none with data that fill their segment, some beside small data", (t) => {
  const plain = accepted(t);
  plain.peer.data(100, 10);
  plain.peer.expect("A", { ack: 1, sack: null });

  const { peer, socket } = accepted(t, { syn: { ...WITH_SACK, mss: 500 } });
  for (let i = 1; i <= 4; i++) peer.data(i * 100, 10);
  peer.take();
  socket.write(patternFrom(0, 500));
  peer.expect("PA", { length: 500, sack: null });
  peer.send("A");
  socket.write(patternFrom(500, 480));
  peer.expect("PA", {
    length: 480,
    sack: [
      [401, 411],
      [301, 311],
    ],
  });
  peer.send("A");
  socket.write(patternFrom(980, 100));
  const small = peer.expect("PA", { length: 100 });
  t.is(small.sack?.length, 4);
  peer.send("A");
});

test("D-SACK: a segment that was acknowledged before is reported once, first, below the acknowledgement", (t) => {
  const { peer, socket } = accepted(t, { syn: WITH_SACK });
  peer.data(0, 100);
  peer.data(100, 100);
  peer.take();
  drain(t, socket, 0);
  peer.data(0, 100);
  peer.expect("A", { ack: 201, sack: [[1, 101]] });
  peer.data(50, 100);
  peer.expect("A", { ack: 201, sack: [[51, 151]] });
  peer.data(300, 10);
  peer.expect("A", { ack: 201, sack: [[301, 311]] });
});

test("D-SACK: the part of a segment that was there before (RFC 2883 section 4.3)", (t) => {
  const { peer, socket } = accepted(t, { syn: WITH_SACK });
  peer.data(0, 100);
  peer.data(50, 100);
  peer.expect("A", { ack: 151, sack: [[51, 101]] });
  t.is(drain(t, socket, 0), 150);
});

test("D-SACK: a segment out of order that is there already, followed by the block that it lies in (RFC 2883 section 4.2)", (t) => {
  const { peer } = accepted(t, { syn: WITH_SACK });
  peer.data(100, 100);
  peer.data(300, 100);
  peer.take();
  peer.data(120, 20);
  peer.expect("A", {
    ack: 1,
    sack: [
      [121, 141],
      [101, 201],
      [301, 401],
    ],
  });
  peer.data(500, 10);
  peer.expect("A", {
    ack: 1,
    sack: [
      [501, 511],
      [101, 201],
      [301, 401],
    ],
  });
});

test("TCP-14: no more than 32 holes are kept; the stream is right in the end", (t) => {
  const { peer, socket, c, lab } = accepted(t, { syn: WITH_SACK, stack: { packetMemory: 1 << 20 } });
  for (let i = 999; i > 0; i -= 2) peer.data(i * 10, 10);
  t.is(c.ranges.length, 64);
  t.true(lab.stack.pool.used <= 33, lab.stack.pool.used + " chunks");
  t.true(lab.tcp.counters.rangesFull > 400);
  peer.take();
  for (let at = 0; at < 10_000; at += 10) peer.data(at, 10);
  t.is(drain(t, socket, 0), 10_000);
  t.is(c.ranges.length, 0);
  t.is(lab.stack.pool.used, 0);
});

test("reassembly: overlapping pieces of a stream, in any order, give the stream, within the bounds", (t) => {
  const piece = fc.record({ at: fc.nat(3000), length: fc.integer({ min: 1, max: 700 }), fin: fc.boolean() });
  let port = 10_000;
  const home = accepted(t, { syn: WITH_SACK, tcp: { limit: 5000 } }).lab;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), fc.boolean(), fc.integer(), (pieces, reads, iss) => {
      const { peer, socket, c, events, run } = accepted(t, { lab: home, syn: WITH_SACK, port: port++, iss });
      let read = 0;
      const send = (at: number, length: number) => {
        const fin = at + length >= 3000;
        peer.data(at, Math.min(length, 3000 - at), {}, fin ? "FA" : "A");
        const sack = peer.take().pop()?.sack ?? [];
        for (const [left, right] of sack) if (!(left < right)) throw new Error("SACK " + left + " " + right);
        let last = Infinity;
        for (let i = 0; i < c.ranges.length; i += 2) {
          if (!(((c.ranges[i + 1] - c.ranges[i]) | 0) > 0)) throw new Error("range " + c.ranges.join(" "));
          if (((c.ranges[i] - c.rcvNxt) | 0) <= 0) throw new Error("range below rcvNxt");
        }
        last = c.ranges.length;
        if (last > 64) throw new Error("too many ranges");
        if (reads) read = drain(t, socket, read);
      };
      for (const { at, length } of pieces) if (at < 3000) send(at, length);
      for (let at = 0; at < 3000; at += 500) send(at, 500);
      read = drain(t, socket, read);
      run(1);
      if (read !== 3000) throw new Error("read " + read);
      if (events[events.length - 1] !== "end") throw new Error(events.join());
      socket.abort();
      peer.take();
      if (home.stack.pool.used !== 0) throw new Error(home.stack.pool.used + " chunks are left");
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test("urgent data stay where they are in the stream, whatever the pointer says (TCP-05; RFC 6093)", (t) => {
  const { peer, socket, run, events } = accepted(t);
  let at = 0;
  for (const urgent of [0, 1, 5, 10, 11, 9999, 65_535]) {
    peer.send("UA", { urgent }, patternFrom(at, 10));
    at += 10;
    t.is(socket.readable(), 10);
    t.is(drain(t, socket, at - 10), at);
  }
  peer.send("UA", { urgent: 100 });
  peer.send("UFA", { urgent: 100 }, patternFrom(at, 5));
  t.is(drain(t, socket, at), at + 5);
  run(1);
  t.is(events.pop(), "end");
});
