/** Active OPEN (RFC 9293 section 3.10.1), with a random local port (RFC 6056). */
import {
  EADDRNOTAVAIL,
  EAGAIN,
  EIO,
  ENETUNREACH,
  ENOBUFS,
  fail,
  requireInteger,
  setting,
} from "../core/errors.js";
import { secure } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import type { Path } from "../core/network.js";
import { EPHEMERAL_COUNT, EPHEMERAL_LOW } from "../core/transport.js";
import { end } from "./close.js";
import { EVENT_CLOSE, REXMIT, SYN_SENT, tell } from "./connection.js";
import type { Connection } from "./connection.js";
import { begin, newConnection, hashPath } from "./create.js";
import { sendSyn } from "./output.js";
import { TcpSocket } from "./socket.js";
import type { TcpHandlers } from "./socket.js";
import { LONGEST } from "./tcp.js";
import type { Tcp } from "./tcp.js";
import { setDeadline } from "./timers.js";

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

/**
 * Opens a connection. What the network has against it comes through `onClose`: `ENETUNREACH`, `EHOSTUNREACH`,
 * `ECONNREFUSED`, `ETIMEDOUT`, `ENOBUFS` (too many connections), `EIO` (the host has no entropy). Thrown: `EINVAL` options,
 * `EAFNOSUPPORT` no address of a family that the stack has, `EADDRNOTAVAIL` `localAddress`, `EADDRINUSE` `localPort`.
 */
export function connect(tcp: Tcp, options: TcpConnectOptions): TcpSocket {
  const now = tcp.refreshTime();
  const port = requireInteger(options.port, 1, 65535, "port");
  const localPort = setting(options.localPort, 0, 0, 65535, "localPort");
  const path = remotePath(tcp, options.address);
  const net = path.net;
  if (options.localAddress) {
    const code = net.setLocal(path, options.localAddress);
    if (code < 0) fail(code === EADDRNOTAVAIL ? "EADDRNOTAVAIL" : "EAFNOSUPPORT", "localAddress");
  }
  path.bound = options.interface || null;
  path.ttl = setting(options.ttl, 0, 0, 255, "ttl");
  path.tos = setting(options.tos, 0, 0, 255, "tos");
  if (path.kind) fail("EINVAL", "address");
  const c = newConnection(tcp, path);
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
    if (tcp.connections.size >= tcp.limit) code = ENOBUFS;
    else if (!secure(tcp.stack) || !tcp.stack.host.secure(4)) code = EIO;
    else if (!bindPort(c, localPort)) {
      if (localPort) fail("EADDRINUSE", "localPort");
      code = ENOBUFS;
    }
  }
  if (code < 0) {
    c.error = code;
    tell(c, EVENT_CLOSE);
    return c.socket;
  }
  tcp.counters.connects++;
  begin(c, 0);
  c.state = SYN_SENT;
  c.silentSince = now;
  tcp.connections.insert(c);
  tcp.last = c;
  setDeadline(c, REXMIT, (now + c.rto) | 0);
  code = sendSyn(c);
  if (code < 0 && code !== ENOBUFS && code !== EAGAIN) end(c, code);
  return c.socket;
}

function remotePath(tcp: Tcp, address: string): Path {
  if (typeof address !== "string") fail("EINVAL", "address");
  const networks = tcp.stack.networks;
  for (let i = 0; i < networks.length; i++) {
    const path = networks[i].createPath();
    if (networks[i].setRemote(path, address) === 0) return path;
  }
  return fail("EAFNOSUPPORT", "address " + address);
}

/** Gives `c` a local port: the one asked for, or a random one (RFC 6056). False: none is free. */
function bindPort(c: Connection, wanted: number): boolean {
  const random = c.tcp.stack.host;
  for (let tries = 0; tries < (wanted ? 1 : 64); tries++) {
    c.localPort = wanted || EPHEMERAL_LOW + (random.random16() & (EPHEMERAL_COUNT - 1));
    const hash = hashPath(c.tcp, c.path, c.localPort, c.remotePort);
    let other = c.tcp.connections.first(hash);
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
    if (!other && !c.tcp.timeWaits.holds(hash, c.path, c.localPort, c.remotePort)) {
      c.hash = hash;
      return true;
    }
  }
  return false;
}
