/**
 * Compiles the whole project once, file by file, so that the test files, a process each, load plain JavaScript: a loader
 * that compiles on the way costs each of them half a second.
 *
 * `import.meta` stays the source's own, so that whatever lies beside it is found.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { transform } from "esbuild";
import { filesBelow, ROOT } from "./files.js";

/** Where the compiled files go, in folders like those of the project. */
export const BUILD = "build/test";

const FOLDERS = ["hypercall", "stack", "ports", "examples", "test"];

/** Compiles every source of the project into `BUILD`; what has not changed stays as it is, for another run may be using it. */
export async function compile(): Promise<void> {
  const sources = FOLDERS.flatMap((folder) => [...filesBelow(folder, ".ts"), ...filesBelow(folder, ".js")]);
  sources.push("rollup.config.js");
  await Promise.all(sources.filter((path) => !path.endsWith(".d.ts")).map(compileFile));
}

/** The compiled file of the source `path`. */
export function compiled(path: string): string {
  return `${BUILD}/${path.replace(/\.ts$/, ".js")}`;
}

async function compileFile(path: string): Promise<void> {
  const source = join(ROOT, path);
  const target = join(ROOT, compiled(path));
  const { code } = await transform(readFileSync(source, "utf8"), {
    loader: path.endsWith(".ts") ? "ts" : "js",
    format: "esm",
    target: "node20",
    sourcemap: "inline",
    sourcefile: source,
    define: {
      "import.meta.url": JSON.stringify(pathToFileURL(source).href),
      "import.meta.dirname": JSON.stringify(dirname(source)),
    },
    // Class fields as the project's compiler makes them.
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false, verbatimModuleSyntax: true } },
  });
  if (existsSync(target) && readFileSync(target, "utf8") === code) return;
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, code);
}
