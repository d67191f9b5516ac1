/** Identities (RFC 7296 section 3.5): what the two ends call themselves. */
import { fail } from "../core/errors.js";
import { format4 } from "../core/text4.js";
import { format6 } from "../core/text6.js";
import { copyRange, get32 } from "../core/bytes.js";
import * as wire from "../wire/ike.js";
import { addressBytes } from "./selectors.js";

/** An identity: its type (`ID_FQDN`, `ID_DN`, ...) and bytes. */
export interface Identity {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Bytes of an identity at most. */
const LONGEST = 1024;

/**
 * `"192.0.2.1"` and `"2001:db8::1"` are addresses, what has an `@` inside is an e-mail address, all else is a host's name; bytes are
 * an opaque key identifier; an `Identity` is itself (a distinguished name in DER).
 */
export function parseIdentity(from: string | Uint8Array | Identity, what: string): Identity {
  if (from instanceof Uint8Array) return { type: wire.ID_KEY, data: from };
  if (typeof from !== "string") {
    if (!from || !(from.data instanceof Uint8Array) || !(from.type >= 1 && from.type <= 255))
      fail("EINVAL", what);
    return from;
  }
  if (from === "" || from.length > 255) fail("EINVAL", what);
  const address = addressBytes(from);
  if (address) return { type: address.length === 4 ? wire.ID_IPV4 : wire.ID_IPV6, data: address };
  return { type: from.indexOf("@") > 0 ? wire.ID_EMAIL : wire.ID_FQDN, data: textBytes(from) };
}

/** The bytes of a text of characters below 256. */
export function textBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The identity in the body of an IDi or IDr payload, a copy; null: there is none. */
export function readIdentity(body: Uint8Array): Identity | null {
  if (body.length <= 4 || body.length > LONGEST) return null;
  return { type: body[0], data: copyRange(body, 4, body.length) };
}

/** The body of an ID payload. */
export function identityBody(identity: Identity): Uint8Array {
  const body = new Uint8Array(4 + identity.data.length);
  body[0] = identity.type;
  body.set(identity.data, 4);
  return body;
}

export function sameIdentity(a: Identity, b: Identity): boolean {
  if (a.type !== b.type || a.data.length !== b.data.length) return false;
  for (let i = 0; i < a.data.length; i++) if (a.data[i] !== b.data[i]) return false;
  return true;
}

/** For people. */
export function identityText(identity: Identity): string {
  const data = identity.data;
  if (identity.type === wire.ID_IPV4 && data.length === 4) return format4(get32(data, 0));
  if (identity.type === wire.ID_IPV6 && data.length === 16) return format6(data, 0);
  let text = "";
  const readable = identity.type === wire.ID_FQDN || identity.type === wire.ID_EMAIL;
  for (let i = 0; i < data.length; i++) {
    const plain = readable && data[i] > 32 && data[i] < 127;
    text += plain ? String.fromCharCode(data[i]) : (data[i] + 256).toString(16).substring(1);
  }
  return text;
}
