/** The WebSocket cable with the WebSockets of the package ws at both ends, which have a browser's interface. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import { WebSocket, WebSocketServer } from "ws";
import { openWebSocketLink, WebSocketLink } from "../../../ports/browser/index.js";

globalThis.WebSocket ??= WebSocket as never;

async function relay(t: ExecutionContext) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  t.teardown(() => server.close());
  const sockets: WebSocket[] = [];
  const frames: Buffer[] = [];
  server.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("message", (data: Buffer) => frames.push(data));
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, sockets, frames };
}

function log() {
  const heard = { frames: [] as Uint8Array[], carriers: [] as boolean[], writables: 0 };
  return {
    ...heard,
    receive(frame: Uint8Array, start: number, end: number) {
      this.frames.push(frame.slice(start, end));
    },
    carrier(up: boolean) {
      this.carriers.push(up);
    },
    writable() {
      this.writables++;
    },
    lost() {},
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

test("frames both ways; text is no frame; the carrier goes with the socket and comes with a new one", async (t) => {
  const { url, sockets, frames } = await relay(t);
  const link = await openWebSocketLink(url);
  t.teardown(() => link.close());
  const heard = log();
  link.open(heard);
  const memory = new Uint8Array(100).fill(7);
  t.is(link.transmit(memory, 10, 70), 0);
  memory.fill(0);
  await until(() => frames.length === 1 && sockets.length === 1);
  t.deepEqual(new Uint8Array(frames[0]), new Uint8Array(60).fill(7));
  sockets[0].send("text");
  sockets[0].send(Buffer.from([1, 2, 3]));
  await until(() => heard.frames.length === 1);
  t.deepEqual(heard.frames, [Uint8Array.of(1, 2, 3)]);
  t.is(link.receiveErrors, 1);

  sockets[0].close();
  await until(() => !link.connected);
  t.deepEqual(heard.carriers, [false]);
  t.is(link.transmit(memory, 0, 60), 0);
  t.is(link.transmitErrors, 1);
  const fresh = new globalThis.WebSocket(url);
  t.throws(() => link.attach(fresh), { code: "ENOTCONN" });
  await new Promise((resolve) => (fresh.onopen = resolve));
  link.attach(fresh);
  t.deepEqual(heard.carriers, [false, true]);
  await until(() => sockets.length === 2);
  sockets[1].send(Buffer.from([4]));
  await until(() => heard.frames.length === 2);
});

test("a link without a socket is down from the start, and closes a socket that comes too late", async (t) => {
  const { url } = await relay(t);
  const link = new WebSocketLink();
  const heard = log();
  link.open(heard);
  t.deepEqual(heard.carriers, [false]);
  link.close();
  link.close();
  const late = new globalThis.WebSocket(url);
  await new Promise((resolve) => (late.onopen = resolve));
  link.attach(late);
  await new Promise((resolve) => (late.onclose = resolve));
  t.false(link.connected);
});

test("a full queue refuses frames until it is half empty", async (t) => {
  const { url, sockets } = await relay(t);
  const link = await openWebSocketLink(url);
  t.teardown(() => link.close());
  const heard = log();
  link.open(heard);
  await until(() => sockets.length === 1);
  sockets[0].pause();
  const frame = new Uint8Array(60_000);
  let sent = 0;
  while (link.transmit(frame, 0, frame.length) === 0 && sent < 1000) {
    sent++;
    await sleep(0);
  }
  t.true(sent < 1000, "what nobody reads does not queue without bound");
  t.is(heard.writables, 0);
  sockets[0].resume();
  await until(() => heard.writables === 1);
  t.is(link.transmit(frame, 0, 60), 0);
});

test("nobody answers", async (t) => {
  await t.throwsAsync(openWebSocketLink("ws://127.0.0.1:1/"), { code: "ECONNREFUSED" });
});
