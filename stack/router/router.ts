/** What forwarding has in common for both families: settings of interfaces, counters, and what is done to a packet on its way. */
import { get16, put16 } from "../core/bytes.js";
import { finishSum, fold, updateChecksum } from "../core/checksum.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { CHECKSUM_UNFINISHED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Stack } from "../core/stack.js";
import type { Segmentation } from "./segmentation.js";
import { PROTOCOL_TCP } from "../wire/ipv4.js";
import { findOption } from "../wire/options.js";
import { OPTION_MSS, TCP_CHECKSUM, TCP_HEADER } from "../wire/tcp.js";

export class ForwardingCounters {
  /** Packets that left by a link, or wait for a neighbour; what a link has merged and another cuts is one. */
  forwarded = 0;
  /** Came in on an interface that forwards nothing, or would leave by one. */
  disabled = 0;
  /** Source or destination that no router passes on: link-local, loopback, broadcast, reserved. */
  scope = 0;
  /** Source whose way back is another one, or none (RFC 3704). */
  reversePath = 0;
  noRoute = 0;
  /** By a route that says blackhole, unreachable or prohibit. */
  refused = 0;
  /** Time to live, or hop limit, was used up. */
  expired = 0;
  /** Larger than the link, and not to be fragmented. */
  tooBig = 0;
  /** Fragments made of packets that were too large for the link (IPv4). */
  fragments = 0;
  /** Told that there is a shorter way. */
  redirects = 0;
  /** Options, or hop-by-hop options, that do not hold together. */
  badOption = 0;
  /** Was copied: the frame had no room for the other link's header. */
  copied = 0;
  /** MSS options that were lowered. */
  clamped = 0;
  /** Refused by the neighbour cache or the link: no room now. */
  noRoom = 0;
  /** Nobody answered for the next hop. */
  unreachable = 0;
}

/** `"strict"`: the best way back is the interface it came in on; `"loose"`: there is a way back; `"off"`: anything goes. */
export type ReversePath = "strict" | "loose" | "off";

export interface PortOptions {
  /** Packets are taken from, and sent to, this interface for others. Default true. */
  enabled?: boolean;
  /** Check of sources (RFC 3704). Default what the component says. */
  reversePath?: ReversePath;
  /** Tells hosts of shorter ways (redirects). Default true. */
  redirects?: boolean;
  /** Largest MSS of TCP connections that begin by this interface, bytes; `"mtu"`: what its MTU allows; 0: as they like. Default 0. */
  mss?: number | "mtu";
}

export interface ForwardingOptions {
  /** For interfaces that `configure` says nothing of. Default `"strict"`. */
  reversePath?: ReversePath;
  /** Redirects sent a second at most. Default 10. */
  redirectRate?: number;
  /** What cuts the segments that links have merged: `segmentation()`. Without it interfaces of such links (offloads) are refused. */
  segments?: Segmentation;
}

export const STRICT = 2;
export const LOOSE = 1;

/** The settings of an interface. */
export class Port {
  enabled = true;
  redirects = true;
  /** 0: no limit, -1: by the MTU. */
  mss = 0;
  /** STRICT, LOOSE or 0. */
  reversePath: number;

  constructor(
    readonly nif: Interface,
    reversePath: number,
  ) {
    this.reversePath = reversePath;
  }
}

/** The part of a forwarder that knows no family. */
export class Router {
  readonly counters = new ForwardingCounters();
  readonly redirectRate: RateLimit;
  readonly segments: Segmentation | null;
  private readonly ports: Port[] = [];
  private readonly reversePath: number;

  constructor(options: ForwardingOptions) {
    this.reversePath = parseReversePath(options.reversePath || "strict");
    this.segments = options.segments || null;
    const rate = requireInteger(options.redirectRate || 10, 1, 1000000, "redirectRate");
    this.redirectRate = new RateLimit(rate, rate);
  }

  /** The settings of `nif`. */
  port(nif: Interface): Port {
    const ports = this.ports;
    for (let i = 0; i < ports.length; i++) if (ports[i].nif === nif) return ports[i];
    const port = new Port(nif, this.reversePath);
    if (!nif.removed) ports.push(port);
    return port;
  }

  configure(nif: Interface, options: PortOptions): void {
    if (nif.removed) fail("EINVAL", "interface");
    const port = this.port(nif);
    const mss = options.mss;
    if (mss !== undefined && mss !== "mtu") requireInteger(mss, 0, 65535, "mss");
    if (options.reversePath !== undefined) port.reversePath = parseReversePath(options.reversePath);
    if (options.enabled !== undefined) port.enabled = options.enabled === true;
    if (options.redirects !== undefined) port.redirects = options.redirects === true;
    if (mss !== undefined) port.mss = mss === "mtu" ? -1 : mss;
  }

  removed(nif: Interface): void {
    for (let i = this.ports.length - 1; i >= 0; i--) if (this.ports[i].nif === nif) this.ports.splice(i, 1);
  }
}

function parseReversePath(text: string): number {
  return text === "strict"
    ? STRICT
    : text === "loose"
      ? LOOSE
      : text === "off"
        ? 0
        : fail("EINVAL", "reversePath");
}

/**
 * Makes sure that `out` has room for its header before the packet, and for its padding behind it. What was received may be written
 * to between its first and last byte alone: where that is too little, the packet is copied into `stack.tx`.
 *
 * @returns the packet to send, or null: there is no memory for it
 */
export function roomFor(router: Router, stack: Stack, packet: Packet, out: Interface): Packet | null {
  const nif = packet.nif as Interface;
  const length = packet.end - packet.network;
  const have = nif.medium.headerSize + (nif.link.headroom || 0);
  const need = out.medium.headerSize + (out.link.headroom || 0);
  if (have >= need && (length >= 46 || !out.medium.resolves)) return packet;
  const tx = stack.prepare(length);
  if (!tx) return null;
  router.counters.copied++;
  stack.host.copy(tx.data, tx.start, packet.data, packet.network, length);
  tx.network = tx.start;
  tx.net = packet.net;
  tx.nif = packet.nif;
  tx.flags = packet.flags;
  tx.protocol = packet.protocol;
  if (packet.checksumField >= 0) tx.checksumField = packet.checksumField - packet.network + tx.start;
  return tx;
}

/**
 * Completes the transport checksum that a virtual link has left to us, or leaves it to `out` in turn.
 *
 * @param at where the transport header is, or -1
 */
export function finishChecksum(
  stack: Stack,
  packet: Packet,
  at: number,
  out: Interface,
  plain: boolean,
): void {
  packet.checksumField = -1;
  if ((packet.flags & CHECKSUM_UNFINISHED) === 0 || at < 0) return;
  const stream = packet.protocol === PROTOCOL_TCP;
  const field = at + (stream ? TCP_CHECKSUM : 6);
  if (field + 2 > packet.end) return;
  const offloads = out.link.offloads;
  if (plain && offloads && offloads.transmitChecksum) packet.checksumField = field;
  else finishSum(stack.host.sum, packet.data, at, packet.end, !stream);
}

/** Lowers the MSS option of a SYN whose TCP header is at `at` to `mss`; the checksum follows (RFC 1624). True: it was larger. */
export function clampMss(packet: Packet, at: number, mss: number): boolean {
  const data = packet.data;
  if (at + TCP_HEADER > packet.end || (data[at + 13] & 2) === 0) return false;
  const end = at + ((data[at + 12] >> 4) << 2);
  if (end > packet.end) return false;
  const option = findOption(data, at + TCP_HEADER, end, OPTION_MSS, 4);
  if (option < 0) return false;
  const old = get16(data, option + 2);
  if (old <= mss) return false;
  put16(data, option + 2, mss);
  if ((packet.flags & CHECKSUM_UNFINISHED) === 0) {
    // At an odd offset the two bytes belong to two words, the other way round.
    const odd = (option - at) & 1;
    const sum = get16(data, at + TCP_CHECKSUM);
    put16(data, at + TCP_CHECKSUM, updateChecksum(sum, odd ? swap(old) : old, odd ? swap(mss) : mss));
  }
  return true;
}

function swap(word: number): number {
  return ((word & 255) << 8) | (word >> 8);
}

/** The sum of a header of `length` bytes, folded. */
export function headerSum(data: Uint8Array, at: number, length: number): number {
  let sum = 0;
  for (const end = at + length; at < end; at += 2) sum += (data[at] << 8) | data[at + 1];
  return fold(sum);
}

/**
 * What a link has merged is larger than the next link takes: where nobody cuts it again such an interface is refused (`EINVAL`), rather than
 * to lose what is large.
 */
export function refuseMerging(router: Router, nif: Interface): void {
  const offloads = nif.link.offloads;
  if (router.segments || !offloads || !offloads.receiveCoalescing) return;
  // The loopback is a component itself: nothing that comes out of it is forwarded.
  if (nif.stack.components.indexOf(nif.link as never) >= 0) return;
  nif.stack.removeInterface(nif);
  fail(
    "EINVAL",
    "its link merges what it receives: forwarding wants `segments`, or it no offloads: " + nif.name,
  );
}
