/**
 * Ethernet for engines with a compiler: the frame that was expected (a whole IPv4 packet of the ends that were looked at last) is known by
 * a dozen words and goes past the layers to its transport; a packet to a known neighbour gets all its headers at once. All others take
 * the layers' own way, step by step, and the counters are the same.
 *
 * Headers, TCP's and UDP's too (tcp.ts, udp.ts), are read and written as words of a DataView: byte by byte V8's code waits for its own stores.
 */
import { zeroBytes } from "../../stack/core/bytes.js";
import { fold } from "../../stack/core/checksum.js";
import type { Interface } from "../../stack/core/interface.js";
import type { Path, Transport } from "../../stack/core/network.js";
import { CHECKSUM_OK, CHECKSUM_UNFINISHED, DONT_FRAGMENT } from "../../stack/core/packet.js";
import type { Packet } from "../../stack/core/packet.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import { output } from "../../stack/ipv4/output.js";
import type { Path4 } from "../../stack/ipv4/path.js";
import { Ethernet } from "../../stack/link/ethernet.js";
import { DELAY, REACHABLE, STATIC } from "../../stack/link/neighbour.js";
import type { Neighbour } from "../../stack/link/neighbour.js";
import { finishOffload } from "../../stack/link/offload.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import type { Udp } from "../../stack/udp/udp.js";
import {
  ETHERNET_HEADER,
  ETHERNET_MINIMUM,
  ETHERNET_SOURCE,
  ETHERNET_TYPE,
  TYPE_IPV4,
} from "../../stack/wire/ethernet.js";
import {
  FLAG_DF,
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_DESTINATION,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_SOURCE,
  IPV4_TTL,
} from "../../stack/wire/ipv4.js";
import { PROTOCOL_TCP, replaceEmit as replaceTcp, takeSegment } from "./tcp.js";
import { PROTOCOL_UDP, replaceEmit as replaceUdp, takeDatagram } from "./udp.js";
import { Words } from "./words.js";

const HEADERS = ETHERNET_HEADER + IPV4_HEADER;
/** Version 4, no options. */
const PLAIN = 0x45;

export class ExpressEthernet extends Ethernet {
  readonly outgoing = new Words();
  private readonly incoming = new Words();
  private ip: Ipv4 | null = null;
  private udp: Udp | null = null;
  private tcp: Tcp | null = null;

  start(): void {
    const ip = this.stack.network(4) as Ipv4 | null;
    this.ip = ip;
    // A transport calls what it finds there.
    if (!ip) return;
    ip.output = (packet, path, protocol) => this.send(ip, packet, path, protocol);
    // Types alone are imported: whoever has no TCP carries none. What another component does with the protocol stays its own.
    const udp = this.stack.transport(PROTOCOL_UDP) as Transport | null as Udp | null;
    const tcp = this.stack.transport(PROTOCOL_TCP) as Transport | null as Tcp | null;
    if (udp && udp.name === "udp") replaceUdp((this.udp = udp), ip, this);
    if (tcp && tcp.name === "tcp") replaceTcp((this.tcp = tcp), ip, this);
  }

  override input(packet: Packet): void {
    if (this.ip === null || !this.take(this.ip, packet)) super.input(packet);
  }

  /** Gives the packet to its transport; false: it is not as expected, and nothing has changed. */
  private take(ip: Ipv4, packet: Packet): boolean {
    const at = packet.start;
    const network = at + ETHERNET_HEADER;
    const nif = packet.nif as Interface;
    if (packet.end - at < HEADERS) return false;
    const view = this.incoming.of(packet.data);
    const source = view.getInt32(network + IPV4_SOURCE);
    const destination = view.getInt32(network + IPV4_DESTINATION);
    // What is forwarded, or of another protocol, has lost no more than this.
    if (source !== ip.seenSource || destination !== ip.seenDestination) return false;
    const middle = view.getInt32(at + 4);
    const low = view.getInt32(at + ETHERNET_SOURCE + 2);
    const first = view.getInt32(network);
    const second = view.getInt32(network + IPV4_ID);
    const third = view.getInt32(network + IPV4_TTL);
    const length = first & 0xffff;
    const pseudo = (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff);
    const sum =
      (first >>> 16) + length + (second >>> 16) + (second & 0xffff) + (third >>> 16) + (third & 0xffff);
    if (
      view.getInt32(at) !== ((nif.high << 16) | (nif.low >>> 16)) ||
      middle >>> 16 !== (nif.low & 0xffff) ||
      // From a group, or from ourselves.
      middle & 0x100 ||
      (low === nif.low && (middle & 0xffff) === nif.high) ||
      view.getUint16(at + ETHERNET_TYPE) !== TYPE_IPV4 ||
      first >>> 24 !== PLAIN ||
      length < IPV4_HEADER ||
      length > packet.end - network ||
      second & (FLAG_MF | FRAGMENT_OFFSET) ||
      !isKnown(ip, packet) ||
      fold(sum + pseudo) !== 0xffff
    ) {
      return false;
    }
    const protocol = (third >>> 16) & 255;
    const udp = protocol === PROTOCOL_UDP ? this.udp : null;
    const tcp = protocol === PROTOCOL_TCP ? this.tcp : null;
    const transport = udp || tcp || this.stack.transport(protocol);
    if (!transport) return false;
    packet.start = network + IPV4_HEADER;
    packet.end = network + length;
    packet.network = network;
    packet.net = ip;
    packet.source = source;
    packet.destination = destination;
    packet.pseudo = pseudo;
    packet.protocol = protocol;
    packet.ttl = third >>> 24;
    packet.tos = (first >>> 16) & 255;
    ip.counters.received++;
    ip.counters.delivered++;
    if (udp ? !takeDatagram(udp, packet, view) : !tcp || !takeSegment(tcp, packet, view))
      transport.input(packet);
    return true;
  }

  /** Is the way along `path` known as far as the neighbour, and nobody to be asked about `packet` (its transport header at `start`)? */
  knows(ip: Ipv4, packet: Packet, path: Path4): boolean {
    const neighbour = path.neighbour;
    return (
      path.generation === this.stack.generation &&
      neighbour !== null &&
      (neighbour.state === REACHABLE || neighbour.state === DELAY || neighbour.state === STATIC) &&
      (path.nif as Interface).medium === this &&
      path.kind === 0 &&
      path.option === 0 &&
      ip.hook === null &&
      ip.policy === null &&
      (packet.end - packet.start + IPV4_HEADER <= path.mtu + path.overhead || packet.segmentSize > 0) &&
      packet.start >= HEADERS &&
      packet.start - HEADERS + ETHERNET_MINIMUM <= packet.data.length
    );
  }

  /** Does the link of `path` want to finish checksums itself? */
  finishes(path: Path4): boolean {
    const offloads = (path.nif as Interface).link.offloads;
    return offloads !== undefined && offloads.transmitChecksum === true;
  }

  /** As `Ipv4.output`. */
  private send(ip: Ipv4, packet: Packet, path: Path, protocol: number): number {
    if (!this.knows(ip, packet, path as Path4)) return output(ip, packet, path, protocol);
    return this.leave(ip, packet, path as Path4, protocol, this.outgoing.of(packet.data));
  }

  /** Puts both headers before what `knows` has said yes to, and sends it. */
  leave(ip: Ipv4, packet: Packet, path: Path4, protocol: number, view: DataView): number {
    const nif = path.nif as Interface;
    const neighbour = path.neighbour as Neighbour;
    const length = packet.end - packet.start + IPV4_HEADER;
    const whole = packet.flags & DONT_FRAGMENT;
    const id = whole ? 0 : ip.nextId(path, protocol);
    const flags = whole ? FLAG_DF : 0;
    const first = ((0x4500 | path.tos) << 16) | length;
    const third = ((path.ttl || ip.ttl) << 8) | protocol;
    const sum = ~fold((first >>> 16) + length + id + flags + third + path.pseudo) & 0xffff;
    const at = packet.start - IPV4_HEADER;
    const start = at - ETHERNET_HEADER;
    view.setInt32(start, (neighbour.high << 16) | (neighbour.low >>> 16));
    view.setInt32(start + 4, (neighbour.low << 16) | nif.high);
    view.setInt32(start + ETHERNET_SOURCE + 2, nif.low);
    view.setInt16(start + ETHERNET_TYPE, TYPE_IPV4);
    view.setInt32(at, first);
    view.setInt32(at + IPV4_ID, (id << 16) | flags);
    view.setInt32(at + IPV4_TTL, (third << 16) | sum);
    view.setInt32(at + IPV4_SOURCE, path.source);
    view.setInt32(at + IPV4_DESTINATION, path.remote);
    packet.start = packet.network = at;
    packet.net = ip;
    ip.counters.sent++;
    let end = packet.end;
    if (end - start < ETHERNET_MINIMUM) {
      zeroBytes(packet.data, end, start + ETHERNET_MINIMUM);
      end = start + ETHERNET_MINIMUM;
    }
    return nif.transmit(
      packet.data,
      start,
      end,
      packet.checksumField < 0 ? null : finishOffload(packet, start),
    );
  }
}

/** Has IPv4 let those ends in here, since addresses and interfaces are what they are? And is nobody looking at packets? */
function isKnown(ip: Ipv4, packet: Packet): boolean {
  return (
    ip.seenOn === packet.nif &&
    ip.seenAt === ip.stack.generation &&
    (packet.flags & ~(CHECKSUM_OK | CHECKSUM_UNFINISHED)) === 0 &&
    ip.hook === null &&
    ip.policy === null &&
    ip.taps.length === 0
  );
}

/** Takes the place of `ethernet()` from stack/link/ethernet.ts, in engines with a compiler. Counters: `eth`. */
export function ethernet(): ExpressEthernet {
  return new ExpressEthernet();
}
