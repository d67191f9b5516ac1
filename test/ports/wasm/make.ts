/** Makes ports/wasm/checksum-wasm.ts of ports/wasm/checksum.wat: `npx tsx test/ports/wasm/make.ts`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import wabt from "wabt";
import { ROOT } from "../../support/files.js";

export const SOURCE = join(ROOT, "ports/wasm/checksum.wat");
export const TARGET = join(ROOT, "ports/wasm/checksum-wasm.ts");

/** The module that the source makes, as a file of TypeScript. */
export async function generate(): Promise<string> {
  const { parseWat } = await wabt();
  const module = parseWat("checksum.wat", readFileSync(SOURCE, "utf8"), { simd: true, bulk_memory: true });
  module.validate();
  const text = Buffer.from(module.toBinary({}).buffer).toString("base64");
  module.destroy();
  const lines = text.match(/.{1,100}/g)!.map((line) => `  "${line}"`);
  return `/** The WebAssembly module made of checksum.wat, in base64. Made by test/ports/wasm/make.ts: do not edit. */\nexport const CHECKSUM_WASM =\n${lines.join(" +\n")};\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  void generate().then((text) => writeFileSync(TARGET, text));
}
