/** Chains of extension headers that lie, loop or never end. */
import test from "ava";
import { concat, hex } from "../support/bytes.js";
import { frame, icmp, ip6 } from "../support/packets.js";
import type { Ip6Fields } from "../support/packets.js";
import { FAR, GLOBAL, bare, extension } from "./bare.js";

const HBH = 0;
const ROUTING = 43;
const DSTOPT = 60;
const ECHO = frame(ip6({ src: FAR, dst: GLOBAL }), icmp({ type: 128 }), "hello").slice(40);

/** An echo request behind headers: `next` names the first of them. */
function behind(next: number, headers: Uint8Array[], fields: Ip6Fields = {}): Uint8Array {
  return frame(ip6({ src: FAR, dst: GLOBAL, next, ...fields }), concat(...headers, ECHO));
}

/** Options as one header of `next` type 58, padded with PadN. */
function optionsHeader(options: Uint8Array, next = 58): Uint8Array {
  const missing = -(options.length + 2) & 7;
  const padding =
    missing === 1
      ? Uint8Array.of(0)
      : missing
        ? concat(Uint8Array.of(1, missing - 2), new Uint8Array(missing - 2))
        : new Uint8Array(0);
  return extension(next, concat(options, padding));
}

test("headers that are in order are walked", (t) => {
  const { probe, icmp6, ip6: ip } = bare(t);
  probe.send(
    behind(HBH, [
      optionsHeader(hex("05020000"), DSTOPT),
      optionsHeader(hex(""), ROUTING),
      extension(58, new Uint8Array(6)),
    ]),
  );
  t.is(icmp6.counters.echoRequests, 1);
  t.deepEqual(Object.values(ip.extensions), [0, 0, 0, 0, 0]);
});

test("EXT-01 options and headers that run past their ends", (t) => {
  const { probe, ip6: ip, icmp6, take } = bare(t);
  let bad = 0;
  for (const type of [HBH, DSTOPT]) {
    for (const options of [
      "1e05aabbccdd",
      "010505050505",
      "1effaabbccdd",
      "01ff00000000",
      "01030000001e",
      "0000000000fe",
    ]) {
      probe.send(behind(type, [extension(58, hex(options))]));
      t.is(ip.extensions.malformed, ++bad, options);
    }
    for (const length of [2, 3, 100, 255]) {
      probe.send(behind(type, [extension(58, hex("010400000000"), length)]));
      t.is(ip.extensions.malformed, ++bad, String(length));
    }
    for (const size of [0, 1, 7]) {
      probe.send(frame(ip6({ next: type }), new Uint8Array(size)));
      t.is(ip.extensions.malformed, ++bad, String(size));
    }
  }
  // An option that is not known, of any length that fits.
  for (let length = 0; length <= 255; length++) {
    const option = concat(Uint8Array.of(0x1e, length), new Uint8Array(length));
    probe.send(behind(DSTOPT, [optionsHeader(option)]));
  }
  t.is(icmp6.counters.echoRequests, 256);
  t.is(take().length, 256);
});

test("EXT-02 more headers, options or padding than anyone needs", (t) => {
  const { probe, ip6: ip, icmp6 } = bare(t);
  const chain = (n: number) =>
    behind(
      DSTOPT,
      Array.from({ length: n }, (_, i) => optionsHeader(hex(""), i < n - 1 ? DSTOPT : 58)),
    );
  for (let n = 1; n <= 8; n++) probe.send(chain(n));
  t.is(icmp6.counters.echoRequests, 8);
  for (const n of [9, 10, 100, 150]) probe.send(chain(n));
  t.is(ip.extensions.toomany, 4);
  const options = (n: number) => optionsHeader(concat(...Array.from({ length: n }, () => hex("1e0100"))));
  probe.send(behind(DSTOPT, [options(8)]));
  t.is(icmp6.counters.echoRequests, 9);
  probe.send(behind(DSTOPT, [options(9)]));
  probe.send(behind(HBH, [extension(58, new Uint8Array(1398))]));
  probe.send(behind(HBH, [extension(58, hex("01040000000001020000 00000000"))]));
  t.is(ip.extensions.toomany, 7);
  t.is(icmp6.counters.echoRequests, 9);
});

test("EXT-02 EXT-05 a hop-by-hop header that is not the first", (t) => {
  const { probe, take, ip6: ip } = bare(t);
  probe.send(behind(HBH, [optionsHeader(hex(""), HBH), optionsHeader(hex(""))]));
  t.like(take()[0].icmp, { type: 4, code: 1, rest: 40 });
  probe.send(
    behind(DSTOPT, [optionsHeader(hex(""), DSTOPT), optionsHeader(hex(""), HBH), optionsHeader(hex(""))]),
  );
  t.like(take()[0].icmp, { type: 4, code: 1, rest: 48 });
  t.is(ip.extensions.malformed, 2);
});

test("EXT-04 what the high bits of an unknown option ask for", (t) => {
  const { probe, take, icmp6, ip6: ip } = bare(t);
  for (const type of [HBH, DSTOPT]) {
    for (const dst of [GLOBAL, "ff02::1"]) {
      const answers = [0x1e, 0x5e, 0x9e, 0xde].map((option) => {
        probe.send(behind(type, [optionsHeader(Uint8Array.of(1, 0, option, 0))], { dst }));
        return take().map(({ icmp }) => [icmp?.type, icmp?.code, icmp?.rest]);
      });
      const problem = [[4, 2, 44]];
      // The checksum of the echo request was for the other destination.
      t.deepEqual(answers[0].length, dst === GLOBAL ? 1 : 0);
      t.deepEqual(answers.slice(1), [[], problem, dst === GLOBAL ? problem : []]);
    }
  }
  t.is(ip.extensions.unknown, 12);
  t.is(icmp6.counters.received, 4);
});

test("EXT-05 no next header, unknown ones, and a transport without bytes", (t) => {
  const { probe, take, ip6: ip, tcp: streams } = bare(t);
  probe.send(frame(ip6({ next: 59 }), "anything"));
  probe.send(frame(ip6({ next: DSTOPT }), optionsHeader(hex(""), 59)));
  t.is(ip.extensions.empty, 2);
  t.deepEqual(take(), []);
  const packet = frame(ip6({ next: 253 }), "anything");
  probe.send(packet);
  const [error] = take();
  t.like(error.icmp, { type: 4, code: 1, rest: 6 });
  t.deepEqual(error.payload, packet);
  probe.send(
    frame(ip6({ next: DSTOPT }), concat(optionsHeader(hex(""), DSTOPT), optionsHeader(hex(""), 253))),
  );
  t.like(take()[0].icmp, { type: 4, code: 1, rest: 48 });
  probe.send(frame(ip6({ next: 253, dst: "ff02::1" }), "anything"));
  t.is(ip.counters.unknownProtocol, 3);
  probe.send(frame(ip6({ next: 6 })));
  probe.send(frame(ip6({ next: DSTOPT }), optionsHeader(hex(""), 6)));
  t.deepEqual(take(), []);
  t.is(streams.counters.received, 2);
});

test("EXT-06 jumbograms, and options whose length lies", (t) => {
  const { probe, take, ip6: ip, icmp6 } = bare(t);
  for (const length of ["00000000", "0000ffff", "00010000", "ffffffff"]) {
    probe.send(behind(HBH, [optionsHeader(hex("c204" + length))]));
    t.like(take()[0].icmp, { type: 4, code: 2, rest: 42 });
  }
  probe.send(behind(HBH, [optionsHeader(hex("c20400010000"))], { dst: "ff02::1" }));
  t.deepEqual(take(), []);
  t.is(ip.extensions.unknown, 5);
  // Router alert with another length, and RPL (RFC 6553), are not known: their types say skip, and drop.
  probe.send(behind(HBH, [optionsHeader(hex("0503000000"))]));
  probe.send(behind(HBH, [optionsHeader(hex("0500"))]));
  t.is(icmp6.counters.echoRequests, 2);
  probe.send(behind(HBH, [optionsHeader(hex("63ff00000000"))]));
  t.is(ip.extensions.malformed, 1);
  probe.send(behind(HBH, [optionsHeader(hex("630400000000"))]));
  t.is(ip.extensions.unknown, 6);
  t.is(icmp6.counters.echoRequests, 2);
});

test("routing headers: with segments left none is known, without any is passed", (t) => {
  const { probe, take, ip6: ip, icmp6 } = bare(t);
  for (const type of [0, 2, 3, 4, 253]) {
    probe.send(behind(ROUTING, [extension(58, Uint8Array.of(type, 1, 0, 0, 0, 0))]));
    t.like(take()[0].icmp, { type: 4, code: 0, rest: 42 });
    probe.send(behind(ROUTING, [extension(58, Uint8Array.of(type, 0, 0, 0, 0, 0))]));
    t.like(take()[0].icmp, { type: 129 });
  }
  t.is(ip.extensions.unknown, 5);
  t.is(icmp6.counters.echoRequests, 5);
});

test("a fragment without anybody who reassembles", (t) => {
  const { probe, ip6: ip, icmp6 } = bare(t);
  probe.send(behind(44, [hex("3a00000100000001")]));
  probe.send(behind(44, [hex("3a00000800000001")]));
  t.is(ip.extensions.fragments, 2);
  probe.send(behind(44, [hex("3a00000000000001")]));
  t.is(icmp6.counters.echoRequests, 1);
});
