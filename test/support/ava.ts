/** Runs ava and counts what it reports. */
import { spawn } from "node:child_process";
import { ROOT } from "./files.js";

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What the program printed, without the lines of the tests that passed. */
  readonly output: string;
}

/** Runs a program of node_modules/.bin, or a TypeScript file of the project; its outcome counts as one check. */
export async function runProgram(command: string, parameters: string[], live = false): Promise<Outcome> {
  const { code, output } = await run(command, parameters, live);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0, output };
}

/**
 * Runs ava.
 *
 * @param parameters its command line: files and options
 * @param live print the tests as they pass or fail
 */
export async function runAva(parameters: string[], live = false): Promise<Outcome> {
  const { code, output } = await run("ava", parameters, live);
  const outcome = { ...countAva(output), output: output.replace(/^ *✔ .*\n/gm, "") };
  // A crash of ava itself must not look like success.
  return code === 0 || outcome.failed > 0 ? outcome : { ...outcome, failed: 1 };
}

/**
 * Counts the tests that passed by their lines ("✔ title"), and the rest by the closing lines: "1 test failed", "1 uncaught
 * exception", "1 test skipped", ... (ava closes with "3 tests passed" only when none failed).
 */
export function countAva(output: string): Pick<Outcome, "passed" | "failed" | "skipped"> {
  const count = { passed: output.match(/^ *✔ /gm)?.length ?? 0, failed: 0, skipped: 0 };
  const closing = output.slice(output.lastIndexOf("─"));
  for (const [, number, what] of closing.matchAll(/^ +(\d+) ([a-z ]+?)\r?$/gm)) {
    if (/skipped|todo/.test(what!)) count.skipped += Number(number);
    else if (!/passed|known failure/.test(what!)) count.failed += Number(number);
  }
  return count;
}

function run(
  command: string,
  parameters: string[],
  live: boolean,
): Promise<{ code: number | null; output: string }> {
  const isFile = command.endsWith(".ts");
  const { FORCE_COLOR: _, ...environment } = process.env;
  const child = spawn(
    isFile ? process.execPath : `node_modules/.bin/${command}`,
    isFile ? ["examples/launch.js", command, ...parameters] : parameters,
    { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...environment, NO_COLOR: "1" } },
  );
  let output = "";
  const take = (chunk: string) => {
    output += chunk;
    if (live) process.stdout.write(chunk);
  };
  child.stdout.setEncoding("utf8").on("data", take);
  child.stderr.setEncoding("utf8").on("data", take);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}
