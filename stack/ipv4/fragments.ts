/** IPv4 fragments (RFC 791 section 3.2, RFC 1858, RFC 3128): what reassembly takes and gives, and fragmentation without copies. */
import { get16, get32, put16 } from "../core/bytes.js";
import { EMSGSIZE, fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { DECRYPTED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { Reassembly } from "../core/reassembly.js";
import type { Datagram, FragmentCounters, FragmentOptions } from "../core/reassembly.js";
import type { Component, Stack } from "../core/stack.js";
import { REASSEMBLY_TIMEOUT, TIME_EXCEEDED } from "../wire/icmp.js";
import {
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_CHECKSUM,
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_SOURCE,
  IPV4_TOS,
  IPV4_TOTAL_LENGTH,
  PROTOCOL_TCP,
} from "../wire/ipv4.js";
import { Identifications } from "./id.js";
import type { FragmentHooks, Ipv4 } from "./ipv4.js";
import { emit, send } from "./output.js";
import type { Path4 } from "./path.js";

export type { FragmentCounters, FragmentOptions } from "../core/reassembly.js";

/** A TCP header that is cut below this is an attack: the smallest MTU, 68, leaves 48 bytes behind a plain IP header. */
const TINY = 40;

export class Fragments implements Component, FragmentHooks {
  readonly name = "frag";
  private stack: Stack = null as never;
  private ip: Ipv4 = null as never;
  private readonly reassembly: Reassembly;
  readonly counters: FragmentCounters;

  constructor(options: FragmentOptions) {
    this.reassembly = new Reassembly(options, 60, (packet) => this.report(packet));
    this.counters = this.reassembly.counters;
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "fragments");
    this.stack = stack;
    stack.counters.frag = this.counters as never;
    this.reassembly.attach(stack, 0);
  }

  start(): void {
    const ip = (this.ip = this.stack.network(4) as Ipv4);
    if (!ip) fail("ENOPROTOOPT", "fragments needs ipv4");
    ip.fragments = this;
    this.reassembly.start();
    const ids = new Identifications(this.stack);
    ip.nextId = (path, protocol) => ids.next(path, protocol);
  }

  interfaceRemoved(nif: Interface): void {
    this.reassembly.clear(nif);
  }

  close(): void {
    this.reassembly.clear(null);
  }

  input(packet: Packet, fragment: number): boolean {
    const counters = this.counters;
    const reassembly = this.reassembly;
    const offset = (fragment & FRAGMENT_OFFSET) << 3;
    const more = (fragment & FLAG_MF) !== 0;
    const length = packet.end - packet.start;
    const end = offset + length;
    counters.received++;
    if (length === 0 || (more && length & 7)) counters.malformed++;
    else if (end > 65535 - IPV4_HEADER || end > reassembly.capacity) counters.toobig++;
    else if (packet.protocol === PROTOCOL_TCP && (offset || length) < TINY) counters.tiny++;
    else {
      const id = get16(packet.data, packet.network + IPV4_ID);
      const datagram = reassembly.obtain(packet, id, packet.protocol | (packet.flags & DECRYPTED));
      if (datagram.rejected) counters.rejected++;
      else if (reassembly.add(datagram, packet, offset, end, more)) return this.finish(datagram, packet);
    }
    return false;
  }

  /**
   * The datagram lies in one piece; each fragment's header is written right before its slice, over the end of the slice before,
   * which has been sent (links and queues are done with a frame, or have copied it, when they return).
   */
  output(packet: Packet, path: Path4, protocol: number): number {
    const header = path.option ? IPV4_HEADER + 4 : IPV4_HEADER;
    const first = packet.start;
    const end = packet.end;
    const step = (path.mtu - header) & ~7;
    if (end - first + header > 65535) {
      this.ip.counters.tooBig++;
      return EMSGSIZE;
    }
    const id = this.ip.nextId(path, protocol);
    for (let at = first; at < end; at += step) {
      const last = at + step >= end;
      packet.start = at - header;
      packet.end = last ? end : at + step;
      const place = (at - first) >> 3;
      emit(packet, path, protocol, packet.end - packet.start, id, last ? place : place | FLAG_MF);
      const code = send(packet, path);
      if (code < 0) return code;
      this.counters.sent++;
    }
    this.ip.counters.sent++;
    return 0;
  }

  /** Makes the header of the whole datagram. */
  private finish(datagram: Datagram, packet: Packet): boolean {
    const header = datagram.headerLength;
    const length = header + datagram.total;
    if (length > 65535) {
      this.counters.toobig++;
      this.reassembly.remove(datagram);
      return false;
    }
    if (!this.reassembly.finish(datagram, packet)) return false;
    const data = packet.data;
    data[IPV4_TOS] = packet.tos;
    put16(data, IPV4_TOTAL_LENGTH, length);
    put16(data, IPV4_FRAGMENT, 0);
    put16(data, IPV4_CHECKSUM, 0);
    put16(data, IPV4_CHECKSUM, ~this.stack.host.sum(data, 0, header, 0));
    return true;
  }

  /** Tells the sender of a timeout (RFC 792), who gets to know only when the first fragment has come. */
  private report(packet: Packet): void {
    const icmp = this.ip.icmp;
    if (!icmp) return;
    packet.net = this.ip;
    packet.source = get32(packet.data, IPV4_SOURCE);
    packet.destination = get32(packet.data, IPV4_DESTINATION);
    icmp.sendError(packet, TIME_EXCEEDED, REASSEMBLY_TIMEOUT, 0);
  }
}

/** Reassembly and fragmentation for IPv4. Needs `ipv4`. Counters: `frag`. */
export function fragments(options: FragmentOptions = {}): Fragments {
  return new Fragments(options);
}
