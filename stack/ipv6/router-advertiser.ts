/**
 * Router advertisements, the router's side (RFC 4861 section 6.2, RFC 4191, RFC 8106, RFC 8781, RFC 9096): the component.
 *
 * What is advertised of prefixes follows the interface's addresses, unless it is given: a /64 that a delegation has put there is told
 * within a moment, and one that has gone is told to be over for as long as a host may have it.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { REASSEMBLED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { parse6 } from "../core/text6.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/icmpv6.js";
import { IPV6_SOURCE, equal6, isLinkLocal6, isUnspecified6, maskPrefix } from "../wire/ipv6.js";
import { PREFERRED, isUsable } from "./address.js";
import { Icmpv6 } from "./icmpv6.js";
import type { MessageHandler } from "./icmpv6.js";
import type { Ipv6 } from "./ipv6.js";
import { joinGroup, leaveGroup } from "./groups.js";
import { findOption } from "./nd.js";
import type { Path6 } from "./path.js";
import { SOURCE } from "./path.js";
import {
  preferenceBits,
  prefixOf,
  pushMtu,
  pushNat64,
  pushPrefix,
  pushRoute,
  pushSearch,
  pushSeconds,
  pushServers,
} from "./router-options.js";
import type { AdvertisedPrefix, AdvertisedRoute, RouterPreference } from "./router-options.js";

export type { AdvertisedPrefix, AdvertisedRoute, RouterPreference } from "./router-options.js";

const ALL_NODES = "ff02::1";
const ALL_ROUTERS = "ff02::2";
/** RFC 4861 section 10, ms: the first advertisements come quicker, and answers to solicitations are spaced. */
const MAX_INITIAL_INTERVAL = 16000;
const MAX_INITIAL = 3;
const MIN_BETWEEN = 3000;
const MAX_DELAY = 500;
/** An advertisement that could not be sent (no address as yet) is tried again, ms. */
const RETRY = 1000;
/** RFC 9096 section 3.2, seconds: lifetimes of prefixes; and how long it is said that one is over, ms. */
const VALID = 5400;
const PREFERRED_TIME = 2700;
const STALE = 5400000;
/** Prefixes that are told of at one time, those that are over among them. */
const PREFIXES = 16;
/** The smallest MTU without the IPv6 header: advertisements come in one piece. */
const LONGEST = 1240;
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;

export class RouterAdvertiserCounters {
  sent = 0;
  sendFailed = 0;
  solicitations = 0;
  /** Hop limit, code, length, source or options are not as they must be. */
  invalid = 0;
  /** Prefixes or options for which an advertisement had no room. */
  omitted = 0;
}

/** What an interface's network is told. Lifetimes in seconds. */
export interface AdvertisementOptions {
  interface: Interface;
  /** Default: the prefixes of the interface's addresses. */
  prefixes?: AdvertisedPrefix[];
  routes?: AdvertisedRoute[];
  /** Addresses of name servers (RFC 8106), and domains to append to short names. */
  nameServers?: string[];
  search?: string[];
  /** The prefix that stands for IPv4 (RFC 8781): `"64:ff9b::/96"`. */
  nat64?: string;
  /** How long this is a default router; 0: it is none. Default three times `interval` when the stack forwards IPv6, else 0. */
  lifetime?: number;
  preference?: RouterPreference;
  /** Addresses (M), or other configuration (O), are to be had by DHCPv6. Default false. */
  managed?: boolean;
  other?: boolean;
  /** Hop limit that hosts are to use, 0: unspecified. Default 64. */
  hopLimit?: number;
  /** Default: none is told. */
  mtu?: number;
  /** Milliseconds; default 0: unspecified. */
  reachableTime?: number;
  retransTimer?: number;
  /** Seconds between two advertisements at the most, 4..1800; at the least a third of that, by chance. Default 600. */
  interval?: number;
}

/** A prefix, as it was last told. */
interface Told {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly flags: number;
  /** It is over. */
  gone: boolean;
  /** Stack time at which it was last told to be in use. */
  since: number;
}

/** What is advertised on one interface. */
export class Advertisement {
  readonly timer: Timer;
  /** Advertisements sent since the interface is up, and when the last was. */
  count = 0;
  last = 0;
  readonly told: Told[] = [];
  closed = false;
  /** Options besides prefixes; the same with lifetimes of zero, for the end. */
  tail: number[] = [];
  farewell: number[] = [];

  constructor(
    readonly owner: RouterAdvertiser,
    readonly nif: Interface,
    public options: AdvertisementOptions,
  ) {
    this.timer = new Timer(fire, this);
    this.tail = compile(options, false);
    this.farewell = compile(options, true);
  }

  /** Advertises something else from now on; prefixes that are no longer among it are told to be over. `EINVAL` as `advertise`. */
  update(options: AdvertisementOptions): void {
    if (options.interface !== this.nif) fail("EINVAL", "interface");
    const tail = compile(options, false);
    const farewell = compile(options, true);
    // What is not said again is said to be over, once.
    this.tail = tail.concat(difference(this.farewell, farewell));
    this.farewell = farewell;
    this.options = options;
    this.owner.send(this, false);
    this.tail = tail;
    this.count = 0;
    this.owner.schedule(this, MIN_BETWEEN);
  }

  /** Ends it: hosts are told that this is no router any more. Legal twice. */
  close(): void {
    this.owner.drop(this);
  }
}

export class RouterAdvertiser implements Component, MessageHandler {
  readonly name = "advertiser";
  readonly counters = new RouterAdvertiserCounters();
  stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private icmp: Icmpv6 = null as never;
  private path: Path6 = null as never;
  private readonly list: Advertisement[] = [];

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "advertiser");
    this.stack = stack;
    stack.counters.advertiser = this.counters as never;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(6) as Ipv6);
    const icmp = this.stack.component(Icmpv6);
    if (!ip || !icmp) return fail("ENOPROTOOPT", "advertiser needs ipv6 and icmpv6");
    this.icmp = icmp;
    this.path = ip.createPath();
    this.path.ttl = 255;
    icmp.handlers.push(this);
    ip.onAddressChange.push((entry) => {
      const found = this.find(entry.nif);
      // A link-local address, too: it may be what an advertisement waited for.
      if (found) this.soon(found);
    });
  }

  /** Begins to advertise on an interface. Errors (thrown): `EBUSY` it does already, `EINVAL` options. */
  advertise(options: AdvertisementOptions): Advertisement {
    const nif = options.interface;
    if (!nif || nif.removed) fail("EINVAL", "interface");
    if (this.find(nif)) fail("EBUSY", nif.name);
    const made = new Advertisement(this, nif, options);
    this.list.push(made);
    joinGroup(this.ip, nif, parse6(ALL_ROUTERS) as Uint8Array, null);
    this.schedule(made, this.stack.host.randomBelow(MAX_DELAY));
    return made;
  }

  interfaceChanged(nif: Interface): void {
    const found = this.find(nif);
    if (!found || !nif.up()) return;
    found.count = 0;
    this.schedule(found, this.stack.host.randomBelow(MAX_DELAY));
  }

  interfaceRemoved(nif: Interface): void {
    const found = this.find(nif);
    if (found) this.drop(found);
  }

  message(packet: Packet, type: number): boolean {
    if (type !== wire.ROUTER_SOLICITATION) return false;
    const data = packet.data;
    const at = packet.start;
    const found = packet.nif && this.find(packet.nif);
    if (!found) return false;
    const link = findOption(data, at + wire.ICMPV6_HEADER, packet.end, wire.ND_SOURCE_LINK);
    if (
      packet.flags & REASSEMBLED ||
      packet.ttl !== 255 ||
      data[at + wire.ICMPV6_CODE] !== 0 ||
      link === -2 ||
      (link >= 0 && isUnspecified6(data, packet.network + IPV6_SOURCE))
    ) {
      this.counters.invalid++;
      return true;
    }
    this.counters.solicitations++;
    this.soon(found);
    return true;
  }

  /* For `Advertisement`. */

  /** Sends at the next moment that is allowed (RFC 4861 section 6.2.6), unless one goes out before. */
  soon(a: Advertisement): void {
    const now = this.stack.now();
    let delay = this.stack.host.randomBelow(MAX_DELAY + 1);
    const since = (now - a.last) | 0;
    if (a.count > 0 && since >= 0 && since < MIN_BETWEEN) delay += MIN_BETWEEN - since;
    if (a.timer.slot < 0 || ((a.timer.at - now) | 0) > delay) this.schedule(a, delay);
  }

  schedule(a: Advertisement, delay: number): void {
    if (!a.closed) this.stack.timers.set(a.timer, (this.stack.now() + delay) | 0);
  }

  drop(a: Advertisement): void {
    const at = this.list.indexOf(a);
    if (at < 0) return;
    this.list.splice(at, 1);
    a.closed = true;
    this.stack.timers.clear(a.timer);
    this.send(a, true);
    leaveGroup(this.ip, a.nif, parse6(ALL_ROUTERS) as Uint8Array, null);
  }

  /** The timer has come. */
  fire(a: Advertisement): void {
    if (!a.nif.up()) return;
    if (!this.send(a, false)) {
      this.schedule(a, RETRY);
      return;
    }
    a.count++;
    a.last = this.stack.now();
    const most = (a.options.interval || 600) * 1000;
    const least = Math.floor(most / 3);
    let delay = least + Math.floor((this.stack.host.randomBelow(65536) / 65536) * (most - least));
    if (a.count < MAX_INITIAL && delay > MAX_INITIAL_INTERVAL) delay = MAX_INITIAL_INTERVAL;
    this.schedule(a, delay);
  }

  /** Sends an advertisement to all; `end`: the last. False: that could not be. */
  send(a: Advertisement, end: boolean): boolean {
    const path = this.path;
    const nif = a.nif;
    const ip = this.ip;
    path.bound = nif;
    ip.setRemote(path, ALL_NODES);
    const code = ip.route(path);
    if (code < 0 || !isLinkLocal6(path.ends, SOURCE)) {
      this.counters.sendFailed++;
      return false;
    }
    const bytes = this.compose(a, end);
    const tx = this.stack.prepare(bytes.length);
    if (tx) for (let i = 0; i < bytes.length; i++) tx.data[tx.start + i] = bytes[i];
    if (!tx || this.icmp.send(tx, path) < 0) {
      this.counters.sendFailed++;
      return false;
    }
    this.counters.sent++;
    return true;
  }

  private compose(a: Advertisement, end: boolean): number[] {
    const options = a.options;
    const nif = a.nif;
    const flags =
      (options.managed ? 0x80 : 0) | (options.other ? 0x40 : 0) | (preferenceBits(options.preference) << 3);
    const lifetime = end ? 0 : lifetimeOf(options, this.ip.forwarder !== null);
    const bytes = [
      wire.ROUTER_ADVERTISEMENT,
      0,
      0,
      0,
      options.hopLimit === undefined ? 64 : options.hopLimit,
    ];
    // Without a lifetime there is no preference (RFC 4191 section 2.2).
    bytes.push(lifetime ? flags : flags & 0xc0, lifetime >> 8, lifetime & 255);
    pushSeconds(bytes, options.reachableTime || 0);
    pushSeconds(bytes, options.retransTimer || 0);
    if (nif.medium.resolves) {
      bytes.push(wire.ND_SOURCE_LINK, 1, nif.high >> 8, nif.high & 255);
      pushSeconds(bytes, nif.low >>> 0);
    }
    this.pushPrefixes(a, bytes);
    const tail = end ? a.farewell : a.tail;
    for (let at = 0; at < tail.length;) {
      const length = tail[at + 1] << 3;
      if (bytes.length + length > LONGEST) this.counters.omitted++;
      else for (let i = 0; i < length; i++) bytes.push(tail[at + i]);
      at += length;
    }
    return bytes;
  }

  /** Appends what is on the link, and what was (RFC 9096 section 3.5). */
  private pushPrefixes(a: Advertisement, bytes: number[]): void {
    const now = this.stack.now();
    const given = a.options.prefixes;
    for (let i = 0; i < a.told.length; i++) a.told[i].gone = true;
    if (given) {
      for (let i = 0; i < given.length; i++) {
        const each = given[i];
        const parts = prefixOf(each.prefix, 128);
        const flags = (each.onLink === false ? 0 : ON_LINK) | (each.autonomous === false ? 0 : AUTONOMOUS);
        const valid = each.valid === undefined ? VALID : each.valid;
        const preferred = each.preferred === undefined ? Math.min(PREFERRED_TIME, valid) : each.preferred;
        this.tell(a, bytes, parts.bytes, parts.length, flags, valid, preferred);
      }
    } else {
      const list = this.ip.addresses;
      for (let i = 0; i < list.length; i++) {
        const entry = list[i];
        if (entry.nif !== a.nif || entry.length !== 64 || !isUsable(entry) || isLinkLocal6(entry.bytes, 0))
          continue;
        let valid = VALID;
        let preferred = entry.state === PREFERRED ? PREFERRED_TIME : 0;
        if (entry.expires) {
          valid = Math.min(valid, left(entry.validUntil, now));
          preferred = Math.min(preferred, left(entry.preferredUntil, now));
        }
        this.tell(a, bytes, maskPrefix(entry.bytes, 64), 64, ON_LINK | AUTONOMOUS, valid, preferred);
      }
    }
    for (let i = a.told.length - 1; i >= 0; i--) {
      const each = a.told[i];
      if (!each.gone) each.since = now;
      else if (((now - each.since) | 0) > STALE) a.told.splice(i, 1);
      else pushPrefix(bytes, each.bytes, each.length, each.flags, 0, 0);
    }
  }

  private tell(
    a: Advertisement,
    to: number[],
    bytes: Uint8Array,
    length: number,
    flags: number,
    valid: number,
    preferred: number,
  ): void {
    let known: Told | null = null;
    for (let i = 0; i < a.told.length; i++) {
      const each = a.told[i];
      if (each.length === length && equal6(each.bytes, 0, bytes, 0)) known = each;
    }
    if (known && !known.gone) return;
    if (!known && a.told.length >= PREFIXES) {
      this.counters.omitted++;
      return;
    }
    if (!known) a.told.push((known = { bytes, length, flags, gone: false, since: 0 }));
    known.gone = false;
    pushPrefix(to, bytes, length, flags, valid, preferred);
  }

  private find(nif: Interface): Advertisement | null {
    for (let i = 0; i < this.list.length; i++) if (this.list[i].nif === nif) return this.list[i];
    return null;
  }
}

function fire(a: Advertisement): void {
  a.owner.fire(a);
}

function left(until: number, now: number): number {
  const ms = (until - now) | 0;
  return ms > 0 ? Math.floor(ms / 1000) : 0;
}

function lifetimeOf(options: AdvertisementOptions, forwards: boolean): number {
  if (options.lifetime !== undefined) return options.lifetime;
  return forwards ? 3 * (options.interval || 600) : 0;
}

/** The options of `from` that `without` has not. */
function difference(from: number[], without: number[]): number[] {
  const found: number[] = [];
  const known = "," + without.join();
  for (let at = 0; at < from.length; at += from[at + 1] << 3) {
    const option = from.slice(at, at + (from[at + 1] << 3));
    if (known.indexOf("," + option.join()) < 0) for (let i = 0; i < option.length; i++) found.push(option[i]);
  }
  return found;
}

/** Checks the options and makes the bytes of those that do not change; `end`: with lifetimes of zero. */
function compile(options: AdvertisementOptions, end: boolean): number[] {
  const interval = requireInteger(
    options.interval === undefined ? 600 : options.interval,
    4,
    1800,
    "interval",
  );
  requireInteger(lifetimeOf(options, true), 0, 9000, "lifetime");
  requireInteger(options.hopLimit || 0, 0, 255, "hopLimit");
  preferenceBits(options.preference);
  const to: number[] = [];
  // Three times the interval: names outlive two lost advertisements (RFC 8106 section 5.1).
  const lifetime = end ? 0 : 3 * interval;
  if (options.mtu !== undefined)
    pushMtu(to, requireInteger(options.mtu, 1280, options.interface.link.mtu, "mtu"));
  const routes = options.routes || [];
  for (let i = 0; i < routes.length; i++) {
    const parts = prefixOf(routes[i].prefix, 128);
    const time = routes[i].lifetime === undefined ? 1800 : routes[i].lifetime;
    pushRoute(
      to,
      parts.bytes,
      parts.length,
      preferenceBits(routes[i].preference),
      end ? 0 : (time as number),
    );
  }
  pushServers(to, options.nameServers || [], lifetime);
  pushSearch(to, options.search || [], lifetime);
  if (options.nat64) pushNat64(to, options.nat64, lifetime);
  const prefixes = options.prefixes || [];
  for (let i = 0; i < prefixes.length; i++) {
    const each = prefixes[i];
    const parts = prefixOf(each.prefix, 128);
    const valid = each.valid === undefined ? VALID : each.valid;
    if (each.autonomous !== false && parts.length !== 64)
      fail("EINVAL", "addresses are made of a /64: " + each.prefix);
    if (each.preferred !== undefined && each.preferred > valid) fail("EINVAL", "preferred of " + each.prefix);
    pushSeconds([], valid);
    pushSeconds([], each.preferred === undefined ? 0 : each.preferred);
  }
  if (prefixes.length > PREFIXES || to.length > LONGEST - 64)
    fail("EINVAL", "too much for one advertisement");
  return to;
}

/**
 * The router's side of router discovery; needs `ipv6` and `icmpv6`, and `forwarding6` to be a router. Counters: `advertiser`.
 *
 * ```ts
 * const routers = routerAdvertiser();
 * routers.advertise({ interface: lan, nameServers: ["fd00::1"], search: ["home.arpa"] });
 * ```
 */
export function routerAdvertiser(): RouterAdvertiser {
  return new RouterAdvertiser();
}
