/** A neighbour of Babel: which of its hellos came, how well it hears us, and what that makes of the link (RFC 8966 appendix A). */
import type { Interface } from "../core/interface.js";
import type { Stack } from "../core/stack.js";
import type { UdpSocket } from "../udp/udp.js";
import { BABEL_INFINITY } from "../wire/babel.js";

/** Hellos are waited for so long where their sender does not say, ms. */
const UNKNOWN = 10000;

/** What `check` found, in bits: the packet may be read, a challenge is to be sent, one is to be answered. */
export const AUTHENTIC = 1;
export const CHALLENGE = 2;
export const ANSWER = 4;

/** What Babel asks of it, so that it knows nothing of its code. */
export interface BabelAuthenticator {
  /** Bytes by which packets become longer. */
  readonly overhead: number;
  /** What a challenge is sent with, and answered with. */
  readonly nonce: Uint8Array;
  readonly answer: Uint8Array;
  attach(stack: Stack): void;
  /** Writes what is wanted behind a body that ends at `end`, between these addresses (16 bytes); the packet's end. */
  finish(data: Uint8Array, end: number, from: Uint8Array, to: Uint8Array): number;
  /** What is to be done with a packet: AUTHENTIC, CHALLENGE, ANSWER, or nothing. */
  check(data: Uint8Array, end: number, from: Uint8Array, to: Uint8Array, now: number): number;
  close(): void;
}

/** An interface that takes part. */
export class BabelPort {
  /** Cost of a link that works (96: `"wired"`, 256: `"wireless"`). */
  cost = 96;
  /** Links that lose some of what is sent: the cost follows the loss (ETX, appendix A.2.2). */
  lossy = false;
  /** What came by this interface is not told on it: all who are on it have heard. */
  splitHorizon = true;
  /** Milliseconds. */
  helloInterval = 4000;
  updateInterval = 16000;
  seqno = 0;
  helloAt = 0;
  updateAt = 0;
  up = true;
  authentication: BabelAuthenticator | null = null;

  constructor(
    readonly nif: Interface,
    readonly socket: UdpSocket,
  ) {}
}

export class BabelNeighbour {
  /** A bit for each of the last 16 hellos, the last one uppermost. */
  history = 0;
  /** The number of the next hello, or -1. */
  expected = -1;
  helloInterval = 0;
  /** The next hello is late then. */
  helloUntil = 0;
  /** What it says that it costs to reach it. */
  txcost = BABEL_INFINITY;
  ihuUntil = 0;
  /** The cost of the link when its routes were looked at last. */
  cost = BABEL_INFINITY;

  constructor(
    readonly port: BabelPort,
    /** Link-local, 16 bytes. */
    readonly address: Uint8Array,
    /** As a socket has it, with its zone. */
    readonly text: string,
  ) {}

  /** A hello has come (appendix A.1). */
  hello(seqno: number, interval: number, now: number): void {
    if (this.expected >= 0) {
      const missed = (seqno - this.expected) & 0xffff;
      if (missed > 16 && missed < 0xfff0)
        this.history = 0; // It has begun anew.
      else if (missed >= 0xfff0)
        this.history = (this.history << (0x10000 - missed)) & 0xffff; // Counted as lost too early.
      else this.history >>= missed;
    }
    this.history = (this.history >> 1) | 0x8000;
    this.expected = (seqno + 1) & 0xffff;
    // One out of turn (interval 0) says nothing of the next.
    if (interval > 0) this.helloInterval = interval;
    else if (this.helloInterval === 0) this.helloInterval = UNKNOWN;
    this.helloUntil = (now + this.helloInterval + (this.helloInterval >> 1)) | 0;
  }

  /** Time passes; false: nothing has been heard of it for so long that it is none any more. */
  alive(now: number): boolean {
    for (let i = 0; i < 16 && ((now - this.helloUntil) | 0) >= 0; i++) {
      this.history >>= 1;
      this.expected = (this.expected + 1) & 0xffff;
      this.helloUntil = (this.helloUntil + this.helloInterval) | 0;
    }
    if (((now - this.ihuUntil) | 0) >= 0) {
      this.txcost = BABEL_INFINITY;
      this.ihuUntil = (now + 0x3fffffff) | 0;
    }
    return this.history !== 0;
  }

  /** What we say that it costs to reach us. */
  rxcost(): number {
    const port = this.port;
    const of3 = ((this.history >> 15) & 1) + ((this.history >> 14) & 1) + ((this.history >> 13) & 1);
    if (!port.lossy) return of3 >= 2 ? port.cost : BABEL_INFINITY;
    // The share of hellos that came, the latest counting most: 16 bits as a fraction.
    const share = this.history / 0x10000;
    const cost = share > 0 ? Math.floor(port.cost / share) : BABEL_INFINITY;
    return cost < BABEL_INFINITY ? cost : BABEL_INFINITY;
  }

  linkCost(): number {
    const rxcost = this.rxcost();
    const txcost = this.txcost;
    if (rxcost >= BABEL_INFINITY || txcost >= BABEL_INFINITY) return BABEL_INFINITY;
    if (!this.port.lossy) return txcost;
    const cost = Math.floor(((txcost > 256 ? txcost : 256) * rxcost) / 256);
    return cost < BABEL_INFINITY ? cost : BABEL_INFINITY;
  }
}
