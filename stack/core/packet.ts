/**
 * A packet on its way through the stack: a view into borrowed memory, with what the layers have found out about it.
 *
 * A stack has few of them and reuses them for ever: one for the packet that came in, one for the packet that goes out, one for
 * the packet that an ICMP error quotes. Who keeps bytes beyond the call copies them.
 */
import type { Interface } from "./interface.js";
import type { Network } from "./network.js";

/** Link-layer destination was broadcast. */
export const LINK_BROADCAST = 1;
/** Link-layer destination was a group. */
export const LINK_MULTICAST = 2;
/** Network-layer destination is a broadcast address. */
export const NET_BROADCAST = 4;
/** Network-layer destination is a group. */
export const NET_MULTICAST = 8;
/** Any of the four: nobody answers such a packet with an error or a segment. */
export const NOT_UNICAST = 15;
/** The transport checksum needs no verification. */
export const CHECKSUM_OK = 16;
/** The packet was put together from fragments. */
export const REASSEMBLED = 32;
/** IPv4's DF flag: on output, do not fragment. */
export const DONT_FRAGMENT = 64;
/** IP router alert option: wanted by IGMP and MLD. */
export const ROUTER_ALERT = 128;
/** This host has sent it itself, to a group. */
export const LOOPED = 256;
/** The transport checksum covers the pseudo-header alone: the frame never left this machine. */
export const CHECKSUM_UNFINISHED = 512;
/** It has come under the protection of IPsec (ipsec/input.ts). */
export const DECRYPTED = 1024;
/** It goes into a tunnel by a policy that was found for its addresses: they stay as they are (RFC 4301 section 5.1). */
export const PROTECTED = 2048;

export class Packet {
  data: Uint8Array;
  /** The current layer's bytes are `data[start..end)`. */
  start = 0;
  end = 0;
  /** Where the network header starts. */
  network = 0;
  /** The interface on which it came in. */
  nif: Interface | null = null;
  /** The network component that took it in. */
  net: Network | null = null;
  flags = 0;
  /** IPv4 addresses; IPv6 keeps its own and leaves these 0. */
  source = 0;
  destination = 0;
  protocol = 0;
  ttl = 0;
  tos = 0;
  /** Sum of the pseudo-header's addresses, not folded. */
  pseudo = 0;
  /** Output: where the transport checksum field lies that a link with offloads may fill in, or -1. */
  checksumField = -1;
  /** Payload bytes per segment: output, for a link that segments; input, of those that a link has merged; or 0. */
  segmentSize = 0;
  /** Output: last four bytes of the virtual hardware address (00-00-5e-..., VRRP) that its frame comes from; 0: the interface's own. */
  sender = 0;
  /** A word for policy rules, by whoever looks at packets (`PacketHook`); 0 of each that comes in, out of a tunnel or a translator as well. */
  mark = 0;

  constructor(data: Uint8Array) {
    this.data = data;
  }
}
