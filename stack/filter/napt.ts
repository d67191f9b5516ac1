/**
 * Network address and port translation of IPv4 (RFC 4787, RFC 5382, RFC 5508): many hosts behind one address.
 *
 * Mappings are endpoint-independent: a host's port has one outer port, whomever it talks to, of random choice (RFC 6056). What comes
 * in must belong to a flow (address- and port-dependent filtering), or to a port that is forwarded. Hairpins work: hosts inside reach
 * each other by the outer address. Nothing looks into payload: there are no application level gateways.
 */
import { get32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import { PROTECTED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { NO_MAPPING, NO_OUTER, NOT_THAT_PORT } from "../core/port-mapper.js";
import type { PortMapper } from "../core/port-mapper.js";
import type { Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { DEPRECATED, PREFERRED } from "../ipv4/address.js";
import type { Address4 } from "../ipv4/address.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import { ICMP_HEADER } from "../wire/icmp.js";
import { IPV4_DESTINATION, IPV4_SOURCE, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.js";
import { Bindings } from "./bindings.js";
import type { Firewall } from "./firewall.js";
import { ORIGINAL } from "./flows.js";
import { parseProtocol, parseRanges } from "./rules.js";
import type { Ports } from "./rules.js";
import { rewrite, rewriteQuote, sealIcmp } from "./translate.js";
import { DESTINATION, ERROR, FLOW, KEY_WORDS, PORTS, PROTOCOL, SOURCE } from "./tuple.js";
import { NO_BINDING, NO_PORT } from "./translation.js";
import type { Translation } from "./translation.js";
import type { Tuple } from "./tuple.js";
import type { Way } from "./way.js";

/** A port, or ports, of the outer address that lead to a host inside. */
export interface PortForward {
  protocol: "tcp" | "udp";
  port: Ports;
  /** The host inside. */
  to: string;
  /** Its port, or the first of its ports. Default: the same. */
  toPort?: number;
}

export interface NaptOptions {
  /** Zone whose interfaces have the outer addresses. Default `"wan"`. */
  outside?: string;
  /**
   * Outer ports that are given out. Default 16384 to 49151: below the ports that sockets of this host take by themselves. Listeners of
   * this host should be outside of it.
   */
  ports?: { readonly first: number; readonly last: number };
  /** Outer ports that hosts may ask for by name (PCP, UPnP); listeners of this host are hidden by them. Default: `ports`. */
  askable?: { readonly first: number; readonly last: number };
  forward?: readonly PortForward[];
}

/** A forwarded range, compiled. */
export class Forwarded {
  constructor(
    readonly protocol: number,
    readonly first: number,
    readonly last: number,
    readonly to: number,
    readonly toPort: number,
  ) {}
}

/** Random ports that are tried, and then the neighbours of the last, before the ports are said to be exhausted. */
const TRIES = 32;
const NEIGHBOURS = 256;

/** What `firewall({ nat: napt({ ... }) })` takes. */
export class Napt implements Translation, PortMapper {
  readonly outside: string;
  bindings: Bindings = null as never;
  /** New ends for which no outer port was free. */
  exhausted = 0;
  private forwards: Forwarded[];
  private readonly first: number;
  private readonly count: number;
  private readonly askableFirst: number;
  private readonly askableLast: number;
  private wall: Firewall = null as never;
  private ip: Ipv4 = null as never;

  constructor(options: NaptOptions) {
    this.outside = options.outside || "wan";
    const ports = options.ports || { first: 16384, last: 49151 };
    this.first = requireInteger(ports.first, 1, 65535, "ports");
    this.count = requireInteger(ports.last, this.first, 65535, "ports") - this.first + 1;
    const askable = options.askable || ports;
    this.askableFirst = requireInteger(askable.first, 1, 65535, "askable");
    this.askableLast = requireInteger(askable.last, this.askableFirst, 65535, "askable");
    this.forwards = compileForwards(options.forward || []);
  }

  start(wall: Firewall, stack: Stack): void {
    this.wall = wall;
    this.ip = stack.network(4) as Ipv4;
    if (!this.ip) fail("ENOPROTOOPT", "napt needs ipv4");
    this.bindings = new Bindings(wall.flows.capacity, hashOf(stack));
    this.ip.onAddressChange.push((entry, present) => {
      if (!present) this.addressGone(entry);
    });
  }

  /** Puts other forwarded ports in the place of those in force. */
  load(forward: readonly PortForward[]): void {
    this.forwards = compileForwards(forward);
  }

  outer(): number {
    const list = this.ip.addresses;
    for (let i = 0; i < list.length; i++) {
      const nif = list[i].nif;
      const entry = this.leaves(nif) && nif.up() ? outerAddress(list, nif) : null;
      if (entry) return entry.address;
    }
    return 0;
  }

  map(protocol: number, address: number, port: number, wanted: number, exact: boolean): number {
    const outer = this.outer();
    if (outer === 0) return NO_OUTER;
    const bindings = this.bindings;
    let row = bindings.findInner(protocol, address, port, outer);
    if (row < 0) {
      const inRange = wanted >= this.askableFirst && wanted <= this.askableLast;
      const free =
        inRange && bindings.findOuter(protocol, outer, wanted) < 0 && !this.forwarded(protocol, wanted);
      if (!free && exact) return NOT_THAT_PORT;
      row = free
        ? bindings.add(protocol, address, port, outer, wanted)
        : this.bind(protocol, address, port, outer);
      if (row < 0) return NO_MAPPING;
    } else if (exact && bindings.outerPort(row) !== wanted) return NOT_THAT_PORT;
    bindings.open(row);
    return row;
  }

  mappedPort(row: number): number {
    return this.bindings.outerPort(row);
  }

  unmap(row: number): void {
    this.bindings.shut(row);
  }

  release(row: number): void {
    this.bindings.release(row);
  }

  leaves(out: Interface): boolean {
    return this.wall.zone(out) === this.outside;
  }

  enter(way: Way, packet: Packet): void {
    const key = way.tuple.key;
    const protocol = key[PROTOCOL] & 255;
    if ((protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) || !this.isOuter(key[DESTINATION])) return;
    const port = key[PORTS] & 0xffff;
    const forward = this.forwarded(protocol, port);
    if (forward) {
      way.target = forward.to;
      way.targetPort = forward.toPort + port - forward.first;
    } else {
      // A mapping that a host has asked for, or a hairpin to a port that another host inside has.
      const row = this.bindings.findOuter(protocol, key[DESTINATION], port);
      if (row < 0 || (this.leaves(packet.nif as Interface) && !this.bindings.isOpen(row))) return;
      way.target = this.bindings.innerAddress(row);
      way.targetPort = this.bindings.innerPort(row);
    }
    way.forwarded = true;
    rewrite(packet, way.tuple.at, IPV4_DESTINATION, way.target, way.targetPort);
  }

  begin(way: Way, packet: Packet, out: Interface, reply: Int32Array): number {
    const key = way.tuple.key;
    const protocol = key[PROTOCOL] & 255;
    if (way.forwarded) {
      reply[SOURCE] = way.target;
      reply[PORTS] = (way.targetPort << 16) | (reply[PORTS] & 0xffff);
    }
    if (packet.flags & PROTECTED) return NO_BINDING;
    const outside = this.leaves(out);
    const hairpin = way.forwarded && !this.leaves(packet.nif as Interface);
    if (!outside && !hairpin) return NO_BINDING;
    const found = outside ? outerAddress(this.ip.addresses, out) : null;
    const outer = hairpin ? key[DESTINATION] : found ? found.address : 0;
    if (outer === 0) return NO_PORT;
    reply[DESTINATION] = outer;
    // Of other protocols an outer address serves one host a peer.
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP && protocol !== PROTOCOL_ICMP)
      return NO_BINDING;
    const row = this.bind(protocol, key[SOURCE], key[PORTS] >>> 16, outer);
    if (row < 0) return NO_PORT;
    this.bindings.use(row);
    const port = this.bindings.outerPort(row);
    const ports = reply[PORTS];
    reply[PORTS] = protocol === PROTOCOL_ICMP ? (port << 16) | (ports & 0xffff) : (ports & -65536) | port;
    return row;
  }

  turnDestination(way: Way, packet: Packet): void {
    const keys = this.wall.flows.keys;
    const key = way.entry * KEY_WORDS;
    const other = (way.entry ^ 1) * KEY_WORDS;
    const address = keys[other + SOURCE];
    const port = keys[other + PORTS] >>> 16;
    const query = (keys[key + PROTOCOL] & 255) === PROTOCOL_ICMP;
    const own = query ? keys[key + PORTS] >>> 16 : keys[key + PORTS] & 0xffff;
    // The identifier of a query goes with its source.
    const to = query && (way.entry & 1) === ORIGINAL ? own : port;
    if (address === packet.destination && to === own) return;
    rewrite(packet, way.transportAt(packet), IPV4_DESTINATION, address, to);
  }

  turnSource(way: Way, packet: Packet): void {
    const keys = this.wall.flows.keys;
    const key = way.entry * KEY_WORDS;
    const other = (way.entry ^ 1) * KEY_WORDS;
    const address = keys[other + DESTINATION];
    const query = (keys[key + PROTOCOL] & 255) === PROTOCOL_ICMP;
    const own = keys[key + PORTS] >>> 16;
    const reply = query && (way.entry & 1) !== ORIGINAL;
    const port = reply ? own : query ? keys[other + PORTS] >>> 16 : keys[other + PORTS] & 0xffff;
    if (way.kind === ERROR) {
      // Its source may be any host on the way: inside of us none is shown.
      if (address !== keys[key + SOURCE]) rewrite(packet, -1, IPV4_SOURCE, address, 0);
    } else if (address !== packet.source || port !== own) {
      rewrite(packet, way.transportAt(packet), IPV4_SOURCE, address, port);
    }
  }

  turnQuote(way: Way, packet: Packet, error: number, inner: Tuple): void {
    this.seal(packet, error, inner.at, this.wall.flows.keys, (way.entry ^ 1) * KEY_WORDS);
  }

  restoreQuote(way: Way, packet: Packet, error: Tuple): void {
    const at = error.at;
    const key = way.tuple.key;
    if (way.kind !== FLOW || (way.entry < 0 && !way.forwarded)) return;
    // Is the error about the packet that is on its way?
    if (get32(packet.data, at + ICMP_HEADER + IPV4_SOURCE) !== key[SOURCE]) return;
    if (error.parseQuote(packet.data, at + ICMP_HEADER, packet.end) === FLOW)
      this.seal(packet, at, error.at, key, 0);
  }

  /** Gives what the error at `at` quotes the ends of `key[from..]`. */
  private seal(packet: Packet, at: number, inner: number, key: Int32Array, from: number): void {
    const ports = key[from + PORTS];
    const source = key[from + SOURCE];
    const destination = key[from + DESTINATION];
    rewriteQuote(packet, at + ICMP_HEADER, inner, source, ports >>> 16, destination, ports & 0xffff);
    sealIcmp(packet, at, this.wall.sum());
  }

  /** The forwarded range that a port of an outer address is in, or null. */
  private forwarded(protocol: number, port: number): Forwarded | null {
    for (let i = 0; i < this.forwards.length; i++) {
      const forward = this.forwards[i];
      if (forward.protocol === protocol && port >= forward.first && port <= forward.last) return forward;
    }
    return null;
  }

  /** The binding for an inner end, new if it must be; -1: no port, or no room. A new one has no user yet. */
  private bind(protocol: number, address: number, port: number, outer: number): number {
    const bindings = this.bindings;
    const row = bindings.findInner(protocol, address, port, outer);
    if (row >= 0) return row;
    const host = this.ip.stack.host;
    // RFC 4787 REQ-3 and REQ-4 are optional here: neither the port nor its parity is kept, both would tell of the inside.
    let candidate = 0;
    for (let i = 0; i < TRIES + NEIGHBOURS; i++) {
      // A port that could be guessed is none.
      if (i < TRIES && !host.secure(4)) break;
      candidate = i < TRIES ? host.randomBelow(this.count) : (candidate + 1) % this.count;
      const free = this.first + candidate;
      if (bindings.findOuter(protocol, outer, free) >= 0 || this.forwarded(protocol, free)) continue;
      const added = bindings.add(protocol, address, port, outer, free);
      if (added < 0) this.exhausted++;
      return added;
    }
    this.exhausted++;
    return -1;
  }

  private isOuter(address: number): boolean {
    const list = this.ip.addresses;
    for (let i = 0; i < list.length; i++) {
      if (list[i].address === address && this.leaves(list[i].nif)) return true;
    }
    return false;
  }

  /** Flows with an outer address that we have no longer are dead. */
  private addressGone(entry: Address4): void {
    const flows = this.wall.flows;
    flows.each((flow) => {
      const key = flow * 2 * KEY_WORDS;
      const keys = flows.keys;
      if (keys[key + PROTOCOL] >> 16 !== 4) return;
      const outer = keys[key + KEY_WORDS + DESTINATION] === entry.address;
      if (outer || keys[key + DESTINATION] === entry.address) flows.remove(flow);
    });
  }
}

/** The outer address of an interface, or null: it has none. */
export function outerAddress(addresses: readonly Address4[], nif: Interface): Address4 | null {
  let found: Address4 | null = null;
  for (let i = 0; i < addresses.length; i++) {
    const entry = addresses[i];
    if (entry.nif !== nif) continue;
    if (entry.state === PREFERRED) return entry;
    if (entry.state === DEPRECATED && !found) found = entry;
  }
  return found;
}

export function compileForwards(list: readonly PortForward[]): Forwarded[] {
  const forwards: Forwarded[] = [];
  for (let i = 0; i < list.length; i++) {
    const what = "forward " + i;
    const item = list[i];
    const protocol = parseProtocol(item.protocol, what);
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) fail("EINVAL", what + ": protocol");
    const to = parse4(item.to);
    if (to === null) fail("EINVAL", what + ": to");
    const range = parseRanges(item.port, what + ": port", 65535);
    if (range.length !== 2 || range[0] === 0) fail("EINVAL", what + ": port");
    const most = 65535 - (range[1] - range[0]);
    const toPort =
      item.toPort === undefined ? range[0] : requireInteger(item.toPort, 1, most, what + ": toPort");
    for (let j = 0; j < forwards.length; j++) {
      const other = forwards[j];
      if (other.protocol === protocol && range[0] <= other.last && range[1] >= other.first) {
        fail("EADDRINUSE", what + ": port");
      }
    }
    forwards.push(new Forwarded(protocol, range[0], range[1], to as number, toPort));
  }
  return forwards;
}

/** Translates addresses and ports of IPv4, for `firewall`. Throws `EINVAL`, or `EADDRINUSE` for ranges that overlap. */
export function napt(options: NaptOptions = {}): Napt {
  return new Napt(options);
}
