/** The learning bridge: who gets which frame, with and without VLANs. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { createWorld } from "../../ports/sim/index.js";
import { put16 } from "../../stack/core/bytes.js";
import { sum } from "../../stack/core/checksum.js";
import { createStack } from "../../stack/core/stack.js";
import { icmp as icmpComponent } from "../../stack/ipv4/icmp.js";
import { arp as arpComponent } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { bridge } from "../../stack/link/bridge.js";
import type { BridgeOptions, BridgePortOptions } from "../../stack/link/bridge.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { snooping } from "../../stack/link/snooping.js";
import { macBytes } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { findLeaks } from "../support/leaks.js";
import { BROADCAST_MAC, STACK_MAC, arp, eth, frame, icmp, ip4 } from "../support/packets.js";
import { Probe } from "../support/probe.js";

/** Hardware addresses of hosts 1, 2, ... */
const mac = (host: number) => `02:00:00:00:01:${host.toString(16).padStart(2, "0")}`;

function setup(t: ExecutionContext, ports: BridgePortOptions[], options: Partial<BridgeOptions> = {}) {
  const world = createWorld({ seed: 1, scribble: true });
  const host = world.host();
  const middle = bridge({ mac: macBytes(STACK_MAC), ...options });
  const ip = ipv4();
  const stack = host.drive(createStack(host, [ethernet(), arpComponent(), ip, icmpComponent(), middle]));
  const nif = stack.addInterface(middle, "br0");
  ip.addAddress(nif, "10.0.0.1/24");
  const probes = ports.map((each, i) => {
    const probe = new Probe(world, { mac: mac(100 + i) });
    probe.answersArp = [];
    middle.addPort(probe, each);
    return probe;
  });
  t.teardown(() => {
    stack.close();
    if (middle.ports.length > 0) throw new Error("ports are open");
    const leaks = findLeaks(stack);
    if (leaks.length > 0) throw new Error(leaks.join());
  });
  /** Which ports a frame comes out of, that came in at `port`. */
  const out = (port: number, from: number, to: string, vlans: number[] = []) => {
    probes[port]!.send(frame(eth({ src: mac(from), dst: to, vlans, type: 0x88b5 }), 60));
    return probes
      .map((probe) =>
        probe
          .takeParsed()
          .map(({ eth: header }) => header!.vlans.join() || "-")
          .join("+"),
      )
      .join(" ");
  };
  return { world, middle, stack, nif, ip, probes, out, counters: middle.counters };
}

test("floods what it does not know, learns, and then goes straight", (t) => {
  const { out, counters, middle } = setup(t, [{}, {}, {}]);
  t.is(out(0, 1, mac(2)), " - -");
  t.is(out(1, 2, mac(1)), "-  ");
  t.is(out(0, 1, mac(2)), " - ");
  t.is(out(2, 3, BROADCAST_MAC), "- - ");
  t.is(out(0, 4, mac(1)), "  ", "where it came from");
  t.is(middle.whereIs(macBytes(mac(3))), middle.ports[2]!.link);
  t.is(middle.whereIs(macBytes(mac(9))), undefined);
  t.is(counters.flooded, 2);
  t.is(counters.forwarded, 2);
  t.is(counters.filtered, 1);
});

test("stations move, age, and go with their port's carrier", (t) => {
  const { out, world, probes, counters, nif } = setup(t, [{}, {}, {}], { ageing: 10 });
  out(0, 1, mac(9));
  t.is(out(2, 3, mac(1)), "-  ");
  out(1, 1, mac(9));
  t.is(counters.moved, 1);
  t.is(out(2, 3, mac(1)), " - ");
  world.run(10_000);
  t.is(out(2, 3, mac(1)), "- - ");
  out(1, 1, mac(9));
  probes[1]!.receiver!.carrier(false);
  t.is(out(2, 3, mac(1)), "-  ", "down: no frame goes there");
  probes[1]!.receiver!.carrier(true);
  t.is(out(2, 3, mac(1)), "- - ");
  t.true(nif.up());
  for (const probe of probes) probe.receiver!.carrier(false);
  t.false(nif.up());
});

test("no more addresses than the limit; those of old give way", (t) => {
  const { out, world, middle, probes, counters } = setup(t, [{}, {}], { limit: 16 });
  for (let i = 0; i < 500; i++) {
    world.run(1);
    middle.input(
      middle.ports[0]!,
      frame(
        eth({ src: `02:00:00:03:0${i >> 8}:${(i & 255).toString(16).padStart(2, "0")}`, dst: mac(1) }),
        60,
      ),
      0,
      74,
    );
  }
  t.is(counters.evicted, 500 - 16);
  t.is(middle["stations"].length, 16);
  t.is(middle["table"].size, 16);
  probes[1]!.take();
  t.is(out(1, 1, "02:00:00:03:01:f3"), "- ", "the last is there");
});

test("what no bridge passes on, and what is no frame", (t) => {
  const { out, probes, counters } = setup(t, [{}, {}]);
  for (const to of ["01:80:c2:00:00:00", "01:80:c2:00:00:0e"]) t.is(out(0, 1, to), " ");
  t.is(out(0, 1, "01:80:c2:00:00:10"), " -");
  t.is(counters.reserved, 2);
  probes[0]!.send(new Uint8Array(13));
  probes[0]!.send(frame(eth({ src: "01:00:5e:00:00:01", dst: mac(2) }), 60));
  t.is(counters.malformed, 2);
  probes[1]!.mtu = 100;
  probes[0]!.send(frame(eth({ src: mac(1), dst: mac(2) }), 101));
  t.is(counters.tooBig, 1);
  probes[1]!.room = false;
  t.is(out(0, 1, mac(2)), " ");
  t.is(counters.refused, 1);
});

test("VLANs: access ports and trunks, tags put in and taken out", (t) => {
  const { out, counters } = setup(t, [
    { untagged: 10 },
    { untagged: 20 },
    { untagged: 0, tagged: [10, 20] },
    { untagged: 10, tagged: [20] },
  ]);
  t.is(out(0, 1, BROADCAST_MAC), "  10 -");
  t.is(out(1, 2, BROADCAST_MAC), "  20 20");
  t.is(out(2, 3, BROADCAST_MAC, [10]), "-   -");
  t.is(out(2, 3, BROADCAST_MAC, [20]), " -  20");
  t.is(out(2, 3, mac(1), [10]), "-   ");
  t.is(out(2, 3, mac(1), [20]), " -  20", "the same address in another VLAN is another");
  t.is(out(2, 3, BROADCAST_MAC), "   ");
  t.is(out(2, 3, BROADCAST_MAC, [30]), "   ");
  t.is(out(0, 1, BROADCAST_MAC, [20]), "   ");
  t.is(counters.wrongVlan, 3);
});

test("isolated ports reach the others alone", (t) => {
  const { out } = setup(t, [{ isolated: true }, { isolated: true }, {}]);
  t.is(out(0, 1, BROADCAST_MAC), "  -");
  t.is(out(2, 3, mac(1)), "-  ");
  t.is(out(1, 2, mac(1)), "  ");
});

test("the stack is a station like others, and nobody can pretend to be it", (t) => {
  const { probes, counters, middle } = setup(t, [{}, {}]);
  probes[0]!.send(
    frame(eth({ src: mac(1), dst: BROADCAST_MAC }), arp({ senderMac: mac(1), senderIp: "10.0.0.5" })),
  );
  expectFrame(t, probes[0]!.next(), { eth: { dst: mac(1), src: STACK_MAC }, arp: { op: 2 } });
  t.is(probes[1]!.take().length, 1, "the request alone");
  probes[0]!.send(frame(eth({ src: mac(1), dst: STACK_MAC }), ip4({ src: "10.0.0.5" }), icmp(), 30));
  expectFrame(t, probes[0]!.next(), { icmp: { type: 0 }, payload: 30 });
  t.deepEqual(probes[1]!.take(), []);
  probes[1]!.send(frame(eth({ src: STACK_MAC, dst: mac(1) }), 60));
  t.is(middle.whereIs(macBytes(STACK_MAC)), null);
  probes[0]!.take();
  probes[0]!.send(frame(eth({ src: mac(1), dst: STACK_MAC }), ip4({ src: "10.0.0.5" }), icmp(), 30));
  t.is(probes[0]!.take().length, 1);
  t.true(counters.local >= 3);
});

test("misuse", (t) => {
  const { middle, world } = setup(t, []);
  const bad = [
    () => bridge({ mac: new Uint8Array(5) }),
    () => bridge({ mac: macBytes(STACK_MAC), limit: -1 }),
    () => middle.addPort(new Probe(world, { medium: "ip" })),
    () => middle.addPort(new Probe(world, { offloads: { transmitChecksum: true } })),
    () => middle.addPort(new Probe(world), { untagged: 4095 }),
    () => middle.addPort(new Probe(world), { tagged: [0] }),
  ];
  for (const each of bad) t.throws(each, { code: "EINVAL" });
});

/** An Ethernet frame to a group of IPv4 from a host, its payload a message of IGMP (with its sum made) or (protocol 17) anything. */
function toGroup(
  from: number,
  group: number[],
  payload: number[],
  protocol = 2,
  source = [10, 0, 0, from],
): Uint8Array {
  const body = new Uint8Array(payload);
  if (protocol === 2) put16(body, 2, ~sum(body, 0, body.length, 0));
  const header = new Uint8Array(20);
  header.set([0x45, 0, 0, 20 + body.length, 0, 0, 0, 0, 1, protocol, 0, 0, ...source, ...group]);
  put16(header, 10, ~sum(header, 0, 20, 0));
  const bytes = new Uint8Array(60);
  bytes.set([
    1,
    0,
    0x5e,
    group[1]! & 127,
    group[2]!,
    group[3]!,
    2,
    0,
    0,
    0,
    1,
    from,
    8,
    0,
    ...header,
    ...body,
  ]);
  return bytes;
}

test("snooping: groups go where somebody listens and where a router asks, and to all while nobody asks", (t) => {
  const snoop = snooping({ limit: 4 });
  const { probes, world } = setup(t, [{}, {}, {}, {}], { snooping: snoop });
  const from = (port: number, data: Uint8Array) => {
    probes[port]!.send(data);
    return probes.map((probe) => (probe.take().length > 0 ? 1 : 0)).join("");
  };
  const data = (group: number[]) => toGroup(9, group, [0, 0, 0, 0, 0, 0, 0, 0], 17);
  const [one, two, local] = [
    [239, 1, 1, 1],
    [239, 1, 1, 2],
    [224, 0, 0, 5],
  ];
  const report = (type: number, group: number[]) => [0x22, 0, 0, 0, 0, 0, 0, 1, type, 0, 0, 0, ...group];
  const query = (group: number[]) => [0x11, 10, 0, 0, ...group, 2, 125, 0, 0];
  t.is(from(0, data(one)), "0111");
  t.is(from(1, toGroup(1, one, [0x16, 0, 0, 0, ...one])), "1011", "no router is known");
  t.is(from(0, data(one)), "0111", "nobody asks");
  // From 0.0.0.0 it is a bridge that asks, and no router.
  from(3, toGroup(3, [224, 0, 0, 1], query([0, 0, 0, 0]), 2, [0, 0, 0, 0]));
  t.is(from(0, data(one)), "0111");
  t.is(from(3, toGroup(3, [224, 0, 0, 1], query([0, 0, 0, 0]))), "1110");
  t.is(from(0, data(one)), "0101", "the listener, and the router");
  t.is(from(0, data(two)), "0001");
  t.is(from(0, data(local)), "0111");
  t.is(from(2, toGroup(2, [224, 0, 0, 22], report(4, two))), "0001", "reports are the router's");
  t.is(from(0, data(two)), "0011");
  // It leaves: the router asks, nobody answers.
  t.is(from(1, toGroup(1, [224, 0, 0, 2], [0x17, 0, 0, 0, ...one])), "0001");
  t.is(from(3, toGroup(3, one, query(one))), "1110");
  t.is(from(0, data(one)), "0101");
  world.run(3000);
  t.is(from(0, data(one)), "0001");
  // One that holds no water is flooded, and not believed.
  const torn = toGroup(1, [224, 0, 0, 22], [...report(4, one).slice(0, 7), 9, ...report(4, one).slice(8)]);
  t.is(from(1, torn), "1011");
  t.is(snoop.counters.malformed, 1);
  for (let n = 10; n < 20; n++) from(1, toGroup(1, [224, 0, 0, 22], report(4, [239, 2, 2, n])));
  t.true(snoop.counters.full > 0);
  t.is(from(0, data([239, 9, 9, 9])), "0111", "no room to know better");
  probes[2]!.receiver!.carrier(false);
  probes[2]!.receiver!.carrier(true);
  t.is(from(0, data(two)), "0001");
  world.run(300_000);
  t.is(from(0, data(two)), "0111", "the router is gone");
  t.throws(() => snooping({ limit: -1 }), { code: "EINVAL" });
});

test("snooping: whatever frames come, some ports get them, and the table is bounded", (t) => {
  const snoop = snooping({ limit: 8 });
  const { probes } = setup(t, [{}, {}, {}], { snooping: snoop });
  fc.assert(
    fc.property(
      fc.constantFrom(0x0800, 0x86dd),
      fc.uint8Array({ minLength: 4, maxLength: 120 }),
      fc.nat(120),
      fc.nat(2),
      (type, body, length, port) => {
        const bytes = new Uint8Array(14 + body.length + 8);
        bytes.set([
          ...(type === 0x0800 ? [1, 0, 0x5e, 1, 1, 1] : [0x33, 0x33, 0, 1, 1, 1]),
          2,
          0,
          0,
          0,
          1,
          7,
        ]);
        put16(bytes, 12, type);
        bytes.set(body, 14);
        if (type === 0x0800) {
          bytes.set([0x45, 0, 0, length, 0, 0, 0, 0, 1, 2], 14);
        } else bytes.set([0x60, 0, 0, 0, 0, length, 0, 1], 14);
        probes[port]!.send(bytes);
        probes.forEach((probe) => probe.take());
        return true;
      },
    ),
    { numRuns: 500, examples: [[0x0800, new Uint8Array(28), 28, 0]] },
  );
  t.true(snoop.counters.malformed > 0);
  t.true((snoop as unknown as { table: { size: number } }).table.size <= 8);
});
