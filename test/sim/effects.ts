/**
 * What TCP brings besides the parts of parts.ts, each with and without it: `node examples/launch.js test/sim/effects.ts` writes
 * docs/effects.md and its plot. The same numbers come out anywhere.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKSUM_NONE } from "../../hypercall/link.js";
import { accecn } from "../../stack/tcp/accecn.js";
import { newReno } from "../../stack/tcp/congestion.js";
import type { Congestion } from "../../stack/tcp/congestion.js";
import { ecn } from "../../stack/tcp/ecn.js";
import { fastOpen } from "../../stack/tcp/fast-open.js";
import { frto } from "../../stack/tcp/frto.js";
import { sackRecovery } from "../../stack/tcp/recovery.js";
import { revalidation } from "../../stack/tcp/revalidation.js";
import { synCookies } from "../../stack/tcp/syn-cookies.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import type { TcpConfiguration } from "../../stack/tcp/tcp.js";
import { ROOT } from "../support/files.js";
import { macText } from "../support/bytes.js";
import { pair } from "../support/network.js";
import { eth, frame, ip4, tcp, tcpOptions } from "../support/packets.js";
import { bars } from "./bars.js";
import { race } from "./dumbbell.js";
import type { Bottleneck, Outcome } from "./dumbbell.js";

export interface Effect {
  name: string;
  /** What is measured, and where. */
  about: string;
  without: number;
  with: number;
}

const LONG: Bottleneck = { bandwidth: 5e7, delay: 50, queueFrames: 400 };
const SEEDS = [1, 2, 3];

/** One flow of NewReno for so long, median of the seeds. */
function run(
  parts: () => TcpConfiguration,
  line: Bottleneck,
  duration: number,
  of: keyof Outcome,
  receivers: TcpConfiguration = {},
): number {
  const seeds = line.loss ? SEEDS : [1];
  const values = seeds.map(
    (seed) => race([{ tcp: parts() }], line, duration, 0, seed, receivers).outcomes[0]![of],
  );
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

/** NewReno with another way to hear of acknowledgements, or to send. */
function altered(change: (inner: Congestion) => Partial<Congestion>): Congestion {
  const inner = newReno();
  return {
    name: "altered",
    start: (c) => inner.start(c),
    acked: (c, bytes) => inner.acked(c, bytes),
    lost: (c) => inner.lost(c),
    recovered: (c) => inner.recovered(c),
    timeout: (c) => inner.timeout(c),
    ...change(inner),
  };
}

/** As RFC 5681 alone has it: an acknowledgement opens the window by a segment, however much it acknowledges. */
const countingAcks = () =>
  altered((inner) => ({ acked: (c, bytes) => inner.acked(c, Math.min(bytes, c.mss)) }));

/** Nothing is sent for the first two duplicates. */
const unlimited = () =>
  altered(() => ({ allowance: (c) => (c.dupAcks > 0 && c.dupAcks < 3 && !c.recovering ? 0 : 0x3fffffff) }));

/** Bursts of `size` bytes from one end to the other, `pause` ms apart: how long the last one takes, ms. */
function bursts(parts: TcpConfiguration, size: number, count: number, pause: number): number {
  const buffers = { sendBuffer: 4 << 20, receiveBuffer: 4 << 20, maximumReceiveBuffer: 4 << 20 };
  const net = pair(null, { ...LONG, tcp: { ...buffers, ...parts }, stack: { packetMemory: 16 << 20 } });
  const buffer = new Uint8Array(size);
  let received = 0;
  net.b.tcp.listen({
    port: 80,
    onConnection: (socket) =>
      socket.handle({
        onReadable(this: TcpSocket) {
          for (let n = this.read(buffer); n > 0; n = this.read(buffer)) received += n;
        },
      }),
  });
  const socket = net.a.tcp.connect({ address: net.b.address, port: 80 });
  let took = 0;
  net.run(1000);
  for (let i = 1; i <= count; i++) {
    const start = net.world.time;
    socket.write(buffer);
    net.world.runUntil(() => received === i * size, 60_000);
    took = net.world.time - start;
    net.run(pause);
  }
  return Math.round(took);
}

/** Segments that are sent again in 15 s where the path becomes longer than the retransmission timer waits. */
function longerPath(parts: TcpConfiguration): number {
  const buffers = { sendBuffer: 4 << 20, receiveBuffer: 4 << 20, maximumReceiveBuffer: 4 << 20 };
  const net = pair(null, { ...LONG, tcp: { ...buffers, ...parts }, stack: { packetMemory: 16 << 20 } });
  const buffer = new Uint8Array(65536);
  net.b.tcp.listen({
    port: 80,
    onConnection: (socket) =>
      socket.handle({
        onReadable(this: TcpSocket) {
          while (this.read(buffer) > 0);
        },
      }),
  });
  const pump = () => {
    while (socket.write(buffer, 0, 16384) > 0);
  };
  const socket = net.a.tcp.connect({ address: net.b.address, port: 80, onConnect: pump, onWritable: pump });
  // In slow start: nothing has been lost yet.
  net.run(500);
  net.links[0].out.delay = LONG.delay + 600;
  net.run(14_500);
  return net.a.tcp.counters.retransmitted;
}

/** Milliseconds until the answer to a request over a path of 100 ms, where the client knows the server. */
function answer(early: boolean): number {
  const part = fastOpen();
  let first = true;
  const net = pair(null, { delay: 50, components: () => [first ? ((first = false), part) : fastOpen()] });
  const bytes = new Uint8Array(100);
  net.b.tcp.listen({
    port: 80,
    fastOpen: true,
    onConnection: (socket) =>
      socket.handle({ onReadable: () => void socket.write(bytes, 0, socket.read(bytes)) }),
  });
  let took = 0;
  for (let i = 0; i < 3; i++) {
    const start = net.world.time;
    let done = false;
    const options = {
      address: net.b.address,
      port: 80,
      onReadable() {
        took = net.world.time - start;
        done = true;
      },
    };
    if (early) part.connect(options, bytes);
    else {
      const socket = net.a.tcp.connect({ ...options, onConnect: () => void socket.write(bytes) });
    }
    net.world.runUntil(() => done, 10_000);
  }
  return Math.round(took);
}

/** Of 50 clients' connections, how many are made within 3 s while 200 forged SYNs a second come. */
function underFlood(parts: TcpConfiguration): number {
  const net = pair(null, { delay: 10, tcp: parts });
  net.b.tcp.listen({ port: 80, backlog: 16, onConnection: (socket) => socket.close() });
  let made = 0;
  for (let i = 0; i < 50; i++) {
    const start = net.world.time;
    net.a.tcp.connect({
      address: net.b.address,
      port: 80,
      onConnect: () => void (made += net.world.time - start <= 3000 ? 1 : 0),
      onEnd() {
        this.close();
      },
    });
    for (let j = 0; j < 20; j++) {
      const n = i * 20 + j;
      const forged = frame(
        eth({ dst: macText(net.links[1].mac!), src: "02:00:00:00:00:99" }),
        ip4({ src: `10.0.0.${100 + (n % 100)}`, dst: net.b.address }),
        tcp({ sport: 1024 + n, dport: 80, flags: "S", seq: n * 7919, options: tcpOptions({ mss: 1460 }) }),
      );
      net.b.nif.receive(forged, 0, forged.length, CHECKSUM_NONE);
      net.run(5);
    }
  }
  net.run(5000);
  return made;
}

export function effects(): Effect[] {
  const small = { ...LONG, queueFrames: 100 };
  const lossy = { bandwidth: 2e7, delay: 20, queueFrames: 200, loss: 0.05 };
  const marking = { bandwidth: 1e7, delay: 10, queueFrames: 200 };
  const grown = { receiveBuffer: 65536, maximumReceiveBuffer: 8 << 20 };
  const fixed = { receiveBuffer: 65536, maximumReceiveBuffer: 65536 };
  const one = { congestion: newReno() };
  const marked = (part: () => TcpConfiguration["ecn"]) =>
    race([{ tcp: { ecn: part() } }], { ...marking, markFrames: 20 }, 20000, 2000, 1, { ecn: part() })
      .outcomes[0]!;
  const [dropped, classic, accurate] = [
    race([{ tcp: {} }], marking, 20000, 2000).outcomes[0]!,
    marked(ecn),
    marked(accecn),
  ];
  return [
    {
      name: "SACK (RFC 2018)",
      about:
        "goodput, Mbit/s, in 20 s: 50 Mbit/s, 100 ms, a queue of 100 frames that overflows in slow start",
      without: run(() => ({ sack: false }), small, 20000, "goodput") / 1e6,
      with: run(() => ({}), small, 20000, "goodput") / 1e6,
    },
    {
      name: "Limited transmit (RFC 3042)",
      about: "timeouts in 30 s: 20 Mbit/s, 40 ms, 5 % loss each way, no SACK",
      without: run(() => ({ sack: false, congestion: unlimited() }), lossy, 30000, "timeouts"),
      with: run(() => ({ sack: false }), lossy, 30000, "timeouts"),
    },
    {
      name: "Byte counting (ABC, RFC 3465)",
      about: "ms for the first 2 MB: 50 Mbit/s, 100 ms, every second segment acknowledged",
      without: bursts({ congestion: countingAcks() }, 2 << 20, 1, 0),
      with: bursts({}, 2 << 20, 1, 0),
    },
    {
      name: "Receive window that grows",
      about: "goodput, Mbit/s, in 20 s: 50 Mbit/s, 100 ms, both begin with 64 KiB",
      without: run(() => one, LONG, 20000, "goodput", fixed) / 1e6,
      with: run(() => one, LONG, 20000, "goodput", grown) / 1e6,
    },
    {
      name: "Send buffer that grows",
      about: "the same, of the sender",
      without:
        run(() => ({ ...one, sendBuffer: 65536, maximumSendBuffer: 65536 }), LONG, 20000, "goodput") / 1e6,
      with: run(() => ({ ...one, sendBuffer: 65536 }), LONG, 20000, "goodput") / 1e6,
    },
    {
      name: "Windows kept over pauses (RFC 7661)",
      about: "ms for the fourth burst of 1 MB, 3 s apart: 50 Mbit/s, 100 ms",
      without: bursts({}, 1 << 20, 4, 3000),
      with: bursts({ congestion: revalidation(newReno()) }, 1 << 20, 4, 3000),
    },
    {
      name: "F-RTO (RFC 5682)",
      about: "segments sent again in 15 s: 50 Mbit/s, 100 ms, which become 700 ms during slow start",
      without: longerPath({}),
      with: longerPath({ recovery: frto(sackRecovery()) }),
    },
    {
      name: "Fast Open (RFC 7413)",
      about: "ms until the answer to a request: 100 ms there and back",
      without: answer(false),
      with: answer(true),
    },
    {
      name: "SYN cookies (RFC 4987)",
      about: "connections of 50 that are made within 3 s, in a flood of 200 SYNs a second",
      without: underFlood({}),
      with: underFlood({ cookies: synCookies() }),
    },
    {
      name: "ECN (RFC 3168)",
      about: "round trip, ms: 10 Mbit/s, 20 ms, queue of 200 frames that marks from 20 on",
      without: dropped.rtt,
      with: classic.rtt,
    },
    {
      name: "ECN: retransmissions",
      about: "the same in 20 s",
      without: dropped.retransmitted,
      with: classic.retransmitted,
    },
    {
      name: "Accurate ECN (RFC 9768)",
      about: "round trip, ms, the same",
      without: dropped.rtt,
      with: accurate.rtt,
    },
    {
      name: "Accurate ECN: feedback",
      about: "marks that the sender hears of in 20 s, of the same queue: with ECN alone, and with it",
      without: classic.marks,
      with: accurate.marks,
    },
  ];
}

function figure(value: number): string {
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toPrecision(3);
}

function report(list: Effect[]): void {
  const rows = list.map(
    (each) => `| ${each.name} | ${each.about} | ${figure(each.without)} | ${figure(each.with)} |`,
  );
  // What is none with it, or without, is better beyond measure.
  const shown = list.filter((each) => each.with > 0 && each.without > 0);
  const docs = (name: string, text: string) => writeFileSync(join(ROOT, "docs", name), text);
  docs(
    "effects.svg",
    bars(
      "With it so many times better than without",
      shown.map(({ name }) => name),
      [shown.map((each) => Math.max(each.without / each.with, each.with / each.without))],
    ),
  );
  docs(
    "effects.md",
    `# What else TCP has, with and without it

NewReno over one line in virtual time; docs/congestion.md has the parts of congestion control and loss recovery side by side.
\`node examples/launch.js test/sim/effects.ts\` writes this file again, with the same numbers anywhere.

| | measured | without | with |
|---|---|---:|---:|
${rows.join("\n")}

SACK, limited transmit, byte counting and growing buffers are always there; they are taken away here by settings (\`sack: false\`, a
maximum that is the start) or by a congestion control that does without. With one flow accurate ECN keeps the queue as ECN does, because
NewReno slows down once a round trip whatever the number of marks: what it brings is the number.

![With and without](effects.svg)
`,
  );
}

if (process.argv[1]?.endsWith("effects.ts")) report(effects());
