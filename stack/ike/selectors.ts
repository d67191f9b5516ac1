/** Traffic selectors (RFC 7296 sections 2.9, 3.13): read, written, and narrowed. */
import { get16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import { parse4, splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import type { Writer } from "./message.js";

/** Selectors in one payload at most; what is more is not looked at. */
const SELECTORS = 32;

const TYPE_IPV4 = 7;
const TYPE_IPV6 = 8;

/** A range of addresses, with a protocol (0: any) and a range of ports (ICMP: type and code, as RFC 4301 has them). */
export interface Selector {
  readonly protocol: number;
  readonly startPort: number;
  readonly endPort: number;
  /** First and last address, 4 or 16 bytes. */
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

/** Reads the body of a TS payload; null: its lengths or ranges lie. Selectors of other types are left out. */
export function parseSelectors(data: Uint8Array): Selector[] | null {
  const list: Selector[] = [];
  let count = data[0];
  let at = 4;
  if (count === 0) return null;
  for (; count > 0; count--) {
    if (data.length - at < 8) return null;
    const type = data[at];
    const length = get16(data, at + 2);
    if (length < 8 || length > data.length - at) return null;
    const size = type === TYPE_IPV4 ? 4 : type === TYPE_IPV6 ? 16 : 0;
    if (size > 0) {
      if (length !== 8 + 2 * size) return null;
      const start = copy(data, at + 8, size);
      const end = copy(data, at + 8 + size, size);
      const startPort = get16(data, at + 4);
      const endPort = get16(data, at + 6);
      // 65535 to 0 is OPAQUE: fragments without ports, which we do not negotiate.
      if (startPort <= endPort) {
        if (compare(start, end) > 0) return null;
        if (list.length < SELECTORS) list.push({ protocol: data[at + 1], startPort, endPort, start, end });
      }
    }
    at += length;
  }
  return at === data.length ? list : null;
}

/** Writes a TS payload. */
export function emitSelectors(out: Writer, type: number, list: Selector[]): void {
  out.begin(type).put8(list.length).put8(0).put16(0);
  for (let i = 0; i < list.length; i++) {
    const each = list[i];
    const four = each.start.length === 4;
    out
      .put8(four ? TYPE_IPV4 : TYPE_IPV6)
      .put8(each.protocol)
      .put16(8 + 2 * each.start.length);
    out.put16(each.startPort).put16(each.endPort).bytes(each.start).bytes(each.end);
  }
}

/** What both lists allow: the cut of each selector of the peer with each of ours, the peer's order first. */
export function narrow(peer: Selector[], ours: Selector[]): Selector[] {
  const list: Selector[] = [];
  for (let i = 0; i < peer.length; i++) {
    for (let j = 0; j < ours.length && list.length < SELECTORS; j++) {
      const both = intersect(peer[i], ours[j]);
      if (both && !covered(list, both)) list.push(both);
    }
  }
  return list;
}

/** True when each selector of `list` lies inside one of `allowed`. */
export function within(list: Selector[], allowed: Selector[]): boolean {
  for (let i = 0; i < list.length; i++) if (!covered(allowed, list[i])) return false;
  return list.length > 0;
}

function covered(list: Selector[], what: Selector): boolean {
  for (let i = 0; i < list.length; i++) {
    const both = intersect(list[i], what);
    if (both && same(both, what)) return true;
  }
  return false;
}

function same(a: Selector, b: Selector): boolean {
  return (
    a.protocol === b.protocol &&
    a.startPort === b.startPort &&
    a.endPort === b.endPort &&
    compare(a.start, b.start) === 0 &&
    compare(a.end, b.end) === 0
  );
}

function intersect(a: Selector, b: Selector): Selector | null {
  if (a.start.length !== b.start.length) return null;
  if (a.protocol !== 0 && b.protocol !== 0 && a.protocol !== b.protocol) return null;
  const startPort = a.startPort > b.startPort ? a.startPort : b.startPort;
  const endPort = a.endPort < b.endPort ? a.endPort : b.endPort;
  const start = compare(a.start, b.start) > 0 ? a.start : b.start;
  const end = compare(a.end, b.end) < 0 ? a.end : b.end;
  if (startPort > endPort || compare(start, end) > 0) return null;
  return { protocol: a.protocol || b.protocol, startPort, endPort, start, end };
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}

function copy(data: Uint8Array, at: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(data.subarray(at, at + size), 0);
  return bytes;
}

/** The bytes of an address, or null. */
export function addressBytes(text: string): Uint8Array | null {
  const four = parse4(text);
  if (four === null) return parse6(text);
  const bytes = new Uint8Array(4);
  put32(bytes, 0, four);
  return bytes;
}

/** All of one address, or of a prefix of it. */
export function prefixSelector(address: Uint8Array, length: number, protocol = 0, port = -1): Selector {
  const start = copy(address, 0, address.length);
  const end = copy(address, 0, address.length);
  for (let bit = length; bit < address.length * 8; bit++) {
    const mask = 0x80 >> (bit & 7);
    start[bit >> 3] &= ~mask;
    end[bit >> 3] |= mask;
  }
  return { protocol, startPort: port < 0 ? 0 : port, endPort: port < 0 ? 65535 : port, start, end };
}

const PROTOCOLS = ["icmp", "tcp", "udp", "icmpv6"];
const NUMBERS = [1, 6, 17, 58];

/** A selector from text: `"10.1.0.0/16"`, `"fd00::/64"`, `"10.1.2.3[tcp/80]"`, `"10.1.0.0/16[47]"`. Throws `EINVAL`. */
export function parseSelector(text: string): Selector {
  if (typeof text !== "string") fail("EINVAL", "selector");
  const bracket = text.indexOf("[");
  const part = splitPrefix(bracket < 0 ? text : text.substring(0, bracket), -1);
  const address = part ? addressBytes(part.address) : null;
  if (!part || !address || part.length > address.length * 8) fail("EINVAL", "selector " + text);
  let protocol = 0;
  let port = -1;
  if (bracket >= 0) {
    const inner = text.substring(bracket + 1, text.length - 1);
    const slash = inner.indexOf("/");
    const name = slash < 0 ? inner : inner.substring(0, slash);
    const known = PROTOCOLS.indexOf(name);
    protocol = known >= 0 ? NUMBERS[known] : +name;
    if (slash >= 0) port = +inner.substring(slash + 1);
    if (
      !(protocol >= 1 && protocol <= 255 && port >= -1 && port <= 65535) ||
      text.charAt(text.length - 1) !== "]"
    )
      fail("EINVAL", "selector " + text);
  }
  return prefixSelector(address, part.length < 0 ? address.length * 8 : part.length, protocol, port);
}
