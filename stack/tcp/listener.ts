/** Passive opens: the listener, its bounded SYN queue and its bounded backlog (RFC 9293 section 3.10.1, RFC 4987). */
import type { Network, Path } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import type { Deferred } from "../core/stack.js";
import type { TableEntry } from "../core/table.js";
import { closeListener } from "./close.js";
import type { Connection } from "./connection.js";
import { TcpSocket } from "./socket.js";
import type { TcpHandlers } from "./socket.js";
import type { Tcp } from "./tcp.js";

export interface TcpListenOptions {
  /** Local port, 1..65535, or 0: a random one. */
  port: number;
  /** Local address (`::ffff:10.0.0.2` is IPv4's); default, and `::`: any of all families. */
  address?: string;
  /** 4 or 6: this family alone (6: IPV6_V6ONLY). */
  family?: number;
  /** Connections that may wait to be accepted, and as many half-open ones. Default 16. A SYN beyond that is dropped. */
  backlog?: number;
  /**
   * Takes data of SYNs that bring a cookie, before the handshake has ended; with the component `fastOpen()` alone. For requests that may
   * come twice.
   */
  fastOpen?: boolean;
  /** Takes an accepted connection: set its callbacks with `socket.handle`. Without it, call `accept`. */
  onConnection?(this: Listener, socket: TcpSocket): void;
}

/** Those of a socket that has been given none yet. */
const NO_HANDLERS: TcpHandlers = {};

export class Listener implements TableEntry, Deferred {
  hash = 0;
  nextInBucket: this | null = null;
  queued = false;
  nextDeferred: Deferred | null = null;
  readonly paths: Path[] = [];
  /** Half-open connections. */
  halfOpen = 0;
  /** Established ones that wait to be accepted. */
  readonly waiting: Connection[] = [];
  closed = false;

  constructor(
    readonly tcp: Tcp,
    readonly options: TcpListenOptions,
    readonly port: number,
    readonly backlog: number,
  ) {
    this.hash = port;
  }

  /** The first connection that waits, or null. */
  accept(): TcpSocket | null {
    const c = this.take();
    if (!c) return null;
    // Its acknowledgement has waited for the application.
    if (c.ackNow) this.tcp.stack.defer(c);
    return c.socket;
  }

  private take(): Connection | null {
    const c = this.waiting.shift();
    if (!c) return null;
    c.listener = null;
    c.socket = new TcpSocket(c, NO_HANDLERS);
    return c;
  }

  /** The path by which a packet of `net` would be taken, or null. */
  pathFor(packet: Packet, net: Network): Path | null {
    for (let i = 0; i < this.paths.length; i++) {
      const path = this.paths[i];
      if (path.net === net && net.matchesLocal(path, packet)) return path;
    }
    return null;
  }

  /** Gives waiting connections to the application: see `Stack.defer`. */
  run(): void {
    const callback = this.options.onConnection;
    if (!callback) return;
    for (;;) {
      const c = this.closed ? null : this.take();
      if (!c) return;
      try {
        callback.call(this, c.socket as TcpSocket);
      } catch (error) {
        this.tcp.stack.host.panic(error);
      }
      // What has come with it is told right away: the answer goes with the acknowledgement.
      c.run();
    }
  }

  /** Stops listening; connections that nobody has accepted are reset. Legal twice. */
  close(): void {
    closeListener(this);
  }
}
