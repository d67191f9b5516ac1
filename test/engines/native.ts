/**
 * The engines that are C programs, built once into build/engines/: Duktape from Debian's library, Moddable XS and QuickJS from
 * the sources that the npm packages `@agoric/xsnap` and `qjsc` carry.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { QJSC, npmSource } from "../../examples/firmware-image/npm-source.js";
import type { Carrier } from "../../examples/firmware-image/npm-source.js";
import { ROOT } from "../support/files.js";
import { missing } from "../support/need.js";

const run = promisify(execFile);

const SOURCES = join(ROOT, "test/engines/native");
const BUILD = join(ROOT, "build/engines");

/** Moddable's XS (version 13.3 of the engine), as Agoric publishes it. */
const XSNAP: Carrier = {
  name: "@agoric/xsnap",
  version: "0.15.0",
  folder: "moddable/xs",
  integrity:
    "sha512-ZBm4DZxbtfacxMHVVdJjZi0Y8zOxN77vpu1WwI5RWfPkaRh0aHkz/dVdTGKXalDNzWfz183lljKxlxl3/h0n+A==",
};

const QUICKJS_FLAGS = ["-O2", "-w", "-D_GNU_SOURCE", '-DCONFIG_VERSION="2021-03-27"'];

const XS_FLAGS = [
  "-O2",
  "-w",
  "-Werror=implicit-function-declaration",
  "-D_GNU_SOURCE",
  "-DINCLUDE_XSPLATFORM",
  '-DXSPLATFORM="xs-platform.h"',
  "-DmxParse=1",
  "-DmxRun=1",
  "-DmxSloppy=1",
  "-DmxNoConsole=1",
  "-DmxMinusZero=1",
];

const DUKTAPE_FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror"];

/** What is missing on this machine to build `engine`, as lines for people. */
export function obstacles(engine: "duktape" | "quickjs" | "xs"): string[] {
  return missing(
    engine === "duktape"
      ? { programs: ["gcc"], headers: ["duktape.h"] }
      : { programs: ["gcc", "tar"], headers: ["stdio.h"] },
  );
}

/** The path of the program native/duktape.c. */
export function duktape(): Promise<string> {
  return build("duktape", DUKTAPE_FLAGS, ["duktape.c"], async (program) => {
    await run("gcc", [...DUKTAPE_FLAGS, join(SOURCES, "duktape.c"), "-lduktape", "-lm", "-o", program]);
  });
}

/** The path of the program native/xs.c. */
export function xs(): Promise<string> {
  const own = ["xs.c", "xs-inside.c"];
  const key = [...XS_FLAGS, XSNAP.integrity];
  return build("xs", key, ["xs-platform.h", ...own], async (program) => {
    const engine = join(npmSource(BUILD, XSNAP), XSNAP.folder);
    const folders = [SOURCES, ...["includes", "platforms", "sources"].map((name) => join(engine, name))];
    const flags = [...XS_FLAGS, ...folders.map((folder) => `-I${folder}`)];
    const files = readdirSync(join(engine, "sources"))
      .filter((name) => name.endsWith(".c"))
      .map((name) => join(engine, "sources", name));
    await compile(program, flags, [...files, ...own.map((name) => join(SOURCES, name))]);
  });
}

/** The path of the program native/quickjs.c. */
export function quickjs(): Promise<string> {
  return build("quickjs", [...QUICKJS_FLAGS, QJSC.integrity], ["quickjs.c"], async (program) => {
    const engine = join(npmSource(BUILD, QJSC), QJSC.folder);
    const files = ["quickjs", "libregexp", "libunicode", "cutils"].map((name) => join(engine, `${name}.c`));
    const flags = [...QUICKJS_FLAGS, `-I${engine}`];
    // Its objects must not be taken for the engine's own file of that name.
    await compile(program, flags, files, [join(SOURCES, "quickjs.c")]);
  });
}

/** Compiles files, two at a time, and links them; `last` are compiled with the link. */
async function compile(
  program: string,
  flags: string[],
  files: string[],
  last: string[] = [],
): Promise<void> {
  const objects = `${program}.objects`;
  mkdirSync(objects, { recursive: true });
  const waiting = [...files];
  const made: string[] = [];
  const worker = async () => {
    for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
      const object = join(objects, basename(file, ".c") + ".o");
      await run("gcc", [...flags, "-c", file, "-o", object]);
      made.push(object);
    }
  };
  await Promise.all([worker(), worker()]);
  await run("gcc", [...flags, ...last, ...made.sort(), "-lm", "-lpthread", "-o", program]);
  rmSync(objects, { recursive: true });
}

/** Makes the program `name` unless it was made of the same files with the same flags. */
async function build(
  name: string,
  flags: string[],
  files: string[],
  make: (program: string) => Promise<void>,
): Promise<string> {
  const hash = createHash("sha256").update(flags.join("\0"));
  for (const file of files) hash.update(readFileSync(join(SOURCES, file)));
  const program = join(BUILD, `${name}-${hash.digest("hex").slice(0, 12)}`);
  if (existsSync(program)) return program;
  mkdirSync(BUILD, { recursive: true });
  // Whoever builds at the same time makes the same program.
  const draft = `${program}.${process.pid}`;
  await make(draft);
  renameSync(draft, program);
  return program;
}
