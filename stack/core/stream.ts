/**
 * A queue of bytes in pool chunks: TCP's send and receive buffers, UDP's receive queue, reassembly.
 *
 * An empty stream holds no memory. Bytes may be written beyond the end (segments out of order): only the chunks that they
 * touch are taken. Offsets are counted from the first byte that has not been consumed.
 */
import type { Copy } from "./bytes.js";
import type { Chunk, Pool } from "./pool.js";

/** The chunks of a stream that has had none: never changed. */
const NONE: (Chunk | null)[] = [];

export class Stream {
  /** Bytes that may be read. */
  length = 0;
  private chunks = NONE;
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
   * @param source null: takes the memory alone
   * @param keep see `Pool.get`
   * @returns false when there was not enough memory; nothing readable has changed
   */
  write(at: number, source: Uint8Array | null, start: number, length: number, keep: number): boolean {
    if (this.chunks === NONE) this.chunks = [];
    const chunks = this.chunks;
    const shift = this.pool.chunkShift;
    const size = 1 << shift;
    let within = this.offset + at;
    let index = this.head + (within >> shift);
    within &= size - 1;
    while (length > 0) {
      while (chunks.length <= index) chunks.push(null);
      let chunk = chunks[index];
      if (!chunk) {
        chunk = this.pool.get(keep);
        if (!chunk) return false;
        chunks[index] = chunk;
      }
      const part = size - within < length ? size - within : length;
      if (source) this.copy(chunk.data, chunk.base + within, source, start, part);
      start += part;
      length -= part;
      within = 0;
      index++;
    }
    return true;
  }

  /** Appends a record: `size` bytes of `header`, then those of the source; all of it, or nothing and false. */
  put(
    header: Uint8Array,
    size: number,
    source: Uint8Array,
    start: number,
    length: number,
    keep: number,
  ): boolean {
    const at = this.length;
    if (!this.write(at + size, source, start, length, keep) || !this.write(at, header, 0, size, keep)) {
      this.trim();
      return false;
    }
    this.length = at + size + length;
    return true;
  }

  /** Appends bytes: all of them, or none and false. @param source null: whatever the memory holds */
  append(source: Uint8Array | null, start: number, length: number, keep: number): boolean {
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
    let within = this.offset + at;
    let index = this.head + (within >> shift);
    within &= size - 1;
    while (length > 0) {
      const chunk = this.chunks[index++] as Chunk;
      const part = size - within < length ? size - within : length;
      this.copy(target, start, chunk.data, chunk.base + within, part);
      start += part;
      length -= part;
      within = 0;
    }
  }

  /** Drops the first `length` bytes; what was written beyond the end stays at its place. */
  consume(length: number): void {
    const shift = this.pool.chunkShift;
    const chunks = this.chunks;
    this.length -= length;
    this.offset += length;
    let gone = this.offset >> shift;
    if (gone === 0) return;
    this.offset &= (1 << shift) - 1;
    for (; gone > 0 && this.head < chunks.length; gone--) this.drop(this.head++);
    if (this.head >= chunks.length) this.rewind();
    else if (this.head >= 32 && this.head * 2 >= chunks.length) {
      chunks.splice(0, this.head);
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
    for (let i = this.head; i < this.chunks.length; i++) this.drop(i);
    this.rewind();
    this.offset = 0;
  }

  /** All chunks are gone. A list that has not grown long is used again: a new one for each message was garbage. */
  private rewind(): void {
    this.head = 0;
    if (this.chunks.length > 4) this.chunks = NONE;
  }

  private drop(index: number): void {
    const chunk = this.chunks[index];
    if (chunk) this.pool.put(chunk);
    this.chunks[index] = null;
  }
}
