/**
 * What routers have advertised on an interface, each thing with its lifetime: routes and routers (RFC 4861 section 6.3.4,
 * RFC 4191), name servers and search domains (RFC 8106), NAT64 prefixes (RFC 8781). slaac.ts reads the advertisements.
 *
 * Bounds, each for an interface: ROUTERS, PREFIXES, ROUTES, and NAMES of each kind. What is new and finds no room is refused, so
 * that a flood of forged advertisements does not push out what is in use; a router that does not answer makes room for another.
 */
import { get16, get32 } from "../core/bytes.js";
import type { Interface } from "../core/interface.js";
import { nameServers } from "../core/name-servers.js";
import { format6 } from "../core/text6.js";
import { Route6 } from "../route/table6.js";
import { equal6, isLinkLocal6, isMulticast6, maskPrefix } from "../wire/ipv6.js";
import type { Address6 } from "./address.js";
import type { Ipv6 } from "./ipv6.js";
import type { NeighbourDiscovery } from "./nd.js";

export const ROUTERS = 4;
export const PREFIXES = 8;
export const ROUTES = 8;
export const NAMES = 4;

/** Metrics of routes by router preference: medium, high, (reserved), low (RFC 4191 section 2.1). */
const METRICS = [1024, 512, 1024, 2048];

/** Kinds of names. */
export const SERVER = 0;
export const SEARCH = 1;
export const NAT64 = 2;

export class SlaacCounters {
  advertisements = 0;
  /** Hop limit, code, length, source or options are not as they must be; or came in fragments or behind extension headers. */
  invalid = 0;
  /** Advertisements that this host does not listen to: it is a router, or `accept` said no. */
  ignored = 0;
  /** Options of an advertisement whose contents make no sense. */
  badOptions = 0;
  /** Routers, prefixes, routes or name servers beyond the bounds. */
  refused = 0;
  solicitationsSent = 0;
  addressesMade = 0;
}

/** A thing that a router advertised, until `until` (unless `forever`). */
export interface Lease {
  until: number;
  forever: boolean;
}

export class Prefix implements Lease {
  until = 0;
  forever = false;
  /** The route that makes it on-link, or null. */
  route: Route6 | null = null;
  /** The address made from it, or null; `endless`: it is valid for ever, though not preferred for ever. */
  address: Address6 | null = null;
  endless = false;
  /** It has expired, and stays for its address's sake alone. */
  over = false;
  /** Identifiers that were found to be somebody else's. */
  tries = 0;
  /** Who advertised it, the last few (RFC 8028). */
  readonly routers: Uint8Array[] = [];
  constructor(
    readonly bytes: Uint8Array,
    readonly length: number,
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
    readonly kind: number,
  ) {}
}

/** What is known of an interface. */
export class Site {
  readonly prefixes: Prefix[] = [];
  /** Default routers (length 0) and more specific routes. */
  readonly routes: LearntRoute[] = [];
  readonly names: LearntName[] = [];
  hopLimit = 0;
  mtu = 0;
  /** Link-local addresses that were found to be somebody else's. */
  tries = 0;
  /** Solicitations: when the next is due, how long after that the one behind it. */
  soliciting = false;
  solicitAt = 0;
  interval = 0;
  constructor(
    readonly nif: Interface,
    readonly ip: Ipv6,
    readonly nd: NeighbourDiscovery,
    readonly counters: SlaacCounters,
  ) {}
}

/** Sets when a thing expires; `seconds` as unsigned 32 bits, all ones: never. */
export function setLease(lease: Lease, seconds: number, now: number): void {
  lease.forever = seconds === -1;
  lease.until = (now + milliseconds(seconds >>> 0)) | 0;
}

/** Milliseconds of a lifetime in seconds; the clock wraps, so it is cut at 23 days. */
export function milliseconds(seconds: number): number {
  return (seconds < 2000000 ? seconds * 1000 : 2000000000) | 0;
}

export function isOver(lease: Lease, now: number): boolean {
  return !lease.forever && ((lease.until - now) | 0) <= 0;
}

/* Routes */

/** Route information (RFC 4191 section 2.3); `length`: bytes of the option, 24 at most. */
export function takeRoute(
  site: Site,
  data: Uint8Array,
  option: number,
  length: number,
  gateway: Uint8Array,
): void {
  const prefixLength = data[option + 2];
  const preference = (data[option + 3] >> 3) & 3;
  const bytes = new Uint8Array(16);
  for (let i = 0; i < length - 8; i++) bytes[i] = data[option + 8 + i];
  if (
    prefixLength > 128 ||
    (prefixLength + 63) >> 6 > (length - 8) >> 3 ||
    preference === 2 ||
    (prefixLength > 0 && (isLinkLocal6(bytes, 0) || isMulticast6(bytes, 0)))
  ) {
    site.counters.badOptions++;
    return;
  }
  const lifetime = get32(data, option + 4);
  learnRoute(site, maskPrefix(bytes, prefixLength), prefixLength, gateway, lifetime, preference);
}

/** Takes, renews or (lifetime 0) drops a route by `gateway`; lifetimes in seconds, -1: for ever. */
export function learnRoute(
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
    if (known.length === length && equal6(known.bytes, 0, bytes, 0) && equal6(known.gateway, 0, gateway, 0)) {
      found = known;
    }
  }
  if (lifetime === 0) {
    if (found) dropRoute(site, found);
    return;
  }
  if (!found) {
    if (length === 0 ? defaults >= ROUTERS && !replaceRouter(site) : routes.length - defaults >= ROUTES) {
      site.counters.refused++;
      return;
    }
    found = new LearntRoute(bytes, length, gateway);
    routes.push(found);
  }
  setLease(found, lifetime, site.ip.stack.now());
  const metric = METRICS[preference];
  const fib = site.ip.fib;
  if (found.route && found.route.metric !== metric) {
    const old = found.route;
    fib.remove((each) => each === old);
    found.route = null;
  }
  if (found.route) return;
  const route = new Route6(bytes, length, gateway, site.nif, metric, "ra");
  // A table without room is asked again with the next advertisement.
  if (fib.add(route)) found.route = route;
}

function dropRoute(site: Site, learnt: LearntRoute): void {
  const old = learnt.route;
  site.routes.splice(site.routes.indexOf(learnt), 1);
  if (old) site.ip.fib.remove((each) => each === old);
  for (let i = 0; i < site.routes.length; i++) {
    if (equal6(site.routes[i].gateway, 0, learnt.gateway, 0)) return;
  }
  site.nd.forgetRouter(site.nif, learnt.gateway);
}

/** Drops the routes by the neighbour at `data[at..]`: it has said that it is no router (RFC 4861 section 7.2.5). */
export function dropRouter(site: Site, data: Uint8Array, at: number): void {
  for (let i = site.routes.length - 1; i >= 0; i--) {
    if (equal6(site.routes[i].gateway, 0, data, at)) dropRoute(site, site.routes[i]);
  }
}

/** Makes room for a default router by dropping one that does not answer; false: all may be in use. */
function replaceRouter(site: Site): boolean {
  for (let i = 0; i < site.routes.length; i++) {
    const known = site.routes[i];
    if (known.length !== 0 || !site.nd.isUnreachable(site.nif, known.gateway)) continue;
    dropRoute(site, known);
    return true;
  }
  return false;
}

/** Makes `prefix` on-link, or no longer. */
export function setOnLink(site: Site, prefix: Prefix, on: boolean): void {
  const old = prefix.route;
  if (on && !old) {
    const route = new Route6(prefix.bytes, prefix.length, null, site.nif, 256, "ra");
    if (site.ip.fib.add(route)) prefix.route = route;
  } else if (!on && old) {
    site.ip.fib.remove((each) => each === old);
    prefix.route = null;
  }
}

/* Names */

/** Search list (RFC 8106 section 5.2): names in labels, without compression. True: something has changed. */
export function takeSearch(site: Site, data: Uint8Array, option: number, length: number): boolean {
  const end = option + length;
  let at = option + 8;
  let changed = false;
  while (at < end && data[at] !== 0) {
    let name = "";
    while (at < end && data[at] !== 0) {
      const label = data[at];
      let good = label < 64 && at + 1 + label < end && name.length + label < 253;
      if (good && name !== "") name += ".";
      for (let i = 1; good && i <= label; i++) {
        const code = data[at + i];
        // What is no letter, digit or hyphen makes no host's name.
        good =
          code === 45 ||
          (code >= 48 && code <= 57) ||
          ((code | 32) >= 97 && (code | 32) <= 122 && code < 128);
        name += String.fromCharCode(code);
      }
      if (!good) {
        site.counters.badOptions++;
        return changed;
      }
      at += label + 1;
    }
    at++;
    if (learnName(site, name, SEARCH, get32(data, option + 4))) changed = true;
  }
  return changed;
}

/** Takes, renews or (lifetime 0) drops a name. True: the list has changed. */
export function learnName(site: Site, text: string, kind: number, lifetime: number): boolean {
  const names = site.names;
  let count = 0;
  let found: LearntName | null = null;
  for (let i = 0; i < names.length; i++) {
    if (names[i].kind !== kind) continue;
    count++;
    if (names[i].text === text) found = names[i];
  }
  if (lifetime === 0) {
    if (found) names.splice(names.indexOf(found), 1);
    return found !== null;
  }
  const known = found !== null;
  if (!found) {
    if (count >= NAMES) {
      site.counters.refused++;
      return false;
    }
    found = new LearntName(text, kind);
    names.push(found);
  }
  setLease(found, lifetime, site.ip.stack.now());
  return !known;
}

export function namesOf(site: Site, kind: number): string[] {
  const found: string[] = [];
  for (let i = 0; i < site.names.length; i++) {
    if (site.names[i].kind === kind) found.push(site.names[i].text);
  }
  return found;
}

export function tellNames(site: Site): void {
  nameServers(site.ip.stack).set("ra", site.nif, namesOf(site, SERVER), namesOf(site, SEARCH));
}

/** A NAT64 prefix (RFC 8781 section 4). */
export function takeNat64(site: Site, data: Uint8Array, option: number): void {
  const word = get16(data, option + 2);
  const lengths = [96, 64, 56, 48, 40, 32];
  const code = word & 7;
  if (code >= lengths.length) {
    site.counters.badOptions++;
    return;
  }
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 12; i++) bytes[i] = data[option + 4 + i];
  // The lifetime is in units of 8 seconds, and the three bits below it are the code's.
  learnName(site, format6(maskPrefix(bytes, lengths[code]), 0) + "/" + lengths[code], NAT64, word & 0xfff8);
}

/** Drops what has expired. */
export function expire(site: Site, now: number): void {
  for (let i = site.prefixes.length - 1; i >= 0; i--) {
    const prefix = site.prefixes[i];
    if (!isOver(prefix, now)) continue;
    setOnLink(site, prefix, false);
    // The address goes by lifetimes of its own, and the prefix with it.
    if (prefix.address) prefix.over = prefix.forever = true;
    else site.prefixes.splice(i, 1);
    site.ip.stack.changed();
  }
  for (let i = site.routes.length - 1; i >= 0; i--) {
    if (!isOver(site.routes[i], now)) continue;
    dropRoute(site, site.routes[i]);
    site.ip.stack.changed();
  }
  let told = true;
  for (let i = site.names.length - 1; i >= 0; i--) {
    if (!isOver(site.names[i], now)) continue;
    if (site.names[i].kind !== NAT64) told = false;
    site.names.splice(i, 1);
  }
  if (!told) tellNames(site);
}
