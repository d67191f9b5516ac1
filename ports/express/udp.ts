/** UDP by words (RFC 768): the header of a datagram that comes, its checksum, and those of one that goes. */
import { fold } from "../../stack/core/checksum.js";
import { CHECKSUM_OK } from "../../stack/core/packet.js";
import type { Packet } from "../../stack/core/packet.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import type { Path4 } from "../../stack/ipv4/path.js";
import type { Udp } from "../../stack/udp/udp.js";
import { UDP_HEADER, UDP_LENGTH } from "../../stack/wire/udp.js";
import type { ExpressEthernet } from "./ethernet.js";
import { halves, sumOf } from "./words.js";

export const PROTOCOL_UDP = 17;

/** As `Udp.input`, for a whole IPv4 packet to one address; false: it is not as expected, and nothing has changed. */
export function takeDatagram(udp: Udp, packet: Packet, view: DataView): boolean {
  const at = packet.start;
  const have = packet.end - at;
  if (have < UDP_HEADER) return false;
  const ports = view.getInt32(at);
  const second = view.getInt32(at + UDP_LENGTH);
  const length = second >>> 16;
  const from = ports >>> 16;
  const to = ports & 0xffff;
  if (length < UDP_HEADER || length > have || from === 0 || to === 0) return false;
  if (second & 0xffff && (packet.flags & CHECKSUM_OK) === 0) {
    const sum = packet.pseudo + PROTOCOL_UDP + length + from + to + halves(second);
    const data = sumOf(udp.stack.host.sum, packet.data, view, at + UDP_HEADER, at + length);
    if (fold(sum + data) !== 0xffff) return false;
  }
  udp.counters.received++;
  packet.start = at + UDP_HEADER;
  packet.end = at + length;
  udp.deliverOne(packet, packet.net as Ipv4, from, to);
  return true;
}

/** Puts itself in the place of `udp.emit`, for what `express` sends on its own. */
export function replaceEmit(udp: Udp, ip: Ipv4, express: ExpressEthernet): void {
  const plain = udp.emit;
  const sum = udp.stack.host.sum;
  udp.emit = (packet, to, ports) => {
    const path = to as Path4;
    const at = packet.start;
    const length = packet.end - at;
    if (to.net !== ip || !express.knows(ip, packet, path) || express.finishes(path)) {
      return plain.call(udp, packet, to, ports);
    }
    const view = express.outgoing.of(packet.data);
    const data = sumOf(sum, packet.data, view, at + UDP_HEADER, packet.end);
    const checksum = ~fold(path.pseudo + PROTOCOL_UDP + length + length + halves(ports) + data) & 0xffff;
    view.setInt32(at, ports);
    view.setInt32(at + UDP_LENGTH, (length << 16) | (checksum || 0xffff));
    return express.leave(ip, packet, path, PROTOCOL_UDP, view);
  };
}
