/** Packet memory, what tables leave of the budget: chunks of equal size, cut from slabs that are taken from the host as they are needed. */

/** A piece of packet memory: `data[base .. base + pool.chunkSize)`. */
export class Chunk {
  next: Chunk | null = null;
  constructor(
    readonly data: Uint8Array,
    readonly base: number,
  ) {}
}

/** Bytes that a chunk takes besides its own, in Duktape with 32-bit pointers. */
export const CHUNK_BYTES = 96;

/** The first slab that is asked of the host, bytes; each further one is as large as all before it. */
const SLAB = 65536;

export class Pool {
  /** Chunks in use. A stack at rest has none. */
  used = 0;
  /** The most chunks that were ever in use. */
  peak = 0;
  /** How often `get` had to refuse. */
  refused = 0;
  /** The most chunks that there may be: known when all components are attached. */
  limit = 0;
  private made = 0;
  private free: Chunk | null = null;

  /**
   * @param chunkShift chunks have `1 << chunkShift` bytes
   * @param allocate takes memory from the host; returns null when there is none
   */
  constructor(
    readonly chunkShift: number,
    private readonly allocate: (size: number) => Uint8Array | null,
  ) {}

  /**
   * A chunk, or null when the budget is spent.
   *
   * @param keep chunks that must stay free for others: what is held for a stranger's sake (fragments, segments out of order)
   *   leaves a quarter of the budget alone
   */
  get(keep: number): Chunk | null {
    if (this.used + keep < this.limit && (this.free || this.grow())) {
      const chunk = this.free as Chunk;
      this.free = chunk.next;
      chunk.next = null;
      if (++this.used > this.peak) this.peak = this.used;
      return chunk;
    }
    this.refused++;
    return null;
  }

  put(chunk: Chunk): void {
    chunk.next = this.free;
    this.free = chunk;
    this.used--;
  }

  private grow(): boolean {
    const size = 1 << this.chunkShift;
    let count = this.made || SLAB >> this.chunkShift || 1;
    if (count > this.limit - this.made) count = this.limit - this.made;
    const slab = count > 0 ? this.allocate(count * size) : null;
    if (!slab) return false;
    for (let i = count - 1; i >= 0; i--) {
      const chunk = new Chunk(slab, i * size);
      chunk.next = this.free;
      this.free = chunk;
    }
    this.made += count;
    return true;
  }
}
