/** The gateway: carries connections from this machine's loopback to the device, through the second stack. */
import { createServer } from "node:net";
import type { Server } from "node:net";
import { pipeline } from "node:stream";
import { connect } from "../../ports/node/connect.js";
import type { Tcp } from "../../stack/tcp/tcp.js";

/** Listens on 127.0.0.1:`port` and splices each connection to `address`:80. Rejects with Node's error (`EADDRINUSE`, ...). */
export function carry(tcp: Tcp, address: string, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (outside) => {
    const inside = connect(tcp, { host: address, port: 80, allowHalfOpen: true, noDelay: true });
    outside.setNoDelay(true);
    // Errors of either side end both; there is nobody else to tell.
    const done = () => {
      inside.destroy();
      outside.destroy();
    };
    let open = 2;
    const finished = (error?: Error | null) => {
      if (error || --open === 0) done();
    };
    pipeline(outside, inside, finished);
    pipeline(inside, outside, finished);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
