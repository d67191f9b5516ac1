/** What a DNS response says about the name that was asked for, and about no other (RFC 1034 section 5.3.3, RFC 2308). */
import { get16, get32 } from "../core/bytes.js";
import { ELOOP, ENODATA, ENOTFOUND } from "../core/errors.js";
import * as wire from "../wire/dns.js";
import type { RecordData } from "../wire/dns.js";

/** A resource record: plain data. */
export interface DnsRecord {
  /** The owner, in lower case. */
  name: string;
  /** `"A"`, `"MX"`, ...; the number of a type that has no name here. */
  type: string | number;
  /** Seconds for which it still holds, a day at most. */
  ttl: number;
  data: RecordData;
}

/** Aliases from the name that was asked to the one that has the records. */
export const ALIASES = 8;
/** Longest time for which an answer holds, seconds; and for which it holds that there is none (RFC 2308 section 5). */
const DAY = 86400;
const NEGATIVE = 10800;

/** Code of an answer that ends with an alias: its target is to be asked for. */
export const ALIAS = 1;

export class Answer {
  /** 0, `ALIAS`, `ENOTFOUND`, `ENODATA` or `ELOOP`. */
  code = 0;
  /** Aliases in the order in which they lead on, then the records. */
  records: DnsRecord[] = [];
  /** The last alias's target. */
  target = "";
  aliases = 0;
  /** Seconds for which this may be kept; 0: not at all. */
  ttl = DAY;
  /** What lies behind this offset of the message has no part in it. */
  end = 0;
}

/**
 * Reads the response in `data[0..end)` (its question is `name`, in lower case, and `type`).
 *
 * @param label what the records are to have as their type
 * @param age seconds since it came
 * @returns null when it is malformed: then nothing of it counts
 */
export function readAnswer(
  data: Uint8Array,
  end: number,
  name: string,
  type: number,
  label: string | number,
  age: number,
): Answer | null {
  const cursor = new wire.Cursor(data, wire.DNS_HEADER, end);
  const answer = new Answer();
  const count = get16(data, wire.DNS_ANSWERS);
  wire.parseName(cursor);
  const start = cursor.at + 4;
  const add = (as: string | number): RecordData | null => {
    const value = wire.parseData(cursor);
    if (value !== null) {
      const ttl = cursor.ttl < DAY ? cursor.ttl : DAY;
      if (ttl < answer.ttl) answer.ttl = ttl;
      answer.records.push({ name: cursor.name, type: as, ttl: ttl > age ? ttl - age : 0, data: value });
    }
    return value;
  };
  let found = false;
  for (;;) {
    let target: RecordData | null = "";
    cursor.at = start;
    for (let i = 0; i < count; i++) {
      if (!wire.parseRecord(cursor)) return null;
      if (cursor.name !== name || cursor.class !== wire.CLASS_IN) continue;
      if (cursor.type === type) {
        found = true;
        if (add(label) === null) return null;
      } else if (cursor.type === wire.TYPE_CNAME && !target && !found) {
        target = add("CNAME");
        if (target === null) return null;
      }
    }
    answer.end = cursor.at;
    if (found || !target) break;
    answer.target = name = (target as string).toLowerCase();
    if (++answer.aliases > ALIASES) {
      answer.code = ELOOP;
      answer.ttl = 0;
      return answer;
    }
  }
  if (found) return answer;
  return denial(cursor, answer, name) ? answer : null;
}

/** No record: does the authority say that there is none, and for how long (RFC 2308 section 5)? False: malformed. */
function denial(cursor: wire.Cursor, answer: Answer, name: string): boolean {
  const data = cursor.data;
  const exists = (data[wire.DNS_FLAGS + 1] & wire.RCODE) !== wire.NAME_ERROR;
  const count = get16(data, wire.DNS_AUTHORITIES);
  let said = false;
  for (let i = 0; i < count; i++) {
    if (!wire.parseRecord(cursor)) return false;
    const zone = cursor.name;
    if (cursor.type !== wire.TYPE_SOA || cursor.class !== wire.CLASS_IN || cursor.at - cursor.start < 22)
      continue;
    // Of the name's own zone, or of one above.
    if (zone && name !== zone && name.slice(-1 - zone.length) !== "." + zone) continue;
    const minimum = get32(data, cursor.at - 4);
    let least = minimum < cursor.ttl ? minimum : cursor.ttl;
    if (least < 0) least = 0;
    else if (least > NEGATIVE) least = NEGATIVE;
    if (least < answer.ttl) answer.ttl = least;
    said = true;
  }
  answer.end = cursor.at;
  if (exists && answer.aliases > 0 && !said) answer.code = ALIAS;
  else {
    answer.code = exists ? ENODATA : ENOTFOUND;
    answer.records = [];
    if (!said) answer.ttl = 0;
  }
  return true;
}
