/** What a host does with a prefix that was delegated to it (RFC 8415 section 6.3): numbers the networks behind it. */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { splitPrefix } from "../core/text4.js";
import { format6, parse6 } from "../core/text6.js";
import { DEPRECATED, PREFERRED } from "../ipv6/address.js";
import { assign } from "../ipv6/configure.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { equal6 } from "../wire/ipv6.js";
import type { Dhcp6Lease } from "./dhcpv6-lease.js";

const ORIGIN = "delegated";

/**
 * The subnet of that number in a prefix: `subnet("2001:db8:1::/48", 5)` is `"2001:db8:1:5::/64"`.
 * Errors (thrown): `EINVAL` no prefix, or it has no such subnet.
 */
export function subnet(prefix: string, number: number, length = 64): string {
  const parts = splitPrefix(prefix, 128);
  const bytes = parts && parse6(parts.address);
  requireInteger(number, 0, 0xffffffff, "subnet");
  requireInteger(length, 1, 128, "length");
  if (!parts || !bytes || parts.length > length) return fail("EINVAL", "prefix " + prefix);
  for (let bit = length - 1; number > 0; bit--) {
    if (bit < parts.length) fail("EINVAL", "subnet of " + prefix);
    if (number % 2 === 1) bytes[bit >> 3] |= 0x80 >> (bit & 7);
    number = Math.floor(number / 2);
  }
  return format6(bytes, 0) + "/" + length;
}

/**
 * Gives `nif` an address in the `number`th /64 of each prefix of the lease, with `identifier` for its last 64 bits, and takes
 * away what no prefix covers any more. To be called whenever `onBound` tells of a lease, and with `null` when it is lost.
 * A prefix that has no such subnet is left out.
 *
 * @returns the subnets, `"2001:db8:1:5::/64"`, to be advertised there
 */
export function numberInterface(
  ip: Ipv6,
  nif: Interface,
  lease: Dhcp6Lease | null,
  number: number,
  identifier = "::1",
): string[] {
  const low = parse6(identifier) || fail("EINVAL", "identifier " + identifier);
  const subnets: string[] = [];
  const wanted: Uint8Array[] = [];
  const prefixes = lease ? lease.prefixes : [];
  for (let i = 0; i < prefixes.length; i++) {
    const parts = splitPrefix(prefixes[i].prefix, 128);
    // Beyond 32 bits there is room for every number.
    const room = parts ? 64 - parts.length : -1;
    if (room < 0 || (room < 32 && number >>> room > 0)) continue;
    const text = subnet(prefixes[i].prefix, number);
    const bytes = parse6(text.substring(0, text.indexOf("/"))) as Uint8Array;
    for (let k = 8; k < 16; k++) bytes[k] = low[k];
    let entry = ip.entryOf(bytes, 0, nif);
    if (!entry) entry = assign(ip, nif, bytes, 64, { origin: ORIGIN });
    const state = prefixes[i].preferred === 0 ? DEPRECATED : PREFERRED;
    if (entry.origin === ORIGIN && entry.state !== state && entry.state + state === DEPRECATED + PREFERRED) {
      entry.state = state;
      ip.addressChanged(entry, true);
    }
    subnets.push(text);
    wanted.push(bytes);
  }
  for (let i = ip.addresses.length - 1; i >= 0; i--) {
    const entry = ip.addresses[i];
    if (entry.nif !== nif || entry.origin !== ORIGIN) continue;
    let keep = false;
    for (let k = 0; k < wanted.length; k++) if (equal6(wanted[k], 0, entry.bytes, 0)) keep = true;
    if (!keep) ip.dropAddress(entry);
  }
  return subnets;
}
