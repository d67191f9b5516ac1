/** Ethernet: what is dropped and why, and what leaves as padding. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { acd } from "../../stack/ipv4/acd.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { loopback } from "../../stack/link/loopback.js";
import { vlan } from "../../stack/link/vlan.js";
import { hex } from "../support/bytes.js";
import { findLeaks } from "../support/leaks.js";
import {
  BROADCAST_MAC,
  STACK_MAC,
  arp,
  eth,
  frame,
  icmp,
  igmp as igmpMessage,
  ip4,
  tcp,
  udp,
} from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";

test("ETH-01 frames of 0 to 59 bytes", (t) => {
  const { probe, ethernet, ip, icmp: echo } = probed(t);
  const whole = frame(eth({ pad: 60 }), ip4(), icmp({ id: 1 }), "abc");
  for (let length = 0; length < 60; length++) {
    const short = ethernet.counters.short;
    const dropped = ip.counters.badhdr + ip.counters.badlen;
    const answered = echo.counters.echoRequests;
    probe.send(whole.slice(0, length));
    t.is(ethernet.counters.short - short, length < 14 ? 1 : 0);
    // 14 bytes Ethernet, 28 and 3 of the echo request: whatever is longer is padding.
    t.is(ip.counters.badhdr + ip.counters.badlen - dropped, length >= 14 && length < 45 ? 1 : 0);
    t.is(echo.counters.echoRequests - answered, length < 45 ? 0 : 1);
  }
  for (const answer of probe.takeParsed()) t.is(answer.payload.length, 3);
});

test("ETH-04 padding is zero, whatever lay in the buffers before", (t) => {
  const { probe, stack, arp: component } = probed(t);
  const CANARY = 0xca;
  let frames = 0;
  for (let i = 0; i < 2500; i++) {
    stack.tx.data.fill(CANARY);
    (component as unknown as { packet: { data: Uint8Array } }).packet.data.fill(CANARY);
    probe.send(frame(eth({ dst: BROADCAST_MAC }), arp()));
    probe.send(frame(eth(), ip4(), icmp({ seq: i }), 1));
    probe.send(frame(eth(), ip4(), tcp({ flags: "S", dport: 1 + i })));
    probe.send(frame(eth(), ip4({ protocol: 200 })));
    for (const bytes of probe.take()) {
      frames++;
      const { faults } = parseFrame(bytes);
      t.deepEqual(faults, []);
      t.false(
        bytes.some((byte, at) => byte === CANARY && bytes[at + 1] === CANARY && bytes[at + 2] === CANARY),
      );
      t.true(bytes.length >= 60);
    }
  }
  t.true(frames >= 5000);
});

test("ETH-05 frames for others, groups of others, and senders that cannot be", (t) => {
  const { probe, ethernet, ip } = probed(t);
  const before = ip.counters.received;
  const echo = [ip4(), icmp()] as const;
  probe.send(frame(eth({ dst: "02:00:00:00:00:07" }), ...echo));
  t.like(ethernet.counters, { otherHost: 1 });
  probe.send(frame(eth({ dst: "01:00:5e:01:02:03" }), ...echo));
  probe.send(frame(eth({ dst: "33:33:00:00:00:01" }), ...echo));
  t.like(ethernet.counters, { otherHost: 1, otherGroup: 2 });
  probe.send(frame(eth({ src: "03:00:00:00:00:02" }), ...echo));
  probe.send(frame(eth({ src: BROADCAST_MAC }), ...echo));
  t.like(ethernet.counters, { badSource: 2 });
  probe.send(frame(eth({ src: STACK_MAC }), ...echo));
  probe.send(frame(eth({ src: STACK_MAC, dst: BROADCAST_MAC }), arp()));
  t.like(ethernet.counters, { ownSource: 2, short: 0, unknownType: 0 });
  probe.send(frame(eth({ type: 0x88b5 }), "unknown"));
  probe.send(frame(eth({ type: 46 }), "LLC"));
  t.is(ethernet.counters.unknownType, 2);
  t.is(ip.counters.received, before);
  t.deepEqual(probe.take(), []);
});

test("ETH-06 unicast packets in broadcast and multicast frames are discarded without a word", (t) => {
  const { probe, ip, udp: sockets } = probed(t, { components: () => [igmp()] });
  const socket = sockets.open({ port: 7 });
  socket.join("239.1.2.3");
  probe.take();
  let count = 0;
  for (const dst of [BROADCAST_MAC, "01:00:5e:01:02:03"]) {
    for (const inner of [tcp({ flags: "S", dport: 80 }), udp({ dport: 7 }), udp({ dport: 8 }), icmp()]) {
      probe.send(frame(eth({ dst }), ip4(), inner));
      t.is(ip.counters.linkBroadcast, ++count);
    }
  }
  t.is(socket.readable(), 0);
  t.deepEqual(probe.take(), []);
});

/** Counters that say why a frame was dropped. */
const DROPS: Record<string, string[]> = {
  eth: ["short", "otherHost", "otherGroup", "badSource", "ownSource", "unknownVlan", "unknownType"],
  arp: ["malformed", "badOperation", "badSender", "conflict"],
  ip4: [
    "version",
    "badhdr",
    "badlen",
    "badsum",
    "badopt",
    "srcroute",
    "martian",
    "linkBroadcast",
    "notOurs",
    "strongHost",
    "fragments",
    "unknownProtocol",
  ],
  frag: ["malformed", "toobig", "tiny", "duplicate", "overlap", "holes", "rejected", "noMemory"],
  icmp: ["short", "badsum", "broadcast", "unsolicited", "ignored", "unhandled"],
  igmp: ["malformed", "badsum", "badTtl", "noAlert", "badSource", "ignored"],
  udp: ["badlen", "badsum", "noPort", "notPeer", "badPort", "rxfull"],
};

function everything(t: ExecutionContext) {
  const vlans = vlan();
  const node = probed(t, {
    leaks: false,
    components: () => [fragments(), igmp(), pmtu(), vlans, loopback(), acd()],
  });
  vlans.add(node.nif, 20);
  node.ip.join!("239.1.2.3", node.nif, null);
  // Conflict detection takes its time.
  node.world.run(20000);
  node.probe.send(frame(eth(), arp()));
  node.probe.take();
  const drops = () =>
    Object.entries(DROPS).reduce(
      (sum, [component, names]) =>
        sum + names.reduce((part, name) => part + node.stack.counters[component][name], 0),
      0,
    );
  return { ...node, drops };
}

/** Frames that look right for some way, and then go wrong. */
const hostile = fc
  .record({
    layers: fc.constantFrom(
      () => frame(eth({ dst: BROADCAST_MAC }), arp()),
      () => frame(eth(), ip4(), icmp(), 20),
      () =>
        frame(
          eth(),
          ip4(),
          icmp({ type: 3, code: 4, rest: 600 }),
          frame(ip4({ src: "10.0.0.1", dst: "10.0.0.2" }), udp()),
        ),
      () => frame(eth(), ip4(), udp(), 20),
      () => frame(eth(), ip4({ offset: 16, mf: true }), udp(), 24),
      () => frame(eth(), ip4({ options: hex("94040000 8307040a000001 00") }), udp()),
      () =>
        frame(
          eth({ dst: "01:00:5e:00:00:01" }),
          ip4({ dst: "224.0.0.1", ttl: 1, options: hex("94040000") }),
          igmpMessage(),
        ),
      () => frame(eth({ dst: "01:00:5e:01:02:03" }), ip4({ dst: "239.1.2.3" }), udp(), 9),
      () => frame(eth({ vlans: [20] }), ip4(), icmp()),
      () => frame(eth({ vlans: [20, 20] }), arp()),
      () => frame(eth(), ip4({ protocol: 4 }), frame(ip4(), icmp())),
    ),
    flips: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 3 }),
    cut: fc.option(fc.nat(80)),
    pad: fc.nat(20),
  })
  .map(({ layers, flips, cut, pad }) => {
    const bytes = new Uint8Array([...layers().slice(0, cut ?? undefined), ...new Array<number>(pad).fill(0)]);
    for (const [at, value] of flips) if (at < bytes.length) bytes[at] ^= value;
    return bytes;
  });

for (const [name, arbitrary] of [
  ["any bytes", fc.uint8Array({ maxLength: 100 })],
  ["frames gone wrong", hostile],
] as const) {
  test(`RES-05 ${name}: nothing throws, each is dropped for one reason or accepted, memory comes back`, (t) => {
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 20 }), (frames) => {
        const { probe, stack, ip, drops, world } = everything(t);
        for (const bytes of frames) {
          const before = drops();
          const accepted = ip.counters.delivered + stack.counters.frag.received;
          probe.send(bytes);
          const dropped = drops() - before;
          const taken = ip.counters.delivered + stack.counters.frag.received > accepted;
          const type = (bytes[12] << 8) | bytes[13];
          if (taken) t.true(dropped <= 1);
          else if (type === 0x0806 || type === 0x8100) t.true(dropped <= 1);
          else t.is(dropped, 1);
          t.false(stack.busy);
        }
        world.run(5000000);
        t.deepEqual(findLeaks(stack), []);
        t.deepEqual(world.panics, []);
      }),
      { numRuns: 200 },
    );
  });
}

test("no frame is sent that the probe would call faulty", (t) => {
  fc.assert(
    fc.property(fc.array(hostile, { maxLength: 20 }), (frames) => {
      const { probe } = everything(t);
      for (const bytes of frames) {
        probe.send(bytes);
        for (const answer of probe.take()) {
          const { faults, eth: link } = parseFrame(answer);
          t.deepEqual(faults, []);
          t.is(link?.src, STACK_MAC);
        }
      }
    }),
    { numRuns: 200 },
  );
});
