/**
 * Redirects, the host's side (RFC 4861 section 8): a router tells of a better first hop for a destination.
 *
 * The table holds 32 destinations; a new one takes the place of the oldest. What does not answer is forgotten, as is all that a
 * router said which routes no more. Redirects may be forged by whoever is on the link and knows which router is in use: a host
 * that does not want them leaves this component out.
 */
import { get32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { REASSEMBLED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { ND_TARGET_LINK, REDIRECT6, ICMPV6_CODE } from "../wire/icmpv6.js";
import { IPV6_SOURCE, equal6, isLinkLocal6, isMulticast6 } from "../wire/ipv6.js";
import { Icmpv6 } from "./icmpv6.js";
import type { MessageHandler } from "./icmpv6.js";
import type { Ipv6 } from "./ipv6.js";
import { NeighbourDiscovery, findOption } from "./nd.js";

const LIMIT = 32;
/** Offsets in the message. */
const TARGET = 8;
const DESTINATION = 24;
const OPTIONS = 40;

export class RedirectCounters {
  accepted = 0;
  /** Hop limit, code, length, source, target or destination are not as they must be; or came in fragments. */
  invalid = 0;
  /** Options that run past the end, or have length 0. */
  badopt = 0;
  /** Not from the router that is in use for the destination. */
  stranger = 0;
}

class Redirected {
  constructor(
    readonly nif: Interface,
    readonly destination: Uint8Array,
    readonly target: Uint8Array,
    readonly router: Uint8Array,
  ) {}
}

export class Redirects implements Component, MessageHandler {
  readonly name = "redirect";
  readonly counters = new RedirectCounters();
  private readonly table: Redirected[] = [];
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private nd: NeighbourDiscovery = null as never;

  attach(stack: Stack): void {
    this.stack = stack;
    stack.counters.redirect = this.counters as never;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(6) as Ipv6);
    const nd = this.stack.component(NeighbourDiscovery);
    const icmp = this.stack.component(Icmpv6);
    if (!ip || !nd || !icmp) return fail("ENOPROTOOPT", "redirect needs ipv6, icmpv6 and nd");
    this.nd = nd;
    icmp.handlers.push(this);
    ip.redirect = (nif, data, at) => {
      const found = this.find(nif, data, at);
      return found < 0 ? null : this.table[found].target;
    };
    nd.onFailure.push((neighbour) => {
      this.forget(
        (entry) =>
          entry.nif === neighbour.nif &&
          get32(entry.target, 12) === neighbour.a3 &&
          get32(entry.target, 8) === neighbour.a2 &&
          get32(entry.target, 4) === neighbour.a1 &&
          get32(entry.target, 0) === neighbour.a0,
      );
    });
    nd.onNotRouter.push((nif, data, at) => {
      this.forget(
        (entry) =>
          entry.nif === nif && (equal6(entry.target, 0, data, at) || equal6(entry.router, 0, data, at)),
      );
    });
  }

  interfaceChanged(nif: Interface): void {
    if (!nif.up()) this.forget((entry) => entry.nif === nif);
  }

  interfaceRemoved(nif: Interface): void {
    this.forget((entry) => entry.nif === nif);
  }

  /** How many destinations are redirected. */
  count(): number {
    return this.table.length;
  }

  message(packet: Packet, type: number): boolean {
    if (type !== REDIRECT6) return false;
    const data = packet.data;
    const at = packet.start;
    const source = packet.network + IPV6_SOURCE;
    const target = at + TARGET;
    const destination = at + DESTINATION;
    const counters = this.counters;
    if (
      packet.flags & REASSEMBLED ||
      packet.ttl !== 255 ||
      data[at + ICMPV6_CODE] !== 0 ||
      packet.end - at < OPTIONS ||
      !isLinkLocal6(data, source) ||
      isMulticast6(data, destination) ||
      // Another router, by its link-local address, or the destination itself.
      !(isLinkLocal6(data, target) || equal6(data, target, data, destination))
    ) {
      counters.invalid++;
    } else {
      const link = findOption(data, at + OPTIONS, packet.end, ND_TARGET_LINK);
      if (link === -2) counters.badopt++;
      else this.take(packet.nif as Interface, packet, link);
    }
    return true;
  }

  private take(nif: Interface, packet: Packet, link: number): void {
    const data = packet.data;
    const target = packet.start + TARGET;
    const destination = packet.start + DESTINATION;
    const source = packet.network + IPV6_SOURCE;
    // Only the first hop that is in use for the destination may say so (section 8.1).
    const known = this.find(nif, data, destination);
    const route = this.ip.fib.lookup(data, destination, nif, this.ip.avoidRoute);
    const hop = known >= 0 ? this.table[known].target : route && route.gateway;
    if (
      !hop ||
      !equal6(hop, 0, data, source) ||
      this.ip.entryOf(data, target, nif) ||
      this.ip.entryOf(data, destination, null)
    ) {
      this.counters.stranger++;
      return;
    }
    this.counters.accepted++;
    if (known >= 0) this.table.splice(known, 1);
    if (this.table.length >= LIMIT) this.table.splice(0, 1);
    this.table.push(new Redirected(nif, copy(data, destination), copy(data, target), copy(data, source)));
    this.nd.learnRouter(nif, data, target, link);
    this.stack.changed();
  }

  private find(nif: Interface, data: Uint8Array, at: number): number {
    for (let i = 0; i < this.table.length; i++) {
      if (this.table[i].nif === nif && equal6(this.table[i].destination, 0, data, at)) return i;
    }
    return -1;
  }

  private forget(match: (entry: Redirected) => boolean): void {
    for (let i = this.table.length - 1; i >= 0; i--) {
      if (match(this.table[i])) this.table.splice(i, 1);
    }
    this.stack.changed();
  }
}

function copy(data: Uint8Array, at: number): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = data[at + i];
  return bytes;
}

/** The component for redirects. Needs `ipv6`, `icmpv6` and `nd`. Counters: `redirect`. */
export function redirect(): Redirects {
  return new Redirects();
}
