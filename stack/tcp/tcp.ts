/** TCP (RFC 9293): the component. Opening, closing, demultiplexing, and what connections share. */
import { get16, put16, put32 } from "../core/bytes.js";
import {
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  ECONNABORTED,
  EIO,
  EMSGSIZE,
  ENETUNREACH,
  ENOBUFS,
  fail,
  requireInteger,
} from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Network, Path } from "../core/network.js";
import { DONT_FRAGMENT, NOT_UNICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import { Timer } from "../core/timers.js";
import { EPHEMERAL_COUNT, EPHEMERAL_LOW, checksumValid, fillChecksum } from "../core/transport.js";
import * as wire from "../wire/tcp.js";
import { newReno } from "./congestion.js";
import type { Congestion } from "./congestion.js";
import type { Cookies } from "./syn-cookies.js";
import {
  CLOSED,
  CLOSE_WAIT,
  Connection,
  ESTABLISHED,
  EVENT_CLOSE,
  EVENT_CONNECT,
  EVENT_WRITABLE,
  FIN_WAIT_1,
  FIN_WAIT_2,
  KEEPALIVE,
  LAST_ACK,
  ORPHAN,
  RETRY,
  REXMIT,
  SYN_RCVD,
  SYN_SENT,
  TIME_WAIT,
} from "./connection.js";
import type { Ecn } from "./ecn.js";
import { ORPHAN_TIMEOUT, acceptOptions, segmentArrives } from "./input.js";
import { Listener } from "./listener.js";
import type { TcpListenOptions } from "./listener.js";
import { output, receiveWindow, sendAck, sendReset, sendSyn } from "./output.js";
import { dropRanges } from "./reassembly.js";
import { sackRecovery } from "./recovery.js";
import type { Recovery } from "./recovery.js";
import { Segment, parse } from "./segment.js";
import { TcpSocket } from "./socket.js";
import type { TcpHandlers } from "./socket.js";
import { TimeWait } from "./timewait.js";
import { onTimer, setDeadline } from "./timers.js";

const PROTOCOL_TCP = 6;
/** Longest keepalive and user timeout, ms: 12 days. What is counted from them must not wrap. */
const LONGEST = 0x3fffffff;
/** How often a connection that got no memory is told to try again, ms. */
const STARVE_INTERVAL = 50;
/** A connection that holds memory behind a closed window and has come to pause so long between its probes, ms, may be ended. */
const PRESSURE_AGE = 30000;

export class TcpCounters {
  received = 0;
  sent = 0;
  /** Data offset that lies, or a segment shorter than its header. */
  badoff = 0;
  badsum = 0;
  /** Port 0. */
  badPort = 0;
  /** To or from a broadcast or multicast address. */
  notUnicast = 0;
  /** No connection and no listener: answered by a RST. */
  noPort = 0;
  /** RST that is not acceptable: ignored. */
  badReset = 0;
  badAck = 0;
  badFlags = 0;
  outOfWindow = 0;
  /** Old by its timestamp (PAWS). */
  paws = 0;
  /** Without the timestamp that was agreed upon. */
  noTimestamp = 0;
  outOfOrder = 0;
  duplicate = 0;
  /** Too many holes: dropped. */
  rangesFull = 0;
  /** No memory for data: dropped, the peer repeats it. */
  noMemory = 0;
  /** Data after the application had closed: answered by a RST. */
  dataAfterClose = 0;
  /** SYN dropped: the listener's queue, or the table, was full. */
  synDropped = 0;
  challenges = 0;
  challengesLimited = 0;
  resetsSent = 0;
  resetsReceived = 0;
  /** RST not sent because of the rate limit. */
  resetsLimited = 0;
  connects = 0;
  accepts = 0;
  retransmitted = 0;
  fastRetransmits = 0;
  timeouts = 0;
  /** Tail loss probes (RFC 8985). */
  tailProbes = 0;
  /** Segments that a router marked on their way here, and marks of ours that the peer told of (RFC 3168). */
  congestionMarks = 0;
  congestionEchoes = 0;
  /** Timeouts that were found to have come too early (RFC 5682). */
  spuriousTimeouts = 0;
  probes = 0;
  keepalives = 0;
  blackholes = 0;
  timeWaitRecycled = 0;
  pressureAborts = 0;
  sendFailed = 0;
}

export interface TcpConfiguration {
  /** Connections at most, half-open ones included. Default 1024. */
  limit?: number;
  /** Congestion control. Default `newReno()`. */
  congestion?: Congestion;
  /** Loss recovery. Default `sackRecovery()`. */
  recovery?: Recovery;
  /** What answers SYNs while a listener's SYN queue is full: `synCookies()`. Default: they are dropped. */
  cookies?: Cookies;
  /** Explicit congestion notification: `ecn()`. Default: none. */
  ecn?: Ecn;
  /** Send buffer of a connection, bytes: where it starts (default 64 KiB, at most a 16th of the budget) ... */
  sendBuffer?: number;
  /** ... and how far it grows with the congestion window (default a quarter of the budget, at most 4 MiB). */
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
  /** Retransmissions of a SYN-ACK: few, since whoever asked may be forged. Default 2. */
  synAckRetries?: number;
  /** How long data may stay unacknowledged, ms. Default 300000. A connection may set its own. */
  userTimeout?: number;
  /** Twice the maximum segment lifetime, ms. Default 60000. */
  timeWait?: number;
  /** Connections remembered in TIME-WAIT at most. Default 1024. */
  timeWaitLimit?: number;
  /** RSTs a second to segments that belong to no connection. Default 100. */
  resetRate?: number;
  /** RFC 7323. Default true. */
  timestamps?: boolean;
  windowScaling?: boolean;
  /** RFC 2018. Default true. */
  sack?: boolean;
}

export interface TcpConnectOptions extends TcpHandlers {
  /** Remote address as text, of any family that the stack has. */
  address: string;
  /** Remote port, 1..65535. */
  port: number;
  localAddress?: string;
  localPort?: number;
  /** Uses this interface alone. */
  interface?: Interface;
  noDelay?: boolean;
  /** See `TcpSocket.setKeepAlive`. */
  keepAlive?: number;
  userTimeout?: number;
  /** Time to live; TOS or traffic class. */
  ttl?: number;
  tos?: number;
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
  private readonly limit: number;
  private readonly initialRto: number;
  private readonly userTimeout: number;
  readonly onTimer = onTimer;
  timeWaits: TimeWait = null as never;
  stack: Stack = null as never;
  /** Stack time of the event that is being processed. */
  time = 0;
  /** Sequence number of a flow in TIME-WAIT that a new SYN has just replaced, or 0: the new one starts beyond it. */
  lastTimeWaitSeq = 0;
  private sendStart = 0;
  private sendMost = 0;
  private receiveStart = 0;
  private receiveMost = 0;
  private scale = 0;
  private readonly segment = new Segment();
  private last: Connection | null = null;
  private readonly replyPaths: Path[] = [];
  private readonly resets: RateLimit;
  private readonly starved: Connection[] = [];
  private starveTimer: Timer = null as never;

  constructor(private readonly config: TcpConfiguration) {
    this.congestion = config.congestion || newReno();
    this.recovery = config.recovery || sackRecovery();
    this.ecn = config.ecn || null;
    this.minimumRto = setting(config.minimumRto, 200, 1, 60000, "minimumRto");
    this.delayedAck = setting(config.delayedAck, 40, 0, 500, "delayedAck");
    this.synRetries = setting(config.synRetries, 7, 0, 20, "synRetries");
    this.synAckRetries = setting(config.synAckRetries, 2, 0, 20, "synAckRetries");
    this.limit = setting(config.limit, 1024, 1, 1000000, "limit");
    this.initialRto = setting(config.initialRto, 1000, 1, 60000, "initialRto");
    this.userTimeout = setting(config.userTimeout, 300000, 0, LONGEST, "userTimeout");
    const rate = setting(config.resetRate, 100, 1, 1000000, "resetRate");
    this.resets = new RateLimit(rate, rate);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "tcp");
    this.stack = stack;
    const config = this.config;
    const budget = stack.pool.limit << stack.pool.chunkShift;
    const start = budget >> 4 < 65536 ? budget >> 4 : 65536;
    const most = budget >> 2 < 4194304 ? budget >> 2 : 4194304;
    this.sendStart = setting(config.sendBuffer, start, 64, 0x3fffffff, "sendBuffer");
    this.sendMost = setting(config.maximumSendBuffer, most, 64, 0x3fffffff, "maximumSendBuffer");
    this.receiveStart = setting(config.receiveBuffer, start, 64, 0x3fffffff, "receiveBuffer");
    this.receiveMost = setting(config.maximumReceiveBuffer, most, 64, 0x3fffffff, "maximumReceiveBuffer");
    if (this.sendMost < this.sendStart) this.sendMost = this.sendStart;
    if (this.receiveMost < this.receiveStart) this.receiveMost = this.receiveStart;
    while (0xffff << this.scale < this.receiveMost && this.scale < 14) this.scale++;
    this.timeWaits = new TimeWait(
      this,
      setting(config.timeWaitLimit, 1024, 0, 1000000, "timeWaitLimit"),
      setting(config.timeWait, 60000, 0, 600000, "timeWait"),
    );
    this.starveTimer = new Timer(feed, this);
    stack.transports.push(this);
    stack.counters.tcp = this.counters as never;
    stack.onLinkWritable.push(() => this.linkWritable());
    if (config.cookies) config.cookies.attach(this);
  }

  start(): void {
    if (this.stack.networks.length === 0) fail("ENOPROTOOPT", "tcp needs a network");
  }

  close(): void {
    this.refreshTime();
    this.listeners.each((listener) => listener.close());
    this.connections.each((c) => this.end(c, ECONNABORTED));
    this.unread.each((c) => this.forget(c));
    this.timeWaits.close();
    this.stack.timers.clear(this.starveTimer);
  }

  /* Opening */

  /**
   * Opens a connection. What the network has against it comes through `onClose`: `ENETUNREACH`, `EHOSTUNREACH`,
   * `ECONNREFUSED`, `ETIMEDOUT`, `ENOBUFS` (too many connections), `EIO` (the host has no entropy). Thrown: `EINVAL` options,
   * `EAFNOSUPPORT` no address of a family that the stack has, `EADDRNOTAVAIL` `localAddress`, `EADDRINUSE` `localPort`.
   */
  connect(options: TcpConnectOptions): TcpSocket {
    const now = this.refreshTime();
    const port = requireInteger(options.port, 1, 65535, "port");
    const localPort = setting(options.localPort, 0, 0, 65535, "localPort");
    const path = this.remotePath(options.address);
    const net = path.net;
    if (options.localAddress) {
      const code = net.setLocal(path, options.localAddress);
      if (code < 0) fail(code === EADDRNOTAVAIL ? "EADDRNOTAVAIL" : "EAFNOSUPPORT", "localAddress");
    }
    path.bound = options.interface || null;
    path.ttl = setting(options.ttl, 0, 0, 255, "ttl");
    path.tos = setting(options.tos, 0, 0, 255, "tos");
    if (path.kind) fail("EINVAL", "address");
    const c = this.create(path);
    c.socket = new TcpSocket(c, options);
    c.noDelay = options.noDelay === true;
    c.keepAlive = setting(options.keepAlive, 0, 0, LONGEST, "keepAlive");
    if (options.userTimeout !== undefined) {
      c.userTimeout = requireInteger(options.userTimeout, 0, LONGEST, "userTimeout");
    }
    c.remotePort = port;
    let code = net.route(path);
    if (code === 0 && path.kind) code = ENETUNREACH;
    if (code === 0) {
      net.pin(path);
      if (this.connections.size >= this.limit) code = ENOBUFS;
      else if (!this.stack.secure() || !this.stack.host.secure(4)) code = EIO;
      else if (!this.bindPort(c, localPort)) {
        if (localPort) fail("EADDRINUSE", "localPort");
        code = ENOBUFS;
      }
    }
    if (code < 0) {
      c.error = code;
      this.event(c, EVENT_CLOSE);
      return c.socket;
    }
    this.counters.connects++;
    this.begin(c, 0);
    c.state = SYN_SENT;
    c.silentSince = now;
    this.connections.insert(c);
    setDeadline(c, REXMIT, (now + c.rto) | 0);
    code = sendSyn(c);
    if (code < 0 && code !== ENOBUFS && code !== EAGAIN) this.end(c, code);
    return c.socket;
  }

  /**
   * Listens. Thrown: `EINVAL` options, `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`, `EIO` (no entropy), `ENOBUFS` (no port).
   */
  listen(options: TcpListenOptions): Listener {
    const port = requireInteger(options.port, 0, 65535, "port");
    const backlog = setting(options.backlog, 16, 1, 65535, "backlog");
    const stack = this.stack;
    if (!stack.secure()) fail("EIO", "random");
    const paths: Path[] = [];
    let code = EAFNOSUPPORT;
    for (let i = 0; i < stack.networks.length; i++) {
      const net = stack.networks[i];
      if (options.family && options.family !== net.family) continue;
      const path = net.createPath();
      const result = net.setLocal(path, options.address || "");
      if (result === 0) paths.push(path);
      else if (code === EAFNOSUPPORT) code = result;
    }
    if (paths.length === 0) fail(code === EAFNOSUPPORT ? "EAFNOSUPPORT" : "EADDRNOTAVAIL", "address");
    let chosen = port;
    for (let tries = 0; !chosen && tries < 64; tries++) {
      const candidate = EPHEMERAL_LOW + (stack.host.random16() & (EPHEMERAL_COUNT - 1));
      if (!this.listens(candidate, paths)) chosen = candidate;
    }
    if (!chosen) fail("ENOBUFS", "ports");
    if (this.listens(chosen, paths)) fail("EADDRINUSE", "port " + chosen);
    const listener = new Listener(this, options, chosen, backlog);
    for (let i = 0; i < paths.length; i++) listener.paths.push(paths[i]);
    this.listeners.insert(listener);
    return listener;
  }

  /* From the network */

  input(packet: Packet): void {
    const counters = this.counters;
    const segment = this.segment;
    const data = packet.data;
    const at = packet.start;
    counters.received++;
    if (!parse(segment, data, at, packet.end)) {
      counters.badoff++;
      return;
    }
    if (packet.flags & NOT_UNICAST) {
      counters.notUnicast++;
      return;
    }
    if (!checksumValid(this.stack, packet, PROTOCOL_TCP)) {
      counters.badsum++;
      return;
    }
    const remotePort = get16(data, at + wire.TCP_SOURCE_PORT);
    const localPort = get16(data, at + wire.TCP_DESTINATION_PORT);
    if (remotePort === 0 || localPort === 0) {
      counters.badPort++;
      return;
    }
    const net = packet.net as Network;
    this.time = this.stack.now();
    let c = this.last;
    if (!c || !fits(c, net, packet, localPort, remotePort)) {
      const hash = this.hashPacket(net, packet, localPort, remotePort);
      c = this.connections.first(hash);
      while (c && (c.hash !== hash || !fits(c, net, packet, localPort, remotePort))) c = c.nextInBucket;
      if (!c) {
        this.inputUnknown(net, packet, segment, hash, localPort, remotePort);
        return;
      }
      this.last = c;
    }
    segmentArrives(c, segment, packet);
  }

  error(quoted: Packet, code: number, mtu: number): boolean {
    const net = quoted.net as Network;
    const localPort = get16(quoted.data, quoted.start);
    const remotePort = get16(quoted.data, quoted.start + 2);
    const seq =
      (get16(quoted.data, quoted.start + wire.TCP_SEQUENCE) << 16) |
      get16(quoted.data, quoted.start + wire.TCP_SEQUENCE + 2);
    net.swap(quoted);
    const hash = this.hashPacket(net, quoted, localPort, remotePort);
    let c = this.connections.first(hash);
    while (c && (c.hash !== hash || !fits(c, net, quoted, localPort, remotePort))) c = c.nextInBucket;
    // The quoted sequence number must be in flight: else it is a guess (RFC 5927 section 4).
    if (!c || ((seq - c.sndUna) | 0) < 0 || ((seq - c.sndNxt) | 0) >= 0) return false;
    this.refreshTime();
    if (code === EMSGSIZE) {
      if (mtu > 0 && mtu >= c.path.mtu) return false;
      // The network takes note of it once this returns; `output` sees whether segments have become smaller.
      setDeadline(c, RETRY, this.time);
    } else if (c.state === SYN_SENT) this.end(c, code);
    else c.softError = code;
    return true;
  }

  addressRemoved(net: Network): void {
    this.refreshTime();
    this.connections.each((c) => {
      if (c.path.net === net && !net.hasLocal(c.path)) this.end(c, EADDRNOTAVAIL);
    });
  }

  /** Answers a segment that belongs to nothing (RFC 9293 section 3.10.7.1). */
  respondReset(packet: Packet, segment: Segment): void {
    if (segment.flags & wire.RST) {
      this.counters.badReset++;
      return;
    }
    if (!this.resets.take(this.time)) {
      this.counters.resetsLimited++;
      return;
    }
    const net = packet.net as Network;
    const path = this.replyPath(net);
    net.setReply(path, packet);
    const remotePort = get16(packet.data, packet.start + wire.TCP_SOURCE_PORT);
    const localPort = get16(packet.data, packet.start + wire.TCP_DESTINATION_PORT);
    const flags = segment.flags;
    const length = segment.length + (flags & wire.SYN ? 1 : 0) + (flags & wire.FIN ? 1 : 0);
    const acknowledges = flags & wire.ACK;
    this.counters.resetsSent++;
    this.sendControl(
      path,
      localPort,
      remotePort,
      acknowledges ? segment.ack : 0,
      acknowledges ? 0 : (segment.seq + length) | 0,
      acknowledges ? wire.RST : wire.RST | wire.ACK,
      0,
      0,
    );
  }

  /** Sends a segment without data that no connection object stands behind. `tsOffset` 0: without timestamps. */
  sendControl(
    path: Path,
    localPort: number,
    remotePort: number,
    seq: number,
    ack: number,
    flags: number,
    tsOffset: number,
    tsEcho: number,
  ): void {
    const header = wire.TCP_HEADER + (tsOffset ? 12 : 0);
    if (path.net.route(path) < 0) return;
    const packet = this.stack.prepare(header);
    if (!packet) return;
    const data = packet.data;
    const at = packet.start;
    put16(data, at, localPort);
    put16(data, at + 2, remotePort);
    put32(data, at + wire.TCP_SEQUENCE, seq);
    put32(data, at + wire.TCP_ACKNOWLEDGMENT, ack);
    data[at + wire.TCP_OFFSET] = header << 2;
    data[at + wire.TCP_FLAGS] = flags;
    put32(data, at + wire.TCP_WINDOW, 0);
    put32(data, at + wire.TCP_CHECKSUM, 0);
    if (tsOffset) {
      put32(data, at + 20, 0x0101080a);
      put32(data, at + 24, this.time + tsOffset);
      put32(data, at + 28, tsEcho);
    }
    packet.flags |= DONT_FRAGMENT;
    fillChecksum(this.stack, packet, path, PROTOCOL_TCP, at + wire.TCP_CHECKSUM, 0);
    this.counters.sent++;
    path.net.output(packet, path, PROTOCOL_TCP);
  }

  /* Closing */

  shutdown(c: Connection): void {
    this.refreshTime();
    if (c.finQueued || c.state < SYN_SENT) return;
    if (c.state === SYN_SENT || c.state === SYN_RCVD) c.finQueued = true;
    else if (c.state === ESTABLISHED || c.state === CLOSE_WAIT) {
      c.finQueued = true;
      c.state = c.state === ESTABLISHED ? FIN_WAIT_1 : LAST_ACK;
      output(c);
    }
  }

  /** The application leaves: see `TcpSocket.close`. */
  closeConnection(c: Connection): void {
    this.refreshTime();
    c.orphan = true;
    c.events = 0;
    const state = c.state;
    if (state === CLOSED || state === TIME_WAIT) this.forget(c);
    else if (state === SYN_SENT) this.end(c, 0);
    else if (c.rcvBuf.length > 0 || state === SYN_RCVD) this.abort(c, 0);
    else if (state === FIN_WAIT_2) setDeadline(c, ORPHAN, (this.time + ORPHAN_TIMEOUT) | 0);
    else this.shutdown(c);
  }

  closeListener(listener: Listener): void {
    if (listener.closed) return;
    listener.closed = true;
    this.refreshTime();
    this.listeners.remove(listener);
    this.connections.each((c) => {
      if (c.listener === listener) this.abort(c, ECONNABORTED);
    });
  }

  /** Ends a connection with a RST. */
  abort(c: Connection, code: number): void {
    this.refreshTime();
    if (c.state !== TIME_WAIT && c.state !== CLOSED) sendReset(c);
    this.end(c, code);
  }

  /** Ends a connection without a word to the peer; the application is told `code`. */
  end(c: Connection, code: number): void {
    if (c.state !== CLOSED) this.detach(c, code);
    if (c.orphan || !c.socket) this.forget(c);
    this.event(c, EVENT_CLOSE);
  }

  /** Both sides have closed: the flow goes to TIME-WAIT, what was received stays readable. */
  timeWait(c: Connection): void {
    this.timeWaits.add(c);
    this.detach(c, 0);
    if (c.orphan || !c.socket) this.forget(c);
    else c.state = TIME_WAIT;
    this.event(c, EVENT_CLOSE);
  }

  /* For the parts of a connection */

  refreshTime(): number {
    return (this.time = this.stack.now());
  }

  /** Bytes of packet memory that are free; an eighth is kept for what is in progress. */
  freeMemory(): number {
    const pool = this.stack.pool;
    const free = pool.limit - (pool.limit >> 3) - pool.used;
    return free > 0 ? free << pool.chunkShift : 0;
  }

  /** Should `c`, which holds data behind a closed window, make room for others? */
  underPressure(c: Connection): boolean {
    return this.freeMemory() === 0 && (this.time - c.lastSent) >>> 0 >= PRESSURE_AGE;
  }

  event(c: Connection, event: number): void {
    if (c.socket && !c.orphan) {
      c.events |= event;
      this.stack.defer(c);
    }
  }

  /** The window that the SYN of `c` offered. */
  synWindow(c: Connection): number {
    return c.rcvLimit < 0xffff ? c.rcvLimit : 0xffff;
  }

  /** May the SYN-ACK of `c` go out once more because its SYN came again? */
  mayRepeat(c: Connection): boolean {
    if (((this.time - c.lastSent) | 0) < 500 || c.retries >= this.synAckRetries) return false;
    c.retries++;
    // The client gets its time to answer this one, too.
    setDeadline(c, REXMIT, (this.time + c.rto) | 0);
    return true;
  }

  /** Is there room in the backlog? */
  mayEstablish(c: Connection): boolean {
    const listener = c.listener;
    return !listener || listener.waiting.length < listener.backlog;
  }

  established(c: Connection): void {
    const listener = c.listener;
    if (!listener) {
      this.event(c, EVENT_CONNECT | EVENT_WRITABLE);
      return;
    }
    this.counters.accepts++;
    listener.halfOpen--;
    listener.waiting.push(c);
    this.stack.defer(listener);
  }

  /** The application has queued data. */
  send(c: Connection): void {
    this.refreshTime();
    output(c);
  }

  /** The application has read `bytes`: the window may open, the buffer may grow. */
  consumed(c: Connection, bytes: number): void {
    const buffer = c.rcvBuf;
    buffer.consume(bytes);
    if (buffer.length === 0 && c.ranges.length === 0) this.forget(c);
    if (c.state < ESTABLISHED || c.state === TIME_WAIT || c.finReceived) return;
    this.tuneReceive(c, bytes);
    const gain = (receiveWindow(c) - (c.rcvAdv - c.rcvNxt)) | 0;
    if (gain >= 2 * c.rcvMss || gain >= c.rcvLimit >> 1) {
      this.time = this.stack.recent();
      sendAck(c);
    }
  }

  setKeepAlive(c: Connection, idle: number): void {
    c.keepAlive = requireInteger(idle, 0, LONGEST, "keepAlive");
    if (idle > 0 && c.state >= ESTABLISHED && c.state !== TIME_WAIT)
      setDeadline(c, KEEPALIVE, (this.refreshTime() + idle) | 0);
  }

  setUserTimeout(c: Connection, timeout: number): void {
    c.userTimeout = requireInteger(timeout, 0, LONGEST, "userTimeout");
  }

  /** `c` has nothing queued and got no memory: nothing of its own will tell it when there is some. */
  starve(c: Connection): void {
    if (this.starved.indexOf(c) >= 0) return;
    this.starved.push(c);
    if (this.starveTimer.slot < 0) {
      this.stack.timers.set(this.starveTimer, (this.refreshTime() + STARVE_INTERVAL) | 0);
    }
  }

  /** Tells the connections that wait for memory that there may be some. */
  feed(): void {
    const starved = this.starved.splice(0, this.starved.length);
    for (let i = 0; i < starved.length; i++) {
      const c = starved[i];
      if (c.state === CLOSED) continue;
      if (this.freeMemory() > 0) this.event(c, EVENT_WRITABLE);
      else this.starve(c);
    }
  }

  /** Grows the send buffer with the congestion window: twice what may be in flight. */
  tuneSend(c: Connection): void {
    const wanted = c.cwnd * 2;
    if (wanted > c.sndLimit && c.sndLimit < this.sendMost) {
      c.sndLimit = wanted < this.sendMost ? wanted : this.sendMost;
    }
  }

  /** Grows the receive buffer where the application reads more than half of it in a round trip. */
  private tuneReceive(c: Connection, bytes: number): void {
    if (c.rcvLimit >= this.receiveMost) return;
    c.tuneBytes += bytes;
    const elapsed = (this.time - c.tuneTime) | 0;
    if (elapsed < c.srtt >> 3 || elapsed < 1) return;
    if (c.tuneBytes * 2 > c.rcvLimit) {
      const wanted = c.tuneBytes * 2 < c.rcvLimit * 2 ? c.tuneBytes * 2 : c.rcvLimit * 2;
      c.rcvLimit = wanted < this.receiveMost ? wanted : this.receiveMost;
    }
    c.tuneBytes = 0;
    c.tuneTime = this.time;
  }

  /** Takes `c` out of the tables and gives its memory back, all but what was received. */
  private detach(c: Connection, code: number): void {
    const listener = c.listener;
    if (listener) {
      if (c.state === SYN_RCVD) listener.halfOpen--;
      const at = listener.waiting.indexOf(c);
      if (at >= 0) listener.waiting.splice(at, 1);
      c.listener = null;
    }
    this.connections.remove(c);
    if (this.last === c) this.last = null;
    this.stack.timers.clear(c.timer);
    c.armed = 0;
    c.state = CLOSED;
    c.error = code;
    c.sndBuf.clear();
    dropRanges(c);
    if (c.rcvBuf.length > 0) this.unread.insert(c);
  }

  /** Gives back what `c` has received and nobody will read (any more). */
  private forget(c: Connection): void {
    c.rcvBuf.clear();
    if (c.state === CLOSED || c.state === TIME_WAIT) this.unread.remove(c);
  }

  /** A connection object with the settings of this component. */
  create(path: Path): Connection {
    const c = new Connection(this, path);
    this.setUp(c);
    return c;
  }

  /** Gives `c` the settings of this component. */
  setUp(c: Connection): void {
    const config = this.config;
    c.sndLimit = this.sendStart;
    c.rcvLimit = this.receiveStart;
    c.rcvScale = config.windowScaling === false ? 0 : this.scale;
    c.scaling = config.windowScaling !== false;
    c.timestamps = config.timestamps !== false;
    c.sackPermitted = config.sack !== false;
    c.rto = this.initialRto;
    c.userTimeout = this.userTimeout;
  }

  /**
   * Sets initial sequence number and timestamp offset: RFC 6528 with SipHash-2-4 under the stack's secret, which ticks every
   * 4 microseconds; and the hash of the ends.
   */
  begin(c: Connection, beyond: number): void {
    const hash = this.stack.hash;
    hash.begin(2);
    c.path.net.hashPath(c.path);
    hash.word((c.remotePort << 16) | c.localPort);
    let iss = (hash.end() + this.time * 250) | 0;
    c.tsOffset = hash.high || 1;
    if (beyond !== 0 && ((iss - beyond) | 0) <= 0) iss = (beyond + 65536) | 0;
    c.hash = this.hashPath(c.path, c.localPort, c.remotePort);
    this.setIss(c, iss);
  }

  setIss(c: Connection, iss: number): void {
    c.iss = c.sndUna = c.recover = c.lostEdge = c.rexmitNext = iss;
    c.sndNxt = c.sndBufSeq = c.sndSmall = (iss + 1) | 0;
  }

  /** May `listener` have one connection more that nobody has accepted? */
  hasRoom(listener: Listener): boolean {
    return (
      listener.waiting.length < listener.backlog &&
      this.connections.size < this.limit &&
      this.freeMemory() !== 0
    );
  }

  /** Takes a half-open connection of `listener` into the table. */
  enter(c: Connection, listener: Listener): void {
    c.listener = listener;
    listener.halfOpen++;
    this.connections.insert(c);
  }

  /** A segment for no connection: TIME-WAIT, a listener, or nobody. */
  private inputUnknown(
    net: Network,
    packet: Packet,
    segment: Segment,
    hash: number,
    localPort: number,
    remotePort: number,
  ): void {
    let listener = this.listeners.first(localPort);
    while (listener && (listener.port !== localPort || !listener.pathFor(packet, net))) {
      listener = listener.nextInBucket;
    }
    this.lastTimeWaitSeq = 0;
    if (this.timeWaits.input(segment, packet, hash, localPort, remotePort, listener !== null)) return;
    if (!listener) {
      this.counters.noPort++;
      this.respondReset(packet, segment);
      return;
    }
    // RFC 9293 section 3.10.7.2.
    const flags = segment.flags;
    if (flags & wire.RST) this.counters.badReset++;
    else if (flags & wire.ACK) {
      const cookies = flags & wire.SYN ? null : this.config.cookies;
      if (cookies && cookies.accept(listener, net, packet, segment, localPort, remotePort)) return;
      this.counters.noPort++;
      this.respondReset(packet, segment);
    } else if ((flags & (wire.SYN | wire.FIN)) !== wire.SYN) this.counters.badFlags++;
    else this.open(listener, net, packet, segment, localPort, remotePort);
  }

  /** A SYN for a listener. */
  private open(
    listener: Listener,
    net: Network,
    packet: Packet,
    segment: Segment,
    localPort: number,
    remotePort: number,
  ): void {
    const full = listener.halfOpen >= listener.backlog;
    const cookies = this.config.cookies;
    if (!this.hasRoom(listener) || (full && !cookies)) {
      this.counters.synDropped++;
      return;
    }
    if (full) {
      (cookies as Cookies).answer(net, packet, segment, localPort, remotePort);
      return;
    }
    const path = net.createPath();
    net.setReply(path, packet);
    if (net.route(path) < 0) {
      this.counters.synDropped++;
      return;
    }
    const c = this.create(path);
    c.localPort = localPort;
    c.remotePort = remotePort;
    this.begin(c, this.lastTimeWaitSeq);
    c.irs = segment.seq;
    c.rcvNxt = (segment.seq + 1) | 0;
    acceptOptions(c, segment);
    if (this.ecn) this.ecn.negotiate(c, segment.flags, false);
    c.state = SYN_RCVD;
    c.silentSince = this.time;
    c.sndWnd = segment.window;
    c.sndWl1 = segment.seq;
    this.enter(c, listener);
    setDeadline(c, REXMIT, (this.time + c.rto) | 0);
    sendSyn(c);
  }

  private remotePath(address: string): Path {
    if (typeof address !== "string") fail("EINVAL", "address");
    const networks = this.stack.networks;
    for (let i = 0; i < networks.length; i++) {
      const path = networks[i].createPath();
      if (networks[i].setRemote(path, address) === 0) return path;
    }
    return fail("EAFNOSUPPORT", "address " + address);
  }

  /** Gives `c` a local port: the one asked for, or a random one (RFC 6056). False: none is free. */
  private bindPort(c: Connection, wanted: number): boolean {
    const random = this.stack.host;
    for (let tries = 0; tries < (wanted ? 1 : 64); tries++) {
      c.localPort = wanted || EPHEMERAL_LOW + (random.random16() & (EPHEMERAL_COUNT - 1));
      const hash = this.hashPath(c.path, c.localPort, c.remotePort);
      let other = this.connections.first(hash);
      const net = c.path.net;
      while (
        other &&
        (other.hash !== hash ||
          other.localPort !== c.localPort ||
          other.remotePort !== c.remotePort ||
          other.path.net !== net ||
          net.remoteText(other.path) !== net.remoteText(c.path))
      ) {
        other = other.nextInBucket;
      }
      if (!other && !this.timeWaits.holds(hash, c.path, c.localPort, c.remotePort)) return true;
    }
    return false;
  }

  private listens(port: number, paths: Path[]): boolean {
    for (let other = this.listeners.first(port); other; other = other.nextInBucket) {
      if (other.port !== port) continue;
      for (let i = 0; i < paths.length; i++) {
        for (let j = 0; j < other.paths.length; j++) {
          const path = other.paths[j];
          if (path.net === paths[i].net && path.net.sameLocal(path, paths[i])) return true;
        }
      }
    }
    return false;
  }

  private hashPacket(net: Network, packet: Packet, localPort: number, remotePort: number): number {
    const hash = this.stack.hash;
    hash.begin(1);
    net.hashPacket(packet);
    hash.word((remotePort << 16) | localPort);
    return hash.end();
  }

  private hashPath(path: Path, localPort: number, remotePort: number): number {
    const hash = this.stack.hash;
    hash.begin(1);
    path.net.hashPath(path);
    hash.word((remotePort << 16) | localPort);
    return hash.end();
  }

  private replyPath(net: Network): Path {
    const paths = this.replyPaths;
    for (let i = 0; i < paths.length; i++) {
      if (paths[i].net === net) return paths[i];
    }
    const path = net.createPath();
    paths.push(path);
    return path;
  }

  private linkWritable(): void {
    this.refreshTime();
    this.connections.each((c) => {
      if (c.blocked) output(c);
    });
  }
}

function fits(c: Connection, net: Network, packet: Packet, localPort: number, remotePort: number): boolean {
  return (
    c.localPort === localPort &&
    c.remotePort === remotePort &&
    c.path.net === net &&
    net.matches(c.path, packet)
  );
}

function feed(tcp: Tcp): void {
  tcp.feed();
}

/** An optional integer setting with its default. */
function setting(value: number | undefined, none: number, low: number, high: number, what: string): number {
  return value === undefined ? none : requireInteger(value, low, high, what);
}

/** The TCP component. Counters: `tcp`. */
export function tcp(options: TcpConfiguration = {}): Tcp {
  return new Tcp(options);
}
