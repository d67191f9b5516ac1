/** IPv4 input (RFC 791, RFC 1122 section 3.2): validation, addressing, and the hand-over to the transports. */
import { get32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import type { Interface } from "../core/interface.js";
import { INPUT, PREROUTING } from "../core/network.js";
import {
  CHECKSUM_OK,
  CHECKSUM_UNFINISHED,
  LINK_BROADCAST,
  LINK_MULTICAST,
  LOOPED,
  NET_BROADCAST,
  NET_MULTICAST,
  NOT_UNICAST,
} from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import {
  BROADCAST,
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_DESTINATION,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_SOURCE,
  IPV4_TTL,
  PROTOCOL_IGMP,
  isLoopback4,
  isMartian4,
  isMulticast4,
} from "../wire/ipv4.js";
import type { Ipv4 } from "./ipv4.js";
import { OPTIONS_OK, OPTIONS_SOURCE_ROUTE, checkOptions } from "./options.js";

/** How a packet came, but for its checksum: none of this of one that a known flow brings again. */
const UNUSUAL = ~(CHECKSUM_OK | CHECKSUM_UNFINISHED);

/** `Ipv4.input`: takes a packet whose `start` is at the IPv4 header. */
export function input(ip: Ipv4, packet: Packet): void {
  const data = packet.data;
  const at = packet.start;
  const counters = ip.counters;
  counters.received++;
  if (packet.end - at < IPV4_HEADER) {
    counters.badhdr++;
    return;
  }
  // Each word is read once: for its fields and for the checksum.
  const first = get32(data, at);
  const second = get32(data, at + IPV4_ID);
  const third = get32(data, at + IPV4_TTL);
  const source = get32(data, at + IPV4_SOURCE);
  const destination = get32(data, at + IPV4_DESTINATION);
  if (first >>> 28 !== 4) {
    counters.version++;
    return;
  }
  const header = (first >>> 22) & 60;
  const length = first & 0xffff;
  if (header < IPV4_HEADER || header > packet.end - at) {
    counters.badhdr++;
    return;
  }
  if (length < header || length > packet.end - at) {
    counters.badlen++;
    return;
  }
  const pseudo = (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff);
  let sum = (first >>> 16) + length + (second >>> 16) + (second & 0xffff) + (third >>> 16) + (third & 0xffff);
  if (header > IPV4_HEADER) sum = ip.stack.host.sum(data, at + IPV4_HEADER, at + header, fold(sum));
  if (fold(sum + pseudo) !== 0xffff) {
    counters.badsum++;
    return;
  }
  packet.end = at + length;
  packet.network = at;
  packet.net = ip;
  packet.source = source;
  packet.destination = destination;
  packet.pseudo = pseudo;
  packet.protocol = (third >>> 16) & 255;
  packet.ttl = third >>> 24;
  packet.tos = (first >>> 16) & 255;
  if (header > IPV4_HEADER) {
    const options = checkOptions(packet, at + IPV4_HEADER, at + header);
    if (options !== OPTIONS_OK) {
      if (options === OPTIONS_SOURCE_ROUTE) counters.srcroute++;
      else counters.badopt++;
      return;
    }
  }
  // The flow that came last comes again: its ends need no second look while addresses and interfaces are what they were.
  const known =
    ip.seenSource === source &&
    ip.seenDestination === destination &&
    ip.seenOn === packet.nif &&
    ip.seenAt === ip.stack.generation &&
    (packet.flags & UNUSUAL) === 0;
  if (!known && !acceptSource(ip, packet)) {
    counters.martian++;
    return;
  }
  if (ip.hook) {
    if (!ip.hook(packet, PREROUTING, null) || !acceptDestination(ip, packet)) return;
  } else if (!known) {
    if (!acceptDestination(ip, packet)) return;
    if (source !== 0 && (packet.flags & UNUSUAL) === 0) {
      ip.seenSource = source;
      ip.seenDestination = destination;
      ip.seenOn = packet.nif;
      ip.seenAt = ip.stack.generation;
    }
  }
  const fragment = second & 0xffff;
  packet.start = at + header;
  if (fragment & (FLAG_MF | FRAGMENT_OFFSET)) {
    if (!ip.fragments) counters.fragments++;
    else if (ip.fragments.input(packet, fragment)) deliver(ip, packet);
    return;
  }
  deliver(ip, packet);
}

/** Gives a whole datagram to its transport. */
export function deliver(ip: Ipv4, packet: Packet): void {
  let protocol = packet.protocol;
  const transports = ip.stack.transports;
  const taps = ip.taps;
  if (ip.hook && !ip.hook(packet, INPUT, null)) return;
  if (ip.policy && (protocol = ip.policy.input(packet, protocol)) < 0) return;
  let taken = false;
  for (let i = 0; i < taps.length; i++) {
    if (taps[i](packet)) taken = true;
  }
  for (let i = 0; i < transports.length; i++) {
    if (transports[i].protocol === protocol) {
      ip.counters.delivered++;
      transports[i].input(packet);
      return;
    }
  }
  if (taken) ip.counters.delivered++;
  else {
    ip.counters.unknownProtocol++;
    if (ip.icmp) ip.icmp.protocolUnreachable(packet);
  }
}

/** No host sends from such an address (RFC 1122 section 3.2.1.3); our own comes back over the loopback alone. */
function acceptSource(ip: Ipv4, packet: Packet): boolean {
  const source = packet.source;
  const nif = packet.nif as Interface;
  if (nif === ip.loopback || packet.flags & LOOPED) return true;
  if (source === 0) return ip.acceptUnspecified !== null && ip.acceptUnspecified(packet);
  return (
    !isMartian4(source) &&
    !isLoopback4(packet.destination) &&
    !ip.isLocal(source) &&
    !ip.isBroadcast(nif, source)
  );
}

/** Is it for us, and in a manner that the link-layer destination agrees with? Counts what is not. */
function acceptDestination(ip: Ipv4, packet: Packet): boolean {
  const destination = packet.destination;
  const nif = packet.nif as Interface;
  const counters = ip.counters;
  if (nif === ip.loopback) {
    if (isMulticast4(destination)) packet.flags |= NET_MULTICAST;
    return true;
  }
  if (ip.hasAddress(nif, destination, false)) {
    if ((packet.flags & (LINK_BROADCAST | LINK_MULTICAST)) === 0) return !ip.refuses || !ip.refuses(packet);
    // RFC 1122 section 3.3.6: a unicast datagram in a broadcast frame is silently discarded.
    counters.linkBroadcast++;
    return false;
  }
  if (isMulticast4(destination)) {
    packet.flags |= NET_MULTICAST;
    // IGMP itself is not filtered by source.
    const source = packet.protocol === PROTOCOL_IGMP ? -1 : packet.source;
    if (ip.igmp ? ip.igmp.accepts(nif, destination, source) : false) return true;
    counters.notOurs++;
    return false;
  }
  if (destination === BROADCAST || ip.isBroadcast(nif, destination)) {
    packet.flags |= NET_BROADCAST;
    return true;
  }
  if (ip.forwarder && (packet.flags & NOT_UNICAST) === 0) return ip.forwarder.input(packet);
  // Strong host model (RFC 1122 section 3.3.4.2): our address, but another interface's.
  if (ip.isLocal(destination)) counters.strongHost++;
  else counters.notOurs++;
  return false;
}
