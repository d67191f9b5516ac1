/**
 * The Internet checksum by 32-bit words (RFC 1071 section 2 (B) and (C)): for hosts with a compiler, whose engine reads typed
 * arrays at the speed of memory. Same results as `sum` in checksum.ts; a port offers it as its `checksum` hypercall.
 */
import { fold, sum } from "./checksum.js";

/** Below this the set-up costs more than the bytes. */
const SMALL = 64;
/** Bytes whose two half-sums cannot overflow 31 bits. */
const BLOCK = 1 << 16;

/** The buffers seen last, and their words: packets come from few buffers, and a view costs more than a checksum. */
let buffer0: ArrayBufferLike | null = null;
let words0: Int32Array = null as never;
let buffer1: ArrayBufferLike | null = null;
let words1: Int32Array = null as never;

function wordsOf(buffer: ArrayBufferLike): Int32Array {
  if (buffer === buffer0) return words0;
  if (buffer === buffer1) return words1;
  buffer1 = buffer0;
  words1 = words0;
  buffer0 = buffer;
  words0 = new Int32Array(buffer, 0, buffer.byteLength >> 2);
  return words0;
}

/** 1 where the lower byte of a word comes first. */
let littleEndian = -1;

function isLittleEndian(): boolean {
  if (littleEndian < 0) {
    const probe = new Uint16Array(1);
    probe[0] = 1;
    littleEndian = new Uint8Array(probe.buffer)[0];
  }
  return littleEndian === 1;
}

/** See `Hypercalls.checksum`. */
export function wordSum(data: Uint8Array, start: number, end: number, initial: number): number {
  if (end - start < SMALL || !isLittleEndian()) return sum(data, start, end, initial);
  const words = wordsOf(data.buffer);
  const base = data.byteOffset;
  let at = base + start;
  const stop = base + end;
  // Up to the first whole word, byte by byte.
  let low = 0;
  let high = 0;
  let head = 0;
  const odd = at & 1;
  while (at & 3) {
    head += (at & 1) === odd ? data[at - base] << 8 : data[at - base];
    at++;
  }
  let i = at >> 2;
  const last = stop >> 2;
  while (i < last) {
    const until = last - i > BLOCK >> 2 ? i + (BLOCK >> 2) : last;
    for (; i + 3 < until; i += 4) {
      const a = words[i];
      const b = words[i + 1];
      const c = words[i + 2];
      const d = words[i + 3];
      low += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff);
      high += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16);
    }
    for (; i < until; i++) {
      low += words[i] & 0xffff;
      high += words[i] >>> 16;
    }
    low = fold(low);
    high = fold(high);
  }
  for (at = last << 2; at < stop; at++) {
    if (at & 1) low += data[at - base] << 8;
    else low += data[at - base];
  }
  // Words were read with the lower byte first: the sum's bytes are swapped, unless an odd start swaps them once more
  // (byte order independence, section 2 (B)).
  let body = fold(low + high);
  if (odd === 0) body = ((body & 255) << 8) | (body >> 8);
  return fold(initial + body + fold(head));
}
