/** CLOSE and ABORT (RFC 9293 sections 3.10.4 and 3.10.5), and how a connection ends. */
import { ECONNABORTED } from "../core/errors.js";
import {
  CLOSED,
  CLOSE_WAIT,
  ESTABLISHED,
  EVENT_CLOSE,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  ORPHAN,
  SYN_RCVD,
  SYN_SENT,
  TIME_WAIT,
  tell,
} from "./connection.js";
import type { Connection } from "./connection.js";
import { ORPHAN_TIMEOUT } from "./input.js";
import type { Listener } from "./listener.js";
import { output, sendReset } from "./output.js";
import { dropRanges } from "./reassembly.js";
import { setDeadline } from "./timers.js";

export function shutdown(c: Connection): void {
  c.tcp.refreshTime();
  finish(c);
}

/** A FIN follows what is queued. */
function finish(c: Connection): void {
  if (c.finQueued || c.state < SYN_SENT) return;
  if (c.state === SYN_SENT || c.state === SYN_RCVD) c.finQueued = true;
  else if (c.state === ESTABLISHED || c.state === CLOSE_WAIT) {
    c.finQueued = true;
    c.state = c.state === ESTABLISHED ? FIN_WAIT_1 : LAST_ACK;
    output(c);
  }
}

/** The application leaves: see `TcpSocket.close`. */
export function closeConnection(c: Connection): void {
  c.tcp.refreshTime();
  c.orphan = true;
  c.events = 0;
  const state = c.state;
  if (state === CLOSED || state === TIME_WAIT) forget(c);
  else if (state === SYN_SENT) end(c, 0);
  else if (c.rcvBuf.length > 0 || state === SYN_RCVD) abort(c, 0);
  else if (state === FIN_WAIT_2) setDeadline(c, ORPHAN, (c.tcp.time + ORPHAN_TIMEOUT) | 0);
  else finish(c);
}

export function closeListener(listener: Listener): void {
  if (listener.closed) return;
  listener.closed = true;
  listener.tcp.refreshTime();
  listener.tcp.listeners.remove(listener);
  listener.tcp.connections.each((c) => {
    if (c.listener === listener) abort(c, ECONNABORTED);
  });
}

/** Ends a connection with a RST. */
export function abort(c: Connection, code: number): void {
  c.tcp.refreshTime();
  if (c.state !== TIME_WAIT && c.state !== CLOSED) sendReset(c);
  end(c, code);
}

/** Ends a connection without a word to the peer; the application is told `code`. */
export function end(c: Connection, code: number): void {
  if (c.state !== CLOSED) detach(c, code);
  if (c.orphan || !c.socket) forget(c);
  tell(c, EVENT_CLOSE);
}

/** Both sides have closed: the flow goes to TIME-WAIT, what was received stays readable. */
export function enterTimeWait(c: Connection): void {
  c.tcp.timeWaits.add(c);
  detach(c, 0);
  if (c.orphan || !c.socket) forget(c);
  else c.state = TIME_WAIT;
  tell(c, EVENT_CLOSE);
}

/** Takes `c` out of the tables and gives its memory back, all but what was received. */
function detach(c: Connection, code: number): void {
  const listener = c.listener;
  if (listener) {
    if (c.state === SYN_RCVD) listener.halfOpen--;
    const at = listener.waiting.indexOf(c);
    if (at >= 0) listener.waiting.splice(at, 1);
    c.listener = null;
  }
  c.tcp.connections.remove(c);
  if (c.tcp.last === c) c.tcp.last = null;
  c.tcp.stack.timers.clear(c.timer);
  c.armed = 0;
  c.state = CLOSED;
  c.error = code;
  c.sndBuf.clear();
  dropRanges(c);
  if (c.rcvBuf.length > 0) c.tcp.unread.insert(c);
}

/** Gives back what `c` has received and nobody will read (any more). */
export function forget(c: Connection): void {
  c.rcvBuf.clear();
  if (c.state === CLOSED || c.state === TIME_WAIT) c.tcp.unread.remove(c);
}
