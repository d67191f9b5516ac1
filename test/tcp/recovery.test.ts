/** Loss recovery: what is retransmitted when, with SACK (RFC 6675) and without (RFC 5681, RFC 6582), and limited transmit (RFC 3042). */
import test from "ava";
import fc from "fast-check";
import { accecn } from "../../stack/tcp/accecn.js";
import { bbr } from "../../stack/tcp/bbr.js";
import { ESTABLISHED, outstanding } from "../../stack/tcp/connection.js";
import { cubic } from "../../stack/tcp/cubic.js";
import { ecn } from "../../stack/tcp/ecn.js";
import { frto } from "../../stack/tcp/frto.js";
import { hystart } from "../../stack/tcp/hystart.js";
import { pacing } from "../../stack/tcp/pacing.js";
import { prr } from "../../stack/tcp/prr.js";
import { rack } from "../../stack/tcp/rack.js";
import type { TcpConfiguration } from "../../stack/tcp/tcp.js";
import { ALL_OPTIONS, WITH_SACK, accepted, patternFrom, show } from "./support.js";
import type { Fields, MeetOptions, Met } from "./support.js";

const MSS = 1000;

/** A connection with `segments` segments in flight, and more to send. */
function flying(
  t: Parameters<typeof accepted>[0],
  segments: number,
  options: MeetOptions & { more?: number } = {},
): Met {
  const met = accepted(t, { syn: { ...WITH_SACK, mss: MSS }, tcp: { sendBuffer: 131_072 }, ...options });
  met.c.cwnd = segments * MSS;
  met.socket.write(patternFrom(0, segments * MSS + (options.more ?? 50) * MSS));
  t.is(met.peer.take().length, segments);
  return met;
}

const PLAIN: MeetOptions = { syn: { mss: MSS } };

/** The edges of segments `first` to `last` (counted from 0, `last` included). */
function segs(first: number, last = first): [number, number] {
  return [1 + first * MSS, 1 + (last + 1) * MSS];
}

/** Which segments the stack has sent since it was last asked; a letter for what is not one whole segment. */
function sent({ peer, t }: Met): (number | string)[] {
  const list = peer.take().filter((seen) => seen.length > 0);
  peer.ack = 1;
  return list.map((seen) => {
    t.deepEqual(seen.payload, patternFrom(seen.seq - 1, seen.length));
    return (seen.seq - 1) % MSS === 0 && seen.length === MSS ? (seen.seq - 1) / MSS : show(seen);
  });
}

/** The peer acknowledges all before segment `next`, and SACKs. */
function ack({ peer }: Met, next: number, sack?: [number, number][], fields: Fields = {}): void {
  peer.send("A", { ack: 1 + next * MSS, sack, ...fields });
}

test("SACK: the third segment above a hole makes it lost; the window is halved; new data follow as the pipe drains", (t) => {
  const met = flying(t, 10);
  const { c } = met;
  ack(met, 0, [segs(1)]);
  t.deepEqual(sent(met), [10], "limited transmit");
  ack(met, 0, [segs(1, 2)]);
  t.deepEqual(sent(met), [11]);
  ack(met, 0, [segs(1, 3)]);
  t.deepEqual(sent(met), [0]);
  t.is(c.ssthresh, 5000, "half of what was in flight without limited transmit (RFC 5681 section 3.2)");
  t.is(c.cwnd, 5000);
  // 12 sent, 3 SACKed, 1 retransmitted: 9 in flight. Five more must leave before a new one goes.
  for (let i = 4; i <= 7; i++) {
    ack(met, 0, [segs(1, i)]);
    t.deepEqual(sent(met), []);
  }
  ack(met, 0, [segs(1, 8)]);
  t.deepEqual(sent(met), [12]);
  ack(met, 0, [segs(1, 9)]);
  t.deepEqual(sent(met), [13]);
  t.true(c.recovering);
  // The retransmission arrives, and all that was in flight when the loss was found.
  ack(met, 12);
  t.false(c.recovering);
  t.is(c.cwnd, 5000);
  t.deepEqual(sent(met), [14, 15, 16]);
  t.is(met.lab.tcp.counters.fastRetransmits, 1);
});

test("SACK: several holes are filled in one round trip, and nothing that was SACKed is sent again", (t) => {
  const met = flying(t, 20, { more: 0 });
  ack(met, 0, [segs(1)]);
  ack(met, 0, [segs(3), segs(1)]);
  t.deepEqual(sent(met), []);
  ack(met, 0, [segs(5), segs(3), segs(1)]);
  t.deepEqual(sent(met), [0], "three ranges above it");
  ack(met, 0, [segs(5, 9), segs(3), segs(1)]);
  ack(met, 0, [segs(5, 19), segs(3), segs(1)]);
  t.deepEqual(sent(met), [2, 4]);
  ack(met, 1, [segs(5, 19), segs(3), segs(1)]);
  ack(met, 20);
  t.deepEqual(sent(met), []);
  t.is(met.lab.tcp.counters.retransmitted, 3);
});

test("SACK: what counts is SACKed bytes, not acknowledgements: one that reports much is enough", (t) => {
  const met = flying(t, 10, { more: 0 });
  ack(met, 0, [segs(5, 9)]);
  // Ten in flight, five SACKed, five lost: the pipe is empty, the window is five.
  t.deepEqual(sent(met), [0, 1, 2, 3, 4]);
});

test("SACK: three duplicates of a thin stream find the loss as well (RFC 6675 section 5, step 1)", (t) => {
  const met = accepted(t, { syn: { ...WITH_SACK, mss: MSS } });
  const { socket, peer } = met;
  socket.setNoDelay(true);
  for (let i = 0; i < 6; i++) socket.write(patternFrom(i * 10, 10));
  t.is(peer.take().length, 6);
  for (let i = 1; i <= 2; i++) peer.send("A", { ack: 1, sack: [[11, 11 + i * 10]] });
  peer.silent();
  peer.send("A", { ack: 1, sack: [[11, 41]] });
  t.deepEqual(peer.take().map(show), ["A 1:11 ack 1"]);
  peer.send("A", { ack: 61 });
});

test("SACK: a window update does not hide that an acknowledgement reports something new", (t) => {
  const met = flying(t, 10, { more: 0 });
  for (let i = 1; i <= 3; i++) ack(met, 0, [segs(1, i)], { window: 60_000 - i });
  t.deepEqual(sent(met), [0]);
});

test("SACK: the same report again is no further loss", (t) => {
  const met = flying(t, 10, { more: 0 });
  for (let i = 0; i < 20; i++) ack(met, 0, [segs(1, 2)]);
  t.deepEqual(sent(met), []);
  t.false(met.c.recovering);
});

test("SACK: the retransmission gets lost too: the timer brings it", (t) => {
  const met = flying(t, 10, { more: 0 });
  ack(met, 0, [segs(1, 9)]);
  t.deepEqual(sent(met), [0]);
  met.run(150);
  t.deepEqual(sent(met), []);
  met.run(150);
  t.deepEqual(sent(met), [0]);
  t.is(met.c.cwnd, MSS);
  // The peer had not forgotten what it SACKed.
  ack(met, 10);
  t.deepEqual(sent(met), []);
});

test("SACK: a peer that reneges gets all again after a timeout (RFC 2018 section 8; TCP-17)", (t) => {
  const met = flying(t, 10, { more: 0 });
  ack(met, 0, [segs(1, 9)]);
  t.deepEqual(sent(met), [0]);
  t.is(met.c.sackedBytes, 9000);
  ack(met, 1);
  t.deepEqual(sent(met), []);
  met.run(300);
  t.deepEqual(sent(met), [1]);
  t.is(met.c.sackedBytes, 0);
  let next = 2;
  for (let i = 0; i < 30 && next < 10; i++) {
    ack(met, next);
    for (const one of sent(met)) if (one === next) next++;
  }
  t.is(next, 10);
});

test("SACK: one loss after another: the window is halved once a round trip", (t) => {
  const met = flying(t, 20);
  ack(met, 0, [segs(1, 3)]);
  t.deepEqual(sent(met).slice(-1), [0]);
  t.is(met.c.cwnd, 10_000);
  ack(met, 4, [segs(5, 9)]);
  t.deepEqual(sent(met).slice(0, 1), [4]);
  t.is(met.c.cwnd, 10_000, "lost in the same window");
  ack(met, 20);
  t.false(met.c.recovering);
  const flight = (met.c.sndNxt - met.c.sndUna) / MSS;
  t.is(flight, 10);
  ack(met, 20, [segs(21, 24)]);
  t.is(met.c.cwnd, (flight * MSS) >> 1);
});

test("D-SACK: a retransmission that was not needed makes the sender more patient (RFC 2883)", (t) => {
  const met = flying(t, 10, { more: 0 });
  ack(met, 0, [segs(1, 3)]);
  t.deepEqual(sent(met), [0]);
  ack(met, 4);
  ack(met, 4, [segs(0)]);
  t.is(met.c.dupThresh, 4);
  ack(met, 4, [segs(5, 7)]);
  t.deepEqual(sent(met), [], "three are not enough any more");
  ack(met, 4, [segs(5, 8)]);
  t.deepEqual(sent(met), [4]);
  ack(met, 10);
});

test("TCP-04: SACK blocks that cannot be are ignored: reversed, empty, below, beyond", (t) => {
  const met = flying(t, 10, { more: 0 });
  const { c } = met;
  ack(met, 2);
  for (const block of [
    [5001, 4001],
    [5001, 5001],
    [9001, 11_001],
    [10_001, 12_001],
    [-0x7fff0000, -0x7ffe0000],
    [0x7fff0000, 0x7ffe0000],
    [2001, 2001 + 0x7fffffff],
  ] as [number, number][]) {
    ack(met, 2, [block]);
    t.deepEqual([c.sacked.length, c.sackedBytes], [0, 0], block.join(" "));
  }
  ack(met, 2, [[1500, 3001]]);
  t.deepEqual([c.sacked.length, c.sackedBytes], [2, 1000], "what lies below is cut off");
  t.deepEqual(sent(met), []);
});

test("TCP-04: the scoreboard is bounded, whatever the peer reports", (t) => {
  const met = accepted(t, {
    syn: { ...WITH_SACK, mss: 100 },
    tcp: { sendBuffer: 65_536 },
    stack: { packetMemory: 1 << 22 },
  });
  met.c.cwnd = 60_000;
  met.socket.write(patternFrom(0, 60_000));
  met.peer.take();
  for (let i = 1; i < 500; i++) {
    met.peer.send("A", { ack: 1, sack: [0, 1, 2, 3].map((k) => [i * 110 + k * 20, i * 110 + k * 20 + 8]) });
  }
  t.true(met.c.sacked.length <= 128);
  let bytes = 0;
  for (let i = 0; i < met.c.sacked.length; i += 2) bytes += met.c.sacked[i + 1] - met.c.sacked[i];
  t.is(met.c.sackedBytes, bytes);
  met.peer.send("A", { ack: met.c.sndNxt - met.c.iss });
  t.is(met.c.sacked.length, 0);
});

test("without SACK: three duplicates find the loss, partial acknowledgements the next ones (RFC 6582)", (t) => {
  const met = flying(t, 10, PLAIN);
  const { c } = met;
  ack(met, 0);
  t.deepEqual(sent(met), [10]);
  ack(met, 0);
  t.deepEqual(sent(met), [11]);
  ack(met, 0);
  t.deepEqual(sent(met), [0]);
  t.is(c.ssthresh, 5000);
  for (let i = 0; i < 4; i++) {
    ack(met, 0);
    t.deepEqual(sent(met), []);
  }
  ack(met, 0);
  t.deepEqual(sent(met), [12], "eight have left, one came: nine of thirteen, and a window of five");
  ack(met, 4);
  t.deepEqual(sent(met).slice(0, 1), [4], "a partial acknowledgement");
  t.true(c.recovering);
  ack(met, 12);
  t.false(c.recovering);
  t.is(c.cwnd, 5000);
});

test("without SACK: two duplicates are reordering", (t) => {
  const met = flying(t, 10, { ...PLAIN, more: 0 });
  ack(met, 0);
  ack(met, 0);
  t.deepEqual(sent(met), []);
  ack(met, 10);
  t.is(met.lab.tcp.counters.fastRetransmits, 0);
});

test("without SACK: no duplicates are those with data, with another window, or of nothing in flight (RFC 5681 section 2)", (t) => {
  const met = flying(t, 10, { ...PLAIN, more: 0 });
  const { peer } = met;
  for (let i = 0; i < 5; i++) peer.data(i, 1, { ack: 1 });
  for (let i = 0; i < 5; i++) ack(met, 0, undefined, { window: 60_000 + i });
  met.run(1);
  t.deepEqual(sent(met), []);
  ack(met, 10);
  for (let i = 0; i < 5; i++) ack(met, 10);
  t.deepEqual(sent(met), []);
  t.is(met.c.dupAcks, 0);
  met.socket.read(new Uint8Array(100));
});

test("without SACK: the last segment is retransmitted as it was, small, and never more than was sent", (t) => {
  const met = accepted(t, { syn: { mss: MSS } });
  const { socket, peer } = met;
  socket.setNoDelay(true);
  for (let i = 0; i < 5; i++) socket.write(patternFrom(i * 10, 10));
  t.is(peer.take().length, 5);
  for (let i = 0; i < 3; i++) peer.send("A", { ack: 1 });
  t.deepEqual(peer.take().map(show), ["PA 1:51 ack 1"]);
  peer.send("A", { ack: 51 });
  peer.silent();
});

test("TCP-16: duplicates that nobody can have sent let no more out than was in flight", (t) => {
  const met = flying(t, 10, { ...PLAIN, more: 60, window: 65_535 });
  for (let i = 0; i < 1000; i++) ack(met, 0);
  const out = sent(met);
  t.true(out.length <= 12, out.length + " segments for forged duplicates");
});

test("TCP-16: an acknowledgement beyond what was sent is answered and changes nothing", (t) => {
  const met = flying(t, 10, { more: 0 });
  const before = { una: met.c.sndUna, cwnd: met.c.cwnd };
  ack(met, 11);
  t.deepEqual(met.peer.take().map(show), ["A 10001 ack 1"]);
  t.deepEqual({ una: met.c.sndUna, cwnd: met.c.cwnd }, before);
});

test("TCP-16: split acknowledgements open the window by the bytes that they acknowledge (RFC 3465)", (t) => {
  const whole = flying(t, 10);
  const split = flying(t, 10);
  for (let i = 1; i <= 10; i++) ack(whole, i);
  for (let i = 1; i <= 1000; i++) split.peer.send("A", { ack: 1 + i * 10 });
  t.is(split.c.cwnd, whole.c.cwnd);
  t.is(whole.c.cwnd, 20_000);
});

test("slow start counts two segments an acknowledgement at most; congestion avoidance one a window (RFC 3465, RFC 5681)", (t) => {
  const met = flying(t, 10);
  ack(met, 5);
  t.is(met.c.cwnd, 12_000);
  met.c.ssthresh = 1;
  sent(met);
  const { c } = met;
  c.cwnd = 10_000;
  c.ackedBytes = 0;
  let at = 5;
  for (let window = 10_000; window < 14_000; window += 1000) {
    t.is(c.cwnd, window);
    for (let i = 0; i < window / MSS; i++) ack(met, ++at);
    sent(met);
  }
});

test("a sender that does not fill its window does not widen it (RFC 7661)", (t) => {
  const met = accepted(t, { syn: { mss: MSS } });
  const { socket, peer, c } = met;
  const before = c.cwnd;
  for (let i = 0; i < 50; i++) {
    socket.write(patternFrom(0, 1000));
    peer.take();
    peer.send("A");
  }
  t.is(c.cwnd, before);
});

test("initial window: ten segments, fewer where they are large (RFC 6928); also after a pause (RFC 5681 section 4.1)", (t) => {
  for (const [mss, window] of [
    [536, 5360],
    [1000, 10_000],
    [1460, 14_600],
  ]) {
    t.is(accepted(t, { syn: { mss } }).c.cwnd, window);
  }
  const large = accepted(t, { syn: { mss: 8960 }, probe: { mtu: 9000 } });
  t.is(large.c.cwnd, 17_920);

  const met = flying(t, 10);
  ack(met, 10);
  sent(met);
  ack(met, (met.c.sndNxt - met.c.iss - 1) / MSS);
  while (met.c.sndNxt !== met.c.sndUna) {
    sent(met);
    ack(met, (met.c.sndNxt - met.c.iss - 1) / MSS);
  }
  t.true(met.c.cwnd > 10_000);
  const grown = met.c.cwnd;
  met.run(150);
  met.socket.write(patternFrom(60 * MSS, 10));
  t.is(met.c.cwnd, grown, "a short pause");
  met.peer.take();
  met.peer.send("A");
  // What is received meanwhile is no reason to keep the window.
  for (let i = 0; i < 20; i++) {
    met.peer.data(i * 10, 10);
    met.run(50);
  }
  met.peer.take();
  met.socket.write(patternFrom(60 * MSS + 10, 10));
  t.is(met.c.cwnd, 10_000);
  met.socket.read(new Uint8Array(200));
});

test("a timeout halves once, and goes on with one segment (RFC 5681 section 3.1)", (t) => {
  const met = flying(t, 10);
  met.run(250);
  t.deepEqual([met.c.ssthresh, met.c.cwnd], [5000, 1000]);
  met.run(450);
  t.deepEqual([met.c.ssthresh, met.c.cwnd], [5000, 1000]);
  sent(met);
});

test("timestamps: segments are shorter by the option, and SACK finds its way beside it", (t) => {
  const met = accepted(t, { syn: { ...ALL_OPTIONS, mss: 1012 }, window: 1000 });
  met.socket.write(patternFrom(0, 10_000));
  t.is(met.c.mss, 1000);
  t.true(met.peer.take().every((seen) => seen.length === 1000));
  met.peer.ack = 1;
  met.peer.send("A", { sack: [segs(1, 3)] });
  t.deepEqual(sent(met), [0]);
  met.peer.send("A", { ack: 10_001 });
});

/** Everything that a congestion control or a recovery may be made of. */
const LIED_TO: Record<string, () => TcpConfiguration> = {
  "the default parts": () => ({}),
  "no SACK": () => ({ sack: false }),
  "CUBIC, HyStart++, PRR, pacing, RACK-TLP, F-RTO, accurate ECN": () => ({
    congestion: pacing(prr(cubic({ slowStart: hystart() }))),
    recovery: frto(rack()),
    ecn: accecn(),
  }),
  "BBR, RACK-TLP, ECN": () => ({ congestion: bbr(), recovery: rack(), ecn: ecn() }),
};

const lie = fc.record({
  flags: fc.constantFrom("A", "A", "A", "PA", "AE", "AC", "AEC", "AN", "AEN"),
  ack: fc.integer({ min: -2, max: 42 }),
  window: fc.constantFrom(0, 1, 999, 20_000, 65_535),
  sack: fc.array(fc.tuple(fc.integer({ min: -5, max: 45 }), fc.integer({ min: -5, max: 45 })), {
    maxLength: 3,
  }),
  echo: fc.constantFrom(null, 0, 1, 0x7fffffff, 0xffffffff),
  tos: fc.integer({ min: 0, max: 3 }),
  pause: fc.constantFrom(0, 0, 1, 10, 250, 3000),
});

for (const [name, parts] of Object.entries(LIED_TO))
  test(`TCP-16: a receiver that lies about all it can (${name}): within its window, bounded, and nothing is thrown`, (t) => {
    fc.assert(
      fc.property(fc.array(lie, { minLength: 5, maxLength: 40 }), (lies) => {
        const met = accepted(t, {
          tcp: { sendBuffer: 65_536, ...parts() },
          syn: { ...ALL_OPTIONS, windowScale: 0, mss: MSS },
        });
        const { peer, socket, c } = met;
        socket.write(patternFrom(0, 40 * MSS));
        // From the stack's point of view: the right edge of all that was ever offered.
        let edge = 1 + 65_535;
        let out = 0;
        const look = () => {
          for (const { seq, length } of peer.take()) {
            if (seq + length > edge + 1) throw new Error(`${seq + length} is beyond ${edge}`);
            if (length > 0) out++;
          }
          if (c.rto < 1 || c.rto > 60_000) throw new Error(`rto ${c.rto}`);
          if (c.cwnd < 1 || c.cwnd > 1 << 24 || c.sacked.length > 128)
            throw new Error(`cwnd ${c.cwnd}, ${c.sacked.length}`);
          if (c.sackedBytes < 0 || c.sackedBytes > outstanding(c)) throw new Error(`${c.sackedBytes} SACKed`);
        };
        look();
        for (const { flags, ack: at, window, sack, echo, tos, pause } of lies) {
          const edges = sack.map(([a, b]): [number, number] => [1 + a * 500, 1 + b * 500]);
          const right = 1 + at * 1000 + window;
          if (right > edge && at >= 0) edge = right;
          peer.send(flags, {
            ack: 1 + at * 1000,
            window,
            sack: edges.length > 0 ? edges : undefined,
            timestamps: echo === null ? undefined : [peer.clock + Math.floor(met.lab.world.time), echo],
            tos,
          });
          if (pause > 0) met.run(pause);
          look();
          if (c.state !== ESTABLISHED) return true;
        }
        // Each lie lets out a flight at the most, and each pause a few probes.
        if (out > 40 * (lies.length + 2)) throw new Error(`${out} segments`);
        socket.abort();
        peer.take();
        return true;
      }),
      { numRuns: 60 },
    );
    t.pass();
  });
