/** Packets as words: one check of bounds instead of four, and stores as wide as the loads that follow them. */
import { fold } from "../../stack/core/checksum.js";
import type { Sum } from "../../stack/core/checksum.js";
import { LITTLE_ENDIAN } from "../../stack/core/checksum-words.js";

/** From this size on the host's checksum, and its copy, are worth their call. */
export const LARGE = 160;

const EMPTY: Uint8Array = /* @__PURE__ */ new Uint8Array(0);

/** An array and its words: that of the frames that come in, of those that go out, of the application. All stay the same for long. */
export class Words {
  data = EMPTY;
  view: DataView = new DataView(EMPTY.buffer);
  /** The whole buffer's aligned words, and where in it the array begins. */
  words: Int32Array = new Int32Array(EMPTY.buffer);
  base = 0;
  private stranger = EMPTY;

  /** The words of a frame. */
  of(data: Uint8Array): DataView {
    if (data !== this.data) this.take(data);
    return this.view;
  }

  /** Is this array known? It is from the second time in a row on: views of one that is never seen again would be garbage. */
  knows(data: Uint8Array): boolean {
    if (data === this.data) return true;
    if (data === this.stranger) this.take(data);
    else this.stranger = data;
    return data === this.data;
  }

  private take(data: Uint8Array): void {
    const { buffer, byteOffset, byteLength } = data;
    // Views of a buffer that may shrink would be empty then.
    if ((buffer as { resizable?: boolean }).resizable) return;
    this.data = data;
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
    this.base = byteOffset;
  }
}

/** The two halves of a word, for a checksum. */
export function halves(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/** The sum of words that lie in the order of the machine, of which `whole` is the sum and `upper` that of their upper halves. */
function network(whole: number, upper: number): number {
  // As `block` in checksum-words.ts: the lower halves are what is missing to the whole. The sum of swapped words is the swapped sum.
  const sum = fold(fold((whole - (upper << 16)) | 0) + fold(upper));
  return ((sum & 255) << 8) | (sum >> 8);
}

/** The sum of `memory.data[at..end)`, folded to 16 bits, not complemented: as `sum` of checksum.ts. */
export function sumOf(host: Sum, memory: Words, at: number, end: number): number {
  if (end - at > LARGE) return host(memory.data, at, end, 0);
  const view = memory.view;
  let rest = 0;
  if (LITTLE_ENDIAN && ((memory.base + at) & 3) === 0) {
    const words = memory.words;
    let i = (memory.base + at) >> 2;
    const last = (memory.base + end) >> 2;
    let whole = 0;
    let upper = 0;
    at = (at + ((last - i) << 2)) | 0;
    for (; ((i + 7) | 0) < last; i = (i + 8) | 0) {
      const a = words[i];
      const b = words[(i + 1) | 0];
      const c = words[(i + 2) | 0];
      const d = words[(i + 3) | 0];
      const e = words[(i + 4) | 0];
      const f = words[(i + 5) | 0];
      const g = words[(i + 6) | 0];
      const h = words[(i + 7) | 0];
      whole = (whole + a + b + c + d + e + f + g + h) | 0;
      upper = (upper + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0;
      upper = (upper + (e >>> 16) + (f >>> 16) + (g >>> 16) + (h >>> 16)) | 0;
    }
    for (; i < last; i = (i + 1) | 0) {
      const a = words[i];
      whole = (whole + a) | 0;
      upper = (upper + (a >>> 16)) | 0;
    }
    rest = network(whole, upper);
  }
  for (; ((at + 1) | 0) < end; at = (at + 2) | 0) rest = (rest + view.getUint16(at)) | 0;
  if (at < end) rest = (rest + (view.getUint8(at) << 8)) | 0;
  return fold(rest);
}

/** Do both lie such that `copySum` can copy `length` bytes? */
export function alike(target: Words, to: number, source: Words, from: number, length: number): boolean {
  return LITTLE_ENDIAN && length <= LARGE && ((target.base + to) & 3) + ((source.base + from) & 3) === 0;
}

/** Copies what is `alike` and sums it on the way: a third less than both one after the other. */
export function copySum(target: Words, to: number, source: Words, from: number, length: number): number {
  const words = source.words;
  const out = target.words;
  let i = (source.base + from) >> 2;
  let j = (target.base + to) >> 2;
  const last = (i + (length >> 2)) | 0;
  let whole = 0;
  let upper = 0;
  for (; ((i + 7) | 0) < last; i = (i + 8) | 0, j = (j + 8) | 0) {
    const a = words[i];
    const b = words[(i + 1) | 0];
    const c = words[(i + 2) | 0];
    const d = words[(i + 3) | 0];
    const e = words[(i + 4) | 0];
    const f = words[(i + 5) | 0];
    const g = words[(i + 6) | 0];
    const h = words[(i + 7) | 0];
    out[j] = a;
    out[(j + 1) | 0] = b;
    out[(j + 2) | 0] = c;
    out[(j + 3) | 0] = d;
    out[(j + 4) | 0] = e;
    out[(j + 5) | 0] = f;
    out[(j + 6) | 0] = g;
    out[(j + 7) | 0] = h;
    whole = (whole + a + b + c + d + e + f + g + h) | 0;
    upper = (upper + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0;
    upper = (upper + (e >>> 16) + (f >>> 16) + (g >>> 16) + (h >>> 16)) | 0;
  }
  for (; i < last; i = (i + 1) | 0, j = (j + 1) | 0) {
    const a = words[i];
    out[j] = a;
    whole = (whole + a) | 0;
    upper = (upper + (a >>> 16)) | 0;
  }
  let rest = network(whole, upper);
  for (let k = length & ~3; k < length; k = (k + 1) | 0) {
    const byte = source.view.getUint8((from + k) | 0);
    target.view.setUint8((to + k) | 0, byte);
    rest = (rest + (k & 1 ? byte : byte << 8)) | 0;
  }
  return fold(rest);
}
