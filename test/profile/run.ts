/**
 * Checks the language profile: every source of stack/, hypercall/, ports/espruino/ and ports/bare/, then all of them together as
 * an ES5 script. Of the firmware chain it is lowered and shortened in one pass: what the rest of the chain makes of so much takes
 * minutes, and is checked of the published combinations (test/size/combinations.test.ts).
 */
import { join, relative, resolve } from "node:path";
import { minify, type CompressOptions } from "terser";
import { es5Options } from "../../rollup.config.js";
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
const lowered = await bundle(join(ROOT, "build/everything.ts"), { source: everything, minify: false });
const options = es5Options("anystack");
const compress = { ...(options.compress as CompressOptions), passes: 1 };
const { code = "" } = await minify(lowered.code, { ...options, compress });
for (const { rule, message, excerpt } of checkBundle(code, PROVIDED)) {
  console.log(`ES5 script  ${rule}: ${message}  in  ${excerpt}`);
  failed++;
}

console.log(`profile: ${files.length} files, ${code.length} bytes of ES5, ${failed} violations`);
process.exitCode = failed === 0 ? 0 : 1;
