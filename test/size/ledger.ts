/** The byte ledger: what the named combinations weigh, and what each component adds. */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { bytecodeSizes, engine, obstacle, runScripts } from "../engines/engines.js";
import type { Engine } from "../engines/engines.js";
import { components, factoryName, parts } from "../package/components.js";
import { bundle } from "../support/bundle.js";
import { ROOT } from "../support/files.js";
import { needs } from "./needs.js";

/** Bytes of one bundle, or of a difference of two. */
export interface Weight {
  /** The minified ES5 script. */
  es5: number;
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

export const TEXTS = ["es5", "esm", "esmGzip"] as const;
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
export async function measure(engines: boolean, wanted?: Record<keyof Ledger, object>): Promise<Ledger> {
  const meters = engines ? await findMeters() : [];
  const ledger: Ledger = { combinations: {}, components: {} };
  const skip = (section: keyof Ledger, name: string) => wanted !== undefined && !(name in wanted[section]);
  for (const file of readdirSync(FOLDER).sort()) {
    const name = basename(file, ".ts");
    if (!skip("combinations", name)) ledger.combinations[name] = await weigh(meters, join(FOLDER, file));
  }
  const files = components();
  const all = parts();
  const known = new Map<string, Weight>();
  const stackOf = async (names: readonly string[]) => {
    const key = names.join();
    const weight =
      known.get(key) ?? (await weigh(meters, join(ROOT, "test/size/entry.ts"), entry(names, all)));
    known.set(key, weight);
    return weight;
  };
  if (!skip("components", "core")) ledger.components.core = await stackOf([]);
  for (const [name, file] of files) {
    const below = needs(name, file);
    if (below === null || skip("components", name)) continue;
    ledger.components[name] = difference(await stackOf([...below, name]), await stackOf(below));
  }
  return ledger;
}

/** The text of an entry file that makes a stack of the components `names`. */
function entry(names: readonly string[], files: ReadonlyMap<string, string>): string {
  const imports = names.map(
    (name) => `import { ${factoryName(name)} } from "../../${files.get(name)!.replace(/\.ts$/, ".js")}";\n`,
  );
  return `import { createStack } from "../../stack/index.js";
${imports.join("")}export function start(hypercalls, link) {
  const stack = createStack(hypercalls, [${names.map((name) => `${factoryName(name)}()`).join(", ")}]);
  stack.addInterface(link);
  return stack;
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

/** Weighs a bundle; `source` is its entry's text when there is no such file. */
export async function weigh(meters: readonly Meter[], entry: string, source?: string): Promise<Weight> {
  const options = source === undefined ? {} : { source };
  const { code: es5 } = await bundle(entry, { ...options, format: "es5" });
  const { code: esm } = await bundle(entry, { ...options, format: "esm" });
  const bytes = (text: string) => Buffer.byteLength(text.trimEnd());
  const weight: Weight = {
    es5: bytes(es5),
    esm: bytes(esm),
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
