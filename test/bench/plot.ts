/** Draws docs/performance.svg: each workload as a share of lwIP's rate, and how rates hold as numbers grow. */
import type { Row } from "./rows.js";

const WIDTH = 820;
const LEFT = 310;
const RIGHT = 30;
const BAR = 20;
const PANEL = 250;
/** Readable on light and on dark pages: the viewer says which it is. */
const STYLE = `
  text { font: 12px sans-serif; fill: #24292f } .head { font-weight: bold } .axis { stroke: #d0d7de } .aim { stroke: #57606a; stroke-dasharray: 4 3 }
  .a { fill: #1f6feb; stroke: #1f6feb } .b { fill: #2da44e; stroke: #2da44e } .c { fill: #bf5700; stroke: #bf5700 } .line { fill: none; stroke-width: 2 }
  .page { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #d6dde5 } .axis { stroke: #3d444d } .aim { stroke: #9aa4af } .page { fill: #0d1117 }
    .a { fill: #6cb0ff; stroke: #6cb0ff } .b { fill: #5bd17b; stroke: #5bd17b } .c { fill: #ffa657; stroke: #ffa657 }
  }`;

const round = (value: number) => String(Math.round(value * 10) / 10);
const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped(content)}</text>`;
}

/** Bars: ours / lwIP. A dashed line is lwIP. */
function ratios(rows: readonly Row[], top: number): { svg: string; height: number } {
  const shown = rows.filter((row) => row.ratio !== null);
  const most = Math.max(1, ...shown.map((row) => row.ratio!));
  const x = (ratio: number) => LEFT + (ratio / most) * (WIDTH - LEFT - RIGHT - 40);
  const parts = [text(12, top + 16, "Rate as a share of lwIP native -O2 (dashed)", 'class="head"')];
  shown.forEach((row, i) => {
    const y = top + 30 + i * BAR;
    const colour = row.work.endsWith("-wasm") ? "b" : row.work.endsWith("-none") ? "c" : "a";
    const label = row.about.replace("; memory, copies and checksums in WebAssembly", "; in WebAssembly");
    parts.push(text(LEFT - 8, y + 12, label.replace("the stack's own ", ""), 'text-anchor="end"'));
    parts.push(
      `<rect x="${LEFT}" y="${y}" width="${round(x(row.ratio!) - LEFT)}" height="${BAR - 6}" class="${colour}"/>`,
    );
    parts.push(text(x(row.ratio!) + 6, y + 12, row.ratio!.toFixed(2)));
  });
  const bottom = top + 30 + shown.length * BAR;
  parts.push(`<path d="M${round(x(1))} ${top + 26}V${bottom}" class="aim"/>`);
  return { svg: parts.join("\n"), height: 30 + shown.length * BAR + 14 };
}

/** Lines: the rate among many as a share of the rate among the fewest. */
function growth(rows: readonly Row[], top: number): { svg: string; height: number } {
  const left = 60;
  const bottom = top + PANEL - 40;
  const x = (n: number) => left + (Math.log10(n) / 6) * (WIDTH - left - RIGHT - 150);
  const y = (share: number) => bottom - Math.min(share, 1.4) * ((PANEL - 80) / 1.4);
  const parts = [
    text(12, top + 16, "Rate among N others, as a share of the rate among the fewest", 'class="head"'),
  ];
  for (let decade = 0; decade <= 6; decade++) {
    parts.push(`<path d="M${round(x(10 ** decade))} ${top + 34}V${bottom}" class="axis"/>`);
    parts.push(
      text(x(10 ** decade), bottom + 16, (10 ** decade).toLocaleString("en-US"), 'text-anchor="middle"'),
    );
  }
  for (const share of [0, 0.5, 1]) {
    parts.push(`<path d="M${left} ${round(y(share))}H${round(x(1e6))}" class="axis"/>`);
    parts.push(text(left - 8, y(share) + 4, String(share), 'text-anchor="end"'));
  }
  const kinds = new Map<string, Row[]>();
  for (const row of rows) {
    const kind = row.note ? `routes, ${row.note}` : row.work.split("-")[0];
    kinds.set(kind, [...(kinds.get(kind) ?? []), row]);
  }
  [...kinds].forEach(([kind, list], i) => {
    const points = list.map(
      (row) => [x(Number(row.work.split("-")[1])), y(row.ours / list[0].ours)] as const,
    );
    const colour = "abc"[i % 3];
    const dashes = i > 2 ? ' stroke-dasharray="6 3"' : "";
    const path = points.map(([px, py], k) => (k ? "L" : "M") + round(px) + " " + round(py)).join("");
    parts.push(`<path d="${path}" class="${colour} line" style="fill:none"${dashes}/>`);
    for (const [px, py] of points) {
      parts.push(`<circle cx="${round(px)}" cy="${round(py)}" r="3.5" class="${colour}"/>`);
    }
    const ly = top + 44 + i * 20;
    parts.push(`<path d="M${WIDTH - 165} ${ly - 4}h24" class="${colour} line" style="fill:none"${dashes}/>`);
    parts.push(text(WIDTH - 135, ly, kind));
  });
  return { svg: parts.join("\n"), height: PANEL };
}

export function plot(speed: readonly Row[], grown: readonly Row[]): string {
  const first = ratios(speed, 8);
  const second = growth(grown, 8 + first.height);
  const height = 8 + first.height + second.height;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<title>Rates beside lwIP, and rates as numbers grow</title>
<style>${STYLE}
</style>
<rect width="100%" height="100%" class="page"/>
${first.svg}
${second.svg}
</svg>
`;
}
