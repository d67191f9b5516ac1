/** A forwarding table for IPv6 with up to millions of routes: `ipv6({ fib: largeTable6() })`. */
import type { Interface } from "../core/interface.js";
import { equal6 } from "../wire/ipv6.js";
import { RouteList } from "./route-list.js";
import type { Fib6, Route6 } from "./table6.js";
import { CHILDREN, NODE_SHIFT, nibble } from "./trie.js";

export class LargeTable6 implements Fib6 {
  private readonly all: RouteList<Route6>;
  /** The nodes on the way down. */
  private readonly way = new Int32Array(33);

  constructor(limit: number) {
    this.all = new RouteList(16, limit, same);
  }

  /** How many routes it holds. */
  size(): number {
    return this.all.size;
  }

  add(route: Route6): boolean {
    return this.all.add(route.prefix, route.length, route);
  }

  remove(match: (route: Route6) => boolean, prefix?: Uint8Array | null, length?: number): number {
    return prefix ? this.all.removeAt(prefix, length as number, match) : this.all.remove(match);
  }

  lookup(
    data: Uint8Array,
    at: number,
    bound: Interface | null,
    avoid: ((route: Route6) => boolean) | null,
  ): Route6 | null {
    const all = this.all;
    const nodes = all.trie.nodes;
    const way = this.way;
    let depth = 0;
    let base = 0;
    let child: number;
    for (;;) {
      way[depth++] = base;
      child = nodes[base + CHILDREN + nibble(data, at, nodes[base] & 255)];
      if (child <= 0) break;
      base = child << NODE_SHIFT;
    }
    if (child < 0 && this.covers(~child, data, at)) {
      const route = all.choose(~child, bound, avoid);
      if (route) return route;
    }
    while (depth-- > 0) {
      base = way[depth];
      const bits = nibble(data, at, nodes[base] & 255);
      for (let place = 8 | (bits >> 1); place > 0; place >>= 1) {
        const id = nodes[base + place] - 1;
        if (id < 0 || !this.covers(id, data, at)) continue;
        const route = all.choose(id, bound, avoid);
        if (route) return route;
      }
    }
    return null;
  }

  list(): Route6[] {
    return this.all.list();
  }

  /** Bytes of the index, without the routes themselves. */
  bytes(): number {
    return this.all.trie.bytes();
  }

  private covers(id: number, data: Uint8Array, at: number): boolean {
    const keys = this.all.trie.keys;
    const length = (this.all.heads[id] as Route6).length;
    const from = id << 4;
    const whole = length >> 3;
    for (let i = 0; i < whole; i++) if (keys[from + i] !== data[at + i]) return false;
    const rest = length & 7;
    return rest === 0 || (keys[from + whole] ^ data[at + whole]) >> (8 - rest) === 0;
  }
}

function same(a: Route6, b: Route6): boolean {
  return (
    a.metric === b.metric &&
    a.nif === b.nif &&
    (a.gateway === null ? b.gateway === null : b.gateway !== null && equal6(a.gateway, 0, b.gateway, 0))
  );
}

/** The large table of IPv6. @param limit prefixes that it holds at most, default 2^21 */
export function largeTable6(limit = 1 << 21): LargeTable6 {
  return new LargeTable6(limit);
}
