/**
 * CUBIC congestion control (RFC 9438) in integers.
 *
 * The window follows a cube of the time since the last congestion: flat where the loss was, steep far from it. Below a
 * certain bandwidth-delay product it grows as Reno would. Windows are bytes; the cube is reckoned in 64ths of a segment.
 */
import { initialWindow } from "./congestion.js";
import type { Congestion } from "./congestion.js";
import { outstanding } from "./connection.js";
import type { Connection } from "./connection.js";
import { plainSlowStart } from "./slowstart.js";
import type { SlowStart } from "./slowstart.js";

/** Multiplicative decrease of 0.7, and of 0.85 for what fast convergence gives away, in hundredths (RFC 9438, 4.6, 4.7). */
const BETA = 70;
const FAST_CONVERGENCE = 85;
/** Additive increase of the Reno-friendly estimate, 3 (1 - 0.7) / (1 + 0.7) = 9/17 (section 4.3). */
const ALPHA_NUMERATOR = 9;
const ALPHA_DENOMINATOR = 17;
/** Time is counted in units of 4 ms: 1 / (0.4 segments/s^3 * (0.004 s)^3 * 64) of them cubed are a 64th of a segment. */
const UNIT_SHIFT = 2;
const CUBE_DIVISOR = 610352;
/** Two minutes: further from the plateau the cube says no more than "much". */
const LONGEST = 32767;

export interface CubicOptions {
  /** Default `plainSlowStart()`; `hystart()` leaves it before the queue overflows. */
  slowStart?: SlowStart;
}

/** What a connection remembers of its last congestion. */
class Cubic {
  /** The window before it, bytes; where the plateau lies. */
  wMax = 0;
  /** The window just before the decrease: up to it the Reno-friendly estimate grows by alpha. */
  prior = 0;
  /** Congestion avoidance has begun, at `epoch` (stack time), K units of 4 ms before the plateau. */
  started = false;
  epoch = 0;
  k = 0;
  /** Reno-friendly estimate, bytes, and what has been done towards its next byte. */
  estimate = 0;
  estimateWork = 0;
  /** When the last ACK came, to take a pause of the application out of the epoch (section 4.2). */
  lastAck = 0;
}

/** Integer cube root of `x`, 0 <= x < 2^48, rounded down. */
function cubeRoot(x: number): number {
  let root = 0;
  for (let bit = 32768; bit > 0; bit >>= 1) {
    const next = root + bit;
    if (next * next * next <= x) root = next;
  }
  return root;
}

/** Bytes of window that lie `units` behind (or before) the plateau. */
function cube(units: number, mss: number): number {
  const far = units < 0 ? -units : units;
  const at = far < LONGEST ? far : LONGEST;
  const bytes = Math.floor((Math.floor((at * at * at) / CUBE_DIVISOR) * mss) / 64);
  return units < 0 ? -bytes : bytes;
}

function begin(c: Connection, state: Cubic, now: number): void {
  state.started = true;
  state.epoch = now;
  state.estimate = c.cwnd;
  state.estimateWork = 0;
  if (state.wMax <= c.cwnd) {
    state.wMax = c.cwnd;
    state.k = 0;
    return;
  }
  state.k = cubeRoot(Math.floor(((state.wMax - c.cwnd) * 64) / c.mss) * CUBE_DIVISOR);
}

/** Congestion avoidance (sections 4.2 to 4.5): one ACK of `bytes`. */
function grow(c: Connection, state: Cubic, bytes: number): void {
  const now = c.tcp.time;
  if (!state.started) begin(c, state, now);
  // Where the curve will be in a round trip; between the window of now and one and a half of it.
  const units = (((now - state.epoch) | 0) + (c.srtt >> 3)) >> UNIT_SHIFT;
  let target = state.wMax + cube(units - state.k, c.mss);
  if (target < c.cwnd) target = c.cwnd;
  const most = c.cwnd + (c.cwnd >> 1);
  if (target > most) target = most;

  const slow = state.estimate < state.prior;
  state.estimateWork += bytes * c.mss * (slow ? ALPHA_NUMERATOR : ALPHA_DENOMINATOR);
  const unit = c.cwnd * ALPHA_DENOMINATOR;
  const step = Math.floor(state.estimateWork / unit);
  state.estimateWork -= step * unit;
  state.estimate += step;

  // (target - cwnd) / cwnd for each byte that was acknowledged; the remainder stays in `ackedBytes`.
  c.ackedBytes += (target - c.cwnd) * bytes;
  const growth = Math.floor(c.ackedBytes / c.cwnd);
  c.ackedBytes -= growth * c.cwnd;
  c.cwnd += growth;
  if (c.cwnd < state.estimate) c.cwnd = state.estimate;
}

/** A congestion event: the plateau moves to where the window is, or a little below it, so that new flows find room. */
function decrease(c: Connection, state: Cubic): void {
  state.started = false;
  state.prior = c.cwnd;
  state.wMax = c.cwnd < state.wMax ? Math.floor((c.cwnd * FAST_CONVERGENCE) / 100) : c.cwnd;
  const flight = outstanding(c);
  const before = flight < c.cwnd ? flight : c.cwnd;
  const after = Math.floor((before * BETA) / 100);
  c.ssthresh = after > 2 * c.mss ? after : 2 * c.mss;
  c.ackedBytes = 0;
}

/** CUBIC with one way of slow start: an object for all connections of a component. */
class CubicCongestion implements Congestion {
  readonly name = "cubic";

  constructor(private readonly slowStart: SlowStart) {}

  start(c: Connection): void {
    const initial = initialWindow(c.mss);
    if (c.cwnd === 0 || c.cwnd > initial) c.cwnd = initial;
    c.ackedBytes = 0;
    const state = c.congestionState as Cubic | null;
    if (state) state.started = false;
    else c.congestionState = new Cubic();
    this.slowStart.start(c);
  }

  acked(c: Connection, bytes: number): void {
    const state = c.congestionState as Cubic;
    const now = c.tcp.time;
    const idle = (now - state.lastAck) | 0;
    state.lastAck = now;
    if (c.flight * 2 < c.cwnd) {
      // The application had nothing to send: time that tells nothing about the path does not count.
      if (state.started) state.epoch = (state.epoch + idle) | 0;
      return;
    }
    if (c.cwnd < c.ssthresh) this.slowStart.acked(c, bytes);
    else grow(c, state, bytes);
  }

  lost(c: Connection): void {
    decrease(c, c.congestionState as Cubic);
    c.cwnd = c.ssthresh;
  }

  recovered(c: Connection): void {
    c.cwnd = c.ssthresh;
  }

  timeout(c: Connection): void {
    // Only the first timeout of a series is news (RFC 5681 section 3.1).
    const state = c.congestionState as Cubic;
    if (c.retries <= 1) decrease(c, state);
    // The next plateau is where slow start ends (section 4.8).
    state.wMax = 0;
    state.started = false;
    c.cwnd = c.mss;
    c.ackedBytes = 0;
  }
}

/** `tcp({ congestion: cubic() })`. */
export function cubic(options: CubicOptions = {}): Congestion {
  return new CubicCongestion(options.slowStart || plainSlowStart());
}
