/** `npm run size -- --functions tcp4 [--open]`: the bytes of a combination's script, by the function and the file they were written in. */
import { SourceMap } from "node:module";
import { join, relative } from "node:path";
import { rollup } from "rollup";
import { minify } from "terser";
import ts from "typescript";
import { membersOf } from "../../ports/bare/chain/members.js";
import { walk } from "../../ports/bare/chain/syntax.js";
import { es5Options, lower, reservedNames, shrinking, typescript } from "../../rollup.config.js";
import { ROOT } from "../support/files.js";

/** Bytes by function, `class.method` or `class`, behind its file; and by file. */
export interface Histogram {
  readonly total: number;
  readonly functions: ReadonlyMap<string, number>;
  readonly files: ReadonlyMap<string, number>;
}

/** What is between functions, or has no name any more. */
export const OTHER = "(other)";

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
  const regions = regionsOf(lowered, homesOf(modules));
  const lines = lineStarts(lowered);
  const functions = new Map<string, number>();
  const files = new Map<string, number>();
  const entries = new SourceMap(map as ConstructorParameters<typeof SourceMap>[0]);
  const add = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
  let region: Region | undefined;
  for (let at = 0; at < code!.length; at++) {
    const entry = entries.findEntry(0, at);
    if ("originalLine" in entry && entry.generatedColumn === at)
      region = regions(lines[entry.originalLine]! + entry.originalColumn);
    add(functions, region === undefined ? OTHER : `${region.file} ${region.name}`);
    add(files, region?.file ?? OTHER);
  }
  return { total: code!.length, functions, files };
}

/** Which file a function, class or variable of the script was declared in: by the names that rollup has given, and by class. */
function homesOf(modules: Readonly<Record<string, { code: string | null }>>): (name: string) => string {
  const { homes } = membersOf(ROOT);
  const present = new Set(Object.keys(modules).map((path) => relative(ROOT, path)));
  const declared = new Map<string, string>();
  for (const [path, { code }] of Object.entries(modules)) {
    for (const [, name] of (code ?? "").matchAll(/^ *(?:function|class|const|let|var) ([\w$]+)/gm)) {
      if (!declared.has(name!)) declared.set(name!, relative(ROOT, path));
    }
  }
  return (name) => {
    // What was a method or a field is called after its class, after which it may have a number of its own.
    const [own, ...rest] = name.split("$");
    const type = rest.find((part) => /^[A-Z]\w*[a-z]/.test(part));
    const home = homes[type ?? ""] ?? "";
    return declared.get(name) ?? (present.has(home) ? home : (declared.get(own!) ?? OTHER));
  };
}

interface Region {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly file: string;
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** Whose text stands at a place: of what is in one another the innermost function, or the outermost variable. */
function regionsOf(code: string, home: (name: string) => string): (at: number) => Region | undefined {
  const found: Region[] = [];
  walk(ts.createSourceFile("in.js", code, ts.ScriptTarget.ES5, true), (node) => {
    let name: string | undefined;
    let owner: string | undefined;
    if (ts.isFunctionDeclaration(node)) name = node.name?.text;
    else if (ts.isVariableDeclaration(node) && isOutermost(node)) name = node.name.getText();
    else if (ts.isBlock(node))
      name = /^\{\s*\/\* (\S+) \*\//.exec(code.slice(node.getStart(), node.getStart() + 200))?.[1];
    else if (ts.isFunctionExpression(node) && ts.isPropertyAssignment(node.parent)) {
      const object = node.parent.parent.parent;
      owner = ts.isBinaryExpression(object) ? object.left.getText().split(".")[0]! : "";
      name = `${owner}.${node.parent.name.getText()}`;
    }
    if (name === undefined) return;
    const file = home(owner ?? name);
    found.push({ start: node.getStart(), end: node.end, name: plain(name), file });
  });
  found.sort((a, b) => a.end - a.start - (b.end - b.start));
  return (at) => found.find(({ start, end }) => start <= at && at < end);
}

/** Whether a variable is the script's, beside its functions. */
function isOutermost(node: ts.Node): boolean {
  let functions = 0;
  for (let at = node.parent; at !== undefined; at = at.parent) if (ts.isFunctionLike(at)) functions++;
  return functions === 1;
}

/** A name as in the sources: the chain adds classes, and that a function has been a method. */
function plain(name: string): string {
  const [owner, method] = name.split(".");
  if (method !== undefined) return `${owner}.${method.replace(/\$.*/, "")}`;
  const [, own, type] = /^(\w+?)\$(?:Q_|C_)?(\w+)\$of$/.exec(name) ?? [];
  return own === undefined ? name.replace(/\$(of|\d+)$/, "") : `${type}.${own}`;
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
