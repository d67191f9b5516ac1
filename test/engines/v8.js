/** V8 as the other engines are run: `node --expose-gc v8.js FILE ...`; see native/duktape.c for what scripts are given. */
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";

const collect = /** @type {() => void} */ (globalThis.gc);
let most = 0;

function heap() {
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  const used = heapUsed + arrayBuffers;
  if (used > most) most = used;
  return used;
}

/** @type {string[]} */
const lines = [];
Object.assign(globalThis, {
  print: (/** @type {string} */ text) => void lines.push(text),
  heap,
  peak: () => most,
});
for (const file of process.argv.slice(2)) runInThisContext(readFileSync(file, "utf8"), file);
process.stdout.write(lines.map((line) => `${line}\n`).join(""));
