/** Properties of the DHCP parser and of the client's state machine, whatever comes. */
import test from "ava";
import fc from "fast-check";
import { DHCP_BOUND, classlessRoutes, rawOption, searchList } from "../../stack/service/dhcp.js";
import { hostText, parseLease } from "../../stack/service/dhcp-lease.js";
import { isReply, parseOption } from "../../stack/wire/dhcp.js";
import { concat } from "../support/bytes.js";
import { address, message, optionBytes, replyFrame, seconds } from "./dhcp-messages.js";
import type { Option, ReplyFields } from "./dhcp-messages.js";
import { clientTest } from "./dhcp-server.js";
import type { ClientTest } from "./dhcp-server.js";

const RUNS = { numRuns: 2000 };
const EXTRAS = [classlessRoutes, searchList, rawOption(43)];
const CODES = [0, 1, 3, 6, 12, 15, 26, 42, 43, 50, 51, 52, 53, 54, 58, 59, 61, 108, 119, 121, 255];
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const option: fc.Arbitrary<Option> = fc.tuple(
  fc.constantFrom(...CODES.slice(1, -1)),
  fc.oneof(bytes(8), fc.uint8Array({ minLength: 4, maxLength: 4 }), bytes(100)),
);
/** Mostly well-formed options, with raw bytes among them now and then. */
const options = fc.array(fc.oneof({ weight: 9, arbitrary: option }, { weight: 1, arbitrary: bytes(4) }), {
  maxLength: 12,
});
const reply: fc.Arbitrary<ReplyFields> = fc.record(
  {
    type: fc.constantFrom(0, 2, 5, 6, 9),
    yiaddr: fc.oneof(fc.constant("10.0.0.50"), fc.ipV4()),
    server: fc.oneof(fc.constant("10.0.0.2"), fc.ipV4()),
    options,
    file: options.map((list) => field(list, 128)),
    sname: options.map((list) => field(list, 64)),
    end: fc.boolean(),
    length: fc.nat(700),
  },
  { requiredKeys: ["type", "options"] },
);

function field(list: Option[], size: number): Uint8Array {
  return concat(...list.map(optionBytes), Uint8Array.of(255)).slice(0, size);
}

/** Options of a field by the book; null: malformed. */
function readField(data: number[]): [number, number[]][] | null {
  const found: [number, number[]][] = [];
  for (;;) {
    const code = data.shift();
    if (code === undefined) return null;
    if (code === 255) return found;
    if (code === 0) continue;
    const length = data.shift();
    if (length === undefined || length > data.length) return null;
    found.push([code, data.splice(0, length)]);
  }
}

/** What `parseOption` should find. */
function expected(data: Uint8Array, code: number): number[] | null {
  const main = readField([...data.subarray(240)]);
  if (!main) return null;
  const overload = main.filter(([found]) => found === 52).flatMap(([, value]) => value);
  if (overload.length > 1 || overload[0] > 3) return null;
  const parts = [main];
  if (overload[0] & 1) parts.push(readField([...data.subarray(108, 236)])!);
  if (overload[0] & 2) parts.push(readField([...data.subarray(44, 108)])!);
  if (parts.includes(null as never)) return null;
  return parts
    .flat()
    .filter(([found]) => found === code)
    .flatMap(([, value]) => value);
}

test("options are found as RFC 2131, 2132 and 3396 say, in any message", (t) => {
  fc.assert(
    fc.property(reply, fc.constantFrom(...CODES.slice(1, -1)), fc.nat(300), (fields, code, more) => {
      const data = message(fields);
      if (data.length < 240) return;
      // What lies behind the message must not matter.
      const buffer = concat(data, new Uint8Array(more).fill(code));
      const value = new Uint8Array(1024);
      const length = parseOption(buffer, data.length, code, value);
      const wanted = expected(data, code);
      t.deepEqual(length < 0 ? null : [...value.subarray(0, length)], wanted);
      t.is(isReply(buffer, data.length, value), wanted !== null && data.length > 240);
    }),
    RUNS,
  );
});

test("any bytes at all: no answer but a number", (t) => {
  fc.assert(
    fc.property(bytes(600), fc.nat(255), (data, code) => {
      const value = new Uint8Array(64);
      const length = parseOption(data, data.length, code, value);
      t.true(length >= -1 && length <= 64);
      isReply(data, data.length, value);
    }),
    RUNS,
  );
});

test("a lease, whatever the server says, is one that a host can live with, and plain data", (t) => {
  let accepted = 0;
  fc.assert(
    fc.property(reply, (fields) => {
      const data = message({ ...fields, end: true, length: undefined });
      const value = new Uint8Array(1024);
      if (!isReply(data, data.length, value)) return;
      const lease = parseLease(data, data.length, value, EXTRAS, false);
      if (!lease) return;
      accepted++;
      t.true(lease.prefix >= 1 && lease.prefix <= 32);
      const parts = lease.address.split(".").map(Number);
      t.true(parts[0] > 0 && parts[0] !== 127 && parts[0] < 224);
      t.true(lease.leaseTime >= 60 && lease.leaseTime <= 0xffffffff);
      t.true(
        lease.renewTime >= 30 && lease.renewTime < lease.rebindTime && lease.rebindTime < lease.leaseTime,
      );
      t.true(lease.routes.length <= 8 && lease.nameServers.length <= 4 && lease.search.length <= 8);
      t.true(lease.mtu === 0 || lease.mtu >= 576);
      for (const name of [lease.domain, lease.hostName, ...lease.search]) t.regex(name, /^[-\w.]{0,253}$/);
      const plain = JSON.parse(JSON.stringify({ ...lease, options: [] }));
      t.deepEqual(plain, { ...lease, options: [] });
    }),
    RUNS,
  );
  t.true(accepted > 20, `${accepted} leases`);
});

test("names hold letters, digits, hyphens, underscores and dots alone", (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        bytes(260),
        fc.stringMatching(/^[-\w.\0]*$/).map((s) => new Uint8Array(Buffer.from(s))),
      ),
      (data) => {
        const text = Buffer.from(data).toString("latin1").replace(/\0+$/, "");
        t.is(hostText(data, 0, data.length), /^[-\w.]{0,253}$/.test(text) ? text : "");
      },
    ),
    RUNS,
  );
});

/** Things that happen to a client. */
type Step = (c: ClientTest) => void;
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.integer({ min: 1, max: 4000000 }).map(
      (ms): Step =>
        (c) =>
          c.world.run(ms),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.integer({ min: 1, max: 20000 }).map(
      (ms): Step =>
        (c) =>
          c.world.run(ms),
    ),
  },
  fc.boolean().map(
    (silent): Step =>
      (c) =>
        (c.server.silent = silent),
  ),
  fc.boolean().map(
    (refuses): Step =>
      (c) =>
        (c.server.refuses = refuses),
  ),
  fc.constantFrom("10.0.0.50", "10.0.0.60", "224.0.0.1").map(
    (text): Step =>
      (c) =>
        (c.server.yiaddr = text),
  ),
  fc.constantFrom("10.0.0.2", "10.0.0.3").map(
    (text): Step =>
      (c) =>
        (c.server.identifier = text),
  ),
  fc.constantFrom(0, 60, 3600, 86400, 0xffffffff).map(
    (time): Step =>
      (c) =>
        (c.server.leaseTime = time),
  ),
  fc.boolean().map(
    (up): Step =>
      (c) =>
        c.nif.carrier(up),
  ),
  fc.constant<Step>((c) => c.client.renew()),
  fc.constant<Step>((c) => {
    if (c.client.entry) c.ip.dropAddress(c.client.entry);
  }),
  fc.boolean().map(
    (room): Step =>
      (c) =>
        (c.probe.room = room),
  ),
  fc.boolean().map(
    (good): Step =>
      (c) =>
        (c.host.faults.random = good ? "" : "fail"),
  ),
  {
    weight: 3,
    arbitrary: reply.map(
      (fields): Step =>
        (c) =>
          c.probe.send(replyFrame(message({ ...fields, xid: c.client.xid }))),
    ),
  },
);

test("whatever happens: address, routes and callbacks agree with the lease; one timer; nothing is sent too often", (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(1000), (steps, seed) => {
      const c = clientTest(null, { worldOptions: { seed }, dhcp: { options: EXTRAS } });
      c.probe.answersArp = null;
      for (const each of steps) {
        each(c);
        c.world.run(0);
        const { client } = c;
        t.is(client.lease !== null, client.entry !== null, "no conflict detection here: bound at once");
        t.is(c.ip.addresses.length, client.entry ? 1 : 0);
        t.true(c.ip.fib.list().length <= (client.entry ? 9 : 0));
        if (client.state >= DHCP_BOUND) t.truthy(client.lease);
        t.true(c.stack.timers.count() <= 4, "the client's, and those of the neighbour cache");
        t.is(c.udp.sockets.size, 1);
        let bound = false;
        for (const event of c.events) {
          if (event.startsWith("lost")) t.true(bound, c.events.join());
          bound = event.startsWith("bound");
        }
        t.is(bound, client.lease !== null, c.events.join());
      }
      // Renewals are the application's business here.
      const sent = c.server.take().filter((each) => each.ciaddr === "0.0.0.0");
      for (let i = 8; i < sent.length; i++) {
        t.true(sent[i].time - sent[i - 8].time > 3000, "nine messages in three seconds");
      }
      c.host.faults.random = "";
      c.probe.room = true;
      Object.assign(c.server, { silent: false, refuses: false, yiaddr: "10.0.0.70", leaseTime: 3600 });
      c.server.options = [address(1, "255.255.255.0"), seconds(58, 1000)];
      c.nif.carrier(true);
      c.client.renew();
      c.world.run(5000000);
      t.truthy(c.client.lease, "in the end there is a lease");
      c.stack.close();
      t.is(c.stack.timers.count(), 0);
      t.is(c.stack.pool.used, 0);
      t.deepEqual(c.world.panics, []);
    }),
    { numRuns: 300 },
  );
});
