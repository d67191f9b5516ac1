/**
 * Our stack as a subject of the benchmark: reads "WORK MILLISECONDS" lines and answers each with a rate: Gbit/s (tcp-bulk) or
 * events, per second of processor time (what others do on the machine does not count, our garbage collector does). "garbage:WORK
 * MILLISECONDS" is answered with the bytes of garbage that a MiB (tcp-bulk) or an event makes. "pauses 0" is answered with how long the collector's pauses were,
 * ms: the 99th percentile. Two ends in one process and one thread over `memoryLinks`. The argument names the
 * accelerators.
 */
import { randomFillSync } from "node:crypto";
import { PerformanceObserver, performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import { accelerator as acceleratorOf, wasmAccelerator } from "../../ports/wasm/accelerator.js";
import { ethernet } from "../../ports/express/ethernet.js";
import { batchedRandom } from "../../ports/random.js";
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { Hypercalls } from "../../hypercall/index.js";
import { createStack } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet as plainEthernet } from "../../stack/link/ethernet.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { udp } from "../../stack/udp/udp.js";
import { memoryLinks } from "./memory-link.js";

/** What a host may offer beyond the five functions it must have, by name. */
const ACCELERATORS: Record<string, Partial<Hypercalls>> = {
  none: {},
  words: acceleratorOf(false),
  wasm: wasmAccelerator() ?? {},
};

const PORT = 5001;
/** Bytes written at once in tcp-bulk. */
const CHUNK = 16384;
const WINDOW = 256 * 1024;
/** Frames between two looks at the clock. */
const BATCH = 4096;
/** Frames between two looks at the heap: their garbage is a fraction of what the collector waits for. */
const SMALL_BATCH = 256;
/** On a busy machine a workload ends after so many times the time that it is given. */
const PATIENCE = 3;

/** The clock of both hosts: read once in a batch, as lwIP's (140 ns in this loop, a twelfth of an echo of 64 bytes). */
let time = performance.now();

/** As port `node` has it. */
const random = batchedRandom((target) => void randomFillSync(target));

class End {
  readonly ip = ipv4();
  readonly udp = udp();
  readonly tcp = tcp({
    sendBuffer: WINDOW,
    maximumSendBuffer: WINDOW,
    receiveBuffer: WINDOW,
    maximumReceiveBuffer: WINDOW,
    timeWaitLimit: 64,
  });
  readonly stack;
  /** When the stack wants to be polled: 0 at once, infinity never. */
  wakeAt = Infinity;

  constructor(accelerator: Partial<Hypercalls>) {
    this.stack = createStack(
      {
        version: HYPERCALL_VERSION,
        now: () => time,
        random,
        wake: (delay) => {
          this.wakeAt = delay < 0 ? Infinity : delay === 0 ? 0 : time + delay;
        },
        ...accelerator,
      },
      [
        (accelerator.checksum ? ethernet : plainEthernet)(),
        arp(),
        this.ip,
        icmp(),
        fragments(),
        this.udp,
        this.tcp,
      ],
      { packetMemory: 16 << 20 },
    );
  }

  poll(now: number): void {
    if (now < this.wakeAt) return;
    this.wakeAt = Infinity;
    this.stack.poll();
  }
}

const accelerator = ACCELERATORS[process.argv[2] ?? "words"];
if (!accelerator) throw new Error("accelerators: " + Object.keys(ACCELERATORS).join(" "));
const links = memoryLinks(1500, undefined, undefined, accelerator);
const client = new End(accelerator);
const server = new End(accelerator);
client.ip.addAddress(client.stack.addInterface(links.a), "10.0.0.1/24");
server.ip.addAddress(server.stack.addInterface(links.b), "10.0.0.2/24");

const bytes = new Uint8Array(65536);
let running = false;
/** What has been done: bytes received, answers, or connections closed. */
let count = 0;

server.tcp.listen({
  port: PORT,
  onConnection: (socket) =>
    socket.handle({
      onReadable() {
        count += this.read(bytes);
      },
      onEnd() {
        count++;
        this.close();
      },
    }),
});
server.tcp.listen({
  port: PORT + 1,
  onConnection(socket) {
    socket.setNoDelay(true);
    socket.handle({
      onReadable() {
        this.write(bytes, 0, this.read(bytes));
      },
      onEnd() {
        this.close();
      },
    });
  },
});
const echoInfo = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
server.udp.open({
  port: PORT,
  onReadable() {
    const length = this.receive(bytes, echoInfo);
    this.sendTo(echoInfo.address, echoInfo.port, bytes, 0, length);
  },
});

function fill(socket: TcpSocket): void {
  while (running && socket.write(bytes, 0, CHUNK) > 0);
}

/** Begins a workload, which goes on by itself while `running`; `next` opens the next connection of tcp-connect. */
function begin(work: string): { next?: () => void; stop?: () => void } {
  const address = "10.0.0.2";
  running = true;
  if (work === "tcp-bulk") {
    const socket = client.tcp.connect({
      address,
      port: PORT,
      onConnect() {
        fill(this);
      },
      onWritable() {
        fill(this);
      },
    });
    return { stop: () => socket.close() };
  }
  if (work === "tcp-rr") {
    const socket = client.tcp.connect({
      address,
      port: PORT + 1,
      noDelay: true,
      onConnect() {
        this.write(bytes, 0, 1);
      },
      onReadable() {
        count++;
        const length = this.read(bytes);
        if (running) this.write(bytes, 0, length);
      },
    });
    return { stop: () => socket.close() };
  }
  if (work === "tcp-connect") {
    return {
      next: () => {
        client.tcp.connect({
          address,
          port: PORT,
          onConnect() {
            this.close();
          },
        });
      },
    };
  }
  if (work.startsWith("udp-echo-")) {
    const size = Number(work.slice(9));
    const socket = client.udp.open({
      onReadable() {
        this.receive(bytes);
        count++;
        if (running) this.send(bytes, 0, size);
      },
    });
    socket.connect(address, PORT);
    socket.send(bytes, 0, size);
    return { stop: () => socket.close() };
  }
  throw new Error("no such workload: " + work);
}

/** Moves frames, `batch` at least, or opens connections. */
function move(batch: number, next?: () => void): void {
  time = performance.now();
  client.poll(time);
  server.poll(time);
  for (let frames = 0; frames < batch;) {
    const moved = links.pass();
    if (moved === 0 && next) next();
    frames += moved || 1;
    client.poll(0);
    server.poll(0);
  }
}

/** Runs `batch` again and again for so long; returns the milliseconds of processor time. */
function spend(milliseconds: number, batch: () => void): number {
  const start = performance.now();
  const usage = process.cpuUsage();
  let spent: number;
  do {
    batch();
    const { user, system } = process.cpuUsage(usage);
    spent = (user + system) / 1000;
  } while (spent < milliseconds && performance.now() - start < PATIENCE * milliseconds);
  return spent;
}

function measure(work: string, milliseconds: number): number {
  const { next, stop } = begin(work);
  const before = count;
  const spent = spend(milliseconds, () => move(BATCH, next));
  const rate = ((count - before) * 1000) / spent;
  running = false;
  stop?.();
  links.pump();
  return work === "tcp-bulk" ? rate * 8e-9 : rate;
}

const heapUsed = () => getHeapStatistics().used_heap_size;

function measureGarbage(work: string, milliseconds: number): number {
  const { next, stop } = begin(work);
  // What the question itself leaves.
  const asking = heapUsed();
  const own = Math.max(0, heapUsed() - asking);
  let garbage = 0;
  let done = 0;
  spend(milliseconds, () => {
    const before = count;
    const heap = heapUsed();
    move(SMALL_BATCH, next);
    const growth = heapUsed() - heap - own;
    // Less than before: the collector has run.
    if (growth < 0) return;
    garbage += growth;
    done += count - before;
  });
  running = false;
  stop?.();
  links.pump();
  return (garbage / done) * (work === "tcp-bulk" ? 1 << 20 : 1);
}

const pauses: number[] = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) pauses.push(duration);
}).observe({ entryTypes: ["gc"] });

for await (const line of createInterface({ input: process.stdin })) {
  const [work, milliseconds] = line.split(" ");
  if (work === "pauses") {
    await turn();
    pauses.sort((a, b) => a - b);
    console.log((pauses[Math.floor(pauses.length * 0.99)] ?? 0).toPrecision(3));
  } else if (work.startsWith("garbage:")) {
    console.log(measureGarbage(work.slice(8), Number(milliseconds)).toPrecision(6));
  } else console.log(measure(work, Number(milliseconds)).toPrecision(6));
}
