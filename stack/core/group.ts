/**
 * Membership in a multicast group (RFC 3376 and RFC 3810, sections 3, 4 and 5.1): what the sockets want, merged, and what is left to
 * report of it. Addresses are numbers, or texts in their one form: whatever compares by `===` and `<`.
 */
import type { Interface } from "./interface.js";

/** What one or several sockets want: only `sources`, or (`exclude`) all but them. */
export class Filter<A> {
  users = 1;

  constructor(
    readonly exclude: boolean,
    /** In order, each once. */
    readonly sources: A[],
  ) {}
}

/** A group on an interface. The members keep to two halves: what is received, and what is still to be told. */
export class Group<A> {
  readonly filters: Filter<A>[] = [];
  /** What all filters come to. No filter: only what comes from nobody. */
  exclude = false;
  sources: A[] = [];
  /** How often the filter mode is to be reported yet. */
  modeLeft = 0;
  /** Sources whose state is to be reported yet, and how often. */
  changed: A[] = [];
  changedLeft: number[] = [];
  /** When the next report of a change is due; only while something is left. */
  reportAt = 0;
  /** A query waits for an answer, due at `responseAt`. */
  responding = false;
  responseAt = 0;
  /** The sources that the query asked for; none: for all. */
  asked: A[] = [];

  constructor(
    readonly nif: Interface,
    readonly address: A,
  ) {}
}

/** Does the group take what `source` sends? */
export function accepts<A>(group: Group<A>, source: A): boolean {
  return group.sources.indexOf(source) >= 0 !== group.exclude;
}

/** The filter equal to the one given, or null. */
export function findFilter<A>(group: Group<A>, exclude: boolean, sources: A[]): Filter<A> | null {
  for (let i = 0; i < group.filters.length; i++) {
    const filter = group.filters[i];
    if (filter.exclude !== exclude || filter.sources.length !== sources.length) continue;
    let same = true;
    for (let k = 0; k < sources.length; k++) if (filter.sources[k] !== sources[k]) same = false;
    if (same) return filter;
  }
  return null;
}

/**
 * Merges the filters again (section 3.2), and notes what has changed, to be reported `robustness` times (section 5.1); false:
 * nothing has.
 */
export function merge<A>(group: Group<A>, robustness: number): boolean {
  const filters = group.filters;
  let exclude = false;
  for (let i = 0; i < filters.length; i++) if (filters[i].exclude) exclude = true;
  // Of all sources named: those that stay out when others are let in, or those that are let in.
  const sources: A[] = [];
  for (let i = 0; i < filters.length; i++) {
    if (filters[i].exclude !== exclude) continue;
    const list = filters[i].sources;
    for (let k = 0; k < list.length; k++) {
      if (sources.indexOf(list[k]) < 0 && (!exclude || !wanted(filters, list[k]))) sources.push(list[k]);
    }
  }
  if (exclude !== group.exclude) {
    group.modeLeft = robustness;
    forgetChanges(group);
  } else {
    const more = note(group, sources, group.sources, robustness);
    if (!note(group, group.sources, sources, robustness) && !more) return false;
  }
  group.exclude = exclude;
  group.sources = sources;
  return true;
}

/** Does any filter let `source` in? */
function wanted<A>(filters: Filter<A>[], source: A): boolean {
  for (let i = 0; i < filters.length; i++) {
    if (filters[i].sources.indexOf(source) >= 0 !== filters[i].exclude) return true;
  }
  return false;
}

/** Those of `list` that are not in `other` are to be reported; true when there are any. */
function note<A>(group: Group<A>, list: A[], other: A[], robustness: number): boolean {
  const changed = group.changed;
  let any = false;
  for (let i = 0; i < list.length; i++) {
    if (other.indexOf(list[i]) >= 0) continue;
    let at = changed.indexOf(list[i]);
    if (at < 0) {
      at = changed.length;
      changed.push(list[i]);
      group.changedLeft.push(0);
    }
    group.changedLeft[at] = robustness;
    any = true;
  }
  return any;
}

/** One report of changes has been sent: one less is left of each. */
export function countDown<A>(group: Group<A>): void {
  if (group.modeLeft > 0) group.modeLeft--;
  for (let i = group.changed.length - 1; i >= 0; i--) {
    if (--group.changedLeft[i] > 0) continue;
    group.changed.splice(i, 1);
    group.changedLeft.splice(i, 1);
  }
}

/** Nothing of sources is left to be reported. */
export function forgetChanges<A>(group: Group<A>): void {
  group.changed = [];
  group.changedLeft = [];
}

/** Is anything left to be reported? */
export function isPending<A>(group: Group<A>): boolean {
  return group.modeLeft > 0 || group.changed.length > 0;
}

/** A group was asked for, or (`sources` not empty) sources of it: at most `limit` are remembered, else the answer tells of all. */
export function ask<A>(group: Group<A>, sources: A[], due: number, limit: number): void {
  const all = sources.length === 0 || (group.responding && group.asked.length === 0);
  if (!group.responding || all) group.asked = [];
  for (let i = 0; i < sources.length && !all; i++) {
    if (group.asked.indexOf(sources[i]) < 0) group.asked.push(sources[i]);
    if (group.asked.length > limit) {
      group.asked = [];
      break;
    }
  }
  if (!group.responding || ((group.responseAt - due) | 0) > 0) group.responseAt = due;
  group.responding = true;
}
