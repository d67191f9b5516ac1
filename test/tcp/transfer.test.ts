/** Whole transfers between two of our ends over simulated links: every byte arrives, whatever the link does. */
import test from "ava";
import type { Packet } from "../../stack/core/packet.js";
import { hashOf } from "../../stack/core/hash.js";
import { errorName } from "../../stack/core/error-name.js";
import { ETIMEDOUT } from "../../stack/core/errors.js";
import { accecn } from "../../stack/tcp/accecn.js";
import { bbr } from "../../stack/tcp/bbr.js";
import { cubic } from "../../stack/tcp/cubic.js";
import { ecn } from "../../stack/tcp/ecn.js";
import { frto } from "../../stack/tcp/frto.js";
import { hystart } from "../../stack/tcp/hystart.js";
import { segmentArrives } from "../../stack/tcp/input.js";
import { prr } from "../../stack/tcp/prr.js";
import { rack } from "../../stack/tcp/rack.js";
import { Segment } from "../../stack/tcp/segment.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { Tcp, TcpConfiguration } from "../../stack/tcp/tcp.js";
import { pair } from "../support/network.js";
import type { Node } from "../support/network.js";
import { RST } from "../../stack/wire/tcp.js";
import { parseFrame } from "../support/parse.js";
import { accepted } from "./support.js";
import { transfer } from "../support/transfer.js";

function ends(t: Parameters<typeof pair>[0], options: Parameters<typeof pair>[1] = {}, config = {}) {
  const made: Tcp[] = [];
  const net = pair(t, {
    ...options,
    components: () => {
      const one = tcp({ timeWait: 1000, ...config });
      made.push(one);
      return [one];
    },
  });
  return { ...net, client: made[0], server: made[1] };
}

for (const [name, options] of Object.entries({
  clean: { delay: 1 },
  slow: { delay: 50, bandwidth: 1e6 },
  lossy: { delay: 10, loss: 0.1 },
  // At this rate a few seeds of ten end in EHOSTUNREACH, or in ECONNRESET because TIME-WAIT is so short here.
  "very lossy": { delay: 10, loss: 0.3, worldOptions: { seed: 11 } },
  reordering: { delay: 10, reorder: 0.2, jitter: 20 },
  duplicating: { delay: 5, duplicate: 0.3 },
  corrupting: { delay: 5, corrupt: 0.05 },
})) {
  test(`bytes arrive over a ${name} link`, (t) => {
    const { world, client, server } = ends(t, options);
    const result = transfer(client, server, "10.0.0.2", { forth: 300_000, back: 100_000 });
    const done = world.runUntil(result.done, 3_600_000);
    t.log(
      JSON.stringify(client.counters),
      JSON.stringify(result.near, (k, v) => (k === "socket" ? undefined : v)),
    );
    t.true(done);
    t.is(result.far.received, 300_000);
    t.is(result.near.received, 100_000);
    t.is(result.far.wrong, -1);
    t.is(result.near.wrong, -1);
    t.is(result.near.closed, 0);
    t.is(result.far.closed, 0);
    world.run(5000);
    result.listener.close();
  });
}

test("over links that lose 30 % both ways hardly a transfer runs into its timeout", (t) => {
  const codes: number[] = [];
  const times: number[] = [];
  for (let seed = 1; seed <= 30; seed++) {
    const { world, client, server } = ends(t, { delay: 10, loss: 0.3, worldOptions: { seed } });
    const { near, done } = transfer(client, server, "10.0.0.2", { forth: 300_000, back: 100_000 });
    if (world.runUntil(done, 3_600_000)) times.push(world.time);
    codes.push(near.closed ?? 0);
  }
  times.sort((a, b) => a - b);
  // With one acknowledgement for two segments, which is lost as easily as they are: 203 s, and one transfer in ten.
  t.true(times[times.length >> 1] < 180_000, "median " + times[times.length >> 1]);
  t.true(codes.filter((code) => code === ETIMEDOUT).length <= 1, codes.map(errorName).join());
});

/** Makes the initial sequence numbers of `node` begin at `iss`: its hash of secrets (SipHash-2-4) says what takes the clock there. */
function beginAt(node: Node, iss: number): void {
  const hash = hashOf(node.stack);
  const end = hash.end.bind(hash);
  hash.end = () => {
    const low = end();
    return (hash as unknown as { rounds: number }).rounds === 2 ? (iss - node.stack.now() * 250) | 0 : low;
  };
}

/** A transfer over a bad line from these initial sequence numbers; returns each segment, by numbers that count from them. */
function course(t: Parameters<typeof pair>[0], iss: [number, number], config: TcpConfiguration): string[] {
  const line = { delay: 10, bandwidth: 2e7, loss: 0.03, reorder: 0.1, jitter: 10, duplicate: 0.03 };
  const { a, b, world, links, client, server } = ends(t, line, config);
  beginAt(a, iss[0]);
  beginAt(b, iss[1]);
  const seen: string[] = [];
  links.forEach((link, side) => {
    const transmit = link.transmit.bind(link);
    link.transmit = (data, start, end, offload) => {
      const { tcp: segment, payload } = parseFrame(data.slice(start, end));
      if (segment) {
        const seq = (segment.seq - iss[side]) >>> 0;
        const ack = segment.flags.includes("A") ? (segment.ack - iss[1 - side]) >>> 0 : 0;
        const sack = (segment.sack ?? []).flat().map((edge) => (edge - iss[1 - side]) >>> 0);
        if (seq === 0) t!.true(segment.flags.includes("S"), "it begins where it should");
        seen.push(
          [world.time, side, segment.flags, seq, payload.length, ack, segment.window, ...sack].join(" "),
        );
      }
      return transmit(data, start, end, offload);
    };
  });
  const { near, far, done, listener } = transfer(client, server, "10.0.0.2", {
    forth: 150_000,
    back: 80_000,
  });
  t!.true(world.runUntil(done, 600_000));
  t!.deepEqual([far.received, far.wrong, near.received, near.wrong], [150_000, -1, 80_000, -1]);
  t!.deepEqual([near.closed, far.closed], [0, 0]);
  listener.close();
  world.run(5000);
  return seen;
}

const PARTS: Record<string, () => TcpConfiguration> = {
  "with SACK": () => ({}),
  "without SACK and timestamps": () => ({ sack: false, timestamps: false }),
  "with windows that close": () => ({
    receiveBuffer: 6000,
    maximumReceiveBuffer: 6000,
    windowScaling: false,
  }),
  "with RACK, CUBIC, PRR, HyStart++, ECN": () => ({
    recovery: rack(),
    congestion: prr(cubic({ slowStart: hystart() })),
    ecn: ecn(),
  }),
  "with F-RTO, BBR, accurate ECN": () => ({ recovery: frto(rack()), congestion: bbr(), ecn: accecn() }),
};

for (const [name, parts] of Object.entries(PARTS)) {
  test(`TCP-22: ${name} a transfer takes the same course wherever its sequence numbers begin and wrap`, (t) => {
    const base = course(t, [1000, 2000], parts());
    t.true(base.length > 200);
    const starts: [number, number][] = [
      [0xfffffff0, 0xfffffff0],
      [0x7ffffff0, 0xffffffff],
      [0xffffffff, 0x7fffffff],
      // In the middle of the data.
      [0x100000000 - 60_001, 0x80000000 - 30_001],
      [0x80000000 - 60_001, 0x100000000 - 30_001],
    ];
    for (const iss of starts) {
      const seen = course(t, iss, parts());
      const at = seen.findIndex((segment, i) => segment !== base[i]);
      t.deepEqual([seen[at], seen.length], [base[at], base.length], `from ${iss.join()}: segment ${at}`);
    }
  });
}

test("TCP-22: 1,000,000 comparisons of sequence numbers, by what becomes of RSTs and ICMP errors, as BigInt has them", (t) => {
  const { c, lab } = accepted(t);
  const { counters } = lab.tcp;
  const segment = new Segment();
  segment.flags = RST;
  const packet = {} as Packet;
  const { quoted } = lab.stack;
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, c.localPort);
  view.setUint16(2, c.remotePort);
  Object.assign(quoted, { data: bytes, start: 0, end: 20, net: c.path.net });
  const EDGES = [0, 1, 2, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff];
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  const number = () => {
    const kind = random() >>> 29;
    const near = EDGES[(random() >>> 8) % EDGES.length] + (kind & 1 ? (random() >>> 24) - 128 : 0);
    return (kind < 2 ? random() : near) >>> 0;
  };
  const MODULUS = 1n << 32n;
  const past = (from: number, to: number) => (BigInt(to) - BigInt(from) + MODULUS) % MODULUS;
  const wrong: number[][] = [];
  const [una, nxt, irs, adv] = [c.sndUna, c.sndNxt, c.rcvNxt, c.rcvAdv];
  for (let i = 0; i < 500_000; i++) {
    const from = number();
    const at = number();
    const room = number() >>> (1 + (random() >>> 28));
    const inside = past(from, at) < BigInt(room);
    // An error about what is in flight.
    c.sndUna = from | 0;
    c.sndNxt = (from + room) | 0;
    view.setUint32(4, at);
    quoted.source = 0x0a000001;
    quoted.destination = 0x0a000002;
    if (lab.tcp.error(quoted, -113, 0) !== inside) wrong.push([from, at, room]);
    // An RST in the window, which is challenged; the next one in order would end the connection.
    if (at === from) continue;
    c.rcvNxt = from | 0;
    c.rcvAdv = (from + room) | 0;
    segment.seq = at | 0;
    const before = counters.badReset;
    segmentArrives(c, segment, packet);
    if ((counters.badReset === before) !== inside) wrong.push([from, at, room]);
  }
  t.deepEqual(wrong.slice(0, 3), []);
  [c.sndUna, c.sndNxt, c.rcvNxt, c.rcvAdv] = [una, nxt, irs, adv];
  lab.probe.take();
});
