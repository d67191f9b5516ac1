/** The small engines' instructions for an echo and a segment are those that were written down: they never grow unnoticed. */
import test from "ava";
import { NAMES, TOLERANCE, absent, committed, count } from "./count.js";
import type { Instructions } from "./count.js";

for (const name of NAMES) {
  test(`${name}: host instructions of a UDP echo and of a TCP segment`, async (t) => {
    t.timeout(300_000, "a compiler may have to run first, on a machine with much else to do");
    const lines = absent(name);
    if (lines.length > 0) {
      if (process.env.CI === "true") t.fail(lines.join("; "));
      else t.log(`SKIPPED, it needs ${lines.join("; ")}`);
      return t.pass();
    }
    const before = committed()[name]!;
    const now = await count(name);
    for (const work of Object.keys(before) as (keyof Instructions)[]) {
      const change = now[work] / before[work] - 1;
      t.true(
        Math.abs(change) <= TOLERANCE,
        `${work}: ${now[work]} instructions, ${(change * 100).toFixed(1)} % off the committed ${before[work]}; ` +
          "if that is meant, npm run bench -- --instructions --write",
      );
    }
  });
}
