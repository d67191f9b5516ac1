/** Keys (RFC 7296 sections 2.13 to 2.18): the PRF and what is made with it. */
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { erase } from "../../hypercall/crypto.js";
import { fail } from "../core/errors.js";

/** All parts in one array. */
export function join(parts: Uint8Array[]): Uint8Array {
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += parts[i].length;
  const whole = new Uint8Array(length);
  length = 0;
  for (let i = 0; i < parts.length; i++) {
    whole.set(parts[i], length);
    length += parts[i].length;
  }
  return whole;
}

/** The digest (`key` null) or HMAC of all parts together. */
export function digest(
  crypto: CryptoHypercalls,
  name: string,
  key: Uint8Array | null,
  parts: Uint8Array[],
): Uint8Array {
  const hash = crypto.digest ? crypto.digest(name, key) : null;
  if (!hash) fail("EOPNOTSUPP", name);
  for (let i = 0; i < parts.length; i++) hash.update(parts[i], 0, parts[i].length);
  const result = new Uint8Array(hash.size);
  hash.finish(result, 0);
  hash.close();
  return result;
}

/** prf+ (section 2.13): `length` bytes. */
export function expand(
  crypto: CryptoHypercalls,
  prf: string,
  key: Uint8Array,
  seed: Uint8Array,
  length: number,
): Uint8Array {
  const result = new Uint8Array(length);
  const counter = new Uint8Array(1);
  let block = new Uint8Array(0);
  for (let at = 0; at < length; at += block.length) {
    counter[0]++;
    const next = digest(crypto, prf, key, [block, seed, counter]);
    erase(block);
    block = next as Uint8Array<ArrayBuffer>;
    const take = length - at < block.length ? length - at : block.length;
    result.set(block.subarray(0, take), at);
  }
  erase(block);
  return result;
}

/** Cuts `material` into pieces of these sizes, copies; the material is erased. */
export function cut(material: Uint8Array, sizes: number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; i < sizes.length; i++) {
    const piece = new Uint8Array(sizes[i]);
    piece.set(material.subarray(at, at + sizes[i]), 0);
    pieces.push(piece);
    at += sizes[i];
  }
  erase(material);
  return pieces;
}

/** The keys of an IKE SA. */
export class IkeKeys {
  /** SK_d, SK_ai, SK_ar, SK_ei, SK_er, SK_pi, SK_pr. */
  constructor(readonly pieces: Uint8Array[]) {}

  get(name: number): Uint8Array {
    return this.pieces[name];
  }

  erase(): void {
    for (let i = 0; i < this.pieces.length; i++) erase(this.pieces[i]);
  }
}

export const SK_D = 0;
export const SK_AI = 1;
export const SK_AR = 2;
export const SK_EI = 3;
export const SK_ER = 4;
export const SK_PI = 5;
export const SK_PR = 6;
