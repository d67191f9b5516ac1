/**
 * Keys of static SAs that are others after each restart. The IV of an AEAD is the sequence number, which begins anew: the same key
 * again would give two packets one nonce, and with that away goes secrecy and authenticity. So both ends hold a master key and derive:
 *
 *     key = the first bytes of ChaCha20-Poly1305(master, nonce = direction (4 bytes) | boot (8 bytes), plaintext = zeros)
 *
 * ChaCha20's keystream is a pseudo-random function of the nonce (RFC 8439 section 2.6 uses it so); direction 1 is from the sensor, 2
 * to it. The SPI tells the peer which boot it is.
 */
import { CIPHER_DONE, erase } from "../../hypercall/crypto.js";
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { put32 } from "../../stack/core/bytes.js";
import { fail } from "../../stack/core/errors.js";

const TAG = 16;
/** SPIs up to 255 are IANA's: boot 1 is 257. */
const SPI_BASE = 256;
const OUTBOUND = 1;
const INBOUND = 2;

export interface BootKeys {
  readonly spi: number;
  readonly outbound: Uint8Array;
  readonly inbound: Uint8Array;
  /** Overwrites them: the SAs have copies. */
  erase(): void;
}

/**
 * The keys of boot number `boot`, `size` bytes each. `master` is erased. Errors (thrown): `EIO` the board cannot count its boots, and a
 * key that may have been used is not used again; `ENOPROTOOPT` the host has no ChaCha20-Poly1305.
 */
export function bootKeys(
  crypto: CryptoHypercalls | undefined,
  master: Uint8Array,
  boot: number | undefined,
  size: number,
): BootKeys {
  if (boot === undefined) return fail("EIO", "boots are not counted: static keys would be used twice");
  const cipher = crypto && crypto.cipher ? crypto.cipher("chacha20-poly1305", master, true) : null;
  erase(master);
  if (!cipher) return fail("ENOPROTOOPT", "chacha20-poly1305");
  const derive = (direction: number) => {
    const data = new Uint8Array(size + TAG);
    const nonce = new Uint8Array(12);
    put32(nonce, 0, direction);
    put32(nonce, 8, boot);
    const job = {
      data,
      start: 0,
      end: size,
      tag: size,
      nonce,
      aad: nonce,
      aadStart: 0,
      aadEnd: 0,
      done() {},
    };
    if (cipher.seal(job) !== CIPHER_DONE) fail("EIO", "cipher");
    return data.subarray(0, size);
  };
  const outbound = derive(OUTBOUND);
  const inbound = derive(INBOUND);
  cipher.close();
  return {
    spi: SPI_BASE + boot,
    outbound,
    inbound,
    erase() {
      erase(outbound);
      erase(inbound);
    },
  };
}

/** 32 bytes of 64 hex digits. Errors (thrown): `EINVAL` it is something else. */
export function keyOf(text: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(text)) fail("EINVAL", "key");
  const key = new Uint8Array(32);
  for (let i = 0; i < 32; i++) key[i] = parseInt(text.substr(2 * i, 2), 16);
  return key;
}
