/** An IKE SA (RFC 7296 sections 2.1 to 2.4): its keys, the windows of its two directions, and when it ends. */
import { erase } from "../../hypercall/crypto.js";
import type { KeyExchange } from "../../hypercall/crypto.js";
import type { DatagramInfo } from "../core/datagrams.js";
import { EPROTO, ETIMEDOUT } from "../core/errors.js";
import type { TableEntry } from "../core/table.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/ike.js";
import type { ChildSa } from "./child-sa.js";
import type { ChildSettings, Settings } from "./configuration.js";
import type { Connection } from "./connection.js";
import type { PostquantumKey } from "./features.js";
import type { Identity } from "./identity.js";
import type { Ike } from "./ike.js";
import { CreateChild, answerRequest, liveness, livenessPeriod, rekeyIke } from "./exchanges.js";
import type { IkeKeys } from "./keys.js";
import { type Message, Writer, parsePayloads } from "./message.js";
import type { Protection } from "./protection.js";

/** A request of ours, one at a time. */
export interface Task {
  /** It is its turn: calls `sa.send`, now or later, or `sa.next`. */
  start(sa: IkeSa): void;
  /** The peer has answered. Calls `sa.next` in the end. */
  answer(sa: IkeSa, message: Message): void;
  /** The IKE SA ends before there is an answer: gives back what is held. */
  abort?(sa: IkeSa): void;
}

/** Requests of ours that may wait. */
const TASKS = 32;
/** A request that has been sent so often goes by all ways that there are (MOBIKE). */
const STRAY = 2;
/** Bytes of the end of a request by which its copy is known: its tag. */
const MARK = 16;

export class IkeSa implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;
  /** Authenticated, both ways. */
  established = false;
  dead = false;
  readonly spiI = new Uint8Array(wire.SPI_LENGTH);
  readonly spiR = new Uint8Array(wire.SPI_LENGTH);
  nonceI = new Uint8Array(0);
  nonceR = new Uint8Array(0);
  /** IKE_SA_INIT's two messages, for AUTH. */
  first = new Uint8Array(0);
  second = new Uint8Array(0);
  /** What is agreed upon: a transform of each type. */
  suite: number[] = [];
  keys: IkeKeys | null = null;
  inbound: Protection | null = null;
  outbound: Protection | null = null;
  exchange: KeyExchange | null = null;
  group = 0;
  cookie: Uint8Array | null = null;
  retries = 0;
  /** The two ends. Ports of the peer may be any behind a NAT. */
  local = "";
  remote = "";
  localPort = wire.IKE_PORT;
  remotePort = wire.IKE_PORT;
  /** A NAT is before us, or before the peer. */
  natLocal = false;
  natRemote = false;
  encapsulate = false;
  peer: Identity | null = null;
  /** What the peer can do. */
  fragments = false;
  mobike = false;
  /** Its addresses beside `remote` (MOBIKE). */
  others: string[] = [];
  redirects = false;
  /** It was sent elsewhere, and is to say goodbye. */
  leaving = false;
  /** The gateway that has sent it to us, or `""`. */
  redirectedFrom = "";
  /** It announced that it verifies signatures as in RFC 7427: hash algorithms, bit 1 << number. */
  hashes = 0;
  /** Both know such keys, ours is this one; it has gone into the keys (of the responder). */
  ppk: PostquantumKey | null = null;
  mixed = false;
  /** Methods of the additional key exchanges that are still to be done, and what AUTH covers of those that are. */
  steps: number[] = [];
  proofI = new Uint8Array(0);
  proofR = new Uint8Array(0);
  /** The virtual addresses of ours, or those we have given. */
  addresses: Uint8Array[] = [];
  readonly children: ChildSa[] = [];
  /** Children that the peer could not make just now. */
  readonly wanted: ChildSettings[] = [];
  /** It takes this one's place. */
  successor: IkeSa | null = null;
  /** What a feature keeps of it. */
  partial: unknown = null;
  /** The peer has begun to replace it, and more key exchanges are to follow. */
  pending: { abort(): void } | null = null;
  task: Task | null = null;
  readonly tasks: Task[] = [];
  lastHeard = 0;
  /** Message IDs: of our next request, of the peer's next. */
  sendId = 0;
  receiveId = 0;
  /** A request of the peer's is being dealt with. */
  busy = false;
  private sentExchange = 0;
  private waiting = false;
  private packets: Uint8Array[] = [];
  private sends = 0;
  /** Which way the peer's last request came: its answer goes back the same way, wherever the SA's ends are (section 2.11). */
  private askedAt = "";
  private askedAtPort = 0;
  private askedBy = "";
  private askedByPort = 0;
  /** What the peer's last request was answered with, and the end of that request. */
  private replies: Uint8Array[] = [];
  private readonly mark = new Uint8Array(MARK);
  private readonly nextMark = new Uint8Array(MARK);
  private readonly retransmit: Timer;
  readonly timer: Timer;
  private readonly rekeyTimer: Timer;
  private readonly wantedTimer: Timer;

  constructor(
    readonly ike: Ike,
    /** Which of the configured connections it is of: of a responder not known before IKE_AUTH. */
    public connection: Connection | null,
    readonly initiator: boolean,
  ) {
    this.retransmit = new Timer(late, this);
    this.timer = new Timer(silent, this);
    this.rekeyTimer = new Timer(old, this);
    this.wantedTimer = new Timer(retry, this);
  }

  settings(): Settings {
    return this.connection!.settings;
  }

  /** SPIs: ours, the peer's. */
  mine(): Uint8Array {
    return this.initiator ? this.spiI : this.spiR;
  }

  theirs(): Uint8Array {
    return this.initiator ? this.spiR : this.spiI;
  }

  /* Requests of ours */

  /** Queues a request. False: too many wait. */
  request(task: Task): boolean {
    if (this.dead || this.tasks.length >= TASKS) return false;
    this.tasks.push(task);
    if (!this.task) this.next();
    return true;
  }

  /** The current request is done: the next one's turn. */
  next(): void {
    this.task = null;
    if (this.dead) return;
    const task = this.tasks.shift();
    if (!task) return;
    this.task = task;
    task.start(this);
  }

  /** Sends a request, encrypted. */
  send(exchange: number, chain: Writer): void {
    const flags = this.initiator ? wire.FLAG_INITIATOR : 0;
    const packets = this.seal(exchange, flags, this.sendId, chain);
    if (!packets) this.end(EPROTO, 0);
    else this.sendPackets(exchange, packets);
  }

  /** Sends a request that is ready, and again until there is an answer. */
  sendPackets(exchange: number, packets: Uint8Array[]): void {
    this.packets = packets;
    this.sentExchange = exchange;
    this.waiting = true;
    this.sends = 0;
    this.again();
  }

  /** Sends the request (again); the peer is dead when that has been done often enough. */
  again(): void {
    const settings = this.settings();
    if (this.sends >= settings.attempts) {
      this.ike.counters.timeouts++;
      this.end(ETIMEDOUT, 0);
      return;
    }
    if (this.sends > 0) this.ike.counters.retransmitted++;
    let wait = settings.retransmit;
    for (let i = 0; i < this.sends && wait < 60000; i++) wait *= 2;
    this.sends++;
    const timers = this.ike.stack.timers;
    timers.set(this.retransmit, (this.ike.stack.now() + wait) | 0);
    if (this.strays()) {
      this.ike.options.mobility!.ways(this, (local, remote) => this.transmit(this.packets, local, remote));
    } else this.transmit(this.packets);
  }

  /** Does the request go by all ways? */
  private strays(): boolean {
    return this.sends > STRAY && this.initiator && this.established && this.mobike;
  }

  /** There is an answer: stops sending. */
  answered(): void {
    this.waiting = false;
    this.packets = [];
    this.ike.stack.timers.clear(this.retransmit);
  }

  /* Answers of ours */

  /** Answers the request that is being dealt with. */
  reply(exchange: number, chain: Writer): void {
    const flags = (this.initiator ? wire.FLAG_INITIATOR : 0) | wire.FLAG_RESPONSE;
    const packets = this.seal(exchange, flags, this.receiveId, chain);
    if (packets) this.replyPackets(packets);
    else this.end(EPROTO, 0);
  }

  replyPackets(packets: Uint8Array[]): void {
    this.busy = false;
    this.receiveId++;
    this.mark.set(this.nextMark, 0);
    this.replies = packets;
    this.giveBack(packets);
  }

  private giveBack(packets: Uint8Array[]): void {
    for (let i = 0; i < packets.length; i++) {
      this.ike.ports.send(this.askedAt, this.askedAtPort, this.askedBy, this.askedByPort, packets[i]);
    }
  }

  private asked(info: DatagramInfo, port: number): void {
    this.askedAt = info.localAddress;
    this.askedAtPort = port;
    this.askedBy = info.address;
    this.askedByPort = info.port;
  }

  /** Answers with a notification alone. */
  replyNotify(exchange: number, type: number, data?: Uint8Array): void {
    this.reply(exchange, new Writer().notify(type, data));
  }

  private seal(exchange: number, flags: number, id: number, chain: Writer): Uint8Array[] | null {
    chain.end();
    const fragmentation = this.ike.options.fragmentation;
    if (fragmentation && this.fragments) {
      const packets = fragmentation.split(this, exchange, flags, id, chain);
      if (packets) return packets;
    }
    const packet = this.outbound!.seal(
      this.spiI,
      this.spiR,
      exchange,
      flags,
      id,
      chain.first,
      chain.data,
      0,
      chain.length,
      0,
    );
    return packet && [packet];
  }

  transmit(packets: Uint8Array[], local = this.local, remote = this.remote): void {
    for (let i = 0; i < packets.length; i++) {
      this.ike.ports.send(local, this.localPort, remote, this.remotePort, packets[i]);
    }
  }

  /* What comes */

  /** A message with our SPI. Nothing of it is proven yet. */
  input(message: Message, info: DatagramInfo, port: number): void {
    const counters = this.ike.counters;
    const response = message.response();
    if (this.dead || ((message.flags & wire.FLAG_INITIATOR) !== 0) === this.initiator) {
      counters.unexpected++;
      return;
    }
    if (response ? !this.expects(message) : !this.isNext(message, info, port)) return;
    if (!this.inbound) {
      // IKE_SA_INIT's answer, in the clear.
      if (response && message.exchange === wire.IKE_SA_INIT && this.task) {
        if (
          parsePayloads(
            message,
            message.raw,
            wire.IKE_HEADER,
            message.raw.length,
            message.raw[wire.IKE_NEXT],
          ) !== 0
        )
          counters.malformed++;
        else this.task.answer(this, message);
      } else counters.unexpected++;
      return;
    }
    if (!this.open(message, info, port)) return;
    this.lastHeard = this.ike.stack.now();
    this.follow(info, port);
    if (response) {
      if (this.strays()) this.ike.options.mobility!.arrived(this, info.localAddress, info.address);
      this.answered();
      this.sendId++;
      if (this.task) this.task.answer(this, message);
    } else {
      this.busy = true;
      answerRequest(this, message, info);
    }
  }

  /** An answer to what we have asked last? */
  private expects(message: Message): boolean {
    if (this.waiting && message.id === this.sendId && message.exchange === this.sentExchange) return true;
    this.ike.counters.unexpected++;
    return false;
  }

  /** The peer's next request? The one before it is answered as it was, without a look into it. */
  private isNext(message: Message, info: DatagramInfo, port: number): boolean {
    const raw = message.raw;
    if (message.id === this.receiveId && !this.busy && message.exchange !== wire.IKE_SA_INIT) return true;
    if (
      message.id === this.receiveId - 1 &&
      this.replies.length > 0 &&
      raw.length >= MARK &&
      this.isMarked(raw)
    ) {
      this.ike.counters.repeated++;
      // A peer that moves tries several ways with the same request (RFC 4555 section 3.10).
      if (this.mobike) this.asked(info, port);
      this.giveBack(this.replies);
    } else this.ike.counters.unexpected++;
    return false;
  }

  /** The request in `raw` is authentic: its tag is what its copies are known by. Of fragments the first one stands for all. */
  remember(raw: Uint8Array): void {
    this.nextMark.set(raw.subarray(raw.length - MARK), 0);
  }

  private isMarked(raw: Uint8Array): boolean {
    for (let i = 0; i < MARK; i++) if (this.mark[i] !== raw[raw.length - MARK + i]) return false;
    return true;
  }

  /** Decrypts the message and reads its payloads; false: that is all there is to do with it. */
  private open(message: Message, info: DatagramInfo, port: number): boolean {
    const counters = this.ike.counters;
    const raw = message.raw;
    const outer = parsePayloads(message, raw, wire.IKE_HEADER, raw.length, raw[wire.IKE_NEXT]);
    const last = message.types.length - 1;
    const type = last < 0 ? 0 : message.types[last];
    if (outer !== 0 || (type !== wire.PAYLOAD_SK && type !== wire.PAYLOAD_SKF)) {
      counters.malformed++;
      return false;
    }
    const fragmentation = this.ike.options.fragmentation;
    const inbound = this.inbound!;
    let first = raw[message.starts[last] - wire.PAYLOAD_HEADER];
    let data = raw;
    let at = 0;
    let end = 0;
    if (type === wire.PAYLOAD_SKF) {
      if (!fragmentation || !this.fragments) {
        counters.malformed++;
        return false;
      }
      const whole = fragmentation.join(this, message);
      if (!whole) return false;
      first = whole.first;
      data = whole.data;
      end = data.length;
    } else if (inbound.open(raw, message.starts[last], message.ends[last])) {
      at = inbound.opened.from;
      end = inbound.opened.till;
      if (!message.response()) this.remember(raw);
    } else {
      counters.unauthentic++;
      return false;
    }
    if (!message.response()) this.asked(info, port);
    message.types.splice(0, last + 1);
    message.starts.splice(0, last + 1);
    message.ends.splice(0, last + 1);
    message.inner = data.subarray(at, end) as Uint8Array<ArrayBuffer>;
    message.first = first;
    const code = parsePayloads(message, data, at, end, first);
    if (code === 0) return true;
    counters.malformed++;
    if (message.response()) {
      // An authentic peer that cannot write: nothing good comes of it (RFC 7296 section 2.21.3).
      this.end(EPROTO, 0);
    } else if (code > 0) {
      const named = new Uint8Array(1);
      named[0] = code;
      this.busy = true;
      this.replyNotify(message.exchange, wire.UNSUPPORTED_CRITICAL_PAYLOAD, named);
    } else {
      this.busy = true;
      this.replyNotify(message.exchange, wire.INVALID_SYNTAX);
      this.end(EPROTO, wire.INVALID_SYNTAX);
    }
    return false;
  }

  /** The peer's NAT has given it another address: answers go there (RFC 7296 section 2.23). */
  private follow(info: DatagramInfo, port: number): void {
    if (!this.initiator && !this.established) {
      // The peer has found a NAT, and goes on where ESP is let through.
      this.localPort = port;
      this.remotePort = info.port;
      return;
    }
    if (this.remote === info.address && this.remotePort === info.port) return;
    if (!this.natRemote || this.natLocal || this.mobike || port !== wire.IKE_NAT_PORT) return;
    this.remote = info.address;
    this.remotePort = info.port;
    this.moved();
  }

  /** The ends of its child SAs are elsewhere. */
  moved(): void {
    for (let i = 0; i < this.children.length; i++) {
      const child = this.children[i];
      child.local = this.local;
      child.remote = this.remote;
      child.localPort = this.encapsulate ? this.localPort : 0;
      child.remotePort = this.encapsulate ? this.remotePort : 0;
      if (this.ike.sink) this.ike.sink.update(child);
    }
  }

  /* Life */

  /** It is authenticated. */
  establish(told: boolean): void {
    this.established = true;
    this.first = this.second = new Uint8Array(0);
    this.lastHeard = this.ike.stack.now();
    this.ike.counters.established++;
    this.connection!.up(this, told);
    this.arm();
    const rekey = this.settings().rekey;
    if (rekey > 0) this.ike.stack.timers.set(this.rekeyTimer, this.ike.soon(rekey));
  }

  /** Looks for the peer again when it has been silent for long enough. */
  arm(): void {
    const period = livenessPeriod(this);
    if (period > 0 && !this.dead) this.ike.stack.timers.set(this.timer, (this.ike.stack.now() + period) | 0);
  }

  /** Asks for a child a little later. */
  childLater(settings: ChildSettings, delay: number): void {
    if (this.dead) return;
    if (this.wanted.indexOf(settings) < 0) this.wanted.push(settings);
    this.ike.stack.timers.set(this.wantedTimer, (this.ike.stack.now() + delay) | 0);
  }

  /** Rekeys it a little later: the peer could not now. */
  rekeyLater(delay: number): void {
    if (!this.dead) this.ike.stack.timers.set(this.rekeyTimer, this.ike.soon(delay));
  }

  /**
   * It is gone, with all child SAs: no word to the peer.
   *
   * @param code 0: its successor has all it had
   */
  end(code: number, notification: number): void {
    if (this.dead) return;
    const ike = this.ike;
    const task = this.task;
    this.dead = true;
    if (task && task.abort) task.abort(this);
    if (this.pending) this.pending.abort();
    ike.stack.timers.clear(this.retransmit);
    ike.stack.timers.clear(this.timer);
    ike.stack.timers.clear(this.rekeyTimer);
    ike.stack.timers.clear(this.wantedTimer);
    while (this.children.length > 0) ike.dropChild(this.children[this.children.length - 1]);
    this.tasks.splice(0, this.tasks.length);
    if (this.exchange) this.exchange.close();
    if (this.inbound) this.inbound.close();
    if (this.outbound) this.outbound.close();
    if (this.keys) this.keys.erase();
    if (ike.options.fragmentation) ike.options.fragmentation.forget(this);
    erase(this.nonceI);
    ike.removeSa(this);
    if (!this.successor && ike.options.addresses) ike.options.addresses.release(this);
    if (this.connection && !this.successor) this.connection.down(this, code, notification);
  }
}

function late(sa: IkeSa): void {
  sa.again();
}

function silent(sa: IkeSa): void {
  if (sa.established) liveness(sa);
  else sa.end(ETIMEDOUT, 0);
}

function retry(sa: IkeSa): void {
  while (sa.wanted.length > 0) sa.request(new CreateChild(sa.wanted.shift()!, null));
}

function old(sa: IkeSa): void {
  rekeyIke(sa);
}
