/** The initiator's first two exchanges (RFC 7296 sections 1.2, 2.6, 2.7): IKE_SA_INIT, with cookies and another group; IKE_AUTH. */
import type { KeyExchange } from "../../hypercall/crypto.js";
import { get16 } from "../core/bytes.js";
import { EACCES, EIO, ENETUNREACH, ENOBUFS, EPROTO } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import { idOf, transform, typeOf } from "./algorithms.js";
import { Offer, acceptChild, emitOffer } from "./child.js";
import { CHILD_FAILED } from "./connection.js";
import {
  deriveKeys,
  detectNat,
  emitNatDetection,
  equal,
  forgetAuthKeys,
  hostFailed,
  pskAuth,
  signedOctets,
} from "./derive.js";
import { CreateChild, Goodbye, askedToProve } from "./exchanges.js";
import { identityBody, parseIdentity, readIdentity, sameIdentity } from "./identity.js";
import type { Identity } from "./identity.js";
import type { IkeSa, Task } from "./ike-sa.js";
import { Writer, emitPlain } from "./message.js";
import type { Message } from "./message.js";
import { accepted, emitProposals, parseProposals } from "./proposals.js";

/** Cookies and other groups that a peer may want before we give up. */
const RETRIES = 4;
const LONGEST_COOKIE = 64;

/** Begins `sa`, which is the connection's. */
export function begin(sa: IkeSa): void {
  const ike = sa.ike;
  const settings = sa.settings();
  sa.remote = sa.connection!.gateway || settings.remote;
  // Where another gateway has sent us may be of the other family.
  const six = sa.remote.indexOf(":") >= 0;
  const fits = settings.local && six === settings.local.indexOf(":") >= 0;
  sa.local = fits ? settings.local : ike.ports.localFor(sa.remote);
  const nonce = ike.random(32);
  if (!sa.local) sa.end(ENETUNREACH, 0);
  else if (!nonce) sa.end(EIO, 0);
  else if (!ike.addSa(sa)) sa.end(ENOBUFS, 0);
  else {
    sa.nonceI = nonce as Uint8Array<ArrayBuffer>;
    sa.group = firstGroup(settings.suites);
    sa.request(new Init());
  }
}

function firstGroup(suites: number[][]): number {
  for (let i = 0; i < suites[0].length; i++) {
    if (typeOf(suites[0][i]) === wire.TRANSFORM_KE) return suites[0][i];
  }
  return 0;
}

class Init implements Task {
  start(sa: IkeSa): void {
    const algorithm = sa.ike.algorithms.of(sa.group);
    const refused = () => hostFailed(sa);
    sa.ike.guard(() => {
      sa.ike.crypto.exchange!(algorithm!.name, (own: KeyExchange | null) => {
        if (sa.dead) {
          if (own) own.close();
        } else if (own) {
          sa.exchange = own;
          this.send(sa);
        } else refused();
      });
    }, refused);
  }

  private send(sa: IkeSa): void {
    const ike = sa.ike;
    const settings = sa.settings();
    const out = new Writer();
    const none = new Uint8Array(0);
    if (sa.cookie) out.notify(wire.COOKIE, sa.cookie);
    emitProposals(out, wire.PROTOCOL_IKE, none, settings.suites);
    out.begin(wire.PAYLOAD_KE).put16(idOf(sa.group)).put16(0).bytes(sa.exchange!.share);
    out.payload(wire.PAYLOAD_NONCE, sa.nonceI);
    emitNatDetection(sa, out);
    if (ike.options.fragmentation) out.notify(wire.FRAGMENTATION_SUPPORTED);
    if (settings.auth) settings.auth.announce(ike, out, false);
    if (settings.ppk) out.notify(wire.USE_PPK);
    if (ike.options.keyExchanges) ike.options.keyExchanges.announce(settings.suites, out);
    if (ike.options.redirection) ike.options.redirection.announce(sa, out);
    sa.first = emitPlain(
      sa.spiI,
      sa.spiR,
      wire.IKE_SA_INIT,
      wire.FLAG_INITIATOR,
      0,
      out,
    ) as Uint8Array<ArrayBuffer>;
    sa.sendPackets(wire.IKE_SA_INIT, [sa.first]);
  }

  answer(sa: IkeSa, message: Message): void {
    const cookie = message.notify(wire.COOKIE);
    const invalid = message.notify(wire.INVALID_KE_PAYLOAD);
    const sets = message.find(wire.PAYLOAD_SA);
    const redirection = sa.ike.options.redirection;
    if (sets < 0 && redirection && redirection.answered(sa, message, true)) return;
    if (sets < 0 && cookie >= 0) {
      const data = message.notifyData(cookie);
      if (data.length < 1 || data.length > LONGEST_COOKIE || ++sa.retries > RETRIES) return;
      sa.cookie = data;
      sa.answered();
      this.send(sa);
    } else if (sets < 0 && invalid >= 0) {
      const data = message.notifyData(invalid);
      const group = data.length < 2 ? 0 : transform(wire.TRANSFORM_KE, 0, get16(data, 0));
      if (group === sa.group || !offers(sa.settings().suites, group) || ++sa.retries > RETRIES) return;
      sa.group = group;
      sa.answered();
      sa.exchange!.close();
      this.start(sa);
    } else if (sets < 0) {
      // Nobody has signed it; but who sent it has seen our SPI.
      const error = message.error();
      if (error !== 0) sa.end(EPROTO, error);
      else sa.ike.counters.malformed++;
    } else this.agree(sa, message, sets);
  }

  private agree(sa: IkeSa, message: Message, sets: number): void {
    const ike = sa.ike;
    const share = message.find(wire.PAYLOAD_KE);
    const nonce = message.find(wire.PAYLOAD_NONCE);
    const proposals = parseProposals(message.body(sets));
    const spi = message.raw.subarray(wire.IKE_SPI_R, wire.IKE_SPI_R + wire.SPI_LENGTH);
    let zero = 0;
    for (let i = 0; i < spi.length; i++) zero |= spi[i];
    if (share < 0 || nonce < 0 || !proposals || zero === 0) {
      ike.counters.malformed++;
      return;
    }
    const agreement = accepted(proposals, wire.PROTOCOL_IKE, 0, sa.settings().suites);
    const body = message.body(share);
    const more = ike.options.keyExchanges;
    if (
      !agreement ||
      agreement.suite.indexOf(sa.group) < 0 ||
      get16(body, 0) !== idOf(sa.group) ||
      (more && !more.possible(agreement.suite, message))
    ) {
      sa.end(EPROTO, wire.NO_PROPOSAL_CHOSEN);
      return;
    }
    sa.answered();
    sa.sendId = 1;
    sa.spiR.set(spi, 0);
    sa.suite = agreement.suite;
    sa.nonceR = message.body(nonce) as Uint8Array<ArrayBuffer>;
    sa.second = message.raw as Uint8Array<ArrayBuffer>;
    learn(sa, message);
    const ppk = sa.settings().ppk;
    if (message.notify(wire.USE_PPK) >= 0) sa.ppk = ppk;
    else if (ppk && ppk.required) {
      sa.end(EACCES, 0);
      return;
    }
    if (detectNat(sa, message) && (sa.encapsulate || ike.options.mobility)) {
      sa.localPort = sa.remotePort = wire.IKE_NAT_PORT;
    }
    const refused = () => sa.end(EPROTO, wire.INVALID_KE_PAYLOAD);
    ike.guard(() => {
      sa.exchange!.finish(body.subarray(4), (secret) => {
        if (sa.dead) return;
        sa.exchange = null;
        if (!secret) refused();
        else {
          ike.guard(
            () => {
              deriveKeys(sa, secret, null);
              sa.tasks.unshift(new Authenticate());
              if (more) more.begin(sa);
              sa.next();
            },
            () => hostFailed(sa),
          );
        }
      });
    }, refused);
  }
}

function offers(suites: number[][], code: number): boolean {
  for (let i = 0; i < suites.length; i++) if (suites[i].indexOf(code) >= 0) return true;
  return false;
}

/** What the peer says it can do, in IKE_SA_INIT. */
export function learn(sa: IkeSa, message: Message): void {
  sa.fragments = message.notify(wire.FRAGMENTATION_SUPPORTED) >= 0 && !!sa.ike.options.fragmentation;
  const hashes = message.notify(wire.SIGNATURE_HASH_ALGORITHMS);
  if (hashes < 0) return;
  const data = message.notifyData(hashes);
  for (let i = 0; i + 1 < data.length; i += 2) {
    const hash = get16(data, i);
    if (hash < 16) sa.hashes |= 1 << hash;
  }
}

class Authenticate implements Task {
  private identity: Identity | null = null;
  private offer: Offer | null = null;
  /** Keys as they are without `sa.ppk`, until it is known whether the peer has it. */
  private former: Uint8Array[] | null = null;

  start(sa: IkeSa): void {
    const ppk = sa.ppk;
    const identity = (this.identity = sa.settings().identity || parseIdentity(sa.local, "identity"));
    // Who may do without is given a proof without (RFC 8784 section 3).
    const plain = ppk && !ppk.required ? signedOctets(sa, true, identity) : null;
    if (ppk) this.former = ppk.mix(sa);
    this.prove(sa, signedOctets(sa, true, identity), (auth) => {
      if (plain) this.prove(sa, plain, (other) => this.send(sa, auth, other));
      else this.send(sa, auth, null);
    });
  }

  private prove(sa: IkeSa, octets: Uint8Array, done: (auth: Uint8Array) => void): void {
    const settings = sa.settings();
    if (settings.psk) done(pskBody(pskAuth(sa, settings.psk, octets)));
    else {
      const refused = () => sa.end(EACCES, 0);
      sa.ike.guard(() => {
        settings.auth!.sign(sa, octets, (auth) => {
          if (sa.dead) return;
          if (auth) done(auth);
          else refused();
        });
      }, refused);
    }
  }

  private send(sa: IkeSa, auth: Uint8Array, plain: Uint8Array | null): void {
    const ike = sa.ike;
    const settings = sa.settings();
    const out = new Writer();
    out.payload(wire.PAYLOAD_IDI, identityBody(this.identity!));
    if (settings.auth) settings.auth.present(sa, out);
    if (settings.remoteIdentity && settings.remote && sa.connection!.options.remoteIdentity !== undefined) {
      out.payload(wire.PAYLOAD_IDR, identityBody(settings.remoteIdentity));
    }
    out.payload(wire.PAYLOAD_AUTH, auth);
    if (!sa.connection!.renews(sa)) out.notify(wire.INITIAL_CONTACT);
    if (ike.options.addresses && settings.children.length > 0) ike.options.addresses.request(sa, out);
    if (settings.children.length > 0) {
      this.offer = new Offer(sa, settings.children[0], null);
      this.offer.virtual = !!ike.options.addresses;
      if (!emitOffer(this.offer, out, true)) {
        sa.end(EIO, 0);
        return;
      }
    }
    if (ike.options.mobility) ike.options.mobility.announce(sa, out);
    if (sa.ppk) out.notify(wire.PPK_IDENTITY, sa.ppk.name);
    if (plain) out.notify(wire.NO_PPK_AUTH, plain.subarray(4));
    sa.send(wire.IKE_AUTH, out);
  }

  abort(sa: IkeSa): void {
    if (this.former) sa.ppk!.restore(sa, this.former, true);
    this.former = null;
  }

  answer(sa: IkeSa, message: Message): void {
    const settings = sa.settings();
    const error = message.error();
    const id = message.find(wire.PAYLOAD_IDR);
    const auth = message.find(wire.PAYLOAD_AUTH);
    if (id < 0 || auth < 0) {
      sa.end(error === wire.AUTHENTICATION_FAILED ? EACCES : EPROTO, error);
      return;
    }
    const identity = readIdentity(message.body(id));
    // By default the one with the address where we are now.
    const wanted =
      sa.connection!.options.remoteIdentity === undefined
        ? parseIdentity(sa.remote, "remote")
        : settings.remoteIdentity;
    if (!identity || !sameIdentity(identity, wanted as Identity)) {
      this.refuse(sa);
      return;
    }
    sa.peer = identity;
    if (this.former) {
      const used = message.notify(wire.PPK_IDENTITY) >= 0;
      sa.ppk!.restore(sa, this.former, used);
      this.former = null;
      if (!used && sa.ppk!.required) {
        this.refuse(sa);
        return;
      }
    }
    const octets = signedOctets(sa, false, identity);
    const judge = (good: boolean) => {
      if (sa.dead) return;
      if (good) this.finish(sa, message);
      else this.refuse(sa);
    };
    if (settings.psk) judge(isPsk(sa, settings.psk, octets, message.body(auth)));
    else {
      sa.ike.guard(
        () => settings.auth!.verify(sa, message, identity, octets, judge),
        () => judge(false),
      );
    }
  }

  /** The peer has not proven who it is. It is told so (RFC 7296 section 2.21.2). */
  private refuse(sa: IkeSa): void {
    this.abort(sa);
    sa.ike.counters.failed++;
    sa.tasks.splice(0, sa.tasks.length);
    sa.tasks.push(new Goodbye(EACCES, wire.AUTHENTICATION_FAILED));
    sa.next();
  }

  private finish(sa: IkeSa, message: Message): void {
    const ike = sa.ike;
    const settings = sa.settings();
    const connection = sa.connection!;
    forgetAuthKeys(sa);
    if (ike.options.redirection && ike.options.redirection.answered(sa, message, false)) {
      sa.next();
      return;
    }
    if (ike.options.mobility) ike.options.mobility.input(sa, message, null, null);
    if (ike.options.addresses) ike.options.addresses.take(sa, message);
    sa.establish(true);
    askedToProve(sa, message);
    if (this.offer) {
      const code = acceptChild(this.offer, message, null, sa.nonceI, sa.nonceR);
      if (code !== 0) connection.tell(CHILD_FAILED, EPROTO, code);
    }
    for (let i = 1; i < settings.children.length; i++)
      sa.request(new CreateChild(settings.children[i], null));
    sa.next();
  }
}

/** The body of an AUTH payload by a shared secret. */
export function pskBody(auth: Uint8Array): Uint8Array {
  const body = new Uint8Array(4 + auth.length);
  body[0] = wire.AUTH_SHARED_KEY;
  body.set(auth, 4);
  return body;
}

/** Is `body` of an AUTH payload the proof that the peer knows `psk`? */
export function isPsk(sa: IkeSa, psk: Uint8Array, octets: Uint8Array, body: Uint8Array): boolean {
  const good = equal(pskAuth(sa, psk, octets), body.subarray(4));
  return good && body[0] === wire.AUTH_SHARED_KEY;
}
