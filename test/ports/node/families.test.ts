/** Node streams over both families: where a server listens, and which of a name's addresses wins (RFC 8305). */
import { once } from "node:events";
import anyTest from "ava";
import type { ExecutionContext } from "ava";
import { connect, listen } from "../../../ports/node/index.js";
import type { NodeSocket } from "../../../ports/node/index.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import type { Ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { loopback } from "../../../stack/link/loopback.js";
import { SERVER, network, text } from "./streams.js";

const test = anyTest.serial;
const SERVER6 = "2001:db8::2";

function dual(t: ExecutionContext) {
  const net = network(t, { components: () => [ipv6(), icmpv6(), nd(), loopback()] });
  for (const [i, { stack, nif }] of [net.client, net.server].entries()) {
    (stack.network(6) as Ipv6).addAddress(nif, `2001:db8::${i + 1}/64`);
  }
  /** Connects to a name that has these addresses; how long that took, ms. */
  const dial = async (...addresses: string[]) => {
    const start = net.world.time;
    const socket = net.connect({
      host: "device.test",
      lookup: (_name, _options, callback) =>
        callback(
          null,
          addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
        ),
    });
    await once(socket, "connect");
    return { socket, time: net.world.time - start };
  };
  return { ...net, dial };
}

test("address(): both families are ::, one is its own; ipv6Only leaves the port to IPv4", (t) => {
  const { listen } = dual(t);
  const both = listen({});
  t.deepEqual(both.address(), { address: "::", port: 7, family: "IPv6" });
  t.throws(() => listen({ family: 4 }), { code: "EADDRINUSE" });
  both.close();
  const six = listen({ address: "::", ipv6Only: true });
  const four = listen({ family: 4 });
  t.deepEqual(six.address(), { address: "::", port: 7, family: "IPv6" });
  t.deepEqual(four.address(), { address: "0.0.0.0", port: 7, family: "IPv4" });
  const one = listen({ port: 8, address: SERVER6 });
  t.deepEqual(one.address(), { address: SERVER6, port: 8, family: "IPv6" });
  t.deepEqual(listen({ port: 9, address: "::ffff:" + SERVER }).address(), {
    address: SERVER,
    port: 9,
    family: "IPv4",
  });
});

test("a server at :: is reached over either family, one of ipv6Only over IPv6 alone", async (t) => {
  const { listen, connect } = dual(t);
  listen({ address: "::" }, (socket) => socket.end(socket.remoteFamily));
  t.is(await text(connect({ host: SERVER })), "IPv4");
  t.is(await text(connect({ host: SERVER6 })), "IPv6");
  listen({ port: 8, ipv6Only: true }, (socket) => socket.end("six"));
  t.is(await text(connect({ host: SERVER6, port: 8 })), "six");
  const [error] = (await once(connect({ host: SERVER, port: 8 }), "error")) as [NodeJS.ErrnoException];
  t.is(error.code, "ECONNREFUSED");
});

test("the first address that answers stays; where nobody is costs 250 ms, a refusal nothing", async (t) => {
  const { listen, dial, client } = dual(t);
  listen({}, (socket) => socket.pipe(socket));
  const good = await dial(SERVER6, SERVER);
  t.is(good.socket.remoteAddress, SERVER6);
  t.true(good.time < 50);
  const silent = await dial("2001:db8::77", SERVER, SERVER6);
  t.is(silent.socket.remoteAddress, SERVER);
  t.true(silent.time >= 250 && silent.time < 300, String(silent.time));
  // Families in turn: the second address of the first family comes third.
  const third = await dial("2001:db8::77", "2001:db8::78", SERVER);
  t.is(third.socket.remoteAddress, SERVER);
  t.true(third.time >= 250 && third.time < 300, String(third.time));
  const refused = await dial("2001:db8::1", SERVER);
  t.is(refused.socket.remoteAddress, SERVER);
  t.true(refused.time < 50, String(refused.time));
  silent.socket.end("echo");
  t.is(await text(silent.socket), "echo");
  // What did not win is gone at once, at the server as well.
  t.true(client.tcp.connections.size <= 4);
});

test("nobody answers: the error of the last; who is destroyed while it tries leaves nothing", async (t) => {
  const { connect, client, world } = dual(t);
  const lookup = (addresses: string[]) => ({
    host: "device.test",
    lookup: ((_name, _options, callback) =>
      callback(
        null,
        addresses.map((address) => ({ address, family: 0 })),
      )) as NonNullable<Parameters<typeof connect>[0]["lookup"]>,
  });
  const refused = connect(lookup([SERVER6, SERVER]));
  const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
  t.is(error.message, `connect ECONNREFUSED ${SERVER}:7`);
  const given: NodeSocket = connect(lookup(["2001:db8::77", "10.0.0.77", "10.0.0.78"]));
  const start = world.time;
  while (world.time - start < 300) await new Promise(setImmediate);
  t.is(client.tcp.connections.size, 2);
  given.destroy();
  await once(given, "close");
  t.is(client.tcp.connections.size, 0);
});

test("localhost is 127.0.0.1, and ::1 where there is IPv6 alone", async (t) => {
  const { client, keep } = dual(t);
  const open = async () => {
    const socket = keep(connect(client.tcp, { port: 7 }));
    await once(socket, "connect");
    return socket.remoteAddress;
  };
  const server = listen(client.tcp, { port: 7 });
  server.on("connection", keep);
  t.is(await open(), "127.0.0.1");
  const { networks } = client.stack;
  networks.splice(
    networks.findIndex(({ family }) => family === 4),
    1,
  );
  t.is(await open(), "::1");
  server.close();
});
