/** The name of an error code, for adapters and people; apart from errors.ts because firmware rarely wants the table. */
import * as errors from "./errors.js";

const NAMES: [number, string][] = [
  [errors.EIO, "EIO"],
  [errors.EAGAIN, "EAGAIN"],
  [errors.ENOMEM, "ENOMEM"],
  [errors.EBUSY, "EBUSY"],
  [errors.EINVAL, "EINVAL"],
  [errors.EPIPE, "EPIPE"],
  [errors.EMSGSIZE, "EMSGSIZE"],
  [errors.EPROTO, "EPROTO"],
  [errors.EOPNOTSUPP, "EOPNOTSUPP"],
  [errors.EAFNOSUPPORT, "EAFNOSUPPORT"],
  [errors.EADDRINUSE, "EADDRINUSE"],
  [errors.EADDRNOTAVAIL, "EADDRNOTAVAIL"],
  [errors.ENETDOWN, "ENETDOWN"],
  [errors.ENETUNREACH, "ENETUNREACH"],
  [errors.ECONNABORTED, "ECONNABORTED"],
  [errors.ECONNRESET, "ECONNRESET"],
  [errors.ENOBUFS, "ENOBUFS"],
  [errors.EISCONN, "EISCONN"],
  [errors.ENOTCONN, "ENOTCONN"],
  [errors.ETIMEDOUT, "ETIMEDOUT"],
  [errors.ECONNREFUSED, "ECONNREFUSED"],
  [errors.EHOSTUNREACH, "EHOSTUNREACH"],
  [errors.EALREADY, "EALREADY"],
  [errors.ENOPROTOOPT, "ENOPROTOOPT"],
  [errors.EACCES, "EACCES"],
  [errors.ENOENT, "ENOENT"],
  [errors.ELOOP, "ELOOP"],
  [errors.ENODATA, "ENODATA"],
  [errors.ECANCELED, "ECANCELED"],
  [errors.ESERVFAIL, "ESERVFAIL"],
  [errors.ENOTFOUND, "ENOTFOUND"],
];

/** `"ECONNRESET"` for `-104`; `""` for 0; `"EUNKNOWN"` for what is no code of the stack. */
export function errorName(code: number): string {
  if (code === 0) return "";
  for (let i = 0; i < NAMES.length; i++) {
    if (NAMES[i][0] === code) return NAMES[i][1];
  }
  return "EUNKNOWN";
}
