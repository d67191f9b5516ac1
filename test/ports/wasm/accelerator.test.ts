/** The WebAssembly accelerator: its module is made of its source, and its checksum is that of the plain routine. */
import { readFileSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import { wasmAccelerator } from "../../../ports/wasm/accelerator.js";
import { plainAccelerator } from "../../../ports/wasm/arena.js";
import { sum } from "../../../stack/core/checksum.js";
import { TARGET, generate } from "./make.js";

test("checksum-wasm.ts is what checksum.wat makes", async (t) => {
  t.is(readFileSync(TARGET, "utf8"), await generate());
});

const accelerator = wasmAccelerator()!;

for (const [where, memory] of [
  ["packet memory", accelerator.allocate(70_000)],
  ["memory from elsewhere", new Uint8Array(new ArrayBuffer(70_003), 3)],
] as const) {
  test(`the checksum of ${where} is the plain routine's, for any place, length and start value`, (t) => {
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.oneof(fc.nat(200), fc.nat(2000), fc.nat(69_900)),
        fc.nat(0xffff),
        fc.nat(0xffff_ffff),
        fc.constantFrom(0x00, 0xff, 0x100),
        (start, length, initial, seed, fill) => {
          for (let i = 0; i < start + length; i++) {
            seed = (seed * 1664525 + 1013904223) | 0;
            memory[i] = fill < 256 ? fill : seed >>> 24;
          }
          t.is(
            accelerator.checksum(memory, start, start + length, initial),
            sum(memory, start, start + length, initial),
          );
        },
      ),
      { numRuns: 300 },
    );
  });
}

test("memory is zeroed, of the size that was asked for, and never given twice", (t) => {
  const { allocate, checksum } = wasmAccelerator()!;
  const pieces = [1, 1536, 65536, 65536, 4_000_000, 5_000_000, 10_000_000, 65536].map((size) => {
    const piece = allocate(size);
    t.is(piece.length, size);
    t.true(piece.every((byte) => byte === 0));
    return piece.fill(1);
  });
  for (const piece of pieces) {
    const end = Math.min(piece.length, 1460);
    t.is(checksum(piece, 0, end, 0), sum(piece, 0, end, 0), "also in an arena that is full");
  }
});

test("copies are those of `set`, within packet memory, into it, and out of it", (t) => {
  const memories = [accelerator.allocate(4000), accelerator.allocate(4000), new Uint8Array(4000)];
  const place = fc.record({ memory: fc.nat(2), at: fc.nat(1900) });
  fc.assert(
    fc.property(place, place, fc.nat(2000), (to, from, length) => {
      if (to.memory === from.memory) return;
      for (let i = 0; i < length; i++) memories[from.memory][from.at + i] = i * 7 + length;
      const expected = memories[to.memory].slice();
      expected.set(memories[from.memory].subarray(from.at, from.at + length), to.at);
      accelerator.copy(memories[to.memory], to.at, memories[from.memory], from.at, length);
      t.deepEqual(memories[to.memory], expected);
    }),
    { numRuns: 300 },
  );
});

test("copies among arrays of several arenas", (t) => {
  const { allocate, copy } = wasmAccelerator()!;
  const memories = Array.from({ length: 20 }, (_, i) => allocate(i % 5 === 4 ? 3_000_000 : 4096).fill(i));
  const expected = memories.map((memory) => memory.slice());
  let seed = 1;
  const next = (below: number) => {
    seed = (seed * 1664525 + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  for (let i = 0; i < 5000; i++) {
    const [to, from] = [next(20), next(20)];
    if (to === from) continue;
    const [at, start, length] = [next(2000), next(2000), next(2000)];
    copy(memories[to]!, at, memories[from]!, start, length);
    expected[to]!.set(expected[from]!.subarray(start, start + length), at);
  }
  t.true(memories.every((memory, i) => Buffer.compare(memory, expected[i]!) === 0));
});

test("in plain JS: the same sums and copies, among several arenas and what lies elsewhere", (t) => {
  const { allocate, copy, checksum } = plainAccelerator();
  const memories = [allocate(5000), allocate(5000), allocate(6_000_000), new Uint8Array(5000)];
  const place = fc.record({ memory: fc.nat(3), at: fc.nat(1900) });
  fc.assert(
    fc.property(place, place, fc.nat(2000), fc.nat(0xffff), (to, from, length, initial) => {
      const source = memories[from.memory];
      for (let i = 0; i < length; i++) source[from.at + i] = i * 7 + length;
      const end = from.at + length;
      t.is(checksum(source, from.at, end, initial), sum(source, from.at, end, initial));
      if (to.memory === from.memory) return;
      const before = memories[to.memory].slice(0, 5000);
      before.set(source.subarray(from.at, end), to.at);
      copy(memories[to.memory], to.at, source, from.at, length);
      t.deepEqual(memories[to.memory].subarray(0, 5000), before);
    }),
    { numRuns: 300 },
  );
});

test("more arrays than are recognised, and those of other hosts, are copied all the same", (t) => {
  const hosts = [plainAccelerator(), plainAccelerator(), accelerator];
  const memories = Array.from({ length: 40 }, (_, i) => hosts[i % 3].allocate(4096).fill(i));
  for (let i = 0; i < 40; i++) {
    const to = (i * 7 + 3) % 40;
    const expected = memories[to].slice();
    expected.set(memories[i].subarray(5, 1505), 11);
    hosts[i % 3].copy(memories[to], 11, memories[i], 5, 1500);
    t.deepEqual(memories[to], expected);
  }
});

test("arrays from elsewhere, which come and go among those that are recognised, in copies of all pairs", (t) => {
  const { allocate, copy } = plainAccelerator();
  const memories = Array.from({ length: 14 }, (_, i) => (i < 2 ? allocate(600) : new Uint8Array(600)));
  const place = fc.record({ memory: fc.nat(memories.length - 1), at: fc.nat(300) });
  fc.assert(
    fc.property(fc.array(fc.tuple(place, place, fc.nat(290)), { maxLength: 40 }), (copies) => {
      memories.forEach((memory, i) => memory.fill(i + 1));
      const expected = memories.map((memory) => memory.slice());
      for (const [to, from, length] of copies) {
        if (to.memory === from.memory) continue;
        // What is seen twice is recognised.
        for (let twice = 0; twice < 2; twice++)
          copy(memories[to.memory]!, to.at, memories[from.memory]!, from.at, length);
        expected[to.memory]!.set(expected[from.memory]!.subarray(from.at, from.at + length), to.at);
      }
      t.deepEqual(memories, expected);
    }),
    { numRuns: 300 },
  );
});
