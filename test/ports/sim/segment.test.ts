/** Offloads in software: what is cut has to be what a stack without offloads would have sent. */
import test from "ava";
import fc from "fast-check";
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  SEGMENT_NONE,
  SEGMENT_TCP4,
  SEGMENT_TCP6,
} from "../../../hypercall/index.js";
import type { LinkOffloads, TransmitOffload } from "../../../hypercall/index.js";
import { createSwitch, createWorld, wire } from "../../../ports/sim/index.js";
import type { WireOptions } from "../../../ports/sim/index.js";
import { concat } from "../../support/bytes.js";
import { eth, frame, ip4, ip6, tcp, tcpOptions, transportChecksum, udp } from "../../support/packets.js";
import type { Layer } from "../../support/packets.js";
import { parseFrame } from "../../support/parse.js";
import { Recorder } from "./recorder.js";

const ALL: LinkOffloads = { transmitChecksum: true, segmentation: 65535, receiveCoalescing: true };

/** A large segment as a stack with offloads hands it over: the checksum field holds the pseudo-header's sum alone. */
function large(six: boolean, length: number, size: number, vlans: number[], flags: string) {
  const ip: Layer = six ? ip6() : ip4({ id: 0xfffe, df: true });
  const options = tcpOptions({ timestamps: [1, 2] });
  const seed = ~transportChecksum(ip, 6, new Uint8Array(32 + length)) & 0xffff;
  const bytes = frame(eth({ vlans }), ip, tcp({ seq: 0xffffff00, flags, options, checksum: seed }), length);
  const checksumStart = 14 + vlans.length * 4 + (six ? 40 : 20);
  const offload: TransmitOffload = {
    checksumStart,
    checksumOffset: 16,
    segment: size === 0 ? SEGMENT_NONE : six ? SEGMENT_TCP6 : SEGMENT_TCP4,
    segmentSize: size,
    headerLength: checksumStart + 32,
  };
  return { bytes, offload };
}

/** Sends one frame over a wire between ends with such offloads. */
function carry(bytes: Uint8Array, offload: TransmitOffload, options: WireOptions) {
  const world = createWorld();
  const [a, b] = wire(world, options);
  const right = new Recorder(world);
  a.open(new Recorder(world));
  b.open(right);
  a.transmit(bytes, 0, bytes.length, offload);
  world.run(1000);
  return right.frames;
}

test("a large segment is cut for an end that cannot take it", (t) => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.integer({ min: 1, max: 20000 }),
      fc.integer({ min: 100, max: 1448 }),
      fc.constantFrom<number[]>([], [5], [5, 6]),
      fc.constantFrom("A", "PA", "FPA", "AC"),
      (six, length, size, vlans, flags) => {
        const { bytes, offload } = large(six, length, size, vlans, flags);
        const frames = carry(bytes, offload, { a: { offloads: ALL } }).map(({ bytes }) => parseFrame(bytes));
        t.is(frames.length, Math.ceil(length / size));
        t.deepEqual(
          frames.flatMap(({ faults }) => faults),
          [],
        );
        t.deepEqual(concat(...frames.map(({ payload }) => payload)), parseFrame(bytes).payload);
        frames.forEach((parsed, i) => {
          const last = i === frames.length - 1;
          t.is(parsed.tcp!.seq, (0xffffff00 + i * size) % 0x100000000);
          t.is(parsed.tcp!.flags.includes("P"), last && flags.includes("P"));
          t.is(parsed.tcp!.flags.includes("F"), last && flags.includes("F"));
          t.is(parsed.tcp!.flags.includes("C"), i === 0 && flags.includes("C"));
          if (!six) t.is(parsed.ip4!.id, (0xfffe + i) & 0xffff);
        });
      },
    ),
    { numRuns: 60 },
  );
});

test("an end that coalesces gets it whole, unless the way looks at single frames", (t) => {
  const { bytes, offload } = large(false, 5000, 1448, [], "PA");
  const whole = carry(bytes, offload, { offloads: ALL });
  t.deepEqual(
    whole.map((one) => [one.bytes.length, one.checksum]),
    [[bytes.length, CHECKSUM_PARTIAL]],
  );
  t.is(carry(bytes, offload, { offloads: ALL, bandwidth: 1e9 }).length, 4);
  t.is(carry(bytes, offload, { offloads: ALL, duplicate: 0.0001 }).length, 4);
});

test("an unfinished checksum is finished for who cannot take it so, or where bits may flip", (t) => {
  for (const six of [false, true]) {
    const { bytes, offload } = large(six, 700, 0, [], "PA");
    for (const options of [{ a: { offloads: ALL } }, { offloads: ALL, corrupt: 1e-9 }]) {
      const [{ bytes: arrived, checksum }] = carry(bytes, offload, options);
      t.deepEqual([parseFrame(arrived).faults, checksum], [[], CHECKSUM_NONE]);
    }
  }
});

test("a UDP checksum that comes out as zero is sent as ffff", (t) => {
  const bytes = frame(eth(), ip4(), udp({ checksum: 0 }), new Uint8Array(2));
  const [sum] = [~transportChecksum(ip4(), 17, bytes.subarray(34)) & 0xffff];
  bytes[42] = (0xffff - sum) >> 8;
  bytes[43] = 0xffff - sum;
  const pseudo = ~transportChecksum(ip4(), 17, new Uint8Array(0)) & 0xffff;
  const seed = pseudo + 10;
  bytes[40] = seed >> 8;
  bytes[41] = seed;
  const offload = {
    checksumStart: 34,
    checksumOffset: 6,
    segment: SEGMENT_NONE,
    segmentSize: 0,
    headerLength: 42,
  };
  const [{ bytes: arrived }] = carry(bytes, offload, { a: { offloads: ALL } });
  t.deepEqual([parseFrame(arrived).udp!.checksum, parseFrame(arrived).faults], [0xffff, []]);
});

test("a switch passes large segments on, and cuts them at the port that needs it", (t) => {
  const world = createWorld();
  const middle = createSwitch(world);
  const { bytes, offload } = large(false, 5000, 1448, [], "A");
  const sender = middle.link({ offloads: ALL });
  const counts = [{ offloads: ALL }, {}].map((options) => {
    const recorder = new Recorder(world);
    middle.link(options).open(recorder);
    return recorder;
  });
  sender.open(new Recorder(world));
  sender.transmit(bytes, 0, bytes.length, offload);
  world.run(1);
  t.deepEqual(
    counts.map(({ frames }) => frames.length),
    [1, 4],
  );
});
