/** TCP over IPv4 on Ethernet with a fixed address, and no service. */
import type { Hypercalls, Link } from "../../../hypercall/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { tcp, type Tcp } from "../../../stack/tcp/tcp.js";

export function start(hypercalls: Hypercalls, link: Link, address: string): Tcp {
  const ip = ipv4();
  const sockets = tcp();
  const stack = createStack(hypercalls, [ethernet(), arp(), ip, icmp(), sockets]);
  ip.addAddress(stack.addInterface(link), address);
  return sockets;
}
