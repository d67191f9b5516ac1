/** What Espruino's network calls failures (its socketerrors.h), and which of them the stack's error codes are. */
import * as errors from "../../stack/core/errors.js";

export const CLOSED = -1;
export const NO_MEMORY = -2;
export const TIMEOUT = -3;
export const NO_ROUTE = -4;
export const BUSY = -5;
export const NOT_FOUND = -6;
export const TOO_MANY = -7;
export const UNSENT = -8;
export const RESET = -9;
export const UNKNOWN = -10;
export const NOT_CONNECTED = -11;
export const BAD_ARGUMENT = -12;

/** By code: 0 is none. */
const MESSAGES = [
  "",
  "closed",
  "out of memory",
  "timed out",
  "no route",
  "busy",
  "not found",
  "too many sockets",
  "data not sent",
  "connection reset",
  "unknown error",
  "not connected",
  "bad argument",
];

/** What an "error" event brings, as Espruino's own sockets have it. */
export interface EspruinoError {
  /** -1 .. -12 */
  code: number;
  message: string;
}

export function espruinoError(code: number): EspruinoError {
  return { code, message: MESSAGES[-code] || MESSAGES[-UNKNOWN] };
}

/** Espruino's code for a code of the stack; `CLOSED` for 0. */
export function espruinoCode(code: number): number {
  switch (code) {
    case 0:
    case errors.EPIPE:
      return CLOSED;
    case errors.ENOBUFS:
    case errors.ENOMEM:
      return NO_MEMORY;
    case errors.ETIMEDOUT:
      return TIMEOUT;
    case errors.ENETUNREACH:
    case errors.EHOSTUNREACH:
    case errors.ENETDOWN:
    case errors.EAFNOSUPPORT:
    case errors.EADDRNOTAVAIL:
      return NO_ROUTE;
    case errors.EBUSY:
    case errors.EADDRINUSE:
      return BUSY;
    case errors.ENOENT:
    case errors.ENOTFOUND:
    case errors.ENODATA:
    case errors.ESERVFAIL:
    case errors.ELOOP:
      return NOT_FOUND;
    case errors.ECONNRESET:
    case errors.ECONNREFUSED:
    case errors.ECONNABORTED:
      return RESET;
    case errors.ENOTCONN:
      return NOT_CONNECTED;
    case errors.EINVAL:
    case errors.EMSGSIZE:
    case errors.EACCES:
      return BAD_ARGUMENT;
    default:
      return UNKNOWN;
  }
}

/** Espruino's code for what a call of the stack threw. */
export function thrownCode(error: unknown): number {
  const code = error ? (error as { code?: string }).code : "";
  if (code === "EINVAL") return BAD_ARGUMENT;
  if (code === "EADDRINUSE") return BUSY;
  if (code === "ENOBUFS") return NO_MEMORY;
  if (code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL") return NO_ROUTE;
  return UNKNOWN;
}
