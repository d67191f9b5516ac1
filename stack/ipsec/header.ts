/** IP headers that IPsec makes itself: of what it puts into a tunnel, and of what BEET gives back its addresses. */
import { get16, put16, put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { FLAG_DF, IPV4_HEADER } from "../wire/ipv4.js";
import { IPV6_HEADER } from "../wire/ipv6.js";

/** ECN field (RFC 3168). */
export const ECN = 3;
const ECT1 = 1;
const CE = 3;

export function headerSize(family: number): number {
  return family === 4 ? IPV4_HEADER : IPV6_HEADER;
}

/** Writes a header without options at `data[at..]`; `ends`: source and destination; `length`: bytes behind it. */
export function emitHeader(
  family: number,
  data: Uint8Array,
  at: number,
  ends: Uint8Array,
  protocol: number,
  length: number,
  tos: number,
  ttl: number,
  id: number,
  df: boolean,
): void {
  if (family === 6) {
    put32(data, at, 0x60000000 | (tos << 20));
    put16(data, at + 4, length);
    data[at + 6] = protocol;
    data[at + 7] = ttl;
    for (let i = 0; i < 32; i++) data[at + 8 + i] = ends[i];
    return;
  }
  put16(data, at, 0x4500 | tos);
  put16(data, at + 2, length + IPV4_HEADER);
  put16(data, at + 4, id);
  put16(data, at + 6, df ? FLAG_DF : 0);
  put32(data, at + 8, (ttl << 24) | (protocol << 16));
  for (let i = 0; i < 8; i++) data[at + 12 + i] = ends[i];
  sumHeader(data, at);
}

/** Writes the checksum of the IPv4 header at `data[at..]`, options and all. */
export function sumHeader(data: Uint8Array, at: number): void {
  put16(data, at + 10, 0);
  const size = (data[at] & 15) << 2;
  let sum = 0;
  for (let i = 0; i < size; i += 2) sum += get16(data, at + i);
  put16(data, at + 10, ~fold(sum) & 0xffff);
}

/** TOS or traffic class of the header at `data[at..]`. */
export function tosOf(data: Uint8Array, at: number): number {
  return data[at] >> 4 === 4 ? data[at + 1] : (get16(data, at) >> 4) & 255;
}

/**
 * At the end of a tunnel: what the outer header says of congestion becomes the inner one's (RFC 6040 section 4.2). False: the packet
 * is dropped, as it was marked and its ends do not know marks.
 */
export function mergeEcn(data: Uint8Array, at: number, outer: number): boolean {
  const tos = tosOf(data, at);
  const inner = tos & ECN;
  let merged = inner;
  if ((outer & ECN) === CE) {
    if (inner === 0) return false;
    merged = CE;
  } else if ((outer & ECN) === ECT1 && inner === 2) merged = ECT1;
  if (merged === inner) return true;
  if (data[at] >> 4 === 4) {
    data[at + 1] = (tos & 0xfc) | merged;
    sumHeader(data, at);
  } else put16(data, at, (get16(data, at) & 0xffcf) | (merged << 4));
  return true;
}
