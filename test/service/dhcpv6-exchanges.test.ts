/** The DHCPv6 client's exchanges beyond the usual: how long, how often, and what is left when some of it goes (RFC 8415). */
import test from "ava";
import { DHCP6_BOUND, DHCP6_INFORMED } from "../../stack/service/dhcpv6.js";
import { concat } from "../support/bytes.js";
import { be32 } from "../support/packets.js";
import {
  CLIENT_DUID,
  GIVEN,
  SERVER_DUID,
  client6,
  iaAddress,
  iaNa,
  iaPd,
  iaPrefix,
  message,
  opt,
  status,
  types,
} from "./dhcpv6-support.js";

test("Request: ten times, then another search", (t) => {
  const c = client6(t, {
    prepare: (server) => {
      server.script = ({ type }) => (type === 3 ? null : undefined);
    },
  });
  c.world.run(250_000);
  const asked = c.server.asked;
  t.deepEqual(types(asked).slice(0, 13), [1, ...Array(10).fill(3), 1, 3]);
  const gaps = asked.slice(2, 11).map(({ time }, i) => time - asked[i + 1].time);
  t.true(gaps[0] >= 900 && gaps[0] <= 1101, String(gaps));
  t.true(gaps.slice(1).every((gap) => gap <= 33_001));
  t.true(gaps[8] >= 27_000);
});

test("SOL_MAX_RT is taken of an advertisement without addresses too, INF_MAX_RT of a reply; what is not legal counts for nothing", (t) => {
  const gap = (seconds: number) => {
    const c = client6(t, {
      prepare: (server) => {
        server.script = ({ type, xid }) =>
          type === 1 ? message(2, xid, status(2), opt(82, be32(seconds)), opt(83, be32(seconds))) : null;
      },
    });
    c.world.run(100);
    c.server.silent = true;
    c.world.run(10 * 3600_000);
    const times = c.server.asked.map(({ time }) => time);
    t.is(c.client.informMaximum, c.client.solicitMaximum);
    return times.at(-1)! - times.at(-2)!;
  };
  t.true(Math.abs(gap(60) - 60_000) <= 6001);
  t.true(Math.abs(gap(400) - 400_000) <= 40_001);
  for (const illegal of [0, 59, 86401, 0xffffffff]) t.true(Math.abs(gap(illegal) - 3600_000) <= 360_001);
});

test("times of renewal: the server's where they make sense, else half and four fifths of the shortest lifetime", (t) => {
  const ia = (t1: number, t2: number, ...more: Uint8Array[]) => opt(3, be32(1), be32(t1), be32(t2), ...more);
  const times = (...given: Uint8Array[]): number[] | undefined => {
    const c = client6(null, { prepare: (server) => (server.given = given) });
    c.world.run(3000);
    const lease = c.leases[0];
    return lease && [lease.renewTime, lease.rebindTime];
  };
  const address = iaAddress(GIVEN, 1000, 2000);
  t.deepEqual(times(ia(0, 0, address)), [500, 800]);
  t.deepEqual(times(ia(300, 400, address)), [300, 400]);
  t.deepEqual(times(ia(300, 1900, address)), [300, 1900]);
  t.deepEqual(times(ia(300, 2001, address)), [500, 800], "after the end");
  t.deepEqual(times(ia(900, 0, address)), [500, 800], "later than rebinding");
  t.deepEqual(times(ia(0xffffffff, 0xffffffff, address)), [500, 800], "never, though there is an end");
  t.deepEqual(times(ia(0, 0, iaAddress(GIVEN, 0xffffffff, 0xffffffff))), [-1, -1]);
  t.deepEqual(times(ia(0, 0, iaAddress(GIVEN, 0, 100))), [50, 80]);
  t.deepEqual(times(ia(1, 2, address)), [10, 10], "not too often");
  t.deepEqual(times(ia(401, 400, address)), undefined, "T1 beyond T2: discarded");
  const second = opt(25, be32(1), be32(200), be32(300), iaPrefix("fd00:1::", 56, 500, 600));
  const both = client6(null, {
    client: { prefix: {} },
    prepare: (server) => (server.given = [ia(300, 400, address), second]),
  });
  both.world.run(3000);
  t.like(both.leases[0], { renewTime: 200, rebindTime: 300 }, "the least of all associations");
});

test("what a server did not give is asked for again in each renewal", (t) => {
  const c = client6(t, { client: { prefix: { length: 56 } } });
  c.world.run(3000);
  t.deepEqual(c.leases[0].prefixes, []);
  c.server.given.push(iaPd(iaPrefix("fd00:1::", 56)));
  c.server.take();
  c.client.renew();
  c.world.run(1000);
  const [renew] = c.server.take();
  t.is(renew.type, 5);
  t.is(renew.options.get(25)![12 + 4 + 8], 56, "the length that is wanted");
  t.is(c.leases[1].prefixes[0].prefix, "fd00:1::/56");
});

test("of two servers the one that has both addresses and prefixes, if they are of equal preference", (t) => {
  const c = client6(t, {
    client: { prefix: {} },
    prepare: (server) => {
      server.script = ({ type, xid }) => {
        if (type !== 1) return undefined;
        const other = concat(Uint8Array.of(2), xid, opt(1, CLIENT_DUID), opt(2, Uint8Array.of(9, 9, 9, 9)));
        server.say(concat(other, iaNa(iaAddress("fd00::9"))));
        return message(2, xid, iaNa(iaAddress(GIVEN)), iaPd(iaPrefix("fd00:1::", 56)));
      };
    },
  });
  c.world.run(3000);
  t.deepEqual([...c.server.asked[1].options.get(2)!], [...SERVER_DUID]);
});

test("one address of two expires: the lease is told anew; a prefix that the server takes back goes at once", (t) => {
  const c = client6(t, {
    client: { prefix: {} },
    prepare: (server) =>
      (server.given = [
        iaNa(iaAddress(GIVEN, 50, 60), iaAddress("fd00::101", 5000, 6000)),
        iaPd(iaPrefix("fd00:1::", 56, 5000, 6000)),
      ]),
  });
  c.world.run(3000);
  c.server.silent = true;
  c.world.run(70_000);
  t.deepEqual(c.events, [`bound ${GIVEN},fd00::101,fd00:1::/56`, "bound fd00::101,fd00:1::/56"]);
  c.server.silent = false;
  c.server.given = [iaNa(iaAddress("fd00::101", 5000, 6000)), iaPd(iaPrefix("fd00:1::", 56, 0, 0))];
  c.world.run(600_000);
  t.is(c.events[2], "bound fd00::101");
  t.is(c.events.filter((event) => event.startsWith("lost")).length, 0);
});

test("an address taken away by hand is missing in the lease; the last one: it is lost, and looked for anew", (t) => {
  const c = client6(t, {
    prepare: (server) => (server.given = [iaNa(iaAddress(GIVEN), iaAddress("fd00::101"))]),
  });
  c.world.run(3000);
  t.true(c.ip6.removeAddress(c.nif, GIVEN));
  c.world.run(10);
  t.deepEqual(c.events.splice(0), [`bound ${GIVEN},fd00::101`, "bound fd00::101"]);
  t.true(c.ip6.removeAddress(c.nif, "fd00::101"));
  c.world.run(3000);
  t.deepEqual(c.events, ["lost -99", `bound ${GIVEN},fd00::101`]);
});

test("the cable is back: addresses are confirmed, prefixes rebound; without an answer the lease stays as it is", (t) => {
  for (const prefix of [false, true]) {
    const c = client6(t, {
      client: prefix ? { addresses: false, prefix: {}, delay: 0 } : { delay: 0 },
      prepare: (server) => {
        if (prefix) server.given = [iaPd(iaPrefix("fd00:1::", 56))];
      },
    });
    c.world.run(3000);
    c.server.take();
    const flap = () => {
      c.nif.carrier(false);
      c.world.run(100);
      c.nif.carrier(true);
    };
    flap();
    c.world.run(1000);
    t.deepEqual(types(c.server.take()), [prefix ? 6 : 4]);
    t.is(c.client.state, DHCP6_BOUND);
    c.server.silent = true;
    flap();
    c.world.run(12_000);
    const times = c.server.take().map(({ time }) => time);
    t.is(times.length, 4, "1, 2 and 4 s, as a Confirm");
    t.is(c.client.state, DHCP6_BOUND);
    c.server.silent = false;
    c.server.script = ({ xid }) =>
      prefix ? message(7, xid, iaPd(iaPrefix("fd00:1::", 56, 0, 0))) : message(7, xid, status(4));
    flap();
    c.world.run(100);
    t.is(c.events.at(-1), "lost -111");
  }
});

test("a client waits for a link-local address, and speaks as soon as it may be used", (t) => {
  const c = client6(t, { addresses: [], dad: 1 });
  c.world.run(5000);
  t.is(c.server.asked.length, 0);
  c.ip6.addAddress(c.nif, "fe80::1/64");
  c.world.run(10);
  t.is(c.server.asked.length, 0, "still being tried");
  c.world.run(2500);
  t.is(c.server.asked[0].type, 1);
});

test("beside slaac, who ages addresses too, an expired lease is one that expired", (t) => {
  const c = client6(t, { prepare: (server) => (server.given = [iaNa(iaAddress(GIVEN, 20, 30))]), slaac: {} });
  c.world.run(3000);
  c.server.silent = true;
  c.world.run(60_000);
  t.is(c.events[1], "lost -110");
});

test("with auto, a client that has met another network asks what its routers say", (t) => {
  const c = client6(t, { client: { auto: true } });
  const say = (managed: boolean, other: boolean) =>
    c.service.advertised({ interface: c.nif, router: "fe80::2", managed, other, lifetime: 1800, nat64: "" });
  const flap = () => {
    c.nif.carrier(false);
    c.world.run(100);
    c.nif.carrier(true);
  };
  say(true, true);
  c.world.run(3000);
  t.deepEqual(types(c.server.take()), [1, 3]);
  c.server.script = ({ type, xid }) => (type === 4 ? message(7, xid, status(4)) : undefined);
  flap();
  c.world.run(1000);
  t.deepEqual(types(c.server.take()), [4]);
  c.world.run(100_000);
  t.deepEqual(types(c.server.take()), [], "not on that link, and no router has said a word");
  c.server.given = [];
  say(false, true);
  c.world.run(1000);
  t.deepEqual(types(c.server.take()), [11]);
  t.is(c.client.state, DHCP6_INFORMED);
  flap();
  c.world.run(10_000);
  t.deepEqual(types(c.server.take()), []);
  say(false, false);
  say(false, true);
  c.world.run(1000);
  t.deepEqual(types(c.server.take()), [11]);
});
