/** A machine of the example: a stack with all that an IPv4 host has, over one link. */
import type { Link } from "../../hypercall/index.js";
import { createStack } from "../../stack/core/stack.js";
import { inspectAddresses, inspectCounters, inspectInterfaces, inspectMemory } from "../../stack/inspect.js";
import { inspectNeighbours, inspectRoutes, inspectSockets } from "../../stack/inspect.js";
import { arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { loopback } from "../../stack/link/loopback.js";
import { ping } from "../../stack/raw/ping.js";
import { dhcp } from "../../stack/service/dhcp.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import { ethernet } from "../../ports/express/ethernet.js";
import { nodeHost } from "../../ports/node/host.js";
import { History } from "./history.js";
import { Watch } from "./watch.js";

/** Packet memory of a machine, bytes: room for the buffers of a fast transfer. */
const BUDGET = 8 << 20;

export type Machine = ReturnType<typeof machine>;

/** Boots a machine called `name`. `address`: with its prefix length, or `""`. */
export function machine(name: string, link: Link, address: string) {
  const host = nodeHost({ log: (message) => console.error(`${name}: ${message}`) });
  const ip = ipv4();
  const neighbours = arp();
  const sockets = tcp();
  const datagrams = udp();
  const leases = dhcp();
  const echoes = ping();
  const watch = new Watch(link);
  const stack = host.drive(
    createStack(
      host,
      [
        ethernet(),
        loopback(),
        neighbours,
        ip,
        icmp(),
        fragments(),
        pmtu(),
        igmp(),
        datagrams,
        sockets,
        echoes,
        leases,
      ],
      { packetMemory: BUDGET },
    ),
  );
  const nif = stack.addInterface(watch);
  if (address) ip.addAddress(nif, address);
  const history = new History(nif, sockets, echoes);
  return {
    name,
    stack,
    nif,
    ip,
    tcp: sockets,
    leases,
    history,
    /** Ends all of it. */
    close() {
      for (const client of leases.clients.slice()) client.release();
      history.close();
      stack.close();
    },
    /** All that the page shows of this machine: plain data. */
    report: () => ({
      name,
      interfaces: inspectInterfaces(stack),
      addresses: inspectAddresses(ip),
      routes: inspectRoutes(ip),
      neighbours: inspectNeighbours(neighbours),
      sockets: [...inspectSockets(sockets), ...inspectSockets(datagrams)],
      memory: inspectMemory(stack),
      counters: inspectCounters(stack),
      frames: watch.frames(),
    }),
  };
}
