/** INFORMATIONAL (RFC 7296 sections 1.4, 2.4): is the peer alive, goodbye, deleted child SAs; and where the peer's requests go. */
import { get16, get32 } from "../core/bytes.js";
import type { DatagramInfo } from "../core/datagrams.js";
import { ECONNRESET, EPROTO } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import type { ChildSa } from "./child-sa.js";
import { answerCreateChild } from "./create-child.js";
import type { IkeSa, Task } from "./ike-sa.js";
import { RekeyIke } from "./rekey-ike.js";
import { Writer } from "./message.js";
import type { Message } from "./message.js";

export { CreateChild, rekeyChild } from "./create-child.js";
export { rekeyIke } from "./rekey-ike.js";

/** How often a NAT is reminded of us, ms (RFC 3948 section 4). */
const KEEPALIVE = 20000;

/** A request of the peer's, authentic and whole. `sa.busy` is set until it is answered. */
export function answerRequest(sa: IkeSa, message: Message, info: DatagramInfo): void {
  const responder = sa.ike.options.responder;
  if (!sa.established) {
    const more = sa.ike.options.keyExchanges;
    if (message.exchange === wire.IKE_AUTH && responder && !sa.initiator) responder.authenticate(sa, message);
    else if (message.exchange === wire.IKE_INTERMEDIATE && more && sa.steps.length > 0 && !sa.initiator) {
      more.answer(sa, message);
    } else if (message.exchange === wire.INFORMATIONAL) inform(sa, message, info);
    else {
      sa.busy = false;
      sa.ike.counters.unexpected++;
    }
  } else if (message.exchange === wire.CREATE_CHILD_SA) answerCreateChild(sa, message);
  else if (message.exchange === wire.IKE_FOLLOWUP_KE && sa.ike.options.keyExchanges) {
    sa.ike.options.keyExchanges.followed(sa, message);
  } else if (message.exchange === wire.INFORMATIONAL) inform(sa, message, info);
  else {
    sa.replyNotify(message.exchange, wire.INVALID_SYNTAX);
    sa.end(EPROTO, wire.INVALID_SYNTAX);
  }
}

function inform(sa: IkeSa, message: Message, info: DatagramInfo): void {
  const out = new Writer();
  const mobility = sa.ike.options.mobility;
  const gone: ChildSa[] = [];
  let over = false;
  for (let i = 0; i < message.types.length; i++) {
    if (message.types[i] !== wire.PAYLOAD_DELETE) continue;
    const data = message.body(i);
    const count = get16(data, 2);
    const spis = data.length - 4;
    if (data[0] === wire.PROTOCOL_IKE) over = over || (data[1] === 0 && spis === 0);
    else if (data[0] === wire.PROTOCOL_ESP && data[1] === 4 && spis === 4 * count) collect(sa, data, gone);
  }
  const error = message.error();
  if (error === wire.AUTHENTICATION_FAILED || error === wire.INVALID_SYNTAX) over = true;
  if (gone.length > 0 && !over) emitDelete(out, gone);
  if (!over && mobility && sa.mobike) mobility.input(sa, message, out, info);
  sa.reply(wire.INFORMATIONAL, out);
  const redirection = sa.ike.options.redirection;
  askedToProve(sa, message);
  if (over) sa.end(ECONNRESET, error);
  else if (redirection && isSettled(sa) && redirection.answered(sa, message, false)) return;
  else for (let i = 0; i < gone.length; i++) remove(sa, gone[i]);
}

/** We have begun it, and none is taking its place. */
function isSettled(sa: IkeSa): boolean {
  return sa.initiator && sa.established && !sa.successor && !(sa.task instanceof RekeyIke);
}

/** Does the peer, which has answered when the IKE SA began, want us to prove who we are again (RFC 4478)? */
export function askedToProve(sa: IkeSa, message: Message): void {
  const at = sa.initiator ? message.notify(wire.AUTH_LIFETIME) : -1;
  const data = at < 0 ? null : message.notifyData(at);
  if (data && data.length === 4) sa.connection!.proveWithin(get32(data, 0) >>> 0);
}

/** The children that the peer names by the SPIs it receives with: they may hang on another IKE SA by now. */
function collect(asked: IkeSa, data: Uint8Array, gone: ChildSa[]): void {
  let sa = asked;
  while (sa.successor) sa = sa.successor;
  for (let at = 4; at < data.length; at += 4) {
    const spi = get32(data, at);
    for (let i = 0; i < sa.children.length; i++) {
      const child = sa.children[i];
      if (child.spiOut === spi && gone.indexOf(child) < 0) gone.push(child);
    }
  }
}

function remove(sa: IkeSa, child: ChildSa): void {
  const successor = child.successor;
  if (successor && sa.ike.sink) sa.ike.sink.activate(successor);
  sa.ike.dropChild(child);
}

function emitDelete(out: Writer, children: ChildSa[]): void {
  out.begin(wire.PAYLOAD_DELETE).put8(wire.PROTOCOL_ESP).put8(4).put16(children.length);
  for (let i = 0; i < children.length; i++) out.put32(children[i].spiIn);
}

/** Ends an IKE SA with the peer's knowledge. */
export class Goodbye implements Task {
  /** @param code what the application is told @param notification says why, instead of a Delete */
  constructor(
    private readonly code: number,
    private readonly notification = 0,
  ) {}

  start(sa: IkeSa): void {
    const out = new Writer();
    if (this.notification) out.notify(this.notification);
    else out.begin(wire.PAYLOAD_DELETE).put8(wire.PROTOCOL_IKE).put8(0).put16(0);
    sa.send(wire.INFORMATIONAL, out);
  }

  answer(sa: IkeSa): void {
    sa.end(this.code, this.notification);
  }
}

/** Ends a child SA with the peer's knowledge. */
export class DeleteChild implements Task {
  /** @param unborn the peer has it, we have not */
  constructor(
    private readonly child: ChildSa,
    private readonly unborn = false,
  ) {}

  start(sa: IkeSa): void {
    if (!this.unborn && sa.children.indexOf(this.child) < 0) {
      sa.next();
      return;
    }
    this.child.ending = true;
    const out = new Writer();
    emitDelete(out, [this.child]);
    sa.send(wire.INFORMATIONAL, out);
  }

  answer(sa: IkeSa): void {
    remove(sa, this.child);
    sa.next();
  }

  /** The peer has replaced the IKE SA and ended the old one before its answer came: it is asked again by the new one. */
  abort(sa: IkeSa): void {
    const child = this.child;
    if (child.sa !== sa) child.sa.request(new DeleteChild(child));
  }
}

/** Asks the peer for a sign of life. */
class Liveness implements Task {
  start(sa: IkeSa): void {
    sa.send(wire.INFORMATIONAL, new Writer());
  }

  answer(sa: IkeSa): void {
    sa.next();
  }
}

/** It is time to see whether the peer lives, or to remind a NAT of us. */
export function liveness(sa: IkeSa): void {
  const ike = sa.ike;
  const dpd = sa.settings().dpd;
  const sink = ike.sink;
  const now = ike.stack.now();
  if (sa.successor || sa.leaving) {
    // The peer was to delete it, and has not.
    sa.request(new Goodbye(0));
    return;
  }
  for (let i = 0; i < sa.children.length; i++) {
    if (sink && sink.heard && sink.heard(sa.children[i])) sa.lastHeard = now;
  }
  if (dpd > 0 && !sa.task && ((now - sa.lastHeard) | 0) >= dpd) sa.request(new Liveness());
  else if (sa.natLocal) ike.ports.keepAlive(sa.local, sa.remote, sa.remotePort);
  if (!sa.dead) sa.arm();
}

/** When `liveness` is due again, ms; 0: never. */
export function livenessPeriod(sa: IkeSa): number {
  const dpd = sa.settings().dpd;
  return sa.natLocal && (dpd === 0 || dpd > KEEPALIVE) ? KEEPALIVE : dpd;
}
