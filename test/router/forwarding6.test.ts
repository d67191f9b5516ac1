/** Forwarding of IPv6 (RFC 8200, RFC 4443, RFC 4861 section 8): what passes, what does not, and who is told. */
import test from "ava";
import fc from "fast-check";
import { FORWARD, INPUT, OUTPUT, POSTROUTING, PREROUTING } from "../../stack/core/network.js";
import { concat } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { STACK_MAC, eth, frame, icmp, ip6, tcp, tcpOptions, udp } from "../support/packets.js";
import type { Ip6Fields } from "../support/packets.js";
import { long } from "../support/packets6.js";
import { extension, fragmentHeader } from "../ipv6/bare.js";
import { FAR6, LAN6_HOST, WAN6_HOST, WAN_MAC, router } from "./support.js";

const toWan = (fields: Ip6Fields = {}, size = 100) =>
  frame(eth({ dst: STACK_MAC }), ip6({ src: LAN6_HOST, dst: WAN6_HOST, ...fields }), udp(), size);

test("a packet passes with one hop less, to a neighbour and by a gateway", (t) => {
  const { lan, wan, counters6 } = router(t);
  lan.send(toWan({ flow: 0x12345, trafficClass: 3 }));
  expectFrame(t, wan.next(), {
    eth: { src: WAN_MAC },
    ip6: { src: long(LAN6_HOST), dst: long(WAN6_HOST), hops: 63, flow: 0x12345, trafficClass: 3 },
    udp: {},
    payload: 100,
  });
  lan.send(toWan({ dst: FAR6, hops: 2 }, 0));
  expectFrame(t, wan.next(), { ip6: { dst: long(FAR6), hops: 1 } });
  t.is(counters6.forwarded, 2);
  t.is(counters6.copied, 0);
});

test("a router answers for its own addresses on every interface, but not for those of the other link", (t) => {
  const { lan, icmp6 } = router(t);
  const ping = (dst: string) =>
    frame(eth({ dst: STACK_MAC }), ip6({ src: LAN6_HOST, dst }), icmp({ type: 128, id: 7 }), 10);
  lan.send(ping("2001:db8:2::1"));
  t.is(icmp6.counters.echoRequests, 1);
  expectFrame(t, lan.next(), { ip6: { src: long("2001:db8:2::1") }, icmp: { type: 129, id: 7 } });
});

test("the last hop is used up, or no route leads there: the sender is told", (t) => {
  const { lan, wan, counters6 } = router(t);
  for (const hops of [0, 1]) {
    lan.send(toWan({ hops }));
    const told = expectFrame(t, lan.next(), {
      ip6: { src: long("2001:db8:1::1"), dst: long(LAN6_HOST) },
      icmp: { type: 3, code: 0 },
    });
    t.is(told.payload.length, 148);
  }
  lan.send(toWan({ dst: "2001:db8:e::1" }));
  expectFrame(t, lan.next(), { icmp: { type: 1, code: 0 } });
  t.is(counters6.expired, 2);
  t.is(counters6.noRoute, 1);
  t.deepEqual(wan.take(), []);
});

test("too big: the MTU is told, and the quotation fits the smallest MTU", (t) => {
  const { lan, wan } = router(t, { wan: { mtu: 1400 } });
  lan.send(toWan({}, 1400));
  const told = expectFrame(t, lan.next(), { icmp: { type: 2, code: 0, rest: 1400 } });
  t.is(told.payload.length, 1280 - 48);
  lan.send(toWan({}, 1352));
  expectFrame(t, wan.next(), { payload: 1352 });
});

test("what is of one link, or of none, is not forwarded", (t) => {
  const { lan, wan, ip6: ip, counters6, knows, lanNif } = router(t);
  knows(lanNif, "fe80::2");
  ip.addRoute("::/0", { gateway: "2001:db8:2::9" });
  lan.send(toWan({ src: "fe80::2" }));
  expectFrame(t, lan.next(), { icmp: { type: 1, code: 2 } });
  const bad: Ip6Fields[] = [
    { dst: "fe80::99" },
    { src: "::" },
    { src: "::1" },
    { dst: "::1" },
    { dst: "::" },
    { dst: "::10.0.0.7" },
    { dst: "::ffff:10.0.0.7" },
    { src: "ff02::1" },
    { dst: "ff0e::5" },
    { src: "2001:db8:1::1" },
  ];
  for (const fields of bad) lan.send(toWan(fields));
  t.deepEqual(wan.take(), []);
  t.deepEqual(lan.take(), []);
  t.is(counters6.scope, 4);
});

test("reverse path: strict, loose, off (RFC 3704)", (t) => {
  const { lan, wan, six, lanNif, counters6 } = router(t);
  const passes = (src: string) => {
    lan.send(toWan({ src }));
    return wan.take().length === 1;
  };
  t.true(passes(LAN6_HOST));
  t.false(passes(FAR6));
  six.configure(lanNif, { reversePath: "loose" });
  t.true(passes(FAR6));
  t.false(passes("2001:db8:e::1"));
  six.configure(lanNif, { reversePath: "off" });
  t.true(passes("2001:db8:e::1"));
  t.is(counters6.reversePath, 2);
});

test("a redirect to a neighbour, and to a better router, with its hardware address", (t) => {
  const { lan, ip6: ip, lanNif, counters6, knows } = router(t);
  ip.addRoute("2001:db8:e::/48", { gateway: "fe80::9", interface: lanNif });
  knows(lanNif, "fe80::9");
  knows(lanNif, "2001:db8:1::3");
  const told = (dst: string, target: string) => {
    lan.send(toWan({ dst }, 64));
    const message = expectFrame(t, lan.next(), {
      ip6: { src: long("fe80::1"), dst: long(LAN6_HOST), hops: 255 },
      icmp: { type: 137, code: 0 },
    });
    const { payload } = message;
    t.deepEqual(payload.subarray(0, 16), frame(ip6({ src: target })).subarray(8, 24));
    t.deepEqual(payload.subarray(16, 32), frame(ip6({ src: dst })).subarray(8, 24));
    t.deepEqual([...payload.subarray(32, 40)], [2, 1, 2, 0, 0, 0, 0, 2]);
    t.deepEqual([...payload.subarray(40, 42)], [4, (payload.length - 40) / 8]);
    t.is(payload[48 + 7], 64, "quoted as it came");
    expectFrame(t, lan.next(), { ip6: { dst: long(dst), hops: 63 }, payload: 64 });
  };
  told("2001:db8:e::5", "fe80::9");
  told("2001:db8:1::3", "2001:db8:1::3");
  for (let i = 0; i < 50; i++) lan.send(toWan({ dst: "2001:db8:1::3" }));
  t.is(counters6.redirects, 10);
});

test("hop-by-hop options are looked at, other headers are not", (t) => {
  const { lan, wan, counters6 } = router(t);
  const withOption = (...option: number[]) =>
    frame(
      eth({ dst: STACK_MAC }),
      ip6({ src: LAN6_HOST, dst: WAN6_HOST, next: 0 }),
      concat(extension(17, Uint8Array.from(option)), frame(udp())),
    );
  lan.send(withOption(5, 2, 0, 0, 1, 0));
  expectFrame(t, wan.next(), { ip6: { hops: 63, next: 0 }, faulty: true });
  lan.send(withOption(0x1e, 4, 0, 0, 0, 0));
  t.is(wan.take().length, 1);
  lan.send(withOption(0x9e, 4, 0, 0, 0, 0));
  expectFrame(t, lan.next(), { icmp: { type: 4, code: 2, rest: 42 } });
  lan.send(withOption(0x5e, 4, 0, 0, 0, 0));
  lan.send(withOption(0x1e, 40, 0, 0, 0, 0));
  t.is(counters6.badOption, 3);
  t.deepEqual(wan.take(), []);
  const routing = extension(17, Uint8Array.from([0, 1, 0, 0, 0, 0]));
  for (const header of [
    routing,
    fragmentHeader(17, 8, true, 1),
    extension(17, Uint8Array.from([0x9e, 4, 0, 0, 0, 0])),
  ]) {
    const next = header === routing ? 43 : header.length === 8 && header[3] === 9 ? 44 : 60;
    lan.send(
      frame(
        eth({ dst: STACK_MAC }),
        ip6({ src: LAN6_HOST, dst: WAN6_HOST, next }),
        concat(header, frame(udp())),
      ),
    );
    t.is(wan.take().length, 1);
  }
});

test("packets wait for a neighbour, and are told of when it does not answer", (t) => {
  const { lan, world, counters6 } = router(t);
  lan.send(toWan({ dst: "2001:db8:2::34" }, 8));
  lan.send(toWan({ dst: "2001:db8:2::34" }, 9));
  world.run(5000);
  t.deepEqual(
    lan.takeParsed().map(({ icmp: message, payload }) => [message!.type, message!.code, payload.length]),
    [
      [1, 3, 56],
      [1, 3, 57],
    ],
  );
  t.is(counters6.unreachable, 2);
});

test("MSS clamping, behind extension headers too", (t) => {
  const { lan, wan, wanNif, six } = router(t, { wan: { mtu: 1400 } });
  six.configure(wanNif, { mss: "mtu" });
  const head = ip6({ src: LAN6_HOST, dst: WAN6_HOST });
  lan.send(frame(eth({ dst: STACK_MAC }), head, tcp({ flags: "S", options: tcpOptions({ mss: 1440 }) })));
  expectFrame(t, wan.next(), { tcp: { mss: 1340, flags: "S" } });
});

test("hooks see each packet where they should, and may stop it", (t) => {
  const { lan, wan, ip6: ip, wanNif } = router(t);
  const seen: number[] = [];
  let stop = -1;
  ip.hook = (packet, point, out) => {
    t.is(packet.data[packet.network]! >> 4, 6);
    t.is(out, point === FORWARD || point === POSTROUTING ? wanNif : point === OUTPUT ? out : null);
    seen.push(point);
    return point !== stop;
  };
  const ping = frame(
    eth({ dst: STACK_MAC }),
    ip6({ src: LAN6_HOST, dst: "2001:db8:1::1" }),
    icmp({ type: 128 }),
  );
  lan.send(toWan());
  t.deepEqual(seen.splice(0), [PREROUTING, FORWARD, POSTROUTING]);
  lan.send(ping);
  t.deepEqual(seen.splice(0), [PREROUTING, INPUT, OUTPUT]);
  wan.take();
  lan.take();
  for (stop of [PREROUTING, FORWARD, POSTROUTING]) lan.send(toWan());
  for (stop of [PREROUTING, INPUT, OUTPUT]) lan.send(ping);
  t.deepEqual(wan.take(), []);
  t.deepEqual(lan.take(), []);
});

test("whatever comes in, nothing throws, and what goes out is no longer than it was", (t) => {
  const { lan, wan, world, six, lanNif } = router(t);
  six.configure(lanNif, { mss: 100 });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(0, 6, 17, 43, 44, 58, 60),
      fc.boolean(),
      (bytes, next, bare) => {
        const outer = ip6({ src: LAN6_HOST, dst: WAN6_HOST, next });
        const whole = frame(eth({ dst: STACK_MAC }), outer, bytes);
        if (bare) whole.set(bytes.subarray(0, 8), 14);
        lan.send(whole);
        for (const sent of wan.take()) t.true(sent.length <= Math.max(60, whole.length));
      },
    ),
    { numRuns: 3000 },
  );
  t.deepEqual(world.panics, []);
});
