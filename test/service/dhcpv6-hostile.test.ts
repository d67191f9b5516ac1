/** What a hostile or broken DHCPv6 server sends, and what the client makes of it. The ids are those of the list of hostile inputs. */
import test from "ava";
import { DHCP6_BOUND, DHCP6_SOLICITING } from "../../stack/service/dhcpv6.js";
import { ascii, concat, ip6Bytes } from "../support/bytes.js";
import { be16, be32 } from "../support/packets.js";
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
import type { Client6Test } from "./dhcpv6-support.js";

const OTHER = Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 9);

/** An option whose length says something else. */
const lie = (code: number, length: number, ...parts: Uint8Array[]) =>
  concat(be16(code), be16(length), ...parts);
const raw = (type: number, xid: Uint8Array, ...options: Uint8Array[]) =>
  concat(Uint8Array.of(type), xid, ...options);
const address = (...more: Uint8Array[]) => iaNa(iaAddress(GIVEN), ...more);

/** A client that solicits and gets this for an answer. */
function offered(options: (xid: Uint8Array) => Uint8Array, prefix = false): Client6Test {
  const c = client6(null, {
    client: prefix ? { prefix: {} } : {},
    prepare: (server) => {
      server.script = ({ type, xid }) => (type === 1 ? options(xid) : null);
    },
  });
  c.world.run(10);
  return c;
}

/** What is offered in an advertisement with these options, as text. */
function read(...options: Uint8Array[]): string[] | null {
  const c = offered((xid) => message(2, xid, ...options), true);
  const best = c.client.best;
  c.stack.close();
  return best && best.given.map(({ bytes, length }) => Buffer.from(bytes).toString("hex") + "/" + length);
}

const HEX = Buffer.from(ip6Bytes(GIVEN)).toString("hex");

test("DH6-01 messages of every length up to the header, options that lie about theirs: malformed, and the search goes on", (t) => {
  const good = message(2, new Uint8Array(3), address());
  const cases: ((xid: Uint8Array) => Uint8Array)[] = [
    ...Array.from({ length: 4 }, (_, i) => (xid: Uint8Array) => raw(2, xid).subarray(0, i)),
    ...Array.from(
      { length: good.length - 5 },
      (_, i) => (xid: Uint8Array) => message(2, xid, address()).subarray(0, i + 5),
    ),
    (xid) => concat(message(2, xid, address()), Uint8Array.of(0)),
    (xid) => concat(message(2, xid, address()), Uint8Array.of(0, 23, 0)),
    (xid) => concat(message(2, xid, address()), lie(23, 1)),
    (xid) => concat(message(2, xid, address()), lie(23, 0xffff)),
    (xid) => raw(2, xid, lie(1, 0xffff, CLIENT_DUID), opt(2, SERVER_DUID), address()),
  ];
  for (const [i, make] of cases.entries()) {
    const c = offered(make);
    // Cut between two options a message is whole, but has not all that it needs.
    const { malformed, notOurs, refused } = c.service.counters;
    t.is(malformed + notOurs + refused, 1, String(i));
    t.is(c.client.best, null);
    c.server.script = null;
    c.world.run(3000);
    t.is(c.client.state, DHCP6_BOUND);
    c.stack.close();
  }
});

test("DH6-01 sub-options stay within their parents: what lies is left out, its neighbours are taken", (t) => {
  const prefix = iaPd(iaPrefix("fd00:1::", 56));
  const taken = [HEX + "/128"];
  const withPrefix = (...ia: Uint8Array[]) => read(...ia, prefix);
  const alone = ["fd000001" + "0".repeat(24) + "/56"];
  t.deepEqual(withPrefix(address()), [...taken, ...alone]);
  for (let length = 0; length < 12; length++) {
    t.deepEqual(withPrefix(opt(3, new Uint8Array(length))), alone, "association of " + length);
  }
  for (let length = 0; length < 24; length++) {
    t.deepEqual(withPrefix(iaNa(opt(5, new Uint8Array(length).fill(0xfd)))), alone, "address of " + length);
  }
  for (let length = 0; length < 25; length++) {
    t.deepEqual(
      read(address(), iaPd(opt(26, new Uint8Array(length).fill(0x3d)))),
      taken,
      "prefix of " + length,
    );
  }
  const bare = iaAddress(GIVEN);
  for (const more of [1, 2, 3, 4, 100, 0xffff]) {
    t.deepEqual(
      withPrefix(iaNa(lie(5, 24 + more, bare.subarray(4)))),
      alone,
      "longer than its parent by " + more,
    );
    t.deepEqual(withPrefix(iaNa(opt(5, bare.subarray(4), lie(13, more + 2, be16(0))))), alone);
  }
  t.deepEqual(withPrefix(iaNa(bare, lie(13, 3, be16(0)))), alone, "rubbish behind the address");
  // Unknown sub-options of all lengths before, between and behind (CVE-2020-27338).
  const unknown = [0, 1, 2, 3, 5, 17, 100].map((length) => opt(999, new Uint8Array(length).fill(0xff)));
  t.deepEqual(read(iaNa(...unknown, bare, ...unknown), ...unknown), taken);
  t.deepEqual(read(iaNa(iaAddress(GIVEN, 1000, 2000, ...unknown))), taken);
  t.is(read(iaPd(bare)), null, "an address in the association of prefixes");
  t.is(read(iaNa(iaPrefix("fd00:1::", 56))), null);
});

test("DH6-01 a status of 0 or 1 bytes is no success; that of an address, an association or all", (t) => {
  const short = [opt(13), opt(13, Uint8Array.of(0))];
  for (const wrong of [...short, status(1), status(2), status(0xffff)]) {
    t.is(read(address(), wrong), null);
    t.is(read(address(wrong)), null);
    t.is(read(iaNa(iaAddress(GIVEN, 1000, 2000, wrong))), null);
  }
  const good = opt(13, be16(0), ascii("welcome"));
  t.deepEqual(read(iaNa(iaAddress(GIVEN, 1000, 2000, good), good), good), [HEX + "/128"]);
});

test("DH6-01 identifiers of 0, 1, 2, 131 and more bytes, or two of them: nobody's message", (t) => {
  for (const length of [0, 1, 2, 131, 200, 1000]) {
    const c = offered((xid) => raw(2, xid, opt(1, CLIENT_DUID), opt(2, new Uint8Array(length)), address()));
    t.is(c.service.counters.malformed, 1, String(length));
    t.is(c.client.best, null);
    c.stack.close();
  }
  const twice = offered((xid) => message(2, xid, address(), opt(2, OTHER)));
  t.is(twice.service.counters.malformed, 1);
  for (const length of [3, 130]) {
    const c = offered((xid) => raw(2, xid, opt(1, CLIENT_DUID), opt(2, new Uint8Array(length)), address()));
    t.is(c.client.best?.server?.length, length);
  }
});

test("DH6-01 name servers of no whole number, of no address, too many of them; domains that lie", (t) => {
  const told = (...options: Uint8Array[]) => {
    const c = client6(null, { prepare: (server) => (server.more = options) });
    c.world.run(3000);
    const { nameServers, search } = c.leases[0];
    c.stack.close();
    return { nameServers, search };
  };
  for (const length of [0, 1, 15, 17, 31, 33]) {
    t.deepEqual(told(opt(23, new Uint8Array(length).fill(0xfd))).nameServers, [], String(length));
  }
  const servers = Array.from({ length: 60 }, (_, i) => ip6Bytes("fd00::" + (i + 1)));
  t.deepEqual(told(opt(23, ...servers)).nameServers, ["fd00::1", "fd00::2", "fd00::3", "fd00::4"]);
  for (const bad of ["::", "::1", "ff02::1", "::ffff:10.0.0.1"]) {
    t.deepEqual(told(opt(23, ip6Bytes(bad), ip6Bytes("fd00::1"))).nameServers, ["fd00::1"], bad);
  }
  const label = (text: string) => concat(Uint8Array.of(text.length), ascii(text));
  const end = Uint8Array.of(0);
  const search = (...parts: Uint8Array[]) => told(opt(24, ...parts)).search;
  t.deepEqual(search(label("a"), label("b"), end, label("c"), end), ["a.b", "c"]);
  t.deepEqual(search(...Array.from({ length: 30 }, (_, i) => concat(label("d" + i), end))).length, 8);
  t.deepEqual(search(end, end, label("a"), end), ["a"], "the root is no domain");
  for (const bad of [
    concat(label("a")),
    concat(label("b"), Uint8Array.of(0xc0, 0)),
    concat(Uint8Array.of(64), new Uint8Array(64).fill(97), end),
    concat(Uint8Array.of(9), ascii("a"), end),
    concat(label("a b"), end),
    concat(label("a.b"), end),
    concat(label("a\0"), end),
    concat(label("$(x)"), end),
    concat(...Array(5).fill(label("x".repeat(63))), end),
  ]) {
    t.deepEqual(search(label("good"), end, bad), ["good"]);
  }
});

test("addresses that no host has, prefixes of no length, lifetimes that contradict: left out", (t) => {
  for (const bad of ["::", "::1", "ff02::1", "ff0e::5", "fe80::5", "::ffff:10.0.0.1"]) {
    t.is(read(iaNa(iaAddress(bad))), null, bad);
    t.is(read(iaPd(iaPrefix(bad, 64))), null, bad);
  }
  for (const length of [0, 129, 200, 255])
    t.is(read(iaPd(iaPrefix("fd00:1::", length))), null, String(length));
  t.is(read(iaNa(iaAddress(GIVEN, 2000, 1000))), null);
  t.is(read(iaNa(iaAddress(GIVEN, 0, 0))), null);
  t.is(read(opt(3, be32(2), be32(0), be32(0), iaAddress(GIVEN))), null, "another association");
});

test("DH6-02 another transaction, no client or another, no server, no association: ignored", (t) => {
  const ids = [opt(1, CLIENT_DUID), opt(2, SERVER_DUID)];
  const cases: [
    string,
    (xid: Uint8Array) => Uint8Array,
    "notOurs" | "malformed" | "refused" | "unexpected",
  ][] = [
    [
      "another transaction",
      (xid) =>
        message(
          2,
          xid.map((byte, i) => byte ^ +(i === 2)),
          address(),
        ),
      "notOurs",
    ],
    ["no client", (xid) => raw(2, xid, ids[1], address()), "notOurs"],
    ["another client", (xid) => raw(2, xid, opt(1, OTHER), ids[1], address()), "notOurs"],
    ["half a client", (xid) => raw(2, xid, opt(1, CLIENT_DUID.subarray(0, 9)), ids[1], address()), "notOurs"],
    [
      "more than the client",
      (xid) => raw(2, xid, opt(1, CLIENT_DUID, be16(0)), ids[1], address()),
      "notOurs",
    ],
    ["no server", (xid) => raw(2, xid, ids[0], address()), "malformed"],
    ["no association", (xid) => message(2, xid), "refused"],
    ["an empty one", (xid) => message(2, xid, iaNa()), "refused"],
    ["a reply that was not asked for", (xid) => message(7, xid, opt(14), address()), "unexpected"],
    ...[0, 1, 3, 4, 5, 6, 8, 9, 11, 12, 13, 255].map(
      (type): [string, (xid: Uint8Array) => Uint8Array, "unexpected"] => [
        "message " + type,
        (xid) => message(type, xid, address()),
        "unexpected",
      ],
    ),
  ];
  for (const [name, make, counter] of cases) {
    const c = offered(make);
    t.is(c.service.counters[counter], 1, name);
    t.is(c.client.best, null, name);
    t.is(c.client.state, DHCP6_SOLICITING);
    c.stack.close();
  }
});

test("DH6-02 from or to an address that is not of the link: ignored", (t) => {
  for (const ends of [{ src: "fd00::2" }, { src: "2001:db8::1" }, { dst: "ff02::1" }]) {
    const c = client6(null, {
      addresses: ["fe80::1/64", "fd00::1/64"],
      prepare: (server) => (server.script = () => null),
    });
    c.world.run(10);
    c.server.say(message(2, c.server.asked[0].xid, address()), ends);
    c.world.run(10);
    t.is(c.client.best, null);
    t.is(
      c.service.counters.notOnLink,
      "dst" in ends ? 0 : 1,
      "a socket hears no group that it has not joined",
    );
    c.stack.close();
  }
  const c = client6(null, {
    addresses: ["fe80::1/64", "fd00::1/64"],
    prepare: (server) => (server.script = () => null),
  });
  c.world.run(10);
  c.server.say(message(2, c.server.asked[0].xid, address()), { dst: "fd00::1" });
  c.world.run(10);
  t.is(c.service.counters.notOnLink, 1);
});

test("DH6-02 a renewal is answered by the server that was asked; a rebinding by any", (t) => {
  const c = client6(null, {});
  c.world.run(3000);
  c.server.take();
  const another = (xid: Uint8Array) => raw(7, xid, opt(1, CLIENT_DUID), opt(2, OTHER), address());
  c.server.script = ({ xid }) => another(xid);
  c.world.run(700_000);
  t.true(c.server.take().every(({ type }) => type === 5));
  t.true(c.service.counters.unexpected > 0);
  t.is(c.events.length, 1);
  c.world.run(120_000);
  t.is(types(c.server.take()).at(-1), 6);
  t.is(c.events.length, 2);
  t.is(c.client.lease!.server, Buffer.from(OTHER).toString("hex"));
});

test("what comes when nothing was asked counts for nothing; a flood of it neither", (t) => {
  const c = client6(t);
  c.world.run(3000);
  const last = c.server.take().at(-1)!;
  const flood = [1, 2, 7, 10, 12, 200].map((type) => message(type, last.xid, iaNa(iaAddress("fd00::666"))));
  for (let i = 0; i < 10_000; i++) c.server.say(flood[i % flood.length]);
  c.world.run(1000);
  t.is(c.events.length, 1);
  t.deepEqual(
    c.client.lease!.addresses.map((each) => each.address),
    [GIVEN],
  );
  t.is(c.server.take().length, 0);
  t.is(c.stack.pool.used, 0);
});

test("DH6-04 a thousand addresses, a hundred associations: eight of each kind are taken", (t) => {
  const many = (n: number, from = 1) =>
    Array.from({ length: n }, (_, i) => iaAddress(`fd00::${(from + i).toString(16)}`));
  const prefixes = (n: number) =>
    Array.from({ length: n }, (_, i) => iaPrefix(`fd00:${(i + 1).toString(16)}::`, 64));
  const held = (...given: Uint8Array[]) => {
    const c = client6(null, {
      client: { prefix: {}, rapidCommit: true },
      prepare: (server) => {
        server.given = given;
        server.script = ({ type, xid }) => (type === 1 ? message(7, xid, opt(14), ...given) : undefined);
      },
    });
    c.world.run(3000);
    const lease = c.client.lease;
    const result = [lease?.addresses.length, lease?.prefixes.length, c.ip6.addresses.length];
    c.client.renew();
    c.world.run(1000);
    t.true(c.client.items.length <= 16);
    c.stack.close();
    return result;
  };
  t.deepEqual(held(iaNa(...many(40))), [8, 0, 9]);
  t.deepEqual(held(iaNa(...many(8)), iaPd(...prefixes(30))), [8, 8, 9]);
  // As many as a message of the largest size holds.
  t.deepEqual(held(...many(25).map((each) => iaNa(each))), [8, 0, 9]);
  t.deepEqual(held(...Array.from({ length: 100 }, (_, i) => opt(3, be32(i + 2), be32(0), be32(0)))), [
    undefined,
    undefined,
    1,
  ]);
  // More than that comes in fragments, and is not understood.
  const c = offered((xid) => message(2, xid, iaNa(...many(1000))));
  t.is(c.client.best, null);
});

test("DH6-04 a server that gives other addresses each time fills no table", (t) => {
  let n = 0;
  const c = client6(t, {
    prepare: (server) => {
      server.script = ({ type, xid }) => {
        const more = Array.from({ length: 8 }, () => iaAddress(`fd00::1:${(++n).toString(16)}`, 4000, 8000));
        return type === 4 || type > 6 ? undefined : message(type === 1 ? 2 : 7, xid, iaNa(...more));
      };
    },
  });
  c.world.run(3000);
  for (let i = 0; i < 200; i++) {
    c.client.renew();
    c.world.run(20);
    t.true(c.ip6.addresses.length <= 9);
  }
  t.true(c.service.counters.refused > 1000);
});

test("DH6-04 relays' messages, nested 32 deep: not for a client", (t) => {
  const c = offered((xid) => {
    let inner = message(2, xid, address());
    for (let i = 0; i < 32; i++) inner = concat(Uint8Array.of(13, i), new Uint8Array(2), opt(9, inner));
    return inner;
  });
  t.is(c.service.counters.unexpected, 1);
  t.is(c.client.best, null);
});

test("DH6-04 routers' flags that flap a thousand times a second start at most two searches", (t) => {
  const c = client6(t, { client: { auto: true } });
  for (let i = 0; i < 10_000; i++) {
    c.service.advertised({
      interface: c.nif,
      router: "fe80::" + (i % 7),
      managed: i % 3 === 0,
      other: i % 2 === 0,
      lifetime: i % 5,
      nat64: "",
    });
    c.world.run(1);
  }
  t.deepEqual(types(c.server.take()), [1, 3]);
});

test("DH6-04 a server that refuses what it has offered, or takes each lease back at once: searches are spaced", (t) => {
  for (const script of [
    ({ type, xid }: { type: number; xid: Uint8Array }) =>
      message(type === 1 ? 2 : 7, xid, ...(type === 1 ? [address()] : [status(4)])),
    ({ type, xid }: { type: number; xid: Uint8Array }) =>
      message(type === 1 ? 2 : 7, xid, type === 1 ? address() : iaNa(status(2))),
  ]) {
    const c = client6(t, {
      prepare: (server) => {
        server.script = script;
        server.advertised = [opt(7, Uint8Array.of(255))];
      },
    });
    c.world.run(3600_000);
    t.true(c.server.take().length < 200, "in an hour");
  }
});

test("DH6-04 a link that flaps a thousand times: a few messages, then one a backoff", (t) => {
  for (const [pause, most] of [
    [2, 8],
    [1000, 60],
  ]) {
    const c = client6(t);
    c.world.run(3000);
    c.server.take();
    for (let i = 0; i < 1000; i++) {
      c.nif.carrier(false);
      c.world.run(pause / 2);
      c.nif.carrier(true);
      c.world.run(pause / 2);
    }
    const sent = c.server.take().length;
    t.true(sent >= 1 && sent <= most, `${sent} messages, a flap each ${pause} ms`);
    c.world.run(200_000);
    t.is(c.client.state, DHCP6_BOUND);
  }
});
