/** Queues by flow, each first in, first out: what DRR and FQ-CoDel have in common. Flows are told apart by a keyed hash. */
import { requireInteger } from "../core/errors.js";
import type { SipHash } from "../core/hash.js";
import { flowHash } from "./classify.js";
import type { QueueCounters } from "./discipline.js";
import type { Frames } from "./frames.js";

export interface FlowOptions {
  /** Frames that wait at most; then the flow with most bytes loses some. Default 1024. */
  limit?: number;
  /** Queues; flows whose hashes meet share one. Default 256. */
  flows?: number;
  /** Bytes that a flow may send before it is another's turn. Default 1514. */
  quantum?: number;
}

/** Frames that are dropped at once at the most, when there is no room: the search for the fattest flow is worth it then. */
const BATCH = 64;

export class FlowLists {
  readonly limit: number;
  readonly quantum: number;
  readonly count: number;
  /** By flow: the bytes that wait, and those that it may still send. */
  readonly bytes: Int32Array;
  readonly deficit: Int32Array;
  frames: Frames = null as never;
  counters: QueueCounters = null as never;
  ethernet = false;
  private readonly first: Int32Array;
  private readonly last: Int32Array;
  private hash: SipHash = null as never;

  constructor(options: FlowOptions) {
    this.limit = requireInteger(options.limit === undefined ? 1024 : options.limit, 1, 65536, "limit");
    this.count = requireInteger(options.flows === undefined ? 256 : options.flows, 1, 65536, "flows");
    this.quantum = requireInteger(
      options.quantum === undefined ? 1514 : options.quantum,
      64,
      65536,
      "quantum",
    );
    this.bytes = new Int32Array(this.count);
    this.deficit = new Int32Array(this.count);
    this.first = new Int32Array(this.count);
    this.last = new Int32Array(this.count);
    for (let i = 0; i < this.count; i++) this.first[i] = -1;
  }

  start(frames: Frames, hash: SipHash, ethernet: boolean, counters: QueueCounters): void {
    this.frames = frames;
    this.hash = hash;
    this.ethernet = ethernet;
    this.counters = counters;
  }

  /** Appends a frame to the queue of its flow, which is returned. */
  push(row: number): number {
    const frames = this.frames;
    const hash = flowHash(this.hash, frames.data(row), frames.start(row), frames.end(row), this.ethernet);
    const flow = (hash >>> 1) % this.count;
    frames.setFlow(row, flow);
    if (this.first[flow] < 0) this.first[flow] = row;
    else frames.link(this.last[flow], row);
    this.last[flow] = row;
    this.bytes[flow] += frames.length(row);
    return flow;
  }

  /** Takes the oldest frame of a flow; -1: it has none. */
  pop(flow: number): number {
    const row = this.first[flow];
    if (row < 0) return -1;
    this.first[flow] = this.frames.next(row);
    this.bytes[flow] -= this.frames.length(row);
    return row;
  }

  /** Drops the oldest frames of the flow that has most bytes, half of them or BATCH (RFC 8290 section 4.1). */
  evict(): boolean {
    const bytes = this.bytes;
    let fattest = 0;
    for (let i = 1; i < this.count; i++) if (bytes[i] > bytes[fattest]) fattest = i;
    const enough = bytes[fattest] >> 1;
    for (let i = 0; i < BATCH; i++) {
      const row = this.pop(fattest);
      if (row < 0) return i > 0;
      this.frames.remove(row);
      this.counters.dropped++;
      if (bytes[fattest] <= enough) break;
    }
    return true;
  }
}

/** Flows in the order of their turns: a list over one array of links. A flow is in one list at a time. */
export class Turns {
  first = -1;
  private last = -1;

  constructor(private readonly next: Int32Array) {}

  append(flow: number): void {
    this.next[flow] = -1;
    if (this.first < 0) this.first = flow;
    else this.next[this.last] = flow;
    this.last = flow;
  }

  shift(): number {
    const flow = this.first;
    if (flow >= 0) this.first = this.next[flow];
    return flow;
  }
}
