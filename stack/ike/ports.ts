/** The UDP sockets of IKE: ports 500 and 4500 (RFC 7296 section 2.23), and from which address an answer leaves. */
import { pathTo } from "../core/datagrams.js";
import type { DatagramInfo } from "../core/datagrams.js";
import type { Stack } from "../core/stack.js";
import type { Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/ike.js";
import { MAXIMUM_MESSAGE } from "./message.js";

/** Sockets that are bound to one of our addresses, to send from it: two for each address that is used. */
const BOUND = 32;
/** Bytes that may wait to be read. */
const BUFFER = 65536;

export class Ports {
  private readonly udp: Udp;
  private readonly any: UdpSocket[] = [];
  private readonly bound: UdpSocket[] = [];
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };
  private readonly marked = new Uint8Array(wire.NON_ESP_MARKER + MAXIMUM_MESSAGE);

  /**
   * @param input takes a message, which it may keep
   * @param malformed takes what is too long to be one
   */
  constructor(
    stack: Stack,
    private readonly input: (data: Uint8Array, info: DatagramInfo, port: number) => void,
    private readonly malformed: () => void,
  ) {
    this.udp = stack.transport(17) as unknown as Udp;
    this.any.push(this.open(wire.IKE_PORT, ""), this.open(wire.IKE_NAT_PORT, ""));
  }

  /** Our address on the way to `remote`, or `""`: there is none. */
  localFor(remote: string): string {
    const path = pathTo(this.any[0].paths, remote);
    return path && path.net.route(path) === 0 ? path.net.localText(path) : "";
  }

  /** Sends a message; one that is lost is sent again by those whose it is. */
  send(local: string, port: number, remote: string, remotePort: number, packet: Uint8Array): void {
    const socket = this.from(local, port);
    if (!socket) return;
    if (port === wire.IKE_PORT) {
      socket.sendTo(remote, remotePort, packet);
      return;
    }
    this.marked.set(packet, wire.NON_ESP_MARKER);
    socket.sendTo(remote, remotePort, this.marked, 0, wire.NON_ESP_MARKER + packet.length);
  }

  /** Keeps a NAT's binding (RFC 3948 section 2.3). */
  keepAlive(local: string, remote: string, remotePort: number): void {
    const socket = this.from(local, wire.IKE_NAT_PORT);
    const one = new Uint8Array(1);
    one[0] = 0xff;
    if (socket) socket.sendTo(remote, remotePort, one);
  }

  /** Closes the sockets of an address that nobody uses any more. */
  release(local: string): void {
    for (let i = this.bound.length - 1; i >= 0; i--) {
      if (this.bound[i].options.address !== local) continue;
      this.bound[i].close();
      this.bound.splice(i, 1);
    }
  }

  close(): void {
    for (let i = 0; i < this.any.length; i++) this.any[i].close();
    for (let i = 0; i < this.bound.length; i++) this.bound[i].close();
  }

  /** The socket that sends from `local`; null: the address is not ours any more. */
  private from(local: string, port: number): UdpSocket | null {
    for (let i = 0; i < this.bound.length; i++) {
      if (this.bound[i].options.address === local && this.bound[i].port === port) return this.bound[i];
    }
    try {
      if (this.bound.length >= BOUND) this.release(this.bound[0].options.address!);
      const socket = this.open(port, local);
      this.bound.push(socket);
      return socket;
    } catch {
      return null;
    }
  }

  private open(port: number, address: string): UdpSocket {
    const read = () => this.read(socket, port);
    const socket: UdpSocket = this.udp.open({
      port,
      address,
      reuse: true,
      receiveBuffer: BUFFER,
      onReadable: read,
    });
    return socket;
  }

  private read(socket: UdpSocket, port: number): void {
    while (socket.readable() > 0) {
      const length = socket.nextLength();
      const skip = port === wire.IKE_PORT ? 0 : wire.NON_ESP_MARKER;
      if (length > skip + MAXIMUM_MESSAGE) {
        socket.receive(this.marked, this.info, 0, 0);
        this.malformed();
        continue;
      }
      const data = new Uint8Array(length);
      socket.receive(data, this.info);
      // A keepalive, or ESP that nobody has taken.
      if (skip > 0 && (length < skip || data[0] | data[1] | data[2] | data[3])) continue;
      this.input(data.subarray(skip), this.info, port);
    }
  }
}
