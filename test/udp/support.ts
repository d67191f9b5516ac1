/** What the tests of datagram sockets share. */
import type { DatagramInfo } from "../../stack/core/datagrams.js";

export function info(): DatagramInfo {
  return { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null, ttl: 0 };
}

/** The next datagram as Latin-1 text, or undefined when none waits. */
export function textOf(
  socket: { receive(target: Uint8Array, info?: DatagramInfo): number },
  from: DatagramInfo = info(),
): string | undefined {
  const target = new Uint8Array(65535);
  const length = socket.receive(target, from);
  return length < 0 ? undefined : String.fromCharCode(...target.subarray(0, length));
}
