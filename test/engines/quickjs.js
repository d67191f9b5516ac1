/**
 * QuickJS (as WebAssembly, thus with 32-bit pointers) as the other engines are run: `node quickjs.js [--limit BYTES] FILE ...`;
 * see native/duktape.c for what scripts are given. It keeps no high-water mark: `peak()` is 0, and `--limit` finds it out.
 */
import { readFileSync } from "node:fs";
import { getQuickJS } from "quickjs-emscripten";

const files = process.argv.slice(2);
const limit = files[0] === "--limit" ? Number(files.splice(0, 2)[1]) : -1;
const runtime = (await getQuickJS()).newRuntime();
const context = runtime.newContext();
/** @type {string[]} */
const lines = [];

function heap() {
  // QuickJS counts references; cycles are collected when a limit makes it look for them.
  runtime.setMemoryLimit(limit);
  const usage = runtime.computeMemoryUsage();
  const used = context.getNumber(context.getProp(usage, "memory_used_size"));
  usage.dispose();
  return used;
}

/**
 * @param {string} name
 * @param {(...values: import("quickjs-emscripten").QuickJSHandle[]) => import("quickjs-emscripten").QuickJSHandle | void} body
 */
function provide(name, body) {
  const handle = context.newFunction(name, body);
  context.setProp(context.global, name, handle);
  handle.dispose();
}
provide("print", (text) => void lines.push(context.getString(text)));
provide("heap", () => context.newNumber(heap()));
provide("peak", () => context.newNumber(0));
runtime.setMemoryLimit(limit);
for (const file of files) {
  const result = context.evalCode(readFileSync(file, "utf8"), file);
  if (result.error) {
    const { name, message, stack } = context.dump(result.error);
    console.error(`${file}: ${name}: ${message}\n${stack}`);
    process.exitCode = 1;
    break;
  }
  result.value.dispose();
}
process.stdout.write(lines.map((line) => `${line}\n`).join(""));
