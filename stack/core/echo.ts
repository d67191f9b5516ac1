/** The seam between ping sockets and the protocols that carry echoes: ICMP (RFC 792), ICMPv6 (RFC 4443 section 4). */
import type { Transport } from "./network.js";
import type { Packet } from "./packet.js";

/** Who sends echo requests; see raw/ping.ts. */
export interface EchoUser {
  /** An echo reply, `start` at the ICMP header, all of which is there. False: nobody here asked. */
  reply(packet: Packet): boolean;
  /** An error about an echo request, `start` at the quoted ICMP header, 8 bytes at the least. False: nobody sent it. */
  error(quoted: Packet, code: number): boolean;
}

/** A transport that hands echo replies on. */
export interface EchoTransport extends Transport {
  echoUser: EchoUser | null;
}
