/** TCP's timers: one timer of the stack for each connection, and what each of its deadlines does. */
import { ETIMEDOUT } from "../core/errors.js";
import { underPressure } from "./buffer.js";
import { abort, end } from "./close.js";
import {
  DELACK,
  ESTABLISHED,
  KEEPALIVE,
  ORPHAN,
  PERSIST,
  RECOVERY,
  REXMIT,
  handshaking,
  outstanding,
  sndEnd,
} from "./connection.js";
import type { Connection } from "./connection.js";
import { output, sendHeldBack, sendProbe, sendSegment, sendSyn, updateMss } from "./output.js";
import * as wire from "../wire/tcp.js";

/** Longest interval between retransmissions or probes, ms (RFC 6298 section 2.5). */
export const RTO_MAX = 60000;
/** Interval of keepalive probes, ms, and how many go unanswered before the connection ends. */
const KEEPALIVE_INTERVAL = 75000;
const KEEPALIVE_PROBES = 9;
/** Probes into a closed window for a connection that its application has left. */
const ORPHAN_PROBES = 8;
/** User timeout, ms, of such a connection where none is set. */
const ORPHAN_USER_TIMEOUT = 300000;
/** Timeouts in a row after which the path is suspected to swallow large segments (RFC 4821 section 7.6.2 in small). */
const BLACKHOLE_RETRIES = 3;
/** MSS to fall back to: IPv6's minimum MTU, then IPv4's. */
const BLACKHOLE_MSS = [1220, 536];

/** Arms the deadline `bit` at stack time `at`. */
export function setDeadline(c: Connection, bit: number, at: number): void {
  c.deadlines[bit] = at;
  c.armed |= 1 << bit;
  if (c.timer.slot < 0 || ((at - c.timer.at) | 0) < 0) c.tcp.stack.timers.set(c.timer, at);
}

/** The stack's timer stays armed: when it fires for nothing it is set anew. */
export function clearDeadline(c: Connection, bit: number): void {
  c.armed &= ~(1 << bit);
}

/** The connection's timer has fired. */
export function onTimer(c: Connection): void {
  const now = c.tcp.refreshTime();
  for (let bit = 0; bit <= RECOVERY; bit++) {
    if ((c.armed & (1 << bit)) === 0 || ((c.deadlines[bit] - now) | 0) > 0) continue;
    clearDeadline(c, bit);
    if (bit === REXMIT) retransmissionTimeout(c);
    else if (bit === PERSIST) persistTimeout(c);
    else if (bit === KEEPALIVE) keepaliveTimeout(c);
    else if (bit === ORPHAN) end(c, ETIMEDOUT);
    else if (bit === RECOVERY) c.tcp.recovery.fire!(c);
    else {
      if (bit === DELACK) c.ackNow = true;
      output(c);
    }
  }
  let next = 0;
  let armed = false;
  for (let bit = 0; bit <= RECOVERY; bit++) {
    if ((c.armed & (1 << bit)) === 0) continue;
    if (!armed || ((c.deadlines[bit] - next) | 0) < 0) next = c.deadlines[bit];
    armed = true;
  }
  if (armed) c.tcp.stack.timers.set(c.timer, next);
}

/** RFC 6298 section 5: back off, retransmit the earliest segment. */
function retransmissionTimeout(c: Connection): void {
  const tcp = c.tcp;
  c.retries++;
  const handshake = handshaking(c);
  const left = handshake ? RTO_MAX : patience(c);
  if (handshake ? c.retries > (c.listener ? synAckRetries(c) : tcp.synRetries) : left === 0) {
    end(c, c.softError || ETIMEDOUT);
    return;
  }
  tcp.counters.timeouts++;
  backOff(c, REXMIT, left);
  c.timing = false;
  c.path.net.doubt(c.path);
  if (handshake) {
    tcp.counters.retransmitted++;
    sendSyn(c);
    return;
  }
  detectBlackhole(c);
  // The recovery first: it may want to remember the window of before.
  tcp.recovery.timeout(c);
  tcp.congestion.timeout(c);
  output(c);
}

/**
 * How often the SYN-ACK of `c` may go out again. A SYN without a maximum segment size, 40 bytes, is shorter than its answer: three of
 * these would be more than three times as much as a forger has sent.
 */
export function synAckRetries(c: Connection): number {
  const net = c.path.net;
  const isShort = c.peerMss <= net.minimumMtu - net.headerSize - wire.TCP_HEADER;
  return c.tcp.synAckRetries - (isShort ? 1 : 0);
}

/** Milliseconds left of the user timeout. A connection that its application has left always has one. */
function patience(c: Connection): number {
  const timeout = c.userTimeout || (c.orphan ? ORPHAN_USER_TIMEOUT : 0);
  const left = (timeout - c.tcp.time + c.silentSince) | 0;
  return timeout === 0 ? RTO_MAX : left > 0 ? left : 0;
}

/** Backs off: the next try comes in twice the time of the last, or when the user timeout is over. */
function backOff(c: Connection, bit: number, left: number): void {
  c.rto = c.rto * 2 < RTO_MAX ? c.rto * 2 : RTO_MAX;
  setDeadline(c, bit, (c.tcp.time + (c.rto < left ? c.rto : left)) | 0);
}

/** Full segments are lost again and again, and nothing tells why: try smaller ones. */
function detectBlackhole(c: Connection): void {
  if (c.retries < BLACKHOLE_RETRIES) return;
  for (let i = 0; i < BLACKHOLE_MSS.length; i++) {
    if (BLACKHOLE_MSS[i] < c.mss) {
      c.mssLimit = BLACKHOLE_MSS[i];
      c.tcp.counters.blackholes++;
      updateMss(c);
      return;
    }
  }
}

/** RFC 9293 section 3.8.6.1: the window is closed; ask whether it still is. */
function persistTimeout(c: Connection): void {
  const tcp = c.tcp;
  if (((sndEnd(c) - c.sndUna) | 0) <= 0) return;
  const left = patience(c);
  // Probes that are answered go on for ever (RFC 1122 section 4.2.2.17); silence is a dead peer.
  if (c.retries > 0 && left === 0) {
    end(c, c.softError || ETIMEDOUT);
    return;
  }
  if (underPressure(c) || (c.orphan && ++c.orphanProbes > ORPHAN_PROBES)) {
    tcp.counters.pressureAborts++;
    abort(c, ETIMEDOUT);
    return;
  }
  const open = (c.sndWnd - outstanding(c)) | 0;
  if (open > 0) {
    // Silly window avoidance has held back what fits (RFC 1122 section 4.2.3.4): the time is up.
    if (sendHeldBack(c, open)) return;
    c.retries++;
    setDeadline(c, PERSIST, (tcp.time + c.rto) | 0);
    return;
  }
  tcp.counters.probes++;
  c.retries++;
  sendProbe(c);
  backOff(c, PERSIST, left || RTO_MAX);
}

/** RFC 9293 section 3.8.4. In FIN_WAIT_2 nothing else would ever tell that the peer is gone. */
function keepaliveTimeout(c: Connection): void {
  if (c.keepAlive <= 0 || c.state < ESTABLISHED) return;
  const tcp = c.tcp;
  const idle = (tcp.time - c.lastReceived) | 0;
  if (idle < c.keepAlive) {
    setDeadline(c, KEEPALIVE, (c.lastReceived + c.keepAlive) | 0);
    return;
  }
  if (c.armed & ((1 << REXMIT) | (1 << PERSIST))) {
    // What is in flight or held back finds out as well whether the peer lives.
    setDeadline(c, KEEPALIVE, (tcp.time + c.keepAlive) | 0);
    return;
  }
  if (idle >= c.keepAlive + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES) {
    end(c, c.softError || ETIMEDOUT);
    return;
  }
  tcp.counters.keepalives++;
  sendSegment(c, (c.sndUna - 1) | 0, 0, wire.ACK);
  setDeadline(c, KEEPALIVE, (tcp.time + KEEPALIVE_INTERVAL) | 0);
}

/** Takes a round trip time of `sample` ms into the estimate (RFC 6298 section 2). */
export function updateRtt(c: Connection, sample: number): void {
  if (sample < 1) sample = 1;
  if (sample > RTO_MAX) sample = RTO_MAX;
  c.rtt = sample;
  if (c.srtt === 0) {
    c.srtt = sample << 3;
    c.rttvar = sample << 1;
  } else {
    let delta = sample - (c.srtt >> 3);
    c.srtt += delta;
    if (delta < 0) delta = -delta;
    c.rttvar += delta - (c.rttvar >> 2);
  }
  restoreRto(c);
}

/** The RTO without back-off. */
export function restoreRto(c: Connection): void {
  if (c.srtt === 0) return;
  const minimum = c.tcp.minimumRto;
  const rto = (c.srtt >> 3) + (c.rttvar > minimum ? c.rttvar : minimum);
  c.rto = rto < RTO_MAX ? rto : RTO_MAX;
}
