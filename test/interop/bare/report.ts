/**
 * `node examples/launch.js test/interop/bare/report.ts`: what the firmware costs on each board, until it is ready to talk; `--write`
 * puts the tables into docs/firmware.md.
 *
 * QEMU counts instructions (`-icount`), and each takes 2^SHIFT ns of the board's time: the figures are the same on any machine, and
 * belong to a processor that does one instruction a cycle.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BOARDS, buildImage } from "../../../examples/firmware-image/build.js";
import { ROOT } from "../../support/files.js";
import { start } from "../support/process.js";
import { machineArguments } from "./board.js";

const SHIFT = 5;
/** Instructions in a millisecond of the board's. */
const RATE = 1e6 / (1 << SHIFT);
const LOOP = fileURLToPath(new URL("../../../examples/firmware-image/loop.ts", import.meta.url));

interface Row {
  name: string;
  text: number;
  script: number;
  data: number;
  heap: number;
  peak: number;
  ram: number;
  stack: number;
  /** Milliseconds of the board's; the loop's are of one turn. */
  boot: number;
  loop: number;
}

/** Boots an image without a network, until its log has `line`. */
async function boot(machine: string, image: string, line: RegExp): Promise<RegExpExecArray> {
  const board = start("qemu-system-arm", [
    ...machineArguments(machine, image),
    ...["-nic", "none"],
    ...["-semihosting-config", "enable=on,target=native,arg=firmware,arg=address=10.77.0.2/24"],
    ...["-icount", `shift=${SHIFT}`],
  ]);
  await board.until(() => line.test(board.output) || !board.running, 120_000);
  await board.stop();
  return line.exec(board.output)!;
}

async function measure(machine: string, script: "bytecode" | "source"): Promise<Row> {
  const image = await buildImage(machine, { script });
  const size = execFileSync("arm-none-eabi-size", [image], { encoding: "utf8" })
    .split("\n")[1]!
    .trim()
    .split(/\s+/);
  const symbols = execFileSync("arm-none-eabi-nm", [image], { encoding: "utf8" });
  const address = (name: string) => parseInt(new RegExp(`^(\\w+) \\w ${name}$`, "m").exec(symbols)![1]!, 16);
  const started = await boot(machine, image, /^started, busy ([\d.]+), memory (\d+) (\d+) (\d+) (\d+)\r$/m);
  const loop = await boot(
    machine,
    await buildImage(machine, { script, entry: LOOP }),
    /^loop ([\d.e-]+)\r$/m,
  );
  const [busy, heap, peak, ram, stack] = started.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    ...{
      name: `${machine}, ${script}`,
      text: Number(size[0]),
      script: address("script_end") - address("script"),
    },
    ...{ data: Number(size[1]) + Number(size[2]), heap, peak, ram, stack, boot: busy, loop: Number(loop[1]) },
  };
}

function table(head: string[], rows: (string | number)[][]): string {
  const text = (cell: string | number) =>
    typeof cell === "number" ? Math.round(cell).toLocaleString("en-US") : cell;
  const cells = [head, ...rows.map((row) => row.map(text))];
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  const line = (row: string[]) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => "-".repeat(i === 0 ? width : width - 1) + (i === 0 ? "" : ":")).join(" | ")} |`;
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join("\n");
}

function report(rows: Row[]): string {
  const memory = table(
    [
      "image",
      "ROM",
      "of it script",
      "data + bss",
      "heap at rest",
      "heap peak",
      "taken by malloc",
      "C stack peak",
    ],
    rows.map((row) => [row.name, row.text, row.script, row.data, row.heap, row.peak, row.ram, row.stack]),
  );
  const work = table(
    ["image", "boot, instructions", "boot, ms", "in empty loops", "empty loop, instructions"],
    rows.map((row) => [row.name, row.boot * RATE, row.boot, row.boot / row.loop, row.loop * RATE]),
  );
  return `# Firmware: what it costs

Made by \`node examples/launch.js test/interop/bare/report.ts --write\`. The image is
[examples/firmware-image](../examples/firmware-image): Duktape 2.7, IPv4 with ARP and ICMP, UDP, TCP, DHCP, DNS, an HTTP server and
a client.

## Memory, bytes

${memory}

The heap at rest is after a collection; all are from reset until the page is served and the main loop begins. What malloc has
taken includes its own losses.

## Work

${work}

QEMU counts instructions (\`-icount shift=${SHIFT}\`). The milliseconds are those of ${(RATE / 1000).toFixed(2)} million instructions a second: a real
processor waits for its flash and for branches. The empty loop is one turn of \`while (i < n) i++\`, the least that the engine can do.
`;
}

const rows: Row[] = [];
for (const machine of Object.keys(BOARDS)) {
  for (const script of ["bytecode", "source"] as const) {
    rows.push(await measure(machine, script));
    console.log(rows.at(-1));
  }
}
const text = report(rows);
console.log(text);
if (process.argv.includes("--write")) writeFileSync(join(ROOT, "docs/firmware.md"), text);
