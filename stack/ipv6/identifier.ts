/** Interface identifiers: opaque and stable ones (RFC 7217), and random ones for temporary addresses (RFC 8981). */
import { get32, put32 } from "../core/bytes.js";
import { SipHash } from "../core/hash.js";
import type { Interface } from "../core/interface.js";

/**
 * F(prefix, interface, network, tries, secret) of RFC 7217 section 5, with SipHash-2-4 as F: the same as long as all of
 * them are, and telling nothing of the hardware address.
 *
 * @param secret 16 bytes
 * @param network what names the network, or `""`
 */
export function stableIdentifier(
  secret: Uint8Array,
  nif: Interface,
  prefix: Uint8Array,
  network: string,
  tries: number,
): Uint8Array {
  const hash = new SipHash();
  hash.key(secret);
  for (let salt = 0; ; salt++) {
    hash.begin(2);
    hash.word(get32(prefix, 0));
    hash.word(get32(prefix, 4));
    for (let i = 0; i < nif.name.length; i++) hash.word(nif.name.charCodeAt(i));
    hash.word(nif.high);
    hash.word(nif.low);
    for (let i = 0; i < network.length; i++) hash.word(network.charCodeAt(i));
    hash.word(tries);
    hash.word(salt);
    const identifier = new Uint8Array(8);
    put32(identifier, 0, hash.end());
    put32(identifier, 4, hash.high);
    if (!isReserved(identifier)) return identifier;
  }
}

/** Identifiers that no host may take (RFC 5453): all zeros (subnet routers), ISATAP's and proxy mobile's, reserved anycast. */
export function isReserved(identifier: Uint8Array): boolean {
  const high = get32(identifier, 0);
  const low = get32(identifier, 4);
  return (
    (high | low) === 0 ||
    (high === 0x02005eff && low >>> 24 === 0xfe) ||
    (high === (0xfdffffff | 0) && low >>> 7 === 0x1ffffff)
  );
}
