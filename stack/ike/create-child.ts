/**
 * CREATE_CHILD_SA for child SAs (RFC 7296 sections 1.3.1, 1.3.3, 2.8): another one, or one in the place of another; both at once. More key
 * exchanges may follow before it is there (RFC 9370 section 2.2.4).
 */
import { erase } from "../../hypercall/crypto.js";
import { get16, get32 } from "../core/bytes.js";
import { EPROTO } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import { idOf, transform, typeOf } from "./algorithms.js";
import {
  Offer,
  acceptChild,
  agreeChild,
  agreedSuite,
  emitOffer,
  grantChild,
  keepChild,
  promiseChild,
} from "./child.js";
import type { Wanted } from "./child.js";
import type { ChildSa } from "./child-sa.js";
import type { ChildSettings } from "./configuration.js";
import { CHILD_FAILED } from "./connection.js";
import { hostFailed } from "./derive.js";
import { DeleteChild } from "./exchanges.js";
import type { Following, KeyExchanges } from "./features.js";
import type { IkeSa, Task } from "./ike-sa.js";
import { Writer } from "./message.js";
import type { Message } from "./message.js";
import { RekeyIke, answerRekeyIke, isRekeyIke } from "./rekey-ike.js";

/** After TEMPORARY_FAILURE, ms; and after any other failure of a rekey. */
const SHORT_PAUSE = 2000;
const PAUSE = 30000;
/** What has been replaced the peer deletes; after this many ms we do. */
const DELETE_AFTER = 30000;
/** Child SAs of one IKE SA at most. */
const CHILDREN = 64;

/** True when `a` is before `b`, as numbers (section 2.8.1). */
export function lower(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] < b[i];
  return a.length < b.length;
}

export function lowest(a: Uint8Array, b: Uint8Array): Uint8Array {
  return lower(a, b) ? a : b;
}

export class CreateChild implements Task {
  /** The lower nonce of the peer's exchange that replaces the same child at the same time, or null. */
  rival: Uint8Array | null = null;
  private offer: Offer | null = null;
  private nonce: Uint8Array | null = null;
  private group = 0;
  private retries = 0;
  private following: Following | null = null;

  constructor(
    private readonly settings: ChildSettings,
    readonly replaces: ChildSa | null,
  ) {}

  start(sa: IkeSa): void {
    const old = this.replaces;
    if (sa.successor || (old && (old.ending || old.successor || sa.children.indexOf(old) < 0))) {
      sa.next();
      return;
    }
    if (old && sa.pending) {
      // The peer has begun to replace a child, and is not done yet: this one, perhaps.
      sa.ike.stack.timers.set(old.timer, sa.ike.soon(SHORT_PAUSE));
      sa.next();
      return;
    }
    this.group = firstGroup(this.settings.suites);
    this.begin(sa);
  }

  private begin(sa: IkeSa): void {
    this.nonce = sa.ike.random(32);
    this.offer = new Offer(sa, this.settings, this.replaces);
    const algorithm = this.group ? sa.ike.algorithms.of(this.group) : null;
    if (!this.nonce) hostFailed(sa);
    else if (!algorithm) this.send(sa);
    else {
      const refused = () => hostFailed(sa);
      sa.ike.guard(() => {
        sa.ike.crypto.exchange!(algorithm.name, (own) => {
          if (sa.dead || !own) {
            if (own) own.close();
            else refused();
            return;
          }
          this.offer!.exchange = own;
          this.send(sa);
        });
      }, refused);
    }
  }

  private send(sa: IkeSa): void {
    const out = new Writer();
    const offer = this.offer!;
    const own = offer.exchange;
    if (this.replaces) out.notifySpi(wire.REKEY_SA, wire.PROTOCOL_ESP, this.replaces.spiIn);
    const between = () => {
      out.payload(wire.PAYLOAD_NONCE, this.nonce!);
      if (own) out.begin(wire.PAYLOAD_KE).put16(idOf(this.group)).put16(0).bytes(own.share);
    };
    if (emitOffer(offer, out, false, between)) sa.send(wire.CREATE_CHILD_SA, out);
    else {
      if (own) own.close();
      this.fail(sa, wire.NO_PROPOSAL_CHOSEN);
    }
  }

  answer(sa: IkeSa, message: Message): void {
    if (this.following) {
      this.following.answer(sa, message);
      return;
    }
    const own = this.offer!.exchange;
    const nonce = message.find(wire.PAYLOAD_NONCE);
    if (nonce < 0) {
      const invalid = message.notify(wire.INVALID_KE_PAYLOAD);
      const data = invalid < 0 ? null : message.notifyData(invalid);
      const group = data && data.length >= 2 ? transform(wire.TRANSFORM_KE, 0, get16(data, 0)) : 0;
      if (own) own.close();
      if (
        group &&
        group !== this.group &&
        this.settings.suites[0].indexOf(group) >= 0 &&
        this.retries++ < 3
      ) {
        this.group = group;
        this.begin(sa);
      } else this.fail(sa, message.error() || wire.INVALID_SYNTAX);
      return;
    }
    const share = message.find(wire.PAYLOAD_KE);
    const nonceR = message.body(nonce);
    if (!own) this.finish(sa, message, null, nonceR);
    else if (share < 0 || get16(message.body(share), 0) !== idOf(this.group)) {
      own.close();
      this.fail(sa, wire.INVALID_SYNTAX);
    } else {
      const refused = () => this.fail(sa, wire.INVALID_KE_PAYLOAD);
      sa.ike.guard(() => {
        own.finish(message.body(share).subarray(4), (secret) => {
          if (sa.dead) return;
          if (secret) this.follow(sa, message, secret, nonceR);
          else refused();
        });
      }, refused);
    }
  }

  abort(): void {
    const own = this.offer && this.offer.exchange;
    if (own) own.close();
    if (this.following) this.following.abort();
    this.following = null;
  }

  /** Makes the key exchanges that are to follow, if any. */
  private follow(sa: IkeSa, message: Message, secret: Uint8Array, nonceR: Uint8Array): void {
    const agreement = agreedSuite(this.offer!, message);
    const more = agreement && followed(sa, agreement.suite);
    const link = message.notify(wire.ADDITIONAL_KEY_EXCHANGE);
    if (!agreement || !more) this.finish(sa, message, secret, nonceR);
    else if (link < 0 || isTwice(sa, agreement.suite)) {
      erase(secret);
      this.fail(sa, wire.INVALID_SYNTAX);
    } else {
      this.following = more.follow(sa, agreement.suite, message.notifyData(link), (secrets) => {
        this.following = null;
        if (secrets) this.finish(sa, message, secret, nonceR, secrets);
        else {
          erase(secret);
          this.fail(sa, wire.INVALID_KE_PAYLOAD);
        }
      });
    }
  }

  private finish(
    sa: IkeSa,
    message: Message,
    secret: Uint8Array | null,
    nonceR: Uint8Array,
    secrets: Uint8Array | null = null,
  ): void {
    const old = this.replaces;
    const code = acceptChild(this.offer!, message, secret, this.nonce!, nonceR, secrets);
    if (code !== 0) {
      this.fail(sa, code);
      return;
    }
    const made = sa.children[sa.children.length - 1];
    if (old && this.rival && lower(lowest(this.nonce!, nonceR), this.rival)) {
      // The peer has replaced it as well, and ours is the one too many.
      sa.tasks.unshift(new DeleteChild(made));
    } else if (old) {
      old.successor = made;
      sa.tasks.unshift(new DeleteChild(old));
    }
    sa.next();
  }

  private fail(sa: IkeSa, code: number): void {
    const old = this.replaces;
    const timers = sa.ike.stack.timers;
    if (old && sa.children.indexOf(old) >= 0 && !old.successor) {
      if (code === wire.CHILD_SA_NOT_FOUND) {
        // The peer has lost it: it is made anew.
        sa.ike.dropChild(old);
        sa.tasks.unshift(new CreateChild(this.settings, null));
      } else {
        timers.set(old.timer, sa.ike.soon(code === wire.TEMPORARY_FAILURE ? SHORT_PAUSE : PAUSE));
      }
    } else if (!old && code === wire.TEMPORARY_FAILURE) sa.childLater(this.settings, SHORT_PAUSE);
    else if (!old) sa.connection!.tell(CHILD_FAILED, EPROTO, code);
    sa.next();
  }
}

/** Has the suite a method twice (RFC 9370 section 2.2.1)? It would add nothing. */
function isTwice(sa: IkeSa, suite: number[]): boolean {
  const more = followed(sa, suite);
  const list = more ? more.methods(suite) : [];
  list.push(idOf(firstGroup([suite])));
  for (let i = 0; i < list.length; i++) if (list.indexOf(list[i]) !== i) return true;
  return false;
}

/** Who makes the key exchanges that follow by this suite; null: there are none. */
function followed(sa: IkeSa, suite: number[]): KeyExchanges | null {
  const more = sa.ike.options.keyExchanges;
  return more && more.methods(suite).length > 0 ? more : null;
}

function firstGroup(suites: number[][]): number {
  for (let i = 0; i < suites[0].length; i++) {
    if (typeOf(suites[0][i]) === wire.TRANSFORM_KE) return suites[0][i];
  }
  return 0;
}

/** Its time has come: it is replaced, or, where it has been, deleted. */
export function rekeyChild(child: ChildSa): void {
  const sa = child.sa;
  if (child.successor) sa.request(new DeleteChild(child));
  else sa.request(new CreateChild(child.settings, child));
}

/** The peer's CREATE_CHILD_SA request. */
export function answerCreateChild(sa: IkeSa, message: Message): void {
  const refuse = (code: number, data?: Uint8Array) => sa.replyNotify(wire.CREATE_CHILD_SA, code, data);
  const nonce = message.find(wire.PAYLOAD_NONCE);
  if (message.find(wire.PAYLOAD_SA) < 0 || nonce < 0) {
    refuse(wire.INVALID_SYNTAX);
    return;
  }
  if (isRekeyIke(message)) {
    answerRekeyIke(sa, message, message.body(nonce));
    return;
  }
  // The IKE SA is going, or is about to (section 2.25.2).
  if (sa.successor || sa.task instanceof RekeyIke) {
    refuse(wire.TEMPORARY_FAILURE);
    return;
  }
  const rekey = message.notify(wire.REKEY_SA);
  let old: ChildSa | null = null;
  if (rekey >= 0) {
    const at = message.starts[rekey];
    const spi = message.data[at + 1] === 4 ? get32(message.data, at + 4) : 0;
    for (let i = 0; i < sa.children.length; i++) if (sa.children[i].spiOut === spi) old = sa.children[i];
    if (!old) {
      sa.reply(wire.CREATE_CHILD_SA, new Writer().notifySpi(wire.CHILD_SA_NOT_FOUND, message.data[at], spi));
      return;
    }
  }
  const full = sa.children.length >= CHILDREN;
  if (full || (old && (old.ending || old.successor))) {
    refuse(full ? wire.NO_PROPOSAL_CHOSEN : wire.TEMPORARY_FAILURE);
    return;
  }
  const wanted = agreeChild(sa, message, old, false);
  if (typeof wanted === "number") {
    refuse(wanted);
    return;
  }
  const suite = wanted.agreement.suite;
  const more = followed(sa, suite);
  if (sa.pending) sa.pending.abort();
  if (isTwice(sa, suite)) {
    refuse(wire.NO_PROPOSAL_CHOSEN);
    return;
  }
  // Both at once would have to go on side by side: one of the two is first, a little later.
  if (more && sa.task instanceof CreateChild && old && sa.task.replaces === old) {
    refuse(wire.TEMPORARY_FAILURE);
    return;
  }
  const kinds = suite.filter((code) => typeOf(code) === wire.TRANSFORM_KE);
  const group = kinds.length > 0 ? idOf(kinds[0]) : 0;
  const share = message.find(wire.PAYLOAD_KE);
  if (group === 0) {
    grant(sa, message, wanted, old, null, null, 0);
    return;
  }
  if (share < 0 || get16(message.body(share), 0) !== group) {
    const number = new Uint8Array(2);
    number[0] = group >> 8;
    number[1] = group;
    refuse(wire.INVALID_KE_PAYLOAD, number);
    return;
  }
  const refused = () => refuse(wire.INVALID_SYNTAX);
  sa.ike.guard(() => {
    sa.ike.crypto.respond!(
      sa.ike.algorithms.of(kinds[0])!.name,
      message.body(share).subarray(4),
      (own, secret) => {
        if (sa.dead) return;
        if (own && secret) grant(sa, message, wanted, old, own, secret, group, more);
        else refused();
      },
    );
  }, refused);
}

function grant(
  sa: IkeSa,
  message: Message,
  wanted: Wanted,
  old: ChildSa | null,
  share: Uint8Array | null,
  secret: Uint8Array | null,
  group: number,
  more: KeyExchanges | null = null,
): void {
  const nonceI = message.body(message.find(wire.PAYLOAD_NONCE));
  const nonceR = sa.ike.random(32);
  const out = new Writer();
  if (!nonceR) {
    hostFailed(sa);
    return;
  }
  const between = () => {
    out.payload(wire.PAYLOAD_NONCE, nonceR);
    if (share) out.begin(wire.PAYLOAD_KE).put16(group).put16(0).bytes(share);
  };
  const made = more
    ? promiseChild(sa, wanted, out, between)
    : grantChild(sa, wanted, old, secret, nonceI, nonceR, out, between);
  if (!made) {
    sa.replyNotify(wire.CREATE_CHILD_SA, wire.NO_PROPOSAL_CHOSEN);
    return;
  }
  if (more) {
    const complete = (secrets: Uint8Array): void => {
      const place = old && sa.children.indexOf(old) >= 0 && !old.successor ? old : null;
      // The peer believes that it is there: where it cannot be, or is one too many by now, it is told.
      if (!keepChild(made, wanted, place, secret, nonceI, nonceR, secrets))
        sa.request(new DeleteChild(made, true));
      else if (place) replaced(place, made);
    };
    const forget = (): void => erase(secret!);
    if (more.expect(sa, wanted.agreement.suite, out, complete, forget)) sa.reply(wire.CREATE_CHILD_SA, out);
    else sa.replyNotify(wire.CREATE_CHILD_SA, wire.TEMPORARY_FAILURE);
    return;
  }
  const task = sa.task;
  if (old) {
    replaced(old, made);
    if (task instanceof CreateChild && task.replaces === old) task.rival = lowest(nonceI, nonceR);
  }
  sa.reply(wire.CREATE_CHILD_SA, out);
}

/** The peer is to delete the old one. */
function replaced(old: ChildSa, made: ChildSa): void {
  old.successor = made;
  old.sa.ike.stack.timers.set(old.timer, (old.sa.ike.stack.now() + DELETE_AFTER) | 0);
}
