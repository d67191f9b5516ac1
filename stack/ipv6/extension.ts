/**
 * Extension headers (RFC 8200 section 4): a walk under bounds (RFC 8504 section 5.3, RFC 9673), from the IPv6 header to the
 * transport's.
 */
import { get16 } from "../core/bytes.js";
import { NET_MULTICAST, REASSEMBLED, ROUTER_ALERT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import * as icmp from "../wire/icmpv6.js";
import * as wire from "../wire/ipv6.js";
import type { Ipv6 } from "./ipv6.js";

/** Extension headers in a packet, and options in one of them. */
const HEADER_LIMIT = 8;
const OPTION_LIMIT = 8;
/** Padding in a row, bytes. */
const PADDING_LIMIT = 7;

export class ExtensionCounters {
  /** Runs past the end of the packet, or of its header. */
  malformed = 0;
  /** More headers, options or padding than anyone needs. */
  toomany = 0;
  /** An option, or a routing header, that the sender wants a packet dropped for. */
  unknown = 0;
  /** Ends without a transport (next header 59). */
  empty = 0;
  /** Fragments, where there is no component for them, or a second fragment header. */
  fragments = 0;
}

/**
 * Walks the chain of `packet`, whose `start` is behind the fixed header and whose next header is `next`.
 *
 * @returns the transport's protocol number with `packet.start` at its header, or -1: the packet has been dealt with
 */
export function walk(ip: Ipv6, packet: Packet, next: number, nextAt: number): number {
  const counters = ip.extensions;
  let data = packet.data;
  let headers = 0;
  let first = true;
  let fragment = false;
  for (;;) {
    const at = packet.start;
    if (!wire.isExtension(next)) {
      if (next !== wire.NO_NEXT_HEADER) {
        packet.protocol = next;
        return next;
      }
      counters.empty++;
      return -1;
    }
    if (++headers > HEADER_LIMIT) {
      counters.toomany++;
      return -1;
    }
    if (next === wire.HOP_BY_HOP && !first) {
      counters.malformed++;
      ip.parameterProblem(packet, icmp.BAD_NEXT_HEADER, nextAt - packet.network);
      return -1;
    }
    first = false;
    const length = at + 8 <= packet.end ? (next === wire.FRAGMENT ? 8 : (data[at + 1] + 1) << 3) : 0;
    if (length === 0 || at + length > packet.end) {
      counters.malformed++;
      return -1;
    }
    if (next === wire.FRAGMENT) {
      if (fragment || (get16(data, at + wire.FRAGMENT_OFFSET) & 0xfff9 && !ip.fragments)) {
        counters.fragments++;
        return -1;
      }
      fragment = true;
      packet.start = at + length;
      if ((get16(data, at + wire.FRAGMENT_OFFSET) & 0xfff9) === 0) {
        // An atomic fragment: a datagram by itself (RFC 6946), but a fragment to neighbour discovery (RFC 6980).
        packet.flags |= REASSEMBLED;
        nextAt = at;
        next = data[at];
        continue;
      }
      next = ip.fragments!.input(packet, at, nextAt);
      if (next < 0) return -1;
      // What is whole again lies elsewhere, right behind its IPv6 header.
      data = packet.data;
      nextAt = packet.network + wire.IPV6_NEXT_HEADER;
      continue;
    }
    if (next === wire.ROUTING) {
      // No type is supported; with no segments left there is nothing to do (section 4.4).
      if (data[at + 3] !== 0) {
        counters.unknown++;
        ip.parameterProblem(packet, icmp.BAD_HEADER, at + 2 - packet.network);
        return -1;
      }
    } else if (!options(ip, packet, at + 2, at + length)) return -1;
    nextAt = at;
    next = data[at];
    packet.start = at + length;
  }
}

/** Walks the options in `data[at..end)`; each step advances. False: the packet is dropped (and its sender perhaps told). */
export function options(ip: Ipv6, packet: Packet, at: number, end: number): boolean {
  const data = packet.data;
  const counters = ip.extensions;
  let count = 0;
  let padding = 0;
  while (at < end) {
    const kind = data[at];
    const length = kind === wire.OPTION_PAD1 ? 1 : at + 1 < end ? data[at + 1] + 2 : 256;
    if (at + length > end) {
      counters.malformed++;
      return false;
    }
    if (kind <= wire.OPTION_PADN) {
      padding += length;
      if (padding > PADDING_LIMIT) {
        counters.toomany++;
        return false;
      }
    } else {
      padding = 0;
      if (++count > OPTION_LIMIT) {
        counters.toomany++;
        return false;
      }
      if (kind === wire.OPTION_ROUTER_ALERT && length === 4) packet.flags |= ROUTER_ALERT;
      else if (kind >> 6 !== 0) {
        // The two high bits say what to do with an option that is not known (section 4.2), such as jumbograms (RFC 2675).
        const action = kind >> 6;
        counters.unknown++;
        if (action === 2 || (action === 3 && (packet.flags & NET_MULTICAST) === 0)) {
          ip.parameterProblem(packet, icmp.BAD_OPTION, at - packet.network);
        }
        return false;
      }
    }
    at += length;
  }
  return true;
}
