/** A cable in memory: two links, each the other's far end, for two stacks in one process. */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { systemError } from "./errors.js";
import { hardwareAddress } from "./mac.js";

export interface CableOptions {
  /** `"ethernet"` (default) or `"ip"`. */
  medium?: "ethernet" | "ip";
  /** Default 1500. */
  mtu?: number;
  /** Frames on their way in each direction at most, a power of two; then `transmit` says that there is no room. Default 256. */
  frames?: number;
}

/** Frames delivered in one turn of the event loop, so that timers and sockets get theirs. */
const BATCH = 64;
const ETHERNET_HEADER = 14;

class CableEnd implements Link {
  readonly medium: "ethernet" | "ip";
  readonly mtu: number;
  readonly mac?: Uint8Array;
  peer: CableEnd = this;
  private receiver: LinkReceiver | null = null;
  private readonly slot: number;
  private readonly slots: number;
  private readonly ring: Uint8Array;
  private readonly lengths: Int32Array;
  private head = 0;
  private count = 0;
  private full = false;
  private waiting = false;
  private closed = false;

  constructor(options: CableOptions) {
    this.medium = options.medium ?? "ethernet";
    this.mtu = options.mtu ?? 1500;
    this.slots = options.frames ?? 256;
    if (this.medium === "ethernet") this.mac = hardwareAddress(undefined);
    // A tag fits, too.
    this.slot = (this.mtu + ETHERNET_HEADER + 4 + 63) & ~63;
    this.ring = new Uint8Array(this.slot * this.slots);
    this.lengths = new Int32Array(this.slots);
  }

  open(receiver: LinkReceiver): void {
    if (this.closed) throw systemError("EBADF", "the link is closed");
    this.receiver = receiver;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (this.peer.closed || length > this.slot) return 0;
    if (this.count === this.slots) {
      this.full = true;
      return -1;
    }
    const at = (this.head + this.count++) & (this.slots - 1);
    this.ring.set(frame.subarray(start, end), at * this.slot);
    this.lengths[at] = length;
    if (!this.waiting) {
      this.waiting = true;
      setImmediate(this.deliver);
    }
    return 0;
  }

  close(): void {
    this.closed = true;
    this.receiver = null;
  }

  private readonly deliver = (): void => {
    const { peer } = this;
    this.waiting = false;
    for (let i = 0; i < BATCH && this.count > 0; i++) {
      const at = this.head;
      const start = at * this.slot;
      // The slot is free when the far end has dealt with it: what it sends itself goes the other way.
      peer.receiver?.receive(this.ring, start, start + this.lengths[at]);
      this.head = (at + 1) & (this.slots - 1);
      this.count--;
    }
    if (this.count > 0 && !this.waiting) {
      this.waiting = true;
      setImmediate(this.deliver);
    }
    if (!this.full || this.count > this.slots / 2) return;
    this.full = false;
    this.receiver?.writable();
  };
}

/** Makes a cable and gives its ends. Throws `EINVAL`. */
export function memoryCable(options: CableOptions = {}): [Link, Link] {
  const { frames = 256, mtu = 1500 } = options;
  if (!(frames >= 2 && frames <= 65536) || frames & (frames - 1)) throw systemError("EINVAL", "frames");
  if (!(mtu >= 68 && mtu <= 65535)) throw systemError("EINVAL", "mtu");
  const ends: [CableEnd, CableEnd] = [new CableEnd(options), new CableEnd(options)];
  ends[0].peer = ends[1];
  ends[1].peer = ends[0];
  return ends;
}
