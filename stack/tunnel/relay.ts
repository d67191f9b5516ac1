/**
 * Errors about packets that are in a tunnel, told to those who sent them (RFC 2003 section 4, RFC 2473 section 8, RFC 4213 section
 * 3.4): the quotation of the outer packet becomes a packet again, and its sender is told, or this host's own transport.
 */
import { get16, get32 } from "../core/bytes.js";
import { EMSGSIZE } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { Packet } from "../core/packet.js";
import type { Deferred, Stack } from "../core/stack.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { FRAGMENTATION_NEEDED, HOST_UNREACHABLE, UNREACHABLE } from "../wire/icmp.js";
import { PACKET_TOO_BIG, UNREACHABLE6 } from "../wire/icmpv6.js";
import {
  FLAG_DF,
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
} from "../wire/ipv4.js";
import { IPV6_HEADER, IPV6_SOURCE } from "../wire/ipv6.js";

/** Bytes that are kept of a packet: as many as an error of IPv4 quotes. */
const KEPT = 548;
const ADDRESS_UNREACHABLE = 3;

/** One error at a time waits: others that come in the same instant are not told, as if they had been lost. */
export class Relay implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  /** Errors that were told to somebody. */
  told = 0;
  private readonly packet = new Packet(new Uint8Array(0));
  private code = 0;
  private mtu = 0;

  constructor(private readonly stack: Stack) {}

  /** `data[start..end)` is, or begins as, an IP packet that `nif` could not carry. It is copied. */
  keep(nif: Interface, data: Uint8Array, start: number, end: number, code: number, mtu: number): void {
    const packet = this.packet;
    if (this.queued) return;
    if (packet.data.length === 0) packet.data = new Uint8Array(KEPT);
    const length = end - start < KEPT ? end - start : KEPT;
    this.stack.host.copy(packet.data, 0, data, start, length);
    packet.nif = nif;
    packet.end = length;
    this.code = code;
    this.mtu = mtu;
    this.stack.defer(this);
  }

  run(): void {
    const packet = this.packet;
    const data = packet.data;
    packet.network = packet.start = packet.flags = 0;
    if ((packet.nif as Interface).removed || packet.end < 1) return;
    const version = data[0] >> 4;
    if (version === 4) this.tell4(packet, this.stack.network(4) as Ipv4 | null);
    else if (version === 6 && packet.end >= IPV6_HEADER) {
      this.tell6(packet, this.stack.network(6) as Ipv6 | null);
    }
  }

  private tell4(packet: Packet, ip: Ipv4 | null): void {
    const data = packet.data;
    const header = (data[0] & 15) << 2;
    if (!ip || !ip.icmp || header < IPV4_HEADER || packet.end < header + 8) return;
    const big = this.code === EMSGSIZE;
    if (big && (get16(data, IPV4_FRAGMENT) & FLAG_DF) === 0) return;
    this.told++;
    packet.net = ip;
    packet.source = get32(data, IPV4_SOURCE);
    packet.destination = get32(data, IPV4_DESTINATION);
    packet.protocol = data[IPV4_PROTOCOL];
    if (ip.isLocal(packet.source)) ip.icmp.deliverError(packet, this.code, this.mtu);
    else {
      ip.icmp.sendError(
        packet,
        UNREACHABLE,
        big ? FRAGMENTATION_NEEDED : HOST_UNREACHABLE,
        big ? this.mtu : 0,
      );
    }
  }

  private tell6(packet: Packet, ip: Ipv6 | null): void {
    if (!ip || !ip.icmp) return;
    const big = this.code === EMSGSIZE;
    this.told++;
    packet.net = ip;
    if (ip.findAddress(packet.data, IPV6_SOURCE, null)) ip.icmp.deliverError(packet, this.code, this.mtu);
    else {
      ip.icmp.sendError(
        packet,
        big ? PACKET_TOO_BIG : UNREACHABLE6,
        big ? 0 : ADDRESS_UNREACHABLE,
        big ? this.mtu : 0,
      );
    }
  }
}
