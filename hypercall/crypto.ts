/**
 * What a host may give to those who need ciphers (IPsec, IKE): the stack names an algorithm and gets an object; it holds no cipher itself.
 *
 * Three kinds of work, by what they cost. Per packet: `Cipher`, in place, nothing allocated, and a host that cannot answer at once
 * (Web Crypto, a DMA engine) says so and calls `done` later, in order. Short digests of a handshake (`Digest`): always at once.
 * Keys that take milliseconds (`exchange`, `sign`, ...): by callback, which may be called before the call returns.
 *
 * Every secret that is handed in is copied or used up before the call returns: the caller erases its own copy. `close` erases the host's.
 */

/* Per packet */

/** It is done. */
export const CIPHER_DONE = 1;
/** `open`: it is not authentic, and the bytes are worth nothing. `seal`: the host refused. Never a word on why. */
export const CIPHER_FAILED = 0;
/** The host will call `job.done`; until then `job` and the bytes it names are the host's. */
export const CIPHER_PENDING = -1;

/**
 * One packet's worth of work. The caller keeps a few of them for ever; `nonce` and `aad` are buffers of its own.
 * Ranges lie in their arrays, and none overlaps another, except that `tag` lies directly behind `end` as a rule.
 */
export interface CipherJob {
  data: Uint8Array;
  /** The bytes `data[start..end)` are encrypted or decrypted in place (AEAD, CBC), or only covered (MAC). CBC: whole blocks. */
  start: number;
  end: number;
  /** Where the `tagSize` bytes of the tag are written (`seal`) or stand (`open`): `data[tag..tag + tagSize)`. */
  tag: number;
  /** Its first `nonceSize` bytes: the nonce (AEAD, GMAC) or IV (CBC). */
  nonce: Uint8Array;
  /** AEAD: authenticated as well, `aad[aadStart..aadEnd)`. MAC and CBC do not look at it. */
  aad: Uint8Array;
  aadStart: number;
  aadEnd: number;
  /** Called once after CIPHER_PENDING, never from within `seal` or `open`, in the order in which the cipher's jobs came. */
  done(job: CipherJob, result: number): void;
}

/** A cipher or a MAC with its key: one direction of one SA. */
export interface Cipher {
  /** Bytes of nonce or IV that it wants: 12 (AEAD, GMAC), 16 (CBC), 0 (HMAC, null). */
  readonly nonceSize: number;
  /** Bytes of its tag: 16 (AEAD, GMAC, HMAC-SHA-256), 24, 32; 0 (CBC, null). */
  readonly tagSize: number;
  /** Ranges that it encrypts are a multiple of this: 16 (CBC), else 1. */
  readonly blockSize: number;
  /** True: it answers CIPHER_PENDING. A caller whose packet lies in borrowed memory copies it before it asks. */
  readonly deferred: boolean;
  /** Encrypts and makes the tag. CIPHER_DONE, CIPHER_FAILED or CIPHER_PENDING. Does not throw. */
  seal(job: CipherJob): number;
  /** Checks the tag in constant time and decrypts. The same answers. Does not throw. */
  open(job: CipherJob): number;
  /** Overwrites the key. What is pending ends with CIPHER_FAILED. Calls after that fail. Legal twice. */
  close(): void;
}

/* Digests */

/** A hash, or an HMAC with its key. */
export interface Digest {
  /** Bytes of its result. */
  readonly size: number;
  /** Takes the bytes `data[start..end)`. */
  update(data: Uint8Array, start: number, end: number): void;
  /** Writes the result of all that came since the last `finish` at `target[at..]`, and begins anew (with the same key). */
  finish(target: Uint8Array, at: number): void;
  /** Overwrites the key and the state. Legal twice. */
  close(): void;
}

/* Key exchange, signatures, certificates */

/** Our half of a key exchange that waits for the peer's. */
export interface KeyExchange {
  /** What the peer is sent. Groups by RFC: x25519 and x448 u-coordinate, p256.. x | y (RFC 5903), MODP big-endian and full length (RFC 7296), ML-KEM key. */
  readonly share: Uint8Array;
  /** Takes the peer's share, with all checks of its group. `done(null)`: it is no share. Once only; the private part is erased then. */
  finish(peer: Uint8Array, done: (secret: Uint8Array | null) => void): void;
  /** Overwrites the private part. Legal twice. */
  close(): void;
}

/** A private key that lasts, of a group. */
export interface AgreementKey {
  /** Its public key, as `KeyExchange.share`. */
  readonly share: Uint8Array;
  /** The secret with a peer's share; null: it is none, or the secret would be zero. As often as wanted. At once. */
  agree(peer: Uint8Array): Uint8Array | null;
  /** Overwrites the private key. Legal twice. */
  close(): void;
}

/** A private key that signs. */
export interface SigningKey {
  /** `"rsa"`, `"p256"`, `"p384"`, `"p521"`, `"ed25519"`, `"ed448"`. */
  readonly type: string;
  /** Its public key, SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  close(): void;
}

/** What a certificate says (RFC 5280). `parseCertificate` makes it; that it says so proves nothing. */
export interface Certificate {
  readonly der: Uint8Array;
  /** Names in DER, as they stand in the certificate: compared byte by byte. */
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  /** SubjectPublicKeyInfo in DER, and its type as in `SigningKey`; `""`: one that this host cannot use. */
  readonly publicKey: Uint8Array;
  readonly type: string;
  /** Subject alternative names: `"dns:host.example"`, `"email:a@b"`, `"ip:192.0.2.1"`, `"ip:2001:db8::1"` (RFC 5952); others are left out. */
  readonly names: readonly string[];
  /** Basic constraints: it may sign certificates. */
  readonly authority: boolean;
}

/** A list of certificates that their authority has revoked (RFC 5280 section 5). `parseRevocationList` makes it; it proves nothing yet. */
export interface RevocationList {
  readonly der: Uint8Array;
  /** The authority's name in DER. */
  readonly issuer: Uint8Array;
}

export interface Revocation {
  readonly lists: readonly RevocationList[];
  /** A certificate whose authority has no list, or one that has run out, is refused. */
  readonly strict: boolean;
}

/**
 * The ciphers of a host. `algorithms` names what it has; everything that is asked for by another name gets null or `done(null)`.
 *
 * | kind | names |
 * |---|---|
 * | AEAD, keys of 16 or 32 bytes (ChaCha20: 32) | `aes-gcm-16`, `chacha20-poly1305` |
 * | cipher alone, keys of 16, 24, 32 bytes | `aes-cbc` |
 * | MAC | `aes-gmac`, `hmac-sha2-256-128`, `hmac-sha2-384-192`, `hmac-sha2-512-256` |
 * | WireGuard's | AEAD `xchacha20-poly1305` (nonces of 24 bytes), MAC `blake2s-128` (keyed BLAKE2s), digest `blake2s`, `agreementKey` of `x25519` |
 * | digests | `sha1`, `sha2-256`, `sha2-384`, `sha2-512` |
 * | key exchange | `x25519`, `p256`, `p384`, `p521`, `modp2048`, `modp3072`, `modp4096`, `mlkem512`, `mlkem768`, `mlkem1024` |
 * | signatures | `ed25519`, `ecdsa-sha2-256`, `-384`, `-512`, `rsa-pss-sha2-256`, `-384`, `-512`, `rsa-pkcs1-sha2-256`, `-384`, `-512` |
 * | certificates | `x509` |
 */
export interface CryptoHypercalls {
  /** The names that it knows, as in the table above. */
  readonly algorithms: readonly string[];
  /**
   * A cipher or MAC with its key; null: unknown name, or no key of a length that it has. The key is copied.
   *
   * @param immediate true: the caller cannot wait, only a cipher that is not `deferred` will do (null: there is none)
   */
  cipher?(algorithm: string, key: Uint8Array, immediate: boolean): Cipher | null;
  /** A hash (`key` null), or the HMAC over it; null: unknown name. */
  digest?(algorithm: string, key: Uint8Array | null): Digest | null;
  /** Makes an ephemeral key of a group. */
  exchange?(group: string, done: (own: KeyExchange | null) => void): void;
  /**
   * Answers a peer's share in one step: with a KEM the answer depends on it (encapsulation). `share` null: the peer's is none.
   */
  respond?(
    group: string,
    peer: Uint8Array,
    done: (share: Uint8Array | null, secret: Uint8Array | null) => void,
  ): void;
  /** A private key of a group from its bytes (x25519: 32); null: unknown group, or no key. */
  agreementKey?(group: string, secret: Uint8Array): AgreementKey | null;
  /** A private key from PKCS #8 in DER; null: it is none, or of a type that the host does not have. */
  signingKey?(pkcs8: Uint8Array): SigningKey | null;
  /** Signs `data`. ECDSA signatures are DER (RFC 3279), RSA-PSS has a salt as long as the hash. `done(null)`: scheme and key do not fit. */
  sign?(
    scheme: string,
    key: SigningKey,
    data: Uint8Array,
    done: (signature: Uint8Array | null) => void,
  ): void;
  /** Verifies with a public key (SubjectPublicKeyInfo in DER). Anything that is amiss is `done(false)`. */
  verify?(
    scheme: string,
    publicKey: Uint8Array,
    data: Uint8Array,
    signature: Uint8Array,
    done: (good: boolean) => void,
  ): void;
  /** Reads a certificate; null: it is none. */
  parseCertificate?(der: Uint8Array): Certificate | null;
  /** Reads a list of revoked certificates; null: it is none, or one with critical extensions (of a part, of changes) that are not known. */
  parseRevocationList?(der: Uint8Array): RevocationList | null;
  /**
   * May `chain[0]` be used to prove who one is (RFC 4945 section 5.1.3), and is there a path from it over others of `chain` to one of
   * `anchors`, valid now by the host's wall clock, with authority, path length and signatures in order (RFC 5280 section 6)? The stack has
   * no calendar.
   *
   * @param revocation no certificate of the path below its anchor may be in a list that its issuer has signed
   */
  verifyChain?(
    chain: readonly Certificate[],
    anchors: readonly Certificate[],
    done: (good: boolean) => void,
    revocation?: Revocation,
  ): void;
}

/** Overwrites a secret. */
export function erase(secret: Uint8Array): void {
  for (let i = 0; i < secret.length; i++) secret[i] = 0;
}

/** Compares secrets in a time that does not depend on them. */
export function constantTimeEqual(
  a: Uint8Array,
  aAt: number,
  b: Uint8Array,
  bAt: number,
  length: number,
): boolean {
  let difference = 0;
  for (let i = 0; i < length; i++) difference |= a[aAt + i] ^ b[bAt + i];
  return difference === 0;
}
