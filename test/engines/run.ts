/**
 * `npm run engines`: the bundles in the engines that firmware meets. `--install` only fetches and builds what that needs,
 * `--write` measures heaps into docs/engines.md.
 *
 * An engine that this machine cannot have is a failure with CI=true, elsewhere a skip that says what to install.
 */
import { pathToFileURL } from "node:url";
import { type RunOptions, runAva } from "../support/ava.js";
import { filesBelow } from "../support/files.js";
import { ENGINES, obstacle } from "./engines.js";
import { obstacles, quickjs } from "./native.js";
import { writeReport } from "./report.js";

/** Builds the engines, so that no test waits for it; a line for each that cannot be had. */
async function prepare(): Promise<string[]> {
  const lines: string[] = [];
  for (const engine of ENGINES) {
    const problem = await obstacle(engine);
    if (problem !== null) lines.push(`${engine.name}: ${problem}`);
  }
  // QuickJS as a program is what instructions are counted in.
  const absent = obstacles("quickjs");
  if (absent.length === 0) await quickjs().catch((error: Error) => absent.push(error.message));
  lines.push(...absent.map((line) => `QuickJS as a program: ${line}`));
  return lines;
}

export async function runEngines(options: RunOptions = {}) {
  await prepare();
  // One process after the other, for they are measured and built.
  return runAva(filesBelow("test/engines", ".test.ts"), { ...options, concurrency: 1 });
}

async function main(options: string[]): Promise<void> {
  if (options.includes("--install")) {
    const lines = await prepare();
    console.log(lines.length > 0 ? lines.join("\n") : "the engines are ready");
    if (lines.length > 0) process.exitCode = 1;
  } else if (options.includes("--write")) await writeReport();
  else if ((await runEngines({ live: true })).failed > 0) process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) await main(process.argv.slice(2));
