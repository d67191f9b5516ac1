/**
 * Proportional rate reduction (RFC 6937): while lost data are repaired, the window shrinks with each delivery instead of at once,
 * so that sending goes on evenly and ends where the congestion control wants it.
 */
import type { Congestion } from "./congestion.js";
import { outstanding } from "./connection.js";
import type { Connection } from "./connection.js";
import { pipe } from "./recovery.js";

/** One recovery, in the RFC's terms. */
class Reduction {
  /** Bytes delivered since it began. */
  prrDelivered = 0;
  /** `sentBytes` when it began: what has been sent since is `prr_out`. */
  sentBefore = 0;
  /** Bytes in flight when it began. */
  recoverFs = 1;
}

class Prr implements Congestion {
  readonly name: string;

  constructor(private readonly inner: Congestion) {
    this.name = inner.name + "+prr";
  }

  start(c: Connection): void {
    this.inner.start(c);
  }

  acked(c: Connection, bytes: number): void {
    this.inner.acked(c, bytes);
  }

  lost(c: Connection): void {
    const reduction = new Reduction();
    reduction.sentBefore = c.sentBytes;
    reduction.recoverFs = outstanding(c) || 1;
    c.reductionState = reduction;
    this.inner.lost(c);
  }

  /** RFC 6937 section 3, with the slow start reduction bound. */
  recovering(c: Connection, delivered: number): void {
    const reduction = c.reductionState as Reduction | null;
    if (!reduction) return;
    reduction.prrDelivered += delivered;
    const prrOut = (c.sentBytes - reduction.sentBefore) | 0;
    const flight = pipe(c);
    let sendCount: number;
    if (flight > c.ssthresh) {
      sendCount = Math.ceil((reduction.prrDelivered * c.ssthresh) / reduction.recoverFs) - prrOut;
    } else {
      const owed = reduction.prrDelivered - prrOut;
      const limit = (owed > delivered ? owed : delivered) + c.mss;
      sendCount = c.ssthresh - flight < limit ? c.ssthresh - flight : limit;
    }
    c.cwnd = flight + (sendCount > 0 ? sendCount : 0);
  }

  recovered(c: Connection): void {
    c.reductionState = null;
    this.inner.recovered(c);
  }

  timeout(c: Connection): void {
    c.reductionState = null;
    this.inner.timeout(c);
  }
}

/** `tcp({ congestion: prr(cubic()) })`. */
export function prr(inner: Congestion): Congestion {
  return new Prr(inner);
}
