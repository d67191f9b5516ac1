/** What a small TCP host needs: a budget that holds while it serves four connections, and the heap of its parts. */
import type { Hypercalls } from "../../../hypercall/index.js";
import { CHUNK_BYTES } from "../../../stack/core/pool.js";
import { createStack } from "../../../stack/core/stack.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { smallTable4 } from "../../../stack/route/table.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import type { TcpSocket } from "../../../stack/tcp/socket.js";
import { udp } from "../../../stack/udp/udp.js";
import { World, countersOf } from "./world.js";
import type { End, Faults, Host } from "./world.js";

/** Bytes of packets and tables together: 24 KiB. */
const BUDGET = 24576;
/** Buffers have some 700 bytes for each connection: no packet is larger. */
const PACKET = 800;
const CONNECTIONS = 4;
/** Bytes that each connection brings there and back. */
const STREAM = 20000;

const GOOD: Faults = { loss: 0, duplicate: 0, corrupt: 0, delay: 5, jitter: 0 };

/** A host whose memory for packets is counted. */
class Counted implements Hypercalls {
  readonly version = 1;
  taken = 0;
  constructor(private readonly host: Host) {}
  now(): number {
    return this.host.now();
  }
  random(target: Uint8Array): boolean {
    return this.host.random(target);
  }
  wake(delay: number): void {
    this.host.wake(delay);
  }
  allocate(size: number): Uint8Array {
    this.taken += size;
    return new Uint8Array(size);
  }
}

/** A stack for TCP over IPv4 with small tables. */
function small(host: Host, end: End, address: string) {
  const calls = new Counted(host);
  const ip = ipv4({ fib: smallTable4(2) });
  const sockets = tcp({ limit: CONNECTIONS, timeWaitLimit: 2 });
  const parts = [ethernet(), arp({ limit: 4 }), ip, icmp(), sockets];
  const options = { budget: BUDGET, chunkSize: 256, maximumPacket: PACKET };
  const stack = host.drive(createStack(calls, parts, options));
  ip.addAddress(stack.addInterface(end), address);
  return { stack, sockets, calls };
}

/** A client of plenty. */
function rich(host: Host, end: End, address: string) {
  const ip = ipv4();
  const sockets = tcp();
  const datagrams = udp();
  const stack = host.drive(createStack(host, [ethernet(), arp(), ip, icmp(), sockets, datagrams]));
  ip.addAddress(stack.addInterface(end), address);
  return { stack, sockets, datagrams };
}

/** Four connections at once to a host with 24 KiB, over a bad cable; a fifth finds no room. Prints how it went. */
export function serve(seed: number, print: (line: string) => void): void {
  const world = new World(seed, () => {});
  // The cable turns bad when all are connected.
  const faults: Faults = { loss: 0, duplicate: 0, corrupt: 0, delay: 5, jitter: 0 };
  const ends = world.cable(faults, "ethernet");
  const server = small(world.host(), ends[0], "10.0.0.1/24");
  const client = rich(world.host(), ends[1], "10.0.0.2/24");
  const data = new Uint8Array(512);
  let most = 0;
  server.sockets.listen({
    port: 7,
    onConnection(socket) {
      if (server.sockets.connections.size > most) most = server.sockets.connections.size;
      const forward = () => {
        while (socket.readable() > 0) {
          const room = socket.writable();
          if (room === 0) {
            // Says that we wait for room.
            socket.write(data, 0, 1);
            return;
          }
          socket.write(data, 0, socket.read(data, 0, room < data.length ? room : data.length));
        }
      };
      socket.handle({ onReadable: forward, onWritable: forward, onEnd: () => socket.shutdown() });
    },
  });
  for (let i = 0; i < CONNECTIONS; i++) stream(client.sockets, i, print);
  world.at(30, () => {
    faults.loss = 0.03;
    faults.duplicate = faults.corrupt = 0.01;
    faults.jitter = 2;
    client.sockets.connect({
      address: "10.0.0.1",
      port: 7,
      onConnect: () => print("fifth after " + world.time),
    });
  });
  world.run(600000);
  print("connections at once " + most);
  const { stack } = server;
  // What is set aside for tables and the packet that goes out; what has been asked of the host is within that and the chunks.
  const chunks = stack.pool.limit * (256 + CHUNK_BYTES);
  const kept =
    stack.reserved + chunks <= BUDGET && server.calls.taken <= stack.pool.limit * 256 + PACKET + 236 + 3;
  print("memory " + stack.reserved + " + " + chunks + " of " + BUDGET + (kept ? " kept" : " exceeded"));
  print("chunks " + stack.pool.peak + " of " + stack.pool.limit + ", left " + stack.pool.used);
  print(countersOf(stack));
}

/** Sends a pattern to the echo server and says what came back. */
function stream(sockets: ReturnType<typeof tcp>, number: number, print: (line: string) => void): void {
  const data = new Uint8Array(STREAM);
  for (let i = 0; i < STREAM; i++) data[i] = (i * 7 + number + (i >> 8)) & 255;
  const back = new Uint8Array(512);
  let sent = 0;
  let got = 0;
  let wrong = 0;
  const socket: TcpSocket = sockets.connect({
    address: "10.0.0.1",
    port: 7,
    onConnect: () => fill(),
    onWritable: () => fill(),
    onReadable() {
      for (let length = socket.read(back); length > 0; length = socket.read(back)) {
        for (let i = 0; i < length; i++) if (back[i] !== data[got++]) wrong++;
      }
    },
    onClose: (code) => print(number + " closed " + code + " after " + got + ", wrong " + wrong),
  });
  function fill(): void {
    while (sent < STREAM) {
      const length = STREAM - sent < 1000 ? STREAM - sent : 1000;
      if (socket.write(data, sent, sent + length) < 0) return;
      sent += length;
    }
    socket.shutdown();
  }
}

/** Prints the bytes of heap of an idle stack, of a UDP socket, and of an idle connection's end. */
export function weigh(heap: () => number, print: (line: string) => void): void {
  const world = new World(1, () => {});
  const stacks: unknown[] = [];
  const made = (count: number, make: (i: number) => unknown) => {
    const before = heap();
    for (let i = 0; i < count; i++) stacks.push(make(i));
    return Math.round((heap() - before) / count);
  };
  const host = world.host();
  const ends = world.cable(GOOD, "ethernet");
  const cables: End[] = [];
  for (let i = 0; i < 10; i++) cables.push(world.cable(GOOD, "ethernet")[0]);
  // The first of a kind makes the engine set things up.
  const a = rich(host, ends[0], "10.0.0.1/24");
  print("stack " + made(10, (i) => rich(host, cables[i], "10.0.0.9/24")));
  a.datagrams.open({});
  print("UDP socket " + made(40, () => a.datagrams.open({})));
  const b = rich(world.host(), ends[1], "10.0.0.2/24");
  const c = rich(world.host(), ends[0], "10.0.0.3/24");
  c.sockets.listen({ port: 80, onConnection: (socket) => void stacks.push(socket) });
  const connect = () => {
    const socket = b.sockets.connect({ address: "10.0.0.3", port: 80 });
    world.run(100);
    return socket;
  };
  connect();
  // Both ends of each are here.
  print("connection " + made(40, connect) / 2);
  print("connections " + c.sockets.connections.size);
}
