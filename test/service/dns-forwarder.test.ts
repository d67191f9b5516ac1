/** The DNS forwarder between a probe that plays clients and servers: forgeries, bounds, hostile messages. Ids as in the list. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { dnsForwarder } from "../../stack/service/dns-forwarder.js";
import type { DnsForwarderOptions } from "../../stack/service/dns-forwarder.js";
import { dns64 } from "../../stack/service/dns64.js";
import { format6 } from "../../stack/core/text6.js";
import { concat } from "../support/bytes.js";
import { PROBE_IP, STACK_IP, be16, be32, eth, frame, ip4, udp } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";

const SERVER = "10.0.0.53";
const latin = (text: string) => Uint8Array.from(Buffer.from(text, "latin1"));
const name = (text: string) =>
  concat(
    ...text
      .split(".")
      .filter(Boolean)
      .map((label) => concat(Uint8Array.of(label.length), latin(label))),
    Uint8Array.of(0),
  );
const record = (owner: Uint8Array, type: number, ttl: number, data: Uint8Array) =>
  concat(owner, be16(type), be16(1), be32(ttl), be16(data.length), data);
const POINTER: Uint8Array = Uint8Array.of(0xc0, 12);
const A = (last: number, ttl = 60, owner = POINTER) => record(owner, 1, ttl, Uint8Array.of(192, 0, 2, last));
const OPT = concat(Uint8Array.of(0), be16(41), be16(1232), be32(0), be16(0));

function query(text: string, type = 1, { id = 7, flags = 0x0100, edns = true, kind = 1 } = {}): Uint8Array {
  const counts = concat(be16(1), be16(0), be16(0), be16(edns ? 1 : 0));
  return concat(
    be16(id),
    be16(flags),
    counts,
    name(text),
    be16(type),
    be16(kind),
    edns ? OPT : new Uint8Array(0),
  );
}

interface Sent {
  id: number;
  flags: number;
  counts: number[];
  /** Letters as sent. */
  name: string;
  question: Uint8Array;
  port: number;
  payload: Uint8Array;
}

function read(payload: Uint8Array, port: number): Sent {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  let at = 12;
  const labels: string[] = [];
  while (view.getUint16(4) > 0 && payload[at]) {
    labels.push(Buffer.from(payload.subarray(at + 1, at + 1 + payload[at]!)).toString("latin1"));
    at += payload[at]! + 1;
  }
  const end = view.getUint16(4) > 0 ? at + 5 : at;
  const counts = [4, 6, 8, 10].map((offset) => view.getUint16(offset));
  return {
    id: view.getUint16(0),
    flags: view.getUint16(2),
    counts,
    name: labels.join("."),
    question: payload.slice(12, end),
    port,
    payload,
  };
}

function forwarderTest(t: ExecutionContext | null, options: DnsForwarderOptions = {}) {
  const names = dnsForwarder({ servers: [SERVER], ...options });
  const node = probed(t, { components: () => [names] });
  node.probe.answersArp = [PROBE_IP, SERVER, "10.0.0.54"];
  names.serve(node.nif);
  const collect = (dport: number | null) => {
    const found: Sent[] = [];
    for (const bytes of node.probe.take()) {
      const parsed = parseFrame(bytes);
      if (!parsed.udp) continue;
      if (dport === null ? parsed.udp.sport === 53 : parsed.udp.dport === dport) {
        found.push(read(parsed.payload, dport === null ? parsed.udp.dport : parsed.udp.sport));
      }
    }
    return found;
  };
  return {
    ...node,
    names,
    /** A client's datagram. */
    send(bytes: Uint8Array, src = PROBE_IP, sport = 4000) {
      node.probe.send(frame(eth(), ip4({ src, dst: STACK_IP }), udp({ sport, dport: 53 }), bytes));
      node.world.run(1);
    },
    /** What servers have been asked. */
    asked: () => collect(53),
    /** What clients have been told. */
    told: () => collect(null),
    /** A server's reply to `to`. */
    reply(
      to: Sent,
      records: Uint8Array[],
      {
        flags = 0x8180,
        id = to.id,
        question = to.question,
        port = to.port,
        src = SERVER,
        authority = 0,
        answers = records.length,
      } = {},
    ) {
      const counts = concat(be16(1), be16(answers), be16(authority), be16(0));
      const bytes = concat(be16(id), be16(flags), counts, question, ...records);
      node.probe.send(frame(eth(), ip4({ src, dst: STACK_IP }), udp({ sport: 53, dport: port }), bytes));
      node.world.run(1);
    },
  };
}

test("a query goes on with another id, port and case, and the answer comes back as it was asked", (t) => {
  const f = forwarderTest(t);
  f.send(query("Www.Example.COM", 1, { id: 4711 }));
  const [sent] = f.asked();
  t.is(sent!.name.toLowerCase(), "www.example.com");
  f.reply(sent!, [A(1), A(2)]);
  const [answer] = f.told();
  t.like(answer, { id: 4711, name: "Www.Example.COM", counts: [1, 2, 0, 1], flags: 0x8180 });
});

test("DNS-06 ids, ports and case of a thousand queries are not to be guessed", (t) => {
  const f = forwarderTest(t);
  const seen: Sent[] = [];
  for (let i = 0; i < 1000; i++) {
    f.send(query(`n${i}.abcdefghijklmnop.example`));
    const [sent] = f.asked();
    seen.push(sent!);
    f.reply(sent!, [A(1)]);
    f.told();
  }
  t.true(new Set(seen.map(({ id }) => id)).size > 980);
  t.true(new Set(seen.map(({ port }) => port)).size > 950);
  t.true(new Set(seen.map(({ name: text }) => text.slice(text.indexOf(".")))).size > 990);
  t.is(f.udp.sockets.size, 1);
});

test("DNS-05 wrong ids, sources, ports, questions and flags are ignored, and the right answer still counts", (t) => {
  const f = forwarderTest(t);
  f.send(query("www.example"));
  const [sent] = f.asked();
  const lower = Uint8Array.from([...name("www.example"), 0, 1, 0, 1]);
  f.reply(sent!, [A(9)], { id: sent!.id ^ 1 });
  f.reply(sent!, [A(9)], { src: "10.0.0.54" });
  f.reply(sent!, [A(9)], { port: sent!.port ^ 1 });
  f.reply(sent!, [A(9)], { flags: 0x0100 });
  f.reply(sent!, [A(9)], { flags: 0x9180 });
  f.reply(sent!, [A(9)], { question: concat(name("www.other"), be16(1), be16(1)) });
  if (sent!.name !== "www.example") f.reply(sent!, [A(9)], { question: lower });
  for (let i = 0; i < 1000; i++) f.reply(sent!, [A(9)], { id: sent!.id ^ (i + 1) });
  t.deepEqual(f.told(), []);
  f.reply(sent!, [A(1)]);
  t.is(f.told()[0]!.payload.at(-12), 1);
  t.true(f.names.counters.unmatched >= 1003);
});

test("DNS-08 records about other names are not passed on; what is behind the answers is not either", (t) => {
  const f = forwarderTest(t, { attempts: 1 });
  f.send(query("www.example"));
  const [sent] = f.asked();
  f.reply(sent!, [A(1), A(66, 60, name("bank.example"))]);
  t.is(f.told()[0]!.flags & 15, 2);
  f.send(query("www.example"));
  f.reply(
    f.asked()[0]!,
    [A(1), record(name("example"), 2, 60, name("ns.evil")), A(66, 60, name("ns.evil"))],
    { authority: 1, answers: 1 },
  );
  t.deepEqual(f.told()[0]!.counts, [1, 1, 0, 1]);
  // A chain of aliases that is too long, and one that leads to itself.
  f.send(query("loop.example"));
  f.reply(f.asked()[0]!, [record(POINTER, 5, 60, POINTER)]);
  t.is(f.told()[0]!.counts[1], 1);
});

test("DNS-01 DNS-02 DNS-04 queries and replies of nonsense: no answer, an error, or the next server; never more", (t) => {
  const f = forwarderTest(t, { attempts: 1 });
  const head = (counts: number[]) => concat(be16(9), be16(0x100), ...counts.map(be16));
  for (let length = 0; length < 12; length++) f.send(new Uint8Array(length));
  t.deepEqual(f.told(), []);
  const bad = [
    head([1, 0, 0, 0]),
    concat(head([0, 0, 0, 0]), name("a.b"), be16(1), be16(1)),
    concat(head([2, 0, 0, 0]), name("a.b"), be16(1), be16(1)),
    concat(head([65535, 65535, 65535, 65535]), name("a.b"), be16(1), be16(1)),
    concat(head([1, 0, 0, 0]), Uint8Array.of(0xc0, 12), be16(1), be16(1)),
    concat(head([1, 0, 0, 0]), Uint8Array.of(64), new Uint8Array(70)),
    concat(
      head([1, 0, 0, 0]),
      ...Array.from({ length: 5 }, () => concat(Uint8Array.of(63), new Uint8Array(63).fill(97))),
      Uint8Array.of(0),
      be16(1),
      be16(1),
    ),
    concat(head([1, 0, 0, 2]), name("a.b"), be16(1), be16(1), OPT, OPT),
    concat(head([1, 0, 0, 1]), name("a.b"), be16(1), be16(1), OPT.subarray(0, 8)),
  ];
  for (const bytes of bad) {
    f.send(bytes);
    const [answer, ...rest] = f.told();
    t.is(rest.length, 0);
    t.is(answer!.flags & 15, 1);
    t.true(answer!.payload.length <= bytes.length + 11, "no more than was asked");
  }
  t.is(f.names.exchanges.length, 0);
  f.send(query("a.b", 1, { flags: 0x8100 }));
  t.deepEqual(f.told(), []);
  f.send(query("a.b", 1, { flags: 0x2900 }));
  t.is(f.told()[0]!.flags & 15, 4);
  f.send(query("a.b", 1, { flags: 0 }));
  t.is(f.told()[0]!.flags & 15, 5, "who wants no recursion");
  f.send(query("www.example"));
  f.reply(f.asked()[0]!, [], { answers: 65535 });
  t.is(f.told()[0]!.flags & 15, 2);
});

test("DNS-09 cache and questions are bounded, lifetimes are cut", (t) => {
  const f = forwarderTest(t, { limit: 8, entries: 16, bytes: 4096 });
  for (let i = 0; i < 50; i++) {
    f.send(query(`n${i}.example`));
    f.reply(f.asked()[0]!, [A(1, i % 3 === 0 ? 0xffffffff : i % 3 === 1 ? 0 : 300)]);
  }
  f.told();
  t.is(f.names.counters.hits, 0);
  f.send(query("n47.example"));
  f.world.run(300_000);
  t.true(f.names.counters.hits <= 1);
  f.told();
  for (let i = 0; i < 20; i++) f.send(query(`m${i}.example`));
  t.is(f.names.exchanges.length, 8);
  t.is(f.names.counters.refused, 12);
  t.is(f.told().filter((each) => (each.flags & 15) === 2).length, 12);
  f.world.run(10_000);
  t.is(f.names.exchanges.length, 0);
  t.is(f.told().length, 8);
});

test("the same question of many clients is asked once", (t) => {
  const f = forwarderTest(t);
  for (let i = 0; i < 100; i++) f.send(query("www.example", 1, { id: i }), PROBE_IP, 5000 + i);
  t.is(f.asked().length, 1);
  t.is(f.names.counters.refused, 100 - 64 + 1);
  f.send(query("new.example"));
});

test("RES-10 strangers get nothing, unless that is wanted", (t) => {
  const f = forwarderTest(t);
  f.send(query("www.example"), "192.0.2.77");
  t.deepEqual([f.told().length, f.names.counters.strangers], [0, 1]);
  const open = forwarderTest(t, { strangers: true });
  open.send(query("www.example"), "192.0.2.77");
  t.is(open.asked().length, 1);
});

test("a server that asks us what we ask it is refused, and this host never asks itself", (t) => {
  const f = forwarderTest(t);
  f.send(query("www.example"));
  f.asked();
  f.send(query("www.example"), SERVER);
  t.is(f.told()[0]!.flags & 15, 5);
  t.is(f.names.counters.loops, 1);
  const self = forwarderTest(t, { servers: [STACK_IP] });
  self.send(query("www.example"));
  t.is(self.told()[0]!.flags & 15, 2);
});

test("DNS64: every length of prefix (RFC 6052 section 2.4), and none else", (t) => {
  const cases: [string, string][] = [
    ["2001:db8::/32", "2001:db8:c000:221::"],
    ["2001:db8:100::/40", "2001:db8:1c0:2:21::"],
    ["2001:db8:122::/48", "2001:db8:122:c000:2:2100::"],
    ["2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"],
    ["2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0"],
    ["2001:db8:122:344::/96", "2001:db8:122:344::c000:221"],
  ];
  for (const [prefix, address] of cases) t.is(format6(dns64(prefix).synthesize("192.0.2.33")!, 0), address);
  for (const bad of ["64:ff9b::/95", "64:ff9b::1/96", "x", "64:ff9b::/97"]) {
    t.throws(() => dns64(bad), { code: "EINVAL" }, bad);
  }
});

test("RFC 6147 5.1.2: a server that refuses, fails or does not answer AAAA has not said that there is none: A is asked for", (t) => {
  const text = "four.example";
  /** Plays a server to which AAAA is answered with `code` (-1: with silence), A with `records`; what the client is told. */
  const told = (code: number, records: Uint8Array[], aCode = 0) => {
    const f = forwarderTest(t, { dns64: dns64(), timeout: 100 });
    f.send(query(text, 28));
    const types: number[] = [];
    let answer: Sent | null = null;
    for (let i = 0; i < 40; i++) {
      for (const bytes of f.probe.take()) {
        const { udp: ports, payload } = parseFrame(bytes);
        if (ports?.sport === 53) answer = read(payload, ports.dport);
        if (ports?.dport !== 53) continue;
        const asked = read(payload, ports.sport);
        const type = asked.question.at(-3)!;
        types.push(type);
        if (type === 1) f.reply(asked, records, { flags: 0x8180 | aCode });
        else if (code >= 0) f.reply(asked, [], { flags: 0x8180 | code });
      }
      f.world.run(20);
    }
    return { types, answer: answer!, f };
  };
  for (const code of [1, 2, 4, 5, 9, -1]) {
    const { types, answer, f } = told(code, [A(4)]);
    t.deepEqual([types.at(0), types.at(-1)], [28, 1], `${code}`);
    t.like(answer, { flags: 0x8180, counts: [1, 1, 0, 1] }, `${code}`);
    t.true(Buffer.from(answer.payload).includes(Buffer.from("0064ff9b0000000000000000c0000204", "hex")));
    t.is(f.names.counters.synthesized, 1);
    f.send(query(text, 28));
    t.is(f.asked().length, 0, "it is remembered");
  }
  // Without A records it is as it was: they failed. What says that there is no such name has said it of A too.
  t.is(told(5, []).answer.flags & 15, 2);
  t.is(told(2, [], 5).answer.flags & 15, 2);
  const { types, answer } = told(3, [A(4)]);
  t.deepEqual([types, answer.flags & 15], [[28], 3]);
});

test("RFC 6052 3.1: no address under the well-known prefix for private ones; there is under one of the network's own", (t) => {
  for (const [prefix, counts] of [
    ["64:ff9b::/96", [1, 0, 0, 1]],
    ["2001:db8:64::/96", [1, 1, 0, 1]],
  ] as const) {
    for (const bytes of [
      [10, 1, 2, 3],
      [172, 16, 0, 1],
      [192, 168, 7, 1],
      [100, 64, 0, 1],
    ]) {
      const f = forwarderTest(t, { dns64: dns64(prefix) });
      f.send(query("inside.example", 28));
      f.reply(f.asked()[0]!, []);
      f.reply(f.asked()[0]!, [record(POINTER, 1, 60, Uint8Array.from(bytes))]);
      t.like(f.told()[0], { flags: 0x8180, counts }, prefix + bytes.join("."));
    }
  }
});

test("any bytes to either side throw nothing, and every client hears in the end", (t) => {
  const f = forwarderTest(t, { limit: 4, timeout: 100 });
  const good = query("www.example");
  const change = fc.tuple(fc.nat(60), fc.nat(255));
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 6 }),
      fc.uint8Array({ maxLength: 60 }),
      fc.boolean(),
      (changes, tail, toServer) => {
        f.send(good);
        const [sent] = f.asked();
        const bytes = concat(
          toServer
            ? good
            : Uint8Array.from([
                ...be16(sent?.id ?? 0),
                0x81,
                0x80,
                0,
                1,
                0,
                2,
                0,
                1,
                0,
                1,
                ...(sent?.question ?? []),
              ]),
          tail,
        );
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        if (toServer) f.send(bytes);
        else
          f.probe.send(
            frame(
              eth(),
              ip4({ src: SERVER, dst: STACK_IP }),
              udp({ sport: 53, dport: sent?.port ?? 1 }),
              bytes,
            ),
          );
        f.world.run(500);
        f.names.flush();
        f.told();
        return f.names.exchanges.length === 0 && f.udp.sockets.size === 1;
      },
    ),
    { numRuns: 1000 },
  );
  t.is(f.world.panics.length, 0);
});
