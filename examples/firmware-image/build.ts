/**
 * `npm run firmware [-- BOARD ...]`: complete images for emulated boards, build/firmware/BOARD.elf.
 *
 * The application becomes one ES5 script (rollup.config.js), the script Duktape's bytecode, and that a constant in ROM between
 * the engine, the glue and the board's drivers. `--source` leaves the script as it is, for the engine to compile at each boot.
 */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { bundle } from "../../rollup.config.js";
import { duktapeSource } from "./duktape-source.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "../..");
const BARE = join(ROOT, "ports/bare");
const MPS2 = join(BARE, "boards/mps2");
export const BUILD = join(ROOT, "build");
const FIRMWARE = join(BUILD, "firmware");

export interface Board {
  readonly about: string;
  /** What the compiler must know of the processor. */
  readonly cpu: readonly string[];
  readonly defines: readonly string[];
}

/** By the names that QEMU has for them. */
export const BOARDS: Readonly<Record<string, Board>> = {
  "mps2-an385": {
    about: "Cortex-M3; frames are polled from the controller",
    cpu: ["-mcpu=cortex-m3"],
    defines: ["-DETHERNET_BASE=0x40200000"],
  },
  "mps2-an500": {
    about: "Cortex-M7 with a floating-point unit; an interrupt puts frames into a ring",
    cpu: ["-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"],
    defines: ["-DETHERNET_BASE=0xa0000000", "-DLAN9118_RING"],
  },
};

export interface ImageOptions {
  /** `"bytecode"` (default), or `"source"`: compiled when it boots. */
  script?: "bytecode" | "source";
  /** The application: a file that exports `start(bare, device)`. Default main.ts. */
  entry?: string;
}

/** Programs that a build runs, for those who ask before. */
export const PROGRAMS = [
  "arm-none-eabi-gcc",
  "arm-none-eabi-size",
  "qemu-system-arm",
  "apt-get",
  "tar",
  "xz",
];

const FLAGS = "-mthumb -Os -std=gnu11 -ffunction-sections -fdata-sections -fno-common -g0".split(" ");
const WARNINGS = "-Wall -Wextra -Wshadow -Wstrict-prototypes -Werror".split(" ");
const LINK =
  "-nostartfiles -Wl,--gc-sections -Wl,--no-warn-rwx-segments --specs=nano.specs --specs=nosys.specs -lm".split(
    " ",
  );

const run = promisify(execFile);

async function gcc(parameters: readonly string[]): Promise<void> {
  await run("arm-none-eabi-gcc", [...parameters]);
}

/** `path` unless it is there already: made as a file beside it first, so that a build that breaks off leaves nothing half done. */
async function once(path: string, make: (target: string) => Promise<void>): Promise<string> {
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const target = `${path}.${process.pid}${path.slice(path.lastIndexOf("."))}`;
  await make(target);
  renameSync(target, path);
  return path;
}

/** A name for what is made of `inputs`. */
function key(...inputs: (string | Buffer)[]): string {
  const hash = createHash("sha256");
  for (const input of inputs) hash.update(`${input.length}:`).update(input);
  return hash.digest("hex").slice(0, 16);
}

function contents(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /\.(c|h|S|ld)$/.test(name))
    .map((name) => readFileSync(join(folder, name), "utf8"));
}

/** The engine, with engine.h at the end of its configuration: its folder of headers, and the object file. */
async function engine(board: Board): Promise<{ include: string; object: string }> {
  const source = duktapeSource(BUILD);
  const tuning = readFileSync(join(HERE, "engine.h"), "utf8");
  const flags = [...board.cpu, ...FLAGS];
  const include = join(FIRMWARE, `engine-${key(tuning)}`);
  await once(join(include, "duk_config.h"), async (target) => {
    const config = readFileSync(join(source, "duk_config.h"), "utf8");
    writeFileSync(target, config.replace(/(#endif[^\n]*\n)\s*$/, `${tuning}\n$1`));
  });
  for (const name of ["duktape.c", "duktape.h"]) {
    await once(join(include, name), async (target) =>
      writeFileSync(target, readFileSync(join(source, name))),
    );
  }
  const object = await once(join(include, `duktape-${key(flags.join())}.o`), (target) =>
    gcc([...flags, "-w", "-c", join(include, "duktape.c"), "-o", target]),
  );
  return { include, object };
}

/** Links the board's code and the engine with `sources`. */
async function link(name: string, sources: string[], defines: string[], script: Buffer): Promise<string> {
  const board = BOARDS[name]!;
  const { include, object } = await engine(board);
  const glue = ["checksum.c", "duktape-glue.c"].map((file) => join(BARE, file));
  const drivers = readdirSync(MPS2).filter((file) => file.endsWith(".c"));
  const texts = [BARE, MPS2, HERE].flatMap(contents);
  const flags = [...board.cpu, ...FLAGS, ...board.defines, ...defines];
  const identity = key(...texts, ...flags, ...sources, object, script);
  return once(join(FIRMWARE, "images", `${name}-${identity}.elf`), (target) =>
    gcc([
      ...flags,
      ...WARNINGS,
      ...[BARE, MPS2, include].map((folder) => `-I${folder}`),
      ...sources.map((file) => join(HERE, file)),
      ...glue,
      ...drivers.map((file) => join(MPS2, file)),
      object,
      ...["-T", join(MPS2, "mps2.ld")],
      ...LINK,
      ...["-o", target],
    ]),
  );
}

/** Compiles a script on the board itself. */
async function compile(name: string, script: string): Promise<string> {
  const compiler = await link(name, ["compile.c"], [], Buffer.alloc(0));
  const identity = key(readFileSync(script), basename(compiler));
  return once(join(FIRMWARE, "scripts", `${identity}.duk`), async (target) => {
    const options = ["compile", `in=${script}`, `out=${target}`].map((text) => `arg=${text}`).join();
    await run("qemu-system-arm", [
      ...["-M", name, "-kernel", compiler, "-nic", "none", "-nographic", "-monitor", "none"],
      ...["-semihosting-config", `enable=on,target=native,${options}`],
    ]);
  });
}

/** Builds an image; its path. What is there already is not made again. */
export async function buildImage(name: string, options: ImageOptions = {}): Promise<string> {
  const { script = "bytecode", entry = join(HERE, "main.ts") } = options;
  const { code } = await bundle(entry, { name: "firmware" });
  const source = await once(join(FIRMWARE, "scripts", `${key(code)}.js`), async (target) =>
    writeFileSync(target, code),
  );
  const path = script === "source" ? source : await compile(name, source);
  const defines = [`-DSCRIPT="${path}"`, ...(script === "bytecode" ? ["-DBYTECODE"] : [])];
  return link(name, ["main.c", "script.S"], defines, readFileSync(path));
}

async function main(parameters: string[]): Promise<void> {
  const names = parameters.filter((text) => !text.startsWith("--"));
  const unknown = names.filter((name) => !(name in BOARDS));
  if (unknown.length > 0) throw new Error(`no such board: ${unknown.join(", ")}`);
  const script = parameters.includes("--source") ? "source" : "bytecode";
  for (const name of names.length > 0 ? names : Object.keys(BOARDS)) {
    const image = await buildImage(name, { script });
    const target = join(FIRMWARE, `${name}.elf`);
    writeFileSync(target, readFileSync(image));
    console.log(execFileSync("arm-none-eabi-size", [target], { encoding: "utf8" }).trimEnd());
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) await main(process.argv.slice(2));
