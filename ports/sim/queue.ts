/** What is to happen in a world, by time: a binary heap of events, those of one instant in the order of their making. */

export class Event {
  /** Virtual time, ms. Meaningful while `slot >= 0`. */
  time = 0;
  sequence = 0;
  /** Index in the heap, or -1 when not scheduled. */
  slot = -1;

  constructor(
    readonly fire: (owner: any) => void,
    readonly owner: unknown,
  ) {}
}

export class EventQueue {
  private readonly heap: Event[] = [];
  private sequence = 0;

  get length(): number {
    return this.heap.length;
  }

  /** The next event, or null. */
  first(): Event | null {
    return this.heap.length > 0 ? this.heap[0] : null;
  }

  /** Schedules `event`, or moves it: then it comes after all others of that time. */
  set(event: Event, time: number): void {
    const heap = this.heap;
    event.time = time;
    event.sequence = this.sequence++;
    if (event.slot < 0) event.slot = heap.push(event) - 1;
    this.up(event);
    this.down(event);
  }

  /** Takes `event` out; legal when it is not in. */
  clear(event: Event): void {
    const heap = this.heap;
    const slot = event.slot;
    if (slot < 0) return;
    event.slot = -1;
    const last = heap.pop() as Event;
    if (last === event) return;
    heap[slot] = last;
    last.slot = slot;
    this.up(last);
    this.down(last);
  }

  private up(event: Event): void {
    const heap = this.heap;
    let slot = event.slot;
    while (slot > 0) {
      const parent = heap[(slot - 1) >> 1];
      if (before(parent, event)) break;
      heap[slot] = parent;
      parent.slot = slot;
      slot = (slot - 1) >> 1;
    }
    heap[slot] = event;
    event.slot = slot;
  }

  private down(event: Event): void {
    const heap = this.heap;
    let slot = event.slot;
    for (;;) {
      let child = slot * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      const other = heap[child];
      if (before(event, other)) break;
      heap[slot] = other;
      other.slot = slot;
      slot = child;
    }
    heap[slot] = event;
    event.slot = slot;
  }
}

function before(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.sequence < b.sequence);
}
