/** What a queue reads of frames: which flow they belong to, and whether their transport knows ECN (RFC 3168). */
import { get16, get32, put16 } from "../core/bytes.js";
import { updateChecksum } from "../core/checksum.js";
import type { SipHash } from "../core/hash.js";
import {
  ETHERNET_HEADER,
  ETHERNET_TYPE,
  TYPE_IPV4,
  TYPE_IPV6,
  TYPE_QINQ,
  TYPE_VLAN,
  VLAN_TAG,
} from "../wire/ethernet.js";
import {
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_CHECKSUM,
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "../wire/ipv4.js";
import { IPV6_HEADER, IPV6_NEXT_HEADER, IPV6_SOURCE } from "../wire/ipv6.js";

const SCTP = 132;
/** "Congestion experienced"; zero there: the transport does not know ECN. */
const CE = 3;

/** Where the IP header of a frame is, or -1. */
export function networkOf(data: Uint8Array, start: number, end: number, ethernet: boolean): number {
  let at = start;
  if (ethernet) {
    let type = end - start < ETHERNET_HEADER ? 0 : get16(data, start + ETHERNET_TYPE);
    at += ETHERNET_HEADER;
    for (let i = 0; i < 2 && (type === TYPE_VLAN || type === TYPE_QINQ) && at + VLAN_TAG <= end; i++) {
      at += VLAN_TAG;
      type = get16(data, at - 2);
    }
    if (type !== TYPE_IPV4 && type !== TYPE_IPV6) return -1;
  }
  const version = at < end ? data[at] >> 4 : 0;
  return (version === 4 && end - at >= IPV4_HEADER) || (version === 6 && end - at >= IPV6_HEADER) ? at : -1;
}

/** The keyed hash of a frame's flow: addresses, protocol, and ports where they are; what is no IP is one flow. */
export function flowHash(
  hash: SipHash,
  data: Uint8Array,
  start: number,
  end: number,
  ethernet: boolean,
): number {
  const at = networkOf(data, start, end, ethernet);
  hash.begin(1);
  if (at < 0) return hash.end();
  let transport = at + IPV6_HEADER;
  let protocol = data[at + IPV6_NEXT_HEADER];
  if (data[at] >> 4 === 4) {
    hash.word(get32(data, at + IPV4_SOURCE));
    hash.word(get32(data, at + IPV4_DESTINATION));
    transport = at + ((data[at] & 15) << 2);
    protocol = data[at + IPV4_PROTOCOL];
    // Fragments of a datagram stay together, whichever has the ports.
    if (get16(data, at + IPV4_FRAGMENT) & (FRAGMENT_OFFSET | FLAG_MF)) transport = end;
  } else for (let i = 0; i < 32; i += 4) hash.word(get32(data, at + IPV6_SOURCE + i));
  hash.word(protocol);
  const ports = protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP || protocol === SCTP;
  if (ports && transport + 4 <= end) hash.word(get32(data, transport));
  return hash.end();
}

/** Marks a packet of a transport that knows ECN as having met congestion; false: it does not know. */
export function markCongestion(data: Uint8Array, start: number, end: number, ethernet: boolean): boolean {
  const at = networkOf(data, start, end, ethernet);
  if (at < 0) return false;
  const word = get16(data, at);
  const four = word >> 12 === 4;
  const shift = four ? 0 : 4;
  if (((word >> shift) & CE) === 0) return false;
  const marked = word | (CE << shift);
  put16(data, at, marked);
  if (four) put16(data, at + IPV4_CHECKSUM, updateChecksum(get16(data, at + IPV4_CHECKSUM), word, marked));
  return true;
}
