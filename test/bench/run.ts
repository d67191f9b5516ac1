/**
 * `npm run bench`: what a stack and a connection weigh, and how long a configured stack takes to boot. `-- --json` prints rows for
 * machines, `-- --write` puts the table into docs/memory.md.
 *
 * Bytes are the growth of V8's heap and of array buffers after a full collection, divided by the number of objects made.
 */
import { randomFillSync } from "node:crypto";
import { writeFileSync } from "node:fs";
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
    budget: 16 << 20,
  });
  ip.addAddress(stack.addInterface(link), address);
  return { stack, sockets };
}

function weigh(): number {
  for (let i = 0; i < 4; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

/** Milliseconds from nothing to a configured stack. */
function bootTime(): number {
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
function stackBytes(): number {
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
function connectionBytes(): number {
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

interface Row {
  readonly work: string;
  readonly about: string;
  readonly ours: number;
  readonly unit: string;
  readonly anchor: string;
}

const rows: Row[] = [
  {
    work: "boot",
    about: "boot of a configured stack, median of 1000",
    ours: +bootTime().toFixed(3),
    unit: "ms",
    anchor: "a rump kernel: 2 to 6 ms",
  },
  {
    work: "memory-stack",
    about: "an idle stack with one interface",
    ours: Math.round(stackBytes()),
    unit: "B",
    anchor: "a rump kernel: 1.6 MB",
  },
  {
    work: "memory-connection",
    about: "an idle connection, each end",
    ours: Math.round(connectionBytes()),
    unit: "B",
    anchor: "lwIP on x86-64: 240 B",
  },
];
const table = [
  "| | here | anchor |",
  "|---|---|---|",
  ...rows.map(({ about, ours, unit, anchor }) => `| ${about} | ${ours} ${unit} | ${anchor} |`),
].join("\n");
console.log(process.argv.includes("--json") ? JSON.stringify({ rows }) : table);
if (process.argv.includes("--write")) {
  writeFileSync(
    new URL("../../docs/memory.md", import.meta.url),
    `# What a stack weighs

Ethernet, ARP, IPv4 with fragments, ICMP, UDP and TCP on Node ${process.versions.node}; heap and array buffers after a full
collection. Made by \`npm run bench -- --write\`.

${table}

A stack takes packet memory from its host in slabs, as it needs them, and an idle connection holds none: its buffers are
made of chunks that exist while bytes are in them. What a connection costs beyond lwIP's 240 bytes is V8's: each of the
control block's fields is a word of 8 bytes, and each object has a header.
`,
  );
}
