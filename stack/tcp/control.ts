/** Segments that no connection stands behind: RST to nobody's segment (RFC 9293 section 3.10.7.1), ACK from TIME-WAIT. */
import { get16 } from "../core/bytes.js";
import type { Network, Path } from "../core/network.js";
import { DONT_FRAGMENT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { fillChecksum } from "../core/transport.js";
import * as wire from "../wire/tcp.js";
import { PROTOCOL_TCP } from "./connection.js";
import { emitHeader, emitTimestamps } from "./output.js";
import type { Segment } from "./segment.js";
import type { Tcp } from "./tcp.js";

/** Answers a segment that belongs to nothing (RFC 9293 section 3.10.7.1). */
export function respondReset(tcp: Tcp, packet: Packet, segment: Segment): void {
  if (segment.flags & wire.RST) {
    tcp.counters.badReset++;
    return;
  }
  if (!tcp.resets.take(tcp.time)) {
    tcp.counters.resetsLimited++;
    return;
  }
  const net = packet.net as Network;
  const path = replyPath(tcp, net);
  net.setReply(path, packet);
  const remotePort = get16(packet.data, packet.start + wire.TCP_SOURCE_PORT);
  const localPort = get16(packet.data, packet.start + wire.TCP_DESTINATION_PORT);
  const flags = segment.flags;
  const length = segment.length + (flags & wire.SYN ? 1 : 0) + (flags & wire.FIN ? 1 : 0);
  const acknowledges = flags & wire.ACK;
  tcp.counters.resetsSent++;
  sendControl(
    tcp,
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
export function sendControl(
  tcp: Tcp,
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
  const packet = tcp.stack.prepare(header);
  if (!packet) return;
  const data = packet.data;
  const at = packet.start;
  emitHeader(data, at, localPort, remotePort, seq, ack, header, flags, 0);
  if (tsOffset) emitTimestamps(data, at + wire.TCP_HEADER, tcp.time + tsOffset, tsEcho);
  packet.flags |= DONT_FRAGMENT;
  fillChecksum(tcp.stack, packet, path, PROTOCOL_TCP, at + wire.TCP_CHECKSUM, 0);
  tcp.counters.sent++;
  path.net.output(packet, path, PROTOCOL_TCP);
}

function replyPath(tcp: Tcp, net: Network): Path {
  const paths = tcp.replyPaths;
  for (let i = 0; i < paths.length; i++) {
    if (paths[i].net === net) return paths[i];
  }
  const path = net.createPath();
  paths.push(path);
  return path;
}
