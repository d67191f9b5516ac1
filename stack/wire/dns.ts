/**
 * DNS messages (RFC 1035 section 4): names and resource records. Written with RFC 9267 in hand: nothing here throws, follows a
 * pointer that does not lead strictly backwards, or reads beyond the end.
 *
 * Names are text in the form of zone files (RFC 1035 section 5.1): labels with dots between, no dot at the end; bytes other
 * than the visible ASCII characters are `\DDD`, and a dot or backslash within a label has a backslash before it. So a name's text
 * says exactly what is on the wire, whatever bytes a stranger has put there.
 */
import { copyRange, get16, get32 } from "../core/bytes.js";
import { format4 } from "../core/text4.js";
import { format6 } from "../core/text6.js";

export const DNS_HEADER = 12;
export const DNS_FLAGS = 2;
export const DNS_QUESTIONS = 4;
export const DNS_ANSWERS = 6;
export const DNS_AUTHORITIES = 8;
export const DNS_ADDITIONAL = 10;

/** Bits of DNS_FLAGS. */
export const FLAG_RESPONSE = 0x8000;
export const OPCODE = 0x7800;
export const FLAG_AUTHORITATIVE = 0x0400;
export const FLAG_TRUNCATED = 0x0200;
export const FLAG_RECURSE = 0x0100;
export const RCODE = 15;

export const FORMAT_ERROR = 1;
export const NAME_ERROR = 3;
export const NOT_IMPLEMENTED = 4;

export const TYPE_A = 1;
export const TYPE_NS = 2;
export const TYPE_CNAME = 5;
export const TYPE_SOA = 6;
export const TYPE_PTR = 12;
export const TYPE_MX = 15;
export const TYPE_TXT = 16;
export const TYPE_AAAA = 28;
export const TYPE_SRV = 33;
export const TYPE_OPT = 41;
export const TYPE_NSEC = 47;
export const TYPE_ANY = 255;
export const CLASS_IN = 1;
export const CLASS_ANY = 255;

/** Types by name; others go by number. */
const TYPE_NAMES = ["A", "NS", "CNAME", "PTR", "MX", "TXT", "AAAA", "SRV"];
const TYPES = [TYPE_A, TYPE_NS, TYPE_CNAME, TYPE_PTR, TYPE_MX, TYPE_TXT, TYPE_AAAA, TYPE_SRV];

/** The number of a type that is given by its name or number; of an unknown name undefined. */
export function typeNumber(type: string | number): number | undefined {
  return typeof type === "string" ? TYPES[TYPE_NAMES.indexOf(type)] : type;
}

/** The name of a type, or its number when it has none. */
export function typeName(type: number): string | number {
  const known = TYPES.indexOf(type);
  return known < 0 ? type : TYPE_NAMES[known];
}

/** Bytes of the longest name on the wire (RFC 1035 section 2.3.4). */
export const NAME_LIMIT = 255;
/** Pointers that one name may follow. Servers use one or two. */
const JUMPS = 16;

/** A place in a message, and the record last read there. */
export class Cursor {
  /** Owner, in lower case. */
  name = "";
  type = 0;
  class = 0;
  /** Seconds; what has the highest bit set counts as 0 (RFC 2181 section 8). */
  ttl = 0;
  /** The record's data are `data[start..at)`. */
  start = 0;

  constructor(
    readonly data: Uint8Array,
    public at: number,
    readonly end: number,
  ) {}
}

/** The name at `cursor.at`, which moves behind it; null when it is malformed. */
export function parseName(cursor: Cursor): string | null {
  const data = cursor.data;
  let end = cursor.end;
  let at = cursor.at;
  let low = at;
  let next = 0;
  let jumps = 0;
  let size = 1;
  let text = "";
  for (;;) {
    let length = at < end ? data[at++] : 64;
    if (length === 0) break;
    if (length > 63) {
      const target = length >= 192 && at < end ? ((length & 63) << 8) | data[at++] : low;
      if (target >= low || target < DNS_HEADER || ++jumps > JUMPS) return null;
      if (next === 0) next = at;
      // What a pointer leads to was there before, all of it.
      end = low;
      at = low = target;
      continue;
    }
    size += length + 1;
    if (size > NAME_LIMIT || length > end - at) return null;
    if (text) text += ".";
    for (; length > 0; length--) {
      const byte = data[at++];
      if (byte < 33 || byte > 126) text += "\\" + ("00" + byte).slice(-3);
      else text += (byte === 46 || byte === 92 ? "\\" : "") + String.fromCharCode(byte);
    }
  }
  cursor.at = next || at;
  return text;
}

/**
 * Writes a name at `target[at..]`, where there must be room for 255 bytes. A dot at its end does no harm, blanks need no
 * backslash.
 *
 * @returns the offset behind it, or -1 when `text` is no name
 */
export function emitName(text: string, target: Uint8Array, at: number): number {
  const limit = at + NAME_LIMIT;
  let label = at++;
  if (text === ".") text = "";
  for (let i = 0; i <= text.length; i++) {
    let byte = i < text.length ? text.charCodeAt(i) : 46;
    if (byte === 46) {
      const length = at - label - 1;
      if (length === 0 && i === text.length) break;
      if (length === 0 || length > 63 || at >= limit) return -1;
      target[label] = length;
      label = at++;
      continue;
    }
    if (byte === 92) {
      byte = text.charCodeAt(++i);
      if (byte >= 48 && byte < 58) {
        byte = parseInt(text.substring(i, i + 3), 10);
        i += 2;
      }
    } else if (byte < 32 || byte > 126) return -1;
    if (!(byte >= 0 && byte < 256) || i >= text.length || at >= limit) return -1;
    target[at++] = byte;
  }
  target[label] = 0;
  return at;
}

/** A name as the data of a record; of what is no name nothing. */
export function nameBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(NAME_LIMIT + 1);
  const end = emitName(text, bytes, 0);
  return bytes.subarray(0, end < 0 ? 0 : end);
}

/** A name as `parseName` would have it from the wire, its letters kept; null: `text` is no name. */
export function canonicalName(text: string): string | null {
  const bytes = new Uint8Array(NAME_LIMIT + 1);
  const end = emitName(text, bytes, 0);
  return end < 0 ? null : parseName(new Cursor(bytes, 0, end));
}

/** Reads the record at `cursor.at` into the cursor, which moves behind it; false when it is malformed. */
export function parseRecord(cursor: Cursor): boolean {
  const data = cursor.data;
  const name = parseName(cursor);
  const at = cursor.at;
  if (name === null || cursor.end - at < 10) return false;
  const ttl = get32(data, at + 4);
  cursor.name = name.toLowerCase();
  cursor.type = get16(data, at);
  cursor.class = get16(data, at + 2);
  cursor.ttl = ttl < 0 ? 0 : ttl;
  cursor.start = at + 10;
  cursor.at = at + 10 + get16(data, at + 8);
  return cursor.at <= cursor.end;
}

/** Data of MX and SRV records. */
export interface MailExchange {
  preference: number;
  exchange: string;
}
export interface Service {
  priority: number;
  weight: number;
  port: number;
  target: string;
}

/** Data of a record: addresses and names are text, TXT is its strings, types that are not known are bytes. */
export type RecordData = string | string[] | MailExchange | Service | Uint8Array;

/** The data of the record that the cursor has read, or null when they are malformed. The cursor stays behind the record. */
export function parseData(cursor: Cursor): RecordData | null {
  const data = cursor.data;
  const start = cursor.start;
  const end = cursor.at;
  const length = end - start;
  const type = cursor.type;
  if (type === TYPE_A) return length === 4 ? format4(get32(data, start)) : null;
  if (type === TYPE_AAAA) return length === 16 ? format6(data, start) : null;
  if (type === TYPE_TXT) {
    const strings: string[] = [];
    for (let at = start; at < end;) {
      let text = "";
      let left = data[at++];
      if (left > end - at) return null;
      for (; left > 0; left--) text += String.fromCharCode(data[at++]);
      strings.push(text);
    }
    return strings;
  }
  const before = type === TYPE_SRV ? 6 : type === TYPE_MX ? 2 : 0;
  if (before || type === TYPE_CNAME || type === TYPE_NS || type === TYPE_PTR) {
    const inner = new Cursor(data, start + before, end);
    const name = length > before ? parseName(inner) : null;
    if (name === null || inner.at !== end) return null;
    if (type === TYPE_MX) return { preference: get16(data, start), exchange: name };
    if (type !== TYPE_SRV) return name;
    return {
      priority: get16(data, start),
      weight: get16(data, start + 2),
      port: get16(data, start + 4),
      target: name,
    };
  }
  return copyRange(data, start, end);
}
