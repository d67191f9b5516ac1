/** The byte ledger as a table, and against its budgets. */
import { TEXTS } from "./ledger.js";
import type { Ledger, Weight } from "./ledger.js";

/** Bytes at most, by name and kind. What has no budget is not limited. */
export interface Budgets {
  readonly combinations: Readonly<Record<string, Partial<Weight>>>;
  readonly components: Readonly<Record<string, Partial<Weight>>>;
}

const SECTIONS = ["combinations", "components"] as const;
/** The columns of the tables, by their heads. */
const KINDS: Readonly<Record<keyof Weight, string>> = {
  es5: "ES5",
  es5Closed: "ES5, closed",
  esm: "ESM",
  esmGzip: "ESM, gzipped",
  bytecode: "bytecode",
  heapDuktape: "heap Duktape",
  heapXs: "heap XS",
  heapQuickjs: "heap QuickJS",
};

/** A sentence for each budget that is exceeded, or whose subject is gone. */
export function excesses(ledger: Ledger, budgets: Budgets): string[] {
  const found: string[] = [];
  for (const section of SECTIONS) {
    for (const [name, limits] of Object.entries(budgets[section])) {
      const weight = ledger[section][name];
      if (weight === undefined) found.push(`${name}: has a budget, but is not in the ledger`);
      for (const kind of Object.keys(KINDS) as (keyof Weight)[]) {
        const limit = limits[kind];
        const bytes = weight?.[kind] ?? 0;
        if (limit !== undefined && bytes > limit) {
          found.push(`${name}: ${bytes} bytes of ${kind}, ${bytes - limit} over the budget of ${limit}`);
        }
      }
    }
  }
  return found;
}

/** Two tables in Markdown. Closed scripts are those of combinations alone. */
export function markdown(ledger: Ledger, budgets: Budgets): string {
  const section = (title: string, key: (typeof SECTIONS)[number]) => {
    const kinds = (Object.keys(KINDS) as (keyof Weight)[]).filter(
      (kind) => key === "combinations" || kind !== "es5Closed",
    );
    const rows = Object.entries(ledger[key]).map(([name, weight]) => {
      const bytes = [...kinds.map((kind) => weight[kind]), budgets[key][name]?.es5];
      return [`\`${name}\``, ...bytes.map((value) => (value === undefined ? "" : number(value)))];
    });
    return align([[title, ...kinds.map((kind) => KINDS[kind]), "budget (ES5)"], ...rows]);
  };
  return `${section("combination", "combinations")}\n\n${section("component adds", "components")}`;
}

/** Whether a budget limits what only an engine can tell. */
export function needsEngines(budgets: Budgets): boolean {
  const texts: readonly string[] = TEXTS;
  return SECTIONS.some((section) =>
    Object.values(budgets[section]).some((limits) =>
      Object.keys(limits).some((kind) => !texts.includes(kind)),
    ),
  );
}

export function number(bytes: number): string {
  return String(bytes).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Pads the columns, the first to the left and the others to the right, and draws the line below the head. */
export function align(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(
    (row) =>
      `| ${row.map((cell, i) => (i ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join(" | ")} |`,
  );
  const rule = `| ${widths.map((width, i) => (i ? `${"-".repeat(width - 1)}:` : "-".repeat(width))).join(" | ")} |`;
  return [lines[0], rule, ...lines.slice(1)].join("\n");
}

/** `text` with `table` between the markers `<!-- NAME:begin -->` and `<!-- NAME:end -->`, if it has them. */
export function insert(text: string, table: string, name = "size"): string {
  const begin = `<!-- ${name}:begin -->`;
  const from = text.indexOf(begin);
  const to = text.indexOf(`<!-- ${name}:end -->`);
  if (from < 0 || to < from) return text;
  return `${text.slice(0, from + begin.length)}\n\n${table}\n\n${text.slice(to)}`;
}
