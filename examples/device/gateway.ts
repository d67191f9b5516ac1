/** The gateway: carries connections from this machine's loopback to the device, through the second stack. */
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { connect } from "../../ports/node/index.js";
import type { NodeSocket } from "../../ports/node/index.js";
import type { Tcp } from "../../stack/tcp/tcp.js";

/** An open door on this machine. */
export interface Door {
  readonly server: Server;
  /** Closes the door, and resets what goes through it. */
  close(): void;
}

/** Joins two sockets: data, ends and resets of one side become those of the other; pipes hold back who is too fast. */
function splice(one: Socket | NodeSocket, other: Socket | NodeSocket): void {
  one.pipe(other);
  one.on("error", () => other.resetAndDestroy());
  one.on("close", () => other.destroySoon());
}

/** Listens on 127.0.0.1:`port` and carries each connection to `address`:80. Rejects with Node's error (`EADDRINUSE`, ...). */
export function carry(tcp: Tcp, address: string, port: number): Promise<Door> {
  const open = new Set<Socket>();
  const options = { allowHalfOpen: true, noDelay: true };
  const server = createServer(options, (outside) => {
    const inside = connect(tcp, { ...options, host: address, port: 80 });
    open.add(outside);
    outside.once("close", () => open.delete(outside));
    splice(outside, inside);
    splice(inside, outside);
  });
  const close = () => {
    server.close();
    for (const socket of open) socket.resetAndDestroy();
  };
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve({ server, close }));
  });
}
