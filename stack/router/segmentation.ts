/**
 * Merged TCP segments on their way through a router. They go on whole where the next link cuts them itself; where it does not, or where each
 * packet has to be looked at for itself (IPsec), they are cut here, in place: each piece's headers are written over the end of the one
 * before, which has been sent. An argument of `forwarding` and `forwarding6`.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import type { Interface } from "../core/interface.js";
import { CHECKSUM_UNFINISHED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Stack } from "../core/stack.js";
import {
  IPV4_CHECKSUM,
  IPV4_DESTINATION,
  IPV4_ID,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
  PROTOCOL_TCP,
} from "../wire/ipv4.js";
import { IPV6_DESTINATION, IPV6_HEADER, IPV6_PAYLOAD_LENGTH, IPV6_SOURCE } from "../wire/ipv6.js";
import { CWR, FIN, PSH, TCP_CHECKSUM, TCP_FLAGS, TCP_HEADER, TCP_SEQUENCE } from "../wire/tcp.js";
import { headerSum } from "./router.js";

/** IPv4 and TCP headers at their longest, and some extension headers of IPv6. What has more is not taken for a merged segment. */
const LONGEST = 192;

export class Segmentation {
  /** All headers of the packet that is being cut. */
  private readonly header = new Uint8Array(LONGEST);
  private size = 0;
  private transport = 0;
  private payload = 0;
  private end = 0;
  private done = 0;
  private step = 0;
  private flags = 0;
  private source = 0;
  private destination = 0;
  private pseudo = 0;

  /**
   * Bytes of the largest packet that `packet` was merged from; 0: it is no TCP segment, and taken as it is.
   *
   * @param transport where its TCP header is, or -1
   */
  largest(packet: Packet, transport: number): number {
    const data = packet.data;
    const at = packet.network;
    if (packet.protocol === PROTOCOL_TCP && transport > 0 && transport + TCP_HEADER <= packet.end) {
      const payload = transport + ((data[transport + 12] >> 4) << 2);
      const step = packet.segmentSize;
      if (payload - transport >= TCP_HEADER && payload - at <= LONGEST && payload + step < packet.end) {
        return payload - at + step;
      }
    }
    packet.segmentSize = 0;
    return 0;
  }

  /** Can `out` cut the packet itself? @param plain its network header has neither options nor extensions */
  whole(packet: Packet, out: Interface, plain: boolean): boolean {
    const offloads = out.link.offloads;
    const nif = packet.nif as Interface;
    return (
      plain &&
      !!offloads &&
      offloads.transmitChecksum === true &&
      (offloads.segmentation || 0) >= packet.end - packet.network &&
      nif.medium.headerSize + (nif.link.headroom || 0) >= out.medium.headerSize + (out.link.headroom || 0)
    );
  }

  /** The link completes the checksum, whoever has verified it before. */
  finish(stack: Stack, packet: Packet, transport: number): void {
    if (packet.flags & CHECKSUM_UNFINISHED) return;
    packet.flags |= CHECKSUM_UNFINISHED;
    put16(
      packet.data,
      transport + TCP_CHECKSUM,
      pseudoSum(stack, packet.data, packet.network, packet.end - transport),
    );
  }

  /** Begins to cut `packet`, of which `largest` has said something: `next` makes it the pieces, one by one. */
  begin(packet: Packet, transport: number): void {
    const data = packet.data;
    const at = packet.network;
    const header = this.header;
    this.payload = transport + ((data[transport + 12] >> 4) << 2);
    this.size = this.payload - at;
    for (let i = 0; i < this.size; i++) header[i] = data[at + i];
    this.transport = transport - at;
    this.end = packet.end;
    this.step = packet.segmentSize;
    this.done = 0;
    this.flags = packet.flags | CHECKSUM_UNFINISHED;
    this.source = packet.source;
    this.destination = packet.destination;
    this.pseudo = packet.pseudo;
    packet.segmentSize = 0;
  }

  /** Makes the next piece of the packet, its checksum left to be finished; false: there is none. */
  next(stack: Stack, packet: Packet): boolean {
    const from = this.payload + this.done;
    if (from >= this.end) return false;
    const data = packet.data;
    const at = from - this.size;
    const last = from + this.step >= this.end;
    const stop = last ? this.end : from + this.step;
    const transport = at + this.transport;
    // The first one's headers are where they have always been, unless something has been rewritten in them.
    for (let i = 0; i < this.size; i++) data[at + i] = this.header[i];
    if (data[at] >> 4 === 4) {
      put16(data, at + IPV4_TOTAL_LENGTH, stop - at);
      put16(data, at + IPV4_ID, get16(data, at + IPV4_ID) + this.done / this.step);
      put16(data, at + IPV4_CHECKSUM, 0);
      put16(data, at + IPV4_CHECKSUM, ~headerSum(data, at, this.transport));
    } else put16(data, at + IPV6_PAYLOAD_LENGTH, stop - at - IPV6_HEADER);
    put32(data, transport + TCP_SEQUENCE, get32(data, transport + TCP_SEQUENCE) + this.done);
    if (!last) data[transport + TCP_FLAGS] &= ~(FIN | PSH);
    if (this.done > 0) data[transport + TCP_FLAGS] &= ~CWR;
    put16(data, transport + TCP_CHECKSUM, pseudoSum(stack, data, at, stop - transport));
    packet.network = packet.start = at;
    packet.end = stop;
    packet.flags = this.flags;
    packet.source = this.source;
    packet.destination = this.destination;
    packet.pseudo = this.pseudo;
    this.done += this.step;
    return true;
  }
}

/** The sum of the pseudo-header over a TCP segment of `length` bytes, not complemented. */
function pseudoSum(stack: Stack, data: Uint8Array, at: number, length: number): number {
  const four = data[at] >> 4 === 4;
  return stack.host.sum(
    data,
    at + (four ? IPV4_SOURCE : IPV6_SOURCE),
    at + (four ? IPV4_DESTINATION + 4 : IPV6_DESTINATION + 16),
    fold(PROTOCOL_TCP + length),
  );
}

/** For routers whose links merge what they receive: `forwarding({ segments: segmentation() })`. One may serve both families. */
export function segmentation(): Segmentation {
  return new Segmentation();
}
