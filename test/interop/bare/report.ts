/**
 * `node examples/launch.js test/interop/bare/report.ts`: what the firmware costs on each board, until it is ready to talk and while it
 * does; `--write` puts the tables into docs/firmware.md, above the heading `KEPT`, which stays with all below it.
 *
 * QEMU counts instructions (`-icount`), and each takes 2^SHIFT ns of the board's time: the figures are the same on any machine, and
 * belong to a processor that does one instruction a cycle.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { BOARDS, buildImage } from "../../../examples/firmware-image/build.js";
import { ROOT } from "../../support/files.js";
import { start } from "../support/process.js";
import { createBoard, machineArguments, servePage, SERVER } from "./board.js";
import type { State } from "./board.js";
import { within } from "./program.js";
import { until } from "../../support/until.js";

const SHIFT = 5;
/** Instructions in a millisecond of the board's. */
const RATE = 1e6 / (1 << SHIFT);
const LOOP = fileURLToPath(new URL("../../../examples/firmware-image/loop.ts", import.meta.url));

const KEPT = "## A day";
const PINGS = 50;
/** Bytes of a page that is served or fetched. */
const PAGE = 200_000;
/** Bytes a second at which clients read slowly, while memory is looked at. */
const SLOW = 8000;

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

/** What traffic costs: milliseconds of the processor's, and heap. */
interface Traffic {
  name: string;
  loop: number;
  ping: number;
  /** Of one byte. */
  serve: number;
  fetch: number;
  /** Heap held with one connection open, and with five. */
  one: number;
  five: number;
  /** The most that the heap has held, and malloc has taken, at the end. */
  peak: number;
  ram: number;
  stack: number;
}

async function talk(machine: string, loop: number): Promise<Traffic> {
  const image = await buildImage(machine);
  const parameters = ["-icount", `shift=${SHIFT}`];
  let figures: Omit<Traffic, "fetch"> | undefined;
  let fetched = 0;
  await within(async (scope) => {
    const board = await createBoard(scope, { machine, image, parameters });
    const address = await board.address(120_000);
    const before = await board.state();
    const idle = await board.state();
    /** Asking costs something, too. */
    const asking = idle.busy - before.busy;
    const cost = (from: State, to: State) => to.busy - from.busy - asking;
    await board.ns.run("ping", ["-c", `${PINGS}`, "-i", "0.2", "-w", "60", address], { timeout: 90_000 });
    const pinged = await board.state();
    await board.curl(`/bytes/${PAGE}`, "-o", "/dev/null");
    const served = await board.state();
    const clients = [1, 2, 3, 4].map(() =>
      board.curl(`/bytes/${PAGE / 4}`, "-o", "/dev/null", "--limit-rate", `${SLOW}`),
    );
    await sleep(3000);
    const five = await board.state();
    await Promise.all(clients);
    const { memory } = await board.state();
    figures = {
      ...{ name: machine, loop, ping: cost(idle, pinged) / PINGS, serve: cost(pinged, served) / PAGE },
      ...{ one: idle.memory.heap, five: five.memory.heap },
      ...{ peak: memory.heapPeak, ram: memory.ram, stack: memory.stack },
    };
    return true;
  });
  await within(async (scope) => {
    const options = { fetch: `http://${SERVER}:8000/page`, every: 10 };
    const board = await createBoard(scope, { machine, image, parameters, options });
    await board.address(120_000);
    await servePage(board, PAGE);
    await until("a fetch", () => /fetched \{"code":0.*\}\r$/m.test(board.qemu.output), 120_000);
    fetched = (await board.state()).fetches.busy / PAGE;
    return true;
  });
  return { ...figures!, fetch: fetched };
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

function report(rows: Row[], traffic: Traffic[]): string {
  const messages = table(
    [
      "board",
      "a ping, instructions",
      "in empty loops",
      "serving, kB/s",
      "loops a byte",
      "fetching, kB/s",
      "loops a byte",
    ],
    traffic.map(({ name, loop, ping, serve, fetch }) => [
      ...[name, ping * RATE, ping / loop],
      ...[
        (1 / serve).toFixed(1),
        (serve / loop).toFixed(1),
        (1 / fetch).toFixed(1),
        (fetch / loop).toFixed(1),
      ],
    ]),
  );
  const marks = table(
    ["board", "heap, one connection", "five connections", "heap peak", "taken by malloc", "C stack peak"],
    traffic.map(({ name, one, five, peak, ram, stack }) => [name, one, five, peak, ram, stack]),
  );
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

The heap at rest is after a collection that leaves objects no room for more properties; all are from reset until the page is served and
the main loop begins. What malloc has taken includes its own losses.

With traffic: a page of ${(PAGE / 1000).toFixed(0)} kB was served alone, then four at once to clients that read slowly, and a page about the state
at the same time. The packet memory is taken with the first packet that waits.

${marks}

## Work

${work}

QEMU counts instructions (\`-icount shift=${SHIFT}\`). The milliseconds are those of ${(RATE / 1000).toFixed(2)} million instructions a second: a real
processor waits for its flash and for branches. The empty loop is one turn of \`while (i < n) i++\`, the least that the engine can do.

## Traffic

${messages}

Counted is the time in which the processor does not sleep, so that neither the machine nor the network below matters: a ping of 56
bytes answered; HTTP served to curl and fetched from python's server by name, a page of ${(PAGE / 1000).toFixed(0)} kB each, from the SYN to the last byte,
at ${(RATE / 1000).toFixed(2)} million instructions a second.
`;
}

const rows: Row[] = [];
for (const machine of Object.keys(BOARDS)) {
  for (const script of ["bytecode", "source"] as const) {
    rows.push(await measure(machine, script));
    console.log(rows.at(-1));
  }
}
const traffic: Traffic[] = [];
for (const machine of Object.keys(BOARDS)) {
  traffic.push(await talk(machine, rows.find(({ name }) => name === `${machine}, bytecode`)!.loop));
  console.log(traffic.at(-1));
}
const text = report(rows, traffic);
console.log(text);
if (process.argv.includes("--write")) {
  const file = join(ROOT, "docs/firmware.md");
  const [, kept = ""] = readFileSync(file, "utf8").split(KEPT);
  writeFileSync(file, kept === "" ? text : `${text}\n${KEPT}${kept}`);
}
