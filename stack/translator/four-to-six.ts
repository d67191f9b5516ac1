/** IPv4 packets as IPv6 ones (RFC 7915 section 4). */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import type { Host } from "../core/host.js";
import {
  ICMP_HEADER,
  FRAGMENTATION_NEEDED,
  PARAMETER_PROBLEM,
  PROTOCOL_UNREACHABLE,
  UNREACHABLE,
} from "../wire/icmp.js";
import {
  FLAG_DF,
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_DESTINATION,
  IPV4_HEADER,
  IPV4_SOURCE,
  PROTOCOL_ICMP,
  PROTOCOL_UDP,
} from "../wire/ipv4.js";
import * as wire from "../wire/ipv6.js";
import { DESTINATION, QUOTED, REPORTER, SOURCE } from "./addresses.js";
import type { Addresses } from "./addresses.js";
import type { TranslatorCounters } from "./counters.js";
import { NONE, isError4, message6, pointer6 } from "./icmp.js";
import { checksumOffset, moveChecksum } from "./transport.js";

/** Source routes: a packet on one is not translated (section 4.1). */
const LSRR = 131;
const SSRR = 137;
/** The smallest MTU of IPv6: what may be fragmented becomes packets that fit any link. */
const LEAST_MTU = 1280;

export class FourToSix {
  constructor(
    private readonly host: Host,
    private readonly addresses: Addresses,
    private readonly counters: TranslatorCounters,
    /** Takes what has been made: `out[start..end)`. */
    private readonly emit: (out: Uint8Array, start: number, end: number) => void,
  ) {}

  /** Translates the packet `data[0..end)` and emits it; `out` has room for it behind `start`, and for a fragment header before. */
  translate(data: Uint8Array, end: number, out: Uint8Array, start: number): void {
    const counters = this.counters;
    const size = end >= IPV4_HEADER ? (data[0] & 15) << 2 : 0;
    const total = get16(data, 2);
    if (size < IPV4_HEADER || total < size || total > end) {
      counters.malformed++;
      return;
    }
    end = total;
    const word = get16(data, 6);
    const offset = word & FRAGMENT_OFFSET;
    const more = word & FLAG_MF;
    const icmp = data[9] === PROTOCOL_ICMP;
    if (sourceRouted(data, size) || (icmp && (offset !== 0 || more !== 0))) {
      counters.untranslatable++;
      return;
    }
    const length = end - size;
    const error = icmp && length > 0 && isError4(data[size]);
    if (!this.header(data, 0, length, out, start, error ? REPORTER : SOURCE, DESTINATION)) return;
    const hops = data[8];
    out[start + wire.IPV6_HOP_LIMIT] = hops < 255 ? hops + 1 : hops;
    const body = start + wire.IPV6_HEADER;
    this.host.copy(out, body, data, size, length);
    let stop = body + length;
    if (error) {
      stop = this.error(data, size, end, out, body, start);
      if (stop < 0) return;
      put16(out, start + wire.IPV6_PAYLOAD_LENGTH, stop - body);
    } else if (offset === 0 && !this.transport(data, 0, out, start, body, stop, more !== 0)) return;
    counters.toIpv6++;
    if (offset === 0 && more === 0 && (word & FLAG_DF || stop - start <= LEAST_MTU))
      this.emit(out, start, stop);
    else this.fragment(out, start, stop, offset, more !== 0, get16(data, 4));
  }

  /** Emits the packet with a fragment header, in several pieces if need be; each header is written over the end of the piece before. */
  private fragment(
    out: Uint8Array,
    start: number,
    end: number,
    offset: number,
    more: boolean,
    id: number,
  ): void {
    const room = wire.IPV6_HEADER + wire.FRAGMENT_HEADER;
    const step = (LEAST_MTU - room) & ~7;
    const next = out[start + wire.IPV6_NEXT_HEADER];
    const header = new Uint8Array(wire.IPV6_HEADER);
    for (let i = 0; i < wire.IPV6_HEADER; i++) header[i] = out[start + i];
    header[wire.IPV6_NEXT_HEADER] = wire.FRAGMENT;
    let at = start + wire.IPV6_HEADER;
    do {
      const stop = end - at > step ? at + step : end;
      const from = at - room;
      for (let i = 0; i < wire.IPV6_HEADER; i++) out[from + i] = header[i];
      put16(out, from + wire.IPV6_PAYLOAD_LENGTH, stop - at + wire.FRAGMENT_HEADER);
      put16(out, at - 8, next << 8);
      put16(out, at - 6, (offset << 3) | (more || stop < end ? 1 : 0));
      put32(out, at - 4, id);
      if (stop < end || at > start + wire.IPV6_HEADER) this.counters.fragments++;
      this.emit(out, from, stop);
      offset += step >> 3;
      at = stop;
    } while (at < end);
  }

  /** The IPv6 header at `out[to..]` for the IPv4 one at `data[start..]`; `length` bytes follow it. */
  private header(
    data: Uint8Array,
    start: number,
    length: number,
    out: Uint8Array,
    to: number,
    from: number,
    destination: number,
  ): boolean {
    const addresses = this.addresses;
    if (
      !addresses.six(get32(data, start + IPV4_SOURCE), out, to + wire.IPV6_SOURCE, from) ||
      !addresses.six(get32(data, start + IPV4_DESTINATION), out, to + wire.IPV6_DESTINATION, destination)
    ) {
      this.counters.address++;
      return false;
    }
    put32(out, to, 0x60000000 | (data[start + 1] << 20));
    put16(out, to + wire.IPV6_PAYLOAD_LENGTH, length);
    const protocol = data[start + 9];
    out[to + wire.IPV6_NEXT_HEADER] = protocol === PROTOCOL_ICMP ? wire.PROTOCOL_ICMPV6 : protocol;
    out[to + wire.IPV6_HOP_LIMIT] = data[start + 8];
    return true;
  }

  /**
   * Checksum and, of echoes, type of the transport at `out[at..end)`, which came with the IPv4 header at `data[start..]`.
   *
   * @param partial it is a part of a datagram, or quoted: its length is another
   */
  private transport(
    data: Uint8Array,
    start: number,
    out: Uint8Array,
    network: number,
    at: number,
    end: number,
    partial: boolean,
  ): boolean {
    const counters = this.counters;
    const protocol = data[start + 9];
    const to = wire.sum6(out, network + wire.IPV6_SOURCE) + wire.sum6(out, network + wire.IPV6_DESTINATION);
    if (protocol === PROTOCOL_ICMP) {
      const message = at + ICMP_HEADER <= end ? message6(out[at], out[at + 1]) : NONE;
      if (message === NONE) {
        counters.untranslatable++;
        return false;
      }
      const word = get16(out, at);
      put16(out, at, message);
      const length = get16(out, network + wire.IPV6_PAYLOAD_LENGTH);
      moveChecksum(out, at + 2, word, message + to + length + wire.PROTOCOL_ICMPV6, false);
      return true;
    }
    const field = checksumOffset(protocol);
    if (field < 0) return true;
    const quoted = start !== 0;
    if (at + field + 2 > end) {
      if (!quoted) counters.malformed++;
      return quoted;
    }
    const udp = protocol === PROTOCOL_UDP;
    if (udp && get16(out, at + field) === 0) {
      if (quoted) return true;
      // IPv6 has no datagrams without checksum; of a part it cannot be made.
      if (partial) {
        counters.untranslatable++;
        return false;
      }
      put16(
        out,
        at + field,
        ~this.host.sum(out, at, end, fold(to + (end - at) + protocol)) & 0xffff || 0xffff,
      );
      return true;
    }
    let from = 0;
    for (let i = IPV4_SOURCE; i < IPV4_HEADER; i += 2) from += get16(data, start + i);
    moveChecksum(out, at + field, from, to, udp);
    return true;
  }

  /** An ICMP error at `data[at..end)` becomes one of ICMPv6 at `out[to..]`. Returns its end, or -1. */
  private error(
    data: Uint8Array,
    at: number,
    end: number,
    out: Uint8Array,
    to: number,
    network: number,
  ): number {
    const counters = this.counters;
    const quote = at + ICMP_HEADER;
    const size = end - quote >= IPV4_HEADER ? (data[quote] & 15) << 2 : 0;
    if (
      size < IPV4_HEADER ||
      quote + size > end ||
      data[quote] >> 4 !== 4 ||
      this.host.sum(data, at, end, 0) !== 0xffff
    ) {
      counters.malformed++;
      return -1;
    }
    const type = data[at];
    const code = data[at + 1];
    const message = message6(type, code);
    let word = 0;
    if (type === UNREACHABLE && code === FRAGMENTATION_NEEDED) {
      word = get16(data, at + 6) + (wire.IPV6_HEADER - IPV4_HEADER);
      if (word < LEAST_MTU) word = LEAST_MTU;
    } else if (type === UNREACHABLE && code === PROTOCOL_UNREACHABLE) word = wire.IPV6_NEXT_HEADER;
    else if (type === PARAMETER_PROBLEM) word = pointer6(data[at + 4]);
    if (message === NONE || word === NONE) {
      counters.untranslatable++;
      return -1;
    }
    const length = get16(data, quote + 2) - size;
    const inner = to + ICMP_HEADER;
    const body = inner + wire.IPV6_HEADER;
    if (length < 0) {
      counters.malformed++;
      return -1;
    }
    if (!this.header(data, quote, length, out, inner, QUOTED, QUOTED)) return -1;
    let stop = body + end - quote - size;
    this.host.copy(out, body, data, quote + size, end - quote - size);
    if (
      (get16(data, quote + 6) & FRAGMENT_OFFSET) === 0 &&
      !this.transport(data, quote, out, inner, body, stop, true)
    )
      return -1;
    if (stop - network > LEAST_MTU) stop = network + LEAST_MTU;
    put16(out, to, message);
    put32(out, to + 4, word);
    put16(out, to + 2, 0);
    const pseudo =
      wire.sum6(out, network + wire.IPV6_SOURCE) + wire.sum6(out, network + wire.IPV6_DESTINATION);
    put16(out, to + 2, ~this.host.sum(out, to, stop, fold(pseudo + (stop - to) + wire.PROTOCOL_ICMPV6)));
    return stop;
  }
}

function sourceRouted(data: Uint8Array, size: number): boolean {
  for (let at = IPV4_HEADER; at < size && data[at] !== 0;) {
    if (data[at] === LSRR || data[at] === SSRR) return true;
    at += data[at] === 1 ? 1 : at + 1 < size && data[at + 1] > 1 ? data[at + 1] : size;
  }
  return false;
}
