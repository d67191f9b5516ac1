/** A small forwarding table for IPv6: longest prefix match by a walk over routes that are kept in order. */
import type { Interface } from "../core/interface.js";
import { commonPrefix, equal6 } from "../wire/ipv6.js";

/** A route of IPv6. */
export class Route6 {
  constructor(
    /** Network address, 16 bytes, its host bits zero. */
    readonly prefix: Uint8Array,
    /** Prefix length, 0..128. */
    readonly length: number,
    /** The next hop, or null: the destination itself is on the link. */
    readonly gateway: Uint8Array | null,
    readonly nif: Interface,
    /** Lower wins among equal prefixes. */
    readonly metric: number,
    /** Who made it. */
    readonly origin: string,
  ) {}
}

/** A forwarding table for IPv6. */
export interface Fib6 {
  /** Routes at most, which are counted in `StackOptions.budget`; absent: it is bounded by itself alone. */
  readonly limit?: number;
  /** Adds a route, replacing one of equal prefix, gateway, interface and metric. False: the table is full. */
  add(route: Route6): boolean;
  /**
   * Removes the routes for which `match` says so; returns how many.
   *
   * @param prefix with `length`: all of them are of this prefix; a large table then need not look at the others
   */
  remove(match: (route: Route6) => boolean, prefix?: Uint8Array | null, length?: number): number;
  /**
   * The best route to `data[at..at+16)` whose interface is up (and is `bound`, where that is not null), or null.
   *
   * @param avoid says that a route would not do now (its gateway does not answer); it is taken only if there is no other
   */
  lookup(
    data: Uint8Array,
    at: number,
    bound: Interface | null,
    avoid: ((route: Route6) => boolean) | null,
  ): Route6 | null;
  list(): Route6[];
}

/** Bytes of a route in a small table: see `Stack.reserve`. */
export const ROUTE6_BYTES = 416;

class SmallTable6 implements Fib6 {
  private readonly routes: Route6[] = [];
  constructor(readonly limit: number) {}

  add(route: Route6): boolean {
    this.remove(
      (old) =>
        old.length === route.length &&
        old.metric === route.metric &&
        old.nif === route.nif &&
        equal6(old.prefix, 0, route.prefix, 0) &&
        (old.gateway === null
          ? route.gateway === null
          : route.gateway !== null && equal6(old.gateway, 0, route.gateway, 0)),
    );
    if (this.routes.length >= this.limit) return false;
    let i = 0;
    while (
      i < this.routes.length &&
      (this.routes[i].length > route.length ||
        (this.routes[i].length === route.length && this.routes[i].metric <= route.metric))
    ) {
      i++;
    }
    this.routes.splice(i, 0, route);
    return true;
  }

  remove(match: (route: Route6) => boolean): number {
    let removed = 0;
    for (let i = this.routes.length - 1; i >= 0; i--) {
      if (match(this.routes[i])) {
        this.routes.splice(i, 1);
        removed++;
      }
    }
    return removed;
  }

  lookup(
    data: Uint8Array,
    at: number,
    bound: Interface | null,
    avoid: ((route: Route6) => boolean) | null,
  ): Route6 | null {
    let second: Route6 | null = null;
    for (let i = 0; i < this.routes.length; i++) {
      const route = this.routes[i];
      if ((bound && route.nif !== bound) || !route.nif.up()) continue;
      // Among routes of one prefix, one whose gateway answers is better than one whose does not.
      if (second && route.length !== second.length) break;
      if (commonPrefix(data, at, route.prefix, 0) < route.length) continue;
      if (!avoid || !avoid(route)) return route;
      if (!second) second = route;
    }
    return second;
  }

  list(): Route6[] {
    return this.routes.slice();
  }
}

/** The small table. @param limit routes that it holds at most, default 64 */
export function smallTable6(limit = 64): Fib6 {
  return new SmallTable6(limit);
}
