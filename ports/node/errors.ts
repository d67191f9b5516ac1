/** Errors of this port: plain `Error`s with the POSIX name in `code`, as Node's own have it. */
import { getSystemErrorName } from "node:util";

export interface SystemError extends Error {
  code: string;
}

export function systemError(code: string, message: string): SystemError {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

/** What a TUN/TAP descriptor answers once its interface is gone; Node's tables lack it. */
const EBADFD = 77;

/** The name of an errno value: `errorName(1)` is `"EPERM"`. */
export function errorName(errno: number): string {
  return errno === EBADFD ? "EBADFD" : getSystemErrorName(-errno);
}
