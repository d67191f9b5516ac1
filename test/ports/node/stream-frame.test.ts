import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import test from "ava";
import fc from "fast-check";
import type { LinkReceiver } from "../../../hypercall/link.js";
import { connectStreamFrame, listenStreamFrame, StreamFrameLink } from "../../../ports/node/index.js";
import { STREAM_FRAME_MAXIMUM, StreamFrameParser } from "../../../ports/node/stream-parser.js";

/** Keeps what a link says. */
class Log implements LinkReceiver {
  frames: Buffer[] = [];
  carriers: boolean[] = [];
  writables = 0;
  notify: () => void = () => {};
  receive(frame: Uint8Array, start: number, end: number): void {
    this.frames.push(Buffer.from(frame.subarray(start, end)));
    this.notify();
  }
  carrier(up: boolean): void {
    this.carriers.push(up);
    this.notify();
  }
  writable(): void {
    this.writables++;
    this.notify();
  }
  lost(): void {}
  async until(condition: (log: Log) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => (this.notify = resolve));
  }
}

function encode(frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    frames.flatMap((frame) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(frame.length);
      return [length, frame];
    }),
  );
}

/** Cuts `bytes` at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

test("any chunking gives the same frames", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }),
      fc.array(fc.nat(), { maxLength: 40 }),
      (frames, places) => {
        const got: Uint8Array[] = [];
        const parser = new StreamFrameParser(
          (data, start, end) => got.push(Uint8Array.from(data.subarray(start, end))),
          40,
        );
        for (const chunk of cut(encode(frames), places)) t.true(parser.input(chunk));
        t.deepEqual(
          got,
          frames.filter((frame) => frame.length > 0),
        );
        t.is(parser.empty, frames.length - got.length);
      },
    ),
    { numRuns: 1000 },
  );
});

test("a length beyond the limit breaks the stream, wherever it is cut, and nothing after it is delivered", (t) => {
  const lengths = fc.oneof(
    fc.integer({ min: 41, max: 0xffffffff }),
    fc.constantFrom(41, 0x7fffffff, 0x80000000, 0xffffffff),
  );
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      lengths,
      fc.array(fc.nat(), { maxLength: 9 }),
      (frame, length, places) => {
        const hostile = Buffer.alloc(4);
        hostile.writeUInt32BE(length);
        const got: Uint8Array[] = [];
        const parser = new StreamFrameParser(
          (data, start, end) => got.push(Uint8Array.from(data.subarray(start, end))),
          40,
        );
        const bytes = Buffer.concat([encode([frame]), hostile, encode([frame])]);
        const answers = cut(bytes, places).map((chunk) => parser.input(chunk));
        t.deepEqual(got, [frame]);
        t.false(answers.at(-1));
        t.false(parser.input(encode([frame])));
        t.is(got.length, 1);
      },
    ),
    { numRuns: 500 },
  );
});

test("any bytes at all: frames stay within the limit and what came in", (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
      let bytes = 0;
      const parser = new StreamFrameParser((data, start, end) => {
        t.true(start >= 0 && end > start && end <= data.length && end - start <= 300);
        bytes += end - start;
      }, 300);
      for (const chunk of chunks) parser.input(chunk);
      t.true(bytes <= chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    }),
  );
});

test("two links over a real connection: frames of all sizes in order, both ways", async (t) => {
  const near = await listenStreamFrame({ port: 0 });
  const one = new Log();
  near.open(one);
  t.deepEqual(one.carriers, [false]);
  const far = await connectStreamFrame({ port: (near.address() as AddressInfo).port, host: "127.0.0.1" });
  const two = new Log();
  far.open(two);
  t.teardown(() => [near.close(), far.close()]);
  await one.until((log) => log.carriers.includes(true));
  t.notDeepEqual(near.mac, far.mac);
  t.is(near.mac![0] & 3, 2);

  const frames = [1, 14, 60, 1514, 9014, 65549, STREAM_FRAME_MAXIMUM].map((size, i) =>
    Buffer.alloc(size, i + 1),
  );
  for (const [from, to] of [
    [near, two],
    [far, one],
  ] as const) {
    for (const frame of frames) {
      const padded = Buffer.concat([Buffer.alloc(5), frame, Buffer.alloc(3)]);
      while (from.transmit(padded, 5, 5 + frame.length) < 0) await turn();
      padded.fill(0xee); // the link has copied it
    }
    await to.until((log) => log.frames.length >= frames.length);
    t.deepEqual(to.frames, frames);
  }
  t.is(near.transmit(new Uint8Array(STREAM_FRAME_MAXIMUM + 1), 0, STREAM_FRAME_MAXIMUM + 1), 0);
  t.is(near.transmitErrors, 1);
});

test("a far end that does not read: -1, and writable() once it reads again; nothing is lost", async (t) => {
  const near = await listenStreamFrame({ port: 0 });
  const log = new Log();
  near.open(log);
  const peer: Socket = connect((near.address() as AddressInfo).port, "127.0.0.1");
  t.teardown(() => [near.close(), peer.destroy()]);
  await log.until((l) => l.carriers.includes(true));
  const frame = new Uint8Array(60000);
  let sent = 0;
  while (near.transmit(frame, 0, frame.length) === 0) {
    sent++;
    await turn();
    if (sent > 10000) return t.fail("no back-pressure");
  }
  t.is(near.transmit(frame, 0, frame.length), -1);
  t.is(log.writables, 0);
  let received = 0;
  peer.on("data", (chunk) => (received += chunk.length));
  await log.until((l) => l.writables > 0);
  t.is(near.transmit(frame, 0, frame.length), 0);
  sent++;
  while (received < sent * 60004) await once(peer, "data");
  t.is(received, sent * 60004);
  t.is(log.writables, 1);
});

test("a hostile length closes the connection; the next one works", async (t) => {
  const near = await listenStreamFrame({ port: 0 });
  const log = new Log();
  near.open(log);
  const { port } = near.address() as AddressInfo;
  const hostile = connect(port, "127.0.0.1");
  hostile.on("error", () => {});
  hostile.write(Buffer.concat([encode([Buffer.from("frame")]), Buffer.from([255, 255, 255, 255])]));
  await once(hostile, "close");
  await log.until((l) => l.carriers.length === 3);
  t.is(near.badLengths, 1);
  t.false(near.connected);
  t.is(near.transmit(new Uint8Array(60), 0, 60), 0);
  t.is(near.transmitErrors, 1);
  const good = connect(port, "127.0.0.1");
  t.teardown(() => [near.close(), good.destroy()]);
  good.write(encode([Buffer.from("again")]));
  await log.until((l) => l.frames.length === 2);
  t.deepEqual(log.frames.map(String), ["frame", "again"]);
  t.deepEqual(log.carriers, [false, true, false, true]);
});

test("a stream that fails while frames are refused says writable, for nothing waits any more", async (t) => {
  const stuck = new Duplex({ read() {}, write() {}, highWaterMark: 10 });
  const link = new StreamFrameLink();
  const log = new Log();
  link.attach(stuck);
  link.open(log);
  t.is(link.transmit(new Uint8Array(60), 0, 60), 0);
  await turn();
  t.is(link.transmit(new Uint8Array(60), 0, 60), -1);
  stuck.destroy(new Error("cable cut"));
  await log.until((l) => l.writables > 0);
  t.deepEqual(log.carriers, [false]);
  link.close();
  link.close();
});

test("errors of the sockets reach the caller", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await t.throwsAsync(listenStreamFrame({ port }), { code: "EADDRINUSE" });
  server.close();
  await once(server, "close");
  await t.throwsAsync(connectStreamFrame({ port, host: "127.0.0.1" }), { code: "ECONNREFUSED" });
});

test("a link is opened once, and not after it was closed", (t) => {
  const link = new StreamFrameLink({ mac: "02-00-00-00-00-07" });
  t.deepEqual(link.mac, Uint8Array.of(2, 0, 0, 0, 0, 7));
  link.open(new Log());
  t.throws(() => link.open(new Log()), { code: "EALREADY" });
  link.close();
  t.throws(() => link.open(new Log()), { code: "EBADF" });
  for (const mac of ["03:00:00:00:00:07", "00:00:00:00:00:00", "nonsense", new Uint8Array(5)]) {
    t.throws(() => new StreamFrameLink({ mac }), { code: "EINVAL" });
  }
});
