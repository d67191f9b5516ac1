/**
 * What a stack and a connection weigh, and how long a configured stack takes to boot. Bytes are the growth of V8's heap and of
 * array buffers after a full collection, divided by the number of objects made.
 */
import { randomFillSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { Hypercalls } from "../../hypercall/index.js";
import { createStack } from "../../stack/core/stack.js";
import type { Stack } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import { memoryLinks } from "./memory-link.js";
import { median } from "./rounds.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function host(): Hypercalls {
  return {
    version: HYPERCALL_VERSION,
    now: () => performance.now(),
    random: (target) => {
      randomFillSync(target);
      return true;
    },
    wake: () => {},
  };
}

function boot(link: ReturnType<typeof memoryLinks>["a"], address: string) {
  const ip = ipv4();
  const sockets = tcp({ limit: 200_000 });
  const stack = createStack(host(), [ethernet(), arp(), ip, icmp(), fragments(), udp(), sockets], {
    packetMemory: 16 << 20,
  });
  ip.addAddress(stack.addInterface(link), address);
  return { stack, sockets };
}

function weigh(): number {
  for (let i = 0; i < 4; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Milliseconds from nothing to a configured stack. */
export function bootTime(): number {
  const times: number[] = [];
  const link = memoryLinks().a;
  for (let i = 0; i < 2000; i++) {
    const start = performance.now();
    boot(link, "10.0.0.1/24");
    times.push(performance.now() - start);
  }
  return median(times.slice(1000));
}

/** Bytes of an idle stack with its interface, without the link. */
export function stackBytes(): number {
  const count = 500;
  const links = [];
  for (let i = 0; i < count; i++) links.push(memoryLinks(1500, undefined, 2).a);
  const stacks: Stack[] = [];
  boot(links[0], "10.0.0.1/24");
  const before = weigh();
  for (const link of links) stacks.push(boot(link, "10.0.0.1/24").stack);
  const after = weigh();
  return (after - before) / stacks.length;
}

/** Bytes of an idle established connection at one of its ends. */
export function connectionBytes(): number {
  const links = memoryLinks();
  const a = boot(links.a, "10.0.0.1/24");
  const b = boot(links.b, "10.0.0.2/24");
  const sockets: unknown[] = [];
  b.sockets.listen({ port: 80, backlog: 1000, onConnection: (socket) => void sockets.push(socket) });
  const connect = (count: number) => {
    for (let i = 0; i < count; i++) {
      sockets.push(a.sockets.connect({ address: "10.0.0.2", port: 80 }));
      links.pump();
    }
  };
  connect(1000);
  const before = weigh();
  connect(10_000);
  const after = weigh();
  if (sockets.length !== 22_000) throw new Error("connections are missing: " + sockets.length);
  return (after - before) / 20_000;
}
