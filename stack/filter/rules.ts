/** Rules of a firewall: typed objects, compiled once into comparisons of words. */
import { get32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import { RateLimit } from "../core/rate.js";
import { parse4, splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, mask4 } from "../wire/ipv4.js";
import { PROTOCOL_ICMPV6 } from "../wire/ipv6.js";
import { DESTINATION, PORTS, PROTOCOL, SOURCE } from "./tuple.js";
import type { Tuple } from "./tuple.js";

/** `"reject"` tells the sender (port unreachable); `"drop"` says nothing. */
export type Action = "accept" | "drop" | "reject";

/** A port, or the first and last of a range of them. */
export type Ports = number | { readonly first: number; readonly last: number };

/**
 * What begins a flow is judged by the first rule that fits; the rest of the flow follows it. A field that is absent fits all. IPv6
 * and IPv4 are told apart by the prefixes, or by `protocol`.
 */
export interface Rule {
  action: Action;
  /** Zone that it comes from; `"self"`: this host, of which rules without `from` say nothing. */
  from?: string;
  /** Zone that it goes to; `"self"`: this host. */
  to?: string;
  /** A name, or a number of IANA's list. */
  protocol?: "tcp" | "udp" | "icmp" | "icmpv6" | number;
  /** Addresses or prefixes: `"10.0.0.0/8"`, `["2001:db8::/32", "fe80::1"]`. */
  source?: string | readonly string[];
  destination?: string | readonly string[];
  /** Ports of TCP, UDP and SCTP; the rule then fits no other protocol. */
  sourcePort?: Ports | readonly Ports[];
  port?: Ports | readonly Ports[];
  /** Types of ICMP or ICMPv6, or ranges of them. */
  icmpType?: Ports | readonly Ports[];
  /** Fits so often a second at most; what is beyond it goes on to the next rule. `burst` default: `rate`. */
  limit?: { rate: number; burst?: number };
  /** Told to `onLog`, with this text. */
  log?: string;
}

export const ACCEPT = 0;
export const DROP = 1;
export const REJECT = 2;

const ACTIONS = ["accept", "drop", "reject"];
const PORTED = [PROTOCOL_TCP, PROTOCOL_UDP, 132];

/** A prefix as words and masks. */
class Prefix {
  readonly words: number[] = [];
  readonly masks: number[] = [];
  constructor(readonly family: number) {}
}

export class CompiledRule {
  readonly action: number;
  readonly protocol: number;
  /** Packets that began a flow by it, or were refused by it. */
  packets = 0;
  private readonly source: Prefix[];
  private readonly destination: Prefix[];
  private readonly sourcePorts: number[];
  private readonly ports: number[];
  private readonly types: number[];
  private readonly limit: RateLimit | null;

  /** @param what names the rule in errors: `"rule 3"` */
  constructor(
    readonly rule: Rule,
    what: string,
  ) {
    this.action = ACTIONS.indexOf(rule.action);
    if (this.action < 0) fail("EINVAL", what + ": action");
    this.protocol = parseProtocol(rule.protocol, what);
    this.source = parsePrefixes(rule.source, what + ": source");
    this.destination = parsePrefixes(rule.destination, what + ": destination");
    this.sourcePorts = parseRanges(rule.sourcePort, what + ": sourcePort", 65535);
    this.ports = parseRanges(rule.port, what + ": port", 65535);
    this.types = parseRanges(rule.icmpType, what + ": icmpType", 255);
    if (
      (this.ports.length || this.sourcePorts.length) &&
      this.protocol >= 0 &&
      PORTED.indexOf(this.protocol) < 0
    ) {
      fail("EINVAL", what + ": the protocol has no ports");
    }
    if (
      this.types.length &&
      this.protocol >= 0 &&
      this.protocol !== PROTOCOL_ICMP &&
      this.protocol !== PROTOCOL_ICMPV6
    ) {
      fail("EINVAL", what + ": icmpType");
    }
    const limit = rule.limit;
    if (limit) requireInteger(limit.rate, 1, 1000000, what + ": limit");
    if (limit && limit.burst !== undefined) requireInteger(limit.burst, 1, 1000000, what + ": burst");
    this.limit = limit ? new RateLimit(limit.rate, limit.burst || limit.rate) : null;
  }

  /** Does what begins with `tuple` and goes from zone to zone fit? Takes from its limit. */
  fits(tuple: Tuple, from: string, to: string, now: number): boolean {
    const rule = this.rule;
    const key = tuple.key;
    const protocol = key[PROTOCOL] & 255;
    if (rule.from === undefined ? from === "self" : rule.from !== from) return false;
    if (rule.to !== undefined && rule.to !== to) return false;
    if (this.protocol >= 0 && this.protocol !== protocol) return false;
    if (!within(this.source, key, SOURCE) || !within(this.destination, key, DESTINATION)) return false;
    if (this.ports.length || this.sourcePorts.length) {
      if (PORTED.indexOf(protocol) < 0) return false;
      if (!inRanges(this.sourcePorts, key[PORTS] >>> 16) || !inRanges(this.ports, key[PORTS] & 0xffff))
        return false;
    }
    if (this.types.length && (tuple.icmpType < 0 || !inRanges(this.types, tuple.icmpType))) return false;
    return !this.limit || this.limit.take(now);
  }
}

/** Compiles all rules, or throws `EINVAL` that names the first bad one. */
export function compile(rules: readonly Rule[]): CompiledRule[] {
  const compiled: CompiledRule[] = [];
  for (let i = 0; i < rules.length; i++) compiled.push(new CompiledRule(rules[i], "rule " + i));
  return compiled;
}

/** A protocol's number; -1: any. */
export function parseProtocol(value: string | number | undefined, what: string): number {
  if (value === undefined) return -1;
  if (value === "tcp") return PROTOCOL_TCP;
  if (value === "udp") return PROTOCOL_UDP;
  if (value === "icmp") return PROTOCOL_ICMP;
  if (value === "icmpv6") return PROTOCOL_ICMPV6;
  return requireInteger(value, 0, 255, what + ": protocol");
}

function parsePrefixes(value: string | readonly string[] | undefined, what: string): Prefix[] {
  const prefixes: Prefix[] = [];
  if (value === undefined) return prefixes;
  const list = typeof value === "string" ? [value] : value;
  if (list.length === 0) fail("EINVAL", what);
  for (let i = 0; i < list.length; i++) prefixes.push(parsePrefix(list[i], what));
  return prefixes;
}

function parsePrefix(text: string, what: string): Prefix {
  const split = splitPrefix(text, -1) || fail("EINVAL", what);
  const four = parse4(split.address);
  const six = four === null ? parse6(split.address) : null;
  if (four === null && !six) fail("EINVAL", what);
  const bits = four === null ? 128 : 32;
  const length = split.length < 0 ? bits : split.length;
  if (length > bits) fail("EINVAL", what);
  const prefix = new Prefix(four === null ? 6 : 4);
  for (let i = 0; i < bits / 32; i++) {
    const rest = length - i * 32;
    const mask = mask4(rest < 0 ? 0 : rest > 32 ? 32 : rest);
    prefix.masks.push(mask);
    prefix.words.push((four === null ? get32(six as Uint8Array, i * 4) : four) & mask);
  }
  return prefix;
}

/** Low and high ends, in turn. */
export function parseRanges(
  value: Ports | readonly Ports[] | undefined,
  what: string,
  most: number,
): number[] {
  const ranges: number[] = [];
  if (value === undefined) return ranges;
  const list = Array.isArray(value) ? (value as readonly Ports[]) : [value as Ports];
  if (list.length === 0) fail("EINVAL", what);
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    const first = requireInteger(typeof item === "number" ? item : item && item.first, 0, most, what);
    ranges.push(first);
    ranges.push(typeof item === "number" ? first : requireInteger(item.last, first, most, what));
  }
  return ranges;
}

function within(prefixes: Prefix[], key: Int32Array, at: number): boolean {
  if (prefixes.length === 0) return true;
  const family = key[PROTOCOL] >> 16;
  for (let i = 0; i < prefixes.length; i++) {
    const prefix = prefixes[i];
    if (prefix.family !== family) continue;
    let word = 0;
    while (word < prefix.words.length && (key[at + word] & prefix.masks[word]) === prefix.words[word]) word++;
    if (word === prefix.words.length) return true;
  }
  return false;
}

function inRanges(ranges: number[], value: number): boolean {
  if (ranges.length === 0) return true;
  for (let i = 0; i < ranges.length; i += 2) if (value >= ranges[i] && value <= ranges[i + 1]) return true;
  return false;
}

export function parsePolicy(policy: Action | undefined): number {
  if (policy === undefined || policy === "drop") return DROP;
  return policy === "accept" ? ACCEPT : policy === "reject" ? REJECT : fail("EINVAL", "policy");
}

export function actionName(action: number): Action {
  return action === ACCEPT ? "accept" : action === DROP ? "drop" : "reject";
}
