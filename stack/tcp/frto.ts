/**
 * F-RTO (RFC 5682, the basic algorithm): was a retransmission timeout spurious? After it only the first segment goes again; when
 * the next acknowledgements advance over what was not sent again, nothing was lost, and the window is what it was.
 */
import { outstanding, sndEnd } from "./connection.js";
import type { Connection } from "./connection.js";
import type { Recovery } from "./recovery.js";
import type { Segment } from "./segment.js";

/** What a timeout has put at stake. */
class Suspicion {
  /** 1: the first segment has gone again; 2: new data are on their way to find out. */
  step = 1;

  constructor(
    readonly cwnd: number,
    readonly ssthresh: number,
    /** `sndNxt` at the timeout. */
    readonly recover: number,
  ) {}
}

class Frto implements Recovery {
  readonly name: string;

  constructor(private readonly inner: Recovery) {
    this.name = inner.name + "+frto";
  }

  acked(c: Connection, segment: Segment, acked: number, duplicate: boolean): void {
    const suspicion = c.timeoutState as Suspicion | null;
    if (suspicion && (acked > 0 || duplicate)) this.judge(c, suspicion, acked);
    this.inner.acked(c, segment, acked, duplicate);
  }

  timeout(c: Connection): void {
    const suspicion = new Suspicion(c.cwnd, c.ssthresh, c.sndNxt);
    const flight = outstanding(c);
    this.inner.timeout(c);
    c.timeoutState = null;
    // A second timeout in a row, a single segment, nothing new to send: there is nothing that could tell.
    if (c.retries !== 1 || flight <= c.mss || !hasNews(c)) return;
    c.timeoutState = suspicion;
    c.lostEdge = (c.sndUna + c.mss) | 0;
  }

  sent(c: Connection, seq: number, length: number): void {
    if (this.inner.sent) this.inner.sent(c, seq, length);
  }

  fire(c: Connection): void {
    if (this.inner.fire) this.inner.fire(c);
  }

  /** RFC 5682 section 2.1, steps 2 and 3. */
  private judge(c: Connection, suspicion: Suspicion, acked: number): void {
    if (suspicion.step === 1 && acked > 0 && ((c.sndUna - suspicion.recover) | 0) < 0 && hasNews(c)) {
      suspicion.step = 2;
      c.cwnd = outstanding(c) + 2 * c.mss;
      return;
    }
    c.timeoutState = null;
    if (suspicion.step === 2 && acked > 0) {
      c.cwnd = suspicion.cwnd;
      c.ssthresh = suspicion.ssthresh;
      c.recover = c.sndUna;
      c.tcp.counters.spuriousTimeouts++;
    } else if (((c.sndUna - suspicion.recover) | 0) < 0) {
      // It was a loss: all that was sent before the timeout goes again, as without F-RTO.
      c.cwnd = suspicion.step === 1 ? c.mss : 3 * c.mss;
      c.lostEdge = suspicion.recover;
    }
  }
}

/** New data wait, and the peer has room for them. */
function hasNews(c: Connection): boolean {
  return ((sndEnd(c) - c.sndNxt) | 0) > 0 && ((c.sndUna + c.sndWnd - c.sndNxt) | 0) > 0;
}

/** `tcp({ recovery: frto(rack()) })`. */
export function frto(inner: Recovery): Recovery {
  return new Frto(inner);
}
