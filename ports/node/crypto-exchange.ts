/** Key exchanges of Node.js: X25519 (RFC 7748), NIST curves (RFC 5903) and MODP groups (RFC 3526). */
import * as node from "node:crypto";
import type { KeyExchange } from "../../hypercall/crypto.js";

/** One pair of keys; `finish` throws what is no share of the group. */
interface Pair {
  readonly share: Uint8Array;
  finish(peer: Uint8Array): Uint8Array;
}

/** SubjectPublicKeyInfo of X25519 up to the key (RFC 8410). */
const X25519_SPKI = /* @__PURE__ */ Buffer.from("302a300506032b656e032100", "hex");

function x25519(): Pair {
  const { publicKey, privateKey } = node.generateKeyPairSync("x25519");
  return {
    share: publicKey.export({ type: "spki", format: "der" }).subarray(X25519_SPKI.length),
    finish(peer) {
      if (peer.length !== 32) throw new Error("length");
      const key = Buffer.concat([X25519_SPKI, peer]);
      // Throws where the secret would be zero (RFC 7748 section 6.1).
      return node.diffieHellman({
        privateKey,
        publicKey: node.createPublicKey({ key, format: "der", type: "spki" }),
      });
    },
  };
}

function curve(name: string): Pair {
  const pair = node.createECDH(name);
  const share = pair.generateKeys().subarray(1);
  return {
    share,
    finish(peer) {
      if (peer.length !== share.length) throw new Error("length");
      // Throws where the point is not on the curve (RFC 6989 section 2.3).
      return pair.computeSecret(Buffer.concat([Buffer.of(4), peer]));
    },
  };
}

function modp(name: string): Pair {
  const pair = node.getDiffieHellman(name);
  pair.generateKeys();
  const size = pair.getPrime().length;
  // p - 1: a prime is odd.
  const last = pair.getPrime();
  last[size - 1]! ^= 1;
  return {
    share: padded(pair.getPublicKey(), size),
    finish(peer) {
      if (peer.length !== size) throw new Error("length");
      // RFC 6989 section 2.1: in 2..p-2. OpenSSL throws where it is less, and takes more.
      if (Buffer.compare(peer, last) >= 0) throw new Error("range");
      return padded(pair.computeSecret(peer), size);
    },
  };
}

/** With zeros in front (RFC 7296 section 2.14). */
function padded(number: Uint8Array, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(number, size - number.length);
  return bytes;
}

const MAKERS: Readonly<Record<string, () => Pair>> = {
  x25519,
  p256: () => curve("prime256v1"),
  p384: () => curve("secp384r1"),
  p521: () => curve("secp521r1"),
  modp2048: () => modp("modp14"),
  modp3072: () => modp("modp15"),
  modp4096: () => modp("modp16"),
};

/** Names of the groups. */
export const GROUPS: readonly string[] = Object.keys(MAKERS);

class NodeExchange implements KeyExchange {
  readonly share: Uint8Array;
  private pair: Pair | null;

  constructor(pair: Pair) {
    this.pair = pair;
    this.share = Uint8Array.from(pair.share);
  }

  finish(peer: Uint8Array, done: (secret: Uint8Array | null) => void): void {
    const pair = this.pair;
    this.close();
    let secret: Uint8Array | null = null;
    try {
      if (pair) secret = Uint8Array.from(pair.finish(peer));
    } catch {
      // No share of this group.
    }
    done(secret);
  }

  close(): void {
    this.pair = null;
  }
}

export function exchange(group: string, done: (own: KeyExchange | null) => void): void {
  const make = Object.hasOwn(MAKERS, group) ? MAKERS[group] : null;
  done(make ? new NodeExchange(make()) : null);
}

export function respond(
  group: string,
  peer: Uint8Array,
  done: (share: Uint8Array | null, secret: Uint8Array | null) => void,
): void {
  exchange(group, (own) => {
    if (!own) done(null, null);
    else own.finish(peer, (secret) => done(secret && own.share, secret));
  });
}
