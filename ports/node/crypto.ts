/** The ciphers of Node.js (OpenSSL) as the hypercalls of hypercall/crypto.ts. Everything answers at once. */
import * as node from "node:crypto";
import type { Cipher, CipherJob, CryptoHypercalls, Digest, SigningKey } from "../../hypercall/crypto.js";
import * as certificates from "./certificates.js";
import { exchange, GROUPS, respond } from "./crypto-exchange.js";
import { KeyedCipher } from "../crypto/keyed-cipher.js";

/** Names of the contract: key lengths that they take, and what OpenSSL calls them. */
const AEADS: Readonly<Record<string, Readonly<Record<number, node.CipherGCMTypes>>>> = {
  "aes-gcm-16": { 16: "aes-128-gcm", 24: "aes-192-gcm", 32: "aes-256-gcm" },
  // Of another type, with the same methods.
  "chacha20-poly1305": { 32: "chacha20-poly1305" as node.CipherGCMTypes },
};
const MACS: Readonly<Record<string, readonly [hash: string, tag: number]>> = {
  "hmac-sha2-256-128": ["sha256", 16],
  "hmac-sha2-384-192": ["sha384", 24],
  "hmac-sha2-512-256": ["sha512", 32],
};
const HASHES: Readonly<Record<string, readonly [hash: string, size: number]>> = {
  sha1: ["sha1", 20],
  "sha2-256": ["sha256", 32],
  "sha2-384": ["sha384", 48],
  "sha2-512": ["sha512", 64],
};
const SCHEME = /^(?:(ed25519)|(ecdsa|rsa-pss|rsa-pkcs1)-sha2-(256|384|512))$/;
const CURVES: Readonly<Record<string, string>> = { prime256v1: "p256", secp384r1: "p384", secp521r1: "p521" };
const TAG = 16;

class Aead extends KeyedCipher {
  readonly nonceSize = 12;
  readonly tagSize = TAG;

  /** @param macOnly GMAC: the data is what else would be additional (RFC 4543) */
  constructor(
    key: Uint8Array,
    private readonly name: node.CipherGCMTypes,
    private readonly macOnly: boolean,
  ) {
    super(key);
  }

  protected run(job: CipherJob, key: Uint8Array, seal: boolean): boolean {
    const { data, start, end, tag } = job;
    const nonce = view(job.nonce, 0, 12);
    const options = { authTagLength: TAG };
    const text = view(data, start, end);
    const aad = this.macOnly ? text : view(job.aad, job.aadStart, job.aadEnd);
    if (seal) {
      const cipher = node.createCipheriv(this.name, key, nonce, options);
      cipher.setAAD(aad);
      if (!this.macOnly) data.set(cipher.update(text), start);
      cipher.final();
      data.set(cipher.getAuthTag(), tag);
      return true;
    }
    const decipher = node.createDecipheriv(this.name, key, nonce, options);
    decipher.setAAD(aad);
    decipher.setAuthTag(view(data, tag, tag + TAG));
    const plain = this.macOnly ? null : decipher.update(text);
    // Throws where the tag is another: nothing has been written then.
    decipher.final();
    if (plain) data.set(plain, start);
    return true;
  }
}

class Cbc extends KeyedCipher {
  readonly nonceSize = 16;
  readonly tagSize = 0;
  override readonly blockSize = 16;

  protected run(job: CipherJob, key: Uint8Array, seal: boolean): boolean {
    const { data, start, end } = job;
    if ((end - start) & 15) return false;
    const name = `aes-${key.length * 8}-cbc`;
    const make = seal ? node.createCipheriv : node.createDecipheriv;
    const cipher = make(name, key, view(job.nonce, 0, 16)).setAutoPadding(false);
    data.set(cipher.update(view(data, start, end)), start);
    cipher.final();
    return true;
  }
}

class Mac extends KeyedCipher {
  readonly nonceSize = 0;

  constructor(
    key: Uint8Array,
    private readonly hash: string,
    readonly tagSize: number,
  ) {
    super(key);
  }

  protected run(job: CipherJob, key: Uint8Array, seal: boolean): boolean {
    const { data, tag } = job;
    const size = this.tagSize;
    const whole = node
      .createHmac(this.hash, key)
      .update(view(data, job.start, job.end))
      .digest();
    const own = whole.subarray(0, size);
    if (!seal) return node.timingSafeEqual(own, view(data, tag, tag + size));
    data.set(own, tag);
    return true;
  }
}

class NodeDigest implements Digest {
  private readonly key: Uint8Array | null;
  private state: node.Hash | node.Hmac | null = null;
  private closed = false;

  constructor(
    private readonly hash: string,
    readonly size: number,
    key: Uint8Array | null,
  ) {
    this.key = key && Uint8Array.from(key);
  }

  update(data: Uint8Array, start: number, end: number): void {
    this.current().update(view(data, start, end));
  }

  finish(target: Uint8Array, at: number): void {
    target.set(this.current().digest(), at);
    this.state = null;
  }

  close(): void {
    this.closed = true;
    this.key?.fill(0);
    this.state = null;
  }

  private current(): node.Hash | node.Hmac {
    if (this.closed) throw new Error("closed");
    this.state ??= this.key ? node.createHmac(this.hash, this.key) : node.createHash(this.hash);
    return this.state;
  }
}

/** The range as a view; itself where that is all of it. */
function view(data: Uint8Array, start: number, end: number): Uint8Array {
  return start === 0 && end === data.length ? data : data.subarray(start, end);
}

function cipher(algorithm: string, key: Uint8Array): Cipher | null {
  const aead = AEADS[algorithm]?.[key.length];
  if (aead) return new Aead(key, aead, false);
  if (algorithm === "aes-gmac") {
    const name = AEADS["aes-gcm-16"]![key.length];
    return name ? new Aead(key, name, true) : null;
  }
  if (algorithm === "aes-cbc") return [16, 24, 32].includes(key.length) ? new Cbc(key) : null;
  const mac = MACS[algorithm];
  return mac ? new Mac(key, mac[0], mac[1]) : null;
}

function digest(algorithm: string, key: Uint8Array | null): Digest | null {
  const hash = HASHES[algorithm];
  return hash ? new NodeDigest(hash[0], hash[1], key) : null;
}

class NodeSigningKey implements SigningKey {
  readonly type: string;
  readonly publicKey: Uint8Array;
  /** Null once it is closed: OpenSSL erases it with its last reference. */
  key: node.KeyObject | null;

  constructor(key: node.KeyObject, type: string) {
    this.key = key;
    this.type = type;
    this.publicKey = node.createPublicKey(key).export({ type: "spki", format: "der" });
  }

  close(): void {
    this.key = null;
  }
}

function keyType(key: node.KeyObject): string {
  const type = key.asymmetricKeyType;
  if (type === "ec") return CURVES[key.asymmetricKeyDetails?.namedCurve ?? ""] ?? "";
  return type === "rsa" || type === "ed25519" ? type : "";
}

function signingKey(pkcs8: Uint8Array): SigningKey | null {
  try {
    const key = node.createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
    const type = keyType(key);
    return type ? new NodeSigningKey(key, type) : null;
  } catch {
    return null;
  }
}

/** Hash and padding of a scheme for a key; null where they do not fit. */
function parameters(
  scheme: string,
  key: node.KeyObject,
): { hash: string | null; options: node.SigningOptions } | null {
  const [, plain, kind, bits] = SCHEME.exec(scheme) ?? [];
  const type = key.asymmetricKeyType;
  if (plain) return type === plain ? { hash: null, options: {} } : null;
  const hash = "sha" + bits;
  if (kind === "ecdsa") return type === "ec" ? { hash, options: { dsaEncoding: "der" } } : null;
  if (!kind || type !== "rsa") return null;
  const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST } = node.constants;
  return kind === "rsa-pss"
    ? { hash, options: { padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_DIGEST } }
    : { hash, options: { padding: RSA_PKCS1_PADDING } };
}

function sign(
  scheme: string,
  { key }: NodeSigningKey,
  data: Uint8Array,
  done: (signature: Uint8Array | null) => void,
): void {
  let signature: Uint8Array | null = null;
  try {
    const how = key && parameters(scheme, key);
    if (how) signature = node.sign(how.hash, data, { key: key!, ...how.options });
  } catch {
    // The key is too short for this hash and padding.
  }
  done(signature);
}

function verify(
  scheme: string,
  publicKey: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
  done: (good: boolean) => void,
): void {
  let good = false;
  try {
    const key = node.createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
    const how = keyType(key) && parameters(scheme, key);
    if (how) good = node.verify(how.hash, data, { key, ...how.options }, signature);
  } catch {
    // No key, or no signature in its form.
  }
  done(good);
}

/**
 * The ciphers of Node.js, for `nodeHost({ crypto })` (its default) or any other host in Node. Certificates are read by @peculiar/asn1-x509
 * and @peculiar/asn1-schema (optional peers).
 */
export function nodeCrypto(): Required<Omit<CryptoHypercalls, "agreementKey">> {
  const schemes = ["ecdsa", "rsa-pss", "rsa-pkcs1"].flatMap((kind) =>
    [256, 384, 512].map((bits) => `${kind}-sha2-${bits}`),
  );
  return {
    algorithms: [
      ...Object.keys(AEADS),
      "aes-cbc",
      "aes-gmac",
      ...Object.keys(MACS),
      ...Object.keys(HASHES),
      ...GROUPS,
      "ed25519",
      ...schemes,
      "x509",
    ],
    cipher,
    digest,
    exchange,
    respond,
    signingKey,
    sign: (scheme, key, data, done) => sign(scheme, key as NodeSigningKey, data, done),
    verify,
    parseCertificate: certificates.parse,
    parseRevocationList: certificates.parseList,
    verifyChain: certificates.verifier(verify),
  };
}
