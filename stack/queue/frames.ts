/** Frames that wait for their turn on a link: rows of numbers, made once, and bytes in chunks of the stack's one budget. */
import { SEGMENT_NONE } from "../../hypercall/link.js";
import type { Link, TransmitOffload } from "../../hypercall/link.js";
import type { Copy } from "../core/bytes.js";
import type { Chunk, Pool } from "../core/pool.js";

/** Words of a row: the next row of its list, bytes, when it came, its flow, and what a link has still to do to it. */
const WORDS = 9;
const NEXT = 0;
const LENGTH = 1;
const TIME = 2;
const FLOW = 3;
const CHECKSUM = 4;

export class Frames {
  /** Frames that wait, and their bytes. */
  size = 0;
  bytes = 0;
  private readonly rows: Int32Array;
  private readonly chunks: (Chunk | null)[] = [];
  private free = 0;
  /** Where a frame is put together that lies in several chunks. */
  private whole = new Uint8Array(0);
  private readonly offload: TransmitOffload = {
    checksumStart: -1,
    checksumOffset: 0,
    segment: SEGMENT_NONE,
    segmentSize: 0,
    headerLength: 0,
  };

  /**
   * @param limit frames at most
   * @param headroom bytes that the link writes before a frame
   */
  constructor(
    readonly limit: number,
    private readonly headroom: number,
    private readonly pool: Pool,
    private readonly copy: Copy,
  ) {
    this.rows = new Int32Array(limit * WORDS);
    for (let i = 0; i < limit; i++) {
      this.rows[i * WORDS + NEXT] = i + 1 < limit ? i + 1 : -1;
      this.chunks.push(null);
    }
  }

  /** Copies a frame. Returns its row, or -1: no row is free, or no memory (a quarter of the budget is left to others). */
  put(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null, now: number): number {
    const row = this.free;
    if (row < 0 || !this.store(row, frame, start, end)) return -1;
    const at = row * WORDS;
    const rows = this.rows;
    this.free = rows[at + NEXT];
    rows[at + NEXT] = -1;
    rows[at + LENGTH] = end - start;
    rows[at + TIME] = now;
    rows[at + CHECKSUM] = offload ? offload.checksumStart : -1;
    rows[at + CHECKSUM + 1] = offload ? offload.checksumOffset : 0;
    rows[at + CHECKSUM + 2] = offload ? offload.segment : SEGMENT_NONE;
    rows[at + CHECKSUM + 3] = offload ? offload.segmentSize : 0;
    rows[at + CHECKSUM + 4] = offload ? offload.headerLength : 0;
    this.size++;
    this.bytes += end - start;
    return row;
  }

  /** Gives the frame to the link: what `Link.transmit` returns. The row stays. */
  send(row: number, link: Link): number {
    const chunk = this.chunks[row] as Chunk;
    const length = this.length(row);
    let data = chunk.data;
    let start = chunk.base + this.headroom;
    if (chunk.next) {
      start = this.headroom;
      if (this.whole.length < start + length) this.whole = new Uint8Array(start + length);
      data = this.whole;
      this.gather(chunk, length);
    }
    const rows = this.rows;
    const at = row * WORDS + CHECKSUM;
    let offload: TransmitOffload | null = null;
    if (rows[at] >= 0 || rows[at + 2] !== SEGMENT_NONE) {
      offload = this.offload;
      offload.checksumStart = rows[at];
      offload.checksumOffset = rows[at + 1];
      offload.segment = rows[at + 2];
      offload.segmentSize = rows[at + 3];
      offload.headerLength = rows[at + 4];
    }
    return link.transmit(data, start, start + length, offload);
  }

  /** Forgets a frame that is in no list any more. */
  remove(row: number): void {
    const at = row * WORDS;
    this.giveBack(row);
    this.size--;
    this.bytes -= this.rows[at + LENGTH];
    this.rows[at + NEXT] = this.free;
    this.free = row;
  }

  /** The first chunk's bytes, where the headers are: `[start, end)` of `chunk.data`. */
  data(row: number): Uint8Array {
    return (this.chunks[row] as Chunk).data;
  }

  start(row: number): number {
    return (this.chunks[row] as Chunk).base + this.headroom;
  }

  end(row: number): number {
    const chunk = this.chunks[row] as Chunk;
    const end = chunk.base + this.headroom + this.length(row);
    const most = chunk.base + (1 << this.pool.chunkShift);
    return end < most ? end : most;
  }

  length(row: number): number {
    return this.rows[row * WORDS + LENGTH];
  }

  /** When the frame came, stack time. */
  time(row: number): number {
    return this.rows[row * WORDS + TIME];
  }

  flow(row: number): number {
    return this.rows[row * WORDS + FLOW];
  }

  setFlow(row: number, flow: number): void {
    this.rows[row * WORDS + FLOW] = flow;
  }

  /** The row behind this one in its list, or -1. */
  next(row: number): number {
    return this.rows[row * WORDS + NEXT];
  }

  link(row: number, next: number): void {
    this.rows[row * WORDS + NEXT] = next;
  }

  private store(row: number, frame: Uint8Array, start: number, end: number): boolean {
    const pool = this.pool;
    const size = 1 << pool.chunkShift;
    let last: Chunk | null = null;
    let within = this.headroom;
    while (start < end) {
      const chunk = pool.get(pool.limit >> 2);
      if (!chunk) {
        this.giveBack(row);
        return false;
      }
      if (last) last.next = chunk;
      else this.chunks[row] = chunk;
      last = chunk;
      const part = size - within < end - start ? size - within : end - start;
      this.copy(chunk.data, chunk.base + within, frame, start, part);
      start += part;
      within = 0;
    }
    return true;
  }

  private giveBack(row: number): void {
    let chunk = this.chunks[row];
    while (chunk) {
      const next: Chunk | null = chunk.next;
      this.pool.put(chunk);
      chunk = next;
    }
    this.chunks[row] = null;
  }

  private gather(first: Chunk, length: number): void {
    const size = 1 << this.pool.chunkShift;
    let at = this.headroom;
    let within = at;
    for (let chunk: Chunk | null = first; chunk; chunk = chunk.next) {
      const part = size - within < length ? size - within : length;
      this.copy(this.whole, at, chunk.data, chunk.base + within, part);
      at += part;
      length -= part;
      within = 0;
    }
  }
}
