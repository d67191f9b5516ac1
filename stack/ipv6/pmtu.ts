/**
 * Path MTU discovery for IPv6 (RFC 8201): what routers said about the way to a destination, for a while.
 *
 * ICMPv6 calls `tooBig` for quotations that a transport recognised, never for a stranger's word alone (RFC 5927). Bounds: `limit`
 * destinations, the oldest is evicted; each is forgotten after `lifetime` ms, so that a larger MTU is found again. Reports below
 * the smallest MTU are ignored: no atomic fragments come of them (RFC 8021).
 */
import { fail, requireInteger, setting } from "../core/errors.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import { ADDRESS, equal6 } from "../wire/ipv6.js";
import type { PathMtuHooks6 } from "./hooks.js";
import type { Ipv6 } from "./ipv6.js";

export class PathMtuCounters6 {
  /** Reports that were believed. */
  lowered = 0;
  /** Reports below the smallest MTU of IPv6, or of nothing new. */
  ignored = 0;
  evicted = 0;
}

export interface PathMtuOptions6 {
  /** Destinations, 1..4096. Default 64, or what a 16th of `StackOptions.budget` holds. */
  limit?: number;
  /** How long a report is believed, ms. Default 600000 (RFC 8201 section 5.3). */
  lifetime?: number;
}

class PathMtu {
  readonly destination = new Uint8Array(ADDRESS);
  mtu = 65536;
  at = 0;
}

/** Bytes of an entry: see `Stack.reserve`. */
export const PATH_MTU_BYTES = 256;

export class PathMtuCache6 implements Component, PathMtuHooks6 {
  readonly name = "pmtu6";
  readonly counters = new PathMtuCounters6();
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  /** Oldest report first. */
  private readonly entries: PathMtu[] = [];
  private readonly timer = new Timer(tick, this);

  constructor(
    private limit: number,
    private readonly lifetime: number,
  ) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "pmtu6");
    this.stack = stack;
    this.limit = stack.reserve(this.limit, 64, 4, PATH_MTU_BYTES);
    stack.counters.pmtu6 = this.counters as never;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(6) as Ipv6);
    if (!ip) fail("ENOPROTOOPT", "pmtu6 needs ipv6");
    ip.pathMtu = this;
  }

  close(): void {
    this.clear();
  }

  lookup(data: Uint8Array, at: number, mtu: number): number {
    const known = this.find(data, at);
    return known >= 0 && this.entries[known].mtu < mtu ? this.entries[known].mtu : mtu;
  }

  tooBig(data: Uint8Array, at: number, mtu: number): void {
    const entries = this.entries;
    const known = this.find(data, at);
    if (mtu < this.ip.minimumMtu || mtu > 65535 || (known >= 0 && mtu >= entries[known].mtu)) {
      this.counters.ignored++;
      return;
    }
    this.counters.lowered++;
    if (known < 0 && entries.length >= this.limit) this.counters.evicted++;
    const entry =
      known >= 0 || entries.length >= this.limit
        ? entries.splice(known < 0 ? 0 : known, 1)[0]
        : new PathMtu();
    for (let i = 0; i < ADDRESS; i++) entry.destination[i] = data[at + i];
    entry.mtu = mtu;
    entry.at = this.stack.now();
    entries.push(entry);
    this.arm();
    this.stack.changed();
  }

  /** What is known, for inspection: destinations as text and their MTUs, in turn. */
  list(): (string | number)[] {
    const list: (string | number)[] = [];
    for (let i = 0; i < this.entries.length; i++) {
      list.push(this.ip.addressText(this.entries[i].destination, 0, null), this.entries[i].mtu);
    }
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

  private find(data: Uint8Array, at: number): number {
    for (let i = 0; i < this.entries.length; i++) {
      if (equal6(this.entries[i].destination, 0, data, at)) return i;
    }
    return -1;
  }
}

function tick(cache: PathMtuCache6): void {
  cache.expire();
}

/** The path MTU cache for IPv6. Needs `ipv6`. Counters: `pmtu6`. */
export function pmtu6(options: PathMtuOptions6 = {}): PathMtuCache6 {
  return new PathMtuCache6(
    setting(options.limit, -1, 1, 4096, "limit"),
    requireInteger(options.lifetime || 600000, 1, 0x7fffffff, "lifetime"),
  );
}
