/** Neighbour discovery against a probe: resolution, unreachability, and what nobody asked for. */
import test from "ava";
import fc from "fast-check";
import { EHOSTUNREACH } from "../../stack/core/errors.js";
import { DELAY, FREE, INCOMPLETE, REACHABLE, STALE, UNREACHABLE } from "../../stack/link/neighbour.js";
import { concat, hex, ip6Bytes } from "../support/bytes.js";
import { PROBE_IP6, PROBE_MAC, STACK_IP6, STACK_MAC, eth, frame, icmp, ip6 } from "../support/packets.js";
import {
  NA,
  NS,
  RA,
  long,
  nd6,
  nonce,
  option,
  probed6,
  solicited,
  sourceLink,
  targetLink,
  targetOf,
} from "../support/packets6.js";
import type { NdFields, NdMessage, Probed6 } from "../support/packets6.js";
import { parseFrame } from "../support/parse.js";
import { Probe } from "../support/probe.js";

const OTHER_MAC = "02:00:00:00:00:99";
const word = (bytes: Uint8Array, at: number) => new DataView(bytes.buffer, bytes.byteOffset).getInt32(at);

function entry(node: Probed6, address: string) {
  const bytes = ip6Bytes(address);
  return node.nd.cache.find(node.nif, word(bytes, 0), word(bytes, 4), word(bytes, 8), word(bytes, 12));
}

/** An echo request from the probe, which the stack wants to answer. */
const ping = (src = PROBE_IP6, dst = STACK_IP6) =>
  frame(eth(), ip6({ src, dst }), icmp({ type: 128, id: 1, seq: 1 }), "ping");

/** The stack learns the probe by asking for it. */
function acquaint(node: Probed6): void {
  node.probe.send(ping());
  node.probe.send(nd6(NA(PROBE_IP6, "S"), { dst: STACK_IP6 }, targetLink()));
  node.probe.take();
}

const nsFields = (src = PROBE_IP6): NdFields => ({ src, dst: solicited(STACK_IP6) });

test("an address is asked for by its solicited-node group, and what waits goes out with the answer", (t) => {
  const node = probed6(t);
  node.probe.send(ping());
  const [asked] = node.probe.takeParsed();
  t.is(asked!.eth!.dst, "33:33:ff:00:00:02");
  t.is(asked!.ip6!.dst, long("ff02::1:ff00:2"));
  t.is(asked!.ip6!.src, long(STACK_IP6));
  t.is(asked!.ip6!.hops, 255);
  t.is(asked!.icmp!.type, 135);
  t.is(targetOf(asked!), long(PROBE_IP6));
  t.deepEqual([...asked!.payload.subarray(16)], [1, 1, ...hex(STACK_MAC)]);
  t.deepEqual(asked!.faults, []);
  node.probe.send(nd6(NA(PROBE_IP6, "S"), { dst: STACK_IP6 }, targetLink()));
  const [reply] = node.probe.takeParsed();
  t.is(reply!.icmp!.type, 129);
  t.is(reply!.eth!.dst, PROBE_MAC);
  t.is(entry(node, PROBE_IP6)!.state, REACHABLE);
});

test("a solicitation is answered, and its sender known", (t) => {
  const node = probed6(t);
  node.probe.send(nd6(NS(STACK_IP6), nsFields(), sourceLink()));
  const [answer] = node.probe.takeParsed();
  t.is(answer!.icmp!.type, 136);
  t.is(answer!.icmp!.rest >>> 29, 0b011);
  t.is(answer!.eth!.dst, PROBE_MAC);
  t.is(answer!.ip6!.src, long(STACK_IP6));
  t.deepEqual([...answer!.payload.subarray(16)], [2, 1, ...hex(STACK_MAC)]);
  t.is(entry(node, PROBE_IP6)!.state, DELAY);
});

test("a probe for duplicates is answered to all nodes, unsolicited", (t) => {
  const node = probed6(t);
  node.probe.send(nd6(NS(STACK_IP6), nsFields("::"), nonce(hex("010203040506"))));
  const [answer] = node.probe.takeParsed();
  t.is(answer!.ip6!.dst, long("ff02::1"));
  t.is(answer!.icmp!.rest >>> 29, 0b001);
  t.is(node.nd.cache.entries.length, 0);
});

test("a neighbour that is silent is asked three times, and then forgotten", (t) => {
  const node = probed6(t);
  node.probe.send(ping());
  node.world.run(10000);
  t.is(node.probe.takeParsed().filter((sent) => sent.icmp?.type === 135).length, 3);
  t.is(node.nd.counters.failed, 1);
  t.is(entry(node, PROBE_IP6), null);
});

test("a neighbour that has not been heard for long is probed by unicast, in use", (t) => {
  const node = probed6(t);
  acquaint(node);
  node.world.run(46000);
  node.probe.send(ping());
  t.is(node.probe.takeParsed()[0]!.icmp!.type, 129);
  node.world.run(5500);
  const [probe] = node.probe.takeParsed();
  t.is(probe!.icmp!.type, 135);
  t.is(probe!.eth!.dst, PROBE_MAC);
  t.is(probe!.ip6!.dst, long(PROBE_IP6));
  node.probe.send(nd6(NA(PROBE_IP6, "S"), { dst: STACK_IP6 }));
  t.is(entry(node, PROBE_IP6)!.state, REACHABLE);
  node.world.run(10000);
  t.is(node.probe.takeParsed().length, 0);
});

/** The neighbour is there, and then is not: where its questions go, after how many ms. */
function lose(node: Probed6, ms: number): [number, string][] {
  const asked: [number, string][] = [];
  const from = node.world.time;
  for (let time = 0; time < ms; time += 1000) {
    node.probe.send(ping());
    for (const { time: at, bytes } of node.probe.sent.splice(0)) {
      const sent = parseFrame(bytes);
      if (sent.icmp?.type === 135) asked.push([Math.round((at - from) / 1000), sent.eth!.dst]);
    }
    node.world.run(1000);
  }
  return asked;
}

test("a neighbour that no longer answers keeps its address, and is asked for ever more rarely (RFC 7048)", (t) => {
  const node = probed6(t);
  acquaint(node);
  node.world.run(46000);
  const all = "33:33:ff:00:00:02";
  t.deepEqual(lose(node, 60000), [
    [5, PROBE_MAC],
    [6, PROBE_MAC],
    [7, PROBE_MAC],
    [8, all],
    [9, all],
    [12, all],
    [21, all],
    [48, all],
  ]);
  t.is(entry(node, PROBE_IP6)!.state, UNREACHABLE);
  node.probe.send(ping());
  t.is(node.probe.takeParsed()[0]!.eth!.dst, PROBE_MAC, "packets go on");
  node.probe.send(nd6(NA(PROBE_IP6, "S"), { dst: STACK_IP6 }, targetLink()));
  t.is(entry(node, PROBE_IP6)!.state, REACHABLE);
  t.is(node.stack.pool.used, 0);
});

test("patience with a neighbour that does not answer ends: whoever sends is told", (t) => {
  const node = probed6(t);
  const errors: number[] = [];
  acquaint(node);
  const socket = node.udp.open({ onError: (code) => errors.push(code) });
  node.world.run(46000);
  lose(node, 108000);
  t.deepEqual(errors, []);
  t.is(entry(node, PROBE_IP6)!.state, UNREACHABLE);
  node.world.run(1000);
  socket.sendTo(PROBE_IP6, 9, new Uint8Array(1));
  t.is(entry(node, PROBE_IP6)!.state, INCOMPLETE);
  node.world.run(4000);
  t.deepEqual(errors, [EHOSTUNREACH]);
  t.is(entry(node, PROBE_IP6), null);
});

test("an unreachable neighbour that nobody writes to is not asked for", (t) => {
  const node = probed6(t);
  acquaint(node);
  node.world.run(46000);
  lose(node, 10000);
  node.probe.take();
  node.world.run(3600000);
  t.deepEqual(node.probe.take(), []);
  t.is(node.stack.timers.count(), 0);
});

test("reachable time and retransmission timer are an interface's own (RFC 4861 section 6.3.4)", (t) => {
  const node = probed6(t, { slaac: true, addresses: [STACK_IP6 + "/64"] });
  const other = node.stack.addInterface(new Probe(node.world, { mac: "02:00:00:00:00:31" }));
  node.probe.send(nd6(RA({ reachable: 10000, retrans: 200 })));
  t.is(node.nd.times(node.nif).retransTimer, 200);
  t.is(node.nd.times(other).retransTimer, 1000);
  const time = node.nd.times(node.nif).reachableTime;
  t.true(time >= 5000 && time < 15000);
  t.true(node.nd.times(other).reachableTime >= 15000);
  node.probe.send(nd6(RA({ reachable: 10000 })));
  t.is(node.nd.times(node.nif).reachableTime, time, "the same base, the same time");
  t.is(node.nd.times(node.nif).retransTimer, 200);
  const chosen = new Set<number>();
  for (let hours = 0; hours < 20; hours += 2.1) {
    node.world.run(2.1 * 3600000);
    chosen.add(node.nd.times(node.nif).reachableTime);
  }
  t.true(chosen.size > 5, "chosen anew every few hours");
  node.stack.removeInterface(other);
});

const INVALID: [string, NdMessage, NdFields, ...Uint8Array[]][] = [
  ["NS with hop limit 254", NS(STACK_IP6), { ...nsFields(), hops: 254 }, sourceLink()],
  ["NS with code 1", { ...NS(STACK_IP6), code: 1 }, nsFields(), sourceLink()],
  ["NS of 23 bytes", { ...NS(STACK_IP6), body: ip6Bytes(STACK_IP6).subarray(0, 15) }, nsFields()],
  ["NS for a group", NS("ff02::1"), { dst: "ff02::1" }, sourceLink()],
  ["NS from :: to all nodes", NS(STACK_IP6), { src: "::", dst: "ff02::1" }],
  ["NS from :: to our address", NS(STACK_IP6), { src: "::", dst: STACK_IP6 }],
  ["NS from :: with a hardware address", NS(STACK_IP6), nsFields("::"), sourceLink()],
  ["NS with a group's hardware address", NS(STACK_IP6), nsFields(), sourceLink("33:33:00:00:00:01")],
  ["NA with hop limit 254", NA(PROBE_IP6, "O"), { hops: 254 }, targetLink()],
  ["NA with code 1", { ...NA(PROBE_IP6, "O"), code: 1 }, {}, targetLink()],
  ["NA of 23 bytes", { ...NA(PROBE_IP6, "O"), body: new Uint8Array(15) }, {}],
  ["NA for a group", NA("ff02::2", "O"), {}, targetLink()],
  ["solicited NA to a group", NA(PROBE_IP6, "SO"), {}, targetLink()],
];

for (const [what, message, fields, ...options] of INVALID) {
  test(`ND-01 ${what} is dropped`, (t) => {
    const node = probed6(t);
    node.probe.send(nd6(message, fields, ...options));
    t.is(node.nd.counters.invalid, 1);
    t.is(node.nd.cache.entries.length, 0);
    t.is(node.probe.takeParsed().length, 0);
  });
}

for (const [what, bytes] of [
  ["of length 0", hex("01 00 020000000002")],
  ["of length 0 after a good one", concat(sourceLink(), hex("0e 00 020000000002"))],
  ["past the end", hex("01 02 020000000002")],
  ["cut short", hex("01 01 0200")],
  ["one byte", hex("01")],
] as const) {
  test(`ND-02 an option ${what}: the whole message is dropped`, (t) => {
    const node = probed6(t);
    node.probe.send(nd6(NS(STACK_IP6), nsFields(), bytes));
    node.probe.send(nd6(NA(PROBE_IP6, "O"), {}, bytes));
    t.is(node.nd.counters.badopt, 2);
    t.is(node.nd.cache.entries.length, 0);
    t.is(node.probe.takeParsed().length, 0);
  });
}

test("ND-05 a flood of solicitations neither grows the cache nor disturbs a flow", (t) => {
  const node = probed6(t);
  acquaint(node);
  for (let i = 0; i < 65536; i++) {
    const src = `fe80::${(i >> 8).toString(16)}:${((i & 255) + 16).toString(16)}`;
    node.probe.send(nd6(NS(STACK_IP6), nsFields(src), sourceLink()));
    if (i % 512 === 0) {
      node.probe.take();
      node.probe.send(ping());
      t.is(node.probe.takeParsed()[0]!.icmp!.type, 129);
    }
  }
  t.true(node.nd.cache.entries.length <= 64);
  t.is(entry(node, PROBE_IP6)!.state, REACHABLE);
});

test("ND-05 a scan of the network leaves the flow, the router and a bounded number of questions", (t) => {
  const node = probed6(t, { addresses: [STACK_IP6 + "/64", "2001:db8::1/64"] });
  node.ip6.addRoute("::/0", { gateway: PROBE_IP6 + "%eth0" });
  acquaint(node);
  const path = node.ip6.createPath();
  for (let i = 0; i < 65536; i++) {
    node.ip6.setRemote(path, `2001:db8::${((i >> 8) + 16).toString(16)}:${(i & 255).toString(16)}`);
    const tx = node.stack.prepare(8)!;
    tx.data.fill(0, tx.start, tx.end);
    node.ip6.output(tx, path, 253);
  }
  t.true(node.nd.cache.entries.length <= 64);
  t.true(node.nd.cache.entries.filter(({ state }) => state === INCOMPLETE).length <= 17);
  const questions = () => node.probe.takeParsed().filter(({ icmp }) => icmp?.type === 135).length;
  // As many as the cache has entries: the probe was one of them.
  t.is(questions(), 63);
  t.is(node.nd.counters.limited, 65536 - 63);
  node.probe.send(ping());
  t.is(node.probe.takeParsed()[0]!.icmp!.type, 129);
  node.world.run(10000);
  t.true(questions() <= 17 * 2);
  t.is(node.nd.cache.entries.filter(({ state }) => state === INCOMPLETE).length, 0);
  t.is(node.stack.pool.used, 0);
});

test("ND-05 while a network is scanned, who is asked for is found all the same", (t) => {
  const node = probed6(t, { addresses: [STACK_IP6 + "/64", "2001:db8::1/64"] });
  const path = node.ip6.createPath();
  const send = (to: string) => {
    node.ip6.setRemote(path, to);
    const tx = node.stack.prepare(8)!;
    tx.data.fill(0, tx.start, tx.end);
    return node.ip6.output(tx, path, 253);
  };
  let found = 0;
  for (let i = 0; i < 4000; i++) {
    send(`2001:db8::${(i + 16).toString(16)}`);
    if (i % 10 === 0) send(PROBE_IP6);
    for (const sent of node.probe.takeParsed()) {
      if (sent.icmp?.type === 135 && targetOf(sent) === long(PROBE_IP6))
        node.probe.send(nd6(NA(PROBE_IP6, "S"), { dst: STACK_IP6 }, targetLink()));
      if (sent.ip6?.dst === long(PROBE_IP6) && sent.ip6.next === 253) found++;
    }
    node.world.run(1);
  }
  t.true(node.nd.counters.solicitationsSent <= 64 + 64 * 4 + 20, String(node.nd.counters.solicitationsSent));
  t.true(found > 300, `${found} of 400`);
});

test("ND-06 an advertisement that nobody asked for makes no entry", (t) => {
  const node = probed6(t);
  node.probe.send(nd6(NA("fe80::77", "O"), {}, targetLink()));
  node.probe.send(nd6(NA("fe80::77", "SO"), { dst: STACK_IP6 }, targetLink()));
  t.is(node.nd.counters.unsolicited, 2);
  t.is(node.nd.cache.entries.length, 0);
});

test("ND-06 who is reachable keeps its entry against others' claims until it does not answer", (t) => {
  const node = probed6(t);
  acquaint(node);
  for (const flags of ["O", "SO"]) {
    node.probe.send(
      nd6(NA(PROBE_IP6, flags), { dst: flags === "O" ? undefined : STACK_IP6 }, targetLink(OTHER_MAC)),
    );
  }
  t.is(node.nd.counters.conflict, 2);
  // The one whose address it is, is asked.
  const [probe] = node.probe.takeParsed();
  t.is(probe!.eth!.dst, PROBE_MAC);
  node.probe.send(ping());
  t.is(node.probe.takeParsed()[0]!.eth!.dst, PROBE_MAC);
  node.world.run(5000);
  t.is(entry(node, PROBE_IP6)!.state, UNREACHABLE);
  node.probe.send(nd6(NA(PROBE_IP6, "SO"), { dst: STACK_IP6 }, targetLink(OTHER_MAC)));
  t.is(entry(node, PROBE_IP6)!.state, REACHABLE);
  t.is(entry(node, PROBE_IP6)!.low, 0x99);
});

test("ND-06 a stale entry takes another hardware address only with the override flag, and stays stale", (t) => {
  const node = probed6(t, { slaac: true, addresses: [STACK_IP6 + "/64"] });
  node.probe.send(nd6(RA({ lifetime: 0 }), {}, sourceLink()));
  node.probe.send(nd6(NA(PROBE_IP6, ""), {}, targetLink(OTHER_MAC)));
  t.is(entry(node, PROBE_IP6)!.low, 2);
  node.probe.send(nd6(NA(PROBE_IP6, "SO"), { dst: STACK_IP6 }, targetLink(OTHER_MAC)));
  t.is(entry(node, PROBE_IP6)!.low, 0x99);
  t.is(entry(node, PROBE_IP6)!.state, STALE);
});

test("ND-06 an advertisement of our own address is a conflict, and no more", (t) => {
  const node = probed6(t);
  for (let i = 0; i < 100; i++) node.probe.send(nd6(NA(STACK_IP6, "O"), {}, targetLink()));
  t.is(node.nd.counters.conflict, 100);
  t.not(node.ip6.findAddress(ip6Bytes(STACK_IP6), 0, node.nif), null);
  t.is(node.probe.takeParsed().length, 0);
});

test("ND-10 solicitations while the cache is full of neighbours in use: answered where it can be, nothing leaks", (t) => {
  const node = probed6(t);
  for (let i = 0; i < 64; i++) {
    const src = `fe80::a${(i + 16).toString(16)}`;
    node.probe.send(ping(src));
    node.probe.send(nd6(NA(src, "S"), { dst: STACK_IP6 }, targetLink()));
  }
  t.is(node.nd.cache.entries.filter(({ state }) => state === REACHABLE).length, 64);
  node.probe.take();
  node.probe.send(nd6(NS(STACK_IP6), nsFields("fe80::b1"), sourceLink()));
  node.probe.send(nd6(NS(STACK_IP6), nsFields("fe80::b2")));
  node.probe.send(ping("fe80::b3"));
  t.is(node.nd.cache.entries.length, 64);
  t.true(node.nd.counters.refused >= 3);
  t.is(node.probe.takeParsed().length, 0);
  t.is(node.stack.pool.used, 0);
});

test("ND-10 an entry that goes while packets wait for it gives them back", (t) => {
  const node = probed6(t);
  node.probe.send(ping());
  node.probe.send(ping());
  t.true(node.stack.pool.used > 0);
  node.nif.carrier(false);
  t.is(node.stack.pool.used, 0);
  node.nif.carrier(true);
  node.world.run(10000);
  t.is(node.nd.cache.entries.filter(({ state }) => state !== FREE).length, 0);
});

test("messages that came in fragments are dropped (RFC 6980)", (t) => {
  const node = probed6(t);
  const whole = nd6(NS(STACK_IP6), nsFields(), sourceLink());
  const body = whole.subarray(54);
  const headed = frame(
    eth({ dst: "33:33:ff:00:00:01" }),
    ip6({ hops: 255, dst: solicited(STACK_IP6), next: 44 }),
    concat(hex("3a 00 0000 00000001"), body),
  );
  node.probe.send(headed);
  t.is(node.nd.counters.fragmented, 1);
  t.is(node.nd.cache.entries.length, 0);
  t.is(node.probe.takeParsed().length, 0);
});

test("whatever the bytes, nothing throws and nothing grows", (t) => {
  const node = probed6(t, { slaac: true, addresses: [STACK_IP6 + "/64"] });
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .tuple(fc.constantFrom(1, 2, 3, 4, 5, 14, 24, 25, 31, 38), fc.uint8Array({ maxLength: 46 }))
      .map(([type, body]) => option(type, body)),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(133, 134, 135, 136, 137),
      fc.constantFrom(NS(STACK_IP6).body, NS(PROBE_IP6).body, RA().body, new Uint8Array(0)),
      fc.array(chunk, { maxLength: 5 }),
      fc.constantFrom(STACK_IP6, "ff02::1", solicited(STACK_IP6)),
      fc.constantFrom(PROBE_IP6, "::", "2001:db8::5", STACK_IP6),
      fc.nat(0xffffffff),
      (type, body, chunks, dst, src, rest) => {
        node.probe.send(nd6({ type, word: rest, body }, { dst, src }, ...chunks));
        node.probe.take();
        node.world.run(7);
        return node.nd.cache.entries.length <= 64 && node.ip6.addresses.length <= 10;
      },
    ),
    { numRuns: 3000 },
  );
  t.true(node.nd.counters.badopt > 0 && node.slaac!.counters.advertisements > 0);
});
