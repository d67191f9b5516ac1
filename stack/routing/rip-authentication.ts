/**
 * Cryptographic authentication of RIP version 2 (RFC 4822) with HMAC-SHA-256, an import: `rip.enable(nif, { authentication: ripAuthentication({...}) })`.
 *
 * A message has an entry in front that names the key and a number that never goes back, and a digest behind. Who has heard a message cannot say
 * it again once a newer one has come; what a neighbour has said last is remembered of 64 of them.
 */
import type { Digest } from "../../hypercall/crypto.js";
import { constantTimeEqual } from "../../hypercall/crypto.js";
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Stack } from "../core/stack.js";
import * as wire from "../wire/rip.js";
import type { RipAuthenticator } from "./rip-codec.js";

export interface RipAuthenticationOptions {
  /** Names the key, 0..255. Default 1. */
  keyId?: number;
  /** 1..32 bytes that all on the link have. Copied. */
  secret: Uint8Array;
  /** The wall clock, ms: after a restart it must not be earlier than before. */
  clock(): number;
}

const CRYPTOGRAPHIC = 3;
const TRAILER = 1;
const DIGEST = 32;
const TAIL = 4 + DIGEST;
/** What stands in place of the digest while it is made (section 3.3). */
const APAD = 0x878fe1f3 | 0;
const NEIGHBOURS = 64;

export class RipAuthentication implements RipAuthenticator {
  private digest: Digest | null = null;
  private readonly own = new Uint8Array(DIGEST);
  /** Neighbours' addresses and their last numbers, in pairs. */
  private readonly heard: number[] = [];
  private last = 0;
  private readonly keyId: number;
  private readonly secret: Uint8Array;

  constructor(private readonly options: RipAuthenticationOptions) {
    const secret = options.secret;
    this.keyId = requireInteger(options.keyId === undefined ? 1 : options.keyId, 0, 255, "keyId");
    if (!(secret instanceof Uint8Array) || secret.length < 1 || secret.length > DIGEST)
      fail("EINVAL", "secret");
    if (typeof options.clock !== "function") fail("EINVAL", "clock");
    this.secret = new Uint8Array(secret.length);
    this.secret.set(secret);
  }

  /** Throws `EOPNOTSUPP`: the host has no SHA-256. */
  attach(stack: Stack): void {
    const crypto = stack.host.calls.crypto;
    if (this.digest) return;
    this.digest = crypto && crypto.digest ? crypto.digest("sha2-256", this.secret) : null;
    if (!this.digest) fail("EOPNOTSUPP", "the host has no sha2-256");
  }

  /** Writes the entry in front. */
  begin(data: Uint8Array, at: number): number {
    put16(data, at, wire.RIP_AUTHENTICATION);
    put16(data, at + wire.RIP_TAG, CRYPTOGRAPHIC);
    put32(data, at + 4, (this.keyId << 8) | TAIL);
    for (let i = 12; i < wire.RIP_ENTRY; i++) data[at + i] = 0;
    return at + wire.RIP_ENTRY;
  }

  /** Writes the digest behind a message that ends at `end`; its new end. */
  finish(data: Uint8Array, end: number): number {
    const at = wire.RIP_HEADER;
    const seconds = Math.floor(this.options.clock() / 1000) | 0;
    if (((seconds - this.last) | 0) > 0) this.last = seconds;
    put16(data, at + 4, end);
    put32(data, at + 8, this.last);
    put16(data, end, wire.RIP_AUTHENTICATION);
    put16(data, end + 2, TRAILER);
    this.make(data, end);
    data.set(this.own, end + 4);
    return end + TAIL;
  }

  /** Where the entries of a message from `from` end, or -1: it is not authentic, or an old one. Its digest is overwritten. */
  check(data: Uint8Array, end: number, from: number): number {
    const at = wire.RIP_HEADER;
    const stop = end - TAIL;
    if (
      stop < at + wire.RIP_ENTRY ||
      get16(data, at) !== wire.RIP_AUTHENTICATION ||
      get16(data, at + wire.RIP_TAG) !== CRYPTOGRAPHIC ||
      get16(data, at + 4) !== stop ||
      data[at + 6] !== this.keyId ||
      get16(data, stop) !== wire.RIP_AUTHENTICATION ||
      get16(data, stop + 2) !== TRAILER
    ) {
      return -1;
    }
    const said = new Uint8Array(DIGEST);
    for (let i = 0; i < DIGEST; i++) said[i] = data[stop + 4 + i];
    this.make(data, stop);
    if (!constantTimeEqual(said, 0, this.own, 0, DIGEST)) return -1;
    const number = get32(data, at + 8);
    const heard = this.heard;
    let i = 0;
    while (i < heard.length && heard[i] !== from) i += 2;
    if (i < heard.length) {
      if (((number - heard[i + 1]) | 0) < 0) return -1;
      heard[i + 1] = number;
    } else {
      if (heard.length >= 2 * NEIGHBOURS) heard.splice(0, 2);
      heard.push(from, number);
    }
    return stop;
  }

  close(): void {
    if (this.digest) this.digest.close();
    this.digest = null;
  }

  private make(data: Uint8Array, end: number): void {
    const digest = this.digest as Digest;
    for (let i = 0; i < DIGEST; i += 4) put32(data, end + 4 + i, APAD);
    digest.update(data, 0, end + TAIL);
    digest.finish(this.own, 0);
  }
}

/** A key for an interface of `rip`. Throws `EINVAL`. */
export function ripAuthentication(options: RipAuthenticationOptions): RipAuthentication {
  return new RipAuthentication(options);
}
