/** The neighbour cache, as ARP uses it: resolution, reachability, floods. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { EHOSTUNREACH, ENOBUFS } from "../../stack/core/errors.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { DELAY, PROBE, REACHABLE, STALE, STATIC } from "../../stack/link/neighbour.js";
import { ip4Bytes } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { findLeaks } from "../support/leaks.js";
import { pair } from "../support/network.js";
import { PROBE_IP, PROBE_MAC, STACK_IP, STACK_MAC, arp, eth, frame } from "../support/packets.js";
import { probed } from "../support/probe.js";

const toInt = (text: string) => ip4Bytes(text).reduce((value, byte) => (value << 8) | byte, 0);
const FAR_MAC = "02:00:00:00:00:77";

function setUp(t: ExecutionContext, limit = 64, packetMemory?: number) {
  const errors: [number, string][] = [];
  const node = probed(t, { acquainted: false, arp: { limit }, stack: { packetMemory } });
  const { probe, world, nif } = node;
  const { cache } = node.arp;
  probe.answersArp = [];
  const socket = node.udp.open({ port: 9, onError: (code, address) => errors.push([code, address]) });
  const send = (to = PROBE_IP, size = 1) => socket.sendTo(to, 99, new Uint8Array(size));
  const entry = (address = PROBE_IP) => cache.find(nif, 0, 0, 0, toInt(address));
  const reply = (senderIp = PROBE_IP, senderMac = PROBE_MAC) =>
    probe.send(frame(eth({ src: senderMac }), arp({ op: 2, senderIp, senderMac, targetMac: STACK_MAC })));
  /** The stack asks, and is answered. */
  const meet = (address = PROBE_IP) => {
    send(address);
    reply(address);
    world.run(1);
    probe.take();
  };
  return { ...node, cache, socket, errors, send, entry, reply, meet };
}

test("three questions, a second apart; then the sockets are told, and nothing is left", (t) => {
  const { send, probe, world, errors, stack, cache } = setUp(t);
  for (let i = 0; i < 128; i++) t.is(send(), 1);
  t.is(send(), ENOBUFS, "128 packets wait, no more");
  for (let second = 0; second < 3; second++) {
    const asked = probe.take();
    t.is(asked.length, 1);
    expectFrame(t, asked[0], {
      eth: { dst: "ff:ff:ff:ff:ff:ff" },
      arp: {
        op: 1,
        senderIp: STACK_IP,
        senderMac: STACK_MAC,
        targetIp: PROBE_IP,
        targetMac: "00:00:00:00:00:00",
      },
    });
    t.deepEqual(errors, []);
    world.run(1000);
  }
  t.deepEqual(errors, [[EHOSTUNREACH, PROBE_IP]]);
  t.deepEqual(probe.take(), []);
  t.is(cache.entries.length, 0);
  t.deepEqual(findLeaks(stack), []);
});

test("a datagram in 45 fragments finds a neighbour that has not been met (RFC 1122 section 2.3.2.2)", (t) => {
  const { a, b, world } = pair(t, { components: () => [fragments()] });
  const got: number[] = [];
  const target = new Uint8Array(65507);
  b.udp.open({
    port: 7,
    receiveBuffer: 1 << 17,
    onReadable() {
      got.push(this.receive(target));
    },
  });
  const data = Uint8Array.from({ length: 65507 }, (_, i) => i * 7);
  t.is(a.udp.open().sendTo(b.address, 7, data), 65507);
  world.run(100);
  t.deepEqual(got, [65507]);
  t.deepEqual(target, data);
});

test("what waits takes a quarter of the budget, and three packets of each at the most", (t) => {
  const { send, probe, stack, reply, world } = setUp(t, 64, 1 << 16);
  let count = 0;
  while (send(PROBE_IP, 1400) === 1400) count++;
  t.is(count, 11, "16 KiB");
  // Three of each go on being held where that is full, until a quarter of all memory is left.
  t.deepEqual(
    [1, 2, 3, 4].map(() => send("10.0.0.3", 1400)),
    [1400, 1400, 1400, ENOBUFS],
  );
  for (let i = 4; i < 20; i++) send("10.0.0." + i, 1400);
  t.true(stack.pool.used <= (stack.pool.limit * 3) / 4);
  probe.take();
  reply();
  t.is(probe.take().length, 11);
  world.run(5000);
  t.is(stack.pool.used, 0);
  t.is(send("10.0.0.30", 1400), 1400, "there is room again");
  for (let i = 0; i < 10; i++) t.is(send("10.0.0.30", 1400), 1400);
});

test("what waits goes out in order once the answer has come", (t) => {
  const { send, probe, reply, stack, entry } = setUp(t);
  for (const size of [1, 2, 3]) send(PROBE_IP, size);
  probe.take();
  reply();
  t.deepEqual(
    probe.takeParsed().map((each) => [each.eth?.dst, each.payload.length]),
    [1, 2, 3].map((size) => [PROBE_MAC, size]),
  );
  t.is(entry()?.state, REACHABLE);
  t.is(stack.pool.used, 0);
  send();
  t.is(probe.take().length, 1);
});

test("a neighbour that is used is asked itself from time to time (RFC 4861 section 7.3)", (t) => {
  const { send, probe, world, meet, entry, reply, errors } = setUp(t);
  meet();
  world.run(29000);
  send();
  t.is(entry()?.state, REACHABLE);
  world.run(2000);
  send();
  t.is(entry()?.state, DELAY);
  probe.take();
  world.run(5000);
  t.is(entry()?.state, PROBE);
  expectFrame(t, probe.next(), { eth: { dst: PROBE_MAC }, arp: { op: 1, targetIp: PROBE_IP } });
  send();
  t.is(probe.take().length, 1, "packets go on meanwhile");
  reply();
  t.is(entry()?.state, REACHABLE);
  // An answer that does not come three times ends it; nothing waits that could be told of.
  world.run(31000);
  send();
  world.run(9000);
  t.is(entry(), null);
  t.deepEqual(errors, []);
});

test("an idle neighbour is not asked", (t) => {
  const { meet, world, probe, stack } = setUp(t);
  meet();
  world.run(3600000);
  t.deepEqual(probe.take(), []);
  t.deepEqual(findLeaks(stack), []);
});

test("a request to us makes an entry that is used, and checked", (t) => {
  const { probe, send, entry, world } = setUp(t);
  probe.send(frame(eth(), arp()));
  t.is(entry()?.state, STALE);
  probe.take();
  send();
  t.is(entry()?.state, DELAY);
  t.is(probe.take().length, 1);
  world.run(9000);
  t.is(entry(), null);
});

test("ND-05 RES-06 a scan of 5,000 addresses leaves the reachable alone, and costs an existing flow nothing", (t) => {
  const { send, meet, probe, cache, stack, world, entry, errors } = setUp(t, 16);
  meet();
  for (let i = 0; i < 5000; i++) {
    send(`10.0.0.${3 + (i % 250)}`, 1000);
    t.true(cache.entries.length <= 16);
    if (i % 10 === 0) {
      probe.take();
      t.is(send(), 1);
      t.is(probe.take().filter((bytes) => bytes[12] === 8 && bytes[13] === 0).length, 1);
      world.run(5);
    }
    // A quarter and one may await resolution, with three packets each.
    t.true(stack.pool.used <= 5 * 3);
  }
  t.is(entry()?.state, REACHABLE);
  world.run(10000);
  t.is(stack.pool.used, 0);
  t.true(errors.every(([code]) => code === EHOSTUNREACH));
});

test("a flood of requests from forged neighbours never drives out the reachable, or a router", (t) => {
  const { meet, probe, cache, entry, ip, send, world } = setUp(t, 16);
  ip.removeRoute("0.0.0.0/0");
  ip.addRoute("0.0.0.0/0", { gateway: "10.0.0.254" });
  meet();
  send("192.0.2.1");
  probe.send(frame(eth({ src: FAR_MAC }), arp({ op: 2, senderIp: "10.0.0.254", senderMac: FAR_MAC })));
  world.run(40000);
  meet();
  for (let i = 0; i < 5000; i++) {
    const senderMac = `02:00:00:01:${(i >> 8).toString(16).padStart(2, "0")}:${(i & 255).toString(16).padStart(2, "0")}`;
    probe.send(frame(eth({ src: senderMac }), arp({ senderIp: `10.0.0.${3 + (i % 250)}`, senderMac })));
    probe.take();
  }
  t.is(cache.entries.length, 16);
  t.is(entry()?.state, REACHABLE);
  t.not(entry("10.0.0.254"), null);
  t.true(cache.counters.evicted > 1000);
});

test("static entries survive a pulled cable, floods and forgers", (t) => {
  const { cache, nif, probe, send, world, entry } = setUp(t, 4);
  const fixed = cache.obtain(nif, 0, 0, 0, toInt(PROBE_IP))!;
  cache.setStatic(fixed, 0x0200, 0x77);
  probe.receiver?.carrier(false);
  probe.receiver?.carrier(true);
  probe.send(frame(eth(), arp()));
  for (let i = 3; i < 200; i++) send("10.0.0." + i);
  world.run(100000);
  probe.take();
  t.is(entry()?.state, STATIC);
  send();
  expectFrame(t, probe.next(), { eth: { dst: FAR_MAC } });
});

test("without memory nothing waits, and the sender is told", (t) => {
  const { send, stack, probe, reply } = setUp(t);
  const held = [];
  for (let chunk = stack.pool.get(0); chunk; chunk = stack.pool.get(0)) held.push(chunk);
  t.is(send(), ENOBUFS);
  for (const chunk of held) stack.pool.put(chunk);
  t.is(probe.take().length, 1);
  reply();
  t.deepEqual(probe.take(), []);
  t.is(send(), 1);
});

test("any mixture of sending, answers, forgeries and time: bounds hold, memory comes back", (t) => {
  const step = fc.record({
    what: fc.constantFrom("send", "reply", "request", "gratuitous", "wait", "carrier"),
    host: fc.integer({ min: 2, max: 12 }),
    mac: fc.integer({ min: 2, max: 4 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { send, probe, cache, stack, world, nif } = setUp(t, 4);
      for (const { what, host, mac } of steps) {
        const senderIp = "10.0.0." + host;
        const senderMac = "02:00:00:00:00:0" + mac;
        const from = eth({ src: senderMac });
        if (what === "send") send(senderIp);
        else if (what === "reply") probe.send(frame(from, arp({ op: 2, senderIp, senderMac })));
        else if (what === "request") probe.send(frame(from, arp({ senderIp, senderMac })));
        else if (what === "gratuitous")
          probe.send(frame(from, arp({ senderIp, senderMac, targetIp: senderIp })));
        else if (what === "wait") world.run(host * 700);
        else probe.receiver?.carrier(!nif.running);
        t.true(cache.entries.length <= 4);
        t.is(cache.entries.length, cache.table.size);
        cache.entries.forEach((each, index) => t.is(each.index, index));
      }
      world.run(200000);
      t.deepEqual(findLeaks(stack), []);
    }),
    { numRuns: 300 },
  );
});
