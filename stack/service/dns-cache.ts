/**
 * The resolver's memory (RFC 2181 section 8, RFC 2308): responses as they came, for as long as they hold.
 *
 * Bounds: `entries` (`CACHE_ENTRY_BYTES` each besides), and `bytes` for the responses with their names and 64 bytes each. A full cache forgets what would expire
 * first; a response of more than a quarter of it is not kept.
 */
import { copyRange } from "../core/bytes.js";
import { hashOf } from "../core/hash.js";
import type { Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { Timer } from "../core/timers.js";

/** Bytes of an entry in `bytes` besides its response and its name, and besides `bytes`: see `Stack.reserve`. */
const OVERHEAD = 64;
export const CACHE_ENTRY_BYTES = 224;
/** Milliseconds between two searches for what has expired: no entry stays until the clock has come round. */
const SWEEP = 3600000;

export class CacheEntry implements TableEntry {
  nextInBucket: this | null = null;

  constructor(
    public hash: number,
    readonly name: string,
    /** The type that was asked for, or 0: it holds for all types. */
    readonly type: number,
    readonly data: Uint8Array,
    /** Stack time at which it came. */
    readonly since: number,
    /** Milliseconds for which it holds. */
    readonly life: number,
  ) {}
}

export class Cache {
  readonly table = new Table<CacheEntry>();
  /** Bytes that all entries take. */
  size = 0;
  evicted = 0;
  private readonly timer = new Timer(sweep, this);

  constructor(
    readonly stack: Stack,
    private readonly entries: number,
    private readonly bytes: number,
  ) {}

  /** What is known of `name` and `type` at stack time `now`, or null. */
  find(name: string, type: number, now: number): CacheEntry | null {
    for (let entry = this.table.first(hashName(this.stack, name)); entry; entry = entry.nextInBucket) {
      if (entry.name === name && (entry.type === type || entry.type === 0) && left(entry, now) > 0)
        return entry;
    }
    return null;
  }

  /** Keeps a copy of the response `data[0..end)` for `ttl` seconds from `now` on. */
  add(name: string, type: number, data: Uint8Array, end: number, ttl: number, now: number): void {
    const cost = end + name.length + OVERHEAD;
    if (ttl <= 0 || cost > this.bytes >> 2) return;
    const old = this.find(name, type, now);
    if (old) this.remove(old);
    while (this.table.size > 0 && (this.table.size >= this.entries || this.size + cost > this.bytes)) {
      let victim: CacheEntry | null = null;
      this.table.each((entry) => {
        if (!victim || left(entry, now) < left(victim, now)) victim = entry;
      });
      this.remove(victim as never);
      this.evicted++;
    }
    const copy = copyRange(data, 0, end);
    this.table.insert(new CacheEntry(hashName(this.stack, name), name, type, copy, now, ttl * 1000));
    this.size += cost;
    if (this.timer.slot < 0) this.stack.timers.set(this.timer, (now + SWEEP) | 0);
  }

  /** Forgets everything (what has expired, with `now`). */
  clear(now?: number): void {
    this.table.each((entry) => {
      if (now === undefined || left(entry, now) <= 0) this.remove(entry);
    });
    if (this.table.size === 0) this.stack.timers.clear(this.timer);
    else this.stack.timers.set(this.timer, (this.stack.now() + SWEEP) | 0);
  }

  private remove(entry: CacheEntry): void {
    this.size -= entry.data.length + entry.name.length + OVERHEAD;
    this.table.remove(entry);
  }
}

/** A name's place in tables of answers: strangers choose names, and cannot choose places. */
export function hashName(stack: Stack, name: string): number {
  const hash = hashOf(stack);
  hash.begin(1);
  for (let i = 0; i < name.length; i++) hash.word(name.charCodeAt(i));
  return hash.end();
}

/** Milliseconds for which `entry` still holds. */
function left(entry: CacheEntry, now: number): number {
  return entry.life - ((now - entry.since) | 0);
}

function sweep(cache: Cache): void {
  cache.clear(cache.stack.now());
}
