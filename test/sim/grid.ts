/** The goodput grid: one TCP stream over a wire for each stream size, loss, delay and share of reordered frames; over IPv4 or IPv6. */
import { createWorld, wire } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { ethernet } from "../../stack/link/ethernet.js";
import type { SimLink, World } from "../../ports/sim/index.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { patternByte } from "../support/bytes.js";

/** The network that the stream crosses. */
export type Family = 4 | 6;

export interface Cell {
  /** Bytes of the stream. */
  size: number;
  /** Probability that a frame is lost, in both directions. */
  loss: number;
  /** One way, ms. */
  delay: number;
  /** Probability that a frame is held back for up to 10 ms. */
  reorder: number;
}

export interface Measured extends Cell {
  /** Bits a second from the call of `connect` to the last byte's arrival: the median of the seeds. */
  goodput: number;
  /** All bytes were those that were sent, for all seeds. */
  exact: boolean;
}

export const SIZES = [1000, 10000, 100000, 1000000];
export const LOSSES = [0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5];
export const DELAYS = [1, 10, 50, 200];
export const REORDERS = [0, 0.1];
/** Of the wire, bit/s, and the frames that wait for it. */
export const BANDWIDTH = 1e8;
const QUEUE = 300;
const REORDER_DELAY = 10;
/** The longest that a stream may take, ms. */
const PATIENCE = 48 * 3600000;

/** All cells of the grid. */
export function cells(): Cell[] {
  const list: Cell[] = [];
  for (const size of SIZES)
    for (const delay of DELAYS)
      for (const reorder of REORDERS) for (const loss of LOSSES) list.push({ size, loss, delay, reorder });
  return list;
}

/** Measures a cell with as many seeds; an odd number has a median. */
export function measure(cell: Cell, seeds = 3, family: Family = 4): Measured {
  const times: number[] = [];
  let exact = true;
  for (let seed = 1; seed <= seeds; seed++) {
    const { time, received } = stream(cell, seed, family);
    times.push(time);
    exact &&= received === cell.size;
  }
  times.sort((a, b) => a - b);
  return { ...cell, goodput: (cell.size * 8000) / times[seeds >> 1], exact };
}

/** Sends one stream; how many of its bytes arrived as they were sent, in order, and when the last did, ms. */
function stream(cell: Cell, seed: number, family: Family): { time: number; received: number } {
  const world = createWorld({ seed, scribble: true });
  const [a, b] = wire(world, {
    ...cell,
    bandwidth: BANDWIDTH,
    queueFrames: QUEUE,
    reorderDelay: REORDER_DELAY,
  });
  const network = family === 4 ? "10.0.0." : "fd00::";
  const create = family === 4 ? host : host6;
  const client = create(world, a, network + "1");
  const server = create(world, b, network + "2");
  const bytes = Uint8Array.from({ length: cell.size }, (_, i) => patternByte(i));
  const target = new Uint8Array(65536);
  let received = 0;
  let right = true;
  server.listen({
    port: 80,
    onConnection(socket) {
      socket.handle({
        onReadable(this: TcpSocket) {
          for (let n = this.read(target); n > 0; n = this.read(target)) {
            for (let i = 0; i < n; i++) if (target[i] !== bytes[received + i]) right = false;
            received += n;
          }
        },
      });
    },
  });
  let sent = 0;
  // Time is no reason to give up here: half of all frames lost is a silence of minutes now and then.
  const open = () => {
    const socket = client.connect({
      address: network + "2",
      port: 80,
      userTimeout: 0,
      onConnect: () => pump(),
      onWritable: () => pump(),
      onClose: () => {
        if (received === 0) open();
      },
    });
    sent = 0;
    const pump = () => {
      while (sent < bytes.length) {
        const end = Math.min(sent + 16384, bytes.length);
        if (socket.write(bytes, sent, end) < 0) return;
        sent = end;
      }
      socket.shutdown();
    };
  };
  open();
  world.runUntil(() => received >= cell.size, PATIENCE);
  return { time: world.time, received: right ? received : -1 };
}

function host(world: World, link: SimLink, address: string): Tcp {
  const calls = world.host();
  const ip = ipv4();
  const sockets = tcp();
  const stack = calls.drive(createStack(calls, [ethernet(), arp(), ip, sockets]));
  ip.addAddress(stack.addInterface(link), address + "/24");
  return sockets;
}

function host6(world: World, link: SimLink, address: string): Tcp {
  const calls = world.host();
  const ip = ipv6();
  const sockets = tcp();
  const stack = calls.drive(createStack(calls, [ethernet(), ip, icmpv6(), nd(), sockets]));
  ip.addAddress(stack.addInterface(link), address + "/64");
  return sockets;
}
