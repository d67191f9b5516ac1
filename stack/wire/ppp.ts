/** PPP (RFC 1661 section 5) and PPPoE (RFC 2516 sections 4 and 5): protocol numbers, codes, offsets. */

export const PPP_IPV4 = 0x0021;
export const PPP_IPV6 = 0x0057;
export const PPP_IPCP = 0x8021;
export const PPP_IPV6CP = 0x8057;
export const PPP_LCP = 0xc021;
export const PPP_PAP = 0xc023;
export const PPP_CHAP = 0xc223;

/** Codes of control protocols. */
export const CONFIGURE_REQUEST = 1;
export const CONFIGURE_ACK = 2;
export const CONFIGURE_NAK = 3;
export const CONFIGURE_REJECT = 4;
export const TERMINATE_REQUEST = 5;
export const TERMINATE_ACK = 6;
export const CODE_REJECT = 7;
export const PROTOCOL_REJECT = 8;
export const ECHO_REQUEST = 9;
export const ECHO_REPLY = 10;
export const DISCARD_REQUEST = 11;
/** Bytes of code, identifier and length. */
export const PPP_HEADER = 4;

export const TYPE_PPPOE_DISCOVERY = 0x8863;
export const TYPE_PPPOE_SESSION = 0x8864;
/** Bytes of version and type, code, session and length. */
export const PPPOE_HEADER = 6;
export const PPPOE_VERSION = 0x11;
export const PADI = 0x09;
export const PADO = 0x07;
export const PADR = 0x19;
export const PADS = 0x65;
export const PADT = 0xa7;

export const TAG_END = 0;
export const TAG_SERVICE_NAME = 0x0101;
export const TAG_AC_NAME = 0x0102;
export const TAG_HOST_UNIQ = 0x0103;
export const TAG_AC_COOKIE = 0x0104;
export const TAG_RELAY_SESSION = 0x0110;
/** From here on tags are errors. */
export const TAG_ERRORS = 0x0201;
export const TAG_LAST_ERROR = 0x0203;

/** Bytes of the tag at `at` with its header; -1: it ends beyond `end`. */
export function tagLength(data: Uint8Array, at: number, end: number): number {
  if (end - at < 4) return -1;
  const length = 4 + ((data[at + 2] << 8) | data[at + 3]);
  return length > end - at ? -1 : length;
}

/** Bytes of the option at `at` of a control protocol (RFC 1661 section 6); -1: its length lies. */
export function optionLength(data: Uint8Array, at: number, end: number): number {
  if (end - at < 2) return -1;
  const length = data[at + 1];
  return length < 2 || length > end - at ? -1 : length;
}
