/** Reading DER (X.690): values one after the other out of bytes that a stranger sent. Nothing here throws or goes back. */

/** A cursor over the values of one level. */
export interface Der {
  readonly data: Uint8Array;
  at: number;
  readonly end: number;
}

/** One value: its tag byte, where it begins, and where its content lies. */
export interface Value {
  readonly tag: number;
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

export const BOOLEAN = 1;
export const INTEGER = 2;
export const BIT_STRING = 3;
export const OCTET_STRING = 4;
export const OID = 6;
export const UTC_TIME = 0x17;
export const GENERALIZED_TIME = 0x18;
export const SEQUENCE = 0x30;

export function der(data: Uint8Array): Der {
  return { data, at: 0, end: data.length };
}

/** The next value; null at the end, or where a length lies or is not the shortest. Tags have one byte. */
export function next(from: Der): Value | null {
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
  return {
    tag: data[at]!,
    whole: data.subarray(at, from.at),
    content: data.subarray(start, from.at),
  };
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
