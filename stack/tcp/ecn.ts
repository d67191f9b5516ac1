/**
 * Explicit congestion notification (RFC 3168) as a part of TCP: routers mark packets instead of dropping them.
 *
 * New data are sent as ECT(0); retransmissions, acknowledgements and probes are not (section 6.1.4 to 6.1.6).
 */
import type { Packet } from "../core/packet.js";
import * as wire from "../wire/tcp.js";
import { SYN_SENT, handshaking, outstanding } from "./connection.js";
import type { Connection } from "./connection.js";
import type { Segment } from "./segment.js";

/** The two bits of the TOS or traffic class (section 5). */
export const ECN_MASK = 3;
const ECT0 = 2;
export const CE = 3;

export interface Ecn {
  /** A SYN or SYN-ACK is about to leave: sets its flags. */
  syn(c: Connection, packet: Packet): void;
  /** The peer's SYN or SYN-ACK has come. */
  negotiate(c: Connection, segment: Segment, packet: Packet): void;
  /** The peer's SYN or SYN-ACK has come again; true: it contradicts the first one, and has ended the connection. */
  repeated(c: Connection, segment: Segment, packet: Packet): boolean;
  /** An acceptable segment of the connection has come; its acknowledgement is not taken yet. */
  input(c: Connection, segment: Segment, packet: Packet): void;
  /** Marks the path for a segment with `length` bytes from `seq` on; returns flags to add to its own. */
  output(c: Connection, seq: number, length: number): number;
}

/** `Connection.ecnState` where both ends have agreed. */
class Agreed {
  /** CE has come: the peer is told until it says that it has slowed down. */
  echo = false;
  /** We have slowed down, and the peer is to be told. */
  reduced = false;

  /** @param recover `sndNxt` when the window was last reduced */
  constructor(public recover: number) {}
}

/** Both ends have agreed on it. */
export function agree(c: Connection): void {
  c.ecnState = new Agreed(c.iss);
}

/** The peer tells of marks: slows down, once a round trip. What was sent before the last reduction says nothing new (section 6.1.2). */
export function slowDown(c: Connection, state: { recover: number }, ack: number): boolean {
  // Counted back from `sndNxt`: 2^31 bytes and more may have passed since.
  if (outstanding(c) <= 0 || (c.sndNxt - state.recover) >>> 0 <= ((c.sndNxt - ack) | 0)) return false;
  state.recover = c.sndNxt;
  if (!c.recovering) {
    const congestion = c.tcp.congestion;
    congestion.lost(c);
    congestion.recovered(c);
  }
  return true;
}

/** Are new data sent, which may be marked? */
export function isFresh(c: Connection, seq: number, length: number): boolean {
  return length > 0 && ((seq - c.sndNxt) | 0) >= 0;
}

/** Sets the mark of the next segment: ECT(0), or none. */
export function markPath(c: Connection, capable: boolean): void {
  c.path.tos = (c.path.tos & ~ECN_MASK) | (capable ? ECT0 : 0);
}

const RFC3168: Ecn = {
  syn(c, packet) {
    let flags = c.ecnState ? wire.ECE : 0;
    // Some routers swallow such a SYN: it goes again without (section 6.1.1.1).
    if (c.state === SYN_SENT && c.retries === 0) flags = wire.ECE | wire.CWR;
    packet.data[packet.start + wire.TCP_FLAGS] |= flags;
  },

  negotiate(c, segment) {
    const both = segment.flags & (wire.ECE | wire.CWR);
    const reply = (segment.flags & wire.ACK) !== 0;
    if (reply ? c.retries === 0 && both === wire.ECE : both === (wire.ECE | wire.CWR)) agree(c);
  },

  repeated(c, segment) {
    // Whoever has given up offering it does not look at marks (section 6.1.1).
    const both = wire.ECE | wire.CWR;
    if (handshaking(c) && (segment.flags & (both | wire.ACK)) < both) c.ecnState = null;
    return false;
  },

  input(c, segment, packet) {
    const state = c.ecnState as Agreed | null;
    if (!state) return;
    const flags = segment.flags;
    if (segment.length > 0) {
      if (flags & wire.CWR) state.echo = false;
      if ((packet.tos & ECN_MASK) === CE) {
        c.tcp.counters.congestionMarks++;
        if (!state.echo) c.ackNow = true;
        state.echo = true;
      }
    }
    if ((flags & wire.ECE) === 0 || ((segment.ack - c.sndNxt) | 0) > 0) return;
    if (!slowDown(c, state, segment.ack)) return;
    state.reduced = true;
    c.tcp.counters.congestionEchoes++;
  },

  output(c, seq, length) {
    const state = c.ecnState as Agreed | null;
    const fresh = state !== null && isFresh(c, seq, length);
    markPath(c, fresh);
    let flags = state && state.echo ? wire.ECE : 0;
    if (fresh && state.reduced) {
      state.reduced = false;
      flags |= wire.CWR;
    }
    return flags;
  },
};

/** `tcp({ ecn: ecn() })`: offered to all peers, taken from those that offer it. */
export function ecn(): Ecn {
  return RFC3168;
}
