/** What a link with offloads does in hardware, done in software: completing checksums, cutting large TCP segments. */
import { SEGMENT_NONE, SEGMENT_TCP6 } from "../../hypercall/link.js";
import type { TransmitOffload } from "../../hypercall/link.js";
import { get16, get32, put16, put32 } from "../../stack/core/bytes.js";
import { fold, sum } from "../../stack/core/checksum.js";

const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
/** Flags that only the last segment keeps: FIN, PSH; and the one that only the first has: CWR. */
const LAST_FLAGS = 0x09;
const FIRST_FLAGS = 0x80;

/** Completes the transport checksum of a frame whose checksum field holds the pseudo-header's sum. */
export function completeChecksum(
  frame: Uint8Array,
  start: number,
  end: number,
  offload: TransmitOffload,
): void {
  if (offload.checksumStart < 0) return;
  const from = start + offload.checksumStart;
  let checksum = ~sum(frame, from, end, 0) & 0xffff;
  // A UDP checksum of zero would mean that there is none (RFC 768).
  if (checksum === 0 && offload.checksumOffset === UDP_CHECKSUM) checksum = 0xffff;
  put16(frame, from + offload.checksumOffset, checksum);
}

/** How many frames become of `length` bytes. */
export function countSegments(length: number, offload: TransmitOffload): number {
  if (offload.segment === SEGMENT_NONE) return 1;
  return Math.max(1, Math.ceil((length - offload.headerLength) / offload.segmentSize));
}

/** Writes the `index`th of the frames that `source[start..end)` is cut into to `target[at..]`; returns its length. */
export function emitSegment(
  source: Uint8Array,
  start: number,
  end: number,
  offload: TransmitOffload,
  index: number,
  target: Uint8Array,
  at: number,
): number {
  const { headerLength, segmentSize, checksumStart } = offload;
  const from = start + headerLength + index * segmentSize;
  const to = Math.min(from + segmentSize, end);
  const length = headerLength + to - from;
  target.set(source.subarray(start, start + headerLength), at);
  target.set(source.subarray(from, to), at + headerLength);
  const six = offload.segment === SEGMENT_TCP6;
  const network = at + findNetwork(target, at, six);
  const transport = at + checksumStart;
  const size = at + length - network;
  let pseudo = 6 + at + length - transport;
  if (six) {
    put16(target, network + 4, size - 40);
    pseudo = sum(target, network + 8, network + 40, fold(pseudo));
  } else {
    put16(target, network + 2, size);
    put16(target, network + 4, get16(target, network + 4) + index);
    put16(target, network + 10, 0);
    put16(target, network + 10, ~sum(target, network, transport, 0));
    pseudo = sum(target, network + 12, network + 20, fold(pseudo));
  }
  put32(target, transport + 4, get32(target, transport + 4) + index * segmentSize);
  if (to < end) target[transport + 13] &= ~LAST_FLAGS;
  if (index > 0) target[transport + 13] &= ~FIRST_FLAGS;
  put16(target, transport + TCP_CHECKSUM, 0);
  put16(target, transport + TCP_CHECKSUM, ~sum(target, transport, at + length, pseudo));
  return length;
}

/** Offset of the IP header: 0 on a link of bare IP, else behind the Ethernet header and its tags. */
function findNetwork(frame: Uint8Array, at: number, six: boolean): number {
  const type = six ? 0x86dd : 0x0800;
  for (let offset = 12; offset < 24; offset += 4) {
    const found = get16(frame, at + offset);
    if (found === type) return offset + 2;
    if (found !== 0x8100 && found !== 0x88a8) break;
  }
  return 0;
}
