/** The modules that are driven by events: sockets, servers and datagrams as a script of Espruino's has them. */
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { type DgramSocket, type Socket, dgramModule, netModule } from "../../../ports/espruino/index.js";
import type { NetOptions } from "../../../ports/espruino/index.js";
import type { WireOptions } from "../../../ports/sim/index.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { dns } from "../../../stack/service/dns.js";
import { type NetworkOptions, pair } from "../../support/network.js";

function bench(
  t: ExecutionContext | null,
  options: NetworkOptions & WireOptions = {},
  own: Partial<NetOptions> = {},
) {
  const hosts = [{ name: "b.test", address: "10.0.0.2" }];
  const network = pair(t, { ...options, components: () => [igmp(), dns({ hosts })] });
  const { a, b } = network;
  const names = (node: typeof a) =>
    node.stack.components.find(({ name }) => name === "dns") as ReturnType<typeof dns>;
  return {
    ...network,
    net: netModule({ tcp: a.tcp, names: names(a), ...own }),
    far: netModule({ tcp: b.tcp }),
    dgram: dgramModule({ udp: a.udp, names: names(a) }),
    farDgram: dgramModule({ udp: b.udp }),
  };
}

/** Writes down what happens to a socket. */
function watch(socket: Socket): { events: string[]; text: string } {
  const seen = { events: [] as string[], text: "" };
  for (const name of ["connect", "drain", "end"]) socket.on(name, () => seen.events.push(name));
  socket.on("error", ({ code, message }) => seen.events.push(`error ${code} ${message}`));
  socket.on("close", (failed) => seen.events.push(`close ${failed}`));
  return seen;
}

function listening(socket: Socket) {
  const seen = watch(socket);
  socket.on("data", (text: string) => (seen.text += text));
  return seen;
}

test("a client and a server: data, end, close, in this order at both ends", (t) => {
  const { net, far, run } = bench(t, { delay: 10 });
  let served = { events: [] as string[], text: "" };
  const server = far.createServer((socket) => {
    served = listening(socket);
    t.is(socket.remoteAddress, "10.0.0.1");
    socket.write("hello ");
    socket.on("end", () => socket.end("bye"));
  });
  const heard: string[] = [];
  server.on("listening", () => heard.push(`listening ${server.port}`)).on("close", () => heard.push("close"));
  server.listen(80);
  t.deepEqual(heard, []);
  const client = net.connect({ host: "b.test", port: 80 }, (socket) => t.is(socket, client));
  const seen = listening(client);
  t.true(client.connecting);
  client.end("question");
  run(2000);
  t.deepEqual(seen, { events: ["connect", "end", "close false"], text: "hello bye" });
  t.deepEqual(served, { events: ["end", "close false"], text: "question" });
  server.close();
  server.close();
  run(10);
  t.deepEqual(heard, ["listening 80", "close"]);
  t.throws(() => client.write("late"), { code: "EPIPE" } as never);
});

test("what nobody listens for waits, and is read by hand or told to whoever comes", (t) => {
  const { net, far, run } = bench(t);
  far.createServer((socket) => socket.end("abcdefghij")).listen(80);
  const client = net.connect("tcp://10.0.0.2:80/");
  const seen = watch(client);
  run(1000);
  t.deepEqual(seen.events, ["connect"], "the end comes behind the data");
  t.is(client.available(), 10);
  t.is(client.read(3), "abc");
  let text = "";
  client.on("data", (data: string) => (text += data));
  t.is(text, "", "never from inside a call");
  run(1000);
  t.is(text, "defghij");
  t.deepEqual(seen.events, ["connect", "end", "close false"]);
});

test("failures have Espruino's codes and words", (t) => {
  const { net, a, run } = bench(t);
  const results = ["10.0.0.2", "192.0.2.1", "nowhere.test", "fe80::1"].map((host) =>
    watch(net.connect({ host, port: 9 })),
  );
  run(5000);
  t.deepEqual(
    results.map(({ events }) => events),
    [
      ["error -9 connection reset", "end", "close true"],
      ["error -4 no route", "end", "close true"],
      ["error -4 no route", "end", "close true"],
      ["error -4 no route", "end", "close true"],
    ],
  );
  const unnamed = watch(netModule({ tcp: a.tcp }).connect({ host: "b.test", port: 9 }));
  run(10);
  t.is(unnamed.events[0], "error -6 not found");
  t.throws(() => net.connect({ host: "10.0.0.2", port: 0 }), { code: "EINVAL" } as never);
  t.throws(() => net.connect("nothing"), { code: "EINVAL" } as never);
  t.throws(() => net.createServer().listen(-1), { code: "EINVAL" } as never);
  const first = net.createServer();
  first.listen(80);
  t.throws(() => first.listen(81), { code: "EALREADY" } as never);
  const errors: number[] = [];
  net
    .createServer()
    .on("error", ({ code }) => errors.push(code))
    .listen(80);
  run(10);
  t.deepEqual(errors, [-5]);
});

test("pipe goes no faster than its destination, and ends it", (t) => {
  const { net, far, run } = bench(t, { stack: { packetMemory: 65536, chunkSize: 256 } });
  const server = far.createServer((socket) => socket.pipe(socket));
  server.listen(7);
  const client = net.connect({ host: "10.0.0.2", port: 7 });
  const seen = listening(client);
  let left = 300_000;
  const more = () => {
    while (left > 0) {
      left -= 1000;
      if (!client.write(String.fromCharCode(left % 256).repeat(1000))) return;
    }
    client.end();
  };
  client.on("connect", more).on("drain", more);
  run(60_000);
  t.is(seen.text.length, 300_000);
  t.is(seen.events.at(-1), "close false");
  let completed = 0;
  const taken: string[] = [];
  far.createServer((socket) => socket.end("0123456789")).listen(8);
  const source = net.connect({ host: "10.0.0.2", port: 8 });
  const sink = { write: (text: string) => void taken.push(text), end: () => taken.push("END") };
  t.is(source.pipe(sink, { chunkSize: 4, complete: () => completed++ }), sink);
  run(1000);
  t.deepEqual(taken, ["0123", "4567", "89", "END"]);
  t.is(completed, 1);
});

test("writes beyond the queue are refused whole, bytes and arrays are taken", (t) => {
  const { net, far, run } = bench(t, {}, { queue: 100 });
  let text = "";
  far.createServer((socket) => void socket.on("data", (data: string) => (text += data))).listen(80);
  const client = net.connect({ host: "10.0.0.2", port: 80 });
  t.false(client.write("a".repeat(60)));
  t.throws(() => client.write("b".repeat(41)), { code: "ENOBUFS" } as never);
  t.false(client.write(Uint8Array.of(99, 255)));
  client.write([100, 101]);
  client.write(Uint8Array.of(102).buffer);
  client.write(7);
  run(1000);
  t.is(text, "a".repeat(60) + "c\xffdef7");
  t.true(client.write("b".repeat(100)), "sent at once");
  client.destroy();
  run(1000);
});

test("pause, resume, destroy and listeners that come and go", (t) => {
  const { net, far, run } = bench(t);
  const accepted: Socket[] = [];
  far.createServer((socket) => void accepted.push(socket)).listen(80);
  const client = net.connect({ host: "10.0.0.2", port: 80 });
  const seen = listening(client);
  run(100);
  client.pause();
  client.setNoDelay().setKeepAlive(true, 1000);
  accepted[0]!.write("one");
  run(100);
  t.is(seen.text, "");
  client.resume();
  run(100);
  t.is(seen.text, "one");
  let extra = 0;
  const handler = () => extra++;
  client.on("data", handler);
  client.removeListener("data", handler);
  t.true(client.emit("error", { code: 0, message: "mine" }));
  client.removeAllListeners("data");
  accepted[0]!.write("two");
  run(100);
  t.is(client.available(), 3);
  t.is(extra, 0);
  const peer = watch(accepted[0]!);
  client.destroy();
  client.destroy();
  run(100);
  t.is(seen.events.at(-1), "close false");
  t.deepEqual(peer.events, ["error -9 connection reset", "end", "close true"]);
  const dialling = net.connect({ host: "10.0.0.99", port: 80 });
  const never = watch(dialling);
  dialling.destroy();
  run(10_000);
  t.deepEqual(never.events, ["close false"]);
});

test("whatever both ends write arrives in order, over links that lose", (t) => {
  const writes = fc.array(fc.nat(4000), { maxLength: 10 });
  fc.assert(
    fc.property(fc.nat(1e6), writes, writes, fc.nat(10), (seed, ours, theirs, loss) => {
      const { net, far, a, b, world, links } = bench(null, {
        worldOptions: { seed },
        delay: 3,
        loss: loss / 100,
      });
      const make = (sizes: number[]) =>
        sizes.map((size, i) => String.fromCharCode(i, 255 - i).repeat(size / 2));
      const served = { events: [] as string[], text: "" };
      far
        .createServer((socket) => {
          // A handshake, or the look for a neighbour, may fail for good on such a link; what is established may not.
          for (const { out } of links) out.loss = loss / 100;
          world.at(10_000, () => links.forEach(({ out }) => (out.loss = 0)));
          socket.on("data", (text: string) => (served.text += text));
          socket.on("close", (failed) => served.events.push(`close ${failed}`));
          for (const text of make(theirs)) socket.write(text);
          socket.on("end", () => socket.end());
        })
        .listen(80);
      const client = net.connect({ host: "10.0.0.2", port: 80 });
      const seen = listening(client);
      for (const text of make(ours)) client.write(text);
      client.end();
      const done = world.runUntil(
        () => served.events.length > 0 && seen.events.at(-1) === "close false",
        600_000,
      );
      a.stack.close();
      b.stack.close();
      return done && seen.text === make(theirs).join("") && served.text === make(ours).join("");
    }),
    { numRuns: 60 },
  );
  t.pass();
});

function messages(socket: DgramSocket): string[] {
  const seen: string[] = [];
  socket.on("message", (text, { address, port, size }) => seen.push(`${address}:${port} ${size} ${text}`));
  socket.on("error", ({ code }) => seen.push(`error ${code}`));
  for (const name of ["listening", "close"]) socket.on(name, () => seen.push(name));
  return seen;
}

test("datagrams: to addresses, names, all and groups", (t) => {
  const { dgram, farDgram, run } = bench(t);
  const one = dgram.createSocket("udp4").bind(5000);
  const two = farDgram.createSocket({ type: "udp4", reuseAddr: true }).bind({ port: 6000 });
  const seen = messages(one);
  const heard = messages(two);
  two.addMembership("239.1.2.3");
  two.addMembership("239.1.2.4", "10.0.0.2");
  two.addMembership("239.1.2.5", "eth0");
  run(10);
  t.deepEqual(one.address(), { address: "0.0.0.0", port: 5000, family: "IPv4" });
  one.send("plain", 6000, "10.0.0.2");
  one.send("by name", 6000, "b.test");
  one.send("xxpartxx", 2, 4, 6000, "10.0.0.2");
  one.setBroadcast();
  one.send("all", 6000, "255.255.255.255");
  for (const group of ["239.1.2.3", "239.1.2.4", "239.1.2.5", "239.1.2.6"]) one.send(group, 6000, group);
  two.send(Uint8Array.of(0, 255), 5000, "10.0.0.1");
  run(100);
  t.deepEqual(heard.sort(), [
    "10.0.0.1:5000 3 all",
    "10.0.0.1:5000 4 part",
    "10.0.0.1:5000 5 plain",
    "10.0.0.1:5000 7 by name",
    "10.0.0.1:5000 9 239.1.2.3",
    "10.0.0.1:5000 9 239.1.2.4",
    "10.0.0.1:5000 9 239.1.2.5",
    "listening",
  ]);
  t.deepEqual(seen, ["listening", "10.0.0.2:6000 2 \0\xff"]);
  two.dropMembership("239.1.2.3");
  t.throws(() => two.dropMembership("239.1.2.3"), { code: "EINVAL" } as never);
  t.throws(() => two.addMembership("239.1.2.3", "10.9.9.9"), { code: "EADDRNOTAVAIL" } as never);
  two.close();
  two.close();
  one.send("nobody", 6000, "10.0.0.2");
  one.send("unknown", 6000, "nowhere.test");
  one.send("far", 6000, "192.0.2.1");
  run(5000);
  t.deepEqual(seen.slice(2).sort(), ["error -4", "error -4", "error -9"]);
  t.is(heard.at(-1), "close");
  t.throws(() => two.send("x", 1, "10.0.0.1"), { code: "EPIPE" } as never);
  t.throws(() => dgram.createSocket("udp5"), { code: "EINVAL" } as never);
  t.throws(() => one.send("x", 0, "10.0.0.1"), { code: "EINVAL" } as never);
  t.throws(() => one.send("x", 0, 2, 5, "10.0.0.1"), { code: "EINVAL" } as never);
  const taken = messages(dgram.createSocket("udp4").bind(5000));
  run(10);
  t.deepEqual(taken, ["error -5"]);
  t.deepEqual(messages(dgram.createSocket("udp6").bind(1)), []);
});
