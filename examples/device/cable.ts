/** A cable in real time, inside this process: two links with delay, bandwidth and loss that may change while it carries. */
import { performance } from "node:perf_hooks";
import type { Link, LinkReceiver } from "../../hypercall/index.js";

export interface CableOptions {
  /** One-way delay, ms. */
  delay: number;
  /** Bandwidth, Mbit/s. */
  rate: number;
  /** Frames lost, percent. */
  loss: number;
}

/** Bytes that wait at an end for their turn; more are refused, and the stack sends them later. */
const QUEUE = 128 * 1024;

export class Cable {
  /** False: somebody has pulled it out. */
  up = true;
  readonly ends: readonly [CableEnd, CableEnd];

  constructor(readonly options: CableOptions) {
    const a = new CableEnd(this, Uint8Array.of(2, 0x0a, 0x51, 0, 0, 1));
    const b = new CableEnd(this, Uint8Array.of(2, 0x0a, 0x51, 0, 0, 2));
    a.peer = b;
    b.peer = a;
    this.ends = [a, b];
  }

  /** Pulls the cable out for `ms` milliseconds: what is on the way is lost, and both ends see the carrier go. */
  unplug(ms: number): void {
    if (!this.up) return;
    this.up = false;
    for (const end of this.ends) end.changed();
    setTimeout(() => {
      this.up = true;
      for (const end of this.ends) end.changed();
    }, ms).unref();
  }
}

class CableEnd implements Link {
  readonly medium = "ethernet";
  readonly mtu = 1500;
  peer: CableEnd = this;
  private receiver: LinkReceiver | null = null;
  /** Frames on their way, in the order of their arrival. */
  private queue: { due: number; frame: Uint8Array }[] = [];
  /** When the last frame will have left this end. */
  private free = 0;
  private timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  private refused = false;

  constructor(
    private readonly cable: Cable,
    readonly mac: Uint8Array,
  ) {}

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const { up, options } = this.cable;
    if (!up) return 0;
    const now = performance.now();
    const bytesPerMs = options.rate * 125;
    const length = end - start;
    const waiting = Math.max(0, this.free - now) * bytesPerMs;
    if (waiting + length > QUEUE) {
      if (!this.refused) setTimeout(() => this.drained(), waiting / 2 / bytesPerMs);
      this.refused = true;
      return -1;
    }
    this.free = Math.max(this.free, now) + length / bytesPerMs;
    if (Math.random() * 100 < options.loss) return 0;
    const last = this.queue.length > 0 ? this.queue[this.queue.length - 1].due : 0;
    this.queue.push({ due: Math.max(last, this.free + options.delay), frame: frame.slice(start, end) });
    if (this.timer === null) this.arm(now);
    return 0;
  }

  close(): void {
    this.receiver = null;
    this.queue = [];
  }

  changed(): void {
    this.queue = [];
    this.receiver?.carrier(this.cable.up);
  }

  private arm(now: number): void {
    const delay = this.queue[0].due - now;
    this.timer = delay < 1 ? setImmediate(() => this.deliver()) : setTimeout(() => this.deliver(), delay);
  }

  private deliver(): void {
    this.timer = null;
    const now = performance.now();
    const { queue } = this;
    let count = 0;
    // The peer's application may pull the cable out meanwhile.
    while (queue === this.queue && count < queue.length && queue[count].due <= now) {
      const { frame } = queue[count++];
      this.peer.receiver?.receive(frame, 0, frame.length);
    }
    queue.splice(0, count);
    if (this.queue.length > 0 && this.timer === null) this.arm(now);
  }

  private drained(): void {
    this.refused = false;
    this.receiver?.writable();
  }
}
