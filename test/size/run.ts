/**
 * `npm run size`: prints the byte ledger; `-- --write` puts it into README.md between its markers.
 *
 * `--json` prints it for machines instead; `--check` measures what has a budget in budgets.json, and fails when one is
 * exceeded. `--functions tcp4 [--open]` tells where the bytes of one combination, closed or open, were written; `--where` does it for
 * three of them beside lwIP's, and `--where --write` puts that into docs/size.md.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/files.js";
import { histogram, print } from "./functions.js";
import { measure } from "./ledger.js";
import { type Budgets, excesses, insert, markdown, needsEngines } from "./report.js";
import { where } from "./where.js";

const at = process.argv.indexOf("--functions");
if (at >= 0) {
  console.log(print(await histogram(process.argv[at + 1] ?? "udp4", !process.argv.includes("--open"))));
  process.exit();
}
const write = process.argv.includes("--write");
if (process.argv.includes("--where")) {
  const tables = await where();
  console.log(tables);
  if (write) put("docs/size.md", tables, "where");
  process.exit();
}
const json = process.argv.includes("--json");
const check = process.argv.includes("--check");

const budgets = JSON.parse(readFileSync(join(ROOT, "test/size/budgets.json"), "utf8")) as Budgets;
const ledger = await (check ? measure(needsEngines(budgets), budgets) : measure(true));
const table = markdown(ledger, budgets);
console.log(json ? JSON.stringify(ledger, null, 2) : table);

if (write) put("README.md", table, "size");
if (check) {
  const found = excesses(ledger, budgets);
  for (const line of found) console.log(line);
  if (found.length > 0) process.exitCode = 1;
}

function put(file: string, text: string, name: string): void {
  const path = join(ROOT, file);
  const before = readFileSync(path, "utf8");
  const after = insert(before, text, name);
  if (after === before) return;
  writeFileSync(path, after);
  console.error(`${file}: the table is new`);
}
