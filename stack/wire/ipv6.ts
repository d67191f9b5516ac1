/** IPv6 header (RFC 8200 section 3) and extension headers: offsets, next header numbers, address classes. */

export const IPV6_HEADER = 40;
export const IPV6_PAYLOAD_LENGTH = 4;
export const IPV6_NEXT_HEADER = 6;
export const IPV6_HOP_LIMIT = 7;
export const IPV6_SOURCE = 8;
export const IPV6_DESTINATION = 24;
/** Bytes of an address. */
export const ADDRESS = 16;

export const HOP_BY_HOP = 0;
export const ROUTING = 43;
export const FRAGMENT = 44;
export const NO_NEXT_HEADER = 59;
export const DESTINATION_OPTIONS = 60;
export const PROTOCOL_ICMPV6 = 58;

/** Options of hop-by-hop and destination options headers (RFC 8200 section 4.2). */
export const OPTION_PAD1 = 0;
export const OPTION_PADN = 1;
export const OPTION_ROUTER_ALERT = 5;
export const OPTION_JUMBO = 0xc2;

/** Fragment header (RFC 8200 section 4.5): offsets. */
export const FRAGMENT_HEADER = 8;
export const FRAGMENT_OFFSET = 2;
export const FRAGMENT_ID = 4;

/** Is `next` one of the extension headers that are walked here? */
export function isExtension(next: number): boolean {
  return next === HOP_BY_HOP || next === DESTINATION_OPTIONS || next === ROUTING || next === FRAGMENT;
}

/** ff00::/8 */
export function isMulticast6(data: Uint8Array, at: number): boolean {
  return data[at] === 0xff;
}

/** fe80::/10 */
export function isLinkLocal6(data: Uint8Array, at: number): boolean {
  return data[at] === 0xfe && data[at + 1] >> 6 === 2;
}

/** True when the first `bytes` bytes at `at` are zero. */
export function isZero(data: Uint8Array, at: number, bytes: number): boolean {
  for (let i = 0; i < bytes; i++) {
    if (data[at + i] !== 0) return false;
  }
  return true;
}

/** :: */
export function isUnspecified6(data: Uint8Array, at: number): boolean {
  return isZero(data, at, ADDRESS);
}

/** ::1 */
export function isLoopback6(data: Uint8Array, at: number): boolean {
  return data[at + 15] === 1 && isZero(data, at, 15);
}

/** ::ffff:0:0/96: IPv4 in IPv6's clothes, never on a wire (RFC 4291 section 2.5.5.2). */
export function isMapped6(data: Uint8Array, at: number): boolean {
  return data[at + 10] === 0xff && data[at + 11] === 0xff && isZero(data, at, 10);
}

/** Scope of an address as a multicast scope number: 1 interface, 2 link, 5 site, 14 global (RFC 6724 section 3.1). */
export function scopeOf(data: Uint8Array, at: number): number {
  if (data[at] === 0xff) return data[at + 1] & 15;
  if (isLinkLocal6(data, at) || isLoopback6(data, at)) return 2;
  return data[at] === 0xfe && data[at + 1] >> 6 === 3 ? 5 : 14;
}

/** True when two addresses are equal. */
export function equal6(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number): boolean {
  for (let i = ADDRESS - 1; i >= 0; i--) {
    if (a[aStart + i] !== b[bStart + i]) return false;
  }
  return true;
}

/** Bits at the start that two addresses have in common. */
export function commonPrefix(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number): number {
  for (let i = 0; i < ADDRESS; i++) {
    let differ = a[aStart + i] ^ b[bStart + i];
    if (differ !== 0) {
      let bits = i * 8;
      for (; differ < 0x80; differ <<= 1) bits++;
      return bits;
    }
  }
  return 128;
}

/** The sum of an address's 16-bit words, not folded: its part of the pseudo-header. */
export function sum6(data: Uint8Array, at: number): number {
  let sum = 0;
  for (let i = 0; i < ADDRESS; i += 2) sum += (data[at + i] << 8) | data[at + i + 1];
  return sum;
}

/** A copy of `bytes` whose bits behind `length` are zero. */
export function maskPrefix(bytes: Uint8Array, length: number): Uint8Array {
  const masked = new Uint8Array(ADDRESS);
  for (let i = 0; length > 0; i++, length -= 8)
    masked[i] = length < 8 ? bytes[i] & (0xff00 >> length) : bytes[i];
  return masked;
}

/** ff02::1, all nodes of a link. */
export function allNodes(): Uint8Array {
  const group = new Uint8Array(ADDRESS);
  group[0] = 0xff;
  group[1] = 2;
  group[15] = 1;
  return group;
}

/** The solicited-node group of an address, ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1). */
export function solicitedNode(data: Uint8Array, at: number): Uint8Array {
  const group = allNodes();
  group[11] = 1;
  group[12] = 0xff;
  for (let i = 13; i < ADDRESS; i++) group[i] = data[at + i];
  return group;
}
