/** Closing (RFC 9293 section 3.6): every order of FIN, ACK and RST, and what applications are told of it. */
import test from "ava";
import {
  CLOSED,
  CLOSE_WAIT,
  CLOSING,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  TIME_WAIT,
} from "../../stack/tcp/connection.js";
import { EADDRNOTAVAIL, ECONNRESET, EPIPE } from "../../stack/core/errors.js";
import { Peer, accepted, connected, drain, patternFrom, show } from "./support.js";

test("we close first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT", (t) => {
  const { peer, socket, events, run, lab } = accepted(t);
  socket.shutdown();
  peer.expect("FPA", { seq: 1, ack: 1 });
  t.is(socket.state(), FIN_WAIT_1);
  peer.send("A");
  t.is(socket.state(), FIN_WAIT_2);
  peer.send("FA");
  peer.expect("A", { seq: 2, ack: 2 });
  run(1);
  t.is(socket.state(), TIME_WAIT);
  t.deepEqual(events, ["end", "close 0"]);
  t.is(lab.tcp.connections.size, 0);
  t.is(lab.tcp.timeWaits.table.size, 1);
});

test("FIN with the acknowledgement of our FIN: straight to TIME-WAIT", (t) => {
  const { peer, socket, events, run } = accepted(t);
  socket.shutdown();
  peer.expect("FPA");
  peer.send("FA");
  peer.expect("A", { seq: 2, ack: 2 });
  run(1);
  t.is(socket.state(), TIME_WAIT);
  t.deepEqual(events, ["end", "close 0"]);
});

test("the peer closes first: CLOSE-WAIT, LAST-ACK, gone", (t) => {
  const { peer, socket, events, run, lab } = accepted(t);
  peer.send("FA");
  peer.expect("A", { seq: 1, ack: 2 });
  run(1);
  t.is(socket.state(), CLOSE_WAIT);
  t.deepEqual(events, ["end"]);
  socket.write(patternFrom(0, 10));
  peer.expect("PA", { seq: 1, length: 10 });
  socket.shutdown();
  peer.expect("FPA", { seq: 11 });
  t.is(socket.state(), LAST_ACK);
  peer.send("A");
  run(1);
  t.is(socket.state(), CLOSED);
  t.deepEqual(events, ["end", "close 0"]);
  t.is(lab.tcp.connections.size + lab.tcp.timeWaits.table.size, 0);
});

test("simultaneous close: CLOSING, TIME-WAIT (TCP-20)", (t) => {
  const { peer, socket, events, run } = accepted(t);
  socket.shutdown();
  peer.expect("FPA", { seq: 1 });
  peer.send("FA", { ack: 1 });
  peer.expect("A", { seq: 2, ack: 2 });
  t.is(socket.state(), CLOSING);
  run(1);
  t.deepEqual(events, ["end"]);
  peer.send("A", { ack: 2 });
  run(1);
  t.is(socket.state(), TIME_WAIT);
  t.deepEqual(events, ["end", "close 0"]);
});

test("half close: data flow on against our FIN", (t) => {
  const { peer, socket, events, run } = accepted(t);
  socket.write(patternFrom(0, 5));
  socket.shutdown();
  t.is(socket.write(patternFrom(0, 1)), EPIPE);
  t.is(socket.writable(), 0);
  peer.expect("PA", { length: 5 });
  peer.expect("FPA", { seq: 6 });
  for (let i = 0; i < 10; i++) peer.data(i * 100, 100);
  t.is(drain(t, socket, 0), 1000);
  peer.take();
  peer.send("FA");
  peer.expect("A", { ack: 1002 });
  run(1);
  t.deepEqual(events.slice(-2), ["end", "close 0"]);
});

test("a FIN goes with the last data where it fits", (t) => {
  const { peer, socket } = accepted(t, { syn: { mss: 100 } });
  socket.write(patternFrom(0, 250));
  t.deepEqual(peer.take().map(show), ["A 1:101 ack 1", "A 101:201 ack 1", "PA 201:251 ack 1"]);
  peer.send("A", { ack: 251 });
  peer.window = 0;
  peer.send("A");
  socket.write(patternFrom(250, 50));
  socket.shutdown();
  peer.silent();
  peer.window = 1000;
  peer.send("A");
  t.deepEqual(peer.take().map(show), ["FPA 251:301 ack 1"]);
});

test("a lost FIN comes again, and so does the data before it", (t) => {
  const { peer, socket, run } = accepted(t);
  socket.write(patternFrom(0, 50));
  socket.shutdown();
  peer.take();
  run(250);
  t.deepEqual(peer.take().map(show), ["FPA 1:51 ack 1"]);
  peer.send("A", { ack: 51 });
  t.is(socket.state(), FIN_WAIT_1);
  run(450);
  t.deepEqual(peer.take().map(show), ["FPA 51 ack 1"]);
  peer.send("A", { ack: 52 });
  t.is(socket.state(), FIN_WAIT_2);
});

test("a FIN before its data waits for them (TCP-20)", (t) => {
  const { peer, socket, events, run } = accepted(t);
  peer.send("FA", { seq: 101 }, patternFrom(100, 50));
  peer.expect("A", { ack: 1 });
  run(1);
  t.deepEqual(events, []);
  t.is(socket.state(), ESTABLISHED);
  peer.data(0, 100);
  peer.expect("A", { ack: 152 });
  run(1);
  t.is(drain(t, socket, 0), 150);
  run(1);
  t.deepEqual(events, ["readable 150", "end"]);
});

test("the same FIN again is acknowledged again and told once (TCP-20)", (t) => {
  const { peer, events, run } = accepted(t);
  peer.send("FA", { seq: 1 });
  peer.expect("A", { ack: 2 });
  for (let i = 0; i < 3; i++) {
    run(1000);
    peer.send("FA", { seq: 1 });
    peer.expect("A", { ack: 2 });
  }
  t.deepEqual(events, ["end"]);
});

test("data after a FIN are ignored (TCP-20)", (t) => {
  const { peer, socket, events, run } = accepted(t);
  peer.data(0, 10);
  peer.send("FA", { seq: 11 });
  peer.take();
  peer.data(11, 10);
  peer.expect("A", { ack: 12 });
  run(1);
  t.is(drain(t, socket, 0), 10);
  run(1);
  t.deepEqual(events, ["readable 10", "end"]);
});

test("data beyond a FIN that is known are no part of the stream (TCP-20)", (t) => {
  for (const late of [false, true]) {
    const { peer, socket, events, run, lab, c } = accepted(t, { syn: { mss: 1460, sackPermitted: true } });
    if (late) peer.data(30, 70);
    peer.send("FA", { seq: 51 });
    if (!late) peer.data(30, 70);
    peer.data(0, 30);
    run(1);
    if (late) {
      // The lie came first: the stream goes on behind the FIN, which is forgotten.
      t.is(drain(t, socket, 0), 100);
      t.false(c.finSeen);
      continue;
    }
    t.is(drain(t, socket, 0), 50);
    run(1);
    t.deepEqual(events, ["readable 50", "end"]);
    peer.take();
    peer.send("A");
    t.is(c.ranges.length, 0);
    t.is(lab.stack.pool.used, 0);
  }
});

test("an acknowledgement of a FIN that was not sent is none (TCP-20)", (t) => {
  const { peer, socket } = accepted(t);
  peer.send("A", { ack: 2 });
  peer.expect("A", { seq: 1, ack: 1 });
  t.is(socket.state(), ESTABLISHED);
});

test("abort: RST of the next sequence number, and the application hears no more", (t) => {
  const { peer, socket, events, run, lab } = accepted(t);
  socket.write(patternFrom(0, 10));
  peer.expect("PA");
  socket.abort();
  peer.expect("RA", { seq: 11, ack: 1 });
  socket.abort();
  socket.close();
  run(1);
  t.deepEqual(events, []);
  t.is(lab.tcp.connections.size, 0);
  t.is(lab.stack.pool.used, 0);
});

test("close with unread data is a RST (RFC 1122 section 4.2.2.13)", (t) => {
  const { peer, socket, lab } = accepted(t);
  peer.data(0, 10);
  socket.close();
  peer.expect("RA", { seq: 1, ack: 11 });
  t.is(lab.tcp.connections.size, 0);
});

test("data after close are answered by a RST (RFC 9293 section 3.6.1)", (t) => {
  for (const acknowledged of [false, true]) {
    const { peer, socket, lab } = accepted(t);
    socket.close();
    peer.expect("FPA", { seq: 1 });
    if (acknowledged) peer.send("A");
    peer.data(0, 10, { ack: acknowledged ? 2 : 1 });
    peer.expect("RA", { seq: 2 });
    peer.silent();
    t.is(lab.tcp.connections.size, 0);
    t.is(lab.tcp.counters.dataAfterClose, 1);
  }
});

test("old data that come again with the FIN are no data after close", (t) => {
  const { peer, socket, lab } = accepted(t);
  peer.data(0, 10);
  t.is(drain(t, socket, 0), 10);
  socket.close();
  peer.expect("FPA", { seq: 1, ack: 11 });
  peer.send("FA", { seq: 1 }, patternFrom(0, 10));
  peer.expect("A", { seq: 2, ack: 12 });
  t.is(lab.tcp.timeWaits.table.size, 1);
});

test("what was written before close is delivered", (t) => {
  const { peer, socket, run, lab } = accepted(t, { syn: { mss: 1000 } });
  socket.write(patternFrom(0, 50_000));
  socket.close();
  let got = 0;
  for (let i = 0; i < 100 && lab.tcp.connections.size > 0 && got < 50_001; i++) {
    run(10);
    for (const seen of peer.take()) {
      t.is(seen.seq, got + 1);
      t.deepEqual(seen.payload, patternFrom(got, seen.length));
      got += seen.length + (seen.flags.includes("F") ? 1 : 0);
    }
    peer.send("A");
  }
  t.is(got, 50_001);
  peer.send("FA");
  peer.expect("A");
  t.is(lab.stack.pool.used, 0);
});

test("a slow reader gets all that was written before close, however often its window closes (TCP-18)", (t) => {
  const { peer, socket, run, lab } = accepted(t, { syn: { mss: 1000 }, window: 1000 });
  socket.write(patternFrom(0, 60_000));
  socket.close();
  let got = 0;
  for (let i = 0; i < 60 && lab.tcp.connections.size > 0; i++) {
    for (const seen of peer.take()) got = Math.max(got, seen.seq - 1 + seen.length);
    peer.window = 0;
    peer.send("A");
    run(5000);
    peer.take();
    peer.window = 1000;
    peer.send("A", { ack: got + 1 });
  }
  t.is(got, 60_000);
});

test("FIN-WAIT-2 without an application ends after a minute, with one it waits (TCP-18)", (t) => {
  const { peer, socket, run, lab, events } = accepted(t);
  socket.close();
  peer.take();
  peer.send("A");
  run(59_000);
  t.is(lab.tcp.connections.size, 1);
  run(2000);
  t.is(lab.tcp.connections.size, 0);
  t.deepEqual(events, []);

  const patient = accepted(t);
  patient.socket.shutdown();
  patient.peer.take();
  patient.peer.send("A");
  patient.run(3_600_000);
  t.is(patient.lab.tcp.connections.size, 1);
  patient.socket.close();
  patient.run(61_000);
  t.is(patient.lab.tcp.connections.size, 0);
});

test("LAST-ACK, CLOSING and FIN-WAIT-1 end when the peer is dead, also where there is no user timeout (TCP-18)", (t) => {
  for (const [userTimeout, first] of [
    [undefined, "F"],
    [0, "F"],
    [0, ""],
    [undefined, ""],
  ] as const) {
    const { peer, socket, run, lab } = accepted(t, { tcp: { userTimeout } });
    if (first) peer.send("FA");
    socket.close();
    peer.take();
    run(400_000);
    t.is(lab.tcp.connections.size, 0, String(userTimeout) + first);
  }
});

test("RST of the next sequence number ends each state with ECONNRESET", (t) => {
  const enter: Record<string, (made: ReturnType<typeof accepted>) => void> = {
    ESTABLISHED: () => undefined,
    "CLOSE-WAIT": ({ peer }) => peer.send("FA"),
    "FIN-WAIT-1": ({ socket }) => socket.shutdown(),
    "FIN-WAIT-2": ({ socket, peer }) => {
      socket.shutdown();
      peer.send("A", { ack: 2 });
    },
    "LAST-ACK": ({ socket, peer }) => {
      peer.send("FA");
      socket.shutdown();
    },
    CLOSING: ({ socket, peer }) => {
      socket.shutdown();
      peer.send("FA", { ack: 1 });
    },
  };
  for (const [name, go] of Object.entries(enter)) {
    const made = accepted(t);
    go(made);
    made.peer.take();
    made.peer.send("R");
    made.run(1);
    t.is(made.events.pop(), "close " + ECONNRESET, name);
    made.peer.silent();
    t.is(made.lab.tcp.connections.size, 0);
  }
});

test("end is told before close, and close not before all has been read", (t) => {
  const { peer, socket, events, run } = accepted(t);
  socket.shutdown();
  peer.take();
  peer.data(0, 10, { ack: 2 });
  peer.send("FA");
  run(5);
  t.deepEqual(events, ["readable 10"]);
  t.is(socket.read(new Uint8Array(4)), 4);
  run(1);
  t.is(socket.read(new Uint8Array(100)), 6);
  run(1);
  t.deepEqual(events, ["readable 10", "end", "close 0"]);
});

test("nothing is told after close, not even to new handlers", (t) => {
  const { peer, socket, events, run } = accepted(t);
  peer.data(0, 10);
  peer.send("R");
  run(1);
  t.deepEqual(events, ["readable 10", "close " + ECONNRESET]);
  socket.read(new Uint8Array(100));
  const later: string[] = [];
  socket.handle({ onClose: (code) => void later.push("close " + code), onEnd: () => void later.push("end") });
  run(1);
  t.deepEqual(later, []);
});

test("nothing comes to life again after the end: no segment, no timer", (t) => {
  const { peer, socket, run, lab } = accepted(t);
  socket.shutdown();
  peer.take();
  lab.probe.room = false;
  peer.send("FA", { ack: 2 });
  lab.probe.room = true;
  socket.setKeepAlive(1000);
  socket.setNoDelay(true);
  run(30_000);
  peer.silent();
  t.is(socket.state(), TIME_WAIT);
  t.is(lab.stack.timers.count(), 1, "TIME-WAIT's own");
});

test("a listener that closes resets the connections that nobody has accepted", (t) => {
  const { lab, peer, socket, run, events } = accepted(t);
  const pull = lab.tcp.listen({ port: 81, onConnection: undefined });
  const other = accepted(t, { lab, port: 40001 });
  t.is(other.socket.state(), ESTABLISHED);
  const waiting = new Peer(lab, 40002, 81);
  waiting.send("S");
  waiting.expect("SA");
  waiting.send("A");
  const half = new Peer(lab, 40003, 81);
  half.send("S");
  half.expect("SA");
  pull.close();
  pull.close();
  const resets = peer.take().map((seen) => seen.flags);
  t.deepEqual(resets, ["RA", "RA"]);
  t.is(pull.accept(), null);
  t.is(lab.tcp.connections.size, 2);
  run(1);
  t.deepEqual(events, []);
  t.is(socket.state(), ESTABLISHED);
});

test("a stack that closes tells its sockets, and says no word to the peers", (t) => {
  const { lab, events, peer, run } = connected(t);
  lab.stack.close();
  run(1);
  t.is(events.length, 3);
  t.is(events[2], "close " + EADDRNOTAVAIL);
  peer.silent();
});
