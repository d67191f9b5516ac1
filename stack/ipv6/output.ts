/** IPv6 output (RFC 8200 section 3): header, fragmentation, and the hand-over to the link. */
import { put16, put32 } from "../core/bytes.js";
import { EACCES, EMSGSIZE } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { OUTPUT, POLICY_TAKEN } from "../core/network.js";
import { DONT_FRAGMENT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { TYPE_IPV6 } from "../wire/ethernet.js";
import { IPV6_HEADER, IPV6_HOP_LIMIT, IPV6_NEXT_HEADER, IPV6_SOURCE } from "../wire/ipv6.js";
import type { Ipv6 } from "./ipv6.js";
import { route } from "./path.js";
import type { Path6 } from "./path.js";

/** See `Network.output`. */
export function output(ip: Ipv6, packet: Packet, path: Path6, protocol: number): number {
  const counters = ip.counters;
  if (path.generation !== ip.stack.generation) {
    const code = route(ip, path);
    if (code < 0) {
      counters.noRoute++;
      return code;
    }
  }
  if (path.loop && path.kind && ip.loop && ip.loop(packet, path, protocol)) return 0;
  if (ip.policy) {
    protocol = ip.policy.output(packet, path, protocol);
    if (protocol < 0) return protocol;
    if (protocol === POLICY_TAKEN) return 0;
  }
  const length = packet.end - packet.start;
  if (length + IPV6_HEADER > path.mtu + path.overhead && packet.segmentSize === 0) {
    if (packet.flags & DONT_FRAGMENT || !ip.fragments) {
      counters.tooBig++;
      return EMSGSIZE;
    }
    return ip.fragments.output(packet, path, protocol);
  }
  packet.start -= IPV6_HEADER;
  emit(packet, path, protocol, length);
  counters.sent++;
  return send(packet, path);
}

/** Writes the header at `packet.start`. `length`: bytes behind it. */
export function emit(packet: Packet, path: Path6, next: number, length: number): void {
  const data = packet.data;
  const at = packet.start;
  const ends = path.ends;
  packet.network = at;
  packet.net = path.net;
  put32(data, at, 0x60000000 | (path.tos << 20) | path.label);
  put16(data, at + 4, length);
  data[at + IPV6_NEXT_HEADER] = next;
  data[at + IPV6_HOP_LIMIT] = path.ttl || (path.kind ? 1 : path.net.hopLimitOf(path.nif as Interface));
  for (let i = 0; i < 32; i++) data[at + IPV6_SOURCE + i] = ends[i];
}

/** Hands a complete IPv6 packet to the link of `path`. */
export function send(packet: Packet, path: Path6): number {
  const neighbour = path.neighbour;
  const nif = path.nif as Interface;
  const hook = path.net.hook;
  if (hook && !hook(packet, OUTPUT, nif)) return EACCES;
  if (neighbour) return path.net.nd!.cache.output(neighbour, packet, TYPE_IPV6);
  return nif.medium.output(nif, packet, path.high, path.low, TYPE_IPV6);
}
