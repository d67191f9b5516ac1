/**
 * Router discovery and stateless address autoconfiguration, the host's side: routers (RFC 4861 section 6.3, RFC 4191),
 * prefixes and addresses (RFC 4862), stable opaque identifiers (RFC 7217), name servers (RFC 8106), MTU, hop limit, timers,
 * the NAT64 prefix (RFC 8781). Temporary addresses are temporary.ts's.
 *
 * Bounds, each for an interface: ROUTERS, PREFIXES, ROUTES and NAMES below. What is new and finds no room is ignored, so that a
 * flood of forged advertisements does not push out what is in use.
 */
import { get16, get32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { REASSEMBLED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { nameServers } from "../core/name-servers.js";
import { format6 } from "../core/text6.js";
import { Timer } from "../core/timers.js";
import { Route6 } from "../route/table6.js";
import * as wire from "../wire/icmpv6.js";
import { IPV6_HEADER, IPV6_SOURCE, equal6, isLinkLocal6, isMulticast6 } from "../wire/ipv6.js";
import { DEPRECATED, PREFERRED, TENTATIVE } from "./address.js";
import type { Address6 } from "./address.js";
import { DuplicateAddressDetection } from "./dad.js";
import { Icmpv6 } from "./icmpv6.js";
import type { MessageHandler } from "./icmpv6.js";
import { stableIdentifier } from "./identifier.js";
import { maskPrefix } from "./ipv6.js";
import type { Ipv6 } from "./ipv6.js";
import { NeighbourDiscovery, findOption } from "./nd.js";
import type { Path6 } from "./path.js";
import { REMOTE } from "./path.js";

const ROUTERS = 4;
const PREFIXES = 8;
const ROUTES = 8;
const NAMES = 4;

/** RFC 4861 section 10, RFC 7559: solicitations, ms. */
const SOLICITATION_DELAY = 1000;
const SOLICITATION_INTERVAL = 4000;
const SOLICITATION_MAXIMUM = 3600000;
/** Another identifier is tried this often where an address was somebody else's (RFC 7217 section 7, IDGEN_RETRIES). */
const IDENTIFIER_TRIES = 3;
/** RFC 4862 section 5.5.3 (e): an unauthenticated advertisement shortens a lifetime to two hours at the least, s. */
const TWO_HOURS = 7200;
/** Metrics of routes by router preference: medium, high, (reserved), low (RFC 4191 section 2.1). */
const METRICS = [1024, 512, 1024, 2048];
/** Offsets in an advertisement. */
const HOP_LIMIT = 4;
const FLAGS = 5;
const LIFETIME = 6;
const REACHABLE_TIME = 8;
const RETRANS_TIMER = 12;
const RA_OPTIONS = 16;

export class SlaacCounters {
  advertisements = 0;
  /** Hop limit, code, length, source or options are not as they must be; or came in fragments or behind extension headers. */
  invalid = 0;
  /** Routers, prefixes, routes or name servers beyond the bounds. */
  refused = 0;
  solicitationsSent = 0;
  addressesMade = 0;
}

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
  /** The NAT64 prefix (RFC 8781), for example `"64:ff9b::/96"`, or `""`. */
  nat64: string;
}

export interface SlaacOptions {
  /** 16 secret bytes for stable identifiers, kept over reboots: the same addresses come again. Default: new at each boot. */
  secret?: Uint8Array;
  /** Names the network (an SSID): addresses differ between networks of one prefix. */
  network?: string;
  /** Makes addresses. Default true; false: routes and parameters alone. */
  addresses?: boolean;
  /** An advertisement has been taken. */
  onAdvertisement?(information: RouterInformation): void;
}

/** A thing that a router advertised, until `until` (unless `forever`). */
interface Lease {
  until: number;
  forever: boolean;
}

class Prefix implements Lease {
  until = 0;
  forever = false;
  /** The address made from it, or null. */
  address: Address6 | null = null;
  tries = 0;
  constructor(
    readonly bytes: Uint8Array,
    readonly length: number,
    readonly onLink: boolean,
  ) {}
}

class LearntRoute implements Lease {
  until = 0;
  forever = false;
  route: Route6 | null = null;
  constructor(
    readonly bytes: Uint8Array,
    readonly length: number,
    readonly gateway: Uint8Array,
  ) {}
}

class LearntName implements Lease {
  until = 0;
  forever = false;
  constructor(
    readonly text: string,
    readonly search: boolean,
  ) {}
}

/** What is known of an interface. */
class Site {
  readonly prefixes: Prefix[] = [];
  /** Default routers (length 0) and more specific routes. */
  readonly routes: LearntRoute[] = [];
  readonly names: LearntName[] = [];
  hopLimit = 0;
  mtu = 0;
  nat64 = "";
  /** Solicitations: when the next is due, how long after that the one behind it. */
  soliciting = true;
  solicitAt = 0;
  interval = SOLICITATION_INTERVAL;
  constructor(readonly nif: Interface) {}
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
  private secret: Uint8Array | null = null;

  constructor(private readonly options: SlaacOptions) {
    const secret = options.secret;
    if (!secret) return;
    if (!(secret instanceof Uint8Array) || secret.length !== 16) fail("EINVAL", "secret");
    this.secret = new Uint8Array(secret);
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
    icmp.handlers.push(this);
    ip.advertisedHopLimit = (nif) => this.siteOf(nif).hopLimit;
    ip.advertisedMtu = (nif) => this.siteOf(nif).mtu;
    ip.identifier = (nif, prefix, tries) => this.identify(nif, prefix, tries);
    const detection = stack.component(DuplicateAddressDetection);
    if (detection) detection.onVerdict.push((entry, duplicate) => this.verdict(entry, duplicate));
  }

  interfaceAdded(nif: Interface): void {
    if (nif !== this.ip.loopback) this.solicit(this.siteOf(nif));
  }

  interfaceChanged(nif: Interface): void {
    if (nif !== this.ip.loopback && nif.up()) this.solicit(this.siteOf(nif));
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
    // A router takes no other router's word (RFC 4861 section 6.2.7).
    if (this.ip.forwarder) return true;
    this.counters.advertisements++;
    this.take(this.siteOf(packet.nif as Interface), packet);
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
    return { routers, prefixes, nat64: site.nat64 };
  }

  /** Takes a valid advertisement (RFC 4861 section 6.3.4). */
  private take(site: Site, packet: Packet): void {
    const data = packet.data;
    const at = packet.start;
    const nif = site.nif;
    const source = packet.network + IPV6_SOURCE;
    const gateway = new Uint8Array(16);
    for (let i = 0; i < 16; i++) gateway[i] = data[source + i];
    site.soliciting = false;
    if (data[at + HOP_LIMIT] !== 0) site.hopLimit = data[at + HOP_LIMIT];
    const reachable = get32(data, at + REACHABLE_TIME);
    if (reachable > 0 && reachable <= 3600000) this.nd.cache.reachableTime = reachable;
    const retrans = get32(data, at + RETRANS_TIMER);
    if (retrans >= 100 && retrans <= 60000) this.nd.cache.retransTimer = retrans;
    const lifetime = get16(data, at + LIFETIME);
    const preference = (data[at + FLAGS] >> 3) & 3;
    this.learnRoute(site, new Uint8Array(16), 0, gateway, lifetime, preference === 2 ? 0 : preference);
    this.nd.learnRouter(
      nif,
      data,
      source,
      findOption(data, at + RA_OPTIONS, packet.end, wire.ND_SOURCE_LINK),
    );
    site.nat64 = "";
    let named = false;
    for (let option = at + RA_OPTIONS; option < packet.end; option += data[option + 1] << 3) {
      const type = data[option];
      const length = data[option + 1] << 3;
      if (type === wire.ND_PREFIX && length === 32) this.takePrefix(site, data, option);
      else if (type === wire.ND_MTU && length === 8) {
        const mtu = get32(data, option + 4);
        if (mtu >= 1280 && mtu <= nif.link.mtu) site.mtu = mtu;
      } else if (type === wire.ND_ROUTE && length <= 24) this.takeRoute(site, data, option, length, gateway);
      else if (type === wire.ND_RDNSS && length >= 24) {
        named = true;
        for (let server = option + 8; server + 16 <= option + length; server += 16) {
          if (isMulticast6(data, server)) continue;
          this.learnName(site, this.ip.addressText(data, server, nif), false, get32(data, option + 4));
        }
      } else if (type === wire.ND_DNSSL && length >= 16) {
        named = true;
        this.takeSearch(site, data, option, length);
      } else if (type === wire.ND_PREF64 && length === 16) site.nat64 = pref64(data, option);
    }
    if (named) this.tellNames(site);
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
          nat64: site.nat64,
        });
      } catch (error) {
        this.stack.host.panic(error);
      }
    }
  }

  /** Prefix information (RFC 4861 section 6.3.4, RFC 4862 section 5.5.3). */
  private takePrefix(site: Site, data: Uint8Array, option: number): void {
    const length = data[option + 2];
    const flags = data[option + 3];
    const valid = get32(data, option + 4);
    let preferred = get32(data, option + 8);
    const at = option + 16;
    if (
      length > 128 ||
      isLinkLocal6(data, at) ||
      isMulticast6(data, at) ||
      (valid !== -1 && (preferred === -1 || preferred >>> 0 > valid >>> 0))
    ) {
      this.counters.invalid++;
      return;
    }
    const bytes = maskPrefix(data.subarray(at, at + 16), length);
    let prefix: Prefix | null = null;
    for (let i = 0; i < site.prefixes.length; i++) {
      const known = site.prefixes[i];
      if (known.length === length && equal6(known.bytes, 0, bytes, 0)) prefix = known;
    }
    if (!prefix) {
      if (valid === 0) return;
      if (site.prefixes.length >= PREFIXES) {
        this.counters.refused++;
        return;
      }
      prefix = new Prefix(bytes, length, (flags & 0x80) !== 0);
      site.prefixes.push(prefix);
    }
    if (flags & 0x80) {
      const route = new Route6(bytes, length, null, site.nif, 256, "ra");
      setLease(prefix, valid, this.stack.now());
      if (valid !== 0) this.ip.fib.add(route);
      else this.dropOnLink(site, prefix);
    } else if (!prefix.onLink) setLease(prefix, valid, this.stack.now());
    if ((flags & 0x40) === 0 || length !== 64 || this.options.addresses === false) return;
    if (preferred === -1 && valid !== -1) preferred = valid;
    for (let i = 0; i < this.onPrefix.length; i++) this.onPrefix[i](site.nif, bytes, valid, preferred);
    if (!prefix.address && valid !== 0) this.makeAddress(site, prefix);
    if (prefix.address) this.extend(prefix.address, valid, preferred);
  }

  /** Sets the lifetimes of an address (seconds as unsigned 32 bits): RFC 4862 section 5.5.3 (e). */
  extend(entry: Address6, valid: number, preferred: number): void {
    const now = this.stack.now();
    if (valid === -1) entry.expires = false;
    else {
      const remaining = entry.expires ? ((entry.validUntil - now) | 0) / 1000 : 0xffffffff;
      let seconds = valid >>> 0;
      // A forged advertisement must not take an address away at once.
      if (seconds <= TWO_HOURS && seconds < remaining) {
        seconds = remaining < TWO_HOURS ? remaining : TWO_HOURS;
      }
      entry.expires = true;
      entry.validUntil = (now + milliseconds(seconds)) | 0;
      entry.preferredUntil = (now + milliseconds(preferred >>> 0)) | 0;
    }
    if (entry.state === PREFERRED && entry.expires && preferred === 0) {
      entry.state = DEPRECATED;
      this.ip.addressChanged(entry, true);
    } else if (entry.state === DEPRECATED && preferred !== 0) {
      entry.state = PREFERRED;
      this.ip.addressChanged(entry, true);
    }
  }

  private makeAddress(site: Site, prefix: Prefix): void {
    const identifier = this.identify(site.nif, prefix.bytes, prefix.tries);
    if (!identifier) return;
    const bytes = new Uint8Array(prefix.bytes);
    bytes.set(identifier, 8);
    if (this.ip.entryOf(bytes, 0, site.nif)) return;
    this.counters.addressesMade++;
    // The route to the prefix is the L flag's business (RFC 5942).
    prefix.address = this.ip.addAddress(site.nif, format6(bytes, 0) + "/64", {
      origin: "slaac",
      route: false,
    });
  }

  private identify(nif: Interface, prefix: Uint8Array, tries: number): Uint8Array | null {
    if (!this.secret) {
      const secret = new Uint8Array(16);
      if (!this.stack.host.random(secret)) return null;
      this.secret = secret;
    }
    return stableIdentifier(this.secret, nif, prefix, this.options.network || "", tries);
  }

  /** An address of ours is somebody else's: another identifier is tried (RFC 7217 section 6). */
  private verdict(entry: Address6, duplicate: boolean): void {
    if (!duplicate) return;
    const site = this.siteOf(entry.nif);
    if (entry.origin === "link-local") {
      let tries = 0;
      for (let i = 0; i < this.ip.addresses.length; i++) {
        const other = this.ip.addresses[i];
        if (other.nif === entry.nif && other.origin === "link-local") tries++;
      }
      if (tries <= IDENTIFIER_TRIES) this.ip.addLinkLocal(entry.nif, tries);
      return;
    }
    for (let i = 0; i < site.prefixes.length; i++) {
      const prefix = site.prefixes[i];
      if (prefix.address !== entry) continue;
      const expires = entry.expires;
      const valid = entry.validUntil;
      const preferred = entry.preferredUntil;
      this.ip.dropAddress(entry);
      prefix.address = null;
      if (++prefix.tries > IDENTIFIER_TRIES) return;
      this.makeAddress(site, prefix);
      const made = prefix.address as Address6 | null;
      if (!made) return;
      made.expires = expires;
      made.validUntil = valid;
      made.preferredUntil = preferred;
    }
  }

  /** Route information (RFC 4191 section 2.3). */
  private takeRoute(site: Site, data: Uint8Array, option: number, length: number, gateway: Uint8Array): void {
    const prefixLength = data[option + 2];
    const preference = (data[option + 3] >> 3) & 3;
    if (prefixLength > 128 || (prefixLength + 63) >> 6 > (length - 8) >> 3 || preference === 2) {
      this.counters.invalid++;
      return;
    }
    const bytes = new Uint8Array(16);
    for (let i = 0; i < length - 8; i++) bytes[i] = data[option + 8 + i];
    this.learnRoute(
      site,
      maskPrefix(bytes, prefixLength),
      prefixLength,
      gateway,
      get32(data, option + 4),
      preference,
    );
  }

  /** Takes, renews or (lifetime 0) drops a route by `gateway`; lifetimes in seconds, -1: for ever. */
  private learnRoute(
    site: Site,
    bytes: Uint8Array,
    length: number,
    gateway: Uint8Array,
    lifetime: number,
    preference: number,
  ): void {
    const routes = site.routes;
    let found: LearntRoute | null = null;
    let defaults = 0;
    for (let i = 0; i < routes.length; i++) {
      const known = routes[i];
      if (known.length === 0) defaults++;
      if (
        known.length === length &&
        equal6(known.bytes, 0, bytes, 0) &&
        equal6(known.gateway, 0, gateway, 0)
      ) {
        found = known;
      }
    }
    if (!found) {
      if (lifetime === 0) return;
      if (
        length === 0 ? defaults >= ROUTERS && !this.replaceRouter(site) : routes.length - defaults >= ROUTES
      ) {
        this.counters.refused++;
        return;
      }
      found = new LearntRoute(bytes, length, gateway);
      routes.push(found);
    }
    const metric = METRICS[preference];
    const fib = this.ip.fib;
    if (found.route && (found.route.metric !== metric || lifetime === 0)) {
      const old = found.route;
      fib.remove((each) => each === old);
      found.route = null;
    }
    setLease(found, lifetime, this.stack.now());
    if (lifetime === 0) routes.splice(routes.indexOf(found), 1);
    else if (!found.route) {
      found.route = new Route6(bytes, length, gateway, site.nif, metric, "ra");
      fib.add(found.route);
    }
  }

  /** Makes room for a default router by dropping one that does not answer; false: all may be in use. */
  private replaceRouter(site: Site): boolean {
    for (let i = 0; i < site.routes.length; i++) {
      const known = site.routes[i];
      if (known.length !== 0 || !this.nd.isUnreachable(site.nif, known.gateway)) continue;
      const old = known.route;
      this.ip.fib.remove((each) => each === old);
      site.routes.splice(i, 1);
      return true;
    }
    return false;
  }

  /** Search list (RFC 8106 section 5.2): names in labels, without compression. */
  private takeSearch(site: Site, data: Uint8Array, option: number, length: number): void {
    const end = option + length;
    let at = option + 8;
    while (at < end && data[at] !== 0) {
      let name = "";
      while (at < end && data[at] !== 0) {
        const label = data[at];
        if (label > 63 || at + 1 + label > end || name.length + label > 253) {
          this.counters.invalid++;
          return;
        }
        if (name !== "") name += ".";
        for (let i = 1; i <= label; i++) {
          const code = data[at + i];
          // What is no letter, digit or hyphen makes no host's name.
          if (code !== 45 && !(code >= 48 && code <= 57) && !((code | 32) >= 97 && (code | 32) <= 122))
            return;
          name += String.fromCharCode(code);
        }
        at += label + 1;
      }
      at++;
      this.learnName(site, name, true, get32(data, option + 4));
    }
  }

  private learnName(site: Site, text: string, search: boolean, lifetime: number): void {
    const names = site.names;
    let count = 0;
    for (let i = 0; i < names.length; i++) {
      if (names[i].search !== search) continue;
      count++;
      if (names[i].text !== text) continue;
      setLease(names[i], lifetime, this.stack.now());
      if (lifetime === 0) names.splice(i, 1);
      return;
    }
    if (lifetime === 0) return;
    if (count >= NAMES) {
      this.counters.refused++;
      return;
    }
    const name = new LearntName(text, search);
    setLease(name, lifetime, this.stack.now());
    names.push(name);
  }

  private tellNames(site: Site): void {
    const servers: string[] = [];
    const search: string[] = [];
    for (let i = 0; i < site.names.length; i++) {
      (site.names[i].search ? search : servers).push(site.names[i].text);
    }
    nameServers(this.stack).set("ra", site.nif, servers, search);
  }

  private dropOnLink(site: Site, prefix: Prefix): void {
    this.ip.fib.remove(
      (route) =>
        route.origin === "ra" &&
        route.nif === site.nif &&
        route.gateway === null &&
        route.length === prefix.length &&
        equal6(route.prefix, 0, prefix.bytes, 0),
    );
  }

  /** Begins to ask for routers (RFC 4861 section 6.3.7). */
  private solicit(site: Site): void {
    site.soliciting = true;
    site.interval = SOLICITATION_INTERVAL;
    site.solicitAt = (this.stack.now() + this.stack.host.randomBelow(SOLICITATION_DELAY)) | 0;
    this.arm();
  }

  private sendSolicitation(site: Site): void {
    const nif = site.nif;
    const tx = nif.up() ? this.stack.prepare(16) : null;
    if (!tx) return;
    const path = this.path;
    path.ends[REMOTE] = 0xff;
    path.ends[REMOTE + 1] = 2;
    path.ends[REMOTE + 15] = 2;
    path.zone = nif;
    path.generation = 0;
    path.fixed = false;
    const source = this.ip.selectSource(nif, path.ends, REMOTE);
    path.anonymous = source === null;
    const data = tx.data;
    for (let i = 0; i < 16; i++) data[tx.start + i] = 0;
    data[tx.start] = wire.ROUTER_SOLICITATION;
    if (source && nif.medium.resolves) {
      data[tx.start + 8] = wire.ND_SOURCE_LINK;
      data[tx.start + 9] = 1;
      data[tx.start + 10] = nif.high >> 8;
      data[tx.start + 11] = nif.high;
      for (let i = 0; i < 4; i++) data[tx.start + 12 + i] = nif.low >> (24 - i * 8);
    } else tx.end = tx.start + 8;
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
        this.sendSolicitation(site);
      }
      for (let i = site.prefixes.length - 1; i >= 0; i--) {
        if (!isOver(site.prefixes[i], now)) continue;
        this.dropOnLink(site, site.prefixes[i]);
        if (!site.prefixes[i].address) site.prefixes.splice(i, 1);
        else site.prefixes[i].forever = true;
        this.stack.changed();
      }
      for (let i = site.routes.length - 1; i >= 0; i--) {
        if (!isOver(site.routes[i], now)) continue;
        const old = site.routes[i].route;
        this.ip.fib.remove((each) => each === old);
        site.routes.splice(i, 1);
        this.stack.changed();
      }
      const names = site.names.length;
      for (let i = names - 1; i >= 0; i--) {
        if (isOver(site.names[i], now)) site.names.splice(i, 1);
      }
      if (site.names.length !== names) this.tellNames(site);
    }
    this.ageAddresses(now);
    this.arm();
  }

  /** Addresses become deprecated, then go. */
  private ageAddresses(now: number): void {
    for (let i = this.ip.addresses.length - 1; i >= 0; i--) {
      const entry = this.ip.addresses[i];
      if (!entry.expires) continue;
      if (((entry.validUntil - now) | 0) <= 0) {
        this.ip.dropAddress(entry);
        for (let s = 0; s < this.sites.length; s++) {
          const prefixes = this.sites[s].prefixes;
          for (let p = prefixes.length - 1; p >= 0; p--) {
            if (prefixes[p].address === entry) prefixes.splice(p, 1);
          }
        }
      } else if (entry.state === PREFERRED && ((entry.preferredUntil - now) | 0) <= 0) {
        entry.state = DEPRECATED;
        this.ip.addressChanged(entry, true);
      }
    }
  }

  private siteOf(nif: Interface): Site {
    for (let i = 0; i < this.sites.length; i++) {
      if (this.sites[i].nif === nif) return this.sites[i];
    }
    const site = new Site(nif);
    site.soliciting = false;
    if (!nif.removed) this.sites.push(site);
    return site;
  }

  /** Arms the timer for the earliest of all deadlines. */
  arm(): void {
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
    for (let i = 0; i < this.ip.addresses.length; i++) {
      const entry = this.ip.addresses[i];
      if (!entry.expires || entry.state === TENTATIVE) continue;
      consider(entry.state === PREFERRED ? entry.preferredUntil : entry.validUntil);
    }
    if (left >= 0) this.stack.timers.set(this.timer, (now + left) | 0);
    else this.stack.timers.clear(this.timer);
  }
}

/** Sets when a thing expires; `seconds` as unsigned 32 bits, all ones: never. */
function setLease(lease: Lease, seconds: number, now: number): void {
  lease.forever = seconds === -1;
  lease.until = (now + milliseconds(seconds >>> 0)) | 0;
}

/** Milliseconds of a lifetime in seconds; the clock wraps, so it is cut at 23 days. */
function milliseconds(seconds: number): number {
  return (seconds < 2000000 ? seconds * 1000 : 2000000000) | 0;
}

function isOver(lease: Lease, now: number): boolean {
  return !lease.forever && ((lease.until - now) | 0) <= 0;
}

/** The prefix of a PREF64 option as text (RFC 8781 section 4), or `""`. */
function pref64(data: Uint8Array, option: number): string {
  const word = get16(data, option + 2);
  const lengths = [96, 64, 56, 48, 40, 32];
  const code = word & 7;
  if (code >= lengths.length || word >> 3 === 0) return "";
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 12; i++) bytes[i] = data[option + 4 + i];
  return format6(maskPrefix(bytes, lengths[code]), 0) + "/" + lengths[code];
}

function tick(slaac: Slaac): void {
  slaac.run();
}

/** The component for router discovery and autoconfiguration. Needs `ipv6`, `icmpv6`, `nd`. Counters: `slaac`. */
export function slaac(options: SlaacOptions = {}): Slaac {
  return new Slaac(options);
}
