/**
 * Routing tables of IPv6 for a router, as route-tables.ts are of IPv4: several of them, policy rules, VRFs, routes with several next
 * hops (ECMP), routes that lead nowhere, and events.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { smallTable6 } from "../route/table6.js";
import type { Fib6, Route6 } from "../route/table6.js";
import {
  IPV6_DESTINATION,
  IPV6_SOURCE,
  commonPrefix,
  isLinkLocal6,
  isMulticast6,
  isUnspecified6,
} from "../wire/ipv6.js";
import type { PolicyFib6 } from "./forwarding6.js";
import { Policy, kindOf, nowhere } from "./policy.js";
import type { RouteListener, Rule, RuleOptions } from "./policy.js";
import type { HopOptions, TableRouteOptions } from "./route-tables.js";
import type { Hop } from "./special.js";

export interface RouteTables6Options {
  /** Makes a table. Default `smallTable6`. */
  table?: () => Fib6;
}

class TableRoute6 implements Route6 {
  constructor(
    readonly prefix: Uint8Array,
    readonly length: number,
    public gateway: Uint8Array | null,
    public nif: Interface,
    readonly metric: number,
    readonly origin: string,
    readonly kind: number,
    readonly hops: readonly Hop<Uint8Array | null>[] | undefined,
  ) {}
}

export class RouteTables6 implements Component, PolicyFib6 {
  readonly name = "routes6";
  private readonly policy: Policy<Route6, Fib6>;
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private none: Interface = null as never;

  constructor(options: RouteTables6Options) {
    this.policy = new Policy(options.table || (() => smallTable6()));
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "routeTables6");
    this.stack = stack;
    this.none = nowhere(stack);
  }

  start(): void {
    this.ip = this.stack.network(6) as Ipv6;
    if (!this.ip || this.ip.fib !== this) fail("ENOPROTOOPT", "routeTables6 is no fib of ipv6");
  }

  /**
   * Adds a route. Errors: `EINVAL` text, type or weight, `ENETUNREACH` gateway in nobody's network, `ENOBUFS` table full.
   */
  addRoute(prefix: string, options: TableRouteOptions): Route6 {
    const parts = splitPrefix(prefix, 128);
    const network = parts && parse6(parts.address);
    if (!parts || !network || parts.length > 128) return fail("EINVAL", "prefix " + prefix);
    for (let i = parts.length; i < 128; i++) {
      if (network[i >> 3] & (0x80 >> (i & 7))) fail("EINVAL", "host bits " + prefix);
    }
    const kind = kindOf(options.type);
    const hops: Hop<Uint8Array | null>[] = [];
    const list = (kind === 0 && options.hops) || [];
    for (let i = 0; i < list.length; i++) hops.push(this.hop(list[i]));
    if (kind === 0 && hops.length === 0) return fail("EINVAL", "hops");
    const route = new TableRoute6(
      network,
      parts.length,
      kind === 0 ? hops[0].gateway : null,
      kind === 0 ? hops[0].nif : this.none,
      requireInteger(options.metric || 0, 0, 0x7fffffff, "metric"),
      options.origin || "manual",
      kind,
      hops.length > 1 ? hops : undefined,
    );
    if (!this.policy.add(route, options.table)) fail("ENOBUFS", "routes");
    this.stack.changed();
    return route;
  }

  /** Removes a route that `addRoute` returned; false: it is not there any more. */
  removeRoute(route: Route6): boolean {
    const removed = this.policy.remove((each) => each === route, route.prefix, route.length);
    this.stack.changed();
    return removed > 0;
  }

  /** Adds a rule. `EINVAL`: prefix, priority, table or suppress. */
  addRule(options: RuleOptions): Rule<Fib6> {
    let from: ((packet: Packet, back: boolean) => boolean) | null = null;
    if (options.from !== undefined) {
      const parts = splitPrefix(options.from, 128);
      const network = parts && parse6(parts.address);
      if (!parts || !network || parts.length > 128) return fail("EINVAL", "from " + options.from);
      const length = parts.length;
      from = (packet, back) => {
        const at = packet.network + (back ? IPV6_DESTINATION : IPV6_SOURCE);
        return commonPrefix(packet.data, at, network, 0) >= length;
      };
    }
    const rule = this.policy.addRule(options, from);
    this.stack.changed();
    return rule;
  }

  removeRule(rule: Rule<Fib6>): boolean {
    this.stack.changed();
    return this.policy.removeRule(rule);
  }

  /** Puts an interface into the VRF of a table, its addresses' routes with it; null: back among the others. */
  setVrf(nif: Interface, table: number | null): void {
    this.policy.setVrf(nif, table);
    this.stack.changed();
  }

  /** The routes of one table. */
  table(id: number): Fib6 {
    return this.policy.table(id);
  }

  /** Calls `listener` for each route that comes or goes. */
  onChange(listener: RouteListener<Route6>): void {
    this.policy.listeners.push(listener);
  }

  interfaceChanged(): void {
    this.policy.interfaceChanged();
  }

  interfaceRemoved(nif: Interface): void {
    this.policy.interfaceRemoved(nif);
  }

  /* Fib6 */

  add(route: Route6): boolean {
    return this.policy.add(route);
  }

  remove(match: (route: Route6) => boolean, prefix?: Uint8Array | null, length?: number): number {
    return this.policy.remove(match, prefix, length);
  }

  /** What this host sends itself: by the VRF of the interface that it is bound to, or the main table. */
  lookup(
    data: Uint8Array,
    at: number,
    bound: Interface | null,
    avoid: ((route: Route6) => boolean) | null,
  ): Route6 | null {
    return (this.policy.vrf(bound) || this.policy.main).lookup(data, at, bound, avoid);
  }

  list(): Route6[] {
    return this.policy.list();
  }

  /* PolicyFib6 */

  select(packet: Packet): Route6 | null {
    return this.find(packet, packet.network + IPV6_DESTINATION, false);
  }

  back(packet: Packet): Route6 | null {
    return this.find(packet, packet.network + IPV6_SOURCE, true);
  }

  private find(packet: Packet, at: number, back: boolean): Route6 | null {
    const vrf = this.policy.vrf(packet.nif);
    const avoid = back ? null : this.ip.avoidRoute;
    if (vrf) return vrf.lookup(packet.data, at, null, avoid);
    const rules = this.policy.rules;
    for (let i = 0; i < rules.length; i++) {
      if (!rules[i].matches(packet, back)) continue;
      const route = rules[i].fib.lookup(packet.data, at, null, avoid);
      if (route && route.length > rules[i].suppress) return route;
    }
    return this.policy.main.lookup(packet.data, at, null, avoid);
  }

  private hop(options: HopOptions): Hop<Uint8Array | null> {
    const zoned = options.gateway === undefined ? null : this.ip.parseZoned(options.gateway);
    const gateway = zoned && zoned.bytes;
    if (
      options.gateway !== undefined &&
      (!gateway || isMulticast6(gateway, 0) || isUnspecified6(gateway, 0))
    ) {
      return fail("EINVAL", "gateway");
    }
    let nif = options.interface || (zoned && zoned.zone);
    const list = this.ip.addresses;
    for (let i = 0; !nif && gateway && i < list.length; i++) {
      const entry = list[i];
      if (!isLinkLocal6(entry.bytes, 0) && commonPrefix(entry.bytes, 0, gateway, 0) >= entry.length)
        nif = entry.nif;
    }
    if (!nif) return fail("ENETUNREACH", "gateway " + options.gateway);
    return { gateway, nif, weight: requireInteger(options.weight || 1, 1, 256, "weight") };
  }
}

/** The tables of IPv6: `ipv6({ fib })` and the list of components both want them. */
export function routeTables6(options: RouteTables6Options = {}): RouteTables6 {
  return new RouteTables6(options);
}
