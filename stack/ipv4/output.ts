/** IPv4 output (RFC 791 section 3.2): header, fragmentation, and the hand-over to the link. */
import { put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { EACCES, EMSGSIZE } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { OUTPUT, POLICY_TAKEN } from "../core/network.js";
import type { Path } from "../core/network.js";
import { DONT_FRAGMENT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { TYPE_IPV4 } from "../wire/ethernet.js";
import { FLAG_DF, IPV4_DESTINATION, IPV4_HEADER, IPV4_ID, IPV4_SOURCE, IPV4_TTL } from "../wire/ipv4.js";
import type { Ipv4 } from "./ipv4.js";
import { route } from "./path.js";
import type { Path4 } from "./path.js";

/** `Ipv4.output`: see `Network.output`. */
export function output(ip: Ipv4, packet: Packet, to: Path, protocol: number): number {
  const path = to as Path4;
  const counters = ip.counters;
  if (path.generation !== ip.stack.generation) {
    const code = route(ip, path);
    if (code < 0) {
      counters.noRoute++;
      return code;
    }
  }
  if (path.loop && path.kind && ip.loop) ip.loop(packet, path, protocol);
  if (ip.policy) {
    protocol = ip.policy.output(packet, path, protocol);
    if (protocol < 0) return protocol;
    if (protocol === POLICY_TAKEN) return 0;
  }
  const df = packet.flags & DONT_FRAGMENT;
  const header = path.option ? IPV4_HEADER + 4 : IPV4_HEADER;
  const length = packet.end - packet.start + header;
  if (length > path.mtu + path.overhead && packet.segmentSize === 0) {
    if (df || !ip.fragments) {
      counters.tooBig++;
      return EMSGSIZE;
    }
    return ip.fragments.output(packet, path, protocol);
  }
  // An atomic datagram needs no identification (RFC 6864 section 4.1).
  const id = df ? 0 : ip.nextId(path, protocol);
  packet.start -= header;
  emit(packet, path, protocol, length, id, df ? FLAG_DF : 0);
  counters.sent++;
  return send(packet, path);
}

/** Writes the header at `packet.start`. `fragment`: flags and offset as they go on the wire. */
export function emit(
  packet: Packet,
  path: Path4,
  protocol: number,
  length: number,
  id: number,
  fragment: number,
): void {
  const data = packet.data;
  const at = packet.start;
  packet.network = at;
  packet.net = path.net;
  const first = (((path.option ? 0x4600 : 0x4500) | path.tos) << 16) | length;
  const second = (id << 16) | fragment;
  const third = ((path.ttl || (path.kind ? 1 : path.net.ttl)) << 8) | protocol;
  let sum = (first >>> 16) + (first & 0xffff) + id + fragment + third + path.pseudo;
  if (path.option) {
    put32(data, at + IPV4_HEADER, path.option);
    sum += (path.option >>> 16) + (path.option & 0xffff);
  }
  put32(data, at, first);
  put32(data, at + IPV4_ID, second);
  put32(data, at + IPV4_TTL, (third << 16) | (~fold(sum) & 0xffff));
  put32(data, at + IPV4_SOURCE, path.source);
  put32(data, at + IPV4_DESTINATION, path.remote);
}

/** Hands a complete IPv4 packet to the link of `path`. */
export function send(packet: Packet, path: Path4): number {
  const neighbour = path.neighbour;
  const nif = path.nif as Interface;
  const hook = path.net.hook;
  if (hook && !hook(packet, OUTPUT, nif)) return EACCES;
  if (neighbour) return path.net.arp!.cache.output(neighbour, packet, TYPE_IPV4);
  return nif.medium.output(nif, packet, path.high, path.low, TYPE_IPV4);
}
