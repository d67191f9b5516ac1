/**
 * Address conflict detection (RFC 5227): an address is probed for before it is used, announced when it is, and defended once in
 * ten seconds. Without this component addresses are used at once.
 *
 * Who claims an address of ours a second time within ten seconds of a defence gets it, unless a person gave it to this host
 * (origin `"manual"`): then it is kept and defended on (section 2.4 (c)), and the person is told.
 */
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { format4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import { ARP_REQUEST } from "../wire/arp.js";
import { PREFERRED, TENTATIVE } from "./address.js";
import type { Address4 } from "./address.js";
import type { Arp, ConflictDetector } from "./arp.js";
import type { AddressTrial, Ipv4 } from "./ipv4.js";

export class AcdCounters {
  probesSent = 0;
  announcementsSent = 0;
  /** Addresses that others had, before or while this host used them. */
  conflicts = 0;
  /** Claims that were answered with an announcement. */
  defended = 0;
}

export interface AcdOptions {
  /**
   * Another host has, or claims, an address of this one. `address` as text, `mac` of the other: `"02:00:00:00:00:07"`. Called once in
   * ten seconds for an address.
   */
  onConflict?(nif: Interface, address: string, mac: string): void;
}

/** RFC 5227 section 1.1, ms. */
const PROBE_WAIT = 1000;
const PROBE_NUM = 3;
const PROBE_MIN = 1000;
const PROBE_MAX = 2000;
const ANNOUNCE_WAIT = 2000;
const ANNOUNCE_NUM = 2;
const ANNOUNCE_INTERVAL = 2000;
const MAX_CONFLICTS = 10;
const RATE_LIMIT_INTERVAL = 60000;
const DEFEND_INTERVAL = 10000;
/** Conflicts that wait to be told. */
const EVENTS = 8;

/** An address and how far it has come. */
class Trial {
  /** Probes or announcements sent. */
  count = 0;
  /** When the next is due, while `waiting`. */
  at = 0;
  waiting = true;
  /** It has been defended, last at this time. */
  defended = false;
  defendedAt = 0;
  /** Its owner has been told of the conflict since. */
  told = false;

  constructor(readonly address: Address4) {}
}

/** What is known of an interface. */
class Wire {
  up: boolean;
  /** Conflicts since an address could last be had. */
  conflicts = 0;

  constructor(readonly nif: Interface) {
    this.up = nif.up();
  }
}

/** An event for the application. */
interface Conflict {
  nif: Interface;
  address: number;
  high: number;
  low: number;
}

export class Acd implements Component, AddressTrial, ConflictDetector, Deferred {
  readonly name = "acd";
  readonly counters = new AcdCounters();
  queued = false;
  nextDeferred: Deferred | null = null;
  /** Told of each address when it may be used (true), or has been taken away because another host has it (false). */
  readonly onResult: ((address: Address4, usable: boolean) => void)[] = [];
  private stack: Stack = null as never;
  private ip: Ipv4 = null as never;
  private arp: Arp = null as never;
  private readonly trials: Trial[] = [];
  private readonly wires: Wire[] = [];
  private readonly events: Conflict[] = [];
  private readonly timer = new Timer(tick, this);

  constructor(private readonly options: AcdOptions) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "acd");
    this.stack = stack;
    stack.counters.acd = this.counters as never;
  }

  start(): void {
    const components = this.stack.components;
    for (let i = 0; i < components.length; i++) {
      if (components[i].name === "arp") this.arp = components[i] as Arp;
    }
    this.ip = this.stack.network(4) as Ipv4;
    if (!this.ip || !this.arp) fail("ENOPROTOOPT", "acd needs ipv4 and arp");
    this.ip.trial = this;
    this.arp.detector = this;
  }

  interfaceAdded(nif: Interface): void {
    this.wires.push(new Wire(nif));
  }

  interfaceChanged(nif: Interface): void {
    const wire = this.wire(nif);
    if (!wire || wire.up === nif.up()) return;
    wire.up = nif.up();
    for (let i = 0; i < this.trials.length; i++) {
      const trial = this.trials[i];
      if (trial.address.nif !== nif) continue;
      // What was in use stays in use: flows survive a pulled cable. It is announced again.
      trial.count = 0;
      trial.waiting = wire.up;
      trial.at = this.later(0, PROBE_WAIT);
    }
    this.schedule();
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.wires.length - 1; i >= 0; i--) {
      if (this.wires[i].nif === nif) this.wires.splice(i, 1);
    }
  }

  close(): void {
    this.events.splice(0, EVENTS);
    this.trials.splice(0, this.trials.length);
    this.schedule();
  }

  begin(address: Address4): void {
    const trial = new Trial(address);
    const wire = this.wire(address.nif);
    trial.at = this.later(0, PROBE_WAIT);
    if (wire && wire.conflicts >= MAX_CONFLICTS) trial.at = this.later(RATE_LIMIT_INTERVAL, PROBE_WAIT);
    trial.waiting = address.nif.up();
    this.trials.push(trial);
    this.schedule();
  }

  end(address: Address4): void {
    for (let i = this.trials.length - 1; i >= 0; i--) {
      if (this.trials[i].address === address) this.trials.splice(i, 1);
    }
    this.schedule();
  }

  conflict(nif: Interface, address: number, high: number, low: number): void {
    let trial: Trial | null = null;
    for (let i = 0; i < this.trials.length; i++) {
      const each = this.trials[i];
      if (each.address.address === address && each.address.nif === nif) trial = each;
    }
    // Our own announcement, sent back by somebody's loop.
    if (!trial || (high === nif.high && low === nif.low)) return;
    const now = this.stack.now();
    const entry = trial.address;
    if (entry.state !== TENTATIVE && (!trial.defended || ((now - trial.defendedAt) | 0) >= DEFEND_INTERVAL)) {
      trial.defended = true;
      trial.defendedAt = now;
      trial.told = false;
      this.counters.defended++;
      this.announce(entry);
      return;
    }
    if (!trial.told) {
      trial.told = true;
      this.counters.conflicts++;
      this.tell({ nif, address, high, low });
    }
    if (entry.state !== TENTATIVE && entry.origin === "manual") return;
    const wire = this.wire(nif);
    if (wire) wire.conflicts++;
    this.ip.dropAddress(entry);
    this.result(entry, false);
  }

  /** Does what is due. */
  tick(): void {
    const now = this.stack.now();
    for (let i = this.trials.length - 1; i >= 0; i--) {
      const trial = this.trials[i];
      if (!trial || !trial.waiting || ((trial.at - now) | 0) > 0) continue;
      const address = trial.address;
      if (address.state !== TENTATIVE) {
        this.announce(address);
        trial.waiting = ++trial.count < ANNOUNCE_NUM;
        trial.at = (now + ANNOUNCE_INTERVAL) | 0;
      } else if (trial.count < PROBE_NUM) {
        this.counters.probesSent++;
        this.arp.send(address.nif, ARP_REQUEST, 0, 0, 0, address.address, 0xffff, -1);
        if (++trial.count < PROBE_NUM) trial.at = this.later(PROBE_MIN, PROBE_MAX - PROBE_MIN);
        else trial.at = (now + ANNOUNCE_WAIT) | 0;
      } else {
        const wire = this.wire(address.nif);
        if (wire) wire.conflicts = 0;
        trial.count = 0;
        address.state = PREFERRED;
        this.ip.addressChanged(address, true);
        this.result(address, true);
      }
    }
    this.schedule();
  }

  /** Tells the application of conflicts, one at a time: what its callback throws costs only that one. */
  run(): void {
    const event = this.events.shift();
    if (!event) return;
    if (this.events.length > 0) this.stack.defer(this);
    if (this.options.onConflict) {
      this.options.onConflict(event.nif, format4(event.address), macText(event.high, event.low));
    }
  }

  private tell(event: Conflict): void {
    if (this.events.length >= EVENTS || !this.options.onConflict) return;
    this.events.push(event);
    this.stack.defer(this);
  }

  private result(address: Address4, usable: boolean): void {
    for (let i = 0; i < this.onResult.length; i++) this.onResult[i](address, usable);
  }

  /** A gratuitous request: whoever has the address cached takes our hardware address. */
  private announce(entry: Address4): void {
    this.counters.announcementsSent++;
    this.arp.send(entry.nif, ARP_REQUEST, entry.address, 0, 0, entry.address, 0xffff, -1);
  }

  private later(least: number, range: number): number {
    return (this.stack.now() + least + this.stack.host.randomBelow(range)) | 0;
  }

  private schedule(): void {
    let next: Trial | null = null;
    for (let i = 0; i < this.trials.length; i++) {
      const trial = this.trials[i];
      if (trial.waiting && (!next || ((trial.at - next.at) | 0) < 0)) next = trial;
    }
    this.stack.timers.clear(this.timer);
    if (next) this.stack.timers.set(this.timer, next.at);
  }

  private wire(nif: Interface): Wire | null {
    for (let i = 0; i < this.wires.length; i++) {
      if (this.wires[i].nif === nif) return this.wires[i];
    }
    return null;
  }
}

function macText(high: number, low: number): string {
  let text = "";
  for (let shift = 40; shift >= 0; shift -= 8) {
    const byte = (shift >= 32 ? high >> (shift - 32) : low >> shift) & 255;
    text += (byte < 16 ? "0" : "") + byte.toString(16) + (shift ? ":" : "");
  }
  return text;
}

function tick(acd: Acd): void {
  acd.tick();
}

/** Conflict detection for IPv4 addresses. Needs `ipv4` and `arp`. Counters: `acd`. */
export function acd(options: AcdOptions = {}): Acd {
  return new Acd(options);
}
