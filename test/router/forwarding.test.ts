/** Forwarding of IPv4 (RFC 1812): what passes, what does not, and who is told. */
import test from "ava";
import fc from "fast-check";
import { FORWARD, INPUT, OUTPUT, POSTROUTING, PREROUTING } from "../../stack/core/network.js";
import { internetChecksum, pattern } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { BROADCAST_MAC, STACK_MAC, eth, frame, icmp, ip4, tcp, tcpOptions, udp } from "../support/packets.js";
import type { Ip4Fields } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { ipLink } from "../../stack/link/ip.js";
import { loopback } from "../../stack/link/loopback.js";
import { Probe } from "../support/probe.js";
import { FAR, LAN_HOST, WAN_HOST, WAN_MAC, router } from "./support.js";

const toWan = (fields: Ip4Fields = {}, size = 100) =>
  frame(eth({ dst: STACK_MAC }), ip4({ dst: WAN_HOST, ...fields }), udp(), size);

test("a packet passes with one hop less, to a neighbour and by a gateway", (t) => {
  const { lan, wan, counters } = router(t);
  lan.send(toWan());
  expectFrame(t, wan.next(), {
    eth: { src: WAN_MAC },
    ip4: { src: LAN_HOST, dst: WAN_HOST, ttl: 63, id: 0x1234 },
    udp: {},
    payload: 100,
  });
  lan.send(toWan({ dst: FAR, ttl: 2 }));
  expectFrame(t, wan.next(), { ip4: { dst: FAR, ttl: 1 }, payload: 100 });
  t.is(counters.forwarded, 2);
  t.is(counters.copied, 0);
  t.deepEqual(lan.take(), []);
});

test("a link that merges what it receives is refused where nobody cuts that again; but for the loopback", (t) => {
  const { stack, world } = router(t, { more: [ipLink(), loopback()] });
  t.truthy(stack.findInterface("lo"));
  const probe = new Probe(world, { mac: "02:00:00:00:00:12" });
  const before = stack.interfaces.length;
  Object.defineProperty(probe, "offloads", { value: { receiveCoalescing: true } });
  t.throws(() => stack.addInterface(probe, "big0"), { code: "EINVAL", message: /wants `segments`.*big0/ });
  t.is(stack.interfaces.length, before);
});

test("the checksum is right for any header", (t) => {
  const { lan, wan } = router(t);
  fc.assert(
    fc.property(
      fc.record({
        ttl: fc.integer({ min: 2, max: 255 }),
        id: fc.integer({ min: 0, max: 65535 }),
        tos: fc.integer({ min: 0, max: 255 }),
        df: fc.boolean(),
        protocol: fc.constantFrom(6, 17, 47, 132, 253),
        dst: fc.constantFrom(FAR, "198.51.100.200", WAN_HOST),
      }),
      fc.integer({ min: 0, max: 1480 }),
      (fields, size) => {
        lan.send(frame(eth({ dst: STACK_MAC }), ip4(fields), size));
        const out = wan.next()!;
        t.is(internetChecksum(out.subarray(14, 34)), 0);
        t.deepEqual(out.subarray(34, 34 + size), pattern(size));
        t.is(parseFrame(out).ip4!.ttl, fields.ttl - 1);
      },
    ),
  );
});

test("a router answers for its own addresses on every interface", (t) => {
  const { lan, icmp: control } = router(t);
  lan.send(frame(eth({ dst: STACK_MAC }), ip4({ dst: "10.1.0.1" }), icmp({ id: 7 }), 10));
  t.is(control.counters.echoRequests, 1);
  expectFrame(t, lan.next(), { ip4: { src: "10.1.0.1", dst: LAN_HOST, ttl: 64 }, icmp: { type: 0, id: 7 } });
});

test("the last hop is used up: time exceeded, with the packet quoted; ICMP errors are no cause for others", (t) => {
  const { lan, wan, counters } = router(t);
  for (const ttl of [0, 1]) {
    lan.send(toWan({ ttl }, 20));
    const told = expectFrame(t, lan.next(), {
      ip4: { src: "10.0.0.1", dst: LAN_HOST },
      icmp: { type: 11, code: 0 },
    });
    t.is(told.payload[8], ttl);
    t.is(told.payload.length, 48);
  }
  lan.send(frame(eth({ dst: STACK_MAC }), ip4({ dst: WAN_HOST, ttl: 1 }), icmp({ type: 3 }), 28));
  t.deepEqual(lan.take(), []);
  t.is(counters.expired, 3);
  t.deepEqual(wan.take(), []);
});

test("errors are limited in rate", (t) => {
  const { lan, icmp: control } = router(t);
  for (let i = 0; i < 100; i++) lan.send(toWan({ ttl: 1 }, 20));
  t.is(lan.take().length, 20);
  t.is(control.counters.limited, 80);
});

test("what no route leads to is unreachable", (t) => {
  const { lan, counters } = router(t);
  lan.send(toWan({ dst: "203.0.113.1" }));
  expectFrame(t, lan.next(), { icmp: { type: 3, code: 0 } });
  t.is(counters.noRoute, 1);
});

test("too large with DF: the MTU is told; without: it is cut in place, and comes out whole", (t) => {
  const { lan, wan, counters } = router(t, { wan: { mtu: 600 } });
  lan.send(toWan({ df: true }, 700));
  expectFrame(t, lan.next(), { icmp: { type: 3, code: 4, rest: 600 } });
  t.is(counters.tooBig, 1);
  lan.send(frame(eth({ dst: STACK_MAC }), ip4({ dst: WAN_HOST, protocol: 253 }), 1400));
  const pieces = wan.takeParsed();
  t.deepEqual(
    pieces.map(({ ip4: header }) => [header!.offset, header!.mf, header!.totalLength]),
    [
      [0, true, 596],
      [576, true, 596],
      [1152, false, 268],
    ],
  );
  const whole = new Uint8Array(1400);
  for (const piece of pieces) {
    t.deepEqual(piece.faults, []);
    t.is(piece.ip4!.ttl, 63);
    whole.set(piece.payload, piece.ip4!.offset);
  }
  t.deepEqual(whole, pattern(1400));
  t.is(counters.forwarded, 1);
  t.is(counters.fragments, 3);
});

test("fragments are cut into fragments, whatever options and MTU there are", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 68, max: 1499 }),
      fc.integer({ min: 1, max: 1400 }),
      fc.boolean(),
      fc.integer({ min: 0, max: 8191 }),
      fc.constantFrom(
        [],
        [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0],
        [148, 4, 0, 0],
        [1, 1, 0x82, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      ),
      (mtu, size, mf, units, options) => {
        const { lan, wan, stack, counters } = router(null, { wan: { mtu } });
        const length = mf ? (size + 7) & ~7 : size;
        const offset = units * 8;
        const fields = { dst: WAN_HOST, protocol: 253, mf, offset, options: Uint8Array.from(options) };
        lan.send(frame(eth({ dst: STACK_MAC }), ip4(fields), length));
        const pieces = wan.takeParsed();
        let at = offset;
        for (const [i, piece] of pieces.entries()) {
          t.deepEqual(piece.faults, []);
          t.true(piece.ip4!.totalLength <= mtu);
          t.is(piece.ip4!.offset, at);
          t.is(piece.ip4!.mf, mf || i < pieces.length - 1 || at + piece.payload.length < offset + length);
          t.deepEqual(
            piece.payload,
            pattern(length).subarray(at - offset, at - offset + piece.payload.length),
          );
          // The record of the route stays with the first, router alert and security go with each.
          if (i > 0)
            t.is(
              piece.ip4!.options.length,
              options[0] === 7 ? 0 : options.length === 13 ? 12 : options.length,
            );
          at += piece.payload.length;
        }
        // Only what lies beyond the largest offset is lost.
        t.true(
          at === offset + length || at > 65535 - mtu,
          `${at} of ${offset + length}, ${JSON.stringify(counters)}`,
        );
        stack.close();
      },
    ),
    { numRuns: 200 },
  );
});

test("what is of one link, of none, or for all is not forwarded, and nobody is told", (t) => {
  const { lan, wan, ip } = router(t);
  ip.addRoute("0.0.0.0/0", { gateway: "10.1.0.9" });
  const bad: Ip4Fields[] = [
    { src: "169.254.1.1" },
    { dst: "169.254.1.1" },
    { dst: "127.0.0.2" },
    { dst: "0.1.2.3" },
    { dst: "240.0.0.1" },
    { dst: "224.0.0.5" },
    { dst: "255.255.255.255" },
    { dst: "10.1.0.255" },
    { dst: "10.1.0.0" },
    { src: "127.0.0.1" },
    { src: "0.0.0.0" },
    { src: "255.255.255.255" },
    { src: "10.0.0.255" },
    { src: "10.1.0.1" },
    { src: "240.0.0.1" },
  ];
  for (const fields of bad) lan.send(toWan(fields));
  lan.send(frame(eth({ dst: BROADCAST_MAC }), ip4({ dst: WAN_HOST }), udp(), 10));
  t.deepEqual(wan.take(), []);
  t.deepEqual(lan.take(), []);
});

test("reverse path: strict, loose, off (RFC 3704)", (t) => {
  const { lan, wan, four, lanNif, counters } = router(t);
  const passes = (src: string) => {
    lan.send(toWan({ src }));
    return wan.take().length === 1;
  };
  t.true(passes(LAN_HOST));
  t.false(passes(FAR));
  t.is(counters.reversePath, 1);
  four.configure(lanNif, { reversePath: "loose" });
  t.true(passes(FAR));
  t.false(passes("203.0.113.9"));
  four.configure(lanNif, { reversePath: "off" });
  t.true(passes("203.0.113.9"));
  t.is(counters.reversePath, 2);
});

test("an interface that forwards nothing neither takes nor gives", (t) => {
  const { lan, wan, four, lanNif, wanNif, counters } = router(t);
  four.configure(lanNif, { enabled: false });
  lan.send(toWan());
  t.deepEqual(lan.take(), []);
  four.configure(lanNif, { enabled: true });
  four.configure(wanNif, { enabled: false });
  lan.send(toWan());
  expectFrame(t, lan.next(), { icmp: { type: 3, code: 13 } });
  t.is(counters.disabled, 2);
  t.deepEqual(wan.take(), []);
  t.throws(() => four.configure(lanNif, { reversePath: "no" as never }), { code: "EINVAL" });
  t.throws(() => four.configure(lanNif, { mss: -1 }), { code: "EINVAL" });
});

test("a redirect where the next hop is as near to the sender as to us", (t) => {
  const { lan, wan, ip, lanNif, four, counters, knows } = router(t);
  ip.addRoute("203.0.113.0/24", { gateway: "10.0.0.9" });
  knows(lanNif, "10.0.0.9");
  lan.send(toWan({ dst: "203.0.113.5" }, 64));
  // 10.0.0.9 as the word of the message.
  const told = expectFrame(t, lan.next(), {
    ip4: { dst: LAN_HOST },
    icmp: { type: 5, code: 1, rest: 0x0a000009 },
  });
  t.is(told.payload[8], 64, "quoted as it came");
  expectFrame(t, lan.next(), { ip4: { dst: "203.0.113.5", ttl: 63 }, payload: 64 });
  for (let i = 0; i < 50; i++) lan.send(toWan({ dst: "203.0.113.5" }, 64));
  t.is(counters.redirects, 10);
  four.configure(lanNif, { redirects: false });
  lan.take();
  lan.send(toWan({ dst: "203.0.113.5" }, 64));
  t.is(lan.take().length, 1);
  t.deepEqual(wan.take(), []);
});

test("packets wait for a neighbour, and are told of when it does not answer", (t) => {
  const { lan, wan, world, counters } = router(t);
  wan.answersArp = ["10.1.0.33"];
  lan.send(toWan({ dst: "10.1.0.33" }));
  world.run(10);
  t.is(wan.takeParsed().filter(({ udp: datagram }) => datagram).length, 1);
  lan.send(toWan({ dst: "10.1.0.34" }, 8));
  lan.send(toWan({ dst: "10.1.0.34" }, 9));
  world.run(5000);
  const told = lan.takeParsed();
  t.deepEqual(
    told.map(({ icmp: message, payload }) => [message!.type, message!.code, payload.length]),
    [
      [3, 1, 36],
      [3, 1, 37],
    ],
  );
  t.is(counters.unreachable, 2);
});

test("a scan of a network holds no more than the cache's bounds", (t) => {
  const { lan, stack, arp: resolver, world } = router(t);
  for (let i = 3; i < 250; i++) lan.send(toWan({ dst: `10.1.0.${i}` }, 1000));
  t.true(resolver.cache.entries.length <= 64);
  t.true(stack.pool.used <= stack.pool.limit / 4);
  world.run(10000);
  t.is(stack.pool.used, 0);
});

test("bare IP at one end: the packet is copied for want of room, and comes out the same", (t) => {
  const { lan, wan, counters } = router(t, { wan: { medium: "ip" } });
  lan.send(toWan());
  t.is(wan.take()[0]!.length, 128);
  t.is(counters.copied, 0);
  const back = frame(ip4({ src: WAN_HOST, dst: LAN_HOST }), udp(), 300);
  wan.send(back);
  expectFrame(t, lan.next(), { eth: {}, ip4: { src: WAN_HOST, ttl: 63 }, payload: 300 });
  t.is(counters.copied, 1);
});

test("small packets are padded with zeros, not with what lies behind the frame", (t) => {
  const { lan, wan } = router(t);
  lan.send(toWan({}, 1));
  const out = wan.next()!;
  t.is(out.length, 60);
  expectFrame(t, out, { payload: 1 });
});

test("checksums that a virtual link left to us are completed, or left to a link that can", (t) => {
  for (const offloads of [undefined, { transmitChecksum: true }]) {
    const { lan, wan } = router(t, { wan: { offloads } });
    const bytes = toWan();
    // The sum of the pseudo-header alone.
    const pseudo = (0x0a00 + 2 + 0x0a01 + 2 + 17 + 108) & 0xffff;
    bytes[40] = pseudo >> 8;
    bytes[41] = pseudo;
    lan.send(bytes, 2);
    const [sent] = wan.sent;
    if (offloads) t.like(sent!.offload, { checksumStart: 34, checksumOffset: 6 });
    else expectFrame(t, sent!.bytes, { udp: {}, payload: 100 });
    t.is(sent!.offload === null, offloads === undefined);
  }
});

test("MSS clamping: to what the links allow, at any place among the options", (t) => {
  const { lan, wan, wanNif, four, counters } = router(t, { wan: { mtu: 1400 } });
  four.configure(wanNif, { mss: "mtu" });
  const syn = (options: Uint8Array, flags = "S") =>
    frame(eth({ dst: STACK_MAC }), ip4({ dst: WAN_HOST }), tcp({ flags, options }));
  for (const pad of [[], [1], [1, 1, 1], [3, 3, 7]]) {
    lan.send(syn(Uint8Array.from([...pad, 2, 4, 5, 180])));
    expectFrame(t, wan.next(), { tcp: { mss: 1360, flags: "S" } });
  }
  t.is(counters.clamped, 4);
  lan.send(syn(tcpOptions({ mss: 1000 })));
  expectFrame(t, wan.next(), { tcp: { mss: 1000 } });
  lan.send(syn(tcpOptions({ mss: 1460 }), "A"));
  expectFrame(t, wan.next(), { tcp: { mss: 1460 } });
  for (const bad of [[2], [2, 4, 5], [2, 0, 5, 180], [9, 1, 2, 4], [2, 40, 5, 180]]) {
    lan.send(syn(Uint8Array.from(bad)));
    t.is(wan.take().length, 1);
  }
  four.configure(wanNif, { mss: 536 });
  lan.send(syn(tcpOptions({ mss: 1460 })));
  expectFrame(t, wan.next(), { tcp: { mss: 536 } });
});

test("record route and timestamps: we are on the list", (t) => {
  const { lan, wan, counters } = router(t);
  lan.send(toWan({ options: Uint8Array.from([7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0]) }));
  expectFrame(t, wan.next(), { ip4: { options: Uint8Array.from([7, 11, 8, 10, 1, 0, 1, 0, 0, 0, 0, 0]) } });
  lan.send(toWan({ options: Uint8Array.from([7, 7, 8, 9, 9, 9, 9, 0]) }));
  expectFrame(t, wan.next(), { ip4: { options: Uint8Array.from([7, 7, 8, 9, 9, 9, 9, 0]) } });
  lan.send(toWan({ options: Uint8Array.from([68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]) }));
  const stamped = parseFrame(wan.next()!).ip4!.options;
  t.deepEqual([...stamped.subarray(0, 8)], [68, 12, 13, 1, 10, 1, 0, 1]);
  t.is(stamped[8]! >> 7, 1);
  for (const bad of [
    [7, 7, 3, 0, 0, 0, 0],
    [7, 6, 4, 0, 0, 0],
    [68, 8, 4, 0, 0, 0, 0, 0],
    [68, 8, 5, 2, 0, 0, 0, 0],
    [68, 4, 5, 0xf0],
  ]) {
    const before = counters.badOption;
    lan.send(toWan({ options: Uint8Array.from(bad) }));
    expectFrame(t, lan.next(), { icmp: { type: 12 } });
    t.is(counters.badOption, before + 1);
  }
  lan.send(toWan({ options: Uint8Array.from([131, 7, 4, 10, 1, 0, 9]) }));
  t.deepEqual(wan.take(), []);
});

test("hooks see each packet where they should, and may stop it", (t) => {
  const { lan, wan, ip, wanNif } = router(t);
  const seen: number[] = [];
  let stop = -1;
  ip.hook = (packet, point, out) => {
    t.is(packet.data[packet.network]! >> 4, 4);
    t.is(out, point === FORWARD || point === POSTROUTING ? wanNif : point === OUTPUT ? out : null);
    seen.push(point);
    return point !== stop;
  };
  const ping = frame(eth({ dst: STACK_MAC }), ip4(), icmp());
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
