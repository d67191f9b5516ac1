/**
 * A module like Espruino's `net` that is driven by events: a socket at rest costs no cycle, and data go out as they are written.
 *
 * ```ts
 * const net = netModule({ tcp: sockets, names: resolver });
 * net.createServer(function (c) { c.write("hello\r\n"); c.pipe(c); }).listen(23);
 * net.connect({ host: "example.org", port: 80 }, function (c) { c.end("GET / HTTP/1.0\r\n\r\n"); });
 * ```
 */
import { fail, requireInteger } from "../../stack/core/errors.js";
import type { NameLookup } from "../../stack/service/happy.js";
import type { Listener } from "../../stack/tcp/listener.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { espruinoError, thrownCode } from "./codes.js";
import { dial } from "./dial.js";
import { Events, later } from "./events.js";
import type { Handler } from "./events.js";
import { Socket, socketSettings } from "./socket.js";
import type { SocketSettings } from "./socket.js";
import type { ToText } from "./text.js";

export interface NetOptions {
  tcp: Tcp;
  /** Finds the addresses of names: `dns()`. Without it only addresses can be connected to. */
  names?: NameLookup;
  /** Characters that may wait in a socket beyond its connection's send buffer. Default 65536. */
  queue?: number;
  /** Connections that may wait to be accepted, a server. Default 4. */
  backlog?: number;
  /** Makes strings of bytes. Default: a loop that any engine has. */
  text?: ToText;
}

/** Events: "connect" and "connection" (a `Socket`), "listening", "error" (`{ code, message }`), "close". */
export class Server {
  /** Where it listens, or 0. */
  port = 0;
  private readonly events = new Events();
  private listener: Listener | null = null;

  constructor(
    private readonly tcp: Tcp,
    private readonly settings: SocketSettings,
    private readonly backlog: number,
  ) {}

  on(event: string, handler: Handler): this {
    this.events.on(event, handler);
    return this;
  }

  removeListener(event: string, handler: Handler): this {
    this.events.off(event, handler);
    return this;
  }

  removeAllListeners(event?: string): this {
    this.events.off(event);
    return this;
  }

  emit(event: string, first?: unknown): boolean {
    return this.events.emit(this, event, first);
  }

  /** Listens on `port` (0: a random one) of all addresses, or of `address`. What is against it comes as "error". */
  listen(port: number, address?: string | (() => void), onListening?: () => void): this {
    const where = typeof address === "string" ? address : undefined;
    const told = typeof address === "function" ? address : onListening;
    if (this.listener) fail("EALREADY", "listen");
    const accept = (socket: TcpSocket): void => this.accept(socket);
    const stack = this.tcp.stack;
    if (told) this.on("listening", told);
    try {
      this.listener = this.tcp.listen({
        port,
        address: where,
        backlog: this.backlog,
        onConnection: accept,
      });
    } catch (error) {
      if ((error as { code?: string }).code === "EINVAL") throw error;
      later(stack, () => this.events.emit(this, "error", espruinoError(thrownCode(error))));
      return this;
    }
    this.port = this.listener.port;
    later(stack, () => this.events.emit(this, "listening"));
    return this;
  }

  /** Accepts no more; the connections go on. "close" follows. Legal twice. */
  close(): void {
    if (!this.listener) return;
    this.listener.close();
    this.listener = null;
    this.port = 0;
    later(this.tcp.stack, () => this.events.emit(this, "close"));
  }

  private accept(tcp: TcpSocket): void {
    const socket = new Socket(this.settings);
    socket.attach(tcp);
    this.events.emit(this, "connect", socket);
    this.events.emit(this, "connection", socket);
  }
}

/** Where to connect: `{ host, port }`, a port (of this host), or `"host:port"` with or without `tcp://`. */
export type Target = { host?: string; port: number } | number | string;

export interface NetModule {
  /** `onConnection` takes each connection. */
  createServer(onConnection?: (socket: Socket) => void): Server;
  /** Connects; `onConnect` is a listener of "connect". Throws `EINVAL` for a target that is none. */
  connect(target: Target, onConnect?: (socket: Socket) => void): Socket;
}

export function netModule(options: NetOptions): NetModule {
  const tcp = options.tcp;
  const names = options.names || null;
  const backlog = requireInteger(options.backlog || 4, 1, 1024, "backlog");
  const queue = requireInteger(options.queue || 65536, 1, 0x7fffffff, "queue");
  const settings = socketSettings(tcp.stack, options.text, queue);

  function createServer(onConnection?: (socket: Socket) => void): Server {
    const server = new Server(tcp, settings, backlog);
    if (onConnection) server.on("connect", onConnection);
    return server;
  }

  function connect(target: Target, onConnect?: (socket: Socket) => void): Socket {
    const socket = new Socket(settings);
    const where = parseTarget(target);
    if (onConnect) socket.on("connect", onConnect);
    socket.dial(
      dial(tcp, names, where.host || "localhost", requireInteger(where.port, 1, 65535, "port"), {
        onConnect: (connection) => socket.connected(connection),
        onFail: (code) => socket.failed(code),
      }),
    );
    return socket;
  }

  return { createServer, connect };
}

function parseTarget(target: Target): { host?: string; port: number } {
  if (typeof target === "number") return { port: target };
  if (typeof target !== "string") return target ? target : fail("EINVAL", "target");
  const scheme = target.indexOf("://");
  const rest = scheme < 0 ? target : target.substring(scheme + 3);
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.substring(0, slash);
  let colon = authority.length;
  while (colon > 0 && authority.charAt(colon) !== ":") colon--;
  if (colon === 0) fail("EINVAL", "target");
  return { host: authority.substring(0, colon), port: parseInt(authority.substring(colon + 1), 10) };
}
