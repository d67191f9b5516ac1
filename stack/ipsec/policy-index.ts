/**
 * Policies by what they fix, for those who have many: tuple space search (Srinivasan, Suri, Varghese 1999). A policy's ranges are covered
 * by prefixes; all policies that fix as many bits of both ends, and the protocol and ports or not, are one tuple with one hash table. A
 * look-up asks each tuple once, those with the earliest policies first, and ends where none that is left could come before what it has
 * found. The order of the policies decides, as it does without.
 */
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { PROTECT } from "./policy.js";
import type { Policy, PolicyIndex } from "./policy.js";
import type { Flow } from "./flow.js";
import type { AddressRange, Selector } from "./selector.js";

/** A policy with more pairs of ranges than this is found by its far ends alone. */
const PAIRS = 64;
const PROTOCOL = 1;
const LOCAL_PORT = 2;
const REMOTE_PORT = 4;

class Entry implements TableEntry {
  nextInBucket: this | null = null;
  constructor(
    readonly policy: Policy,
    readonly hash: number,
  ) {}
}

class Tuple {
  readonly table = new Table<Entry>();
  /** No policy of it comes before this place. */
  first = 0;
  /** Entries of policies that protect. */
  protecting = 0;

  /** @param fixed which of protocol and ports @param local, remote bits of the addresses */
  constructor(
    readonly family: number,
    readonly fixed: number,
    readonly local: number,
    readonly remote: number,
  ) {}

  hash(near: Int32Array, far: Int32Array, protocol: number, localPort: number, remotePort: number): number {
    const fixed = this.fixed;
    let hash = fixed & PROTOCOL ? protocol : 0;
    if (fixed & LOCAL_PORT) hash = mix(hash, localPort);
    if (fixed & REMOTE_PORT) hash = mix(hash, remotePort);
    return hashEnd(hashEnd(hash, near, this.local), far, this.remote);
  }
}

class TupleIndex implements PolicyIndex {
  /** By the place of their first policies. */
  private tuples: Tuple[] = [];
  /** Any address, of either family. */
  private readonly any: AddressRange[] = [
    { family: 4, low: new Int32Array(4), high: words(-1, 0) },
    { family: 6, low: new Int32Array(4), high: words(-1, -1) },
  ];

  clear(): void {
    this.tuples = [];
  }

  insert(policy: Policy): void {
    this.each(policy.selector, true, (tuple, hash) => {
      if (tuple.table.size === 0 || policy.place < tuple.first) tuple.first = policy.place;
      if (policy.action === PROTECT) tuple.protecting++;
      tuple.table.insert(new Entry(policy, hash));
      this.settle(tuple);
    });
  }

  remove(policy: Policy): void {
    this.each(policy.selector, false, (tuple, hash) => {
      let entry = tuple.table.first(hash);
      while (entry && entry.policy !== policy) entry = entry.nextInBucket;
      if (!entry) return;
      tuple.table.remove(entry);
      if (policy.action === PROTECT) tuple.protecting--;
      if (tuple.table.size === 0) this.tuples.splice(this.tuples.indexOf(tuple), 1);
    });
  }

  lookup(flow: Flow, out: boolean): Policy | null {
    const near = out ? flow.source : flow.destination;
    const far = out ? flow.destination : flow.source;
    const nearPort = out ? flow.sourcePort : flow.destinationPort;
    const farPort = out ? flow.destinationPort : flow.sourcePort;
    const tuples = this.tuples;
    let best: Policy | null = null;
    for (let i = 0; i < tuples.length; i++) {
      const tuple = tuples[i];
      if (best && best.place <= tuple.first) break;
      if (tuple.family !== flow.family) continue;
      const hash = tuple.hash(near, far, flow.protocol, nearPort, farPort);
      for (let entry = tuple.table.first(hash); entry; entry = entry.nextInBucket) {
        const policy = entry.policy;
        if (entry.hash === hash && (!best || policy.place < best.place) && policy.fits(flow, out))
          best = policy;
      }
    }
    return best;
  }

  protecting(flow: Flow, visit: (policy: Policy) => void): void {
    const tuples = this.tuples;
    const each = (entry: Entry): void => {
      if (entry.policy.protectsEnds(flow)) visit(entry.policy);
    };
    for (let i = 0; i < tuples.length; i++) {
      const tuple = tuples[i];
      if (tuple.family !== flow.family || tuple.protecting === 0) continue;
      // Who asks for both ends does not know ports.
      if (tuple.fixed !== 0) tuple.table.each(each);
      else {
        const hash = tuple.hash(flow.source, flow.destination, 0, 0, 0);
        for (let entry = tuple.table.first(hash); entry; entry = entry.nextInBucket) each(entry);
      }
    }
  }

  /** Calls `visit` for each place that a policy has in the index. */
  private each(selector: Selector, make: boolean, visit: (tuple: Tuple, hash: number) => void): void {
    const remotes = selector.remote.length > 0 ? selector.remote : this.any;
    const locals =
      selector.local.length > 0 && selector.local.length * remotes.length <= PAIRS
        ? selector.local
        : this.any;
    const fixed =
      (selector.protocol !== 0 ? PROTOCOL : 0) |
      (selector.localLow === selector.localHigh ? LOCAL_PORT : 0) |
      (selector.remoteLow === selector.remoteHigh ? REMOTE_PORT : 0);
    for (let i = 0; i < locals.length; i++) {
      for (let k = 0; k < remotes.length; k++) {
        const local = locals[i];
        const remote = remotes[k];
        const family = local.family;
        const tuple =
          family === remote.family ? this.tuple(family, fixed, common(local), common(remote), make) : null;
        if (!tuple) continue;
        const hash = tuple.hash(
          local.low,
          remote.low,
          selector.protocol,
          selector.localLow,
          selector.remoteLow,
        );
        visit(tuple, hash);
      }
    }
  }

  private tuple(family: number, fixed: number, local: number, remote: number, make: boolean): Tuple | null {
    const tuples = this.tuples;
    for (let i = 0; i < tuples.length; i++) {
      const each = tuples[i];
      if (each.family === family && each.fixed === fixed && each.local === local && each.remote === remote)
        return each;
    }
    if (!make) return null;
    const made = new Tuple(family, fixed, local, remote);
    tuples.push(made);
    return made;
  }

  /** Moves a tuple whose first policy is an earlier one now to its place. */
  private settle(tuple: Tuple): void {
    const tuples = this.tuples;
    for (let i = tuples.indexOf(tuple); i > 0 && tuples[i - 1].first > tuple.first; i--) {
      tuples[i] = tuples[i - 1];
      tuples[i - 1] = tuple;
    }
  }
}

function words(first: number, others: number): Int32Array {
  const made = new Int32Array(4);
  for (let i = 0; i < 4; i++) made[i] = i === 0 ? first : others;
  return made;
}

function mix(hash: number, word: number): number {
  hash ^= word;
  hash = ((hash << 5) - hash) | 0;
  return hash ^ (hash >>> 15) ^ (hash >>> 8);
}

/** The first `length` bits of an address. */
function hashEnd(hash: number, address: Int32Array, length: number): number {
  for (let i = 0; length > 0; i++, length -= 32)
    hash = mix(hash, length >= 32 ? address[i] : address[i] & (-1 << (32 - length)));
  return hash;
}

/** How many bits both ends of a range have in common. */
function common(range: AddressRange): number {
  const most = range.family === 4 ? 32 : 128;
  let bits = 0;
  while (bits < most && ((range.low[bits >> 5] ^ range.high[bits >> 5]) & (1 << (31 - (bits & 31)))) === 0)
    bits++;
  return bits;
}

/** An index for many policies: `ipsec({ policies: 10000, index: policyIndex() })`. From some twenty on it is faster than the list. */
export function policyIndex(): PolicyIndex {
  return new TupleIndex();
}
