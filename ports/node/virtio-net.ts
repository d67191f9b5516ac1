/** The header that a TAP device with IFF_VNET_HDR puts before each frame (VIRTIO 1.2, section 5.1.6, legacy layout). */
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  CHECKSUM_VERIFIED,
  SEGMENT_NONE,
  SEGMENT_TCP4,
} from "../../hypercall/link.js";
import type { TransmitOffload } from "../../hypercall/link.js";

/** Bytes of the header: flags, gso_type, then hdr_len, gso_size, csum_start, csum_offset as little-endian 16-bit words. */
export const VIRTIO_NET_HEADER = 10;

const NEEDS_CSUM = 1;
const DATA_VALID = 2;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_ECN = 0x80;
/** Offset of the TCP flags' byte in its header, and CWR in it. */
const TCP_FLAGS = 13;
const CWR = 0x80;

function put16(data: Uint8Array, at: number, value: number): void {
  data[at] = value;
  data[at + 1] = value >> 8;
}

/** Writes the header of the frame that starts at `frame[start]` to `target[at..at + 10)`. */
export function emitVirtioHeader(
  target: Uint8Array,
  at: number,
  frame: Uint8Array,
  start: number,
  offload: TransmitOffload | null,
): void {
  let flags = 0;
  let gso = 0;
  let sum = 0;
  let field = 0;
  let size = 0;
  let headers = 0;
  if (offload !== null && offload.checksumStart >= 0) {
    flags = NEEDS_CSUM;
    sum = offload.checksumStart;
    field = offload.checksumOffset;
    if (offload.segment !== SEGMENT_NONE) {
      gso = offload.segment === SEGMENT_TCP4 ? GSO_TCPV4 : GSO_TCPV6;
      // CWR belongs to the first frame of the segment alone: who cuts must know (RFC 3168, section 6.1.2).
      if (frame[start + sum + TCP_FLAGS] & CWR) gso |= GSO_ECN;
      size = offload.segmentSize;
      headers = offload.headerLength;
    }
  }
  target[at] = flags;
  target[at + 1] = gso;
  put16(target, at + 2, headers);
  put16(target, at + 4, size);
  put16(target, at + 6, sum);
  put16(target, at + 8, field);
}

/** The checksum state that the header at `data[at]` states of its frame: one of `CHECKSUM_*`. */
export function parseVirtioChecksum(data: Uint8Array, at: number): number {
  const flags = data[at];
  return flags & NEEDS_CSUM ? CHECKSUM_PARTIAL : flags & DATA_VALID ? CHECKSUM_VERIFIED : CHECKSUM_NONE;
}

/** Payload bytes of each TCP segment that the frame was merged from, as the header at `data[at]` says; 0: it came whole. */
export function parseVirtioSegment(data: Uint8Array, at: number): number {
  const kind = data[at + 1] & ~GSO_ECN;
  return kind === GSO_TCPV4 || kind === GSO_TCPV6 ? data[at + 4] | (data[at + 5] << 8) : 0;
}
