/** The DHCP client's state machine against a scripted server, in virtual time (RFC 2131). */
import test from "ava";
import {
  DHCP_BOUND,
  DHCP_INIT,
  DHCP_REBINDING,
  DHCP_RENEWING,
  DHCP_REQUESTING,
  DHCP_SELECTING,
  duidClientId,
  ipv6Only,
} from "../../stack/service/dhcp.js";
import { smallTable4 } from "../../stack/route/table.js";
import { toHex } from "../support/bytes.js";
import { address, seconds, short, text } from "./dhcp-messages.js";
import { boundTest, clientTest } from "./dhcp-server.js";
import type { ClientTest } from "./dhcp-server.js";

const HOUR = 3600000;
const types = (c: ClientTest) => c.server.take().map((request) => request.type);
const addresses = (c: ClientTest) => c.ip.addresses.map((entry) => `${entry.address >>> 0}/${entry.length}`);
const ADDRESS_50 = `${0x0a000032}/24`;

test("discover, offer, request, acknowledgement: address, routes, name servers, MTU", (t) => {
  const c = clientTest(t, {
    client: { hostname: "thing", vendorClass: "any" },
    prepare: (server) => {
      server.options.push(
        address(6, "10.0.0.3", "10.0.0.4"),
        text(15, "example.org"),
        address(42, "10.0.0.5"),
        short(26, 1400),
        text(12, "thing-50"),
      );
    },
  });
  c.world.run(100);
  t.deepEqual(c.events, ["bound 10.0.0.50"]);
  t.is(c.client.state, DHCP_BOUND);
  t.deepEqual(c.client.lease, {
    address: "10.0.0.50",
    prefix: 24,
    server: "10.0.0.2",
    routes: [{ prefix: "0.0.0.0/0", gateway: "10.0.0.2" }],
    nameServers: ["10.0.0.3", "10.0.0.4"],
    domain: "example.org",
    search: ["example.org"],
    ntpServers: ["10.0.0.5"],
    hostName: "thing-50",
    mtu: 1400,
    leaseTime: 3600,
    renewTime: 1800,
    rebindTime: 3150,
    ipv6Only: -1,
    options: [],
  });
  t.deepEqual(addresses(c), [ADDRESS_50]);
  t.is(c.nif.mtu, 1400);
  const route = c.ip.fib.lookup(0x08080808, null)!;
  t.is(route.gateway, 0x0a000002);
  t.is(route.metric, 101);
  t.is(route.source, 0x0a000032);
  t.deepEqual(
    c.stack.nameServers!.list().map((server) => [server.address, server.interface, server.origin]),
    [
      ["10.0.0.3", c.nif, "dhcp"],
      ["10.0.0.4", c.nif, "dhcp"],
    ],
  );
  t.deepEqual(c.stack.nameServers!.search(), ["example.org"]);

  const [discover, request, ...rest] = c.server.take();
  t.is(rest.length, 0);
  for (const each of [discover, request]) {
    t.is(each.src, "0.0.0.0");
    t.is(each.dst, "255.255.255.255");
    t.is(each.mac, "ff:ff:ff:ff:ff:ff");
    t.is(each.ciaddr, "0.0.0.0");
    t.is(each.chaddr, "02:00:00:00:00:01");
    t.true(each.broadcast);
    t.is(each.xid, discover.xid);
    t.is(each.secs, 0);
    t.is(toHex(each.options.get(61)!), "01 02 00 00 00 00 01");
    t.is(Buffer.from(each.options.get(12)!).toString(), "thing");
    t.is(Buffer.from(each.options.get(60)!).toString(), "any");
    t.deepEqual([...each.options.get(55)!], [1, 3, 6, 12, 15, 26, 42, 58, 59]);
    t.is(toHex(each.options.get(57)!), "04 1c");
  }
  t.is(discover.type, 1);
  t.is(discover.requested, undefined);
  t.is(discover.server, undefined);
  t.is(request.type, 3);
  t.is(request.requested, "10.0.0.50");
  t.is(request.server, "10.0.0.2");
});

test("renews by unicast at half the lease, from its address, and counts from the new request", (t) => {
  const c = boundTest(t);
  c.world.run(1800000 - 2000 + 10);
  const [request, ...rest] = c.server.take();
  t.is(rest.length, 0);
  t.true(request.time > 1680000 && request.time <= 1800000, "the last sixteenth before T1");
  t.deepEqual(
    [request.type, request.src, request.dst, request.ciaddr, request.broadcast],
    [3, "10.0.0.50", "10.0.0.2", "10.0.0.50", false],
  );
  t.is(request.requested, undefined, "RFC 2131 table 5: must not");
  t.is(request.server, undefined, "RFC 2131 table 5: must not");
  t.is(c.client.state, DHCP_BOUND);
  t.deepEqual(c.events, ["bound 10.0.0.50", "bound 10.0.0.50"]);
  t.deepEqual(addresses(c), [ADDRESS_50]);
  c.world.run(48 * HOUR);
  const renewals = c.server.take();
  t.true(renewals.length > 90 && renewals.length < 110, `${renewals.length} in 48 h`);
  t.is(new Set(renewals.map((each) => each.xid)).size, renewals.length);
});

test("rebinds by broadcast when the server is gone, and takes another's word", (t) => {
  const c = boundTest(t);
  c.server.silent = true;
  c.world.run(3149000 - 2000);
  t.is(c.client.state, DHCP_RENEWING);
  const renewing = c.server.take();
  // Half of what is left until T2, a minute at the least: 1800, 2475, 2812, 2981, 3065, 3125 s or somewhat earlier.
  t.true(renewing.length >= 5 && renewing.length <= 7, `${renewing.length}`);
  for (let i = 1; i < renewing.length; i++) t.true(renewing[i].time - renewing[i - 1].time >= 60000);
  t.true(renewing.every((each) => each.dst === "10.0.0.2" && each.xid === renewing[0].xid));
  c.world.run(2000);
  t.is(c.client.state, DHCP_REBINDING);
  const [rebinding] = c.server.take();
  t.deepEqual(
    [rebinding.type, rebinding.dst, rebinding.ciaddr, rebinding.requested, rebinding.server],
    [3, "255.255.255.255", "10.0.0.50", undefined, undefined],
  );
  t.not(rebinding.xid, renewing[0].xid);
  c.server.identifier = "10.0.0.9";
  c.probe.answersArp = null;
  c.server.silent = false;
  c.world.run(400000);
  t.is(c.client.state, DHCP_BOUND);
  t.is(c.client.lease!.server, "10.0.0.9");
  t.deepEqual(c.events, ["bound 10.0.0.50", "bound 10.0.0.50"]);
  c.world.run(HOUR / 2);
  t.true(c.server.take().some((each) => each.dst === "10.0.0.9"));
});

test("an expired lease takes address, routes, name servers and MTU along, ends flows, and the search goes on", (t) => {
  const c = boundTest(t, {
    prepare: (server) => server.options.push(address(6, "10.0.0.3"), short(26, 1000)),
  });
  const errors: number[] = [];
  c.udp.open({ address: "10.0.0.50", onError: (code) => errors.push(code) });
  c.server.silent = true;
  c.world.run(HOUR - 3000);
  t.deepEqual(addresses(c), [ADDRESS_50]);
  c.world.run(2000);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -110"]);
  t.deepEqual(addresses(c), []);
  t.is(c.ip.fib.list().length, 0);
  t.is(c.stack.nameServers!.list().length, 0);
  t.is(c.nif.mtu, 1500);
  t.deepEqual(errors, [-99]);
  t.is(c.client.lease, null);
  t.is(c.dhcp.counters.expired, 1);
  c.server.take();
  c.server.silent = false;
  c.world.run(70000);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -110", "bound 10.0.0.50"]);
  const [discover] = c.server.take();
  t.deepEqual([discover.type, discover.requested, discover.ciaddr], [1, "10.0.0.50", "0.0.0.0"]);
});

test("a NAK to a renewal ends the lease at once", (t) => {
  const c = boundTest(t);
  c.server.yiaddr = "10.0.0.60";
  c.client.renew();
  c.world.run(1000);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -111", "bound 10.0.0.60"]);
  t.deepEqual(types(c), [3, 1, 3]);
  t.is(c.dhcp.counters.naks, 1);
  t.deepEqual(addresses(c), [`${0x0a00003c}/24`]);
});

test("a server that offers and then refuses is asked ever more rarely", (t) => {
  const c = clientTest(t, { prepare: (server) => (server.refuses = true) });
  c.world.run(HOUR);
  const discovers = c.server.take().filter((request) => request.type === 1);
  t.true(discovers.length < 70, `${discovers.length} in an hour`);
  const gaps = discovers.map((each, i) => each.time - (i > 0 ? discovers[i - 1].time : 0)).slice(3);
  t.deepEqual(
    gaps.slice(0, 6).map((gap) => Math.round(Math.log2(gap / 1000))),
    [2, 3, 4, 5, 6, 6],
  );
  t.deepEqual(c.events, []);
});

test("a request for an offer is sent four times, then the search begins anew", (t) => {
  const c = clientTest(t, {
    prepare: (server) => (server.script = (reply, request) => (request.type === 3 ? null : reply)),
  });
  c.world.run(75000);
  const all = c.server.take();
  t.deepEqual(all.map((each) => each.type).slice(0, 7), [1, 3, 3, 3, 3, 1, 3]);
  t.true(all.slice(1, 5).every((each) => each.xid === all[0].xid && each.secs === all[0].secs));
  t.not(all[5].xid, all[0].xid);
});

test("with the lease of before a restart its address is asked for first", (t) => {
  const first = boundTest(t);
  const lease = JSON.parse(JSON.stringify(first.client.lease));
  const c = clientTest(t, { client: { lease } });
  c.world.run(1000);
  const [request, ...rest] = c.server.take();
  t.is(rest.length, 0);
  t.deepEqual(
    [request.type, request.requested, request.server, request.ciaddr, request.dst, request.broadcast],
    [3, "10.0.0.50", undefined, "0.0.0.0", "255.255.255.255", true],
  );
  t.deepEqual(c.events, ["bound 10.0.0.50"]);
});

test("a lease of before a restart that nobody remembers: a search after two requests; at a NAK at once", (t) => {
  const { lease } = boundTest(t).client;
  const silent = clientTest(t, { client: { lease }, prepare: (server) => (server.silent = true) });
  silent.world.run(20000);
  t.deepEqual(types(silent).slice(0, 3), [3, 3, 1]);
  const refused = clientTest(t, { client: { lease }, prepare: (server) => (server.yiaddr = "10.0.0.7") });
  refused.world.run(100);
  t.deepEqual(types(refused), [3, 1, 3]);
  t.deepEqual(refused.events, ["bound 10.0.0.7"]);
});

test("a pulled cable: the lease stays, and is confirmed when the cable is back", (t) => {
  const c = boundTest(t);
  c.nif.carrier(false);
  c.world.run(60000);
  t.deepEqual(types(c), []);
  t.deepEqual(addresses(c), [ADDRESS_50]);
  c.nif.carrier(true);
  c.world.run(100);
  const [request] = c.server.take();
  t.deepEqual([request.type, request.requested, request.src], [3, "10.0.0.50", "0.0.0.0"]);
  t.deepEqual(c.events, ["bound 10.0.0.50", "bound 10.0.0.50"]);
});

test("a cable plugged into another network: the old lease goes, a new one comes", (t) => {
  const c = boundTest(t);
  c.nif.carrier(false);
  c.world.run(1000);
  c.server.yiaddr = "10.0.0.77";
  c.nif.carrier(true);
  c.world.run(100);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -111", "bound 10.0.0.77"]);
});

test("a cable plugged into a network whose server keeps silent about strangers' leases", (t) => {
  const c = boundTest(t);
  c.nif.carrier(false);
  c.server.yiaddr = "10.0.0.77";
  c.server.script = (reply) => (reply.type === 6 ? null : reply);
  c.nif.carrier(true);
  c.world.run(20000);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -99", "bound 10.0.0.77"]);
  t.deepEqual(addresses(c), [`${0x0a00004d}/24`]);
});

test("without a carrier nothing is sent, but the lease still ends", (t) => {
  const c = boundTest(t);
  c.nif.carrier(false);
  c.world.run(2 * HOUR);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -110"]);
  t.deepEqual(types(c), []);
  t.is(c.dhcp.counters.sendFailed, 0);
  c.nif.carrier(true);
  c.world.run(100);
  t.deepEqual(types(c), [1, 3]);
});

test("the first message waits for the carrier, and at most `delay`", (t) => {
  const c = clientTest(t, { client: { delay: 5000 } });
  c.nif.carrier(false);
  c.world.run(HOUR);
  t.is(c.server.requests.length, 0);
  c.nif.carrier(true);
  c.world.run(5000);
  t.is(c.server.requests[0].type, 1);
  const times = [1, 2, 3, 4, 5, 6].map((seed) => {
    const other = clientTest(t, { client: { delay: 5000 }, worldOptions: { seed } });
    other.world.run(5000);
    return other.server.requests[0].time;
  });
  t.true(times.every((time) => time >= 0 && time <= 5000));
  t.true(new Set(times).size > 3);
});

test("release: the server hears of it, the address goes, nothing more is sent", (t) => {
  const c = boundTest(t);
  c.client.release();
  c.world.run(HOUR);
  const [release, ...rest] = c.server.take();
  t.is(rest.length, 0);
  t.deepEqual(
    [release.type, release.ciaddr, release.dst, release.server, release.requested, release.broadcast],
    [7, "10.0.0.50", "10.0.0.2", "10.0.0.2", undefined, false],
  );
  t.false(release.options.has(55));
  t.deepEqual(addresses(c), []);
  t.deepEqual(c.events, ["bound 10.0.0.50"]);
  c.client.release();
  c.client.close();
  t.is(c.dhcp.clients.length, 0);
  t.is(c.udp.sockets.size, 0);
  t.is(c.stack.timers.count(), 0);
  t.is(c.stack.pool.used, 0);
  const again = c.dhcp.open(c.nif, { delay: 0 });
  c.world.run(100);
  t.is(again.state, DHCP_BOUND);
});

test("inform: parameters for an address that was configured by hand", (t) => {
  const c = clientTest(t, {
    address: "10.0.0.1/24",
    client: { inform: "10.0.0.1" },
    prepare: (server) => (server.options = [address(3, "10.0.0.2"), address(6, "10.0.0.3")]),
  });
  c.world.run(1000);
  const [inform, ...rest] = c.server.take();
  t.is(rest.length, 0);
  t.deepEqual([inform.type, inform.ciaddr, inform.requested], [8, "10.0.0.1", undefined]);
  t.is(c.leases.length, 1);
  t.deepEqual(c.leases[0].nameServers, ["10.0.0.3"]);
  t.is(c.stack.nameServers!.list()[0].address, "10.0.0.3");
  t.is(c.ip.addresses.length, 1);
  c.client.renew();
  c.client.release();
  c.world.run(HOUR);
  t.is(c.server.take().length, 0);
  t.is(c.ip.addresses.length, 1, "the address is not ours to take");
});

test("an interface's other addresses neither speak for the client nor stop it", (t) => {
  const c = clientTest(t, { address: "169.254.7.7/16" });
  c.world.run(100);
  t.true(c.server.take().every((each) => each.src === "0.0.0.0"));
  t.deepEqual(c.events, ["bound 10.0.0.50"]);
});

test("one lease, several interfaces: each client minds its own", (t) => {
  const c = boundTest(t);
  const other = clientTest(t, { world: c.world });
  const nif = c.stack.addInterface(new (c.probe.constructor as any)(c.world, { mac: "02:00:00:00:00:07" }));
  const second = c.dhcp.open(nif);
  t.throws(() => c.dhcp.open(nif), { code: "EBUSY" });
  c.world.run(10000);
  t.is(second.state, DHCP_SELECTING);
  t.is(c.client.state, DHCP_BOUND);
  t.is(other.client.state, DHCP_BOUND);
  c.stack.removeInterface(nif);
  t.true(second.closed);
  t.is(c.dhcp.clients.length, 1);
});

test("an address that this host has already is declined, then a new search after ten seconds", (t) => {
  const c = clientTest(t, { address: "10.0.0.50/24" });
  c.world.run(9000);
  const [discover, request, decline, ...rest] = c.server.take();
  t.is(rest.length, 0);
  t.deepEqual([discover.type, request.type], [1, 3]);
  t.deepEqual(
    [decline.type, decline.requested, decline.server, decline.ciaddr, decline.src, decline.broadcast],
    [4, "10.0.0.50", "10.0.0.2", "0.0.0.0", "0.0.0.0", false],
  );
  t.false(decline.options.has(55));
  t.is(c.dhcp.counters.conflicts, 1);
  c.server.yiaddr = "10.0.0.51";
  c.world.run(2000);
  t.deepEqual(types(c), [1, 3]);
  t.deepEqual(c.events, ["bound 10.0.0.51"]);
});

test("without room for the address's route the lease is refused, not declined: the server is not at fault", (t) => {
  const c = clientTest(t, { address: "192.168.9.1/24", ipv4: { fib: smallTable4(1) } });
  c.world.run(HOUR);
  t.is(c.dhcp.counters.conflicts, 0);
  const sent = types(c);
  t.false(sent.includes(4));
  t.true(sent.length < 300, `${sent.length} messages in an hour`);
  t.is(c.ip.addresses.length, 1);
  t.deepEqual(c.events, []);
});

test("an address that is taken away in use is declined", (t) => {
  const c = boundTest(t);
  c.ip.removeAddress(c.nif, "10.0.0.50");
  c.world.run(1000);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -98"]);
  t.deepEqual(types(c), [4]);
  c.world.run(10000);
  t.deepEqual(types(c), [1, 3]);
});

test("IPv6-only preferred (RFC 8925): goes without IPv4 for the time that it is told, 300 s at the least", (t) => {
  for (const [value, wait] of [
    [0, 300],
    [1800, 1800],
  ]) {
    const c = clientTest(t, {
      dhcp: { options: [ipv6Only] },
      prepare: (server) => server.options.push(seconds(108, value)),
    });
    c.world.run(wait * 1000 - 10);
    t.deepEqual(types(c), [1]);
    c.world.run(20);
    t.deepEqual(types(c), [1]);
    t.deepEqual(c.events, []);
  }
  const indifferent = boundTest(t, { prepare: (server) => server.options.push(seconds(108, 1800)) });
  t.is(indifferent.client.state, DHCP_BOUND);
});

test("client identifiers: as given, or of a DUID (RFC 4361)", (t) => {
  const id = duidClientId(0x01020304, Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 9));
  t.is(toHex(id), "ff 01 02 03 04 00 03 00 01 02 00 00 00 00 09");
  const c = clientTest(t, { client: { clientId: id } });
  c.world.run(100);
  t.is(toHex(c.server.take()[0].options.get(61)!), toHex(id));
});

test("a reply that repeats another client's identifier is not for us (RFC 6842)", (t) => {
  const c = clientTest(t, {
    prepare: (server) => server.options.push([61, Uint8Array.of(1, 2, 0, 0, 0, 0, 9)]),
  });
  c.world.run(100);
  t.is(c.client.state, DHCP_SELECTING);
  t.is(c.dhcp.counters.notOurs, 1);
  c.server.options[2] = [61, Uint8Array.of(1, 2, 0, 0, 0, 0, 1)];
  c.world.run(6000);
  t.is(c.client.state, DHCP_BOUND);
});

test("a lease for ever, and one longer than the stack's clock", (t) => {
  const days = 86400000;
  const c = boundTest(t, { prepare: (server) => (server.leaseTime = 0xffffffff) });
  c.world.run(3650 * days);
  t.deepEqual(types(c), []);
  t.is(c.client.state, DHCP_BOUND);
  const long = boundTest(t, { prepare: (server) => (server.leaseTime = 80 * 86400) });
  long.server.silent = true;
  long.world.run(37 * days);
  t.is(long.client.state, DHCP_BOUND);
  long.world.run(4 * days);
  t.is(long.client.state, DHCP_RENEWING);
  long.world.run(39 * days - 10000);
  t.deepEqual(long.events, ["bound 10.0.0.50"]);
  long.world.run(10000);
  t.deepEqual(long.events, ["bound 10.0.0.50", "lost -110"]);
});

test("misuse is told at once, and leaves nothing behind", (t) => {
  const c = boundTest(t);
  const nif = c.stack.addInterface(new (c.probe.constructor as any)(c.world, { mac: "02:00:00:00:00:07" }));
  for (const options of [
    { hostname: "" },
    { hostname: "x".repeat(256) },
    { clientId: Uint8Array.of(1) },
    { vendorClass: "" },
    { lease: { address: "224.0.0.1" } },
    { inform: "nonsense" },
    { metric: -1 },
    { delay: -1 },
  ]) {
    t.throws(() => c.dhcp.open(nif, options as never), { code: "EINVAL" }, JSON.stringify(options));
  }
  t.is(c.dhcp.clients.length, 1);
  t.is(c.udp.sockets.size, 1);
  t.throws(() => c.dhcp.attach(c.stack), { code: "EBUSY" });
});

test("a callback that throws does not stop the client", (t) => {
  const c = clientTest(t, {
    client: {
      onBound: () => {
        throw new Error("mine");
      },
    },
  });
  c.world.run(HOUR);
  t.is(c.client.state, DHCP_BOUND);
  t.true(c.world.panics.length > 0);
});

test("a callback may close or release its client", (t) => {
  for (const what of ["close", "release"] as const) {
    const c = clientTest(t, {
      client: {
        onBound() {
          this[what]();
        },
      },
    });
    c.world.run(HOUR);
    t.deepEqual(types(c), what === "close" ? [1, 3] : [1, 3, 7]);
    t.is(c.ip.addresses.length, 0);
    t.is(c.stack.timers.count(), 0);
  }
});

test("without entropy nothing is sent until there is some", (t) => {
  const c = clientTest(t, {
    prepare(_, world, stack) {
      world.hosts[0].faults.random = "fail";
      // What the host gave at the start is spent.
      for (let i = 0; i < 32; i++) stack.host.random16();
    },
  });
  c.world.run(HOUR);
  t.is(c.server.requests.length, 0);
  t.is(c.client.state, DHCP_INIT);
  c.host.faults.random = "";
  c.world.run(10000);
  t.is(c.client.state, DHCP_BOUND);
});

test("a link without room costs a retransmission, no more", (t) => {
  const c = clientTest(t, { prepare: (server) => (server.probe.room = false) });
  c.world.run(1000);
  t.is(c.dhcp.counters.sendFailed, 1);
  c.probe.room = true;
  c.world.run(6000);
  t.is(c.client.state, DHCP_BOUND);
});

test("only the server whose offer was taken can acknowledge or refuse", (t) => {
  const c = clientTest(t, {
    prepare: (server) => {
      server.script = (reply, request) => {
        if (request.type !== 3) return reply;
        for (const type of [5, 6]) server.say({ ...reply, type, server: "10.0.0.66" });
        return null;
      };
    },
  });
  c.world.run(1000);
  t.is(c.client.state, DHCP_REQUESTING);
  t.is(c.dhcp.counters.unexpected, 2);
});
