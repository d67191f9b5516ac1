/** What ciphers of libraries share: a key of their own, which `close` overwrites, and answers at once. */
import { CIPHER_DONE, CIPHER_FAILED } from "../../hypercall/crypto.js";
import type { Cipher, CipherJob } from "../../hypercall/crypto.js";

export abstract class KeyedCipher implements Cipher {
  readonly deferred = false;
  readonly blockSize: number = 1;
  abstract readonly nonceSize: number;
  abstract readonly tagSize: number;
  private key: Uint8Array | null;

  constructor(key: Uint8Array) {
    this.key = Uint8Array.from(key);
  }

  seal(job: CipherJob): number {
    return this.attempt(job, true);
  }

  open(job: CipherJob): number {
    return this.attempt(job, false);
  }

  close(): void {
    this.key?.fill(0);
    this.key = null;
  }

  private attempt(job: CipherJob, seal: boolean): number {
    if (!this.key) return CIPHER_FAILED;
    try {
      return this.run(job, this.key, seal) ? CIPHER_DONE : CIPHER_FAILED;
    } catch {
      return CIPHER_FAILED;
    }
  }

  /** Returns false, or throws, where the job cannot be done or is not authentic. */
  protected abstract run(job: CipherJob, key: Uint8Array, seal: boolean): boolean;
}
