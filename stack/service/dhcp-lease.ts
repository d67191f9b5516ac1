/** What a DHCP server has given (RFC 2132): the lease as plain data, and how it is read from a message and judged. */
import { get16, get32 } from "../core/bytes.js";
import { format4 } from "../core/text4.js";
import * as wire from "../wire/dhcp.js";
import { isMartian4 } from "../wire/ipv4.js";

/** A lease: plain data, to be stored and handed to `DhcpOptions.lease` after a restart. */
export interface DhcpLease {
  address: string;
  /** Prefix length, 1..32. */
  prefix: number;
  /** Identifier of the server: its address. */
  server: string;
  /** The default route and others, as sent. Those whose gateway is not on the link are not installed. */
  routes: DhcpRoute[];
  nameServers: string[];
  /** The network's domain, or `""`. */
  domain: string;
  /** Domains to append to short names: the search list, else the domain. */
  search: string[];
  ntpServers: string[];
  /** The name that the server has for this host, or `""`. */
  hostName: string;
  /** Bytes, or 0: not said. */
  mtu: number;
  /** Seconds from the request to the end of the lease (2^32 - 1: for ever), to renewing, and to rebinding. */
  leaseTime: number;
  renewTime: number;
  rebindTime: number;
  /** Seconds for which an IPv6-only host goes without IPv4 (RFC 8925), or -1. See `ipv6Only`. */
  ipv6Only: number;
  /** What `rawOption` was asked for. */
  options: { code: number; data: Uint8Array }[];
}

export interface DhcpRoute {
  /** `"0.0.0.0/0"` */
  prefix: string;
  /** `"0.0.0.0"`: the destinations are on the link. */
  gateway: string;
}

/** An option that is asked for and read besides the usual ones; see dhcp-options.ts. */
export interface DhcpOption {
  readonly code: number;
  /** Reads the value in `value[0..length)`, `length` > 0, into `lease`; what makes no sense is left out. */
  parse(lease: DhcpLease, value: Uint8Array, length: number): void;
}

/** A lease is held for so many seconds at the least, and not renewed before half of that. */
const LEASE_FLOOR = 60;
/** Servers taken from a list. */
const SERVERS = 4;

/**
 * Reads the lease from the reply in `data[0..end)`; null: it gives no address that this host could use.
 *
 * @param value scratch for the options' values
 * @param inform the reply brings no address and no times: they stay `"0.0.0.0"` and 0
 */
export function parseLease(
  data: Uint8Array,
  end: number,
  value: Uint8Array,
  extras: DhcpOption[],
  inform: boolean,
): DhcpLease | null {
  const option = (code: number) => wire.parseOption(data, end, code, value);
  const seconds = (code: number) => (option(code) === 4 ? get32(value, 0) >>> 0 : 0);
  const servers = (code: number) => {
    const length = option(code);
    const list: string[] = [];
    for (let i = 0; length % 4 === 0 && i < length && list.length < SERVERS; i += 4) {
      const address = get32(value, i);
      if (!isMartian4(address)) list.push(format4(address));
    }
    return list;
  };
  const name = (code: number) => hostText(value, 0, option(code));

  const address = inform ? 0 : get32(data, wire.DHCP_YIADDR);
  const prefix = option(wire.OPTION_MASK) === 4 ? prefixLength(get32(value, 0)) : classPrefix(address);
  let leaseTime = seconds(wire.OPTION_LEASE_TIME);
  if (!inform && (!isHost(address, prefix) || option(wire.OPTION_LEASE_TIME) !== 4)) return null;
  if (leaseTime < LEASE_FLOOR && !inform) leaseTime = LEASE_FLOOR;
  let rebindTime = seconds(wire.OPTION_REBIND_TIME) || Math.floor(leaseTime * 0.875);
  let renewTime = seconds(wire.OPTION_RENEW_TIME) || Math.floor(leaseTime / 2);
  if (renewTime < LEASE_FLOOR / 2 || renewTime >= rebindTime || rebindTime >= leaseTime) {
    rebindTime = Math.floor(leaseTime * 0.875);
    renewTime = Math.floor(leaseTime / 2);
  }
  const router = servers(wire.OPTION_ROUTER);
  const domain = name(wire.OPTION_DOMAIN);
  const mtu = option(wire.OPTION_MTU) === 2 ? get16(value, 0) : 0;
  const lease: DhcpLease = {
    address: format4(address),
    prefix,
    server: option(wire.OPTION_SERVER) === 4 ? format4(get32(value, 0)) : "",
    routes: router.length > 0 ? [{ prefix: "0.0.0.0/0", gateway: router[0] }] : [],
    nameServers: servers(wire.OPTION_NAME_SERVERS),
    domain,
    search: domain ? [domain] : [],
    ntpServers: servers(wire.OPTION_NTP),
    hostName: name(wire.OPTION_HOST_NAME),
    mtu: mtu < 576 ? 0 : mtu,
    leaseTime,
    renewTime,
    rebindTime,
    ipv6Only: -1,
    options: [],
  };
  for (let i = 0; i < extras.length; i++) {
    const length = option(extras[i].code);
    if (length > 0) extras[i].parse(lease, value, length);
  }
  return lease;
}

/** The prefix length of a netmask, or 0: it is zero, or has holes. */
function prefixLength(mask: number): number {
  let length = 0;
  while (length < 32 && mask << length < 0) length++;
  return length < 32 && mask << length !== 0 ? 0 : length;
}

/** The prefix of an address whose mask is not said: that of its class (RFC 791). */
function classPrefix(address: number): number {
  return address >= 0 ? 8 : address >>> 30 === 2 ? 16 : 24;
}

/** Can a host have `address` in a network of that prefix length? */
function isHost(address: number, prefix: number): boolean {
  const host = prefix < 31 ? address << prefix : 1;
  return prefix > 0 && !isMartian4(address) && host !== 0 && host !== -1 << prefix;
}

/** `data[start..end)` as a name of letters, digits, hyphens, underscores and dots, or `""`: it goes to scripts and logs. */
export function hostText(data: Uint8Array, start: number, end: number): string {
  let text = "";
  // Some servers count a terminating NUL (RFC 2132 section 2).
  while (end > start && data[end - 1] === 0) end--;
  if (end - start > 253) return "";
  for (; start < end; start++) {
    const code = data[start];
    const letter = code | 32;
    if (!((letter >= 97 && letter <= 122) || (code >= 45 && code <= 57 && code !== 47) || code === 95)) {
      return "";
    }
    text += String.fromCharCode(code);
  }
  return text;
}
