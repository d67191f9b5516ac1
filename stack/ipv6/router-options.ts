/** Options of router advertisements (RFC 4861 section 4.6, RFC 4191, RFC 8106, RFC 8781), from typed data to bytes. */
import { fail, requireInteger } from "../core/errors.js";
import { splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { NAME_LIMIT, emitName } from "../wire/dns.js";
import * as wire from "../wire/icmpv6.js";
import { equal6, isLinkLocal6, isMulticast6, maskPrefix } from "../wire/ipv6.js";

/** `"high"`, `"medium"` (default) or `"low"` (RFC 4191). */
export type RouterPreference = "high" | "medium" | "low";

/** A prefix that hosts are told of. Lifetimes in seconds, `Infinity`: for ever. */
export interface AdvertisedPrefix {
  prefix: string;
  /** Its addresses are on the link. Default true. */
  onLink?: boolean;
  /** Hosts make addresses of it; only of a /64. Default true. */
  autonomous?: boolean;
  /** Default 5400 and 2700, as RFC 9096 has it for prefixes that may change. */
  valid?: number;
  preferred?: number;
}

/** A route by this router to other networks. */
export interface AdvertisedRoute {
  prefix: string;
  preference?: RouterPreference;
  /** Seconds. Default 1800. */
  lifetime?: number;
}

/** What the first bits of Prf are (RFC 4191 section 2.1). */
export function preferenceBits(preference: RouterPreference | undefined): number {
  if (preference === undefined || preference === "medium") return 0;
  return preference === "high" ? 1 : preference === "low" ? 3 : fail("EINVAL", "preference " + preference);
}

/** A prefix as bytes, its host bits zero. `EINVAL`: it is none, or one that must not be advertised. */
export function prefixOf(text: string, most: number): { bytes: Uint8Array; length: number } {
  const parts = splitPrefix(text, 129);
  const bytes = parts && parse6(parts.address);
  if (
    !parts ||
    !bytes ||
    parts.length > most ||
    !equal6(bytes, 0, maskPrefix(bytes, parts.length), 0) ||
    (parts.length > 0 && (isLinkLocal6(bytes, 0) || isMulticast6(bytes, 0)))
  ) {
    return fail("EINVAL", "prefix " + text);
  }
  return { bytes, length: parts.length };
}

/** Appends prefix information. @param flags L 0x80, A 0x40 */
export function pushPrefix(
  to: number[],
  bytes: Uint8Array,
  length: number,
  flags: number,
  valid: number,
  preferred: number,
): void {
  to.push(wire.ND_PREFIX, 4, length, flags);
  pushSeconds(to, valid);
  pushSeconds(to, preferred);
  to.push(0, 0, 0, 0);
  for (let i = 0; i < 16; i++) to.push(bytes[i]);
}

export function pushRoute(
  to: number[],
  bytes: Uint8Array,
  length: number,
  bits: number,
  lifetime: number,
): void {
  const words = (length + 63) >> 6;
  to.push(wire.ND_ROUTE, 1 + words, length, bits << 3);
  pushSeconds(to, lifetime);
  for (let i = 0; i < words * 8; i++) to.push(bytes[i]);
}

export function pushMtu(to: number[], mtu: number): void {
  to.push(wire.ND_MTU, 1, 0, 0);
  pushSeconds(to, mtu);
}

export function pushServers(to: number[], servers: string[], lifetime: number): void {
  if (servers.length === 0) return;
  to.push(wire.ND_RDNSS, 1 + 2 * servers.length, 0, 0);
  pushSeconds(to, lifetime);
  for (let i = 0; i < servers.length; i++) {
    const bytes = parse6(servers[i]);
    if (!bytes || isMulticast6(bytes, 0)) return fail("EINVAL", "name server " + servers[i]);
    for (let k = 0; k < 16; k++) to.push(bytes[k]);
  }
}

export function pushSearch(to: number[], domains: string[], lifetime: number): void {
  if (domains.length === 0) return;
  const start = to.length;
  const name = new Uint8Array(NAME_LIMIT + 1);
  to.push(wire.ND_DNSSL, 0, 0, 0);
  pushSeconds(to, lifetime);
  for (let i = 0; i < domains.length; i++) {
    const end = emitName(domains[i], name, 0);
    if (end < 2) fail("EINVAL", "domain " + domains[i]);
    for (let k = 0; k < end; k++) to.push(name[k]);
  }
  while ((to.length - start) & 7) to.push(0);
  to[start + 1] = (to.length - start) >> 3;
}

/** The NAT64 prefix (RFC 8781); its lifetime is in units of eight seconds. */
export function pushNat64(to: number[], prefix: string, lifetime: number): void {
  const parts = prefixOf(prefix, 96);
  const code = [96, 64, 56, 48, 40, 32].indexOf(parts.length);
  if (code < 0) fail("EINVAL", "nat64 " + prefix);
  const word = (Math.min(Math.ceil(lifetime / 8), 8191) << 3) | code;
  to.push(wire.ND_PREF64, 2, word >> 8, word & 255);
  for (let i = 0; i < 12; i++) to.push(parts.bytes[i]);
}

/** Appends a number of 32 bits; `Infinity` is all ones. */
export function pushSeconds(to: number[], value: number): void {
  const word = value === Infinity ? 0xffffffff : value;
  requireInteger(word, 0, 0xffffffff, "lifetime");
  to.push(word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255);
}
