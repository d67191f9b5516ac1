/** Connecting as `net.connect` does, through the stack. */
import { isIP } from "node:net";
import type { LookupFunction } from "node:net";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { systemError } from "./errors.js";
import { NodeSocket } from "./socket.js";
import type { NodeSocketOptions } from "./socket.js";

/** The names are those of `net.connect` and `http.request`: what these hand to a `createConnection` of yours fits. */
export interface ConnectOptions extends NodeSocketOptions {
  /** Address, or a name for `lookup`. Default `"localhost"`, which is 127.0.0.1. */
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
 * Opens a connection. Failures come as "error": `connect ECONNREFUSED 10.0.0.1:80`, `getaddrinfo ENOTFOUND name`, ...; an
 * address after the other is tried. Throws `EINVAL` for what is no port.
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
  const attempt = (addresses: string[]) => open(tcp, socket, options, port, addresses);
  const host = options.host || "localhost";
  if (isIP(host) !== 0) attempt([host]);
  else if (host === "localhost") attempt(["127.0.0.1"]);
  else if (options.lookup) resolve(socket, host, options.lookup, options.family ?? 0, attempt);
  else socket.destroy(notFound(host));
  return socket;
}

/** Connects to the first of `addresses` that answers, and takes them out as it goes. */
function open(
  tcp: Tcp,
  socket: NodeSocket,
  options: ConnectOptions,
  port: number,
  addresses: string[],
): void {
  const { localAddress, localPort } = options;
  socket.onRefused = () => {
    if (addresses.length === 0) return false;
    open(tcp, socket, options, port, addresses);
    return true;
  };
  const address = addresses.shift() as string;
  try {
    socket.attach(tcp.connect({ ...socket.tcpHandlers, address, port, localAddress, localPort }), false);
  } catch (error) {
    // The next one may be of a family that the stack has.
    if (!socket.onRefused()) socket.destroy(error as Error);
  }
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
