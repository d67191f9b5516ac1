/**
 * DNS64 (RFC 6147): names that have IPv4 addresses alone get IPv6 ones under a prefix that leads to a NAT64. For
 * `dnsForwarder({ dns64: dns64("64:ff9b::/96") })`.
 */
import { fail } from "../core/errors.js";
import { parse4, splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";

export interface Dns64 {
  /** The address that stands for an IPv4 one (given as text), 16 bytes; null: for that there is none. */
  synthesize(address: string): Uint8Array | null;
  /** May a AAAA record with these 16 bytes be given to clients (section 5.1.4)? */
  accepts(address: Uint8Array): boolean;
}

/** @param prefix of 32, 40, 48, 56, 64 or 96 bits (RFC 6052). Throws `EINVAL`. */
export function dns64(prefix = "64:ff9b::/96"): Dns64 {
  const parts = splitPrefix(prefix, 129);
  const base = parts && parse6(parts.address);
  const length = parts ? parts.length : 0;
  if (!base || [32, 40, 48, 56, 64, 96].indexOf(length) < 0 || base[8] !== 0)
    return fail("EINVAL", "prefix " + prefix);
  for (let i = length >> 3; i < 16; i++) if (base[i] !== 0) fail("EINVAL", "prefix " + prefix);
  return {
    synthesize(address) {
      const word = parse4(address);
      if (word === null) return null;
      const bytes = new Uint8Array(16);
      bytes.set(base);
      let at = length >> 3;
      for (let shift = 24; shift >= 0; shift -= 8) {
        // Bits 64 to 71 stay zero (RFC 6052 section 2.2).
        if (at === 8) at++;
        bytes[at++] = (word >> shift) & 255;
      }
      return bytes;
    },
    accepts(address) {
      // ::ffff:0:0/96 is never an address to go to.
      for (let i = 0; i < 10; i++) if (address[i] !== 0) return true;
      return address[10] !== 255 || address[11] !== 255;
    },
  };
}
