/** A token bucket: how often something may be done because a stranger asked for it. */

export class RateLimit {
  private tokens: number;
  private last = 0;

  /** @param rate tokens a second @param burst tokens that may be saved up */
  constructor(
    private readonly rate: number,
    private readonly burst: number,
  ) {
    this.tokens = burst;
  }

  /** Takes a token at stack time `now`; false when there is none. */
  take(now: number): boolean {
    const elapsed = (now - this.last) | 0;
    // Tokens are counted in whole ones; time that made none is kept.
    const gained = ((elapsed < 0 ? 0 : elapsed > 60000 ? 60000 : elapsed) * this.rate) / 1000;
    if (gained >= 1) {
      this.tokens = this.tokens + (gained | 0);
      if (this.tokens > this.burst) this.tokens = this.burst;
      this.last = now;
    }
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}
