/**
 * Postquantum preshared keys (RFC 8784): a secret that both have had for long is mixed into what protects traffic and proves identities.
 * Who records all now, and breaks the key exchange in years to come, has nothing without it.
 */
import { erase } from "../../hypercall/crypto.js";
import { fail } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import { equal, prfOf } from "./derive.js";
import type { PostquantumKey } from "./features.js";
import { textBytes } from "./identity.js";
import type { IkeSa } from "./ike-sa.js";
import { SK_D, SK_PI, SK_PR, expand } from "./keys.js";
import type { IkeKeys } from "./keys.js";
import type { Message } from "./message.js";

export interface PostquantumKeyOptions {
  /** What both call it. */
  id: string | Uint8Array;
  /** At least 32 bytes from a good source (section 5.1): bytes, or a text of characters below 256. */
  key: string | Uint8Array;
  /** False: a peer that does not have it is taken without, while a network is being moved to such keys. Default true. */
  required?: boolean;
}

/** PPK_ID_FIXED: the identity names one key, and stays as it is. */
const FIXED = 2;
const SHORTEST = 32;
const LONGEST_ID = 255;
/** The keys that it goes into. */
const MIXED = [SK_D, SK_PI, SK_PR];

class Key implements PostquantumKey {
  readonly name: Uint8Array;
  readonly required: boolean;
  private readonly key: Uint8Array;

  constructor(options: PostquantumKeyOptions) {
    const id = bytesOf(options.id, 1, LONGEST_ID, "id");
    this.name = new Uint8Array(1 + id.length);
    this.name[0] = FIXED;
    this.name.set(id, 1);
    this.key = bytesOf(options.key, SHORTEST, 65535, "key");
    this.required = options.required !== false;
  }

  mix(sa: IkeSa): Uint8Array[] {
    const keys = sa.keys as IkeKeys;
    const former: Uint8Array[] = [];
    for (let i = 0; i < MIXED.length; i++) {
      const key = keys.get(MIXED[i]);
      const before = new Uint8Array(key.length);
      before.set(key, 0);
      former.push(before);
      const mixed = expand(sa.ike.crypto, prfOf(sa), this.key, before, key.length);
      key.set(mixed, 0);
      erase(mixed);
    }
    return former;
  }

  restore(sa: IkeSa, former: Uint8Array[], used: boolean): void {
    for (let i = 0; i < former.length; i++) {
      if (!used && sa.keys) sa.keys.get(MIXED[i]).set(former[i], 0);
      erase(former[i]);
    }
  }

  judge(sa: IkeSa, message: Message, own: PostquantumKey | null): boolean {
    const named = message.notify(wire.PPK_IDENTITY);
    if (own && named >= 0 && equal(own.name, message.notifyData(named))) {
      own.restore(sa, own.mix(sa), true);
      sa.mixed = true;
      return true;
    }
    if (own && own.required) return false;
    if (named < 0) return true;
    // It has another proof, without the key, for those who do not have it: that one counts, by the same method.
    const other = message.notify(wire.NO_PPK_AUTH);
    const auth = message.find(wire.PAYLOAD_AUTH);
    if (other < 0 || auth < 0) return false;
    const start = message.ends[other] - message.notifyData(other).length - 4;
    message.data[start] = message.data[message.starts[auth]];
    message.starts[auth] = start;
    message.ends[auth] = message.ends[other];
    return true;
  }
}

function bytesOf(value: string | Uint8Array, least: number, most: number, what: string): Uint8Array {
  const bytes = typeof value === "string" ? textBytes(value) : value;
  if (!(bytes instanceof Uint8Array) || bytes.length < least || bytes.length > most) fail("EINVAL", what);
  const own = new Uint8Array(bytes.length);
  own.set(bytes, 0);
  return own;
}

/** A key of that kind, for a connection's `ppk`. Throws `EINVAL`: no identity, or a key of less than 32 bytes. */
export function postquantumKey(options: PostquantumKeyOptions): PostquantumKey {
  return new Key(options);
}
