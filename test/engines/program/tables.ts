/** What an entry of each table weighs, beside what `Stack.reserve` counts for it. */
import { put16 } from "../../../stack/core/bytes.js";
import type { Sum } from "../../../stack/core/checksum.js";
import { CHUNK_BYTES } from "../../../stack/core/pool.js";
import { DATAGRAM_BYTES } from "../../../stack/core/reassembly.js";
import { createStack } from "../../../stack/core/stack.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { PATH_MTU_BYTES, pmtu } from "../../../stack/ipv4/pmtu.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { NEIGHBOUR_BYTES } from "../../../stack/link/neighbour.js";
import { ROUTE4_BYTES } from "../../../stack/route/table.js";
import { dns, QUESTION_BYTES } from "../../../stack/service/dns.js";
import { CACHE_ENTRY_BYTES } from "../../../stack/service/dns-cache.js";
import { CONNECTION_BYTES } from "../../../stack/tcp/connection.js";
import type { TcpSocket } from "../../../stack/tcp/socket.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { TIME_WAIT_BYTES } from "../../../stack/tcp/timewait.js";
import { UDP_SOCKET_BYTES, udp } from "../../../stack/udp/udp.js";
import { World } from "./world.js";
import type { End, Faults, Host } from "./world.js";

const GOOD: Faults = { loss: 0, duplicate: 0, corrupt: 0, delay: 5, jitter: 0 };
/** Entries of each kind. */
const COUNT = 32;
/** Bytes that wait in a connection. */
const WAITING = 600;

function full(host: Host, end: End, address: string) {
  const ip = ipv4();
  const resolver = arp();
  const sockets = tcp();
  const datagrams = udp();
  const paths = pmtu();
  const names = dns({ servers: ["10.0.0.2"] });
  // A quarter of the datagrams may come from one source, and none is to end before the last row.
  const frag = fragments({ datagrams: 256, timeout: 3600000 });
  const parts = [ethernet(), resolver, ip, icmp(), frag, paths, sockets, datagrams, names];
  const stack = host.drive(createStack(host, parts, { chunkSize: 256 }));
  const nif = stack.addInterface(end);
  ip.addAddress(nif, address);
  return { stack, nif, ip, resolver, sockets, datagrams, paths, frag, names };
}

/** A first fragment, without a last one: an Ethernet frame with 64 bytes behind the header. */
function firstFragment(to: End, id: number, sum: Sum): Uint8Array {
  const frame = new Uint8Array(14 + 20 + 64);
  frame.set(to.mac);
  frame.set([8, 0, 0x45, 0, 0, 20 + 64, 0, id, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1], 12);
  put16(frame, 24, ~sum(frame, 14, 34, 0));
  return frame;
}

/**
 * New texts, until the engine has given its table of texts the size that it needs: that must not happen between two looks at the
 * heap. Duktape thinks about it when it makes a text while the number of texts is a multiple of 256, and takes one step then:
 * among as many texts that live together there is one of those.
 */
function settle(): void {
  let texts: string[] = [];
  for (let i = 0; i < 2048; i++) {
    texts.push("text " + i);
    if (texts.length === 256) texts = [];
  }
}

/** Prints a line for each table: its name, bytes of heap that an entry takes, bytes that it counts. */
export function weighTables(heap: () => number, print: (line: string) => void): void {
  const world = new World(1, () => {});
  const ends = world.cable(GOOD, "ethernet");
  const a = full(world.host(), ends[0], "10.0.0.1/24");
  const b = full(world.host(), ends[1], "10.0.0.2/24");
  const kept: unknown[] = [];
  const bytes = new Uint8Array(WAITING);
  /** The first makes the engine set things up. */
  const weigh = (name: string, counted: number, make: (i: number) => unknown, apart: number, share = 1) => {
    kept.push(make(0));
    settle();
    const before = heap();
    for (let i = 1; i <= COUNT; i++) kept.push(make(i));
    print(name + ": " + (Math.round((heap() - before) / COUNT / share) - apart) + " " + counted);
  };
  const pool = a.stack.pool;
  // A slab holds as many; the next one is weighed.
  for (let i = 0; i < 256; i++) kept.push(pool.get(0));
  const before = heap();
  kept.push(pool.get(0));
  print("chunk: " + Math.round((heap() - before - 65536) / 256) + " " + CHUNK_BYTES);
  const socket = (i: number) => a.datagrams.open({ port: 5000 + i });
  weigh("UDP socket", UDP_SOCKET_BYTES, socket, 0);
  const cache = a.resolver.cache;
  const neighbour = (i: number) => cache.learn(cache.obtain(a.nif, 0, 0, 0, 0x0a000010 + i)!, 512, i, true);
  weigh("neighbour", NEIGHBOUR_BYTES, neighbour, 0);
  const route = (i: number) => a.ip.addRoute("192.168." + i + ".0/24", { gateway: "10.0.0.2" });
  weigh("route", ROUTE4_BYTES, route, 0);
  weigh("path MTU", PATH_MTU_BYTES, (i) => a.paths.tooBig(0x0a090000 + i, 1400), 0);
  // As they come from the cable, and with all that a datagram has until its last fragment is there, but for its chunk.
  const datagram = (i: number) => {
    const frame = firstFragment(ends[0], i, a.stack.host.sum);
    ends[1].transmit(frame, 0, frame.length);
    world.run(10);
  };
  weigh("reassembly", DATAGRAM_BYTES, datagram, 0);
  const answer = (i: number) => a.names.cache.add("host" + (100 + i) + ".example", 1, bytes, 100, 3600, 0);
  // What the cache counts in bytes of its own.
  weigh("answer", CACHE_ENTRY_BYTES, answer, 100 + 15 + 64);
  const line: TcpSocket[] = [];
  b.sockets.listen({ port: 80, onConnection: (each) => void line.push(each) });
  /** With bytes that wait to be read at one end, and to be acknowledged at the other. */
  const connection = () => {
    const one = a.sockets.connect({ address: "10.0.0.2", port: 80, onConnect: () => {} });
    world.run(100);
    one.write(bytes);
    world.run(300);
    return one;
  };
  // Both ends are here.
  weigh("connection", CONNECTION_BYTES, connection, 0, 2);
  // The side that closes first remembers.
  const records = a.sockets.timeWaits.table;
  const closed = () => {
    const one = a.sockets.connect({ address: "10.0.0.2", port: 80 });
    world.run(50);
    one.close();
    world.run(50);
    line[line.length - 1].close();
    world.run(50);
    line.pop();
  };
  weigh("TIME-WAIT record", TIME_WAIT_BYTES, closed, 0);
  const question = (i: number) => a.names.resolve("name" + (100 + i) + ".example", "A", () => {});
  // It asks by a socket, which counts for itself.
  weigh("question and socket", QUESTION_BYTES + UDP_SOCKET_BYTES, question, 0);
  const { received, evicted, noMemory } = a.frag.counters;
  const incomplete = received - evicted - noMemory;
  const entries = [b.sockets.connections.size, records.size, a.datagrams.sockets.size, incomplete];
  print("entries: " + entries.join(" "));
}
