import { once } from "node:events";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import anyTest from "ava";
import type { NodeSocket } from "../../../ports/node/index.js";
import { ESTABLISHED } from "../../../stack/tcp/connection.js";
import { SERVER, bytes, connection, digest, network, slow, text } from "./streams.js";

// Each world runs as fast as it can: one at a time.
const test = anyTest.serial;
const MB = 1_000_000;
/** Otherwise who ends first ends the other direction too, as with net.Socket. */
const HALF_OPEN = { near: { allowHalfOpen: true }, far: { allowHalfOpen: true } };

test("50 MB each way at once arrive as they were sent", async (t) => {
  const { near, far } = await connection(t, { delay: 1, ...HALF_OPEN });
  const sent = await Promise.all([digest(bytes(50 * MB, 1)), digest(bytes(50 * MB, 2))]);
  const received = Promise.all([digest(far), digest(near)]);
  await Promise.all([pipeline(bytes(50 * MB, 1), near), pipeline(bytes(50 * MB, 2), far)]);
  t.deepEqual(await received, sent);
  t.deepEqual([near.bytesWritten, near.bytesRead], [50 * MB, 50 * MB]);
});

test("5 MB each way over a wire that loses, doubles and reorders", async (t) => {
  const faults = { loss: 0.01, duplicate: 0.01, reorder: 0.01 };
  const { near, far } = await connection(t, { delay: 5, ...faults, ...HALF_OPEN });
  const sent = await Promise.all([digest(bytes(5 * MB, 1)), digest(bytes(5 * MB, 2))]);
  const received = Promise.all([digest(far), digest(near)]);
  await Promise.all([pipeline(bytes(5 * MB, 1), near), pipeline(bytes(5 * MB, 2), far)]);
  t.deepEqual(await received, sent);
});

test("a reader that does not read stops the writer, and memory stays within the buffers", async (t) => {
  const { near, far, client, server } = await connection(t, { tcp: { maximumReceiveBuffer: 65536 } });
  let finished = false;
  near.write(Buffer.alloc(8 * MB, "x"), () => (finished = true));
  t.true(near.writableNeedDrain);
  near.end("end");
  for (let i = 0; i < 2000; i++) await turn();
  t.false(finished);
  // Like net.Socket, the stream reads ahead, up to its high-water mark and the piece that passes it.
  t.true(far.bytesRead <= 2 * 65536);
  t.is(server.tcp.connections.size, 1);
  t.true(server.stack.pool.used << server.stack.pool.chunkShift <= 65536 + 4096);
  t.true(client.stack.pool.used << client.stack.pool.chunkShift <= 1 << 20);
  const { length } = await digest(far);
  t.is(length, 8 * MB + 3);
  t.true(finished);
});

test("a slow sink: the window closes and opens, nothing is lost", async (t) => {
  const chunks: Uint8Array[] = [];
  const { near, far } = await connection(t, { delay: 2 });
  const whole = await text(bytes(MB));
  await Promise.all([pipeline(bytes(MB), near, { end: true }), pipeline(far, slow(chunks))]);
  t.is(Buffer.concat(chunks).toString(), whole);
});

test("many small writes of one tick share segments", async (t) => {
  const { near, far, client } = await connection(t);
  near.setNoDelay();
  const before = client.tcp.counters.sent;
  near.cork();
  for (let i = 0; i < 1000; i++) near.write("0123456789");
  near.uncork();
  near.end();
  t.is((await text(far)).length, 10_000);
  t.true(client.tcp.counters.sent - before < 20);
});

test("what is written before the connection stands is sent after it", async (t) => {
  const { connect, listen } = network(t, { delay: 50 });
  listen({}, (socket) => socket.pipe(socket));
  const socket = connect({});
  t.true(socket.connecting && socket.pending);
  t.is(socket.readyState, "opening");
  socket.write("one ");
  socket.end("two");
  t.is(await text(socket), "one two");
});

test("addresses, ports and families are those of net.Socket", async (t) => {
  const { near, far, listener } = await connection(t);
  t.is(near.readyState, "open");
  t.deepEqual([near.remoteAddress, near.remotePort, near.remoteFamily], ["10.0.0.2", 7, "IPv4"]);
  t.deepEqual([far.localAddress, far.localPort, far.localFamily], ["10.0.0.2", 7, "IPv4"]);
  t.deepEqual([near.localAddress, near.localPort], [far.remoteAddress, far.remotePort]);
  t.deepEqual(near.address(), { address: "10.0.0.1", family: "IPv4", port: near.localPort });
  t.deepEqual(listener.address(), { address: "0.0.0.0", family: "IPv4", port: 7 });
  near.resume().end();
  far.resume();
  await once(near, "close");
  t.is(near.readyState, "closed");
  t.is(near.remoteAddress, "10.0.0.2");
  t.deepEqual(
    network(t)
      .connect({ host: "x" })
      .on("error", () => {})
      .address(),
    {},
  );
});

test("bytesWritten counts what waits in the stream, bytesRead what was handed on", async (t) => {
  const { near, far } = await connection(t);
  near.write(Buffer.alloc(300_000));
  near.write(Buffer.alloc(5));
  t.is(near.bytesWritten, 300_005);
  near.end();
  far.resume();
  await once(far, "end");
  t.is(near.bytesWritten, 300_005);
  t.is(far.bytesRead, 300_005);
});

test("a socket that times out stays open, and none does while something moves", async (t) => {
  const { near, far } = await connection(t, { near: { timeout: 1000 } });
  t.is(near.timeout, 1000);
  const beats = setInterval(() => far.write("beat"), 100);
  setTimeout(() => clearInterval(beats), 1500);
  let last = 0;
  near.on("data", () => (last = performance.now()));
  await once(near, "timeout");
  // However busy the machine is: it was silent for that long.
  t.true(performance.now() - last > 500);
  t.true(near.bytesRead > 0);
  t.false(near.destroyed);
  near.setTimeout(0);
  t.throws(() => near.setTimeout(-1), { instanceOf: RangeError });
  near.setTimeout(1, () => near.destroy());
  await once(near, "close");
});

test("keepalive and Nagle are set on the connection, before it stands as well", async (t) => {
  const { client, server, connect, listen } = network(t);
  const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 1234 };
  listen(options);
  const socket = connect(options);
  const seen: unknown[] = [];
  for (const { tcp } of [client, server]) {
    if (tcp === server.tcp) await once(socket, "connect");
    tcp.connections.each((c) => seen.push([c.noDelay, c.keepAlive]));
  }
  t.deepEqual(seen, [
    [true, 1234],
    [true, 1234],
  ]);
  socket.setKeepAlive(false).setNoDelay(false).setKeepAlive(true);
  client.tcp.connections.each((c) => t.deepEqual([c.noDelay, c.keepAlive], [false, 7200000]));
  socket.resetAndDestroy();
});

test("a dead peer is found by keepalive: ETIMEDOUT", async (t) => {
  const { near, far, links } = await connection(t, { leaks: { timers: 1 } });
  near.setKeepAlive(true, 1000);
  far.on("error", () => {});
  links[0].cut(true);
  const [error] = (await once(near, "error")) as [NodeJS.ErrnoException];
  t.like(error, { code: "ETIMEDOUT", syscall: "read", message: "read ETIMEDOUT" });
});

test("an address after the other is tried, of families that the stack lacks as well", async (t) => {
  const { connect, listen } = network(t);
  listen({}, (socket) => socket.end("here"));
  const asked: unknown[] = [];
  const socket = connect({
    host: "device.test",
    port: 7,
    family: 4,
    lookup(name, options, callback) {
      asked.push(name, options);
      setImmediate(callback, null, [
        { address: "fe80::1", family: 6 },
        { address: "10.0.0.1", family: 4 },
        { address: SERVER, family: 4 },
      ]);
    },
  });
  t.is(socket.tcpSocket, null);
  const looked: unknown[] = [];
  socket.on("lookup", (...all) => looked.push(all));
  t.is(await text(socket), "here");
  t.deepEqual(asked, ["device.test", { family: 4, hints: 0, all: true }]);
  t.deepEqual(looked[2], [null, SERVER, 4, "device.test"]);
});

test("names that nobody knows", async (t) => {
  const { connect } = network(t);
  const failing = connect({
    host: "nowhere.test",
    port: 7,
    lookup: (_name, _options, callback) =>
      setImmediate(callback, Object.assign(new Error("no"), { code: "X" }), ""),
  });
  t.like(await once(failing, "error"), [{ code: "X" }]);
  const nothing = connect({
    host: "nowhere.test",
    port: 7,
    lookup: (_name, _options, callback) => setImmediate(callback, null, []),
  });
  t.like(await once(nothing, "error"), [{ code: "ENOTFOUND", hostname: "nowhere.test" }]);
  const unasked = connect({ host: "nowhere.test", port: 7 });
  t.like(await once(unasked, "error"), [
    { code: "ENOTFOUND", message: "getaddrinfo ENOTFOUND nowhere.test" },
  ]);
  t.like(await once(connect({ host: "fe80::1", port: 7 }), "error"), [{ code: "EAFNOSUPPORT" }]);
  for (const port of [0, 65536, -1, 1.5, "x", null, undefined]) {
    t.throws(() => connect({ port }), { code: "EINVAL" });
  }
});

test("a socket destroyed while its name is looked up never connects", async (t) => {
  const { client, connect } = network(t);
  let answer = () => {};
  const socket = connect({
    host: "device.test",
    port: 7,
    lookup: (_name, _options, callback) => (answer = () => callback(null, SERVER, 4)),
  });
  socket.destroy();
  answer();
  await once(socket, "close");
  t.is(client.tcp.counters.connects, 0);
});

test("an abort signal destroys the socket", async (t) => {
  const { client, connect } = network(t);
  const controller = new AbortController();
  const socket = connect({ signal: controller.signal });
  controller.abort();
  t.like(await once(socket, "error"), [{ name: "AbortError", code: "ABORT_ERR" }]);
  t.is(client.tcp.connections.size, 0);
});

test("errors of a callback are uncaught exceptions, and the socket goes on", async (t) => {
  const { near, far, server } = await connection(t, { leaks: { panics: true } });
  near.write("one");
  far.once("data", () => {
    throw new Error("a bug");
  });
  while (server.stack.counters.host.callback === 0) await turn();
  near.end("two");
  t.is(await text(far), "two");
});

test("a stack that closes ends its sockets", async (t) => {
  const { near, client } = await connection(t);
  client.stack.close();
  // What the stack says is true as well: first of all, the interface's address goes.
  t.like(await once(near, "error"), [{ code: "EADDRNOTAVAIL" }]);
});

test("the write that a destroyed socket had begun is told", async (t) => {
  const { near } = await connection(t);
  const told = new Promise<Error | null | undefined>((resolve) => near.write(Buffer.alloc(4 * MB), resolve));
  near.destroy();
  t.like(await told, { code: "ECANCELED" });
});

test("a closed listener accepts no more, tells when the last connection has ended, and closes twice", async (t) => {
  const { near, far, listener, connect } = await connection(t);
  let closed = false;
  listener.close(() => (closed = true));
  t.is(listener.address(), null);
  t.like(await once(connect({}), "error"), [{ code: "ECONNREFUSED" }]);
  t.false(closed);
  near.end();
  far.resume();
  near.resume();
  await once(listener, "close");
  t.true(closed);
  await new Promise<void>((resolve) => listener.close(resolve));
});

test("connections beyond maxConnections are reset", async (t) => {
  const { near, far, listener, connect } = await connection(t, { far: { maxConnections: 1 } });
  const second = connect({});
  t.like(await once(second, "error"), [{ code: "ECONNRESET" }]);
  t.is(await promisify(listener.getConnections.bind(listener))(), 1);
  near.end();
  await Promise.all([text(near), text(far)]);
  await turn();
  const third = connect({});
  const [accepted] = (await once(listener, "connection")) as [NodeSocket];
  third.end();
  await Promise.all([text(third), text(accepted)]);
});

test("a port in use, an address of others: thrown", (t) => {
  const { listen } = network(t);
  listen({}).close();
  const listener = listen({});
  t.throws(() => listen({}), { code: "EADDRINUSE" });
  t.throws(() => listen({ port: 8, address: "10.9.9.9" }), { code: "EADDRNOTAVAIL" });
  listener.close();
});

test("an open socket or server keeps the process alive, unless unreferenced", (t) => {
  const { connect, listen } = network(t);
  const start = held();
  const server = listen({});
  t.is(held(), start + 1);
  t.is(server.unref(), server);
  t.is(held(), start);
  server.ref().close();
  t.is(held(), start);
  const socket = connect({});
  t.is(held(), start + 1);
  t.is(socket.unref(), socket);
  t.is(held(), start);
  t.is(socket.ref(), socket);
  t.is(held(), start + 1);
  socket.setTimeout(1000);
  t.is(held(), start + 1);
  socket.destroy();
  t.is(held(), start);
});

/** Timers for which the process would stay. */
function held(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
}

test("pipes end to end: an echo through two streams", async (t) => {
  const { near, far } = await connection(t);
  const middle = new PassThrough();
  const echo = pipeline(far, middle, far);
  const sent = await text(bytes(3 * MB));
  const [received] = await Promise.all([text(near), pipeline(bytes(3 * MB), near)]);
  await echo;
  t.true(received === sent);
});

test("after the end nothing is left: TIME-WAIT on one side, memory on none", async (t) => {
  const { near, far, client, server } = await connection(t);
  t.is(near.tcpSocket!.state(), ESTABLISHED);
  near.end("x");
  far.end("y");
  t.deepEqual(await Promise.all([text(near), text(far)]), ["y", "x"]);
  t.true(near.destroyed && far.destroyed);
  for (let i = 0; i < 100; i++) await turn();
  t.deepEqual([client.stack.pool.used, server.stack.pool.used], [0, 0]);
  t.deepEqual([client.tcp.connections.size, server.tcp.connections.size], [0, 0]);
});
