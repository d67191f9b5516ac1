/** Certificates for tests, of any shape: written by the library's schema, signed by node:crypto. */
import { generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import * as x509 from "@peculiar/asn1-x509";

export interface Key {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function makeKey(type: "ed25519" | "p256" = "ed25519"): Key {
  return type === "ed25519"
    ? generateKeyPairSync("ed25519")
    : generateKeyPairSync("ec", { namedCurve: "prime256v1" });
}

export interface Shape {
  subject: string;
  issuer: string;
  key: Key;
  by: Key;
  /** Basic constraints: an authority, and what may follow it. */
  authority?: boolean;
  pathLength?: number;
  /** Bits of `KeyUsageFlags`. */
  usage?: number;
  purposes?: string[];
  names?: x509.GeneralName[];
  notBefore?: Date;
  notAfter?: Date;
  /** Extensions besides. */
  more?: x509.Extension[];
  /** Another signature algorithm inside than outside. */
  inner?: string;
}

export function name(text: string): x509.Name {
  return new x509.Name([
    new x509.RelativeDistinguishedName([
      new x509.AttributeTypeAndValue({
        type: "2.5.4.3",
        value: new x509.AttributeValue({ utf8String: text }),
      }),
    ]),
  ]);
}

export function extension(extnID: string, critical: boolean, value: unknown): x509.Extension {
  const data = value instanceof Uint8Array ? value : new Uint8Array(AsnConvert.serialize(value));
  return new x509.Extension({ extnID, critical, extnValue: new OctetString(data) });
}

let serial = 1;

export function issue(shape: Shape): Uint8Array {
  const { key, by, authority, pathLength, usage, purposes, names } = shape;
  const curve = by.privateKey.asymmetricKeyType === "ec";
  const algorithm = new x509.AlgorithmIdentifier({
    algorithm: curve ? "1.2.840.10045.4.3.2" : "1.3.101.112",
  });
  const extensions = new x509.Extensions();
  if (authority !== undefined || pathLength !== undefined) {
    const constraints = new x509.BasicConstraints({ cA: authority ?? false, pathLenConstraint: pathLength });
    extensions.push(extension(x509.id_ce_basicConstraints, true, constraints));
  }
  if (usage !== undefined) extensions.push(extension(x509.id_ce_keyUsage, true, new x509.KeyUsage(usage)));
  if (purposes)
    extensions.push(extension(x509.id_ce_extKeyUsage, false, new x509.ExtendedKeyUsage(purposes)));
  if (names)
    extensions.push(extension(x509.id_ce_subjectAltName, false, new x509.SubjectAlternativeName(names)));
  extensions.push(...(shape.more ?? []));
  const inner = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: Uint8Array.of(1, serial >> 8, serial++ & 255).buffer,
    signature: shape.inner ? new x509.AlgorithmIdentifier({ algorithm: shape.inner }) : algorithm,
    issuer: name(shape.issuer),
    subject: name(shape.subject),
    validity: new x509.Validity({
      notBefore: shape.notBefore ?? new Date("2020-01-01T00:00:00Z"),
      notAfter: shape.notAfter ?? new Date("2120-01-01T00:00:00Z"),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(
      key.publicKey.export({ type: "spki", format: "der" }),
      x509.SubjectPublicKeyInfo,
    ),
    ...(extensions.length > 0 ? { extensions } : {}),
  });
  const signed = Buffer.from(AsnConvert.serialize(inner));
  const signature = sign(curve ? "sha256" : null, signed, by.privateKey);
  const whole = new x509.Certificate({
    tbsCertificate: inner,
    signatureAlgorithm: algorithm,
    signatureValue: Uint8Array.from(signature).buffer,
  });
  return new Uint8Array(AsnConvert.serialize(whole));
}

export interface ListShape {
  issuer: string;
  by: Key;
  /** Certificates that are revoked. */
  revoked?: Uint8Array[];
  thisUpdate?: Date;
  nextUpdate?: Date;
  more?: x509.Extension[];
  /** Extensions of each entry. */
  entry?: x509.Extension[];
}

/** A list of revoked certificates. */
export function revoke(shape: ListShape): Uint8Array {
  const curve = shape.by.privateKey.asymmetricKeyType === "ec";
  const algorithm = new x509.AlgorithmIdentifier({
    algorithm: curve ? "1.2.840.10045.4.3.2" : "1.3.101.112",
  });
  const entries = (shape.revoked ?? []).map(
    (der) =>
      new x509.RevokedCertificate({
        userCertificate: AsnConvert.parse(der, x509.Certificate).tbsCertificate.serialNumber,
        revocationDate: new x509.Time(new Date("2021-01-01T00:00:00Z")),
        ...(shape.entry ? { crlEntryExtensions: shape.entry } : {}),
      }),
  );
  const inner = new x509.TBSCertList({
    version: x509.Version.v2,
    signature: algorithm,
    issuer: name(shape.issuer),
    thisUpdate: new x509.Time(shape.thisUpdate ?? new Date("2021-01-01T00:00:00Z")),
    nextUpdate: new x509.Time(shape.nextUpdate ?? new Date("2120-01-01T00:00:00Z")),
    ...(entries.length > 0 ? { revokedCertificates: entries } : {}),
    crlExtensions: [extension("2.5.29.20", false, Uint8Array.of(2, 1, 1)), ...(shape.more ?? [])],
  });
  const signed = Buffer.from(AsnConvert.serialize(inner));
  const whole = new x509.CertificateList({
    tbsCertList: inner,
    signatureAlgorithm: algorithm,
    signature: Uint8Array.from(sign(curve ? "sha256" : null, signed, shape.by.privateKey)).buffer,
  });
  return new Uint8Array(AsnConvert.serialize(whole));
}
