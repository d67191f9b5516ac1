/**
 * Windows of senders that pause (RFC 7661): an application that sends in bursts keeps the window that its last bursts have shown to be
 * good, for five minutes, instead of starting slowly after each pause. A loss meanwhile takes it back to what was really used.
 */
import type { Congestion } from "./congestion.js";
import { initialWindow } from "./congestion.js";
import { outstanding } from "./connection.js";
import type { Connection } from "./connection.js";

/** How long a window is kept that is not used, ms (section 4.4.1). */
const NVP = 300000;
/** The most that was acknowledged in a round trip counts for three round trips, a second at least (section 4.2). */
const LEAST_PERIOD = 1000;

/** State of a connection, in the RFC's terms. */
class Usage {
  /** Bytes acknowledged in the round trip that ends at `roundEnd`. */
  acked = 0;
  roundEnd = 0;
  /** The most in a round trip of this sampling period and of the last one; 0: undefined. */
  most = 0;
  mostBefore = 0;
  since = 0;
  /** The window is not validated: since when. */
  idle = false;
  idleSince = 0;
}

class Revalidation implements Congestion {
  readonly name: string;

  constructor(private readonly inner: Congestion) {
    this.name = inner.name + "+revalidation";
  }

  start(c: Connection): void {
    const usage = c.usageState as Usage | null;
    if (usage) {
      this.judge(c, usage);
      return;
    }
    const fresh = new Usage();
    fresh.roundEnd = c.sndNxt;
    fresh.since = c.tcp.time;
    c.usageState = fresh;
    this.inner.start(c);
  }

  acked(c: Connection, bytes: number): void {
    this.measure(c, bytes);
    this.inner.acked(c, bytes);
  }

  lost(c: Connection): void {
    const usage = c.usageState as Usage;
    const used = this.used(c, usage);
    this.inner.lost(c);
    if (!usage.idle) return;
    // Section 4.4.2: half of what was used, whatever the window would have allowed.
    usage.idle = false;
    const flight = outstanding(c);
    const half = (used > flight ? used : flight) >> 1;
    const most = half > 2 * c.mss ? half : 2 * c.mss;
    if (c.ssthresh > most) c.ssthresh = most;
    if (c.cwnd > most) c.cwnd = most;
  }

  recovering(c: Connection, delivered: number): void {
    if (this.inner.recovering) this.inner.recovering(c, delivered);
  }

  recovered(c: Connection): void {
    this.inner.recovered(c);
  }

  timeout(c: Connection): void {
    const usage = c.usageState as Usage;
    usage.most = usage.mostBefore = usage.acked = 0;
    usage.idle = false;
    this.inner.timeout(c);
  }

  allowance(c: Connection): number {
    return this.inner.allowance ? this.inner.allowance(c) : c.cwnd;
  }

  /** One round trip after the other: how much was acknowledged in it. */
  private measure(c: Connection, bytes: number): void {
    const usage = c.usageState as Usage;
    const now = c.tcp.time;
    usage.acked += bytes;
    if (((c.sndUna - usage.roundEnd) | 0) < 0) return;
    const period = (c.srtt >> 3) * 3 > LEAST_PERIOD ? (c.srtt >> 3) * 3 : LEAST_PERIOD;
    if ((now - usage.since) >>> 0 >= period) {
      usage.mostBefore = usage.most;
      usage.most = 0;
      usage.since = now;
    }
    if (usage.acked > usage.most) usage.most = usage.acked;
    usage.acked = 0;
    usage.roundEnd = c.sndNxt;
    this.judge(c, usage);
  }

  /** pipeACK: the most that was acknowledged in a round trip of late. */
  private used(c: Connection, usage: Usage): number {
    const most = usage.most > usage.mostBefore ? usage.most : usage.mostBefore;
    return most > 0 ? most : c.cwnd;
  }

  /** Validated while half of the window is used (section 4.3); else it is kept for a while, and then halved. */
  private judge(c: Connection, usage: Usage): void {
    const now = c.tcp.time;
    const pause = outstanding(c) === 0 && (now - c.lastSent) >>> 0 > c.rto;
    if (!pause && this.used(c, usage) * 2 >= c.cwnd) {
      usage.idle = false;
      return;
    }
    if (!usage.idle) {
      usage.idle = true;
      usage.idleSince = pause ? c.lastSent : now;
    }
    if ((now - usage.idleSince) >>> 0 < NVP) return;
    // Section 4.4.3.
    const share = Math.floor((c.cwnd * 3) / 4);
    if (c.ssthresh < share) c.ssthresh = share;
    const initial = initialWindow(c.mss);
    const half = c.cwnd >> 1;
    if (c.cwnd > initial) c.cwnd = half > initial ? half : initial;
    usage.idleSince = now;
  }
}

/**
 * `tcp({ congestion: revalidation(cubic()) })`; best with `pacing` around it, which spreads the burst behind a pause. Not for `bbr()`,
 * which keeps a model of the path instead.
 */
export function revalidation(inner: Congestion): Congestion {
  return new Revalidation(inner);
}
