/** Which of Babel's routes is in use (RFC 8966 section 3.6), whom that is told, and who is asked for another (section 3.8.2). */
import * as wire from "../wire/babel.js";
import type { Babel } from "./babel.js";
import { later, sameRouter } from "./babel-message.js";
import { BabelDestination } from "./babel-table.js";
import { copyOf } from "./prefix.js";

/** A prefix that is gone is blocked this long: three and a half updates of the default, ms. */
const HOLD = 56000;

/** Chooses again (section 3.6), and sees to it that the forwarding table and the others know. */
export function select(own: Babel, entry: BabelDestination): void {
  const old = entry.selected;
  const best = entry.own ? null : entry.best();
  entry.selected = best;
  if (!best) {
    withdraw(own, entry);
    if (entry.own) return;
    if (entry.toldMetric < wire.BABEL_INFINITY) announce(own, entry, 2);
    // Starved: there may be a way that a later number would make feasible (section 3.8.2.1).
    if (old && entry.toldMetric < wire.BABEL_INFINITY) ask(own, entry, entry.toldRouter, own.stack.now());
    return;
  }
  const installed = own.fib.install(
    entry.installed,
    entry.prefix,
    entry.length,
    best.nextHop,
    best.neighbour.port.nif,
  );
  if (!installed) own.counters.full++;
  entry.installed = installed;
  entry.held = false;
  const metric = best.metric();
  const change = metric > entry.toldMetric ? metric - entry.toldMetric : entry.toldMetric - metric;
  if (entry.toldMetric >= wire.BABEL_INFINITY || !sameRouter(entry.toldRouter, best.routerId))
    announce(own, entry, 2);
  else if (change >= 96) announce(own, entry, 1);
}

/**
 * No route is left. Until the others know, nothing for the prefix may take a shorter one, which might lead to who still sends it to us
 * (section 3.5.4); our own needs no other.
 */
function withdraw(own: Babel, entry: BabelDestination): void {
  if (entry.own) {
    if (entry.installed) own.fib.remove(entry.installed);
    entry.installed = null;
    entry.held = false;
  } else if (entry.installed && !entry.held) {
    entry.installed = own.fib.block(entry.installed, entry.prefix, entry.length);
    entry.held = entry.installed !== null;
    entry.heldUntil = (own.stack.now() + HOLD) | 0;
  }
}

/** The prefix is told out of turn, `times` times. */
export function announce(own: Babel, entry: BabelDestination, times: number): void {
  if (entry.tell < times) entry.tell = times;
  if (own.telling) return;
  own.telling = true;
  own.tellAt = (own.stack.now() + 20 + own.stack.host.randomBelow(80)) | 0;
}

/** Asks for a later sequence number than any that we have told of that router. */
export function ask(own: Babel, entry: BabelDestination, routerId: Uint8Array, now: number): void {
  const source = entry.source(routerId);
  if (!source || sameRouter(routerId, own.routerId)) return;
  const seqno = (source.seqno + 1) & 0xffff;
  if (entry.asking && sameRouter(entry.askRouter, routerId) && !later(seqno, entry.askSeqno)) return;
  entry.asking = true;
  entry.askRouter.set(routerId);
  entry.askSeqno = seqno;
  entry.askLeft = 4;
  entry.askAt = now;
  if (((own.sweepAt - now) | 0) > 0) own.sweepAt = now;
}

/** Looks at the forwarding tables for what is ours. */
export function refresh(own: Babel): void {
  if (!own.fib.moved()) return;
  own.table.each((entry) => {
    entry.seen = false;
  });
  own.fib.scan(0, (prefix, length) => {
    let entry = own.table.find(prefix, length);
    if (!entry) {
      if (own.table.size() >= own.limit) {
        own.counters.full++;
        return;
      }
      entry = own.table.insert(new BabelDestination(copyOf(prefix), length));
    }
    entry.seen = true;
    if (entry.own) return;
    entry.own = true;
    entry.asking = false;
    select(own, entry);
    announce(own, entry, 2);
  });
  own.table.each((entry) => {
    if (!entry.own || entry.seen) return;
    entry.own = false;
    select(own, entry);
    announce(own, entry, 2);
  });
}
