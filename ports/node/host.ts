/** Node.js as a host: the hypercalls over performance.now, node:crypto, and the event loop's timers. */
import { randomFillSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import { debuglog } from "node:util";
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { CryptoHypercalls, Hypercalls } from "../../hypercall/index.js";
import { batchedRandom } from "../random.js";
import { accelerator } from "../wasm/accelerator.js";
import { nodeCrypto } from "./crypto.js";
import { systemError } from "./errors.js";

export interface NodeHostOptions {
  /** Takes the stack's lines for people. Default: `util.debuglog`, which prints them with NODE_DEBUG=anystack. */
  log?: (message: string) => void;
  /** Fills `target` with random bytes and returns true. Default: `crypto.randomFillSync`. */
  random?: (target: Uint8Array) => boolean;
  /**
   * Takes what a callback of the application threw. Default: the error is thrown again from a task of its own, so that it ends
   * the process as an uncaught exception, like the bug in any other callback of Node.
   */
  panic?: (message: string, error: unknown) => void;
  /** Packet memory in WebAssembly, and checksums by vectors over it. Default true; without it (or vectors) checksums are plain JS. */
  accelerate?: boolean;
  /** Ciphers for IPsec. Default: `nodeCrypto()`, those of node:crypto; `opensslCrypto()` is faster. */
  crypto?: CryptoHypercalls;
}

/** The longest delay that setTimeout knows, ms. Waking early is harmless. */
const LONGEST_TIMEOUT = 0x7fffffff;

/** The hypercalls of one stack. Made by `nodeHost`. */
export class NodeHost implements Hypercalls {
  readonly version = HYPERCALL_VERSION;
  readonly checksum: NonNullable<Hypercalls["checksum"]>;
  readonly allocate: (size: number) => Uint8Array;
  readonly copy: NonNullable<Hypercalls["copy"]>;
  readonly log: (message: string) => void;
  readonly panic: (message: string, error: unknown) => void;
  readonly random: (target: Uint8Array) => boolean;
  readonly crypto: CryptoHypercalls;
  private driven: { poll(): void } | null = null;
  private timeout: NodeJS.Timeout | null = null;
  private immediate: NodeJS.Immediate | null = null;
  private referenced = true;
  private readonly alarm = (): void => {
    this.timeout = this.immediate = null;
    if (!this.driven) throw systemError("EINVAL", "nobody polls the stack: call host.drive(stack)");
    this.driven.poll();
  };

  constructor(options: NodeHostOptions) {
    this.log = options.log ?? debuglog("anystack");
    this.panic = options.panic ?? throwLater;
    this.random = options.random ?? fillRandom;
    this.crypto = options.crypto ?? nodeCrypto();
    const { allocate, checksum, copy } = accelerator(options.accelerate !== false);
    this.allocate = allocate;
    this.checksum = checksum;
    this.copy = copy;
  }

  /**
   * Says whose `poll` the wake-ups call, once for a host: `const stack = host.drive(createStack(host, [...]))`. A host that
   * drives nobody throws an uncaught `EINVAL` as soon as a wake-up is asked for. Throws `EBUSY` for a second stack.
   */
  drive<T extends { poll(): void }>(stack: T): T {
    if (this.driven && this.driven !== stack) throw systemError("EBUSY", "the host drives another stack");
    this.driven = stack;
    return stack;
  }

  now(): number {
    return performance.now();
  }

  wake(delay: number): void {
    if (this.timeout) clearTimeout(this.timeout);
    if (this.immediate) clearImmediate(this.immediate);
    this.timeout = this.immediate = null;
    if (delay < 0) return;
    // What is due comes with the next turn; setTimeout sleeps for a millisecond at the least, for which a loop must not turn. Without a
    // stack the alarm comes at once: an hour later nobody would know why.
    if (delay < 1 || !this.driven) this.immediate = setImmediate(this.alarm);
    else this.timeout = setTimeout(this.alarm, delay < LONGEST_TIMEOUT ? delay : LONGEST_TIMEOUT);
    if (!this.referenced) this.unref();
  }

  /** Lets the process end although the stack has asked for a wake-up. */
  unref(): this {
    this.referenced = false;
    this.timeout?.unref();
    this.immediate?.unref();
    return this;
  }

  /** A wake-up that is pending keeps the process alive. That is the default. */
  ref(): this {
    this.referenced = true;
    this.timeout?.ref();
    this.immediate?.ref();
    return this;
  }
}

function throwLater(_message: string, error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

const fillRandom = batchedRandom(randomFillSync);

/**
 * Node.js as a host for one stack:
 *
 * ```ts
 * const host = nodeHost();
 * const stack = host.drive(createStack(host, [ethernet(), arp(), ipv4(), icmp()]));
 * ```
 */
export function nodeHost(options: NodeHostOptions = {}): NodeHost {
  return new NodeHost(options);
}
