/** The same host on IPv4 and IPv6. */
import type { Hypercalls, Link } from "../../../hypercall/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
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
    ipv6(),
    icmpv6(),
    nd(),
    udp(),
    sockets,
    client,
    resolver,
  ]);
  client.open(stack.addInterface(link));
  return { tcp: sockets, dns: resolver };
}
