/** `npm run engines -- --write`: what stacks, sockets and connections take of each engine's heap, into docs/engines.md. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "../support/bundle.js";
import { ROOT } from "../support/files.js";
import { engine, runScripts } from "./engines.js";

const COLUMNS = ["Duktape", "QuickJS", "XS"] as const;

/** One engine's figures by what they are of. */
async function measure(name: string, code: string): Promise<Map<string, number>> {
  const each = engine(name);
  const run = async (script: string) =>
    new Map(
      (await runScripts(each, [code, script], 1 << 30))
        .map((line) => /^([A-Za-z ]+) ([\d.]+)$/.exec(line))
        .filter((match) => match !== null)
        .map(([, what, bytes]) => [what!, Number(bytes)] as const),
    );
  const parts = await run("anystack.weigh(heap, print);");
  const peak = await run(
    "var loaded = heap(); anystack.serve(7, function () {}); print('peak ' + (peak() - loaded));",
  );
  return new Map([...parts, ...peak]);
}

const ROWS: readonly [what: string, about: string][] = [
  ["stack", "an idle stack (Ethernet, ARP, IPv4, ICMP, UDP, TCP) with one interface"],
  ["UDP socket", "a UDP socket"],
  ["connection", "an idle TCP connection, each end"],
  ["peak", "high-water mark of `serve`: host, client and cable, beyond the loaded bundle"],
];

export async function writeReport(): Promise<void> {
  const { code } = await bundle("test/engines/program/index.ts");
  const figures: Map<string, number>[] = [];
  for (const name of COLUMNS) figures.push(await measure(name, code));
  const rows = ROWS.map(([what, about]) => {
    const cells = figures.map((each) =>
      (each.get(what) ?? 0) > 0 ? String(Math.round(each.get(what)!)) : "-",
    );
    return `| ${about} | ${cells.join(" | ")} |`;
  });
  writeFileSync(
    join(ROOT, "docs/engines.md"),
    `# The same bundle in small engines

\`npm run engines\` runs one ES5 bundle in V8, Duktape (Debian's library), QuickJS (\`quickjs-emscripten\`) and Moddable XS (from
the sources in \`@agoric/xsnap\`): the vectors of every parser, thousands of broken inputs whose outcome must be the same, and
two conversations (DHCP, DNS, echo, fragments, TCP over a cable that loses, repeats, reorders and corrupts; IPv4 and IPv6)
whose packet traces must be equal byte for byte.

## Heap

Bytes of the engine's heap after a collection, on a 64-bit machine; QuickJS runs as WebAssembly and has 32-bit pointers.
Made by \`npm run engines -- --write\`. What the code itself takes is in the README's table; what V8 takes, in
[memory.md](memory.md).

| | ${COLUMNS.join(" | ")} |
|---|${COLUMNS.map(() => "---:").join("|")}|
${rows.join("\n")}

\`serve\` is the test of the budget: a host whose packets and tables have 24 KiB together (four connections of 4 KiB, the rest other tables, the
packet that goes out, and ten chunks of 256 bytes) serves four connections at once, 20,000 bytes each
way, over a bad cable; a fifth is not answered until there is room. The marks include the client, which has plenty, and garbage that was not
collected yet (Duktape finds cycles late); QuickJS keeps no mark.
`,
  );
}
