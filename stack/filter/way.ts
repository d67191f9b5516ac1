/** The packet that is on its way through a filter: what has been found out about it, from one point to the next. */
import type { Packet } from "../core/packet.js";
import { FLOW, Tuple } from "./tuple.js";

export class Way {
  readonly tuple = new Tuple();
  /** FLOW, LATER, ... */
  kind = FLOW;
  /** Its flow and direction, as flow * 2 + direction; -1: none yet. */
  entry = -1;
  /** Where its transport header is, from its network header; -1: it has none that may be written to. */
  offset = -1;
  /** It is new, and its destination was translated to `target` and `targetPort`. */
  forwarded = false;
  target = 0;
  targetPort = 0;

  transportAt(packet: Packet): number {
    return this.offset < 0 ? -1 : packet.network + this.offset;
  }
}
