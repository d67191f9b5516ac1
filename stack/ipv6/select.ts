/** Default address selection (RFC 6724): which source for a destination, and which destination first. */
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { commonPrefix, equal6, scopeOf } from "../wire/ipv6.js";
import { DEPRECATED, isUsable } from "./address.js";
import type { Address6 } from "./address.js";
import type { Ipv6 } from "./ipv6.js";

/** A line of the policy table (section 2.1). */
export interface Policy {
  /** `"2002::/16"`; IPv4 addresses are those of `"::ffff:0:0/96"`. */
  prefix: string;
  /** Higher: preferred as a destination. */
  precedence: number;
  /** Source and destination should have the same. */
  label: number;
}

/** The default table of section 2.1. */
export const DEFAULT_POLICY: Policy[] = [
  { prefix: "::1/128", precedence: 50, label: 0 },
  { prefix: "::/0", precedence: 40, label: 1 },
  { prefix: "::ffff:0:0/96", precedence: 35, label: 4 },
  { prefix: "2002::/16", precedence: 30, label: 2 },
  { prefix: "2001::/32", precedence: 5, label: 5 },
  { prefix: "fc00::/7", precedence: 3, label: 13 },
  { prefix: "::/96", precedence: 1, label: 3 },
  { prefix: "fec0::/10", precedence: 1, label: 11 },
  { prefix: "3ffe::/16", precedence: 1, label: 12 },
];

export interface SelectionOptions {
  /** Replaces the policy table, 64 lines at most. */
  policy?: Policy[];
}

/** A line of the table as it is searched. */
interface Rule {
  bytes: Uint8Array;
  length: number;
  precedence: number;
  label: number;
}

/** What is known of a destination when it is compared with others. */
interface Destination {
  text: string;
  bytes: Uint8Array;
  /** The source that would be used, or null: the destination is not to be reached. */
  source: Uint8Array | null;
  deprecated: boolean;
}

export class AddressSelection implements Component {
  readonly name = "select";
  private readonly rules: Rule[] = [];
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;

  constructor(options: SelectionOptions) {
    const policy = options.policy || DEFAULT_POLICY;
    if (policy.length > 64) fail("EINVAL", "policy");
    for (let i = 0; i < policy.length; i++) {
      const slash = policy[i].prefix.indexOf("/");
      const bytes = parse6(policy[i].prefix.substring(0, slash));
      const length = +policy[i].prefix.substring(slash + 1);
      if (slash < 0 || !bytes || !(length >= 0 && length <= 128))
        return fail("EINVAL", "policy " + policy[i].prefix);
      this.rules.push({ bytes, length, precedence: policy[i].precedence, label: policy[i].label });
    }
  }

  attach(stack: Stack): void {
    this.stack = stack;
  }

  start(): void {
    this.ip = this.stack.network(6) as Ipv6;
    if (!this.ip) fail("ENOPROTOOPT", "select needs ipv6");
    this.ip.chooseSource = (nif, data, at) => this.source(nif, data, at);
  }

  /** The source address for a destination out of `nif` (section 5), or null. */
  source(nif: Interface, data: Uint8Array, at: number): Address6 | null {
    const list = this.ip.addresses;
    const scope = scopeOf(data, at);
    const label = this.ruleOf(data, at).label;
    let best: Address6 | null = null;
    for (let i = 0; i < list.length; i++) {
      const entry = list[i];
      if (entry.nif !== nif || !isUsable(entry)) continue;
      if (!best || this.betterSource(entry, best, data, at, scope, label)) best = entry;
    }
    return best;
  }

  /**
   * Destinations in the order in which they should be tried (section 6); those that have no route come last.
   *
   * @param addresses addresses of both families as text
   */
  sort(addresses: string[]): string[] {
    const list: Destination[] = [];
    for (let i = 0; i < addresses.length; i++) {
      const made = this.destination(addresses[i]);
      if (!made) continue;
      // Insertion keeps the order of equals (rule 10).
      let at = list.length;
      while (at > 0 && this.betterDestination(made, list[at - 1])) at--;
      list.splice(at, 0, made);
    }
    const sorted: string[] = [];
    for (let i = 0; i < list.length; i++) sorted.push(list[i].text);
    return sorted;
  }

  private betterSource(
    a: Address6,
    b: Address6,
    data: Uint8Array,
    at: number,
    scope: number,
    label: number,
  ): boolean {
    // Rule 1: the destination itself.
    if (equal6(a.bytes, 0, data, at)) return true;
    if (equal6(b.bytes, 0, data, at)) return false;
    // Rule 2: the smallest scope that reaches.
    const scopeA = scopeOf(a.bytes, 0);
    const scopeB = scopeOf(b.bytes, 0);
    if (scopeA < scopeB) return scopeA >= scope;
    if (scopeB < scopeA) return scopeB < scope;
    // Rule 3: not deprecated.
    if ((a.state === DEPRECATED) !== (b.state === DEPRECATED)) return b.state === DEPRECATED;
    // Rule 5.5: a prefix that the chosen router advertised.
    const suitsA = this.ip.suits(a);
    if (suitsA !== this.ip.suits(b)) return suitsA;
    // Rule 6: matching label.
    const labelA = this.ruleOf(a.bytes, 0).label === label;
    const labelB = this.ruleOf(b.bytes, 0).label === label;
    if (labelA !== labelB) return labelA;
    // Rule 7: temporary ones.
    if (a.temporary !== b.temporary) return a.temporary;
    // Rule 8: longest match, within the prefix.
    return matchLength(a, data, at) > matchLength(b, data, at);
  }

  private betterDestination(a: Destination, b: Destination): boolean {
    // Rule 1: one that can be reached.
    if (!a.source || !b.source) return a.source !== null && b.source === null;
    // Rule 2: matching scope.
    const scopeA = scopeOfAny(a.bytes);
    const scopeB = scopeOfAny(b.bytes);
    const fitsA = scopeA === scopeOfAny(a.source);
    const fitsB = scopeB === scopeOfAny(b.source);
    if (fitsA !== fitsB) return fitsA;
    // Rule 3: source not deprecated.
    if (a.deprecated !== b.deprecated) return b.deprecated;
    // Rule 5: matching label.
    const ruleA = this.ruleOf(a.bytes, 0);
    const ruleB = this.ruleOf(b.bytes, 0);
    const labelA = ruleA.label === this.ruleOf(a.source, 0).label;
    const labelB = ruleB.label === this.ruleOf(b.source, 0).label;
    if (labelA !== labelB) return labelA;
    // Rule 6: higher precedence.
    if (ruleA.precedence !== ruleB.precedence) return ruleA.precedence > ruleB.precedence;
    // Rule 8: smaller scope.
    if (scopeA !== scopeB) return scopeA < scopeB;
    // Rule 9: longest match, of one family.
    if (isMapped(a.bytes) || isMapped(b.bytes)) return false;
    return commonPrefix(a.source, 0, a.bytes, 0) > commonPrefix(b.source, 0, b.bytes, 0);
  }

  /** Looks up what a destination's source would be; null: `text` is no address. */
  private destination(text: string): Destination | null {
    const networks = this.stack.networks;
    const bytes = bytesOf(text);
    if (!bytes) return null;
    const made: Destination = { text, bytes, source: null, deprecated: false };
    for (let i = 0; i < networks.length; i++) {
      const path = networks[i].createPath();
      if (networks[i].setRemote(path, text) !== 0) continue;
      if (networks[i].route(path) !== 0) break;
      const source = bytesOf(networks[i].localText(path)) as Uint8Array;
      const entry = this.ip.entryOf(source, 0, null);
      made.source = source;
      made.deprecated = entry !== null && entry.state === DEPRECATED;
      break;
    }
    return made;
  }

  /** The line of the table with the longest match. */
  private ruleOf(data: Uint8Array, at: number): Rule {
    let best: Rule | null = null;
    for (let i = 0; i < this.rules.length; i++) {
      const rule = this.rules[i];
      if ((!best || rule.length > best.length) && commonPrefix(rule.bytes, 0, data, at) >= rule.length)
        best = rule;
    }
    return best || { bytes: data, length: 0, precedence: 0, label: -1 };
  }
}

/** Bits that an address has in common with a destination, within its prefix. */
function matchLength(entry: Address6, data: Uint8Array, at: number): number {
  const bits = commonPrefix(entry.bytes, 0, data, at);
  return bits < entry.length ? bits : entry.length;
}

/** An address of either family as 16 bytes: those of IPv4 as ::ffff:a.b.c.d (section 3.2). */
function bytesOf(text: string): Uint8Array | null {
  const percent = text.indexOf("%");
  if (percent >= 0) text = text.substring(0, percent);
  return parse6(parse4(text) === null ? text : "::ffff:" + text);
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff && bytes[0] === 0 && bytes[1] === 0;
}

/** Scope; of IPv4 addresses (section 3.2): 169.254/16 and 127/8 are link-local, all others global. */
function scopeOfAny(bytes: Uint8Array): number {
  if (!isMapped(bytes)) return scopeOf(bytes, 0);
  return bytes[12] === 127 || (bytes[12] === 169 && bytes[13] === 254) ? 2 : 14;
}

/** The component for address selection by RFC 6724. Needs `ipv6`; without it IPv6 goes by scope and longest match. */
export function select(options: SelectionOptions = {}): AddressSelection {
  return new AddressSelection(options);
}
