/**
 * A cable made of a WebSocket: one binary message is one frame, as the relays of the emulators v86 and jslinux have it. The
 * socket may break and be replaced: the carrier comes and goes with it.
 */
import { fail } from "../../stack/core/errors.js";
import type { LinkReceiver } from "../../hypercall/link.js";
import { FrameLink, type FrameOptions } from "./frame-link.js";

/** Bytes that may wait in the browser before `transmit` says -1. */
const QUEUE_LIMIT = 1 << 20;
/** A WebSocket does not say when its queue has become shorter: we look, after as many ms. */
const LOOK_AGAIN = 5;

export class WebSocketLink extends FrameLink {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: FrameOptions = {}) {
    super(options);
  }

  /** Whether an open socket is there. */
  get connected(): boolean {
    return this.socket !== null;
  }

  /** Puts an open socket into the cable, in place of the one that may be there: that one is closed. Throws `ENOTCONN`. */
  attach(socket: WebSocket): void {
    if (socket.readyState !== socket.OPEN) fail("ENOTCONN", "the WebSocket is not open");
    if (this.closed) {
      socket.close();
      return;
    }
    this.socket?.close();
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (this.socket !== socket) return;
      if (data instanceof ArrayBuffer) this.input(data);
      else this.receiveErrors++;
    });
    socket.addEventListener("close", () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.receiver?.carrier(false);
      // What was refused for want of room is refused no longer: without carrier frames are lost, as on any cable.
      this.room();
    });
    this.receiver?.carrier(true);
    this.room();
  }

  override open(receiver: LinkReceiver): void {
    super.open(receiver);
    if (!this.socket) receiver.carrier(false);
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const { socket } = this;
    if (!socket) {
      this.transmitErrors++;
      return 0;
    }
    if (socket.bufferedAmount > QUEUE_LIMIT) {
      this.blocked = true;
      this.timer ??= setTimeout(this.look, LOOK_AGAIN);
      return -1;
    }
    // `send` takes its bytes before it returns; of packet memory in WebAssembly it would not take a view everywhere.
    socket.send(frame.slice(start, end));
    return 0;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.receiver = null;
    if (this.timer !== null) clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
  }

  private readonly look = (): void => {
    this.timer = null;
    if (!this.blocked || this.closed) return;
    if (this.socket && this.socket.bufferedAmount > QUEUE_LIMIT / 2) {
      this.timer = setTimeout(this.look, LOOK_AGAIN);
    } else this.room();
  };
}

/**
 * Connects to a relay (`"wss://..."`). Rejects with `ECONNREFUSED` when it does not answer as one. When the connection ends,
 * the carrier goes; `link.attach` can give it a new one.
 */
export function openWebSocketLink(url: string | URL, options: FrameOptions = {}): Promise<WebSocketLink> {
  const link = new WebSocketLink(options);
  const socket = new WebSocket(url);
  // The first frame may come together with the handshake.
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", () => {
      link.attach(socket);
      resolve(link);
    });
    // "close" follows; an error says no more than that.
    socket.addEventListener("error", () => {});
    socket.addEventListener("close", () => {
      reject(Object.assign(new Error(`ECONNREFUSED: ${String(url)}`), { code: "ECONNREFUSED" }));
    });
  });
}
