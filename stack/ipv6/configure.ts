/** Addresses and routes of IPv6, as a user or a component configures them. */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { Route6 } from "../route/table6.js";
import {
  commonPrefix,
  equal6,
  isLinkLocal6,
  isLoopback6,
  isMapped6,
  isMulticast6,
  isUnspecified6,
  maskPrefix,
  solicitedNode,
} from "../wire/ipv6.js";
import { Address6, TENTATIVE } from "./address.js";
import { joinGroup, leaveGroup } from "./groups.js";
import type { Ipv6 } from "./ipv6.js";

export interface AddressOptions6 {
  origin?: string;
  /** Makes the route to the address's own network. Default true. */
  route?: boolean;
  metric?: number;
  temporary?: boolean;
  /** Lifetimes in seconds; absent: for ever. */
  preferred?: number;
  valid?: number;
}

export interface RouteOptions6 {
  /** Next hop; a link-local one needs `interface` or a zone (`fe80::1%eth0`). */
  gateway?: string;
  interface?: Interface;
  metric?: number;
  origin?: string;
}

/** The bytes of an address, and how many of its bits count. */
export interface PrefixBytes {
  bytes: Uint8Array;
  length: number;
}

/** `"2001:db8::/32"` in bytes, or null; an address alone is 128 bits long. */
export function parsePrefix(text: string): PrefixBytes | null {
  const parts = splitPrefix(text, 128);
  const bytes = parts && parts.length <= 128 ? parse6(parts.address) : null;
  return bytes && parts && { bytes, length: parts.length };
}

/** Gives `nif` an address, which keeps `bytes`. Throws `EINVAL` no unicast address, `EEXIST`. */
export function assign(
  ip: Ipv6,
  nif: Interface,
  bytes: Uint8Array,
  length: number,
  options: AddressOptions6,
): Address6 {
  if (
    length < 1 ||
    isMulticast6(bytes, 0) ||
    isUnspecified6(bytes, 0) ||
    isMapped6(bytes, 0) ||
    (isLoopback6(bytes, 0) && nif !== ip.loopback)
  ) {
    fail("EINVAL", "address");
  }
  if (ip.entryOf(bytes, 0, nif)) fail("EEXIST", "address");
  const entry = new Address6(nif, bytes, length, options.origin || "manual");
  const now = ip.stack.now();
  entry.temporary = options.temporary === true;
  if (options.valid !== undefined) {
    const preferred = options.preferred === undefined ? options.valid : options.preferred;
    entry.expires = true;
    entry.validUntil = (now + lifetime(options.valid)) | 0;
    entry.preferredUntil = (now + lifetime(preferred)) | 0;
  }
  ip.addresses.push(entry);
  if (options.route !== false && length < 128) {
    ip.fib.add(new Route6(maskPrefix(bytes, length), length, null, nif, options.metric || 0, "address"));
  }
  if (nif.medium.resolves) {
    joinGroup(ip, nif, solicitedNode(bytes, 0), null);
    if (ip.trial) {
      entry.state = TENTATIVE;
      ip.trial.begin(entry);
    }
  }
  ip.addressChanged(entry, true);
  return entry;
}

/** See `Ipv6.dropAddress`. */
export function drop(ip: Ipv6, entry: Address6): void {
  const nif = entry.nif;
  const list = ip.addresses;
  const at = list.indexOf(entry);
  if (at < 0) return;
  list.splice(at, 1);
  const inNetwork = (on: Interface, length: number, bytes: Uint8Array) =>
    on === nif && length === entry.length && commonPrefix(bytes, 0, entry.bytes, 0) >= length;
  let shared = false;
  for (let i = 0; i < list.length; i++) {
    if (inNetwork(list[i].nif, list[i].length, list[i].bytes)) shared = true;
  }
  if (!shared) ip.fib.remove((r) => r.origin === "address" && inNetwork(r.nif, r.length, r.prefix));
  if (nif.medium.resolves) leaveGroup(ip, nif, solicitedNode(entry.bytes, 0), null);
  if (ip.trial) ip.trial.end(entry);
  ip.addressChanged(entry, false);
  const transports = ip.stack.transports;
  for (let i = 0; i < transports.length; i++) {
    const transport = transports[i];
    if (transport.addressRemoved) transport.addressRemoved(ip);
  }
}

/** See `Ipv6.addRoute`. */
export function addRoute(ip: Ipv6, text: string, options: RouteOptions6): Route6 {
  const prefix = parsePrefix(text);
  if (!prefix) return fail("EINVAL", "prefix " + text);
  const length = prefix.length;
  let gateway: Uint8Array | null = null;
  let nif = options.interface || null;
  if (!equal6(prefix.bytes, 0, maskPrefix(prefix.bytes, length), 0)) fail("EINVAL", "host bits " + text);
  if (options.gateway !== undefined) {
    const zoned = ip.parseZoned(options.gateway);
    if (!zoned || isMulticast6(zoned.bytes, 0) || isUnspecified6(zoned.bytes, 0)) {
      return fail("EINVAL", "gateway");
    }
    gateway = zoned.bytes;
    if (!nif) nif = zoned.zone;
    // By its network, not by a route: the interface may be down as yet.
    for (let i = 0; !nif && i < ip.addresses.length; i++) {
      const entry = ip.addresses[i];
      if (!isLinkLocal6(entry.bytes, 0) && commonPrefix(entry.bytes, 0, gateway, 0) >= entry.length) {
        nif = entry.nif;
      }
    }
  }
  if (!nif) return fail("ENETUNREACH", "gateway " + options.gateway);
  const metric = requireInteger(options.metric || 0, 0, 0x7fffffff, "metric");
  const entry = new Route6(prefix.bytes, length, gateway, nif, metric, options.origin || "manual");
  if (!ip.fib.add(entry)) fail("ENOBUFS", "routes");
  ip.stack.changed();
  return entry;
}

/** Milliseconds of a lifetime in seconds; the clock wraps, so it is cut at 24 days. */
function lifetime(seconds: number): number {
  return seconds < 2000000 ? seconds * 1000 : 2000000000;
}
