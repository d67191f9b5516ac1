/**
 * lwIP native as the benchmark's measure: built with -O2 from Debian's source package, which is fetched through a private list
 * derived from the machine's own apt sources. Its two ends are the same objects linked twice, each time with all names local.
 */
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { ROOT, filesBelow } from "../support/files.js";
import { findProgram } from "../support/need.js";

/** What the build needs of the machine. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "apt-get": "apt",
  gcc: "gcc",
  ld: "binutils",
  objcopy: "binutils",
  tar: "tar",
  xz: "xz-utils",
};
export const APT_LINE = "apt-get install -y --no-install-recommends gcc libc6-dev binutils xz-utils";

const SOURCES = join(ROOT, "test/bench/lwip");
const FLAGS = ["-O2", "-w", "-I" + SOURCES];
/** Compilers that run at a time. */
const JOBS = 2;

const execute = promisify(execFile);

/** Builds the program (once for each state of its sources) and returns its path. Throws where it cannot, saying why. */
export async function buildLwip(log: (line: string) => void): Promise<string> {
  const folder = join(ROOT, "build/lwip");
  const program = join(folder, "bench-" + fingerprint());
  if (existsSync(program)) return program;
  const absent = Object.keys(PROGRAMS).filter((name) => findProgram(name) === null);
  if (absent.length > 0) throw new Error(`${absent.join(", ")} not found: ${APT_LINE}`);
  const work = join(folder, "work");
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  log("fetching the source package of lwIP");
  fetchSource(work);
  log("compiling lwIP");
  const tree = readdirSync(work).find((name) => name.startsWith("lwip-"));
  if (!tree) throw new Error("the source package holds no lwip-* folder");
  const source = join(work, tree, "src");
  const files = ["core", "core/ipv4"].flatMap((part) => sourcesIn(join(source, part)));
  files.push(join(source, "netif/ethernet.c"), join(SOURCES, "end.c"));
  const objects: string[] = [];
  const jobs = files.map((file, index) => {
    const object = join(work, `${index}-${basename(file, ".c")}.o`);
    objects.push(object);
    return ["gcc", ...FLAGS, "-I" + join(source, "include"), "-c", file, "-o", object];
  });
  await Promise.all(
    Array.from({ length: JOBS }, async () => {
      for (let job; (job = jobs.pop());) await execute(job[0], job.slice(1));
    }),
  );
  const whole = join(work, "whole.o");
  await execute("ld", ["-r", "-o", whole, ...objects]);
  const ends = ["a", "b"].map((end) => join(work, `end-${end}.o`));
  for (const end of ends) {
    const name = "lwip_" + basename(end, ".o").replace("-", "_");
    await execute("objcopy", [`--redefine-sym=lwip_end=${name}`, `--keep-global-symbol=${name}`, whole, end]);
  }
  const made = join(work, "bench");
  await execute("gcc", [...FLAGS, join(SOURCES, "main.c"), ...ends, "-o", made]);
  renameSync(made, program);
  rmSync(work, { recursive: true, force: true });
  return program;
}

function sourcesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".c"))
    .map((name) => join(folder, name));
}

function fingerprint(): string {
  const hash = createHash("sha256");
  for (const file of [...filesBelow("test/bench/lwip", ".c"), ...filesBelow("test/bench/lwip", ".h")]) {
    hash.update(readFileSync(join(ROOT, file)));
  }
  return hash.digest("hex").slice(0, 12);
}

/** Unpacks lwIP's upstream source into `work`. The machine's own apt lists stay as they are; no root is needed. */
function fetchSource(work: string): void {
  mkdirSync(join(work, "lists/partial"), { recursive: true });
  mkdirSync(join(work, "cache/archives/partial"), { recursive: true });
  const etc = "/etc/apt";
  const parts = existsSync(join(etc, "sources.list.d")) ? readdirSync(join(etc, "sources.list.d")) : [];
  const names = ["sources.list", ...parts.map((name) => join("sources.list.d", name))];
  mkdirSync(join(work, "parts"));
  for (const name of names.filter((name) => existsSync(join(etc, name)))) {
    const text = readFileSync(join(etc, name), "utf8")
      .replace(/^Types:.*$/gm, "Types: deb-src")
      .replace(/^deb(?=[ \t])/gm, "deb-src");
    writeFileSync(join(work, "parts", basename(name)), text);
  }
  const options = [
    "-o=Dir::Etc::sourcelist=/dev/null",
    `-o=Dir::Etc::sourceparts=${join(work, "parts")}`,
    `-o=Dir::State::lists=${join(work, "lists")}`,
    `-o=Dir::Cache=${join(work, "cache")}`,
    "-o=APT::Sandbox::User=",
    "-o=Acquire::Languages=none",
    "-q",
  ];
  const apt = (...parameters: string[]) =>
    spawnSync("apt-get", [...options, ...parameters], { cwd: work, encoding: "utf8" });
  const update = apt("update");
  const source = apt("source", "--download-only", "lwip");
  if (source.status !== 0) {
    throw new Error(`apt-get source lwip: ${(source.stderr || update.stderr).trim().split("\n").pop()}`);
  }
  const archive = readdirSync(work).find((name) => /^lwip_.*\.orig\.tar\./.test(name));
  if (!archive) throw new Error("the source package holds no upstream archive");
  const tar = spawnSync("tar", ["-xf", archive], { cwd: work, encoding: "utf8" });
  if (tar.status !== 0) throw new Error(`tar: ${tar.stderr.trim()}`);
}
