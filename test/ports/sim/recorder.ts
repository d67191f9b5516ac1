/** A receiver that writes down what comes, for tests of links without a stack. */
import type { LinkReceiver } from "../../../hypercall/index.js";
import type { World } from "../../../ports/sim/index.js";

export interface Received {
  time: number;
  bytes: Uint8Array;
  checksum: number;
}

export class Recorder implements LinkReceiver {
  readonly frames: Received[] = [];
  /** Each frame's first byte, which tests use as its name. */
  readonly names: number[] = [];
  readonly carriers: boolean[] = [];
  writables = 0;
  /** The buffers as they were lent, which a receiver must not keep. */
  readonly kept: Uint8Array[] = [];

  constructor(private readonly world: World) {}

  receive(frame: Uint8Array, start: number, end: number, checksum = 0): void {
    this.frames.push({ time: this.world.time, bytes: frame.slice(start, end), checksum });
    this.names.push(frame[start]);
    this.kept.push(frame.subarray(start, end));
  }

  carrier(up: boolean): void {
    this.carriers.push(up);
  }

  writable(): void {
    this.writables++;
  }

  lost(): void {}
}

/** A frame of `length` bytes whose first is `name`, as `transmit` wants it. */
export function named(name: number, length = 60): [Uint8Array, number, number, null] {
  const frame = new Uint8Array(length + 2).fill(name);
  return [frame, 1, length + 1, null];
}
