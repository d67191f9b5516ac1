/** Membership in a multicast group (RFC 3376 sections 3 and 5.1): what the sockets want, merged, and what is left to report of it. */
import type { Interface } from "../core/interface.js";

/** What one or several sockets want: only `sources`, or (`exclude`) all but them. */
export class Filter {
  users = 1;

  constructor(
    readonly exclude: boolean,
    /** In order, each once. */
    readonly sources: number[],
  ) {}
}

/** A group on an interface. The members keep to two halves: what is received, and what is still to be told. */
export class Group {
  readonly filters: Filter[] = [];
  /** What all filters come to. No filter: only what comes from nobody. */
  exclude = false;
  sources: number[] = [];
  /** How often the filter mode is to be reported yet. */
  modeLeft = 0;
  /** Sources whose state is to be reported yet, and how often: in turn. */
  changed: number[] = [];
  /** When the next report of a change is due; only while something is left. */
  reportAt = 0;
  /** A query waits for an answer, due at `responseAt`. */
  responding = false;
  responseAt = 0;
  /** The sources that the query asked for; none: for all. */
  asked: number[] = [];

  constructor(
    readonly nif: Interface,
    readonly address: number,
  ) {}
}

/** Does the group take what `source` sends? */
export function accepts(group: Group, source: number): boolean {
  return group.sources.indexOf(source) >= 0 !== group.exclude;
}

/** The filter equal to the one given, or null. */
export function findFilter(group: Group, exclude: boolean, sources: number[]): Filter | null {
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
export function merge(group: Group, robustness: number): boolean {
  const filters = group.filters;
  let exclude = false;
  for (let i = 0; i < filters.length; i++) if (filters[i].exclude) exclude = true;
  // Of all sources named: those that stay out when others are let in, or those that are let in.
  const sources: number[] = [];
  for (let i = 0; i < filters.length; i++) {
    if (filters[i].exclude !== exclude) continue;
    const list = filters[i].sources;
    for (let k = 0; k < list.length; k++) {
      if (sources.indexOf(list[k]) < 0 && (!exclude || !wanted(filters, list[k]))) sources.push(list[k]);
    }
  }
  if (exclude !== group.exclude) {
    group.modeLeft = robustness;
    group.changed = [];
  } else {
    const more = note(group, sources, group.sources, robustness);
    if (!note(group, group.sources, sources, robustness) && !more) return false;
  }
  group.exclude = exclude;
  group.sources = sources;
  return true;
}

/** Does any filter let `source` in? */
function wanted(filters: Filter[], source: number): boolean {
  for (let i = 0; i < filters.length; i++) {
    if (filters[i].sources.indexOf(source) >= 0 !== filters[i].exclude) return true;
  }
  return false;
}

/** Those of `list` that are not in `other` are to be reported; true when there are any. */
function note(group: Group, list: number[], other: number[], robustness: number): boolean {
  const changed = group.changed;
  let any = false;
  for (let i = 0; i < list.length; i++) {
    if (other.indexOf(list[i]) >= 0) continue;
    let at = 0;
    while (at < changed.length && changed[at] !== list[i]) at += 2;
    if (at === changed.length) changed.push(list[i], 0);
    changed[at + 1] = robustness;
    any = true;
  }
  return any;
}

/** One report of changes has been sent: one less is left of each. */
export function countDown(group: Group): void {
  if (group.modeLeft > 0) group.modeLeft--;
  const changed = group.changed;
  for (let i = changed.length - 2; i >= 0; i -= 2) {
    if (--changed[i + 1] <= 0) changed.splice(i, 2);
  }
}
