/**
 * What is to happen in a world, by time; events of one instant come in the order of their making.
 *
 * A heap in which each entry has four below it, with the keys in arrays of their own: with a hundred thousand events it is the
 * memory's latency that counts, and so no event is looked at before its turn.
 */
export class Event {
  /** Index in the heap, or -1 when not scheduled. */
  slot = -1;

  constructor(
    readonly fire: (owner: any) => void,
    readonly owner: unknown,
  ) {}
}

const FIRST_CAPACITY = 64;

export class EventQueue {
  /** How many events are scheduled. */
  length = 0;
  private times = new Float64Array(FIRST_CAPACITY);
  /** Numbers in the order of making: they decide between equal times. */
  private sequences = new Float64Array(FIRST_CAPACITY);
  private readonly events: (Event | null)[] = [];
  private made = 0;

  /** The next event, or null. */
  first(): Event | null {
    return this.length > 0 ? this.events[0] : null;
  }

  /** When the next event is; Infinity without one. */
  firstTime(): number {
    return this.length > 0 ? this.times[0] : Infinity;
  }

  /** Schedules `event`, or moves it: then it comes after all others of that time. */
  set(event: Event, time: number): void {
    if (event.slot < 0) {
      if (this.length === this.times.length) this.grow();
      this.up(this.length++, event, time, this.made++);
    } else this.place(event.slot, event, time, this.made++);
  }

  /** Takes `event` out; legal when it is not in. */
  clear(event: Event): void {
    const slot = event.slot;
    if (slot < 0) return;
    event.slot = -1;
    const last = --this.length;
    const moved = this.events[last] as Event;
    this.events[last] = null;
    if (moved === event) return;
    this.place(slot, moved, this.times[last], this.sequences[last]);
  }

  /** Puts an event into the hole at `slot`, or where it belongs above or below. */
  private place(slot: number, event: Event, time: number, sequence: number): void {
    const parent = (slot - 1) >> 2;
    const above =
      slot > 0 &&
      (time < this.times[parent] || (time === this.times[parent] && sequence < this.sequences[parent]));
    if (above) this.up(slot, event, time, sequence);
    else this.down(slot, event, time, sequence);
  }

  private up(slot: number, event: Event, time: number, sequence: number): void {
    const { times, sequences, events } = this;
    while (slot > 0) {
      const parent = (slot - 1) >> 2;
      const other = times[parent];
      if (other < time || (other === time && sequences[parent] < sequence)) break;
      this.put(slot, events[parent] as Event, other, sequences[parent]);
      slot = parent;
    }
    this.put(slot, event, time, sequence);
  }

  private down(slot: number, event: Event, time: number, sequence: number): void {
    const { times, sequences, events, length } = this;
    for (;;) {
      const first = slot * 4 + 1;
      const end = first + 4 < length ? first + 4 : length;
      let best = -1;
      let bestTime = time;
      let bestSequence = sequence;
      for (let child = first; child < end; child++) {
        const other = times[child];
        if (other < bestTime || (other === bestTime && sequences[child] < bestSequence)) {
          best = child;
          bestTime = other;
          bestSequence = sequences[child];
        }
      }
      if (best < 0) break;
      this.put(slot, events[best] as Event, bestTime, bestSequence);
      slot = best;
    }
    this.put(slot, event, time, sequence);
  }

  private put(slot: number, event: Event, time: number, sequence: number): void {
    this.times[slot] = time;
    this.sequences[slot] = sequence;
    this.events[slot] = event;
    event.slot = slot;
  }

  private grow(): void {
    const times = new Float64Array(this.times.length * 2);
    const sequences = new Float64Array(this.times.length * 2);
    times.set(this.times);
    sequences.set(this.sequences);
    this.times = times;
    this.sequences = sequences;
  }
}
