/** Packets as words of a DataView: one check of bounds instead of four, and stores as wide as the loads that follow them. */
import { fold } from "../../stack/core/checksum.js";
import type { Sum } from "../../stack/core/checksum.js";

/** From this size on the host's checksum is worth its call. */
const LARGE = 160;

const EMPTY: Uint8Array = /* @__PURE__ */ new Uint8Array(0);

/** An array and its words: that of the frames that come in, or of those that go out. Both stay the same for long. */
export class Words {
  private data = EMPTY;
  private view: DataView = new DataView(EMPTY.buffer);

  of(data: Uint8Array): DataView {
    if (data !== this.data) {
      this.data = data;
      this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    }
    return this.view;
  }
}

/** The two halves of a word, for a checksum. */
export function halves(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/** The sum of `data[at..end)`, whose words are `view`, folded to 16 bits, not complemented: as `sum` of checksum.ts. */
export function sumOf(host: Sum, data: Uint8Array, view: DataView, at: number, end: number): number {
  if (end - at > LARGE) return host(data, at, end, 0);
  // As `block` in checksum-words.ts: the lower halves are what is missing to the whole.
  let whole = 0;
  let upper = 0;
  for (; at + 7 < end; at = (at + 8) | 0) {
    const a = view.getInt32(at);
    const b = view.getInt32(at + 4);
    whole = (whole + a + b) | 0;
    upper = (upper + (a >>> 16) + (b >>> 16)) | 0;
  }
  let rest = 0;
  for (; at + 1 < end; at = (at + 2) | 0) rest = (rest + view.getUint16(at)) | 0;
  if (at < end) rest = (rest + (view.getUint8(at) << 8)) | 0;
  return fold(((whole - (upper << 16)) | 0) + fold(upper) + rest);
}
