/**
 * Header prediction (Van Jacobson 1990; RFC 7323 appendix D): most segments are the next one of an established connection, with
 * data in order or an acknowledgement of new data, and nothing else. They are known by a dozen comparisons and take a short path
 * through the same functions; all others take "segment arrives" of input.ts, step by step.
 */
import type { Packet } from "../core/packet.js";
import * as wire from "../wire/tcp.js";
import { ESTABLISHED, PERSIST, outstanding } from "./connection.js";
import type { Connection } from "./connection.js";
import { keepTimestamp, measure, scheduleAck, takeAcknowledged, takeData, updateWindow } from "./input.js";
import { output } from "./output.js";
import type { Segment } from "./segment.js";

/** Takes the segment, whose window and order are as predicted; false: it is another, and nothing has changed. */
export function predicted(c: Connection, segment: Segment, packet: Packet): boolean {
  const tcp = c.tcp;
  const length = segment.length;
  const acked = (segment.ack - c.sndUna) | 0;
  const window = segment.window << c.sndScale;
  if (
    segment.seq !== c.rcvNxt ||
    (segment.flags & ~(wire.PSH | wire.ECE | wire.CWR)) !== wire.ACK ||
    c.state !== ESTABLISHED ||
    length > ((c.rcvAdv - c.rcvNxt) | 0) ||
    acked < 0 ||
    acked > ((c.sndNxt - c.sndUna) | 0) ||
    acked + length === 0 ||
    window === 0 ||
    segment.sackCount > 0 ||
    segment.timestamps !== c.timestamps ||
    (c.timestamps && ((segment.tsValue - c.tsRecent) | 0) < 0) ||
    c.finSeen ||
    c.orphan ||
    c.armed & (1 << PERSIST) ||
    c.ranges.length + c.sacked.length > 0
  ) {
    return false;
  }
  c.lastReceived = tcp.time;
  if (tcp.ecn) tcp.ecn.input(c, segment, packet);
  c.flight = outstanding(c);
  if (acked > 0) {
    c.sndUna = segment.ack;
    takeAcknowledged(c);
    measure(c, segment);
  }
  updateWindow(c, segment, window);
  if (acked > 0) tcp.recovery.acked(c, segment, acked, false);
  keepTimestamp(c, segment);
  if (length > 0) {
    takeData(c, segment.seq, segment.data, segment.at, length);
    scheduleAck(c);
  }
  output(c);
  return true;
}
