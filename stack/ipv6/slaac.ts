/**
 * Router discovery and stateless address autoconfiguration, the host's side (RFC 4861 section 6.3, RFC 4862): solicitations
 * (RFC 7559), and what is taken of advertisements. What was learnt is kept by advertised.ts, addresses are made by autoconf.ts;
 * temporary addresses are temporary.ts's.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { REASSEMBLED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { nameServers } from "../core/name-servers.js";
import { format6 } from "../core/text6.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/icmpv6.js";
import {
  IPV6_HEADER,
  IPV6_SOURCE,
  equal6,
  isLinkLocal6,
  isMulticast6,
  isZero,
  maskPrefix,
} from "../wire/ipv6.js";
import type { Address6 } from "./address.js";
import {
  NAT64,
  PREFIXES,
  Prefix,
  ROUTERS,
  SERVER,
  Site,
  SlaacCounters,
  dropRouter,
  expire,
  learnName,
  learnRoute,
  namesOf,
  setLease,
  setOnLink,
  takeNat64,
  takeRoute,
  takeSearch,
  tellNames,
} from "./advertised.js";
import type { Lease } from "./advertised.js";
import { Autoconfiguration } from "./autoconf.js";
import { DuplicateAddressDetection } from "./dad.js";
import { Icmpv6 } from "./icmpv6.js";
import type { MessageHandler } from "./icmpv6.js";
import type { Ipv6 } from "./ipv6.js";
import { NeighbourDiscovery, findOption } from "./nd.js";
import type { Path6 } from "./path.js";
import { REMOTE } from "./path.js";

export type { SlaacCounters } from "./advertised.js";

/** RFC 4861 section 10, RFC 7559: solicitations, ms. */
const SOLICITATION_DELAY = 1000;
const SOLICITATION_INTERVAL = 4000;
const SOLICITATION_MAXIMUM = 3600000;
/** Nobody may advertise a hop limit with which this host reaches no one: less is not taken. */
const LEAST_HOP_LIMIT = 32;
/** Offsets in an advertisement. */
const HOP_LIMIT = 4;
const FLAGS = 5;
const LIFETIME = 6;
const REACHABLE_TIME = 8;
const RETRANS_TIMER = 12;
const RA_OPTIONS = 16;

/** What an advertisement said beyond routes and addresses: plain data for the application and for DHCPv6. */
export interface RouterInformation {
  interface: Interface;
  /** The router, with its zone. */
  router: string;
  /** Addresses (M) or other configuration (O) are to be had by DHCPv6. */
  managed: boolean;
  other: boolean;
  /** Seconds; 0: no default router. */
  lifetime: number;
  /** The NAT64 prefix (RFC 8781) that is known now, for example `"64:ff9b::/96"`, or `""`. */
  nat64: string;
}

export interface SlaacOptions {
  /** 16 secret bytes for stable identifiers, kept over reboots: the same addresses come again. Default: new at each boot. */
  secret?: Uint8Array;
  /** Names the network (an SSID): addresses differ between networks of one prefix. */
  network?: string;
  /** Makes addresses. Default true; false: routes and parameters alone. */
  addresses?: boolean;
  /** Listens to the advertisements of `router` (its link-local address with zone)? Default: to all, of a stack that forwards to none. */
  accept?(nif: Interface, router: string): boolean;
  /** An advertisement has been taken. */
  onAdvertisement?(information: RouterInformation): void;
}

export class Slaac implements Component, MessageHandler {
  readonly name = "slaac";
  readonly counters = new SlaacCounters();
  /** Called for each prefix with the A flag: temporary.ts makes its addresses then. Lifetimes in seconds, -1: for ever. */
  readonly onPrefix: ((nif: Interface, prefix: Uint8Array, valid: number, preferred: number) => void)[] = [];
  private readonly sites: Site[] = [];
  private readonly timer = new Timer(tick, this);
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private nd: NeighbourDiscovery = null as never;
  private icmp: Icmpv6 = null as never;
  private path: Path6 = null as never;
  private auto: Autoconfiguration = null as never;

  constructor(private readonly options: SlaacOptions) {
    const secret = options.secret;
    if (secret && (!(secret instanceof Uint8Array) || secret.length !== 16)) fail("EINVAL", "secret");
  }

  attach(stack: Stack): void {
    this.stack = stack;
    stack.counters.slaac = this.counters as never;
  }

  start(): void {
    const stack = this.stack;
    const ip = (this.ip = stack.network(6) as Ipv6);
    const nd = stack.component(NeighbourDiscovery);
    const icmp = stack.component(Icmpv6);
    if (!ip || !nd || !icmp) return fail("ENOPROTOOPT", "slaac needs ipv6, icmpv6 and nd");
    this.nd = nd;
    this.icmp = icmp;
    this.path = ip.createPath();
    this.path.ttl = 255;
    const given = this.options.secret;
    const secret = given ? new Uint8Array(16) : null;
    if (given && secret) secret.set(given);
    const network = this.options.network || "";
    const auto = (this.auto = new Autoconfiguration(stack, ip, this.counters, this.sites, secret, network));
    icmp.handlers.push(this);
    nd.onNotRouter.push((nif, data, at) => {
      dropRouter(this.siteOf(nif), data, at);
    });
    ip.advertisedHopLimit = (nif) => this.siteOf(nif).hopLimit;
    ip.advertisedMtu = (nif) => this.siteOf(nif).mtu;
    ip.advertisedBy = (entry, router) => this.advertisedBy(entry, router);
    ip.identifier = (nif, prefix, tries) => auto.identify(nif, prefix, tries);
    ip.onAddressChange.push((entry, present) => {
      // What is a duplicate is no longer in use, but still there.
      if (!present && ip.entryOf(entry.bytes, 0, entry.nif) !== entry) auto.gone(entry);
      this.arm();
    });
    const detection = stack.component(DuplicateAddressDetection);
    if (detection) {
      detection.onVerdict.push((entry, duplicate) => {
        if (duplicate) auto.duplicate(this.siteOf(entry.nif), entry);
      });
    }
  }

  interfaceAdded(nif: Interface): void {
    if (nif !== this.ip.loopback) this.solicit(nif);
  }

  interfaceChanged(nif: Interface): void {
    if (nif !== this.ip.loopback && nif.up()) this.solicit(nif);
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = 0; i < this.sites.length; i++) {
      if (this.sites[i].nif !== nif) continue;
      this.sites.splice(i, 1);
      nameServers(this.stack).set("ra", nif, [], []);
      return;
    }
  }

  close(): void {
    this.stack.timers.clear(this.timer);
  }

  message(packet: Packet, type: number): boolean {
    if (type !== wire.ROUTER_ADVERTISEMENT) return false;
    const data = packet.data;
    const at = packet.start;
    const source = packet.network + IPV6_SOURCE;
    const nif = packet.nif as Interface;
    // Fragments and extension headers hide an advertisement from switches that look for forged ones (RFC 6980, RFC 7113).
    if (
      packet.flags & REASSEMBLED ||
      at !== packet.network + IPV6_HEADER ||
      packet.ttl !== 255 ||
      data[at + wire.ICMPV6_CODE] !== 0 ||
      packet.end - at < RA_OPTIONS ||
      !isLinkLocal6(data, source) ||
      findOption(data, at + RA_OPTIONS, packet.end, 0) === -2
    ) {
      this.counters.invalid++;
      return true;
    }
    // A router takes no other router's word (RFC 4861 section 6.2.7), unless it is told whose: towards its provider it is a host (RFC 7084 W-3).
    if (
      (this.ip.forwarder && !this.options.accept) ||
      !this.accepts(nif, this.ip.addressText(data, source, nif))
    ) {
      this.counters.ignored++;
      return true;
    }
    this.counters.advertisements++;
    this.take(this.siteOf(nif), packet);
    return true;
  }

  /** What the router discovery of `nif` knows, for inspection: plain data. */
  inspect(nif: Interface): { routers: string[]; prefixes: string[]; nat64: string } {
    const site = this.siteOf(nif);
    const routers: string[] = [];
    const prefixes: string[] = [];
    for (let i = 0; i < site.routes.length; i++) {
      if (site.routes[i].length === 0) routers.push(this.ip.addressText(site.routes[i].gateway, 0, nif));
    }
    for (let i = 0; i < site.prefixes.length; i++) {
      prefixes.push(format6(site.prefixes[i].bytes, 0) + "/" + site.prefixes[i].length);
    }
    return { routers, prefixes, nat64: namesOf(site, NAT64)[0] || "" };
  }

  private accepts(nif: Interface, router: string): boolean {
    try {
      return !this.options.accept || this.options.accept(nif, router);
    } catch (error) {
      this.stack.host.panic(error);
      return false;
    }
  }

  /** Takes a valid advertisement (RFC 4861 section 6.3.4). */
  private take(site: Site, packet: Packet): void {
    const data = packet.data;
    const at = packet.start;
    const end = packet.end;
    const nif = site.nif;
    const source = packet.network + IPV6_SOURCE;
    const gateway = new Uint8Array(16);
    for (let i = 0; i < 16; i++) gateway[i] = data[source + i];
    if (data[at + HOP_LIMIT] >= LEAST_HOP_LIMIT) site.hopLimit = data[at + HOP_LIMIT];
    const reachable = get32(data, at + REACHABLE_TIME);
    const retrans = get32(data, at + RETRANS_TIMER);
    this.nd.setTimes(
      nif,
      reachable > 0 && reachable <= 3600000 ? reachable : 0,
      retrans >= 100 && retrans <= 60000 ? retrans : 0,
    );
    const lifetime = get16(data, at + LIFETIME);
    if (lifetime > 0) site.soliciting = false;
    const preference = (data[at + FLAGS] >> 3) & 3;
    learnRoute(site, new Uint8Array(16), 0, gateway, lifetime, preference === 2 ? 0 : preference);
    this.nd.learnRouter(nif, data, source, findOption(data, at + RA_OPTIONS, end, wire.ND_SOURCE_LINK));
    let named = false;
    for (let option = at + RA_OPTIONS; option < end; option += data[option + 1] << 3) {
      const type = data[option];
      const length = data[option + 1] << 3;
      if (type === wire.ND_PREFIX && length === 32) this.takePrefix(site, data, option, gateway);
      else if (type === wire.ND_MTU && length === 8) {
        const mtu = get32(data, option + 4);
        if (mtu >= 1280 && mtu <= nif.link.mtu) site.mtu = mtu;
        else this.counters.badOptions++;
      } else if (type === wire.ND_ROUTE && length <= 24) takeRoute(site, data, option, length, gateway);
      else if (type === wire.ND_RDNSS && length >= 24) {
        for (let server = option + 8; server + 16 <= option + length; server += 16) {
          if (isMulticast6(data, server) || isZero(data, server, 15)) this.counters.badOptions++;
          else {
            const text = this.ip.addressText(data, server, nif);
            if (learnName(site, text, SERVER, get32(data, option + 4))) named = true;
          }
        }
      } else if (type === wire.ND_DNSSL && length >= 16) {
        if (takeSearch(site, data, option, length)) named = true;
      } else if (type === wire.ND_PREF64 && length === 16) takeNat64(site, data, option);
    }
    if (named) tellNames(site);
    this.stack.changed();
    this.arm();
    if (this.options.onAdvertisement) {
      try {
        this.options.onAdvertisement({
          interface: nif,
          router: this.ip.addressText(gateway, 0, nif),
          managed: (data[at + FLAGS] & 0x80) !== 0,
          other: (data[at + FLAGS] & 0x40) !== 0,
          lifetime,
          nat64: namesOf(site, NAT64)[0] || "",
        });
      } catch (error) {
        this.stack.host.panic(error);
      }
    }
  }

  /** Prefix information (RFC 4861 section 6.3.4, RFC 4862 section 5.5.3). */
  private takePrefix(site: Site, data: Uint8Array, option: number, router: Uint8Array): void {
    const length = data[option + 2];
    const flags = data[option + 3];
    const valid = get32(data, option + 4);
    const preferred = get32(data, option + 8);
    const at = option + 16;
    if (
      length > 128 ||
      isLinkLocal6(data, at) ||
      isMulticast6(data, at) ||
      // ::/64 holds what is no host's address: ::1, ::ffff:0:0/96.
      isZero(data, at, 8) ||
      preferred >>> 0 > valid >>> 0
    ) {
      this.counters.badOptions++;
      return;
    }
    const bytes = maskPrefix(data.subarray(at, at + 16), length);
    let prefix: Prefix | null = null;
    for (let i = 0; i < site.prefixes.length; i++) {
      const known = site.prefixes[i];
      if (known.length === length && equal6(known.bytes, 0, bytes, 0)) prefix = known;
    }
    const makes = (flags & 0x40) !== 0 && length === 64 && this.options.addresses !== false;
    if (!prefix) {
      if (valid === 0 || (!makes && (flags & 0x80) === 0)) return;
      if (site.prefixes.length >= PREFIXES) {
        this.counters.refused++;
        return;
      }
      prefix = new Prefix(bytes, length);
      site.prefixes.push(prefix);
    }
    noteRouter(prefix, router);
    // Without the L flag nothing is said of the link: it stays as it is.
    if (flags & 0x80 || !prefix.route) {
      setLease(prefix, valid, this.stack.now());
      prefix.over = false;
      setOnLink(site, prefix, (flags & 0x80) !== 0 && valid !== 0);
    }
    if (!makes) return;
    this.auto.take(site, prefix, valid, preferred);
    for (let i = 0; i < this.onPrefix.length; i++) this.onPrefix[i](site.nif, bytes, valid, preferred);
  }

  /**
   * Has the router at `router` advertised the prefix of `entry`? A packet with that source goes by that router, lest another
   * provider's drops it (RFC 8028). True as well where nobody has advertised it.
   */
  private advertisedBy(entry: Address6, router: Uint8Array): boolean {
    const prefixes = this.siteOf(entry.nif).prefixes;
    for (let i = 0; i < prefixes.length; i++) {
      const prefix = prefixes[i];
      if (prefix.length !== 64 || !equal6(maskPrefix(entry.bytes, 64), 0, prefix.bytes, 0)) continue;
      for (let r = 0; r < prefix.routers.length; r++) {
        if (equal6(prefix.routers[r], 0, router, 0)) return true;
      }
      return false;
    }
    return true;
  }

  /** Begins to ask for routers (RFC 4861 section 6.3.7). Whose addresses were taken may try them again. */
  private solicit(nif: Interface): void {
    const site = this.siteOf(nif);
    site.tries = 0;
    for (let i = 0; i < site.prefixes.length; i++) site.prefixes[i].tries = 0;
    site.soliciting = true;
    site.interval = SOLICITATION_INTERVAL;
    site.solicitAt = (this.stack.now() + this.stack.host.randomBelow(SOLICITATION_DELAY)) | 0;
    this.arm();
  }

  private sendSolicitation(nif: Interface): void {
    const tx = nif.up() ? this.stack.prepare(16) : null;
    if (!tx) return;
    const path = this.path;
    path.ends[REMOTE] = 0xff;
    path.ends[REMOTE + 1] = 2;
    path.ends[REMOTE + 15] = 2;
    path.zone = nif;
    path.generation = 0;
    path.anonymous = this.ip.selectSource(nif, path.ends, REMOTE) === null;
    const data = tx.data;
    const at = tx.start;
    put32(data, at, wire.ROUTER_SOLICITATION << 24);
    put32(data, at + 4, 0);
    if (path.anonymous || !nif.medium.resolves) tx.end = at + 8;
    else {
      put16(data, at + 8, (wire.ND_SOURCE_LINK << 8) | 1);
      put16(data, at + 10, nif.high);
      put32(data, at + 12, nif.low);
    }
    this.counters.solicitationsSent++;
    this.icmp.send(tx, path);
  }

  /** Drops what has expired, sends what is due. */
  run(): void {
    const now = this.stack.now();
    for (let s = 0; s < this.sites.length; s++) {
      const site = this.sites[s];
      if (site.soliciting && ((site.solicitAt - now) | 0) <= 0) {
        // Waits twice as long each time, with 10 % of chance (RFC 7559 section 2).
        site.solicitAt = (now + site.interval + this.stack.host.randomBelow(site.interval / 10)) | 0;
        site.interval = site.interval * 2 < SOLICITATION_MAXIMUM ? site.interval * 2 : SOLICITATION_MAXIMUM;
        this.sendSolicitation(site.nif);
      }
      expire(site, now);
    }
    this.auto.age(now);
    this.arm();
  }

  private siteOf(nif: Interface): Site {
    for (let i = 0; i < this.sites.length; i++) {
      if (this.sites[i].nif === nif) return this.sites[i];
    }
    const site = new Site(nif, this.ip, this.nd, this.counters);
    if (!nif.removed) this.sites.push(site);
    return site;
  }

  /** Arms the timer for the earliest of all deadlines. */
  private arm(): void {
    const now = this.stack.now();
    let left = -1;
    const consider = (at: number) => {
      const delay = (at - now) | 0;
      if (left < 0 || delay < left) left = delay > 0 ? delay : 0;
    };
    for (let s = 0; s < this.sites.length; s++) {
      const site = this.sites[s];
      if (site.soliciting) consider(site.solicitAt);
      const lists: Lease[][] = [site.prefixes, site.routes, site.names];
      for (let k = 0; k < lists.length; k++) {
        for (let i = 0; i < lists[k].length; i++) {
          if (!lists[k][i].forever) consider(lists[k][i].until);
        }
      }
    }
    const never = (now + 0x7fffffff) | 0;
    for (let i = 0; i < this.ip.addresses.length; i++) {
      const at = this.auto.due(this.ip.addresses[i], never);
      if (at !== never) consider(at);
    }
    if (left >= 0) this.stack.timers.set(this.timer, (now + left) | 0);
    else this.stack.timers.clear(this.timer);
  }
}

/** Remembers who advertised a prefix, the last of them first. */
function noteRouter(prefix: Prefix, router: Uint8Array): void {
  const routers = prefix.routers;
  for (let i = routers.length - 1; i >= 0; i--) {
    if (equal6(routers[i], 0, router, 0)) routers.splice(i, 1);
  }
  routers.splice(0, 0, router);
  if (routers.length > ROUTERS) routers.pop();
}

function tick(slaac: Slaac): void {
  slaac.run();
}

/** The component for router discovery and autoconfiguration. Needs `ipv6`, `icmpv6`, `nd`. Counters: `slaac`. */
export function slaac(options: SlaacOptions = {}): Slaac {
  return new Slaac(options);
}
