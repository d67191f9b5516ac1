/** What a hostile or broken DHCP server sends, and what the client makes of it. The ids are those of the list of hostile inputs. */
import test from "ava";
import {
  DHCP_BOUND,
  DHCP_SELECTING,
  classlessRoutes,
  rawOption,
  searchList,
} from "../../stack/service/dhcp.js";
import { concat, ip4Bytes } from "../support/bytes.js";
import { address, domains, message, replyFrame, seconds, short, text } from "./dhcp-messages.js";
import type { Option, ReplyFields } from "./dhcp-messages.js";
import { boundTest, clientTest } from "./dhcp-server.js";
import type { ClientTest } from "./dhcp-server.js";

const HOUR = 3600000;
const MASK = address(1, "255.255.255.0");
const LEASE = seconds(51, 3600);

/** A client in DHCP_SELECTING that gets `fields` as its offer; a valid one otherwise. */
function offered(fields: ReplyFields, setup: Parameters<typeof clientTest>[1] = {}): ClientTest {
  const c = clientTest(null, {
    ...setup,
    prepare: (server) => {
      server.script = (reply, request) => (request.type === 1 ? { ...reply, ...fields } : reply);
    },
  });
  c.world.run(10);
  return c;
}

/** The lease of a client whose server gives these options with its lease. */
function leased(options: Option[], setup: Parameters<typeof clientTest>[1] = {}) {
  const c = clientTest(null, { ...setup, prepare: (server) => (server.options = options) });
  c.world.run(10);
  return { ...c, lease: c.client.lease };
}

test("DHC-01 replies of 0..240 bytes, a wrong cookie, op, hardware type and length: malformed, and the search goes on", (t) => {
  const lies: ReplyFields[] = [];
  for (let length = 0; length <= 240; length++) lies.push({ length });
  lies.push({ cookie: 0 }, { cookie: 0x63825364 }, { op: 1 }, { op: 0 }, { htype: 0 }, { htype: 6 });
  lies.push({ hlen: 0 }, { hlen: 5 }, { hlen: 7 }, { hlen: 16 }, { hlen: 17 }, { hlen: 255 });
  for (const fields of lies) {
    const c = offered(fields);
    t.is(c.dhcp.counters.malformed, 1, JSON.stringify(fields));
    t.is(c.client.state, DHCP_SELECTING);
    c.server.script = null;
    c.world.run(6000);
    t.is(c.client.state, DHCP_BOUND);
    c.stack.close();
  }
});

test("DHC-01 options that lie, no end, overload of every value with lying fields: malformed", (t) => {
  const end = Uint8Array.of(255);
  const lie = Uint8Array.of(1, 200, 0);
  const cases: [string, ReplyFields, boolean][] = [
    ["no end", { end: false }, false],
    ["no end behind padding", { options: [new Uint8Array(60)], end: false }, false],
    ["a code without a length", { options: [Uint8Array.of(1)], end: false }, false],
    ["a length that lies", { options: [Uint8Array.of(1, 4, 255, 255)], end: false }, false],
    ["a length of 255", { options: [Uint8Array.of(43, 255)], end: true }, false],
    ["overload without value", { options: [[52, new Uint8Array(0)], LEASE, MASK] }, true],
    ["overload of two bytes", { options: [[52, Uint8Array.of(1, 1)], LEASE, MASK] }, false],
    ["overload twice", { options: [[52, Uint8Array.of(1)], [52, Uint8Array.of(2)], LEASE] }, false],
    ["overload 4", { options: [[52, Uint8Array.of(4)], LEASE, MASK] }, false],
    ["overload 255", { options: [[52, Uint8Array.of(255)], LEASE, MASK] }, false],
    ["file without end", { options: [[52, Uint8Array.of(1)], LEASE], sname: end }, false],
    ["sname without end", { options: [[52, Uint8Array.of(2)], LEASE], file: end }, false],
    ["file that lies", { options: [[52, Uint8Array.of(1)], LEASE], file: lie }, false],
    ["sname that lies", { options: [[52, Uint8Array.of(2)], LEASE], sname: lie }, false],
    ["sname that lies, not used", { options: [[52, Uint8Array.of(1)], LEASE], file: end, sname: lie }, true],
    ["both", { options: [[52, Uint8Array.of(3)], LEASE], file: end, sname: end }, true],
    ["both, one lies", { options: [[52, Uint8Array.of(3)], LEASE], file: end, sname: lie }, false],
    ["file, exactly full", { options: [[52, Uint8Array.of(1)]], file: concat(...fill(128), end) }, true],
    ["file, full without end", { options: [[52, Uint8Array.of(1)]], file: concat(...fill(129)) }, false],
    [
      "overload inside the file",
      {
        options: [[52, Uint8Array.of(1)], LEASE],
        file: Uint8Array.of(52, 1, 3, 255),
        sname: lie,
      },
      true,
    ],
  ];
  for (const [name, fields, good] of cases) {
    const c = offered(fields);
    t.is(c.dhcp.counters.malformed, good ? 0 : 1, name);
    t.is(c.client.state === DHCP_BOUND, good, name);
  }
  /** Options for `size - 1` bytes: a lease time, and padding. */
  function fill(size: number): Uint8Array[] {
    return [Uint8Array.of(51, 4, 0, 0, 14, 16), new Uint8Array(size - 7)];
  }
});

test("options are found in file and sname too, and in pieces (RFC 3396)", (t) => {
  const servers = ip4Bytes("10.0.0.3");
  const c = offered({});
  c.stack.close();
  const overloaded = clientTest(null, {
    prepare: (server) => {
      server.options = [MASK, [52, Uint8Array.of(3)], [6, servers.slice(0, 3)]];
      server.script = (reply) => ({
        ...reply,
        file: concat(Uint8Array.of(6, 1), servers.slice(3), Uint8Array.of(6, 2, 10, 0, 255)),
        sname: Uint8Array.of(0, 6, 2, 0, 4, 15, 3, 108, 97, 110, 255),
      });
    },
  });
  overloaded.world.run(10);
  t.deepEqual(overloaded.client.lease!.nameServers, ["10.0.0.3", "10.0.0.4"]);
  t.is(overloaded.client.lease!.domain, "lan");
});

test("DHC-02 options 1, 3, 6, 51, 54, 58, 59 of every length from 0 to 255: taken when right, else ignored or refused", (t) => {
  for (const code of [1, 3, 6, 26, 42, 51, 58, 59]) {
    for (let length = 0; length <= 255; length++) {
      const value = new Uint8Array(length).map((_, i) => [10, 0, 0, 2][i % 4]);
      const others = [MASK, address(3, "10.0.0.2"), LEASE].filter((each) => each[0] !== code);
      const fields = {
        options: [
          ...others,
          [code, code === 1 && length === 4 ? ip4Bytes("255.255.255.0") : value],
        ] as Option[],
      };
      const c = offered(fields);
      const whole = length === 4 || code !== 51;
      t.is(c.dhcp.counters.rejected, whole ? 0 : 1, `${code} of ${length}`);
      t.is(c.dhcp.counters.malformed, 0);
      c.stack.close();
    }
  }
  for (const server of [0, 1, 2, 3, 5, 255]) {
    const c = offered({ server: "", options: [LEASE, MASK, [54, new Uint8Array(server).fill(10)]] });
    t.is(c.client.state, DHCP_SELECTING, `server identifier of ${server}`);
    t.is(c.dhcp.counters.unexpected, 1);
  }
  for (const server of ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "240.0.0.1"]) {
    const c = offered({ server });
    t.is(c.dhcp.counters.unexpected, 1, server);
  }
});

test("DHC-02 names: delimited by their length, of harmless letters, a NUL at the end forgiven", (t) => {
  const domain = (value: string) => leased([MASK, text(15, value)]).lease!.domain;
  t.is(domain("example.org"), "example.org");
  t.is(domain("example.org\0"), "example.org");
  t.is(domain("example.org\0\0\0"), "example.org");
  for (const bad of ["a\0b", "a b", "$(reboot)", "a;b", "a\nb", "\xe4", "a'b", "../etc", "", "\0"]) {
    t.is(domain(bad), "", JSON.stringify(bad));
  }
  t.is(domain("x".repeat(253)).length, 253);
  t.is(domain("x".repeat(254)), "");
  t.is(leased([MASK, text(12, "`id`")]).lease!.hostName, "");
});

test("DHC-02 vendor options with nested lengths that lie are handed over as they are", (t) => {
  const lies = Uint8Array.of(1, 255, 2, 0, 3);
  const { lease } = leased([MASK, [43, lies], [43, Uint8Array.of(9)]], {
    dhcp: { options: [rawOption(43)] },
  });
  t.deepEqual(lease!.options, [{ code: 43, data: concat(lies, Uint8Array.of(9)) }]);
  t.deepEqual(leased([MASK, [43, lies]]).lease!.options, []);
});

test("DHC-02 the search list: names as DNS-01 has them, or none at all", (t) => {
  const setup = { dhcp: { options: [searchList] } };
  const search = (...parts: Uint8Array[]) =>
    leased([MASK, text(15, "lan"), ...parts.map((part): Option => [119, part])], setup).lease!.search;
  const two = concat(domains("eng.example.com"), Uint8Array.of(3, 111, 112, 115, 0xc0, 4));
  t.deepEqual(search(two), ["eng.example.com", "ops.example.com"]);
  t.deepEqual(search(two.slice(0, 9), two.slice(9)), ["eng.example.com", "ops.example.com"], "in pieces");
  t.deepEqual(search(domains(...Array.from({ length: 12 }, (_, i) => "d" + i))).length, 8, "eight at most");
  t.deepEqual(search(concat(domains("a.b"), Uint8Array.of(0))), ["a.b"], "the root is no domain");
  t.deepEqual(search(), ["lan"], "without it the domain");
  const pieces = (value: Uint8Array) => [value.subarray(0, 255), value.subarray(255)];
  const label = (n: number, fill = 97) => concat(Uint8Array.of(n), new Uint8Array(n).fill(fill));
  const bad: Record<string, Uint8Array> = {
    "pointer to itself": Uint8Array.of(0xc0, 0),
    "two pointers to each other": Uint8Array.of(1, 97, 0xc0, 4, 0xc0, 2),
    "forward pointer": Uint8Array.of(0xc0, 2, 1, 97, 0),
    "pointer beyond the end": Uint8Array.of(1, 97, 0xff, 0xff),
    "pointer as the last byte": Uint8Array.of(1, 97, 0xc0),
    "chain of pointers": concat(
      domains("a"),
      ...Array.from({ length: 20 }, (_, i) => Uint8Array.of(0xc0, i ? 1 + 2 * i : 0)),
    ),
    "no end": Uint8Array.of(1, 97),
    "label beyond the end": Uint8Array.of(9, 97, 0),
    "reserved label type 01": concat(Uint8Array.of(0x41), new Uint8Array(65), Uint8Array.of(0)),
    "reserved label type 10": concat(Uint8Array.of(0x81), new Uint8Array(65), Uint8Array.of(0)),
    "a dot inside a label": Uint8Array.of(3, 97, 46, 98, 0),
    "a NUL inside a label": Uint8Array.of(3, 97, 0, 98, 0),
    "a space": Uint8Array.of(1, 32, 0),
    "too long a name": concat(label(63), label(63), label(63), label(63), Uint8Array.of(0)),
  };
  for (const [name, value] of Object.entries(bad)) {
    t.deepEqual(search(...pieces(value)), ["lan"], name);
  }
  const most = concat(label(63), label(63), label(63), label(61));
  t.is(search(...pieces(concat(most, Uint8Array.of(0))))[0].length, 253);
});

test("DHC-02 DHC-06 classless routes: lying widths, ending in the middle: all ignored; eight at most; only when asked for", (t) => {
  const setup = { dhcp: { options: [classlessRoutes] } };
  const route = (width: number, prefix: number[], gateway: string) =>
    concat(Uint8Array.of(width, ...prefix), ip4Bytes(gateway));
  const usual = [MASK, address(3, "10.0.0.2")];
  const fallback = [{ prefix: "0.0.0.0/0", gateway: "10.0.0.2" }];
  const routes = (value: Uint8Array) => leased([...usual, [121, value]], setup).lease!.routes;
  for (const value of [
    route(33, [10, 0, 0, 0, 0], "10.0.0.2"),
    route(255, [10, 0, 0, 0], "10.0.0.2"),
    Uint8Array.of(32, 10, 0, 0),
    Uint8Array.of(24, 10, 0, 0, 10, 0, 0),
    Uint8Array.of(0, 10),
    concat(route(8, [44], "10.0.0.2"), Uint8Array.of(8)),
  ]) {
    t.deepEqual(routes(value), fallback);
  }
  const tunnelVision = concat(
    route(1, [0], "10.0.0.9"),
    route(1, [128], "10.0.0.9"),
    route(32, [192, 0, 2, 1], "10.0.0.9"),
  );
  t.deepEqual(leased([...usual, [121, tunnelVision]]).lease!.routes, fallback, "not asked for");
  t.is(leased([...usual, [121, tunnelVision]]).ip.fib.list().length, 2);
  const many = Array.from({ length: 12 }, (_, i) => route(16, [44, i], "10.0.0.9"));
  const c = leased([...usual, [121, concat(...many)]], setup);
  t.is(c.lease!.routes.length, 8);
  t.is(c.ip.fib.list().filter((each) => each.origin === "dhcp").length, 8);
  t.is(
    c.ip.fib.lookup(0x08080808, null),
    null,
    "with classless routes the router counts for nothing (RFC 3442)",
  );
});

test("classless routes: host bits are cleared, direct ones make far gateways reachable (RFC 3442)", (t) => {
  const value = concat(
    Uint8Array.of(0, 192, 0, 2, 1),
    Uint8Array.of(32, 192, 0, 2, 1, 0, 0, 0, 0),
    Uint8Array.of(12, 172, 31, 10, 0, 0, 2),
    Uint8Array.of(8, 45, 203, 0, 113, 1),
  );
  const c = leased([address(1, "255.255.255.255"), [121, value]], { dhcp: { options: [classlessRoutes] } });
  t.deepEqual(c.lease!.routes, [
    { prefix: "0.0.0.0/0", gateway: "192.0.2.1" },
    { prefix: "192.0.2.1/32", gateway: "0.0.0.0" },
    { prefix: "172.16.0.0/12", gateway: "10.0.0.2" },
    { prefix: "45.0.0.0/8", gateway: "203.0.113.1" },
  ]);
  t.is(c.ip.fib.lookup(0x08080808, null)!.gateway, ip(192, 0, 2, 1));
  t.is(c.ip.fib.lookup(ip(192, 0, 2, 1), null)!.gateway, 0);
  t.is(c.dhcp.counters.badRoutes, 2, "gateways that no direct route leads to");
});

const ip = (a: number, b: number, c: number, d: number) => (a << 24) | (b << 16) | (c << 8) | d;

test("DHC-04 addresses that no host can have, and masks that are none: refused", (t) => {
  const cases: [string, string][] = [
    ["224.0.0.1", "255.255.255.0"],
    ["239.255.255.250", "255.0.0.0"],
    ["255.255.255.255", "255.255.255.0"],
    ["127.0.0.1", "255.0.0.0"],
    ["127.9.9.9", "255.255.255.0"],
    ["0.0.0.0", "255.255.255.0"],
    ["0.1.2.3", "255.255.255.0"],
    ["240.0.0.1", "255.255.255.0"],
    ["10.0.0.0", "255.255.255.0"],
    ["10.0.0.255", "255.255.255.0"],
    ["10.255.255.255", "255.0.0.0"],
    ["10.0.0.3", "255.255.255.252"],
    ["10.0.0.50", "0.0.0.0"],
    ["10.0.0.50", "255.0.255.0"],
    ["10.0.0.50", "0.0.0.255"],
    ["10.0.0.50", "255.255.255.1"],
    ["10.0.0.50", "127.255.255.255"],
  ];
  for (const [yiaddr, mask] of cases) {
    const c = offered({ yiaddr, options: [LEASE, address(1, mask)] });
    t.is(c.dhcp.counters.rejected, 1, `${yiaddr} ${mask}`);
    t.is(c.client.state, DHCP_SELECTING);
    t.is(c.ip.addresses.length, 0);
  }
  for (const [yiaddr, mask, length] of [
    ["10.0.0.50", "255.255.255.255", 32],
    ["10.0.0.50", "255.255.255.254", 31],
    ["10.0.0.51", "255.255.255.254", 31],
    ["10.0.0.2", "255.255.255.252", 30],
    ["10.0.0.50", "128.0.0.0", 1],
  ] as const) {
    const c = leasedAt(yiaddr, [address(1, mask)]);
    t.is(c.client.lease?.prefix, length, mask);
  }
  // Without a mask that of the address's class.
  for (const [yiaddr, length] of [
    ["10.0.0.50", 8],
    ["172.16.0.50", 16],
    ["192.168.0.50", 24],
  ] as const) {
    t.is(leasedAt(yiaddr, []).client.lease?.prefix, length);
  }
});

function leasedAt(yiaddr: string, options: Option[]): ClientTest {
  const c = clientTest(null, {
    prepare: (server) => {
      server.yiaddr = yiaddr;
      server.options = options;
    },
  });
  c.world.run(10);
  return c;
}

test("DHC-04 an acknowledgement of another address, or of a bad one, is refused; the lease in force stays", (t) => {
  const c = boundTest(t);
  for (const yiaddr of ["10.0.0.51", "0.0.0.0", "224.0.0.1"]) {
    c.server.script = (reply) => ({ ...reply, yiaddr });
    c.client.renew();
    c.world.run(100);
    t.is(c.client.lease!.address, "10.0.0.50");
    t.is(c.client.state, 7);
    c.server.script = null;
    c.world.run(HOUR / 2);
  }
  t.is(c.dhcp.counters.rejected, 3);
  t.true(c.events.every((event) => event === "bound 10.0.0.50"));
});

test("DHC-04 a gateway that is not on the link, is ourselves, a broadcast or no host: no route", (t) => {
  for (const gateway of ["10.0.1.1", "8.8.8.8", "10.0.0.50", "10.0.0.255", "10.0.0.0"]) {
    const c = leased([MASK, address(3, gateway)]);
    t.is(c.client.state, DHCP_BOUND, gateway);
    t.is(c.ip.fib.lookup(0x08080808, null), null, gateway);
    t.is(c.dhcp.counters.badRoutes, 1);
  }
  for (const gateway of ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"]) {
    const { lease } = leased([MASK, address(3, gateway), address(6, gateway), address(42, gateway)]);
    t.deepEqual([lease!.routes, lease!.nameServers, lease!.ntpServers], [[], [], []], gateway);
  }
});

test("DHC-04 lease times of 0, 1 and 2^32-1; T1 and T2 in every wrong order: a minute at the least, no storm", (t) => {
  const times = (lease: number, t1?: number, t2?: number) => {
    const options = [MASK];
    if (t1 !== undefined) options.push(seconds(58, t1));
    if (t2 !== undefined) options.push(seconds(59, t2));
    const c = clientTest(null, {
      prepare: (server) => {
        server.leaseTime = lease;
        server.options = options;
      },
    });
    c.world.run(10);
    const { leaseTime, renewTime, rebindTime } = c.client.lease!;
    return [leaseTime, renewTime, rebindTime];
  };
  t.deepEqual(times(0), [60, 30, 52]);
  t.deepEqual(times(1), [60, 30, 52]);
  t.deepEqual(times(59), [60, 30, 52]);
  t.deepEqual(times(0xffffffff), [4294967295, 2147483647, 3758096383]);
  t.deepEqual(times(1000, 400, 800), [1000, 400, 800]);
  t.deepEqual(times(1000, 400), [1000, 400, 875]);
  t.deepEqual(times(1000, undefined, 800), [1000, 500, 800]);
  for (const [t1, t2] of [
    [900, 800],
    [800, 800],
    [500, 1000],
    [500, 2000],
    [2000, 3000],
    [0xffffffff, 0xffffffff],
    [0, 0],
    [1, 2],
    [29, 800],
  ]) {
    const [, renew, rebind] = times(1000, t1, t2);
    t.true(
      renew === 500 && (rebind === 875 || (t1 === 0 && rebind === 875)),
      `${t1} ${t2}: ${renew} ${rebind}`,
    );
  }
  const c = boundTest(t, { prepare: (server) => (server.leaseTime = 1) });
  c.world.run(HOUR);
  t.true(c.server.take().length <= 3600 / 28 + 1);
});

test("DHC-05 xid is random for each transaction; the backoff is 4, 8, 16, 32, 64, 64 s, each a second more or less", (t) => {
  const xids = new Set<number>();
  const jitters: number[] = [];
  for (let seed = 1; seed <= 1000; seed++) {
    const c = clientTest(null, { worldOptions: { seed }, prepare: (server) => (server.silent = true) });
    c.world.run(seed % 50 === 0 ? 200000 : 14000);
    const all = c.server.take();
    xids.add(all[0].xid);
    t.true(all.every((each) => each.xid === all[0].xid));
    for (let i = 1; i < all.length; i++) {
      const nominal = Math.min(4000 * 2 ** (i - 1), 64000);
      const jitter = all[i].time - all[i - 1].time - nominal;
      t.true(Math.abs(jitter) <= 1000, `${i}: ${jitter}`);
      t.is(all[i].secs, Math.floor((all[i].time - all[0].time) / 1000));
      jitters.push(jitter);
    }
    c.stack.close();
  }
  t.true(xids.size > 998);
  let ones = 0;
  for (const xid of xids) for (let bit = 0; bit < 32; bit++) ones += (xid >>> bit) & 1;
  t.true(Math.abs(ones / xids.size - 16) < 0.5, "half of the bits are ones");
  const mean = jitters.reduce((a, b) => a + b) / jitters.length;
  t.true(Math.abs(mean) < 60, `${mean}`);
  t.true(Math.min(...jitters) < -900 && Math.max(...jitters) > 900);
});

test("DHC-08 no server for a day: one discover a backoff, one timer, one socket, no memory", (t) => {
  const c = clientTest(t, { prepare: (server) => (server.silent = true) });
  c.world.run(24 * HOUR);
  const all = c.server.take();
  t.true(all.length > 1300 && all.length < 1400, `${all.length}`);
  for (let i = 6; i < all.length; i++) t.true(all[i].time - all[i - 1].time >= 63000);
  t.true(all.every((each) => each.type === 1));
  t.is(c.stack.timers.count(), 1);
  t.is(c.udp.sockets.size, 1);
  t.is(c.stack.pool.used, 0);
});

test("DHC-08 a link that flaps a thousand times: a few requests, then one a backoff", (t) => {
  for (const [pause, most] of [
    [1, 5],
    [1000, 40],
    [20000, 330],
  ]) {
    const c = boundTest(t);
    for (let i = 0; i < 1000; i++) {
      c.nif.carrier(false);
      c.world.run(pause / 2);
      c.nif.carrier(true);
      c.world.run(pause / 2);
    }
    const all = c.server.take();
    t.true(all.length >= 1 && all.length <= most, `${all.length} requests, a flap each ${pause} ms`);
    t.is(c.stack.timers.count(), 1);
    t.is(c.udp.sockets.size, 1);
    t.is(c.stack.pool.used, 0);
    c.world.run(130000);
    t.is(c.client.state, DHCP_BOUND);
  }
});

test("DHC-08 floods of 10,000 replies, of every kind, in every state: counted, nothing else", (t) => {
  const c = boundTest(t);
  const xid = c.client.xid;
  const base = { xid, yiaddr: "10.0.0.66", options: [MASK, LEASE] };
  const flood = [2, 5, 6, 0, 1, 9].map((type) => replyFrame(message({ ...base, type })));
  flood.push(
    replyFrame(message({ ...base, xid: xid ^ 1 })),
    replyFrame(message({ ...base, chaddr: "02:00:00:00:00:09" })),
  );
  for (let i = 0; i < 10000; i++) c.probe.send(flood[i % flood.length]);
  c.world.run(1000);
  t.is(c.dhcp.counters.unexpected, 7500);
  t.is(c.dhcp.counters.notOurs, 2500);
  t.deepEqual(c.events, ["bound 10.0.0.50"]);
  t.is(c.stack.timers.count(), 1);
  t.is(c.stack.pool.used, 0);
  t.is(c.server.take().length, 0);

  const searching = clientTest(t, { prepare: (server) => (server.silent = true) });
  searching.world.run(10);
  const offer = { ...base, xid: searching.client.xid, yiaddr: "224.0.0.1" };
  for (let i = 0; i < 10000; i++) searching.probe.send(replyFrame(message(offer)));
  searching.world.run(1000);
  t.is(searching.dhcp.counters.rejected, 10000);
  t.is(searching.server.take().length, 1);
});

test("DHC-08 a flood that the stack has no time to read fills one small queue", (t) => {
  const c = boundTest(t);
  const frame = replyFrame(message({ xid: 1, options: [[43, new Uint8Array(200)]] }));
  // As if all came in one batch: the events for the socket run at the end of it.
  c.stack.busy = true;
  for (let i = 0; i < 10000; i++) {
    c.stack.rx.flags = 0;
    c.probe.send(frame);
  }
  c.stack.busy = false;
  t.true(c.stack.pool.used <= 3);
  c.world.run(10);
  t.is(c.stack.pool.used, 0);
});

test("a MTU below 576 is ignored, one above the link's is cut", (t) => {
  t.is(leased([MASK, short(26, 575)]).nif.mtu, 1500);
  t.is(leased([MASK, short(26, 576)]).nif.mtu, 576);
  t.is(leased([MASK, short(26, 68)]).lease!.mtu, 0);
  t.is(leased([MASK, short(26, 9000)]).nif.mtu, 1500);
  t.is(leased([MASK, short(26, 1280)], { mtu: 1400 }).nif.mtu, 1280);
});

test("lists of servers are bounded", (t) => {
  const many = Array.from({ length: 60 }, (_, i) => "10.0.0." + (i + 1));
  const { lease, stack } = leased([MASK, address(6, ...many), address(42, ...many)]);
  t.deepEqual(lease!.nameServers, many.slice(0, 4));
  t.deepEqual(lease!.ntpServers, many.slice(0, 4));
  t.is(stack.nameServers!.list().length, 4);
});
