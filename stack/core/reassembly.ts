/**
 * Reassembly as both networks need it (RFC 815): bounded, and the same whatever order the fragments come in.
 *
 * Bounds: `memory` bytes of packet memory, and as many for a datagram that is whole, `datagrams` at once (a quarter of them from one source), `ranges` of data in each,
 * `timeout` ms. What is new evicts what is oldest: of its own source when that has its share, else of all. Datagrams are found by
 * a walk over the few that there are, so that no choice of identifications makes it slow.
 */
import { requireInteger, setting } from "./errors.js";
import type { Interface } from "./interface.js";
import type { Network } from "./network.js";
import { CHECKSUM_OK, NOT_UNICAST, REASSEMBLED, ROUTER_ALERT } from "./packet.js";
import type { Packet } from "./packet.js";
import type { Stack } from "./stack.js";
import { Stream } from "./stream.js";
import { Timer } from "./timers.js";

export class FragmentCounters {
  received = 0;
  reassembled = 0;
  sent = 0;
  /** Empty, or not the last and no multiple of 8 bytes. */
  malformed = 0;
  /** Reaches beyond 65535 bytes, or beyond what reassembly may hold. */
  toobig = 0;
  /** The headers up to the transport's are cut: what counts might come (again) in another fragment. */
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
  /**
   * Bytes of packet memory for reassembly, in whole chunks; no larger datagram is taken. Default: a quarter of it; a datagram then has
   * a 16th of `StackOptions.budget`, 64 KiB at most.
   */
  memory?: number;
  /** Datagrams in reassembly, 1..256. Default 16, or what a 16th of `StackOptions.budget` holds. */
  datagrams?: number;
  /** Separate pieces of one datagram, 1..256. Default 32. */
  ranges?: number;
}

/** What an ICMP error quotes behind the header. */
const QUOTE = 8;
/** Bytes that are compared at a time. */
const WINDOW = 64;

/** Bytes of a datagram's record (IPv6's is the larger), and of one of its ranges: see `Stack.reserve`. */
export const DATAGRAM_BYTES = 896;
const RANGE_BYTES = 16;

/** A datagram in reassembly. */
export class Datagram {
  nif: Interface | null = null;
  /** Source and destination, as the network's `saveEnds` writes them. */
  readonly ends: Uint8Array;
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
  /** The network's own notes of the fragments; it starts anew while there are no ranges. */
  pieces: number[] | null = null;
  /** Fragments contradicted each other: none of it is delivered, whatever comes. */
  rejected = false;
  flags = 0;
  /** A fragment met congestion (RFC 3168 section 5.3). */
  congested = false;
  /** The first fragment's TOS or traffic class. */
  tos = 0;
  /** Chunks that `data` holds. */
  chunks = 0;
  /** The first fragment's header and the 8 bytes behind it; its length, 0 until it has come. */
  readonly header: Uint8Array;
  headerLength = 0;

  constructor(
    readonly data: Stream,
    ends: number,
    header: number,
  ) {
    this.ends = new Uint8Array(ends);
    this.header = new Uint8Array(header + QUOTE);
  }
}

export class Reassembly {
  readonly counters = new FragmentCounters();
  /** Bytes of fragments that it may hold. */
  capacity = 0;
  private stack: Stack = null as never;
  /** Oldest first. */
  private readonly datagrams: Datagram[] = [];
  /** Those that are not in use. */
  private readonly spare: Datagram[] = [];
  private readonly timer = new Timer(tick, this);
  private readonly window = new Uint8Array(WINDOW);
  /** The ends of the fragment at hand. */
  private readonly ends = new Uint8Array(32);
  /** Where a datagram lies when it is whole. */
  private whole: Uint8Array = new Uint8Array(0);
  private held = 0;
  private limit = 0;
  private readonly timeout: number;
  private readonly memory: number;
  private count: number;
  private readonly ranges: number;

  /**
   * @param header bytes of the longest header that a fragment has
   * @param expired tells the sender that its datagram (whose first fragment begins like the packet) was not complete in time
   */
  constructor(
    options: FragmentOptions,
    private readonly header: number,
    private readonly expired: (packet: Packet) => void,
  ) {
    this.timeout = requireInteger(options.timeout || 30000, 1, 0x7fffffff, "timeout");
    this.memory = requireInteger(options.memory || 0, 0, 0x7fffffff, "memory");
    this.count = setting(options.datagrams, -1, 1, 256, "datagrams");
    this.ranges = requireInteger(options.ranges || 32, 1, 256, "ranges");
  }

  /** @param notes bytes that the network's own notes of a datagram take at most */
  attach(stack: Stack, notes: number): void {
    this.stack = stack;
    this.count = stack.reserve(this.count, 16, 4, DATAGRAM_BYTES + this.ranges * RANGE_BYTES + notes);
    this.capacity = stack.reserve(this.memory || -1, 65536, 4, 1);
  }

  start(): void {
    const pool = this.stack.pool;
    this.limit = this.memory ? this.memory >> pool.chunkShift : pool.limit >> 2;
    const most = this.limit << pool.chunkShift;
    if (this.capacity > most) this.capacity = most;
  }

  /** The datagram of a fragment, made where there is none; what is too many goes for it. */
  obtain(packet: Packet, id: number, protocol: number): Datagram {
    const list = this.datagrams;
    const net = packet.net as Network;
    const ends = this.ends;
    const half = net.addressSize;
    let own = 0;
    let oldest: Datagram | null = null;
    net.saveEnds(packet, ends, 0);
    for (let i = 0; i < list.length; i++) {
      const datagram = list[i];
      let same = 0;
      while (same < 2 * half && datagram.ends[same] === ends[same]) same++;
      if (same < half) continue;
      if (
        same === 2 * half &&
        datagram.id === id &&
        datagram.protocol === protocol &&
        datagram.nif === packet.nif
      ) {
        return datagram;
      }
      if (own++ === 0) oldest = datagram;
    }
    if (oldest && own * 4 >= this.count) this.evict(oldest);
    else if (list.length >= this.count) this.evict(list[0]);
    const made =
      this.spare.pop() ||
      new Datagram(new Stream(this.stack.pool, this.stack.host.copy), 2 * half, this.header);
    made.nif = packet.nif;
    made.ends.set(ends.subarray(0, 2 * half));
    made.id = id;
    made.protocol = protocol;
    made.at = this.stack.now();
    made.total = -1;
    made.reach = made.flags = made.headerLength = 0;
    made.ranges = [];
    made.rejected = made.congested = false;
    list.push(made);
    if (list.length === 1) this.stack.timers.set(this.timer, (made.at + this.timeout) | 0);
    return made;
  }

  /** Takes a fragment's bytes, `packet.start` behind its header; true when the datagram is complete. */
  add(datagram: Datagram, packet: Packet, offset: number, end: number, more: boolean): boolean {
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
      datagram.tos = packet.tos;
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

  /** Puts the whole datagram in one piece, and into `packet`, behind the first fragment's header. False: no memory. */
  finish(datagram: Datagram, packet: Packet): boolean {
    const header = datagram.headerLength;
    const length = header + datagram.total;
    const host = this.stack.host;
    if (this.whole.length < length) {
      const most = this.capacity + this.header;
      let size = this.whole.length * 2 || 2048;
      while (size < length) size *= 2;
      if (size > most) size = most;
      this.whole = host.allocate(size) || this.whole;
    }
    const data = this.whole;
    const fits = data.length >= length;
    if (!fits) this.counters.noMemory++;
    else {
      host.copy(data, 0, datagram.header, 0, header);
      datagram.data.read(0, data, header, datagram.total);
      packet.data = data;
      packet.network = 0;
      packet.start = header;
      packet.end = length;
      packet.tos = datagram.congested ? datagram.tos | 3 : datagram.tos;
      packet.flags = (packet.flags & ~CHECKSUM_OK) | datagram.flags | REASSEMBLED;
      this.counters.reassembled++;
    }
    this.remove(datagram);
    return fits;
  }

  /** Gives the datagram's memory back, but remembers it until its time is over: what is left of it is dropped. */
  reject(datagram: Datagram): void {
    datagram.rejected = true;
    this.free(datagram);
  }

  private evict(datagram: Datagram): void {
    this.counters.evicted++;
    this.remove(datagram);
  }

  remove(datagram: Datagram): void {
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

  /** Forgets what came on an interface, or all. */
  clear(nif: Interface | null): void {
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
      if (datagram.headerLength > 0 && !datagram.rejected) this.expired(this.first(datagram));
      this.remove(datagram);
    }
  }

  /** The first fragment's beginning as a packet: what a sender is told of a timeout with. */
  private first(datagram: Datagram): Packet {
    const packet = this.stack.rx;
    packet.data = datagram.header;
    packet.network = 0;
    packet.start = datagram.headerLength;
    packet.end = datagram.headerLength + QUOTE;
    packet.nif = datagram.nif;
    packet.flags = datagram.flags;
    return packet;
  }
}

function tick(reassembly: Reassembly): void {
  reassembly.expire();
}
