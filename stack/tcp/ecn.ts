/**
 * Explicit congestion notification (RFC 3168) as a part of TCP: routers mark packets instead of dropping them.
 *
 * New data are sent as ECT(0); retransmissions, acknowledgements and probes are not (section 6.1.4 to 6.1.6).
 */
import * as wire from "../wire/tcp.js";
import { outstanding } from "./connection.js";
import type { Connection } from "./connection.js";
import type { Segment } from "./segment.js";

/** The two bits of the TOS or traffic class (section 5). */
const ECN_MASK = 3;
const ECT0 = 2;
const CE = 3;

/** Bits of `Connection.ecn`. */
const OFFERED = 1;
const AGREED = 2;
/** CE has come: the peer is told until it says that it has slowed down. */
const ECHO = 4;
/** We have slowed down, and the peer is to be told. */
const REDUCED = 8;

export interface Ecn {
  /** Flags of a SYN, or of a SYN-ACK (`reply`). */
  synFlags(c: Connection, reply: boolean): number;
  /** The peer's SYN, or SYN-ACK (`reply`), has come. */
  negotiate(c: Connection, flags: number, reply: boolean): void;
  /** A segment of the connection has come in a packet with this TOS; its acknowledgement is not taken yet. */
  input(c: Connection, segment: Segment, tos: number): void;
  /** Marks the path for a segment with `length` bytes from `seq` on; returns flags to add to its own. */
  output(c: Connection, seq: number, length: number): number;
}

const RFC3168: Ecn = {
  synFlags(c, reply) {
    if (reply) return c.ecn & AGREED ? wire.ECE : 0;
    // Some routers swallow such a SYN: it goes again without (section 6.1.1.1).
    c.ecn = c.retries === 0 ? OFFERED : 0;
    return c.ecn ? wire.ECE | wire.CWR : 0;
  },

  negotiate(c, flags, reply) {
    const both = flags & (wire.ECE | wire.CWR);
    const agreed = reply ? c.ecn === OFFERED && both === wire.ECE : both === (wire.ECE | wire.CWR);
    c.ecn = agreed ? AGREED : 0;
    c.ecnRecover = c.iss;
  },

  input(c, segment, tos) {
    if ((c.ecn & AGREED) === 0) return;
    const flags = segment.flags;
    if (segment.length > 0) {
      if (flags & wire.CWR) c.ecn &= ~ECHO;
      if ((tos & ECN_MASK) === CE) {
        c.tcp.counters.congestionMarks++;
        if ((c.ecn & ECHO) === 0) c.ackNow = true;
        c.ecn |= ECHO;
      }
    }
    // Once a round trip: what was sent before the last reduction says nothing new (section 6.1.2).
    const news = flags & wire.ECE && outstanding(c) > 0 && ((segment.ack - c.ecnRecover) | 0) > 0;
    if (!news || ((segment.ack - c.sndNxt) | 0) > 0) return;
    c.ecnRecover = c.sndNxt;
    c.ecn |= REDUCED;
    c.tcp.counters.congestionEchoes++;
    if (c.recovering) return;
    const congestion = c.tcp.congestion;
    congestion.lost(c);
    congestion.recovered(c);
  },

  output(c, seq, length) {
    const path = c.path;
    const fresh = (c.ecn & AGREED) !== 0 && length > 0 && ((seq - c.sndNxt) | 0) >= 0;
    path.tos = (path.tos & ~ECN_MASK) | (fresh ? ECT0 : 0);
    let flags = c.ecn & ECHO ? wire.ECE : 0;
    if (fresh && c.ecn & REDUCED) {
      c.ecn &= ~REDUCED;
      flags |= wire.CWR;
    }
    return flags;
  },
};

/** `tcp({ ecn: ecn() })`: offered to all peers, taken from those that offer it. */
export function ecn(): Ecn {
  return RFC3168;
}
