/** The board's ciphers as the hypercalls of hypercall/crypto.ts: AEADs, which answer at once. Digests and all of IKE's are not there. */
import { CIPHER_DONE, CIPHER_FAILED } from "../../hypercall/crypto.js";
import type { Cipher, CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";
import type { BareCalls } from "./calls.js";

/** What is asked for; the lengths of keys with which a board may have it. */
const ALGORITHMS: readonly (readonly [string, readonly number[]])[] = [
  ["aes-gcm-16", [16, 24, 32]],
  ["chacha20-poly1305", [32]],
];

class BareCipher implements Cipher {
  readonly nonceSize = 12;
  readonly tagSize = 16;
  readonly blockSize = 1;
  readonly deferred = false;

  /** @param number the board's; -1: closed */
  constructor(
    private readonly calls: BareCalls,
    private number: number,
  ) {}

  seal(job: CipherJob): number {
    return this.run(job, true);
  }

  open(job: CipherJob): number {
    return this.run(job, false);
  }

  close(): void {
    if (this.number >= 0) this.calls.cipherClose!(this.number);
    this.number = -1;
  }

  private run(job: CipherJob, seal: boolean): number {
    const cipher = this.number;
    if (cipher < 0) return CIPHER_FAILED;
    const done = this.calls.cipherRun!(
      cipher,
      seal,
      job.data,
      job.start,
      job.end,
      job.tag,
      job.nonce,
      job.aad,
      job.aadStart,
      job.aadEnd,
    );
    return done ? CIPHER_DONE : CIPHER_FAILED;
  }
}

/** The ciphers that the board has: asked for once each, with a key of zeros. */
export function bareCrypto(calls: BareCalls): CryptoHypercalls {
  const open = (name: string, key: Uint8Array): Cipher | null => {
    const number = calls.cipherOpen!(name, key);
    return number < 0 ? null : new BareCipher(calls, number);
  };
  const algorithms: string[] = [];
  for (let i = 0; i < ALGORITHMS.length; i++) {
    const name = ALGORITHMS[i][0];
    const lengths = ALGORITHMS[i][1];
    for (let k = 0; k < lengths.length; k++) {
      const found = open(name, new Uint8Array(lengths[k]));
      if (!found) continue;
      found.close();
      algorithms.push(name);
      break;
    }
  }
  return { algorithms, cipher: (name, key) => (algorithms.indexOf(name) < 0 ? null : open(name, key)) };
}
