/** A serial line between two programs in one process, for trying the port out: `baud` bits a second, and a FIFO at each end. */
import type { BytePipe } from "./slip.js";

class End implements BytePipe {
  private readonly ring: Uint8Array;
  private head = 0;
  /** Bytes in the ring, and how many of them have come over the line. */
  private held = 0;
  private arrived = 0;
  private last: number;
  peer: End = null as never;

  constructor(
    private readonly clock: () => number,
    private readonly bytesPerMs: number,
    size: number,
  ) {
    this.ring = new Uint8Array(size);
    this.last = clock();
  }

  read(target: Uint8Array): number {
    return this.peer.take(target);
  }

  room(): number {
    return this.ring.length - this.held;
  }

  write(data: Uint8Array, end: number): void {
    if (this.held === this.arrived) this.last = this.clock();
    for (let i = 0; i < end; i++) this.ring[(this.head + this.held++) % this.ring.length] = data[i]!;
  }

  /** The other end reads. */
  private take(target: Uint8Array): number {
    const now = this.clock();
    const moved = Math.floor((now - this.last) * this.bytesPerMs);
    if (moved > 0) {
      this.arrived = Math.min(this.held, this.arrived + moved);
      this.last += moved / this.bytesPerMs;
    }
    const count = Math.min(this.arrived, target.length);
    for (let i = 0; i < count; i++) target[i] = this.ring[(this.head + i) % this.ring.length]!;
    this.head = (this.head + count) % this.ring.length;
    this.held -= count;
    this.arrived -= count;
    return count;
  }
}

/** The two ends of a line. */
export function serialCable(clock: () => number, baud = 115200, fifo = 4096): [BytePipe, BytePipe] {
  const ends = [0, 1].map(() => new End(clock, baud / 10 / 1000, fifo));
  ends[0]!.peer = ends[1]!;
  ends[1]!.peer = ends[0]!;
  return [ends[0]!, ends[1]!];
}
