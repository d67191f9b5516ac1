/** ICMP (RFC 792): offsets, types and codes. */

export const ICMP_HEADER = 8;
export const ICMP_TYPE = 0;
export const ICMP_CODE = 1;
export const ICMP_CHECKSUM = 2;
export const ICMP_ID = 4;
export const ICMP_SEQUENCE = 6;
/** Next-hop MTU of "fragmentation needed" (RFC 1191). */
export const ICMP_MTU = 6;

export const ECHO_REPLY = 0;
export const UNREACHABLE = 3;
export const SOURCE_QUENCH = 4;
export const REDIRECT = 5;
export const ECHO_REQUEST = 8;
export const TIME_EXCEEDED = 11;
export const PARAMETER_PROBLEM = 12;

export const NET_UNREACHABLE = 0;
export const HOST_UNREACHABLE = 1;
export const PROTOCOL_UNREACHABLE = 2;
export const PORT_UNREACHABLE = 3;
export const FRAGMENTATION_NEEDED = 4;
export const REASSEMBLY_TIMEOUT = 1;
/** Codes of "destination unreachable" that routers send (RFC 1812 section 5.2.7.1), and of redirects. */
export const ADMINISTRATIVELY_PROHIBITED = 13;
export const REDIRECT_HOST = 1;
