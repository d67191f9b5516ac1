/** A budget that bounds: a TCP host with 24 KiB for packets and tables serves four connections, in every engine. */
import test from "ava";
import { ENGINES, have, runScripts } from "./engines.js";
import { bundle } from "../support/bundle.js";

/** The tables that `weighTables` has. */
const TABLES =
  "chunk,UDP socket,neighbour,route,path MTU,reassembly,answer,connection,TIME-WAIT record,question and socket";

const program = bundle("test/engines/program/index.ts").then(({ code }) => code);

test.serial("Duktape: an entry of each table weighs what the budget counts for it", async (t) => {
  const duktape = ENGINES.find(({ name }) => name === "Duktape")!;
  if (!(await have(t, duktape))) return;
  const lines = await runScripts(duktape, [await program, "anystack.weighTables(heap, print);"]);
  t.is(lines.pop(), "entries: 33 33 66 33");
  const rows = lines.map((line) => /^(.*): (\d+) (\d+)$/.exec(line)!);
  t.is(rows.map(([, name]) => name).join(), TABLES);
  // Debian's Duktape has pointers of 64 bits and values of 16 bytes: 1.4 to 2.6 times as much (test/interop/bare/tables.long.test.ts has 32).
  for (const [line, , weighed, counted] of rows) {
    const ratio = Number(weighed) / Number(counted);
    t.true(ratio > 1.2 && ratio < 2.7, line);
  }
});

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
