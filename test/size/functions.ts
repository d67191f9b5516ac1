/** `npm run size -- --functions tcp4 [--open]`: the bytes of a combination's script, by the function and the file they were written in. */
import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { join, relative } from "node:path";
import { rollup } from "rollup";
import { minify } from "terser";
import ts from "typescript";
import { walk } from "../../ports/bare/chain/syntax.js";
import { es5Options, lower, reservedNames, shrinking, typescript } from "../../rollup.config.js";
import { ROOT } from "../support/files.js";

/** Bytes by function, `class.method` or `class`, and by file. */
export interface Histogram {
  readonly total: number;
  readonly functions: ReadonlyMap<string, number>;
  readonly files: ReadonlyMap<string, number>;
}

/** Of terser's first pass, which leaves a few percent more than the last. */
export async function histogram(combination: string, closed: boolean): Promise<Histogram> {
  const options = { closed };
  const keep = (code: string, modules: readonly string[]) => reservedNames(code, modules, options);
  const build = await rollup({
    input: join(ROOT, `test/size/combinations/${combination}.ts`),
    plugins: [typescript({}, true)],
    onwarn: () => {},
  });
  const { output } = await build.generate({
    ...{ format: "iife", name: "anystack", exports: "named", esModule: false, freeze: false, strict: false },
    plugins: [lower(keep, options)],
  });
  const { code: lowered, modules } = output[0];
  const { code, map } = await minify(
    { "in.js": lowered },
    {
      ...shrinking(es5Options("anystack"), lowered, keep(lowered, Object.keys(modules))),
      sourceMap: { asObject: true },
    },
  );
  const regions = regionsOf(lowered);
  const lines = lineStarts(lowered);
  const functions = new Map<string, number>();
  const entries = new SourceMap(map as ConstructorParameters<typeof SourceMap>[0]);
  let name = "(other)";
  for (let at = 0; at < code!.length; at++) {
    const entry = entries.findEntry(0, at);
    if ("originalLine" in entry && entry.generatedColumn === at)
      name = regions(lines[entry.originalLine]! + entry.originalColumn);
    functions.set(name, (functions.get(name) ?? 0) + 1);
  }
  return { total: code!.length, functions, files: byFile(functions, Object.keys(modules)) };
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** Whose text stands at a place: of functions that are in one another the innermost. */
function regionsOf(code: string): (at: number) => string {
  const found: { start: number; end: number; name: string }[] = [];
  walk(ts.createSourceFile("in.js", code, ts.ScriptTarget.ES5, true), (node) => {
    let name: string | undefined;
    if (ts.isFunctionDeclaration(node)) name = node.name?.text;
    else if (ts.isBlock(node))
      name = /^\{\s*\/\* (\S+) \*\//.exec(code.slice(node.getStart(), node.getStart() + 200))?.[1];
    else if (ts.isFunctionExpression(node) && ts.isPropertyAssignment(node.parent)) {
      const owner = node.parent.parent.parent;
      const type = ts.isBinaryExpression(owner) ? owner.left.getText().split(".")[0]! : "";
      name = `${type}.${node.parent.name.getText()}`;
    }
    if (name !== undefined) found.push({ start: node.getStart(), end: node.end, name: plain(name) });
  });
  found.sort((a, b) => a.end - a.start - (b.end - b.start));
  return (at) => found.find(({ start, end }) => start <= at && at < end)?.name ?? "(other)";
}

/** A name as in the sources: the chain adds classes, and that a function has been a method. */
function plain(name: string): string {
  const [owner, method] = name.split(".");
  if (method !== undefined) return `${owner}.${method.replace(/\$.*/, "")}`;
  const [, own, type] = /^(\w+?)\$(?:Q_|C_)?(\w+)\$of$/.exec(name) ?? [];
  return own === undefined ? name.replace(/\$(of|\d+)$/, "") : `${type}.${own}`;
}

function byFile(functions: ReadonlyMap<string, number>, modules: readonly string[]): Map<string, number> {
  const homes = new Map<string, string>();
  for (const path of modules) {
    const text = readFileSync(path, "utf8");
    for (const [, name] of text.matchAll(/^(?:export )?(?:function|class) (\w+)/gm))
      homes.set(name!, relative(ROOT, path));
  }
  const files = new Map<string, number>();
  for (const [name, bytes] of functions) {
    const file = homes.get(name.split(".")[0]!) ?? "(other)";
    files.set(file, (files.get(file) ?? 0) + bytes);
  }
  return files;
}

/** Two lists, the largest first. */
export function print({ total, functions, files }: Histogram): string {
  const list = (map: ReadonlyMap<string, number>) =>
    [...map]
      .sort((a, b) => b[1] - a[1])
      .map(([name, bytes]) => `${String(bytes).padStart(7)}  ${name}`)
      .join("\n");
  return `${list(files)}\n\n${list(functions)}\n\n${String(total).padStart(7)}  all`;
}
