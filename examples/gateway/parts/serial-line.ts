/** SLIP over a serial line that somebody else has open: a UNIX socket or a TCP port of this machine's network (QEMU, ser2net, socat). */
import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Link, LinkReceiver } from "../../../hypercall/index.js";
import { slip } from "../../../stack/link/slip.js";
import type { Slip } from "../../../stack/link/slip.js";

/** ms until a line that was not to be had, or has ended, is asked for again. */
const AGAIN = 2000;
/** Bytes that may wait in the socket. */
const QUEUE = 16384;

export class SerialLine implements Link {
  readonly medium = "ip";
  readonly mtu: number;
  private readonly slip: Slip;
  private receiver: LinkReceiver | null = null;
  private socket: Socket | null = null;
  private connected = false;
  private timer: NodeJS.Timeout | undefined;

  /** @param place a path, or `"127.0.0.1:4001"`, `"[::1]:4001"` */
  constructor(
    private readonly place: string,
    mtu: number,
  ) {
    this.slip = slip({ write: (data, start, end) => this.write(data, start, end) }, { mtu });
    this.mtu = this.slip.mtu;
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.slip.open(receiver);
    receiver.carrier(false);
    this.dial();
  }

  close(): void {
    this.receiver = null;
    clearTimeout(this.timer);
    this.socket?.destroy();
    this.slip.close();
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    return this.slip.transmit(frame, start, end);
  }

  private dial(): void {
    const [, host, port] = /^\[?([^/]*?)\]?:(\d+)$/.exec(this.place) ?? [];
    const socket = port ? connect(Number(port), host) : connect(this.place);
    this.socket = socket.setNoDelay();
    socket.on("connect", () => this.carry(true));
    socket.on("data", (data) => this.receiver && this.slip.input(data, 0, data.length));
    socket.on("drain", () => this.receiver && this.slip.drain());
    // Its end follows.
    socket.on("error", () => {});
    socket.on("close", () => {
      if (!this.receiver) return;
      this.carry(false);
      this.timer = setTimeout(() => this.dial(), AGAIN).unref();
    });
  }

  private carry(up: boolean): void {
    if (up === this.connected) return;
    this.connected = up;
    this.receiver?.carrier(up);
    // What waited for a line that has ended is gone; what follows begins with an END.
    this.slip.drain();
  }

  /** A stream keeps what it is given. */
  private write(data: Uint8Array, start: number, end: number): number {
    const { socket } = this;
    if (!this.connected || !socket) return end - start;
    if (socket.writableLength > QUEUE) return 0;
    socket.write(data.slice(start, end));
    return end - start;
  }
}
