/**
 * IPv4 fragments (RFC 791 section 3.2, RFC 815, RFC 1858, RFC 3128): bounded reassembly, and fragmentation without copies.
 *
 * Bounds: `memory` bytes of packet memory, `datagrams` at once (a quarter of them from one source), `ranges` of data in each,
 * `timeout` ms. What is new evicts what is oldest: of its own source when that has its share, else of all. Datagrams are found by
 * a walk over the few that there are, so that no choice of identifications makes it slow.
 */
import { get16, put16 } from "../core/bytes.js";
import { EMSGSIZE, fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { CHECKSUM_OK, NOT_UNICAST, REASSEMBLED, ROUTER_ALERT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Stream } from "../core/stream.js";
import { Timer } from "../core/timers.js";
import { REASSEMBLY_TIMEOUT, TIME_EXCEEDED } from "../wire/icmp.js";
import {
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_CHECKSUM,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_TOS,
  IPV4_TOTAL_LENGTH,
  PROTOCOL_TCP,
} from "../wire/ipv4.js";
import { Identifications } from "./id.js";
import type { FragmentHooks, Ipv4 } from "./ipv4.js";
import { emit, send } from "./output.js";
import type { Path4 } from "./path.js";

export class FragmentCounters {
  received = 0;
  reassembled = 0;
  sent = 0;
  /** Empty, or not the last and no multiple of 8 bytes. */
  malformed = 0;
  /** Reaches beyond 65535 bytes, or beyond what reassembly may hold. */
  toobig = 0;
  /** TCP header cut: the flags might come (again) in another fragment. */
  tiny = 0;
  /** Came already. */
  duplicate = 0;
  /** Contradicts what came before: the datagram is rejected. */
  overlap = 0;
  /** In too many pieces: the datagram is rejected. */
  holes = 0;
  /** Belongs to a datagram that was rejected. */
  rejected = 0;
  /** No memory for it: the datagram is dropped. */
  noMemory = 0;
  /** Datagrams that went for newer ones. */
  evicted = 0;
  /** Datagrams that were not complete in time. */
  timeout = 0;
}

export interface FragmentOptions {
  /** Time that a datagram has to become complete, ms. Default 30000. */
  timeout?: number;
  /** Bytes of packet memory for reassembly, in whole chunks; no larger datagram is taken. Default: a quarter of the budget. */
  memory?: number;
  /** Datagrams in reassembly, 1..256. Default 16. */
  datagrams?: number;
  /** Separate pieces of one datagram, 1..256. Default 32. */
  ranges?: number;
}

/** A TCP header that is cut below this is an attack: the smallest MTU, 68, leaves 48 bytes behind a plain IP header. */
const TINY = 40;
/** Longest header, and what an ICMP error quotes behind it. */
const QUOTE = 60 + 8;
/** Bytes that are compared at a time. */
const WINDOW = 64;

/** A datagram in reassembly. */
class Datagram {
  nif: Interface | null = null;
  source = 0;
  destination = 0;
  id = 0;
  protocol = 0;
  /** When its first piece came. */
  at = 0;
  /** Bytes behind the header, or -1: the last fragment has not come. */
  total = -1;
  /** The furthest end of fragments that were not the last. */
  reach = 0;
  /** What has come: starts and ends in turn, in order, with gaps between. */
  ranges: number[] = [];
  /** Fragments contradicted each other: none of it is delivered, whatever comes. */
  rejected = false;
  flags = 0;
  /** A fragment met congestion (RFC 3168 section 5.3). */
  congested = false;
  /** Chunks that `data` holds. */
  chunks = 0;
  /** The first fragment's header and the 8 bytes behind it; its length, 0 until it has come. */
  readonly header = new Uint8Array(QUOTE);
  headerLength = 0;

  constructor(readonly data: Stream) {}
}

export class Fragments implements Component, FragmentHooks {
  readonly name = "frag";
  readonly counters = new FragmentCounters();
  private stack: Stack = null as never;
  private ip: Ipv4 = null as never;
  /** Oldest first. */
  private readonly datagrams: Datagram[] = [];
  /** Those that are not in use. */
  private readonly spare: Datagram[] = [];
  private readonly timer = new Timer(tick, this);
  private readonly window = new Uint8Array(WINDOW);
  /** Where a datagram lies when it is whole. */
  private whole: Uint8Array = new Uint8Array(0);
  private held = 0;
  private limit = 0;

  constructor(
    private readonly timeout: number,
    private readonly memory: number,
    private readonly count: number,
    private readonly ranges: number,
  ) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "fragments");
    this.stack = stack;
    stack.counters.frag = this.counters as never;
    this.limit = this.memory ? this.memory >> stack.pool.chunkShift : stack.pool.limit >> 2;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(4) as Ipv4);
    if (!ip) fail("ENOPROTOOPT", "fragments needs ipv4");
    ip.fragments = this;
    const ids = new Identifications(this.stack);
    ip.nextId = (path, protocol) => ids.next(path, protocol);
  }

  interfaceRemoved(nif: Interface): void {
    this.clear(nif);
  }

  close(): void {
    this.clear(null);
  }

  input(packet: Packet, fragment: number): boolean {
    const counters = this.counters;
    const offset = (fragment & FRAGMENT_OFFSET) << 3;
    const more = (fragment & FLAG_MF) !== 0;
    const length = packet.end - packet.start;
    const end = offset + length;
    counters.received++;
    if (length === 0 || (more && length & 7)) counters.malformed++;
    else if (end > 65535 - IPV4_HEADER || end > this.limit << this.stack.pool.chunkShift) counters.toobig++;
    else if (packet.protocol === PROTOCOL_TCP && (offset || length) < TINY) counters.tiny++;
    else {
      const datagram = this.obtain(packet);
      if (datagram.rejected) counters.rejected++;
      else if (this.add(datagram, packet, offset, end, more)) return this.finish(datagram, packet);
    }
    return false;
  }

  /**
   * The datagram lies in one piece; each fragment's header is written right before its slice, over the end of the slice before,
   * which has been sent (links and queues are done with a frame, or have copied it, when they return).
   */
  output(packet: Packet, path: Path4, protocol: number): number {
    const header = path.option ? IPV4_HEADER + 4 : IPV4_HEADER;
    const first = packet.start;
    const end = packet.end;
    const step = (path.mtu - header) & ~7;
    if (end - first + header > 65535) {
      this.ip.counters.tooBig++;
      return EMSGSIZE;
    }
    const id = this.ip.nextId(path, protocol);
    for (let at = first; at < end; at += step) {
      const last = at + step >= end;
      packet.start = at - header;
      packet.end = last ? end : at + step;
      const place = (at - first) >> 3;
      emit(packet, path, protocol, packet.end - packet.start, id, last ? place : place | FLAG_MF);
      const code = send(packet, path);
      if (code < 0) return code;
      this.counters.sent++;
    }
    this.ip.counters.sent++;
    return 0;
  }

  /** The datagram of a fragment, made where there is none. */
  private obtain(packet: Packet): Datagram {
    const list = this.datagrams;
    const id = get16(packet.data, packet.network + IPV4_ID);
    let own = 0;
    let oldest: Datagram | null = null;
    for (let i = 0; i < list.length; i++) {
      const datagram = list[i];
      if (datagram.source !== packet.source) continue;
      if (
        datagram.id === id &&
        datagram.destination === packet.destination &&
        datagram.protocol === packet.protocol &&
        datagram.nif === packet.nif
      ) {
        return datagram;
      }
      if (own++ === 0) oldest = datagram;
    }
    if (oldest && own * 4 >= this.count) this.evict(oldest);
    else if (list.length >= this.count) this.evict(list[0]);
    const made = this.spare.pop() || new Datagram(new Stream(this.stack.pool, this.stack.host.copy));
    made.nif = packet.nif;
    made.source = packet.source;
    made.destination = packet.destination;
    made.id = id;
    made.protocol = packet.protocol;
    made.at = this.stack.now();
    made.total = -1;
    made.reach = made.flags = made.headerLength = 0;
    made.ranges = [];
    made.rejected = made.congested = false;
    list.push(made);
    if (list.length === 1) this.stack.timers.set(this.timer, (made.at + this.timeout) | 0);
    return made;
  }

  /** Takes a fragment's bytes; true when the datagram is complete. */
  private add(datagram: Datagram, packet: Packet, offset: number, end: number, more: boolean): boolean {
    const counters = this.counters;
    const ranges = datagram.ranges;
    const total = datagram.total;
    // All fragments must agree on where the datagram ends.
    if (more ? total >= 0 && end >= total : total >= 0 ? end !== total : datagram.reach >= end) {
      counters.overlap++;
      this.reject(datagram);
      return false;
    }
    // The ranges that it touches are ranges[i..k).
    let i = 0;
    while (i < ranges.length && ranges[i + 1] < offset) i += 2;
    let k = i;
    let from = offset;
    let to = end;
    for (; k < ranges.length && ranges[k] <= end; k += 2) {
      const low = ranges[k] > offset ? ranges[k] : offset;
      const high = ranges[k + 1] < end ? ranges[k + 1] : end;
      if (!this.same(datagram, low, high, packet, offset)) {
        counters.overlap++;
        this.reject(datagram);
        return false;
      }
      if (ranges[k] < from) from = ranges[k];
      if (ranges[k + 1] > to) to = ranges[k + 1];
    }
    if (k === i + 2 && from === ranges[i] && to === ranges[i + 1]) {
      counters.duplicate++;
      return false;
    }
    if (k === i && ranges.length >= this.ranges * 2) {
      counters.holes++;
      this.reject(datagram);
      return false;
    }
    if (!this.store(datagram, packet, offset, end - offset)) {
      counters.noMemory++;
      this.remove(datagram);
      return false;
    }
    ranges.splice(i, k - i, from, to);
    if (!more) datagram.total = end;
    else if (end > datagram.reach) datagram.reach = end;
    if (offset === 0) {
      datagram.headerLength = packet.start - packet.network;
      this.stack.host.copy(datagram.header, 0, packet.data, packet.network, datagram.headerLength + 8);
    }
    datagram.flags |= packet.flags & (NOT_UNICAST | ROUTER_ALERT);
    if ((packet.tos & 3) === 3) datagram.congested = true;
    return ranges[0] === 0 && ranges[1] === datagram.total;
  }

  /** Are the bytes `low..high` of the datagram the same as those in the fragment that starts at `offset`? */
  private same(datagram: Datagram, low: number, high: number, packet: Packet, offset: number): boolean {
    const window = this.window;
    while (low < high) {
      const size = high - low < WINDOW ? high - low : WINDOW;
      datagram.data.read(low, window, 0, size);
      const at = packet.start + low - offset;
      for (let i = 0; i < size; i++) {
        if (window[i] !== packet.data[at + i]) return false;
      }
      low += size;
    }
    return true;
  }

  /** Copies a fragment into the datagram's chunks; older datagrams make room. */
  private store(datagram: Datagram, packet: Packet, offset: number, length: number): boolean {
    const pool = this.stack.pool;
    for (;;) {
      const before = pool.used;
      // Leaves a quarter of the budget to others, and takes no more than reassembly's own limit.
      const own = pool.limit - (before - this.held) - this.limit;
      const keep = own > pool.limit >> 2 ? own : pool.limit >> 2;
      const stored = datagram.data.write(offset, packet.data, packet.start, length, keep);
      const taken = pool.used - before;
      datagram.chunks += taken;
      this.held += taken;
      if (stored) return true;
      let i = 0;
      while (i < this.datagrams.length && (this.datagrams[i] === datagram || !this.datagrams[i].chunks)) i++;
      if (i === this.datagrams.length) return false;
      this.evict(this.datagrams[i]);
    }
  }

  /** Puts the whole datagram in one piece, and into `packet`. */
  private finish(datagram: Datagram, packet: Packet): boolean {
    const header = datagram.headerLength;
    const length = header + datagram.total;
    const host = this.stack.host;
    if (length > 65535) this.counters.toobig++;
    else {
      if (this.whole.length < length) {
        const most = (this.limit << this.stack.pool.chunkShift) + 60;
        let size = this.whole.length * 2 || 2048;
        while (size < length) size *= 2;
        if (size > most) size = most;
        this.whole = host.allocate(size) || this.whole;
      }
      const data = this.whole;
      if (data.length < length) this.counters.noMemory++;
      else {
        host.copy(data, 0, datagram.header, 0, header);
        datagram.data.read(0, data, header, datagram.total);
        if (datagram.congested) data[IPV4_TOS] |= 3;
        put16(data, IPV4_TOTAL_LENGTH, length);
        put16(data, IPV4_FRAGMENT, 0);
        put16(data, IPV4_CHECKSUM, 0);
        put16(data, IPV4_CHECKSUM, ~host.sum(data, 0, header, 0));
        packet.data = data;
        packet.network = 0;
        packet.start = header;
        packet.end = length;
        packet.tos = data[IPV4_TOS];
        packet.flags = (packet.flags & ~CHECKSUM_OK) | datagram.flags | REASSEMBLED;
        this.counters.reassembled++;
        this.remove(datagram);
        return true;
      }
    }
    this.remove(datagram);
    return false;
  }

  /** Gives the datagram's memory back, but remembers it until its time is over: what is left of it is dropped. */
  private reject(datagram: Datagram): void {
    datagram.rejected = true;
    this.free(datagram);
  }

  private evict(datagram: Datagram): void {
    this.counters.evicted++;
    this.remove(datagram);
  }

  private remove(datagram: Datagram): void {
    this.free(datagram);
    datagram.nif = null;
    this.datagrams.splice(this.datagrams.indexOf(datagram), 1);
    this.spare.push(datagram);
    if (this.datagrams.length === 0) this.stack.timers.clear(this.timer);
  }

  private free(datagram: Datagram): void {
    datagram.data.clear();
    this.held -= datagram.chunks;
    datagram.chunks = 0;
  }

  private clear(nif: Interface | null): void {
    for (let i = this.datagrams.length - 1; i >= 0; i--) {
      if (!nif || this.datagrams[i].nif === nif) this.remove(this.datagrams[i]);
    }
  }

  /** Drops what has not become complete in time. */
  expire(): void {
    const list = this.datagrams;
    const now = this.stack.now();
    while (list.length > 0) {
      const datagram = list[0];
      const at = (datagram.at + this.timeout) | 0;
      if (((at - now) | 0) > 0) {
        this.stack.timers.set(this.timer, at);
        break;
      }
      this.counters.timeout++;
      if (datagram.headerLength > 0 && !datagram.rejected) this.report(datagram);
      this.remove(datagram);
    }
  }

  /** Tells the sender (RFC 792), who gets to know only when the first fragment has come. */
  private report(datagram: Datagram): void {
    const icmp = this.ip.icmp;
    if (!icmp) return;
    const packet = this.stack.rx;
    packet.data = datagram.header;
    packet.network = 0;
    packet.start = datagram.headerLength;
    packet.end = datagram.headerLength + 8;
    packet.nif = datagram.nif;
    packet.net = this.ip;
    packet.flags = datagram.flags;
    packet.source = datagram.source;
    packet.destination = datagram.destination;
    icmp.sendError(packet, TIME_EXCEEDED, REASSEMBLY_TIMEOUT, 0);
  }
}

function tick(fragments: Fragments): void {
  fragments.expire();
}

/** Reassembly and fragmentation for IPv4. Needs `ipv4`. Counters: `frag`. */
export function fragments(options: FragmentOptions = {}): Fragments {
  return new Fragments(
    requireInteger(options.timeout || 30000, 1, 0x7fffffff, "timeout"),
    requireInteger(options.memory || 0, 0, 0x7fffffff, "memory"),
    requireInteger(options.datagrams || 16, 1, 256, "datagrams"),
    requireInteger(options.ranges || 32, 1, 256, "ranges"),
  );
}
