/**
 * Rewriting addresses and ports of IPv4 packets in place (NAT), checksums following them (RFC 1624): those of a packet, and those of
 * what an ICMP error quotes (RFC 5508).
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fold, updateChecksum } from "../core/checksum.js";
import type { Sum } from "../core/checksum.js";
import { CHECKSUM_UNFINISHED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import {
  IPV4_CHECKSUM,
  IPV4_DESTINATION,
  IPV4_SOURCE,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "../wire/ipv4.js";

/** A checksum after a word of 32 bits under it has changed. */
function updateWord(checksum: number, from: number, to: number): number {
  return updateChecksum(updateChecksum(checksum, from >>> 16, to >>> 16), from & 0xffff, to & 0xffff);
}

/** Where the transport's checksum is, or -1: it has none that covers addresses and ports. */
function checksumAt(protocol: number, at: number): number {
  return protocol === PROTOCOL_TCP ? at + 16 : protocol === PROTOCOL_UDP ? at + 6 : -1;
}

/**
 * Gives an IPv4 packet another source or destination.
 *
 * @param at where its transport header is; -1: a later fragment, which has none
 * @param field IPV4_SOURCE or IPV4_DESTINATION
 * @param port the new port, or identifier of a query
 */
export function rewrite(packet: Packet, at: number, field: number, address: number, port: number): void {
  const data = packet.data;
  const network = packet.network;
  const old = get32(data, network + field);
  put32(data, network + field, address);
  put16(data, network + IPV4_CHECKSUM, updateWord(get16(data, network + IPV4_CHECKSUM), old, address));
  if (field === IPV4_SOURCE) packet.source = address;
  else packet.destination = address;
  packet.pseudo += (address >>> 16) + (address & 0xffff) - (old >>> 16) - (old & 0xffff);
  if (at < 0) return;
  const protocol = packet.protocol;
  if (protocol === PROTOCOL_ICMP) {
    const id = get16(data, at + 4);
    put16(data, at + 4, port);
    put16(data, at + 2, updateChecksum(get16(data, at + 2), id, port));
    return;
  }
  const checksum = checksumAt(protocol, at);
  if (checksum < 0) return;
  const portAt = field === IPV4_SOURCE ? at : at + 2;
  const oldPort = get16(data, portAt);
  put16(data, portAt, port);
  const value = get16(data, checksum);
  if (packet.flags & CHECKSUM_UNFINISHED) {
    // It is the sum of the addresses so far, not complemented; the ports are added with the rest.
    put16(data, checksum, ~updateWord(~value & 0xffff, old, address));
  } else if (protocol !== PROTOCOL_UDP || value !== 0) {
    const updated = updateChecksum(updateWord(value, old, address), oldPort, port);
    put16(data, checksum, protocol === PROTOCOL_UDP ? updated || 0xffff : updated);
  }
}

/**
 * Gives what an ICMP error quotes other ends, as its sender knows them.
 *
 * @param quote where the quoted header is; `at`: its transport header
 * @param source the new source with its port (or identifier); likewise the destination
 */
export function rewriteQuote(
  packet: Packet,
  quote: number,
  at: number,
  source: number,
  sourcePort: number,
  destination: number,
  destinationPort: number,
): void {
  const data = packet.data;
  const oldSource = get32(data, quote + IPV4_SOURCE);
  const oldDestination = get32(data, quote + IPV4_DESTINATION);
  put32(data, quote + IPV4_SOURCE, source);
  put32(data, quote + IPV4_DESTINATION, destination);
  let header = get16(data, quote + IPV4_CHECKSUM);
  header = updateWord(updateWord(header, oldSource, source), oldDestination, destination);
  put16(data, quote + IPV4_CHECKSUM, header);
  const protocol = data[quote + 9];
  if (protocol === PROTOCOL_ICMP) {
    const id = get16(data, at + 4);
    put16(data, at + 4, sourcePort);
    put16(data, at + 2, updateChecksum(get16(data, at + 2), id, sourcePort));
    return;
  }
  if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return;
  const ports = get32(data, at);
  const newPorts = (sourcePort << 16) | destinationPort;
  put32(data, at, newPorts);
  const checksum = checksumAt(protocol, at);
  const value = checksum + 2 <= packet.end ? get16(data, checksum) : 0;
  // A quote may end before the checksum; zero is none.
  if (value === 0) return;
  const moved = updateWord(
    updateWord(updateWord(value, oldSource, source), oldDestination, destination),
    ports,
    newPorts,
  );
  put16(data, checksum, moved);
}

/** The checksum of the ICMP message at `at`, made anew. */
export function sealIcmp(packet: Packet, at: number, sum: Sum): void {
  put16(packet.data, at + 2, 0);
  put16(packet.data, at + 2, ~fold(sum(packet.data, at, packet.end, 0)));
}
