/** TCP (RFC 9293): the component. Its settings, and what connections share; the clauses have files of their own. */
import { EADDRNOTAVAIL, ECONNABORTED, fail, setting } from "../core/errors.js";
import type { Network, Path } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import { Timer } from "../core/timers.js";
import { connect } from "./active.js";
import type { TcpConnectOptions } from "./active.js";
import { feed } from "./buffer.js";
import { end, forget } from "./close.js";
import { newReno } from "./congestion.js";
import type { Congestion } from "./congestion.js";
import { CONNECTION_BYTES, PROTOCOL_TCP } from "./connection.js";
import type { Connection } from "./connection.js";
import { TcpCounters } from "./counters.js";
import { arrived, icmpError, input } from "./demultiplex.js";
import type { Ecn } from "./ecn.js";
import type { EarlyData } from "./fast-open.js";
import type { Listener, TcpListenOptions } from "./listener.js";
import { emit, output } from "./output.js";
import { listen } from "./passive.js";
import { sackRecovery } from "./recovery.js";
import type { Recovery } from "./recovery.js";
import { Segment } from "./segment.js";
import type { TcpSocket } from "./socket.js";
import type { Cookies } from "./syn-cookies.js";
import { TIME_WAIT_BYTES, TimeWait } from "./timewait.js";

export { TcpCounters };
export type { TcpConnectOptions };

/** Longest keepalive and user timeout, ms: 12 days. What is counted from them must not wrap. */
export const LONGEST = 0x3fffffff;

/** Where buffers begin in the smallest memory, bytes: with the segment that every host takes (RFC 9293 section 3.7.1). */
const SMALLEST_BUFFER = 536;

export interface TcpConfiguration {
  /** Connections at most, half-open ones included. Default 1024, or what a quarter of `StackOptions.budget` holds. */
  limit?: number;
  /** Congestion control. Default `newReno()`. */
  congestion?: Congestion;
  /** Loss recovery. Default `sackRecovery()`. */
  recovery?: Recovery;
  /** What answers SYNs while a listener's SYN queue is full: `synCookies()`. Default: they are dropped. */
  cookies?: Cookies;
  /** Explicit congestion notification: `ecn()`. Default: none. */
  ecn?: Ecn;
  /** Send buffer of a connection, bytes: where it starts (default 64 KiB, at most a 16th of the packet memory, but not below 536) ... */
  sendBuffer?: number;
  /** ... and how far it grows with the congestion window (default a quarter of the packet memory, at most 4 MiB). */
  maximumSendBuffer?: number;
  /** Receive buffer, likewise; it grows with what the application reads in a round trip. */
  receiveBuffer?: number;
  maximumReceiveBuffer?: number;
  /** Smallest retransmission timeout beyond the round trip time, ms. Default 200. */
  minimumRto?: number;
  /** First retransmission timeout, ms. Default 1000 (RFC 6298). */
  initialRto?: number;
  /** Delay of an acknowledgement, ms, below 500 (RFC 9293 section 3.8.6.3). Default 40. */
  delayedAck?: number;
  /** Retransmissions of a SYN. Default 7: for three minutes (RFC 9293 section 3.8.3). */
  synRetries?: number;
  /** Retransmissions of a SYN-ACK: few, since whoever asked may be forged. Default 2; one fewer for a SYN without options. */
  synAckRetries?: number;
  /** How long data may stay unacknowledged, ms. Default 300000. A connection may set its own. */
  userTimeout?: number;
  /** Twice the maximum segment lifetime, ms. Default 60000. */
  timeWait?: number;
  /** Connections remembered in TIME-WAIT at most. Default 1024, or what a 16th of `StackOptions.budget` holds. */
  timeWaitLimit?: number;
  /** RSTs a second to segments that belong to no connection. Default 100. */
  resetRate?: number;
  /** RFC 7323. Default true. */
  timestamps?: boolean;
  windowScaling?: boolean;
  /** RFC 2018. Default true. */
  sack?: boolean;
}

export class Tcp implements Component {
  readonly name = "tcp";
  readonly protocol = PROTOCOL_TCP;
  readonly counters = new TcpCounters();
  readonly connections = new Table<Connection>();
  readonly listeners = new Table<Listener>();
  /** Connections that have ended and whose sockets have not read all. */
  readonly unread = new Table<Connection>();
  readonly congestion: Congestion;
  readonly recovery: Recovery;
  readonly ecn: Ecn | null;
  readonly minimumRto: number;
  readonly delayedAck: number;
  readonly synRetries: number;
  readonly synAckRetries: number;
  limit: number;
  readonly initialRto: number;
  readonly userTimeout: number;
  timeWaits: TimeWait = null as never;
  stack: Stack = null as never;
  /** Stack time of the event that is being processed. */
  time = 0;
  /** Sequence number of a flow in TIME-WAIT that a new SYN has just replaced, or 0: the new one starts beyond it. */
  lastTimeWaitSeq = 0;
  sendStart = 0;
  sendMost = 0;
  receiveStart = 0;
  receiveMost = 0;
  scale = 0;
  readonly segment = new Segment();
  last: Connection | null = null;
  /** Data with SYNs: set by fast-open.ts. */
  early: EarlyData | null = null;
  readonly replyPaths: Path[] = [];
  readonly resets: RateLimit;
  readonly starved: Connection[] = [];
  starveTimer: Timer = null as never;

  constructor(readonly config: TcpConfiguration) {
    this.congestion = config.congestion || newReno();
    this.recovery = config.recovery || sackRecovery();
    this.ecn = config.ecn || null;
    this.minimumRto = setting(config.minimumRto, 200, 1, 60000, "minimumRto");
    this.delayedAck = setting(config.delayedAck, 40, 0, 500, "delayedAck");
    this.synRetries = setting(config.synRetries, 7, 0, 20, "synRetries");
    this.synAckRetries = setting(config.synAckRetries, 2, 0, 20, "synAckRetries");
    this.limit = setting(config.limit, -1, 1, 1000000, "limit");
    this.initialRto = setting(config.initialRto, 1000, 1, 60000, "initialRto");
    this.userTimeout = setting(config.userTimeout, 300000, 0, LONGEST, "userTimeout");
    const rate = setting(config.resetRate, 100, 1, 1000000, "resetRate");
    this.resets = new RateLimit(rate, rate);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "tcp");
    this.stack = stack;
    const config = this.config;
    this.limit = stack.reserve(this.limit, 1024, 2, CONNECTION_BYTES);
    const records = setting(config.timeWaitLimit, -1, 0, 1000000, "timeWaitLimit");
    this.timeWaits = new TimeWait(
      this,
      stack.reserve(records, 1024, 4, TIME_WAIT_BYTES),
      setting(config.timeWait, 60000, 0, 600000, "timeWait"),
    );
    this.starveTimer = new Timer(feed, this);
    stack.transports.push(this);
    stack.counters.tcp = this.counters as never;
    stack.onLinkWritable.push(() => linkWritable(this));
    if (config.cookies) config.cookies.attach(this);
  }

  start(): void {
    const stack = this.stack;
    const config = this.config;
    if (stack.networks.length === 0) fail("ENOPROTOOPT", "tcp needs a network");
    const budget = stack.pool.limit << stack.pool.chunkShift;
    const most = budget >> 2 < 4194304 ? budget >> 2 : 4194304;
    const least = most < SMALLEST_BUFFER ? most : SMALLEST_BUFFER;
    let start = budget >> 4;
    if (start < least) start = least;
    else if (start > 65536) start = 65536;
    this.sendStart = setting(config.sendBuffer, start, 64, 0x3fffffff, "sendBuffer");
    this.sendMost = setting(config.maximumSendBuffer, most, 64, 0x3fffffff, "maximumSendBuffer");
    this.receiveStart = setting(config.receiveBuffer, start, 64, 0x3fffffff, "receiveBuffer");
    this.receiveMost = setting(config.maximumReceiveBuffer, most, 64, 0x3fffffff, "maximumReceiveBuffer");
    if (this.sendMost < this.sendStart) this.sendMost = this.sendStart;
    if (this.receiveMost < this.receiveStart) this.receiveMost = this.receiveStart;
    while (0xffff << this.scale < this.receiveMost && this.scale < 14) this.scale++;
  }

  close(): void {
    this.refreshTime();
    this.listeners.each((listener) => listener.close());
    this.connections.each((c) => end(c, ECONNABORTED));
    this.unread.each(forget);
    this.timeWaits.close();
    this.stack.timers.clear(this.starveTimer);
  }

  /**
   * Opens a connection. What the network has against it comes through `onClose`: `ENETUNREACH`, `EHOSTUNREACH`,
   * `ECONNREFUSED`, `ETIMEDOUT`, `ENOBUFS` (too many connections), `EIO` (the host has no entropy). Thrown: `EINVAL` options,
   * `EAFNOSUPPORT` no address of a family that the stack has, `EADDRNOTAVAIL` `localAddress`, `EADDRINUSE` `localPort`.
   */
  connect(options: TcpConnectOptions): TcpSocket {
    return connect(this, options);
  }

  /**
   * Listens. Thrown: `EINVAL` options, `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`, `EIO` (no entropy), `ENOBUFS` (no port).
   */
  listen(options: TcpListenOptions): Listener {
    return listen(this, options);
  }

  input(packet: Packet): void {
    input(this, packet);
  }

  /** A segment has come, with these ports: `segment` is what it says, its checksum is right. */
  arrived(packet: Packet, ports: number): void {
    arrived(this, packet, ports);
  }

  /** Writes the header (of so many bytes, `blocks` of SACK among them) of the segment whose data lie in `packet`, and sends it. */
  emit(
    c: Connection,
    packet: Packet,
    seq: number,
    header: number,
    flags: number,
    window: number,
    blocks: number,
  ): number {
    return emit(c, packet, seq, header, flags, window, blocks);
  }

  error(quoted: Packet, code: number, mtu: number): boolean {
    return icmpError(this, quoted, code, mtu);
  }

  addressRemoved(net: Network): void {
    this.refreshTime();
    this.connections.each((c) => {
      if (c.path.net === net && !net.hasLocal(c.path)) end(c, EADDRNOTAVAIL);
    });
  }

  /** The stack's time, for all that happens in this event. */
  refreshTime(): number {
    return (this.time = this.stack.now());
  }
}

function linkWritable(tcp: Tcp): void {
  tcp.refreshTime();
  tcp.connections.each((c) => {
    if (c.blocked) output(c);
  });
}

/** The TCP component. Counters: `tcp`. */
export function tcp(options: TcpConfiguration = {}): Tcp {
  return new Tcp(options);
}
