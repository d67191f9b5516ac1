/** What DHCP servers and relay agents must hear: clients that have no address as yet (RFC 2131 section 4.1). */
import { get16 } from "../core/bytes.js";
import type { Packet } from "../core/packet.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import { DHCP_SERVER_PORT } from "../wire/dhcp.js";
import { BROADCAST } from "../wire/ipv4.js";

const PROTOCOL_UDP = 17;

/** Lets datagrams from 0.0.0.0 pass that are broadcast to the servers' port, and no others. */
export function acceptBootp(ip: Ipv4): void {
  ip.acceptUnspecified = (packet: Packet) => {
    const data = packet.data;
    const at = packet.start + ((data[packet.start] & 15) << 2);
    return (
      packet.protocol === PROTOCOL_UDP &&
      packet.destination === BROADCAST &&
      packet.end - at >= 8 &&
      get16(data, at + 2) === DHCP_SERVER_PORT
    );
  };
}
