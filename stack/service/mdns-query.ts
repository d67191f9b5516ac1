/**
 * Questions to all on the link, for as long as somebody wants to know (RFC 6762 sections 5.2, 7.1 to 7.3, 10).
 *
 * A question is asked at once, after 1, 3, 7, ... seconds up to an hour, and when something that answers it is about to expire.
 * With it goes what is known already, so that nobody need say it again.
 */
import type { Interface } from "../core/interface.js";
import type { Deferred, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/dns.js";
import { doom, left, refreshIn, refreshed } from "./mdns-cache.js";
import type { Known, Memory } from "./mdns-cache.js";
import { MDNS_PORT, TOP_BIT, inBitmap } from "./mdns-message.js";
import type { Heard, Message, Name, Question } from "./mdns-message.js";
import type { Asker, MdnsLink, MdnsPort } from "./mdns-port.js";

/** Before the first question, ms: 20 to 120. */
const DELAY = 20;
const DELAY_RANGE = 101;
const FIRST_INTERVAL = 1000;
const LAST_INTERVAL = 3600000;
/** Somebody else's question takes the place of ours when that is due within this, ms. */
const SOON = 1000;
/** Section 10.2: what was heard within this before a record that replaces all others belongs to it, ms. */
const TOGETHER = 1000;

/** What a question wants to hear. */
export interface QueryHandlers {
  /** A record has come (`present`), or is no more. */
  change(heard: Heard, present: boolean, nif: Interface): void;
  /** All changes that came together have been told. */
  settled?(): void;
  /** The owner of the name says that it has no such records. */
  none?(): void;
  /** `timeout` is over. */
  late?(): void;
}

/** A question that is being asked on the links. */
export class Query implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  closed = false;
  private readonly timer = new Timer(expire, this);
  private changes: { heard: Heard; present: boolean; nif: Interface }[] = [];
  private denied = false;
  private expired = false;

  constructor(
    readonly stack: Stack,
    readonly name: Name,
    readonly type: number,
    readonly nif: Interface | null,
    private readonly handlers: QueryHandlers,
  ) {}

  answeredBy(heard: Heard): boolean {
    return heard.name === this.name.key && (heard.type === this.type || this.type === wire.TYPE_ANY);
  }

  changed(heard: Heard, present: boolean, nif: Interface): void {
    this.changes.push({ heard, present, nif });
    this.stack.defer(this);
  }

  deny(): void {
    this.denied = true;
    this.stack.defer(this);
  }

  /** Calls `late` in so many ms. */
  expireIn(timeout: number): void {
    this.stack.timers.set(this.timer, (this.stack.now() + timeout) | 0);
  }

  /** No callback comes after it. */
  close(): void {
    this.closed = true;
    this.stack.timers.clear(this.timer);
  }

  late(): void {
    this.expired = true;
    this.stack.defer(this);
  }

  /** See `Stack.defer`. */
  run(): void {
    const handlers = this.handlers;
    const changes = this.changes;
    this.changes = [];
    for (let i = 0; i < changes.length && !this.closed; i++) {
      handlers.change(changes[i].heard, changes[i].present, changes[i].nif);
    }
    if (changes.length > 0 && handlers.settled && !this.closed) handlers.settled();
    if (this.denied && handlers.none && !this.closed) handlers.none();
    this.denied = false;
    if (this.expired && handlers.late && !this.closed) handlers.late();
    this.expired = false;
  }
}

function expire(query: Query): void {
  query.late();
}

/** A question on one link. */
class Ask {
  /** When it is asked next, and how long after that again; 0: it was not asked yet. */
  at = 0;
  interval = 0;
  /** Something that answers it is about to expire. */
  refresh = false;

  constructor(readonly query: Query) {}
}

/** What the querier does on an interface. */
export class Ear {
  readonly asks: Ask[] = [];
  readonly timer = new Timer(tick, this);
  readonly wanted = (known: Known): boolean => this.wants(known.heard);

  constructor(
    readonly port: MdnsPort,
    readonly link: MdnsLink,
    readonly memory: Memory,
    /** Our own records that answer a question, as if they had been heard. */
    readonly own: (link: MdnsLink, question: Question) => Heard[],
  ) {}

  wants(heard: Heard): boolean {
    for (let i = 0; i < this.asks.length; i++) if (this.asks[i].query.answeredBy(heard)) return true;
    return false;
  }
}

/** Begins to ask: first of what is known. */
export function listen(ear: Ear, query: Query): void {
  if (query.nif && query.nif !== ear.link.nif) return;
  const stack = query.stack;
  const ask = new Ask(query);
  ask.at = (stack.now() + DELAY + stack.host.randomBelow(DELAY_RANGE)) | 0;
  ear.asks.push(ask);
  ear.memory.each(query.name.key, query.type, (known) => query.changed(known.heard, true, ear.link.nif));
  ear.memory.each(query.name.key, wire.TYPE_NSEC, (known) => {
    if (lacks(known.heard, query)) query.deny();
  });
  takeOwn(ear, query);
  arm(ear, ask.at);
}

export function unlisten(ear: Ear, query: Query): void {
  for (let i = ear.asks.length - 1; i >= 0; i--) if (ear.asks[i].query === query) ear.asks.splice(i, 1);
}

/** The link is gone, and all that was known on it. */
export function forgetAll(ear: Ear): void {
  ear.memory.table.each((known) => forget(ear, known));
  ear.port.stack.timers.clear(ear.timer);
}

function forget(ear: Ear, known: Known): void {
  ear.memory.remove(known);
  tell(ear, known.heard, false);
}

function tell(ear: Ear, heard: Heard, present: boolean): void {
  for (let i = 0; i < ear.asks.length; i++) {
    const query = ear.asks[i].query;
    if (query.answeredBy(heard)) query.changed(heard, present, ear.link.nif);
  }
}

/** Takes a response: if something in it answers a question of ours, all of it. */
export function hear(ear: Ear, message: Message): void {
  const records = message.records;
  let wanted = false;
  for (let i = 0; i < records.length; i++) {
    if (denies(ear, records[i]) || ear.wants(records[i])) wanted = true;
  }
  if (!wanted) return;
  const now = ear.port.stack.now();
  for (let i = 0; i < records.length; i++) {
    const heard = records[i];
    // A goodbye speaks for itself alone.
    if (heard.unique && heard.ttl > 0) {
      ear.memory.each(heard.name, heard.type, (known) => {
        if (((now - known.since) | 0) > TOGETHER) doom(known, now);
      });
    }
    const known = ear.memory.find(heard);
    if (heard.ttl === 0) {
      if (known) doom(known, now);
    } else if (known) refreshed(known, heard.ttl, now);
    else remember(ear, heard, now);
  }
  arm(ear, now);
}

function remember(ear: Ear, heard: Heard, now: number): void {
  const known = ear.memory.add(heard, ear.wanted);
  if (!known) {
    ear.port.counters.full++;
    return;
  }
  refreshed(known, heard.ttl, now);
  tell(ear, heard, true);
}

/** Does the record say that there is nothing that a question of ours asks for? Then it hears that. */
function denies(ear: Ear, heard: Heard): boolean {
  let found = false;
  if (heard.type !== wire.TYPE_NSEC || heard.ttl === 0) return false;
  for (let i = 0; i < ear.asks.length; i++) {
    const query = ear.asks[i].query;
    if (query.name.key !== heard.name || !lacks(heard, query)) continue;
    query.deny();
    found = true;
  }
  return found;
}

/** Does an NSEC record say that there is nothing of what is asked for? */
function lacks(heard: Heard, query: Query): boolean {
  return query.type !== wire.TYPE_ANY && !inBitmap(heard.data, query.type);
}

/** Others ask what we are about to ask, and know no more than we do: that was our question (section 7.3). */
export function overhear(ear: Ear, message: Message, asker: Asker): void {
  const now = ear.port.stack.now();
  if (asker.port !== MDNS_PORT || asker.unicast || message.flags & wire.FLAG_TRUNCATED) return;
  for (let i = 0; i < message.questions.length; i++) {
    const question = message.questions[i];
    if (question.class !== wire.CLASS_IN) continue;
    for (let k = 0; k < ear.asks.length; k++) {
      const ask = ear.asks[k];
      const query = ask.query;
      if (query.name.key !== question.name || query.type !== question.type) continue;
      if (((ask.at - now) | 0) > SOON || !knowsAll(ear, message, query, now)) continue;
      ear.port.counters.suppressed++;
      asked(ask, now);
    }
  }
}

function knowsAll(ear: Ear, message: Message, query: Query, now: number): boolean {
  for (let i = 0; i < message.records.length; i++) {
    const known = query.answeredBy(message.records[i]) ? ear.memory.find(message.records[i]) : null;
    if (query.answeredBy(message.records[i]) && (!known || left(known, now) * 2 < known.life)) return false;
  }
  return true;
}

function asked(ask: Ask, now: number): void {
  ask.interval = ask.interval === 0 ? FIRST_INTERVAL : ask.interval * 2;
  if (ask.interval > LAST_INTERVAL) ask.interval = LAST_INTERVAL;
  ask.at = (now + ask.interval) | 0;
}

/** Our own records need no packet. */
function takeOwn(ear: Ear, query: Query): void {
  const question = { name: query.name.key, type: query.type, class: wire.CLASS_IN };
  const list = ear.own(ear.link, question);
  const now = ear.port.stack.now();
  for (let i = 0; i < list.length; i++) {
    const known = ear.memory.find(list[i]);
    if (known) refreshed(known, list[i].ttl, now);
    else if (denies(ear, list[i]) || ear.wants(list[i])) remember(ear, list[i], now);
  }
}

function arm(ear: Ear, at: number): void {
  const timer = ear.timer;
  if (timer.slot < 0 || ((at - timer.at) | 0) < 0) ear.port.stack.timers.set(timer, at);
}

/** Forgets what has expired, asks what is due. */
function tick(ear: Ear): void {
  const now = ear.port.stack.now();
  // Nothing is further away than this, and the clock does not come round in the meantime.
  let next = LAST_INTERVAL;
  ear.memory.table.each((known) => {
    const rest = left(known, now);
    if (rest <= 0) {
      forget(ear, known);
      return;
    }
    if (rest < next) next = rest;
    const wait = refreshIn(known, now);
    if (wait < 0 || !ear.wants(known.heard)) return;
    if (wait > 0) {
      if (wait < next) next = wait;
      return;
    }
    known.stage++;
    next = 0;
    for (let i = 0; i < ear.asks.length; i++) {
      if (ear.asks[i].query.answeredBy(known.heard)) ear.asks[i].refresh = true;
    }
  });
  const due: Ask[] = [];
  for (let i = 0; i < ear.asks.length; i++) {
    const ask = ear.asks[i];
    if (((ask.at - now) | 0) <= 0 || ask.refresh) due.push(ask);
  }
  if (due.length > 0) send(ear, due, now);
  for (let i = 0; i < ear.asks.length; i++) {
    const wait = (ear.asks[i].at - now) | 0;
    if (wait < next) next = wait;
  }
  if (ear.asks.length > 0 || ear.memory.table.size > 0) arm(ear, (now + next) | 0);
}

/** Asks, in as many messages as it takes. */
function send(ear: Ear, due: Ask[], now: number): void {
  const port = ear.port;
  const writer = port.writer;
  const limit = ear.link.limit();
  for (let i = 0; i < due.length;) {
    const first = i;
    writer.begin(0, 0, limit);
    for (; i < due.length; i++) {
      const query = due[i].query;
      let double = false;
      for (let k = first; k < i && !double; k++) {
        double = due[k].query.name.key === query.name.key && due[k].query.type === query.type;
      }
      // Whoever asks for the first time wants it at once, and others need not hear it (section 5.4).
      const bit = due[i].interval === 0 ? TOP_BIT : 0;
      if (!double && !writer.question(query.name.bytes, query.type, wire.CLASS_IN | bit)) break;
    }
    for (let k = first; k < i; k++) addKnown(ear, due[k].query, now);
    port.multicast(ear.link);
  }
  for (let i = 0; i < due.length; i++) {
    if (((due[i].at - now) | 0) <= 0) asked(due[i], now);
    due[i].refresh = false;
    takeOwn(ear, due[i].query);
  }
}

/** Adds what is known already (section 7.1); what does not fit follows, and the message says so (section 7.2). */
function addKnown(ear: Ear, query: Query, now: number): void {
  const writer = ear.port.writer;
  ear.memory.each(query.name.key, query.type, (known) => {
    const rest = left(known, now);
    if (rest * 2 < known.life) return;
    const heard = known.heard;
    const ttl = (rest / 1000) | 0;
    const put = () =>
      writer.record(wire.DNS_ANSWERS, query.name.bytes, heard.type, wire.CLASS_IN, ttl, heard.data);
    if (put()) return;
    writer.data[wire.DNS_FLAGS] |= wire.FLAG_TRUNCATED >> 8;
    ear.port.multicast(ear.link);
    writer.begin(0, 0, ear.link.limit());
    put();
  });
}
