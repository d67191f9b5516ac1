/** `UDP` of ECMA-419 (clause 10: UDP socket; Annex A: formal algorithms). */
import type { DatagramInfo } from "../../stack/core/datagrams.js";
import type { UdpSocket } from "../../stack/udp/socket.js";
import type { Udp } from "../../stack/udp/udp.js";
import {
  adoptTarget,
  bytesOf,
  callbackOf,
  integerOf,
  ioError,
  makeDisposable,
  requireOptions,
  stringOf,
} from "./base.js";
import type { BaseOptions, ByteBuffer, IoError } from "./base.js";

export interface UdpIoOptions extends BaseOptions {
  /** The local port; default: a random one. */
  port?: number;
  address?: string;
  /** Moddable's: a group to join, and the time to live of what is sent to groups (1 to 255). */
  multicast?: string;
  timeToLive?: number;
  format?: string;
  /** `packets` wait to be read. */
  onReadable?: ((this: UDP, packets: number) => void) | null;
  /** A link that had no room has it again. */
  onWritable?: ((this: UDP) => void) | null;
  /** The network reports that something cannot be delivered. The socket goes on. */
  onError?: ((this: UDP, error: IoError) => void) | null;
}

/** Where a packet came from: properties of the buffer that `read` returns or fills. */
export interface Sender {
  address: string;
  port: number;
}

export interface UDP {
  close(): void;
  /**
   * The next packet, whole: a new ArrayBuffer, or into `buffer`, then its bytes; `undefined`: none waits. Throws when `buffer` is
   * too small; the packet stays. `address` and `port` of the sender become properties of the buffer.
   */
  read(): (ArrayBuffer & Sender) | undefined;
  read(buffer: ByteBuffer): number | undefined;
  /** Sends a packet, or throws. Moddable's older order (address, port, buffer) is understood, too. */
  write(buffer: ByteBuffer, address: string, port: number): void;
  write(address: string, port: number, buffer: ByteBuffer): void;
  /** Joins a multicast group, or throws. */
  add(group: string): void;
  /** Leaves it. */
  remove(group: string): void;
  /** `"buffer"` */
  format: string;
  target?: unknown;
}

export interface UdpClasses {
  UDP: new (options: UdpIoOptions) => UDP;
}

/** The class over a stack's UDP. */
export function udpClass(udp: Udp): UdpClasses {
  class UdpIo {
    target?: unknown;
    private socket: UdpSocket | null = null;

    constructor(options: UdpIoOptions) {
      requireOptions(options);
      const readable = callbackOf<(this: UDP, packets: number) => void>(options, "onReadable");
      const writable = callbackOf<(this: UDP) => void>(options, "onWritable");
      const failed = callbackOf<(this: UDP, error: IoError) => void>(options, "onError");
      const self = this as unknown as UDP;
      if (options.format !== undefined) this.format = options.format;
      const group = stringOf(options.multicast, "multicast");
      this.socket = udp.open({
        port: integerOf(options.port, 0, 65535, "port"),
        address: stringOf(options.address, "address"),
        multicastTtl: integerOf(options.timeToLive, 1, 255, "timeToLive"),
        broadcast: true,
        reuse: group !== undefined,
        onReadable: readable ? (count) => readable.call(self, count) : undefined,
        onWritable: writable ? () => writable.call(self) : undefined,
        onError: failed ? (code) => failed.call(self, ioError(code, "UDP")) : undefined,
      });
      try {
        if (group !== undefined) this.add(group);
      } catch (error) {
        this.close();
        throw error;
      }
      adoptTarget(this, options);
    }

    get format(): string {
      return "buffer";
    }

    set format(value: string) {
      if (value !== "buffer") throw ioError("EINVAL", "format");
    }

    close(): void {
      if (this.socket) this.socket.close();
      this.socket = null;
    }

    read(buffer?: ByteBuffer): (ArrayBuffer & Sender) | number | undefined {
      const socket = this.open("read");
      const length = socket.nextLength();
      const target = buffer === undefined ? new Uint8Array(length < 0 ? 0 : length) : bytesOf(buffer);
      if (length < 0) return undefined;
      if (length > target.length) throw ioError("EMSGSIZE", "read");
      const info = { address: "", port: 0 } as DatagramInfo;
      socket.receive(target, info);
      const result = (buffer === undefined ? target.buffer : buffer) as ArrayBuffer & Sender;
      result.address = info.address;
      result.port = info.port;
      return buffer === undefined ? result : length;
    }

    write(first: ByteBuffer | string, second: string | number, third: number | ByteBuffer): void {
      const socket = this.open("write");
      const older = typeof first === "string";
      const address = stringOf(older ? first : second, "address");
      const port = integerOf(older ? second : third, 1, 65535, "port");
      if (address === undefined || port === undefined) throw ioError("EINVAL", "address");
      const code = socket.sendTo(address, port, bytesOf(older ? third : first));
      if (code < 0) throw ioError(code, "write");
    }

    add(group: string): void {
      const code = this.open("add").join(group);
      if (code < 0) throw ioError(code, "add");
    }

    remove(group: string): void {
      const code = this.open("remove").leave(group);
      if (code < 0) throw ioError(code, "remove");
    }

    private open(what: string): UdpSocket {
      if (!this.socket) throw ioError("EBADF", what);
      return this.socket;
    }
  }

  makeDisposable(UdpIo);
  return { UDP: UdpIo as unknown as UdpClasses["UDP"] };
}
