/** One network that a DHCP server serves: its pools, its reservations, and how an address is found in it. */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { parse4, splitPrefix } from "../core/text4.js";
import { isMartian4, mask4 } from "../wire/ipv4.js";
import type { Lease } from "./dhcp-server-leases.js";
import { sameBytes } from "./dhcp-server-leases.js";
import { compileOptions } from "./dhcp-server-options.js";
import type { DhcpServerOptions, ServerOption } from "./dhcp-server-options.js";
import type { DhcpServer } from "./dhcp-server.js";

/** An address that is kept for one client. */
export interface DhcpReservation {
  address: string;
  /** The client's hardware address, `"02:00:00:00:00:07"`; or */
  mac?: string;
  /** its client identifier (option 61: type and value). */
  clientId?: Uint8Array;
  /** The name that the client is told to have, and by which others find it. */
  hostName?: string;
  /** What it is told instead of what the scope says. */
  options?: DhcpServerOptions;
}

export interface DhcpScopeOptions {
  /** Clients are on this interface, or behind relay agents that are reached over it. */
  interface: Interface;
  /** The clients' network: `"10.0.0.0/24"`. Where the interface has no address in it, it is served through relay agents. */
  network: string;
  /** Ranges of addresses to give: `["10.0.0.100-10.0.0.199"]`. Default: none, reservations alone. */
  pools?: string[];
  /** Seconds, 60..2^32 - 1 (for ever). Clients may ask for less, two minutes at the least. Default 43200, twelve hours. */
  leaseTime?: number;
  options?: DhcpServerOptions;
  reservations?: DhcpReservation[];
  /** Addresses of relay agents outside of the network: those inside need not be told. One that has many links names the right one (RFC 3527). */
  relays?: string[];
}

/** A reservation ready for use. */
export interface Reserved {
  readonly address: number;
  readonly mac: Uint8Array | null;
  readonly clientId: Uint8Array | null;
  readonly hostName: string;
  readonly options: ServerOption[] | null;
  readonly nextServer: number;
}

interface Pool {
  readonly low: number;
  readonly size: number;
}

export class DhcpScope {
  readonly nif: Interface;
  readonly network: number = 0;
  readonly mask: number = 0;
  readonly pools: Pool[] = [];
  /** Addresses in all pools. */
  size = 0;
  readonly leaseTime: number;
  readonly options: ServerOption[];
  readonly nextServer: number;
  readonly reservations: Reserved[] = [];
  readonly relays: number[] = [];
  /** Leases of whatever state; and by state the ends of the lists of those that may go. See `LeaseTable`. */
  leases = 0;
  readonly oldest: (Lease | null)[] = [null, null, null, null, null];
  readonly newest: (Lease | null)[] = [null, null, null, null, null];
  /** Where the search through a crowded pool goes on. */
  hand = 0;
  closed = false;

  constructor(
    private readonly server: DhcpServer,
    from: DhcpScopeOptions,
  ) {
    const parts = splitPrefix(from.network, 32);
    const network = parts ? parse4(parts.address) : null;
    const length = parts ? parts.length : 0;
    this.nif = from.interface;
    this.mask = mask4(length);
    this.network = network || 0;
    if (!this.nif || this.nif.removed) fail("EINVAL", "interface");
    if (length < 8 || length > 30 || this.network & ~this.mask || isMartian4(this.network)) {
      fail("EINVAL", "network " + from.network);
    }
    const time = from.leaseTime === undefined ? 43200 : from.leaseTime;
    this.leaseTime = requireInteger(time, 60, 0xffffffff, "leaseTime");
    const options = from.options || {};
    this.options = compileOptions(options);
    this.nextServer = address(options.nextServer);
    const pools = from.pools || [];
    for (let i = 0; i < pools.length; i++) this.addPool(pools[i]);
    const reservations = from.reservations || [];
    for (let i = 0; i < reservations.length; i++) this.reserve(reservations[i]);
    const relays = from.relays || [];
    for (let i = 0; i < relays.length; i++) this.relays.push(address(relays[i]));
  }

  /** Serves it no more. Its leases stay known, for a scope that takes its place. Legal twice. */
  close(): void {
    this.server.drop(this);
  }

  contains(value: number): boolean {
    return ((value ^ this.network) & this.mask) === 0;
  }

  /** May hosts have this address: not the network's own, nor its broadcast address? */
  isHost(value: number): boolean {
    return this.contains(value) && (value & ~this.mask) !== 0 && (value | this.mask) !== -1;
  }

  /** The `i`th address of the pools. */
  addressAt(i: number): number {
    let k = 0;
    while (i >= this.pools[k].size) i -= this.pools[k++].size;
    return (this.pools[k].low + i) | 0;
  }

  inPools(value: number): boolean {
    for (let i = 0; i < this.pools.length; i++) {
      if ((value - this.pools[i].low) >>> 0 < this.pools[i].size) return true;
    }
    return false;
  }

  /** What is reserved for a client: by its identifier, or else by its hardware address. */
  reservationOf(id: Uint8Array, hardware: Uint8Array): Reserved | null {
    let found: Reserved | null = null;
    for (let i = 0; i < this.reservations.length; i++) {
      const each = this.reservations[i];
      if (each.clientId && sameBytes(each.clientId, id, id.length)) return each;
      if (each.mac && !found && sameBytes(each.mac, hardware, hardware.length)) found = each;
    }
    return found;
  }

  isReserved(value: number): boolean {
    for (let i = 0; i < this.reservations.length; i++) {
      if (this.reservations[i].address === value) return true;
    }
    return false;
  }

  private addPool(text: string): void {
    const dash = text.indexOf("-");
    const low = parse4(dash < 0 ? text : text.substring(0, dash));
    const high = parse4(dash < 0 ? text : text.substring(dash + 1));
    if (low === null || high === null || !this.isHost(low) || !this.isHost(high) || high - low < 0) {
      return fail("EINVAL", "pool " + text);
    }
    for (let i = 0; i < this.pools.length; i++) {
      const other = this.pools[i];
      if (low < other.low + other.size && other.low <= high) fail("EINVAL", "pool " + text + " overlaps");
    }
    this.pools.push({ low, size: high - low + 1 });
    this.size += high - low + 1;
  }

  private reserve(from: DhcpReservation): void {
    const value = parse4(from.address);
    const mac = from.mac === undefined ? null : parseMac(from.mac);
    if (value === null || !this.isHost(value)) return fail("EINVAL", "reservation " + from.address);
    if (this.isReserved(value)) fail("EEXIST", "reservation " + from.address);
    if ((mac === null) === (from.clientId === undefined))
      fail("EINVAL", "mac or clientId of " + from.address);
    const options = from.options;
    this.reservations.push({
      address: value,
      mac,
      clientId: from.clientId || null,
      hostName: from.hostName || "",
      options: options ? compileOptions(options) : null,
      nextServer: options ? address(options.nextServer) : 0,
    });
  }
}

function address(text: string | undefined): number {
  if (text === undefined) return 0;
  const value = parse4(text);
  return value === null ? fail("EINVAL", "address " + text) : value;
}

function parseMac(text: string): Uint8Array {
  const parts = text.split(":");
  const bytes = new Uint8Array(parts.length === 6 ? 6 : 0);
  for (let i = 0; i < bytes.length; i++) {
    const value = parseInt(parts[i], 16);
    if (parts[i].length !== 2 || !(value >= 0)) fail("EINVAL", "mac " + text);
    bytes[i] = value;
  }
  if (bytes.length === 0) fail("EINVAL", "mac " + text);
  return bytes;
}
