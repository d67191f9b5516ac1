/**
 * Routing tables of IPv4 for a router: several of them, policy rules, VRFs, routes with several next hops (ECMP), routes that lead
 * nowhere, and events.
 *
 * ```ts
 * const routes = routeTables(), ip = ipv4({ fib: routes });
 * const stack = createStack(host, [ethernet(), arp(), ip, icmp(), routes, forwarding()]);
 * routes.addRoute("10.9.0.0/16", { hops: [{ gateway: "10.0.0.3" }, { gateway: "10.0.0.4", weight: 2 }] });
 * routes.addRule({ from: "10.1.0.0/16", table: 7 });
 * ```
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { parse4, splitPrefix } from "../core/text4.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import { smallTable4 } from "../route/table.js";
import type { Fib4, Route4 } from "../route/table.js";
import { isMartian4, mask4 } from "../wire/ipv4.js";
import type { PolicyFib4 } from "./forwarding.js";
import { Policy, kindOf, nowhere } from "./policy.js";
import type { RouteListener, RouteType, Rule, RuleOptions } from "./policy.js";
import type { Hop } from "./special.js";

export interface HopOptions {
  /** Next hop. Without one the destination is on `interface`'s link. */
  gateway?: string;
  /** Default: the one in whose network the gateway is. */
  interface?: Interface;
  /** Share of the flows, 1..256. Default 1. */
  weight?: number;
}

export interface TableRouteOptions {
  /** Default `"unicast"`; the others lead nowhere. */
  type?: RouteType;
  /** One next hop, or several over which flows are spread. */
  hops?: HopOptions[];
  metric?: number;
  origin?: string;
  /** Default: the main table. */
  table?: number;
}

export interface RouteTablesOptions {
  /** Makes a table. Default `smallTable4`. */
  table?: () => Fib4;
}

class TableRoute4 implements Route4 {
  constructor(
    readonly prefix: number,
    readonly length: number,
    public gateway: number,
    public nif: Interface,
    readonly metric: number,
    readonly origin: string,
    readonly source: number,
    readonly kind: number,
    readonly hops: readonly Hop<number>[] | undefined,
  ) {}
}

export class RouteTables implements Component, PolicyFib4 {
  readonly name = "routes";
  private readonly policy: Policy<Route4, Fib4>;
  private stack: Stack = null as never;
  private ip: Ipv4 = null as never;
  private none: Interface = null as never;

  constructor(options: RouteTablesOptions) {
    this.policy = new Policy(options.table || (() => smallTable4()));
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "routeTables");
    this.stack = stack;
    this.none = nowhere(stack);
  }

  start(): void {
    this.ip = this.stack.network(4) as Ipv4;
    if (!this.ip || this.ip.fib !== this) fail("ENOPROTOOPT", "routeTables is no fib of ipv4");
  }

  /**
   * Adds a route. Errors: `EINVAL` text, type or weight, `ENETUNREACH` gateway in nobody's network, `ENOBUFS` table full.
   */
  addRoute(prefix: string, options: TableRouteOptions): Route4 {
    const parts = splitPrefix(prefix, 32);
    const network = parts && parse4(parts.address);
    if (!parts || network === null || parts.length > 32) return fail("EINVAL", "prefix " + prefix);
    if (network & ~mask4(parts.length)) fail("EINVAL", "host bits " + prefix);
    const kind = kindOf(options.type);
    const hops: Hop<number>[] = [];
    const list = (kind === 0 && options.hops) || [];
    for (let i = 0; i < list.length; i++) hops.push(this.hop(list[i]));
    if (kind === 0 && hops.length === 0) return fail("EINVAL", "hops");
    const route = new TableRoute4(
      network,
      parts.length,
      kind === 0 ? hops[0].gateway : 0,
      kind === 0 ? hops[0].nif : this.none,
      requireInteger(options.metric || 0, 0, 0x7fffffff, "metric"),
      options.origin || "manual",
      0,
      kind,
      hops.length > 1 ? hops : undefined,
    );
    if (!this.policy.add(route, options.table)) fail("ENOBUFS", "routes");
    this.stack.changed();
    return route;
  }

  /** Removes a route that `addRoute` returned; false: it is not there any more. */
  removeRoute(route: Route4): boolean {
    const removed = this.policy.remove((each) => each === route, route.prefix, route.length);
    this.stack.changed();
    return removed > 0;
  }

  /** Adds a rule. `EINVAL`: prefix, priority, table or suppress. */
  addRule(options: RuleOptions): Rule<Fib4> {
    let from: ((packet: Packet, back: boolean) => boolean) | null = null;
    if (options.from !== undefined) {
      const parts = splitPrefix(options.from, 32);
      const network = parts && parse4(parts.address);
      if (!parts || network === null || parts.length > 32) return fail("EINVAL", "from " + options.from);
      const mask = mask4(parts.length);
      from = (packet, back) => (((back ? packet.destination : packet.source) ^ network) & mask) === 0;
    }
    const rule = this.policy.addRule(options, from);
    this.stack.changed();
    return rule;
  }

  removeRule(rule: Rule<Fib4>): boolean {
    this.stack.changed();
    return this.policy.removeRule(rule);
  }

  /** Puts an interface into the VRF of a table, its addresses' routes with it; null: back among the others. */
  setVrf(nif: Interface, table: number | null): void {
    this.policy.setVrf(nif, table);
    this.stack.changed();
  }

  /** The routes of one table. */
  table(id: number): Fib4 {
    return this.policy.table(id);
  }

  /** Calls `listener` for each route that comes or goes. */
  onChange(listener: RouteListener<Route4>): void {
    this.policy.listeners.push(listener);
  }

  interfaceChanged(): void {
    this.policy.interfaceChanged();
  }

  interfaceRemoved(nif: Interface): void {
    this.policy.interfaceRemoved(nif);
  }

  /* Fib4 */

  add(route: Route4): boolean {
    return this.policy.add(route);
  }

  remove(match: (route: Route4) => boolean, prefix?: number | null, length?: number): number {
    return this.policy.remove(match, prefix, length);
  }

  /** What this host sends itself: by the VRF of the interface that it is bound to, or the main table. */
  lookup(destination: number, bound: Interface | null): Route4 | null {
    return (this.policy.vrf(bound) || this.policy.main).lookup(destination, bound);
  }

  list(): Route4[] {
    return this.policy.list();
  }

  /* PolicyFib4 */

  select(packet: Packet): Route4 | null {
    return this.find(packet, packet.destination, false);
  }

  back(packet: Packet): Route4 | null {
    return this.find(packet, packet.source, true);
  }

  private find(packet: Packet, destination: number, back: boolean): Route4 | null {
    const vrf = this.policy.vrf(packet.nif);
    if (vrf) return vrf.lookup(destination, null);
    const rules = this.policy.rules;
    for (let i = 0; i < rules.length; i++) {
      if (!rules[i].matches(packet, back)) continue;
      const route = rules[i].fib.lookup(destination, null);
      if (route && route.length > rules[i].suppress) return route;
    }
    return this.policy.main.lookup(destination, null);
  }

  private hop(options: HopOptions): Hop<number> {
    const gateway = options.gateway === undefined ? 0 : parse4(options.gateway);
    if (gateway === null || (gateway !== 0 && isMartian4(gateway))) return fail("EINVAL", "gateway");
    let nif = options.interface || null;
    const list = this.ip.addresses;
    for (let i = 0; !nif && gateway && i < list.length; i++) {
      if (this.ip.isOnLink(list[i].nif, gateway)) nif = list[i].nif;
    }
    if (!nif) return fail("ENETUNREACH", "gateway " + options.gateway);
    return { gateway, nif, weight: requireInteger(options.weight || 1, 1, 256, "weight") };
  }
}

/** The tables of IPv4: `ipv4({ fib })` and the list of components both want them. */
export function routeTables(options: RouteTablesOptions = {}): RouteTables {
  return new RouteTables(options);
}
