/**
 * Flows that share one bottleneck: senders on one switch, receivers on another, and between them a line of a certain
 * bandwidth, delay, queue and loss. What each flow carried, and how long the queue was.
 */
import { createSwitch, createWorld } from "../../ports/sim/index.js";
import type { ChannelOptions } from "../../ports/sim/channel.js";
import type { SimLink, World } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import type { Connection } from "../../stack/tcp/connection.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { Tcp, TcpConfiguration } from "../../stack/tcp/tcp.js";

export interface Bottleneck extends ChannelOptions {
  /** Bits a second. */
  bandwidth: number;
  /** One way, ms. */
  delay: number;
}

export interface Flow {
  tcp: TcpConfiguration;
  /** When it begins, ms. */
  start?: number;
  /** Its own way to the bottleneck, one way, ms. */
  delay?: number;
}

export interface Outcome {
  /** Bits a second that were read, from `from` on. */
  goodput: number;
  bytes: number;
  retransmitted: number;
  timeouts: number;
  /** Round trips seen every 10 ms, ms: median and 95th percentile. */
  rtt: number;
  rtt95: number;
  /** Marks of routers that the sender was told of. */
  marks: number;
}

export interface Race {
  outcomes: Outcome[];
  /** Sum of the goodputs as a share of the bandwidth. */
  utilisation: number;
  /** Jain's index of the goodputs: 1 when all are equal, 1/n when one has all. */
  fairness: number;
}

const BUDGET = 64 << 20;
/** Windows that never hold a flow back: what is seen is congestion control alone. */
const SENDER: TcpConfiguration = { sendBuffer: 8 << 20, maximumSendBuffer: 8 << 20 };
const RECEIVER: TcpConfiguration = { receiveBuffer: 8 << 20, maximumReceiveBuffer: 8 << 20 };

function node(world: World, link: SimLink, address: string, options: TcpConfiguration): Tcp {
  const host = world.host();
  const ip = ipv4();
  const sockets = tcp(options);
  const stack = host.drive(createStack(host, [ethernet(), arp(), ip, sockets], { packetMemory: BUDGET }));
  ip.addAddress(stack.addInterface(link), address + "/16");
  return sockets;
}

interface Running {
  received: number;
  counted: number;
  connection: Connection | null;
  rtts: number[];
  sender: Tcp;
}

/** Runs `flows` for `duration` ms and counts from `from` (default 0) on. `receivers`: parts of TCP at the other ends. */
export function race(
  flows: Flow[],
  line: Bottleneck,
  duration: number,
  from = 0,
  seed = 1,
  receivers: TcpConfiguration = {},
): Race {
  const world = createWorld({ seed });
  const left = createSwitch(world, { queueFrames: 100000 });
  const right = createSwitch(world, { queueFrames: 100000 });
  left.uplink(right, line);
  const target = new Uint8Array(65536);
  const source = new Uint8Array(65536);
  const running = flows.map((flow, i): Running => {
    const delay = flow.delay ?? 0;
    const sender = node(world, left.link({ delay }), `10.0.1.${i + 1}`, { ...SENDER, ...flow.tcp });
    const receiver = node(world, right.link({}), `10.0.2.${i + 1}`, { ...RECEIVER, ...receivers });
    const state: Running = { received: 0, counted: 0, connection: null, rtts: [], sender };
    receiver.listen({
      port: 80,
      onConnection: (socket) =>
        socket.handle({
          onReadable(this: TcpSocket) {
            for (let n = this.read(target); n > 0; n = this.read(target)) state.received += n;
          },
        }),
    });
    world.at(flow.start ?? 0, () => {
      const pump = () => {
        while (socket.write(source, 0, 16384) > 0);
      };
      const socket = sender.connect({
        address: `10.0.2.${i + 1}`,
        port: 80,
        onConnect: pump,
        onWritable: pump,
      });
      sender.connections.each((c) => (state.connection = c));
    });
    return state;
  });
  for (let at = 10; at <= duration; at += 10) {
    world.run(10);
    for (const state of running) {
      if (at === from) state.counted = state.received;
      if (at > from && state.connection && state.connection.rtt > 0) state.rtts.push(state.connection.rtt);
    }
  }
  const outcomes = running.map((state): Outcome => {
    const bytes = state.received - state.counted;
    const rtts = state.rtts.sort((a, b) => a - b);
    const { retransmitted, timeouts, congestionEchoes: marks } = state.sender.counters;
    return {
      bytes,
      goodput: (bytes * 8000) / (duration - from),
      retransmitted,
      timeouts,
      marks,
      rtt: rtts[rtts.length >> 1] ?? 0,
      rtt95: rtts[Math.floor(rtts.length * 0.95)] ?? 0,
    };
  });
  const rates = outcomes.map(({ goodput }) => goodput);
  return { outcomes, utilisation: sum(rates) / line.bandwidth, fairness: jain(rates) };
}

function sum(values: number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function jain(rates: number[]): number {
  return sum(rates) ** 2 / (rates.length * sum(rates.map((rate) => rate * rate)));
}
