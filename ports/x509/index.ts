/**
 * Certificates for hosts whose ciphers have none: `browserHost({ crypto: withCertificates(nobleCrypto()) })`. They are read by the packages
 * @peculiar/asn1-x509 and @peculiar/asn1-schema (optional peers), signatures are verified by the host's own `verify`. Node's ciphers
 * (`nodeCrypto`) have certificates already.
 */
import * as schema from "@peculiar/asn1-schema";
import * as x509 from "@peculiar/asn1-x509";
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { parseCertificate, parseRevocationList } from "../crypto/certificate.js";
import { verifyPath } from "../crypto/path.js";

/** `crypto` with `parseCertificate`, `parseRevocationList`, `verifyChain` and the name `x509`. Throws `EOPNOTSUPP`: it verifies no signatures. */
export function withCertificates<Crypto extends CryptoHypercalls>(
  crypto: Crypto,
): Crypto & Required<Pick<CryptoHypercalls, "parseCertificate" | "parseRevocationList" | "verifyChain">> {
  const verify = crypto.verify?.bind(crypto);
  if (!verify) throw Object.assign(new Error("EOPNOTSUPP: verify"), { code: "EOPNOTSUPP" });
  const library = { schema, x509 };
  return {
    ...crypto,
    algorithms: [...crypto.algorithms.filter((name) => name !== "x509"), "x509"],
    parseCertificate: (der) => parseCertificate(library, der),
    parseRevocationList: (der) => parseRevocationList(library, der),
    verifyChain: (chain, anchors, done, revocation) => {
      verifyPath(
        chain,
        anchors,
        ({ scheme, signed, signature }, issuer, answer) =>
          verify(scheme, issuer.publicKey, signed, signature, answer),
        ({ scheme, signed, signature }, issuer, answer) =>
          verify(scheme, issuer.publicKey, signed, signature, answer),
        Date.now(),
        done,
        revocation,
      );
    },
  };
}
