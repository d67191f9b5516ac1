/** NTP (RFC 5905 section 7.3): the header's offsets, and how a client of the simple kind makes and reads it (RFC 4330 section 5). */
import { get32 } from "../core/bytes.js";

export const NTP_PORT = 123;
export const NTP_LENGTH = 48;

/** Leap indicator, version, mode. */
export const NTP_FLAGS = 0;
export const NTP_STRATUM = 1;
/** Both as 16.16 seconds. */
export const NTP_ROOT_DELAY = 4;
export const NTP_ROOT_DISPERSION = 8;
/** Of a kiss-o'-death: four letters. */
export const NTP_REFERENCE_ID = 12;
/** Timestamps: 32.32 seconds. */
export const NTP_ORIGIN = 24;
export const NTP_RECEIVE = 32;
export const NTP_TRANSMIT = 40;

const MODE_CLIENT = 3;
const MODE_SERVER = 4;
const VERSION = 4;
const LEAP_UNKNOWN = 3;
/** A server that is further from its source than this many 65536ths of a second is no source itself (MAXDIST). */
const MAXIMUM_DISTANCE = 98304;

/** What `parseReply` says: a time; */
export const NTP_TIME = 0;
/** a kiss-o'-death: the server wants something of us; */
export const NTP_KISS = 1;
/** no reply to what was asked; */
export const NTP_UNMATCHED = 2;
/** a server that does not know the time. */
export const NTP_UNSYNCHRONISED = 3;

/**
 * Writes a request. Its transmit timestamp is the cookie: no clock is told to anybody (draft-ietf-ntp-data-minimization).
 *
 * @param target `NTP_LENGTH` zeros
 * @param cookie 8 random bytes
 */
export function emitRequest(target: Uint8Array, cookie: Uint8Array): void {
  target[NTP_FLAGS] = (VERSION << 3) | MODE_CLIENT;
  for (let i = 0; i < 8; i++) target[NTP_TRANSMIT + i] = cookie[i];
}

/** What the datagram in `data[0..length)` is, as a reply to the request with that cookie. */
export function parseReply(data: Uint8Array, length: number, cookie: Uint8Array): number {
  if (length < NTP_LENGTH) return NTP_UNMATCHED;
  const flags = data[NTP_FLAGS];
  const version = (flags >> 3) & 7;
  if ((flags & 7) !== MODE_SERVER || version < 1 || version > VERSION) return NTP_UNMATCHED;
  for (let i = 0; i < 8; i++) {
    if (data[NTP_ORIGIN + i] !== cookie[i]) return NTP_UNMATCHED;
  }
  const stratum = data[NTP_STRATUM];
  if (stratum === 0 && kissCode(data) !== "") return NTP_KISS;
  const delay = get32(data, NTP_ROOT_DELAY);
  const dispersion = get32(data, NTP_ROOT_DISPERSION);
  if (
    stratum < 1 ||
    stratum > 15 ||
    flags >> 6 === LEAP_UNKNOWN ||
    delay < 0 ||
    dispersion < 0 ||
    delay / 2 + dispersion > MAXIMUM_DISTANCE ||
    isZero(data, NTP_RECEIVE) ||
    isZero(data, NTP_TRANSMIT) ||
    timeAt(data, NTP_TRANSMIT) < timeAt(data, NTP_RECEIVE)
  ) {
    return NTP_UNSYNCHRONISED;
  }
  return NTP_TIME;
}

function isZero(data: Uint8Array, at: number): boolean {
  return get32(data, at) === 0 && get32(data, at + 4) === 0;
}

/** The timestamp at `data[at..]` as ms since 1970, with a fraction; it lies in 1968 .. 2104 (RFC 4330 section 3). */
export function timeAt(data: Uint8Array, at: number): number {
  const seconds = get32(data, at) >>> 0;
  const era = seconds >= 0x80000000 ? 0 : 4294967296;
  return (seconds + era - 2208988800) * 1000 + (get32(data, at + 4) >>> 0) / 4294967.296;
}

/**
 * What a reply of stratum 0 wants: `"DENY"`, `"RSTR"` (never again), `"RATE"` (less often); `""`: nothing, its server has no time
 * yet (RFC 5905 section 7.4).
 */
export function kissCode(data: Uint8Array): string {
  let text = "";
  for (let i = 0; i < 4; i++) text += String.fromCharCode(data[NTP_REFERENCE_ID + i]);
  return text === "DENY" || text === "RSTR" || text === "RATE" ? text : "";
}
