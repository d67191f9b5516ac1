/** Two links that are each other's far end, in memory: frames are copied into a ring and delivered by `pump`. */
import type { Link, LinkOffloads, LinkReceiver, TransmitOffload } from "../../hypercall/index.js";

/** Frames that a direction holds, a power of two; more are refused. */
const SLOTS = 512;

class MemoryLink implements Link {
  readonly medium = "ethernet";
  receiver: LinkReceiver | null = null;
  peer: MemoryLink = this;
  private readonly ring: Uint8Array;
  private readonly lengths: Int32Array;
  private head = 0;
  private tail = 0;
  private full = false;
  private readonly slot: number;

  constructor(
    readonly mac: Uint8Array,
    readonly mtu: number,
    readonly offloads: LinkOffloads | undefined,
    private readonly slots: number,
    allocate: (size: number) => Uint8Array,
  ) {
    this.lengths = new Int32Array(slots);
    this.slot = (mtu + 14 + 63) & ~63;
    this.ring = allocate(this.slot * slots);
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(frame: Uint8Array, start: number, end: number, _offload: TransmitOffload | null): number {
    const next = (this.tail + 1) & (this.slots - 1);
    if (next === this.head) {
      this.full = true;
      return -1;
    }
    this.ring.set(frame.subarray(start, end), this.tail * this.slot);
    this.lengths[this.tail] = end - start;
    this.tail = next;
    return 0;
  }

  close(): void {
    this.receiver = null;
  }

  /** Delivers what this end has sent to the other; returns the number of frames. */
  deliver(): number {
    let count = 0;
    const receiver = this.peer.receiver;
    while (this.head !== this.tail) {
      const at = this.head * this.slot;
      const length = this.lengths[this.head];
      if (receiver) receiver.receive(this.ring, at, at + length);
      this.head = (this.head + 1) & (this.slots - 1);
      count++;
    }
    // The next frames lie where the last ones lay: in the cache.
    this.head = this.tail = 0;
    if (this.full) {
      this.full = false;
      if (this.receiver) this.receiver.writable();
    }
    return count;
  }
}

/** A pair of links with `mtu`, whose frames lie in memory from `allocate`, `pass`, and `pump`, which delivers frames until none is left. */
export function memoryLinks(
  mtu = 1500,
  offloads?: LinkOffloads,
  slots = SLOTS,
  allocate: (size: number) => Uint8Array = (size) => new Uint8Array(size),
) {
  const a = new MemoryLink(Uint8Array.of(2, 0, 0, 0, 0, 1), mtu, offloads, slots, allocate);
  const b = new MemoryLink(Uint8Array.of(2, 0, 0, 0, 0, 2), mtu, offloads, slots, allocate);
  a.peer = b;
  b.peer = a;
  return {
    a,
    b,
    /** Delivers what waits at both ends; returns the number of frames. */
    pass: () => a.deliver() + b.deliver(),
    pump() {
      let total = 0;
      for (;;) {
        const moved = a.deliver() + b.deliver();
        if (moved === 0) return total;
        total += moved;
      }
    },
  };
}
