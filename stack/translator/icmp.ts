/** Types, codes and pointers of ICMP and ICMPv6 that stand for one another (RFC 7915 sections 4.2 and 5.2). */
import * as four from "../wire/icmp.js";
import * as six from "../wire/icmpv6.js";

/** A message in the other family, as type << 8 | code; NONE: it has no counterpart. */
export const NONE = -1;

const ICMP_HOST_PROHIBITED = 10;

/** Bytes of the IPv4 header and those of IPv6 that mean the same; absent ones do not occur. */
const POINTERS4 = [0, 1, 2, 3, 8, 9, 12, 16];
const POINTERS4_TO_6 = [0, 1, 4, 4, 7, 6, 8, 24];
const POINTERS6 = [0, 1, 4, 5, 6, 7];
const POINTERS6_TO_4 = [0, 1, 2, 2, 9, 8];

export function isError4(type: number): boolean {
  return type === four.UNREACHABLE || type === four.TIME_EXCEEDED || type === four.PARAMETER_PROBLEM;
}

export function isError6(type: number): boolean {
  return type < 128;
}

/** A message of ICMPv6 as one of ICMP. */
export function message4(type: number, code: number): number {
  if (type === six.ECHO_REQUEST6) return four.ECHO_REQUEST << 8;
  if (type === six.ECHO_REPLY6) return four.ECHO_REPLY << 8;
  if (type === six.UNREACHABLE6) {
    if (code === six.PROHIBITED) return (four.UNREACHABLE << 8) | ICMP_HOST_PROHIBITED;
    if (code === six.PORT_UNREACHABLE6) return (four.UNREACHABLE << 8) | four.PORT_UNREACHABLE;
    return code <= six.ADDRESS_UNREACHABLE ? (four.UNREACHABLE << 8) | four.HOST_UNREACHABLE : NONE;
  }
  if (type === six.PACKET_TOO_BIG) return (four.UNREACHABLE << 8) | four.FRAGMENTATION_NEEDED;
  if (type === six.TIME_EXCEEDED6) return (four.TIME_EXCEEDED << 8) | code;
  if (type !== six.PARAMETER_PROBLEM6) return NONE;
  if (code === six.BAD_NEXT_HEADER) return (four.UNREACHABLE << 8) | four.PROTOCOL_UNREACHABLE;
  return code === six.BAD_HEADER ? four.PARAMETER_PROBLEM << 8 : NONE;
}

/** A message of ICMP as one of ICMPv6. */
export function message6(type: number, code: number): number {
  if (type === four.ECHO_REQUEST) return six.ECHO_REQUEST6 << 8;
  if (type === four.ECHO_REPLY) return six.ECHO_REPLY6 << 8;
  if (type === four.TIME_EXCEEDED) return (six.TIME_EXCEEDED6 << 8) | code;
  if (type === four.PARAMETER_PROBLEM) return code === 0 || code === 2 ? six.PARAMETER_PROBLEM6 << 8 : NONE;
  if (type !== four.UNREACHABLE) return NONE;
  if (code === four.PROTOCOL_UNREACHABLE) return (six.PARAMETER_PROBLEM6 << 8) | six.BAD_NEXT_HEADER;
  if (code === four.PORT_UNREACHABLE) return (six.UNREACHABLE6 << 8) | six.PORT_UNREACHABLE6;
  if (code === four.FRAGMENTATION_NEEDED) return six.PACKET_TOO_BIG << 8;
  // Networks and hosts that are prohibited, administratively or by precedence.
  if (code === 9 || code === 10 || code === four.ADMINISTRATIVELY_PROHIBITED || code === 15)
    return (six.UNREACHABLE6 << 8) | six.PROHIBITED;
  return code > 12 ? NONE : (six.UNREACHABLE6 << 8) | six.NO_ROUTE;
}

/** Where the pointer of a parameter problem points to in the other family's header, or NONE. */
export function pointer4(pointer: number): number {
  if (pointer >= 8 && pointer < 24) return 12;
  if (pointer >= 24 && pointer < 40) return 16;
  const index = POINTERS6.indexOf(pointer);
  return index < 0 ? NONE : POINTERS6_TO_4[index];
}

export function pointer6(pointer: number): number {
  const field = pointer >= 12 && pointer < 20 ? pointer & -4 : pointer;
  const index = POINTERS4.indexOf(field);
  return index < 0 ? NONE : POINTERS4_TO_6[index];
}
