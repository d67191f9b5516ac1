/** What an application says to Babel and is told by it: options, counters, what there is. */
import type { BabelAuthenticator } from "./babel-neighbour.js";
import type { FibOptions } from "./fib.js";

export class BabelCounters {
  received = 0;
  sent = 0;
  sendFailed = 0;
  /** No packets of Babel, or of another version. */
  malformed = 0;
  /** TLVs that do not hold together, or say what cannot be. */
  badTlv = 0;
  /** Not from a neighbour's link-local address and Babel's port. */
  badSource = 0;
  /** Not authentic where that is wanted, or recorded (RFC 8967). */
  badMac = 0;
  /** TLVs of somebody of whom no hello was heard. */
  stranger = 0;
  /** Neighbours or prefixes for which there was no room, in the table or the forwarding table. */
  full = 0;
  /** Routes that were farther than what we have told of them, and so might lead to us. */
  unfeasible = 0;
  /** Requests for later sequence numbers: asked by us, asked of us, passed on. */
  seqnoRequests = 0;
  seqnoAnswers = 0;
  seqnoForwarded = 0;
  /** Requests not answered for the rate's sake. */
  limited = 0;
  /** Routes, and neighbours, not heard of any more. */
  expired = 0;
}

export interface BabelOptions extends FibOptions {
  /** This router's identifier, 8 bytes, neither all zeros nor all ones. Default: random. */
  routerId?: Uint8Array;
  /** Prefixes at most. Default 1024. */
  routes?: number;
  /** Neighbours at most. Default 64. */
  neighbours?: number;
  /** Full updates and acknowledgements that are asked of us, answered a second. Default 10. */
  requestRate?: number;
}

export interface BabelInterfaceOptions {
  /** `"wired"`: works or does not (2 hellos out of 3). `"wireless"`: loses some, and the cost follows (ETX). Default `"wired"`. */
  type?: "wired" | "wireless";
  /** What a hop costs at the least, 1..65534. Default 96, of wireless 256. */
  cost?: number;
  /** Seconds between hellos, 0.1..600. Default 4. */
  hello?: number;
  /** Seconds between full updates, 0.1..600. Default four hellos. */
  update?: number;
  /** What came by it is not told on it. Default: on wired links. */
  splitHorizon?: boolean;
  /** `babelAuthentication({ secret })` (RFC 8967), one for each interface. Default none. */
  authentication?: BabelAuthenticator;
}

export interface BabelRouteInfo {
  prefix: string;
  /** 16 hexadecimal digits. */
  routerId: string;
  /** 65535: not to be reached. */
  metric: number;
  seqno: number;
  /** The next hop; `""`: it is ours. */
  gateway: string;
  interface: string;
  selected: boolean;
  feasible: boolean;
}

export interface BabelNeighbourInfo {
  address: string;
  interface: string;
  rxcost: number;
  txcost: number;
  cost: number;
}
