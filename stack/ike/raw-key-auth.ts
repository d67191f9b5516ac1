/** Authentication by raw public keys (RFC 7670): each side knows the other's, there are no certificates. */
import type { SigningKey } from "../../hypercall/crypto.js";
import { fail } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import type { Authentication } from "./features.js";
import type { Identity } from "./identity.js";
import type { Ike } from "./ike.js";
import type { IkeSa } from "./ike-sa.js";
import type { Message, Writer } from "./message.js";
import { announceHashes, readSignature, signAuth } from "./signatures.js";

export interface RawKeyOptions {
  /** Our private key: PKCS #8 in DER. */
  key: Uint8Array;
  /** The peer's public key: SubjectPublicKeyInfo in DER. */
  peer: Uint8Array;
}

/** Raw public key. */
const ENCODING_RAW = 15;

class ByRawKey implements Authentication {
  readonly identity: Identity | null = null;
  private key: SigningKey | null = null;

  constructor(private readonly options: RawKeyOptions) {
    if (!(options.key instanceof Uint8Array)) fail("EINVAL", "key");
    if (!(options.peer instanceof Uint8Array)) fail("EINVAL", "peer");
  }

  prepare(ike: Ike): void {
    if (this.key) return;
    if (!ike.crypto.signingKey) fail("EOPNOTSUPP", "signatures");
    this.key = ike.crypto.signingKey(this.options.key) || fail("EINVAL", "key");
  }

  announce(_ike: Ike, out: Writer): void {
    announceHashes(out);
  }

  present(_sa: IkeSa, out: Writer): void {
    out.begin(wire.PAYLOAD_CERT).put8(ENCODING_RAW).bytes(this.key!.publicKey);
  }

  sign(sa: IkeSa, octets: Uint8Array, done: (auth: Uint8Array | null) => void): void {
    signAuth(sa, this.key as SigningKey, octets, done);
  }

  /** Whatever key the peer sends: it is the one we know that counts. */
  verify(
    sa: IkeSa,
    message: Message,
    _identity: Identity,
    octets: Uint8Array,
    done: (good: boolean) => void,
  ): void {
    const signed = readSignature(message);
    if (!signed) done(false);
    else sa.ike.crypto.verify!(signed.scheme, this.options.peer, octets, signed.signature, done);
  }
}

/** Authentication by raw keys: `connect({ remote, auth: rawKeyAuth({ key, peer }), identity, remoteIdentity })`. Throws `EINVAL`. */
export function rawKeyAuth(options: RawKeyOptions): Authentication {
  return new ByRawKey(options);
}
