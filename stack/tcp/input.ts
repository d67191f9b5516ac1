/** TCP input: "segment arrives" of RFC 9293 section 3.10.7, with PAWS (RFC 7323) and blind attack defences (RFC 5961). */
import type { Packet } from "../core/packet.js";
import { ECONNREFUSED, ECONNRESET } from "../core/errors.js";
import * as wire from "../wire/tcp.js";
import { synWindow, tuneSend } from "./buffer.js";
import { abort, end, enterTimeWait } from "./close.js";
import {
  CLOSE_WAIT,
  CLOSING,
  DELACK,
  ESTABLISHED,
  EVENT_END,
  EVENT_READABLE,
  EVENT_WRITABLE,
  FIN_WAIT_1,
  FIN_WAIT_2,
  KEEPALIVE,
  LAST_ACK,
  ORPHAN,
  PERSIST,
  REXMIT,
  SYN_RCVD,
  SYN_SENT,
  handshaking,
  outstanding,
  sndEnd,
  tell,
} from "./connection.js";
import type { Connection } from "./connection.js";
import { respondReset } from "./control.js";
import { output, sendAck, sendSyn, updateMss } from "./output.js";
import { established, mayEstablish, mayRepeat } from "./passive.js";
import { predicted } from "./prediction.js";
import { dropRanges, receiveData, reportDuplicate } from "./reassembly.js";
import type { Segment } from "./segment.js";
import { clearDeadline, restoreRto, setDeadline, updateRtt } from "./timers.js";

/** A challenge ACK, or an answer to an unacceptable segment, goes out this often to one peer at most, ms (RFC 5961, 7). */
const CHALLENGE_INTERVAL = 500;
/** A timestamp older than this is no longer compared, ms: 24 days (RFC 7323 section 5.5). */
const TIMESTAMP_AGE = 24 * 86400 * 1000;
/** First RTO, ms, where the handshake measured nothing because its SYN was sent twice (RFC 6298 section 5.7). */
const REPEATED_SYN_RTO = 3000;
/** Segments that are acknowledged one by one after a loss: the sender has few in flight, and each acknowledgement may be lost, too. */
const QUICK_ACKS = 16;
/** How long FIN_WAIT_2 lasts when nobody reads any more, ms. */
export const ORPHAN_TIMEOUT = 60000;

/** Takes a segment for connection `c`. */
export function segmentArrives(c: Connection, segment: Segment, packet: Packet): void {
  if (predicted(c, segment, packet)) return;
  if (c.state === SYN_SENT) synSent(c, segment, packet);
  else synchronized(c, segment, packet);
}

/** Does it acknowledge our SYN, at the least? */
function acknowledges(c: Connection, segment: Segment): boolean {
  return (segment.ack - c.sndUna - 1) >>> 0 < outstanding(c);
}

/** RFC 9293 section 3.10.7.3. */
function synSent(c: Connection, segment: Segment, packet: Packet): void {
  const tcp = c.tcp;
  const flags = segment.flags;
  if (flags & wire.ACK && !acknowledges(c, segment)) {
    if ((flags & wire.RST) === 0) respondReset(tcp, packet, segment);
    tcp.counters.badAck++;
    return;
  }
  if (flags & wire.RST) {
    if (flags & wire.ACK) end(c, ECONNREFUSED);
    else tcp.counters.badReset++;
    return;
  }
  if ((flags & wire.SYN) === 0) {
    tcp.counters.badFlags++;
    return;
  }
  acceptOptions(c, segment);
  c.irs = segment.seq;
  c.rcvNxt = (segment.seq + 1) | 0;
  c.rcvAdv = (c.rcvNxt + synWindow(c)) | 0;
  if (tcp.ecn) tcp.ecn.negotiate(c, segment, packet);
  if ((flags & wire.ACK) === 0) {
    // Simultaneous open (section 3.5, figure 8).
    c.state = SYN_RCVD;
    c.retries = 0;
    c.silentSince = tcp.time;
    setDeadline(c, REXMIT, (tcp.time + c.rto) | 0);
    sendSyn(c);
    return;
  }
  c.sndUna = segment.ack;
  if (c.retries === 0) updateRtt(c, (tcp.time - c.silentSince) | 0);
  if (tcp.early) tcp.early.answered(c, segment, packet);
  establish(c, segment);
  c.ackNow = true;
  takePayload(c, segment);
  output(c);
}

/** Takes the options of a SYN: what both ends have offered holds (RFC 7323 section 2.2, RFC 2018 section 2). */
export function acceptOptions(c: Connection, segment: Segment): void {
  c.scaling = c.scaling && segment.scale >= 0;
  c.sndScale = c.scaling ? segment.scale : 0;
  if (!c.scaling) c.rcvScale = 0;
  c.timestamps = c.timestamps && segment.timestamps;
  c.sackPermitted = c.sackPermitted && segment.sackPermitted;
  c.tsRecent = segment.tsValue;
  c.tsRecentAt = c.tcp.time;
  c.peerMss =
    segment.mss > 0
      ? segment.mss < 64
        ? 64
        : segment.mss
      : c.path.net.minimumMtu - c.path.net.headerSize - 20;
  updateMss(c);
  c.rcvMss = c.mss;
}

/** The connection is established: `sndUna` is past our SYN (or before it, where data came with the peer's: see fast-open.ts). */
export function establish(c: Connection, segment: Segment): void {
  const tcp = c.tcp;
  c.state = c.finQueued ? FIN_WAIT_1 : ESTABLISHED;
  c.lostEdge = c.rexmitNext = c.recover = c.sndSmall = c.sndUna;
  c.lastReceived = c.tuneTime = tcp.time;
  clearDeadline(c, REXMIT);
  c.sndWnd = segment.unscaled ? segment.window : segment.window << c.sndScale;
  c.sndWndMax = c.sndWnd;
  c.sndWl1 = segment.seq;
  c.sndWl2 = segment.ack;
  tcp.congestion.start(c);
  if (c.retries > 0) {
    c.rto = REPEATED_SYN_RTO;
    if (c.retries > 1) c.cwnd = c.mss;
    c.retries = 0;
  }
  established(c);
  if (c.keepAlive > 0) setDeadline(c, KEEPALIVE, (tcp.time + c.keepAlive) | 0);
}

/** RFC 9293 section 3.10.7.4, step by step. */
function synchronized(c: Connection, segment: Segment, packet: Packet): void {
  const tcp = c.tcp;
  const counters = tcp.counters;
  if (segment.seq === c.irs && (segment.flags & (wire.SYN | wire.RST)) === wire.SYN) {
    if (tcp.ecn && tcp.ecn.repeated(c, segment, packet)) return;
    if (handshaking(c)) {
      if ((segment.flags & wire.ACK) === 0) {
        // Our SYN-ACK was lost; the timer would send it as well, but the peer is here now.
        if (mayRepeat(c)) sendSyn(c);
        return;
      }
      // The peer's half of a simultaneous open: its SYN is known already.
      segment.flags &= ~wire.SYN;
      segment.seq = (segment.seq + 1) | 0;
    }
  }
  const flags = segment.flags;
  const length = segment.length + (flags & wire.SYN ? 1 : 0) + (flags & wire.FIN ? 1 : 0);
  const ahead = (segment.seq - c.rcvNxt) | 0;
  let window = (c.rcvAdv - c.rcvNxt) | 0;
  if (window < 0) window = 0;

  // PAWS (RFC 7323 section 5): before all else. A RST is not judged by its timestamp, and a SYN is challenged anyway.
  if (c.timestamps && (flags & (wire.RST | wire.SYN)) === 0) {
    if (!segment.timestamps) {
      counters.noTimestamp++;
      return;
    }
    if (((segment.tsValue - c.tsRecent) | 0) < 0 && (tcp.time - c.tsRecentAt) >>> 0 < TIMESTAMP_AGE) {
      counters.paws++;
      if (segment.length > 0 && ahead < 0)
        reportDuplicate(c, segment.seq, (segment.seq + segment.length) | 0);
      answerUnacceptable(c, segment.length);
      return;
    }
  }

  // First: sequence number.
  const acceptable =
    length === 0
      ? ahead >= 0 && (ahead < window || ahead === 0)
      : ahead < window && ahead + length > 0 && window > 0;
  if (!acceptable) {
    if (flags & wire.RST) {
      counters.badReset++;
      return;
    }
    if (segment.length > 0 && ahead + length <= 0) {
      reportDuplicate(c, segment.seq, (segment.seq + length) | 0);
    }
    // Valid ACKs are taken also where the window is closed: with a window probe, or behind one that was refused.
    if (
      (flags & (wire.SYN | wire.ACK)) === wire.ACK &&
      ahead >= 0 &&
      ahead <= window + 1 &&
      !handshaking(c)
    ) {
      c.lastReceived = tcp.time;
      if (!acknowledge(c, segment)) return;
      if (segment.length > 0) {
        counters.outOfWindow++;
        c.ackNow = true;
      }
      output(c);
      return;
    }
    counters.outOfWindow++;
    answerUnacceptable(c, segment.length);
    return;
  }

  // Second: RST (RFC 5961 section 3.2).
  if (flags & wire.RST) {
    if (ahead !== 0) {
      challenge(c);
      return;
    }
    counters.resetsReceived++;
    if (c.state === SYN_RCVD && c.listener) end(c, ECONNRESET);
    else end(c, c.state === SYN_RCVD ? ECONNREFUSED : ECONNRESET);
    return;
  }

  // Fourth: SYN (RFC 5961 section 4.2).
  if (flags & wire.SYN) {
    challenge(c);
    return;
  }

  // Fifth: ACK.
  if ((flags & wire.ACK) === 0) {
    counters.badFlags++;
    return;
  }
  if (handshaking(c)) {
    if (!acknowledges(c, segment)) {
      counters.badAck++;
      respondReset(tcp, packet, segment);
      return;
    }
    if (c.state === SYN_RCVD) {
      if (!mayEstablish(c)) return;
      c.sndUna = (c.iss + 1) | 0;
      if (c.retries === 0) updateRtt(c, (tcp.time - c.silentSince) | 0);
      establish(c, segment);
    }
  }
  c.lastReceived = tcp.time;
  if (tcp.ecn) tcp.ecn.input(c, segment, packet);
  if (!acknowledge(c, segment)) return;
  keepTimestamp(c, segment);

  // Sixth: URG. The pointer is ignored: urgent data stay in the stream, where they are (RFC 6093).

  // Seventh and eighth: data and FIN.
  takePayload(c, segment);
  output(c);
}

/** RFC 7323 section 4.3: the timestamp to echo is of the segment that covers what was acknowledged last. */
export function keepTimestamp(c: Connection, segment: Segment): void {
  if (!c.timestamps || ((segment.seq - c.lastAckSent) | 0) > 0) return;
  c.tsRecent = segment.tsValue;
  c.tsRecentAt = c.tcp.time;
}

/** Answers a segment outside the window: data always (the peer repeats what we have acknowledged), else at a limited rate. */
function answerUnacceptable(c: Connection, length: number): void {
  if (length > 0) c.quickAcks = QUICK_ACKS;
  else if (!limited(c)) return;
  sendAck(c);
}

/** RFC 5961: makes the peer, if it is one, show its sequence numbers. */
function challenge(c: Connection): void {
  if (!limited(c)) return;
  c.tcp.counters.challenges++;
  sendAck(c);
}

function limited(c: Connection): boolean {
  if ((c.tcp.time - c.challengeAt) >>> 0 < CHALLENGE_INTERVAL && c.challengeAt !== 0) {
    c.tcp.counters.challengesLimited++;
    return false;
  }
  c.challengeAt = c.tcp.time || -1;
  return true;
}

/** Processes the acknowledgement; false: the segment (or the connection) ends here. */
function acknowledge(c: Connection, segment: Segment): boolean {
  const tcp = c.tcp;
  const ack = segment.ack;
  const acked = (ack - c.sndUna) | 0;
  if (((ack - c.sndNxt) | 0) > 0) {
    tcp.counters.badAck++;
    challenge(c);
    return false;
  }
  if (acked < 0) {
    // Old, or a guess (RFC 5961 section 5.2).
    if (acked < -(c.sndWndMax > 65535 ? c.sndWndMax : 65535)) {
      tcp.counters.badAck++;
      challenge(c);
      return false;
    }
    return true;
  }
  const offered = segment.unscaled ? segment.window : segment.window << c.sndScale;
  const flight = outstanding(c);
  const duplicate =
    acked === 0 &&
    segment.length === 0 &&
    flight > 0 &&
    offered === c.sndWnd &&
    offered > 0 &&
    (segment.flags & (wire.SYN | wire.FIN)) === 0;
  c.flight = flight;
  if (acked > 0) {
    c.sndUna = ack;
    takeAcknowledged(c);
    measure(c, segment);
  }
  updateWindow(c, segment, offered);
  if (acked > 0 || segment.sackCount > 0 || duplicate) {
    tcp.recovery.acked(c, segment, acked, duplicate);
  }
  if (acked > 0) return acknowledgedState(c);
  return true;
}

/** Drops acknowledged bytes from the send buffer, restarts the timers. */
export function takeAcknowledged(c: Connection): void {
  const tcp = c.tcp;
  const una = c.sndUna;
  const bytes = (una - c.sndBufSeq) | 0;
  if (bytes > 0) {
    const held = c.sndBuf.length;
    const data = bytes < held ? bytes : held;
    tuneSend(c);
    c.sndBuf.consume(data);
    c.sndBufSeq = (c.sndBufSeq + data) | 0;
    if (c.sndBuf.length === 0) c.sndBuf.clear();
    if (c.wantsWritable && c.sndLimit - c.sndBuf.length >= c.sndLimit >> 2) tell(c, EVENT_WRITABLE);
  }
  // What lies behind must not fall out of the half of the sequence space in which comparisons hold.
  if (((c.lostEdge - una) | 0) < 0) c.lostEdge = una;
  if (((c.rexmitNext - una) | 0) < 0) c.rexmitNext = una;
  if (((c.sndSmall - una) | 0) < 0) c.sndSmall = una;
  if (!c.recovering && ((c.recover - una) | 0) < 0) c.recover = una;
  c.retries = 0;
  c.orphanProbes = 0;
  c.softError = 0;
  c.silentSince = tcp.time;
  if (c.armed & (1 << PERSIST)) {
    clearDeadline(c, PERSIST);
    restoreRto(c);
  }
  if (outstanding(c) === 0) clearDeadline(c, REXMIT);
}

/** Round trip time: by timestamps, or by the one segment that is being timed. Until then a backed-off RTO stays (Karn). */
export function measure(c: Connection, segment: Segment): void {
  const now = c.tcp.time;
  const ack = c.sndUna;
  if (c.timestamps && segment.tsEcho !== 0) {
    const sample = (now + c.tsOffset - segment.tsEcho) | 0;
    // An ACK of new data that reports a duplicate (RFC 2883) repeats one that was lost: so old is its echo.
    const repeated = segment.sackCount > 0 && ((segment.sack[1] - ack) | 0) <= 0;
    if (sample >= 0 && !repeated) updateRtt(c, sample);
    else restoreRto(c);
  } else if (c.timing && ((ack - c.timedSeq) | 0) >= 0) {
    c.timing = false;
    updateRtt(c, (now - c.timedAt) | 0);
  }
  if (outstanding(c) > 0) setDeadline(c, REXMIT, (now + c.rto) | 0);
  c.path.net.confirm(c.path);
}

/** RFC 9293 section 3.10.7.4: the window of the segment that is newest. */
export function updateWindow(c: Connection, segment: Segment, offered: number): void {
  const newer = (segment.seq - c.sndWl1) | 0;
  if (newer < 0 || (newer === 0 && ((segment.ack - c.sndWl2) | 0) < 0)) return;
  const before = c.sndWnd;
  c.sndWnd = offered;
  c.sndWl1 = segment.seq;
  c.sndWl2 = segment.ack;
  if (offered > c.sndWndMax) c.sndWndMax = offered;
  const now = c.tcp.time;
  if (c.armed & (1 << PERSIST)) {
    // The peer is alive, whatever its window.
    c.retries = 0;
    c.silentSince = now;
    if (offered > 0 && offered > before) {
      clearDeadline(c, PERSIST);
      restoreRto(c);
      if (outstanding(c) > 0) {
        // The probe's byte was refused: it goes again with the rest.
        c.lostEdge = c.sndNxt;
        c.rexmitNext = c.sndUna;
        setDeadline(c, REXMIT, (now + c.rto) | 0);
      }
    }
  } else if (offered === 0 && outstanding(c) > 0 && c.armed & (1 << REXMIT)) {
    // The window closed under what is in flight: probe instead of retransmitting into it.
    clearDeadline(c, REXMIT);
    c.retries = 0;
    c.silentSince = now;
    setDeadline(c, PERSIST, (now + c.rto) | 0);
  }
}

/** What the acknowledgement of our FIN changes; false: the connection is gone. */
function acknowledgedState(c: Connection): boolean {
  const finAcked = c.finQueued && ((c.sndUna - sndEnd(c)) | 0) === 0;
  if (!finAcked) return true;
  if (c.state === FIN_WAIT_1) {
    c.state = FIN_WAIT_2;
    if (c.orphan) setDeadline(c, ORPHAN, (c.tcp.time + ORPHAN_TIMEOUT) | 0);
  } else if (c.state === CLOSING) {
    enterTimeWait(c);
    return false;
  } else if (c.state === LAST_ACK) {
    end(c, 0);
    return false;
  }
  return true;
}

/** Data and FIN, cut to the window. */
function takePayload(c: Connection, segment: Segment): void {
  const tcp = c.tcp;
  const state = c.state;
  let length = segment.length;
  let seq = segment.flags & wire.SYN ? (segment.seq + 1) | 0 : segment.seq;
  let at = segment.at;
  let fin = (segment.flags & wire.FIN) !== 0;
  if (length === 0 && !fin) return;
  if (state !== ESTABLISHED && state !== FIN_WAIT_1 && state !== FIN_WAIT_2) {
    // The peer has said that it sends no more: what comes is a repetition, or ignored.
    c.ackNow = true;
    return;
  }
  const behind = (c.rcvNxt - seq) | 0;
  if (behind > 0) {
    const twice = behind < length ? behind : length;
    if (twice > 0) reportDuplicate(c, seq, (seq + twice) | 0);
    if (behind > length) fin = false;
    seq = (seq + twice) | 0;
    at += twice;
    length -= twice;
    c.ackNow = true;
  }
  // Nothing lies behind a FIN.
  const edge = c.finSeen && ((c.finSeq - c.rcvAdv) | 0) < 0 ? c.finSeq : c.rcvAdv;
  const beyond = (seq + length - edge) | 0;
  if (beyond > 0) {
    length -= beyond;
    fin = false;
    c.ackNow = true;
  }
  if (length > 0 && c.orphan) {
    // Nobody will read it (RFC 9293 section 3.10.7.1, RFC 2525 section 2.17).
    tcp.counters.dataAfterClose++;
    abort(c, 0);
    return;
  }
  if (length > 0) takeData(c, seq, segment.data, at, length);
  if (fin) c.finSeq = (seq + length) | 0;
  c.finSeen = c.finSeen || fin;
  if (c.finSeen) {
    const left = (c.finSeq - c.rcvNxt) | 0;
    if (left === 0) receiveFin(c);
    else c.ackNow = true;
    // Data from behind it had come before: the peer contradicts itself.
    if (left < 0) c.finSeen = false;
  }
  scheduleAck(c);
}

/** Data that lie inside the window. */
export function takeData(c: Connection, seq: number, data: Uint8Array, at: number, length: number): void {
  const before = c.rcvNxt;
  if (length > c.rcvMss && length < 65000) c.rcvMss = length;
  if (!receiveData(c, seq, data, at, length)) return;
  tell(c, EVENT_READABLE);
  c.unacked += (c.rcvNxt - before) | 0;
}

/** An acknowledgement for what has come: at once, or later (RFC 9293 section 3.8.6.3). */
export function scheduleAck(c: Connection): void {
  if (c.ackNow) {
    // Out of order, twice, or into a hole: data were lost.
    c.quickAcks = QUICK_ACKS;
    return;
  }
  if (c.unacked === 0) return;
  if (c.quickAcks > 0) {
    c.quickAcks--;
    c.ackNow = true;
  } else if (c.unacked >= 2 * c.rcvMss) c.ackNow = true;
  else if ((c.armed & (1 << DELACK)) === 0) {
    setDeadline(c, DELACK, (c.tcp.time + c.tcp.delayedAck) | 0);
  }
}

/** RFC 9293 section 3.10.7.4, eighth. */
function receiveFin(c: Connection): void {
  c.rcvNxt = (c.rcvNxt + 1) | 0;
  c.finReceived = true;
  c.finSeen = false;
  c.ackNow = true;
  dropRanges(c);
  tell(c, EVENT_END);
  if (c.state === ESTABLISHED) c.state = CLOSE_WAIT;
  else if (c.state === FIN_WAIT_1) c.state = CLOSING;
  else if (c.state === FIN_WAIT_2) {
    sendAck(c);
    enterTimeWait(c);
  }
}
