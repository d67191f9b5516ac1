/**
 * The engines that are C programs, built once into build/engines/: Duktape from Debian's library, Moddable XS from the sources
 * that the npm package `@agoric/xsnap` carries.
 *
 * That package is fetched as a file and not installed: it would bring some sixty others, and build itself twice. Its digest is
 * pinned here as a lock file would.
 */
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../support/files.js";
import { missing } from "../support/need.js";

const run = promisify(execFile);

const SOURCES = join(ROOT, "test/engines/native");
const BUILD = join(ROOT, "build/engines");

/** Moddable's XS (version 13.3 of the engine), as Agoric publishes it. */
const XSNAP = {
  name: "@agoric/xsnap",
  version: "0.15.0",
  integrity:
    "sha512-ZBm4DZxbtfacxMHVVdJjZi0Y8zOxN77vpu1WwI5RWfPkaRh0aHkz/dVdTGKXalDNzWfz183lljKxlxl3/h0n+A==",
};

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
export function obstacles(engine: "duktape" | "xs"): string[] {
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
    const engine = join(await fetchXs(), "moddable/xs");
    const objects = `${program}.objects`;
    mkdirSync(objects, { recursive: true });
    const folders = [SOURCES, ...["includes", "platforms", "sources"].map((name) => join(engine, name))];
    const flags = [...XS_FLAGS, ...folders.map((folder) => `-I${folder}`)];
    const waiting = [
      ...readdirSync(join(engine, "sources"))
        .filter((name) => name.endsWith(".c"))
        .map((name) => join(engine, "sources", name)),
      ...own.map((name) => join(SOURCES, name)),
    ];
    const made: string[] = [];
    const worker = async () => {
      for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
        const object = join(objects, basename(file, ".c") + ".o");
        await run("gcc", [...flags, "-c", file, "-o", object]);
        made.push(object);
      }
    };
    await Promise.all([worker(), worker()]);
    await run("gcc", [...made.sort(), "-lm", "-lpthread", "-o", program]);
    rmSync(objects, { recursive: true });
  });
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

/** The folder of XS's sources. Without a network it must be there already: `npm run engines -- --install`. */
export async function fetchXs(): Promise<string> {
  const { name, version, integrity } = XSNAP;
  const folder = join(BUILD, `xsnap-${version}`);
  if (existsSync(folder)) return folder;
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  try {
    const npm = ["pack", `${name}@${version}`, "--silent", "--ignore-scripts", "--pack-destination", draft];
    const { status, stderr } = spawnSync("npm", npm, { encoding: "utf8" });
    if (status !== 0) throw new Error(`npm pack ${name}@${version}: ${stderr.trim()}`);
    const archive = join(
      draft,
      readdirSync(draft).find((file) => file.endsWith(".tgz"))!,
    );
    const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (found !== integrity) throw new Error(`${name}@${version} has the digest ${found}`);
    await run("tar", ["-xzf", archive, "-C", draft, "--strip-components=1", "package/moddable/xs"]);
    rmSync(archive);
    if (!existsSync(folder)) renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return folder;
}
