/** A browser as a host, in a page or a worker: the hypercalls over performance.now, Web Crypto, and timers. */
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { Hypercalls } from "../../hypercall/index.js";
import { copyBytes } from "../../stack/core/bytes.js";
import { wordSum } from "../../stack/core/checksum-words.js";
import { fail } from "../../stack/core/errors.js";
import { wasmAccelerator } from "../wasm/accelerator.js";

export interface BrowserHostOptions {
  /** Takes the stack's lines for people. Default: `console.debug`. */
  log?: (message: string) => void;
  /** Fills `target` with random bytes and returns true. Default: `crypto.getRandomValues`. */
  random?: (target: Uint8Array) => boolean;
  /** Takes what a callback of the application threw. Default: `reportError`, which fires the window's "error" event. */
  panic?: (message: string, error: unknown) => void;
  /**
   * Packet memory in WebAssembly, and checksums by vectors over it. Default true; without it, without vectors, or where the
   * page's Content-Security-Policy forbids `wasm-unsafe-eval`, checksums are plain JS.
   */
  accelerate?: boolean;
}

/** What one call of getRandomValues gives (Web Cryptography API, section 10.1.1). */
const RANDOM_QUOTA = 65536;
/** Random bytes are taken this many at a time: a call costs the same whatever its size. */
const RANDOM_BATCH = 4096;
/** A request for more than this goes to Web Crypto directly. */
const RANDOM_SMALL = 256;
/** The longest delay that setTimeout knows, ms. Waking early is harmless. */
const LONGEST_TIMEOUT = 0x7fffffff;
/** A nested setTimeout sleeps for 4 ms at the least (HTML, section 8.7): below that a message to ourselves is the alarm. */
const SHORTEST_TIMEOUT = 4;

/** The hypercalls of one stack. Made by `browserHost`. */
export class BrowserHost implements Hypercalls {
  readonly version = HYPERCALL_VERSION;
  readonly checksum: NonNullable<Hypercalls["checksum"]>;
  readonly allocate: (size: number) => Uint8Array;
  readonly copy: NonNullable<Hypercalls["copy"]>;
  readonly log: (message: string) => void;
  readonly panic: (message: string, error: unknown) => void;
  readonly random: (target: Uint8Array) => boolean;
  private driven: { poll(): void } | null = null;
  private timeout: ReturnType<typeof setTimeout> | null = null;
  /** The message that is the alarm, by number: older ones are not heard. */
  private message = 0;
  private readonly channel = new MessageChannel();

  constructor(options: BrowserHostOptions) {
    this.log = options.log ?? ((message) => console.debug(message));
    this.panic = options.panic ?? reportLater;
    this.random = options.random ?? randomBytes();
    const accelerator = options.accelerate === false ? null : wasmAccelerator();
    this.checksum = accelerator ? accelerator.checksum : wordSum;
    this.copy = accelerator ? accelerator.copy : copyBytes;
    this.allocate = accelerator ? accelerator.allocate : (size) => new Uint8Array(size);
    this.channel.port1.onmessage = ({ data }) => {
      if (data === this.message) this.alarm();
    };
  }

  /**
   * Says whose `poll` the wake-ups call, once for a host: `const stack = host.drive(createStack(host, [...]))`. A host that
   * drives nobody reports `EINVAL` as soon as a wake-up is asked for. Throws `EBUSY` for a second stack.
   */
  drive<T extends { poll(): void }>(stack: T): T {
    if (this.driven && this.driven !== stack) fail("EBUSY", "the host drives another stack");
    this.driven = stack;
    return stack;
  }

  now(): number {
    return performance.now();
  }

  wake(delay: number): void {
    if (this.timeout !== null) clearTimeout(this.timeout);
    this.timeout = null;
    this.message++;
    if (delay < 0) return;
    // Without a stack the alarm comes at once: an hour later nobody would know why.
    if (delay < SHORTEST_TIMEOUT || !this.driven) this.channel.port2.postMessage(this.message);
    else this.timeout = setTimeout(() => this.alarm(), delay < LONGEST_TIMEOUT ? delay : LONGEST_TIMEOUT);
  }

  /** Gives the timers back. The stack is closed first. Legal twice. */
  close(): void {
    this.wake(-1);
    this.channel.port1.close();
  }

  private alarm(): void {
    this.timeout = null;
    if (this.driven) this.driven.poll();
    else fail("EINVAL", "nobody polls the stack: call host.drive(stack)");
  }
}

function reportLater(_message: string, error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** `random` of one host. A page without Web Crypto has none: TCP and DNS then refuse to start. */
function randomBytes(): (target: Uint8Array) => boolean {
  const pool = new Uint8Array(RANDOM_BATCH);
  let left = 0;
  return (target) => {
    const length = target.length;
    if (typeof crypto === "undefined") return false;
    if (length > RANDOM_SMALL) {
      // What getRandomValues fills may lie in no memory that is shared: a copy always can.
      for (let at = 0; at < length; at += RANDOM_QUOTA) {
        const piece = new Uint8Array(Math.min(RANDOM_QUOTA, length - at));
        target.set(crypto.getRandomValues(piece), at);
        piece.fill(0);
      }
      return true;
    }
    if (left < length) {
      crypto.getRandomValues(pool);
      left = RANDOM_BATCH;
    }
    left -= length;
    target.set(pool.subarray(left, left + length));
    // What was handed out is a secret now.
    pool.fill(0, left, left + length);
    return true;
  };
}

/**
 * A browser as a host for one stack:
 *
 * ```ts
 * const host = browserHost();
 * const stack = host.drive(createStack(host, [ethernet(), arp(), ipv4(), icmp()]));
 * ```
 *
 * A page in the background is woken once a second, or once a minute, by its browser: put a stack that must go on into a worker.
 */
export function browserHost(options: BrowserHostOptions = {}): BrowserHost {
  return new BrowserHost(options);
}
