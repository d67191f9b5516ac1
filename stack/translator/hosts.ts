/**
 * Which IPv4 address stands for which IPv6 host (RFC 7757): entries that were configured, and a pool for the others.
 *
 * Who has been answered keeps its address for as long as established connections may be silent. When the pool is empty the oldest
 * that nobody has ever answered goes: a host that makes up addresses takes none from those who talk.
 */
import { get32, put32 } from "../core/bytes.js";
import type { SipHash } from "../core/hash.js";

/** RFC 5382 REQ-5: two hours and four minutes. */
const IDLE = 7440000;

const UNANSWERED = 0;
const ANSWERED = 1;
const FIXED = 2;
const FREE = 3;

export class Hosts {
  size = 0;
  private readonly words: Int32Array;
  private readonly buckets: Int32Array;
  private readonly nextInBucket: Int32Array;
  private readonly before: Int32Array;
  private readonly after: Int32Array;
  private readonly kinds: Uint8Array;
  private readonly used: Int32Array;
  private readonly first = [-1, -1];
  private readonly last = [-1, -1];
  private readonly mask: number;
  /** Rows that nobody has had yet begin here; those that were given up hang in `free`. */
  private free = -1;

  /** @param base the address of row 0; those of the other rows follow it */
  constructor(
    readonly base: number,
    readonly capacity: number,
    private readonly hash: SipHash,
  ) {
    let buckets = 16;
    while (buckets < capacity) buckets *= 2;
    this.mask = buckets - 1;
    this.words = new Int32Array(capacity * 4);
    this.buckets = new Int32Array(buckets);
    this.nextInBucket = new Int32Array(capacity);
    this.before = new Int32Array(capacity);
    this.after = new Int32Array(capacity);
    this.kinds = new Uint8Array(capacity);
    this.used = new Int32Array(capacity);
    for (let i = 0; i < buckets; i++) this.buckets[i] = -1;
    for (let i = capacity - 1; i >= 0; i--) {
      this.kinds[i] = FREE;
      this.after[i] = this.free;
      this.free = i;
    }
  }

  /** Gives a host its address for good; false: that is no address of the pool, or one of the two is taken. */
  fix(data: Uint8Array, at: number, address: number): boolean {
    const row = (address - this.base) | 0;
    if (row < 0 || row >= this.capacity || this.kinds[row] !== FREE || this.find(data, at) >= 0) return false;
    let free = this.free;
    if (free === row) this.free = this.after[row];
    else {
      while (this.after[free] !== row) free = this.after[free];
      this.after[free] = this.after[row];
    }
    this.insert(row, data, at);
    this.kinds[row] = FIXED;
    return true;
  }

  /** The row of a host, or -1. */
  find(data: Uint8Array, at: number): number {
    const words = this.words;
    const hash = this.hash;
    hash.begin(1);
    for (let i = 0; i < 16; i += 4) hash.word(get32(data, at + i));
    let row = this.buckets[hash.end() & this.mask];
    while (row >= 0) {
      let i = 0;
      while (i < 4 && words[row * 4 + i] === get32(data, at + i * 4)) i++;
      if (i === 4) return row;
      row = this.nextInBucket[row];
    }
    return -1;
  }

  /** The row of a host that sends, new if it must be; -1: no address is left. */
  obtain(data: Uint8Array, at: number, now: number): number {
    let row = this.find(data, at);
    if (row >= 0) {
      this.touch(row, this.kinds[row], now);
      return row;
    }
    if (this.free < 0 && !this.evict(now)) return -1;
    row = this.free;
    this.free = this.after[row];
    this.insert(row, data, at);
    this.append(row, UNANSWERED, now);
    return row;
  }

  /** The row of an address to which something is sent, or -1: it is nobody's. */
  answer(address: number, now: number): number {
    const row = this.row(address);
    if (row >= 0) this.touch(row, ANSWERED, now);
    return row;
  }

  /** The row of an address, or -1. */
  row(address: number): number {
    const row = (address - this.base) | 0;
    return row >= 0 && row < this.capacity && this.kinds[row] !== FREE ? row : -1;
  }

  address(row: number): number {
    return (this.base + row) | 0;
  }

  /** Writes the host's address at `target[at..]`. */
  write(row: number, target: Uint8Array, at: number): void {
    for (let i = 0; i < 4; i++) put32(target, at + i * 4, this.words[row * 4 + i]);
  }

  private touch(row: number, kind: number, now: number): void {
    if (this.kinds[row] === FIXED) return;
    this.unlink(row);
    this.append(row, kind, now);
  }

  private evict(now: number): boolean {
    let row = this.first[UNANSWERED];
    if (row < 0) {
      row = this.first[ANSWERED];
      if (row < 0 || ((now - this.used[row]) | 0) < IDLE) return false;
    }
    this.unlink(row);
    const slot = this.slot(row);
    if (this.buckets[slot] === row) this.buckets[slot] = this.nextInBucket[row];
    else {
      let at = this.buckets[slot];
      while (this.nextInBucket[at] !== row) at = this.nextInBucket[at];
      this.nextInBucket[at] = this.nextInBucket[row];
    }
    this.kinds[row] = FREE;
    this.after[row] = this.free;
    this.free = row;
    this.size--;
    return true;
  }

  private insert(row: number, data: Uint8Array, at: number): void {
    for (let i = 0; i < 4; i++) this.words[row * 4 + i] = get32(data, at + i * 4);
    const slot = this.slot(row);
    this.nextInBucket[row] = this.buckets[slot];
    this.buckets[slot] = row;
    this.size++;
  }

  private append(row: number, kind: number, now: number): void {
    const last = this.last[kind];
    this.kinds[row] = kind;
    this.used[row] = now;
    this.before[row] = last;
    this.after[row] = -1;
    if (last < 0) this.first[kind] = row;
    else this.after[last] = row;
    this.last[kind] = row;
  }

  private unlink(row: number): void {
    const kind = this.kinds[row];
    const before = this.before[row];
    const after = this.after[row];
    if (before < 0) this.first[kind] = after;
    else this.after[before] = after;
    if (after < 0) this.last[kind] = before;
    else this.before[after] = before;
  }

  private slot(row: number): number {
    const hash = this.hash;
    hash.begin(1);
    for (let i = 0; i < 4; i++) hash.word(this.words[row * 4 + i]);
    return hash.end() & this.mask;
  }
}
