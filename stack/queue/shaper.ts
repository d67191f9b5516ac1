/**
 * Queueing on an interface's way out: a token bucket that sends no faster than `rate`, and a discipline that says what goes next
 * while the rest waits.
 *
 * The interface's link is replaced by one that queues, so an interface that is not shaped pays nothing. To shape what comes in, shape
 * the interface that it leaves by. The bucket may go below zero by one frame: none is too large for it.
 */
import type { Link, LinkOffloads, LinkReceiver, TransmitOffload } from "../../hypercall/link.js";
import { fail, requireInteger } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import { QueueCounters } from "./discipline.js";
import type { Discipline } from "./discipline.js";
import { Frames } from "./frames.js";

export interface ShaperOptions {
  /** `fifo()`, `drr()` or `fqCodel()`, for this interface alone. */
  discipline: Discipline;
  /** Bits a second, frames counted with their link header. Default 0: as fast as the link takes them. */
  rate?: number;
  /** Bytes that may go at once after a silence. Default what `rate` sends in 10 ms, and two large frames at the least. */
  burst?: number;
}

const LEAST_BURST = 3028;
/** Silence beyond this adds nothing, ms. */
const LONGEST = 60000;
/** Attempts to make room for a frame. */
const TRIES = 4;

export class ShapedLink implements Link {
  readonly medium: "ethernet" | "ip";
  readonly mtu: number;
  readonly mac?: Uint8Array;
  readonly offloads?: LinkOffloads;
  readonly headroom: number;
  readonly multicast?: (groups: Uint8Array, count: number) => void;
  readonly counters = new QueueCounters();
  readonly frames: Frames;
  private readonly timer: Timer;
  /** Bytes a millisecond; 0: no limit. */
  private readonly pace: number;
  private readonly burst: number;
  private tokens: number;
  private filled = 0;
  /** The frame that the link has refused, to be sent first; -1: none. */
  private held = -1;
  private blocked = false;

  constructor(
    private readonly stack: Stack,
    readonly nif: Interface,
    readonly link: Link,
    private readonly discipline: Discipline,
    rate: number,
    burst: number,
  ) {
    this.medium = link.medium;
    this.mtu = link.mtu;
    this.mac = link.mac;
    this.headroom = link.headroom || 0;
    const offloads = link.offloads;
    // Segments are cut before they queue, or one would hold up the others for as long as 64 KiB take.
    if (offloads && offloads.transmitChecksum) this.offloads = { transmitChecksum: true };
    if (link.multicast) this.multicast = (groups, count) => link.multicast!(groups, count);
    this.pace = rate / 8000;
    this.burst = this.tokens = burst;
    this.frames = new Frames(discipline.limit, this.headroom, stack.pool, stack.host.copy);
    this.timer = new Timer((queue: ShapedLink) => queue.run(), this);
    this.filled = stack.now();
    discipline.start(this.frames, hashOf(stack), link.medium === "ethernet", this.counters);
  }

  open(_receiver: LinkReceiver): void {
    // The link is open.
  }

  close(): void {
    this.clear();
    this.link.close();
  }

  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    const now = this.stack.now();
    if (this.frames.size === 0 && !this.blocked && this.refill(now)) {
      if (this.link.transmit(frame, start, end, offload) === 0) {
        this.sent(end - start);
        return 0;
      }
      this.refuse();
    }
    const counters = this.counters;
    let row = this.frames.put(frame, start, end, offload, now);
    for (let i = 0; row < 0 && i < TRIES; i++) {
      if (!this.discipline.evict()) break;
      row = this.frames.put(frame, start, end, offload, now);
    }
    if (row < 0) {
      if (this.frames.size < this.frames.limit) counters.noMemory++;
      else counters.dropped++;
      return 0;
    }
    counters.queued++;
    this.discipline.enqueue(row, now);
    this.run();
    return 0;
  }

  /** Sends what may be sent now. */
  run(): void {
    const frames = this.frames;
    const now = this.stack.now();
    while (frames.size > 0 && !this.blocked && this.refill(now)) {
      const row = this.held >= 0 ? this.held : this.discipline.dequeue(now);
      if (row < 0) break;
      this.held = -1;
      if (this.offer(row) !== 0) {
        this.held = row;
        this.refuse();
        return;
      }
      this.sent(frames.length(row));
      frames.remove(row);
    }
    if (frames.size > 0 && !this.blocked && this.timer.slot < 0) {
      const wait = ((-this.tokens / this.pace) | 0) + 1;
      this.stack.timers.set(this.timer, (now + wait) | 0);
    }
  }

  uses(discipline: Discipline): boolean {
    return this.discipline === discipline;
  }

  /** The link has room again. */
  writable(): void {
    this.blocked = false;
    this.run();
  }

  /** Forgets what waits. */
  clear(): void {
    this.stack.timers.clear(this.timer);
    const frames = this.frames;
    if (this.held >= 0) frames.remove(this.held);
    this.held = -1;
    this.blocked = false;
    // CoDel lets nothing go that is late: what it drops is gone as well.
    for (;;) {
      const row = this.discipline.dequeue(this.stack.now());
      if (row < 0) return;
      frames.remove(row);
    }
  }

  private offer(row: number): number {
    try {
      return this.frames.send(row, this.link);
    } catch (error) {
      // As Interface.transmit has it: a link that throws has lost the frame.
      this.nif.counters.txErrors++;
      this.stack.hostFault("transmit", error);
      return 0;
    }
  }

  private sent(length: number): void {
    this.counters.sent++;
    this.counters.bytes += length;
    if (this.pace > 0) this.tokens -= length;
  }

  private refuse(): void {
    this.blocked = true;
    this.counters.refused++;
  }

  /** May a frame go now? */
  private refill(now: number): boolean {
    if (this.pace === 0) return true;
    const elapsed = (now - this.filled) | 0;
    if (elapsed > 0) {
      this.filled = now;
      this.tokens += (elapsed < LONGEST ? elapsed : LONGEST) * this.pace;
      if (this.tokens > this.burst) this.tokens = this.burst;
    }
    return this.tokens > 0;
  }
}

export class Shaper implements Component {
  readonly name = "shaper";
  readonly queues: ShapedLink[] = [];
  private stack: Stack = null as never;

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "shaper");
    this.stack = stack;
    stack.onLinkWritable.push(() => {
      for (let i = 0; i < this.queues.length; i++) this.queues[i].writable();
    });
  }

  /**
   * Shapes what leaves by `nif`, from now on. What is returned has its `counters`. Errors: `EEXIST` it is shaped, `EINVAL`
   * a value, or an interface that was removed.
   */
  add(nif: Interface, options: ShaperOptions): ShapedLink {
    if (nif.removed) fail("EINVAL", "interface");
    if (this.find(nif)) fail("EEXIST", nif.name);
    const discipline = options.discipline;
    if (!discipline || typeof discipline.dequeue !== "function") fail("EINVAL", "discipline");
    for (let i = 0; i < this.queues.length; i++) {
      if (this.queues[i].uses(discipline)) fail("EINVAL", "discipline");
    }
    const rate = requireInteger(options.rate || 0, 0, 0x7fffffff, "rate");
    const usual = Math.floor(rate / 800);
    const least = usual > LEAST_BURST ? usual : LEAST_BURST;
    const burst = requireInteger(options.burst === undefined ? least : options.burst, 1, 0x7fffffff, "burst");
    const queue = new ShapedLink(this.stack, nif, nif.link, discipline, rate, burst);
    this.queues.push(queue);
    nif.link = queue;
    this.stack.changed();
    return queue;
  }

  /** Ends it; what waits is lost. Nothing happens where `nif` is not shaped. */
  remove(nif: Interface): void {
    const queue = this.find(nif);
    if (!queue) return;
    queue.clear();
    this.queues.splice(this.queues.indexOf(queue), 1);
    nif.link = queue.link;
    this.stack.changed();
  }

  /** The queue of an interface, or null. */
  find(nif: Interface): ShapedLink | null {
    for (let i = 0; i < this.queues.length; i++) if (this.queues[i].nif === nif) return this.queues[i];
    return null;
  }

  interfaceChanged(nif: Interface): void {
    const queue = nif.up() ? null : this.find(nif);
    if (queue) queue.clear();
  }

  interfaceRemoved(nif: Interface): void {
    this.remove(nif);
  }
}

/** Queues on interfaces' way out: see `Shaper.add`. */
export function shaper(): Shaper {
  return new Shaper();
}
