/** The state of one TCP connection: the transmission control block of RFC 9293 section 3.3.1, with its extensions. */
import type { Path } from "../core/network.js";
import type { Deferred, Lender } from "../core/stack.js";
import { Stream } from "../core/stream.js";
import type { TableEntry } from "../core/table.js";
import { Timer } from "../core/timers.js";
import type { Listener } from "./listener.js";
import { output } from "./output.js";
import type { TcpSocket } from "./socket.js";
import type { Tcp } from "./tcp.js";
import { onTimer } from "./timers.js";

export const PROTOCOL_TCP = 6;

/** States (RFC 9293 section 3.3.2). */
export const CLOSED = 0;
export const LISTEN = 1;
export const SYN_SENT = 2;
export const SYN_RCVD = 3;
export const ESTABLISHED = 4;
export const CLOSE_WAIT = 5;
export const FIN_WAIT_1 = 6;
export const CLOSING = 7;
export const LAST_ACK = 8;
export const FIN_WAIT_2 = 9;
export const TIME_WAIT = 10;

/** Bytes of a connection with its socket, its path, the lists of its streams: see `Stack.reserve`. */
export const CONNECTION_BYTES = 4096;

/** The list of a connection that has none: never changed, and 32 bytes less each. */
export const NONE: number[] = [];

/** Deadlines of a connection, as bits of `armed`; `deadlines` holds their times by bit number. */
export const REXMIT = 0;
export const PERSIST = 1;
export const DELACK = 2;
export const KEEPALIVE = 3;
/** The end of FIN_WAIT_2 without its application, or of a linger. */
export const ORPHAN = 4;
/** Something to send then: the path's MTU has shrunk, a link had no room, the pace allows the next segment. */
export const RETRY = 5;

/** What the recovery part waits for. */
export const RECOVERY = 6;

/** Events that wait for the application, as bits of `events`. */
export const EVENT_CONNECT = 1;
export const EVENT_READABLE = 2;
export const EVENT_WRITABLE = 4;
export const EVENT_END = 8;
export const EVENT_CLOSE = 16;

export class Connection implements TableEntry, Deferred, Lender {
  hash = 0;
  nextInBucket: this | null = null;
  queued = false;
  nextDeferred: Deferred | null = null;

  state = CLOSED;
  localPort = 0;
  remotePort = 0;
  /** Where it was accepted, while it waits there. */
  listener: Listener | null = null;
  socket: TcpSocket | null = null;
  /** The application has closed its end, or never had one. */
  orphan = false;
  events = 0;
  /** Why it ended: a code, or 0. */
  error = 0;
  /** The last error that ICMP told and that does not end a connection (RFC 9293 section 3.9.2.2). */
  softError = 0;

  /* Send sequence space */
  iss = 0;
  sndUna = 0;
  /** Next sequence number to be used for new data. (Retransmissions go by `rexmitNext`.) */
  sndNxt = 0;
  sndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  /** Largest window that was ever offered. */
  sndWndMax = 0;
  sndScale = 0;
  readonly sndBuf: Stream;
  /** Bytes that `sndBuf` may hold. */
  sndLimit = 0;
  /** Sequence number of the first byte in `sndBuf`. */
  sndBufSeq = 0;
  /** A FIN follows the last byte in `sndBuf`. */
  finQueued = false;
  /** End of the last segment that was smaller than the MSS (Minshall's variant of Nagle). */
  sndSmall = 0;
  /** The application was told that there is no room. */
  wantsWritable = false;

  /* Receive sequence space */
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window that the peer knows of: it never moves left. */
  rcvAdv = 0;
  rcvScale = 0;
  readonly rcvBuf: Stream;
  /** The frame in which all of `rcvBuf` still lies, from `lentAt` on, or null. */
  lent: Uint8Array | null = null;
  lentAt = 0;
  rcvLimit = 0;
  finReceived = false;
  /** A FIN has been seen beyond `rcvNxt`, at `finSeq`. */
  finSeen = false;
  finSeq = 0;
  /** Ranges received out of order, [start, end) pairs, the latest first. */
  ranges: number[] = NONE;
  /** A duplicate range to report (RFC 2883), when end differs from start. */
  dsackStart = 0;
  dsackEnd = 0;
  /** Segments received since the last acknowledgement, in units of data bytes. */
  unacked = 0;
  ackNow = false;
  /** Segments that are still to be acknowledged one by one. */
  quickAcks = 0;
  /** Largest segment seen: what "every second full-sized segment" means. */
  rcvMss = 536;
  /** Receive buffer tuning: bytes read since `tuneTime`. */
  tuneBytes = 0;
  tuneTime = 0;

  /* Options */
  /** MSS that the peer announced. */
  peerMss = 536;
  /** Largest payload of a segment with the options that all segments carry. */
  mss = 536;
  /** Ceiling of `mss` found by black hole detection, or 0. */
  mssLimit = 0;
  /** Window scaling is offered (SYN), or agreed upon. */
  scaling = false;
  timestamps = false;
  tsRecent = 0;
  tsRecentAt = 0;
  tsOffset = 0;
  lastAckSent = 0;
  sackPermitted = false;

  /* Round trip time (RFC 6298), ms; srtt in eighths, rttvar in quarters */
  srtt = 0;
  rttvar = 0;
  /** The latest sample; 0: none yet. */
  rtt = 0;
  rto = 1000;
  /** The segment being timed where there are no timestamps: its end, and when it was sent. */
  timedSeq = 0;
  timedAt = 0;
  timing = false;

  /* Congestion control and recovery */
  cwnd = 0;
  ssthresh = 0x3fffffff;
  /** Bytes in flight before the acknowledgement that is being processed. */
  flight = 0;
  /** Bytes acknowledged towards the next increase of cwnd (RFC 3465). */
  ackedBytes = 0;
  dupAcks = 0;
  /** Duplicates that mean a loss; reordering raises it. */
  dupThresh = 3;
  recovering = false;
  /** `sndNxt` when recovery began. */
  recover = 0;
  /** All that is not SACKed in [sndUna, lostEdge) is taken to be lost. */
  lostEdge = 0;
  /** The next sequence number to retransmit. */
  rexmitNext = 0;
  /** Ranges whose retransmission was lost too, [start, end) pairs: they go before what `rexmitNext` points to. */
  again: number[] | null = null;
  /** Bytes of data sent, retransmissions included; wraps. */
  sentBytes = 0;
  /** Ranges that the peer has SACKed, [start, end) pairs in order. */
  sacked: number[] = NONE;
  sackedBytes = 0;
  /** Explicit congestion notification: what ecn.ts or accecn.ts knows, where both ends have agreed on it. */
  ecnState: unknown = null;
  /** State of a congestion control, slow start or recovery part, as it likes. */
  congestionState: unknown = null;
  slowStartState: unknown = null;
  reductionState: unknown = null;
  pacingState: unknown = null;
  usageState: unknown = null;
  timeoutState: unknown = null;
  recoveryState: unknown = null;

  /* Timers */
  readonly timer: Timer;
  armed = 0;
  readonly deadlines: number[] = [0, 0, 0, 0, 0, 0, 0];
  /** Retransmissions (or probes) in a row without an answer. */
  retries = 0;
  /** When the oldest unanswered transmission was sent, for the user timeout. */
  silentSince = 0;
  lastReceived = 0;
  /** When SYN or data were last sent. */
  lastSent = 0;
  challengeAt = 0;
  /** Probes into a closed window since the peer took something, of a connection that nobody reads or writes any more. */
  orphanProbes = 0;
  /** The link had no room. */
  blocked = false;

  /* Settings */
  noDelay = false;
  keepAlive = 0;
  userTimeout = 0;

  constructor(
    readonly tcp: Tcp,
    readonly path: Path,
  ) {
    const stack = tcp.stack;
    this.sndBuf = new Stream(stack.pool, stack.host.copy);
    this.rcvBuf = new Stream(stack.pool, stack.host.copy);
    this.timer = new Timer(onTimer, this);
  }

  /** Tells the application: see `Stack.defer`. The acknowledgement has waited for what it reads and writes now. */
  run(): void {
    if (this.socket) this.socket.dispatch();
    if (this.ackNow) send(this);
  }

  /** The frame goes: copies what has not been read of it, into the memory that `receiveData` has taken. */
  keep(): void {
    const length = this.rcvBuf.length;
    if (this.lent && length > 0) this.rcvBuf.write(0, this.lent, this.lentAt, length, 0);
    this.lent = null;
  }
}

/** Bytes sent and not acknowledged. */
export function outstanding(c: Connection): number {
  return (c.sndNxt - c.sndUna) | 0;
}

/** Our SYN has not been acknowledged: the send buffer begins behind it. */
export function handshaking(c: Connection): boolean {
  return ((c.sndBufSeq - c.sndUna) | 0) > 0;
}

/** Sequence number behind the last byte that is queued, FIN included. */
export function sndEnd(c: Connection): number {
  return (c.sndBufSeq + c.sndBuf.length + (c.finQueued ? 1 : 0)) | 0;
}

/** Something of the application's has happened to `c`: it is told once the stack is at rest. */
export function tell(c: Connection, event: number): void {
  if (c.socket && !c.orphan) {
    c.events |= event;
    c.tcp.stack.defer(c);
  }
}

/** The application has queued data, or an acknowledgement has waited for it. */
export function send(c: Connection): void {
  c.tcp.refreshTime();
  output(c);
}
