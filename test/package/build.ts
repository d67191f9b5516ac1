/**
 * `npm run build`: dist/ with one JavaScript module and its types for each source, and dist/component/NAME.js for each
 * component, so that one pattern of the exports map names them all.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { PACKED, packedMembers } from "../../ports/bare/chain/members.js";
import { transpile } from "../../rollup.config.js";
import { filesBelow, ROOT } from "../support/files.js";
import { parts } from "./components.js";

/** Builds into `target`; what was there is removed. Throws with the compiler's messages. */
export function build(target: string): void {
  rmSync(target, { recursive: true, force: true });
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const parameters = [compiler, "-p", "tsconfig.build.json", "--outDir", target];
  const { status, stdout } = spawnSync(process.execPath, parameters, { cwd: ROOT, encoding: "utf8" });
  if (status !== 0) throw new Error(stdout);

  // What is not TypeScript goes along as it is (a launcher script of a port, say).
  for (const file of filesBelow("ports", "").filter((path) => /\.(?!ts$|md$)[a-z]+$/.test(path))) {
    cpSync(join(ROOT, file), join(target, file));
  }
  // The firmware chain, for `anystack/firmware`, and what it knows of the sources.
  cpSync(join(ROOT, "rollup.config.js"), join(target, "rollup.config.js"));
  writeFileSync(
    join(target, PACKED),
    JSON.stringify(packedMembers(ROOT, (code, file) => transpile(code, file))),
  );
  const folder = join(target, "component");
  mkdirSync(folder);
  for (const [name, file] of parts()) {
    const text = `export * from "../${file.replace(/\.ts$/, ".js")}";\n`;
    writeFileSync(join(folder, `${name}.js`), text);
    writeFileSync(join(folder, `${name}.d.ts`), text);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const target = join(ROOT, "dist");
  try {
    build(target);
    console.log(`built ${relative(process.cwd(), target) || target}`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
