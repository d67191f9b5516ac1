/** What IPv4 sends to groups and broadcast addresses comes back to this host's own sockets; igmp.ts brings it. */
import { MulticastLoop } from "../core/multicast-loop.js";
import type { Interface } from "../core/interface.js";
import { NET_MULTICAST } from "../core/packet.js";
import { IPV4_HEADER } from "../wire/ipv4.js";
import type { IgmpHooks, Ipv4 } from "./ipv4.js";
import { emit } from "./output.js";

export function loopMulticast4(ip: Ipv4): MulticastLoop {
  const loop = new MulticastLoop(ip.stack, (packet) => ip.input(packet));
  ip.loop = (packet, path, protocol) => {
    const nif = path.nif as Interface;
    if (nif === ip.loopback || path.anonymous) return;
    if (path.kind === NET_MULTICAST && !(ip.igmp as IgmpHooks).accepts(nif, path.remote, -1)) return;
    const start = packet.start;
    packet.start -= IPV4_HEADER;
    emit(packet, path, protocol, packet.end - packet.start, 0, 0);
    loop.put(packet, nif);
    packet.start = start;
  };
  return loop;
}
