/**
 * Heads of HTTP messages (RFC 9112), as SSDP and SOAP have them: a start line and fields, all of them in the first `HEAD` bytes. Bytes are
 * characters of the same number, whatever they mean.
 */

/** The longest head that is read, and its fields at most. */
export const HEAD = 2048;
const FIELDS = 32;
const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;

/** What `count` of `HttpHead` says of a number that is none. */
export const NO_NUMBER = -1;

export class HttpHead {
  /** The words of the start line, three of them. */
  readonly words: string[] = ["", "", ""];
  private names: string[] = [];
  private values: string[] = [];

  /** Reads `data[0..end)`, which ends with an empty line. False: it is no head. */
  parse(data: Uint8Array, end: number): boolean {
    this.names = [];
    this.values = [];
    let at = 0;
    for (let line = 0; at < end; line++) {
      let stop = at;
      while (stop < end && data[stop] !== LF) stop++;
      const next = stop + 1;
      if (stop === end) return false;
      if (stop > at && data[stop - 1] === CR) stop--;
      if (stop === at) return line > 0 && next === end;
      if (!isText(data, at, stop)) return false;
      if (line === 0 ? !this.start(data, at, stop) : !this.field(data, at, stop)) return false;
      at = next;
    }
    return false;
  }

  /** The value of a field, whose name is in small letters; `""`: there is none, or there are several. */
  find(name: string): string {
    const at = this.names.indexOf(name);
    return at < 0 || this.names.indexOf(name, at + 1) >= 0 ? "" : this.values[at];
  }

  has(name: string): boolean {
    return this.names.indexOf(name) >= 0;
  }

  /** The number in a field, 0 without the field; NO_NUMBER: of more than six digits, or none, or several. */
  count(name: string): number {
    if (!this.has(name)) return 0;
    const text = this.find(name);
    let value = 0;
    if (text === "" || text.length > 6) return NO_NUMBER;
    for (let i = 0; i < text.length; i++) {
      const digit = text.charCodeAt(i) - 48;
      if (digit < 0 || digit > 9) return NO_NUMBER;
      value = value * 10 + digit;
    }
    return value;
  }

  private start(data: Uint8Array, at: number, end: number): boolean {
    for (let word = 0; word < 3; word++) {
      let stop = at;
      while (stop < end && data[stop] !== SPACE) stop++;
      if (stop === at || (word === 2 ? stop !== end : stop === end)) return false;
      this.words[word] = latin(data, at, stop);
      at = stop + 1;
    }
    return this.words[2] === "HTTP/1.1" || this.words[2] === "HTTP/1.0";
  }

  private field(data: Uint8Array, at: number, end: number): boolean {
    let stop = at;
    // A name has no blanks: so no field goes on in another line.
    while (stop < end && data[stop] !== COLON && data[stop] > SPACE && data[stop] < 127) stop++;
    if (stop === at || stop === end || data[stop] !== COLON || this.names.length === FIELDS) return false;
    let from = stop + 1;
    while (from < end && data[from] <= SPACE) from++;
    while (end > from && data[end - 1] <= SPACE) end--;
    this.names.push(latin(data, at, stop).toLowerCase());
    this.values.push(latin(data, from, end));
    return true;
  }
}

/** The index behind the empty line that ends a head, looked for from `from` on (an end of a line, or 0); -1: not yet. */
export function headEnd(data: Uint8Array, from: number, end: number): number {
  for (let i = from; i + 1 < end; i++) {
    if (data[i] !== LF) continue;
    if (data[i + 1] === LF) return i + 2;
    if (i + 2 < end && data[i + 1] === CR && data[i + 2] === LF) return i + 3;
  }
  return -1;
}

/** Control characters are in no line, but for tabs. */
function isText(data: Uint8Array, at: number, end: number): boolean {
  for (; at < end; at++) if ((data[at] < SPACE && data[at] !== 9) || data[at] === 127) return false;
  return true;
}

export function latin(data: Uint8Array, at: number, end: number): string {
  let text = "";
  for (; at < end; at++) text += String.fromCharCode(data[at]);
  return text;
}

export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
