/** The firewall between two networks: what begins, what follows, what is refused, and how much is remembered. */
import test from "ava";
import fc from "fast-check";
import { get16 } from "../../stack/core/bytes.js";
import { SipHash } from "../../stack/core/hash.js";
import { Flows, TIMEOUTS } from "../../stack/filter/flows.js";
import { KEY_WORDS, PORTS } from "../../stack/filter/tuple.js";
import { firewall } from "../../stack/filter/firewall.js";
import type { Rule } from "../../stack/filter/rules.js";
import { ip4Bytes } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import {
  BROADCAST_MAC,
  STACK_MAC,
  eth,
  fragments,
  frame,
  icmp,
  igmp,
  ip4,
  ip6,
  tcp,
  tcpOptions,
  udp,
} from "../support/packets.js";
import { nd6, NS } from "../support/packets6.js";
import { LAN_HOST, WAN_HOST } from "../router/support.js";
import { OUTER, walled } from "./support.js";

const OUTWARD: Rule[] = [{ action: "accept", from: "lan" }];

test("default deny: nothing passes, nothing reaches us, and what we send is answered", (t) => {
  const w = walled(t);
  w.out({}, udp({ dport: 53 }), 10);
  w.in({}, udp({ dport: 53 }), 10);
  w.in({ dst: OUTER }, icmp({ type: 8 }), 10);
  w.in6({}, tcp({ flags: "S" }));
  t.is(w.walls.dropped, 4);
  t.deepEqual([...w.lan.take(), ...w.wan.take()], []);

  const socket = w.udp.open({ port: 5353 });
  socket.sendTo(WAN_HOST, 53, new Uint8Array(4));
  expectFrame(t, w.wan.next(), { udp: { sport: 5353, dport: 53 } });
  w.in({ dst: OUTER }, udp({ sport: 53, dport: 5353 }), "answer");
  w.in({ dst: OUTER }, udp({ sport: 54, dport: 5353 }), "forged");
  t.is(socket.readable(), 1);
  socket.close();
});

test("answers pass, in both families; errors about what was sent pass, others do not", (t) => {
  const w = walled(t, { rules: OUTWARD });
  w.out({}, udp({ sport: 1000, dport: 9 }), 30);
  const sent = w.wan.next()!;
  w.in({}, udp({ sport: 9, dport: 1000 }), 30);
  expectFrame(t, w.lan.next(), { udp: { dport: 1000 }, payload: 30 });
  w.in({ src: "10.1.0.9" }, icmp({ type: 3, code: 3 }), sent.subarray(14));
  expectFrame(t, w.lan.next(), { ip4: { src: "10.1.0.9" }, icmp: { type: 3 } });
  const forged = frame(ip4({ src: LAN_HOST, dst: WAN_HOST }), udp({ sport: 1001, dport: 9 }), 30);
  w.in({ src: "10.1.0.9" }, icmp({ type: 3, code: 3 }), forged);
  t.is(w.walls.invalid, 1);

  w.out6({}, udp({ sport: 1000, dport: 9 }), 30);
  expectFrame(t, w.wan.next(), { udp: { sport: 1000 } });
  w.in6({}, udp({ sport: 9, dport: 1000 }), 30);
  expectFrame(t, w.lan.next(), { udp: { sport: 9 } });
  w.out({}, icmp({ type: 8, id: 7 }), 10);
  w.wan.take();
  w.in({}, icmp({ type: 0, id: 8 }), 10);
  t.deepEqual(w.lan.take(), []);
  w.in({}, icmp({ type: 0, id: 7 }), 10);
  expectFrame(t, w.lan.next(), { icmp: { type: 0, id: 7 } });
  w.in({}, icmp({ type: 8, id: 7 }), 10);
  t.deepEqual(w.lan.take(), [], "an answer is not a question");
  t.is(w.walls.flows, 3);
});

test("rules: the first that fits; prefixes, ports, types, protocols, limits; what they decide is told", (t) => {
  const told: string[] = [];
  const w = walled(t, {
    onLog: ({ text, action, from, to, flow }) =>
      told.push(`${text} ${action} ${from} ${to} ${flow.destinationPort}`),
    rules: [
      { action: "reject", from: "lan", protocol: "tcp", port: [25, { first: 100, last: 110 }], log: "mail" },
      { action: "drop", source: ["10.0.0.66", "2001:db8:66::/48"], log: "bad" },
      { action: "accept", from: "wan", to: "self", protocol: "icmp", icmpType: 8, limit: { rate: 2 } },
      { action: "accept", from: "wan", to: "lan", protocol: "tcp", destination: "10.0.0.2/32", port: 22 },
      { action: "accept", from: "lan", sourcePort: { first: 1000, last: 2000 } },
    ],
  });
  for (const [dport, sport, passes] of [
    [25, 1000, false],
    [105, 1000, false],
    [111, 1000, true],
    [111, 999, false],
  ] as const) {
    w.out({}, tcp({ flags: "S", sport, dport }));
    t.is(w.wan.take().length, passes ? 1 : 0, `${dport}`);
  }
  t.is(w.walls.rejected, 2);
  expectFrame(t, w.lan.next(), { ip4: { src: "10.0.0.1" }, icmp: { type: 3, code: 3 } });
  w.lan.take();
  w.out({ src: "10.0.0.66" }, tcp({ flags: "S", sport: 1500 }));
  for (let i = 0; i < 5; i++) w.in({ dst: OUTER }, icmp({ type: 8, id: i }), 8);
  t.is(w.wan.take().length, 2, "two echoes a second");
  w.in({}, tcp({ flags: "S", dport: 22 }));
  w.in({}, tcp({ flags: "S", dport: 23 }));
  expectFrame(t, w.lan.next(), { tcp: { dport: 22 } });
  t.deepEqual(w.wall.hits(), [2, 1, 2, 1, 1]);
  t.deepEqual(told, ["mail reject lan wan 25", "mail reject lan wan 105", "bad drop lan wan 80"]);
  t.deepEqual(
    w.wall.test(frame(ip4({ src: LAN_HOST, dst: WAN_HOST }), tcp({ flags: "S", dport: 25 })), "lan", "wan"),
    { action: "reject", rule: 0 },
  );
  t.deepEqual(w.wall.test(frame(ip6({ src: "2001:db8:66::1" }), udp()), "wan", "self"), {
    action: "drop",
    rule: 1,
  });
});

test("what this host sends is judged by rules from self alone", (t) => {
  const w = walled(t, { rules: [{ action: "drop" }] });
  const socket = w.udp.open({});
  t.is(socket.sendTo(WAN_HOST, 53, new Uint8Array(4)), 4);
  w.wall.load({ rules: [{ action: "drop", from: "self", port: 53 }] });
  w.wall.forget(() => true);
  socket.sendTo(WAN_HOST, 53, new Uint8Array(4));
  t.is(w.wan.take().length, 1);
  t.is(socket.sendTo(WAN_HOST, 54, new Uint8Array(4)), 4);
  socket.close();
});

test("bad rules are refused with their number, and leave the old ones in force", (t) => {
  const bad: [Rule, RegExp][] = [
    [{ action: "allow" as never }, /rule 1: action/],
    [{ action: "drop", source: "10.0.0.0/33" }, /rule 1: source/],
    [{ action: "drop", destination: [] }, /rule 1: destination/],
    [{ action: "drop", destination: "host" }, /rule 1: destination/],
    [{ action: "drop", port: 65536 }, /rule 1: port/],
    [{ action: "drop", port: { first: 9, last: 8 } }, /rule 1: port/],
    [{ action: "drop", protocol: "icmp", port: 1 }, /no ports/],
    [{ action: "drop", protocol: "sctp" as never }, /protocol/],
    [{ action: "drop", protocol: "tcp", icmpType: 1 }, /icmpType/],
    [{ action: "drop", limit: { rate: 0 } }, /limit/],
  ];
  const w = walled(t, { rules: OUTWARD });
  for (const [rule, message] of bad) {
    const error = t.throws(() => w.wall.load({ rules: [{ action: "accept" }, rule] }), {
      code: "EINVAL",
    } as never);
    t.regex((error as Error).message, message);
  }
  t.throws(() => w.wall.load({ forward: [] }), { code: "EINVAL" });
  t.throws(() => w.wall.load({ policy: "maybe" as never }), { code: "EINVAL" });
  t.throws(() => w.wall.assign(w.lanNif, "self"), { code: "EINVAL" });
  t.throws(() => firewall({ flows: 0.5 }), { code: "EINVAL" });
  w.out({}, udp(), 1);
  t.is(w.wan.take().length, 1);
});

test("a reload keeps connections, though its rules would not let them begin", (t) => {
  const w = walled(t, { rules: OUTWARD });
  w.out({}, udp({ sport: 1, dport: 2 }), 1);
  w.wall.load({ rules: [] });
  w.out({}, udp({ sport: 1, dport: 2 }), 1);
  w.in({}, udp({ sport: 2, dport: 1 }), 1);
  t.is(w.wan.take().length, 2);
  t.is(w.lan.take().length, 1);
  w.out({}, udp({ sport: 1, dport: 3 }), 1);
  t.is(w.walls.dropped, 1);
  t.like(w.wall.list()[0], {
    source: LAN_HOST,
    sourcePort: 1,
    destination: WAN_HOST,
    destinationPort: 2,
    protocol: 17,
  });
});

test("neighbours and groups: discovery passes without rules, from the link alone; groups are judged", (t) => {
  const w = walled(t);
  w.wan.send(nd6(NS("2001:db8:2::1"), { dst: "ff02::1:ff00:1", src: "2001:db8:2::2" }));
  t.is(w.wan.takeParsed().filter((p) => p.payload.length > 0).length, 1, "an advertisement");
  w.in6({ dst: "2001:db8:2::1", hops: 254 }, icmp({ type: 135 }), ip4Bytes("1.2.3.4"), 12);
  t.is(w.walls.malformed, 1);
  w.lan.send(frame(eth({ dst: BROADCAST_MAC }), ip4({ dst: "255.255.255.255" }), udp({ dport: 67 }), 10));
  t.is(w.walls.dropped, 1);
  w.lan.send(
    frame(eth({ dst: "01:00:5e:00:00:01" }), ip4({ dst: "224.0.0.1", ttl: 1 }), igmp({ type: 0x11 })),
  );
  t.is(w.walls.dropped, 1, "IGMP is the link's own");
});

test("NAT-01: evasions by fragments", (t) => {
  const w = walled(t, {
    rules: [
      { action: "accept", from: "lan" },
      { action: "accept", from: "wan", protocol: "udp", port: 53 },
    ],
  });
  const piece = (fields: object, ...rest: (Uint8Array | string | number)[]) =>
    w.in({ protocol: 17, id: 77, ...fields }, ...rest);
  const header = (dport: number) => frame(udp({ sport: 9, dport, length: 108, checksum: 0 })).subarray(0, 8);
  // Later ones without a first.
  piece({ offset: 64 }, 36);
  t.is(w.walls.fragments, 1);
  // In order: all pass.
  piece({ mf: true }, header(53), 56);
  piece({ offset: 64 }, 36);
  t.is(w.lan.take().length, 2);
  // Another datagram's, or another host's, later fragment does not.
  piece({ offset: 64, id: 78 }, 36);
  piece({ offset: 64, src: "10.1.0.3" }, 36);
  t.is(w.lan.take().length, 0);
  // A first one that is refused takes its later ones along.
  piece({ mf: true, id: 79 }, header(54), 56);
  piece({ offset: 64, id: 79 }, 36);
  // A second first with other ports is judged by its own.
  piece({ mf: true, id: 77 }, header(54), 56);
  t.is(w.lan.take().length, 0);
  // Tiny, and overlapping the header.
  const malformed = w.walls.malformed;
  piece({ mf: true, id: 80 }, 4);
  piece({ mf: true, id: 81, protocol: 6 }, 16);
  piece({ offset: 8, id: 82, protocol: 6 }, 24);
  piece({ offset: 16, id: 82, protocol: 6, mf: true }, 24);
  t.is(w.walls.malformed - malformed, 4);
  t.is(w.lan.take().length, 0);
  // IPv6: the ports must be in the first fragment (RFC 7112).
  const chain = (offset: number, more: boolean, next: number) =>
    Uint8Array.of(next, 0, offset >> 8, (offset & 0xf8) | (more ? 1 : 0), 0, 0, 0, 9);
  const before = w.walls.malformed;
  w.in6({ next: 44 } as never, chain(0, true, 60), Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0));
  t.is(w.walls.malformed - before, 1);
  w.in6({ next: 44 } as never, chain(0, true, 17), header(53), 56);
  w.in6({ next: 44 } as never, chain(64, false, 17), 36);
  t.is(w.lan.take().length, 2);
});

test("whole datagrams in fragments pass both ways", (t) => {
  const w = walled(t, { rules: OUTWARD });
  const whole = frame(ip4({ src: LAN_HOST, dst: WAN_HOST }), udp({ sport: 9, dport: 10 }), 3000);
  for (const piece of fragments(whole, 1400, { src: LAN_HOST, dst: WAN_HOST, id: 5 })) {
    w.lan.send(frame(eth({ dst: STACK_MAC, type: 0x800 }), piece));
  }
  t.is(w.wan.take().length, 3);
  t.is(w.walls.flows, 1);
});

test("NAT-02: the table is bounded; established flows outlive half-open ones; a source has its share", (t) => {
  const w = walled(t, { rules: OUTWARD, flows: 64, perSource: 40 });
  w.out({}, tcp({ flags: "S", sport: 1, dport: 80, seq: 100 }));
  w.in({}, tcp({ flags: "SA", sport: 80, dport: 1, seq: 900, ack: 101 }));
  w.out({}, tcp({ flags: "A", sport: 1, dport: 80, seq: 101, ack: 901 }));
  for (let host = 3; host < 13; host++) {
    for (let port = 1; port < 60; port++)
      w.out({ src: `10.0.0.${host}` }, tcp({ flags: "S", sport: port, dport: 80 }));
  }
  t.is(w.wall.flows.size, 64);
  t.true(w.walls.perSource >= 19 * 10 - 64);
  t.true(w.wall.flows.evicted > 0);
  w.wan.take();
  w.lan.take();
  w.in({}, tcp({ flags: "A", sport: 80, dport: 1, seq: 901, ack: 101 }), 10);
  expectFrame(t, w.lan.next(), { tcp: { sport: 80 }, payload: 10 });
  // Full of flows that matter: what is new is refused.
  const full = walled(t, { rules: OUTWARD, flows: 8, perSource: 8 });
  for (let port = 1; port <= 12; port++) {
    full.out({}, udp({ sport: port, dport: 53 }), 1);
    full.in({}, udp({ sport: 53, dport: port }), 1);
  }
  t.is(full.wall.flows.size, 8);
  t.is(full.walls.perSource, 4);
  full.out({ src: "10.0.0.9" }, udp({ sport: 1, dport: 53 }), 1);
  t.is(full.walls.full, 1);
});

test("NAT-02: datagrams and pings of a flood have no more room; keys that meet under one secret do not under another", (t) => {
  const w = walled(t, { rules: OUTWARD, flows: 64, perSource: 64 });
  const { client, server } = connection(w);
  for (let i = 0; i < 5000; i++) {
    const src = `10.0.0.${3 + (i % 250)}`;
    if (i & 1) w.out({ src }, udp({ sport: 1024 + i, dport: 53 }), 1);
    else w.out({ src }, icmp({ type: 8, id: i, seq: 1 }), 8);
  }
  t.is(w.wall.flows.size, 64);
  w.lan.take();
  w.in({}, tcp({ ...server, flags: "A", seq: 9000, ack: 1000 }), 10);
  t.is(w.lan.take().length, 1);
  t.is(client.sport, server.dport);
  // 128 buckets: under the secret that they were chosen for, 10,000 keys are all in the first.
  const slots = (secret: number) => {
    const hash = new SipHash();
    hash.key(new Uint8Array(16).fill(secret));
    const flows = new Flows(64, 64, hash) as unknown as { slot(key: Int32Array, at: number): number };
    return (key: Int32Array) => flows.slot(key, 0);
  };
  const [known, other] = [slots(1), slots(2)];
  const counts = new Int32Array(128);
  const key = new Int32Array(KEY_WORDS);
  for (let chosen = 0; chosen < 10_000; key[PORTS]++) {
    if (known(key) !== 0) continue;
    chosen++;
    counts[other(key)]!++;
  }
  t.true(Math.max(...counts) <= (3 * 10_000) / 128, `${Math.max(...counts)}`);
});

test("flows end when their time is over, and nothing is left", (t) => {
  const w = walled(t, { rules: OUTWARD, nat: undefined });
  for (let port = 1; port <= 300; port++) w.out({}, udp({ sport: port, dport: 53 }), 1);
  w.out({}, icmp({ type: 8, id: 1 }), 8);
  w.in({}, udp({ sport: 53, dport: 7 }), 1);
  t.is(w.wall.flows.size, 301);
  w.world.run(TIMEOUTS[3] + 2000);
  t.is(w.wall.flows.size, 1, "the answered one");
  w.in({}, udp({ sport: 53, dport: 8 }), 1);
  t.is(w.walls.dropped, 1);
  w.world.run(TIMEOUTS[4]);
  t.is(w.wall.flows.size, 0);
  t.is(w.stack.timers.count(), 0);
});

/** A connection from the LAN to the outer host: sequence numbers 1000 and 9000, windows of 1000. */
function connection(w: ReturnType<typeof walled>) {
  const client = { sport: 1, dport: 80, window: 1000 };
  const server = { sport: 80, dport: 1, window: 1000 };
  w.out({}, tcp({ ...client, flags: "S", seq: 999 }));
  w.in({}, tcp({ ...server, flags: "SA", seq: 8999, ack: 1000 }));
  w.out({}, tcp({ ...client, flags: "A", seq: 1000, ack: 9000 }));
  w.lan.take();
  w.wan.take();
  return { client, server };
}

test("NAT-05: TCP: segments outside of the windows, spoofed RST, FIN and SYN do not end or move a connection", (t) => {
  const w = walled(t, { rules: OUTWARD });
  const { client, server } = connection(w);
  const passes = (direction: "in" | "out", fields: object, size = 0) => {
    w[direction]({}, tcp({ ...(direction === "in" ? server : client), ...fields }), size);
    const passed = direction === "in" ? w.lan.take().length : w.wan.take().length;
    w.lan.take();
    w.wan.take();
    return passed === 1;
  };
  const established = () => w.wall.list()[0].expires > TIMEOUTS[0] + 1;
  t.true(established());
  // 2 h 4 min.
  t.is(TIMEOUTS[1], 7_440_000);
  for (const flags of ["R", "RA", "FA", "A"]) {
    t.false(passes("in", { flags, seq: 9000 + 1001, ack: 1000 }), `${flags} beyond the window`);
    t.false(passes("in", { flags, seq: 9000 - 1002, ack: 1000 }), `${flags} before it`);
  }
  t.false(passes("in", { flags: "A", seq: 9000, ack: 1001 }, 10), "acknowledges what was never sent");
  t.true(passes("in", { flags: "S", seq: 5, ack: 0 }), "a SYN is the ends' business");
  t.true(established());
  t.is(w.walls.invalid, 9);
  // Data both ways, a window's worth.
  t.true(passes("in", { flags: "A", seq: 9000, ack: 1000 }, 1000));
  t.false(passes("in", { flags: "A", seq: 10_001, ack: 1000 }, 1));
  t.true(passes("out", { flags: "A", seq: 1000, ack: 10_000 }, 500));
  t.true(passes("in", { flags: "A", seq: 10_000, ack: 1500 }, 100));
  // A RST in the window may be refused by the end: the flow goes on for four minutes, and wakes up.
  t.true(passes("in", { flags: "R", seq: 10_100 }));
  t.false(established());
  t.true(passes("out", { flags: "A", seq: 1500, ack: 10_100 }, 10));
  t.true(established());
  // Both sides close.
  t.true(passes("out", { flags: "FA", seq: 1510, ack: 10_100 }));
  t.true(established());
  t.true(passes("in", { flags: "FA", seq: 10_100, ack: 1511 }));
  t.false(established());
  t.true(passes("out", { flags: "A", seq: 1511, ack: 10_101 }));
  // The same ports again.
  t.true(passes("out", { flags: "S", seq: 500_000 }));
  t.true(passes("in", { flags: "SA", seq: 700_000, ack: 500_001 }));
  t.true(passes("out", { flags: "A", seq: 500_001, ack: 700_001 }));
  t.true(established());
});

test("TCP that did not begin here does not pass; a refused SYN's RST does", (t) => {
  const w = walled(t, { rules: OUTWARD });
  for (const flags of ["A", "SA", "R", "FA", "", "SF", "SR", "FPU"]) w.out({}, tcp({ flags }), 10);
  t.is(w.walls.invalid, 8);
  t.deepEqual(w.wan.take(), []);
  w.out({}, tcp({ flags: "S", sport: 1, dport: 80, seq: 99 }));
  w.in({}, tcp({ flags: "RA", sport: 80, dport: 1, seq: 0, ack: 55 }));
  t.deepEqual(w.lan.take(), []);
  w.in({}, tcp({ flags: "RA", sport: 80, dport: 1, seq: 0, ack: 100 }));
  t.is(w.lan.take().length, 1);
});

test("windows are scaled as both ends have agreed", (t) => {
  for (const [ours, theirs, limit] of [
    [4, 3, 16_000],
    [4, undefined, 1000],
  ] as const) {
    const w = walled(t, { rules: OUTWARD });
    const options = (shift?: number) =>
      tcpOptions(shift === undefined ? { mss: 1460 } : { mss: 1460, windowScale: shift });
    w.out({}, tcp({ sport: 1, dport: 80, flags: "S", seq: 999, window: 1000, options: options(ours) }));
    w.in(
      {},
      tcp({ sport: 80, dport: 1, flags: "SA", seq: 8999, ack: 1000, window: 1000, options: options(theirs) }),
    );
    w.out({}, tcp({ sport: 1, dport: 80, flags: "A", seq: 1000, ack: 9000, window: 1000 }));
    w.lan.take();
    w.in({}, tcp({ sport: 80, dport: 1, flags: "A", seq: 9000 + limit + 1, ack: 1000 }), 1);
    t.is(w.lan.take().length, 0);
    w.in({}, tcp({ sport: 80, dport: 1, flags: "A", seq: 9000 + limit, ack: 1000 }), 1);
    t.is(w.lan.take().length, 1);
  }
});

test("NAT-06: sources that belong elsewhere", (t) => {
  const w = walled(t, { rules: [{ action: "accept" }] }, { forwarding: { reversePath: "off" } });
  w.in({ src: LAN_HOST, dst: OUTER }, udp(), 10);
  w.in({ src: LAN_HOST, dst: "10.0.0.9" }, udp(), 10);
  w.in6({ src: "2001:db8:1::7", dst: "2001:db8:2::1" }, udp(), 10);
  w.out({ src: WAN_HOST }, udp(), 10);
  t.is(w.walls.spoofed, 4);
  w.in({ dst: "127.0.0.1" }, udp(), 10);
  w.in({ src: "127.0.0.1" }, udp(), 10);
  t.is(w.walls.flows, 0);
});

test("any bytes: nothing throws, no rule lets in what does not belong to a flow", (t) => {
  const w = walled(t, { rules: [{ action: "accept", from: "lan", protocol: "udp", port: 53 }], flows: 32 });
  fc.assert(
    fc.property(
      fc.record({
        protocol: fc.constantFrom(0, 1, 2, 6, 17, 41, 44, 58, 132),
        offset: fc.constantFrom(0, 0, 8, 16, 24, 1480),
        mf: fc.boolean(),
        ttl: fc.constantFrom(1, 64, 255),
      }),
      fc.uint8Array({ maxLength: 80 }),
      fc.boolean(),
      (fields, bytes, six) => {
        if (six) w.in6({ next: fields.protocol, hops: fields.ttl } as never, bytes);
        else w.in(fields, bytes);
        t.deepEqual(w.lan.take(), []);
        w.out(fields, bytes);
        w.lan.take();
        for (const passed of w.wan.take()) {
          if (get16(passed, 12) === 0x800 && passed[23] === 17) t.is(get16(passed, 36), 53);
        }
        t.true(w.wall.flows.size <= 32);
      },
    ),
    { numRuns: 2000 },
  );
});
