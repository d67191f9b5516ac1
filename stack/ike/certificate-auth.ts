/** Authentication by certificates (RFC 7296 sections 3.6, 3.7): the host's library reads them, and judges whom they lead to. */
import type { Certificate, CryptoHypercalls, RevocationList, SigningKey } from "../../hypercall/crypto.js";
import { fail } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import type { Authentication } from "./features.js";
import { identityText, parseIdentity } from "./identity.js";
import type { Identity } from "./identity.js";
import type { Ike } from "./ike.js";
import type { IkeSa } from "./ike-sa.js";
import { digest, join } from "./keys.js";
import type { Message, Writer } from "./message.js";
import { announceHashes, readSignature, signAuth } from "./signatures.js";

export interface CertificateOptions {
  /** Our certificate in DER, and those between it and an anchor of the peer's, in that order. */
  chain: Uint8Array[];
  /** Its private key: PKCS #8 in DER. */
  key: Uint8Array;
  /** Those whom we trust to name peers, in DER. */
  anchors: Uint8Array[];
  /** Lists of revoked certificates (CRLs) in DER, by the anchors and by authorities below them. Newer ones: `renew`. */
  lists?: Uint8Array[];
  /** Peers whose certificate, or an authority's above it, is in no list that is still valid are refused. Default false. */
  strict?: boolean;
}

export interface CertificateAuthentication extends Authentication {
  /**
   * Newer lists in the place of those before, for peers that prove who they are from now on: IKE SAs that are there stay. Throws `EINVAL`,
   * and then nothing has changed.
   */
  renew(lists: Uint8Array[]): void;
}

/** X.509 certificate, signature. */
const ENCODING_X509 = 4;
/** Certificates of a peer that are looked at. */
const CHAIN = 8;
const MOST = CHAIN * 8;

class ByCertificate implements CertificateAuthentication {
  identity: Identity | null = null;
  private key: SigningKey | null = null;
  private anchors: Certificate[] = [];
  private hashes = new Uint8Array(0);
  private lists: Uint8Array[];
  private revoked: RevocationList[] = [];
  private crypto: CryptoHypercalls | null = null;

  constructor(private readonly options: CertificateOptions) {
    const lists = [options.chain, options.anchors];
    for (let i = 0; i < 2; i++) {
      if (!lists[i] || lists[i].length < 1 || lists[i].length > MOST) fail("EINVAL", i ? "anchors" : "chain");
    }
    this.lists = options.lists || [];
    if (this.lists.length > MOST) fail("EINVAL", "lists");
    if (!(options.key instanceof Uint8Array)) fail("EINVAL", "key");
  }

  prepare(ike: Ike): void {
    if (this.key) return;
    const crypto = ike.crypto;
    if (!crypto.parseCertificate || !crypto.signingKey) fail("EOPNOTSUPP", "certificates");
    const own = crypto.parseCertificate(this.options.chain[0]) || fail("EINVAL", "chain");
    const parts = [new Uint8Array(0)];
    for (let i = 0; i < this.options.anchors.length; i++) {
      const anchor = crypto.parseCertificate(this.options.anchors[i]) || fail("EINVAL", "anchors");
      this.anchors.push(anchor);
      parts.push(digest(crypto, "sha1", null, [anchor.publicKey]) as Uint8Array<ArrayBuffer>);
    }
    this.hashes = join(parts) as Uint8Array<ArrayBuffer>;
    this.revoked = readLists(crypto, this.lists);
    this.crypto = crypto;
    this.key = crypto.signingKey(this.options.key) || fail("EINVAL", "key");
    this.identity = firstName(own);
  }

  renew(lists: Uint8Array[]): void {
    if (lists.length > MOST) fail("EINVAL", "lists");
    if (this.crypto) this.revoked = readLists(this.crypto, lists);
    this.lists = lists;
  }

  announce(_ike: Ike, out: Writer, responder: boolean): void {
    announceHashes(out);
    if (responder) this.ask(out);
  }

  present(sa: IkeSa, out: Writer): void {
    const chain = this.options.chain;
    for (let i = 0; i < chain.length; i++) out.begin(wire.PAYLOAD_CERT).put8(ENCODING_X509).bytes(chain[i]);
    if (sa.initiator) this.ask(out);
  }

  /** Names those whom we trust. */
  private ask(out: Writer): void {
    out.begin(wire.PAYLOAD_CERTREQ).put8(ENCODING_X509).bytes(this.hashes);
  }

  sign(sa: IkeSa, octets: Uint8Array, done: (auth: Uint8Array | null) => void): void {
    signAuth(sa, this.key as SigningKey, octets, done);
  }

  verify(
    sa: IkeSa,
    message: Message,
    identity: Identity,
    octets: Uint8Array,
    done: (good: boolean) => void,
  ): void {
    const crypto = sa.ike.crypto;
    const signed = readSignature(message);
    const chain: Certificate[] = [];
    for (let i = 0; i < message.types.length && chain.length < CHAIN; i++) {
      if (message.types[i] !== wire.PAYLOAD_CERT || message.data[message.starts[i]] !== ENCODING_X509)
        continue;
      const certificate = crypto.parseCertificate!(message.body(i).subarray(1));
      if (!certificate) {
        done(false);
        return;
      }
      chain.push(certificate);
    }
    if (!signed || chain.length === 0 || !isNamed(chain[0], identity)) {
      done(false);
      return;
    }
    const proven = (good: boolean): void => {
      if (!good) done(false);
      else crypto.verify!(signed.scheme, chain[0].publicKey, octets, signed.signature, done);
    };
    crypto.verifyChain!(chain, this.anchors, proven, {
      lists: this.revoked,
      strict: this.options.strict === true,
    });
  }
}

function readLists(crypto: CryptoHypercalls, lists: Uint8Array[]): RevocationList[] {
  const read: RevocationList[] = [];
  if (lists.length > 0 && !crypto.parseRevocationList) fail("EOPNOTSUPP", "lists");
  for (let i = 0; i < lists.length; i++) {
    read.push(crypto.parseRevocationList!(lists[i]) || fail("EINVAL", "lists"));
  }
  return read;
}

/** Who a certificate says we are: its first name, or else its subject. */
function firstName(certificate: Certificate): Identity {
  for (let i = 0; i < certificate.names.length; i++) {
    const name = certificate.names[i];
    return parseIdentity(name.substring(name.indexOf(":") + 1), "certificate");
  }
  return { type: wire.ID_DN, data: certificate.subject };
}

/** Does it name this identity? */
function isNamed(certificate: Certificate, identity: Identity): boolean {
  if (identity.type === wire.ID_DN) {
    const subject = certificate.subject;
    if (subject.length !== identity.data.length) return false;
    for (let i = 0; i < subject.length; i++) if (subject[i] !== identity.data[i]) return false;
    return true;
  }
  const kind =
    identity.type === wire.ID_FQDN
      ? "dns:"
      : identity.type === wire.ID_EMAIL
        ? "email:"
        : identity.type === wire.ID_IPV4 || identity.type === wire.ID_IPV6
          ? "ip:"
          : "";
  return kind !== "" && certificate.names.indexOf(kind + identityText(identity)) >= 0;
}

/**
 * Authentication by certificate: `connect({ remote, auth: certificateAuth({ chain, key, anchors }), remoteIdentity })`. Our identity is the
 * certificate's first alternative name, or its subject. Lists of revoked certificates are given (`lists`), none is fetched. Throws `EINVAL`.
 */
export function certificateAuth(options: CertificateOptions): CertificateAuthentication {
  return new ByCertificate(options);
}
