/**
 * What an SA's algorithms do to bytes: encryption in place with its IV, and the ICV (RFC 4303 section 3.2; RFC 4106, 4543, 7634, 3602,
 * 4868). Ciphers are the host's; here is how ESP and AH use them.
 */
import {
  CIPHER_DONE,
  CIPHER_FAILED,
  CIPHER_PENDING,
  constantTimeEqual,
  erase,
} from "../../hypercall/crypto.js";
import type { Cipher, CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";
import { put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";

export interface TransformOptions {
  /** `"aes-gcm-16"` (default), `"chacha20-poly1305"`, `"aes-gmac"`, `"aes-cbc"`, `"null"`. */
  encryption?: string;
  /** Key. AEAD and GMAC: the 4 bytes of salt are its end (as in IKE and in Linux). */
  key?: Uint8Array;
  /** `"hmac-sha2-256-128"`, `"hmac-sha2-384-192"`, `"hmac-sha2-512-256"`; with `aes-cbc` and `null`, and for AH. */
  integrity?: string;
  /** As long as the hash: 32, 48 or 64 bytes. */
  integrityKey?: Uint8Array;
}

/** Bytes of the keys of integrity algorithms (RFC 4868 section 2.1.1). */
const INTEGRITY: readonly (readonly [string, number])[] = [
  ["hmac-sha2-256-128", 32],
  ["hmac-sha2-384-192", 48],
  ["hmac-sha2-512-256", 64],
];

const AEAD = 0;
const GMAC = 1;
const SPLIT = 2;
const SALT = 4;

export class Transform {
  /** Bytes of the IV on the wire. */
  readonly ivSize: number;
  /** Bytes of the ICV. */
  readonly icvSize: number;
  /** What is encrypted has a multiple of this, with its trailer. */
  readonly align: number;
  /** The cipher answers later: each packet wants memory and a job of its own (`lend`). */
  readonly deferred: boolean;
  private readonly kind: number;
  private cipher: Cipher | null = null;
  private mac: Cipher | null = null;
  private job: CipherJob;
  private readonly salt: Uint8Array;
  private readonly saved = new Uint8Array(32);

  /**
   * @param ah AH: integrity alone
   * @param patient a cipher that answers later will do: somebody keeps the packets (cipher-queue.ts)
   *
   * Errors (thrown): `EINVAL` algorithms or keys, `ENOPROTOOPT` the host has no such cipher.
   */
  constructor(crypto: CryptoHypercalls, options: TransformOptions, ah: boolean, patient: boolean) {
    const name = ah ? "null" : options.encryption || "aes-gcm-16";
    const key = options.key || new Uint8Array(0);
    const combined = name === "aes-gcm-16" || name === "chacha20-poly1305";
    this.kind = combined ? AEAD : name === "aes-gmac" ? GMAC : SPLIT;
    let nonce = 16;
    if (this.kind !== SPLIT) {
      if (options.integrity || key.length <= SALT) fail("EINVAL", "algorithm");
      nonce = 12;
      this.cipher = open(crypto, name, key.subarray(0, key.length - SALT), patient && combined);
    } else {
      if (name !== "null") {
        if (name !== "aes-cbc") fail("EINVAL", "encryption");
        this.cipher = open(crypto, name, key, false);
      }
      this.mac = openMac(crypto, options);
    }
    this.job = {
      data: key,
      start: 0,
      end: 0,
      tag: 0,
      nonce: new Uint8Array(nonce),
      aad: new Uint8Array(12),
      aadStart: 0,
      aadEnd: 8,
      done: ignore,
    };
    this.salt = new Uint8Array(SALT);
    if (this.kind !== SPLIT) this.salt.set(key.subarray(key.length - SALT), 0);
    this.job.data = this.saved;
    this.lend(this.job);
    this.deferred = this.cipher !== null && this.cipher.deferred;
    this.ivSize = this.kind !== SPLIT ? 8 : this.cipher ? 16 : 0;
    this.icvSize = this.mac ? this.mac.tagSize : 16;
    this.align = this.kind === SPLIT && this.cipher ? 16 : 4;
  }

  /**
   * Protects an ESP packet in place: header at `at`, what is encrypted in `start..end`, the ICV to be written at `end`. The IV, which
   * is written before `start`, is the sequence number (AEAD: never used twice), or `random` bytes (CBC: not to be foretold).
   *
   * @returns CIPHER_DONE, CIPHER_FAILED: the host refused, or CIPHER_PENDING
   */
  seal(
    data: Uint8Array,
    at: number,
    start: number,
    end: number,
    high: number,
    extended: boolean,
    random: () => number,
  ): number {
    const iv = start - this.ivSize;
    if (this.kind !== SPLIT) {
      put32(data, iv, high);
      for (let i = 0; i < 4; i++) data[iv + 4 + i] = data[at + 4 + i];
    } else for (let i = iv; i < start; i += 4) put32(data, i, random());
    return this.run(data, at, start, end, high, extended, true);
  }

  /** Checks an ESP packet and decrypts it in place. CIPHER_DONE, CIPHER_FAILED: it is not authentic, or CIPHER_PENDING. */
  open(data: Uint8Array, at: number, start: number, end: number, high: number, extended: boolean): number {
    return this.run(data, at, start, end, high, extended, false);
  }

  /**
   * The ICV of AH over `data[at..end)`, and the upper half of an extended sequence number behind that. It is written at `data[end..]`,
   * where there is room for it. False: the host refused.
   */
  authenticate(data: Uint8Array, at: number, end: number, high: number, extended: boolean): boolean {
    const job = this.job;
    job.data = data;
    job.tag = end;
    const made = this.sign(job, at, end, high, extended);
    job.data = this.saved;
    return made;
  }

  /** The job of the next packet; a cipher that answers later keeps it until then. */
  lend(job: CipherJob): void {
    if (this.kind !== SPLIT) job.nonce.set(this.salt, 0);
    this.job = job;
  }

  /** Erases the keys: whatever is asked for afterwards is refused. */
  close(): void {
    if (this.cipher) this.cipher.close();
    if (this.mac) this.mac.close();
    this.cipher = this.mac = null;
    erase(this.salt);
    erase(this.job.nonce);
  }

  private run(
    data: Uint8Array,
    at: number,
    start: number,
    end: number,
    high: number,
    extended: boolean,
    seal: boolean,
  ): number {
    const job = this.job;
    const iv = start - this.ivSize;
    job.data = data;
    job.start = start;
    job.end = job.tag = end;
    let result: number;
    if (this.kind === SPLIT) {
      for (let i = 0; i < this.ivSize; i++) job.nonce[i] = data[iv + i];
      const good = seal
        ? this.encrypt(job) && this.sign(job, at, end, high, extended)
        : this.check(job, at, end, high, extended) && this.decrypt(job, start, end);
      result = good ? CIPHER_DONE : CIPHER_FAILED;
    } else {
      for (let i = 0; i < 8; i++) job.nonce[SALT + i] = data[iv + i];
      result =
        this.kind === AEAD
          ? this.aead(job, at, high, extended, seal)
          : this.gmac(job, at, high, extended, seal);
    }
    if (result !== CIPHER_PENDING) job.data = this.saved;
    return result;
  }

  private aead(job: CipherJob, at: number, high: number, extended: boolean, seal: boolean): number {
    const cipher = this.cipher;
    if (!cipher) return CIPHER_FAILED;
    const aad = job.aad;
    const data = job.data;
    for (let i = 0; i < 4; i++) {
      aad[i] = data[at + i];
      aad[(extended ? 8 : 4) + i] = data[at + 4 + i];
    }
    if (extended) put32(aad, 4, high);
    job.aadEnd = extended ? 12 : 8;
    return seal ? cipher.seal(job) : cipher.open(job);
  }

  /** RFC 4543 section 3.3: SPI, the whole sequence number, IV and payload in a row: the SPI moves into the bytes before. */
  private gmac(job: CipherJob, at: number, high: number, extended: boolean, seal: boolean): number {
    const cipher = this.cipher;
    if (!cipher) return CIPHER_FAILED;
    const data = job.data;
    const saved = this.saved;
    job.start = at;
    if (extended) {
      job.start = at - 4;
      for (let i = 0; i < 4; i++) {
        saved[i] = data[at - 4 + i];
        data[at - 4 + i] = saved[4 + i] = data[at + i];
      }
      put32(data, at, high);
    }
    const result = seal ? cipher.seal(job) : cipher.open(job);
    if (extended) for (let i = 0; i < 8; i++) data[at - 4 + i] = saved[i];
    return result;
  }

  private encrypt(job: CipherJob): boolean {
    return !this.cipher || this.cipher.seal(job) === CIPHER_DONE;
  }

  private decrypt(job: CipherJob, start: number, end: number): boolean {
    job.start = start;
    job.end = end;
    return !this.cipher || this.cipher.open(job) === CIPHER_DONE;
  }

  private sign(job: CipherJob, at: number, end: number, high: number, extended: boolean): boolean {
    job.start = at;
    job.end = end;
    if (extended) {
      put32(job.data, end, high);
      job.end = end + 4;
    }
    return this.mac !== null && this.mac.seal(job) === CIPHER_DONE;
  }

  /** With an extended number its upper half stands where the ICV was, which is compared here then. */
  private check(job: CipherJob, at: number, end: number, high: number, extended: boolean): boolean {
    const saved = this.saved;
    const data = job.data;
    job.start = at;
    if (!extended) return this.mac !== null && this.mac.open(job) === CIPHER_DONE;
    for (let i = 0; i < this.icvSize; i++) saved[i] = data[end + i];
    return this.sign(job, at, end, high, true) && constantTimeEqual(saved, 0, data, end, this.icvSize);
  }
}

function ignore(): void {}

/** A packet lies in borrowed memory: without a queue only a cipher that answers at once will do. */
function open(crypto: CryptoHypercalls, name: string, key: Uint8Array, patient: boolean): Cipher {
  if (crypto.algorithms.indexOf(name) < 0 || !crypto.cipher) fail("ENOPROTOOPT", name);
  return crypto.cipher!(name, key, !patient) || fail("EINVAL", "key of " + name);
}

function openMac(crypto: CryptoHypercalls, options: TransformOptions): Cipher {
  for (let i = 0; i < INTEGRITY.length; i++) {
    if (INTEGRITY[i][0] !== options.integrity) continue;
    const key = options.integrityKey;
    if (!key || key.length !== INTEGRITY[i][1]) return fail("EINVAL", "integrityKey");
    return open(crypto, INTEGRITY[i][0], key, false);
  }
  return fail("EINVAL", "integrity");
}
