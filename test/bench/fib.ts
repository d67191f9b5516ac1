/**
 * What a routing table costs, from 10 to a million routes: nanoseconds to insert, look up and delete, and bytes of the index a route.
 * `node --import tsx test/bench/fib.ts` prints a table; `fibRows()` is the same for a program. Time is this process's own
 * (`process.cpuUsage`), so that others on the machine spoil the caches alone.
 */
import { pathToFileURL } from "node:url";
import type { Interface } from "../../stack/core/interface.js";
import { largeTable4 } from "../../stack/route/large-table4.js";
import { largeTable6 } from "../../stack/route/large-table6.js";
import { Route4 } from "../../stack/route/table.js";
import { Route6 } from "../../stack/route/table6.js";
import { mask4 } from "../../stack/wire/ipv4.js";

export interface FibRow {
  readonly family: 4 | 6;
  readonly routes: number;
  /** Nanoseconds each. */
  readonly insert: number;
  readonly lookup: number;
  readonly remove: number;
  /** Bytes of the index, without the route objects. */
  readonly bytes: number;
}

const LOOKUPS = 1 << 18;
const ROUNDS = 5;

/** A linear congruential generator: every run has the same routes. */
function generator(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state ^ (state >>> 15)) >>> 0;
  };
}

/** Nanoseconds of this process for each of `count` calls of `action`. */
function each(count: number, action: (i: number) => void): number {
  const start = process.cpuUsage();
  for (let i = 0; i < count; i++) action(i);
  const { user, system } = process.cpuUsage(start);
  return ((user + system) * 1000) / count;
}

const nif = { enabled: true, running: true, up: () => true } as unknown as Interface;

function four(routes: number): FibRow {
  const random = generator();
  // Lengths as in the Internet's table: most are /24, the rest /16 to /23, and some longer ones.
  const list = Array.from({ length: routes }, () => {
    const kind = random() % 100;
    const length = kind < 60 ? 24 : kind < 95 ? 16 + (random() % 8) : 25 + (random() % 8);
    return new Route4(random() & mask4(length), length, 1, nif, 0, "bench", 0);
  });
  const keys = Int32Array.from({ length: LOOKUPS }, () => list[random() % routes]!.prefix | (random() & 255));
  const table = largeTable4();
  const insert = each(routes, (i) => table.add(list[i]!));
  const bytes = table.bytes() / table.size();
  let lookup = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    lookup = Math.min(
      lookup,
      each(LOOKUPS, (i) => table.lookup(keys[i]!, null)),
    );
  }
  const all = () => true;
  const remove = each(routes, (i) => table.remove(all, list[i]!.prefix, list[i]!.length));
  return { family: 4, routes, insert, lookup, remove, bytes };
}

function six(routes: number): FibRow {
  const random = generator();
  const list = Array.from({ length: routes }, () => {
    const length = [32, 40, 44, 48][random() % 4]!;
    const prefix = new Uint8Array(16);
    prefix[0] = 0x20 | (random() & 15);
    for (let i = 1; i < length / 8; i++) prefix[i] = random();
    if (length === 44) prefix[5]! &= 0xf0;
    return new Route6(prefix, length, null, nif, 0, "bench");
  });
  const keys = new Uint8Array(LOOKUPS * 16);
  for (let i = 0; i < LOOKUPS; i++) {
    keys.set(list[random() % routes]!.prefix, i * 16);
    keys[i * 16 + 15] = random();
  }
  const table = largeTable6();
  const insert = each(routes, (i) => table.add(list[i]!));
  const bytes = table.bytes() / table.size();
  let lookup = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    lookup = Math.min(
      lookup,
      each(LOOKUPS, (i) => table.lookup(keys, i * 16, null, null)),
    );
  }
  const all = () => true;
  const remove = each(routes, (i) => table.remove(all, list[i]!.prefix, list[i]!.length));
  return { family: 6, routes, insert, lookup, remove, bytes };
}

/** The rows for both families. */
export function fibRows(sizes: readonly number[] = [10, 1000, 100_000, 1_000_000]): FibRow[] {
  // Once for the compiler.
  four(1000);
  six(1000);
  return [...sizes.map(four), ...sizes.map(six)];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.log("family    routes  insert ns  lookup ns  delete ns  index bytes a route");
  for (const { family, routes, insert, lookup, remove, bytes } of fibRows()) {
    const cells = [insert, lookup, remove].map((value) => value.toFixed(0).padStart(11)).join("");
    console.log(`IPv${family}${String(routes).padStart(12)}${cells}${bytes.toFixed(0).padStart(21)}`);
  }
}
