/** Ping and raw sockets against the kernel. */
import test from "ava";
import { EHOSTUNREACH } from "../../../stack/index.js";
import { ping } from "../../../stack/raw/ping.js";
import type { EchoReply } from "../../../stack/raw/ping.js";
import { raw } from "../../../stack/raw/raw.js";
import { datagramInfo } from "../support/apps.js";
import { createHost, KERNEL } from "../support/host.js";

test("the kernel answers our pings, of sizes 0 to 65,507", async (t) => {
  const pings = ping();
  await createHost(t, { components: [pings], stack: { budget: 4 << 20 } });
  const sizes = [0, 1, 56, 1472, 1473, 20000, 65507];
  let done = (_reply: EchoReply) => {};
  const socket = pings.open({ address: KERNEL, receiveBuffer: 1 << 17, onReply: (reply) => done(reply) });
  for (const [i, size] of sizes.entries()) {
    const data = new Uint8Array(size).map((_, at) => at * 7);
    const answer = new Promise<EchoReply>((resolve) => (done = resolve));
    t.is(socket.send(data), i);
    const reply = await answer;
    t.is(reply.sequence, i);
    t.is(reply.address, KERNEL);
    t.is(reply.ttl, 64);
    t.true(reply.rtt >= 0 && reply.rtt < 5000);
    t.is(Buffer.compare(reply.data, data), 0);
  }
  socket.close();
});

test("what the kernel cannot deliver is an error of the request", async (t) => {
  const pings = ping();
  const { ns, ip } = await createHost(t, { components: [pings] });
  ns.sysctl("net.ipv4.ip_forward", 1);
  ns.ip("route", "add", "unreachable", "10.99.0.0/16");
  ip.addRoute("0.0.0.0/0", { gateway: KERNEL });
  const errors = new Promise<number[]>((resolve) => {
    const socket = pings.open({
      address: "10.99.0.1",
      onReply: () => t.fail(),
      onError(code, sequence) {
        this.close();
        resolve([code, sequence]);
      },
    });
    socket.send();
  });
  t.deepEqual(await errors, [EHOSTUNREACH, 0]);
});

test("raw datagrams to the kernel and back", async (t) => {
  const sockets = raw();
  const { stack } = await createHost(t, { components: [sockets] });
  const socket = sockets.open({ protocol: 1 });
  // An echo request by hand: type 8, id 0x1234, sequence 1, no data.
  const request = Uint8Array.of(8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1);
  const reply = new Promise<Uint8Array>((resolve) => {
    const timer = setInterval(() => {
      const target = new Uint8Array(100);
      const info = datagramInfo();
      const length = socket.receive(target, info);
      if (length < 0) return;
      clearInterval(timer);
      t.is(info.address, KERNEL);
      resolve(target.subarray(0, length));
    }, 5);
  });
  t.is(socket.sendTo(KERNEL, request), 8);
  t.deepEqual(await reply, Uint8Array.of(0, 0, 0xed, 0xca, 0x12, 0x34, 0, 1));
  socket.close();
  t.is(stack.counters.raw!.received, 1);
});
