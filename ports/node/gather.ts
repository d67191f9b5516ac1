/**
 * TCP segments that are sent one after the other, merged before they are written: one write, and one packet for the kernel, in the place of
 * up to 45. For gateways to which they come one by one, out of a tunnel say. None waits for longer than the work at hand: what has been
 * gathered is written in a microtask.
 */
import { SEGMENT_TCP4, SEGMENT_TCP6 } from "../../hypercall/link.js";
import type { TransmitOffload } from "../../hypercall/link.js";
import { Merger } from "./merge.js";
import { VIRTIO_NET_HEADER, emitVirtioHeader } from "./virtio-net.js";

/** TCP's largest IP packet behind virtio and Ethernet headers, and a frame more. */
const SIZE = 2 * (65535 + 22 + VIRTIO_NET_HEADER);

/** Writes the first `length` bytes of `bytes`, or sees to why not; -1: there is no room now, and the link will ask again. */
export type Write = (bytes: Uint8Array, length: number) => number;

export class Gather {
  private readonly data = new Uint8Array(SIZE);
  private readonly merger: Merger;
  private scheduled = false;
  /** Bytes of a packet that is complete, and for which the kernel had no room. */
  private waiting = 0;
  private readonly offload: TransmitOffload = {
    ...{ checksumStart: 0, checksumOffset: 16 },
    ...{ segment: SEGMENT_TCP4, segmentSize: 0, headerLength: 0 },
  };

  /**
   * @param link bytes of the Ethernet header, or 0
   * @param write by it goes what has been gathered
   */
  constructor(
    link: number,
    private readonly write: Write,
  ) {
    this.merger = new Merger(this.data, VIRTIO_NET_HEADER, link);
  }

  /** Frames that have become one with the frame before. */
  get merged(): number {
    return this.merger.merged;
  }

  /** Keeps a copy of the frame, whose checksum is complete, for the next ones; false: it is to be written at once. */
  take(frame: Uint8Array, start: number, end: number): boolean {
    const { merger, data } = this;
    const length = end - start + VIRTIO_NET_HEADER;
    if (merger.count > 0) {
      const { head, headers } = merger;
      if (length > headers && merger.end + length - headers <= data.length) {
        const payload = start + headers - VIRTIO_NET_HEADER;
        for (let i = VIRTIO_NET_HEADER; i < headers; i++) head[i] = frame[start + i - VIRTIO_NET_HEADER]!;
        data.set(frame.subarray(payload, end), merger.end);
        if (merger.take(length)) {
          if (!merger.open()) this.flush();
          return true;
        }
      }
      this.flush();
    }
    if (this.waiting > 0 || length > data.length) return false;
    data.fill(0, 0, VIRTIO_NET_HEADER);
    data.set(frame.subarray(start, end), VIRTIO_NET_HEADER);
    if (!merger.begin(0, length)) return false;
    if (!this.scheduled) {
      this.scheduled = true;
      queueMicrotask(this.end);
    }
    return true;
  }

  /** Writes what has been gathered, or what there was no room for. */
  flush(): void {
    const { merger, data } = this;
    if (merger.count > 0) {
      if (merger.count > 1) this.finish();
      this.waiting = merger.end;
      merger.count = 0;
    }
    if (this.waiting > 0 && this.write(data, this.waiting) === 0) this.waiting = 0;
  }

  /** The segments at hand are one packet now, which says how it is to be cut. */
  private finish(): void {
    const { merger, data, offload } = this;
    merger.finish();
    offload.checksumStart = merger.transport - VIRTIO_NET_HEADER;
    offload.segment = data[merger.network]! >> 4 === 4 ? SEGMENT_TCP4 : SEGMENT_TCP6;
    offload.segmentSize = merger.segmentSize;
    offload.headerLength = merger.headers - VIRTIO_NET_HEADER;
    emitVirtioHeader(data, 0, data, VIRTIO_NET_HEADER, offload);
  }

  private readonly end = (): void => {
    this.scheduled = false;
    this.flush();
  };
}
