/** What a routing protocol has to do with the forwarding tables: puts routes in, takes them out, and sees those of others. */
import { get32 } from "../core/bytes.js";
import { requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Stack } from "../core/stack.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { Route4 } from "../route/table.js";
import type { Fib4 } from "../route/table.js";
import { nowhere } from "../router/policy.js";
import { UNREACHABLE } from "../router/special.js";
import { Route6 } from "../route/table6.js";
import type { Fib6 } from "../route/table6.js";
import { equal6 } from "../wire/ipv6.js";
import { MAPPED, copyOf, isRoutable, isV4, mapTo } from "./prefix.js";

/** A route of ours in a forwarding table. */
export type Installed = Route4 | Route6;

/** A table that is several: protocols speak of the main one (`routeTables` of stack/router). */
interface Tables<Fib> {
  table?(id: number): Fib;
}
const MAIN = 254;

export interface FibOptions {
  /** Metric of its routes in the forwarding table, where lower wins among equal prefixes: 0 is what the user adds. */
  distance?: number;
  /**
   * Routes that are told to others, by who made them (`Route4.origin`): `"address"` those of this host's networks, `"manual"` the
   * user's, `"dhcp"`, another protocol's name, ... Default `["address"]`.
   */
  redistribute?: readonly string[];
}

export class Fib {
  readonly ip4: Ipv4 | null;
  readonly ip6: Ipv6 | null;
  readonly distance: number;
  private readonly origins: readonly string[];
  private seen = 0;
  private nowhere: Interface | null = null;
  private readonly bytes = new Uint8Array(16);

  constructor(
    private readonly stack: Stack,
    private readonly origin: string,
    distance: number,
    options: FibOptions,
  ) {
    this.ip4 = stack.network(4) as Ipv4 | null;
    this.ip6 = stack.network(6) as Ipv6 | null;
    this.distance = requireInteger(
      options.distance === undefined ? distance : options.distance,
      0,
      0x7fffffff,
      "distance",
    );
    this.origins = options.redistribute ? options.redistribute.slice() : ["address"];
  }

  /**
   * The route to a prefix goes by `gateway` (a copy is kept; null: its destinations are on the link) out of `nif` now.
   *
   * @param old the route to the same prefix until now, or null: it goes when the new one is there
   * @returns the route, or null: the table is full
   */
  install(
    old: Installed | null,
    prefix: Uint8Array,
    length: number,
    gateway: Uint8Array | null,
    nif: Interface,
  ): Installed | null {
    const four = isV4(prefix);
    let route: Installed | null = null;
    if (old && old.nif === nif && sameGateway(old, gateway)) return old;
    if (four && this.ip4) {
      const hop = gateway ? get32(gateway, 12) : 0;
      const made = new Route4(get32(prefix, 12), length - MAPPED, hop, nif, this.distance, this.origin, 0);
      if (this.ip4.fib.add(made)) route = made;
    } else if (!four && this.ip6) {
      const hop = gateway && copyOf(gateway);
      const made = new Route6(copyOf(prefix), length, hop, nif, this.distance, this.origin);
      if (this.ip6.fib.add(made)) route = made;
    }
    if (old) this.remove(old);
    else this.changed();
    return route;
  }

  /** Nobody is reached under a prefix for now, not by a shorter one either; as `install`. */
  block(old: Installed | null, prefix: Uint8Array, length: number): Installed | null {
    const nif = (this.nowhere = this.nowhere || nowhere(this.stack));
    const route = this.install(old, prefix, length, null, nif);
    if (route) (route as { kind?: number }).kind = UNREACHABLE;
    return route;
  }

  remove(route: Installed): void {
    if (typeof route.prefix === "number") {
      if (this.ip4) this.ip4.fib.remove((each) => each === route, route.prefix, route.length);
    } else if (this.ip6) this.ip6.fib.remove((each) => each === route, route.prefix, route.length);
    this.changed();
  }

  /** Have routes, addresses or interfaces changed since `scan`, by another's hand? */
  moved(): boolean {
    return this.seen !== this.stack.generation;
  }

  /** Calls `visit` for each prefix that is to be told to others; what it is given is valid during the call alone. */
  scan(family: number, visit: (prefix: Uint8Array, length: number, nif: Interface) => void): void {
    const bytes = this.bytes;
    this.seen = this.stack.generation;
    if (this.ip4 && family !== 6) {
      const list = mainOf<Fib4>(this.ip4.fib).list();
      for (let i = 0; i < list.length; i++) {
        const route = list[i];
        mapTo(bytes, route.prefix);
        if (this.tells(route, bytes, route.length + MAPPED)) visit(bytes, route.length + MAPPED, route.nif);
      }
    }
    if (this.ip6 && family !== 4) {
      const list = mainOf<Fib6>(this.ip6.fib).list();
      for (let i = 0; i < list.length; i++) {
        const route = list[i];
        if (this.tells(route, route.prefix, route.length)) visit(route.prefix, route.length, route.nif);
      }
    }
  }

  private tells(route: Installed, prefix: Uint8Array, length: number): boolean {
    return (
      route.origin !== this.origin &&
      this.origins.indexOf(route.origin) >= 0 &&
      route.nif.up() &&
      isRoutable(prefix, length)
    );
  }

  /** Our own change is none that we have to look at. */
  private changed(): void {
    const known = !this.moved();
    this.stack.changed();
    if (known) this.seen = this.stack.generation;
  }
}

function mainOf<F>(fib: F): F {
  const tables = fib as Tables<F>;
  return tables.table ? tables.table(MAIN) : fib;
}

function sameGateway(route: Installed, gateway: Uint8Array | null): boolean {
  const own = route.gateway;
  if (typeof own === "number") return own === (gateway ? get32(gateway, 12) : 0);
  return own === null || gateway === null ? own === gateway : equal6(own, 0, gateway, 0);
}
