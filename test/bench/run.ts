/**
 * `npm run bench`: speed, beside lwIP native and the kernel in the same run, and weight. `-- --json` prints rows for machines,
 * `-- --quick` ends within 50 seconds, `-- --write` puts tables and plots into docs/. `--rounds N`, `--milliseconds N`, `--seconds N` (what is
 * not measured by then is left out; 38 with `--quick`),
 * `--without-lwip`, `--without-kernel` make it smaller; `--instructions` counts those of the small engines alone.
 */
import { parseArgs } from "node:util";
import { instructionTable, table, write, writeInstructions } from "./document.js";
import { commit } from "./instructions/count.js";
import { growth, instructions, kernel, speed, weight } from "./rows.js";
import type { Settings } from "./rows.js";

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean" },
    quick: { type: "boolean", default: false },
    write: { type: "boolean" },
    rounds: { type: "string" },
    milliseconds: { type: "string" },
    seconds: { type: "string" },
    "without-lwip": { type: "boolean" },
    "without-kernel": { type: "boolean" },
    instructions: { type: "boolean" },
  },
});

const { quick } = options;
const settings: Settings = {
  quick,
  rounds: Number(options.rounds ?? (quick ? 5 : 9)),
  milliseconds: Number(options.milliseconds ?? (quick ? 60 : 400)),
  // Counted from the start of this process; what ends it and its subjects takes a moment, too.
  until: 1000 * Number(options.seconds ?? (quick ? 38 : Infinity)),
  lwip: !options["without-lwip"],
  log: (line) => console.error("bench: " + line),
};

if (options.instructions) {
  const { rows, figures } = await instructions(settings.log);
  console.log(options.json ? JSON.stringify({ rows }) : instructionTable(figures));
  if (options.write) {
    commit(figures);
    writeInstructions(figures);
  }
} else {
  const fast = await speed(settings);
  const weights = weight();
  const results = {
    ...fast,
    kernel: options["without-kernel"] ? [] : await kernel(settings),
    weight: weights,
    growth: growth(settings),
  };
  const rows = [
    ...results.speed,
    ...results.kernel,
    ...results.weight,
    ...results.growth,
    ...results.garbage,
  ];
  if (options.json) console.log(JSON.stringify({ rows }));
  else console.log(table(rows));
  if (options.write) {
    const { figures } = await instructions(settings.log);
    commit(figures);
    write(results, figures);
  }
}
