/**
 * The campaign: `npm run sim -- --seeds 1000 [--seed 1] [--jobs 1] [--capture FILE]`.
 *
 * Each seed is a random network with random faults and work, run in virtual time and judged (see campaign.ts). A failure
 * prints the seed that repeats it: `npm run sim -- --seeds 1 --seed S`, with `--capture FILE` for a pcapng of the run.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { runPlan } from "./campaign.js";
import { makePlan } from "./plan.js";

/** Every so many seeds a run is done twice: both must be the same, byte for byte. */
const TWICE = 10;

const USAGE = "usage: npm run sim -- --seeds N [--seed FIRST] [--capture FILE] [--verbose]";

function usage(message: string): never {
  console.error(message + "\n" + USAGE);
  process.exit(2);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: "string", default: "100" },
        seed: { type: "string", default: "1" },
        capture: { type: "string" },
        verbose: { type: "boolean", default: false },
      },
    });
    const seeds = Number(values.seeds);
    const seed = Number(values.seed);
    if (!Number.isInteger(seeds) || seeds < 1) usage("--seeds wants a whole number from 1 on");
    if (!Number.isSafeInteger(seed) || seed < 0) usage("--seed wants a whole number from 0 on");
    return { ...values, seeds, seed };
  } catch (error) {
    return usage((error as Error).message);
  }
}

const { seeds, seed: first, capture, verbose } = options();
const started = process.hrtime.bigint();
const total = { frames: 0, bytes: 0, time: 0, twice: 0, asked: 0, answered: 0 };
const failed: number[] = [];
for (let seed = first; seed < first + seeds; seed++) {
  const plan = makePlan(seed);
  const file = capture === undefined ? -1 : openSync(capture, "w");
  const outcome = runPlan(plan, file < 0 ? undefined : (bytes) => void writeSync(file, bytes));
  if (file >= 0) closeSync(file);
  const { failures } = outcome;
  if (seeds === 1 || seed % TWICE === 0) {
    total.twice++;
    const { digest } = runPlan(makePlan(seed));
    if (digest !== outcome.digest) failures.push(`two runs differ: ${outcome.digest} and ${digest}`);
  }
  total.frames += outcome.frames;
  total.bytes += outcome.bytes;
  total.time += outcome.time;
  total.asked += outcome.echoes.asked + outcome.pings.asked;
  total.answered += outcome.echoes.answered + outcome.pings.answered;
  if (verbose) {
    console.log(
      `seed ${seed}: ${plan.topology} of ${plan.machines.length}, ${outcome.frames} frames, ${outcome.digest}`,
    );
    if (seeds === 1) console.log(JSON.stringify(plan, null, 1));
  }
  if (failures.length === 0) continue;
  failed.push(seed);
  console.log(`seed ${seed} FAILED; repeat with: npm run sim -- --seeds 1 --seed ${seed}`);
  for (const failure of failures) console.log("  " + failure);
}
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
console.log(
  `${seeds} seeds in ${seconds.toFixed(1)} s: ${(total.time / 3600000).toFixed(1)} hours of virtual time, ` +
    `${total.frames} frames, ${total.bytes} bytes of streams, ${total.answered} of ${total.asked} echoes, ` +
    `${total.twice} seeds run twice`,
);
console.log(`sim: ${seeds - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length > 0 ? 1 : 0);
