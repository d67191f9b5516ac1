/** Transport checksums of packets whose addresses become those of another family (RFC 7915 sections 4.5 and 5.5). */
import { get16, put16 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.js";

/** Where the checksum is that covers addresses, from the transport header on; -1: it has none. */
export function checksumOffset(protocol: number): number {
  return protocol === PROTOCOL_TCP ? 16 : protocol === PROTOCOL_UDP ? 6 : -1;
}

/**
 * Moves the checksum at `at` from one sum of what it covers to another; both are sums that need not be folded. One that is zero, of
 * UDP, says nothing and stays.
 */
export function moveChecksum(data: Uint8Array, at: number, from: number, to: number, udp: boolean): void {
  const value = fold((~get16(data, at) & 0xffff) + (~fold(from) & 0xffff) + fold(to));
  put16(data, at, ~value & 0xffff || (udp ? 0xffff : 0));
}
