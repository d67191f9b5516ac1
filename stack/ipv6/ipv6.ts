/** IPv6 (RFC 8200, RFC 4291): the component. Addresses, groups, routes, and the network seam for the transports. */
import { get32, put32 } from "../core/bytes.js";
import { EADDRNOTAVAIL, EAFNOSUPPORT, EHOSTUNREACH, fail, requireInteger } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import { memberships } from "../core/membership.js";
import type { Forwarder, GroupFilter, Network, PacketHook, PacketPolicy, Path } from "../core/network.js";
import { NET_MULTICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, LinkProtocol, Stack } from "../core/stack.js";
import { format6, parse6 } from "../core/text6.js";
import { REACHABLE } from "../link/neighbour.js";
import { ROUTE6_BYTES, smallTable6 } from "../route/table6.js";
import type { Fib6, Route6 } from "../route/table6.js";
import { TYPE_IPV6 } from "../wire/ethernet.js";
import {
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_SOURCE,
  allNodes,
  commonPrefix,
  equal6,
  isLinkLocal6,
  isMapped6,
  isMulticast6,
  scopeOf,
} from "../wire/ipv6.js";
import { DEPRECATED, isUsable } from "./address.js";
import type { Address6 } from "./address.js";
import { addRoute, assign, drop, parsePrefix } from "./configure.js";
import type { AddressOptions6, RouteOptions6 } from "./configure.js";
import { ExtensionCounters } from "./extension.js";
import { changeGroup, findGroup, joinGroup, leaveGroup } from "./groups.js";
import type { Membership } from "./groups.js";
import type { AddressTrial6, FragmentHooks6, Icmpv6Hooks, MldHooks, PathMtuHooks6 } from "./hooks.js";
import { input } from "./input.js";
import type { NeighbourDiscovery } from "./nd.js";
import { acceptMapped } from "./mapped.js";
import { output } from "./output.js";
import { LOCAL, Path6, REMOTE, SOURCE, route } from "./path.js";

export type { AddressOptions6, RouteOptions6 } from "./configure.js";

export class Ipv6Counters {
  received = 0;
  delivered = 0;
  sent = 0;
  /** Version is not 6. */
  version = 0;
  /** Shorter than its header, or than it says. */
  badlen = 0;
  /** Source or destination that no packet from a wire may have. */
  martian = 0;
  /** Unicast in a broadcast or multicast frame. */
  linkBroadcast = 0;
  /** For another host, or for a group that is not joined. */
  notOurs = 0;
  /** For this host's address on another interface. */
  strongHost = 0;
  unknownProtocol = 0;
  /** Output without a route or a source address. */
  noRoute = 0;
  /** Output larger than the path takes. */
  tooBig = 0;
}

/** An address, and the interface that its text names. */
export interface Zoned {
  bytes: Uint8Array;
  zone: Interface | null;
}

export interface Ipv6Options {
  /** Hop limit of what is sent, where no router says otherwise. Default 64. */
  hopLimit?: number;
  /** The forwarding table. Default `smallTable6()`. */
  fib?: Fib6;
  /** Groups joined at most. Default 64. */
  groups?: number;
  /** Gives each interface a link-local address when it is added. Default true. */
  linkLocal?: boolean;
}

export class Ipv6 implements Component, LinkProtocol, Network {
  readonly name = "ip6";
  readonly family = 6;
  readonly headerSize = IPV6_HEADER;
  readonly maximumPayload = 65535;
  readonly addressSize = 16;
  readonly minimumMtu = 1280;
  readonly ethertype = TYPE_IPV6;
  readonly counters = new Ipv6Counters();
  readonly extensions = new ExtensionCounters();
  readonly addresses: Address6[] = [];
  readonly groups: Membership[] = [];
  fib: Fib6;
  readonly hopLimit: number;
  readonly groupLimit: number;
  stack: Stack = null as never;
  /** The loopback interface, or null; see link/loopback.ts. */
  loopback: Interface | null = null;
  nd: NeighbourDiscovery | null = null;
  icmp: Icmpv6Hooks | null = null;
  fragments: FragmentHooks6 | null = null;
  pathMtu: PathMtuHooks6 | null = null;
  mld: MldHooks | null = null;
  trial: AddressTrial6 | null = null;
  /** Gives a packet to a group (its transport header at `start`) back to this host's members; mld.ts brings it. True: to none else. */
  loop: ((packet: Packet, path: Path6, protocol: number) => boolean) | null = null;
  /** Takes what is for other hosts; null: this is no router. */
  forwarder: Forwarder | null = null;
  /** Sees every packet; null: nobody does. */
  hook: PacketHook | null = null;
  /** A packet to an address of ours that takes none (VRRP without `accept`): it is dropped and counted there. */
  refuses: ((packet: Packet) => boolean) | null = null;
  policy: PacketPolicy | null = null;
  /** The first hop that a router told for a destination (RFC 4861 section 8), 16 bytes, or null. */
  redirect: ((nif: Interface, data: Uint8Array, at: number) => Uint8Array | null) | null = null;
  /** Hop limit that a router advertised for an interface, or 0. */
  advertisedHopLimit: ((nif: Interface) => number) | null = null;
  /** MTU that a router advertised for an interface, or 0. */
  advertisedMtu: ((nif: Interface) => number) | null = null;
  /** Does a source address go with this router (RFC 8028)? Null: with any. */
  advertisedBy: ((entry: Address6, router: Uint8Array) => boolean) | null = null;
  /** While a way is looked for: its source address, and its first hop; or null. */
  source: Address6 | null = null;
  gateway: Uint8Array | null = null;
  /** Makes the identifier (8 bytes) of an interface's address under a prefix; slaac.ts brings opaque ones (RFC 7217). */
  identifier: ((nif: Interface, prefix: Uint8Array, tries: number) => Uint8Array | null) | null = null;
  /** Chooses a source address (RFC 6724); select.ts brings the whole of its rules. */
  chooseSource: ((nif: Interface, data: Uint8Array, at: number) => Address6 | null) | null = null;
  readonly taps: ((packet: Packet) => boolean)[] = [];
  /** Called when an address has been added, has changed state, or has gone. */
  readonly onAddressChange: ((address: Address6, present: boolean) => void)[] = [];
  /** Routes whose gateway has been found not to answer are second choice (RFC 4861 section 6.3.6). */
  readonly avoidRoute = (entry: Route6): boolean =>
    entry.gateway !== null &&
    ((this.nd !== null && this.nd.isUnreachable(entry.nif, entry.gateway)) ||
      (this.source !== null &&
        entry.length === 0 &&
        this.advertisedBy !== null &&
        !this.advertisedBy(this.source, entry.gateway)));

  /** Paths that were made, wrapping. */
  private flows = 0;

  constructor(private readonly options: Ipv6Options) {
    this.hopLimit = requireInteger(options.hopLimit || 64, 1, 255, "hopLimit");
    this.groupLimit = options.groups || 64;
    this.fib = options.fib || (null as never);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ipv6");
    this.stack = stack;
    const fib = this.fib;
    const routes = stack.reserve(fib ? fib.limit || 0 : -1, 64, 4, ROUTE6_BYTES);
    if (!fib) this.fib = smallTable6(routes);
    stack.networks.push(this);
    stack.linkProtocols.push(this);
    stack.memberships = memberships;
    stack.counters.ip6 = this.counters as never;
    stack.counters.ext = this.extensions as never;
  }

  start(): void {
    const four = this.stack.network(4);
    if (four) acceptMapped(four);
  }

  interfaceAdded(nif: Interface): void {
    joinGroup(this, nif, allNodes(), null);
    if (this.options.linkLocal !== false && nif.medium.resolves) this.addLinkLocal(nif, 0);
  }

  /** Gives `nif` a link-local address; `tries`: how many were found to be somebody else's. Null: there is no entropy. */
  addLinkLocal(nif: Interface, tries: number): Address6 | null {
    const bytes = new Uint8Array(16);
    bytes[0] = 0xfe;
    bytes[1] = 0x80;
    const identifier = this.identifier ? this.identifier(nif, bytes, tries) : hardwareIdentifier(nif);
    if (!identifier) return null;
    bytes.set(identifier, 8);
    return assign(this, nif, bytes, 64, { origin: "link-local" });
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.addresses.length - 1; i >= 0; i--) {
      if (this.addresses[i].nif === nif) this.dropAddress(this.addresses[i]);
    }
    for (let i = this.groups.length - 1; i >= 0; i--) {
      if (this.groups[i].nif === nif) this.groups.splice(i, 1);
    }
    this.fib.remove((entry) => entry.nif === nif);
    if (this.loopback === nif) this.loopback = null;
  }

  setLoopback(nif: Interface): void {
    const bytes = new Uint8Array(16);
    bytes[15] = 1;
    assign(this, nif, bytes, 128, { origin: "loopback", route: false });
  }

  input(packet: Packet): void {
    input(this, packet);
  }

  /* Configuration */

  /**
   * Gives an interface an address: `addAddress(eth0, "2001:db8::2/64")`. With duplicate address detection in the stack it is
   * tentative at first. Errors: `EINVAL` no unicast address or prefix, `EEXIST` the interface has it already.
   */
  addAddress(nif: Interface, text: string, options: AddressOptions6 = {}): Address6 {
    const prefix = parsePrefix(text);
    return prefix
      ? assign(this, nif, prefix.bytes, prefix.length, options)
      : fail("EINVAL", "address " + text);
  }

  /** Takes an address away: flows that use it end with `EADDRNOTAVAIL`. False: there is no such address. */
  removeAddress(nif: Interface, text: string): boolean {
    const prefix = parsePrefix(text);
    const entry = prefix && this.entryOf(prefix.bytes, 0, nif);
    if (entry) this.dropAddress(entry);
    return entry !== null;
  }

  /** Removes `entry`, its network's route unless another address needs it, and the flows that use it. */
  dropAddress(entry: Address6): void {
    drop(this, entry);
  }

  /** Tells everyone that `entry` has come, changed or gone. */
  addressChanged(entry: Address6, present: boolean): void {
    this.stack.changed();
    for (let i = 0; i < this.onAddressChange.length; i++) this.onAddressChange[i](entry, present);
  }

  /**
   * Adds a route: `addRoute("::/0", { gateway: "fe80::1%eth0" })`. Errors: `EINVAL` text, `ENETUNREACH` gateway not on a
   * connected network, `ENOBUFS` table full.
   */
  addRoute(prefix: string, options: RouteOptions6): Route6 {
    return addRoute(this, prefix, options);
  }

  /** Removes routes to `prefix` (those by `gateway` alone, where given); returns how many. */
  removeRoute(prefix: string, gateway?: string): number {
    const parts = parsePrefix(prefix);
    const hop = gateway === undefined ? null : this.parseZoned(gateway);
    const removed = this.fib.remove(
      (r) =>
        parts !== null &&
        r.length === parts.length &&
        equal6(r.prefix, 0, parts.bytes, 0) &&
        (!hop || (r.gateway !== null && equal6(r.gateway, 0, hop.bytes, 0))),
      parts && parts.bytes,
      parts ? parts.length : 0,
    );
    this.stack.changed();
    return removed;
  }

  /* What the layers ask */

  /** The entry of an address on `nif` (any interface: null), whatever its state; or null. */
  entryOf(data: Uint8Array, at: number, nif: Interface | null): Address6 | null {
    const list = this.addresses;
    for (let i = 0; i < list.length; i++) {
      if (equal6(list[i].bytes, 0, data, at) && (!nif || list[i].nif === nif)) return list[i];
    }
    return null;
  }

  /** The entry of a usable address on `nif` (any interface: null), or null. */
  findAddress(data: Uint8Array, at: number, nif: Interface | null): Address6 | null {
    const entry = this.entryOf(data, at, nif);
    return entry && isUsable(entry) ? entry : null;
  }

  /** The first interface that is up and not the loopback: the zone of what names none. */
  defaultInterface(): Interface | null {
    const list = this.stack.interfaces;
    for (let i = 0; i < list.length; i++) {
      if (list[i] !== this.loopback && list[i].up()) return list[i];
    }
    return null;
  }

  /** Does `address` lie in a network of `nif`, or is it link-local? */
  isOnLink(nif: Interface, data: Uint8Array, at: number): boolean {
    if (isLinkLocal6(data, at)) return true;
    const entry = this.fib.lookup(data, at, nif, null);
    return entry !== null && entry.gateway === null;
  }

  /**
   * A source address for packets out of `nif` to a destination; null: none. Scope, then state, then the first hop's, then
   * temporary ones, then longest match.
   */
  selectSource(nif: Interface, data: Uint8Array, at: number): Address6 | null {
    if (this.chooseSource) return this.chooseSource(nif, data, at);
    const wanted = scopeOf(data, at);
    let best: Address6 | null = null;
    let rank = -1;
    const list = this.addresses;
    for (let i = 0; i < list.length; i++) {
      const entry = list[i];
      if (entry.nif !== nif || !isUsable(entry)) continue;
      const scope = scopeOf(entry.bytes, 0);
      const value =
        (scope === wanted ? 4096 : scope > wanted ? 2048 : 0) +
        (entry.state === DEPRECATED ? 0 : 1024) +
        (this.suits(entry) ? 512 : 0) +
        (entry.temporary ? 256 : 0) +
        commonPrefix(entry.bytes, 0, data, at);
      if (value > rank) {
        best = entry;
        rank = value;
      }
    }
    return best;
  }

  /** Goes the address with the first hop that has been chosen (RFC 6724 rule 5.5)? */
  suits(entry: Address6): boolean {
    return !this.gateway || !this.advertisedBy || this.advertisedBy(entry, this.gateway);
  }

  hopLimitOf(nif: Interface): number {
    return (this.advertisedHopLimit && this.advertisedHopLimit(nif)) || this.hopLimit;
  }

  /** A flow label that nobody can guess, another for each flow, the same as long as it lasts (RFC 6437 section 3). */
  flowLabel(path: Path6): number {
    const hash = hashOf(this.stack);
    hash.begin(1);
    hash.word(path.flow);
    for (let i = 0; i < 32; i += 4) hash.word(get32(path.ends, i));
    return hash.end() & 0xfffff;
  }

  /** Sends "parameter problem" about `packet`, `pointer` bytes behind its IPv6 header. */
  parameterProblem(packet: Packet, code: number, pointer: number): void {
    if (this.icmp) this.icmp.sendError(packet, 4, code, pointer);
  }

  /** A packet of ours (its IPv6 header at `packet.start`) could not be delivered on the link. */
  undeliverable(packet: Packet): void {
    if (this.forwarder && this.forwarder.undeliverable(packet)) return;
    if (this.icmp) this.icmp.deliverError(packet, EHOSTUNREACH, 0);
  }

  /** Has this host joined the group at `data[at..]` on `nif`, for what `packet`'s source sends? */
  hasGroup(nif: Interface, data: Uint8Array, at: number, packet: Packet): boolean {
    const entry = this.membership(nif, data, at);
    return entry !== null && (!this.mld || this.mld.accepts(entry, packet));
  }

  /** The membership of a group on `nif`, or null. */
  membership(nif: Interface, data: Uint8Array, at: number): Membership | null {
    return findGroup(this, nif, data, at);
  }

  /** Splits `fe80::1%eth0`; a zone is an interface's name or index. Null: no address, or no such zone. */
  parseZoned(text: string): Zoned | null {
    const percent = typeof text === "string" ? text.indexOf("%") : -1;
    const bytes = parse6(percent < 0 ? text : text.substring(0, percent));
    if (!bytes) return null;
    if (percent < 0) return { bytes, zone: null };
    const name = text.substring(percent + 1);
    const list = this.stack.interfaces;
    for (let i = 0; i < list.length; i++) {
      if (list[i].name === name || "" + list[i].index === name) return { bytes, zone: list[i] };
    }
    return null;
  }

  /* Network */

  createPath(): Path6 {
    this.flows = (this.flows + 1) | 0;
    return new Path6(this, this.flows);
  }

  setLocal(path: Path, text: string): number {
    const own = path as Path6;
    own.generation = 0;
    own.fixed = text !== "" && text !== "::";
    if (!own.fixed) {
      for (let i = 0; i < 16; i++) own.ends[LOCAL + i] = own.ends[SOURCE + i] = 0;
      return 0;
    }
    const zoned = this.parseZoned(text);
    if (!zoned) return EAFNOSUPPORT;
    if (!this.findAddress(zoned.bytes, 0, zoned.zone)) return EADDRNOTAVAIL;
    own.ends.set(zoned.bytes, LOCAL);
    own.ends.set(zoned.bytes, SOURCE);
    if (zoned.zone) own.bound = zoned.zone;
    return 0;
  }

  setRemote(path: Path, text: string): number {
    const zoned = this.parseZoned(text);
    if (!zoned || isMapped6(zoned.bytes, 0)) return EAFNOSUPPORT;
    const own = path as Path6;
    own.ends.set(zoned.bytes, REMOTE);
    own.zone = zoned.zone;
    own.kind = isMulticast6(zoned.bytes, 0) ? NET_MULTICAST : 0;
    own.generation = 0;
    return 0;
  }

  setReply(path: Path, packet: Packet): void {
    const own = path as Path6;
    const at = packet.network;
    for (let i = 0; i < 16; i++) {
      own.ends[REMOTE + i] = packet.data[at + IPV6_SOURCE + i];
      own.ends[LOCAL + i] = own.ends[SOURCE + i] = packet.data[at + IPV6_DESTINATION + i];
    }
    own.fixed = true;
    own.zone = isLinkLocal6(own.ends, REMOTE) ? packet.nif : null;
    own.kind = 0;
    own.generation = 0;
  }

  copyPath(target: Path, source: Path): void {
    const to = target as Path6;
    const from = source as Path6;
    to.ends.set(from.ends);
    to.fixed = from.fixed;
    to.zone = from.zone;
    to.bound = from.bound;
    to.ttl = from.ttl;
    to.tos = from.tos;
    to.kind = from.kind;
    to.generation = 0;
  }

  pin(path: Path): void {
    const own = path as Path6;
    own.ends.set(own.ends.subarray(SOURCE, SOURCE + 16), LOCAL);
    own.fixed = true;
  }

  localText(path: Path): string {
    return this.addressText((path as Path6).ends, SOURCE, path.nif || path.bound);
  }

  remoteText(path: Path): string {
    return this.addressText((path as Path6).ends, REMOTE, (path as Path6).zone || path.nif || path.bound);
  }

  hasLocal(path: Path): boolean {
    const own = path as Path6;
    return !own.fixed || this.findAddress(own.ends, LOCAL, null) !== null;
  }

  sourceText(packet: Packet): string {
    return this.addressText(packet.data, packet.network + IPV6_SOURCE, packet.nif);
  }

  destinationText(packet: Packet): string {
    return this.addressText(packet.data, packet.network + IPV6_DESTINATION, null);
  }

  addressText(bytes: Uint8Array, at: number, nif: Interface | null): string {
    const text = format6(bytes, at);
    return nif && isLinkLocal6(bytes, at) ? text + "%" + nif.name : text;
  }

  saveEnds(packet: Packet, target: Uint8Array, at: number): void {
    for (let i = 0; i < 32; i++) target[at + i] = packet.data[packet.network + IPV6_SOURCE + i];
  }

  savePath(path: Path, target: Uint8Array, at: number): void {
    for (let i = 0; i < 32; i++) target[at + i] = (path as Path6).ends[i];
  }

  route(path: Path): number {
    return (path as Path6).generation === this.stack.generation ? 0 : route(this, path as Path6);
  }

  output(packet: Packet, path: Path, protocol: number): number {
    return output(this, packet, path as Path6, protocol);
  }

  /** Routers never fragment IPv6: what fits the path goes in one packet. */
  fits(path: Path, length: number): boolean {
    return length + IPV6_HEADER <= path.mtu;
  }

  confirm(path: Path): void {
    const own = path as Path6;
    const neighbour = own.neighbour;
    if (neighbour && this.nd && own.generation === this.stack.generation && neighbour.state >= REACHABLE) {
      this.nd.cache.confirm(neighbour);
    }
  }

  doubt(path: Path): void {
    const neighbour = (path as Path6).neighbour;
    if (neighbour && this.nd) this.nd.cache.doubt(neighbour);
  }

  hashPacket(packet: Packet): void {
    const at = packet.network + IPV6_SOURCE;
    const hash = hashOf(this.stack);
    for (let i = 0; i < 32; i += 4) hash.word(get32(packet.data, at + i));
  }

  hashPath(path: Path): void {
    const ends = (path as Path6).ends;
    const hash = hashOf(this.stack);
    for (let i = 0; i < 32; i += 4) hash.word(get32(ends, REMOTE + i));
  }

  matches(path: Path, packet: Packet): boolean {
    const ends = (path as Path6).ends;
    const at = packet.network + IPV6_SOURCE;
    // The remote and the local end stand in the order of the header of what comes in.
    for (let i = 31; i >= 0; i--) {
      if (ends[REMOTE + i] !== packet.data[at + i]) return false;
    }
    const zone = (path as Path6).zone;
    return !zone || zone === packet.nif;
  }

  matchesLocal(path: Path, packet: Packet): boolean {
    const own = path as Path6;
    return !own.fixed || equal6(own.ends, LOCAL, packet.data, packet.network + IPV6_DESTINATION);
  }

  matchesRemote(path: Path, packet: Packet): boolean {
    const own = path as Path6;
    return (
      equal6(own.ends, REMOTE, packet.data, packet.network + IPV6_SOURCE) &&
      (!own.zone || own.zone === packet.nif)
    );
  }

  sameLocal(a: Path, b: Path): boolean {
    const one = a as Path6;
    const other = b as Path6;
    return !one.fixed || !other.fixed || equal6(one.ends, LOCAL, other.ends, LOCAL);
  }

  swap(packet: Packet): void {
    const data = packet.data;
    const at = packet.network + IPV6_SOURCE;
    for (let i = 0; i < 16; i++) {
      const byte = data[at + i];
      data[at + i] = data[at + 16 + i];
      data[at + 16 + i] = byte;
    }
  }

  portUnreachable(packet: Packet): void {
    if (this.icmp) this.icmp.sendError(packet, 1, 4, 0);
  }

  join(group: string, nif: Interface | null, sources: GroupFilter | null): number {
    return changeGroup(this, group, nif, sources, joinGroup);
  }

  leave(group: string, nif: Interface | null, sources: GroupFilter | null): number {
    return changeGroup(this, group, nif, sources, leaveGroup);
  }
}

/** The modified EUI-64 identifier of an Ethernet interface (RFC 2464 section 4). slaac.ts makes opaque ones. */
function hardwareIdentifier(nif: Interface): Uint8Array {
  const bytes = new Uint8Array(8);
  put32(bytes, 0, ((nif.high ^ 0x200) << 16) | ((nif.low >>> 16) & 0xff00) | 0xff);
  put32(bytes, 4, 0xfe000000 | (nif.low & 0xffffff));
  return bytes;
}

/** The IPv6 component. Counters: `ip6`, `ext`. */
export function ipv6(options: Ipv6Options = {}): Ipv6 {
  return new Ipv6(options);
}
