/** The engines that firmware meets, behind one function: run some scripts in one global, and return the lines they print. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ExecutionContext } from "ava";
import { ROOT } from "../support/files.js";
import { missing } from "../support/need.js";
import { duktape, obstacles, xs } from "./native.js";

export interface Engine {
  readonly name: string;
  /** What is missing on this machine, as lines for people. */
  obstacles(): string[];
  /** The command line that the scripts' paths are appended to. */
  command(limit?: number): Promise<string[]>;
}

const here = (file: string) => join(ROOT, "test/engines", file);
const option = (limit?: number) => (limit === undefined ? [] : ["--limit", String(limit)]);

export const ENGINES: readonly Engine[] = [
  {
    name: "V8",
    obstacles: () => [],
    command: async () => [process.execPath, "--expose-gc", here("v8.js")],
  },
  {
    name: "Duktape",
    obstacles: () => obstacles("duktape"),
    command: async (limit) => [await duktape(), ...option(limit)],
  },
  {
    name: "QuickJS",
    obstacles: () => missing({ packages: ["quickjs-emscripten"] }),
    command: async (limit) => [process.execPath, here("quickjs.js"), ...option(limit)],
  },
  {
    name: "XS",
    obstacles: () => obstacles("xs"),
    // It knows no limit; asked for one, it keeps its memory as small as it can.
    command: async (limit) => [await xs(), ...(limit === undefined ? [] : ["--small"])],
  },
];

export function engine(name: string): Engine {
  const found = ENGINES.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no engine ${name}`);
  return found;
}

/** False after the test has got its verdict: a failure in CI, else a skip that says what to install. */
export async function have(t: ExecutionContext, engine: Engine): Promise<boolean> {
  const problem = await obstacle(engine);
  if (problem === null) return true;
  if (process.env.CI === "true") t.fail(problem);
  else {
    t.log(`SKIPPED: ${problem}`);
    t.pass();
  }
  return false;
}

/** Builds the engine if need be; why it cannot be had, or null. */
export async function obstacle(engine: Engine): Promise<string | null> {
  const lines = engine.obstacles();
  if (lines.length > 0) return lines.join("; ");
  return engine.command().then(
    () => null,
    (error: Error) => error.message,
  );
}

const start = promisify(execFile);

/** Largest output of a run, bytes. */
const OUTPUT = 1 << 28;

/**
 * Runs `scripts` one after the other in one global of a fresh engine. Throws what the engine said when one of them did.
 *
 * @param limit bytes that the engine may take (Duktape, QuickJS)
 */
export async function runScripts(
  engine: Engine,
  scripts: readonly string[],
  limit?: number,
): Promise<string[]> {
  return withFiles(scripts, async (files) => {
    const [program, ...parameters] = await engine.command(limit);
    const run = start(program!, [...parameters, ...files], { maxBuffer: OUTPUT, encoding: "latin1" });
    const { stdout } = await run.catch((error: { code: unknown; stderr: string }) => {
      // Engines quote the line that failed, and a bundle is one line.
      const said = error.stderr.split("\n").map((line) => line.slice(0, 200));
      throw new Error(`${engine.name} (${error.code}): ${said.join("\n").trim()}`);
    });
    return stdout === "" ? [] : stdout.replace(/\n$/, "").split("\n");
  });
}

/** Bytes that each of `scripts` has as Duktape's bytecode. */
export async function bytecodeSizes(scripts: readonly string[]): Promise<number[]> {
  return withFiles(scripts, async (files) => {
    const { stdout } = await start(await duktape(), ["--bytecode", ...files]);
    return stdout.trim().split("\n").map(Number);
  });
}

async function withFiles<T>(scripts: readonly string[], use: (files: string[]) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "anystack-engine-"));
  try {
    return await use(
      scripts.map((text, i) => {
        const file = join(folder, `${i}.js`);
        writeFileSync(file, text);
        return file;
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
