/** Small applications over our sockets, for peers to talk to; and what comes of it. */
import { fileURLToPath } from "node:url";
import type { DatagramInfo, UdpSocket } from "../../../stack/udp/socket.js";
import type { Udp } from "../../../stack/udp/udp.js";
import type { Listener } from "../../../stack/tcp/listener.js";
import type { Tcp } from "../../../stack/tcp/tcp.js";
import type { Namespace } from "./namespace.js";

export function datagramInfo(): DatagramInfo {
  return { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
}

/** Sends each datagram back to where it came from. `failures` lists what `sendTo` refused. */
export function udpEcho(udp: Udp, port: number, failures: number[] = []): UdpSocket {
  const data = new Uint8Array(65535);
  const info = datagramInfo();
  return udp.open({
    port,
    receiveBuffer: 1 << 20,
    onReadable() {
      let length: number;
      while ((length = this.receive(data, info)) >= 0) {
        const sent = this.sendTo(info.address, info.port, data, 0, length);
        if (sent !== length) failures.push(sent);
      }
    },
  });
}

export interface UdpOutcome {
  received: number;
  /** Sizes (or numbers) of the datagrams that did not come back. */
  lost: number[];
  /** Sizes of those that came back changed. */
  wrong: number[];
  seconds: number;
}

export const UDP_CLIENT = fileURLToPath(new URL("udp-client.py", import.meta.url));

/** Runs udp-client.py in a namespace; what it printed. */
export async function udpClient<T = UdpOutcome>(
  ns: Namespace,
  ...parameters: (string | number)[]
): Promise<T> {
  const { stdout } = await ns.run("python3", [UDP_CLIENT, ...parameters.map(String)], { timeout: 240_000 });
  return JSON.parse(stdout) as T;
}

/** Sends what comes on each connection back, no faster than the peer reads, and then its end. */
export function tcpEcho(
  tcp: Tcp,
  port: number,
  handlers: { onClose?(code: number): void; backlog?: number; fastOpen?: boolean } = {},
): Listener {
  return tcp.listen({
    port,
    backlog: handlers.backlog ?? 1024,
    fastOpen: handlers.fastOpen,
    onConnection(socket) {
      let ended = false;
      const turn = () => {
        let count: number;
        while ((count = Math.min(socket.readable(), BUFFER.length)) > 0) {
          const room = socket.writable();
          // A write that is refused asks for `onWritable`.
          if (room === 0) {
            if (socket.write(BUFFER, 0, 1) < 0) return;
            throw new Error("a write into no room");
          }
          socket.write(BUFFER, 0, socket.read(BUFFER, 0, Math.min(count, room)));
        }
        if (ended) socket.close();
      };
      socket.handle({
        onReadable: turn,
        onWritable: turn,
        onEnd() {
          ended = true;
          turn();
        },
        onClose(code) {
          handlers.onClose?.(code);
          socket.close();
        },
      });
    },
  });
}

const BUFFER = new Uint8Array(65536);
export const TCP_CLIENT = fileURLToPath(new URL("tcp-client.py", import.meta.url));

/** Runs tcp-client.py in a namespace; what it printed. */
export async function tcpClient<T = unknown>(ns: Namespace, ...parameters: (string | number)[]): Promise<T> {
  const { stdout } = await ns.run("python3", [TCP_CLIENT, ...parameters.map(String)], { timeout: 120_000 });
  return JSON.parse(stdout) as T;
}
