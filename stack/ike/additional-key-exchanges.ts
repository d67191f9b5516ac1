/**
 * Additional key exchanges (RFC 9370): ML-KEM beside X25519, say, so that who breaks one of the two has nothing. Each has an exchange of
 * its own between IKE_SA_INIT and IKE_AUTH (IKE_INTERMEDIATE, RFC 9242), in fragments where it is large; AUTH covers them all. A rekey of
 * the IKE SA has them again, and one of a child may (IKE_FOLLOWUP_KE).
 */
import { erase } from "../../hypercall/crypto.js";
import type { KeyExchange } from "../../hypercall/crypto.js";
import { get16, put16, put32 } from "../core/bytes.js";
import { EPROTO } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import { idOf, transform, typeOf } from "./algorithms.js";
import type { Algorithm } from "./algorithms.js";
import { deriveKeys, equal, hostFailed, prfOf } from "./derive.js";
import type { Following, KeyExchanges } from "./features.js";
import type { IkeSa, Task } from "./ike-sa.js";
import { SK_D, SK_PI, SK_PR, digest, join } from "./keys.js";
import { Writer, emitHeader } from "./message.js";
import type { Message } from "./message.js";

/** Bytes of what links an exchange to the rekey that it is of. */
const LINK = 16;
/** Header and generic header of the encrypted payload: all of a message that is not encrypted. */
const OUTSIDE = wire.IKE_HEADER + wire.PAYLOAD_HEADER;

class Additional implements KeyExchanges {
  announce(suites: number[][], out: Writer): void {
    for (let i = 0; i < suites.length; i++) {
      if (methods(suites[i]).length === 0) continue;
      out.notify(wire.INTERMEDIATE_SUPPORTED);
      return;
    }
  }

  possible(suite: number[], message: Message): boolean {
    const list = methods(suite);
    for (let i = 0; i < suite.length; i++)
      if (typeOf(suite[i]) === wire.TRANSFORM_KE) list.push(idOf(suite[i]));
    // No method twice (section 2.2.1): it would add nothing.
    for (let i = 0; i < list.length; i++) if (list.indexOf(list[i]) !== i) return false;
    return list.length < 2 || message.notify(wire.INTERMEDIATE_SUPPORTED) >= 0;
  }

  begin(sa: IkeSa): void {
    sa.steps = methods(sa.suite);
    if (sa.initiator) for (let i = 0; i < sa.steps.length; i++) sa.tasks.unshift(new Intermediate());
  }

  answer(sa: IkeSa, message: Message): void {
    const share = message.find(wire.PAYLOAD_KE);
    const method = sa.steps[0];
    const refused = () => {
      sa.ike.counters.malformed++;
      sa.replyNotify(wire.IKE_INTERMEDIATE, wire.INVALID_SYNTAX);
      sa.end(EPROTO, wire.INVALID_SYNTAX);
    };
    if (share < 0 || get16(message.body(share), 0) !== method) {
      refused();
      return;
    }
    sa.ike.guard(() => {
      sa.ike.crypto.respond!(nameOf(sa, method), message.body(share).subarray(4), (own, secret) => {
        if (sa.dead) return;
        if (!own || !secret) {
          refused();
          return;
        }
        const out = emitShare(method, own);
        coverReceived(sa, message);
        coverSent(sa, out, wire.FLAG_RESPONSE, sa.receiveId);
        sa.reply(wire.IKE_INTERMEDIATE, out);
        if (!sa.dead) advance(sa, secret);
      });
    }, refused);
  }

  methods(suite: number[]): number[] {
    return methods(suite);
  }

  follow(
    sa: IkeSa,
    suite: number[],
    link: Uint8Array,
    done: (secrets: Uint8Array | null) => void,
  ): Following {
    const made = new FollowUp(methods(suite), link, done);
    made.next(sa);
    return made;
  }

  expect(
    sa: IkeSa,
    suite: number[],
    out: Writer,
    done: (secrets: Uint8Array) => void,
    aborted: () => void,
  ): boolean {
    const link = sa.ike.random(LINK);
    if (!link) {
      aborted();
      return false;
    }
    sa.pending = new Expected(sa, methods(suite), link, done, aborted);
    out.notify(wire.ADDITIONAL_KEY_EXCHANGE, link);
    return true;
  }

  followed(sa: IkeSa, message: Message): void {
    const pending = sa.pending as Expected | null;
    const at = message.notify(wire.ADDITIONAL_KEY_EXCHANGE);
    if (!pending || at < 0 || !equal(pending.link, message.notifyData(at))) {
      sa.replyNotify(wire.IKE_FOLLOWUP_KE, wire.STATE_NOT_FOUND);
    } else pending.answer(message);
  }

  octets(sa: IkeSa): Uint8Array {
    const id = new Uint8Array(4);
    if (sa.proofI.length === 0) return sa.proofI;
    // The message ID of IKE_AUTH: each of the exchanges before it has had one.
    put32(id, 0, 1 + methods(sa.suite).length);
    return join([sa.proofI, sa.proofR, id]);
  }
}

/** The initiator's part of one. */
class Intermediate implements Task {
  private own: KeyExchange | null = null;

  start(sa: IkeSa): void {
    const refused = () => hostFailed(sa);
    sa.ike.guard(() => {
      sa.ike.crypto.exchange!(nameOf(sa, sa.steps[0]), (own) => {
        if (sa.dead) {
          if (own) own.close();
        } else if (own) {
          this.own = own;
          const out = emitShare(sa.steps[0], own.share);
          coverSent(sa, out, wire.FLAG_INITIATOR, sa.sendId);
          sa.send(wire.IKE_INTERMEDIATE, out);
        } else refused();
      });
    }, refused);
  }

  answer(sa: IkeSa, message: Message): void {
    const share = message.find(wire.PAYLOAD_KE);
    const own = this.own!;
    const refused = () => sa.end(EPROTO, message.error() || wire.INVALID_KE_PAYLOAD);
    if (share < 0 || get16(message.body(share), 0) !== sa.steps[0]) {
      refused();
      return;
    }
    coverReceived(sa, message);
    this.own = null;
    sa.ike.guard(() => {
      own.finish(message.body(share).subarray(4), (secret) => {
        if (sa.dead) return;
        if (!secret) {
          refused();
          return;
        }
        advance(sa, secret);
        sa.next();
      });
    }, refused);
  }

  abort(): void {
    if (this.own) this.own.close();
  }
}

/** Key exchanges after CREATE_CHILD_SA (IKE_FOLLOWUP_KE, RFC 9370 section 2.2.4), of who began the rekey. */
class FollowUp implements Following {
  private own: KeyExchange | null = null;
  private readonly secrets: Uint8Array[] = [];

  constructor(
    private readonly steps: number[],
    private link: Uint8Array,
    private readonly done: (secrets: Uint8Array | null) => void,
  ) {}

  next(sa: IkeSa): void {
    if (this.steps.length === 0) {
      this.done(joinSecrets(this.secrets));
      return;
    }
    const refused = () => hostFailed(sa);
    sa.ike.guard(() => {
      sa.ike.crypto.exchange!(nameOf(sa, this.steps[0]), (own) => {
        if (sa.dead) {
          if (own) own.close();
        } else if (own) {
          this.own = own;
          const out = emitShare(this.steps[0], own.share).notify(wire.ADDITIONAL_KEY_EXCHANGE, this.link);
          sa.send(wire.IKE_FOLLOWUP_KE, out);
        } else refused();
      });
    }, refused);
  }

  answer(sa: IkeSa, message: Message): void {
    const share = message.find(wire.PAYLOAD_KE);
    const link = message.notify(wire.ADDITIONAL_KEY_EXCHANGE);
    const own = this.own;
    const refused = () => this.fail();
    const last = this.steps.length === 1;
    if (!own || share < 0 || get16(message.body(share), 0) !== this.steps[0] || last === link >= 0) {
      refused();
      return;
    }
    this.own = null;
    if (!last) this.link = message.notifyData(link);
    sa.ike.guard(() => {
      own.finish(message.body(share).subarray(4), (secret) => {
        if (sa.dead) return;
        if (!secret) {
          refused();
          return;
        }
        this.secrets.push(secret);
        this.steps.shift();
        this.next(sa);
      });
    }, refused);
  }

  abort(): void {
    if (this.own) this.own.close();
    this.own = null;
    for (let i = 0; i < this.secrets.length; i++) erase(this.secrets[i]);
  }

  private fail(): void {
    this.abort();
    this.done(null);
  }
}

/** Those that the peer is to make. */
class Expected {
  private readonly secrets: Uint8Array[] = [];

  constructor(
    private readonly sa: IkeSa,
    private readonly steps: number[],
    /** What the next request must bring: it says which rekey it is of. */
    public link: Uint8Array,
    private readonly done: (secrets: Uint8Array) => void,
    private readonly aborted: () => void,
  ) {}

  answer(message: Message): void {
    const sa = this.sa;
    const share = message.find(wire.PAYLOAD_KE);
    const refused = () => {
      sa.ike.counters.malformed++;
      this.abort();
      sa.replyNotify(wire.IKE_FOLLOWUP_KE, wire.INVALID_SYNTAX);
    };
    const method = this.steps[0];
    if (share < 0 || get16(message.body(share), 0) !== method) {
      refused();
      return;
    }
    sa.ike.guard(() => {
      sa.ike.crypto.respond!(nameOf(sa, method), message.body(share).subarray(4), (own, secret) => {
        if (sa.dead) return;
        const link = sa.ike.random(LINK);
        if (!own || !secret || !link || sa.pending !== this) {
          refused();
          return;
        }
        this.secrets.push(secret);
        this.steps.shift();
        this.link = link;
        const out = emitShare(method, own);
        const last = this.steps.length === 0;
        if (!last) out.notify(wire.ADDITIONAL_KEY_EXCHANGE, link);
        sa.reply(wire.IKE_FOLLOWUP_KE, out);
        if (!last || sa.dead) return;
        sa.pending = null;
        this.done(joinSecrets(this.secrets));
      });
    }, refused);
  }

  abort(): void {
    if (this.sa.pending !== this) return;
    this.sa.pending = null;
    for (let i = 0; i < this.secrets.length; i++) erase(this.secrets[i]);
    this.aborted();
  }
}

/** All in one; each of them is erased. */
function joinSecrets(secrets: Uint8Array[]): Uint8Array {
  const all = join(secrets);
  for (let i = 0; i < secrets.length; i++) erase(secrets[i]);
  return all;
}

/** The methods of a suite's additional key exchanges, in their order. */
function methods(suite: number[]): number[] {
  const list: number[] = [];
  for (let type = wire.TRANSFORM_ADDKE1; type < wire.TRANSFORM_ADDKE1 + 7; type++) {
    for (let i = 0; i < suite.length; i++) {
      if (typeOf(suite[i]) === type && idOf(suite[i]) !== 0) list.push(idOf(suite[i]));
    }
  }
  return list;
}

function nameOf(sa: IkeSa, method: number): string {
  return (sa.ike.algorithms.of(transform(wire.TRANSFORM_KE, 0, method)) as Algorithm).name;
}

function emitShare(method: number, share: Uint8Array): Writer {
  return new Writer().begin(wire.PAYLOAD_KE).put16(method).put16(0).bytes(share).end();
}

/** All keys anew, of SK_d and the secret (RFC 9370 section 2.2.2). */
function advance(sa: IkeSa, secret: Uint8Array): void {
  sa.steps.shift();
  sa.ike.guard(
    () => deriveKeys(sa, secret, { key: sa.keys!.get(SK_D), prf: prfOf(sa) }),
    () => hostFailed(sa),
  );
}

function coverSent(sa: IkeSa, chain: Writer, flags: number, id: number): void {
  const header = new Uint8Array(OUTSIDE);
  emitHeader(header, sa.spiI, sa.spiR, wire.PAYLOAD_SK, wire.IKE_INTERMEDIATE, flags, id);
  cover(sa, sa.initiator, header, chain.first, chain.data.subarray(0, chain.length));
}

function coverReceived(sa: IkeSa, message: Message): void {
  const header = new Uint8Array(OUTSIDE);
  header.set(message.raw.subarray(0, wire.IKE_HEADER), 0);
  header[wire.IKE_NEXT] = wire.PAYLOAD_SK;
  cover(sa, !sa.initiator, header, message.first, message.inner);
}

/**
 * IntAuth (RFC 9242 section 3.3.2), one more message of a side: as it would be if nothing were encrypted, whole, and without IV, padding
 * and tag.
 */
function cover(sa: IkeSa, ofInitiator: boolean, header: Uint8Array, first: number, inner: Uint8Array): void {
  put32(header, wire.IKE_LENGTH, OUTSIDE + inner.length);
  header[wire.IKE_HEADER] = first;
  put16(header, wire.IKE_HEADER + 2, wire.PAYLOAD_HEADER + inner.length);
  const key = sa.keys!.get(ofInitiator ? SK_PI : SK_PR);
  const before = ofInitiator ? sa.proofI : sa.proofR;
  const proof = digest(sa.ike.crypto, prfOf(sa), key, [before, header, inner]) as Uint8Array<ArrayBuffer>;
  if (ofInitiator) sa.proofI = proof;
  else sa.proofR = proof;
}

/**
 * Makes the key exchanges that proposals name `ke1_` to `ke7_`: `ike({ keyExchanges: additionalKeyExchanges() })`, then
 * `proposals: ["aes256gcm16-prfsha384-x25519-ke1_mlkem768"]`; with `-ke1_none` as well, the peer may do without.
 */
export function additionalKeyExchanges(): KeyExchanges {
  return new Additional();
}
