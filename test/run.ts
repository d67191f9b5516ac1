/**
 * `npm test`: everything that CI runs. `npm test -- STAGE ...` runs some stages, `npm test -- --list` names them.
 *
 * First what needs only a processor, then the suites against real peers, whose answers must come in time. It ends
 * with why tests failed, a table, and the sum: each test counts, and each check that is not made of tests counts as one.
 */
import { runEngines } from "./engines/run.js";
import { runSuite, SUITES } from "./interop/run.js";
import { digest, type Outcome, runAva, runProgram } from "./support/ava.js";
import { filesBelow } from "./support/files.js";

interface Stage {
  readonly name: string;
  readonly about: string;
  run(): Promise<Pick<Outcome, "passed" | "failed" | "output">>;
}

const CHECKS: Stage[] = [
  { name: "lint", about: "types and lint (oxlint)", run: () => runProgram("oxlint", ["--type-check"]) },
  {
    name: "format",
    about: "prettier",
    run: () => runProgram("prettier", ["--check", "--log-level=warn", "."]),
  },
  {
    name: "profile",
    about: "language profile and import arrows",
    run: () => runProgram("test/profile/run.ts", []),
  },
  { name: "size", about: "byte budgets", run: () => runProgram("test/size/run.ts", ["--check"]) },
];
const UNIT: Stage = {
  name: "unit",
  about: "unit, property, simulation and package tests",
  run: () => runAva(UNIT_TESTS, { concurrency: 2 }),
};
const UNIT_TESTS = filesBelow("test", ".test.ts").filter((path) => !/^test\/(engines|interop)\//.test(path));
const SIM: Stage = {
  name: "sim",
  about: "a short campaign of random networks",
  run: () => runProgram("test/sim/run.ts", ["--seeds", "20"]),
};
const ENGINES: Stage = {
  name: "engines",
  about: "the bundles in V8, Duktape, QuickJS and XS: vectors, equal traces, memory",
  run: () => runEngines(),
};
const INTEROP: Stage[] = Object.entries(SUITES).map(([name, { about }]) => ({
  name: `interop:${name}`,
  about,
  run: () => runSuite(name),
}));

/**
 * What runs side by side: each lane one stage after the other. Suites whose times are alike share the machine; one that is
 * named nowhere is in the last lane.
 */
const LANES = [
  ["lint", "format", "profile", "size", "engines"],
  ["unit", "sim"],
];
const INTEROP_LANES = [
  ["interop:ipv4", "interop:ipsec"],
  ["interop:ipv6", "interop:ike", "interop:links"],
];

const STAGES = [...CHECKS, UNIT, SIM, ENGINES, ...INTEROP];

interface Row {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
  readonly output: string;
}

async function runStages(stages: Stage[], rows: Row[]): Promise<void> {
  for (const stage of stages) {
    const start = performance.now();
    const { passed, failed, output } = await stage.run();
    const seconds = (performance.now() - start) / 1000;
    const row = { name: stage.name, passed, failed, seconds, output };
    rows.push(row);
    console.log(line(row));
  }
}

function line({ name, passed, failed, seconds }: Row): string {
  const mark = failed > 0 ? "FAILED" : "ok";
  return `${mark.padEnd(8)}${name.padEnd(16)}${String(passed).padStart(6)} passed${String(failed).padStart(6)} failed${seconds.toFixed(1).padStart(8)} s`;
}

async function main(names: string[]): Promise<void> {
  if (names.includes("--list")) {
    for (const { name, about } of STAGES) console.log(`${name.padEnd(16)}${about}`);
    return;
  }
  const unknown = names.filter((name) => !STAGES.some((stage) => stage.name === name));
  if (unknown.length > 0) {
    console.error(`test: no such stage: ${unknown.join(", ")} (--list names them)`);
    process.exitCode = 2;
    return;
  }
  const chosen = STAGES.filter(({ name }) => names.length === 0 || names.includes(name));
  const rows: Row[] = [];
  const start = performance.now();
  const others = INTEROP.map(({ name }) => name).filter((name) => !INTEROP_LANES.flat().includes(name));
  for (const lanes of [LANES, [...INTEROP_LANES, others]]) {
    await Promise.all(
      lanes.map((lane) =>
        runStages(
          chosen.filter(({ name }) => lane.includes(name)),
          rows,
        ),
      ),
    );
  }

  const passed = rows.reduce((sum, row) => sum + row.passed, 0);
  const failed = rows.reduce((sum, row) => sum + row.failed, 0);
  for (const row of rows) if (row.failed > 0) console.log(`\n--- ${row.name} ---\n${digest(row.output)}`);
  console.log(`\n${rows.map(line).join("\n")}\n`);
  console.log(`all stages in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  console.log(`${passed} passed, ${failed} failed`);
  if (failed > 0 || rows.length === 0) process.exitCode = 1;
}

await main(process.argv.slice(2));
