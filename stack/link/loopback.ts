/**
 * The loopback interface `lo`: what this host sends to itself comes back by the same path as everything else, a little later.
 *
 * It takes large segments whole and leaves checksums alone: nothing leaves the memory of this machine. Bounds: `memory` bytes
 * wait at most, then the link is full; a frame that finds no memory while nothing else waits is dropped.
 */
import { CHECKSUM_PARTIAL, CHECKSUM_VERIFIED } from "../../hypercall/link.js";
import type { Link, LinkReceiver, TransmitOffload } from "../../hypercall/link.js";
import { get16, put16 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { Stream } from "../core/stream.js";
import { IpLink } from "./ip.js";

export class LoopbackCounters {
  /** Frames dropped for want of memory. */
  noMemory = 0;
}

export interface LoopbackOptions {
  /** Bytes that may wait. Default 262144, at most a quarter of the budget. */
  memory?: number;
}

/** Before each frame that waits: its length, its checksum state. */
const RECORD = 4;
/** Frames delivered in one go. */
const BATCH = 64;

export class Loopback implements Component, Link, Deferred {
  readonly name = "lo";
  readonly medium = "ip";
  readonly counters = new LoopbackCounters();
  mtu = 65535;
  offloads = { transmitChecksum: true, segmentation: 65535, receiveCoalescing: true };
  queued = false;
  nextDeferred: Deferred | null = null;
  private stack: Stack = null as never;
  private queue: Stream = null as never;
  private receiver: LinkReceiver | null = null;
  private readonly record = new Uint8Array(RECORD);
  /** The frame that is being delivered: the queue goes on filling meanwhile. */
  private frame: Uint8Array = new Uint8Array(0);
  private limit = 0;
  private full = false;

  constructor(private readonly memory: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "loopback");
    this.stack = stack;
    stack.counters.lo = this.counters as never;
    this.queue = new Stream(stack.pool, stack.host.copy);
    const quarter = (stack.pool.limit >> 2) << stack.pool.chunkShift;
    this.limit = quarter < this.memory ? quarter : this.memory;
    // Every frame must fit the empty queue, or it would wait for ever.
    if (this.limit - RECORD < this.mtu) this.mtu = this.limit - RECORD;
    this.offloads.segmentation = this.mtu;
  }

  start(): void {
    const stack = this.stack;
    let framed = false;
    for (let i = 0; i < stack.media.length; i++) {
      if (stack.media[i].medium === this.medium) framed = true;
    }
    if (!framed) new IpLink().attach(stack);
    const nif = stack.addInterface(this, "lo");
    for (let i = 0; i < stack.networks.length; i++) {
      const net = stack.networks[i];
      if (net.setLoopback) net.setLoopback(nif);
    }
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
    this.queue.clear();
  }

  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    const queue = this.queue;
    const length = end - start;
    const keep = this.stack.pool.limit >> 2;
    const record = this.record;
    put16(record, 0, length);
    record[2] = offload ? CHECKSUM_PARTIAL : CHECKSUM_VERIFIED;
    if (
      queue.length + RECORD + length > this.limit ||
      !queue.put(record, RECORD, frame, start, length, keep)
    ) {
      if (queue.length > 0) {
        this.full = true;
        return -1;
      }
      this.counters.noMemory++;
      return 0;
    }
    this.stack.defer(this);
    return 0;
  }

  /** Delivers what waits. */
  run(): void {
    const queue = this.queue;
    const record = this.record;
    for (let i = 0; i < BATCH && queue.length > 0 && this.receiver; i++) {
      queue.read(0, record, 0, RECORD);
      const length = get16(record, 0);
      const checksum = record[2];
      const fits = this.room(length);
      if (fits) queue.read(RECORD, this.frame, 0, length);
      else this.counters.noMemory++;
      queue.consume(RECORD + length);
      if (queue.length === 0) queue.clear();
      if (fits) this.receiver.receive(this.frame, 0, length, checksum);
    }
    if (queue.length > 0) this.stack.defer(this);
    if (this.full && queue.length * 2 <= this.limit && this.receiver) {
      this.full = false;
      this.receiver.writable();
    }
  }

  private room(length: number): boolean {
    if (this.frame.length < length) {
      let size = this.frame.length * 2 || 1536;
      if (size < length) size = length;
      this.frame = this.stack.host.allocate(size) || this.frame;
    }
    return this.frame.length >= length;
  }
}

/** The loopback interface, with the networks' own addresses (127.0.0.1). Counters: `lo`. */
export function loopback(options: LoopbackOptions = {}): Loopback {
  return new Loopback(requireInteger(options.memory || 262144, 1024, 0x7fffffff, "memory"));
}
