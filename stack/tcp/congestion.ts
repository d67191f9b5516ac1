/** Congestion control as a part of TCP: the seam, and NewReno (RFC 5681, RFC 6928, RFC 3465). */
import { outstanding } from "./connection.js";
import type { Connection } from "./connection.js";
import { plainSlowStart } from "./slowstart.js";
import type { SlowStart } from "./slowstart.js";

/** An algorithm that sets `cwnd` and `ssthresh` of a connection, in bytes. One object serves all connections. */
export interface Congestion {
  readonly name: string;
  /** The connection is established, or sends again after a pause longer than its RTO. */
  start(c: Connection): void;
  /** `bytes` of new data were acknowledged while the connection was not recovering. */
  acked(c: Connection, bytes: number): void;
  /** A loss was found by duplicate acknowledgements: recovery begins. */
  lost(c: Connection): void;
  /** An ACK has come while lost data are repaired: `delivered` bytes have left the network. Absent: the window stays. */
  recovering?(c: Connection, delivered: number): void;
  /** All that was lost has been acknowledged: recovery ends. */
  recovered(c: Connection): void;
  /** The retransmission timer fired. */
  timeout(c: Connection): void;
  /**
   * Bytes that may be sent at one go now, at least a segment; 0: none, and the deadline RETRY is set. Asked before each segment that
   * there may be, and once more behind the last. Absent: what the window allows goes at once.
   */
  allowance?(c: Connection): number;
}

/** Initial window (RFC 6928): ten segments, at most 14600 bytes where the segments are large. */
export function initialWindow(mss: number): number {
  const limit = mss * 2 > 14600 ? mss * 2 : 14600;
  return mss * 10 < limit ? mss * 10 : limit;
}

/** Half of what is in flight, at least two segments (RFC 5681 section 3.1, equation 4). */
function half(c: Connection, flight: number): number {
  return flight > 4 * c.mss ? flight >> 1 : 2 * c.mss;
}

export interface NewRenoOptions {
  /** Default `plainSlowStart()`; `hystart()` leaves it before the queue on the path overflows. */
  slowStart?: SlowStart;
}

class NewReno implements Congestion {
  readonly name = "newreno";

  constructor(private readonly slowStart: SlowStart) {}

  start(c: Connection): void {
    const initial = initialWindow(c.mss);
    if (c.cwnd === 0 || c.cwnd > initial) c.cwnd = initial;
    c.ackedBytes = 0;
    this.slowStart.start(c);
  }

  acked(c: Connection, bytes: number): void {
    // A sender that does not fill its window learns nothing about the path (RFC 7661 section 4.3).
    if (c.flight * 2 < c.cwnd) return;
    if (c.cwnd < c.ssthresh) {
      this.slowStart.acked(c, bytes);
      return;
    }
    c.ackedBytes += bytes;
    if (c.ackedBytes >= c.cwnd) {
      c.ackedBytes -= c.cwnd;
      c.cwnd += c.mss;
    }
  }

  lost(c: Connection): void {
    // What limited transmit has sent beyond the window does not count (RFC 5681 section 3.2).
    const flight = outstanding(c);
    c.ssthresh = half(c, flight < c.cwnd ? flight : c.cwnd);
    c.cwnd = c.ssthresh;
    c.ackedBytes = 0;
  }

  recovered(c: Connection): void {
    c.cwnd = c.ssthresh;
  }

  timeout(c: Connection): void {
    // Only the first timeout of a series halves ssthresh (RFC 5681 section 3.1).
    if (c.retries <= 1) c.ssthresh = half(c, outstanding(c));
    c.cwnd = c.mss;
    c.ackedBytes = 0;
  }
}

/** NewReno, the default. */
export function newReno(options: NewRenoOptions = {}): Congestion {
  return new NewReno(options.slowStart || plainSlowStart());
}
