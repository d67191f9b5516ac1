/** What a DHCP server does with each message (RFC 2131 section 4.3), and how it finds an address to offer. */
import * as wire from "../wire/dhcp.js";
import type { Lease } from "./dhcp-server-leases.js";
import { LEASE_BOUND, LEASE_DECLINED, LEASE_FORMER, LEASE_OFFERED, sameBytes } from "./dhcp-server-leases.js";
import { probe } from "./dhcp-server-probe.js";
import type { Query } from "./dhcp-server-query.js";
import { reply } from "./dhcp-server-reply.js";
import type { DhcpScope, Reserved } from "./dhcp-server-scope.js";
import { save } from "./dhcp-server-store.js";
import type { DhcpServer } from "./dhcp-server.js";

/** An offer holds its address for so long, ms; and while nothing else is free, for so long at the least. */
const OFFER = 60000;
const OFFER_LEAST = 5000;
/** A declined address is tried again when nothing else is free, after so long. */
const DECLINE_LEAST = 60000;
/** Places of a pool that are looked at for one message: near the client's own, and then wherever the search was left. */
const NEAR = 16;
const ROAM = 256;
/** The shortest lease that a client may ask for, seconds. */
const SHORTEST = 120;
const FOR_EVER = 0xffffffff;

/** Takes a message of a client in one of `scopes`, which are those of its link, best first. */
export function input(s: DhcpServer, scopes: DhcpScope[], q: Query): void {
  const counters = s.counters;
  if (q.type === wire.DISCOVER) {
    counters.discovers++;
    discover(s, scopes, q);
  } else if (q.type === wire.REQUEST) {
    counters.requests++;
    request(s, scopes, q);
  } else if (q.type === wire.DECLINE) {
    counters.declines++;
    decline(s, scopes, q);
  } else if (q.type === wire.RELEASE) {
    counters.releases++;
    release(s, scopes, q);
  } else if (q.type === wire.INFORM) {
    counters.informs++;
    inform(s, scopes, q);
  } else counters.unexpected++;
}

/* The messages */

/** Offers an address, once it is known that nobody uses it. */
export function discover(s: DhcpServer, scopes: DhcpScope[], q: Query): void {
  for (let i = 0; i < scopes.length; i++) {
    const lease = choose(s, scopes[i], q);
    if (!lease) continue;
    // What the client holds already, nobody else is asked about.
    if (lease.state !== LEASE_BOUND) {
      s.leases.set(lease, LEASE_OFFERED, s.clock, s.clock + OFFER);
      lease.hardware = q.hardware;
      s.wakeBy(lease.end);
      if (probe(s, lease, q)) return;
    }
    offer(s, lease, q);
    return;
  }
  s.counters.exhausted++;
}

/** Offers the client its lease. */
export function offer(s: DhcpServer, lease: Lease, q: Query): void {
  const scope = lease.scope as DhcpScope;
  const reserved = scope.reservationOf(q.id, q.hardware);
  s.counters.offers++;
  reply(s, scope, q, wire.OFFER, lease.address, duration(scope, q), reserved);
}

function request(s: DhcpServer, scopes: DhcpScope[], q: Query): void {
  const address = q.ciaddr || q.requested;
  let scope: DhcpScope | null = null;
  for (let i = 0; i < scopes.length; i++) {
    if (!scope && scopes[i].contains(address)) scope = scopes[i];
  }
  const lease = scope && s.leases.findOwner(scope, q.id);
  if (q.server && !isOurs(s, scopes, q)) {
    // The client has taken another server's offer.
    for (let i = 0; i < scopes.length; i++) {
      const spare = s.leases.findOwner(scopes[i], q.id);
      if (spare && spare.state === LEASE_OFFERED) s.leases.set(spare, LEASE_FORMER, s.clock, s.clock);
    }
    s.counters.unexpected++;
  } else if (lease && lease.address === address && allowed(s, scope!, q, address)) {
    bind(s, lease, q);
  } else if (!s.authoritative && !lease && !q.server) {
    // Of clients that it does not know, such a server says nothing: another may.
    s.counters.unexpected++;
  } else if (scope && !lease && isFree(s, scope, q, address)) {
    // From before this server forgot all it knew, or from one that has gone.
    const made = s.leases.assign(scope, address, q.id);
    if (made) bind(s, made, q);
    else refuse(s, scopes, q);
  } else refuse(s, scopes, q);
}

function bind(s: DhcpServer, lease: Lease, q: Query): void {
  const scope = lease.scope as DhcpScope;
  const seconds = duration(scope, q);
  const reserved = scope.reservationOf(q.id, q.hardware);
  const fresh = lease.state !== LEASE_BOUND;
  const hostName = (reserved && reserved.hostName) || q.hostName;
  const told = !fresh && hostName !== lease.hostName;
  if (told) s.tell(lease, false);
  lease.hardware = q.hardware;
  lease.hostName = hostName;
  lease.duration = seconds;
  s.leases.set(lease, LEASE_BOUND, s.clock, seconds === FOR_EVER ? Infinity : s.clock + seconds * 1000);
  // RFC 2131 section 3.1.4: first it is written down, then promised.
  save(s, lease);
  s.counters.acks++;
  reply(s, scope, q, wire.ACK, lease.address, seconds, reserved);
  if (fresh || told) s.tell(lease, true);
  s.wakeBy(lease.end);
}

function refuse(s: DhcpServer, scopes: DhcpScope[], q: Query): void {
  s.counters.naks++;
  reply(s, scopes[0], q, wire.NAK, 0, 0, null);
}

function decline(s: DhcpServer, scopes: DhcpScope[], q: Query): void {
  const lease = isOurs(s, scopes, q) ? heldBy(s, scopes, q, q.requested) : null;
  if (!lease) {
    s.counters.unexpected++;
    return;
  }
  ban(s, lease);
}

/** Somebody else uses the address of `lease`: nobody is given it for a while. */
export function ban(s: DhcpServer, lease: Lease): void {
  s.counters.conflicts++;
  if (lease.state === LEASE_BOUND) s.tell(lease, false);
  lease.duration = s.declineTime;
  s.leases.set(lease, LEASE_DECLINED, s.clock, s.clock + s.declineTime * 1000);
  save(s, lease);
  s.wakeBy(lease.end);
}

function release(s: DhcpServer, scopes: DhcpScope[], q: Query): void {
  const lease = !q.server || isOurs(s, scopes, q) ? heldBy(s, scopes, q, q.ciaddr) : null;
  if (!lease || lease.state !== LEASE_BOUND) {
    s.counters.unexpected++;
    return;
  }
  s.end(lease);
  save(s, lease);
}

function inform(s: DhcpServer, scopes: DhcpScope[], q: Query): void {
  for (let i = 0; i < scopes.length; i++) {
    if (!scopes[i].contains(q.ciaddr)) continue;
    s.counters.acks++;
    reply(s, scopes[i], q, wire.ACK, 0, 0, scopes[i].reservationOf(q.id, q.hardware));
    return;
  }
  s.counters.unexpected++;
}

function isOurs(s: DhcpServer, scopes: DhcpScope[], q: Query): boolean {
  if (q.override && q.server === q.override) return true;
  for (let i = 0; i < scopes.length; i++) {
    if (q.server === s.identifier(scopes[i])) return true;
  }
  return false;
}

function heldBy(s: DhcpServer, scopes: DhcpScope[], q: Query, address: number): Lease | null {
  for (let i = 0; i < scopes.length; i++) {
    const lease = s.leases.findOwner(scopes[i], q.id);
    if (lease && lease.address === address) return lease;
  }
  return null;
}

/** Seconds of the lease that the client gets: what it asks for, within bounds. */
function duration(scope: DhcpScope, q: Query): number {
  const wanted = q.leaseTime || scope.leaseTime;
  if (wanted >= scope.leaseTime) return scope.leaseTime;
  return wanted > SHORTEST ? wanted : SHORTEST < scope.leaseTime ? SHORTEST : scope.leaseTime;
}

/* Finding an address (RFC 2131 section 4.3.1) */

/** May the client have `address` at all: out of a pool, or reserved for it; not reserved for another, nor this host's own? */
function allowed(s: DhcpServer, scope: DhcpScope, q: Query, address: number): boolean {
  const reserved = scope.reservationOf(q.id, q.hardware);
  if (reserved && reserved.address === address) return true;
  return scope.inPools(address) && !scope.isReserved(address) && !s.ip.isLocal(address);
}

/** May the client have `address` now? A lease that is in force, offered or declined keeps it. */
function isFree(s: DhcpServer, scope: DhcpScope, q: Query, address: number): boolean {
  if (!allowed(s, scope, q, address)) return false;
  const lease = s.leases.findAddress(address);
  return (
    !lease ||
    lease.state === LEASE_FORMER ||
    (lease.state !== LEASE_DECLINED && sameBytes(lease.owner.id, q.id, q.id.length))
  );
}

/** The lease to offer: what the client has or had, what is reserved, what it asks for, what is free. Null: there is none. */
function choose(s: DhcpServer, scope: DhcpScope, q: Query): Lease | null {
  const leases = s.leases;
  const own = leases.findOwner(scope, q.id);
  const reserved = scope.reservationOf(q.id, q.hardware);
  if (reserved && (!own || own.address !== reserved.address) && isFree(s, scope, q, reserved.address)) {
    return move(s, scope, q, own, reserved.address);
  }
  if (own && (allowed(s, scope, q, own.address) || taken(s, reserved, own))) return own;
  if (q.requested && isFree(s, scope, q, q.requested)) return move(s, scope, q, own, q.requested);
  const found = search(s, scope, q);
  return found ? move(s, scope, q, own, found) : null;
}

/** A reserved address that another holds leaves the client what it has. */
function taken(s: DhcpServer, reserved: Reserved | null, own: Lease): boolean {
  return reserved !== null && own.state === LEASE_BOUND && s.leases.findAddress(reserved.address) !== null;
}

/** Gives the client `address` instead of what it had. */
function move(s: DhcpServer, scope: DhcpScope, q: Query, own: Lease | null, address: number): Lease | null {
  if (own && own.state === LEASE_BOUND) s.end(own);
  if (own) s.leases.remove(own);
  const lease = s.leases.assign(scope, address, q.id);
  if (lease) s.leases.set(lease, LEASE_OFFERED, s.clock, s.clock + OFFER);
  return lease;
}

/** A free address of the pools, or 0. However full they are, a bounded number of places is looked at. */
function search(s: DhcpServer, scope: DhcpScope, q: Query): number {
  const leases = s.leases;
  const size = scope.size;
  const start = size ? (leases.hashId(q.id) >>> 0) % size : 0;
  for (let i = 0; i < NEAR && i < size; i++) {
    const address = scope.addressAt((start + i) % size);
    if (!leases.findAddress(address) && isFree(s, scope, q, address)) return address;
  }
  let idle = leases.idle(scope, LEASE_FORMER, s.clock, 0);
  if (!idle || !isFree(s, scope, q, idle.address)) {
    for (let i = 0; i < ROAM && i < size; i++) {
      scope.hand = (scope.hand + 1) % size;
      const address = scope.addressAt(scope.hand);
      if (isFree(s, scope, q, address)) return address;
    }
    idle = leases.idle(scope, LEASE_OFFERED, s.clock, OFFER_LEAST);
    if (!idle) idle = leases.idle(scope, LEASE_DECLINED, s.clock, DECLINE_LEAST);
  }
  return idle && allowed(s, scope, q, idle.address) ? idle.address : 0;
}
