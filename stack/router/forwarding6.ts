/**
 * Forwarding of IPv6 (RFC 8200, RFC 4443): what makes a host a router.
 *
 * As forwarding.ts, but nothing is fragmented on the way: who sends too much is told the MTU. Not forwarded: groups, and what is of
 * one link alone. Of extension headers a router looks at the hop-by-hop options, and at no other.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import { FORWARD, POSTROUTING } from "../core/network.js";
import type { Forwarder } from "../core/network.js";
import { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { options as checkOptions } from "../ipv6/extension.js";
import { Icmpv6 } from "../ipv6/icmpv6.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import type { Path6 } from "../ipv6/path.js";
import type { Neighbour } from "../link/neighbour.js";
import { TYPE_IPV6 } from "../wire/ethernet.js";
import * as icmp from "../wire/icmpv6.js";
import { PROTOCOL_TCP } from "../wire/ipv4.js";
import {
  HOP_BY_HOP,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  FRAGMENT,
  isExtension,
  isLinkLocal6,
  isUnspecified6,
  isZero,
} from "../wire/ipv6.js";
import { Router, STRICT, clampMss, finishChecksum, refuseMerging, roomFor } from "./router.js";
import type { ForwardingOptions, Port, PortOptions } from "./router.js";
import type { Segmentation } from "./segmentation.js";
import { BLACKHOLE, UNREACHABLE, hopOf } from "./special.js";
import type { RouterRoute } from "./special.js";
import type { Fib6, Route6 } from "../route/table6.js";

/** A table that knows more of a packet than its destination: see tables6.ts. */
export interface PolicyFib6 extends Fib6 {
  /** The route for a packet that came in. */
  select(packet: Packet): Route6 | null;
  /** The route back to its source. */
  back(packet: Packet): Route6 | null;
}

/** Bytes that an error quotes at most; a redirect's are bounded by the smallest MTU, with its options. */
const QUOTE = 1232;
/** A redirect: ICMPv6 header, target and destination, and two options (RFC 4861 section 4.5). */
const REDIRECT_MESSAGE = 40;

export class Forwarding6 implements Component, Forwarder {
  readonly name = "forward6";
  readonly router: Router;
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private policy: PolicyFib6 | null = null;
  private quote: Packet | null = null;
  /** The way of redirects. */
  private path: Path6 = null as never;

  constructor(options: ForwardingOptions) {
    this.router = new Router(options);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "forwarding6");
    this.stack = stack;
    stack.counters.forward6 = this.router.counters as never;
  }

  start(): void {
    this.ip = this.stack.network(6) as Ipv6;
    if (!this.ip) fail("ENOPROTOOPT", "forwarding6 needs ipv6");
    this.ip.forwarder = this;
    this.path = this.ip.createPath();
    this.path.ttl = 255;
    const fib = this.ip.fib as Partial<PolicyFib6>;
    if (fib.select) this.policy = fib as PolicyFib6;
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
    const data = packet.data;
    const at = packet.network + IPV6_DESTINATION;
    // An address of the link is of that link's interface alone.
    if (!isLinkLocal6(data, at) && this.ip.findAddress(data, at, null)) return true;
    this.forward(packet);
    return false;
  }

  undeliverable(packet: Packet): boolean {
    const data = packet.data;
    const at = packet.start;
    if (this.ip.findAddress(data, at + IPV6_SOURCE, null)) return false;
    this.router.counters.unreachable++;
    const quote = (this.quote = this.quote || new Packet(new Uint8Array(QUOTE)));
    const length = packet.end - at < QUOTE ? packet.end - at : QUOTE;
    this.stack.host.copy(quote.data, 0, data, at, length);
    quote.end = length;
    this.error(quote, icmp.UNREACHABLE6, icmp.ADDRESS_UNREACHABLE, 0);
    return true;
  }

  private forward(packet: Packet): void {
    const ip = this.ip;
    const router = this.router;
    const counters = router.counters;
    const nif = packet.nif as Interface;
    const port = router.port(nif);
    const data = packet.data;
    const at = packet.network;
    const source = at + IPV6_SOURCE;
    const destination = at + IPV6_DESTINATION;
    if (!port.enabled) {
      counters.disabled++;
      return;
    }
    if (isLinkLocal6(data, source)) {
      counters.scope++;
      this.error(packet, icmp.UNREACHABLE6, icmp.BEYOND_SCOPE, 0);
      return;
    }
    // IPv4-compatible addresses (::/96) are nobody's any more (RFC 4291 section 2.5.5.1).
    if (isLinkLocal6(data, destination) || isUnspecified6(data, source) || isZero(data, destination, 12)) {
      counters.scope++;
      return;
    }
    if (port.reversePath !== 0 && !this.comesFrom(packet, port.reversePath === STRICT)) {
      counters.reversePath++;
      return;
    }
    if (data[at + IPV6_NEXT_HEADER] === HOP_BY_HOP && !this.hopByHop(packet)) {
      counters.badOption++;
      return;
    }
    const entry = (
      this.policy ? this.policy.select(packet) : ip.fib.lookup(data, destination, null, ip.avoidRoute)
    ) as (Route6 & RouterRoute<Uint8Array | null>) | null;
    if (entry && entry.kind) {
      counters.refused++;
      if (entry.kind !== BLACKHOLE) {
        const code = entry.kind === UNREACHABLE ? icmp.ADDRESS_UNREACHABLE : icmp.PROHIBITED;
        this.error(packet, icmp.UNREACHABLE6, code, 0);
      }
      return;
    }
    const hop = entry && (entry.hops ? hopOf(entry, this.flow(packet)) : entry);
    if (!hop || hop.nif === ip.loopback) {
      counters.noRoute++;
      this.error(packet, icmp.UNREACHABLE6, icmp.NO_ROUTE, 0);
      return;
    }
    const out = hop.nif;
    const outPort = router.port(out);
    if (!outPort.enabled) {
      counters.disabled++;
      this.error(packet, icmp.UNREACHABLE6, icmp.PROHIBITED, 0);
      return;
    }
    if (packet.ttl <= 1) {
      counters.expired++;
      this.error(packet, icmp.TIME_EXCEEDED6, 0, 0);
      return;
    }
    if (ip.hook && !ip.hook(packet, FORWARD, out)) return;
    if (packet.segmentSize !== 0 && router.segments) this.merged(packet, port, outPort, hop.gateway);
    else if (!ip.policy || ip.policy.forward(packet, out)) {
      this.send(packet, port, outPort, hop.gateway, packet.end - packet.network);
    }
  }

  /** The packet, which a link has merged, goes to `hop`: whole, or cut. */
  private merged(packet: Packet, port: Port, outPort: Port, hop: Uint8Array | null): void {
    const segments = this.router.segments as Segmentation;
    const policy = this.ip.policy;
    const at = packet.network;
    const out = outPort.nif;
    const transport = locate(packet);
    const largest = segments.largest(packet, transport);
    const fits = largest <= out.mtu;
    if (largest === 0 || !fits) {
      if (!policy || policy.forward(packet, out)) {
        this.send(packet, port, outPort, hop, largest || packet.end - at);
      }
    } else if (!policy && segments.whole(packet, out, transport === at + IPV6_HEADER)) {
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

  /** The packet goes to `hop` (null: its destination itself) by `outPort`; `length`: its bytes, or those of the largest that the link makes of it. */
  private send(packet: Packet, port: Port, outPort: Port, hop: Uint8Array | null, length: number): void {
    const counters = this.router.counters;
    const data = packet.data;
    const at = packet.network;
    const out = outPort.nif;
    if (length > out.mtu) {
      counters.tooBig++;
      this.error(packet, icmp.PACKET_TOO_BIG, 0, out.mtu);
      return;
    }
    const neighbour = out.medium.resolves ? this.neighbour(out, hop, data, at + IPV6_DESTINATION) : null;
    if (out === packet.nif && port.redirects) this.redirect(packet, hop, neighbour);
    data[at + IPV6_HOP_LIMIT] = packet.ttl - 1;
    const transport = locate(packet);
    if (packet.protocol === PROTOCOL_TCP && transport > 0 && (port.mss | outPort.mss) !== 0) {
      this.clamp(packet, transport, port, outPort);
    }
    if (this.ip.hook && !this.ip.hook(packet, POSTROUTING, out)) return;
    finishChecksum(this.stack, packet, transport, out, transport === at + IPV6_HEADER);
    const ready = roomFor(this.router, this.stack, packet, out);
    let code = -1;
    if (ready) {
      ready.start = ready.network;
      if (!out.medium.resolves) code = out.medium.output(out, ready, 0, 0, TYPE_IPV6);
      else if (neighbour) code = this.ip.nd!.cache.output(neighbour, ready, TYPE_IPV6);
    }
    if (code < 0) counters.noRoom++;
    else counters.forwarded++;
    packet.checksumField = -1;
  }

  private neighbour(out: Interface, hop: Uint8Array | null, data: Uint8Array, at: number): Neighbour | null {
    const nd = this.ip.nd;
    if (!nd) return null;
    if (hop) {
      data = hop;
      at = 0;
    }
    return nd.cache.obtain(
      out,
      get32(data, at),
      get32(data, at + 4),
      get32(data, at + 8),
      get32(data, at + 12),
    );
  }

  /** The hop-by-hop options: what is unknown may ask for the packet to be dropped (RFC 8200 section 4.2). */
  private hopByHop(packet: Packet): boolean {
    const data = packet.data;
    const at = packet.network + IPV6_HEADER;
    if (at + 8 > packet.end) return false;
    const end = at + ((data[at + 1] + 1) << 3);
    return end <= packet.end && checkOptions(this.ip, packet, at + 2, end);
  }

  /** Tells a neighbour that there is a shorter way (RFC 4861 section 8.2). */
  private redirect(packet: Packet, hop: Uint8Array | null, neighbour: Neighbour | null): void {
    const ip = this.ip;
    const nif = packet.nif as Interface;
    const data = packet.data;
    const at = packet.network;
    const destination = at + IPV6_DESTINATION;
    // The target of a redirect to another router is its link-local address: an off-link gateway's other address is no target.
    if ((hop && !isLinkLocal6(hop, 0)) || !ip.isOnLink(nif, data, at + IPV6_SOURCE)) return;
    const own = this.ownLinkLocal(nif);
    const component = this.stack.component(Icmpv6);
    if (!own || !component || !this.router.redirectRate.take(this.stack.now())) return;
    const known = neighbour !== null && neighbour.state > 1;
    const linkOption = known ? 8 : 0;
    let quoted = packet.end - at;
    const room = 1280 - IPV6_HEADER - REDIRECT_MESSAGE - 16;
    if (quoted > room) quoted = room;
    quoted &= ~7;
    const tx = this.stack.prepare(REDIRECT_MESSAGE + linkOption + 8 + quoted);
    if (!tx) return;
    const out = tx.data;
    let to = tx.start;
    put16(out, to, icmp.REDIRECT6 << 8);
    put32(out, to + 4, 0);
    for (let i = 0; i < 16; i++) {
      out[to + 8 + i] = hop ? hop[i] : data[destination + i];
      out[to + 24 + i] = data[destination + i];
    }
    to += REDIRECT_MESSAGE;
    if (known) {
      put16(out, to, (icmp.ND_TARGET_LINK << 8) | 1);
      put16(out, to + 2, neighbour!.high);
      put32(out, to + 4, neighbour!.low);
      to += 8;
    }
    put16(out, to, (icmp.ND_REDIRECTED << 8) | ((quoted >> 3) + 1));
    put16(out, to + 2, 0);
    put32(out, to + 4, 0);
    this.stack.host.copy(out, to + 8, data, at, quoted);
    const path = this.path;
    ip.setReply(path, packet);
    path.ends.set(own, 32);
    path.fixed = true;
    path.bound = nif;
    path.ttl = 255;
    if (component.send(tx, path) >= 0) this.router.counters.redirects++;
  }

  private ownLinkLocal(nif: Interface): Uint8Array | null {
    const list = this.ip.addresses;
    for (let i = 0; i < list.length; i++) {
      const entry = list[i];
      if (entry.nif === nif && isLinkLocal6(entry.bytes, 0) && this.ip.findAddress(entry.bytes, 0, nif)) {
        return entry.bytes;
      }
    }
    return null;
  }

  /** Is the way back to the packet's source the interface that it came in on, or, where not `strict`, any? */
  private comesFrom(packet: Packet, strict: boolean): boolean {
    const nif = packet.nif as Interface;
    const entry = (
      this.policy
        ? this.policy.back(packet)
        : this.ip.fib.lookup(packet.data, packet.network + IPV6_SOURCE, null, null)
    ) as (Route6 & RouterRoute<Uint8Array | null>) | null;
    if (!entry || entry.kind) return false;
    if (!strict || entry.nif === nif) return true;
    const hops = entry.hops || [];
    for (let i = 0; i < hops.length; i++) if (hops[i].nif === nif) return true;
    return false;
  }

  /** The keyed hash of a packet's flow: addresses and flow label, which says more than ports (RFC 6438). */
  private flow(packet: Packet): number {
    const data = packet.data;
    const at = packet.network;
    const hash = hashOf(this.stack);
    hash.begin(1);
    for (let i = 0; i < 32; i += 4) hash.word(get32(data, at + IPV6_SOURCE + i));
    const label = get32(data, at) & 0xfffff;
    hash.word(label);
    if (label === 0) {
      const transport = locate(packet);
      const ports = packet.protocol === PROTOCOL_TCP || packet.protocol === 17 || packet.protocol === 132;
      if (ports && transport > 0 && transport + 4 <= packet.end) hash.word(get32(data, transport));
    }
    return hash.end();
  }

  private clamp(packet: Packet, transport: number, port: Port, outPort: Port): void {
    let mss = 65535;
    for (let i = 0; i < 2; i++) {
      const each = i ? outPort : port;
      const limit = each.mss < 0 ? each.nif.mtu - 60 : each.mss;
      if (limit > 0 && limit < mss) mss = limit;
    }
    if (clampMss(packet, transport, mss)) this.router.counters.clamped++;
  }

  private error(packet: Packet, type: number, code: number, word: number): void {
    if (this.ip.icmp) this.ip.icmp.sendError(packet, type, code, word);
  }
}

/**
 * Finds the transport header behind the extension headers of `packet`, under a bound, and sets `packet.protocol`.
 *
 * @returns its offset, or -1: there is none to be seen (a fragment, or a chain that does not hold together)
 */
export function locate(packet: Packet): number {
  const data = packet.data;
  let next = data[packet.network + IPV6_NEXT_HEADER];
  let at = packet.network + IPV6_HEADER;
  for (let i = 0; i < 8; i++) {
    if (!isExtension(next)) {
      packet.protocol = next;
      return at <= packet.end ? at : -1;
    }
    if (at + 8 > packet.end) return -1;
    if (next === FRAGMENT && get16(data, at + 2) & 0xfff9) return -1;
    const length = next === FRAGMENT ? 8 : (data[at + 1] + 1) << 3;
    next = data[at];
    at += length;
  }
  return -1;
}

/** Forwarding of IPv6. Needs `ipv6` and `nd`; without `icmpv6` nobody is told of errors. Counters: `forward6`. */
export function forwarding6(options: ForwardingOptions = {}): Forwarding6 {
  return new Forwarding6(options);
}
