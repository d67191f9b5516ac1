/**
 * `npm run firmware [-- BOARD ...]`: complete images for emulated boards, build/firmware/BOARD.elf.
 *
 * The application becomes one ES5 script (rollup.config.js), the script Duktape's bytecode, and that a constant in ROM, where it
 * stays (rom-script.ts), between the engine, the glue and the board's drivers. `--source` leaves the script as it is, for the engine to compile at each boot;
 * `--quickjs` takes another engine (from source). `--closed` shortens it by the application's own names as well, and drops what the application does not use (docs/size.md).
 */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { bundle } from "../../rollup.config.js";
import { debianSource } from "./debian-source.js";
import { duktapeSource } from "./duktape-source.js";
import { QJSC, npmSource } from "./npm-source.js";
import { romScript } from "./rom-script.js";

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
  /** Default `"duktape"`. With `"quickjs"` the script is source (main-quickjs.c), and there are no ciphers. */
  engine?: "duktape" | "quickjs";
  /** In a closed script: see `BundleOptions` of rollup.config.js. Default false. */
  closed?: boolean;
  /** With the ciphers of crypto.c (Mbed TLS). Default false. */
  ciphers?: boolean;
}

/** Names that a closed script keeps: what the C side gives it, and what it says of itself at /state.json. */
const SHARED = (
  "now random link linkState frameOut frameIn idle log panic checksum copy cipherOpen cipherRun cipherClose " +
  "option memory busy crc32 boots exit " +
  "uptime address heap heapPeak ram stack packets fetches succeeded failed milliseconds last status bytes crc counters"
).split(" ");

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

/** What is being made at this moment, by path. */
const underway = new Map<string, Promise<string>>();

/** `path` unless it is there already: made as a file beside it first, so that a build that breaks off leaves nothing half done. */
function once(path: string, make: (target: string) => Promise<void>): Promise<string> {
  const begin = async () => {
    if (existsSync(path)) return path;
    mkdirSync(dirname(path), { recursive: true });
    const target = `${path}.${process.pid}${path.slice(path.lastIndexOf("."))}`;
    await make(target);
    renameSync(target, path);
    return path;
  };
  const known = underway.get(path) ?? begin().finally(() => underway.delete(path));
  underway.set(path, known);
  return known;
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

/** Where Duktape thinks that a function's list of inner functions ends: at its instructions, which may be in ROM now. */
const LIST_END = "((duk_hobject **) (void *) DUK_HCOMPFUNC_GET_BYTECODE((heap), (h)))";
const DATA = "DUK_HCOMPFUNC_GET_DATA((heap), (h))";
const ROM_LIST_END = `((duk_hobject **) (void *) ((duk_size_t) ((duk_uint8_t *) DUK_HCOMPFUNC_GET_BYTECODE((heap), (h)) - \\
  DUK_HBUFFER_FIXED_GET_DATA_PTR((heap), ${DATA})) <= DUK_HBUFFER_GET_SIZE((duk_hbuffer *) ${DATA}) ? \\
  (void *) DUK_HCOMPFUNC_GET_BYTECODE((heap), (h)) : (void *) DUK_HCOMPFUNC_GET_CODE_END((heap), (h))))`;

/**
 * The engine, with engine.h at the end of its configuration and rom-script.c at its own: its folder of headers, and the object
 * file.
 */
async function engine(board: Board): Promise<{ include: string; object: string }> {
  const source = duktapeSource(BUILD);
  const [tuning, loader] = ["engine.h", "rom-script.c"].map((name) => readFileSync(join(HERE, name), "utf8"));
  const flags = [...board.cpu, ...FLAGS];
  const include = join(FIRMWARE, `engine-${key(tuning!, loader!, ROM_LIST_END)}`);
  const copy = (name: string, change: (text: string) => string) =>
    once(join(include, name), async (target) =>
      writeFileSync(target, change(readFileSync(join(source, name), "utf8"))),
    );
  await copy("duk_config.h", (text) => text.replace(/(#endif[^\n]*\n)\s*$/, `${tuning}\n$1`));
  await copy("duktape.h", (text) => text);
  await copy("duktape.c", (text) => {
    if (text.split(LIST_END).length !== 2) throw new Error("not the sources of Duktape 2.7");
    return `${text.replace(LIST_END, () => ROM_LIST_END)}\n${loader}`;
  });
  const object = await once(join(include, `duktape-${key(flags.join())}.o`), (target) =>
    gcc([...flags, "-w", "-c", join(include, "duktape.c"), "-o", target]),
  );
  return { include, object };
}

/** What newlib has not as QuickJS expects it: directions of rounding (the nearest is all there is), time zones, threads. */
const QUICKJS_FLAGS =
  '-w -D_GNU_SOURCE -DCONFIG_VERSION="2021-03-27" -include malloc.h -DFE_TONEAREST=0 -DFE_UPWARD=1 -DFE_DOWNWARD=2 -Dtm_gmtoff=tm_isdst';

/** QuickJS in the place of Duktape: its folder of headers, and its object files. */
async function quickjs(board: Board): Promise<{ include: string; objects: string[] }> {
  const source = join(npmSource(join(BUILD, "engines"), QJSC), QJSC.folder);
  const flags = [...board.cpu, ...FLAGS, ...QUICKJS_FLAGS.split(" ")];
  const include = join(FIRMWARE, `quickjs-${key(QJSC.integrity, flags.join())}`);
  for (const name of readdirSync(source).filter((each) => /\.[ch]$/.test(each))) {
    await once(join(include, name), async (target) =>
      writeFileSync(
        target,
        readFileSync(join(source, name), "utf8").replace(/^#define CONFIG_ATOMICS$/m, ""),
      ),
    );
  }
  const objects = ["quickjs", "libregexp", "libunicode", "cutils"].map((name) =>
    once(join(include, `${name}.o`), (target) =>
      gcc([...flags, `-I${include}`, "-c", join(include, `${name}.c`), "-o", target]),
    ),
  );
  return { include, objects: await Promise.all(objects) };
}

const MBEDTLS = "aes chacha20 chachapoly cipher cipher_wrap constant_time gcm platform_util poly1305".split(
  " ",
);
const MBEDTLS_FILES = ["*/include/mbedtls/*.h", "*/library/*.h", "*/LICENSE"];

/** Mbed TLS, as much of it as mbedtls-config.h asks for: what to say to the compiler about it, and the object files. */
async function ciphers(board: Board): Promise<{ flags: string[]; objects: string[] }> {
  const source = debianSource(BUILD, "mbedtls", [
    ...MBEDTLS_FILES,
    ...MBEDTLS.map((name) => `*/library/${name}.c`),
  ]);
  const config = join(HERE, "mbedtls-config.h");
  const flags = [`-I${join(source, "include")}`, `-DMBEDTLS_CONFIG_FILE="${config}"`];
  const all = [...board.cpu, ...FLAGS, ...flags];
  const folder = join(FIRMWARE, `ciphers-${key(readFileSync(config), all.join())}`);
  const objects = MBEDTLS.map((name) =>
    once(join(folder, `${name}.o`), (target) =>
      gcc([...all, "-w", "-c", join(source, "library", `${name}.c`), "-o", target]),
    ),
  );
  return { flags, objects: await Promise.all(objects) };
}

/** Links the board's code and the engine with `sources`. */
async function link(
  name: string,
  sources: string[],
  defines: string[],
  script: Buffer,
  extra: { flags: string[]; objects: string[] } = { flags: [], objects: [] },
): Promise<string> {
  const board = BOARDS[name]!;
  const other = sources.includes("main-quickjs.c") ? await quickjs(board) : null;
  const { include, object } = other
    ? { include: other.include, object: other.objects[0]! }
    : await engine(board);
  const library = other
    ? {
        flags: ["-isystem", other.include, "-u", "_printf_float"],
        objects: other.objects.slice(1),
      }
    : extra;
  const glue = ["checksum.c", other ? "quickjs-glue.c" : "duktape-glue.c"].map((file) => join(BARE, file));
  const drivers = readdirSync(MPS2).filter((file) => file.endsWith(".c"));
  const texts = [BARE, MPS2, HERE].flatMap(contents);
  const flags = [...board.cpu, ...FLAGS, ...board.defines, ...defines, ...library.flags];
  const identity = key(...texts, ...flags, ...sources, object, ...library.objects, script);
  return once(join(FIRMWARE, "images", `${name}-${identity}.elf`), (target) =>
    gcc([
      ...flags,
      ...WARNINGS,
      ...[BARE, MPS2, include].map((folder) => `-I${folder}`),
      ...sources.map((file) => join(HERE, file)),
      ...glue,
      ...drivers.map((file) => join(MPS2, file)),
      object,
      ...library.objects,
      ...["-T", join(MPS2, "mps2.ld")],
      ...LINK,
      ...["-o", target],
    ]),
  );
}

/** Duktape's compiler calls itself for what is nested: more stack for images with it. */
const COMPILER_STACK = "-Wl,--defsym=stack_bytes=131072";

/** Compiles a script on the board itself. */
async function compile(name: string, script: string): Promise<string> {
  const compiler = await link(name, ["compile.c"], [COMPILER_STACK], Buffer.alloc(0));
  const identity = key(readFileSync(script), basename(compiler));
  return once(join(FIRMWARE, "scripts", `${identity}.duk`), async (target) => {
    const options = ["compile", `in=${script}`, `out=${target}`].map((text) => `arg=${text}`).join();
    await run("qemu-system-arm", [
      ...["-M", name, "-kernel", compiler, "-nic", "none", "-nographic", "-monitor", "none"],
      ...["-semihosting-config", `enable=on,target=native,${options}`],
    ]);
  });
}

/** The script `source`, of which `bytecode` was made, in the form that stays in ROM. */
async function rom(bytecode: string, source: string): Promise<string> {
  const script = romScript(readFileSync(bytecode), readFileSync(source, "latin1"));
  return once(bytecode.replace(/\.duk$/, `-${key(script)}.rom`), async (target) =>
    writeFileSync(target, script),
  );
}

/** The application as one script: bundled again when a file has changed that it may be made of. */
function application(entry: string, closed: boolean): Promise<string> {
  const own = [HERE, dirname(entry)].map((folder) => relative(ROOT, folder));
  const inputs = ["hypercall", "stack", "ports/bare", ...own].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .sort()
      .map((name) => join(ROOT, folder, name)),
  );
  const chain = ["rollup.config.js", "package-lock.json", "tsconfig.json"].map((name) => join(ROOT, name));
  const passes = readdirSync(join(BARE, "chain")).map((name) => join(BARE, "chain", name));
  const identity = key(
    `${entry} ${closed}`,
    ...[...inputs, ...chain, ...passes].map((path) => readFileSync(path)),
  );
  const options = closed ? { closed, reserved: SHARED } : {};
  return once(join(FIRMWARE, "scripts", `${identity}.js`), async (target) =>
    writeFileSync(target, (await bundle(entry, { name: "firmware", ...options })).code),
  );
}

/** Builds an image; its path. What is there already is not made again. */
export async function buildImage(name: string, options: ImageOptions = {}): Promise<string> {
  const { script = "bytecode", entry = join(HERE, "main.ts"), ciphers: wanted = false } = options;
  const source = await application(entry, options.closed === true);
  if (options.engine === "quickjs") {
    const defines = [`-DSCRIPT="${source}"`, COMPILER_STACK];
    return link(name, ["main-quickjs.c", "script.S"], defines, readFileSync(source));
  }
  const path = script === "source" ? source : await rom(await compile(name, source), source);
  const defines = [`-DSCRIPT="${path}"`, script === "bytecode" ? "-DBYTECODE" : COMPILER_STACK];
  if (!wanted) return link(name, ["main.c", "script.S"], defines, readFileSync(path));
  const library = await ciphers(BOARDS[name]!);
  return link(name, ["main.c", "crypto.c", "script.S"], defines, readFileSync(path), library);
}

async function main(parameters: string[]): Promise<void> {
  const names = parameters.filter((text) => !text.startsWith("--"));
  const unknown = names.filter((name) => !(name in BOARDS));
  if (unknown.length > 0) throw new Error(`no such board: ${unknown.join(", ")}`);
  const script = parameters.includes("--source") ? "source" : "bytecode";
  const closed = parameters.includes("--closed");
  const engine = parameters.includes("--quickjs") ? "quickjs" : "duktape";
  for (const name of names.length > 0 ? names : Object.keys(BOARDS)) {
    const image = await buildImage(name, { script, closed, engine });
    const target = join(FIRMWARE, `${name}.elf`);
    writeFileSync(target, readFileSync(image));
    console.log(execFileSync("arm-none-eabi-size", [target], { encoding: "utf8" }).trimEnd());
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) await main(process.argv.slice(2));
