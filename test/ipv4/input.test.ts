/** IPv4 input against hostile headers, options and addresses; ICMP against what strangers send. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { get32 } from "../../stack/core/bytes.js";
import { inspectAddresses, inspectNeighbours, inspectRoutes } from "../../stack/inspect.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp as createIcmp } from "../../stack/ipv4/icmp.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { ping } from "../../stack/raw/ping.js";
import { concat, hex, ip4Bytes, pattern } from "../support/bytes.js";
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
import type { EthFields, Ip4Fields, Layer } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { Probe, probed } from "../support/probe.js";
import type { Probed } from "../support/probe.js";

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

/** An ICMP message alone, its checksum right. */
const message = (type: number, body: Uint8Array, rest = 0) => frame(icmp({ type, rest }), body);

/** What strangers must not change. */
function settings({ ip, arp, stack }: Probed) {
  return [inspectAddresses(ip), inspectRoutes(ip), inspectNeighbours(arp), stack.pool.used];
}

test("ICM-01 messages that are cut off, and errors whose quotations are: dropped, counted, never read beyond", (t) => {
  const { probe, icmp: control, udp: sockets } = probed(t);
  const errors: number[] = [];
  const socket = sockets.open({ port: 7, onError: (code) => errors.push(code) });
  t.is(socket.connect(PROBE_IP, 9), 0);
  const { counters } = control;
  let received = 0;
  /** `inside` is what the datagram holds, `behind` what lies in the frame after it. */
  const cutOff = (text: string, inside: Uint8Array, behind: Uint8Array = new Uint8Array(0)) => {
    probe.send(frame(eth(), ip4({ protocol: 1, totalLength: 20 + inside.length }), inside, behind));
    t.like(counters, { received: ++received, short: received }, text);
  };
  const echo = message(8, pattern(20));
  for (let size = 0; size < 8; size++) {
    cutOff(`${size} bytes`, echo.slice(0, size));
    cutOff(`${size} bytes by the IP length`, echo.slice(0, size), echo.slice(size));
  }
  const quoted = frame(ip4({ src: STACK_IP, dst: PROBE_IP }), udp({ sport: 7, dport: 9 }));
  for (const type of [3, 11, 12]) {
    for (let size = 0; size < 28; size++) {
      cutOff(`${size} bytes quoted`, message(type, quoted.slice(0, size)));
      // The rest is there, behind the end: a socket would know it.
      cutOff(
        `${size} bytes quoted by the IP length`,
        message(type, quoted.slice(0, size)),
        quoted.slice(size),
      );
    }
    for (const ihl of [0, 1, 2, 3, 4, 6, 7, 8, 15]) {
      const lying = quoted.slice();
      lying[0] = 0x40 | ihl;
      cutOff(`a quoted header of ${ihl} words`, message(type, lying), pattern(64));
    }
    for (const version of [0, 5, 6, 15]) {
      const other = quoted.slice();
      other[0] = (version << 4) | 5;
      cutOff(`a quotation of version ${version}`, message(type, other));
    }
  }
  t.deepEqual([errors, probe.take()], [[], []]);
  probe.send(frame(eth(), ip4({ protocol: 1 }), message(3, quoted)));
  t.is(errors.length, 1, "the whole of it is believed");
  t.is(counters.short, received);
});

test("ICM-04 redirects are not believed, whoever they come from and wherever they lead", (t) => {
  const node = probed(t);
  const { probe, udp: sockets, icmp: control } = node;
  const FAR = "192.0.2.1";
  const socket = sockets.open({ port: 7 });
  const send = () => {
    t.is(socket.sendTo(FAR, 9, pattern(4)), 4);
    expectFrame(t, probe.next(), { eth: { dst: "02:00:00:00:00:02" }, ip4: { dst: FAR } });
  };
  send();
  const before = settings(node);
  let count = 0;
  const redirect = (src: string, code: number, gateway: string, dst: string, times = 1) => {
    const rest = get32(ip4Bytes(gateway), 0);
    const quoted = frame(ip4({ src: STACK_IP, dst }), udp({ sport: 7, dport: 9 }), pattern(4));
    const bytes = frame(eth(), ip4({ src }), icmp({ type: 5, code, rest }), quoted);
    for (count += times; times > 0; times--) probe.send(bytes);
  };
  const gateways = [PROBE_IP, "10.0.0.3", "198.51.100.1", STACK_IP, "10.0.0.255", "224.0.0.1", "0.0.0.0"];
  for (const src of [PROBE_IP, "10.0.0.3", "198.51.100.7", FAR]) {
    for (const code of [0, 1, 2, 3, 4, 255]) {
      // About what was sent, and about what never was.
      for (const gateway of gateways)
        for (const dst of [FAR, "203.0.113.5"]) redirect(src, code, gateway, dst);
    }
  }
  for (let i = 0; i < 1000; i++) {
    redirect(`10.0.0.${3 + (i % 250)}`, i & 3, `10.0.0.${3 + (i % 199)}`, `192.0.${i >> 8}.${i & 255}`, 10);
  }
  t.is(control.counters.ignored, count);
  t.deepEqual(settings(node), before);
  t.deepEqual(probe.take(), []);
  send();
});

test("ICM-05 of all types and codes only echo is answered, and none configures anything", (t) => {
  const node = probed(t);
  const { probe, icmp: control } = node;
  const before = settings(node);
  // As an address mask, a router advertisement of one router, and three timestamps.
  const bodies = ["ffffff00", "0a000003 7fffffff", "00000001 00000002 00000003"].map(hex);
  let unhandled = 0;
  for (let type = 0; type < 256; type++) {
    if (type === 8) continue;
    for (const code of [0, 1, 255]) {
      for (const body of bodies) {
        probe.send(frame(eth(), ip4(), icmp({ type, code, rest: 0x01020708 }), body));
        if (![0, 3, 4, 5, 11, 12].includes(type))
          t.is(control.counters.unhandled, ++unhandled, `type ${type}`);
      }
    }
  }
  t.is(unhandled, (256 - 7) * 9);
  t.deepEqual(probe.take(), []);
  t.deepEqual(settings(node), before);
  probe.send(frame(eth(), ip4(), icmp()));
  expectFrame(t, probe.next(), { icmp: { type: 0 } });
});

/** Why nobody may be told of an error (RFC 1122 section 3.2.2): what is special about the packet. */
const UNTOLD: { link?: EthFields; net?: Ip4Fields }[] = [
  { link: { dst: BROADCAST_MAC }, net: { dst: "255.255.255.255" } },
  { net: { dst: "255.255.255.255" } },
  { link: { dst: BROADCAST_MAC }, net: { dst: "10.0.0.255" } },
  { net: { dst: "10.0.0.255" } },
  { net: { dst: "10.0.0.0" } },
  { link: { dst: "01:00:5e:00:00:01" }, net: { dst: "224.0.0.1" } },
  { net: { dst: "224.0.0.1" } },
  { link: { dst: BROADCAST_MAC } },
  { link: { dst: "01:00:5e:00:00:01" } },
  ...[
    "0.0.0.0",
    "0.0.0.1",
    "127.0.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "10.0.0.255",
    STACK_IP,
  ].map((src) => ({ net: { src } })),
  { net: { offset: 8 } },
  { net: { offset: 8, mf: true } },
  { net: { offset: 1480 } },
];

test("ICM-06 no error about what came to many, from nobody, as a later fragment, or as an error", (t) => {
  const {
    probe,
    ip,
    icmp: control,
    world,
    udp: sockets,
  } = probed(t, {
    components: () => [fragments(), igmp()],
  });
  // Even DHCP's exception tells nobody.
  ip.acceptUnspecified = () => true;
  const closed: Layer[] = [udp({ dport: 9 }), { ...udp(), type: 200 }];
  const told = () => probe.takeParsed().filter((answer) => answer.icmp);
  for (const inner of closed) {
    probe.send(frame(eth(), ip4(), inner, 20));
    t.is(told().length, 1, "what may be told is");
    for (const { link, net } of UNTOLD) probe.send(frame(eth(link), ip4(net), inner, 20));
  }
  world.run(120_000);
  t.deepEqual(told(), []);
  t.true(sockets.counters.noPort > 5, "some came as far as UDP");
  // Whoever looks at all packets, and wants to tell of each.
  ip.taps.push((packet) => (control.protocolUnreachable(packet), false));
  for (const { link, net } of UNTOLD)
    probe.send(frame(eth(link), ip4({ id: 7, ...net }), icmp({ type: 13 }), 20));
  t.deepEqual(told(), []);
  const types = [];
  for (let type = 0; type < 256; type++) {
    world.run(1000);
    probe.send(frame(eth(), ip4(), icmp({ type }), frame(ip4({ src: STACK_IP }), udp())));
    if (told().some((answer) => answer.icmp!.type === 3)) types.push(type);
  }
  t.deepEqual(types, [0, 8, 13, 14, 15, 16, 17, 18], "queries alone");
  probe.send(frame(eth(), ip4({ protocol: 1 })));
  t.deepEqual(told(), [], "too short to tell what it is");
  world.run(60_000);
  t.deepEqual(told(), []);
});

test("ICM-08 no echo to all, or for all; a reply that nobody asked for is dropped unread", (t) => {
  const pings = ping();
  const { probe, ip, icmp: control, stack } = probed(t, { components: () => [igmp(), pings] });
  const heard: unknown[] = [];
  const socket = pings.open({
    address: PROBE_IP,
    onReply: (reply) => heard.push(reply),
    onError: (code) => heard.push(code),
  });
  const sizes = [0, 1, 56, 1472];
  const to: [string, string][] = [
    [BROADCAST_MAC, "255.255.255.255"],
    [BROADCAST_MAC, "10.0.0.255"],
    ["02:00:00:00:00:01", "10.0.0.255"],
    ["01:00:5e:00:00:01", "224.0.0.1"],
  ];
  for (const [mac, dst] of to)
    for (const size of sizes) probe.send(frame(eth({ dst: mac }), ip4({ dst }), icmp(), size));
  t.is(control.counters.broadcast, 16);
  let martian = 0;
  for (const src of ["10.0.0.255", "10.0.0.0", "255.255.255.255", "224.0.0.1"]) {
    for (const size of sizes) {
      probe.send(frame(eth(), ip4({ src }), icmp(), size));
      t.is(ip.counters.martian, ++martian, src);
    }
  }
  let unsolicited = 0;
  for (const id of [0, socket.hash ^ 1, socket.hash]) {
    for (const seq of [0, 1, 65535]) {
      for (const size of sizes) {
        probe.send(frame(eth(), ip4(), icmp({ type: 0, id, seq }), size));
        t.is(control.counters.unsolicited, ++unsolicited);
      }
    }
  }
  t.deepEqual([heard, probe.takeParsed().filter((answer) => answer.icmp)], [[], []]);
  t.is(stack.pool.used, 0);
  t.is(control.counters.echoRequests, 0);
});

/** A byte that no packet of these holds, all over the memory that packets are made in. */
const CANARY = 0xc5;

function poison(t: ExecutionContext, { stack, udp: sockets, probe }: Probed): void {
  stack.prepare(0)!.data.fill(CANARY);
  // And in the memory of packets that wait.
  const socket = sockets.open({ port: 7 });
  for (let i = 0; i < 4; i++)
    probe.send(frame(eth(), ip4(), udp({ dport: 7 }), new Uint8Array(1400).fill(CANARY)));
  t.is(socket.readable(), 4);
  socket.close();
}

test("ICM-10 echoes are what was sent, quotations too up to 576 bytes, and nothing of our memory leaves", (t) => {
  const node = probed(t, { components: () => [createIcmp({ errorRate: 100_000, errorBurst: 100_000 })] });
  const { probe, ip } = node;
  const data = pattern(1472).map((byte) => (byte === CANARY ? 0 : byte));
  const canaries = (bytes: Uint8Array, from = 38) =>
    bytes.subarray(from).filter((byte) => byte === CANARY).length;
  poison(t, node);
  for (let size = 0; size <= 1472; size++) {
    node.stack.prepare(0)!.data.fill(CANARY);
    probe.send(frame(eth({ pad: 60 }), ip4(), icmp({ id: 1, seq: 2 }), data.slice(0, size)));
    const reply = probe.next()!;
    const { ip4: header, icmp: echo, payload, faults } = parseFrame(reply);
    t.true(
      header!.totalLength === 28 + size &&
        echo!.type === 0 &&
        echo!.rest === 0x10002 &&
        faults.length === 0 &&
        canaries(reply) === 0 &&
        Buffer.compare(payload, data.subarray(0, size)) === 0,
      `${size} bytes`,
    );
  }
  for (const size of [0, 1, 17, 100]) {
    // The frame is longer than its datagram, by what is no padding.
    const datagram = frame(ip4(), icmp({ id: 1, seq: 2 }), data.slice(0, size));
    probe.send(frame(eth({ type: 0x0800 }), datagram, new Uint8Array(100).fill(CANARY)));
    const reply = probe.next()!;
    expectFrame(t, reply, {
      ip4: { totalLength: 28 + size },
      icmp: { type: 0 },
      payload: data.slice(0, size),
    });
    t.is(canaries(reply), 0);
    // And shorter.
    probe.send(frame(eth(), ip4({ totalLength: 29 + size }), icmp(), data.slice(0, size)));
    t.is(probe.next(), undefined);
  }
  t.is(ip.counters.badlen, 4);
  for (let size = 0; size <= 1472; size += size < 600 ? 1 : 97) {
    node.stack.prepare(0)!.data.fill(CANARY);
    const sent = frame(eth(), ip4(), udp({ dport: 9 }), data.slice(0, size));
    probe.send(sent);
    const error = probe.next()!;
    const { ip4: header, payload, faults } = parseFrame(error);
    const quoted = Math.min(28 + size, 576 - 28);
    t.true(
      header!.totalLength === 28 + quoted &&
        faults.length === 0 &&
        // Lengths and checksums of what is quoted may be the canary's.
        canaries(error, 70) === 0 &&
        Buffer.compare(payload, sent.subarray(14, 14 + quoted)) === 0,
      `${size} bytes quoted`,
    );
  }
});
