/** Signatures in AUTH (RFC 7427, RFC 8420): each algorithm is named by its identifier in DER, which is compared, never parsed. */
import type { SigningKey } from "../../hypercall/crypto.js";
import { put16 } from "../core/bytes.js";
import * as wire from "../wire/ike.js";
import type { IkeSa } from "./ike-sa.js";
import { join } from "./keys.js";
import type { Message, Writer } from "./message.js";

/** Numbers of hash algorithms that both announce: SHA2-256, -384, -512, none (Ed25519). */
const HASH_IDENTITY = 5;

function bytes(hex: string): Uint8Array {
  const data = new Uint8Array(hex.length / 2);
  for (let i = 0; i < data.length; i++) data[i] = parseInt(hex.substring(2 * i, 2 * i + 2), 16);
  return data;
}

/** Scheme and identifier, of signatures that we make and take. PSS may leave its last field, a default, out (DER does). */
function schemes(): string[][] {
  const list = [["ed25519", "300506032b6570"]];
  const sizes = ["256", "384", "512"];
  for (let i = 0; i < 3; i++) {
    const bits = sizes[i];
    const hash = "300d0609608648016503040" + "20" + (i + 1) + "0500";
    const mask = "301a06092a864886f70d010108" + hash;
    const salt = "a2030201" + ["20", "30", "40"][i];
    const pss = "a00f" + hash + "a11c" + mask + salt;
    list.push(["ecdsa-sha2-" + bits, "300a06082a8648ce3d04030" + (i + 2)]);
    list.push(["rsa-pss-sha2-" + bits, "304106092a864886f70d01010a3034" + pss]);
    list.push(["rsa-pss-sha2-" + bits, "304606092a864886f70d01010a3039" + pss + "a303020101"]);
    list.push(["rsa-pkcs1-sha2-" + bits, "300d06092a864886f70d01010" + "bcd".charAt(i) + "0500"]);
  }
  return list;
}

/** Says which hashes we take. */
export function announceHashes(out: Writer): void {
  const hashes = new Uint8Array(8);
  for (let i = 0; i < 4; i++) put16(hashes, 2 * i, i + 2);
  out.notify(wire.SIGNATURE_HASH_ALGORITHMS, hashes);
}

/** Makes the body of our AUTH payload; `done(null)`: there is no scheme that both know. */
export function signAuth(
  sa: IkeSa,
  key: SigningKey,
  octets: Uint8Array,
  done: (auth: Uint8Array | null) => void,
): void {
  const scheme = schemeFor(sa, key.type);
  if (!scheme) done(null);
  else {
    sa.ike.crypto.sign!(scheme, key, octets, (signature) => {
      done(signature && signatureBody(scheme, signature));
    });
  }
}

/** The scheme that a key of `type` signs with for this peer, or `""`: it has none that both know. */
function schemeFor(sa: IkeSa, type: string): string {
  if (type === "ed25519") return sa.hashes & (1 << HASH_IDENTITY) ? type : "";
  const curve = ["p256", "p384", "p521"].indexOf(type);
  if (curve >= 0) return sa.hashes & (4 << curve) ? "ecdsa-sha2-" + ["256", "384", "512"][curve] : "";
  if (type !== "rsa") return "";
  for (let i = 0; i < 3; i++) if (sa.hashes & (4 << i)) return "rsa-pss-sha2-" + ["256", "384", "512"][i];
  return "";
}

/** The body of an AUTH payload with a signature. */
function signatureBody(scheme: string, signature: Uint8Array): Uint8Array {
  const list = schemes();
  for (let i = 0; i < list.length; i++) {
    if (list[i][0] !== scheme) continue;
    const identifier = bytes(list[i][1]);
    const head = new Uint8Array(5);
    head[0] = wire.AUTH_SIGNATURE;
    head[4] = identifier.length;
    return join([head, identifier, signature]);
  }
  return new Uint8Array(0);
}

/** What an AUTH payload is signed with. */
export interface Signed {
  readonly scheme: string;
  readonly signature: Uint8Array;
}

/** Reads the AUTH payload of `message`; null: no signature of a kind that we take. */
export function readSignature(message: Message): Signed | null {
  const body = message.body(message.find(wire.PAYLOAD_AUTH));
  if (body.length < 5 || body[0] !== wire.AUTH_SIGNATURE) return null;
  const list = schemes();
  for (let i = 0; i < list.length; i++) {
    const identifier = bytes(list[i][1]);
    if (body[4] !== identifier.length || body.length <= 5 + identifier.length) continue;
    let same = true;
    for (let j = 0; j < identifier.length; j++) if (body[5 + j] !== identifier[j]) same = false;
    if (same) return { scheme: list[i][0], signature: body.subarray(5 + identifier.length) };
  }
  return null;
}
