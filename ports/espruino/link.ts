/** A network interface over a vendor's two functions: one that sends a frame, and one that fetches what has arrived. */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { fail } from "../../stack/core/errors.js";

export interface FrameFunctions {
  /** The hardware address, 6 bytes. */
  mac: Uint8Array;
  /** Default 1500. */
  mtu?: number;
  /** Sends the frame (Ethernet without FCS), or copies it, before it returns; false: no room now. */
  send(frame: Uint8Array): boolean;
  /**
   * Fetches the next frame that has arrived into `buffer`, which has room for the largest one. Returns its bytes; 0: there is none.
   * Called by `poll`. A vendor who pushes frames (`link.input`) needs none.
   */
  receive?(buffer: Uint8Array): number;
}

/** Frames that one `poll` takes: the script must get its turn. */
const BATCH = 16;

export class FrameLink implements Link {
  readonly medium = "ethernet";
  readonly mtu: number;
  readonly mac: Uint8Array;
  private receiver: LinkReceiver | null = null;
  private readonly buffer: Uint8Array;
  private full = false;

  constructor(private readonly device: FrameFunctions) {
    this.mac = device.mac;
    this.mtu = device.mtu || 1500;
    // Ethernet's header with a tag.
    this.buffer = new Uint8Array(this.mtu + 18);
  }

  open(receiver: LinkReceiver): void {
    if (this.receiver) fail("EBUSY", "link");
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const whole = start === 0 && end === frame.length ? frame : frame.subarray(start, end);
    if (this.device.send(whole)) return 0;
    this.full = true;
    return -1;
  }

  /** For the vendor: a frame has arrived in `frame[start..end)`. Never from inside `send`. */
  input(frame: Uint8Array, start: number, end: number): void {
    if (this.receiver) this.receiver.receive(frame, start, end);
  }

  /** For the vendor: frames may have arrived. Call it when the controller's interrupt pin says so: `setWatch(() => link.poll(), pin, ...)`. */
  poll(): void {
    const device = this.device;
    for (let i = 0; i < BATCH && device.receive && this.receiver; i++) {
      const length = device.receive(this.buffer);
      if (!(length > 0 && length <= this.buffer.length)) break;
      this.receiver.receive(this.buffer, 0, length);
    }
    this.writable();
  }

  /** For the vendor: there is room for frames again. `poll` looks for it, too. */
  writable(): void {
    if (!this.full || !this.receiver) return;
    this.full = false;
    this.receiver.writable();
  }

  /** For the vendor: the cable has come or gone. */
  carrier(up: boolean): void {
    if (this.receiver) this.receiver.carrier(up);
  }
}

export function frameLink(device: FrameFunctions): FrameLink {
  return new FrameLink(device);
}
