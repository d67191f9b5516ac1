/**
 * Packets that wait for ciphers which answer later (Web Crypto, a DMA engine): `ipsec({ queue: cipherQueue() })`.
 *
 * A packet is copied, given to its SA's cipher, and goes on when that has answered: out of the host, or on its way in. A cipher answers in
 * the order in which it was asked, and so an SA's packets stay in order. What waits is bounded, each way for itself: who sends is told to
 * wait (`EAGAIN`, and that there is room again), what comes in is dropped and counted. With an SA's end what waits for its cipher is gone.
 */
import { CIPHER_DONE, CIPHER_FAILED, erase } from "../../hypercall/crypto.js";
import type { CipherJob } from "../../hypercall/crypto.js";
import { EACCES, ENOBUFS, fail, setting } from "../core/errors.js";
import { POLICY_TAKEN } from "../core/network.js";
import type { Path } from "../core/network.js";
import { Packet } from "../core/packet.js";
import { HEADROOM } from "../core/stack.js";
import type { Deferred, Stack } from "../core/stack.js";
import { resume } from "./input.js";
import { OPEN_PENDING } from "./ipsec.js";
import type { Ipsec, PacketQueue, SecurityProtocol } from "./ipsec.js";
import { encapsulate, sendProtected } from "./output.js";
import { TRANSPORT } from "./sa.js";
import type { Sa } from "./sa.js";

export interface CipherQueueOptions {
  /** Packets that wait at most, each way. Default 64: of 1500 bytes that is 128 KiB each way, when they have all been needed. */
  packets?: number;
}

/** Behind a packet that came in: BEET gives it a larger header. Before it: whoever forwards it writes a link's. */
const ROOM = 64;
/** Memory that a packet at rest keeps, bytes: larger ones are given back. */
const KEPT = 2048;
/** A way, by its place in `waiting`. */
const OUT = 0;
const IN = 1;

/** A packet that waits, and its cipher's job. */
class Waiting implements CipherJob {
  data = new Uint8Array(0);
  start = 0;
  end = 0;
  tag = 0;
  readonly nonce = new Uint8Array(12);
  readonly aad = new Uint8Array(12);
  aadStart = 0;
  aadEnd = 0;
  readonly packet = new Packet(this.data);
  way = OUT;
  sa: Sa = null as never;
  protocol: SecurityProtocol = null as never;
  result = 0;
  /** Of the sequence number; what the packet was on the wire; how deep it lies; whether it came in UDP. */
  high = 0;
  length = 0;
  layers = 0;
  encapsulated = false;

  constructor(private readonly queue: Queue) {}

  done(_job: CipherJob, result: number): void {
    this.result = result;
    this.queue.answered(this);
  }
}

class Queue implements PacketQueue, Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  private own: Ipsec = null as never;
  private stack: Stack = null as never;
  private readonly free: Waiting[] = [];
  /** Answered while the stack was busy, oldest first. */
  private readonly ready: Waiting[] = [];
  private readonly waiting = [0, 0];
  /** Somebody was told to wait. */
  private refused = false;

  constructor(private readonly limit: number) {}

  attach(own: Ipsec): void {
    if (this.own) fail("EBUSY", "cipherQueue");
    this.own = own;
    this.stack = own.stack;
  }

  full(): boolean {
    if (this.waiting[OUT] < this.limit) return false;
    this.refused = true;
    return true;
  }

  seal(sa: Sa, packet: Packet, next: number, path: Path, protocol: SecurityProtocol): number {
    const length = packet.end - packet.start;
    // Later it goes by the SA's own way, which in transport mode is the packet's as well.
    if (path !== sa.path && !this.sameEnds(sa, path)) return EACCES;
    const slot = this.take(OUT, sa, packet, packet.start, HEADROOM, protocol.growth(sa, length));
    if (!slot) return ENOBUFS;
    const own = slot.packet;
    slot.protocol = protocol;
    own.flags = packet.flags;
    own.tos = path.tos;
    own.ttl = path.ttl;
    const result = protocol.seal(sa, own, next, path);
    if (result === CIPHER_FAILED) {
      this.release(slot);
      return EACCES;
    }
    if (result === CIPHER_DONE) slot.done(slot, result);
    return POLICY_TAKEN;
  }

  open(sa: Sa, packet: Packet, protocol: SecurityProtocol, encapsulated: boolean): void {
    const slot = this.waiting[IN] < this.limit ? this.take(IN, sa, packet, packet.network, ROOM, ROOM) : null;
    if (!slot) {
      this.own.counters.queueFull++;
      return;
    }
    const own = slot.packet;
    own.network = own.start;
    own.start += packet.start - packet.network;
    own.nif = packet.nif;
    own.net = packet.net;
    own.flags = packet.flags;
    own.source = packet.source;
    own.destination = packet.destination;
    own.protocol = packet.protocol;
    own.ttl = packet.ttl;
    own.tos = packet.tos;
    own.pseudo = packet.pseudo;
    own.mark = packet.mark;
    slot.protocol = protocol;
    slot.length = packet.end - packet.start;
    slot.layers = this.own.layers;
    slot.encapsulated = encapsulated;
    // What is dropped at once has been counted.
    const next = protocol.open(sa, own);
    slot.high = sa.window.candidate;
    if (next !== OPEN_PENDING) this.release(slot);
  }

  /** The host's answer has come. It does not come from within a call, but for that of an SA's end. */
  answered(slot: Waiting): void {
    this.ready.push(slot);
    if (this.stack.busy || slot.sa.closed) this.stack.defer(this);
    else this.run();
  }

  /** Goes on with what has been answered. */
  run(): void {
    const stack = this.stack;
    if (stack.busy) {
      stack.defer(this);
      return;
    }
    // As when an interface receives: applications hear of it afterwards.
    if (stack.lender) stack.reclaim();
    while (this.ready.length > 0) {
      const slot = this.ready.shift() as Waiting;
      stack.busy = true;
      stack.timely = false;
      try {
        this.goOn(slot);
      } catch (error) {
        stack.host.panic(error);
      }
      stack.busy = false;
      if (stack.lender) stack.reclaim();
      this.release(slot);
    }
    if (this.refused && this.waiting[OUT] * 2 <= this.limit) {
      this.refused = false;
      stack.linkWritable();
    }
    if (stack.deferred || stack.overdue) stack.runDeferred();
  }

  private goOn(slot: Waiting): void {
    const sa = slot.sa;
    const packet = slot.packet;
    if (sa.closed) return;
    if (slot.result !== CIPHER_DONE) {
      if (slot.way === OUT) slot.protocol.counters.cipher++;
      else slot.protocol.counters.auth++;
    } else if (slot.way === OUT) {
      sa.path.tos = packet.tos;
      sa.path.ttl = packet.ttl;
      sendProtected(this.own, packet, sa, sa.path, encapsulate(this.own, packet, sa, sa.path));
    } else {
      sa.window.candidate = slot.high;
      const next = slot.protocol.opened!(sa, packet);
      this.own.layers = slot.layers;
      if (next >= 0) resume(this.own, sa, packet, slot.protocol, next, slot.length, slot.encapsulated);
    }
  }

  private sameEnds(sa: Sa, path: Path): boolean {
    const net = sa.net;
    const ends = new Uint8Array(64);
    this.own.sending = true;
    const code = net.route(sa.path);
    this.own.sending = false;
    if (code < 0 || sa.mode !== TRANSPORT) return false;
    net.savePath(path, ends, 0);
    net.savePath(sa.path, ends, 32);
    for (let i = 0; i < net.addressSize * 2; i++) if (ends[i] !== ends[32 + i]) return false;
    return true;
  }

  /** A copy of `packet` from `from` on, with `before` and `behind` bytes around it; null: no memory. */
  private take(
    way: number,
    sa: Sa,
    packet: Packet,
    from: number,
    before: number,
    behind: number,
  ): Waiting | null {
    const length = packet.end - from;
    const slot = this.free.pop() || new Waiting(this);
    const own = slot.packet;
    const size = before + length + behind;
    if (own.data.length < size) {
      const data = this.stack.host.allocate(size > KEPT ? size : KEPT);
      if (!data) {
        this.free.push(slot);
        return null;
      }
      own.data = data;
    }
    own.start = before;
    own.end = before + length;
    this.stack.host.copy(own.data, before, packet.data, from, length);
    own.segmentSize = 0;
    own.checksumField = -1;
    slot.way = way;
    slot.sa = sa;
    sa.transform.lend(slot);
    this.waiting[way]++;
    return slot;
  }

  private release(slot: Waiting): void {
    this.waiting[slot.way]--;
    erase(slot.nonce);
    slot.sa = slot.protocol = null as never;
    slot.packet.nif = slot.packet.net = null;
    slot.data = NOTHING;
    if (slot.packet.data.length > KEPT) slot.packet.data = NOTHING;
    this.free.push(slot);
  }
}

const NOTHING = new Uint8Array(0);

/** For ciphers that answer later: `ipsec({ queue: cipherQueue() })`. Throws `EINVAL`. */
export function cipherQueue(options: CipherQueueOptions = {}): PacketQueue {
  return new Queue(setting(options.packets, 64, 1, 4096, "packets"));
}
