/** Runs ava and counts what it reports. */
import { spawn } from "node:child_process";
import { compile, compiled } from "./compile.js";
import { ROOT } from "./files.js";

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What the program printed, without the lines of the tests that passed. */
  readonly output: string;
}

export interface RunOptions {
  /** Print what comes, as it comes. */
  readonly live?: boolean;
}

/** Runs a program of node_modules/.bin, or a TypeScript file of the project; its outcome counts as one check. */
export async function runProgram(
  command: string,
  parameters: string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const { code, output } = await run(command, parameters, options);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0, output };
}

export interface AvaOptions extends RunOptions {
  /** Files that run at a time. Default: as many as there are processors. */
  readonly concurrency?: number;
  /** The tests of a file run one after the other. */
  readonly serial?: boolean;
}

/**
 * Compiles the project and runs test files of it by ava.
 *
 * @param files sources, relative to the project's folder
 */
export async function runAva(files: string[], options: AvaOptions = {}): Promise<Outcome> {
  await compileOnce();
  const parameters = ["--config", "test/ava.config.js", ...files.map(compiled)];
  if (options.concurrency !== undefined) parameters.push("--concurrency", String(options.concurrency));
  if (options.serial === true) parameters.push("--serial");
  const { code, output } = await run("ava", parameters, options);
  const outcome = { ...countAva(output), output: output.replace(/^ *✔ .*\n/gm, "") };
  // A crash of ava itself must not look like success.
  return code === 0 || outcome.failed > 0 ? outcome : { ...outcome, failed: 1 };
}

let compiling: Promise<void> | null = null;

/** Suites that run side by side share one compilation. */
function compileOnce(): Promise<void> {
  return (compiling ??= compile());
}

/** Of what a program printed, what tells why it failed, in `most` characters: ava's marks of failed tests, and what is said of them. */
export function digest(output: string, most = 6000): string {
  const parts = output.split(/^ *─$/m);
  const marks = parts[0]!.match(/^ *[✘◌] .*$/gm) ?? [];
  const said = marks.length > 0 ? [...marks, parts.slice(1).join("")] : [output];
  const text = said
    .join("\n")
    .replace(/\n\s*\n/g, "\n")
    .trim();
  return text.length <= most ? text : `${text.slice(0, most)}\n[...]`;
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
  { live = false }: RunOptions,
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
