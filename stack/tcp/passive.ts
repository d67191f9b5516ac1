/** Passive OPEN (RFC 9293 section 3.10.1): listening, and what becomes of a SYN (section 3.10.7.2). */
import { EAFNOSUPPORT, fail, requireInteger, setting } from "../core/errors.js";
import { secure } from "../core/hash.js";
import type { Network, Path } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import { EPHEMERAL_COUNT, EPHEMERAL_LOW } from "../core/transport.js";
import { freeMemory } from "./buffer.js";
import { EVENT_CONNECT, EVENT_WRITABLE, REXMIT, SYN_RCVD, tell } from "./connection.js";
import type { Connection } from "./connection.js";
import { begin, newConnection } from "./create.js";
import { acceptOptions } from "./input.js";
import { Listener } from "./listener.js";
import type { TcpListenOptions } from "./listener.js";
import { sendSyn } from "./output.js";
import type { Segment } from "./segment.js";
import type { Cookies } from "./syn-cookies.js";
import type { Tcp } from "./tcp.js";
import { setDeadline, synAckRetries } from "./timers.js";

/**
 * Listens. Thrown: `EINVAL` options, `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`, `EIO` (no entropy), `ENOBUFS` (no port).
 */
export function listen(tcp: Tcp, options: TcpListenOptions): Listener {
  const port = requireInteger(options.port, 0, 65535, "port");
  const backlog = setting(options.backlog, 16, 1, 65535, "backlog");
  const stack = tcp.stack;
  if (!secure(stack)) fail("EIO", "random");
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
    if (!listens(tcp, candidate, paths)) chosen = candidate;
  }
  if (!chosen) fail("ENOBUFS", "ports");
  if (listens(tcp, chosen, paths)) fail("EADDRINUSE", "port " + chosen);
  const listener = new Listener(tcp, options, chosen, backlog);
  for (let i = 0; i < paths.length; i++) listener.paths.push(paths[i]);
  tcp.listeners.insert(listener);
  return listener;
}

function listens(tcp: Tcp, port: number, paths: Path[]): boolean {
  for (let other = tcp.listeners.first(port); other; other = other.nextInBucket) {
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

/** A SYN for a listener. */
export function open(
  tcp: Tcp,
  listener: Listener,
  net: Network,
  packet: Packet,
  segment: Segment,
  hash: number,
  localPort: number,
  remotePort: number,
): void {
  const full = listener.halfOpen >= listener.backlog;
  const cookies = tcp.config.cookies;
  if (!hasRoom(tcp, listener) || (full && !cookies)) {
    tcp.counters.synDropped++;
    return;
  }
  if (full) {
    (cookies as Cookies).answer(net, packet, segment, localPort, remotePort);
    return;
  }
  const path = net.createPath();
  net.setReply(path, packet);
  if (net.route(path) < 0) {
    tcp.counters.synDropped++;
    return;
  }
  const c = newConnection(tcp, path);
  c.hash = hash;
  c.localPort = localPort;
  c.remotePort = remotePort;
  begin(c, tcp.lastTimeWaitSeq);
  c.irs = segment.seq;
  c.rcvNxt = (segment.seq + 1) | 0;
  acceptOptions(c, segment);
  if (tcp.ecn) tcp.ecn.negotiate(c, segment, packet);
  c.state = SYN_RCVD;
  c.silentSince = tcp.time;
  c.sndWnd = segment.window;
  c.sndWl1 = segment.seq;
  enter(c, listener);
  setDeadline(c, REXMIT, (tcp.time + c.rto) | 0);
  if (tcp.early) tcp.early.offered(c, segment, packet);
  sendSyn(c);
}

/** May `listener` have one connection more that nobody has accepted? */
export function hasRoom(tcp: Tcp, listener: Listener): boolean {
  return (
    listener.waiting.length < listener.backlog && tcp.connections.size < tcp.limit && freeMemory(tcp) !== 0
  );
}

/** Takes a half-open connection of `listener` into the table. */
export function enter(c: Connection, listener: Listener): void {
  c.listener = listener;
  listener.halfOpen++;
  c.tcp.connections.insert(c);
  c.tcp.last = c;
}

/** May the SYN-ACK of `c` go out once more because its SYN came again? */
export function mayRepeat(c: Connection): boolean {
  if (((c.tcp.time - c.lastSent) | 0) < 500 || c.retries >= synAckRetries(c)) return false;
  c.retries++;
  // The client gets its time to answer this one, too.
  setDeadline(c, REXMIT, (c.tcp.time + c.rto) | 0);
  return true;
}

/** Is there room in the backlog? */
export function mayEstablish(c: Connection): boolean {
  const listener = c.listener;
  return !listener || listener.waiting.length < listener.backlog;
}

export function established(c: Connection): void {
  const listener = c.listener;
  if (!listener) {
    tell(c, EVENT_CONNECT | EVENT_WRITABLE);
    return;
  }
  c.tcp.counters.accepts++;
  listener.halfOpen--;
  listener.waiting.push(c);
  c.tcp.stack.defer(listener);
}
