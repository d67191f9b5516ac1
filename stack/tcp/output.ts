/** TCP output: what may be sent now (RFC 9293 section 3.8.6, RFC 1122 section 4.2.3.4), and how a segment is made. */
import { put32 } from "../core/bytes.js";
import { EAGAIN, EMSGSIZE, ENOBUFS } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { DONT_FRAGMENT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { fillChecksum } from "../core/transport.js";
import * as wire from "../wire/tcp.js";
import { freeMemory } from "./buffer.js";
import {
  DELACK,
  ESTABLISHED,
  PERSIST,
  PROTOCOL_TCP,
  RETRY,
  REXMIT,
  SYN_SENT,
  TIME_WAIT,
  outstanding,
  sndEnd,
} from "./connection.js";
import type { Connection } from "./connection.js";
import { pipe } from "./recovery.js";
import { clearDeadline, setDeadline } from "./timers.js";

/** Bytes of a timestamps option with its padding. */
const TIMESTAMPS_LENGTH = 12;
/** Milliseconds after which a send that the link had no room for is tried again, if the link does not say so earlier. */
const LINK_RETRY = 10;
/** Segments sent at one go; the rest goes with the next event, so that a fast sender does not starve the others. */
const BURST = 64;

/** Recomputes `c.mss` from the path, what this stack builds, and the peer's option (RFC 9293 section 3.7.1). */
export function updateMss(c: Connection): void {
  const largest = c.tcp.stack.maximumPacket;
  const ceiling = (c.path.mtu < largest ? c.path.mtu : largest) - c.path.net.headerSize - wire.TCP_HEADER;
  let mss = c.peerMss < ceiling ? c.peerMss : ceiling;
  if (c.mssLimit > 0 && mss > c.mssLimit) mss = c.mssLimit;
  if (c.timestamps) mss -= TIMESTAMPS_LENGTH;
  c.mss = mss > 32 ? mss : 32;
  if (c.cwnd > 0 && c.cwnd < c.mss) c.cwnd = c.mss;
}

/** The window to offer: what the buffer has room for, never less than was offered before (RFC 9293 section 3.8.6.2.2). */
export function receiveWindow(c: Connection): number {
  const promised = (c.rcvAdv - c.rcvNxt) | 0;
  let room = c.rcvLimit - c.rcvBuf.length;
  const free = freeMemory(c.tcp);
  if (room > free) room = free;
  // Silly window avoidance: the edge moves by a segment or half the buffer, or not at all.
  const step = c.rcvLimit >> 1 < c.rcvMss ? c.rcvLimit >> 1 : c.rcvMss;
  if (room < promised + step) room = promised;
  const limit = 0xffff << c.rcvScale;
  return room < 0 ? 0 : room > limit ? limit : room;
}

/**
 * The window field: rounded up, so that the edge does not move left for want of low bits (RFC 7323 section 2.4), but never by
 * more than one unit beyond what the buffer has room for: rounding up at each segment would promise without bound.
 */
function offeredWindow(c: Connection): number {
  const scale = c.rcvScale;
  const window = receiveWindow(c);
  const unit = 1 << scale;
  let field = (window + unit - 1) >> scale;
  if ((field << scale) - c.rcvLimit + c.rcvBuf.length >= unit) field = window >> scale;
  return field < 0xffff ? field : 0xffff;
}

/** Sends all that may be sent now: retransmissions, new data, FIN; or an acknowledgement where one is due. */
export function output(c: Connection): void {
  const state = c.state;
  if (state < ESTABLISHED || state === TIME_WAIT) return;
  // Nothing in flight and nothing queued is what a receiver has after each segment.
  if (sndEnd(c) !== c.sndUna) {
    let burst = BURST;
    const congestion = c.tcp.congestion;
    const net = c.path.net;
    const before = c.mss;
    if (net.route(c.path) === 0) updateMss(c);
    if (c.mss < before && outstanding(c) > c.mss) {
      // What is in flight no longer fits the path: it is lost, but not for want of room (RFC 1191 section 6.5).
      c.lostEdge = c.sndNxt;
      c.rexmitNext = c.sndUna;
    }
    restartAfterIdle(c);
    let most = c.cwnd;
    for (;;) {
      if (congestion.allowance) most = congestion.allowance(c);
      if (most <= 0 || burst-- <= 0 || !(sendLost(c) || sendNew(c, most))) break;
    }
    if (burst < 0) setDeadline(c, RETRY, c.tcp.time);
    armRetransmission(c);
  }
  // Where the application is about to be told, its answer and the window that it opens go along: one segment instead of two.
  if (c.ackNow && !(c.tcp.stack.busy && (c.queued || isOffered(c)))) sendAck(c);
}

/** Is a listener about to give `c` to the application? */
function isOffered(c: Connection): boolean {
  return c.listener !== null && c.listener.queued && c.listener.options.onConnection !== undefined;
}

/** Retransmits the next lost segment, if there is one and the network has room for it. */
function sendLost(c: Connection): boolean {
  const again = c.again;
  const repeats = again !== null && again.length > 0;
  if (!repeats && ((c.lostEdge - c.sndUna) | 0) <= 0) return false;
  if (((c.rexmitNext - c.sndBufSeq) | 0) < 0) c.rexmitNext = c.sndBufSeq;
  let seq = repeats ? again[0] : c.rexmitNext;
  let stop = repeats ? again[1] : c.lostEdge;
  const sacked = c.sacked;
  for (let i = 0; i < sacked.length; i += 2) {
    if (((sacked[i + 1] - seq) | 0) <= 0) continue;
    if (((sacked[i] - seq) | 0) > 0) {
      if (((sacked[i] - stop) | 0) < 0) stop = sacked[i];
      break;
    }
    seq = sacked[i + 1];
  }
  let length = (stop - seq) | 0;
  if (length <= 0) {
    if (!repeats) return false;
    again.splice(0, 2);
    return sendLost(c);
  }
  const inFlight = pipe(c);
  // The first one goes at once (RFC 6675 section 5, step 4.3).
  if (inFlight > 0 && inFlight + c.mss > c.cwnd && seq !== c.sndUna) return false;
  if (length > c.mss) length = c.mss;
  if (!sendData(c, seq, length)) return false;
  if (repeats) again[0] = (seq + length) | 0;
  else c.rexmitNext = (seq + length) | 0;
  c.tcp.counters.retransmitted++;
  // Karn's algorithm: a segment sent twice measures nothing.
  c.timing = false;
  return true;
}

/** Sends the next new segment of at most `most` bytes, if congestion window, offered window, Nagle and silly window avoidance let it go. */
function sendNew(c: Connection, most: number): boolean {
  const end = sndEnd(c);
  const queued = (end - c.sndNxt) | 0;
  if (queued <= 0) return false;
  const open = (c.sndUna + c.sndWnd - c.sndNxt) | 0;
  let congestion = c.cwnd - pipe(c);
  if (congestion > most) congestion = most;
  let size = c.mss;
  const offloads = (c.path.nif as Interface).link.offloads;
  if (offloads && offloads.segmentation && c.path.overhead === 0) {
    const largest = c.tcp.stack.maximumPacket;
    const room = (offloads.segmentation < largest ? offloads.segmentation : largest) - 128;
    if (room >= 2 * c.mss) size = room - (room % c.mss);
  }
  let length = queued < size ? queued : size;
  if (length > open) length = open;
  if (length > congestion) length = congestion;
  if (length > c.mss) {
    // Large segments go in whole multiples, unless they take all that there is.
    if (length < queued) length -= length % c.mss;
  } else if (length < c.mss) {
    const all = length === queued;
    if (length <= 0) return false;
    if (!all && (length !== open || length < c.sndWndMax >> 1)) return false;
    if (all && !c.finQueued && !c.noDelay && ((c.sndSmall - c.sndUna) | 0) > 0) return false;
  }
  if (!sendData(c, c.sndNxt, length)) return false;
  if (!c.timing && !c.timestamps) {
    c.timing = true;
    c.timedAt = c.tcp.time;
    c.timedSeq = (c.sndNxt + length) | 0;
  }
  if (outstanding(c) === 0) c.silentSince = c.tcp.time;
  c.sndNxt = (c.sndNxt + length) | 0;
  if (length < c.mss) c.sndSmall = c.sndNxt;
  return true;
}

/** Sends `length` bytes of sequence space from `seq` on, FIN included where it lies there. */
export function sendData(c: Connection, seq: number, length: number): boolean {
  const end = sndEnd(c);
  let flags = wire.ACK;
  let bytes = length;
  if (((seq + length - end) | 0) === 0) {
    flags |= wire.PSH;
    if (c.finQueued) {
      flags |= wire.FIN;
      bytes--;
    }
  }
  if (sendSegment(c, seq, bytes, flags) !== 0) return false;
  const recovery = c.tcp.recovery;
  c.sentBytes = (c.sentBytes + bytes) | 0;
  if (recovery.sent) recovery.sent(c, seq, length);
  return true;
}

/** Sends one segment of what is queued, as large as `open` bytes of window allow; false: the network does not take it. */
export function sendHeldBack(c: Connection, open: number): boolean {
  let length = (sndEnd(c) - c.sndNxt) | 0;
  if (length > open) length = open;
  if (length > c.mss) length = c.mss;
  if (length > 0) {
    if (!sendData(c, c.sndNxt, length)) return false;
    c.sndNxt = (c.sndNxt + length) | 0;
  }
  armRetransmission(c);
  return true;
}

/** A persist probe: one byte into the closed window, or an old sequence number where nothing waits (RFC 9293, 3.8.6.1). */
export function sendProbe(c: Connection): void {
  if (((sndEnd(c) - c.sndNxt) | 0) > 0 && outstanding(c) === 0 && c.sndBuf.length > 0) {
    if (sendSegment(c, c.sndNxt, 1, wire.ACK) === 0) {
      // The byte counts as sent: the peer may take it.
      c.sndNxt = (c.sndNxt + 1) | 0;
    }
  } else if (outstanding(c) > 0 && c.sndBuf.length > 0) sendSegment(c, c.sndUna, 1, wire.ACK);
  else sendSegment(c, (c.sndUna - 1) | 0, 0, wire.ACK);
}

/** Sends an acknowledgement; where that fails it stays due. */
export function sendAck(c: Connection): void {
  c.ackNow = true;
  sendSegment(c, nextInWindow(c), 0, wire.ACK);
}

/** `sndNxt`, or the edge of a window that has shrunk below it: beyond it the peer takes nothing, not even an acknowledgement. */
function nextInWindow(c: Connection): number {
  const edge = (c.sndUna + c.sndWnd) | 0;
  return ((edge - c.sndNxt) | 0) < 0 && c.state >= ESTABLISHED ? edge : c.sndNxt;
}

/** Builds and sends a segment of a synchronised connection. 0 or a code. */
export function sendSegment(c: Connection, seq: number, length: number, flags: number): number {
  const tcp = c.tcp;
  const stack = tcp.stack;
  const path = c.path;
  const code = path.net.route(path);
  if (code < 0) return code;
  let options = c.timestamps ? TIMESTAMPS_LENGTH : 0;
  const blocks = sackBlocks(c, options, length);
  if (blocks > 0) {
    options += 4 + blocks * 8;
    // A full segment has no room for SACK blocks: it is cut, and the rest follows.
  }
  const header = wire.TCP_HEADER + options;
  const packet = stack.prepare(header + length);
  if (!packet) return ENOBUFS;
  if (length > 0) c.sndBuf.read((seq - c.sndBufSeq) | 0, packet.data, packet.start + header, length);
  const window = offeredWindow(c);
  if (tcp.ecn) flags |= tcp.ecn.output(c, seq, length);
  if (length > c.mss) packet.segmentSize = c.mss;
  packet.flags |= DONT_FRAGMENT;
  const result = tcp.emit(c, packet, seq, header, flags, window, blocks);
  if (result < 0) {
    tcp.counters.sendFailed++;
    if (result === EAGAIN || result === ENOBUFS) {
      c.blocked = true;
      setDeadline(c, RETRY, (tcp.time + LINK_RETRY) | 0);
    } else if (result === EMSGSIZE) setDeadline(c, RETRY, (tcp.time + LINK_RETRY) | 0);
    return result;
  }
  tcp.counters.sent++;
  c.blocked = false;
  if (length > 0) c.lastSent = tcp.time;
  acknowledged(c, window);
  return 0;
}

/** `Tcp.emit`: see there. */
export function emit(
  c: Connection,
  packet: Packet,
  seq: number,
  header: number,
  flags: number,
  window: number,
  blocks: number,
): number {
  const data = packet.data;
  const path = c.path;
  let at = packet.start;
  emitHeader(data, at, c.localPort, c.remotePort, seq, c.rcvNxt, header, flags, window);
  at += wire.TCP_HEADER;
  if (c.timestamps) {
    emitTimestamps(data, at, c.tcp.time + c.tsOffset, c.tsRecent);
    at += TIMESTAMPS_LENGTH;
  }
  if (blocks > 0) emitSack(c, data, at, blocks);
  fillChecksum(c.tcp.stack, packet, path, PROTOCOL_TCP, packet.start + wire.TCP_CHECKSUM, 0);
  return path.net.output(packet, path, PROTOCOL_TCP);
}

/** Sends SYN or SYN-ACK with its options (RFC 9293 section 3.5). */
export function sendSyn(c: Connection): number {
  const tcp = c.tcp;
  const stack = tcp.stack;
  const path = c.path;
  const code = path.net.route(path);
  if (code < 0) return code;
  const reply = c.state !== SYN_SENT;
  const header = wire.TCP_HEADER + (c.timestamps ? 16 : 4) + (c.sackPermitted ? 4 : 0) + (c.scaling ? 4 : 0);
  const packet = stack.prepare(header);
  if (!packet) return ENOBUFS;
  const data = packet.data;
  let at = packet.start;
  // The window of a SYN is never scaled (RFC 7323 section 2.2).
  const room = c.rcvLimit < freeMemory(tcp) ? c.rcvLimit : freeMemory(tcp);
  const window = room > 0xffff ? 0xffff : room;
  const flags = reply ? wire.SYN | wire.ACK : wire.SYN;
  emitHeader(data, at, c.localPort, c.remotePort, c.iss, reply ? c.rcvNxt : 0, header, flags, window);
  at += wire.TCP_HEADER;
  // What the link takes, whatever is known of the path: the other direction may be wider (RFC 9293 section 3.7.1).
  put32(data, at, 0x02040000 | ((path.nif as Interface).mtu - path.net.headerSize - wire.TCP_HEADER));
  at += 4;
  if (c.timestamps) {
    emitTimestamps(data, at, tcp.time + c.tsOffset, reply ? c.tsRecent : 0);
    at += TIMESTAMPS_LENGTH;
  }
  if (c.sackPermitted) {
    put32(data, at, 0x01010402);
    at += 4;
  }
  if (c.scaling) put32(data, at, 0x01030300 | c.rcvScale);
  if (tcp.early) tcp.early.syn(c, packet);
  else packet.flags |= DONT_FRAGMENT;
  if (tcp.ecn) tcp.ecn.syn(c, packet);
  fillChecksum(stack, packet, path, PROTOCOL_TCP, packet.start + wire.TCP_CHECKSUM, 0);
  c.rcvAdv = (c.rcvNxt + window) | 0;
  c.lastAckSent = c.rcvNxt;
  c.lastSent = tcp.time;
  tcp.counters.sent++;
  return path.net.output(packet, path, PROTOCOL_TCP);
}

/** A RST for the connection: `RST, ACK` of the next sequence number, which the peer accepts (RFC 5961 section 3). */
export function sendReset(c: Connection): void {
  if (c.state > SYN_SENT && sendSegment(c, nextInWindow(c), 0, wire.RST | wire.ACK) === 0)
    c.tcp.counters.resetsSent++;
}

/** Writes the header; its checksum and the urgent pointer are 0. */
export function emitHeader(
  data: Uint8Array,
  at: number,
  localPort: number,
  remotePort: number,
  seq: number,
  ack: number,
  header: number,
  flags: number,
  window: number,
): void {
  put32(data, at, (localPort << 16) | remotePort);
  put32(data, at + wire.TCP_SEQUENCE, seq);
  put32(data, at + wire.TCP_ACKNOWLEDGMENT, ack);
  put32(data, at + wire.TCP_OFFSET, (header << 26) | (flags << 16) | window);
  put32(data, at + wire.TCP_CHECKSUM, 0);
}

/** Writes the timestamps option (RFC 7323 section 3.2) with its padding. */
export function emitTimestamps(data: Uint8Array, at: number, value: number, echo: number): void {
  put32(data, at, 0x0101080a);
  put32(data, at + 4, value);
  put32(data, at + 8, echo);
}

/** How many SACK blocks go with a segment: they never push data out of it. */
function sackBlocks(c: Connection, options: number, length: number): number {
  if (!c.sackPermitted) return 0;
  let blocks = c.ranges.length >> 1;
  if (c.dsackEnd !== c.dsackStart) blocks++;
  const most = options > 0 ? 3 : 4;
  if (blocks > most) blocks = most;
  if (length > 0) {
    const room = (c.mss - length - 4) >> 3;
    if (room < blocks) blocks = room > 0 ? room : 0;
  }
  return blocks;
}

function emitSack(c: Connection, data: Uint8Array, at: number, blocks: number): void {
  put32(data, at, 0x01010500 | (2 + blocks * 8));
  at += 4;
  if (c.dsackEnd !== c.dsackStart) {
    put32(data, at, c.dsackStart);
    put32(data, at + 4, c.dsackEnd);
    c.dsackEnd = c.dsackStart;
    at += 8;
    blocks--;
  }
  for (let i = 0; i < blocks * 2; i++) put32(data, at + i * 4, c.ranges[i]);
}

/** Notes that the peer knows of all that was received, and of the window. */
function acknowledged(c: Connection, window: number): void {
  const edge = (c.rcvNxt + (window << c.rcvScale)) | 0;
  if (((edge - c.rcvAdv) | 0) > 0) c.rcvAdv = edge;
  c.lastAckSent = c.rcvNxt;
  c.unacked = 0;
  c.ackNow = false;
  clearDeadline(c, DELACK);
}

/** The retransmission timer runs while something is in flight, the persist timer while a closed window holds data back. */
function armRetransmission(c: Connection): void {
  const bit = c.armed;
  if (outstanding(c) > 0) {
    if ((bit & ((1 << REXMIT) | (1 << PERSIST))) === 0) setDeadline(c, REXMIT, (c.tcp.time + c.rto) | 0);
  } else if (((sndEnd(c) - c.sndNxt) | 0) > 0) {
    if ((bit & ((1 << PERSIST) | (1 << RETRY))) === 0) {
      c.retries = 0;
      c.silentSince = c.tcp.time;
      setDeadline(c, PERSIST, (c.tcp.time + c.rto) | 0);
    }
  }
}

/** After a pause of more than an RTO the window starts again at its initial size (RFC 5681 section 4.1). */
function restartAfterIdle(c: Connection): void {
  if (outstanding(c) === 0 && (c.tcp.time - c.lastSent) >>> 0 > c.rto) c.tcp.congestion.start(c);
}
