/** A network interface of the board: frames go out at once and are fetched by `poll`, one at a time, into one buffer. */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { fail } from "../../stack/core/errors.js";
import { BARE_CARRIER, BARE_LOST_SHIFT, BARE_ROOM } from "./calls.js";
import type { BareCalls } from "./calls.js";

/** Ethernet's header with a VLAN tag. */
const LINK_HEADER = 18;
/** Counts of lost frames have so many bits. */
const LOST_MASK = 0x3fffffff;

export class BareLink implements Link {
  readonly medium: "ethernet" | "ip";
  readonly mtu: number;
  readonly mac?: Uint8Array;
  /** A frame was refused for want of room, and `writable` has not been called since. */
  blocked = false;
  private receiver: LinkReceiver | null = null;
  private closed = false;
  private up = true;
  private lost = 0;
  private readonly frame: Uint8Array;

  /** @internal Made by `BareHost.link`. */
  constructor(
    private readonly calls: BareCalls,
    readonly index: number,
    about: Uint8Array,
  ) {
    const mac = about.subarray(0, 6);
    this.mtu = (about[6] << 8) | about[7];
    this.medium = mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5] ? "ethernet" : "ip";
    if (this.medium === "ethernet") this.mac = mac;
    this.frame = new Uint8Array(this.mtu + LINK_HEADER);
  }

  /** Errors (thrown): `EALREADY` it is open, `EBADF` it was closed. */
  open(receiver: LinkReceiver): void {
    if (this.closed) fail("EBADF", "link " + this.index);
    if (this.receiver) fail("EALREADY", "link " + this.index);
    this.receiver = receiver;
    this.lost = (this.calls.linkState(this.index) >>> BARE_LOST_SHIFT) & LOST_MASK;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    // Without a cable a frame is lost, as on any other machine.
    if (!this.receiver || !this.up || this.calls.frameOut(this.index, frame, start, end)) return 0;
    this.blocked = true;
    return -1;
  }

  close(): void {
    this.closed = true;
    this.receiver = null;
  }

  /** Tells the receiver what has changed, and delivers `limit` frames at most; true: more may be waiting. */
  poll(limit: number): boolean {
    const calls = this.calls;
    const index = this.index;
    const frame = this.frame;
    const state = calls.linkState(index);
    const up = (state & BARE_CARRIER) !== 0;
    const lost = (state >>> BARE_LOST_SHIFT) & LOST_MASK;
    if (up !== this.up && this.receiver) {
      this.up = up;
      this.receiver.carrier(up);
    }
    if (lost !== this.lost && this.receiver) {
      const count = (lost - this.lost) & LOST_MASK;
      this.lost = lost;
      this.receiver.lost(count);
    }
    if (this.blocked && state & BARE_ROOM && this.receiver) {
      this.blocked = false;
      this.receiver.writable();
    }
    for (let i = 0; i < limit; i++) {
      const length = calls.frameIn(index, frame);
      if (length === 0) return false;
      // What nobody wants is fetched all the same: it would keep the board from sleeping.
      if (this.receiver && length <= frame.length) this.receiver.receive(frame, 0, length);
    }
    return true;
  }
}
