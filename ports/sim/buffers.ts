/** Memory for frames in flight, used again and again: one free list for each power of two. */

const SMALLEST = 8;
const LARGEST = 18;

export class Buffers {
  /** Buffers that are out. A world at rest has none. */
  used = 0;
  private readonly free: Uint8Array[][] = [];

  constructor() {
    for (let shift = 0; shift <= LARGEST; shift++) this.free.push([]);
  }

  /** A buffer of at least `size` bytes (<= 256 KiB), full of what its last user left. */
  take(size: number): Uint8Array {
    let shift = SMALLEST;
    while (1 << shift < size) shift++;
    this.used++;
    return this.free[shift].pop() ?? new Uint8Array(1 << shift);
  }

  give(buffer: Uint8Array): void {
    this.used--;
    this.free[31 - Math.clz32(buffer.length)].push(buffer);
  }
}
