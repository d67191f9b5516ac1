/**
 * WireGuard's handshake (section 5.4.2 and 5.4.3): Noise_IKpsk2, one message each way. Written from the whitepaper, letter by letter: C is
 * the chaining key, H the hash, E the ephemeral and S the static key.
 */
import { erase } from "../../hypercall/crypto.js";
import type { AgreementKey, Cipher } from "../../hypercall/crypto.js";
import * as wire from "../wire/wireguard.js";
import { KEY } from "./suite.js";
import type { Suite } from "./suite.js";

const NONE = new Uint8Array(0);
export const TIMESTAMP = 12;

/** What one end keeps between the two messages. */
export class Handshake {
  readonly c = new Uint8Array(KEY);
  readonly h = new Uint8Array(KEY);
  /** Initiator: our ephemeral key. Responder: the peer's. */
  ephemeral: AgreementKey | null = null;
  readonly remote = new Uint8Array(KEY);
  private readonly k = new Uint8Array(KEY);

  constructor(private readonly suite: Suite) {}

  /** Begins anew, towards the responder with that static key. */
  private begin(responder: Uint8Array): void {
    this.c.set(this.suite.chain);
    this.h.set(this.suite.start);
    this.suite.mix(this.h, responder, 0, KEY);
  }

  private agree(own: AgreementKey, peer: Uint8Array, key: Uint8Array | null): boolean {
    const secret = own.agree(peer);
    if (!secret) return false;
    this.suite.derive(this.c, secret, key, null);
    erase(secret);
    return true;
  }

  /** Writes an initiation's middle into `message`; false: keys that do not agree. */
  initiate(
    message: Uint8Array,
    own: AgreementKey,
    peer: Uint8Array,
    ephemeral: AgreementKey,
    timestamp: Uint8Array,
  ): boolean {
    const suite = this.suite;
    const h = this.h;
    const c = this.c;
    const k = this.k;
    this.close();
    this.begin(peer);
    this.ephemeral = ephemeral;
    message.set(ephemeral.share, wire.INITIATION_EPHEMERAL);
    suite.mix(h, ephemeral.share, 0, KEY);
    suite.derive(c, ephemeral.share, null, null);
    if (!this.agree(ephemeral, peer, k)) return false;
    message.set(own.share, wire.INITIATION_STATIC);
    const end = wire.INITIATION_STATIC + KEY;
    if (!suite.seal(k, message, wire.INITIATION_STATIC, end, h)) return false;
    suite.mix(h, message, wire.INITIATION_STATIC, end + wire.TAG);
    if (!this.agree(own, peer, k)) return false;
    message.set(timestamp, wire.INITIATION_TIMESTAMP);
    const last = wire.INITIATION_TIMESTAMP + TIMESTAMP;
    if (!suite.seal(k, message, wire.INITIATION_TIMESTAMP, last, h)) return false;
    suite.mix(h, message, wire.INITIATION_TIMESTAMP, last + wire.TAG);
    return true;
  }

  /** Reads who sends an initiation; the static key stands in `message` then. False: it is not for us. */
  identify(message: Uint8Array, own: AgreementKey): boolean {
    const suite = this.suite;
    const h = this.h;
    const c = this.c;
    const k = this.k;
    const remote = this.remote;
    this.close();
    this.begin(own.share);
    for (let i = 0; i < KEY; i++) remote[i] = message[wire.INITIATION_EPHEMERAL + i];
    suite.mix(h, remote, 0, KEY);
    suite.derive(c, remote, null, null);
    if (!this.agree(own, remote, k)) return false;
    const end = wire.INITIATION_STATIC + KEY;
    const before = new Uint8Array(KEY);
    before.set(h);
    suite.mix(h, message, wire.INITIATION_STATIC, end + wire.TAG);
    return suite.open(k, message, wire.INITIATION_STATIC, end, before);
  }

  /** Reads the rest, when it is known who sends it: the timestamp stands in `message` then. */
  finish(message: Uint8Array, own: AgreementKey, peer: Uint8Array): boolean {
    const suite = this.suite;
    const h = this.h;
    const k = this.k;
    if (!this.agree(own, peer, k)) return false;
    const last = wire.INITIATION_TIMESTAMP + TIMESTAMP;
    const before = new Uint8Array(KEY);
    before.set(h);
    suite.mix(h, message, wire.INITIATION_TIMESTAMP, last + wire.TAG);
    return suite.open(k, message, wire.INITIATION_TIMESTAMP, last, before);
  }

  /** Writes a response's middle into `message`. */
  respond(message: Uint8Array, peer: Uint8Array, ephemeral: AgreementKey, preshared: Uint8Array): boolean {
    const suite = this.suite;
    const h = this.h;
    const c = this.c;
    const k = this.k;
    message.set(ephemeral.share, wire.RESPONSE_EPHEMERAL);
    suite.mix(h, ephemeral.share, 0, KEY);
    suite.derive(c, ephemeral.share, null, null);
    if (!this.agree(ephemeral, this.remote, null) || !this.agree(ephemeral, peer, null)) return false;
    this.preshare(preshared);
    if (!suite.seal(k, message, wire.RESPONSE_EMPTY, wire.RESPONSE_EMPTY, h)) return false;
    suite.mix(h, message, wire.RESPONSE_EMPTY, wire.RESPONSE_EMPTY + wire.TAG);
    return true;
  }

  /** Reads a response to what we have begun. Nothing changes if it is not authentic. */
  complete(message: Uint8Array, own: AgreementKey, preshared: Uint8Array): boolean {
    const suite = this.suite;
    const h = this.h;
    const c = this.c;
    const k = this.k;
    if (!this.ephemeral) return false;
    const savedC = new Uint8Array(KEY);
    const savedH = new Uint8Array(KEY);
    savedC.set(c);
    savedH.set(h);
    const share = new Uint8Array(KEY);
    for (let i = 0; i < KEY; i++) share[i] = message[wire.RESPONSE_EPHEMERAL + i];
    suite.mix(h, share, 0, KEY);
    suite.derive(c, share, null, null);
    let good = this.agree(this.ephemeral, share, null) && this.agree(own, share, null);
    if (good) {
      this.preshare(preshared);
      good = suite.open(k, message, wire.RESPONSE_EMPTY, wire.RESPONSE_EMPTY, h);
    }
    if (!good) {
      c.set(savedC);
      h.set(savedH);
    }
    erase(savedC);
    return good;
  }

  /** The ciphers of the session: `[sends, receives]`. The handshake is over. */
  split(initiator: boolean): [Cipher, Cipher] {
    const suite = this.suite;
    const c = this.c;
    const k = this.k;
    suite.derive(c, NONE, k, null);
    const first = suite.cipher("chacha20-poly1305", c);
    const second = suite.cipher("chacha20-poly1305", k);
    this.close();
    return initiator ? [first, second] : [second, first];
  }

  close(): void {
    if (this.ephemeral) this.ephemeral.close();
    this.ephemeral = null;
    erase(this.c);
    erase(this.h);
    erase(this.k);
  }

  private preshare(preshared: Uint8Array): void {
    const t = new Uint8Array(KEY);
    this.suite.derive(this.c, preshared, t, this.k);
    this.suite.mix(this.h, t, 0, KEY);
    erase(t);
  }
}
