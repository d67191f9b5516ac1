/**
 * Forwarding of IPv4 (RFC 1812): what makes a host a router.
 *
 * A packet stays where it came in, and goes out from there: it is copied only where the frame has no room for the other link's
 * header. Nothing is allocated for it. Segments that a link has merged (`receiveCoalescing`) are the business of segmentation.ts, an
 * import. Not forwarded: broadcasts (also directed ones, RFC 2644), groups, link-local, loopback and
 * reserved addresses, source routes (RFC 7126).
 */
import { get16, get32, put16 } from "../core/bytes.js";
import { updateChecksum } from "../core/checksum.js";
import { fail } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import { FORWARD, POSTROUTING } from "../core/network.js";
import type { Forwarder } from "../core/network.js";
import { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import { TYPE_IPV4 } from "../wire/ethernet.js";
import {
  FRAGMENTATION_NEEDED,
  ADMINISTRATIVELY_PROHIBITED,
  HOST_UNREACHABLE,
  NET_UNREACHABLE,
  REDIRECT,
  REDIRECT_HOST,
  TIME_EXCEEDED,
  UNREACHABLE as ICMP_UNREACHABLE,
} from "../wire/icmp.js";
import {
  FLAG_DF,
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_CHECKSUM,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
  PROTOCOL_TCP,
  isLinkLocal4,
  isMartian4,
} from "../wire/ipv4.js";
import { copiedOptions, recordOptions } from "./options4.js";
import { Router, STRICT, clampMss, finishChecksum, headerSum, refuseMerging, roomFor } from "./router.js";
import type { ForwardingOptions, Port, PortOptions } from "./router.js";
import type { Segmentation } from "./segmentation.js";
import { BLACKHOLE, UNREACHABLE, hopOf } from "./special.js";
import type { RouterRoute } from "./special.js";
import type { Fib4, Route4 } from "../route/table.js";

/** A table that knows more of a packet than its destination: see tables.ts. */
export interface PolicyFib4 extends Fib4 {
  /** The route for a packet that came in. */
  select(packet: Packet): Route4 | null;
  /** The route back to its source. */
  back(packet: Packet): Route4 | null;
}

/** Bytes that an error quotes at most. */
const QUOTE = 548;

export class Forwarding implements Component, Forwarder {
  readonly name = "forward";
  readonly router: Router;
  private stack: Stack = null as never;
  private ip: Ipv4 = null as never;
  private policy: PolicyFib4 | null = null;
  /** What an error quotes of a packet that lies in `stack.tx`, where the error itself is made. */
  private quote: Packet | null = null;
  /** The header of fragments but the first. */
  private readonly header = new Uint8Array(60);

  constructor(options: ForwardingOptions) {
    this.router = new Router(options);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "forwarding");
    this.stack = stack;
    stack.counters.forward = this.router.counters as never;
  }

  start(): void {
    this.ip = this.stack.network(4) as Ipv4;
    if (!this.ip) fail("ENOPROTOOPT", "forwarding needs ipv4");
    this.ip.forwarder = this;
    const fib = this.ip.fib as Partial<PolicyFib4>;
    if (fib.select) this.policy = fib as PolicyFib4;
  }

  /** Sets how packets of `nif` are treated; what is not named stays. `EINVAL`: no such interface, or value. */
  configure(nif: Interface, options: PortOptions): void {
    this.router.configure(nif, options);
  }

  interfaceAdded(nif: Interface): void {
    refuseMerging(this.router, nif);
  }

  interfaceRemoved(nif: Interface): void {
    this.router.removed(nif);
  }

  input(packet: Packet): boolean {
    if (this.ip.isLocal(packet.destination)) return true;
    this.forward(packet);
    return false;
  }

  undeliverable(packet: Packet): boolean {
    const data = packet.data;
    const at = packet.start;
    if (this.ip.isLocal(get32(data, at + 12))) return false;
    this.router.counters.unreachable++;
    const quote = (this.quote = this.quote || new Packet(new Uint8Array(QUOTE)));
    const length = packet.end - at < QUOTE ? packet.end - at : QUOTE;
    this.stack.host.copy(quote.data, 0, data, at, length);
    quote.end = length;
    quote.source = get32(quote.data, 12);
    quote.destination = get32(quote.data, 16);
    this.error(quote, ICMP_UNREACHABLE, HOST_UNREACHABLE, 0);
    return true;
  }

  private forward(packet: Packet): void {
    const ip = this.ip;
    const router = this.router;
    const counters = router.counters;
    const nif = packet.nif as Interface;
    const port = router.port(nif);
    const source = packet.source;
    const destination = packet.destination;
    if (!port.enabled) {
      counters.disabled++;
      return;
    }
    // 0.0.0.0 has passed where a DHCP server asked for it: it goes no further.
    if (source === 0 || isMartian4(destination) || isLinkLocal4(destination) || isLinkLocal4(source)) {
      counters.scope++;
      return;
    }
    if (port.reversePath !== 0 && !this.comesFrom(packet, port.reversePath === STRICT)) {
      counters.reversePath++;
      return;
    }
    const entry = (this.policy ? this.policy.select(packet) : ip.fib.lookup(destination, null)) as
      (Route4 & RouterRoute<number>) | null;
    if (entry && entry.kind) {
      counters.refused++;
      if (entry.kind !== BLACKHOLE) {
        const code = entry.kind === UNREACHABLE ? HOST_UNREACHABLE : ADMINISTRATIVELY_PROHIBITED;
        this.error(packet, ICMP_UNREACHABLE, code, 0);
      }
      return;
    }
    const hop = entry && (entry.hops ? hopOf(entry, this.flow(packet)) : entry);
    if (!hop || hop.nif === ip.loopback) {
      counters.noRoute++;
      this.error(packet, ICMP_UNREACHABLE, NET_UNREACHABLE, 0);
      return;
    }
    const out = hop.nif;
    const outPort = router.port(out);
    if (!outPort.enabled) {
      counters.disabled++;
      this.error(packet, ICMP_UNREACHABLE, ADMINISTRATIVELY_PROHIBITED, 0);
      return;
    }
    if (ip.isBroadcast(out, destination)) {
      counters.scope++;
      return;
    }
    if (packet.ttl <= 1) {
      counters.expired++;
      this.error(packet, TIME_EXCEEDED, 0, 0);
      return;
    }
    if (ip.hook && !ip.hook(packet, FORWARD, out)) return;
    const next = hop.gateway || packet.destination;
    if (packet.segmentSize !== 0 && router.segments) this.merged(packet, port, outPort, next);
    else if (!ip.policy || ip.policy.forward(packet, out)) {
      this.send(packet, port, outPort, next, packet.end - packet.network);
    }
  }

  /** The packet, which a link has merged, goes to `hop`: whole, or cut. */
  private merged(packet: Packet, port: Port, outPort: Port, hop: number): void {
    const segments = this.router.segments as Segmentation;
    const policy = this.ip.policy;
    const data = packet.data;
    const at = packet.network;
    const out = outPort.nif;
    const size = (data[at] & 15) << 2;
    const fragment = get16(data, at + IPV4_FRAGMENT);
    const transport = fragment & FRAGMENT_OFFSET ? -1 : at + size;
    const largest = segments.largest(packet, transport);
    const fits = largest <= out.mtu;
    if (largest === 0 || (!fits && fragment & FLAG_DF)) {
      if (!policy || policy.forward(packet, out)) {
        this.send(packet, port, outPort, hop, largest || packet.end - at);
      }
    } else if (fits && !policy && segments.whole(packet, out, size === IPV4_HEADER)) {
      segments.finish(this.stack, packet, transport);
      this.send(packet, port, outPort, hop, largest);
    } else {
      segments.begin(packet, transport);
      while (segments.next(this.stack, packet)) {
        if (!policy || policy.forward(packet, out)) {
          this.send(packet, port, outPort, hop, packet.end - packet.network);
        }
      }
    }
  }

  /** The packet goes to `hop` by `outPort`; `length`: its bytes, or those of the largest that the link makes of it. */
  private send(packet: Packet, port: Port, outPort: Port, hop: number, length: number): void {
    const counters = this.router.counters;
    const data = packet.data;
    const at = packet.network;
    const out = outPort.nif;
    const fragment = get16(data, at + IPV4_FRAGMENT);
    if (length > out.mtu && fragment & FLAG_DF) {
      counters.tooBig++;
      this.error(packet, ICMP_UNREACHABLE, FRAGMENTATION_NEEDED, out.mtu);
      return;
    }
    if (out === packet.nif && port.redirects) this.redirect(packet, hop);
    const size = (data[at] & 15) << 2;
    // The time to live is the upper byte of its word: one less of it, and the checksum follows (RFC 1624).
    const word = get16(data, at + IPV4_TTL);
    data[at + IPV4_TTL] = packet.ttl - 1;
    if (size > IPV4_HEADER) {
      if (!recordOptions(data, at + IPV4_HEADER, at + size, this.ip.sourceFor(out, hop), this.stack.now())) {
        counters.badOption++;
        this.error(packet, 12, 0, 0);
        return;
      }
      put16(data, at + IPV4_CHECKSUM, 0);
      put16(data, at + IPV4_CHECKSUM, ~headerSum(data, at, size));
    } else {
      put16(data, at + IPV4_CHECKSUM, updateChecksum(get16(data, at + IPV4_CHECKSUM), word, word - 0x100));
    }
    const transport = fragment & FRAGMENT_OFFSET ? -1 : at + size;
    if (packet.protocol === PROTOCOL_TCP && transport > 0 && (port.mss | outPort.mss) !== 0) {
      this.clamp(packet, transport, port, outPort);
    }
    if (this.ip.hook && !this.ip.hook(packet, POSTROUTING, out)) return;
    if (length > out.mtu) {
      finishChecksum(this.stack, packet, transport, out, false);
      this.fragment(packet, out, hop, size, fragment);
    } else {
      finishChecksum(this.stack, packet, transport, out, size === IPV4_HEADER);
      if (this.transmit(packet, out, hop)) counters.forwarded++;
    }
    packet.checksumField = -1;
  }

  /** Hands the packet to the link; false: there was no room, which has been counted. */
  private transmit(packet: Packet, out: Interface, hop: number): boolean {
    const ready = roomFor(this.router, this.stack, packet, out);
    let code = -1;
    if (ready) {
      ready.start = ready.network;
      if (!out.medium.resolves) code = out.medium.output(out, ready, 0, 0, TYPE_IPV4);
      else if (this.ip.arp) {
        const cache = this.ip.arp.cache;
        const neighbour = cache.obtain(out, 0, 0, 0, hop);
        if (neighbour) code = cache.output(neighbour, ready, TYPE_IPV4);
      }
    }
    if (code < 0) this.router.counters.noRoom++;
    return code >= 0;
  }

  /** Cuts the packet in place: each fragment's header is written over the end of the slice before, which has been sent. */
  private fragment(packet: Packet, out: Interface, hop: number, size: number, word: number): void {
    const data = packet.data;
    const first = packet.network;
    const end = packet.end;
    const header = this.header;
    const counters = this.router.counters;
    for (let i = 0; i < size; i++) header[i] = data[first + i];
    const later = IPV4_HEADER + copiedOptions(header, IPV4_HEADER, size);
    let offset = word & FRAGMENT_OFFSET;
    let length = size;
    for (let at = first + size; at < end;) {
      const step = (out.mtu - length) & ~7;
      // A fragment may lie about where it belongs: nothing ends beyond the largest datagram.
      if (step <= 0 || offset > FRAGMENT_OFFSET) return;
      const last = at + step >= end;
      const stop = last ? end : at + step;
      const start = at - length;
      if (start !== first) {
        for (let i = 0; i < later; i++) data[start + i] = header[i];
        data[start] = 0x40 | (later >> 2);
      }
      put16(data, start + IPV4_TOTAL_LENGTH, stop - start);
      put16(data, start + IPV4_FRAGMENT, offset | (last ? word & FLAG_MF : FLAG_MF));
      put16(data, start + IPV4_CHECKSUM, 0);
      put16(data, start + IPV4_CHECKSUM, ~headerSum(data, start, length));
      packet.network = packet.start = start;
      packet.end = stop;
      if (!this.transmit(packet, out, hop)) return;
      counters.fragments++;
      offset += step >> 3;
      at = stop;
      length = later;
    }
    counters.forwarded++;
  }

  /** Tells a neighbour that `hop` is as near to it as to us (RFC 1812 section 5.2.7.2). */
  private redirect(packet: Packet, hop: number): void {
    const list = this.ip.addresses;
    const nif = packet.nif as Interface;
    for (let i = 0; i < list.length; i++) {
      const entry = list[i];
      if (entry.nif !== nif || ((packet.source ^ entry.address) | (hop ^ entry.address)) & entry.mask)
        continue;
      if (!this.router.redirectRate.take(this.stack.now())) return;
      this.router.counters.redirects++;
      this.error(packet, REDIRECT, REDIRECT_HOST, hop);
      return;
    }
  }

  /** Is the way back to the packet's source the interface that it came in on, or, where not `strict`, any? */
  private comesFrom(packet: Packet, strict: boolean): boolean {
    const nif = packet.nif as Interface;
    const source = packet.source;
    const entry = (this.policy ? this.policy.back(packet) : this.ip.fib.lookup(source, null)) as
      (Route4 & RouterRoute<number>) | null;
    if (!entry || entry.kind) return false;
    if (!strict || entry.nif === nif) return true;
    const hops = entry.hops || [];
    for (let i = 0; i < hops.length; i++) if (hops[i].nif === nif) return true;
    return false;
  }

  /** The keyed hash of a packet's flow; fragments of a datagram have one hash, whichever has the ports. */
  private flow(packet: Packet): number {
    const data = packet.data;
    const at = packet.network;
    const hash = hashOf(this.stack);
    hash.begin(1);
    hash.word(packet.source);
    hash.word(packet.destination);
    hash.word(packet.protocol);
    const transport = at + ((data[at] & 15) << 2);
    const ports = packet.protocol === PROTOCOL_TCP || packet.protocol === 17 || packet.protocol === 132;
    if (
      ports &&
      (get16(data, at + IPV4_FRAGMENT) & (FRAGMENT_OFFSET | FLAG_MF)) === 0 &&
      transport + 4 <= packet.end
    ) {
      hash.word(get32(data, transport));
    }
    return hash.end();
  }

  private clamp(packet: Packet, transport: number, port: Port, outPort: Port): void {
    let mss = 65535;
    for (let i = 0; i < 2; i++) {
      const each = i ? outPort : port;
      const limit = each.mss < 0 ? each.nif.mtu - 40 : each.mss;
      if (limit > 0 && limit < mss) mss = limit;
    }
    if (clampMss(packet, transport, mss)) this.router.counters.clamped++;
  }

  private error(packet: Packet, type: number, code: number, word: number): void {
    if (this.ip.icmp) this.ip.icmp.sendError(packet, type, code, word);
  }
}

/** Forwarding of IPv4. Needs `ipv4`; without `icmp` nobody is told of errors. Counters: `forward`. */
export function forwarding(options: ForwardingOptions = {}): Forwarding {
  return new Forwarding(options);
}
