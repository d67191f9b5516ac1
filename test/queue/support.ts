/** A server and a client with a router between them whose way to the client is narrow: what queues do to those who only want a word. */
import type { ExecutionContext } from "ava";
import { createWorld, wire } from "../../ports/sim/index.js";
import type { Discipline } from "../../stack/queue/discipline.js";
import { shaper } from "../../stack/queue/shaper.js";
import { forwarding } from "../../stack/router/forwarding.js";
import type { TcpConfiguration } from "../../stack/tcp/tcp.js";
import { buildNode } from "../support/network.js";

export interface NarrowOptions {
  discipline: Discipline;
  /** Bits a second. */
  rate: number;
  /** Connections that download all the time. */
  flows: number;
  tcp?: () => TcpConfiguration;
  seconds: number;
}

/** One way delays of datagrams sent every 20 ms while connections fill the bottleneck, ms, sorted; and what these got, bits a second. */
export function narrow(t: ExecutionContext | null, options: NarrowOptions) {
  const world = createWorld({ seed: 7, scribble: true });
  const shape = shaper();
  const near = wire(world, { delay: 10 });
  const far = wire(world, { delay: 10 });
  const tcp = () => ({ sendBuffer: 1 << 20, receiveBuffer: 1 << 20, ...options.tcp?.() });
  const stack = { packetMemory: 16 << 20 };
  const end = (link: (typeof near)[0], address: string, gateway: string) =>
    buildNode(t, world, link, address, { gateway, tcp: tcp(), stack });
  const server = end(near[0], "10.1.0.2/24", "10.1.0.1");
  const router = buildNode(t, world, near[1], "10.1.0.1/24", {
    stack: { packetMemory: 4 << 20 },
    components: () => [forwarding(), shape],
  });
  const lan = router.stack.addInterface(far[0]);
  router.ip.addAddress(lan, "10.0.0.1/24");
  const queue = shape.add(lan, { rate: options.rate, discipline: options.discipline });
  const client = end(far[1], "10.0.0.2/24", "10.0.0.1");
  const target = new Uint8Array(65536);
  const received: number[] = [];
  client.tcp.listen({
    port: 80,
    backlog: 64,
    onConnection(socket) {
      const flow = received.push(0) - 1;
      socket.handle({
        onReadable() {
          for (let n = socket.read(target); n > 0; n = socket.read(target)) received[flow] += n;
        },
      });
    },
  });
  const bytes = new Uint8Array(16384);
  for (let i = 0; i < options.flows; i++) {
    const fill = () => {
      while (socket.write(bytes) >= 0);
    };
    const socket = server.tcp.connect({ address: "10.0.0.2", port: 80, onConnect: fill, onWritable: fill });
  }
  // A datagram every 20 ms, with its time in it, once the connections have come into their stride.
  const delays: number[] = [];
  const question = server.udp.open({});
  client.udp.open({
    port: 9,
    onReadable() {
      while (this.receive(target) > 0) delays.push(world.time - new DataView(target.buffer).getFloat64(0));
    },
  });
  question.connect("10.0.0.2", 9);
  const settle = 5;
  world.run(settle * 1000);
  received.fill(0);
  const rounds = options.seconds * 50;
  for (let i = 0; i < rounds; i++) {
    const word = new Uint8Array(64);
    new DataView(word.buffer).setFloat64(0, world.time);
    question.send(word);
    world.run(20);
  }
  const rates = received.map((count) => (count * 8) / options.seconds);
  world.run(8000);
  delays.sort((a, b) => a - b);
  const at = (part: number) => Math.round(delays[Math.floor(delays.length * part)]);
  return {
    median: at(0.5),
    p99: at(0.99),
    lost: rounds - delays.length,
    goodput: rates.reduce((sum, rate) => sum + rate, 0),
    rates,
    counters: queue.counters,
  };
}
