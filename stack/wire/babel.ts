/** Babel (RFC 8966 section 4): numbers and offsets. All intervals are in hundredths of a second. */
export const BABEL_PORT = 6696;
export const BABEL_GROUP = "ff02::1:6";
export const BABEL_MAGIC = 42;
export const BABEL_VERSION = 2;
/** Magic, version, length of the body. */
export const BABEL_HEADER = 4;
export const BABEL_INFINITY = 0xffff;

/** TLVs. */
export const PAD1 = 0;
export const PADN = 1;
export const ACK_REQUEST = 2;
export const ACK = 3;
export const HELLO = 4;
export const IHU = 5;
export const ROUTER_ID = 6;
export const NEXT_HOP = 7;
export const UPDATE = 8;
export const ROUTE_REQUEST = 9;
export const SEQNO_REQUEST = 10;
/** Of authentication (RFC 8967 section 6). */
export const MAC = 16;
export const PACKET_COUNTER = 17;
export const CHALLENGE_REQUEST = 18;
export const CHALLENGE_REPLY = 19;

/** Encodings of addresses (section 4.1.4). */
export const AE_WILDCARD = 0;
export const AE_IPV4 = 1;
export const AE_IPV6 = 2;
export const AE_LINK_LOCAL = 3;

/** Flags. */
export const HELLO_UNICAST = 0x8000;
export const UPDATE_PREFIX = 0x80;
export const UPDATE_ROUTER_ID = 0x40;
/** A sub-TLV that must be understood. */
export const MANDATORY = 0x80;

/** Where the TLV, or sub-TLV, at `at` ends (Pad1 is one byte, without a length); -1: not before `end`. */
export function tlvEnd(data: Uint8Array, at: number, end: number): number {
  if (data[at] === PAD1) return at + 1;
  const last = at + 1 < end ? at + 2 + data[at + 1] : -1;
  return last > end ? -1 : last;
}
