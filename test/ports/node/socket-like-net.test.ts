/** The same programs over node:net and the kernel's loopback, and over the stack: they must see the same. */
import { once } from "node:events";
import net from "node:net";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import anyTest from "ava";
import type { ExecutionContext } from "ava";
import { connection, network } from "./streams.js";

const test = anyTest.serial;

/** What both kinds of sockets have. */
type Socket = Duplex & {
  bytesRead: number;
  bytesWritten: number;
  connecting: boolean;
  readyState: string;
  resetAndDestroy(): unknown;
  destroySoon(): void;
};

interface Sides {
  near: Socket;
  far: Socket;
  /** Waits for a state of affairs. */
  until(done: () => boolean): Promise<void>;
}

/** Writes down what happens to a socket, its data in one piece. */
function watch(log: string[], name: string, socket: Socket, reading: boolean): void {
  let data = "";
  if (reading) socket.on("data", (chunk: Buffer) => (data += chunk.toString()));
  const note = (what: string) => {
    if (data !== "") log.push(`${name} data ${data.length > 20 ? data.length : data}`);
    data = "";
    log.push(`${name} ${what}`);
  };
  socket.on("end", () => note("end"));
  socket.on("finish", () => note("finish"));
  socket.on("error", (error: NodeJS.ErrnoException) => note(`error ${error.code} ${error.syscall}`));
  socket.on("close", () => note(`close ${socket.bytesRead} ${socket.readyState} ${socket.errored !== null}`));
}

interface Options {
  near?: boolean;
  far?: boolean;
  nearReads?: boolean;
  farReads?: boolean;
}

/** Runs a program over both; the two logs, each side's events in order. */
async function both(
  t: ExecutionContext,
  options: Options,
  program: (sides: Sides) => Promise<void> | void,
): Promise<string[]> {
  const logs: string[][] = [];
  const { near = false, far = false, nearReads = true, farReads = true } = options;
  for (const kind of ["kernel", "stack"]) {
    const log: string[] = [];
    let sides: { near: Socket; far: Socket };
    let close: () => void;
    if (kind === "kernel") {
      const server = net.createServer({ allowHalfOpen: far }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: near });
      const [[accepted]] = await Promise.all([once(server, "connection"), once(socket, "connect")]);
      sides = { near: socket, far: accepted };
      close = () => server.close();
    } else {
      const { connect, listen } = network(t);
      const server = listen({ allowHalfOpen: far });
      const socket = connect({ allowHalfOpen: near });
      const [[accepted]] = await Promise.all([once(server, "connection"), once(socket, "connect")]);
      sides = { near: socket, far: accepted };
      close = () => server.close();
    }
    watch(log, "near", sides.near, nearReads);
    watch(log, "far", sides.far, farReads);
    const until = async (done: () => boolean) => {
      while (!done()) await turn();
    };
    await program({ ...sides, until });
    await until(() => log.filter((line) => line.includes(" close ")).length === 2);
    close();
    logs.push(log.sort((a, b) => (a.startsWith("far ") ? 1 : 0) - (b.startsWith("far ") ? 1 : 0)));
  }
  const [kernel, stack] = logs;
  t.deepEqual(stack, kernel);
  return stack!;
}

test("one side ends, the other follows by itself", async (t) => {
  const log = await both(t, {}, ({ near }) => void near.end("hello"));
  t.deepEqual(log, [
    "near finish",
    "near end",
    "near close 0 closed false",
    "far data hello",
    "far end",
    "far finish",
    "far close 5 closed false",
  ]);
});

test("half open: data go on in the other direction", async (t) => {
  await both(t, { far: true, near: true }, async ({ near, far }) => {
    near.end("question");
    await once(far, "end");
    far.write("ans");
    await sleep(10);
    far.end("wer");
  });
});

test("half open on one side alone", async (t) => {
  await both(t, { far: true }, async ({ near, far }) => {
    near.end("question");
    await once(far, "end");
    far.end("answer");
  });
});

test("both end at once", async (t) => {
  await both(t, {}, ({ near, far }) => {
    near.end("a");
    far.end("b");
  });
});

test("destroyed without data under way", async (t) => {
  await both(t, {}, ({ near }) => void near.destroy());
});

test("destroyed with an error", async (t) => {
  await both(t, {}, ({ near }) => void near.destroy(Object.assign(new Error("mine"), { code: "EMINE" })));
});

test("reset", async (t) => {
  const log = await both(t, {}, ({ near }) => void near.resetAndDestroy());
  t.true(log.includes("far error ECONNRESET read"));
});

test("reset behind data that were read", async (t) => {
  await both(t, {}, async ({ near, far, until }) => {
    near.write("hello");
    await until(() => far.bytesRead === 5);
    near.resetAndDestroy();
  });
});

test("destroyed with little data that nobody has read: the peer sees an end", async (t) => {
  const log = await both(t, { nearReads: false }, async ({ near, far, until }) => {
    far.write("unread");
    await until(() => near.bytesRead === 6);
    near.destroy();
  });
  t.true(log.includes("far end"));
});

test("destroyed with more unread data than the stream holds: the peer is reset", async (t) => {
  const { near, far } = await connection(t);
  far.write(Buffer.alloc(1_000_000));
  while (near.tcpSocket!.readable() < 1000) await turn();
  near.destroy();
  t.like(await once(far, "error"), [{ code: "ECONNRESET", syscall: "read" }]);
});

test("written after the peer has gone: the reset is told at once, the kernel's sockets learn of it by the next write", async (t) => {
  const { near, far } = await connection(t, { far: { allowHalfOpen: true } });
  near.destroy();
  await once(far.resume(), "end");
  far.write("too late");
  t.like(await once(far, "error"), [{ code: "ECONNRESET", syscall: "read" }]);
});

test("destroySoon: what was written arrives", async (t) => {
  const log = await both(t, {}, ({ near }) => {
    near.write(Buffer.alloc(1_000_000));
    near.destroySoon();
  });
  t.true(log.includes("far data 1000000"));
});

test("an end that nobody reads towards", async (t) => {
  await both(t, { farReads: false }, ({ near }) => void near.end());
});

test("data that nobody reads, and an end", async (t) => {
  await both(t, { farReads: false }, async ({ near, far }) => {
    near.end("hello");
    await sleep(20);
    far.resume();
  });
});

test("write after end", async (t) => {
  await both(t, {}, ({ near }) => {
    near.end("x");
    near.write("y");
  });
});

test("write errors reach the callback", async (t) => {
  const codes: (string | undefined)[] = [];
  await both(t, {}, async ({ near, far }) => {
    near.resetAndDestroy();
    await once(far, "error");
    const write = promisify<string, void>(far.write.bind(far) as never);
    await write("x").catch((error: NodeJS.ErrnoException) => codes.push(error.code));
  });
  t.deepEqual(codes, ["ERR_STREAM_DESTROYED", "ERR_STREAM_DESTROYED"]);
});

test("nobody listens", async (t) => {
  const kernel = net.connect({ port: 1, host: "127.0.0.1" });
  const stack = network(t).connect({ port: 1 });
  const [a] = (await once(kernel, "error")) as [NodeJS.ErrnoException & { address: string; port: number }];
  const [b] = (await once(stack, "error")) as [typeof a];
  t.is(b.message, a.message.replace("127.0.0.1", "10.0.0.2"));
  t.deepEqual(
    [b.code, b.errno, b.syscall, b.port, b.address],
    [a.code, a.errno, a.syscall, a.port, "10.0.0.2"],
  );
  t.deepEqual([stack.destroyed, stack.connecting], [kernel.destroyed, kernel.connecting]);
});

test("all public properties of net.Socket are there, but for connect", (t) => {
  const socket = network(t).connect({ host: "x", lookup() {} }) as unknown as Record<string, unknown>;
  const kernel = new net.Socket() as unknown as Record<string, unknown>;
  const missing: string[] = [];
  for (let at = net.Socket.prototype; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (!name.startsWith("_") && typeof socket[name] !== typeof kernel[name]) missing.push(name);
    }
  }
  t.deepEqual(missing, ["connect"]);
});
