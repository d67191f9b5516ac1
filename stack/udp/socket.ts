/** A UDP socket: its options, its receive queue, and what the application calls. */
import { pathTo } from "../core/datagrams.js";
import type { DatagramInfo, Datagrams } from "../core/datagrams.js";
import { EAFNOSUPPORT, EAGAIN, ENOTCONN, EOPNOTSUPP, EPIPE, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Joined, Member } from "../core/membership.js";
import type { GroupFilter, Path } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import type { Deferred, Lender } from "../core/stack.js";
import type { TableEntry } from "../core/table.js";
import type { Udp } from "./udp.js";

export type { DatagramInfo };

export interface UdpOptions {
  /** Local address, of any family that the stack has (`::ffff:10.0.0.2` is IPv4's); default, and `::`: any of all families. */
  address?: string;
  /** Local port, 1..65535; default: a random one. */
  port?: number;
  /** 4 or 6: this family alone (6: IPV6_V6ONLY). Default: all that the stack has. */
  family?: number;
  /** Sends and receives on this interface alone. */
  interface?: Interface;
  /** Allows sending to broadcast addresses (else `EACCES`), and receiving what was broadcast. */
  broadcast?: boolean;
  /** What is sent to 255.255.255.255 goes out from 0.0.0.0, whatever addresses the interface has: DHCP wants that. */
  anonymous?: boolean;
  /** Other sockets with this option may share the port; unicast goes to the one that was opened last. */
  reuse?: boolean;
  /** Time to live of unicast; default the network's (64). */
  ttl?: number;
  /** Time to live of multicast and broadcast, 1..255, default 1. */
  multicastTtl?: number;
  /**
   * What is sent to a group comes back to the sockets of this host that have joined it, this one among them (IP_MULTICAST_LOOP),
   * and what is broadcast to those that take it. Needs `igmp` or `mld` in the stack. Default true.
   */
  multicastLoop?: boolean;
  /** Sends without fragmenting: `EMSGSIZE` for what exceeds the path MTU. Default false. */
  dontFragment?: boolean;
  /** Bytes that may wait to be received, with 24 to 48 bytes a datagram for the record. Default 65536, at most the budget. */
  receiveBuffer?: number;
  /** `count` datagrams wait. Called once for several that came together. */
  onReadable?(this: UdpSocket, count: number): void;
  /** A link that had no room has it again. */
  onWritable?(this: UdpSocket): void;
  /** An ICMP error concerns what this socket sent to `address`:`port`: `ECONNREFUSED`, `EHOSTUNREACH`, `EMSGSIZE`, ... */
  onError?(this: UdpSocket, code: number, address: string, port: number): void;
}

/** The options that are looked at later, as they were when the socket was opened: nobody changes them afterwards. */
export function copyOptions(from: UdpOptions): UdpOptions {
  return {
    address: from.address,
    interface: from.interface,
    broadcast: from.broadcast,
    reuse: from.reuse,
    ttl: from.ttl,
    multicastTtl: from.multicastTtl,
    multicastLoop: from.multicastLoop,
    dontFragment: from.dontFragment,
    onReadable: from.onReadable,
    onWritable: from.onWritable,
    onError: from.onError,
  };
}

export class UdpSocket implements Deferred, Lender, Member, TableEntry {
  queued = false;
  nextDeferred: Deferred | null = null;
  /** The port: sockets of one port share a bucket, and strangers choose no ports of ours. */
  hash = 0;
  nextInBucket: this | null = null;
  /** The path of the connected remote, or null. */
  peer: Path | null = null;
  peerPort = 0;
  /** Local port. */
  port = 0;
  closed = false;
  /** Takes datagrams (payload at `start`) from port `from` at once, where they lie, and not by the queue: tunnels over UDP. */
  input: ((packet: Packet, from: number) => void) | null = null;
  readonly joined: Joined[] = [];
  /** An error that waits to be told. */
  error = 0;
  errorAddress = "";
  errorPort = 0;
  wantsWritable = false;
  writableNow = false;
  /** The last destination, and the path that leads there: `sendTo` parses a text once. */
  lastText = "";
  lastPort = 0;
  lastPath: Path | null = null;

  constructor(
    readonly udp: Udp,
    readonly options: UdpOptions,
    /** One path a network: local end as bound, remote end of the last destination. */
    readonly paths: Path[],
    readonly queue: Datagrams,
    /** Counts up: of sockets that share a port, the one opened last has the highest. */
    readonly serial: number,
  ) {}

  /** Datagrams that wait. */
  readable(): number {
    return this.queue.count;
  }

  /** The local address: of a connected socket the one that the route has, else as bound: `"0.0.0.0"` (or `"::"`) when any. */
  address(): string {
    if (this.peer) return this.peer.net.localText(this.peer);
    const four = this.paths.length === 1 && this.paths[0].net.family === 4;
    return this.options.address || (four ? "0.0.0.0" : "::");
  }

  /** Bytes of the datagram that `receive` takes next, or `EAGAIN` when none waits. */
  nextLength(): number {
    return this.queue.nextLength();
  }

  /**
   * Sends `data[start..end)` to an address (text) and port.
   *
   * @returns bytes sent, or `EAFNOSUPPORT` `ENETUNREACH` `EHOSTUNREACH` `EACCES` (broadcast without the option) `EMSGSIZE`
   * `ENOBUFS` `EAGAIN` (the link has no room: `onWritable` follows) `EPIPE` (closed)
   */
  sendTo(address: string, port: number, data: Uint8Array, start = 0, end = data.length): number {
    if (this.closed) return EPIPE;
    if (this.lastPath === null || address !== this.lastText || port !== this.lastPort) {
      requireInteger(port, 1, 65535, "port");
      const path = pathTo(this.paths, address);
      if (!path) return EAFNOSUPPORT;
      this.lastPath = path;
      this.lastText = address;
      this.lastPort = port;
    }
    return this.udp.transmit(this, this.lastPath, port, data, start, end);
  }

  /** Sends to the connected remote; `ENOTCONN` without one. Otherwise as `sendTo`. */
  send(data: Uint8Array, start = 0, end = data.length): number {
    if (this.closed) return EPIPE;
    if (!this.peer) return ENOTCONN;
    return this.udp.transmit(this, this.peer, this.peerPort, data, start, end);
  }

  /** Receives from `address`:`port` alone, and makes that the destination of `send`. 0 or a code as of `sendTo`. */
  connect(address: string, port: number): number {
    return this.udp.connect(this, address, port);
  }

  /** Undoes `connect`. */
  disconnect(): void {
    this.peer = null;
    this.peerPort = 0;
  }

  /**
   * Takes the first waiting datagram into `target[start..end)`.
   *
   * @returns bytes written (0 for an empty datagram), or `EAGAIN` when none waits, `EPIPE` when closed
   */
  receive(target: Uint8Array, info?: DatagramInfo, start = 0, end = target.length): number {
    const taken = this.queue.take(target, info || null, start, end);
    return taken === EAGAIN && this.closed ? EPIPE : taken;
  }

  /**
   * Joins a multicast group, with a filter of sources where given. 0 or a code of `Network.join`; `EOPNOTSUPP` where nothing
   * carries groups (`igmp`, `ipv6`).
   */
  join(group: string, nif?: Interface, sources?: GroupFilter): number {
    const memberships = this.udp.stack.memberships;
    if (this.closed) return EPIPE;
    if (!memberships) return EOPNOTSUPP;
    return memberships.joinGroup(this, group, nif || this.options.interface || null, sources || null);
  }

  leave(group: string, nif?: Interface): number {
    const memberships = this.udp.stack.memberships;
    if (!memberships) return EOPNOTSUPP;
    return memberships.leaveGroup(this, group, nif || this.options.interface || null);
  }

  /** Gives everything back; legal twice. No callback comes after it. */
  close(): void {
    this.udp.close(this);
  }

  keep(): void {
    if (!this.queue.keep()) this.udp.counters.rxfull++;
  }

  /** Tells the application what has come: see `Stack.defer`. */
  run(): void {
    const options = this.options;
    if (this.closed) return;
    const error = this.error;
    if (error !== 0) {
      this.error = 0;
      if (options.onError) options.onError.call(this, error, this.errorAddress, this.errorPort);
    }
    if (this.writableNow) {
      this.writableNow = false;
      if (options.onWritable && !this.closed) options.onWritable.call(this);
    }
    const count = this.queue.count;
    if (count > 0 && options.onReadable && !this.closed) options.onReadable.call(this, count);
  }
}
