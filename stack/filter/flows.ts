/**
 * The table of flows: what a stateful filter remembers. Arrays of numbers, made once: nothing is allocated for a flow or a packet.
 *
 * Each flow is found by two keys, that of its first packet and that of the answers; translation (NAT) makes the second differ from
 * the mirror image of the first. Flows of a class are in order of their deadlines. When the table is full the oldest flow of the
 * least worth goes (`VICTIMS`); established connections and answered exchanges stay, and what is new is refused.
 */
import type { SipHash } from "../core/hash.js";
import { KEY_WORDS, PORTS, PROTOCOL, SOURCE, DESTINATION } from "./tuple.js";

/** Direction of a packet in its flow. */
export const ORIGINAL = 0;
export const REPLY = 1;

/** Classes of flows, each with a timeout of its own. */
/** TCP that is opening: nobody has answered, or the answer has not been acknowledged. */
export const TCP_OPENING = 0;
export const TCP_ESTABLISHED = 1;
/** TCP that has ended, or was reset. */
export const TCP_CLOSING = 2;
/** Datagrams that nobody has answered. */
export const UNANSWERED = 3;
export const ANSWERED = 4;
/** Queries of ICMP. */
export const QUERY = 5;
export const CLASSES = 6;

/**
 * Timeouts, ms: TCP as RFC 5382 REQ-5 has it, UDP's two minutes as RFC 4787 REQ-5, five where there was an answer, queries' minute
 * as RFC 5508 REQ-2.
 */
export const TIMEOUTS = [240000, 7440000, 240000, 120000, 300000, 60000];

/** Who goes when there is no room. */
const VICTIMS = [TCP_OPENING, UNANSWERED, QUERY, TCP_CLOSING];

/** Slots of the table that counts flows by source. */
const SOURCES = 1024;

/** The state of TCP's tracking takes as many numbers for a direction: see tcp-track.ts. */
export const TRACK_WORDS = 4;

export class Flows {
  size = 0;
  readonly keys: Int32Array;
  /** TCP's window tracking, both directions. */
  readonly track: Int32Array;
  /** For whoever has taken something for the flow (a port): see `onRemove`. -1: nothing. */
  readonly owned: Int32Array;
  /** A small state that belongs to tcp-track.ts. */
  readonly state: Uint8Array;
  readonly classes: Uint8Array;
  /** Differs from flow to flow in the same place. */
  readonly serials: Int32Array;
  /** Told of each flow before it goes. */
  onRemove: ((flow: number) => void) | null = null;
  /** Flows that were put out for new ones. */
  evicted = 0;

  private readonly deadlines: Int32Array;
  private readonly buckets: Int32Array;
  private readonly nextInBucket: Int32Array;
  private readonly before: Int32Array;
  private readonly after: Int32Array;
  private readonly first: Int32Array;
  private readonly last: Int32Array;
  private readonly sources = new Uint16Array(SOURCES);
  private free = -1;
  private readonly mask: number;

  /**
   * @param capacity flows at most
   * @param perSource flows that one source may begin. Sources are counted by a keyed hash of ten bits: two may share a count
   */
  constructor(
    readonly capacity: number,
    private readonly perSource: number,
    private readonly hash: SipHash,
  ) {
    let buckets = 16;
    while (buckets < capacity * 2) buckets *= 2;
    this.mask = buckets - 1;
    this.keys = new Int32Array(capacity * 2 * KEY_WORDS);
    this.track = new Int32Array(capacity * 2 * TRACK_WORDS);
    this.owned = new Int32Array(capacity);
    this.state = new Uint8Array(capacity);
    this.classes = new Uint8Array(capacity);
    this.serials = new Int32Array(capacity);
    this.deadlines = new Int32Array(capacity);
    this.buckets = new Int32Array(buckets);
    this.nextInBucket = new Int32Array(capacity * 2);
    this.before = new Int32Array(capacity);
    this.after = new Int32Array(capacity);
    this.first = new Int32Array(CLASSES);
    this.last = new Int32Array(CLASSES);
    for (let i = 0; i < buckets; i++) this.buckets[i] = -1;
    for (let i = 0; i < CLASSES; i++) this.first[i] = this.last[i] = -1;
    for (let i = capacity - 1; i >= 0; i--) {
      this.after[i] = this.free;
      this.free = i;
    }
  }

  /** The flow with `key`, as flow * 2 + direction, or -1. */
  find(key: Int32Array): number {
    const keys = this.keys;
    let entry = this.buckets[this.slot(key, 0)];
    while (entry >= 0) {
      const at = entry * KEY_WORDS;
      let i = KEY_WORDS - 1;
      while (i >= 0 && keys[at + i] === key[i]) i--;
      if (i < 0) return entry;
      entry = this.nextInBucket[entry];
    }
    return -1;
  }

  /**
   * Adds a flow.
   *
   * @returns the flow; -1: no room, and nobody who could go; -2: the source has enough; -3: one of the keys is taken
   */
  add(key: Int32Array, reply: Int32Array, kind: number, now: number): number {
    if (this.find(key) >= 0 || this.find(reply) >= 0) return -3;
    const source = this.sourceSlot(key, 0);
    if (this.sources[source] >= this.perSource) return -2;
    if (this.free < 0 && !this.evict()) return -1;
    const flow = this.free;
    this.free = this.after[flow];
    this.size++;
    this.sources[source]++;
    const at = flow * 2 * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) {
      this.keys[at + i] = key[i];
      this.keys[at + KEY_WORDS + i] = reply[i];
    }
    for (let direction = 0; direction < 2; direction++) {
      const entry = flow * 2 + direction;
      const slot = this.slot(this.keys, entry * KEY_WORDS);
      this.nextInBucket[entry] = this.buckets[slot];
      this.buckets[slot] = entry;
    }
    const track = flow * 2 * TRACK_WORDS;
    for (let i = 0; i < 2 * TRACK_WORDS; i++) this.track[track + i] = 0;
    this.owned[flow] = -1;
    this.serials[flow]++;
    this.state[flow] = 0;
    this.classes[flow] = kind;
    this.append(flow, now);
    return flow;
  }

  /** A packet of the flow has been let through; it belongs to class `kind` now. */
  touch(flow: number, kind: number, now: number): void {
    this.unlink(flow);
    this.classes[flow] = kind;
    this.append(flow, now);
  }

  remove(flow: number): void {
    if (this.onRemove) this.onRemove(flow);
    this.unlink(flow);
    for (let direction = 0; direction < 2; direction++) {
      const entry = flow * 2 + direction;
      const slot = this.slot(this.keys, entry * KEY_WORDS);
      if (this.buckets[slot] === entry) this.buckets[slot] = this.nextInBucket[entry];
      else {
        let at = this.buckets[slot];
        while (this.nextInBucket[at] !== entry) at = this.nextInBucket[at];
        this.nextInBucket[at] = this.nextInBucket[entry];
      }
    }
    this.sources[this.sourceSlot(this.keys, flow * 2 * KEY_WORDS)]--;
    this.after[flow] = this.free;
    this.free = flow;
    this.size--;
  }

  /** Removes what is over at `now`, `limit` flows at most. Returns ms until the next deadline, or -1: there are no flows. */
  expire(now: number, limit: number): number {
    let soonest = -1;
    for (let kind = 0; kind < CLASSES; kind++) {
      for (;;) {
        const flow = this.first[kind];
        if (flow < 0) break;
        const left = (this.deadlines[flow] - now) | 0;
        if (left > 0 || limit-- <= 0) {
          const wait = left > 0 ? left : 0;
          if (soonest < 0 || wait < soonest) soonest = wait;
          break;
        }
        this.remove(flow);
      }
    }
    return soonest;
  }

  /** Is the flow's time over? It is removed later. */
  isOver(flow: number, now: number): boolean {
    return ((this.deadlines[flow] - now) | 0) <= 0;
  }

  /** Milliseconds until the flow goes. */
  left(flow: number, now: number): number {
    return (this.deadlines[flow] - now) | 0;
  }

  /** Calls `visit` for each flow, which may remove the one that it is given. */
  each(visit: (flow: number) => void): void {
    for (let kind = 0; kind < CLASSES; kind++) {
      let flow = this.first[kind];
      while (flow >= 0) {
        const next = this.after[flow];
        visit(flow);
        flow = next;
      }
    }
  }

  private evict(): boolean {
    for (let i = 0; i < VICTIMS.length; i++) {
      const flow = this.first[VICTIMS[i]];
      if (flow < 0) continue;
      this.remove(flow);
      this.evicted++;
      return true;
    }
    return false;
  }

  private slot(key: Int32Array, at: number): number {
    const hash = this.hash;
    hash.begin(1);
    hash.word(key[at + SOURCE]);
    hash.word(key[at + DESTINATION]);
    hash.word(key[at + PORTS]);
    hash.word(key[at + PROTOCOL]);
    if (key[at + PROTOCOL] >> 16 === 6) {
      for (let i = 1; i < 4; i++) {
        hash.word(key[at + SOURCE + i]);
        hash.word(key[at + DESTINATION + i]);
      }
    }
    return hash.end() & this.mask;
  }

  /** An IPv6 source is its /64. */
  private sourceSlot(key: Int32Array, at: number): number {
    const hash = this.hash;
    hash.begin(1);
    hash.word(key[at + SOURCE]);
    hash.word(key[at + SOURCE + 1]);
    return hash.end() & (SOURCES - 1);
  }

  private append(flow: number, now: number): void {
    const kind = this.classes[flow];
    const last = this.last[kind];
    this.deadlines[flow] = (now + TIMEOUTS[kind]) | 0;
    this.before[flow] = last;
    this.after[flow] = -1;
    if (last < 0) this.first[kind] = flow;
    else this.after[last] = flow;
    this.last[kind] = flow;
  }

  private unlink(flow: number): void {
    const kind = this.classes[flow];
    const before = this.before[flow];
    const after = this.after[flow];
    if (before < 0) this.first[kind] = after;
    else this.after[before] = after;
    if (after < 0) this.last[kind] = before;
    else this.before[after] = before;
  }
}
