/** What a DHCP server tells its clients (RFC 2132 and others): from typed data to the bytes of options. */
import { put16, put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import { parse4, splitPrefix } from "../core/text4.js";
import { NAME_LIMIT, emitName } from "../wire/dns.js";
import * as wire from "../wire/dhcp.js";
import { mask4 } from "../wire/ipv4.js";
import type { DhcpRoute } from "./dhcp-lease.js";

/** What clients of a scope are told. Each is sent to those that ask for it. */
export interface DhcpServerOptions {
  /** Addresses of routers, best first. */
  routers?: string[];
  /** Routes of which some clients take heed in the routers' stead (RFC 3442). */
  routes?: DhcpRoute[];
  nameServers?: string[];
  /** The network's domain. */
  domain?: string;
  /** Domains to append to short names (RFC 3397). */
  search?: string[];
  ntpServers?: string[];
  /** Bytes, 68..65535. */
  mtu?: number;
  /** Seconds for which hosts that can do without IPv4 are to (RFC 8925); they get no address then. */
  ipv6Only?: number;
  /** URI of the network's API for captive portals (RFC 8910). */
  captivePortal?: string;
  /** Whom to boot from: address, name of the server (option 66), name of the file (option 67). */
  nextServer?: string;
  tftpServer?: string;
  bootFile?: string;
  /** Others, which go first. `always`: whether the client asks or not. */
  raw?: { code: number; data: Uint8Array; always?: boolean }[];
}

/** An option ready to be sent. */
export interface ServerOption {
  readonly code: number;
  readonly value: number[];
  readonly always: boolean;
}

const OPTION_TFTP_SERVER = 66;
const OPTION_BOOT_FILE = 67;
const OPTION_CAPTIVE_PORTAL = 114;
/** Bytes of one option's value at most. */
const LONGEST = 512;

/** Options that the server makes itself: nobody may set them. */
const OWN = [
  0,
  wire.OPTION_MASK,
  wire.OPTION_ADDRESS,
  wire.OPTION_LEASE_TIME,
  wire.OPTION_OVERLOAD,
  wire.OPTION_MESSAGE_TYPE,
  wire.OPTION_SERVER,
  wire.OPTION_PARAMETERS,
  wire.OPTION_MESSAGE_SIZE,
  wire.OPTION_RENEW_TIME,
  wire.OPTION_REBIND_TIME,
  wire.OPTION_CLIENT_ID,
  wire.OPTION_RELAY_AGENT,
  wire.OPTION_END,
];

/** Makes the options of `from`; `EINVAL` for what makes no sense. */
export function compileOptions(from: DhcpServerOptions): ServerOption[] {
  const made: ServerOption[] = [];
  const raw = from.raw || [];
  for (let i = 0; i < raw.length; i++) {
    const code = requireInteger(raw[i].code, 1, 254, "option");
    if (OWN.indexOf(code) >= 0) fail("EINVAL", "option " + code);
    const value: number[] = [];
    for (let k = 0; k < raw[i].data.length; k++) value.push(raw[i].data[k]);
    add(made, code, value, raw[i].always === true);
  }
  if (from.routes) add(made, wire.OPTION_CLASSLESS_ROUTES, routes(from.routes));
  if (from.routers) add(made, wire.OPTION_ROUTER, addresses(from.routers));
  if (from.nameServers) add(made, wire.OPTION_NAME_SERVERS, addresses(from.nameServers));
  if (from.domain) add(made, wire.OPTION_DOMAIN, text(from.domain));
  if (from.search) add(made, wire.OPTION_SEARCH, domains(from.search));
  if (from.ntpServers) add(made, wire.OPTION_NTP, addresses(from.ntpServers));
  if (from.mtu !== undefined) {
    const mtu = requireInteger(from.mtu, 68, 65535, "mtu");
    add(made, wire.OPTION_MTU, [mtu >> 8, mtu & 255]);
  }
  if (from.ipv6Only !== undefined) add(made, wire.OPTION_IPV6_ONLY, seconds(from.ipv6Only));
  if (from.captivePortal) add(made, OPTION_CAPTIVE_PORTAL, text(from.captivePortal));
  if (from.tftpServer) add(made, OPTION_TFTP_SERVER, text(from.tftpServer));
  if (from.bootFile) add(made, OPTION_BOOT_FILE, text(from.bootFile));
  return made;
}

function add(made: ServerOption[], code: number, value: number[], always = false): void {
  if (value.length > LONGEST) fail("EINVAL", "option " + code + " is too long");
  made.push({ code, value, always });
}

/** Writes an option, in pieces when it is longer than 255 bytes (RFC 3396). Returns where the next goes, -1: no room before `limit`. */
export function emitOption(
  target: Uint8Array,
  at: number,
  limit: number,
  code: number,
  value: number[] | Uint8Array,
  length: number,
): number {
  let from = 0;
  do {
    const piece = length - from < 255 ? length - from : 255;
    if (at + 2 + piece > limit) return -1;
    target[at] = code;
    target[at + 1] = piece;
    for (let i = 0; i < piece; i++) target[at + 2 + i] = value[from + i];
    at += 2 + piece;
    from += piece;
  } while (from < length);
  return at;
}

function addresses(list: string[]): number[] {
  const value: number[] = [];
  for (let i = 0; i < list.length; i++) pushAddress(value, list[i]);
  if (list.length === 0) fail("EINVAL", "no address");
  return value;
}

function pushAddress(value: number[], address: string): void {
  const word = parse4(address);
  if (word === null) return fail("EINVAL", "address " + address);
  value.push(word >>> 24, (word >> 16) & 255, (word >> 8) & 255, word & 255);
}

function seconds(time: number): number[] {
  requireInteger(time, 0, 0xffffffff, "seconds");
  return [time >>> 24, (time >>> 16) & 255, (time >>> 8) & 255, time & 255];
}

function text(value: string): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 33 || code > 126) fail("EINVAL", "text " + value);
    bytes.push(code);
  }
  return bytes;
}

function routes(list: DhcpRoute[]): number[] {
  const value: number[] = [];
  for (let i = 0; i < list.length; i++) {
    const parts = splitPrefix(list[i].prefix, 32);
    const prefix = parts && parse4(parts.address);
    if (!parts || prefix === null || parts.length > 32 || prefix & ~mask4(parts.length)) {
      return fail("EINVAL", "prefix " + list[i].prefix);
    }
    value.push(parts.length);
    for (let bits = 0; bits < parts.length; bits += 8) value.push((prefix >> (24 - bits)) & 255);
    pushAddress(value, list[i].gateway);
  }
  return value;
}

function domains(list: string[]): number[] {
  const value: number[] = [];
  const name = new Uint8Array(NAME_LIMIT + 1);
  for (let i = 0; i < list.length; i++) {
    const end = emitName(list[i], name, 0);
    if (end < 2) fail("EINVAL", "domain " + list[i]);
    for (let k = 0; k < end; k++) value.push(name[k]);
  }
  return value;
}

/** Writes an option of 32 bits: an address, or seconds. */
export function emitWord(target: Uint8Array, at: number, code: number, word: number): number {
  put16(target, at, (code << 8) | 4);
  put32(target, at + 2, word);
  return at + 6;
}
