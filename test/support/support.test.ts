/** The test vocabulary judged: builders and parsers against each other and against frames written out byte for byte. */
import test from "ava";
import { hex, toHex } from "./bytes.js";
import { differences, expectFrame } from "./expect.js";
import { arp, eth, fragments, frame, icmp, igmp, ip4, ip6, tcp, tcpOptions, udp } from "./packets.js";
import { parseFrame, parsePacket } from "./parse.js";
import { network, pair } from "./network.js";
import { probed } from "./probe.js";

test("an echo request is what RFC 791 and 792 say", (t) => {
  const bytes = frame(eth(), ip4({ id: 1, ttl: 1 }), icmp({ id: 0x1234, seq: 7 }), "abc");
  t.is(
    toHex(bytes),
    "02 00 00 00 00 01 02 00 00 00 00 02 08 00 " +
      "45 00 00 1f 00 01 00 00 01 01 a5 db 0a 00 00 02 0a 00 00 01 " +
      "08 00 21 62 12 34 00 07 61 62 63",
  );
});

test("a parser reads what a builder wrote, for every layer", (t) => {
  const options = tcpOptions({ mss: 1460, sackPermitted: true, timestamps: [1, 0xffffffff], windowScale: 7 });
  expectFrame(
    t,
    frame(eth({ vlans: [5] }), ip4({ df: true }), tcp({ flags: "SE", seq: 0xfffffff0, options })),
    {
      eth: { vlans: [5], type: 0x800 },
      ip4: { df: true, mf: false, ttl: 64, protocol: 6 },
      tcp: {
        flags: "SE",
        seq: 0xfffffff0,
        mss: 1460,
        windowScale: 7,
        timestamps: [1, 0xffffffff],
        sack: undefined,
      },
      payload: "",
    },
  );
  expectFrame(t, frame(eth(), ip6(), udp({ sport: 1, dport: 2 }), 5), { udp: { sport: 1 }, payload: 5 });
  expectFrame(t, frame(eth(), ip6(), icmp({ type: 128 }), "x"), { icmp: { type: 128 }, udp: null });
  expectFrame(t, frame(eth(), ip4(), igmp({ group: "224.0.0.9" })), { igmp: { group: "224.0.0.9" } });
  expectFrame(t, frame(eth({ pad: 60 }), arp({ op: 2 })), { arp: { op: 2, senderIp: "10.0.0.2" } });
});

test("differences are named", (t) => {
  const parsed = parseFrame(frame(eth(), ip4({ ttl: 3, checksum: 1 }), udp({ length: 9 }), "abc"));
  t.deepEqual(
    differences(parsed, { ip4: { ttl: 5, tos: (tos) => tos < 1 }, tcp: {}, udp: null, payload: "abd" }),
    [
      "IPv4 checksum",
      "UDP length",
      "ip4.ttl is 3, expected 5",
      "an udp header",
      "no tcp header",
      "payload differs at 2: 99, expected 100",
    ],
  );
  t.deepEqual(parseFrame(hex("ffffffffffff 020000000001")).faults, ["Ethernet header is cut short"]);
  t.deepEqual(parseFrame(frame(eth(), arp(), "old")).faults, ["padding is not zero"]);
});

test("fragments carry the whole", (t) => {
  const pieces = fragments(frame(ip4(), udp(), 100), 48, { id: 9 }).map((piece) => parsePacket(piece));
  t.deepEqual(
    pieces.map(({ ip4: header, payload }) => [header!.offset, header!.mf, payload.length]),
    [
      [0, true, 48],
      [48, true, 48],
      [96, false, 12],
    ],
  );
});

test("a probe pings a stack", (t) => {
  const { probe } = probed(t);
  probe.send(frame(eth(), ip4(), icmp({ id: 5, seq: 6 }), "hello"));
  expectFrame(t, probe.next(), {
    ip4: { src: "10.0.0.1", dst: "10.0.0.2" },
    icmp: { type: 0, id: 5, seq: 6 },
    payload: "hello",
  });
  t.is(probe.next(), undefined);
});

test("a probe answers ARP for the addresses it plays", (t) => {
  const { probe, udp: sockets, world } = probed(t, { acquainted: false });
  const socket = sockets.open();
  socket.sendTo("10.0.0.2", 7, hex("01"));
  world.run(1);
  expectFrame(t, probe.next(), { udp: { dport: 7 }, payload: hex("01") });
  socket.sendTo("10.0.0.3", 7, hex("01"));
  world.run(1);
  expectFrame(t, probe.next(), { arp: { op: 1, targetIp: "10.0.0.3" } });
  socket.close();
});

test("pairs and networks reach each other", (t) => {
  const two = pair(t, { delay: 5 });
  const target = new Uint8Array(10);
  const from = two.a.udp.open();
  const to = two.b.udp.open({ port: 9 });
  from.sendTo("10.0.0.2", 9, hex("0102"));
  two.run(100);
  t.is(to.receive(target), 2);
  const many = network(t, 5);
  const last = many.nodes[4].udp.open({ port: 9 });
  const first = many.nodes[0].udp.open();
  first.sendTo(many.nodes[4].address, 9, hex("0304"));
  many.run(10);
  t.is(last.receive(target), 2);
});
