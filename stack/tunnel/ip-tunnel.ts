/**
 * IP in IP: IPv4 in IPv4 (RFC 2003), IPv6 in IPv4 (6in4, RFC 4213), either in IPv6 (RFC 2473). A tunnel to a peer is an interface,
 * which carries both families.
 *
 * ```ts
 * const tunnels = ipTunnel(), stack = createStack(host, [ethernet(), ipLink(), arp(), ip, icmp(), ip6, icmpv6(), tunnels]);
 * const sit0 = tunnels.add({ remote: "192.0.2.1", local: "198.51.100.7" }, "sit0");
 * ip6.addAddress(sit0, "2001:db8:1::2/64");
 * ip6.addRoute("::/0", { interface: sit0 });
 * ```
 * Taken are packets from a tunnel's peer alone: there is neither 6to4 nor any other tunnel without a peer.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Network, Transport } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Tunnel, TunnelCounters, tunnelOf } from "./tunnel.js";
import type { Encapsulation, TunnelOptions } from "./tunnel.js";

export type { TunnelOptions } from "./tunnel.js";

const PROTOCOL_IPV4 = 4;
const PROTOCOL_IPV6 = 41;

export interface IpTunnelConfiguration {
  /** Tunnels at most. Default 64. */
  limit?: number;
}

/** One of the two protocols, as the networks see it. */
class Payload implements Transport {
  constructor(
    private readonly owner: IpTunnel,
    readonly protocol: number,
    private readonly version: number,
  ) {}

  input(packet: Packet): void {
    this.owner.input(packet, this.version);
  }

  error(quoted: Packet, code: number, mtu: number): boolean {
    return this.owner.error(quoted, code, mtu);
  }
}

export class IpTunnel implements Component, Encapsulation {
  readonly name = "iptunnel";
  readonly counters = new TunnelCounters();
  private stack: Stack = null as never;
  private readonly tunnels: Tunnel[] = [];

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ipTunnel");
    this.stack = stack;
    stack.transports.push(new Payload(this, PROTOCOL_IPV4, 4), new Payload(this, PROTOCOL_IPV6, 6));
    stack.counters.iptunnel = this.counters as never;
  }

  /**
   * Adds a tunnel as an interface; `stack.removeInterface` takes it away.
   *
   * @param name default `tun0`, `tun1`, ...
   * Errors: `EINVAL` options, `EADDRNOTAVAIL` local, `EEXIST` there is one to this peer, or of this name, `ENOBUFS` too many,
   * `ENOPROTOOPT` without `ipLink`.
   */
  add(options: TunnelOptions, name?: string): Interface {
    const stack = this.stack;
    if (this.tunnels.length >= this.limit) fail("ENOBUFS", "tunnels");
    const tunnel = new Tunnel(stack, this, options, "ip", 0);
    for (let i = 0; i < this.tunnels.length; i++) {
      const net = tunnel.path.net;
      const other = this.tunnels[i].path;
      if (
        other.net === net &&
        net.remoteText(other) === net.remoteText(tunnel.path) &&
        net.sameLocal(other, tunnel.path)
      )
        fail("EEXIST", "remote " + options.remote);
    }
    const nif = stack.addInterface(tunnel, name);
    this.tunnels.push(tunnel);
    return nif;
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.tunnels.length - 1; i >= 0; i--) {
      if (this.tunnels[i].receiver === nif) this.tunnels.splice(i, 1);
    }
  }

  protocolOf(version: number): number {
    return version === 4 ? PROTOCOL_IPV4 : version === 6 ? PROTOCOL_IPV6 : -1;
  }

  emit(_tunnel: Tunnel, _data: Uint8Array, start: number): number {
    return start;
  }

  input(packet: Packet, version: number): void {
    const counters = this.counters;
    const tunnel = tunnelOf(this.tunnels, packet, 0, false);
    if (!tunnel) {
      counters.unknown++;
      (packet.net as Network).portUnreachable(packet);
    } else if (packet.end - packet.start < 20) counters.malformed++;
    else if (packet.data[packet.start] >> 4 !== version) counters.unsupported++;
    else tunnel.deliver(packet, packet.start);
  }

  error(quoted: Packet, code: number, mtu: number): boolean {
    (quoted.net as Network).swap(quoted);
    const tunnel = tunnelOf(this.tunnels, quoted, 0, false);
    if (tunnel) tunnel.failed(quoted, quoted.start, code, mtu);
    return tunnel !== null;
  }
}

/** Tunnels of IP in IP. Needs `ipLink` and a network. Counters: `iptunnel`. */
export function ipTunnel(options: IpTunnelConfiguration = {}): IpTunnel {
  return new IpTunnel(requireInteger(options.limit || 64, 1, 4096, "limit"));
}
