/** What leaves this host (RFC 4301 section 5.1): which policy, which SA, and the packet under its protection. */
import { CIPHER_DONE } from "../../hypercall/crypto.js";
import { put16 } from "../core/bytes.js";
import { EACCES, EAGAIN, EMSGSIZE, ENOBUFS } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { OUTPUT, POLICY_TAKEN } from "../core/network.js";
import type { Path } from "../core/network.js";
import { DONT_FRAGMENT, PROTECTED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { PROTOCOL_AH, PROTOCOL_ESP, PROTOCOL_IPV4, PROTOCOL_IPV6 } from "../wire/esp.js";
import { PROTOCOL_ICMPV6 } from "../wire/ipv6.js";
import type { Flow } from "./flow.js";
import { ECN, emitHeader, headerSize } from "./header.js";
import { isExempt } from "./ipsec.js";
import type { Ipsec, SecurityProtocol } from "./ipsec.js";
import { BYPASS, PROTECT } from "./policy.js";
import { BEET, TRANSPORT, TUNNEL } from "./sa.js";
import type { Sa } from "./sa.js";

const PROTOCOL_UDP = 17;
const UDP_HEADER = 8;

/** See `PacketPolicy.output`. */
export function output(own: Ipsec, packet: Packet, path: Path, protocol: number): number {
  const nif = path.nif as Interface;
  if (own.sending || isExempt(nif)) return protocol;
  const net = path.net;
  const flow = own.flow;
  net.savePath(path, own.ends, 0);
  flow.setEnds(net.family, own.ends, 0);
  flow.setTransport(protocol, packet.data, packet.start, packet.end, true);
  if (isLinkControl(flow)) return protocol;
  const policy = own.spd.lookup(flow, true);
  const action = policy ? policy.action : own.spd.otherwise;
  if (action === BYPASS) return protocol;
  if (action !== PROTECT) {
    own.counters.discarded++;
    return EACCES;
  }
  const sa = policy!.sa(flow);
  if (!sa) {
    own.counters.noSa++;
    own.acquire(policy!, flow);
    return EAGAIN;
  }
  // A link's help does not reach into what is encrypted.
  if (packet.segmentSize > 0) return EMSGSIZE;
  const data = packet.data;
  const length = packet.end - packet.start;
  const inner = headerSize(net.family);
  if (packet.flags & DONT_FRAGMENT && length + inner > path.mtu) {
    own.counters.tooBig++;
    return EMSGSIZE;
  }
  if (packet.checksumField >= 0) {
    put16(
      data,
      packet.checksumField,
      ~own.stack.host.sum(data, packet.start, packet.end, 0) & 0xffff || 0xffff,
    );
    packet.checksumField = -1;
  }
  const df = (packet.flags & DONT_FRAGMENT) !== 0;
  const tunnel = sa.mode === TUNNEL;
  if (tunnel || net.hook) {
    packet.start -= inner;
    packet.network = packet.start;
    packet.net = net;
    const ttl = path.ttl || (path.kind ? 1 : 64);
    const id = df || net.family === 6 ? 0 : own.stack.host.random16();
    emitHeader(net.family, data, packet.start, own.ends, protocol, length, path.tos, ttl, id, df);
    packet.flags |= PROTECTED;
    if (net.hook && !net.hook(packet, OUTPUT, nif)) return EACCES;
    packet.flags &= ~PROTECTED;
    if (!tunnel) packet.start += inner;
  }
  return protect(own, packet, sa, tunnel ? nextHeaderOf(net.family) : protocol, path.tos, df, path);
}

export function nextHeaderOf(family: number): number {
  return family === 4 ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
}

/** Neighbour discovery (133..137) and group memberships (130..132, 143) of IPv6. */
export function isLinkControl(flow: Flow): boolean {
  if (flow.protocol === 0) return flow.family === 6;
  if (flow.protocol !== PROTOCOL_ICMPV6 || flow.family !== 6) return false;
  const type = flow.sourcePort >> 8;
  return (type >= 130 && type <= 137) || type === 143;
}

/**
 * Protects what lies in `stack.tx` and sends it.
 *
 * @param next protocol of what lies there
 * @param path transport mode: where it goes; the network goes on with the packet
 * @returns as `PacketPolicy.output`
 */
export function protect(
  own: Ipsec,
  packet: Packet,
  sa: Sa,
  next: number,
  tos: number,
  df: boolean,
  path: Path | null,
): number {
  const protocol = own.protocolOf(sa) as SecurityProtocol;
  const length = packet.end - packet.start;
  const queue = sa.transform.deferred ? own.queue : null;
  if (queue ? queue.full() : !roomBehind(own, packet, protocol.growth(sa, length))) {
    return queue ? EAGAIN : ENOBUFS;
  }
  if (!own.advance(sa)) return EAGAIN;
  const transport = sa.mode === TRANSPORT;
  const outer = transport && path ? path : sa.path;
  const net = sa.net;
  own.sending = true;
  const code = net.route(outer);
  own.sending = false;
  if (code < 0) return code;
  if (!transport) {
    outer.tos = (sa.dscp ? tos & 0xfc : 0) | (tos & ECN);
    packet.flags = sa.df === "set" || (df && sa.df === "copy") ? DONT_FRAGMENT : 0;
  }
  packet.segmentSize = 0;
  packet.checksumField = -1;
  // AH signs an IPv4 header as it will go: without an identification of its own it must not be cut (RFC 6864).
  if (sa.ah && net.family === 4) packet.flags |= DONT_FRAGMENT;
  if (queue) {
    const taken = queue.seal(sa, packet, next, outer, protocol);
    if (taken >= 0) own.count(sa, length);
    return taken;
  }
  if (protocol.seal(sa, packet, next, outer) !== CIPHER_DONE) return EACCES;
  const carried = encapsulate(own, packet, sa, outer);
  own.count(sa, length);
  return transport && path ? carried : sendProtected(own, packet, sa, outer, carried);
}

/** ESP in UDP, where the SA has it. The protocol that the packet goes on with. */
export function encapsulate(own: Ipsec, packet: Packet, sa: Sa, path: Path): number {
  if (sa.localPort && own.encapsulation) {
    own.encapsulation.emit(sa, packet, path);
    return PROTOCOL_UDP;
  }
  return sa.ah ? PROTOCOL_AH : PROTOCOL_ESP;
}

/** Sends what is protected. POLICY_TAKEN, or a code. */
export function sendProtected(own: Ipsec, packet: Packet, sa: Sa, path: Path, carried: number): number {
  own.sending = true;
  const sent = sa.net.output(packet, path, carried);
  own.sending = false;
  return sent < 0 ? sent : POLICY_TAKEN;
}

/** Makes sure that `size` bytes behind the packet are ours: it moves to larger memory where they are not. */
export function roomBehind(own: Ipsec, packet: Packet, size: number): boolean {
  if (packet.data.length - packet.end >= size) return true;
  const data = packet.data;
  const start = packet.start;
  const end = packet.end;
  const flags = packet.flags;
  const stack = own.stack;
  const bigger = stack.prepare(end - start + size);
  if (!bigger || bigger.data === data) return false;
  stack.host.copy(bigger.data, bigger.start, data, start, end - start);
  bigger.end = bigger.start + end - start;
  bigger.flags = flags;
  bigger.network = bigger.start;
  return true;
}

/** By how much policy makes the largest packet on `path` smaller: of all policies that could fit it, the most. Sets `path.mtu`. */
export function overheadOf(own: Ipsec, path: Path): number {
  const net = path.net;
  const flow = own.flow;
  const whole = path.mtu;
  let least = whole;
  net.savePath(path, own.ends, 0);
  flow.setEnds(net.family, own.ends, 0);
  own.spd.protecting(flow, (policy) => {
    for (let k = 0; k < policy.outbound.length; k++) {
      const mtu = innerMtu(own, policy.outbound[k], net.family, whole);
      if (mtu < least) least = mtu;
    }
  });
  path.mtu = least;
  return whole - least;
}

/** The largest inner packet that `sa` carries whole. @param mtu of the path, in transport mode */
export function innerMtu(own: Ipsec, sa: Sa, family: number, mtu: number): number {
  const protocol = own.protocolOf(sa);
  if (!protocol) return mtu;
  if (sa.mode !== TRANSPORT) {
    const before = own.sending;
    own.sending = true;
    if (sa.net.route(sa.path) === 0) mtu = sa.path.mtu;
    own.sending = before;
  }
  const room = protocol.room(sa, mtu - sa.net.headerSize - (sa.localPort ? UDP_HEADER : 0));
  return room + (sa.mode === TUNNEL ? 0 : headerSize(sa.mode === BEET ? sa.innerFamily : family));
}
