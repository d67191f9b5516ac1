/**
 * FQ-CoDel (RFC 8290): flows take turns, those that have just come first, and none may keep a standing queue (CoDel, RFC 8289).
 *
 * Packets that have waited longer than `target` for a whole `interval` are marked where their transport knows ECN, or dropped, at a
 * pace that quickens with the square root of their number. The clock is one of milliseconds.
 */
import { requireInteger } from "../core/errors.js";
import type { SipHash } from "../core/hash.js";
import { markCongestion } from "./classify.js";
import type { Discipline, QueueCounters } from "./discipline.js";
import { FlowLists, Turns } from "./flow-lists.js";
import type { FlowOptions } from "./flow-lists.js";
import type { Frames } from "./frames.js";

export interface FqCodelOptions extends FlowOptions {
  /** Wait that is acceptable, ms. Default 5. */
  target?: number;
  /** Time for a sender to react: a round trip through the bottleneck, ms. Default 100. */
  interval?: number;
  /** Marks instead of dropping. Default true. */
  ecn?: boolean;
}

/** Lists that a flow may be in. */
const IDLE = 0;
const NEW = 1;
const OLD = 2;

export class FqCodel implements Discipline {
  readonly limit: number;
  private readonly target: number;
  private readonly interval: number;
  private readonly ecn: boolean;
  private readonly lists: FlowLists;
  private readonly fresh: Turns;
  private readonly old: Turns;
  private readonly state: Uint8Array;
  /** CoDel's variables, by flow (RFC 8289 section 5.2); `above` 0: not above the target. */
  private readonly dropping: Uint8Array;
  private readonly above: Int32Array;
  private readonly dropNext: Int32Array;
  private readonly drops: Int32Array;
  private readonly lastDrops: Int32Array;

  constructor(options: FqCodelOptions) {
    const lists = (this.lists = new FlowLists(options));
    this.limit = lists.limit;
    this.target = requireInteger(options.target === undefined ? 5 : options.target, 1, 10000, "target");
    const interval = options.interval === undefined ? 100 : options.interval;
    this.interval = requireInteger(interval, 1, 60000, "interval");
    this.ecn = options.ecn !== false;
    const next = new Int32Array(lists.count);
    this.fresh = new Turns(next);
    this.old = new Turns(next);
    this.state = new Uint8Array(lists.count);
    this.dropping = new Uint8Array(lists.count);
    this.above = new Int32Array(lists.count);
    this.dropNext = new Int32Array(lists.count);
    this.drops = new Int32Array(lists.count);
    this.lastDrops = new Int32Array(lists.count);
  }

  start(frames: Frames, hash: SipHash, ethernet: boolean, counters: QueueCounters): void {
    this.lists.start(frames, hash, ethernet, counters);
  }

  enqueue(row: number): void {
    const lists = this.lists;
    const flow = lists.push(row);
    if (this.state[flow] !== IDLE) return;
    this.state[flow] = NEW;
    lists.deficit[flow] = lists.quantum;
    this.fresh.append(flow);
  }

  /** RFC 8290 section 4.2. */
  dequeue(now: number): number {
    const lists = this.lists;
    for (;;) {
      const turns = this.fresh.first >= 0 ? this.fresh : this.old;
      const flow = turns.first;
      if (flow < 0) return -1;
      if (lists.deficit[flow] <= 0) {
        lists.deficit[flow] += lists.quantum;
        turns.shift();
        this.retire(flow);
        continue;
      }
      const row = this.codel(flow, now);
      if (row >= 0) {
        lists.deficit[flow] -= lists.frames.length(row);
        return row;
      }
      turns.shift();
      // A flow that has just become empty waits a round, or it would be new again at once.
      if (turns === this.fresh && this.old.first >= 0) this.retire(flow);
      else this.state[flow] = IDLE;
    }
  }

  evict(): boolean {
    return this.lists.evict();
  }

  private retire(flow: number): void {
    this.state[flow] = OLD;
    this.old.append(flow);
  }

  /** CoDel's dequeue (RFC 8289 section 5.5): the next frame of the flow that may go, or -1. */
  private codel(flow: number, now: number): number {
    let row = this.lists.pop(flow);
    let late = this.isLate(flow, row, now);
    if (this.dropping[flow]) {
      if (!late) this.dropping[flow] = 0;
      while (this.dropping[flow] && ((now - this.dropNext[flow]) | 0) >= 0) {
        this.drops[flow]++;
        if (this.mark(row)) {
          this.schedule(flow, this.dropNext[flow]);
          break;
        }
        row = this.drop(row, flow);
        late = this.isLate(flow, row, now);
        if (late) this.schedule(flow, this.dropNext[flow]);
        else this.dropping[flow] = 0;
      }
    } else if (late) {
      if (!this.mark(row)) {
        row = this.drop(row, flow);
        this.isLate(flow, row, now);
      }
      this.dropping[flow] = 1;
      // Soon after the last time it goes on where that ended.
      const recent = ((now - this.dropNext[flow]) | 0) < 16 * this.interval;
      const delta = this.drops[flow] - this.lastDrops[flow];
      this.drops[flow] = this.lastDrops[flow] = recent && delta > 1 ? delta : 1;
      this.schedule(flow, now);
    }
    return row;
  }

  /** Has the flow had a standing queue for an interval? */
  private isLate(flow: number, row: number, now: number): boolean {
    const lists = this.lists;
    const frames = lists.frames;
    if (row < 0 || ((now - frames.time(row)) | 0) < this.target || lists.bytes[flow] <= lists.quantum) {
      this.above[flow] = 0;
      return false;
    }
    if (this.above[flow] === 0) {
      this.above[flow] = (now + this.interval) | 0 || 1;
      return false;
    }
    return ((now - this.above[flow]) | 0) >= 0;
  }

  private mark(row: number): boolean {
    const lists = this.lists;
    const frames = lists.frames;
    if (!this.ecn || !markCongestion(frames.data(row), frames.start(row), frames.end(row), lists.ethernet))
      return false;
    lists.counters.marked++;
    return true;
  }

  private drop(row: number, flow: number): number {
    this.lists.frames.remove(row);
    this.lists.counters.late++;
    return this.lists.pop(flow);
  }

  private schedule(flow: number, from: number): void {
    const step = (this.interval / Math.sqrt(this.drops[flow]) + 0.5) | 0;
    this.dropNext[flow] = (from + (step || 1)) | 0;
  }
}

/** FQ-CoDel for `shaper().add`. Throws `EINVAL`. */
export function fqCodel(options: FqCodelOptions = {}): FqCodel {
  return new FqCodel(options);
}
