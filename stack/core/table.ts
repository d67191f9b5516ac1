/** A hash table of entries that carry their own hash and link: no allocation on insert, O(1) look-up, growth by doubling. */

export interface TableEntry {
  /** The keyed hash of the entry's key: see hash.ts. */
  hash: number;
  /** Next entry of the same bucket. Walk it from `table.first(hash)`. */
  nextInBucket: this | null;
}

export class Table<T extends TableEntry> {
  size = 0;
  private buckets: (T | null)[] = [];

  constructor(buckets = 8) {
    for (let i = 0; i < buckets; i++) this.buckets.push(null);
  }

  /** Head of the bucket that holds all entries with `hash` (and others). */
  first(hash: number): T | null {
    return this.buckets[hash & (this.buckets.length - 1)];
  }

  insert(entry: T): void {
    if (this.size >= this.buckets.length * 2) this.grow();
    const slot = entry.hash & (this.buckets.length - 1);
    entry.nextInBucket = this.buckets[slot];
    this.buckets[slot] = entry;
    this.size++;
  }

  /** Removes an entry; nothing happens when it is not in the table. */
  remove(entry: T): void {
    const slot = entry.hash & (this.buckets.length - 1);
    let at = this.buckets[slot];
    if (at === entry) this.buckets[slot] = entry.nextInBucket;
    else {
      while (at && at.nextInBucket !== entry) at = at.nextInBucket;
      if (!at) return;
      at.nextInBucket = entry.nextInBucket;
    }
    entry.nextInBucket = null;
    this.size--;
  }

  /** Calls `visit` for each entry; `visit` may remove the entry that it is given. */
  each(visit: (entry: T) => void): void {
    for (let i = 0; i < this.buckets.length; i++) {
      let entry = this.buckets[i];
      while (entry) {
        const next: T | null = entry.nextInBucket;
        visit(entry);
        entry = next;
      }
    }
  }

  /** Is `test` true of any entry? */
  some(test: (entry: T) => boolean): boolean {
    for (let i = 0; i < this.buckets.length; i++) {
      for (let entry = this.buckets[i]; entry; entry = entry.nextInBucket) if (test(entry)) return true;
    }
    return false;
  }

  private grow(): void {
    const old = this.buckets;
    this.buckets = [];
    this.size = 0;
    for (let i = old.length * 2; i > 0; i--) this.buckets.push(null);
    for (let i = 0; i < old.length; i++) {
      let entry = old[i];
      while (entry) {
        const next: T | null = entry.nextInBucket;
        this.insert(entry);
        entry = next;
      }
    }
  }
}
