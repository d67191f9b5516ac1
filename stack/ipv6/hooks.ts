/** What other components add to IPv6: each hook is null until its component is there. */
import type { Packet } from "../core/packet.js";
import type { Address6 } from "./address.js";
import type { Membership } from "./groups.js";
import type { Path6 } from "./path.js";

/** What icmpv6.ts adds. */
export interface Icmpv6Hooks {
  /** Sends an error about `packet` (IPv6 header at `packet.network`) where that is allowed. */
  sendError(packet: Packet, type: number, code: number, word: number): void;
  /** Tells the transport of the packet that starts at `packet.start` (an IPv6 header of ours) of an error. */
  deliverError(packet: Packet, code: number, mtu: number): boolean;
}

/** What fragments.ts adds. */
export interface FragmentHooks6 {
  /**
   * Takes a fragment: `at` is its fragment header, `packet.start` behind it, `nextAt` where the header before names it.
   *
   * @returns the next header of the whole datagram that `packet` now is, `start` behind its unfragmentable part; or -1
   */
  input(packet: Packet, at: number, nextAt: number): number;
  /** Sends a packet (its transport header at `start`) in pieces that fit `path.mtu`. */
  output(packet: Packet, path: Path6, protocol: number): number;
}

/** What pmtu.ts adds (RFC 8201). */
export interface PathMtuHooks6 {
  lookup(data: Uint8Array, at: number, mtu: number): number;
  tooBig(data: Uint8Array, at: number, mtu: number): void;
}

/** What mld.ts adds: groups are reported to routers, and sources filtered. */
export interface MldHooks {
  changed(group: Membership): void;
  /** Does the group take what the packet's source sends? */
  accepts(group: Membership, packet: Packet): boolean;
}

/** What dad.ts adds: an address is tried before it is used (RFC 4862 section 5.4). */
export interface AddressTrial6 {
  begin(address: Address6): void;
  end(address: Address6): void;
}
