/** IPv4 (RFC 791, RFC 1122 section 3): the component. Addresses, routes, and the network seam for the transports. */
import { get32, put32 } from "../core/bytes.js";
import { EADDRNOTAVAIL, EAFNOSUPPORT, EHOSTUNREACH, fail, requireInteger } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import type { Forwarder, Network, PacketHook, PacketPolicy, Path } from "../core/network.js";
import { NET_BROADCAST, NET_MULTICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, LinkProtocol, Stack } from "../core/stack.js";
import { format4, parse4, splitPrefix } from "../core/text4.js";
import { ROUTE4_BYTES, Route4, smallTable4 } from "../route/table.js";
import type { Fib4 } from "../route/table.js";
import { TYPE_IPV4 } from "../wire/ethernet.js";
import { BROADCAST, IPV4_HEADER, isLoopback4, isMartian4, isMulticast4, mask4 } from "../wire/ipv4.js";
import { Address4, DEPRECATED, TENTATIVE, isBroadcastOf } from "./address.js";
import type { Arp } from "./arp.js";
import { input } from "./input.js";
import { output } from "./output.js";
import { Path4, route } from "./path.js";

export class Ipv4Counters {
  received = 0;
  delivered = 0;
  sent = 0;
  /** Version is not 4. */
  version = 0;
  /** Header shorter than 20 bytes, or than the frame holds. */
  badhdr = 0;
  /** Total length below the header's, or beyond the frame. */
  badlen = 0;
  badsum = 0;
  /** Options whose lengths lie. */
  badopt = 0;
  /** Source route refused. */
  srcroute = 0;
  /** Source (or loopback destination) that no packet from a wire may have. */
  martian = 0;
  /** Unicast datagram in a broadcast or multicast frame. */
  linkBroadcast = 0;
  /** For another host, or for a group that is not joined. */
  notOurs = 0;
  /** For this host's address on another interface. */
  strongHost = 0;
  /** Fragments, where there is no component for them. */
  fragments = 0;
  unknownProtocol = 0;
  /** Output without a route. */
  noRoute = 0;
  /** Output larger than the path takes. */
  tooBig = 0;
}

/** What icmp.ts adds. */
export interface IcmpHooks {
  protocolUnreachable(packet: Packet): void;
  portUnreachable(packet: Packet): void;
  /** Sends an ICMP error about `packet` (IPv4 header at `packet.network`) where that is allowed. */
  sendError(packet: Packet, type: number, code: number, word: number): void;
  /** Tells the transport of the packet that starts at `packet.start` (an IPv4 header of ours) of an error. */
  deliverError(packet: Packet, code: number, mtu: number): boolean;
}

/** What fragments.ts adds. */
export interface FragmentHooks {
  /** Takes a fragment; true when `packet` now is the whole datagram, `start` behind its header. */
  input(packet: Packet, fragment: number): boolean;
  /** Sends a packet (its transport header at `start`) in pieces that fit `path.mtu`. */
  output(packet: Packet, path: Path4, protocol: number): number;
}

/** What igmp.ts adds. */
export interface IgmpHooks {
  /** Is `group` joined on `nif`, for packets from `source` (-1: for IGMP, from anyone)? */
  accepts(nif: Interface, group: number, source: number): boolean;
}

/** What pmtu.ts adds (RFC 1191). */
export interface PathMtuHooks {
  /** The MTU towards `destination`, at most `mtu`. */
  lookup(destination: number, mtu: number): number;
  /**
   * A router said that packets to `destination` must not exceed `mtu` (0: it did not say), and a transport believed it.
   *
   * @param length total length of the packet that was too big, 0: not known
   */
  tooBig(destination: number, mtu: number, length?: number): void;
}

/** What conflict detection (acd.ts) adds: an address is tried before it is used. */
export interface AddressTrial {
  /** Begins to probe for `address` (TENTATIVE until then). */
  begin(address: Address4): void;
  /** The address is going. */
  end(address: Address4): void;
}

export interface Ipv4Options {
  /** Time to live of what is sent. Default 64. */
  ttl?: number;
  /** The forwarding table. Default `smallTable4()`. */
  fib?: Fib4;
}

/** Configuration of an address beyond its text. */
export interface AddressOptions {
  origin?: string;
  /** Makes the route to the address's own network. Default true. */
  route?: boolean;
  metric?: number;
}

export interface RouteOptions {
  gateway?: string;
  interface?: Interface;
  metric?: number;
  origin?: string;
  source?: string;
}

export class Ipv4 implements Component, LinkProtocol, Network {
  readonly name = "ip4";
  readonly family = 4;
  readonly headerSize = IPV4_HEADER;
  readonly maximumPayload = 65535 - IPV4_HEADER;
  readonly addressSize = 4;
  readonly minimumMtu = 576;
  readonly ethertype = TYPE_IPV4;
  readonly counters = new Ipv4Counters();
  readonly addresses: Address4[] = [];
  readonly ttl: number;
  fib: Fib4;
  stack: Stack = null as never;
  /** The loopback interface, or null; see link/loopback.ts. */
  loopback: Interface | null = null;
  arp: Arp | null = null;
  icmp: IcmpHooks | null = null;
  fragments: FragmentHooks | null = null;
  igmp: IgmpHooks | null = null;
  pathMtu: PathMtuHooks | null = null;
  trial: AddressTrial | null = null;
  /** Gives a packet to a group (its transport header at `start`) back to this host's members; igmp.ts brings it. */
  loop: ((packet: Packet, path: Path4, protocol: number) => void) | null = null;
  /** Takes what is for other hosts; null: this is no router. */
  forwarder: Forwarder | null = null;
  /** Sees every packet; null: nobody does. */
  hook: PacketHook | null = null;
  /** A packet to an address of ours that takes none (VRRP without `accept`): it is dropped and counted there. */
  refuses: ((packet: Packet) => boolean) | null = null;
  policy: PacketPolicy | null = null;
  /** Says whether a packet from 0.0.0.0 may pass (a DHCP server's business). */
  acceptUnspecified: ((packet: Packet) => boolean) | null = null;
  /** The ends that `input` has looked at last, where, and the stack's generation then. */
  seenSource = 0;
  seenDestination = 0;
  seenOn: Interface | null = null;
  seenAt = 0;
  /** The text that `setRemote` has read last, and its address. */
  private lastText = "";
  private lastAddress: number | null = null;
  readonly taps: ((packet: Packet) => boolean)[] = [];
  /** Joins groups; igmp.ts brings them. */
  join?: Network["join"];
  leave?: Network["leave"];
  /** Called when an address has been added, has changed state, or has gone. */
  readonly onAddressChange: ((address: Address4, present: boolean) => void)[] = [];

  constructor(options: Ipv4Options) {
    this.ttl = requireInteger(options.ttl || 64, 1, 255, "ttl");
    this.fib = options.fib || (null as never);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ipv4");
    this.stack = stack;
    const fib = this.fib;
    const routes = stack.reserve(fib ? fib.limit || 0 : -1, 64, 4, ROUTE4_BYTES);
    if (!fib) this.fib = smallTable4(routes);
    stack.networks.push(this);
    // Before ARP: most frames are its own.
    stack.linkProtocols.unshift(this);
    stack.counters.ip4 = this.counters as never;
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.addresses.length - 1; i >= 0; i--) {
      if (this.addresses[i].nif === nif) this.dropAddress(this.addresses[i]);
    }
    this.fib.remove((entry) => entry.nif === nif);
    if (this.loopback === nif) this.loopback = null;
  }

  input(packet: Packet): void {
    input(this, packet);
  }

  /* Configuration */

  /**
   * Gives an interface an address: `addAddress(eth0, "10.0.0.2/24")`. With conflict detection in the stack it is tentative
   * at first. Errors: `EINVAL` no unicast address or prefix, `EEXIST` this host has it already.
   */
  addAddress(nif: Interface, text: string, options: AddressOptions = {}): Address4 {
    const parts = splitPrefix(text, 32);
    const address = parts && parse4(parts.address);
    if (!parts || address === null) return fail("EINVAL", "address " + text);
    return this.assign(nif, address, parts.length, options);
  }

  /** `addAddress` for those who have no text. */
  assign(nif: Interface, address: number, length: number, options: AddressOptions): Address4 {
    requireInteger(length, 1, 32, "prefix");
    const entry = new Address4(nif, address, length, options.origin || "manual");
    if (
      nif.removed ||
      address === 0 ||
      (isMartian4(address) && !isLoopback4(address)) ||
      isBroadcastOf(entry, address)
    ) {
      fail("EINVAL", "address " + format4(address));
    }
    for (let i = 0; i < this.addresses.length; i++) {
      if (this.addresses[i].address === address) fail("EEXIST", "address " + format4(address));
    }
    this.addresses.push(entry);
    if (options.route !== false && length < 32) {
      const prefix = address & entry.mask;
      const metric = options.metric || 0;
      if (!this.fib.add(new Route4(prefix, length, 0, nif, metric, "address", address))) {
        this.addresses.pop();
        fail("ENOBUFS", "routes");
      }
    }
    if (this.trial && nif.medium.resolves) {
      entry.state = TENTATIVE;
      this.trial.begin(entry);
    }
    this.addressChanged(entry, true);
    return entry;
  }

  /** Takes an address away: flows that use it end with `EADDRNOTAVAIL`. False: there is no such address. */
  removeAddress(nif: Interface, text: string): boolean {
    const parts = splitPrefix(text, 32);
    const address = parts && parse4(parts.address);
    for (let i = 0; i < this.addresses.length; i++) {
      const entry = this.addresses[i];
      if (entry.address === address && entry.nif === nif) {
        this.dropAddress(entry);
        return true;
      }
    }
    return false;
  }

  /** Removes `entry`, its network's route, and the flows that use it. */
  dropAddress(entry: Address4): void {
    const at = this.addresses.indexOf(entry);
    if (at < 0) return;
    this.addresses.splice(at, 1);
    this.fib.remove((r) => r.source === entry.address && r.nif === entry.nif);
    if (this.trial) this.trial.end(entry);
    this.addressChanged(entry, false);
    const transports = this.stack.transports;
    for (let i = 0; i < transports.length; i++) {
      const transport = transports[i];
      if (transport.addressRemoved) transport.addressRemoved(this);
    }
  }

  /** Tells everyone that `entry` has come, changed or gone. */
  addressChanged(entry: Address4, present: boolean): void {
    this.stack.changed();
    for (let i = 0; i < this.onAddressChange.length; i++) this.onAddressChange[i](entry, present);
  }

  /**
   * Adds a route: `addRoute("0.0.0.0/0", { gateway: "10.0.0.1" })`. Without `interface` the gateway must be on a directly
   * connected network. Errors: `EINVAL` text, `ENETUNREACH` gateway not reachable, `ENOBUFS` table full.
   */
  addRoute(prefix: string, options: RouteOptions): Route4 {
    const parts = splitPrefix(prefix, 32);
    const network = parts && parse4(parts.address);
    if (!parts || network === null || parts.length > 32) return fail("EINVAL", "prefix " + prefix);
    if (network & ~mask4(parts.length)) fail("EINVAL", "host bits " + prefix);
    let gateway: number | null = 0;
    let source: number | null = 0;
    if (options.gateway !== undefined) {
      gateway = parse4(options.gateway);
      if (gateway === null || isMartian4(gateway)) return fail("EINVAL", "gateway");
    }
    if (options.source !== undefined) {
      source = parse4(options.source);
      if (source === null || !this.isLocal(source)) return fail("EINVAL", "source");
    }
    let nif = options.interface || null;
    // By its network, not by a route: the interface may be down as yet.
    for (let i = 0; !nif && gateway && i < this.addresses.length; i++) {
      if (this.isOnLink(this.addresses[i].nif, gateway)) nif = this.addresses[i].nif;
    }
    if (!nif) return fail("ENETUNREACH", "gateway " + options.gateway);
    const entry = new Route4(
      network,
      parts.length,
      gateway,
      nif,
      requireInteger(options.metric || 0, 0, 0x7fffffff, "metric"),
      options.origin || "manual",
      source,
    );
    if (!this.fib.add(entry)) fail("ENOBUFS", "routes");
    this.stack.changed();
    return entry;
  }

  /** `addRoute` for those who have numbers and have checked them; `stack.changed()` is theirs to call. False: the table is full. */
  install(
    prefix: number,
    length: number,
    gateway: number,
    nif: Interface,
    metric: number,
    origin: string,
    source: number,
  ): boolean {
    return this.fib.add(new Route4(prefix, length, gateway, nif, metric, origin, source));
  }

  /** Removes routes to `prefix` (those by `gateway` alone, where given); returns how many. */
  removeRoute(prefix: string, gateway?: string): number {
    const parts = splitPrefix(prefix, 32);
    const network = parts && parse4(parts.address);
    const hop = gateway === undefined ? null : parse4(gateway);
    const removed = this.fib.remove(
      (r) =>
        parts !== null &&
        r.prefix === network &&
        r.length === parts.length &&
        (hop === null || r.gateway === hop),
      network,
      parts ? parts.length : 0,
    );
    this.stack.changed();
    return removed;
  }

  /* What the layers ask */

  /** Is `address` one of `nif`'s? `any`: tentative ones count as well. */
  hasAddress(nif: Interface, address: number, any: boolean): boolean {
    const list = this.addresses;
    for (let i = 0; i < list.length; i++) {
      if (list[i].address === address && list[i].nif === nif) return any || list[i].state !== TENTATIVE;
    }
    return false;
  }

  isTentative(nif: Interface, address: number): boolean {
    return this.hasAddress(nif, address, true) && !this.hasAddress(nif, address, false);
  }

  /** Is `address` this host's, on whichever interface? Tentative ones are not yet. */
  isLocal(address: number): boolean {
    const list = this.addresses;
    for (let i = 0; i < list.length; i++) {
      if (list[i].address === address) return list[i].state !== TENTATIVE;
    }
    return false;
  }

  /** Is `value` a broadcast address on `nif`: limited, or of one of its networks? */
  isBroadcast(nif: Interface, value: number): boolean {
    if (value === BROADCAST) return true;
    const list = this.addresses;
    for (let i = 0; i < list.length; i++) {
      if (list[i].nif === nif && isBroadcastOf(list[i], value)) return true;
    }
    return false;
  }

  /** Does `address` lie in a network of `nif`? */
  isOnLink(nif: Interface, address: number): boolean {
    const list = this.addresses;
    for (let i = 0; i < list.length; i++) {
      if (list[i].nif === nif && ((list[i].address ^ address) & list[i].mask) === 0) return true;
    }
    return false;
  }

  /** The source address for packets out of `nif` towards `hop`: of the same network, else the first; 0: none. */
  sourceFor(nif: Interface, hop: number): number {
    let best = 0;
    let rank = -1;
    const list = this.addresses;
    for (let i = 0; i < list.length; i++) {
      const entry = list[i];
      if (entry.nif !== nif || entry.state === TENTATIVE) continue;
      const value =
        (((entry.address ^ hop) & entry.mask) === 0 ? 2 : 0) + (entry.state === DEPRECATED ? 0 : 1);
      if (value > rank) {
        best = entry.address;
        rank = value;
      }
    }
    return best;
  }

  /** The first interface that is up and not the loopback: where broadcasts go without a better word. */
  firstInterface(): Interface | null {
    const list = this.stack.interfaces;
    for (let i = 0; i < list.length; i++) {
      if (list[i] !== this.loopback && list[i].up()) return list[i];
    }
    return null;
  }

  /** An identification for a datagram that may be fragmented; fragments.ts brings a better one. */
  nextId(_path: Path4, _protocol: number): number {
    return this.stack.host.random16();
  }

  /** A packet of ours (its IPv4 header at `packet.start`) could not be delivered on the link. */
  undeliverable(packet: Packet): void {
    if (this.forwarder && this.forwarder.undeliverable(packet)) return;
    if (this.icmp) this.icmp.deliverError(packet, EHOSTUNREACH, 0);
  }

  /* Network */

  createPath(): Path4 {
    return new Path4(this);
  }

  setLoopback(nif: Interface): void {
    this.addAddress(nif, "127.0.0.1/8", { origin: "loopback" });
  }

  setLocal(path: Path, text: string): number {
    const address = text === "" ? 0 : parse4(text);
    if (address === null) return EAFNOSUPPORT;
    if (address !== 0 && !this.isLocal(address) && !isLoopback4(address)) return EADDRNOTAVAIL;
    const own = path as Path4;
    own.local = own.source = address;
    own.generation = 0;
    return 0;
  }

  setRemote(path: Path, text: string): number {
    // Whoever connects again and again most often does so to the same host.
    const address = text === this.lastText ? this.lastAddress : parse4(text);
    if (address === null) return EAFNOSUPPORT;
    this.lastText = text;
    this.lastAddress = address;
    const own = path as Path4;
    own.remote = address;
    own.kind = isMulticast4(address) ? NET_MULTICAST : address === BROADCAST ? NET_BROADCAST : 0;
    own.generation = 0;
    return 0;
  }

  setReply(path: Path, packet: Packet): void {
    const own = path as Path4;
    own.local = own.source = packet.destination;
    own.remote = packet.source;
    own.generation = 0;
    own.kind = 0;
  }

  copyPath(target: Path, source: Path): void {
    const to = target as Path4;
    const from = source as Path4;
    to.local = from.local;
    to.source = from.source;
    to.remote = from.remote;
    to.bound = from.bound;
    to.ttl = from.ttl;
    to.tos = from.tos;
    to.kind = from.kind;
    to.generation = 0;
  }

  pin(path: Path): void {
    (path as Path4).local = (path as Path4).source;
  }

  localText(path: Path): string {
    return format4((path as Path4).source);
  }

  remoteText(path: Path): string {
    return format4((path as Path4).remote);
  }

  hasLocal(path: Path): boolean {
    const local = (path as Path4).local;
    return local === 0 || this.isLocal(local) || (isLoopback4(local) && this.loopback !== null);
  }

  sourceText(packet: Packet): string {
    return format4(packet.source);
  }

  destinationText(packet: Packet): string {
    return format4(packet.destination);
  }

  output(packet: Packet, path: Path, protocol: number): number {
    return output(this, packet, path, protocol);
  }

  route(path: Path): number {
    return (path as Path4).generation === this.stack.generation ? 0 : route(this, path as Path4);
  }

  fits(path: Path, length: number): boolean {
    return this.pathMtu !== null && length + IPV4_HEADER <= path.mtu;
  }

  confirm(path: Path): void {
    const neighbour = (path as Path4).neighbour;
    if (
      neighbour &&
      this.arp &&
      (path as Path4).generation === this.stack.generation &&
      neighbour.state > 2
    ) {
      this.arp.cache.confirm(neighbour);
    }
  }

  doubt(path: Path): void {
    const neighbour = (path as Path4).neighbour;
    if (neighbour && this.arp) this.arp.cache.doubt(neighbour);
  }

  saveEnds(packet: Packet, target: Uint8Array, at: number): void {
    put32(target, at, packet.source);
    put32(target, at + 4, packet.destination);
  }

  savePath(path: Path, target: Uint8Array, at: number): void {
    put32(target, at, (path as Path4).source);
    put32(target, at + 4, (path as Path4).remote);
  }

  addressText(bytes: Uint8Array, at: number): string {
    return format4(get32(bytes, at));
  }

  hashPacket(packet: Packet): void {
    const hash = hashOf(this.stack);
    hash.word(packet.source);
    hash.word(packet.destination);
  }

  hashPath(path: Path): void {
    const hash = hashOf(this.stack);
    hash.word((path as Path4).remote);
    hash.word((path as Path4).local);
  }

  matches(path: Path, packet: Packet): boolean {
    return (path as Path4).remote === packet.source && (path as Path4).local === packet.destination;
  }

  matchesLocal(path: Path, packet: Packet): boolean {
    const local = (path as Path4).local;
    return local === 0 || local === packet.destination;
  }

  matchesRemote(path: Path, packet: Packet): boolean {
    return (path as Path4).remote === packet.source;
  }

  sameLocal(a: Path, b: Path): boolean {
    const one = (a as Path4).local;
    const other = (b as Path4).local;
    return one === 0 || other === 0 || one === other;
  }

  swap(packet: Packet): void {
    const source = packet.source;
    packet.source = packet.destination;
    packet.destination = source;
  }

  portUnreachable(packet: Packet): void {
    if (this.icmp) this.icmp.portUnreachable(packet);
  }
}

/** The IPv4 component. Counters: `ip4`. */
export function ipv4(options: Ipv4Options = {}): Ipv4 {
  return new Ipv4(options);
}
