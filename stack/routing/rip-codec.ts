/**
 * The seam between the machine of RIP (distance-vector.ts) and its messages (rip.ts, ripng.ts): entries as they are read and written,
 * what a codec says about them, and the interface that they came by.
 */
import type { Interface } from "../core/interface.js";
import type { Stack } from "../core/stack.js";
import type { UdpSocket } from "../udp/udp.js";
import type { Fib } from "./fib.js";

export class RipCounters {
  received = 0;
  sent = 0;
  sendFailed = 0;
  /** Shorter than its header, no whole number of entries, of another command or version. */
  malformed = 0;
  /** Entries with no prefix, metric or next hop that could be. */
  badEntry = 0;
  /** Not from a neighbour on the link, by its address, port or hop limit. */
  badSource = 0;
  /** Without the password that the interface wants, or with one that it does not. */
  badPassword = 0;
  /** Requests that were answered, and those that were not for the rate's sake. */
  requests = 0;
  limited = 0;
  /** Prefixes for which the table, or the forwarding table, had no room. */
  full = 0;
  triggered = 0;
  /** Routes not heard of any more. */
  expired = 0;
}

/** An entry as it was read. */
export class RipEntry {
  readonly prefix = new Uint8Array(16);
  length = 0;
  tag = 0;
  metric = 0;
  /** The next hop that it names, valid where `hop`. */
  readonly gateway = new Uint8Array(16);
  hop = false;
}

/** What `RipCodec.parse` found. */
export const ENTRY_ROUTE = 0;
/** Nothing that would be a route, but well-formed. */
export const ENTRY_SKIP = 1;
export const ENTRY_BAD = 2;
/** "All that you have" (of requests). */
export const ENTRY_ALL = 3;

export interface RipCodec {
  readonly name: string;
  readonly family: number;
  readonly port: number;
  readonly group: string;
  readonly version: number;
  /** Hop limit of what is sent, and, where not 0, of what is believed. */
  readonly hops: number;
  readonly onlyHops: number;
  readonly distance: number;
  attach(stack: Stack, counters: RipCounters): void;
  /** Bytes of a message on an interface of `mtu`. */
  room(mtu: number): number;
  /** Writes what comes before the routes at `at`; returns where they begin. */
  begin(port: RipPort, data: Uint8Array, at: number): number;
  /** Checks what comes before the routes; where they begin, or -1. */
  authenticate(port: RipPort, data: Uint8Array, end: number): number;
  emit(data: Uint8Array, at: number, entry: RipEntry): void;
  parse(data: Uint8Array, at: number, entry: RipEntry): number;
  /** Is the sender a neighbour on the interface, its address in `from`? */
  isNeighbour(fib: Fib, nif: Interface, from: Uint8Array): boolean;
  /** May packets for others be given to `gateway` on `nif`? */
  isGateway(fib: Fib, nif: Interface, gateway: Uint8Array): boolean;
}

/** What rip-authentication.ts adds: an entry in front of a message, and a digest behind. */
export interface RipAuthenticator {
  attach(stack: Stack): void;
  begin(data: Uint8Array, at: number): number;
  finish(data: Uint8Array, end: number): number;
  /** Where the entries end, or -1. */
  check(data: Uint8Array, end: number, from: number): number;
}

/** An interface that takes part. */
export class RipPort {
  cost = 1;
  passive = false;
  password = "";
  authentication: RipAuthenticator | null = null;
  updateAt = 0;
  up = true;

  constructor(
    readonly nif: Interface,
    readonly socket: UdpSocket,
  ) {}
}
