/** Key exchanges of the @noble packages: X25519, NIST curves (RFC 5903) and ML-KEM (FIPS 203). */
import { x25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { ml_kem1024, ml_kem512, ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { erase } from "../../hypercall/crypto.js";
import type { KeyExchange } from "../../hypercall/crypto.js";

const CURVES = { p256, p384, p521 } as const;
const KEMS = { mlkem512: ml_kem512, mlkem768: ml_kem768, mlkem1024: ml_kem1024 } as const;

/** Names of the groups. */
export function groups(): string[] {
  return ["x25519", ...Object.keys(CURVES), ...Object.keys(KEMS)];
}

interface Pair {
  readonly share: Uint8Array;
  readonly secret: Uint8Array;
  /** Throws what is no share of the group. */
  agree(peer: Uint8Array): Uint8Array;
}

function makePair(group: string): Pair | null {
  if (group === "x25519") {
    const { secretKey, publicKey } = x25519.keygen();
    return { share: publicKey, secret: secretKey, agree: (peer) => x25519.getSharedSecret(secretKey, peer) };
  }
  if (Object.hasOwn(CURVES, group)) {
    const curve = CURVES[group as keyof typeof CURVES];
    const { secretKey } = curve.keygen();
    return {
      share: curve.getPublicKey(secretKey, false).slice(1),
      secret: secretKey,
      agree: (peer) => {
        const point = new Uint8Array(peer.length + 1);
        point[0] = 4;
        point.set(peer, 1);
        return curve.getSharedSecret(secretKey, point, true).slice(1);
      },
    };
  }
  if (!Object.hasOwn(KEMS, group)) return null;
  const kem = KEMS[group as keyof typeof KEMS];
  const { publicKey, secretKey } = kem.keygen();
  return { share: publicKey, secret: secretKey, agree: (peer) => kem.decapsulate(peer, secretKey) };
}

class NobleExchange implements KeyExchange {
  readonly share: Uint8Array;
  private pair: Pair | null;

  constructor(pair: Pair) {
    this.pair = pair;
    this.share = pair.share;
  }

  finish(peer: Uint8Array, done: (secret: Uint8Array | null) => void): void {
    let secret: Uint8Array | null = null;
    try {
      if (this.pair) secret = this.pair.agree(peer);
    } catch {
      // No share of this group.
    }
    this.close();
    done(secret);
  }

  close(): void {
    if (this.pair) erase(this.pair.secret);
    this.pair = null;
  }
}

export function exchange(group: string, done: (own: KeyExchange | null) => void): void {
  const pair = makePair(group);
  done(pair && new NobleExchange(pair));
}

export function respond(
  group: string,
  peer: Uint8Array,
  done: (share: Uint8Array | null, secret: Uint8Array | null) => void,
): void {
  if (Object.hasOwn(KEMS, group)) {
    let answer: { cipherText: Uint8Array; sharedSecret: Uint8Array } | null = null;
    try {
      answer = KEMS[group as keyof typeof KEMS].encapsulate(peer);
    } catch {
      // No key of this KEM.
    }
    done(answer && answer.cipherText, answer && answer.sharedSecret);
    return;
  }
  exchange(group, (own) => {
    if (!own) done(null, null);
    else own.finish(peer, (secret) => done(secret && own.share, secret));
  });
}
