/** A browser as a host, in a page or a worker: the hypercalls over performance.now, Web Crypto, and timers. */
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { CryptoHypercalls, Hypercalls } from "../../hypercall/index.js";
import { fail } from "../../stack/core/errors.js";
import { batchedRandom } from "../random.js";
import { accelerator } from "../wasm/accelerator.js";

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
  /** Ciphers for IPsec, as `nobleCrypto()` of port `noble` has them. Default: none, so that a page without IPsec loads none. */
  crypto?: CryptoHypercalls;
}

/** What one call of getRandomValues gives (Web Cryptography API, section 10.1.1). */
const RANDOM_QUOTA = 65536;
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
  readonly crypto?: CryptoHypercalls;
  private driven: { poll(): void } | null = null;
  private timeout: ReturnType<typeof setTimeout> | null = null;
  /** The message that is the alarm, by number: older ones are not heard. */
  private message = 0;
  private readonly channel = new MessageChannel();

  constructor(options: BrowserHostOptions) {
    this.log = options.log ?? ((message) => console.debug(message));
    this.panic = options.panic ?? reportLater;
    this.random = options.random ?? randomBytes();
    if (options.crypto) this.crypto = options.crypto;
    const { allocate, checksum, copy } = accelerator(options.accelerate !== false);
    this.allocate = allocate;
    this.checksum = checksum;
    this.copy = copy;
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
  const random = batchedRandom(fill);
  return (target) => typeof crypto !== "undefined" && random(target);
}

function fill(target: Uint8Array): void {
  for (let at = 0; at < target.length; at += RANDOM_QUOTA) {
    // What getRandomValues fills may lie in no memory that is shared: a copy always can.
    const piece = new Uint8Array(Math.min(RANDOM_QUOTA, target.length - at));
    target.set(crypto.getRandomValues(piece), at);
    piece.fill(0);
  }
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
