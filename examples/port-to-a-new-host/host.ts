/** Step 1 of the porting guide: the hypercalls of a host that has no timers and no events, only a loop that goes round. */
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { Hypercalls } from "../../hypercall/index.js";

/** What goes round with the loop: a link that has to be looked at. */
export interface Polled {
  poll(): void;
}

export class LoopHost implements Hypercalls {
  readonly version = HYPERCALL_VERSION;
  private driven: Polled | null = null;
  private readonly links: Polled[] = [];
  /** When to call `poll`, by `now`; meaningful while `armed`. */
  private due = 0;
  private armed = false;

  /**
   * @param clock milliseconds, monotonic
   * @param entropy fills an array with random bytes; throws without any
   */
  constructor(
    private readonly clock: () => number,
    private readonly entropy: (target: Uint8Array) => void,
    private readonly print: (line: string) => void = () => {},
  ) {}

  now(): number {
    return this.clock();
  }

  random(target: Uint8Array): boolean {
    this.entropy(target);
    return true;
  }

  wake(delay: number): void {
    this.armed = delay >= 0;
    this.due = this.clock() + delay;
  }

  log(message: string): void {
    this.print(message);
  }

  panic(message: string, error: unknown): void {
    this.print(`${message}: ${error}`);
  }

  /** Says whose `poll` the wake-ups call, and which links go round. */
  drive<T extends Polled>(stack: T, ...links: Polled[]): T {
    this.driven = stack;
    this.links.push(...links);
    return stack;
  }

  /** Once round. Call it as often as you can; nothing is lost when it comes late, except time. */
  turn(): void {
    for (const link of this.links) link.poll();
    if (!this.armed || this.clock() < this.due) return;
    // The stack asks anew inside `poll`.
    this.armed = false;
    this.driven?.poll();
  }

  /** Milliseconds until something is due, for a processor that may sleep until then or until a byte arrives. */
  idle(): number {
    return this.armed ? Math.max(this.due - this.clock(), 0) : Infinity;
  }
}
