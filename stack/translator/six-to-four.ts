/** IPv6 packets as IPv4 ones (RFC 7915 section 5). */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import type { Host } from "../core/host.js";
import { ICMP_HEADER } from "../wire/icmp.js";
import { PACKET_TOO_BIG, PARAMETER_PROBLEM6 } from "../wire/icmpv6.js";
import {
  FLAG_DF,
  FLAG_MF,
  IPV4_DESTINATION,
  IPV4_HEADER,
  IPV4_SOURCE,
  PROTOCOL_ICMP,
  PROTOCOL_UDP,
} from "../wire/ipv4.js";
import * as wire from "../wire/ipv6.js";
import { DESTINATION, QUOTED, REPORTER, SOURCE } from "./addresses.js";
import type { Addresses } from "./addresses.js";
import { NONE, isError6, message4, pointer4 } from "./icmp.js";
import type { TranslatorCounters } from "./counters.js";
import { checksumOffset, moveChecksum } from "./transport.js";

/** Extension headers that are walked. */
const CHAIN_LIMIT = 8;
/** What is larger than that leaves as a packet that is not to be fragmented: its sender does path MTU discovery. */
const ATOMIC = 1260;

export class SixToFour {
  private id = 0;
  /** What `walk` has found. */
  private next = 0;
  private at = 0;
  private fragment = 0;
  private fragmentId = 0;
  private fragmented = false;

  constructor(
    private readonly host: Host,
    private readonly addresses: Addresses,
    private readonly counters: TranslatorCounters,
  ) {}

  /**
   * Translates the packet `data[0..end)` into `out`, at `start`. Returns where it ends, or -1: it has been counted. The hop limit is
   * one more: two forwarders count it, for one hop.
   */
  translate(data: Uint8Array, end: number, out: Uint8Array, start: number): number {
    const counters = this.counters;
    if (end < wire.IPV6_HEADER || get16(data, wire.IPV6_PAYLOAD_LENGTH) > end - wire.IPV6_HEADER) {
      counters.malformed++;
      return -1;
    }
    end = wire.IPV6_HEADER + get16(data, wire.IPV6_PAYLOAD_LENGTH);
    if (!this.walk(data, 0, end)) return -1;
    const at = this.at;
    const first = (this.fragment & 0xfff8) === 0;
    const icmp = this.next === wire.PROTOCOL_ICMPV6;
    if (icmp && (this.fragmented || (at + ICMP_HEADER <= end && data[at] >= 130))) {
      counters.untranslatable++;
      return -1;
    }
    const length = end - at;
    const error = icmp && length > 0 && isError6(data[at]);
    if (!this.header(data, 0, length, out, start, error ? REPORTER : SOURCE, DESTINATION)) return -1;
    const hops = data[wire.IPV6_HOP_LIMIT];
    out[start + 8] = hops < 255 ? hops + 1 : hops;
    const body = start + IPV4_HEADER;
    this.host.copy(out, body, data, at, length);
    let stop = body + length;
    if (error) {
      stop = this.error(data, at, end, out, body);
      if (stop < 0) return -1;
      put16(out, start + 2, stop - start);
    } else if (first && !this.transport(data, 0, out, body, stop, this.next, false)) return -1;
    put16(out, start + 10, ~fold(this.host.sum(out, start, body, 0)));
    counters.toIpv4++;
    return stop;
  }

  /** Walks the extension headers; what cannot be translated is counted. */
  private walk(data: Uint8Array, start: number, end: number): boolean {
    let next = data[start + wire.IPV6_NEXT_HEADER];
    let at = start + wire.IPV6_HEADER;
    this.fragmented = false;
    this.fragment = 0;
    for (let i = 0; wire.isExtension(next); i++) {
      const size = next === wire.FRAGMENT ? 8 : at + 8 <= end ? (data[at + 1] + 1) << 3 : 0;
      if (i === CHAIN_LIMIT || size === 0 || at + size > end) {
        this.counters.malformed++;
        return false;
      }
      if (next === wire.FRAGMENT) {
        if (this.fragmented) {
          this.counters.malformed++;
          return false;
        }
        this.fragment = get16(data, at + 2);
        this.fragmentId = get32(data, at + 4);
        // An atomic fragment is a whole packet (RFC 6946).
        this.fragmented = (this.fragment & 0xfff9) !== 0;
      } else if (next === wire.ROUTING && data[at + 3] !== 0) {
        this.counters.untranslatable++;
        return false;
      }
      next = data[at];
      at += size;
      if ((this.fragment & 0xfff8) !== 0) break;
    }
    this.next = next;
    this.at = at;
    return true;
  }

  /** The IPv4 header at `out[to..]` for the IPv6 one at `data[start..]`, `length` bytes follow it; the checksum is not made. */
  private header(
    data: Uint8Array,
    start: number,
    length: number,
    out: Uint8Array,
    to: number,
    from: number,
    destination: number,
  ): boolean {
    const total = IPV4_HEADER + length;
    const addresses = this.addresses;
    if (total > 0xffff || !addresses.four(data, start + wire.IPV6_SOURCE, from)) {
      this.counters.address++;
      return false;
    }
    put32(out, to + IPV4_SOURCE, addresses.word);
    if (!addresses.four(data, start + wire.IPV6_DESTINATION, destination)) {
      this.counters.address++;
      return false;
    }
    put32(out, to + IPV4_DESTINATION, addresses.word);
    const flags = this.fragmented
      ? (this.fragment & 1 ? FLAG_MF : 0) | (this.fragment >> 3)
      : total > ATOMIC
        ? FLAG_DF
        : 0;
    put16(out, to, 0x4500 | ((get16(data, start) >> 4) & 255));
    put16(out, to + 2, total);
    put16(out, to + 4, this.fragmented ? this.fragmentId : flags ? 0 : (this.id = (this.id + 1) & 0xffff));
    put16(out, to + 6, flags);
    out[to + 8] = data[start + wire.IPV6_HOP_LIMIT];
    out[to + 9] = this.next === wire.PROTOCOL_ICMPV6 ? PROTOCOL_ICMP : this.next;
    put16(out, to + 10, 0);
    return true;
  }

  /** Checksum and, of echoes, type of the transport at `out[at..end)`, which came with the IPv6 header at `data[start..]`. */
  private transport(
    data: Uint8Array,
    start: number,
    out: Uint8Array,
    at: number,
    end: number,
    protocol: number,
    quoted: boolean,
  ): boolean {
    const from = wire.sum6(data, start + wire.IPV6_SOURCE) + wire.sum6(data, start + wire.IPV6_DESTINATION);
    if (protocol === wire.PROTOCOL_ICMPV6) {
      const message = at + ICMP_HEADER <= end ? message4(out[at], out[at + 1]) : NONE;
      if (message === NONE) {
        this.counters.untranslatable++;
        return false;
      }
      const word = get16(out, at);
      // The length of what an error quotes is that of its header.
      const length = quoted
        ? get16(data, start + wire.IPV6_PAYLOAD_LENGTH) - (this.at - start - 40)
        : end - at;
      put16(out, at, message);
      moveChecksum(out, at + 2, from + length + protocol + word, message, false);
      return true;
    }
    const field = checksumOffset(protocol);
    if (field < 0) return true;
    if (at + field + 2 > end) {
      if (quoted) return true;
      this.counters.malformed++;
      return false;
    }
    const udp = protocol === PROTOCOL_UDP;
    if (udp && get16(out, at + field) === 0) {
      if (quoted) return true;
      this.counters.malformed++;
      return false;
    }
    const network = at - IPV4_HEADER;
    let to = 0;
    for (let i = IPV4_SOURCE; i < IPV4_HEADER; i += 2) to += get16(out, network + i);
    moveChecksum(out, at + field, from, to, udp);
    return true;
  }

  /** An ICMPv6 error at `data[at..end)` becomes one of ICMP at `out[to..]`. Returns its end, or -1. */
  private error(data: Uint8Array, at: number, end: number, out: Uint8Array, to: number): number {
    const counters = this.counters;
    if (end - at < ICMP_HEADER + wire.IPV6_HEADER) {
      counters.malformed++;
      return -1;
    }
    const type = data[at];
    const message = message4(type, data[at + 1]);
    let word = 0;
    if (type === PACKET_TOO_BIG) {
      const mtu = get32(data, at + 4);
      word = (mtu >= 0 && mtu < 0x10000 ? mtu : 0xffff) - (wire.IPV6_HEADER - IPV4_HEADER);
      if (word < 68) word = 68;
    } else if (type === PARAMETER_PROBLEM6 && data[at + 1] === 0) {
      const pointer = pointer4(get32(data, at + 4));
      word = pointer < 0 ? NONE : pointer << 24;
      if (pointer < 0) {
        counters.untranslatable++;
        return -1;
      }
    }
    if (message === NONE) {
      counters.untranslatable++;
      return -1;
    }
    const pseudo =
      wire.sum6(data, wire.IPV6_SOURCE) +
      wire.sum6(data, wire.IPV6_DESTINATION) +
      (end - at) +
      wire.PROTOCOL_ICMPV6;
    const quote = at + ICMP_HEADER;
    if (this.host.sum(data, at, end, fold(pseudo)) !== 0xffff || data[quote] >> 4 !== 6) {
      counters.malformed++;
      return -1;
    }
    if (!this.walk(data, quote, end)) return -1;
    const inner = this.at;
    const length = get16(data, quote + wire.IPV6_PAYLOAD_LENGTH) - (inner - quote - wire.IPV6_HEADER);
    const body = to + ICMP_HEADER + IPV4_HEADER;
    if (length < 0) {
      counters.malformed++;
      return -1;
    }
    if (!this.header(data, quote, length, out, to + ICMP_HEADER, QUOTED, QUOTED)) return -1;
    let stop = body + end - inner;
    this.host.copy(out, body, data, inner, end - inner);
    if ((this.fragment & 0xfff8) === 0 && !this.transport(data, quote, out, body, stop, this.next, true))
      return -1;
    put16(out, to + ICMP_HEADER + 10, ~fold(this.host.sum(out, to + ICMP_HEADER, body, 0)));
    // RFC 1812 section 4.3.2.3: the datagram has at most 576 bytes.
    if (stop - to > 576 - IPV4_HEADER) stop = to + 576 - IPV4_HEADER;
    put16(out, to, message);
    put32(out, to + 4, word);
    put16(out, to + 2, 0);
    put16(out, to + 2, ~fold(this.host.sum(out, to, stop, 0)));
    return stop;
  }
}
