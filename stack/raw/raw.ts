/** Raw IP sockets (RFC 1122 section 3.4): datagrams of any protocol; the stack builds and strips the IP header. */
import { bindPaths, createQueue, pathOf, pathTo } from "../core/datagrams.js";
import type { DatagramInfo, Datagrams } from "../core/datagrams.js";
import {
  EACCES,
  EAFNOSUPPORT,
  EAGAIN,
  EMSGSIZE,
  ENOBUFS,
  EPIPE,
  fail,
  requireBytes,
  requireInteger,
} from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Network, Path } from "../core/network.js";
import { DONT_FRAGMENT, NET_BROADCAST, NOT_UNICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Deferred, Stack } from "../core/stack.js";

/** Bytes of a socket with its queue and its paths: see `Stack.reserve`. */
export const RAW_SOCKET_BYTES = 1792;

export class RawCounters {
  received = 0;
  sent = 0;
  /** The socket's queue, or the budget, was full: the newest is dropped. */
  rxfull = 0;
  sendFailed = 0;
}

export interface RawConfiguration {
  /** Sockets at most. Default 16, or what a 16th of `StackOptions.budget` holds. */
  limit?: number;
}

export interface RawOptions {
  /** IP protocol number, 0..255. A protocol that the stack knows (TCP, UDP, ...) goes on to serve itself as well. */
  protocol: number;
  /** Local address; default: any of all families. */
  address?: string;
  /** 4 or 6: this family alone. */
  family?: number;
  /** Sends and receives on this interface alone. */
  interface?: Interface;
  /** Allows sending to broadcast addresses (else `EACCES`). */
  broadcast?: boolean;
  /** Time to live, 1..255; default the network's: 64, or 1 to groups. */
  ttl?: number;
  /** Type of service / traffic class, 0..255. Default 0. */
  tos?: number;
  /** Sends without fragmenting: `EMSGSIZE` for what exceeds the path MTU. */
  dontFragment?: boolean;
  /** Bytes that may wait to be received. Default 65536, at most the budget. */
  receiveBuffer?: number;
  /** `count` datagrams wait. Called once for several that came together. */
  onReadable?(this: RawSocket, count: number): void;
}

export class RawSocket implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  closed = false;
  readonly queue: Datagrams;

  constructor(
    readonly raw: Raw,
    readonly options: RawOptions,
    readonly paths: Path[],
  ) {
    this.queue = createQueue(raw.stack, options, paths);
  }

  /** Datagrams that wait. */
  readable(): number {
    return this.queue.count;
  }

  /**
   * Sends `data[start..end)` as the payload of one IP datagram. Checksums within it are the caller's.
   *
   * @returns bytes sent, or `EAFNOSUPPORT` `ENETUNREACH` `EHOSTUNREACH` `EACCES` `EMSGSIZE` `ENOBUFS` `EAGAIN` `EPIPE`
   */
  sendTo(address: string, data: Uint8Array, start = 0, end = data.length): number {
    requireBytes(data, start, end, "data");
    return send(this, address, data, start, end);
  }

  /**
   * Takes the payload of the first waiting datagram into `target[start..end)`.
   *
   * @returns bytes written, or `EAGAIN` when none waits, `EPIPE` when closed
   */
  receive(target: Uint8Array, info?: DatagramInfo, start = 0, end = target.length): number {
    const taken = this.queue.take(target, info || null, start, end);
    return taken === EAGAIN && this.closed ? EPIPE : taken;
  }

  /** Gives everything back; legal twice. No callback comes after it. */
  close(): void {
    const sockets = this.raw.sockets;
    const at = sockets.indexOf(this);
    this.closed = true;
    this.queue.clear();
    if (at >= 0) sockets.splice(at, 1);
  }

  /** See `Stack.defer`. */
  run(): void {
    const count = this.queue.count;
    const options = this.options;
    if (count > 0 && options.onReadable) options.onReadable.call(this, count);
  }
}

export class Raw implements Component {
  readonly name = "raw";
  readonly counters = new RawCounters();
  readonly sockets: RawSocket[] = [];
  stack: Stack = null as never;

  constructor(private limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "raw");
    this.stack = stack;
    this.limit = stack.reserve(this.limit, 16, 4, RAW_SOCKET_BYTES);
    stack.counters.raw = this.counters as never;
  }

  start(): void {
    const networks = this.stack.networks;
    for (let i = 0; i < networks.length; i++) networks[i].taps.push((packet) => this.input(packet));
  }

  close(): void {
    while (this.sockets.length > 0) this.sockets[this.sockets.length - 1].close();
  }

  /**
   * Opens a socket. Errors (thrown): `EINVAL` options, `EAFNOSUPPORT`, `EADDRNOTAVAIL` (not this host's address), `ENOBUFS`
   * too many sockets.
   */
  open(options: RawOptions): RawSocket {
    const own: RawOptions = {
      protocol: requireInteger(options.protocol, 0, 255, "protocol"),
      address: options.address,
      family: options.family,
      interface: options.interface,
      broadcast: options.broadcast,
      ttl: options.ttl,
      tos: options.tos,
      dontFragment: options.dontFragment,
      receiveBuffer: options.receiveBuffer,
      onReadable: options.onReadable,
    };
    const ttl = own.ttl === undefined ? 0 : requireInteger(own.ttl, 1, 255, "ttl");
    const tos = own.tos === undefined ? 0 : requireInteger(own.tos, 0, 255, "tos");
    if (this.sockets.length >= this.limit) fail("ENOBUFS", "sockets");
    const socket = new RawSocket(this, own, bindPaths(this.stack, own));
    for (let i = 0; i < socket.paths.length; i++) {
      socket.paths[i].ttl = ttl;
      socket.paths[i].tos = tos;
    }
    this.sockets.push(socket);
    return socket;
  }

  /** Each datagram that is for this host; true: a socket has it. */
  private input(packet: Packet): boolean {
    const net = packet.net as Network;
    let taken = false;
    for (let i = 0; i < this.sockets.length; i++) {
      const socket = this.sockets[i];
      const options = socket.options;
      const path = pathOf(socket.paths, net);
      if (
        !path ||
        options.protocol !== packet.protocol ||
        (options.interface && options.interface !== packet.nif) ||
        ((packet.flags & NOT_UNICAST) === 0 && !net.matchesLocal(path, packet))
      ) {
        continue;
      }
      taken = true;
      if (!socket.queue.put(packet, 0, null)) this.counters.rxfull++;
      else {
        this.counters.received++;
        if (options.onReadable) this.stack.defer(socket);
      }
    }
    return taken;
  }
}

function send(socket: RawSocket, address: string, data: Uint8Array, start: number, end: number): number {
  const owner = socket.raw;
  const stack = owner.stack;
  const options = socket.options;
  const length = end - start;
  if (socket.closed) return EPIPE;
  const path = pathTo(socket.paths, address);
  if (!path) return EAFNOSUPPORT;
  const net = path.net;
  let code = net.route(path);
  if (code === 0 && path.kind & NET_BROADCAST && !options.broadcast) return EACCES;
  if (length > net.maximumPayload) code = EMSGSIZE;
  const packet = code === 0 ? stack.prepare(length) : null;
  if (packet) {
    stack.host.copy(packet.data, packet.start, data, start, length);
    if (options.dontFragment || net.fits(path, length)) packet.flags |= DONT_FRAGMENT;
    code = net.output(packet, path, options.protocol);
  } else code = code || ENOBUFS;
  if (code < 0) {
    owner.counters.sendFailed++;
    return code;
  }
  owner.counters.sent++;
  return length;
}

/** The component for raw sockets. Needs a network. Counters: `raw`. */
export function raw(options: RawConfiguration = {}): Raw {
  return new Raw(options.limit || -1);
}
