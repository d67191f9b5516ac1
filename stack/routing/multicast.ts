/**
 * Multicast for a router: asks who listens on its links (IGMPv3 and MLDv2 queriers, RFC 3376 section 6, RFC 3810 section 7, in the lightweight
 * form of RFC 5790), forwards what they want, and joins it towards the rest of the world as a proxy (RFC 4605).
 *
 * ```ts
 * const groups = multicast();
 * const stack = createStack(host, [..., igmp({ groups: 256 }), mld(), forwarding(), forwarding6(), groups]);
 * groups.enable(lan);
 * groups.enable(guests);
 * groups.setUpstream(wan); // without one: between the LANs alone
 * ```
 * A packet passes that came by the interface which its source is reached by; it goes to the links that want it, where this router is
 * the querier, and from a LAN to the upstream. Not forwarded: what is of one link alone, and, over the upstream, what is of this site alone
 * (239.255.0.0/16, IPv6 scopes up to 5). Too large packets are counted, not cut. Links with an address filter must pass all groups.
 */
import { get16, get32, put16 } from "../core/bytes.js";
import { updateChecksum } from "../core/checksum.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { FORWARD, POSTROUTING, PREROUTING } from "../core/network.js";
import type { PacketHook } from "../core/network.js";
import { LINK_BROADCAST, LOOPED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { Router, finishChecksum, roomFor } from "../router/router.js";
import { TYPE_IPV4, TYPE_IPV6 } from "../wire/ethernet.js";
import {
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_CHECKSUM,
  IPV4_FRAGMENT,
  IPV4_TTL,
  isMulticast4,
} from "../wire/ipv4.js";
import {
  IPV6_DESTINATION,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  isExtension,
  isMulticast6,
} from "../wire/ipv6.js";
import { Memberships } from "./membership.js";
import type { ListenedGroup, Listener } from "./membership.js";
import { BAD_MESSAGE, IgmpCodec, MldCodec, QUERY } from "./multicast-codec.js";
import type { MulticastCodec, RecordVisitor } from "./multicast-codec.js";
import { addressText, isV4, mapTo } from "./prefix.js";

export class MulticastCounters {
  /** Reports and leaves of listeners. */
  reports = 0;
  /** Messages of IGMP or MLD that do not hold together, or are not of the link. */
  malformed = 0;
  queriesSent = 0;
  queriesHeard = 0;
  sendFailed = 0;
  /** Copies that left by a link. */
  forwarded = 0;
  /** Nobody wants it. */
  unwanted = 0;
  /** Came by another interface than its source is reached by, or by one that takes no part. */
  wrongWay = 0;
  /** Hops used up, or of no wider scope than its link, or its site. */
  scope = 0;
  /** Larger than the link that it would leave by takes. */
  tooBig = 0;
  /** No room in a link, or for a copy. */
  noRoom = 0;
  /** Groups for which there was no room, here or upstream. */
  full = 0;
}

export interface MulticastOptions {
  /** Groups that are listened to, over all links, 1..65536. Default 256. */
  groups?: number;
  /** Seconds between general queries, 2..3600. Default 125. */
  interval?: number;
}

export interface MulticastGroupInfo {
  group: string;
  listeners: { interface: string; sources: string[] | null }[];
}

/** A link of listeners, for one family. */
class Port {
  /** Queries until it begins to ask at the regular interval. */
  startup = 2;
  queryAt = 0;
  /** Another router asks, whose address is the lower one, until then. */
  other = false;
  otherUntil = 0;

  constructor(readonly nif: Interface) {}
}

/** What belongs to one family. */
class Side {
  readonly ports: Port[] = [];
  readonly members: Memberships<Port>;

  constructor(
    stack: Stack,
    readonly ip: Ipv4 | Ipv6,
    readonly codec: MulticastCodec,
    limit: number,
    interval: number,
  ) {
    this.members = new Memberships(stack, limit, 2 * interval + RESPONSE);
  }

  port(nif: Interface): Port | null {
    for (let i = 0; i < this.ports.length; i++) if (this.ports[i].nif === nif) return this.ports[i];
    return null;
  }
}

const RESPONSE = 10000;
const PORTS = 64;

export class Multicast implements Component {
  readonly name = "multicast";
  readonly counters = new MulticastCounters();
  private stack: Stack = null as never;
  private four: Side | null = null;
  private six: Side | null = null;
  private upstream: Interface | null = null;
  private hooked = false;
  private readonly router = new Router({});
  private readonly limit: number;
  private readonly interval: number;
  private readonly timer = new Timer(tick, this);
  private sweepAt = 0;
  private readonly group = new Uint8Array(16);
  private readonly source = new Uint8Array(16);
  /** The port whose report is being read. */
  private reading: Port | null = null;
  private readonly visit4: RecordVisitor = (group, type, count, source) =>
    this.record(this.four as Side, group, type, count, source);
  private readonly visit6: RecordVisitor = (group, type, count, source) =>
    this.record(this.six as Side, group, type, count, source);

  constructor(options: MulticastOptions) {
    this.limit = requireInteger(options.groups || 256, 1, 65536, "groups");
    this.interval = requireInteger(options.interval || 125, 2, 3600, "interval") * 1000;
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "multicast");
    this.stack = stack;
    stack.counters.multicast = this.counters as never;
  }

  start(): void {
    const stack = this.stack;
    const ip4 = stack.network(4) as Ipv4 | null;
    const ip6 = stack.network(6) as Ipv6 | null;
    const components = stack.components;
    let groups4 = false;
    for (let i = 0; i < components.length; i++) if (components[i].name === "igmp") groups4 = true;
    if (ip4 && groups4)
      this.four = new Side(stack, ip4, new IgmpCodec(stack, ip4), this.limit, this.interval);
    if (ip6) this.six = new Side(stack, ip6, new MldCodec(stack, ip6), this.limit, this.interval);
    const sides = [this.four, this.six];
    if (!this.four && !this.six) fail("ENOPROTOOPT", "multicast needs igmp or ipv6");
    for (let i = 0; i < 2; i++) {
      const side = sides[i];
      if (side) side.members.onChange = (group) => this.joinUpstream(side, group);
    }
  }

  /** Asks on an interface who listens, and serves them. Errors (thrown): `EINVAL` it is the upstream, or gone; `EEXIST`, `ENOBUFS`. */
  enable(nif: Interface): void {
    if (nif.removed || nif === this.upstream) fail("EINVAL", "interface");
    if (this.isPort(nif)) fail("EEXIST", "interface " + nif.name);
    this.hook();
    const sides = [this.four, this.six];
    for (let i = 0; i < 2; i++) {
      const side = sides[i];
      if (!side) continue;
      if (side.ports.length >= PORTS) fail("ENOBUFS", "interfaces");
      const port = new Port(nif);
      port.queryAt = this.stack.now();
      side.ports.push(port);
    }
    nif.allGroups = true;
    this.schedule();
  }

  /** Serves nobody there any more. False: it did not. */
  disable(nif: Interface): boolean {
    const known = this.isPort(nif);
    const sides = [this.four, this.six];
    for (let i = 0; i < 2; i++) {
      const side = sides[i];
      const port = side && side.port(nif);
      if (!side || !port) continue;
      side.ports.splice(side.ports.indexOf(port), 1);
      side.members.forget(port);
    }
    if (known) nif.allGroups = false;
    this.schedule();
    return known;
  }

  /** The interface towards other routers: what is listened to is joined there (null: nowhere). `EINVAL`: it is a link of listeners. */
  setUpstream(nif: Interface | null): void {
    if (nif && (nif.removed || this.isPort(nif))) fail("EINVAL", "interface");
    const sides = [this.four, this.six];
    this.hook();
    this.each((side, group) => this.leaveUpstream(side, group));
    this.upstream = nif;
    for (let i = 0; i < 2; i++) {
      const side = sides[i];
      if (side) side.members.each((group) => this.joinUpstream(side, group));
    }
  }

  /** Who listens to what, as plain data. `sources` null: any. */
  groups(): MulticastGroupInfo[] {
    const list: MulticastGroupInfo[] = [];
    this.each((_side, group) => {
      list.push({
        group: addressText(group.address),
        listeners: group.listeners.map((each) => ({
          interface: each.port.nif.name,
          sources: each.any ? null : each.sources.map((source) => addressText(source.address)),
        })),
      });
    });
    return list;
  }

  interfaceChanged(nif: Interface): void {
    const sides = [this.four, this.six];
    for (let i = 0; i < 2; i++) {
      const side = sides[i];
      const port = side && side.port(nif);
      if (!side || !port) continue;
      if (!nif.up()) side.members.forget(port);
      else {
        port.startup = 2;
        port.other = false;
        port.queryAt = this.stack.now();
      }
    }
    this.schedule();
  }

  interfaceRemoved(nif: Interface): void {
    this.disable(nif);
    if (this.upstream === nif) this.setUpstream(null);
  }

  rekeyed(): void {
    if (this.four) this.four.members.rekey();
    if (this.six) this.six.members.rekey();
  }

  private isPort(nif: Interface): boolean {
    return (
      (this.four !== null && this.four.port(nif) !== null) ||
      (this.six !== null && this.six.port(nif) !== null)
    );
  }

  private each(visit: (side: Side, group: ListenedGroup<Port>) => void): void {
    const sides = [this.four, this.six];
    for (let i = 0; i < 2; i++) {
      const side = sides[i];
      if (side) side.members.each((group) => visit(side, group));
    }
  }

  /** Behind the hook of a filter that is there already: what it drops is not forwarded. */
  private hook(): void {
    if (this.hooked) return;
    this.hooked = true;
    const four = this.four;
    const six = this.six;
    if (four) four.ip.hook = chain(four.ip.hook, (packet) => this.see4(packet, four));
    if (six) six.ip.hook = chain(six.ip.hook, (packet) => this.see6(packet, six));
  }

  /* What comes in */

  private see4(packet: Packet, side: Side): void {
    const destination = packet.destination;
    const nif = packet.nif as Interface;
    if (!isMulticast4(destination) || packet.flags & (LOOPED | LINK_BROADCAST)) return;
    const port = side.port(nif);
    if (port && this.message(packet, side, port, this.visit4)) return;
    // 224.0.0.0/24 is of one link.
    if (destination >>> 8 === 0xe00000 || (!port && nif !== this.upstream)) return;
    mapTo(this.group, destination);
    mapTo(this.source, packet.source);
    const route = (side.ip as Ipv4).fib.lookup(packet.source, null);
    this.forward(packet, side, route !== null && route.nif === nif, destination >>> 16 === 0xefff);
  }

  private see6(packet: Packet, side: Side): void {
    const data = packet.data;
    const at = packet.network;
    const nif = packet.nif as Interface;
    if (!isMulticast6(data, at + IPV6_DESTINATION) || packet.flags & (LOOPED | LINK_BROADCAST)) return;
    const port = side.port(nif);
    if (port && this.message(packet, side, port, this.visit6)) return;
    const scope = data[at + IPV6_DESTINATION + 1] & 15;
    if (scope <= 2 || (!port && nif !== this.upstream)) return;
    for (let i = 0; i < 16; i++) {
      this.group[i] = data[at + IPV6_DESTINATION + i];
      this.source[i] = data[at + IPV6_SOURCE + i];
    }
    const route = (side.ip as Ipv6).fib.lookup(data, at + IPV6_SOURCE, null, null);
    this.forward(packet, side, route !== null && route.nif === nif, scope <= 5);
  }

  /** True: it was a message to routers, and is none to be forwarded. */
  private message(packet: Packet, side: Side, port: Port, visit: RecordVisitor): boolean {
    const counters = this.counters;
    this.reading = port;
    const found = side.codec.read(packet, this.group, visit);
    this.reading = null;
    if (found === BAD_MESSAGE) counters.malformed++;
    else if (found === QUERY) this.heard(packet, side, port);
    else if (found !== 0) counters.reports++;
    if (found !== 0) this.schedule();
    return found !== 0;
  }

  private record(
    side: Side,
    group: Uint8Array,
    type: number,
    count: number,
    source: (i: number) => Uint8Array,
  ): void {
    // Nobody need ask for what stays on the link, and nobody forwards it.
    if (isV4(group) ? get32(group, 12) >>> 8 === 0xe00000 : (group[1] & 15) <= 2) return;
    const members = side.members;
    const full = members.full;
    members.record(this.reading as Port, group, type, count, source, this.stack.now());
    this.counters.full += members.full - full;
  }

  /** Of two routers the one with the lower address asks (RFC 3376 section 6.6.2). */
  private heard(packet: Packet, side: Side, port: Port): void {
    const now = this.stack.now();
    this.counters.queriesHeard++;
    if (side.codec.precedes(packet)) {
      port.other = true;
      port.otherUntil = (now + 2 * this.interval + RESPONSE / 2) | 0;
    }
    if (port.other) side.members.heard(port, this.group, now);
  }

  /* What goes on */

  /** `site`: it stays within the site, and so does not cross the upstream. */
  private forward(packet: Packet, side: Side, rightWay: boolean, site: boolean): void {
    const counters = this.counters;
    const upstream = this.upstream;
    const from = packet.nif as Interface;
    if (!rightWay) {
      counters.wrongWay++;
      return;
    }
    if (packet.ttl <= 1 || (site && from === upstream)) {
      counters.scope++;
      return;
    }
    const group = side.members.find(this.group);
    let sent = false;
    for (let i = 0; group && i < group.listeners.length; i++) {
      const listener = group.listeners[i];
      const port = listener.port;
      // Where another router asks, it is the one that serves (RFC 4605 section 4.2).
      if (port.nif === from || port.other || !listener.takes(this.source)) continue;
      this.send(packet, side, port.nif);
      sent = true;
    }
    if (upstream && from !== upstream && !site) {
      this.send(packet, side, upstream);
      sent = true;
    }
    if (!sent) counters.unwanted++;
  }

  /** A copy goes out of `out`; the packet is afterwards as it was before. */
  private send(packet: Packet, side: Side, out: Interface): void {
    const counters = this.counters;
    const hook = side.ip.hook as PacketHook;
    const data = packet.data;
    const at = packet.network;
    const four = side.ip.family === 4;
    if (!out.up() || !hook(packet, FORWARD, out)) return;
    if (packet.end - at > out.mtu) {
      counters.tooBig++;
      return;
    }
    const word = get16(data, at + IPV4_TTL);
    const sum = get16(data, at + IPV4_CHECKSUM);
    const hops = data[at + IPV6_HOP_LIMIT];
    if (four) {
      put16(data, at + IPV4_TTL, word - 0x100);
      put16(data, at + IPV4_CHECKSUM, updateChecksum(sum, word, word - 0x100));
    } else data[at + IPV6_HOP_LIMIT] = hops - 1;
    const start = packet.start;
    const ready = hook(packet, POSTROUTING, out) ? this.ready(packet, out, four) : null;
    if (ready) {
      ready.start = ready.network;
      const low = four ? 0x5e000000 | (get32(this.group, 12) & 0x7fffff) : get32(this.group, 12);
      if (out.medium.output(out, ready, four ? 0x0100 : 0x3333, low, four ? TYPE_IPV4 : TYPE_IPV6) < 0)
        counters.noRoom++;
      else counters.forwarded++;
    }
    packet.start = start;
    packet.checksumField = -1;
    if (four) {
      put16(data, at + IPV4_TTL, word);
      put16(data, at + IPV4_CHECKSUM, sum);
    } else data[at + IPV6_HOP_LIMIT] = hops;
  }

  private ready(packet: Packet, out: Interface, four: boolean): Packet | null {
    const data = packet.data;
    const at = packet.network;
    const size = four ? (data[at] & 15) << 2 : 40;
    const next = data[at + IPV6_NEXT_HEADER];
    const whole = four
      ? (get16(data, at + IPV4_FRAGMENT) & (FLAG_MF | FRAGMENT_OFFSET)) === 0
      : !isExtension(next);
    if (!four) packet.protocol = next;
    finishChecksum(this.stack, packet, whole ? at + size : -1, out, false);
    const ready = roomFor(this.router, this.stack, packet, out);
    if (!ready) this.counters.noRoom++;
    return ready;
  }

  /** Joins upstream what is listened to here: all sources, or those that are named (RFC 4605 section 4.1). */
  private joinUpstream(side: Side, group: ListenedGroup<Port>): void {
    const address = group.address;
    const upstream = this.upstream;
    const site = isV4(address) ? get32(address, 12) >>> 16 === 0xefff : (address[1] & 15) <= 5;
    let sources: string[] = [];
    let any = false;
    for (let i = 0; i < group.listeners.length; i++) {
      const listener = group.listeners[i];
      if (listener.any) any = true;
      for (let k = 0; k < listener.sources.length; k++) {
        const text = addressText(listener.sources[k].address);
        if (sources.indexOf(text) < 0) sources.push(text);
      }
    }
    sources = any ? [] : sources.sort();
    const wanted = any ? "*" : sources.join(" ");
    if (!upstream || site || wanted === group.upstream) return;
    const old = group.upstream;
    // The new filter comes before the old one goes: nothing is left in between.
    if (wanted !== "") {
      const code = this.change(side, address, wanted, true);
      if (code < 0) {
        this.counters.full++;
        return;
      }
    }
    group.upstream = wanted;
    if (old !== "") this.change(side, address, old, false);
  }

  private leaveUpstream(side: Side, group: ListenedGroup<Port>): void {
    if (group.upstream !== "") this.change(side, group.address, group.upstream, false);
    group.upstream = "";
  }

  private change(side: Side, address: Uint8Array, filter: string, join: boolean): number {
    const ip = side.ip;
    const sources = filter === "*" ? null : { exclude: false, sources: filter.split(" ") };
    const call = join ? ip.join : ip.leave;
    return call ? call.call(ip, addressText(address), this.upstream, sources) : -1;
  }

  /* Time */

  /** Does what is due. */
  run(): void {
    const now = this.stack.now();
    const sides = [this.four, this.six];
    const sweep = ((now - this.sweepAt) | 0) >= 0;
    for (let i = 0; i < 2; i++) {
      const side = sides[i];
      if (!side) continue;
      for (let k = 0; k < side.ports.length; k++) this.general(side, side.ports[k], now);
      if (sweep) side.members.sweep(now, (group, listener) => this.specific(side, group, listener));
    }
    if (sweep) this.sweepAt = (now + 500) | 0;
    this.schedule();
  }

  private general(side: Side, port: Port, now: number): void {
    if (port.other && ((now - port.otherUntil) | 0) >= 0) port.other = false;
    if (((now - port.queryAt) | 0) < 0) return;
    const jitter = this.stack.host.randomBelow(1000);
    if (!port.other && port.nif.up() && this.query(side, port, null, []) < 0) {
      // There is no address yet, perhaps.
      port.queryAt = (now + 1000) | 0;
      return;
    }
    if (port.startup > 0) port.startup--;
    port.queryAt = (now + (port.startup > 0 ? this.interval >> 2 : this.interval) - jitter) | 0;
  }

  private specific(side: Side, group: ListenedGroup<Port>, listener: Listener<Port>): void {
    if (listener.port.other || !listener.port.nif.up()) return;
    const sources: Uint8Array[] = [];
    for (let i = 0; i < listener.sources.length && !listener.any; i++)
      if (listener.sources[i].asked) sources.push(listener.sources[i].address);
    this.query(side, listener.port, group.address, sources);
  }

  private query(side: Side, port: Port, group: Uint8Array | null, sources: Uint8Array[]): number {
    const code = side.codec.query(port.nif, group, sources, this.interval);
    if (code < 0) this.counters.sendFailed++;
    else this.counters.queriesSent++;
    return code;
  }

  private schedule(): void {
    const timers = this.stack.timers;
    const now = this.stack.now();
    let left = -1;
    const due = (at: number) => {
      const wait = (at - now) | 0;
      if (left < 0 || wait < left) left = wait > 0 ? wait : 0;
    };
    const sides = [this.four, this.six];
    for (let i = 0; i < 2; i++) {
      const side = sides[i];
      if (!side) continue;
      for (let k = 0; k < side.ports.length; k++) due(side.ports[k].queryAt);
      if (side.members.size() > 0) due(this.sweepAt);
    }
    if (left < 0) timers.clear(this.timer);
    else timers.set(this.timer, (now + left) | 0);
  }
}

/** A hook that asks `next` first, and shows `see` what came in and passed. */
function chain(next: PacketHook | null, see: (packet: Packet) => void): PacketHook {
  return (packet, point, out) => {
    if (next && !next(packet, point, out)) return false;
    if (point === PREROUTING) see(packet);
    return true;
  };
}

function tick(machine: Multicast): void {
  machine.run();
}

/** Multicast forwarding, querier and proxy. Needs `ipv4` with `igmp`, or `ipv6` (with `mld` for an upstream). Counters: `multicast`. */
export function multicast(options: MulticastOptions = {}): Multicast {
  return new Multicast(options);
}
