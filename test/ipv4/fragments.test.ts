/** Reassembly of IPv4 against hostile fragments, and fragmentation of what is larger than the path. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { createWorld } from "../../ports/sim/index.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import type { FragmentOptions, Fragments } from "../../stack/ipv4/fragments.js";
import { concat, pattern } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { findLeaks } from "../support/leaks.js";
import { pair } from "../support/network.js";
import type { NetworkOptions } from "../support/network.js";
import { PROBE_IP, STACK_IP, eth, frame, fragments as cut, icmp, ip4, tcp, udp } from "../support/packets.js";
import type { Ip4Fields } from "../support/packets.js";
import { probed } from "../support/probe.js";
import type { ProbeOptions } from "../support/probe.js";

const PORT = 7;

/** A stack with reassembly, a UDP socket on port 7, and what it has received. */
function setUp(
  t: ExecutionContext,
  limits: FragmentOptions = {},
  options: NetworkOptions & { probe?: ProbeOptions } = {},
) {
  const frag: Fragments = fragments(limits);
  const node = probed(t, { ...options, components: () => [frag] });
  const received: Uint8Array[] = [];
  const target = new Uint8Array(65536);
  node.udp.open({
    port: PORT,
    receiveBuffer: 1 << 20,
    onReadable() {
      for (let length = this.receive(target); length >= 0; length = this.receive(target)) {
        received.push(target.slice(0, length));
      }
    },
  });
  const drops = () => {
    const { received: _, reassembled, sent, evicted, timeout, ...rest } = frag.counters;
    return Object.values(rest).reduce((sum, count) => sum + count, 0);
  };
  return { ...node, frag, received, drops };
}

/** A UDP datagram with `size` bytes for the socket, as an IPv4 packet. */
function datagram(size: number, fields: Ip4Fields = {}): Uint8Array {
  return frame(ip4(fields), udp({ dport: PORT }), pattern(size));
}

const framed = (packet: Uint8Array) => frame(eth({ type: 0x0800 }), packet);

/** A piece of bytes `from..to` of a datagram's payload. */
function piece(body: Uint8Array, from: number, to: number, fields: Ip4Fields = {}): Uint8Array {
  const mf = to < body.length;
  return framed(frame(ip4({ protocol: 17, mf, offset: from, ...fields }), body.slice(from, to)));
}

function permutations<T>(list: T[]): T[][] {
  if (list.length < 2) return [list];
  return list.flatMap((first, i) =>
    permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [first, ...rest]),
  );
}

test("a datagram is put together from its fragments in any order", (t) => {
  const pieces = cut(datagram(100), 32, {});
  t.is(pieces.length, 4);
  for (const order of permutations(pieces)) {
    const { probe, received, stack, frag } = setUp(t);
    for (const each of order) probe.send(framed(each));
    t.deepEqual(received, [pattern(100)]);
    t.is(frag.counters.reassembled, 1);
    t.deepEqual(findLeaks(stack), []);
  }
});

test("FRG-01 contradicting overlaps are rejected whole, in every order", (t) => {
  const body = datagram(72).slice(20);
  const other = body.map((byte) => byte ^ 1);
  // Head, inside, tail, and the same place; without the second piece none of these is complete.
  const cases = [
    [piece(body, 0, 24), piece(other, 16, 40), piece(body, 40, 64), piece(body, 64, 80)],
    [piece(body, 0, 40), piece(other, 8, 16), piece(body, 48, 64), piece(body, 64, 80)],
    [piece(body, 0, 24), piece(body, 24, 48), piece(other, 40, 64), piece(body, 64, 80)],
    [piece(body, 0, 24), piece(other, 0, 24), piece(body, 32, 64), piece(body, 64, 80)],
  ];
  for (const pieces of cases) {
    for (const order of permutations(pieces)) {
      const { probe, received, stack, frag, world, drops } = setUp(t);
      for (const each of order) probe.send(each);
      t.deepEqual(received, []);
      t.is(frag.counters.overlap, 1);
      t.is(stack.pool.used, 0);
      // Those behind the contradiction are refused as well: nothing of it is ever put together.
      t.is(frag.counters.rejected + frag.counters.overlap, drops());
      world.run(100000);
      t.deepEqual(findLeaks(stack), []);
    }
  }
});

test("FRG-01 a contradiction never gets into a datagram that is complete without it", (t) => {
  const body = datagram(72).slice(20);
  const other = body.map((byte) => byte ^ 1);
  const pieces = [piece(body, 0, 32), piece(body, 32, 64), piece(other, 8, 48), piece(body, 64, 80)];
  for (const order of permutations(pieces)) {
    const { probe, received } = setUp(t);
    for (const each of order) probe.send(each);
    t.deepEqual(received, order[3] === pieces[2] ? [pattern(72)] : []);
  }
});

test("FRG-01 duplicates and consistent overlaps are harmless", (t) => {
  const body = datagram(72).slice(20);
  const pieces = [piece(body, 0, 32), piece(body, 16, 48), piece(body, 32, 64), piece(body, 64, 80)];
  for (const order of permutations(pieces)) {
    const { probe, received, frag } = setUp(t);
    for (const each of order.slice(0, 3)) for (let i = 0; i < 2; i++) probe.send(each);
    probe.send(order[3]);
    t.deepEqual(received, [pattern(72)]);
    t.is(frag.counters.overlap, 0);
    t.true(frag.counters.duplicate >= 2);
  }
});

test("FRG-01 fragments that disagree on the end are rejected, in every order", (t) => {
  const body = datagram(72).slice(20);
  const cases = [
    // Two ends; data beyond the end; the end is no end.
    [piece(body, 64, 80), piece(body, 40, 48, { mf: false }), piece(body, 0, 32)],
    [piece(body, 40, 48, { mf: false }), piece(body, 48, 64), piece(body, 0, 32)],
    [piece(body, 64, 80), piece(body, 64, 80, { mf: true }), piece(body, 0, 32)],
  ];
  for (const pieces of cases) {
    for (const order of permutations(pieces)) {
      const { probe, received, frag } = setUp(t);
      for (const each of order) probe.send(each);
      t.deepEqual(received, []);
      t.is(frag.counters.overlap, 1);
    }
  }
});

test("FRG-02 FRG-14 no datagram beyond 65535 bytes, and every one up to it", (t) => {
  const { probe, received, frag, stack } = setUp(t);
  probe.send(piece(new Uint8Array(65628), 65528, 65628));
  probe.send(piece(new Uint8Array(65628), 65520, 65528, { mf: true }));
  t.is(frag.counters.toobig, 2);
  t.is(stack.pool.used, 0);
  for (const each of cut(datagram(65507), 1480, {})) probe.send(framed(each));
  t.deepEqual(received, [pattern(65507)]);
  // No piece reaches too far by itself, but the first one's header is longer than the others'.
  const body = datagram(65507).slice(20);
  probe.send(piece(body, 0, 40, { id: 9, options: Uint8Array.of(1, 1, 1, 0) }));
  probe.send(piece(body, 40, 60000, { id: 9 }));
  probe.send(piece(body, 60000, 65515, { id: 9 }));
  t.is(frag.counters.toobig, 3);
  t.is(received.length, 1);
  t.deepEqual(findLeaks(stack), []);
});

test("FRG-14 a datagram of the whole reassembly memory is delivered, one byte more is not", (t) => {
  const { probe, received, frag, stack } = setUp(t, { memory: 8192 }, { stack: { chunkSize: 256 } });
  for (const each of cut(datagram(8192 - 8), 1024, {})) probe.send(framed(each));
  t.deepEqual(received, [pattern(8192 - 8)]);
  for (const each of cut(datagram(8193 - 8, { id: 2 }), 1024, { id: 2 })) probe.send(framed(each));
  t.is(received.length, 1);
  t.is(frag.counters.toobig, 1);
  t.true(stack.pool.used <= 32);
});

test("FRG-14 what is in the fragments gets one contiguous view", (t) => {
  const { probe, icmp: icmpComponent } = setUp(t);
  const echo = frame(ip4(), icmp({ type: 8, id: 5, seq: 6 }), pattern(3000));
  for (const each of cut(echo, 1000, { protocol: 1 })) probe.send(framed(each));
  t.is(icmpComponent.counters.echoRequests, 1);
  // The answer is larger than the link takes, and goes in fragments itself.
  const answer = probe.take();
  t.is(answer.length, 3);
  const parsed = answer.map((bytes) => expectFrame(t, bytes, { ip4: { src: STACK_IP, dst: PROBE_IP } }));
  const body = concat(...parsed.map((each) => each.payload));
  t.deepEqual(body.slice(8), pattern(3000));
});

test("FRG-04 TCP headers are not cut, and not written over", (t) => {
  const { probe, frag, stack } = setUp(t);
  const segment = frame(ip4(), tcp({ flags: "S", dport: 80 }), pattern(80)).slice(20);
  for (let size = 8; size < 40; size += 8) probe.send(piece(segment, 0, size, { protocol: 6, id: size }));
  for (let at = 8; at < 40; at += 8) probe.send(piece(segment, at, at + 16, { protocol: 6, id: 99 }));
  t.is(frag.counters.tiny, 8);
  t.is(stack.pool.used, 0);
  probe.send(piece(segment, 0, 40, { protocol: 6 }));
  t.is(frag.counters.tiny, 8);
});

test("FRG-05 a flood of incomplete datagrams costs no more memory than allowed, and the honest get through", (t) => {
  const { probe, received, frag, stack, world } = setUp(t, { memory: 65536 });
  const { generator } = createWorld({ seed: 5 });
  const filler = new Uint8Array(64000);
  const DATAGRAMS = 300;
  let complete = 0;
  let peak = 0;
  let id = 0;
  const flood = () => {
    id++;
    const fields = { id: generator.below(65536), src: `10.0.${generator.below(8) + 1}.${(id % 250) + 1}` };
    probe.send(piece(filler, 0, 1480, fields));
    probe.send(piece(filler, 62520, 64000, fields));
    peak = Math.max(peak, stack.pool.used << stack.pool.chunkShift);
  };
  for (let n = 0; n < DATAGRAMS; n++) {
    for (let attempt = 0; attempt < 3; attempt++) {
      const before = received.length;
      const pieces = cut(datagram(1500), 1480, { id: n * 3 + attempt });
      t.is(pieces.length, 2);
      // One packet in ten is honest, at random.
      for (const each of pieces) {
        while (generator.below(10) !== 0) flood();
        probe.send(framed(each));
      }
      if (received.length > before) {
        complete++;
        break;
      }
    }
  }
  t.true(complete >= DATAGRAMS * 0.95, `${complete} of ${DATAGRAMS}`);
  t.true(peak <= 65536, `${peak} bytes`);
  t.true(frag.counters.evicted > 1000);
  world.run(100000);
  t.deepEqual(findLeaks(stack), []);
});

test("FRG-05 a flood from one source costs the others nothing", (t) => {
  const { probe, received } = setUp(t);
  const pieces = cut(datagram(1500), 1480, { id: 1 });
  probe.send(framed(pieces[0]));
  for (let id = 2; id < 1000; id++)
    probe.send(piece(new Uint8Array(3000), 0, 1480, { id, src: "10.0.0.66" }));
  probe.send(framed(pieces[1]));
  t.deepEqual(received, [pattern(1500)]);
});

test("FRG-06 pieces of 8 bytes are taken while they touch, and refused when they make too many holes", (t) => {
  const packet = datagram(65472);
  const orders: [string, (n: number) => number[], number][] = [
    ["reverse", (n) => Array.from({ length: n }, (_, i) => n - 1 - i), 1],
    ["outside in", (n) => Array.from({ length: n }, (_, i) => (i % 2 ? n - 1 - (i >> 1) : i >> 1)), 1],
    [
      "even, then odd",
      (n) => Array.from({ length: n }, (_, i) => (i * 2 < n ? i * 2 : (i - (n >> 1)) * 2 + 1)),
      0,
    ],
  ];
  for (const [name, order, delivered] of orders) {
    const { probe, received, frag, stack } = setUp(t);
    const pieces = cut(packet, 8, {});
    t.is(pieces.length, 8185);
    for (const i of order(pieces.length)) if (pieces[i]) probe.send(framed(pieces[i]));
    t.is(received.length, delivered, name);
    t.is(frag.counters.holes, 1 - delivered, name);
    t.is(stack.pool.used, 0, name);
  }
});

test("FRG-13 fragments of different protocols, interfaces or ends never mix", (t) => {
  const { probe, received } = setUp(t);
  const body = datagram(72).slice(20);
  probe.send(piece(body, 0, 40));
  for (const fields of [{ protocol: 6 }, { id: 1 }, { src: "10.0.0.3" }])
    probe.send(piece(body, 40, 80, fields));
  t.deepEqual(received, []);
  probe.send(piece(body, 40, 80));
  t.is(received.length, 1);
});

test("time exceeded is told where the first fragment came, and only there", (t) => {
  const { probe, world, stack, frag } = setUp(t);
  const body = datagram(3000).slice(20);
  probe.send(piece(body, 0, 1480, { id: 1 }));
  probe.send(piece(body, 1480, 2960, { id: 2 }));
  world.run(29000);
  t.deepEqual(probe.take(), []);
  world.run(2000);
  t.is(frag.counters.timeout, 2);
  const sent = probe.take();
  t.is(sent.length, 1);
  const { payload } = expectFrame(t, sent[0], { icmp: { type: 11, code: 1 }, length: 28 });
  t.deepEqual(payload, frame(ip4({ id: 1, protocol: 17, mf: true, totalLength: 1500 }), body.slice(0, 8)));
  world.run(40000);
  t.deepEqual(findLeaks(stack), []);
});

test("congestion that a fragment met is not forgotten (RFC 3168)", (t) => {
  const { probe } = setUp(t);
  const echo = frame(ip4(), icmp({ type: 8 }), pattern(40)).slice(20);
  probe.send(piece(echo, 0, 24, { protocol: 1, tos: 2 }));
  probe.send(piece(echo, 24, 48, { protocol: 1, tos: 3 }));
  expectFrame(t, probe.next(), { ip4: { tos: 3 } });
});

test("RES-08 a removed interface takes its fragments along", (t) => {
  const { probe, stack, nif } = setUp(t);
  probe.send(piece(new Uint8Array(3000), 0, 1480));
  t.is(stack.pool.used, 1);
  stack.removeInterface(nif);
  t.deepEqual(findLeaks(stack), []);
});

test("RES-02 reassembly leaves a quarter of the memory to others, and drops what does not fit", (t) => {
  const { probe, frag, stack, received } = setUp(
    t,
    { memory: 65536 },
    { stack: { packetMemory: 65536, chunkSize: 2048 } },
  );
  const packet = datagram(60000);
  for (const each of cut(packet, 1480, {})) probe.send(framed(each));
  t.deepEqual(received, []);
  t.true(frag.counters.noMemory > 0);
  t.true(stack.pool.peak <= 24);
});

test("any fragments: nothing throws, each is counted once, memory comes back", (t) => {
  const fragment = fc.record({
    offset: fc.integer({ min: 0, max: 8191 }).map((n) => (n % 3 ? n % 12 : n) * 8),
    size: fc.integer({ min: 0, max: 64 }),
    mf: fc.boolean(),
    id: fc.integer({ min: 0, max: 3 }),
    protocol: fc.constantFrom(1, 2, 6, 17, 253),
    fill: fc.integer({ min: 0, max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 40 }), (list) => {
      const { probe, frag, stack, world, drops } = setUp(t, { datagrams: 4, ranges: 4 }, { leaks: false });
      for (const { offset, size, mf, fill, ...fields } of list) {
        if (!mf && offset === 0) continue;
        const before = drops() + frag.counters.reassembled;
        const held = stack.pool.used;
        probe.send(framed(frame(ip4({ ...fields, offset, mf }), new Uint8Array(size).fill(fill))));
        const after = drops() + frag.counters.reassembled;
        t.true(after - before <= 1);
        if (after === before) t.true(stack.pool.used >= held || frag.counters.evicted > 0);
      }
      world.run(100000);
      t.deepEqual(findLeaks(stack), []);
    }),
    { numRuns: 300 },
  );
});

test("a datagram cut at any places and shuffled comes out as it went in", (t) => {
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 250 }), { maxLength: 20 });
  fc.assert(
    fc.property(cuts, fc.integer({ min: 0, max: 1 << 20 }), (places, seed) => {
      const { probe, received } = setUp(t, {}, { leaks: false });
      const { generator } = createWorld({ seed });
      const body = datagram(2000).slice(20);
      const edges = [0, ...places.map((n) => n * 8).sort((a, b) => a - b), body.length];
      const pieces = edges.slice(1).map((to, i) => piece(body, edges[i], to));
      if (pieces.length === 1) return;
      for (let i = pieces.length - 1; i > 0; i--) {
        const j = generator.below(i + 1);
        [pieces[i], pieces[j]] = [pieces[j], pieces[i]];
      }
      for (const each of pieces) probe.send(each);
      t.deepEqual(received, [pattern(2000)]);
    }),
    { numRuns: 200 },
  );
});

for (const mtu of [68, 576, 1500]) {
  test(`fragments for an MTU of ${mtu}: sizes, offsets, one identification, no copy`, (t) => {
    const { probe, udp: sockets, frag } = setUp(t, {}, { probe: { mtu } });
    const socket = sockets.open({ port: 9 });
    const size = mtu * 5 + 3;
    t.is(socket.sendTo(PROBE_IP, 99, pattern(size)), size);
    const sent = probe.take();
    const step = (mtu - 20) & ~7;
    t.is(sent.length, Math.ceil((size + 8) / step));
    t.is(frag.counters.sent, sent.length);
    const parsed = sent.map((bytes, i) =>
      expectFrame(t, bytes, { ip4: { offset: i * step, mf: i < sent.length - 1, df: false } }),
    );
    t.is(new Set(parsed.map((each) => each.ip4?.id)).size, 1);
    t.true(parsed.every((each) => each.ip4!.totalLength <= mtu));
    const whole = frame(
      ip4({ src: STACK_IP, dst: PROBE_IP, protocol: 17 }),
      ...parsed.map((each) => each.payload),
    );
    expectFrame(t, framed(whole), { udp: { dport: 99 }, payload: size });
  });
}

test("a datagram that cannot be fragmented any more is refused, and one that must not be", (t) => {
  const { udp: sockets, ip } = setUp(t);
  const socket = sockets.open({ port: 9, dontFragment: true });
  t.is(socket.sendTo(PROBE_IP, 99, pattern(2000)), -90);
  t.is(ip.counters.tooBig, 1);
});

test("stacks exchange datagrams of all sizes over a lossless wire", (t) => {
  const { a, b, run } = pair(t, { mtu: 576, components: () => [fragments()] });
  const target = new Uint8Array(65536);
  const sizes: number[] = [];
  b.udp.open({
    port: PORT,
    receiveBuffer: 1 << 20,
    onReadable() {
      for (let n = this.receive(target); n >= 0; n = this.receive(target)) {
        t.deepEqual(target.subarray(0, n), pattern(n));
        sizes.push(n);
      }
    },
  });
  const socket = a.udp.open({ port: 9 });
  const sent = [0, 1, 548, 549, 1472, 1473, 8000, 20000, 65507];
  for (const size of sent) {
    t.is(socket.sendTo(b.address, PORT, pattern(size)), size);
    run(10);
  }
  t.deepEqual(sizes, sent);
});
