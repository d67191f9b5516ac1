/** The flow whose packets are expected: what its next frame must be like, word for word, so that no layer has anything to say about it. */
import { fold } from "../../stack/core/checksum.js";
import type { Interface } from "../../stack/core/interface.js";
import { CHECKSUM_OK, CHECKSUM_UNFINISHED } from "../../stack/core/packet.js";
import type { Packet } from "../../stack/core/packet.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import { ETHERNET_HEADER } from "../../stack/wire/ethernet.js";
import {
  FLAG_MF,
  FRAGMENT_OFFSET,
  IPV4_DESTINATION,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_SOURCE,
  IPV4_TTL,
} from "../../stack/wire/ipv4.js";
import { halves } from "./words.js";

const TRANSPORT = ETHERNET_HEADER + IPV4_HEADER;

export class Flow {
  /** Both ports, as they lie in the header; 0: no flow. */
  ports = 0;
  protocol = 0;
  private nif: Interface | null = null;
  private generation = 0;
  /** Ethernet's header, from its third byte on: there the words begin that drivers align. */
  private station = 0;
  private low = 0;
  private middle = 0;
  private type = 0;
  /** The upper halves of IPv4's first and third word: version, header size, TOS; time to live, protocol. */
  private first = 0;
  private third = 0;
  private source = 0;
  private destination = 0;
  private pseudo = 0;
  /** The ports of the last packet that was not of this flow: it becomes the flow when they come twice. */
  private candidate = 0;

  /**
   * Is `packet` the next one? Then its `start` is at the transport header, and all that IPv4 would have found out is set. Else nothing
   * has changed.
   */
  take(ip: Ipv4, packet: Packet, view: DataView): boolean {
    const at = packet.start;
    const network = (at + ETHERNET_HEADER) | 0;
    const room = (packet.end - network) | 0;
    if (room < IPV4_HEADER + 4 || view.getInt32((at + TRANSPORT) | 0) !== this.ports) return false;
    const first = view.getInt32(network);
    const second = view.getInt32((network + IPV4_ID) | 0);
    const third = view.getInt32((network + IPV4_TTL) | 0);
    const length = first & 0xffff;
    if (
      this.ports === 0 ||
      view.getInt32((network + IPV4_SOURCE) | 0) !== this.source ||
      view.getInt32((network + IPV4_DESTINATION) | 0) !== this.destination ||
      view.getUint16(at) !== this.station ||
      view.getInt32((at + 2) | 0) !== this.low ||
      view.getInt32((at + 6) | 0) !== this.middle ||
      view.getInt32((at + 10) | 0) !== this.type ||
      first >>> 16 !== this.first ||
      third >>> 16 !== this.third ||
      length > room ||
      length < IPV4_HEADER ||
      second & (FLAG_MF | FRAGMENT_OFFSET) ||
      packet.nif !== this.nif ||
      this.generation !== ip.stack.generation ||
      !isPlain(ip, packet) ||
      fold(this.first + this.third + this.pseudo + length + halves(second) + (third & 0xffff)) !== 0xffff
    ) {
      return false;
    }
    packet.start = (at + TRANSPORT) | 0;
    packet.end = (network + length) | 0;
    packet.network = network;
    if (packet.net !== ip) packet.net = ip;
    packet.source = this.source;
    packet.destination = this.destination;
    packet.pseudo = this.pseudo;
    packet.protocol = this.protocol;
    packet.ttl = this.third >>> 8;
    packet.tos = this.first & 255;
    return true;
  }

  /** A packet has gone past the layers (`start` at its transport header): are the next ones expected to be like it? */
  learn(packet: Packet, view: DataView, ports: number): void {
    if (ports !== this.candidate) {
      this.candidate = ports;
      return;
    }
    const network = packet.network;
    const at = network - ETHERNET_HEADER;
    const nif = packet.nif as Interface;
    this.ports = ports;
    this.protocol = packet.protocol;
    this.nif = nif;
    this.generation = nif.stack.generation;
    this.station = view.getUint16(at);
    this.low = view.getInt32(at + 2);
    this.middle = view.getInt32(at + 6);
    this.type = view.getInt32(at + 10);
    this.first = view.getUint16(network);
    this.third = view.getUint16(network + IPV4_TTL);
    this.source = packet.source;
    this.destination = packet.destination;
    this.pseudo = packet.pseudo;
  }
}

/** Is nothing the matter with how it came, and is nobody looking at packets? */
export function isPlain(ip: Ipv4, packet: Packet): boolean {
  return (
    (packet.flags & ~(CHECKSUM_OK | CHECKSUM_UNFINISHED)) === 0 &&
    ip.hook === null &&
    ip.policy === null &&
    ip.taps.length === 0
  );
}
