/** Windows (RFC 9293 section 3.8.6): offered, scaled, closed, probed, shrunk; silly ones avoided at both ends. */
import test from "ava";
import { ETIMEDOUT } from "../../stack/core/errors.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { pair } from "../support/network.js";
import { ALL_OPTIONS, accepted, connectionOf, drain, patternFrom, show } from "./support.js";
import type { Met } from "./support.js";

/** The peer takes all that comes, acknowledges it, and has `window` from now on. */
function acknowledge(made: Met, window: number): number {
  const { peer } = made;
  const bytes = peer.take().reduce((sum, seen) => sum + seen.length, 0);
  peer.window = window;
  peer.send("A");
  return bytes;
}

test("the window says what the buffer has room for, and opens by two segments at least", (t) => {
  const { peer, socket, run } = accepted(t, {
    syn: { mss: 1000 },
    tcp: { receiveBuffer: 8000, maximumReceiveBuffer: 8000 },
  });
  for (let at = 0; at < 8000; at += 1000) peer.data(at, 1000);
  const windows = peer.take().map((seen) => seen.ack - 1 + seen.window);
  t.true(windows.length >= 4);
  t.true(
    windows.every((edge) => edge === 8000),
    "the right edge stays where it is: " + windows.join(" "),
  );
  run(100);
  peer.take();
  socket.read(new Uint8Array(1999));
  peer.silent("less than two segments");
  socket.read(new Uint8Array(1));
  peer.expect("A", { ack: 8001, window: 2000 });
  socket.read(new Uint8Array(6000));
  peer.expect("A", { ack: 8001, window: 8000 });
});

test("a small buffer opens its window by half of it", (t) => {
  const { peer, socket } = accepted(t, { tcp: { receiveBuffer: 1000, maximumReceiveBuffer: 1000 } });
  peer.data(0, 1000);
  peer.send("A");
  socket.read(new Uint8Array(499));
  t.deepEqual(
    peer.take().map((seen) => seen.window),
    [],
  );
  socket.read(new Uint8Array(1));
  peer.expect("A", { ack: 1001, window: 500 });
});

test("data beyond the window are cut off, data far beyond are refused", (t) => {
  const { peer, socket, run } = accepted(t, { tcp: { receiveBuffer: 1000, maximumReceiveBuffer: 1000 } });
  peer.data(0, 1400);
  peer.expect("A", { ack: 1001, window: 0 });
  t.is(drain(t, socket, 0), 1000);
  peer.expect("A", { ack: 1001, window: 1000 });
  peer.data(2000, 100);
  peer.expect("A", { ack: 1001 });
  peer.data(1900, 200, { seq: 1901 });
  run(100);
  t.is(socket.readable(), 0);
  peer.take();
  peer.data(1000, 900);
  t.is(drain(t, socket, 1000), 2000);
});

test("a scaled window never promises more than the buffer has, whatever the sizes of segments are", (t) => {
  for (const size of [1, 7, 100, 1447]) {
    const { peer, socket, lab, c } = accepted(t, {
      syn: ALL_OPTIONS,
      tcp: { receiveBuffer: 8192, maximumReceiveBuffer: 8 << 20 },
      stack: { packetMemory: 64 << 20 },
    });
    const unit = 1 << c.rcvScale;
    t.true(unit > 64);
    let at = 0;
    let edge = 0;
    for (let i = 0; i < 20_000 && at < 20_000; i++) {
      peer.data(at, size);
      lab.run(50);
      for (const seen of peer.take()) edge = Math.max(edge, seen.ack - 1 + seen.window * unit);
      if (c.rcvBuf.length === at) break;
      at = c.rcvBuf.length;
    }
    t.true(edge <= 8192 + unit - 1, `${size}: edge ${edge}`);
    t.true(c.rcvBuf.length <= 8192 + unit - 1, `${size}: ${c.rcvBuf.length} bytes held`);
    t.true(c.rcvBuf.length > 8192 - 1448);
    drain(t, socket, 0);
  }
});

test("the window of a peer that scales: shifted, except in its SYN (RFC 7323)", (t) => {
  const { peer, socket, c } = accepted(t, { syn: { ...ALL_OPTIONS, mss: 536 }, window: 2 });
  t.is(c.sndWnd, 256);
  socket.write(patternFrom(0, 300));
  peer.expect("A", { seq: 1, length: 256 });
  peer.silent();
  const wide = accepted(t, { syn: { ...ALL_OPTIONS, windowScale: 255 }, window: 0xffff });
  t.is(wide.c.sndScale, 14);
  t.is(wide.c.sndWnd, 0xffff * 16384);
});

test("without the peer's option windows are not scaled either way", (t) => {
  const { peer, c, socket } = accepted(t, {
    tcp: { receiveBuffer: 200_000, maximumReceiveBuffer: 1 << 20 },
    stack: { packetMemory: 8 << 20 },
    window: 1000,
  });
  t.is(c.sndWnd, 1000);
  t.is(c.rcvScale, 0);
  peer.data(0, 1460);
  peer.data(1460, 1460);
  peer.expect("A", { window: 65535 });
  drain(t, socket, 0);
});

test("the sender avoids silly windows: less than a segment goes only if it is all, or half of the largest window", (t) => {
  const { peer, socket, run } = accepted(t, { syn: { mss: 1000 }, window: 2000 });
  socket.write(patternFrom(0, 5000));
  t.deepEqual(peer.take().map(show), ["A 1:1001 ack 1", "A 1001:2001 ack 1"]);
  peer.window = 999;
  peer.send("A", { ack: 2001 });
  peer.silent("999 bytes are neither a segment nor half of 2000");
  peer.window = 1500;
  peer.send("A", { ack: 2001 });
  t.deepEqual(peer.take().map(show), ["A 2001:3001 ack 1"]);
  peer.window = 700;
  peer.send("A", { ack: 3001 });
  peer.silent();
  // The override timeout of RFC 1122 section 4.2.3.4.
  run(1000);
  t.deepEqual(peer.take().map(show).slice(0, 1), ["A 3001:3701 ack 1"]);
});

test("half of a small window is sent even though it is less than a segment", (t) => {
  const { peer, socket } = accepted(t, { syn: { mss: 1000 }, window: 600 });
  socket.write(patternFrom(0, 5000));
  t.deepEqual(peer.take().map(show), ["A 1:601 ack 1"]);
  peer.window = 300;
  peer.send("A");
  t.deepEqual(peer.take().map(show), ["A 601:901 ack 1"]);
  peer.window = 299;
  peer.send("A");
  peer.silent();
});

test("Nagle (Minshall): one small segment in flight; noDelay: as many as there are", (t) => {
  const { peer, socket } = accepted(t, { syn: { mss: 1000 } });
  socket.write(patternFrom(0, 10));
  peer.expect("PA", { seq: 1, length: 10 });
  socket.write(patternFrom(10, 10));
  socket.write(patternFrom(20, 10));
  peer.silent();
  peer.send("A");
  peer.expect("PA", { seq: 11, length: 20 });
  socket.write(patternFrom(30, 1500));
  t.deepEqual(
    peer.take().map(show),
    ["A 31:1031 ack 1"],
    "full segments go, the rest waits for the small one",
  );
  peer.send("A", { ack: 31 });
  t.deepEqual(peer.take().map(show), ["PA 1031:1531 ack 1"], "a full segment in flight holds nothing back");
  socket.setNoDelay(true);
  socket.write(patternFrom(1530, 1));
  socket.write(patternFrom(1531, 1));
  t.deepEqual(peer.take().map(show), ["PA 1531:1532 ack 1", "PA 1532:1533 ack 1"]);
});

test("setNoDelay lets go what Nagle holds back", (t) => {
  const { peer, socket } = accepted(t);
  socket.write(patternFrom(0, 10));
  socket.write(patternFrom(10, 10));
  peer.take();
  socket.setNoDelay(true);
  peer.expect("PA", { seq: 11, length: 10 });
});

test("acknowledgements: every second full segment, else after 40 ms, and never a quarter of a second late", (t) => {
  const { peer, run, lab, socket } = accepted(t, { syn: { mss: 1000 } });
  peer.data(0, 1000);
  peer.silent();
  peer.data(1000, 1000);
  peer.expect("A", { ack: 2001 });
  peer.data(2000, 10);
  run(39);
  peer.silent();
  run(1);
  peer.expect("A", { ack: 2011 });
  peer.data(2010, 10);
  socket.write(patternFrom(0, 5));
  peer.expect("PA", { ack: 2021, length: 5 });
  run(100);
  peer.silent("the data took the acknowledgement along");
  lab.run(0);
});

test("what is not in order is acknowledged at once, and so is what fills a hole (RFC 5681 section 4.2)", (t) => {
  const { peer, run } = accepted(t, { syn: { mss: 1000 } });
  peer.data(100, 100);
  peer.expect("A", { ack: 1 });
  peer.data(200, 100);
  peer.expect("A", { ack: 1 });
  peer.data(0, 100);
  peer.expect("A", { ack: 301 });
  peer.data(0, 100);
  peer.expect("A", { ack: 301 });
  run(200);
  peer.silent();
});

test("after a loss 16 segments are acknowledged one by one, then every second again", (t) => {
  const { peer } = accepted(t, { syn: { mss: 1000 } });
  peer.data(1000, 1000);
  peer.expect("A", { ack: 1 });
  peer.data(0, 1000);
  peer.expect("A", { ack: 2001 });
  for (let i = 2; i < 18; i++) {
    peer.data(i * 1000, 1000);
    peer.expect("A", { ack: i * 1000 + 1001 });
  }
  peer.data(18000, 1000);
  peer.silent();
  peer.data(19000, 1000);
  peer.expect("A", { ack: 20001 });
  // Our acknowledgement was lost: the sender has begun with one segment.
  peer.data(19000, 1000);
  peer.expect("A", { ack: 20001 });
  peer.data(20000, 1000);
  peer.expect("A", { ack: 21001 });
});

test("a closed window is probed with growing pauses, for ever as long as the peer answers (TCP-17)", (t) => {
  const made = accepted(t, { syn: { mss: 1000 }, window: 1000 });
  const { peer, socket, run, lab, events } = made;
  socket.write(patternFrom(0, 3000));
  acknowledge(made, 0);
  const times: number[] = [];
  lab.probe.onFrame = (_bytes, parsed) => {
    times.push(lab.world.time);
    t.true(parsed.payload.length <= 1);
    lab.world.at(1, () => peer.send("A", { ack: 1001 }));
    return true;
  };
  run(3_600_000);
  t.deepEqual(events, []);
  const pauses = times.slice(1).map((time, i) => time - times[i]);
  t.true(times.length > 60 && times.length < 80, times.length + " probes in an hour");
  for (let i = 0; i < 6; i++) t.is(Math.round(pauses[i + 1] / pauses[i]), 2);
  t.true(pauses.every((pause) => pause <= 60_001));
  lab.probe.onFrame = null;
  peer.window = 5000;
  peer.send("A", { ack: 1001 });
  const bytes = peer.take();
  t.is(
    bytes.reduce((sum, seen) => sum + seen.length, 0),
    2000,
  );
  peer.send("A");
  run(10);
  t.deepEqual(events, []);
});

test("the time out after an hour of a closed window is the usual one again", (t) => {
  for (const syn of [{ mss: 1000 }, { ...ALL_OPTIONS, mss: 1012 }]) {
    for (const takesProbe of [false, true]) {
      const made = accepted(t, { syn, window: "windowScale" in syn ? 8 : 1000 });
      const { peer, socket, run, c, lab } = made;
      socket.write(patternFrom(0, 3000));
      acknowledge(made, 0);
      const una = peer.ack;
      lab.probe.onFrame = (_bytes, parsed) => {
        if (parsed.tcp?.timestamps) peer.echo = parsed.tcp.timestamps[0];
        lab.world.at(1, () => peer.send("A", { ack: una }));
        return true;
      };
      run(595_000);
      lab.probe.onFrame = null;
      t.true(c.rto > 30_000);
      t.true(lab.world.runUntil(() => lab.probe.sent.length > 0));
      peer.take();
      run(1);
      peer.window = 5000;
      peer.send("A", { ack: una + (takesProbe ? 1 : 0) });
      t.true(c.rto < 1000, c.rto + " ms");
      lab.probe.take();
      run(1000);
      t.true(peer.take().length > 0, "what got lost comes again soon");
    }
  }
});

test("a closed window and a peer that is silent: ETIMEDOUT (TCP-17)", (t) => {
  const made = accepted(t, { window: 1000 });
  const { socket, run, events } = made;
  socket.write(patternFrom(0, 3000));
  acknowledge(made, 0);
  run(290_000);
  t.deepEqual(events, []);
  run(100_000);
  t.deepEqual(events, ["close " + ETIMEDOUT]);
});

test("a probe of a byte that the peer takes is a step forward", (t) => {
  const made = accepted(t, { syn: { mss: 1000 }, window: 1000 });
  const { peer, socket, run } = made;
  socket.write(patternFrom(0, 1010));
  acknowledge(made, 0);
  for (let i = 0; i < 10; i++) {
    run(500);
    const probes = peer.take();
    t.is(probes[0].seq, 1001 + i);
    t.deepEqual(probes[0].payload, patternFrom(1000 + i, 1));
    peer.send("A", { ack: 1002 + i });
  }
  run(10_000);
  peer.silent();
});

test("the window closes under what is in flight: probed, not retransmitted, and all comes again when it opens (TCP-17)", (t) => {
  const { peer, socket, run } = accepted(t, { syn: { mss: 1000 }, window: 4000 });
  socket.write(patternFrom(0, 4000));
  t.is(peer.take().length, 4);
  peer.window = 0;
  peer.send("A", { ack: 1 });
  run(20_000);
  for (const seen of peer.take()) t.true(seen.length <= 1 && seen.seq <= 1, show(seen));
  peer.window = 4000;
  peer.send("A", { ack: 1 });
  run(1000);
  const again = peer.take();
  t.is(again[0].seq, 1);
  t.is(Math.max(...again.map((seen) => seen.seq + seen.length)), 4001);
  peer.send("A", { ack: 4001 });
});

test("a window that shrinks below what is in flight does no harm (TCP-17)", (t) => {
  const { peer, socket, run, events, c } = accepted(t, { syn: { mss: 1000 }, window: 4000 });
  socket.write(patternFrom(0, 8000));
  t.is(peer.take().length, 4);
  peer.window = 500;
  peer.send("A", { ack: 1001 });
  t.true(c.sndNxt - c.sndUna > c.sndWnd);
  peer.silent();
  socket.write(patternFrom(8000, 1000));
  peer.silent("nothing new into a window that is overfull");
  run(250);
  t.deepEqual(peer.take().map(show).slice(0, 1), ["A 1001:2001 ack 1"]);
  peer.window = 8000;
  peer.send("A", { ack: 4001 });
  let got = 4001;
  for (let i = 0; i < 20; i++) {
    run(1);
    for (const seen of peer.take()) if (seen.seq <= got) got = Math.max(got, seen.seq + seen.length);
    peer.send("A", { ack: got });
  }
  t.is(got, 9001);
  t.deepEqual(events, []);
});

test("acknowledgements stay inside a window that has shrunk, so that the peer takes them", (t) => {
  const made = accepted(t, { syn: { mss: 1000 }, window: 1000 });
  const { peer, socket, run } = made;
  socket.write(patternFrom(0, 3000));
  acknowledge(made, 0);
  run(300);
  peer.expect("A", { seq: 1001, length: 1 });
  peer.send("A", { ack: 1001 });
  peer.data(0, 100, { ack: 1001 });
  peer.data(100, 100, { ack: 1001 });
  run(50);
  t.deepEqual(peer.take().map(show), ["A 1001 ack 201"]);
  socket.abort();
  t.regex(peer.take().map(show).pop()!, /^RA 1001 /);
});

test("acknowledgements are taken also while our own window is closed, and what they allow is sent", (t) => {
  for (const beyond of [0, 1]) {
    const { peer, socket, run } = accepted(t, {
      syn: { mss: 1000 },
      tcp: { receiveBuffer: 1000, maximumReceiveBuffer: 1000 },
      window: 2000,
    });
    peer.data(0, 1000);
    run(50);
    peer.expect("A", { ack: 1001, window: 0 });
    socket.write(patternFrom(0, 6000));
    t.is(peer.take().length, 2);
    // With a window probe, or behind one that was refused.
    if (beyond === 0) peer.send("A", { seq: 1001, ack: 2001 }, patternFrom(1000, 1));
    else peer.send("A", { seq: 1002, ack: 2001 });
    const more = peer.take().filter((seen) => seen.length > 0);
    t.deepEqual(more.map(show), ["A 2001:3001 ack 1001", "A 3001:4001 ack 1001"]);
    run(1);
    drain(t, socket, 0);
  }
});

test("both windows closed, data on both sides: each end gets its data through once it opens", (t) => {
  const made = accepted(t, {
    syn: { mss: 1000 },
    window: 1000,
    tcp: { receiveBuffer: 1000, maximumReceiveBuffer: 1000 },
  });
  const { peer, socket, run } = made;
  peer.data(0, 1000);
  run(50);
  peer.expect("A", { ack: 1001, window: 0 });
  socket.write(patternFrom(0, 2000));
  acknowledge(made, 0);
  run(5000);
  t.true(peer.take().every((seen) => seen.seq <= 1001));
  peer.ack = 1001;
  t.is(drain(t, socket, 0), 1000);
  t.regex(peer.take().map(show).pop()!, / ack 1001$/);
  peer.ack = 1001;
  peer.data(1000, 1000);
  peer.take();
  peer.window = 3000;
  peer.send("A", { ack: 1001 });
  run(10);
  t.is(Math.max(...peer.take().map((seen) => seen.seq + seen.length)), 2001);
  t.is(drain(t, socket, 1000), 2000);
});

test("both buffers grow with what the path holds, and no further than they may; a slow reader gets no more", (t) => {
  const run = (maximum: number, reads: boolean) => {
    const { a, b, world } = pair(t, {
      delay: 50,
      bandwidth: 1e8,
      stack: { packetMemory: 16 << 20 },
      tcp: {
        sendBuffer: 65536,
        receiveBuffer: 65536,
        maximumSendBuffer: maximum,
        maximumReceiveBuffer: maximum,
      },
    });
    const target = new Uint8Array(1 << 20);
    let received = 0;
    const sockets: TcpSocket[] = [];
    b.tcp.listen({
      port: 80,
      onConnection(socket) {
        sockets.push(socket);
        socket.handle({ onReadable: () => void (reads && (received += socket.read(target))) });
      },
    });
    const source = new Uint8Array(16384);
    const pump = () => {
      while (client.write(source) > 0);
    };
    const client = a.tcp.connect({ address: b.address, port: 80, onConnect: pump, onWritable: pump });
    world.run(5000);
    const limits = [connectionOf(client).sndLimit, connectionOf(sockets[0]!).rcvLimit];
    client.abort();
    sockets[0]!.abort();
    world.run(1000);
    return { limits, rate: (received * 8) / 5 };
  };
  const wide = run(4 << 20, true);
  t.true(
    wide.limits.every((limit) => limit > 1 << 20),
    wide.limits.join(),
  );
  t.true(wide.rate > 4e7, "more than twelve times what 64 kB would carry");
  const narrow = run(200_000, true);
  t.deepEqual(narrow.limits, [200_000, 200_000]);
  t.true(narrow.rate < 200_000 * 80 * 1.1);
  t.is(run(4 << 20, false).limits[1], 65536);
});
