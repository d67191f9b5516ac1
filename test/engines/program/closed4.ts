/**
 * A firmware with its application inside, on IPv4: what the chain's closed mode makes one instance of. Each host of a
 * conversation is a script of its own; `closed4(...)` of the driver gives them a world.
 */
import type { Hypercalls, Link } from "../../../hypercall/index.js";
import type { Stack } from "../../../stack/core/stack.js";
import { createStack } from "../../../stack/core/stack.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ping } from "../../../stack/raw/ping.js";
import { dhcp } from "../../../stack/service/dhcp.js";
import { dns } from "../../../stack/service/dns.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import { echo, talk } from "./conversation.js";
import { serveDns } from "./servers.js";

let stack: Stack | null = null;

/** @param role "server"; "client", which gets its address by DHCP and talks to "server.example" */
export function start(
  role: string,
  host: Hypercalls,
  link: Link,
  at: (delay: number, run: () => void) => never,
  print: (line: string) => void,
): void {
  const ip = ipv4();
  const datagrams = udp();
  const streams = tcp();
  const pings = ping();
  const address = dhcp();
  const names = dns();
  stack = createStack(
    host,
    [ethernet(), arp(), icmp(), fragments(), ip, datagrams, streams, pings, address, names],
    { packetMemory: 65536, chunkSize: 512 },
  );
  const nif = stack.addInterface(link);
  if (role === "server") {
    ip.addAddress(nif, "10.0.0.1/24");
    serveDns(datagrams);
    echo(datagrams, streams);
    return;
  }
  let bound = false;
  address.open(nif, {
    onBound(lease) {
      print("bound " + lease.address);
      if (bound) return;
      bound = true;
      names.lookup("server.example", { family: 4 }, (code, found) => {
        print("found " + code + " " + found.join());
        if (code === 0) talk({ at, print }, found[0] as string, datagrams, streams, pings);
      });
    },
  });
}

export function poll(): void {
  if (stack) stack.poll();
}

export function close(): void {
  if (stack) stack.close();
}
