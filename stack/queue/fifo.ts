/** First in, first out; what finds the queue full is dropped. What a link without a discipline of its own has. */
import { requireInteger } from "../core/errors.js";
import type { Discipline } from "./discipline.js";
import type { Frames } from "./frames.js";

export class Fifo implements Discipline {
  readonly limit: number;
  private frames: Frames = null as never;
  private first = -1;
  private last = -1;

  constructor(limit: number) {
    this.limit = requireInteger(limit, 1, 65536, "limit");
  }

  start(frames: Frames): void {
    this.frames = frames;
  }

  enqueue(row: number): void {
    if (this.last < 0) this.first = row;
    else this.frames.link(this.last, row);
    this.last = row;
  }

  dequeue(): number {
    const row = this.first;
    if (row < 0) return -1;
    this.first = this.frames.next(row);
    if (this.first < 0) this.last = -1;
    return row;
  }

  evict(): boolean {
    return false;
  }
}

/** A queue of `limit` frames, default 1000. Throws `EINVAL`. */
export function fifo(options: { limit?: number } = {}): Fifo {
  return new Fifo(options.limit === undefined ? 1000 : options.limit);
}
