/**
 * What a stack holds, as plain data for people and their programs: interfaces, addresses, routes, neighbours, sockets, memory.
 *
 * Each function is an import of its own, reads and changes nothing, and returns new objects that JSON can carry.
 */
import { put32 } from "./core/bytes.js";
import type { Datagrams } from "./core/datagrams.js";
import type { Path } from "./core/network.js";
import type { Stack } from "./core/stack.js";
import { format4 } from "./core/text4.js";
import { format6 } from "./core/text6.js";
import type { Arp } from "./ipv4/arp.js";
import type { Ipv4 } from "./ipv4/ipv4.js";
import type { Ipv6 } from "./ipv6/ipv6.js";
import type { NeighbourDiscovery } from "./ipv6/nd.js";
import type { Ping } from "./raw/ping.js";
import type { Raw } from "./raw/raw.js";
import type { Tcp } from "./tcp/tcp.js";
import type { Udp } from "./udp/udp.js";

/** Counters by name. */
export interface Counts {
  [name: string]: number;
}

export interface InterfaceView {
  name: string;
  index: number;
  /** `"ethernet"` or `"ip"`. */
  medium: string;
  /** `"02:00:00:00:00:01"`, or `""` where the medium has none. */
  mac: string;
  /** Bytes. */
  mtu: number;
  /** As configured. */
  enabled: boolean;
  /** The carrier is there. */
  running: boolean;
  counters: Counts;
}

export function inspectInterfaces(stack: Stack): InterfaceView[] {
  return stack.interfaces.map((nif) => ({
    name: nif.name,
    index: nif.index,
    medium: nif.medium.medium,
    mac: nif.medium.resolves ? macText(nif.high, nif.low) : "",
    mtu: nif.mtu,
    enabled: nif.enabled,
    running: nif.running,
    counters: copyCounters(nif.counters as never),
  }));
}

export interface AddressView {
  interface: string;
  address: string;
  /** Prefix length. */
  length: number;
  /** `"tentative"`, `"preferred"`, `"deprecated"` or `"duplicated"`. */
  state: string;
  /** Who configured it: `"manual"`, `"dhcp"`, ... */
  origin: string;
}

export function inspectAddresses(ip: Ipv4 | Ipv6): AddressView[] {
  const list = ip.addresses as { nif: { name: string }; length: number; state: number; origin: string }[];
  return list.map((entry) => {
    const either = entry as { address?: number; bytes?: Uint8Array };
    return {
      interface: entry.nif.name,
      address: addressText(either.bytes || (either.address as number)),
      length: entry.length,
      state: ADDRESS_STATES[entry.state],
      origin: entry.origin,
    };
  });
}

export interface RouteView {
  /** `"10.0.0.0/8"`. */
  prefix: string;
  /** The next hop, or `""`: the destination itself is on the link. */
  gateway: string;
  interface: string;
  metric: number;
  /** Who made it: `"manual"`, `"address"`, `"dhcp"`, ... */
  origin: string;
}

/** The routes, in the order in which they are tried. */
export function inspectRoutes(ip: Ipv4 | Ipv6): RouteView[] {
  const views: RouteView[] = [];
  const list = ip.fib.list();
  for (let i = 0; i < list.length; i++) {
    const entry = list[i];
    views.push({
      prefix: addressText(entry.prefix) + "/" + entry.length,
      gateway: entry.gateway ? addressText(entry.gateway) : "",
      interface: entry.nif.name,
      metric: entry.metric,
      origin: entry.origin,
    });
  }
  return views;
}

export interface NeighbourView {
  interface: string;
  address: string;
  /** `""` while it is not known. */
  mac: string;
  /** `"incomplete"`, `"reachable"`, `"stale"`, `"delay"`, `"probe"`, `"static"`, `"unreachable"` (RFC 7048), or `"new"`: nothing was sent to it yet. */
  state: string;
  router: boolean;
  /** Packets that wait for its hardware address. */
  waiting: number;
}

export function inspectNeighbours(resolver: Arp | NeighbourDiscovery): NeighbourView[] {
  const four = resolver.name === "arp";
  const bytes = new Uint8Array(16);
  return resolver.cache.entries.map((entry) => {
    put32(bytes, 0, entry.a0);
    put32(bytes, 4, entry.a1);
    put32(bytes, 8, entry.a2);
    put32(bytes, 12, entry.a3);
    return {
      interface: entry.nif.name,
      address: addressText(four ? entry.a3 : bytes),
      mac: entry.state > 1 ? macText(entry.high, entry.low) : "",
      state: NEIGHBOUR_STATES[entry.state],
      router: entry.router,
      waiting: entry.waiting,
    };
  });
}

export interface SocketView {
  /** `"udp"`, `"tcp"`, `"ping"` or `"raw"`. */
  protocol: string;
  /** TCP: the state in RFC 9293's words; others: `"OPEN"` or `"CONNECTED"`. */
  state: string;
  localAddress: string;
  /** Of ping sockets the identifier, of raw ones the IP protocol. */
  localPort: number;
  /** `""` where there is none. */
  remoteAddress: string;
  remotePort: number;
  /** What waits to be read: bytes of TCP, datagrams of others; of a listener, connections. */
  receiveQueue: number;
  /** Bytes that were written and are not acknowledged. */
  sendQueue: number;
  /** Of connections, else all 0: congestion window in bytes, round-trip time and retransmission timeout in ms. */
  congestionWindow: number;
  roundTrip: number;
  timeout: number;
}

/** The sockets of a component, listeners included. Connections in TIME-WAIT have become records: `stack.counters` knows them. */
export function inspectSockets(component: Udp | Tcp | Ping | Raw): SocketView[] {
  const views: SocketView[] = [];
  const add = (state: string, path: Path | null, local: string, localPort: number, receiveQueue: number) => {
    const view: SocketView = {
      protocol: component.name,
      state,
      localAddress: local,
      localPort,
      remoteAddress: path ? path.net.remoteText(path) : "",
      remotePort: 0,
      receiveQueue,
      sendQueue: 0,
      congestionWindow: 0,
      roundTrip: 0,
      timeout: 0,
    };
    views.push(view);
    return view;
  };
  if (component.name === "udp") {
    (component as Udp).sockets.each((socket) => {
      const state = socket.peer ? "CONNECTED" : "OPEN";
      add(state, socket.peer, socket.address(), socket.port, socket.queue.count).remotePort = socket.peerPort;
    });
  } else if (component.name === "tcp") {
    (component as Tcp).listeners.each((listener) => {
      const local = listener.options.address || anyText(listener.paths);
      add("LISTEN", null, local, listener.port, listener.waiting.length);
    });
    (component as Tcp).connections.each((c) => {
      const local = c.path.net.localText(c.path);
      const view = add(TCP_STATES[c.state], c.path, local, c.localPort, c.rcvBuf.length);
      view.remotePort = c.remotePort;
      view.sendQueue = c.sndBuf.length;
      view.congestionWindow = c.cwnd;
      view.roundTrip = c.srtt / 8;
      view.timeout = c.rto;
    });
  } else if (component.name === "ping") {
    (component as Ping).sockets.each((socket) => {
      const path = socket.path;
      add("CONNECTED", path, path.net.localText(path), socket.hash, waiting(socket));
    });
  } else {
    (component as Raw).sockets.forEach((socket) =>
      add(
        "OPEN",
        null,
        socket.options.address || anyText(socket.paths),
        socket.options.protocol,
        waiting(socket),
      ),
    );
  }
  return views;
}

export interface MemoryView {
  /** Bytes of packet memory: in use, the most that ever were, all; and what is set aside for tables and the packet that goes out. */
  used: number;
  peak: number;
  packetMemory: number;
  reserved: number;
  /** How often there was none. */
  refused: number;
  /** Timers that are armed, and milliseconds until the first (0: due), or -1 without any. */
  timers: number;
  nextTimer: number;
}

export function inspectMemory(stack: Stack): MemoryView {
  const pool = stack.pool;
  const shift = pool.chunkShift;
  return {
    used: pool.used << shift,
    peak: pool.peak << shift,
    packetMemory: pool.limit << shift,
    reserved: stack.reserved,
    refused: pool.refused,
    timers: stack.timers.count(),
    nextTimer: stack.timers.delay(stack.now()),
  };
}

/** A copy of all counters, by component; without those that are 0, unless `all`. */
export function inspectCounters(stack: Stack, all = false): { [component: string]: Counts } {
  const views: { [component: string]: Counts } = {};
  for (const name in stack.counters) views[name] = copyCounters(stack.counters[name], all);
  return views;
}

const ADDRESS_STATES = ["tentative", "preferred", "deprecated", "duplicated"];
const NEIGHBOUR_STATES = [
  "new",
  "incomplete",
  "reachable",
  "stale",
  "delay",
  "probe",
  "static",
  "unreachable",
];
const TCP_STATES = [
  "CLOSED",
  "LISTEN",
  "SYN-SENT",
  "SYN-RECEIVED",
  "ESTABLISHED",
  "CLOSE-WAIT",
  "FIN-WAIT-1",
  "CLOSING",
  "LAST-ACK",
  "FIN-WAIT-2",
  "TIME-WAIT",
];

function copyCounters(counters: Counts, all = true): Counts {
  const copy: Counts = {};
  for (const name in counters) {
    if (all || counters[name] !== 0) copy[name] = counters[name];
  }
  return copy;
}

function addressText(address: number | Uint8Array): string {
  return typeof address === "number" ? format4(address) : format6(address, 0);
}

/** The unspecified address of a socket's families. */
function anyText(paths: Path[]): string {
  return paths.length === 1 && paths[0].net.family === 4 ? "0.0.0.0" : "::";
}

function waiting(socket: { queue: Datagrams }): number {
  return socket.queue.count;
}

function macText(high: number, low: number): string {
  let text = "";
  for (let shift = 40; shift >= 0; shift -= 8) {
    const byte = (shift < 32 ? low >> shift : high >> (shift - 32)) & 255;
    text += (byte < 16 ? "0" : "") + byte.toString(16) + (shift > 0 ? ":" : "");
  }
  return text;
}
