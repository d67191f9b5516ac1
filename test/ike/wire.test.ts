/** IKE's formats: hostile lengths (IKE-01), proposals (IKE-06), selectors (IKE-09), and what is written is read again. */
import test from "ava";
import fc from "fast-check";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { Algorithms, idOf, transform, typeOf } from "../../stack/ike/algorithms.js";
import { attributes } from "../../stack/ike/cp.js";
import { identityText, parseIdentity, readIdentity, identityBody } from "../../stack/ike/identity.js";
import {
  Message,
  PAYLOADS,
  SYNTAX,
  Writer,
  emitPlain,
  parseHeader,
  parsePayloads,
} from "../../stack/ike/message.js";
import { accepted, choose, emitProposals, parseProposals } from "../../stack/ike/proposals.js";
import { Protection } from "../../stack/ike/protection.js";
import { emitSelectors, narrow, parseSelector, parseSelectors, within } from "../../stack/ike/selectors.js";
import type { Selector } from "../../stack/ike/selectors.js";
import * as wire from "../../stack/wire/ike.js";

const crypto = nodeCrypto();
const known = new Algorithms(crypto);
const SPI = new Uint8Array(8).fill(7);
const NONE = new Uint8Array(0);

/** The body of the only payload that `write` writes. */
function body(write: (out: Writer) => void): Uint8Array {
  const out = new Writer();
  write(out);
  out.end();
  return out.data.slice(4, out.length);
}

function payloads(data: Uint8Array, first: number): number {
  return parsePayloads(new Message(data), data, 0, data.length, first);
}

test("IKE-01 headers whose length lies; chains of payloads that lie, are endless, or critical", (t) => {
  for (let length = 0; length < 28; length++) t.is(parseHeader(new Uint8Array(length)), null);
  const good = emitPlain(SPI, SPI, wire.INFORMATIONAL, 0, 5, new Writer());
  t.is(parseHeader(good)!.id, 5);
  for (const lie of [0, 27, 29, 0xffff]) {
    const bad = good.slice();
    bad[26] = lie >> 8;
    bad[27] = lie;
    t.is(parseHeader(bad), null);
  }
  for (const length of [0, 1, 2, 3, 9, 0xffff]) {
    t.is(payloads(Uint8Array.of(0, 0, length >> 8, length, 0, 0, 0, 0), wire.PAYLOAD_VENDOR), SYNTAX);
  }
  // A thousand of them, each pointing at the next.
  const chain = new Uint8Array(4000);
  for (let i = 0; i < 1000; i++) chain.set([wire.PAYLOAD_VENDOR, 0, 0, 4], 4 * i);
  const message = new Message(chain);
  t.is(parsePayloads(message, chain, 0, chain.length, wire.PAYLOAD_VENDOR), SYNTAX);
  t.is(message.types.length, PAYLOADS);
  t.is(payloads(Uint8Array.of(0, wire.CRITICAL, 0, 4), 200), 200);
  t.is(payloads(Uint8Array.of(0, 0, 0, 4), 200), 0);
  // Nonces of 15 and 257 bytes (IKE-10), a notification whose SPI is longer than it.
  for (const [size, code] of [
    [15, SYNTAX],
    [16, 0],
    [256, 0],
    [257, SYNTAX],
  ] as const) {
    const nonce = new Uint8Array(4 + size);
    nonce[2] = (4 + size) >> 8;
    nonce[3] = 4 + size;
    t.is(payloads(nonce, wire.PAYLOAD_NONCE), code);
  }
  t.is(payloads(Uint8Array.of(0, 0, 0, 8, 3, 1, 0, 0), wire.PAYLOAD_NOTIFY), SYNTAX);
});

test("IKE-01 any bytes: what is found lies inside, and nothing throws", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(60), (data, first) => {
      const message = new Message(data);
      parsePayloads(message, data, 0, data.length, first);
      for (let i = 0; i < message.types.length; i++) {
        if (message.starts[i]! > message.ends[i]! || message.ends[i]! > data.length) return false;
        if (message.types[i] === wire.PAYLOAD_NOTIFY) message.notifyData(i);
      }
      message.error();
      parseHeader(data);
      parseProposals(data);
      if (data.length >= 4) parseSelectors(data);
      readIdentity(data);
      attributes(data, () => {});
      return true;
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test("proposals: what is written is read; texts say what they mean", (t) => {
  const codes = known.list.map(({ code }) => code);
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(fc.constantFrom(...codes), { minLength: 1 }), { minLength: 1, maxLength: 5 }),
      (suites) => {
        const data = body((out) => emitProposals(out, wire.PROTOCOL_IKE, SPI, suites));
        const read = parseProposals(data)!;
        t.deepEqual(
          read.map(({ transforms }) => transforms),
          suites,
        );
        t.deepEqual(read[0]!.spi, SPI);
        for (let cut = 1; cut < data.length; cut += 7) {
          if (cut !== data.length) t.is(parseProposals(data.subarray(0, cut)), null);
        }
      },
    ),
    { numRuns: 100 },
  );
  const suite = known.parse("aes256-sha384-ecp384", false);
  t.deepEqual(
    suite.map((code) => [typeOf(code), idOf(code)]),
    [
      [1, 12],
      [3, 13],
      [4, 20],
      [2, 6],
    ],
  );
  for (const bad of [
    "",
    "aes256",
    "des-sha256-x25519",
    "aes128gcm16",
    "aes128gcm16-sha256-x25519",
    "sha256-x25519",
    "ke9_x25519",
  ]) {
    t.throws(() => known.parse(bad, false), { code: "EINVAL" }, bad);
  }
  t.throws(() => known.parse("aes128gcm16-prfsha256", true), { code: "EINVAL" });
  // What is not there is not offered in silence.
  for (const esp of [false, true]) {
    const error = t.throws(() => known.parse("aes128gcm16-x25519-ke1_ecp256", esp), { code: "EOPNOTSUPP" });
    t.regex(error.message, /ke1_ecp256/);
  }
});

test("IKE-06 nothing weak, mixed, or of another key length is taken; counts are bounded", (t) => {
  const offer = (transforms: number[], suites = known.standard(false)) => {
    const data = body((out) => emitProposals(out, wire.PROTOCOL_IKE, NONE, [transforms]));
    return choose(parseProposals(data)!, wire.PROTOCOL_IKE, 0, suites, 0);
  };
  const good = [transform(1, 256, 20), transform(2, 0, 5), transform(4, 0, 31)];
  t.deepEqual(offer(good)!.suite, good);
  const [, prf, group] = good as [number, number, number];
  const weak = [
    [transform(1, 0, 11), transform(3, 0, 12), prf, group], // NULL
    [transform(1, 0, 2), transform(3, 0, 12), prf, group], // DES
    [transform(1, 0, 3), transform(3, 0, 12), prf, group], // 3DES
    [transform(1, 256, 12), transform(3, 0, 2), prf, group], // SHA-1
    [good[0]!, transform(2, 0, 2), group], // SHA-1 as PRF
    [good[0]!, prf, transform(4, 0, 1)], // MODP-768
    [good[0]!, prf, transform(4, 0, 0)], // none
    [good[0]!, prf, transform(4, 0, 1025)], // private
    [good[0]!, prf, group, transform(3, 0, 12)], // combined, and integrity too
    [transform(1, 0, 20), prf, group], // no key length
    [transform(1, 192, 20), prf, group],
    [transform(1, 512, 20), prf, group],
    [transform(1, 256, 12), prf, group], // no integrity
    [prf, group],
  ];
  for (const each of weak) t.is(offer(each), null, String(each));
  // Of the good and the weak together the good one is chosen.
  t.deepEqual(offer([transform(1, 0, 2), ...good, transform(4, 0, 1)])!.suite, good);
  const many = Array.from({ length: 255 }, () => Array.from({ length: 255 }, () => transform(1, 0, 3)));
  const read = parseProposals(body((out) => emitProposals(out, wire.PROTOCOL_IKE, NONE, many)))!;
  t.true(read.length <= 16 && read.every(({ transforms }) => transforms.length <= 64));
  // An answer may not hold two of one type, nor what was not offered.
  const answer = (transforms: number[]) =>
    accepted(
      parseProposals(body((out) => emitProposals(out, wire.PROTOCOL_IKE, NONE, [transforms])))!,
      1,
      0,
      [good],
    );
  t.deepEqual(answer(good)!.suite, good);
  t.is(answer([...good, transform(4, 0, 31)]), null);
  t.is(answer([transform(1, 128, 20), prf, group]), null);
});

const selector: fc.Arbitrary<Selector> = fc
  .record({
    size: fc.constantFrom(4, 16),
    protocol: fc.constantFrom(0, 0, 6, 17),
    a: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    b: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    ports: fc.constantFrom([0, 65535], [80, 80], [0, 1023]),
  })
  .map(({ size, protocol, a, b, ports }) => {
    const ends = [a.slice(0, size), b.slice(0, size)].sort((x, y) => Buffer.compare(x, y));
    return { protocol, startPort: ports[0]!, endPort: ports[1]!, start: ends[0]!, end: ends[1]! };
  });

test("IKE-09 selectors that lie; what is written is read; what is narrowed lies in both", (t) => {
  const parse = (...bytes: number[]) => parseSelectors(Uint8Array.from(bytes));
  const one = [7, 0, 0, 16, 0, 0, 255, 255, 10, 0, 0, 1, 10, 0, 0, 9];
  t.is(parse(1, 0, 0, 0, ...one)!.length, 1);
  t.is(parse(0, 0, 0, 0), null);
  t.is(parse(255, 0, 0, 0, ...one), null);
  t.is(parse(1, 0, 0, 0, ...one, 0), null);
  t.is(parse(1, 0, 0, 0, 7, 0, 0, 16, 0, 0, 255, 255, 10, 0, 0, 9, 10, 0, 0, 1), null);
  t.is(parse(1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 255, 255), null);
  t.is(parse(1, 0, 0, 0, 8, 0, 0, 16, 0, 0, 255, 255, 10, 0, 0, 1, 10, 0, 0, 9), null);
  t.deepEqual(parse(1, 0, 0, 0, 9, 0, 0, 8, 0, 0, 0, 0), []);
  fc.assert(
    fc.property(
      fc.array(selector, { minLength: 1, maxLength: 5 }),
      fc.array(selector, { minLength: 1, maxLength: 5 }),
      (a, b) => {
        const data = body((out) => emitSelectors(out, wire.PAYLOAD_TSI, a));
        t.deepEqual(parseSelectors(data), a);
        const both = narrow(a, b);
        if (both.length > 0) t.true(within(both, a) && within(both, b));
        t.true(within(a, a));
        t.deepEqual(narrow(a, a).length > 0, true);
      },
    ),
    { numRuns: 300 },
  );
  const text = parseSelector("10.1.0.0/16[tcp/80]");
  t.deepEqual([text.protocol, text.startPort, text.endPort, ...text.end], [6, 80, 80, 10, 1, 255, 255]);
  for (const bad of ["", "10.1.0.0/33", "10.1", "10.1.0.0/16[", "10.1.0.0/16[tcp/70000]", "10.1.0.0/16[x]"]) {
    t.throws(() => parseSelector(bad), { code: "EINVAL" }, bad);
  }
});

test("identities", (t) => {
  for (const [text, type] of [
    ["192.0.2.1", 1],
    ["2001:db8::1", 5],
    ["gw.example", 2],
    ["a@b.example", 3],
  ] as const) {
    const identity = parseIdentity(text, "identity");
    t.is(identity.type, type);
    t.is(identityText(readIdentity(identityBody(identity))!), text);
  }
  t.is(parseIdentity(Uint8Array.of(1), "identity").type, wire.ID_KEY);
  t.is(readIdentity(new Uint8Array(4)), null);
  t.is(readIdentity(new Uint8Array(2000)), null);
  t.throws(() => parseIdentity("", "identity"), { code: "EINVAL" });
});

test("what is sealed is opened; a bit that flips, a byte that is missing, and it is not", (t) => {
  const random = (target: Uint8Array) => crypto !== null && target.fill(9).length >= 0;
  for (const suite of [
    "aes256gcm16-x25519",
    "chacha20poly1305-x25519",
    "aes128-sha256-x25519",
    "aes256-sha512-x25519",
  ]) {
    const codes = known.parse(suite, false);
    const encryption = known.in(codes, 1)!;
    const integrity = known.in(codes, 3);
    const keys = new Uint8Array(encryption.key + encryption.salt).fill(1);
    const mac = new Uint8Array(integrity?.key ?? 0).fill(2);
    const make = () => new Protection(crypto, encryption, keys, integrity, mac, random);
    const [near, far] = [make(), make()];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(), (inner, at) => {
        const packet = near.seal(SPI, SPI, 37, 8, 3, 41, inner, 0, inner.length, 0)!;
        const flipped = packet.slice();
        flipped[at % packet.length]! ^= 1 << (at & 7);
        // The lengths and the next payload's type are covered as well.
        t.false(far.open(flipped, 32, flipped.length));
        t.false(far.open(packet.slice(0, -1), 32, packet.length - 1));
        t.true(far.open(packet, 32, packet.length));
        t.deepEqual(packet.slice(far.opened.from, far.opened.till), inner);
      }),
      { numRuns: 50 },
    );
    for (let length = 32; length < 80; length++) t.false(far.open(new Uint8Array(length), 32, length));
    near.close();
    far.close();
  }
});
