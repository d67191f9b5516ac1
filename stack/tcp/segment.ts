/** A TCP segment that has come in (RFC 9293 section 3.1), with its options; one object serves all. */
import { get16, get32 } from "../core/bytes.js";
import { optionSize } from "../wire/options.js";
import * as wire from "../wire/tcp.js";

/** SACK blocks that fit a header. */
const SACK_LIMIT = 4;
/** Largest window scale (RFC 7323 section 2.3). */
const SCALE_LIMIT = 14;

export class Segment {
  seq = 0;
  ack = 0;
  flags = 0;
  window = 0;
  /** It came with SYN: its window is not scaled (RFC 7323 section 2.2). */
  unscaled = false;
  /** Payload: `data[at .. at + length)`. */
  data: Uint8Array = null as never;
  at = 0;
  length = 0;
  /** Options: MSS (0: none), window scale (-1: none), ... */
  mss = 0;
  scale = -1;
  sackPermitted = false;
  timestamps = false;
  tsValue = 0;
  tsEcho = 0;
  sackCount = 0;
  /** Left and right edges of the SACK blocks. */
  readonly sack: number[] = [0, 0, 0, 0, 0, 0, 0, 0];
}

/** Parses the segment in `data[at..end)`; false when its data offset lies. */
export function parse(segment: Segment, data: Uint8Array, at: number, end: number): boolean {
  const have = end - at;
  const header = have < wire.TCP_HEADER ? 0 : (data[at + wire.TCP_OFFSET] >> 4) << 2;
  if (header < wire.TCP_HEADER || header > have) return false;
  segment.data = data;
  segment.seq = get32(data, at + wire.TCP_SEQUENCE);
  segment.ack = get32(data, at + wire.TCP_ACKNOWLEDGMENT);
  segment.flags = data[at + wire.TCP_FLAGS];
  segment.window = get16(data, at + wire.TCP_WINDOW);
  segment.unscaled = (segment.flags & wire.SYN) !== 0;
  segment.at = at + header;
  segment.length = have - header;
  segment.mss = 0;
  segment.scale = -1;
  segment.sackPermitted = false;
  segment.timestamps = false;
  segment.sackCount = 0;
  at += wire.TCP_HEADER;
  end = segment.at;
  // The usual: NOP NOP timestamps and nothing else.
  if (end - at === 12 && get32(data, at) === 0x0101080a) {
    segment.timestamps = true;
    segment.tsValue = get32(data, at + 4);
    segment.tsEcho = get32(data, at + 8);
  } else if (at < end) parseOptions(segment, data, at, end);
  return true;
}

/** Walks the options; each step advances, and what is malformed ends the walk: the rest is ignored. */
function parseOptions(segment: Segment, data: Uint8Array, at: number, end: number): void {
  while (at < end) {
    const kind = data[at];
    const length = optionSize(data, at, end);
    if (length <= 0) return;
    if (kind === wire.OPTION_MSS && length === 4) segment.mss = get16(data, at + 2);
    else if (kind === wire.OPTION_WINDOW_SCALE && length === 3) {
      segment.scale = data[at + 2] > SCALE_LIMIT ? SCALE_LIMIT : data[at + 2];
    } else if (kind === wire.OPTION_SACK_PERMITTED && length === 2) segment.sackPermitted = true;
    else if (kind === wire.OPTION_TIMESTAMPS && length === 10) {
      segment.timestamps = true;
      segment.tsValue = get32(data, at + 2);
      segment.tsEcho = get32(data, at + 6);
    } else if (kind === wire.OPTION_SACK && length >= 10 && (length - 2) % 8 === 0) {
      for (let i = 0; i < (length - 2) >> 2 && i < SACK_LIMIT * 2; i++) {
        segment.sack[i] = get32(data, at + 2 + i * 4);
      }
      segment.sackCount = (length - 2) >> 3;
    }
    at += length;
  }
}
