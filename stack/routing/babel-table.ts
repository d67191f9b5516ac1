/**
 * What the table of Babel holds (RFC 8966 section 3.2): for each prefix the routes that neighbours have told, the one in use, and the distances
 * that were told to others, which make a route feasible or not (section 3.5.1): so there are no loops, even for a moment.
 */
import { BABEL_INFINITY } from "../wire/babel.js";
import { later, sameRouter } from "./babel-message.js";
import type { BabelNeighbour } from "./babel-neighbour.js";
import type { Installed } from "./fib.js";
import type { PrefixEntry } from "./prefix-table.js";

/** Distances that are remembered for a prefix, one a router that has originated it. */
const SOURCES = 32;
/** A distance is forgotten after this, ms (appendix B). */
const SOURCE_LIFE = 180000;

/** A feasibility distance. */
export class BabelSource {
  seqno = 0;
  metric = 0;
  until = 0;

  constructor(readonly routerId: Uint8Array) {}
}

/** A route that a neighbour has told. */
export class BabelRoute {
  readonly routerId = new Uint8Array(8);
  readonly nextHop = new Uint8Array(16);
  seqno = 0;
  /** As the neighbour has it. */
  refmetric = BABEL_INFINITY;
  interval = 0;
  until = 0;

  constructor(readonly neighbour: BabelNeighbour) {}

  metric(): number {
    const cost = this.neighbour.cost;
    if (cost >= BABEL_INFINITY || this.refmetric >= BABEL_INFINITY) return BABEL_INFINITY;
    const metric = cost + this.refmetric;
    return metric < BABEL_INFINITY ? metric : BABEL_INFINITY;
  }
}

export class BabelDestination implements PrefixEntry {
  hash = 0;
  nextInBucket: this | null = null;
  /** One a neighbour at most. */
  readonly routes: BabelRoute[] = [];
  readonly sources: BabelSource[] = [];
  selected: BabelRoute | null = null;
  installed: Installed | null = null;
  /** The prefix is blocked until then: `installed` leads nowhere (section 3.5.4). */
  held = false;
  heldUntil = 0;
  /** It is ours: the router that others reach it by is this one. */
  own = false;
  /** While the forwarding tables are looked at. */
  seen = false;
  /** How often it is to be told out of turn. */
  tell = 0;
  /** What was told last, so that others hear of its end; "nothing" is infinity. */
  toldMetric = BABEL_INFINITY;
  readonly toldRouter = new Uint8Array(8);
  toldSeqno = 0;
  /** A request for a later sequence number waits for an answer (section 3.2.7). */
  asking = false;
  askSeqno = 0;
  readonly askRouter = new Uint8Array(8);
  askLeft = 0;
  askAt = 0;

  constructor(
    readonly prefix: Uint8Array,
    readonly length: number,
  ) {}

  route(neighbour: BabelNeighbour): BabelRoute | null {
    for (let i = 0; i < this.routes.length; i++)
      if (this.routes[i].neighbour === neighbour) return this.routes[i];
    return null;
  }

  source(routerId: Uint8Array): BabelSource | null {
    for (let i = 0; i < this.sources.length; i++)
      if (sameRouter(this.sources[i].routerId, routerId)) return this.sources[i];
    return null;
  }

  /** Section 3.5.1: nearer than anything that we have told of that router, or newer. */
  feasible(routerId: Uint8Array, seqno: number, refmetric: number): boolean {
    if (refmetric >= BABEL_INFINITY) return true;
    const source = this.source(routerId);
    return (
      source === null || later(seqno, source.seqno) || (seqno === source.seqno && refmetric < source.metric)
    );
  }

  /** The best feasible route; the one in use is left only for one that is better by more than noise. */
  best(): BabelRoute | null {
    let best: BabelRoute | null = null;
    let metric = BABEL_INFINITY;
    const used = this.selected;
    for (let i = 0; i < this.routes.length; i++) {
      const route = this.routes[i];
      let value = route.metric();
      if (value >= BABEL_INFINITY || !this.feasible(route.routerId, route.seqno, route.refmetric)) continue;
      if (route === used) value -= STICKY;
      if (value < metric) {
        best = route;
        metric = value;
      }
    }
    return best;
  }

  /** A distance is going to be told (section 3.7.3). */
  note(routerId: Uint8Array, seqno: number, metric: number, now: number): void {
    if (metric >= BABEL_INFINITY) return;
    let source = this.source(routerId);
    if (!source) {
      if (this.sources.length >= SOURCES) this.sources.shift();
      const copy = new Uint8Array(8);
      copy.set(routerId);
      source = new BabelSource(copy);
      source.seqno = seqno;
      source.metric = metric;
      this.sources.push(source);
    } else if (later(seqno, source.seqno) || (seqno === source.seqno && metric < source.metric)) {
      source.seqno = seqno;
      source.metric = metric;
    }
    source.until = (now + SOURCE_LIFE) | 0;
  }

  /** Forgets distances that are old. */
  age(now: number): void {
    for (let i = this.sources.length - 1; i >= 0; i--)
      if (((now - this.sources[i].until) | 0) >= 0) this.sources.splice(i, 1);
  }

  /** Nothing is left that anybody would have to remember. */
  idle(): boolean {
    return (
      !this.own &&
      !this.asking &&
      this.tell === 0 &&
      this.installed === null &&
      this.routes.length === 0 &&
      this.sources.length === 0
    );
  }
}

/** Metric by which the route in use counts as better than it is. */
const STICKY = 16;
