/** ARP (RFC 826) for IPv4 over Ethernet, with the cache of link/neighbour.ts. Proxy ARP and gratuitous learning are off. */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { Packet } from "../core/packet.js";
import type { Component, LinkProtocol, Stack } from "../core/stack.js";
import { NeighbourCache, REACHABLE, STALE } from "../link/neighbour.js";
import type { Neighbour, NeighbourCounters, Resolver } from "../link/neighbour.js";
import * as wire from "../wire/arp.js";
import { ETHERNET_HEADER, ETHERNET_MINIMUM, TYPE_ARP, TYPE_IPV4 } from "../wire/ethernet.js";
import { isLinkLocal4, isMartian4 } from "../wire/ipv4.js";
import type { Ipv4 } from "./ipv4.js";

export { REACHABLE, UNREACHABLE } from "../link/neighbour.js";

export class ArpCounters implements NeighbourCounters {
  /** Too short, or not IPv4 over Ethernet. */
  malformed = 0;
  /** Neither request nor reply (RARP, inverse ARP, ...). */
  badOperation = 0;
  /** Sender is a group, or no unicast address. */
  badSender = 0;
  /** Somebody else claims an address of this host, or another hardware address for a reachable neighbour. */
  conflict = 0;
  requestsSent = 0;
  repliesSent = 0;
  evicted = 0;
  refused = 0;
  failed = 0;
  pendingDropped = 0;
}

/** What takes part in address conflict detection (RFC 5227); see acd.ts. */
export interface ConflictDetector {
  /** `high:low` uses or probes for `address`, which is configured or tentative on `nif`. */
  conflict(nif: Interface, address: number, high: number, low: number): void;
}

export interface ArpOptions {
  /** Entries of the cache. Default 64, or what a 16th of `StackOptions.budget` holds. */
  limit?: number;
}

/** Ethernet header and ARP packet, padded to the smallest frame. */
const SCRATCH = 4 + ETHERNET_MINIMUM;

export class Arp implements Component, LinkProtocol, Resolver {
  readonly name = "arp";
  readonly ethertype = TYPE_ARP;
  readonly counters = new ArpCounters();
  cache: NeighbourCache = null as never;
  detector: ConflictDetector | null = null;
  /** Answers for addresses of others (proxy ARP): null, or says whether to. */
  proxy: ((nif: Interface, address: number) => boolean) | null = null;
  /** Addresses with a virtual router's hardware address, 00-00-5e-00-01-XX (VRRP): null, or its last four bytes; 0: the interface's own. */
  virtual: ((nif: Interface, address: number) => number) | null = null;
  private ip: Ipv4 = null as never;
  private stack: Stack = null as never;
  /** Not `stack.tx`: a request goes out while the packet that needs it still lies there. */
  private readonly packet = new Packet(new Uint8Array(SCRATCH));

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    this.cache = new NeighbourCache(stack, this.limit, this, this.counters);
    stack.linkProtocols.push(this);
    stack.counters.arp = this.counters as never;
    this.stack = stack;
  }

  start(): void {
    this.ip = this.stack.network(4) as Ipv4;
    if (!this.ip) fail("ENOPROTOOPT", "arp needs ipv4");
    this.ip.arp = this;
  }

  interfaceChanged(nif: Interface): void {
    if (!nif.up()) this.cache.clear(nif, false);
  }

  interfaceRemoved(nif: Interface): void {
    this.cache.clear(nif);
  }

  input(packet: Packet): void {
    const data = packet.data;
    const at = packet.start;
    const nif = packet.nif as Interface;
    const counters = this.counters;
    if (
      packet.end - at < wire.ARP_LENGTH ||
      get16(data, at + wire.ARP_HARDWARE_TYPE) !== 1 ||
      get16(data, at + wire.ARP_PROTOCOL_TYPE) !== TYPE_IPV4 ||
      get16(data, at + wire.ARP_HARDWARE_LENGTH) !== 0x0604
    ) {
      counters.malformed++;
      return;
    }
    const operation = get16(data, at + wire.ARP_OPERATION);
    if (operation !== wire.ARP_REQUEST && operation !== wire.ARP_REPLY) {
      counters.badOperation++;
      return;
    }
    const high = get16(data, at + wire.ARP_SENDER_MAC);
    const low = get32(data, at + wire.ARP_SENDER_MAC + 2);
    const sender = get32(data, at + wire.ARP_SENDER_IP);
    const target = get32(data, at + wire.ARP_TARGET_IP);
    if (high & 0x100 || (high | low) === 0 || (sender !== 0 && isMartian4(sender))) {
      counters.badSender++;
      return;
    }
    const ip = this.ip;
    if (sender !== 0 ? ip.hasAddress(nif, sender, true) : ip.isTentative(nif, target)) {
      counters.conflict++;
      if (this.detector) this.detector.conflict(nif, sender || target, high, low);
      return;
    }
    const forUs = ip.hasAddress(nif, target, false);
    if (sender !== 0) this.learn(nif, sender, high, low, operation, forUs);
    if (operation === wire.ARP_REQUEST && (forUs || (this.proxy && this.proxy(nif, target)))) {
      counters.repliesSent++;
      this.send(nif, wire.ARP_REPLY, target, high, low, sender, high, low);
    }
  }

  solicit(neighbour: Neighbour, unicast: boolean): void {
    const nif = neighbour.nif;
    this.counters.requestsSent++;
    this.send(
      nif,
      wire.ARP_REQUEST,
      this.ip.sourceFor(nif, neighbour.a3),
      0,
      0,
      neighbour.a3,
      unicast ? neighbour.high : 0xffff,
      unicast ? neighbour.low : -1,
    );
  }

  undeliverable(packet: Packet): void {
    this.ip.undeliverable(packet);
  }

  /** Sends one ARP packet: from this interface to `high:low`; a sender of 0 makes a request a probe (RFC 5227). */
  send(
    nif: Interface,
    operation: number,
    sender: number,
    targetHigh: number,
    targetLow: number,
    target: number,
    high: number,
    low: number,
  ): number {
    const packet = this.packet;
    const data = packet.data;
    const virtual = this.virtual ? this.virtual(nif, sender) : 0;
    // The frame comes from there too: so switches learn where it is.
    packet.sender = virtual;
    const at = (packet.start = SCRATCH - ETHERNET_MINIMUM + ETHERNET_HEADER);
    packet.end = at + wire.ARP_LENGTH;
    put16(data, at, 1);
    put16(data, at + wire.ARP_PROTOCOL_TYPE, TYPE_IPV4);
    put16(data, at + wire.ARP_HARDWARE_LENGTH, 0x0604);
    put16(data, at + wire.ARP_OPERATION, operation);
    put16(data, at + wire.ARP_SENDER_MAC, virtual ? 0 : nif.high);
    put32(data, at + wire.ARP_SENDER_MAC + 2, virtual || nif.low);
    put32(data, at + wire.ARP_SENDER_IP, sender);
    put16(data, at + wire.ARP_TARGET_MAC, targetHigh);
    put32(data, at + wire.ARP_TARGET_MAC + 2, targetLow);
    put32(data, at + wire.ARP_TARGET_IP, target);
    // Conflicts of link-local addresses must be seen by all (RFC 3927 section 2.5).
    const all = isLinkLocal4(sender);
    return nif.medium.output(nif, packet, all ? 0xffff : high, all ? -1 : low, TYPE_ARP);
  }

  /** Takes a neighbour's word for its hardware address: where we asked, or where it asks us (RFC 826; ARP-02 below). */
  private learn(
    nif: Interface,
    sender: number,
    high: number,
    low: number,
    operation: number,
    forUs: boolean,
  ): void {
    const cache = this.cache;
    let entry = cache.find(nif, 0, 0, 0, sender);
    const answer = operation === wire.ARP_REPLY && forUs;
    if (!entry) {
      // An unsolicited reply makes no entry; a request to us does: we are about to talk.
      if (answer || !forUs || !this.ip.isOnLink(nif, sender)) return;
      entry = cache.obtain(nif, 0, 0, 0, sender);
      if (entry) cache.learn(entry, high, low, false);
      return;
    }
    if (entry.state >= REACHABLE && entry.state !== STALE && (entry.high !== high || entry.low !== low)) {
      // Whoever is reachable keeps its entry until it no longer answers.
      this.counters.conflict++;
      cache.probe(entry);
    } else cache.learn(entry, high, low, answer);
  }
}

/** The ARP component. Needs `ipv4`. Counters: `arp`. */
export function arp(options: ArpOptions = {}): Arp {
  return new Arp(options.limit || -1);
}
