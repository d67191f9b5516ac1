/**
 * The stack's deadlines: a binary heap of timers over a wrapping millisecond clock.
 *
 * Moving a deadline to later costs nothing: the heap keeps the old key, and the timer is sifted down when that key comes up.
 * That is what TCP does with each acknowledgement.
 */
export class Timer {
  /** When to fire. Only meaningful while `slot >= 0`. */
  at = 0;
  /** The key under which the heap holds this timer: `at`, or earlier. */
  key = 0;
  /** Index in the heap, or -1 when not armed. */
  slot = -1;

  constructor(
    readonly fire: (owner: any) => void,
    readonly owner: unknown,
  ) {}
}

export class Timers {
  private heap: Timer[] = [];

  /** @param onEarlier called when the earliest deadline has become `at` */
  constructor(private readonly onEarlier: (at: number) => void) {}

  /** How many timers are armed. */
  count(): number {
    return this.heap.length;
  }

  /** Arms or moves `timer` to fire at the absolute time `at`, less than 2^31 ms away. */
  set(timer: Timer, at: number): void {
    timer.at = at;
    if (timer.slot < 0) {
      timer.key = at;
      timer.slot = this.heap.length;
      this.heap.push(timer);
    } else if (((at - timer.key) | 0) >= 0) return;
    timer.key = at;
    this.up(timer);
    if (timer.slot === 0) this.onEarlier(at);
  }

  /** Disarms `timer`; legal when it is not armed. */
  clear(timer: Timer): void {
    const slot = timer.slot;
    if (slot < 0) return;
    timer.slot = -1;
    const last = this.heap.pop() as Timer;
    if (last === timer) return;
    this.heap[slot] = last;
    last.slot = slot;
    this.up(last);
    this.down(last);
  }

  /** Fires what is due at `now`, at most `limit` timers; returns true when more are due. */
  run(now: number, limit: number): boolean {
    while (this.heap.length > 0) {
      const timer = this.heap[0];
      if (((timer.key - now) | 0) > 0) return false;
      if (timer.at !== timer.key) {
        timer.key = timer.at;
        this.down(timer);
        continue;
      }
      if (limit-- <= 0) return true;
      this.clear(timer);
      timer.fire(timer.owner);
    }
    return false;
  }

  /** Milliseconds until the earliest deadline (0 when due), or -1 when none is armed. */
  delay(now: number): number {
    if (this.heap.length === 0) return -1;
    const left = (this.heap[0].key - now) | 0;
    return left > 0 ? left : 0;
  }

  private up(timer: Timer): void {
    let slot = timer.slot;
    while (slot > 0) {
      const parent = this.heap[(slot - 1) >> 1];
      if (((timer.key - parent.key) | 0) >= 0) break;
      this.heap[slot] = parent;
      parent.slot = slot;
      slot = (slot - 1) >> 1;
    }
    this.heap[slot] = timer;
    timer.slot = slot;
  }

  private down(timer: Timer): void {
    let slot = timer.slot;
    for (;;) {
      let child = slot * 2 + 1;
      if (child >= this.heap.length) break;
      if (child + 1 < this.heap.length && ((this.heap[child + 1].key - this.heap[child].key) | 0) < 0)
        child++;
      const other = this.heap[child];
      if (((other.key - timer.key) | 0) >= 0) break;
      this.heap[slot] = other;
      other.slot = slot;
      slot = child;
    }
    this.heap[slot] = timer;
    timer.slot = slot;
  }
}
