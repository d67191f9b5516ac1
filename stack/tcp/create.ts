/** A new control block: settings, initial sequence number (RFC 6528), timestamp offset, the hash of its ends. */
import { hashOf } from "../core/hash.js";
import type { Network, Path } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import { Connection } from "./connection.js";
import type { Tcp } from "./tcp.js";

/** A connection object with the settings of its component. */
export function newConnection(tcp: Tcp, path: Path): Connection {
  const c = new Connection(tcp, path);
  setUp(c);
  return c;
}

/** Gives `c` the settings of its component. */
export function setUp(c: Connection): void {
  const config = c.tcp.config;
  c.sndLimit = c.tcp.sendStart;
  c.rcvLimit = c.tcp.receiveStart;
  c.rcvScale = config.windowScaling === false ? 0 : c.tcp.scale;
  c.scaling = config.windowScaling !== false;
  c.timestamps = config.timestamps !== false;
  c.sackPermitted = config.sack !== false;
  c.rto = c.tcp.initialRto;
  c.userTimeout = c.tcp.userTimeout;
}

/**
 * Sets initial sequence number and timestamp offset: RFC 6528 with SipHash-2-4 under the stack's secret, which ticks every
 * 4 microseconds.
 */
export function begin(c: Connection, beyond: number): void {
  const hash = hashOf(c.tcp.stack);
  hash.begin(2);
  c.path.net.hashPath(c.path);
  hash.word((c.remotePort << 16) | c.localPort);
  let iss = (hash.end() + c.tcp.time * 250) | 0;
  c.tsOffset = hash.high || 1;
  if (beyond !== 0 && ((iss - beyond) | 0) <= 0) iss = (beyond + 65536) | 0;
  setIss(c, iss);
}

export function setIss(c: Connection, iss: number): void {
  c.iss = c.sndUna = c.recover = c.lostEdge = c.rexmitNext = iss;
  c.sndNxt = c.sndBufSeq = c.sndSmall = (iss + 1) | 0;
}

export function hashPacket(
  tcp: Tcp,
  net: Network,
  packet: Packet,
  localPort: number,
  remotePort: number,
): number {
  const hash = hashOf(tcp.stack);
  hash.begin(1);
  net.hashPacket(packet);
  hash.word((remotePort << 16) | localPort);
  return hash.end();
}

export function hashPath(tcp: Tcp, path: Path, localPort: number, remotePort: number): number {
  const hash = hashOf(tcp.stack);
  hash.begin(1);
  path.net.hashPath(path);
  hash.word((remotePort << 16) | localPort);
  return hash.end();
}
