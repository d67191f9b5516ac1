/**
 * DHCP server (RFC 2131, 2132, 3046, 3396, 3397, 3442, 3527, 5107, 6842, 8910, 8925): the component.
 *
 * Whoever asks is given an address, so what strangers can do is bounded: leases in force are never taken away, offers that nobody
 * takes up go first when a pool is crowded, and a pool or table that is full of leases in force offers no more (`exhausted`).
 * Replies go to relay agents and addresses of the networks that are served, and nowhere else.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { format4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ping } from "../raw/ping.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/dhcp.js";
import { acceptBootp } from "./dhcp-accept.js";
import { MESSAGE } from "./dhcp-message.js";
import type { Lease } from "./dhcp-server-leases.js";
import { LEASE_BOUND, LEASE_FORMER, LeaseTable } from "./dhcp-server-leases.js";
import { input } from "./dhcp-server-machine.js";
import type { Trial } from "./dhcp-server-probe.js";
import { abandon } from "./dhcp-server-probe.js";
import { Query, parseQuery } from "./dhcp-server-query.js";
import { DhcpScope } from "./dhcp-server-scope.js";
import type { DhcpScopeOptions } from "./dhcp-server-scope.js";
import { hex, load } from "./dhcp-server-store.js";
import type { LeaseStore } from "./lease-store.js";

export type { DhcpReservation, DhcpScope, DhcpScopeOptions } from "./dhcp-server-scope.js";
export type { DhcpServerOptions } from "./dhcp-server-options.js";
export type { LeaseStore } from "./lease-store.js";

const PROTOCOL_UDP = 17;
/** Bytes of requests that may wait at an interface. */
const QUEUE = 65536;
/** Milliseconds between two looks for what has expired, at the least; and at the most, for the clock's sake. */
const SWEEP = 10000;
const SWEEP_MOST = 86400000;
/** Leases that wait to be told of. */
const EVENTS = 1024;

export class DhcpServerCounters {
  sent = 0;
  sendFailed = 0;
  discovers = 0;
  requests = 0;
  declines = 0;
  releases = 0;
  informs = 0;
  offers = 0;
  acks = 0;
  naks = 0;
  /** No request by RFC 2131, or options whose lengths lie. */
  malformed = 0;
  /** From a network that is not served, or a relay agent that is not known. */
  foreign = 0;
  /** Requests of BOOTP (RFC 951), which has no leases. */
  bootp = 0;
  /** For another server, or about what the client has not got. */
  unexpected = 0;
  /** There was no address left to offer. */
  exhausted = 0;
  /** Addresses that were found in use by somebody else. */
  conflicts = 0;
  /** Offers that went out without a probe, for want of room. */
  unprobed = 0;
  expired = 0;
  /** Options that found no room in a reply. */
  omitted = 0;
  /** Writes that the store refused, and records of it that make no sense. */
  storeFailed = 0;
  badRecords = 0;
}

export interface DhcpServerConfiguration {
  /** Keeps leases over restarts. Default: none, they are forgotten. */
  store?: LeaseStore;
  /** Asks whether an address is in use before it is offered: `ping()`. Default: nobody is asked. */
  probe?: Ping;
  /** How long an answer is waited for, ms. Default 500. */
  probeTime?: number;
  /** Leases at most, former ones included. Default 256. */
  limit?: number;
  /** There is no other server: clients with leases that are not known hear a no at once. Default true. */
  authoritative?: boolean;
  /** Seconds for which an address is left alone that was found in use. Default 3600. */
  declineTime?: number;
  /** A lease has begun (true), or has ended or changed its name (false). */
  onLease?(lease: ServerLease, present: boolean): void;
}

/** A lease in force: plain data. */
export interface ServerLease {
  address: string;
  /** The client's identifier, hexadecimal. */
  client: string;
  /** Its hardware address, hexadecimal. */
  hardware: string;
  /** The name that it has, or `""`. */
  hostName: string;
  /** Seconds that are left; `Infinity`: for ever. */
  left: number;
  /** Name of the interface that it is reached over; `""`: its network is not served now. */
  interface: string;
}

export class DhcpServer implements Component, Deferred {
  readonly name = "dhcpserver";
  readonly counters = new DhcpServerCounters();
  queued = false;
  nextDeferred: Deferred | null = null;
  stack: Stack = null as never;
  ip: Ipv4 = null as never;
  leases: LeaseTable = null as never;
  readonly scopes: DhcpScope[] = [];
  readonly trials: Trial[] = [];
  readonly store: LeaseStore | null;
  readonly probe: Ping | null;
  readonly probeTime: number;
  readonly authoritative: boolean;
  readonly declineTime: number;
  /** Records in the store. */
  records = 0;
  /** Milliseconds since the start, which never wrap; `last` is the stack's time of the same moment. */
  clock = 0;
  /** The reply that is being made, and the value of the option in question. */
  readonly message = new Uint8Array(MESSAGE);
  readonly value = new Uint8Array(MESSAGE);
  private last = 0;
  private udp: Udp = null as never;
  private readonly request = new Uint8Array(MESSAGE);
  private readonly query = new Query();
  private readonly sockets: UdpSocket[] = [];
  private readonly timer = new Timer(sweep, this);
  private readonly limit: number;
  private readonly onLease: ((lease: ServerLease, present: boolean) => void) | null;
  private readonly events: { lease: ServerLease; present: boolean }[] = [];
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  constructor(from: DhcpServerConfiguration) {
    const setting = (value: number | undefined, standard: number, low: number, high: number, what: string) =>
      requireInteger(value === undefined ? standard : value, low, high, what);
    this.store = from.store || null;
    this.probe = from.probe || null;
    this.probeTime = setting(from.probeTime, 500, 1, 10000, "probeTime");
    this.limit = setting(from.limit, 256, 1, 1 << 20, "limit");
    this.authoritative = from.authoritative !== false;
    this.declineTime = setting(from.declineTime, 3600, 1, 604800, "declineTime");
    this.onLease = from.onLease || null;
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "dhcpserver");
    this.stack = stack;
    this.leases = new LeaseTable(stack, this.scopes, this.limit);
    stack.counters.dhcpserver = this.counters as never;
  }

  start(): void {
    this.ip = this.stack.network(4) as Ipv4;
    this.udp = this.stack.transport(PROTOCOL_UDP) as unknown as Udp;
    if (!this.ip || !this.udp) fail("ENOPROTOOPT", "dhcpserver needs ipv4 and udp");
    acceptBootp(this.ip);
    this.last = this.stack.now();
    load(this);
    if (this.leases.byAddress.size > 0) this.wakeBy(0);
  }

  rekeyed(): void {
    if (this.leases) this.leases.rehash();
  }

  /**
   * Serves a network. Errors (thrown): `EINVAL` options, `EEXIST` the network is served already, `EADDRINUSE` port 67 is taken,
   * `ENOBUFS` no socket.
   */
  serve(options: DhcpScopeOptions): DhcpScope {
    const scope = new DhcpScope(this, options);
    for (let i = 0; i < this.scopes.length; i++) {
      const other = this.scopes[i];
      if (other.contains(scope.network) || scope.contains(other.network)) fail("EEXIST", options.network);
    }
    if (!this.socketOf(scope.nif)) {
      const socket = this.udp.open({
        family: 4,
        port: wire.DHCP_SERVER_PORT,
        interface: scope.nif,
        // An agent may relay for other links.
        reuse: true,
        broadcast: true,
        multicastLoop: false,
        receiveBuffer: QUEUE,
        onReadable: () => this.readable(socket),
      });
      this.sockets.push(socket);
    }
    this.scopes.push(scope);
    this.leases.byAddress.each((lease) => {
      if (!lease.scope && scope.contains(lease.address)) this.leases.place(lease, scope);
    });
    return scope;
  }

  /** The leases in force. */
  list(): ServerLease[] {
    const found: ServerLease[] = [];
    this.tick();
    this.leases.byAddress.each((lease) => {
      if (lease.state === LEASE_BOUND && lease.end > this.clock) found.push(this.describe(lease));
    });
    return found;
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.scopes.length - 1; i >= 0; i--) {
      if (this.scopes[i].nif === nif) this.drop(this.scopes[i]);
    }
  }

  close(): void {
    while (this.scopes.length > 0) this.drop(this.scopes[0]);
    abandon(this);
    this.stack.timers.clear(this.timer);
  }

  /** Tells the application: see `Stack.defer`. */
  run(): void {
    const events = this.events.splice(0);
    for (let i = 0; i < events.length; i++) {
      if (this.onLease) this.onLease(events[i].lease, events[i].present);
    }
  }

  /* For the parts of this service. */

  drop(scope: DhcpScope): void {
    const at = this.scopes.indexOf(scope);
    if (at < 0) return;
    this.scopes.splice(at, 1);
    scope.closed = true;
    this.leases.byAddress.each((lease) => {
      if (lease.scope === scope) this.leases.place(lease, null);
    });
    for (let i = 0; i < this.scopes.length; i++) if (this.scopes[i].nif === scope.nif) return;
    const socket = this.socketOf(scope.nif);
    if (!socket) return;
    this.sockets.splice(this.sockets.indexOf(socket), 1);
    socket.close();
  }

  socketOf(nif: Interface): UdpSocket | null {
    for (let i = 0; i < this.sockets.length; i++) {
      if (this.sockets[i].options.interface === nif) return this.sockets[i];
    }
    return null;
  }

  /** How clients of `scope` call this server: by its address in their network, else by any of the interface's; 0: it has none. */
  identifier(scope: DhcpScope): number {
    return this.ip.sourceFor(scope.nif, scope.network);
  }

  /** Brings the clock up to date. */
  tick(): number {
    const now = this.stack.now();
    this.clock += (now - this.last) | 0;
    this.last = now;
    return this.clock;
  }

  /** `lease` is no longer in force. */
  end(lease: Lease): void {
    this.tell(lease, false);
    this.leases.set(lease, LEASE_FORMER, this.clock, this.clock);
  }

  tell(lease: Lease, present: boolean): void {
    if (!this.onLease || this.events.length >= EVENTS) return;
    this.events.push({ lease: this.describe(lease), present });
    this.stack.defer(this);
  }

  /** Looks for what has expired at `end` of the clock, or somewhat later. */
  wakeBy(end: number): void {
    let delay = end - this.clock;
    if (delay < SWEEP) delay = SWEEP;
    if (delay > SWEEP_MOST) delay = SWEEP_MOST;
    const at = (this.last + delay) | 0;
    if (this.timer.slot < 0 || ((at - this.timer.at) | 0) < 0) this.stack.timers.set(this.timer, at);
  }

  /** Ends what is over. */
  expire(): void {
    let next = Infinity;
    this.tick();
    this.leases.byAddress.each((lease) => {
      if (lease.state === LEASE_FORMER) return;
      if (lease.end > this.clock) {
        if (lease.end < next) next = lease.end;
        return;
      }
      if (lease.state === LEASE_BOUND) {
        this.counters.expired++;
        this.tell(lease, false);
      }
      if (lease.scope) this.leases.set(lease, LEASE_FORMER, this.clock, this.clock);
      else this.leases.remove(lease);
    });
    // Without a lease that ends, the clock still must not be left alone for weeks.
    if (this.leases.byAddress.size > 0) this.wakeBy(next);
  }

  private describe(lease: Lease): ServerLease {
    return {
      address: format4(lease.address),
      client: hex(lease.owner.id),
      hardware: hex(lease.hardware),
      hostName: lease.hostName,
      left: (lease.end - this.clock) / 1000,
      interface: lease.scope ? lease.scope.nif.name : "",
    };
  }

  private readable(socket: UdpSocket): void {
    const q = this.query;
    const nif = socket.options.interface as Interface;
    this.tick();
    while (!socket.closed && socket.receive(this.request, this.info) >= 0) {
      const end = this.info.truncated ? 0 : this.info.length;
      if (!parseQuery(q, this.request, end, this.value)) {
        this.counters.malformed++;
        continue;
      }
      const scopes = q.type === 0 ? [] : this.scopesOf(nif, q);
      if (q.type === 0) this.counters.bootp++;
      else if (scopes.length === 0) this.counters.foreign++;
      else input(this, scopes, q);
    }
  }

  /** The scopes that a client is in: by its relay agent, by the address that it has, or else by the link. */
  private scopesOf(nif: Interface, q: Query): DhcpScope[] {
    const found: DhcpScope[] = [];
    for (let i = 0; i < this.scopes.length; i++) {
      const scope = this.scopes[i];
      if (scope.nif !== nif || this.identifier(scope) === 0) continue;
      if (q.giaddr) {
        const known = scope.contains(q.giaddr) || scope.relays.indexOf(q.giaddr) >= 0;
        if (known && (!q.link || scope.contains(q.link))) found.push(scope);
      } else if (q.ciaddr && scope.contains(q.ciaddr)) return [scope];
      else if (this.ip.isOnLink(nif, scope.network)) found.push(scope);
    }
    // Whoever has an address elsewhere is refused it; nothing else is answered to wherever a stranger says.
    if (!q.giaddr && found.length > 0 && q.ciaddr && q.type !== wire.REQUEST) return [];
    return found;
  }
}

function sweep(server: DhcpServer): void {
  server.expire();
}

/**
 * The DHCP server component; needs `ipv4`, `udp`, and `arp` on Ethernet. Counters: `dhcpserver`.
 *
 * ```ts
 * const leases = dhcpServer({ store: leaseFile("/var/lib/leases"), probe: pings });
 * leases.serve({
 *   interface: lan,
 *   network: "10.0.0.0/24",
 *   pools: ["10.0.0.100-10.0.0.199"],
 *   options: { routers: ["10.0.0.1"], nameServers: ["10.0.0.1"], domain: "home.arpa" },
 * });
 * ```
 */
export function dhcpServer(configuration: DhcpServerConfiguration = {}): DhcpServer {
  return new DhcpServer(configuration);
}
