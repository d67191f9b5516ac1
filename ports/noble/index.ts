/**
 * Ciphers for hosts that have none: the @noble packages as the hypercalls of hypercall/crypto.ts. Audited JavaScript, the same
 * everywhere, about a hundredth as fast as a processor's own. The packages are optional peers; random bytes come from `globalThis.crypto`.
 * Not there: RSA and MODP groups.
 */
import { cbc, gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { constantTimeEqual } from "../../hypercall/crypto.js";
import type { Cipher, CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";
import { KeyedCipher } from "../crypto/keyed-cipher.js";
import { NobleDigest } from "./digest.js";
import { exchange, groups, respond } from "./exchange.js";
import { sign, signingKey, verify } from "./signatures.js";

export { withWireguard } from "./wireguard.js";

const HASHES = { sha1, "sha2-256": sha256, "sha2-384": sha384, "sha2-512": sha512 } as const;
type HashName = keyof typeof HASHES;
const MACS: Readonly<Record<string, readonly [hash: HashName, tag: number]>> = {
  "hmac-sha2-256-128": ["sha2-256", 16],
  "hmac-sha2-384-192": ["sha2-384", 24],
  "hmac-sha2-512-256": ["sha2-512", 32],
};
const TAG = 16;
const AES_KEYS = [16, 24, 32];
const NOTHING = new Uint8Array(0);

/** What one algorithm does to a job; false, or an error: it is not authentic. */
type Work = (job: CipherJob, key: Uint8Array, seal: boolean) => boolean;

class NobleCipher extends KeyedCipher {
  constructor(
    key: Uint8Array,
    readonly nonceSize: number,
    readonly tagSize: number,
    override readonly blockSize: number,
    protected readonly run: Work,
  ) {
    super(key);
  }
}

/** @param macOnly GMAC: the data is what else would be additional (RFC 4543) */
function aead(make: typeof gcm | typeof chacha20poly1305, macOnly: boolean): Work {
  return (job, key, seal) => {
    const { data, start, end, tag } = job;
    const text = data.subarray(start, end);
    const aad = macOnly ? text : job.aad.subarray(job.aadStart, job.aadEnd);
    const cipher = make(key, job.nonce.subarray(0, 12), aad);
    const plain = macOnly ? NOTHING : text;
    const size = plain.length;
    if (seal) {
      const sealed = cipher.encrypt(plain);
      data.set(sealed.subarray(0, size), start);
      data.set(sealed.subarray(size), tag);
      return true;
    }
    const sealed = new Uint8Array(size + TAG);
    sealed.set(plain);
    sealed.set(data.subarray(tag, tag + TAG), size);
    data.set(cipher.decrypt(sealed), start);
    return true;
  };
}

const cbcWork: Work = (job, key, seal) => {
  const { data, start, end } = job;
  if ((end - start) & 15) return false;
  const cipher = cbc(key, job.nonce.subarray(0, 16), { disablePadding: true });
  const text = data.subarray(start, end);
  data.set(seal ? cipher.encrypt(text) : cipher.decrypt(text), start);
  return true;
};

function mac(hash: HashName, size: number): Work {
  return ({ data, start, end, tag }, key, seal) => {
    const own = hmac(HASHES[hash], key, data.subarray(start, end)).subarray(0, size);
    if (!seal) return constantTimeEqual(own, 0, data, tag, size);
    data.set(own, tag);
    return true;
  };
}

function cipher(algorithm: string, key: Uint8Array): Cipher | null {
  const aes = AES_KEYS.includes(key.length);
  if (algorithm === "aes-gcm-16") return aes ? new NobleCipher(key, 12, TAG, 1, aead(gcm, false)) : null;
  if (algorithm === "aes-gmac") return aes ? new NobleCipher(key, 12, TAG, 1, aead(gcm, true)) : null;
  if (algorithm === "aes-cbc") return aes ? new NobleCipher(key, 16, 0, 16, cbcWork) : null;
  if (algorithm === "chacha20-poly1305") {
    return key.length === 32 ? new NobleCipher(key, 12, TAG, 1, aead(chacha20poly1305, false)) : null;
  }
  const found = MACS[algorithm];
  return found ? new NobleCipher(key, 0, found[1], 1, mac(...found)) : null;
}

/** The ciphers of the @noble packages, for any host. Certificates: `withCertificates` of port `x509`. */
export function nobleCrypto(): Required<
  Omit<CryptoHypercalls, "agreementKey" | "parseCertificate" | "parseRevocationList" | "verifyChain">
> {
  return {
    algorithms: [
      ...["aes-gcm-16", "chacha20-poly1305", "aes-cbc", "aes-gmac"],
      ...Object.keys(MACS),
      ...Object.keys(HASHES),
      ...groups(),
      ...["ed25519", "ecdsa-sha2-256", "ecdsa-sha2-384", "ecdsa-sha2-512"],
    ],
    cipher,
    digest: (algorithm, key) =>
      Object.hasOwn(HASHES, algorithm) ? new NobleDigest(HASHES[algorithm as HashName], key) : null,
    exchange,
    respond,
    signingKey,
    sign,
    verify,
  };
}
