/**
 * The firmware chain with a memory: of the same sources the same script comes, in whichever test.
 *
 * The bundles lie in build/bundles/ by the digest of all that goes into them. Who comes second while another makes a bundle
 * waits for it: the stages of the tests run side by side, and ask for the same combinations.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import * as chain from "../../rollup.config.js";
import { filesBelow, ROOT } from "./files.js";

const FOLDER = join(ROOT, "build/bundles");

type Options = NonNullable<Parameters<typeof chain.bundle>[1]>;
type Bundle = Awaited<ReturnType<typeof chain.bundle>>;

/** What the chain takes for what is not said: saying it makes no other bundle. */
const DEFAULTS: Options = { format: "es5", name: "anystack", minify: true, closed: false };

let digest: string | undefined;

/** A digest of all sources, the chain, and the versions of its tools. */
function sources(): string {
  if (digest !== undefined) return digest;
  const hash = createHash("sha256");
  const folders = ["stack", "hypercall", "ports", "test/engines/program", "test/ports"];
  for (const file of [
    ...folders.flatMap((folder) => filesBelow(folder)),
    ...filesBelow("ports/bare/chain", ".js"),
    ...["rollup.config.js", "package-lock.json", "tsconfig.json"],
  ]) {
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(join(ROOT, file)));
  }
  return (digest = hash.digest("hex"));
}

/** As `bundle` of rollup.config.js. The entry lies below stack/, ports/ or test/, or its text is given. */
export async function bundle(entry: string, options: Options = {}): Promise<Bundle> {
  const { source: text = readFileSync(entry, "utf8"), ...others } = {
    ...DEFAULTS,
    single: options.closed === true,
    ...options,
  };
  const choice = Object.entries(others).sort(([a], [b]) => (a < b ? -1 : 1));
  const key = JSON.stringify([sources(), relative(ROOT, entry), text, choice]);
  const path = join(FOLDER, `${createHash("sha256").update(key).digest("hex").slice(0, 24)}.json`);
  const lock = `${path}.lock`;
  mkdirSync(FOLDER, { recursive: true });
  while (!existsSync(path)) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
    } catch {
      if (isForsaken(lock)) rmSync(lock, { force: true });
      await delay(100);
      continue;
    }
    try {
      const made = await chain.bundle(entry, options);
      writeFileSync(`${path}.${process.pid}`, JSON.stringify(made));
      renameSync(`${path}.${process.pid}`, path);
      return made;
    } finally {
      rmSync(lock, { force: true });
    }
  }
  return JSON.parse(readFileSync(path, "utf8")) as Bundle;
}

/** Whether the process that began the bundle has ended without it. */
function isForsaken(lock: string): boolean {
  try {
    const pid = Number(readFileSync(lock, "utf8"));
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
