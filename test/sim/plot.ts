/** Draws the goodput grid as SVG: a panel for each stream size, a line for each delay, dashed where frames are reordered. */
import { BANDWIDTH, DELAYS, LOSSES, REORDERS, SIZES } from "./grid.js";
import type { Measured } from "./grid.js";

const PANEL = { width: 400, height: 270, left: 74, top: 46, right: 16, bottom: 52 };
const COLUMNS = 2;
const LEGEND = 64;
/** Decades of the vertical axis: 10 bit/s to the wire's 100 Mbit/s. */
const LOWEST = 1;
const HIGHEST = Math.log10(BANDWIDTH);
/** One a delay; told apart also without colours, by their order and marks. */
const COLOURS = ["#0b6e4f", "#1f5fa8", "#b3541e", "#7b2d8b"];
const MARKS = ["circle", "square", "diamond", "triangle"];

function x(loss: number): number {
  return PANEL.left + (LOSSES.indexOf(loss) / (LOSSES.length - 1)) * (PANEL.width - PANEL.left - PANEL.right);
}

function y(goodput: number): number {
  const share = (Math.log10(goodput) - LOWEST) / (HIGHEST - LOWEST);
  return PANEL.height - PANEL.bottom - share * (PANEL.height - PANEL.top - PANEL.bottom);
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** `100000` as `100 kB`. */
export function sizeText(size: number): string {
  return size >= 1e6 ? size / 1e6 + " MB" : size / 1e3 + " kB";
}

/** A rate with three digits and a prefix: `12.3 k`. */
export function rateText(rate: number): string {
  const [divisor, unit] = rate >= 999500 ? [1e6, " M"] : rate >= 999.5 ? [1e3, " k"] : [1, " "];
  return Number((rate / divisor).toPrecision(3)) + unit;
}

export function percentText(share: number): string {
  return Math.round(share * 1000) / 10 + " %";
}

function mark(index: number, cx: number, cy: number, colour: string, hollow: boolean): string {
  const paint = hollow ? `fill="#fff" stroke="${colour}" stroke-width="1.2"` : `fill="${colour}"`;
  const [a, b] = [round(cx), round(cy)];
  switch (MARKS[index]) {
    case "circle":
      return `<circle cx="${a}" cy="${b}" r="2.8" ${paint}/>`;
    case "square":
      return `<rect x="${round(cx - 2.5)}" y="${round(cy - 2.5)}" width="5" height="5" ${paint}/>`;
    case "diamond":
      return `<path d="M${a} ${round(cy - 3.6)}l3.6 3.6l-3.6 3.6l-3.6 -3.6z" ${paint}/>`;
    default:
      return `<path d="M${a} ${round(cy - 3.4)}l3.4 6.2h-6.8z" ${paint}/>`;
  }
}

function line(list: Measured[], delay: number, reorder: number): string {
  const index = DELAYS.indexOf(delay);
  const colour = COLOURS[index];
  const points = list
    .filter((cell) => cell.delay === delay && cell.reorder === reorder)
    .map((cell) => [x(cell.loss), y(cell.goodput)] as const);
  const path = points.map(([px, py], i) => (i ? "L" : "M") + round(px) + " " + round(py)).join("");
  const dashes = reorder ? ' stroke-dasharray="5 3"' : "";
  return (
    `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.6"${dashes}/>` +
    points.map(([px, py]) => mark(index, px, py, colour, reorder > 0)).join("")
  );
}

function text(px: number, py: number, content: string, attributes = ""): string {
  return `<text x="${round(px)}" y="${round(py)}" ${attributes}>${content}</text>`;
}

function panel(list: Measured[], size: number): string {
  const parts: string[] = [];
  const right = PANEL.width - PANEL.right;
  const bottom = PANEL.height - PANEL.bottom;
  parts.push(text(PANEL.left, PANEL.top - 12, `A stream of ${sizeText(size)}`, 'font-weight="bold"'));
  for (let decade = LOWEST; decade <= HIGHEST; decade++) {
    const py = y(10 ** decade);
    parts.push(`<path d="M${PANEL.left} ${round(py)}H${right}" stroke="#ddd"/>`);
    parts.push(text(PANEL.left - 8, py + 4, rateText(10 ** decade) + "bit/s", 'text-anchor="end"'));
  }
  for (const loss of LOSSES) {
    parts.push(`<path d="M${round(x(loss))} ${PANEL.top}V${bottom}" stroke="#eee"/>`);
    parts.push(text(x(loss), bottom + 16, String(Math.round(loss * 1000) / 10), 'text-anchor="middle"'));
  }
  parts.push(text((PANEL.left + right) / 2, bottom + 36, "frames lost each way, %", 'text-anchor="middle"'));
  for (const reorder of REORDERS) for (const delay of DELAYS) parts.push(line(list, delay, reorder));
  return parts.join("\n");
}

function legend(width: number): string {
  const parts: string[] = [];
  const step = (width - PANEL.left) / DELAYS.length;
  DELAYS.forEach((delay, i) => {
    const px = PANEL.left + i * step;
    parts.push(
      `<path d="M${px} 22h28" stroke="${COLOURS[i]}" stroke-width="1.6"/>`,
      mark(i, px + 14, 22, COLOURS[i], false),
    );
    parts.push(text(px + 36, 26, `${delay} ms one way`));
  });
  parts.push(`<path d="M${PANEL.left} 44h28" stroke="#444" stroke-width="1.6"/>`);
  parts.push(text(PANEL.left + 36, 48, "in order"));
  parts.push(
    `<path d="M${PANEL.left + step} 44h28" stroke="#444" stroke-width="1.6" stroke-dasharray="5 3"/>`,
  );
  parts.push(
    text(
      PANEL.left + step + 36,
      48,
      `${percentText(REORDERS[1])} of the frames up to 10 ms late (hollow marks)`,
    ),
  );
  return parts.join("\n");
}

export function plot(list: Measured[]): string {
  const width = COLUMNS * PANEL.width;
  const height = LEGEND + Math.ceil(SIZES.length / COLUMNS) * PANEL.height;
  const panels = SIZES.map((size, i) => {
    const left = (i % COLUMNS) * PANEL.width;
    const top = LEGEND + Math.floor(i / COLUMNS) * PANEL.height;
    const own = list.filter((cell) => cell.size === size);
    return `<g transform="translate(${left} ${top})">\n${panel(own, size)}\n</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="11" fill="#222">
<title>Goodput of one TCP stream by size, loss, delay and reordering</title>
<rect width="100%" height="100%" fill="#fff"/>
${legend(width)}
${panels.join("\n")}
</svg>
`;
}
