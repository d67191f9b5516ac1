/** A link middleware that remembers the last frames, for the page. */
import type { Link, LinkReceiver, TransmitOffload } from "../../hypercall/index.js";
import { describe } from "./decode.js";

/** Frames that are remembered, and bytes of each: enough for all headers. */
const FRAMES = 16;
const HEAD = 128;

export interface Frame {
  /** Milliseconds since 1970. */
  time: number;
  direction: "in" | "out";
  /** Bytes on the wire. */
  length: number;
  kind: string;
  text: string;
}

export class Watch implements Link, LinkReceiver {
  private readonly slots: { time: number; out: boolean; length: number; head: Uint8Array }[] = [];
  private next = 0;
  private receiver: LinkReceiver | null = null;

  constructor(private readonly link: Link) {
    for (let i = 0; i < FRAMES; i++) {
      this.slots.push({ time: 0, out: false, length: 0, head: new Uint8Array(HEAD) });
    }
  }

  get medium() {
    return this.link.medium;
  }
  get mtu() {
    return this.link.mtu;
  }
  get mac() {
    return this.link.mac;
  }
  get offloads() {
    return this.link.offloads;
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.link.open(this);
  }

  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    this.remember(frame, start, end, true);
    return this.link.transmit(frame, start, end, offload);
  }

  close(): void {
    this.link.close();
  }

  receive(frame: Uint8Array, start: number, end: number, checksum?: number): void {
    this.remember(frame, start, end, false);
    this.receiver?.receive(frame, start, end, checksum);
  }

  carrier(up: boolean): void {
    this.receiver?.carrier(up);
  }

  writable(): void {
    this.receiver?.writable();
  }

  lost(count: number): void {
    this.receiver?.lost(count);
  }

  /** The last frames, the latest first. */
  frames(): Frame[] {
    const list: Frame[] = [];
    for (let i = 1; i <= FRAMES; i++) {
      const slot = this.slots[(this.next - i + FRAMES) % FRAMES];
      if (slot.length === 0) break;
      // The head is cut, but the length in the IP header tells what was there.
      const { kind, text } = describe(slot.head, 0, slot.length);
      list.push({ time: slot.time, direction: slot.out ? "out" : "in", length: slot.length, kind, text });
    }
    return list;
  }

  private remember(frame: Uint8Array, start: number, end: number, out: boolean): void {
    const slot = this.slots[this.next];
    this.next = (this.next + 1) % FRAMES;
    slot.time = Date.now();
    slot.out = out;
    slot.length = end - start;
    slot.head.set(frame.subarray(start, Math.min(end, start + HEAD)));
  }
}
