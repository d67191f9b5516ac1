/** IPv6 input (RFC 8200 section 3): validation, addressing, and the hand-over to the transports. */
import { get16 } from "../core/bytes.js";
import type { Interface } from "../core/interface.js";
import { INPUT, PREROUTING } from "../core/network.js";
import { LINK_BROADCAST, LINK_MULTICAST, LOOPED, NET_MULTICAST, NOT_UNICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import * as icmp from "../wire/icmpv6.js";
import * as wire from "../wire/ipv6.js";
import { walk } from "./extension.js";
import type { Ipv6 } from "./ipv6.js";

/** Takes a packet whose `start` is at the IPv6 header. */
export function input(ip: Ipv6, packet: Packet): void {
  const data = packet.data;
  const at = packet.start;
  const counters = ip.counters;
  counters.received++;
  const have = packet.end - at - wire.IPV6_HEADER;
  if (have < 0) {
    counters.badlen++;
    return;
  }
  if (data[at] >> 4 !== 6) {
    counters.version++;
    return;
  }
  const length = get16(data, at + wire.IPV6_PAYLOAD_LENGTH);
  if (length > have) {
    counters.badlen++;
    return;
  }
  packet.end = at + wire.IPV6_HEADER + length;
  packet.network = at;
  packet.net = ip;
  packet.source = packet.destination = 0;
  packet.ttl = data[at + wire.IPV6_HOP_LIMIT];
  packet.tos = (get16(data, at) >> 4) & 255;
  packet.pseudo = wire.sum6(data, at + wire.IPV6_SOURCE) + wire.sum6(data, at + wire.IPV6_DESTINATION);
  if (!acceptSource(ip, packet)) {
    counters.martian++;
    return;
  }
  if ((ip.hook && !ip.hook(packet, PREROUTING, null)) || !acceptDestination(ip, packet)) return;
  packet.start = at + wire.IPV6_HEADER;
  const protocol = walk(ip, packet, data[at + wire.IPV6_NEXT_HEADER], at + wire.IPV6_NEXT_HEADER);
  if (protocol >= 0) deliver(ip, packet, protocol);
}

/** Gives a whole datagram to its transport. */
function deliver(ip: Ipv6, packet: Packet, protocol: number): void {
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
  if (taken) {
    ip.counters.delivered++;
    return;
  }
  ip.counters.unknownProtocol++;
  if ((packet.flags & NET_MULTICAST) === 0) {
    ip.parameterProblem(packet, icmp.BAD_NEXT_HEADER, nextHeaderAt(packet) - packet.network);
  }
}

/** Where the next header number of the transport stands: the chain has been walked before, so it is sound. */
function nextHeaderAt(packet: Packet): number {
  const data = packet.data;
  let nextAt = packet.network + wire.IPV6_NEXT_HEADER;
  let at = packet.network + wire.IPV6_HEADER;
  while (at < packet.start) {
    const fragment = data[nextAt] === wire.FRAGMENT;
    nextAt = at;
    at += fragment ? 8 : (data[at + 1] + 1) << 3;
  }
  return nextAt;
}

/** No host sends from a group, from ::1, or from an address of ours (RFC 4291 sections 2.5.3 and 2.7). */
function acceptSource(ip: Ipv6, packet: Packet): boolean {
  const data = packet.data;
  const source = packet.network + wire.IPV6_SOURCE;
  const destination = packet.network + wire.IPV6_DESTINATION;
  const nif = packet.nif as Interface;
  if (wire.isMulticast6(data, source)) return false;
  if (nif === ip.loopback || packet.flags & LOOPED) return true;
  return (
    !wire.isLoopback6(data, source) &&
    !wire.isLoopback6(data, destination) &&
    !wire.isMapped6(data, source) &&
    !wire.isMapped6(data, destination) &&
    !wire.isUnspecified6(data, destination) &&
    !ip.findAddress(data, source, null)
  );
}

/** Is it for us, and in a manner that the link-layer destination agrees with? Counts what is not. */
function acceptDestination(ip: Ipv6, packet: Packet): boolean {
  const data = packet.data;
  const at = packet.network + wire.IPV6_DESTINATION;
  const nif = packet.nif as Interface;
  const counters = ip.counters;
  if (wire.isMulticast6(data, at)) {
    packet.flags |= NET_MULTICAST;
    // Interface-local scope never comes from a wire, but from this host; scope 0 is reserved (RFC 4291 section 2.7).
    const scope = data[at + 1] & 15;
    if (
      (scope > 1 || nif === ip.loopback || (scope === 1 && packet.flags & LOOPED)) &&
      ip.hasGroup(nif, data, at, packet)
    )
      return true;
    counters.notOurs++;
    return false;
  }
  if (nif === ip.loopback || ip.findAddress(data, at, nif)) {
    if ((packet.flags & (LINK_BROADCAST | LINK_MULTICAST)) === 0) return !ip.refuses || !ip.refuses(packet);
    counters.linkBroadcast++;
    return false;
  }
  if (ip.forwarder && (packet.flags & NOT_UNICAST) === 0) return ip.forwarder.input(packet);
  if (ip.findAddress(data, at, null)) counters.strongHost++;
  else counters.notOurs++;
  return false;
}
