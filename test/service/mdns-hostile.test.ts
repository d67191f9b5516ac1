/** Multicast DNS among strangers: what is ignored, what it costs, and that nothing that comes does harm. */
import test from "ava";
import fc from "fast-check";
import { concat, hex } from "../support/bytes.js";
import { be16 } from "../support/packets.js";
import { wireName } from "./dns-support.js";
import { decodeTxt, encodeTxt, fromLabel, fromUtf8, toLabel, utf8 } from "../../stack/service/dnssd-text.js";
import { Writer, nameOf, parseMessage } from "../../stack/service/mdns-message.js";
import {
  createLan,
  createSpy,
  mdnsRecord,
  message,
  query,
  question,
  readMessage,
  response,
  srv,
} from "./mdns-support.js";

type Spy = ReturnType<typeof createSpy>;

function busy(t: Parameters<typeof createLan>[0], asking = true, six = false) {
  const lan = createLan(t, { six });
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  host.mdns.publish({
    name: "Attic",
    type: "_http._tcp",
    port: 80,
    txt: { path: "/" },
    subtypes: ["_light"],
  });
  if (asking) {
    host.mdns.browse("_http._tcp", { onFound: () => {}, onLost: () => {} });
    host.mdns.watch("x.local", 255, { onRecord: () => {} });
  }
  lan.run(5000);
  return { lan, host, counters: host.mdns.port.counters };
}

const total = (spy: Spy) => spy.take().reduce((sum, each) => sum + each.bytes.length, 0);

test("MDN-01 strangers who are not of this link get no byte", (t) => {
  const { lan, host, counters } = busy(t, false);
  host.ip.addRoute("0.0.0.0/0", { gateway: "10.0.0.200" });
  const gateway = createSpy(t, lan);
  const far = createSpy(t, lan, "192.0.2.9/24");
  far.ip.addRoute("10.0.0.0/24", { interface: far.nif });
  lan.run(1100);
  const sent = host.udp.counters.sent;
  const ask = query(question("lamp.local", "A", true), question("_http._tcp.local", "PTR"));
  far.say(ask, "10.0.0.1");
  far.sayLegacy(ask, "10.0.0.1");
  far.sayLegacy(ask);
  far.say(response(mdnsRecord("lamp.local", "A", 120, "10.0.0.66", true)), "10.0.0.1");
  lan.run(2000);
  t.is(total(far), 0);
  t.is(host.udp.counters.sent, sent);
  t.is(counters.offLink + counters.ignored, 4);
  t.is(counters.conflicts, 0);
  // To the group, but not with the time to live that says that no router has seen it.
  const low = createSpy(t, lan, "192.0.2.10/24", 254);
  low.say(query(question("lamp.local", "A")));
  lan.run(2000);
  t.is(counters.offLink + counters.ignored, 5);
  t.is(host.udp.counters.sent, sent);
  // Another network on the same wire: it may ask, and hears what all hear.
  gateway.take();
  far.say(query(question("lamp.local", "A", true)));
  lan.run(2000);
  t.deepEqual(
    gateway
      .take()
      .filter((each) => each.response)
      .map((each) => each.unicast),
    [false],
  );
});

test("MDN-01 over IPv6: strangers who are not of this link get no byte, neighbours an answer", (t) => {
  const { lan, host, counters } = busy(t, false, true);
  host.ip6!.addAddress(host.nif, "2001:db8:1::1/64");
  host.ip6!.addRoute("::/0", { gateway: "2001:db8:1::200" });
  createSpy(t, lan, "2001:db8:1::200/64");
  const far = createSpy(t, lan, "2001:db8:66::9/64");
  far.ip6!.addRoute("2001:db8:1::/64", { interface: far.nif });
  // Whom it asks for the host's hardware address answers by the gateway, which takes nothing back to it.
  const { cache } = far.discovery;
  cache.learn(cache.obtain(far.nif, 0x20010db8, 0x10000, 0, 1)!, host.nif.high, host.nif.low, true);
  lan.run(3000);
  const before = counters.offLink + counters.ignored;
  far.take();
  const sent = host.udp.counters.sent;
  const ask = query(question("lamp.local", "AAAA", true), question("_http._tcp.local", "PTR"));
  t.is(far.say(ask, "2001:db8:1::1"), ask.length);
  far.sayLegacy(ask, "2001:db8:1::1");
  far.sayLegacy(ask);
  far.say(response(mdnsRecord("lamp.local", "AAAA", 120, "2001:db8:66::9", true)), "2001:db8:1::1");
  lan.run(2000);
  t.is(total(far), 0);
  t.is(host.udp.counters.sent, sent);
  t.is(counters.offLink + counters.ignored - before, 4);
  t.is(counters.conflicts, 0);
  // To the group, but not with the hop limit that says that no router has seen it.
  const low = createSpy(t, lan, "2001:db8:66::10/64", 254);
  low.say(query(question("lamp.local", "AAAA")));
  lan.run(2000);
  t.is(counters.offLink + counters.ignored - before, 5);
  t.is(host.udp.counters.sent, sent);
  const near = createSpy(t, lan, "2001:db8:1::9/64", 1);
  near.say(query(question("lamp.local", "AAAA")));
  lan.run(50);
  near.sayLegacy(query(question("lamp.local", "AAAA")));
  lan.run(50);
  t.deepEqual(
    near
      .take()
      .filter((each) => each.response)
      .map((each) => [each.port, each.from.slice(0, 4)]),
    [
      [5353, "fe80"],
      [40000, "2001"],
    ],
  );
});

test("MDN-01 a neighbour with any time to live, and an old resolver, are answered", (t) => {
  const { lan } = busy(t);
  const spy = createSpy(t, lan, "10.0.0.200/24", 1);
  spy.say(query(question("lamp.local", "A")));
  lan.run(50);
  spy.sayLegacy(query(question("lamp.local", "A")));
  lan.run(50);
  t.deepEqual(
    spy
      .take()
      .filter((each) => each.response)
      .map((each) => each.port),
    [5353, 40000],
  );
});

test("MDN-02 names that loop, counts that lie, a thousand questions: dropped, each counted once", (t) => {
  const { lan, host, counters } = busy(t, false);
  const spy = createSpy(t, lan);
  lan.run(1100);
  const one = question("lamp.local", "A");
  const raw = (name: Uint8Array) => concat(name, be16(1), be16(1));
  const bad = [
    message({ questions: [raw(be16(0xc00c))] }),
    message({ questions: [raw(be16(0xc00e)), raw(be16(0xc00c))] }),
    message({ questions: [raw(be16(0xffff))] }),
    message({ questions: [raw(hex("40 61 00"))] }),
    message({
      questions: [raw(concat(...Array(5).fill(concat(hex("3f"), new Uint8Array(63).fill(97))), hex("00")))],
    }),
    message({ questions: [one], counts: [2, 0, 0, 0] }),
    message({ questions: [one], counts: [1, 65535, 0, 0] }),
    message({ questions: [one], counts: [1, 0, 65535, 0] }),
    message({ flags: 0x8400, counts: [0, 0, 0, 65535] }),
    message({ questions: [one], answers: [mdnsRecord("lamp.local", "A", 120, hex("0a 00 00"))] }),
    message({ questions: [one], answers: [mdnsRecord("lamp.local", "SRV", 120, hex("0a 00 00"))] }),
    message({ questions: [one], answers: [mdnsRecord("lamp.local", 47, 120, hex("c0ff"))] }),
    hex("00 00 00"),
    hex(""),
  ];
  for (const each of bad) spy.say(each);
  lan.run(500);
  t.is(counters.malformed, bad.length);
  spy.say(message({ questions: [one, ...Array<Uint8Array>(128).fill(raw(be16(0xc00c)))] }));
  spy.say(message({ questions: [one], counts: [1000, 0, 0, 0] }));
  lan.run(500);
  t.is(counters.tooMany, 2);
  spy.say(message({ flags: 0x7800, questions: [one] }));
  spy.say(message({ flags: 0x0003, questions: [one] }));
  spy.sayLegacy(response(mdnsRecord("lamp.local", "A", 120, "10.0.0.66", true)));
  lan.run(500);
  t.is(counters.ignored, 3);
  t.is(total(spy), 0);
  t.is(host.mdns.responder.claims[0]!.tries, 1);
  // As many as there may be are one answer.
  spy.say(message({ questions: [one, ...Array<Uint8Array>(99).fill(raw(be16(0xc00c)))] }));
  lan.run(500);
  t.deepEqual(
    spy
      .take()
      .filter((each) => each.response)
      .map((each) => each.answers.length),
    [1],
  );
});

test("MDN-02 a truncated query that never ends is answered all the same", (t) => {
  const { lan } = busy(t);
  const spy = createSpy(t, lan);
  lan.run(1100);
  const start = lan.world.time;
  spy.say(message({ flags: 0x0200, questions: [question("lamp.local", "A")] }));
  for (let i = 0; i < 100; i++) {
    lan.run(100);
    spy.say(message({ flags: 0x0200, answers: [mdnsRecord("other.local", "A", 120, "10.0.0.66")] }));
  }
  const said = spy.take().filter((each) => each.response);
  t.is(said.length, 1);
  t.true(said[0]!.time - start < 3600);
});

test("a flood of records fills no more memory than there may be, and what is asked for stays", (t) => {
  const { lan, host, counters } = busy(t);
  const spy = createSpy(t, lan);
  const events: string[] = [];
  host.mdns.browse("_ipp._tcp", {
    onFound: ({ name }) => events.push("+" + name),
    onLost: ({ name }) => events.push("-" + name),
  });
  lan.run(1100);
  const pointer = (name: string) => mdnsRecord("_ipp._tcp.local", "PTR", 4500, name + "._ipp._tcp.local");
  spy.say(response(pointer("Good")));
  lan.run(10);
  for (let i = 0; i < 2000; i++) {
    const junk = Array.from({ length: 5 }, (_, k) =>
      mdnsRecord(`junk${i}-${k}.local`, "A", 86400, "10.0.0.66"),
    );
    // Nothing of it is asked for, but for one record of every other message.
    spy.say(response(...(i % 2 ? [pointer("Good")] : []), ...junk));
    lan.run(1);
  }
  const { memory } = host.mdns.querier.ears[0]!;
  t.true(memory.table.size <= 256, `${memory.table.size}`);
  t.deepEqual(events, ["+Good"]);
  t.is(counters.full, 0);
  for (let i = 0; i < 1000; i++) {
    spy.say(response(pointer("P" + i)));
    lan.run(1);
  }
  t.true(memory.table.size <= 256, `${memory.table.size}`);
  t.true(counters.full > 700);
  t.false(events.some((each) => each.startsWith("-")));
});

test("messages: any bytes are read or counted, once; what is read can be written and read again", (t) => {
  t.plan(2);
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, sane) => {
        // Counts that may be true, so that the parser comes further than the header.
        const data = Uint8Array.from(bytes);
        if (sane && data.length >= 12) for (let i = 4; i < 12; i++) data[i] = i % 2 ? data[i]! & 3 : 0;
        const counters = { malformed: 0, tooMany: 0 };
        const read = parseMessage(data, data.length, counters);
        return counters.malformed + counters.tooMany === (read ? 0 : 1);
      }),
      { numRuns: 3000 },
    ),
  );
  const label = fc
    .string({ minLength: 1, maxLength: 20 })
    .map((text) => toLabel(text.replace(/[\0-\x1f\x7f]/g, "x")));
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => nameOf(labels.join(".")));
  const record = fc.record({ owner: name, target: name, ttl: fc.nat(86400) });
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(record, { maxLength: 12 }), (records) => {
        const writer = new Writer();
        writer.begin(7, 0x8400, 1452);
        const written = records.filter(({ owner, target, ttl }) =>
          writer.record(6, owner.bytes, 12, 0x8001, ttl, target.bytes),
        );
        const counters = { malformed: 0, tooMany: 0 };
        const read = parseMessage(writer.data, writer.at, counters)!;
        // By our own reader, and by the tests'.
        readMessage(writer.data.slice(0, writer.at));
        return (
          writer.at <= 1452 &&
          read.records.length === written.length &&
          read.records.every(
            (each, i) =>
              each.name === written[i]!.owner.key &&
              each.value === written[i]!.target.text &&
              each.ttl === written[i]!.ttl,
          )
        );
      }),
      { numRuns: 500 },
    ),
  );
});

test("texts: what is encoded is decoded, and any bytes are some text", (t) => {
  const text = fc.string({ unit: "binary", maxLength: 15 });
  fc.assert(
    fc.property(text, (value) => {
      const bytes = utf8(value);
      t.deepEqual(bytes, [...Buffer.from(value, "utf8")]);
      return fromUtf8(String.fromCharCode(...bytes)) === value;
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      const back = fromUtf8(String.fromCharCode(...bytes));
      const valid = Buffer.from(Buffer.from(bytes).toString("utf8"), "utf8").equals(Buffer.from(bytes));
      return !valid || back === Buffer.from(bytes).toString("utf8");
    }),
  );
  fc.assert(
    fc.property(text, (value) => {
      const clean = value.replace(/[\0-\x1f\x7f]/g, "") || "x";
      return Buffer.byteLength(clean) > 63 || fromLabel(toLabel(clean) + "._x._tcp.local") === clean;
    }),
  );
  const long = toLabel("ü".repeat(31), " (2)");
  t.is(fromLabel(long), "ü".repeat(29) + " (2)");
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z0-9 -]{1,9}$/), text), (pairs) => {
      const data = encodeTxt(pairs);
      const strings: string[] = [];
      for (let at = 0; at < data.length; at += 1 + data[at]!) {
        strings.push(String.fromCharCode(...data.subarray(at + 1, at + 1 + data[at]!)));
      }
      const back = decodeTxt(strings);
      return Object.keys(pairs).every((key) => back[key] === pairs[key]);
    }),
  );
  t.deepEqual(decodeTxt(["A=1", "a=2", "=x", "", "b", "c=", "__proto__=1"]), { a: "1", b: true, c: "" });
});

test("any bytes to a busy host: nothing is thrown, memory and answers are bounded", (t) => {
  const { lan, host, counters } = busy(t);
  const spy = createSpy(t, lan);
  lan.run(1100);
  total(spy);
  const names = [
    "lamp.local",
    "Attic._http._tcp.local",
    "_http._tcp.local",
    "x.local",
    "_services._dns-sd._udp.local",
  ];
  const name = fc.constantFrom(...names);
  const type = fc.constantFrom(1, 12, 16, 28, 33, 47, 255);
  const dataOf = (kind: number, target: string, byte: number): string | Uint8Array => {
    if (kind === 1) return Uint8Array.of(10, 0, 0, byte);
    if (kind === 28) return concat(hex("fe80"), new Uint8Array(13), Uint8Array.of(byte));
    if (kind === 12) return target;
    if (kind === 33) return srv(80 + byte, target);
    if (kind === 47) return concat(wireName(target), Uint8Array.of(0, 1, byte));
    return Uint8Array.of(1, byte);
  };
  const record = fc
    .tuple(name, type, fc.constantFrom(0, 1, 120, 0xffffffff), name, fc.nat(3), fc.boolean())
    .map(([owner, kind, ttl, target, byte, flush]) =>
      mdnsRecord(owner, kind, ttl, dataOf(kind, target, byte), flush),
    );
  const whole = fc
    .record({
      flags: fc.constantFrom(0, 0x0200, 0x8400, 0x8000),
      questions: fc.array(
        fc.tuple(name, type, fc.boolean()).map(([n, k, u]) => question(n, k, u)),
        { maxLength: 5 },
      ),
      answers: fc.array(record, { maxLength: 3 }),
      authorities: fc.array(record, { maxLength: 2 }),
    })
    .map(message);
  const spoiled = fc
    .tuple(whole, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }))
    .map(([bytes, changes]) => {
      const copy = Uint8Array.from(bytes);
      for (const [at, value] of changes) copy[at % copy.length] = value;
      return copy;
    });
  let sent = 0;
  let count = 0;
  fc.assert(
    fc.property(fc.oneof(whole, spoiled, fc.uint8Array({ maxLength: 200 })), fc.boolean(), (bytes, old) => {
      (old ? spy.sayLegacy : spy.say)(bytes);
      lan.run(20);
      count++;
      sent += total(spy);
      return host.mdns.querier.ears[0]!.memory.table.size <= 256 && lan.world.panics.length === 0;
    }),
    { numRuns: 1500, endOnFailure: true },
  );
  // In 30 seconds; each message of ours is read by the tests' own reader as well.
  t.true(sent < 2_000_000, `${sent} bytes for ${count} messages`);
  t.true(counters.received > 500, `${counters.received}`);
});
