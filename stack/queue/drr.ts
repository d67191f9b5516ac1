/** Deficit round robin (Shreedhar and Varghese, 1995): each flow sends as many bytes as any other, whatever the size of its packets. */
import type { SipHash } from "../core/hash.js";
import type { Discipline, QueueCounters } from "./discipline.js";
import { FlowLists, Turns } from "./flow-lists.js";
import type { FlowOptions } from "./flow-lists.js";
import type { Frames } from "./frames.js";

export class Drr implements Discipline {
  readonly limit: number;
  private readonly lists: FlowLists;
  private readonly turns: Turns;
  private readonly active: Uint8Array;

  constructor(options: FlowOptions) {
    this.lists = new FlowLists(options);
    this.limit = this.lists.limit;
    this.turns = new Turns(new Int32Array(this.lists.count));
    this.active = new Uint8Array(this.lists.count);
  }

  start(frames: Frames, hash: SipHash, ethernet: boolean, counters: QueueCounters): void {
    this.lists.start(frames, hash, ethernet, counters);
  }

  enqueue(row: number): void {
    const lists = this.lists;
    const flow = lists.push(row);
    if (this.active[flow]) return;
    this.active[flow] = 1;
    lists.deficit[flow] = lists.quantum;
    this.turns.append(flow);
  }

  dequeue(): number {
    const lists = this.lists;
    const turns = this.turns;
    for (;;) {
      const flow = turns.first;
      if (flow < 0) return -1;
      const row = lists.deficit[flow] > 0 ? lists.pop(flow) : -1;
      if (row >= 0) {
        lists.deficit[flow] -= lists.frames.length(row);
        return row;
      }
      turns.shift();
      if (lists.bytes[flow] === 0) this.active[flow] = 0;
      else {
        lists.deficit[flow] += lists.quantum;
        turns.append(flow);
      }
    }
  }

  evict(): boolean {
    return this.lists.evict();
  }
}

/** Deficit round robin for `shaper().add`. Throws `EINVAL`. */
export function drr(options: FlowOptions = {}): Drr {
  return new Drr(options);
}
