/** A budget that bounds: a TCP host with 24 KiB serves four connections, in every engine. */
import test from "ava";
import { ENGINES, have, runScripts } from "./engines.js";
import { bundle } from "../support/bundle.js";

const program = bundle("test/engines/program/index.ts").then(({ code }) => code);

for (const each of ENGINES) {
  test.serial(`${each.name}: a host with 24 KiB serves four connections`, async (t) => {
    if (!(await have(t, each))) return;
    const lines = await runScripts(each, [await program, "anystack.serve(7, print);"]);
    for (let i = 0; i < 4; i++)
      t.true(lines.includes(`${i} closed 0 after 20000, wrong 0`), `connection ${i}`);
    t.true(lines.includes("connections at once 4"));
    t.regex(
      lines.find((line) => line.startsWith("memory"))!,
      /kept$/,
    );
    t.regex(
      lines.find((line) => line.startsWith("chunks"))!,
      /, left 0$/,
    );
  });
}
