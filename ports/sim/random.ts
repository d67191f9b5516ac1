/**
 * The seeded random generator of a world: sfc32 (Chris Doty-Humphrey's "small fast counting" generator, 128 bits of state).
 *
 * It only needs 32-bit additions and shifts, so every engine draws the same numbers. It is no source of secrets.
 */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /**
   * @param seed any number; equal seeds give equal draws
   * @param stream keeps generators apart that share a seed (one a host, one a wire)
   */
  constructor(seed: number, stream = 0) {
    this.a = seed | 0;
    this.b = Math.floor(seed / 0x100000000) | 0;
    this.c = stream | 0;
    for (let i = 0; i < 15; i++) this.next();
  }

  /** 32 random bits as an int32. */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum;
  }

  /** A number in 0 <= x < 1. */
  float(): number {
    return (this.next() >>> 0) / 0x100000000;
  }

  /** An integer in 0..range-1. */
  below(range: number): number {
    return Math.floor(this.float() * range);
  }

  /** An integer in low..high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with the given probability. Draws nothing for 0: an option that is off changes no run. */
  chance(probability: number): boolean {
    return probability > 0 && this.float() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  fill(target: Uint8Array): void {
    for (let i = 0; i < target.length; i += 4) {
      let word = this.next();
      for (let k = i; k < i + 4 && k < target.length; k++) {
        target[k] = word;
        word >>>= 8;
      }
    }
  }
}
