/** Ping sockets: what is asked, what counts as an answer, and what strangers cannot make of it. */
import test from "ava";
import fc from "fast-check";
import { ping as createPing } from "../../stack/raw/ping.js";
import type { EchoReply, Ping, PingOptions } from "../../stack/raw/ping.js";
import { EACCES, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, EPIPE } from "../../stack/core/errors.js";
import type { ExecutionContext } from "ava";
import { expectFrame } from "../support/expect.js";
import { pair } from "../support/network.js";
import type { NetworkOptions } from "../support/network.js";
import { PROBE_IP, STACK_IP, eth, frame, icmp, ip4 } from "../support/packets.js";
import { probed } from "../support/probe.js";

const HELLO = Uint8Array.from("hello", (c) => c.charCodeAt(0));

/** A stack with a socket that asks the probe. */
function asking(t: ExecutionContext, options: Partial<PingOptions> = {}, network: NetworkOptions = {}) {
  const pings = createPing();
  const node = probed(t, { components: () => [pings], ...network });
  const replies: EchoReply[] = [];
  const errors: number[][] = [];
  const socket = pings.open({
    address: PROBE_IP,
    onReply: (reply) => replies.push(reply),
    onError: (code, sequence) => errors.push([code, sequence]),
    ...options,
  });
  return { ...node, pings, socket, replies, errors };
}

test("a request is answered and the time told", (t) => {
  const pings: Ping[] = [];
  const { run } = pair(t, { delay: 20, components: () => [(pings[pings.length] = createPing())] });
  const replies: EchoReply[] = [];
  const socket = pings[0].open({ address: "10.0.0.2", onReply: (reply) => replies.push(reply) });
  t.is(socket.send(), 0);
  run(200);
  t.is(socket.send(HELLO, 1, 4), 1);
  run(200);
  // The first one waited for the neighbour's address as well.
  t.deepEqual(replies, [
    { address: "10.0.0.2", sequence: 0, rtt: 80, ttl: 64, data: new Uint8Array(0) },
    { address: "10.0.0.2", sequence: 1, rtt: 40, ttl: 64, data: HELLO.slice(1, 4) },
  ]);
  socket.close();
  socket.close();
  t.is(socket.send(), EPIPE);
});

test("a request is what RFC 792 says", (t) => {
  const { socket, probe } = asking(t, { ttl: 3 });
  socket.send(HELLO);
  const { icmp: header } = expectFrame(t, probe.next(), {
    ip4: { src: STACK_IP, dst: PROBE_IP, ttl: 3, protocol: 1 },
    icmp: { type: 8, code: 0, seq: 0 },
    payload: "hello",
  });
  t.is(header!.id, socket.hash);
});

test("only what was asked lately, of whom it was asked, is an answer", (t) => {
  const { socket, probe, replies, pings, icmp: protocol } = asking(t);
  const answer = (src: string, id: number, seq: number) =>
    probe.send(frame(eth(), ip4({ src }), icmp({ type: 0, id, seq }), "x"));
  answer(PROBE_IP, socket.hash, 0);
  socket.send();
  answer("10.0.0.3", socket.hash, 0);
  answer(PROBE_IP, socket.hash ^ 1, 0);
  answer(PROBE_IP, socket.hash, 1);
  answer(PROBE_IP, socket.hash, 64);
  t.deepEqual(replies, []);
  t.is(pings.counters.unmatched, 4);
  t.is(protocol.counters.unsolicited, 5);
  answer(PROBE_IP, socket.hash, 0);
  t.is(replies.length, 1);
  for (let i = 0; i < 64; i++) socket.send();
  answer(PROBE_IP, socket.hash, 0);
  t.is(replies.length, 1, "sequence 0 is forgotten after 64 others");
});

test("errors are believed when they quote a request", (t) => {
  const { socket, probe, errors } = asking(t);
  const request = () => probe.next()!.slice(14);
  const report = (type: number, code: number, quoted: Uint8Array) =>
    probe.send(frame(eth(), ip4({ src: "10.0.0.77" }), icmp({ type, code }), quoted));
  socket.send(HELLO);
  const sent = request();
  for (const at of [20, 24, 27, 19]) {
    const forged = sent.slice();
    forged[at] ^= 1;
    report(3, 3, forged);
  }
  for (let length = 0; length < 28; length++) report(3, 3, sent.subarray(0, length));
  t.deepEqual(errors, []);
  report(3, 3, sent.subarray(0, 28));
  report(11, 0, sent);
  t.deepEqual(errors, [
    [ECONNREFUSED, 0],
    [EHOSTUNREACH, 0],
  ]);
});

test("a neighbour that is not there is an error", (t) => {
  const { probe, pings } = asking(t);
  probe.answersArp = [];
  const errors: number[] = [];
  const socket = pings.open({
    address: "10.0.0.3",
    onReply: () => t.fail(),
    onError: (code) => errors.push(code),
  });
  socket.send();
  probe.world.run(5000);
  t.deepEqual(errors, [EHOSTUNREACH]);
});

test("a broadcast is asked by permission, and all may answer", (t) => {
  const { pings, probe, replies } = asking(t);
  const onReply = (reply: EchoReply) => replies.push(reply);
  t.is(pings.open({ address: "10.0.0.255", onReply }).send(), EACCES);
  const socket = pings.open({ address: "10.0.0.255", broadcast: true, onReply });
  t.is(socket.send(), 0);
  for (const src of ["10.0.0.2", "10.0.0.3"]) {
    probe.send(frame(eth(), ip4({ src }), icmp({ type: 0, id: socket.hash, seq: 0 })));
  }
  t.deepEqual(
    replies.map((reply) => reply.address),
    ["10.0.0.2", "10.0.0.3"],
  );
});

test("replies that wait are bounded", (t) => {
  const { socket, probe, replies, pings, stack } = asking(t, { receiveBuffer: 3000 });
  socket.send();
  const reply = frame(eth(), ip4(), icmp({ type: 0, id: socket.hash, seq: 0 }), 1000);
  // As long as a frame is being processed nothing is told: hold the events back.
  const deferred = stack.runDeferred;
  stack.runDeferred = () => {};
  for (let i = 0; i < 100; i++) probe.send(reply);
  stack.runDeferred = deferred;
  t.is(pings.counters.rxfull, 98);
  stack.poll();
  t.is(replies.length, 2);
  t.is(stack.pool.used, 0);
});

test("ids differ and are random, and options are checked", (t) => {
  const { pings } = asking(t);
  const onReply = () => {};
  const ids = Array.from({ length: 63 }, () => pings.open({ address: PROBE_IP, onReply }).hash);
  t.is(new Set(ids).size, 63);
  t.true(ids.filter((id, i) => i > 0 && Math.abs(id - ids[i - 1]) < 256).length < 8);
  t.throws(() => pings.open({ address: PROBE_IP, onReply }), { code: "ENOBUFS" });
  pings.close();
  const refuse = (options: object, code: string) =>
    t.throws(() => pings.open({ address: PROBE_IP, onReply, ...options }), { code });
  refuse({ address: "somewhere" }, "EAFNOSUPPORT");
  refuse({ address: undefined }, "EAFNOSUPPORT");
  refuse({ localAddress: "10.0.0.3" }, "EADDRNOTAVAIL");
  refuse({ interface: {} }, "EINVAL");
  refuse({ onReply: "no" }, "EINVAL");
  for (const ttl of [0, 256, "9", NaN, 2 ** 53]) refuse({ ttl }, "EINVAL");
  const socket = pings.open({ address: PROBE_IP, onReply });
  for (const bad of ["5", NaN, -1, 2 ** 53]) {
    t.throws(() => socket.send(HELLO, 0, bad as number), { code: "EINVAL" });
    t.throws(() => socket.send(bad as never), { code: "EINVAL" });
  }
  t.is(socket.send(new Uint8Array(65508)), EMSGSIZE);
});

test("without entropy there is no id, without icmp no ping", (t) => {
  const { pings, host, stack } = asking(t, {}, { leaks: { faults: true } });
  const open = () => pings.open({ address: PROBE_IP, onReply: () => {} });
  host.faults.random = "throw";
  t.throws(
    () => {
      for (let i = 0; i < 40; i++) open();
    },
    { code: "EIO" },
  );
  stack.transports.splice(0);
  t.throws(open, { code: "ENOPROTOOPT" });
});

test("no bytes of a reply or an error do harm", (t) => {
  const { socket, probe, stack } = asking(t);
  socket.send(HELLO);
  const type = fc.constantFrom(0, 3, 11, 12);
  t.notThrows(() =>
    fc.assert(
      fc.property(type, fc.uint8Array({ maxLength: 64 }), fc.boolean(), (kind, bytes, ours) => {
        if (ours && bytes.length > 8) bytes.set([socket.hash >> 8, socket.hash & 255, 0, 0], 0);
        probe.send(frame(eth(), ip4(), icmp({ type: kind, id: socket.hash }), bytes));
        return !stack.busy && stack.pool.used === 0;
      }),
    ),
  );
});
