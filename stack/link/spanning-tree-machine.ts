/**
 * The state machines of the rapid spanning tree (IEEE 802.1D-2004 section 17): which role a port has, when it may learn and forward,
 * and who must forget stations. Names are the standard's. Where it can be said so, a machine makes one step a call and answers whether it
 * did: `settle` calls them until all are at rest.
 *
 * One thing is later than the standard of 2004: a neighbour that says worse things than we do, and forwards, does not hear us. Such a port
 * is closed until that ends (`disputed`, 802.1Q-2018 section 13.21).
 */
import { get32, put32 } from "../core/bytes.js";
import type { BridgePort } from "./bridge.js";
import * as message from "./spanning-tree-message.js";
import {
  compare,
  Priority,
  SECOND,
  VECTOR_BRIDGE,
  VECTOR_COST,
  VECTOR_LENGTH,
} from "./spanning-tree-message.js";

/** What a port does with frames. */
export const DISCARDING = 0;
export const LEARNING = 1;
export const FORWARDING = 2;

/** Roles of a port. */
export const DISABLED = 0;
/** Towards the root. */
export const ROOT = 1;
/** The best way to the root for who is on that link. */
export const DESIGNATED = 2;
/** Another way to the root, closed. */
export const ALTERNATE = 3;
/** Another way to a link where we are designated already, closed. */
export const BACKUP = 4;

/** Where a port's `says` is from. */
export const INFO_DISABLED = 0;
export const INFO_AGED = 1;
export const INFO_MINE = 2;
export const INFO_RECEIVED = 3;

const TC_INACTIVE = 0;
const TC_LEARNING = 1;
const TC_ACTIVE = 2;

/** Seconds for which a port sticks to one version of the protocol, and until a silent one is taken for an edge. */
export const MIGRATE_TIME = 3;
/** Messages of a port in a second, and times that its stations are forgotten. */
export const HOLD_COUNT = 6;
/** Steps of the machines are few; should they ever not come to rest, the next second goes on. */
const ROUNDS = 64;

/** A port of the tree. Timers count down, in seconds. */
export class TreePort {
  info = INFO_DISABLED;
  role = DISABLED;
  selectedRole = DISABLED;
  /** The best that was said on this link, by us or another (`portPriority`), and what we would say (`designatedPriority`). */
  readonly says = new Priority();
  readonly ours = new Priority();
  updateInfo = false;
  learn = false;
  forward = false;
  /** Only hosts are behind it. */
  edge = false;
  proposing = false;
  proposed = false;
  agree = false;
  agreed = false;
  sync = false;
  synced = false;
  reRoot = false;
  disputed = false;
  /** The neighbour understands RST messages. */
  rapid = true;
  newInfo = false;
  topology = TC_INACTIVE;
  heardChange = false;
  heardAcknowledgement = false;
  propagate = false;
  acknowledge = false;
  flushOwed = false;

  fdWhile = 0;
  rrWhile = 0;
  rbWhile = 0;
  tcWhile = 0;
  infoWhile = 0;
  edgeDelayWhile = 0;
  migrateWhile = 0;
  helloWhen = 0;
  sentCount = 0;
  flushCount = 0;

  constructor(
    readonly port: BridgePort,
    /** Priority and number, as in messages. */
    readonly id: number,
    readonly cost: number,
    /** Undefined: found out. */
    readonly adminEdge: boolean | undefined,
    readonly pointToPoint: boolean,
    readonly restrictedRole: boolean,
    readonly restrictedChange: boolean,
  ) {}
}

/** What the machines know of the bridge. */
export class TreeMachine {
  readonly ports: TreePort[] = [];
  /** Its identifier, and its own times. */
  readonly id = new Uint8Array(8);
  readonly own = new Priority();
  /** The root, the cost of our way there, and the times that it wants. */
  readonly root = new Priority();
  rootPort: TreePort | null = null;
  reselect = false;
  private readonly candidate = new Uint8Array(VECTOR_LENGTH);

  constructor(
    /** Speaks RSTP where the neighbour does. */
    readonly rapid: boolean,
    private readonly counters: { changes: number; expired: number },
    private readonly send: (entry: TreePort) => void,
    private readonly flush: (entry: TreePort) => void,
  ) {}

  /** The carrier of a port has come or gone. */
  changed(entry: TreePort): void {
    if (!entry.port.running) {
      entry.info = INFO_DISABLED;
      entry.proposing = entry.proposed = entry.agree = entry.agreed = entry.disputed = false;
      entry.updateInfo = false;
      entry.infoWhile = entry.tcWhile = entry.sentCount = 0;
    } else if (entry.info === INFO_DISABLED) {
      entry.info = INFO_AGED;
      entry.edge = entry.adminEdge === true;
      entry.rapid = this.rapid;
      entry.migrateWhile = MIGRATE_TIME;
      entry.fdWhile = seconds(this.root.maxAge);
      entry.newInfo = true;
    }
    this.reselect = true;
    this.settle();
  }

  /** Each second. */
  tick(): void {
    const ports = this.ports;
    for (let i = 0; i < ports.length; i++) {
      const p = ports[i];
      if (p.fdWhile > 0) p.fdWhile--;
      if (p.rrWhile > 0) p.rrWhile--;
      if (p.rbWhile > 0) p.rbWhile--;
      if (p.tcWhile > 0) p.tcWhile--;
      if (p.edgeDelayWhile > 0) p.edgeDelayWhile--;
      if (p.migrateWhile > 0) p.migrateWhile--;
      if (p.helloWhen > 0) p.helloWhen--;
      if (p.sentCount > 0) p.sentCount--;
      if (p.flushCount > 0) p.flushCount--;
      if (p.flushOwed) this.flushNow(p);
      if (p.infoWhile > 0) p.infoWhile--;
      if (p.info === INFO_RECEIVED && p.infoWhile === 0) {
        this.counters.expired++;
        p.info = INFO_AGED;
        this.reselect = true;
      }
      // Bridge detection (17.25): nobody has answered a proposal.
      const auto = p.adminEdge === undefined;
      if (auto && p.edgeDelayWhile === 0 && p.rapid && p.proposing) p.edge = true;
    }
    this.settle();
  }

  /** Port information machine (17.27), for a message of a neighbour. */
  heard(p: TreePort, type: number, flags: number, said: Priority): void {
    const rapid = type === message.RAPID;
    this.migrate(p, rapid);
    p.edge = false;
    p.edgeDelayWhile = MIGRATE_TIME;
    if (type === message.CHANGE) {
      if (p.role === DESIGNATED) p.acknowledge = p.newInfo = true;
      if (!p.restrictedChange) {
        p.heardChange = true;
        this.startChange(p);
      }
      this.settle();
      return;
    }
    const order = compare(said.vector, p.says.vector, 0, VECTOR_LENGTH);
    const role = (flags >> message.ROLE_SHIFT) & 3;
    let heedChange = false;
    if (role === message.SAYS_DESIGNATED) {
      const received = p.info === INFO_RECEIVED;
      if (order < 0 || (received && this.sameSpeaker(p, said) && (order > 0 || !said.sameTimes(p.says)))) {
        const better = received && order <= 0;
        p.agreed = p.proposing = p.disputed = false;
        p.proposed = (flags & message.PROPOSAL) !== 0 || p.proposed;
        p.agree = p.agree && better;
        p.says.copy(said);
        this.keep(p);
        p.info = INFO_RECEIVED;
        this.reselect = true;
        heedChange = true;
      } else if (order === 0 && received) {
        p.proposed = (flags & message.PROPOSAL) !== 0 || p.proposed;
        this.keep(p);
        heedChange = true;
      } else {
        if (rapid && flags & message.LEARNS) {
          p.disputed = true;
          p.agreed = false;
        }
        p.newInfo = true;
      }
    } else if (role !== 0 && order >= 0) {
      p.agreed = this.rapid && p.pointToPoint && (flags & message.AGREEMENT) !== 0;
      if (p.agreed) p.proposing = false;
      heedChange = true;
    }
    if (heedChange) {
      if (flags & message.TOPOLOGY_CHANGE && !p.restrictedChange) p.heardChange = true;
      if (flags & message.ACKNOWLEDGED) p.heardAcknowledgement = true;
    }
    this.settle();
  }

  /** A port's own message has come back to it: it is closed for as long as they do. */
  looped(p: TreePort): void {
    p.edge = p.agreed = false;
    p.edgeDelayWhile = MIGRATE_TIME;
    p.disputed = true;
    this.settle();
  }

  /** Lets all machines run until they rest, then says what is to be said. */
  settle(): void {
    const ports = this.ports;
    let again = true;
    for (let round = 0; again && round < ROUNDS; round++) {
      again = false;
      if (this.reselect) this.select();
      for (let i = 0; i < ports.length; i++) {
        if (this.transition(ports[i])) again = true;
        if (this.topology(ports[i])) again = true;
      }
    }
    for (let i = 0; i < ports.length; i++) this.transmit(ports[i]);
  }

  /** Port protocol migration machine (17.24). */
  private migrate(p: TreePort, rapid: boolean): void {
    if (!this.rapid || p.migrateWhile > 0 || p.rapid === rapid) return;
    p.rapid = rapid;
    p.migrateWhile = MIGRATE_TIME;
  }

  /** Does the same port speak that has spoken before? */
  private sameSpeaker(p: TreePort, said: Priority): boolean {
    return (
      compare(said.vector, p.says.vector, VECTOR_BRIDGE + 2, 6) === 0 &&
      ((said.vector[20] ^ p.says.vector[20]) & 0x0f) === 0 &&
      said.vector[21] === p.says.vector[21]
    );
  }

  /** What was heard is good for three of its hellos, if it is not too old when the next bridge says it. */
  private keep(p: TreePort): void {
    p.infoWhile = p.says.age + SECOND <= p.says.maxAge ? seconds(3 * p.says.hello) : 0;
    if (p.infoWhile === 0) {
      p.says.age = p.says.maxAge;
      p.infoWhile = 1;
    }
  }

  /** Port role selection machine (17.28): the root, the way there, and what each port is for. */
  private select(): void {
    this.reselect = false;
    const ports = this.ports;
    const root = this.root;
    const candidate = this.candidate;
    root.copyTimes(this.own);
    root.vector.set(this.id);
    put32(root.vector, VECTOR_COST, 0);
    root.vector.set(this.id, VECTOR_BRIDGE);
    root.vector[20] = root.vector[21] = 0;
    this.rootPort = null;
    for (let i = 0; i < ports.length; i++) {
      const p = ports[i];
      if (p.info !== INFO_RECEIVED || p.restrictedRole || p.says.age >= p.says.maxAge) continue;
      if (this.isOwn(p.says)) continue;
      candidate.set(p.says.vector);
      put32(candidate, VECTOR_COST, addCost(get32(candidate, VECTOR_COST), p.cost));
      const order = compare(candidate, root.vector, 0, VECTOR_LENGTH);
      if (order > 0 || (order === 0 && (!this.rootPort || p.id >= this.rootPort.id))) continue;
      root.vector.set(candidate);
      this.rootPort = p;
    }
    if (this.rootPort) {
      root.copyTimes(this.rootPort.says);
      root.age += SECOND;
    }
    for (let i = 0; i < ports.length; i++) this.choose(ports[i]);
  }

  private isOwn(priority: Priority): boolean {
    for (let i = 0; i < 8; i++) if (priority.vector[VECTOR_BRIDGE + i] !== this.id[i]) return false;
    return true;
  }

  /** updtRolesTree() (17.21.25) for one port, and what it then says (UPDATE of 17.27). */
  private choose(p: TreePort): void {
    const ours = p.ours;
    ours.copy(this.root);
    ours.hello = this.own.hello;
    ours.vector.set(this.id, VECTOR_BRIDGE);
    ours.vector[20] = p.id >> 8;
    ours.vector[21] = p.id;
    const order = compare(ours.vector, p.says.vector, 0, VECTOR_LENGTH);
    let update = false;
    if (p.info === INFO_DISABLED) p.selectedRole = DISABLED;
    else if (p === this.rootPort) p.selectedRole = ROOT;
    else if (p.info === INFO_RECEIVED && order >= 0) p.selectedRole = this.isOwn(p.says) ? BACKUP : ALTERNATE;
    else {
      p.selectedRole = DESIGNATED;
      update = p.info !== INFO_MINE || order !== 0 || !ours.sameTimes(p.says);
    }
    if (!update) return;
    p.proposing = p.proposed = false;
    p.agreed = p.agreed && p.info === INFO_MINE && order <= 0;
    p.synced = p.synced && p.agreed;
    p.says.copy(ours);
    p.info = INFO_MINE;
    p.newInfo = true;
  }

  /** Port role transitions machine (17.29). */
  private transition(p: TreePort): boolean {
    if (p.role !== p.selectedRole) {
      p.role = p.selectedRole;
      if (p.role !== ROOT && p.role !== DESIGNATED) this.setState(p, false, false);
      return true;
    }
    if (p.role === ROOT) return this.asRoot(p);
    if (p.role === DESIGNATED) return this.asDesignated(p);
    if (p.role !== DISABLED) {
      if (p.proposed && !p.agree) {
        p.proposed = false;
        this.syncAll();
        return true;
      }
      if ((this.allSynced(p) && !p.agree) || (p.proposed && p.agree)) {
        p.proposed = false;
        p.agree = p.newInfo = true;
        return true;
      }
      if (p.role === BACKUP) p.rbWhile = 2 * seconds(this.root.hello);
    }
    p.fdWhile = p.role === DISABLED ? seconds(this.root.maxAge) : this.delay(p);
    p.synced = true;
    p.rrWhile = 0;
    p.sync = p.reRoot = false;
    return false;
  }

  private asRoot(p: TreePort): boolean {
    p.rrWhile = seconds(this.root.forwardDelay);
    if (p.proposed && !p.agree) {
      p.proposed = false;
      this.syncAll();
      return true;
    }
    if ((this.allSynced(p) && !p.agree) || (p.proposed && p.agree)) {
      p.proposed = p.sync = false;
      p.agree = p.newInfo = true;
      return true;
    }
    if ((p.agreed && !p.synced) || (p.sync && p.synced)) {
      p.synced = true;
      p.sync = false;
      return true;
    }
    if (!p.forward && !p.reRoot) {
      for (let i = 0; i < this.ports.length; i++) this.ports[i].reRoot = true;
      return true;
    }
    if (p.reRoot && p.forward) {
      p.reRoot = false;
      return true;
    }
    if (p.forward || !(p.fdWhile === 0 || (this.rapid && p.rbWhile === 0 && this.reRooted(p)))) return false;
    return this.open(p);
  }

  private asDesignated(p: TreePort): boolean {
    if (!p.forward && !p.agreed && !p.proposing && !p.edge) {
      p.proposing = p.newInfo = true;
      p.edgeDelayWhile = p.pointToPoint ? MIGRATE_TIME : seconds(this.root.maxAge);
      return true;
    }
    if (((!p.learn && !p.forward) || p.agreed || p.edge) && !p.synced) {
      p.synced = true;
      p.rrWhile = 0;
      p.sync = false;
      return true;
    }
    if (p.sync && p.synced) {
      p.sync = false;
      p.rrWhile = 0;
      return true;
    }
    if (p.rrWhile === 0 && p.reRoot) {
      p.reRoot = false;
      return true;
    }
    const closes = (p.sync && !p.synced) || (p.reRoot && p.rrWhile !== 0) || p.disputed;
    if (closes && !p.edge && p.learn) {
      this.setState(p, false, false);
      p.disputed = false;
      p.fdWhile = this.delay(p);
      return true;
    }
    if (p.forward || !(p.fdWhile === 0 || p.agreed || p.edge)) return false;
    if ((p.rrWhile !== 0 && p.reRoot) || p.sync) return false;
    if (p.learn) p.agreed = p.rapid;
    return this.open(p);
  }

  /** From discarding to learning, or from that to forwarding. */
  private open(p: TreePort): boolean {
    p.fdWhile = p.learn ? 0 : this.delay(p);
    this.setState(p, true, p.learn);
    return true;
  }

  private setState(p: TreePort, learn: boolean, forward: boolean): void {
    p.learn = p.port.learns = learn;
    p.forward = p.port.forwards = forward;
  }

  /** forwardDelay (17.20.5): with a neighbour that understands, it is a matter of one hello. */
  private delay(p: TreePort): number {
    return seconds(p.rapid ? this.own.hello : this.root.forwardDelay);
  }

  private syncAll(): void {
    for (let i = 0; i < this.ports.length; i++) this.ports[i].sync = true;
  }

  private allSynced(but: TreePort): boolean {
    for (let i = 0; i < this.ports.length; i++) {
      const p = this.ports[i];
      if (p.role !== p.selectedRole || (p !== but && p.role !== ROOT && !p.synced)) return false;
    }
    return true;
  }

  /** No port that was the way to the root lately is still open. */
  private reRooted(but: TreePort): boolean {
    for (let i = 0; i < this.ports.length; i++)
      if (this.ports[i] !== but && this.ports[i].rrWhile !== 0) return false;
    return true;
  }

  /** Topology change machine (17.31). */
  private topology(p: TreePort): boolean {
    const active = p.role === ROOT || p.role === DESIGNATED;
    if (p.topology === TC_INACTIVE) {
      p.heardChange = p.heardAcknowledgement = p.propagate = false;
      if (!p.learn) return false;
      p.topology = TC_LEARNING;
      return true;
    }
    if (p.topology === TC_LEARNING) {
      p.heardChange = p.heardAcknowledgement = p.propagate = false;
      if (active && p.forward && !p.edge) {
        p.topology = TC_ACTIVE;
        this.startChange(p);
        this.tellOthers(p);
        p.newInfo = true;
        return true;
      }
      if (active || p.learn) return false;
      p.topology = TC_INACTIVE;
      p.tcWhile = 0;
      p.acknowledge = false;
      this.flushSoon(p);
      return true;
    }
    if (!active || p.edge) {
      p.topology = TC_LEARNING;
      return true;
    }
    if (p.heardChange) {
      p.heardChange = false;
      this.tellOthers(p);
      return true;
    }
    if (p.propagate) {
      p.propagate = false;
      this.startChange(p);
      this.flushSoon(p);
      return true;
    }
    if (p.heardAcknowledgement) {
      p.heardAcknowledgement = false;
      p.tcWhile = 0;
    }
    return false;
  }

  /** newTcWhile() (17.21.7). */
  private startChange(p: TreePort): void {
    if (p.tcWhile !== 0) return;
    if (p.rapid) {
      p.tcWhile = seconds(this.own.hello) + 1;
      p.newInfo = true;
    } else p.tcWhile = seconds(this.root.maxAge + this.root.forwardDelay);
  }

  private tellOthers(but: TreePort): void {
    this.counters.changes++;
    for (let i = 0; i < this.ports.length; i++) if (this.ports[i] !== but) this.ports[i].propagate = true;
  }

  /** Whoever floods us with changes does not make us go through all stations each time. */
  private flushSoon(p: TreePort): void {
    if (p.flushCount < HOLD_COUNT) this.flushNow(p);
    else p.flushOwed = true;
  }

  private flushNow(p: TreePort): void {
    p.flushOwed = false;
    p.flushCount++;
    this.flush(p);
  }

  /** Port transmit machine (17.26). */
  private transmit(p: TreePort): void {
    if (p.role === DISABLED) return;
    const changing = p.role === ROOT && p.tcWhile !== 0;
    if (p.helloWhen === 0) {
      p.newInfo = p.newInfo || p.role === DESIGNATED || changing;
      p.helloWhen = seconds(this.own.hello);
    }
    if (!p.newInfo || p.sentCount >= HOLD_COUNT) return;
    p.newInfo = false;
    if (!p.rapid && p.role !== DESIGNATED && !changing) return;
    p.sentCount++;
    this.send(p);
    p.acknowledge = false;
  }
}

/** Whole seconds of a time, at least one. */
function seconds(time: number): number {
  const whole = (time + SECOND - 1) >> 8;
  return whole > 0 ? whole : 1;
}

/** A cost beyond what its field holds stays there: a lie about it does not become the best way. */
function addCost(cost: number, more: number): number {
  const sum = (cost >>> 0) + more;
  return sum > 0xffffffff ? -1 : sum | 0;
}
