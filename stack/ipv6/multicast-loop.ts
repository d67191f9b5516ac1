/** What IPv6 sends to groups comes back to this host's own sockets; mld.ts brings it. */
import { MulticastLoop } from "../core/multicast-loop.js";
import type { Interface } from "../core/interface.js";
import { IPV6_HEADER } from "../wire/ipv6.js";
import { input } from "./input.js";
import type { Ipv6 } from "./ipv6.js";
import { emit } from "./output.js";
import { REMOTE } from "./path.js";

export function loopMulticast6(ip: Ipv6): MulticastLoop {
  const loop = new MulticastLoop(ip.stack, (packet) => input(ip, packet));
  ip.loop = (packet, path, protocol) => {
    const nif = path.nif as Interface;
    const start = packet.start;
    if (nif !== ip.loopback && ip.membership(nif, path.ends, REMOTE)) {
      packet.start -= IPV6_HEADER;
      emit(packet, path, protocol, packet.end - start);
      loop.put(packet, nif);
      packet.start = start;
    }
    // Interface-local scope goes no further (RFC 4291 section 2.7).
    return (path.ends[REMOTE + 1] & 15) <= 1;
  };
  return loop;
}
