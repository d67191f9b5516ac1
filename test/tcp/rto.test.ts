/** The retransmission timer (RFC 6298): what it is set to, how it backs off, what measures a round trip (Karn), when it gives up. */
import test from "ava";
import { EHOSTUNREACH, ETIMEDOUT } from "../../stack/core/errors.js";
import { eth, frame, icmp, ip4 } from "../support/packets.js";
import { ALL_OPTIONS, accepted, connected, patternFrom, show } from "./support.js";
import type { Met } from "./support.js";

/** Writes `bytes`; the peer acknowledges them `ms` later. */
function roundTrip({ peer, socket, run }: Met, ms: number, bytes = 10): void {
  socket.write(patternFrom(0, bytes));
  peer.take();
  run(ms);
  peer.send("A");
}

/** The estimate by the book, in floating point. */
class Estimate {
  srtt = 0;
  rttvar = 0;

  sample(r: number): void {
    if (this.srtt === 0) {
      this.srtt = r;
      this.rttvar = r / 2;
      return;
    }
    this.rttvar = 0.75 * this.rttvar + 0.25 * Math.abs(this.srtt - r);
    this.srtt = 0.875 * this.srtt + 0.125 * r;
  }

  rto(minimum: number): number {
    return this.srtt + Math.max(minimum, 4 * this.rttvar);
  }
}

for (const [name, syn] of [
  ["with timestamps", ALL_OPTIONS],
  ["without timestamps", { mss: 1460 }],
] as const) {
  test(`the estimate follows RFC 6298 section 2, ${name}`, (t) => {
    for (const minimumRto of [1, 200, 1000]) {
      const met = accepted(t, { syn, tcp: { minimumRto, initialRto: 30_000 } });
      const { c } = met;
      const book = new Estimate();
      book.sample(1);
      t.is(c.rto, 1 + Math.max(minimumRto, 2));
      for (const rtt of [100, 100, 100, 900, 50, 50, 300, 1000, 10, 10, 10, 10, 10, 700]) {
        c.rto = 30_000;
        c.srtt = Math.round(book.srtt * 8);
        c.rttvar = Math.round(book.rttvar * 4);
        roundTrip(met, rtt);
        book.sample(rtt);
        const wanted = book.rto(minimumRto);
        t.true(Math.abs(c.rto - wanted) <= 3, `${rtt}: ${c.rto}, by the book ${wanted}`);
      }
    }
  });

  test(`a segment that was sent twice measures nothing, and the timer stays backed off (Karn), ${name}`, (t) => {
    const met = accepted(t, { syn });
    const { peer, socket, run, c } = met;
    roundTrip(met, 100);
    const before = { srtt: c.srtt, rttvar: c.rttvar, rto: c.rto };
    socket.write(patternFrom(0, 10));
    run(before.rto * 3.5);
    t.is(c.rto, before.rto * 4);
    t.is(peer.take().length, 3);
    if (name === "without timestamps") {
      peer.send("A");
      t.deepEqual({ srtt: c.srtt, rttvar: c.rttvar, rto: c.rto }, { ...before, rto: before.rto * 4 });
      roundTrip(met, 100);
      t.true(c.rto < 400, "a segment that was sent once brings it down");
    } else {
      // The echo tells which transmission was answered.
      run(20);
      peer.send("A");
      t.true(c.rto < before.rto * 2);
      t.true(c.srtt < 1000 * 8);
    }
  });
}

test("the timer runs from the first segment, starts again with each acknowledgement, and stops with the last (5.1-5.3)", (t) => {
  const met = accepted(t, { syn: { mss: 100 } });
  const { peer, socket, run } = met;
  socket.write(patternFrom(0, 300));
  t.is(peer.take().length, 3);
  run(150);
  peer.send("A", { ack: 101 });
  run(150);
  peer.silent();
  run(200);
  t.is(peer.take()[0].seq, 101);
  peer.send("A", { ack: 301 });
  run(100_000);
  peer.silent();
});

test("each timeout doubles the next, 60 s at most, until the user timeout; the earliest segment goes (5.4-5.6)", (t) => {
  const { peer, socket, run, lab, events, c } = accepted(t, { syn: { mss: 100 } });
  socket.write(patternFrom(0, 500));
  t.is(peer.take().length, 5);
  const start = lab.world.time;
  const times: number[] = [];
  lab.probe.onFrame = (_bytes, parsed) => {
    times.push(lab.world.time - start);
    t.is(parsed.tcp?.seq, (1 + peer.irs) >>> 0);
    return true;
  };
  const first = c.rto;
  run(400_000);
  const wanted = [];
  for (let at = first, rto = first; at < 300_000; at += rto) {
    wanted.push(at);
    rto = Math.min(rto * 2, 60_000);
  }
  t.deepEqual(times, wanted);
  t.deepEqual(events, ["close " + ETIMEDOUT]);
});

test("a user timeout of one's own is kept to the millisecond; none: the connection lives on", (t) => {
  const { socket, run, events } = accepted(t);
  socket.setUserTimeout(7000);
  socket.write(patternFrom(0, 5));
  run(6990);
  t.deepEqual(events, []);
  run(20);
  t.deepEqual(events, ["close " + ETIMEDOUT]);

  const patient = accepted(t);
  patient.socket.setUserTimeout(0);
  patient.socket.write(patternFrom(0, 5));
  patient.run(24 * 3_600_000);
  t.deepEqual(patient.events, []);
  patient.peer.take();
  patient.peer.send("A");
  patient.run(100);
  t.is(patient.c.sndBuf.length, 0);
});

test("the user timeout counts from the last progress", (t) => {
  const { peer, socket, run, events } = accepted(t, { syn: { mss: 100 } });
  socket.setUserTimeout(5000);
  socket.write(patternFrom(0, 300));
  run(4000);
  peer.take();
  peer.send("A", { ack: 101 });
  run(4000);
  t.deepEqual(events, []);
  run(1500);
  t.deepEqual(events, ["close " + ETIMEDOUT]);
});

test("what ICMP said is told when the patience is at its end", (t) => {
  const { peer, socket, run, events, lab } = accepted(t);
  socket.setUserTimeout(5000);
  socket.write(patternFrom(0, 100));
  const sent = lab.probe.next()!;
  lab.probe.send(frame(eth(), ip4(), icmp({ type: 3, code: 1 }), sent.slice(14, 14 + 28)));
  t.deepEqual(events, []);
  run(10_000);
  peer.take();
  t.deepEqual(events, ["close " + EHOSTUNREACH]);
});

test("progress wipes out what ICMP said", (t) => {
  const { peer, socket, run, events, lab } = accepted(t);
  socket.setUserTimeout(5000);
  socket.write(patternFrom(0, 100));
  const sent = lab.probe.next()!;
  lab.probe.send(frame(eth(), ip4(), icmp({ type: 3, code: 1 }), sent.slice(14, 14 + 28)));
  peer.send("A", { ack: 101 });
  socket.write(patternFrom(100, 100));
  run(10_000);
  t.deepEqual(events, ["close " + ETIMEDOUT]);
});

test("after a timeout all comes again, as acknowledgements allow (go back to the first, slow start)", (t) => {
  const { peer, socket, run } = accepted(t, { syn: { mss: 100 } });
  socket.write(patternFrom(0, 1000));
  t.is(peer.take().length, 10);
  run(250);
  t.deepEqual(peer.take().map(show), ["A 1:101 ack 1"]);
  peer.send("A", { ack: 101 });
  t.deepEqual(peer.take().map(show), ["A 101:201 ack 1", "A 201:301 ack 1"]);
  peer.send("A", { ack: 301 });
  // One segment an acknowledgement after a timeout (RFC 3465 section 2.3).
  t.deepEqual(peer.take().map(show), ["A 301:401 ack 1", "A 401:501 ack 1", "A 501:601 ack 1"]);
  peer.send("A", { ack: 1001 });
  run(10_000);
  peer.silent();
});

test("an acknowledgement of what was in flight before a timeout makes nothing come again", (t) => {
  const { peer, socket, run } = accepted(t, { syn: { mss: 100 } });
  socket.write(patternFrom(0, 1000));
  peer.take();
  run(250);
  peer.take();
  peer.send("A", { ack: 1001 });
  peer.silent();
  socket.write(patternFrom(1000, 100));
  t.deepEqual(peer.take().map(show), ["PA 1001:1101 ack 1"]);
});

test("a retransmission may be cut anew when the segments have become smaller", (t) => {
  const { peer, socket, run, c, lab } = connected(t, { syn: { mss: 1000 } });
  socket.write(patternFrom(0, 1000));
  peer.take();
  lab.stack.setInterface(lab.nif, { mtu: 340 });
  run(250);
  t.deepEqual(peer.take().map(show), ["A 1:301 ack 1", "A 301:601 ack 1", "A 601:901 ack 1"]);
  t.is(c.mss, 300);
  peer.send("A", { ack: 901 });
  t.deepEqual(peer.take().map(show), ["PA 901:1001 ack 1"]);
  peer.send("A", { ack: 1001 });
});
