/** Selectors (RFC 4301 section 4.4.1.1): ranges of addresses, a protocol, ranges of ports or ICMP types. */
import { fail, requireInteger } from "../core/errors.js";
import { parse4, splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { get32 } from "../core/bytes.js";
import { OPAQUE, hasPorts } from "./flow.js";
import type { Flow } from "./flow.js";

/** What traffic is meant. What is left out may be anything. */
export interface SelectorOptions {
  /** `"10.0.0.0/8"`, `"10.0.0.1"`, `"10.0.0.1-10.0.0.9"`, the same in IPv6, or `"any"`; one or several. This host's side. */
  local?: string | readonly string[];
  /** As `local`, the peer's side. */
  remote?: string | readonly string[];
  /** IP protocol number. */
  protocol?: number;
  /** A port, or the first and the last. With ICMP: type << 8 | code. Needs `protocol`. */
  localPort?: number | readonly [number, number];
  remotePort?: number | readonly [number, number];
}

/** A range of addresses; both ends belong to it. */
export interface AddressRange {
  /** 4 or 6. */
  family: number;
  low: Int32Array;
  high: Int32Array;
}

/** Ranges of a side at most. */
const MOST = 64;

export class Selector {
  /** None: any address of either family. */
  readonly local: AddressRange[];
  readonly remote: AddressRange[];
  /** 0: any. */
  readonly protocol: number;
  readonly localLow: number;
  readonly localHigh: number;
  readonly remoteLow: number;
  readonly remoteHigh: number;

  /** Errors (thrown): `EINVAL` with the name of what is wrong. */
  constructor(options: SelectorOptions) {
    this.local = parseRanges(options.local, "local");
    this.remote = parseRanges(options.remote, "remote");
    this.protocol = requireInteger(options.protocol || 0, 0, 255, "protocol");
    const local = parsePorts(options.localPort, this.protocol, "localPort");
    const remote = parsePorts(options.remotePort, this.protocol, "remotePort");
    this.localLow = local[0];
    this.localHigh = local[1];
    this.remoteLow = remote[0];
    this.remoteHigh = remote[1];
  }

  /** Does it fit a packet that goes out (`out`), or that came in? Ports that are not to be seen fit any port only. */
  matches(flow: Flow, out: boolean): boolean {
    if (this.protocol !== 0 && this.protocol !== flow.protocol) return false;
    const near = out ? flow.sourcePort : flow.destinationPort;
    const far = out ? flow.destinationPort : flow.sourcePort;
    return (
      inRange(near, this.localLow, this.localHigh) &&
      inRange(far, this.remoteLow, this.remoteHigh) &&
      this.matchesEnds(flow, out)
    );
  }

  /** As `matches`, for a packet whose ports are not to be seen: could it fit? */
  mayMatch(flow: Flow, out: boolean): boolean {
    return (this.protocol === 0 || this.protocol === flow.protocol) && this.matchesEnds(flow, out);
  }

  /** Do the addresses fit? */
  matchesEnds(flow: Flow, out: boolean): boolean {
    return (
      within(this.local, flow.family, out ? flow.source : flow.destination) &&
      within(this.remote, flow.family, out ? flow.destination : flow.source)
    );
  }
}

function inRange(port: number, low: number, high: number): boolean {
  return port === OPAQUE ? low === 0 && high === 0xffff : port >= low && port <= high;
}

function within(ranges: AddressRange[], family: number, address: Int32Array): boolean {
  for (let i = 0; i < ranges.length; i++) {
    const range = ranges[i];
    if (range.family === family && !isLess(address, range.low) && !isLess(range.high, address)) return true;
  }
  return ranges.length === 0;
}

/** Is `a` below `b`, as big numbers? */
function isLess(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < 4; i++) {
    if (a[i] !== b[i]) return a[i] >>> 0 < b[i] >>> 0;
  }
  return false;
}

function parsePorts(
  value: number | readonly [number, number] | undefined,
  protocol: number,
  what: string,
): readonly [number, number] {
  if (value === undefined) return [0, 0xffff];
  if (!hasPorts(protocol) && protocol !== 1 && protocol !== 58 && protocol !== 135) fail("EINVAL", what);
  const low = requireInteger(typeof value === "number" ? value : value[0], 0, 0xffff, what);
  return [low, typeof value === "number" ? low : requireInteger(value[1], low, 0xffff, what)];
}

function parseRanges(value: string | readonly string[] | undefined, what: string): AddressRange[] {
  const list: AddressRange[] = [];
  if (value === undefined || value === "any") return list;
  const texts = typeof value === "string" ? [value] : value;
  if (texts.length === 0 || texts.length > MOST) fail("EINVAL", what);
  for (let i = 0; i < texts.length; i++) list.push(parseRange(texts[i], what));
  return list;
}

/** One range from its text. Errors (thrown): `EINVAL`. */
export function parseRange(text: string, what: string): AddressRange {
  if (typeof text !== "string") return fail("EINVAL", what);
  const dash = text.indexOf("-");
  const low = parseAddress(dash < 0 ? text : text.substring(0, dash));
  const high = parseAddress(dash < 0 ? text : text.substring(dash + 1));
  if (!low || !high || low.family !== high.family || (dash >= 0 && text.indexOf("/") >= 0)) {
    return fail("EINVAL", what + " " + text);
  }
  let length = low.length;
  for (let i = 0; i < 4; i++) {
    const mask = length >= 32 ? -1 : length > 0 ? -1 << (32 - length) : 0;
    if (low.family === 6 || i === 0) {
      if (low.words[i] & ~mask) fail("EINVAL", "host bits " + text);
      high.words[i] |= ~mask;
    }
    length -= 32;
    if (length < 0) length = 0;
  }
  if (isLess(high.words, low.words)) fail("EINVAL", what + " " + text);
  return { family: low.family, low: low.words, high: high.words };
}

function parseAddress(text: string): { family: number; words: Int32Array; length: number } | null {
  const words = new Int32Array(4);
  const six = text.indexOf(":") >= 0;
  const parts = splitPrefix(text, six ? 128 : 32);
  if (!parts || parts.length > (six ? 128 : 32)) return null;
  if (six) {
    const bytes = parse6(parts.address);
    if (!bytes) return null;
    for (let i = 0; i < 4; i++) words[i] = get32(bytes, i * 4);
  } else {
    const address = parse4(parts.address);
    if (address === null) return null;
    words[0] = address;
  }
  return { family: six ? 6 : 4, words, length: parts.length };
}
