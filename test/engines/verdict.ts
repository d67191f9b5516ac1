/** What a run in an engine must be equal to: a vector's expectation, V8's lines. */
import type { Vector } from "./vectors.js";

/** Counters that say only that packets went through, and those of making acquaintance. */
const USUAL = /^(\w+\.(received|delivered|sent)|arp\.repliesSent|nd\.advertisementsSent)=/;

/** The line of a vector's script. */
export function scriptLine({ kind, inputs }: Vector): string {
  return [kind, ...inputs.map((input) => Buffer.from(input).toString("hex"))].join(" ");
}

/** Of a stack's report the counters that matter, addresses, name servers, and the number of frames; else all of it. */
export function summary({ kind }: Vector, result: string): string {
  if (kind !== "4" && kind !== "6") return result;
  const [counters = "", addresses = "", servers = "", sent = ""] = result.split("|");
  const words = counters.split(" ").filter((word) => !USUAL.test(word));
  // The address that the vectors themselves give the stack is no news.
  const news = [addresses.replace(/^fe80::1\/64,?/, ""), servers].filter((text) => text !== "");
  return [words.sort().join(" "), ...news, sent === "" ? 0 : sent.split(" ").length].join("|");
}

/** Where `lines` differ from V8's for the first time, with both; null: nowhere. */
export function difference(lines: readonly string[], from: readonly string[]): string | null {
  const at = Array.from({ length: Math.max(lines.length, from.length) }).findIndex(
    (_, i) => lines[i] !== from[i],
  );
  if (at < 0) return null;
  const [one = "(nothing)", other = "(nothing)"] = [lines[at], from[at]];
  let column = 0;
  while (column < one.length && one[column] === other[column]) column++;
  return `line ${at}, column ${column}:\n${one}\n${other} is V8's`;
}
