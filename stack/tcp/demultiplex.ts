/** From the network: which connection a segment or an ICMP error (RFC 5927) is for, and what becomes of those for none (RFC 9293, 3.10.7). */
import { get16, get32 } from "../core/bytes.js";
import { EMSGSIZE } from "../core/errors.js";
import type { Network } from "../core/network.js";
import { NOT_UNICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { checksumValid } from "../core/transport.js";
import * as wire from "../wire/tcp.js";
import { end } from "./close.js";
import { PROTOCOL_TCP, RETRY, SYN_SENT } from "./connection.js";
import type { Connection } from "./connection.js";
import { respondReset } from "./control.js";
import { hashPacket } from "./create.js";
import { segmentArrives } from "./input.js";
import { open } from "./passive.js";
import { parse } from "./segment.js";
import type { Segment } from "./segment.js";
import type { Tcp } from "./tcp.js";
import { setDeadline } from "./timers.js";

export function input(tcp: Tcp, packet: Packet): void {
  const counters = tcp.counters;
  const segment = tcp.segment;
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
  if (!checksumValid(tcp.stack, packet, PROTOCOL_TCP)) {
    counters.badsum++;
    return;
  }
  tcp.arrived(packet, get32(data, at));
}

/** `Tcp.arrived`: see there. */
export function arrived(tcp: Tcp, packet: Packet, ports: number): void {
  const counters = tcp.counters;
  const segment = tcp.segment;
  const remotePort = ports >>> 16;
  const localPort = ports & 0xffff;
  if (remotePort === 0 || localPort === 0) {
    counters.badPort++;
    return;
  }
  const net = packet.net as Network;
  tcp.time = tcp.stack.now();
  let c = tcp.last;
  if (!c || !fits(c, net, packet, localPort, remotePort)) {
    const hash = hashPacket(tcp, net, packet, localPort, remotePort);
    c = find(tcp, hash, net, packet, localPort, remotePort);
    if (!c) {
      inputUnknown(tcp, net, packet, segment, hash, localPort, remotePort);
      return;
    }
    tcp.last = c;
  }
  segmentArrives(c, segment, packet);
}

/** A segment for no connection: TIME-WAIT, a listener, or nobody. */
function inputUnknown(
  tcp: Tcp,
  net: Network,
  packet: Packet,
  segment: Segment,
  hash: number,
  localPort: number,
  remotePort: number,
): void {
  let listener = tcp.listeners.first(localPort);
  while (listener && (listener.port !== localPort || !listener.pathFor(packet, net))) {
    listener = listener.nextInBucket;
  }
  tcp.lastTimeWaitSeq = 0;
  if (tcp.timeWaits.input(segment, packet, hash, localPort, remotePort, listener !== null)) return;
  if (!listener) {
    tcp.counters.noPort++;
    respondReset(tcp, packet, segment);
    return;
  }
  // RFC 9293 section 3.10.7.2.
  const flags = segment.flags;
  if (flags & wire.RST) tcp.counters.badReset++;
  else if (flags & wire.ACK) {
    const cookies = flags & wire.SYN ? null : tcp.config.cookies;
    if (cookies && cookies.accept(listener, net, packet, segment, localPort, remotePort)) return;
    tcp.counters.noPort++;
    respondReset(tcp, packet, segment);
  } else if ((flags & (wire.SYN | wire.FIN)) !== wire.SYN) tcp.counters.badFlags++;
  else open(tcp, listener, net, packet, segment, hash, localPort, remotePort);
}

export function icmpError(tcp: Tcp, quoted: Packet, code: number, mtu: number): boolean {
  const net = quoted.net as Network;
  const localPort = get16(quoted.data, quoted.start);
  const remotePort = get16(quoted.data, quoted.start + 2);
  const seq = get32(quoted.data, quoted.start + wire.TCP_SEQUENCE);
  net.swap(quoted);
  const hash = hashPacket(tcp, net, quoted, localPort, remotePort);
  const c = find(tcp, hash, net, quoted, localPort, remotePort);
  // The quoted sequence number must be in flight: else it is a guess (RFC 5927 section 4).
  if (!c || ((seq - c.sndUna) | 0) < 0 || ((seq - c.sndNxt) | 0) >= 0) return false;
  tcp.refreshTime();
  if (code === EMSGSIZE) {
    if (mtu > 0 && mtu >= c.path.mtu) return false;
    // The network takes note of it once this returns; `output` sees whether segments have become smaller.
    setDeadline(c, RETRY, tcp.time);
  } else if (c.state === SYN_SENT) end(c, code);
  else c.softError = code;
  return true;
}

function find(
  tcp: Tcp,
  hash: number,
  net: Network,
  packet: Packet,
  localPort: number,
  remotePort: number,
): Connection | null {
  let c = tcp.connections.first(hash);
  while (c && (c.hash !== hash || !fits(c, net, packet, localPort, remotePort))) c = c.nextInBucket;
  return c;
}

function fits(c: Connection, net: Network, packet: Packet, localPort: number, remotePort: number): boolean {
  return (
    c.localPort === localPort &&
    c.remotePort === remotePort &&
    c.path.net === net &&
    net.matches(c.path, packet)
  );
}
