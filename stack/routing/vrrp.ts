/**
 * VRRP version 3 (RFC 5798) for both families: of several gateways one has the addresses that hosts use, and another takes them over
 * when it fails.
 *
 * ```ts
 * const redundancy = vrrp();
 * const router = redundancy.add(lan, { id: 51, priority: 200, addresses: ["10.1.0.254"] });
 * const router6 = redundancy.add(lan, { id: 51, priority: 200, addresses: ["fe80::254", "2001:db8:1::fe"] });
 * ```
 * The active router answers for its addresses with the virtual hardware address (section 7.3), sends its advertisements from it, and
 * announces it to all (gratuitous ARP, unsolicited advertisements): switches learn where it is, hosts need not learn anything. The link
 * must deliver frames to that address; `virtualMac: false` uses the interface's own, as keepalived does by default. Nothing of VRRP is
 * authenticated: whoever is on the link can take over.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { REASSEMBLED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { Timer } from "../core/timers.js";
import type { Address4 } from "../ipv4/address.js";
import { PREFERRED } from "../ipv4/address.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Path4 } from "../ipv4/path.js";
import { isUsable } from "../ipv6/address.js";
import type { Address6 } from "../ipv6/address.js";
import { assign } from "../ipv6/configure.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { LOCAL } from "../ipv6/path.js";
import type { Path6 } from "../ipv6/path.js";
import { useGroup } from "../link/groups.js";
import { ARP_REQUEST } from "../wire/arp.js";
import { NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION } from "../wire/icmpv6.js";
import {
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  equal6,
  isLinkLocal6,
  isMulticast6,
  isUnspecified6,
} from "../wire/ipv6.js";
import { isMartian4 } from "../wire/ipv4.js";
import * as wire from "../wire/vrrp.js";

export class VrrpCounters {
  received = 0;
  sent = 0;
  sendFailed = 0;
  /** Shorter than it says, fragmented, of another version or type, without addresses. */
  malformed = 0;
  badsum = 0;
  /** Hop limit other than 255: not of this link. */
  badTtl = 0;
  /** IPv6 from an address that is not link-local. */
  badSource = 0;
  /** Of a virtual router that is not ours. */
  unknown = 0;
  /** Other addresses than ours, which is a mistake of one of the two; they are heeded all the same. */
  addresses = 0;
  /** Sent to addresses of a router without `accept`. */
  refused = 0;
  /** Times that a router of ours became the active one, and stopped being it. */
  activated = 0;
  relieved = 0;
}

export interface VrrpRouterOptions {
  /** Virtual router identifier, 1..255: one on a link for each family. */
  id: number;
  /** The addresses, of one family; of IPv6 the first is link-local. 1..20. */
  addresses: string[];
  /** 1..254; 255: the addresses are this host's own, it has them and keeps them. Default 100. */
  priority?: number;
  /** Seconds between advertisements, 0.01..40.95. Default 1. */
  interval?: number;
  /** Its addresses are at the virtual hardware address (section 7.3). False: at the interface's own, as where a link takes no other. Default true. */
  virtualMac?: boolean;
  /**
   * Takes what is sent to the addresses themselves (`Accept_Mode`), not only what it is to forward. Default true, other than section 6.1
   * has it: so they answer pings.
   */
  accept?: boolean;
  /** Takes over from an active router of lower priority. Default true. */
  preempt?: boolean;
  /** Called when it becomes the active one, or stops being it. */
  onState?(active: boolean): void;
}

const INITIALIZE = 0;
const BACKUP = 1;
const ACTIVE = 2;

const ROUTERS = 64;
const ADDRESSES = 20;
/** Announcements of the addresses when a router becomes active, and ms between them: frames get lost. */
const ANNOUNCEMENTS = 3;
const ANNOUNCE_EVERY = 1000;

export class VrrpRouter implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  state = INITIALIZE;
  priority: number;
  readonly id: number;
  readonly four: boolean;
  /** Hundredths of a second: ours, and the active router's. */
  readonly interval: number;
  activeInterval: number;
  readonly preempt: boolean;
  readonly accept: boolean;
  /** When the active router is given up, or (active) the next advertisement is due. */
  at = 0;
  announceLeft = 0;
  announceAt = 0;
  readonly addresses4: number[] = [];
  readonly addresses6: Uint8Array[] = [];
  /** Last four bytes of the virtual hardware address, 00-00-5e-00-0F-ID; 0: the interface's own. */
  readonly low: number;
  /** Those that this host has for the virtual router's sake. */
  readonly held4: Address4[] = [];
  readonly held6: Address6[] = [];
  told = false;

  constructor(
    private readonly owner: Vrrp,
    readonly nif: Interface,
    private readonly options: VrrpRouterOptions,
  ) {
    const list = options.addresses;
    this.id = requireInteger(options.id, 1, 255, "id");
    this.priority = requireInteger(
      options.priority === undefined ? 100 : options.priority,
      1,
      255,
      "priority",
    );
    const interval = options.interval === undefined ? 1 : options.interval;
    if (!(interval >= 0.01 && interval <= 40.95)) fail("EINVAL", "interval");
    this.interval = this.activeInterval = Math.round(interval * 100);
    this.preempt = options.preempt !== false;
    this.accept = options.accept !== false || this.priority === wire.VRRP_OWNER;
    if (!list || list.length < 1 || list.length > ADDRESSES) fail("EINVAL", "addresses");
    this.four = parse4(list[0]) !== null;
    this.low =
      options.virtualMac === false || !nif.medium.resolves
        ? 0
        : (this.four ? wire.VRRP_MAC4 : wire.VRRP_MAC6) | this.id;
    for (let i = 0; i < list.length; i++) {
      const four = this.four ? parse4(list[i]) : null;
      const six = this.four ? null : parse6(list[i]);
      if (four !== null && !isMartian4(four)) this.addresses4.push(four);
      else if (six && !isMulticast6(six, 0) && !isUnspecified6(six, 0) && (i > 0 || isLinkLocal6(six, 0)))
        this.addresses6.push(six);
      else fail("EINVAL", "address " + list[i]);
    }
  }

  /** Is the address at `data[at..]` one of its? */
  has6(data: Uint8Array, at: number): boolean {
    for (let i = 0; i < this.addresses6.length; i++) if (equal6(this.addresses6[i], 0, data, at)) return true;
    return false;
  }

  /** Has it the addresses now? */
  active(): boolean {
    return this.state === ACTIVE;
  }

  /** Another priority, 1..254: lower while what lies behind this gateway fails, say. Not of an owner. */
  setPriority(priority: number): void {
    if (this.priority === wire.VRRP_OWNER) fail("EINVAL", "priority of an owner");
    this.priority = requireInteger(priority, 1, wire.VRRP_OWNER - 1, "priority");
    this.owner.changed();
  }

  /** Takes no part any more: another is told to take over at once. Legal twice. */
  remove(): void {
    this.owner.remove(this);
  }

  /** See `Stack.defer`. */
  run(): void {
    const active = this.active();
    if (active === this.told) return;
    this.told = active;
    if (this.options.onState) this.options.onState(active);
  }

  /** Milliseconds by which one of lower priority waits longer (section 6.1). */
  skew(): number {
    return (((256 - this.priority) * this.activeInterval) / 256) * 10;
  }

  downInterval(): number {
    return Math.ceil(3 * this.activeInterval * 10 + this.skew());
  }
}

export class Vrrp implements Component {
  readonly name = "vrrp";
  readonly protocol = wire.PROTOCOL_VRRP;
  readonly counters = new VrrpCounters();
  private readonly routers: VrrpRouter[] = [];
  private stack: Stack = null as never;
  private ip4: Ipv4 | null = null;
  private ip6: Ipv6 | null = null;
  private path4: Path4 = null as never;
  private path6: Path6 = null as never;
  private readonly timer = new Timer(tick, this);

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "vrrp");
    this.stack = stack;
    stack.transports.push(this);
    stack.counters.vrrp = this.counters as never;
  }

  start(): void {
    this.ip4 = this.stack.network(4) as Ipv4 | null;
    this.ip6 = this.stack.network(6) as Ipv6 | null;
    if (this.ip4) {
      this.path4 = this.ip4.createPath();
      this.ip4.setRemote(this.path4, wire.VRRP_GROUP4);
      this.path4.ttl = 255;
      this.path4.tos = 0xc0;
    }
    if (this.ip6) {
      this.path6 = this.ip6.createPath();
      this.ip6.setRemote(this.path6, wire.VRRP_GROUP6);
      this.path6.ttl = 255;
      this.path6.tos = 0xc0;
    }
  }

  /**
   * Takes part in a virtual router on an interface. Errors (thrown): `EINVAL` options, `EAFNOSUPPORT` no network of that family,
   * `EOPNOTSUPP` no groups (`igmp`), `EEXIST` the identifier is in use there, `ENOBUFS`.
   */
  add(nif: Interface, options: VrrpRouterOptions): VrrpRouter {
    const router = new VrrpRouter(this, nif, options);
    const net = router.four ? this.ip4 : this.ip6;
    if (!net) return fail("EAFNOSUPPORT", "address " + options.addresses[0]);
    if (nif.removed) fail("EINVAL", "interface");
    if (this.find(nif, router.four, router.id)) fail("EEXIST", "id " + router.id);
    if (this.routers.length >= ROUTERS) fail("ENOBUFS", "routers");
    const code = net.join ? net.join(router.four ? wire.VRRP_GROUP4 : wire.VRRP_GROUP6, nif, null) : -1;
    if (code < 0) fail("EOPNOTSUPP", "vrrp cannot join its group");
    this.routers.push(router);
    this.hook(router);
    if (nif.up()) this.begin(router);
    this.schedule();
    return router;
  }

  /** Ends a router's part: see `VrrpRouter.remove`. */
  remove(router: VrrpRouter): void {
    const at = this.routers.indexOf(router);
    if (at < 0) return;
    const net = router.four ? this.ip4 : this.ip6;
    if (router.active()) this.advertise(router, wire.VRRP_GOING);
    this.leave(router, INITIALIZE);
    this.routers.splice(at, 1);
    if (net && net.leave) net.leave(router.four ? wire.VRRP_GROUP4 : wire.VRRP_GROUP6, router.nif, null);
    this.schedule();
  }

  /** A priority is another. */
  changed(): void {
    this.schedule();
  }

  interfaceChanged(nif: Interface): void {
    for (let i = 0; i < this.routers.length; i++) {
      const router = this.routers[i];
      if (router.nif !== nif) continue;
      if (!nif.up()) this.leave(router, INITIALIZE);
      else if (router.state === INITIALIZE) this.begin(router);
    }
    this.schedule();
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.routers.length - 1; i >= 0; i--)
      if (this.routers[i].nif === nif) this.remove(this.routers[i]);
  }

  /** What ARP, neighbour discovery and the networks ask of us, from the first router on that makes them. */
  private hook(router: VrrpRouter): void {
    const ip4 = this.ip4;
    const ip6 = this.ip6;
    if (router.low !== 0) {
      if (router.four && ip4 && ip4.arp) ip4.arp.virtual = (nif, address) => this.virtual4(nif, address);
      else if (!router.four && ip6 && ip6.nd) ip6.nd.virtual = (nif, address) => this.virtual6(nif, address);
    }
    if (router.accept) return;
    if (router.four) (ip4 as Ipv4).refuses = (packet) => this.refuses(packet);
    else (ip6 as Ipv6).refuses = (packet) => this.refuses(packet);
  }

  private virtual4(nif: Interface, address: number): number {
    for (let i = 0; i < this.routers.length; i++) {
      const each = this.routers[i];
      if (each.active() && each.nif === nif && each.low !== 0 && each.addresses4.indexOf(address) >= 0)
        return each.low;
    }
    return 0;
  }

  private virtual6(nif: Interface, address: Uint8Array): number {
    for (let i = 0; i < this.routers.length; i++) {
      const each = this.routers[i];
      if (each.active() && each.nif === nif && each.low !== 0 && each.has6(address, 0)) return each.low;
    }
    return 0;
  }

  /** Is a packet for an address that is here to be forwarded by, not spoken to? Neighbours may ask for it (section 6.4.3). */
  private refuses(packet: Packet): boolean {
    const data = packet.data;
    const at = packet.network;
    const four = packet.net === this.ip4;
    for (let i = 0; i < this.routers.length; i++) {
      const each = this.routers[i];
      if (each.accept || each.four !== four || !each.active() || each.nif !== packet.nif) continue;
      if (four ? each.addresses4.indexOf(packet.destination) < 0 : !each.has6(data, at + IPV6_DESTINATION))
        continue;
      if (!four && data[at + IPV6_NEXT_HEADER] === PROTOCOL_ICMPV6 && packet.end - at > IPV6_HEADER) {
        const type = data[at + IPV6_HEADER];
        if (type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT) continue;
      }
      this.counters.refused++;
      return true;
    }
    return false;
  }

  private find(nif: Interface, four: boolean, id: number): VrrpRouter | null {
    for (let i = 0; i < this.routers.length; i++) {
      const each = this.routers[i];
      if (each.id === id && each.four === four && each.nif === nif) return each;
    }
    return null;
  }

  /* The machine (section 6.4) */

  private begin(router: VrrpRouter): void {
    if (router.priority === wire.VRRP_OWNER) this.activate(router);
    else this.wait(router);
  }

  private wait(router: VrrpRouter): void {
    router.state = BACKUP;
    router.at = (this.stack.now() + router.downInterval()) | 0;
  }

  private activate(router: VrrpRouter): void {
    router.state = ACTIVE;
    router.activeInterval = router.interval;
    this.counters.activated++;
    if (router.low !== 0) useGroup(router.nif, 0, router.low, 1);
    this.advertise(router, router.priority);
    this.take(router);
    router.announceLeft = ANNOUNCEMENTS;
    this.announce(router);
    router.at = (this.stack.now() + router.interval * 10) | 0;
    this.stack.defer(router);
  }

  private leave(router: VrrpRouter, state: number): void {
    const was = router.active();
    router.state = state;
    router.announceLeft = 0;
    if (!was) return;
    this.counters.relieved++;
    if (router.low !== 0) useGroup(router.nif, 0, router.low, -1);
    while (router.held4.length > 0) (this.ip4 as Ipv4).dropAddress(router.held4.pop() as Address4);
    while (router.held6.length > 0) (this.ip6 as Ipv6).dropAddress(router.held6.pop() as Address6);
    this.stack.defer(router);
  }

  /** The addresses become this host's: they have been another's until now, so nobody is asked for conflicts. */
  private take(router: VrrpRouter): void {
    const nif = router.nif;
    const ip4 = this.ip4 as Ipv4;
    for (let i = 0; i < router.addresses4.length; i++) {
      const address = router.addresses4[i];
      if (ip4.hasAddress(nif, address, true) || ip4.isLocal(address)) continue;
      const entry = ip4.assign(nif, address, 32, { origin: "vrrp", route: false });
      if (entry.state !== PREFERRED) {
        if (ip4.trial) ip4.trial.end(entry);
        entry.state = PREFERRED;
        ip4.addressChanged(entry, true);
      }
      router.held4.push(entry);
    }
    const ip6 = this.ip6 as Ipv6;
    for (let i = 0; i < router.addresses6.length; i++) {
      const bytes = router.addresses6[i];
      if (ip6.entryOf(bytes, 0, nif)) continue;
      const entry = assign(ip6, nif, bytes, 128, { origin: "vrrp", route: false });
      if (!isUsable(entry)) {
        if (ip6.trial) ip6.trial.end(entry);
        entry.state = PREFERRED;
        ip6.addressChanged(entry, true);
      }
      router.held6.push(entry);
    }
  }

  /** Tells all on the link whose hardware address the addresses have now. */
  private announce(router: VrrpRouter): void {
    router.announceLeft--;
    router.announceAt = (this.stack.now() + ANNOUNCE_EVERY) | 0;
    const arp = router.four ? (this.ip4 as Ipv4).arp : null;
    for (let i = 0; arp && i < router.addresses4.length; i++) {
      const address = router.addresses4[i];
      arp.send(router.nif, ARP_REQUEST, address, 0, 0, address, 0xffff, -1);
    }
    const nd = router.four ? null : (this.ip6 as Ipv6).nd;
    for (let i = 0; nd && i < router.addresses6.length; i++) {
      const entry = (this.ip6 as Ipv6).entryOf(router.addresses6[i], 0, router.nif);
      if (entry) nd.announce(entry);
    }
  }

  input(packet: Packet): void {
    const counters = this.counters;
    const data = packet.data;
    const at = packet.start;
    const length = packet.end - at;
    const four = packet.net === this.ip4;
    counters.received++;
    const count = length > wire.VRRP_HEADER ? data[at + wire.VRRP_COUNT] : 0;
    if (
      packet.flags & REASSEMBLED ||
      count === 0 ||
      data[at] !== wire.VRRP_ADVERTISEMENT ||
      length < wire.VRRP_HEADER + count * (four ? 4 : 16) ||
      (get16(data, at + wire.VRRP_INTERVAL) & 0xfff) === 0
    ) {
      counters.malformed++;
      return;
    }
    if (packet.ttl !== 255) {
      counters.badTtl++;
      return;
    }
    const seed = fold(packet.pseudo + wire.PROTOCOL_VRRP + length);
    const sum = this.stack.host.sum(data, at, packet.end, seed);
    // For IPv4 some count the pseudo-header in, as RFC 5798 has it, and others do not.
    if (sum !== 0xffff && (!four || this.stack.host.sum(data, at, packet.end, 0) !== 0xffff)) {
      counters.badsum++;
      return;
    }
    if (!four && !isLinkLocal6(data, packet.network + IPV6_SOURCE)) {
      counters.badSource++;
      return;
    }
    const router = this.find(packet.nif as Interface, four, data[at + wire.VRRP_ID]);
    if (!router || router.state === INITIALIZE) {
      counters.unknown++;
      return;
    }
    if (!sameAddresses(router, data, at + wire.VRRP_HEADER, count)) counters.addresses++;
    this.heed(router, packet, data[at + wire.VRRP_PRIORITY], get16(data, at + wire.VRRP_INTERVAL) & 0xfff);
    this.schedule();
  }

  /** Sections 6.4.2 and 6.4.3: another router says that it is the active one, or that it goes. */
  private heed(router: VrrpRouter, packet: Packet, priority: number, interval: number): void {
    const now = this.stack.now();
    if (router.active()) {
      if (priority === wire.VRRP_GOING) this.repeat(router);
      else if (
        router.priority !== wire.VRRP_OWNER &&
        (priority > router.priority || (priority === router.priority && this.isHigher(router, packet)))
      ) {
        this.leave(router, BACKUP);
        router.activeInterval = interval;
        router.at = (now + router.downInterval()) | 0;
      } else this.repeat(router);
    } else if (priority === wire.VRRP_GOING) {
      router.at = (now + Math.ceil(router.skew())) | 0;
    } else if (!router.preempt || priority >= router.priority) {
      router.activeInterval = interval;
      router.at = (now + router.downInterval()) | 0;
    }
  }

  private repeat(router: VrrpRouter): void {
    this.advertise(router, router.priority);
    router.at = (this.stack.now() + router.interval * 10) | 0;
  }

  /** Has the sender the higher address? */
  private isHigher(router: VrrpRouter, packet: Packet): boolean {
    if (router.four) return packet.source >>> 0 > this.primary4(router) >>> 0;
    const own = this.primary6(router);
    const at = packet.network + IPV6_SOURCE;
    for (let i = 0; own && i < 16; i++)
      if (packet.data[at + i] !== own[i]) return packet.data[at + i] > own[i];
    return false;
  }

  /** This host's own address on the link, as opposed to the virtual router's; 0: none. */
  private primary4(router: VrrpRouter): number {
    const list = (this.ip4 as Ipv4).addresses;
    for (let i = 0; i < list.length; i++)
      if (list[i].nif === router.nif && list[i].state === PREFERRED && list[i].origin !== "vrrp")
        return list[i].address;
    return 0;
  }

  private primary6(router: VrrpRouter): Uint8Array | null {
    const list = (this.ip6 as Ipv6).addresses;
    for (let i = 0; i < list.length; i++) {
      const each = list[i];
      if (each.nif === router.nif && isUsable(each) && isLinkLocal6(each.bytes, 0) && each.origin !== "vrrp")
        return each.bytes;
    }
    return null;
  }

  private advertise(router: VrrpRouter, priority: number): void {
    const nif = router.nif;
    const high = nif.high;
    const low = nif.low;
    if (router.low !== 0) {
      // From the virtual hardware address: so switches learn where it is (section 7.2).
      nif.high = 0;
      nif.low = router.low;
    }
    const code = this.send(router, priority);
    nif.high = high;
    nif.low = low;
    if (code < 0) this.counters.sendFailed++;
    else this.counters.sent++;
  }

  private send(router: VrrpRouter, priority: number): number {
    const four = router.four;
    const count = four ? router.addresses4.length : router.addresses6.length;
    const length = wire.VRRP_HEADER + count * (four ? 4 : 16);
    const packet = this.stack.prepare(length);
    const path = four ? this.path4 : this.path6;
    if (!packet) return -1;
    path.bound = router.nif;
    if (four) {
      const own = this.primary4(router);
      if (own === 0) return -1;
      this.path4.local = own;
      this.path4.generation = 0;
    } else {
      const own = this.primary6(router);
      if (!own) return -1;
      this.path6.ends.set(own, LOCAL);
      this.path6.fixed = true;
      this.path6.generation = 0;
    }
    const code = path.net.route(path);
    if (code < 0) return code;
    const data = packet.data;
    const at = packet.start;
    data[at] = wire.VRRP_ADVERTISEMENT;
    data[at + wire.VRRP_ID] = router.id;
    data[at + wire.VRRP_PRIORITY] = priority;
    data[at + wire.VRRP_COUNT] = count;
    put16(data, at + wire.VRRP_INTERVAL, router.interval);
    put16(data, at + wire.VRRP_CHECKSUM, 0);
    for (let i = 0; i < count; i++) {
      if (four) put32(data, at + wire.VRRP_HEADER + 4 * i, router.addresses4[i]);
      else data.set(router.addresses6[i], at + wire.VRRP_HEADER + 16 * i);
    }
    const seed = fold(path.pseudo + wire.PROTOCOL_VRRP + length);
    put16(data, at + wire.VRRP_CHECKSUM, ~this.stack.host.sum(data, at, packet.end, seed));
    return path.net.output(packet, path, wire.PROTOCOL_VRRP);
  }

  /* Time */

  /** Does what is due. */
  run(): void {
    const now = this.stack.now();
    for (let i = 0; i < this.routers.length; i++) {
      const router = this.routers[i];
      if (router.announceLeft > 0 && ((now - router.announceAt) | 0) >= 0) this.announce(router);
      if (router.state === INITIALIZE || ((now - router.at) | 0) < 0) continue;
      if (router.active()) this.repeat(router);
      else this.activate(router);
    }
    this.schedule();
  }

  private schedule(): void {
    const timers = this.stack.timers;
    const now = this.stack.now();
    let left = -1;
    const due = (at: number) => {
      const wait = (at - now) | 0;
      if (left < 0 || wait < left) left = wait > 0 ? wait : 0;
    };
    for (let i = 0; i < this.routers.length; i++) {
      const router = this.routers[i];
      if (router.state !== INITIALIZE) due(router.at);
      if (router.announceLeft > 0) due(router.announceAt);
    }
    if (left < 0) timers.clear(this.timer);
    else timers.set(this.timer, (now + left) | 0);
  }
}

function sameAddresses(router: VrrpRouter, data: Uint8Array, at: number, count: number): boolean {
  const own = router.four ? router.addresses4.length : router.addresses6.length;
  let found = 0;
  for (let i = 0; i < count && count === own; i++) {
    if (router.four) {
      if (router.addresses4.indexOf(get32(data, at + 4 * i)) >= 0) found++;
    } else if (router.has6(data, at + 16 * i)) found++;
  }
  return found === own;
}

function tick(machine: Vrrp): void {
  machine.run();
}

/** VRRP version 3. Needs `ipv4` with `igmp`, or `ipv6`. Counters: `vrrp`. */
export function vrrp(): Vrrp {
  return new Vrrp();
}
