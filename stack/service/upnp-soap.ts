/**
 * SOAP 1.1 as UPnP uses it (UPnP Device Architecture 1.0, section 3): an action and its arguments, which are text. Read in one pass without
 * recursion; what is not needed for that (DTDs, CDATA, deeper elements, unknown entities) is refused, so nothing can be expanded.
 */
import { latin } from "./upnp-http.js";

/** Elements within each other, arguments, and characters of one, at most. */
const DEPTH = 6;
const ARGUMENTS = 16;
const VALUE = 256;
const LESS = 60;
const MORE = 62;

export class SoapCall {
  action = "";
  /** The action's namespace: the type of the service. */
  service = "";
  private names: string[] = [];
  private values: string[] = [];

  /** Reads an envelope in `data[at..end)`. False: it is none. */
  parse(data: Uint8Array, at: number, end: number): boolean {
    const open: string[] = [];
    let text = "";
    let done = false;
    this.action = this.service = "";
    this.names = [];
    this.values = [];
    // A byte order mark says what is so anyway.
    if (end - at > 2 && data[at] === 0xef && data[at + 1] === 0xbb && data[at + 2] === 0xbf) at += 3;
    while (at < end) {
      if (data[at] !== LESS) {
        let stop = at;
        while (stop < end && data[stop] !== LESS) stop++;
        const part = decode(data, at, stop);
        if (part === null || text.length + part.length > VALUE) return false;
        if (open.length === 4) text += part;
        else if (!isBlank(part) && open[1] !== "Header") return false;
        at = stop;
        continue;
      }
      const mark = data[at + 1];
      if (mark === 0x21 || mark === 0x3f) {
        at = skipped(data, at, end);
        if (at < 0) return false;
        continue;
      }
      const stop = tagEnd(data, at, end);
      if (stop < 0 || done) return false;
      const closing = mark === 0x2f;
      const empty = !closing && data[stop - 1] === 0x2f;
      if (!closing) {
        const name = nameAt(data, at + 1, stop);
        if (name === "" || open.length === DEPTH || !this.opened(open, name, data, at, stop)) return false;
        open.push(local(name));
        text = "";
      }
      if (closing || empty) {
        const name = open.pop();
        if (name === undefined || (closing && local(nameAt(data, at + 2, stop)) !== name)) return false;
        if (open.length === 3 && open[1] === "Body") {
          if (this.names.length === ARGUMENTS) return false;
          this.names.push(name);
          this.values.push(text);
        }
        text = "";
        done = open.length === 0;
      }
      at = stop + 1;
    }
    return done && this.action !== "";
  }

  /** An argument; null: it is not there, or twice. */
  find(name: string): string | null {
    const at = this.names.indexOf(name);
    return at < 0 || this.names.indexOf(name, at + 1) >= 0 ? null : this.values[at];
  }

  /** May the element stand here? Takes the action. */
  private opened(open: string[], name: string, data: Uint8Array, at: number, stop: number): boolean {
    const depth = open.length;
    if (depth === 0) return local(name) === "Envelope";
    if (depth === 1) return local(name) === "Body" || local(name) === "Header";
    if (open[1] === "Header") return true;
    if (depth === 2) {
      if (this.action !== "") return false;
      const colon = name.indexOf(":");
      this.action = local(name);
      this.service = attribute(
        latin(data, at, stop),
        colon < 0 ? "xmlns" : "xmlns:" + name.substring(0, colon),
      );
    }
    return depth < 4;
  }
}

/** `text` as XML's text. */
export function escapeXml(text: string): string {
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    out += c === "<" ? "&lt;" : c === ">" ? "&gt;" : c === "&" ? "&amp;" : c === '"' ? "&quot;" : c;
  }
  return out;
}

/** The index of the `>` that ends a tag, with regard to quotes; -1: there is none. */
function tagEnd(data: Uint8Array, at: number, end: number): number {
  let quote = 0;
  for (at++; at < end; at++) {
    const c = data[at];
    if (quote !== 0) {
      if (c === quote) quote = 0;
    } else if (c === 0x22 || c === 0x27) quote = c;
    else if (c === MORE) return at;
    else if (c === LESS) return -1;
  }
  return -1;
}

/** Behind a comment or an instruction; -1: it is neither, or without end. */
function skipped(data: Uint8Array, at: number, end: number): number {
  const instruction = data[at + 1] === 0x3f;
  if (!instruction && (data[at + 2] !== 0x2d || data[at + 3] !== 0x2d)) return -1;
  for (at += instruction ? 2 : 4; at < end; at++) {
    if (data[at] !== MORE) continue;
    if (instruction ? data[at - 1] === 0x3f : data[at - 1] === 0x2d && data[at - 2] === 0x2d) return at + 1;
  }
  return -1;
}

function nameAt(data: Uint8Array, at: number, end: number): string {
  let stop = at;
  while (stop < end && data[stop] > 32 && data[stop] !== 0x2f) stop++;
  return latin(data, at, stop);
}

function local(name: string): string {
  return name.substring(name.indexOf(":") + 1);
}

/** The value of an attribute in a tag, or `""`. */
function attribute(tag: string, name: string): string {
  let at = tag.indexOf(name + "=");
  if (at < 1 || tag.charCodeAt(at - 1) > 32) return "";
  at += name.length + 1;
  const stop = tag.indexOf(tag.charAt(at), at + 1);
  return tag.charAt(at) !== '"' && tag.charAt(at) !== "'" ? "" : stop < 0 ? "" : tag.substring(at + 1, stop);
}

/** Text with its references replaced; null: one is none of XML's own, or stands for no character that is one byte. */
function decode(data: Uint8Array, at: number, end: number): string | null {
  let text = "";
  for (; at < end; at++) {
    if (data[at] !== 0x26) {
      text += String.fromCharCode(data[at]);
      continue;
    }
    let stop = at + 1;
    while (stop < end && stop - at < 9 && data[stop] !== 0x3b) stop++;
    if (stop === end || data[stop] !== 0x3b) return null;
    const code = referred(latin(data, at + 1, stop));
    if (code < 32 || code > 126) return null;
    text += String.fromCharCode(code);
    at = stop;
  }
  return text;
}

/** The number of the character that `&name;` stands for, or -1. */
function referred(name: string): number {
  if (name === "lt") return LESS;
  if (name === "gt") return MORE;
  if (name === "amp") return 0x26;
  if (name === "quot") return 0x22;
  if (name === "apos") return 0x27;
  if (name.charAt(0) !== "#") return -1;
  const hex = name.charAt(1) === "x";
  const base = hex ? 16 : 10;
  let value = 0;
  let i = hex ? 2 : 1;
  if (i === name.length) return -1;
  for (; i < name.length; i++) {
    const digit = "0123456789abcdef".indexOf(name.charAt(i).toLowerCase());
    if (digit < 0 || digit >= base) return -1;
    value = value * base + digit;
  }
  return value;
}

function isBlank(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 32) return false;
  return true;
}
