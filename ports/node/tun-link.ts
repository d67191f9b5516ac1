/**
 * The Link over a TUN or TAP descriptor: reads in bounded batches, writes at once, minds the carrier. How the descriptor is
 * read, written and waited for is the business of a `TunDevice`: tap.ts has one over koffi, fd.ts one over node:fs.
 */
import { CHECKSUM_NONE, CHECKSUM_PARTIAL } from "../../hypercall/link.js";
import type { Link, LinkOffloads, LinkReceiver, TransmitOffload } from "../../hypercall/link.js";
import { errorName, systemError } from "./errors.js";
import type { SystemError } from "./errors.js";
import { Gather } from "./gather.js";
import { Merger } from "./merge.js";
import {
  VIRTIO_NET_HEADER,
  emitVirtioHeader,
  parseVirtioChecksum,
  parseVirtioSegment,
} from "./virtio-net.js";

/** A non-blocking TUN/TAP descriptor. Results below zero are negative errno values. */
export interface TunDevice {
  /** Reads one frame into `buffer`; its length. */
  read(buffer: Uint8Array): number;
  /**
   * Reads one frame: its first `length` bytes into `head`, the others to `rest[at..]`; its length. A device without it merges no
   * segments.
   */
  scatter?(head: Uint8Array, length: number, rest: Uint8Array, at: number): number;
  /** Writes one frame, `length` bytes of `bytes` from `start` on: no view is made for it. */
  write(bytes: Uint8Array, start: number, length: number): number;
  /** Whether the interface is up, as far as this can be known at once; true if not. */
  isUp(): boolean;
  /** Calls `ready` when the descriptor can be read (or has failed), with true when it can be written and that was asked for. */
  start(ready: (writable: boolean) => void): void;
  /** Asks for the next `ready`. Called after each drain, and by a write that found no room. */
  watch(writable: boolean): void;
  close(): void;
  /** Whether the open device keeps the process alive (default: yes). */
  ref(): void;
  unref(): void;
}

export interface TunLinkOptions {
  name: string;
  mode: "tap" | "tun";
  /** Frames carry virtio-net headers, and the kernel takes and gives large segments and partial checksums. */
  offloads: boolean;
  /** TCP segments that come one after the other are merged (merge.ts). */
  coalesce: boolean;
  /** The same of what is sent (gather.ts); only with `offloads`. */
  gather?: boolean;
  mtu: number;
  /** The hardware address of our end; only for `"tap"`. */
  mac: Uint8Array | undefined;
  /** Gives the memory that frames are read into. */
  allocate: ((size: number) => Uint8Array) | undefined;
}

/** Frames, and bytes, that one batch may take from the kernel before the event loop gets its turn. */
const BATCH_FRAMES = 64;
const BATCH_BYTES = 512 * 1024;
/** The largest IPv6 packet without jumbo option, Ethernet header, two tags and the virtio header. */
const BUFFER_SIZE = 65575 + 22 + VIRTIO_NET_HEADER;
/** The kernel accepts TCP segments that fill an IP packet. */
const LARGEST_SEGMENT = 65535;

const EINTR = 4;
const EIO = 5;
const EAGAIN = 11;

export class TunLink implements Link {
  readonly medium: "ethernet" | "ip";
  readonly mtu: number;
  readonly mac?: Uint8Array;
  readonly offloads?: LinkOffloads;
  /** The name of the kernel's interface. */
  readonly name: string;
  /** Frames that the kernel refused for a reason other than want of room: interface down, malformed, device gone. */
  transmitErrors = 0;
  /** Why the device was lost (its interface was deleted, say), or null. The carrier is down from then on. */
  failure: SystemError | null = null;

  private receiver: LinkReceiver | null = null;
  private closed = false;
  private scheduled = false;
  /** Some `transmit` was told -1, and the receiver has not been told that there is room. */
  private blocked = false;
  /** The kernel has said that it has room. */
  private room = false;
  private up = true;
  private reportedUp = true;
  private readonly header: number;
  /** Frames are read to `shift`, so that the IP header behind virtio and Ethernet headers is aligned to 4 bytes: into `inside`. */
  private readonly buffer: Uint8Array;
  private readonly inside: Uint8Array;
  private readonly shift: number;
  private readonly merger: Merger | null;
  private readonly gather: Gather | null = null;
  /** For frames without room for the virtio header in front; made on first use. */
  private bounce: Uint8Array | null = null;
  private readonly saved = new Uint8Array(VIRTIO_NET_HEADER);

  constructor(
    private readonly device: TunDevice,
    options: TunLinkOptions,
  ) {
    this.name = options.name;
    this.medium = options.mode === "tap" ? "ethernet" : "ip";
    this.mtu = options.mtu;
    if (options.mac) this.mac = options.mac;
    this.header = options.offloads ? VIRTIO_NET_HEADER : 0;
    const coalesce = options.coalesce && device.scatter !== undefined;
    if (options.offloads) {
      this.offloads = { transmitChecksum: true, segmentation: LARGEST_SEGMENT, receiveCoalescing: true };
    } else if (coalesce) this.offloads = { receiveCoalescing: true };
    const linkHeader = options.mode === "tap" ? 14 : 0;
    this.shift = -(this.header + linkHeader) & 3;
    // Behind what has been merged, at its largest, there must be room for a frame that may be as large.
    const size = (coalesce ? 2 : 1) * BUFFER_SIZE + 4;
    this.buffer = options.allocate ? options.allocate(size) : new Uint8Array(size);
    this.inside = this.buffer.subarray(this.shift);
    this.merger = coalesce ? new Merger(this.buffer, this.header, linkHeader) : null;
    if (options.gather && options.offloads) {
      this.gather = new Gather(linkHeader, (bytes, length) => this.writeGathered(bytes, length));
    }
  }

  open(receiver: LinkReceiver): void {
    if (this.closed) throw systemError("EBADF", `${this.name} is closed`);
    if (this.receiver) throw systemError("EALREADY", `${this.name} is open`);
    this.receiver = receiver;
    this.device.start((writable) => this.ready(writable));
    if (!this.device.isUp()) {
      this.up = this.reportedUp = false;
      receiver.carrier(false);
    }
    this.device.watch(!this.up);
  }

  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    if (this.closed || this.failure) {
      this.transmitErrors++;
      return 0;
    }
    const gather = this.gather;
    if (gather !== null) {
      if (this.blocked) return -1;
      if (offload === null && gather.take(frame, start, end)) return 0;
      gather.flush();
      if (this.blocked) return -1;
    }
    const header = this.header;
    const device = this.device;
    let code: number;
    if (header === 0) {
      code = device.write(frame, start, end - start);
    } else if (start >= header) {
      // The bytes before the frame may be another packet's: they are borrowed for the call and put back.
      const at = start - header;
      const saved = this.saved;
      for (let i = 0; i < header; i++) saved[i] = frame[at + i];
      emitVirtioHeader(frame, at, frame, start, offload);
      code = device.write(frame, at, end - at);
      for (let i = 0; i < header; i++) frame[at + i] = saved[i];
    } else {
      code = this.writeBounced(frame, start, end, offload);
    }
    return code >= 0 ? 0 : this.refused(-code);
  }

  close(): void {
    if (this.closed) return;
    this.gather?.flush();
    this.closed = true;
    this.receiver = null;
    this.device.close();
  }

  /** Frames that have been merged into the one before (`TapOptions.coalesce`). */
  get coalesced(): number {
    return this.merger === null ? 0 : this.merger.merged;
  }

  /** Frames that were written as one with the frame before (`TapOptions.gather`). */
  get gathered(): number {
    return this.gather === null ? 0 : this.gather.merged;
  }

  /** Lets the process end while the link is open. */
  unref(): this {
    this.device.unref();
    return this;
  }

  ref(): this {
    this.device.ref();
    return this;
  }

  private writeGathered(bytes: Uint8Array, length: number): number {
    if (this.closed || this.failure) return 0;
    const code = this.device.write(bytes, 0, length);
    return code >= 0 ? 0 : this.refused(-code);
  }

  private writeBounced(
    frame: Uint8Array,
    start: number,
    end: number,
    offload: TransmitOffload | null,
  ): number {
    const length = this.header + end - start;
    if (length > BUFFER_SIZE) return -EIO;
    const bounce = (this.bounce ??= new Uint8Array(BUFFER_SIZE));
    emitVirtioHeader(bounce, 0, frame, start, offload);
    bounce.set(start === 0 && end === frame.length ? frame : frame.subarray(start, end), this.header);
    return this.device.write(bounce, 0, length);
  }

  /** The kernel did not take a frame. It is to be sent again only when the kernel had no room. */
  private refused(errno: number): number {
    if (errno === EAGAIN || errno === EINTR) {
      if (!this.blocked) {
        this.blocked = true;
        this.device.watch(true);
      }
      return -1;
    }
    this.transmitErrors++;
    if (errno === EIO && this.up) {
      // The interface is down; it is writable again when it comes up.
      this.up = false;
      this.device.watch(true);
      this.schedule();
    }
    return 0;
  }

  private ready(writable: boolean): void {
    if (writable) this.up = this.room = true;
    this.schedule();
  }

  /** Tells the receiver what has changed since it was last told. */
  private tell(): void {
    if (this.reportedUp !== this.up) {
      this.reportedUp = this.up;
      this.receiver?.carrier(this.up);
    }
    if (!this.room) return;
    this.room = false;
    if (!this.blocked) return;
    this.blocked = false;
    this.gather?.flush();
    // That had no room either.
    if (this.blocked) return;
    this.receiver?.writable();
  }

  /** Frames are read from an immediate: there promises and ticks of the application get their turn after each batch. */
  private schedule(): void {
    if (this.scheduled || this.closed) return;
    this.scheduled = true;
    setImmediate(drain, this);
  }

  /** @internal */
  drain(): void {
    this.scheduled = false;
    this.tell();
    const { device, buffer, inside, shift, header, merger } = this;
    let frames = 0;
    let bytes = 0;
    while (this.receiver !== null && frames < BATCH_FRAMES && bytes < BATCH_BYTES) {
      let start = shift;
      let length: number;
      if (merger !== null && merger.count > 0) {
        const { headers, end } = merger;
        length = device.scatter!(merger.head, headers, buffer, end);
        if (length > 0 && merger.take(length)) {
          frames++;
          bytes += length - headers;
          if (!merger.open() || merger.end + BUFFER_SIZE > buffer.length) this.flush(merger);
          continue;
        }
        this.flush(merger);
        // Another's frame: it is put together again.
        const here = length < headers ? length : headers;
        if (length > headers) start = end - headers;
        for (let i = 0; i < here; i++) buffer[start + i] = merger.head[i];
      } else length = device.read(inside);
      if (length < 0) {
        this.exhausted(-length);
        return;
      }
      frames++;
      bytes += length;
      if (length > header) this.take(start, start + length);
    }
    if (merger !== null && merger.count > 0) this.flush(merger);
    this.schedule();
  }

  /** A frame has come: it is kept for the next ones where they may continue it. */
  private take(start: number, end: number): void {
    const merger = this.merger;
    if (merger === null || end + BUFFER_SIZE > this.buffer.length || !merger.begin(start, end)) {
      this.deliver(start, end);
    }
  }

  /** Gives what has been merged so far to the receiver. */
  private flush(merger: Merger): void {
    const { start, end, segmentSize, count } = merger;
    merger.count = 0;
    if (count === 1) this.deliver(start, end);
    else {
      merger.finish();
      this.receiver?.receive(this.buffer, start + this.header, end, CHECKSUM_PARTIAL, segmentSize);
    }
  }

  private deliver(start: number, end: number): void {
    const { buffer, header } = this;
    const checksum = header === 0 ? CHECKSUM_NONE : parseVirtioChecksum(buffer, start);
    const merged = header === 0 ? 0 : parseVirtioSegment(buffer, start);
    this.receiver?.receive(buffer, start + header, end, checksum, merged);
  }

  private exhausted(errno: number): void {
    if (errno === EAGAIN || errno === EINTR) {
      this.device.watch(this.blocked || !this.up);
      return;
    }
    this.failure = systemError(errorName(errno), `${this.name} is gone`);
    this.device.close();
    this.up = false;
    this.tell();
  }
}

function drain(link: TunLink): void {
  link.drain();
}
