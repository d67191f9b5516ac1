/**
 * The TCP socket: what an application holds. Its semantics are those of ECMA-419 IO: counts of what may be read and written,
 * writes of all or nothing, callbacks for changes; and the error codes of core/errors.ts.
 */
import { EAGAIN, ENOTCONN, EPIPE, requireBytes, requireInteger } from "../core/errors.js";
import { consumed, freeMemory, starve } from "./buffer.js";
import { abort, closeConnection, shutdown } from "./close.js";
import {
  CLOSED,
  CLOSE_WAIT,
  ESTABLISHED,
  EVENT_CLOSE,
  EVENT_CONNECT,
  EVENT_END,
  EVENT_READABLE,
  EVENT_WRITABLE,
  KEEPALIVE,
  SYN_RCVD,
  SYN_SENT,
  TIME_WAIT,
  send,
  tell,
} from "./connection.js";
import type { Connection } from "./connection.js";
import { LONGEST } from "./tcp.js";
import { setDeadline } from "./timers.js";

/** What an application is told. Nothing comes after `close` or `abort`, and nothing after `onClose`. */
export interface TcpHandlers {
  /** The connection is established. */
  onConnect?(this: TcpSocket): void;
  /** `count` bytes may be read. Called when more has arrived. */
  onReadable?(this: TcpSocket, count: number): void;
  /** `count` bytes may be written, after a `write` was refused or left no room. */
  onWritable?(this: TcpSocket, count: number): void;
  /** The peer sends no more, and all that it sent has been read. */
  onEnd?(this: TcpSocket): void;
  /** The connection has ended: 0 after both sides have closed and `onEnd`, else why (`ECONNRESET`, `ETIMEDOUT`, ...). */
  onClose?(this: TcpSocket, code: number): void;
}

export class TcpSocket {
  /** See `handle`. */
  handlers: TcpHandlers;
  private connection: Connection;
  private endTold = false;
  private closeTold = false;
  private closed = false;

  constructor(connection: Connection, handlers: TcpHandlers) {
    this.connection = connection;
    this.handlers = handlers;
  }

  /** Sets the callbacks: for a socket that a listener has accepted. What has come until now is told at once. */
  handle(handlers: TcpHandlers): void {
    const c = this.connection;
    this.handlers = handlers;
    if (c.rcvBuf.length > 0) tell(c, EVENT_READABLE);
    if (c.finReceived) tell(c, EVENT_END);
    if (c.state === CLOSED || c.state === TIME_WAIT) tell(c, EVENT_CLOSE);
  }

  /** Bytes that may be read now. */
  readable(): number {
    return this.closed ? 0 : this.connection.rcvBuf.length;
  }

  /** Bytes that a `write` takes now; 0 before the connection is established and after `shutdown`. */
  writable(): number {
    const c = this.connection;
    if (this.closed || (c.state !== ESTABLISHED && c.state !== CLOSE_WAIT)) return 0;
    const room = c.sndLimit - c.sndBuf.length;
    const free = freeMemory(c.tcp);
    return room < 0 ? 0 : room < free ? room : free;
  }

  /**
   * Reads into `target[start..end)`.
   *
   * @returns bytes read; 0 when none are there now (or, after `onEnd`, ever); `EPIPE` after `close`
   */
  read(target: Uint8Array, start = 0, end = target.length): number {
    requireBytes(target, start, end, "target");
    const c = this.connection;
    if (this.closed) return EPIPE;
    const held = c.rcvBuf.length;
    const length = held < end - start ? held : end - start;
    if (length === 0) return 0;
    if (c.lent) c.tcp.stack.host.copy(target, start, c.lent, c.lentAt, length);
    else c.rcvBuf.read(0, target, start, length);
    consumed(c, length);
    if (c.rcvBuf.length === 0 && c.finReceived && !this.endTold) tell(c, EVENT_END);
    return length;
  }

  /**
   * Queues `data[start..end)` for sending: all of it, or nothing. The bytes are copied.
   *
   * @returns their number; `EAGAIN` when there is no room for all (`onWritable` follows); `ENOTCONN` not connected yet;
   * `EPIPE` after `shutdown`, `close`, or the end of the connection
   */
  write(data: Uint8Array, start = 0, end = data.length): number {
    requireBytes(data, start, end, "data");
    const c = this.connection;
    if (!this.closed && (c.state === SYN_SENT || c.state === SYN_RCVD)) return ENOTCONN;
    if (this.closed || (c.state !== ESTABLISHED && c.state !== CLOSE_WAIT)) return EPIPE;
    const length = end - start;
    if (length > this.writable() || !c.sndBuf.append(data, start, length, 0)) {
      c.wantsWritable = true;
      if (c.sndBuf.length === 0) starve(c);
      return EAGAIN;
    }
    if (c.sndBuf.length >= c.sndLimit) c.wantsWritable = true;
    send(c);
    return length;
  }

  /** Sends no more: a FIN follows what is queued. Reading goes on. */
  shutdown(): void {
    if (!this.closed) shutdown(this.connection);
  }

  /**
   * Closes. What was written is still delivered; what was received and not read is lost, and the peer is told so by a RST
   * (RFC 1122 section 4.2.2.13). No callback comes after it. Legal twice.
   */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    closeConnection(this.connection);
  }

  /** Ends the connection at once with a RST; what is queued is lost. Legal twice. */
  abort(): void {
    if (this.closed) return;
    this.closed = true;
    const c = this.connection;
    c.orphan = true;
    abort(c, 0);
  }

  /** State of the connection as a number: see connection.ts, or `stateName`. */
  state(): number {
    return this.connection.state;
  }

  /** Why the connection ended: a code, or 0. */
  error(): number {
    return this.connection.error;
  }

  localAddress(): string {
    return this.connection.path.net.localText(this.connection.path);
  }

  localPort(): number {
    return this.connection.localPort;
  }

  remoteAddress(): string {
    return this.connection.path.net.remoteText(this.connection.path);
  }

  remotePort(): number {
    return this.connection.remotePort;
  }

  /** Sends small segments at once (no Nagle). */
  setNoDelay(on: boolean): void {
    const c = this.connection;
    c.noDelay = on === true;
    if (c.noDelay && c.sndBuf.length > 0) send(c);
  }

  /** Probes a silent peer after `idle` ms (0: never). The connection ends when it stays silent for 11 minutes more. */
  setKeepAlive(idle: number): void {
    const c = this.connection;
    c.keepAlive = requireInteger(idle, 0, LONGEST, "keepAlive");
    if (idle > 0 && c.state >= ESTABLISHED && c.state !== TIME_WAIT)
      setDeadline(c, KEEPALIVE, (c.tcp.refreshTime() + idle) | 0);
  }

  /** Ends the connection (`ETIMEDOUT`) when data stay unacknowledged for `timeout` ms; 0: never (RFC 9293 section 3.9.1.8). */
  setUserTimeout(timeout: number): void {
    this.connection.userTimeout = requireInteger(timeout, 0, LONGEST, "userTimeout");
  }

  /** Runs the callbacks for what has happened; called by the stack. */
  dispatch(): void {
    const c = this.connection;
    const events = c.events;
    c.events = 0;
    if (this.closeTold) return;
    if (events & EVENT_CONNECT) this.call(this.handlers.onConnect, 0);
    if (events & EVENT_READABLE && c.rcvBuf.length > 0) this.call(this.handlers.onReadable, c.rcvBuf.length);
    if (events & EVENT_WRITABLE) {
      const room = this.writable();
      if (room > 0) {
        c.wantsWritable = false;
        this.call(this.handlers.onWritable, room);
      } else if (c.sndBuf.length === 0 && (c.state === ESTABLISHED || c.state === CLOSE_WAIT)) {
        // Others were faster to take the memory that had become free.
        starve(c);
      }
    }
    if (events & EVENT_END && c.finReceived && !this.endTold && c.rcvBuf.length === 0) {
      this.endTold = true;
      this.call(this.handlers.onEnd, 0);
    }
    if (events & EVENT_CLOSE && !this.closed) {
      if (c.error === 0 && c.finReceived && !this.endTold) {
        // Not all has been read: told together with the end.
        c.events |= EVENT_CLOSE;
      } else {
        this.closeTold = true;
        this.call(this.handlers.onClose, c.error);
      }
    }
  }

  /** A callback that throws must not keep the others from being called. */
  private call(callback: ((this: TcpSocket, value: number) => void) | undefined, value: number): void {
    if (this.closed || !callback) return;
    try {
      callback.call(this, value);
    } catch (error) {
      this.connection.tcp.stack.host.panic(error);
    }
  }
}
