/** TCP over IPv6 on Ethernet: an address of its own making, others from routers. */
import type { Hypercalls, Link } from "../../../hypercall/index.js";
import { createStack } from "../../../stack/index.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { slaac } from "../../../stack/ipv6/slaac.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { tcp, type Tcp } from "../../../stack/tcp/tcp.js";

export function start(hypercalls: Hypercalls, link: Link): Tcp {
  const sockets = tcp();
  createStack(hypercalls, [ethernet(), ipv6(), icmpv6(), nd(), slaac(), sockets]).addInterface(link);
  return sockets;
}
