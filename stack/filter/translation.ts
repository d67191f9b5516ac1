/** The seam between a firewall and what translates addresses: napt.ts. */
import type { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Stack } from "../core/stack.js";
import type { Firewall } from "./firewall.js";
import type { PortForward } from "./napt.js";
import type { Tuple } from "./tuple.js";
import type { Way } from "./way.js";

/** What `Translation.begin` returns when the flow needs no port of its own, and when there is none. */
export const NO_BINDING = -1;
export const NO_PORT = -2;

/** What translates the addresses of IPv4 for a firewall: napt.ts. */
export interface Translation {
  start(wall: Firewall, stack: Stack): void;
  load(forward: readonly PortForward[]): void;
  /** A new packet: gives it the destination inside that its outer one stands for. */
  enter(way: Way, packet: Packet): void;
  /** A flow begins: writes whom its answers are sent to into `reply`. Returns what `release` takes, NO_BINDING, or NO_PORT. */
  begin(way: Way, packet: Packet, out: Interface, reply: Int32Array): number;
  release(binding: number): void;
  /** Gives a packet of a flow the destination that this leads to, and the source that its other end knows. */
  turnDestination(way: Way, packet: Packet): void;
  turnSource(way: Way, packet: Packet): void;
  /** Gives what the ICMP error at `error` quotes the ends that its receiver knows. */
  turnQuote(way: Way, packet: Packet, error: number, inner: Tuple): void;
  /** Gives an error of ours about the packet on its way the destination that this came with. */
  restoreQuote(way: Way, packet: Packet, error: Tuple): void;
  /** Does what leaves there show an outer address? */
  leaves(out: Interface): boolean;
}
