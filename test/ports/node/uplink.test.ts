/** The user-mode uplink: a stack's hosts reach servers of this machine by Node's own sockets. The servers are node:net's and node:dgram's. */
import { createSocket } from "node:dgram";
import type { Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { networkInterfaces } from "node:os";
import type { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import test from "ava";
import type { ExecutionContext } from "ava";
import { connect, listen, nodeHost, openUplink } from "../../../ports/node/index.js";
import type { OpenUplinkOptions } from "../../../ports/node/index.js";
import { isSpecial } from "../../../ports/node/uplink/address.js";
import { errorName } from "../../../stack/core/error-name.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ping } from "../../../stack/raw/ping.js";
import type { EchoReply } from "../../../stack/raw/ping.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import { pause, until } from "../../support/until.js";

const ROUTER = "10.0.2.2";
const ROUTER6 = "fd00:2::2";

/** A host at the end of the uplink's cable; the uplink's own addresses stand for this machine's loopback. */
function createGuest(t: ExecutionContext, options: OpenUplinkOptions = {}) {
  const far = openUplink({ loopback: [ROUTER, ROUTER6], ...options });
  const host = nodeHost();
  const four = ipv4();
  const six = ipv6();
  const parts = { tcp: tcp(), udp: udp(), ping: ping() };
  const stack = host.drive(
    createStack(host, [
      ...[ethernet(), arp(), four, fragments(), icmp(), six, icmpv6(), nd()],
      ...[parts.tcp, parts.udp, parts.ping],
    ]),
  );
  const nif = stack.addInterface(far.link);
  four.addAddress(nif, "10.0.2.15/24");
  four.addRoute("0.0.0.0/0", { gateway: ROUTER });
  six.addAddress(nif, "fd00:2::15/64");
  six.addRoute("::/0", { gateway: ROUTER6 });
  t.teardown(() => {
    stack.close();
    far.close();
  });
  return { ...parts, uplink: far.uplink };
}

async function serve(
  t: ExecutionContext,
  accept: (socket: Socket) => void,
  host = "127.0.0.1",
): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, accept);
  server.listen(0, host);
  await once(server, "listening");
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function echoServer(t: ExecutionContext, host = "127.0.0.1"): Promise<[DatagramSocket, number]> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(0, host);
  await once(socket, "listening");
  t.teardown(() => socket.close());
  return [socket, socket.address().port];
}

/** All that comes before the end; unlike `stream/consumers` it leaves the other half open. */
const collect = (socket: Duplex) =>
  new Promise<Buffer>((resolve) => {
    const pieces: Buffer[] = [];
    socket.on("data", (piece: Buffer) => pieces.push(piece)).on("end", () => resolve(Buffer.concat(pieces)));
  });

test("TCP over both families: data and half-closes of both sides", async (t) => {
  const guest = createGuest(t);
  for (const [near, router] of [
    ["127.0.0.1", ROUTER],
    ["::1", ROUTER6],
  ]) {
    // The server answers only when the client has ended: both halves are apart.
    const port = await serve(t, (socket) => void collect(socket).then((all) => socket.end(all)), near);
    const socket = connect(guest.tcp, { host: router, port, allowHalfOpen: true });
    const body = Buffer.alloc(3_000_000, "half-close ");
    socket.end(body);
    const got = await collect(socket);
    t.is(got.length, body.length, near);
    t.true(got.equals(body));
  }
  t.is(guest.uplink.counters.connected, 2);
  await until("both ends", () => guest.uplink.sizes().connections === 0);
});

test("a refusal is a refusal before any handshake, a reset is a reset, both ways", async (t) => {
  const guest = createGuest(t);
  const closed = await serve(t, () => {});
  const sockets: Socket[] = [];
  const port = await serve(t, (socket) => sockets.push(socket.on("error", () => {})));
  const unused = createServer().listen(0, "127.0.0.1");
  await once(unused, "listening");
  const nobody = (unused.address() as AddressInfo).port;
  await new Promise((resolve) => unused.close(resolve));
  t.not(closed, nobody);
  const refused = connect(guest.tcp, { host: ROUTER, port: nobody });
  const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
  t.is(error.code, "ECONNREFUSED");
  t.is(guest.uplink.counters.refused, 1);

  const first = connect(guest.tcp, { host: ROUTER, port });
  await once(first, "connect");
  await until("the server's end", () => sockets.length === 1);
  sockets[0].resetAndDestroy();
  const [reset] = (await once(first, "error")) as [NodeJS.ErrnoException];
  t.is(reset.code, "ECONNRESET");

  const second = connect(guest.tcp, { host: ROUTER, port });
  await once(second, "connect");
  await until("the server's end", () => sockets.length === 2);
  const outside = once(sockets[1], "error");
  second.resetAndDestroy();
  t.is(((await outside)[0] as NodeJS.ErrnoException).code, "ECONNRESET");
  await until("both ends", () => guest.uplink.sizes().connections === 0);
});

test("who reads slowly holds back who sends, in both directions", async (t) => {
  const guest = createGuest(t);
  let taken = 0;
  const port = await serve(t, (socket) => {
    socket.pause();
    const fill = () => {
      while (socket.write(Buffer.alloc(65536))) taken += 65536;
    };
    socket.on("drain", fill).on("error", () => {});
    fill();
  });
  // Nobody reads on our side: the server's writes come to an end.
  const socket = connect(guest.tcp, { host: ROUTER, port });
  socket.on("error", () => {});
  await once(socket, "connect");
  let [before, still] = [0, 0];
  await until("the server's writes to end", () => {
    still = taken === before ? still + 1 : 0;
    before = taken;
    return still >= 50 && taken > 0;
  });
  let written = 0;
  while (written < 32 << 20 && socket.writableLength < 4 << 20) {
    if (!socket.write(Buffer.alloc(65536))) await pause(5);
    written += 65536;
  }
  const stuck = socket.writableLength;
  t.true(stuck > 0, "the server does not read, so we wait");
  t.true(taken < 32 << 20 && written - stuck < 32 << 20);
  socket.resetAndDestroy();
});

test("UDP: one socket a source, answers of whom it has written to alone, and no more than fit", async (t) => {
  const guest = createGuest(t, { mappings: 2 });
  const [, port] = await echoServer(t);
  const [, port6] = await echoServer(t, "::1");
  const ask = (address: string, to: number, body: Uint8Array, localPort = 0) =>
    new Promise<string>((resolve) => {
      const target = new Uint8Array(65536);
      const info = { address: "", port: 0 };
      const socket = guest.udp.open({
        port: localPort || undefined,
        onReadable() {
          const length = this.receive(target, info as never);
          resolve(`${info.address} ${info.port} ${Buffer.compare(target.subarray(0, length), body)}`);
          this.close();
        },
      });
      t.true(socket.sendTo(address, to, body) >= 0);
    });
  t.is(await ask(ROUTER, port, new Uint8Array(0), 5000), `${ROUTER} ${port} 0`);
  // Fragments are put together on the way, in both directions.
  t.is(await ask(ROUTER, port, new Uint8Array(20_000).fill(7), 5000), `${ROUTER} ${port} 0`);
  t.is(await ask(ROUTER6, port6, new Uint8Array(1000).fill(8), 5000), `${ROUTER6} ${port6} 0`);
  t.is(guest.uplink.sizes().mappings, 2);
  const more = guest.udp.open();
  more.sendTo(ROUTER, port, new Uint8Array(1));
  await until("the refusal", () => guest.uplink.counters.full === 1);
  t.is(guest.uplink.sizes().mappings, 2);
  more.close();
});

test("UDP: a mapping ends by silence", async (t) => {
  const guest = createGuest(t, { udpTimeout: 200 });
  const [, port] = await echoServer(t);
  let answers = 0;
  const socket = guest.udp.open({ onReadable: () => answers++ });
  await until("an answer", async () => {
    socket.sendTo(ROUTER, port, new Uint8Array(1));
    await pause(10);
    return answers > 0;
  });
  await until("its end", () => guest.uplink.sizes().mappings === 0);
  t.is(guest.uplink.counters.full, 0);
  socket.close();
});

test("DNS: the address of the resolver leads to the host's, by UDP", async (t) => {
  const [, port] = await echoServer(t);
  const guest = createGuest(t, { resolvers: () => [`127.0.0.1:${port}`] });
  const answer = await new Promise<string>((resolve) => {
    const target = new Uint8Array(512);
    const socket = guest.udp.open({
      onReadable() {
        resolve(Buffer.from(target.subarray(0, this.receive(target))).toString());
      },
    });
    socket.sendTo("10.0.2.3", 53, Buffer.from("query"));
  });
  t.is(answer, "query");
});

test("what is forbidden: special addresses, and what `allow` says; the sender is told", async (t) => {
  const asked: string[] = [];
  const guest = createGuest(t, {
    loopback: [],
    allow: ({ protocol, address, port }) => {
      asked.push(`${protocol} ${address} ${port}`);
      return false;
    },
  });
  for (const host of ["192.0.2.1", "2001:db8::1"]) {
    const socket = connect(guest.tcp, { host, port: 80 });
    const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
    t.is(error.code, "ECONNREFUSED", host);
  }
  const told = await new Promise<number>((resolve) => {
    const socket = guest.udp.open({ onError: (code) => resolve(code) });
    socket.sendTo("192.0.2.1", 53, new Uint8Array(1));
  });
  t.is(errorName(told), "EHOSTUNREACH");
  // A machine that is slow to answer may be asked again.
  t.deepEqual([...new Set(asked)], ["tcp 192.0.2.1 80", "tcp 2001:db8::1 80", "udp 192.0.2.1 53"]);
  t.is(guest.uplink.counters.denied, asked.length);
});

test("special addresses are nobody's, in whatever form", (t) => {
  const special = ["127.0.0.1", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255"];
  for (const address of [
    ...special,
    "::1",
    "::",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "fe80::1%eth0",
    "ff02::1",
  ]) {
    t.true(isSpecial(address), address);
  }
  for (const address of ["10.0.0.1", "192.0.2.1", "fd00::1", "2001:db8::1"])
    t.false(isSpecial(address), address);
});

test("echo requests go out by the program, and back as they were", async (t) => {
  const guest = createGuest(t);
  const data = new Uint8Array(100).map((_, i) => i);
  for (const address of [ROUTER, ROUTER6]) {
    const reply = await new Promise<EchoReply>((resolve) => {
      guest.ping.open({ address, onReply: resolve }).send(data);
    });
    t.deepEqual(reply.data, data);
    t.is(reply.address, address);
  }
  // The uplink's own stack has answered: its addresses are its own for this.
  t.is(guest.uplink.counters.echoes, 0);
  const [own] = Object.values(networkInterfaces()).flatMap((each) =>
    each!.filter(({ internal }) => !internal),
  );
  if (!own) return;
  const reply = await new Promise<EchoReply>((resolve) => {
    guest.ping.open({ address: own.address, onReply: resolve }).send(data);
  });
  t.deepEqual(reply.data, data);
  t.is(reply.address, own.address);
  t.is(guest.uplink.counters.echoReplies, 1);
});

test("ports inwards: TCP and UDP of this machine reach a host behind", async (t) => {
  const guest = createGuest(t);
  const inner = listen(guest.tcp, { port: 7 }, (socket) => socket.pipe(socket));
  t.teardown(() => inner.close());
  const heard = guest.udp.open({
    port: 7,
    onReadable() {
      const bytes = new Uint8Array(100);
      const info = { address: "", port: 0 };
      const length = this.receive(bytes, info as never);
      this.sendTo(info.address, info.port, bytes, 0, length);
    },
  });
  const door = await guest.uplink.forward({ protocol: "tcp", port: 0, to: "10.0.2.15", toPort: 7 });
  const socket = createConnection(door.port, "127.0.0.1");
  socket.end("through the door");
  t.is((await buffer(socket)).toString(), "through the door");
  const window = await guest.uplink.forward({ protocol: "udp", port: 0, to: "10.0.2.15", toPort: 7 });
  const client = createSocket("udp4");
  client.send("through the window", window.port, "127.0.0.1");
  t.is(String((await once(client, "message"))[0]), "through the window");
  client.close();
  heard.close();
  await t.throwsAsync(
    guest.uplink.forward({ protocol: "tcp", port: door.port, to: "10.0.2.15", toPort: 7 }),
    {
      code: "EADDRINUSE",
    },
  );
  await t.throwsAsync(guest.uplink.forward({ protocol: "udp", port: 70000, to: "10.0.2.15", toPort: 7 }), {
    code: "EINVAL",
  });
  door.close();
  const refused = createConnection(door.port, "127.0.0.1");
  t.is(((await once(refused, "error"))[0] as NodeJS.ErrnoException).code, "ECONNREFUSED");
});
