/** Pacing, windows of senders that pause (RFC 7661), delivery rates and BBR (draft-ietf-ccwg-bbr): arithmetic, bounds, and what they do on simulated paths. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { bbr } from "../../stack/tcp/bbr.js";
import { newReno } from "../../stack/tcp/congestion.js";
import type { Congestion } from "../../stack/tcp/congestion.js";
import { RETRY } from "../../stack/tcp/connection.js";
import type { Connection } from "../../stack/tcp/connection.js";
import { cubic } from "../../stack/tcp/cubic.js";
import { ecn } from "../../stack/tcp/ecn.js";
import { hystart } from "../../stack/tcp/hystart.js";
import { Pacer, paced, pacing } from "../../stack/tcp/pacing.js";
import { prr } from "../../stack/tcp/prr.js";
import { revalidation } from "../../stack/tcp/revalidation.js";
import { rack } from "../../stack/tcp/rack.js";
import { race } from "../sim/dumbbell.js";
import type { Flow } from "../sim/dumbbell.js";
import { WITH_SACK, accepted } from "./support.js";

const MSS = 1000;

/** A connection that always has something to send, and how often it has asked for a deadline. */
function sender(): { c: Connection; clock: { time: number }; asked: number[] } {
  const asked: number[] = [];
  const timers = { set: (_: unknown, at: number) => void asked.push(at) };
  const clock = { time: 1000, stack: { timers } };
  const c = {
    tcp: clock,
    mss: MSS,
    sentBytes: 0,
    sndNxt: 0,
    sndUna: 0,
    lostEdge: 0,
    again: null,
    sndBufSeq: 0,
    sndBuf: { length: 1 << 30 },
    finQueued: false,
    armed: 0,
    deadlines: [0, 0, 0, 0, 0, 0, 0],
    timer: { slot: -1, at: 0 },
  } as unknown as Connection;
  return { c, clock, asked };
}

test("pacing: never more than the rate and two milliseconds' worth; whole segments; one deadline a millisecond at most", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 2e9 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 200 }),
      fc.integer({ min: -0x80000000, max: 0x7fffffff }),
      (rate, steps, start) => {
        const { c, clock, asked } = sender();
        clock.time = start;
        const pacer = new Pacer();
        pacer.at = start;
        c.sentBytes = pacer.sent = start;
        const most = Math.max(Math.floor(rate / 1000), MSS);
        let sent = 0;
        let elapsed = 0;
        let deadlines = 0;
        for (const step of steps) {
          clock.time = (clock.time + step) | 0;
          elapsed += step;
          asked.splice(0);
          for (;;) {
            const bytes = paced(c, pacer, rate);
            if (bytes === 0) break;
            if (bytes > most || bytes % MSS !== 0) return false;
            sent += bytes;
            c.sentBytes = (c.sentBytes + bytes) | 0;
          }
          if (asked.length > 1 || ((asked[0]! - clock.time) | 0) < 1) return false;
          deadlines += asked.length;
        }
        const depth = Math.max((rate * 2) / 1000, 2 * MSS);
        return sent <= (rate * elapsed) / 1000 + depth + most && deadlines <= steps.length;
      },
    ),
  );
  t.pass();
});

test("pacing: a clock that wakes it each millisecond gets the whole rate, to the byte", (t) => {
  const { c, clock } = sender();
  const pacer = new Pacer();
  pacer.at = clock.time;
  const rate = 1_234_567;
  let sent = 0;
  for (let i = 0; i < 10000; i++) {
    clock.time++;
    for (let bytes = paced(c, pacer, rate); bytes > 0; bytes = paced(c, pacer, rate)) {
      sent += bytes;
      c.sentBytes += bytes;
    }
  }
  t.true(Math.abs(sent - rate * 10) <= 2 * MSS, String(sent));
});

test("pacing: large segments for a link that cuts them hold a millisecond's worth, and one segment where that is less", (t) => {
  for (const [rate, bytes] of [
    [100_000_000, 100_000],
    [12_345_678, 12_000],
    [1000, MSS],
  ] as const) {
    const { c, clock } = sender();
    const pacer = new Pacer();
    pacer.at = clock.time - 100;
    t.is(paced(c, pacer, rate), bytes);
  }
});

test("a paced window leaves over the round trip instead of at once, and no timer runs when all is sent", (t) => {
  const tcp = { congestion: pacing(newReno()), timestamps: false };
  const met = accepted(t, { syn: WITH_SACK, tcp });
  const { peer, run, socket } = met;
  met.c.srtt = 100 << 3;
  met.c.cwnd = 20 * met.c.mss;
  socket.write(new Uint8Array(20 * met.c.mss));
  const counts: number[] = [];
  for (let ms = 0; ms < 60; ms += 10) {
    counts.push(peer.take().length);
    run(10);
  }
  counts.push(peer.take().length);
  // Two windows a round trip in slow start: four segments in ten milliseconds, and two at the beginning.
  t.is(counts[0], 1, "a segment of credit");
  for (const count of counts.slice(1, 5)) t.true(count >= 3 && count <= 5, counts.join());
  t.is(
    counts.reduce((sum, count) => sum + count),
    20,
    counts.join(),
  );
  t.is(met.c.armed & (1 << RETRY), 0, "nothing is to be sent");
});

test("pacing uses more of a path whose queue holds three frames", (t) => {
  const line = { bandwidth: 1e7, delay: 20, queueFrames: 3 };
  const parts = prr(cubic({ slowStart: hystart() }));
  const [plain, even] = [parts, pacing(parts)].map((congestion) =>
    race([{ tcp: { congestion, recovery: rack() } }], line, 8000),
  );
  t.log(`utilisation ${plain!.utilisation.toFixed(3)} and ${even!.utilisation.toFixed(3)}`);
  t.true(even!.utilisation > plain!.utilisation);
});

test("pacing hands on what it wraps: PRR inside of it reduces the window with each delivery", (t) => {
  const congestion = pacing(prr(cubic()));
  t.is(congestion.name, "cubic+prr+pacing");
  const { outcomes } = race(
    [{ tcp: { congestion, recovery: rack() } }],
    { bandwidth: 1e7, delay: 50, queueFrames: 20, loss: 0.01 },
    5000,
  );
  t.true(outcomes[0]!.goodput > 1e6);
});

/** Bursts of `segments` with pauses of `pause` ms over a path of 100 ms; how many segments of the last one leave in the first 50 ms. */
function bursts(t: ExecutionContext, congestion: Congestion, count: number, pause: number, segments = 40) {
  const met = accepted(t, { syn: WITH_SACK, tcp: { congestion } });
  const { c, peer, run, socket } = met;
  let first = 0;
  for (let burst = 0; burst < count; burst++) {
    socket.write(new Uint8Array(segments * c.mss));
    for (let round = 0; round < 20; round++) {
      run(50);
      const sent = peer.take().length;
      if (round === 0) first = sent;
      // Every second segment is acknowledged, as a receiver does.
      run(50);
      const acks = Math.ceil((peer.ack - ((c.sndUna - c.iss) | 0)) / (2 * c.mss));
      for (let i = acks - 1; i >= 0; i--) peer.send("A", { ack: peer.ack - i * 2 * c.mss });
    }
    run(pause);
  }
  return { ...met, first };
}

test("RFC 7661: a window that bursts have shown to be good outlives pauses; without it each burst starts slowly", (t) => {
  const plain = bursts(t, newReno(), 4, 5000);
  t.is(plain.first, 10);
  const kept = bursts(t, revalidation(newReno()), 4, 5000);
  t.is(kept.first, 40);
  t.is(kept.c.congestionState, null);
});

test("RFC 7661: after five minutes of little use the window is halved, step by step to the initial one", (t) => {
  const { c, run, socket, peer } = bursts(t, revalidation(newReno()), 4, 1000);
  const before = c.cwnd;
  t.true(before >= 40 * c.mss);
  const windows: number[] = [];
  for (let minute = 0; minute < 31; minute++) {
    run(60_000);
    socket.write(new Uint8Array(100));
    peer.take();
    peer.send("A");
    windows.push(c.cwnd);
  }
  t.is(windows[3], before);
  t.is(windows[5], before >> 1);
  t.is(windows.at(-1), 10 * c.mss);
  t.true(c.ssthresh >= (before * 3) >> 2);
});

test("RFC 7661: a loss in a window that was not used leaves half of what was used", (t) => {
  const { c, run, socket, peer } = bursts(t, revalidation(pacing(newReno())), 4, 1000);
  const before = c.cwnd;
  for (let i = 0; i < 40; i++) {
    socket.write(new Uint8Array(6 * c.mss));
    run(100);
    peer.take();
    peer.send("A");
  }
  t.is(c.cwnd, before);
  socket.write(new Uint8Array(6 * c.mss));
  run(100);
  peer.take();
  const una = peer.ack - 6 * c.mss;
  peer.send("A", { ack: una, sack: [[una + c.mss, peer.ack]] });
  t.true(c.recovering);
  t.true(c.cwnd <= 3 * c.mss, `${c.cwnd} of ${before}`);
});

test("BBR fills a line with a deep queue and leaves the queue all but empty; CUBIC fills both", (t) => {
  const line = { bandwidth: 5e6, delay: 20, queueFrames: 300 };
  const [full, lean] = [cubic(), bbr()].map(
    (congestion) => race([{ tcp: { congestion, recovery: rack() } }], line, 12000, 2000).outcomes[0]!,
  );
  t.log(`CUBIC ${full!.goodput}, ${full!.rtt95} ms; BBR ${lean!.goodput}, ${lean!.rtt95} ms`);
  t.true(lean!.goodput > 0.9 * full!.goodput);
  t.true(lean!.rtt95 < 100);
  t.true(full!.rtt95 > 300);
  t.is(lean!.retransmitted, 0);
});

test("BBR does not take 1 % of random loss for congestion", (t) => {
  const line = { bandwidth: 1e7, delay: 20, queueFrames: 100, loss: 0.01 };
  const { outcomes } = race([{ tcp: { congestion: bbr(), recovery: rack() } }], line, 8000);
  t.true(outcomes[0]!.goodput > 0.8 * line.bandwidth, String(outcomes[0]!.goodput));
});

test("BBR gives half of the line to a flow that comes later", (t) => {
  const flow = (start: number): Flow => ({ tcp: { congestion: bbr(), recovery: rack() }, start });
  const line = { bandwidth: 5e6, delay: 20, queueFrames: 100 };
  const { fairness, utilisation } = race([flow(0), flow(3000)], line, 30000, 10000);
  t.log(`Jain's index ${fairness.toFixed(3)}, utilisation ${utilisation.toFixed(2)}`);
  t.true(fairness > 0.9);
  t.true(utilisation > 0.85);
});

test("BBR works without SACK, and takes ECN's echo for a loss", (t) => {
  const line = { bandwidth: 5e6, delay: 20, queueFrames: 60, loss: 0.001 };
  for (const receiver of [{ sack: false }, { timestamps: false }]) {
    const tcp = { congestion: bbr(), ecn: ecn() };
    const { utilisation } = race([{ tcp }], line, 8000, 2000, 1, { ...receiver, ecn: ecn() });
    t.true(utilisation > 0.6, JSON.stringify(receiver) + utilisation);
  }
});

test("BBR: an application that pauses and trickles leaves the model as it was, and never stalls", (t) => {
  const met = accepted(t, { syn: WITH_SACK, tcp: { congestion: bbr(), recovery: rack() } });
  const { c, peer, run, socket } = met;
  for (let i = 0; i < 50; i++) {
    t.is(socket.write(new Uint8Array(100)), 100);
    run(20);
    const sent = peer.take();
    t.true(sent.length >= 1, `write ${i}`);
    peer.send("A");
    run(i % 10 === 9 ? 20000 : 5);
  }
  t.is(c.sndUna, c.sndNxt);
  t.true(c.cwnd >= 4 * c.mss);
});

test("whatever the peer acknowledges, BBR's window is an integer of a segment at least, and its data all arrive", (t) => {
  const step = fc.record({
    what: fc.constantFrom("ack", "part", "sack", "dup", "wait", "long"),
    share: fc.integer({ min: 0, max: 100 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, withRack) => {
      const tcp = { congestion: bbr(), ...(withRack ? { recovery: rack() } : {}) };
      const met = accepted(t, { syn: WITH_SACK, tcp });
      const { c, peer, run, socket } = met;
      let una = 1;
      for (const { what, share } of steps) {
        socket.write(new Uint8Array(5000));
        run(1);
        peer.take();
        const flight = peer.ack - una;
        const edge = una + Math.floor((flight * share) / 100);
        if (what === "ack") una = peer.ack;
        if (what === "part") una = edge;
        if (what === "sack" && edge < peer.ack) peer.send("A", { ack: una, sack: [[edge + 1, peer.ack]] });
        else if (what === "wait") run(share);
        else if (what === "long") run(share * 100);
        else peer.send("A", { ack: una });
        if (!Number.isInteger(c.cwnd) || c.cwnd < Math.min(c.mss, 536)) return false;
      }
      for (let i = 0; i < 2000 && c.sndUna !== c.sndNxt + c.sndBuf.length; i++) {
        run(200);
        peer.take();
        peer.send("A");
        if (c.sndBuf.length === 0) break;
      }
      return c.sndBuf.length === 0;
    }),
    { numRuns: 60 },
  );
  t.pass();
});
