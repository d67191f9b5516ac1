/**
 * Neighbour cache with unreachability detection (RFC 4861 sections 7.2 and 7.3), shared by ARP and ND.
 *
 * Bounds: `limit` entries, of which a quarter at most await resolution; 3 packets wait for each, or up to 128 while memory is
 * plenty (RFC 1122 section 2.3.2.2), so that a datagram in fragments is held whole. What comes then is refused, and its sender
 * told. A full cache evicts an unused entry, else the one that awaits resolution longest, else a stale one; reachable, router and static entries stay.
 */
import { get16, put16 } from "../core/bytes.js";
import { ENOBUFS } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Stack } from "../core/stack.js";
import { Stream } from "../core/stream.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { Timer } from "../core/timers.js";

/** States of an entry. */
export const FREE = 0;
export const INCOMPLETE = 1;
export const REACHABLE = 2;
export const STALE = 3;
export const DELAY = 4;
export const PROBE = 5;
export const STATIC = 6;
/** Did not answer while it was probed; packets go on to its last address (RFC 7048). Only a resolver with `again` sets it. */
export const UNREACHABLE = 7;

/** RFC 4861 section 10, milliseconds. */
const RETRANS_TIMER = 1000;
const REACHABLE_TIME = 30000;
const DELAY_FIRST_PROBE_TIME = 5000;
const MAX_SOLICIT = 3;
/** Packets that wait for the resolution of one address; more, while all that wait take no more than a quarter of the budget. */
const PENDING_LIMIT = 3;
/** As many in any case: the fragments of the largest datagram, at an MTU of 576. */
const PENDING_MOST = 128;
/** Bytes before each waiting packet: length, ethertype, checksum field, segment size. */
const RECORD = 8;
/** Bytes of an entry, with the head of its queue: see `Stack.reserve`. */
export const NEIGHBOUR_BYTES = 352;
/** Entries, unless told otherwise. */
const NEIGHBOURS = 64;
/** Entries that are looked at for a victim. */
const EVICTION_SEARCH = 32;

export interface NeighbourCounters {
  /** Entries that went for want of room. */
  evicted: number;
  /** New entries that were refused for want of room. */
  refused: number;
  /** Addresses that nobody answered for. */
  failed: number;
  /** Packets dropped while they waited for a resolution. */
  pendingDropped: number;
}

export class Neighbour implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;
  state = FREE;
  /** Its hardware address. */
  high = 0;
  low = 0;
  /** Stack time of the next step (INCOMPLETE, REACHABLE, DELAY, PROBE). */
  at = 0;
  probes = 0;
  /** It is, or may be, a router: never evicted. */
  router = false;
  pending: Stream | null = null;
  waiting = 0;

  constructor(
    /** Index in the cache's list. */
    public index: number,
    readonly nif: Interface,
    /** The address as four words; IPv4 uses the last alone. */
    readonly a0: number,
    readonly a1: number,
    readonly a2: number,
    readonly a3: number,
  ) {}
}

/** What a protocol may know better for an interface, ms. */
export interface Times {
  /** How long a confirmation lasts. */
  reachableTime: number;
  /** Between two questions. */
  retransTimer: number;
}

/** What a protocol adds to the cache. */
export interface Resolver {
  /** Asks for the neighbour's hardware address, of all (`unicast` false) or of itself. */
  solicit(neighbour: Neighbour, unicast: boolean): void;
  /** Nobody answered: the network packet in `packet` cannot be delivered (`EHOSTUNREACH`). */
  undeliverable(packet: Packet): void;
  /** Removes the entry, which has not answered, or makes it UNREACHABLE; absent: the cache removes it. */
  failed?(neighbour: Neighbour): void;
  /** A packet goes to an UNREACHABLE neighbour: asks for it where that is due. Returns its state: UNREACHABLE, or FREE to begin anew. */
  again?(neighbour: Neighbour): number;
  /** The times of an interface; absent: the cache's. */
  times?(nif: Interface): Times;
}

export class NeighbourCache implements Times {
  readonly table = new Table<Neighbour>();
  readonly entries: Neighbour[] = [];
  reachableTime = REACHABLE_TIME;
  retransTimer = RETRANS_TIMER;
  private readonly timer: Timer;
  private readonly record = new Uint8Array(RECORD);
  private incomplete = 0;
  /** Bytes of all packets that wait. */
  private held = 0;
  private hand = 0;
  private key = 0;

  /** Entries at most. */
  readonly limit: number;

  /** @param wanted entries that the application asks for, or -1 */
  constructor(
    private readonly stack: Stack,
    wanted: number,
    private readonly resolver: Resolver,
    readonly counters: NeighbourCounters,
  ) {
    this.timer = new Timer(tick, this);
    this.limit = stack.reserve(wanted, NEIGHBOURS, 4, NEIGHBOUR_BYTES);
  }

  /** The entry of an address, or null. */
  find(nif: Interface, a0: number, a1: number, a2: number, a3: number): Neighbour | null {
    let entry = this.table.first(this.hash(a0, a1, a2, a3));
    while (
      entry &&
      (entry.a3 !== a3 || entry.nif !== nif || entry.a2 !== a2 || entry.a1 !== a1 || entry.a0 !== a0)
    ) {
      entry = entry.nextInBucket;
    }
    return entry;
  }

  /** The entry of an address, made (state FREE) where there is none; null when the cache has no room for it. */
  obtain(nif: Interface, a0: number, a1: number, a2: number, a3: number): Neighbour | null {
    const entries = this.entries;
    let entry = this.find(nif, a0, a1, a2, a3);
    if (entry) return entry;
    if (entries.length >= this.limit || this.incomplete * 4 > this.limit) this.evict();
    if (entries.length >= this.limit) {
      this.counters.refused++;
      return null;
    }
    entry = new Neighbour(entries.length, nif, a0, a1, a2, a3);
    entry.hash = this.hash(a0, a1, a2, a3);
    entries.push(entry);
    this.table.insert(entry);
    return entry;
  }

  /** Sends a network packet to the neighbour, now or once its hardware address is known. */
  output(neighbour: Neighbour, packet: Packet, ethertype: number): number {
    const nif = neighbour.nif;
    let state = neighbour.state;
    if (state === UNREACHABLE) state = (this.resolver as Required<Resolver>).again(neighbour);
    if (state === STALE) this.step(neighbour, DELAY, DELAY_FIRST_PROBE_TIME);
    if (state >= REACHABLE) {
      return nif.medium.output(nif, packet, neighbour.high, neighbour.low, ethertype);
    }
    if (state === FREE) {
      this.step(neighbour, INCOMPLETE, this.times(nif).retransTimer);
      neighbour.probes = 1;
    }
    const code = this.hold(neighbour, packet, ethertype);
    if (state === FREE) this.resolver.solicit(neighbour, false);
    return code;
  }

  /** The neighbour has told its hardware address. `reachable`: in answer to our question; else it becomes STALE. */
  learn(neighbour: Neighbour, high: number, low: number, reachable: boolean): void {
    const state = neighbour.state;
    if (state === STATIC) return;
    const same = neighbour.high === high && neighbour.low === low;
    neighbour.high = high;
    neighbour.low = low;
    if (reachable) this.confirm(neighbour);
    else if (state < REACHABLE || !same) this.enter(neighbour, STALE);
    if (state === INCOMPLETE) this.drain(neighbour, false);
  }

  /** The neighbour is alive: it answered, or a transport saw progress. */
  confirm(neighbour: Neighbour): void {
    if (neighbour.state !== STATIC) {
      this.step(neighbour, REACHABLE, this.times(neighbour.nif).reachableTime);
    }
  }

  /** The neighbour seems dead: the next packet makes us ask. */
  doubt(neighbour: Neighbour): void {
    if (neighbour.state === REACHABLE) neighbour.state = STALE;
  }

  /** Sets an entry that never changes. */
  setStatic(neighbour: Neighbour, high: number, low: number): void {
    neighbour.high = high;
    neighbour.low = low;
    this.enter(neighbour, STATIC);
    this.drain(neighbour, false);
  }

  /** Forgets an entry and the packets that wait for it. */
  remove(neighbour: Neighbour): void {
    this.enter(neighbour, FREE);
    this.discard(neighbour);
    this.table.remove(neighbour);
    // The list stays dense: the last entry moves into the gap.
    const last = this.entries.pop() as Neighbour;
    if (last !== neighbour) {
      this.entries[neighbour.index] = last;
      last.index = neighbour.index;
    }
  }

  /** Forgets all entries of an interface (all interfaces: null). @param statics static ones as well */
  clear(nif: Interface | null, statics = true): void {
    for (let i = this.entries.length - 1; i >= 0; i--) {
      const entry = this.entries[i];
      if ((!nif || entry.nif === nif) && (statics || entry.state !== STATIC)) this.remove(entry);
    }
    if (this.entries.length === 0) this.stack.timers.clear(this.timer);
  }

  /** Begins to probe an entry whose hardware address has come into doubt. */
  probe(neighbour: Neighbour): void {
    const state = neighbour.state;
    if (state === STATIC || state < REACHABLE || state === PROBE) return;
    this.step(neighbour, PROBE, this.times(neighbour.nif).retransTimer);
    neighbour.probes = 1;
    this.resolver.solicit(neighbour, true);
  }

  private times(nif: Interface): Times {
    return this.resolver.times ? this.resolver.times(nif) : this;
  }

  private enter(neighbour: Neighbour, state: number): void {
    if (neighbour.state === INCOMPLETE) this.incomplete--;
    if (state === INCOMPLETE) this.incomplete++;
    neighbour.state = state;
  }

  /** A state that ends in `delay` ms; no packet looks at the clock for it. */
  private step(neighbour: Neighbour, state: number, delay: number): void {
    this.enter(neighbour, state);
    neighbour.probes = 0;
    neighbour.at = (this.stack.now() + delay) | 0;
    if (this.timer.slot < 0 || ((neighbour.at - this.timer.at) | 0) < 0) {
      this.stack.timers.set(this.timer, neighbour.at);
    }
  }

  /** Runs the entries whose step is due, and arms the timer for the next. */
  run(): void {
    const now = this.stack.now();
    let next = 0;
    for (let i = this.entries.length - 1; i >= 0; i--) {
      const entry = this.entries[i];
      const state = entry.state;
      if (state === FREE || state === STALE || state > PROBE) continue;
      if (((entry.at - now) | 0) <= 0) {
        if (state === REACHABLE) {
          entry.state = STALE;
          continue;
        }
        if (entry.probes >= MAX_SOLICIT) {
          this.counters.failed++;
          this.drain(entry, true);
          if (this.resolver.failed) this.resolver.failed(entry);
          else this.remove(entry);
          this.stack.changed();
          continue;
        }
        entry.probes++;
        entry.at = (now + this.times(entry.nif).retransTimer) | 0;
        if (state === DELAY) entry.state = PROBE;
        this.resolver.solicit(entry, state !== INCOMPLETE);
      }
      const left = (entry.at - now) | 0;
      if (next === 0 || left < next) next = left > 0 ? left : 1;
    }
    if (next > 0) this.stack.timers.set(this.timer, (now + next) | 0);
  }

  private hold(neighbour: Neighbour, packet: Packet, ethertype: number): number {
    const pool = this.stack.pool;
    const length = packet.end - packet.start;
    const record = this.record;
    const keep = pool.limit >> 2;
    const more = this.held + RECORD + length <= keep << pool.chunkShift ? PENDING_MOST : PENDING_LIMIT;
    put16(record, 0, length);
    put16(record, 2, ethertype);
    put16(record, 4, packet.checksumField < 0 ? 0 : packet.checksumField - packet.start);
    put16(record, 6, packet.segmentSize);
    if (!neighbour.pending) neighbour.pending = new Stream(pool, this.stack.host.copy);
    if (
      neighbour.waiting >= more ||
      !neighbour.pending.put(record, RECORD, packet.data, packet.start, length, keep)
    ) {
      this.counters.pendingDropped++;
      return ENOBUFS;
    }
    this.held += RECORD + length;
    neighbour.waiting++;
    return 0;
  }

  /** Sends what waits, or (`lost`) tells those who sent it. */
  private drain(neighbour: Neighbour, lost: boolean): void {
    const pending = neighbour.pending;
    const record = this.record;
    const nif = neighbour.nif;
    // Those that wait now: what the news makes a transport send is not waited for again.
    for (let n = neighbour.waiting; n > 0 && pending; n--) {
      pending.read(0, record, 0, RECORD);
      const length = get16(record, 0);
      const packet = this.stack.prepare(length);
      if (!packet) break;
      const at = packet.start;
      pending.read(RECORD, packet.data, at, length);
      pending.consume(RECORD + length);
      this.held -= RECORD + length;
      neighbour.waiting--;
      packet.network = at;
      packet.net = this.stack.network(packet.data[at] >> 4);
      const field = get16(record, 4);
      if (field) packet.checksumField = at + field;
      packet.segmentSize = get16(record, 6);
      if (lost) this.resolver.undeliverable(packet);
      else nif.medium.output(nif, packet, neighbour.high, neighbour.low, get16(record, 2));
    }
    this.discard(neighbour);
  }

  private discard(neighbour: Neighbour): void {
    const pending = neighbour.pending;
    if (!pending) return;
    this.held -= pending.length;
    pending.clear();
    neighbour.pending = null;
    this.counters.pendingDropped += neighbour.waiting;
    neighbour.waiting = 0;
  }

  private evict(): void {
    const entries = this.entries;
    const tooMany = this.incomplete * 4 > this.limit;
    let victim: Neighbour | null = null;
    for (let i = 0; i < EVICTION_SEARCH && i < entries.length; i++) {
      this.hand = this.hand + 1 < entries.length ? this.hand + 1 : 0;
      const entry = entries[this.hand];
      const state = entry.state;
      if (entry.router) continue;
      if (state === FREE) {
        victim = entry;
        break;
      }
      if (state === INCOMPLETE) {
        if (!victim || victim.state !== INCOMPLETE || ((entry.at - victim.at) | 0) < 0) victim = entry;
      } else if ((state === STALE || state === UNREACHABLE) && !victim && !tooMany) victim = entry;
    }
    if (!victim) return;
    this.counters.evicted++;
    this.remove(victim);
    // Cached paths may still point at the entry: they look it up again.
    this.stack.changed();
  }

  /** Strangers choose addresses; where in the table they come to lie depends on a key that they do not know. */
  private hash(a0: number, a1: number, a2: number, a3: number): number {
    if (!this.key) this.key = this.stack.host.random32() || 1;
    return mix(mix(mix(mix(mix(this.key, a0), a1), a2), a3), 0);
  }
}

/** A step of Jenkins' one-at-a-time hash, by words: no chain is longer than the cache, so that a weak hash is enough. */
function mix(hash: number, word: number): number {
  hash = (hash + word) | 0;
  hash = (hash + (hash << 10)) | 0;
  return hash ^ (hash >>> 6);
}

function tick(cache: NeighbourCache): void {
  cache.run();
}
