/**
 * The loopback interface `lo`: what this host sends to itself comes back by the same path as everything else, a little later.
 *
 * It takes large segments whole and leaves checksums alone: nothing leaves the memory of this machine.
 */
import { CHECKSUM_PARTIAL, CHECKSUM_VERIFIED } from "../../hypercall/link.js";
import type { Link, LinkReceiver, TransmitOffload } from "../../hypercall/link.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { FrameQueue, RECORD } from "./frame-queue.js";
import { requireIpLink } from "./ip.js";

export class LoopbackCounters {
  /** Frames dropped for want of memory. */
  noMemory = 0;
}

export interface LoopbackOptions {
  /** Bytes that may wait. Default 262144, at most a quarter of the budget. */
  memory?: number;
}

export class Loopback implements Component, Link {
  readonly name = "lo";
  readonly medium = "ip";
  readonly counters = new LoopbackCounters();
  mtu = 65535;
  offloads = { transmitChecksum: true, segmentation: 65535, receiveCoalescing: true };
  private stack: Stack = null as never;
  private queue: FrameQueue = null as never;
  private receiver: LinkReceiver | null = null;

  constructor(private readonly memory: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "loopback");
    this.stack = stack;
    stack.counters.lo = this.counters as never;
  }

  started(): void {
    const stack = this.stack;
    requireIpLink(stack);
    this.queue = new FrameQueue(
      stack,
      this.memory,
      this.counters,
      (frame, length, checksum) => {
        if (this.receiver) this.receiver.receive(frame, 0, length, checksum);
      },
      () => {
        if (this.receiver) this.receiver.writable();
      },
    );
    // Every frame must fit the empty queue, or it would wait for ever.
    if (this.queue.limit - RECORD < this.mtu) this.mtu = this.queue.limit - RECORD;
    this.offloads.segmentation = this.mtu;
    const nif = stack.addInterface(this, "lo");
    for (let i = 0; i < stack.networks.length; i++) {
      const net = stack.networks[i];
      if (net.setLoopback) net.setLoopback(nif);
    }
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
    // Components that hear of the interface next know it by that.
    const networks = this.stack.networks;
    for (let i = 0; i < networks.length; i++) networks[i].loopback = receiver as Interface;
  }

  close(): void {
    this.receiver = null;
    this.queue.clear();
  }

  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    return this.queue.put(frame, start, end, offload ? CHECKSUM_PARTIAL : CHECKSUM_VERIFIED);
  }
}

/** The loopback interface, with the networks' own addresses (127.0.0.1). Counters: `lo`. */
export function loopback(options: LoopbackOptions = {}): Loopback {
  return new Loopback(requireInteger(options.memory || 262144, 1024, 0x7fffffff, "memory"));
}
