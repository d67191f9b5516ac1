/**
 * `node examples/launch.js test/interop/bare/report.ts`: what the firmware costs, on each board; `--write` puts the tables into
 * docs/firmware.md. As root, on an idle machine; two minutes.
 *
 * QEMU counts instructions (`-icount`), and each takes 2^SHIFT ns of the board's time: the figures are exact up to the peers'
 * timing, and belong to a processor that does one instruction a cycle from memory without wait states.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ExecutionContext } from "ava";
import { BOARDS, buildImage } from "../../../examples/firmware-image/build.js";
import { ROOT } from "../../support/files.js";
import { run } from "../support/process.js";
import { createBoard, eventually, servePage, SERVER } from "./board.js";
import type { TestBoard } from "./board.js";

const SHIFT = 5;
const ICOUNT = ["-icount", `shift=${SHIFT}`];
/** Instructions in a millisecond of the board's. */
const RATE = 1e6 / (1 << SHIFT);
const PINGS = 50;
const BYTES = 300_000;
const LOOP = fileURLToPath(new URL("../../../examples/firmware-image/loop.ts", import.meta.url));

interface Row {
  machine: string;
  script: string;
  text: number;
  scriptBytes: number;
  data: number;
  bss: number;
  heap: number;
  peak: number;
  ram: number;
  stack: number;
  /** Milliseconds of the board's, and instructions. */
  boot: number;
  loop: number;
  ping: number;
  trip: number;
  send: number;
  receive: number;
}

/** Enough of a test for `createBoard`. */
function fixture(): { t: ExecutionContext; end(): Promise<void> } {
  const teardowns: (() => unknown)[] = [];
  const t = {
    passed: true,
    log: console.log,
    teardown: (task: () => unknown) => void teardowns.unshift(task),
  };
  return {
    t: t as unknown as ExecutionContext,
    async end() {
      for (const task of teardowns) await task();
    },
  };
}

/** Busy milliseconds that asking for the state costs itself, the median of five. */
async function askingCosts(board: TestBoard): Promise<number> {
  const costs: number[] = [];
  let last = (await board.state()).busy;
  for (let i = 0; i < 5; i++) {
    const { busy } = await board.state();
    costs.push(busy - last);
    last = busy;
  }
  return costs.sort((a, b) => a - b)[2]!;
}

async function measureLoop(machine: string, script: "bytecode" | "source"): Promise<number> {
  const image = await buildImage(machine, { script, entry: LOOP });
  const { stdout } = await run("qemu-system-arm", [
    ...[
      "-M",
      machine,
      "-kernel",
      image,
      "-nic",
      "none",
      "-nographic",
      "-monitor",
      "none",
      "-serial",
      "stdio",
    ],
    ...["-semihosting-config", "enable=on,target=native,arg=loop", ...ICOUNT],
  ]);
  return Number(/^loop ([\d.e-]+)\r$/m.exec(stdout)![1]) * RATE;
}

async function measure(machine: string, script: "bytecode" | "source"): Promise<Row> {
  const image = await buildImage(machine, { script });
  const size = execFileSync("arm-none-eabi-size", [image], { encoding: "utf8" })
    .split("\n")[1]!
    .trim()
    .split(/\s+/);
  const symbols = execFileSync("arm-none-eabi-nm", [image], { encoding: "utf8" });
  const address = (name: string) => parseInt(new RegExp(`^(\\w+) \\w ${name}$`, "m").exec(symbols)![1]!, 16);
  const { t, end } = fixture();
  try {
    const board = await createBoard(t, {
      machine,
      image,
      options: { fetch: `http://${SERVER}:8000/page`, every: 5 },
      parameters: ICOUNT,
    });
    const target = await board.address(120_000);
    const boot = Number(/^started, heap \d+, busy ([\d.]+)/m.exec(board.qemu.output)![1]);
    const asking = await askingCosts(board);
    const before = (await board.state()).busy;
    const { stdout } = await board.ns.run("ping", ["-c", `${PINGS}`, "-i", "0.05", "-W", "10", target]);
    const pinged = (await board.state()).busy;
    await board.curl(`/bytes/${BYTES}`, "-o", "/dev/null");
    const sent = (await board.state()).busy;
    await servePage(board, BYTES);
    await eventually("a fetch", async () => (await board.state()).fetches.succeeded > 0, 120_000);
    const { memory, fetches } = await board.state();
    return {
      machine,
      script,
      text: Number(size[0]),
      scriptBytes: address("script_end") - address("script"),
      data: Number(size[1]),
      bss: Number(size[2]),
      heap: memory.heap,
      peak: memory.heapPeak,
      ram: memory.ram,
      stack: memory.stack,
      boot,
      loop: await measureLoop(machine, script),
      ping: ((pinged - before - asking) / PINGS) * RATE,
      trip: Number(/rtt min\/avg\/max\/mdev = ([\d.]+)/.exec(stdout)![1]),
      send: ((sent - pinged - asking) / BYTES) * RATE,
      receive: (fetches.busy / BYTES) * RATE,
    };
  } finally {
    await end();
  }
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
  const name = (row: Row) => `${row.machine}, ${row.script}`;
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
    rows.map((r) => [name(r), r.text, r.scriptBytes, r.data + r.bss, r.heap, r.peak, r.ram, r.stack]),
  );
  const work = table(
    ["image", "empty loop", "boot", "ping answered", "byte sent by HTTP", "byte fetched"],
    rows.map((r) => [name(r), r.loop, r.boot * RATE, r.ping, r.send, r.receive]),
  );
  const time = table(
    [
      "image",
      "boot, ms",
      "ping, ms",
      "HTTP out, kB/s",
      "HTTP in, kB/s",
      "ping in loops",
      "1 kB out in loops",
    ],
    rows.map((r) => [
      name(r),
      r.boot,
      (r.ping / RATE).toFixed(2),
      (RATE / r.send).toFixed(1),
      (RATE / r.receive).toFixed(1),
      r.ping / r.loop,
      (r.send * 1000) / r.loop,
    ]),
  );
  return `# Firmware: what it costs

Made by \`node examples/launch.js test/interop/bare/report.ts --write\`. The image is
[examples/firmware-image](../examples/firmware-image): Duktape 2.7, IPv4 with ARP and ICMP, UDP, TCP, DHCP, DNS, an HTTP server and
a client; 32 KiB of packet memory.

## Memory, bytes

${memory}

The heap at rest is after a collection; the peak is from reset to the end of the measurements below. What malloc has taken
includes its own losses.

## Instructions

${work}

QEMU counts them (\`-icount shift=${SHIFT}\`): interpreter, stack, glue and driver together, sleep apart. A ping has 64 bytes. The
empty loop is one turn of \`for (let i = 0; i < n; i++);\`, the least that the engine can do.

## Time, at ${(RATE / 1000).toFixed(2)} million instructions a second

${time}

That is a processor of ${(RATE / 1000).toFixed(0)} MHz which does one instruction a cycle; a real one waits for its flash and for
branches. "In loops" is the same work in turns of the empty loop.
`;
}

const rows: Row[] = [];
for (const machine of Object.keys(BOARDS)) {
  for (const script of ["bytecode", "source"] as const) {
    if (script === "source" && machine !== "mps2-an385") continue;
    rows.push(await measure(machine, script));
    console.log(rows.at(-1));
  }
}
const text = report(rows);
console.log(text);
if (process.argv.includes("--write")) writeFileSync(join(ROOT, "docs/firmware.md"), text);
