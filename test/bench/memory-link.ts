/** Two links that are each other's far end, in memory: frames are copied into a ring and delivered by `pump`. */
import type { Hypercalls, Link, LinkOffloads, LinkReceiver, TransmitOffload } from "../../hypercall/index.js";
import { copyBytes } from "../../stack/core/bytes.js";

/** What of a host's accelerators a link has a use for: memory for the frames, and copies. */
export type LinkMemory = Partial<Pick<Hypercalls, "allocate" | "copy">>;

/** Frames that a direction holds, a power of two; more are refused. */
const SLOTS = 512;
/** Bytes before a frame in its slot: what lies behind Ethernet's header is aligned then, as drivers do it. */
const ALIGN = 2;

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
  private readonly copy: NonNullable<Hypercalls["copy"]>;

  constructor(
    readonly mac: Uint8Array,
    readonly mtu: number,
    readonly offloads: LinkOffloads | undefined,
    private readonly slots: number,
    memory: LinkMemory,
  ) {
    this.lengths = new Int32Array(slots);
    this.slot = (ALIGN + mtu + 14 + 63) & ~63;
    const size = this.slot * slots;
    this.ring = memory.allocate ? memory.allocate(size) : new Uint8Array(size);
    this.copy = memory.copy ?? copyBytes;
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
    this.copy(this.ring, this.tail * this.slot + ALIGN, frame, start, end - start);
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
      const at = this.head * this.slot + ALIGN;
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

/** A pair of links with `mtu`, whose frames lie in `memory`, `pass`, and `pump`, which delivers frames until none is left. */
export function memoryLinks(mtu = 1500, offloads?: LinkOffloads, slots = SLOTS, memory: LinkMemory = {}) {
  const a = new MemoryLink(Uint8Array.of(2, 0, 0, 0, 0, 1), mtu, offloads, slots, memory);
  const b = new MemoryLink(Uint8Array.of(2, 0, 0, 0, 0, 2), mtu, offloads, slots, memory);
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
