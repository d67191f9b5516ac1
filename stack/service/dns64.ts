/**
 * DNS64 (RFC 6147): names that have IPv4 addresses alone get IPv6 ones under a prefix that leads to a NAT64. For
 * `dnsForwarder({ dns64: dns64("64:ff9b::/96") })`.
 */
import { embed64, parsePrefix64, represents64 } from "../core/prefix64.js";
import { parse4 } from "../core/text4.js";

export interface Dns64 {
  /** The address that stands for an IPv4 one (given as text), 16 bytes; null: for that there is none, as for private ones by the well-known prefix. */
  synthesize(address: string): Uint8Array | null;
  /** May a AAAA record with these 16 bytes be given to clients (section 5.1.4)? */
  accepts(address: Uint8Array): boolean;
}

/** @param prefix of 32, 40, 48, 56, 64 or 96 bits (RFC 6052). Throws `EINVAL`. */
export function dns64(prefix = "64:ff9b::/96"): Dns64 {
  const parsed = parsePrefix64(prefix);
  return {
    synthesize(address) {
      const word = parse4(address);
      if (word === null || !represents64(parsed, word)) return null;
      const bytes = new Uint8Array(16);
      embed64(parsed, word, bytes, 0);
      return bytes;
    },
    accepts(address) {
      // ::ffff:0:0/96 is never an address to go to.
      for (let i = 0; i < 10; i++) if (address[i] !== 0) return true;
      return address[10] !== 255 || address[11] !== 255;
    },
  };
}
