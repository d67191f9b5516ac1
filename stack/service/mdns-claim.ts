/**
 * How a name is won and kept (RFC 6762 sections 8, 9): probing, announcing, conflicts, withdrawal.
 *
 * A claim is a name with its records, a host or a service; its presence on an interface goes through
 * WAITING - PROBING - ANNOUNCING - HELD. What is not at least ANNOUNCING answers no question.
 */
import type { Interface } from "../core/interface.js";
import type { Deferred } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/dns.js";
import { TOP_BIT, compareRecords, sameData } from "./mdns-message.js";
import type { Heard, Message, Name } from "./mdns-message.js";
import type { MdnsLink, MdnsPort } from "./mdns-port.js";

/** For the name of its host. */
export const WAITING = 0;
export const PROBING = 1;
export const ANNOUNCING = 2;
export const HELD = 3;

/** Section 8.1, ms: random delay before the first probe, and from one to the next. */
const PROBE_INTERVAL = 250;
const PROBES = 3;
/** Section 8.2: a wait after a lost tie, ms. */
const DEFER = 1000;
/** Section 8.3. */
const ANNOUNCEMENTS = 2;
const ANNOUNCE_INTERVAL = 1000;
/** Section 8.1: after so many conflicts, none of them longer than this after the one before, probing waits; ms. */
const CONFLICTS = 15;
const CONFLICT_WINDOW = 10000;
const CONFLICT_WAIT = 5000;
/** Section 6: a record is not multicast again within this, ms. */
export const RATE = 1000;

/** A record of ours on an interface. */
export class Owned {
  /** It has been multicast, last at stack time `last`. */
  sent = false;
  last = 0;
  /** It is to be multicast at stack time `at`; it was asked for at `asked`. */
  queued = false;
  at = 0;
  asked = 0;
  /** The only one who asked, while more of what he knows may follow (section 7.2), or "". */
  asker = "";
  /** Where its data lead: the key of an instance or host, or "". */
  target = "";

  constructor(
    readonly owner: Name,
    readonly type: number,
    /** Seconds. */
    readonly ttl: number,
    /** Nobody else has records of this name and type. */
    readonly unique: boolean,
    readonly data: Uint8Array,
  ) {}
}

/** What makes a claim that of a host or a service. */
export interface ClaimKind {
  /** Its records are this host's addresses. */
  readonly isHost: boolean;
  /** The interface on which it is claimed, or null: all. */
  readonly nif: Interface | null;
  /** The claim whose name the records have in their data, or null. */
  readonly host: Claim | null;
  /** The name; from the second try on with the number of the try. */
  name(tries: number): Name;
  records(claim: Claim, link: MdnsLink): Owned[];
  /** The name has been won. */
  told(claim: Claim): void;
}

export class Claim implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  name: Name;
  tries = 1;
  closed = false;
  /** The name that the application was told. */
  private toldName = "";
  /** Conflicts, each less than CONFLICT_WINDOW after the one before; the last was at stack time `since`. */
  conflicts = 0;
  since = 0;

  constructor(readonly kind: ClaimKind) {
    this.name = kind.name(1);
  }

  /** See `Stack.defer`. */
  run(): void {
    if (this.closed || this.toldName === this.name.text) return;
    this.toldName = this.name.text;
    this.kind.told(this);
  }
}

/** A claim on an interface. */
export class Presence {
  state = WAITING;
  /** Probes or announcements sent, and when the next step is due. */
  count = 0;
  at = 0;
  /** The name was won here: new data need no probe. */
  won = false;
  records: Owned[] = [];

  constructor(readonly claim: Claim) {}
}

/** What the responder has on an interface. */
export class Zone {
  readonly presences: Presence[] = [];
  readonly timer = new Timer(tick, this);
  /** When those claims begin to probe that have come at about the same time. */
  startAt = 0;

  constructor(
    readonly port: MdnsPort,
    readonly link: MdnsLink,
    /** Sends what is queued and due: mdns-answer.ts. */
    readonly answer: (zone: Zone, now: number) => void,
    /** Multicasts records: mdns-answer.ts. */
    readonly say: (zone: Zone, records: Owned[], goodbye: boolean) => void,
    /** A conflict has cost the claim its name: it needs another, on all interfaces. */
    readonly rename: (claim: Claim) => void,
  ) {}
}

/** Puts a claim on an interface. */
export function enter(zone: Zone, claim: Claim): void {
  if (claim.kind.nif && claim.kind.nif !== zone.link.nif) return;
  const presence = new Presence(claim);
  zone.presences.push(presence);
  begin(zone, presence);
}

/** Begins anew with a name: probes as soon as the name of its host is won. */
export function begin(zone: Zone, presence: Presence): void {
  const now = zone.port.stack.now();
  const claim = presence.claim;
  presence.won = false;
  presence.state = WAITING;
  if (!hostReady(zone, claim)) return;
  presence.records = claim.kind.records(claim, zone.link);
  presence.state = PROBING;
  presence.count = 0;
  const left = (zone.startAt - now) | 0;
  if (left <= 0 || left > PROBE_INTERVAL) {
    zone.startAt = (now + zone.port.stack.host.randomBelow(PROBE_INTERVAL)) | 0;
  }
  presence.at = claim.conflicts > CONFLICTS ? (now + CONFLICT_WAIT) | 0 : zone.startAt;
  arm(zone, presence.at);
}

/** Is the name won that the claim's records lead to? */
function hostReady(zone: Zone, claim: Claim): boolean {
  const host = claim.kind.host;
  for (let i = 0; host && i < zone.presences.length; i++) {
    if (zone.presences[i].claim === host) return zone.presences[i].state >= ANNOUNCING;
  }
  return !host;
}

/** The records' data may have changed: takes leave of those that are gone and announces the new ones (section 8.4). */
export function renew(zone: Zone, presence: Presence): void {
  if (presence.state === WAITING) return;
  const old = presence.records;
  const fresh = presence.claim.kind.records(presence.claim, zone.link);
  const gone: Owned[] = [];
  for (let i = 0; i < old.length; i++) {
    let kept = false;
    for (let k = 0; k < fresh.length; k++) {
      const same = fresh[k].owner.key === old[i].owner.key && fresh[k].type === old[i].type;
      // The cache-flush bit of what is new does away with what was.
      if (same && fresh[k].unique) kept = true;
      if (same && sameData(old[i].type, old[i].data, fresh[k].data)) {
        fresh[k].sent = old[i].sent;
        fresh[k].last = old[i].last;
        kept = true;
      }
    }
    if (!kept) gone.push(old[i]);
  }
  presence.records = fresh;
  if (presence.state < ANNOUNCING) return;
  farewell(zone, gone);
  announce(zone, presence);
}

function announce(zone: Zone, presence: Presence): void {
  presence.state = ANNOUNCING;
  presence.count = 0;
  presence.at = zone.port.stack.now();
  arm(zone, presence.at);
}

/** Takes a claim off an interface; `silent`: nothing can be said about it. */
export function leave(zone: Zone, claim: Claim, silent: boolean): void {
  for (let i = zone.presences.length - 1; i >= 0; i--) {
    const presence = zone.presences[i];
    if (presence.claim !== claim) continue;
    zone.presences.splice(i, 1);
    if (!silent && presence.state >= ANNOUNCING) farewell(zone, presence.records);
  }
}

/** Says that records are no more, except those that another claim has as well (section 10.1). */
export function farewell(zone: Zone, records: Owned[]): void {
  const gone: Owned[] = [];
  for (let i = 0; i < records.length; i++) if (!find(zone, records[i])) gone.push(records[i]);
  if (gone.length > 0) zone.say(zone, gone, true);
}

/** A record like `wanted` that is announced, or null. */
function find(zone: Zone, wanted: Owned): Owned | null {
  for (let i = 0; i < zone.presences.length; i++) {
    const presence = zone.presences[i];
    for (let k = 0; k < presence.records.length && presence.state >= ANNOUNCING; k++) {
      const record = presence.records[k];
      if (record !== wanted && sameRecord(record, wanted)) return record;
    }
  }
  return null;
}

export function sameRecord(a: Owned, b: Owned): boolean {
  return a.type === b.type && a.owner.key === b.owner.key && sameData(a.type, a.data, b.data);
}

/** Makes sure that the zone's timer fires at `at` or earlier. */
export function arm(zone: Zone, at: number): void {
  const timer = zone.timer;
  if (timer.slot < 0 || ((at - timer.at) | 0) < 0) zone.port.stack.timers.set(timer, at);
}

/** Does what is due on an interface. */
function tick(zone: Zone): void {
  const now = zone.port.stack.now();
  const probing: Presence[] = [];
  const announced: Owned[] = [];
  for (let i = 0; i < zone.presences.length; i++) {
    const presence = zone.presences[i];
    if (presence.state === PROBING && ((presence.at - now) | 0) <= 0) {
      if (presence.count < PROBES) {
        probing.push(presence);
        presence.count++;
        presence.at = (now + PROBE_INTERVAL) | 0;
      } else win(zone, presence);
    }
    if (presence.state === ANNOUNCING && ((presence.at - now) | 0) <= 0) {
      for (let k = 0; k < presence.records.length; k++) announced.push(presence.records[k]);
      if (++presence.count >= ANNOUNCEMENTS) presence.state = HELD;
      presence.at = (now + ANNOUNCE_INTERVAL) | 0;
    }
  }
  for (let i = 0; i < probing.length;) i = probe(zone, probing, i);
  if (announced.length > 0) zone.say(zone, announced, false);
  zone.answer(zone, now);
  for (let i = 0; i < zone.presences.length; i++) {
    const presence = zone.presences[i];
    if (presence.state === PROBING || presence.state === ANNOUNCING) arm(zone, presence.at);
  }
}

/** Nobody has objected: the name is ours. Those that wait for it go on. */
function win(zone: Zone, presence: Presence): void {
  presence.won = true;
  announce(zone, presence);
  zone.port.stack.defer(presence.claim);
  for (let i = 0; i < zone.presences.length; i++) {
    const other = zone.presences[i];
    if (other.state !== WAITING || other.claim.kind.host !== presence.claim) continue;
    if (other.won) {
      other.records = other.claim.kind.records(other.claim, zone.link);
      announce(zone, other);
    } else begin(zone, other);
  }
}

/** Asks for the names of as many of `list[from..]` as one message holds (section 8.1); returns the first that it does not. */
function probe(zone: Zone, list: Presence[], from: number): number {
  const writer = zone.port.writer;
  const limit = zone.link.limit();
  let size = wire.DNS_HEADER;
  let to = from;
  for (; to < list.length; to++) {
    let more = list[to].claim.name.bytes.length + 4;
    const records = proposal(list[to]);
    for (let i = 0; i < records.length; i++) more += 12 + records[i].data.length;
    if (to > from && size + more > limit) break;
    size += more;
  }
  writer.begin(0, 0, limit);
  for (let i = from; i < to; i++) {
    writer.question(list[i].claim.name.bytes, wire.TYPE_ANY, wire.CLASS_IN | TOP_BIT);
  }
  for (let i = from; i < to; i++) {
    const records = proposal(list[i]);
    for (let k = 0; k < records.length; k++) {
      const record = records[k];
      writer.record(
        wire.DNS_AUTHORITIES,
        record.owner.bytes,
        record.type,
        wire.CLASS_IN,
        record.ttl,
        record.data,
      );
    }
  }
  zone.port.multicast(zone.link);
  return to;
}

/** The records that a claim wants to have of its name. */
function proposal(presence: Presence): Owned[] {
  const name = presence.claim.name;
  return presence.records.filter(
    (record) => record.unique && record.owner === name && record.type !== wire.TYPE_NSEC,
  );
}

/** Somebody else probes for names: of two the one whose records are later in order goes on, the other waits (section 8.2). */
export function breakTie(zone: Zone, message: Message): void {
  for (let i = 0; i < zone.presences.length; i++) {
    const presence = zone.presences[i];
    if (presence.state !== PROBING) continue;
    const theirs = message.proposed.filter((record) => record.name === presence.claim.name.key);
    if (theirs.length === 0) continue;
    const ours = proposal(presence).sort(compareRecords);
    theirs.sort(compareRecords);
    let order = 0;
    for (let k = 0; order === 0 && k < ours.length && k < theirs.length; k++) {
      order = compareRecords(ours[k], theirs[k]);
    }
    if ((order || ours.length - theirs.length) >= 0) continue;
    presence.count = 0;
    presence.at = (zone.port.stack.now() + DEFER) | 0;
    arm(zone, presence.at);
  }
}

/** Others have spoken: is it about a name of ours (section 9)? */
export function heard(zone: Zone, message: Message): void {
  for (let i = 0; i < zone.presences.length; i++) {
    const presence = zone.presences[i];
    for (let k = 0; k < message.records.length && presence.state !== WAITING; k++) {
      const record = message.records[k];
      if (record.name !== presence.claim.name.key || record.type === wire.TYPE_NSEC) continue;
      if (record.ttl === 0 || !differs(presence, record)) continue;
      zone.port.counters.conflicts++;
      conflict(zone, presence);
      break;
    }
  }
}

/** Is it another record of a name and type that is ours alone? While we probe, any record that is somebody's alone counts. */
function differs(presence: Presence, heard: Heard): boolean {
  let ours = presence.state === PROBING && heard.unique;
  for (let i = 0; i < presence.records.length; i++) {
    const record = presence.records[i];
    if (record.owner.key !== heard.name || record.type !== heard.type || !record.unique) continue;
    if (sameData(record.type, record.data, heard.data)) return false;
    ours = true;
  }
  return ours;
}

/** While probing, a conflict costs the name; later the name is probed for again, and then its owner will say so. */
function conflict(zone: Zone, presence: Presence): void {
  const claim = presence.claim;
  const now = zone.port.stack.now();
  if (((now - claim.since) | 0) > CONFLICT_WINDOW) claim.conflicts = 0;
  claim.since = now;
  claim.conflicts++;
  if (presence.state === PROBING) zone.rename(claim);
  else begin(zone, presence);
}
