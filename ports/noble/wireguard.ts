/**
 * What WireGuard wants beside what hosts have: BLAKE2s with keys, XChaCha20-Poly1305 for cookies, and private keys of X25519 that last.
 *
 * ```ts
 * const host = nodeHost({ crypto: withWireguard(nodeCrypto()) }); // packets by OpenSSL, handshakes by @noble
 * ```
 */
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { blake2s } from "@noble/hashes/blake2.js";
import { constantTimeEqual, erase } from "../../hypercall/crypto.js";
import type { AgreementKey, Cipher, CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";
import { KeyedCipher } from "../crypto/keyed-cipher.js";
import { NobleDigest } from "./digest.js";

const TAG = 16;

class Blake2sMac extends KeyedCipher {
  readonly nonceSize = 0;
  readonly tagSize = TAG;

  protected run({ data, start, end, tag }: CipherJob, key: Uint8Array, seal: boolean): boolean {
    const own = blake2s(data.subarray(start, end), { key, dkLen: TAG });
    if (!seal) return constantTimeEqual(own, 0, data, tag, TAG);
    data.set(own, tag);
    return true;
  }
}

class XChaCha extends KeyedCipher {
  readonly nonceSize = 24;
  readonly tagSize = TAG;

  protected run(job: CipherJob, key: Uint8Array, seal: boolean): boolean {
    const { data, start, end, tag } = job;
    const cipher = xchacha20poly1305(
      key,
      job.nonce.subarray(0, 24),
      job.aad.subarray(job.aadStart, job.aadEnd),
    );
    if (seal) {
      const sealed = cipher.encrypt(data.subarray(start, end));
      data.set(sealed.subarray(0, end - start), start);
      data.set(sealed.subarray(end - start), tag);
      return true;
    }
    const sealed = new Uint8Array(end - start + TAG);
    sealed.set(data.subarray(start, end));
    sealed.set(data.subarray(tag, tag + TAG), end - start);
    data.set(cipher.decrypt(sealed), start);
    return true;
  }
}

function agreementKey(secret: Uint8Array): AgreementKey | null {
  if (secret.length !== 32) return null;
  let own: Uint8Array | null = Uint8Array.from(secret);
  return {
    share: x25519.getPublicKey(own),
    agree(peer) {
      try {
        // Throws where the secret would be zero (RFC 7748 section 6.1).
        return own && x25519.getSharedSecret(own, peer);
      } catch {
        return null;
      }
    },
    close() {
      if (own) erase(own);
      own = null;
    },
  };
}

/** `crypto` with what WireGuard wants. It must have `chacha20-poly1305`: `nobleCrypto()`, `nodeCrypto()`. */
export function withWireguard<Crypto extends CryptoHypercalls>(
  crypto: Crypto,
): Crypto & Required<Pick<CryptoHypercalls, "cipher" | "digest" | "agreementKey">> {
  const names = ["blake2s", "blake2s-128", "xchacha20-poly1305"];
  return {
    ...crypto,
    algorithms: [...crypto.algorithms.filter((name) => !names.includes(name)), ...names],
    cipher: (algorithm: string, key: Uint8Array, immediate: boolean): Cipher | null => {
      if (algorithm === "blake2s-128") return key.length <= 32 && key.length > 0 ? new Blake2sMac(key) : null;
      if (algorithm === "xchacha20-poly1305") return key.length === 32 ? new XChaCha(key) : null;
      return crypto.cipher ? crypto.cipher(algorithm, key, immediate) : null;
    },
    digest: (algorithm: string, key: Uint8Array | null) =>
      algorithm === "blake2s"
        ? new NobleDigest(blake2s, key)
        : crypto.digest
          ? crypto.digest(algorithm, key)
          : null,
    agreementKey: (group: string, secret: Uint8Array) => {
      if (group === "x25519") return agreementKey(secret);
      return crypto.agreementKey ? crypto.agreementKey(group, secret) : null;
    },
  };
}
