/**
 * Connections out: a SYN waits until the host has connected, then is received once more and finds a listener. So a refusal there is a
 * refusal here, and nobody is told that a connection stands before it does.
 */
import { Socket } from "node:net";
import { checksumValid } from "../../../stack/core/transport.js";
import type { Packet } from "../../../stack/core/packet.js";
import { setting } from "../../../stack/core/errors.js";
import type { Network } from "../../../stack/core/network.js";
import { respondReset } from "../../../stack/tcp/control.js";
import type { Listener } from "../../../stack/tcp/listener.js";
import { parse } from "../../../stack/tcp/segment.js";
import type { TcpSocket } from "../../../stack/tcp/socket.js";
import { ACK, FIN, RST, SYN, TCP_FLAGS, TCP_HEADER } from "../../../stack/wire/tcp.js";
import { NodeSocket } from "../socket.js";
import { splice } from "./splice.js";
import { Held, ports } from "./uplink.js";
import type { UplinkOptions, UserUplink } from "./uplink.js";

const PROTOCOL_TCP = 6;
/** How long the host behind us may take to finish its handshake once ours stands, ms. */
const HANDSHAKE = 60_000;
/** Connections that one listener lets wait. */
const BACKLOG = 1024;

/** One connection. `CONNECTING` until the host has answered, then it waits for the handshake on our side. */
class Flow {
  timer: NodeJS.Timeout | null = null;
  /** What the SYN is to be answered by, when it comes again: null while nobody knows. */
  answer: "accept" | "reset" | "unreachable" | null = null;
  spliced = false;

  constructor(
    readonly key: string,
    readonly port: number,
    readonly outside: Socket,
    readonly held: Held,
  ) {}
}

export class TcpFlows {
  private readonly flows = new Map<string, Flow>();
  /** Listeners by port, each with the number of flows to it. */
  private readonly listeners = new Map<number, { listener: Listener; users: number }>();
  private readonly limit: number;
  private readonly timeout: number;

  constructor(
    private readonly uplink: UserUplink,
    options: UplinkOptions,
  ) {
    this.limit = setting(options.connections, 1024, 1, 65536, "connections");
    this.timeout = setting(options.connectTimeout, 30_000, 1, 600_000, "connectTimeout");
  }

  get size(): number {
    return this.flows.size;
  }

  /** Sees each segment; true: it is the stack's business. All but the first of a connection is. */
  input(packet: Packet, ours: boolean): boolean {
    const { data, start, end } = packet;
    if (end - start < TCP_HEADER || (data[start + TCP_FLAGS] & (SYN | ACK | RST | FIN)) !== SYN) return true;
    const { uplink } = this;
    const net = packet.net as Network;
    const { from, to } = ports(packet);
    const destination = net.destinationText(packet);
    if (from === 0 || to === 0) return true;
    if (ours && (!uplink.isAlias(destination, to) || this.isOwnService(to))) return true;
    if (!checksumValid(uplink.stack, packet, PROTOCOL_TCP)) {
      uplink.counters.badsum++;
      return false;
    }
    const source = net.sourceText(packet);
    const key = `${source} ${from} ${destination} ${to}`;
    const known = this.flows.get(key);
    if (known) return this.again(known, packet);
    if (!Held.possible(packet)) {
      uplink.counters.malformed++;
      return false;
    }
    if (this.flows.size >= this.limit) {
      // Not answered: a client tries again, and finds room perhaps.
      uplink.counters.full++;
      return false;
    }
    const target = uplink.target("tcp", source, destination, to);
    if (!target) this.refuse(packet);
    else this.connect(key, to, target.address, target.port, new Held(packet));
    return false;
  }

  close(): void {
    for (const flow of [...this.flows.values()]) {
      flow.outside.resetAndDestroy();
      this.end(flow);
    }
    for (const { listener } of this.listeners.values()) listener.close();
    this.listeners.clear();
  }

  private connect(key: string, port: number, host: string, hostPort: number, held: Held): void {
    const { counters } = this.uplink;
    const outside = new Socket({ allowHalfOpen: true });
    const flow = new Flow(key, port, outside, held);
    this.flows.set(key, flow);
    const failed = (error: NodeJS.ErrnoException) => {
      const refused = error.code === "ECONNREFUSED" || error.code === "ECONNRESET";
      if (refused) counters.refused++;
      else counters.unreachable++;
      flow.answer = refused ? "reset" : "unreachable";
      held.again();
      this.end(flow);
    };
    outside.once("error", failed);
    outside.setNoDelay(true);
    outside.connect({ host, port: hostPort }, () => {
      outside.off("error", failed);
      // Until it is spliced nobody else would take an error.
      outside.on("error", () => this.end(flow));
      this.connected(flow);
    });
    flow.timer = setTimeout(() => {
      outside.destroy(Object.assign(new Error("connect ETIMEDOUT"), { code: "ETIMEDOUT" }));
    }, this.timeout);
    outside.once("close", () => this.end(flow));
  }

  private connected(flow: Flow): void {
    const { counters, tcp } = this.uplink;
    counters.connected++;
    clearTimeout(flow.timer!);
    flow.timer = setTimeout(() => {
      if (!flow.spliced) flow.outside.resetAndDestroy();
    }, HANDSHAKE);
    let entry = this.listeners.get(flow.port);
    if (!entry) {
      const accept = (socket: TcpSocket) => this.accept(socket);
      const listener = tcp.listen({
        port: flow.port,
        backlog: BACKLOG,
        onConnection(socket) {
          accept(socket);
        },
      });
      this.listeners.set(flow.port, (entry = { listener, users: 0 }));
    }
    entry.users++;
    flow.answer = "accept";
    flow.held.again();
  }

  /** The SYN of a flow has come once more: from the wire, or held. */
  private again(flow: Flow, packet: Packet): boolean {
    if (flow.answer === "reset") this.refuse(packet);
    else if (flow.answer === "unreachable") this.uplink.unreachable(packet, false);
    return flow.answer === "accept";
  }

  private accept(socket: TcpSocket): void {
    const key = `${socket.remoteAddress()} ${socket.remotePort()} ${socket.localAddress()} ${socket.localPort()}`;
    const flow = this.flows.get(key);
    if (!flow || flow.spliced || flow.outside.destroyed) {
      socket.abort();
      return;
    }
    flow.spliced = true;
    clearTimeout(flow.timer!);
    const inside = new NodeSocket({ allowHalfOpen: true });
    inside.setNoDelay(true);
    inside.attach(socket, true);
    splice(inside, flow.outside);
  }

  private refuse(packet: Packet): void {
    const { tcp, stack } = this.uplink;
    if (!parse(tcp.segment, packet.data, packet.start, packet.end)) return;
    tcp.time = stack.now();
    respondReset(tcp, packet, tcp.segment);
  }

  private end(flow: Flow): void {
    if (!this.flows.delete(flow.key)) return;
    clearTimeout(flow.timer!);
    if (flow.answer !== "accept") return;
    const entry = this.listeners.get(flow.port);
    if (!entry || --entry.users > 0) return;
    // A listener that closes resets what it has not handed over, and nothing else.
    this.listeners.delete(flow.port);
    entry.listener.close();
  }

  /** Does somebody else listen on this port of the stack? */
  private isOwnService(port: number): boolean {
    const ours = this.listeners.get(port)?.listener;
    let other = this.uplink.tcp.listeners.first(port);
    while (other && (other.port !== port || other === ours)) other = other.nextInBucket;
    return other !== null;
  }
}
