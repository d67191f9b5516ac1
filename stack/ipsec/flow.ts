/** What a policy looks at: the two ends of a packet, its protocol, and its ports or ICMP type (RFC 4301 section 4.4.1.1). */
import { get16, get32 } from "../core/bytes.js";
import type { Packet } from "../core/packet.js";
import { FRAGMENT_OFFSET, IPV4_FRAGMENT, IPV4_SOURCE, PROTOCOL_ICMP } from "../wire/ipv4.js";
import {
  FRAGMENT,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  isExtension,
} from "../wire/ipv6.js";

/** Ports that are not to be seen: a later fragment, a header that was cut. Only selectors with any port fit. */
export const OPAQUE = -1;

const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const PROTOCOL_DCCP = 33;
const PROTOCOL_SCTP = 132;
const PROTOCOL_UDPLITE = 136;
const PROTOCOL_MH = 135;
/** Extension headers that are walked. */
const CHAIN_LIMIT = 8;

/** Addresses as four words, the first of which is an IPv4 address. */
export class Flow {
  family = 4;
  readonly source = new Int32Array(4);
  readonly destination = new Int32Array(4);
  protocol = 0;
  /** Ports; of ICMP both are type << 8 | code; of others 0. */
  sourcePort = 0;
  destinationPort = 0;
  /** Where the transport header of the packet is. */
  transport = 0;

  /** Takes the ends that stand one behind the other at `ends[at..]`. */
  setEnds(family: number, ends: Uint8Array, at: number): void {
    this.family = family;
    const words = family === 4 ? 1 : 4;
    for (let i = 0; i < words; i++) {
      this.source[i] = get32(ends, at + i * 4);
      this.destination[i] = get32(ends, at + (words + i) * 4);
    }
    for (let i = words; i < 4; i++) this.source[i] = this.destination[i] = 0;
  }

  /** Takes protocol and ports of the transport header at `data[at..end)`. `whole` false: there is none, or not all of it. */
  setTransport(protocol: number, data: Uint8Array, at: number, end: number, whole: boolean): void {
    this.protocol = protocol;
    this.transport = at;
    this.sourcePort = this.destinationPort = 0;
    if (protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6 || protocol === PROTOCOL_MH) {
      const type = whole && end - at >= 2 ? get16(data, at) : OPAQUE;
      this.sourcePort = this.destinationPort =
        protocol === PROTOCOL_MH && type >= 0 ? data[at + 2] << 8 : type;
    } else if (hasPorts(protocol)) {
      const there = whole && end - at >= 4;
      this.sourcePort = there ? get16(data, at) : OPAQUE;
      this.destinationPort = there ? get16(data, at + 2) : OPAQUE;
    }
  }

  /** Reads the packet whose network header is at `data[at..end)`, which has been validated. False: not to be made sense of. */
  parse(data: Uint8Array, at: number, end: number): boolean {
    if (data[at] >> 4 === 4) {
      this.setEnds(4, data, at + IPV4_SOURCE);
      const later = (get16(data, at + IPV4_FRAGMENT) & FRAGMENT_OFFSET) !== 0;
      this.setTransport(data[at + 9], data, at + ((data[at] & 15) << 2), end, !later);
      return true;
    }
    this.setEnds(6, data, at + IPV6_SOURCE);
    let next = data[at + IPV6_NEXT_HEADER];
    let whole = true;
    at += IPV6_HEADER;
    for (let i = 0; isExtension(next); i++) {
      if (i === CHAIN_LIMIT || at + 8 > end) return false;
      // What is behind a later fragment's header is no header.
      if (next === FRAGMENT && get16(data, at + 2) & 0xfff8) whole = false;
      const length = next === FRAGMENT ? 8 : (data[at + 1] + 1) << 3;
      next = data[at];
      at += length;
      if (!whole) break;
    }
    this.setTransport(next, data, at, end, whole);
    return true;
  }

  /** As `parse`, of a packet whose transport header is at `start` already. */
  ofPacket(packet: Packet, protocol: number): void {
    const data = packet.data;
    const at = packet.network;
    const four = data[at] >> 4 === 4;
    this.setEnds(four ? 4 : 6, data, at + (four ? IPV4_SOURCE : IPV6_SOURCE));
    this.setTransport(protocol, data, packet.start, packet.end, true);
  }
}

/** Protocols whose header begins with two ports. */
export function hasPorts(protocol: number): boolean {
  return (
    protocol === PROTOCOL_TCP ||
    protocol === PROTOCOL_UDP ||
    protocol === PROTOCOL_SCTP ||
    protocol === PROTOCOL_DCCP ||
    protocol === PROTOCOL_UDPLITE
  );
}
