/**
 * Certificates in Node.js: OpenSSL (`X509Certificate`) must take them, and judges who has issued whom. What it has no words for in Node
 * (path lengths, critical extensions, names in DER) is read by @peculiar/asn1-x509, an optional peer that is loaded when it is needed.
 */
import { X509Certificate } from "node:crypto";
import { createRequire } from "node:module";
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { parseCertificate, parseRevocationList } from "../crypto/certificate.js";
import type { Library, Parsed, ParsedList } from "../crypto/certificate.js";
import { verifyPath } from "../crypto/path.js";
import { systemError } from "./errors.js";

interface Judged extends Parsed {
  readonly openssl: X509Certificate;
}

let library: Library | null = null;

function load(): Library {
  if (library) return library;
  const require = createRequire(import.meta.url);
  try {
    library = { schema: require("@peculiar/asn1-schema"), x509: require("@peculiar/asn1-x509") } as Library;
    return library;
  } catch (cause) {
    const hint = "npm install @peculiar/asn1-x509 @peculiar/asn1-schema";
    throw Object.assign(
      systemError("ENOENT", `the packages that read certificates cannot be loaded: ${hint}`),
      {
        cause,
      },
    );
  }
}

/** `CryptoHypercalls.parseCertificate`. Throws `ENOENT` where the packages are not installed. */
export function parse(der: Uint8Array): Judged | null {
  const parsed = parseCertificate(load(), der);
  if (!parsed) return null;
  try {
    return { ...parsed, openssl: new X509Certificate(der) };
  } catch {
    return null;
  }
}

/** `CryptoHypercalls.parseRevocationList`. */
export function parseList(der: Uint8Array): ParsedList | null {
  return parseRevocationList(load(), der);
}

/** `CryptoHypercalls.verifyChain`. Node has no lists of revoked certificates: their signatures are for `verify`. */
export function verifier(
  verify: NonNullable<CryptoHypercalls["verify"]>,
): NonNullable<CryptoHypercalls["verifyChain"]> {
  return (chain, anchors, done, revocation) =>
    verifyPath(
      chain,
      anchors,
      (certificate, issuer, answer) =>
        answer(issued((certificate as Judged).openssl, (issuer as Judged).openssl)),
      ({ scheme, signed, signature }, issuer, answer) =>
        verify(scheme, issuer.publicKey, signed, signature, answer),
      Date.now(),
      done,
      revocation,
    );
}

/** Names, key identifiers and key usage fit, and the signature is the issuer's. */
function issued(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // A key that OpenSSL does not know.
    return false;
  }
}
