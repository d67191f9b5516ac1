/** The byte ledger: what the named combinations weigh, and what each component adds. */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { bundle } from "../../rollup.config.js";
import { components, factoryName } from "../package/components.js";
import { ROOT } from "../support/files.js";
import { type Need, NEEDS } from "./needs.js";

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

/** Measures everything. */
export async function measure(): Promise<Ledger> {
  const ledger: Ledger = { combinations: {}, components: {} };
  for (const file of readdirSync(FOLDER).sort()) {
    ledger.combinations[basename(file, ".ts")] = await weigh(join(FOLDER, file));
  }
  const files = components();
  const known = new Map<string, Weight>();
  const stack = async (parts: readonly Part[]) => {
    const source = entry(parts, files);
    const weight = known.get(source) ?? (await weigh(join(ROOT, "test/size/entry.ts"), source));
    known.set(source, weight);
    return weight;
  };
  const marginal = async (more: Part[], less: Part[]) => difference(await stack(more), await stack(less));
  ledger.components.core = await stack([]);
  for (const name of files.keys()) {
    const need = NEEDS[name];
    if (need === undefined) throw new Error(`say in test/size/needs.ts what the component "${name}" needs`);
    if (need !== null) ledger.components[name] = await marginal(...withAndWithout(name, need));
  }
  return ledger;
}

/** An element of the list given to `createStack`. */
interface Part {
  /** The components whose factories it calls. */
  readonly uses: readonly string[];
  readonly expression: string;
}

function part(name: string, expression = `${factoryName(name)}()`, uses = [name]): Part {
  return { uses, expression };
}

function withAndWithout(name: string, need: Need): [Part[], Part[]] {
  const below = need.on.map((each) => part(each));
  if (need.into === undefined) return [[...below, part(name, need.as)], below];
  return [
    [...below, part(name, need.as, [name, need.into])],
    [...below, part(need.into)],
  ];
}

/** The text of an entry file that makes a stack of `parts`. */
function entry(parts: readonly Part[], files: ReadonlyMap<string, string>): string {
  const imports = parts
    .flatMap(({ uses }) => uses)
    .map(
      (name) => `import { ${factoryName(name)} } from "../../${files.get(name)!.replace(/\.ts$/, ".js")}";\n`,
    );
  return `import { createStack } from "../../stack/index.js";
${imports.join("")}export function start(hypercalls, link) {
  const stack = createStack(hypercalls, [${parts.map(({ expression }) => expression).join(", ")}]);
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
