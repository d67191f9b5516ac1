/** Reassembly of IPv6 against hostile fragments, and fragmentation of what is larger than the path. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { createWorld } from "../../ports/sim/index.js";
import type { FragmentOptions } from "../../stack/core/reassembly.js";
import { fragments6 } from "../../stack/ipv6/fragments.js";
import { concat, pattern } from "../support/bytes.js";
import { findLeaks } from "../support/leaks.js";
import { PROBE_IP6, be32, frame, icmp, ip6, tcp, udp } from "../support/packets.js";
import { parsePacket } from "../support/parse.js";
import { bare, extension, fragmentHeader, piece } from "./bare.js";
import type { BareOptions } from "./bare.js";

const PORT = 7;

function setUp(t: ExecutionContext, limits: FragmentOptions = {}, options: BareOptions = {}) {
  const frag = fragments6(limits);
  const node = bare(t, { ...options, components: () => [frag] });
  const received: Uint8Array[] = [];
  const target = new Uint8Array(65536);
  node.udp.open({
    port: PORT,
    receiveBuffer: 1 << 20,
    onReadable() {
      for (let n = this.receive(target); n >= 0; n = this.receive(target)) received.push(target.slice(0, n));
    },
  });
  const drops = () => {
    const { received: _, reassembled, sent, evicted, timeout, ...rest } = frag.counters;
    return Object.values(rest).reduce((sum, count) => sum + count, 0);
  };
  return { ...node, frag, received, drops };
}

/** What lies behind the IPv6 header of a UDP datagram of `size` bytes. */
const datagram = (size: number) => frame(ip6(), udp({ dport: PORT }), pattern(size)).slice(40);

/** All fragments of `size` bytes each. */
function cut(body: Uint8Array, size: number, fields: Parameters<typeof piece>[3] = {}): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let from = 0; from < body.length; from += size) {
    pieces.push(piece(body, from, Math.min(from + size, body.length), fields));
  }
  return pieces;
}

function permutations<T>(list: T[]): T[][] {
  if (list.length < 2) return [list];
  return list.flatMap((first, i) =>
    permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [first, ...rest]),
  );
}

test("a datagram is put together from its fragments in any order", (t) => {
  for (const order of permutations(cut(datagram(64), 24))) {
    const { probe, received, frag, stack } = setUp(t);
    for (const each of order) probe.send(each);
    t.deepEqual(received, [pattern(64)]);
    t.is(frag.counters.reassembled, 1);
    t.deepEqual(findLeaks(stack), []);
  }
});

test("FRG-08 any overlap rejects the datagram and what follows of it, in silence", (t) => {
  const body = datagram(72);
  const other = body.map((byte) => byte ^ 1);
  for (const content of [body, other]) {
    const cases = [
      [piece(body, 0, 24), piece(content, 16, 40), piece(body, 40, 80)],
      [piece(body, 0, 40), piece(content, 8, 16), piece(body, 40, 80)],
      [piece(body, 8, 40), piece(content, 0, 48), piece(body, 48, 80)],
      [piece(body, 0, 40), piece(content, 0, 24), piece(body, 40, 80)],
      [piece(body, 0, 24), piece(body, 24, 48), piece(content, 0, 48), piece(body, 48, 80)],
      [piece(body, 40, 80), piece(content, 72, 80), piece(body, 0, 40)],
    ];
    for (const pieces of cases) {
      const { probe, received, frag, stack, world, drops, take } = setUp(t);
      for (const each of pieces) probe.send(each);
      // The rest of it, correct, is refused as well.
      for (const each of cut(body, 16)) probe.send(each);
      t.deepEqual(received, []);
      t.is(frag.counters.overlap, 1);
      t.is(frag.counters.overlap + frag.counters.rejected, drops());
      t.is(stack.pool.used, 0);
      world.run(200000);
      t.deepEqual(take(), []);
      t.deepEqual(findLeaks(stack), []);
    }
  }
});

test("FRG-08 exact copies are ignored, unless they differ", (t) => {
  const { probe, received, frag } = setUp(t);
  for (const each of cut(datagram(64), 24).slice(0, 2)) for (let i = 0; i < 3; i++) probe.send(each);
  t.is(frag.counters.duplicate, 4);
  probe.send(piece(datagram(64), 48, 72));
  t.deepEqual(received, [pattern(64)]);
  const wrong = datagram(64).map((byte) => byte ^ 1);
  probe.send(piece(datagram(64), 0, 24));
  probe.send(piece(wrong, 0, 24));
  t.is(frag.counters.overlap, 1);
});

test("FRG-02 FRG-14 no datagram beyond 65535 bytes, and every one up to it", (t) => {
  const { probe, received, frag, stack, take } = setUp(t);
  const packet = piece(new Uint8Array(65632), 65528, 65632, { more: false });
  probe.send(packet);
  t.is(frag.counters.toobig, 1);
  t.is(stack.pool.used, 0);
  const [error] = take();
  t.like(error.icmp, { type: 4, code: 0, rest: 42 });
  t.deepEqual(error.payload, packet);
  // With extension headers before it, the pointer moves along.
  const header = fragmentHeader(17, 65528, false, 2);
  probe.send(
    frame(ip6({ next: 60 }), concat(extension(44, Uint8Array.of(1, 4, 0, 0, 0, 0)), header, pattern(100))),
  );
  t.like(take()[0].icmp, { type: 4, code: 0, rest: 50 });
  for (const each of cut(datagram(65527), 1232)) probe.send(each);
  t.deepEqual(received, [pattern(65527)]);
  t.deepEqual(findLeaks(stack), []);
});

test("a fragment that is not the last has a multiple of 8 bytes, or its sender is told", (t) => {
  const { probe, frag, take } = setUp(t);
  probe.send(piece(datagram(100), 0, 25));
  t.like(take()[0].icmp, { type: 4, code: 0, rest: 4 });
  probe.send(piece(datagram(100), 24, 24, { more: true }));
  t.is(frag.counters.malformed, 2);
  t.deepEqual(take(), []);
});

test("FRG-14 a datagram of the whole reassembly memory is delivered, one byte more is not", (t) => {
  const { probe, received, frag } = setUp(t, { memory: 8192 }, { stack: { chunkSize: 256 } });
  for (const each of cut(datagram(8192 - 8), 1024)) probe.send(each);
  t.deepEqual(received, [pattern(8192 - 8)]);
  for (const each of cut(datagram(8193 - 8), 1024, { id: 2 })) probe.send(each);
  t.is(received.length, 1);
  t.is(frag.counters.toobig, 1);
});

test("FRG-14 what is in the fragments gets one contiguous view, and answers in fragments", (t) => {
  const { probe, icmp6, take } = setUp(t);
  const echo = frame(ip6(), icmp({ type: 128, id: 5, seq: 6 }), pattern(3000)).slice(40);
  for (const each of cut(echo, 1000, { next: 58 })) probe.send(each);
  t.is(icmp6.counters.echoRequests, 1);
  const sent = take();
  t.is(sent.length, 3);
  const whole = frame(
    ip6({ src: "fe80::1", dst: PROBE_IP6, next: 58 }),
    concat(...sent.map(({ payload }) => payload.slice(8))),
  );
  const answer = parsePacket(whole);
  t.deepEqual(answer.faults, []);
  t.like(answer.icmp, { type: 129, id: 5, seq: 6 });
  t.deepEqual(answer.payload, pattern(3000));
});

test("FRG-09 atomic fragments are datagrams by themselves", (t) => {
  const { probe, received, frag, stack } = setUp(t, { datagrams: 1 });
  const body = datagram(64);
  probe.send(piece(body, 0, 24));
  for (let i = 0; i < 1000; i++) probe.send(piece(datagram(10), 0, 18, { more: false }));
  t.is(received.length, 1000);
  t.is(frag.counters.received, 1);
  t.is(stack.pool.used, 1);
  probe.send(piece(body, 24, 72));
  t.is(received.length, 1001);
  t.deepEqual(received[1000], pattern(64));
  t.is(frag.counters.evicted, 0);
});

test("FRG-13 the first fragment's next header counts, and there is one fragment header", (t) => {
  const { probe, received, ip6: ip, take, frag } = setUp(t);
  const body = datagram(64);
  probe.send(piece(body, 24, 72, { next: 6 }));
  probe.send(piece(body, 0, 24, { next: 17 }));
  t.is(received.length, 1);
  // In the datagram, behind an atomic fragment, and behind a header within.
  const inner = concat(fragmentHeader(17, 0, false, 9), body);
  for (const each of cut(inner, 40, { next: 44, id: 2 })) probe.send(each);
  probe.send(piece(inner, 0, inner.length, { next: 44, id: 3 }));
  const deeper = concat(extension(44, new Uint8Array(6)), fragmentHeader(17, 8, true, 9), body);
  for (const each of cut(deeper, 40, { next: 60, id: 4 })) probe.send(each);
  t.is(received.length, 1);
  t.is(ip.extensions.fragments, 3);
  t.is(frag.counters.reassembled, 3);
  t.deepEqual(take(), []);
});

test("FRG-13 headers before the fragment header may differ; those behind it are walked when it is whole", (t) => {
  const { probe, received, take } = setUp(t);
  const body = concat(extension(17, new Uint8Array(6)), datagram(64));
  const options = extension(44, Uint8Array.of(1, 4, 0, 0, 0, 0));
  probe.send(frame(ip6({ next: 60 }), concat(options, fragmentHeader(60, 0, true, 1), body.slice(0, 40))));
  probe.send(piece(body, 40, body.length, { next: 60 }));
  t.deepEqual(received, [pattern(64)]);
  // A hop-by-hop header is out of place here; the pointer says where it is named.
  probe.send(piece(concat(extension(17, new Uint8Array(6)), datagram(64)), 0, 40, { next: 0, id: 2 }));
  probe.send(piece(body, 40, body.length, { id: 2 }));
  t.like(take()[0].icmp, { type: 4, code: 1, rest: 6 });
});

test("the first fragment holds all headers (RFC 7112)", (t) => {
  const { probe, frag, take, stack } = setUp(t);
  const segment = frame(ip6(), tcp({ flags: "S" }), pattern(80)).slice(40);
  probe.send(piece(segment, 0, 16, { next: 6 }));
  t.like(take()[0].icmp, { type: 4, code: 3, rest: 0 });
  const options = concat(extension(17, new Uint8Array(30)), datagram(64));
  for (const size of [8, 16, 24]) probe.send(piece(options, 0, size, { next: 60 }));
  probe.send(piece(options, 0, 32, { next: 60 }));
  t.is(frag.counters.tiny, 5);
  t.is(stack.pool.used, 0);
  probe.send(piece(segment, 0, 24, { next: 6 }));
  probe.send(piece(options, 0, 40, { next: 60, id: 2 }));
  t.is(frag.counters.tiny, 5);
});

test("time exceeded is told where the first fragment came, and only there", (t) => {
  const { probe, world, stack, frag, take } = setUp(t, { timeout: 60000 });
  probe.send(piece(datagram(3000), 0, 1232, { id: 1 }));
  probe.send(piece(datagram(3000), 1232, 2464, { id: 2 }));
  world.run(59000);
  t.deepEqual(take(), []);
  world.run(2000);
  t.is(frag.counters.timeout, 2);
  const sent = take();
  t.is(sent.length, 1);
  t.like(sent[0].icmp, { type: 3, code: 1 });
  t.deepEqual(sent[0].payload, piece(datagram(3000), 0, 1232, { id: 1 }).slice(0, 56));
  t.deepEqual(findLeaks(stack), []);
});

test("FRG-12 identifications do not tell of each other, and never come twice", (t) => {
  const { udp: sockets, probe } = setUp(t);
  const socket = sockets.open({ port: 9 });
  const seen = new Set<number>();
  const steps = new Set<number>();
  let last = 0;
  for (let n = 0; n < 10000; n++) {
    socket.sendTo("2001:db8:f::" + ((n & 3) + 1), 99, new Uint8Array(1500));
    const [first] = probe.take();
    const id = new DataView(first.buffer, first.byteOffset).getUint32(44);
    steps.add((id - last) | 0);
    seen.add(id);
    last = id;
  }
  t.is(seen.size, 10000);
  // A counter would show in the differences, a weak permutation in the bits.
  t.true(steps.size > 9990);
  for (let bit = 0; bit < 32; bit++) {
    const ones = [...seen].filter((id) => (id >>> bit) & 1).length;
    t.true(ones > 4700 && ones < 5300, `bit ${bit}: ${ones}`);
  }
});

for (const mtu of [1280, 1500, 9000]) {
  test(`fragments for an MTU of ${mtu}: sizes, offsets, one identification`, (t) => {
    const { probe, udp: sockets, frag } = setUp(t, {}, { probe: { mtu } });
    const socket = sockets.open({ port: 9 });
    const size = mtu * 5 + 3;
    t.is(socket.sendTo(PROBE_IP6, 99, pattern(size)), size);
    const sent = probe.take();
    const step = (mtu - 48) & ~7;
    t.is(sent.length, Math.ceil((size + 8) / step));
    t.is(frag.counters.sent, sent.length);
    sent.forEach((bytes, i) => {
      const { ip6: header, payload, faults } = parsePacket(bytes);
      t.deepEqual(faults, []);
      t.like(header, { next: 44, src: "fe80:0:0:0:0:0:0:1" });
      t.true(bytes.length <= mtu);
      const more = i < sent.length - 1;
      t.deepEqual(payload.slice(0, 4), fragmentHeader(17, i * step, more, 0).slice(0, 4));
      t.deepEqual(payload.slice(4, 8), sent[0].slice(44, 48));
    });
    const whole = frame(
      ip6({ src: "fe80::1", dst: PROBE_IP6, next: 17 }),
      concat(...sent.map((bytes) => bytes.slice(48))),
    );
    const read = parsePacket(whole);
    t.deepEqual(read.faults, []);
    t.deepEqual(read.payload, pattern(size));
  });
}

test("RES-08 a removed interface takes its fragments along", (t) => {
  const { probe, stack, nif } = setUp(t);
  probe.send(piece(datagram(3000), 0, 1232));
  t.is(stack.pool.used, 1);
  stack.removeInterface(nif);
  t.deepEqual(findLeaks(stack), []);
});

test("a flood of first fragments costs no more memory than allowed, and the honest get through", (t) => {
  const { probe, received, stack, world, frag } = setUp(t, { memory: 65536 });
  const { generator } = createWorld({ seed: 5 });
  const filler = new Uint8Array(64000);
  let complete = 0;
  let peak = 0;
  for (let n = 0; n < 100; n++) {
    const before = received.length;
    for (let attempt = 0; attempt < 3 && received.length === before; attempt++) {
      for (const each of cut(datagram(1500), 1232, { id: n * 3 + attempt })) {
        while (generator.below(10) !== 0) {
          const outer = { src: "2001:db8::" + (generator.below(60000) + 16).toString(16) };
          probe.send(piece(filler, 1232, 2464, { outer, id: generator.below(1 << 30) }));
          peak = Math.max(peak, stack.pool.used << stack.pool.chunkShift);
        }
        probe.send(each);
      }
    }
    if (received.length > before) complete++;
  }
  t.true(complete >= 95, `${complete} of 100`);
  t.true(peak <= 65536, `${peak} bytes`);
  t.true(frag.counters.evicted > 500);
  world.run(200000);
  t.deepEqual(findLeaks(stack), []);
});

test("FRG-06 pieces of 8 bytes are taken while they touch, and refused when they make too many holes", (t) => {
  const body = datagram(16000 - 8);
  const pieces = Array.from({ length: 2000 }, (_, i) => piece(body, i * 8, i * 8 + 8));
  for (const list of [pieces, pieces.slice().reverse()]) {
    const { probe, received } = setUp(t);
    for (const each of list) probe.send(each);
    t.deepEqual(received, [pattern(16000 - 8)]);
  }
  const { probe, received, frag, stack, drops } = setUp(t);
  for (const each of [...pieces.filter((_, i) => i % 2 === 0), ...pieces.filter((_, i) => i % 2 === 1)]) {
    probe.send(each);
  }
  t.deepEqual(received, []);
  t.true(frag.counters.rejected > 1900 || drops() > 1900, String(drops()));
  t.is(stack.pool.used, 0);
});

test("a datagram cut at any places and shuffled comes out as it went in", (t) => {
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 250 }), { maxLength: 20 });
  fc.assert(
    fc.property(cuts, fc.integer({ min: 0, max: 1 << 20 }), (places, seed) => {
      const { probe, received } = setUp(t, {}, { leaks: false });
      const { generator } = createWorld({ seed });
      const body = datagram(2000);
      const edges = [0, ...places.map((n) => n * 8).sort((a, b) => a - b), body.length];
      const pieces = edges.slice(1).map((to, i) => piece(body, edges[i], to));
      for (let i = pieces.length - 1; i > 0; i--) {
        const j = generator.below(i + 1);
        [pieces[i], pieces[j]] = [pieces[j], pieces[i]];
      }
      for (const each of pieces) probe.send(each);
      t.deepEqual(received, [pattern(2000)]);
    }),
    { numRuns: 50 },
  );
});

test("any fragments: nothing throws, each is counted once, memory comes back", (t) => {
  const fragment = fc.record({
    field: fc.integer({ min: 0, max: 65535 }).map((n) => (n % 3 ? n % 97 : n)),
    size: fc.integer({ min: 0, max: 64 }),
    id: fc.integer({ min: 0, max: 3 }),
    next: fc.constantFrom(0, 6, 17, 43, 44, 58, 59, 60, 253),
    fill: fc.integer({ min: 0, max: 2 }),
  });
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 40 }), (list) => {
      const { probe, frag, stack, world, drops } = setUp(t, { datagrams: 4, ranges: 4 }, { leaks: false });
      for (const { field, size, id, next, fill } of list) {
        if ((field & 0xfff9) === 0) continue;
        const before = drops() + frag.counters.reassembled;
        const held = stack.pool.used;
        const header = concat(Uint8Array.of(next, 0, field >> 8, field), be32(id));
        probe.send(frame(ip6({ next: 44 }), concat(header, new Uint8Array(size).fill(fill))));
        const after = drops() + frag.counters.reassembled;
        t.true(after - before <= 1);
        if (after === before) t.true(stack.pool.used >= held || frag.counters.evicted > 0);
      }
      world.run(200000);
      t.deepEqual(findLeaks(stack), []);
    }),
    { numRuns: 100 },
  );
});
