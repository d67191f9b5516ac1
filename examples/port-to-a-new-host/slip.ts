/** Step 2 of the porting guide: a link. Packets over a serial line, as SLIP frames them (RFC 1055). */
import type { Link, LinkReceiver } from "../../hypercall/index.js";

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

/** A serial line, with whatever FIFO or ring the hardware or its interrupt has. */
export interface BytePipe {
  /** Moves what has arrived into `target`; how many bytes. */
  read(target: Uint8Array): number;
  /** Bytes that `write` would take now. */
  room(): number;
  /** Takes `data[0..end)`, all of it: there is room. */
  write(data: Uint8Array, end: number): void;
}

export class SlipLink implements Link {
  readonly medium = "ip";
  private receiver: LinkReceiver | null = null;
  /** The packet that is coming in, and how much of it is there; more than the MTU: it is too long. */
  private readonly packet: Uint8Array;
  private length = 0;
  private escaped = false;
  /** Encoded: at worst each byte becomes two, with END at both ends. */
  private readonly encoded: Uint8Array;
  private readonly chunk = new Uint8Array(256);
  private refused = false;

  constructor(
    private readonly pipe: BytePipe,
    readonly mtu = 1006,
  ) {
    this.packet = new Uint8Array(mtu);
    this.encoded = new Uint8Array(2 * mtu + 2);
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.length = 0;
    this.escaped = false;
  }

  close(): void {
    this.receiver = null;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const out = this.encoded;
    let at = 0;
    // The first END ends what noise may have begun.
    out[at++] = END;
    for (let i = start; i < end; i++) {
      const byte = frame[i]!;
      if (byte === END || byte === ESC) {
        out[at++] = ESC;
        out[at++] = byte === END ? ESC_END : ESC_ESC;
      } else out[at++] = byte;
    }
    out[at++] = END;
    if (this.pipe.room() < at) {
      this.refused = true;
      return -1;
    }
    this.pipe.write(out, at);
    return 0;
  }

  /** From the loop, never from inside `transmit`: takes what has arrived, and says when there is room again. */
  poll(): void {
    const count = this.pipe.read(this.chunk);
    for (let i = 0; i < count; i++) this.input(this.chunk[i]!);
    if (this.refused && this.pipe.room() >= this.encoded.length) {
      this.refused = false;
      this.receiver?.writable();
    }
  }

  private input(byte: number): void {
    if (byte === END) {
      const { length, receiver } = this;
      this.length = 0;
      this.escaped = false;
      if (length > this.mtu) receiver?.lost(1);
      else if (length > 0) receiver?.receive(this.packet, 0, length);
      return;
    }
    if (byte === ESC) {
      this.escaped = true;
      return;
    }
    const plain = !this.escaped ? byte : byte === ESC_END ? END : byte === ESC_ESC ? ESC : byte;
    this.escaped = false;
    if (this.length < this.mtu) this.packet[this.length] = plain;
    if (this.length <= this.mtu) this.length++;
  }
}
