/** The seam between a shaped interface and the order in which its frames leave: fifo.ts, drr.ts, fq-codel.ts. */
import type { SipHash } from "../core/hash.js";
import type { Frames } from "./frames.js";

/** What a queue counts: `shape.find(nif).counters`. */
export class QueueCounters {
  /** Frames that the link has taken, and their bytes; those that did not have to wait are among them. */
  sent = 0;
  bytes = 0;
  /** Frames that waited. */
  queued = 0;
  /** Dropped because the queue was full. */
  dropped = 0;
  /** Dropped because there was no memory. */
  noMemory = 0;
  /** Dropped because they had waited too long (CoDel). */
  late = 0;
  /** Marked instead: their transport knows ECN. */
  marked = 0;
  /** How often the link had no room. */
  refused = 0;
}

/** Says which frame is next. It belongs to one interface. */
export interface Discipline {
  /** Frames that it wants to keep at most. */
  readonly limit: number;
  start(frames: Frames, hash: SipHash, ethernet: boolean, counters: QueueCounters): void;
  /** Takes a frame. */
  enqueue(row: number, now: number): void;
  /** The frame whose turn it is, no longer in any list; -1: there is none. */
  dequeue(now: number): number;
  /** There is no room for one that has come: drops frames of others and counts them. False: it is the one to go. */
  evict(): boolean;
}
