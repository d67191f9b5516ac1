/**
 * RACK-TLP loss detection (RFC 8985): by time instead of by counting duplicates. What was sent a reordering window before
 * something that has been delivered is lost, retransmissions as well; and where nothing follows that could tell, a probe is sent.
 *
 * A connection whose peer has no SACK is served by duplicate acknowledgements, as `sackRecovery` does.
 */
import type { Congestion } from "./congestion.js";
import { RECOVERY, REXMIT, outstanding, sndEnd } from "./connection.js";
import type { Connection } from "./connection.js";
import { output, sendData, sendHeldBack } from "./output.js";
import { mark, pruneScoreboard, sackRecovery, sackedWithin, updateScoreboard } from "./recovery.js";
import type { Recovery } from "./recovery.js";
import type { Segment } from "./segment.js";
import { clearDeadline, setDeadline } from "./timers.js";

/** Records of what is in flight: one for each millisecond in which something was sent; and retransmissions. */
const FLIGHT_LIMIT = 4096;
const REPEAT_LIMIT = 1024;
/** Lost retransmissions that wait to be sent again. */
const AGAIN_LIMIT = 64;
/** The receiver may delay its acknowledgement so long, ms (RFC 8985 section 7.2). */
const WORST_DELAYED_ACK = 200;
/** Recoveries without a D-SACK after which the reordering window is small again (section 6.2, step 4). */
const PERSIST = 16;
/** How long the smallest round trip holds, ms. */
const MIN_RTT_AGE = 300000;

/** What the deadline is for. */
const NOTHING = 0;
const REORDER = 1;
const TAIL = 2;

/** State of a connection, in the RFC's terms. */
class Rack {
  /** First transmissions in order: where each ends in the sequence space, and when it was sent. `head` is the oldest. */
  readonly ends: number[] = [];
  readonly times: number[] = [];
  head = 0;
  /** The first that is not yet taken for lost. */
  scan = 0;
  /** Retransmissions in order of their sending: start, end, time. */
  readonly repeats: number[] = [];
  /** RACK.xmit_ts, RACK.end_seq, RACK.rtt: the latest transmission that has been delivered. */
  delivered = false;
  xmit = 0;
  endSeq = 0;
  rtt = 0;
  minRtt = 0;
  minRttAt = 0;
  /** RACK.fack: the highest sequence number delivered. */
  fack = 0;
  reorderingSeen = false;
  multiplier = 1;
  persist = PERSIST;
  /** No second D-SACK counts before this is acknowledged. */
  dsackRound = 0;
  waiting = NOTHING;
  /** A tail loss probe is out: TLP.end_seq, TLP.is_retrans. */
  probing = false;
  probeEnd = 0;
  probeRepeats = false;
}

const PLAIN = sackRecovery();

function stateOf(c: Connection): Rack {
  let state = c.recoveryState as Rack | null;
  if (!state) {
    c.recoveryState = state = new Rack();
    state.fack = state.dsackRound = c.sndUna;
  }
  return state;
}

/** (t1, end1) was sent after (t2, end2): section 6.1, RACK_sent_after. */
function sentAfter(t1: number, end1: number, t2: number, end2: number): boolean {
  const later = (t1 - t2) | 0;
  return later > 0 || (later === 0 && ((end1 - end2) | 0) > 0);
}

/** A transmission at `time` that ends at `end` has been delivered (section 6.2, steps 1 and 2). */
function deliver(c: Connection, rack: Rack, time: number, end: number): void {
  if (rack.delivered && !sentAfter(time, end, rack.xmit, rack.endSeq)) return;
  rack.delivered = true;
  rack.xmit = time;
  rack.endSeq = end;
  rack.rtt = (c.tcp.time - time) | 0;
}

/** Has all of [start, end) arrived? */
function arrived(c: Connection, start: number, end: number): boolean {
  if (((end - c.sndUna) | 0) <= 0) return true;
  const from = ((start - c.sndUna) | 0) > 0 ? start : c.sndUna;
  return sackedWithin(c, from, end) === ((end - from) | 0);
}

/** The first transmission of the byte before `seq`. */
function deliverFirst(c: Connection, rack: Rack, seq: number): void {
  let low = rack.head;
  let high = rack.ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (((rack.ends[middle] - seq) | 0) < 0) low = middle + 1;
    else high = middle;
  }
  if (low < rack.ends.length) deliver(c, rack, rack.times[low], seq);
}

/** Retransmissions that have been delivered leave the list; those that are still under way stay. */
function deliverRepeats(c: Connection, rack: Rack, segment: Segment): void {
  const list = rack.repeats;
  let kept = 0;
  for (let i = 0; i < list.length; i += 3) {
    const time = list[i + 2];
    if (arrived(c, list[i], list[i + 1])) {
      // An ACK that comes too soon, or echoes an older timestamp, is for the first transmission (section 6.2, step 2).
      const early = c.timestamps
        ? ((segment.tsEcho - c.tsOffset - time) | 0) < 0
        : ((c.tcp.time - time) | 0) < rack.minRtt;
      if (!early) deliver(c, rack, time, list[i + 1]);
      continue;
    }
    list[kept] = list[i];
    list[kept + 1] = list[i + 1];
    list[kept + 2] = time;
    kept += 3;
  }
  list.splice(kept, list.length - kept);
}

/** Forgets first transmissions that are acknowledged. */
function forget(c: Connection, rack: Rack): void {
  const ends = rack.ends;
  while (rack.head < ends.length && ((ends[rack.head] - c.sndUna) | 0) <= 0) rack.head++;
  if (rack.head >= 32 && rack.head * 2 >= ends.length) {
    ends.splice(0, rack.head);
    rack.times.splice(0, rack.head);
    rack.scan -= rack.head;
    rack.head = 0;
  }
  if (rack.scan < rack.head) rack.scan = rack.head;
}

/** What an ACK says of deliveries, of reordering and of the round trip. */
function update(c: Connection, rack: Rack, segment: Segment, acked: number, duplicateReport: boolean): void {
  const now = c.tcp.time;
  if (
    acked > 0 &&
    c.rtt > 0 &&
    (rack.minRtt === 0 || c.rtt <= rack.minRtt || ((now - rack.minRttAt) | 0) > MIN_RTT_AGE)
  ) {
    rack.minRtt = c.rtt;
    rack.minRttAt = now;
  }
  // What lay below a delivered byte arrives, and was sent but once: the path has reordered (section 6.2, step 3).
  if (acked > 0 && rack.repeats.length === 0) {
    const before = (c.sndUna - acked) | 0;
    if (((rack.fack - before) | 0) > 0 && ((c.rexmitNext - c.sndUna) | 0) <= 0 && !c.recovering)
      rack.reorderingSeen = true;
  }
  let highest = c.sndUna;
  for (let i = 0; i < segment.sackCount * 2; i += 2) {
    const end = segment.sack[i + 1];
    if (((end - highest) | 0) > 0 && ((end - c.sndNxt) | 0) <= 0) highest = end;
  }
  deliverFirst(c, rack, highest);
  deliverRepeats(c, rack, segment);
  if (((highest - rack.fack) | 0) > 0) rack.fack = highest;
  if (duplicateReport) {
    rack.reorderingSeen = true;
    // Counted back from `sndNxt`, as in `slowDown`.
    if ((c.sndNxt - rack.dsackRound) >>> 0 >= outstanding(c)) {
      rack.dsackRound = c.sndNxt;
      rack.multiplier++;
      rack.persist = PERSIST;
    }
  }
  forget(c, rack);
}

/** RACK_update_reo_wnd: how much later than its successor a segment may come, ms (section 6.2, step 4). */
function reorderWindow(c: Connection, rack: Rack): number {
  if (!rack.reorderingSeen && (c.recovering || c.sacked.length >= 6 || c.sackedBytes > 2 * c.mss)) return 0;
  const window = (rack.multiplier * rack.minRtt) >> 2 || 1;
  const most = c.srtt >> 3 || 1;
  return window < most ? window : most;
}

/** RACK_detect_loss (section 6.2, step 5): marks what is lost, and waits for what may be. True: something new is lost. */
function detect(c: Connection, rack: Rack): boolean {
  if (!rack.delivered) return false;
  const now = c.tcp.time;
  const patience = rack.rtt + reorderWindow(c, rack);
  let wait = 0;
  let edge = ((c.lostEdge - c.sndUna) | 0) > 0 ? c.lostEdge : c.sndUna;
  const from = edge;
  for (let i = rack.scan; i < rack.ends.length; i++) {
    const time = rack.times[i];
    let end = rack.ends[i];
    if (!sentAfter(rack.xmit, rack.endSeq, time, end)) {
      // Of those that left in the same millisecond, what lies below the delivered one was sent before it.
      if (time !== rack.xmit) break;
      end = rack.endSeq;
    }
    if (((end - edge) | 0) > 0) {
      const left = (time + patience - now) | 0;
      if (left > 0) {
        wait = left;
        break;
      }
      edge = end;
    }
    if (end !== rack.ends[i]) break;
    rack.scan = i + 1;
  }
  let found = false;
  if (((edge - from) | 0) > sackedWithin(c, from, edge)) {
    mark(c, c.tcp.congestion, edge);
    found = true;
  }
  const repeats = rack.repeats;
  let gone = 0;
  while (gone < repeats.length && sentAfter(rack.xmit, rack.endSeq, repeats[gone + 2], repeats[gone + 1])) {
    const left = (repeats[gone + 2] + patience - now) | 0;
    if (left > 0) {
      if (wait === 0 || left < wait) wait = left;
      break;
    }
    if (!c.again) c.again = [];
    if (c.again.length >= 2 * AGAIN_LIMIT) break;
    // A part of it may have arrived.
    const start = repeats[gone];
    c.again.push(((start - c.sndUna) | 0) > 0 ? start : c.sndUna, repeats[gone + 1]);
    found = true;
    gone += 3;
  }
  if (gone > 0) repeats.splice(0, gone);
  if (wait > 0) {
    rack.waiting = REORDER;
    setDeadline(c, RECOVERY, (now + wait) | 0);
  } else if (rack.waiting === REORDER) settle(c, rack);
  return found;
}

function settle(c: Connection, rack: Rack): void {
  rack.waiting = NOTHING;
  clearDeadline(c, RECOVERY);
}

/** What waited to be sent again may have arrived by now. */
function pruneAgain(c: Connection): void {
  const again = c.again;
  if (!again) return;
  let kept = 0;
  for (let i = 0; i < again.length; i += 2) {
    if (arrived(c, again[i], again[i + 1])) continue;
    again[kept] = ((again[i] - c.sndUna) | 0) > 0 ? again[i] : c.sndUna;
    again[kept + 1] = again[i + 1];
    kept += 2;
  }
  again.splice(kept, again.length - kept);
  if (kept === 0) c.again = null;
}

/** TLP_process_ack (section 7.4.2): did the probe repair a loss? Then the window is reduced as for any other. */
function probeAnswered(
  c: Connection,
  rack: Rack,
  acked: number,
  duplicate: boolean,
  duplicateReport: boolean,
): void {
  const beyond = (c.sndUna - rack.probeEnd) | 0;
  if (!rack.probing || beyond < 0) return;
  if (rack.probeRepeats && !duplicateReport && !(duplicate && acked === 0)) {
    // The ACK of the probe itself says nothing; the next one tells whether there was a duplicate.
    if (beyond === 0) return;
    const congestion = c.tcp.congestion;
    congestion.lost(c);
    congestion.recovered(c);
  }
  rack.probing = false;
}

/** Arms the tail loss probe for `flight` bytes (section 7.2). */
function armProbe(c: Connection, rack: Rack, flight: number): void {
  if (rack.waiting === REORDER) return;
  if (c.recovering || rack.probing || c.srtt === 0 || c.sacked.length > 0 || flight === 0 || c.retries > 0) {
    if (rack.waiting === TAIL) settle(c, rack);
    return;
  }
  const now = c.tcp.time;
  let timeout = (c.srtt >> 2) + 1;
  if (flight <= c.mss) timeout += WORST_DELAYED_ACK;
  rack.waiting = TAIL;
  setDeadline(c, RECOVERY, (now + timeout) | 0);
}

/** TLP_send_probe (section 7.3): new data where there is some and the peer has room, else the last segment again. */
function sendProbe(c: Connection, rack: Rack): void {
  const flight = outstanding(c);
  if (flight === 0) return;
  const open = (c.sndUna + c.sndWnd - c.sndNxt) | 0;
  if (((sndEnd(c) - c.sndNxt) | 0) > 0 && open > 0) {
    if (!sendHeldBack(c, open)) return;
    rack.probeRepeats = false;
  } else {
    const length = flight < c.mss ? flight : c.mss;
    if (!sendData(c, (c.sndNxt - length) | 0, length)) return;
    c.tcp.counters.retransmitted++;
    c.timing = false;
    rack.probeRepeats = true;
  }
  rack.probing = true;
  rack.probeEnd = c.sndNxt;
  c.tcp.counters.tailProbes++;
  setDeadline(c, REXMIT, (c.tcp.time + c.rto) | 0);
}

const RACK: Recovery = {
  name: "rack",

  acked(c, segment, acked, duplicate) {
    if (!c.sackPermitted) {
      PLAIN.acked(c, segment, acked, duplicate);
      return;
    }
    const rack = stateOf(c);
    const congestion: Congestion = c.tcp.congestion;
    const sackedBefore = c.sackedBytes;
    if (acked > 0 && c.sacked.length > 0) pruneScoreboard(c);
    if (segment.sackCount > 0) updateScoreboard(c, segment);
    const duplicateReport = segment.sackCount > 0 && ((segment.sack[1] - c.sndUna) | 0) <= 0;
    update(c, rack, segment, acked, duplicateReport);
    pruneAgain(c);
    probeAnswered(c, rack, acked, duplicate, duplicateReport);
    if (c.recovering && ((c.sndUna - c.recover) | 0) >= 0) {
      c.recovering = false;
      congestion.recovered(c);
      if (--rack.persist <= 0) rack.multiplier = 1;
    } else if (!c.recovering && acked > 0) congestion.acked(c, acked);
    detect(c, rack);
    if (c.recovering && congestion.recovering) congestion.recovering(c, acked + c.sackedBytes - sackedBefore);
    if (acked > 0) armProbe(c, rack, outstanding(c));
  },

  timeout(c) {
    PLAIN.timeout(c);
    const rack = c.recoveryState as Rack | null;
    if (!rack) return;
    c.again = null;
    rack.repeats.splice(0, rack.repeats.length);
    rack.scan = rack.ends.length;
    rack.probing = false;
    settle(c, rack);
  },

  sent(c, seq, length) {
    if (!c.sackPermitted) return;
    const rack = stateOf(c);
    const now = c.tcp.time;
    const end = (seq + length) | 0;
    if (((seq - c.sndNxt) | 0) < 0) {
      // Beyond the limit a loss is left to the timeout.
      if (rack.repeats.length < 3 * REPEAT_LIMIT) rack.repeats.push(seq, end, now);
      return;
    }
    const last = rack.ends.length - 1;
    if (last >= rack.head && (rack.times[last] === now || last - rack.head >= FLIGHT_LIMIT)) {
      rack.ends[last] = end;
      rack.times[last] = now;
      if (rack.scan > last) rack.scan = last;
    } else {
      rack.ends.push(end);
      rack.times.push(now);
    }
    armProbe(c, rack, (end - c.sndUna) | 0);
  },

  fire(c) {
    const rack = stateOf(c);
    const waited = rack.waiting;
    rack.waiting = NOTHING;
    if (waited === REORDER) detect(c, rack);
    else if (waited === TAIL) sendProbe(c, rack);
    output(c);
  },
};

/** `tcp({ recovery: rack() })`. */
export function rack(): Recovery {
  return RACK;
}
