/** Hosts that are broken in one way each, with the findings that must name it. */
import { sum } from "../../stack/core/checksum.js";
import { copyBytes } from "../../stack/core/bytes.js";
import type { Subject } from "./subject.js";

/** The codes that must be found, the one that it is about first, and how to break a good host. */
export type Broken = [codes: string[], breaks: (s: Subject) => void];

function boom(): never {
  throw new Error("boom");
}

/** Timers of a host that does not replace its requests: the first wins, or all come. */
function timers(s: Subject, first: boolean): void {
  let pending = 0;
  s.calls.wake = (delay) => {
    if ((first && pending > 0) || delay < 0) return;
    pending++;
    s.world.at(delay, () => {
      pending--;
      s.host.alarm();
    });
  };
}

/** A host that forgets its request when the longest of all comes. */
function forgetful({ calls, host }: Subject): void {
  calls.wake = (delay) => host.wake(delay === 200 ? -1 : delay);
}

function littleEndianSum(data: Uint8Array, start: number, end: number, initial: number): number {
  let total = initial;
  for (let i = start; i < end; i++) total += (i - start) & 1 ? data[i] << 8 : data[i];
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

function writingSum(data: Uint8Array, start: number, end: number, initial: number): number {
  const result = sum(data, start, end, initial);
  if (end - start > 1300) data[start] = 0;
  return result;
}

function fillWith(byte: (i: number) => number) {
  return (target: Uint8Array) => {
    target.forEach((_, i) => (target[i] = byte(i)));
    return true;
  };
}

function sharing(): (size: number) => Uint8Array {
  const memory = new Uint8Array(4096);
  return (size) => memory.subarray(0, size).fill(0);
}

export const BROKEN_HOSTS: Broken[] = [
  [["version"], ({ calls }) => void (calls.version = 99)],
  [["missing"], ({ calls }) => void (calls.wake = undefined as never)],
  [["missing"], ({ calls }) => void (calls.random = 4 as never)],
  [["optional"], ({ calls }) => void (calls.log = "yes" as never)],
  [["log-throws"], ({ calls }) => void (calls.log = boom)],

  [["clock-throws"], ({ calls }) => void (calls.now = boom)],
  [["clock-number"], ({ calls }) => void (calls.now = () => NaN)],
  [["clock-number"], ({ calls }) => void (calls.now = () => "1" as never)],
  [["clock-frozen"], ({ calls }) => void (calls.now = () => 5)],
  [["clock-back"], ({ calls, world }) => void (calls.now = () => world.time - (world.time > 520 ? 400 : 0))],
  [["clock-coarse"], ({ calls, world }) => void (calls.now = () => Math.floor(world.time / 100) * 100)],

  [
    ["wake-inside"],
    ({ calls, host }) => void (calls.wake = (ms) => (ms === 50 ? inside(host) : host.wake(ms))),
  ],
  [["wake-throws", "wake-never"], ({ calls }) => void (calls.wake = boom)],
  [["wake-never"], ({ host }) => void (host.faults.wake = "never")],
  [["wake-early"], ({ host }) => void (host.faults.wake = "early")],
  [["wake-late"], ({ host }) => void (host.faults.wakeLate = 80)],
  [["wake-late"], ({ calls, world }) => void (calls.now = () => world.time * 1000)],
  [["wake-replace", "wake-extra", "wake-lost"], (s) => timers(s, true)],
  [["wake-extra", "wake-cancel"], (s) => timers(s, false)],
  [["wake-lost"], forgetful],
  [["wake-cancel"], ({ calls, host }) => void (calls.wake = (delay) => host.wake(Math.max(delay, 0)))],

  [["random-throws"], ({ host }) => void (host.faults.random = "throw")],
  [["random-none"], ({ host }) => void (host.faults.random = "fail")],
  [
    ["random-result"],
    ({ calls, host }) => void (calls.random = (target) => void host.random(target) as never),
  ],
  [["random-constant"], ({ calls }) => void (calls.random = fillWith(() => 0x35))],
  [["random-repeats"], ({ calls }) => void (calls.random = fillWith((i) => 7 * i + 1))],
  [
    ["random-biased"],
    ({ calls, world }) => void (calls.random = fillWith(() => (world.random() * 256) | 0x42)),
  ],
  [["random-short"], ({ calls, host }) => void (calls.random = (target) => host.random(target.subarray(1)))],
  [
    ["random-short"],
    ({ calls, host }) => void (calls.random = (all) => host.random(all.subarray(0, all.length & ~3))),
  ],
  [
    ["random-outside"],
    ({ calls, host }) => void (calls.random = (all) => host.random(new Uint8Array(all.buffer))),
  ],

  [["allocate-throws"], ({ calls }) => void (calls.allocate = boom)],
  [["allocate-length"], ({ calls }) => void (calls.allocate = (size) => new Uint8Array((size + 3) & ~3))],
  [["allocate-length"], ({ calls }) => void (calls.allocate = () => null as never)],
  [
    ["allocate-dirty"],
    ({ calls }) => void (calls.allocate = (size) => new Uint8Array(size).fill(9, size - 1)),
  ],
  [["allocate-shared"], ({ calls }) => void (calls.allocate = sharing())],
  [["checksum-throws"], ({ calls }) => void (calls.checksum = boom)],
  [["checksum-wrong"], ({ calls }) => void (calls.checksum = (d, s, e, i) => sum(d, s, e, i) % 0xffff)],
  [["checksum-wrong"], ({ calls }) => void (calls.checksum = (d, s, e) => sum(d, s, e, 0))],
  [["checksum-odd"], ({ calls }) => void (calls.checksum = (d, s, e, i) => sum(d, s, e - ((e - s) & 1), i))],
  [["checksum-complement"], ({ calls }) => void (calls.checksum = (d, s, e, i) => ~sum(d, s, e, i) & 0xffff)],
  [["checksum-swapped"], ({ calls }) => void (calls.checksum = littleEndianSum)],
  [["checksum-writes"], ({ calls }) => void (calls.checksum = writingSum)],
  [["copy-throws"], ({ calls }) => void (calls.copy = boom)],
  [["copy-wrong"], ({ calls }) => void (calls.copy = (t, ts, s, ss, l) => copyBytes(t, ts, s, ss, l & ~1))],
  [
    ["copy-outside"],
    ({ calls }) => void (calls.copy = (t, ts, s, ss, l) => copyBytes(t, ts, s, ss, (l + 3) & ~3)),
  ],
  [["crypto"], ({ calls }) => void (calls.crypto = { algorithms: [1] as never })],
];

function inside(host: Subject["host"]): void {
  host.alarm();
  host.wake(50);
}
