/**
 * Loss recovery as a part of TCP: the seam, and recovery by SACK (RFC 2018, RFC 6675) or, where the peer has none, by
 * duplicate acknowledgements (RFC 6582, RFC 3042).
 *
 * The part decides what is lost: `lostEdge` and `rexmitNext`. Output retransmits what lies between them and is not SACKed,
 * before new data, as long as what is in flight (`pipe`) leaves room in `cwnd`.
 */
import type { Congestion } from "./congestion.js";
import { NONE, outstanding } from "./connection.js";
import type { Connection } from "./connection.js";
import type { Segment } from "./segment.js";

export interface Recovery {
  readonly name: string;
  /**
   * An acceptable ACK has come; `sndUna` is updated.
   *
   * @param acked bytes that it acknowledged; 0: it may be a duplicate
   * @param duplicate it is one by RFC 5681 section 2
   */
  acked(c: Connection, segment: Segment, acked: number, duplicate: boolean): void;
  /** The retransmission timer fired: all is lost. `cwnd` and `ssthresh` are still those of before. */
  timeout(c: Connection): void;
  /** `length` of sequence space from `seq` on was sent; below `sndNxt` it was a retransmission. */
  sent?(c: Connection, seq: number, length: number): void;
  /** The deadline RECOVERY, which the part has set, has come. */
  fire?(c: Connection): void;
}

/** Ranges that the scoreboard holds; further ones are not recorded. */
const SACK_RANGES = 64;
/** Duplicate threshold's ceiling under reordering. */
const DUP_THRESH_LIMIT = 10;
/** RFC 5681. */
const DUP_THRESH = 3;

/** Bytes believed to be in flight (RFC 6675 section 4, SetPipe). */
export function pipe(c: Connection): number {
  let flight = outstanding(c) - c.sackedBytes;
  if (!c.sackPermitted) {
    // Each duplicate says that a segment has left: two of them at most before a loss is found (RFC 3042), and then no more
    // than were in flight (RFC 5681 section 3.2): whoever forges duplicates gains nothing.
    const most = c.recovering ? (c.recover - c.sndUna) | 0 : 2 * c.mss;
    const left = c.dupAcks * c.mss;
    flight -= left < most ? left : most;
    if (flight < 0) flight = 0;
  }
  const from = ((c.rexmitNext - c.sndUna) | 0) > 0 ? c.rexmitNext : c.sndUna;
  const lost = (c.lostEdge - from) | 0;
  if (lost > 0) flight -= lost - sackedWithin(c, from, c.lostEdge);
  if (c.again) for (let i = 0; i < c.again.length; i += 2) flight -= (c.again[i + 1] - c.again[i]) | 0;
  return flight > 0 ? flight : 0;
}

/** SACKed bytes in [from, to). */
export function sackedWithin(c: Connection, from: number, to: number): number {
  const sacked = c.sacked;
  let bytes = 0;
  for (let i = 0; i < sacked.length; i += 2) {
    const start = ((sacked[i] - from) | 0) > 0 ? sacked[i] : from;
    const end = ((sacked[i + 1] - to) | 0) < 0 ? sacked[i + 1] : to;
    if (((end - start) | 0) > 0) bytes += (end - start) | 0;
  }
  return bytes;
}

/** Records the SACK blocks of a segment; returns true when they told something new. Invalid blocks are ignored. */
export function updateScoreboard(c: Connection, segment: Segment): boolean {
  let changed = false;
  for (let i = 0; i < segment.sackCount; i++) {
    let start = segment.sack[i * 2];
    const end = segment.sack[i * 2 + 1];
    if (((end - start) | 0) <= 0 || ((end - c.sndNxt) | 0) > 0) continue;
    if (((end - c.sndUna) | 0) <= 0) {
      // Below sndUna: a duplicate arrived (RFC 2883). We resent too early: wait for more evidence next time.
      if (i === 0 && c.dupThresh < DUP_THRESH_LIMIT) c.dupThresh++;
      continue;
    }
    if (((start - c.sndUna) | 0) < 0) start = c.sndUna;
    if (insertRange(c, start, end)) changed = true;
  }
  return changed;
}

/** Inserts [start, end) into the ordered list of SACKed ranges; false when it was covered, or the list is full. */
function insertRange(c: Connection, start: number, end: number): boolean {
  if (c.sacked === NONE) c.sacked = [];
  const list = c.sacked;
  let i = 0;
  while (i < list.length && ((list[i + 1] - start) | 0) < 0) i += 2;
  if (i < list.length && ((list[i] - start) | 0) <= 0 && ((list[i + 1] - end) | 0) >= 0) return false;
  let j = i;
  while (j < list.length && ((list[j] - end) | 0) <= 0) {
    if (((list[j] - start) | 0) < 0) start = list[j];
    if (((list[j + 1] - end) | 0) > 0) end = list[j + 1];
    c.sackedBytes -= (list[j + 1] - list[j]) | 0;
    j += 2;
  }
  if (i === j && list.length >= SACK_RANGES * 2) return false;
  list.splice(i, j - i, start, end);
  c.sackedBytes += (end - start) | 0;
  return true;
}

/** Drops what the cumulative ACK has covered. */
export function pruneScoreboard(c: Connection): void {
  const list = c.sacked;
  let gone = 0;
  while (gone < list.length && ((list[gone + 1] - c.sndUna) | 0) <= 0) {
    c.sackedBytes -= (list[gone + 1] - list[gone]) | 0;
    gone += 2;
  }
  if (gone > 0) list.splice(0, gone);
  if (list.length > 0 && ((list[0] - c.sndUna) | 0) < 0) {
    c.sackedBytes -= (c.sndUna - list[0]) | 0;
    list[0] = c.sndUna;
  }
}

function clearScoreboard(c: Connection): void {
  c.sacked = NONE;
  c.sackedBytes = 0;
}

/**
 * The edge below which unSACKed data are lost (RFC 6675 section 4, IsLost): `dupThresh` ranges, or more than
 * `dupThresh - 1` segments, are SACKed above it.
 */
function findLostEdge(c: Connection): number {
  const list = c.sacked;
  let bytes = 0;
  let ranges = 0;
  for (let i = list.length - 2; i >= 0; i -= 2) {
    bytes += (list[i + 1] - list[i]) | 0;
    if (++ranges >= c.dupThresh || bytes > (c.dupThresh - 1) * c.mss) return list[i];
  }
  return c.sndUna;
}

/** What an ACK says about losses: see `Recovery.acked`. */
function judge(c: Connection, segment: Segment, acked: number, duplicate: boolean): void {
  const congestion: Congestion = c.tcp.congestion;
  if (acked > 0 && c.sacked.length > 0) pruneScoreboard(c);
  const news = c.sackPermitted && segment.sackCount > 0 && updateScoreboard(c, segment);
  if (acked > 0) {
    // A partial acknowledgement takes the duplicates of what it covers along (RFC 6582 section 3.2).
    const rest = c.recovering && !c.sackPermitted ? c.dupAcks + 1 - ((acked / c.mss) | 0) : 0;
    c.dupAcks = rest > 0 ? rest : 0;
    if (c.recovering) {
      if (((c.sndUna - c.recover) | 0) >= 0) {
        c.recovering = false;
        c.dupAcks = 0;
        congestion.recovered(c);
      } else if (!c.sackPermitted) {
        // Partial acknowledgement (RFC 6582 section 3.2 step 5): the next segment is lost too.
        c.lostEdge = firstSegment(c);
        c.rexmitNext = c.sndUna;
      }
    } else congestion.acked(c, acked);
  }
  // With SACK a duplicate is what reports something new, whatever else it brings (RFC 6675 section 2).
  if (c.sackPermitted ? news : duplicate && acked === 0) c.dupAcks++;
  if (c.sackPermitted) {
    if (c.sacked.length === 0) return;
    let edge = findLostEdge(c);
    if (edge === c.sndUna && c.dupAcks >= c.dupThresh && !c.recovering) {
      // The segments above the hole were small, but there were enough of them (section 5, step 1).
      edge = firstSegment(c);
      if (((c.sacked[0] - edge) | 0) < 0) edge = c.sacked[0];
    }
    if (((edge - c.lostEdge) | 0) > 0 && ((edge - c.sndUna) | 0) > 0) mark(c, congestion, edge);
  } else if (
    !c.recovering &&
    c.dupAcks === c.dupThresh &&
    ((c.sndUna - c.recover) | 0) >= 0 &&
    ((c.lostEdge - c.sndUna) | 0) <= 0
  ) {
    mark(c, congestion, firstSegment(c));
  }
}

const SACK_RECOVERY: Recovery = {
  name: "sack",

  acked(c, segment, acked, duplicate) {
    const congestion = c.tcp.congestion;
    const sacked = c.sackedBytes;
    judge(c, segment, acked, duplicate);
    if (!c.recovering || !congestion.recovering) return;
    // Without SACK each duplicate says that a segment has been delivered.
    const silent = c.sackPermitted ? c.sackedBytes - sacked : duplicate ? c.mss : 0;
    congestion.recovering(c, acked + silent);
  },

  timeout(c) {
    // The receiver may have dropped what it SACKed (RFC 2018 section 8): start anew.
    clearScoreboard(c);
    c.dupAcks = 0;
    c.dupThresh = DUP_THRESH;
    c.recovering = false;
    c.recover = c.sndNxt;
    c.lostEdge = c.sndNxt;
    c.rexmitNext = c.sndUna;
  },
};

/** The end of the first segment in flight: nothing that has not been sent. */
function firstSegment(c: Connection): number {
  const flight = outstanding(c);
  return (c.sndUna + (flight < c.mss ? flight : c.mss)) | 0;
}

/** Takes what is below `edge` for lost; begins recovery where there is none. */
export function mark(c: Connection, congestion: Congestion, edge: number): void {
  if (((c.lostEdge - c.sndUna) | 0) <= 0) c.rexmitNext = c.sndUna;
  c.lostEdge = edge;
  if (c.recovering || ((c.recover - c.sndUna) | 0) > 0) return;
  c.recovering = true;
  c.recover = c.sndNxt;
  c.tcp.counters.fastRetransmits++;
  congestion.lost(c);
}

/** Recovery by SACK, with NewReno's where the peer has none: the default. */
export function sackRecovery(): Recovery {
  return SACK_RECOVERY;
}
