/** UDP by words (RFC 768): the header of a datagram that comes, its checksum, and those of one that goes. */
import { fold } from "../../stack/core/checksum.js";
import { EAGAIN, requireBytes } from "../../stack/core/errors.js";
import { CHECKSUM_OK } from "../../stack/core/packet.js";
import type { Packet } from "../../stack/core/packet.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import type { Path4 } from "../../stack/ipv4/path.js";
import type { Udp } from "../../stack/udp/udp.js";
import { UDP_HEADER, UDP_LENGTH } from "../../stack/wire/udp.js";
import type { ExpressEthernet } from "./ethernet.js";
import { alike, copySum, halves, sumOf } from "./words.js";
import type { Words } from "./words.js";

export const PROTOCOL_UDP = 17;

/** As `Udp.input`, for a whole IPv4 packet to one address; false: it is not as expected, and nothing has changed. */
export function takeDatagram(udp: Udp, packet: Packet, memory: Words): boolean {
  const at = packet.start;
  const have = packet.end - at;
  if (have < UDP_HEADER) return false;
  const view = memory.view;
  const ports = view.getInt32(at);
  const second = view.getInt32((at + UDP_LENGTH) | 0);
  const length = second >>> 16;
  const from = ports >>> 16;
  const to = ports & 0xffff;
  if (length < UDP_HEADER || length > have || from === 0 || to === 0) return false;
  const end = (at + length) | 0;
  if (second & 0xffff && (packet.flags & CHECKSUM_OK) === 0) {
    const sum = packet.pseudo + PROTOCOL_UDP + length + from + to + halves(second);
    const data = sumOf(udp.stack.host.sum, memory, (at + UDP_HEADER) | 0, end);
    if (fold(sum + data) !== 0xffff) return false;
  }
  udp.counters.received++;
  packet.start = (at + UDP_HEADER) | 0;
  packet.end = end;
  udp.deliverOne(packet, packet.net as Ipv4, from, to);
  return true;
}

/** Puts itself in the place of `udp.transmit`, for what `express` sends on its own. */
export function replaceTransmit(udp: Udp, ip: Ipv4, express: ExpressEthernet): void {
  const plain = udp.transmit;
  const stack = udp.stack;
  const { copy, sum } = stack.host;
  const { outgoing, application } = express;
  udp.transmit = (socket, to, port, data, start, end) => {
    requireBytes(data, start, end, "data");
    const path = to as Path4;
    const options = socket.options;
    const length = (end - start + UDP_HEADER) | 0;
    if (path.net !== ip || !express.knows(ip, path, length) || express.finishes(path)) {
      return plain.call(udp, socket, to, port, data, start, end);
    }
    const packet = stack.prepare(length);
    if (packet === null) return plain.call(udp, socket, to, port, data, start, end);
    const view = outgoing.of(packet.data);
    const at = packet.start;
    const body = (at + UDP_HEADER) | 0;
    const ports = (socket.port << 16) | port;
    let total = path.pseudo + PROTOCOL_UDP + length + length + halves(ports);
    if (application.knows(data) && alike(outgoing, body, application, start, (end - start) | 0)) {
      total += copySum(outgoing, body, application, start, (end - start) | 0);
    } else {
      copy(packet.data, body, data, start, end - start);
      total += sumOf(sum, outgoing, body, packet.end);
    }
    view.setInt32(at, ports);
    view.setInt32((at + UDP_LENGTH) | 0, (length << 16) | (~fold(total) & 0xffff || 0xffff));
    path.loop = options.multicastLoop !== false;
    path.ttl = options.ttl || 0;
    const whole = options.dontFragment === true || ip.pathMtu !== null;
    const code = express.leave(ip, packet, path, PROTOCOL_UDP, view, whole);
    if (code < 0) {
      udp.counters.sendFailed++;
      if (code === EAGAIN) socket.wantsWritable = true;
      return code;
    }
    udp.counters.sent++;
    return end - start;
  };
}
