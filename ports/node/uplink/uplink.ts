/**
 * The user-mode uplink: hosts behind a stack reach this machine's network through Node's own sockets, without TAP or root, as slirp
 * and passt let virtual machines. The stack answers in the name of every address that it has no route to; what is said to those is
 * said again by sockets of the host. It needs a stack of its own, without forwarding and without a default route.
 */
import { isIP } from "node:net";
import { get16 } from "../../../stack/core/bytes.js";
import { fail } from "../../../stack/core/errors.js";
import type { Interface } from "../../../stack/core/interface.js";
import { INPUT, PREROUTING } from "../../../stack/core/network.js";
import type { Network } from "../../../stack/core/network.js";
import { NOT_UNICAST, REASSEMBLED } from "../../../stack/core/packet.js";
import type { Packet } from "../../../stack/core/packet.js";
import type { Component, Stack } from "../../../stack/core/stack.js";
import type { Ipv4 } from "../../../stack/ipv4/ipv4.js";
import type { Ipv6 } from "../../../stack/ipv6/ipv6.js";
import { Tcp } from "../../../stack/tcp/tcp.js";
import { Udp } from "../../../stack/udp/udp.js";
import * as icmp from "../../../stack/wire/icmp.js";
import * as icmp6 from "../../../stack/wire/icmpv6.js";
import { isLoopback4 } from "../../../stack/wire/ipv4.js";
import { IPV6_DESTINATION, isLinkLocal6, isMulticast6, isUnspecified6 } from "../../../stack/wire/ipv6.js";
import { hostServers, isSpecial } from "./address.js";
import type { Target } from "./address.js";
import { Echoes } from "./echo.js";
import { forwardTcp, forwardUdp } from "./forward.js";
import type { OpenForward, PortForward } from "./forward.js";
import { TcpFlows } from "./tcp.js";
import { UdpFlows } from "./udp.js";

/** What wants out: `allow` decides. */
export interface UplinkFlow {
  readonly protocol: "tcp" | "udp" | "icmp";
  /** Who asks, on our side. */
  readonly source: string;
  /** Where to, on the host's side. */
  readonly address: string;
  /** 0 for ICMP. */
  readonly port: number;
}

export interface UplinkOptions {
  /** An address of the stack's that stands for this machine's loopback: 127.0.0.1, or ::1. Default: none. slirp has 10.0.2.2. */
  loopback?: string | string[];
  /** An address of the stack's at which the host's resolvers answer, by UDP and TCP. Default: none. slirp has 10.0.2.3. */
  dns?: string | string[];
  /** The resolvers behind `dns`. Default: `dns.getServers()`, asked again for each query. */
  resolvers?: () => string[];
  /** May this pass? Default: all but special addresses (loopback, link-local, groups, reserved), which nothing makes pass. */
  allow?: (flow: UplinkFlow) => boolean;
  /** Connections at most, those included that are being made. Default 1024. */
  connections?: number;
  /** How long the host may take to connect, ms. Default 30000. */
  connectTimeout?: number;
  /** Sources of datagrams remembered at most, each a socket of the host's. Default 512. */
  mappings?: number;
  /** Silence after which such a socket is closed, ms. Default 120000 (RFC 4787 REQ-5). */
  udpTimeout?: number;
  /** The program that sends echo requests; `""`: none are answered. Default `"ping"`. Node has no socket for them. */
  ping?: string;
  /** Programs that run at once; more requests are lost. Default 16. */
  pings?: number;
}

/** Counters: `stack.counters.uplink`. */
export class UplinkCounters {
  /** Connections that the host made, that were refused, that came to nothing otherwise. */
  connected = 0;
  refused = 0;
  unreachable = 0;
  /** Flows that `allow` or their address forbids. */
  denied = 0;
  /** SYNs and datagrams that found the table full. */
  full = 0;
  datagramsOut = 0;
  datagramsIn = 0;
  /** Datagrams from where none had been sent. */
  strangers = 0;
  /** What the host's sockets, or the stack, would not send. */
  sendFailed = 0;
  badsum = 0;
  malformed = 0;
  echoes = 0;
  echoReplies = 0;
  /** Hop limit used up here. */
  expired = 0;
  /** Of a protocol that has no sockets. */
  protocol = 0;
}

export class UserUplink implements Component {
  readonly name = "uplink";
  readonly counters = new UplinkCounters();
  stack: Stack = null as never;
  tcp: Tcp = null as never;
  udp: Udp = null as never;
  closed = false;
  private readonly flows: TcpFlows;
  private readonly datagrams: UdpFlows;
  private readonly echoes: Echoes;
  private readonly forwards = new Set<OpenForward>();
  private readonly loopback: string[];
  private readonly dns: string[];

  constructor(readonly options: UplinkOptions) {
    this.loopback = [options.loopback ?? []].flat();
    this.dns = [options.dns ?? []].flat();
    this.flows = new TcpFlows(this, options);
    this.datagrams = new UdpFlows(this, options);
    this.echoes = new Echoes(this, options);
    for (const text of [...this.loopback, ...this.dns]) if (isIP(text) === 0) fail("EINVAL", text);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "uplink");
    this.stack = stack;
    stack.counters.uplink = this.counters as never;
  }

  start(): void {
    const { stack } = this;
    const tcp = stack.component(Tcp);
    const udp = stack.component(Udp);
    if (!tcp || !udp) fail("ENOPROTOOPT", "uplink needs tcp and udp");
    this.tcp = tcp;
    this.udp = udp;
    const four = stack.network(4) as Ipv4 | null;
    const six = stack.network(6) as Ipv6 | null;
    if (four) this.stand4(four);
    if (six) this.stand6(six);
  }

  close(): void {
    this.closed = true;
    for (const forward of [...this.forwards]) forward.close();
    this.flows.close();
    this.datagrams.close();
    this.echoes.close();
  }

  /**
   * Opens a port of this machine that leads to a host on our side; rejects with the host's error (`EADDRINUSE`, `EACCES`, ...).
   * Without `address` it is open on the loopback alone.
   */
  async forward(options: PortForward): Promise<OpenForward> {
    const open = await (options.protocol === "udp" ? forwardUdp : forwardTcp)(this, options, () =>
      this.forwards.delete(open),
    );
    if (this.closed) open.close();
    else this.forwards.add(open);
    return open;
  }

  /** Connections, sources of datagrams and echo requests that are open now. */
  sizes(): { connections: number; mappings: number; echoes: number } {
    return { connections: this.flows.size, mappings: this.datagrams.size, echoes: this.echoes.size };
  }

  /**
   * Where on the host's side a flow goes; null: it may not pass, and has been counted.
   *
   * @param to its destination as the host behind us has it
   */
  target(protocol: UplinkFlow["protocol"], source: string, to: string, port: number): Target | null {
    let address = to;
    let toPort = port;
    if (this.dns.includes(to) && port === 53) {
      const servers = hostServers(this.options.resolvers);
      if (servers.length > 0) ({ address, port: toPort } = servers[this.datagrams.turn % servers.length]);
    } else if (this.loopback.includes(to)) address = to.includes(":") ? "::1" : "127.0.0.1";
    else if (isSpecial(to)) address = "";
    const allowed = this.options.allow?.({ protocol, source, address, port: toPort }) ?? true;
    if (address !== "" && allowed) return { address, port: toPort };
    this.counters.denied++;
    return null;
  }

  /** Is `to` an address that stands for something of the host's, at `port`? */
  isAlias(to: string, port: number): boolean {
    return this.loopback.includes(to) || (port === 53 && this.dns.includes(to));
  }

  /** Tells the sender of `packet` that it may not, or that the host's network does not lead there. */
  unreachable(packet: Packet, prohibited: boolean): void {
    const net = packet.net as Network;
    if (net.family === 4) {
      const code = prohibited ? icmp.ADMINISTRATIVELY_PROHIBITED : icmp.HOST_UNREACHABLE;
      (net as Ipv4).icmp?.sendError(packet, icmp.UNREACHABLE, code, 0);
    } else {
      const code = prohibited ? icmp6.PROHIBITED : icmp6.ADDRESS_UNREACHABLE;
      (net as Ipv6).icmp?.sendError(packet, icmp6.UNREACHABLE6, code, 0);
    }
  }

  /**
   * `isLocal` is replaced on this one network object, so that stacks without an uplink pay nothing for it: what has no route is
   * ours to answer for.
   */
  private stand4(ip: Ipv4): void {
    if (ip.hook || ip.forwarder) fail("EBUSY", "uplink: the stack has a filter or forwards");
    const own = ip.isLocal.bind(ip);
    ip.isLocal = (address) =>
      own(address) || (isUnicast4(address) && !isLoopback4(address) && !ip.fib.lookup(address, null));
    ip.forwarder = { input: () => true, undeliverable: () => false };
    ip.hook = (packet, point) => {
      if (point !== PREROUTING && point !== INPUT) return true;
      // Services of the stack's own take what is broadcast, and what is for its addresses.
      if (!isUnicast4(packet.destination) || packet.flags & NOT_UNICAST) return true;
      const ours = own(packet.destination);
      if (point === INPUT) return this.input(packet, ours);
      if (packet.ttl > 1 || ours) return true;
      this.counters.expired++;
      ip.icmp?.sendError(packet, icmp.TIME_EXCEEDED, 0, 0);
      return false;
    };
  }

  private stand6(ip: Ipv6): void {
    if (ip.hook || ip.forwarder) fail("EBUSY", "uplink: the stack has a filter or forwards");
    const own = ip.findAddress.bind(ip);
    ip.findAddress = (data, at, nif) => {
      const found = own(data, at, nif);
      if (found || nif || ip.addresses.length === 0) return found;
      if (isUnspecified6(data, at) || isMulticast6(data, at) || isLinkLocal6(data, at)) return null;
      return ip.fib.lookup(data, at, null, null) ? null : ip.addresses[0];
    };
    ip.forwarder = { input: () => true, undeliverable: () => false };
    ip.hook = (packet, point) => {
      if (point !== PREROUTING && point !== INPUT) return true;
      const at = packet.network + IPV6_DESTINATION;
      if (isMulticast6(packet.data, at) || packet.flags & NOT_UNICAST) return true;
      const ours = own(packet.data, at, null) !== null;
      if (point === INPUT) return this.input(packet, ours);
      if (packet.ttl > 1 || ours) return true;
      this.counters.expired++;
      ip.icmp?.sendError(packet, icmp6.TIME_EXCEEDED6, 0, 0);
      return false;
    };
  }

  /** A packet is to be delivered; `start` is at the transport header. False: it was for the host's sockets. */
  private input(packet: Packet, ours: boolean): boolean {
    const { protocol, data, start, end } = packet;
    if (protocol === 6) return this.flows.input(packet, ours);
    if (protocol === 17) return this.datagrams.input(packet, ours);
    if (ours) return true;
    const four = (packet.net as Network).family === 4;
    if (protocol !== (four ? 1 : 58)) {
      this.counters.protocol++;
      return true;
    }
    if (end - start < icmp.ICMP_HEADER) return true;
    if (data[start] === (four ? icmp.ECHO_REQUEST : icmp6.ECHO_REQUEST6)) this.echoes.input(packet);
    // Errors about what went out in others' names are the transports' own.
    else return true;
    return false;
  }
}

/** Neither 0.0.0.0 nor a group nor reserved, 255.255.255.255 among these. */
function isUnicast4(address: number): boolean {
  return address !== 0 && address >>> 28 < 14;
}

/** A copy of a packet with its link's header, to be received once more. */
export class Held {
  private readonly frame: Uint8Array;
  private readonly nif: Interface;

  constructor(packet: Packet) {
    this.nif = packet.nif as Interface;
    this.frame = packet.data.slice(packet.network - this.nif.medium.headerSize, packet.end);
  }

  /** True where the packet lies in its frame, so that it can be held. */
  static possible(packet: Packet): boolean {
    return (packet.flags & REASSEMBLED) === 0;
  }

  again(): void {
    if (!this.nif.removed) this.nif.receive(this.frame, 0, this.frame.length);
  }
}

/** Source and destination port of the packet whose transport header `start` is at. */
export function ports(packet: Packet): { from: number; to: number } {
  return { from: get16(packet.data, packet.start), to: get16(packet.data, packet.start + 2) };
}

/** The user-mode uplink as a component. Needs `tcp`, `udp` and a network. Counters: `uplink`. */
export function userUplink(options: UplinkOptions = {}): UserUplink {
  return new UserUplink(options);
}
