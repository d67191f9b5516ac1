/**
 * VXLAN (RFC 7348): Ethernet over UDP. An overlay network is a link: an interface of its own, or a port of a bridge.
 *
 * ```ts
 * const overlays = vxlan(), stack = createStack(host, [ethernet(), arp(), ip, icmp(), udp(), lan, overlays]);
 * lan.addPort(overlays.create({ vni: 42, mac, remotes: ["192.0.2.1", "192.0.2.2"] }));
 * ```
 * Where a station is has been learnt from what it sent; frames to others go to each of `remotes` (head-end replication), or to a
 * group. Bounds: `stations` that are remembered (a new one takes the place of the oldest of some) and `peers`. Datagrams are taken
 * from `remotes` alone; with a group from anybody, for that is how peers are found. Nothing is fragmented (section 4.3): the link's
 * MTU is what the paths leave, and larger frames are dropped and counted.
 */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { get16, get32, put32 } from "../core/bytes.js";
import { pathTo } from "../core/datagrams.js";
import { EAGAIN, EMSGSIZE, fail, requireInteger, setting } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import type { Network, Path } from "../core/network.js";
import { DONT_FRAGMENT, Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { fillChecksum } from "../core/transport.js";
import { Udp } from "../udp/udp.js";
import type { UdpSocket } from "../udp/udp.js";
import { ETHERNET_HEADER, ETHERNET_SOURCE } from "../wire/ethernet.js";
import { UDP_CHECKSUM, UDP_HEADER, UDP_LENGTH } from "../wire/udp.js";
import { VXLAN_HEADER, VXLAN_PORT, VXLAN_VALID, VXLAN_VNI, parseVxlan } from "../wire/vxlan.js";
import { joinMarks, tosOf } from "./ecn.js";
import { NESTING } from "./tunnel.js";

export interface VxlanOptions {
  /** Network identifier, 0..2^24-1. */
  vni: number;
  /** This end's hardware address, 6 bytes. */
  mac: Uint8Array;
  /** The other ends, as addresses. */
  remotes?: string[];
  /** A group of the underlay, where frames for all go to, and by which other ends are found. */
  group?: string;
  /** This end's address; default what the route has. */
  local?: string;
  /** Outer packets go, and the group is joined, on this interface. */
  interface?: Interface;
  /** UDP port at both ends. Default 4789. */
  port?: number;
  /** Largest inner packet. Default 1500 less what the headers take (50 over IPv4, 70 over IPv6), or what the route's MTU leaves. */
  mtu?: number;
  /** Time to live of outer packets, 1..255. Default the network's; to a group 1. */
  ttl?: number;
  /** Stations remembered. Default 1024. */
  stations?: number;
  /** Seconds until a station that sends nothing is forgotten. Default 300. */
  ageing?: number;
  /** Other ends, found ones included. Default 64. */
  peers?: number;
}

export class VxlanCounters {
  received = 0;
  sent = 0;
  /** Frames that went to all peers, for nobody knows where their destination is. */
  flooded = 0;
  /** Shorter than the headers, or without the flag. */
  malformed = 0;
  /** For a network that is not here. */
  unknownNetwork = 0;
  /** From nobody of `remotes`. */
  unknownPeer = 0;
  /** Congestion was met by a frame whose sender would not learn of it (RFC 6040). */
  congested = 0;
  /** Tunnels in tunnels beyond what is allowed, or through themselves. */
  nested = 0;
  tooBig = 0;
  /** No way to a peer, no room on its link. */
  failed = 0;
  /** Stations that gave way to others. */
  evicted = 0;
  /** Stations that are behind another peer now. */
  moved = 0;
}

const PROTOCOL_UDP = 17;
const OUTER = UDP_HEADER + VXLAN_HEADER;
const ROOM = 160;
/** Stations that are looked at for one that gives way. */
const SEARCH = 32;

class Station implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;
  high = 0;
  low = 0;
  at = 0;
  peer: Path = null as never;
}

/** An overlay network's link. */
export class Overlay implements Link {
  readonly medium = "ethernet";
  readonly mtu: number;
  readonly mac: Uint8Array;
  headroom = ROOM;
  receiver: LinkReceiver | null = null;
  readonly vni: number;
  socket: UdpSocket = null as never;
  /** Where frames for all go: the group, or each peer. */
  readonly peers: Path[] = [];
  group: Path | null = null;
  private readonly table = new Table<Station>();
  private readonly stations: Station[] = [];
  private hand = 0;
  private readonly packet = new Packet(new Uint8Array(0));
  private readonly scratch: Uint8Array;
  private readonly port: number;
  private readonly ttl: number;
  private readonly limit: number;
  private readonly ageing: number;
  private readonly peerLimit: number;

  constructor(
    private readonly stack: Stack,
    private readonly owner: Vxlan,
    readonly options: VxlanOptions,
  ) {
    const remotes = options.remotes || [];
    this.vni = requireInteger(options.vni, 0, 0xffffff, "vni");
    this.port = setting(options.port, VXLAN_PORT, 1, 65535, "port");
    this.ttl = options.ttl === undefined ? 0 : requireInteger(options.ttl, 1, 255, "ttl");
    this.limit = setting(options.stations, 1024, 1, 1 << 20, "stations");
    this.ageing = setting(options.ageing, 300, 1, 1000000, "ageing") * 1000;
    this.peerLimit = setting(options.peers, 64, 1, 4096, "peers");
    this.mac = options.mac;
    if (!this.mac || this.mac.length !== 6 || this.mac[0] & 1) fail("EINVAL", "mac");
    if (remotes.length === 0 && !options.group) fail("EINVAL", "remotes");
    if (remotes.length > this.peerLimit) fail("ENOBUFS", "peers");
    if (options.group) {
      this.group = this.createPath(options.group);
      if (!this.group.kind) fail("EINVAL", "group " + options.group);
    }
    let room = 65535;
    for (let i = 0; i < remotes.length; i++) {
      const path = this.createPath(remotes[i]);
      if (path.kind) fail("EINVAL", "remote " + remotes[i]);
      this.peers.push(path);
    }
    for (let i = -1; i < this.peers.length; i++) {
      const path = i < 0 ? this.group : this.peers[i];
      if (!path) continue;
      const mtu = path.net.route(path) === 0 ? path.mtu : 1500;
      const left = mtu - path.net.headerSize - OUTER - ETHERNET_HEADER;
      if (left < room) room = left;
    }
    this.mtu = options.mtu === undefined ? room : requireInteger(options.mtu, 68, 65535 - 70, "mtu");
    this.scratch = new Uint8Array(ROOM + ETHERNET_HEADER + 4 + this.mtu);
  }

  open(receiver: LinkReceiver): void {
    if (this.receiver) fail("EBUSY", "vxlan");
    this.owner.enter(this, this.port);
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
    this.owner.leave(this);
    while (this.stations.length > 0) this.drop(this.stations.length - 1);
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const stack = this.stack;
    const counters = this.owner.counters;
    if (end - start > this.scratch.length - ROOM) {
      counters.tooBig++;
      return 0;
    }
    if (stack.wrapping >= NESTING) {
      counters.nested++;
      return 0;
    }
    const high = get16(frame, start);
    const station = high & 0x100 ? null : this.find(high, get32(frame, start + 2));
    if (station) return this.send(station.peer, frame, start, end);
    counters.flooded++;
    if (this.group) return this.send(this.group, frame, start, end);
    // Each peer's headers overwrite those of the one before.
    for (let i = 0; i < this.peers.length; i++) this.send(this.peers[i], frame, start, end);
    return 0;
  }

  /** Takes what a peer has sent: `packet` from its VXLAN header on. */
  input(packet: Packet): void {
    const stack = this.stack;
    const counters = this.owner.counters;
    const data = packet.data;
    const start = packet.start + VXLAN_HEADER;
    let peer = this.peerOf(packet);
    if (!peer) {
      if (!this.group || this.peers.length >= this.peerLimit) {
        counters.unknownPeer++;
        return;
      }
      peer = (packet.net as Network).createPath();
      peer.bound = this.options.interface || null;
      (packet.net as Network).setReply(peer, packet);
      if (this.options.local) (packet.net as Network).setLocal(peer, this.options.local);
      else (packet.net as Network).setLocal(peer, "");
      this.peers.push(peer);
    }
    if (data[start + ETHERNET_SOURCE] & 1) {
      counters.malformed++;
      return;
    }
    if (stack.unwrapping >= NESTING || !this.receiver) {
      counters.nested++;
      return;
    }
    if (!joinMarks(data, start + ETHERNET_HEADER, packet.end, packet.tos)) {
      counters.congested++;
      return;
    }
    this.learn(get16(data, start + ETHERNET_SOURCE), get32(data, start + ETHERNET_SOURCE + 2), peer);
    counters.received++;
    stack.unwrapping++;
    this.receiver.receive(data, start, packet.end);
    stack.unwrapping--;
  }

  /** Forgets all stations: the hash has another key. */
  clear(): void {
    while (this.stations.length > 0) this.drop(this.stations.length - 1);
  }

  private createPath(text: string): Path {
    const paths: Path[] = [];
    for (let i = 0; i < this.stack.networks.length; i++) paths.push(this.stack.networks[i].createPath());
    const path = pathTo(paths, text);
    if (!path) return fail("EINVAL", text);
    path.bound = this.options.interface || null;
    if (path.net.setLocal(path, this.options.local || "") < 0) fail("EADDRNOTAVAIL", "local");
    return path;
  }

  private peerOf(packet: Packet): Path | null {
    for (let i = 0; i < this.peers.length; i++) {
      if (this.peers[i].net === packet.net && this.peers[i].net.matchesRemote(this.peers[i], packet)) {
        return this.peers[i];
      }
    }
    return null;
  }

  private send(path: Path, frame: Uint8Array, start: number, end: number): number {
    const stack = this.stack;
    const counters = this.owner.counters;
    const net = path.net;
    if (net.route(path) < 0) {
      counters.failed++;
      return 0;
    }
    const nif = path.nif as Interface;
    if (nif === (this.receiver as unknown as Interface)) {
      counters.nested++;
      return 0;
    }
    const need = OUTER + net.headerSize + nif.medium.headerSize + (nif.link.headroom || 0);
    if (start < need) {
      stack.host.copy(this.scratch, ROOM, frame, start, end - start);
      frame = this.scratch;
      end += ROOM - start;
      start = ROOM;
    }
    // The source port spreads flows over the ways between (section 5): the same for the same two stations.
    const hash = hashOf(stack);
    hash.begin(1);
    hash.word(get32(frame, start + 2) ^ get32(frame, start + ETHERNET_SOURCE + 2));
    const from = 49152 + (hash.end() & 0x3fff);
    const tos = tosOf(frame, start + ETHERNET_HEADER, end);
    const packet = this.packet;
    const at = start - OUTER;
    packet.data = frame;
    packet.start = at;
    packet.end = end;
    packet.flags = DONT_FRAGMENT;
    packet.nif = null;
    packet.checksumField = -1;
    packet.segmentSize = 0;
    put32(frame, at, (from << 16) | this.port);
    put32(frame, at + UDP_LENGTH, (end - at) << 16);
    put32(frame, at + UDP_HEADER, VXLAN_VALID << 24);
    put32(frame, at + UDP_HEADER + VXLAN_VNI, this.vni << 8);
    path.tos = tos & 3;
    path.ttl = this.ttl;
    // Over IPv4 it should be zero; over IPv6 it is not, unless both ends agree (RFC 6935).
    if (net.family === 6) fillChecksum(stack, packet, path, PROTOCOL_UDP, at + UDP_CHECKSUM, 0xffff);
    stack.wrapping++;
    const code = net.output(packet, path, PROTOCOL_UDP);
    stack.wrapping--;
    if (code === 0) counters.sent++;
    else if (code === EMSGSIZE) counters.tooBig++;
    else counters.failed++;
    return code === EAGAIN ? -1 : 0;
  }

  private learn(high: number, low: number, peer: Path): void {
    const now = this.stack.now();
    let station = this.find(high, low);
    if (!station) {
      if (high === get16(this.mac, 0) && low === get32(this.mac, 2)) return;
      if (this.stations.length >= this.limit) this.evict(now);
      station = new Station();
      station.high = high;
      station.low = low;
      station.hash = this.hash(high, low);
      this.stations.push(station);
      this.table.insert(station);
    } else if (station.peer !== peer) this.owner.counters.moved++;
    station.peer = peer;
    station.at = now;
  }

  private find(high: number, low: number): Station | null {
    let station = this.table.first(this.hash(high, low));
    while (station && (station.low !== low || station.high !== high)) station = station.nextInBucket;
    if (station && ((this.stack.now() - station.at) | 0) >= this.ageing) {
      this.drop(this.stations.indexOf(station));
      return null;
    }
    return station;
  }

  private evict(now: number): void {
    let victim = -1;
    for (let i = 0; i < SEARCH && i < this.stations.length; i++) {
      this.hand = this.hand + 1 < this.stations.length ? this.hand + 1 : 0;
      if (victim < 0 || ((now - this.stations[this.hand].at) | 0) > ((now - this.stations[victim].at) | 0)) {
        victim = this.hand;
      }
    }
    this.owner.counters.evicted++;
    this.drop(victim);
  }

  private drop(at: number): void {
    const station = this.stations[at];
    const last = this.stations.pop() as Station;
    if (last !== station) this.stations[at] = last;
    this.table.remove(station);
  }

  private hash(high: number, low: number): number {
    const hash = hashOf(this.stack);
    hash.begin(1);
    hash.word(high);
    hash.word(low);
    return hash.end();
  }
}

/** A UDP port on which networks are. */
class Port {
  readonly overlays: Overlay[] = [];

  constructor(
    readonly number: number,
    readonly socket: UdpSocket,
  ) {}
}

export class Vxlan implements Component {
  readonly name = "vxlan";
  readonly counters = new VxlanCounters();
  private stack: Stack = null as never;
  private udp: Udp = null as never;
  private readonly ports: Port[] = [];
  private count = 0;

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "vxlan");
    this.stack = stack;
    stack.counters.vxlan = this.counters as never;
  }

  start(): void {
    this.udp = this.stack.component(Udp) || fail("ENOPROTOOPT", "vxlan needs udp");
  }

  rekeyed(): void {
    for (let i = 0; i < this.ports.length; i++) {
      for (let k = 0; k < this.ports[i].overlays.length; k++) this.ports[i].overlays[k].clear();
    }
  }

  /**
   * Makes the link of an overlay network; it takes part once it is opened, by `stack.addInterface` or `bridge.addPort`, until it is
   * closed. Errors: `EINVAL` options, `EADDRNOTAVAIL` local, `ENOBUFS` more remotes than `peers`; when opened `EEXIST` network,
   * `ENOBUFS` too many networks, `EADDRINUSE` port.
   */
  create(options: VxlanOptions): Overlay {
    return new Overlay(this.stack, this, options);
  }

  /* What overlays call */

  enter(overlay: Overlay, number: number): void {
    let at = 0;
    while (at < this.ports.length && this.ports[at].number !== number) at++;
    if (this.count >= this.limit) fail("ENOBUFS", "networks");
    if (at === this.ports.length) {
      const socket = this.udp.open({ port: number, receiveBuffer: 0 });
      const port = new Port(number, socket);
      socket.input = (packet) => this.input(port, packet);
      this.ports.push(port);
    }
    const port = this.ports[at];
    for (let i = 0; i < port.overlays.length; i++) {
      if (port.overlays[i].vni === overlay.vni) fail("EEXIST", "vni " + overlay.vni);
    }
    const options = overlay.options;
    if (options.group && port.socket.join(options.group, options.interface) < 0) {
      if (port.overlays.length === 0) this.shut(port);
      fail("EADDRNOTAVAIL", "group " + options.group);
    }
    port.overlays.push(overlay);
    overlay.socket = port.socket;
    this.count++;
  }

  leave(overlay: Overlay): void {
    for (let i = 0; i < this.ports.length; i++) {
      const port = this.ports[i];
      const at = port.overlays.indexOf(overlay);
      if (at < 0) continue;
      port.overlays.splice(at, 1);
      this.count--;
      if (port.overlays.length === 0) this.shut(port);
      return;
    }
  }

  private shut(port: Port): void {
    port.socket.close();
    this.ports.splice(this.ports.indexOf(port), 1);
  }

  private input(port: Port, packet: Packet): void {
    const vni = parseVxlan(packet.data, packet.start, packet.end);
    if (vni < 0) {
      this.counters.malformed++;
      return;
    }
    for (let i = 0; i < port.overlays.length; i++) {
      if (port.overlays[i].vni === vni) {
        port.overlays[i].input(packet);
        return;
      }
    }
    this.counters.unknownNetwork++;
  }
}

export interface VxlanConfiguration {
  /** Networks at most. Default 64. */
  limit?: number;
}

/** VXLAN overlay networks. Needs `udp`, and `ethernet` for an interface on one. Counters: `vxlan`. */
export function vxlan(options: VxlanConfiguration = {}): Vxlan {
  return new Vxlan(requireInteger(options.limit || 64, 1, 4096, "limit"));
}
