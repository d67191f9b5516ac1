/** Connecting as `net.connect` does, through the stack. */
import { isIP, isIPv6 } from "node:net";
import type { LookupFunction } from "node:net";
import { Timer } from "../../stack/core/timers.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { systemError } from "./errors.js";
import { NodeSocket } from "./socket.js";
import type { NodeSocketOptions } from "./socket.js";

/** The names are those of `net.connect` and `http.request`: what these hand to a `createConnection` of yours fits. */
export interface ConnectOptions extends NodeSocketOptions {
  /** Address, or a name for `lookup`. Default `"localhost"`: 127.0.0.1, or ::1 where there is IPv6 alone. */
  host?: string | null;
  /** Remote port, 1..65535. */
  port?: number | string | null;
  localAddress?: string;
  localPort?: number;
  /** 4 or 6, for `lookup`; default 0: any. */
  family?: number;
  /** Looks names up: a function like `dns.lookup`. Without it there are addresses only. */
  lookup?: LookupFunction;
  noDelay?: boolean;
  keepAlive?: boolean;
  /** See `NodeSocket.setKeepAlive`. */
  keepAliveInitialDelay?: number;
  /** See `NodeSocket.setTimeout`. */
  timeout?: number;
}

/**
 * Opens a connection. Failures come as "error": `connect ECONNREFUSED 10.0.0.1:80`, `getaddrinfo ENOTFOUND name`, ...; of
 * several addresses the first that answers stays, families in turn (RFC 8305). Throws `EINVAL` for what is no port.
 *
 * ```ts
 * http.get({ host: "10.0.0.1", createConnection: (options) => connect(sockets, options) }, (response) => ...);
 * ```
 */
export function connect(tcp: Tcp, options: ConnectOptions, onConnect?: () => void): NodeSocket {
  const port = Number(options.port ?? NaN);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw systemError("EINVAL", `port ${String(options.port)}`);
  }
  const socket = new NodeSocket(options);
  if (options.noDelay) socket.setNoDelay();
  if (options.keepAlive) socket.setKeepAlive(true, options.keepAliveInitialDelay);
  if (options.timeout) socket.setTimeout(options.timeout);
  if (onConnect) socket.once("connect", onConnect);
  const attempt = (addresses: string[]) => new Race(tcp, socket, options, port, alternate(addresses)).next();
  const host = options.host || "localhost";
  if (isIP(host) !== 0) attempt([host]);
  else if (host === "localhost") attempt([tcp.stack.network(4) ? "127.0.0.1" : "::1"]);
  else if (options.lookup) resolve(socket, host, options.lookup, options.family ?? 0, attempt);
  else socket.destroy(notFound(host));
  return socket;
}

/** How long an attempt is alone, ms (RFC 8305 section 5). */
const ATTEMPT_DELAY = 250;

/** Attempts to connect to addresses in turn, each when the one before has failed or a while after it. The first to answer stays. */
class Race {
  private readonly attempts = new Set<TcpSocket>();
  private readonly timer = new Timer((race: Race) => race.next(), this);

  constructor(
    private readonly tcp: Tcp,
    private readonly socket: NodeSocket,
    private readonly options: ConnectOptions,
    private readonly port: number,
    private readonly addresses: string[],
  ) {
    socket.once("close", () => this.end());
  }

  next(): void {
    const { tcp, socket, port, addresses } = this;
    const { localAddress, localPort } = this.options;
    const address = addresses.shift();
    if (address === undefined || socket.destroyed) return;
    try {
      const attempt = tcp.connect({
        ...socket.tcpHandlers,
        address,
        port,
        localAddress,
        localPort,
        onConnect: () => this.won(attempt),
        onClose: (code) => this.lost(attempt, code),
      });
      this.attempts.add(attempt);
      socket.attach(attempt, false);
    } catch (error) {
      // The next one may be of a family that the stack has.
      if (addresses.length > 0) this.next();
      else if (this.attempts.size === 0) socket.destroy(error as Error);
      return;
    }
    if (addresses.length > 0) tcp.stack.timers.set(this.timer, (tcp.stack.now() + ATTEMPT_DELAY) | 0);
  }

  private won(attempt: TcpSocket): void {
    const { socket } = this;
    this.attempts.delete(attempt);
    this.end();
    attempt.handle(socket.tcpHandlers);
    socket.attach(attempt, false);
    socket.tcpHandlers.onConnect?.call(attempt);
  }

  private lost(attempt: TcpSocket, code: number): void {
    const { socket, attempts } = this;
    if (!attempts.delete(attempt)) return;
    if (this.addresses.length > 0) this.next();
    else if (attempts.size === 0) {
      socket.attach(attempt, false);
      socket.tcpHandlers.onClose?.call(attempt, code);
    }
  }

  /** Gives up what is under way. */
  private end(): void {
    this.tcp.stack.timers.clear(this.timer);
    const attempts = [...this.attempts];
    this.attempts.clear();
    for (const attempt of attempts) attempt.abort();
  }
}

/** The families in turn, the first address first (RFC 8305 section 4). */
function alternate(addresses: string[]): string[] {
  const ofFirst = (address: string) => isIPv6(address) === isIPv6(addresses[0]);
  const first = addresses.filter(ofFirst);
  const other = addresses.filter((address) => !ofFirst(address));
  return [
    ...first.flatMap((address, i) => [address, ...other.slice(i, i + 1)]),
    ...other.slice(first.length),
  ];
}

function resolve(
  socket: NodeSocket,
  host: string,
  lookup: LookupFunction,
  family: number,
  found: (addresses: string[]) => void,
): void {
  lookup(host, { family, hints: 0, all: true }, (error, answer, answerFamily) => {
    if (socket.destroyed) return;
    const list = typeof answer === "string" ? [{ address: answer, family: answerFamily ?? 0 }] : answer;
    const addresses = (list ?? []).map(({ address }) => address);
    if (error || addresses.length === 0) {
      socket.emit("lookup", error, undefined, undefined, host);
      socket.destroy(error ?? notFound(host));
      return;
    }
    for (const { address, family } of list) socket.emit("lookup", null, address, family, host);
    found(addresses);
  });
}

function notFound(hostname: string): Error {
  const error = new Error(`getaddrinfo ENOTFOUND ${hostname}`);
  return Object.assign(error, { code: "ENOTFOUND", syscall: "getaddrinfo", hostname });
}
