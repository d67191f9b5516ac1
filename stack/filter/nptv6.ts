/**
 * NPTv6 (RFC 6296): a network's own prefix inside, a provider's outside; one address for one, without state, without ports.
 *
 * The prefixes' difference is made up in another word of the address, so that transport checksums stay as they are. A filter sees
 * addresses of the inside alone. Hosts inside reach each other by outer addresses too. ICMP errors are translated with what they quote.
 */
import { fail } from "../core/errors.js";
import { get16, put16 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import type { Interface } from "../core/interface.js";
import { OUTPUT, POSTROUTING, PREROUTING } from "../core/network.js";
import type { PacketHook } from "../core/network.js";
import { PROTECTED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { PROHIBITED, UNREACHABLE6 } from "../wire/icmpv6.js";
import {
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  commonPrefix,
  maskPrefix,
  sum6,
} from "../wire/ipv6.js";

export interface NptTranslation {
  /** The prefix inside, at most 64 bits: `"fd00:1::/48"`. */
  inside: string;
  /** Of the same length, as the provider has given it. */
  outside: string;
  /** The interface that leads outside. */
  interface: Interface;
}

export class Nptv6Counters {
  /** Packets that were given an outer source, or an inner destination. */
  outwards = 0;
  inwards = 0;
  /** Addresses that have none on the other side (section 3.5): the sender is told. */
  unmappable = 0;
}

class Mapping {
  /** What is added to the adjusted word on the way out; on the way in, its complement. */
  readonly adjustment: number;

  constructor(
    readonly nif: Interface,
    readonly inside: Uint8Array,
    readonly outside: Uint8Array,
    readonly length: number,
  ) {
    this.adjustment = fold(sum6(inside, 0) + (~fold(sum6(outside, 0)) & 0xffff));
  }
}

export class Nptv6 implements Component {
  readonly name = "nptv6";
  readonly counters = new Nptv6Counters();
  private readonly list: Mapping[] = [];
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private next: PacketHook | null = null;
  /** The packet on its way is from one host inside to another: its source becomes an outer one although it stays inside. */
  private hairpin: Mapping | null = null;

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "nptv6");
    this.stack = stack;
    stack.counters.nptv6 = this.counters as never;
  }

  start(): void {
    this.ip = this.stack.network(6) as Ipv6;
    if (!this.ip) fail("ENOPROTOOPT", "nptv6 needs ipv6");
  }

  /** Around the hook of a filter, wherever that stands in the list. */
  started(): void {
    this.next = this.ip.hook;
    this.ip.hook = (packet, point, out) => this.see(packet, point, out);
  }

  /** Translates from now on. Errors: `EINVAL` prefixes, or their lengths; `EEXIST` the interface or the outer prefix has one. */
  add(translation: NptTranslation): void {
    const inside = parsePrefix(translation.inside, "inside");
    const outside = parsePrefix(translation.outside, "outside");
    const nif = translation.interface;
    if (inside.length !== outside.length) fail("EINVAL", "outside");
    if (!nif || nif.removed) fail("EINVAL", "interface");
    const mapping = new Mapping(nif, inside.bytes, outside.bytes, inside.length);
    for (let i = 0; i < this.list.length; i++) {
      const other = this.list[i];
      const shorter = other.length < mapping.length ? other.length : mapping.length;
      const same = has(other.inside, mapping.inside, shorter, 0) && other.nif === nif;
      if (same || has(other.outside, mapping.outside, shorter, 0)) fail("EEXIST", "nptv6");
    }
    this.list.push(mapping);
  }

  /** Ends the translation to an outer prefix, for example when it is no longer delegated. False: there is none. */
  remove(outside: string): boolean {
    const prefix = parsePrefix(outside, "outside");
    for (let i = 0; i < this.list.length; i++) {
      const each = this.list[i];
      if (each.length !== prefix.length || !has(each.outside, prefix.bytes, each.length, 0)) continue;
      this.list.splice(i, 1);
      return true;
    }
    return false;
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.list.length - 1; i >= 0; i--) if (this.list[i].nif === nif) this.list.splice(i, 1);
  }

  private see(packet: Packet, point: number, out: Interface | null): boolean {
    if (point === PREROUTING && !this.inwards(packet)) return false;
    if (this.next && !this.next(packet, point, out)) return false;
    // The other end of a tunnel knows inner addresses.
    if (packet.flags & PROTECTED) return true;
    // An error of this host shows no inner address either.
    for (let i = 0; point === OUTPUT && i < this.list.length; i++)
      if (this.list[i].nif === out) this.quote(this.list[i], packet, true);
    return point !== POSTROUTING || this.outwards(packet, out as Interface);
  }

  /** An outer destination becomes the inner one. */
  private inwards(packet: Packet): boolean {
    const data = packet.data;
    const at = packet.network;
    this.hairpin = null;
    for (let i = 0; i < this.list.length; i++) {
      const mapping = this.list[i];
      const destination = at + IPV6_DESTINATION;
      if (!has(mapping.outside, data, mapping.length, destination)) continue;
      // Addresses of this host are its own.
      if (this.ip.findAddress(data, destination, null)) return true;
      if (packet.nif !== mapping.nif) this.hairpin = mapping;
      if (!this.turn(mapping, packet, destination, false)) return this.refuse(packet);
      this.quote(mapping, packet, false);
      this.counters.inwards++;
      return true;
    }
    return true;
  }

  private outwards(packet: Packet, out: Interface): boolean {
    const at = packet.network;
    for (let i = 0; i < this.list.length; i++) {
      const mapping = this.list[i];
      if (
        (mapping.nif !== out && mapping !== this.hairpin) ||
        !has(mapping.inside, packet.data, mapping.length, at + IPV6_SOURCE)
      )
        continue;
      if (!this.turn(mapping, packet, at + IPV6_SOURCE, true)) return this.refuse(packet);
      this.quote(mapping, packet, true);
      this.counters.outwards++;
      return true;
    }
    return true;
  }

  /** Gives the address at `at` the other prefix; the sum of its words stays. False: it has no counterpart. */
  private turn(mapping: Mapping, packet: Packet, at: number, outwards: boolean): boolean {
    const prefix = outwards ? mapping.outside : mapping.inside;
    const adjustment = outwards ? mapping.adjustment : ~mapping.adjustment & 0xffff;
    return translate(packet.data, at, prefix, mapping.length, adjustment);
  }

  /** What an ICMP error quotes gets the other prefix too: on the way out its destination, on the way in its source. */
  private quote(mapping: Mapping, packet: Packet, outwards: boolean): void {
    const data = packet.data;
    const at = packet.network + IPV6_HEADER;
    const quoted = at + 8;
    if (data[packet.network + IPV6_NEXT_HEADER] !== PROTOCOL_ICMPV6 || quoted + IPV6_HEADER > packet.end)
      return;
    if (data[at] >= 128) return;
    const end = quoted + (outwards ? IPV6_DESTINATION : IPV6_SOURCE);
    if (has(outwards ? mapping.inside : mapping.outside, data, mapping.length, end))
      this.turn(mapping, packet, end, outwards);
  }

  private refuse(packet: Packet): boolean {
    this.counters.unmappable++;
    if (this.ip.icmp) this.ip.icmp.sendError(packet, UNREACHABLE6, PROHIBITED, 0);
    return false;
  }
}

/**
 * Gives the address at `data[at..]` another prefix of `length` bits and adds `adjustment` to a word behind it (sections 3.4 and 3.5): of
 * prefixes up to 48 bits the subnet's, of longer ones the first of the identifier that is not all ones. False: there is no such word.
 */
export function translate(
  data: Uint8Array,
  at: number,
  prefix: Uint8Array,
  length: number,
  adjustment: number,
): boolean {
  let word = at + (length <= 48 ? 6 : 8);
  const end = length <= 48 ? word + 2 : at + 16;
  while (word < end && get16(data, word) === 0xffff) word += 2;
  if (word === end) return false;
  const sum = fold(get16(data, word) + adjustment);
  put16(data, word, sum === 0xffff ? 0 : sum);
  for (let i = 0; i < length; i += 8) {
    const mask = length - i < 8 ? (0xff00 >> (length - i)) & 255 : 255;
    data[at + (i >> 3)] = (data[at + (i >> 3)] & ~mask) | (prefix[i >> 3] & mask);
  }
  return true;
}

/** Does the address at `data[at..]` begin with the first `length` bits of `prefix`? */
function has(prefix: Uint8Array, data: Uint8Array, length: number, at: number): boolean {
  return commonPrefix(prefix, 0, data, at) >= length;
}

function parsePrefix(text: string, what: string): { bytes: Uint8Array; length: number } {
  const parts = splitPrefix(text, -1);
  const bytes = parts && parse6(parts.address);
  if (!parts || !bytes || parts.length < 1 || parts.length > 64) return fail("EINVAL", what);
  if (commonPrefix(bytes, 0, maskPrefix(bytes, parts.length), 0) < 128) fail("EINVAL", what);
  return { bytes, length: parts.length };
}

/** NPTv6: see `Nptv6.add`. Needs `ipv6`, and `forwarding6` to be of use. Counters: `nptv6`. */
export function nptv6(): Nptv6 {
  return new Nptv6();
}
