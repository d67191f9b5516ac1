/** WireGuard's functions (section 5.4) over the host's ciphers: hashes, MACs, key derivation, and sealing what is in a handshake. */
import { CIPHER_DONE, erase } from "../../hypercall/crypto.js";
import type { AgreementKey, Cipher, CipherJob, CryptoHypercalls, Digest } from "../../hypercall/crypto.js";
import { fail } from "../core/errors.js";
import { TAG } from "../wire/wireguard.js";

export const KEY = 32;
const NONE = new Uint8Array(0);

export function ascii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export class Suite {
  /** What every handshake begins with: chaining key, and hash before the responder's key. */
  readonly chain: Uint8Array;
  readonly start: Uint8Array;
  private readonly plain: Digest;
  private readonly one = new Uint8Array(1);
  private readonly job: CipherJob = {
    data: NONE,
    start: 0,
    end: 0,
    tag: 0,
    nonce: new Uint8Array(24),
    aad: NONE,
    aadStart: 0,
    aadEnd: 0,
    done: () => {},
  };

  /** Throws `EOPNOTSUPP`: a host without the ciphers. */
  constructor(readonly crypto: CryptoHypercalls) {
    const plain = crypto.digest ? crypto.digest("blake2s", null) : null;
    if (!plain || !crypto.cipher || !crypto.agreementKey) {
      fail(
        "EOPNOTSUPP",
        "wireguard needs blake2s, xchacha20-poly1305 and x25519 of the host (withWireguard)",
      );
    }
    this.plain = plain;
    this.chain = this.hash(ascii("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"), NONE);
    this.start = this.hash(this.chain, ascii("WireGuard v1 zx2c4 Jason@zx2c4.com"));
  }

  hash(a: Uint8Array, b: Uint8Array): Uint8Array {
    const result = new Uint8Array(KEY);
    this.plain.update(a, 0, a.length);
    this.plain.update(b, 0, b.length);
    this.plain.finish(result, 0);
    return result;
  }

  /** The same over a range, into `hash` itself: `hash = HASH(hash | data[from..to))`. */
  mix(hash: Uint8Array, data: Uint8Array, from: number, to: number): void {
    this.plain.update(hash, 0, KEY);
    this.plain.update(data, from, to);
    this.plain.finish(hash, 0);
  }

  /** KDF_n: `chain` becomes the first key; further ones are written into `second` and `third`. */
  derive(chain: Uint8Array, input: Uint8Array, second: Uint8Array | null, third: Uint8Array | null): void {
    const one = this.one;
    const extract = this.keyed(chain);
    const secret = new Uint8Array(KEY);
    extract.update(input, 0, input.length);
    extract.finish(secret, 0);
    extract.close();
    const expand = this.keyed(secret);
    erase(secret);
    let before: Uint8Array = NONE;
    const outputs = [chain, second, third];
    for (let i = 0; i < 3; i++) {
      const output = outputs[i];
      if (!output) break;
      one[0] = i + 1;
      expand.update(before, 0, before.length);
      expand.update(one, 0, 1);
      expand.finish(output, 0);
      before = output;
    }
    expand.close();
  }

  /** Seals `data[from..to)` in place, the tag behind it, with nonce 0 and `aad`. False: the host refused. */
  seal(key: Uint8Array, data: Uint8Array, from: number, to: number, aad: Uint8Array): boolean {
    return this.once("chacha20-poly1305", key, NONE, data, from, to, aad, true);
  }

  open(key: Uint8Array, data: Uint8Array, from: number, to: number, aad: Uint8Array): boolean {
    return this.once("chacha20-poly1305", key, NONE, data, from, to, aad, false);
  }

  /** XChaCha20-Poly1305, for cookies. */
  cookie(
    key: Uint8Array,
    nonce: Uint8Array,
    data: Uint8Array,
    from: number,
    to: number,
    aad: Uint8Array,
    seals: boolean,
  ): boolean {
    return this.once("xchacha20-poly1305", key, nonce, data, from, to, aad, seals);
  }

  /** MAC (keyed BLAKE2s of 16 bytes) over `data[from..to)`, at `target[at..]`. */
  mac(key: Uint8Array, data: Uint8Array, from: number, to: number, target: Uint8Array, at: number): void {
    const own = this.cipher("blake2s-128", key);
    const bytes = new Uint8Array(to - from + TAG);
    const job = this.job;
    for (let i = from; i < to; i++) bytes[i - from] = data[i];
    job.data = bytes;
    job.start = 0;
    job.end = job.tag = to - from;
    own.seal(job);
    own.close();
    for (let i = 0; i < TAG; i++) target[at + i] = bytes[to - from + i];
  }

  /** A cipher for packets. */
  cipher(name: string, key: Uint8Array): Cipher {
    const own = this.crypto.cipher!(name, key, true);
    return own || fail("EOPNOTSUPP", name);
  }

  /** A private key; `EINVAL`. */
  key(secret: Uint8Array, what: string): AgreementKey {
    const own =
      secret instanceof Uint8Array && secret.length === KEY
        ? this.crypto.agreementKey!("x25519", secret)
        : null;
    return own || fail("EINVAL", what);
  }

  private keyed(key: Uint8Array): Digest {
    return this.crypto.digest!("blake2s", key) || fail("EOPNOTSUPP", "blake2s");
  }

  private once(
    name: string,
    key: Uint8Array,
    nonce: Uint8Array,
    data: Uint8Array,
    from: number,
    to: number,
    aad: Uint8Array,
    seals: boolean,
  ): boolean {
    const own = this.cipher(name, key);
    const job = this.job;
    for (let i = 0; i < 24; i++) job.nonce[i] = i < nonce.length ? nonce[i] : 0;
    job.data = data;
    job.start = from;
    job.end = job.tag = to;
    job.aad = aad;
    job.aadEnd = aad.length;
    const code = seals ? own.seal(job) : own.open(job);
    own.close();
    job.data = job.aad = NONE;
    return code === CIPHER_DONE;
  }
}
