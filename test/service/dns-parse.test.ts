/** DNS messages: names and records that lie in all ways, and names that go to the wire and back. */
import test from "ava";
import fc from "fast-check";
import { format6 } from "../../stack/core/text6.js";
import { readAnswer } from "../../stack/service/dns-answer.js";
import { Cursor, emitName, parseData, parseName, parseRecord } from "../../stack/wire/dns.js";
import { ascii, concat, hex, ip6Bytes } from "../support/bytes.js";
import { be16, be32 } from "../support/packets.js";
import { parseQuery, record, reply, soa, wireName } from "./dns-support.js";

const HEADER = new Uint8Array(12);

/** Reads the name at `at` of a header and `body`. */
function read(body: Uint8Array, at = 12): { name: string | null; at: number } {
  const bytes = concat(HEADER, body);
  const cursor = new Cursor(bytes, at, bytes.length);
  const name = parseName(cursor);
  return { name, at: cursor.at };
}

const pointer = (target: number) => be16(0xc000 | target);

test("names are read, with and without pointers", (t) => {
  t.deepEqual(read(hex("00")), { name: "", at: 13 });
  t.deepEqual(read(wireName("a.bc.def")), { name: "a.bc.def", at: 22 });
  const body = concat(
    wireName("example.org"),
    hex("03"),
    ascii("www"),
    pointer(12),
    hex("01"),
    ascii("a"),
    pointer(25),
  );
  t.deepEqual(read(body, 25), { name: "www.example.org", at: 31 });
  t.deepEqual(read(body, 31), { name: "a.www.example.org", at: 35 });
});

test("DNS-01 pointers that lead to themselves, in circles, forward, into the header or nowhere", (t) => {
  const bad: [string, Uint8Array, number][] = [
    ["to itself", pointer(12), 12],
    ["to itself, after a label", concat(hex("0161"), pointer(12)), 12],
    ["two in a circle", concat(pointer(14), pointer(12)), 14],
    ["forward", concat(pointer(14), wireName("a")), 12],
    ["forward to the end", pointer(14), 12],
    ["beyond the end", pointer(0x3fff), 12],
    ["to the header", concat(wireName("a"), pointer(0)), 15],
    ["to the header's end", concat(wireName("a"), pointer(11)), 15],
    ["into itself, through a label before", concat(hex("016103"), pointer(14), hex("00")), 15],
    ["as the last byte", concat(wireName("a"), hex("c0")), 15],
  ];
  for (const [what, body, at] of bad) t.is(read(body, at).name, null, what);
});

test("DNS-01 a chain of pointers ends after 16, one into the middle of a label is a name like any other", (t) => {
  const chain = (length: number) => {
    const parts = [wireName("a")];
    for (let i = 0; i < length; i++) parts.push(pointer(i === 0 ? 12 : 13 + 2 * i));
    return concat(...parts);
  };
  t.is(read(chain(16), 13 + 2 * 16).name, "a");
  for (const length of [17, 127, 200, 5000]) t.is(read(chain(length), 13 + 2 * length).name, null);
  t.is(read(concat(hex("03"), hex("016100"), hex("00"), pointer(13)), 17).name, "a");
  t.is(read(concat(hex("03"), hex("026100"), pointer(13), hex("00")), 16).name, null);
});

test("DNS-02 lengths of labels and names", (t) => {
  for (let length = 64; length < 192; length++) {
    t.is(read(concat(Uint8Array.of(length), new Uint8Array(300).fill(97))).name, null, "label of " + length);
  }
  const label = "x".repeat(63);
  t.is(read(wireName(label)).name, label);
  const longest = [label, label, label, "x".repeat(61)].join(".");
  t.is(wireName(longest).length, 255);
  t.is(read(wireName(longest)).name, longest);
  t.is(read(wireName(longest + "x")).name, null);
  t.is(read(wireName([label, label, label, "x".repeat(59), "y", "z"].join("."))).name, null);
  t.is(read(wireName(Array(127).fill("a").join("."))).name?.length, 253);
  t.is(read(wireName(Array(128).fill("a").join("."))).name, null);
  // A name that grows beyond its limit by a pointer.
  t.is(read(concat(wireName(longest), hex("0161"), pointer(12)), 12 + 255).name, null);
  for (let cut = 0; cut < 22; cut++)
    t.is(read(wireName("example.www.example.org").subarray(0, cut)).name, null);
});

test("DNS-02 bytes that a name should not have are written out, so that no other name looks the same", (t) => {
  const name = (label: number[]) => read(concat(Uint8Array.of(label.length, ...label), hex("0161 00"))).name;
  t.is(name([0]), "\\000.a");
  t.is(name([46]), "\\..a");
  t.is(name([92]), "\\\\.a");
  t.is(name([119, 46, 99, 0, 32, 200, 127]), "w\\.c\\000\\032\\200\\127.a");
});

test("names go to the wire and back", (t) => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 63 });
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(label, { maxLength: 8 }), (labels) => {
        const wire = concat(...labels.map((each) => concat(Uint8Array.of(each.length), each)), hex("00"));
        const { name } = read(wire);
        if (wire.length > 255) return name === null;
        const target = new Uint8Array(300).fill(0xee);
        const end = emitName(name!, target, 7);
        return (
          end === 7 + wire.length &&
          wire.every((byte, i) => target[7 + i] === byte) &&
          target[end] === 0xee &&
          (name === "" || emitName(name + ".", target, 7) === end)
        );
      }),
    ),
  );
});

test("what is no name is not written", (t) => {
  const target = new Uint8Array(512);
  const emit = (name: string) => emitName(name, target, 0);
  t.is(emit(""), 1);
  t.is(emit("."), 1);
  t.is(emit("my printer.local."), 18);
  const longest = wireName(
    "a".repeat(63) + (".".padEnd(64, "b") + ".".padEnd(64, "c") + ".".padEnd(62, "d")),
  );
  t.is(longest.length, 255);
  const bad = [
    "..",
    ".a",
    "a..b",
    "a..",
    "x".repeat(64),
    "m\xfcnchen.de",
    "\u212a.com",
    "a\nb",
    "a\0b",
    "\\",
    "a\\",
    "a\\2",
    "a\\25",
    "a\\256",
    "a\\999.b",
    "a.".repeat(128),
    "a".repeat(1e6),
    "a.".repeat(1e6),
  ];
  for (const name of bad) t.is(emit(name), -1, name.slice(0, 20));
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        target.fill(0xee);
        const end = emit(name);
        return end === -1 || (end >= 1 && end <= 255 && target[255] === 0xee);
      }),
    ),
  );
});

test("data of each type", (t) => {
  const data = (type: string | number, bytes: Uint8Array) => {
    const body = concat(HEADER, record("a", type, 60, bytes));
    const cursor = new Cursor(body, 12, body.length);
    t.true(parseRecord(cursor));
    return parseData(cursor);
  };
  t.is(data("A", hex("c0000201")), "192.0.2.1");
  t.is(data("AAAA", ip6Bytes("2001:db8::1")), "2001:db8::1");
  t.is(data("NS", wireName("Ns.Example")), "Ns.Example");
  t.is(data("PTR", wireName("host")), "host");
  t.deepEqual(data("TXT", hex("0161 00 026263")), ["a", "", "bc"]);
  t.deepEqual(data("TXT", hex("")), []);
  t.deepEqual(data("MX", concat(hex("000a"), wireName("mail"))), { preference: 10, exchange: "mail" });
  t.deepEqual(data("SRV", concat(hex("0001 0002 1f90"), wireName("host.a"))), {
    priority: 1,
    weight: 2,
    port: 8080,
    target: "host.a",
  });
  t.deepEqual(data(257, hex("0102")), hex("0102"));
  const bad: [string, string][] = [
    ["A", "c00002"],
    ["A", "c000020101"],
    ["AAAA", "00"],
    ["NS", ""],
    ["NS", "016100 00"],
    ["NS", "0161"],
    ["MX", "000a"],
    ["MX", "00"],
    ["SRV", "0001 0002 1f90"],
    ["SRV", "0001 0002 1f90 01"],
    ["TXT", "0261"],
    ["TXT", "0161 ff"],
    ["PTR", "c019"],
  ];
  for (const [type, bytes] of bad) t.is(data(type, hex(bytes)), null, type + " " + bytes);
});

test("IPv6 addresses are written as RFC 5952 says", (t) => {
  const texts = [
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["fe80:0:0:0:abcd:ef01:2345:6789", "fe80::abcd:ef01:2345:6789"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["0:0:1:2:3:4:0:0", "::1:2:3:4:0:0"],
  ];
  for (const [whole, text] of texts) t.is(format6(ip6Bytes(whole), 0), text);
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 0, 1, 0xffff, 0x10), { minLength: 8, maxLength: 8 }),
        (groups) => {
          const bytes = concat(...groups.map(be16));
          return ip6Bytes(format6(bytes, 0)).every((byte, i) => byte === bytes[i]);
        },
      ),
    ),
  );
});

test("DNS-04 counts that lie end with the data", (t) => {
  const query = parseQuery(concat(hex("0001 0100 0001 0000 0000 0000"), wireName("a.b"), hex("0001 0001")));
  const answers = [record("a.b", "A", 60, "10.0.0.1")];
  const parse = (bytes: Uint8Array) => readAnswer(bytes, bytes.length, "a.b", 1, "A", 0);
  t.is(parse(reply(query, { answers }))?.records.length, 1);
  for (const counts of [
    [1, 65535, 0, 0],
    [1, 2, 0, 0],
  ]) {
    t.is(parse(reply(query, { answers, counts })), null);
  }
  // What is not needed is not looked at.
  t.is(parse(reply(query, { answers, counts: [1, 1, 65535, 65535] }))?.code, 0);
  t.is(parse(reply(query, { counts: [1, 0, 65535, 0] })), null);
  const whole = reply(query, { answers });
  for (let length = 12; length < whole.length; length++) {
    const cut = whole.slice(0, length);
    t.is(readAnswer(cut, length, "a.b", 1, "A", 0), null, length + " bytes");
  }
  t.is(parse(reply(query, { answers: [record("a.b", "A", 60, "10.0.0.1", 5)] })), null);
  t.is(parse(reply(query, { answers: [record("x.y", "A", 60, "10.0.0.1", 65535)] })), null);
});

test("DNS-04 any bytes are read to an end without an exception, and what is kept of them says the same again", (t) => {
  const name = fc.constantFrom("a.b", "a.b", "a.b", "c.a.b", "", "z");
  const part = fc.oneof(
    fc.constant(record("a.b", "A", 60, "10.0.0.1")),
    fc
      .tuple(name, fc.constantFrom("A", "CNAME", "TXT", "AAAA"), fc.integer())
      .map(([owner, type, ttl]) =>
        record(
          owner,
          type,
          ttl,
          type === "CNAME" ? "c.a.b" : type === "TXT" ? "text" : type === "A" ? "10.0.0.1" : "::1",
        ),
      ),
    fc.tuple(name, fc.integer(), fc.integer()).map(([owner, ttl, minimum]) => soa(owner, ttl, minimum)),
    fc.uint8Array({ maxLength: 30 }),
    fc.constantFrom(pointer(12), pointer(20), pointer(300)),
  );
  const message = fc.record({
    flags: fc.constantFrom(0x8180, 0x8183, 0xffff),
    counts: fc.tuple(fc.constant(1), fc.nat(4), fc.nat(3), fc.nat(2)),
    parts: fc.array(part, { maxLength: 6 }),
  });
  const question = concat(wireName("a.b"), hex("0001 0001"));
  let positive = 0;
  t.notThrows(() =>
    fc.assert(
      fc.property(message, ({ flags, counts, parts }) => {
        const bytes = concat(be16(1), be16(flags), ...counts.map(be16), question, ...parts);
        const first = readAnswer(bytes, bytes.length, "a.b", 1, "A", 0);
        if (first === null) return true;
        if (first.records.length > 0) positive++;
        // The cache keeps no more than `end` bytes.
        const again = readAnswer(bytes.slice(0, first.end), first.end, "a.b", 1, "A", 0);
        return (
          first.code === -40 ||
          (again !== null &&
            JSON.stringify(again) === JSON.stringify(first) &&
            first.ttl >= 0 &&
            first.ttl <= 86400)
        );
      }),
      { numRuns: 2000 },
    ),
  );
  t.true(positive > 50, positive + " with records");
});

test("DNS-09 RES-06 the worst 64 KiB cost no more than their length", (t) => {
  const question = concat(wireName("a"), hex("0001 0001"));
  const deep = [concat(hex("00"), be16(16), hex("0001"), be32(1), be16(40))];
  for (let i = 0; i < 16; i++) deep.push(pointer(i === 0 ? 19 : 29 + 2 * i));
  const work = (records: number) => {
    const parts = [...deep, new Uint8Array(8)];
    const last = 29 + 2 * 16;
    for (let i = 0; i < records; i++) parts.push(concat(pointer(last), hex("0010 0001 00000001 0000")));
    const bytes = concat(be16(1), be16(0x8180), be16(1), be16(records + 1), be32(0), question, ...parts);
    let reads = 0;
    const counted = new Proxy(bytes, {
      get(target, key) {
        reads++;
        return Reflect.get(target, key) as unknown;
      },
    });
    readAnswer(counted, bytes.length, "a", 1, "A", 0);
    return reads;
  };
  const [one, two, four] = [work(500), work(1000), work(2000)];
  t.true(two / one < 2.5 && four / two < 2.5, `${one} ${two} ${four}`);
});
