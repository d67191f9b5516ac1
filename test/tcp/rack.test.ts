/** RACK-TLP (RFC 8985): losses found by time, lost retransmissions, reordering, tail loss probes. And PRR (RFC 6937). */
import test from "ava";
import { prr } from "../../stack/tcp/prr.js";
import { newReno } from "../../stack/tcp/congestion.js";
import { rack } from "../../stack/tcp/rack.js";
import { race } from "../sim/dumbbell.js";
import { ALL_OPTIONS, WITH_SACK, accepted, patternFrom, show } from "./support.js";
import type { Fields, MeetOptions, Met } from "./support.js";

const MSS = 1000;
/** The round trip that the peer pretends, ms. */
const RTT = 100;

/** A connection with a round trip of 100 ms and `segments` segments in flight, sent in one millisecond, and nothing more to send. */
function flying(t: Parameters<typeof accepted>[0], segments: number, options: MeetOptions = {}): Met {
  const met = accepted(t, {
    syn: { ...ALL_OPTIONS, mss: MSS + 12 },
    ...options,
    tcp: { sendBuffer: 131_072, recovery: rack(), minimumRto: 400, ...options.tcp },
  });
  const { c, socket, lab } = met;
  c.srtt = RTT << 3;
  c.rttvar = 0;
  c.rto = RTT + 400;
  c.cwnd = 100 * MSS;
  socket.write(patternFrom(0, MSS));
  sent(met);
  lab.run(RTT);
  ack(met, 1);
  socket.write(patternFrom(MSS, segments * MSS));
  t.is(sent(met).length, segments);
  return met;
}

/** Which segments the stack has sent since it was last asked; a text for what is not one whole segment. */
function sent({ peer, t }: Met): (number | string)[] {
  const list = peer.take().filter((seen) => seen.length > 0);
  const ack = peer.ack;
  const found = list.map((seen) => {
    t.deepEqual(seen.payload, patternFrom(seen.seq - 1, seen.length));
    return (seen.seq - 1) % MSS === 0 && seen.length === MSS ? (seen.seq - 1) / MSS : show(seen);
  });
  peer.ack = ack;
  return found;
}

function segs(first: number, last = first): [number, number] {
  return [1 + first * MSS, 1 + (last + 1) * MSS];
}

/** The peer acknowledges all before segment `next`, and SACKs. */
function ack({ peer }: Met, next: number, sack?: [number, number][], fields: Fields = {}): void {
  peer.send("A", { ack: 1 + next * MSS, sack, ...fields });
}

test("one SACK is enough: what was sent a quarter of a round trip before the delivered segment is lost then, not after three", (t) => {
  const met = flying(t, 1);
  met.lab.run(10);
  met.socket.write(patternFrom(2 * MSS, MSS));
  t.deepEqual(sent(met), [2]);
  met.lab.run(RTT - 10);
  // Segment 1 is late; 2, sent 10 ms later, has arrived.
  met.lab.run(10);
  ack(met, 1, [segs(2)]);
  t.deepEqual(sent(met), [], "it may be reordered");
  met.lab.run(10);
  t.deepEqual(sent(met), []);
  met.lab.run(20);
  t.deepEqual(sent(met), [1], "10 ms apart, and a quarter of the round trip");
  t.is(met.lab.tcp.counters.timeouts, 0);
  t.is(met.lab.tcp.counters.fastRetransmits, 1);
});

test("a segment that comes within the reordering window is not sent again", (t) => {
  const met = flying(t, 2);
  met.lab.run(RTT);
  ack(met, 1, [segs(2)]);
  met.lab.run(15);
  ack(met, 3);
  met.lab.run(3000);
  t.deepEqual(sent(met), []);
  t.false(met.c.recovering);
  t.is(met.c.cwnd >= 100 * MSS, true);
});

test("three SACKed segments above a hole that never was reordered: at once, as always", (t) => {
  const met = flying(t, 5);
  met.lab.run(RTT);
  ack(met, 1, [segs(2, 4)]);
  t.deepEqual(sent(met), [1]);
});

test("a lost retransmission is found by what was sent after it, without a timeout", (t) => {
  const met = flying(t, 5);
  met.lab.run(RTT);
  ack(met, 1, [segs(2, 4)]);
  t.deepEqual(sent(met), [1]);
  met.lab.run(5);
  met.c.cwnd = 100 * MSS;
  met.socket.write(patternFrom(6 * MSS, 2 * MSS));
  t.deepEqual(sent(met), [6, 7]);
  met.lab.run(RTT);
  ack(met, 1, [segs(6, 7), segs(2, 4)]);
  met.lab.run(60);
  t.deepEqual(sent(met), [1, 5], "1 the second time, and 5, which nobody has seen");
  met.lab.run(RTT);
  ack(met, 8);
  t.is(met.lab.tcp.counters.timeouts, 0);
  t.false(met.c.recovering);
});

test("the last segments are lost: a probe after two round trips makes the peer tell, long before the timeout", (t) => {
  const met = flying(t, 3, { tcp: { minimumRto: 5000 } });
  met.c.rto = 6000;
  met.lab.run(RTT);
  ack(met, 2);
  // 2 and 3 are lost. Nothing more comes.
  met.lab.run(2 * RTT - 20);
  t.deepEqual(sent(met), []);
  met.lab.run(40);
  t.deepEqual(sent(met), [3], "the last one again");
  t.is(met.lab.tcp.counters.tailProbes, 1);
  met.lab.run(RTT);
  ack(met, 2, [segs(3)]);
  met.lab.run(60);
  t.deepEqual(sent(met), [2]);
  met.lab.run(RTT);
  ack(met, 4);
  t.is(met.lab.tcp.counters.timeouts, 0);
});

test("a probe that repaired a loss alone costs half of the window; one that was in vain costs nothing", (t) => {
  for (const [lost, report] of [
    [true, undefined],
    [false, segs(1)],
  ] as const) {
    const met = flying(t, 1);
    const before = met.c.cwnd;
    met.lab.run(2 * RTT + 250);
    t.deepEqual(sent(met), [1]);
    met.lab.run(RTT);
    ack(met, 2, report && [report]);
    met.socket.write(patternFrom(2 * MSS, MSS));
    t.deepEqual(sent(met), [2]);
    met.lab.run(RTT);
    ack(met, 3);
    t.is(met.c.cwnd < before, lost);
  }
});

test("new data is the better probe", (t) => {
  const met = flying(t, 1);
  met.c.cwnd = MSS;
  met.socket.write(patternFrom(2 * MSS, 3 * MSS));
  t.deepEqual(sent(met), []);
  met.lab.run(2 * RTT + 250);
  t.deepEqual(sent(met), [2]);
});

test("no probe while the peer's window is closed, none before a round trip is known, one at a time", (t) => {
  const met = flying(t, 2);
  met.lab.run(2 * RTT + 20);
  t.deepEqual(sent(met), [2]);
  met.lab.run(RTT);
  t.deepEqual(sent(met), [], "the next is the timeout's");
  t.is(met.lab.tcp.counters.tailProbes, 1);
});

test("a peer without SACK: three duplicates, as RFC 5681 has it", (t) => {
  const met = accepted(t, { syn: { mss: MSS }, tcp: { sendBuffer: 131_072, recovery: rack() } });
  met.c.cwnd = 10 * MSS;
  met.socket.write(patternFrom(0, 10 * MSS));
  sent(met);
  for (let i = 0; i < 2; i++) ack(met, 0);
  t.deepEqual(sent(met), []);
  ack(met, 0);
  t.deepEqual(sent(met), [0]);
});

test("PRR: for each two segments that are delivered one goes out, and the window ends at ssthresh", (t) => {
  const met = flying(t, 20, { tcp: { congestion: prr(newReno()) } });
  met.c.cwnd = 20 * MSS;
  met.socket.write(patternFrom(21 * MSS, 60 * MSS));
  sent(met);
  met.lab.run(RTT);
  const counts: number[] = [];
  for (let last = 4; last <= 20; last += 2) {
    ack(met, 1, [segs(2, last)]);
    counts.push(sent(met).length);
  }
  t.true(
    counts.every((count) => count <= 2),
    String(counts),
  );
  t.true(Math.abs(counts.reduce((a, b) => a + b) - 10) <= 1, String(counts));
  ack(met, 21);
  t.is(met.c.cwnd, met.c.ssthresh);
});

test("on a path that reorders RACK keeps the line busy where counting duplicates does not", (t) => {
  const line = { bandwidth: 2e7, delay: 20, queueFrames: 200, reorder: 0.05, reorderDelay: 8 };
  const [counting, timing] = [{}, { recovery: rack() }].map((tcp) => race([{ tcp }], line, 8000, 0, 3));
  t.log(`utilisation ${counting!.utilisation.toFixed(2)} and ${timing!.utilisation.toFixed(2)}`);
  t.true(timing!.utilisation > 2 * counting!.utilisation);
  t.true(timing!.outcomes[0]!.retransmitted < 30);
});

test("under loss RACK-TLP needs fewer timeouts and is faster", (t) => {
  const line = { bandwidth: 2e7, delay: 20, queueFrames: 100, loss: 0.05 };
  const [counting, timing] = [{}, { recovery: rack() }].map(
    (tcp) => race([{ tcp }], line, 20000, 0, 5).outcomes[0]!,
  );
  t.log(
    `timeouts ${counting!.timeouts} and ${timing!.timeouts}, goodput ${counting!.goodput} and ${timing!.goodput}`,
  );
  t.true(timing!.timeouts < counting!.timeouts);
  t.true(timing!.goodput > counting!.goodput);
});

test("a retransmission that is acknowledged in part, and then taken for lost, goes again without what has arrived", (t) => {
  const { c, peer, run, socket } = accepted(t, { syn: WITH_SACK, tcp: { recovery: rack() } });
  const step = (ack: number, sack?: [number, number]) => {
    t.is(socket.write(new Uint8Array(5000)), 5000);
    run(1);
    const sent = peer.take();
    peer.send("A", { ack, sack: sack && [sack] });
    return sent;
  };
  step(1, [2102, 5001]);
  step(2064);
  step(2064, [2065, 13761]);
  t.true(socket.write(new Uint8Array(5000)) > 0, "what lies below sndUna is gone from the send buffer");
  for (let i = 0; i < 20; i++) {
    run(200);
    t.true(peer.take().every(({ seq }) => seq >= 2064));
    peer.send("A");
  }
  t.is(c.sndBuf.length, 0);
});

test("TCP-22: a duplicate's report widens the reordering window once a round trip, however many bytes have passed since", (t) => {
  for (const passed of [0, 0x7fffffff, 0x80000001, 0xc0000000, 0xfff00000]) {
    const met = flying(t, 10);
    met.lab.run(RTT);
    ack(met, 1);
    const state = met.c.recoveryState as { dsackRound: number; multiplier: number };
    // As if so many had been acknowledged without such a report.
    state.dsackRound = (state.dsackRound - passed) | 0;
    const before = state.multiplier;
    ack(met, 2, [segs(0, 1)]);
    t.is(state.multiplier, before + 1, `after ${passed} bytes`);
    ack(met, 3, [segs(1, 2)]);
    t.is(state.multiplier, before + 1, "the same round");
  }
});
