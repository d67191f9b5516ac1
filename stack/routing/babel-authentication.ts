/**
 * Authentication of Babel (RFC 8967), an import: `babel.enable(nif, { authentication: babelAuthentication({ secret }) })`.
 *
 * A packet ends with a MAC over its addresses and its body, and in the body is a number that goes up (PC), of a count that begins anew with
 * each start (index). Who is heard with another index than before must first answer a challenge: what was recorded is not believed, and no clock
 * is wanted. Numbers of groups and of single receivers count apart (RFC 9467), for some links let one overtake the other.
 */
import type { Cipher, CipherJob, Digest } from "../../hypercall/crypto.js";
import { CIPHER_DONE, constantTimeEqual } from "../../hypercall/crypto.js";
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import type { Stack } from "../core/stack.js";
import * as wire from "../wire/babel.js";
import { equal6, isMulticast6 } from "../wire/ipv6.js";
import { ANSWER, AUTHENTIC, CHALLENGE } from "./babel-neighbour.js";
import type { BabelAuthenticator } from "./babel-neighbour.js";

export interface BabelKey {
  /** 1..64 bytes, of BLAKE2s 1..32. Copied. */
  secret: Uint8Array;
  /** `"blake2s"`: BLAKE2s with 128 bits, over a host that has WireGuard's ciphers (`withWireguard`). Default `"hmac-sha256"`. */
  algorithm?: "hmac-sha256" | "blake2s";
}

export interface BabelAuthenticationOptions extends BabelKey {
  /** Others, believed and sent besides: while keys change. 3 at most. */
  others?: readonly BabelKey[];
  /** Packets that are not authentic are believed, too: while a network gets its keys. Default false. */
  permissive?: boolean;
}

const KEYS = 4;
const NEIGHBOURS = 64;
const INDEX = 8;
const NONCE = 8;
/** The longest of others' (sections 6.2 to 6.4). */
const MAX_INDEX = 32;
const MAX_NONCE = 192;
const PC = 4;
/** Addresses and ports, as they are in front of what the MAC covers (section 4.1). */
const PSEUDO = 36;
const MESSAGE = 1500;
const SHA256 = 32;
/** Milliseconds: challenges of a neighbour are so far apart, good for so long; who is silent for so long is forgotten (section 4.4). */
const APART = 300;
const GOOD = 30_000;
const FORGET = 300_000;

class Neighbour {
  index: Uint8Array | null = null;
  /** The last numbers, to us alone and to groups. */
  readonly last = [0, 0];
  readonly nonce = new Uint8Array(NONCE);
  challenged = false;
  challengedAt = 0;
  at = 0;

  constructor(readonly address: Uint8Array) {}
}

class Key {
  private readonly digest: Digest | null = null;
  private readonly cipher: Cipher | null = null;
  readonly size: number;

  constructor(stack: Stack, key: BabelKey) {
    const crypto = stack.host.calls.crypto;
    const name = key.algorithm === "blake2s" ? "blake2s-128" : "sha2-256";
    if (key.algorithm === "blake2s")
      this.cipher = crypto && crypto.cipher ? crypto.cipher(name, key.secret, true) : null;
    else this.digest = crypto && crypto.digest ? crypto.digest(name, key.secret) : null;
    if (!this.cipher && !this.digest) fail("EOPNOTSUPP", "the host has no " + name);
    this.size = this.cipher ? this.cipher.tagSize : SHA256;
  }

  make(job: CipherJob, target: Uint8Array, at: number): boolean {
    if (this.digest) {
      this.digest.update(job.data, job.start, job.end);
      this.digest.finish(target, at);
      return true;
    }
    job.tag = job.end;
    const done = (this.cipher as Cipher).seal(job) === CIPHER_DONE;
    for (let i = 0; i < this.size; i++) target[at + i] = job.data[job.tag + i];
    return done;
  }

  close(): void {
    if (this.digest) this.digest.close();
    if (this.cipher) this.cipher.close();
  }
}

export class BabelAuthentication implements BabelAuthenticator {
  overhead = 0;
  readonly nonce = new Uint8Array(NONCE);
  answer: Uint8Array = this.nonce;
  private stack: Stack | null = null;
  private readonly settings: BabelKey[];
  private readonly permissive: boolean;
  private readonly keys: Key[] = [];
  private readonly index = new Uint8Array(INDEX);
  private number = 0;
  private readonly neighbours: Neighbour[] = [];
  private readonly mac = new Uint8Array(SHA256);
  private readonly job: CipherJob = {
    data: new Uint8Array(PSEUDO + MESSAGE + SHA256),
    start: 0,
    end: 0,
    tag: 0,
    nonce: new Uint8Array(0),
    aad: new Uint8Array(0),
    aadStart: 0,
    aadEnd: 0,
    done: () => {},
  };

  constructor(options: BabelAuthenticationOptions) {
    const given = [options as BabelKey].concat(options.others || []);
    if (given.length > KEYS) fail("EINVAL", "others");
    this.permissive = options.permissive === true;
    this.settings = given.map((key) => {
      const secret = key.secret;
      const algorithm = key.algorithm;
      if (algorithm !== undefined && algorithm !== "hmac-sha256" && algorithm !== "blake2s")
        fail("EINVAL", "algorithm");
      const most = algorithm === "blake2s" ? 32 : 64;
      if (!(secret instanceof Uint8Array) || secret.length < 1 || secret.length > most)
        fail("EINVAL", "secret");
      const copy = new Uint8Array(secret.length);
      copy.set(secret);
      return { secret: copy, algorithm: algorithm };
    });
  }

  /** Throws `EOPNOTSUPP`: the host lacks the algorithm. `EBUSY`: an interface has it already, and its numbers are for one. */
  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "authentication");
    for (let i = 0; i < this.settings.length; i++) this.keys.push(new Key(stack, this.settings[i]));
    this.stack = stack;
    this.overhead = 2 + PC + INDEX;
    for (let i = 0; i < this.keys.length; i++) this.overhead += 2 + this.keys[i].size;
    if (!stack.host.random(this.index)) fail("EIO", "random");
  }

  /** Section 4.2. */
  finish(data: Uint8Array, end: number, from: Uint8Array, to: Uint8Array): number {
    this.number = (this.number + 1) | 0;
    // They begin anew, under an index that was never there.
    if (this.number === 0) this.index[0]++;
    data[end] = wire.PACKET_COUNTER;
    data[end + 1] = PC + INDEX;
    put32(data, end + 2, this.number);
    data.set(this.index, end + 2 + PC);
    let at = end + 2 + PC + INDEX;
    put16(data, 2, at - wire.BABEL_HEADER);
    this.cover(data, at, from, to);
    for (let i = 0; i < this.keys.length; i++) {
      const key = this.keys[i];
      data[at] = wire.MAC;
      data[at + 1] = key.size;
      key.make(this.job, data, at + 2);
      at += 2 + key.size;
    }
    return at;
  }

  /** Section 4.3. */
  check(data: Uint8Array, end: number, from: Uint8Array, to: Uint8Array, now: number): number {
    const stop = end < wire.BABEL_HEADER ? end : wire.BABEL_HEADER + get16(data, 2);
    if (end < wire.BABEL_HEADER || stop > end || end > MESSAGE || !this.signed(data, stop, end, from, to))
      return this.permissive ? AUTHENTIC : 0;
    let counter = 0;
    let asked = 0;
    let answered = 0;
    for (let at = wire.BABEL_HEADER; at < stop;) {
      const type = data[at];
      const last = wire.tlvEnd(data, at, stop);
      if (last < 0) break;
      const size = last - at - 2;
      if (type === wire.PACKET_COUNTER && counter === 0 && size >= PC && size <= PC + MAX_INDEX) counter = at;
      else if (type === wire.CHALLENGE_REQUEST && size <= MAX_NONCE) asked = at;
      else if (type === wire.CHALLENGE_REPLY && !isMulticast6(to, 0)) answered = at;
      at = last;
    }
    if (counter === 0) return 0;
    let found = 0;
    if (asked > 0) {
      this.answer = data.subarray(asked + 2, asked + 2 + data[asked + 1]);
      found |= ANSWER;
    }
    const neighbour = this.neighbour(from, now);
    const number = get32(data, counter + 2);
    const index = data.subarray(counter + 2 + PC, counter + 2 + data[counter + 1]);
    if (answered > 0 && this.won(neighbour, data, answered, now)) {
      neighbour.index = new Uint8Array(index.length);
      neighbour.index.set(index);
      neighbour.last[0] = neighbour.last[1] = number;
    } else if (!neighbour.index || !same(neighbour.index, index)) {
      return found | this.challenge(neighbour, now);
    } else {
      const group = isMulticast6(to, 0) ? 1 : 0;
      if (number >>> 0 <= neighbour.last[group] >>> 0) return found;
      neighbour.last[group] = number;
    }
    neighbour.at = now;
    return found | AUTHENTIC;
  }

  close(): void {
    while (this.keys.length > 0) this.keys.pop()!.close();
    while (this.neighbours.length > 0) this.neighbours.pop();
    this.stack = null;
  }

  /** Puts what the MAC is over in one piece. */
  private cover(data: Uint8Array, end: number, from: Uint8Array, to: Uint8Array): void {
    const bytes = this.job.data;
    bytes.set(from, 0);
    put16(bytes, 16, wire.BABEL_PORT);
    bytes.set(to, 18);
    put16(bytes, 34, wire.BABEL_PORT);
    bytes.set(data.subarray(0, end), PSEUDO);
    this.job.end = PSEUDO + end;
  }

  /** Is one of the MACs behind the body one of ours? */
  private signed(data: Uint8Array, stop: number, end: number, from: Uint8Array, to: Uint8Array): boolean {
    this.cover(data, stop, from, to);
    let tries = 0;
    for (let at = stop; at < end;) {
      const last = wire.tlvEnd(data, at, end);
      if (last < 0) return false;
      for (let i = 0; data[at] === wire.MAC && i < this.keys.length; i++) {
        const key = this.keys[i];
        if (last - at - 2 !== key.size || ++tries > KEYS * KEYS) continue;
        if (key.make(this.job, this.mac, 0) && constantTimeEqual(this.mac, 0, data, at + 2, key.size))
          return true;
      }
      at = last;
    }
    return false;
  }

  /** Who has silently gone, or else has been silent for longest, gives way. */
  private neighbour(address: Uint8Array, now: number): Neighbour {
    const list = this.neighbours;
    let oldest = 0;
    for (let i = 0; i < list.length; i++) {
      if (equal6(list[i].address, 0, address, 0)) {
        if (((now - list[i].at) | 0) >= FORGET) list[i].index = null;
        return list[i];
      }
      if (((list[i].at - list[oldest].at) | 0) < 0) oldest = i;
    }
    const made = new Neighbour(new Uint8Array(16));
    made.address.set(address);
    made.at = now;
    if (list.length < NEIGHBOURS) list.push(made);
    else list[oldest] = made;
    return made;
  }

  private challenge(neighbour: Neighbour, now: number): number {
    if (neighbour.challenged && ((now - neighbour.challengedAt) | 0) < APART) return 0;
    if (!(this.stack as Stack).host.random(neighbour.nonce)) return 0;
    neighbour.challenged = true;
    neighbour.challengedAt = now;
    this.nonce.set(neighbour.nonce);
    return CHALLENGE;
  }

  private won(neighbour: Neighbour, data: Uint8Array, at: number, now: number): boolean {
    if (!neighbour.challenged || ((now - neighbour.challengedAt) | 0) > GOOD || data[at + 1] !== NONCE)
      return false;
    if (!constantTimeEqual(neighbour.nonce, 0, data, at + 2, NONCE)) return false;
    neighbour.challenged = false;
    return true;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && constantTimeEqual(a, 0, b, 0, a.length);
}

/** Keys for an interface of `babel`; each wants one of its own. Throws `EINVAL`. */
export function babelAuthentication(options: BabelAuthenticationOptions): BabelAuthentication {
  return new BabelAuthentication(options);
}
