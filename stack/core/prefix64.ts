/** IPv4 addresses inside IPv6 ones (RFC 6052): what DNS64 writes and translators read. */
import { fail } from "./errors.js";
import { splitPrefix } from "./text4.js";
import { parse6 } from "./text6.js";

export interface Prefix64 {
  readonly bytes: Uint8Array;
  /** 32, 40, 48, 56, 64 or 96 bits. */
  readonly length: number;
  /** 64:ff9b::/96, which stands for no private address (section 3.1). */
  readonly wellKnown: boolean;
}

const WELL_KNOWN = [0, 0x64, 0xff, 0x9b];

/** Throws `EINVAL` for what is no such prefix. */
export function parsePrefix64(text: string): Prefix64 {
  const parts = splitPrefix(text, 129);
  const bytes = parts && parse6(parts.address);
  const length = parts ? parts.length : 0;
  if (!bytes || [32, 40, 48, 56, 64, 96].indexOf(length) < 0 || bytes[8] !== 0)
    return fail("EINVAL", "prefix " + text);
  for (let i = length >> 3; i < 16; i++) if (bytes[i] !== 0) fail("EINVAL", "prefix " + text);
  let known = length === 96;
  for (let i = 0; i < 12; i++) if (bytes[i] !== (WELL_KNOWN[i] || 0)) known = false;
  return { bytes, length, wellKnown: known };
}

/** May the prefix stand for this IPv4 address? The well-known one not for those of RFC 1918 and RFC 6598. */
export function represents64(prefix: Prefix64, word: number): boolean {
  return !(
    prefix.wellKnown &&
    (word >>> 24 === 10 ||
      word >>> 20 === 0xac1 ||
      word >>> 16 === 0xc0a8 ||
      (word >>> 22) << 22 === 0x64400000)
  );
}

/** Writes the address that stands for `word` at `target[at..]`: 16 bytes. */
export function embed64(prefix: Prefix64, word: number, target: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) target[at + i] = prefix.bytes[i];
  let byte = prefix.length >> 3;
  for (let shift = 24; shift >= 0; shift -= 8) {
    // Bits 64 to 71 stay zero (section 2.2).
    if (byte === 8) byte++;
    target[at + byte++] = (word >> shift) & 255;
  }
}

/** Is the address at `data[at..]` one of the prefix? */
export function within64(prefix: Prefix64, data: Uint8Array, at: number): boolean {
  for (let i = (prefix.length >> 3) - 1; i >= 0; i--) if (data[at + i] !== prefix.bytes[i]) return false;
  return prefix.length === 96 || data[at + 8] === 0;
}

/** The IPv4 address in an address of the prefix. */
export function extract64(prefix: Prefix64, data: Uint8Array, at: number): number {
  let word = 0;
  let byte = prefix.length >> 3;
  for (let i = 0; i < 4; i++) {
    if (byte === 8) byte++;
    word = (word << 8) | data[at + byte++];
  }
  return word;
}
