/**
 * IPv6 fragments (RFC 8200 section 4.5, RFC 5722, RFC 7112, RFC 7739): what reassembly takes and gives, and fragmentation without
 * copies.
 *
 * Any overlap rejects the datagram and what follows of it, silently; only an exact copy of a fragment is ignored. What has been
 * put together has no extension headers before its fragmentable part: they were dealt with when the fragments came.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { EMSGSIZE, fail } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import { DECRYPTED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { Reassembly } from "../core/reassembly.js";
import type { Datagram, FragmentCounters, FragmentOptions } from "../core/reassembly.js";
import type { Component, Stack } from "../core/stack.js";
import { BAD_HEADER, INCOMPLETE_CHAIN, REASSEMBLY_TIMEOUT6, TIME_EXCEEDED6 } from "../wire/icmpv6.js";
import * as wire from "../wire/ipv6.js";
import type { FragmentHooks6 } from "./hooks.js";
import type { Ipv6 } from "./ipv6.js";
import { emit, send } from "./output.js";
import type { Path6 } from "./path.js";

/** The header that all fragments are kept with: IPv6's and the fragment header. */
const HEADER = wire.IPV6_HEADER + wire.FRAGMENT_HEADER;

/** Fragments of a datagram whose copies are known. */
const PIECES = 128;
/** Tells the hashes of identifications from others under the same key. */
const ID_DOMAIN = 0x66726167;

export class Fragments6 implements Component, FragmentHooks6 {
  readonly name = "frag6";
  readonly counters: FragmentCounters;
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private readonly reassembly: Reassembly;
  /** Datagrams that went in fragments; see `nextId`. */
  private count = 0;

  constructor(options: FragmentOptions) {
    this.reassembly = new Reassembly(options, HEADER, (packet) => this.report(packet));
    this.counters = this.reassembly.counters;
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "fragments6");
    this.stack = stack;
    stack.counters.frag6 = this.counters as never;
    this.reassembly.attach(stack, PIECES * 8);
  }

  start(): void {
    const ip = (this.ip = this.stack.network(6) as Ipv6);
    if (!ip) fail("ENOPROTOOPT", "fragments6 needs ipv6");
    ip.fragments = this;
    this.reassembly.start();
  }

  interfaceRemoved(nif: Interface): void {
    this.reassembly.clear(nif);
  }

  close(): void {
    this.reassembly.clear(null);
  }

  input(packet: Packet, at: number): number {
    const counters = this.counters;
    const reassembly = this.reassembly;
    const data = packet.data;
    const field = get16(data, at + wire.FRAGMENT_OFFSET);
    const offset = field & 0xfff8;
    const more = (field & 1) !== 0;
    const length = packet.end - packet.start;
    const end = offset + length;
    counters.received++;
    if (more && length & 7) {
      counters.malformed++;
      this.ip.parameterProblem(packet, BAD_HEADER, wire.IPV6_PAYLOAD_LENGTH);
    } else if (length === 0) counters.malformed++;
    else if (end > 65535) {
      counters.toobig++;
      this.ip.parameterProblem(packet, BAD_HEADER, at + wire.FRAGMENT_OFFSET - packet.network);
    } else if (end > reassembly.capacity) counters.toobig++;
    else if (offset === 0 && !holdsChain(packet, data[at])) {
      counters.tiny++;
      this.ip.parameterProblem(packet, INCOMPLETE_CHAIN, 0);
    } else {
      const datagram = reassembly.obtain(
        packet,
        get32(data, at + wire.FRAGMENT_ID),
        packet.flags & DECRYPTED,
      );
      const ranges = datagram.ranges;
      const piece = (offset << 13) | end;
      if (ranges.length === 0) datagram.pieces = [];
      const pieces = datagram.pieces as number[];
      if (datagram.rejected) counters.rejected++;
      else if (overlaps(ranges, offset, end) && pieces.indexOf(piece) < 0) {
        counters.overlap++;
        reassembly.reject(datagram);
      } else {
        strip(packet, at);
        if (pieces.length < PIECES) pieces.push(piece);
        if (reassembly.add(datagram, packet, offset, end, more)) return this.finish(datagram, packet);
      }
    }
    return -1;
  }

  /** As in IPv4, each fragment's headers are written over the end of the slice before, which has been sent. */
  output(packet: Packet, path: Path6, protocol: number): number {
    const first = packet.start;
    const end = packet.end;
    const data = packet.data;
    const step = (path.mtu - HEADER) & ~7;
    if (end - first > 65535) {
      this.ip.counters.tooBig++;
      return EMSGSIZE;
    }
    const id = this.nextId();
    for (let at = first; at < end; at += step) {
      const last = at + step >= end;
      const header = at - wire.FRAGMENT_HEADER;
      packet.start = at - HEADER;
      packet.end = last ? end : at + step;
      emit(packet, path, wire.FRAGMENT, packet.end - header);
      put16(data, header, protocol << 8);
      put16(data, header + wire.FRAGMENT_OFFSET, last ? at - first : (at - first) | 1);
      put32(data, header + wire.FRAGMENT_ID, id);
      const code = send(packet, path);
      if (code < 0) return code;
      this.counters.sent++;
    }
    this.ip.counters.sent++;
    return 0;
  }

  /**
   * The next identification, 32 bits: a counter under a secret permutation (a Feistel network of four rounds of SipHash), so that
   * nobody foretells one from others (RFC 7739), and none comes again before all have been.
   */
  nextId(): number {
    const hash = hashOf(this.stack);
    let left = this.count >>> 16;
    let right = this.count & 0xffff;
    this.count = (this.count + 1) | 0;
    for (let round = 0; round < 4; round++) {
      hash.begin(2);
      hash.word(ID_DOMAIN);
      hash.word((round << 16) | right);
      const mixed = left ^ (hash.end() & 0xffff);
      left = right;
      right = mixed;
    }
    return (left << 16) | right;
  }

  /** Makes the header of the whole datagram, right before it. Returns its next header, or -1: there is no memory. */
  private finish(datagram: Datagram, packet: Packet): number {
    if (!this.reassembly.finish(datagram, packet)) return -1;
    const data = packet.data;
    const at = wire.FRAGMENT_HEADER;
    const next = data[wire.IPV6_HEADER];
    moveHeader(data, 0, at);
    packet.network = at;
    data[at] = 0x60 | (packet.tos >> 4);
    data[at + 1] = (packet.tos << 4) | (data[at + 1] & 15);
    put16(data, at + wire.IPV6_PAYLOAD_LENGTH, packet.end - HEADER);
    data[at + wire.IPV6_NEXT_HEADER] = next;
    return next;
  }

  /** Tells the sender of a timeout, who gets to know only when the first fragment has come. */
  private report(packet: Packet): void {
    packet.net = this.ip;
    if (this.ip.icmp) this.ip.icmp.sendError(packet, TIME_EXCEEDED6, REASSEMBLY_TIMEOUT6, 0);
  }
}

/** Leaves the extension headers before the fragment header out: the IPv6 header moves to it. */
function strip(packet: Packet, at: number): void {
  const data = packet.data;
  const to = at - wire.IPV6_HEADER;
  if (to === packet.network) return;
  moveHeader(data, packet.network, to);
  packet.network = to;
  data[to + wire.IPV6_NEXT_HEADER] = wire.FRAGMENT;
  put16(data, to + wire.IPV6_PAYLOAD_LENGTH, packet.end - at);
}

/** Moves an IPv6 header towards the end. */
function moveHeader(data: Uint8Array, from: number, to: number): void {
  for (let i = wire.IPV6_HEADER - 1; i >= 0; i--) data[to + i] = data[from + i];
}

function overlaps(ranges: number[], offset: number, end: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    if (ranges[i] < end && ranges[i + 1] > offset) return true;
  }
  return false;
}

/** Does the first fragment hold all headers, the transport's among them (RFC 7112)? */
function holdsChain(packet: Packet, next: number): boolean {
  const data = packet.data;
  let at = packet.start;
  // A second fragment header is refused when the datagram is whole.
  while (wire.isExtension(next) && next !== wire.FRAGMENT) {
    if (at + 8 > packet.end) return false;
    next = data[at];
    at += (data[at + 1] + 1) << 3;
  }
  return at + (next === 6 ? 20 : next === 17 || next === wire.PROTOCOL_ICMPV6 ? 8 : 0) <= packet.end;
}

/** Reassembly and fragmentation for IPv6. Needs `ipv6`. Counters: `frag6`. */
export function fragments6(options: FragmentOptions = {}): Fragments6 {
  return new Fragments6(options);
}
