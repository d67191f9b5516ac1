/**
 * The option negotiation of PPP (RFC 1661 section 4), which LCP, IPCP and IPV6CP have in common: what we want, what the peer wants,
 * until each has acknowledged the other. The lower layer is there while one of these is begun; states are the RFC's.
 */
import { get16, put16 } from "../core/bytes.js";
import type { Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/ppp.js";

export const CLOSED = 0;
export const REQ_SENT = 1;
export const ACK_RECEIVED = 2;
export const ACK_SENT = 3;
export const OPENED = 4;

/** What is said to an option of the peer's. */
export const ACCEPT = 0;
export const SUGGEST = 1;
export const REFUSE = 2;

/** Milliseconds until a request is repeated, and how often it is sent. */
const RESTART = 3000;
const MAX_CONFIGURE = 10;
/** Suggestions that the peer may turn down: then what is not acceptable is refused. */
const MAX_FAILURE = 5;
/** Bytes of options that a request of ours, or an answer, may have. */
const LONGEST = 256;

export interface ControlProtocol {
  readonly protocol: number;
  /** Writes the options that we want at `at`; where they end. */
  request(data: Uint8Array, at: number): number;
  /**
   * An option of the peer's request. With `SUGGEST`, what would be accepted is written over its value, in place.
   *
   * @param refuse suggestions have been of no use
   */
  judge(type: number, data: Uint8Array, at: number, length: number, refuse: boolean): number;
  /** The peer suggests another value of an option of ours, or (`refused`) does not know it. */
  suggested(type: number, data: Uint8Array, at: number, length: number, refused: boolean): void;
  /** A new request of the peer's begins: what it asked for before is void. */
  reset(): void;
  opened(): void;
  /** It was open, and is not any more. */
  lost(): void;
  /** The peer does not answer, does not agree, or (`ended`) wants to end. */
  failed(ended?: boolean): void;
  /** Sends `data[start..end)`, a packet of this protocol. */
  send(protocol: number, data: Uint8Array, start: number, end: number): void;
}

export class Negotiation {
  state = CLOSED;
  private id = 0;
  private tries = 0;
  private failures = 0;
  private readonly timer = new Timer(expired, this);
  private readonly data = new Uint8Array(wire.PPP_HEADER + LONGEST);

  constructor(
    private readonly stack: Stack,
    private readonly control: ControlProtocol,
  ) {}

  /** The lower layer is up. */
  begin(): void {
    this.tries = this.failures = 0;
    this.state = REQ_SENT;
    this.request();
  }

  /** The lower layer is gone: nothing is said. */
  end(): void {
    const open = this.state === OPENED;
    this.state = CLOSED;
    this.stack.timers.clear(this.timer);
    if (open) this.control.lost();
  }

  /** Takes a packet of this protocol with codes 1 to 7, its length checked; false: another code. */
  input(data: Uint8Array, at: number, end: number): boolean {
    const code = data[at];
    const id = data[at + 1];
    if (code < wire.CONFIGURE_REQUEST || code > wire.CODE_REJECT) return false;
    if (this.state === CLOSED) return true;
    if (code === wire.CONFIGURE_REQUEST) this.answer(data, at, end);
    else if (code <= wire.CONFIGURE_REJECT) {
      // A stale answer, or to what we did not ask.
      if (id !== this.id || (this.state !== REQ_SENT && this.state !== ACK_SENT)) return true;
      if (code === wire.CONFIGURE_ACK) this.acknowledged(data, at, end);
      else this.disputed(data, at + wire.PPP_HEADER, end, code === wire.CONFIGURE_REJECT);
    } else if (code === wire.TERMINATE_REQUEST) {
      this.reply(wire.TERMINATE_ACK, id, 0);
      this.control.failed(true);
    } else if (code === wire.TERMINATE_ACK && this.state === OPENED) this.again();
    return true;
  }

  /** Asks again from the beginning: what was open is not. */
  private again(): void {
    this.state = REQ_SENT;
    this.control.lost();
    if (this.state === REQ_SENT) this.request();
  }

  private answer(data: Uint8Array, at: number, end: number): void {
    const control = this.control;
    const id = data[at + 1];
    if (this.state === OPENED) this.again();
    if (this.state === CLOSED) return;
    let worst = ACCEPT;
    const refuse = this.failures >= MAX_FAILURE;
    const answer = this.data;
    let to = wire.PPP_HEADER;
    control.reset();
    for (let option = at + wire.PPP_HEADER; option < end;) {
      const length = wire.optionLength(data, option, end);
      if (length < 0) return;
      const verdict = control.judge(data[option], data, option, length, refuse);
      // An answer has the options of one kind alone: those that are worse begin it anew.
      if (verdict > worst) {
        worst = verdict;
        to = wire.PPP_HEADER;
      }
      if (verdict === worst) {
        if (to + length > answer.length) return;
        for (let i = 0; i < length; i++) answer[to + i] = data[option + i];
        to += length;
      }
      option += length;
    }
    if (worst === SUGGEST) this.failures++;
    const code =
      worst === ACCEPT ? wire.CONFIGURE_ACK : worst === SUGGEST ? wire.CONFIGURE_NAK : wire.CONFIGURE_REJECT;
    this.reply(code, id, to - wire.PPP_HEADER);
    if (worst !== ACCEPT) {
      if (this.state === ACK_SENT) this.state = REQ_SENT;
    } else if (this.state === ACK_RECEIVED) this.open();
    else this.state = ACK_SENT;
  }

  private acknowledged(data: Uint8Array, at: number, end: number): void {
    // It must be our request, byte for byte.
    const length = this.control.request(this.data, wire.PPP_HEADER) - wire.PPP_HEADER;
    if (end - at - wire.PPP_HEADER !== length) return;
    for (let i = 0; i < length; i++) {
      if (data[at + wire.PPP_HEADER + i] !== this.data[wire.PPP_HEADER + i]) return;
    }
    this.tries = 0;
    if (this.state === ACK_SENT) this.open();
    else this.state = ACK_RECEIVED;
  }

  private disputed(data: Uint8Array, at: number, end: number, refused: boolean): void {
    for (let option = at; option < end;) {
      const length = wire.optionLength(data, option, end);
      if (length < 0) return;
      this.control.suggested(data[option], data, option, length, refused);
      if (this.state === CLOSED) return;
      option += length;
    }
    this.request();
  }

  private open(): void {
    this.state = OPENED;
    this.tries = this.failures = 0;
    this.stack.timers.clear(this.timer);
    this.control.opened();
  }

  private request(): void {
    if (++this.tries > MAX_CONFIGURE) {
      this.control.failed();
      return;
    }
    this.id = (this.id + 1) & 255;
    const end = this.control.request(this.data, wire.PPP_HEADER);
    this.stack.timers.set(this.timer, (this.stack.now() + RESTART) | 0);
    this.reply(wire.CONFIGURE_REQUEST, this.id, end - wire.PPP_HEADER);
  }

  /** Sends a packet whose `length` bytes of data lie in their place already. */
  private reply(code: number, id: number, length: number): void {
    const data = this.data;
    data[0] = code;
    data[1] = id;
    put16(data, 2, wire.PPP_HEADER + length);
    this.control.send(this.control.protocol, data, 0, wire.PPP_HEADER + length);
  }

  /** See `timer`. */
  timeout(): void {
    if (this.state === CLOSED || this.state === OPENED) return;
    if (this.state === ACK_RECEIVED) this.state = REQ_SENT;
    this.request();
  }
}

function expired(negotiation: Negotiation): void {
  negotiation.timeout();
}

/** The end of the packet at `at` as its length field says; -1: it is none. */
export function packetEnd(data: Uint8Array, at: number, end: number): number {
  if (end - at < wire.PPP_HEADER) return -1;
  const length = get16(data, at + 2);
  return length < wire.PPP_HEADER || length > end - at ? -1 : at + length;
}
