/** What a router's routes have beyond those of a host: routes that lead nowhere, and several next hops (ECMP). */
import type { Interface } from "../core/interface.js";

export const UNICAST = 0;
/** Dropped, nobody is told. */
export const BLACKHOLE = 1;
/** Host (address) unreachable. */
export const UNREACHABLE = 2;
/** Administratively prohibited. */
export const PROHIBIT = 3;

/** A next hop of several. */
export interface Hop<Address> {
  /** 0 or null: the destination itself is on the link. */
  readonly gateway: Address;
  readonly nif: Interface;
  /** Its share of the flows, 1..256. */
  readonly weight: number;
}

/** A route as a router sees it: a host's has neither. */
export interface RouterRoute<Address> {
  readonly gateway: Address;
  readonly nif: Interface;
  readonly kind?: number;
  readonly hops?: readonly Hop<Address>[];
}

/** The hop for a flow whose keyed hash is `hash`, of those whose interface is up; the route itself where it has no hops; null: none. */
export function hopOf<Address>(
  route: RouterRoute<Address>,
  hash: number,
): { readonly gateway: Address; readonly nif: Interface } | null {
  const hops = route.hops;
  if (!hops) return route;
  let total = 0;
  for (let i = 0; i < hops.length; i++) if (hops[i].nif.up()) total += hops[i].weight;
  if (total === 0) return null;
  let share = (hash >>> 0) % total;
  for (let i = 0; i < hops.length; i++) {
    if (!hops[i].nif.up()) continue;
    share -= hops[i].weight;
    if (share < 0) return hops[i];
  }
  return null;
}
