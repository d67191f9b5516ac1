/**
 * The leases of a DHCP server: found by address and by client, under one bound.
 *
 * A lease is never forgotten while there is room: who comes again gets the same address. What may be given to somebody else hangs
 * in a list of its scope for each state, the oldest first; leases in force never do, so no flood of requests takes one away.
 */
import { hashOf } from "../core/hash.js";
import type { Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import type { DhcpScope } from "./dhcp-server-scope.js";

/** Waits for the client's request. */
export const LEASE_OFFERED = 1;
/** In force. */
export const LEASE_BOUND = 2;
/** Expired or given back: still the client's while nobody else needs it. */
export const LEASE_FORMER = 3;
/** Somebody who was not given it has been seen to use it. */
export const LEASE_DECLINED = 4;

export class Lease implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;
  state = LEASE_OFFERED;
  /** When the state ends, and when it began: the server's clock, ms. */
  end = 0;
  since = 0;
  /** Seconds that were promised. */
  duration = 0;
  /** Hardware address, 1..16 bytes. */
  hardware: Uint8Array;
  /** The client's own name, or `""`. */
  hostName = "";
  /** When it was last looked whether anybody uses the address: the server's clock. */
  probedAt = -Infinity;
  scope: DhcpScope | null = null;
  /** Neighbours in the list of what may go. */
  older: Lease | null = null;
  newer: Lease | null = null;
  listed = false;
  readonly owner: LeaseOwner;

  constructor(
    readonly address: number,
    id: Uint8Array,
  ) {
    this.owner = new LeaseOwner(this, id);
    this.hardware = id;
  }
}

/** A lease's place in the table of clients. */
class LeaseOwner implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;

  constructor(
    readonly lease: Lease,
    /** Client identifier: type and value, as option 61 has it. */
    public id: Uint8Array,
  ) {}
}

export class LeaseTable {
  readonly byAddress = new Table<Lease>();
  private readonly byOwner = new Table<LeaseOwner>();

  constructor(
    private readonly stack: Stack,
    private readonly scopes: DhcpScope[],
    readonly limit: number,
  ) {}

  findAddress(address: number): Lease | null {
    let lease = this.byAddress.first(this.hashAddress(address));
    while (lease && lease.address !== address) lease = lease.nextInBucket;
    return lease;
  }

  /** The lease that the client `id` has in `scope`, or null; one that is DECLINED is nobody's. */
  findOwner(scope: DhcpScope, id: Uint8Array): Lease | null {
    let owner = this.byOwner.first(this.hashId(id));
    for (; owner; owner = owner.nextInBucket) {
      const lease = owner.lease;
      if (lease.scope === scope && lease.state !== LEASE_DECLINED && sameBytes(owner.id, id, id.length))
        return lease;
    }
    return null;
  }

  /** Gives `address` to the client `id`, whoever had it before; null: the table is full of leases in force. */
  assign(scope: DhcpScope | null, address: number, id: Uint8Array): Lease | null {
    let lease = this.findAddress(address);
    if (lease) {
      this.byOwner.remove(lease.owner);
      lease.owner.id = id;
      lease.hostName = "";
      lease.probedAt = -Infinity;
      this.unlist(lease);
    } else {
      if (this.byAddress.size >= this.limit && !this.makeRoom(scope)) return null;
      lease = new Lease(address, id);
      lease.hash = this.hashAddress(address);
      this.byAddress.insert(lease);
      this.place(lease, scope);
    }
    lease.owner.hash = this.hashId(id);
    this.byOwner.insert(lease.owner);
    return lease;
  }

  /** From now on `lease` belongs to `scope`. */
  place(lease: Lease, scope: DhcpScope | null): void {
    const listed = lease.listed;
    this.unlist(lease);
    if (lease.scope) lease.scope.leases--;
    lease.scope = scope;
    if (scope) scope.leases++;
    if (listed) this.list(lease);
  }

  set(lease: Lease, state: number, now: number, end: number): void {
    this.unlist(lease);
    lease.state = state;
    lease.since = now;
    lease.end = end;
    if (state !== LEASE_BOUND) this.list(lease);
  }

  remove(lease: Lease): void {
    this.unlist(lease);
    if (lease.scope) lease.scope.leases--;
    lease.scope = null;
    this.byOwner.remove(lease.owner);
    this.byAddress.remove(lease);
  }

  /** The lease of `scope` that has been in `state` longest, if that is `age` ms; or null. */
  idle(scope: DhcpScope, state: number, now: number, age: number): Lease | null {
    const lease = scope.oldest[state];
    return lease && now - lease.since >= age ? lease : null;
  }

  /** Hashes all entries anew: see `Component.rekeyed`. */
  rehash(): void {
    const all: Lease[] = [];
    this.byAddress.each((lease) => all.push(lease));
    for (let i = 0; i < all.length; i++) {
      const lease = all[i];
      this.byAddress.remove(lease);
      this.byOwner.remove(lease.owner);
      lease.hash = this.hashAddress(lease.address);
      lease.owner.hash = this.hashId(lease.owner.id);
      this.byAddress.insert(lease);
      this.byOwner.insert(lease.owner);
    }
  }

  /** Where the client's search for an address begins: always at the same place, and strangers cannot choose it. */
  hashId(id: Uint8Array): number {
    const hash = hashOf(this.stack);
    hash.begin(1);
    for (let i = 0; i < id.length; i++) hash.word(id[i]);
    return hash.end();
  }

  private hashAddress(address: number): number {
    const hash = hashOf(this.stack);
    hash.begin(1);
    hash.word(address);
    return hash.end();
  }

  /** Forgets a former lease, of `scope` if there is one. */
  private makeRoom(scope: DhcpScope | null): boolean {
    let victim: Lease | null = scope ? scope.oldest[LEASE_FORMER] : null;
    for (let i = 0; !victim && i < this.scopes.length; i++) victim = this.scopes[i].oldest[LEASE_FORMER];
    if (!victim) return false;
    this.remove(victim);
    return true;
  }

  private list(lease: Lease): void {
    const scope = lease.scope;
    const state = lease.state;
    lease.listed = true;
    if (!scope) return;
    const last = (lease.older = scope.newest[state]);
    lease.newer = null;
    if (last) last.newer = lease;
    else scope.oldest[state] = lease;
    scope.newest[state] = lease;
  }

  private unlist(lease: Lease): void {
    const scope = lease.scope;
    if (lease.listed && scope) {
      if (lease.older) lease.older.newer = lease.newer;
      else scope.oldest[lease.state] = lease.newer;
      if (lease.newer) lease.newer.older = lease.older;
      else scope.newest[lease.state] = lease.older;
    }
    lease.older = lease.newer = null;
    lease.listed = false;
  }
}

export function sameBytes(a: Uint8Array, b: Uint8Array, length: number): boolean {
  if (a.length !== length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
