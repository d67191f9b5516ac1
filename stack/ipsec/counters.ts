/** What ESP and AH count. */
import type { Packet } from "../core/packet.js";

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

/** Counts a packet that no SA is there for. */
export function countUnknown(
  protocol: { readonly headerSize: number; readonly counters: SecurityCounters },
  packet: Packet,
): void {
  if (packet.end - packet.start < protocol.headerSize) protocol.counters.malformed++;
  else protocol.counters.noSa++;
}
