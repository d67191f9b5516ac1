/** CREATE_CHILD_SA for the IKE SA itself (RFC 7296 sections 1.3.2, 2.8, 2.18): another takes its place, with all its children. */
import type { KeyExchange } from "../../hypercall/crypto.js";
import { get16 } from "../core/bytes.js";
import * as wire from "../wire/ike.js";
import { idOf, typeOf, withoutAdditional } from "./algorithms.js";
import { CreateChild, lower, lowest } from "./create-child.js";
import { deriveKeys, hostFailed, prfOf } from "./derive.js";
import { Goodbye } from "./exchanges.js";
import type { Following } from "./features.js";
import { IkeSa } from "./ike-sa.js";
import type { Task } from "./ike-sa.js";
import { SK_D } from "./keys.js";
import { Writer } from "./message.js";
import type { Message } from "./message.js";
import { accepted, choose, emitProposals, parseProposals } from "./proposals.js";

/** After a failure, ms. */
const SHORT_PAUSE = 3000;
const PAUSE = 30000;
/** What has been replaced the peer deletes; after this many ms we do. */
const DELETE_AFTER = 30000;

/** It has served for long enough. */
export function rekeyIke(sa: IkeSa): void {
  if (!sa.successor) sa.request(new RekeyIke());
}

export class RekeyIke implements Task {
  /** The IKE SA that the peer has made in our SA's place at the same time, and the lower nonce of that exchange. */
  rival: IkeSa | null = null;
  rivalNonce: Uint8Array | null = null;
  private made: IkeSa | null = null;
  private own: KeyExchange | null = null;
  private group = 0;
  private following: Following | null = null;

  start(sa: IkeSa): void {
    if (sa.successor) {
      sa.next();
      return;
    }
    // What the peer has begun and not gone on with.
    if (sa.pending) sa.pending.abort();
    // The group that the peer is known to have.
    for (let i = 0; i < sa.suite.length; i++) {
      if (typeOf(sa.suite[i]) === wire.TRANSFORM_KE) this.group = sa.suite[i];
    }
    const refused = () => hostFailed(sa);
    sa.ike.guard(() => {
      sa.ike.crypto.exchange!(sa.ike.algorithms.of(this.group)!.name, (own) => {
        if (own && !sa.dead) {
          this.own = own;
          this.send(sa);
        } else if (own) own.close();
        else refused();
      });
    }, refused);
  }

  private send(sa: IkeSa): void {
    const made = (this.made = new IkeSa(sa.ike, sa.connection, true));
    const nonce = sa.ike.random(32);
    if (!nonce || !sa.ike.addSa(made)) {
      this.fail(sa, 0);
      return;
    }
    made.nonceI = nonce as Uint8Array<ArrayBuffer>;
    const out = new Writer();
    emitProposals(out, wire.PROTOCOL_IKE, made.spiI, [offered(sa)]);
    out.payload(wire.PAYLOAD_NONCE, nonce);
    out.begin(wire.PAYLOAD_KE).put16(idOf(this.group)).put16(0).bytes(this.own!.share);
    sa.send(wire.CREATE_CHILD_SA, out);
  }

  answer(sa: IkeSa, message: Message): void {
    if (this.following) {
      this.following.answer(sa, message);
      return;
    }
    const sets = message.find(wire.PAYLOAD_SA);
    const nonce = message.find(wire.PAYLOAD_NONCE);
    const share = message.find(wire.PAYLOAD_KE);
    const proposals = sets < 0 ? null : parseProposals(message.body(sets));
    const agreement = proposals && accepted(proposals, wire.PROTOCOL_IKE, wire.SPI_LENGTH, [offered(sa)]);
    if (!agreement || nonce < 0 || share < 0 || get16(message.body(share), 0) !== idOf(this.group)) {
      this.fail(sa, message.error());
      return;
    }
    const made = this.made!;
    made.suite = agreement.suite;
    made.spiR.set(agreement.spi, 0);
    made.nonceR = message.body(nonce) as Uint8Array<ArrayBuffer>;
    const refused = () => this.fail(sa, 0);
    const more = sa.ike.options.keyExchanges;
    const follow = more && more.methods(agreement.suite).length > 0 ? more : null;
    const link = message.notify(wire.ADDITIONAL_KEY_EXCHANGE);
    if (follow && link < 0) {
      refused();
      return;
    }
    sa.ike.guard(() => {
      this.own!.finish(message.body(share).subarray(4), (secret) => {
        this.own = null;
        if (sa.dead || !secret) {
          if (!sa.dead) refused();
          return;
        }
        const complete = (secrets: Uint8Array | null) => {
          this.following = null;
          deriveKeys(made, secret, { key: sa.keys!.get(SK_D), prf: prfOf(sa) }, secrets);
          this.decide(sa, made);
        };
        if (!follow) complete(null);
        else {
          this.following = follow.follow(sa, agreement.suite, message.notifyData(link), (secrets) => {
            if (secrets) complete(secrets);
            else refused();
          });
        }
      });
    }, refused);
  }

  private decide(sa: IkeSa, made: IkeSa): void {
    const rival = this.rival;
    if (rival && !rival.dead && lower(lowest(made.nonceI, made.nonceR), this.rivalNonce!)) {
      // The peer has replaced it as well, and ours is the one too many.
      inherit(sa, rival);
      adopt(sa, made);
      made.established = true;
      made.successor = rival;
      made.request(new Goodbye(0));
      sa.next();
      return;
    }
    inherit(sa, made);
    if (rival && !rival.dead) {
      rival.successor = made;
      sa.ike.stack.timers.set(rival.timer, (sa.ike.stack.now() + DELETE_AFTER) | 0);
    }
    sa.tasks.splice(0, sa.tasks.length);
    sa.tasks.push(new Goodbye(0));
    sa.next();
  }

  /** The peer has ended the old one: its own is the one that stays. */
  abort(sa: IkeSa): void {
    if (this.own) this.own.close();
    if (this.following) this.following.abort();
    this.own = null;
    this.following = null;
    const made = this.made;
    if (made && made !== sa.successor) {
      made.successor = sa;
      made.end(0, 0);
    }
    if (!sa.successor && this.rival && !this.rival.dead) inherit(sa, this.rival);
  }

  private fail(sa: IkeSa, code: number): void {
    this.abort(sa);
    if (!sa.successor) sa.rekeyLater(code === wire.TEMPORARY_FAILURE ? SHORT_PAUSE : PAUSE);
    sa.next();
  }
}

/** What a rekey offers: the suite that is agreed upon, as far as we can make it again. */
function offered(sa: IkeSa): number[] {
  const more = sa.ike.options.keyExchanges;
  return more && more.methods(sa.suite).length > 0 ? sa.suite : withoutAdditional(sa.suite);
}

/** What `made` has in common with `sa`. */
function adopt(sa: IkeSa, made: IkeSa): void {
  made.connection = sa.connection;
  made.local = sa.local;
  made.remote = sa.remote;
  made.localPort = sa.localPort;
  made.remotePort = sa.remotePort;
  made.natLocal = sa.natLocal;
  made.natRemote = sa.natRemote;
  made.encapsulate = sa.encapsulate;
  made.peer = sa.peer;
  made.fragments = sa.fragments;
  made.mobike = sa.mobike;
  made.others = sa.others;
  made.redirects = sa.redirects;
  made.hashes = sa.hashes;
}

/** `made` takes the place of `sa`: its children and what waits to be done are its own from now on. */
function inherit(sa: IkeSa, made: IkeSa): void {
  adopt(sa, made);
  made.addresses = sa.addresses;
  made.successor = null;
  sa.successor = made;
  while (sa.children.length > 0) {
    const child = sa.children.shift()!;
    child.sa = made;
    made.children.push(child);
  }
  made.establish(false);
  while (sa.tasks.length > 0) made.request(sa.tasks.shift()!);
  while (sa.wanted.length > 0) made.childLater(sa.wanted.shift()!, SHORT_PAUSE);
  sa.ike.stack.timers.set(sa.timer, (sa.ike.stack.now() + DELETE_AFTER) | 0);
}

/** Is this CREATE_CHILD_SA request about the IKE SA? */
export function isRekeyIke(message: Message): boolean {
  const sets = message.find(wire.PAYLOAD_SA);
  const body = message.body(sets);
  return body.length >= 8 && body[5] === wire.PROTOCOL_IKE;
}

/** The peer wants another IKE SA in the place of this one. */
export function answerRekeyIke(sa: IkeSa, message: Message, nonceI: Uint8Array): void {
  const refuse = (code: number, data?: Uint8Array) => sa.replyNotify(wire.CREATE_CHILD_SA, code, data);
  const proposals = parseProposals(message.body(message.find(wire.PAYLOAD_SA)));
  const share = message.find(wire.PAYLOAD_KE);
  const task = sa.task;
  // A child is being made, or it has been replaced already (section 2.25).
  if (sa.successor || task instanceof CreateChild) {
    refuse(wire.TEMPORARY_FAILURE);
    return;
  }
  if (!proposals || share < 0) {
    refuse(wire.INVALID_SYNTAX);
    return;
  }
  const body = message.body(share);
  const settings = sa.settings();
  const prefer = (wire.TRANSFORM_KE << 26) | get16(body, 0);
  const more = sa.ike.options.keyExchanges;
  const pick = (suites: number[][]) => choose(proposals, wire.PROTOCOL_IKE, wire.SPI_LENGTH, suites, prefer);
  // Who offers no additional key exchanges has what they gave in SK_d, of which the new keys come.
  const agreement = (more && pick(settings.suites)) || pick(settings.suites.map(withoutAdditional));
  if (!agreement) {
    refuse(wire.NO_PROPOSAL_CHOSEN);
    return;
  }
  const group = sa.ike.algorithms.in(agreement.suite, wire.TRANSFORM_KE)!;
  if (idOf(group.code) !== get16(body, 0)) {
    const number = new Uint8Array(2);
    number[0] = idOf(group.code) >> 8;
    number[1] = idOf(group.code);
    refuse(wire.INVALID_KE_PAYLOAD, number);
    return;
  }
  const follow = more && more.methods(agreement.suite).length > 0 ? more : null;
  if (follow && task instanceof RekeyIke) {
    refuse(wire.TEMPORARY_FAILURE);
    return;
  }
  if (sa.pending) sa.pending.abort();
  const refused = () => refuse(wire.INVALID_SYNTAX);
  sa.ike.guard(() => {
    sa.ike.crypto.respond!(group.name, body.subarray(4), (own, secret) => {
      if (sa.dead) return;
      const made = new IkeSa(sa.ike, sa.connection, false);
      const nonceR = sa.ike.random(32);
      if (!own || !secret || !nonceR || !sa.ike.addSa(made)) {
        refused();
        return;
      }
      made.spiI.set(agreement.spi, 0);
      made.suite = agreement.suite;
      made.nonceI = nonceI as Uint8Array<ArrayBuffer>;
      made.nonceR = nonceR as Uint8Array<ArrayBuffer>;
      const derive = (secrets: Uint8Array | null) =>
        deriveKeys(made, secret, { key: sa.keys!.get(SK_D), prf: prfOf(sa) }, secrets);
      const out = new Writer();
      emitProposals(out, wire.PROTOCOL_IKE, made.spiR, [agreement.suite], agreement.number);
      out.payload(wire.PAYLOAD_NONCE, nonceR);
      out.begin(wire.PAYLOAD_KE).put16(idOf(group.code)).put16(0).bytes(own);
      if (follow) {
        const complete = (secrets: Uint8Array) => {
          derive(secrets);
          inherit(sa, made);
        };
        const forget = () => {
          made.successor = sa;
          made.end(0, 0);
        };
        if (follow.expect(sa, agreement.suite, out, complete, forget)) sa.reply(wire.CREATE_CHILD_SA, out);
        else refused();
        return;
      }
      derive(null);
      sa.reply(wire.CREATE_CHILD_SA, out);
      if (task instanceof RekeyIke && sa.task === task) {
        // Both at once: which of the two stays is known when ours is answered.
        adopt(sa, made);
        made.established = true;
        made.successor = sa;
        task.rival = made;
        task.rivalNonce = lowest(nonceI, nonceR);
      } else inherit(sa, made);
    });
  }, refused);
}
