/**
 * Texts of service discovery (RFC 6763): instance names, which people read and which may hold any character, as labels of DNS
 * names (section 4.1), and the key/value pairs of TXT records (section 6).
 */
import { fail } from "../core/errors.js";

/** Bytes of a label, of a string in a TXT record, of all its strings together (section 6.2). */
const LABEL = 63;
const STRING = 255;
const TXT = 1300;

/** What a service says of itself: values are text (sent as UTF-8) or bytes, `true`: a key alone. */
export interface TxtPairs {
  [key: string]: string | boolean | Uint8Array;
}

/** The bytes of a text in UTF-8 (RFC 3629). */
export function utf8(text: string): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code >= 0xd800 && code < 0xdc00 && i + 1 < text.length) {
      code = 0x10000 + ((code - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00);
    }
    if (code < 0x80) bytes.push(code);
    else {
      if (code < 0x800) bytes.push(0xc0 | (code >> 6));
      else {
        if (code < 0x10000) bytes.push(0xe0 | (code >> 12));
        else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63));
        bytes.push(0x80 | ((code >> 6) & 63));
      }
      bytes.push(0x80 | (code & 63));
    }
  }
  return bytes;
}

/** The text of bytes in UTF-8, given as characters 0..255; what is no UTF-8 stays as it is. */
export function fromUtf8(bytes: string): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) {
    const first = bytes.charCodeAt(i);
    const more = first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    let code = more === 0 ? first : first & (63 >> more);
    for (let k = 1; k <= more; k++) {
      const next = i + k < bytes.length ? bytes.charCodeAt(i + k) : 0;
      if ((next & 0xc0) !== 0x80) return bytes;
      code = (code << 6) | (next & 63);
    }
    if ((more === 0 && first > 127) || code > 0x10ffff) return bytes;
    i += more;
    if (code < 0x10000) text += String.fromCharCode(code);
    else text += String.fromCharCode(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + (code & 0x3ff));
  }
  return text;
}

/**
 * A label in the form of zone files. With `suffix` the text is cut so that both fit.
 * Throws `EINVAL` for control characters, nothing, and more than 63 bytes.
 */
export function toLabel(text: string, suffix = ""): string {
  let bytes = typeof text === "string" ? utf8(text) : [];
  const end = utf8(suffix);
  if (bytes.length === 0 || bytes.length > LABEL) fail("EINVAL", "name " + text);
  let room = LABEL - end.length;
  if (suffix && bytes.length > room) {
    // Not within a character.
    while ((bytes[room] & 0xc0) === 0x80) room--;
    bytes = bytes.slice(0, room);
  }
  bytes = bytes.concat(end);
  let label = "";
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte < 32 || byte === 127) fail("EINVAL", "name " + text);
    if (byte < 33 || byte > 126) label += "\\" + ("00" + byte).slice(-3);
    else label += (byte === 46 || byte === 92 ? "\\" : "") + String.fromCharCode(byte);
  }
  return label;
}

/** Where the first label of a name ends. */
export function labelEnd(name: string): number {
  let i = 0;
  for (; i < name.length && name.charAt(i) !== "."; i++) if (name.charAt(i) === "\\") i++;
  return i;
}

/** The text that people read of a name's first label. */
export function fromLabel(name: string): string {
  const end = labelEnd(name);
  let bytes = "";
  for (let i = 0; i < end; i++) {
    let code = name.charCodeAt(i);
    if (code === 92) {
      code = name.charCodeAt(++i);
      if (code >= 48 && code < 58) {
        code = parseInt(name.substring(i, i + 3), 10);
        i += 2;
      }
    }
    bytes += String.fromCharCode(code);
  }
  return fromUtf8(bytes);
}

/** Checks `_http._tcp`, and gives it back in that form. Throws `EINVAL`. */
export function serviceType(type: string): string {
  const parts = typeof type === "string" ? type.split(".") : [];
  if (parts.length > 2 && parts[2] === "local") parts.splice(2, 2);
  const good =
    parts.length === 2 &&
    parts[0].charAt(0) === "_" &&
    parts[0].length > 1 &&
    parts[0].length <= LABEL &&
    (parts[1] === "_tcp" || parts[1] === "_udp");
  return good ? parts.join(".") : fail("EINVAL", "type " + type);
}

/** The data of a TXT record. Throws `EINVAL` for keys that are none, and for what is too long. */
export function encodeTxt(pairs: TxtPairs): Uint8Array {
  const bytes: number[] = [];
  for (const key in pairs) {
    const value = pairs[key];
    if (value === false || value === undefined) continue;
    let good = key.length > 0;
    const string: number[] = [];
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i);
      // Printable ASCII without the sign that ends it (section 6.4).
      if (code < 32 || code > 126 || code === 61) good = false;
      string.push(code);
    }
    if (value !== true) {
      string.push(61);
      const rest = typeof value === "string" ? utf8(value) : value;
      for (let i = 0; i < rest.length; i++) string.push(rest[i]);
    }
    if (!good || string.length > STRING) fail("EINVAL", "txt " + key);
    bytes.push(string.length);
    for (let i = 0; i < string.length; i++) bytes.push(string[i]);
  }
  // No pairs are one empty string (section 6.1).
  if (bytes.length === 0) bytes.push(0);
  if (bytes.length > TXT) fail("EINVAL", "txt");
  const data = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) data[i] = bytes[i];
  return data;
}

/** The pairs of a TXT record's strings: keys in lower case, of equal ones the first (section 6.4), values as text. */
export function decodeTxt(strings: string[]): { [key: string]: string | boolean } {
  const pairs: { [key: string]: string | boolean } = {};
  for (let i = 0; i < strings.length; i++) {
    const string = strings[i];
    const sign = string.indexOf("=");
    const key = (sign < 0 ? string : string.substring(0, sign)).toLowerCase();
    // "__proto__" is no key of a plain object.
    if (key === "" || key === "__proto__" || Object.prototype.hasOwnProperty.call(pairs, key)) continue;
    pairs[key] = sign < 0 ? true : fromUtf8(string.substring(sign + 1));
  }
  return pairs;
}
