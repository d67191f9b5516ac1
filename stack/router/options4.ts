/** IPv4 options on their way through a router (RFC 791 section 3.1, RFC 1812 section 5.3.13): who wants to be recorded is. */
import { get32, put32 } from "../core/bytes.js";
import { OPTION_END, optionSize } from "../wire/options.js";

const RECORD_ROUTE = 7;
const TIMESTAMP = 68;

/**
 * Walks the options in `data[at..end)`, which hold together (ipv4/options.ts has seen them): records `own` and the time where asked.
 *
 * @param now milliseconds, of no known epoch
 * @returns false: an option's pointer or length is wrong
 */
export function recordOptions(data: Uint8Array, at: number, end: number, own: number, now: number): boolean {
  while (at < end) {
    const kind = data[at];
    const length = optionSize(data, at, end);
    if (length <= 0) return true;
    if (kind === RECORD_ROUTE) {
      if (length < 3) return false;
      const pointer = data[at + 2];
      if (pointer < 4) return false;
      // A full list is passed on as it is.
      if (pointer <= length) {
        if (pointer + 3 > length) return false;
        put32(data, at + pointer - 1, own);
        data[at + 2] = pointer + 4;
      }
    } else if (kind === TIMESTAMP && !stamp(data, at, length, own, now)) return false;
    at += length;
  }
  return true;
}

function stamp(data: Uint8Array, at: number, length: number, own: number, now: number): boolean {
  if (length < 4) return false;
  const pointer = data[at + 2];
  const flag = data[at + 3] & 15;
  if (pointer < 5) return false;
  if (pointer > length) {
    // Full: one more that could not register.
    if (data[at + 3] >> 4 === 15) return false;
    data[at + 3] += 16;
    return true;
  }
  const size = flag === 0 ? 4 : 8;
  if (pointer + size - 1 > length) return false;
  let place = at + pointer - 1;
  if (flag === 3) {
    // Prespecified: only who is named registers.
    if (get32(data, place) !== own) return true;
  } else if (flag === 1) put32(data, place, own);
  else if (flag !== 0) return false;
  if (flag !== 0) place += 4;
  // The high bit says that it is not milliseconds since midnight UT.
  put32(data, place, now | 0x80000000);
  data[at + 2] = pointer + size;
  return true;
}

/**
 * Leaves of the options in `data[at..end)` those that all fragments carry (the high bit of their kind), padded.
 *
 * @returns how many bytes they take, a multiple of 4
 */
export function copiedOptions(data: Uint8Array, at: number, end: number): number {
  let to = at;
  for (let from = at, length = 0; from < end; from += length) {
    length = optionSize(data, from, end);
    if (length <= 0) break;
    if (data[from] & 0x80) for (let i = 0; i < length; i++) data[to++] = data[from + i];
  }
  while ((to - at) & 3) data[to++] = OPTION_END;
  return to - at;
}
