/**
 * What each part of TCP brings, on simulated paths: `node examples/launch.js test/sim/parts.ts` writes docs/congestion.md and its plot.
 * The same numbers come out anywhere; it takes a few minutes.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { newReno } from "../../stack/tcp/congestion.js";
import { cubic } from "../../stack/tcp/cubic.js";
import { frto } from "../../stack/tcp/frto.js";
import { hystart } from "../../stack/tcp/hystart.js";
import { prr } from "../../stack/tcp/prr.js";
import { rack } from "../../stack/tcp/rack.js";
import { sackRecovery } from "../../stack/tcp/recovery.js";
import type { TcpConfiguration } from "../../stack/tcp/tcp.js";
import { ROOT } from "../support/files.js";
import { race } from "./dumbbell.js";
import type { Bottleneck, Outcome, Race } from "./dumbbell.js";

const PARTS: Record<string, () => TcpConfiguration> = {
  "NewReno, SACK": () => ({}),
  "+ PRR": () => ({ congestion: prr(newReno()) }),
  "+ HyStart++": () => ({ congestion: newReno({ slowStart: hystart() }) }),
  "+ RACK-TLP": () => ({ recovery: rack() }),
  "+ F-RTO": () => ({ recovery: frto(sackRecovery()) }),
  CUBIC: () => ({ congestion: cubic() }),
  "all of them": () => ({
    congestion: prr(cubic({ slowStart: hystart() })),
    recovery: frto(rack()),
  }),
};

const PATHS: Record<string, Bottleneck> = {
  "long and fat, small queue: 50 Mbit/s, 100 ms, 100 frames": { bandwidth: 5e7, delay: 50, queueFrames: 100 },
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

/** One flow for a minute at the least, and until it has sent a thousand segments by the model: median of the seeds. */
export function compare(loss: number, trip: number, parts: () => TcpConfiguration): Cell {
  const line = { bandwidth: LINE, delay: trip / 2, queueFrames: 400, loss };
  const model = Math.min(pftk(loss, trip / 1000, trip / 1000 + 0.2), LINE * 0.95);
  const duration = Math.ceil(Math.max(60000, (1000 * MSS * 8000) / model) / 10) * 10;
  const goodput = median(
    SEEDS.map((seed) => race([{ tcp: parts() }], line, duration, 0, seed).outcomes[0]!.goodput),
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

function effects(): string {
  const rows: string[] = [];
  for (const [name, line] of Object.entries(PATHS)) {
    rows.push(
      `### ${name[0]!.toUpperCase()}${name.slice(1)}\n`,
      "| | goodput, Mbit/s | retransmissions | timeouts | round trip, median / 95 %, ms |",
      "|---|---:|---:|---:|---:|",
    );
    for (const [parts, make] of Object.entries(PARTS)) {
      const runs = SEEDS.map((seed) => race([{ tcp: make() }], line, DURATION, 0, seed).outcomes[0]!);
      const of = (key: keyof Outcome) => median(runs.map((run) => run[key]));
      rows.push(
        `| ${parts} | ${mega(of("goodput"))} | ${of("retransmitted")} | ${of("timeouts")} | ${of("rtt")} / ${of("rtt95")} |`,
      );
    }
    rows.push("");
  }
  return rows.join("\n");
}

function fairness(): string {
  const line = { bandwidth: 2e7, delay: 20, queueFrames: 80 };
  const all = PARTS["all of them"]!;
  const cases: [string, () => TcpConfiguration, () => TcpConfiguration, number][] = [
    ["NewReno and NewReno, 5 s later", PARTS["NewReno, SACK"]!, PARTS["NewReno, SACK"]!, 0],
    ["CUBIC and CUBIC, 5 s later", PARTS.CUBIC!, PARTS.CUBIC!, 0],
    ["all parts, and all parts 5 s later", all, all, 0],
    ["CUBIC and NewReno", PARTS.CUBIC!, PARTS["NewReno, SACK"]!, 0],
    ["CUBIC, and CUBIC with a way 40 ms longer", PARTS.CUBIC!, PARTS.CUBIC!, 20],
  ];
  const rows = cases.map(([name, first, second, delay]) => {
    const flows = [{ tcp: first() }, { tcp: second(), delay, start: 5000 }];
    const { outcomes, utilisation, fairness: index }: Race = race(flows, line, 60000, 20000);
    const rates = outcomes.map(({ goodput }) => mega(goodput)).join(" and ");
    return `| ${name} | ${rates} | ${index.toFixed(3)} | ${percent(utilisation)} |`;
  });
  return [
    "| flows over 20 Mbit/s, 40 ms, 80 frames | goodput, Mbit/s | Jain's index | of the line |",
    "|---|---:|---:|---:|",
    ...rows,
  ].join("\n");
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
  parts.push(
    `<text x="${left}" y="18">bit/s; dashed: the PFTK model; dots: ${Object.keys(cells).join("; rings: ")}</text>`,
  );
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
        parts.push(
          `<circle cx="${x(cell.loss).toFixed(1)}" cy="${y(cell.goodput).toFixed(1)}" r="3.5" fill="${fill}" stroke="${colour}"/>`,
        );
      }
    });
    parts.push(`<text x="${width - right - 60}" y="${top + 16 + i * 16}" fill="${colour}">${trip} ms</text>`);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n${parts.join("\n")}\n</svg>\n`;
}

function report(): void {
  const cells: Record<string, Cell[]> = {};
  for (const name of ["NewReno, SACK", "all of them"]) {
    cells[name] = LOSSES.flatMap((loss) => TRIPS.map((trip) => compare(loss, trip, PARTS[name]!)));
  }
  const worst = Math.min(
    ...Object.values(cells)
      .flat()
      .map(({ share }) => share),
  );
  writeFileSync(join(ROOT, "docs/congestion.svg"), plot(cells));
  writeFileSync(
    join(ROOT, "docs/congestion.md"),
    `# What each part of TCP brings

One flow (or two) over one bottleneck in virtual time, with windows that never hold it back: what is seen is congestion control and
loss recovery alone. \`node examples/launch.js test/sim/parts.ts\` writes this file again, with the same numbers anywhere; medians of
${SEEDS.length} seeds. Parts are imports: \`tcp({ congestion: prr(cubic({ slowStart: hystart() })), recovery: frto(rack()) })\`.

## Alone, for ${DURATION / 1000} s

${effects()}
## Two flows

${fairness()}

## Against the PFTK model

Goodput in Mbit/s over a line of ${LINE / 1e6} Mbit/s, and in brackets its share of what the model of Padhye et al. allows Reno (with
acknowledgements for every second segment and a timeout of a round trip and 200 ms), or of the line. The worst cell has ${worst.toFixed(2)}.

${grid(cells)}
![Goodput over loss](congestion.svg)
`,
  );
  console.log(`congestion: the worst cell has ${worst.toFixed(2)} of the model`);
}

if (process.argv[1]?.endsWith("parts.ts")) report();
