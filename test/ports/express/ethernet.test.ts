/** The express Ethernet beside the plain one: whatever comes, both answer with the same frames and the same counters. */
import test from "ava";
import fc from "fast-check";
import { CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_VERIFIED } from "../../../hypercall/link.js";
import { ethernet as express } from "../../../ports/express/ethernet.js";
import type { PacketHook } from "../../../stack/core/network.js";
import type { Component } from "../../../stack/core/stack.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { pmtu } from "../../../stack/ipv4/pmtu.js";
import { eth, frame, icmp, ip4, tcp, tcpOptions, udp } from "../../support/packets.js";
import type { TcpFields } from "../../support/packets.js";
import { parseFrame } from "../../support/parse.js";
import type { Probe, ProbeOptions, Probed } from "../../support/probe.js";
import { probed } from "../../support/probe.js";

/** Two stacks that differ in their Ethernet alone, with an echo of datagrams and one of streams. */
function twins(probe: ProbeOptions = {}, more: (() => Component)[] = []): Probed[] {
  return [[], [express()]].map((own) => {
    const components = () => [fragments(), ...more.map((make) => make()), ...own];
    const node = probed(null, { probe, components });
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
  /** Where it lies: what is behind Ethernet's header aligned, or not. */
  margin: fc.constantFrom(64, 66, 67),
});

/** As `Probe.send`, with the frame at `margin` of the array in which it lies. */
function sendAt({ receiver }: Probe, bytes: Uint8Array, margin: number, checksum: number): void {
  const lent = new Uint8Array(bytes.length + 2 * margin).fill(0xa5);
  lent.set(bytes, margin);
  receiver?.receive(lent, margin, margin + bytes.length, checksum);
  lent.fill(0xdb);
}

test("datagrams of a known flow, whole, damaged, cut: the same answers and counters", (t) => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), (changes) => {
      const nodes = twins();
      for (const { size, at, flip, cut, checksum, margin } of changes) {
        const bytes = datagram(size);
        if (at < bytes.length) bytes[at] ^= flip;
        for (const { probe } of nodes) {
          probe.send(datagram(8), CHECKSUM_NONE);
          sendAt(probe, bytes.slice(0, Math.max(0, bytes.length - cut)), margin, checksum);
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

/** A datagram that the application sends: out of which of its arrays, from where, and whether the link has room. */
const sending = fc.record({
  from: fc.integer({ min: 0, max: 3 }),
  start: fc.integer({ min: 0, max: 9 }),
  size: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.constantFrom(1000, 1473, 3000)),
  room: fc.constantFrom(true, true, true, false),
  elsewhere: fc.constantFrom(false, false, true),
});

test("datagrams of the application, from all its arrays, to a link that may be full: the same frames, answers and counters", (t) => {
  fc.assert(
    fc.property(
      fc.array(sending, { minLength: 1, maxLength: 12 }),
      fc.record({ ttl: fc.constantFrom(undefined, 7), dontFragment: fc.boolean() }),
      fc.boolean(),
      (sendings, options, path) => {
        const nodes = twins({}, path ? [pmtu] : []);
        const memory = Uint8Array.from({ length: 4096 }, (_, i) => i * 7);
        // One is a view in the midst of a buffer, one has a buffer of odd length, and the buffer of one may shrink.
        const shrinking = new (ArrayBuffer as new (n: number, o: object) => ArrayBuffer)(4096, {
          maxByteLength: 8192,
        });
        const arrays = [
          memory,
          memory.subarray(3),
          new Uint8Array(4095).fill(0xfe),
          new Uint8Array(shrinking),
        ];
        let writable = 0;
        const sockets = nodes.map(({ udp }) =>
          udp.open({ port: 9, ...options, onWritable: () => void writable++ }),
        );
        for (const socket of sockets) socket.connect("10.0.0.2", 4000);
        for (const { from, start, size, room, elsewhere } of sendings) {
          const codes = nodes.map(({ probe }, i) => {
            probe.room = room;
            const socket = sockets[i];
            const array = arrays[from];
            const code = elsewhere
              ? socket.sendTo("10.0.0.3", 4001, array, start, start + size)
              : socket.send(array, start, start + size);
            probe.room = true;
            probe.receiver!.writable();
            return code;
          });
          t.is(codes[1], codes[0]);
          const [plain, own] = nodes.map(traces);
          t.deepEqual(own, plain);
          for (const { world } of nodes) world.run(1);
        }
        t.is(writable % 2, 0);
        for (const { stack } of nodes) stack.close();
      },
    ),
  );
});

/** Segments of a connection, and how each is damaged. */
const step = fc.record({
  kind: fc.constantFrom(
    "data",
    "data",
    "data",
    "old",
    "beyond",
    "acknowledgement",
    "ahead",
    "fin",
    "reset",
    "urgent",
  ),
  size: fc.integer({ min: 0, max: 300 }),
  timestamps: fc.constantFrom(true, true, true, false),
  sack: fc.constantFrom(false, false, true),
  acknowledges: fc.constantFrom("all", "all", "some", "none", "more"),
  window: fc.constantFrom(65535, 65535, 200, 0),
  pause: fc.constantFrom(0, 0, 1, 50),
  checksum: fc.constantFrom(CHECKSUM_NONE, CHECKSUM_NONE, CHECKSUM_VERIFIED),
  flip: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 255 })),
  at: fc.integer({ min: 14, max: 80 }),
});

test("segments of a connection, in order and out of it, damaged, with options and without: the same answers and counters", (t) => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { minLength: 1, maxLength: 12 }), (timed, steps) => {
      const nodes = twins();
      const compare = () => {
        const [plain, own] = nodes.map(traces);
        t.deepEqual(own, plain);
        return plain.sent;
      };
      const send = (
        fields: TcpFields,
        payload: Uint8Array,
        damage = { at: 0, flip: 0 },
        checksum = CHECKSUM_NONE,
      ) => {
        const bytes = frame(eth(), ip4(), tcp({ sport: 4000, dport: 7, ...fields }), payload);
        if (damage.at < bytes.length) bytes[damage.at] ^= damage.flip;
        for (const { probe } of nodes) probe.send(bytes, checksum);
      };
      const nothing = new Uint8Array(0);
      const stamps = tcpOptions({ timestamps: [1000, 0] });
      send({ flags: "S", seq: 99, options: timed ? stamps : undefined }, nothing);
      const answers = () => compare().map(([hex]) => parseFrame(Buffer.from(hex as string, "hex")));
      const synAck = answers().find(({ tcp }) => tcp)!.tcp!;
      const ack = (synAck.seq + 1) >>> 0;
      let seq = 100;
      let echo = synAck.timestamps?.[0] ?? 0;
      send({ seq, ack, options: timed ? tcpOptions({ timestamps: [1001, echo] }) : undefined }, nothing);
      let sent = 0;
      for (const { kind, size, timestamps, sack, acknowledges, window, pause, checksum, flip, at } of steps) {
        const data =
          kind === "acknowledgement" || kind === "reset" ? nothing : new Uint8Array(size).fill(size);
        const from = { old: seq - 20, beyond: seq + 100_000, ahead: seq + 40 }[kind as string] ?? seq;
        const flags = { fin: "FA", reset: "R", urgent: "UPA" }[kind as string] ?? "PA";
        const acked = { all: sent, some: sent >> 1, none: 0, more: sent + 5 }[acknowledges];
        const options = tcpOptions({
          ...(timestamps && timed && { timestamps: [1002, echo] }),
          ...(sack && { sack: [[(ack + sent + 1) >>> 0, (ack + sent + 9) >>> 0]] }),
        });
        send({ flags, seq: from, ack: (ack + acked) >>> 0, window, options }, data, { at, flip }, checksum);
        for (const { world } of nodes) world.run(pause);
        for (const { tcp: segment, payload } of answers()) {
          if (!segment) continue;
          sent = Math.max(sent, (segment.seq + payload.length - ack) | 0);
          seq = segment.flags.includes("R") ? seq : segment.ack;
          echo = segment.timestamps?.[0] ?? echo;
        }
      }
      for (const { stack } of nodes) stack.close();
    }),
  );
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
