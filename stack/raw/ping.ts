/** Ping sockets: echo requests and their replies (RFC 792, RFC 1122 section 3.2.2.6), whatever network carries them. */
import { get16, put16 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { bindPaths, createQueue, pathTo } from "../core/datagrams.js";
import type { BindOptions, DatagramInfo, Datagrams } from "../core/datagrams.js";
import type { EchoTransport, EchoUser } from "../core/echo.js";
import { EACCES, EMSGSIZE, ENOBUFS, EPIPE, fail, requireBytes, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Path } from "../core/network.js";
import { DONT_FRAGMENT, NET_BROADCAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";

/** Bytes of a socket with its queue and its paths: see `Stack.reserve`. */
export const PING_SOCKET_BYTES = 1792;

export class PingCounters {
  sent = 0;
  received = 0;
  /** Replies to nothing that was asked lately, of which this counts those that had a socket's id. */
  unmatched = 0;
  /** The socket's queue, or the budget, was full: the newest is dropped. */
  rxfull = 0;
  sendFailed = 0;
}

export interface PingConfiguration {
  /** Sockets at most. Default 64, or what a 16th of `StackOptions.budget` holds. */
  limit?: number;
}

/** A reply: plain data. */
export interface EchoReply {
  /** Who answered. */
  address: string;
  /** The request's. */
  sequence: number;
  /** Milliseconds from the request to the reply's arrival, whole ones. */
  rtt: number;
  /** The reply's time to live on arrival. */
  ttl: number;
  /** What it brought back, a copy. */
  data: Uint8Array;
}

export interface PingOptions {
  /** Whom to ask. */
  address: string;
  /** The local address; default: the route's. */
  localAddress?: string;
  interface?: Interface;
  /** Time to live, 1..255; default the network's (64). */
  ttl?: number;
  /** Allows a broadcast address (else `EACCES`): many may answer. */
  broadcast?: boolean;
  /** Sends without fragmenting: `EMSGSIZE` for what exceeds the path MTU. */
  dontFragment?: boolean;
  /** Bytes that may wait to be told. Default 65536. */
  receiveBuffer?: number;
  onReply(this: PingSocket, reply: EchoReply): void;
  /** A router or the host itself said no to the request `sequence`. */
  onError?(this: PingSocket, code: number, sequence: number): void;
}

/** Requests that a socket remembers: a reply to an older one is a stranger's. A power of two. */
const REMEMBERED = 64;
/** Errors that may wait to be told: more are dropped. */
const ERRORS = 16;
const HEADER = 8;

export class PingSocket implements Deferred, TableEntry {
  queued = false;
  nextDeferred: Deferred | null = null;
  /** The identifier of its requests. */
  hash = 0;
  nextInBucket: this | null = null;
  closed = false;
  /** The sequence number of the next request. */
  sequence = 0;
  /** Sequence number and time of the last requests. */
  readonly asked: number[] = [];
  readonly times: number[] = [];
  /** Round-trip time and length of each reply in the queue. */
  readonly waiting: number[] = [];
  /** Code and sequence number of errors that wait. */
  readonly errors: number[] = [];

  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
    ttl: 0,
  };

  constructor(
    readonly owner: Ping,
    readonly options: PingOptions,
    readonly path: Path,
    readonly queue: Datagrams,
  ) {
    for (let i = 0; i < REMEMBERED; i++) {
      this.asked.push(-1);
      this.times.push(0);
    }
  }

  /**
   * Asks once, with `data[start..end)` (default: nothing).
   *
   * @returns the sequence number, 0..65535, or a code: `ENETUNREACH` `EHOSTUNREACH` `EACCES` `EMSGSIZE` `ENOBUFS` `EAGAIN`
   * `EPIPE` (closed)
   */
  send(data = new Uint8Array(0), start = 0, end = data.length): number {
    requireBytes(data, start, end, "data");
    return send(this, data, start, end);
  }

  /** Gives everything back; legal twice. No callback comes after it. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.queue.clear();
    this.owner.sockets.remove(this);
  }

  /** See `Stack.defer`. */
  run(): void {
    const options = this.options;
    const info = this.info;
    while (this.errors.length > 0 && !this.closed) {
      const code = this.errors.shift() as number;
      const sequence = this.errors.shift() as number;
      if (options.onError) options.onError.call(this, code, sequence);
    }
    while (this.queue.count > 0 && !this.closed) {
      const rtt = this.waiting.shift() as number;
      const data = new Uint8Array(this.waiting.shift() as number);
      this.queue.take(data, info, 0, data.length);
      options.onReply.call(this, {
        address: info.address,
        sequence: info.port,
        rtt: rtt,
        ttl: info.ttl as number,
        data: data,
      });
    }
  }
}

export class Ping implements Component, EchoUser {
  readonly name = "ping";
  readonly counters = new PingCounters();
  readonly sockets = new Table<PingSocket>();
  stack: Stack = null as never;

  constructor(private limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ping");
    this.stack = stack;
    this.limit = stack.reserve(this.limit, 64, 4, PING_SOCKET_BYTES);
    stack.counters.ping = this.counters as never;
  }

  close(): void {
    this.sockets.each((socket) => socket.close());
  }

  /**
   * Opens a socket that asks one address. Errors (thrown): `EINVAL` options, `EAFNOSUPPORT` no address that this stack has a
   * network for, `EADDRNOTAVAIL`, `ENOPROTOOPT` no ICMP for it, `ENOBUFS` too many sockets, `EIO` no entropy for an id.
   */
  open(options: PingOptions): PingSocket {
    const stack = this.stack;
    const bind: BindOptions = {
      address: options.localAddress,
      interface: options.interface,
      receiveBuffer: options.receiveBuffer,
    };
    const own: PingOptions = {
      address: options.address,
      broadcast: options.broadcast,
      dontFragment: options.dontFragment,
      onReply: options.onReply,
      onError: options.onError,
    };
    if (typeof own.onReply !== "function") fail("EINVAL", "onReply");
    const ttl = options.ttl === undefined ? 0 : requireInteger(options.ttl, 1, 255, "ttl");
    if (this.sockets.size >= this.limit) fail("ENOBUFS", "sockets");
    const path = pathTo(bindPaths(stack, bind), own.address);
    if (!path) return fail("EAFNOSUPPORT", "address");
    const carrier = stack.transport(protocolOf(path)) as EchoTransport | null;
    if (!carrier) return fail("ENOPROTOOPT", "ping needs icmp");
    carrier.echoUser = this;
    path.ttl = ttl;
    const socket = new PingSocket(this, own, path, createQueue(stack, bind, [path]));
    do {
      if (!stack.host.secure(2)) fail("EIO", "random");
      socket.hash = stack.host.random16();
    } while (this.find(socket.hash));
    this.sockets.insert(socket);
    return socket;
  }

  reply(packet: Packet): boolean {
    const at = packet.start;
    const sequence = get16(packet.data, at + 6);
    const socket = this.match(packet, at, sequence);
    if (!socket) return false;
    const rtt = (this.stack.now() - socket.times[sequence & (REMEMBERED - 1)]) | 0;
    packet.start = at + HEADER;
    if (!socket.queue.put(packet, sequence, null)) this.counters.rxfull++;
    else {
      this.counters.received++;
      socket.waiting.push(rtt, packet.end - packet.start);
      this.stack.defer(socket);
    }
    return true;
  }

  error(quoted: Packet, code: number): boolean {
    const at = quoted.start;
    if (quoted.end - at < HEADER || !quoted.net || quoted.data[at] !== requestType(quoted.net.family))
      return false;
    quoted.net.swap(quoted);
    const sequence = get16(quoted.data, at + 6);
    const socket = this.match(quoted, at, sequence);
    if (!socket) return false;
    if (socket.errors.length < 2 * ERRORS) socket.errors.push(code, sequence);
    this.stack.defer(socket);
    return true;
  }

  private find(id: number): PingSocket | null {
    let socket = this.sockets.first(id);
    while (socket && socket.hash !== id) socket = socket.nextInBucket;
    return socket;
  }

  /** The socket that asked whoever `packet` is from, with that id and, lately, that sequence number. */
  private match(packet: Packet, at: number, sequence: number): PingSocket | null {
    const socket = this.find(get16(packet.data, at + 4));
    if (!socket) return null;
    const path = socket.path;
    if (
      path.net === packet.net &&
      (path.kind !== 0 || path.net.matchesRemote(path, packet)) &&
      socket.asked[sequence & (REMEMBERED - 1)] === sequence
    ) {
      return socket;
    }
    this.counters.unmatched++;
    return null;
  }
}

function send(socket: PingSocket, data: Uint8Array, start: number, end: number): number {
  const owner = socket.owner;
  const stack = owner.stack;
  const options = socket.options;
  const path = socket.path;
  const net = path.net;
  const length = HEADER + end - start;
  if (socket.closed) return EPIPE;
  let code = net.route(path);
  if (code === 0 && path.kind & NET_BROADCAST && !options.broadcast) return EACCES;
  if (length > net.maximumPayload) code = EMSGSIZE;
  const packet = code === 0 ? stack.prepare(length) : null;
  if (!packet) {
    owner.counters.sendFailed++;
    return code || ENOBUFS;
  }
  const sequence = socket.sequence;
  const slot = sequence & (REMEMBERED - 1);
  const out = packet.data;
  const at = packet.start;
  put16(out, at, requestType(net.family) << 8);
  put16(out, at + 2, 0);
  put16(out, at + 4, socket.hash);
  put16(out, at + 6, sequence);
  stack.host.copy(out, at + HEADER, data, start, end - start);
  // ICMPv6 covers the pseudo-header (RFC 4443 section 2.3), ICMP does not.
  const seed = net.family === 4 ? 0 : fold(path.pseudo + protocolOf(path) + length);
  put16(out, at + 2, ~stack.host.sum(out, at, packet.end, seed));
  if (options.dontFragment || net.fits(path, length)) packet.flags |= DONT_FRAGMENT;
  socket.sequence = (sequence + 1) & 0xffff;
  // Before it is sent: over the loopback the answer comes at once.
  socket.asked[slot] = sequence;
  socket.times[slot] = stack.now();
  code = net.output(packet, path, protocolOf(path));
  if (code < 0) {
    owner.counters.sendFailed++;
    return code;
  }
  owner.counters.sent++;
  return sequence;
}

function protocolOf(path: Path): number {
  return path.net.family === 4 ? 1 : 58;
}

function requestType(family: number): number {
  return family === 4 ? 8 : 128;
}

/** The ping component. Needs `icmp` (or ICMPv6) once a socket is opened. Counters: `ping`. */
export function ping(options: PingConfiguration = {}): Ping {
  return new Ping(options.limit || -1);
}
