/** What a DHCPv6 server gives on one link: pool, prefixes, parameters. */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { splitPrefix } from "../core/text4.js";
import { format6, parse6 } from "../core/text6.js";
import * as wire from "../wire/dhcpv6.js";
import { NAME_LIMIT, emitName } from "../wire/dns.js";
import { equal6, isMulticast6, maskPrefix } from "../wire/ipv6.js";
import type { Dhcpv6Server } from "./dhcpv6-server.js";

const INFINITE = 0xffffffff;

export interface Dhcpv6ScopeOptions {
  /** Clients are on this link, or behind relay agents that are reached over it. */
  interface: Interface;
  /** The clients' network, for relay agents and Confirm: `"2001:db8::/64"`. Default: what the interface's addresses say. */
  network?: string;
  /** Addresses are given out of this prefix of 64 to 124 bits: `"2001:db8::1:0:0/96"`. Default: none are. */
  pool?: string;
  /** Prefixes of `length` bits (up to 64) are delegated out of this one. Default: none are. */
  delegate?: { prefix: string; length: number };
  reservations?: { duid: Uint8Array; address?: string; prefix?: string }[];
  /** Seconds. Default 3600 and 7200. */
  preferred?: number;
  valid?: number;
  nameServers?: string[];
  search?: string[];
  /** Takes Solicit for Request where the client agrees. Default false. */
  rapidCommit?: boolean;
  /** Seconds after which parameters are asked for again. Default 86400. */
  refresh?: number;
  /** Addresses of relay agents that are not on the link. */
  relays?: string[];
}

export interface Range {
  readonly bytes: Uint8Array;
  readonly length: number;
}

export class Dhcpv6Scope {
  readonly nif: Interface;
  readonly network: Range | null;
  readonly pool: Range | null;
  readonly delegate: Range | null;
  readonly delegatedLength: number;
  readonly preferred: number;
  readonly valid: number;
  readonly options: { code: number; value: Uint8Array }[] = [];
  readonly relays: string[] = [];

  constructor(
    private readonly server: Dhcpv6Server,
    readonly from: Dhcpv6ScopeOptions,
  ) {
    this.nif = from.interface;
    if (!this.nif || this.nif.removed) fail("EINVAL", "interface");
    this.network = from.network === undefined ? null : range(from.network, 1, 64);
    this.pool = from.pool === undefined ? null : range(from.pool, 64, 124);
    const delegate = from.delegate;
    this.delegate = delegate ? range(delegate.prefix, 16, 64) : null;
    this.delegatedLength = delegate
      ? requireInteger(delegate.length, (this.delegate as Range).length, 64, "length")
      : 0;
    this.valid = requireInteger(from.valid === undefined ? 7200 : from.valid, 60, INFINITE, "valid");
    const preferred = from.preferred === undefined ? Math.min(3600, this.valid) : from.preferred;
    this.preferred = requireInteger(preferred, 60, this.valid, "preferred");
    const servers = from.nameServers || [];
    if (servers.length > 0) {
      const value = new Uint8Array(16 * servers.length);
      for (let i = 0; i < servers.length; i++)
        value.set(parse6(servers[i]) || fail("EINVAL", servers[i]), 16 * i);
      this.options.push({ code: wire.OPTION_NAME_SERVERS, value });
    }
    const search = from.search || [];
    if (search.length > 0) {
      const value = new Uint8Array((NAME_LIMIT + 1) * search.length);
      let at = 0;
      for (let i = 0; i < search.length; i++) {
        at = emitName(search[i], value, at);
        if (at < 0) fail("EINVAL", "domain " + search[i]);
      }
      this.options.push({ code: wire.OPTION_SEARCH, value: value.subarray(0, at) });
    }
    const reservations = from.reservations || [];
    for (let i = 0; i < reservations.length; i++) {
      if (reservations[i].address !== undefined && !parse6(reservations[i].address as string))
        fail("EINVAL", "reservation");
      if (reservations[i].prefix !== undefined) range(reservations[i].prefix as string, 16, 64);
    }
    const relays = from.relays || [];
    for (let i = 0; i < relays.length; i++)
      this.relays.push(format6(parse6(relays[i]) || fail("EINVAL", relays[i]), 0));
  }

  /** Serves it no more; what was given stays known. Legal twice. */
  close(): void {
    this.server.drop(this);
  }
}

export function covers(range: Range | null, address: Uint8Array): boolean {
  return range !== null && equal6(maskPrefix(address, range.length), 0, range.bytes, 0);
}

export function range(text: string, least: number, most: number): Range {
  const parts = splitPrefix(text, 128);
  const bytes = parts && parse6(parts.address);
  if (!parts || !bytes || parts.length < least || parts.length > most || isMulticast6(bytes, 0)) {
    return fail("EINVAL", "prefix " + text);
  }
  if (!equal6(bytes, 0, maskPrefix(bytes, parts.length), 0)) fail("EINVAL", "host bits " + text);
  return { bytes, length: parts.length };
}
