/** DNS messages as a forwarder reads and makes them (RFC 1035 section 4, RFC 6891): queries of clients, answers of its own. */
import { copyRange, get16, put16, put32 } from "../core/bytes.js";
import * as wire from "../wire/dns.js";

export const SERVER_FAILURE = 2;
export const REFUSED = 5;
const BAD_VERSION = 16;
export const FLAG_AVAILABLE = 0x0080;
export const FLAG_AUTHENTIC = 0x0020;
export const FLAG_UNCHECKED = 0x0010;
/** Bit of the OPT record's flags: the client understands DNSSEC. */
const DNSSEC_OK = 0x8000;
/** Bytes of an OPT record without options. */
export const OPT = 11;
/** Records that a query may have besides its question. */
const RECORDS = 4;

/** A client's query. */
export class ClientQuery {
  id = 0;
  flags = 0;
  /** In lower case. */
  name = "";
  type = 0;
  /** The question as the client wrote it. */
  question: Uint8Array = new Uint8Array(0);
  /** It has an OPT record; the largest reply over UDP; DNSSEC is wanted. */
  edns = false;
  size = 512;
  secure = false;
}

/** What `parseQuery` says besides 0 and codes of responses: nothing is to be answered. */
export const SILENT = -1;

/** Reads the query in `data[0..end)`. Returns 0, the code of the response that it deserves, or `SILENT`. */
export function parseQuery(q: ClientQuery, data: Uint8Array, end: number): number {
  if (end < wire.DNS_HEADER) return SILENT;
  q.id = get16(data, 0);
  q.flags = get16(data, wire.DNS_FLAGS);
  q.name = "";
  q.question = new Uint8Array(0);
  q.edns = q.secure = false;
  q.size = 512;
  if (q.flags & wire.FLAG_RESPONSE) return SILENT;
  if (q.flags & wire.OPCODE) return wire.NOT_IMPLEMENTED;
  const records =
    get16(data, wire.DNS_ANSWERS) + get16(data, wire.DNS_AUTHORITIES) + get16(data, wire.DNS_ADDITIONAL);
  if (get16(data, wire.DNS_QUESTIONS) !== 1 || records > RECORDS) return wire.FORMAT_ERROR;
  const cursor = new wire.Cursor(data, wire.DNS_HEADER, end);
  const name = wire.parseName(cursor);
  if (name === null || cursor.at + 4 > end) return wire.FORMAT_ERROR;
  // A pointer in the first name of a message could only lead to the header.
  q.question = copyRange(data, wire.DNS_HEADER, cursor.at + 4);
  q.name = name.toLowerCase();
  q.type = get16(data, cursor.at);
  const kind = get16(data, cursor.at + 2);
  cursor.at += 4;
  for (let i = 0; i < records; i++) {
    if (!wire.parseRecord(cursor)) return wire.FORMAT_ERROR;
    if (cursor.type !== wire.TYPE_OPT) continue;
    if (q.edns || cursor.name !== "") return wire.FORMAT_ERROR;
    q.edns = true;
    q.size = cursor.class > 512 ? cursor.class : 512;
    q.secure = (get16(data, cursor.start - 4) & DNSSEC_OK) !== 0;
    if (data[cursor.start - 5] !== 0) return BAD_VERSION;
  }
  if (kind !== wire.CLASS_IN) return REFUSED;
  // Everything at once (RFC 8482), and transfers of zones.
  if (q.type === wire.TYPE_ANY) return wire.NOT_IMPLEMENTED;
  return q.type === 0 || (q.type >= 128 && q.type < 256) || q.type === wire.TYPE_OPT ? REFUSED : 0;
}

/** Begins a response in `target`: header and the client's question. Returns where records go. */
export function beginResponse(target: Uint8Array, q: ClientQuery, flags: number, code: number): number {
  put16(target, 0, q.id);
  put16(
    target,
    wire.DNS_FLAGS,
    wire.FLAG_RESPONSE |
      (q.flags & (wire.OPCODE | wire.FLAG_RECURSE | FLAG_UNCHECKED)) |
      FLAG_AVAILABLE |
      flags |
      (code & 15),
  );
  put16(target, wire.DNS_QUESTIONS, q.question.length > 0 ? 1 : 0);
  for (let at = wire.DNS_ANSWERS; at < wire.DNS_HEADER; at++) target[at] = 0;
  target.set(q.question, wire.DNS_HEADER);
  return wire.DNS_HEADER + q.question.length;
}

/** Ends a response: an OPT record where the client had one. */
export function endResponse(
  target: Uint8Array,
  at: number,
  q: ClientQuery,
  size: number,
  code: number,
): number {
  if (!q.edns) return at;
  put16(target, wire.DNS_ADDITIONAL, get16(target, wire.DNS_ADDITIONAL) + 1);
  return emitOpt(target, at, size, q.secure, code >> 4);
}

/** Writes an OPT record; returns the offset behind it. */
export function emitOpt(target: Uint8Array, at: number, size: number, secure: boolean, code: number): number {
  target[at] = 0;
  put16(target, at + 1, wire.TYPE_OPT);
  put16(target, at + 3, size);
  put16(target, at + 5, code << 8);
  put16(target, at + 7, secure ? DNSSEC_OK : 0);
  put16(target, at + 9, 0);
  return at + OPT;
}

/** Adds a record to the answers: `owner` is a name, or `""`: the question's. Returns the offset behind it, -1: no room. */
export function emitAnswer(
  target: Uint8Array,
  at: number,
  owner: string,
  type: number,
  ttl: number,
  value: Uint8Array,
): number {
  if (at + wire.NAME_LIMIT + 10 + value.length + OPT > target.length) return -1;
  if (owner === "") {
    put16(target, at, 0xc000 | wire.DNS_HEADER);
    at += 2;
  } else {
    at = wire.emitName(owner, target, at);
    if (at < 0) return -1;
  }
  put16(target, at, type);
  put16(target, at + 2, wire.CLASS_IN);
  put32(target, at + 4, ttl);
  put16(target, at + 8, value.length);
  target.set(value, at + 10);
  put16(target, wire.DNS_ANSWERS, get16(target, wire.DNS_ANSWERS) + 1);
  return at + 10 + value.length;
}

/** Takes `age` seconds from the lifetimes of all records of the message in `data[0..end)`, which has been read before. */
export function ageRecords(data: Uint8Array, end: number, age: number): void {
  const cursor = new wire.Cursor(data, wire.DNS_HEADER, end);
  const count = get16(data, wire.DNS_ANSWERS) + get16(data, wire.DNS_AUTHORITIES);
  wire.parseName(cursor);
  cursor.at += 4;
  for (let i = 0; i < count && wire.parseRecord(cursor); i++) {
    // A day at most (RFC 8767 section 4), as long as it is kept here.
    const ttl = cursor.ttl < 86400 ? cursor.ttl : 86400;
    put32(data, cursor.start - 6, ttl > age ? ttl - age : 0);
  }
}
