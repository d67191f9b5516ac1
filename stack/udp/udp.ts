/** UDP (RFC 768, RFC 1122 section 4.1): the component. Demultiplexing, sending, errors. */
import { get32, put32 } from "../core/bytes.js";
import { bindPaths, createQueue, pathOf, pathTo } from "../core/datagrams.js";
import {
  EACCES,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EMSGSIZE,
  ENOBUFS,
  EPIPE,
  fail,
  requireBytes,
  requireInteger,
  setting,
} from "../core/errors.js";
import type { Network, Path } from "../core/network.js";
import {
  DONT_FRAGMENT,
  LINK_BROADCAST,
  LINK_MULTICAST,
  LOOPED,
  NET_BROADCAST,
  NET_MULTICAST,
} from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import { EPHEMERAL_COUNT, EPHEMERAL_LOW, checksumValid, fillChecksum } from "../core/transport.js";
import * as wire from "../wire/udp.js";
import { UdpSocket, copyOptions } from "./socket.js";
import type { UdpOptions } from "./socket.js";

export type { DatagramInfo, UdpOptions, UdpSocket } from "./socket.js";

const PROTOCOL_UDP = 17;
/** Bytes of a socket with its queue and its paths: see `Stack.reserve`. */
export const UDP_SOCKET_BYTES = 1792;

export class UdpCounters {
  received = 0;
  sent = 0;
  /** Shorter than its header, or a length field that lies. */
  badlen = 0;
  badsum = 0;
  /** No socket for it. */
  noPort = 0;
  /** From somebody else than the remote that the socket is connected to. */
  notPeer = 0;
  /** Source or destination port 0. */
  badPort = 0;
  /** The socket's queue, or the budget, was full: the newest is dropped. */
  rxfull = 0;
  sendFailed = 0;
}

export interface UdpConfiguration {
  /** Sockets at most. Default 1024, or what a 16th of `StackOptions.budget` holds. */
  limit?: number;
}

export class Udp implements Component {
  readonly name = "udp";
  readonly protocol = PROTOCOL_UDP;
  readonly counters = new UdpCounters();
  readonly sockets = new Table<UdpSocket>();
  stack: Stack = null as never;
  private serial = 0;

  constructor(private limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "udp");
    this.stack = stack;
    this.limit = stack.reserve(this.limit, 1024, 4, UDP_SOCKET_BYTES);
    stack.transports.push(this);
    stack.counters.udp = this.counters as never;
    stack.onLinkWritable.push(() => this.linkWritable());
  }

  start(): void {
    if (this.stack.networks.length === 0) fail("ENOPROTOOPT", "udp needs a network");
  }

  close(socket?: UdpSocket): void {
    if (!socket) this.sockets.each((each) => each.close());
    else if (!socket.closed) {
      socket.closed = true;
      if (socket.joined.length > 0) this.stack.memberships!.leaveAll(socket);
      socket.queue.clear();
      this.sockets.remove(socket);
    }
  }

  /**
   * Opens a socket. Errors (thrown): `EINVAL` options, `EADDRINUSE`, `EADDRNOTAVAIL` (not this host's address),
   * `EAFNOSUPPORT`, `ENOBUFS` (too many sockets, no port free), `EIO` (no entropy for a port).
   */
  open(options: UdpOptions = {}): UdpSocket {
    const own = copyOptions(options);
    if (this.sockets.size >= this.limit) fail("ENOBUFS", "sockets");
    setting(own.ttl, 1, 1, 255, "ttl");
    setting(own.multicastTtl, 1, 1, 255, "multicastTtl");
    const port = setting(options.port, 0, 0, 65535, "port");
    const paths = bindPaths(this.stack, options);
    const queue = createQueue(this.stack, options, paths);
    const socket = new UdpSocket(this, own, paths, queue, ++this.serial);
    socket.port = port || this.freePort(socket);
    if (port && this.inUse(socket, port)) fail("EADDRINUSE", "port " + port);
    socket.hash = socket.port;
    this.sockets.insert(socket);
    return socket;
  }

  /* From the network */

  input(packet: Packet): void {
    const counters = this.counters;
    const data = packet.data;
    const at = packet.start;
    const have = packet.end - at;
    counters.received++;
    const second = have < wire.UDP_HEADER ? 0 : get32(data, at + wire.UDP_LENGTH);
    const length = second >>> 16;
    if (length < wire.UDP_HEADER || length > have) {
      counters.badlen++;
      return;
    }
    packet.end = at + length;
    const net = packet.net as Network;
    if ((second & 0xffff) === 0) {
      // No checksum: legal over IPv4 alone (RFC 8200 section 8.1).
      if (net.family !== 4) {
        counters.badsum++;
        return;
      }
    } else if (!checksumValid(this.stack, packet, PROTOCOL_UDP)) {
      counters.badsum++;
      return;
    }
    const ports = get32(data, at + wire.UDP_SOURCE_PORT);
    const from = ports >>> 16;
    const to = ports & 0xffff;
    if (from === 0 || to === 0) {
      counters.badPort++;
      return;
    }
    packet.start = at + wire.UDP_HEADER;
    if (packet.flags & (NET_BROADCAST | NET_MULTICAST)) this.deliverAll(packet, net, from, to);
    else this.deliverOne(packet, net, from, to);
  }

  error(quoted: Packet, code: number): boolean {
    const data = quoted.data;
    if (quoted.end - quoted.start < 4) return false;
    const net = quoted.net as Network;
    const ports = get32(data, quoted.start + wire.UDP_SOURCE_PORT);
    const port = ports >>> 16;
    const remotePort = ports & 0xffff;
    net.swap(quoted);
    let socket = this.sockets.first(port);
    let found: UdpSocket | null = null;
    for (; socket; socket = socket.nextInBucket) {
      if (socket.port !== port) continue;
      const path = pathOf(socket.paths, net);
      if (!path || !net.matchesLocal(path, quoted)) continue;
      if (socket.peer) {
        if (socket.peerPort !== remotePort || !net.matchesRemote(socket.peer, quoted)) continue;
        found = socket;
        break;
      }
      if (!found) found = socket;
    }
    if (!found) return false;
    found.error = code;
    found.errorAddress = net.sourceText(quoted);
    found.errorPort = remotePort;
    this.stack.defer(found);
    return true;
  }

  addressRemoved(net: Network): void {
    this.sockets.each((socket) => {
      const path = pathOf(socket.paths, net);
      if (path && !net.hasLocal(path)) {
        socket.error = EADDRNOTAVAIL;
        this.stack.defer(socket);
      }
    });
  }

  /** Unicast (`packet.start` at its data) goes to the socket that fits most closely: connected before bound before any. */
  deliverOne(packet: Packet, net: Network, from: number, to: number): void {
    let best: UdpSocket | null = null;
    let rank = 0;
    let others = false;
    for (let socket = this.sockets.first(to); socket; socket = socket.nextInBucket) {
      if (socket.port !== to) continue;
      const value = fit(socket, packet, net, from);
      if (value > rank || (best && value === rank && socket.serial > best.serial)) {
        rank = value;
        best = socket;
      } else if (value < 0) others = true;
    }
    if (best) this.enqueue(best, packet, from);
    else if (others) this.counters.notPeer++;
    else {
      this.counters.noPort++;
      if ((packet.flags & (LINK_BROADCAST | LINK_MULTICAST)) === 0) net.portUnreachable(packet);
    }
  }

  /** Broadcast and multicast go to every socket that wants them. */
  private deliverAll(packet: Packet, net: Network, from: number, to: number): void {
    const memberships = this.stack.memberships;
    let taken = false;
    for (let socket = this.sockets.first(to); socket; socket = socket.nextInBucket) {
      if (socket.port !== to || fit(socket, packet, net, from) <= 0) continue;
      const wanted =
        packet.flags & NET_BROADCAST
          ? socket.options.broadcast
          : memberships && memberships.wantsGroup(socket, packet);
      if (!wanted) continue;
      this.enqueue(socket, packet, from);
      taken = true;
    }
    if (!taken && (packet.flags & LOOPED) === 0) this.counters.noPort++;
  }

  private enqueue(socket: UdpSocket, packet: Packet, from: number): void {
    if (socket.input) {
      socket.input(packet, from);
      return;
    }
    const told = socket.options.onReadable ? socket : null;
    if (!socket.queue.put(packet, from, told)) this.counters.rxfull++;
    else if (told) this.stack.defer(socket);
  }

  /* From the application */

  connect(socket: UdpSocket, address: string, port: number): number {
    if (socket.closed) return EPIPE;
    requireInteger(port, 1, 65535, "port");
    const path = pathTo(socket.paths, address);
    if (!path) return EAFNOSUPPORT;
    // It has led to the last destination of `sendTo` until now.
    socket.lastPath = null;
    const peer = path.net.createPath();
    path.net.copyPath(peer, path);
    const code = path.net.route(peer);
    if (code < 0) return code;
    if (peer.kind & NET_BROADCAST && !socket.options.broadcast) return EACCES;
    socket.peer = peer;
    socket.peerPort = port;
    return 0;
  }

  /** Sends `data[start..end)` along `path`. */
  transmit(
    socket: UdpSocket,
    path: Path,
    port: number,
    data: Uint8Array,
    start: number,
    end: number,
  ): number {
    requireBytes(data, start, end, "data");
    const stack = this.stack;
    const options = socket.options;
    const net = path.net;
    const length = end - start;
    let code = net.route(path);
    if (code === 0 && path.kind & NET_BROADCAST && !options.broadcast) return EACCES;
    if (length > net.maximumPayload - wire.UDP_HEADER) code = EMSGSIZE;
    const packet = code === 0 ? stack.prepare(length + wire.UDP_HEADER) : null;
    if (!packet) {
      this.counters.sendFailed++;
      return code || ENOBUFS;
    }
    path.loop = options.multicastLoop !== false;
    path.ttl = (path.kind ? options.multicastTtl : options.ttl) || 0;
    stack.host.copy(packet.data, packet.start + wire.UDP_HEADER, data, start, length);
    if (options.dontFragment || net.fits(path, length + wire.UDP_HEADER)) packet.flags |= DONT_FRAGMENT;
    const at = packet.start;
    put32(packet.data, at + wire.UDP_SOURCE_PORT, (socket.port << 16) | port);
    put32(packet.data, at + wire.UDP_LENGTH, (length + wire.UDP_HEADER) << 16);
    fillChecksum(stack, packet, path, PROTOCOL_UDP, at + wire.UDP_CHECKSUM, 0xffff);
    code = net.output(packet, path, PROTOCOL_UDP);
    if (code < 0) {
      this.counters.sendFailed++;
      if (code === EAGAIN) socket.wantsWritable = true;
      return code;
    }
    this.counters.sent++;
    return length;
  }

  private inUse(socket: UdpSocket, port: number): boolean {
    for (let other = this.sockets.first(port); other; other = other.nextInBucket) {
      if (other.port !== port || (other.options.reuse && socket.options.reuse)) continue;
      const here = other.options.interface || null;
      if (here && socket.options.interface && here !== socket.options.interface) continue;
      for (let i = 0; i < socket.paths.length; i++) {
        const path = pathOf(other.paths, socket.paths[i].net);
        if (path && path.net.sameLocal(path, socket.paths[i])) return true;
      }
    }
    return false;
  }

  /** A random free port (RFC 6056 section 3.3.1). */
  private freePort(socket: UdpSocket): number {
    const host = this.stack.host;
    for (let tries = 0; tries < 64; tries++) {
      if (!host.secure(2)) fail("EIO", "random");
      const port = EPHEMERAL_LOW + (host.random16() & (EPHEMERAL_COUNT - 1));
      if (!this.inUse(socket, port)) return port;
    }
    return fail("ENOBUFS", "ports");
  }

  private linkWritable(): void {
    this.sockets.each((socket) => {
      if (!socket.wantsWritable) return;
      socket.wantsWritable = false;
      socket.writableNow = true;
      this.stack.defer(socket);
    });
  }
}

/** How closely a socket fits a datagram: 0 not at all, -1 not since it is connected elsewhere, else more is closer. */
function fit(socket: UdpSocket, packet: Packet, net: Network, from: number): number {
  const path = pathOf(socket.paths, net);
  const nif = socket.options.interface;
  if (!path || (nif && nif !== packet.nif)) return 0;
  if ((packet.flags & (NET_BROADCAST | NET_MULTICAST)) === 0 && !net.matchesLocal(path, packet)) return 0;
  let rank = 1;
  if (socket.options.address) rank++;
  if (nif) rank++;
  if (socket.peer) {
    if (socket.peer.net !== net || socket.peerPort !== from || !net.matchesRemote(socket.peer, packet))
      return -1;
    rank += 4;
  }
  return rank;
}

/** The UDP component. Counters: `udp`. */
export function udp(options: UdpConfiguration = {}): Udp {
  return new Udp(options.limit || -1);
}
