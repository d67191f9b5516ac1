/**
 * `npm run size`: prints the byte ledger; `-- --write` puts it into README.md between its markers.
 *
 * `--json` prints it for machines instead; `--check` measures what has a budget in budgets.json, and fails when one is
 * exceeded. `--functions tcp4 [--open]` tells where the bytes of one combination, closed or open, were written.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/files.js";
import { histogram, print } from "./functions.js";
import { measure } from "./ledger.js";
import { type Budgets, excesses, insert, markdown, needsEngines } from "./report.js";

const at = process.argv.indexOf("--functions");
if (at >= 0) {
  console.log(print(await histogram(process.argv[at + 1] ?? "udp4", !process.argv.includes("--open"))));
  process.exit();
}
const json = process.argv.includes("--json");
const check = process.argv.includes("--check");
const write = process.argv.includes("--write");

const budgets = JSON.parse(readFileSync(join(ROOT, "test/size/budgets.json"), "utf8")) as Budgets;
const ledger = await (check ? measure(needsEngines(budgets), budgets) : measure(true));
const table = markdown(ledger, budgets);
console.log(json ? JSON.stringify(ledger, null, 2) : table);

const readme = join(ROOT, "README.md");
if (write) {
  const text = readFileSync(readme, "utf8");
  const changed = insert(text, table);
  if (changed !== text) {
    writeFileSync(readme, changed);
    console.error("README.md: the table is new");
  }
}
if (check) {
  const found = excesses(ledger, budgets);
  for (const line of found) console.log(line);
  if (found.length > 0) process.exitCode = 1;
}
