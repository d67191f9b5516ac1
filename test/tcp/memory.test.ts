/** Memory: the one budget runs out, allocations fail, peers hold what they can; connections wait, go on, and leave nothing behind. */
import test from "ava";
import { EAGAIN, ENOBUFS, ETIMEDOUT } from "../../stack/core/errors.js";
import { CHUNK_BYTES } from "../../stack/core/pool.js";
import { freeMemory } from "../../stack/tcp/buffer.js";
import { ESTABLISHED } from "../../stack/tcp/connection.js";
import { createStack } from "../../stack/core/stack.js";
import type { StackOptions } from "../../stack/core/stack.js";
import { createWorld } from "../../ports/sim/index.js";
import { arp } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { tcp as createTcp } from "../../stack/tcp/tcp.js";
import type { Tcp, TcpConfiguration } from "../../stack/tcp/tcp.js";
import { smallTable4 } from "../../stack/route/table.js";
import { closeAll } from "../support/leaks.js";
import { pair } from "../support/network.js";
import { transfer } from "../support/transfer.js";
import { wire } from "../../ports/sim/index.js";
import { Peer, WITH_SACK, accepted, drain, lab, listening, patternFrom } from "./support.js";
import type { Met } from "./support.js";

/** Takes all of the pool's free chunks; returns what gives them back. */
function exhaust(met: {
  lab: { stack: { pool: { get(keep: number): unknown; put(chunk: never): void } } };
}): () => void {
  const { pool } = met.lab.stack;
  const held: unknown[] = [];
  for (let chunk = pool.get(0); chunk; chunk = pool.get(0)) held.push(chunk);
  return () => {
    for (const chunk of held.splice(0)) pool.put(chunk as never);
  };
}

test("RES-02: no memory: writes are refused, and go on within 50 ms of its return", (t) => {
  const met = accepted(t);
  const { socket, events, run, peer } = met;
  const release = exhaust(met);
  t.is(socket.writable(), 0);
  t.is(socket.write(patternFrom(0, 10)), EAGAIN);
  run(1000);
  t.deepEqual(events, []);
  release();
  run(60);
  t.regex(events[0], /^writable \d+$/);
  t.is(socket.write(patternFrom(0, 10)), 10);
  peer.expect("PA", { length: 10 });
  peer.send("A");
});

test("a writer with something in flight is told too, when all of it was acknowledged while there was no memory", (t) => {
  const met = accepted(t);
  const { socket, events, run, peer } = met;
  t.is(socket.write(patternFrom(0, 10)), 10);
  const release = exhaust(met);
  t.is(socket.write(patternFrom(10, 10)), EAGAIN);
  peer.take();
  const rest = exhaust(met);
  peer.send("A");
  // The chunk that came free is somebody else's at once.
  const last = exhaust(met);
  run(1000);
  t.deepEqual(events, []);
  release();
  rest();
  last();
  run(60);
  t.is(events.length, 1);
  t.regex(events[0], /^writable/);
});

test("RES-02: no memory: data are dropped and counted, acknowledged as before, and taken once there is some", (t) => {
  const met = accepted(t, { syn: WITH_SACK });
  const { socket, peer, lab: home, run } = met;
  const release = exhaust(met);
  peer.data(0, 10);
  peer.expect("A", { ack: 1 });
  peer.data(100, 10);
  peer.expect("A", { ack: 1, sack: null });
  t.is(home.tcp.counters.noMemory, 2);
  t.is(socket.readable(), 0);
  release();
  peer.data(0, 10);
  t.is(drain(t, socket, 0), 10);
  run(100);
});

test("what is held out of order gives way to what is in order", (t) => {
  const met = accepted(t, { syn: WITH_SACK });
  const { peer, socket, c, lab: home } = met;
  peer.data(3000, 10);
  peer.data(6000, 10);
  const release = exhaust(met);
  peer.take();
  peer.data(0, 10);
  t.is(c.ranges.length, 0);
  peer.expect("A", { ack: 1 });
  peer.data(0, 10);
  t.is(drain(t, socket, 0), 10);
  release();
  t.is(home.stack.pool.used, 0);
});

test("what strangers hold out of order leaves a quarter of the budget to others", (t) => {
  const home = lab(t, { stack: { packetMemory: 1 << 18 } });
  for (let i = 0; i < 20; i++) {
    const { peer } = accepted(t, { lab: home, port: 40_000 + i, syn: WITH_SACK });
    for (let at = 100; at < 16_000; at += 500) peer.data(at, 10);
    peer.take();
  }
  const { pool } = home.stack;
  t.true(pool.limit - pool.used >= pool.limit >> 2);
  const { peer, socket } = accepted(t, { lab: home, port: 50_000 });
  peer.data(0, 1000);
  t.is(drain(t, socket, 0), 1000);
});

test("no memory: no new connections, but those that are there go on", (t) => {
  const met = accepted(t);
  const { lab: home, peer } = met;
  const release = exhaust(met);
  const before = home.tcp.counters.synDropped;
  const other = new Peer(home, 41_000, 80);
  other.send("S", { mss: 1460 });
  other.silent();
  t.is(home.tcp.counters.synDropped, before + 1);
  release();
  peer.send("A");
  peer.silent();
  accepted(t, { lab: home, port: 41_001 });
});

test("the window shrinks with the free memory, and never moves back", (t) => {
  const met = accepted(t, { syn: { mss: 1000 } });
  const { peer, lab: home, socket } = met;
  const { pool } = home.stack;
  const held: unknown[] = [];
  const size = 1 << pool.chunkShift;
  let edge = 0;
  for (let at = 0; at < 200_000; at += 1000) {
    if (at > 20_000 && pool.used < pool.limit - 40) held.push(pool.get(0), pool.get(0), pool.get(0));
    peer.data(at, 1000);
    drain(t, socket, at);
    for (const seen of peer.take()) {
      const now = seen.ack + seen.window;
      t.true(now >= edge);
      edge = now;
    }
  }
  t.true(edge - 200_001 < 40 * size);
  for (const chunk of held) pool.put(chunk as never);
});

test("TCP-17: peers with closed windows that hold all memory give way when others need it", (t) => {
  const home = lab(t, { stack: { packetMemory: 1 << 18 }, tcp: { sendBuffer: 8192 } });
  const mets: Met[] = [];
  for (let i = 0; i < 60; i++) {
    const listener = listening(home);
    if (freeMemory(home.tcp) === 0 || listener.closed) break;
    const met = accepted(t, { lab: home, port: 40_000 + i, window: 0 });
    while (met.socket.write(patternFrom(0, 4096)) > 0);
    mets.push(met);
  }
  t.is(freeMemory(home.tcp), 0);
  const answer = () => {
    for (const met of mets) {
      if (met.socket.state() === ESTABLISHED) met.peer.send("A", { ack: 1 });
    }
    home.probe.take();
  };
  for (let i = 0; i < 60; i++) {
    home.run(5000);
    answer();
  }
  t.true(home.tcp.counters.pressureAborts > 0);
  t.true(freeMemory(home.tcp) > 0);
  const gone = mets.filter((met) => met.events.includes("close " + ETIMEDOUT)).length;
  t.is(gone, home.tcp.counters.pressureAborts);
  t.true(gone < mets.length, "no more than was needed");
  const fresh = accepted(t, { lab: home, port: 50_000 });
  t.is(fresh.socket.write(patternFrom(0, 100)), 100);
});

test("RES-01: an allocation that fails, whichever it is, costs no exception, no leak, and no byte", (t) => {
  let total = Infinity;
  for (let failing = 0; failing <= total; failing++) {
    const world = createWorld({ seed: 1, scribble: true });
    const links = wire(world, { delay: 1 });
    let count = 0;
    const parts: Tcp[] = [];
    const stacks = links.map((link, i) => {
      const host = world.host();
      (host as { allocate?: (size: number) => Uint8Array | null }).allocate = (size) => {
        count++;
        // It fails for a while, not just once: some allocations are tried again at once.
        return count >= failing && count < failing + 3 && failing > 0 ? null : new Uint8Array(size);
      };
      const part = createTcp({ timeWait: 100 });
      parts.push(part);
      const ip = ipv4();
      const stack = host.drive(
        createStack(host, [ethernet(), arp(), ip, part], { packetMemory: 1 << 17, chunkSize: 256 }),
      );
      ip.addAddress(stack.addInterface(link), `10.0.0.${i + 1}/24`);
      return stack;
    });
    const result = transfer(parts[0], parts[1], "10.0.0.2", { forth: 60_000, back: 60_000, piece: 3000 });
    t.true(world.runUntil(result.done, 600_000), `allocation ${failing}`);
    t.deepEqual(
      [result.far.received, result.near.received, result.far.wrong, result.near.wrong],
      [60_000, 60_000, -1, -1],
      `allocation ${failing}`,
    );
    if (total === Infinity) total = count;
    result.listener.close();
    world.run(1000);
    t.deepEqual(closeAll(world, stacks, { faults: true }), [], `allocation ${failing}`);
  }
  t.true(total >= 4, total + " allocations");
});

test("a tiny budget carries data both ways, slowly", (t) => {
  const parts: Tcp[] = [];
  const { world } = pair(t, {
    delay: 2,
    loss: 0.05,
    stack: { packetMemory: 8192, chunkSize: 256, maximumPacket: 600 },
    components: () => {
      const one = createTcp({ timeWait: 100 });
      parts.push(one);
      return [one];
    },
  });
  const result = transfer(parts[0], parts[1], "10.0.0.2", { forth: 20_000, back: 20_000, piece: 200 });
  t.true(world.runUntil(result.done, 3_600_000));
  t.deepEqual(
    [result.far.received, result.near.received, result.far.wrong, result.near.wrong],
    [20_000, 20_000, -1, -1],
  );
  world.run(1000);
});

test("24 KiB of packets and tables serve four connections at once, of which nothing is lost; what is beyond is refused", (t) => {
  const world = createWorld({ seed: 3, scribble: true });
  const links = wire(world, { delay: 5, loss: 0.02 });
  const four = { limit: 4, timeWaitLimit: 2 };
  const make = (i: number, options: TcpConfiguration, table: number, stackOptions: StackOptions) => {
    const part = createTcp({ ...options, timeWait: 100 });
    const ip = ipv4({ fib: smallTable4(table) });
    const host = world.host();
    const parts = [ethernet(), arp({ limit: 4 }), ip, part];
    const stack = host.drive(createStack(host, parts, stackOptions));
    ip.addAddress(stack.addInterface(links[i]), `10.0.0.${i + 1}/24`);
    return { part, stack };
  };
  const small = { budget: 24_576, chunkSize: 256, maximumPacket: 800 };
  const { part: server, stack } = make(0, four, 2, small);
  const { part: client, stack: other } = make(1, {}, 2, {});
  t.true(stack.reserved + stack.pool.limit * (256 + CHUNK_BYTES) <= small.budget);
  // What a segment of 536 bytes takes is written at once, as large as memory is small.
  const size = { forth: 20_000, back: 20_000, piece: 536 };
  const transfers = [1, 2, 3, 4].map((port) => transfer(client, server, "10.0.0.1", { ...size, port }));
  t.true(world.runUntil(() => transfers.every(({ far }) => far.connected), 60_000));
  t.is(server.connections.size, 4);
  let code = 0;
  server.connect({ address: "10.0.0.2", port: 9, onClose: (each) => (code = each) });
  const fifth = transfer(client, server, "10.0.0.1", { ...size, port: 5 });
  world.run(100);
  t.is(code, ENOBUFS);
  t.false(fifth.far.connected);
  // It asks again until there is room.
  const all = [...transfers, fifth];
  t.true(world.runUntil(() => all.every(({ done }) => done()), 3_600_000));
  t.true(server.counters.synDropped > 0);
  for (const { near, far } of all) {
    t.deepEqual([near.received, near.wrong, far.received, far.wrong], [20_000, -1, 20_000, -1]);
  }
  for (const { listener } of all) listener.close();
  world.run(1000);
  t.deepEqual(closeAll(world, [stack, other]), []);
});

test("a budget that tables would take is refused; what is not said follows from it", (t) => {
  const stackOf = (budget: number, options: TcpConfiguration = {}) => {
    const part = createTcp(options);
    const host = createWorld().host();
    return { part, stack: createStack(host, [ethernet(), arp(), ipv4(), part], { budget, chunkSize: 256 }) };
  };
  t.throws(() => stackOf(24_576, { limit: 6 }), { code: "EINVAL", message: /budget/ });
  t.is(stackOf(24_576).part.limit, 2);
  t.is(stackOf(65_536).part.limit, 4);
  t.is(stackOf(64 << 20).part.limit, 1024);
  for (const budget of [16_384, 65_536, 1 << 20, 16 << 20]) {
    const { stack } = stackOf(budget);
    const most = stack.reserved + stack.pool.limit * (256 + CHUNK_BYTES);
    t.true(most <= budget && most > budget - 256 - CHUNK_BYTES, `${budget}`);
    t.true(stack.pool.limit * 256 > budget / 8, `${budget}: packets`);
  }
});
