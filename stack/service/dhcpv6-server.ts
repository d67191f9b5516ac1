/**
 * DHCPv6 server (RFC 8415): addresses, delegated prefixes, parameters; also to clients behind relay agents.
 *
 * What is offered is not kept: only a client that takes it up costs memory, and `limit` bounds that. What is in force is never given to
 * another. A delegated prefix is routed to whoever has it.
 */
import { put16, put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { format6, parse6 } from "../core/text6.js";
import { Timer } from "../core/timers.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/dhcpv6.js";
import { equal6, isLinkLocal6, maskPrefix } from "../wire/ipv6.js";
import { sameBytes } from "./dhcp-server-leases.js";
import { hex } from "./dhcp-server-store.js";
import { duidLinkLayer } from "./dhcpv6-duid.js";
import { Bindings } from "./dhcpv6-server-bindings.js";
import type { Binding } from "./dhcpv6-server-bindings.js";
import { Dhcpv6Scope, covers, range } from "./dhcpv6-server-scope.js";
import type { Dhcpv6ScopeOptions, Range } from "./dhcpv6-server-scope.js";
import { emitStatus, emitValue, parseQuery6, wrap } from "./dhcpv6-server-message.js";
import type { Association, Query6 } from "./dhcpv6-server-message.js";
import type { LeaseStore } from "./lease-store.js";

const PROTOCOL_UDP = 17;
const QUEUE = 65536;
const MESSAGE = 1452;
const STATUS_NO_ADDRESS = 2;
const STATUS_NO_PREFIX = 6;
const INFINITE = 0xffffffff;
/** Places that are looked at for one association. */
const TRIES = 128;
/** Milliseconds between two looks for what has expired; an address that was declined rests for so long. */
const SWEEP = 10000;
const DECLINED = 3600000;
/** Bindings that wait to be told of. */
const EVENTS = 1024;

export { Dhcpv6Scope } from "./dhcpv6-server-scope.js";
export type { Dhcpv6ScopeOptions } from "./dhcpv6-server-scope.js";

export class Dhcpv6ServerCounters {
  received = 0;
  sent = 0;
  sendFailed = 0;
  malformed = 0;
  /** Not for this server, from an address that no client has, or from a network that is not served. */
  notOurs = 0;
  /** Associations that got nothing: no pool, no place in it, or none in the table. */
  exhausted = 0;
  declined = 0;
  expired = 0;
  storeFailed = 0;
  badRecords = 0;
}

export interface Dhcpv6ServerConfiguration {
  /** This server's identifier, kept over restarts. Default: of the first served interface's hardware address. */
  duid?: Uint8Array;
  /** Keeps bindings over restarts. */
  store?: LeaseStore;
  /** Bindings at most. Default 256. */
  limit?: number;
  /** A binding has begun (true) or ended (false): `"2001:db8::5"`, `"2001:db8:1::/56"`. */
  onBinding?(value: string, client: string, present: boolean): void;
}

export class Dhcpv6Server implements Component, Deferred {
  readonly name = "dhcpv6server";
  readonly counters = new Dhcpv6ServerCounters();
  bindings: Bindings = null as never;
  queued = false;
  nextDeferred: Deferred | null = null;
  private readonly events: { value: string; client: string; present: boolean }[] = [];
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private udp: Udp = null as never;
  private duid: Uint8Array | null;
  private readonly limit: number;
  private readonly scopes: Dhcpv6Scope[] = [];
  private readonly sockets: UdpSocket[] = [];
  private readonly timer = new Timer(sweep, this);
  private readonly data = new Uint8Array(MESSAGE);
  /** Replies may be longer than requests: many associations, many options. */
  private readonly out = new Uint8Array(4096);
  private clock = 0;
  private last = 0;
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  constructor(private readonly configuration: Dhcpv6ServerConfiguration) {
    this.duid = configuration.duid || null;
    if (this.duid && (this.duid.length < 3 || this.duid.length > 130)) fail("EINVAL", "duid");
    this.limit = requireInteger(
      configuration.limit === undefined ? 256 : configuration.limit,
      1,
      1 << 20,
      "limit",
    );
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "dhcpv6server");
    this.stack = stack;
    stack.counters.dhcpv6server = this.counters as never;
    this.bindings = new Bindings(stack, this.limit, this.configuration.store || null, () => {
      this.counters.storeFailed++;
    });
  }

  start(): void {
    this.ip = this.stack.network(6) as Ipv6;
    this.udp = this.stack.transport(PROTOCOL_UDP) as unknown as Udp;
    if (!this.ip || !this.udp) fail("ENOPROTOOPT", "dhcpv6server needs ipv6 and udp");
    this.last = this.stack.now();
    this.counters.badRecords = this.bindings.load(this.clock);
    if (this.bindings.byValue.size > 0) this.wake();
  }

  rekeyed(): void {
    if (this.bindings) this.bindings.rehash();
  }

  /** Serves the clients of a link. Errors (thrown): `EINVAL`, `EADDRINUSE` port 547 is taken, `ENOBUFS`. */
  serve(options: Dhcpv6ScopeOptions): Dhcpv6Scope {
    const scope = new Dhcpv6Scope(this, options);
    const nif = scope.nif;
    if (!this.duid) this.duid = duidLinkLayer(nif.link.mac || fail("EINVAL", "duid"));
    if (!this.socketOf(nif)) {
      const socket = this.udp.open({
        family: 6,
        port: wire.DHCP6_SERVER_PORT,
        interface: nif,
        // An agent may relay for other links.
        reuse: true,
        receiveBuffer: QUEUE,
        onReadable: () => this.readable(socket),
      });
      socket.join(wire.DHCP6_SERVERS, nif);
      this.sockets.push(socket);
    }
    this.scopes.push(scope);
    return scope;
  }

  /** What is in force: addresses and prefixes as text, with the clients' DUIDs in hexadecimal and the seconds left. */
  list(): { value: string; client: string; left: number }[] {
    const found: { value: string; client: string; left: number }[] = [];
    this.tick();
    this.bindings.byValue.each((each) => {
      if (each.owner.duid.length === 0 || each.end <= this.clock) return;
      found.push({ value: textOf(each), client: hex(each.owner.duid), left: (each.end - this.clock) / 1000 });
    });
    return found;
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.scopes.length - 1; i >= 0; i--)
      if (this.scopes[i].nif === nif) this.drop(this.scopes[i]);
  }

  close(): void {
    while (this.scopes.length > 0) this.drop(this.scopes[0]);
    this.stack.timers.clear(this.timer);
  }

  /** Tells the application: see `Stack.defer`. */
  run(): void {
    const events = this.events.splice(0);
    const told = this.configuration.onBinding;
    for (let i = 0; told && i < events.length; i++)
      told(events[i].value, events[i].client, events[i].present);
  }

  drop(scope: Dhcpv6Scope): void {
    const at = this.scopes.indexOf(scope);
    if (at < 0) return;
    this.scopes.splice(at, 1);
    for (let i = 0; i < this.scopes.length; i++) if (this.scopes[i].nif === scope.nif) return;
    const socket = this.socketOf(scope.nif);
    if (socket) {
      this.sockets.splice(this.sockets.indexOf(socket), 1);
      socket.close();
    }
  }

  /** Ends what is over. */
  expire(): void {
    this.tick();
    this.bindings.byValue.each((each) => {
      if (each.end > this.clock) return;
      if (each.owner.duid.length > 0) this.counters.expired++;
      this.remove(each);
    });
    if (this.bindings.byValue.size > 0) this.wake();
  }

  private wake(): void {
    if (this.timer.slot < 0) this.stack.timers.set(this.timer, (this.stack.now() + SWEEP) | 0);
  }

  private tick(): void {
    const now = this.stack.now();
    this.clock += (now - this.last) | 0;
    this.last = now;
  }

  private socketOf(nif: Interface): UdpSocket | null {
    for (let i = 0; i < this.sockets.length; i++)
      if (this.sockets[i].options.interface === nif) return this.sockets[i];
    return null;
  }

  private readable(socket: UdpSocket): void {
    const info = this.info;
    const counters = this.counters;
    this.tick();
    while (!socket.closed && socket.receive(this.data, info) >= 0) {
      const q = info.truncated ? null : parseQuery6(this.data, info.length);
      counters.received++;
      if (!q) {
        counters.malformed++;
        continue;
      }
      const scope = this.scopeOf(socket.options.interface as Interface, q, info.address);
      const end = scope ? this.answer(scope, q, info.address) : 0;
      if (end <= 0) {
        counters.notOurs++;
        continue;
      }
      const message = wrap(q, this.out, end);
      const port = q.wrappers.length > 0 ? wire.DHCP6_SERVER_PORT : wire.DHCP6_CLIENT_PORT;
      if (socket.sendTo(info.address, port, message) < 0) counters.sendFailed++;
      else counters.sent++;
    }
  }

  /** Clients speak from link-local addresses, relay agents from those and from ones that are known (RFC 8415 section 16). */
  private scopeOf(nif: Interface, q: Query6, from: string): Dhcpv6Scope | null {
    const plain = from.split("%")[0];
    const bytes = parse6(plain);
    const near = bytes !== null && isLinkLocal6(bytes, 0);
    for (let i = 0; i < this.scopes.length; i++) {
      const scope = this.scopes[i];
      if (scope.nif !== nif) continue;
      if (q.wrappers.length === 0) {
        if (near) return scope;
      } else if ((near || scope.relays.indexOf(plain) >= 0) && (!q.link || covers(scope.network, q.link)))
        return scope;
    }
    return null;
  }

  /** Makes the reply in `out`; 0: there is none. */
  private answer(scope: Dhcpv6Scope, q: Query6, from: string): number {
    const type = q.type;
    const own = this.duid as Uint8Array;
    const mine = q.server !== null && sameBytes(q.server, own, own.length);
    const named =
      type === wire.REQUEST || type === wire.RENEW || type === wire.RELEASE || type === wire.DECLINE;
    const known = named || type === wire.SOLICIT || type === wire.CONFIRM || type === wire.REBIND;
    if (named ? !mine : q.server !== null && !(mine && type === wire.INFORMATION_REQUEST)) return 0;
    if (known ? !q.client : type !== wire.INFORMATION_REQUEST) return 0;
    const rapid = type === wire.SOLICIT && q.rapid && scope.from.rapidCommit === true;
    const out = this.out;
    put32(out, 0, q.id);
    out[0] = type === wire.SOLICIT && !rapid ? wire.ADVERTISE : wire.REPLY;
    let at = wire.emitBytes6(out, wire.DHCP6_HEADER, wire.OPTION_SERVER_ID, own);
    if (q.client) at = wire.emitBytes6(out, at, wire.OPTION_CLIENT_ID, q.client);
    if (rapid) at = wire.emitOption6(out, at, wire.OPTION_RAPID_COMMIT, 0);
    if (type === wire.CONFIRM) {
      const verdict = this.confirm(scope, q);
      return verdict < 0 ? 0 : emitStatus(out, at, verdict);
    }
    if (type === wire.RELEASE || type === wire.DECLINE) {
      for (let i = 0; i < q.associations.length; i++) at = this.giveBack(q, q.associations[i], at);
      return emitStatus(out, at, 0);
    }
    for (let i = 0; i < q.associations.length && type !== wire.INFORMATION_REQUEST; i++) {
      at = this.give(scope, q, q.associations[i], type === wire.SOLICIT && !rapid, from, at);
    }
    for (let i = 0; i < scope.options.length; i++) {
      const option = scope.options[i];
      if (q.wanted.indexOf(option.code) >= 0 && at + option.value.length + 4 < out.length) {
        at = wire.emitBytes6(out, at, option.code, option.value);
      }
    }
    if (type === wire.INFORMATION_REQUEST) {
      at = wire.emitOption6(out, at, wire.OPTION_REFRESH, 4);
      put32(out, at, scope.from.refresh === undefined ? 86400 : scope.from.refresh);
      at += 4;
    }
    return at;
  }

  /** Are all addresses that the client has on this link? 0, the status that they are not, or -1: it names none. */
  private confirm(scope: Dhcpv6Scope, q: Query6): number {
    let count = 0;
    for (let i = 0; i < q.associations.length; i++) {
      const association = q.associations[i];
      for (let k = 0; k < association.values.length && !association.delegated; k++) {
        count++;
        if (!this.isOnLink(scope, association.values[k])) return wire.STATUS_NOT_ON_LINK;
      }
    }
    return count > 0 ? 0 : -1;
  }

  private isOnLink(scope: Dhcpv6Scope, address: Uint8Array): boolean {
    if (scope.network) return covers(scope.network, address);
    const list = this.ip.addresses;
    for (let i = 0; i < list.length; i++) {
      if (
        list[i].nif === scope.nif &&
        covers({ bytes: maskPrefix(list[i].bytes, list[i].length), length: list[i].length }, address)
      )
        return true;
    }
    return false;
  }

  /** Release, Decline: takes back what the association names (RFC 8415 sections 18.3.7, 18.3.8). */
  private giveBack(q: Query6, association: Association, at: number): number {
    const binding = this.bindings.find(association.delegated, q.client as Uint8Array, association.iaid);
    let found = false;
    for (let i = 0; binding && i < association.values.length; i++) {
      if (equal6(association.values[i], 0, binding.bytes, 0)) found = true;
    }
    if (!binding || !found) {
      at = wire.emitAssociation(
        this.out,
        at,
        association.delegated ? wire.OPTION_IA_PD : wire.OPTION_IA_NA,
        association.iaid,
      );
      const end = emitStatus(this.out, at, wire.STATUS_NO_BINDING);
      put16(this.out, at - wire.IA_FIELDS - 2, end - at + wire.IA_FIELDS);
      return end;
    }
    this.remove(binding);
    if (q.type === wire.DECLINE && !association.delegated) {
      // Nobody's for a while.
      this.counters.declined++;
      const ban = this.bindings.add(false, binding.bytes, 128, new Uint8Array(0), 0);
      if (ban) ban.end = this.clock + DECLINED;
      this.wake();
    }
    return at;
  }

  /** Gives an association what it has, or something new; `offer`: only says what that would be. */
  private give(
    scope: Dhcpv6Scope,
    q: Query6,
    association: Association,
    offer: boolean,
    from: string,
    at: number,
  ): number {
    const out = this.out;
    const delegated = association.delegated;
    const client = q.client as Uint8Array;
    const values = association.values;
    const start = at;
    if (at + 600 > out.length) return at;
    at = wire.emitAssociation(out, at, delegated ? wire.OPTION_IA_PD : wire.OPTION_IA_NA, association.iaid);
    const fields = at - wire.IA_FIELDS;
    let binding = this.bindings.find(delegated, client, association.iaid);
    if (binding && !this.fits(scope, binding, client)) {
      this.remove(binding);
      binding = null;
    }
    const length = delegated ? scope.delegatedLength : 128;
    const bytes = binding ? binding.bytes : this.choose(scope, client, association);
    const size = binding
      ? binding.length
      : bytes && delegated
        ? this.lengthOf(scope, client, length)
        : length;
    if (!binding && bytes && !offer)
      binding = this.bindings.add(delegated, bytes, size, client, association.iaid);
    if (!bytes || (!offer && !binding)) {
      this.counters.exhausted++;
      at = emitStatus(out, at, delegated ? STATUS_NO_PREFIX : STATUS_NO_ADDRESS);
    } else {
      put32(out, fields + 4, Math.floor(scope.preferred * 0.5));
      put32(out, fields + 8, Math.floor(scope.preferred * 0.8));
      at = emitValue(out, at, delegated, bytes, size, scope.preferred, scope.valid);
      if (binding && !offer) this.extend(scope, q, binding, from);
    }
    // What the client has from elsewhere, it may not go on using (RFC 8415 sections 18.3.4, 18.3.5).
    for (let i = 0; i < values.length && (q.type === wire.RENEW || q.type === wire.REBIND); i++) {
      if (bytes && equal6(values[i], 0, bytes, 0)) continue;
      at = emitValue(out, at, delegated, values[i], association.lengths[i], 0, 0);
    }
    put16(out, start + 2, at - start - 4);
    return at;
  }

  private extend(scope: Dhcpv6Scope, q: Query6, binding: Binding, from: string): void {
    const fresh = binding.valid === 0;
    binding.valid = scope.valid;
    binding.end = scope.valid === INFINITE ? Infinity : this.clock + scope.valid * 1000;
    this.bindings.save(binding, this.clock, binding.valid);
    this.wake();
    if (binding.delegated && q.wrappers.length === 0) this.routeTo(scope, binding, from);
    if (fresh) this.tell(binding, true);
  }

  /** Leads what is for a delegated prefix to the client. */
  private routeTo(scope: Dhcpv6Scope, binding: Binding, from: string): void {
    if (binding.undo) binding.undo();
    const prefix = textOf(binding);
    const gateway = from.split("%")[0];
    try {
      this.ip.addRoute(prefix, { gateway, interface: scope.nif, origin: "dhcp" });
      binding.undo = () => this.ip.removeRoute(prefix, gateway + "%" + scope.nif.name);
    } catch {
      binding.undo = null;
    }
  }

  private remove(binding: Binding): void {
    this.bindings.remove(binding);
    if (binding.owner.duid.length === 0) return;
    this.bindings.save(binding, this.clock, 0);
    this.tell(binding, false);
  }

  private tell(binding: Binding, present: boolean): void {
    if (!this.configuration.onBinding || this.events.length >= EVENTS) return;
    this.events.push({ value: textOf(binding), client: hex(binding.owner.duid), present });
    this.stack.defer(this);
  }

  /** Is what the client has still what this scope gives? */
  private fits(scope: Dhcpv6Scope, binding: Binding, client: Uint8Array): boolean {
    const reserved = this.reserved(scope, client, binding.delegated);
    if (reserved) return equal6(reserved.bytes, 0, binding.bytes, 0);
    return covers(binding.delegated ? scope.delegate : scope.pool, binding.bytes);
  }

  private reserved(scope: Dhcpv6Scope, client: Uint8Array, delegated: boolean): Range | null {
    const list = scope.from.reservations || [];
    for (let i = 0; i < list.length; i++) {
      const text = delegated ? list[i].prefix : list[i].address;
      if (text === undefined || !sameBytes(list[i].duid, client, client.length)) continue;
      return delegated ? range(text, 16, 64) : { bytes: parse6(text) as Uint8Array, length: 128 };
    }
    return null;
  }

  private lengthOf(scope: Dhcpv6Scope, client: Uint8Array, length: number): number {
    const reserved = this.reserved(scope, client, true);
    return reserved ? reserved.length : length;
  }

  /** A free address or prefix: the reserved one, the one asked for, or one by chance that is always the same for the client. */
  private choose(scope: Dhcpv6Scope, client: Uint8Array, association: Association): Uint8Array | null {
    const delegated = association.delegated;
    const reserved = this.reserved(scope, client, delegated);
    if (reserved) return this.bindings.holder(reserved.bytes, reserved.length) ? null : reserved.bytes;
    const from = delegated ? scope.delegate : scope.pool;
    const length = delegated ? scope.delegatedLength : 128;
    if (!from) return null;
    for (let i = 0; i < association.values.length; i++) {
      const value = association.values[i];
      if (
        covers(from, value) &&
        equal6(value, 0, maskPrefix(value, length), 0) &&
        this.isFree(scope, value, length)
      )
        return value;
    }
    const low = this.bindings.hash(client, association.iaid);
    const high = this.bindings.hash(client, ~association.iaid);
    for (let i = 0; i < TRIES; i++) {
      const bytes = new Uint8Array(16);
      bytes.set(from.bytes);
      // The bits between the two lengths, the lowest first.
      let word = (low + i) | 0;
      for (let bit = length - 1, n = 0; bit >= from.length; bit--, n++) {
        if (n === 32) word = high;
        if (word & 1) bytes[bit >> 3] |= 0x80 >> (bit & 7);
        word = word >>> 1;
      }
      if (this.isFree(scope, bytes, length)) return bytes;
    }
    return null;
  }

  private isFree(scope: Dhcpv6Scope, bytes: Uint8Array, length: number): boolean {
    const list = scope.from.reservations || [];
    for (let i = 0; i < list.length; i++) {
      const text = length === 128 ? list[i].address : list[i].prefix;
      if (text !== undefined && equal6(range(text, 16, 128).bytes, 0, bytes, 0)) return false;
    }
    if (this.bindings.holder(bytes, length)) return false;
    // Not the subnet-router's own (RFC 4291 section 2.6.1), nor one of this host's.
    return (
      length < 128 || (this.ip.entryOf(bytes, 0, null) === null && bytes[15] + bytes[14] + bytes[13] > 0)
    );
  }
}

function textOf(binding: Binding): string {
  return format6(binding.bytes, 0) + (binding.delegated ? "/" + binding.length : "");
}

function sweep(server: Dhcpv6Server): void {
  server.expire();
}

/**
 * The DHCPv6 server; needs `ipv6`, `icmpv6`, `nd`, `udp`. Counters: `dhcpv6server`.
 *
 * ```ts
 * const server = dhcpv6Server({ store: leaseFile("/var/lib/leases6") });
 * server.serve({ interface: lan, pool: "fd00::1:0:0/96", delegate: { prefix: "fd00:1::/48", length: 60 }, nameServers: ["fd00::1"] });
 * ```
 */
export function dhcpv6Server(configuration: Dhcpv6ServerConfiguration = {}): Dhcpv6Server {
  return new Dhcpv6Server(configuration);
}
