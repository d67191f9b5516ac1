import { execFileSync } from "node:child_process";
import { mkdtempSync, openSync, closeSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import type { Link, LinkReceiver } from "../../../hypercall/link.js";
import { capture, PcapngWriter } from "../../../ports/node/index.js";
import { CAPTURE_IN, addInterface, capturePacket, createPcapng } from "../../../stack/link/pcapng.js";
import { need } from "../../support/need.js";

/** A link whose far end is the test. */
class TestLink implements Link {
  readonly medium: "ethernet" | "ip";
  readonly mtu = 1500;
  readonly mac?: Uint8Array;
  receiver!: LinkReceiver;
  code = 0;
  opened = 0;
  constructor(medium: "ethernet" | "ip" = "ethernet") {
    this.medium = medium;
    if (medium === "ethernet") this.mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
  }
  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.opened++;
  }
  transmit(): number {
    return this.code;
  }
  close(): void {
    this.opened--;
  }
}

const silent: LinkReceiver = { receive() {}, carrier() {}, writable() {}, lost() {} };

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), "anystack-pcapng-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

function tshark(file: string, ...fields: string[]): string[][] {
  const parameters = ["-n", "-r", file, "-T", "fields", ...fields.flatMap((field) => ["-e", field])];
  const output = execFileSync("tshark", parameters, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return output
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t"));
}

/** An Ethernet frame of an experimental ethertype. */
function frame(size: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(fill);
  bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
  return bytes;
}

test("tshark reads the capture of two links, with times, directions and interfaces", (t) => {
  if (!need(t, { programs: ["tshark", "capinfos"] })) return;
  const file = join(folder(t), "two.pcapng");
  const writer = new PcapngWriter(file);
  const wire = new TestLink();
  const tun = new TestLink("ip");
  let now = 1_700_000_000_123.456;
  const ethernet = capture(wire, writer, { interfaceName: "eth0", now: () => now });
  const ip = capture(tun, writer, { interfaceName: "tun0", now: () => now });
  ethernet.open(silent);
  ip.open(silent);
  const sent = frame(70, 7);
  t.is(ethernet.transmit(sent, 0, sent.length, null), 0);
  now += 1.5;
  wire.receiver.receive(frame(61, 8), 0, 61);
  now += 4_300_000;
  const packet = Uint8Array.of(0, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);
  tun.receiver.receive(packet, 2, 22);
  writer.close();
  t.is(writer.error, null);
  t.is(writer.bytes, statSync(file).size);

  const rows = tshark(
    file,
    "frame.interface_name",
    "frame.time_epoch",
    "frame.packet_flags_direction",
    "frame.len",
    "frame.encap_type",
    "ip.dst",
  );
  t.deepEqual(rows, [
    ["eth0", "1700000000.123456000", "0x00000002", "70", "1", ""],
    ["eth0", "1700000000.124956000", "0x00000001", "61", "1", ""],
    ["tun0", "1700004300.124956000", "0x00000001", "20", "7", "10.0.0.2"],
  ]);
  const about = execFileSync("capinfos", [file], { encoding: "utf8" });
  t.regex(about, /Number of packets:\s+3/);
  t.regex(about, /Number of interfaces in file:\s+2/);
});

test("the trailer of a padded frame is not taken for a frame check sequence", (t) => {
  if (!need(t, { programs: ["tshark"] })) return;
  const file = join(folder(t), "padded.pcapng");
  const writer = new PcapngWriter(file);
  const arp = frame(64, 0);
  arp.set([8, 6, 0, 1, 8, 0, 6, 4, 0, 1], 12);
  capturePacket(writer.pcapng, addInterface(writer.pcapng, "ethernet", "e"), 0, CAPTURE_IN, arp, 0, 64);
  writer.close();
  const [fcs, padding] = tshark(file, "eth.fcs", "eth.padding")[0];
  t.is(fcs, "");
  t.is(padding, "00".repeat(18));
});

test("the file can be read after every packet", (t) => {
  if (!need(t, { programs: ["tshark"] })) return;
  const file = join(folder(t), "growing.pcapng");
  const link = capture(new TestLink(), file);
  link.open(silent);
  t.deepEqual(tshark(file, "frame.len"), []);
  for (let n = 1; n <= 3; n++) {
    const bytes = frame(60 + n, n);
    link.transmit(bytes, 0, bytes.length, null);
    t.is(tshark(file, "frame.len").length, n);
  }
});

test("a refused frame is not captured, and answers pass through", (t) => {
  const blocks: Uint8Array[] = [];
  const wire = new TestLink();
  const link = capture(wire, (block) => blocks.push(block.slice()));
  const told: unknown[] = [];
  link.open({
    receive: (bytes, start, end, checksum) => told.push([Array.from(bytes.subarray(start, end)), checksum]),
    carrier: (up) => told.push(up),
    writable: () => told.push("writable"),
    lost: (count) => told.push(count),
  });
  const before = blocks.length;
  wire.code = -1;
  t.is(link.transmit(frame(60, 1), 0, 60, null), -1);
  t.is(blocks.length, before);
  wire.receiver.receive(Uint8Array.of(1, 2, 3), 1, 3, 2);
  wire.receiver.carrier(false);
  wire.receiver.writable();
  wire.receiver.lost(4);
  t.deepEqual(told, [[[2, 3], 2], false, "writable", 4]);
  t.is(link.medium, "ethernet");
  t.is(link.mac, wire.mac);
  link.close();
  t.is(wire.opened, 0);
});

test("the hint of hardware groups reaches links that take it", (t) => {
  const asked: unknown[] = [];
  const wire: Link = Object.assign(new TestLink(), {
    multicast: (groups: Uint8Array, count: number) => asked.push([groups.length, count]),
  });
  capture(wire, () => {}).multicast?.(new Uint8Array(12), 2);
  t.deepEqual(asked, [[12, 2]]);
  t.is(capture(new TestLink(), () => {}).multicast, undefined);
});

test("a failing disk ends the capture and not the traffic", (t) => {
  const fd = openSync("/dev/full", "w");
  t.teardown(() => closeSync(fd));
  const writer = new PcapngWriter(fd);
  const link = capture(new TestLink(), writer);
  link.open(silent);
  t.is(link.transmit(frame(60, 1), 0, 60, null), 0);
  t.is((writer.error as NodeJS.ErrnoException).code, "ENOSPC");
  t.is(writer.bytes, 0);
});

test("a snaplen below 1 is refused", (t) => {
  t.throws(() => createPcapng(() => {}, 0), { code: "EINVAL" });
});

/** An independent reader: the blocks of a capture as [type, body]. */
function parseBlocks(bytes: Uint8Array): [number, DataView][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const blocks: [number, DataView][] = [];
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at + 4);
    if (length % 4 !== 0 || view.getUint32(at + length - 4) !== length) throw new Error(`bad block at ${at}`);
    blocks.push([view.getUint32(at), new DataView(bytes.buffer, bytes.byteOffset + at + 8, length - 12)]);
    at += length;
  }
  return blocks;
}

test("any packets at any times come back as they were, cut at the snaplen", (t) => {
  const packets = fc.array(
    fc.record({
      bytes: fc.uint8Array({ maxLength: 5000 }),
      // Whole microseconds: a double holds those of today exactly.
      time: fc.integer({ min: 0, max: 2 ** 51 }),
      direction: fc.integer({ min: 0, max: 2 }),
    }),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(
      packets,
      fc.integer({ min: 1, max: 6000 }),
      fc.string({ maxLength: 80 }),
      (list, snaplen, name) => {
        const blocks: Uint8Array[] = [];
        const p = createPcapng((block) => blocks.push(block.slice()), snaplen);
        const nif = addInterface(p, "ethernet", name);
        for (const { bytes, time, direction } of list) {
          capturePacket(p, nif, time / 1000, direction, bytes, 0, bytes.length);
        }
        const read = parseBlocks(Buffer.concat(blocks));
        t.is(read.length, blocks.length);
        t.deepEqual(
          read.slice(0, 2).map(([type]) => type),
          [0x0a0d0d0a, 1],
        );
        read.slice(2).forEach(([type, body], i) => {
          const { bytes, time, direction } = list[i];
          const kept = Math.min(snaplen, bytes.length);
          t.is(type, 6);
          t.is(body.getUint32(0), nif);
          t.true(Math.abs(body.getUint32(4) * 2 ** 32 + body.getUint32(8) - time) <= 1);
          t.is(body.getUint32(12), kept);
          t.is(body.getUint32(16), bytes.length);
          const data = new Uint8Array(body.buffer, body.byteOffset + 20, kept);
          t.deepEqual(data, bytes.subarray(0, kept));
          t.is(body.getUint32(((20 + kept + 3) & ~3) + 4), direction);
        });
      },
    ),
    { numRuns: 200 },
  );
});
