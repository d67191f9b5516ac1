/** The Internet checksum (RFC 1071): one's-complement sums of 16-bit words, and incremental updates (RFC 1624). */

/** Signature of `sum` and of the `checksum` hypercall. */
export type Sum = (data: Uint8Array, start: number, end: number, initial: number) => number;

/** Folds a sum of up to 2^31 to 16 bits. */
export function fold(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** Bytes whose sum cannot overflow 31 bits together with a folded one: 2^15 words. */
const BLOCK = 65532;

/** The sum of `data[start..end)`, folded to 16 bits, not complemented. See `Hypercalls.checksum`. */
export function sum(data: Uint8Array, start: number, end: number, initial: number): number {
  let total = initial;
  while (start < end) {
    let stop = start + BLOCK < end ? start + BLOCK : end;
    const odd = (stop - start) & 1;
    stop -= odd;
    for (; start < stop; start += 2) total += (data[start] << 8) | data[start + 1];
    if (odd) total += data[start++] << 8;
    total = fold(total);
  }
  return total;
}

/** Replaces a checksum field's value after a 16-bit word under it changed from `from` to `to` (RFC 1624, equation 3). */
export function updateChecksum(checksum: number, from: number, to: number): number {
  return ~fold((~checksum & 0xffff) + (~from & 0xffff) + to) & 0xffff;
}
