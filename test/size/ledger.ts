/** The byte ledger: what the named combinations weigh, and what each component adds. */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { bundle } from "../../rollup.config.js";
import { components, factoryName } from "../package/components.js";
import { ROOT } from "../support/files.js";
import { needs } from "./needs.js";

/** Bytes of one bundle, or of a difference of two. */
export interface Weight {
  /** The minified ES5 script. */
  es5: number;
  /** The minified ES2022 module, as it is and gzipped. */
  esm: number;
  esmGzip: number;
}

export interface Ledger {
  readonly combinations: Record<string, Weight>;
  readonly components: Record<string, Weight>;
}

const FOLDER = join(ROOT, "test/size/combinations");

/** Measures all combinations and all components, or those that `wanted` names. */
export async function measure(wanted?: Record<keyof Ledger, object>): Promise<Ledger> {
  const ledger: Ledger = { combinations: {}, components: {} };
  const skip = (section: keyof Ledger, name: string) => wanted !== undefined && !(name in wanted[section]);
  for (const file of readdirSync(FOLDER).sort()) {
    const name = basename(file, ".ts");
    if (!skip("combinations", name)) ledger.combinations[name] = await weigh(join(FOLDER, file));
  }
  const files = components();
  const known = new Map<string, Weight>();
  const stackOf = async (names: readonly string[]) => {
    const key = names.join();
    const weight = known.get(key) ?? (await weigh(join(ROOT, "test/size/entry.ts"), entry(names, files)));
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
  return { es5: more.es5 - less.es5, esm: more.esm - less.esm, esmGzip: more.esmGzip - less.esmGzip };
}

/** Weighs a bundle; `source` is its entry's text when there is no such file. */
export async function weigh(entry: string, source?: string): Promise<Weight> {
  const options = source === undefined ? {} : { source };
  const { code: es5 } = await bundle(entry, { ...options, format: "es5" });
  const { code: esm } = await bundle(entry, { ...options, format: "esm" });
  const bytes = (text: string) => Buffer.byteLength(text.trimEnd());
  return { es5: bytes(es5), esm: bytes(esm), esmGzip: gzipSync(esm.trimEnd(), { level: 9 }).length };
}
