/**
 * A queue of bytes in pool chunks: TCP's send and receive buffers, UDP's receive queue, reassembly.
 *
 * An empty stream holds no memory. Bytes may be written beyond the end (segments out of order): only the chunks that they
 * touch are taken. Offsets are counted from the first byte that has not been consumed.
 */
import type { Copy } from "./bytes.js";
import type { Chunk, Pool } from "./pool.js";

export class Stream {
  /** Bytes that may be read. */
  length = 0;
  private chunks: (Chunk | null)[] = [];
  /** Index of the first chunk in `chunks`: those before it are gone. */
  private head = 0;
  /** Offset of the first byte in the first chunk. */
  private offset = 0;

  constructor(
    private readonly pool: Pool,
    private readonly copy: Copy,
  ) {}

  /**
   * Writes bytes at offset `at`, which may lie beyond the end, without making them readable.
   *
   * @param keep see `Pool.get`
   * @returns false when there was not enough memory; nothing readable has changed
   */
  write(at: number, source: Uint8Array, start: number, length: number, keep: number): boolean {
    const shift = this.pool.chunkShift;
    const size = 1 << shift;
    let position = this.offset + at;
    while (length > 0) {
      const index = this.head + (position >> shift);
      while (this.chunks.length <= index) this.chunks.push(null);
      let chunk = this.chunks[index];
      if (!chunk) {
        chunk = this.pool.get(keep);
        if (!chunk) return false;
        this.chunks[index] = chunk;
      }
      const within = position & (size - 1);
      const part = size - within < length ? size - within : length;
      this.copy(chunk.data, chunk.base + within, source, start, part);
      position += part;
      start += part;
      length -= part;
    }
    return true;
  }

  /** Appends bytes: all of them, or none and false. */
  append(source: Uint8Array, start: number, length: number, keep: number): boolean {
    if (!this.write(this.length, source, start, length, keep)) {
      this.trim();
      return false;
    }
    this.length += length;
    return true;
  }

  /** Copies `length` bytes from offset `at` to `target`; the caller has checked that they are there. */
  read(at: number, target: Uint8Array, start: number, length: number): void {
    const shift = this.pool.chunkShift;
    const size = 1 << shift;
    let position = this.offset + at;
    while (length > 0) {
      const chunk = this.chunks[this.head + (position >> shift)] as Chunk;
      const within = position & (size - 1);
      const part = size - within < length ? size - within : length;
      this.copy(target, start, chunk.data, chunk.base + within, part);
      position += part;
      start += part;
      length -= part;
    }
  }

  /** Drops the first `length` bytes; what was written beyond the end stays at its place. */
  consume(length: number): void {
    const shift = this.pool.chunkShift;
    this.length -= length;
    this.offset += length;
    let gone = this.offset >> shift;
    this.offset &= (1 << shift) - 1;
    for (; gone > 0 && this.head < this.chunks.length; gone--) this.drop(this.head++);
    if (this.head >= this.chunks.length) {
      this.chunks = [];
      this.head = 0;
    } else if (this.head >= 32 && this.head * 2 >= this.chunks.length) {
      this.chunks.splice(0, this.head);
      this.head = 0;
    }
  }

  /** Gives back the chunks in which no readable byte lies: what was written beyond the end is lost. */
  trim(): void {
    const shift = this.pool.chunkShift;
    const keep = this.length > 0 ? this.head + ((this.offset + this.length - 1) >> shift) + 1 : this.head;
    while (this.chunks.length > keep) {
      this.drop(this.chunks.length - 1);
      this.chunks.pop();
    }
  }

  /** Gives all memory back. */
  clear(): void {
    this.length = 0;
    this.trim();
    this.chunks = [];
    this.head = this.offset = 0;
  }

  private drop(index: number): void {
    const chunk = this.chunks[index];
    if (chunk) this.pool.put(chunk);
    this.chunks[index] = null;
  }
}
