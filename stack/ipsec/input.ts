/** What comes for this host (RFC 4301 section 5.2): IPsec is taken off, and what is left is held against policy. */
import { get16, put16 } from "../core/bytes.js";
import type { Interface } from "../core/interface.js";
import { INPUT } from "../core/network.js";
import type { Network } from "../core/network.js";
import { CHECKSUM_OK, DECRYPTED, NOT_UNICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { PROTOCOL_IPV4, PROTOCOL_IPV6 } from "../wire/esp.js";
import { IPV4_PROTOCOL, IPV4_TOTAL_LENGTH } from "../wire/ipv4.js";
import { FRAGMENT, IPV6_HEADER, IPV6_NEXT_HEADER, NO_NEXT_HEADER, isExtension } from "../wire/ipv6.js";
import { countUnknown } from "./protocol.js";
import { emitHeader, headerSize, mergeEcn, sumHeader } from "./header.js";
import { isExempt } from "./ipsec.js";
import type { Ipsec, SecurityProtocol } from "./ipsec.js";
import { isLinkControl } from "./output.js";
import { BYPASS, PROTECT } from "./policy.js";
import { BEET, TRANSPORT } from "./sa.js";
import type { Sa } from "./sa.js";

const PROTOCOL_UDP = 17;

/** See `PacketPolicy.input`. */
export function input(own: Ipsec, packet: Packet, protocol: number): number {
  for (;;) {
    let carried = protocol;
    if (protocol === PROTOCOL_UDP && own.encapsulation && (packet.flags & NOT_UNICAST) === 0) {
      carried = own.encapsulation.input(packet);
      if (carried < 0) return -1;
    }
    const handler = own.find(carried);
    if (!handler) return permitted(own, packet, protocol) ? protocol : -1;
    if ((packet.flags & DECRYPTED) === 0) {
      own.layers = 0;
      own.applied = null;
    }
    if (packet.end - packet.start < handler.headerSize || packet.flags & NOT_UNICAST) {
      countUnknown(handler, packet);
      return -1;
    }
    const sa = own.lookup(handler.spi(packet.data, packet.start), carried === 51);
    if (!sa || !isFor(sa, packet, carried !== protocol)) {
      countUnknown(handler, packet);
      return -1;
    }
    if (++own.layers > own.depth) {
      own.counters.nested++;
      return -1;
    }
    if (sa.transform.deferred && own.queue) {
      own.queue.open(sa, packet, handler, carried !== protocol);
      return -1;
    }
    const length = packet.end - packet.start;
    const next = handler.open(sa, packet);
    if (next < 0) return -1;
    if (!unwrap(own, sa, packet, handler, next, length, carried !== protocol)) return -1;
    const net = packet.net as Network;
    if (net.hook && !net.hook(packet, INPUT, null)) return -1;
    protocol = next;
  }
}

/** An authentic packet of `length` bytes, `next` inside of it. False: that was a tunnel's, and has come in as if from a link, or nothing. */
function unwrap(
  own: Ipsec,
  sa: Sa,
  packet: Packet,
  handler: SecurityProtocol,
  next: number,
  length: number,
  encapsulated: boolean,
): boolean {
  own.count(sa, length);
  if (next === NO_NEXT_HEADER) {
    handler.counters.dummy++;
    return false;
  }
  if (encapsulated && sa.pair) follow(own, sa, packet);
  own.applied = sa;
  if (sa.mode !== TRANSPORT) {
    reinject(own, sa, packet, next);
    return false;
  }
  if (!replaceHeader(packet, next)) {
    handler.counters.malformed++;
    return false;
  }
  // The checksum may cover addresses that a NAT has changed since: the ICV has vouched for the bytes (RFC 3948 section 3.1.2).
  packet.flags |= encapsulated ? DECRYPTED | CHECKSUM_OK : DECRYPTED;
  return true;
}

/** Goes on with a packet that a cipher has answered for meanwhile: what transport mode brings comes in anew as well. */
export function resume(
  own: Ipsec,
  sa: Sa,
  packet: Packet,
  handler: SecurityProtocol,
  next: number,
  length: number,
  encapsulated: boolean,
): void {
  if (!unwrap(own, sa, packet, handler, next, length, encapsulated)) return;
  packet.start = packet.network;
  deliver(own, packet, packet.net as Network);
}

/** Did the packet come to the address that the SA is of, and, but for ESP in UDP, from the peer's? */
function isFor(sa: Sa, packet: Packet, encapsulated: boolean): boolean {
  const net = packet.net as Network;
  if (net !== sa.net || encapsulated !== sa.localPort > 0) return false;
  return net.matchesLocal(sa.path, packet) && (encapsulated || net.matchesRemote(sa.path, packet));
}

/** May the packet, whose transport header is at `start`, go to a transport? Counts what may not. */
function permitted(own: Ipsec, packet: Packet, protocol: number): boolean {
  const nif = packet.nif as Interface;
  const applied = packet.flags & DECRYPTED ? own.applied : null;
  if (isExempt(nif)) return true;
  const flow = own.flow;
  flow.ofPacket(packet, protocol);
  // Neighbour discovery looks at the hop limit itself: none of it has crossed a router.
  if (!applied && isLinkControl(flow)) return true;
  const policy = own.spd.lookup(flow, false);
  const action = policy ? policy.action : own.spd.otherwise;
  if (applied) {
    if (policy && policy === applied.policy && (!applied.selector || applied.selector.matches(flow, false)))
      return true;
  } else if (action === BYPASS) return true;
  if (applied || action === PROTECT) own.counters.policy++;
  else own.counters.discarded++;
  return false;
}

/** Transport mode: the header says what is behind it now. False: an IPv6 chain that goes on inside, which nobody sends. */
function replaceHeader(packet: Packet, next: number): boolean {
  const data = packet.data;
  const at = packet.network;
  if (data[at] >> 4 === 4) {
    // What is left moves nowhere: transports ask for `start` and `end`, errors quote header and payload in a row.
    const size = (data[at] & 15) << 2;
    moveHeader(packet, size);
    const moved = packet.network;
    data[moved + IPV4_PROTOCOL] = next;
    put16(data, moved + IPV4_TOTAL_LENGTH, packet.end - moved);
    sumHeader(data, moved);
    packet.protocol = next;
    return true;
  }
  if (isExtension(next)) return false;
  let nextAt = at + IPV6_NEXT_HEADER;
  let header = at + IPV6_HEADER;
  while (isExtension(data[nextAt])) {
    const fragment = data[nextAt] === FRAGMENT;
    nextAt = header;
    header += fragment ? 8 : (data[header + 1] + 1) << 3;
  }
  data[nextAt] = next;
  moveHeader(packet, header - at);
  put16(data, packet.network + 4, packet.end - packet.network - IPV6_HEADER);
  packet.protocol = next;
  return true;
}

/** Moves the `size` bytes of the header up to the payload: from the end on, they may overlap. */
function moveHeader(packet: Packet, size: number): void {
  const data = packet.data;
  const from = packet.network;
  const to = packet.start - size;
  for (let i = size - 1; i >= 0; i--) data[to + i] = data[from + i];
  packet.network = to;
}

/** Tunnel and BEET: the inner packet comes in as if from a link. */
function reinject(own: Ipsec, sa: Sa, packet: Packet, next: number): void {
  const data = packet.data;
  const outerTos = packet.tos;
  let family = next === PROTOCOL_IPV4 ? 4 : next === PROTOCOL_IPV6 ? 6 : 0;
  if (sa.mode === BEET) {
    family = sa.innerFamily;
    if (!giveHeader(sa, packet, next, outerTos)) family = 0;
  }
  const length = packet.end - packet.start;
  const net = family ? own.stack.network(family) : null;
  if (!net || length < headerSize(family) || data[packet.start] >> 4 !== family) {
    own.counters.badInner++;
    return;
  }
  if (sa.mode !== BEET && !mergeEcn(data, packet.start, outerTos)) {
    own.counters.ecn++;
    return;
  }
  // Before fragments meet others: these come by an SA that is for them.
  const flow = own.flow;
  if (!sa.nif) {
    const whole = flow.parse(data, packet.start, packet.end);
    const policy = sa.policy;
    if (
      !whole ||
      !policy ||
      !policy.selector.mayMatch(flow, false) ||
      (sa.selector && !sa.selector.mayMatch(flow, false))
    ) {
      own.counters.policy++;
      return;
    }
  } else {
    packet.nif = sa.nif;
    sa.nif.counters.rxFrames++;
    sa.nif.counters.rxBytes += length;
  }
  packet.flags = DECRYPTED;
  deliver(own, packet, net);
}

function deliver(own: Ipsec, packet: Packet, net: Network): void {
  const protocols = own.stack.linkProtocols;
  for (let i = 0; i < protocols.length; i++) {
    if ((protocols[i] as unknown as Network) === net) protocols[i].input(packet);
  }
}

/** BEET: puts the header with the inner addresses before the payload, which makes room where the outer one was smaller. */
function giveHeader(sa: Sa, packet: Packet, next: number, tos: number): boolean {
  const data = packet.data;
  const size = headerSize(sa.innerFamily);
  const room = packet.start - packet.network;
  if (room < size) {
    const shift = size - room;
    if (packet.end + shift > data.length) return false;
    for (let i = packet.end - 1; i >= packet.start; i--) data[i + shift] = data[i];
    packet.start += shift;
    packet.end += shift;
  }
  const length = packet.end - packet.start;
  const half = sa.innerFamily === 4 ? 4 : 16;
  const ends = new Uint8Array(half * 2);
  ends.set(sa.inner.subarray(half, half * 2), 0);
  ends.set(sa.inner.subarray(0, half), half);
  packet.start -= size;
  emitHeader(sa.innerFamily, data, packet.start, ends, next, length, tos, packet.ttl, 0, true);
  return true;
}

/** ESP in UDP: the peer sends from elsewhere now, and has proved it (RFC 3948 section 3.1.2, RFC 7296 section 2.23). */
function follow(own: Ipsec, sa: Sa, packet: Packet): void {
  const pair = sa.pair as Sa;
  const data = packet.data;
  const network = packet.network;
  const udp = data[network] >> 4 === 4 ? network + ((data[network] & 15) << 2) : network + IPV6_HEADER;
  const port = get16(data, udp);
  const net = packet.net as Network;
  if (pair.closed || (pair.remotePort === port && net.matchesRemote(pair.path, packet))) return;
  const text = net.sourceText(packet);
  if (net.setRemote(pair.path, text) < 0) return;
  pair.remotePort = port;
  own.stack.changed();
  own.tell({ type: "address", policy: sa.policy, sa, flow: null });
}
