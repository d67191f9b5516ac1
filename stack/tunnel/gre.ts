/**
 * GRE (RFC 2784) with keys and sequence numbers (RFC 2890), over IPv4 and IPv6 (RFC 7676). A tunnel is an interface that carries both
 * families, or, with `mac`, Ethernet frames: that may be a port of a bridge.
 *
 * ```ts
 * const tunnels = gre(), stack = createStack(host, [ethernet(), ipLink(), arp(), ip, icmp(), tunnels]);
 * const gre1 = tunnels.add({ remote: "192.0.2.1", key: 7, checksum: true }, "gre1");
 * ```
 * Not there: keepalives, routing (RFC 1701), the version 1 of PPTP.
 */
import { get16, put16, put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Network, Transport } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { ETHERNET_HEADER, TYPE_IPV4, TYPE_IPV6 } from "../wire/ethernet.js";
import {
  GRE_CHECKSUM,
  GRE_HEADER,
  GRE_KEY,
  GRE_SEQUENCE,
  GRE_TYPE,
  GreHeader,
  PROTOCOL_GRE,
  TYPE_BRIDGED,
  greLength,
  parseGre,
} from "../wire/gre.js";
import { Tunnel, TunnelCounters, tunnelOf } from "./tunnel.js";
import type { Encapsulation, TunnelOptions } from "./tunnel.js";

export interface GreOptions extends TunnelOptions {
  /** Key of the tunnel in both directions, 0..2^32-1; with one, several tunnels may have the same peer. */
  key?: number;
  /** Sends checksums, and wants them. Default false. */
  checksum?: boolean;
  /** Sends sequence numbers, and drops what comes after what was sent later. Default false. */
  sequence?: boolean;
  /** This end's hardware address, 6 bytes: the tunnel carries Ethernet frames. */
  mac?: Uint8Array;
}

export interface GreConfiguration {
  /** Tunnels at most. Default 64. */
  limit?: number;
}

export class Gre implements Component, Transport, Encapsulation {
  readonly name = "gre";
  readonly protocol = PROTOCOL_GRE;
  readonly counters = new TunnelCounters();
  private stack: Stack = null as never;
  private readonly tunnels: Tunnel[] = [];
  private readonly header = new GreHeader();

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "gre");
    this.stack = stack;
    stack.transports.push(this);
    stack.counters.gre = this.counters as never;
  }

  /** Adds a tunnel as an interface. Errors as of `ipTunnel().add`; `EEXIST`: one with this peer and key is there. */
  add(options: GreOptions, name?: string): Interface {
    const tunnel = this.create(options);
    let nif: Interface;
    try {
      nif = this.stack.addInterface(tunnel, name);
    } catch (error) {
      this.drop(tunnel);
      throw error;
    }
    return nif;
  }

  /** A tunnel as a link: for a port of a bridge. `remove` takes it away. */
  create(options: GreOptions): Tunnel {
    const keyed = options.key !== undefined;
    const key = keyed ? requireInteger(options.key, 0, 0xffffffff, "key") | 0 : 0;
    const flags =
      (options.checksum ? GRE_CHECKSUM : 0) | (keyed ? GRE_KEY : 0) | (options.sequence ? GRE_SEQUENCE : 0);
    const mac = options.mac;
    if (mac && (mac.length !== 6 || mac[0] & 1)) fail("EINVAL", "mac");
    if (this.tunnels.length >= this.limit) fail("ENOBUFS", "tunnels");
    const overhead = greLength(flags) + (mac ? ETHERNET_HEADER : 0);
    const tunnel = new Tunnel(this.stack, this, options, mac ? "ethernet" : "ip", overhead, mac);
    const net = tunnel.path.net;
    for (let i = 0; i < this.tunnels.length; i++) {
      const other = this.tunnels[i];
      if (
        other.path.net === net &&
        other.key === key &&
        ((other.flags ^ flags) & GRE_KEY) === 0 &&
        net.remoteText(other.path) === net.remoteText(tunnel.path) &&
        net.sameLocal(other.path, tunnel.path)
      )
        fail("EEXIST", "remote " + options.remote);
    }
    tunnel.key = key;
    tunnel.flags = flags;
    this.tunnels.push(tunnel);
    return tunnel;
  }

  /** Takes a tunnel away that `create` has made. */
  drop(tunnel: Tunnel): void {
    const at = this.tunnels.indexOf(tunnel);
    if (at >= 0) this.tunnels.splice(at, 1);
  }

  interfaceRemoved(nif: Interface): void {
    this.drop(nif.link as Tunnel);
  }

  protocolOf(version: number): number {
    return version === 4 || version === 6 || version === 0 ? PROTOCOL_GRE : -1;
  }

  emit(tunnel: Tunnel, data: Uint8Array, start: number, end: number, version: number): number {
    const flags = tunnel.flags;
    const at = start - greLength(flags);
    let field = at + GRE_HEADER;
    put16(data, at, flags);
    put16(data, at + GRE_TYPE, version === 4 ? TYPE_IPV4 : version === 6 ? TYPE_IPV6 : TYPE_BRIDGED);
    if (flags & GRE_CHECKSUM) {
      put32(data, field, 0);
      field += 4;
    }
    if (flags & GRE_KEY) {
      put32(data, field, tunnel.key);
      field += 4;
    }
    if (flags & GRE_SEQUENCE) {
      put32(data, field, tunnel.sendNext);
      tunnel.sendNext = (tunnel.sendNext + 1) | 0;
    }
    if (flags & GRE_CHECKSUM) put16(data, at + GRE_HEADER, ~this.stack.host.sum(data, at, end, 0));
    return at;
  }

  input(packet: Packet): void {
    const counters = this.counters;
    const header = this.header;
    const data = packet.data;
    const at = packet.start;
    const length = parseGre(data, at, packet.end, header);
    if (length < 0) {
      counters.malformed++;
      return;
    }
    const tunnel = tunnelOf(this.tunnels, packet, header.key, (header.flags & GRE_KEY) !== 0);
    if (!tunnel) {
      counters.unknown++;
      (packet.net as Network).portUnreachable(packet);
      return;
    }
    if (header.flags & GRE_CHECKSUM) {
      if (this.stack.host.sum(data, at, packet.end, 0) !== 0xffff) {
        counters.badsum++;
        return;
      }
    } else if (tunnel.flags & GRE_CHECKSUM) {
      counters.badsum++;
      return;
    }
    const type = header.type;
    const start = at + length;
    const version = type === TYPE_IPV4 ? 4 : type === TYPE_IPV6 ? 6 : type === TYPE_BRIDGED ? 0 : -1;
    const bridged = tunnel.medium === "ethernet";
    if (
      version < 0 ||
      bridged !== (version === 0) ||
      packet.end - start < (bridged ? ETHERNET_HEADER : 20) ||
      (!bridged && data[start] >> 4 !== version)
    ) {
      counters.unsupported++;
      return;
    }
    if (tunnel.flags & GRE_SEQUENCE) {
      if ((header.flags & GRE_SEQUENCE) === 0) {
        counters.outOfOrder++;
        return;
      }
      // Far behind is no straggler, but a peer that has begun anew.
      const ahead = (header.sequence - tunnel.receiveNext) | 0;
      if (tunnel.sequenced && ahead < 0 && ahead > -REORDERED) {
        counters.outOfOrder++;
        return;
      }
      tunnel.sequenced = true;
      tunnel.receiveNext = (header.sequence + 1) | 0;
    }
    tunnel.deliver(packet, start);
  }

  error(quoted: Packet, code: number, mtu: number): boolean {
    const header = this.header;
    // Eight bytes are all that an old router quotes: enough for a header without options.
    const flags = quoted.end - quoted.start >= GRE_HEADER ? get16(quoted.data, quoted.start) : 0;
    const length = parseGre(quoted.data, quoted.start, quoted.end, header);
    if (length < 0) return false;
    (quoted.net as Network).swap(quoted);
    const tunnel = tunnelOf(this.tunnels, quoted, header.key, (flags & GRE_KEY) !== 0);
    if (tunnel) tunnel.failed(quoted, quoted.start + length, code, mtu);
    return tunnel !== null;
  }
}

/** Packets by which one may come late and be dropped for it. */
const REORDERED = 1 << 16;

/** GRE tunnels. Needs a network, and `ipLink` or `ethernet`. Counters: `gre`. */
export function gre(options: GreConfiguration = {}): Gre {
  return new Gre(requireInteger(options.limit || 64, 1, 4096, "limit"));
}
