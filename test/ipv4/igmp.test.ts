/** IGMP as a host speaks it: joins, leaves, filters, queries of all versions, and what must not be believed. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { EADDRNOTAVAIL, ENOBUFS } from "../../stack/core/errors.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import type { Igmp, IgmpOptions } from "../../stack/ipv4/igmp.js";
import { loopback } from "../../stack/link/loopback.js";
import { concat, ip4Bytes, ip4Text } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { findLeaks } from "../support/leaks.js";
import type { NetworkOptions } from "../support/network.js";
import { be16, eth, frame, fragments, igmp as message, ip4, udp } from "../support/packets.js";
import type { IgmpFields, Ip4Fields } from "../support/packets.js";
import { probed } from "../support/probe.js";

const GROUP = "239.1.2.3";
const OTHER = "239.1.2.4";
const ALERT = Uint8Array.of(0x94, 4, 0, 0);
const TO_ALL = { dst: "224.0.0.1", ttl: 1, options: ALERT };

function setUp(t: ExecutionContext, options: NetworkOptions & { igmp?: IgmpOptions } = {}) {
  const component: Igmp = igmp(options.igmp);
  const node = probed(t, { components: () => [component], ...options });
  const { probe, world, ip, nif } = node;
  /** What has been reported, as text: `"to-ex 239.1.2.3"`, `"v2 239.1.2.3"`, `"leave 239.1.2.3"`. */
  const reports = () => probe.take().flatMap((bytes) => describe(t, bytes));
  /** The same after all of it has been repeated. */
  const settle = () => {
    world.run(25000);
    return reports();
  };
  const join = (group: string, sources?: string[], exclude = false) =>
    ip.join!(group, nif, sources ? { exclude, sources } : null);
  const leave = (group: string, sources?: string[], exclude = false) =>
    ip.leave!(group, nif, sources ? { exclude, sources } : null);
  const query = (fields: IgmpFields = {}, sources?: string[], outer: Ip4Fields = {}) =>
    probe.send(queryFrame(fields, sources, outer));
  return { ...node, component, reports, settle, join, leave, query };
}

/** A query; with `sources` (or none of them) of version 3. */
function queryFrame(fields: IgmpFields, sources?: string[], outer: Ip4Fields = {}): Uint8Array {
  const more = sources
    ? concat(Uint8Array.of(2, 125), be16(sources.length), ...sources.map(ip4Bytes))
    : new Uint8Array(0);
  return frame(eth({ dst: "01:00:5e:00:00:01" }), ip4({ ...TO_ALL, ...outer }), message(fields), more);
}

const TYPES = ["", "is-in", "is-ex", "to-in", "to-ex", "allow", "block"];

function describe(t: ExecutionContext, bytes: Uint8Array): string[] {
  const {
    igmp: header,
    ip4: outer,
    eth: link,
    payload,
  } = expectFrame(t, bytes, {
    ip4: { ttl: 1, src: "10.0.0.1", options: ALERT, tos: 0xc0 },
  });
  const low = ip4Bytes(outer!.dst);
  t.deepEqual(
    link?.dst.split(":").map((part) => parseInt(part, 16)),
    [1, 0, 0x5e, low[1] & 127, low[2], low[3]],
  );
  if (header?.type === 0x16 || header?.type === 0x12) {
    t.is(outer?.dst, header.group);
    return [(header.type === 0x16 ? "v2 " : "v1 ") + header.group];
  }
  if (header?.type === 0x17) {
    t.is(outer?.dst, "224.0.0.2");
    return ["leave " + header.group];
  }
  t.is(header?.type, 0x22);
  t.is(outer?.dst, "224.0.0.22");
  const records: string[] = [];
  let at = 0;
  for (let i = (bytes[14 + 24 + 6] << 8) | bytes[14 + 24 + 7]; i > 0; i--) {
    const count = (payload[at + 2] << 8) | payload[at + 3];
    const words = [];
    for (let w = 0; w <= count; w++) words.push(ip4Text(payload.subarray(at + 4 + 4 * w, at + 8 + 4 * w)));
    records.push([TYPES[payload[at]], ...words].join(" "));
    at += 8 + 4 * count;
  }
  t.is(at, payload.length);
  return records;
}

test("a join and a leave are reported at once, and once more", (t) => {
  const { join, leave, reports, settle, world, stack } = setUp(t);
  t.is(join(GROUP), 0);
  t.deepEqual(reports(), ["to-ex " + GROUP]);
  world.run(1000);
  t.deepEqual(reports(), ["to-ex " + GROUP]);
  t.deepEqual(settle(), []);
  t.is(leave(GROUP), 0);
  t.deepEqual(reports(), ["to-in " + GROUP]);
  t.deepEqual(settle(), ["to-in " + GROUP]);
  t.is(leave(GROUP), EADDRNOTAVAIL);
  t.deepEqual(findLeaks(stack), []);
});

test("what several sockets want is merged (RFC 3376 section 3.2)", (t) => {
  const [a, b, c, d] = ["10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14"];
  const { join, leave, settle, component, nif } = setUp(t);
  const takes = (source: string) => component.accepts(nif, toInt(GROUP), toInt(source));
  join(GROUP, [a, b]);
  t.deepEqual(settle(), Array(2).fill(`allow ${GROUP} ${a} ${b}`));
  t.deepEqual([a, b, c].map(takes), [true, true, false]);
  join(GROUP, [b, c]);
  t.deepEqual(settle(), Array(2).fill(`allow ${GROUP} ${c}`));
  // All but b and d; but others want b.
  join(GROUP, [b, d], true);
  t.deepEqual(settle(), Array(2).fill(`to-ex ${GROUP} ${d}`));
  t.deepEqual([a, b, c, d, "10.0.0.99"].map(takes), [true, true, true, false, true]);
  leave(GROUP, [a, b]);
  t.deepEqual(settle(), [], "c wants b yet");
  leave(GROUP, [c, b]);
  t.deepEqual(settle(), Array(2).fill(`block ${GROUP} ${b}`));
  join(GROUP, [d]);
  t.deepEqual(settle(), Array(2).fill(`allow ${GROUP} ${d}`));
  leave(GROUP, [b, d], true);
  t.deepEqual(settle(), Array(2).fill(`to-in ${GROUP} ${d}`));
  leave(GROUP, [d]);
  t.deepEqual(settle(), Array(2).fill(`block ${GROUP} ${d}`));
  t.false(takes(d));
});

test("a change while another is being reported goes into the same reports", (t) => {
  const { join, leave, reports, settle } = setUp(t);
  join(GROUP, ["10.0.0.11"]);
  join(GROUP, ["10.0.0.12"]);
  t.deepEqual(reports(), [`allow ${GROUP} 10.0.0.11`, `allow ${GROUP} 10.0.0.11 10.0.0.12`]);
  t.deepEqual(settle(), [`allow ${GROUP} 10.0.0.12`]);
  leave(GROUP, ["10.0.0.11"]);
  join(GROUP);
  t.deepEqual(settle(), [`block ${GROUP} 10.0.0.11`, `to-ex ${GROUP}`, `to-ex ${GROUP}`]);
});

test("the same filter twice is told once, and gone when both have left", (t) => {
  const { join, leave, reports, settle, nif } = setUp(t);
  join(GROUP);
  join(GROUP);
  t.is(settle().length, 2);
  t.deepEqual(nif.groups.slice(3), [0x0100, 0x5e010203, 1]);
  leave(GROUP);
  t.deepEqual(reports(), []);
  t.is(nif.groups.length, 6);
  leave(GROUP);
  t.deepEqual(reports(), ["to-in " + GROUP]);
  t.is(nif.groups.length, 3);
});

test("224.0.0.1 is received always, and never reported or left", (t) => {
  const { join, leave, settle, udp: sockets, probe, query, component, nif } = setUp(t);
  const socket = sockets.open({ port: 7 });
  t.is(socket.join("224.0.0.1"), 0);
  probe.send(frame(eth({ dst: "01:00:5e:00:00:01" }), ip4({ dst: "224.0.0.1" }), udp(), "all"));
  t.is(socket.readable(), 1);
  t.is(join("224.0.0.1"), 0);
  t.is(leave("224.0.0.1"), 0);
  query({ group: "224.0.0.1" }, []);
  query({}, []);
  t.deepEqual(settle(), []);
  t.true(component.accepts(nif, toInt("224.0.0.1"), 1));
});

test("a general query is answered with all groups, later", (t) => {
  const { join, query, settle, reports, world } = setUp(t);
  join(GROUP);
  join(OTHER, ["10.0.0.11"]);
  settle();
  query({ maxResponse: 100 }, []);
  t.deepEqual(reports(), []);
  world.run(10000);
  t.deepEqual(reports().sort(), [`is-ex ${GROUP}`, `is-in ${OTHER} 10.0.0.11`]);
});

test("a query for a group, and for sources of it, is answered for these alone", (t) => {
  const { join, query, settle } = setUp(t);
  join(GROUP);
  join(OTHER, ["10.0.0.11", "10.0.0.12"]);
  settle();
  query({ group: GROUP, maxResponse: 10 }, []);
  t.deepEqual(settle(), [`is-ex ${GROUP}`]);
  query({ group: OTHER, maxResponse: 10 }, ["10.0.0.12", "10.0.0.13"]);
  t.deepEqual(settle(), [`is-in ${OTHER} 10.0.0.12`]);
  // Such queries go to the group, from a router that is none of the sources.
  query({ group: OTHER, maxResponse: 10 }, ["10.0.0.12"], { dst: OTHER });
  t.deepEqual(settle(), [`is-in ${OTHER} 10.0.0.12`]);
  query({ group: GROUP, maxResponse: 10 }, ["10.0.0.13"]);
  t.deepEqual(settle(), [`is-in ${GROUP} 10.0.0.13`], "excluding nobody, it wants him");
  query({ group: OTHER, maxResponse: 10 }, ["10.0.0.99"]);
  t.deepEqual(settle(), [], "none of those that are wanted");
  // Two that overlap are answered together; one for all swallows them.
  query({ group: OTHER, maxResponse: 100 }, ["10.0.0.11"]);
  query({ group: OTHER, maxResponse: 100 }, ["10.0.0.12"]);
  t.deepEqual(settle(), [`is-in ${OTHER} 10.0.0.11 10.0.0.12`]);
  query({ group: OTHER, maxResponse: 100 }, ["10.0.0.11"]);
  query({ group: OTHER, maxResponse: 100 }, []);
  t.deepEqual(settle(), [`is-in ${OTHER} 10.0.0.11 10.0.0.12`]);
});

test("with a querier of version 2: its reports, suppression, and leaves", (t) => {
  const { join, leave, query, settle, reports, probe, world, component } = setUp(t);
  query({ maxResponse: 100 });
  join(GROUP);
  t.deepEqual(reports(), ["v2 " + GROUP]);
  t.deepEqual(settle(), ["v2 " + GROUP]);
  query({ maxResponse: 100 });
  t.deepEqual(reports(), []);
  world.run(10000);
  t.deepEqual(reports(), ["v2 " + GROUP]);
  query({ maxResponse: 100 });
  probe.send(
    frame(
      eth({ dst: "01:00:5e:01:02:03" }),
      ip4({ ...TO_ALL, dst: GROUP }),
      message({ type: 0x16, group: GROUP }),
    ),
  );
  t.deepEqual(settle(), []);
  t.is(component.counters.suppressed, 1);
  query({ group: GROUP, maxResponse: 10 });
  t.deepEqual(settle(), ["v2 " + GROUP]);
  leave(GROUP);
  t.deepEqual(settle(), ["leave " + GROUP]);
  // 2 * 125 s + 10 s after its last query it is forgotten.
  world.run(300000);
  join(OTHER);
  t.deepEqual(reports(), ["to-ex " + OTHER]);
});

test("with a querier of version 1: its reports, and no leaves", (t) => {
  const { join, leave, query, settle } = setUp(t);
  query({ maxResponse: 0 }, undefined, { options: new Uint8Array(0) });
  join(GROUP, ["10.0.0.11"]);
  t.deepEqual(settle(), ["v1 " + GROUP, "v1 " + GROUP]);
  query({ maxResponse: 100 });
  t.deepEqual(settle(), ["v1 " + GROUP], "the oldest version counts");
  leave(GROUP, ["10.0.0.11"]);
  t.deepEqual(settle(), []);
});

test("the querier's robustness, and long response times (RFC 3376 section 4.1.1)", (t) => {
  const { join, probe, settle, world, reports } = setUp(t);
  const robust = concat(Uint8Array.of(5, 125), be16(0));
  probe.send(frame(eth({ dst: "01:00:5e:00:00:01" }), ip4(TO_ALL), message({ maxResponse: 10 }), robust));
  t.deepEqual(settle(), []);
  join(GROUP);
  t.is(settle().length, 5);
  // 0x8f: (15 + 16) << 3 tenths, 24.8 s.
  let late = 0;
  for (let i = 0; i < 20; i++) {
    probe.send(queryFrame({ maxResponse: 0x8f }, []));
    world.run(12800);
    late += 1 - reports().length;
    world.run(12001);
    reports();
  }
  t.true(late > 3 && late < 17, `${late} of 20 in the second half`);
});

test("IGM-01 messages that are cut off, split, or lie about their lengths", (t) => {
  const { join, probe, settle, component } = setUp(t);
  join(GROUP);
  settle();
  const link = eth({ dst: "01:00:5e:00:00:01" });
  const whole = frame(message({}), Uint8Array.of(2, 125, 0, 0));
  let malformed = 0;
  const bad = (bytes: Uint8Array) => {
    probe.send(bytes);
    t.is(component.counters.malformed, ++malformed);
  };
  for (const length of [0, 1, 4, 7])
    bad(frame(link, ip4({ ...TO_ALL, protocol: 2 }), whole.slice(0, length)));
  for (const length of [9, 10, 11]) bad(frame(link, ip4(TO_ALL), message({}), new Uint8Array(length - 8)));
  for (const count of [1, 2, 366, 65535]) {
    bad(
      frame(
        link,
        ip4(TO_ALL),
        message({ group: GROUP }),
        Uint8Array.of(2, 125),
        be16(count),
        new Uint8Array(count === 2 ? 7 : 3),
      ),
    );
  }
  bad(queryFrame({ group: "10.0.0.1" }, []));
  bad(queryFrame({}, ["10.0.0.11"]));
  // A general query to a group of its own choice (RFC 3376 section 9.1).
  bad(frame(eth({ dst: "01:00:5e:01:02:03" }), ip4({ ...TO_ALL, dst: GROUP }), message({})));
  probe.send(queryFrame({ checksum: 1 }, []));
  t.is(component.counters.badsum, 1);
  // Reports are nobody's business here, whatever their records say.
  const lying = concat(Uint8Array.of(1, 255), be16(65535));
  probe.send(frame(link, ip4(TO_ALL), message({ type: 0x22, group: "0.0.255.255" }), lying));
  probe.send(frame(link, ip4(TO_ALL), message({ type: 0x99 })));
  t.is(component.counters.ignored, 2);
  t.deepEqual(settle(), []);
});

test("IGM-01 a query in fragments is none", async (t) => {
  const { fragments: reassembly } = await import("../../stack/ipv4/fragments.js");
  const component = igmp();
  const { probe, ip, nif } = probed(t, { components: () => [component, reassembly()] });
  ip.join!(GROUP, nif, null);
  const whole = queryFrame({ group: GROUP }, ["10.0.0.11", "10.0.0.12"]).slice(14);
  for (const each of fragments(concat(whole.slice(0, 20), whole.slice(24)), 8, TO_ALL)) {
    probe.send(frame(eth({ dst: "01:00:5e:00:00:01", type: 0x0800 }), each));
  }
  t.is(component.counters.malformed, 1);
});

test("IGM-02 queries that do not come from this link, or without router alert", (t) => {
  const { join, query, settle, component, ip } = setUp(t);
  join(GROUP);
  settle();
  query({}, [], { ttl: 2 });
  query({}, [], { ttl: 255 });
  t.is(component.counters.badTtl, 2);
  query({}, [], { src: "192.0.2.1" });
  t.is(component.counters.badSource, 1);
  query({}, [], { src: "0.0.0.0" });
  t.is(ip.counters.martian, 1);
  query({}, [], { options: new Uint8Array(0) });
  query({ maxResponse: 100 }, undefined, { options: new Uint8Array(0) });
  t.is(component.counters.noAlert, 2);
  t.is(component.counters.queries, 0);
  t.deepEqual(settle(), []);
});

test("IGM-02 a response time of 0, groups that nobody joined, and nobody at all", (t) => {
  const { join, query, settle, reports, world } = setUp(t);
  query({ maxResponse: 0 }, []);
  query({ group: OTHER }, []);
  query({ group: OTHER }, ["10.0.0.11"]);
  t.deepEqual(settle(), []);
  join(GROUP);
  settle();
  query({ group: OTHER }, []);
  query({ maxResponse: 0 }, []);
  t.deepEqual(reports(), [], "not at once");
  world.run(100);
  t.deepEqual(reports(), ["is-ex " + GROUP]);
});

test("IGM-02 10,000 queries a second make one answer wait, and the delay is random", (t) => {
  const { join, query, settle, world, probe, stack } = setUp(t);
  join(GROUP);
  settle();
  const times: number[] = [];
  for (let round = 0; round < 50; round++) {
    const start = world.time;
    for (let i = 0; i < 200; i++) {
      query({ maxResponse: 100 }, []);
      query({ maxResponse: 100, group: GROUP }, []);
      query({ maxResponse: 100, group: GROUP }, ["10.1.0." + i]);
    }
    t.is(stack.timers.count(), 1);
    t.true(world.runUntil(() => probe.sent.length > 0, 10001));
    times.push(world.time - start);
    world.run(10000);
    t.true(probe.take().length <= 2);
  }
  t.true(new Set(times).size > 5);
});

test("memberships, filters and sources are bounded, and nothing is left of a refusal", (t) => {
  const { join, leave, nif, stack, settle } = setUp(t, { igmp: { groups: 2, sources: 4 } });
  const sources = (n: number, from = 1) => Array.from({ length: n }, (_, i) => "10.1.0." + (from + i));
  t.is(join(GROUP, sources(5)), -22);
  t.is(join(GROUP, ["nonsense"]), -22);
  t.is(join(GROUP, sources(4)), 0);
  t.is(join(GROUP, sources(1, 9)), ENOBUFS);
  t.is(join(OTHER), 0);
  t.is(join("239.9.9.9"), ENOBUFS);
  t.is(leave(OTHER), 0);
  settle();
  t.is(join("239.9.9.9"), 0);
  leave("239.9.9.9");
  leave(GROUP, sources(4).reverse());
  settle();
  t.is(nif.groups.length, 3);
  t.deepEqual(findLeaks(stack), []);
});

test("a long report is split where the MTU ends", (t) => {
  const { query, ip, nif, settle } = setUp(t, { igmp: { groups: 200 } });
  for (let i = 1; i <= 200; i++) ip.join!("239.1.1." + i, nif, null);
  settle();
  query({ maxResponse: 10 }, []);
  t.is(new Set(settle()).size, 200);
});

test("a new carrier and a first address make all groups known again", (t) => {
  const { probe, ip, nif, world, reports, settle, join, component } = setUp(t);
  join(GROUP);
  settle();
  probe.receiver?.carrier(false);
  world.run(5000);
  t.is(ip.join!(OTHER, nif, null), 0);
  t.deepEqual(settle(), []);
  probe.receiver?.carrier(true);
  world.run(1000);
  t.deepEqual([...new Set(reports())].sort(), ["to-ex " + GROUP, "to-ex " + OTHER]);
  settle();
  ip.removeAddress(nif, "10.0.0.1");
  join("239.7.7.7");
  world.run(5000);
  t.true(component.counters.sendFailed > 0);
  t.deepEqual(reports(), []);
  ip.addAddress(nif, "10.0.0.1/24");
  world.run(1000);
  t.is(new Set(reports()).size, 3);
});

test("RES-08 a removed interface takes its memberships along", (t) => {
  const { join, stack, nif, ip, query, component } = setUp(t);
  query({ maxResponse: 100 });
  join(GROUP);
  stack.removeInterface(nif);
  t.false(component.accepts(nif, toInt(GROUP), 1));
  t.is(ip.join!(GROUP, nif, null), EADDRNOTAVAIL);
  t.is(ip.leave!(GROUP, null, null), EADDRNOTAVAIL);
  t.deepEqual(findLeaks(stack, { timers: 1 }), []);
});

test("sockets get what they joined, by their own filter, and the interface's filter is all of theirs", (t) => {
  const component = igmp();
  const { udp: sockets, probe, ip, ethernet } = probed(t, { components: () => [component, loopback()] });
  const everything = sockets.open({ port: 7, reuse: true });
  const picky = sockets.open({ port: 7, reuse: true });
  const stranger = sockets.open({ port: 7, reuse: true });
  const send = (src: string) =>
    probe.send(frame(eth({ dst: "01:00:5e:01:02:03" }), ip4({ src, dst: GROUP, ttl: 1 }), udp(), "news"));
  send("10.0.0.2");
  t.is(ethernet.counters.otherGroup, 1);
  t.is(picky.join(GROUP, undefined, { exclude: false, sources: ["10.0.0.3"] }), 0);
  send("10.0.0.2");
  t.is(ip.counters.notOurs, 1);
  t.is(everything.join(GROUP), 0);
  send("10.0.0.2");
  send("10.0.0.3");
  t.deepEqual(
    [everything, picky, stranger].map((socket) => socket.readable()),
    [2, 1, 0],
  );
  everything.close();
  picky.close();
  send("10.0.0.3");
  t.is(ethernet.counters.otherGroup, 2);
});

test("any bytes as IGMP: nothing throws, and each message is counted once", (t) => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .record({
        type: fc.constantFrom(0x11, 0x12, 0x16, 0x17, 0x22),
        maxResponse: fc.integer({ min: 0, max: 255 }),
        group: fc.constantFrom("0.0.0.0", GROUP, "224.0.0.1", "1.2.3.4"),
        rest: fc.uint8Array({ maxLength: 20 }),
      })
      .map(({ rest, ...fields }) => frame(message(fields), rest)),
  );
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 10 }), (list) => {
      const { probe, component, join, world, stack } = setUp(t, { leaks: false });
      const { counters } = component;
      join(GROUP);
      for (const each of list) {
        probe.send(frame(eth({ dst: "01:00:5e:00:00:01" }), ip4({ ...TO_ALL, protocol: 2 }), each));
      }
      const { malformed, badsum, badTtl, noAlert, badSource, ignored, queries, suppressed } = counters;
      t.is(malformed + badsum + badTtl + noAlert + badSource + ignored + queries + suppressed, list.length);
      t.is(counters.received, list.length);
      world.run(4000000);
      t.deepEqual(findLeaks(stack), []);
    }),
    { numRuns: 200 },
  );
});

function toInt(text: string): number {
  const [a, b, c, d] = ip4Bytes(text);
  return (a << 24) | (b << 16) | (c << 8) | d;
}
