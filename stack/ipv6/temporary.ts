/**
 * Temporary addresses (RFC 8981): beside the stable address of each advertised prefix one with a random identifier, used as a
 * source for a day and kept for another, so that no peer can follow a host by its address. At most 3 for each prefix.
 */
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import { equal6, maskPrefix } from "../wire/ipv6.js";
import { DUPLICATED } from "./address.js";
import type { Address6 } from "./address.js";
import { assign } from "./configure.js";
import { DuplicateAddressDetection } from "./dad.js";
import { isReserved } from "./identifier.js";
import type { Ipv6 } from "./ipv6.js";
import { Slaac } from "./slaac.js";

/** RFC 8981 section 3.8, s: how long an address is valid, and preferred. */
const VALID = 172800;
const PREFERRED = 86400;
/** An address's successor is made so long before it is deprecated, s (REGEN_ADVANCE: 2 + 3 probes of a second). */
const ADVANCE = 5;
/** Identifiers tried when an address is somebody else's (TEMP_IDGEN_RETRIES). */
const TRIES = 3;
const PER_PREFIX = 3;
const LIMIT = 8;

export interface TemporaryOptions {
  /** Seconds; default two days and one. */
  valid?: number;
  preferred?: number;
}

class Plan {
  /** Lifetimes as advertised last, s, and when. */
  valid = 0;
  preferred = 0;
  heard = 0;
  /** The newest address, or null; when its successor is due. */
  current: Address6 | null = null;
  next = 0;
  tries = 0;
  constructor(
    readonly nif: Interface,
    readonly prefix: Uint8Array,
  ) {}
}

/** A temporary address and the end that its own age sets. */
class Made {
  constructor(
    readonly entry: Address6,
    readonly validEnd: number,
    readonly preferredEnd: number,
  ) {}
}

export class TemporaryAddresses implements Component {
  readonly name = "temporary";
  readonly counters = { made: 0, refused: 0 };
  private readonly plans: Plan[] = [];
  private readonly made: Made[] = [];
  private readonly timer = new Timer(tick, this);
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;

  constructor(
    private readonly valid: number,
    private readonly preferred: number,
  ) {}

  attach(stack: Stack): void {
    this.stack = stack;
    stack.counters.temporary = this.counters;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(6) as Ipv6);
    const slaac = this.stack.component(Slaac);
    if (!ip || !slaac) return fail("ENOPROTOOPT", "temporary needs slaac");
    slaac.onPrefix.push((nif, prefix, valid, preferred) => {
      this.advertised(nif, prefix, valid >>> 0, preferred >>> 0);
    });
    ip.onAddressChange.push((entry, present) => {
      if (!present && ip.entryOf(entry.bytes, 0, entry.nif) !== entry) this.gone(entry);
    });
    const detection = this.stack.component(DuplicateAddressDetection);
    if (detection) {
      detection.onVerdict.push((entry, duplicate) => {
        if (duplicate) this.duplicate(entry);
      });
    }
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.plans.length - 1; i >= 0; i--) {
      if (this.plans[i].nif === nif) this.plans.splice(i, 1);
    }
    this.arm();
  }

  close(): void {
    this.stack.timers.clear(this.timer);
  }

  /** A prefix for addresses has been advertised; lifetimes in seconds, all ones: for ever (section 3.4). */
  private advertised(nif: Interface, prefix: Uint8Array, valid: number, preferred: number): void {
    const now = this.stack.now();
    let plan: Plan | null = null;
    for (let i = 0; i < this.plans.length; i++) {
      if (this.plans[i].nif === nif && equal6(this.plans[i].prefix, 0, prefix, 0)) plan = this.plans[i];
    }
    if (!plan) {
      if (preferred <= ADVANCE) return;
      if (this.plans.length >= LIMIT) {
        this.counters.refused++;
        return;
      }
      plan = new Plan(nif, prefix);
      this.plans.push(plan);
    }
    plan.valid = valid;
    plan.preferred = preferred;
    plan.heard = now;
    for (let i = 0; i < this.made.length; i++) {
      const each = this.made[i];
      if (each.entry.nif === nif && equal6(maskPrefix(each.entry.bytes, 64), 0, prefix, 0)) {
        each.entry.validUntil = earlier(now, valid, each.validEnd);
        each.entry.preferredUntil = earlier(now, preferred, each.preferredEnd);
      }
    }
    if (!plan.current && preferred > ADVANCE) this.make(plan);
    this.arm();
  }

  private make(plan: Plan): void {
    const now = this.stack.now();
    const host = this.stack.host;
    const age = ((now - plan.heard) | 0) / 1000;
    const desync = (this.preferred * 0.4 * host.randomBelow(65536)) / 65536;
    const preferred = least(this.preferred - desync, plan.preferred - age);
    const valid = least(this.valid, plan.valid - age);
    plan.current = null;
    const identifier = new Uint8Array(8);
    let count = 0;
    for (let i = 0; i < this.made.length; i++) {
      const entry = this.made[i].entry;
      if (entry.nif === plan.nif && equal6(maskPrefix(entry.bytes, 64), 0, plan.prefix, 0)) count++;
    }
    if (preferred <= ADVANCE || count >= PER_PREFIX || plan.tries > TRIES) return;
    if (!host.random(identifier) || isReserved(identifier)) return;
    const bytes = maskPrefix(plan.prefix, 64);
    bytes.set(identifier, 8);
    if (this.ip.entryOf(bytes, 0, plan.nif)) return;
    this.counters.made++;
    const entry = assign(this.ip, plan.nif, bytes, 64, {
      origin: "temporary",
      temporary: true,
      route: false,
      valid,
      preferred,
    });
    plan.current = entry;
    plan.next = (entry.preferredUntil - ADVANCE * 1000) | 0;
    const ends = (now + seconds(this.valid)) | 0;
    this.made.push(new Made(entry, ends, (now + seconds(this.preferred - desync)) | 0));
  }

  private duplicate(entry: Address6): void {
    if (entry.origin !== "temporary" || entry.state !== DUPLICATED) return;
    for (let i = 0; i < this.plans.length; i++) {
      const plan = this.plans[i];
      if (plan.current !== entry) continue;
      plan.tries++;
      this.ip.dropAddress(entry);
      this.make(plan);
      this.arm();
      return;
    }
    this.ip.dropAddress(entry);
  }

  private gone(entry: Address6): void {
    for (let i = this.made.length - 1; i >= 0; i--) {
      if (this.made[i].entry === entry) this.made.splice(i, 1);
    }
    for (let i = this.plans.length - 1; i >= 0; i--) {
      if (this.plans[i].current === entry) this.plans[i].current = null;
    }
  }

  /** Makes the successors that are due, and forgets prefixes that have ended. */
  run(): void {
    const now = this.stack.now();
    for (let i = this.plans.length - 1; i >= 0; i--) {
      const plan = this.plans[i];
      if (!plan) continue;
      if (plan.current && ((plan.next - now) | 0) <= 0) {
        plan.tries = 0;
        this.make(plan);
      }
      if (!plan.current && ((earlier(plan.heard, plan.preferred, plan.heard + 2e9) - now) | 0) <= 0) {
        this.plans.splice(i, 1);
      }
    }
    this.arm();
  }

  private arm(): void {
    const now = this.stack.now();
    let left = -1;
    for (let i = 0; i < this.plans.length; i++) {
      const plan = this.plans[i];
      const at = plan.current ? plan.next : earlier(plan.heard, plan.preferred, plan.heard + 2e9);
      const delay = (at - now) | 0;
      if (left < 0 || delay < left) left = delay > 0 ? delay : 0;
    }
    if (left >= 0) this.stack.timers.set(this.timer, (now + left) | 0);
    else this.stack.timers.clear(this.timer);
  }
}

function least(a: number, b: number): number {
  return a < b ? a : b;
}

/** Milliseconds, cut at 23 days: the clock wraps. */
function seconds(value: number): number {
  return value < 2000000 ? (value * 1000) | 0 : 2000000000;
}

/** The earlier of a lifetime from `now` on, and a time. */
function earlier(now: number, lifetime: number, end: number): number {
  const at = (now + seconds(lifetime)) | 0;
  return ((at - end) | 0) < 0 ? at : end | 0;
}

function tick(temporary: TemporaryAddresses): void {
  temporary.run();
}

/** The component for temporary addresses. Needs `slaac`, and what it needs. Counters: `temporary`. */
export function temporary(options: TemporaryOptions = {}): TemporaryAddresses {
  const valid = options.valid || VALID;
  const preferred = options.preferred || PREFERRED;
  if (!(valid >= preferred && preferred > 2 * ADVANCE)) fail("EINVAL", "lifetimes");
  return new TemporaryAddresses(valid, preferred);
}
