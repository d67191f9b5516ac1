/**
 * What a responder says when it is asked (RFC 6762 sections 5.4, 6, 7; RFC 6763 section 12).
 *
 * A record knows itself when it was multicast and whether it is to be: so there is one answer to many who ask at a time, none
 * within a second of the last, and nothing to remember of those who ask.
 */
import * as wire from "../wire/dns.js";
import { ANNOUNCING, RATE, arm, breakTie, sameRecord } from "./mdns-claim.js";
import type { Owned, Zone } from "./mdns-claim.js";
import { MDNS_PORT, RESPONSE, TOP_BIT, sameData } from "./mdns-message.js";
import type { Heard, Message, Question } from "./mdns-message.js";
import type { Asker } from "./mdns-port.js";

/** Milliseconds: before answers that others may have as well (section 6), and when more of what is known follows (7.2). */
const SHARED_DELAY = 20;
const SHARED_RANGE = 101;
const TRUNCATED_DELAY = 400;
/** How long an asker may go on to say what he knows, ms. */
const TRUNCATED_LIMIT = 3000;
/** Section 6: a record may be repeated this soon, ms, to one who is about to take its name. */
const PROBE_RATE = 250;
/** Seconds for which resolvers that know no multicast may keep an answer (section 6.7). */
const LEGACY_TTL = 10;

/** Calls `visit` for all records that may be spoken of. */
export function eachRecord(zone: Zone, visit: (record: Owned) => void): void {
  for (let i = 0; i < zone.presences.length; i++) {
    const presence = zone.presences[i];
    for (let k = 0; k < presence.records.length && presence.state >= ANNOUNCING; k++)
      visit(presence.records[k]);
  }
}

/** Our records that answer a question; that there are none, where the name is ours alone (section 6.1). */
export function answersTo(zone: Zone, question: Question): Owned[] {
  const found: Owned[] = [];
  let none: Owned | null = null;
  const asked = question.class & ~TOP_BIT;
  if (asked !== wire.CLASS_IN && asked !== wire.CLASS_ANY) return found;
  eachRecord(zone, (record) => {
    if (record.owner.key !== question.name) return;
    if (record.type === wire.TYPE_NSEC && question.type !== wire.TYPE_NSEC) none = record;
    else if (question.type === wire.TYPE_ANY || question.type === record.type) found.push(record);
  });
  if (found.length === 0 && none) found.push(none);
  return found;
}

/** Takes a query: answers by unicast at once, by multicast when it is time. */
export function query(zone: Zone, message: Message, asker: Asker): void {
  const stack = zone.port.stack;
  const counters = zone.port.counters;
  const now = stack.now();
  const probe = message.proposed.length > 0;
  const legacy = asker.port !== MDNS_PORT;
  const more = (message.flags & wire.FLAG_TRUNCATED) !== 0;
  const direct: Owned[] = [];
  const wanted: Owned[] = [];
  if (probe) breakTie(zone, message);
  if (message.questions.length === 0) {
    continued(zone, message, asker, now, more);
    return;
  }
  let shared = false;
  for (let i = 0; i < message.questions.length; i++) {
    const question = message.questions[i];
    const found = answersTo(zone, question);
    for (let k = 0; k < found.length; k++) {
      const record = found[k];
      if (direct.indexOf(record) >= 0 || wanted.indexOf(record) >= 0) continue;
      const age = record.sent ? (now - record.last) | 0 : -1;
      const byUnicast = asker.near && (legacy || asker.unicast || (question.class & TOP_BIT) !== 0);
      if (isKnown(message.records, record)) counters.suppressed++;
      else if (legacy) direct.push(record);
      else {
        // Everybody's memory is refreshed with it unless that was done of late (section 5.4).
        const fresh = age >= 0 && age < record.ttl * 250;
        if (byUnicast && (fresh || probe)) direct.push(record);
        if (byUnicast && fresh) continue;
        if (age >= 0 && age < RATE && !probe) counters.limited++;
        else {
          wanted.push(record);
          if (!record.unique) shared = true;
        }
      }
    }
  }
  let delay = 0;
  if (more) delay = TRUNCATED_DELAY + stack.host.randomBelow(SHARED_RANGE);
  else if (shared && !probe) delay = SHARED_DELAY + stack.host.randomBelow(SHARED_RANGE);
  for (let i = 0; i < wanted.length; i++) {
    const record = wanted[i];
    let at = (now + delay) | 0;
    if (record.sent && ((record.last + PROBE_RATE - at) | 0) > 0) at = (record.last + PROBE_RATE) | 0;
    const name = more ? asker.address : "";
    if (record.queued) {
      if (record.asker !== name) record.asker = "";
      if (((at - record.at) | 0) > 0) at = record.at;
    } else {
      record.asker = name;
      record.asked = now;
    }
    record.queued = true;
    record.at = at;
    arm(zone, at);
  }
  if (direct.length > 0) reply(zone, message, asker, direct, legacy);
}

/** Does a list of known answers hold the record, for at least half its time to come (section 7.1)? */
function isKnown(known: Heard[], record: Owned): boolean {
  for (let i = 0; i < known.length; i++) {
    if (known[i].ttl * 2 >= record.ttl && sameHeard(known[i], record)) return true;
  }
  return false;
}

function sameHeard(heard: Heard, record: Owned): boolean {
  return (
    heard.type === record.type &&
    heard.name === record.owner.key &&
    sameData(record.type, record.data, heard.data)
  );
}

/** One who asks says what else he knows (section 7.2). */
function continued(zone: Zone, message: Message, asker: Asker, now: number, more: boolean): void {
  const later = (now + TRUNCATED_DELAY + zone.port.stack.host.randomBelow(SHARED_RANGE)) | 0;
  eachRecord(zone, (record) => {
    if (!record.queued || record.asker !== asker.address) return;
    if (isKnown(message.records, record)) {
      record.queued = false;
      zone.port.counters.suppressed++;
    } else if (more && ((now - record.asked) | 0) < TRUNCATED_LIMIT) record.at = later;
  });
}

/** Answers one who asked, by unicast; what does not fit is left out, and the message says so. */
function reply(zone: Zone, message: Message, asker: Asker, records: Owned[], legacy: boolean): void {
  const port = zone.port;
  const writer = port.beginResponse(zone.link, legacy ? message.id : 0);
  for (let i = 0; legacy && i < message.questions.length; i++) {
    const question = message.questions[i];
    const bytes = new Uint8Array(wire.NAME_LIMIT + 1);
    const end = wire.emitName(question.name, bytes, 0);
    writer.question(bytes.subarray(0, end), question.type, question.class & ~TOP_BIT);
  }
  const ttl = legacy ? LEGACY_TTL : 0;
  for (let i = 0; i < records.length; i++) {
    if (put(zone, wire.DNS_ANSWERS, records[i], ttl, !legacy)) continue;
    writer.data[wire.DNS_FLAGS] = (RESPONSE | wire.FLAG_TRUNCATED) >> 8;
    break;
  }
  addRelated(zone, records, ttl, !legacy, false);
  port.unicast(zone.link, asker);
}

/** Sends what is queued and due, and says when the next is. */
export function answer(zone: Zone, now: number): void {
  const due: Owned[] = [];
  eachRecord(zone, (record) => {
    if (!record.queued) return;
    if (((record.at - now) | 0) <= 0) due.push(record);
    else arm(zone, record.at);
  });
  if (due.length > 0) say(zone, due, false);
}

/** Multicasts records in as many messages as they need, with those that go with them; `goodbye`: they are no more. */
export function say(zone: Zone, records: Owned[], goodbye: boolean): void {
  const port = zone.port;
  const now = port.stack.now();
  const writer = port.beginResponse(zone.link, 0);
  for (let i = 0; i < records.length; i++) {
    const record = records[i];
    let double = false;
    for (let k = 0; k < i && !double; k++) double = sameRecord(records[k], record);
    record.queued = false;
    record.sent = true;
    record.last = now;
    if (double) continue;
    const ttl = goodbye ? -1 : 0;
    if (put(zone, wire.DNS_ANSWERS, record, ttl, true)) continue;
    if (!writer.empty()) port.multicast(zone.link);
    port.beginResponse(zone.link, 0);
    put(zone, wire.DNS_ANSWERS, record, ttl, true);
  }
  if (!goodbye) addRelated(zone, records, 0, true, true);
  port.multicast(zone.link);
}

/** `most`: seconds at most, 0: the record's own, -1: none. `flush`: the cache-flush bit where it is due. */
function put(zone: Zone, section: number, record: Owned, most: number, flush: boolean): boolean {
  const ttl = most < 0 ? 0 : most > 0 && most < record.ttl ? most : record.ttl;
  const bit = flush && record.unique ? TOP_BIT : 0;
  const owner = record.owner.bytes;
  return zone.port.writer.record(section, owner, record.type, wire.CLASS_IN | bit, ttl, record.data);
}

/**
 * Adds what those who hear these records will ask for next: of an instance its host and text, of a host its addresses.
 *
 * @param all to all on the link: what they heard within the last second is left out
 */
function addRelated(zone: Zone, records: Owned[], ttl: number, flush: boolean, all: boolean): void {
  const now = zone.port.stack.now();
  const list = records.slice();
  for (let i = 0; i < list.length; i++) {
    const from = list[i];
    const address = from.type === wire.TYPE_A || from.type === wire.TYPE_AAAA;
    const target = address ? from.owner.key : from.target;
    if (!target) continue;
    eachRecord(zone, (record) => {
      if (record.owner.key !== target || (record.type === wire.TYPE_NSEC && !address)) return;
      for (let k = 0; k < list.length; k++) if (sameRecord(list[k], record)) return;
      list.push(record);
      if (all && record.sent && ((now - record.last) | 0) < RATE) return;
      if (!put(zone, wire.DNS_ADDITIONAL, record, ttl, flush) || !all) return;
      record.sent = true;
      record.last = now;
      record.queued = false;
    });
  }
}

/** Others have given answers: those need not be given again, unless they would soon be forgotten (sections 6.6, 7.4). */
export function overheard(zone: Zone, message: Message): void {
  const now = zone.port.stack.now();
  eachRecord(zone, (record) => {
    for (let i = 0; i < message.records.length; i++) {
      const heard = message.records[i];
      if (!sameHeard(heard, record)) continue;
      if (heard.ttl * 2 < record.ttl) {
        record.at = record.sent && ((now - record.last) | 0) < RATE ? (record.last + RATE) | 0 : now;
        record.queued = true;
        record.asker = "";
        arm(zone, record.at);
      } else if (record.queued && heard.ttl >= record.ttl) {
        record.queued = false;
        zone.port.counters.suppressed++;
      }
    }
  });
}
