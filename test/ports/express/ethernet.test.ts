/** The express Ethernet beside the plain one: whatever comes, both answer with the same frames and the same counters. */
import test from "ava";
import fc from "fast-check";
import { CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_VERIFIED } from "../../../hypercall/link.js";
import { ethernet as express } from "../../../ports/express/ethernet.js";
import type { PacketHook } from "../../../stack/core/network.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { eth, frame, icmp, ip4, tcp, udp } from "../../support/packets.js";
import type { ProbeOptions, Probed } from "../../support/probe.js";
import { probed } from "../../support/probe.js";

/** Two stacks that differ in their Ethernet alone, with an echo of datagrams and one of streams. */
function twins(probe: ProbeOptions = {}): Probed[] {
  return [[], [express()]].map((own) => {
    const node = probed(null, { probe, components: () => [fragments(), ...own] });
    const bytes = new Uint8Array(4096);
    node.udp.open({
      port: 7,
      onReadable() {
        const info = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
        const length = this.receive(bytes, info);
        this.sendTo(info.address, info.port, bytes, 0, length);
      },
    });
    node.tcp.listen({
      port: 7,
      onConnection: (socket) =>
        socket.handle({
          onReadable() {
            this.write(bytes, 0, this.read(bytes));
          },
        }),
    });
    return node;
  });
}

/** What a stack has done: the frames that it sent, and all its counters. */
const traces = ({ probe, stack, nif }: Probed) => ({
  sent: probe.sent.splice(0).map(({ bytes, offload }) => [Buffer.from(bytes).toString("hex"), offload]),
  counters: JSON.stringify([stack.counters, nif.counters]),
});

const datagram = (size: number, id = 1) =>
  frame(eth(), ip4({ id }), udp({ sport: 4000, dport: 7 }), new Uint8Array(size).fill(id));

/** Changes that make a frame another, or none at all. */
const change = fc.record({
  size: fc.integer({ min: 0, max: 200 }),
  at: fc.integer({ min: 0, max: 60 }),
  flip: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 255 })),
  cut: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
  checksum: fc.constantFrom(CHECKSUM_NONE, CHECKSUM_NONE, CHECKSUM_VERIFIED, CHECKSUM_PARTIAL),
});

test("datagrams of a known flow, whole, damaged, cut: the same answers and counters", (t) => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), (changes) => {
      const nodes = twins();
      for (const { size, at, flip, cut, checksum } of changes) {
        const bytes = datagram(size);
        if (at < bytes.length) bytes[at] ^= flip;
        for (const { probe } of nodes) {
          probe.send(datagram(8), CHECKSUM_NONE);
          probe.send(bytes.slice(0, Math.max(0, bytes.length - cut)), checksum);
        }
        const [plain, own] = nodes.map(traces);
        t.deepEqual(own, plain);
      }
      for (const { stack } of nodes) stack.close();
    }),
  );
});

test("connections, fragments, echo requests, protocols that nobody has, between two datagrams", (t) => {
  for (const offloads of [undefined, { transmitChecksum: true, segmentation: 65535 }]) {
    const nodes = twins({ offloads });
    const others = [
      frame(eth(), ip4(), tcp({ flags: "S", sport: 4000, dport: 7, seq: 1 })),
      frame(eth(), ip4(), tcp({ flags: "S", sport: 4000, dport: 9, seq: 1 })),
      frame(eth(), ip4(), icmp({ id: 1 }), "echo"),
      frame(eth(), ip4({ protocol: 200 })),
      frame(eth(), ip4({ tos: 0xb8, ttl: 3 }), udp({ sport: 4000, dport: 7 }), "marked"),
      frame(eth(), ip4(), udp({ sport: 4000, dport: 7 }), new Uint8Array(1400)),
      frame(eth(), ip4(), udp({ sport: 4000, dport: 8 }), "nobody"),
      frame(eth({ dst: "ff:ff:ff:ff:ff:ff" }), ip4(), udp({ sport: 4000, dport: 7 }), "broadcast"),
      frame(eth({ vlans: [5] }), ip4(), udp({ sport: 4000, dport: 7 }), "tagged"),
      frame(eth({ src: "02:00:00:00:00:77" }), ip4(), udp({ sport: 4000, dport: 7 }), "from another station"),
    ];
    for (const other of others) {
      for (const { probe, world } of nodes) {
        probe.send(datagram(64));
        probe.send(other);
        world.run(10);
      }
      const [plain, own] = nodes.map(traces);
      t.deepEqual(own, plain);
    }
    for (const { stack } of nodes) stack.close();
  }
});

test("the second datagram of a flow goes past IPv4, in and out", (t) => {
  const [, { probe, ip }] = twins();
  probe.send(datagram(32));
  probe.take();
  ip.input = () => t.fail();
  ip.nextId = () => 0x1234;
  probe.send(datagram(32));
  const [answer] = probe.takeParsed();
  t.deepEqual(answer.faults, []);
  t.is(answer.ip4?.id, 0x1234);
  t.is(answer.payload.length, 32);
});

test("what sees packets sees them all: hooks, raw sockets; an address that goes is gone", (t) => {
  const nodes = twins();
  const seen = nodes.map(() => 0);
  const taps = nodes.map(() => 0);
  const compare = () => {
    for (const { probe } of nodes) probe.send(datagram(32));
    const [plain, own] = nodes.map(traces);
    t.deepEqual(own, plain);
  };
  compare();
  nodes.forEach(({ ip }, i) => {
    ip.hook = ((): boolean => ++seen[i] > 0) as PacketHook;
  });
  compare();
  t.deepEqual(seen, [3, 3]);
  for (const { ip } of nodes) ip.hook = null;
  nodes.forEach(({ ip }, i) => ip.taps.push(() => ++taps[i] < 0));
  compare();
  t.deepEqual(taps, [1, 1]);
  for (const { ip } of nodes) ip.taps.pop();
  compare();
  for (const { ip, nif } of nodes) ip.removeAddress(nif, "10.0.0.1/24");
  compare();
  t.true(nodes.every(({ ip }) => ip.counters.notOurs > 0));
  for (const { stack } of nodes) stack.close();
});
