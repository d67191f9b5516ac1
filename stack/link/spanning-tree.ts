/**
 * The spanning tree protocol of a bridge (IEEE 802.1D-1998 section 8, which 802.1D-2004 bridges understand): where bridges form a
 * loop, ports are blocked until there is none. An argument of `bridge`.
 *
 * ```ts
 * const lan = bridge({ mac, tree: spanningTree({ priority: 0x8000 }) });
 * ```
 * What a bridge says is compared as bytes: root, cost, bridge, port, as they stand in its message; the smaller is the better one.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { requireInteger, setting } from "../core/errors.js";
import type { Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import { ETHERNET_HEADER } from "../wire/ethernet.js";
import type { Bridge, BridgePort, Tree } from "./bridge.js";

export interface SpanningTreeOptions {
  /** The smallest becomes the root, 0..61440 in steps of 4096. Default 32768. */
  priority?: number;
  /** Cost of a port's way. Default 100 (100 Mbit/s is 19, 1 Gbit/s 4). */
  cost?: number;
  /** Seconds between messages of the root, 1..10. Default 2. */
  hello?: number;
  /** Seconds until what was heard is void, 6..40. Default 20. */
  maxAge?: number;
  /** Seconds that a port listens, and then learns, before it forwards, 4..30. Default 15. */
  forwardDelay?: number;
}

export class SpanningTreeCounters {
  received = 0;
  sent = 0;
  /** No message of this protocol: short, or fields that lie. */
  malformed = 0;
  /** Changes of the topology that were noticed, here or elsewhere. */
  changes = 0;
  /** What was heard on a port has grown too old. */
  expired = 0;
}

/** Offsets in a message, behind the LLC header. */
const TYPE = 3;
const FLAGS = 4;
const VECTOR = 5;
const VECTOR_LENGTH = 22;
const COST = 8;
const MESSAGE_AGE = 27;
const CONFIGURATION_LENGTH = 35;
const TYPE_CONFIGURATION = 0;
const TYPE_RAPID = 2;
const TYPE_CHANGE = 0x80;
const CHANGE = 1;
const ACKNOWLEDGED = 0x80;
const LLC = 3;
const MESSAGE = ETHERNET_HEADER + LLC;
const SECOND = 1000;

export const BLOCKING = 0;
export const LISTENING = 1;
export const LEARNING = 2;
export const FORWARDING = 3;

/** What the tree knows of a port. */
class TreePort {
  state = BLOCKING;
  /** When it goes on to the next state. */
  until = 0;
  /** What was heard is better than what we say. */
  heard = false;
  readonly vector = new Uint8Array(VECTOR_LENGTH);
  /** When it becomes void. */
  expires = 0;
  acknowledge = false;

  constructor(
    readonly port: BridgePort,
    readonly id: number,
  ) {}
}

export class SpanningTree implements Tree {
  readonly counters = new SpanningTreeCounters();
  private readonly ports: TreePort[] = [];
  private stack: Stack = null as never;
  private bridge: Bridge = null as never;
  private root: TreePort | null = null;
  /** What we say on our ports: root, cost, this bridge; the port's number is filled in. */
  private readonly own = new Uint8Array(VECTOR_LENGTH);
  private readonly id = new Uint8Array(8);
  private readonly candidate = new Uint8Array(VECTOR_LENGTH);
  private readonly best = new Uint8Array(VECTOR_LENGTH);
  private readonly frame = new Uint8Array(MESSAGE + CONFIGURATION_LENGTH + 8);
  private readonly timer = new Timer(tick, this);
  private ticks = 0;
  private serial = 0;
  /** As the root says: ms. */
  private age = 0;
  private maxAge: number;
  private forwardDelay: number;
  private hello: number;
  /** The root says that the topology changes. */
  private changing = false;
  private changeUntil = 0;
  /** We have noticed a change, and the root does not know yet. */
  private notify = false;

  constructor(
    private readonly priority: number,
    private readonly cost: number,
    private readonly ownHello: number,
    private readonly ownMaxAge: number,
    private readonly ownDelay: number,
  ) {
    this.maxAge = ownMaxAge;
    this.forwardDelay = ownDelay;
    this.hello = ownHello;
  }

  attach(stack: Stack, bridge: Bridge): void {
    this.stack = stack;
    this.bridge = bridge;
    stack.counters.stp = this.counters as never;
    put16(this.id, 0, this.priority);
    this.id.set(bridge.mac, 2);
  }

  /** The root as eight bytes: its priority and address. */
  rootId(): Uint8Array {
    const id = new Uint8Array(8);
    id.set(this.own.subarray(0, 8));
    return id;
  }

  /** BLOCKING, LISTENING, LEARNING or FORWARDING. */
  stateOf(port: BridgePort): number {
    const entry = this.entryOf(port);
    return entry ? entry.state : FORWARDING;
  }

  add(port: BridgePort): void {
    this.serial = (this.serial + 1) & 0xff;
    const entry = new TreePort(port, 0x8000 | this.serial || 0x8001);
    this.ports.push(entry);
    this.set(entry, BLOCKING);
    this.compute();
    if (this.ports.length === 1) this.arm();
  }

  remove(port: BridgePort): void {
    const entry = this.entryOf(port);
    if (!entry) return;
    this.ports.splice(this.ports.indexOf(entry), 1);
    if (this.ports.length === 0) this.stack.timers.clear(this.timer);
    else this.compute();
  }

  /** A port's carrier has come or gone. */
  changed(port: BridgePort): void {
    const entry = this.entryOf(port);
    if (!entry) return;
    entry.heard = false;
    if (!port.running && entry.state !== BLOCKING) {
      if (entry.state === FORWARDING) this.topologyChanged();
      this.set(entry, BLOCKING);
    }
    this.compute();
  }

  /** Takes a frame to the bridges' group. */
  input(port: BridgePort, frame: Uint8Array, start: number, end: number): void {
    const counters = this.counters;
    const entry = this.entryOf(port);
    const at = start + MESSAGE;
    const length = get16(frame, start + 12);
    if (
      !entry ||
      length < LLC + 4 ||
      start + ETHERNET_HEADER + length > end ||
      frame[start + ETHERNET_HEADER] !== 0x42 ||
      frame[start + ETHERNET_HEADER + 1] !== 0x42 ||
      get16(frame, at) !== 0
    ) {
      counters.malformed++;
      return;
    }
    const type = frame[at + TYPE];
    if (type === TYPE_CHANGE) {
      counters.received++;
      if (entry.heard) return;
      entry.acknowledge = true;
      this.topologyChanged();
      this.send(entry);
      return;
    }
    if ((type !== TYPE_CONFIGURATION && type !== TYPE_RAPID) || length < LLC + CONFIGURATION_LENGTH) {
      counters.malformed++;
      return;
    }
    const messageAge = (get16(frame, at + MESSAGE_AGE) * SECOND) >> 8;
    const maxAge = (get16(frame, at + MESSAGE_AGE + 2) * SECOND) >> 8;
    if (messageAge >= maxAge) {
      counters.malformed++;
      return;
    }
    counters.received++;
    // From the bridge and port that we have heard it from, or better than that.
    const same = entry.heard && compare(entry.vector, 12, frame, at + VECTOR + 12, 10) === 0;
    this.sayOn(entry);
    const reference = entry.heard ? entry.vector : this.candidate;
    if (!same && compare(frame, at + VECTOR, reference, 0, VECTOR_LENGTH) >= 0) {
      // Who says less than we do is told.
      if (!entry.heard && compare(frame, at + VECTOR, reference, 0, VECTOR_LENGTH) > 0) this.send(entry);
      return;
    }
    entry.heard = true;
    for (let i = 0; i < VECTOR_LENGTH; i++) entry.vector[i] = frame[at + VECTOR + i];
    entry.expires = (this.stack.now() + maxAge - messageAge) | 0;
    this.compute();
    if (this.root !== entry) return;
    const flags = frame[at + FLAGS];
    this.age = messageAge + SECOND;
    this.maxAge = maxAge;
    const hello = (get16(frame, at + MESSAGE_AGE + 4) * SECOND) >> 8;
    const delay = (get16(frame, at + MESSAGE_AGE + 6) * SECOND) >> 8;
    this.hello = hello < SECOND ? SECOND : hello > 10000 ? 10000 : hello;
    this.forwardDelay = delay < 4000 ? 4000 : delay > 30000 ? 30000 : delay;
    if (type === TYPE_CONFIGURATION && flags & ACKNOWLEDGED) this.notify = false;
    const changing = (flags & CHANGE) !== 0;
    if (changing && !this.changing) {
      this.counters.changes++;
      this.bridge.relearn();
    }
    this.changing = changing;
    for (let i = 0; i < this.ports.length; i++) if (!this.ports[i].heard) this.send(this.ports[i]);
  }

  /** See `timer`. */
  tick(): void {
    const now = this.stack.now();
    this.ticks++;
    let stale = false;
    for (let i = 0; i < this.ports.length; i++) {
      const entry = this.ports[i];
      if (entry.heard && ((now - entry.expires) | 0) >= 0) {
        entry.heard = false;
        stale = true;
        this.counters.expired++;
      }
    }
    if (stale) this.compute();
    for (let i = 0; i < this.ports.length; i++) {
      const entry = this.ports[i];
      if ((entry.state !== LISTENING && entry.state !== LEARNING) || ((now - entry.until) | 0) < 0) continue;
      entry.until = (now + this.forwardDelay) | 0;
      const next = entry.state + 1;
      this.set(entry, next);
      if (next === FORWARDING) this.topologyChanged();
    }
    if (this.ticks * SECOND >= this.hello) {
      this.ticks = 0;
      if (!this.root) {
        if (this.changing && ((now - this.changeUntil) | 0) >= 0) this.changing = false;
        for (let i = 0; i < this.ports.length; i++) this.send(this.ports[i]);
      } else if (this.notify) this.sendChange(this.root);
    }
    this.arm();
  }

  close(): void {
    this.stack.timers.clear(this.timer);
  }

  private arm(): void {
    if (this.ports.length > 0) this.stack.timers.set(this.timer, (this.stack.now() + SECOND) | 0);
  }

  private entryOf(port: BridgePort): TreePort | null {
    for (let i = 0; i < this.ports.length; i++) if (this.ports[i].port === port) return this.ports[i];
    return null;
  }

  /** Chooses the root, the port towards it, and who speaks on each port (sections 8.6.8 to 8.6.11). */
  private compute(): void {
    const best = this.best;
    const candidate = this.candidate;
    const was = this.root;
    this.root = null;
    for (let i = 0; i < this.ports.length; i++) {
      const entry = this.ports[i];
      if (!entry.heard || !entry.port.running || compare(entry.vector, 0, this.id, 0, 8) >= 0) continue;
      for (let k = 0; k < VECTOR_LENGTH; k++) candidate[k] = entry.vector[k];
      put32(candidate, COST, addCost(get32(candidate, COST), this.cost));
      if (this.root && compare(candidate, 0, best, 0, VECTOR_LENGTH) >= 0) continue;
      this.root = entry;
      best.set(candidate);
    }
    for (let i = 0; i < 8; i++) this.own[i] = this.root ? best[i] : this.id[i];
    put32(this.own, COST, this.root ? get32(best, COST) : 0);
    this.own.set(this.id, 12);
    if (!this.root) {
      this.age = 0;
      this.maxAge = this.ownMaxAge;
      this.hello = this.ownHello;
      this.forwardDelay = this.ownDelay;
      if (was) {
        this.notify = false;
        this.topologyChanged();
      }
    }
    for (let i = 0; i < this.ports.length; i++) {
      const entry = this.ports[i];
      this.sayOn(entry);
      if (entry.heard && entry !== this.root && compare(candidate, 0, entry.vector, 0, VECTOR_LENGTH) < 0) {
        entry.heard = false;
      }
      const blocked = !entry.port.running || (entry.heard && entry !== this.root);
      if (blocked) {
        if (entry.state >= LEARNING) this.topologyChanged();
        if (entry.state !== BLOCKING) this.set(entry, BLOCKING);
      } else if (entry.state === BLOCKING) {
        entry.until = (this.stack.now() + this.forwardDelay) | 0;
        this.set(entry, LISTENING);
      }
    }
  }

  /** Puts what we would say on a port into `candidate`. */
  private sayOn(entry: TreePort): void {
    for (let i = 0; i < VECTOR_LENGTH - 2; i++) this.candidate[i] = this.own[i];
    put16(this.candidate, VECTOR_LENGTH - 2, entry.id);
  }

  private set(entry: TreePort, state: number): void {
    entry.state = state;
    entry.port.learns = state >= LEARNING;
    entry.port.forwards = state === FORWARDING;
    if (state === BLOCKING) this.bridge.forget(entry.port);
  }

  private topologyChanged(): void {
    this.counters.changes++;
    this.bridge.relearn();
    if (this.root) {
      if (!this.notify) this.sendChange(this.root);
      this.notify = true;
    } else {
      this.changing = true;
      this.changeUntil = (this.stack.now() + this.ownMaxAge + this.ownDelay) | 0;
    }
  }

  /** Sends a configuration message, where this bridge is the one to speak. */
  private send(entry: TreePort): void {
    if (entry.heard || !entry.port.running || this.age >= this.maxAge) return;
    const frame = this.frame;
    const at = MESSAGE;
    this.head(LLC + CONFIGURATION_LENGTH);
    frame[at + TYPE] = TYPE_CONFIGURATION;
    frame[at + FLAGS] = (this.changing ? CHANGE : 0) | (entry.acknowledge ? ACKNOWLEDGED : 0);
    entry.acknowledge = false;
    this.sayOn(entry);
    for (let i = 0; i < VECTOR_LENGTH; i++) frame[at + VECTOR + i] = this.candidate[i];
    put16(frame, at + MESSAGE_AGE, this.root ? (this.age << 8) / SECOND : 0);
    put16(frame, at + MESSAGE_AGE + 2, (this.maxAge << 8) / SECOND);
    put16(frame, at + MESSAGE_AGE + 4, (this.hello << 8) / SECOND);
    put16(frame, at + MESSAGE_AGE + 6, (this.forwardDelay << 8) / SECOND);
    this.transmit(entry);
  }

  /** Tells the root of a change. */
  private sendChange(entry: TreePort): void {
    for (let i = 0; i < this.frame.length; i++) this.frame[i] = 0;
    this.head(LLC + 4);
    this.frame[MESSAGE + TYPE] = TYPE_CHANGE;
    this.transmit(entry);
  }

  private head(length: number): void {
    const frame = this.frame;
    put16(frame, 0, 0x0180);
    put32(frame, 2, 0xc2000000 | 0);
    for (let i = 0; i < 6; i++) frame[6 + i] = this.bridge.mac[i];
    put16(frame, 12, length);
    put16(frame, ETHERNET_HEADER, 0x4242);
    frame[ETHERNET_HEADER + 2] = 3;
    put32(frame, MESSAGE, 0);
  }

  private transmit(entry: TreePort): void {
    this.counters.sent++;
    this.bridge.transmitOn(entry.port, this.frame, 0, 60);
  }
}

function compare(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): number {
  for (let i = 0; i < length; i++) {
    if (a[aStart + i] !== b[bStart + i]) return a[aStart + i] - b[bStart + i];
  }
  return 0;
}

/** A cost beyond what its field holds stays there: a lie about it does not become the best way. */
function addCost(cost: number, more: number): number {
  const sum = (cost >>> 0) + more;
  return sum > 0xffffffff ? -1 : sum | 0;
}

function tick(tree: SpanningTree): void {
  tree.tick();
}

/** The spanning tree of a bridge. Counters: `stp`. */
export function spanningTree(options: SpanningTreeOptions = {}): SpanningTree {
  return new SpanningTree(
    setting(options.priority, 32768, 0, 61440, "priority") & 0xf000,
    requireInteger(options.cost || 100, 1, 65535, "cost"),
    requireInteger(options.hello || 2, 1, 10, "hello") * SECOND,
    requireInteger(options.maxAge || 20, 6, 40, "maxAge") * SECOND,
    requireInteger(options.forwardDelay || 15, 4, 30, "forwardDelay") * SECOND,
  );
}
