/** VLAN interfaces: tags in, tags out. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { loopback } from "../../stack/link/loopback.js";
import { vlan } from "../../stack/link/vlan.js";
import { useGroup } from "../../stack/link/groups.js";
import { concat, hex, pattern } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { findLeaks } from "../support/leaks.js";
import { BROADCAST_MAC, PROBE_MAC, STACK_MAC, arp, eth, frame, icmp, ip4, udp } from "../support/packets.js";
import { probed } from "../support/probe.js";
import type { ProbeOptions } from "../support/probe.js";

const HERE = "10.20.0.1";
const THERE = "10.20.0.2";

function setUp(t: ExecutionContext, probeOptions: ProbeOptions = {}) {
  const vlans = vlan();
  const node = probed(t, { probe: probeOptions, components: () => [vlans, loopback()] });
  const office = vlans.add(node.nif, 20);
  node.ip.addAddress(office, HERE + "/24");
  const tagged = (...vlanIds: number[]) => eth({ vlans: vlanIds });
  /** Lets the stack learn the peer of VLAN 20. */
  const meet = () => {
    node.probe.send(
      frame(eth({ vlans: [20], dst: BROADCAST_MAC }), arp({ senderIp: THERE, targetIp: HERE })),
    );
    return node.probe.next();
  };
  return { ...node, vlans, office, tagged, meet };
}

test("a VLAN answers with its tag, and pads behind it", (t) => {
  const { probe, tagged, meet, office } = setUp(t);
  t.is(office.name, "eth0.20");
  const reply = meet();
  expectFrame(t, reply, {
    eth: { vlans: [20], dst: PROBE_MAC, src: STACK_MAC, type: 0x0806 },
    arp: { op: 2, senderIp: HERE, targetIp: THERE },
  });
  t.is(reply?.length, 64);
  probe.send(frame(tagged(20 | 0x6000), ip4({ src: THERE, dst: HERE }), icmp({ id: 3 }), "tagged"));
  expectFrame(t, probe.next(), {
    eth: { vlans: [20] },
    ip4: { src: HERE, dst: THERE },
    icmp: { type: 0, id: 3 },
    payload: "tagged",
  });
  t.is(office.counters.rxFrames, 2);
  t.is(office.counters.txFrames, 2);
});

test("VLANs, and the untagged network, are apart", (t) => {
  const { probe, tagged, meet, ethernet, ip } = setUp(t);
  meet();
  // The VLAN's address in no VLAN, the untagged address in a VLAN: strangers on those wires.
  probe.send(frame(eth(), ip4({ src: THERE, dst: HERE }), icmp()));
  t.is(ip.counters.strongHost, 1);
  probe.send(frame(tagged(20), ip4(), icmp()));
  t.is(ip.counters.strongHost, 2);
  probe.send(frame(tagged(21), ip4({ src: THERE, dst: HERE }), icmp()));
  t.is(ethernet.counters.unknownVlan, 1);
  t.deepEqual(probe.take(), []);
  // Tag 0 is a priority alone.
  probe.send(frame(tagged(0xe000), ip4(), icmp()));
  expectFrame(t, probe.next(), { eth: { vlans: [] }, icmp: { type: 0 } });
});

test("ETH-02 tags that are cut off, and tags within tags", (t) => {
  const { probe, ethernet, tagged, ip } = setUp(t);
  const head = concat(hex("ffffffffffff 020000000002 8100"), hex("0014 0800"));
  for (let length = 14; length < 18; length++) {
    const before = ethernet.counters.short;
    probe.send(head.slice(0, length));
    t.is(ethernet.counters.short, before + 1);
  }
  const received = ip.counters.received;
  const inner = [ip4({ src: THERE, dst: HERE }), icmp()] as const;
  probe.send(frame(tagged(20, 20), ...inner));
  probe.send(frame(tagged(20, 21), ...inner));
  probe.send(frame(tagged(...new Array<number>(300).fill(20)), ...inner));
  t.is(ethernet.counters.unknownVlan, 3);
  const service = frame(eth({ vlans: [20] }), ...inner);
  service.set(hex("88a8"), 12);
  probe.send(service);
  t.is(ethernet.counters.unknownVlan, 4);
  // A priority tag, then another tag, is no IP either.
  probe.send(frame(tagged(0, 20), ...inner));
  t.is(ethernet.counters.unknownType, 1);
  t.is(ip.counters.received, received);
  t.deepEqual(probe.take(), []);
});

test("a VLAN in a VLAN, where somebody wants it", (t) => {
  const { probe, vlans, office, ip, tagged } = setUp(t);
  const inner = vlans.add(office, 7, "deep");
  ip.addAddress(inner, "10.7.0.1/24");
  probe.send(frame(tagged(20, 7), arp({ senderIp: "10.7.0.2", targetIp: "10.7.0.1" })));
  // The ARP component leaves room for one tag: see its scratch packet.
  probe.take();
  probe.send(frame(tagged(20, 7), ip4({ src: "10.7.0.2", dst: "10.7.0.1" }), icmp()));
  expectFrame(t, probe.next(), { eth: { vlans: [20, 7] }, icmp: { type: 0 } });
});

test("checksums that are left to the link are found behind the tag", (t) => {
  const { probe, meet, udp: sockets } = setUp(t, { offloads: { transmitChecksum: true } });
  meet();
  sockets.open().sendTo(THERE, 99, pattern(10));
  const sent = probe.sent.pop();
  t.is(sent?.offload?.checksumStart, 18 + 20);
  t.is(sent?.offload?.checksumOffset, 6);
});

test("a VLAN is up while its parent is, and goes with it", (t) => {
  const { stack, nif, office, probe, ip, vlans } = setUp(t);
  const carrier = (up: boolean) => probe.receiver?.carrier(up);
  carrier(false);
  t.false(office.up());
  carrier(true);
  t.true(office.up());
  stack.setInterface(nif, { mtu: 1400 });
  t.is(office.mtu, 1400);
  stack.setInterface(office, { enabled: false });
  probe.send(frame(eth({ vlans: [20] }), ip4({ src: THERE, dst: HERE }), icmp()));
  t.is(office.counters.rxDropped, 1);
  vlans.add(office, 21);
  stack.removeInterface(nif);
  t.deepEqual(
    stack.interfaces.map((each) => each.name),
    ["lo"],
  );
  t.true(ip.addresses.every((each) => each.nif.name === "lo"));
  t.throws(() => vlans.add(nif, 20), { code: "EINVAL" });
});

test("groups of a VLAN pass its parent's filter", (t) => {
  const { probe, ethernet, office, nif, vlans } = setUp(t);
  const group = frame(
    eth({ vlans: [20], dst: "01:00:5e:00:00:fb" }),
    ip4({ src: THERE, dst: "224.0.0.251" }),
    udp(),
  );
  probe.send(group);
  t.is(ethernet.counters.otherGroup, 1);
  useGroup(office, 0x0100, 0x5e0000fb, 1);
  useGroup(office, 0x0100, 0x5e0000fc, 1);
  useGroup(office, 0x0100, 0x5e0000fc, -1);
  probe.send(group);
  t.is(ethernet.counters.otherGroup, 1);
  t.deepEqual(nif.groups, [0x0100, 0x5e0000fb, 1]);
  nif.stack.removeInterface(office);
  t.deepEqual(nif.groups, []);
  vlans.add(nif, 20);
});

test("a VLAN is added once, by a number that is one", (t) => {
  const { vlans, nif, stack } = setUp(t);
  for (const id of [0, 4095, -1, 1.5, NaN, "20"]) {
    t.throws(() => vlans.add(nif, id as number), { code: "EINVAL" });
  }
  t.throws(() => vlans.add(nif, 20), { code: "EEXIST" });
  t.throws(() => vlans.add(stack.findInterface("lo")!, 1), { code: "EINVAL" });
  t.throws(() => vlans.add(nif, 30, "lo"), { code: "EEXIST" });
  vlans.add(nif, 30);
  t.deepEqual(findLeaks(stack, { timers: 1 }), []);
});
