/**
 * What each part of TCP brings, on simulated paths: `node examples/launch.js test/sim/parts.ts` writes docs/congestion.md and its plots.
 * The same numbers come out anywhere; it takes a few minutes.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bbr } from "../../stack/tcp/bbr.js";
import { newReno } from "../../stack/tcp/congestion.js";
import { cubic } from "../../stack/tcp/cubic.js";
import { frto } from "../../stack/tcp/frto.js";
import { hystart } from "../../stack/tcp/hystart.js";
import { pacing } from "../../stack/tcp/pacing.js";
import { prr } from "../../stack/tcp/prr.js";
import { rack } from "../../stack/tcp/rack.js";
import { sackRecovery } from "../../stack/tcp/recovery.js";
import type { TcpConfiguration } from "../../stack/tcp/tcp.js";
import { ROOT } from "../support/files.js";
import { bars } from "./bars.js";
import { race } from "./dumbbell.js";
import type { Bottleneck, Outcome, Race } from "./dumbbell.js";

const PARTS: Record<string, () => TcpConfiguration> = {
  "NewReno, SACK": () => ({}),
  "+ PRR": () => ({ congestion: prr(newReno()) }),
  "+ HyStart++": () => ({ congestion: newReno({ slowStart: hystart() }) }),
  "+ RACK-TLP": () => ({ recovery: rack() }),
  "+ F-RTO": () => ({ recovery: frto(sackRecovery()) }),
  "+ pacing": () => ({ congestion: pacing(newReno()) }),
  CUBIC: () => ({ congestion: cubic() }),
  "CUBIC, all of them": () => ({
    congestion: pacing(prr(cubic({ slowStart: hystart() }))),
    recovery: frto(rack()),
  }),
  "BBR, RACK-TLP": () => ({ congestion: bbr(), recovery: rack() }),
};

const PATHS: Record<string, Bottleneck> = {
  "long and fat, small queue: 50 Mbit/s, 100 ms, 100 frames": { bandwidth: 5e7, delay: 50, queueFrames: 100 },
  "short queue: 20 Mbit/s, 40 ms, 8 frames": { bandwidth: 2e7, delay: 20, queueFrames: 8 },
  "deep queue: 10 Mbit/s, 20 ms, 400 frames": { bandwidth: 1e7, delay: 10, queueFrames: 400 },
  "1 % loss: 20 Mbit/s, 40 ms": { bandwidth: 2e7, delay: 20, queueFrames: 200, loss: 0.01 },
  "5 % loss: 20 Mbit/s, 40 ms": { bandwidth: 2e7, delay: 20, queueFrames: 200, loss: 0.05 },
  "5 % of the frames up to 8 ms late: 20 Mbit/s, 40 ms": {
    bandwidth: 2e7,
    delay: 20,
    queueFrames: 200,
    reorder: 0.05,
    reorderDelay: 8,
  },
};
const DURATION = 20000;
const SEEDS = [1, 2, 3];
/** Below so many bits a second chance weighs more, and a run costs less: three times as many. */
const SLOW = 1e6;
const MORE_SEEDS = [...SEEDS, 4, 5, 6, 7, 8, 9];

export const LOSSES = [0.001, 0.003, 0.01, 0.02, 0.05, 0.1];
export const TRIPS = [20, 100, 400];
const LINE = 2e7;
const MSS = 1448;

/**
 * Bits a second by the model of Padhye, Firoiu, Towsley and Kurose (1998), with an acknowledgement for every second segment.
 *
 * @param trip round trip, s
 * @param timeout retransmission timeout, s
 */
export function pftk(loss: number, trip: number, timeout: number): number {
  const b = 2;
  const fast = trip * Math.sqrt((2 * b * loss) / 3);
  const slow = timeout * Math.min(1, 3 * Math.sqrt((3 * b * loss) / 8)) * loss * (1 + 32 * loss * loss);
  return (MSS * 8) / (fast + slow);
}

export interface Cell {
  loss: number;
  trip: number;
  goodput: number;
  /** Goodput as a share of what the model says, or of the line where that is less. */
  share: number;
}

/** One flow for half a minute at the least, and until it has sent a thousand segments by the model: median of the seeds. */
export function compare(loss: number, trip: number, parts: () => TcpConfiguration): Cell {
  const line = { bandwidth: LINE, delay: trip / 2, queueFrames: 400, loss };
  const model = Math.min(pftk(loss, trip / 1000, trip / 1000 + 0.2), LINE * 0.95);
  const duration = Math.ceil(Math.max(30000, (1000 * MSS * 8000) / model) / 10) * 10;
  const goodput = median(
    (model < SLOW ? MORE_SEEDS : SEEDS).map(
      (seed) => race([{ tcp: parts() }], line, duration, 0, seed).outcomes[0]!.goodput,
    ),
  );
  return { loss, trip, goodput, share: goodput / model };
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

function mega(rate: number): string {
  return (rate / 1e6).toPrecision(3);
}

function percent(share: number): string {
  return Math.round(share * 1000) / 10 + " %";
}

/** The runs of each of the parts on each of the paths; chance has no part in those that lose and delay nothing. */
export function runAll(): Record<string, Record<string, Outcome>> {
  const all: Record<string, Record<string, Outcome>> = {};
  for (const [name, line] of Object.entries(PATHS)) {
    const row: Record<string, Outcome> = (all[name] = {});
    for (const [parts, make] of Object.entries(PARTS)) {
      const seeds = line.loss || line.reorder ? SEEDS : [1];
      const runs = seeds.map((seed) => race([{ tcp: make() }], line, DURATION, 0, seed).outcomes[0]!);
      const of = (key: keyof Outcome) => median(runs.map((run) => run[key]));
      const [goodput, bytes, retransmitted] = [of("goodput"), of("bytes"), of("retransmitted")];
      row[parts] = {
        goodput,
        bytes,
        retransmitted,
        timeouts: of("timeouts"),
        marks: of("marks"),
        rtt: of("rtt"),
        rtt95: of("rtt95"),
      };
    }
  }
  return all;
}

function effects(all: Record<string, Record<string, Outcome>>): string {
  const rows: string[] = [];
  for (const [name, row] of Object.entries(all)) {
    rows.push(
      `### ${name[0]!.toUpperCase()}${name.slice(1)}\n`,
      "| | goodput, Mbit/s | retransmissions | timeouts | round trip, median / 95 %, ms |",
      "|---|---:|---:|---:|---:|",
    );
    for (const [parts, { goodput, retransmitted, timeouts, rtt, rtt95 }] of Object.entries(row)) {
      rows.push(`| ${parts} | ${mega(goodput)} | ${retransmitted} | ${timeouts} | ${rtt} / ${rtt95} |`);
    }
    rows.push("");
  }
  return rows.join("\n");
}

const QUEUES = [20, 80, 400];

export interface Mix {
  name: string;
  /** Jain's index, and the text of the cell, for each queue. */
  indices: number[];
  cells: string[];
}

/** Flows that share a line, for each queue. */
export function mixes(): Mix[] {
  const reno = PARTS["NewReno, SACK"]!;
  const cubics = PARTS.CUBIC!;
  const all = PARTS["CUBIC, all of them"]!;
  const lean = PARTS["BBR, RACK-TLP"]!;
  const cases: [string, (() => TcpConfiguration)[], number][] = [
    ["NewReno, NewReno", [reno, reno], 0],
    ["CUBIC, CUBIC", [cubics, cubics], 0],
    ["CUBIC with all parts, twice", [all, all], 0],
    ["BBR, BBR", [lean, lean], 0],
    ["CUBIC, NewReno", [cubics, reno], 0],
    ["BBR, NewReno", [lean, reno], 0],
    ["BBR, CUBIC", [lean, cubics], 0],
    ["two of each: BBR, CUBIC, NewReno", [lean, lean, cubics, cubics, reno, reno], 0],
    ["CUBIC, CUBIC 40 ms further away", [cubics, cubics], 20],
    ["BBR, BBR 40 ms further away", [lean, lean], 20],
  ];
  return cases.map(([name, parts, delay]) => {
    const races: Race[] = QUEUES.map((queueFrames) => {
      const flows = parts.map((make, i) => ({ tcp: make(), start: i * 2000, delay: i === 1 ? delay : 0 }));
      return race(flows, { bandwidth: 2e7, delay: 20, queueFrames }, 45000, 15000);
    });
    return {
      name,
      indices: races.map((each) => each.fairness),
      cells: races.map(({ outcomes, fairness, utilisation }) => {
        const rates = outcomes.map(({ goodput }) => mega(goodput)).join(" + ");
        return `${rates} | ${fairness.toFixed(2)} | ${percent(utilisation)} | ${outcomes[0]!.rtt}`;
      }),
    };
  });
}

function fairness(list: Mix[]): string {
  return QUEUES.map((queue, i) =>
    [
      `### Queue of ${queue} frames\n`,
      "| flows | goodput, Mbit/s | Jain's index | of the line | round trip, ms |",
      "|---|---:|---:|---:|---:|",
      ...list.map(({ name, cells }) => `| ${name} | ${cells[i]} |`),
      "",
    ].join("\n"),
  ).join("\n");
}

function grid(cells: Record<string, Cell[]>): string {
  return Object.entries(cells)
    .map(([name, list]) => {
      const rows = LOSSES.map((loss) => {
        const row = TRIPS.map((trip) => {
          const cell = list.find((each) => each.loss === loss && each.trip === trip)!;
          return `${mega(cell.goodput)} (${cell.share.toFixed(2)})`;
        });
        return `| ${percent(loss)} | ${row.join(" | ")} |`;
      });
      return `### ${name}\n\n| loss each way | ${TRIPS.map((trip) => trip + " ms").join(" | ")} |\n| ---: | ${TRIPS.map(() => "---:").join(" | ")} |\n${rows.join("\n")}\n`;
    })
    .join("\n");
}

/** Goodput over loss for each round trip: the model dashed, two lots of parts drawn through. */
function plot(cells: Record<string, Cell[]>): string {
  const [width, height, left, top, right, bottom] = [640, 400, 70, 40, 20, 50];
  const colours = ["#0b6e4f", "#1f5fa8", "#b3541e"];
  const x = (loss: number) =>
    left + ((Math.log10(loss) - Math.log10(LOSSES[0]!)) / 2) * (width - left - right);
  const y = (rate: number) => top + ((Math.log10(LINE) - Math.log10(rate)) / 3.3) * (height - top - bottom);
  const path = (points: [number, number][]) =>
    points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
  const parts: string[] = [];
  for (const decade of [4, 5, 6, 7]) {
    const py = y(10 ** decade).toFixed(1);
    parts.push(`<path d="M${left} ${py}H${width - right}" stroke="#ddd"/>`);
    parts.push(`<text x="${left - 8}" y="${py}" text-anchor="end">${10 ** (decade - 3)} k</text>`);
  }
  for (const loss of LOSSES) {
    parts.push(
      `<text x="${x(loss).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${percent(loss)}</text>`,
    );
  }
  parts.push(`<text x="${width / 2}" y="${height - 10}" text-anchor="middle">frames lost each way</text>`);
  const [dots, rings, crosses] = Object.keys(cells);
  parts.push(`<text x="${left}" y="16">bit/s; dashed: the PFTK model; dots: ${dots};</text>`);
  parts.push(`<text x="${left}" y="32">rings: ${rings}; crosses: ${crosses}</text>`);
  TRIPS.forEach((trip, i) => {
    const colour = colours[i]!;
    const model = LOSSES.map((loss): [number, number] => [
      x(loss),
      y(Math.min(pftk(loss, trip / 1000, trip / 1000 + 0.2), LINE)),
    ]);
    parts.push(`<path d="${path(model)}" fill="none" stroke="${colour}" stroke-dasharray="5 4"/>`);
    Object.values(cells).forEach((list, j) => {
      for (const cell of list.filter((each) => each.trip === trip)) {
        const fill = j === 0 ? colour : "#fff";
        if (j === 2) {
          const [cx, cy] = [x(cell.loss).toFixed(1), y(cell.goodput).toFixed(1)];
          parts.push(`<path d="M${cx} ${cy}m-4 -4l8 8m0 -8l-8 8" stroke="${colour}"/>`);
        } else
          parts.push(
            `<circle cx="${x(cell.loss).toFixed(1)}" cy="${y(cell.goodput).toFixed(1)}" r="3.5" fill="${fill}" stroke="${colour}"/>`,
          );
      }
    });
    parts.push(`<text x="${width - right - 60}" y="${top + 16 + i * 16}" fill="${colour}">${trip} ms</text>`);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n${parts.join("\n")}\n</svg>\n`;
}

/** The grid for three lots of parts. */
export function cellsOf(
  names = ["NewReno, SACK", "CUBIC, all of them", "BBR, RACK-TLP"],
): Record<string, Cell[]> {
  const cells: Record<string, Cell[]> = {};
  for (const name of names) {
    cells[name] = LOSSES.flatMap((loss) => TRIPS.map((trip) => compare(loss, trip, PARTS[name]!)));
  }
  return cells;
}

export function report(
  alone: Record<string, Record<string, Outcome>>,
  shared: Mix[],
  cells: Record<string, Cell[]>,
): void {
  const worst = Math.min(
    ...Object.values(cells)
      .flat()
      .map(({ share }) => share),
  );
  const deep = Object.entries(alone).find(([name]) => name.startsWith("deep"))!;
  const docs = (name: string, text: string) => writeFileSync(join(ROOT, "docs", name), text);
  docs("congestion.svg", plot(cells));
  docs(
    "congestion-queue.svg",
    bars(
      `Round trip in ms on the ${deep[0]}: median, and 95 % (light)`,
      Object.keys(deep[1]),
      [Object.values(deep[1]).map(({ rtt95 }) => rtt95), Object.values(deep[1]).map(({ rtt }) => rtt)],
      true,
    ),
  );
  docs(
    "congestion-fairness.svg",
    bars(
      `Jain's index over 20 Mbit/s, 40 ms; queues of ${QUEUES.join(", ")} frames`,
      shared.map(({ name }) => name),
      QUEUES.map((_, i) => shared.map(({ indices }) => indices[i]!)),
    ),
  );
  docs(
    "congestion.md",
    `# What each part of TCP brings

One flow (or several) over one bottleneck in virtual time, with windows that never hold it back: what is seen is congestion control
and loss recovery alone. \`node examples/launch.js test/sim/parts.ts\` writes this file again, with the same numbers anywhere; medians
of ${SEEDS.length} seeds where chance has a part. Parts are imports: \`tcp({ congestion: pacing(prr(cubic({ slowStart: hystart() }))), recovery: frto(rack()) })\`,
\`tcp({ congestion: bbr(), recovery: rack() })\`. BBR is version 3, of draft-ietf-ccwg-bbr. What a bottleneck alone does
not show (SACK, limited transmit, byte counting, buffers that grow, F-RTO, ECN, Fast Open and more) is in [effects.md](effects.md).

## Alone, for ${DURATION / 1000} s

${effects(alone)}
The deep queue is where bufferbloat shows: whoever waits for a loss fills it.

![Round trips on the deep queue](congestion-queue.svg)

## Flows that share a line

20 Mbit/s, 40 ms; each flow begins 2 s after the one before, and they are counted from 15 s to 45 s. The round trip is the first flow's.

${fairness(shared)}
![Jain's index](congestion-fairness.svg)

## Against the PFTK model

Goodput in Mbit/s over a line of ${LINE / 1e6} Mbit/s, and in brackets its share of what the model of Padhye et al. allows Reno (with
acknowledgements for every second segment and a timeout of a round trip and 200 ms), or of the line. The worst cell has ${worst.toFixed(2)}.

Where many frames are lost the figures scatter: at 10 % each way and 400 ms a flow spends most of its time in timeouts that double, and
runs of the same parts have from 0.7 to 1.7 of the model. Cells below ${SLOW / 1e6} Mbit/s are therefore medians of ${MORE_SEEDS.length} seeds.

${grid(cells)}
![Goodput over loss](congestion.svg)
`,
  );
  console.log(`congestion: the worst cell has ${worst.toFixed(2)} of the model`);
}

if (process.argv[1]?.endsWith("parts.ts")) report(runAll(), mixes(), cellsOf());
