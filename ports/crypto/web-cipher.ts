/** AES-GCM of Web Crypto (browsers, workers, Node) as a cipher of hypercall/crypto.ts that answers later, in the order it was asked. */
import { CIPHER_DONE, CIPHER_FAILED, CIPHER_PENDING } from "../../hypercall/crypto.js";
import type { Cipher, CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";

const TAG = 16;
/** Key lengths that every browser has: Chromium has no AES-192. */
const KEYS = [16, 32];

/** A job that has been begun; `result` is CIPHER_PENDING until the browser, or `close`, has decided. */
interface Begun {
  readonly job: CipherJob;
  result: number;
}

class WebCipher implements Cipher {
  readonly nonceSize = 12;
  readonly tagSize = TAG;
  readonly blockSize = 1;
  readonly deferred = true;
  /** null: closed. It is the browser's, and not to be read: it forgets it with the last reference. */
  private key: Promise<CryptoKey> | null;
  /** Oldest first: they are worked on side by side, and answered in order. */
  private begun: Begun[] = [];

  constructor(
    key: Uint8Array,
    private readonly subtle: SubtleCrypto,
  ) {
    const copy = Uint8Array.from(key);
    this.key = subtle.importKey("raw", copy, "AES-GCM", false, ["encrypt", "decrypt"]);
    // A key that is refused fails each of its jobs; that nobody has asked yet is no error of the page.
    this.key.catch(() => {}).finally(() => copy.fill(0));
  }

  seal(job: CipherJob): number {
    const { data, start, end, tag } = job;
    return this.begin(
      job,
      (key) => this.subtle.encrypt(parameters(job), key, copyOf(data, start, end)),
      (sealed) => {
        const size = end - start;
        data.set(sealed.subarray(0, size), start);
        data.set(sealed.subarray(size), tag);
      },
    );
  }

  open(job: CipherJob): number {
    const { data, start, end, tag } = job;
    return this.begin(
      job,
      (key) => {
        const sealed = new Uint8Array(end - start + TAG);
        sealed.set(data.subarray(start, end));
        sealed.set(data.subarray(tag, tag + TAG), end - start);
        return this.subtle.decrypt(parameters(job), key, sealed);
      },
      (plain) => data.set(plain, start),
    );
  }

  close(): void {
    this.key = null;
    for (const each of this.begun) each.result = CIPHER_FAILED;
    this.answer();
  }

  private begin(
    job: CipherJob,
    work: (key: CryptoKey) => Promise<ArrayBuffer>,
    write: (bytes: Uint8Array) => void,
  ): number {
    if (!this.key) return CIPHER_FAILED;
    const begun: Begun = { job, result: CIPHER_PENDING };
    this.begun.push(begun);
    void this.finish(begun, this.key, work, write);
    return CIPHER_PENDING;
  }

  private async finish(
    begun: Begun,
    key: Promise<CryptoKey>,
    work: (key: CryptoKey) => Promise<ArrayBuffer>,
    write: (bytes: Uint8Array) => void,
  ): Promise<void> {
    let bytes: Uint8Array | null = null;
    try {
      const known = await key;
      // Closed meanwhile: the bytes are the caller's again.
      if (begun.result === CIPHER_PENDING) bytes = new Uint8Array(await work(known));
    } catch {
      // Not authentic, or a key that is none.
    }
    if (begun.result !== CIPHER_PENDING) return;
    if (bytes) write(bytes);
    begun.result = bytes ? CIPHER_DONE : CIPHER_FAILED;
    this.answer();
  }

  private answer(): void {
    while (this.begun.length > 0 && this.begun[0]!.result !== CIPHER_PENDING) {
      const { job, result } = this.begun.shift()!;
      job.done(job, result);
    }
  }
}

function parameters({ nonce, aad, aadStart, aadEnd }: CipherJob): AesGcmParams {
  return {
    name: "AES-GCM",
    iv: copyOf(nonce, 0, 12),
    additionalData: copyOf(aad, aadStart, aadEnd),
    tagLength: TAG * 8,
  };
}

/** A copy: browsers refuse memory that is shared or may grow, as WebAssembly's. */
function copyOf(data: Uint8Array, start: number, end: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.subarray(start, end));
}

/**
 * `base` (as `nobleCrypto()`), with AES-GCM by Web Crypto for whoever can wait: IPsec with a `cipherQueue`. What cannot wait, IKE's
 * messages and all other algorithms, stays `base`'s. Where there is no Web Crypto (a page that is not served securely) all does.
 */
export function webCrypto<T extends CryptoHypercalls>(base: T): T {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (!subtle) return base;
  return {
    ...base,
    cipher: (name, key, immediate) => {
      if (immediate || name !== "aes-gcm-16" || !KEYS.includes(key.length)) {
        return base.cipher ? base.cipher(name, key, immediate) : null;
      }
      return new WebCipher(key, subtle);
    },
  };
}
