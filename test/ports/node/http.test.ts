/** Unmodified clients and servers of Node over sockets of the stack. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setImmediate as turn } from "node:timers/promises";
import tls from "node:tls";
import { promisify } from "node:util";
import anyTest from "ava";
import type { ExecutionContext } from "ava";
import { connect } from "../../../ports/node/index.js";
import { need } from "../../support/need.js";
import { SERVER, bytes, connection, digest, network, text } from "./streams.js";

const test = anyTest.serial;
const MB = 1_000_000;

/** A web server on one stack, and what requests from the other need. */
function web(
  t: ExecutionContext,
  handler: http.RequestListener,
  options: Parameters<typeof network>[1] = {},
) {
  const nodes = network(t, options);
  const server = http.createServer(handler);
  const listener = nodes.listen({ port: 80 }, server);
  const createConnection = (options: http.ClientRequestArgs) => connect(nodes.client.tcp, options);
  return { ...nodes, http: server, listener, createConnection };
}

async function response(request: http.ClientRequest): Promise<http.IncomingMessage> {
  const [message] = (await once(request, "response")) as [http.IncomingMessage];
  return message;
}

test("a request and its response", async (t) => {
  const { createConnection } = web(t, (request, response) => {
    response.setHeader("content-type", "text/plain");
    response.end(`${request.method} ${request.url} from ${request.socket.remoteAddress}\n`);
  });
  const answer = await response(http.get({ host: SERVER, path: "/page", createConnection }));
  t.is(answer.statusCode, 200);
  t.is(await text(answer), "GET /page from 10.0.0.1\n");
});

test("50 MB up and 50 MB down through node:http", async (t) => {
  const { createConnection } = web(t, (request, response) => {
    void digest(request).then(async (sum) => {
      response.setHeader("x-received", sum.sha256);
      await pipeline(bytes(50 * MB, 2), response);
    });
  });
  const [up, down] = await Promise.all([digest(bytes(50 * MB, 1)), digest(bytes(50 * MB, 2))]);
  const request = http.request({ host: SERVER, method: "POST", createConnection });
  const [answer] = await Promise.all([response(request), pipeline(bytes(50 * MB, 1), request)]);
  t.is(answer.headers["x-received"], up.sha256);
  t.deepEqual(await digest(answer), down);
});

test("a keep-alive agent uses one connection again, and gives it back", async (t) => {
  let requests = 0;
  const {
    client,
    createConnection,
    listener,
    http: server,
  } = web(t, (_request, response) => {
    response.end(String(++requests));
  });
  server.keepAliveTimeout = 60_000;
  const agent = new http.Agent({ keepAlive: true, keepAliveMsecs: 1000, maxSockets: 1, timeout: 30_000 });
  agent.createConnection = createConnection as typeof agent.createConnection;
  const get = async () => text(await response(http.get({ host: SERVER, agent })));
  t.deepEqual(await Promise.all([get(), get(), get()]), ["1", "2", "3"]);
  await turn();
  t.is(await get(), "4");
  t.is(client.tcp.counters.connects, 1);
  t.is(listener.connections.size, 1);
  client.tcp.connections.each((c) => t.is(c.keepAlive, 1000));
  t.is(Object.values(agent.freeSockets).flat().length, 1);
  agent.destroy();
  await new Promise<void>((resolve) => listener.close(resolve));
});

test("pipelined and split requests", async (t) => {
  const { createConnection } = web(t, (request, response) => response.end(`[${request.url}]`));
  const socket = createConnection({ host: SERVER, port: 80 });
  socket.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHo");
  for (let i = 0; i < 20; i++) await turn();
  socket.end("st: x\r\nConnection: close\r\n\r\n");
  const answer = await text(socket);
  t.regex(answer, /\[\/a\].*\[\/b\]/s);
});

test("a body on demand: 100-continue, chunks, trailers", async (t) => {
  const { createConnection } = web(t, (request, response) => {
    void text(request).then((body) => {
      response.writeHead(200, { trailer: "x-length" });
      response.write(body);
      response.addTrailers({ "x-length": String(body.length) });
      response.end();
    });
  });
  const headers = { expect: "100-continue", "transfer-encoding": "chunked" };
  const request = http.request({ host: SERVER, method: "PUT", headers, createConnection });
  request.flushHeaders();
  await once(request, "continue");
  for (let i = 0; i < 10; i++) request.write(`chunk ${i};`);
  request.end();
  const answer = await response(request);
  t.is((await text(answer)).length, 80);
  t.deepEqual(answer.trailers, { "x-length": "80" });
});

test("an upgrade: both directions belong to the application", async (t) => {
  const { createConnection, http: server } = web(t, () => t.fail("no request"));
  server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    socket.pipe(socket);
  });
  const headers = { connection: "Upgrade", upgrade: "echo" };
  const request = http.get({ host: SERVER, headers, createConnection });
  const [answer, socket] = (await once(request, "upgrade")) as [http.IncomingMessage, net.Socket];
  t.is(answer.statusCode, 101);
  socket.end("over the wire");
  t.is(await text(socket), "over the wire");
});

test("a server that dies in the middle: ECONNRESET; one that is not there: ECONNREFUSED", async (t) => {
  const { createConnection } = web(t, (request, response) => {
    response.writeHead(200, { "content-length": 100 });
    response.write("half", () => (request.socket as { resetAndDestroy?(): void }).resetAndDestroy?.());
  });
  const request = http.get({ host: SERVER, createConnection });
  const answer = await response(request);
  const [[failure], cut] = await Promise.all([once(request, "error"), t.throwsAsync(text(answer))]);
  t.like(failure, { code: "ECONNRESET", syscall: "read" });
  t.like(cut, { code: "ECONNRESET" });
  const refused = http.get({ host: SERVER, port: 81, createConnection });
  t.like(await once(refused, "error"), [{ code: "ECONNREFUSED", port: 81, address: SERVER }]);
});

test("a client that goes away: the server's response ends with ECONNRESET", async (t) => {
  let end: (problem: NodeJS.ErrnoException) => void;
  const ended = new Promise<NodeJS.ErrnoException>((resolve) => (end = resolve));
  const { createConnection } = web(t, (_request, response) => {
    pipeline(bytes(50 * MB), response).catch((problem: NodeJS.ErrnoException) => end(problem));
  });
  const request = http.get({ host: SERVER, createConnection });
  const answer = await response(request);
  await once(answer, "data");
  request.destroy();
  t.true(["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET"].includes((await ended).code!));
});

test("time limits of client and server end a connection that says nothing", async (t) => {
  const { createConnection, http: server } = web(t, () => {});
  server.setTimeout(100);
  const silent = createConnection({ host: SERVER, port: 80 });
  await once(silent.resume(), "close");
  server.setTimeout(0);
  const request = http.get({ host: SERVER, createConnection, timeout: 100 });
  await once(request, "timeout");
  const failed = once(request, "error");
  request.destroy();
  t.like(await failed, [{ code: "ECONNRESET" }]);
});

test("a server whose headers never come to an end answers 408, as when it listens itself", async (t) => {
  const nodes = network(t);
  const limits = { headersTimeout: 200, requestTimeout: 200, connectionsCheckingInterval: 50 };
  nodes.listen(
    { port: 80 },
    http.createServer(limits, () => {}),
  );
  const socket = nodes.connect({ port: 80 });
  socket.write("GET / HTTP/1.1\r\nX: ");
  t.regex(await text(socket), /^HTTP\/1\.1 408 /);
});

test("a listener that closes closes the server, its idle connections, and lets the busy ones finish", async (t) => {
  let finish = () => {};
  const {
    createConnection,
    listener,
    http: server,
  } = web(t, (_request, response) => {
    finish = () => response.end("done");
  });
  const agent = new http.Agent({ keepAlive: true });
  agent.createConnection = createConnection as typeof agent.createConnection;
  const pending = response(http.get({ host: SERVER, agent }));
  await once(server, "request");
  let closed = false;
  listener.close(() => (closed = true));
  for (let i = 0; i < 20; i++) await turn();
  t.false(closed);
  finish();
  t.is(await text(await pending), "done");
  agent.destroy();
  await once(listener, "close");
});

test("fetch, with net.connect replaced", async (t) => {
  const { createConnection } = web(t, (request, response) => {
    void text(request).then((body) => response.end(JSON.stringify({ url: request.url, body })));
  });
  const real = net.connect;
  t.teardown(() => (net.connect = real));
  net.connect = ((options: net.TcpNetConnectOpts) =>
    options.host === SERVER
      ? createConnection({ ...options, host: options.host, timeout: undefined })
      : real(options)) as typeof net.connect;
  const body = "x".repeat(100_000);
  for (let i = 0; i < 3; i++) {
    const answer = await fetch(`http://${SERVER}/${i}`, { method: "POST", body });
    t.deepEqual(await answer.json(), { url: `/${i}`, body });
  }
});

/** A key and a certificate for device.test, made by openssl. */
async function certificate(t: ExecutionContext): Promise<{ key: Buffer; cert: Buffer }> {
  const folder = mkdtempSync(join(tmpdir(), "anystack-tls-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=device.test", "-addext", "subjectAltName=DNS:device.test"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  await promisify(execFile)("openssl", ["req", "-x509", ...kind, "-keyout", key, "-out", cert, ...subject]);
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

test("TLS over the stack: tls.connect({ socket }) and a tls.Server that is given connections", async (t) => {
  if (!need(t, { programs: ["openssl"] })) return;
  const { key, cert } = await certificate(t);
  const nodes = network(t, { delay: 5, loss: 0.01 });
  nodes.listen(
    { port: 443 },
    tls.createServer({ key, cert }, (socket) => socket.pipe(socket)),
  );
  const socket = nodes.connect({ port: 443, allowHalfOpen: true });
  const secure = tls.connect({ socket, ca: cert, servername: "device.test" });
  await once(secure, "secureConnect");
  t.true(secure.authorized);
  const sent = await digest(bytes(2 * MB));
  const received = digest(secure);
  bytes(2 * MB).pipe(secure);
  t.deepEqual(await received, sent);
});

test("https in both directions", async (t) => {
  if (!need(t, { programs: ["openssl"] })) return;
  const { key, cert } = await certificate(t);
  const nodes = network(t);
  nodes.listen(
    { port: 443 },
    https.createServer({ key, cert }, (request, response) => {
      void digest(request).then((sum) => response.end(sum.sha256));
    }),
  );
  const agent = new https.Agent({ ca: cert, keepAlive: true });
  t.teardown(() => agent.destroy());
  const ask = agent.createConnection.bind(agent) as (options: object) => net.Socket;
  agent.createConnection = ((options: https.RequestOptions) =>
    ask({ ...options, socket: connect(nodes.client.tcp, options) })) as typeof agent.createConnection;
  for (let i = 0; i < 2; i++) {
    const request = https.request({ host: SERVER, servername: "device.test", method: "POST", agent });
    const [answer] = await Promise.all([response(request), pipeline(bytes(MB), request)]);
    t.is(await text(answer), (await digest(bytes(MB))).sha256);
  }
  t.is(nodes.client.tcp.counters.connects, 1);
});

test("an echo behind a socket that is given away as a plain Duplex", async (t) => {
  const { near, far } = await connection(t);
  const server = net.createServer((socket) => socket.pipe(socket));
  server.emit("connection", far);
  near.end("plain");
  t.is(await text(near), "plain");
});
