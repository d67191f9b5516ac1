/** Queueing on an interface's way out: rates, turns, what is dropped, what is marked, and how long a word waits under load. */
import test from "ava";
import fc from "fast-check";
import type { ExecutionContext } from "ava";
import { FlowLists } from "../../stack/queue/flow-lists.js";
import type { Discipline } from "../../stack/queue/discipline.js";
import { drr } from "../../stack/queue/drr.js";
import { fifo } from "../../stack/queue/fifo.js";
import { fqCodel } from "../../stack/queue/fq-codel.js";
import { shaper } from "../../stack/queue/shaper.js";
import type { ShaperOptions } from "../../stack/queue/shaper.js";
import { ecn } from "../../stack/tcp/ecn.js";
import type { StackOptions } from "../../stack/core/stack.js";
import { router, LAN_HOST, WAN_HOST, WAN6_HOST, LAN6_HOST } from "../router/support.js";
import { STACK_MAC, eth, frame, ip4, ip6, udp } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { narrow } from "./support.js";

const DISCIPLINES: [string, () => Discipline][] = [
  ["fifo", () => fifo()],
  ["drr", () => drr()],
  ["fq_codel", () => fqCodel()],
];

/** A router whose way to the WAN is shaped. */
function shaped(t: ExecutionContext | null, options: ShaperOptions, stack: StackOptions = {}) {
  const shape = shaper();
  const node = router(t, { stack, more: [shape], wan: { offloads: { transmitChecksum: true } } });
  const queue = shape.add(node.wanNif, options);
  const send = (sport: number, size: number, tos = 0) =>
    node.lan.send(
      frame(eth({ dst: STACK_MAC }), ip4({ src: LAN_HOST, dst: WAN_HOST, tos }), udp({ sport }), size),
    );
  const ports = () => node.wan.take().map((bytes) => parseFrame(bytes).udp!.sport);
  return { ...node, shape, queue, send, ports };
}

for (const [name, make] of DISCIPLINES) {
  test(`${name}: no faster than the rate, no frame twice, none lost below it; flows keep their order`, (t) => {
    const size = 958;
    // 1000 bytes a frame with its headers: one a millisecond.
    const node = shaped(t, { discipline: make(), rate: 8_000_000, burst: 2000 });
    const sent: [number, number][] = [];
    for (let ms = 0; ms < 100; ms++) {
      node.send(1000 + (ms & 3), size);
      node.world.run(1);
      for (const bytes of node.wan.take()) sent.push([node.world.time, parseFrame(bytes).udp!.sport]);
    }
    t.is(sent.length, 100);
    const before = node.wan.count;
    for (let i = 0; i < 40; i++) node.send(2000, size);
    node.world.run(10);
    const after = node.wan.count - before;
    t.true(after >= 10 && after <= 14, `${after}`);
    node.world.run(40);
    t.is(node.wan.count - before, 40);
    t.is(node.queue.counters.sent, 140);
    t.is(node.queue.counters.bytes, 140_000);
    t.is(node.stack.pool.used, 0);
  });

  test(`${name}: a link without room is waited for, frames in one piece whatever the chunks`, (t) => {
    const node = shaped(t, { discipline: make() }, { chunkSize: 128, packetMemory: 65536 });
    node.wan.room = false;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1400 }), { maxLength: 12 }), (sizes) => {
        node.wan.room = false;
        for (const size of sizes) node.send(7, size);
        t.deepEqual(node.wan.take(), []);
        node.wan.room = true;
        node.wan.receiver!.writable();
        const seen = node.wan.take().map((bytes) => parseFrame(bytes));
        t.deepEqual(
          seen.map(({ payload, faults }) => [payload.length, faults.length]),
          sizes.map((size) => [size, 0]),
        );
        t.is(node.stack.pool.used, 0);
      }),
    );
  });

  test(`${name}: RES-01, RES-02: more than there is room for is dropped and counted; memory comes back`, (t) => {
    const node = shaped(t, { discipline: make(), rate: 80_000 }, { packetMemory: 131_072 });
    for (let i = 0; i < 3000; i++) node.send(i & 7, 1000);
    const { counters } = node.queue;
    t.true(node.stack.pool.used <= node.stack.pool.limit * 0.75);
    t.true(counters.dropped + counters.noMemory > 2900);
    // Others still have memory.
    t.truthy(node.stack.pool.get(0));
    node.stack.pool.used--;
    node.shape.remove(node.wanNif);
    t.is(node.stack.pool.used, 0);
    node.wan.take();
    node.send(1, 10);
    t.is(node.wan.take().length, 1);
  });
}

test("DRR and FQ-CoDel: a flow has its turn although another fills the queue; that one loses", (t) => {
  for (const discipline of [drr({ limit: 50 }), fqCodel({ limit: 50 })]) {
    const node = shaped(t, { discipline, rate: 800_000 });
    for (let i = 0; i < 200; i++) node.send(1, 1000);
    node.send(2, 100);
    node.wan.take();
    node.world.run(40);
    t.true(node.ports().includes(2));
    t.true(node.queue.counters.dropped > 100);
    t.true(node.queue.frames.size <= 50);
  }
});

test("bytes are shared, not packets: a flow of small ones gets as much as one of large ones", (t) => {
  for (const discipline of [drr(), fqCodel({ target: 5000, interval: 10_000 })]) {
    const node = shaped(t, { discipline, rate: 8_000_000 }, { packetMemory: 4 << 20 });
    for (let i = 0; i < 60; i++) node.send(1, 1400);
    for (let i = 0; i < 900; i++) node.send(2, 58);
    node.wan.take();
    node.world.run(60);
    const bytes = [0, 0];
    for (const frame of node.wan.take()) bytes[parseFrame(frame).udp!.sport - 1] += frame.length;
    t.true(Math.abs(bytes[0] - bytes[1]) < 5000, bytes.join());
  }
});

test("CoDel marks what knows ECN, drops what does not, and leaves a queue that drains alone (RFC 8289)", (t) => {
  for (const tos of [0, 1, 2]) {
    const node = shaped(t, { discipline: fqCodel(), rate: 800_000 });
    let marked = 0;
    for (let ms = 0; ms < 3000; ms += 5) {
      node.send(1, 958, tos);
      node.world.run(5);
      for (const bytes of node.wan.take()) {
        const { ip4: header, faults } = parseFrame(bytes);
        t.deepEqual(faults, []);
        if ((header!.tos & 3) === 3) marked++;
      }
    }
    const { counters } = node.queue;
    t.is(marked, counters.marked);
    if (tos === 0) {
      t.true(counters.late > 20, `${counters.late}`);
      t.is(counters.marked, 0);
    } else {
      t.true(counters.marked > 20);
      t.is(counters.late, 0);
    }
  }
  const calm = shaped(t, { discipline: fqCodel(), rate: 800_000 });
  for (let i = 0; i < 20; i++) {
    for (let j = 0; j < 8; j++) calm.send(1, 958);
    calm.world.run(100);
  }
  t.is(calm.queue.counters.late, 0);
});

test("IPv6 packets are told apart and marked too", (t) => {
  const node = shaped(t, { discipline: fqCodel(), rate: 800_000 });
  const send = (flow: number) =>
    node.lan.send(
      frame(
        eth({ dst: STACK_MAC }),
        ip6({ src: LAN6_HOST, dst: WAN6_HOST, trafficClass: 2 }),
        udp({ sport: flow }),
        900,
      ),
    );
  for (let ms = 0; ms < 3000; ms += 5) {
    send(1);
    node.world.run(5);
  }
  t.true(node.queue.counters.marked > 5);
  t.deepEqual(
    node.wan.take().flatMap((bytes) => parseFrame(bytes).faults),
    [],
  );
});

test("p99 of a word's delay under eight downloads: FQ-CoDel at most a tenth of FIFO, at the same goodput", (t) => {
  const run = (discipline: Discipline, marks = false) =>
    narrow(t, {
      discipline,
      rate: 10_000_000,
      flows: 8,
      seconds: 10,
      tcp: marks ? () => ({ ecn: ecn() }) : undefined,
    });
  const plain = run(fifo());
  const fair = run(fqCodel());
  const marked = run(fqCodel(), true);
  t.log(
    `p99: fifo ${plain.p99} ms, fq_codel ${fair.p99} ms, with ECN ${marked.p99} ms; 20 ms of it is the way`,
  );
  t.true(fair.p99 * 10 <= plain.p99);
  t.true(marked.p99 * 10 <= plain.p99);
  t.is(fair.lost, 0);
  t.true(fair.goodput > plain.goodput * 0.95 && fair.goodput > 9_000_000);
  t.true(Math.min(...fair.rates) > Math.max(...fair.rates) * 0.9, "fair");
  t.is(marked.counters.late, 0);
  t.is(marked.counters.dropped, 0);
  t.true(marked.counters.marked > 0);
});

test("misuse throws; an interface that goes takes its queue along", (t) => {
  const node = shaped(t, { discipline: fifo(), rate: 80_000 });
  t.throws(() => node.shape.add(node.wanNif, { discipline: fifo() }), { code: "EEXIST" });
  t.throws(() => node.shape.add(node.lanNif, {} as never), { code: "EINVAL" });
  const one = drr();
  node.shape.add(node.lanNif, { discipline: one });
  node.shape.remove(node.wanNif);
  t.throws(() => node.shape.add(node.wanNif, { discipline: one }), { code: "EINVAL" });
  t.throws(() => node.shape.add(node.wanNif, { discipline: fifo(), rate: -1 }), { code: "EINVAL" });
  for (const bad of [{ limit: 0 }, { flows: 0 }, { quantum: 1 }])
    t.throws(() => new FlowLists(bad), { code: "EINVAL" });
  t.throws(() => fqCodel({ target: 0 }), { code: "EINVAL" });
  node.shape.add(node.wanNif, { discipline: fifo(), rate: 80_000 });
  for (let i = 0; i < 10; i++) node.send(1, 1000);
  t.true(node.stack.pool.used > 0);
  node.wan.receiver!.carrier(false);
  t.is(node.stack.pool.used, 0);
  node.wan.receiver!.carrier(true);
  for (let i = 0; i < 10; i++) node.send(1, 1000);
  node.stack.removeInterface(node.wanNif);
  t.is(node.stack.pool.used, 0);
  t.is(node.shape.queues.length, 1);
});
