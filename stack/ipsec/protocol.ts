/** What ESP and AH have in common: counters, and how each takes its place. */
import { fail } from "../core/errors.js";
import type { Packet } from "../core/packet.js";
import type { Stack } from "../core/stack.js";
import { Ipsec } from "./ipsec.js";
import type { SecurityProtocol } from "./ipsec.js";

export class SecurityCounters {
  sent = 0;
  received = 0;
  /**
   * Shorter than header and ICV, lengths or options that lie; ESP: not whole blocks, or (authentic) padding or inner lengths that lie.
   */
  malformed = 0;
  /** No SA for the SPI and destination. */
  noSa = 0;
  /** The ICV is another. */
  auth = 0;
  /** Sequence number below the window, or seen before. */
  replay = 0;
  /** Authentic packets that carry nothing (next header 59). */
  dummy = 0;
  /** The host's cipher or MAC refused. */
  cipher = 0;
}

/** `start` of either: IPsec gives it packets from now on. */
export function register(own: SecurityProtocol & { stack: Stack }): Ipsec {
  const ipsec = own.stack.component(Ipsec);
  if (!ipsec) return fail("ENOPROTOOPT", own.name + " needs ipsec");
  ipsec.protocols.push(own);
  own.stack.transports.push(own);
  return ipsec;
}

/** Counts a packet that no SA is there for. */
export function countUnknown(protocol: SecurityProtocol, packet: Packet): void {
  if (packet.end - packet.start < protocol.headerSize) protocol.counters.malformed++;
  else protocol.counters.noSa++;
}
