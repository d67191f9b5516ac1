/** TCP as web streams, between two stacks on a MessagePort cable. */
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import { browserHost, openPortLink, tcpStreams } from "../../../ports/browser/index.js";
import type { TcpStreamSocket } from "../../../ports/browser/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { findLeaks } from "../../support/leaks.js";

/** Two hosts; what the first's listener accepts comes out of `accepted`. */
function pair(t: ExecutionContext) {
  const { port1, port2 } = new MessageChannel();
  const [server, client] = [port1, port2].map((port, i) => {
    const panics: unknown[] = [];
    const host = browserHost({ panic: (_message, error) => panics.push(error) });
    const ip = ipv4();
    const sockets = tcp();
    const stack = host.drive(
      createStack(host, [ethernet(), arp(), ip, icmp(), sockets], { packetMemory: 4 << 20 }),
    );
    ip.addAddress(stack.addInterface(openPortLink(port as never)), `10.0.0.${i + 1}/24`);
    t.teardown(async () => {
      for (let i = 0; i < 500 && (stack.pool.used > 0 || stack.deferred); i++) await sleep(10);
      const leaks = findLeaks(stack, { timers: Infinity });
      stack.close();
      host.close();
      if (panics.length > 0) throw panics[0];
      if (leaks.length > 0) throw new Error(leaks.join("; "));
    });
    return sockets;
  });
  const accepted: TcpStreamSocket[] = [];
  const listener = server.listen({
    port: 7,
    onConnection: (socket) => accepted.push(tcpStreams(socket, true)),
  });
  t.teardown(() => listener.close());
  const connect = (port = 7) => tcpStreams(client.connect({ address: "10.0.0.1", port }));
  const accept = async () => {
    while (accepted.length === 0) await sleep(1);
    return accepted.shift()!;
  };
  return { connect, accept };
}

const bytes = (length: number) => new Uint8Array(length).map((_, i) => i * 7 + (i >> 8));

test("an echo of a megabyte; half closes; addresses", async (t) => {
  const { connect, accept } = pair(t);
  const near = connect();
  const { readable, writable, ...where } = await near.opened;
  t.like(where, { remoteAddress: "10.0.0.1", remotePort: 7, localAddress: "10.0.0.2" });
  const far = await accept();
  const streams = await far.opened;
  const echo = streams.readable.pipeTo(streams.writable);
  const data = bytes(1e6);
  const writer = writable.getWriter();
  const sent = writer.write(data).then(() => writer.close());
  const back = new Uint8Array(await new Response(readable as never).arrayBuffer());
  t.deepEqual(back, data);
  await Promise.all([sent, echo, near.closed, far.closed]);
});

test("what nobody reads stops the writer", async (t) => {
  const { connect, accept } = pair(t);
  const near = connect();
  const writer = (await near.opened).writable.getWriter();
  const far = await (await accept()).opened;
  let done = false;
  const all = writer.write(bytes(3e6)).then(() => (done = true));
  await sleep(200);
  t.false(done);
  const reader = far.readable.getReader();
  for (let count = 0; count < 3e6;) count += (await reader.read()).value!.length;
  await all;
  await writer.close();
  t.true((await reader.read()).done);
  await far.writable.close();
  await near.closed;
});

test("refused: opened and closed both say so", async (t) => {
  const { connect } = pair(t);
  const near = connect(8);
  await t.throwsAsync(near.opened, { code: "ECONNREFUSED" });
  await t.throwsAsync(near.closed, { code: "ECONNREFUSED" });
  near.close();
});

test("abort resets: the peer's reader and writer fail", async (t) => {
  const { connect, accept } = pair(t);
  const near = connect();
  const { writable } = await near.opened;
  const far = await accept();
  const streams = await far.opened;
  const read = streams.readable.getReader().read();
  await writable.abort();
  await t.throwsAsync(read, { code: "ECONNRESET" });
  await t.throwsAsync(far.closed, { code: "ECONNRESET" });
  await t.throwsAsync(streams.writable.getWriter().write(bytes(1)), { code: "ECONNRESET" });
});

test("close: what was written arrives, and our own streams are over", async (t) => {
  const { connect, accept } = pair(t);
  const near = connect();
  const { readable, writable } = await near.opened;
  const far = await (await accept()).opened;
  const read = readable.getReader().read();
  await writable.getWriter().write(bytes(5000));
  near.close();
  near.close();
  await t.throwsAsync(read, { code: "EPIPE" });
  const text = new Uint8Array(await new Response(far.readable as never).arrayBuffer());
  t.deepEqual(text, bytes(5000));
  await far.writable.close();
});

test("a reader that has lost interest does not keep the peer from sending", async (t) => {
  const { connect, accept } = pair(t);
  const near = connect();
  const { readable, writable } = await near.opened;
  const far = await (await accept()).opened;
  await readable.cancel();
  const writer = far.writable.getWriter();
  await writer.write(bytes(2e6));
  await writer.close();
  await writable.close();
  await near.closed;
  t.pass();
});
