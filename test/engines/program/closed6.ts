/** The same firmware as closed4.ts on IPv6, with addresses that are given to it and tried for duplicates. */
import type { Hypercalls, Link } from "../../../hypercall/index.js";
import type { Stack } from "../../../stack/core/stack.js";
import { createStack } from "../../../stack/core/stack.js";
import { dad } from "../../../stack/ipv6/dad.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { mld } from "../../../stack/ipv6/mld.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { slaac } from "../../../stack/ipv6/slaac.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ping } from "../../../stack/raw/ping.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import { echo, talk } from "./conversation.js";

let stack: Stack | null = null;

/** @param role "server" or "client" */
export function start(
  role: string,
  host: Hypercalls,
  link: Link,
  at: (delay: number, run: () => void) => never,
  print: (line: string) => void,
): void {
  const ip = ipv6();
  const datagrams = udp();
  const streams = tcp();
  const pings = ping();
  stack = createStack(
    host,
    [ethernet(), ip, icmpv6(), nd(), dad(), slaac(), mld(), fragments6(), datagrams, streams, pings],
    { packetMemory: 65536, chunkSize: 512 },
  );
  const nif = stack.addInterface(link);
  ip.addAddress(nif, role === "server" ? "2001:db8::1/64" : "2001:db8::2/64");
  if (role === "server") echo(datagrams, streams);
  else at(5000, () => talk({ at, print }, "2001:db8::1", datagrams, streams, pings));
}

export function poll(): void {
  if (stack) stack.poll();
}

export function close(): void {
  if (stack) stack.close();
}
