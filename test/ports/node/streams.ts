/** What the tests of sockets as Node streams share: a world that runs by itself, streams of bytes, and their digests. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Readable, Writable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import type { ExecutionContext } from "ava";
import { connect, listen } from "../../../ports/node/index.js";
import type { ConnectOptions, ListenOptions, NodeServer, NodeSocket } from "../../../ports/node/index.js";
import type { WireOptions, World } from "../../../ports/sim/index.js";
import { pair } from "../../support/network.js";
import type { NetworkOptions } from "../../support/network.js";

/** Lets virtual time pass, a millisecond for each turn of the event loop, until the test ends. */
export function spin(t: ExecutionContext, world: World): void {
  let spinning = true;
  t.teardown(() => {
    spinning = false;
  });
  const run = async () => {
    while (spinning) {
      world.run(1);
      await turn();
    }
  };
  run().catch((error: unknown) => t.fail(String(error)));
}

/** Two stacks on a wire with time passing. What the test has not ended itself is destroyed before they close. */
export function network(t: ExecutionContext, options: NetworkOptions & WireOptions = {}) {
  const { a, b, world, links } = pair(t, options);
  spin(t, world);
  const sockets: NodeSocket[] = [];
  const servers: NodeServer[] = [];
  const keep = (socket: NodeSocket) => {
    sockets.push(socket);
    return socket;
  };
  t.teardown(() => {
    for (const socket of sockets) socket.on("error", () => {}).destroy();
    for (const server of servers) server.close();
  });
  return {
    world,
    links,
    keep,
    /** 10.0.0.1 */
    client: a,
    /** 10.0.0.2 */
    server: b,
    connect: (options: ConnectOptions, onConnect?: () => void) =>
      keep(connect(a.tcp, { host: SERVER, port: 7, ...options }, onConnect)),
    listen(options: Partial<ListenOptions>, onConnection?: Parameters<typeof listen>[2]) {
      const server = listen(b.tcp, { port: 7, ...options }, onConnection).on("connection", keep);
      servers.push(server);
      return server;
    },
  };
}

export const SERVER = "10.0.0.2";

/** Two stacks and a connection between them. */
export async function connection(
  t: ExecutionContext,
  options: NetworkOptions & WireOptions & { near?: ConnectOptions; far?: Partial<ListenOptions> } = {},
) {
  const net = network(t, options);
  const server = net.listen(options.far ?? {});
  const accepted = once(server, "connection") as Promise<[NodeSocket]>;
  const near = net.connect(options.near ?? {});
  const [far] = await accepted;
  return { ...net, listener: server, near, far };
}

/** `length` bytes that never repeat in step with any buffer, in pieces of odd sizes. */
export function bytes(length: number, seed = 1): Readable {
  let left = length;
  let state = seed;
  return new Readable({
    read() {
      if (left === 0) {
        this.push(null);
        return;
      }
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      const piece = Buffer.alloc(Math.min(left, 1 + (state % 100_000)), `${state}/`);
      left -= piece.length;
      this.push(piece);
    },
  });
}

/** Reads a stream to its end, and leaves its other direction alone (`for await` would destroy it). */
function drain(stream: Readable, take: (chunk: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on("data", take).once("end", resolve).once("error", reject);
  });
}

export async function digest(stream: Readable): Promise<{ length: number; sha256: string }> {
  const hash = createHash("sha256");
  let length = 0;
  await drain(stream, (chunk) => {
    hash.update(chunk);
    length += chunk.length;
  });
  return { length, sha256: hash.digest("hex") };
}

export async function text(stream: Readable): Promise<string> {
  const chunks: Uint8Array[] = [];
  await drain(stream, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks).toString();
}

/** A sink that takes a while over each chunk. */
export function slow(chunks: Uint8Array[] = []): Writable {
  return new Writable({
    highWaterMark: 1,
    write(chunk: Uint8Array, _encoding, callback) {
      chunks.push(chunk);
      setImmediate(callback);
    },
  });
}
