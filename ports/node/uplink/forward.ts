/** Ports of this machine that lead to hosts behind the uplink. They see the uplink's own address as the client's. */
import { createSocket } from "node:dgram";
import type { RemoteInfo } from "node:dgram";
import { createServer, isIPv6 } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { connect } from "../connect.js";
import { systemError } from "../errors.js";
import type { UdpSocket } from "../../../stack/udp/socket.js";
import { splice } from "./splice.js";
import type { UserUplink } from "./uplink.js";

export interface PortForward {
  protocol: "tcp" | "udp";
  /** Address of this machine. Default 127.0.0.1. */
  address?: string;
  /** Port of this machine; 0: a free one. */
  port: number;
  /** Host behind the uplink, and its port. */
  to: string;
  toPort: number;
}

export interface OpenForward {
  /** Port of this machine. */
  readonly port: number;
  /** Closes it, and what goes through it. Legal twice. */
  close(): void;
}

/** Clients of one port for datagrams that are remembered, and for how long, ms. */
const CLIENTS = 256;
const SILENCE = 120_000;

function check({ port, toPort }: PortForward): void {
  for (const [number, least] of [
    [port, 0],
    [toPort, 1],
  ]) {
    if (!Number.isInteger(number) || number < least || number > 65535) {
      throw systemError("EINVAL", `port ${number}`);
    }
  }
}

export async function forwardTcp(
  uplink: UserUplink,
  options: PortForward,
  closed: () => void,
): Promise<OpenForward> {
  check(options);
  const open = new Set<Socket>();
  const settings = { allowHalfOpen: true, noDelay: true };
  const server = createServer(settings, (outside) => {
    const inside = connect(uplink.tcp, { ...settings, host: options.to, port: options.toPort });
    open.add(outside);
    outside.once("close", () => open.delete(outside));
    splice(outside, inside);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.address ?? "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      for (const socket of open) socket.resetAndDestroy();
      closed();
    },
  };
}

export async function forwardUdp(
  uplink: UserUplink,
  options: PortForward,
  closed: () => void,
): Promise<OpenForward> {
  check(options);
  const address = options.address ?? "127.0.0.1";
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  const clients = new Map<string, { inside: UdpSocket; used: number }>();
  const buffer = new Uint8Array(65536);
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(options.port, address, () => {
      socket.off("error", reject);
      resolve();
    });
  });
  const enter = (from: RemoteInfo) => {
    const inside = uplink.udp.open({
      onReadable() {
        for (let length; (length = this.receive(buffer)) >= 0;) {
          socket.send(buffer.slice(0, length), from.port, from.address);
        }
      },
    });
    inside.connect(options.to, options.toPort);
    return { inside, used: 0 };
  };
  const drop = (key: string) => {
    clients.get(key)?.inside.close();
    clients.delete(key);
  };
  socket.on("error", () => uplink.counters.sendFailed++);
  socket.on("message", (bytes, from) => {
    const key = `${from.address} ${from.port}`;
    let client = clients.get(key);
    // Moved to the end: the first is the one that has been silent for longest.
    clients.delete(key);
    if (!client && clients.size >= CLIENTS) drop(clients.keys().next().value!);
    client ??= enter(from);
    clients.set(key, client);
    client.used = performance.now();
    if (client.inside.send(bytes) < 0) uplink.counters.sendFailed++;
  });
  const sweeper = setInterval(() => {
    for (const [key, { used }] of clients) if (performance.now() - used > SILENCE) drop(key);
  }, SILENCE / 4).unref();
  let done = false;
  return {
    port: socket.address().port,
    close() {
      if (done) return;
      done = true;
      clearInterval(sweeper);
      for (const key of [...clients.keys()]) drop(key);
      socket.close();
      closed();
    },
  };
}
