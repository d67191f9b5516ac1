/**
 * Pacing: what the window allows leaves at an even rate instead of all at once, so that short queues on the path do not overflow.
 *
 * A bucket of credit for each connection, filled by the clock: no more than one wake-up a millisecond, whatever the rate. What leaves
 * at one go, a large segment for a link that cuts it included, is a millisecond's worth, or one segment where that is less.
 */
import type { Congestion } from "./congestion.js";
import { RETRY, sndEnd } from "./connection.js";
import type { Connection } from "./connection.js";
import { setDeadline } from "./timers.js";

/** Credit that a pause leaves, ms: timers of hosts are late by about so much. */
const DEPTH = 2;
/** The longest that a slow connection waits for its next segment, ms. */
const LONGEST_WAIT = 1000;
/** Windows a round trip, in tenths: beyond one, so that the window and not the pace decides how much is sent. */
const SLOW_START_GAIN = 20;
const GAIN = 12;

/** What pacing remembers of a connection. */
export class Pacer {
  /** Bytes that may be sent; below 0 what was sent ahead of its time. */
  credit = 0;
  /** When it was last filled, and what of a byte was left then (thousandths). */
  at = 0;
  rest = 0;
  /** `sentBytes` when it was last looked at. */
  sent = 0;
}

/**
 * Bytes that may be sent at one go, whole segments.
 *
 * @param rate bytes a second, above 0
 * @returns 0: nothing now; `output` is called when there is credit again
 */
export function paced(c: Connection, pacer: Pacer, rate: number): number {
  const now = c.tcp.time;
  const elapsed = (now - pacer.at) | 0;
  let depth = Math.floor((rate * DEPTH) / 1000);
  if (depth < 2 * c.mss) depth = 2 * c.mss;
  pacer.credit -= (c.sentBytes - pacer.sent) | 0;
  pacer.sent = c.sentBytes;
  if (elapsed !== 0) {
    const gained = rate * (elapsed > 0 && elapsed < LONGEST_WAIT ? elapsed : LONGEST_WAIT) + pacer.rest;
    pacer.at = now;
    pacer.rest = gained % 1000;
    pacer.credit += Math.floor(gained / 1000);
    if (pacer.credit > depth) pacer.credit = depth;
  }
  if (pacer.credit <= 0) {
    if (!waiting(c)) return 0;
    const wait = Math.ceil(((1 - pacer.credit) * 1000) / rate);
    setDeadline(c, RETRY, (now + (wait < LONGEST_WAIT ? wait : LONGEST_WAIT)) | 0);
    return 0;
  }
  const quantum = Math.floor(rate / 1000);
  const bytes = pacer.credit < quantum ? pacer.credit : quantum;
  return bytes > c.mss ? bytes - (bytes % c.mss) : c.mss;
}

/** Is there anything to send, new or lost? */
function waiting(c: Connection): boolean {
  return sndEnd(c) !== c.sndNxt || ((c.lostEdge - c.sndUna) | 0) > 0 || c.again !== null;
}

class Pacing implements Congestion {
  readonly name: string;

  constructor(private readonly inner: Congestion) {
    this.name = inner.name + "+pacing";
  }

  start(c: Connection): void {
    this.inner.start(c);
  }

  acked(c: Connection, bytes: number): void {
    this.inner.acked(c, bytes);
  }

  lost(c: Connection): void {
    this.inner.lost(c);
  }

  recovering(c: Connection, delivered: number): void {
    if (this.inner.recovering) this.inner.recovering(c, delivered);
  }

  recovered(c: Connection): void {
    this.inner.recovered(c);
  }

  timeout(c: Connection): void {
    this.inner.timeout(c);
  }

  /** The window in a round trip, and somewhat more. Before a round trip has been measured there is no pace. */
  allowance(c: Connection): number {
    if (c.srtt === 0) return c.cwnd;
    let pacer = c.pacingState as Pacer | null;
    if (!pacer) {
      c.pacingState = pacer = new Pacer();
      pacer.sent = c.sentBytes;
      pacer.at = (c.tcp.time - 1) | 0;
    }
    const gain = c.cwnd < c.ssthresh ? SLOW_START_GAIN : GAIN;
    return paced(c, pacer, Math.ceil((c.cwnd * gain * 800) / c.srtt));
  }
}

/** `tcp({ congestion: pacing(cubic()) })`. `bbr()` has its own pace. */
export function pacing(inner: Congestion): Congestion {
  return new Pacing(inner);
}
