/** The programs that the benchmark measures, each in one file, as a bundler makes it of an application. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { bundle } from "../../rollup.config.js";
import { ROOT, filesBelow } from "../support/files.js";

const FOLDER = join(ROOT, "build/bench");

/** The file of the program `entry`, below the project's folder: made once for each state of the sources, since it takes five seconds. */
export async function programOf(entry: string): Promise<string> {
  const hash = createHash("sha256");
  const sources = ["stack", "hypercall", "ports", "test/bench"].flatMap((folder) => filesBelow(folder));
  for (const file of [...sources, "rollup.config.js", ...filesBelow("ports/bare/chain", ".js")]) {
    hash.update(file).update(readFileSync(join(ROOT, file)));
  }
  const title = relative("test/bench", entry).replace(/\.ts$/, "").replaceAll("/", "-");
  const name = `${title}-${hash.update(entry).digest("hex").slice(0, 12)}.mjs`;
  const file = join(FOLDER, name);
  if (existsSync(file)) return file;
  const { code } = await bundle(join(ROOT, entry), { format: "esm", minify: false });
  mkdirSync(FOLDER, { recursive: true });
  const older = readdirSync(FOLDER).filter((each) => each.startsWith(title + "-"));
  for (const each of older) rmSync(join(FOLDER, each));
  writeFileSync(`${file}.${process.pid}`, code);
  renameSync(`${file}.${process.pid}`, file);
  return file;
}
