/** The configuration payload (RFC 7296 section 3.15). */
import { get16 } from "../core/bytes.js";

export const REQUEST = 1;
export const REPLY = 2;

export const IP4_ADDRESS = 1;
export const IP4_DNS = 3;
export const IP6_ADDRESS = 8;
export const IP6_DNS = 10;

/** Calls `visit` with each attribute of a CP payload's body; false: lengths lie. */
export function attributes(body: Uint8Array, visit: (type: number, data: Uint8Array) => void): boolean {
  let at = 4;
  while (at < body.length) {
    if (body.length - at < 4) return false;
    const length = get16(body, at + 2);
    if (length > body.length - at - 4) return false;
    visit(get16(body, at) & 0x7fff, body.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return true;
}
