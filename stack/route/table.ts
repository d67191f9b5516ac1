/** A small forwarding table: longest prefix match by a walk over routes that are kept in order. For hosts and firmware. */
import type { Interface } from "../core/interface.js";

/** A route of IPv4. */
export class Route4 {
  constructor(
    /** Network address, its host bits zero. */
    readonly prefix: number,
    /** Prefix length, 0..32. */
    readonly length: number,
    /** The next hop, or 0: the destination itself is on the link. */
    readonly gateway: number,
    readonly nif: Interface,
    /** Lower wins among equal prefixes. */
    readonly metric: number,
    /** Who made it: the kernel's word is "protocol". */
    readonly origin: string,
    /** The source address that goes with it, or 0. */
    readonly source: number,
  ) {}
}

/** A forwarding table for IPv4. */
export interface Fib4 {
  /** Routes at most, which are counted in `StackOptions.budget`; absent: it is bounded by itself alone. */
  readonly limit?: number;
  /** Adds a route, replacing one that is equal but for its origin; of equals the older wins. False: the table is full. */
  add(route: Route4): boolean;
  /**
   * Removes the routes for which `match` says so; returns how many.
   *
   * @param prefix with `length`: all of them are of this prefix; a large table then need not look at the others
   */
  remove(match: (route: Route4) => boolean, prefix?: number | null, length?: number): number;
  /** The best route to `destination` whose interface is up (and is `bound`, where that is not null), or null. */
  lookup(destination: number, bound: Interface | null): Route4 | null;
  /** All routes, best first among those of one prefix. */
  list(): Route4[];
}

/** Bytes of a route in a small table: see `Stack.reserve`. */
export const ROUTE4_BYTES = 176;

class SmallTable4 implements Fib4 {
  private readonly routes: Route4[] = [];
  constructor(readonly limit: number) {}

  add(route: Route4): boolean {
    this.remove(
      (old) =>
        old.prefix === route.prefix &&
        old.length === route.length &&
        old.metric === route.metric &&
        old.gateway === route.gateway &&
        old.nif === route.nif &&
        old.source === route.source,
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

  remove(match: (route: Route4) => boolean): number {
    let removed = 0;
    for (let i = this.routes.length - 1; i >= 0; i--) {
      if (match(this.routes[i])) {
        this.routes.splice(i, 1);
        removed++;
      }
    }
    return removed;
  }

  lookup(destination: number, bound: Interface | null): Route4 | null {
    for (let i = 0; i < this.routes.length; i++) {
      const route = this.routes[i];
      const shift = 32 - route.length;
      if (
        (shift === 32 || (destination ^ route.prefix) >>> shift === 0) &&
        (!bound || route.nif === bound) &&
        route.nif.up()
      ) {
        return route;
      }
    }
    return null;
  }

  list(): Route4[] {
    return this.routes.slice();
  }
}

/** The small table. @param limit routes that it holds at most, default 64 */
export function smallTable4(limit = 64): Fib4 {
  return new SmallTable4(limit);
}
