/**
 * What tunnels over IP have in common: a link whose frames go out as the payload of packets to one peer (RFC 2003, 2473, 2784, 4213).
 *
 * The outer header is written into the room before the packet, as a medium's is: nothing is copied. The interface's MTU follows the
 * path to the peer; what is too large for a path that has just become narrower is told to its sender (relay.ts). Congestion marks go
 * in and come out by RFC 6040. Loops end: a tunnel that would lead through itself sends nothing, and no more than `NESTING` tunnels
 * lie in each other, in either direction.
 */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { EAGAIN, EMSGSIZE, fail, requireInteger } from "../core/errors.js";
import { pathTo } from "../core/datagrams.js";
import type { Interface } from "../core/interface.js";
import type { Network, Path } from "../core/network.js";
import { DONT_FRAGMENT, Packet, REASSEMBLED } from "../core/packet.js";
import type { Deferred, Stack } from "../core/stack.js";
import { tosOf, joinMarks } from "./ecn.js";
import { Relay } from "./relay.js";

/** Tunnels that may lie in each other. */
export const NESTING = 4;

/** The most that `headroom` says. */
const ROOM = 160;

export class TunnelCounters {
  received = 0;
  sent = 0;
  /** From nobody that there is a tunnel to (or with another key): the sender is told. */
  unknown = 0;
  /** Shorter than the header, or with flags that are reserved. */
  malformed = 0;
  /** GRE's checksum is wrong. */
  badsum = 0;
  /** Older than what has come before (GRE with sequence numbers). */
  outOfOrder = 0;
  /** What is in it is not what this tunnel carries; or has come to go, and is not. */
  unsupported = 0;
  /** Congestion was met by a packet whose sender would not learn of it (RFC 6040 section 4.2). */
  congested = 0;
  /** The way to the peer leads through the tunnel itself. */
  loop = 0;
  /** Tunnels in tunnels, beyond what is allowed. */
  nested = 0;
  /** Larger than the path to the peer takes; the sender was told where it is to be. */
  tooBig = 0;
  /** No way to the peer, or no room on its link. */
  failed = 0;
  /** Errors of routers on the way: they were believed, for they quote what we sent. */
  errors = 0;
}

export interface TunnelOptions {
  /** The peer's address, of either family. */
  remote: string;
  /** This end's address; default what the route has, and then any of this host's is taken as destination. */
  local?: string;
  /** The outer packets go by this interface alone. */
  interface?: Interface;
  /** Time to live of outer packets, 1..255, or `"inherit"`: the inner packet's. Default the network's. */
  ttl?: number | "inherit";
  /** DSCP of outer packets as the upper six bits of 0..255, or `"inherit"` (RFC 2983). Congestion marks are inherited anyhow. */
  tos?: number | "inherit";
  /** Largest inner packet; default, and upper bound, what the path to the peer takes. */
  mtu?: number;
  /** False: outer packets may be fragmented on their way, and the interface's MTU stays. Default true (RFC 2003 section 5.1). */
  pmtu?: boolean;
}

/** A kind of tunnel. */
export interface Encapsulation {
  readonly counters: TunnelCounters;
  /** Outer protocol number for an inner packet of that IP version (0: an Ethernet frame), or -1: not carried. */
  protocolOf(version: number): number;
  /** Writes the tunnel's header before `start`; the new start. */
  emit(tunnel: Tunnel, data: Uint8Array, start: number, end: number, version: number): number;
}

export class Tunnel implements Link, Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  /** Largest inner packet now. */
  mtu = 1280;
  /** Room that an outgoing packet wants before it: the outer headers, and the link's that it leaves by. */
  headroom = 64;
  readonly path: Path;
  receiver: LinkReceiver | null = null;
  /** GRE: key, or 0; flags of what is sent; sequence numbers. */
  key = 0;
  flags = 0;
  sendNext = 0;
  receiveNext = 0;
  sequenced = false;
  /** A packet that came without the room: ARP's and ND's own are made in small ones. */
  private scratch = new Uint8Array(0);
  private readonly relay: Relay;
  private readonly packet = new Packet(new Uint8Array(0));
  /** The stack's generation when `headroom` and `mtu` were looked up. */
  private seen = 0;
  private readonly most: number;
  private readonly tos: number;
  private readonly ttl: number;
  private readonly fixed: boolean;

  constructor(
    private readonly stack: Stack,
    private readonly kind: Encapsulation,
    options: TunnelOptions,
    readonly medium: "ip" | "ethernet",
    /** Bytes of the tunnel's own header, with an inner Ethernet header. */
    readonly overhead: number,
    readonly mac?: Uint8Array,
  ) {
    this.path = openPath(stack, options);
    this.most = requireInteger(options.mtu === undefined ? 65535 : options.mtu, 68, 65535, "mtu");
    this.tos =
      options.tos === undefined || options.tos === "inherit"
        ? -1
        : requireInteger(options.tos, 0, 255, "tos") & 0xfc;
    this.ttl =
      options.ttl === "inherit"
        ? -1
        : options.ttl === undefined
          ? 0
          : requireInteger(options.ttl, 1, 255, "ttl");
    this.fixed = options.pmtu === false;
    this.relay = new Relay(stack);
    const code = this.path.net.route(this.path);
    this.mtu = this.fixed && this.most < 65535 ? this.most : this.limit(code === 0 ? this.path.mtu : 1500);
    this.look();
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const stack = this.stack;
    const path = this.path;
    const net = path.net;
    const counters = this.kind.counters;
    const ethernet = this.medium === "ethernet";
    const version = ethernet ? 0 : frame[start] >> 4;
    const protocol = this.kind.protocolOf(version);
    if (protocol < 0) {
      counters.unsupported++;
      return 0;
    }
    if (stack.wrapping >= NESTING) {
      counters.nested++;
      return 0;
    }
    if (net.route(path) < 0) {
      counters.failed++;
      return 0;
    }
    if (path.nif === (this.receiver as unknown as Interface)) {
      counters.loop++;
      return 0;
    }
    if (this.seen !== stack.generation) this.look();
    if (start < this.headroom) {
      const length = end - start;
      const room = ROOM + length;
      if (this.scratch.length < room) this.scratch = new Uint8Array(room < ROOM + 1600 ? ROOM + 1600 : room);
      stack.host.copy(this.scratch, ROOM, frame, start, length);
      frame = this.scratch;
      start = ROOM;
      end = room;
    }
    const inner = ethernet ? start + 14 : start;
    const whole = end - inner + this.headerSize() <= path.mtu;
    // An IPv6 packet that every link takes is fragmented outside; anything else too large is its sender's business.
    if (!whole && !this.fixed && end - inner > 1280) {
      counters.tooBig++;
      const nif = this.receiver as Interface;
      if (!ethernet) this.relay.keep(nif, frame, start, end, EMSGSIZE, this.limit(path.mtu));
      return 0;
    }
    const tos = tosOf(frame, inner, end);
    path.tos = (this.tos < 0 ? tos & 0xfc : this.tos) | (tos & 3);
    path.ttl =
      this.ttl < 0 && !ethernet ? frame[start + (version === 4 ? 8 : 7)] : this.ttl < 0 ? 0 : this.ttl;
    const packet = this.packet;
    packet.data = frame;
    packet.start = this.kind.emit(this, frame, start, end, version);
    packet.end = end;
    packet.flags = whole && !this.fixed ? DONT_FRAGMENT : 0;
    packet.nif = null;
    packet.checksumField = -1;
    packet.segmentSize = 0;
    stack.wrapping++;
    const code = net.output(packet, path, protocol);
    stack.wrapping--;
    if (code === 0) counters.sent++;
    else counters.failed++;
    return code === EAGAIN ? -1 : 0;
  }

  /** Takes what was in an outer packet, from `start` on: an IP packet, or a frame. */
  deliver(packet: Packet, start: number): void {
    const stack = this.stack;
    const counters = this.kind.counters;
    const receiver = this.receiver;
    if (stack.unwrapping >= NESTING || !receiver) {
      counters.nested++;
      return;
    }
    const inner = this.medium === "ethernet" ? start + 14 : start;
    if (!joinMarks(packet.data, inner, packet.end, packet.tos)) {
      counters.congested++;
      return;
    }
    let data = packet.data;
    let end = packet.end;
    if (packet.flags & REASSEMBLED && start < this.headroom) {
      // Put together from fragments, it has no room before it in which it could be passed on.
      data = new Uint8Array(this.headroom + end - start);
      stack.host.copy(data, this.headroom, packet.data, start, end - start);
      end = data.length;
      start = this.headroom;
    }
    counters.received++;
    stack.unwrapping++;
    receiver.receive(data, start, end);
    stack.unwrapping--;
  }

  /** A router has said of a packet of ours that it went wrong: `quoted` from `start` on is what was in it. */
  failed(quoted: Packet, start: number, code: number, mtu: number): void {
    const nif = this.receiver as Interface;
    this.kind.counters.errors++;
    this.stack.defer(this);
    if (this.medium === "ethernet" || !nif) return;
    this.relay.keep(nif, quoted.data, start, quoted.end, code, code === EMSGSIZE ? this.limit(mtu) : 0);
  }

  /** The interface's MTU becomes what the path allows. */
  run(): void {
    const nif = this.receiver as Interface;
    if (!nif || nif.removed || this.fixed || this.path.net.route(this.path) < 0) return;
    const mtu = this.limit(this.path.mtu);
    if (mtu === this.mtu) return;
    // A smaller one that somebody has set stays.
    const wide = !(nif.mtu < this.mtu);
    this.mtu = mtu;
    if (nif.stack) nif.stack.setInterface(nif, { mtu: wide || nif.mtu > mtu ? mtu : nif.mtu });
  }

  /** The largest inner packet on a path of `mtu`. */
  private limit(mtu: number): number {
    const room = mtu - this.headerSize();
    // IPv6 wants 1280 of every link (RFC 4213 section 3.2.2): what is beyond the path's is fragmented outside.
    const least = this.stack.network(6) ? 1280 : 68;
    const most = room > least ? room : least;
    return most < this.most ? most : this.most;
  }

  private headerSize(): number {
    return this.path.net.headerSize + this.overhead;
  }

  /** What the way out wants of room; and the MTU, once the stack is at rest. */
  private look(): void {
    const nif = this.path.nif;
    this.seen = this.stack.generation;
    if (!nif) return;
    const room = this.headerSize() + nif.medium.headerSize + (nif.link.headroom || 0);
    this.headroom = room < ROOM ? room : ROOM;
    if (!this.fixed && this.receiver && this.limit(this.path.mtu) !== this.mtu) this.stack.defer(this);
  }
}

/** The path to the peer. Throws `EINVAL` remote, `EADDRNOTAVAIL` local, `EAFNOSUPPORT` the two do not go together. */
export function openPath(stack: Stack, options: TunnelOptions): Path {
  const paths: Path[] = [];
  for (let i = 0; i < stack.networks.length; i++) paths.push(stack.networks[i].createPath());
  const path = pathTo(paths, options.remote);
  if (!path || path.kind) return fail("EINVAL", "remote " + options.remote);
  path.bound = options.interface || null;
  const net: Network = path.net;
  const code = net.setLocal(path, options.local || "");
  if (code < 0) fail(code === -97 ? "EAFNOSUPPORT" : "EADDRNOTAVAIL", "local " + options.local);
  return path;
}

/** Of `tunnels` the one whose peer `packet` comes from. */
export function tunnelOf(tunnels: Tunnel[], packet: Packet, key: number, keyed: boolean): Tunnel | null {
  for (let i = 0; i < tunnels.length; i++) {
    const tunnel = tunnels[i];
    const path = tunnel.path;
    const net = path.net;
    if (
      net === packet.net &&
      tunnel.key === key &&
      ((tunnel.flags & 0x2000) !== 0) === keyed &&
      net.matchesRemote(path, packet) &&
      net.matchesLocal(path, packet)
    ) {
      return tunnel;
    }
  }
  return null;
}
