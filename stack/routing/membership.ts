/**
 * What a multicast router knows of who listens on its links (RFC 5790, the lightweight form of IGMPv3 and MLDv2): for each group and
 * link whether anybody takes it from any source, and else from which. Who excludes sources takes all of them.
 *
 * Bounds: `limit` groups over all links, `SOURCES` sources of a group on a link; what does not fit counts as from any source.
 */
import type { Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { equal6 } from "../wire/ipv6.js";
import { ALLOW_NEW, BLOCK_OLD, IS_EXCLUDE, IS_INCLUDE, TO_EXCLUDE, TO_INCLUDE } from "../wire/igmp.js";
import { copyOf, hashPrefix } from "./prefix.js";

export const SOURCES = 32;
/** Queries for a group that somebody has left, and ms between them (RFC 3376 section 8.8). */
export const LAST_MEMBER_COUNT = 2;
export const LAST_MEMBER_INTERVAL = 1000;

/** A source that somebody on a link wants. */
export class WantedSource {
  until = 0;
  /** Is to be asked for. */
  asked = false;
  constructor(readonly address: Uint8Array) {}
}

/** A group on a link. */
export class Listener<Port> {
  /** Somebody takes it from any source, until then. */
  any = false;
  until = 0;
  readonly sources: WantedSource[] = [];
  /** Queries that are to be sent yet, and when. */
  askLeft = 0;
  askAt = 0;

  constructor(readonly port: Port) {}

  takes(source: Uint8Array): boolean {
    return this.any || this.find(source) !== null;
  }

  find(source: Uint8Array): WantedSource | null {
    for (let i = 0; i < this.sources.length; i++)
      if (equal6(this.sources[i].address, 0, source, 0)) return this.sources[i];
    return null;
  }
}

export class ListenedGroup<Port> implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;
  readonly listeners: Listener<Port>[] = [];
  /** What was asked for upstream: nothing, some sources, or all. */
  upstream = "";

  /** @param address 16 bytes, IPv4's in their mapped form */
  constructor(readonly address: Uint8Array) {}

  on(port: Port): Listener<Port> | null {
    for (let i = 0; i < this.listeners.length; i++)
      if (this.listeners[i].port === port) return this.listeners[i];
    return null;
  }
}

export class Memberships<Port> {
  /** A group's listeners have changed; its last has gone when there are none. */
  onChange: (group: ListenedGroup<Port>) => void = () => {};
  /** There was no room for a group. */
  full = 0;
  private readonly table = new Table<ListenedGroup<Port>>();

  constructor(
    private readonly stack: Stack,
    private readonly limit: number,
    /** Ms for which a listener is believed in (group membership interval). */
    private readonly interval: number,
  ) {}

  size(): number {
    return this.table.size;
  }

  find(address: Uint8Array): ListenedGroup<Port> | null {
    let group = this.table.first(hashPrefix(this.stack, address, 128));
    while (group && !equal6(group.address, 0, address, 0)) group = group.nextInBucket;
    return group;
  }

  each(visit: (group: ListenedGroup<Port>) => void): void {
    this.table.each(visit);
  }

  rekey(): void {
    const list: ListenedGroup<Port>[] = [];
    this.table.each((group) => {
      this.table.remove(group);
      list.push(group);
    });
    for (let i = 0; i < list.length; i++) {
      list[i].hash = hashPrefix(this.stack, list[i].address, 128);
      this.table.insert(list[i]);
    }
  }

  /** A record of a report (RFC 5790 section 5): `count` sources, the i-th of them given by `source`, which may use one array. */
  record(
    port: Port,
    address: Uint8Array,
    type: number,
    count: number,
    source: (i: number) => Uint8Array,
    now: number,
  ): void {
    const leaves = type === BLOCK_OLD || (type === TO_INCLUDE && count === 0);
    const all = type === IS_EXCLUDE || type === TO_EXCLUDE;
    let group = this.find(address);
    if (!all && type !== IS_INCLUDE && type !== ALLOW_NEW && type !== TO_INCLUDE && type !== BLOCK_OLD)
      return;
    if (!group && (leaves || (count === 0 && !all))) return;
    if (!group) {
      if (this.table.size >= this.limit) {
        this.full++;
        return;
      }
      group = new ListenedGroup<Port>(copyOf(address));
      group.hash = hashPrefix(this.stack, address, 128);
      this.table.insert(group);
    }
    let listener = group.on(port);
    if (!listener) {
      if (leaves) return;
      listener = new Listener(port);
      group.listeners.push(listener);
    }
    if (all) {
      listener.any = true;
      listener.until = (now + this.interval) | 0;
      listener.askLeft = 0;
    } else if (type === BLOCK_OLD) {
      if (!listener.any) this.doubt(listener, count, source, now);
    } else {
      for (let i = 0; i < count; i++) this.want(listener, source(i), now);
      if (type === TO_INCLUDE && listener.any) this.ask(listener, now);
      else if (type === TO_INCLUDE && count === 0) this.doubt(listener, -1, source, now);
    }
    this.onChange(group);
  }

  private want(listener: Listener<Port>, address: Uint8Array, now: number): void {
    let wanted = listener.find(address);
    if (!wanted) {
      if (listener.sources.length >= SOURCES) {
        listener.any = true;
        listener.until = (now + this.interval) | 0;
        return;
      }
      wanted = new WantedSource(copyOf(address));
      listener.sources.push(wanted);
    }
    wanted.asked = false;
    wanted.until = (now + this.interval) | 0;
  }

  /** Somebody does not want these sources any more (-1: any): they are asked for. */
  private doubt(
    listener: Listener<Port>,
    count: number,
    source: (i: number) => Uint8Array,
    now: number,
  ): void {
    const last = (now + LAST_MEMBER_COUNT * LAST_MEMBER_INTERVAL) | 0;
    for (let i = 0; i < listener.sources.length; i++) {
      const wanted = listener.sources[i];
      let meant = count < 0;
      for (let k = 0; k < count && !meant; k++) meant = equal6(wanted.address, 0, source(k), 0);
      if (!meant || ((wanted.until - last) | 0) <= 0) continue;
      wanted.until = last;
      wanted.asked = true;
      listener.askLeft = LAST_MEMBER_COUNT;
      listener.askAt = now;
    }
  }

  /** Somebody has left: who is left? */
  private ask(listener: Listener<Port>, now: number): void {
    const last = (now + LAST_MEMBER_COUNT * LAST_MEMBER_INTERVAL) | 0;
    if (((listener.until - last) | 0) <= 0) return;
    listener.until = last;
    listener.askLeft = LAST_MEMBER_COUNT;
    listener.askAt = now;
  }

  /** Another router asks for the group: whoever does not answer it is gone for us as well. */
  heard(port: Port, address: Uint8Array, now: number): void {
    const group = this.find(address);
    const listener = group && group.on(port);
    const last = (now + LAST_MEMBER_COUNT * LAST_MEMBER_INTERVAL) | 0;
    if (listener && listener.any && ((listener.until - last) | 0) > 0) listener.until = last;
  }

  /** Nobody is on a link any more. */
  forget(port: Port): void {
    this.table.each((group) => {
      const listener = group.on(port);
      if (!listener) return;
      group.listeners.splice(group.listeners.indexOf(listener), 1);
      this.settle(group);
    });
  }

  /** Forgets what is over, and calls `query` where a question is due; returns when to look again, ms from now. */
  sweep(now: number, query: (group: ListenedGroup<Port>, listener: Listener<Port>) => void): void {
    this.table.each((group) => {
      let changed = false;
      for (let i = group.listeners.length - 1; i >= 0; i--) {
        const listener = group.listeners[i];
        if (listener.any && ((now - listener.until) | 0) >= 0) {
          listener.any = false;
          changed = true;
        }
        for (let k = listener.sources.length - 1; k >= 0; k--) {
          if (((now - listener.sources[k].until) | 0) < 0) continue;
          listener.sources.splice(k, 1);
          changed = true;
        }
        if (!listener.any && listener.sources.length === 0) group.listeners.splice(i, 1);
        else if (listener.askLeft > 0 && ((now - listener.askAt) | 0) >= 0) {
          listener.askLeft--;
          listener.askAt = (now + LAST_MEMBER_INTERVAL) | 0;
          query(group, listener);
        }
      }
      if (changed) this.settle(group);
    });
  }

  private settle(group: ListenedGroup<Port>): void {
    if (group.listeners.length === 0) this.table.remove(group);
    this.onChange(group);
  }
}
