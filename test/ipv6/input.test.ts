/** IPv6 input against hostile headers and addresses. */
import test from "ava";
import fc from "fast-check";
import { ENETUNREACH } from "../../stack/core/errors.js";
import { fragments6 } from "../../stack/ipv6/fragments.js";
import { mld } from "../../stack/ipv6/mld.js";
import { pmtu6 } from "../../stack/ipv6/pmtu.js";
import { concat } from "../support/bytes.js";
import { findLeaks } from "../support/leaks.js";
import { PROBE_IP6, eth, frame, icmp, ip6, tcp, udp } from "../support/packets.js";
import type { Ip6Fields } from "../support/packets.js";
import { FAR, GLOBAL, bare } from "./bare.js";

const echo = (fields: Ip6Fields = {}) => frame(ip6(fields), icmp({ type: 128 }), "hello");

test("IP6-01 packets shorter than their header, or than they say", (t) => {
  const { probe, ip6: ip, take } = bare(t);
  const whole = echo();
  let bad = 0;
  for (let length = 1; length < 40; length++) {
    probe.send(whole.slice(0, length));
    t.is(ip.counters.badlen, ++bad);
  }
  for (const payloadLength of [14, 53, 1280, 65535]) {
    probe.send(echo({ payloadLength }));
    t.is(ip.counters.badlen, ++bad, String(payloadLength));
  }
  t.is(ip.counters.delivered, 0);
  t.deepEqual(take(), []);
});

test("IP6-01 what lies behind the payload length is not part of the packet", (t) => {
  const { probe, udp: sockets, take, icmp6 } = bare(t);
  const socket = sockets.open({ port: 7 });
  probe.send(concat(frame(ip6(), udp(), "abc"), new Uint8Array(20).fill(7)));
  t.is(socket.receive(new Uint8Array(100)), 3);
  probe.send(echo({ payloadLength: 12 }));
  // The checksum was of more.
  t.is(icmp6.counters.badsum, 1);
  probe.send(concat(echo(), new Uint8Array(9)));
  t.is(take()[0].payload.length, 5);
  // No payload at all, though bytes follow: no jumbogram.
  probe.send(echo({ payloadLength: 0 }));
  t.is(icmp6.counters.short, 1);
});

test("IP6-02 other versions, also after a good packet", (t) => {
  const { probe, stack, ip6: ip, udp: sockets } = bare(t, { probe: { medium: "ethernet" } });
  sockets.open({ port: 7 });
  probe.send(frame(eth(), ip6(), udp(), "abc"));
  t.is(ip.counters.delivered, 1);
  for (const version of [0, 1, 4, 5, 7, 15]) {
    probe.send(frame(eth(), ip6({ version }), udp(), "abc"));
  }
  t.is(ip.counters.version, 6);
  t.is(ip.counters.delivered, 1);
  t.is(stack.counters.ip4.received, 0);
});

test("IP6-04 groups that nobody has joined, and segments to groups", (t) => {
  const { probe, ip6: ip, tcp: streams, take } = bare(t);
  streams.listen({ port: 80, onAccept: () => t.fail("accepted") } as never);
  const { counters } = ip;
  for (const dst of ["ff02::fb", "ff02::1:ff00:9", "ff0e::1", "ff01::1", "ff00::1", "ff02::2"]) {
    const before = counters.notOurs;
    probe.send(echo({ dst }));
    t.is(counters.notOurs, before + 1, dst);
  }
  for (const dst of ["ff02::1"]) probe.send(frame(ip6({ dst }), tcp({ flags: "S" })));
  t.is(counters.delivered, 1);
  t.deepEqual(take(), []);
  // An echo request to the group is answered from an address of ours.
  probe.send(echo({ dst: "ff02::1" }));
  const [answer] = take();
  t.like(answer.ip6, { src: "fe80:0:0:0:0:0:0:1", dst: "fe80:0:0:0:0:0:0:2" });
});

test("IP6-04 an interface without any address", (t) => {
  const { probe, ip6: ip, nif, take } = bare(t);
  ip.removeAddress(nif, "fe80::1/64");
  ip.removeAddress(nif, GLOBAL + "/64");
  for (const dst of ["ff02::1", "ff02::fb", "fe80::1", GLOBAL]) {
    probe.send(echo({ dst }));
    probe.send(frame(ip6({ dst }), udp(), "abc"));
    probe.send(frame(ip6({ dst, next: 253 }), "abc"));
  }
  t.deepEqual(take(), []);
});

test("addresses that no packet from a wire has, and those of others", (t) => {
  const { probe, ip6: ip, take } = bare(t);
  const martians: Ip6Fields[] = [
    { src: "ff02::1" },
    { src: "ff0e::1" },
    { src: "::1" },
    { dst: "::1" },
    { src: "::ffff:10.0.0.2" },
    { dst: "::ffff:10.0.0.1" },
    { dst: "::" },
    { src: "fe80::1" },
    { src: GLOBAL },
  ];
  for (const fields of martians) probe.send(echo(fields));
  t.is(ip.counters.martian, martians.length);
  probe.send(echo({ dst: "fe80::3" }));
  t.is(ip.counters.notOurs, 1);
  t.deepEqual(take(), []);
});

test("IP6-05 any hop limit gets here, and what is for others stays where it is", (t) => {
  const { probe, ip6: ip, icmp6 } = bare(t);
  for (const hops of [0, 1, 255]) probe.send(echo({ hops }));
  t.is(icmp6.counters.echoRequests, 3);
  const forwarded: number[] = [];
  ip.forwarder = {
    input: (packet) => forwarded.push(packet.ttl) < 0,
    undeliverable: () => false,
  };
  for (const hops of [0, 1, 64]) probe.send(echo({ src: FAR, dst: "2001:db8:e::1", hops }));
  t.deepEqual(forwarded, [0, 1, 64]);
});

test("IP6-06 flow labels: one for a flow as long as it lasts, others for others, in no order", (t) => {
  const { probe, udp: sockets, ip6: ip, stack } = bare(t);
  const label = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) & 0xfffff;
  const labels: number[] = [];
  for (let n = 0; n < 10000; n++) {
    const socket = sockets.open({ port: 1000 + (n % 50000) });
    socket.connect(n & 1 ? FAR : "2001:db8:f::2", 99);
    for (let i = 0; i < 2; i++) {
      socket.send(Uint8Array.of(1));
      if (i === 0) stack.changed();
    }
    const [first, again] = probe.take().map(label);
    if (first !== again) t.fail("another label within a flow");
    labels.push(first);
    socket.close();
  }
  // Of 2^20, chance lets about 48 of 10,000 meet.
  t.true(new Set(labels).size > 9850, String(new Set(labels).size));
  t.true(new Set(labels.slice(1).map((each, i) => (each - labels[i]) | 0)).size > 9000);
  for (let bit = 0; bit < 20; bit++) {
    const ones = labels.filter((each) => (each >>> bit) & 1).length;
    t.true(ones > 4700 && ones < 5300, `bit ${bit}: ${ones}`);
  }
  t.is(ip.counters.noRoute, 0);
});

test("nothing goes to the unspecified address", (t) => {
  const { probe, udp: sockets } = bare(t);
  t.is(sockets.open({ port: 9 }).sendTo("::", 99, Uint8Array.of(1)), ENETUNREACH);
  t.deepEqual(probe.take(), []);
});

test("ICM-09 the messages of one family never reach the other's handler", (t) => {
  const { probe, icmp: icmp4, icmp6, take } = bare(t);
  // ICMP (1) in IPv6, with an IPv4 checksum and with none: an echo request, a redirect, an error.
  for (const type of [3, 5, 8, 13]) {
    probe.send(frame(ip6({ next: 1 }), concat(Uint8Array.of(type, 0, 255 - type, 255, 0, 0, 0, 0))));
  }
  const sent = take().filter(({ icmp }) => icmp?.type !== 4);
  t.deepEqual(sent, []);
  t.is(icmp4.counters.echoRequests, 0);
  t.is(icmp6.counters.received, 0);
});

test("any bytes as an IPv6 packet: nothing throws, and each is accepted or counted once", (t) => {
  const header = fc.record({
    next: fc.constantFrom(0, 1, 2, 6, 17, 43, 44, 51, 58, 59, 60, 135, 253),
    dst: fc.constantFrom("fe80::1", GLOBAL, "ff02::1", "ff02::16", "fe80::9", "::1"),
    src: fc.constantFrom(PROBE_IP6, FAR, "::", "ff02::1", GLOBAL),
    hops: fc.constantFrom(0, 1, 64, 255),
    payloadLength: fc.option(fc.nat(65535), { nil: undefined, freq: 8 }),
  });
  // Small bytes make chains that hang together.
  const byte = fc.oneof(fc.constantFrom(0, 1, 2, 5, 6, 17, 43, 44, 58, 60, 130, 134, 143), fc.nat(255));
  const body = fc.array(byte, { maxLength: 120 }).map((list) => Uint8Array.from(list));
  const node = bare(t, {
    leaks: { faults: true, panics: true },
    components: () => [fragments6({ datagrams: 4, ranges: 4 }), mld(), pmtu6()],
  });
  const { probe, stack, ip6: ip, world } = node;
  node.udp.open({ port: 7 });
  const frag = stack.counters.frag6 as unknown as Record<string, number>;
  const outcomes = () => {
    const { received: _, sent, noRoute, tooBig, ...rest } = ip.counters;
    const { received: __, reassembled, sent: ___, evicted, timeout, ...pieces } = frag;
    const all = [rest, ip.extensions, pieces].flatMap((counters) => Object.values(counters));
    return all.reduce((sum, count) => sum + count, 0);
  };
  fc.assert(
    fc.property(fc.oneof(header, fc.constant(null)), body, (fields, bytes) => {
      const before = outcomes();
      const received = ip.counters.received;
      const held = frag.received + frag.evicted;
      probe.send(fields ? frame(ip6(fields), bytes) : concat(Uint8Array.of(0x60), bytes));
      probe.take();
      const counted = outcomes() - before;
      // A fragment that is kept is no outcome yet.
      return (
        ip.counters.received === received + 1 &&
        (counted === 1 || (counted === 0 && frag.received + frag.evicted > held))
      );
    }),
    { numRuns: 3000 },
  );
  world.run(400000);
  t.is(stack.pool.used, 0);
  t.deepEqual(findLeaks(stack, { faults: true }), []);
});
