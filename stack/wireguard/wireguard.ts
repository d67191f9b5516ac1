/**
 * WireGuard (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", 2020): interfaces whose packets go sealed to peers that are
 * known by their keys, over UDP of either family.
 *
 * ```ts
 * const wg = wireguard({ clock: Date.now });
 * const stack = createStack(nodeHost({ crypto: withWireguard(nodeCrypto()) }), [ethernet(), arp(), ip, icmp(), udp(), wg]);
 * const device = wg.create({ privateKey, port: 51820 });
 * const wg0 = stack.addInterface(device, "wg0");
 * ip.addAddress(wg0, "10.9.0.1/24");
 * device.addPeer({ publicKey, endpoint: { address: "192.0.2.1", port: 51820 }, allowedIps: ["10.9.0.2/32", "fd09::/64"] });
 * ```
 * Nothing is kept for strangers: an initiation costs a MAC, and above `load` a second also a cookie, before any key is agreed upon.
 * Bounds: `peers` and `prefixes` of an interface, 32 KiB of packets that wait for a handshake of a peer, three sessions each.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Component, Stack } from "../core/stack.js";
import { requireIpLink } from "../link/ip.js";
import { Udp } from "../udp/udp.js";
import { Device } from "./device.js";
import type { DeviceOptions } from "./device.js";
import type { Peer } from "./peer.js";
import { Suite } from "./suite.js";

export type { DeviceOptions, PeerOptions, PeerStatus } from "./device.js";
export { Device } from "./device.js";
export { Peer } from "./peer.js";

export class WireguardCounters {
  /** Packets in and out, keepalives apart. */
  received = 0;
  sent = 0;
  keepalivesReceived = 0;
  keepalivesSent = 0;
  /** Sessions that have come about, in either role. */
  handshakes = 0;
  initiationsSent = 0;
  responsesSent = 0;
  cookiesSent = 0;
  cookiesReceived = 0;
  /** Of no type or length that there is; or what was in it is no IP packet. */
  malformed = 0;
  /** Of who does not know our key. */
  badMac = 0;
  /** Of no peer or session of ours, or not authentic. */
  unknown = 0;
  /** In a session, and not authentic. */
  forged = 0;
  /** It has come before, or is older than what is remembered. */
  replayed = 0;
  /** More handshakes than are dealt with. */
  limited = 0;
  /** From an address that its peer may not have. */
  notAllowed = 0;
  /** Congestion was met by a packet whose sender would not learn of it (RFC 6040). */
  congested = 0;
  /** To an address that no peer has; to a peer that nobody knows where it is. */
  noPeer = 0;
  noEndpoint = 0;
  /** No IP packet, or larger than the MTU. */
  tooBig = 0;
  /** Packets that waited for a handshake in vain, or had no room to. */
  dropped = 0;
  /** Handshakes that nobody has answered for 90 s. */
  gaveUp = 0;
  /** Tunnels in tunnels beyond what is allowed, or through themselves. */
  nested = 0;
  /** No way to a peer, no room on its link. */
  failed = 0;
}

export interface WireguardConfiguration {
  /**
   * The wall clock, ms since 1970 (`Date.now`, or an NTP client's). It goes into handshakes, and a peer takes none that is older than one before:
   * after a restart it must not be earlier than it was.
   */
  clock(): number;
  /** Interfaces at most. Default 16. */
  limit?: number;
  /** A peer has a new session. */
  onHandshake?(device: Device, peer: Peer): void;
}

export class Wireguard implements Component {
  readonly name = "wireguard";
  readonly counters = new WireguardCounters();
  suite: Suite = null as never;
  udp: Udp = null as never;
  private stack: Stack = null as never;
  private readonly devices: Device[] = [];
  private readonly limit: number;

  constructor(private readonly options: WireguardConfiguration) {
    if (typeof options.clock !== "function") fail("EINVAL", "clock");
    this.limit = requireInteger(options.limit || 16, 1, 4096, "limit");
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "wireguard");
    this.stack = stack;
    stack.counters.wireguard = this.counters as never;
  }

  start(): void {
    const crypto = this.stack.host.calls.crypto;
    this.udp = this.stack.component(Udp) || fail("ENOPROTOOPT", "wireguard needs udp");
    this.suite = new Suite(crypto || fail("EOPNOTSUPP", "wireguard needs the host's crypto"));
    requireIpLink(this.stack);
  }

  close(): void {
    while (this.devices.length > 0) this.devices[this.devices.length - 1].close();
  }

  /** An interface's link, for `stack.addInterface`. `EINVAL` options, `ENOBUFS` too many. */
  create(options: DeviceOptions): Device {
    if (this.devices.length >= this.limit) fail("ENOBUFS", "interfaces");
    const device = new Device(this.stack, this, options);
    this.devices.push(device);
    return device;
  }

  /** By the clock, ms. */
  clock(): number {
    return this.options.clock();
  }

  /** A device has been closed. */
  closed(device: Device): void {
    const at = this.devices.indexOf(device);
    if (at >= 0) this.devices.splice(at, 1);
    device.key.close();
  }

  established(device: Device, peer: Peer): void {
    const told = this.options.onHandshake;
    if (told) told(device, peer);
  }
}

/** WireGuard interfaces. Needs `udp` and a host with `crypto` that has WireGuard's (`withWireguard`). Counters: `wireguard`. */
export function wireguard(options: WireguardConfiguration): Wireguard {
  return new Wireguard(options);
}
