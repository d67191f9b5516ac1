/** Test vectors that others have made: NIST's CAVP, BoringSSL's, those of RFCs, as Debian's python3-cryptography-vectors has them. */
import { readFileSync } from "node:fs";

export const FOLDER = "/usr/lib/python3/dist-packages/cryptography_vectors";

export interface AeadVector {
  source: string;
  algorithm: string;
  key: Uint8Array;
  nonce: Uint8Array;
  aad: Uint8Array;
  plain: Uint8Array;
  sealed: Uint8Array;
  tag: Uint8Array;
  /** False: it must be refused. */
  good: boolean;
}

/** Values are hexadecimal, or text in quotes. */
function bytes(text = ""): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/"/g, ""), text.startsWith('"') ? "latin1" : "hex"));
}

/** Records of `name = value` lines, without comments; what stands in brackets holds for those that follow. */
function* records(file: string, first: string): Generator<Record<string, string>> {
  const group: Record<string, string> = {};
  let record: Record<string, string> | null = null;
  for (const line of readFileSync(`${FOLDER}/${file}`, "latin1").split(/\r?\n/)) {
    const [, bracket, name, value] = /^(\[?)([A-Za-z]+)\s*=?\s*(.*?)\]?$/.exec(line) ?? [];
    if (!name) continue;
    if (bracket) {
      if (record) yield record;
      record = null;
      group[name.toUpperCase()] = value!;
    } else {
      if (name.toUpperCase() === first) {
        if (record) yield record;
        record = { ...group };
      }
      if (record) record[name.toUpperCase()] = value!;
    }
  }
  if (record) yield record;
}

/** AES-GCM with nonces of 12 bytes and tags of 16 (those without plaintext as GMAC too), and ChaCha20-Poly1305. */
export function aeadVectors(): AeadVector[] {
  const list: AeadVector[] = [];
  for (const bits of [128, 192, 256]) {
    const file = `ciphers/AES/GCM/gcmDecrypt${bits}.rsp`;
    for (const record of records(file, "COUNT")) {
      if (record.IVLEN !== "96" || record.TAGLEN !== "128") continue;
      const [key, nonce, aad, sealed, tag] = [record.KEY, record.IV, record.AAD, record.CT, record.TAG].map(
        bytes,
      );
      const vector = {
        source: `${file} ${record.COUNT}`,
        key: key!,
        nonce: nonce!,
        tag: tag!,
        good: !("FAIL" in record),
      };
      list.push({ ...vector, algorithm: "aes-gcm-16", aad: aad!, sealed: sealed!, plain: bytes(record.PT) });
      if (sealed!.length > 0) continue;
      list.push({ ...vector, algorithm: "aes-gmac", aad: bytes(), sealed: aad!, plain: aad! });
    }
  }
  for (const name of ["boringssl", "openssl"]) {
    const file = `ciphers/ChaCha20Poly1305/${name}.txt`;
    for (const record of records(file, "COUNT")) {
      const [key, nonce, aad, sealed, tag] = [record.KEY, record.NONCE, record.AD, record.CT, record.TAG].map(
        bytes,
      );
      if (nonce!.length !== 12 || tag!.length !== 16) continue;
      list.push({
        ...{ source: `${file} ${record.COUNT}`, algorithm: "chacha20-poly1305", key: key!, nonce: nonce! },
        ...{ aad: aad!, plain: bytes(record.IN), sealed: sealed!, tag: tag!, good: !("FAIL" in record) },
      });
    }
  }
  return list;
}

/** AES-CBC, and HMAC-SHA2 cut as ESP cuts it. */
export function plainVectors(): Omit<AeadVector, "aad" | "good">[] {
  const list: Omit<AeadVector, "aad" | "good">[] = [];
  for (const bits of [128, 192, 256]) {
    for (const kind of ["KeySbox", "MMT", "VarKey", "VarTxt"]) {
      const file = `ciphers/AES/CBC/CBC${kind}${bits}.rsp`;
      for (const record of records(file, "COUNT")) {
        const [key, nonce, plain, sealed] = [record.KEY, record.IV, record.PLAINTEXT, record.CIPHERTEXT].map(
          bytes,
        );
        const vector = { key: key!, nonce: nonce!, plain: plain!, sealed: sealed!, tag: bytes() };
        list.push({ ...vector, source: `${file} ${record.COUNT}`, algorithm: "aes-cbc" });
      }
    }
  }
  for (const bits of [256, 384, 512]) {
    const file = `HMAC/rfc-4231-sha${bits}.txt`;
    for (const record of records(file, "LEN")) {
      const plain = bytes(record.MSG);
      list.push({
        ...{
          source: `${file} ${record.LEN}`,
          algorithm: `hmac-sha2-${bits}-${bits / 2}`,
          key: bytes(record.KEY),
        },
        ...{ nonce: bytes(), plain, sealed: plain, tag: bytes(record.MD).subarray(0, bits / 16) },
      });
    }
  }
  return list;
}
