/** TIME-WAIT (RFC 9293 section 3.6.1): answers, restarts, assassins (RFC 1337), reuse (RFC 6191), expiry, recycling, memory. */
import test from "ava";
import { ALL_OPTIONS, Peer, accepted, connected, lab, patternFrom } from "./support.js";
import type { MeetOptions, Met } from "./support.js";
import { PROBE_IP } from "../support/packets.js";

/** A flow in TIME-WAIT that the peer had opened. */
function waiting(t: Parameters<typeof accepted>[0], options: MeetOptions = {}): Met {
  const met = accepted(t, options);
  met.socket.close();
  met.peer.expect("FPA");
  met.peer.send("FA");
  met.peer.expect("A", { seq: 2, ack: 2 });
  t.is(met.lab.tcp.timeWaits.table.size, 1);
  return met;
}

test("the peer's FIN again is acknowledged again, and the time starts anew; other segments do not prolong it", (t) => {
  const { peer, run, lab: home } = waiting(t);
  run(50_000);
  peer.send("FA", { seq: 1 });
  peer.expect("A", { seq: 2, ack: 2 });
  run(50_000);
  t.is(home.tcp.timeWaits.table.size, 1);
  for (let i = 0; i < 5; i++) {
    peer.send("FA", { seq: 3000 });
    peer.send("A", { seq: 1 }, "late");
  }
  peer.take();
  run(11_000);
  t.is(home.tcp.timeWaits.table.size, 0);
  // The neighbour is thought reachable for a while yet.
  run(60_000);
  t.is(home.stack.timers.count(), 0);
  peer.send("FA", { seq: 1 });
  peer.expect("R", { seq: 2 });
});

test("RFC 1337: no RST ends TIME-WAIT; old data and old ACKs do not either (TCP-09)", (t) => {
  const { peer, lab: home } = waiting(t);
  for (const seq of [2, 1, 3, 100_000]) {
    peer.send("R", { seq });
    peer.send("RA", { seq });
  }
  peer.silent();
  peer.send("A", { seq: 1, ack: 1 }, "old");
  peer.expect("A", { seq: 2, ack: 2 });
  peer.send("A", { seq: 2, ack: 2 });
  peer.silent("an ACK that is in order needs none");
  t.is(home.tcp.timeWaits.table.size, 1);
});

test("TCP-06: a SYN beyond the old sequence numbers opens a new connection, whose own start beyond theirs", (t) => {
  const { peer, lab: home, c } = waiting(t);
  const old = c.sndNxt;
  peer.send("S", { seq: 2, mss: 1460 });
  peer.expect("A", { seq: 2, ack: 2 });
  const again = new Peer(home, peer.port, 80, peer.iss + 3);
  again.send("S", { mss: 1460 });
  again.expect("SA", { ack: 1 });
  t.true(((again.irs - old) | 0) > 0);
  t.is(home.tcp.timeWaits.table.size, 0);
  again.send("A");
  t.is(home.tcp.counters.accepts, 2);
});

test("RFC 6191: with timestamps a later clock is enough, and a sequence number alone is not", (t) => {
  const { peer, lab: home, run } = waiting(t, { syn: ALL_OPTIONS });
  const stamp = peer.clock;
  run(10);
  const lower = new Peer(home, peer.port, 80, peer.iss - 500_000);
  lower.send("S", { ...ALL_OPTIONS, timestamps: [stamp - 1000, 0] });
  t.deepEqual(lower.take().length, 1);
  t.is(home.tcp.timeWaits.table.size, 1);
  const higher = new Peer(home, peer.port, 80, peer.iss + 500_000);
  higher.send("S", { ...ALL_OPTIONS, timestamps: [stamp - 1000, 0] });
  t.is(home.tcp.timeWaits.table.size, 1);
  higher.take();
  lower.send("S", { seq: 0, ...ALL_OPTIONS, timestamps: [stamp + 1000, 0] });
  lower.expect("SA", { ack: 1 });
});

test("no SYN ends a TIME-WAIT at whose port nobody listens", (t) => {
  const { peer, socket, lab: home } = connected(t);
  socket.close();
  peer.expect("FPA");
  peer.send("FA");
  peer.expect("A");
  peer.send("S", { seq: 500_000, mss: 1460 });
  peer.expect("A", { seq: 2, ack: 2 });
  t.is(home.tcp.timeWaits.table.size, 1);
});

test("its acknowledgements echo the peer's timestamps, and no other flow's", (t) => {
  const home = lab(t);
  const met = waiting(t, { lab: home, syn: ALL_OPTIONS });
  const other = accepted(t, { lab: home, port: 41_000, syn: ALL_OPTIONS });
  met.run(100);
  met.peer.send("FA", { seq: 1, timestamps: [7777, 0] });
  met.peer.expect("A", { timestamps: (stamps) => stamps[1] === 7777 });
  other.peer.send("A", { timestamps: [123_456, 0] });
  other.peer.silent();
  met.peer.send("FA", { seq: 1, timestamps: null });
  const seen = met.peer.expect("A");
  t.not(seen.tcp.timestamps?.[1], 123_456);
});

test("the local port of a flow in TIME-WAIT is not used again for the same peer", (t) => {
  const { peer, socket, lab: home } = connected(t, { connect: { localPort: 5000 } });
  socket.close();
  peer.expect("FPA");
  peer.send("FA");
  peer.expect("A");
  const again = (port: number) => () => home.tcp.connect({ address: PROBE_IP, port, localPort: 5000 });
  t.throws(again(7000), { code: "EADDRINUSE" });
  t.notThrows(again(7001));
  home.run(61_000);
  t.notThrows(again(7000));
});

test("TCP-18: records are bounded; the oldest goes first; new connections are taken all the time", (t) => {
  const home = lab(t, { tcp: { timeWaitLimit: 100, timeWait: 60_000 } });
  for (let i = 0; i < 1000; i++) {
    const met = accepted(t, { lab: home, port: 10_000 + i });
    met.socket.close();
    met.peer.take();
    met.peer.send("FA");
    met.peer.take();
    t.true(home.tcp.timeWaits.table.size <= 100);
  }
  t.is(home.tcp.counters.accepts, 1000);
  t.is(home.tcp.counters.timeWaitRecycled, 900);
  const ports = new Set<number>();
  home.tcp.timeWaits.table.each((record) => ports.add(record.remotePort));
  t.true(ports.has(10_999) && ports.has(10_900) && !ports.has(10_899));
  home.run(60_000);
  t.is(home.tcp.timeWaits.table.size, 0);
});

test("records go in the order of their ends, each at its time", (t) => {
  const home = lab(t);
  const mets = [0, 1, 2].map((i) => {
    const met = waitingAt(i);
    home.run(10_000);
    return met;
  });
  // The first starts anew: it is the last to go.
  mets[0].peer.send("FA", { seq: 1 });
  mets[0].peer.take();
  const sizes = [];
  for (let i = 0; i < 7; i++) {
    home.run(10_000);
    sizes.push(home.tcp.timeWaits.table.size);
  }
  t.deepEqual(sizes, [3, 3, 3, 2, 1, 0, 0]);

  function waitingAt(i: number): Met {
    const met = accepted(t, { lab: home, port: 40_000 + i });
    met.socket.close();
    met.peer.take();
    met.peer.send("FA");
    met.peer.take();
    return met;
  }
});

test("a limit of 0 keeps none", (t) => {
  const met = accepted(t, { tcp: { timeWaitLimit: 0 } });
  met.socket.close();
  met.peer.take();
  met.peer.send("FA");
  met.peer.expect("A", { ack: 2 });
  t.is(met.lab.tcp.timeWaits.table.size, 0);
  met.peer.send("FA", { seq: 1 });
  met.peer.expect("R");
});

test("what was received stays readable in TIME-WAIT, and a socket of it is closed without a word", (t) => {
  const { peer, socket, run, lab: home } = accepted(t);
  peer.data(0, 100);
  socket.shutdown();
  peer.take();
  peer.send("FA", { ack: 2 });
  peer.expect("A");
  run(61_000);
  t.is(socket.readable(), 100);
  const target = new Uint8Array(40);
  t.is(socket.read(target), 40);
  t.deepEqual(target, patternFrom(0, 40));
  socket.close();
  peer.silent();
  t.is(home.stack.pool.used, 0);
});
