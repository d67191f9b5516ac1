/** Segments merged in software, as they are read and as they are written: what passes is what came, once it is cut again. */
import test from "ava";
import fc from "fast-check";
import { CHECKSUM_NONE, CHECKSUM_PARTIAL, SEGMENT_TCP4, SEGMENT_TCP6 } from "../../../hypercall/index.js";
import { TunLink } from "../../../ports/node/tun-link.js";
import type { TunDevice } from "../../../ports/node/tun-link.js";
import { countSegments, emitSegment } from "../../../ports/sim/segment.js";
import { concat, pattern } from "../../support/bytes.js";
import { eth, frame, ip4, ip6, tcp, tcpOptions, udp } from "../../support/packets.js";

const EAGAIN = 11;
const VIRTIO = 10;

/** A device that has these frames to be read. */
function deviceOf(frames: Uint8Array[]): TunDevice {
  const read = (...places: Uint8Array[]): number => {
    const next = frames.shift();
    if (!next) return -EAGAIN;
    let at = 0;
    for (const place of places) {
      const part = next.subarray(at, at + place.length);
      place.set(part);
      at += part.length;
    }
    if (at < next.length) throw new Error("EFAULT: no room for the frame");
    return next.length;
  };
  return {
    read,
    scatter: (head, length, rest, at) => read(head.subarray(0, length), rest.subarray(at)),
    write: () => 0,
    isUp: () => true,
    start: () => {},
    watch: () => {},
    close: () => {},
    ref: () => {},
    unref: () => {},
  };
}

interface Delivered {
  bytes: Uint8Array;
  checksum: number;
  size: number;
}

/** What a link delivers of `frames`, which it reads at once; the receiver leaves garbage behind. */
function deliver(frames: Uint8Array[], offloads = false, mode: "tap" | "tun" = "tap"): Delivered[] {
  const delivered: Delivered[] = [];
  const queue = [...frames];
  const link = new TunLink(deviceOf(queue), {
    ...{ name: "fake", mode, offloads, coalesce: true, mtu: 1500 },
    ...{ mac: mode === "tap" ? Uint8Array.of(2, 0, 0, 0, 0, 1) : undefined, allocate: undefined },
  });
  link.open({
    receive(data, start, end, checksum = CHECKSUM_NONE, size = 0) {
      delivered.push({ bytes: data.slice(start, end), checksum, size });
      data.fill(0xdb, start, end);
    },
    carrier() {},
    writable() {},
    lost() {},
  });
  while (queue.length > 0) link.drain();
  link.close();
  return delivered;
}

/** The frames that a merged one was made of. */
function cut({ bytes, size }: Delivered, link: number): Uint8Array[] {
  if (size === 0) return [bytes];
  const six = bytes[link]! >> 4 === 6;
  const transport = link + (six ? 40 : 20);
  const offload = {
    checksumStart: transport,
    checksumOffset: 16,
    segment: six ? SEGMENT_TCP6 : SEGMENT_TCP4,
    segmentSize: size,
    headerLength: transport + ((bytes[transport + 12]! >> 4) << 2),
  };
  return Array.from({ length: countSegments(bytes.length, offload) }, (_, i) => {
    const target = new Uint8Array(bytes.length);
    return target.subarray(0, emitSegment(bytes, 0, bytes.length, offload, i, target, 0));
  });
}

/** One frame in relation to the one before it in its flow. */
const steps = fc.record({
  flow: fc.nat(1),
  kind: fc.oneof(
    { weight: 12, arbitrary: fc.constant("next") },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "gap",
        "ack",
        "push",
        "fin",
        "window",
        "stamp",
        "tos",
        "ttl",
        "id",
        "sum",
        "ipsum",
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom("short", "empty", "urgent", "fragment", "udp", "pad", "tiny", "reserved"),
    },
  ),
});

function frames(
  six: boolean,
  size: number,
  list: { flow: number; kind: string }[],
  tap: boolean,
): Uint8Array[] {
  const seq = [0xfffff000, 1];
  const id = [0xfffe, 5];
  let stamp = 1;
  let window = 500;
  return list.map(({ flow, kind }) => {
    if (kind === "stamp") stamp++;
    if (kind === "window") window++;
    if (kind === "gap") seq[flow]! += 7;
    if (kind === "id") id[flow]! += 3;
    const length = kind === "empty" ? 0 : kind === "short" ? size >> 1 || 1 : size;
    const flags = { push: "PA", fin: "FA", ack: "A", urgent: "UA" }[kind] ?? "A";
    const layers = [
      six
        ? ip6({ hops: kind === "ttl" ? 9 : 64, trafficClass: kind === "tos" ? 3 : 0 })
        : ip4({
            ttl: kind === "ttl" ? 9 : 64,
            tos: kind === "tos" ? 3 : 0,
            id: id[flow]! & 0xffff,
            mf: kind === "fragment",
            checksum: kind === "ipsum" ? 0x1111 : undefined,
          }),
      kind === "udp"
        ? udp()
        : tcp({
            ...{ sport: 1000 + flow, seq: seq[flow]! >>> 0, window, flags, ack: kind === "ack" ? 9 : 8 },
            checksum: kind === "sum" ? 0x2222 : undefined,
            options: tcpOptions({ timestamps: [stamp, 2] }),
          }),
    ];
    const bytes = frame(
      ...(tap ? [eth({ pad: kind === "pad" ? 1600 : 0 })] : []),
      ...layers,
      pattern(length + 3).subarray(3),
    );
    if (kind === "reserved") bytes[(tap ? 14 : 0) + (six ? 40 : 20) + 12]! |= 1;
    if (kind !== "udp") seq[flow]! += length;
    id[flow]!++;
    return kind === "tiny" ? bytes.slice(0, 30) : bytes;
  });
}

test("any frames: what is delivered, cut again, is what came, in its order", (t) => {
  let merged = 0;
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.constantFrom(1, 2, 100, 999, 1448),
      fc.array(steps, { minLength: 1, maxLength: 150 }),
      fc.constantFrom("tap", "tun", "virtio"),
      (six, size, list, mode) => {
        const came = frames(six, size, list, mode !== "tun");
        const header = new Uint8Array(mode === "virtio" ? VIRTIO : 0);
        const given = came.map((bytes) => concat(header, bytes));
        const delivered = deliver(given, mode === "virtio", mode === "tun" ? "tun" : "tap");
        for (const each of delivered) {
          if (each.size === 0) continue;
          merged++;
          t.is(each.checksum, CHECKSUM_PARTIAL);
          t.true(each.bytes.length - (mode === "tun" ? 0 : 14) <= 65535);
        }
        const again = delivered.flatMap((each) => cut(each, mode === "tun" ? 0 : 14));
        t.is(Buffer.compare(Buffer.concat(again), Buffer.concat(came)), 0);
        t.is(again.length, came.length);
      },
    ),
    { numRuns: 200 },
  );
  t.true(merged > 100);
});

const flow = (count: number, size = 1448) =>
  frames(
    false,
    size,
    Array.from({ length: count }, () => ({ flow: 0, kind: "next" })),
    true,
  );

test("a burst becomes packets as large as IP has them; what is pushed ends one", (t) => {
  const delivered = deliver(flow(100));
  // A batch is 64 frames.
  t.deepEqual(
    delivered.map((each) => Math.round((each.bytes.length - 66) / 1448)),
    [45, 19, 36],
  );
  const pushed = frames(
    false,
    1000,
    ["next", "push", "next", "short", "next", "next"].map((kind) => ({ flow: 0, kind })),
    true,
  );
  t.deepEqual(
    deliver(pushed).map((each) => each.bytes.length - 66),
    [2000, 1500, 2000],
  );
});

test("a damaged segment stays alone, wherever it is, and is delivered as it is", (t) => {
  for (let bad = 0; bad < 4; bad++) {
    const came = flow(4);
    came[bad]![700]! ^= 1;
    const delivered = deliver(came);
    t.is(Buffer.compare(Buffer.concat(delivered.flatMap((each) => cut(each, 14))), Buffer.concat(came)), 0);
    const alone = delivered.find((each) => Buffer.compare(each.bytes, came[bad]!) === 0);
    t.is(alone?.checksum, CHECKSUM_NONE);
    t.is(alone?.size, 0);
  }
});

test("with virtio headers: what has a checksum to come is believed, what the kernel has merged passes as it is", (t) => {
  const [first, second, third] = flow(3) as [Uint8Array, Uint8Array, Uint8Array];
  const NEEDS_CSUM = 1;
  const TCPV4 = 1;
  const header = (flags: number, gso: number, size: number) =>
    Uint8Array.of(flags, gso, 0, 0, size & 255, size >> 8, 0, 0, 0, 0);
  second[50] ^= 1;
  const delivered = deliver(
    [
      concat(header(0, 0, 0), first),
      concat(header(NEEDS_CSUM, 0, 0), second),
      concat(header(NEEDS_CSUM, TCPV4, 700), third),
    ],
    true,
  );
  t.deepEqual(
    delivered.map((each) => [each.bytes.length, each.checksum, each.size]),
    [
      [66 + 2896, CHECKSUM_PARTIAL, 1448],
      [66 + 1448, CHECKSUM_PARTIAL, 700],
    ],
  );
});

/** What a link that gathers writes of `frames`, in batches; before every `full`th write the device says once that it has no room. */
async function written(
  frames: Uint8Array[],
  mode: "tap" | "tun",
  batch: number,
  full: number,
): Promise<{ writes: Delivered[]; gathered: number }> {
  const writes: Delivered[] = [];
  const device = deviceOf([]);
  let wrote = 0;
  let ready = (_writable: boolean): void => {};
  let asked = false;
  device.start = (tell) => (ready = tell);
  device.watch = (writable) => (asked = writable);
  device.write = (bytes, start, length) => {
    if (full > 0 && ++wrote % full === 0) return -EAGAIN;
    const [flags, gso, , , low, high] = bytes.subarray(start, start + VIRTIO);
    writes.push({
      bytes: bytes.slice(start + VIRTIO, start + length),
      checksum: flags ? CHECKSUM_PARTIAL : CHECKSUM_NONE,
      size: gso ? low! | (high! << 8) : 0,
    });
    return length;
  };
  const link = new TunLink(device, {
    ...{ name: "fake", mode, offloads: true, coalesce: false, gather: true, mtu: 1500 },
    ...{ mac: mode === "tap" ? Uint8Array.of(2, 0, 0, 0, 0, 1) : undefined, allocate: undefined },
  });
  let blocked = false;
  link.open({ receive() {}, carrier() {}, lost() {}, writable: () => (blocked = false) });
  const room = async (): Promise<void> => {
    blocked = true;
    while (blocked) {
      if (asked) ready(true);
      await new Promise(setImmediate);
    }
  };
  for (const [i, each] of frames.entries()) {
    const memory = concat(new Uint8Array(16), each);
    while (link.transmit(memory, 16, memory.length, null) < 0) await room();
    memory.fill(0xdb);
    if (i % batch === batch - 1) await Promise.resolve();
  }
  await new Promise(setImmediate);
  if (asked) await room();
  const { gathered } = link;
  link.close();
  return { writes, gathered };
}

test("any frames sent: what is written, cut again, is what was sent, in its order, though there is no room at times", async (t) => {
  let merged = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.constantFrom(1, 2, 100, 999, 1448),
      fc.array(steps, { minLength: 1, maxLength: 150 }),
      fc.constantFrom("tap", "tun"),
      fc.constantFrom(1, 7, 64),
      fc.constantFrom(0, 0, 2, 5),
      async (six, size, list, mode, batch, full) => {
        const sent = frames(six, size, list, mode === "tap");
        const { writes, gathered } = await written(sent, mode, batch, full);
        for (const each of writes) {
          t.is(each.checksum, each.size > 0 ? CHECKSUM_PARTIAL : CHECKSUM_NONE);
          t.true(each.bytes.length - (mode === "tun" ? 0 : 14) <= 65535);
        }
        merged += gathered;
        t.is(writes.length, sent.length - gathered);
        const again = writes.flatMap((each) => cut(each, mode === "tun" ? 0 : 14));
        t.is(Buffer.compare(Buffer.concat(again), Buffer.concat(sent)), 0);
      },
    ),
    { numRuns: 100 },
  );
  t.true(merged > 100);
});

test("what was gathered is written at the end of the work at hand, or when the link is closed", async (t) => {
  const device = deviceOf([]);
  const lengths: number[] = [];
  device.write = (_bytes, _start, length) => {
    lengths.push(length);
    return length;
  };
  const options = { name: "fake", mode: "tap", offloads: true, coalesce: false, gather: true } as const;
  const link = new TunLink(device, { ...options, mtu: 1500, mac: new Uint8Array(6), allocate: undefined });
  const [first, second, third] = flow(3) as [Uint8Array, Uint8Array, Uint8Array];
  const send = (frame: Uint8Array) => link.transmit(frame, 0, frame.length, null);
  send(first);
  send(second);
  t.deepEqual(lengths, []);
  await Promise.resolve();
  t.deepEqual(lengths.splice(0), [VIRTIO + 66 + 2 * 1448]);
  send(third);
  link.close();
  await Promise.resolve();
  t.deepEqual(lengths, [VIRTIO + 66 + 1448]);
});
