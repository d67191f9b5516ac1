/**
 * A learning bridge (IEEE 802.1D-2004 section 7, 802.1Q section 8) of links, with VLANs: trunks and access ports. It is a link itself,
 * for the stack's own interface on it.
 *
 * ```ts
 * const lan = bridge({ mac }), stack = createStack(host, [ethernet(), lan, ...]);
 * lan.addPort(openTap({ name: "tap0" }));
 * lan.addPort(openTap({ name: "tap1" }), { untagged: 10, tagged: [20] });
 * const br0 = stack.addInterface(lan, "br0");
 * ```
 * Bounds: `limit` addresses; a new one takes the place of one that is too old, else of the oldest of some. Without
 * `tree: spanningTree()` who makes a loop of bridges has one. Ports give and take whole frames: links with offloads are refused.
 */
import type { Link, LinkReceiver, TransmitOffload } from "../../hypercall/index.js";
import { get16, get32, put16 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Component, Stack } from "../core/stack.js";
import type { Snooping } from "./snooping.js";
import type { TreePortOptions } from "./spanning-tree.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { ETHERNET_HEADER, ETHERNET_SOURCE, ETHERNET_TYPE, TYPE_VLAN, VLAN_TAG } from "../wire/ethernet.js";

export class BridgeCounters {
  /** Frames that went to the port where their destination is. */
  forwarded = 0;
  /** Frames to groups, and to whom nobody knows: they went to all. */
  flooded = 0;
  /** Frames for the stack on this bridge. */
  local = 0;
  /** The destination is where the frame came from. */
  filtered = 0;
  /** Shorter than their header, or from a group. */
  malformed = 0;
  /** To 01-80-c2-00-00-00..0f, which no bridge passes on (802.1D section 7.12.6). */
  reserved = 0;
  /** Came in by a port that the spanning tree has blocked, or not opened yet. */
  blocked = 0;
  /** Of a VLAN that the port is not in. */
  wrongVlan = 0;
  /** Larger than the link they would leave by takes. */
  tooBig = 0;
  /** Refused by a link for want of room, or down. */
  refused = 0;
  /** Addresses that have moved to another port. */
  moved = 0;
  /** Addresses that gave way to others for want of room. */
  evicted = 0;
}

export interface BridgeOptions {
  /** The hardware address of the stack's own interface, 6 bytes. */
  mac: Uint8Array;
  /** Addresses that are remembered. Default 1024. */
  limit?: number;
  /** Seconds after which an address that is not heard of is forgotten. Default 300. */
  ageing?: number;
  /** Largest packet, as a link has it. Default 1500. */
  mtu?: number;
  /** VLANs of the stack's own interface. */
  vlans?: PortVlans;
  /** Frames to groups go where somebody listens: `snooping()`. Default: to all ports. */
  snooping?: Snooping;
  /** Blocks ports where bridges form a loop: `spanningTree()`. Default none. */
  tree?: Tree;
}

/** What spanning-tree.ts adds. */
export interface Tree {
  attach(stack: Stack, bridge: Bridge): void;
  /** A new port, before its link is open. */
  add(port: BridgePort): void;
  remove(port: BridgePort): void;
  /** The carrier of a port has come or gone. */
  changed(port: BridgePort): void;
  /** Takes a frame to 01-80-c2-00-00-00. */
  input(port: BridgePort, frame: Uint8Array, start: number, end: number): void;
}

export interface PortVlans {
  /** The VLAN of frames without a tag, 1..4094; 0: none is taken. Default 1. */
  untagged?: number;
  /** VLANs whose frames carry a tag. Default none. */
  tagged?: number[];
}

export interface BridgePortOptions extends PortVlans {
  /** Isolated ports do not reach each other. Default false. */
  isolated?: boolean;
  /** For the spanning tree. */
  tree?: TreePortOptions;
}

class Station implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;
  vlan = 0;
  high = 0;
  low = 0;
  at = 0;
  port: BridgePort = null as never;
}

/** Stations that are looked at for one that gives way. */
const EVICTION_SEARCH = 32;

/** A port of a bridge; the stack's own interface is one. */
export class BridgePort implements LinkReceiver {
  readonly untagged: number;
  readonly tagged: readonly number[];
  readonly isolated: boolean;
  readonly tree: TreePortOptions;
  running = true;
  /** What the spanning tree lets it do. */
  learns = true;
  forwards = true;

  constructor(
    readonly bridge: Bridge,
    /** Null: the stack's. */
    readonly link: Link | null,
    options: BridgePortOptions,
  ) {
    this.untagged = requireInteger(
      options.untagged === undefined ? 1 : options.untagged,
      0,
      4094,
      "untagged",
    );
    this.tagged = options.tagged || [];
    this.isolated = options.isolated === true;
    this.tree = options.tree || {};
    for (let i = 0; i < this.tagged.length; i++) requireInteger(this.tagged[i], 1, 4094, "tagged");
  }

  receive(frame: Uint8Array, start: number, end: number): void {
    this.bridge.input(this, frame, start, end);
  }

  carrier(up: boolean): void {
    this.running = up;
    if (!up) this.bridge.forget(this);
    if (this.bridge.tree) this.bridge.tree.changed(this);
    this.bridge.carrierChanged();
  }

  writable(): void {
    const receiver = this.bridge.receiver;
    if (receiver) receiver.writable();
  }

  lost(): void {}

  /** Does a frame of `vlan` leave this port, and how? 0: no, 1: without a tag, 2: with one. */
  egress(vlan: number): number {
    if (vlan === this.untagged) return 1;
    return this.tagged.indexOf(vlan) >= 0 ? 2 : 0;
  }
}

export class Bridge implements Component, Link {
  readonly name = "bridge";
  readonly medium = "ethernet";
  readonly mtu: number;
  readonly mac: Uint8Array;
  readonly counters = new BridgeCounters();
  readonly ports: BridgePort[] = [];
  /** The stack's interface on the bridge, or null. */
  receiver: LinkReceiver | null = null;
  readonly tree: Tree | null;
  private readonly own: BridgePort;
  private readonly snooping: Snooping | null;
  private readonly limit: number;
  private readonly ageing: number;
  private readonly table = new Table<Station>();
  private readonly stations: Station[] = [];
  private hand = 0;
  private stack: Stack = null as never;
  /** A frame with its tag put in or taken out. */
  private readonly scratch: Uint8Array;

  constructor(options: BridgeOptions) {
    if (!options.mac || options.mac.length !== 6 || options.mac[0] & 1) fail("EINVAL", "mac");
    this.mac = options.mac;
    this.mtu = requireInteger(options.mtu || 1500, 68, 65535, "mtu");
    this.limit = requireInteger(options.limit || 1024, 1, 1 << 20, "limit");
    this.ageing = requireInteger(options.ageing || 300, 1, 1000000, "ageing") * 1000;
    this.own = new BridgePort(this, null, options.vlans || {});
    this.tree = options.tree || null;
    this.snooping = options.snooping || null;
    this.scratch = new Uint8Array(this.mtu + ETHERNET_HEADER + VLAN_TAG);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "bridge");
    this.stack = stack;
    stack.counters.bridge = this.counters as never;
    if (this.tree) this.tree.attach(stack, this);
    if (this.snooping) this.snooping.attach(stack);
  }

  /** The table is keyed anew: stations are learnt again. */
  rekeyed(): void {
    if (this.snooping) this.snooping.forget(null);
    while (this.stations.length > 0) this.drop(this.stations.length - 1);
  }

  /** Opens `link` as a port. `EINVAL`: no Ethernet, or with offloads; a VLAN number, an option for the tree. */
  addPort(link: Link, options: BridgePortOptions = {}): BridgePort {
    const offloads = link.offloads;
    if (
      link.medium !== "ethernet" ||
      (offloads && (offloads.transmitChecksum || offloads.receiveCoalescing))
    ) {
      return fail("EINVAL", "link");
    }
    const port = new BridgePort(this, link, options);
    if (this.tree) this.tree.add(port);
    try {
      link.open(port);
    } catch (error) {
      if (this.tree) this.tree.remove(port);
      throw error;
    }
    this.ports.push(port);
    if (this.tree) this.tree.changed(port);
    this.carrierChanged();
    return port;
  }

  /** Closes the port's link and forgets who was there. */
  removePort(port: BridgePort): void {
    const at = this.ports.indexOf(port);
    if (at < 0) return;
    this.ports.splice(at, 1);
    this.forget(port);
    if (this.tree) this.tree.remove(port);
    (port.link as Link).close();
    this.carrierChanged();
  }

  /** The port where a station is known to be (null: the stack's own), or undefined. */
  whereIs(mac: Uint8Array, vlan = 1): Link | null | undefined {
    const station = this.find(vlan, get16(mac, 0), get32(mac, 2));
    return station ? station.port.link : undefined;
  }

  /* Link */

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.carrierChanged();
  }

  /** The stack's interface goes; without one, so do the ports: that is how a stack closes. */
  close(): void {
    if (!this.receiver) {
      while (this.ports.length > 0) this.removePort(this.ports[this.ports.length - 1]);
    }
    this.receiver = null;
    this.forget(this.own);
  }

  transmit(frame: Uint8Array, start: number, end: number, _offload: TransmitOffload | null): number {
    this.input(this.own, frame, start, end);
    return 0;
  }

  /* What ports call */

  input(port: BridgePort, frame: Uint8Array, start: number, end: number): void {
    const counters = this.counters;
    if (end - start < ETHERNET_HEADER + VLAN_TAG || frame[start + ETHERNET_SOURCE] & 1) {
      counters.malformed++;
      return;
    }
    let vlan = port.untagged;
    const tagged = get16(frame, start + ETHERNET_TYPE) === TYPE_VLAN;
    if (tagged) {
      const id = get16(frame, start + ETHERNET_HEADER) & 0xfff;
      if (id !== 0) vlan = port.tagged.indexOf(id) >= 0 ? id : id === port.untagged ? id : 0;
    }
    if (vlan === 0) {
      counters.wrongVlan++;
      return;
    }
    const high = get16(frame, start);
    const low = get32(frame, start + 2);
    if (high === 0x0180 && (low & ~15) === (0xc2000000 | 0)) {
      if (this.tree && low === (0xc2000000 | 0) && port !== this.own)
        this.tree.input(port, frame, start, end);
      else counters.reserved++;
      return;
    }
    if (!port.forwards) {
      counters.blocked++;
      if (!port.learns) return;
    }
    this.learn(port, vlan, get16(frame, start + ETHERNET_SOURCE), get32(frame, start + ETHERNET_SOURCE + 2));
    if (!port.forwards) return;
    const station = high & 0x100 ? null : this.find(vlan, high, low);
    if (station) {
      const to = station.port;
      if (to === port || (to.isolated && port.isolated)) counters.filtered++;
      else {
        if (to !== this.own) counters.forwarded++;
        this.output(to, frame, start, end, vlan, tagged);
      }
      return;
    }
    const forStack = high === get16(this.mac, 0) && low === get32(this.mac, 2);
    if (!forStack) {
      const snooping = this.snooping;
      const some = snooping && high & 0x100 ? snooping.look(port, frame, start, end, vlan, tagged) : false;
      counters.flooded++;
      for (let i = 0; i < this.ports.length; i++) {
        const to = this.ports[i];
        if (some && !snooping!.wants(to)) continue;
        if (to !== port && !(to.isolated && port.isolated)) this.output(to, frame, start, end, vlan, tagged);
      }
    }
    // The stack comes last: it may change the frame.
    if (port !== this.own && (forStack || high & 0x100))
      this.output(this.own, frame, start, end, vlan, tagged);
  }

  /** Sends a frame of the bridge's own. */
  transmitOn(port: BridgePort, frame: Uint8Array, start: number, end: number): void {
    let code = -1;
    try {
      code = (port.link as Link).transmit(frame, start, end, null);
    } catch (error) {
      this.stack.hostFault("transmit", error);
    }
    if (code < 0) this.counters.refused++;
  }

  /** Forgets who was behind a port. */
  forget(port: BridgePort): void {
    if (this.snooping) this.snooping.forget(port);
    this.forgetStations(port);
  }

  /** The topology is another: stations behind a port are learnt again. */
  forgetStations(port: BridgePort): void {
    for (let i = this.stations.length - 1; i >= 0; i--) if (this.stations[i].port === port) this.drop(i);
  }

  /** The stack's interface is up while any port is. */
  carrierChanged(): void {
    let up = false;
    for (let i = 0; i < this.ports.length; i++) if (this.ports[i].running) up = true;
    if (this.receiver) this.receiver.carrier(up);
  }

  private output(
    to: BridgePort,
    frame: Uint8Array,
    start: number,
    end: number,
    vlan: number,
    tagged: boolean,
  ): void {
    const how = to.egress(vlan);
    if (how === 0 || !to.running || !to.forwards) return;
    const length = end - start - ETHERNET_HEADER - (tagged ? VLAN_TAG : 0);
    if (length > (to.link ? to.link.mtu : this.mtu)) {
      this.counters.tooBig++;
      return;
    }
    let data = frame;
    let from = start;
    let stop = end;
    if (tagged !== (how === 2)) {
      if (length > this.mtu) {
        this.counters.tooBig++;
        return;
      }
      data = this.scratch;
      from = 0;
      const copy = this.stack.host.copy;
      copy(data, 0, frame, start, ETHERNET_TYPE);
      if (tagged) {
        copy(
          data,
          ETHERNET_TYPE,
          frame,
          start + ETHERNET_TYPE + VLAN_TAG,
          end - start - ETHERNET_TYPE - VLAN_TAG,
        );
        stop = end - start - VLAN_TAG;
      } else {
        put16(data, ETHERNET_TYPE, TYPE_VLAN);
        put16(data, ETHERNET_TYPE + 2, vlan);
        copy(data, ETHERNET_TYPE + VLAN_TAG, frame, start + ETHERNET_TYPE, end - start - ETHERNET_TYPE);
        stop = end - start + VLAN_TAG;
      }
    }
    if (to === this.own) {
      if (!this.receiver) return;
      this.counters.local++;
      this.receiver.receive(data, from, stop);
      return;
    }
    let code = -1;
    try {
      code = (to.link as Link).transmit(data, from, stop, null);
    } catch (error) {
      this.stack.hostFault("transmit", error);
    }
    if (code < 0) this.counters.refused++;
  }

  private learn(port: BridgePort, vlan: number, high: number, low: number): void {
    const now = this.stack.now();
    let station = this.find(vlan, high, low);
    if (!station) {
      // Nobody may pretend to be the stack.
      if (port !== this.own && high === get16(this.mac, 0) && low === get32(this.mac, 2)) return;
      if (this.stations.length >= this.limit) this.evict(now);
      station = new Station();
      station.vlan = vlan;
      station.high = high;
      station.low = low;
      station.hash = this.hash(vlan, high, low);
      station.port = port;
      this.stations.push(station);
      this.table.insert(station);
    } else if (station.port !== port) {
      if (station.port === this.own) return;
      this.counters.moved++;
      station.port = port;
    }
    station.at = now;
  }

  /** The station, unless it has not been heard of for too long. */
  private find(vlan: number, high: number, low: number): Station | null {
    let station = this.table.first(this.hash(vlan, high, low));
    while (station && (station.low !== low || station.high !== high || station.vlan !== vlan)) {
      station = station.nextInBucket;
    }
    if (station && ((this.stack.now() - station.at) | 0) >= this.ageing) {
      this.drop(this.stations.indexOf(station));
      return null;
    }
    return station;
  }

  private evict(now: number): void {
    let victim = -1;
    for (let i = 0; i < EVICTION_SEARCH && i < this.stations.length; i++) {
      this.hand = this.hand + 1 < this.stations.length ? this.hand + 1 : 0;
      const age = (now - this.stations[this.hand].at) | 0;
      if (victim < 0 || age > ((now - this.stations[victim].at) | 0)) victim = this.hand;
      if (age >= this.ageing) break;
    }
    this.counters.evicted++;
    this.drop(victim);
  }

  /** The list stays dense: the last entry moves into the gap. */
  private drop(at: number): void {
    const station = this.stations[at];
    const last = this.stations.pop() as Station;
    if (last !== station) this.stations[at] = last;
    this.table.remove(station);
  }

  private hash(vlan: number, high: number, low: number): number {
    const hash = hashOf(this.stack);
    hash.begin(1);
    hash.word((vlan << 16) | high);
    hash.word(low);
    return hash.end();
  }
}

/** A bridge: a component, and the link of the stack's interface on it. Counters: `bridge`. */
export function bridge(options: BridgeOptions): Bridge {
  return new Bridge(options);
}
