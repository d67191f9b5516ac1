/**
 * Ethernet for engines with a compiler: the next frame of the flow that came last (flow.ts) is known by a dozen words and goes past the
 * layers to its transport, and so does any whole IPv4 packet of the ends that were looked at last; a packet to a known neighbour gets all
 * its headers at once. All others take the layers' own way, step by step, and the counters are the same.
 *
 * Headers, TCP's and UDP's too (tcp.ts, udp.ts), are read and written as words: byte by byte V8's code waits for its own stores. Ethernet's
 * words begin at its third byte, as the rest of the frame has them: a word that crosses two others that were just written waits as well.
 */
import { zeroBytes } from "../../stack/core/bytes.js";
import { fold } from "../../stack/core/checksum.js";
import type { Interface } from "../../stack/core/interface.js";
import type { Path, Transport } from "../../stack/core/network.js";
import { DONT_FRAGMENT } from "../../stack/core/packet.js";
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
import { ETHERNET_HEADER, ETHERNET_MINIMUM, TYPE_IPV4 } from "../../stack/wire/ethernet.js";
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
import { Flow, isPlain } from "./flow.js";
import { PROTOCOL_TCP, replaceEmit, takeSegment } from "./tcp.js";
import { PROTOCOL_UDP, replaceTransmit, takeDatagram } from "./udp.js";
import { Words, halves } from "./words.js";

const HEADERS = ETHERNET_HEADER + IPV4_HEADER;
/** Version 4, no options. */
const PLAIN = 0x45;

export class ExpressEthernet extends Ethernet {
  readonly outgoing = new Words();
  readonly application = new Words();
  private readonly incoming = new Words();
  private readonly flow = new Flow();
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
    if (udp && udp.name === "udp") replaceTransmit((this.udp = udp), ip, this);
    if (tcp && tcp.name === "tcp") replaceEmit((this.tcp = tcp), ip, this);
  }

  override input(packet: Packet): void {
    const ip = this.ip;
    if (ip === null) {
      super.input(packet);
      return;
    }
    const flow = this.flow;
    const start = packet.start;
    const end = packet.end;
    if (flow.take(ip, packet, this.incoming.of(packet.data))) {
      const udp = flow.protocol === PROTOCOL_UDP;
      if (
        udp ? takeDatagram(this.udp!, packet, this.incoming) : takeSegment(this.tcp!, packet, this.incoming)
      ) {
        ip.counters.received++;
        ip.counters.delivered++;
        return;
      }
      packet.start = start;
      packet.end = end;
    }
    if (!this.take(ip, packet)) super.input(packet);
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
    const middle = view.getInt32(at + 6);
    const last = view.getInt32(at + 10);
    const first = view.getInt32(network);
    const second = view.getInt32(network + IPV4_ID);
    const third = view.getInt32(network + IPV4_TTL);
    const length = first & 0xffff;
    const pseudo = halves(source) + halves(destination);
    const sum = (first >>> 16) + length + halves(second) + halves(third);
    if (
      view.getUint16(at) !== nif.high ||
      view.getInt32(at + 2) !== nif.low ||
      // From a group, or from ourselves.
      middle & 0x1000000 ||
      (middle === ((nif.high << 16) | (nif.low >>> 16)) && last >>> 16 === (nif.low & 0xffff)) ||
      (last & 0xffff) !== TYPE_IPV4 ||
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
    if ((udp || tcp) && length >= IPV4_HEADER + 4) this.flow.learn(packet, view, view.getInt32(packet.start));
    if (udp ? !takeDatagram(udp, packet, this.incoming) : !tcp || !takeSegment(tcp, packet, this.incoming))
      transport.input(packet);
    return true;
  }

  /** Is the way along `path` known as far as the neighbour, and nobody to be asked about a transport's packet of `length` bytes? */
  knows(ip: Ipv4, path: Path4, length: number): boolean {
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
      length + IPV4_HEADER <= path.mtu + path.overhead
    );
  }

  /** Does the link of `path` want to finish checksums itself? */
  finishes(path: Path4): boolean {
    const offloads = (path.nif as Interface).link.offloads;
    return offloads !== undefined && offloads.transmitChecksum === true;
  }

  /** As `Ipv4.output`. */
  private send(ip: Ipv4, packet: Packet, to: Path, protocol: number): number {
    const path = to as Path4;
    if (
      !this.knows(ip, path, packet.segmentSize > 0 ? 0 : packet.end - packet.start) ||
      packet.start < HEADERS ||
      packet.start - HEADERS + ETHERNET_MINIMUM > packet.data.length
    ) {
      return output(ip, packet, path, protocol);
    }
    const whole = (packet.flags & DONT_FRAGMENT) !== 0;
    return this.leave(ip, packet, path, protocol, this.outgoing.of(packet.data), whole);
  }

  /** Puts both headers before what `knows` has said yes to, and sends it. @param whole no router may cut it */
  leave(ip: Ipv4, packet: Packet, path: Path4, protocol: number, view: DataView, whole: boolean): number {
    const nif = path.nif as Interface;
    const neighbour = path.neighbour as Neighbour;
    const at = (packet.start - IPV4_HEADER) | 0;
    const start = (at - ETHERNET_HEADER) | 0;
    let end = packet.end;
    const length = (end - at) | 0;
    const id = whole ? 0 : ip.nextId(path, protocol);
    const flags = whole ? FLAG_DF : 0;
    const first = ((0x4500 | path.tos) << 16) | length;
    const third = ((path.ttl || ip.ttl) << 8) | protocol;
    const sum = ~fold((first >>> 16) + length + id + flags + third + path.pseudo) & 0xffff;
    view.setInt16(start, neighbour.high);
    view.setInt32((start + 2) | 0, neighbour.low);
    view.setInt32((start + 6) | 0, (nif.high << 16) | (nif.low >>> 16));
    view.setInt32((start + 10) | 0, (nif.low << 16) | TYPE_IPV4);
    view.setInt32(at, first);
    view.setInt32((at + IPV4_ID) | 0, (id << 16) | flags);
    view.setInt32((at + IPV4_TTL) | 0, (third << 16) | sum);
    view.setInt32((at + IPV4_SOURCE) | 0, path.source);
    view.setInt32((at + IPV4_DESTINATION) | 0, path.remote);
    packet.start = packet.network = at;
    // A pointer that is written costs a look at both objects' ages.
    if (packet.net !== ip) packet.net = ip;
    ip.counters.sent++;
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
  return ip.seenOn === packet.nif && ip.seenAt === ip.stack.generation && isPlain(ip, packet);
}

/** Takes the place of `ethernet()` from stack/link/ethernet.ts, in engines with a compiler. Counters: `eth`. */
export function ethernet(): ExpressEthernet {
  return new ExpressEthernet();
}
