/**
 * `npm run size`: prints the byte ledger, and writes it into README.md between its markers.
 *
 * `--json` prints it for machines instead; `--check` measures what has a budget
 * in budgets.json, and fails when one is exceeded.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/files.js";
import { measure } from "./ledger.js";
import { type Budgets, excesses, insert, markdown } from "./report.js";

const json = process.argv.includes("--json");
const check = process.argv.includes("--check");

const budgets = JSON.parse(readFileSync(join(ROOT, "test/size/budgets.json"), "utf8")) as Budgets;
const ledger = await measure(check ? budgets : undefined);
const table = markdown(ledger, budgets);
console.log(json ? JSON.stringify(ledger, null, 2) : table);

const readme = join(ROOT, "README.md");
if (!json && !check && existsSync(readme)) {
  const text = readFileSync(readme, "utf8");
  const changed = insert(text, table);
  if (changed !== text) {
    writeFileSync(readme, changed);
    console.log("README.md: the table is new");
  }
}
if (check) {
  const found = excesses(ledger, budgets);
  for (const line of found) console.log(line);
  if (found.length > 0) process.exitCode = 1;
}
