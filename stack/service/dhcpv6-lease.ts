/** What a DHCPv6 server says (RFC 8415 section 21): the lease as plain data, and how a message is read. */
import { get16, get32 } from "../core/bytes.js";
import { format6 } from "../core/text6.js";
import { isLinkLocal6, isMapped6, isMulticast6, isZero } from "../wire/ipv6.js";
import * as wire from "../wire/dhcpv6.js";
import { hostText } from "./dhcp-lease.js";

/** A lease: plain data, to be stored and handed to `Dhcp6Options.lease` after a restart. Lifetimes in s, -1: for ever. */
export interface Dhcp6Lease {
  /** The server's DUID in hexadecimal. */
  server: string;
  addresses: { address: string; preferred: number; valid: number }[];
  /** Prefixes delegated to this host, `"2001:db8:1:2::/64"`: it is for the application to use them. */
  prefixes: { prefix: string; preferred: number; valid: number }[];
  nameServers: string[];
  search: string[];
  /** Seconds from the reply to renewing, and to rebinding; -1: never. Of parameters alone: `renewTime` is the refresh time. */
  renewTime: number;
  rebindTime: number;
}

/** An address or a prefix that a server gives. */
export class Given {
  constructor(
    /** `OPTION_IA_NA` or `OPTION_IA_PD` */
    readonly kind: number,
    readonly bytes: Uint8Array,
    readonly length: number,
    /** Seconds; Infinity: for ever. */
    readonly preferred: number,
    readonly valid: number,
  ) {}
}

/** Addresses taken of one association, prefixes, servers and domains: the first ones. */
export const GIVEN = 8;
const SERVERS = 4;
const DOMAINS = 8;
/** Bytes of a DUID (RFC 8415 section 11.1). */
export const DUID_LEAST = 3;
export const DUID_MOST = 130;

/** A message from a server, read. */
export class Answer {
  server: Uint8Array | null = null;
  status = 0;
  preference = 0;
  /** Among advertisements: the preference, and what is offered. */
  rank = 0;
  rapid = false;
  /** Some association of ours has this status: the server does not know it. */
  noBinding = false;
  notOnLink = false;
  given: Given[] = [];
  /** Seconds, the least of all associations; 0: not said. */
  renew = 0;
  rebind = 0;
  nameServers: string[] = [];
  search: string[] = [];
  /** Seconds or -1: not said. */
  refresh = -1;
  solicitMaximum = -1;
  informMaximum = -1;
}

/** Reads `data[0..end)`, whose options are well formed as such; what makes no sense in them is left out. */
export function parseAnswer(data: Uint8Array, end: number, iaid: number): Answer {
  const answer = new Answer();
  answer.status = statusOf(data, wire.DHCP6_HEADER, end);
  for (let at = wire.DHCP6_HEADER; at < end;) {
    const code = get16(data, at);
    const length = get16(data, at + 2);
    const value = at + 4;
    at = value + length;
    const word = length === 4 ? get32(data, value) >>> 0 : -1;
    if (code === wire.OPTION_SERVER_ID) {
      // A second one, or one of no possible length, makes the message nobody's.
      const good = !answer.server && length >= DUID_LEAST && length <= DUID_MOST;
      answer.server = good ? copy(data, value, length) : new Uint8Array(0);
    } else if (code === wire.OPTION_IA_NA || code === wire.OPTION_IA_PD) {
      if (length >= wire.IA_FIELDS && get32(data, value) === iaid) {
        parseAssociation(answer, data, code, value, at);
      }
    } else if (code === wire.OPTION_PREFERENCE && length === 1) answer.preference = data[value];
    else if (code === wire.OPTION_RAPID_COMMIT) answer.rapid = true;
    else if (code === wire.OPTION_REFRESH) answer.refresh = word;
    else if (code === wire.OPTION_SOLICIT_MAXIMUM) answer.solicitMaximum = word;
    else if (code === wire.OPTION_INFORM_MAXIMUM) answer.informMaximum = word;
    else if (code === wire.OPTION_NAME_SERVERS && length % 16 === 0) {
      for (let i = value; i < at && answer.nameServers.length < SERVERS; i += 16) {
        if (isHost6(data, i) || isLinkLocal6(data, i)) answer.nameServers.push(format6(data, i));
      }
    } else if (code === wire.OPTION_SEARCH) parseSearch(answer.search, data, value, at);
  }
  return answer;
}

/** The status that the options in `data[at..end)` have; without one: success. */
function statusOf(data: Uint8Array, at: number, end: number): number {
  const option = wire.findOption6(data, at, end, wire.OPTION_STATUS);
  if (option < 0) return 0;
  return get16(data, option + 2) < 2 ? 0xffff : get16(data, option + 4);
}

/** Reads an association of ours, whose fixed fields begin at `at`. */
function parseAssociation(answer: Answer, data: Uint8Array, kind: number, at: number, end: number): void {
  const renew = seconds(data, at + 4);
  const rebind = seconds(data, at + 8);
  at += wire.IA_FIELDS;
  if (!wire.areOptions(data, at, end) || (renew > rebind && rebind > 0)) return;
  const status = statusOf(data, at, end);
  if (status === wire.STATUS_NO_BINDING) answer.noBinding = true;
  if (status === wire.STATUS_NOT_ON_LINK) answer.notOnLink = true;
  if (status !== 0) return;
  if (renew > 0 && (answer.renew === 0 || renew < answer.renew)) answer.renew = renew;
  if (rebind > 0 && (answer.rebind === 0 || rebind < answer.rebind)) answer.rebind = rebind;
  const prefix = kind === wire.OPTION_IA_PD;
  const fields = prefix ? wire.PREFIX_FIELDS : wire.ADDRESS_FIELDS;
  let count = 0;
  for (let next = at; next < end && count < GIVEN; next = at) {
    const code = get16(data, next);
    const value = next + 4;
    at = value + get16(data, next + 2);
    if (code !== (prefix ? wire.OPTION_IA_PREFIX : wire.OPTION_IA_ADDRESS) || at - value < fields) continue;
    const bytes = copy(data, prefix ? value + 9 : value, 16);
    const times = prefix ? value : value + 16;
    const preferred = seconds(data, times);
    const valid = seconds(data, times + 4);
    const length = prefix ? data[value + 8] : 128;
    if (
      preferred > valid ||
      length < 1 ||
      length > 128 ||
      !isHost6(bytes, 0) ||
      !wire.areOptions(data, value + fields, at) ||
      statusOf(data, value + fields, at) !== 0
    ) {
      continue;
    }
    for (let bit = length; bit < 128; bit++) bytes[bit >> 3] &= ~(0x80 >> (bit & 7));
    answer.given.push(new Given(kind, bytes, length, preferred, valid));
    count++;
  }
}

/** Domains in labels, without compression (RFC 8415 section 10). */
function parseSearch(search: string[], data: Uint8Array, at: number, end: number): void {
  while (at < end && search.length < DOMAINS) {
    let name = "";
    for (;;) {
      // A name without its end is no name.
      const size = at < end ? data[at++] : 255;
      if (size === 0) break;
      const label = size < 64 && size <= end - at ? hostText(data, at, at + size) : "";
      if (label.length !== size || label.indexOf(".") >= 0 || name.length + size > 252) return;
      name += (name && ".") + label;
      at += size;
    }
    if (name) search.push(name);
  }
}

function seconds(data: Uint8Array, at: number): number {
  const value = get32(data, at) >>> 0;
  return value === 0xffffffff ? Infinity : value;
}

/** Can a host beyond the link have this address, or an address with this prefix? */
export function isHost6(data: Uint8Array, at: number): boolean {
  return !(isMulticast6(data, at) || isLinkLocal6(data, at) || isMapped6(data, at) || isZero(data, at, 15));
}

export function copy(data: Uint8Array, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = data[at + i];
  return bytes;
}
