/**
 * Path MTU discovery (RFC 1191): what routers said about the way to a destination, for a while.
 *
 * ICMP calls `tooBig` for quotations that a transport recognised, never for a stranger's word alone (RFC 5927). Bounds: `limit`
 * destinations, the oldest is evicted; each is forgotten after `lifetime` ms, so that a larger MTU is found again.
 */
import { fail, requireInteger, setting } from "../core/errors.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { Ipv4, PathMtuHooks } from "./ipv4.js";

export class PathMtuCounters {
  /** Reports that were believed. */
  lowered = 0;
  /** Reports below the smallest MTU of IPv4, or of nothing new. */
  ignored = 0;
  evicted = 0;
}

export interface PathMtuOptions {
  /** Destinations, 1..4096. Default 64, or what a 16th of `StackOptions.budget` holds. */
  limit?: number;
  /** How long a report is believed, ms. Default 600000 (RFC 1191 section 6.3). */
  lifetime?: number;
  /** No report takes the path MTU below this, 68..1500 bytes. Default 552. */
  floor?: number;
  /**
   * A router that reports 0 does not know RFC 1191: the next lower MTU of section 7.1 is tried. Default false: such routers are
   * history, and forgers are not.
   */
  plateaus?: boolean;
}

/** RFC 1191 section 7.1. */
const PLATEAUS = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];
/** Every link carries this (RFC 791): who reports less lies. */
const MINIMUM = 68;

class PathMtu {
  constructor(
    readonly destination: number,
    public mtu: number,
    public at: number,
  ) {}
}

/** Bytes of an entry: see `Stack.reserve`. */
export const PATH_MTU_BYTES = 128;

export class PathMtuCache implements Component, PathMtuHooks {
  readonly name = "pmtu";
  readonly counters = new PathMtuCounters();
  private stack: Stack = null as never;
  /** Oldest report first. */
  private readonly entries: PathMtu[] = [];
  private readonly timer = new Timer(tick, this);

  constructor(
    private limit: number,
    private readonly lifetime: number,
    private readonly floor: number,
    private readonly plateaus: boolean,
  ) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "pmtu");
    this.stack = stack;
    this.limit = stack.reserve(this.limit, 64, 4, PATH_MTU_BYTES);
    stack.counters.pmtu = this.counters as never;
  }

  start(): void {
    const ip = this.stack.network(4) as Ipv4;
    if (!ip) fail("ENOPROTOOPT", "pmtu needs ipv4");
    ip.pathMtu = this;
  }

  close(): void {
    this.clear();
  }

  lookup(destination: number, mtu: number): number {
    const at = this.find(destination);
    return at >= 0 && this.entries[at].mtu < mtu ? this.entries[at].mtu : mtu;
  }

  tooBig(destination: number, mtu: number, length = 0): void {
    const at = this.find(destination);
    const known = at >= 0 ? this.entries[at].mtu : 65536;
    if (mtu === 0 && this.plateaus && length > 0) {
      let i = 0;
      while (i < PLATEAUS.length - 1 && PLATEAUS[i] >= length) i++;
      mtu = PLATEAUS[i];
    }
    if (mtu < MINIMUM) {
      this.counters.ignored++;
      return;
    }
    if (mtu < this.floor) mtu = this.floor;
    if (mtu >= known) {
      this.counters.ignored++;
      return;
    }
    this.counters.lowered++;
    if (at >= 0) this.entries.splice(at, 1);
    else if (this.entries.length >= this.limit) {
      this.counters.evicted++;
      this.entries.splice(0, 1);
    }
    this.entries.push(new PathMtu(destination, mtu, this.stack.now()));
    this.arm();
    this.stack.changed();
  }

  /** What is known, for inspection: destinations and their MTUs, in turn. */
  list(): number[] {
    const list: number[] = [];
    for (let i = 0; i < this.entries.length; i++) list.push(this.entries[i].destination, this.entries[i].mtu);
    return list;
  }

  /** Forgets all. */
  clear(): void {
    while (this.entries.length > 0) this.entries.pop();
    this.stack.timers.clear(this.timer);
    this.stack.changed();
  }

  /** Forgets what is too old. */
  expire(): void {
    const now = this.stack.now();
    while (this.entries.length > 0 && ((now - this.entries[0].at) | 0) >= this.lifetime) {
      this.entries.splice(0, 1);
      this.stack.changed();
    }
    this.arm();
  }

  private arm(): void {
    if (this.entries.length > 0) {
      this.stack.timers.set(this.timer, (this.entries[0].at + this.lifetime) | 0);
    }
  }

  private find(destination: number): number {
    const entries = this.entries;
    for (let i = 0; i < entries.length; i++) {
      if (entries[i].destination === destination) return i;
    }
    return -1;
  }
}

function tick(cache: PathMtuCache): void {
  cache.expire();
}

/** The path MTU cache. Needs `ipv4`. Counters: `pmtu`. */
export function pmtu(options: PathMtuOptions = {}): PathMtuCache {
  return new PathMtuCache(
    setting(options.limit, -1, 1, 4096, "limit"),
    requireInteger(options.lifetime || 600000, 1, 0x7fffffff, "lifetime"),
    requireInteger(options.floor || 552, MINIMUM, 1500, "floor"),
    options.plateaus === true,
  );
}
