/** The large tables against the plainest model: a list, and a walk over all of it. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { get32, put32 } from "../../stack/core/bytes.js";
import type { Interface } from "../../stack/core/interface.js";
import { largeTable4 } from "../../stack/route/large-table4.js";
import { largeTable6 } from "../../stack/route/large-table6.js";
import { Route4, smallTable4 } from "../../stack/route/table.js";
import type { Fib4 } from "../../stack/route/table.js";
import { Route6, smallTable6 } from "../../stack/route/table6.js";
import type { Fib6 } from "../../stack/route/table6.js";
import type { Trie } from "../../stack/route/trie.js";
import { mask4 } from "../../stack/wire/ipv4.js";

const interfaces = [0, 1, 2].map((index) => ({ index, state: true, up: () => interfaces[index]!.state }));
const nif = (index: number) => interfaces[index]! as unknown as Interface;

/** What is done to both tables. Prefixes lie close together, so that they nest and part at all lengths. */
interface Step {
  kind: "add" | "remove" | "purge" | "toggle";
  /** Up to four bytes that differ; the rest is the same for all. */
  bits: number;
  length: number;
  metric: number;
  gateway: number;
  index: number;
}

const step = (bits: number): fc.Arbitrary<Step> =>
  fc.record({
    kind: fc.oneof(
      { weight: 12, arbitrary: fc.constant("add" as const) },
      { weight: 6, arbitrary: fc.constant("remove" as const) },
      { weight: 1, arbitrary: fc.constantFrom("purge" as const, "toggle" as const) },
    ),
    bits: fc.oneof(
      fc.integer({ min: -0x80000000, max: 0x7fffffff }),
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 15 }).map((n) => n << 28),
    ),
    length: fc.oneof(fc.integer({ min: 0, max: bits }), fc.constantFrom(0, 4, 8, bits - 4, bits)),
    metric: fc.integer({ min: 0, max: 2 }),
    gateway: fc.integer({ min: 0, max: 2 }),
    index: fc.integer({ min: 0, max: 2 }),
  });

/** Bytes around which the look-ups go. */
const probes = (steps: Step[]): number[] =>
  steps.flatMap(({ bits }) => [bits, bits ^ 1, bits ^ 0x10, bits ^ 0x8000, bits ^ (1 << 29), ~bits]);

test.afterEach(() => interfaces.forEach((each) => (each.state = true)));

test.serial("IPv4: the large table answers as the small one does, whatever is done to it", (t) => {
  fc.assert(
    fc.property(fc.array(step(32), { maxLength: 60 }), (steps) => {
      const large = largeTable4();
      const model: Fib4 = smallTable4(10000);
      for (const { kind, bits, length, metric, gateway, index } of steps) {
        const prefix = bits & mask4(length);
        if (kind === "toggle") interfaces[index]!.state = !interfaces[index]!.state;
        else if (kind === "purge") {
          const match = (route: Route4) => route.nif === nif(index);
          t.is(large.remove(match), model.remove(match));
        } else if (kind === "remove") {
          const match = (route: Route4) =>
            route.prefix === prefix && route.length === length && route.metric === metric;
          t.is(large.remove(match, prefix, length), model.remove(match));
        } else {
          const route = new Route4(prefix, length, gateway, nif(index), metric, "test", 0);
          t.true(large.add(route));
          model.add(route);
        }
      }
      t.is(large.size(), model.list().length);
      same(t, large.list(), model.list());
      for (const destination of probes(steps)) {
        for (const bound of [null, nif(0), nif(2)]) {
          t.is(large.lookup(destination, bound), model.lookup(destination, bound));
        }
      }
      interfaces.forEach((each) => (each.state = true));
      large.remove(() => true);
      empty(t, large);
    }),
    { numRuns: 1500 },
  );
});

test.serial("IPv6: the large table answers as the small one does, whatever is done to it", (t) => {
  const PLACES = [0, 2, 7, 12] as const;
  fc.assert(
    fc.property(fc.array(step(128), { maxLength: 60 }), fc.constantFrom(...PLACES), (steps, place) => {
      const large = largeTable6();
      const model: Fib6 = smallTable6(10000);
      const address = (bits: number) => {
        const bytes = Uint8Array.of(32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
        put32(bytes, place, bits);
        return bytes;
      };
      const hop = (gateway: number) => (gateway === 0 ? null : address(gateway));
      for (const { kind, bits, length, metric, gateway, index } of steps) {
        const prefix = address(bits).map((byte, i) => {
          const left = length - i * 8;
          return left >= 8 ? byte : left <= 0 ? 0 : byte & (0xff << (8 - left));
        });
        const text = prefix.join();
        if (kind === "toggle") interfaces[index]!.state = !interfaces[index]!.state;
        else if (kind === "purge") {
          const match = (route: Route6) => route.nif === nif(index);
          t.is(large.remove(match), model.remove(match));
        } else if (kind === "remove") {
          const match = (route: Route6) =>
            route.prefix.join() === text && route.length === length && route.metric === metric;
          t.is(large.remove(match, prefix, length), model.remove(match));
        } else {
          const route = new Route6(prefix, length, hop(gateway), nif(index), metric, "test");
          t.true(large.add(route));
          model.add(route);
        }
      }
      t.is(large.size(), model.list().length);
      same(t, large.list(), model.list());
      const avoid = (route: Route6) => route.gateway !== null && get32(route.gateway, place) === 1;
      for (const bits of probes(steps)) {
        for (const bound of [null, nif(1)]) {
          const data = address(bits);
          t.is(large.lookup(data, 0, bound, null), model.lookup(data, 0, bound, null));
          t.is(large.lookup(data, 0, bound, avoid), model.lookup(data, 0, bound, avoid));
        }
      }
      interfaces.forEach((each) => (each.state = true));
      large.remove(() => true);
      empty(t, large);
    }),
    { numRuns: 1000 },
  );
});

function same<T>(t: ExecutionContext, a: readonly T[], b: readonly T[]): void {
  const set = new Set(a);
  t.is(set.size, a.length);
  t.is(a.length, b.length);
  t.true(b.every((route) => set.has(route)));
}

/** Nothing has been forgotten in the index. */
function empty(t: ExecutionContext, table: { size(): number }): void {
  const { trie } = (table as unknown as { all: { trie: Trie } }).all;
  t.is(table.size(), 0);
  t.is(trie.count, 0);
  t.true(trie.nodes.every((word) => word >> 8 === 0));
  t.is(trie["freeNodes"].length, trie["used"] - 1);
}

test.serial("a full table refuses what is new, and goes on serving", (t) => {
  const table = largeTable4(3);
  const route = (prefix: number, metric = 0) => new Route4(prefix, 8, 0, nif(0), metric, "test", 0);
  for (const prefix of [1, 2, 3]) t.true(table.add(route(prefix << 24)));
  t.false(table.add(route(4 << 24)));
  t.false(table.add(route(3 << 24, 1)), "another of a prefix that is there");
  t.true(table.add(route(3 << 24)), "the same again");
  t.is(table.lookup(0x04000001, null), null);
  t.not(table.lookup(0x03000001, null), null);
  t.is(
    table.remove(() => true, 1 << 24, 8),
    1,
  );
  t.true(table.add(route(4 << 24)));
  t.throws(() => largeTable4(0), { code: "EINVAL" });
});
