/**
 * The rapid spanning tree protocol of a bridge (RSTP, IEEE 802.1D-2004 section 17, once 802.1w): where bridges form a loop, ports are
 * closed until there is none, and another opens within a moment when a way fails. With a bridge that knows only the old protocol
 * (802.1D-1998) it speaks that, port by port. An argument of `bridge`.
 *
 * ```ts
 * const tree = spanningTree({ priority: 0x8000 });
 * const lan = bridge({ mac, tree });
 * lan.addPort(uplink);
 * lan.addPort(hosts, { tree: { edge: true, restrictedRole: true } });
 * ```
 */
import { put16 } from "../core/bytes.js";
import { fail, requireInteger, setting } from "../core/errors.js";
import type { Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { Bridge, BridgePort, Tree } from "./bridge.js";
import {
  ALTERNATE,
  BACKUP,
  DESIGNATED,
  DISCARDING,
  FORWARDING,
  LEARNING,
  ROOT,
  TreeMachine,
  TreePort,
} from "./spanning-tree-machine.js";
import * as message from "./spanning-tree-message.js";
import { emit, flagsOf, parse, Priority, SECOND } from "./spanning-tree-message.js";

export {
  ALTERNATE,
  BACKUP,
  DESIGNATED,
  DISABLED,
  DISCARDING,
  FORWARDING,
  LEARNING,
  ROOT,
} from "./spanning-tree-machine.js";

export interface SpanningTreeOptions {
  /** The smallest becomes the root, 0..61440 in steps of 4096. Default 32768. */
  priority?: number;
  /** Seconds between messages, 1..10. Default 2. */
  hello?: number;
  /** Seconds until what the root has said is too old to be told on, 6..40. Default 20. The root's holds for all. */
  maxAge?: number;
  /** Seconds that a port listens, and then learns, where no neighbour agrees to more haste, 4..30. Default 15. The root's holds for all. */
  forwardDelay?: number;
  /** `false`: speaks the protocol of 1998 alone. Default true. */
  rapid?: boolean;
}

/** What the tree is told of a port: `bridge.addPort(link, { tree: {...} })`. */
export interface TreePortOptions {
  /** Of ports that are as good, the smaller is open, 0..240 in steps of 16. Default 128. */
  priority?: number;
  /** Cost of the way, 1..200000000. Default 20000 (1 Gbit/s; 100 Mbit/s is 200000, 10 Gbit/s 2000: 802.1D-2004 table 17-3). */
  cost?: number;
  /**
   * `true`: only hosts are behind it, it is open at once and no change of topology; `false`: never taken for such. Default: an edge
   * while no bridge has spoken for 3 s. Whatever it says here, a bridge that is heard ends it.
   */
  edge?: boolean;
  /** `false`: more than one bridge may be behind it, so none can agree for all. Default true. */
  pointToPoint?: boolean;
  /** The root is never behind it: who says so is not believed, and the port closed while it does. Default false. */
  restrictedRole?: boolean;
  /** What it says of changes of the topology is not told on. Default false. */
  restrictedChange?: boolean;
}

export class SpanningTreeCounters {
  received = 0;
  sent = 0;
  /** No message of this protocol: short, or fields that lie. */
  malformed = 0;
  /** A port's own messages have come back to it: a loop behind it. The port is closed while they do. */
  looped = 0;
  /** Changes of the topology that were noticed, here or elsewhere. */
  changes = 0;
  /** What was heard on a port has grown too old. */
  expired = 0;
}

const MAX_PORTS = 4095;

export class SpanningTree implements Tree {
  readonly counters = new SpanningTreeCounters();
  private stack: Stack = null as never;
  private bridge: Bridge = null as never;
  private readonly machine: TreeMachine;
  private readonly frame = new Uint8Array(message.FRAME_LENGTH);
  private readonly said = new Priority();
  private readonly timer = new Timer(tick, this);

  constructor(options: SpanningTreeOptions) {
    const machine = new TreeMachine(
      options.rapid !== false,
      this.counters,
      (entry) => this.send(entry),
      (entry) => this.bridge.forgetStations(entry.port),
    );
    this.machine = machine;
    put16(machine.id, 0, setting(options.priority, 32768, 0, 61440, "priority") & 0xf000);
    machine.own.hello = requireInteger(options.hello || 2, 1, 10, "hello") * SECOND;
    machine.own.maxAge = requireInteger(options.maxAge || 20, 6, 40, "maxAge") * SECOND;
    machine.own.forwardDelay = requireInteger(options.forwardDelay || 15, 4, 30, "forwardDelay") * SECOND;
  }

  attach(stack: Stack, bridge: Bridge): void {
    this.stack = stack;
    this.bridge = bridge;
    stack.counters.stp = this.counters as never;
    this.machine.id.set(bridge.mac, 2);
    this.machine.reselect = true;
    this.machine.settle();
  }

  /** The root as eight bytes: its priority and address. */
  rootId(): Uint8Array {
    const id = new Uint8Array(8);
    id.set(this.machine.root.vector.subarray(0, 8));
    return id;
  }

  /** DISCARDING, LEARNING or FORWARDING. */
  stateOf(port: BridgePort): number {
    const entry = this.entryOf(port);
    return !entry || entry.forward ? FORWARDING : entry.learn ? LEARNING : DISCARDING;
  }

  /** DISABLED, ROOT, DESIGNATED, ALTERNATE or BACKUP. */
  roleOf(port: BridgePort): number {
    const entry = this.entryOf(port);
    return entry ? entry.role : DESIGNATED;
  }

  /** Is it taken for one with hosts alone behind it? */
  isEdge(port: BridgePort): boolean {
    const entry = this.entryOf(port);
    return !!entry && entry.edge;
  }

  /** A new port, closed until `changed` says that it runs. Throws `EINVAL` (an option), `ENOBUFS` (4095 ports). */
  add(port: BridgePort): void {
    const options = port.tree;
    const entry = new TreePort(
      port,
      ((setting(options.priority, 128, 0, 240, "priority") & 0xf0) << 8) | this.freeNumber(),
      requireInteger(options.cost || 20000, 1, 200000000, "cost"),
      options.edge,
      options.pointToPoint !== false,
      options.restrictedRole === true,
      options.restrictedChange === true,
    );
    port.learns = port.forwards = false;
    this.machine.ports.push(entry);
    if (this.machine.ports.length === 1) this.arm();
  }

  remove(port: BridgePort): void {
    const entry = this.entryOf(port);
    if (!entry) return;
    const ports = this.machine.ports;
    ports.splice(ports.indexOf(entry), 1);
    if (ports.length === 0) this.stack.timers.clear(this.timer);
    this.machine.reselect = true;
    this.machine.settle();
  }

  /** A port's carrier has come or gone. */
  changed(port: BridgePort): void {
    const entry = this.entryOf(port);
    if (entry) this.machine.changed(entry);
  }

  /** Takes a frame to the bridges' group. */
  input(port: BridgePort, frame: Uint8Array, start: number, end: number): void {
    const counters = this.counters;
    const said = this.said;
    const entry = this.entryOf(port);
    const type = entry ? parse(frame, start, end, said) : message.MALFORMED;
    if (!entry || type === message.MALFORMED) {
      counters.malformed++;
      return;
    }
    const machine = this.machine;
    const vector = said.vector;
    if (type !== message.CHANGE && vector[20] === entry.id >> 8 && vector[21] === (entry.id & 0xff)) {
      let own = 0;
      while (own < 8 && vector[message.VECTOR_BRIDGE + own] === machine.id[own]) own++;
      if (own === 8) {
        counters.looped++;
        machine.looped(entry);
        return;
      }
    }
    counters.received++;
    if (entry.port.running)
      machine.heard(entry, type, type === message.CHANGE ? 0 : flagsOf(frame, start, type), said);
  }

  /** See `timer`. */
  tick(): void {
    this.machine.tick();
    this.arm();
  }

  private arm(): void {
    if (this.machine.ports.length > 0) this.stack.timers.set(this.timer, (this.stack.now() + 1000) | 0);
  }

  private entryOf(port: BridgePort): TreePort | null {
    const ports = this.machine.ports;
    for (let i = 0; i < ports.length; i++) if (ports[i].port === port) return ports[i];
    return null;
  }

  /** The smallest number of a port that no other has. */
  private freeNumber(): number {
    const ports = this.machine.ports;
    for (let number = 1; number <= MAX_PORTS; number++) {
      let free = true;
      for (let i = 0; i < ports.length && free; i++) free = (ports[i].id & 0xfff) !== number;
      if (free) return number;
    }
    return fail("ENOBUFS", "ports");
  }

  private send(entry: TreePort): void {
    let flags = entry.tcWhile !== 0 ? message.TOPOLOGY_CHANGE : 0;
    let type = message.RAPID;
    if (entry.rapid) {
      if (entry.proposing && entry.role === DESIGNATED) flags |= message.PROPOSAL;
      if (entry.learn) flags |= message.LEARNS;
      if (entry.forward) flags |= message.FORWARDS;
      if (entry.agree && entry.role !== DESIGNATED) flags |= message.AGREEMENT;
      flags |= said(entry.role) << message.ROLE_SHIFT;
    } else {
      type = entry.role === DESIGNATED ? message.CONFIGURATION : message.CHANGE;
      if (entry.acknowledge) flags |= message.ACKNOWLEDGED;
    }
    this.counters.sent++;
    // Towards the root too, it is our own view that is told: so the neighbour sees that we agree with it (17.21.19).
    emit(this.frame, this.bridge.mac, type, flags, entry.ours);
    this.bridge.transmitOn(entry.port, this.frame, 0, message.FRAME_LENGTH);
  }
}

function said(role: number): number {
  return role === ROOT
    ? message.SAYS_ROOT
    : role === ALTERNATE || role === BACKUP
      ? message.SAYS_ALTERNATE
      : message.SAYS_DESIGNATED;
}

function tick(tree: SpanningTree): void {
  tree.tick();
}

/** The spanning tree of a bridge. Throws `EINVAL`. Counters: `stp`. */
export function spanningTree(options: SpanningTreeOptions = {}): SpanningTree {
  return new SpanningTree(options);
}
