/** The mappings of inner to outer ports of NAT (RFC 4787): two hash tables over the same rows, made once. */
import type { SipHash } from "../core/hash.js";

/** Words of a binding: protocol, inner address, inner port, outer address, outer port, flows that use it, mappings that open it to anyone. */
const WORDS = 7;

export class Bindings {
  size = 0;
  private readonly rows: Int32Array;
  private readonly inner: Int32Array;
  private readonly outer: Int32Array;
  private readonly nextInner: Int32Array;
  private readonly nextOuter: Int32Array;
  private readonly mask: number;
  private free = -1;

  constructor(
    readonly capacity: number,
    private readonly hash: SipHash,
  ) {
    let buckets = 16;
    while (buckets < capacity) buckets *= 2;
    this.mask = buckets - 1;
    this.rows = new Int32Array(capacity * WORDS);
    this.inner = new Int32Array(buckets);
    this.outer = new Int32Array(buckets);
    this.nextInner = new Int32Array(capacity);
    this.nextOuter = new Int32Array(capacity);
    for (let i = 0; i < buckets; i++) this.inner[i] = this.outer[i] = -1;
    for (let i = capacity - 1; i >= 0; i--) {
      this.nextInner[i] = this.free;
      this.free = i;
    }
  }

  /** The binding of an inner end to `outer`, or -1. */
  findInner(protocol: number, address: number, port: number, outer: number): number {
    const rows = this.rows;
    let row = this.inner[this.slot(protocol, address, port)];
    for (; row >= 0; row = this.nextInner[row]) {
      const at = row * WORDS;
      if (
        rows[at] === protocol &&
        rows[at + 1] === address &&
        rows[at + 2] === port &&
        rows[at + 3] === outer
      )
        break;
    }
    return row;
  }

  findOuter(protocol: number, address: number, port: number): number {
    const rows = this.rows;
    let row = this.outer[this.slot(protocol, address, port)];
    for (; row >= 0; row = this.nextOuter[row]) {
      const at = row * WORDS;
      if (rows[at] === protocol && rows[at + 3] === address && rows[at + 4] === port) break;
    }
    return row;
  }

  /** Adds a binding that nobody uses yet: see `use`. -1: no room. */
  add(protocol: number, address: number, port: number, outer: number, outerPort: number): number {
    const row = this.free;
    if (row < 0) return -1;
    this.free = this.nextInner[row];
    this.size++;
    const at = row * WORDS;
    const rows = this.rows;
    rows[at] = protocol;
    rows[at + 1] = address;
    rows[at + 2] = port;
    rows[at + 3] = outer;
    rows[at + 4] = outerPort;
    rows[at + 5] = 0;
    rows[at + 6] = 0;
    const innerSlot = this.slot(protocol, address, port);
    const outerSlot = this.slot(protocol, outer, outerPort);
    this.nextInner[row] = this.inner[innerSlot];
    this.inner[innerSlot] = row;
    this.nextOuter[row] = this.outer[outerSlot];
    this.outer[outerSlot] = row;
    return row;
  }

  innerAddress(row: number): number {
    return this.rows[row * WORDS + 1];
  }

  innerPort(row: number): number {
    return this.rows[row * WORDS + 2];
  }

  outerPort(row: number): number {
    return this.rows[row * WORDS + 4];
  }

  outerAddress(row: number): number {
    return this.rows[row * WORDS + 3];
  }

  /** May anyone outside begin a flow to the inner end? */
  isOpen(row: number): boolean {
    return this.rows[row * WORDS + 6] !== 0;
  }

  /** One more has asked for this end: they are its users too. */
  open(row: number): void {
    this.rows[row * WORDS + 6]++;
    this.use(row);
  }

  shut(row: number): void {
    this.rows[row * WORDS + 6]--;
    this.release(row);
  }

  use(row: number): void {
    this.rows[row * WORDS + 5]++;
  }

  /** A flow no longer uses the binding, or never did: without users it goes. */
  release(row: number): void {
    const at = row * WORDS;
    const rows = this.rows;
    if (--rows[at + 5] > 0) return;
    unchain(this.inner, this.nextInner, this.slot(rows[at], rows[at + 1], rows[at + 2]), row);
    unchain(this.outer, this.nextOuter, this.slot(rows[at], rows[at + 3], rows[at + 4]), row);
    this.nextInner[row] = this.free;
    this.free = row;
    this.size--;
  }

  private slot(protocol: number, address: number, port: number): number {
    const hash = this.hash;
    hash.begin(1);
    hash.word(address);
    hash.word((protocol << 16) | port);
    return hash.end() & this.mask;
  }
}

function unchain(buckets: Int32Array, next: Int32Array, slot: number, row: number): void {
  if (buckets[slot] === row) {
    buckets[slot] = next[row];
    return;
  }
  let at = buckets[slot];
  while (next[at] !== row) at = next[at];
  next[at] = next[row];
}
