/** IGMP and MLD as a multicast router reads and writes them (RFC 3376, RFC 2236, RFC 3810, RFC 2710). */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import type { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Stack } from "../core/stack.js";
import { isUsable } from "../ipv6/address.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Path4 } from "../ipv4/path.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { LOCAL } from "../ipv6/path.js";
import type { Path6 } from "../ipv6/path.js";
import * as mld from "../wire/icmpv6.js";
import * as igmp from "../wire/igmp.js";
import { FLAG_MF, FRAGMENT_OFFSET, IPV4_FRAGMENT, PROTOCOL_IGMP, isMulticast4 } from "../wire/ipv4.js";
import {
  HOP_BY_HOP,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  isLinkLocal6,
  isMulticast6,
  isZero,
} from "../wire/ipv6.js";
import { mapTo } from "./prefix.js";

/** What a packet is. */
export const NO_MESSAGE = 0;
export const BAD_MESSAGE = -1;
export const QUERY = 1;
export const REPORT = 2;

/** Takes the group records of a report; `source(i)` gives the i-th source, in one array. */
export type RecordVisitor = (
  group: Uint8Array,
  type: number,
  count: number,
  source: (i: number) => Uint8Array,
) => void;

const ALERT4 = 0x94040000 | 0;
/** ms, of queries for all and for one group. */
const RESPONSE = 10000;
const LAST_RESPONSE = 1000;

export interface MulticastCodec {
  /** What the packet, whose header is at `packet.network`, says to routers. Records of reports go to `visit`; the group of a query to `group`. */
  read(packet: Packet, group: Uint8Array, visit: RecordVisitor): number;
  /** Sends a query on `nif`: for all groups (null), or one and some of its sources. 0 or a code. */
  query(nif: Interface, group: Uint8Array | null, sources: Uint8Array[], interval: number): number;
  /** Is the packet's sender before us, where two routers ask? Null: we have no address to compare. */
  precedes(packet: Packet): boolean;
}

export class IgmpCodec implements MulticastCodec {
  private readonly path: Path4;
  private readonly address = new Uint8Array(16);
  private data: Uint8Array;
  private at = 0;
  private readonly source = (i: number): Uint8Array => mapTo(this.address, get32(this.data, this.at + 4 * i));

  constructor(
    private readonly stack: Stack,
    private readonly ip: Ipv4,
  ) {
    const path = (this.path = ip.createPath());
    path.ttl = 1;
    path.tos = 0xc0;
    path.option = ALERT4;
    this.data = this.address;
  }

  read(packet: Packet, group: Uint8Array, visit: RecordVisitor): number {
    const data = packet.data;
    const at = packet.network + ((data[packet.network] & 15) << 2);
    const length = packet.end - at;
    if (packet.protocol !== PROTOCOL_IGMP) return NO_MESSAGE;
    if (
      length < igmp.IGMP_LENGTH ||
      get16(data, packet.network + IPV4_FRAGMENT) & (FLAG_MF | FRAGMENT_OFFSET) ||
      packet.ttl !== 1 ||
      this.stack.host.sum(data, at, packet.end, 0) !== 0xffff ||
      !this.ip.isOnLink(packet.nif as Interface, packet.source)
    ) {
      return BAD_MESSAGE;
    }
    this.data = data;
    const type = data[at];
    const address = get32(data, at + igmp.IGMP_GROUP);
    mapTo(group, address);
    if (type === igmp.IGMP_QUERY) return address === 0 || isMulticast4(address) ? QUERY : BAD_MESSAGE;
    if (type !== igmp.IGMP_REPORT_V3) {
      if (type !== igmp.IGMP_REPORT_V1 && type !== igmp.IGMP_REPORT_V2 && type !== igmp.IGMP_LEAVE)
        return NO_MESSAGE;
      if (!isMulticast4(address)) return BAD_MESSAGE;
      visit(group, type === igmp.IGMP_LEAVE ? igmp.TO_INCLUDE : igmp.IS_EXCLUDE, 0, this.source);
      return REPORT;
    }
    let next = at + igmp.IGMP_LENGTH;
    for (let left = get16(data, at + igmp.REPORT_COUNT); left > 0; left--) {
      const count = next + 8 <= packet.end ? get16(data, next + 2) : 0xffff;
      const end = next + 8 + 4 * count + 4 * (next + 1 < packet.end ? data[next + 1] : 0);
      if (end > packet.end || !isMulticast4(get32(data, next + 4))) return BAD_MESSAGE;
      this.at = next + 8;
      visit(mapTo(group, get32(data, next + 4)), data[next], count, this.source);
      next = end;
    }
    return REPORT;
  }

  query(nif: Interface, group: Uint8Array | null, sources: Uint8Array[], interval: number): number {
    const path = this.path;
    const packet = this.stack.prepare(igmp.QUERY_V3_LENGTH + 4 * sources.length);
    if (!packet) return -1;
    const data = packet.data;
    const at = packet.start;
    const address = group ? get32(group, 12) : 0;
    path.bound = nif;
    path.remote = address || igmp.ALL_HOSTS;
    path.generation = 0;
    put32(data, at, (igmp.IGMP_QUERY << 24) | (((group ? LAST_RESPONSE : RESPONSE) / 100) << 16));
    put32(data, at + igmp.IGMP_GROUP, address);
    data[at + igmp.QUERY_ROBUSTNESS] = 2;
    data[at + igmp.QUERY_ROBUSTNESS + 1] = floatCode(interval / 1000, 4);
    put16(data, at + igmp.QUERY_COUNT, sources.length);
    for (let i = 0; i < sources.length; i++)
      put32(data, at + igmp.QUERY_SOURCES + 4 * i, get32(sources[i], 12));
    put16(data, at + igmp.IGMP_CHECKSUM, ~this.stack.host.sum(data, at, packet.end, 0));
    return this.ip.output(packet, path, PROTOCOL_IGMP);
  }

  precedes(packet: Packet): boolean {
    const own = this.ip.sourceFor(packet.nif as Interface, packet.source);
    return own !== 0 && packet.source >>> 0 < own >>> 0;
  }
}

/** Offsets of MLD's messages (RFC 3810 section 5). */
const GROUP = 8;
const MESSAGE = 24;
const QUERY_COUNT = 26;
const QUERY_V2 = 28;
const RECORD = 20;
/** The hop-by-hop header with the router alert. */
const ALERT6 = 8;

export class MldCodec implements MulticastCodec {
  private readonly path: Path6;
  private data: Uint8Array;
  private at = 0;
  private readonly source = (i: number): Uint8Array =>
    this.data.subarray(this.at + 16 * i, this.at + 16 * i + 16);

  constructor(
    private readonly stack: Stack,
    private readonly ip: Ipv6,
  ) {
    this.path = ip.createPath();
    this.path.ttl = 1;
    this.data = this.path.ends;
  }

  read(packet: Packet, group: Uint8Array, visit: RecordVisitor): number {
    const data = packet.data;
    const header = packet.network + IPV6_HEADER;
    // Messages for routers have a router alert before them, and nothing else (RFC 3810 section 5).
    if (
      data[packet.network + IPV6_NEXT_HEADER] !== HOP_BY_HOP ||
      header + 16 > packet.end ||
      data[header] !== PROTOCOL_ICMPV6
    )
      return NO_MESSAGE;
    const at = header + ((data[header + 1] + 1) << 3);
    const length = packet.end - at;
    const type = at < packet.end ? data[at] : 0;
    if (
      type !== mld.MLD_QUERY &&
      type !== mld.MLD_REPORT &&
      type !== mld.MLD_DONE &&
      type !== mld.MLD2_REPORT
    )
      return NO_MESSAGE;
    const seed = fold(packet.pseudo + PROTOCOL_ICMPV6 + length);
    if (
      length < mld.ICMPV6_HEADER ||
      packet.ttl !== 1 ||
      !isLinkLocal6(data, packet.network + IPV6_SOURCE) ||
      this.stack.host.sum(data, at, packet.end, seed) !== 0xffff
    ) {
      return BAD_MESSAGE;
    }
    this.data = data;
    if (type !== mld.MLD2_REPORT) {
      if (length < MESSAGE) return BAD_MESSAGE;
      group.set(data.subarray(at + GROUP, at + GROUP + 16));
      if (type === mld.MLD_QUERY) return isZero(group, 0, 16) || isMulticast6(group, 0) ? QUERY : BAD_MESSAGE;
      if (!isMulticast6(group, 0)) return BAD_MESSAGE;
      visit(group, type === mld.MLD_DONE ? igmp.TO_INCLUDE : igmp.IS_EXCLUDE, 0, this.source);
      return REPORT;
    }
    let next = at + mld.ICMPV6_HEADER;
    for (let left = get16(data, at + 6); left > 0; left--) {
      const count = next + RECORD <= packet.end ? get16(data, next + 2) : 0xffff;
      const end = next + RECORD + 16 * count + 4 * (next + 1 < packet.end ? data[next + 1] : 0);
      if (end > packet.end || !isMulticast6(data, next + 4)) return BAD_MESSAGE;
      this.at = next + RECORD;
      group.set(data.subarray(next + 4, next + RECORD));
      visit(group, data[next], count, this.source);
      next = end;
    }
    return REPORT;
  }

  query(nif: Interface, group: Uint8Array | null, sources: Uint8Array[], interval: number): number {
    const path = this.path;
    const ip = this.ip;
    const length = QUERY_V2 + 16 * sources.length;
    const own = this.own(nif);
    const packet = own && this.stack.prepare(ALERT6 + length);
    if (!packet) return -1;
    path.bound = nif;
    path.fixed = true;
    path.ends.set(own as Uint8Array, LOCAL);
    for (let i = 0; i < 16; i++)
      path.ends[16 + i] = group ? group[i] : i === 0 ? 0xff : i === 1 ? 2 : i === 15 ? 1 : 0;
    path.generation = 0;
    const code = ip.route(path);
    if (code < 0) return code;
    const data = packet.data;
    const start = packet.start;
    const at = start + ALERT6;
    put32(data, start, (PROTOCOL_ICMPV6 << 24) | 0x0502);
    put32(data, start + 4, 0x0100);
    put32(data, at, mld.MLD_QUERY << 24);
    put32(data, at + 4, (group ? LAST_RESPONSE : RESPONSE) << 16);
    for (let i = 0; i < 16; i++) data[at + GROUP + i] = group ? group[i] : 0;
    data[at + MESSAGE] = 2;
    data[at + MESSAGE + 1] = floatCode(interval / 1000, 4);
    put16(data, at + QUERY_COUNT, sources.length);
    for (let i = 0; i < sources.length; i++) data.set(sources[i], at + QUERY_V2 + 16 * i);
    const seed = fold(path.pseudo + PROTOCOL_ICMPV6 + length);
    put16(data, at + mld.ICMPV6_CHECKSUM, ~this.stack.host.sum(data, at, packet.end, seed));
    return ip.output(packet, path, HOP_BY_HOP);
  }

  precedes(packet: Packet): boolean {
    const own = this.own(packet.nif as Interface);
    const at = packet.network + IPV6_SOURCE;
    for (let i = 0; own && i < 16; i++)
      if (packet.data[at + i] !== own[i]) return packet.data[at + i] < own[i];
    return false;
  }

  private own(nif: Interface): Uint8Array | null {
    const list = this.ip.addresses;
    for (let i = 0; i < list.length; i++)
      if (list[i].nif === nif && isUsable(list[i]) && isLinkLocal6(list[i].bytes, 0)) return list[i].bytes;
    return null;
  }
}

/** An interval as queries have it: above 127 a float of 3 bits exponent and 4 bits mantissa (RFC 3376 section 4.1.7). */
function floatCode(value: number, bits: number): number {
  let mantissa = value | 0;
  if (mantissa < 128) return mantissa;
  let exponent = 0;
  mantissa >>= 3;
  for (; mantissa >= 2 << bits && exponent < 7; exponent++) mantissa >>= 1;
  return 0x80 | (exponent << bits) | (mantissa & ((1 << bits) - 1));
}
