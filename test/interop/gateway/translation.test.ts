/** Translation between IPv6 and IPv4 between kernels: NAT64 with DNS64, CLAT before tayga, NPTv6, and mappings asked for by PCP and UPnP. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { firewall } from "../../../stack/filter/firewall.js";
import { napt } from "../../../stack/filter/napt.js";
import { clat } from "../../../stack/translator/clat.js";
import { nptv6 } from "../../../stack/filter/nptv6.js";
import { homeRules } from "../../../stack/filter/home-rules.js";
import { nat64 } from "../../../stack/translator/nat64.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { pcpServer } from "../../../stack/service/pcp-server.js";
import { upnpIgd } from "../../../stack/service/upnp-igd.js";
import { dns64 } from "../../../stack/service/dns64.js";
import { dns } from "../../../stack/service/dns.js";
import { dnsForwarder } from "../../../stack/service/dns-forwarder.js";
import { TCP_CLIENT } from "../support/apps.js";
import { LAN_HOST, WAN_HOST, WAN_HOST6, createGateway } from "../support/gateway.js";
import { pingFrom } from "../support/ping.js";
import { curlFile, scratch, serveFile } from "../support/site.js";
import { startTayga } from "../support/tayga.js";

const PREFIX = "fd64::/96";

test("NAT64 and DNS64: ping, traceroute, names, 64 MiB by curl from a host that has IPv6 alone", async (t) => {
  const wall = firewall({ rules: [{ action: "accept", from: "lan" }], nat: napt() });
  const xlat = nat64({ prefix: PREFIX });
  const names = dnsForwarder({ dns64: dns64(PREFIX), servers: [WAN_HOST] });
  const gateway = await createGateway(t, { components: [wall, xlat, fragments6(), dns(), names] });
  const { lan, wan } = gateway;
  wall.assign(gateway.lanNif, "lan");
  wall.assign(xlat.nif, "lan");
  wall.assign(gateway.wanNif, "wan");
  names.serve(gateway.lanNif);
  lan.ip("address", "del", "10.1.0.2/24", "dev", "lan0");
  wan.ip("route", "del", "default");
  for (const size of [0, 1, 56, 1200, 1232]) {
    await pingFrom(t, lan, "fd64::10.2.0.2", { size });
  }
  for (const option of ["-U", "-I", "-T"]) {
    const { stdout } = await lan.run("traceroute", [
      "-6",
      "-n",
      "-q",
      "1",
      "-w",
      "20",
      "-m",
      "4",
      option,
      "fd64::a02:2",
    ]);
    t.regex(stdout, /^ 1 {2}fd01::1 {2}[\d.]+ ms\n 2 {2}fd64::a02:2 {2}[\d.]+ ms$/m, option + stdout);
  }
  await wan.serve("udp", 53, "dnsmasq", [
    "-k",
    "-C",
    "/dev/null",
    "--no-resolv",
    "--no-hosts",
    "--host-record=four.test,10.2.0.2",
    "--local=/test/",
  ]);
  const size = 64 << 20;
  await serveFile(t, wan, [WAN_HOST], size);
  const answer = await lan.run("dig", ["+short", "@fd01::1", "four.test", "AAAA"]);
  t.is(answer.stdout.trim(), "fd64::a02:2");
  const address = answer.stdout.trim();
  await curlFile(t, lan, "four.test", size, `--resolve four.test:8080:${address}`);
  const { counters } = xlat;
  t.deepEqual(
    { ...counters, toIpv4: 0, toIpv6: 0, fragments: 0 },
    {
      ...counters,
      toIpv4: 0,
      toIpv6: 0,
      fragments: 0,
      malformed: 0,
      untranslatable: 0,
      address: 0,
      exhausted: 0,
      noMemory: 0,
    },
  );
  t.is(wall.counters.invalid, 0);
});

test("the well-known prefix: public servers by it, private ones not; an unbound that refuses or drops AAAA is asked for A", async (t) => {
  const wall = firewall({ rules: [{ action: "accept", from: "lan" }], nat: napt() });
  const [xlat, names] = [nat64(), dnsForwarder({ dns64: dns64(), servers: [WAN_HOST], timeout: 500 })];
  const gateway = await createGateway(t, { components: [wall, xlat, fragments6(), dns(), names] });
  const { lan, wan, ip } = gateway;
  wall.assign(gateway.lanNif, "lan");
  wall.assign(xlat.nif, "lan");
  wall.assign(gateway.wanNif, "wan");
  names.serve(gateway.lanNif);
  lan.ip("address", "del", "10.1.0.2/24", "dev", "lan0");
  wan.ip("route", "del", "default");
  wan.ip("address", "add", "203.0.113.7/32", "dev", "lo");
  ip.addRoute("203.0.113.0/24", { gateway: WAN_HOST });
  const folder = scratch(t);
  const conf = join(folder, "unbound.conf");
  writeFileSync(
    conf,
    `server:
  interface: ${WAN_HOST}
  access-control: 10.2.0.0/24 allow
  do-daemonize: no
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  local-zone: "refuses.test." refuse
  local-data: "four.refuses.test. 300 IN A 203.0.113.7"
  local-data: "inside.refuses.test. 300 IN A 10.2.0.2"
  local-zone: "drops.test." deny
  local-data: "four.drops.test. 300 IN A 203.0.113.7"
`,
  );
  await wan.serve("udp", 53, "unbound", ["-d", "-c", conf]);
  const dig = async (...words: string[]) =>
    (await lan.run("dig", ["+time=10", "+tries=1", "@fd01::1", ...words], { codes: null })).stdout;
  t.regex(await dig("four.refuses.test", "A"), /203\.0\.113\.7/);
  for (const name of ["four.refuses.test", "four.drops.test"])
    t.regex(await dig(name, "AAAA"), /status: NOERROR[^]*AAAA\s+64:ff9b::cb00:7107/, name);
  t.regex(await dig("inside.refuses.test", "AAAA"), /status: SERVFAIL/);
  await pingFrom(t, lan, "64:ff9b::203.0.113.7", { size: 56 });
  const size = 1 << 20;
  await serveFile(t, wan, ["203.0.113.7"], size);
  await curlFile(t, lan, "[64:ff9b::203.0.113.7]", size);
  const { stdout } = await lan.run("ping", ["-6", "-n", "-c", "1", "-W", "2", "64:ff9b::10.2.0.2"], {
    codes: null,
  });
  t.regex(stdout, /100% packet loss/);
  t.is(xlat.counters.address, 1);
});

test("464XLAT: hosts of IPv4 behind our CLAT reach a server of IPv4 by tayga's NAT64; between the two there is IPv6 alone", async (t) => {
  const wall = firewall({ rules: [{ action: "accept", from: "lan" }], nat: napt({ outside: "clat" }) });
  const xlat = clat();
  const gateway = await createGateway(t, { components: [wall, xlat, fragments6()] });
  const { lan, wan, ip, ip6 } = gateway;
  for (const address of ip.addresses.slice())
    if (address.nif === gateway.wanNif) ip.removeAddress(gateway.wanNif, "10.2.0.1/24");
  const nif = xlat.open({ prefix: PREFIX, address: "fd0c::1" });
  wall.assign(gateway.lanNif, "lan");
  wall.assign(nif, "clat");
  ip6.addRoute(PREFIX, { gateway: "fd02::2" });
  wall.load({
    rules: [
      { action: "accept", from: "lan" },
      // What has been translated goes its way.
      { action: "accept", from: "clat", to: "wan0" },
    ],
  });
  wan.ip("address", "flush", "dev", "wan0", "scope", "global");
  wan.ip("address", "add", "fd02::2/64", "dev", "wan0", "nodad");
  wan.ip("address", "add", "10.9.0.1/32", "dev", "lo");
  await startTayga(t, wan, PREFIX);
  for (const size of [0, 56, 1200]) {
    await pingFrom(t, lan, "10.9.0.1", { count: 3, interval: 0.2, size });
  }
  const trace = await lan.run("traceroute", ["-n", "-q", "1", "-w", "20", "-m", "5", "-I", "10.9.0.1"]);
  t.regex(trace.stdout, /^ 1 {2}10\.1\.0\.1 [^]* 10\.9\.0\.1 {2}[\d.]+ ms$/m);
  const size = 16 << 20;
  await serveFile(t, wan, ["10.9.0.1"], size);
  await curlFile(t, lan, "10.9.0.1", size);
  t.is(xlat.counters.malformed + xlat.counters.address, 0);
});

/** A request of PCP for TCP port 7, wanting 20007: what comes back, as hexadecimal digits. */
const PCP = `
import os, socket, struct, sys
me = socket.inet_pton(socket.AF_INET6, "::ffff:" + sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.sendto(struct.pack("!BBHI16s12sB3xHH16s", 2, 1, 0, 600, me, b"n" * 12, 6, 7, 20007, bytes(16)), (sys.argv[1], 5351))
print(s.recv(2000).hex())
`;

test("NAT-PMP by natpmpc, and PCP: an outer port that leads inside, until it is given back", async (t) => {
  const nat = napt();
  const wall = firewall({ rules: [{ action: "accept", from: "lan" }], nat });
  const ports = pcpServer({ mapper: nat });
  const gateway = await createGateway(t, { components: [wall, ports] });
  const { lan, wan } = gateway;
  wall.assign(gateway.lanNif, "lan");
  wall.assign(gateway.wanNif, "wan");
  wan.ip("route", "del", "default");
  ports.serve(gateway.lanNif);
  await lan.serve("tcp", 7, "python3", [TCP_CLIENT, "serve", LAN_HOST, "7"]);
  const echo = (port: string) =>
    wan.run("python3", [TCP_CLIENT, "echo", "10.2.0.1", port, "100000"], { codes: null });
  const address = await lan.run("natpmpc", ["-g", "10.1.0.1"]);
  t.regex(address.stdout, /Public IP address : 10\.2\.0\.1/);
  const add = await lan.run("natpmpc", ["-g", "10.1.0.1", "-a", "20022", "7", "tcp", "600"]);
  t.regex(add.stdout, /Mapped public port 20022 protocol TCP to local port 7 life?time 600/i);
  t.is((await echo("20022")).stdout.trim(), '"ok"');
  await lan.run("natpmpc", ["-g", "10.1.0.1", "-a", "0", "7", "tcp", "0"], { codes: null });
  t.is(ports.mappings.list.length, 0);
  const answer = await lan.run("python3", ["-c", PCP, "10.1.0.1", LAN_HOST]);
  t.regex(answer.stdout, /^02810000 ?00000258/);
  t.true(answer.stdout.includes("00074e27" + "0".repeat(20) + "ffff0a020001"));
  wall.forget(() => true);
  t.is((await echo("20007")).stdout.trim(), '"ok"');
  t.is(ports.counters.malformed + ports.counters.sendFailed, 0);
});

/** libtorrent: asks for its port by UPnP and by PCP (or NAT-PMP, were there no PCP), and says what came of it. */
const TORRENT = `
import libtorrent, sys
what = libtorrent.alert.category_t
s = libtorrent.session({"listen_interfaces": sys.argv[1], "enable_dht": False, "enable_lsd": False, "enable_upnp": True, "enable_natpmp": True,
    "alert_mask": what.port_mapping_notification | what.port_mapping_log_notification})
while True:
    s.wait_for_alert(1000)
    for alert in s.pop_alerts(): print(alert.message(), flush=True)
`;

test("UPnP by miniupnpc, gssdp and libtorrent, PCP by libtorrent: what two have opened stays open for the other", async (t) => {
  const nat = napt();
  const wall = firewall({ rules: [{ action: "accept", from: "lan" }], nat });
  const [ports, igd] = [pcpServer({ mapper: nat }), upnpIgd({ mapper: nat })];
  const gateway = await createGateway(t, { components: [wall, ports, igd, tcp(), igmp()] });
  const { lan, wan, ip } = gateway;
  wall.assign(gateway.lanNif, "lan");
  wall.assign(gateway.wanNif, "wan");
  // miniupnpc takes no gateway seriously whose outer address is one of those that are not routed.
  ip.removeAddress(gateway.wanNif, "10.2.0.1/24");
  ip.addAddress(gateway.wanNif, "11.2.0.1/24");
  wan.ip("address", "add", "11.2.0.2/24", "dev", "wan0");
  wan.ip("route", "del", "default");
  ports.serve(gateway.lanNif);
  igd.serve(gateway.lanNif, gateway.wanNif);
  const upnpc = async (...words: string[]) => {
    const { stdout } = await lan.run("upnpc", ["-u", "http://10.1.0.1:1900/igd.xml", ...words], {
      codes: null,
      timeout: 60_000,
    });
    return stdout;
  };
  const found = await lan.run("upnpc", ["-m", "lan0", "-s"], { timeout: 60_000 });
  t.regex(
    found.stdout,
    /desc: http:\/\/10\.1\.0\.1:1900\/igd\.xml\n st: urn:schemas-upnp-org:device:InternetGateway/,
  );
  t.regex(found.stdout, /Found valid IGD[^]*Status : Connected[^]*ExternalIPAddress = 11\.2\.0\.1/);
  await lan.serve("tcp", 7, "python3", [TCP_CLIENT, "serve", LAN_HOST, "7"]);
  const echo = (port: string) =>
    wan.run("python3", [TCP_CLIENT, "echo", "11.2.0.1", port, "100000"], { codes: null });
  t.regex(await upnpc("-a", LAN_HOST, "7", "20022", "tcp", "600"), /is redirected to internal 10\.1\.0\.2:7/);
  t.is((await echo("20022")).stdout.trim(), '"ok"');
  t.regex(await upnpc("-r", "20023", "udp"), /UDP is redirected|:20023 UDP/);
  t.regex(await upnpc("-l"), / 0 TCP 20022->10\.1\.0\.2:7 [^]* 1 UDP 20023->10\.1\.0\.2:20023 /);
  t.regex(await upnpc("-a", "10.1.0.9", "7", "20024", "tcp"), /failed with code 606/);
  t.regex(await upnpc("-d", "20022", "tcp"), /returned : 0/);
  t.regex(await upnpc("-d", "20022", "tcp"), /failed with code : 714/);
  wall.forget(() => true);
  // 28: nobody answers.
  const knock = async (port: string) =>
    (await wan.run("curl", ["-s", "-m", "3", `http://11.2.0.1:${port}/`], { codes: null })).code;
  t.is(await knock("20022"), 28);

  const client = lan.start("/usr/bin/python3", ["-c", TORRENT, `${LAN_HOST}:20881`]);
  for (const line of [
    /transport: PCP protocol: tcp local: 20881 external: 20881/,
    /using UPnP\..*TCP\/20881/,
  ])
    await client.until(line, 60_000);
  await client.until(/using UPnP\..*UDP\/20881/, 60_000);
  t.is(igd.mappings.list.filter(({ outerPort }) => outerPort === 20881).length, 2);
  t.is(ports.mappings.list.length, 2);
  ports.mappings.clear();
  t.not(await knock("20881"), 28, "still open by UPnP");
  const search = lan.start("gssdp-discover", ["-i", "lan0", "-m", "all"]);
  await search.until(/::urn:schemas-upnp-org:service:WANIPConnection:1/, 60_000);
  igd.remove(gateway.lanNif);
  await search.until(/resource unavailable/, 60_000);
  const { malformed, refused, late, sendFailed } = igd.counters;
  t.deepEqual([malformed, refused, late, sendFailed], [0, 0, 0, 0]);
  await search.stop();
  await client.stop("SIGKILL");
});

test("NPTv6 and the rules of a home: a server sees the outer prefix; ping, errors, curl; from outside nothing comes in", async (t) => {
  const npt = nptv6();
  const wall = firewall({ rules: homeRules() });
  const gateway = await createGateway(t, { components: [wall, npt] });
  const { lan, wan } = gateway;
  wall.assign(gateway.lanNif, "lan");
  wall.assign(gateway.wanNif, "wan");
  npt.add({ inside: "fd01::/48", outside: "2001:db8:7::/48", interface: gateway.wanNif });
  // By its only route the answers go to the outer prefix.
  wan.ip("-6", "route", "del", "default");
  wan.ip("-6", "route", "add", "2001:db8:7::/48", "via", "fe80::1", "dev", "wan0");
  for (const size of [0, 56, 1452, 4000]) {
    await pingFrom(t, lan, WAN_HOST6, { size });
  }
  const trace = await lan.run("traceroute", ["-6", "-n", "-q", "1", "-w", "20", "-m", "4", WAN_HOST6]);
  t.regex(trace.stdout, /^ 1 {2}fd01::1 {2}[\d.]+ ms\n 2 {2}fd02::2 {2}[\d.]+ ms$/m);
  const size = 16 << 20;
  await serveFile(t, wan, [`[${WAN_HOST6}]`], size);
  await curlFile(t, lan, `[${WAN_HOST6}]`, size);
  const seen = wall.list().find(({ protocol }) => protocol === 6);
  t.is(seen?.source, "fd01::2");
  t.true(npt.counters.outwards > 100 && npt.counters.inwards > 100);
  // RFC 6296's arithmetic: fd01 less 2001, db8 and 7 is cf41.
  const inside = "2001:db8:7:cf41::2";
  const refused = await wan.run("ping", ["-n", "-c", "1", "-W", "1", inside], { codes: null });
  t.regex(refused.stdout, / 0 received/);
  wall.load({ policy: "accept" });
  await pingFrom(t, wan, inside, { count: 1 });
  t.is(npt.counters.unmappable, 0);
});
