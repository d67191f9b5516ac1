/** A network interface of the stack: a host's link, the medium that frames for it, and its counters. */
import { CHECKSUM_NONE, CHECKSUM_PARTIAL } from "../../hypercall/link.js";
import type { Link, LinkReceiver, TransmitOffload } from "../../hypercall/link.js";
import { get16, get32 } from "./bytes.js";
import { EAGAIN, EIO, ENETDOWN } from "./errors.js";
import { CHECKSUM_OK, CHECKSUM_UNFINISHED } from "./packet.js";
import type { Packet } from "./packet.js";
import type { Stack } from "./stack.js";

/** What frames packets for a kind of link: Ethernet, or nothing (bare IP). */
export interface Medium {
  /** The `Link.medium` that it serves. */
  readonly medium: string;
  /** Bytes that it puts before a network packet. */
  readonly headerSize: number;
  /** Next hops have hardware addresses that must be resolved (ARP, ND). */
  readonly resolves: boolean;
  /** Takes the frame in `packet`. */
  input(packet: Packet): void;
  /**
   * Frames the network packet in `packet` and sends it.
   *
   * @param high first two bytes of the destination's hardware address
   * @param low its last four bytes
   */
  output(nif: Interface, packet: Packet, high: number, low: number, ethertype: number): number;
}

/** Counters of an interface. */
export class InterfaceCounters {
  rxFrames = 0;
  rxBytes = 0;
  /** Frames that came while the interface was down or the stack busy, that do not lie in their buffer, or for which there was no memory. */
  rxDropped = 0;
  /** Frames that the driver said it lost. */
  rxLost = 0;
  txFrames = 0;
  txBytes = 0;
  /** Frames that the link had no room for. */
  txFull = 0;
  /** Frames that the link threw at. */
  txErrors = 0;
}

export class Interface implements LinkReceiver {
  readonly counters = new InterfaceCounters();
  /** Administrative state; see `stack.setInterface`. */
  enabled = true;
  /** Carrier, as the link says. */
  running = true;
  mtu: number;
  /** The hardware address: its first two bytes and its last four; 0 where the medium has none. */
  high = 0;
  low = 0;
  /** Hardware addresses to receive beside its own, groups as a rule, as [high, low, users] triples end to end. */
  readonly groups: number[] = [];
  /** True while frames go to the stack unfiltered (bridges, captures). */
  promiscuous = false;
  /** True while frames to all groups are taken (multicast routers). */
  allGroups = false;
  /** Set when the interface has been removed. */
  removed = false;

  constructor(
    readonly stack: Stack,
    readonly name: string,
    /** 1, 2, ...: never used again within a stack. */
    readonly index: number,
    /** Replaced where frames queue before it: queue/shaper.ts. */
    public link: Link,
    readonly medium: Medium,
  ) {
    this.mtu = link.mtu;
    const mac = link.mac;
    if (mac) {
      this.high = get16(mac, 0);
      this.low = get32(mac, 2);
    }
  }

  receive(frame: Uint8Array, start: number, end: number, checksum?: number, segmentSize?: number): void {
    const stack = this.stack;
    // The driver's word is checked as well: a frame that does not lie in its buffer is none.
    if (
      !this.enabled ||
      (stack.busy && stack.unwrapping === 0) ||
      !frame ||
      !(start >= 0 && start <= end && end <= frame.length)
    ) {
      this.counters.rxDropped++;
      return;
    }
    // A callback has received this frame while another is still being dealt with.
    if (stack.lender) stack.reclaim();
    this.counters.rxBytes += end - start;
    const packet = stack.rx;
    packet.data = frame;
    packet.start = start;
    packet.end = end;
    packet.nif = this;
    packet.segmentSize = segmentSize || 0;
    packet.mark = 0;
    packet.flags = (checksum || CHECKSUM_NONE) === CHECKSUM_NONE ? 0 : CHECKSUM_OK;
    if (checksum === CHECKSUM_PARTIAL) packet.flags |= CHECKSUM_UNFINISHED;
    if (stack.busy) {
      // A tunnel's: it has come out of the packet that is being dealt with, which is at its end here.
      this.counters.rxFrames++;
      this.medium.input(packet);
      return;
    }
    stack.busy = true;
    stack.timely = false;
    // A host that is kept busy may be late with its wake-ups: from time to time someone looks.
    if ((++this.counters.rxFrames & 15) === 0) stack.now();
    try {
      this.medium.input(packet);
    } catch (error) {
      // The engine's memory has ended, nothing else throws: the frame is lost, and the stack goes on.
      this.counters.rxDropped++;
      stack.host.panic(error);
    }
    stack.busy = false;
    if (stack.deferred || stack.overdue) stack.runDeferred();
    if (stack.lender) stack.reclaim();
  }

  carrier(up: boolean): void {
    if (this.running === up) return;
    this.running = up;
    this.stack.interfaceChanged(this);
  }

  writable(): void {
    this.stack.linkWritable();
  }

  lost(count: number): void {
    this.counters.rxLost += count;
  }

  up(): boolean {
    return this.enabled && this.running;
  }

  /** Gives a finished frame to the link. 0, `ENETDOWN`, `EAGAIN` (no room now) or `EIO` (the link failed). */
  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    const counters = this.counters;
    if (!this.enabled || !this.running) return ENETDOWN;
    let code: number;
    try {
      code = this.link.transmit(frame, start, end, offload);
    } catch (error) {
      counters.txErrors++;
      this.stack.hostFault("transmit", error);
      return EIO;
    }
    if (code < 0) {
      counters.txFull++;
      return EAGAIN;
    }
    counters.txFrames++;
    counters.txBytes += end - start;
    return 0;
  }
}
