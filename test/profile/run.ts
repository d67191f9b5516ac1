/**
 * Checks the language profile: every source of stack/, hypercall/, ports/espruino/ and ports/bare/, then all of them together as
 * an ES5 script, as the firmware chain makes it. (The published combinations are parts of that script.)
 */
import { join, relative, resolve } from "node:path";
import { bundle } from "../support/bundle.js";
import { filesBelow, ROOT } from "../support/files.js";
import { checkBundle } from "./bundle.js";
import { checkImports } from "./imports.js";
import { checkSources } from "./source.js";

/** Globals of Espruino, which its port reads. */
const PROVIDED = ["getTime", "setTime", "setTimeout", "clearTimeout", "E", "print"];

const files = ["hypercall", "stack", "ports/espruino", "ports/bare"].flatMap((folder) => filesBelow(folder));
let failed = 0;

for (const { file, line, rule, message } of [
  ...files.flatMap((file) => checkImports(ROOT, file)),
  ...checkSources(files.map((file) => join(ROOT, file))),
]) {
  console.log(`${relative(ROOT, resolve(ROOT, file))}:${line}  ${rule}: ${message}`);
  failed++;
}

const everything = files
  .map((file, i) => `export * as f${i} from "../${file.replace(/\.ts$/, ".js")}";`)
  .join("\n");
const { code } = await bundle(join(ROOT, "build/everything.ts"), { source: everything });
for (const { rule, message, excerpt } of checkBundle(code, PROVIDED)) {
  console.log(`ES5 script  ${rule}: ${message}  in  ${excerpt}`);
  failed++;
}

console.log(`profile: ${files.length} files, ${code.length} bytes of ES5, ${failed} violations`);
process.exitCode = failed === 0 ? 0 : 1;
