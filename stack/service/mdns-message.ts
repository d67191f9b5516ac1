/**
 * Messages of multicast DNS (RFC 6762 section 18): read into plain objects, written with name compression.
 *
 * What has been read is the whole message or nothing: names are followed and data looked at before anything is believed.
 */
import { copyRange, get16, put16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import * as wire from "../wire/dns.js";
import type { MailExchange, RecordData, Service } from "../wire/dns.js";

export const MDNS_PORT = 5353;
/** Highest bit of a class: in questions "unicast reply wanted" (section 5.4), in records "cache flush" (section 10.2). */
export const TOP_BIT = 0x8000;
/** Seconds for which records hold that name a host, or are an address; and for all others (section 10). */
export const HOST_TTL = 120;
export const OTHER_TTL = 4500;
/** Flags of what we say. */
export const RESPONSE = wire.FLAG_RESPONSE | wire.FLAG_AUTHORITATIVE;
/** Questions that a message may have. */
const QUESTIONS = 128;
/** Longest time for which anything is believed, seconds. */
const DAY = 86400;
/** Bytes of the largest message that is ever written: one record may exceed the MTU (section 17). */
const WRITER_SIZE = 2048;
/** Places in a message that names may be compressed to. */
const LABELS = 64;

/** A name in the three forms that are needed: as it was written, in lower case to compare, and on the wire. */
export interface Name {
  readonly text: string;
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** The name that `text` (in the form of zone files) is; throws `EINVAL` when it is none. */
export function nameOf(text: string): Name {
  const plain = typeof text === "string" ? wire.canonicalName(text) : null;
  if (!plain) return fail("EINVAL", "name " + text);
  return { text: plain, key: plain.toLowerCase(), bytes: wire.nameBytes(plain) };
}

export interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

/** A record as it was heard. */
export interface Heard {
  /** Owner, in lower case. */
  readonly name: string;
  readonly type: number;
  /** It is the only one of its owner and type, but for those beside it: the cache-flush bit. */
  readonly unique: boolean;
  /** Seconds, a day at most. */
  readonly ttl: number;
  readonly value: RecordData;
  /** The data with all names written out; of NSEC the bitmap alone. */
  readonly data: Uint8Array;
}

/** A message that has been read. */
export class Message {
  readonly questions: Question[] = [];
  /** Of the answer section; of responses those of the additional section as well. */
  readonly records: Heard[] = [];
  /** Of the authority section of queries: what a prober wants to have (section 8.2). */
  readonly proposed: Heard[] = [];

  constructor(
    readonly id: number,
    readonly flags: number,
  ) {}
}

/** What reading a message may count. */
export interface MessageCounters {
  malformed: number;
  tooMany: number;
}

/** Reads `data[0..end)`. Null: it is no message, or has more than 128 questions, and a counter says so. */
export function parseMessage(data: Uint8Array, end: number, counters: MessageCounters): Message | null {
  const cursor = new wire.Cursor(data, wire.DNS_HEADER, end);
  const message = new Message(get16(data, 0), get16(data, wire.DNS_FLAGS));
  const response = (message.flags & wire.FLAG_RESPONSE) !== 0;
  const count = end < wire.DNS_HEADER ? 0 : get16(data, wire.DNS_QUESTIONS);
  let good = end >= wire.DNS_HEADER;
  if (count > QUESTIONS) {
    counters.tooMany++;
    return null;
  }
  for (let i = 0; i < count && good; i++) {
    const name = wire.parseName(cursor);
    const at = cursor.at;
    good = name !== null && end - at >= 4;
    if (!good) break;
    cursor.at = at + 4;
    message.questions.push({
      name: (name as string).toLowerCase(),
      type: get16(data, at),
      class: get16(data, at + 2),
    });
  }
  good = good && parseRecords(cursor, wire.DNS_ANSWERS, message.records);
  // What is in the sections behind concerns nobody in the other kind of message.
  good = good && parseRecords(cursor, wire.DNS_AUTHORITIES, response ? [] : message.proposed);
  if (response) good = good && parseRecords(cursor, wire.DNS_ADDITIONAL, message.records);
  if (good) return message;
  counters.malformed++;
  return null;
}

function parseRecords(cursor: wire.Cursor, section: number, into: Heard[]): boolean {
  const count = get16(cursor.data, section);
  for (let i = 0; i < count; i++) {
    if (!wire.parseRecord(cursor)) return false;
    if ((cursor.class & ~TOP_BIT) !== wire.CLASS_IN) continue;
    const value = wire.parseData(cursor);
    const data = value === null ? null : plainData(cursor, value);
    if (value === null || data === null) return false;
    into.push({
      name: cursor.name,
      type: cursor.type,
      unique: (cursor.class & TOP_BIT) !== 0,
      ttl: cursor.ttl < DAY ? cursor.ttl : DAY,
      value,
      data,
    });
  }
  return true;
}

/** The data of the record at the cursor without compression, so that they can be compared (section 8.2). */
function plainData(cursor: wire.Cursor, value: RecordData): Uint8Array | null {
  const type = cursor.type;
  if (type === wire.TYPE_SRV) return withName(cursor, 6, (value as Service).target);
  if (type === wire.TYPE_MX) return withName(cursor, 2, (value as MailExchange).exchange);
  if (type === wire.TYPE_PTR || type === wire.TYPE_CNAME || type === wire.TYPE_NS)
    return wire.nameBytes(value as string);
  let from = cursor.start;
  if (type === wire.TYPE_NSEC) {
    const inner = new wire.Cursor(cursor.data, from, cursor.at);
    if (wire.parseName(inner) === null) return null;
    from = inner.at;
  }
  return copyRange(cursor.data, from, cursor.at);
}

function withName(cursor: wire.Cursor, before: number, name: string): Uint8Array {
  const bytes = wire.nameBytes(name);
  const data = new Uint8Array(before + bytes.length);
  data.set(cursor.data.subarray(cursor.start, cursor.start + before));
  data.set(bytes, before);
  return data;
}

/** Are the data of two records of `type` the same? Names are, whatever the case of their letters. */
export function sameData(type: number, a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  const letters =
    type === wire.TYPE_SRV ? 6 : type === wire.TYPE_PTR || type === wire.TYPE_CNAME ? 0 : a.length;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] && (i < letters || lower(a[i]) !== lower(b[i]))) return false;
  }
  return true;
}

function lower(byte: number): number {
  return byte > 64 && byte < 91 ? byte + 32 : byte;
}

/** Does an NSEC record's bitmap say that there are records of `type` (RFC 4034 section 4.1.2)? */
export function inBitmap(bitmap: Uint8Array, type: number): boolean {
  for (let at = 0; at + 2 <= bitmap.length; at += 2 + bitmap[at + 1]) {
    const place = (type & 255) >> 3;
    if (bitmap[at] === type >> 8 && place < bitmap[at + 1] && at + 2 + place < bitmap.length)
      return (bitmap[at + 2 + place] & (128 >> (type & 7))) !== 0;
  }
  return false;
}

/** Writes a message. There is one for each component: what is in it must be sent before the next is begun. */
export class Writer {
  readonly data = new Uint8Array(WRITER_SIZE);
  /** Bytes so far. */
  at = 0;
  /** Bytes that it may have, unless one record alone has more. */
  limit = 0;
  /** Where labels begin that names may end with. */
  private labels: number[] = [];

  begin(id: number, flags: number, limit: number): void {
    for (let i = 0; i < wire.DNS_HEADER; i++) this.data[i] = 0;
    put16(this.data, 0, id);
    put16(this.data, wire.DNS_FLAGS, flags);
    this.at = wire.DNS_HEADER;
    this.limit = limit;
    this.labels = [];
  }

  /** Entries of a section. */
  count(section: number): number {
    return get16(this.data, section);
  }

  empty(): boolean {
    return this.at === wire.DNS_HEADER;
  }

  /** Adds a question; false: there is no room. */
  question(name: Uint8Array, type: number, classAndBit: number): boolean {
    const start = this.at;
    // Names are at most 255 bytes, and so is the room behind the limit.
    if (start + name.length + 4 > this.limit) return false;
    this.name(name);
    put16(this.data, this.at, type);
    put16(this.data, this.at + 2, classAndBit);
    this.at += 4;
    put16(this.data, wire.DNS_QUESTIONS, this.count(wire.DNS_QUESTIONS) + 1);
    return true;
  }

  /** Adds a record to `section` (sections are filled in their order); false: there is no room. */
  record(
    section: number,
    owner: Uint8Array,
    type: number,
    classAndBit: number,
    ttl: number,
    data: Uint8Array,
  ): boolean {
    const start = this.at;
    const alone = this.empty();
    if (start + owner.length + 10 + data.length > WRITER_SIZE) return false;
    const known = this.labels.length;
    this.name(owner);
    const at = this.at;
    this.at += 10;
    if (type === wire.TYPE_PTR) this.name(data);
    else {
      this.data.set(data, this.at);
      this.at += data.length;
    }
    if (this.at > this.limit && !alone) {
      this.at = start;
      while (this.labels.length > known) this.labels.pop();
      return false;
    }
    put16(this.data, at, type);
    put16(this.data, at + 2, classAndBit);
    put32(this.data, at + 4, ttl);
    put16(this.data, at + 8, this.at - at - 10);
    put16(this.data, section, this.count(section) + 1);
    return true;
  }

  /** Writes a name, its end as a pointer to where the same labels stand already. */
  private name(bytes: Uint8Array): void {
    const data = this.data;
    // Not to labels of the same name: what follows them is not there yet.
    const known = this.labels.length;
    for (let from = 0; bytes[from] !== 0; from += bytes[from] + 1) {
      for (let i = 0; i < known; i++) {
        if (!this.sameTail(this.labels[i], bytes, from)) continue;
        put16(data, this.at, 0xc000 | this.labels[i]);
        this.at += 2;
        return;
      }
      if (this.labels.length < LABELS) this.labels.push(this.at);
      for (let i = 0; i <= bytes[from]; i++) data[this.at++] = bytes[from + i];
    }
    data[this.at++] = 0;
  }

  /** Do the labels at `at` of this message read like `bytes[from..]`? */
  private sameTail(at: number, bytes: Uint8Array, from: number): boolean {
    const data = this.data;
    for (;;) {
      while (data[at] > 191) at = get16(data, at) & 0x3fff;
      const length = data[at];
      for (let i = 0; i <= length; i++) if (data[at + i] !== bytes[from + i]) return false;
      if (length === 0) return true;
      at += length + 1;
      from += length + 1;
    }
  }
}

/** -1, 0 or 1: which of two records is the later in the order of section 8.2: by type, then by the bytes of their data. */
export function compareRecords(
  a: { type: number; data: Uint8Array },
  b: { type: number; data: Uint8Array },
): number {
  if (a.type !== b.type) return a.type < b.type ? -1 : 1;
  for (let i = 0; i < a.data.length && i < b.data.length; i++) {
    if (a.data[i] !== b.data[i]) return a.data[i] < b.data[i] ? -1 : 1;
  }
  return a.data.length < b.data.length ? -1 : a.data.length > b.data.length ? 1 : 0;
}
