/** The DNS forwarder between dig and dnsperf on one side, dnsmasq and unbound on the other. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { publicOnly } from "../../../stack/service/dns-filter.js";
import { dnsForwarder } from "../../../stack/service/dns-forwarder.js";
import type { DnsForwarderOptions } from "../../../stack/service/dns-forwarder.js";
import { dns64 } from "../../../stack/service/dns64.js";
import type { HostOptions } from "../support/host.js";
import { GATEWAY, createServices } from "../support/services.js";
import type { Services } from "../support/services.js";

const UPSTREAM = "10.77.0.3";
const LONG = Array.from({ length: 20 }, (_, i) => String.fromCharCode(97 + i).repeat(150));

const RECORDS = [
  "host-record=www.test,192.0.2.1,2001:db8::1",
  "host-record=four.test,192.0.2.4",
  "host-record=inside.test,10.77.0.9",
  "cname=alias.test,www.test",
  "cname=alias4.test,four.test",
  "txt-record=long.test," + LONG.join(","),
  "mx-host=test,mail.test,10",
  "srv-host=_http._tcp.test,www.test,8080,1,2",
  "local=/test/",
  "local-ttl=60",
];

async function dnsmasq(host: Services, address = UPSTREAM) {
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
    ...RECORDS,
  ];
  const server = await host.ns.serve(
    "udp",
    53,
    "dnsmasq",
    all.map((each) => "--" + each),
  );
  const queries = () => server.output.split("\n").filter((line) => / (query|auth)\[/.test(line)).length;
  return { server, queries };
}

async function forward(t: ExecutionContext, options: DnsForwarderOptions = {}, more: HostOptions = {}) {
  const names = dnsForwarder({ servers: [UPSTREAM], ...options });
  const host = await createServices(t, { ...more, components: [names] });
  host.ns.ip("address", "add", "10.77.0.2/24", "dev", host.device);
  host.ns.ip("address", "add", UPSTREAM + "/24", "dev", host.device);
  host.ns.ip("address", "add", "fd77::2/64", "dev", host.device, "nodad");
  names.serve(host.nif);
  const dig = async (...parameters: string[]) =>
    (
      await host.ns.run("dig", ["@" + GATEWAY, "-b", "10.77.0.2", "+tries=1", "+time=5", ...parameters], {
        codes: null,
      })
    ).stdout;
  const short = async (...parameters: string[]) => (await dig("+short", ...parameters)).trim().split("\n");
  return { ...host, names, dig, short };
}

test("records of each kind, aliases, denials; from memory the second time, with the time that is left", async (t) => {
  const host = await forward(t);
  const { queries } = await dnsmasq(host);
  t.deepEqual(await host.short("www.test"), ["192.0.2.1"]);
  t.deepEqual(await host.short("www.test", "AAAA"), ["2001:db8::1"]);
  t.deepEqual(await host.short("alias.test"), ["www.test.", "192.0.2.1"]);
  t.deepEqual(await host.short("test", "MX"), ["10 mail.test."]);
  t.deepEqual(await host.short("_http._tcp.test", "SRV"), ["1 2 8080 www.test."]);
  t.regex(await host.dig("no.test"), /status: NXDOMAIN/);
  t.regex(await host.dig("www.test", "TXT"), /status: NOERROR[^]*ANSWER: 0/);
  const asked = queries();
  await new Promise((resolve) => setTimeout(resolve, 1100));
  const again = await host.dig("WwW.tEst");
  t.regex(again, /;WwW\.tEst\.\s+IN\s+A/);
  t.regex(again, /flags: qr rd ra;/);
  t.regex(again, /\s(5[0-9])\s+IN\s+A\s+192\.0\.2\.1/);
  t.is(queries(), asked);
  t.true(host.names.counters.hits >= 1);
  // IPv6 clients, and clients without EDNS.
  const { stdout } = await host.ns.run("dig", ["@fd77::1", "+short", "www.test"]);
  t.is(stdout.trim(), "192.0.2.1");
  t.deepEqual(await host.short("+noedns", "alias.test"), ["www.test.", "192.0.2.1"]);
});

test("what is long comes over TCP, to us and to the client; many queries on one connection", async (t) => {
  const host = await forward(t);
  await dnsmasq(host);
  t.regex(await host.dig("+ignore", "long.test", "TXT"), /flags: qr tc rd ra;[^]*ANSWER: 0/);
  t.is((await host.short("long.test", "TXT")).join("").length, 20 * 153 - 1);
  t.is(host.names.counters.truncated, 1);
  t.is((await host.short("+tcp", "+keepopen", "www.test", "four.test", "alias.test")).length, 4);
});

test("names of our own, both ways; nothing private is asked for outside", async (t) => {
  const host = await forward(t, {
    hosts: [{ name: "printer.home.arpa", address: "10.77.0.9" }],
    localDomains: ["lan"],
  });
  const { queries } = await dnsmasq(host);
  host.names.add("lamp.lan", "fd77::9");
  t.deepEqual(await host.short("printer.home.arpa"), ["10.77.0.9"]);
  t.deepEqual(await host.short("-x", "10.77.0.9"), ["printer.home.arpa."]);
  t.deepEqual(await host.short("lamp.LAN", "AAAA"), ["fd77::9"]);
  t.deepEqual(await host.short("-x", "fd77::9"), ["lamp.lan."]);
  t.regex(await host.dig("lamp.lan"), /status: NOERROR[^]*ANSWER: 0/);
  host.names.remove("lamp.lan", "fd77::9");
  for (const name of ["lamp.lan", "other.home.arpa", "x.local", "single"])
    t.regex(await host.dig(name), /NXDOMAIN/, name);
  t.regex(await host.dig("-x", "192.168.7.7"), /NXDOMAIN/);
  t.regex(await host.dig("www.test", "ANY"), /NOTIMP/);
  t.regex(await host.dig("www.test", "AXFR"), /Transfer failed|REFUSED|communications error/);
  t.regex(await host.dig("www.test", "CH"), /REFUSED/);
  t.is(queries(), 0);
});

test("the next server when one is silent, refuses or is not there; SERVFAIL when none can; coming back", async (t) => {
  const host = await forward(t, { servers: ["10.77.0.99", "10.77.0.2", UPSTREAM], timeout: 300 });
  const { server } = await dnsmasq(host);
  t.deepEqual(await host.short("www.test"), ["192.0.2.1"]);
  t.deepEqual(await host.short("four.test"), ["192.0.2.4"]);
  await server.stop();
  t.regex(await host.dig("alias.test"), /SERVFAIL/);
  t.deepEqual(await host.short("www.test"), ["192.0.2.1"], "from memory");
  await dnsmasq(host);
  t.deepEqual(await host.short("alias.test"), ["www.test.", "192.0.2.1"]);
});

test("names that lead inside are held back where that is wanted", async (t) => {
  const host = await forward(t, { filter: publicOnly(["www.test"]) });
  await dnsmasq(host);
  t.deepEqual(await host.short("inside.test"), [""]);
  t.is(host.names.counters.filtered, 1);
  t.deepEqual(await host.short("www.test"), ["192.0.2.1"]);
});

test("DNS64: addresses for who has IPv6 alone", async (t) => {
  const host = await forward(t, { dns64: dns64("64:ff9b::/96") });
  const { queries } = await dnsmasq(host);
  t.deepEqual(await host.short("four.test", "AAAA"), ["64:ff9b::c000:204"]);
  t.deepEqual(await host.short("alias4.test", "AAAA"), ["four.test.", "64:ff9b::c000:204"]);
  t.deepEqual(await host.short("www.test", "AAAA"), ["2001:db8::1"]);
  t.regex(await host.dig("no.test", "AAAA"), /NXDOMAIN/);
  const asked = queries();
  t.deepEqual(await host.short("four.test", "AAAA"), ["64:ff9b::c000:204"]);
  t.is(queries(), asked);
  t.is(host.names.counters.synthesized, 2);
});

test("unbound as the server, and dnsperf: every query is answered", async (t) => {
  const host = await forward(t, { entries: 4096, bytes: 1 << 20 }, { captureLimit: 1 << 20 });
  const data = Array.from(
    { length: 1000 },
    (_, i) => `  local-data: "n${i}.example.test. 300 IN A 10.1.${i >> 8}.${i & 255}"`,
  );
  const conf = host.file(
    "unbound.conf",
    [
      "server:",
      `  interface: ${UPSTREAM}`,
      ...[
        "  access-control: 10.77.0.0/24 allow",
        "  do-daemonize: no",
        '  username: ""',
        '  chroot: ""',
        '  pidfile: ""',
      ],
      ...[
        "  use-syslog: no",
        '  logfile: ""',
        "  num-threads: 1",
        '  module-config: "iterator"',
        "  do-not-query-localhost: no",
      ],
      '  local-zone: "example.test." static',
      '  local-data: "example.test. 300 IN SOA ns.example.test. admin.example.test. 1 3600 900 86400 300"',
      ...data,
      "",
    ].join("\n"),
  );
  await host.ns.serve("udp", 53, "unbound", ["-d", "-p", "-c", conf]);
  t.deepEqual(await host.short("n7.example.test"), ["10.1.0.7"]);
  // That there is no such name is remembered as long as the zone says, for all types.
  const denied = /NXDOMAIN[^]*example\.test\.\s+\d+\s+IN\s+SOA/;
  t.regex(await host.dig("nothing.example.test"), denied);
  const sent = host.names.counters.queries;
  t.regex(await host.dig("nothing.example.test"), denied);
  t.regex(await host.dig("nothing.example.test", "MX"), denied);
  t.is(host.names.counters.queries, sent);
  const file = host.file(
    "queries",
    Array.from({ length: 1000 }, (_, i) => `n${i}.example.test A\n`).join(""),
  );
  const { stdout } = await host.ns.run(
    "dnsperf",
    ["-s", GATEWAY, "-a", "10.77.0.2", "-d", file, "-n", "10", "-q", "20", "-t", "5"],
    { timeout: 60_000 },
  );
  t.regex(stdout, /Queries completed:\s+10000 \(100\.00%\)/);
  t.regex(stdout, /NOERROR 10000 \(100\.00%\)/);
  t.log(stdout.match(/Queries per second:.*|Average Latency.*/g)!.join("; "));
  t.true(host.names.counters.hits >= 9000);
});
