/** Frames of this host to itself: they wait until the stack is at rest, and come in then. For loopback.ts and the translators. */
import { get16, put16 } from "../core/bytes.js";
import type { Deferred, Stack } from "../core/stack.js";
import { Stream } from "../core/stream.js";

/** Before each frame that waits: its length, its checksum state. */
export const RECORD = 4;
/** Frames delivered in one go. */
const BATCH = 64;

/**
 * Bounds: `memory` bytes wait at most, then it is full; a frame that finds no memory while nothing else waits is dropped.
 */
export class FrameQueue implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  /** Bytes that may wait. */
  readonly limit: number;
  private readonly queue: Stream;
  private readonly record = new Uint8Array(RECORD);
  /** The frame that is being delivered: the queue goes on filling meanwhile. */
  private frame: Uint8Array = new Uint8Array(0);
  private full = false;

  /**
   * @param memory bytes that may wait; a quarter of the packet memory at most
   * @param deliver takes a frame, `frame[0..length)`; its bytes are lent
   * @param writable is told when frames that were refused have room
   */
  constructor(
    private readonly stack: Stack,
    memory: number,
    private readonly counters: { noMemory: number },
    private readonly deliver: (frame: Uint8Array, length: number, checksum: number) => void,
    private readonly writable: () => void,
  ) {
    this.queue = new Stream(stack.pool, stack.host.copy);
    const quarter = (stack.pool.limit >> 2) << stack.pool.chunkShift;
    this.limit = quarter < memory ? quarter : memory;
  }

  /** Copies a frame. 0, or -1: no room now. A frame for which there is no memory is dropped. */
  put(frame: Uint8Array, start: number, end: number, checksum: number): number {
    const queue = this.queue;
    const length = end - start;
    const keep = this.stack.pool.limit >> 2;
    const record = this.record;
    put16(record, 0, length);
    record[2] = checksum;
    if (
      queue.length + RECORD + length > this.limit ||
      !queue.put(record, RECORD, frame, start, length, keep)
    ) {
      if (queue.length > 0) {
        this.full = true;
        return -1;
      }
      this.counters.noMemory++;
      return 0;
    }
    this.stack.defer(this);
    return 0;
  }

  clear(): void {
    this.queue.clear();
  }

  /** Delivers what waits. */
  run(): void {
    const queue = this.queue;
    const record = this.record;
    for (let i = 0; i < BATCH && queue.length > 0; i++) {
      queue.read(0, record, 0, RECORD);
      const length = get16(record, 0);
      const checksum = record[2];
      const fits = this.room(length);
      if (fits) queue.read(RECORD, this.frame, 0, length);
      else this.counters.noMemory++;
      queue.consume(RECORD + length);
      if (queue.length === 0) queue.clear();
      if (fits) this.deliver(this.frame, length, checksum);
    }
    if (queue.length > 0) this.stack.defer(this);
    if (this.full && queue.length * 2 <= this.limit) {
      this.full = false;
      this.writable();
    }
  }

  private room(length: number): boolean {
    if (this.frame.length < length) {
      let size = this.frame.length * 2 || 1536;
      if (size < length) size = length;
      this.frame = this.stack.host.allocate(size) || this.frame;
    }
    return this.frame.length >= length;
  }
}
