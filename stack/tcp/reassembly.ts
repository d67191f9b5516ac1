/** What the receiver does with data (RFC 9293 section 3.10.7.4, RFC 2018 section 4): in order, out of order, twice. */
import { NONE } from "./connection.js";
import type { Connection } from "./connection.js";

/** Ranges out of order that are held; a segment that would make one more is dropped and sent again. */
const RANGE_LIMIT = 32;

/**
 * Takes `length` bytes at sequence number `seq`, which lie inside the window.
 *
 * @returns true when `rcvNxt` has advanced
 */
export function receiveData(
  c: Connection,
  seq: number,
  data: Uint8Array,
  at: number,
  length: number,
): boolean {
  const counters = c.tcp.counters;
  const buffer = c.rcvBuf;
  const ahead = (seq - c.rcvNxt) | 0;
  const end = (seq + length) | 0;
  if (ahead > 0) {
    c.ackNow = true;
    counters.outOfOrder++;
    if (coveredBy(c, seq, end)) {
      // The block that it lies in follows its report (RFC 2883 section 4.2): it becomes the latest.
      addRange(c, seq, end);
      reportDuplicate(c, seq, end);
      return false;
    }
    if (c.ranges.length >= RANGE_LIMIT * 2 && !touches(c, seq, end)) {
      counters.rangesFull++;
      return false;
    }
    const keep = c.tcp.stack.pool.limit >> 2;
    if (!buffer.write(buffer.length + ahead, data, at, length, keep)) {
      counters.noMemory++;
      if (c.ranges.length === 0) buffer.trim();
      return false;
    }
    addRange(c, seq, end);
    return false;
  }
  if (c.ranges.length === 0) {
    const stack = c.tcp.stack;
    // The application is told before the frame goes, and reads right from it; nobody else gets the memory meanwhile.
    const lent = buffer.length === 0 && !stack.lender;
    if (!buffer.append(lent ? null : data, at, length, 0)) return noMemory(c);
    if (lent) {
      stack.lender = c;
      c.lent = data;
      c.lentAt = at;
    }
    c.rcvNxt = end;
    return true;
  }
  if (!buffer.write(buffer.length, data, at, length, 0)) return noMemory(c);
  buffer.length += length;
  c.rcvNxt = end;
  c.ackNow = true;
  joinRanges(c);
  return true;
}

/** Forgets what lies out of order: memory is short, or the connection ends. */
export function dropRanges(c: Connection): void {
  c.ranges = NONE;
  c.rcvBuf.trim();
}

/** Notes that [start, end) came twice (RFC 2883). */
export function reportDuplicate(c: Connection, start: number, end: number): void {
  c.tcp.counters.duplicate++;
  if (!c.sackPermitted) return;
  c.dsackStart = start;
  c.dsackEnd = end;
}

function noMemory(c: Connection): boolean {
  c.tcp.counters.noMemory++;
  // What is held out of order may be what takes the room (RFC 2018 section 8 allows to give it up).
  if (c.ranges.length > 0) dropRanges(c);
  c.ackNow = true;
  return false;
}

function coveredBy(c: Connection, start: number, end: number): boolean {
  const ranges = c.ranges;
  for (let i = 0; i < ranges.length; i += 2) {
    if (((start - ranges[i]) | 0) >= 0 && ((end - ranges[i + 1]) | 0) <= 0) return true;
  }
  return false;
}

function touches(c: Connection, start: number, end: number): boolean {
  const ranges = c.ranges;
  for (let i = 0; i < ranges.length; i += 2) {
    if (((start - ranges[i + 1]) | 0) <= 0 && ((end - ranges[i]) | 0) >= 0) return true;
  }
  return false;
}

/** Merges [start, end) with the ranges that it touches; the result comes first: it is the latest. */
function addRange(c: Connection, start: number, end: number): void {
  if (c.ranges === NONE) c.ranges = [];
  const ranges = c.ranges;
  for (let i = ranges.length - 2; i >= 0; i -= 2) {
    if (((start - ranges[i + 1]) | 0) > 0 || ((end - ranges[i]) | 0) < 0) continue;
    if (((ranges[i] - start) | 0) < 0) start = ranges[i];
    if (((ranges[i + 1] - end) | 0) > 0) end = ranges[i + 1];
    ranges.splice(i, 2);
  }
  ranges.splice(0, 0, start, end);
}

/** `rcvNxt` has reached ranges that were waiting: they become readable. */
function joinRanges(c: Connection): void {
  const ranges = c.ranges;
  for (let i = 0; i < ranges.length;) {
    if (((ranges[i] - c.rcvNxt) | 0) > 0) {
      i += 2;
      continue;
    }
    const more = (ranges[i + 1] - c.rcvNxt) | 0;
    if (more > 0) {
      c.rcvBuf.length += more;
      c.rcvNxt = ranges[i + 1];
    }
    ranges.splice(i, 2);
    i = 0;
  }
}
