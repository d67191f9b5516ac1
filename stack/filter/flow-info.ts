/** Flows as plain data, for people and tests. */
import { put16 } from "../core/bytes.js";
import type { Network } from "../core/network.js";
import { PROTOCOL_ICMP } from "../wire/ipv4.js";
import { PROTOCOL_ICMPV6 } from "../wire/ipv6.js";
import { DESTINATION, PORTS, PROTOCOL, SOURCE } from "./tuple.js";

/** A flow as plain data. */
export interface FlowInfo {
  family: number;
  protocol: number;
  /** Of the first packet, as it came. Ports are 0 where there are none; a query's identifier is its source port. */
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  /** Who answers, and whom the answers are sent to: they differ from the mirror image where addresses are translated. */
  replySource: string;
  replySourcePort: number;
  replyDestination: string;
  replyDestinationPort: number;
  /** Milliseconds until it is forgotten, unless a packet comes. */
  expires: number;
}

/** Describes the flow whose keys are at `key[at..]` and, of the answers, at `reply[back..]`; `net` is its network. */
export function describeFlow(
  net: Network,
  key: Int32Array,
  at: number,
  reply: Int32Array,
  back: number,
  expires: number,
): FlowInfo {
  const protocol = key[at + PROTOCOL] & 255;
  const query = protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6;
  return {
    family: key[at + PROTOCOL] >> 16,
    protocol,
    source: text(net, key, at + SOURCE),
    sourcePort: key[at + PORTS] >>> 16,
    destination: text(net, key, at + DESTINATION),
    destinationPort: query ? 0 : key[at + PORTS] & 0xffff,
    replySource: text(net, reply, back + SOURCE),
    replySourcePort: query ? 0 : reply[back + PORTS] >>> 16,
    replyDestination: text(net, reply, back + DESTINATION),
    replyDestinationPort: query ? reply[back + PORTS] >>> 16 : reply[back + PORTS] & 0xffff,
    expires,
  };
}

function text(net: Network, words: Int32Array, at: number): string {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 4; i++) {
    put16(bytes, i * 4, words[at + i] >>> 16);
    put16(bytes, i * 4 + 2, words[at + i]);
  }
  return net.addressText(bytes, 0, null);
}
