/** Raw sockets: which datagrams they see, what they send, and that they are bounded. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { EACCES, EAFNOSUPPORT, EAGAIN, EMSGSIZE, ENETUNREACH, EPIPE } from "../../stack/core/errors.js";
import { raw as createRaw } from "../../stack/raw/raw.js";
import type { RawOptions } from "../../stack/raw/raw.js";
import { expectFrame } from "../support/expect.js";
import { PROBE_IP, STACK_IP, eth, frame, icmp, ip4, udp } from "../support/packets.js";
import { probed } from "../support/probe.js";
import { info, textOf } from "../udp/support.js";

const HELLO = Uint8Array.from("hello", (c) => c.charCodeAt(0));

function withRaw(t: ExecutionContext) {
  const sockets = createRaw();
  return { ...probed(t, { components: () => [sockets] }), sockets };
}

test("a socket sees the payload of its protocol, and where it came from", (t) => {
  const { sockets, probe } = withRaw(t);
  const seen: number[] = [];
  const socket = sockets.open({ protocol: 253, onReadable: (count) => seen.push(count) });
  const second = sockets.open({ protocol: 253 });
  const other = sockets.open({ protocol: 252 });
  probe.send(frame(eth(), ip4({ ttl: 9 }), "hello"));
  const from = info();
  t.is(textOf(socket, from), "hello");
  t.deepEqual([from.address, from.localAddress, from.port, from.ttl], [PROBE_IP, STACK_IP, 0, 9]);
  t.is(textOf(second), "hello");
  t.is(textOf(other), undefined);
  t.deepEqual(seen, [1]);
  // Somebody took it: no "protocol unreachable". Once nobody does, there is one.
  t.is(probe.take().length, 0);
  for (const each of [socket, second, other]) each.close();
  probe.send(frame(eth(), ip4(), "hello"));
  expectFrame(t, probe.next(), { icmp: { type: 3, code: 2 } });
});

test("a socket of a protocol that the stack knows sees copies", (t) => {
  const { sockets, probe, udp: datagrams } = withRaw(t);
  const socket = sockets.open({ protocol: 17 });
  const listener = datagrams.open({ port: 7 });
  const pings = sockets.open({ protocol: 1 });
  probe.send(frame(eth(), ip4(), udp(), "hello"));
  t.is(textOf(listener), "hello");
  t.is(textOf(socket)?.slice(8), "hello");
  probe.send(frame(eth(), ip4(), icmp(), "ping"));
  t.is(textOf(pings)?.slice(8), "ping");
  expectFrame(t, probe.next(), { icmp: { type: 0 }, payload: "ping" });
});

test("bound sockets see what is for their address and their interface", (t) => {
  const { sockets, probe, ip, nif, stack } = withRaw(t);
  ip.addAddress(nif, "10.0.0.9/24");
  const nine = sockets.open({ protocol: 253, address: "10.0.0.9" });
  const here = sockets.open({ protocol: 253, interface: nif });
  probe.send(frame(eth(), ip4(), "to one"));
  t.deepEqual([textOf(nine), textOf(here)], [undefined, "to one"]);
  probe.send(frame(eth(), ip4({ dst: "10.0.0.9" }), "to nine"));
  t.deepEqual([textOf(nine), textOf(here)], ["to nine", "to nine"]);
  probe.send(frame(eth({ dst: "ff:ff:ff:ff:ff:ff" }), ip4({ dst: "10.0.0.255" }), "to all"));
  t.deepEqual([textOf(nine), textOf(here)], ["to all", "to all"]);
  stack.removeInterface(nif);
  t.is(here.sendTo(PROBE_IP, HELLO), ENETUNREACH);
  t.throws(() => sockets.open({ protocol: 253, interface: nif }), { code: "EINVAL" });
});

test("what is sent gets its header, and a code when it cannot be", (t) => {
  const { sockets, probe, ip } = withRaw(t);
  ip.removeRoute("0.0.0.0/0");
  const socket = sockets.open({ protocol: 253, ttl: 7, tos: 0x28 });
  t.is(socket.sendTo(PROBE_IP, HELLO, 1, 4), 3);
  expectFrame(t, probe.next(), {
    ip4: { src: STACK_IP, dst: PROBE_IP, protocol: 253, ttl: 7, tos: 0x28 },
    payload: "ell",
  });
  t.is(socket.sendTo("10.0.0.255", HELLO), EACCES);
  t.is(socket.sendTo("192.0.2.1", HELLO), ENETUNREACH);
  t.is(socket.sendTo("::1", HELLO), EAFNOSUPPORT);
  t.is(socket.sendTo(PROBE_IP, new Uint8Array(65516)), EMSGSIZE);
  t.is(sockets.open({ protocol: 253, dontFragment: true }).sendTo(PROBE_IP, new Uint8Array(1481)), EMSGSIZE);
  probe.room = false;
  t.is(socket.sendTo(PROBE_IP, HELLO), EAGAIN);
  t.is(socket.receive(new Uint8Array(1)), EAGAIN);
  socket.close();
  socket.close();
  t.is(socket.sendTo(PROBE_IP, HELLO), EPIPE);
  t.is(socket.receive(new Uint8Array(1)), EPIPE);
});

test("a socket that nobody reads keeps its first datagrams", (t) => {
  const { sockets, probe, stack } = withRaw(t);
  const socket = sockets.open({ protocol: 253, receiveBuffer: 1000 });
  for (let i = 0; i < 1000; i++) probe.send(frame(eth(), ip4(), 84));
  t.is(socket.readable(), 10);
  t.is(sockets.counters.rxfull, 990);
  t.true(stack.pool.used <= 1);
});

test("RES-12 exotic options and arguments are refused", (t) => {
  const { sockets, probe } = withRaw(t);
  const socket = sockets.open({ protocol: 253 });
  for (const value of ["7", NaN, -1, 256, 1.5, 2 ** 53, null, {}] as never[]) {
    t.throws(() => sockets.open({ protocol: value }), { code: "EINVAL" });
    t.throws(() => sockets.open({ protocol: 253, ttl: value }), { code: "EINVAL" });
    t.throws(() => sockets.open({ protocol: 253, tos: value }), { code: "EINVAL" });
    t.throws(() => socket.sendTo(PROBE_IP, HELLO, 0, value), { code: "EINVAL" });
    t.throws(() => socket.sendTo(PROBE_IP, value, 0, 0), { code: "EINVAL" });
    t.is(socket.sendTo(value, HELLO), EAFNOSUPPORT);
  }
  const options: RawOptions = { protocol: 252 };
  const late = sockets.open(options);
  options.protocol = 7;
  Object.defineProperty(options, "interface", { get: () => t.fail() });
  probe.send(frame(eth(), ip4({ protocol: 252 }), "as it was"));
  t.is(textOf(late), "as it was");
  for (let i = sockets.sockets.length; i < 16; i++) sockets.open({ protocol: 1 });
  t.throws(() => sockets.open({ protocol: 1 }), { code: "ENOBUFS" });
});
