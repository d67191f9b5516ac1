/** What a DHCPv6 client sends (RFC 8415 section 18.2), and how it authenticates a Reconfigure (section 20.4). */
import { get16, put16, put32 } from "../core/bytes.js";
import * as wire from "../wire/dhcpv6.js";
import { DHCP6_CONFIRMING, DHCP6_DECLINING, DHCP6_INFORMING } from "./dhcpv6-state.js";
import { DHCP6_REBINDING, DHCP6_RENEWING, DHCP6_REQUESTING, DHCP6_SOLICITING } from "./dhcpv6-state.js";
import { copy } from "./dhcpv6-lease.js";
import type { Dhcp6Client } from "./dhcpv6.js";

/** Largest message that is sent or understood, bytes: that of a whole Ethernet frame. */
export const MESSAGE = 1452;

/** Authentication: protocol, algorithm, replay detection method, 8 bytes that count up, a type, 16 bytes. */
const AUTHENTICATION = 28;
const AUTHENTICATION_REPLAY = 3;
const AUTHENTICATION_TYPE = 11;
const AUTHENTICATION_VALUE = 12;
const RECONFIGURE_KEY = 3;
const HMAC_MD5 = 1;

/** The type of message that a state sends. */
function typeOf(state: number): number {
  return state === DHCP6_SOLICITING
    ? wire.SOLICIT
    : state === DHCP6_REQUESTING
      ? wire.REQUEST
      : state === DHCP6_CONFIRMING
        ? wire.CONFIRM
        : state === DHCP6_RENEWING
          ? wire.RENEW
          : state === DHCP6_REBINDING
            ? wire.REBIND
            : state === DHCP6_INFORMING
              ? wire.INFORMATION_REQUEST
              : state === DHCP6_DECLINING
                ? wire.DECLINE
                : wire.RELEASE;
}

/** Sends the message of the client's state. */
export function send(c: Dhcp6Client): void {
  const d = c.dhcp;
  const data = d.message;
  const state = c.state;
  const type = typeOf(state);
  const ending = type === wire.DECLINE || type === wire.RELEASE;
  put32(data, 0, (type << 24) | c.xid);
  let at = wire.emitBytes6(data, wire.DHCP6_HEADER, wire.OPTION_CLIENT_ID, c.duid);
  if (ending || type === wire.REQUEST || type === wire.RENEW) {
    at = wire.emitBytes6(data, at, wire.OPTION_SERVER_ID, c.server);
  }
  const elapsed = Math.floor((c.clock - c.started) / 10);
  at = wire.emitOption6(data, at, wire.OPTION_ELAPSED, 2);
  put16(data, at, elapsed < 65535 ? elapsed : 65535);
  at += 2;
  if (!ending && type !== wire.CONFIRM) {
    const inform = type === wire.INFORMATION_REQUEST;
    at = wire.emitOption6(data, at, wire.OPTION_REQUESTED, inform ? 8 : 6);
    put16(data, at, wire.OPTION_NAME_SERVERS);
    put16(data, at + 2, wire.OPTION_SEARCH);
    put16(data, at + 4, inform ? wire.OPTION_INFORM_MAXIMUM : wire.OPTION_SOLICIT_MAXIMUM);
    if (inform) put16(data, at + 6, wire.OPTION_REFRESH);
    at += inform ? 8 : 6;
    if (d.configuration.hmac) at = wire.emitOption6(data, at, wire.OPTION_RECONFIGURE_ACCEPT, 0);
  }
  if (type === wire.SOLICIT && c.options.rapidCommit) {
    at = wire.emitOption6(data, at, wire.OPTION_RAPID_COMMIT, 0);
  }
  if (type !== wire.INFORMATION_REQUEST) {
    at = emitItems(c, at, wire.OPTION_IA_NA, type);
    if (type !== wire.CONFIRM && type !== wire.DECLINE) at = emitItems(c, at, wire.OPTION_IA_PD, type);
  }
  if (c.socket.sendTo(wire.DHCP6_SERVERS, wire.DHCP6_SERVER_PORT, data, 0, at) < 0) d.counters.sendFailed++;
  else d.counters.sent++;
}

/** Writes the association of `kind` with what it holds or asks for. */
function emitItems(c: Dhcp6Client, at: number, kind: number, type: number): number {
  const data = c.dhcp.message;
  const prefix = kind === wire.OPTION_IA_PD;
  const start = at;
  let count = 0;
  at = wire.emitAssociation(data, at, kind, c.iaid);
  const emit = (bytes: Uint8Array | null, length: number) => {
    const size = prefix ? wire.PREFIX_FIELDS : wire.ADDRESS_FIELDS;
    const value = wire.emitOption6(data, at, prefix ? wire.OPTION_IA_PREFIX : wire.OPTION_IA_ADDRESS, size);
    // Lifetimes are the server's to say.
    for (let i = 0; i < size; i++) data[value + i] = 0;
    if (prefix) data[value + 8] = length;
    for (let i = 0; bytes && i < 16; i++) data[value + i + (prefix ? 9 : 0)] = bytes[i];
    at = value + size;
    count++;
  };
  for (let i = 0; i < c.items.length; i++) {
    const item = c.items[i];
    if (item.kind === kind && (type !== wire.DECLINE || item.duplicate)) emit(item.bytes, item.length);
  }
  for (let i = 0; type === wire.REQUEST && i < c.wanted.length; i++) {
    const given = c.wanted[i];
    if (given.kind === kind) emit(given.bytes, given.length);
  }
  if (count === 0) {
    // What is not there yet may be there now (RFC 8415 section 18.2.4); the others speak of what there is.
    if (!c.isWanted(kind) || type === wire.CONFIRM || type === wire.DECLINE || type === wire.RELEASE)
      return start;
    const hint = c.options.prefix && c.options.prefix.length;
    if (prefix && hint && type !== wire.REQUEST) emit(null, hint);
  }
  put16(data, start + 2, at - start - 4);
  return at;
}

/* Reconfigure */

/** The authentication option of the message in `data[0..end)` of that type, as the offset of its value; or -1. */
function authentication(data: Uint8Array, end: number, type: number): number {
  const option = wire.findOption6(data, wire.DHCP6_HEADER, end, wire.OPTION_AUTHENTICATION);
  const at = option + 4;
  return option >= 0 &&
    get16(data, option + 2) === AUTHENTICATION &&
    data[at] === RECONFIGURE_KEY &&
    data[at + 1] === HMAC_MD5 &&
    data[at + 2] === 0 &&
    data[at + AUTHENTICATION_TYPE] === type
    ? at
    : -1;
}

/**
 * Keeps the key that a Reply brings, for the Reconfigures of the server that sent it. The counter beside it has no proof, and
 * some servers use it again: with a new key nothing has been said that could be said twice.
 */
export function learnKey(c: Dhcp6Client, end: number, server: Uint8Array): void {
  const data = c.dhcp.message;
  const at = authentication(data, end, 1);
  if (at < 0 || !c.dhcp.configuration.hmac) return;
  const key = copy(data, at + AUTHENTICATION_VALUE, 16);
  if (c.key && sameBytes(key, c.key) && sameBytes(server, c.keyServer)) return;
  c.key = key;
  c.keyServer = server;
  c.replay = null;
}

/** Is the Reconfigure in the message buffer from the server that gave the key, and no replay? */
export function isAuthentic(c: Dhcp6Client, end: number, server: Uint8Array): boolean {
  const data = c.dhcp.message;
  const at = authentication(data, end, 2);
  const hmac = c.dhcp.configuration.hmac;
  if (at < 0 || !hmac || !c.key || !sameBytes(c.keyServer, server)) return false;
  let order = c.replay ? 0 : 1;
  for (let i = 0; i < 8 && order === 0; i++)
    order = data[at + AUTHENTICATION_REPLAY + i] - (c.replay as Uint8Array)[i];
  if (order <= 0) return false;
  const message = copy(data, 0, end);
  for (let i = 0; i < 16; i++) message[at + AUTHENTICATION_VALUE + i] = 0;
  let difference = 0;
  try {
    const digest = hmac(c.key, message);
    if (digest.length !== 16) return false;
    for (let i = 0; i < 16; i++) difference |= digest[i] ^ data[at + AUTHENTICATION_VALUE + i];
  } catch (error) {
    c.dhcp.stack.host.panic(error);
    return false;
  }
  if (difference !== 0) return false;
  c.replay = copy(data, at + AUTHENTICATION_REPLAY, 8);
  return true;
}

/** Does the message in the buffer name this client, and no other? */
export function isOurs(c: Dhcp6Client, end: number): boolean {
  const data = c.dhcp.message;
  const at = wire.findOption6(data, wire.DHCP6_HEADER, end, wire.OPTION_CLIENT_ID);
  return at >= 0 && sameBytes(c.duid, copy(data, at + 4, get16(data, at + 2)));
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}
