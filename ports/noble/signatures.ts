/** Signatures of the @noble packages: Ed25519 (RFC 8032) and ECDSA over P-256, P-384 and P-521, keys in PKCS #8 and SPKI. */
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { erase } from "../../hypercall/crypto.js";
import type { SigningKey } from "../../hypercall/crypto.js";
import * as asn from "./der.js";

const CURVES = { p256, p384, p521 } as const;
type CurveName = keyof typeof CURVES;
const HASHES: Readonly<Record<string, (data: Uint8Array) => Uint8Array>> = {
  "ecdsa-sha2-256": sha256,
  "ecdsa-sha2-384": sha384,
  "ecdsa-sha2-512": sha512,
};
/** Content of object identifiers, and how a SubjectPublicKeyInfo of each begins: the key itself is all that follows. */
const ED25519 = "2b6570";
const CURVE_OIDS: Readonly<Record<string, CurveName>> = {
  "2a8648ce3d030107": "p256",
  "2b81040022": "p384",
  "2b81040023": "p521",
};
const SPKI: Readonly<Record<string, string>> = {
  ed25519: "302a300506032b6570032100",
  p256: "3059301306072a8648ce3d020106082a8648ce3d030107034200",
  p384: "3076301006072a8648ce3d020106052b81040022036200",
  p521: "30819b301006072a8648ce3d020106052b8104002303818600",
};
/** ECDSA here: hashed by the caller, in DER, either half of the order. */
const OPTIONS = { format: "der", prehash: false, lowS: false } as const;

class NobleSigningKey implements SigningKey {
  readonly publicKey: Uint8Array;

  constructor(
    readonly type: "ed25519" | CurveName,
    public secret: Uint8Array | null,
  ) {
    const raw =
      type === "ed25519" ? ed25519.getPublicKey(secret!) : CURVES[type].getPublicKey(secret!, false);
    this.publicKey = Uint8Array.from([...fromHex(SPKI[type]!), ...raw]);
  }

  close(): void {
    if (this.secret) erase(this.secret);
    this.secret = null;
  }
}

function fromHex(text: string): number[] {
  return (text.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
}

/** Type of an AlgorithmIdentifier's content; null: none of ours. */
function typeOf(algorithm: asn.Value): "ed25519" | CurveName | null {
  const fields = asn.der(algorithm.content);
  const oid = asn.take(fields, asn.OID);
  if (oid && asn.hex(oid.content) === ED25519) return "ed25519";
  const curve = asn.take(fields, asn.OID);
  return (curve && CURVE_OIDS[asn.hex(curve.content)]) ?? null;
}

export function signingKey(pkcs8: Uint8Array): SigningKey | null {
  const outer = asn.take(asn.der(pkcs8), asn.SEQUENCE);
  const fields = outer && asn.der(outer.content);
  const version = fields && asn.take(fields, asn.INTEGER);
  const algorithm = version && asn.take(fields, asn.SEQUENCE);
  const wrapped = algorithm && asn.take(fields, asn.OCTET_STRING);
  const type = algorithm && typeOf(algorithm);
  if (!wrapped || !type) return null;
  const inner = asn.der(wrapped.content);
  let secret: asn.Value | null;
  if (type === "ed25519") secret = asn.take(inner, asn.OCTET_STRING);
  else {
    const key = asn.take(inner, asn.SEQUENCE);
    const parts = key && asn.der(key.content);
    secret = parts && asn.take(parts, asn.INTEGER) && asn.take(parts, asn.OCTET_STRING);
  }
  try {
    return secret && new NobleSigningKey(type, Uint8Array.from(secret.content));
  } catch {
    return null;
  }
}

export function sign(
  scheme: string,
  key: SigningKey,
  data: Uint8Array,
  done: (signature: Uint8Array | null) => void,
): void {
  const { type, secret } = key as NobleSigningKey;
  const hash = HASHES[scheme];
  let signature: Uint8Array | null = null;
  if (secret && type === "ed25519") {
    if (scheme === "ed25519") signature = ed25519.sign(data, secret);
  } else if (secret && hash) signature = CURVES[type as CurveName].sign(hash(data), secret, OPTIONS);
  done(signature);
}

export function verify(
  scheme: string,
  publicKey: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
  done: (good: boolean) => void,
): void {
  let good = false;
  try {
    const text = asn.hex(publicKey);
    const type = Object.keys(SPKI).find((name) => text.startsWith(SPKI[name]!));
    const hash = HASHES[scheme];
    if (type) {
      const raw = publicKey.subarray(SPKI[type]!.length / 2);
      if (type === "ed25519")
        good = scheme === "ed25519" && ed25519.verify(signature, data, raw, { zip215: false });
      else if (hash) good = CURVES[type as CurveName].verify(signature, hash(data), raw, OPTIONS);
    }
  } catch {
    // No key, or no signature in its form.
  }
  done(good);
}
