/**
 * The contract between the stack and its host: five functions that every host has, and a few that it may have.
 *
 * A port implements `Hypercalls` once and one `Link` (see link.ts) for each network interface; nothing else of the
 * host is ever asked for. Any call may fail: the stack catches what it throws, checks what it returns, counts the
 * fault under `stack.counters.host`, and goes on.
 */
import type { CryptoHypercalls } from "./crypto.js";

export type { Link, LinkReceiver, LinkOffloads, TransmitOffload } from "./link.js";
export {
  CHECKSUM_NONE,
  CHECKSUM_VERIFIED,
  CHECKSUM_PARTIAL,
  SEGMENT_NONE,
  SEGMENT_TCP4,
  SEGMENT_TCP6,
} from "./link.js";
export type {
  Certificate,
  Cipher,
  CipherJob,
  CryptoHypercalls,
  Digest,
  KeyExchange,
  SigningKey,
} from "./crypto.js";
export { CIPHER_DONE, CIPHER_FAILED, CIPHER_PENDING } from "./crypto.js";

/** Version of this contract. A stack refuses (`EPROTONOSUPPORT`) a host whose `version` differs. */
export const HYPERCALL_VERSION = 1;

export interface Hypercalls {
  /** The `HYPERCALL_VERSION` that the host was written for. */
  readonly version: number;

  /**
   * Monotonic time in milliseconds. Any origin; a fraction is allowed; a counter of 32 bits that wraps is allowed. It must
   * not follow changes of the wall clock. Called several times a packet batch: it should cost well under a microsecond.
   */
  now(): number;

  /**
   * Fills all bytes of `target` with cryptographically secure random bytes and returns `true`. A host that has no entropy
   * (yet) returns `false` or throws: what needs secrets (TCP, DNS, ...) then refuses to start instead of guessing.
   */
  random(target: Uint8Array): boolean;

  /**
   * Asks the host to call `stack.poll()` in `delay` milliseconds (an integer >= 0), or somewhat later. One request is
   * pending at a time: a new one replaces the last. A negative `delay` cancels it. Waking early or too often is harmless.
   */
  wake(delay: number): void;

  /** Takes a line for people: what was refused and why. Never called on the packet path. */
  log?(message: string): void;

  /**
   * Takes an error that is nobody's answer: a callback of the application threw (`error` is what it threw). The stack's own
   * state is sound and it goes on when this returns.
   */
  panic?(message: string, error: unknown): void;

  /**
   * Accelerator: memory for packets, `size` bytes, zeroed. Without it the stack uses `new Uint8Array(size)`. A host whose
   * checksum or DMA works on a memory of its own gives views into that.
   */
  allocate?(size: number): Uint8Array;

  /**
   * Accelerator: the Internet checksum's one's-complement sum (RFC 1071) of `data[start..end)` read as big-endian 16-bit
   * words, an odd last byte padded with zero, added to `initial` (0..0xffff), folded to 16 bits and not complemented.
   */
  checksum?(data: Uint8Array, start: number, end: number, initial: number): number;

  /**
   * Accelerator: copies `length` bytes from `source[sourceStart..]` to `target[targetStart..]`. The ranges never overlap.
   * Without it the stack uses `target.set(source.subarray(...))`.
   */
  copy?(
    target: Uint8Array,
    targetStart: number,
    source: Uint8Array,
    sourceStart: number,
    length: number,
  ): void;

  /** Ciphers by name, for components that need them (IPsec, see crypto.ts). The stack holds no cipher of its own. */
  readonly crypto?: CryptoHypercalls;
}
