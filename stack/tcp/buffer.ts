/** What a connection may buffer: its share of the packet memory, the window that follows from it, how both grow. */
import { forget } from "./close.js";
import { CLOSED, ESTABLISHED, EVENT_WRITABLE, TIME_WAIT, tell } from "./connection.js";
import type { Connection } from "./connection.js";
import { receiveWindow, sendAck } from "./output.js";
import type { Tcp } from "./tcp.js";

/** How often a connection that got no memory is told to try again, ms. */
const STARVE_INTERVAL = 50;
/** A connection that holds memory behind a closed window and has come to pause so long between its probes, ms, may be ended. */
const PRESSURE_AGE = 30000;

/** Bytes of packet memory that are free; an eighth is kept for what is in progress. */
export function freeMemory(tcp: Tcp): number {
  const pool = tcp.stack.pool;
  const free = pool.limit - (pool.limit >> 3) - pool.used;
  return free > 0 ? free << pool.chunkShift : 0;
}

/** Should `c`, which holds data behind a closed window, make room for others? */
export function underPressure(c: Connection): boolean {
  return freeMemory(c.tcp) === 0 && (c.tcp.time - c.lastSent) >>> 0 >= PRESSURE_AGE;
}

/** The window that the SYN of `c` offered. */
export function synWindow(c: Connection): number {
  return c.rcvLimit < 0xffff ? c.rcvLimit : 0xffff;
}

/** The application has read `bytes`: the window may open, the buffer may grow. */
export function consumed(c: Connection, bytes: number): void {
  const buffer = c.rcvBuf;
  buffer.consume(bytes);
  c.lentAt += bytes;
  if (buffer.length === 0 && c.ranges.length === 0) forget(c);
  if (c.state < ESTABLISHED || c.state === TIME_WAIT || c.finReceived) return;
  tuneReceive(c, bytes);
  const gain = (receiveWindow(c) - (c.rcvAdv - c.rcvNxt)) | 0;
  if (gain >= 2 * c.rcvMss || gain >= c.rcvLimit >> 1) {
    c.tcp.time = c.tcp.stack.recent();
    sendAck(c);
  }
}

/** Grows the receive buffer where the application reads more than half of it in a round trip. */
export function tuneReceive(c: Connection, bytes: number): void {
  if (c.rcvLimit >= c.tcp.receiveMost) return;
  c.tuneBytes += bytes;
  const elapsed = (c.tcp.time - c.tuneTime) | 0;
  if (elapsed < c.srtt >> 3 || elapsed < 1) return;
  if (c.tuneBytes * 2 > c.rcvLimit) {
    const wanted = c.tuneBytes * 2 < c.rcvLimit * 2 ? c.tuneBytes * 2 : c.rcvLimit * 2;
    c.rcvLimit = wanted < c.tcp.receiveMost ? wanted : c.tcp.receiveMost;
  }
  c.tuneBytes = 0;
  c.tuneTime = c.tcp.time;
}

/** Grows the send buffer with the congestion window: twice what may be in flight. */
export function tuneSend(c: Connection): void {
  const wanted = c.cwnd * 2;
  if (wanted > c.sndLimit && c.sndLimit < c.tcp.sendMost) {
    c.sndLimit = wanted < c.tcp.sendMost ? wanted : c.tcp.sendMost;
  }
}

/** `c` has nothing queued and got no memory: nothing of its own will tell it when there is some. */
export function starve(c: Connection): void {
  if (c.tcp.starved.indexOf(c) >= 0) return;
  c.tcp.starved.push(c);
  if (c.tcp.starveTimer.slot < 0) {
    c.tcp.stack.timers.set(c.tcp.starveTimer, (c.tcp.refreshTime() + STARVE_INTERVAL) | 0);
  }
}

/** Tells the connections that wait for memory that there may be some. */
export function feed(tcp: Tcp): void {
  const starved = tcp.starved.splice(0, tcp.starved.length);
  for (let i = 0; i < starved.length; i++) {
    const c = starved[i];
    if (c.state === CLOSED) continue;
    if (freeMemory(tcp) > 0) tell(c, EVENT_WRITABLE);
    else starve(c);
  }
}
