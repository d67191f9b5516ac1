/** What a DHCPv6 lease configures: addresses of 128 bits without a route, name servers; and how all that is taken back. */
import { EADDRNOTAVAIL, ETIMEDOUT } from "../core/errors.js";
import { nameServers } from "../core/name-servers.js";
import { format6 } from "../core/text6.js";
import { DEPRECATED, PREFERRED, TENTATIVE } from "../ipv6/address.js";
import type { Address6 } from "../ipv6/address.js";
import { assign } from "../ipv6/configure.js";
import { OPTION_IA_NA } from "../wire/dhcpv6.js";
import { GIVEN } from "./dhcpv6-lease.js";
import type { Answer, Dhcp6Lease, Given } from "./dhcpv6-lease.js";
import { sameBytes } from "./dhcpv6-message.js";
import { DHCP6_BOUND, DHCP6_DECLINING, DHCP6_INFORMED, DHCP6_TRYING } from "./dhcpv6-state.js";
import type { Dhcp6Client } from "./dhcpv6.js";
import { announce, forget } from "./lease-client.js";

/** Not renewed before so many seconds, whatever a server says. */
const RENEW_FLOOR = 10;
/** Parameters alone: seconds (RFC 8415 section 7.6). */
const REFRESH_DEFAULT = 86400;
const REFRESH_FLOOR = 600;

/** An address or prefix that this client holds, or asks for. */
export class Item {
  entry: Address6 | null = null;
  /** It is somebody else's. */
  duplicate = false;
  /** On the client's clock, ms. */
  preferredUntil = Infinity;
  validUntil = Infinity;

  constructor(
    readonly kind: number,
    readonly bytes: Uint8Array,
    readonly length: number,
  ) {}
}

/** A server has said what this client may use: takes it. `whole`: what is not in it is gone. False: nothing is left. */
export function bind(c: Dhcp6Client, answer: Answer, whole: boolean): boolean {
  const given = answer.given;
  c.requested = c.clock;
  for (let i = c.items.length - 1; i >= 0; i--) {
    const item = c.items[i];
    let keep = !whole;
    for (let k = 0; k < given.length; k++) {
      if (isSame(item, given[k])) keep = given[k].valid > 0;
    }
    if (!keep) remove(c, item);
  }
  let least = Infinity;
  let valid = Infinity;
  for (let i = 0; i < given.length; i++) {
    const each = given[i];
    if (each.valid <= 0) continue;
    const item = take(c, each);
    if (!item) continue;
    const life = each.preferred || each.valid;
    if (life < least) least = life;
    if (each.valid < valid) valid = each.valid;
    item.preferredUntil = c.requested + each.preferred * 1000;
    item.validUntil = c.requested + each.valid * 1000;
    install(c, item);
  }
  // RFC 8415 section 21.4: times that are missing or make no sense are half and four fifths of the shortest lifetime.
  const t1 = answer.renew || least / 2;
  const t2 = answer.rebind || least * 0.8;
  const good = t1 <= t2 && t2 <= valid;
  c.renewTime = atLeast(good ? t1 : least / 2);
  c.rebindTime = atLeast(good ? t2 : least * 0.8);
  // Hosts that were bound in the same moment renew in different ones.
  c.renewAt = c.requested + c.renewTime * (1000 - c.dhcp.stack.host.randomBelow(64));
  c.rebindAt = c.requested + c.rebindTime * 1000;
  if (c.items.length === 0) return false;
  takeParameters(c, answer);
  settle(c);
  return true;
}

function atLeast(seconds: number): number {
  return seconds === Infinity ? seconds : seconds < RENEW_FLOOR ? RENEW_FLOOR : Math.floor(seconds);
}

function isSame(item: Item, given: Given): boolean {
  return item.kind === given.kind && item.length === given.length && sameBytes(item.bytes, given.bytes);
}

/** The item for what is given, which may be new; null: there is no room. */
function take(c: Dhcp6Client, given: Given): Item | null {
  let count = 0;
  for (let i = 0; i < c.items.length; i++) {
    if (isSame(c.items[i], given)) return c.items[i];
    if (c.items[i].kind === given.kind) count++;
  }
  if (count >= GIVEN) {
    c.dhcp.counters.refused++;
    return null;
  }
  const item = new Item(given.kind, given.bytes, given.length);
  c.items.push(item);
  return item;
}

/** Gives the interface the item's address, or the address its new lifetimes. */
function install(c: Dhcp6Client, item: Item): void {
  const ip = c.dhcp.ip;
  if (item.kind !== OPTION_IA_NA) return;
  if (!item.entry) {
    try {
      item.entry = assign(ip, c.nif, item.bytes, 128, { origin: "dhcpv6", route: false });
    } catch {
      // The interface has it from somebody else, who keeps it.
      c.dhcp.counters.refused++;
      return;
    }
  }
  const entry = item.entry;
  // The stack's clock wraps: what is further away is said anew when it comes closer.
  const stackTime = (at: number) => (c.last + (at - c.clock < 2e9 ? at - c.clock : 2e9)) | 0;
  entry.expires = item.validUntil < Infinity || item.preferredUntil < Infinity;
  entry.validUntil = stackTime(item.validUntil);
  entry.preferredUntil = stackTime(item.preferredUntil);
  if (entry.state === DEPRECATED && item.preferredUntil > c.clock) {
    entry.state = PREFERRED;
    ip.addressChanged(entry, true);
  }
}

/** Forgets an item, and takes its address from the interface. */
export function remove(c: Dhcp6Client, item: Item): void {
  const entry = item.entry;
  c.items.splice(c.items.indexOf(item), 1);
  // First: that the address goes is no news then.
  item.entry = null;
  if (entry) c.dhcp.ip.dropAddress(entry);
}

/** After a reply, and whenever an address has been tried: bound when all have been, declines those that are others'. */
export function settle(c: Dhcp6Client): void {
  let tentative = false;
  let duplicate = false;
  for (let i = 0; i < c.items.length; i++) {
    const item = c.items[i];
    if (item.duplicate) duplicate = true;
    else if (item.entry && item.entry.state === TENTATIVE) tentative = true;
  }
  c.state = tentative ? DHCP6_TRYING : duplicate ? DHCP6_DECLINING : DHCP6_BOUND;
  c.deadline = tentative ? Infinity : duplicate ? c.clock : c.renewAt;
  // -1: the message is not in flight yet.
  c.attempt = -1;
  if (c.state === DHCP6_BOUND) tell(c);
}

/** Name servers and domains of an answer. */
export function takeParameters(c: Dhcp6Client, answer: Answer): void {
  c.nameServers = [];
  for (let i = 0; i < answer.nameServers.length; i++) {
    const text = answer.nameServers[i];
    c.nameServers.push(text.substring(0, 3) === "fe8" ? text + "%" + c.nif.name : text);
  }
  c.search = answer.search;
  nameServers(c.dhcp.stack).set("dhcpv6", c.nif, c.nameServers, c.search);
}

/** Parameters have come: alone, or beside the lease, where a server had them asked for. */
export function inform(c: Dhcp6Client, answer: Answer): void {
  if (c.items.length > 0) {
    takeParameters(c, answer);
    c.state = DHCP6_BOUND;
    c.deadline = c.renewAt;
    return retell(c);
  }
  let refresh = answer.refresh < 0 ? REFRESH_DEFAULT : answer.refresh;
  if (refresh < REFRESH_FLOOR) refresh = REFRESH_FLOOR;
  takeParameters(c, answer);
  c.renewTime = refresh === 0xffffffff ? Infinity : refresh;
  c.rebindTime = Infinity;
  c.state = DHCP6_INFORMED;
  c.requested = c.clock;
  // Hosts that asked in the same moment ask again in different ones (RFC 8415 section 21.23).
  c.deadline = c.clock + c.renewTime * 1000 + c.dhcp.stack.host.randomBelow(c.delay + 1);
  tell(c);
}

function tell(c: Dhcp6Client): void {
  c.dhcp.counters.bound++;
  retell(c);
}

/** Tells the application what the lease is now. */
export function retell(c: Dhcp6Client): void {
  c.lease = leaseOf(c);
  announce(c);
}

/** What the client holds as plain data. */
function leaseOf(c: Dhcp6Client): Dhcp6Lease {
  const lease: Dhcp6Lease = {
    server: "",
    addresses: [],
    prefixes: [],
    nameServers: c.nameServers,
    search: c.search,
    renewTime: finite(c.renewTime),
    rebindTime: finite(c.rebindTime),
  };
  for (let i = 0; i < c.server.length; i++) lease.server += (256 + c.server[i]).toString(16).substring(1);
  for (let i = 0; i < c.items.length; i++) {
    const item = c.items[i];
    const text = format6(item.bytes, 0);
    const preferred = finite(Math.floor((item.preferredUntil - c.requested) / 1000));
    const valid = finite(Math.floor((item.validUntil - c.requested) / 1000));
    if (item.kind === OPTION_IA_NA) lease.addresses.push({ address: text, preferred, valid });
    else lease.prefixes.push({ prefix: text + "/" + item.length, preferred, valid });
  }
  return lease;
}

function finite(value: number): number {
  return value === Infinity ? -1 : value;
}

/** Deprecates and removes what is over. */
export function age(c: Dhcp6Client): void {
  for (let i = c.items.length - 1; i >= 0; i--) {
    const item = c.items[i];
    const entry = item.entry;
    if (c.clock >= item.validUntil) remove(c, item);
    else if (entry) {
      install(c, item);
      if (c.clock >= item.preferredUntil && entry.state === PREFERRED) {
        entry.state = DEPRECATED;
        c.dhcp.ip.addressChanged(entry, true);
      }
    }
  }
}

/** When `age` has something to do next, on the client's clock. */
export function nextAge(c: Dhcp6Client): number {
  let next = Infinity;
  for (let i = 0; i < c.items.length; i++) {
    const item = c.items[i];
    if (item.validUntil < next) next = item.validUntil;
    const fresh = item.entry !== null && item.entry.state === PREFERRED;
    if (fresh && item.preferredUntil < next) next = item.preferredUntil;
  }
  return next;
}

/** Takes back all that the lease configured; the application hears of it with `code`, if it ever heard of the lease. */
export function lose(c: Dhcp6Client, code: number): void {
  while (c.items.length > 0) remove(c, c.items[0]);
  nameServers(c.dhcp.stack).set("dhcpv6", c.nif, [], []);
  if (code === ETIMEDOUT) c.dhcp.counters.expired++;
  forget(c, code || EADDRNOTAVAIL);
}
