/** IPv4 header (RFC 791 section 3.1): offsets, flags, protocol numbers, address classes. */

export const IPV4_HEADER = 20;
export const IPV4_TOS = 1;
export const IPV4_TOTAL_LENGTH = 2;
export const IPV4_ID = 4;
export const IPV4_FRAGMENT = 6;
export const IPV4_TTL = 8;
export const IPV4_PROTOCOL = 9;
export const IPV4_CHECKSUM = 10;
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = 16;

/** Bits of the 16-bit word at IPV4_FRAGMENT. */
export const FLAG_DF = 0x4000;
export const FLAG_MF = 0x2000;
export const FRAGMENT_OFFSET = 0x1fff;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_IGMP = 2;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

export const OPTION_LSRR = 131;
export const OPTION_SSRR = 137;
export const OPTION_ROUTER_ALERT = 148;

/** 255.255.255.255 */
export const BROADCAST = -1;

/** 224.0.0.0/4 */
export function isMulticast4(address: number): boolean {
  return address >>> 28 === 14;
}

/** 127.0.0.0/8 */
export function isLoopback4(address: number): boolean {
  return address >>> 24 === 127;
}

/** 169.254.0.0/16 (RFC 3927) */
export function isLinkLocal4(address: number): boolean {
  return address >>> 16 === 0xa9fe;
}

/** True for what no host may have as its source address on the wire: 0/8, 127/8, 224/4, 240/4 (RFC 1122 section 3.2.1.3). */
export function isMartian4(address: number): boolean {
  const first = address >>> 24;
  return first === 0 || first === 127 || first >= 224;
}

/** The netmask of a prefix length, 0..32. */
export function mask4(length: number): number {
  return length > 0 ? -1 << (32 - length) : 0;
}
