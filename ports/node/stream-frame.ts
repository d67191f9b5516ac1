/**
 * A cable made of a byte stream: each frame behind its length in 4 bytes, big-endian, as QEMU's `-netdev stream` (and the older
 * `-netdev socket`) has it. The stream may break and be replaced: the carrier comes and goes with it.
 */
import { connect, createServer } from "node:net";
import type { ListenOptions, NetConnectOpts, Server } from "node:net";
import type { Duplex } from "node:stream";
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { systemError } from "./errors.js";
import { hardwareAddress } from "./mac.js";
import { STREAM_FRAME_HEADER, STREAM_FRAME_MAXIMUM, StreamFrameParser } from "./stream-parser.js";

export interface StreamFrameOptions {
  /** `"ethernet"` (default) or `"ip"` frames. */
  medium?: "ethernet" | "ip";
  /** Default 1500. */
  mtu?: number;
  /** The hardware address of our end: 6 bytes or `"02:..."`. Default: random, locally administered. */
  mac?: Uint8Array | string;
}

export class StreamFrameLink implements Link {
  readonly medium: "ethernet" | "ip";
  readonly mtu: number;
  readonly mac?: Uint8Array;
  /** Frames that were given to the link while no stream was there, or that no length can express. */
  transmitErrors = 0;
  /** Streams that were closed because a length in them was beyond `STREAM_FRAME_MAXIMUM`. */
  badLengths = 0;

  private receiver: LinkReceiver | null = null;
  private stream: Duplex | null = null;
  private closed = false;
  private blocked = false;
  private corked = false;
  private server: Server | null = null;
  private referenced = true;

  constructor(options: StreamFrameOptions = {}) {
    this.medium = options.medium ?? "ethernet";
    this.mtu = options.mtu ?? 1500;
    if (this.medium === "ethernet") this.mac = hardwareAddress(options.mac);
  }

  /** Puts a stream into the cable, in place of the one that may be there: that one is destroyed. */
  attach(stream: Duplex): void {
    if (this.closed) {
      stream.destroy();
      return;
    }
    this.stream?.destroy();
    this.stream = stream;
    const parser = new StreamFrameParser((data, start, end) => this.receiver?.receive(data, start, end));
    stream.on("data", (chunk: Uint8Array) => {
      if (this.stream !== stream || parser.input(chunk)) return;
      this.badLengths++;
      stream.destroy();
    });
    stream.on("drain", () => {
      if (this.stream === stream) this.room();
    });
    stream.on("end", () => stream.destroy());
    stream.on("error", () => stream.destroy());
    stream.on("close", () => {
      if (this.stream !== stream) return;
      this.stream = null;
      this.receiver?.carrier(false);
      // What was refused for want of room is refused no longer: without carrier frames are lost, as on any cable.
      this.room();
    });
    this.applyReference();
    this.receiver?.carrier(true);
    this.room();
  }

  /** Whether a stream is there. */
  get connected(): boolean {
    return this.stream !== null;
  }

  open(receiver: LinkReceiver): void {
    if (this.closed) throw systemError("EBADF", "the link is closed");
    if (this.receiver) throw systemError("EALREADY", "the link is open");
    this.receiver = receiver;
    if (!this.stream) receiver.carrier(false);
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const stream = this.stream;
    const length = end - start;
    if (!stream || length > STREAM_FRAME_MAXIMUM) {
      this.transmitErrors++;
      return 0;
    }
    if (stream.writableNeedDrain) {
      this.blocked = true;
      return -1;
    }
    if (!this.corked) {
      // The frames of one turn go to the kernel in one call.
      this.corked = true;
      stream.cork();
      process.nextTick(uncork, this, stream);
    }
    const bytes = Buffer.allocUnsafe(STREAM_FRAME_HEADER + length);
    bytes.writeUInt32BE(length, 0);
    bytes.set(frame.subarray(start, end), STREAM_FRAME_HEADER);
    stream.write(bytes);
    return 0;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.receiver = null;
    this.server?.close();
    this.stream?.destroy();
    this.stream = null;
  }

  /** Where a listening link listens, as `server.address()` has it; otherwise null. */
  address(): ReturnType<Server["address"]> {
    return this.server ? this.server.address() : null;
  }

  /** Lets the process end while the link is open. */
  unref(): this {
    this.referenced = false;
    this.applyReference();
    return this;
  }

  ref(): this {
    this.referenced = true;
    this.applyReference();
    return this;
  }

  /** @internal */
  serve(server: Server): void {
    this.server = server;
    server.on("connection", (socket) => this.attach(socket.setNoDelay(true)));
    this.applyReference();
  }

  /** @internal */
  uncorked(): void {
    this.corked = false;
  }

  private room(): void {
    if (!this.blocked) return;
    this.blocked = false;
    this.receiver?.writable();
  }

  private applyReference(): void {
    const verb = this.referenced ? "ref" : "unref";
    this.server?.[verb]();
    (this.stream as { ref?(): void; unref?(): void } | null)?.[verb]?.();
  }
}

function uncork(link: StreamFrameLink, stream: Duplex): void {
  link.uncorked();
  stream.uncork();
}

/**
 * Connects to the far end, which listens (`-netdev stream,server=on`). Rejects with the socket's error. When the connection
 * ends, the carrier goes; `link.attach` can give it a new one.
 */
export async function connectStreamFrame(
  where: NetConnectOpts,
  options: StreamFrameOptions = {},
): Promise<StreamFrameLink> {
  const link = new StreamFrameLink(options);
  const socket = connect(where);
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve();
    });
  });
  if ("port" in where) socket.setNoDelay(true);
  link.attach(socket);
  return link;
}

/**
 * Listens for the far end, which connects (`-netdev stream,server=off`), on the loopback address unless told otherwise. A new
 * connection takes the place of the one before. Rejects with the socket's error (`EADDRINUSE`, ...).
 */
export async function listenStreamFrame(
  where: ListenOptions,
  options: StreamFrameOptions = {},
): Promise<StreamFrameLink> {
  const link = new StreamFrameLink(options);
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(where.path === undefined ? { host: "127.0.0.1", ...where } : where, () => {
      server.off("error", reject);
      resolve();
    });
  });
  link.serve(server);
  return link;
}
