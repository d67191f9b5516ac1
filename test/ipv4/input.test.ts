/** IPv4 input against hostile headers, options and addresses. */
import test from "ava";
import { fragments } from "../../stack/ipv4/fragments.js";
import { concat, hex } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import {
  BROADCAST_MAC,
  PROBE_IP,
  STACK_IP,
  eth,
  fragments as cut,
  frame,
  icmp,
  ip4,
  tcp,
  udp,
} from "../support/packets.js";
import type { Ip4Fields } from "../support/packets.js";
import { Probe, probed } from "../support/probe.js";

test("IP4-01 header and total lengths that lie", (t) => {
  const { probe, ip } = probed(t);
  const { counters } = ip;
  const bad = (counter: "badhdr" | "badlen", fields: Ip4Fields, size = 40) => {
    const before = counters[counter];
    const { badhdr, badlen } = counters;
    probe.send(frame(eth(), ip4(fields), udp(), size));
    t.is(counters[counter], before + 1, JSON.stringify(fields));
    t.is(counters.badhdr + counters.badlen, badhdr + badlen + 1);
  };
  for (const ihl of [0, 1, 2, 3, 4]) bad("badhdr", { ihl });
  bad("badhdr", { ihl: 15 }, 0);
  bad("badlen", { ihl: 15, totalLength: 59 }, 100);
  for (const totalLength of [0, 1, 19, 69, 1500, 65535]) bad("badlen", { totalLength });
  probe.send(frame(eth({ type: 0x0800 }), frame(ip4(), udp()).slice(0, 19)));
  t.is(counters.badhdr, 7);
  t.is(counters.delivered, 0);
  probe.send(frame(eth(), ip4({ checksum: 1 }), udp()));
  t.is(counters.badsum, 1);
  t.deepEqual(probe.take(), []);
});

test("IP4-01 what lies behind the total length is not part of the packet", (t) => {
  const { probe, udp: sockets } = probed(t);
  const socket = sockets.open({ port: 7 });
  probe.send(frame(eth({ pad: 200 }), ip4(), udp(), "abc"));
  t.is(socket.receive(new Uint8Array(100)), 3);
});

test("IP4-02 other versions, and other ethertypes", (t) => {
  const { probe, ip, ethernet } = probed(t);
  for (const version of [0, 1, 5, 6, 7, 15]) probe.send(frame(eth(), ip4({ version }), udp()));
  t.is(ip.counters.version, 6);
  probe.send(frame(eth({ type: 0x86dd }), ip4(), udp()));
  t.is(ethernet.counters.unknownType, 1);
  t.is(ip.counters.received, 6);
});

test("IP4-04 option lists that lie, end nowhere, or are full of nothing", (t) => {
  const { probe, ip, icmp: echo } = probed(t);
  const bad = [
    "8300",
    "8301",
    "83ff",
    "9405",
    "070b0401020304ff",
    "44 05",
    "010101 83",
    "ff00",
    "01" + "07" + "26" + "00".repeat(35),
  ];
  for (const text of bad) {
    const before = ip.counters.badopt;
    // Padded to whole words with an option that is cut off.
    const options = hex(text);
    const padded = concat(options, new Uint8Array(-options.length & 3).fill(0x83));
    probe.send(frame(eth(), ip4({ options: padded }), icmp()));
    t.is(ip.counters.badopt, before + 1, text);
  }
  t.is(echo.counters.echoRequests, 0);
  const good = [
    "01".repeat(40),
    "00".repeat(40),
    "00ffffff",
    "01010100",
    "94040000",
    "4404 0500",
    "ff04aabb",
  ];
  for (const text of good) probe.send(frame(eth(), ip4({ options: hex(text) }), icmp()));
  t.is(echo.counters.echoRequests, good.length);
  for (const answer of probe.takeParsed()) t.is(answer.ip4?.options.length, 0, "options are not reflected");
});

test("IP4-05 source routes are refused, in packets of all kinds, and nothing leaves towards their hops", (t) => {
  const { probe, ip, udp: sockets } = probed(t);
  sockets.open({ port: 7 });
  const HOP = "c0000263";
  const routes = [0x83, 0x89].flatMap((kind) =>
    [0, 3, 4, 8, 255].map((pointer) => concat(Uint8Array.of(kind, 7, pointer), hex(HOP), Uint8Array.of(0))),
  );
  routes.push(concat(routes[0].slice(0, 7), Uint8Array.of(1), routes[9]));
  let count = 0;
  for (const options of routes) {
    for (const inner of [icmp(), udp({ dport: 7 }), udp({ dport: 9 }), tcp({ flags: "S" })]) {
      probe.send(frame(eth(), ip4({ options }), inner));
      t.is(ip.counters.srcroute, ++count);
    }
  }
  t.deepEqual(probe.take(), []);
  // Record route and timestamp are let through; what they elicit carries none of it.
  for (const options of [hex("07 07 04 00000000 00"), hex("44 08 05 00 00000000")]) {
    probe.send(frame(eth(), ip4({ options }), udp({ dport: 9 })));
    probe.send(frame(eth(), ip4({ options }), icmp()));
    expectFrame(t, probe.next(), {
      ip4: { dst: PROBE_IP, options: new Uint8Array(0) },
      icmp: { type: 3, code: 3 },
    });
    expectFrame(t, probe.next(), { ip4: { dst: PROBE_IP, options: new Uint8Array(0) }, icmp: { type: 0 } });
  }
});

test("IP4-06 sources that no packet has, and a destination of 127.0.0.0/8", (t) => {
  const { probe, ip, udp: sockets } = probed(t);
  const socket = sockets.open({ port: 7, broadcast: true });
  const sources = [
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.255.255.254",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "10.0.0.255",
    "10.0.0.0",
    STACK_IP,
  ];
  let count = 0;
  for (const src of sources) {
    for (const inner of [icmp(), udp({ dport: 7 }), udp({ dport: 9 }), tcp({ flags: "S" })]) {
      probe.send(frame(eth(), ip4({ src }), inner));
      t.is(ip.counters.martian, ++count, src);
    }
  }
  for (const dst of ["127.0.0.1", "127.1.2.3"]) {
    probe.send(frame(eth(), ip4({ dst }), udp({ dport: 7 })));
    t.is(ip.counters.martian, ++count);
  }
  for (const dst of ["0.0.0.0", "240.0.0.1", "10.0.0.9", "192.0.2.1", "224.0.0.5"]) {
    const before = ip.counters.notOurs;
    probe.send(frame(eth(), ip4({ dst }), udp({ dport: 7 })));
    t.is(ip.counters.notOurs, before + 1, dst);
  }
  t.is(socket.readable(), 0);
  t.deepEqual(probe.take(), []);
});

test("IP4-06 from 0.0.0.0 comes what somebody asked for", (t) => {
  const { probe, ip, udp: sockets } = probed(t);
  const socket = sockets.open({ port: 67, broadcast: true });
  ip.acceptUnspecified = (packet) => packet.protocol === 17;
  const discover = frame(
    eth({ dst: BROADCAST_MAC }),
    ip4({ src: "0.0.0.0", dst: "255.255.255.255" }),
    udp({ sport: 68, dport: 67 }),
  );
  probe.send(discover);
  t.is(socket.readable(), 1);
  t.deepEqual(probe.take(), []);
});

test("broadcasts: limited, of the network, and its old form", (t) => {
  const { probe, udp: sockets, ip } = probed(t);
  const socket = sockets.open({ port: 7, broadcast: true });
  const deaf = sockets.open({ port: 8 });
  for (const dst of ["255.255.255.255", "10.0.0.255", "10.0.0.0"]) {
    for (const dport of [7, 8, 9])
      probe.send(frame(eth({ dst: BROADCAST_MAC }), ip4({ dst }), udp({ dport })));
    probe.send(frame(eth({ dst: BROADCAST_MAC }), ip4({ dst }), tcp({ flags: "S" })));
    probe.send(frame(eth({ dst: BROADCAST_MAC }), ip4({ dst }), icmp()));
    probe.send(frame(eth({ dst: BROADCAST_MAC }), ip4({ dst, protocol: 200 })));
  }
  probe.send(frame(eth({ dst: BROADCAST_MAC }), ip4({ dst: "10.0.1.255" }), udp({ dport: 7 })));
  t.is(ip.counters.notOurs, 1);
  t.is(socket.readable(), 3);
  t.is(deaf.readable(), 0);
  t.deepEqual(probe.take(), []);
});

test("IP4-08 an address of another interface is no address here", (t) => {
  const { probe, world, stack, ip, udp: sockets } = probed(t);
  const other = new Probe(world, { mac: "02:00:00:00:01:01" });
  ip.addAddress(stack.addInterface(other), "10.5.0.1/24");
  const socket = sockets.open({ port: 7 });
  for (const inner of [icmp(), udp({ dport: 7 }), tcp({ flags: "S" })])
    probe.send(frame(eth(), ip4({ dst: "10.5.0.1" }), inner));
  t.is(ip.counters.strongHost, 3);
  t.is(socket.readable(), 0);
  t.deepEqual(probe.take(), []);
  other.send(
    frame(eth({ dst: "02:00:00:00:01:01" }), ip4({ src: "10.5.0.2", dst: "10.5.0.1" }), udp({ dport: 7 })),
  );
  t.is(socket.readable(), 1);
});

test("IP4-09 packets within packets are not unwrapped", (t) => {
  const { probe, ip, icmp: echo } = probed(t, { components: () => [fragments()] });
  let nested = frame(ip4(), icmp());
  const sent: Uint8Array[] = [];
  for (let depth = 1; depth <= 64; depth++) {
    nested = frame(ip4({ protocol: [4, 41, 47, 50, 51][depth % 5] }), nested);
    if (nested.length <= 1500) sent.push(nested);
  }
  for (const packet of sent) probe.send(frame(eth({ type: 0x0800 }), packet));
  t.is(ip.counters.unknownProtocol, sent.length);
  t.is(echo.counters.echoRequests, 0);
  // An inner length that does not match, an inner fragment in an outer one.
  probe.send(frame(eth(), ip4({ protocol: 4 }), ip4({ totalLength: 9999 }), udp()));
  for (const each of cut(frame(ip4({ protocol: 4 }), ip4({ mf: true }), icmp(), 64), 48, { protocol: 4 })) {
    probe.send(frame(eth({ type: 0x0800 }), each));
  }
  t.is(ip.counters.unknownProtocol, sent.length + 2);
  // The sender is told, at a limited rate and never in more bytes than it sent.
  const answers = probe.takeParsed();
  t.true(answers.length > 0 && answers.length <= 20);
  for (const answer of answers) t.like(answer.icmp, { type: 3, code: 2 });
});
