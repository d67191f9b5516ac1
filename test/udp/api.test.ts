/** UDP as the application sees it: what it may ask for, what it is told, and what no argument of it can break. */
import test from "ava";
import {
  EACCES,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EMSGSIZE,
  ENETUNREACH,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
} from "../../stack/core/errors.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import type { UdpOptions } from "../../stack/udp/socket.js";
import { udp as createUdp } from "../../stack/udp/udp.js";
import { expectFrame } from "../support/expect.js";
import { pair } from "../support/network.js";
import { PROBE_IP, STACK_IP, eth, frame, ip4, udp } from "../support/packets.js";
import { probed } from "../support/probe.js";
import { info, textOf } from "./support.js";

const HELLO = Uint8Array.from("hello", (c) => c.charCodeAt(0));
const LONG = 2 ** 53;
/** What an integer may not be. */
const EXOTIC = [
  "7",
  NaN,
  -1,
  1.5,
  LONG,
  Infinity,
  null,
  {},
  [7],
  true,
  Symbol.iterator,
  () => 7,
  new Date(7),
];

test("two hosts talk", (t) => {
  const { a, b, run } = pair(t, { delay: 5 });
  const errors: unknown[] = [];
  const server = b.udp.open({
    port: 7,
    onReadable(count) {
      t.is(count, 1);
      const from = info();
      t.is(textOf(this, from), "hello");
      this.sendTo(from.address, from.port, HELLO, 1, 3);
    },
  });
  const client = a.udp.open({ onError: (...what) => errors.push(...what) });
  t.is(client.sendTo("10.0.0.2", 7, HELLO), 5);
  run(100);
  const from = info();
  t.is(textOf(client, from), "el");
  t.deepEqual([from.address, from.port, from.localAddress], ["10.0.0.2", 7, "10.0.0.1"]);
  server.close();
  client.sendTo("10.0.0.2", 7, HELLO);
  run(100);
  t.deepEqual(errors, [-111, "10.0.0.2", 7]);
});

test("connect does not lead what is sent elsewhere astray", (t) => {
  const { udp: sockets, probe } = probed(t);
  const socket = sockets.open({ port: 9 });
  socket.sendTo(PROBE_IP, 7, HELLO);
  t.is(socket.connect("10.0.0.3", 7), 0);
  socket.sendTo(PROBE_IP, 7, HELLO);
  probe.answersArp = null;
  t.is(socket.send(HELLO), 5);
  for (const dst of [PROBE_IP, PROBE_IP]) expectFrame(t, probe.next(), { ip4: { dst } });
  socket.disconnect();
  t.is(socket.send(HELLO), ENOTCONN);
});

test("of sockets that share a port the newest hears, however many others there are", (t) => {
  const { udp: sockets, probe } = probed(t);
  sockets.open({ port: 7, reuse: true });
  const newest = sockets.open({ port: 7, reuse: true });
  for (let count = 0; count < 40; count++) {
    probe.send(frame(eth(), ip4(), udp(), "to the newest"));
    t.is(textOf(newest), "to the newest", count + " others");
    sockets.open({ port: 100 + count });
  }
});

test("the closest socket hears: connected before bound before any", (t) => {
  const { udp: sockets, probe } = probed(t);
  const connected = sockets.open({ port: 7, reuse: true });
  connected.connect(PROBE_IP, 40000);
  const bound = sockets.open({ port: 7, reuse: true, address: STACK_IP });
  const any = sockets.open({ port: 7, reuse: true });
  for (const socket of [connected, bound, any]) {
    probe.send(frame(eth(), ip4(), udp(), "mine"));
    t.is(textOf(socket), "mine");
    socket.close();
  }
});

test("a port is one socket's, unless addresses, interfaces or both sides' consent keep them apart", (t) => {
  const { udp: sockets, ip, nif } = probed(t);
  ip.addAddress(nif, "10.0.0.9/24");
  const open = (options: UdpOptions) => () => sockets.open({ port: 7, ...options });
  open({ address: STACK_IP })();
  t.throws(open({ address: STACK_IP }), { code: "EADDRINUSE" });
  t.throws(open({}), { code: "EADDRINUSE" });
  t.throws(open({ reuse: true }), { code: "EADDRINUSE" });
  t.notThrows(open({ address: "10.0.0.9" }));
  t.throws(open({ address: "10.0.0.99" }), { code: "EADDRNOTAVAIL" });
  t.throws(open({ address: "somewhere" }), { code: "EAFNOSUPPORT" });
  t.throws(open({ family: 6 }), { code: "EAFNOSUPPORT" });
});

test("ports that are not asked for are random, free and of the dynamic range", (t) => {
  const { udp: sockets } = probed(t);
  const ports = Array.from({ length: 1000 }, () => sockets.open().port);
  t.is(new Set(ports).size, 1000);
  t.true(ports.every((port) => port >= 49152));
  const steps = ports.slice(1).filter((port, i) => Math.abs(port - ports[i]) < 100).length;
  t.true(steps < 50, steps + " ports lie near the one before");
});

test("without entropy there is no random port, and no more sockets than the limit", (t) => {
  const { udp: sockets, host } = probed(t, { leaks: { faults: true } });
  host.faults.random = "fail";
  const opened = [];
  const drain = () => {
    for (let i = 0; i < 100; i++) opened.push(sockets.open());
  };
  t.throws(drain, { code: "EIO" });
  t.notThrows(() => sockets.open({ port: 7 }));
  t.true(opened.length < 32);

  const few = createUdp({ limit: 1 });
  probed(t, { components: () => [few] });
  few.open();
  t.throws(() => few.open(), { code: "ENOBUFS" });
});

test("broadcasts need the option, whatever way they are addressed", (t) => {
  const { udp: sockets, probe } = probed(t);
  const quiet = sockets.open();
  const loud = sockets.open({ broadcast: true });
  for (const address of ["255.255.255.255", "10.0.0.255", "10.0.0.0"]) {
    t.is(quiet.sendTo(address, 9, HELLO), EACCES);
    t.is(quiet.connect(address, 9), EACCES);
    t.is(quiet.send(HELLO), ENOTCONN);
    t.is(loud.sendTo(address, 9, HELLO), 5);
    expectFrame(t, probe.next(), {
      eth: { dst: "ff:ff:ff:ff:ff:ff" },
      ip4: { dst: address },
      payload: "hello",
    });
  }
  t.is(probe.take().length, 0);
});

test("what cannot be sent says why", (t) => {
  const { udp: sockets, probe, ip, nif, stack } = probed(t, { gateway: "" });
  let writable = 0;
  const socket = sockets.open({ dontFragment: true, onWritable: () => writable++ });
  t.is(socket.sendTo("fe80::1", 9, HELLO), EAFNOSUPPORT);
  t.is(socket.sendTo("example.org", 9, HELLO), EAFNOSUPPORT);
  t.is(socket.sendTo("192.0.2.1", 9, HELLO), ENETUNREACH);
  t.is(socket.sendTo(PROBE_IP, 9, new Uint8Array(1473)), EMSGSIZE);
  t.is(socket.sendTo(PROBE_IP, 9, new Uint8Array(65508)), EMSGSIZE);
  t.is(socket.sendTo(PROBE_IP, 9, new Uint8Array(1472)), 1472);
  probe.room = false;
  t.is(socket.sendTo(PROBE_IP, 9, HELLO), EAGAIN);
  probe.room = true;
  nif.writable();
  stack.poll();
  t.is(writable, 1);
  ip.addAddress(nif, "10.0.0.9/24");
  const bound = sockets.open({ address: STACK_IP });
  ip.removeAddress(nif, STACK_IP);
  t.is(bound.sendTo(PROBE_IP, 9, HELLO), EADDRNOTAVAIL);
  socket.close();
  socket.close();
  for (const code of [
    socket.sendTo(PROBE_IP, 9, HELLO),
    socket.send(HELLO),
    socket.connect(PROBE_IP, 9),
    socket.join("224.0.0.5"),
    socket.receive(new Uint8Array(1)),
  ]) {
    t.is(code, EPIPE);
  }
});

test("an address that goes away is told to those who are bound to it", (t) => {
  const { udp: sockets, ip, nif, stack } = probed(t);
  const errors: number[] = [];
  sockets.open({ onError: () => errors.push(0) });
  sockets.open({ address: STACK_IP, onError: (code) => errors.push(code) });
  ip.removeAddress(nif, STACK_IP);
  stack.poll();
  t.deepEqual(errors, [EADDRNOTAVAIL]);
});

test("multicast comes to who has joined: the group, the interface, the sources", (t) => {
  const { udp: sockets, ip, nif, probe } = probed(t, { probe: { medium: "ip" }, components: () => [igmp()] });
  const group = "239.1.2.3";
  const open = () => sockets.open({ port: 7, reuse: true });
  const [all, only, but, none] = [open(), open(), open(), open()];
  const sources = { exclude: false, sources: ["10.0.0.2"] };
  t.is(all.join(group), 0);
  t.is(only.join(group, undefined, sources), 0);
  t.is(but.join(group, undefined, { exclude: true, sources: ["10.0.0.2"] }), 0);
  t.is(none.join("239.1.2.4"), 0);
  // The socket keeps its own copy.
  sources.sources.push("10.0.0.3");
  (sources as { sources: unknown }).sources = 7;
  probe.send(frame(ip4({ dst: group, src: "10.0.0.2" }), udp(), "two"));
  probe.send(frame(ip4({ dst: group, src: "10.0.0.3" }), udp(), "three"));
  t.deepEqual([textOf(all), textOf(all)], ["two", "three"]);
  t.deepEqual([textOf(only), textOf(only)], ["two", undefined]);
  t.deepEqual([textOf(but), textOf(but)], ["three", undefined]);
  t.is(textOf(none), undefined);
  t.is(all.leave(group), 0);
  t.is(all.leave(group), -2);
  probe.send(frame(ip4({ dst: group }), udp(), "later"));
  t.is(textOf(all), undefined);
  t.true(ip.igmp!.accepts(nif, (239 << 24) | 0x10203, 0x0a000003));
  for (const socket of [all, only, but, none]) socket.close();
  t.false(ip.igmp!.accepts(nif, (239 << 24) | 0x10203, 0x0a000003));
  t.throws(() => open().join("10.0.0.2"), { code: "EINVAL" });
});

test("where nothing carries groups, a socket joins none", (t) => {
  const socket = probed(t).udp.open();
  t.is(socket.join("239.1.2.3"), EOPNOTSUPP);
  t.is(socket.leave("239.1.2.3"), EOPNOTSUPP);
  socket.close();
  t.is(socket.join("239.1.2.3"), EPIPE);
});

test("multicast is sent with a time to live of 1 or the socket's", (t) => {
  const { udp: sockets, probe } = probed(t);
  const ttls = { ttl: 9, multicastTtl: 5 };
  sockets.open().sendTo("224.0.0.9", 520, HELLO);
  sockets.open(ttls).sendTo("224.0.0.9", 520, HELLO);
  sockets.open(ttls).sendTo(PROBE_IP, 520, HELLO);
  expectFrame(t, probe.next(), { eth: { dst: "01:00:5e:00:00:09" }, ip4: { ttl: 1 } });
  expectFrame(t, probe.next(), { ip4: { ttl: 5 } });
  expectFrame(t, probe.next(), { ip4: { ttl: 9 } });
  t.throws(() => sockets.open({ multicastTtl: 0 }), { code: "EINVAL" });
  t.throws(() => sockets.open({ ttl: 256 }), { code: "EINVAL" });
});

test("RES-12 exotic numbers are refused and change nothing", (t) => {
  const { udp: sockets, probe } = probed(t);
  const socket = sockets.open({ port: 7 });
  probe.send(frame(eth(), ip4(), udp(), "hello"));
  const target = new Uint8Array(8);
  for (const value of EXOTIC as never[]) {
    const refused = (call: () => unknown, what: string) =>
      t.throws(call, { code: "EINVAL" }, what + " " + String(value));
    refused(() => sockets.open({ port: value }), "port");
    refused(() => sockets.open({ ttl: value }), "ttl");
    refused(() => sockets.open({ multicastTtl: value }), "multicastTtl");
    refused(() => sockets.open({ receiveBuffer: value }), "receiveBuffer");
    refused(() => socket.sendTo(PROBE_IP, value, HELLO), "remote port");
    refused(() => socket.connect(PROBE_IP, value), "peer port");
    refused(() => socket.sendTo(PROBE_IP, 7, HELLO, value), "start");
    refused(() => socket.sendTo(PROBE_IP, 7, HELLO, 0, value), "end");
    refused(() => socket.receive(target, undefined, value), "target start");
    refused(() => socket.receive(target, undefined, 0, value), "target end");
    if (value !== HELLO) refused(() => socket.sendTo(PROBE_IP, 7, value, 0, 0), "data");
    refused(() => socket.receive(value, undefined, 0, 0), "target");
    if (value) t.throws(() => sockets.open({ interface: value }), { code: "EINVAL" });
    t.throws(() => sockets.open({ family: value || "6" }), { code: "EAFNOSUPPORT" });
    if (value) t.throws(() => sockets.open({ address: value }), { code: "EAFNOSUPPORT" });
    t.is(socket.sendTo(value, 7, HELLO), EAFNOSUPPORT);
  }
  refusedRanges();
  t.is(probe.take().length, 0);
  t.is(sockets.sockets.size, 1);
  t.is(textOf(socket), "hello");

  function refusedRanges(): void {
    t.throws(() => socket.sendTo(PROBE_IP, 7, HELLO, 3, 2), { code: "EINVAL" });
    t.throws(() => socket.sendTo(PROBE_IP, 7, HELLO, 0, 6), { code: "EINVAL" });
    t.throws(() => socket.receive(target, undefined, 0, 9), { code: "EINVAL" });
  }
});

test("RES-12 exotic memory: detached, shared, subclassed, lying about itself", (t) => {
  const { udp: sockets, probe } = probed(t);
  const socket = sockets.open({ port: 7 });
  const detached = new Uint8Array(8);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  t.throws(() => socket.sendTo(PROBE_IP, 9, detached, 0, 8), { code: "EINVAL" });
  t.is(socket.sendTo(PROBE_IP, 9, detached), 0);
  t.throws(() => socket.receive(detached, undefined, 0, 8), { code: "EINVAL" });

  t.is(socket.sendTo(PROBE_IP, 9, Buffer.from("hello")), 5);
  const shared = new Uint8Array(new SharedArrayBuffer(5));
  shared.set(HELLO);
  t.is(socket.sendTo(PROBE_IP, 9, shared), 5);
  expectFrame(t, probe.next(), { length: 0 });
  for (let i = 0; i < 2; i++) expectFrame(t, probe.next(), { payload: "hello" });

  class Liar extends Uint8Array {
    override get length(): number {
      return 100;
    }
    override subarray(): never {
      throw new Error("liar");
    }
    override set(): never {
      throw new Error("liar");
    }
  }
  t.throws(() => socket.sendTo(PROBE_IP, 9, new Liar(4)), { message: "liar" });
  probe.send(frame(eth(), ip4(), udp(), 80));
  t.throws(() => socket.receive(new Liar(4)), { message: "liar" });
  // Nothing has been sent, nothing is lost, and the stack goes on.
  t.is(probe.take().length, 0);
  t.is(socket.readable(), 1);
  t.is(socket.sendTo(PROBE_IP, 9, HELLO), 5);
  expectFrame(t, probe.next(), { payload: "hello" });
});

test("RES-12 options are read once: later changes and getters that throw do no harm", (t) => {
  const { udp: sockets, probe, stack } = probed(t);
  const options: UdpOptions = { port: 7, broadcast: true, reuse: true };
  const socket = sockets.open(options);
  for (const name of ["interface", "address", "broadcast", "reuse", "onReadable", "ttl", "dontFragment"]) {
    Object.defineProperty(options, name, {
      get() {
        throw new Error("getter");
      },
    });
  }
  for (const dst of [STACK_IP, "10.0.0.255"]) {
    t.notThrows(() => probe.send(frame(eth(), ip4({ dst }), udp(), "on")));
    t.is(textOf(socket), "on");
  }
  t.false(stack.busy);
  t.is(socket.sendTo(PROBE_IP, 9, HELLO), 5);
  t.throws(() => sockets.open(options), { message: "getter" });
  t.is(sockets.sockets.size, 1);

  const from = info();
  probe.send(frame(eth(), ip4(), udp(), "kept"));
  Object.defineProperty(from, "address", {
    set() {
      throw new Error("setter");
    },
  });
  t.throws(() => socket.receive(new Uint8Array(9), from), { message: "setter" });
  t.is(textOf(socket), "kept");
});

test("a callback that throws is reported, and the next one is called", (t) => {
  const { udp: sockets, probe, world } = probed(t, { leaks: { panics: true, faults: true } });
  const seen: string[] = [];
  sockets.open({
    port: 7,
    onReadable() {
      seen.push(textOf(this)!);
      throw new Error("mine");
    },
  });
  probe.send(frame(eth(), ip4(), udp(), "one"));
  probe.send(frame(eth(), ip4(), udp(), "two"));
  t.deepEqual(seen, ["one", "two"]);
  t.is(world.panics.length, 2);
});

test("a socket that is closed by its own callback hears no more", (t) => {
  const { udp: sockets, probe } = probed(t);
  let calls = 0;
  const socket = sockets.open({
    port: 7,
    onError: () => calls++,
    onReadable() {
      calls++;
      this.close();
    },
  });
  probe.send(frame(eth(), ip4(), udp(), "one"));
  probe.send(frame(eth(), ip4(), udp(), "two"));
  t.is(calls, 1);
  t.true(socket.closed);
  t.is(sockets.counters.noPort, 1);
});

test("the length of a datagram is told before it is read, in the callback and later", (t) => {
  const { a, b, run } = pair(t);
  const data = new Uint8Array(100);
  const told: number[] = [];
  let inside = true;
  const receiver = b.udp.open({
    port: 7,
    onReadable() {
      told.push(this.nextLength());
      if (inside) told.push(this.receive(data));
    },
  });
  const sender = a.udp.open({});
  sender.sendTo(b.address, 7, data, 0, 5);
  run(100);
  inside = false;
  sender.sendTo(b.address, 7, data, 0, 6);
  run(100);
  t.deepEqual(told, [5, 5, 6]);
  t.is(receiver.nextLength(), 6);
  t.is(receiver.receive(data), 6);
  t.is(receiver.nextLength(), EAGAIN);
});
