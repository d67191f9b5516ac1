/**
 * A peer of a WireGuard interface: its sessions, when it makes new ones (section 6: timers and state), and what waits for that.
 *
 * Three sessions at most: the one that is used, the one before it, for packets that are on their way, and as responder a next one, which
 * the initiator has not used yet.
 */
import { erase } from "../../hypercall/crypto.js";
import type { Cipher } from "../../hypercall/crypto.js";
import type { Path } from "../core/network.js";
import type { Deferred } from "../core/stack.js";
import { Stream } from "../core/stream.js";
import type { TableEntry } from "../core/table.js";
import { Timer } from "../core/timers.js";
import { ReplayWindow } from "../ipsec/replay.js";
import * as wire from "../wire/wireguard.js";
import { CookieMaker } from "./cookies.js";
import type { Device } from "./device.js";
import { Handshake, TIMESTAMP } from "./handshake.js";
import { KEY } from "./suite.js";

/** Constants of section 6.1, ms. */
export const REKEY_AFTER_TIME = 120000;
export const REJECT_AFTER_TIME = 180000;
const REKEY_ATTEMPT_TIME = 90000;
const REKEY_TIMEOUT = 5000;
const KEEPALIVE_TIMEOUT = 10000;
const JITTER = 333;
/** Fewer messages than section 6.1 allows (2^60): counters are one int32. */
export const REKEY_AFTER_MESSAGES = 0x40000000;
export const REJECT_AFTER_MESSAGES = 0x7fffff00;
const WINDOW = 2048;
/** Initiations of one peer that are answered: one in so many ms. */
const FLOOD_INTERVAL = 20;

/** Deadlines of a peer. */
const RETRANSMIT = 0;
const KEEPALIVE = 1;
const NEW_HANDSHAKE = 2;
const ZERO = 3;
const PERSISTENT = 4;
const DEADLINES = 5;

export class Session implements TableEntry {
  nextInBucket: this | null = null;
  /** The peer's index, and our count of messages. */
  remote = 0;
  sendNext = 0;
  born = 0;
  initiator = false;
  sends: Cipher | null = null;
  receives: Cipher | null = null;
  readonly window = new ReplayWindow(WINDOW, false);

  constructor(
    readonly peer: Peer,
    /** Our index. */
    public hash: number,
  ) {}

  /** May it be used at `now`? */
  alive(now: number): boolean {
    return (
      this.sends !== null &&
      ((now - this.born) | 0) < REJECT_AFTER_TIME &&
      this.sendNext < REJECT_AFTER_MESSAGES
    );
  }

  close(): void {
    if (this.sends) this.sends.close();
    if (this.receives) this.receives.close();
    this.sends = this.receives = null;
  }
}

export class Peer implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  current: Session | null = null;
  previous: Session | null = null;
  next: Session | null = null;
  /** The session that our initiation is for; it has no keys yet. */
  pending: Session | null = null;
  readonly handshake: Handshake;
  readonly cookies: CookieMaker;
  /** Where it is; null: it has not said, and nobody else. */
  path: Path | null = null;
  port = 0;
  /** Bytes of packets, and the clock's time (ms) of the last handshake, 0: none. */
  received = 0;
  sent = 0;
  lastHandshake = 0;
  removed = false;
  /** Packets that wait for a session: records of two bytes length and the packet. */
  readonly queue: Stream;
  waiting = 0;
  private readonly lastTimestamp = new Uint8Array(TIMESTAMP);
  private lastInitiation = 0;
  private initiated = false;
  private answeredAt = 0;
  private answered = false;
  private attemptsSince = 0;
  private readonly due: number[] = [0, 0, 0, 0, 0];
  private armed = 0;
  private readonly timer = new Timer((peer: Peer) => peer.expired(), this);

  constructor(
    readonly device: Device,
    /** Its static key. */
    readonly key: Uint8Array,
    readonly preshared: Uint8Array,
    /** ms; 0: none. */
    readonly persistent: number,
  ) {
    this.handshake = new Handshake(device.suite);
    this.cookies = new CookieMaker(device.suite, key);
    this.queue = new Stream(device.stack.pool, device.stack.host.copy);
  }

  /** Has it keys now that packets can be sent with? */
  ready(): boolean {
    return this.current !== null && this.current.alive(this.device.stack.now());
  }

  /** See `Stack.defer`: a session has come about. */
  run(): void {
    if (!this.removed) this.device.owner.established(this.device, this);
  }

  /* Handshakes */

  /** Begins a handshake, unless one was begun a moment ago. `again`: it is one that was not answered. */
  initiate(again: boolean): void {
    const device = this.device;
    const now = device.stack.now();
    if (!this.path || this.removed) return;
    if (this.initiated && ((now - this.lastInitiation) | 0) < REKEY_TIMEOUT) return;
    if (!again) this.attemptsSince = now;
    this.initiated = true;
    this.lastInitiation = now;
    this.arm(RETRANSMIT, REKEY_TIMEOUT + this.jitter());
    const message = new Uint8Array(wire.INITIATION_LENGTH);
    const ephemeral = device.ephemeral();
    const timestamp = new Uint8Array(TIMESTAMP);
    device.timestamp(timestamp);
    if (!ephemeral || !this.handshake.initiate(message, device.key, this.key, ephemeral, timestamp)) return;
    if (this.pending) device.forget(this.pending);
    this.pending = device.session(this);
    message[0] = wire.INITIATION;
    wire.putLittle32(message, wire.SENDER, this.pending.hash);
    this.cookies.sign(message, now);
    device.counters.initiationsSent++;
    device.sendMessage(this, message, message.length);
    this.traversed();
  }

  /** An initiation of this peer is authentic: answers it, if it is newer than all before. */
  respond(message: Uint8Array, heard: Handshake, path: Path, port: number): void {
    const device = this.device;
    const now = device.stack.now();
    const counters = device.counters;
    let order = 0;
    for (let i = 0; order === 0 && i < TIMESTAMP; i++)
      order = message[wire.INITIATION_TIMESTAMP + i] - this.lastTimestamp[i];
    if (order <= 0) {
      counters.replayed++;
      return;
    }
    if (this.answered && ((now - this.answeredAt) | 0) < FLOOD_INTERVAL) {
      counters.limited++;
      return;
    }
    this.answered = true;
    this.answeredAt = now;
    for (let i = 0; i < TIMESTAMP; i++) this.lastTimestamp[i] = message[wire.INITIATION_TIMESTAMP + i];
    const reply = new Uint8Array(wire.RESPONSE_LENGTH);
    const ephemeral = device.ephemeral();
    const good = ephemeral !== null && heard.respond(reply, this.key, ephemeral, this.preshared);
    if (ephemeral) ephemeral.close();
    if (!good) return;
    if (this.next) device.forget(this.next);
    const session = (this.next = device.session(this));
    const ciphers = heard.split(false);
    session.sends = ciphers[0];
    session.receives = ciphers[1];
    session.remote = wire.getLittle32(message, wire.SENDER);
    session.born = now;
    this.moved(path, port);
    reply[0] = wire.RESPONSE;
    wire.putLittle32(reply, wire.SENDER, session.hash);
    wire.putLittle32(reply, wire.RESPONSE_RECEIVER, session.remote);
    this.cookies.sign(reply, now);
    counters.responsesSent++;
    this.arm(ZERO, 3 * REJECT_AFTER_TIME);
    this.traversed();
    device.sendMessage(this, reply, reply.length);
  }

  /** A response to our initiation; false: it is not authentic. */
  complete(message: Uint8Array, session: Session, path: Path, port: number): boolean {
    const device = this.device;
    if (session !== this.pending || !this.handshake.complete(message, device.key, this.preshared))
      return false;
    const ciphers = this.handshake.split(true);
    this.pending = null;
    session.sends = ciphers[0];
    session.receives = ciphers[1];
    session.remote = wire.getLittle32(message, wire.SENDER);
    session.initiator = true;
    session.born = device.stack.now();
    if (this.previous) device.forget(this.previous);
    // Both have begun at once: the peer may use the session that we have answered with.
    if (this.next && this.current) device.forget(this.current);
    this.previous = this.next || this.current;
    this.next = null;
    this.current = session;
    this.moved(path, port);
    this.established();
    this.heard();
    // The responder may use the session when it has heard of it: so something is said.
    if (this.waiting > 0) device.flush(this);
    else device.sendKeepalive(this, session);
    return true;
  }

  /** The initiator uses the session that we have answered with: it is the current one now. */
  confirm(session: Session): void {
    const device = this.device;
    if (session !== this.next) return;
    if (this.previous) device.forget(this.previous);
    this.previous = this.current;
    this.current = session;
    this.next = null;
    this.established();
    device.flush(this);
  }

  private established(): void {
    this.initiated = false;
    this.disarm(RETRANSMIT);
    this.arm(ZERO, 3 * REJECT_AFTER_TIME);
    this.lastHandshake = this.device.clock();
    this.device.established(this);
  }

  /** It has been heard from `path` (roaming, section 2.1). */
  moved(path: Path, port: number): void {
    const net = path.net;
    if (!this.path || this.path.net !== net) this.path = net.createPath();
    net.copyPath(this.path, path);
    this.port = port;
  }

  /* Timers */

  /** Something authentic has come. */
  heard(): void {
    this.disarm(NEW_HANDSHAKE);
    this.traversed();
  }

  /** A packet has come, not only a keepalive: it is answered within a while. */
  heardData(): void {
    if ((this.armed & (1 << KEEPALIVE)) === 0) this.arm(KEEPALIVE, KEEPALIVE_TIMEOUT);
    const session = this.current;
    const limit = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;
    if (session && session.initiator && ((this.device.stack.now() - session.born) | 0) >= limit)
      this.initiate(false);
  }

  /** Something was sent in a session. `data`: a packet, to which an answer is expected. */
  said(session: Session, data: boolean): void {
    this.disarm(KEEPALIVE);
    if (data && (this.armed & (1 << NEW_HANDSHAKE)) === 0) {
      this.arm(NEW_HANDSHAKE, KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + this.jitter());
    }
    this.traversed();
    const age = (this.device.stack.now() - session.born) | 0;
    if (session.sendNext >= REKEY_AFTER_MESSAGES || (session.initiator && age >= REKEY_AFTER_TIME)) {
      this.initiate(false);
    }
  }

  private traversed(): void {
    if (this.persistent > 0) this.arm(PERSISTENT, this.persistent);
  }

  private jitter(): number {
    return this.device.stack.host.randomBelow(JITTER + 1);
  }

  private arm(which: number, wait: number): void {
    const timers = this.device.stack.timers;
    if (this.removed) return;
    const at = (this.due[which] = (this.device.stack.now() + wait) | 0);
    this.armed |= 1 << which;
    if (this.timer.slot < 0 || ((at - this.timer.at) | 0) < 0) timers.set(this.timer, at);
  }

  /** Deadlines that are put off are found out when the timer comes. */
  private disarm(which: number): void {
    this.armed &= ~(1 << which);
  }

  private expired(): void {
    const now = this.device.stack.now();
    for (let which = 0; which < DEADLINES; which++) {
      if ((this.armed & (1 << which)) === 0 || ((this.due[which] - now) | 0) > 0) continue;
      this.armed &= ~(1 << which);
      this.fire(which, now);
    }
    let wait = -1;
    for (let which = 0; which < DEADLINES; which++) {
      if ((this.armed & (1 << which)) === 0) continue;
      const left = (this.due[which] - now) | 0;
      if (wait < 0 || left < wait) wait = left > 0 ? left : 0;
    }
    if (wait >= 0) this.device.stack.timers.set(this.timer, (now + wait) | 0);
  }

  private fire(which: number, now: number): void {
    const device = this.device;
    if (which === RETRANSMIT) {
      if (((now - this.attemptsSince) | 0) >= REKEY_ATTEMPT_TIME) {
        device.counters.gaveUp++;
        this.dropQueue();
        this.handshake.close();
        if (this.pending) device.forget(this.pending);
        this.pending = null;
      } else {
        this.initiated = false;
        this.initiate(true);
      }
    } else if (which === NEW_HANDSHAKE) this.initiate(false);
    else if (which === ZERO) this.wipe();
    else if (this.ready()) device.sendKeepalive(this, this.current as Session);
    else this.initiate(false);
  }

  /* The end */

  /** Packets that wait are lost. */
  dropQueue(): void {
    this.device.counters.dropped += this.waiting;
    this.queue.clear();
    this.waiting = 0;
  }

  /** Overwrites all keys but those that last. */
  wipe(): void {
    const device = this.device;
    const current = this.current;
    const previous = this.previous;
    const next = this.next;
    const pending = this.pending;
    if (current) device.forget(current);
    if (previous) device.forget(previous);
    if (next) device.forget(next);
    if (pending) device.forget(pending);
    this.current = this.previous = this.next = this.pending = null;
    this.handshake.close();
  }

  close(): void {
    this.removed = true;
    this.armed = 0;
    this.device.stack.timers.clear(this.timer);
    this.wipe();
    this.dropQueue();
    erase(this.preshared);
  }
}

/** Are they bytes of a key? */
export function isKey(bytes: unknown): bytes is Uint8Array {
  return bytes instanceof Uint8Array && bytes.length === KEY;
}
