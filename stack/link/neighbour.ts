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
  /** Stack time of the last confirmation (REACHABLE), or of the next step (INCOMPLETE, DELAY, PROBE). */
  at = 0;
  probes = 0;
  /** It is, or may be, a router: never evicted. */
  router = false;
  pending: Stream | null = null;
  waiting = 0;

  constructor(
    /** Index in the cache's list. */
    readonly index: number,
    public nif: Interface,
    /** The address as four words; IPv4 uses the last alone. */
    public a0: number,
    public a1: number,
    public a2: number,
    public a3: number,
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
  private incomplete = 0;
  /** Bytes of all packets that wait. */
  private held = 0;
  private hand = 0;
  private readonly key: number;

  constructor(
    private readonly stack: Stack,
    private readonly limit: number,
    private readonly resolver: Resolver,
    readonly counters: NeighbourCounters,
  ) {
    this.timer = new Timer(tick, this);
    this.key = stack.host.random32();
  }

  /** The entry of an address, or null. */
  find(nif: Interface, a0: number, a1: number, a2: number, a3: number): Neighbour | null {
    let entry = this.table.first(this.hash(a0, a1, a2, a3));
    while (entry) {
      if (entry.a3 === a3 && entry.nif === nif && entry.a2 === a2 && entry.a1 === a1 && entry.a0 === a0)
        break;
      entry = entry.nextInBucket;
    }
    return entry;
  }

  /** The entry of an address, made (state FREE) where there is none; null when the cache has no room for it. */
  obtain(nif: Interface, a0: number, a1: number, a2: number, a3: number): Neighbour | null {
    const found = this.find(nif, a0, a1, a2, a3);
    if (found) return found;
    let entry: Neighbour | null = null;
    if (this.entries.length >= this.limit || this.incomplete * 4 > this.limit) entry = this.evict();
    if (!entry) {
      if (this.entries.length >= this.limit) {
        this.counters.refused++;
        return null;
      }
      entry = new Neighbour(this.entries.length, nif, a0, a1, a2, a3);
      this.entries.push(entry);
    }
    entry.nif = nif;
    entry.a0 = a0;
    entry.a1 = a1;
    entry.a2 = a2;
    entry.a3 = a3;
    entry.hash = this.hash(a0, a1, a2, a3);
    entry.router = false;
    this.table.insert(entry);
    return entry;
  }

  /** Sends a network packet to the neighbour, now or once its hardware address is known. */
  output(neighbour: Neighbour, packet: Packet, ethertype: number): number {
    let state = neighbour.state;
    if (state === UNREACHABLE) state = (this.resolver as Required<Resolver>).again(neighbour);
    if (state >= REACHABLE) {
      if (state < DELAY) this.use(neighbour);
      return neighbour.nif.medium.output(neighbour.nif, packet, neighbour.high, neighbour.low, ethertype);
    }
    if (state === FREE) {
      this.incomplete++;
      this.step(neighbour, INCOMPLETE, this.times(neighbour.nif).retransTimer);
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
    if (state === INCOMPLETE) this.incomplete--;
    neighbour.high = high;
    neighbour.low = low;
    if (reachable) this.confirm(neighbour);
    else if (state < REACHABLE || !same) neighbour.state = STALE;
    if (state === INCOMPLETE) this.flush(neighbour);
  }

  /** The neighbour is alive: it answered, or a transport saw progress. */
  confirm(neighbour: Neighbour): void {
    if (neighbour.state === STATIC) return;
    neighbour.state = REACHABLE;
    neighbour.at = this.stack.now();
    neighbour.probes = 0;
  }

  /** The neighbour seems dead: the next packet makes us ask. */
  doubt(neighbour: Neighbour): void {
    if (neighbour.state === REACHABLE) neighbour.state = STALE;
  }

  /** Sets an entry that never changes. */
  setStatic(neighbour: Neighbour, high: number, low: number): void {
    if (neighbour.state === INCOMPLETE) this.incomplete--;
    neighbour.high = high;
    neighbour.low = low;
    neighbour.state = STATIC;
    this.flush(neighbour);
  }

  /** Forgets an entry and the packets that wait for it. */
  remove(neighbour: Neighbour): void {
    this.free(neighbour);
    // The list stays dense: the last entry moves into the gap.
    const last = this.entries.pop() as Neighbour;
    if (last !== neighbour) {
      this.entries[neighbour.index] = last;
      (last as { index: number }).index = neighbour.index;
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
    if (neighbour.state === STATIC || neighbour.state < REACHABLE || neighbour.state === PROBE) return;
    neighbour.probes = 1;
    this.step(neighbour, PROBE, this.times(neighbour.nif).retransTimer);
    this.resolver.solicit(neighbour, true);
  }

  private times(nif: Interface): Times {
    return this.resolver.times ? this.resolver.times(nif) : this;
  }

  private use(neighbour: Neighbour): void {
    if (neighbour.state === REACHABLE) {
      // Transports have looked at the clock; who answers an echo request has not.
      const stack = this.stack;
      const age = ((stack.timely ? stack.time : stack.now()) - neighbour.at) | 0;
      if (age < this.times(neighbour.nif).reachableTime) return;
    }
    neighbour.probes = 0;
    this.step(neighbour, DELAY, DELAY_FIRST_PROBE_TIME);
  }

  private step(neighbour: Neighbour, state: number, delay: number): void {
    neighbour.state = state;
    const now = this.stack.now();
    neighbour.at = (now + delay) | 0;
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
      if (state !== INCOMPLETE && state !== DELAY && state !== PROBE) continue;
      if (((entry.at - now) | 0) <= 0) {
        if (entry.probes >= MAX_SOLICIT) {
          this.counters.failed++;
          this.undeliverable(entry);
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
    const stack = this.stack;
    const length = packet.end - packet.start;
    if (!neighbour.pending) neighbour.pending = new Stream(stack.pool, stack.host.copy);
    const pending = neighbour.pending;
    const header = new Uint8Array(RECORD);
    put16(header, 0, length);
    put16(header, 2, ethertype);
    put16(header, 4, packet.checksumField < 0 ? 0 : packet.checksumField - packet.start);
    put16(header, 6, packet.segmentSize);
    const at = pending.length;
    const pool = stack.pool;
    const keep = pool.limit >> 2;
    const more = this.held + RECORD + length <= keep << pool.chunkShift ? PENDING_MOST : PENDING_LIMIT;
    if (
      neighbour.waiting >= more ||
      !pending.write(at + RECORD, packet.data, packet.start, length, keep) ||
      !pending.append(header, 0, RECORD, keep)
    ) {
      pending.trim();
      this.counters.pendingDropped++;
      return ENOBUFS;
    }
    pending.length += length;
    this.held += RECORD + length;
    neighbour.waiting++;
    return 0;
  }

  /** Takes the next waiting packet into `stack.tx`; its ethertype, or 0 when none waits. */
  private next(neighbour: Neighbour): number {
    const pending = neighbour.pending;
    if (!pending || neighbour.waiting === 0) return 0;
    neighbour.waiting--;
    const header = new Uint8Array(RECORD);
    pending.read(0, header, 0, RECORD);
    const length = get16(header, 0);
    this.held -= RECORD + length;
    const packet = this.stack.prepare(length);
    if (packet) pending.read(RECORD, packet.data, packet.start, length);
    pending.consume(RECORD + length);
    if (!packet) return 0;
    packet.network = packet.start;
    packet.net = this.stack.network(packet.data[packet.start] >> 4);
    const field = get16(header, 4);
    if (field) packet.checksumField = packet.start + field;
    packet.segmentSize = get16(header, 6);
    return get16(header, 2);
  }

  private flush(neighbour: Neighbour): void {
    for (;;) {
      const ethertype = this.next(neighbour);
      if (!ethertype) break;
      const nif = neighbour.nif;
      nif.medium.output(nif, this.stack.tx, neighbour.high, neighbour.low, ethertype);
    }
    this.discard(neighbour);
  }

  private undeliverable(neighbour: Neighbour): void {
    // Those that wait now: what the news makes a transport send is not waited for again.
    for (let n = neighbour.waiting; n > 0 && this.next(neighbour); n--) {
      this.resolver.undeliverable(this.stack.tx);
    }
  }

  private discard(neighbour: Neighbour): void {
    const pending = neighbour.pending;
    if (pending) {
      this.held -= pending.length;
      pending.clear();
    }
    neighbour.pending = null;
    this.counters.pendingDropped += neighbour.waiting;
    neighbour.waiting = 0;
  }

  private free(neighbour: Neighbour): void {
    if (neighbour.state === INCOMPLETE) this.incomplete--;
    this.discard(neighbour);
    this.table.remove(neighbour);
    neighbour.state = FREE;
  }

  private evict(): Neighbour | null {
    const entries = this.entries;
    let victim: Neighbour | null = null;
    const tooMany = this.incomplete * 4 > this.limit;
    for (let i = 0; i < EVICTION_SEARCH && i < entries.length; i++) {
      this.hand = this.hand + 1 < entries.length ? this.hand + 1 : 0;
      const entry = entries[this.hand];
      if (entry.router) continue;
      if (entry.state === FREE) {
        victim = entry;
        break;
      }
      if (entry.state === INCOMPLETE) {
        if (!victim || victim.state !== INCOMPLETE || ((entry.at - victim.at) | 0) < 0) victim = entry;
      } else if ((entry.state === STALE || entry.state === UNREACHABLE) && !victim && !tooMany)
        victim = entry;
    }
    if (!victim) return null;
    this.counters.evicted++;
    this.free(victim);
    // Cached paths may still point at the entry: they look it up again.
    this.stack.changed();
    return victim;
  }

  /** Strangers choose addresses; where in the table they come to lie depends on a key that they do not know. */
  private hash(a0: number, a1: number, a2: number, a3: number): number {
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
