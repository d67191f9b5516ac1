/**
 * Neighbour discovery (RFC 4861 sections 7.1, 7.2): solicitations and advertisements, over the cache of link/neighbour.ts; with
 * the patience of RFC 7048 for neighbours that do not answer.
 * Routers are router-discovery's (slaac.ts), duplicate addresses dad.ts's business.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { Packet, REASSEMBLED } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { HEADROOM } from "../core/stack.js";
import { FREE, INCOMPLETE, NeighbourCache, PROBE, REACHABLE, STALE, UNREACHABLE } from "../link/neighbour.js";
import type { Neighbour, NeighbourCounters, Resolver, Times } from "../link/neighbour.js";
import * as wire from "../wire/icmpv6.js";
import {
  IPV6_DESTINATION,
  IPV6_SOURCE,
  allNodes,
  isMulticast6,
  isUnspecified6,
  solicitedNode,
} from "../wire/ipv6.js";
import type { Address6 } from "./address.js";
import { TENTATIVE } from "./address.js";
import { Icmpv6 } from "./icmpv6.js";
import type { MessageHandler } from "./icmpv6.js";
import type { Ipv6 } from "./ipv6.js";
import { REMOTE, SOURCE } from "./path.js";
import type { Path6 } from "./path.js";

export class NdCounters implements NeighbourCounters {
  /** Hop limit, code, length, target or source are not as they must be. */
  invalid = 0;
  /** Options that run past the end, or have length 0. */
  badopt = 0;
  /** Came in fragments (RFC 6980). */
  fragmented = 0;
  /** For a target that is not ours, or from a neighbour that nobody asked. */
  unsolicited = 0;
  /** Another hardware address for a reachable neighbour, or our own address claimed. */
  conflict = 0;
  solicitationsSent = 0;
  /** Questions to all that were not asked because of the rate limit (RFC 6583 section 6.3). */
  limited = 0;
  advertisementsSent = 0;
  evicted = 0;
  refused = 0;
  failed = 0;
  pendingDropped = 0;
}

/** What takes part in duplicate address detection; see dad.ts. */
export interface DuplicateDetector {
  /** A solicitation for our tentative address: somebody else tries it as well. `nonce` offset in `packet.data`, or -1. */
  solicited(entry: Address6, packet: Packet, nonce: number): void;
  /** Somebody advertises our address (tentative or not) as its own. */
  advertised(entry: Address6, packet: Packet): void;
}

export interface NdOptions {
  /** Entries of the cache, and questions to all a second. Default 64. */
  limit?: number;
}

/** The wait between questions to all grows by this factor up to that many ms, and ends with so many (RFC 7048 section 3). */
const BACKOFF_MULTIPLE = 3;
const MAX_RETRANS_TIMER = 60000;
const MAX_MULTICAST_SOLICIT = 5;
/** A reachable time is chosen anew this often, ms (RFC 4861 section 6.3.4: "every few hours"). */
const REACHABLE_AGE = 7200000;

/** What holds on one interface. */
class LinkTimes implements Times {
  reachableTime = 0;
  chosenAt = 0;

  constructor(
    readonly nif: Interface,
    /** BaseReachableTime. */
    public base: number,
    public retransTimer: number,
  ) {}
}

/** `Neighbour.probes` of a router that has not answered: its entry stays, free, so that others are taken first. */
const SILENT = 255;

/** Offset of the target address in NS and NA. */
const TARGET = 8;
const MESSAGE = 24;

/**
 * Checks the options in `data[at..end)` (RFC 4861 section 4.6): all have a length above 0 and lie inside.
 *
 * @returns the offset of the first option of `type`, -1: there is none, -2: malformed
 */
export function findOption(data: Uint8Array, at: number, end: number, type: number): number {
  let found = -1;
  while (at < end) {
    const length = at + 8 <= end ? data[at + 1] << 3 : 0;
    if (length === 0 || at + length > end) return -2;
    if (data[at] === type && found < 0) found = at;
    at += length;
  }
  return found;
}

export class NeighbourDiscovery implements Component, Resolver, MessageHandler {
  readonly name = "nd";
  readonly counters = new NdCounters();
  cache: NeighbourCache = null as never;
  detector: DuplicateDetector | null = null;
  /** Answers for addresses of others (proxy ND): null, or says whether to. The router's side hangs here. */
  proxy: ((nif: Interface, data: Uint8Array, at: number) => boolean) | null = null;
  /** Addresses with a virtual router's hardware address, 00-00-5e-00-02-XX (VRRP): null, or its last four bytes; 0: the interface's own. */
  virtual: ((nif: Interface, address: Uint8Array) => number) | null = null;
  /** Called when a neighbour says that it is no router any more (RFC 4861 section 7.2.5): its address is at `data[at..]`. */
  readonly onNotRouter: ((nif: Interface, data: Uint8Array, at: number) => void)[] = [];
  /** Called when a neighbour has not answered: whoever chose it looks for another. */
  readonly onFailure: ((neighbour: Neighbour) => void)[] = [];
  private readonly links: LinkTimes[] = [];
  private ip: Ipv6 = null as never;
  private stack: Stack = null as never;
  private icmp: Icmpv6 = null as never;
  private path: Path6 = null as never;
  /** Not `stack.tx`: a solicitation goes out while the packet that needs it still lies there. */
  private readonly packet = new Packet(new Uint8Array(HEADROOM + 64));

  /** Whoever scans a network of 2^64 addresses makes no storm of questions of it. */
  private rate: RateLimit = null as never;

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    this.stack = stack;
    const cache = (this.cache = new NeighbourCache(stack, this.limit, this, this.counters));
    this.rate = new RateLimit(cache.limit, cache.limit);
    stack.counters.nd = this.counters as never;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(6) as Ipv6);
    const icmp = this.stack.component(Icmpv6);
    if (!ip || !icmp) return fail("ENOPROTOOPT", "nd needs ipv6 and icmpv6");
    this.icmp = icmp;
    ip.nd = this;
    this.path = ip.createPath();
    this.path.ttl = 255;
    icmp.handlers.push(this);
  }

  interfaceChanged(nif: Interface): void {
    if (!nif.up()) this.cache.clear(nif, false);
  }

  interfaceRemoved(nif: Interface): void {
    this.cache.clear(nif);
    for (let i = 0; i < this.links.length; i++) if (this.links[i].nif === nif) this.links.splice(i, 1);
  }

  /** The times of an interface, ms: the reachable time is 0.5 to 1.5 times its base, by chance (RFC 4861 section 6.3.2). */
  times(nif: Interface): Times {
    const now = this.stack.now();
    const link = this.linkOf(nif);
    if (link.reachableTime === 0 || (now - link.chosenAt) >>> 0 > REACHABLE_AGE) {
      link.reachableTime = (link.base >> 1) + this.stack.host.randomBelow(link.base);
      link.chosenAt = now;
    }
    return link;
  }

  /** A router has told the times of an interface, ms; 0: it says nothing of one. */
  setTimes(nif: Interface, base: number, retransTimer: number): void {
    const link = this.linkOf(nif);
    if (base > 0 && base !== link.base) {
      link.base = base;
      link.reachableTime = 0;
    }
    if (retransTimer > 0) link.retransTimer = retransTimer;
  }

  private linkOf(nif: Interface): LinkTimes {
    for (let i = 0; i < this.links.length; i++) if (this.links[i].nif === nif) return this.links[i];
    const link = new LinkTimes(nif, this.cache.reachableTime, this.cache.retransTimer);
    if (!nif.removed) this.links.push(link);
    return link;
  }

  message(packet: Packet, type: number): boolean {
    if (type !== wire.NEIGHBOUR_SOLICITATION && type !== wire.NEIGHBOUR_ADVERTISEMENT) return false;
    const data = packet.data;
    const at = packet.start;
    const counters = this.counters;
    if (packet.flags & REASSEMBLED) counters.fragmented++;
    else if (
      packet.ttl !== 255 ||
      data[at + wire.ICMPV6_CODE] !== 0 ||
      packet.end - at < MESSAGE ||
      isMulticast6(data, at + TARGET)
    ) {
      counters.invalid++;
    } else if (findOption(data, at + MESSAGE, packet.end, 0) === -2) counters.badopt++;
    else if (type === wire.NEIGHBOUR_SOLICITATION) this.solicitation(packet);
    else this.advertisement(packet);
    return true;
  }

  solicit(neighbour: Neighbour, unicast: boolean): void {
    const ip = this.ip;
    if (!unicast && !this.rate.take(this.stack.now())) {
      this.counters.limited++;
      return;
    }
    const path = this.path;
    const target = new Uint8Array(16);
    put32(target, 0, neighbour.a0);
    put32(target, 4, neighbour.a1);
    put32(target, 8, neighbour.a2);
    put32(target, 12, neighbour.a3);
    const source = ip.selectSource(neighbour.nif, target, 0);
    if (source)
      this.sendSolicitation(neighbour.nif, source.bytes, target, 0, unicast ? neighbour : null, null);
    path.anonymous = false;
  }

  undeliverable(packet: Packet): void {
    this.ip.undeliverable(packet);
  }

  failed(neighbour: Neighbour): void {
    for (let i = 0; i < this.onFailure.length; i++) this.onFailure[i](neighbour);
    const cache = this.cache;
    const nif = neighbour.nif;
    let kept: Neighbour | null = neighbour;
    if (neighbour.state === PROBE) {
      // It may be the network, or have another hardware address now: what there is serves until something better comes.
      neighbour.state = UNREACHABLE;
      neighbour.probes = 0;
      neighbour.at = this.stack.now();
      this.again(neighbour);
    } else {
      cache.remove(neighbour);
      if (!neighbour.router) return;
      kept = cache.obtain(nif, neighbour.a0, neighbour.a1, neighbour.a2, neighbour.a3);
      if (kept) kept.probes = SILENT;
    }
    if (!kept || !neighbour.router) return;
    kept.router = true;
    // When none answers, they take turns (RFC 4861 section 6.3.6).
    const list = cache.entries;
    for (let i = 0; i < list.length; i++) {
      if (list[i].router && list[i].nif === nif && !isSilent(list[i])) return;
    }
    for (let i = 0; i < list.length; i++) {
      if (list[i] !== kept && list[i].nif === nif) unsilence(list[i]);
    }
  }

  again(neighbour: Neighbour): number {
    const now = this.stack.now();
    if (((neighbour.at - now) | 0) > 0) return UNREACHABLE;
    // Patience has an end: whoever sends is told.
    if (neighbour.probes >= MAX_MULTICAST_SOLICIT) return (neighbour.state = FREE);
    let wait = this.times(neighbour.nif).retransTimer;
    for (let i = neighbour.probes++; i > 0; i--) wait *= BACKOFF_MULTIPLE;
    neighbour.at = (now + (wait < MAX_RETRANS_TIMER ? wait : MAX_RETRANS_TIMER)) | 0;
    this.solicit(neighbour, false);
    return UNREACHABLE;
  }

  /** True when the router `address` on `nif` has not answered, or is being asked in vain so far. */
  isUnreachable(nif: Interface, address: Uint8Array): boolean {
    const entry = this.find(nif, address, 0);
    return entry !== null && (isSilent(entry) || (entry.state === INCOMPLETE && entry.probes > 1));
  }

  /** A router at `data[at..]` has shown itself; `link`: offset of the option with its hardware address, or below 0. */
  learnRouter(nif: Interface, data: Uint8Array, at: number, link: number): void {
    const entry = this.find(nif, data, at);
    if (entry) unsilence(entry);
    if (link < 0 || data[link + 1] !== 1 || data[link + 2] & 1) return;
    this.learn(nif, data, at, link, false, true, true);
  }

  /** Nothing is routed by `address` any more: its entry is one like others. */
  forgetRouter(nif: Interface, address: Uint8Array): void {
    const entry = this.find(nif, address, 0);
    if (!entry) return;
    entry.router = false;
    if (entry.state === FREE) entry.probes = 0;
  }

  private find(nif: Interface, data: Uint8Array, at: number): Neighbour | null {
    return this.cache.find(
      nif,
      get32(data, at),
      get32(data, at + 4),
      get32(data, at + 8),
      get32(data, at + 12),
    );
  }

  /**
   * Sends a neighbour solicitation for `target[at..]`: to `unicast`, or to the target's solicited-node group. A `source` of ::
   * makes it a probe for duplicates, which carries `nonce` (6 bytes, RFC 7527) instead of our hardware address.
   */
  sendSolicitation(
    nif: Interface,
    source: Uint8Array,
    target: Uint8Array,
    at: number,
    unicast: Neighbour | null,
    nonce: Uint8Array | null,
  ): number {
    this.counters.solicitationsSent++;
    const remote = unicast ? target : solicitedNode(target, at);
    return this.emit(
      nif,
      wire.NEIGHBOUR_SOLICITATION,
      0,
      source,
      remote,
      unicast ? at : 0,
      target,
      at,
      unicast,
      nonce,
    );
  }

  /** Advertises `entry`, unasked, to all nodes (RFC 4861 section 7.2.6). */
  announce(entry: Address6): number {
    this.counters.advertisementsSent++;
    return this.emit(
      entry.nif,
      wire.NEIGHBOUR_ADVERTISEMENT,
      wire.NA_OVERRIDE | (this.ip.forwarder ? wire.NA_ROUTER : 0),
      entry.bytes,
      allNodes(),
      0,
      entry.bytes,
      0,
      null,
      null,
    );
  }

  private solicitation(packet: Packet): void {
    const data = packet.data;
    const at = packet.start;
    const nif = packet.nif as Interface;
    const counters = this.counters;
    const source = packet.network + IPV6_SOURCE;
    const probe = isUnspecified6(data, source);
    const link = findOption(data, at + MESSAGE, packet.end, wire.ND_SOURCE_LINK);
    const destination = packet.network + IPV6_DESTINATION;
    // A probe goes to the solicited-node group and tells no hardware address (section 7.1.1).
    if (
      (probe && (link >= 0 || !isMulticast6(data, destination) || data[destination + 12] !== 0xff)) ||
      (link >= 0 && (data[link + 1] !== 1 || data[link + 2] & 1))
    ) {
      counters.invalid++;
      return;
    }
    const entry = this.ip.entryOf(data, at + TARGET, nif);
    if (entry && entry.state === TENTATIVE) {
      if (probe && this.detector) {
        this.detector.solicited(entry, packet, findOption(data, at + MESSAGE, packet.end, wire.ND_NONCE));
      }
      return;
    }
    const ours = entry !== null && this.ip.findAddress(data, at + TARGET, nif) !== null;
    if (!ours && !(this.proxy && this.proxy(nif, data, at + TARGET))) {
      counters.unsolicited++;
      return;
    }
    if (link >= 0 && !probe && this.ip.isOnLink(nif, data, source))
      this.learn(nif, data, source, link, false, true, true);
    counters.advertisementsSent++;
    const flags =
      (probe ? 0 : wire.NA_SOLICITED) |
      (ours ? wire.NA_OVERRIDE : 0) |
      (this.ip.forwarder ? wire.NA_ROUTER : 0);
    const mine = ours ? null : this.ip.selectSource(nif, data, source);
    const own = mine ? mine.bytes : data;
    this.emit(
      nif,
      wire.NEIGHBOUR_ADVERTISEMENT,
      flags,
      ours ? data.subarray(at + TARGET, at + TARGET + 16) : own,
      probe ? allNodes() : data,
      probe ? 0 : source,
      data,
      at + TARGET,
      null,
      null,
    );
  }

  private advertisement(packet: Packet): void {
    const data = packet.data;
    const at = packet.start;
    const nif = packet.nif as Interface;
    const counters = this.counters;
    const flags = data[at + wire.ICMPV6_WORD];
    const solicited = (flags & wire.NA_SOLICITED) !== 0;
    const link = findOption(data, at + MESSAGE, packet.end, wire.ND_TARGET_LINK);
    if (
      (solicited && isMulticast6(data, packet.network + IPV6_DESTINATION)) ||
      (link >= 0 && (data[link + 1] !== 1 || data[link + 2] & 1))
    ) {
      counters.invalid++;
      return;
    }
    const own = this.ip.entryOf(data, at + TARGET, nif);
    if (own) {
      counters.conflict++;
      if (this.detector) this.detector.advertised(own, packet);
      return;
    }
    const entry = this.find(nif, data, at + TARGET);
    // Nobody here has asked for it (section 7.2.5).
    if (!entry || entry.state === FREE || (entry.state === INCOMPLETE && link < 0)) {
      counters.unsolicited++;
      return;
    }
    // Only who has been asked can answer: the flag of another is a word like any.
    const lost = entry.state === UNREACHABLE;
    const asked = solicited && (entry.state === INCOMPLETE || entry.state === PROBE || lost);
    if (link >= 0) {
      if (!this.learn(nif, data, at + TARGET, link, asked, (flags & wire.NA_OVERRIDE) !== 0, false)) return;
    } else if (asked) this.cache.confirm(entry);
    // Ways that led around it may lead by it again.
    if (lost && entry.state !== UNREACHABLE) this.stack.changed();
    if (entry.router && (flags & wire.NA_ROUTER) === 0) {
      entry.router = false;
      for (let i = 0; i < this.onNotRouter.length; i++) this.onNotRouter[i](nif, data, at + TARGET);
      this.stack.changed();
    }
  }

  /**
   * Takes a neighbour's word for its hardware address, by the rules of section 7.2.5. `asked`: it answers our question;
   * `create`: makes an entry. False: it was not believed.
   */
  private learn(
    nif: Interface,
    data: Uint8Array,
    at: number,
    link: number,
    asked: boolean,
    override: boolean,
    create: boolean,
  ): boolean {
    const high = get16(data, link + 2);
    const low = get32(data, link + 4);
    const cache = this.cache;
    const a0 = get32(data, at);
    const a1 = get32(data, at + 4);
    const a2 = get32(data, at + 8);
    const a3 = get32(data, at + 12);
    const entry = cache.find(nif, a0, a1, a2, a3) || (create ? cache.obtain(nif, a0, a1, a2, a3) : null);
    if (!entry) return false;
    const differs = entry.state >= REACHABLE && (entry.high !== high || entry.low !== low);
    if (differs && entry.state !== STALE && entry.state !== UNREACHABLE) {
      // Whoever is reachable keeps its entry until it no longer answers; a probe goes to its own hardware address, so that
      // nobody with another one can have been asked.
      this.counters.conflict++;
      cache.probe(entry);
      return false;
    }
    if (differs && !override) return false;
    cache.learn(entry, high, low, asked);
    return true;
  }

  /** Builds and sends one message in the packet of our own. */
  private emit(
    nif: Interface,
    type: number,
    flags: number,
    source: Uint8Array,
    remote: Uint8Array,
    remoteAt: number,
    target: Uint8Array,
    targetAt: number,
    unicast: Neighbour | null,
    nonce: Uint8Array | null,
  ): number {
    const packet = this.packet;
    const path = this.path;
    const data = packet.data;
    const probe = isUnspecified6(source, 0);
    const option = probe ? (nonce ? 8 : 0) : 8;
    const at = (packet.start = HEADROOM);
    packet.end = at + MESSAGE + option;
    packet.flags = 0;
    packet.checksumField = -1;
    packet.segmentSize = 0;
    const virtual = this.virtual ? this.virtual(nif, source) : 0;
    packet.sender = virtual;
    put16(data, at, type << 8);
    put32(data, at + wire.ICMPV6_WORD, flags << 24);
    for (let i = 0; i < 16; i++) {
      data[at + TARGET + i] = target[targetAt + i];
      path.ends[SOURCE + i] = path.ends[REMOTE + 16 + i] = source[i];
      path.ends[REMOTE + i] = remote[remoteAt + i];
    }
    if (option) {
      const to = at + MESSAGE;
      if (probe) {
        data[to] = wire.ND_NONCE;
        for (let i = 0; i < 6; i++) data[to + 2 + i] = (nonce as Uint8Array)[i];
      } else {
        data[to] = type === wire.NEIGHBOUR_SOLICITATION ? wire.ND_SOURCE_LINK : wire.ND_TARGET_LINK;
        put16(data, to + 2, virtual ? 0 : nif.high);
        put32(data, to + 4, virtual || nif.low);
      }
      data[to + 1] = 1;
    }
    path.zone = path.bound = nif;
    path.fixed = !probe;
    path.anonymous = probe;
    path.generation = 0;
    const code = this.ip.route(path);
    if (code < 0) return code;
    if (unicast) {
      // A probe of a neighbour goes to the hardware address that is in doubt, not through the cache.
      path.neighbour = null;
      path.high = unicast.high;
      path.low = unicast.low;
    }
    return this.icmp.send(packet, path);
  }
}

/** Has it been asked in vain? */
function isSilent(entry: Neighbour): boolean {
  return entry.state === UNREACHABLE || (entry.state === FREE && entry.probes === SILENT);
}

/** It may be tried as if nothing had been. */
function unsilence(entry: Neighbour): void {
  if (entry.state === UNREACHABLE) entry.state = STALE;
  else if (entry.state === FREE) entry.probes = 0;
}

/** The neighbour discovery component. Needs `ipv6` and `icmpv6`. Counters: `nd`. */
export function nd(options: NdOptions = {}): NeighbourDiscovery {
  return new NeighbourDiscovery(options.limit || -1);
}
