/**
 * SLIP (RFC 1055): IP over a serial line. It makes a link of what writes and reads bytes.
 *
 * ```ts
 * const line = slip({ write: (data, start, end) => uart.write(data.subarray(start, end)) });
 * const sl0 = stack.addInterface(line, "sl0"); // with ipLink() among the components
 * uart.onData = (data) => line.input(data, 0, data.length);
 * uart.onDrain = () => line.drain();
 * ```
 * Both ends must know each other's MTU and addresses; nothing on the line tells of them, nor of errors but the packets' own checksums.
 * Bounds: one packet on its way in, one on its way out; while that has not gone, the link has no room.
 */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { fail, requireInteger } from "../core/errors.js";

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

/** What a serial line has to do. */
export interface SerialPort {
  /**
   * Takes bytes of `data[start..end)` that it has sent or copied when it returns; it must not call the link meanwhile.
   *
   * @returns how many; after fewer than all it says by `Slip.drain` when there is room again
   */
  write(data: Uint8Array, start: number, end: number): number;
}

export interface SlipOptions {
  /** Largest packet in bytes, 68..65535, the same at both ends. Default 1006 (RFC 1055); Linux has 296 unless told. */
  mtu?: number;
}

export class SlipCounters {
  received = 0;
  sent = 0;
  /** Packets with an escape that is none: a byte was lost or has changed. */
  malformed = 0;
  /** Packets larger than the MTU; or what a line without a peer brings. */
  tooLong = 0;
  /** Packets larger than the MTU that were to be sent. */
  tooBig = 0;
}

/** What has come of the packet on its way in. */
const WHOLE = 0;
const ESCAPED = 1;
/** The rest of it is of no use. */
const SPOILT = 2;

export class Slip implements Link {
  readonly medium = "ip";
  readonly mtu: number;
  readonly counters = new SlipCounters();
  private receiver: LinkReceiver | null = null;
  private readonly packet: Uint8Array;
  private length = 0;
  private state = WHOLE;
  /** The packet on its way out, as it is on the line: what is left of it is `line[lineStart..lineEnd)`. */
  private readonly line: Uint8Array;
  private lineStart = 0;
  private lineEnd = 0;

  constructor(
    private readonly port: SerialPort,
    options: SlipOptions,
  ) {
    this.mtu = requireInteger(options.mtu === undefined ? 1006 : options.mtu, 68, 65535, "mtu");
    if (!port || typeof port.write !== "function") fail("EINVAL", "port");
    this.packet = new Uint8Array(this.mtu);
    this.line = new Uint8Array(2 * this.mtu + 2);
  }

  open(receiver: LinkReceiver): void {
    if (this.receiver) fail("EBUSY", "slip");
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
    this.length = this.lineStart = this.lineEnd = 0;
    this.state = WHOLE;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    if (this.lineStart < this.lineEnd) return -1;
    if (end - start > this.mtu) {
      this.counters.tooBig++;
      return 0;
    }
    const line = this.line;
    // Noise that came before is a packet of its own.
    line[0] = END;
    let at = 1;
    for (; start < end; start++) {
      const byte = frame[start];
      if (byte === END || byte === ESC) {
        line[at++] = ESC;
        line[at++] = byte === END ? ESC_END : ESC_ESC;
      } else line[at++] = byte;
    }
    line[at++] = END;
    this.lineStart = 0;
    this.lineEnd = at;
    this.counters.sent++;
    this.flush();
    return 0;
  }

  /** The line has room again: what is left goes on. */
  drain(): void {
    if (this.lineStart === this.lineEnd) return;
    this.flush();
    if (this.lineStart === this.lineEnd && this.receiver) this.receiver.writable();
  }

  /** Takes bytes of the line, `data[start..end)`, however it has cut them. They are borrowed. */
  input(data: Uint8Array, start: number, end: number): void {
    for (; start < end; start++) {
      const byte = data[start];
      if (byte === END) this.finish();
      else if (this.state === ESCAPED) {
        if (byte === ESC_END || byte === ESC_ESC) {
          this.state = WHOLE;
          this.store(byte === ESC_END ? END : ESC);
        } else {
          this.counters.malformed++;
          this.state = SPOILT;
        }
      } else if (this.state === WHOLE) {
        if (byte === ESC) this.state = ESCAPED;
        else this.store(byte);
      }
    }
  }

  private store(byte: number): void {
    if (this.length < this.mtu) {
      this.packet[this.length++] = byte;
      return;
    }
    this.counters.tooLong++;
    this.state = SPOILT;
  }

  private finish(): void {
    const length = this.length;
    const state = this.state;
    this.length = 0;
    this.state = WHOLE;
    if (state === ESCAPED) this.counters.malformed++;
    // Two ENDs stand between packets where either end sends one before and one behind each.
    if (state !== WHOLE || length === 0 || !this.receiver) return;
    this.counters.received++;
    this.receiver.receive(this.packet, 0, length);
  }

  private flush(): void {
    const left = this.lineEnd - this.lineStart;
    const taken = this.port.write(this.line, this.lineStart, this.lineEnd) | 0;
    // Who takes more than there is has taken all, and less than nothing is nothing.
    if (taken > 0) this.lineStart += taken < left ? taken : left;
  }
}

/** A link over a serial line. Throws `EINVAL`. Counters: `Slip.counters`. */
export function slip(port: SerialPort, options: SlipOptions = {}): Slip {
  return new Slip(port, options);
}
