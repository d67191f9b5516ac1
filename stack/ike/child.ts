/** Child SAs (RFC 7296 sections 1.3.1, 2.9, 2.17): offered, answered, keyed, and handed to whoever encrypts. */
import type { KeyExchange } from "../../hypercall/crypto.js";
import { erase } from "../../hypercall/crypto.js";
import { get32, put32 } from "../core/bytes.js";
import * as wire from "../wire/ike.js";
import { transform, typeOf, withoutAdditional } from "./algorithms.js";
import type { Algorithm } from "./algorithms.js";
import { ChildSa } from "./child-sa.js";
import type { ChildKey } from "./child-sa.js";
import type { ChildSettings } from "./configuration.js";
import { prfOf } from "./derive.js";
import { rekeyChild } from "./exchanges.js";
import type { IkeSa } from "./ike-sa.js";
import { SK_D, cut, expand, join } from "./keys.js";
import type { Message, Writer } from "./message.js";
import { accepted, choose, emitProposals, parseProposals } from "./proposals.js";
import type { Agreement } from "./proposals.js";
import { addressBytes, emitSelectors, narrow, parseSelectors, prefixSelector, within } from "./selectors.js";
import type { Selector } from "./selectors.js";

/** What we have offered of a child SA. */
export class Offer {
  readonly spi = new Uint8Array(4);
  /** Of CREATE_CHILD_SA. */
  exchange: KeyExchange | null = null;
  group = 0;
  /** We ask for a virtual address: whatever it will be. */
  virtual = false;
  suites: number[][];
  local: Selector[] = [];
  remote: Selector[] = [];

  constructor(
    readonly sa: IkeSa,
    readonly settings: ChildSettings,
    /** The child that it is to replace, or null. */
    readonly replaces: ChildSa | null,
  ) {
    this.suites = settings.suites;
  }
}

/** Our side's selectors, and the peer's, as configured. */
function localSelectors(sa: IkeSa, settings: ChildSettings): Selector[] {
  if (settings.local) return settings.local;
  if (sa.initiator && sa.addresses.length > 0) return sa.addresses.map(whole);
  return [whole(addressBytes(sa.local) as Uint8Array)];
}

function remoteSelectors(sa: IkeSa, settings: ChildSettings): Selector[] {
  if (settings.remote) return settings.remote;
  if (!sa.initiator && sa.addresses.length > 0) return sa.addresses.map(whole);
  return [whole(addressBytes(sa.remote) as Uint8Array)];
}

function whole(address: Uint8Array): Selector {
  return prefixSelector(address, address.length * 8);
}

/** Without groups of key exchange: IKE_AUTH has none. */
function withoutGroups(suites: number[][]): number[][] {
  const list: number[][] = [];
  for (let i = 0; i < suites.length; i++) {
    list.push(withoutAdditional(suites[i]).filter((code) => typeOf(code) !== wire.TRANSFORM_KE));
  }
  return list;
}

/** What we take of a peer that wants a key exchange where we did not ask for one: any group that we have, or none. */
function withAllGroups(sa: IkeSa, suites: number[][]): number[][] {
  const list: number[][] = [];
  const known = sa.ike.algorithms.list;
  for (let i = 0; i < suites.length; i++) {
    const suite = suites[i].slice(0);
    const asked = suite.filter((code) => typeOf(code) === wire.TRANSFORM_KE).length > 0;
    for (let j = 0; j < known.length && !asked; j++) {
      if (typeOf(known[j].code) === wire.TRANSFORM_KE) suite.push(known[j].code);
    }
    if (!asked) suite.push(transform(wire.TRANSFORM_KE, 0, 0));
    list.push(suite);
  }
  return list;
}

/** Writes SA, TSi and TSr of an offer (Ni and KE lie between them, see `CreateChild`). False: no SPI is to be had. */
export function emitOffer(offer: Offer, out: Writer, first: boolean, between?: () => void): boolean {
  const sa = offer.sa;
  const settings = offer.settings;
  const sink = sa.ike.sink;
  const old = offer.replaces;
  const spi = sink ? sink.spi() : sa.ike.stack.host.random32();
  if (spi === 0) return false;
  put32(offer.spi, 0, spi);
  if (first) offer.suites = withoutGroups(settings.suites);
  offer.local = old ? old.localSelectors : localSelectors(sa, settings);
  offer.remote = old ? old.remoteSelectors : remoteSelectors(sa, settings);
  let local = offer.local;
  if (offer.virtual && !settings.local) {
    // Which address it is to be the peer decides: we take any.
    local = [prefixSelector(new Uint8Array(offer.local[0].start.length), 0)];
    offer.local = local;
  }
  if (!(old ? old.tunnel : settings.tunnel)) out.notify(wire.USE_TRANSPORT_MODE);
  emitProposals(out, wire.PROTOCOL_ESP, offer.spi, offer.suites);
  if (between) between();
  emitSelectors(out, wire.PAYLOAD_TSI, local);
  emitSelectors(out, wire.PAYLOAD_TSR, offer.remote);
  return true;
}

/** The suite that the peer's answer to an offer names; null: it is none of those. */
export function agreedSuite(offer: Offer, message: Message): Agreement | null {
  const sets = message.find(wire.PAYLOAD_SA);
  const proposals = sets < 0 ? null : parseProposals(message.body(sets));
  return proposals && accepted(proposals, wire.PROTOCOL_ESP, 4, offer.suites);
}

/**
 * Takes the peer's answer to an offer; the child SA is there then.
 *
 * @param secret of a key exchange of its own, or null
 * @param more secrets of those that have followed, or null
 * @returns 0 or the notification of an error, the peer's or ours
 */
export function acceptChild(
  offer: Offer,
  message: Message,
  secret: Uint8Array | null,
  nonceI: Uint8Array,
  nonceR: Uint8Array,
  more: Uint8Array | null = null,
): number {
  const sa = offer.sa;
  const sets = message.find(wire.PAYLOAD_SA);
  const i = message.find(wire.PAYLOAD_TSI);
  const r = message.find(wire.PAYLOAD_TSR);
  if (sets < 0 || i < 0 || r < 0) return message.error() || wire.INVALID_SYNTAX;
  const agreement = agreedSuite(offer, message);
  const local = parseSelectors(message.body(i));
  const remote = parseSelectors(message.body(r));
  if (!agreement) return wire.NO_PROPOSAL_CHOSEN;
  if (!local || !remote || !within(local, offer.local) || !within(remote, offer.remote)) {
    return wire.TS_UNACCEPTABLE;
  }
  const asked = !(offer.replaces ? offer.replaces.tunnel : offer.settings.tunnel);
  const transport = message.notify(wire.USE_TRANSPORT_MODE) >= 0;
  if (transport && !asked) return wire.INVALID_SYNTAX;
  // Who wants transport mode and is given a tunnel does without (section 1.3.1).
  if (asked && !transport) return wire.NO_PROPOSAL_CHOSEN;
  const child = make(sa, offer.settings, agreement, !transport, local, remote);
  child.spiIn = get32(offer.spi, 0);
  keyChild(child, agreement.suite, secret, nonceI, nonceR, true, more);
  if (!install(child, offer.replaces)) return wire.NO_PROPOSAL_CHOSEN;
  if (sa.ike.sink && offer.replaces) sa.ike.sink.activate(child);
  return 0;
}

/** What the peer wants of us, agreed upon. */
export interface Wanted {
  readonly settings: ChildSettings;
  readonly agreement: Agreement;
  readonly transport: boolean;
  readonly local: Selector[];
  readonly remote: Selector[];
}

/**
 * Finds which of the configured children the peer's request (SA, TSi, TSr) is for.
 *
 * @param old the child that it is to replace, or null
 * @returns what is agreed upon, or the notification of an error
 */
export function agreeChild(
  sa: IkeSa,
  message: Message,
  old: ChildSa | null,
  first: boolean,
): Wanted | number {
  const sets = message.find(wire.PAYLOAD_SA);
  const i = message.find(wire.PAYLOAD_TSI);
  const r = message.find(wire.PAYLOAD_TSR);
  const proposals = sets < 0 ? null : parseProposals(message.body(sets));
  const theirs = i < 0 ? null : parseSelectors(message.body(i));
  const ours = r < 0 ? null : parseSelectors(message.body(r));
  if (!proposals || !theirs || !ours) return wire.INVALID_SYNTAX;
  const share = message.find(wire.PAYLOAD_KE);
  const group =
    share < 0
      ? 0
      : transform(
          wire.TRANSFORM_KE,
          0,
          (message.data[message.starts[share]] << 8) | message.data[message.starts[share] + 1],
        );
  let error = wire.TS_UNACCEPTABLE;
  const list = old ? [old.settings] : sa.settings().children;
  for (let n = 0; n < list.length; n++) {
    const settings = list[n];
    const local = narrow(ours, old ? old.localSelectors : localSelectors(sa, settings));
    const remote = narrow(theirs, old ? old.remoteSelectors : remoteSelectors(sa, settings));
    if (local.length === 0 || remote.length === 0) continue;
    const suites = first ? withoutGroups(settings.suites) : withAllGroups(sa, settings.suites);
    const agreement = choose(proposals, wire.PROTOCOL_ESP, 4, suites, group);
    const transport = message.notify(wire.USE_TRANSPORT_MODE) >= 0;
    if (!agreement) error = wire.NO_PROPOSAL_CHOSEN;
    else if (!settings.tunnel && !transport) error = wire.NO_PROPOSAL_CHOSEN;
    // Where the peer would have transport mode and we would not, it is a tunnel.
    else return { settings, agreement, transport: transport && !settings.tunnel, local, remote };
  }
  return error;
}

/** Makes the child that is agreed upon and writes its answer, as `promiseChild`. Null: it cannot be. */
export function grantChild(
  sa: IkeSa,
  wanted: Wanted,
  old: ChildSa | null,
  secret: Uint8Array | null,
  nonceI: Uint8Array,
  nonceR: Uint8Array,
  out: Writer,
  between?: () => void,
): ChildSa | null {
  const child = promiseChild(sa, wanted, out, between);
  return child && keepChild(child, wanted, old, secret, nonceI, nonceR, null) ? child : null;
}

/** The keys of a child that was promised are there: it lives. False: it cannot be. */
export function keepChild(
  child: ChildSa,
  wanted: Wanted,
  old: ChildSa | null,
  secret: Uint8Array | null,
  nonceI: Uint8Array,
  nonceR: Uint8Array,
  more: Uint8Array | null,
): boolean {
  keyChild(child, wanted.agreement.suite, secret, nonceI, nonceR, false, more);
  return install(child, old);
}

/** Writes SA (and what `between` has), TSi, TSr of the answer. Null: no SPI is to be had. */
export function promiseChild(sa: IkeSa, wanted: Wanted, out: Writer, between?: () => void): ChildSa | null {
  const sink = sa.ike.sink;
  const spi = sink ? sink.spi() : sa.ike.stack.host.random32();
  if (spi === 0) return null;
  const agreement = wanted.agreement;
  const child = make(sa, wanted.settings, agreement, !wanted.transport, wanted.local, wanted.remote);
  child.spiIn = spi;
  if (wanted.transport) out.notify(wire.USE_TRANSPORT_MODE);
  const own = new Uint8Array(4);
  put32(own, 0, spi);
  // NONE is agreed upon without a word where the peer has not said it either.
  emitProposals(out, wire.PROTOCOL_ESP, own, [agreement.suite], agreement.number);
  if (between) between();
  emitSelectors(out, wire.PAYLOAD_TSI, wanted.remote);
  emitSelectors(out, wire.PAYLOAD_TSR, wanted.local);
  return child;
}

function make(
  sa: IkeSa,
  settings: ChildSettings,
  agreement: Agreement,
  tunnel: boolean,
  local: Selector[],
  remote: Selector[],
): ChildSa {
  const child = new ChildSa(sa, settings, expireSoft);
  child.spiOut = get32(agreement.spi, 0);
  child.tunnel = tunnel;
  child.localSelectors = local;
  child.remoteSelectors = remote;
  return child;
}

/** KEYMAT (section 2.17; RFC 9370 section 2.2.4): first the keys of what the exchange's initiator sends, then the other's. */
function keyChild(
  child: ChildSa,
  suite: number[],
  secret: Uint8Array | null,
  nonceI: Uint8Array,
  nonceR: Uint8Array,
  initiated: boolean,
  more: Uint8Array | null,
): void {
  const sa = child.sa;
  const known = sa.ike.algorithms;
  const encryption = known.in(suite, wire.TRANSFORM_ENCR) as Algorithm;
  const integrity = known.in(suite, wire.TRANSFORM_INTEG);
  const e = encryption.key + encryption.salt;
  const a = integrity ? integrity.key : 0;
  const seed = join([secret || none(), nonceI, nonceR, more || none()]);
  const pieces = cut(expand(sa.ike.crypto, prfOf(sa), sa.keys!.get(SK_D), seed, 2 * (e + a)), [e, a, e, a]);
  erase(seed);
  if (secret) erase(secret);
  if (more) erase(more);
  const fromInitiator: ChildKey = { encryption: pieces[0], integrity: pieces[1] };
  const fromResponder: ChildKey = { encryption: pieces[2], integrity: pieces[3] };
  child.outbound = initiated ? fromInitiator : fromResponder;
  child.inbound = initiated ? fromResponder : fromInitiator;
  child.encryption = encryption.name;
  child.salt = encryption.salt;
  child.integrity = integrity ? integrity.name : "";
  child.esn = suite.indexOf(transform(wire.TRANSFORM_ESN, 0, 1)) >= 0;
}

function none(): Uint8Array {
  return new Uint8Array(0);
}

/** Hands it over, and lives from then on. */
function install(child: ChildSa, old: ChildSa | null): boolean {
  const sa = child.sa;
  const ike = sa.ike;
  child.local = sa.local;
  child.remote = sa.remote;
  child.localPort = sa.encapsulate ? sa.localPort : 0;
  child.remotePort = sa.encapsulate ? sa.remotePort : 0;
  if (ike.sink && ike.sink.install(child, old) < 0) {
    child.eraseKeys();
    return false;
  }
  ike.counters.children++;
  sa.children.push(child);
  if (child.settings.rekey > 0) ike.stack.timers.set(child.timer, ike.soon(child.settings.rekey));
  sa.connection!.tellChild(child, true);
  return true;
}

/** It has served for long enough, in time or in bytes: another is to take its place. */
export function expireSoft(child: ChildSa): void {
  rekeyChild(child);
}
