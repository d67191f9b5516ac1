/** UDP (RFC 768, RFC 1122 section 4.1): the component. Demultiplexing, sending, errors. */
import { get16, put16 } from "../core/bytes.js";
import {
  EACCES,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EMSGSIZE,
  ENOBUFS,
  ENOENT,
  ENOTCONN,
  EPIPE,
  fail,
  requireBytes,
  requireInteger,
} from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { GroupFilter, Network, Path } from "../core/network.js";
import {
  DONT_FRAGMENT,
  LINK_BROADCAST,
  LINK_MULTICAST,
  NET_BROADCAST,
  NET_MULTICAST,
} from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import { EPHEMERAL_COUNT, EPHEMERAL_LOW, checksumValid, fillChecksum } from "../core/transport.js";
import * as wire from "../wire/udp.js";
import { RECORD, UdpSocket } from "./socket.js";
import type { DatagramInfo, UdpOptions } from "./socket.js";

const PROTOCOL_UDP = 17;

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
  /** Sockets at most. Default 1024. */
  limit?: number;
}

export class Udp implements Component {
  readonly name = "udp";
  readonly protocol = PROTOCOL_UDP;
  readonly counters = new UdpCounters();
  readonly sockets = new Table<UdpSocket>();
  stack: Stack = null as never;

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "udp");
    this.stack = stack;
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
      while (socket.groups.length > 0) {
        const entry = socket.groups.pop()!;
        entry.net.leave(entry.group, entry.nif, entry.sources);
      }
      socket.queue.clear();
      socket.count = 0;
      this.sockets.remove(socket);
    }
  }

  /**
   * Opens a socket. Errors (thrown): `EINVAL` options, `EADDRINUSE`, `EADDRNOTAVAIL` (not this host's address),
   * `EAFNOSUPPORT`, `ENOBUFS` (too many sockets, no port free), `EIO` (no entropy for a port).
   */
  open(options: UdpOptions = {}): UdpSocket {
    const stack = this.stack;
    if (this.sockets.size >= this.limit) fail("ENOBUFS", "sockets");
    const budget = stack.pool.limit << stack.pool.chunkShift;
    const limit = requireInteger(
      options.receiveBuffer === undefined ? 65536 : options.receiveBuffer,
      0,
      0x7fffffff,
      "receiveBuffer",
    );
    if (options.ttl !== undefined) requireInteger(options.ttl, 1, 255, "ttl");
    if (options.multicastTtl !== undefined) requireInteger(options.multicastTtl, 0, 255, "multicastTtl");
    const port = options.port === undefined ? 0 : requireInteger(options.port, 0, 65535, "port");
    let size = 4;
    let code = EAFNOSUPPORT;
    const paths: Path[] = [];
    for (let i = 0; i < stack.networks.length; i++) {
      const net = stack.networks[i];
      if (options.family && options.family !== net.family) continue;
      const path = net.createPath();
      path.bound = options.interface || null;
      const result = net.setLocal(path, options.address || "");
      if (result === 0) {
        paths.push(path);
        if (net.addressSize > size) size = net.addressSize;
      } else if (code === EAFNOSUPPORT) code = result;
    }
    if (paths.length === 0) fail(code === EAFNOSUPPORT ? "EAFNOSUPPORT" : "EADDRNOTAVAIL", "address");
    const socket = new UdpSocket(this, options, limit < budget ? limit : budget, size);
    for (let i = 0; i < paths.length; i++) socket.paths.push(paths[i]);
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
    const length = have < wire.UDP_HEADER ? 0 : get16(data, at + wire.UDP_LENGTH);
    if (length < wire.UDP_HEADER || length > have) {
      counters.badlen++;
      return;
    }
    packet.end = at + length;
    const net = packet.net as Network;
    if (get16(data, at + wire.UDP_CHECKSUM) === 0) {
      // No checksum: legal over IPv4 alone (RFC 8200 section 8.1).
      if (net.family !== 4) {
        counters.badsum++;
        return;
      }
    } else if (!checksumValid(this.stack, packet, PROTOCOL_UDP)) {
      counters.badsum++;
      return;
    }
    const from = get16(data, at + wire.UDP_SOURCE_PORT);
    const to = get16(data, at + wire.UDP_DESTINATION_PORT);
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
    const port = get16(data, quoted.start + wire.UDP_SOURCE_PORT);
    const remotePort = get16(data, quoted.start + wire.UDP_DESTINATION_PORT);
    net.swap(quoted);
    let socket = this.sockets.first(port);
    let found: UdpSocket | null = null;
    for (; socket; socket = socket.nextInBucket) {
      if (socket.port !== port) continue;
      const path = pathOf(socket, net);
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
      const path = pathOf(socket, net);
      if (path && !net.hasLocal(path)) {
        socket.error = EADDRNOTAVAIL;
        this.stack.defer(socket);
      }
    });
  }

  /** Unicast goes to the socket that fits most closely: connected before bound before any. */
  private deliverOne(packet: Packet, net: Network, from: number, to: number): void {
    let best: UdpSocket | null = null;
    let rank = 0;
    let others = false;
    for (let socket = this.sockets.first(to); socket; socket = socket.nextInBucket) {
      if (socket.port !== to) continue;
      const value = fit(socket, packet, net, from);
      if (value > rank) {
        rank = value;
        best = socket;
      } else if (value < 0) others = true;
    }
    if (best) this.enqueue(best, packet, net, from);
    else if (others) this.counters.notPeer++;
    else {
      this.counters.noPort++;
      if ((packet.flags & (LINK_BROADCAST | LINK_MULTICAST)) === 0) net.portUnreachable(packet);
    }
  }

  /** Broadcast and multicast go to every socket that wants them. */
  private deliverAll(packet: Packet, net: Network, from: number, to: number): void {
    let taken = false;
    for (let socket = this.sockets.first(to); socket; socket = socket.nextInBucket) {
      if (socket.port !== to || fit(socket, packet, net, from) <= 0) continue;
      if (packet.flags & NET_BROADCAST ? !socket.options.broadcast : !joined(socket, packet, net)) continue;
      this.enqueue(socket, packet, net, from);
      taken = true;
    }
    if (!taken) this.counters.noPort++;
  }

  private enqueue(socket: UdpSocket, packet: Packet, net: Network, from: number): void {
    const length = packet.end - packet.start;
    const queue = socket.queue;
    const header = RECORD + 2 * net.addressSize;
    if (queue.length + header + length > socket.limit) {
      this.counters.rxfull++;
      return;
    }
    const record = socket.record;
    put16(record, 0, length);
    put16(record, 2, from);
    put16(record, 4, (packet.nif as Interface).index);
    record[6] = net.family;
    net.saveEnds(packet, record, RECORD);
    const at = queue.length;
    if (
      !queue.write(at + header, packet.data, packet.start, length, 0) ||
      !queue.append(record, 0, header, 0)
    ) {
      queue.trim();
      this.counters.rxfull++;
      return;
    }
    queue.length = at + header + length;
    socket.count++;
    if (socket.options.onReadable) this.stack.defer(socket);
  }

  /* From the application */

  receive(
    socket: UdpSocket,
    target: Uint8Array,
    info: DatagramInfo | null,
    start: number,
    end: number,
  ): number {
    requireBytes(target, start, end, "target");
    if (socket.count === 0) return socket.closed ? EPIPE : EAGAIN;
    const queue = socket.queue;
    const record = socket.record;
    queue.read(0, record, 0, RECORD);
    const length = get16(record, 0);
    const net = this.stack.network(record[6]) as Network;
    const addresses = 2 * net.addressSize;
    const taken = length < end - start ? length : end - start;
    queue.read(RECORD + addresses, target, start, taken);
    if (info) {
      const nif = this.interfaceOf(get16(record, 4));
      queue.read(RECORD, record, RECORD, addresses);
      info.address = senderText(socket, net, nif);
      info.localAddress = net.addressText(record, RECORD + net.addressSize, nif);
      info.port = get16(record, 2);
      info.length = length;
      info.truncated = taken < length;
      info.interface = nif;
    }
    queue.consume(RECORD + addresses + length);
    if (--socket.count === 0) queue.clear();
    return taken;
  }

  sendTo(
    socket: UdpSocket,
    address: string,
    port: number,
    data: Uint8Array,
    start: number,
    end: number,
  ): number {
    if (socket.closed) return EPIPE;
    if (socket.lastPath === null || address !== socket.lastText) {
      const path = this.pathTo(socket, address);
      if (!path) return EAFNOSUPPORT;
      socket.lastPath = path;
      socket.lastText = address;
    }
    return this.transmit(socket, socket.lastPath, port, data, start, end);
  }

  send(socket: UdpSocket, data: Uint8Array, start: number, end: number): number {
    if (socket.closed) return EPIPE;
    if (!socket.peer) return ENOTCONN;
    return this.transmit(socket, socket.peer, socket.peerPort, data, start, end);
  }

  connect(socket: UdpSocket, address: string, port: number): number {
    if (socket.closed) return EPIPE;
    requireInteger(port, 1, 65535, "port");
    const path = this.pathTo(socket, address);
    if (!path) return EAFNOSUPPORT;
    const peer = path.net.createPath();
    path.net.copyPath(peer, path);
    const code = path.net.route(peer);
    if (code < 0) return code;
    if (path.kind & NET_BROADCAST && !socket.options.broadcast) return EACCES;
    socket.peer = peer;
    socket.peerPort = port;
    return 0;
  }

  join(socket: UdpSocket, group: string, nif: Interface | null, sources: GroupFilter | null): number {
    if (socket.closed) return EPIPE;
    let code = EAFNOSUPPORT;
    for (let i = 0; i < socket.paths.length && code === EAFNOSUPPORT; i++) {
      const net = socket.paths[i].net;
      code = net.join(group, nif || socket.options.interface || null, sources);
      if (code === 0)
        socket.groups.push({ net, group, nif: nif || socket.options.interface || null, sources });
    }
    return code;
  }

  leave(socket: UdpSocket, group: string, nif: Interface | null): number {
    const wanted = nif || socket.options.interface || null;
    for (let i = 0; i < socket.groups.length; i++) {
      const entry = socket.groups[i];
      if (entry.group === group && entry.nif === wanted) {
        socket.groups.splice(i, 1);
        return entry.net.leave(group, entry.nif, entry.sources);
      }
    }
    return ENOENT;
  }

  private transmit(
    socket: UdpSocket,
    path: Path,
    port: number,
    data: Uint8Array,
    start: number,
    end: number,
  ): number {
    requireBytes(data, start, end, "data");
    requireInteger(port, 1, 65535, "port");
    const stack = this.stack;
    const options = socket.options;
    const net = path.net;
    const length = end - start;
    let code = net.route(path);
    if (code === 0 && path.kind & NET_BROADCAST && !options.broadcast) return EACCES;
    if (length > 65535 - wire.UDP_HEADER - net.headerSize) code = EMSGSIZE;
    const packet = code === 0 ? stack.prepare(length + wire.UDP_HEADER) : null;
    if (!packet) {
      this.counters.sendFailed++;
      return code || ENOBUFS;
    }
    path.ttl = path.kind
      ? options.multicastTtl === undefined
        ? 1
        : options.multicastTtl || 1
      : options.ttl || 0;
    const at = packet.start;
    const out = packet.data;
    put16(out, at + wire.UDP_SOURCE_PORT, socket.port);
    put16(out, at + wire.UDP_DESTINATION_PORT, port);
    put16(out, at + wire.UDP_LENGTH, length + wire.UDP_HEADER);
    stack.host.copy(out, at + wire.UDP_HEADER, data, start, length);
    fillChecksum(stack, packet, path, PROTOCOL_UDP, at + wire.UDP_CHECKSUM, 0xffff);
    if (options.dontFragment || net.fits(path, length + wire.UDP_HEADER)) packet.flags |= DONT_FRAGMENT;
    code = net.output(packet, path, PROTOCOL_UDP);
    if (code < 0) {
      this.counters.sendFailed++;
      if (code === EAGAIN) socket.wantsWritable = true;
      return code;
    }
    this.counters.sent++;
    return length;
  }

  /** The socket's path of the family of `address`, leading there; null: no such family here. */
  private pathTo(socket: UdpSocket, address: string): Path | null {
    for (let i = 0; i < socket.paths.length; i++) {
      const path = socket.paths[i];
      if (path.net.setRemote(path, address) === 0) return path;
    }
    return null;
  }

  private inUse(socket: UdpSocket, port: number): boolean {
    for (let other = this.sockets.first(port); other; other = other.nextInBucket) {
      if (other.port !== port || (other.options.reuse && socket.options.reuse)) continue;
      const here = other.options.interface || null;
      if (here && socket.options.interface && here !== socket.options.interface) continue;
      for (let i = 0; i < socket.paths.length; i++) {
        const path = pathOf(other, socket.paths[i].net);
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

  private interfaceOf(index: number): Interface | null {
    const list = this.stack.interfaces;
    for (let i = 0; i < list.length; i++) {
      if (list[i].index === index) return list[i];
    }
    return null;
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

/** The socket's path of a network, or null. */
function pathOf(socket: UdpSocket, net: Network): Path | null {
  const paths = socket.paths;
  for (let i = 0; i < paths.length; i++) {
    if (paths[i].net === net) return paths[i];
  }
  return null;
}

/** How closely a socket fits a datagram: 0 not at all, -1 not since it is connected elsewhere, else more is closer. */
function fit(socket: UdpSocket, packet: Packet, net: Network, from: number): number {
  const path = pathOf(socket, net);
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

/** Has this very socket joined the group that `packet` was sent to, on the interface where it came in? */
function joined(socket: UdpSocket, packet: Packet, net: Network): boolean {
  if (socket.groups.length === 0) return false;
  const group = net.destinationText(packet);
  for (let i = 0; i < socket.groups.length; i++) {
    const entry = socket.groups[i];
    if (entry.group === group && (!entry.nif || entry.nif === packet.nif)) return true;
  }
  return false;
}

/** The sender in the socket's record as text; made once for several datagrams of one sender. */
function senderText(socket: UdpSocket, net: Network, nif: Interface | null): string {
  const sender = socket.sender;
  const size = net.addressSize;
  let same = socket.senderFamily === net.family;
  for (let i = 0; i < size; i++) {
    const byte = socket.record[RECORD + i];
    if (sender[i] !== byte) {
      sender[i] = byte;
      same = false;
    }
  }
  if (!same) {
    socket.senderFamily = net.family;
    socket.senderText = net.addressText(sender, 0, nif);
  }
  return socket.senderText;
}

/** The UDP component. Counters: `udp`. */
export function udp(options: UdpConfiguration = {}): Udp {
  return new Udp(options.limit || 1024);
}
