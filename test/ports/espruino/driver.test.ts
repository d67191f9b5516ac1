/** The device under Espruino's own network modules, called as Espruino calls it: see loop.ts. */
import { PerformanceObserver } from "node:perf_hooks";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { networkDriver } from "../../../ports/espruino/index.js";
import type { DriverOptions, NetworkDriver } from "../../../ports/espruino/index.js";
import { dns } from "../../../stack/service/dns.js";
import type { TcpSocket } from "../../../stack/tcp/socket.js";
import { type NetworkOptions, type Node, pair } from "../../support/network.js";
import type { SimLink, WireOptions, World } from "../../../ports/sim/index.js";
import { Loop, type Peer, datagram } from "./loop.js";

interface Bench {
  a: Node;
  b: Node;
  device: NetworkDriver;
  loop: Loop;
  world: World;
  links: SimLink[];
  /** Turns the idle loop once a millisecond until `done`. */
  until(done: () => boolean, limit?: number): boolean;
}

/** Espruino on `a`, another stack on `b`. */
function bench(
  t: ExecutionContext | null,
  options: NetworkOptions & WireOptions = {},
  own: Partial<DriverOptions> = {},
): Bench {
  const names = dns({
    hosts: [
      { name: "b.test", address: "10.0.0.2" },
      { name: "six.test", address: "2001:db8::1" },
    ],
    servers: [],
  });
  const network = pair(t, { ...options, components: () => (options.components?.() ?? []).concat([]) });
  const { a, b, world } = network;
  a.stack.components.push(names);
  names.attach(a.stack);
  names.start();
  const device = networkDriver({ tcp: a.tcp, udp: a.udp, names, ...own });
  const loop = new Loop(device);
  const until = (done: () => boolean, limit = 60000) => {
    for (let i = 0; i < limit && !done(); i++) {
      loop.turn();
      world.run(1);
    }
    return done();
  };
  return { a, b, device, loop, until, world, links: network.links };
}

const bytes = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** Collects what a socket receives, as 8-bit text. */
function reader(socket: TcpSocket): { text: string; ended: boolean; code: number | null } {
  const state = { text: "", ended: false, code: null as number | null };
  const buffer = new Uint8Array(4096);
  socket.handle({
    onReadable() {
      for (let n = this.read(buffer); n > 0; n = this.read(buffer))
        state.text += String.fromCharCode(...buffer.subarray(0, n));
    },
    onEnd() {
      state.ended = true;
    },
    onClose(code) {
      state.code = code;
    },
  });
  return state;
}

test("a client: not connected is -11 until it is, then data, then the end", (t) => {
  const { b, device, loop, until } = bench(t, { delay: 20 });
  let accepted: TcpSocket | null = null;
  b.tcp.listen({
    port: 80,
    onConnection(socket) {
      accepted = socket;
      socket.write(bytes("hello\0\xff"));
      socket.shutdown();
    },
  });
  const peer = loop.connect("10.0.0.2", 80);
  t.is(device.recv(peer.number, 536, 0), -11);
  t.is(device.send(peer.number, "early", 0), 0);
  peer.write("question");
  t.true(until(() => peer.closed));
  t.is(peer.received, "hello\0\xff");
  t.deepEqual(peer.events, ["connect", "drain", "close"]);
  t.is(reader(accepted!).text, "");
});

test("TLS (type + 4) is told nothing instead of -11: it takes every code for the end", (t) => {
  const { b, device, loop, until } = bench(t, { delay: 20 });
  b.tcp.listen({ port: 443, onConnection: (socket) => void socket.write(bytes("hi")) });
  const peer = loop.connect("10.0.0.2", 443, 4);
  t.is(device.recv(peer.number, 536, 4), "");
  peer.write("hello");
  t.true(until(() => peer.received === "hi"));
  t.is(peer.events[0], "connect");
});

test("a server: accept hands out connections one by one; chunks go both ways", (t) => {
  const { a, b, loop, until } = bench(t, { delay: 5 });
  const peers: Peer[] = [];
  t.true(
    loop.listen(
      8080,
      (peer) => {
        peers.push(peer);
        peer.onData = (text) => peer.write(text.toUpperCase());
      },
      1,
    ) >= 0,
  );
  const states = ["one", "two", "three"].map((word) => {
    const socket = b.tcp.connect({ address: a.address, port: 8080 });
    const state = reader(socket);
    socket.handle({
      ...socket.handlers,
      onConnect() {
        this.write(bytes(word.repeat(500)));
      },
    });
    return { socket, state, word };
  });
  t.true(until(() => states.every(({ state, word }) => state.text === word.toUpperCase().repeat(500))));
  t.is(new Set(peers.map(({ number }) => number)).size, 3);
  for (const peer of peers) peer.end();
  t.true(until(() => states.every(({ state }) => state.ended)));
});

test("names are resolved inside create, and IPv6 literals understood", (t) => {
  const { b, loop, until } = bench(t);
  b.tcp.listen({ port: 80, onConnection: (socket) => socket.shutdown() });
  const named = loop.connect("b.test", 80);
  const bracketed = loop.connect("[10.0.0.2]", 80);
  t.true(until(() => named.closed && bracketed.closed));
  t.deepEqual(named.events, ["connect", "close"]);
  t.deepEqual(bracketed.events, ["connect", "close"]);
  const unknown = loop.connect("nowhere.test", 80);
  t.true(until(() => unknown.closed));
  t.deepEqual(unknown.events, ["error -4", "close"], "no server for names is no route");
  t.deepEqual(loop.connect("2001:db8::1", 80).events, ["error -4"], "the stack has no IPv6");
  const without = bench(t, {}, { names: undefined });
  t.deepEqual(without.loop.connect("b.test", 80).events, ["error -6"]);
});

test("errors have Espruino's codes", (t) => {
  const { b, a, device, loop, until } = bench(t, {}, { sockets: 4 });
  const refused = loop.connect("10.0.0.2", 9);
  t.true(until(() => refused.closed));
  t.deepEqual(refused.events, ["error -9", "close"]);
  t.is(device.create("10.0.0.2", 0, 0), -12);
  t.is(device.create(null, 70000, 0), -12);
  t.is(device.create("192.0.2.1", 80, 0), 0);
  t.is(device.recv(0, 536, 0), -11);
  a.world.run(10);
  t.is(device.recv(0, 536, 0), -4, "no route");
  device.close(0);
  t.true(device.create(null, 80, 0) >= 0);
  t.is(device.create(null, 80, 0), -5);
  const numbers = [81, 82, 83].map((port) => device.create(null, port, 0));
  t.true(numbers.every((number) => number >= 0));
  t.is(device.create(null, 84, 0), -7);
  t.is(device.counters.refused, 1);
  device.close(numbers[0]!);
  b.tcp.listen({ port: 80, onConnection: (socket) => socket.abort() });
  const reset = loop.connect("10.0.0.2", 80);
  t.true(until(() => reset.closed));
  t.deepEqual(reset.events, ["connect", "error -9", "close"]);
  t.is(device.recv(99, 536, 0), -1);
  t.is(device.send(99, "x", 0), -1);
  t.is(device.accept(99), -1);
  device.close(99);
});

test("a connection waits for a number, and gets it when another ends", (t) => {
  const { a, b, device, loop, until } = bench(t, {}, { sockets: 2 });
  const peers: Peer[] = [];
  loop.listen(80, (peer) => peers.push(peer));
  const first = b.tcp.connect({ address: a.address, port: 80 });
  const second = b.tcp.connect({ address: a.address, port: 80 });
  t.true(until(() => peers.length === 1));
  until(() => false, 100);
  t.is(peers.length, 1);
  first.close();
  t.true(until(() => peers.length === 2));
  t.is(device.counters.refused, 0);
  second.close();
});

test("what came before a reset is read before it is told", (t) => {
  const { b, loop, until } = bench(t);
  let accepted: TcpSocket | null = null;
  b.tcp.listen({ port: 80, onConnection: (socket) => void (accepted = socket) });
  const peer = loop.connect("10.0.0.2", 80);
  t.true(until(() => accepted !== null && peer.connected));
  peer.paused = true;
  accepted!.write(bytes("x".repeat(5000)));
  until(() => false, 50);
  accepted!.abort();
  until(() => false, 50);
  peer.write("never heard");
  until(() => false, 50);
  peer.paused = false;
  t.true(until(() => peer.closed));
  t.is(peer.received.length, 5000);
  t.is(peer.events.at(-1), "close");
  t.true(peer.events.includes("error -9"));
});

test("datagrams carry their address; one a call, whole; a name's is refused", (t) => {
  const { a, b, device, loop, until } = bench(t);
  const socket = loop.bind(5000);
  const other = b.udp.open({ port: 6000 });
  socket.pending.push(datagram("10.0.0.2", 6000, "ping\xff"));
  socket.pending.push(datagram("10.0.0.2", 6000, ""));
  socket.pending.push(datagram("255.255.255.255", 6000, "to a name"));
  socket.pending.push(datagram("10.0.0.2", 0, "to no port"));
  socket.pending.push(datagram("10.0.0.255", 6000, "to all"));
  socket.pending.push(datagram("10.0.0.2", 6000, "long".repeat(350)));
  t.true(until(() => socket.pending.length === 0));
  const buffer = new Uint8Array(8000);
  const got: string[] = [];
  const info = { address: "", port: 0 } as never;
  until(() => false, 20);
  for (let n = other.receive(buffer, info); n >= 0; n = other.receive(buffer, info))
    got.push(String.fromCharCode(...buffer.subarray(0, n)));
  t.deepEqual(got, ["ping\xff", "", "long".repeat(350)]);
  t.deepEqual(socket.events, ["error -6", "error -12"]);
  for (const text of ["a", "", "b".repeat(528), "c".repeat(529)]) other.sendTo(a.address, 5000, bytes(text));
  t.true(until(() => socket.messages.length === 4));
  t.deepEqual(
    socket.messages.map(({ address, port, text }) => [address, port, text.length]),
    [
      ["10.0.0.2", 6000, 1],
      ["10.0.0.2", 6000, 0],
      ["10.0.0.2", 6000, 528],
      ["10.0.0.2", 6000, 528],
    ],
  );
  t.is(device.counters.truncated, 1);
  t.is(networkDriver({ tcp: a.tcp }).create(null, 1, 2), -4, "no UDP here");
});

test("a datagram that the link has no room for is offered again", (t) => {
  const { b, a, loop, until } = bench(t);
  const socket = loop.bind(5000);
  const other = b.udp.open({ port: 6000 });
  socket.pending.push(datagram("10.0.0.2", 6000, "first"));
  t.true(until(() => other.readable() === 1));
  const link = a.link as unknown as { fault: string };
  link.fault = "refuse";
  socket.pending.push(datagram("10.0.0.2", 6000, "second".repeat(200)));
  until(() => false, 20);
  t.is(socket.pending.length, 1);
  link.fault = "";
  t.true(until(() => other.readable() === 2));
  t.deepEqual(socket.events, []);
});

test("close gives everything back, at any time", (t) => {
  const { a, device, loop, until } = bench(t, { delay: 50 });
  const numbers = [
    device.create("10.0.0.2", 80, 0),
    device.create("b.test", 80, 0),
    device.create("nowhere.test", 80, 0),
    device.create(null, 80, 1),
    device.create(null, 53, 2),
  ];
  t.true(numbers.every((number) => number >= 0));
  for (const number of numbers) device.close(number);
  for (const number of numbers) device.close(number);
  until(() => false, 100);
  t.is(a.tcp.connections.size, 0);
  t.is(a.udp.sockets.size, 0);
  t.is(loop.peers.length, 0);
});

test.serial("an idle socket's turn makes nothing", async (t) => {
  const { b, a, device, loop, until } = bench(t);
  b.tcp.listen({ port: 80, onConnection: () => {} });
  const peer = loop.connect("10.0.0.2", 80);
  const server = loop.listen(80, () => {});
  const udp = loop.bind(5000);
  const waiting = device.create("10.0.0.99", 80, 0);
  t.true(until(() => peer.connected));
  let collections = 0;
  const observer = new PerformanceObserver((list) => (collections += list.getEntries().length));
  observer.observe({ entryTypes: ["gc"] });
  const { number } = peer;
  let sum = 0;
  for (let i = 0; i < 5_000_000; i++) {
    if (device.recv(number, 536, 0) !== "") sum++;
    if (device.accept(server) !== -1) sum++;
    if (device.recv(udp.number, 536, 2) !== "") sum++;
    if (device.recv(waiting, 536, 0) !== -11) sum++;
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  observer.disconnect();
  t.is(sum, 0);
  // 16 bytes a call would be 320 MB, and twenty collections.
  t.true(collections < 6, `${collections} collections`);
  t.is(a.tcp.connections.size, 2);
});

test("whatever is written arrives, over links that lose, whoever writes how much when", (t) => {
  const sizes = fc.array(fc.nat(3000), { maxLength: 12 });
  fc.assert(
    fc.property(fc.nat(1e6), sizes, sizes, fc.nat(10), fc.integer({ min: 60, max: 4000 }), (...drawn) => {
      const [seed, ours, theirs, loss, budget] = drawn;
      const { b, a, loop, until, links, world } = bench(null, {
        worldOptions: { seed },
        delay: 3,
        loss: loss / 100,
        stack: { packetMemory: budget * 64, chunkSize: 64 },
      });
      let state = { text: "", ended: false };
      const want = ["", ""];
      let character = 0;
      const make = (size: number) =>
        String.fromCharCode(...Array.from({ length: size }, () => (character = (character * 5 + 3) & 255)));
      b.tcp.listen({
        port: 80,
        onConnection(socket) {
          state = reader(socket);
          let left = (want[1] = theirs.map(make).join(""));
          const flush = () => {
            while (left !== "") {
              const n = Math.min(socket.writable(), left.length) || 1;
              if (socket.write(bytes(left.slice(0, n))) < 0) return;
              left = left.slice(n);
            }
          };
          socket.handle({ ...socket.handlers, onWritable: flush });
          flush();
        },
      });
      const peer = loop.connect("10.0.0.2", 80);
      // A handshake may fail for good on such a link; what is established may not.
      if (!until(() => peer.connected || peer.closed) || peer.closed) {
        a.stack.close();
        b.stack.close();
        return peer.closed && loss > 0;
      }
      for (const { out } of links) out.loss = loss / 100;
      world.at(10_000, () => links.forEach(({ out }) => (out.loss = 0)));
      for (const size of ours) {
        const text = make(size);
        want[0] += text;
        peer.write(text);
        until(() => false, size % 50);
      }
      const done = until(
        () => peer.received === want[1] && state.text === want[0] && peer.pending === "",
        900000,
      );
      a.stack.close();
      b.stack.close();
      return done;
    }),
    { numRuns: 40, examples: [[719268, [1], [], 9, 60]] },
  );
  t.pass();
});

test("hostile numbers, types and texts are answered, never thrown at", (t) => {
  const { device, until } = bench(t);
  const number = fc.oneof(
    fc.integer({ min: -3, max: 20 }),
    fc.constantFrom(NaN, 1.5, 2 ** 31, undefined as never),
  );
  const call = fc.oneof(
    fc.tuple(
      fc.constant("create"),
      fc.oneof(fc.constantFrom(null, undefined, "", "10.0.0.2", "[", "a..b", "%"), fc.string()),
      fc.integer({ min: -1, max: 70000 }),
      fc.integer({ min: 0, max: 7 }),
    ),
    fc.tuple(fc.constantFrom("close", "accept"), number),
    fc.tuple(
      fc.constant("recv"),
      number,
      fc.constantFrom(0, 1, 7, 8, 9, 536, 5000),
      fc.constantFrom(0, 1, 2, 4, 5),
    ),
    fc.tuple(
      fc.constant("send"),
      number,
      fc.string({ maxLength: 40, unit: "binary" }),
      fc.constantFrom(0, 1, 2, 4),
    ),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      for (const [name, ...parameters] of calls) {
        const result = (device as unknown as Record<string, (...p: unknown[]) => unknown>)[name as string]!(
          ...parameters,
        );
        if (name === "recv") {
          if (typeof result === "string" ? result.length > 536 : (result as number) >= 0) return false;
        } else if (name !== "close" && !Number.isInteger(result)) return false;
      }
      until(() => false, 5);
      for (let i = 0; i < 16; i++) device.close(i);
      return true;
    }),
    { numRuns: 300 },
  );
  t.pass();
});
