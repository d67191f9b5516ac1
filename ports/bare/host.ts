/** Bare metal as a host: the hypercalls over the dozen C functions of bare.h, and the main loop. */
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { CryptoHypercalls, Hypercalls } from "../../hypercall/index.js";
import { fail } from "../../stack/core/errors.js";
import type { BareCalls } from "./calls.js";
import { bareCrypto } from "./crypto.js";
import { BareLink } from "./link.js";

/** Frames that a link may deliver before timers and the other links have their turn. */
const BATCH = 16;
/** How soon room is looked for again after a frame was refused, ms: a board need not wake for that. */
const ROOM_DELAY = 2;
/** The longest sleep, ms: the clock's wrap must not pass unseen. */
const LONGEST = 0x3fffffff;

/** The hypercalls of one stack. Made by `bareHost`. */
export class BareHost implements Hypercalls {
  readonly version = HYPERCALL_VERSION;
  readonly checksum?: (data: Uint8Array, start: number, end: number, initial: number) => number;
  readonly copy?: Hypercalls["copy"];
  readonly crypto?: CryptoHypercalls;
  private readonly links: BareLink[] = [];
  private driven: { poll(): void } | null = null;
  private waking = false;
  private wakeAt = 0;

  constructor(private readonly calls: BareCalls) {
    if (calls.checksum)
      this.checksum = (data, start, end, initial) => calls.checksum!(data, start, end, initial);
    if (calls.copy) {
      this.copy = (target, targetStart, source, sourceStart, length) =>
        calls.copy!(target, targetStart, source, sourceStart, length);
    }
    if (calls.cipherOpen) this.crypto = bareCrypto(calls);
  }

  now(): number {
    return this.calls.now() | 0;
  }

  random(target: Uint8Array): boolean {
    return this.calls.random(target) === true;
  }

  wake(delay: number): void {
    this.waking = delay >= 0;
    this.wakeAt = (this.now() + delay) | 0;
  }

  log(message: string): void {
    this.calls.log(message);
  }

  panic(message: string, error: unknown): void {
    if (this.calls.panic) this.calls.panic(message, error);
    else this.calls.log(message + ": " + error);
  }

  /** The board's link number `index`, closed. Errors (thrown): `ENODEV` the board has none of that number. */
  link(index = 0): BareLink {
    const about = new Uint8Array(8);
    if (!this.calls.link(index, about)) fail("ENODEV", "link " + index);
    const link = new BareLink(this.calls, index, about);
    this.links.push(link);
    return link;
  }

  /** Says whose `poll` the wake-ups call. Errors (thrown): `EBUSY` the host drives another stack. */
  drive<T extends { poll(): void }>(stack: T): T {
    if (this.driven && this.driven !== (stack as { poll(): void }))
      fail("EBUSY", "the host drives another stack");
    this.driven = stack;
    return stack;
  }

  /**
   * Does what there is to do, a batch of frames at most, and returns how long the board may sleep then, in ms; -1: until a frame
   * comes. For a board that has a main loop of its own; the others call `run`.
   */
  step(): number {
    let more = false;
    let blocked = false;
    for (let i = 0; i < this.links.length; i++) {
      const link = this.links[i];
      if (link.poll(BATCH)) more = true;
      if (link.blocked) blocked = true;
    }
    if (this.waking && ((this.wakeAt - this.now()) | 0) <= 0) {
      this.waking = false;
      if (this.driven) this.driven.poll();
      else fail("EINVAL", "nobody polls the stack: call host.drive(stack)");
    }
    if (more) return 0;
    let delay = -1;
    if (this.waking) {
      delay = (this.wakeAt - this.now()) | 0;
      if (delay < 0) delay = 0;
      else if (delay > LONGEST) delay = LONGEST;
    }
    return blocked && (delay < 0 || delay > ROOM_DELAY) ? ROOM_DELAY : delay;
  }

  /** The main loop: returns when `bare_idle` has returned false. */
  run(): void {
    while (this.calls.idle(this.step())) {
      // All is done in the condition.
    }
  }
}

/**
 * Bare metal as a host for one stack:
 *
 * ```ts
 * const host = bareHost(calls);
 * const stack = host.drive(createStack(host, [ethernet(), arp(), ip, icmp()]));
 * stack.addInterface(host.link());
 * host.run();
 * ```
 */
export function bareHost(calls: BareCalls): BareHost {
  return new BareHost(calls);
}
