/**
 * Prefixes and next hops of both families in one form, as routing protocols have them: 16 bytes and a length, those of IPv4 as
 * IPv4-mapped (::ffff:0:0/96, RFC 4291 section 2.5.5.2). So one table holds both, and 0.0.0.0/0 is not ::/0.
 */
import { get32, put32 } from "../core/bytes.js";
import { hashOf } from "../core/hash.js";
import type { Stack } from "../core/stack.js";
import { format4, parse4 } from "../core/text4.js";
import { format6, parse6 } from "../core/text6.js";
import { isLinkLocal4, isMartian4 } from "../wire/ipv4.js";
import { equal6, isLinkLocal6, isLoopback6, isMapped6, isMulticast6, isZero } from "../wire/ipv6.js";

/** Bits before an IPv4 address in its mapped form. */
export const MAPPED = 96;

/** Writes `address` in its mapped form into `bytes`. */
export function mapTo(bytes: Uint8Array, address: number): Uint8Array {
  for (let i = 0; i < 10; i++) bytes[i] = 0;
  bytes[10] = bytes[11] = 0xff;
  put32(bytes, 12, address);
  return bytes;
}

export function mapped(address: number): Uint8Array {
  return mapTo(new Uint8Array(16), address);
}

export function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(16);
  copy.set(bytes);
  return copy;
}

/** Is it IPv4's? */
export function isV4(bytes: Uint8Array): boolean {
  return isMapped6(bytes, 0);
}

/** The 16 bytes of an address text of either family, its zone cut off; null: it is none. */
export function parseAddress(text: string): Uint8Array | null {
  const four = parse4(text);
  if (four !== null) return mapped(four);
  const zone = text.indexOf("%");
  return parse6(zone < 0 ? text : text.substring(0, zone));
}

export function addressText(bytes: Uint8Array): string {
  return isV4(bytes) ? format4(get32(bytes, 12)) : format6(bytes, 0);
}

export function prefixText(bytes: Uint8Array, length: number): string {
  return addressText(bytes) + "/" + (isV4(bytes) ? length - MAPPED : length);
}

/** Clears the bits of `bytes` behind `length`. */
export function mask(bytes: Uint8Array, length: number): void {
  for (let i = length >> 3; i < 16; i++) bytes[i] &= i === length >> 3 ? 0xff00 >> (length & 7) : 0;
}

/** May routers tell each other of it? Not of what is link-local, loopback, a group or reserved; the default routes they may. */
export function isRoutable(bytes: Uint8Array, length: number): boolean {
  if (isV4(bytes)) {
    const address = get32(bytes, 12);
    return length === MAPPED
      ? address === 0
      : length > MAPPED && !isMartian4(address) && !isLinkLocal4(address);
  }
  if (length === 0) return true;
  // A prefix of nothing but zeros holds the unspecified, the loopback and the compatible addresses.
  return (
    !isMulticast6(bytes, 0) &&
    !isLinkLocal6(bytes, 0) &&
    !isLoopback6(bytes, 0) &&
    !isZero(bytes, 0, length < 128 ? (length + 7) >> 3 : 16)
  );
}

export function samePrefix(a: Uint8Array, aLength: number, b: Uint8Array, bLength: number): boolean {
  return aLength === bLength && equal6(a, 0, b, 0);
}

/** The keyed hash of a prefix, for tables. */
export function hashPrefix(stack: Stack, bytes: Uint8Array, length: number): number {
  const hash = hashOf(stack);
  hash.begin(1);
  for (let i = 0; i < 16; i += 4) hash.word(get32(bytes, i));
  hash.word(length);
  return hash.end();
}
