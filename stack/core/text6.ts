/** IPv6 addresses as text (RFC 4291 section 2.2, RFC 5952). */
import { get16, get32, put16, put32 } from "./bytes.js";
import { format4, parse4 } from "./text4.js";

/**
 * The address in `data[at..at+16)`: lower case, the longest run of two or more zero groups (the first of equals) as `::`, IPv4's
 * form for an IPv4-mapped one (section 5).
 */
export function format6(data: Uint8Array, at: number): string {
  let best = 8;
  let length = 1;
  let run = 0;
  for (let i = 0; i < 8; i++) {
    if (get16(data, at + 2 * i) !== 0) run = 0;
    else if (++run > length) {
      length = run;
      best = i - run + 1;
    }
  }
  // Five groups of zeros at the start, and ffff.
  if (best === 0 && length === 5 && get16(data, at + 10) === 0xffff) {
    return "::ffff:" + format4(get32(data, at + 12));
  }
  let text = "";
  for (let i = 0; i < 8; i++) {
    if (i === best) {
      text += "::";
      i += length - 1;
    } else {
      if (i > 0 && i !== best + length) text += ":";
      text += get16(data, at + 2 * i).toString(16);
    }
  }
  return text;
}

/** The 16 bytes of an address without prefix or zone, or null when `text` is none (RFC 4291 section 2.2). */
export function parse6(text: string): Uint8Array | null {
  if (typeof text !== "string" || text.length < 2 || text.length > 45) return null;
  const bytes = new Uint8Array(16);
  let groups = 0;
  let gap = -1;
  let at = 0;
  while (at < text.length) {
    if (text.charCodeAt(at) === 58) {
      // A colon: "::", or a lone one between two groups.
      if (text.charCodeAt(at + 1) === 58) {
        if (gap >= 0) return null;
        gap = groups;
        at += 2;
        if (at === text.length) break;
        continue;
      }
      if (groups === 0 || gap === groups || at + 1 === text.length) return null;
      at++;
    } else if (groups > 0 && gap !== groups) return null;
    let stop = at;
    while (stop < text.length && text.charCodeAt(stop) !== 58) stop++;
    const part = text.substring(at, stop);
    if (part.indexOf(".") >= 0) {
      // The last 32 bits in IPv4's form.
      const tail = parse4(part);
      if (tail === null || stop !== text.length || groups > 6) return null;
      put32(bytes, groups * 2, tail);
      groups += 2;
    } else {
      const value = parseHex(part);
      if (value < 0 || groups > 7) return null;
      put16(bytes, groups++ * 2, value);
    }
    at = stop;
  }
  if (gap < 0) return groups === 8 ? bytes : null;
  if (groups > 7) return null;
  // Move what stands behind the gap to the end.
  const tail = (groups - gap) * 2;
  for (let i = 1; i <= tail; i++) {
    bytes[16 - i] = bytes[groups * 2 - i];
    if (groups * 2 - i < 16 - tail) bytes[groups * 2 - i] = 0;
  }
  return bytes;
}

/** One to four hexadecimal digits, or -1. */
function parseHex(text: string): number {
  if (text.length < 1 || text.length > 4) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const digit = code <= 57 ? code - 48 : (code | 32) - 87;
    if (digit < 0 || digit > 15 || (code > 57 && digit < 10)) return -1;
    value = (value << 4) | digit;
  }
  return value;
}
