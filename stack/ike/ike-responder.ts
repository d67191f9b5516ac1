/**
 * The responder (RFC 7296 sections 1.2, 2.6): answers those who begin. While few do it keeps 1 KiB for each until it has proven who it
 * is; when many do it keeps nothing, and asks for a cookie first. Half-open IKE SAs are bounded in number and time (RFC 8019).
 */
import { get16, get32 } from "../core/bytes.js";
import type { DatagramInfo } from "../core/datagrams.js";
import { EACCES, ETIMEDOUT, fail, setting } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import { idOf, transform, typeOf } from "./algorithms.js";
import { agreeChild, grantChild } from "./child.js";
import type { Connection } from "./connection.js";
import {
  deriveKeys,
  detectNat,
  emitNatDetection,
  equal,
  forgetAuthKeys,
  pskAuth,
  signedOctets,
} from "./derive.js";
import type { Responder } from "./features.js";
import { identityBody, parseIdentity, readIdentity, sameIdentity, textBytes } from "./identity.js";
import type { Identity } from "./identity.js";
import type { Ike } from "./ike.js";
import { IkeSa } from "./ike-sa.js";
import { isPsk, learn, pskBody } from "./initiate.js";
import { digest } from "./keys.js";
import { Writer, emitPlain, parsePayloads } from "./message.js";
import type { Message } from "./message.js";
import { choose, emitProposals, parseProposals } from "./proposals.js";

export interface RespondOptions {
  /** Half-open IKE SAs above which whoever begins must show a cookie. Default 4; 0: always. */
  cookies?: number;
  /** Half-open IKE SAs at most; beyond, the oldest goes. Default 32. */
  halfOpen?: number;
  /** How long one may stay half-open, ms. Default 20000. */
  timeout?: number;
}

/** How long a secret of cookies is the one, ms; the one before is good as well. */
const SECRET_AGE = 30000;

class Respond implements Responder {
  private readonly cookies: number;
  private readonly limit: number;
  private readonly timeout: number;
  /** Oldest first. */
  private readonly half: IkeSa[] = [];
  private secret: Uint8Array | null = null;
  private lastSecret: Uint8Array | null = null;
  private secretVersion = 0;
  private secretAt = 0;

  constructor(options: RespondOptions) {
    this.cookies = setting(options.cookies, 4, 0, 65536, "cookies");
    this.limit = setting(options.halfOpen, 32, 1, 65536, "halfOpen");
    this.timeout = setting(options.timeout, 20000, 100, 600000, "timeout");
    if (this.cookies > this.limit) fail("EINVAL", "cookies");
  }

  close(): void {
    this.half.splice(0, this.half.length);
  }

  /** IKE_SA_INIT. */
  input(ike: Ike, message: Message, info: DatagramInfo, port: number): void {
    this.sweep();
    const raw = message.raw;
    for (let i = 0; i < this.half.length; i++) {
      const sa = this.half[i];
      if (sa.remote !== info.address || sa.remotePort !== info.port || get32(sa.spiI, 0) !== get32(raw, 0))
        continue;
      // The same request again, or one that pretends to be.
      if (equal(sa.first, raw) && sa.second.length > 0) {
        ike.counters.repeated++;
        sa.transmit([sa.second]);
      } else ike.counters.unexpected++;
      return;
    }
    const code = parsePayloads(message, raw, wire.IKE_HEADER, raw.length, raw[wire.IKE_NEXT]);
    const sets = message.find(wire.PAYLOAD_SA);
    const share = message.find(wire.PAYLOAD_KE);
    const nonce = message.find(wire.PAYLOAD_NONCE);
    const proposals = code === 0 && sets >= 0 ? parseProposals(message.body(sets)) : null;
    if (code > 0) {
      const named = new Uint8Array(1);
      named[0] = code;
      ike.counters.malformed++;
      ike.refuse(message, wire.UNSUPPORTED_CRITICAL_PAYLOAD, info, port, named);
    } else if (!proposals || share < 0 || nonce < 0) {
      ike.counters.malformed++;
    } else if (
      ike.options.redirection &&
      ike.options.redirection.begins(ike, message, info, port, message.body(nonce))
    ) {
      // It goes elsewhere.
    } else if (
      this.half.length >= this.cookies &&
      !this.proven(ike, message, info, port, message.body(nonce))
    ) {
      // Said, and nothing kept.
    } else this.agree(ike, message, info, port, proposals, message.body(share), message.body(nonce));
  }

  /** It has shown that it receives at its address; else it is told the cookie. */
  private proven(ike: Ike, message: Message, info: DatagramInfo, port: number, nonce: Uint8Array): boolean {
    const now = ike.stack.now();
    if (!this.secret || ((now - this.secretAt) | 0) > SECRET_AGE) {
      this.lastSecret = this.secret;
      this.secret = ike.random(32);
      this.secretVersion = (this.secretVersion + 1) & 255;
      this.secretAt = now;
      if (!this.secret) return false;
    }
    const at = message.notify(wire.COOKIE);
    if (at >= 0) {
      const given = message.notifyData(at);
      const secret = given[0] === this.secretVersion ? this.secret : this.lastSecret;
      if (secret && equal(given, this.cookie(ike, secret, given[0], message, info, nonce))) return true;
      ike.counters.badCookies++;
    }
    ike.counters.cookies++;
    const cookie = this.cookie(ike, this.secret, this.secretVersion, message, info, nonce);
    const raw = message.raw;
    const packet = emitPlain(
      raw.subarray(0, 8),
      raw.subarray(8, 16),
      wire.IKE_SA_INIT,
      wire.FLAG_RESPONSE,
      0,
      new Writer().notify(wire.COOKIE, cookie),
    );
    ike.ports.send(info.localAddress, port, info.address, info.port, packet);
    return false;
  }

  private cookie(
    ike: Ike,
    secret: Uint8Array,
    version: number,
    message: Message,
    info: DatagramInfo,
    nonce: Uint8Array,
  ): Uint8Array {
    const end = textBytes(info.address + " " + info.port);
    const mac = digest(ike.crypto, "sha2-256", secret, [nonce, end, message.raw.subarray(0, 8)]);
    const cookie = new Uint8Array(1 + mac.length);
    cookie[0] = version;
    cookie.set(mac, 1);
    return cookie;
  }

  private agree(
    ike: Ike,
    message: Message,
    info: DatagramInfo,
    port: number,
    proposals: ReturnType<typeof parseProposals>,
    share: Uint8Array,
    nonce: Uint8Array,
  ): void {
    const prefer = transform(wire.TRANSFORM_KE, 0, get16(share, 0));
    for (let i = 0; i < ike.connections.length; i++) {
      const settings = ike.connections[i].settings;
      if (
        (settings.remote && settings.remote !== info.address) ||
        (settings.local && settings.local !== info.localAddress)
      )
        continue;
      const agreement = choose(proposals!, wire.PROTOCOL_IKE, 0, settings.suites, prefer);
      const more = ike.options.keyExchanges;
      if (!agreement || (more && !more.possible(agreement.suite, message))) continue;
      const group = ike.algorithms.in(agreement.suite, wire.TRANSFORM_KE)!;
      if (group.code !== prefer) {
        const number = new Uint8Array(2);
        number[0] = idOf(group.code) >> 8;
        number[1] = idOf(group.code);
        ike.refuse(message, wire.INVALID_KE_PAYLOAD, info, port, number);
        return;
      }
      const sa = new IkeSa(ike, null, false);
      sa.suite = agreement.suite;
      sa.spiI.set(message.raw.subarray(0, 8), 0);
      sa.nonceI = nonce as Uint8Array<ArrayBuffer>;
      sa.first = message.raw as Uint8Array<ArrayBuffer>;
      sa.local = info.localAddress;
      sa.remote = info.address;
      sa.localPort = port;
      sa.remotePort = info.port;
      this.open(ike, sa, message, group.name, share.subarray(4), agreement.number);
      return;
    }
    ike.counters.refused++;
    ike.refuse(message, wire.NO_PROPOSAL_CHOSEN, info, port);
  }

  private open(
    ike: Ike,
    sa: IkeSa,
    message: Message,
    group: string,
    share: Uint8Array,
    number: number,
  ): void {
    const nonce = ike.random(32);
    // The oldest has had its time; who is honest has answered within it.
    if (this.half.length >= this.limit) {
      ike.counters.refused++;
      this.half[0].end(ETIMEDOUT, 0);
      this.sweep();
    }
    if (!nonce || !ike.addSa(sa)) {
      ike.counters.refused++;
      return;
    }
    sa.nonceR = nonce as Uint8Array<ArrayBuffer>;
    this.half.push(sa);
    ike.stack.timers.set(sa.timer, (ike.stack.now() + this.timeout) | 0);
    learn(sa, message);
    if (ike.options.redirection) ike.options.redirection.learn(sa, message);
    // Who is behind what is seen by the peer's hashes, which are over its own SPI alone.
    const spi = get32(sa.spiR, 0);
    const low = get32(sa.spiR, 4);
    sa.spiR.set(new Uint8Array(8), 0);
    detectNat(sa, message);
    put(sa.spiR, spi, low);
    const refused = () => {
      ike.counters.malformed++;
      sa.end(ETIMEDOUT, 0);
    };
    ike.guard(() => {
      ike.crypto.respond!(group, share, (own, secret) => {
        if (sa.dead) return;
        if (!own || !secret) {
          refused();
          return;
        }
        const out = new Writer();
        emitProposals(out, wire.PROTOCOL_IKE, new Uint8Array(0), [sa.suite], number);
        out
          .begin(wire.PAYLOAD_KE)
          .put16(get16(message.body(message.find(wire.PAYLOAD_KE)), 0))
          .put16(0)
          .bytes(own);
        out.payload(wire.PAYLOAD_NONCE, sa.nonceR);
        // No answer is larger than what was asked: who did not pay for this does not get it.
        if (message.notify(wire.NAT_DETECTION_SOURCE) >= 0) {
          emitNatDetection(sa, out);
          out.notify(wire.CHILDLESS_SUPPORTED);
        }
        if (sa.fragments) out.notify(wire.FRAGMENTATION_SUPPORTED);
        const asked = message.notify(wire.USE_PPK) >= 0;
        let announced = false;
        for (let i = 0; i < ike.connections.length; i++) {
          const settings = ike.connections[i].settings;
          if (settings.auth && !announced) settings.auth.announce(ike, out, true);
          announced = announced || settings.auth !== null;
          if (asked && !sa.ppk) sa.ppk = settings.ppk;
        }
        if (sa.ppk) out.notify(wire.USE_PPK);
        const more = ike.options.keyExchanges;
        if (more) more.announce([sa.suite], out);
        sa.second = emitPlain(
          sa.spiI,
          sa.spiR,
          wire.IKE_SA_INIT,
          wire.FLAG_RESPONSE,
          0,
          out,
        ) as Uint8Array<ArrayBuffer>;
        deriveKeys(sa, secret, null);
        if (more) more.begin(sa);
        sa.receiveId = 1;
        sa.transmit([sa.second]);
      });
    }, refused);
  }

  /** Forgets those that are half-open no more. */
  private sweep(): void {
    for (let i = this.half.length - 1; i >= 0; i--) {
      if (this.half[i].dead || this.half[i].established) this.half.splice(i, 1);
    }
  }

  /** IKE_AUTH. */
  authenticate(sa: IkeSa, message: Message): void {
    const id = message.find(wire.PAYLOAD_IDI);
    const auth = message.find(wire.PAYLOAD_AUTH);
    const identity = id < 0 ? null : readIdentity(message.body(id));
    if (!identity || auth < 0 || sa.steps.length > 0) {
      refuse(sa, identity ? wire.AUTHENTICATION_FAILED : wire.INVALID_SYNTAX);
      return;
    }
    const asked = message.find(wire.PAYLOAD_IDR);
    const want = asked < 0 ? null : readIdentity(message.body(asked));
    const psk = message.body(auth)[0] === wire.AUTH_SHARED_KEY;
    const connection = pick(sa, identity, want, psk);
    const ppk = connection ? connection.settings.ppk : null;
    const allowed = sa.ppk ? sa.ppk.judge(sa, message, ppk) : !ppk || !ppk.required;
    const octets = signedOctets(sa, true, identity);
    const judge = (good: boolean) => {
      if (sa.dead) return;
      if (good && allowed && connection) this.prove(sa, message, connection);
      else refuse(sa, wire.AUTHENTICATION_FAILED);
    };
    sa.peer = identity;
    if (psk) {
      // A stranger takes as long as one whose secret is wrong.
      const secret = (connection && connection.settings.psk) || sa.nonceR;
      judge(isPsk(sa, secret, octets, message.body(auth)) && connection !== null);
    } else if (!connection) judge(false);
    else {
      sa.ike.guard(
        () => connection.settings.auth!.verify(sa, message, identity, octets, judge),
        () => judge(false),
      );
    }
  }

  private prove(sa: IkeSa, message: Message, connection: Connection): void {
    const settings = connection.settings;
    const own = settings.identity || parseIdentity(sa.local, "identity");
    const octets = signedOctets(sa, false, own);
    sa.connection = connection;
    const failed = () => refuse(sa, wire.AUTHENTICATION_FAILED);
    if (settings.psk) finish(sa, message, own, pskBody(pskAuth(sa, settings.psk, octets)));
    else {
      sa.ike.guard(() => {
        settings.auth!.sign(sa, octets, (auth) => {
          if (sa.dead) return;
          if (auth) finish(sa, message, own, auth);
          else failed();
        });
      }, failed);
    }
  }
}

function put(target: Uint8Array, high: number, low: number): void {
  for (let i = 0; i < 4; i++) {
    target[i] = high >> (24 - 8 * i);
    target[4 + i] = low >> (24 - 8 * i);
  }
}

function refuse(sa: IkeSa, code: number): void {
  sa.ike.counters.failed++;
  sa.replyNotify(wire.IKE_AUTH, code);
  sa.end(EACCES, code);
}

/** The connection of a peer that calls itself `identity`, and us `want`: one that names it before one that takes anybody. */
function pick(sa: IkeSa, identity: Identity, want: Identity | null, psk: boolean): Connection | null {
  let found: Connection | null = null;
  const list = sa.ike.connections;
  for (let i = 0; i < list.length; i++) {
    const settings = list[i].settings;
    if (settings.remote && settings.remote !== sa.remote) continue;
    if (settings.local && settings.local !== sa.local) continue;
    if ((settings.psk !== null) !== psk || !allows(settings.suites, sa.suite)) continue;
    const own = settings.identity;
    if (want && own && !sameIdentity(want, own)) continue;
    if (!settings.remoteIdentity) found = found || list[i];
    else if (sameIdentity(settings.remoteIdentity, identity)) return list[i];
  }
  return found;
}

/** Would this connection have agreed on `suite`, had it been known who asks? */
function allows(suites: number[][], suite: number[]): boolean {
  let types = 0;
  for (let i = 0; i < suite.length; i++) types |= 1 << typeOf(suite[i]);
  const proposal = {
    number: 1,
    protocol: wire.PROTOCOL_IKE,
    spi: new Uint8Array(0),
    transforms: suite,
    types,
  };
  return choose([proposal], wire.PROTOCOL_IKE, 0, suites, 0) !== null;
}

/** Both have proven who they are: the answer, with the first child SA. */
function finish(sa: IkeSa, message: Message, own: Identity, auth: Uint8Array): void {
  const ike = sa.ike;
  const connection = sa.connection!;
  const settings = connection.settings;
  const out = new Writer();
  if (message.notify(wire.INITIAL_CONTACT) >= 0) replaceOthers(sa);
  // No two of one connection that names one peer: the new one is the one that the peer knows.
  const told = !connection.sa || connection.sa.dead;
  out.payload(wire.PAYLOAD_IDR, identityBody(own));
  if (settings.auth) settings.auth.present(sa, out);
  out.payload(wire.PAYLOAD_AUTH, auth);
  if (sa.mixed) out.notify(wire.PPK_IDENTITY);
  forgetAuthKeys(sa);
  if (ike.options.redirection && ike.options.redirection.proven(sa, out)) {
    // It stays half-open until it says goodbye, or has been for long enough.
    sa.connection = null;
    sa.reply(wire.IKE_AUTH, out);
    return;
  }
  if (ike.options.mobility) ike.options.mobility.input(sa, message, out, null);
  sa.establish(told);
  let error = ike.options.addresses ? ike.options.addresses.assign(sa, message, out) : 0;
  if (message.find(wire.PAYLOAD_SA) >= 0) {
    const wanted = error || agreeChild(sa, message, null, true);
    if (typeof wanted === "number") error = wanted;
    else if (!grantChild(sa, wanted, null, null, sa.nonceI, sa.nonceR, out)) error = wire.NO_PROPOSAL_CHOSEN;
  }
  if (error !== 0) out.notify(error);
  sa.reply(wire.IKE_AUTH, out);
}

/** The peer knows of no other IKE SA with us: it has begun anew (section 2.4). */
function replaceOthers(sa: IkeSa): void {
  sa.ike.sas.each((other) => {
    if (other === sa || !other.established || !other.peer || !sa.peer) return;
    if (other.connection === sa.connection && sameIdentity(other.peer, sa.peer)) {
      other.successor = sa;
      other.end(0, 0);
    }
  });
}

/** The responder's part of `ike()`: `ike({ responder: ikeResponder() })`. Throws `EINVAL`. */
export function ikeResponder(options: RespondOptions = {}): Responder {
  return new Respond(options);
}
