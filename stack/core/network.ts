/**
 * The seam between transports and networks: TCP and UDP know IPv4 and IPv6 only through this file.
 *
 * Addresses are the network's own business. A transport holds a `Path` (the two ends of a flow and how to get there), which
 * the network made and which only the network can read; texts appear at the API alone.
 */
import type { Interface } from "./interface.js";
import type { Packet } from "./packet.js";

/** The two ends of a flow. Each network extends it by the addresses in its own form. */
export interface Path {
  readonly net: Network;
  /** The interface that the flow is bound to, or null. */
  bound: Interface | null;
  /** The interface that the current route leads out of, or null before `route`. */
  nif: Interface | null;
  /** Largest network packet that fits the whole path, bytes. */
  mtu: number;
  /** Sum of the pseudo-header's addresses, not folded. */
  pseudo: number;
  /** Limited broadcasts go out from the unspecified address (DHCP). */
  anonymous: boolean;
  /** Time to live of what is sent, or 0 for the default. */
  ttl: number;
  /** TOS / traffic class. */
  tos: number;
  /** The remote is a broadcast or multicast address: NET_BROADCAST, NET_MULTICAST or 0. Set by `setRemote`. */
  kind: number;
  /** What goes to a group comes back to this host's members of it. */
  loop: boolean;
  /** The path lies on a directly connected network (no gateway). */
  onLink: boolean;
  /** What policy takes of the link's MTU (`mtu` is what is left), bytes. Above 0 a link's offloads do not reach the transport. */
  overhead: number;
}

/** A transport protocol as its networks see it. */
export interface Transport {
  /** IP protocol number. */
  readonly protocol: number;
  /** Takes a packet whose `start` is at the transport header. */
  input(packet: Packet): void;
  /**
   * An ICMP error has come for a packet that was sent. `quoted` is that packet, as far as it is quoted, from its transport
   * header on; its `source` is this host.
   *
   * @param code the error as a code (`ECONNREFUSED`, `EHOSTUNREACH`, `EMSGSIZE`, ...)
   * @param mtu next-hop MTU with `EMSGSIZE`, else 0
   * @returns true when a flow of this host recognises the quotation (RFC 5927: the network believes it only then)
   */
  error?(quoted: Packet, code: number, mtu: number): boolean;
  /** An address of `nif` is gone (or the interface is): flows that use it end. Ask the network with `hasLocal`. */
  addressRemoved?(net: Network): void;
}

export interface Network {
  /** 4 or 6. */
  readonly family: number;
  /** Bytes of its header without options. */
  readonly headerSize: number;
  /** The most that a transport's packet may have, its header included, bytes: IPv4 counts its own header in, IPv6 does not. */
  readonly maximumPayload: number;
  /** Default MTU that any path has (576 or 1280). */
  readonly minimumMtu: number;

  /** Raw sockets: each sees every datagram before its transport does, and says whether it took it. It changes nothing of it. */
  readonly taps: ((packet: Packet) => boolean)[];

  /** Sees every packet; null: nobody does. */
  hook: PacketHook | null;
  /** IPsec; null: none. */
  policy: PacketPolicy | null;

  /** The interface for the traffic of this host to itself, or null; see link/loopback.ts. */
  loopback: Interface | null;

  createPath(): Path;
  /** Gives `nif`, which is `loopback`, its address. */
  setLoopback?(nif: Interface): void;

  /** Sets the local end from text (`""`: any); returns 0, `EAFNOSUPPORT` (not this family's text) or `EADDRNOTAVAIL`. */
  setLocal(path: Path, text: string): number;
  /** Sets the remote end from text; returns 0 or `EAFNOSUPPORT`. */
  setRemote(path: Path, text: string): number;
  /** Makes `path` the way back to the sender of `packet`. */
  setReply(path: Path, packet: Packet): void;
  /** Copies both ends. */
  copyPath(target: Path, source: Path): void;
  /** Makes the source address that `route` chose the local end of `path` for good. */
  pin(path: Path): void;
  localText(path: Path): string;
  remoteText(path: Path): string;
  /** True while the local end is one of this host's addresses, or any. */
  hasLocal(path: Path): boolean;
  sourceText(packet: Packet): string;
  destinationText(packet: Packet): string;

  /** Finds the way, and a source address where the local end is "any". 0, `ENETUNREACH`, `ENETDOWN`, `EADDRNOTAVAIL`, ... */
  route(path: Path): number;
  /**
   * Prepends the header to the packet in `packet` and sends it along `path` (which it routes again where the routes have
   * changed). The transport has left `stack.headroom` bytes before `start`.
   *
   * @returns 0 or a code: `ENETUNREACH`, `EMSGSIZE` (with DONT_FRAGMENT), `ENOBUFS` (the link has no room now), ...
   */
  output(packet: Packet, path: Path, protocol: number): number;
  /** True when a transport segment of `length` bytes goes along the (routed) path in one packet. */
  fits(path: Path, length: number): boolean;
  /** The neighbour is alive: the transport has seen progress (RFC 4861 section 7.3.1). */
  confirm(path: Path): void;
  /** The path seems dead: forget the cached neighbour's reachability. */
  doubt(path: Path): void;

  /** Bytes of an address. */
  readonly addressSize: number;
  /** Writes source and destination of `packet` at `target[at..]`: twice `addressSize` bytes. */
  saveEnds(packet: Packet, target: Uint8Array, at: number): void;
  /** Writes source and remote of a routed path at `target[at..]`: twice `addressSize` bytes. */
  savePath(path: Path, target: Uint8Array, at: number): void;
  /** An address as `saveEnds` wrote it, as text; `nif` gives the zone where the address needs one. */
  addressText(bytes: Uint8Array, at: number, nif: Interface | null): string;

  /** Feeds the hasher with the two addresses, remote first: those of a packet that came in, or of a path. */
  hashPacket(packet: Packet): void;
  hashPath(path: Path): void;
  /** True when the packet came from `path`'s remote end to its local end. */
  matches(path: Path, packet: Packet): boolean;
  /** True when the packet came to `path`'s local end, or that is "any". */
  matchesLocal(path: Path, packet: Packet): boolean;
  /** True when the packet came from `path`'s remote end. */
  matchesRemote(path: Path, packet: Packet): boolean;
  /** True when `a` and `b` have the same local end, or one is "any". */
  sameLocal(a: Path, b: Path): boolean;
  /** Makes `packet` the mirror image: source and destination swapped (for look-ups of quoted packets). */
  swap(packet: Packet): void;

  /** Answers a UDP datagram to a port where nobody listens. */
  portUnreachable(packet: Packet): void;

  /** Joins a group on an interface for a transport. 0, `EAFNOSUPPORT`, `EINVAL`, `ENOBUFS`, `EADDRNOTAVAIL`. */
  join?(group: string, nif: Interface | null, sources: GroupFilter | null): number;
  leave?(group: string, nif: Interface | null, sources: GroupFilter | null): number;
}

/** What a router adds to a network (router/forwarding.ts, forwarding6.ts). */
export interface Forwarder {
  /**
   * Takes a unicast packet, `start` at its header, that is not for an address of the interface it came in on.
   *
   * @returns true when it is for this host after all: a router answers for its addresses on every interface
   */
  input(packet: Packet): boolean;
  /** Nobody answered for the next hop of `packet` (header at `start`, in `stack.tx`). True: it was no packet of this host. */
  undeliverable(packet: Packet): boolean;
}

/** Where a hook sees a packet. */
/** Just in, validated; it is not known yet for whom it is. `start` is at the network header. */
export const PREROUTING = 0;
/** For this host, whole; `start` is at the transport header. */
export const INPUT = 1;
/** For another host, `out` is known; `start` is at the network header. */
export const FORWARD = 2;
/** From this host, with its header; what is too large has been cut into fragments. `start` is at the network header. */
export const OUTPUT = 3;
/** Forwarded, the last before it goes to the link, not fragmented yet; `start` is at the network header. */
export const POSTROUTING = 4;

/**
 * Sees every packet of a network: a firewall, NAT, a policy. `packet.network` is at the header, the bytes are borrowed. A hook may
 * change them if it keeps the checksums right, and `source`, `destination`, `pseudo` of the packet with them (IPv4).
 *
 * @param out the interface that it leaves by (FORWARD, OUTPUT, POSTROUTING)
 * @returns false: the hook has taken the packet, or dropped and counted it
 */
export type PacketHook = (packet: Packet, point: number, out: Interface | null) => boolean;

/** `PacketPolicy.output`: the packet has been sent. */
export const POLICY_TAKEN = 256;

/** IPsec between a network and its links: see ipsec/ipsec.ts. */
export interface PacketPolicy {
  /** `path` has been routed: takes what policy needs off its `mtu`, and says so in `overhead`. */
  routed(path: Path): void;
  /**
   * A packet of this host, its transport header at `start`, along the routed `path`, before it is cut into fragments.
   *
   * @returns the protocol that it goes on with (another: it has been protected in place), POLICY_TAKEN, or a code below 0
   */
  output(packet: Packet, path: Path, protocol: number): number;
  /** A whole packet for this host, its transport header at `start`. The protocol that it goes on with, or -1: taken or dropped. */
  input(packet: Packet, protocol: number): number;
  /** A packet that is to be forwarded to `out`, its header at `network`, its hop not counted yet. False: taken or dropped. */
  forward(packet: Packet, out: Interface): boolean;
}

/** Source filter of a multicast membership (RFC 3376 section 2). */
export interface GroupFilter {
  /** true: all but `sources`; false: only `sources`. */
  exclude: boolean;
  sources: string[];
}
