/** A host on IPv4 that is its own administrator: TCP and UDP, an address by DHCP, names by DNS. */
import type { Hypercalls, Link } from "../../../hypercall/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { dhcp } from "../../../stack/service/dhcp.js";
import { type Dns, dns } from "../../../stack/service/dns.js";
import { tcp, type Tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";

export function start(hypercalls: Hypercalls, link: Link): { tcp: Tcp; dns: Dns } {
  const sockets = tcp();
  const client = dhcp();
  const resolver = dns();
  const stack = createStack(hypercalls, [
    ethernet(),
    arp(),
    ipv4(),
    icmp(),
    udp(),
    sockets,
    client,
    resolver,
  ]);
  client.open(stack.addInterface(link));
  return { tcp: sockets, dns: resolver };
}
