/** Bars as SVG: a row for each name, in it a bar for each series. */

const [LEFT, WIDTH, BAR, GAP, TOP] = [230, 420, 9, 9, 40];
const COLOURS = ["#0b6e4f", "#1f5fa8", "#b3541e"];

/** @param over each series is drawn over the one before, the first of them light, instead of below it */
export function bars(title: string, names: string[], series: number[][], over = false): string {
  const most = Math.max(...series.flat(), 1e-9);
  const lines = over ? 1 : series.length;
  const step = lines * BAR + GAP;
  const height = TOP + names.length * step + 10;
  const parts = [`<text x="10" y="22" font-weight="bold">${title}</text>`];
  names.forEach((name, row) => {
    const top = TOP + row * step;
    parts.push(
      `<text x="${LEFT - 8}" y="${top + (lines * BAR) / 2 + 4}" text-anchor="end">${name.replace(/&/g, "&amp;")}</text>`,
    );
    series.forEach((values, i) => {
      const width = ((values[row]! / most) * WIDTH).toFixed(1);
      const y = over ? top : top + i * BAR;
      const paint = over && i === 0 ? 'fill="#b9d3c9"' : `fill="${COLOURS[over ? 0 : i]}"`;
      parts.push(`<rect x="${LEFT}" y="${y}" width="${width}" height="${BAR - 1}" ${paint}/>`);
      if (over && i > 0) return;
      const text = most <= 50 ? values[row]!.toFixed(most < 2 ? 2 : 1) : Math.round(values[row]!);
      parts.push(
        `<text x="${(LEFT + Number(width) + 5).toFixed(1)}" y="${y + BAR - 1}" font-size="9">${text}</text>`,
      );
    });
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + 50} ${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>\n${parts.join("\n")}\n</svg>\n`;
}
