/** What the DNS forwarder makes of answers for clients that have IPv6 alone (DNS64, RFC 6147), by the rule of dns64.ts. */
import { put16 } from "../core/bytes.js";
import { ENODATA } from "../core/errors.js";
import { parse6 } from "../core/text6.js";
import * as wire from "../wire/dns.js";
import { ALIAS } from "./dns-answer.js";
import type { Answer } from "./dns-answer.js";
import type { Dns64 } from "./dns64.js";
import { ClientQuery, beginResponse, emitAnswer } from "./dns-forwarder-message.js";

/** Seconds for which an answer holds whose AAAA's denial did not say (RFC 6147 section 5.1.7). */
const SYNTHETIC_TTL = 600;

/** No AAAA record, or none that may be given. */
export function isDenial(rule: Dns64, answer: Answer): boolean {
  if (answer.code === ENODATA || answer.code === ALIAS) return true;
  if (answer.code !== 0) return false;
  for (let i = 0; i < answer.records.length; i++) {
    const record = answer.records[i];
    const bytes = record.type === wire.TYPE_AAAA ? parse6(record.data as string) : null;
    if (bytes && rule.accepts(bytes)) return false;
  }
  return true;
}

/** Makes AAAA records of A records: the response, and the seconds for which it holds. Null: there are none. */
export function synthesize(
  rule: Dns64,
  name: string,
  answer: Answer,
  denial: Answer | null,
): { response: Uint8Array; ttl: number } | null {
  const q = new ClientQuery();
  const question = wire.nameBytes(name);
  const out = new Uint8Array(4096);
  q.question = new Uint8Array(question.length + 4);
  q.question.set(question);
  put16(q.question, question.length, wire.TYPE_AAAA);
  put16(q.question, question.length + 2, wire.CLASS_IN);
  let at = beginResponse(out, q, 0, 0);
  let ttl = (denial && denial.ttl) || SYNTHETIC_TTL;
  let made = 0;
  for (let i = 0; i < answer.records.length && at > 0; i++) {
    const record = answer.records[i];
    const alias = record.type === "CNAME";
    const value = alias ? wire.nameBytes(record.data as string) : rule.synthesize(record.data as string);
    if (record.ttl < ttl) ttl = record.ttl;
    if (!value) continue;
    if (!alias) made++;
    const type = alias ? wire.TYPE_CNAME : wire.TYPE_AAAA;
    at = emitAnswer(out, at, record.name, type, record.ttl < ttl ? record.ttl : ttl, value);
  }
  return at < 0 || made === 0 ? null : { response: out.subarray(0, at), ttl };
}
