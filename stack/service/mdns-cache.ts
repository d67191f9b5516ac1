/**
 * What others have said on an interface (RFC 6762 section 10): records, for as long as they hold.
 *
 * Bounds: `entries`, and `bytes` for the data with their names and 64 bytes each. In a full cache those go that nobody asks for,
 * first what would expire first; what is asked for stays, and what is new is not kept.
 */
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import type { Stack } from "../core/stack.js";
import { hashName } from "./dns-cache.js";
import { sameData } from "./mdns-message.js";
import type { Heard } from "./mdns-message.js";

const OVERHEAD = 64;
/** Section 10.1, 10.2: what has been withdrawn or replaced is kept for a moment, ms; its owner may object. */
const GRACE = 1000;
/** Section 5.2: asked for anew at 80, 85, 90 and 95 % of its life, and up to 2 % later. */
const FIRST = 80;
const STEP = 5;
const STAGES = 4;

export class Known implements TableEntry {
  nextInBucket: this | null = null;
  /** Stack time at which it was heard last, and how long it holds from then on, ms. */
  since = 0;
  life = 0;
  /** How often it was asked for anew. */
  stage = 0;

  constructor(
    public hash: number,
    readonly heard: Heard,
    /** 0..20: tenths of a percent of its life. */
    readonly jitter: number,
  ) {}
}

export class Memory {
  readonly table = new Table<Known>();
  private size = 0;

  constructor(
    private readonly stack: Stack,
    private readonly entries: number,
    private readonly bytes: number,
  ) {}

  /** Calls `visit` for what is known of a name and type; `visit` may remove what it is given. */
  each(name: string, type: number, visit: (known: Known) => void): void {
    let known = this.table.first(hashName(this.stack, name));
    while (known) {
      const next: Known | null = known.nextInBucket;
      if (known.heard.name === name && known.heard.type === type) visit(known);
      known = next;
    }
  }

  /** The record with these very data, or null. */
  find(heard: Heard): Known | null {
    let found: Known | null = null;
    this.each(heard.name, heard.type, (known) => {
      if (sameData(heard.type, known.heard.data, heard.data)) found = known;
    });
    return found;
  }

  /** Remembers a record; null: there is no room. `wanted` says what must stay. */
  add(heard: Heard, wanted: (known: Known) => boolean): Known | null {
    const now = this.stack.now();
    const cost = costOf(heard);
    if (cost > this.bytes >> 2) return null;
    while (this.table.size >= this.entries || this.size + cost > this.bytes) {
      let victim: Known | null = null;
      this.table.each((known) => {
        if (!wanted(known) && (!victim || left(known, now) < left(victim, now))) victim = known;
      });
      if (!victim) return null;
      this.remove(victim);
    }
    const known = new Known(hashName(this.stack, heard.name), heard, this.stack.host.randomBelow(21));
    this.table.insert(known);
    this.size += cost;
    return known;
  }

  remove(known: Known): void {
    this.table.remove(known);
    this.size -= costOf(known.heard);
  }
}

function costOf(heard: Heard): number {
  return heard.data.length + heard.name.length + OVERHEAD;
}

/** Milliseconds for which it still holds. */
export function left(known: Known, now: number): number {
  return known.life - ((now - known.since) | 0);
}

/** It has been heard (again). */
export function refreshed(known: Known, ttl: number, now: number): void {
  known.since = now;
  known.life = ttl * 1000;
  known.stage = 0;
}

/** It has been withdrawn, or replaced: a second is left to it. */
export function doom(known: Known, now: number): void {
  if (left(known, now) > GRACE) known.life = ((now - known.since) | 0) + GRACE;
  known.stage = STAGES;
}

/** Milliseconds until it is to be asked for anew, or -1: not any more. */
export function refreshIn(known: Known, now: number): number {
  if (known.stage >= STAGES) return -1;
  const tenths = (FIRST + STEP * known.stage) * 10 + known.jitter;
  const wait = ((known.life * tenths) / 1000 - ((now - known.since) | 0)) | 0;
  return wait > 0 ? wait : 0;
}
