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
 * authenticated: whoever is on the link can take over. A router's settings and state are vrrp-router.ts, what it does with addresses
 * vrrp-addresses.ts; here is the component, with the machine and its messages.
 */
import { get16, put16, put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { REASSEMBLED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Path4 } from "../ipv4/path.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { LOCAL } from "../ipv6/path.js";
import type { Path6 } from "../ipv6/path.js";
import { useGroup } from "../link/groups.js";
import { IPV6_SOURCE, isLinkLocal6 } from "../wire/ipv6.js";
import * as wire from "../wire/vrrp.js";
import {
  announce,
  giveBack,
  isHigher,
  primary4,
  primary6,
  refuses,
  take,
  virtual4,
  virtual6,
} from "./vrrp-addresses.js";
import { ACTIVE, BACKUP, INITIALIZE, VrrpCounters, VrrpRouter } from "./vrrp-router.js";
import type { VrrpRouterOptions } from "./vrrp-router.js";

export { VrrpCounters, VrrpRouter } from "./vrrp-router.js";
export type { VrrpRouterOptions } from "./vrrp-router.js";

const ROUTERS = 64;
/** Announcements of the addresses when a router becomes active: frames get lost. */
const ANNOUNCEMENTS = 3;

export class Vrrp implements Component {
  readonly name = "vrrp";
  readonly protocol = wire.PROTOCOL_VRRP;
  readonly counters = new VrrpCounters();
  /** @internal */
  readonly routers: VrrpRouter[] = [];
  /** @internal */
  stack: Stack = null as never;
  /** @internal */
  ip4: Ipv4 | null = null;
  /** @internal */
  ip6: Ipv6 | null = null;
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
      if (router.four && ip4 && ip4.arp) ip4.arp.virtual = (nif, address) => virtual4(this, nif, address);
      else if (!router.four && ip6 && ip6.nd) ip6.nd.virtual = (nif, address) => virtual6(this, nif, address);
    }
    if (router.accept) return;
    if (router.four) (ip4 as Ipv4).refuses = (packet) => refuses(this, packet);
    else (ip6 as Ipv6).refuses = (packet) => refuses(this, packet);
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
    take(this, router);
    router.announceLeft = ANNOUNCEMENTS;
    announce(this, router);
    router.at = (this.stack.now() + router.interval * 10) | 0;
    this.stack.defer(router);
  }

  private leave(router: VrrpRouter, state: number): void {
    const was = router.active();
    router.state = state;
    router.announceLeft = 0;
    if (!was) return;
    this.counters.relieved++;
    giveBack(this, router);
    this.stack.defer(router);
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
    if (!router.hasAll(data, at + wire.VRRP_HEADER, count)) counters.addresses++;
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
        (priority > router.priority || (priority === router.priority && isHigher(this, router, packet)))
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

  private advertise(router: VrrpRouter, priority: number): void {
    const code = this.send(router, priority);
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
      const own = primary4(this, router);
      if (own === 0) return -1;
      this.path4.local = own;
      this.path4.generation = 0;
    } else {
      const own = primary6(this, router);
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
    // From the virtual hardware address: so switches learn where it is (section 7.2).
    packet.sender = router.low;
    const sent = path.net.output(packet, path, wire.PROTOCOL_VRRP);
    packet.sender = 0;
    return sent;
  }

  /* Time */

  /** Does what is due. */
  run(): void {
    const now = this.stack.now();
    for (let i = 0; i < this.routers.length; i++) {
      const router = this.routers[i];
      if (router.announceLeft > 0 && ((now - router.announceAt) | 0) >= 0) announce(this, router);
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

function tick(machine: Vrrp): void {
  machine.run();
}

/** VRRP version 3. Needs `ipv4` with `igmp`, or `ipv6`. Counters: `vrrp`. */
export function vrrp(): Vrrp {
  return new Vrrp();
}
