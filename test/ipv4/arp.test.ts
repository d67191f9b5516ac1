/** ARP: the cache's manners towards strangers, and proxies. */
import test from "ava";
import fc from "fast-check";
import { proxyArp } from "../../stack/ipv4/proxy-arp.js";
import { hex, ip4Bytes, toHex } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { findLeaks } from "../support/leaks.js";
import {
  BROADCAST_MAC,
  PROBE_IP,
  PROBE_MAC,
  STACK_IP,
  STACK_MAC,
  arp,
  eth,
  frame,
} from "../support/packets.js";
import type { ArpFields } from "../support/packets.js";
import { Probe, probed } from "../support/probe.js";

const OTHER_MAC = "02:00:00:00:00:66";
const toInt = (text: string) => ip4Bytes(text).reduce((value, byte) => (value << 8) | byte, 0);

test("ARP-01 packets of 0 to 27 bytes, and of other networks", (t) => {
  const { probe, arp: component } = probed(t, { acquainted: false });
  const whole = frame(arp());
  let malformed = 0;
  for (let length = 0; length < 28; length++) {
    probe.send(frame(eth({ type: 0x0806 }), whole.slice(0, length)));
    t.is(component.counters.malformed, ++malformed);
  }
  const lies: ArpFields[] = [
    ...[0, 5, 255].flatMap((n) => [{ hardwareLength: n }, { protocolLength: n }]),
    { hardwareType: 0 },
    { hardwareType: 6 },
    { hardwareType: 257 },
    { protocolType: 0x86dd },
    { protocolType: 0 },
  ];
  for (const fields of lies) {
    probe.send(frame(eth(), arp(fields), new Uint8Array(18)));
    t.is(component.counters.malformed, ++malformed);
  }
  t.is(component.cache.entries.length, 0);
  t.deepEqual(probe.take(), []);
});

test("ARP-02 unsolicited replies and announcements make no entry", (t) => {
  const { probe, arp: component } = probed(t, { acquainted: false });
  probe.send(frame(eth(), arp({ op: 2, targetMac: STACK_MAC })));
  probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ op: 2, targetIp: PROBE_IP })));
  probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ op: 1, targetIp: PROBE_IP })));
  probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ op: 1, targetIp: "10.0.0.9" })));
  // A stranger to this network.
  probe.send(frame(eth(), arp({ senderIp: "192.0.2.1" })));
  t.is(component.cache.entries.length, 0);
  t.is(probe.take().length, 1, "the stranger is answered, not remembered");
});

test("ARP-02 a reachable neighbour keeps its entry until it no longer answers", (t) => {
  const { probe, arp: component, world, nif, udp } = probed(t, { acquainted: false });
  const socket = udp.open();
  socket.sendTo(PROBE_IP, 9, new Uint8Array(1));
  world.run(1);
  probe.take();
  const mac = () => {
    const entry = component.cache.find(nif, 0, 0, 0, toInt(PROBE_IP));
    return (
      entry &&
      toHex(
        Uint8Array.of(
          entry.high >> 8,
          entry.high,
          entry.low >> 24,
          entry.low >> 16,
          entry.low >> 8,
          entry.low,
        ),
      )
    );
  };
  const usual = toHex(hex(PROBE_MAC));
  t.is(mac(), usual);
  const forged = () => {
    for (const op of [1, 2]) {
      probe.send(
        frame(
          eth({ src: OTHER_MAC, dst: BROADCAST_MAC }),
          arp({ op, senderMac: OTHER_MAC, targetIp: PROBE_IP }),
        ),
      );
      probe.send(frame(eth({ src: OTHER_MAC }), arp({ op, senderMac: OTHER_MAC })));
    }
  };
  const before = component.counters.conflict;
  forged();
  t.is(component.counters.conflict, before + 4);
  t.is(mac(), usual);
  // It was asked again, and answers: nothing has changed.
  world.run(10000);
  t.is(mac(), usual);
  // Now it has gone: after three questions its address is free.
  probe.answersArp = [];
  forged();
  world.run(10000);
  t.is(mac(), null);
  forged();
  t.is(mac(), toHex(hex(OTHER_MAC)), "a request to us makes an entry");
});

test("ARP-04 groups and addresses that no host has are never remembered, own addresses never given away", (t) => {
  const { probe, arp: component, nif } = probed(t, { acquainted: false });
  const bad: ArpFields[] = [
    { senderMac: "01:00:5e:00:00:01" },
    { senderMac: BROADCAST_MAC },
    { senderMac: "00:00:00:00:00:00" },
    { senderIp: "224.0.0.1" },
    { senderIp: "255.255.255.255" },
    { senderIp: "127.0.0.1" },
    { senderIp: "0.1.2.3" },
  ];
  for (const fields of bad) for (const op of [1, 2]) probe.send(frame(eth(), arp({ op, ...fields })));
  t.is(component.counters.badSender, 14);
  t.deepEqual(probe.take(), []);
  probe.send(frame(eth(), arp({ senderIp: STACK_IP })));
  probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ op: 2, senderIp: STACK_IP, targetIp: STACK_IP })));
  t.is(component.counters.conflict, 2);
  t.deepEqual(probe.take(), []);
  t.is(component.cache.find(nif, 0, 0, 0, toInt(STACK_IP)), null);
  // A probe for our address is answered, by whom it is.
  probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ senderIp: "0.0.0.0" })));
  expectFrame(t, probe.next(), {
    eth: { dst: PROBE_MAC },
    arp: { op: 2, senderIp: STACK_IP, targetIp: "0.0.0.0" },
  });
  t.is(component.cache.entries.length, 0);
});

test("ARP-05 other operations change nothing", (t) => {
  const { probe, arp: component, ip } = probed(t, { acquainted: false });
  const operations = [0, 3, 4, 8, 9, 10, 255, 256, 257, 65535];
  for (const op of operations)
    probe.send(frame(eth(), arp({ op, targetIp: "10.0.0.99", targetMac: STACK_MAC })));
  t.is(component.counters.badOperation, operations.length);
  t.is(component.cache.entries.length, 0);
  t.deepEqual(
    ip.addresses.map((entry) => entry.address),
    [toInt(STACK_IP)],
  );
  t.deepEqual(probe.take(), []);
});

test("any bytes as ARP: nothing throws, nothing leaks, each packet is counted at most once", (t) => {
  const packet = fc.record({
    op: fc.constantFrom(1, 2, 1, 2, 0, 4),
    senderIp: fc.constantFrom(PROBE_IP, STACK_IP, "0.0.0.0", "10.0.0.7", "10.0.0.255", "224.0.0.1"),
    targetIp: fc.constantFrom(STACK_IP, STACK_IP, PROBE_IP, "0.0.0.0"),
    senderMac: fc.constantFrom(PROBE_MAC, STACK_MAC, OTHER_MAC, BROADCAST_MAC),
    flip: fc.option(fc.nat(27)),
    dst: fc.constantFrom(STACK_MAC, BROADCAST_MAC),
  });
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 30 }), (list) => {
      const { probe, arp: component, stack, world, udp } = probed(t, { acquainted: false, leaks: false });
      const { counters } = component;
      const drops = () => counters.malformed + counters.badOperation + counters.badSender + counters.conflict;
      udp.open().sendTo("10.0.0.7", 9, new Uint8Array(1));
      for (const { flip, dst, ...fields } of list) {
        const bytes = frame(eth({ dst }), arp(fields));
        if (flip !== null) bytes[14 + flip] ^= 0x55;
        const before = drops();
        probe.send(bytes);
        t.true(drops() - before <= 1);
      }
      t.true(probe.take().every((bytes) => bytes.length === 60 || bytes.length === 43));
      world.run(200000);
      t.deepEqual(findLeaks(stack), []);
    }),
    { numRuns: 200 },
  );
});

test("a proxy answers for what is behind it, where it was told to, and for nobody else", (t) => {
  const proxy = proxyArp();
  const { probe, world, stack, ip, nif } = probed(t, { components: () => [proxy] });
  const ask = (targetIp: string) => {
    probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ targetIp })));
    return probe.take().length;
  };
  const other = stack.addInterface(new Probe(world, { mac: "02:00:00:00:01:01" }));
  ip.addAddress(other, "10.5.0.1/24");
  t.is(ask("10.5.0.7"), 0);
  proxy.add(nif, "10.5.0.0/16");
  proxy.add(nif, "10.5.0.0/16");
  probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ targetIp: "10.5.0.7" })));
  expectFrame(t, probe.next(), {
    arp: { op: 2, senderIp: "10.5.0.7", senderMac: STACK_MAC, targetIp: PROBE_IP },
  });
  t.is(ask("10.5.9.7"), 0, "the way there is where the question came from");
  t.is(ask("10.6.0.7"), 0);
  t.is(ask("10.0.0.7"), 0);
  t.true(proxy.remove(nif, "10.5.0.0/16"));
  t.false(proxy.remove(nif, "10.5.0.0/16"));
  t.is(ask("10.5.0.7"), 0);
  t.throws(() => proxy.add(nif, "nonsense"), { code: "EINVAL" });
  proxy.add(other, "10.0.0.0/24");
  stack.removeInterface(other);
  t.is(ask("10.0.0.7"), 0);
});
