/** A forwarding table for IPv4 with up to millions of routes: `ipv4({ fib: largeTable4() })`. */
import { put32 } from "../core/bytes.js";
import type { Interface } from "../core/interface.js";
import { RouteList } from "./route-list.js";
import type { Fib4, Route4 } from "./table.js";
import { CHILDREN, NODE_SHIFT } from "./trie.js";

export class LargeTable4 implements Fib4 {
  private readonly all: RouteList<Route4>;
  private readonly key = new Uint8Array(4);
  /** The nodes on the way down. */
  private readonly way = new Int32Array(9);

  constructor(limit: number) {
    this.all = new RouteList(4, limit, same);
  }

  /** How many routes it holds. */
  size(): number {
    return this.all.size;
  }

  add(route: Route4): boolean {
    put32(this.key, 0, route.prefix);
    return this.all.add(this.key, route.length, route);
  }

  remove(match: (route: Route4) => boolean, prefix?: number | null, length?: number): number {
    if (length === undefined) return this.all.remove(match);
    put32(this.key, 0, prefix || 0);
    return this.all.removeAt(this.key, length, match);
  }

  lookup(destination: number, bound: Interface | null): Route4 | null {
    const all = this.all;
    const nodes = all.trie.nodes;
    const way = this.way;
    let depth = 0;
    let base = 0;
    let child: number;
    for (;;) {
      way[depth++] = base;
      child = nodes[base + CHILDREN + ((destination << nodes[base]) >>> 28)];
      if (child <= 0) break;
      base = child << NODE_SHIFT;
    }
    if (child < 0 && this.covers(~child, destination)) {
      const route = all.first(~child, bound);
      if (route) return route;
    }
    // Then what ends within the nodes' own bits, from the longest on.
    while (depth-- > 0) {
      base = way[depth];
      const bits = (destination << nodes[base]) >>> 28;
      for (let place = 8 | (bits >> 1); place > 0; place >>= 1) {
        const id = nodes[base + place] - 1;
        if (id < 0 || !this.covers(id, destination)) continue;
        const route = all.first(id, bound);
        if (route) return route;
      }
    }
    return null;
  }

  list(): Route4[] {
    return this.all.list();
  }

  /** Bytes of the index, without the routes themselves. */
  bytes(): number {
    return this.all.trie.bytes();
  }

  /** By the route itself, which is read anyway: a large table is as slow as its cache misses. */
  private covers(id: number, destination: number): boolean {
    const route = this.all.heads[id] as Route4;
    return route.length === 0 || (route.prefix ^ destination) >>> (32 - route.length) === 0;
  }
}

function same(a: Route4, b: Route4): boolean {
  return a.metric === b.metric && a.gateway === b.gateway && a.nif === b.nif && a.source === b.source;
}

/** The large table of IPv4. @param limit prefixes that it holds at most, default 2^21 */
export function largeTable4(limit = 1 << 21): LargeTable4 {
  return new LargeTable4(limit);
}
