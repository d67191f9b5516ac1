/** The Internet checksum (RFC 1071): one's-complement sums of 16-bit words, and incremental updates (RFC 1624). */

import { put16 } from "./bytes.js";

/** Signature of `sum` and of the `checksum` hypercall. */
export type Sum = (data: Uint8Array, start: number, end: number, initial: number) => number;

/** Folds a sum of up to 2^31 to 16 bits. */
export function fold(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum + (sum >>> 16)) & 0xffff;
}

/** The sum of `data[start..end)`, folded to 16 bits, not complemented. See `Hypercalls.checksum`. */
export function sum(data: Uint8Array, start: number, end: number, initial: number): number {
  // Upper and lower bytes apart, eight at a time: an interpreter needs half the instructions of a sum of words.
  let upper = 0;
  let lower = initial;
  for (; start + 7 < end; start += 8) {
    upper += data[start] + data[start + 2] + data[start + 4] + data[start + 6];
    lower += data[start + 1] + data[start + 3] + data[start + 5] + data[start + 7];
  }
  for (; start + 1 < end; start += 2) {
    upper += data[start];
    lower += data[start + 1];
  }
  if (start < end) upper += data[start];
  // 2^16 counts as 1 in this sum: what does not fit goes round.
  return fold(((upper & 255) << 8) + (upper >>> 8) + lower);
}

/** Replaces a checksum field's value after a 16-bit word under it changed from `from` to `to` (RFC 1624, equation 3). */
export function updateChecksum(checksum: number, from: number, to: number): number {
  return ~fold((~checksum & 0xffff) + (~from & 0xffff) + to) & 0xffff;
}

/**
 * Finishes a transport checksum, whose field holds the pseudo-header's sum: the transport header is at `data[at..end)`.
 *
 * @param udp of a datagram zero would say that there is none
 */
export function finishSum(sum: Sum, data: Uint8Array, at: number, end: number, udp: boolean): void {
  const field = at + (udp ? 6 : 16);
  if (field + 2 > end) return;
  const value = ~sum(data, at, end, 0) & 0xffff || (udp ? 0xffff : 0);
  put16(data, field, value);
}
