/** The loopback interface: this host as its own peer. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { EAGAIN, ECONNREFUSED } from "../../stack/core/errors.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { loopback } from "../../stack/link/loopback.js";
import { pattern } from "../support/bytes.js";
import { findLeaks } from "../support/leaks.js";
import type { NetworkOptions } from "../support/network.js";
import { STACK_IP, eth, frame, ip4, udp } from "../support/packets.js";
import { probed } from "../support/probe.js";

function setUp(t: ExecutionContext, options: NetworkOptions = {}) {
  const node = probed(t, { ...options, components: () => [loopback(), fragments()] });
  const received: { from: string; to: string; data: Uint8Array }[] = [];
  const target = new Uint8Array(65536);
  const info = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
  const server = node.udp.open({
    port: 7,
    receiveBuffer: 1 << 20,
    onReadable() {
      for (let n = this.receive(target, info); n >= 0; n = this.receive(target, info)) {
        received.push({ from: info.address, to: info.localAddress, data: target.slice(0, n) });
      }
    },
  });
  return { ...node, server, received };
}

test("127.0.0.0/8 and the host's own addresses lead back, with the address as source", (t) => {
  const { udp: sockets, received, world, probe, stack } = setUp(t);
  const socket = sockets.open();
  for (const to of ["127.0.0.1", "127.1.2.3", STACK_IP]) {
    t.is(socket.sendTo(to, 7, pattern(100)), 100);
    t.deepEqual(received, [], "not inside the call");
    world.run(1);
    t.deepEqual(received.splice(0), [{ from: to, to, data: pattern(100) }]);
  }
  t.deepEqual(probe.take(), [], "nothing on the wire");
  t.deepEqual(findLeaks(stack), []);
});

test("datagrams of every size go in one piece", (t) => {
  const { udp: sockets, received, world } = setUp(t);
  const socket = sockets.open();
  for (const size of [0, 1, 1473, 65507]) {
    t.is(socket.sendTo("127.0.0.1", 7, pattern(size)), size);
    world.run(1);
    t.deepEqual(received.pop()?.data, pattern(size));
  }
});

test("errors come back as well", (t) => {
  const { udp: sockets, world } = setUp(t);
  const errors: [number, string, number][] = [];
  const socket = sockets.open({ onError: (code, address, port) => errors.push([code, address, port]) });
  for (const to of ["127.0.0.1", "127.1.2.3", STACK_IP]) {
    socket.sendTo(to, 99, pattern(1));
    world.run(1);
    t.deepEqual(errors.splice(0), [[ECONNREFUSED, to, 99]]);
  }
});

test("IP4-06 what claims to come from the loopback network, or goes to it, is refused from the wire", (t) => {
  const { probe, ip, received, world } = setUp(t);
  for (const ends of [{ src: "127.0.0.1" }, { dst: "127.0.0.1" }, { src: STACK_IP }]) {
    const before = ip.counters.martian;
    probe.send(frame(eth(), ip4(ends), udp(), "x"));
    t.is(ip.counters.martian, before + 1);
  }
  world.run(1);
  t.deepEqual(received, []);
  t.deepEqual(probe.take(), []);
});

test("a full queue says so, and says when it has room", (t) => {
  const {
    udp: sockets,
    received,
    world,
    stack,
  } = setUp(t, { stack: { packetMemory: 65536, chunkSize: 512 } });
  let writable = 0;
  const socket = sockets.open({ onWritable: () => writable++ });
  let sent = 0;
  while (socket.sendTo("127.0.0.1", 7, pattern(1000)) === 1000) sent++;
  t.is(sent, 15, "a quarter of the budget");
  t.is(socket.sendTo("127.0.0.1", 7, pattern(1000)), EAGAIN);
  world.run(1);
  t.is(writable, 1);
  t.is(received.length, sent);
  t.deepEqual(findLeaks(stack), []);
});

test("on a small host the loopback's MTU is what its queue holds, and larger datagrams go in fragments", (t) => {
  const {
    udp: sockets,
    received,
    world,
    stack,
  } = setUp(t, { stack: { packetMemory: 65536, chunkSize: 512 } });
  t.is(stack.findInterface("lo")?.mtu, 16384 - 4);
  const socket = sockets.open({ port: 9 });
  // Two fragments of this size do not fit at once.
  t.is(socket.sendTo("127.0.0.1", 7, pattern(17000)), EAGAIN);
  world.run(1);
  t.is(socket.sendTo("127.0.0.1", 7, pattern(16352)), 16352);
  world.run(1);
  t.is(received.length, 1);
  world.run(31000);
  t.deepEqual(findLeaks(stack), []);
});

test("RES-02 without memory frames are dropped and counted, and it goes on afterwards", (t) => {
  const {
    udp: sockets,
    received,
    world,
    stack,
  } = setUp(t, { stack: { packetMemory: 65536, chunkSize: 512 } });
  const held = [];
  for (let chunk = stack.pool.get(0); chunk; chunk = stack.pool.get(0)) held.push(chunk);
  const socket = sockets.open();
  t.is(socket.sendTo("127.0.0.1", 7, pattern(10)), 10);
  world.run(1);
  t.is(stack.counters.lo.noMemory, 1);
  for (const chunk of held) stack.pool.put(chunk);
  socket.sendTo("127.0.0.1", 7, pattern(10));
  world.run(1);
  t.is(received.length, 1);
});

test("two sockets that answer each other for ever leave the host its time", (t) => {
  const { udp: sockets, world, stack } = setUp(t);
  const target = new Uint8Array(10);
  let count = 0;
  const echo = (port: number, to: number) =>
    sockets.open({
      port,
      onReadable() {
        while (this.receive(target) >= 0) {
          count++;
          this.sendTo("127.0.0.1", to, target);
        }
      },
    });
  echo(1001, 1002);
  echo(1002, 1001).sendTo("127.0.0.1", 1001, target);
  while (count < 1000 && world.step());
  t.is(count, 1000);
  t.false(stack.busy);
  stack.close();
});

test("RES-08 the loopback interface can go like any other", (t) => {
  const { udp: sockets, stack, ip, world } = setUp(t);
  const socket = sockets.open();
  socket.sendTo("127.0.0.1", 7, pattern(100));
  stack.removeInterface(stack.findInterface("lo")!);
  t.is(ip.loopback, null);
  t.true(socket.sendTo("127.0.0.1", 7, pattern(100)) < 0);
  world.run(1);
  t.deepEqual(findLeaks(stack), []);
});
