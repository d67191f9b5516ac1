/**
 * Measures the goodput grid and writes it to docs/: `node examples/launch.js test/sim/goodput.ts`. Two minutes; as many again
 * with `6` behind it, for IPv6.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/files.js";
import { BANDWIDTH, DELAYS, LOSSES, REORDERS, SIZES, cells, measure } from "./grid.js";
import type { Family, Measured } from "./grid.js";
import { percentText, plot, rateText, sizeText } from "./plot.js";

/** Short streams are a matter of luck: many runs have a median that says something. */
function seedsFor(size: number): number {
  return size <= 10000 ? 31 : size <= 100000 ? 11 : 5;
}

function table(list: Measured[], delay: number, reorder: number): string {
  const rows = LOSSES.map((loss) => {
    const row = SIZES.map((size) => {
      const cell = list.find(
        (each) =>
          each.size === size && each.loss === loss && each.delay === delay && each.reorder === reorder,
      )!;
      return cell.exact ? rateText(cell.goodput).trim() : "**wrong**";
    });
    return `| ${percentText(loss)} | ${row.join(" | ")} |`;
  });
  const order = reorder ? `${percentText(reorder)} of the frames up to 10 ms late` : "all frames in order";
  return `### ${delay} ms one way, ${order}

| loss | ${SIZES.map(sizeText).join(" | ")} |
| ---: | ${SIZES.map(() => "---:").join(" | ")} |
${rows.join("\n")}
`;
}

export function report(list: Measured[], family: Family = 4): string {
  const tables = REORDERS.flatMap((reorder) => DELAYS.map((delay) => table(list, delay, reorder)));
  const [over, suffix, argument] = family === 4 ? ["", "", ""] : [" over IPv6", "6", " 6"];
  return `# Goodput of one TCP stream${over}

Two stacks of the default configuration${over && ", with IPv6 and no other network,"} on a simulated Ethernet of ${BANDWIDTH / 1e6} Mbit/s, in virtual time: one sends a stream, the
other reads it as it comes. Loss is that of each direction, so that half of the segments and half of the acknowledgements are
lost in the last row. The goodput is the stream's bits divided by the time from the call of \`connect\` to the last byte's
arrival (handshake and slow start included), in bit/s; the median of 31 seeds (11 for
${sizeText(SIZES[2])}, 5 for ${sizeText(SIZES[3])}). ${list.length} cells, all of them byte-exact. The
connections have no user timeout: under such loss the default of five minutes of silence would rightly end some of them.

The same numbers come out anywhere: \`node examples/launch.js test/sim/goodput.ts${argument}\` writes this file and the plot again. A part
of the grid runs with the tests.

![Goodput by loss, for four sizes and four delays](goodput${suffix}.svg)

${tables.join("\n")}`;
}

if (process.argv[1]?.endsWith("goodput.ts")) {
  const family = process.argv[2] === "6" ? 6 : 4;
  const file = join(ROOT, family === 4 ? "docs/goodput" : "docs/goodput6");
  const list = cells().map((cell) => measure(cell, seedsFor(cell.size), family));
  const wrong = list.filter((cell) => !cell.exact);
  for (const cell of wrong) console.log("wrong: " + JSON.stringify(cell));
  writeFileSync(file + ".md", report(list, family));
  writeFileSync(file + ".svg", plot(list));
  console.log(`goodput: ${list.length - wrong.length} cells exact, ${wrong.length} wrong`);
  process.exit(wrong.length > 0 ? 1 : 0);
}
