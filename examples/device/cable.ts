/** A cable in real time: two links with delay, bandwidth and loss, inside this process. */
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

/** Bytes that wait at an end of the cable; more are refused, and the stack tries again. */
const QUEUE = 256 * 1024;

class CableEnd implements Link {
  readonly medium = "ethernet";
  readonly mtu = 1500;
  peer: CableEnd = this;
  receiver: LinkReceiver | null = null;
  private readonly queue: { due: number; frame: Uint8Array }[] = [];
  private waiting = 0;
  private free = 0;
  private full = false;
  private timer: NodeJS.Timeout | NodeJS.Immediate | null = null;

  constructor(
    readonly mac: Uint8Array,
    private readonly options: CableOptions,
  ) {}

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (this.waiting + length > QUEUE) {
      this.full = true;
      return -1;
    }
    const now = performance.now();
    this.free = Math.max(this.free, now) + (length * 8) / (this.options.rate * 1000);
    if (Math.random() * 100 < this.options.loss) return 0;
    this.waiting += length;
    this.queue.push({ due: this.free + this.options.delay, frame: frame.slice(start, end) });
    if (this.timer === null) this.arm(now);
    return 0;
  }

  close(): void {
    this.receiver = null;
    this.queue.length = 0;
    this.waiting = 0;
  }

  private arm(now: number): void {
    const delay = this.queue[0].due - now;
    this.timer = delay < 1 ? setImmediate(() => this.deliver()) : setTimeout(() => this.deliver(), delay);
  }

  private deliver(): void {
    this.timer = null;
    const now = performance.now();
    let count = 0;
    while (count < this.queue.length && this.queue[count].due <= now) {
      const { frame } = this.queue[count++];
      this.waiting -= frame.length;
      this.peer.receiver?.receive(frame, 0, frame.length);
    }
    this.queue.splice(0, count);
    if (this.queue.length > 0) this.arm(now);
    if (this.full && this.waiting < QUEUE / 2) {
      this.full = false;
      this.receiver?.writable();
    }
  }
}

/** The two ends of a cable. */
export function cable(options: CableOptions): [Link, Link] {
  const a = new CableEnd(Uint8Array.of(2, 0x0a, 0x51, 0, 0, 1), options);
  const b = new CableEnd(Uint8Array.of(2, 0x0a, 0x51, 0, 0, 2), options);
  a.peer = b;
  b.peer = a;
  return [a, b];
}
