/** What a routing protocol knows of prefixes: entries by their prefix, whatever else they hold. */
import type { Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { hashPrefix, samePrefix } from "./prefix.js";

export interface PrefixEntry extends TableEntry {
  readonly prefix: Uint8Array;
  readonly length: number;
}

export class PrefixTable<T extends PrefixEntry> {
  private readonly table = new Table<T>();

  constructor(private readonly stack: Stack) {}

  size(): number {
    return this.table.size;
  }

  find(prefix: Uint8Array, length: number): T | null {
    let entry = this.table.first(hashPrefix(this.stack, prefix, length));
    while (entry && !samePrefix(entry.prefix, entry.length, prefix, length)) entry = entry.nextInBucket;
    return entry;
  }

  insert(entry: T): T {
    entry.hash = hashPrefix(this.stack, entry.prefix, entry.length);
    this.table.insert(entry);
    return entry;
  }

  remove(entry: T): void {
    this.table.remove(entry);
  }

  /** Calls `visit` for each entry; `visit` may remove the entry that it is given. */
  each(visit: (entry: T) => void): void {
    this.table.each(visit);
  }

  /** The secret of the hashes is another. */
  rekey(): void {
    const list: T[] = [];
    this.table.each((entry) => {
      this.table.remove(entry);
      list.push(entry);
    });
    for (let i = 0; i < list.length; i++) this.insert(list[i]);
  }
}
