/** TCP as the application sees it: reads, writes, callbacks, listeners; and what no argument can break (RES-12). */
import test from "ava";
import { EAGAIN, ENOTCONN, EPIPE } from "../../stack/core/errors.js";
import { ESTABLISHED } from "../../stack/tcp/connection.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { tcp as createTcp } from "../../stack/tcp/tcp.js";
import type { TcpConfiguration } from "../../stack/tcp/tcp.js";
import { PROBE_IP } from "../support/packets.js";
import { Peer, accepted, connected, drain, lab, listening, logger, patternFrom } from "./support.js";

/** What an integer may not be. */
const EXOTIC: unknown[] = [
  "7",
  NaN,
  -1,
  1.5,
  2 ** 53,
  Infinity,
  null,
  {},
  [7],
  true,
  Symbol.iterator,
  () => 7,
  7n,
];

test("a write takes all or nothing", (t) => {
  const { socket, peer } = connected(t, { tcp: { sendBuffer: 1000, maximumSendBuffer: 1000 }, window: 0 });
  t.is(socket.writable(), 1000);
  t.is(socket.write(patternFrom(0, 600)), 600);
  t.is(socket.writable(), 400);
  t.is(socket.write(patternFrom(600, 401)), EAGAIN);
  t.is(socket.writable(), 400);
  t.is(socket.write(patternFrom(600, 400)), 400);
  t.is(socket.write(patternFrom(0, 1)), EAGAIN);
  t.is(socket.write(new Uint8Array(0)), 0);
  peer.window = 5000;
  peer.send("A");
  const seen = peer.take();
  t.is(
    seen.reduce((sum, { length }) => sum + length, 0),
    1000,
  );
  peer.send("A");
});

test("a write copies: the array is the application's own again", (t) => {
  const { socket, peer } = connected(t);
  const bytes = patternFrom(0, 100);
  socket.write(bytes, 10, 20);
  bytes.fill(0xee);
  peer.expect("PA", { payload: patternFrom(10, 10) });
});

test("writable is told when there is room again, and not for every acknowledgement", (t) => {
  const { socket, peer, events, run } = connected(t, {
    syn: { mss: 100 },
    tcp: { sendBuffer: 1000, maximumSendBuffer: 1000 },
  });
  events.length = 0;
  socket.write(patternFrom(0, 1000));
  t.is(peer.take().length, 10);
  peer.send("A", { ack: 101 });
  run(1);
  t.deepEqual(events, [], "a tenth of the buffer");
  peer.send("A", { ack: 301 });
  run(1);
  t.deepEqual(events, ["writable 300"]);
  peer.send("A", { ack: 501 });
  run(1);
  t.deepEqual(events, ["writable 300"], "told once until a write is refused again");
});

test("before and after the connection: ENOTCONN and EPIPE", (t) => {
  const home = lab(t);
  const socket = home.tcp.connect({ address: PROBE_IP, port: 9 });
  t.is(socket.writable(), 0);
  t.is(socket.readable(), 0);
  t.is(socket.write(patternFrom(0, 1)), ENOTCONN);
  t.is(socket.read(new Uint8Array(1)), 0);
  socket.close();
  socket.close();
  socket.abort();
  socket.shutdown();
  t.is(socket.write(patternFrom(0, 1)), EPIPE);
  t.is(socket.read(new Uint8Array(1)), EPIPE);
  t.is(socket.writable() + socket.readable(), 0);
  t.is(socket.localAddress(), "10.0.0.1");
  t.is(socket.remoteAddress(), PROBE_IP);
  t.is(socket.remotePort(), 9);
  socket.setNoDelay(true);
  socket.setKeepAlive(1000);
  socket.setUserTimeout(1000);
});

test("reading in pieces, into the middle of an array", (t) => {
  const { socket, peer } = accepted(t);
  peer.data(0, 100);
  const target = new Uint8Array(50).fill(9);
  t.is(socket.read(target, 10, 20), 10);
  t.deepEqual(target.slice(10, 20), patternFrom(0, 10));
  t.true(target.every((byte, i) => (i >= 10 && i < 20) || byte === 9));
  t.is(socket.read(target, 5, 5), 0);
  t.is(drain(t, socket, 10), 100);
});

test("a listener without a callback keeps what comes for accept", (t) => {
  const home = lab(t);
  const listener = home.tcp.listen({ port: 80, backlog: 2 });
  t.is(listener.accept(), null);
  for (let i = 0; i < 3; i++) {
    const peer = new Peer(home, 40_000 + i, 80);
    peer.send("S");
    if (i === 2) {
      peer.silent("the backlog is full: no SYN-ACK, no RST");
      break;
    }
    peer.expect("SA");
    peer.send("A");
    peer.send("PA", {}, "early");
    peer.take();
  }
  const first = listener.accept() as TcpSocket;
  t.is(first.remotePort(), 40_000);
  t.is(first.readable(), 5);
  const events: string[] = [];
  first.handle(logger(events));
  home.run(1);
  t.deepEqual(events, ["readable 5"]);
  const third = new Peer(home, 40_002, 80);
  third.send("S");
  third.expect("SA");
  t.is((listener.accept() as TcpSocket).remotePort(), 40_001);
  t.is(listener.accept(), null);
});

test("connections that end while they wait for accept are no longer there", (t) => {
  const home = lab(t);
  const listener = home.tcp.listen({ port: 80 });
  const peer = new Peer(home, 40_000, 80);
  peer.send("S");
  peer.expect("SA");
  peer.send("A");
  peer.send("PA", {}, "gone");
  peer.send("R");
  t.is(listener.accept(), null);
  t.is(home.stack.pool.used, 0);
});

test("a full SYN queue drops SYNs without a word, and has room again when half-open connections have expired (TCP-13)", (t) => {
  const home = lab(t);
  const listener = listening(home, 80, { backlog: 8 });
  for (let i = 0; i < 100; i++) new Peer(home, 40_000 + i, 80).send("S");
  t.is(home.probe.takeParsed().length, 8);
  t.is(listener.halfOpen, 8);
  t.is(home.tcp.counters.synDropped, 92);
  home.run(10_000);
  home.probe.take();
  t.is(listener.halfOpen, 0);
  const peer = new Peer(home, 50_000, 80);
  peer.send("S");
  peer.expect("SA");
});

test("a backlog that fills up while handshakes end keeps what it can; the others end later", (t) => {
  const home = lab(t);
  const listener = home.tcp.listen({ port: 80, backlog: 2 });
  const peers = [0, 1, 2, 3].map((i) => new Peer(home, 40_000 + i, 80));
  for (const peer of peers.slice(0, 2)) {
    peer.send("S");
    peer.expect("SA");
  }
  peers[0].send("A");
  peers[2].send("S");
  peers[2].expect("SA");
  peers[1].send("A");
  peers[2].send("A");
  t.is(listener.waiting.length, 2);
  t.is(listener.halfOpen, 1);
  listener.accept();
  home.run(1000);
  peers[2].expect("SA");
  peers[2].send("A");
  t.is(listener.waiting.length, 2);
  home.run(60_000);
});

test("callbacks that throw are reported, and keep nothing from going on", (t) => {
  const home = lab(t, { leaks: { panics: true } });
  let thrown = 0;
  const bomb = () => {
    thrown++;
    throw new Error("bomb");
  };
  const handlers = { onConnect: bomb, onReadable: bomb, onWritable: bomb, onEnd: bomb, onClose: bomb };
  home.tcp.listen({
    port: 80,
    onConnection(socket) {
      socket.handle(handlers);
      bomb();
    },
  });
  const peer = new Peer(home, 40_000, 80);
  peer.send("S");
  peer.expect("SA");
  peer.send("A");
  peer.send("PA", {}, "x");
  home.run(50);
  peer.expect("A");
  const other = connected(t, { lab: home, connect: handlers });
  other.socket.shutdown();
  other.peer.take();
  other.peer.send("FA");
  home.run(1);
  t.is(thrown, 6);
  t.is(home.world.panics.length, 6);
});

test("a handler may close, abort, write or listen from within its call", (t) => {
  const home = lab(t);
  const seen: string[] = [];
  home.tcp.listen({
    port: 80,
    onConnection(socket) {
      this.close();
      socket.handle({
        onReadable() {
          seen.push("readable");
          this.write(patternFrom(0, 10));
          this.close();
        },
        onEnd: () => void seen.push("end"),
        onClose: () => void seen.push("close"),
      });
    },
  });
  const peer = new Peer(home, 40_000, 80);
  peer.send("S");
  peer.expect("SA");
  peer.send("A");
  peer.send("FA", {}, "hello");
  const replies = peer.take();
  home.run(1);
  t.deepEqual(seen, ["readable"]);
  t.true(
    replies.concat(peer.take()).some((reply) => reply.flags.includes("R")),
    "unread data: RST",
  );
  t.is(home.tcp.connections.size, 0);
});

test("handlers may be exchanged at any time; the new ones hear what comes", (t) => {
  const { socket, peer, events, run } = accepted(t);
  const later: string[] = [];
  peer.data(0, 5);
  socket.handle(logger(later));
  run(1);
  t.deepEqual(later, ["readable 5"]);
  peer.data(5, 5);
  t.deepEqual(later, ["readable 5", "readable 10"]);
  t.deepEqual(events, ["readable 5"]);
  drain(t, socket, 0);
});

test("RES-12: exotic options of connect and listen are refused at once, and leave nothing behind", (t) => {
  const home = lab(t);
  for (const bad of EXOTIC) {
    for (const key of ["port", "localPort", "keepAlive", "userTimeout", "ttl", "tos"]) {
      if (bad === undefined) continue;
      const options = { address: PROBE_IP, port: 9, [key]: bad } as never;
      t.throws(() => home.tcp.connect(options), { code: "EINVAL" }, key + " " + String(bad));
    }
    for (const key of ["port", "backlog"]) {
      t.throws(() => home.tcp.listen({ port: 80, [key]: bad } as never), { code: "EINVAL" }, key);
    }
    if (typeof bad !== "string") {
      const error = t.throws(() => home.tcp.connect({ address: bad, port: 9 } as never)) as { code?: string };
      t.true(["EINVAL", "EAFNOSUPPORT"].includes(error.code ?? ""), String(bad) + ": " + String(error));
    }
  }
  for (const port of [0, 65_536]) {
    t.throws(() => home.tcp.connect({ address: PROBE_IP, port }), { code: "EINVAL" });
  }
  t.throws(() => home.tcp.listen({ port: 65_536 }), { code: "EINVAL" });
  t.throws(() => home.tcp.listen({ port: 80, backlog: 0 }), { code: "EINVAL" });
  for (const address of [
    "",
    "10.0.0",
    "10.0.0.0.1",
    "10.0.0.256",
    "host",
    "10.0.0.1 ",
    "\0",
    "1".repeat(10_000),
  ]) {
    t.throws(() => home.tcp.connect({ address, port: 9 }), { code: "EAFNOSUPPORT" }, address.slice(0, 20));
  }
  t.is(home.tcp.connections.size + home.tcp.listeners.size, 0);
  t.is(home.stack.timers.count(), 0);
});

test("RES-12: exotic arguments of a socket are refused, and its state is as before", (t) => {
  const { socket, peer, c } = accepted(t);
  peer.data(0, 100);
  const before = JSON.stringify({
    ...c,
    tcp: 0,
    path: 0,
    sndBuf: 0,
    rcvBuf: 0,
    timer: 0,
    socket: 0,
    nextInBucket: 0,
  });
  for (const bad of EXOTIC) {
    if (bad === null) t.throws(() => socket.write(bad as never));
    else {
      t.throws(() => socket.write(bad as never), { code: "EINVAL" });
      t.throws(() => socket.read(bad as never), { code: "EINVAL" });
    }
    const data = new Uint8Array(10);
    if (bad !== undefined) {
      t.throws(() => socket.write(data, bad as never), { code: "EINVAL" });
      t.throws(() => socket.write(data, 0, bad as never), { code: "EINVAL" });
      t.throws(() => socket.read(data, 0, bad as never), { code: "EINVAL" });
      t.throws(() => socket.setKeepAlive(bad as never), { code: "EINVAL" });
      t.throws(() => socket.setUserTimeout(bad as never), { code: "EINVAL" });
    }
  }
  const data = new Uint8Array(10);
  for (const [start, end] of [
    [5, 4],
    [0, 11],
    [-1, 5],
    [11, 11],
  ]) {
    t.throws(() => socket.write(data, start, end), { code: "EINVAL" });
    t.throws(() => socket.read(data, start, end), { code: "EINVAL" });
  }
  t.throws(() => socket.write(new Uint16Array(10) as never), { code: "EINVAL" });
  t.throws(() => socket.write(new ArrayBuffer(10) as never), { code: "EINVAL" });
  t.throws(() => socket.write({ length: 10, subarray: () => data } as never), { code: "EINVAL" });
  const detached = new Uint8Array(10);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  t.is(socket.write(detached), 0);
  t.throws(() => socket.write(detached, 0, 10), { code: "EINVAL" });
  const after = JSON.stringify({
    ...c,
    tcp: 0,
    path: 0,
    sndBuf: 0,
    rcvBuf: 0,
    timer: 0,
    socket: 0,
    nextInBucket: 0,
  });
  t.is(after, before);
  t.is(drain(t, socket, 0), 100);
});

test("RES-12: a shared buffer that changes, and a subclass of Uint8Array, are read once", (t) => {
  const { socket, peer } = accepted(t);
  const shared = new Uint8Array(new SharedArrayBuffer(100));
  shared.set(patternFrom(0, 100));
  socket.write(shared);
  shared.fill(0);
  peer.expect("PA", { payload: patternFrom(0, 100) });
  class Strange extends Uint8Array {}
  const strange = new Strange(100);
  strange.set(patternFrom(100, 100));
  peer.send("A");
  socket.write(strange);
  peer.expect("PA", { payload: patternFrom(100, 100) });
  peer.send("A");
});

test("RES-12: handlers that are getters that throw, or no functions, harm nobody but themselves", (t) => {
  const home = lab(t, { leaks: { panics: true } });
  const cursed = {
    get onReadable(): never {
      throw new Error("getter");
    },
    onEnd: "no function" as never,
  };
  const { peer, socket, run } = connected(t, { lab: home });
  socket.handle(cursed as never);
  peer.data(0, 5);
  run(1);
  peer.send("FA");
  run(50);
  peer.take();
  t.is(socket.readable(), 5);
  const other = accepted(t, { lab: home, port: 41_000 });
  other.peer.data(0, 5);
  t.deepEqual(other.events, ["readable 5"]);
});

test("RES-12: a configuration that is wrong is refused when the stack is made", (t) => {
  const keys: (keyof TcpConfiguration)[] = [
    "limit",
    "sendBuffer",
    "maximumSendBuffer",
    "receiveBuffer",
    "maximumReceiveBuffer",
    "minimumRto",
    "initialRto",
    "delayedAck",
    "synRetries",
    "synAckRetries",
    "userTimeout",
    "timeWait",
    "timeWaitLimit",
    "resetRate",
  ];
  for (const key of keys) {
    for (const bad of EXOTIC) {
      t.throws(() => lab(t, { tcp: { [key]: bad } as never }), { code: "EINVAL" }, key + " " + String(bad));
    }
  }
  t.throws(() => lab(t, { tcp: { delayedAck: 501 } }), { code: "EINVAL" });
});

test("a component belongs to one stack, and needs a network", (t) => {
  const part = createTcp();
  lab(t, { components: () => [] });
  const home = lab(t);
  t.throws(() => home.tcp.attach(home.stack), { code: "EBUSY" });
  t.throws(() => part.start.call({ stack: { networks: [] } } as never), { code: "ENOPROTOOPT" });
});

test("an accepted connection works before and after its handlers are set", (t) => {
  const { socket, peer } = accepted(t);
  t.is(socket.state(), ESTABLISHED);
  t.is(socket.localPort(), 80);
  t.is(socket.error(), 0);
  socket.write(patternFrom(0, 3));
  peer.expect("PA", { length: 3 });
  peer.send("A");
});
