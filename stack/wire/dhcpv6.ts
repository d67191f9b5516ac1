/** DHCPv6 messages (RFC 8415 sections 7.3, 8, 21): numbers, and the one way to walk options. */
import { get16, put16, put32 } from "../core/bytes.js";

export const DHCP6_CLIENT_PORT = 546;
export const DHCP6_SERVER_PORT = 547;
/** All_DHCP_Relay_Agents_and_Servers */
export const DHCP6_SERVERS = "ff02::1:2";

/** Type and transaction id; options follow. */
export const DHCP6_HEADER = 4;

export const SOLICIT = 1;
export const ADVERTISE = 2;
export const REQUEST = 3;
export const CONFIRM = 4;
export const RENEW = 5;
export const REBIND = 6;
export const REPLY = 7;
export const RELEASE = 8;
export const DECLINE = 9;
export const RECONFIGURE = 10;
export const INFORMATION_REQUEST = 11;

export const OPTION_CLIENT_ID = 1;
export const OPTION_SERVER_ID = 2;
export const OPTION_IA_NA = 3;
export const OPTION_IA_ADDRESS = 5;
export const OPTION_REQUESTED = 6;
export const OPTION_PREFERENCE = 7;
export const OPTION_ELAPSED = 8;
export const OPTION_AUTHENTICATION = 11;
export const OPTION_STATUS = 13;
export const OPTION_RAPID_COMMIT = 14;
export const OPTION_RECONFIGURE = 19;
export const OPTION_RECONFIGURE_ACCEPT = 20;
export const OPTION_NAME_SERVERS = 23;
export const OPTION_SEARCH = 24;
export const OPTION_IA_PD = 25;
export const OPTION_IA_PREFIX = 26;
export const OPTION_REFRESH = 32;
export const OPTION_SOLICIT_MAXIMUM = 82;
export const OPTION_INFORM_MAXIMUM = 83;

export const STATUS_NO_BINDING = 3;
export const STATUS_NOT_ON_LINK = 4;

/** Fixed fields of the options that contain options: identity and times; address and lifetimes; lifetimes and prefix. */
export const IA_FIELDS = 12;
export const ADDRESS_FIELDS = 24;
export const PREFIX_FIELDS = 25;

/** Do the options in `data[at..end)` fill that space exactly? Only then may the others here walk them. */
export function areOptions(data: Uint8Array, at: number, end: number): boolean {
  while (end - at >= 4) at += 4 + get16(data, at + 2);
  return at === end;
}

/** The offset of the first option `code` in `data[at..end)`, at its code; or -1. */
export function findOption6(data: Uint8Array, at: number, end: number, code: number): number {
  for (; at < end; at += 4 + get16(data, at + 2)) {
    if (get16(data, at) === code) return at;
  }
  return -1;
}

/** Writes the head of an option; returns the offset of its value. */
export function emitOption6(data: Uint8Array, at: number, code: number, length: number): number {
  put16(data, at, code);
  put16(data, at + 2, length);
  return at + 4;
}

/** Writes an option whose value is those bytes; returns the offset behind it. */
export function emitBytes6(data: Uint8Array, at: number, code: number, value: Uint8Array): number {
  at = emitOption6(data, at, code, value.length);
  for (let i = 0; i < value.length; i++) data[at + i] = value[i];
  return at + value.length;
}

/** Begins an identity association: its times are the server's to say. Returns the offset behind the fixed fields. */
export function emitAssociation(data: Uint8Array, at: number, code: number, iaid: number): number {
  at = emitOption6(data, at, code, IA_FIELDS);
  put32(data, at, iaid);
  put32(data, at + 4, 0);
  put32(data, at + 8, 0);
  return at + IA_FIELDS;
}
