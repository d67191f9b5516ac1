/** WireGuard's MACs and cookies (sections 5.3, 5.4.4, 5.4.7): who knows our key, and under load who can receive at its address. */
import { constantTimeEqual } from "../../hypercall/crypto.js";
import * as wire from "../wire/wireguard.js";
import { ascii, KEY } from "./suite.js";
import type { Suite } from "./suite.js";

/** Cookies, and the secret that makes them, last two minutes. */
const COOKIE_TIME = 120000;

/** What this end checks in messages to it. */
export class CookieChecker {
  private readonly macKey: Uint8Array;
  private readonly cookieKey: Uint8Array;
  private readonly secret = new Uint8Array(KEY);
  private readonly cookie = new Uint8Array(wire.MAC);
  private readonly own = new Uint8Array(wire.MAC);
  private made = 0;
  private fresh = false;

  constructor(
    private readonly suite: Suite,
    share: Uint8Array,
  ) {
    this.macKey = suite.hash(ascii("mac1----"), share);
    this.cookieKey = suite.hash(ascii("cookie--"), share);
  }

  /** Does who sends a message know our key? */
  knows(message: Uint8Array): boolean {
    const first = message.length - wire.MACS;
    this.suite.mac(this.macKey, message, 0, first, this.own, 0);
    return constantTimeEqual(this.own, 0, message, first, wire.MAC);
  }

  /** Has it been sent a cookie of ours at `from`, its address and port? */
  proves(message: Uint8Array, from: Uint8Array, now: number): boolean {
    const suite = this.suite;
    const own = this.own;
    const second = message.length - wire.MAC;
    if (!this.fresh || ((now - this.made) | 0) >= COOKIE_TIME) return false;
    suite.mac(this.secret, from, 0, from.length, this.cookie, 0);
    suite.mac(this.cookie, message, 0, second, own, 0);
    return constantTimeEqual(own, 0, message, second, wire.MAC);
  }

  /** Writes a cookie reply to `message` into `reply`; `random` fills bytes. False: the host refused. */
  reply(
    message: Uint8Array,
    from: Uint8Array,
    now: number,
    reply: Uint8Array,
    random: (bytes: Uint8Array) => boolean,
  ): boolean {
    if (!this.fresh || ((now - this.made) | 0) >= COOKIE_TIME) {
      if (!random(this.secret)) return false;
      this.made = now;
      this.fresh = true;
    }
    const nonce = new Uint8Array(24);
    if (!random(nonce)) return false;
    for (let i = 0; i < 8; i++) reply[i] = 0;
    reply[0] = wire.COOKIE_REPLY;
    for (let i = 0; i < 4; i++) reply[wire.RECEIVER + i] = message[wire.SENDER + i];
    reply.set(nonce, wire.COOKIE_NONCE);
    this.suite.mac(this.secret, from, 0, from.length, reply, wire.COOKIE_COOKIE);
    const first = message.length - wire.MACS;
    const aad = message.subarray(first, first + wire.MAC);
    const end = wire.COOKIE_COOKIE + wire.MAC;
    return this.suite.cookie(this.cookieKey, nonce, reply, wire.COOKIE_COOKIE, end, aad, true);
  }
}

/** What this end puts into messages to a peer. */
export class CookieMaker {
  private readonly macKey: Uint8Array;
  private readonly cookieKey: Uint8Array;
  private readonly cookie = new Uint8Array(wire.MAC);
  private readonly sent = new Uint8Array(wire.MAC);
  private got = 0;
  private known = false;
  /** A message has gone out whose MAC a cookie reply may quote. */
  private waits = false;

  constructor(
    private readonly suite: Suite,
    peer: Uint8Array,
  ) {
    this.macKey = suite.hash(ascii("mac1----"), peer);
    this.cookieKey = suite.hash(ascii("cookie--"), peer);
  }

  /** Writes both MACs. */
  sign(message: Uint8Array, now: number): void {
    const first = message.length - wire.MACS;
    const second = first + wire.MAC;
    this.suite.mac(this.macKey, message, 0, first, message, first);
    for (let i = 0; i < wire.MAC; i++) {
      this.sent[i] = message[first + i];
      message[second + i] = 0;
    }
    this.waits = true;
    if (this.known && ((now - this.got) | 0) < COOKIE_TIME) {
      this.suite.mac(this.cookie, message, 0, second, message, second);
    }
  }

  /** Takes a cookie reply; false: it is none to what we sent. */
  take(reply: Uint8Array, now: number): boolean {
    if (!this.waits) return false;
    const nonce = reply.subarray(wire.COOKIE_NONCE, wire.COOKIE_COOKIE);
    const end = wire.COOKIE_COOKIE + wire.MAC;
    if (!this.suite.cookie(this.cookieKey, nonce, reply, wire.COOKIE_COOKIE, end, this.sent, false))
      return false;
    this.waits = false;
    for (let i = 0; i < wire.MAC; i++) this.cookie[i] = reply[wire.COOKIE_COOKIE + i];
    this.got = now;
    this.known = true;
    return true;
  }
}
