/**
 * Anti-replay (RFC 4303 section 3.4.3 and appendix A): which sequence numbers have come, in a window of 32 to 4096, and the upper
 * half of an extended one, which no packet carries. Nothing moves before the packet is authentic: `check`, then `accept`.
 */

/** Sequence numbers are halves of 32 bits as int32; they are compared unsigned. */
const SIGN = -0x80000000;

export class ReplayWindow {
  /** The highest number that was authentic. */
  low = 0;
  high = 0;
  /** What `check` found for the upper half of the number that it was asked about. */
  candidate = 0;
  private readonly bits: Int32Array;

  /** @param size numbers in the window, a power of two from 32 to 4096; 0: no anti-replay */
  constructor(
    readonly size: number,
    private readonly extended: boolean,
  ) {
    this.bits = new Int32Array(size >> 5);
  }

  /** May a packet with the lower half `low` be new? Sets `candidate`. */
  check(low: number): boolean {
    const size = this.size;
    if (!this.extended) {
      this.candidate = 0;
      return (
        size === 0 || (low !== 0 && this.fresh((this.low - low) | 0, (low ^ SIGN) > (this.low ^ SIGN), low))
      );
    }
    // Appendix A2: the window lies within one subspace of 2^32 numbers, or across two.
    const bottom = (this.low - size + 1) | 0;
    const spans = this.low >>> 0 < size - 1;
    let high = this.high;
    if (spans) {
      if ((low ^ SIGN) >= (bottom ^ SIGN)) high = (high - 1) | 0;
    } else if ((low ^ SIGN) < (bottom ^ SIGN)) high = (high + 1) | 0;
    this.candidate = high;
    if (low === 0 && high === 0) return false;
    // Before the first wrap there is nothing below 0.
    if (spans && this.high === 0 && high === -1) return false;
    if (size === 0) return true;
    const newer = high === this.high ? (low ^ SIGN) > (this.low ^ SIGN) : high === ((this.high + 1) | 0);
    return this.fresh((this.low - low) | 0, newer, low);
  }

  /** The packet that `check` was asked about is authentic: false when it has come before after all. */
  accept(low: number): boolean {
    const size = this.size;
    if (size === 0) return true;
    const high = this.candidate;
    const newer = this.extended
      ? high !== this.high
        ? high === ((this.high + 1) | 0)
        : (low ^ SIGN) > (this.low ^ SIGN)
      : (low ^ SIGN) > (this.low ^ SIGN);
    if (newer) {
      this.advance((low - this.low) >>> 0, low);
      this.low = low;
      this.high = high;
    } else if (!this.fresh((this.low - low) | 0, false, low)) return false;
    this.bits[(low >>> 5) & ((size >> 5) - 1)] |= 1 << (low & 31);
    return true;
  }

  private fresh(behind: number, newer: boolean, low: number): boolean {
    if (newer) return true;
    if (behind >>> 0 >= this.size) return false;
    return (this.bits[(low >>> 5) & ((this.size >> 5) - 1)] & (1 << (low & 31))) === 0;
  }

  /** Clears the bits of the numbers between the highest and `low`. */
  private advance(distance: number, low: number): void {
    const bits = this.bits;
    if (distance >= this.size) {
      for (let i = 0; i < bits.length; i++) bits[i] = 0;
      return;
    }
    for (let at = (this.low + 1) | 0; ; at = (at + 1) | 0) {
      const word = (at >>> 5) & (bits.length - 1);
      // A whole word at once, where it lies between.
      if ((at & 31) === 0 && (low - at) >>> 0 >= 32) {
        bits[word] = 0;
        at = (at + 31) | 0;
      } else bits[word] &= ~(1 << (at & 31));
      if (at === low) return;
    }
  }
}
