/** The DHCPv6 client's state machine against a scripted server, in virtual time (RFC 8415). */
import test from "ava";
import { nameServers } from "../../stack/core/name-servers.js";
import {
  DHCP6_BOUND,
  DHCP6_INFORMED,
  DHCP6_REBINDING,
  DHCP6_RENEWING,
  duidUuid,
  randomDuid,
} from "../../stack/service/dhcpv6.js";
import { ascii, concat, ip6Bytes } from "../support/bytes.js";
import { be16, be32 } from "../support/packets.js";
import {
  GIVEN,
  client6,
  iaAddress,
  iaNa,
  iaPd,
  iaPrefix,
  message,
  opt,
  status,
  taken,
  types,
} from "./dhcpv6-support.js";

test("four messages lead to an address without a route, name servers and domains", (t) => {
  const c = client6(t, {
    prepare: (server) => {
      server.more = [
        opt(23, ip6Bytes("fd00::53"), ip6Bytes("fe80::53")),
        opt(
          24,
          Uint8Array.of(3),
          ascii("lan"),
          Uint8Array.of(0, 2),
          ascii("eu"),
          Uint8Array.of(3),
          ascii("org"),
          Uint8Array.of(0),
        ),
      ];
    },
  });
  c.world.run(3000);
  t.deepEqual(types(c.server.asked), [1, 3]);
  t.deepEqual(c.events, ["bound " + GIVEN]);
  t.is(c.client.state, DHCP6_BOUND);
  t.like(c.leases[0], {
    server: "00030001020000000002",
    addresses: [{ address: GIVEN, preferred: 1000, valid: 2000 }],
    renewTime: 500,
    rebindTime: 800,
    search: ["lan", "eu.org"],
  });
  t.deepEqual(c.leases[0].nameServers, ["fd00::53", "fe80::53%" + c.nif.name]);
  t.deepEqual(
    nameServers(c.stack)
      .list()
      .map(({ address, origin }) => origin + " " + address),
    ["dhcpv6 fd00::53", "dhcpv6 fe80::53%" + c.nif.name],
  );
  const entry = c.ip6.addresses.find(({ origin }) => origin === "dhcpv6")!;
  t.is(entry.length, 128);
  t.false(c.ip6.isOnLink(c.nif, ip6Bytes(GIVEN), 0));
  for (const asked of c.server.asked) {
    t.regex(asked.dst, /^ff02:.*:1:2$/);
    t.deepEqual([...asked.options.get(1)!], [0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
  }
  t.notDeepEqual(c.server.asked[0].xid, c.server.asked[1].xid);
  c.client.close();
  t.is(c.ip6.addresses.length, 1);
  t.deepEqual(nameServers(c.stack).list(), []);
});

test("rapid commit takes two messages; without the option a Reply to a Solicit counts for nothing", (t) => {
  for (const rapidCommit of [true, false]) {
    const c = client6(t, {
      client: { rapidCommit },
      prepare: (server) => {
        server.script = ({ type, xid }) =>
          type === 1 ? message(7, xid, opt(14), ...server.given) : undefined;
      },
    });
    c.world.run(500);
    t.deepEqual(types(c.server.asked), [1]);
    t.is(c.client.lease !== null, rapidCommit);
    t.is(c.service.counters.unexpected, rapidCommit ? 0 : 1);
  }
});

test("the highest preference wins, and 255 needs no waiting", (t) => {
  const c = client6(t, { prepare: (server) => (server.advertised = [opt(7, Uint8Array.of(255))]) });
  c.world.run(100);
  t.is(c.client.state, DHCP6_BOUND);
});

test("Solicit: 1 s, twice as long each time, at most SOL_MAX_RT; tenths of chance", (t) => {
  const c = client6(t, { prepare: (server) => (server.silent = true) });
  c.world.run(20 * 3600_000);
  const times = c.server.asked.map(({ time }) => time);
  const gaps = times.slice(1).map((time, i) => time - times[i]);
  // Section 15: RT is 2 RTprev + RAND RTprev, then MRT + RAND MRT; RAND of the first Solicit is above 0.
  t.true(gaps[0] > 1000 && gaps[0] <= 1101, String(gaps[0]));
  for (let i = 1; i < gaps.length; i++) {
    const last = 2 * gaps[i - 1] > 3600_000 * 0.9;
    const most = last ? 3600_000 * 1.1 : 2.1 * gaps[i - 1];
    const least = last ? Math.min(1.9 * gaps[i - 1], 3600_000 * 0.9) : 1.9 * gaps[i - 1];
    t.true(gaps[i] <= most + 3 && gaps[i] >= least - 3, `${i} ${gaps}`);
  }
  t.true(gaps.length > 25);
  t.is(new Set(c.server.asked.map(({ xid }) => xid.join())).size, 1);
});

test("renews at half of the time, rebinds at four fifths, and loses what nobody renews", (t) => {
  const c = client6(t);
  c.world.run(3000);
  c.server.take();
  c.world.run(500_000);
  t.deepEqual(types(c.server.take()), [5]);
  t.is(c.events.length, 2);
  c.server.silent = true;
  c.world.run(501_000);
  t.is(c.client.state, DHCP6_RENEWING);
  c.world.run(320_000);
  t.is(c.client.state, DHCP6_REBINDING);
  t.deepEqual([...new Set(types(c.server.take()))], [5, 6]);
  c.world.run(1_300_000);
  t.deepEqual(c.events.slice(2), ["lost -110"]);
  t.is(c.ip6.addresses.length, 1);
  c.server.silent = false;
  c.world.run(3600_000);
  t.is(c.events[3], "bound " + GIVEN);
});

test("a server that knows of no binding is asked for it anew", (t) => {
  const c = client6(t);
  c.world.run(3000);
  c.server.take();
  c.server.script = ({ type, xid }) => (type === 5 ? message(7, xid, iaNa(status(3))) : undefined);
  c.client.renew();
  c.world.run(1000);
  t.deepEqual(types(c.server.asked), [5, 3]);
  t.is(c.events.length, 2);
});

test("a prefix of the wanted length is asked for and reported", (t) => {
  const c = client6(t, {
    client: { addresses: false, prefix: { length: 56 } },
    prepare: (server) => (server.given = [iaPd(iaPrefix("fd00:1::ff", 56))]),
  });
  c.world.run(3000);
  t.deepEqual(c.events, ["bound fd00:1::/56"]);
  const asked = c.server.asked[0].options;
  t.false(asked.has(3));
  t.is(asked.get(25)![12 + 4 + 8], 56);
  t.is(c.ip6.addresses.length, 1);
});

test("parameters alone, refreshed as the server says and not more often than in ten minutes", (t) => {
  const c = client6(t, {
    client: { stateless: true },
    prepare: (server) => {
      server.given = [];
      server.more = [opt(23, ip6Bytes("fd00::53")), opt(32, be32(1))];
    },
  });
  c.world.run(100);
  t.is(c.client.state, DHCP6_INFORMED);
  t.deepEqual(types(c.server.take()), [11]);
  c.world.run(599_000);
  t.deepEqual(types(c.server.take()), []);
  c.world.run(2000);
  t.deepEqual(types(c.server.take()), [11]);
  t.deepEqual(c.leases[1].nameServers, ["fd00::53"]);
});

test("an address that somebody else has is declined, and another one looked for", (t) => {
  const c = client6(t, { dad: 1, addresses: ["fe80::1/64"] });
  c.world.run(4000);
  c.client.close();
  const d = client6(t, { dad: 1, addresses: ["fe80::1/64"] });
  let probes = 0;
  while (!d.ip6.addresses.some(({ origin }) => origin === "dhcpv6") && probes++ < 1000) d.world.run(10);
  taken(d, GIVEN);
  d.world.run(100);
  t.deepEqual(types(d.server.asked), [1, 3, 9]);
  t.is(d.service.counters.conflicts, 1);
  t.deepEqual(d.events, []);
  t.false(d.ip6.addresses.some(({ origin }) => origin === "dhcpv6"));
  d.world.run(20_000);
  t.deepEqual(types(d.server.asked), [1, 3, 9, 1, 3]);
  t.deepEqual(d.events, ["bound " + GIVEN]);
});

test("a stored lease is confirmed and renewed; on another link it is forgotten", (t) => {
  const first = client6(t);
  first.world.run(3000);
  const lease = JSON.parse(JSON.stringify(first.leases[0]));
  const again = client6(t, { client: { lease } });
  again.world.run(1000);
  t.deepEqual(types(again.server.asked), [4, 5]);
  t.deepEqual(again.events, ["bound " + GIVEN]);
  const moved = client6(t, {
    client: { lease },
    prepare: (server) => {
      server.script = ({ type, xid }) => (type === 4 ? message(7, xid, status(4)) : undefined);
    },
  });
  moved.world.run(3000);
  t.deepEqual(types(moved.server.asked), [4, 1, 3]);
});

test("release tells the server, again if need be, and ends", (t) => {
  for (const silent of [false, true]) {
    const c = client6(t);
    c.world.run(3000);
    c.server.take();
    c.server.silent = silent;
    c.client.release();
    t.is(c.ip6.addresses.length, 1);
    c.world.run(30_000);
    t.deepEqual(types(c.server.asked), silent ? [8, 8, 8, 8] : [8]);
    t.true(c.client.closed);
    t.deepEqual(c.events, ["bound " + GIVEN]);
  }
});

test("routers' flags set a client going, and a flag more takes it further", (t) => {
  const c = client6(t, { client: { auto: true } });
  const say = (managed: boolean, other: boolean) =>
    c.service.advertised({ interface: c.nif, router: "fe80::2", managed, other, lifetime: 1800, nat64: "" });
  c.world.run(10_000);
  say(false, false);
  c.world.run(10_000);
  t.is(c.server.asked.length, 0);
  say(false, true);
  c.world.run(1000);
  t.deepEqual(types(c.server.take()), [11]);
  say(true, true);
  c.world.run(3000);
  t.deepEqual(types(c.server.take()), [1, 3]);
});

test("identifiers: a UUID's, a random one's; misuse throws", (t) => {
  t.deepEqual(duidUuid(new Uint8Array(16).fill(9)), concat(be16(4), new Uint8Array(16).fill(9)));
  t.throws(() => duidUuid(new Uint8Array(15)), { code: "EINVAL" } as never);
  const c = client6(t);
  const duid = randomDuid(c.stack);
  t.is(duid[8] >> 4, 4);
  t.is(duid.length, 18);
  t.throws(() => c.service.open(c.nif), { code: "EBUSY" } as never);
  c.client.close();
  t.throws(() => c.service.open(c.nif, { duid: new Uint8Array(2) }), { code: "EINVAL" } as never);
  t.throws(() => c.service.open(c.nif, { addresses: false }), { code: "EINVAL" } as never);
  t.throws(() => c.service.open(c.nif, { iaid: 0.5 }), { code: "EINVAL" } as never);
  t.throws(() => c.service.open(c.nif, { prefix: { length: 129 } }), { code: "EINVAL" } as never);
  const lease = {
    server: "000102",
    addresses: [{ address: GIVEN, preferred: 1, valid: 2 }],
    prefixes: [{ prefix: "fd00:1::/56", preferred: 1, valid: 2 }],
    nameServers: [],
    search: [],
    renewTime: 1,
    rebindTime: 1,
  };
  for (const wrong of [
    { server: "0001xx" },
    { server: "0001" },
    { server: "00".repeat(131) },
    { addresses: [{ address: "fe80::1", preferred: 1, valid: 2 }] },
    { addresses: [{ address: "10.0.0.1", preferred: 1, valid: 2 }] },
    { addresses: Array(9).fill(lease.addresses[0]) },
    { prefixes: [{ prefix: "fd00::", preferred: 1, valid: 2 }] },
    { prefixes: [{ prefix: "fd00::/129", preferred: 1, valid: 2 }] },
  ]) {
    const stored = { ...lease, ...wrong };
    t.throws(
      () => c.service.open(c.nif, { lease: stored }),
      { code: "EINVAL" } as never,
      JSON.stringify(wrong),
    );
  }
  c.service.open(c.nif, { lease });
  t.is(iaAddress(GIVEN).length, 28);
});
