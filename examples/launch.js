/**
 * Runs one of the project's TypeScript programs: `node examples/launch.js FILE [ARGUMENT ...]`.
 *
 * Plain JavaScript, because it runs first on a fresh clone: it installs the dependencies when they are missing, and only
 * then loads the program through tsx.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** npm writes this file last: without it an install has not been done, or was cut short. */
const INSTALLED = "node_modules/.package-lock.json";

/**
 * Becomes the program `file`: it sees its own path and `parameters` as `process.argv`.
 *
 * @param {string} file the program, relative to the project's folder
 * @param {string[]} parameters its command line
 */
export async function launch(file, parameters) {
  if (!existsSync(root + INSTALLED)) install();
  if (!existsSync(root + file)) {
    console.error(`anystack: there is no ${file} yet`);
    process.exit(2);
  }
  const { register } = await import("tsx/esm/api");
  register();
  process.argv = [process.execPath, root + file, ...parameters];
  await import(pathToFileURL(root + file).href);
}

function install() {
  console.error("anystack: first run, installing the dependencies (npm ci)");
  const result = spawnSync("npm", ["ci", "--include=dev", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (result.status !== 0) {
    console.error("anystack: npm ci failed");
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file, ...parameters] = process.argv.slice(2);
  if (file === undefined) {
    console.error("usage: node examples/launch.js FILE [ARGUMENT ...]");
    process.exit(2);
  }
  await launch(file, parameters);
}
