/**
 * SipHash (Aumasson, Bernstein 2012) over 32-bit words: the keyed hash of tables, initial sequence numbers and ports. A stack
 * whose components want none carries none: see `hashOf`.
 *
 * 64-bit lanes are pairs of int32. SipHash-1-3 serves tables, SipHash-2-4 secrets. Nothing is allocated: words are fed one by
 * one, the result is `low` (and `high`).
 */
import type { Stack } from "./stack.js";

export class SipHash {
  /** Lower and upper half of the last result. */
  low = 0;
  high = 0;
  private k0 = 0;
  private k1 = 0;
  private k2 = 0;
  private k3 = 0;
  private v0 = 0;
  private v1 = 0;
  private v2 = 0;
  private v3 = 0;
  private v4 = 0;
  private v5 = 0;
  private v6 = 0;
  private v7 = 0;
  private rounds = 1;
  /** Its key is random. */
  seeded = false;
  private count = 0;
  private half = 0;

  /** Takes 16 bytes of key. */
  key(bytes: Uint8Array): void {
    const word = (i: number) => bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    this.k0 = word(0);
    this.k1 = word(4);
    this.k2 = word(8);
    this.k3 = word(12);
  }

  /** Starts a hash: `rounds` 1 for tables (SipHash-1-3), 2 for secrets (SipHash-2-4). */
  begin(rounds: number): void {
    this.rounds = rounds;
    this.count = 0;
    this.v0 = this.k0 ^ 0x70736575;
    this.v1 = this.k1 ^ 0x736f6d65;
    this.v2 = this.k2 ^ 0x6e646f6d;
    this.v3 = this.k3 ^ 0x646f7261;
    this.v4 = this.k0 ^ 0x6e657261;
    this.v5 = this.k1 ^ 0x6c796765;
    this.v6 = this.k2 ^ 0x79746573;
    this.v7 = this.k3 ^ 0x74656462;
  }

  /** Feeds 32 bits. */
  word(value: number): void {
    if (this.count++ & 1) this.block(this.half, value);
    else this.half = value;
  }

  /** Ends the hash and returns its lower half, an int32. */
  end(): number {
    const bytes = this.count << 2;
    if (this.count & 1) this.block(this.half, bytes << 24);
    else this.block(0, bytes << 24);
    this.v4 ^= 0xff;
    this.mix(this.rounds + 2);
    this.low = this.v0 ^ this.v2 ^ this.v4 ^ this.v6;
    this.high = this.v1 ^ this.v3 ^ this.v5 ^ this.v7;
    return this.low;
  }

  private block(low: number, high: number): void {
    this.v6 ^= low;
    this.v7 ^= high;
    this.mix(this.rounds);
    this.v0 ^= low;
    this.v1 ^= high;
  }

  /** `count` SipRounds. (a0,a1) is v0's low and high half, and so on. */
  private mix(count: number): void {
    let a0 = this.v0;
    let a1 = this.v1;
    let b0 = this.v2;
    let b1 = this.v3;
    let c0 = this.v4;
    let c1 = this.v5;
    let d0 = this.v6;
    let d1 = this.v7;
    let t = 0;
    while (count-- > 0) {
      t = a0;
      a0 = (a0 + b0) | 0;
      a1 = (a1 + b1 + (a0 >>> 0 < t >>> 0 ? 1 : 0)) | 0;
      t = b0;
      b0 = ((b0 << 13) | (b1 >>> 19)) ^ a0;
      b1 = ((b1 << 13) | (t >>> 19)) ^ a1;
      t = a0;
      a0 = a1;
      a1 = t;
      t = c0;
      c0 = (c0 + d0) | 0;
      c1 = (c1 + d1 + (c0 >>> 0 < t >>> 0 ? 1 : 0)) | 0;
      t = d0;
      d0 = ((d0 << 16) | (d1 >>> 16)) ^ c0;
      d1 = ((d1 << 16) | (t >>> 16)) ^ c1;
      t = a0;
      a0 = (a0 + d0) | 0;
      a1 = (a1 + d1 + (a0 >>> 0 < t >>> 0 ? 1 : 0)) | 0;
      t = d0;
      d0 = ((d0 << 21) | (d1 >>> 11)) ^ a0;
      d1 = ((d1 << 21) | (t >>> 11)) ^ a1;
      t = c0;
      c0 = (c0 + b0) | 0;
      c1 = (c1 + b1 + (c0 >>> 0 < t >>> 0 ? 1 : 0)) | 0;
      t = b0;
      b0 = ((b0 << 17) | (b1 >>> 15)) ^ c0;
      b1 = ((b1 << 17) | (t >>> 15)) ^ c1;
      t = c0;
      c0 = c1;
      c1 = t;
    }
    this.v0 = a0;
    this.v1 = a1;
    this.v2 = b0;
    this.v3 = b1;
    this.v4 = c0;
    this.v5 = c1;
    this.v6 = d0;
    this.v7 = d1;
  }
}

/** The hash of `stack`, under its secret key; made when a component first asks for it. */
export function hashOf(stack: Stack): SipHash {
  if (!stack.hash) {
    stack.hash = new SipHash();
    takeKey(stack, stack.hash);
  }
  return stack.hash;
}

/** True when the secrets of `stack` are random. Tries again as long as the host had no entropy. */
export function secure(stack: Stack): boolean {
  const hash = hashOf(stack);
  if (!hash.seeded) {
    takeKey(stack, hash);
    for (let i = 0; i < stack.components.length; i++) {
      const component = stack.components[i];
      if (component.rekeyed) component.rekeyed();
    }
  }
  return hash.seeded;
}

function takeKey(stack: Stack, hash: SipHash): void {
  const key = new Uint8Array(16);
  hash.seeded = stack.host.random(key);
  hash.key(key);
}
