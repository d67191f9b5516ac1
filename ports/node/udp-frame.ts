/**
 * A cable made of UDP: one datagram is one frame, as QEMU's `-netdev dgram` has it; optionally behind the L2TPv3 session
 * header (RFC 3931, section 4.1.2.1), as user-mode-linux' `vec0:transport=l2tpv3,udp=1` and the Linux kernel have it.
 */
import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { systemError } from "./errors.js";
import { hardwareAddress } from "./mac.js";

export interface UdpFrameOptions {
  /** Where the far end sends to. `port` 0 takes a free one (see `link.localPort`). Default: port 0 of the loopback address. */
  local?: { address?: string; port?: number };
  /** The far end. Datagrams from elsewhere are not ours: the kernel drops them. */
  remote: { address?: string; port: number };
  /** `"ethernet"` (default) or `"ip"` frames. */
  medium?: "ethernet" | "ip";
  /** Default 1500. */
  mtu?: number;
  /** The hardware address of our end: 6 bytes or `"02:..."`. Default: random, locally administered. */
  mac?: Uint8Array | string;
  /** Frames travel in L2TPv3 sessions; the numbers are those that each direction's receiver expects. Without cookies. */
  l2tpv3?: { receiveSession: number; transmitSession: number };
}

/** Data header (T = 0) of version 3, then the session; no cookie, no sublayer (RFC 3931, section 4.1.2.1). */
const L2TPV3_HEADER = 8;
const L2TPV3_VERSION = 3;
/** Bytes that may wait in Node for the kernel's socket buffer before `transmit` says -1. */
const QUEUE_LIMIT = 256 * 1024;

export class UdpFrameLink implements Link {
  readonly medium: "ethernet" | "ip";
  readonly mtu: number;
  readonly mac?: Uint8Array;
  readonly localPort: number;
  /** Datagrams that were not sent: nobody listens at the far end (yet), no route, too large. */
  transmitErrors = 0;
  /** Datagrams without the L2TPv3 header of our session. */
  receiveErrors = 0;

  private receiver: LinkReceiver | null = null;
  private closed = false;
  private blocked = false;
  private readonly header: number;
  private readonly receiveSession: number;
  private readonly transmitSession: number;

  /** @internal */
  constructor(
    private readonly socket: Socket,
    options: UdpFrameOptions,
  ) {
    this.medium = options.medium ?? "ethernet";
    this.mtu = options.mtu ?? 1500;
    if (this.medium === "ethernet") this.mac = hardwareAddress(options.mac);
    this.header = options.l2tpv3 ? L2TPV3_HEADER : 0;
    this.receiveSession = options.l2tpv3?.receiveSession ?? 0;
    this.transmitSession = options.l2tpv3?.transmitSession ?? 0;
    this.localPort = socket.address().port;
    socket.on("message", (datagram) => this.input(datagram));
    // Most often ECONNREFUSED: the far end is not there yet. Frames are lost on such a cable, as on any.
    socket.on("error", () => this.transmitErrors++);
  }

  open(receiver: LinkReceiver): void {
    if (this.closed) throw systemError("EBADF", "the link is closed");
    if (this.receiver) throw systemError("EALREADY", "the link is open");
    this.receiver = receiver;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    if (this.closed) {
      this.transmitErrors++;
      return 0;
    }
    if (this.socket.getSendQueueSize() > QUEUE_LIMIT) {
      this.blocked = true;
      return -1;
    }
    const datagram = Buffer.allocUnsafe(this.header + end - start);
    if (this.header !== 0) {
      datagram.writeUInt32BE(L2TPV3_VERSION << 16, 0);
      datagram.writeUInt32BE(this.transmitSession, 4);
    }
    datagram.set(frame.subarray(start, end), this.header);
    this.socket.send(datagram, this.sent);
    return 0;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.receiver = null;
    this.socket.close();
  }

  /** Lets the process end while the link is open. */
  unref(): this {
    this.socket.unref();
    return this;
  }

  ref(): this {
    this.socket.ref();
    return this;
  }

  private input(datagram: Buffer): void {
    const header = this.header;
    if (header !== 0) {
      if (
        datagram.length < header ||
        // The T bit and the version; the reserved bits are ignored on receipt.
        (datagram.readUInt16BE(0) & 0x800f) !== L2TPV3_VERSION ||
        datagram.readUInt32BE(4) !== this.receiveSession
      ) {
        this.receiveErrors++;
        return;
      }
    }
    this.receiver?.receive(datagram, header, datagram.length);
  }

  private readonly sent = (error: Error | null): void => {
    if (error) this.transmitErrors++;
    if (this.blocked && !this.closed && this.socket.getSendQueueSize() <= QUEUE_LIMIT / 2) {
      this.blocked = false;
      this.receiver?.writable();
    }
  };
}

/**
 * Binds the near end and gives the link. Rejects with the socket's error (`EADDRINUSE`, `EACCES`, ...), with `EINVAL` for bad
 * options. Frames that come in before `link.open` are lost.
 */
export async function openUdpFrame(options: UdpFrameOptions): Promise<UdpFrameLink> {
  const { local = {}, remote, l2tpv3 } = options;
  for (const session of l2tpv3 ? [l2tpv3.receiveSession, l2tpv3.transmitSession] : []) {
    // Session 0 marks control messages (RFC 3931, section 4.1).
    if (!Number.isInteger(session) || session < 1 || session > 0xffffffff) {
      throw systemError("EINVAL", `L2TPv3 session ${String(session)}`);
    }
  }
  const six = isIPv6(remote.address ?? local.address ?? "");
  const loopback = six ? "::1" : "127.0.0.1";
  const socket = createSocket(six ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address: local.address ?? loopback, port: local.port ?? 0, exclusive: true }, () => {
        socket.connect(remote.port, remote.address ?? loopback, (error?: Error) => {
          socket.off("error", reject);
          if (error) reject(error);
          else resolve();
        });
      });
    });
    return new UdpFrameLink(socket, options);
  } catch (error) {
    socket.close();
    throw error;
  }
}
