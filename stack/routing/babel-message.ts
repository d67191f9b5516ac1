/** Messages of Babel (RFC 8966 section 4): a reader that trusts no length, and a writer that fills packets. */
import { get16, put16 } from "../core/bytes.js";
import * as wire from "../wire/babel.js";
import { isMapped6 } from "../wire/ipv6.js";
import { MAPPED, isV4, mapTo, mask } from "./prefix.js";

/** A TLV as it was read; which fields are meant, its type says. */
export class BabelTlv {
  type = 0;
  flags = 0;
  seqno = 0;
  /** Milliseconds. */
  interval = 0;
  metric = 0;
  nonce = 0;
  hops = 0;
  /** False: the address is the wildcard. */
  addressed = false;
  /** Prefix or address, IPv4 in its mapped form. */
  readonly prefix = new Uint8Array(16);
  length = 0;
  readonly routerId = new Uint8Array(8);
  readonly nextHop = new Uint8Array(16);
}

const LENGTHS = [0, 0, 6, 2, 6, 6, 10, 2, 10, 2, 14];

/** Reads one packet after another; what a TLV leaves to those behind it (section 4.5) is kept here. */
export class BabelReader {
  readonly tlv = new BabelTlv();
  /** TLVs that did not hold together. */
  bad = 0;
  private identified = false;
  /** A next hop of IPv4 has been named. */
  private hop4 = false;
  private readonly gateway4 = new Uint8Array(16);
  private readonly gateway6 = new Uint8Array(16);
  private readonly routerId = new Uint8Array(8);
  /** Default prefixes of updates, and whether there are any. */
  private readonly prefix4 = new Uint8Array(16);
  private readonly prefix6 = new Uint8Array(16);
  private default4 = false;
  private default6 = false;

  /** Reads `data[0..end)`, which `from` has sent; calls `visit` for each TLV. False: it is no packet of Babel. */
  read(data: Uint8Array, end: number, from: Uint8Array, visit: (tlv: BabelTlv) => void): boolean {
    if (end < wire.BABEL_HEADER || data[0] !== wire.BABEL_MAGIC || data[1] !== wire.BABEL_VERSION)
      return false;
    const stop = wire.BABEL_HEADER + get16(data, 2);
    if (stop > end) return false;
    this.identified = this.hop4 = this.default4 = this.default6 = false;
    this.gateway6.set(from);
    for (let at = wire.BABEL_HEADER; at < stop;) {
      const type = data[at];
      const last = wire.tlvEnd(data, at, stop);
      if (last < 0) {
        this.bad++;
        break;
      }
      if (type >= wire.ACK_REQUEST && type <= wire.SEQNO_REQUEST) {
        this.tlv.type = type;
        const found = last - at - 2 < LENGTHS[type] ? -1 : this.body(data, at + 2, last, type);
        if (found < 0) this.bad++;
        else if (found > 0) visit(this.tlv);
      }
      at = last;
    }
    return true;
  }

  /** 1: a TLV to be looked at, 0: none, -1: one that does not hold together. */
  private body(data: Uint8Array, at: number, end: number, type: number): number {
    const tlv = this.tlv;
    let next = at + LENGTHS[type];
    switch (type) {
      case wire.ACK_REQUEST:
        tlv.nonce = get16(data, at + 2);
        tlv.interval = get16(data, at + 4) * 10;
        break;
      case wire.ACK:
        tlv.nonce = get16(data, at);
        break;
      case wire.HELLO:
        tlv.flags = get16(data, at);
        tlv.seqno = get16(data, at + 2);
        tlv.interval = get16(data, at + 4) * 10;
        break;
      case wire.IHU:
        tlv.metric = get16(data, at + 2);
        tlv.interval = get16(data, at + 4) * 10;
        next = this.address(data, next, end, data[at], tlv.prefix);
        break;
      case wire.ROUTER_ID: {
        // All zeros and all ones are nobody's (section 4.1.3).
        let sum = 0;
        for (let i = 0; i < 8; i++) sum += this.routerId[i] = data[at + 2 + i];
        this.identified = sum !== 0 && sum !== 8 * 255;
        return this.identified ? 0 : -1;
      }
      case wire.NEXT_HOP:
        next = this.address(data, next, end, data[at], tlv.prefix);
        if (next < 0 || !tlv.addressed) return -1;
        if (isV4(tlv.prefix)) {
          this.gateway4.set(tlv.prefix);
          this.hop4 = true;
        } else this.gateway6.set(tlv.prefix);
        return 0;
      case wire.UPDATE:
        return this.update(data, at, end);
      case wire.ROUTE_REQUEST:
        next = this.prefix(data, next, end, data[at], data[at + 1], null);
        break;
      default:
        tlv.seqno = get16(data, at + 2);
        tlv.hops = data[at + 4];
        for (let i = 0; i < 8; i++) tlv.routerId[i] = data[at + 6 + i];
        next = this.prefix(data, next, end, data[at], data[at + 1], null);
        if (!tlv.addressed || tlv.hops === 0) return -1;
    }
    return next < 0 ? -1 : understood(data, next, end);
  }

  /** Section 4.6.9. What it leaves to others counts even where it is not understood itself. */
  private update(data: Uint8Array, at: number, end: number): number {
    const tlv = this.tlv;
    const ae = data[at];
    const flags = data[at + 1];
    const plen = data[at + 2];
    tlv.interval = get16(data, at + 4) * 10;
    tlv.seqno = get16(data, at + 6);
    tlv.metric = get16(data, at + 8);
    const four = ae === wire.AE_IPV4;
    const omitted = data[at + 3];
    let before: Uint8Array | null = null;
    if (omitted > 0) {
      if (!(four ? this.default4 : ae === wire.AE_IPV6 && this.default6)) return -1;
      before = four ? this.prefix4 : this.prefix6;
    }
    const next = this.prefix(data, at + 10, end, ae, plen, before, omitted);
    if (next < 0) return -1;
    if (!tlv.addressed) {
      // A retraction of all that this neighbour has told.
      return tlv.metric === wire.BABEL_INFINITY && plen === 0 ? understood(data, next, end) : -1;
    }
    if (ae === wire.AE_LINK_LOCAL) return 0;
    if (flags & wire.UPDATE_PREFIX) {
      if (four) this.default4 = true;
      else this.default6 = true;
      (four ? this.prefix4 : this.prefix6).set(tlv.prefix);
    }
    if (flags & wire.UPDATE_ROUTER_ID) {
      for (let i = 0; i < 8; i++) this.routerId[i] = four && i < 4 ? 0 : tlv.prefix[8 + i];
      this.identified = true;
    }
    if (
      tlv.metric !== wire.BABEL_INFINITY &&
      (!this.identified || (four && !this.hop4) || tlv.interval === 0)
    )
      return -1;
    tlv.routerId.set(this.routerId);
    tlv.nextHop.set(four ? this.gateway4 : this.gateway6);
    return understood(data, next, end);
  }

  /** Reads an address at `at` into `to`; where what is behind it begins, or -1. */
  private address(data: Uint8Array, at: number, end: number, ae: number, to: Uint8Array): number {
    const size = ae === wire.AE_IPV4 ? 4 : ae === wire.AE_IPV6 ? 16 : ae === wire.AE_LINK_LOCAL ? 8 : 0;
    this.tlv.addressed = size > 0;
    if (ae > wire.AE_LINK_LOCAL || at + size > end) return -1;
    for (let i = 0; i < 16; i++) to[i] = 0;
    if (ae === wire.AE_IPV4) mapTo(to, 0);
    else if (ae === wire.AE_LINK_LOCAL) {
      to[0] = 0xfe;
      to[1] = 0x80;
    }
    for (let i = 0; i < size; i++) to[16 - size + i] = data[at + i];
    return ae === wire.AE_IPV6 && isMapped6(to, 0) ? -1 : at + size;
  }

  /** Reads a prefix of `plen` bits, of whose bytes the first `omitted` are those of `before`; as `address`. */
  private prefix(
    data: Uint8Array,
    at: number,
    end: number,
    ae: number,
    plen: number,
    before: Uint8Array | null,
    omitted = 0,
  ): number {
    const tlv = this.tlv;
    const to = tlv.prefix;
    const four = ae === wire.AE_IPV4;
    tlv.addressed = ae !== wire.AE_WILDCARD;
    tlv.length = 0;
    if (ae > wire.AE_LINK_LOCAL || (ae === wire.AE_LINK_LOCAL && plen !== 64)) return -1;
    if (!tlv.addressed) return at;
    if (ae === wire.AE_LINK_LOCAL) return this.address(data, at, end, ae, to);
    const bytes = (plen + 7) >> 3;
    const first = four ? 12 : 0;
    if (plen > (four ? 32 : 128) || omitted > bytes || at + bytes - omitted > end) return -1;
    for (let i = 0; i < 16; i++) to[i] = 0;
    if (four) mapTo(to, 0);
    for (let i = 0; i < bytes; i++) {
      to[first + i] = i < omitted ? (before as Uint8Array)[first + i] : data[at + i - omitted];
    }
    tlv.length = plen + (four ? MAPPED : 0);
    mask(to, tlv.length);
    return !four && isMapped6(to, 0) ? -1 : at + bytes - omitted;
  }
}

/** Walks the sub-TLVs: 1: nothing there that we had to understand, 0: there is, -1: they do not hold together. */
function understood(data: Uint8Array, at: number, end: number): number {
  let known = 1;
  while (at < end) {
    if (data[at] & wire.MANDATORY) known = 0;
    at = wire.tlvEnd(data, at, end);
    if (at < 0) return -1;
  }
  return known;
}

const MESSAGE = 1500;

/** Fills packets with TLVs, and gives each to `send` when it is full or `flush` says so. */
export class BabelWriter {
  readonly data = new Uint8Array(MESSAGE);
  private at = wire.BABEL_HEADER;
  private room = MESSAGE;
  private identified = false;
  private hop4 = false;
  private readonly routerId = new Uint8Array(8);

  constructor(private readonly send: (data: Uint8Array, end: number) => void) {
    this.data[0] = wire.BABEL_MAGIC;
    this.data[1] = wire.BABEL_VERSION;
  }

  /** Packets have `room` bytes at most from now on; `trailer` of them are left to `send`. */
  begin(room: number, trailer = 0): void {
    this.room = (room < MESSAGE ? room : MESSAGE) - trailer;
  }

  flush(): void {
    const end = this.at;
    this.at = wire.BABEL_HEADER;
    this.identified = this.hop4 = false;
    if (end === wire.BABEL_HEADER) return;
    put16(this.data, 2, end - wire.BABEL_HEADER);
    this.send(this.data, end);
  }

  ack(nonce: number): void {
    const at = this.open(wire.ACK, 2);
    put16(this.data, at, nonce);
  }

  hello(seqno: number, interval: number): void {
    const at = this.open(wire.HELLO, 6);
    put16(this.data, at, 0);
    put16(this.data, at + 2, seqno);
    put16(this.data, at + 4, (interval / 10) | 0);
  }

  /** `address`: the neighbour's, link-local. */
  ihu(address: Uint8Array, cost: number, interval: number): void {
    const at = this.open(wire.IHU, 14);
    put16(this.data, at, wire.AE_LINK_LOCAL << 8);
    put16(this.data, at + 2, cost);
    put16(this.data, at + 4, (interval / 10) | 0);
    for (let i = 0; i < 8; i++) this.data[at + 6 + i] = address[8 + i];
  }

  /** `hop`: our address of the prefix's family, in IPv4's case; IPv6's is the packet's source. */
  update(
    prefix: Uint8Array,
    length: number,
    routerId: Uint8Array,
    seqno: number,
    metric: number,
    interval: number,
    hop: Uint8Array,
  ): void {
    const data = this.data;
    const four = isV4(prefix);
    // All that one update may want stands in one packet.
    if (this.at + 12 + 8 + 12 + 16 > this.room) this.flush();
    let known = this.identified;
    for (let i = 0; i < 8; i++) if (this.routerId[i] !== routerId[i]) known = false;
    if (!known) {
      const at = this.open(wire.ROUTER_ID, 10);
      put16(data, at, 0);
      data.set(routerId, at + 2);
      this.routerId.set(routerId);
      this.identified = true;
    }
    if (four && !this.hop4) {
      const at = this.open(wire.NEXT_HOP, 6);
      put16(data, at, wire.AE_IPV4 << 8);
      for (let i = 0; i < 4; i++) data[at + 2 + i] = hop[12 + i];
      this.hop4 = true;
    }
    const plen = four ? length - MAPPED : length;
    const bytes = (plen + 7) >> 3;
    const at = this.open(wire.UPDATE, 10 + bytes);
    data[at] = four ? wire.AE_IPV4 : wire.AE_IPV6;
    data[at + 1] = 0;
    data[at + 2] = plen;
    data[at + 3] = 0;
    put16(data, at + 4, (interval / 10) | 0);
    put16(data, at + 6, seqno);
    put16(data, at + 8, metric);
    for (let i = 0; i < bytes; i++) data[at + 10 + i] = prefix[(four ? 12 : 0) + i];
  }

  /** Asks for a prefix, or (null) for all. */
  request(prefix: Uint8Array | null, length: number): void {
    if (!prefix) {
      put16(this.data, this.open(wire.ROUTE_REQUEST, 2), 0);
      return;
    }
    const four = isV4(prefix);
    const plen = four ? length - MAPPED : length;
    const bytes = (plen + 7) >> 3;
    const at = this.open(wire.ROUTE_REQUEST, 2 + bytes);
    this.data[at] = four ? wire.AE_IPV4 : wire.AE_IPV6;
    this.data[at + 1] = plen;
    for (let i = 0; i < bytes; i++) this.data[at + 2 + i] = prefix[(four ? 12 : 0) + i];
  }

  seqnoRequest(prefix: Uint8Array, length: number, routerId: Uint8Array, seqno: number, hops: number): void {
    const data = this.data;
    const four = isV4(prefix);
    const plen = four ? length - MAPPED : length;
    const bytes = (plen + 7) >> 3;
    const at = this.open(wire.SEQNO_REQUEST, 14 + bytes);
    data[at] = four ? wire.AE_IPV4 : wire.AE_IPV6;
    data[at + 1] = plen;
    put16(data, at + 2, seqno);
    data[at + 4] = hops;
    data[at + 5] = 0;
    data.set(routerId, at + 6);
    for (let i = 0; i < bytes; i++) data[at + 14 + i] = prefix[(four ? 12 : 0) + i];
  }

  /** A challenge (`CHALLENGE_REQUEST`), or what answers one (`CHALLENGE_REPLY`). */
  nonce(type: number, nonce: Uint8Array): void {
    this.data.set(nonce, this.open(type, nonce.length));
  }

  /** Begins a TLV of `length` bytes; where its body begins. */
  private open(type: number, length: number): number {
    if (this.at + 2 + length > this.room) this.flush();
    const at = this.at;
    this.data[at] = type;
    this.data[at + 1] = length;
    this.at = at + 2 + length;
    return at + 2;
  }
}

/** Are two router identifiers the same? */
export function sameRouter(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < 8; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Sequence numbers of 16 bits that wrap (section 3.2.1): is `a` later than `b`? */
export function later(a: number, b: number): boolean {
  const ahead = (a - b) & 0xffff;
  return ahead !== 0 && ahead < 0x8000;
}
