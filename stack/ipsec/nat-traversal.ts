/**
 * ESP in UDP (RFC 3948): the component for tunnels that cross a NAT.
 *
 * It looks at datagrams to the ports of its SAs before policy does: ESP goes to its SA, keepalives end here, and what has the marker of
 * zeros (IKE) goes on as any datagram. A NAT's binding is kept by a byte whenever an SA has been silent.
 */
import { get16, get32, put16 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Path } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import { KEEPALIVE, PROTOCOL_ESP } from "../wire/esp.js";
import { UDP_HEADER } from "../wire/udp.js";
import { Ipsec } from "./ipsec.js";
import type { Sa } from "./sa.js";

export class NatTraversalCounters {
  sent = 0;
  received = 0;
  keepalivesSent = 0;
  keepalivesReceived = 0;
  /** Datagrams that are neither ESP nor keepalive nor marked as IKE's, or whose length lies. */
  malformed = 0;
}

export interface NatTraversalOptions {
  /** Silence after which a keepalive is sent, seconds. Default 20; 0: none (this host is behind no NAT). */
  keepalive?: number;
}

const PROTOCOL_UDP = 17;

export class NatTraversal implements Component {
  readonly name = "natt";
  readonly counters = new NatTraversalCounters();
  private stack: Stack = null as never;
  private ipsec: Ipsec = null as never;
  private readonly silence: number;
  private readonly timer = new Timer((own: NatTraversal) => own.refresh(), this);

  constructor(options: NatTraversalOptions) {
    const seconds = options.keepalive === undefined ? 20 : options.keepalive;
    this.silence = requireInteger(seconds, 0, 3600, "keepalive") * 1000;
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "natTraversal");
    this.stack = stack;
    stack.counters.natt = this.counters as never;
  }

  start(): void {
    const ipsec = this.stack.component(Ipsec);
    if (!ipsec) return fail("ENOPROTOOPT", "natTraversal needs ipsec");
    this.ipsec = ipsec;
    ipsec.encapsulation = this;
  }

  close(): void {
    this.stack.timers.clear(this.timer);
  }

  /** An SA with ports has been added: the clock of the keepalives runs. */
  added(): void {
    if (this.silence > 0 && this.timer.slot < 0) {
      this.stack.timers.set(this.timer, (this.stack.now() + this.silence) | 0);
    }
  }

  /** A datagram, its header at `start`. The protocol that it goes on with (ESP: `start` is at that), or -1. */
  input(packet: Packet): number {
    const data = packet.data;
    const at = packet.start;
    const have = packet.end - at;
    if (have < UDP_HEADER || !this.isOurs(get16(data, at + 2))) return PROTOCOL_UDP;
    const length = get16(data, at + 4);
    const inside = length - UDP_HEADER;
    if (length > have || inside < 1 || (inside < 4 && (inside > 1 || data[at + UDP_HEADER] !== KEEPALIVE))) {
      this.counters.malformed++;
      return -1;
    }
    if (inside === 1) {
      this.counters.keepalivesReceived++;
      return -1;
    }
    if (get32(data, at + UDP_HEADER) === 0) return PROTOCOL_UDP;
    this.counters.received++;
    packet.start = at + UDP_HEADER;
    packet.end = at + length;
    return PROTOCOL_ESP;
  }

  /** Puts the UDP header before the ESP packet, which goes by the routed `path`. */
  emit(sa: Sa, packet: Packet, path: Path): void {
    const data = packet.data;
    const at = (packet.start -= UDP_HEADER);
    const length = packet.end - at;
    put16(data, at, sa.localPort);
    put16(data, at + 2, sa.remotePort);
    put16(data, at + 4, length);
    put16(data, at + 6, 0);
    // Over IPv4 there is none (section 2.1); IPv6 wants one.
    if (sa.net.family === 6) {
      const seed = fold(path.pseudo + PROTOCOL_UDP + length);
      put16(data, at + 6, ~this.stack.host.sum(data, at, packet.end, seed) & 0xffff || 0xffff);
    }
    this.counters.sent++;
  }

  /** Is there an SA that receives on this port? */
  private isOurs(port: number): boolean {
    const ports = this.ipsec.ports;
    return ports.indexOf(port) >= 0;
  }

  /** Sends the keepalives that are due, or will be soon: who has many SAs does not look at all of them for each. */
  private refresh(): void {
    const now = this.stack.now();
    const soon = this.silence >> 3;
    let next = -1;
    this.ipsec.outbound.each((sa) => {
      if (sa.localPort === 0) return;
      let left = (sa.used + this.silence - now) | 0;
      if (left <= soon) {
        this.keep(sa);
        sa.used = now;
        left = this.silence;
      }
      if (next < 0 || left < next) next = left;
    });
    if (next >= 0) this.stack.timers.set(this.timer, (now + next) | 0);
  }

  private keep(sa: Sa): void {
    const packet = this.stack.prepare(1);
    if (!packet) return;
    packet.data[packet.start] = KEEPALIVE;
    this.ipsec.sending = true;
    if (sa.net.route(sa.path) === 0) {
      this.emit(sa, packet, sa.path);
      this.counters.sent--;
      if (sa.net.output(packet, sa.path, PROTOCOL_UDP) >= 0) this.counters.keepalivesSent++;
    }
    this.ipsec.sending = false;
  }
}

/** UDP encapsulation of ESP. Needs `ipsec` and `esp`. Counters: `natt`. */
export function natTraversal(options: NatTraversalOptions = {}): NatTraversal {
  return new NatTraversal(options);
}
