/** What links of frames have in common here: their options, and the receiver at our end. */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { fail } from "../../stack/core/errors.js";

export interface FrameOptions {
  /** `"ethernet"` (default) or `"ip"` frames. */
  medium?: "ethernet" | "ip";
  /** Default 1500. */
  mtu?: number;
  /** The hardware address of our end: 6 bytes, a unicast address. Default: random, locally administered. */
  mac?: Uint8Array;
}

export abstract class FrameLink implements Link {
  readonly medium: "ethernet" | "ip";
  readonly mtu: number;
  readonly mac?: Uint8Array;
  /** Frames that were given to the link while there was nobody at the far end. */
  transmitErrors = 0;
  /** Messages that were no frames. */
  receiveErrors = 0;
  protected receiver: LinkReceiver | null = null;
  protected closed = false;
  /** `transmit` has refused a frame, and `writable` is owed. */
  protected blocked = false;

  constructor(options: FrameOptions) {
    this.medium = options.medium ?? "ethernet";
    this.mtu = options.mtu ?? 1500;
    if (this.medium === "ethernet") this.mac = hardwareAddress(options.mac);
  }

  open(receiver: LinkReceiver): void {
    if (this.closed) fail("EBADF", "the link is closed");
    if (this.receiver) fail("EALREADY", "the link is open");
    this.receiver = receiver;
  }

  abstract transmit(frame: Uint8Array, start: number, end: number): number;
  abstract close(): void;

  protected input(frame: ArrayBuffer): void {
    const bytes = new Uint8Array(frame);
    this.receiver?.receive(bytes, 0, bytes.length);
  }

  protected room(): void {
    if (!this.blocked) return;
    this.blocked = false;
    this.receiver?.writable();
  }
}

function hardwareAddress(given: Uint8Array | undefined): Uint8Array {
  if (given === undefined) {
    const random = crypto.getRandomValues(new Uint8Array(6));
    random[0] = (random[0] & 0xfc) | 2;
    return random;
  }
  if (!(given instanceof Uint8Array) || given.length !== 6 || given[0] & 1 || given.every((b) => b === 0)) {
    fail("EINVAL", "mac: 6 bytes of a unicast address");
  }
  return given.slice();
}
