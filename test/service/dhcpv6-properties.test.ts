/** Properties of the DHCPv6 parser and of the client's state machine, whatever comes. */
import test from "ava";
import fc from "fast-check";
import { format6 } from "../../stack/core/text6.js";
import { DHCP6_BOUND } from "../../stack/service/dhcpv6.js";
import { parseAnswer } from "../../stack/service/dhcpv6-lease.js";
import { areOptions, findOption6 } from "../../stack/wire/dhcpv6.js";
import { concat, ip6Bytes } from "../support/bytes.js";
import { be32 } from "../support/packets.js";
import {
  GIVEN,
  IAID,
  client6,
  iaAddress,
  iaNa,
  iaPd,
  iaPrefix,
  message,
  opt,
  status,
} from "./dhcpv6-support.js";
import type { Client6Test } from "./dhcpv6-support.js";

const RUNS = { numRuns: 2000 };
const CODES = [1, 2, 3, 5, 7, 11, 13, 14, 19, 20, 23, 24, 25, 26, 32, 82, 83, 999];
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const lifetime = fc.oneof(fc.constantFrom(0, 1, 30, 1000, 0xffffffff), fc.nat(100_000));
const plain = fc
  .tuple(fc.constantFrom(...CODES), fc.oneof(bytes(8), bytes(60)))
  .map(([code, value]) => opt(code, value));
const address = fc
  .tuple(fc.constantFrom(GIVEN, "fd00::101", "fd00::102", "ff02::1", "fe80::7"), lifetime, lifetime)
  .map(([text, preferred, valid]) => iaAddress(text, preferred, valid));
const prefix = fc
  .tuple(fc.constantFrom("fd00:1::", "fd00:2::", "ff00::"), fc.nat(130), lifetime, lifetime)
  .map(([text, length, preferred, valid]) => iaPrefix(text, length, preferred, valid));
const code = fc.constantFrom(0, 1, 2, 3, 4, 5, 6).map(status);
const inner = fc.array(
  fc.oneof({ weight: 4, arbitrary: address }, { weight: 3, arbitrary: prefix }, code, plain),
  {
    maxLength: 10,
  },
);
const association = fc
  .tuple(fc.constantFrom(3, 25), fc.constantFrom(IAID, 7), lifetime, lifetime, inner)
  .map(([kind, iaid, t1, t2, list]) => opt(kind, be32(iaid), be32(t1), be32(t2), ...list));
const options = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: association },
    { weight: 4, arbitrary: plain },
    code,
    fc.constant(opt(14)),
    fc
      .array(fc.constantFrom("fd00::53", "fe80::53", "ff02::1").map(ip6Bytes), { maxLength: 6 })
      .map((list) => opt(23, ...list)),
  ),
  { maxLength: 8 },
);

/** The options of a message by the book; null: they do not fill it exactly. */
function byTheBook(data: Uint8Array): { code: number; at: number }[] | null {
  const found: { code: number; at: number }[] = [];
  let at = 0;
  while (at < data.length) {
    if (data.length - at < 4) return null;
    const length = data[at + 2] * 256 + data[at + 3];
    if (length > data.length - at - 4) return null;
    found.push({ code: data[at] * 256 + data[at + 1], at });
    at += 4 + length;
  }
  return found;
}

test("options are found as RFC 8415 has them, in any bytes; what lies behind does not matter", (t) => {
  const mostly = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(options, bytes(5)).map(([list, rest]) => concat(...list, rest)) },
    bytes(200),
  );
  fc.assert(
    fc.property(mostly, fc.constantFrom(...CODES), bytes(20), (data, wanted, behind) => {
      const buffer = concat(data, behind);
      const book = byTheBook(data);
      t.is(areOptions(buffer, 0, data.length), book !== null);
      if (!book) return;
      const first = book.find((each) => each.code === wanted);
      t.is(findOption6(buffer, 0, data.length, wanted), first ? first.at : -1);
    }),
    RUNS,
  );
});

test("an answer, whatever the server says, is one that a host can live with", (t) => {
  let taken = 0;
  fc.assert(
    fc.property(options, bytes(30), (list, behind) => {
      const data = message(7, new Uint8Array(3), ...list);
      const answer = parseAnswer(concat(data, behind), data.length, IAID);
      t.deepEqual(answer, parseAnswer(data, data.length, IAID));
      taken += answer.given.length;
      for (const { kind, bytes: own, length, preferred, valid } of answer.given) {
        t.true(kind === 3 ? length === 128 : kind === 25 && length >= 1 && length <= 128);
        t.true(preferred <= valid && preferred >= 0);
        t.true(own.length === 16 && own[0] !== 0xff && !(own[0] === 0xfe && own[1] === 0x80));
        for (let bit = length; bit < 128; bit++) t.is(own[bit >> 3] & (0x80 >> (bit & 7)), 0);
      }
      t.true(answer.renew >= 0 && answer.rebind >= 0);
      t.true(answer.nameServers.length <= 4 && answer.search.length <= 8);
      for (const text of answer.nameServers) t.true(/^f[de]/.test(text), text);
      for (const name of answer.search) t.regex(name, /^[-\w.]{1,253}$/);
    }),
    RUNS,
  );
  t.true(taken > 100, `${taken} given`);
});

/** Things that happen to a client. */
type Step = (c: Client6Test) => void;
const act = (step: Step) => fc.constant(step);
const span = (max: number) =>
  fc.integer({ min: 1, max }).map(
    (ms): Step =>
      (c) =>
        c.world.run(ms),
  );
const flag = (step: (c: Client6Test, on: boolean) => void) =>
  fc.boolean().map(
    (on): Step =>
      (c) =>
        step(c, on),
  );
const say = (c: Client6Test, managed: boolean, other: boolean) =>
  c.service.advertised({ interface: c.nif, router: "fe80::2", managed, other, lifetime: 1800, nat64: "" });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: span(1_000_000) },
  { weight: 4, arbitrary: span(10_000) },
  flag((c, on) => (c.server.silent = on)),
  fc.array(association, { minLength: 1, maxLength: 3 }).map(
    (given): Step =>
      (c) =>
        (c.server.given = given),
  ),
  act((c) => (c.server.given = [iaNa(iaAddress(GIVEN, 50, 100)), iaPd(iaPrefix("fd00:1::", 56, 500, 900))])),
  fc.constantFrom(0, 1, 2, 3, 4, 5).map(
    (value): Step =>
      (c) =>
        (c.server.more = [status(value)]),
  ),
  act((c) => (c.server.more = [opt(23, ip6Bytes("fd00::53"))])),
  flag((c, on) => c.nif.carrier(on)),
  act((c) => c.client.renew()),
  act((c) => {
    const entry = c.ip6.addresses.find(({ origin }) => origin === "dhcpv6");
    if (entry) c.ip6.dropAddress(entry);
  }),
  flag((c, on) => (c.probe.room = on)),
  flag((c, on) => (c.host.faults.random = on ? "" : "fail")),
  flag((c, on) => say(c, on, true)),
  {
    weight: 3,
    arbitrary: options.chain((list) =>
      fc.constantFrom(1, 2, 7, 10).map(
        (type): Step =>
          (c) =>
            c.server.say(
              message(type, Uint8Array.of(c.client.xid >> 16, c.client.xid >> 8, c.client.xid), ...list),
            ),
      ),
    ),
  },
  bytes(60).map(
    (data): Step =>
      (c) =>
        c.server.say(data),
  ),
);

test("whatever happens: addresses, name servers and callbacks agree with the lease; one timer; nothing is sent too often", (t) => {
  const kinds = fc.constantFrom(
    {},
    { prefix: {} },
    { addresses: false, prefix: { length: 56 } },
    { stateless: true },
    { auto: true },
    { rapidCommit: true, auto: true, prefix: {} },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), kinds, fc.nat(1000), (steps, kind, seed) => {
      const c = client6(null, { worldOptions: { seed }, client: kind });
      const times: number[] = [];
      for (const each of steps) {
        each(c);
        c.world.run(0);
        const { client } = c;
        const own = c.ip6.addresses.filter(({ origin }) => origin === "dhcpv6");
        const lease = client.lease;
        // No duplicate address detection here: bound at once.
        t.deepEqual(
          (lease ? lease.addresses : []).map((a) => a.address).sort(),
          own
            .map(
              ({ bytes: b }) =>
                [...client.items].find((item) => item.bytes.every((x, i) => x === b[i])) && format6(b, 0),
            )
            .sort() as string[],
        );
        t.true(own.length <= 8 && client.items.length <= 16);
        if (client.state >= DHCP6_BOUND) t.truthy(lease);
        t.is(client.items.length > 0, lease !== null && lease.addresses.length + lease.prefixes.length > 0);
        t.is(c.udp.sockets.size, 1);
        t.true(c.stack.timers.count() <= 5, "the client's, and those of the neighbour cache");
        let bound = false;
        for (const event of c.events) {
          if (event.startsWith("lost")) t.true(bound, c.events.join());
          bound = event.startsWith("bound");
        }
        t.is(bound, lease !== null, c.events.join());
        // Renewals are the application's business here.
        for (const { type, time } of c.server.take()) if (type !== 5) times.push(time);
      }
      for (let i = 16; i < times.length; i++) {
        t.true(times[i] - times[i - 16] > 1000, "seventeen messages in a second");
      }
      c.host.faults.random = "";
      c.probe.room = true;
      c.server.silent = false;
      c.server.given = [
        iaNa(iaAddress(GIVEN, 50_000, 60_000)),
        iaPd(iaPrefix("fd00:1::", 56, 50_000, 60_000)),
      ];
      c.server.more = [];
      c.nif.carrier(true);
      say(c, true, true);
      c.client.renew();
      c.world.run(9_000_000);
      t.truthy(c.client.lease, "in the end there is a lease");
      c.stack.close();
      t.is(c.stack.timers.count(), 0);
      t.is(c.stack.pool.used, 0);
      t.deepEqual(c.world.panics, []);
      t.is(c.ip6.addresses.filter(({ origin }) => origin === "dhcpv6").length, 0);
    }),
    { numRuns: 300 },
  );
});
