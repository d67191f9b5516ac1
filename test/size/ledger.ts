/** The byte ledger: what the named combinations weigh, and what each component adds. */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { bytecodeSizes, engine, obstacle, runScripts } from "../engines/engines.js";
import type { Engine } from "../engines/engines.js";
import { components, factoryName, parts } from "../package/components.js";
import { bundle } from "../support/bundle.js";
import { ROOT } from "../support/files.js";
import { type Recipe, needs } from "./needs.js";

/** Bytes of one bundle, or of a difference of two. */
export interface Weight {
  /** The minified ES5 script. */
  es5: number;
  /** The same with the application inside (`closed`): of combinations alone, since what a component adds depends on who calls it. */
  es5Closed?: number;
  /** The minified ES2022 module, as it is and gzipped. */
  esm: number;
  esmGzip: number;
  /** The script as Duktape's bytecode; absent, as those below, where there is no such engine. */
  bytecode?: number;
  /** What the script takes of an engine's heap once it is loaded from source. QuickJS has 32-bit pointers, the others 64. */
  heapDuktape?: number;
  heapXs?: number;
  heapQuickjs?: number;
}

export const TEXTS = ["es5", "es5Closed", "esm", "esmGzip"] as const;
export const HEAPS = { heapDuktape: "Duktape", heapXs: "XS", heapQuickjs: "QuickJS" } as const;

export interface Ledger {
  readonly combinations: Record<string, Weight>;
  readonly components: Record<string, Weight>;
}

const FOLDER = join(ROOT, "test/size/combinations");

/**
 * Measures all combinations and all components, or those that `wanted` names.
 *
 * @param engines also in the engines
 */
export async function measure(
  engines: boolean,
  wanted?: Record<keyof Ledger, Readonly<Record<string, object>>>,
): Promise<Ledger> {
  const meters = engines ? await findMeters() : [];
  const ledger: Ledger = { combinations: {}, components: {} };
  const skip = (section: keyof Ledger, name: string) => wanted !== undefined && !(name in wanted[section]);
  for (const file of readdirSync(FOLDER).sort()) {
    const name = basename(file, ".ts");
    if (skip("combinations", name)) continue;
    const weight = await weigh(meters, join(FOLDER, file));
    if (wanted === undefined || "es5Closed" in wanted.combinations[name]!) {
      const { code } = await bundle(join(FOLDER, file), { closed: true });
      weight.es5Closed = byteLength(code);
    }
    ledger.combinations[name] = weight;
  }
  const files = components();
  const all = parts();
  const known = new Map<string, Weight>();
  const stackOf = async (recipe: Recipe) => {
    const text = entry(recipe, all);
    const weight = known.get(text) ?? (await weigh(meters, join(ROOT, "test/size/entry.ts"), text));
    known.set(text, weight);
    return weight;
  };
  if (!skip("components", "core")) ledger.components.core = await stackOf({ components: [], calls: [] });
  for (const [name, file] of files) {
    if (skip("components", name)) continue;
    const recipes = needs(name, file);
    ledger.components[name] = difference(await stackOf(recipes.with), await stackOf(recipes.without));
  }
  return ledger;
}

/** The text of an entry file for `recipe`. */
export function entry({ components: names, calls }: Recipe, files: ReadonlyMap<string, string>): string {
  const text = calls.join("\n");
  const isCalled = (name: string) => new RegExp(`(^|[^$\\w.])${factoryName(name)}\\(`, "m").test(text);
  const imports = [...files]
    .filter(([name]) => names.includes(name) || isCalled(name))
    .map(([name, file]) => `import { ${factoryName(name)} } from "../../${file.replace(/\.ts$/, ".js")}";\n`);
  const rest = new Set(calls);
  let variables = "";
  const list = names.map((name) => {
    const factory = factoryName(name);
    const call = calls.find((each) => each.startsWith(`${factory}(`)) ?? `${factory}()`;
    rest.delete(call);
    if (!text.includes(`$${factory}`)) return call;
    variables += `  const $${factory} = ${call};\n`;
    return `$${factory}`;
  });
  return `import { createStack } from "../../stack/index.js";
${imports.join("")}export function start(hypercalls, link) {
${variables}  const stack = createStack(hypercalls, [${list.join(", ")}]);
  ${text.includes("$nif") ? "const $nif = " : ""}stack.addInterface(link);
${[...rest].map((call) => `  ${call};\n`).join("")}  return stack;
}
`;
}

function difference(more: Weight, less: Weight): Weight {
  const result = { ...more };
  for (const [kind, value] of Object.entries(less) as [keyof Weight, number][]) {
    result[kind] = (more[kind] ?? 0) - value;
  }
  return result;
}

function byteLength(script: string): number {
  return Buffer.byteLength(script.trimEnd());
}

/** Weighs a bundle; `source` is its entry's text when there is no such file. */
export async function weigh(meters: readonly Meter[], entry: string, source?: string): Promise<Weight> {
  const options = source === undefined ? {} : { source };
  const { code: es5 } = await bundle(entry, { ...options, format: "es5" });
  const { code: esm } = await bundle(entry, { ...options, format: "esm" });
  const weight: Weight = {
    es5: byteLength(es5),
    esm: byteLength(esm),
    esmGzip: gzipSync(esm.trimEnd(), { level: 9 }).length,
  };
  const values = await Promise.all(meters.map(({ read }) => read(es5)));
  meters.forEach(({ kind }, i) => (weight[kind] = values[i]!));
  return weight;
}

/** Reads one of a script's weights off an engine. */
interface Meter {
  readonly kind: keyof Weight;
  read(script: string): Promise<number>;
}

/** Those that this machine can have; says what is missing for the others. */
async function findMeters(): Promise<Meter[]> {
  const meters: Meter[] = [];
  for (const [kind, name] of Object.entries(HEAPS) as [keyof typeof HEAPS, string][]) {
    const problem = await obstacle(engine(name));
    if (problem !== null) {
      console.error(`size: not measured in ${name}: ${problem}`);
      continue;
    }
    if (name === "Duktape")
      meters.push({ kind: "bytecode", read: async (script) => (await bytecodeSizes([script]))[0]! });
    meters.push({ kind, read: (script) => heapOf(engine(name), script) });
  }
  return meters;
}

async function heapOf(engine: Engine, script: string): Promise<number> {
  const lines = await runScripts(engine, ["var before = heap();", script, "print(String(heap() - before));"]);
  return Number(lines[0]);
}
