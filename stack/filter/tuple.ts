/**
 * What a filter sees of a packet: its flow's key, and whether the packet may be judged at all.
 *
 * A key is ten words: source and destination (an IPv4 address in the first of four), both ports, family and protocol. Echoes and
 * other queries of ICMP have their identifier and type for ports. Nothing is reassembled here: a first fragment must hold the
 * whole transport header (RFC 1858, RFC 7112), later ones must leave it alone (RFC 3128) and follow the first.
 */
import { get16, get32 } from "../core/bytes.js";
import type { Packet } from "../core/packet.js";
import { ECHO_REPLY, ECHO_REQUEST, PARAMETER_PROBLEM, TIME_EXCEEDED, UNREACHABLE } from "../wire/icmp.js";
import { ECHO_REPLY6, ECHO_REQUEST6, MLD2_REPORT, MLD_DONE, MLD_QUERY, REDIRECT6 } from "../wire/icmpv6.js";
import {
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  PROTOCOL_ICMP,
  PROTOCOL_IGMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "../wire/ipv4.js";
import {
  FRAGMENT,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  isExtension,
} from "../wire/ipv6.js";

export const KEY_WORDS = 10;
export const SOURCE = 0;
export const DESTINATION = 4;
/** Source port in the upper half, destination port in the lower one; or identifier and type of an ICMP query. */
export const PORTS = 8;
/** Family (4 or 6) in the upper half, protocol in the lower one. */
export const PROTOCOL = 9;

/** What a packet is to a filter. */
/** Belongs to a flow, or begins one. */
export const FLOW = 0;
/** A fragment without transport header: `fragmentId` says which datagram it is of. */
export const LATER = 1;
/** An error message of ICMP: the flow is that of what it quotes. */
export const ERROR = 2;
/** What hosts of a link tell each other: neighbour discovery, group memberships. Ends at this host, and makes no flow. */
export const CONTROL = 3;
/** ICMP that is neither query nor error. Makes no flow. */
export const SINGLE = 4;
/** Not to be judged: no transport header where one should be, an evasion by fragments. */
export const MALFORMED = 5;

/** Extension headers that are walked, and bytes of them. */
const CHAIN_LIMIT = 8;
const CHAIN_BYTES = 512;
const AUTHENTICATION = 51;
const NEIGHBOUR_HOPS = 255;

export class Tuple {
  readonly key = new Int32Array(KEY_WORDS);
  /** Where the transport header is. */
  at = 0;
  /** The packet is a fragment, the first or a later one: all of a datagram have the same id and protocol. */
  fragment = false;
  fragmentId = 0;
  /** Type of an ICMP message, -1: none. */
  icmpType = -1;

  /** Reads the packet whose network header is at `start`. Returns FLOW, LATER, ... */
  parse(packet: Packet, start: number): number {
    return packet.data[start] >> 4 === 4
      ? this.parse4(packet.data, start, packet.end)
      : this.parse6(packet, start);
  }

  /**
   * Reads what an ICMP error quotes: at least the ports. The header's lengths are not those of the quote.
   *
   * @returns FLOW, or MALFORMED
   */
  parseQuote(data: Uint8Array, start: number, end: number): number {
    if (end - start < IPV4_HEADER) return MALFORMED;
    if (data[start] >> 4 === 4) {
      this.at = start + ((data[start] & 15) << 2);
      if (this.at < start + IPV4_HEADER || this.at + 8 > end) return MALFORMED;
      if (get16(data, start + IPV4_FRAGMENT) & FRAGMENT_OFFSET) return MALFORMED;
      this.addresses4(data, start);
      return this.ports(data, end, data[start + IPV4_PROTOCOL], 8) === FLOW ? FLOW : MALFORMED;
    }
    if (end - start < IPV6_HEADER || data[start] >> 4 !== 6) return MALFORMED;
    this.addresses6(data, start);
    const protocol = this.walk(data, start, end);
    if (protocol < 0 || this.at + 8 > end) return MALFORMED;
    return this.ports(data, end, protocol, 8) === FLOW ? FLOW : MALFORMED;
  }

  private parse4(data: Uint8Array, start: number, end: number): number {
    const protocol = data[start + IPV4_PROTOCOL];
    const word = get16(data, start + IPV4_FRAGMENT);
    const offset = word & FRAGMENT_OFFSET;
    this.at = start + ((data[start] & 15) << 2);
    this.addresses4(data, start);
    this.fragment = offset !== 0 || (word & FLAG_MF) !== 0;
    this.fragmentId = get16(data, start + IPV4_ID);
    if (offset !== 0) return this.later(offset, protocol | 0x40000);
    if (protocol === PROTOCOL_IGMP) return CONTROL;
    return this.ports(data, end, protocol, 0);
  }

  private parse6(packet: Packet, start: number): number {
    const data = packet.data;
    this.addresses6(data, start);
    const protocol = this.walk(data, start, packet.end);
    if (protocol < 0) return MALFORMED;
    if (this.laterOffset !== 0) return this.later(this.laterOffset, protocol | 0x60000);
    const type = protocol === PROTOCOL_ICMPV6 && this.at < packet.end ? data[this.at] : 0;
    if ((type >= MLD_QUERY && type <= REDIRECT6) || type === MLD2_REPORT) {
      const discovery = type > MLD_DONE && type <= REDIRECT6;
      // Neighbour discovery never comes from beyond the link (RFC 4861 section 3.1).
      return this.fragment || (discovery && data[start + 7] !== NEIGHBOUR_HOPS) ? MALFORMED : CONTROL;
    }
    return this.ports(data, packet.end, protocol, 0);
  }

  /** Offset of the fragment that `walk` met, in units of 8 bytes; 0: the first, or none. */
  private laterOffset = 0;

  /** Walks the extension headers. Returns the protocol behind them, or -1. */
  private walk(data: Uint8Array, start: number, end: number): number {
    let next = data[start + IPV6_NEXT_HEADER];
    let at = start + IPV6_HEADER;
    this.fragment = false;
    this.laterOffset = 0;
    for (let i = 0; isExtension(next) || next === AUTHENTICATION; i++) {
      if (i === CHAIN_LIMIT || at - start > CHAIN_BYTES || at + 8 > end) return -1;
      const here = next;
      next = data[at];
      if (here === FRAGMENT) {
        // A second fragment header has no place in a datagram.
        if (this.fragment) return -1;
        const word = get16(data, at + 2);
        this.fragment = (word & ~6) !== 0;
        this.fragmentId = get32(data, at + 4);
        this.laterOffset = word >> 3;
        at += 8;
        if (this.laterOffset !== 0) break;
      } else at += here === AUTHENTICATION ? (data[at + 1] + 2) << 2 : (data[at + 1] + 1) << 3;
    }
    this.at = at;
    return at > end ? -1 : next;
  }

  /** Offsets below the end of the largest header that we judge by would rewrite it. */
  private later(offset: number, protocol: number): number {
    this.key[PORTS] = 0;
    this.key[PROTOCOL] = protocol;
    this.icmpType = -1;
    return offset < 3 && (protocol & 255) === PROTOCOL_TCP ? MALFORMED : LATER;
  }

  private addresses4(data: Uint8Array, start: number): void {
    const key = this.key;
    for (let i = 1; i < 8; i++) key[i] = 0;
    key[SOURCE] = get32(data, start + IPV4_SOURCE);
    key[DESTINATION] = get32(data, start + IPV4_DESTINATION);
    key[PROTOCOL] = 0x40000;
  }

  private addresses6(data: Uint8Array, start: number): void {
    const key = this.key;
    for (let i = 0; i < 4; i++) {
      key[SOURCE + i] = get32(data, start + IPV6_SOURCE + (i << 2));
      key[DESTINATION + i] = get32(data, start + IPV6_DESTINATION + (i << 2));
    }
    key[PROTOCOL] = 0x60000;
  }

  /** @param quoted bytes of the transport header that are enough, 0: all of it */
  private ports(data: Uint8Array, end: number, protocol: number, quoted: number): number {
    const key = this.key;
    const at = this.at;
    const have = end - at;
    key[PROTOCOL] |= protocol;
    key[PORTS] = 0;
    this.icmpType = -1;
    if (protocol === PROTOCOL_TCP) {
      const length = quoted || (have >= 20 ? (data[at + 12] >> 4) << 2 : 20);
      if (have < length || length < (quoted || 20)) return MALFORMED;
      key[PORTS] = get32(data, at);
    } else if (protocol === PROTOCOL_UDP) {
      if (have < 8) return MALFORMED;
      key[PORTS] = get32(data, at);
    } else if (protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6) {
      // Each family has its own.
      if (have < 8 || (protocol === PROTOCOL_ICMP) !== key[PROTOCOL] >> 16 < 5) return MALFORMED;
      const type = (this.icmpType = data[at]);
      if (protocol === PROTOCOL_ICMP ? isError4(type) : type < 5) return this.fragment ? MALFORMED : ERROR;
      if (!(protocol === PROTOCOL_ICMP ? isQuery4(type) : type === ECHO_REQUEST6 || type === ECHO_REPLY6))
        return SINGLE;
      key[PORTS] = (get16(data, at + 4) << 16) | type;
    }
    return FLOW;
  }
}

function isError4(type: number): boolean {
  return type === UNREACHABLE || type === TIME_EXCEEDED || type === PARAMETER_PROBLEM;
}

/** Echo, and timestamp (13, 14). */
function isQuery4(type: number): boolean {
  return type === ECHO_REQUEST || type === ECHO_REPLY || type === 13 || type === 14;
}

/** The type that answers an ICMP query, or asks for this answer. */
export function counterpart(protocol: number, type: number): number {
  if (protocol === PROTOCOL_ICMPV6) return type ^ 1;
  return type === ECHO_REQUEST ? ECHO_REPLY : type === ECHO_REPLY ? ECHO_REQUEST : type === 13 ? 14 : 13;
}

/** Writes the key of the answers to `key` into `target[at..]`. */
export function reverse(key: Int32Array, target: Int32Array, at: number): void {
  for (let i = 0; i < 4; i++) {
    target[at + SOURCE + i] = key[DESTINATION + i];
    target[at + DESTINATION + i] = key[SOURCE + i];
  }
  const protocol = key[PROTOCOL] & 255;
  const ports = key[PORTS];
  target[at + PROTOCOL] = key[PROTOCOL];
  target[at + PORTS] =
    protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6
      ? (ports & -65536) | counterpart(protocol, ports & 0xffff)
      : (ports << 16) | (ports >>> 16);
}
