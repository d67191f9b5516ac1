/**
 * X.509 certificates (RFC 5280) for ports whose crypto library has none: what IKE asks of them, and the path from one to an anchor.
 * Signatures are verified by the port's own `verify`. No revocation, no name constraints (a certificate that has them critical is
 * refused, as with every critical extension that is not understood).
 */
import type { Certificate, CryptoHypercalls } from "../../hypercall/crypto.js";
import * as asn from "./der.js";
import type { Der, Value } from "./der.js";

type Verify = NonNullable<CryptoHypercalls["verify"]>;

/** What a path needs to know beyond the contract. */
interface Parsed extends Certificate {
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly scheme: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Certificates that may follow an authority, or -1: any number. */
  readonly pathLength: number;
  /** Key usage: it may not sign certificates, although an authority. */
  readonly noSigning: boolean;
  /** It has a critical extension that is not understood. */
  readonly critical: boolean;
}

/** Content of object identifiers. */
const SIGNATURES: Readonly<Record<string, string>> = {
  "2b6570": "ed25519",
  "2a8648ce3d040302": "ecdsa-sha2-256",
  "2a8648ce3d040303": "ecdsa-sha2-384",
  "2a8648ce3d040304": "ecdsa-sha2-512",
  "2a864886f70d01010b": "rsa-pkcs1-sha2-256",
  "2a864886f70d01010c": "rsa-pkcs1-sha2-384",
  "2a864886f70d01010d": "rsa-pkcs1-sha2-512",
};
const RSA_PSS = "2a864886f70d01010a";
const HASHES: Readonly<Record<string, string>> = {
  "608648016503040201": "256",
  "608648016503040202": "384",
  "608648016503040203": "512",
};
const CURVES: Readonly<Record<string, string>> = {
  "2a8648ce3d030107": "p256",
  "2b81040022": "p384",
  "2b81040023": "p521",
};
const ALT_NAMES = "551d11";
const BASIC_CONSTRAINTS = "551d13";
const KEY_USAGE = "551d0f";
/** Extended key usage: purposes of TLS and others, which IKE does not ask for. */
const EXTENDED_USAGE = "551d25";
const LONGEST_PATH = 8;
/** DER that is longer is no certificate of a gateway. */
const LARGEST = 65535;
/** Extensions and alternative names that are read. */
const MOST = 64;

function sequence(from: Der): Der | null {
  const value = asn.take(from, asn.SEQUENCE);
  return value && asn.der(value.content);
}

export function parseCertificate(bytes: Uint8Array): Certificate | null {
  if (bytes.length > LARGEST) return null;
  const data = Uint8Array.from(bytes);
  const outer = asn.der(data);
  const body = sequence(outer);
  if (!body || outer.at !== outer.end) return null;
  const signed = asn.take(body, asn.SEQUENCE);
  const algorithm = asn.take(body, asn.SEQUENCE);
  const signature = asn.take(body, asn.BIT_STRING);
  if (!signed || !algorithm || !signature || signature.content[0] !== 0) return null;

  const fields = asn.der(signed.content);
  asn.take(fields, 0xa0);
  const serial = asn.take(fields, asn.INTEGER);
  const inner = asn.take(fields, asn.SEQUENCE);
  const issuer = asn.take(fields, asn.SEQUENCE);
  const validity = sequence(fields);
  const subject = asn.take(fields, asn.SEQUENCE);
  const key = asn.take(fields, asn.SEQUENCE);
  if (!serial || !inner || !issuer || !validity || !subject || !key) return null;
  // RFC 5280 section 4.1.1.2: both name the same algorithm.
  if (asn.hex(inner.whole) !== asn.hex(algorithm.whole)) return null;
  const notBefore = time(asn.next(validity));
  const notAfter = time(asn.next(validity));
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter)) return null;
  asn.take(fields, 0x81);
  asn.take(fields, 0x82);
  const wrapped = asn.take(fields, 0xa3);
  if (fields.at !== fields.end) return null;
  const extensions = readExtensions(wrapped);
  if (!extensions) return null;

  const parsed: Parsed = {
    der: data,
    subject: subject.whole,
    issuer: issuer.whole,
    publicKey: key.whole,
    type: keyType(key),
    signed: signed.whole,
    signature: signature.content.subarray(1),
    scheme: schemeOf(algorithm),
    notBefore,
    notAfter,
    ...extensions,
  };
  return parsed;
}

/** UTCTime or GeneralizedTime in the only forms that RFC 5280 section 4.1.2.5 allows; NaN: another. */
function time(value: Value | null): number {
  if (!value) return NaN;
  const text = String.fromCharCode(...value.content.subarray(0, 16));
  const long = value.tag === asn.GENERALIZED_TIME;
  if ((!long && value.tag !== asn.UTC_TIME) || !(long ? /^\d{14}Z$/ : /^\d{12}Z$/).test(text)) return NaN;
  const digits = long ? text : (text < "5" ? "20" : "19") + text;
  const part = (at: number): string => digits.slice(at, at + 2);
  return Date.parse(`${digits.slice(0, 4)}-${part(4)}-${part(6)}T${part(8)}:${part(10)}:${part(12)}Z`);
}

function schemeOf(algorithm: Value): string {
  const fields = asn.der(algorithm.content);
  const oid = asn.take(fields, asn.OID);
  if (!oid) return "";
  const name = asn.hex(oid.content);
  if (name !== RSA_PSS) return SIGNATURES[name] ?? "";
  // RSASSA-PSS-params: [0] hash; mask and salt are held to the same hash by `verify`.
  const parameters = sequence(fields);
  const tagged = parameters && asn.take(parameters, 0xa0);
  const hash = tagged && sequence(asn.der(tagged.content));
  const hashOid = hash && asn.take(hash, asn.OID);
  const bits = hashOid && HASHES[asn.hex(hashOid.content)];
  return bits ? "rsa-pss-sha2-" + bits : "";
}

function keyType(key: Value): string {
  const algorithm = sequence(asn.der(key.content));
  const oid = algorithm && asn.take(algorithm, asn.OID);
  if (!oid) return "";
  const name = asn.hex(oid.content);
  if (name === "2b6570") return "ed25519";
  if (name === "2a864886f70d010101") return "rsa";
  const curve = name === "2a8648ce3d0201" ? asn.take(algorithm, asn.OID) : null;
  return (curve && CURVES[asn.hex(curve.content)]) ?? "";
}

interface Extensions {
  names: string[];
  authority: boolean;
  pathLength: number;
  noSigning: boolean;
  critical: boolean;
}

function readExtensions(wrapped: Value | null): Extensions | null {
  const found: Extensions = {
    names: [],
    authority: false,
    pathLength: -1,
    noSigning: false,
    critical: false,
  };
  if (!wrapped) return found;
  const list = sequence(asn.der(wrapped.content));
  if (!list) return null;
  for (let count = 0; list.at < list.end; count++) {
    const fields = sequence(list);
    const oid = fields && asn.take(fields, asn.OID);
    if (!oid || count === MOST) return null;
    const critical = asn.take(fields, asn.BOOLEAN);
    const value = asn.take(fields, asn.OCTET_STRING);
    if (!value || fields.at !== fields.end) return null;
    const inner = asn.der(value.content);
    const name = asn.hex(oid.content);
    if (name === ALT_NAMES) readNames(inner, found.names);
    else if (name === BASIC_CONSTRAINTS) {
      const constraints = sequence(inner);
      if (!constraints) return null;
      found.authority = (asn.take(constraints, asn.BOOLEAN)?.content[0] ?? 0) !== 0;
      const length = asn.take(constraints, asn.INTEGER);
      if (length) found.pathLength = length.content.length === 1 ? length.content[0]! & 0x7f : -1;
    } else if (name === KEY_USAGE) {
      const bits = asn.take(inner, asn.BIT_STRING);
      if (!bits) return null;
      found.noSigning = ((bits.content[1] ?? 0) & 4) === 0;
    } else if (critical && critical.content[0] !== 0 && name !== EXTENDED_USAGE) found.critical = true;
  }
  return found;
}

function readNames(from: Der, names: string[]): void {
  const list = sequence(from);
  while (list && names.length < MOST) {
    const value = asn.next(list);
    if (!value) return;
    const { tag, content } = value;
    if (tag === 0x81 || tag === 0x82) {
      // IA5String; with control characters in it, it is nobody's name.
      const text = Array.from(content, (byte) => String.fromCharCode(byte)).join("");
      if (/^[\x21-\x7e]+$/.test(text)) names.push((tag === 0x81 ? "email:" : "dns:") + text);
    } else if (tag === 0x87 && content.length === 4) names.push("ip:" + content.join("."));
    else if (tag === 0x87 && content.length === 16) {
      const groups: string[] = [];
      for (let i = 0; i < 16; i += 2) groups.push(((content[i]! << 8) | content[i + 1]!).toString(16));
      names.push("ip:" + groups.join(":"));
    }
  }
}

/** `CryptoHypercalls.verifyChain` at the time `now` (milliseconds since 1970). */
export function verifyChain(
  chain: readonly Certificate[],
  anchors: readonly Certificate[],
  verify: Verify,
  now: number,
  done: (good: boolean) => void,
): void {
  const leaf = chain[0] as Parsed | undefined;
  if (!leaf || !valid(leaf, now)) return done(false);
  if (anchors.some((anchor) => same(anchor.der, leaf.der))) return done(true);
  // Each step goes to an issuer that has not been used: the search ends.
  const step = (at: Parsed, below: number, left: readonly Parsed[]): void => {
    const issues = (candidate: Parsed): boolean =>
      same(candidate.subject, at.issuer) && maySign(candidate, below) && valid(candidate, now);
    const candidates = [...(anchors as Parsed[]), ...left].filter(issues);
    const attempt = (index: number): void => {
      const issuer = candidates[index];
      if (!issuer || below > LONGEST_PATH) return done(false);
      verify(at.scheme, issuer.publicKey, at.signed, at.signature, (good) => {
        if (!good) attempt(index + 1);
        else if (anchors.includes(issuer)) done(true);
        else {
          // A certificate that its issuer's signature does not vouch for is never gone through.
          step(
            issuer,
            below + 1,
            left.filter((other) => other !== issuer),
          );
        }
      });
    };
    attempt(0);
  };
  step(leaf, 0, chain.slice(1, 1 + LONGEST_PATH) as Parsed[]);
}

function valid(certificate: Parsed, now: number): boolean {
  return !certificate.critical && now >= certificate.notBefore && now <= certificate.notAfter;
}

/** @param below authorities that stand between it and the leaf */
function maySign(certificate: Parsed, below: number): boolean {
  const { authority, noSigning, pathLength } = certificate;
  return authority && !noSigning && (pathLength < 0 || below <= pathLength);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
