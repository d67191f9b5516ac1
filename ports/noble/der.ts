/** Reading DER (X.690), as far as a private key in PKCS #8 needs it: values one after the other. Nothing here throws or goes back. */

/** A cursor over the values of one level. */
export interface Der {
  readonly data: Uint8Array;
  at: number;
  readonly end: number;
}

/** One value: its content. */
export interface Value {
  readonly content: Uint8Array;
}

export const INTEGER = 2;
export const OCTET_STRING = 4;
export const OID = 6;
export const SEQUENCE = 0x30;

export function der(data: Uint8Array): Der {
  return { data, at: 0, end: data.length };
}

/** The value here; null at the end, or where a length lies or is not the shortest. Tags have one byte. */
function next(from: Der): Value | null {
  const { data, at, end } = from;
  if (end - at < 2 || (data[at]! & 31) === 31) return null;
  let length = data[at + 1]!;
  let start = at + 2;
  if (length >= 0x80) {
    const bytes = length & 0x7f;
    if (bytes < 1 || bytes > 3 || end - start < bytes) return null;
    length = 0;
    for (let i = 0; i < bytes; i++) length = (length << 8) | data[start + i]!;
    start += bytes;
    if (length < (bytes === 1 ? 0x80 : 1 << ((bytes - 1) * 8))) return null;
  }
  if (length > end - start) return null;
  from.at = start + length;
  return { content: data.subarray(start, from.at) };
}

/** The next value if it has this tag, else null and the cursor stays. */
export function take(from: Der, tag: number): Value | null {
  if (from.at >= from.end || from.data[from.at] !== tag) return null;
  return next(from);
}

/** An object identifier's content in hexadecimal digits: enough to compare it. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += (byte + 256).toString(16).slice(1);
  return text;
}
