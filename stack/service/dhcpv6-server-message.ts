/** DHCPv6 messages as a server reads and writes them (RFC 8415 sections 9, 16, 21). */
import { copyRange, get16, get32, put16, put32 } from "../core/bytes.js";
import * as wire from "../wire/dhcpv6.js";

export const RELAY_FORWARD = 12;
const RELAY_REPLY = 13;
const OPTION_RELAY_MESSAGE = 9;
const OPTION_INTERFACE_ID = 18;
/** Type, hop count, link address, peer address. */
const RELAY_HEADER = 34;
/** Relay agents that a message may have passed (HOP_COUNT_LIMIT). */
const HOPS = 8;
/** Associations of one message that are looked at, and values in each. */
const ASSOCIATIONS = 8;
const VALUES = 8;
const DUID_LEAST = 3;
const DUID_MOST = 130;

/** An identity association of a client. */
export interface Association {
  readonly delegated: boolean;
  readonly iaid: number;
  /** Addresses or prefixes that it names, and the prefixes' lengths. */
  readonly values: Uint8Array[];
  readonly lengths: number[];
}

/** What a relay agent has put around a message. */
interface Wrapper {
  readonly head: Uint8Array;
  readonly interfaceId: Uint8Array | null;
}

export class Query6 {
  type = 0;
  /** Type and transaction id. */
  id = 0;
  client: Uint8Array | null = null;
  server: Uint8Array | null = null;
  rapid = false;
  /** Codes of options that are asked for. */
  wanted: number[] = [];
  associations: Association[] = [];
  /** From the outermost to the one next to the client; and the client's link as that says. */
  wrappers: Wrapper[] = [];
  link: Uint8Array | null = null;
}

/** Reads the message in `data[0..end)`; null: it is malformed. */
export function parseQuery6(data: Uint8Array, end: number): Query6 | null {
  const q = new Query6();
  let start = 0;
  while (end - start >= RELAY_HEADER && data[start] === RELAY_FORWARD) {
    const options = start + RELAY_HEADER;
    if (q.wrappers.length >= HOPS || !wire.areOptions(data, options, end)) return null;
    const inner = wire.findOption6(data, options, end, OPTION_RELAY_MESSAGE);
    const id = wire.findOption6(data, options, end, OPTION_INTERFACE_ID);
    if (inner < 0) return null;
    const link = copyRange(data, start + 2, start + 18);
    q.wrappers.push({
      head: copyRange(data, start, options),
      interfaceId: id < 0 ? null : copyRange(data, id + 4, id + 4 + get16(data, id + 2)),
    });
    for (let i = 0; i < 16; i++) if (link[i] !== 0) q.link = link;
    start = inner + 4;
    end = start + get16(data, inner + 2);
  }
  if (end - start < wire.DHCP6_HEADER || !wire.areOptions(data, start + wire.DHCP6_HEADER, end)) return null;
  q.type = data[start];
  q.id = get32(data, start);
  for (let at = start + wire.DHCP6_HEADER; at < end;) {
    const code = get16(data, at);
    const length = get16(data, at + 2);
    const value = at + 4;
    at = value + length;
    if (code === wire.OPTION_CLIENT_ID || code === wire.OPTION_SERVER_ID) {
      if (length < DUID_LEAST || length > DUID_MOST) return null;
      const duid = copyRange(data, value, at);
      if (code === wire.OPTION_CLIENT_ID) q.client = duid;
      else q.server = duid;
    } else if (code === wire.OPTION_RAPID_COMMIT) q.rapid = true;
    else if (code === wire.OPTION_REQUESTED) {
      for (let i = value; i + 2 <= at && q.wanted.length < 64; i += 2) q.wanted.push(get16(data, i));
    } else if (code === wire.OPTION_IA_NA || code === wire.OPTION_IA_PD) {
      const association = parseAssociation(data, value, at, code === wire.OPTION_IA_PD);
      if (!association) return null;
      if (q.associations.length < ASSOCIATIONS) q.associations.push(association);
    }
  }
  return q;
}

function parseAssociation(data: Uint8Array, at: number, end: number, delegated: boolean): Association | null {
  if (end - at < wire.IA_FIELDS || !wire.areOptions(data, at + wire.IA_FIELDS, end)) return null;
  const found: Association = { delegated, iaid: get32(data, at), values: [], lengths: [] };
  for (at += wire.IA_FIELDS; at < end; at += 4 + get16(data, at + 2)) {
    const length = get16(data, at + 2);
    const prefix = delegated && get16(data, at) === wire.OPTION_IA_PREFIX && length >= wire.PREFIX_FIELDS;
    const address = !delegated && get16(data, at) === wire.OPTION_IA_ADDRESS && length >= wire.ADDRESS_FIELDS;
    if ((!prefix && !address) || found.values.length >= VALUES) continue;
    const value = at + 4 + (prefix ? 9 : 0);
    found.values.push(copyRange(data, value, value + 16));
    found.lengths.push(prefix ? data[at + 12] : 128);
  }
  return found;
}

/** Writes an address or prefix with its lifetimes; returns the offset behind it. */
export function emitValue(
  data: Uint8Array,
  at: number,
  delegated: boolean,
  bytes: Uint8Array,
  length: number,
  preferred: number,
  valid: number,
): number {
  if (delegated) {
    at = wire.emitOption6(data, at, wire.OPTION_IA_PREFIX, wire.PREFIX_FIELDS);
    put32(data, at, preferred | 0);
    put32(data, at + 4, valid | 0);
    data[at + 8] = length;
    data.set(bytes, at + 9);
    return at + wire.PREFIX_FIELDS;
  }
  at = wire.emitOption6(data, at, wire.OPTION_IA_ADDRESS, wire.ADDRESS_FIELDS);
  data.set(bytes, at);
  put32(data, at + 16, preferred | 0);
  put32(data, at + 20, valid | 0);
  return at + wire.ADDRESS_FIELDS;
}

export function emitStatus(data: Uint8Array, at: number, code: number): number {
  at = wire.emitOption6(data, at, wire.OPTION_STATUS, 2);
  put16(data, at, code);
  return at + 2;
}

/** Puts the message in `data[0..end)` back into what its relay agents had put around the client's. */
export function wrap(q: Query6, data: Uint8Array, end: number): Uint8Array {
  let message = copyRange(data, 0, end);
  for (let i = q.wrappers.length - 1; i >= 0; i--) {
    const head = q.wrappers[i].head;
    const interfaceId = q.wrappers[i].interfaceId;
    const extra = interfaceId ? 4 + interfaceId.length : 0;
    const outer = new Uint8Array(RELAY_HEADER + extra + 4 + message.length);
    outer.set(head);
    outer[0] = RELAY_REPLY;
    let at = RELAY_HEADER;
    if (interfaceId) at = wire.emitBytes6(outer, at, OPTION_INTERFACE_ID, interfaceId);
    wire.emitBytes6(outer, at, OPTION_RELAY_MESSAGE, message);
    message = outer;
  }
  return message;
}
