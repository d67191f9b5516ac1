/** TCP by words (RFC 9293 section 3.1): the header of a segment of a connection, its checksum, and those of one that goes. */
import { fold } from "../../stack/core/checksum.js";
import { CHECKSUM_OK, DONT_FRAGMENT } from "../../stack/core/packet.js";
import type { Packet } from "../../stack/core/packet.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import type { Path4 } from "../../stack/ipv4/path.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import {
  SYN,
  TCP_ACKNOWLEDGMENT,
  TCP_CHECKSUM,
  TCP_HEADER,
  TCP_OFFSET,
  TCP_SEQUENCE,
} from "../../stack/wire/tcp.js";
import type { ExpressEthernet } from "./ethernet.js";
import { halves, sumOf } from "./words.js";
import type { Words } from "./words.js";

export const PROTOCOL_TCP = 6;
/** A header with the timestamps option alone, padded; and the word that this begins with. */
const TIMED_HEADER = TCP_HEADER + 12;
const TIMESTAMPS = 0x0101080a;

/** As `Tcp.input`, for a whole IPv4 packet to one address; false: it is not as expected, and nothing has changed. */
export function takeSegment(tcp: Tcp, packet: Packet, memory: Words): boolean {
  const view = memory.view;
  const at = packet.start;
  const have = packet.end - at;
  if (have < TCP_HEADER) return false;
  const fourth = view.getInt32(at + TCP_OFFSET);
  const header = (fourth >>> 28) << 2;
  const timed =
    header === TIMED_HEADER && have >= TIMED_HEADER && view.getInt32(at + TCP_HEADER) === TIMESTAMPS;
  // A SYN has other options.
  if ((!timed && header !== TCP_HEADER) || fourth & (SYN << 16)) return false;
  const ports = view.getInt32(at);
  const seq = view.getInt32(at + TCP_SEQUENCE);
  const ack = view.getInt32(at + TCP_ACKNOWLEDGMENT);
  const value = timed ? view.getInt32(at + TCP_HEADER + 4) : 0;
  const echo = timed ? view.getInt32(at + TCP_HEADER + 8) : 0;
  if ((packet.flags & CHECKSUM_OK) === 0) {
    let sum =
      packet.pseudo + PROTOCOL_TCP + have + halves(ports) + halves(seq) + halves(ack) + halves(fourth);
    sum += halves(view.getInt32(at + TCP_CHECKSUM));
    if (timed) sum += halves(TIMESTAMPS) + halves(value) + halves(echo);
    if (have > header) sum += sumOf(tcp.stack.host.sum, memory, at + header, packet.end);
    if (fold(sum) !== 0xffff) return false;
  }
  const segment = tcp.segment;
  segment.data = packet.data;
  segment.seq = seq;
  segment.ack = ack;
  segment.flags = (fourth >>> 16) & 255;
  segment.window = fourth & 0xffff;
  segment.unscaled = false;
  segment.at = at + header;
  segment.length = have - header;
  segment.mss = 0;
  segment.scale = -1;
  segment.sackPermitted = false;
  segment.timestamps = timed;
  if (timed) {
    segment.tsValue = value;
    segment.tsEcho = echo;
  }
  segment.sackCount = 0;
  tcp.counters.received++;
  tcp.arrived(packet, ports);
  return true;
}

/** Puts itself in the place of `tcp.emit`, for what `express` sends on its own. */
export function replaceEmit(tcp: Tcp, ip: Ipv4, express: ExpressEthernet): void {
  const plain = tcp.emit;
  const host = tcp.stack.host.sum;
  tcp.emit = (c, packet, seq, header, flags, window, blocks) => {
    const path = c.path as Path4;
    if (
      blocks > 0 ||
      path.net !== ip ||
      !express.knows(ip, path, packet.segmentSize > 0 ? 0 : packet.end - packet.start) ||
      express.finishes(path)
    ) {
      return plain.call(tcp, c, packet, seq, header, flags, window, blocks);
    }
    const view = express.outgoing.of(packet.data);
    const at = packet.start;
    const ports = (c.localPort << 16) | c.remotePort;
    const ack = c.rcvNxt;
    const fourth = (header << 26) | (flags << 16) | window;
    let sum =
      path.pseudo +
      PROTOCOL_TCP +
      packet.end -
      at +
      halves(ports) +
      halves(seq) +
      halves(ack) +
      halves(fourth);
    view.setInt32(at, ports);
    view.setInt32(at + TCP_SEQUENCE, seq);
    view.setInt32(at + TCP_ACKNOWLEDGMENT, ack);
    view.setInt32(at + TCP_OFFSET, fourth);
    if (c.timestamps) {
      const value = (tcp.time + c.tsOffset) | 0;
      const echo = c.tsRecent;
      view.setInt32(at + TCP_HEADER, TIMESTAMPS);
      view.setInt32(at + TCP_HEADER + 4, value);
      view.setInt32(at + TCP_HEADER + 8, echo);
      sum += halves(TIMESTAMPS) + halves(value) + halves(echo);
    }
    if (packet.end - at > header) sum += sumOf(host, express.outgoing, at + header, packet.end);
    view.setInt32(at + TCP_CHECKSUM, (~fold(sum) & 0xffff) << 16);
    return express.leave(ip, packet, path, PROTOCOL_TCP, view, (packet.flags & DONT_FRAGMENT) !== 0);
  };
}
