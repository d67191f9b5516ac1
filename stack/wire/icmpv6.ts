/** ICMPv6 (RFC 4443), neighbour discovery (RFC 4861), MLD (RFC 2710, RFC 3810): types, codes, offsets. */

export const ICMPV6_HEADER = 8;
export const ICMPV6_TYPE = 0;
export const ICMPV6_CODE = 1;
export const ICMPV6_CHECKSUM = 2;
/** MTU of "packet too big", pointer of "parameter problem"; identifier and sequence number of echoes. */
export const ICMPV6_WORD = 4;

export const UNREACHABLE6 = 1;
export const PACKET_TOO_BIG = 2;
export const TIME_EXCEEDED6 = 3;
export const PARAMETER_PROBLEM6 = 4;
export const ECHO_REQUEST6 = 128;
export const ECHO_REPLY6 = 129;
export const MLD_QUERY = 130;
export const MLD_REPORT = 131;
export const MLD_DONE = 132;
export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
export const NEIGHBOUR_SOLICITATION = 135;
export const NEIGHBOUR_ADVERTISEMENT = 136;
export const REDIRECT6 = 137;
export const MLD2_REPORT = 143;

export const NO_ROUTE = 0;
export const PROHIBITED = 1;
export const BEYOND_SCOPE = 2;
export const ADDRESS_UNREACHABLE = 3;
export const PORT_UNREACHABLE6 = 4;

export const BAD_HEADER = 0;
export const BAD_NEXT_HEADER = 1;
export const BAD_OPTION = 2;
export const INCOMPLETE_CHAIN = 3;
export const REASSEMBLY_TIMEOUT6 = 1;

/** Options of neighbour discovery (RFC 4861 section 4.6): type, length in units of 8 bytes. */
export const ND_SOURCE_LINK = 1;
export const ND_TARGET_LINK = 2;
export const ND_PREFIX = 3;
export const ND_REDIRECTED = 4;
export const ND_MTU = 5;
export const ND_NONCE = 14;
export const ND_ROUTE = 24;
export const ND_RDNSS = 25;
export const ND_DNSSL = 31;
export const ND_PREF64 = 38;

/** Flags of a neighbour advertisement, in the byte behind the checksum. */
export const NA_ROUTER = 0x80;
export const NA_SOLICITED = 0x40;
export const NA_OVERRIDE = 0x20;
