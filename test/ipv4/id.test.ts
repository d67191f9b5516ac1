/** Identifications: who sees one flow's knows nothing of another's, and none comes twice while it matters. */
import test from "ava";
import { fragments } from "../../stack/ipv4/fragments.js";
import type { Path4 } from "../../stack/ipv4/path.js";
import { chiSquare } from "../support/randomness.js";
import { probed } from "../support/probe.js";

test("IP4-10 100,000 identifications to 8 destinations", (t) => {
  const { ip } = probed(t, { components: () => [fragments()] });
  const COUNT = 12500;
  const ids = Array.from({ length: 8 }, (_, i) => {
    const path = ip.createPath() as Path4;
    ip.setRemote(path, "10.0.0." + (10 + i));
    t.is(ip.route(path), 0);
    return { path, seen: [] as number[] };
  });
  for (let n = 0; n < COUNT; n++) for (const { path, seen } of ids) seen.push(ip.nextId(path, 17));
  for (const { seen } of ids) {
    t.is(new Set(seen).size, COUNT, "none comes twice");
    t.true(seen.every((id) => id >= 0 && id <= 0xffff));
    // The high byte, the low byte, and the differences' high byte in 256 classes each: chi-square below its 99.9 % point.
    const steps = seen.slice(1).map((id, i) => (id - seen[i]) & 0xffff);
    for (const values of [
      seen.map((id) => id >> 8),
      seen.map((id) => id & 255),
      steps.map((step) => step >> 8),
    ]) {
      t.true(chiSquare(values) < 330.5, `chi-square ${chiSquare(values)}`);
    }
    // No step is common: neither a counter nor one with a constant stride.
    const most = Math.max(...count(steps));
    t.true(most <= 8, `a step that comes ${most} times`);
  }
  // No relation between flows.
  for (let i = 1; i < ids.length; i++) {
    const apart = ids[i].seen.map((id, n) => (id - ids[0].seen[n]) & 0xffff);
    t.true(chiSquare(apart.map((step) => step >> 8)) < 330.5);
  }
});

test("IP4-10 a flow uses all 65536 before one comes again", (t) => {
  const { ip } = probed(t, { components: () => [fragments()] });
  const path = ip.createPath() as Path4;
  ip.setRemote(path, "10.0.0.77");
  ip.route(path);
  const seen = new Set<number>();
  for (let n = 0; n < 65536; n++) seen.add(ip.nextId(path, 17));
  t.is(seen.size, 65536);
});

function count(values: number[]): number[] {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts.values()];
}
