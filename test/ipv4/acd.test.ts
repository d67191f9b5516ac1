/** Address conflict detection: probes, announcements, defence, and giving way. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { createWorld, hub } from "../../ports/sim/index.js";
import { acd } from "../../stack/ipv4/acd.js";
import { PREFERRED, TENTATIVE } from "../../stack/ipv4/address.js";
import { expectFrame } from "../support/expect.js";
import { findLeaks } from "../support/leaks.js";
import { buildNode } from "../support/network.js";
import { BROADCAST_MAC, PROBE_MAC, STACK_MAC, arp, eth, frame, icmp, ip4 } from "../support/packets.js";
import { probed } from "../support/probe.js";

const ADDRESS = "10.0.0.77";

/** A stack with conflict detection whose first address has settled. */
function setUp(t: ExecutionContext) {
  const conflicts: string[] = [];
  const results: [string, boolean][] = [];
  const detection = acd({
    onConflict: (nif, address, mac) => conflicts.push(`${nif.name} ${address} ${mac}`),
  });
  const node = probed(t, { components: () => [detection], acquainted: false });
  detection.onResult.push((address, usable) => results.push([address.origin, usable]));
  node.world.run(20000);
  const start = node.probe.sent.splice(0);
  results.length = 0;
  /** Somebody else's ARP packet. */
  const claim = (senderIp: string, op = 1, fields: { senderMac?: string; targetIp?: string } = {}) =>
    node.probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ op, senderIp, targetIp: senderIp, ...fields })));
  const add = (origin = "manual") => node.ip.addAddress(node.nif, ADDRESS + "/24", { origin });
  const announcement = (bytes: Uint8Array | undefined) =>
    expectFrame(t, bytes, {
      eth: { dst: BROADCAST_MAC },
      arp: { op: 1, senderIp: ADDRESS, senderMac: STACK_MAC, targetIp: ADDRESS },
    });
  return { ...node, detection, conflicts, results, start, claim, add, announcement };
}

test("an address is probed for three times, then used and announced twice (RFC 5227)", (t) => {
  const { ip, nif, start } = setUp(t);
  t.is(start.length, 5);
  const times = start.map((sent) => sent.time);
  const gaps = times.slice(1).map((time, i) => time - times[i]);
  t.true(times[0] >= 0 && times[0] <= 1000);
  t.true(
    gaps.slice(0, 2).every((gap) => gap >= 1000 && gap <= 2000),
    String(gaps),
  );
  t.deepEqual(gaps.slice(2), [2000, 2000]);
  for (const sent of start.slice(0, 3)) {
    expectFrame(t, sent.bytes, {
      eth: { dst: BROADCAST_MAC, src: STACK_MAC },
      arp: {
        op: 1,
        senderIp: "0.0.0.0",
        targetIp: "10.0.0.1",
        senderMac: STACK_MAC,
        targetMac: "00:00:00:00:00:00",
      },
    });
  }
  for (const sent of start.slice(3))
    expectFrame(t, sent.bytes, { arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.1" } });
  t.true(ip.hasAddress(nif, (10 << 24) | 1, false));
});

test("while it is tentative nothing is sent from it, received on it, or answered for it", (t) => {
  const { ip, nif, probe, udp: sockets, add, claim, results, world } = setUp(t);
  const entry = add();
  t.is(entry.state, TENTATIVE);
  t.throws(() => sockets.open({ address: ADDRESS }), { code: "EADDRNOTAVAIL" });
  claim("10.0.0.2", 1, { targetIp: ADDRESS });
  probe.send(frame(eth(), ip4({ dst: ADDRESS }), icmp()));
  t.deepEqual(probe.take(), []);
  world.run(10000);
  t.is(entry.state, PREFERRED);
  t.deepEqual(results, [["manual", true]]);
  probe.take();
  claim("10.0.0.2", 1, { targetIp: ADDRESS });
  expectFrame(t, probe.next(), { arp: { op: 2, senderIp: ADDRESS } });
  t.true(ip.isOnLink(nif, (10 << 24) | 9));
});

for (const [name, op, senderIp] of [
  ["a request from it", 1, ADDRESS],
  ["a reply from it", 2, ADDRESS],
  ["another's probe for it", 1, "0.0.0.0"],
] as const) {
  test(`ARP-04 a tentative address is given up on ${name}`, (t) => {
    const { ip, probe, add, claim, results, conflicts, world, stack, arp: component } = setUp(t);
    for (const origin of ["manual", "dhcp"]) {
      add(origin);
      world.run(1500);
      claim(senderIp, op, { targetIp: ADDRESS });
      t.deepEqual(results.pop(), [origin, false]);
      t.is(ip.addresses.length, 1);
      t.deepEqual(conflicts.splice(0), [`eth0 ${ADDRESS} ${PROBE_MAC}`]);
    }
    probe.take();
    world.run(60000);
    t.deepEqual(probe.take(), []);
    t.is(component.cache.entries.length, 0);
    t.deepEqual(findLeaks(stack), []);
  });
}

test("ARP-04 an address in use is defended once in ten seconds; the second claim takes a leased one", (t) => {
  const { ip, probe, add, claim, results, conflicts, world, announcement, detection } = setUp(t);
  add("dhcp");
  world.run(20000);
  results.length = 0;
  probe.take();
  claim(ADDRESS);
  announcement(probe.next());
  world.run(10000);
  claim(ADDRESS);
  announcement(probe.next());
  t.deepEqual(results, []);
  world.run(9000);
  claim(ADDRESS);
  t.deepEqual(probe.take(), []);
  t.deepEqual(results, [["dhcp", false]]);
  t.deepEqual(conflicts, [`eth0 ${ADDRESS} ${PROBE_MAC}`]);
  t.is(ip.addresses.length, 1);
  t.is(detection.counters.defended, 2);
});

test("ARP-04 an address that a person gave is kept, and the person told once in ten seconds", (t) => {
  const { ip, nif, probe, add, claim, conflicts, world, detection, arp: component } = setUp(t);
  const entry = add();
  world.run(20000);
  probe.take();
  for (let i = 0; i < 200; i++) {
    claim(ADDRESS, 1 + (i & 1));
    world.run(100);
  }
  t.is(probe.take().length, 2);
  t.is(conflicts.length, 2);
  t.is(detection.counters.conflicts, 2);
  t.is(entry.state, PREFERRED);
  t.is(component.cache.find(nif, 0, 0, 0, entry.address), null, "never a neighbour");
  t.true(ip.addresses.includes(entry));
});

test("our own packets that a loop sends back are no conflict", (t) => {
  const { add, claim, world, conflicts, probe } = setUp(t);
  const entry = add("dhcp");
  world.run(20000);
  probe.take();
  for (let i = 0; i < 5; i++) claim(ADDRESS, 1, { senderMac: STACK_MAC });
  t.deepEqual(probe.take(), []);
  t.deepEqual(conflicts, []);
  t.is(entry.state, PREFERRED);
});

test("without carrier the trial waits; a new carrier starts it again, and announces what is in use", (t) => {
  const { add, world, probe } = setUp(t);
  probe.receiver?.carrier(false);
  const entry = add();
  world.run(60000);
  t.is(entry.state, TENTATIVE);
  probe.receiver?.carrier(true);
  world.run(20000);
  t.is(entry.state, PREFERRED);
  const senders = probe.takeParsed().map((each) => each.arp?.senderIp);
  t.deepEqual(senders.sort(), [
    ...Array(3).fill("0.0.0.0"),
    ...Array(2).fill("10.0.0.1"),
    ...Array(2).fill(ADDRESS),
  ]);
});

test("a callback that throws costs nothing but its own event", (t) => {
  let calls = 0;
  const detection = acd({
    onConflict() {
      calls++;
      throw new Error("application");
    },
  });
  const { ip, nif, probe, world } = probed(t, { components: () => [detection], leaks: { panics: true } });
  for (const last of [3, 4]) ip.addAddress(nif, `10.0.0.${last}/24`);
  world.run(20000);
  for (let round = 0; round < 2; round++) {
    for (const last of [3, 4]) {
      const senderIp = "10.0.0." + last;
      probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ senderIp, targetIp: senderIp })));
    }
  }
  world.run(1);
  t.is(calls, 2);
});

test("of two hosts with one address the second goes without, and the first goes on", (t) => {
  const world = createWorld({ seed: 3, scribble: true });
  const links = hub(world, 3);
  const options = { world, components: () => [acd()] };
  const first = buildNode(t, world, links[0], "10.0.0.5/24", options);
  world.run(20000);
  const second = buildNode(t, world, links[1], "10.0.0.5/24", options);
  const third = buildNode(t, world, links[2], "10.0.0.6/24", options);
  world.run(20000);
  t.is(first.ip.addresses.length, 1);
  t.is(second.ip.addresses.length, 0);
  const socket = first.udp.open({ port: 7 });
  third.udp.open().sendTo("10.0.0.5", 7, new Uint8Array(3));
  world.run(10);
  t.is(socket.readable(), 1);
});
