/** The resolver with servers that behave: what is asked, what is answered, what is remembered, and what happens when none is there. */
import test from "ava";
import {
  ECANCELED,
  ECONNREFUSED,
  ELOOP,
  ENETUNREACH,
  ENOBUFS,
  ENODATA,
  ENOTFOUND,
  ESERVFAIL,
  ETIMEDOUT,
} from "../../stack/core/errors.js";
import { nameServers } from "../../stack/core/name-servers.js";
import { createStack } from "../../stack/core/stack.js";
import { dns as createDns } from "../../stack/service/dns.js";
import type { DnsOptions } from "../../stack/service/dns.js";
import { PROBE_IP, STACK_IP, eth, frame, icmp, ip4, udp } from "../support/packets.js";
import { concat, hex } from "../support/bytes.js";
import type { Query } from "./dns-support.js";
import { record, resolving, short, soa, wireName } from "./dns-support.js";

const A = (name: string, ttl = 60, address = "192.0.2.1") => record(name, "A", ttl, address);
const CNAME = (name: string, target: string, ttl = 60) => record(name, "CNAME", ttl, target);

test("a query is what RFC 1035 and 6891 say, and its answer is told", (t) => {
  const { resolve, queries, answer, results } = resolving(t);
  resolve("Www.Example.org.");
  const [query] = queries();
  t.is(query.flags, 0x0100);
  t.is(query.name, "www.example.org");
  t.is(query.type, 1);
  t.is(query.udpSize, 1232);
  t.is(query.bytes.length, 12 + 17 + 4 + 11);
  answer(query, { answers: [A("WWW.example.ORG"), A("www.example.org", 90, "192.0.2.2")] });
  t.deepEqual(results, [
    {
      code: 0,
      list: [
        { name: "www.example.org", type: "A", ttl: 60, data: "192.0.2.1" },
        { name: "www.example.org", type: "A", ttl: 90, data: "192.0.2.2" },
      ],
    },
  ]);
});

test("records of every type are plain data", (t) => {
  const { resolve, queries, answer, results } = resolving(t);
  const cases: [string | number, Uint8Array | string, unknown][] = [
    ["AAAA", "2001:db8::1", "2001:db8::1"],
    ["NS", "ns.example", "ns.example"],
    ["PTR", "host.example", "host.example"],
    ["TXT", "some text", ["some text"]],
    ["MX", concat(hex("000a"), wireName("mail")), { preference: 10, exchange: "mail" }],
    [
      "SRV",
      concat(hex("000100020035"), wireName("a.b")),
      { priority: 1, weight: 2, port: 53, target: "a.b" },
    ],
    [257, hex("000102"), hex("000102")],
  ];
  for (const [type, data, value] of cases) {
    resolve("a.b", type);
    answer(queries()[0], { answers: [record("a.b", type, 60, data)] });
    t.deepEqual(results.pop(), { code: 0, list: [{ name: "a.b", type, ttl: 60, data: value }] });
  }
  resolve("a.b", 15);
  t.is(results.length, 1);
});

test("an answer is remembered for as long as it holds", (t) => {
  const { resolve, queries, answer, results, world, settle, dns } = resolving(t);
  resolve("a.b");
  answer(queries()[0], { answers: [A("a.b", 60)] });
  world.run(59000);
  resolve("A.B.");
  settle();
  t.is(queries().length, 0);
  t.deepEqual(short(results[1].list), ['a.b 1 A "192.0.2.1"']);
  t.is(dns.counters.hits, 1);
  world.run(1000);
  resolve("a.b");
  t.is(queries().length, 1);
});

test("what is remembered cannot be changed by whoever got it", (t) => {
  const { resolve, queries, answer, results, settle } = resolving(t);
  resolve("a.b");
  answer(queries()[0], { answers: [A("a.b")] });
  (results[0].list[0] as { data: string }).data = "changed";
  results[0].list.push("more");
  resolve("a.b");
  settle();
  t.deepEqual(short(results[1].list), ['a.b 60 A "192.0.2.1"']);
});

test("that there is no such name, or no such record, is remembered as the SOA says", (t) => {
  const { resolve, queries, answer, results, world } = resolving(t);
  const ask = (name: string, type = "A") => {
    resolve(name, type);
    world.run(0);
    return queries()[0] as Query | undefined;
  };
  const last = () => results[results.length - 1].code;
  answer(ask("no.example")!, { rcode: 3, authorities: [soa("example", 300, 60)] });
  t.is(last(), ENOTFOUND);
  t.is(ask("no.example"), undefined);
  t.is(ask("no.example", "MX"), undefined, "no name has no records of any type");
  t.is(last(), ENOTFOUND);
  world.run(60000);
  answer(ask("no.example")!, { rcode: 3 });
  const again = ask("no.example");
  t.truthy(again, "without a SOA it is not remembered");
  answer(again!, { rcode: 3 });

  answer(ask("some.example", "AAAA")!, { authorities: [soa("example", 30, 60)] });
  t.is(last(), ENODATA);
  t.is(ask("some.example", "AAAA"), undefined);
  answer(ask("some.example", "A")!, { answers: [A("some.example")] });
  t.is(last(), 0);
  world.run(30000);
  t.truthy(ask("some.example", "AAAA"));
});

test("aliases are followed, within a response and beyond it", (t) => {
  const { resolve, queries, answer, results, settle } = resolving(t);
  resolve("a.x");
  answer(queries()[0], {
    // The order does not matter.
    answers: [A("c.x"), CNAME("b.x", "C.x", 30), CNAME("a.x", "b.x")],
  });
  t.deepEqual(short(results[0].list), ['a.x 60 CNAME "b.x"', 'b.x 30 CNAME "C.x"', 'c.x 60 A "192.0.2.1"']);
  resolve("d.x");
  answer(queries()[0], { answers: [CNAME("d.x", "e.x")] });
  t.is(results[1].code, null);
  const [second] = queries();
  t.is(second.name, "e.x");
  answer(second, { answers: [A("e.x")] });
  t.deepEqual(short(results[1].list), ['d.x 60 CNAME "e.x"', 'e.x 60 A "192.0.2.1"']);
  // Both pieces are remembered.
  resolve("d.x");
  settle();
  t.deepEqual(results[2], results[1]);
  t.is(queries().length, 0);
  resolve("d.x", "CNAME");
  answer(queries()[0], { answers: [CNAME("d.x", "e.x")] });
  t.deepEqual(short(results[3].list), ['d.x 60 CNAME "e.x"']);
});

test("an alias whose target has no such record, or does not exist", (t) => {
  const { resolve, queries, answer, results, settle } = resolving(t);
  for (const [rcode, code] of [
    [0, ENODATA],
    [3, ENOTFOUND],
  ]) {
    const name = "a" + rcode + ".x";
    for (let i = 0; i < 2; i++) {
      resolve(name);
      settle();
      for (const query of queries()) {
        t.is(i, 0);
        answer(query, { rcode, answers: [CNAME(name, "b.x")], authorities: [soa("x", 60, 60)] });
      }
      t.deepEqual(results.pop(), { code, list: [] });
    }
    // It is the target that does not exist, not the alias.
    resolve(name, "CNAME");
    t.is(queries().length, 1);
    results.pop();
  }
});

test("who asks the same at the same time shares the question", (t) => {
  const { resolve, queries, answer, results, dns } = resolving(t);
  for (let i = 0; i < 5; i++) resolve("a.b");
  resolve("a.b", 1);
  const asked = queries();
  t.is(asked.length, 1);
  answer(asked[0], { answers: [A("a.b")] });
  t.is(results.length, 6);
  for (const result of results) t.deepEqual(short(result.list), ['a.b 60 A "192.0.2.1"']);
  t.is(dns.waiting, 0);
});

test("servers are asked in turn, and the one that answers first the next time", (t) => {
  const servers = ["10.0.0.2", "10.0.0.3", "10.0.0.4"];
  const { resolve, queries, answer, results, world } = resolving(t, { servers, timeout: 1000, attempts: 2 });
  resolve("a.b");
  const asked: [string, number, number][] = [];
  const start = world.time;
  while (results[0].code === null) {
    for (const query of queries()) asked.push([query.server, world.time - start, query.udpSize]);
    world.run(500);
  }
  t.deepEqual(asked, [
    ["10.0.0.2", 0, 1232],
    ["10.0.0.3", 1000, 1232],
    ["10.0.0.4", 2000, 1232],
    ["10.0.0.2", 3000, 0],
    ["10.0.0.3", 5000, 0],
    ["10.0.0.4", 7000, 0],
  ]);
  t.is(results[0].code, ETIMEDOUT);
  t.is(world.time - start, 9000);

  resolve("b.b");
  queries();
  world.run(1000);
  answer(queries()[0], { answers: [A("b.b")] });
  resolve("c.b");
  t.is(queries()[0].server, "10.0.0.3");
});

test("a server that cannot answer makes way for the next at once", (t) => {
  const { resolve, queries, answer, results, settle } = resolving(t, { servers: ["10.0.0.2", "10.0.0.3"] });
  resolve("a.b");
  answer(queries()[0], { rcode: 2 });
  const [second] = queries();
  t.is(second.server, "10.0.0.3");
  answer(second, { rcode: 5 });
  settle();
  t.is(results[0].code, ESERVFAIL);
  t.is(queries().length, 0);
});

test("a server that does not know EDNS is asked without", (t) => {
  const { resolve, queries, answer, results } = resolving(t, { servers: ["10.0.0.2", "10.0.0.3"] });
  for (const [i, rcode] of [1, 4].entries()) {
    resolve("a.b" + i);
    answer(queries()[0], { rcode });
    const [second] = queries();
    t.deepEqual([second.server, second.udpSize], ["10.0.0.2", 0]);
    answer(second, { answers: [A("a.b" + i)] });
    t.is(results[i].code, 0);
  }
  resolve("c.b");
  for (let i = 0; i < 3; i++) answer(queries()[0], { rcode: 1 });
  t.is(results[2].code, ESERVFAIL);
});

test("where nobody listens the next server is asked; the only one is given a second each time", (t) => {
  const closed = (query: { port: number; server: string }) =>
    frame(
      eth(),
      ip4({ src: query.server }),
      icmp({ type: 3, code: 3 }),
      frame(ip4({ src: STACK_IP, dst: query.server }), udp({ sport: query.port, dport: 53 })),
    );
  const two = resolving(t, { servers: ["10.0.0.2", "10.0.0.3"] });
  two.resolve("a.b");
  two.probe.send(closed(two.queries()[0]));
  two.settle();
  t.is(two.queries()[0].server, "10.0.0.3");

  const one = resolving(t);
  one.resolve("a.b");
  const start = one.world.time;
  for (let i = 0; i < 3; i++) {
    const [query] = one.queries();
    // A stranger who repeats the error does not put the next try off.
    for (let k = 0; k < 9; k++) {
      one.probe.send(closed(query));
      one.world.run(100);
    }
    one.world.run(100);
  }
  t.is(one.results[0].code, ECONNREFUSED);
  t.is(one.world.time - start, 3000);
});

test("without a server, a route or entropy the answer comes at once", (t) => {
  const none = resolving(t, { servers: [] });
  none.resolve("a.b");
  t.is(none.results[0].code, null, "never before resolve returns");
  none.settle();
  t.is(none.results[0].code, ENETUNREACH);

  const far = resolving(t, { servers: ["192.0.2.9", "fe80::1"] });
  far.ip.removeRoute("0.0.0.0/0");
  far.resolve("a.b");
  far.settle();
  t.is(far.results[0].code, -97);

  const poor = resolving(t, {}, { leaks: { faults: true } });
  poor.host.faults.random = "fail";
  for (let i = 0; i < 40; i++) poor.resolve("a.b" + i);
  poor.settle();
  const failed = poor.results.filter((result) => result.code !== null);
  t.true(failed.length > 0 && failed.every((result) => result.code === -5 || result.code === ENOBUFS));
});

test("servers and domains that DHCP brings are used, and what was known before is forgotten", (t) => {
  const { stack, lookup, queries, answer, results, settle, nif } = resolving(t, { servers: [] });
  nameServers(stack).set("dhcp", nif, ["10.0.0.7"], ["home"]);
  lookup("printer");
  const [query] = queries();
  t.deepEqual([query.server, query.name], ["10.0.0.7", "printer.home"]);
  answer(query, { answers: [A("printer.home")] });
  t.deepEqual(results[0], { code: 0, list: ["192.0.2.1"] });
  nameServers(stack).set("dhcp", nif, ["10.0.0.8"], ["home"]);
  lookup("printer");
  t.is(queries()[0].server, "10.0.0.8");
  nameServers(stack).set("dhcp", nif, [], []);
  lookup("other");
  settle();
  t.is(results[2].code, ENETUNREACH);
});

test("look-ups go through the search domains, names with dots come first as they are", (t) => {
  const search = ["one.test", "two.test"];
  const asked = (name: string, options: DnsOptions = {}) => {
    const { lookup, queries, answer, results, settle } = resolving(t, { search, ...options });
    const names: string[] = [];
    lookup(name);
    settle();
    for (let query = queries()[0]; query; query = queries()[0]) {
      names.push(query.name);
      answer(query, query.name.startsWith("x.two") ? {} : { rcode: 3 });
      settle();
    }
    return [names, results[0].code];
  };
  t.deepEqual(asked("y"), [["y.one.test", "y.two.test", "y"], ENOTFOUND]);
  t.deepEqual(asked("y.z"), [["y.z", "y.z.one.test", "y.z.two.test"], ENOTFOUND]);
  t.deepEqual(asked("y.z", { ndots: 2 }), [["y.z.one.test", "y.z.two.test", "y.z"], ENOTFOUND]);
  t.deepEqual(asked("y."), [["y"], ENOTFOUND]);
  t.deepEqual(asked("x"), [["x.one.test", "x.two.test", "x"], ENODATA], "somewhere it exists");
});

test("a look-up ends with the first name that has addresses, and with servers that fail", (t) => {
  const { lookup, queries, answer, results, settle } = resolving(t, { search: ["one.test", "two.test"] });
  lookup("a");
  answer(queries()[0], { rcode: 3 });
  settle();
  answer(queries()[0], { answers: [CNAME("a.two.test", "b"), A("b"), A("b", 1, "192.0.2.2")] });
  t.deepEqual(results[0], { code: 0, list: ["192.0.2.1", "192.0.2.2"] });
  lookup("c");
  answer(queries()[0], { rcode: 2 });
  settle();
  t.deepEqual(results[1], { code: ESERVFAIL, list: [] });
  t.is(queries().length, 0);
});

test("a look-up asks for the families that the stack has, or for the one that is wanted", (t) => {
  const { lookup, queries, answer, results } = resolving(t);
  lookup("a.b");
  t.deepEqual(
    queries().map((query) => query.type),
    [1],
  );
  lookup("c.d", 6);
  const [query] = queries();
  t.is(query.type, 28);
  answer(query, { answers: [record("c.d", "AAAA", 60, "2001:db8::7")] });
  t.deepEqual(results[1], { code: 0, list: ["2001:db8::7"] });
});

test("addresses, localhost and the hosts table need nobody", (t) => {
  const hosts = [
    { name: "Printer.", address: "10.0.0.9" },
    { name: "printer", address: "10.0.0.10" },
    { name: "six", address: "fe80::1" },
  ];
  const { lookup, queries, results, settle } = resolving(t, { hosts });
  const cases: [string, number | undefined, number, string[]][] = [
    ["192.0.2.7", undefined, 0, ["192.0.2.7"]],
    ["192.0.2.7", 4, 0, ["192.0.2.7"]],
    ["192.0.2.7", 6, ENODATA, []],
    ["localhost", undefined, 0, ["127.0.0.1"]],
    ["LocalHost.", undefined, 0, ["127.0.0.1"]],
    ["a.localhost", undefined, 0, ["127.0.0.1"]],
    ["printer", undefined, 0, ["10.0.0.9", "10.0.0.10"]],
    ["PRINTER.", 4, 0, ["10.0.0.9", "10.0.0.10"]],
    ["printer", 6, ENODATA, []],
    ["six", undefined, ENODATA, []],
    ["fe80::1", undefined, ENODATA, []],
    ["fe80::1%eth0", undefined, ENODATA, []],
  ];
  for (const [name, family, code, list] of cases) {
    lookup(name, family);
    t.is(results[results.length - 1].code, null);
    settle();
    t.deepEqual(results[results.length - 1], { code, list }, name);
  }
  t.is(queries().length, 0);
});

test("what is cancelled is not called, and nothing of it stays", (t) => {
  const { resolve, lookup, queries, results, settle, dns, answer, world } = resolving(t);
  const first = resolve("a.b");
  const second = resolve("a.b");
  first.cancel();
  first.cancel();
  t.is(dns.questions.length, 1);
  second.cancel();
  t.is(dns.questions.length, 0);
  t.is(queries().length, 1);
  world.run(30000);
  t.is(queries().length, 0);
  const third = lookup("c");
  third.cancel();
  t.is(dns.waiting, 0);
  const [query] = queries();
  const fourth = resolve("c");
  answer(queries()[0], { answers: [A("c")] });
  answer(query, { answers: [A("c")] });
  fourth.cancel();
  const fifth = resolve("c");
  fifth.cancel();
  settle();
  world.run(30000);
  t.deepEqual(
    results.map((result) => result.code),
    [null, null, null, 0, null],
  );
  t.is(dns.waiting, 0);
});

test("requests are bounded", (t) => {
  const { resolve, lookup, queries, results, settle, dns, world } = resolving(t, { limit: 10 });
  for (let i = 0; i < 20; i++) resolve("a" + i + ".b");
  t.is(queries().length, 10);
  settle();
  t.is(results.filter((result) => result.code === ENOBUFS).length, 10);
  lookup("c.d");
  settle();
  t.is(results[20].code, ENOBUFS);
  t.is(dns.counters.refused, 11);
  world.run(60000);
  t.is(dns.waiting, 0);
  t.is(results.filter((result) => result.code === ETIMEDOUT).length, 10);
});

test("a stack that is closed says so to those who wait", (t) => {
  const { resolve, lookup, results, stack } = resolving(t);
  resolve("a.b");
  lookup("c.d");
  stack.close();
  t.deepEqual(
    results.map((result) => result.code),
    [ECANCELED, ECANCELED],
  );
});

test("what is no name is not asked for, what is no argument is refused", (t) => {
  const { resolve, lookup, queries, results, settle, dns } = resolving(t);
  for (const name of ["a..b", "x".repeat(64), "m\xfcnchen.example", "a".repeat(1e5), "\0.\u1234"]) {
    resolve(name);
    lookup(name);
  }
  settle();
  t.is(queries().length, 0);
  t.true(results.every((result) => result.code === ENOTFOUND));
  const none = () => {};
  const bad = [undefined, null, 7, {}, [], NaN, Symbol.iterator] as never[];
  for (const value of bad) {
    t.throws(() => dns.resolve(value, "A", none), { code: "EINVAL" });
    t.throws(() => dns.lookup(value, {}, none), { code: "EINVAL" });
    t.throws(() => dns.resolve("a", "A", value), { code: "EINVAL" });
    t.throws(() => dns.lookup("a", {}, value), { code: "EINVAL" });
    if (value !== 7) t.throws(() => dns.resolve("a", value, none), { code: "EINVAL" });
    if (value) t.throws(() => dns.lookup("a", { family: value }, none), { code: "EINVAL" });
  }
  for (const type of ["a", "constructor", "__proto__", "", 0, -1, 65536, 2 ** 53, "1"]) {
    t.throws(() => dns.resolve("a", type, none), { code: "EINVAL" });
  }
  t.is(dns.waiting, 0);
  for (const options of [{ timeout: 0 }, { attempts: 9 }, { port: "53" }, { udpSize: 511 }, { limit: NaN }]) {
    t.throws(() => createDns(options as never), { code: "EINVAL" });
  }
  t.throws(() => createStack(dns.stack.host.calls, [createDns()]), { code: "ENOPROTOOPT" });
});

test("a callback that throws harms nobody else", (t) => {
  const { dns, resolve, queries, answer, results, world } = resolving(t, {}, { leaks: { panics: true } });
  dns.resolve("a.b", "A", () => {
    throw new Error("mine");
  });
  resolve("a.b");
  answer(queries()[0], { answers: [A("a.b")] });
  world.run(1);
  t.is(results[0].code, 0);
  t.is(world.panics.length, 1);
  t.is(dns.waiting, 0);
});

test("callbacks may ask, cancel and close", (t) => {
  const { dns, queries, answer, stack, settle } = resolving(t);
  const seen: unknown[] = [];
  const other = dns.resolve("c.d", "A", () => t.fail());
  dns.resolve("a.b", "A", (code) => {
    seen.push(code);
    other.cancel();
    dns.resolve("a.b", "A", (again) => {
      seen.push(again);
      stack.close();
    });
  });
  answer(queries()[1], { answers: [A("a.b")] });
  settle();
  t.deepEqual(seen, [0, 0]);
});

test("more than eight aliases are not followed", (t) => {
  const { resolve, queries, answer, results, dns } = resolving(t);
  const chain = (length: number) => Array.from({ length }, (_, i) => CNAME("a" + i, "a" + (i + 1)));
  resolve("a0");
  answer(queries()[0], { answers: [...chain(8), A("a8")] });
  t.is(results[0].list.length, 9);
  dns.flush();
  resolve("a0");
  answer(queries()[0], { answers: [...chain(9), A("a9")] });
  t.deepEqual(results[1], { code: ELOOP, list: [] });
  // One at a time as well.
  resolve("a0");
  for (let i = 0; i < 9; i++) answer(queries()[0], { answers: [CNAME("a" + i, "a" + (i + 1))] });
  t.deepEqual(results[2], { code: ELOOP, list: [] });
  t.is(queries().length, 0);
});

test("the port and the interface of a server are the ones that were given", (t) => {
  const { resolve, queries, answer, results } = resolving(t, { port: 5353 });
  resolve("a.b");
  answer(queries()[0], { answers: [A("a.b")] });
  t.is(results[0].code, 0);
  t.is(PROBE_IP, "10.0.0.2");
});
