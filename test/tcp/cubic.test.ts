/** CUBIC (RFC 9438) against the RFC's formulas in floating point, and HyStart++ (RFC 9406). */
import test from "ava";
import fc from "fast-check";
import type { Congestion } from "../../stack/tcp/congestion.js";
import { newReno } from "../../stack/tcp/congestion.js";
import type { Connection } from "../../stack/tcp/connection.js";
import { cubic } from "../../stack/tcp/cubic.js";
import { hystart } from "../../stack/tcp/hystart.js";
import { race } from "../sim/dumbbell.js";

const MSS = 1000;

/** What a congestion control sees of a connection whose window is always full. */
interface Flow {
  c: Connection;
  clock: { time: number };
  part: Congestion;
}

function flow(part: Congestion, segments: number, rtt: number): Flow {
  const clock = { time: 1000 };
  const c = {
    tcp: clock,
    mss: MSS,
    cwnd: 0,
    ssthresh: 0x3fffffff,
    srtt: rtt << 3,
    rtt,
    ackedBytes: 0,
    congestionState: null,
    slowStartState: null,
    recover: 0,
    retries: 0,
    sndUna: 0,
    sndNxt: 0,
    flight: 0,
  } as unknown as Connection;
  part.start(c);
  c.cwnd = segments * MSS;
  return { c, clock, part };
}

/** One round trip in which all of a full window is acknowledged, segment by segment. */
function round({ c, clock, part }: Flow, rtt: number): void {
  const segments = Math.floor(c.cwnd / MSS);
  c.sndNxt = (c.sndUna + segments * MSS) | 0;
  const start = clock.time;
  for (let i = 0; i < segments; i++) {
    clock.time = start + Math.floor((rtt * (i + 1)) / segments);
    c.flight = c.cwnd;
    c.sndUna = (c.sndUna + MSS) | 0;
    part.acked(c, MSS);
  }
  clock.time = start + rtt;
}

function lose({ c, part }: Flow): void {
  c.sndNxt = (c.sndUna + c.cwnd) | 0;
  part.lost(c);
  part.recovered(c);
}

test("the window follows W_cubic(t) = 0.4 (t - K)^3 + W_max", (t) => {
  const rtt = 100;
  const subject = flow(cubic(), 1000, rtt);
  lose(subject);
  t.is(subject.c.cwnd, 700 * MSS, "beta is 0.7");
  const k = Math.cbrt((1000 - 700) / 0.4);
  const begin = subject.clock.time;
  for (let i = 0; i < 160; i++) {
    round(subject, rtt);
    const time = (subject.clock.time - begin) / 1000;
    const wanted = 0.4 * (time - k) ** 3 + 1000;
    const error = Math.abs(subject.c.cwnd / MSS - wanted);
    t.true(error < 0.02 * wanted, `${time} s: ${subject.c.cwnd / MSS} segments, not ${wanted}`);
  }
});

test("where Reno would be faster the window grows as Reno's, by 9/17 of a segment a round trip and then by a whole one", (t) => {
  const rtt = 10;
  const subject = flow(cubic(), 20, rtt);
  lose(subject);
  t.is(subject.c.cwnd, 14 * MSS);
  for (let i = 0; i < 10; i++) round(subject, rtt);
  const grown = (subject.c.cwnd - 14 * MSS) / MSS;
  t.true(grown > 4.4 && grown < 5.6, `${grown} segments in ten round trips, not 5.3`);
  while (subject.c.cwnd < 20 * MSS) round(subject, rtt);
  const before = subject.c.cwnd;
  for (let i = 0; i < 10; i++) round(subject, rtt);
  const more = (subject.c.cwnd - before) / MSS;
  t.true(more > 8.5 && more < 11, `${more} segments in ten round trips, not 10`);
});

test("fast convergence: a second loss below the last plateau lowers it further", (t) => {
  const subject = flow(cubic(), 1000, 100);
  lose(subject);
  lose(subject);
  // W_max is 0.85 * 700; the window is back there after K = cbrt((595 - 490) / 0.4) seconds, with next to no slope.
  const k = Math.cbrt((595 - 490) / 0.4);
  for (let time = 0; time < k * 1000; time += 100) round(subject, 100);
  t.true(Math.abs(subject.c.cwnd / MSS - 595) < 8, String(subject.c.cwnd));
});

test("a timeout: one segment, slow start to 0.7 of what was in flight, and a plateau where it ends", (t) => {
  const subject = flow(cubic(), 100, 50);
  subject.c.sndNxt = 100 * MSS;
  subject.c.retries = 1;
  subject.part.timeout(subject.c);
  t.is(subject.c.cwnd, MSS);
  t.is(subject.c.ssthresh, 70 * MSS);
  subject.c.retries = 2;
  subject.part.timeout(subject.c);
  t.is(subject.c.ssthresh, 70 * MSS, "a second one of the series is no news");
});

test("an application that pauses does not find a window of the time that it slept", (t) => {
  const subject = flow(cubic(), 1000, 100);
  lose(subject);
  for (let i = 0; i < 20; i++) round(subject, 100);
  const before = subject.c.cwnd;
  subject.clock.time += 60000;
  subject.c.flight = 0;
  subject.part.acked(subject.c, MSS);
  round(subject, 100);
  t.true(subject.c.cwnd < before * 1.1, `${before} became ${subject.c.cwnd}`);
});

test("whatever happens the window stays an integer between a segment and one and a half of itself a round trip", (t) => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.constant("round") },
    fc.constantFrom("lost", "timeout", "pause", "small"),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 80 }),
      fc.integer({ min: 2, max: 400 }),
      fc.integer({ min: 1, max: 3000 }),
      fc.boolean(),
      (steps, segments, rtt, gentle) => {
        const subject = flow(cubic(gentle ? { slowStart: hystart() } : {}), segments, rtt);
        const { c } = subject;
        c.ssthresh = segments * MSS;
        for (const what of steps) {
          const before = c.cwnd;
          if (what === "round" && c.cwnd < 2000 * MSS) round(subject, rtt);
          else if (what === "lost") lose(subject);
          else if (what === "timeout") subject.part.timeout(c);
          else if (what === "pause") subject.clock.time += 100000;
          else if (what === "small") {
            c.flight = 0;
            subject.part.acked(c, 1);
          }
          if (!Number.isInteger(c.cwnd) || c.cwnd < MSS || c.cwnd > before * 3 + 3 * MSS) return false;
          if (!Number.isInteger(c.ackedBytes) || c.ackedBytes < 0) return false;
        }
        return true;
      },
    ),
  );
  t.pass();
});

test("on a long path with a small queue CUBIC uses half as much again as NewReno", (t) => {
  const line = { bandwidth: 5e7, delay: 50, queueFrames: 100 };
  const [reno, better] = [newReno(), cubic()].map((congestion) =>
    race([{ tcp: { congestion } }], line, 15000),
  );
  t.log(`newreno ${reno!.utilisation.toFixed(2)}, cubic ${better!.utilisation.toFixed(2)}`);
  t.true(better!.utilisation > 1.5 * reno!.utilisation);
});

test("two CUBIC flows share a line fairly, whoever came first", (t) => {
  const line = { bandwidth: 2e7, delay: 20, queueFrames: 80 };
  const flows = [{ tcp: { congestion: cubic() } }, { tcp: { congestion: cubic() }, start: 3000 }];
  const { fairness, utilisation } = race(flows, line, 30000, 10000);
  t.log(`Jain's index ${fairness.toFixed(3)}, utilisation ${utilisation.toFixed(2)}`);
  t.true(fairness > 0.95);
  t.true(utilisation > 0.9);
});

test("HyStart++ leaves slow start before a deep queue overflows: nothing is lost where plain slow start loses hundreds", (t) => {
  const line = { bandwidth: 1e7, delay: 10, queueFrames: 400 };
  const run = (congestion: Congestion) => race([{ tcp: { congestion } }], line, 4000).outcomes[0]!;
  const plain = run(newReno());
  const gentle = run(newReno({ slowStart: hystart() }));
  t.log(`retransmitted: ${plain.retransmitted} and ${gentle.retransmitted}`);
  t.true(plain.retransmitted > 100);
  t.is(gentle.retransmitted, 0);
  t.true(gentle.goodput >= plain.goodput);
});

test("TCP-22: HyStart++ counts rounds however many bytes have passed since the last one", (t) => {
  for (const passed of [0x7fffffff, 0x80000001, 0xc0000000, 0xfff00000]) {
    const flown = flow(newReno({ slowStart: hystart() }), 10, 50);
    round(flown, 50);
    const state = flown.c.slowStartState as { windowEnd: number };
    // As if so many had been acknowledged while the window was not full, and slow start not asked.
    state.windowEnd = (state.windowEnd - passed) | 0;
    round(flown, 50);
    t.true(((flown.c.sndNxt - state.windowEnd) | 0) <= 20 * MSS, `after ${passed} bytes`);
    t.true(((flown.c.sndNxt - state.windowEnd) | 0) >= 0);
  }
});
