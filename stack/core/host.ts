/** The host as the stack sees it: every hypercall behind a check, since any of them may throw, return nothing or lie. */
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { Hypercalls } from "../../hypercall/index.js";
import { copyBytes } from "./bytes.js";
import type { Copy } from "./bytes.js";
import { sum } from "./checksum.js";
import type { Sum } from "./checksum.js";
import { fail } from "./errors.js";

/** Faults of the host, by hypercall. */
export class HostCounters {
  /** `now` threw, went back, or gave no number: time stood still for that call. */
  clock = 0;
  random = 0;
  wake = 0;
  /** A link's `transmit` threw. */
  transmit = 0;
  allocate = 0;
  /** `copy` threw, or `checksum` threw or returned no 16-bit sum: the stack did it itself. */
  accelerator = 0;
  /** A callback of the application threw. */
  callback = 0;
}

/** Random bytes are taken from the host this many at a time. */
const RANDOM_BATCH = 64;

export class Host {
  readonly counters = new HostCounters();
  readonly copy: Copy;
  readonly sum: Sum;
  private time = 0;
  private last = 0;
  private readonly entropy = new Uint8Array(RANDOM_BATCH);
  private left = 0;
  /** State of the generator that makes jitter, and jitter alone, where the host has no entropy. */
  private jitter = 1;

  constructor(readonly calls: Hypercalls) {
    if (calls.version !== HYPERCALL_VERSION) fail("EPROTONOSUPPORT", "hypercall version");
    this.copy = calls.copy
      ? (target, targetStart, source, sourceStart, length) => {
          try {
            (calls.copy as Copy)(target, targetStart, source, sourceStart, length);
          } catch {
            this.counters.accelerator++;
            copyBytes(target, targetStart, source, sourceStart, length);
          }
        }
      : copyBytes;
    this.sum = calls.checksum
      ? (data, start, end, initial) => {
          try {
            const result = (calls.checksum as Sum)(data, start, end, initial);
            if (result >= 0 && result <= 0xffff) return result;
          } catch {
            // As if it had returned nothing.
          }
          this.counters.accelerator++;
          return sum(data, start, end, initial);
        }
      : sum;
    this.last = this.read();
  }

  /** Stack time: int32 milliseconds that wrap, never go back, and stand still while the host's clock misbehaves. */
  now(): number {
    const read = this.read();
    const elapsed = (read - this.last) | 0;
    this.last = read;
    if (elapsed > 0) this.time = (this.time + elapsed) | 0;
    else if (elapsed < 0) this.counters.clock++;
    return this.time;
  }

  /** Fills `target` with random bytes; false when the host has none: then nothing secret may be made. */
  random(target: Uint8Array): boolean {
    try {
      if (this.calls.random(target) === true) return true;
    } catch (error) {
      this.log("random threw: " + error);
    }
    this.counters.random++;
    return false;
  }

  /** Makes sure that the next `bytes` (<= 64) of `random16` and `random32` are fresh random; false: there are none. */
  secure(bytes: number): boolean {
    if (this.left >= bytes) return true;
    if (!this.random(this.entropy)) return false;
    this.left = RANDOM_BATCH;
    return true;
  }

  /** 16 random bits. Secrets call `secure(2)` before; without it they fall back to bits that serve as jitter only. */
  random16(): number {
    // Nothing is put into the store of entropy: `secure` must not take it for random later.
    if (this.left < 2 && !this.secure(2)) return (this.jitter = (this.jitter * 75 + 74) % 65537) & 0xffff;
    this.left -= 2;
    return (this.entropy[this.left] << 8) | this.entropy[this.left + 1];
  }

  /** 32 random bits as an int32; see `random16`. */
  random32(): number {
    return (this.random16() << 16) | this.random16();
  }

  /** A random integer in `0..range-1`, `range` <= 65536; the bias is below range / 2^32. */
  randomBelow(range: number): number {
    return (this.random32() >>> 0) % range;
  }

  wake(delay: number): void {
    try {
      this.calls.wake(delay);
    } catch (error) {
      this.counters.wake++;
      this.log("wake threw: " + error);
    }
  }

  /** Packet memory of `size` bytes, or null. */
  allocate(size: number): Uint8Array | null {
    try {
      const memory = this.calls.allocate ? this.calls.allocate(size) : new Uint8Array(size);
      if (memory && memory.length === size) return memory;
    } catch (error) {
      this.log("allocate threw: " + error);
    }
    this.counters.allocate++;
    return null;
  }

  log(message: string): void {
    try {
      if (this.calls.log) this.calls.log(message);
    } catch {
      // A log that fails has nobody left to tell.
    }
  }

  /** Reports what a callback of the application threw. */
  panic(error: unknown): void {
    this.counters.callback++;
    try {
      if (this.calls.panic) this.calls.panic("callback threw", error);
      else this.log("callback threw: " + error);
    } catch {
      // As above.
    }
  }

  private read(): number {
    try {
      const now = this.calls.now();
      if (now - now === 0) return now | 0;
    } catch (error) {
      this.log("now threw: " + error);
    }
    this.counters.clock++;
    return this.last;
  }
}
