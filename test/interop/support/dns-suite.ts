/** The resolver and dnsmasq, over whichever family the host has: records, denials, truncation, restarts. */
import type { ExecutionContext } from "ava";
import test from "ava";
import { ECONNREFUSED, ENODATA, ENOTFOUND, ESERVFAIL } from "../../../stack/index.js";
import { dns } from "../../../stack/service/dns.js";
import type { Dns, DnsOptions, DnsRecord } from "../../../stack/service/dns.js";
import type { CabledHost, HostOptions } from "./host.js";
import type { Namespace } from "./namespace.js";
import type { Daemon } from "./process.js";

/** 40 strings of 150 bytes: more than UDP carries. */
const LONG = Array.from({ length: 40 }, (_, i) => String.fromCharCode(97 + (i % 26)).repeat(150));

const RECORDS = [
  "host-record=www.test,192.0.2.1,2001:db8::1",
  "host-record=many.test,192.0.2.2",
  "host-record=many.test,192.0.2.3",
  "cname=alias.test,www.test",
  "cname=second.test,alias.test",
  "txt-record=text.test,some text,and more",
  "txt-record=long.test," + LONG.join(","),
  "mx-host=test,mail.test,10",
  "srv-host=_http._tcp.test,www.test,8080,1,2",
  "ptr-record=1.2.0.192.in-addr.arpa,www.test",
  "local=/test/",
  // As seconds.
  "local-ttl=2",
];

/** Starts dnsmasq at `address`. */
function serve(ns: Namespace, address: string, records: string[]): Promise<Daemon> {
  const settings = [
    "keep-in-foreground",
    "no-resolv",
    "no-hosts",
    "bind-interfaces",
    "user=root",
    "log-queries",
  ];
  const all = [
    ...settings,
    "log-facility=-",
    "conf-file=/dev/null",
    "pid-file=",
    "listen-address=" + address,
  ];
  return ns.serve(
    "udp",
    53,
    "dnsmasq",
    [...all, ...records].map((each) => "--" + each),
  );
}

interface Result {
  code: number;
  list: unknown[];
}

function asker(resolver: Dns) {
  const resolve = (name: string, type = "A") =>
    new Promise<Result>((done) => resolver.resolve(name, type, (code, list) => done({ code, list })));
  const lookup = (name: string, family?: number) =>
    new Promise<Result>((done) => resolver.lookup(name, { family }, (code, list) => done({ code, list })));
  return { resolve, lookup };
}

const data = (result: Result) => (result.list as DnsRecord[]).map((each) => each.data);

/** Declares the tests. `kernel`: where dnsmasq listens; `www`: the address of that name that such a host can reach. */
export function dnsSuite<H extends CabledHost>(
  create: (t: ExecutionContext, options: HostOptions) => Promise<H>,
  kernel: string,
  www: string,
): void {
  async function withDnsmasq(t: ExecutionContext, records = RECORDS, options: DnsOptions = {}) {
    const resolver = dns({ servers: [kernel], search: ["test"], ...options });
    const host = await create(t, { components: [resolver] });
    const server = await serve(host.ns, kernel, records);
    /** What the server was asked, and how often. */
    const queries = () => server.output.split("\n").filter((line) => / (query|auth)\[/.test(line)).length;
    return { ...host, resolver, server, queries, ...asker(resolver) };
  }

  test("records of each type", async (t) => {
    const { resolve } = await withDnsmasq(t);
    t.deepEqual(await resolve("www.test"), {
      code: 0,
      list: [{ name: "www.test", type: "A", ttl: 2, data: "192.0.2.1" }],
    });
    t.deepEqual(data(await resolve("www.test", "AAAA")), ["2001:db8::1"]);
    t.deepEqual(data(await resolve("many.test")).sort(), ["192.0.2.2", "192.0.2.3"]);
    t.deepEqual(data(await resolve("alias.test")), ["www.test", "192.0.2.1"]);
    t.deepEqual(data(await resolve("second.test")), ["alias.test", "www.test", "192.0.2.1"]);
    t.deepEqual(data(await resolve("alias.test", "CNAME")), ["www.test"]);
    t.deepEqual(data(await resolve("text.test", "TXT")), [["some text", "and more"]]);
    t.deepEqual(data(await resolve("test", "MX")), [{ preference: 10, exchange: "mail.test" }]);
    t.deepEqual(data(await resolve("_http._tcp.test", "SRV")), [
      { priority: 1, weight: 2, port: 8080, target: "www.test" },
    ]);
    t.deepEqual(data(await resolve("1.2.0.192.in-addr.arpa", "PTR")), ["www.test"]);
  });

  test("look-ups through the search domain", async (t) => {
    const { lookup } = await withDnsmasq(t);
    t.deepEqual(await lookup("www"), { code: 0, list: [www] });
    t.deepEqual(await lookup("www", 4), { code: 0, list: ["192.0.2.1"] });
    t.deepEqual(await lookup("www", 6), { code: 0, list: ["2001:db8::1"] });
    t.deepEqual(await lookup("second"), { code: 0, list: [www] });
    t.deepEqual(await lookup("www.test."), { code: 0, list: [www] });
  });

  test("what is too long for UDP comes over TCP", async (t) => {
    const { resolve, resolver } = await withDnsmasq(t);
    const result = await resolve("long.test", "TXT");
    t.is(result.code, 0);
    t.deepEqual(data(result), [LONG]);
    t.is(resolver.counters.truncated, 1);
    const small = await withDnsmasq(t, RECORDS, { udpSize: 512 });
    t.deepEqual(data(await small.resolve("long.test", "TXT")), [LONG]);
  });

  test("mixed case comes back as it was sent", async (t) => {
    const { resolve, resolver } = await withDnsmasq(t, RECORDS, { mixCase: true });
    t.deepEqual(data(await resolve("a-long-name-with-many-letters.test")), []);
    t.deepEqual(data(await resolve("www.test")), ["192.0.2.1"]);
    t.is(resolver.counters.unmatched, 0);
  });

  test("an answer is remembered for its time and asked for again afterwards", async (t) => {
    const { resolve, queries } = await withDnsmasq(t);
    for (let i = 0; i < 5; i++) t.is((await resolve("www.test")).code, 0);
    t.is(queries(), 1);
    await new Promise((done) => setTimeout(done, 2100));
    t.is((await resolve("www.test")).code, 0);
    t.is(queries(), 2);
  });

  test("that there is no such name is remembered, as the zone's SOA says", async (t) => {
    const zone = [
      "auth-server=ns.zone.test," + kernel,
      "auth-zone=zone.test",
      "auth-soa=1,admin.zone.test",
      "auth-ttl=60",
      "host-record=www.zone.test,192.0.2.9",
    ];
    const { resolve, queries, resolver } = await withDnsmasq(t, zone);
    t.deepEqual(data(await resolve("www.zone.test")), ["192.0.2.9"]);
    for (let i = 0; i < 5; i++) t.is((await resolve("no.zone.test")).code, ENOTFOUND);
    t.is((await resolve("no.zone.test", "MX")).code, ENOTFOUND);
    t.is(resolver.counters.hits, 5);
    for (let i = 0; i < 5; i++) t.is((await resolve("www.zone.test", "MX")).code, ENODATA);
    t.is(resolver.counters.hits, 9);
    t.is(queries(), 3);
  });

  test("a server that refuses, one that is not there, and one that comes back", async (t) => {
    const { resolve, server, ns, resolver } = await withDnsmasq(t);
    t.is((await resolve("www.elsewhere")).code, ESERVFAIL);
    await server.stop();
    t.is((await resolve("www.test")).code, ECONNREFUSED);
    const waiting = resolve("alias.test");
    await serve(ns, kernel, [...RECORDS, "host-record=new.test,192.0.2.77"]);
    t.deepEqual(data(await waiting), ["www.test", "192.0.2.1"]);
    t.deepEqual(data(await resolve("new.test")), ["192.0.2.77"]);
    t.is(resolver.waiting, 0);
  });

  test("a thousand names at once", async (t) => {
    const names = Array.from({ length: 1000 }, (_, i) => `n${i}.test`);
    const records = names.map((name, i) => `host-record=${name},10.1.${i >> 8}.${i & 255}`);
    const { resolve, resolver } = await withDnsmasq(t, [...records, "local-ttl=60"], {
      limit: 1000,
      entries: 1000,
      bytes: 1 << 20,
    });
    // The server's hardware address first: few packets wait for that.
    await resolve(names[0]);
    const results = await Promise.all(names.map((name) => resolve(name)));
    t.deepEqual(
      results.map((result) => data(result)[0]),
      names.map((_, i) => `10.1.${i >> 8}.${i & 255}`),
    );
    await Promise.all(names.map((name) => resolve(name)));
    t.is(resolver.counters.hits, 1001);
  });
}
