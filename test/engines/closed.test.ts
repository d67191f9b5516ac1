/**
 * Firmwares with their application inside: the closed script, in which a stack is no object, says the same in every engine as
 * the sources do, frame by frame.
 */
import test from "ava";
import { checkBundle } from "../profile/bundle.js";
import { ENGINES, have, runScripts } from "./engines.js";
import type { Engine } from "./engines.js";
import { difference, scriptLine } from "./verdict.js";
import { VECTORS } from "./vectors.js";
import { bundle } from "../support/bundle.js";

const driver = bundle("test/engines/program/driver.ts", { name: "driver" });
const lines = (kind: string) => JSON.stringify(VECTORS.filter((each) => each.kind === kind).map(scriptLine));

for (const family of ["4", "6"]) {
  const entry = `test/engines/program/closed${family}.ts`;
  const closed = bundle(entry, { closed: true });
  const plain = bundle(entry, { minify: false });

  /** What `expression` prints of two instances of a script, `a` and `b`. */
  const run = async (engine: Engine, { code }: { code: string }, expression: string) => {
    const instance = (name: string) => `var ${name} = (function () { ${code}; return anystack; })();`;
    return runScripts(engine, [instance("a"), instance("b"), (await driver).code, `driver.${expression};`]);
  };

  test.serial(`IPv${family}: the closed script is the smaller one, and keeps to the profile`, async (t) => {
    const { code } = await closed;
    t.deepEqual(checkBundle(code), []);
    t.true(code.length < (await bundle(entry)).code.length);
  });

  for (const seed of [7, 8]) {
    const conversation = `converse(a, b, ${seed}, print)`;
    for (const engine of ENGINES) {
      test.serial(
        `${engine.name}: closed, IPv${family}, seed ${seed}: the trace of the sources`,
        async (t) => {
          if (!(await have(t, engine))) return;
          const expected = await run(ENGINES[0]!, await plain, conversation);
          for (const line of ["end after 40000, wrong 0", "closed 0", "datagram 1000"]) {
            t.true(expected.includes(line), line);
          }
          t.is(difference(await run(engine, await closed, conversation), expected), null);
        },
      );
    }
  }

  for (const engine of ENGINES) {
    test.serial(
      `${engine.name}: closed, IPv${family}: the vectors' frames get the answers of the sources`,
      async (t) => {
        if (!(await have(t, engine))) return;
        const replay = `replay(a, ${lines(family)}, print)`;
        const expected = await run(ENGINES[0]!, await plain, replay);
        t.true(expected.some((line) => line.split(" ").length > 2));
        t.is(difference(await run(engine, await closed, replay), expected), null);
      },
    );
  }

  test.serial(`IPv${family}: a second stack beside the first is refused`, async (t) => {
    const twice = `converse(a, a, 1, print)`;
    await t.throwsAsync(run(ENGINES[0]!, await closed, twice), { message: /EBUSY: one stack/ });
  });
}
