/** The algorithms that IKE and ESP may agree on (RFC 8247, RFC 8221): their numbers, how people write them, what the host calls them. */
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { fail } from "../core/errors.js";
import * as wire from "../wire/ike.js";

/**
 * A transform as one number: type, key length (bits, 0 where the algorithm has one only), identifier. Two are the same when the
 * numbers are.
 */
export function transform(type: number, keyLength: number, id: number): number {
  return (type << 26) | (keyLength << 16) | id;
}

export function typeOf(code: number): number {
  return code >> 26;
}

export function keyLengthOf(code: number): number {
  return (code >> 16) & 1023;
}

export function idOf(code: number): number {
  return code & 0xffff;
}

/** A suite without additional key exchanges. */
export function withoutAdditional(suite: number[]): number[] {
  return suite.filter((code) => typeOf(code) < wire.TRANSFORM_ADDKE1);
}

export interface Algorithm {
  /** As in a proposal's text: `"aes256gcm16"`. */
  readonly text: string;
  readonly code: number;
  /** The host's name: `CryptoHypercalls`. */
  readonly name: string;
  /** Bytes of key. For a PRF its output, for a key exchange 0. */
  readonly key: number;
  /** Bytes of salt behind the key (AEAD). */
  readonly salt: number;
}

function algorithm(
  text: string,
  type: number,
  bits: number,
  id: number,
  name: string,
  key: number,
  salt: number,
): Algorithm {
  return { text, code: (type << 26) | (bits << 16) | id, name, key, salt };
}

/** In the order of preference within their kind. */
export function algorithms(): Algorithm[] {
  return [
    algorithm("aes256gcm16", 1, 256, 20, "aes-gcm-16", 32, 4),
    algorithm("aes128gcm16", 1, 128, 20, "aes-gcm-16", 16, 4),
    algorithm("chacha20poly1305", 1, 0, 28, "chacha20-poly1305", 32, 4),
    algorithm("aes256", 1, 256, 12, "aes-cbc", 32, 0),
    algorithm("aes128", 1, 128, 12, "aes-cbc", 16, 0),
    algorithm("prfsha256", 2, 0, 5, "sha2-256", 32, 0),
    algorithm("prfsha384", 2, 0, 6, "sha2-384", 48, 0),
    algorithm("prfsha512", 2, 0, 7, "sha2-512", 64, 0),
    algorithm("sha256", 3, 0, 12, "hmac-sha2-256-128", 32, 0),
    algorithm("sha384", 3, 0, 13, "hmac-sha2-384-192", 48, 0),
    algorithm("sha512", 3, 0, 14, "hmac-sha2-512-256", 64, 0),
    algorithm("x25519", 4, 0, 31, "x25519", 0, 0),
    algorithm("ecp256", 4, 0, 19, "p256", 0, 0),
    algorithm("ecp384", 4, 0, 20, "p384", 0, 0),
    algorithm("ecp521", 4, 0, 21, "p521", 0, 0),
    algorithm("modp3072", 4, 0, 15, "modp3072", 0, 0),
    algorithm("modp4096", 4, 0, 16, "modp4096", 0, 0),
    algorithm("modp2048", 4, 0, 14, "modp2048", 0, 0),
    algorithm("mlkem512", 4, 0, 35, "mlkem512", 0, 0),
    algorithm("mlkem768", 4, 0, 36, "mlkem768", 0, 0),
    algorithm("mlkem1024", 4, 0, 37, "mlkem1024", 0, 0),
    algorithm("noesn", 5, 0, 0, "", 0, 0),
    algorithm("esn", 5, 0, 1, "", 0, 0),
  ];
}

/** What a stack's host can do of all that, and how proposals are written. */
export class Algorithms {
  readonly list: Algorithm[] = [];

  /** @param additional there is who makes additional key exchanges (RFC 9370) */
  constructor(
    crypto: CryptoHypercalls,
    private readonly additional = false,
  ) {
    const all = algorithms();
    for (let i = 0; i < all.length; i++) {
      const name = all[i].name;
      if (name === "" || crypto.algorithms.indexOf(name) >= 0) this.list.push(all[i]);
    }
  }

  /** The algorithm of a transform, or null: the host does not have it, or nobody should. */
  of(code: number): Algorithm | null {
    for (let i = 0; i < this.list.length; i++) {
      if (this.list[i].code === code) return this.list[i];
    }
    return null;
  }

  /** The algorithm of a type in a suite; null: the suite has none of that type. */
  in(suite: number[], type: number): Algorithm | null {
    for (let i = 0; i < suite.length; i++) {
      if (typeOf(suite[i]) === type) return this.of(suite[i]);
    }
    return null;
  }

  /**
   * The transforms of `"aes256gcm16-prfsha256-x25519"`. What the text leaves out: a PRF follows from the integrity algorithm, or
   * is SHA-256's; ESP takes both kinds of sequence numbers. `ke1_mlkem768` is an additional key exchange (RFC 9370); of a child it comes
   * beside another, when it is rekeyed.
   * Throws `EINVAL` for what nobody knows or what does not make a suite, `EOPNOTSUPP` for what the host or this configuration does not
   * have.
   */
  parse(text: string, esp: boolean): number[] {
    const words = typeof text === "string" ? text.split("-") : fail("EINVAL", "proposal");
    const all = algorithms();
    const codes: number[] = [];
    const kinds = [0, 0, 0, 0, 0, 0];
    let beside = false;
    for (let i = 0; i < words.length; i++) {
      let word = words[i];
      let step = 0;
      if (word.substring(0, 2) === "ke" && word.charAt(3) === "_") {
        step = +word.charAt(2);
        word = word.substring(4);
        beside = true;
        if (!(step >= 1 && step <= 7)) fail("EINVAL", "proposal " + text);
        if (!this.additional) fail("EOPNOTSUPP", words[i] + " wants additional key exchanges");
      }
      if (step > 0 && word === "none") {
        codes.push(transform(wire.TRANSFORM_ADDKE1 + step - 1, 0, 0));
        continue;
      }
      let found: Algorithm | null = null;
      for (let j = 0; j < all.length; j++) if (all[j].text === word) found = all[j];
      if (!found || (step > 0 && typeOf(found.code) !== wire.TRANSFORM_KE))
        fail("EINVAL", "proposal " + text);
      if (!this.of(found.code)) fail("EOPNOTSUPP", word);
      if (step > 0) codes.push(transform(wire.TRANSFORM_ADDKE1 + step - 1, 0, idOf(found.code)));
      else {
        kinds[typeOf(found.code)]++;
        codes.push(found.code);
      }
    }
    if (!esp && kinds[wire.TRANSFORM_PRF] === 0) {
      const integrity = this.in(codes, wire.TRANSFORM_INTEG);
      const id = integrity ? idOf(integrity.code) - 7 : 5;
      codes.push(transform(wire.TRANSFORM_PRF, 0, id));
    }
    if (esp && kinds[wire.TRANSFORM_ESN] === 0) {
      codes.push(transform(wire.TRANSFORM_ESN, 0, 0), transform(wire.TRANSFORM_ESN, 0, 1));
    }
    const encryption = this.in(codes, wire.TRANSFORM_ENCR);
    if (
      !encryption ||
      (encryption.salt === 0) !== kinds[wire.TRANSFORM_INTEG] > 0 ||
      ((!esp || beside) && kinds[wire.TRANSFORM_KE] === 0) ||
      (esp && kinds[wire.TRANSFORM_PRF] > 0)
    ) {
      fail("EINVAL", "proposal " + text);
    }
    return codes;
  }

  /** What is offered unless the application says otherwise: everything, authenticated encryption first (RFC 7296 section 3.3). */
  standard(esp: boolean): number[][] {
    const suites: number[][] = [];
    for (let combined = 1; combined >= 0; combined--) {
      const codes: number[] = [];
      let ciphers = 0;
      for (let i = 0; i < this.list.length; i++) {
        const each = this.list[i];
        const type = typeOf(each.code);
        if (type === wire.TRANSFORM_ENCR ? each.salt > 0 !== (combined === 1) : false) continue;
        if (type === wire.TRANSFORM_INTEG && combined === 1) continue;
        if (esp ? type === wire.TRANSFORM_PRF || type === wire.TRANSFORM_KE : type === wire.TRANSFORM_ESN)
          continue;
        // A KEM alone is as young as it is new: it comes beside another, where it is asked for (RFC 9370).
        if (type === wire.TRANSFORM_KE && idOf(each.code) >= 35) continue;
        if (type === wire.TRANSFORM_ENCR) ciphers++;
        codes.push(each.code);
      }
      if (ciphers > 0) suites.push(codes);
    }
    return suites;
  }
}
