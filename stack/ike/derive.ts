/** IKE_SA_INIT, what both roles do alike: the keys of an IKE SA, NAT detection, and the octets that AUTH covers. */
import { erase } from "../../hypercall/crypto.js";
import { put16 } from "../core/bytes.js";
import { EOPNOTSUPP } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import type { Algorithm } from "./algorithms.js";
import { identityBody, textBytes } from "./identity.js";
import type { Identity } from "./identity.js";
import type { IkeSa } from "./ike-sa.js";
import { IkeKeys, SK_AI, SK_AR, SK_EI, SK_ER, SK_PI, SK_PR, cut, digest, expand, join } from "./keys.js";
import type { Message, Writer } from "./message.js";
import { Protection } from "./protection.js";
import { addressBytes } from "./selectors.js";

/** The name of the PRF that the IKE SA has agreed upon. */
export function prfOf(sa: IkeSa): string {
  return (sa.ike.algorithms.in(sa.suite, wire.TRANSFORM_PRF) as Algorithm).name;
}

/**
 * Makes the keys of `sa` from a shared secret, which is erased (RFC 7296 sections 2.14, 2.18).
 *
 * @param old SK_d and PRF of the IKE SA that it takes the place of, or null
 * @param more of a rekey: what additional key exchanges have given (RFC 9370 section 2.2.4), or null
 */
export function deriveKeys(
  sa: IkeSa,
  secret: Uint8Array,
  old: { key: Uint8Array; prf: string } | null,
  more: Uint8Array | null = null,
): void {
  const crypto = sa.ike.crypto;
  const nonces = join([sa.nonceI, sa.nonceR]);
  const prf = prfOf(sa);
  const seed = old
    ? digest(crypto, old.prf, old.key, more ? [secret, nonces, more] : [secret, nonces])
    : digest(crypto, prf, nonces, [secret]);
  erase(secret);
  if (more) erase(more);
  useSeed(sa, seed, nonces);
}

/** Makes all keys of SKEYSEED, which is erased. */
export function useSeed(sa: IkeSa, seed: Uint8Array, nonces: Uint8Array): void {
  const ike = sa.ike;
  const known = ike.algorithms;
  const prf = known.in(sa.suite, wire.TRANSFORM_PRF) as Algorithm;
  const encryption = known.in(sa.suite, wire.TRANSFORM_ENCR) as Algorithm;
  const integrity = known.in(sa.suite, wire.TRANSFORM_INTEG);
  const p = prf.key;
  const a = integrity ? integrity.key : 0;
  const e = encryption.key + encryption.salt;
  const material = expand(
    ike.crypto,
    prf.name,
    seed,
    join([nonces, sa.spiI, sa.spiR]),
    3 * p + 2 * a + 2 * e,
  );
  erase(seed);
  const keys = new IkeKeys(cut(material, [p, a, a, e, e, p, p]));
  const random = (target: Uint8Array) => ike.stack.host.random(target);
  const i = new Protection(ike.crypto, encryption, keys.get(SK_EI), integrity, keys.get(SK_AI), random);
  const r = new Protection(ike.crypto, encryption, keys.get(SK_ER), integrity, keys.get(SK_AR), random);
  if (sa.inbound) sa.inbound.close();
  if (sa.outbound) sa.outbound.close();
  if (sa.keys) sa.keys.erase();
  sa.keys = keys;
  sa.inbound = sa.initiator ? r : i;
  sa.outbound = sa.initiator ? i : r;
  if (ike.options.keyLog) ike.options.keyLog(keyLine(sa, encryption, integrity));
}

/** A line of Wireshark's ikev2_decryption_table: SPIs, SK_ei, SK_er, cipher, SK_ai, SK_ar, integrity. */
function keyLine(sa: IkeSa, encryption: Algorithm, integrity: Algorithm | null): string {
  const keys = sa.keys as IkeKeys;
  const bits = encryption.key * 8;
  const cipher =
    encryption.name === "aes-gcm-16"
      ? "AES-GCM-" + bits + " with 16 octet ICV [RFC5282]"
      : encryption.name === "aes-cbc"
        ? "AES-CBC-" + bits + " [RFC3602]"
        : "ChaCha20-Poly1305 [RFC7634]";
  const mac = !integrity
    ? "NONE [RFC4306]"
    : "HMAC_SHA2_" + integrity.key * 8 + "_" + integrity.key * 4 + " [RFC4868]";
  return (
    [sa.spiI, sa.spiR, keys.get(SK_EI), keys.get(SK_ER)].map(hex).join(",") +
    ',"' +
    cipher +
    '",' +
    hex(keys.get(SK_AI)) +
    "," +
    hex(keys.get(SK_AR)) +
    ',"' +
    mac +
    '"'
  );
}

function hex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += (bytes[i] + 256).toString(16).substring(1);
  return text;
}

/** Forgets a key that has served: SK_pi and SK_pr after AUTH. */
export function forgetAuthKeys(sa: IkeSa): void {
  if (!sa.keys) return;
  erase(sa.keys.get(SK_PI));
  erase(sa.keys.get(SK_PR));
}

/** What one side's AUTH covers (RFC 7296 section 2.15): its IKE_SA_INIT message, the other's nonce, its identity. */
export function signedOctets(sa: IkeSa, ofInitiator: boolean, identity: Identity): Uint8Array {
  const key = (sa.keys as IkeKeys).get(ofInitiator ? SK_PI : SK_PR);
  const maced = digest(sa.ike.crypto, prfOf(sa), key, [identityBody(identity)]);
  const more = sa.ike.options.keyExchanges;
  const exchanged = more ? more.octets(sa) : new Uint8Array(0);
  return ofInitiator
    ? join([sa.first, sa.nonceR, maced, exchanged])
    : join([sa.second, sa.nonceI, maced, exchanged]);
}

/** AUTH by a shared secret. */
export function pskAuth(sa: IkeSa, psk: Uint8Array, octets: Uint8Array): Uint8Array {
  const crypto = sa.ike.crypto;
  const prf = prfOf(sa);
  const key = digest(crypto, prf, psk, [textBytes("Key Pad for IKEv2")]);
  const auth = digest(crypto, prf, key, [octets]);
  erase(key);
  return auth;
}

/** Adds the hashes of both ends, by which the peer sees whether a NAT has changed them (section 2.23). */
export function emitNatDetection(sa: IkeSa, out: Writer): void {
  // Where ESP is to go inside UDP anyway, we pretend to be behind one.
  const port = sa.connection && sa.connection.settings.encapsulate ? 0 : sa.localPort;
  out.notify(wire.NAT_DETECTION_SOURCE, endHash(sa, sa.local, port));
  out.notify(wire.NAT_DETECTION_DESTINATION, endHash(sa, sa.remote, sa.remotePort));
}

/** Reads them: sets `natLocal` and `natRemote` of `sa`. False: the peer does not know NAT detection. */
export function detectNat(sa: IkeSa, message: Message): boolean {
  let source = message.notify(wire.NAT_DETECTION_SOURCE);
  const destination = message.notify(wire.NAT_DETECTION_DESTINATION);
  if (source < 0 || destination < 0) return false;
  const theirs = endHash(sa, sa.remote, sa.remotePort);
  sa.natRemote = true;
  // The peer may not know which of its addresses it sends from: one of several fits.
  for (; source >= 0; source = message.notify(wire.NAT_DETECTION_SOURCE, source + 1)) {
    if (equal(message.notifyData(source), theirs)) sa.natRemote = false;
  }
  sa.natLocal = !equal(message.notifyData(destination), endHash(sa, sa.local, sa.localPort));
  sa.encapsulate =
    sa.natLocal || sa.natRemote || (sa.connection !== null && sa.connection.settings.encapsulate);
  return true;
}

function endHash(sa: IkeSa, address: string, port: number): Uint8Array {
  const number = new Uint8Array(2);
  put16(number, 0, port);
  const bytes = addressBytes(address) || new Uint8Array(0);
  return digest(sa.ike.crypto, "sha1", null, [sa.spiI, sa.spiR, bytes, number]);
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length && i < b.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/** A host whose ciphers fail has no IKE SA. */
export function hostFailed(sa: IkeSa): void {
  sa.ike.counters.host++;
  sa.end(EOPNOTSUPP, 0);
}
