/**
 * X.509 certificates (RFC 5280) as IKE asks for them (RFC 4945): read by the packages @peculiar/asn1-x509 and asn1-schema, which the caller
 * brings. Here is only what is taken from them, and what is refused: all that the library does not write again as it stood (it is not
 * DER, or something in it was left out), and critical extensions that are not understood. No name constraints.
 */
import type { Certificate as Asn1Certificate, CertificateList, Extension } from "@peculiar/asn1-x509";
import type { Certificate, RevocationList } from "../../hypercall/crypto.js";

/** The library. */
export interface Library {
  readonly x509: typeof import("@peculiar/asn1-x509");
  readonly schema: typeof import("@peculiar/asn1-schema");
}

/** What a path needs to know beyond the contract. */
export interface Parsed extends Certificate {
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** How it is signed, `""`: by no algorithm that we take. */
  readonly scheme: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** In hexadecimal digits. */
  readonly serial: string;
  /** Certificates that may follow an authority, or -1: any number. */
  readonly pathLength: number;
  /** Its key usage lets it sign certificates, lists of those revoked, or messages of IKE. */
  readonly maySign: boolean;
  readonly mayRevoke: boolean;
  readonly mayAuthenticate: boolean;
  /** It has an extension that must be understood, and is not. */
  readonly critical: boolean;
}

export interface ParsedList extends RevocationList {
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly scheme: string;
  /** Milliseconds since 1970: when it was made, and when there is to be a newer one. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Serial numbers of those revoked. */
  readonly serials: ReadonlySet<string>;
}

/** Larger, deeper or of more parts is no certificate of a gateway. */
const LARGEST = 32768;
const BOUNDS = { berOptions: { maxDepth: 24, maxNodes: 2000, maxContentLength: LARGEST } };

/** A list is the configuration's, and may be long. */
const LONGEST_LIST = 4 << 20;
const LIST_BOUNDS = { berOptions: { maxDepth: 24, maxNodes: 1 << 20, maxContentLength: LONGEST_LIST } };

/** Algorithms of signatures and of keys: object identifiers, or an AlgorithmIdentifier's parameters in DER. */
const SIGNATURES: Readonly<Record<string, string>> = {
  "1.3.101.112": "ed25519",
  "1.2.840.10045.4.3.2": "ecdsa-sha2-256",
  "1.2.840.10045.4.3.3": "ecdsa-sha2-384",
  "1.2.840.10045.4.3.4": "ecdsa-sha2-512",
  "1.2.840.113549.1.1.11": "rsa-pkcs1-sha2-256",
  "1.2.840.113549.1.1.12": "rsa-pkcs1-sha2-384",
  "1.2.840.113549.1.1.13": "rsa-pkcs1-sha2-512",
};
const RSA_PSS = "1.2.840.113549.1.1.10";
const ED25519 = "1.3.101.112";
const RSA = "1.2.840.113549.1.1.1";
const EC = "1.2.840.10045.2.1";
const CURVES: Readonly<Record<string, string>> = {
  "06082a8648ce3d030107": "p256",
  "06052b81040022": "p384",
  "06052b81040023": "p521",
};
/** Purposes in an extended key usage that IKE takes: its own two, any, and TLS, which gateways are given as a rule. */
const PURPOSES = [
  "1.3.6.1.5.5.7.3.17",
  "1.3.6.1.5.5.8.2.2",
  "2.5.29.37.0",
  "1.3.6.1.5.5.7.3.1",
  "1.3.6.1.5.5.7.3.2",
];
const NAME_CONSTRAINTS = "2.5.29.30";

/** Reads a certificate; null: it is none, or not in DER. */
export function parseCertificate(library: Library, bytes: Uint8Array): Parsed | null {
  if (bytes.length > LARGEST) return null;
  try {
    return take(library, Uint8Array.from(bytes));
  } catch {
    // The library throws what it cannot read.
    return null;
  }
}

/** Reads a list of revoked certificates; null: it is none, or not whole. */
export function parseRevocationList(library: Library, bytes: Uint8Array): ParsedList | null {
  if (bytes.length > LONGEST_LIST) return null;
  try {
    return takeList(library, Uint8Array.from(bytes));
  } catch {
    return null;
  }
}

/** Reading and writing by the library; what is written otherwise than it stood is refused. */
function converter({ schema }: Library, bounds: typeof BOUNDS) {
  const write = (value: unknown) => new Uint8Array(schema.AsnConvert.serialize(value));
  const read = <T>(data: Uint8Array, type: new () => T): T => {
    const value = schema.AsnConvert.parse(data, type, bounds);
    if (!same(write(value), data)) throw new Error("not DER");
    return value;
  };
  return { write, read };
}

function takeList(library: Library, der: Uint8Array): ParsedList {
  const { x509 } = library;
  const { read, write } = converter(library, LIST_BOUNDS);
  const outer = read<CertificateList>(der, x509.CertificateList);
  const inner = outer.tbsCertList;
  if (!same(write(inner.signature), write(outer.signatureAlgorithm))) throw new Error("algorithms");
  const entries = inner.revokedCertificates ?? [];
  // Critical are those by which a list is of a part, of changes, or of another authority's certificates (RFC 5280 sections 5.2, 5.3).
  for (const { extnID, critical } of [
    ...entries.flatMap((each) => each.crlEntryExtensions ?? []),
    ...(inner.crlExtensions ?? []),
  ])
    if (critical || extnID === x509.id_ce_deltaCRLIndicator) throw new Error("extension");
  return {
    der,
    issuer: write(inner.issuer),
    signed: new Uint8Array(outer.tbsCertListRaw!),
    signature: new Uint8Array(outer.signature),
    scheme: schemeOf(outer.signatureAlgorithm.algorithm, outer.signatureAlgorithm.parameters),
    thisUpdate: inner.thisUpdate.getTime().getTime(),
    nextUpdate: inner.nextUpdate ? inner.nextUpdate.getTime().getTime() : Infinity,
    serials: new Set(entries.map((each) => hex(each.userCertificate))),
  };
}

function take(library: Library, der: Uint8Array): Parsed {
  const { x509 } = library;
  const { read, write } = converter(library, BOUNDS);
  const outer = read<Asn1Certificate>(der, x509.Certificate);
  const inner = outer.tbsCertificate;
  // RFC 5280 section 4.1.1.2: both name the same algorithm.
  if (!same(write(inner.signature), write(outer.signatureAlgorithm))) throw new Error("algorithms");
  const key = inner.subjectPublicKeyInfo;
  const found = {
    names: [] as string[],
    authority: false,
    pathLength: -1,
    maySign: true,
    mayRevoke: true,
    mayAuthenticate: true,
    critical: false,
  };
  const seen = new Set<string>();
  for (const extension of inner.extensions ?? []) {
    if (seen.has(extension.extnID)) throw new Error("an extension twice");
    seen.add(extension.extnID);
    const value = <T>(type: new () => T): T => read(new Uint8Array(extension.extnValue.buffer), type);
    understand(library, extension, value, found);
  }
  return {
    der,
    subject: write(inner.subject),
    issuer: write(inner.issuer),
    publicKey: write(key),
    type: keyType(key.algorithm.algorithm, key.algorithm.parameters),
    signed: new Uint8Array(outer.tbsCertificateRaw!),
    signature: new Uint8Array(outer.signatureValue),
    scheme: schemeOf(outer.signatureAlgorithm.algorithm, outer.signatureAlgorithm.parameters),
    notBefore: inner.validity.notBefore.getTime().getTime(),
    notAfter: inner.validity.notAfter.getTime().getTime(),
    serial: hex(inner.serialNumber),
    ...found,
  };
}

type Found = { -readonly [Name in keyof Parsed]: Parsed[Name] } & { names: string[] };

function understand(
  { x509 }: Library,
  { extnID, critical }: Extension,
  value: <T>(type: new () => T) => T,
  found: Pick<
    Found,
    "names" | "authority" | "pathLength" | "maySign" | "mayRevoke" | "mayAuthenticate" | "critical"
  >,
): void {
  if (extnID === x509.id_ce_subjectAltName) {
    for (const { dNSName, rfc822Name, iPAddress } of value(x509.SubjectAlternativeName)) {
      // With blanks or control characters in it, it is nobody's name.
      if (dNSName !== undefined && isPlain(dNSName)) found.names.push("dns:" + dNSName);
      else if (rfc822Name !== undefined && isPlain(rfc822Name)) found.names.push("email:" + rfc822Name);
      else if (iPAddress !== undefined && /[.:]/.test(iPAddress) && !iPAddress.includes("/"))
        found.names.push("ip:" + iPAddress);
    }
  } else if (extnID === x509.id_ce_basicConstraints) {
    const { cA, pathLenConstraint } = value(x509.BasicConstraints);
    found.authority = cA;
    if (pathLenConstraint !== undefined) found.pathLength = pathLenConstraint;
  } else if (extnID === x509.id_ce_keyUsage) {
    const bits = value(x509.KeyUsage).toNumber();
    const { keyCertSign, cRLSign, digitalSignature, nonRepudiation } = x509.KeyUsageFlags;
    found.maySign = (bits & keyCertSign) !== 0;
    found.mayRevoke = (bits & cRLSign) !== 0;
    found.mayAuthenticate &&= (bits & (digitalSignature | nonRepudiation)) !== 0;
  } else if (extnID === x509.id_ce_extKeyUsage) {
    found.mayAuthenticate &&= value(x509.ExtendedKeyUsage).some((purpose) => PURPOSES.includes(purpose));
  } else if (critical || extnID === NAME_CONSTRAINTS) found.critical = true;
}

function isPlain(name: string): boolean {
  return /^[\x21-\x7e]+$/.test(name);
}

function keyType(algorithm: string, parameters: ArrayBuffer | null | undefined): string {
  if (algorithm === ED25519) return "ed25519";
  if (algorithm === RSA) return "rsa";
  return (algorithm === EC && CURVES[hex(parameters)]) || "";
}

function schemeOf(algorithm: string, parameters: ArrayBuffer | null | undefined): string {
  if (algorithm !== RSA_PSS) return SIGNATURES[algorithm] ?? "";
  // RSASSA-PSS-params: hash, mask of the same hash, salt of its size, and as a rule no trailer, which is a default.
  const given = hex(parameters);
  for (let i = 0; i < 3; i++) {
    for (const nothing of ["", "0500"]) {
      const oid = "060960864801650304020" + (i + 1) + nothing;
      const hash = "30" + length(oid);
      const mask = "30" + length("06092a864886f70d010108" + hash);
      const fields = "a0" + length(hash) + "a1" + length(mask) + "a2030201" + ["20", "30", "40"][i];
      if (given === "30" + length(fields) || given === "30" + length(fields + "a303020101")) {
        return "rsa-pss-sha2-" + ["256", "384", "512"][i];
      }
    }
  }
  return "";
}

/** `content`, in hexadecimal digits, behind its length. */
function length(content: string): string {
  return (content.length / 2).toString(16).padStart(2, "0") + content;
}

function hex(bytes: ArrayBuffer | null | undefined): string {
  return Array.from(bytes ? new Uint8Array(bytes) : [], (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
