/**
 * Slow start as a part of congestion control: the seam, and the plain one (RFC 5681 section 3.1, RFC 3465).
 *
 * Used below `ssthresh`; when it is over it sets `ssthresh`, or a loss does.
 */
import type { Connection } from "./connection.js";

/** How the window grows below `ssthresh`. One object serves all connections. */
export interface SlowStart {
  /** The connection begins, or begins again after a pause or a timeout. */
  start(c: Connection): void;
  /** `bytes` of new data were acknowledged while the window was full. */
  acked(c: Connection, bytes: number): void;
}

/** What an ACK counts for: two segments at most, one after a timeout (RFC 3465 sections 2.2 and 2.3). */
export function appropriateBytes(c: Connection, bytes: number): number {
  const limit = ((c.recover - c.sndUna) | 0) > 0 ? c.mss : 2 * c.mss;
  return bytes < limit ? bytes : limit;
}

const PLAIN: SlowStart = {
  start() {},
  acked(c, bytes) {
    c.cwnd += appropriateBytes(c, bytes);
  },
};

/** Doubles the window in each round trip: the default. */
export function plainSlowStart(): SlowStart {
  return PLAIN;
}
