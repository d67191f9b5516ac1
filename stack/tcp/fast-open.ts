/**
 * TCP Fast Open (RFC 7413): data travel with the SYN, and are delivered before the handshake ends.
 *
 * A server gives a cookie to whoever asks, a keyed hash of both addresses, and takes data in SYNs that bring it back: the sender is
 * where it says it is. Keys are random and change; the last one holds for one period more. A client remembers the cookies of servers,
 * the most recently used ones. Whatever does not fit (no cookie, an old one, too many handshakes open) ends in the usual handshake,
 * and the data go after it.
 *
 * Data in a SYN may be delivered twice (section 2.1): for requests that may be repeated. Therefore both ends ask for it.
 */
import { ENOBUFS, fail, requireBytes, setting } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import * as wire from "../wire/tcp.js";
import { connect } from "./active.js";
import type { TcpConnectOptions } from "./active.js";
import { synWindow } from "./buffer.js";
import { end } from "./close.js";
import { CLOSED, PROTOCOL_TCP, REXMIT, SYN_SENT, handshaking } from "./connection.js";
import type { Connection } from "./connection.js";
import { establish, takeData } from "./input.js";
import { TAILROOM, appendOption, findOption } from "./options.js";
import { mayEstablish } from "./passive.js";
import type { Segment } from "./segment.js";
import type { TcpSocket } from "./socket.js";
import type { Tcp } from "./tcp.js";
import { setDeadline } from "./timers.js";

/** The stack's key serves other hashes, too: none of them begins like this. */
const DOMAIN = 0x54464f43;
/** Bytes of a cookie of ours, and of the longest of others' that fits a SYN beside the other options (section 4.1.1). */
const COOKIE = 8;
const LONGEST_COOKIE = 14;
/** A handshake that was reset counts as open for so long, ms: a thief of cookies cannot hide by resets (section 5.1). */
const RESET_AGE = 60000;

export interface FastOpenOptions {
  /** Servers whose cookies are remembered. Default 64. */
  cache?: number;
  /** Connections that have delivered data and whose handshake has not ended, at most; beyond that SYNs' data wait. Default 16. */
  pending?: number;
  /** How often the key changes, ms: a cookie holds for one to two of these. Default 3600000. */
  rotation?: number;
  /** For how long a server that gave no cookie, or whose path lost a SYN with data, is not asked again, ms. Default 600000. */
  refusal?: number;
}

export class FastOpenCounters {
  /** Client: SYNs that asked for a cookie, SYNs with data, those whose data were taken, and those where they were not. */
  asked = 0;
  sent = 0;
  taken = 0;
  refused = 0;
  /** Server: cookies given, data taken from SYNs, cookies that are wrong or too old, SYNs with data beyond `pending`. */
  granted = 0;
  accepted = 0;
  invalid = 0;
  full = 0;
}

/** What TCP tells the component. */
export interface EarlyData {
  /** A SYN or SYN-ACK is about to leave: adds the option, and data. */
  syn(c: Connection, packet: Packet): void;
  /** A SYN has come for a listener; `c` is half-open. */
  offered(c: Connection, segment: Segment, packet: Packet): void;
  /** The SYN-ACK has come; `sndUna` is what it acknowledges. */
  answered(c: Connection, segment: Segment, packet: Packet): void;
}

/** What is known of a server. */
class Server {
  /** Its cookie, or null. */
  cookie: Uint8Array | null = null;
  /** MSS that it announced last. */
  mss = 536;
  refused = false;
  refusedAt = 0;

  constructor(readonly address: string) {}
}

/** A connection under way to `server`. */
class Attempt {
  /** The SYN carried data. */
  early = false;

  constructor(
    readonly c: Connection,
    readonly server: Server,
  ) {}
}

/** A connection that has delivered data before its handshake ended. */
class Pending {
  constructor(
    readonly c: Connection,
    readonly since: number,
  ) {}
}

/** A key of cookies. */
class Key {
  readonly words: number[] = [];

  constructor(
    bytes: Uint8Array,
    readonly since: number,
  ) {
    for (let i = 0; i < bytes.length; i += 4)
      this.words.push(bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24));
  }
}

export class FastOpen implements Component, EarlyData {
  readonly name = "fastOpen";
  private readonly counters = new FastOpenCounters();
  /** The one used last is the last. */
  private readonly servers: Server[] = [];
  private readonly attempts: Attempt[] = [];
  private readonly pendings: Pending[] = [];
  private readonly cache: number;
  private readonly pending: number;
  private readonly rotation: number;
  private readonly refusal: number;
  private key: Key | null = null;
  private oldKey: Key | null = null;
  /** Whose SYN-ACK brings a cookie. */
  private granted: Connection | null = null;
  /** Where the option's content lies, and how long it is; -1: there is no option. */
  private at = 0;
  private length = -1;
  /** What the SYN of the connection that is being opened is to carry. */
  private data: Uint8Array | null = null;
  private stack: Stack = null as never;
  private tcp: Tcp = null as never;

  constructor(options: FastOpenOptions) {
    this.cache = setting(options.cache, 64, 1, 65535, "cache");
    this.pending = setting(options.pending, 16, 0, 65535, "pending");
    this.rotation = setting(options.rotation, 3600000, 1000, 0x1fffffff, "rotation");
    this.refusal = setting(options.refusal, 600000, 0, 0x3fffffff, "refusal");
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "fastOpen");
    this.stack = stack;
    stack.counters.fastOpen = this.counters as never;
  }

  start(): void {
    this.tcp = this.stack.transport(PROTOCOL_TCP) as unknown as Tcp;
    if (!this.tcp) fail("ENOPROTOOPT", "fastOpen needs tcp");
    this.tcp.early = this;
  }

  close(): void {}

  /**
   * Opens a connection as `Tcp.connect` does, and sends `data` in the SYN where the server has given a cookie before, else after the
   * handshake. They are copied, at most as many as the send buffer starts with. `close` before `onConnect` takes back what has not been
   * delivered yet. Thrown: as by `Tcp.connect`; `EINVAL` data that are too long.
   */
  connect(options: TcpConnectOptions, data: Uint8Array): TcpSocket {
    requireBytes(data, 0, data.length, "data");
    const tcp = this.tcp;
    if (data.length > tcp.sendStart) fail("EINVAL", "data");
    this.data = data;
    try {
      const socket = connect(tcp, options);
      const c = tcp.last;
      // No SYN could be made yet: it goes without them.
      if (this.data && c && c.socket === socket && c.state === SYN_SENT) this.queue(c);
      return socket;
    } finally {
      this.data = null;
    }
  }

  syn(c: Connection, packet: Packet): void {
    if (c.state !== SYN_SENT) {
      if (this.granted === c) this.grant(c, packet);
      return;
    }
    // What is sent again goes without option and data (section 4.1.3).
    if (!this.data || !this.queue(c)) return;
    this.data = null;
    this.prune();
    const server = this.find(c);
    const attempt = new Attempt(c, server);
    if (server.refused && (this.tcp.time - server.refusedAt) >>> 0 < this.refusal) return;
    server.refused = false;
    const cookie = server.cookie;
    if (!this.emit(packet, cookie)) return;
    this.attempts.push(attempt);
    if (!cookie) {
      this.counters.asked++;
      return;
    }
    const header = packet.end - packet.start;
    const mss = server.mss + wire.TCP_HEADER - header;
    const mtu = c.path.mtu - c.path.net.headerSize - header;
    const room = packet.data.length - packet.end - TAILROOM;
    let length = c.sndBuf.length;
    if (length > mss) length = mss;
    if (length > mtu) length = mtu;
    if (length > room) length = room;
    if (length <= 0) return;
    c.sndBuf.read(0, packet.data, packet.end, length);
    packet.end += length;
    c.sndNxt = (c.sndNxt + length) | 0;
    attempt.early = true;
    this.counters.sent++;
  }

  offered(c: Connection, segment: Segment, packet: Packet): void {
    const tcp = this.tcp;
    if (!c.listener || !c.listener.options.fastOpen) return;
    this.parse(segment, packet);
    if (this.length < 0 || !this.renew()) return;
    const valid = this.length === COOKIE ? this.check(c, segment.data) : 0;
    if (valid < 2) this.granted = c;
    if (this.length > 0 && valid === 0) this.counters.invalid++;
    if (valid === 0 || segment.length === 0 || !mayEstablish(c)) return;
    this.prune();
    if (this.pendings.length >= this.pending) {
      this.counters.full++;
      return;
    }
    this.pendings.push(new Pending(c, tcp.time));
    this.counters.accepted++;
    establish(c, segment);
    // The SYN-ACK is still to be acknowledged, and is sent until it is.
    setDeadline(c, REXMIT, (tcp.time + c.rto) | 0);
    const window = synWindow(c);
    c.rcvAdv = (c.rcvNxt + window) | 0;
    takeData(c, c.rcvNxt, segment.data, segment.at, segment.length < window ? segment.length : window);
    c.unacked = 0;
    c.ackNow = false;
  }

  answered(c: Connection, segment: Segment, packet: Packet): void {
    const taken = (c.sndUna - c.sndBufSeq) | 0;
    if (taken > 0) {
      c.sndBuf.consume(taken);
      c.sndBufSeq = c.sndUna;
    }
    // What was not taken is as if it had never been sent.
    c.sndNxt = c.sndUna;
    const attempt = this.attemptOf(c);
    if (!attempt) return;
    const server = attempt.server;
    server.mss = c.peerMss;
    this.parse(segment, packet);
    const given = this.length >= 4 && this.length <= LONGEST_COOKIE && this.length % 2 === 0;
    if (given) {
      server.cookie = new Uint8Array(this.length);
      server.cookie.set(segment.data.subarray(this.at, this.at + this.length));
    }
    if (taken > 0) this.counters.taken++;
    else if (attempt.early) this.counters.refused++;
    // No cookie for who asked, or the SYN with the data was lost: the path may not bear it (section 4.1.3.1).
    if (taken > 0 || (given && c.retries === 0) || (attempt.early && c.retries === 0)) return;
    server.refused = true;
    server.refusedAt = this.tcp.time;
  }

  /** Queues the data of the connection that is being opened; there is no room: it ends. */
  private queue(c: Connection): boolean {
    const data = this.data as Uint8Array;
    if (c.sndBuf.append(data, 0, data.length, 0)) return true;
    this.data = null;
    end(c, ENOBUFS);
    return false;
  }

  private find(c: Connection): Server {
    const address = c.path.net.remoteText(c.path);
    const servers = this.servers;
    let server: Server | null = null;
    for (let i = 0; i < servers.length && !server; i++) {
      if (servers[i].address === address) server = servers.splice(i, 1)[0];
    }
    if (!server) {
      server = new Server(address);
      if (servers.length >= this.cache) servers.shift();
    }
    servers.push(server);
    return server;
  }

  private attemptOf(c: Connection): Attempt | null {
    for (let i = 0; i < this.attempts.length; i++) {
      if (this.attempts[i].c === c) return this.attempts.splice(i, 1)[0];
    }
    return null;
  }

  /** Forgets attempts that have failed, and handshakes that have ended. */
  private prune(): void {
    const now = this.tcp.time;
    for (let i = this.attempts.length - 1; i >= 0; i--) {
      if (this.attempts[i].c.state === CLOSED) this.attempts.splice(i, 1);
    }
    for (let i = this.pendings.length - 1; i >= 0; i--) {
      const pending = this.pendings[i];
      const open = handshaking(pending.c);
      const gone = pending.c.state === CLOSED && (now - pending.since) >>> 0 >= RESET_AGE;
      if (!open || gone) this.pendings.splice(i, 1);
    }
  }

  /** Finds the option in the segment's header. */
  private parse(segment: Segment, packet: Packet): void {
    const kind = wire.OPTION_FAST_OPEN;
    this.at = findOption(segment, packet, kind, kind);
    this.length = this.at < 0 ? -1 : segment.data[this.at - 1] - 2;
  }

  /** Writes the option behind the others; null: an empty one, which asks. False: the header has no room. */
  private emit(packet: Packet, cookie: Uint8Array | null): boolean {
    const at = appendOption(packet, wire.OPTION_FAST_OPEN, 2 + (cookie ? cookie.length : 0));
    if (at >= 0 && cookie) packet.data.set(cookie, at);
    return at >= 0;
  }

  private grant(c: Connection, packet: Packet): void {
    const cookie = new Uint8Array(COOKIE);
    this.hash(c, this.key as Key);
    const hash = hashOf(this.stack);
    for (let i = 0; i < COOKIE; i++) cookie[i] = (i < 4 ? hash.low : hash.high) >>> ((i & 3) << 3);
    if (this.emit(packet, cookie)) this.counters.granted++;
  }

  /** 2: the option holds the cookie of the peer, 1: that of the last key, 0: neither. */
  private check(c: Connection, data: Uint8Array): number {
    for (let age = 0; age < 2; age++) {
      const key = age === 0 ? this.key : this.oldKey;
      if (!key) continue;
      this.hash(c, key);
      const hash = hashOf(this.stack);
      let differ = 0;
      for (let i = 0; i < COOKIE; i++)
        differ |= (data[this.at + i] ^ ((i < 4 ? hash.low : hash.high) >>> ((i & 3) << 3))) & 255;
      if (differ === 0) return 2 - age;
    }
    return 0;
  }

  private hash(c: Connection, key: Key): void {
    const hash = hashOf(this.stack);
    hash.begin(2);
    hash.word(DOMAIN);
    for (let i = 0; i < key.words.length; i++) hash.word(key.words[i]);
    c.path.net.hashPath(c.path);
    hash.end();
  }

  /** Changes the key when its time has come; false: there is none, because the host has no entropy. */
  private renew(): boolean {
    const now = this.tcp.time;
    if (this.oldKey && (now - this.oldKey.since) >>> 0 >= 2 * this.rotation) this.oldKey = null;
    const age = this.key ? (now - this.key.since) >>> 0 : 0;
    if (this.key && age < this.rotation) return true;
    const bytes = new Uint8Array(8);
    if (this.stack.host.random(bytes)) {
      this.oldKey = age < 2 * this.rotation ? this.key : null;
      this.key = new Key(bytes, now);
    } else if (age >= 2 * this.rotation) this.key = null;
    return this.key !== null;
  }
}

/**
 * TCP Fast Open, beside `tcp()` in the list of components: `early = fastOpen()`, then `early.connect(options, data)`, and
 * `listen({ port, fastOpen: true })`. Counters: `fastOpen`.
 */
export function fastOpen(options: FastOpenOptions = {}): FastOpen {
  return new FastOpen(options);
}
