/** How the cost of one thing grows with the number of others: connections, routes, timers. Rates are per second of processor time. */
import { randomFillSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { Interface } from "../../stack/core/interface.js";
import { createStack } from "../../stack/core/stack.js";
import { Timer, Timers } from "../../stack/core/timers.js";
import { arp } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { largeTable4 } from "../../stack/route/large-table4.js";
import { Route4, smallTable4 } from "../../stack/route/table.js";
import type { Fib4 } from "../../stack/route/table.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { memoryLinks } from "./memory-link.js";

/** Connections to one port: a client's ports are not without end. */
const PER_PORT = 10_000;
/** On a busy machine a measurement ends after so many times the time that it is given. */
const PATIENCE = 4;

/** How often `step` (which does `each` things) is done in a second of processor time, once V8 has compiled it. */
function rateOf(step: () => void, each: number, milliseconds: number): number {
  let rate = 0;
  for (const limit of [milliseconds / 2, milliseconds]) {
    const start = performance.now();
    const usage = process.cpuUsage();
    let steps = 0;
    let spent: number;
    do {
      step();
      steps++;
      const { user, system } = process.cpuUsage(usage);
      spent = (user + system) / 1000;
    } while (spent < limit && performance.now() - start < PATIENCE * limit);
    rate = (steps * each * 1000) / spent;
  }
  return rate;
}

function boot(link: ReturnType<typeof memoryLinks>["a"], address: string) {
  const ip = ipv4();
  const sockets = tcp({ limit: 200_000 });
  const host = {
    version: HYPERCALL_VERSION,
    now: () => performance.now(),
    random(target: Uint8Array) {
      randomFillSync(target);
      return true;
    },
    wake() {},
  };
  const stack = createStack(host, [ethernet(), arp(), ip, sockets], {
    // An answer holds a chunk until its acknowledgment, which may be delayed.
    packetMemory: 1 << 28,
  });
  ip.addAddress(stack.addInterface(link), address);
  return { stack, sockets };
}

/** Bytes there and back, one on each of `count` connections in turn. */
export function connectionRate(count: number, milliseconds: number): number {
  const links = memoryLinks();
  const a = boot(links.a, "10.0.0.1/24");
  const b = boot(links.b, "10.0.0.2/24");
  const byte = new Uint8Array(64);
  const clients: TcpSocket[] = [];
  let answers = 0;
  for (let first = 0; first < count; first += PER_PORT) {
    const port = 80 + first / PER_PORT;
    b.sockets.listen({
      port,
      backlog: 1000,
      onConnection(socket) {
        socket.setNoDelay(true);
        socket.handle({
          onReadable() {
            this.write(byte, 0, this.read(byte));
          },
        });
      },
    });
    for (let i = first; i < count && i < first + PER_PORT; i++) {
      clients.push(
        a.sockets.connect({
          address: "10.0.0.2",
          port,
          noDelay: true,
          onReadable() {
            answers += this.read(byte);
          },
        }),
      );
      links.pump();
    }
  }
  let next = 0;
  let asked = 0;
  const BATCH = 1000;
  const rate = rateOf(
    () => {
      for (let i = 0; i < BATCH; i++) {
        clients[next].write(byte, 0, 1);
        next = (next + 1) % count;
        links.pump();
      }
      asked += BATCH;
      a.stack.poll();
      b.stack.poll();
    },
    BATCH,
    milliseconds,
  );
  if (answers !== asked) throw new Error(`${asked - answers} of ${asked} answers are missing`);
  return rate;
}

/** A generator of 32 bits, the same in each run (Numerical Recipes). */
function generator(): () => number {
  let state = 2026;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) | 0);
}

/** The tables that there are, and how many routes each is meant for. */
export const TABLES: readonly { name: string; make: (limit: number) => Fib4; counts: readonly number[] }[] = [
  { name: "small table", make: smallTable4, counts: [10, 100, 1000] },
  {
    name: "large table",
    make: largeTable4,
    counts: [10, 100, 1000, 10_000, 100_000, 1_000_000],
  },
];

/** Longest prefix matches among `count` routes, most of them /24 as in the Internet's table. */
export function routeRate(make: (limit: number) => Fib4, count: number, milliseconds: number): number {
  const table = make(count);
  const nif = { up: () => true } as unknown as Interface;
  const random = generator();
  const destinations = new Int32Array(1 << 16);
  for (let i = 0; i < count; i++) {
    const length = i % 10 < 6 ? 24 : 12 + (random() >>> 28);
    const prefix = (random() >> (32 - length)) << (32 - length);
    table.add(new Route4(prefix, length, 0x0a000001, nif, i, "bench", 0));
    destinations[i & 0xffff] = prefix | 1;
  }
  const spread = Math.min(count, destinations.length);
  let next = 0;
  let found = 0;
  const rate = rateOf(
    () => {
      for (let i = 0; i < 4096; i++) {
        if (table.lookup(destinations[next], null)) found++;
        if (++next === spread) next = 0;
      }
    },
    4096,
    milliseconds,
  );
  if (found === 0) throw new Error("no route was found");
  return rate;
}

/** One of `count` armed timers is moved, and one comes due and is armed again. */
export function timerRate(count: number, milliseconds: number): number {
  const SPREAD = 1024;
  const timers = new Timers(() => {});
  const random = generator();
  let now = 0;
  let done = 0;
  const later = () => now + SPREAD / 2 + (random() >>> 22);
  const all: Timer[] = [];
  const rearm = (index: number) => timers.set(all[index], later());
  for (let i = 0; i < count; i++) {
    all.push(new Timer(rearm, i));
    rearm(i);
  }
  const rate = rateOf(
    () => {
      for (let i = 0; i < 1000; i++) {
        const timer = all[(random() >>> 1) % count];
        timers.clear(timer);
        timers.set(timer, later());
        now = Math.floor((++done * SPREAD) / count) | 0;
        timers.run(now, 64);
      }
    },
    1000,
    milliseconds,
  );
  if (timers.count() !== count) throw new Error("timers are missing");
  return rate;
}
