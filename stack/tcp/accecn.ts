/**
 * More accurate ECN feedback (RFC 9768) as a part of TCP: the receiver counts what was marked, in a field of three bits that all its
 * segments have (ACE) and in an option of its acknowledgements; so the sender learns of each mark, and not of one a round trip.
 *
 * Whoever does not know it falls back to ECN (RFC 3168) or to none, by the flags of the handshake (section 3.1.2). Congestion control
 * hears of marks once a round trip, as it does with ECN. The option goes with segments that have no data, where the header has room.
 */
import type { Packet } from "../core/packet.js";
import * as wire from "../wire/tcp.js";
import { ECONNRESET } from "../core/errors.js";
import { abort } from "./close.js";
import { SYN_SENT, handshaking } from "./connection.js";
import type { Connection } from "./connection.js";
import { CE, ECN_MASK, agree, ecn, isFresh, markPath, slowDown } from "./ecn.js";
import type { Ecn } from "./ecn.js";
import { appendOption, findOption } from "./options.js";
import { emit, sendAck } from "./output.js";
import { sackedWithin } from "./recovery.js";
import type { Segment } from "./segment.js";
import type { Tcp } from "./tcp.js";

/** The three flags are a number, AE first, from this bit on. */
const ACE_SHIFT = 6;
const ALL = 7;
/** How a handshake tells of the mark that its segment came with: Not-ECT, ECT(1), ECT(0), CE (tables 2 to 4). */
const HANDSHAKE = [2, 3, 4, 6];
const CLASSIC_SYN = 3;
const CLASSIC_REPLY = 1;
const RESERVED_REPLY = 5;
const ECT1 = 1;

/** SYNs that offer it before some go without (section 3.1.4.1); SYN-ACKs that agree to it likewise, and those of them with the option. */
const SYN_TRIES = 2;
const REPLY_TRIES = 2;
const OPTION_TRIES = 1;
/** Marks after which an acknowledgement goes at once: with data to acknowledge, and without (section 3.2.2.5.1). */
const MARKS = 2;
const BARE_MARKS = 3;
/** More bytes than two segments of any size: what so many came of is acknowledged at once. */
const AT_ONCE = 131072;
/** Segments that an acknowledgement covers on average, in eighths, from which on many at once are no sign of lost ones (A.2.1). */
const THINNED = 4 << 3;

/** Bits of `AccurateState.bits`: the next bare acknowledgement tells of the SYN-ACK's mark; such a one is waited for. */
const ANSWER = 1;
const AWAIT = 2;
/** The peer's first counter is still to come. */
const FIRST = 4;
/** We send nothing that may be marked. */
const INCAPABLE = 8;
/** What the peer says of marks is not believed. */
const DEAF = 16;
/** Options have come, and began as they must; or they did not, and are ignored. */
const OPTIONS = 32;
const ZEROED = 64;
/** Bytes were counted since the last option. */
const DUE = 128;
/** The segment before was marked CE. */
const MARKED = 256;
/** The handshake has told of a mark: to be answered once something is in flight. */
const SLOW = 512;

/** `Connection.ecnState` in AccECN mode, by the RFC's names: `r` is what we have received, `s` what the peer has of ours. */
export class AccurateState {
  readonly accurate = true;
  bits = FIRST;
  /** Mark of the latest SYN or SYN-ACK. */
  mark = 0;
  /** Packets marked CE; bytes of data marked ECT(0), CE, ECT(1) (section 3.2.1). */
  rCep = 5;
  rE0b = 1;
  rCeb = 0;
  rE1b = 1;
  /** Marks since our last segment. */
  marks = 0;
  sCep = 5;
  sCeb = 0;
  /** `sCep` at the last option, and bytes that were acknowledged since. */
  optionCep = 5;
  optionAcked = 0;
  /** Segments that an acknowledgement covers, a moving average in eighths; 0: none has come. */
  covered = 0;

  /** @param recover `sndNxt` when the window was last reduced */
  constructor(public recover: number) {}
}

export class AccurateCounters {
  /** Connections in AccECN mode, and those whose peer knew ECN alone. */
  agreed = 0;
  fallbacks = 0;
  /** Connections that send nothing any more that may be marked: something on the way changes marks, flags or options. */
  incapable = 0;
  /** Handshakes that were reset because their SYNs contradict each other. */
  contradictions = 0;
  /** Options sent; options that came, and those that did not begin as they must. */
  optionsSent = 0;
  optionsReceived = 0;
  optionsZeroed = 0;
}

/** Marks among `packets` that are acknowledged at once, where the field went on by `marks`, if it has wrapped as often as it can (A.2.1). */
export function saferMarks(marks: number, packets: number): number {
  return packets > marks ? packets - ((packets - marks) & 7) : marks;
}

/** The same where the option tells of marked `bytes` (A.2.2). */
export function marksByBytes(marks: number, packets: number, bytes: number, mss: number): number {
  const safer = saferMarks(marks, packets);
  return bytes <= mss * marks && bytes * 2 < mss * safer ? marks : safer;
}

/** By how much a counter of 24 bits went on (A.1). */
export function progress(field: number, counter: number): number {
  return (field - counter) & 0xffffff;
}

class AccurateEcn implements Ecn {
  private readonly classic = ecn();
  private readonly counters = new AccurateCounters();
  private readonly known: Tcp[] = [];

  syn(c: Connection, packet: Packet): void {
    const state = stateOf(c);
    this.meet(c.tcp);
    if (c.state === SYN_SENT) {
      if (c.retries < SYN_TRIES) setFlags(packet, ALL);
    } else if (!state) this.classic.syn(c, packet);
    else if (c.retries < REPLY_TRIES) {
      setFlags(packet, HANDSHAKE[state.mark]);
      if (c.retries < OPTION_TRIES && !this.append(packet, state))
        appendOption(packet, wire.OPTION_ACCECN0, 2);
      // It stays in its mode, but does not know what the client will make of a SYN-ACK without flags (section 3.1.5).
    } else this.giveUp(state, 0);
  }

  negotiate(c: Connection, segment: Segment, packet: Packet): void {
    const reply = (segment.flags & wire.ACK) !== 0;
    const ace = aceOf(segment, packet);
    this.meet(c.tcp);
    if (ace === (reply ? CLASSIC_REPLY : CLASSIC_SYN)) {
      // Whoever has sent a SYN without flags marks nothing (RFC 3168 section 6.1.1).
      if (reply && c.retries >= SYN_TRIES) return;
      this.counters.fallbacks++;
      agree(c);
      return;
    }
    // All flags in a reply are ours, reflected by one that does not know them.
    if (ace === 0 || (reply && ace === ALL)) return;
    const state = new AccurateState(c.iss);
    state.mark = packet.tos & ECN_MASK;
    c.ecnState = state;
    this.counters.agreed++;
    if (!reply) {
      state.bits |= AWAIT;
      return;
    }
    state.bits |= ANSWER | DUE;
    if (state.mark === CE) mark(state, 1);
    // Our SYN was Not-ECT, and stays that.
    if (ace !== HANDSHAKE[0] && ace !== RESERVED_REPLY) this.giveUp(state, ace === HANDSHAKE[CE] ? SLOW : 0);
    this.readOption(state, segment, packet);
    // A segment with data cannot tell of the SYN-ACK's mark (section 3.2.2.1).
    const taken = (segment.ack - c.sndBufSeq) | 0;
    if (c.finQueued || c.sndBuf.length > (taken > 0 ? taken : 0)) sendAck(c);
  }

  repeated(c: Connection, segment: Segment, packet: Packet): boolean {
    const state = stateOf(c);
    const ace = aceOf(segment, packet);
    if (segment.flags & wire.ACK) {
      // Our answer to the SYN-ACK was lost.
      if (!state || handshaking(c)) return false;
      state.bits |= ANSWER;
      state.mark = packet.tos & ECN_MASK;
      if (state.mark === CE && state.rCep === 5) mark(state, 1);
      return false;
    }
    if (!handshaking(c) || !c.ecnState) return false;
    if (ace !== 0 && (state !== null) === (ace === CLASSIC_SYN)) {
      this.counters.contradictions++;
      abort(c, ECONNRESET);
      return true;
    }
    if (!state) return this.classic.repeated(c, segment, packet);
    if (ace === 0) this.giveUp(state, 0);
    state.mark = packet.tos & ECN_MASK;
    return false;
  }

  input(c: Connection, segment: Segment, packet: Packet): void {
    const state = stateOf(c);
    if (!state) {
      this.classic.input(c, segment, packet);
      return;
    }
    const acked = (segment.ack - c.sndUna) | 0;
    if (((segment.ack - c.sndNxt) | 0) > 0) return;
    count(c, state, segment, packet);
    // With a SYN the flags are no counter.
    if (segment.unscaled) return;
    const ace = aceOf(segment, packet);
    if (state.bits & AWAIT) {
      state.bits &= ~AWAIT;
      if (segment.length === 0 && (segment.flags & wire.FIN) === 0 && segment.sackCount === 0) {
        this.answered(state, ace);
        this.readOption(state, segment, packet);
        return;
      }
    }
    // What comes late tells of the past (A.1).
    if (acked < 0 || (acked === 0 && !isNews(c, segment))) return;
    this.decode(c, state, segment, packet, ace, acked);
  }

  output(c: Connection, seq: number, length: number): number {
    const state = stateOf(c);
    if (!state) return this.classic.output(c, seq, length);
    markPath(c, isFresh(c, seq, length) && (state.bits & INCAPABLE) === 0);
    state.marks = 0;
    const answer = state.bits & ANSWER && length === 0;
    state.bits &= ~ANSWER;
    return (answer ? HANDSHAKE[state.mark] : state.rCep & 7) << ACE_SHIFT;
  }

  /** The acknowledgement of our SYN-ACK tells of its mark (table 4): there was none when it left. */
  private answered(state: AccurateState, ace: number): void {
    if (ace === 0) this.giveUp(state, DEAF);
    else if (ace === HANDSHAKE[CE]) {
      state.sCep = state.optionCep = 6;
      this.giveUp(state, SLOW);
    } else if (ace === HANDSHAKE[1] || ace === HANDSHAKE[2]) this.giveUp(state, 0);
  }

  /** Takes the counters of a segment that tells something new (section 3.2.2.2). */
  private decode(
    c: Connection,
    state: AccurateState,
    segment: Segment,
    packet: Packet,
    ace: number,
    acked: number,
  ): void {
    const mss = c.mss;
    const first = state.bits & FIRST;
    state.bits &= ~FIRST;
    // It begins with 5, and three marks are more than so few segments can have had (section 3.2.2.4).
    if (first && ace === 0 && acked < 3 * mss) {
      this.giveUp(state, DEAF);
      return;
    }
    // What was SACKed has been told of already.
    const fresh = c.sackedBytes > 0 ? acked - sackedWithin(c, c.sndUna, segment.ack) : acked;
    const packets = (fresh / mss) | 0;
    if (state.covered === 0) state.covered = packets << 3;
    else if (packets > 0) state.covered += packets - (state.covered >> 3);
    let marks = (ace - state.sCep) & 7;
    const bytes = this.readOption(state, segment, packet);
    if (packets > 7) {
      if (bytes >= 0) marks = marksByBytes(marks, packets, bytes, mss);
      else if (state.covered < THINNED) marks = saferMarks(marks, packets);
    }
    state.sCep = (state.sCep + marks) | 0;
    if (state.optionAcked < 1 << 20) state.optionAcked += fresh;
    if (bytes >= 0) {
      // Marked bytes, and no marked packet: somebody changes one of the two (section 3.2.3.2.5).
      if (bytes > 0 && state.sCep === state.optionCep && state.optionAcked < 8 * mss) this.giveUp(state, 0);
      state.optionCep = state.sCep;
      state.optionAcked = 0;
    }
    if ((marks === 0 && (state.bits & SLOW) === 0) || state.bits & DEAF) return;
    c.tcp.counters.congestionEchoes += marks;
    if (slowDown(c, state, segment.ack)) state.bits &= ~SLOW;
  }

  /** Reads the option; returns how many more bytes were marked CE, or -1 where there is none. */
  private readOption(state: AccurateState, segment: Segment, packet: Packet): number {
    const plain = wire.TCP_HEADER + (segment.timestamps ? 12 : 0);
    if (segment.at - packet.start <= plain || state.bits & ZEROED) return -1;
    const at = findOption(segment, packet, wire.OPTION_ACCECN0, wire.OPTION_ACCECN1);
    if (at < 0) return -1;
    const data = segment.data;
    const length = data[at - 1] - 2;
    this.counters.optionsReceived++;
    if ((state.bits & OPTIONS) === 0) {
      if ((length >= 3 && get24(data, at) === 0) || (length >= 9 && get24(data, at + 6) === 0)) {
        state.bits |= ZEROED;
        this.counters.optionsZeroed++;
        return -1;
      }
      state.bits |= OPTIONS;
    }
    // What is not there has not changed.
    if (length < 6) return 0;
    const bytes = progress(get24(data, at + 3), state.sCeb);
    state.sCeb = (state.sCeb + bytes) | 0;
    return bytes;
  }

  /** Adds the option with all counters that have ever changed, in the order that needs fewer (section 3.2.3.3); false: there is no room. */
  private append(packet: Packet, state: AccurateState): boolean {
    const other = state.rE0b === 1 && state.rE1b !== 1;
    const fields = state.rE1b !== 1 && !other ? 3 : state.rCeb !== 0 ? 2 : 1;
    const at = appendOption(packet, other ? wire.OPTION_ACCECN1 : wire.OPTION_ACCECN0, 2 + 3 * fields);
    if (at < 0) return false;
    const data = packet.data;
    put24(data, at, other ? state.rE1b : state.rE0b);
    if (fields > 1) put24(data, at + 3, state.rCeb);
    if (fields > 2) put24(data, at + 6, state.rE1b);
    state.bits &= ~DUE;
    this.counters.optionsSent++;
    return true;
  }

  private giveUp(state: AccurateState, more: number): void {
    if ((state.bits & INCAPABLE) === 0) this.counters.incapable++;
    state.bits |= INCAPABLE | more;
  }

  /** Puts itself in the place of `tcp.emit`, for acknowledgements that the option goes with. */
  private meet(tcp: Tcp): void {
    if (this.known.indexOf(tcp) >= 0) return;
    this.known.push(tcp);
    tcp.stack.counters.accecn = this.counters as never;
    const inner = tcp.emit;
    tcp.emit = (c, packet, seq, header, flags, window, blocks) => {
      const state = stateOf(c);
      const bare = packet.end - packet.start === header;
      if (state && state.bits & DUE && bare && this.append(packet, state)) {
        return emit(c, packet, seq, packet.end - packet.start, flags, window, blocks);
      }
      // A link that cuts large segments takes CWR for what it was, and clears it in all but the first.
      if (state && flags & wire.CWR && packet.segmentSize > 0)
        return cut(inner, c, packet, seq, header, flags, window);
      return inner.call(tcp, c, packet, seq, header, flags, window, blocks);
    };
  }
}

/** Sends a large segment as those that it consists of, in place: the header of each lies over the end of the one before. */
function cut(
  inner: Tcp["emit"],
  c: Connection,
  packet: Packet,
  seq: number,
  header: number,
  flags: number,
  window: number,
): number {
  const first = packet.start + header;
  const end = packet.end;
  const kept = packet.flags;
  const size = packet.segmentSize;
  packet.segmentSize = 0;
  for (let at = first; at < end; at += size) {
    const last = at + size >= end;
    packet.start = at - header;
    packet.end = last ? end : at + size;
    packet.flags = kept;
    const own = last ? flags : flags & ~(wire.PSH | wire.FIN);
    const code = inner.call(c.tcp, c, packet, (seq + at - first) | 0, header, own, window, 0);
    // What a full link does not take of the rest is lost on the way.
    if (code < 0) return at === first ? code : 0;
  }
  return 0;
}

/** Null: it is not in AccECN mode. */
function stateOf(c: Connection): AccurateState | null {
  const state = c.ecnState as AccurateState | null;
  return state && state.accurate ? state : null;
}

function aceOf(segment: Segment, packet: Packet): number {
  return ((packet.data[packet.start + wire.TCP_OFFSET] & 1) << 2) | ((segment.flags >> ACE_SHIFT) & 3);
}

function setFlags(packet: Packet, ace: number): void {
  const at = packet.start;
  packet.data[at + wire.TCP_OFFSET] |= ace >> 2;
  packet.data[at + wire.TCP_FLAGS] |= (ace & 3) << ACE_SHIFT;
}

/** Counts what has come (section 3.2), and sees to it that the peer hears of it in time (section 3.2.2.5.1). */
function count(c: Connection, state: AccurateState, segment: Segment, packet: Packet): void {
  const length = segment.length;
  const kind = packet.tos & ECN_MASK;
  const before = state.bits & MARKED;
  state.bits &= ~MARKED;
  if (kind === 0) return;
  if (length > 0) {
    if (kind === CE) state.rCeb = (state.rCeb + length) | 0;
    else if (kind === ECT1) state.rE1b = (state.rE1b + length) | 0;
    else state.rE0b = (state.rE0b + length) | 0;
    state.bits |= DUE;
  }
  if (kind !== CE) return;
  state.bits |= MARKED;
  // What a link has merged were several.
  const size = packet.segmentSize;
  const packets = size > 0 && length > size ? ((length + size - 1) / size) | 0 : 1;
  c.tcp.counters.congestionMarks += packets;
  mark(state, packets);
  if (length === 0) {
    if (state.marks >= BARE_MARKS) c.ackNow = true;
  } else if (!before || state.marks >= MARKS) c.unacked = AT_ONCE;
}

function mark(state: AccurateState, packets: number): void {
  state.rCep = (state.rCep + packets) | 0;
  state.marks += packets;
}

/** A segment that acknowledges no new data: has it been sent after what was taken last? */
function isNews(c: Connection, segment: Segment): boolean {
  if (c.timestamps && ((segment.tsValue - c.tsRecent) | 0) > 0) return true;
  if (segment.sackCount === 0) return false;
  const sacked = c.sacked;
  for (let i = 0; i < sacked.length; i += 2) {
    if (((segment.sack[0] - sacked[i]) | 0) >= 0 && ((segment.sack[1] - sacked[i + 1]) | 0) <= 0)
      return false;
  }
  return true;
}

function get24(data: Uint8Array, at: number): number {
  return (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
}

function put24(data: Uint8Array, at: number, value: number): void {
  data[at] = value >> 16;
  data[at + 1] = value >> 8;
  data[at + 2] = value;
}

/** `tcp({ ecn: accecn() })`: offered to all peers; those that know ECN alone get that. Counters: `accecn`. */
export function accecn(): Ecn {
  return new AccurateEcn();
}
