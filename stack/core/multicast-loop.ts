/**
 * Multicast loop-back (RFC 1112 section 6.1, IP_MULTICAST_LOOP): what sockets of this host send to a group comes back to those
 * that have joined it, a little later, as if it had come in on the interface that it went out of.
 *
 * Bounds: an eighth of the budget waits at most; what comes then is not looped.
 */
import { get16, put16 } from "./bytes.js";
import type { Interface } from "./interface.js";
import { CHECKSUM_OK, LINK_MULTICAST, LOOPED } from "./packet.js";
import type { Packet } from "./packet.js";
import type { Deferred, Stack } from "./stack.js";
import { Stream } from "./stream.js";

/** Before each packet: its length, its interface. */
const RECORD = 4;

export class MulticastLoop implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  private readonly queue: Stream;
  private readonly limit: number;
  private readonly record = new Uint8Array(RECORD);

  constructor(
    private readonly stack: Stack,
    private readonly input: (packet: Packet) => void,
  ) {
    this.queue = new Stream(stack.pool, stack.host.copy);
    this.limit = (stack.pool.limit >> 3) << stack.pool.chunkShift;
  }

  /** Keeps a copy of the network packet in `packet`, which goes out of `nif`. */
  put(packet: Packet, nif: Interface): void {
    const queue = this.queue;
    const record = this.record;
    const length = packet.end - packet.start;
    const keep = this.stack.pool.limit >> 2;
    put16(record, 0, length);
    put16(record, 2, nif.index);
    if (
      queue.length + RECORD + length <= this.limit &&
      queue.put(record, RECORD, packet.data, packet.start, length, keep)
    ) {
      this.stack.defer(this);
    }
  }

  /** Delivers what waits. */
  run(): void {
    const stack = this.stack;
    const queue = this.queue;
    stack.reclaim();
    while (queue.length > 0) {
      queue.read(0, this.record, 0, RECORD);
      const length = get16(this.record, 0);
      const index = get16(this.record, 2);
      const frame = stack.host.allocate(length);
      if (frame) queue.read(RECORD, frame, 0, length);
      queue.consume(RECORD + length);
      for (let i = 0; frame && i < stack.interfaces.length; i++) {
        const packet = stack.rx;
        packet.nif = stack.interfaces[i];
        if (packet.nif.index !== index) continue;
        packet.data = frame;
        packet.start = 0;
        packet.end = length;
        packet.flags = LINK_MULTICAST | CHECKSUM_OK | LOOPED;
        stack.busy = true;
        this.input(packet);
        stack.busy = false;
        break;
      }
    }
    queue.clear();
  }

  close(): void {
    this.queue.clear();
  }
}
