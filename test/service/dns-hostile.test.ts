/** The resolver against servers and strangers that lie: what is believed, what is kept, and what it costs. */
import test from "ava";
import fc from "fast-check";
import { ELOOP, ENODATA, ENOTFOUND, ETIMEDOUT } from "../../stack/core/errors.js";
import { publicOnly } from "../../stack/service/dns-filter.js";
import type { DnsRecord } from "../../stack/service/dns.js";
import { concat, hex } from "../support/bytes.js";
import { be16 } from "../support/packets.js";
import { record, reply, resolving, short, soa, wireName } from "./dns-support.js";
import type { Query, Reply } from "./dns-support.js";

const A = (name: string, ttl = 60, address = "192.0.2.1") => record(name, "A", ttl, address);
const CNAME = (name: string, target: string, ttl = 60) => record(name, "CNAME", ttl, target);
const GOOD = { answers: [A("a.b")] };

test("DNS-01 DNS-02 a response with names that lie is dropped, the question goes on", (t) => {
  const { resolve, queries, send, answer, results, dns } = resolving(t);
  resolve("a.b");
  const [query] = queries();
  const start = 12 + query.question.length;
  const owners: Uint8Array[] = [
    be16(0xc000 | start),
    be16(0xc000 | (start + 2)),
    be16(0xffff),
    be16(0xc000),
    hex("40 61 00"),
    hex("80 61 00"),
    concat(hex("01 61"), be16(0xc000 | start)),
    wireName(Array(128).fill("a").join(".")),
  ];
  for (const owner of owners) send(query, reply(query, { answers: [record(owner, "A", 60, "192.0.2.66")] }));
  // In the data, and in the authority of a response that denies.
  send(query, reply(query, { answers: [record("a.b", "CNAME", 60, be16(0xc000 | (start + 15)))] }));
  send(query, reply(query, { rcode: 3, authorities: [record(be16(0xc000 | start), "SOA", 60, "x")] }));
  t.is(dns.counters.malformed, owners.length + 2);
  t.is(results[0].code, null);
  answer(query, GOOD);
  t.deepEqual(short(results[0].list), ['a.b 60 A "192.0.2.1"']);
});

test("DNS-04 counts that lie, and messages of 0 to 30 bytes", (t) => {
  const { resolve, queries, send, answer, results, dns } = resolving(t);
  resolve("a.b");
  const [query] = queries();
  const counts = [
    [65535, 65535, 65535, 65535],
    [1, 65535, 0, 0],
    [1, 0, 65535, 0],
    [0, 1, 0, 0],
    [2, 1, 0, 0],
  ];
  for (const each of counts)
    send(query, reply(query, { counts: each, answers: GOOD.answers.slice(0, each[1] === 1 ? 1 : 0) }));
  t.is(dns.counters.unmatched + dns.counters.malformed, counts.length);
  const whole = reply(query, GOOD);
  for (let length = 0; length < whole.length; length++) send(query, whole.slice(0, length));
  t.is(results[0].code, null);
  answer(query, GOOD);
  t.is(results[0].code, 0);
});

test("DNS-05 only the server's reply to this very question counts", (t) => {
  const { resolve, queries, send, answer, results, dns, udp } = resolving(t);
  resolve("a.b");
  const [query] = queries();
  const question = (name: string, type = 1, kind = 1) => concat(wireName(name), be16(type), be16(kind));
  const wrong: Reply[] = [
    { id: query.id ^ 1 },
    { id: query.id ^ 0x8000 },
    { id: 0 },
    { question: question("a.c") },
    { question: question("A.b") },
    { question: question("x.a.b") },
    { question: question("a") },
    { question: question("a.b", 28) },
    { question: question("a.b", 1, 3) },
    { flags: 0x0180 },
    { flags: 0x8980 },
    { flags: 0xf980 },
    { counts: [0, 1, 0, 0], question: hex("") },
  ];
  for (const fields of wrong) answer(query, { ...GOOD, ...fields, id: fields.id ?? query.id });
  t.is(dns.counters.unmatched, wrong.length);
  const before = udp.counters.notPeer + udp.counters.noPort;
  const bytes = reply(query, GOOD);
  send(query, bytes, { src: "10.0.0.3" });
  send(query, bytes, { sport: 5353 });
  send(query, bytes, { dport: query.port ^ 1 });
  t.is(udp.counters.notPeer + udp.counters.noPort, before + 3);
  t.is(results[0].code, null);
  answer(query, GOOD);
  t.is(results[0].code, 0);
  // Nothing is outstanding any more.
  const late = udp.counters.noPort;
  send(query, bytes);
  t.is(udp.counters.noPort, late + 1);
});

test("DNS-05 a thousand wrong answers do not end a question (TuDoor), but are told", (t) => {
  const { resolve, queries, answer, results, dns, host, world } = resolving(t, { servers: ["10.0.0.2"] });
  resolve("a.b");
  const [query] = queries();
  for (let i = 0; i < 1000; i++) {
    // Errors, truncations, denials: with the wrong id none of them counts.
    answer(query, { id: (query.id + 1 + i) & 0xffff, rcode: i & 15, truncated: (i & 16) !== 0 });
  }
  t.is(results[0].code, null);
  t.is(dns.counters.unmatched, 1000);
  t.is(dns.counters.failures + dns.counters.truncated, 0);
  t.is(host.logged.filter((line) => line.includes("forged")).length, 1);
  t.is(queries().length, 0);
  answer(query, GOOD);
  t.is(results[0].code, 0);
  world.run(60000);
});

test("DNS-06 ids and ports are random, new for each query, and independent", (t) => {
  const { resolve, queries, results } = resolving(t, { limit: 100, attempts: 1 });
  const ids: number[] = [];
  const ports: number[] = [];
  const count = 4000;
  for (let i = 0; i < count; i++) {
    const request = resolve("a" + i);
    const [query] = queries();
    ids.push(query.id);
    ports.push(query.port - 49152);
    request.cancel();
  }
  t.true(ports.every((port) => port >= 0 && port < 16384));
  // Each bit is set half of the time, and no two bits agree more or less often than half of the time.
  const bits = ids.map((id, i) => (id << 14) | ports[i]);
  const limit = count / 2 - 5 * Math.sqrt(count / 4);
  const even = (ones: number) => ones > limit && ones < count - limit;
  for (let bit = 0; bit < 30; bit++) {
    t.true(even(bits.filter((value) => (value >> bit) & 1).length), "bit " + bit);
    for (let other = 0; other < bit; other++) {
      const agree = bits.filter((value) => ((value >> bit) & 1) === ((value >> other) & 1)).length;
      t.true(even(agree), `bits ${bit} and ${other}`);
    }
    // Nor does a bit repeat itself from one query to the next.
    const same = bits.filter((value, i) => i > 0 && (((value ^ bits[i - 1]) >> bit) & 1) === 0).length;
    t.true(even(same), `bit ${bit} again`);
  }
  t.true(new Set(bits).size > count - 5);
  t.is(results.length, count);
});

test("DNS-06 every repetition has another port and another id", (t) => {
  const { resolve, queries, world, results } = resolving(t, { attempts: 8, timeout: 100 });
  resolve("a.b");
  const seen: Query[] = [];
  while (results[0].code === null) {
    seen.push(...queries());
    world.run(100);
  }
  t.is(seen.length, 8);
  t.is(new Set(seen.map((query) => query.port)).size, 8);
  t.is(new Set(seen.map((query) => query.id)).size, 8);
  t.is(results[0].code, ETIMEDOUT);
});

test("DNS-06 mixed case makes a question harder to forge, and is given up where a server does not repeat it", (t) => {
  const { resolve, queries, answer, results, world, dns } = resolving(t, { mixCase: true });
  const name = "abcdefghijklmnopqrstuvwxyz.example";
  const mixes = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const request = resolve(name);
    const [query] = queries();
    t.is(query.name.toLowerCase(), name);
    mixes.add(query.name);
    request.cancel();
  }
  t.is(mixes.size, 20);
  resolve(name);
  const [query] = queries();
  const lower = concat(wireName(name), hex("0001 0001"));
  answer(query, { question: lower, answers: [A(name)] });
  t.is(dns.counters.unmatched, 1);
  world.run(2000);
  const [second] = queries();
  t.is(second.name, name);
  answer(second, { question: lower, answers: [A(name)] });
  t.is(results[20].code, 0);
});

test("DNS-08 nothing is believed but what the name leads to", (t) => {
  const { resolve, queries, answer, results, settle } = resolving(t);
  resolve("a.b");
  answer(queries()[0], {
    answers: [
      A("victim.example", 60, "192.0.2.66"),
      CNAME("victim.example", "a.b"),
      CNAME("a.b", "c.b"),
      record("c.b", "AAAA", 60, "::1"),
      A("c.b"),
      A("a.a.b", 60, "192.0.2.66"),
    ],
    authorities: [record("b", "NS", 60, "ns.evil"), soa("example", 60, 60)],
    additional: [A("ns.evil", 60, "192.0.2.66"), A("victim.example", 60, "192.0.2.66")],
  });
  t.deepEqual(short(results[0].list), ['a.b 60 CNAME "c.b"', 'c.b 60 A "192.0.2.1"']);
  for (const name of ["victim.example", "ns.evil", "a.a.b", "c.b", "b"]) {
    resolve(name).cancel();
    t.is(queries().length, 1, name + " is asked for");
  }
  resolve("a.b");
  settle();
  t.is(queries().length, 0);
});

test("DNS-08 records of other classes, and what others say about a name, do not count", (t) => {
  const { resolve, queries, answer, results } = resolving(t);
  resolve("a.b");
  const chaos = A("a.b");
  chaos[8] = 3;
  answer(queries()[0], { answers: [chaos], authorities: [soa("c", 600, 600), soa("xb", 600, 600)] });
  t.is(results[0].code, ENODATA);
  // A foreign zone's SOA is no reason to remember it.
  resolve("a.b");
  const [query] = queries();
  answer(query, { rcode: 3, authorities: [soa("a.b.c", 600, 600)] });
  t.is(results[1].code, ENOTFOUND);
  resolve("a.b");
  t.is(queries().length, 1);
});

test("DNS-08 aliases in a circle, and twenty of them", (t) => {
  const { resolve, queries, answer, results, dns } = resolving(t);
  resolve("a.b");
  answer(queries()[0], { answers: [CNAME("a.b", "a.b")] });
  resolve("a.b");
  answer(queries()[0], { answers: [CNAME("a.b", "c"), CNAME("c", "a.b")] });
  resolve("a.b");
  const chain = Array.from({ length: 20 }, (_, i) => CNAME(i === 0 ? "a.b" : "n" + i, "n" + (i + 1)));
  answer(queries()[0], { answers: [...chain.reverse(), A("n20")] });
  for (const result of results) t.deepEqual(result, { code: ELOOP, list: [] });
  // From one server to the next, for ever.
  resolve("p");
  for (let query = queries()[0], i = 0; query && i < 100; query = queries()[0], i++) {
    answer(query, { answers: [CNAME(query.name, query.name === "p" ? "q" : "p", 0)] });
  }
  t.is(results[3].code, ELOOP);
  t.is(dns.questions.length, 0);
});

test("DNS-09 how long answers hold: 0, 2^31, 2^32 - 1, and a day at the most", (t) => {
  const held = (ttl: number) => {
    const { resolve, queries, answer, results, settle, world } = resolving(t);
    resolve("a.b");
    answer(queries()[0], { answers: [A("a.b", ttl)] });
    const told = (results[0].list[0] as DnsRecord).ttl;
    let asked = 0;
    const still = () => {
      resolve("a.b").cancel();
      settle();
      const none = queries().length === 0;
      if (!none) asked++;
      return none;
    };
    const at0 = still();
    world.run(86399000);
    const atDay = still();
    world.run(1000);
    return [told, at0, atDay, still(), asked];
  };
  t.deepEqual(held(0), [0, false, false, false, 3]);
  t.deepEqual(held(-0x80000000), [0, false, false, false, 3]);
  t.deepEqual(held(-1), [0, false, false, false, 3]);
  t.deepEqual(held(0x7fffffff), [86400, true, true, false, 1]);
});

test("DNS-09 a denial holds three hours at the most, and not at all with a lifetime that is negative", (t) => {
  for (const [ttl, minimum, hours] of [
    [0x7fffffff, 0x7fffffff, 3],
    [-1, 3600, 0],
    [3600, -1, 0],
    [7200, 3600, 1],
    [3600, 7200, 1],
  ]) {
    const { resolve, queries, answer, world } = resolving(t);
    resolve("a.b");
    answer(queries()[0], { rcode: 3, authorities: [soa("b", ttl, minimum)] });
    if (hours > 0) {
      world.run(hours * 3600000 - 1);
      resolve("a.b").cancel();
      t.is(queries().length, 0);
      world.run(1);
    }
    resolve("a.b").cancel();
    t.is(queries().length, 1);
  }
});

test("DNS-09 what is remembered is bounded in number and bytes, and expires without being asked for", (t) => {
  const { resolve, queries, answer, results, dns, world, settle, stack } = resolving(t, {
    entries: 50,
    bytes: 8192,
  });
  for (let i = 0; i < 1000; i++) {
    resolve("n" + i);
    answer(queries()[0], { answers: [A("n" + i, 600 + i)] });
  }
  t.true(results.every((result) => result.code === 0));
  t.is(dns.cache.table.size, 50);
  t.is(dns.cache.evicted, 950);
  resolve("n999");
  settle();
  t.is(queries().length, 0, "what holds longest stays");
  resolve("n0").cancel();
  t.is(queries().length, 1);

  dns.flush();
  t.deepEqual([dns.cache.table.size, dns.cache.size], [0, 0]);
  for (let i = 0; i < 100; i++) {
    resolve("big" + i, "TXT");
    const text = record("big" + i, "TXT", 600, concat(hex("ff"), new Uint8Array(255)));
    answer(queries()[0], { answers: [text, text, text, text] });
    t.true(dns.cache.size <= 8192);
  }
  t.true(dns.cache.table.size >= 5 && dns.cache.table.size <= 8);
  resolve("huge", "TXT");
  const half = record("huge", "TXT", 600, concat(hex("ff"), new Uint8Array(255)));
  answer(queries()[0], { answers: Array(4).fill(half), rest: new Uint8Array(100) });
  t.is(results[results.length - 1].code, 0);
  world.run(2 * 3600000);
  t.deepEqual([dns.cache.table.size, dns.cache.size], [0, 0]);
  t.is(stack.timers.count(), 0);
});

test("DNS-09 an entry does not come back when the clock comes round", (t) => {
  const { resolve, queries, answer, world } = resolving(t);
  resolve("a.b");
  answer(queries()[0], { answers: [A("a.b", 86400)] });
  // 2^31 ms and a little: by differences, the entry would seem to be of the future.
  for (let day = 0; day < 26; day++) world.run(86400000);
  resolve("a.b").cancel();
  t.is(queries().length, 1);
});

test("DNS-09 a hundred answers are told, and none is kept that is too large", (t) => {
  const { resolve, queries, answer, results, dns } = resolving(t, { bytes: 4096 });
  resolve("a.b");
  const answers = Array.from({ length: 70 }, (_, i) => record(be16(0xc00c), "A", 60, "192.0.2." + i));
  answer(queries()[0], { answers });
  t.is(results[0].list.length, 70);
  t.is(dns.cache.table.size, 0);
});

test("DNS-09 without TCP a truncated answer is none, and is not asked for again and again", (t) => {
  const { resolve, queries, answer, results, dns } = resolving(t, { servers: ["10.0.0.2", "10.0.0.3"] });
  dns.tcp = null;
  resolve("a.b");
  let count = 0;
  for (let query = queries()[0]; query; query = queries()[0]) {
    count++;
    answer(query, { truncated: true });
  }
  t.is(count, 2);
  t.is(results[0].code, -90);
  t.is(dns.counters.truncated, 2);
});

test("DNS-10 addresses of the inside are delivered, unless a filter says that the name is of the outside", (t) => {
  const inside = [
    "127.0.0.1",
    "10.0.0.9",
    "169.254.1.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
  ];
  const outside = ["192.0.2.1", "172.32.0.1", "11.0.0.1", "100.128.0.1", "169.253.0.1", "223.255.255.255"];
  const answers = [...inside, ...outside, "224.0.0.1", "255.255.255.255"].map((each) => A("a.b", 60, each));
  const got = (name: string, filter?: (record: DnsRecord) => boolean) => {
    const { resolve, queries, answer, results } = resolving(t, { filter });
    resolve(name);
    answer(queries()[0], { answers: name === "a.b" ? answers : [CNAME(name, "a.b"), ...answers] });
    return (results[0].list as DnsRecord[]).map((each) => each.data);
  };
  t.is(got("a.b").length, inside.length + outside.length + 2);
  t.deepEqual(got("a.b", publicOnly()), outside);
  t.deepEqual(got("c.d", publicOnly(["d"])), ["a.b", ...outside]);
  t.is(got("a.b", publicOnly(["B"])).length, inside.length + outside.length + 2);
});

test("DNS-10 a name of which only inside addresses are left has none", (t) => {
  const { resolve, lookup, queries, answer, results } = resolving(t, { filter: publicOnly() });
  resolve("a.b");
  answer(queries()[0], { answers: [CNAME("a.b", "c"), A("c", 60, "127.0.0.1")] });
  t.deepEqual(results[0], { code: ENODATA, list: [] });
  lookup("d.e");
  answer(queries()[0], { answers: [A("d.e", 60, "192.168.0.1")] });
  t.deepEqual(results[1], { code: ENODATA, list: [] });
  const six = ["::1", "::ffff:7f00:1", "fe80::1", "fd00::1", "ff02::1", "2002:7f00:1::", "64:ff9b::7f00:1"];
  resolve("s.x", "AAAA");
  answer(queries()[0], { answers: [...six, "2001:db8::1"].map((each) => record("s.x", "AAAA", 60, each)) });
  t.deepEqual(
    (results[2].list as DnsRecord[]).map((each) => each.data),
    ["2001:db8::1"],
  );
});

test("a denial with records in it is no trap for who asks for those", (t) => {
  const { resolve, queries, answer, results, settle } = resolving(t);
  resolve("a.b");
  const lie = record("a.b", "AAAA", 60, hex("0102"));
  answer(queries()[0], { rcode: 3, answers: [lie], authorities: [soa("b", 60, 60)] });
  t.is(results[0].code, ENOTFOUND);
  t.notThrows(() => resolve("a.b", "AAAA"));
  settle();
  t.is(queries().length, 1);
});

test("a name that is a trap for tables is a name", (t) => {
  const { resolve, queries, answer, results } = resolving(t);
  for (const name of ["__proto__", "constructor", "hasownproperty", "tostring"]) {
    resolve(name);
    answer(queries()[0], { answers: [A(name)] });
    t.deepEqual(short(results.pop()!.list), [name + ' 60 A "192.0.2.1"']);
  }
});

test("RES-10 no answer of a stranger makes us send more than he did", (t) => {
  const { resolve, queries, send, probe, world } = resolving(t, { attempts: 1 });
  resolve("a.b");
  const [query] = queries();
  let bytes = 0;
  for (let i = 0; i < 500; i++) {
    const forged = reply(query, { id: i, truncated: i % 2 === 0, rcode: i % 7 });
    bytes += forged.length + 42;
    send(query, forged);
  }
  const out = probe.take().reduce((sum, each) => sum + each.length, 0);
  t.true(out <= bytes / 100, out + " of " + bytes);
  world.run(5000);
});

test("DNS-04 a server may send anything: no exception, one answer, nothing left behind", (t) => {
  const section = fc.array(
    fc.oneof(
      fc.constantFrom(A("a.b"), CNAME("a.b", "c.b"), CNAME("c.b", "a.b"), A("c.b", -1), soa("b", 5, 5)),
      fc.uint8Array({ maxLength: 40 }),
    ),
    { maxLength: 4 },
  );
  const fields = fc.record({
    rcode: fc.constantFrom(0, 0, 0, 1, 2, 3, 4, 15),
    truncated: fc.constantFrom(false, false, true),
    answers: section,
    authorities: section,
    counts: fc.option(fc.tuple(fc.constant(1), fc.nat(6), fc.nat(6), fc.nat(6)), { nil: undefined }),
    rest: fc.uint8Array({ maxLength: 20 }),
  });
  const { resolve, queries, answer, results, dns, world, stack } = resolving(t, { attempts: 1 });
  const check = fc.property(fc.array(fields, { minLength: 1, maxLength: 6 }), (replies) => {
    results.splice(0);
    resolve("a.b");
    resolve("a.b", "TXT");
    for (const each of replies) for (const query of queries()) answer(query, each);
    world.run(20000);
    queries();
    return (
      results.every((result) => result.code !== null) &&
      dns.waiting === 0 &&
      dns.questions.length === 0 &&
      dns.held === 0 &&
      stack.pool.used === 0 &&
      !stack.busy
    );
  });
  t.notThrows(() => fc.assert(check, { numRuns: 300 }));
});
