/** Listening as `net.Server` does, through the stack; and handing the connections to servers that know only node:net. */
import { EventEmitter } from "node:events";
import { Server } from "node:net";
import type { Listener, TcpListenOptions } from "../../stack/tcp/listener.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { NodeSocket, familyOf, holdProcess } from "./socket.js";
import type { NodeSocketOptions } from "./socket.js";

export interface ListenOptions
  extends Omit<TcpListenOptions, "onConnection">, Omit<NodeSocketOptions, "signal"> {
  /** As `family: 6`: what comes over IPv4 is not for this server, the port stays free for another one. */
  ipv6Only?: boolean;
  /** Connections accepted, beyond which new ones are reset. Default: no limit but the stack's. */
  maxConnections?: number;
  /** Set on each connection. */
  noDelay?: boolean;
  keepAlive?: boolean;
  keepAliveInitialDelay?: number;
}

/** Made by `listen`. Emits "connection" (a `NodeSocket`) and, once it is closed and all connections have ended, "close". */
export class NodeServer extends EventEmitter {
  listening = true;
  readonly connections = new Set<NodeSocket>();
  private readonly listener: Listener;
  private ended = false;
  private readonly hold: NodeJS.Timeout;
  private readonly localAddress: string;

  /** @internal */
  constructor(
    tcp: Tcp,
    private readonly options: ListenOptions,
    private readonly target: Server | null,
  ) {
    super();
    const { port, address, backlog, ipv6Only } = options;
    const family = ipv6Only ? 6 : options.family;
    const accept = (socket: TcpSocket) => this.accept(socket);
    this.listener = tcp.listen({
      port,
      address,
      family,
      backlog,
      onConnection(socket) {
        accept(socket);
      },
    });
    this.hold = holdProcess();
    // Who listens over both families listens at "::", as with node:net.
    const { paths } = this.listener;
    const path = paths.find(({ net }) => net.family === 6) ?? paths[0];
    this.localAddress = path.net.localText(path);
  }

  /** Where it listens; `address` is `"0.0.0.0"` or, with IPv6, `"::"` for any. Null when closed. */
  address(): { address: string; port: number; family: string } | null {
    if (!this.listening) return null;
    const address = this.localAddress;
    return { address, port: this.listener.port, family: familyOf(address) };
  }

  /** Accepts no more; `callback` comes when the connections have ended. A server that was given to `listen` is closed, too. */
  close(callback?: () => void): this {
    if (callback) {
      if (this.ended) process.nextTick(callback);
      else this.once("close", callback);
    }
    if (this.listening) {
      this.listening = false;
      this.listener.close();
      // node:http closes what is idle, and stops its watch over slow requests.
      this.target?.close();
    }
    this.drained();
    return this;
  }

  getConnections(callback: (error: Error | null, count: number) => void): void {
    process.nextTick(callback, null, this.connections.size);
  }

  /** The open server keeps the process alive. That is the default. */
  ref(): this {
    this.hold.ref();
    return this;
  }

  unref(): this {
    this.hold.unref();
    return this;
  }

  private accept(accepted: TcpSocket): void {
    const { options, target, connections } = this;
    if (connections.size >= (options.maxConnections ?? Infinity)) {
      accepted.abort();
      return;
    }
    const socket = new NodeSocket(options);
    if (options.noDelay) socket.setNoDelay();
    if (options.keepAlive) socket.setKeepAlive(true, options.keepAliveInitialDelay);
    connections.add(socket);
    socket.once("close", () => {
      connections.delete(socket);
      this.drained();
    });
    socket.attach(accepted, true);
    this.emit("connection", socket);
    target?.emit("connection", socket);
  }

  private drained(): void {
    if (this.listening || this.ended || this.connections.size > 0) return;
    this.ended = true;
    clearInterval(this.hold);
    process.nextTick(() => this.emit("close"));
  }
}

/**
 * Listens. Throws what `Tcp.listen` throws: `EADDRINUSE`, `EADDRNOTAVAIL`, `EINVAL`, ...
 *
 * ```ts
 * listen(sockets, { port: 80 }, http.createServer((request, response) => response.end("hello\n")));
 * listen(sockets, { port: 7 }, (socket) => socket.pipe(socket));
 * ```
 * @param onConnection takes each connection; or a server of node:http, node:https, node:tls or node:net that does not listen
 * itself: it is told "listening" and "connection"
 */
export function listen(
  tcp: Tcp,
  options: ListenOptions,
  onConnection?: ((socket: NodeSocket) => void) | Server,
): NodeServer {
  if (!(onConnection instanceof Server)) {
    const server = new NodeServer(tcp, options, null);
    if (onConnection) server.on("connection", onConnection);
    return server;
  }
  // What such a server wants of its connections, it has written down where node:net reads it.
  const wanted = onConnection as unknown as ListenOptions;
  const { noDelay, keepAlive, keepAliveInitialDelay } = wanted;
  // Beneath TLS the stream goes on when the peer's half of it has ended: TLS has more to say.
  const allowHalfOpen = wanted.allowHalfOpen || "setSecureContext" in onConnection;
  const wishes = { allowHalfOpen, noDelay, keepAlive, keepAliveInitialDelay };
  const server = new NodeServer(tcp, { ...wishes, ...options }, onConnection);
  process.nextTick(() => {
    if (server.listening) onConnection.emit("listening");
  });
  return server;
}
