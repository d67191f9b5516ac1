/** The Internet checksum: both routines against the definition, for every alignment, length and start value. */
import test from "ava";
import fc from "fast-check";
import { sum, updateChecksum } from "../../stack/core/checksum.js";
import { wordSum } from "../../stack/core/checksum-words.js";

/** RFC 1071 section 1 word for word: one's-complement addition, carry by carry. */
function definition(data: Uint8Array, start: number, end: number, initial: number): number {
  let total = initial;
  for (let i = start; i < end; i += 2) {
    total += (data[i] << 8) | (i + 1 < end ? data[i + 1] : 0);
    if (total > 0xffff) total -= 0xffff;
  }
  return total;
}

for (const [name, routine] of [
  ["sum", sum],
  ["wordSum", wordSum],
] as const) {
  test(`${name} is the one's-complement sum of RFC 1071`, (t) => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 700 }),
        fc.nat(9),
        fc.nat(9),
        fc.nat(0xffff),
        (bytes, offset, start, initial) => {
          const view = new Uint8Array(new ArrayBuffer(bytes.length + 16), offset, bytes.length);
          view.set(bytes);
          if (start > view.length) return;
          t.is(routine(view, start, view.length, initial), definition(view, start, view.length, initial));
        },
      ),
      { numRuns: 3000 },
    );
  });

  test(`${name} sums 64 KiB of ones without overflow`, (t) => {
    const data = new Uint8Array(1 << 18).fill(0xff);
    t.is(routine(data, 1, data.length, 0xffff), definition(data, 1, data.length, 0xffff));
  });
}

test("an incremental update is the checksum of the changed bytes (RFC 1624)", (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 20 }),
      fc.nat(9),
      fc.nat(0xffff),
      (bytes, word, to) => {
        bytes[0] |= 1;
        const at = word * 2;
        const before = ~sum(bytes, 0, 20, 0) & 0xffff;
        const from = (bytes[at] << 8) | bytes[at + 1];
        bytes[at] = to >> 8;
        bytes[at + 1] = to & 255;
        if (bytes.every((byte) => byte === 0)) return;
        t.is(updateChecksum(before, from, to), ~sum(bytes, 0, 20, 0) & 0xffff);
      },
    ),
  );
});
