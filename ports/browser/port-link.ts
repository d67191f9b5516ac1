/**
 * A cable made of a MessagePort: between a page and its workers, frames or other tabs. Both ends are a `PortLink`.
 *
 * A message is an array of frames (those of one turn of the event loop, moved and not copied), or the number of frames that the
 * far end has taken: a port has no back-pressure of its own, and would queue without bound for a receiver that is busy.
 */
import { FrameLink, type FrameOptions } from "./frame-link.js";

/** Frames that may be under way before `transmit` says -1. */
const WINDOW = 256;

export class PortLink extends FrameLink {
  /** Frames that the far end has not taken yet. */
  private underWay = 0;
  private turn: ArrayBuffer[] = [];

  constructor(
    private readonly port: MessagePort,
    options: FrameOptions = {},
  ) {
    super(options);
    port.onmessage = ({ data }: MessageEvent<unknown>) => this.message(data);
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    if (this.closed) {
      this.transmitErrors++;
      return 0;
    }
    if (this.underWay >= WINDOW) {
      this.blocked = true;
      return -1;
    }
    this.underWay++;
    if (this.turn.length === 0) queueMicrotask(this.flush);
    this.turn.push(frame.slice(start, end).buffer as ArrayBuffer);
    return 0;
  }

  close(): void {
    if (this.closed) return;
    this.flush();
    this.closed = true;
    this.receiver = null;
    this.port.close();
  }

  private readonly flush = (): void => {
    const frames = this.turn;
    if (frames.length === 0 || this.closed) return;
    this.turn = [];
    this.port.postMessage(frames, frames);
  };

  private message(data: unknown): void {
    if (Array.isArray(data)) {
      for (const frame of data) {
        if (frame instanceof ArrayBuffer) this.input(frame);
        else this.receiveErrors++;
      }
      if (!this.closed) this.port.postMessage(data.length);
    } else if (typeof data === "number" && data > 0 && data <= this.underWay) {
      this.underWay -= data;
      this.room();
    } else this.receiveErrors++;
  }
}

/** One end of the cable; the other is made of the channel's other port. */
export function openPortLink(port: MessagePort, options: FrameOptions = {}): PortLink {
  return new PortLink(port, options);
}
