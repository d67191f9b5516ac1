/** The conformance checks judged: a good host passes, and every finding fires on a host that is broken in just that way. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { createSwitch } from "../../ports/sim/index.js";
import type { WireOptions } from "../../ports/sim/index.js";
import { ROOT, filesBelow } from "../support/files.js";
import { BROKEN_HOSTS } from "./broken-host.js";
import { BROKEN_LINKS } from "./broken-link.js";
import { findings, subject } from "./subject.js";

const ALL = { transmitChecksum: true, segmentation: 65535, receiveCoalescing: true };

const GOOD: WireOptions[] = [
  {},
  { medium: "ip", delay: 20 },
  { bandwidth: 1e7, delay: 100, queueFrames: 4, full: "refuse" },
  { offloads: ALL },
  { a: { offloads: ALL }, mtu: 9000 },
  { medium: "ip", b: { offloads: { transmitChecksum: true, segmentation: 5000 } } },
  { mtu: 296 },
];

for (const options of GOOD) {
  test("a good wire conforms: " + JSON.stringify(options), (t) => {
    t.deepEqual(findings(subject(options)), []);
  });
}

test("a host without accelerators and links conforms", (t) => {
  const s = subject();
  s.links = null;
  for (const name of ["log", "panic", "allocate", "checksum", "copy", "crypto"] as const)
    delete s.calls[name];
  t.deepEqual(findings(s), []);
});

test("what the contract allows is no finding", (t) => {
  const early = subject();
  let count = 0;
  early.calls.wake = (delay) => early.host.wake(count++ % 3 && delay > 9 ? delay - 9 : delay);
  t.deepEqual(findings(early), [], "wake-ups that come early now and then");
  const wrapping = subject();
  wrapping.calls.now = () => (wrapping.world.time + 0x7ffffe00) | 0;
  t.deepEqual(findings(wrapping), [], "a clock that wraps");
  const coarse = subject();
  coarse.calls.now = () => Math.floor(coarse.world.time / 16) * 16;
  t.deepEqual(findings(coarse), [], "a clock of 16 ms");
  const late = subject();
  late.a.cut();
  late.world.at(1700, () => late.a.restore());
  t.deepEqual(findings(late), [], "a carrier that takes its time");
  const switched = subject();
  const middle = createSwitch(switched.world);
  switched.links = [middle.link(), middle.link()];
  t.deepEqual(findings(switched), [], "a switch between the links");
});

const numbers = new Map<string, number>();
for (const [codes, breaks, options] of [...BROKEN_HOSTS, ...BROKEN_LINKS] as typeof BROKEN_LINKS) {
  const number = (numbers.get(codes[0]) ?? 0) + 1;
  numbers.set(codes[0], number);
  test(`${codes[0]} is found, way ${number}`, (t) => {
    const s = subject(options);
    breaks(s);
    t.deepEqual(findings(s), [...codes].sort());
  });
}

test("every finding of the sources is provoked here", (t) => {
  const provoked = new Set([...BROKEN_HOSTS, ...BROKEN_LINKS].map(([codes]) => codes[0]));
  const written = new Set<string>();
  for (const file of filesBelow("hypercall").filter((path) => path.includes("conformance"))) {
    for (const [, code] of readFileSync(join(ROOT, file), "utf8").matchAll(/report\(\s*"([a-z-]+)"/g))
      written.add(code);
  }
  t.deepEqual([...provoked].sort(), [...written].sort());
});
