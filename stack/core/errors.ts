/**
 * Error codes: the negative errno values of Linux, as answers of calls; and the one way to throw for misuse.
 *
 * A call that can fail for reasons of the network or of resources returns a code below zero. A call that is wrong in itself
 * (a port of 70000) throws an `Error` whose `code` is the name, as Node's errors have it.
 */
export const EIO = -5;
export const EAGAIN = -11;
export const ENOMEM = -12;
export const EBUSY = -16;
export const EINVAL = -22;
export const EPIPE = -32;
export const EMSGSIZE = -90;
export const EPROTO = -71;
export const EOPNOTSUPP = -95;
export const EAFNOSUPPORT = -97;
export const EADDRINUSE = -98;
export const EADDRNOTAVAIL = -99;
export const ENETDOWN = -100;
export const ENETUNREACH = -101;
export const ECONNABORTED = -103;
export const ECONNRESET = -104;
export const ENOBUFS = -105;
export const EISCONN = -106;
export const ENOTCONN = -107;
export const ETIMEDOUT = -110;
export const ECONNREFUSED = -111;
export const EHOSTUNREACH = -113;
export const EALREADY = -114;
export const ENOPROTOOPT = -92;
export const EACCES = -13;
export const ENOENT = -2;
/** More aliases than a resolver follows. */
export const ELOOP = -40;
/** The name exists, but has no records of that type. */
export const ENODATA = -61;
export const ECANCELED = -125;
/** No server could say (EAI_FAIL of libuv). */
export const ESERVFAIL = -3004;
/** There is no such name (EAI_NONAME of libuv). */
export const ENOTFOUND = -3008;

/** An error of misuse. `code` is a POSIX name such as `"EINVAL"`. */
export interface StackError extends Error {
  code: string;
}

/** Throws for misuse of the API: `fail("EINVAL", "port")`. */
export function fail(code: string, what: string): never {
  const error = new Error(code + ": " + what) as StackError;
  error.code = code;
  throw error;
}

/** Throws `EINVAL` unless `value` is an integer in `low..high`. */
export function requireInteger(value: unknown, low: number, high: number, what: string): number {
  if (typeof value !== "number" || !(value >= low && value <= high) || value % 1 !== 0) fail("EINVAL", what);
  return value as number;
}

/** An optional integer setting with its default; see `requireInteger`. */
export function setting(
  value: number | undefined,
  standard: number,
  low: number,
  high: number,
  what: string,
): number {
  return value === undefined ? standard : requireInteger(value, low, high, what);
}

/** Throws `EINVAL` unless `data` is a usable `Uint8Array` (not detached) and `start..end` lies inside it. */
export function requireBytes(data: unknown, start: unknown, end: unknown, what: string): void {
  // All in one: each datagram passes here twice.
  if (
    !(data instanceof Uint8Array) ||
    typeof start !== "number" ||
    typeof end !== "number" ||
    !(start >= 0 && start <= end && end <= data.length) ||
    (start + end) % 1 !== 0 ||
    start % 1 !== 0
  ) {
    fail("EINVAL", what);
  }
}
