/** Options that components add to a header and look for in one, beside those of segment.ts (RFC 9293 section 3.1). */
import type { Packet } from "../core/packet.js";
import { OPTION_NOP, optionSize } from "../wire/options.js";
import * as wire from "../wire/tcp.js";
import type { Segment } from "./segment.js";

/** Most bytes of a header. */
const LONGEST_HEADER = 60;
/** What `Stack.prepare` may keep for the link behind the packet. */
export const TAILROOM = 44;

/**
 * Makes room for an option behind the others of a header with no data behind it, and writes its kind and length; what pads it goes
 * before. Returns where its content goes, of `length - 2` bytes; -1: the header has no room.
 */
export function appendOption(packet: Packet, kind: number, length: number): number {
  const padded = (length + 3) & ~3;
  const header = packet.end - packet.start + padded;
  if (header > LONGEST_HEADER || packet.end + padded + TAILROOM > packet.data.length) return -1;
  const data = packet.data;
  let at = packet.end;
  for (let i = length; i < padded; i++) data[at++] = OPTION_NOP;
  data[at++] = kind;
  data[at++] = length;
  packet.end += padded;
  // The other bits of this byte stay: AE is one of them.
  const field = packet.start + wire.TCP_OFFSET;
  data[field] = (data[field] & 15) | (header << 2);
  return at;
}

/** Where the content of an option lies that is of one of two kinds, behind kind and length; -1: there is none, or options before it lie. */
export function findOption(segment: Segment, packet: Packet, kind: number, other: number): number {
  const data = segment.data;
  const stop = segment.at;
  for (let at = packet.start + wire.TCP_HEADER; at < stop;) {
    const length = optionSize(data, at, stop);
    if (length <= 0) return -1;
    if (data[at] === kind || data[at] === other) return at + 2;
    at += length;
  }
  return -1;
}
