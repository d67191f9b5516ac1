/** The host behind its checks: faults of hypercalls are counted and survived. */
import test from "ava";
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { Hypercalls } from "../../hypercall/index.js";
import { Host } from "../../stack/core/host.js";

function hostOf(calls: Partial<Hypercalls>): Host {
  return new Host({ version: HYPERCALL_VERSION, now: () => 0, random: () => true, wake() {}, ...calls });
}

test("RES-04 jitter drawn without entropy is never taken for random later", (t) => {
  const host = hostOf({ random: () => false });
  const drawn = [host.random16(), host.random16(), host.random16()];
  t.is(new Set(drawn).size, 3);
  t.false(host.secure(2));
});

test("RES-04 secure needs fresh bytes for what it promises", (t) => {
  let byte = 0;
  const host = hostOf({ random: (target) => (target.fill(++byte), true) });
  t.is(host.random16(), 0x0101);
  t.true(host.secure(64));
  t.is(host.random32(), 0x02020202);
});

test("RES-04 accelerators that throw or lie are done without", (t) => {
  const data = Uint8Array.of(1, 2, 3, 4);
  const broken = hostOf({
    copy() {
      throw new Error("DMA");
    },
    checksum: () => NaN,
  });
  const target = new Uint8Array(4);
  broken.copy(target, 0, data, 0, 4);
  t.deepEqual(target, data);
  t.is(broken.sum(data, 0, 4, 0), 0x0406);
  t.is(broken.counters.accelerator, 2);
});
