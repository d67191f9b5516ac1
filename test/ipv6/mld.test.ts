/** MLD as a host speaks it: joins, leaves, filters, queries of both versions, and what must not be believed. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { mld } from "../../stack/ipv6/mld.js";
import type { MldOptions } from "../../stack/ipv6/mld.js";
import { concat, hex, ip6Bytes, ip6Text } from "../support/bytes.js";
import { findLeaks } from "../support/leaks.js";
import { be16, eth, frame, ip6, transportChecksum, udp } from "../support/packets.js";
import type { Ip6Fields } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";

const GROUP = "ff05::1:3";
const OTHER = "ff05::1:4";
const HBH = hex("3a00050200000100");
/** The stack's own: of its link-local address, fe80::1, and 2001:db8::1 (the same). */
const SOLICITED = "ff02::1:ff00:1";

function setUp(t: ExecutionContext, options: MldOptions = {}, configured = true) {
  const ip = ipv6({ linkLocal: false });
  const icmp = icmpv6();
  const component = mld(options);
  const node = probed(t, { components: () => [ip, icmp, component], acquainted: false });
  const { probe, world, nif } = node;
  const reports = () => probe.take().flatMap((bytes) => describe(t, bytes, configured ? "fe80::1" : "::"));
  const settle = () => {
    world.run(25000);
    return reports();
  };
  const join = (group: string, sources?: string[], exclude = false) => {
    const filter = sources ? { exclude, sources } : null;
    t.is(ip.join(group, nif, filter), 0);
    return () => ip.leave(group, nif, filter);
  };
  const query = (fields: QueryFields = {}, outer: Ip6Fields = {}) => probe.send(queryFrame(fields, outer));
  if (configured) {
    ip.addAddress(nif, "fe80::1/64");
    settle();
  }
  return {
    ...node,
    ip6: ip,
    icmp6: icmp,
    component,
    counters: component.counters,
    reports,
    settle,
    join,
    query,
  };
}

interface QueryFields {
  type?: number;
  delay?: number;
  group?: string;
  /** Version 2 when there are any, or none of them. */
  sources?: string[];
  /** Number of sources that it says. */
  count?: number;
  robustness?: number;
  interval?: number;
  /** Bytes before the ICMPv6 header, with its next header number. */
  before?: Uint8Array;
  cut?: number;
}

function queryFrame(fields: QueryFields, outer: Ip6Fields): Uint8Array {
  const before = fields.before ?? HBH;
  const layer = ip6({ src: "fe80::2", dst: "ff02::1", hops: 1, next: before.length ? 0 : 58, ...outer });
  const head = concat(
    Uint8Array.of(fields.type ?? 130, 0, 0, 0),
    be16(fields.delay ?? 1000),
    be16(0),
    ip6Bytes(fields.group ?? "::"),
  );
  const more = fields.sources
    ? concat(
        Uint8Array.of(fields.robustness ?? 2, fields.interval ?? 125),
        be16(fields.count ?? fields.sources.length),
        ...fields.sources.map(ip6Bytes),
      )
    : new Uint8Array(0);
  const message = concat(head, more).slice(0, fields.cut);
  message.set(be16(transportChecksum(layer, 58, message)), 2);
  return frame(eth({ dst: "33:33:00:00:00:01" }), layer, concat(before, message));
}

const TYPES = ["", "is-in", "is-ex", "to-in", "to-ex", "allow", "block"];

/** Addresses are compared as bytes by their full form. */
const full = (text: string) => ip6Text(ip6Bytes(text));
const report = (type: string, group: string, ...sources: string[]) =>
  [type, ...[group, ...sources].map(full)].join(" ");

function describe(t: ExecutionContext, bytes: Uint8Array, source: string): string[] {
  const { ip6: outer, eth: link, faults, payload } = parseFrame(bytes);
  if (!outer) return [];
  t.deepEqual(faults, []);
  t.like(outer, { src: full(source), hops: 1, next: 0 });
  t.deepEqual(payload.slice(0, 8), HBH);
  const message = payload.slice(8);
  const pseudo = ip6({ src: source, dst: outer.dst });
  t.is(transportChecksum(pseudo, 58, message), 0);
  const low = ip6Bytes(outer.dst);
  t.is(
    link?.dst,
    "33:33:" + Array.from(low.slice(12), (byte) => byte.toString(16).padStart(2, "0")).join(":"),
  );
  if (message[0] === 131 || message[0] === 132) {
    t.is(message.length, 24);
    const group = ip6Text(message.slice(8, 24));
    t.is(outer.dst, message[0] === 131 ? group : full("ff02::2"));
    return [(message[0] === 131 ? "v1 " : "done ") + group];
  }
  t.is(message[0], 143);
  t.is(outer.dst, full("ff02::16"));
  const records: string[] = [];
  let at = 8;
  for (let i = (message[6] << 8) | message[7]; i > 0; i--) {
    const count = (message[at + 2] << 8) | message[at + 3];
    const list = [TYPES[message[at]]];
    for (let k = 0; k <= count; k++) list.push(ip6Text(message.slice(at + 4 + 16 * k, at + 20 + 16 * k)));
    records.push(list.join(" "));
    at += 20 + 16 * count;
  }
  t.is(at, message.length);
  return records;
}

test("a join and a leave are reported at once, and once more", (t) => {
  const { join, reports, settle, world, stack } = setUp(t);
  const leave = join(GROUP);
  t.deepEqual(reports(), [report("to-ex", GROUP)]);
  world.run(1001);
  t.deepEqual(reports(), [report("to-ex", GROUP)]);
  t.deepEqual(settle(), []);
  leave();
  t.deepEqual(reports(), [report("to-in", GROUP)]);
  t.deepEqual(settle(), [report("to-in", GROUP)]);
  t.deepEqual(findLeaks(stack), []);
});

test("solicited-node groups are reported, all nodes never is", (t) => {
  const { ip6: ip, nif, reports, settle } = setUp(t, {}, false);
  ip.addAddress(nif, "2001:db8::1/64");
  // No link-local address yet: from nobody (RFC 3810 section 5.2.13).
  t.deepEqual(reports(), [report("to-ex", SOLICITED)]);
  t.deepEqual(settle(), [report("to-ex", SOLICITED)]);
  t.is(ip.join("ff02::1", nif, null), 0);
  t.is(ip.join("ff01::5", nif, null), 0);
  t.deepEqual(settle(), []);
});

test("a first link-local address makes all groups known again (RFC 3590)", (t) => {
  const { ip6: ip, nif, join, probe, world } = setUp(t, {}, false);
  join(GROUP);
  world.run(5000);
  probe.take();
  ip.addAddress(nif, "fe80::1/64");
  world.run(5000);
  const sent = probe.take().flatMap((bytes) => describe(t, bytes, "fe80::1"));
  t.is(sent.filter((line) => line === report("to-ex", GROUP)).length, 2);
  t.is(sent.filter((line) => line === report("to-ex", SOLICITED)).length, 3);
});

test("what several sockets want is merged (RFC 3810 section 4.2)", (t) => {
  const [a, b, c] = ["2001:db8::a", "2001:db8::b", "2001:db8::c"];
  const { join, settle } = setUp(t);
  const first = join(GROUP, [a, b]);
  t.deepEqual(settle(), Array(2).fill(report("allow", GROUP, a, b)));
  const second = join(GROUP, ["2001:0DB8::B", c]);
  t.deepEqual(settle(), Array(2).fill(report("allow", GROUP, c)));
  const third = join(GROUP, [a, "2001:db8::d"], true);
  t.deepEqual(settle(), Array(2).fill(report("to-ex", GROUP, "2001:db8::d")));
  third();
  t.deepEqual(settle(), Array(2).fill(report("to-in", GROUP, a, b, c)));
  first();
  t.deepEqual(settle(), Array(2).fill(report("block", GROUP, a)));
  second();
  t.deepEqual(settle(), Array(2).fill(report("block", GROUP, b, c)));
});

test("a filter lets through what was asked for", (t) => {
  const { join, probe, udp: sockets, ip6: ip } = setUp(t);
  join(GROUP, ["2001:db8::a"]);
  const socket = sockets.open({ port: 7 });
  const send = (src: string) => {
    probe.send(frame(eth({ dst: "33:33:00:01:00:03" }), ip6({ src, dst: GROUP }), udp(), "abc"));
    return socket.receive(new Uint8Array(10));
  };
  t.is(ip.counters.notOurs, 0);
  send("2001:db8::b");
  t.is(ip.counters.notOurs, 1);
  const before = ip.counters.delivered;
  send("2001:db8::a");
  t.is(ip.counters.delivered, before + 1);
  join(GROUP);
  send("2001:db8::b");
  t.is(ip.counters.delivered, before + 2);
});

test("a general query is answered with all groups, later", (t) => {
  const { join, settle, query, reports, world } = setUp(t);
  join(GROUP, ["2001:db8::a"]);
  join(OTHER);
  settle();
  query({ sources: [], delay: 5000 });
  t.deepEqual(reports(), []);
  world.run(5001);
  t.deepEqual(
    reports().sort(),
    [report("is-ex", SOLICITED), report("is-ex", OTHER), report("is-in", GROUP, "2001:db8::a")].sort(),
  );
  t.deepEqual(settle(), []);
});

test("a query for a group, and for sources of it, is answered for these alone", (t) => {
  const { join, settle, query } = setUp(t);
  join(GROUP, ["2001:db8::a"]);
  join(OTHER);
  settle();
  query({ sources: [], group: OTHER }, { dst: OTHER });
  t.deepEqual(settle(), [report("is-ex", OTHER)]);
  query({ sources: ["2001:db8::a", "2001:db8::b"], group: GROUP }, { dst: GROUP });
  t.deepEqual(settle(), [report("is-in", GROUP, "2001:db8::a")]);
  query({ sources: ["2001:db8::b"], group: GROUP });
  query({ sources: [], group: "ff05::77" });
  t.deepEqual(settle(), []);
});

test("with a querier of version 1: its reports, suppression, and done; version 2 comes back", (t) => {
  const { join, settle, query, reports, world, probe, counters } = setUp(t);
  join(GROUP);
  settle();
  query();
  t.deepEqual(settle().sort(), ["v1 " + full(SOLICITED), "v1 " + full(GROUP)].sort());
  const leave = join(OTHER);
  t.deepEqual(reports(), ["v1 " + full(OTHER)]);
  t.deepEqual(settle(), ["v1 " + full(OTHER)]);
  leave();
  t.deepEqual(settle(), ["done " + full(OTHER)]);
  // Somebody else has answered.
  query({ delay: 10000, group: GROUP }, { dst: GROUP });
  probe.send(queryFrame({ type: 131, group: GROUP }, { src: "fe80::9", dst: GROUP }));
  t.is(counters.suppressed, 1);
  t.deepEqual(settle(), []);
  world.run(300000);
  join(OTHER);
  t.deepEqual(reports(), [report("to-ex", OTHER)]);
});

test("MLD-01 response times, robustness and intervals of any value", (t) => {
  const { join, settle, query, world, reports, counters } = setUp(t);
  join(GROUP);
  settle();
  for (const delay of [0, 1, 0x7fff, 0x8000, 0x8fff, 0xffff]) {
    for (const [robustness, interval] of [
      [0, 0],
      [7, 255],
      [255, 0],
    ]) {
      query({ sources: [], delay, robustness, interval });
      // The longest: (0x0fff | 0x1000) << (7 + 3) ms.
      world.run(delay < 0x8000 ? delay + 2 : (0x1fff << 10) + 2);
      t.is(reports().length, 2);
    }
  }
  query({ delay: 0 });
  world.run(2);
  t.is(reports().length, 2);
  t.is(counters.malformed, 0);
  t.is(counters.queries, 19);
});

test("MLD-01 messages that are cut off, or lie about their lengths and groups", (t) => {
  const { query, counters, settle, join } = setUp(t);
  join(GROUP);
  settle();
  let bad = 0;
  const lies: [QueryFields, Ip6Fields?][] = [
    [{ sources: [], count: 1, group: GROUP }],
    [{ sources: ["2001:db8::a"], count: 2, group: GROUP }],
    [{ sources: ["2001:db8::a"], count: 65535, group: GROUP }],
    [{ sources: ["2001:db8::a"] }],
    [{ sources: [], group: "2001:db8::1" }],
    [{ group: "fe80::1" }],
    [{ sources: [] }, { dst: GROUP }],
  ];
  for (const [fields, outer] of lies) {
    query(fields, outer);
    t.is(counters.malformed, ++bad, JSON.stringify(fields));
  }
  for (const cut of [8, 9, 12, 23, 25, 26, 27]) {
    query({ sources: [], cut });
    t.is(counters.malformed, ++bad, String(cut));
  }
  t.deepEqual(settle(), []);
});

test("MLD-02 queries that do not come from this link, or without router alert", (t) => {
  const { query, counters, settle, join } = setUp(t);
  join(GROUP);
  settle();
  for (const hops of [0, 2, 64, 255]) query({ sources: [] }, { hops });
  t.is(counters.badHopLimit, 4);
  query({ sources: [], before: new Uint8Array(0) });
  query({ sources: [], before: hex("3a00010400000000") });
  t.is(counters.noAlert, 2);
  for (const src of ["2001:db8::9", "::"]) query({ sources: [] }, { src });
  t.is(counters.badSource, 2);
  query({ type: 143 });
  query({ type: 132 });
  query({ type: 131, group: GROUP });
  t.is(counters.ignored, 3);
  t.is(counters.queries, 0);
  t.deepEqual(settle(), []);
});

test("MLD-02 10,000 queries a second make one answer wait, at a random time", (t) => {
  const delays = new Set<number>();
  for (let round = 0; round < 5; round++) {
    const { join, settle, query, world, probe, stack } = setUp(t);
    join(GROUP);
    settle();
    for (let i = 0; i < round; i++) stack.host.randomBelow(2);
    for (let i = 0; i < 2000; i++) {
      query({ sources: [], delay: 10000 });
      query({ sources: [], group: GROUP, delay: 10000 }, { dst: GROUP });
      t.true(stack.timers.count() <= 1);
    }
    const start = world.time;
    world.run(10001);
    t.true(probe.sent.length >= 1 && probe.sent.length <= 2);
    for (const { time } of probe.sent) delays.add(time - start);
    probe.take();
    t.deepEqual(settle(), []);
  }
  t.true(delays.size > 1);
});

test("groups and sources are bounded", (t) => {
  const { ip6: ip, nif, counters, settle, stack } = setUp(t, { groups: 4, sources: 2 });
  for (let i = 1; i <= 10; i++) ip.join("ff05::" + i, nif, null);
  t.true(counters.overflow > 0);
  for (let i = 1; i <= 10; i++) ip.leave("ff05::" + i, nif, null);
  settle();
  const before = counters.overflow;
  ip.join(GROUP, nif, { exclude: false, sources: ["2001:db8::a", "2001:db8::b", "2001:db8::c"] });
  t.is(counters.overflow, before + 1);
  t.is(settle()[0].split(" ")[0], "to-ex");
  t.deepEqual(findLeaks(stack), []);
});

test("a long report is split where the MTU ends", (t) => {
  const { join, settle, query, probe } = setUp(t);
  for (let i = 1; i <= 60; i++) join("ff05::1:" + i.toString(16), ["2001:db8::a", "2001:db8::b"]);
  settle();
  query({ sources: [], delay: 100 });
  const sizes: number[] = [];
  probe.onFrame = (bytes) => void sizes.push(bytes.length - 14);
  t.is(settle().length, 61);
  t.true(sizes.length > 1 && sizes.every((size) => size <= 1500));
});

test("a new carrier makes all groups known again, a removed interface takes them along", (t) => {
  const { join, settle, probe, nif, stack } = setUp(t);
  join(GROUP);
  settle();
  probe.receiver?.carrier(false);
  probe.receiver?.carrier(true);
  t.is(settle().filter((line) => line === report("to-ex", GROUP)).length, 2);
  join(OTHER);
  stack.removeInterface(nif);
  t.deepEqual(findLeaks(stack), []);
});

test("any bytes as MLD: nothing throws, and each message is counted once", (t) => {
  const { probe, counters, join, stack, world } = setUp(t);
  join(GROUP, ["2001:db8::a"]);
  const total = () => {
    const { received: _, sent, sendFailed, overflow, ...rest } = counters;
    return Object.values(rest).reduce((sum, count) => sum + count, 0);
  };
  const body = fc.uint8Array({ maxLength: 80 });
  fc.assert(
    fc.property(
      fc.constantFrom(130, 131, 132, 143),
      fc.constantFrom("::", GROUP, OTHER),
      body,
      fc.nat(80),
      (type, group, more, cut) => {
        const layer = ip6({ src: "fe80::2", dst: "ff02::1", hops: 1, next: 0 });
        const message = concat(
          Uint8Array.of(type, 0, 0, 0),
          more.slice(0, 4),
          new Uint8Array(Math.max(0, 4 - more.length)),
          ip6Bytes(group),
          more,
        ).slice(0, 8 + cut);
        message.set(be16(transportChecksum(layer, 58, message)), 2);
        const before = total();
        probe.send(frame(eth({ dst: "33:33:00:00:00:01" }), layer, concat(HBH, message)));
        world.run(cut * 10);
        probe.take();
        return total() === before + 1;
      },
    ),
    { numRuns: 1000 },
  );
  t.is(stack.pool.used, 0);
});
