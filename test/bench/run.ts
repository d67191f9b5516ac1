/**
 * `npm run bench`: speed, beside lwIP native in the same run, and weight. `-- --json` prints rows for machines, `-- --quick` ends
 * within 50 seconds, `-- --write` puts the tables into docs/. `--rounds N`, `--milliseconds N`, `--without-lwip` make it smaller.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "../../rollup.config.js";
import { ROOT } from "../support/files.js";
import { APT_LINE, buildLwip } from "./lwip.js";
import { Subject, measureAll } from "./rounds.js";
import { bootTime, connectionBytes, stackBytes } from "./weigh.js";

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean" },
    quick: { type: "boolean" },
    write: { type: "boolean" },
    rounds: { type: "string" },
    milliseconds: { type: "string" },
    "without-lwip": { type: "boolean" },
  },
});

interface Row {
  readonly work: string;
  readonly about: string;
  readonly unit: string;
  readonly ours: number;
  /** The same workload in lwIP; null: it has none such, or could not be built (`note` says why). */
  readonly lwip: number | null;
  readonly ratio: number | null;
  readonly note?: string;
}

/** The workloads that lwIP runs as well: name, unit, what it is. */
const WORKS: readonly (readonly [string, string, string])[] = [
  ["tcp-bulk", "Gbit/s", "TCP, one stream"],
  ["tcp-rr", "/s", "TCP, one byte there and back"],
  ["udp-echo-64", "/s", "UDP echo, 64 bytes"],
  ["udp-echo-1400", "/s", "UDP echo, 1400 bytes"],
  ["tcp-connect", "/s", "TCP connections opened and closed"],
];

const log = (line: string) => console.error("bench: " + line);

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

/** Our subject in one file, as a bundler makes it of an application. */
async function bundleSubject(): Promise<string> {
  const { code } = await bundle(join(ROOT, "test/bench/subject.ts"), { format: "esm", minify: false });
  const file = join(ROOT, "build/bench/subject.mjs");
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, code);
  return file;
}

/** Rows of our own beside the five: the same workload with other accelerators of the host. */
const ACCELERATED: readonly (readonly [string, string, string])[] = [
  ["tcp-bulk", "wasm", "TCP, one stream; memory, copies and checksums in WebAssembly"],
  ["udp-echo-1400", "wasm", "UDP echo, 1400 bytes; likewise"],
  ["tcp-bulk", "none", "TCP, one stream; the stack's own bytewise checksum"],
];

/** The rows that compare with lwIP. */
async function speed(): Promise<Row[]> {
  const rounds = Number(options.rounds ?? (options.quick ? 5 : 9));
  const milliseconds = Number(options.milliseconds ?? (options.quick ? 100 : 400));
  const program = await bundleSubject();
  const start = (variant: string) => new Subject(variant, process.execPath, [program, variant]);
  const ours = start("words");
  let lwip: Subject | null = null;
  let note: string | undefined;
  try {
    if (options["without-lwip"]) note = "not asked for";
    else lwip = new Subject("lwIP", await buildLwip(log));
  } catch (error) {
    note = `lwIP could not be built (${(error as Error).message}). It wants: ${APT_LINE}`;
    log(note);
  }
  const others = { wasm: start("wasm"), none: start("none") } as Record<string, Subject>;
  const rows: Row[] = [];
  const variants = options.quick ? ACCELERATED.slice(0, 1) : ACCELERATED;
  for (const [work, unit, about] of WORKS) {
    const mine = variants.filter((variant) => variant[0] === work);
    const subjects = [ours, ...(lwip ? [lwip] : []), ...mine.map((variant) => others[variant[1]])];
    const medians = await measureAll(subjects, work, rounds, milliseconds);
    const theirs = lwip ? medians.get(lwip)! : null;
    const row = (name: string, text: string, rate: number): Row => ({
      work: name,
      about: text,
      unit,
      ours: rounded(rate),
      lwip: theirs === null ? null : rounded(theirs),
      ratio: theirs === null ? null : rounded(rate / theirs),
      ...(note && { note }),
    });
    rows.push(row(work, about, medians.get(ours)!));
    for (const [, variant, text] of mine) {
      rows.push(row(`${work}-${variant}`, text, medians.get(others[variant])!));
    }
  }
  for (const each of [ours, lwip, ...Object.values(others)]) each?.close();
  return rows;
}

function weight(): Row[] {
  const row = (work: string, about: string, unit: string, ours: number, note: string): Row => {
    return { work, about, unit, ours, lwip: null, ratio: null, note };
  };
  return [
    row(
      "boot",
      "boot of a configured stack, median of 1000",
      "ms",
      +bootTime().toFixed(3),
      "a rump kernel: 2 to 6 ms",
    ),
    row(
      "memory-stack",
      "an idle stack with one interface",
      "B",
      Math.round(stackBytes()),
      "a rump kernel: 1.6 MB",
    ),
    row(
      "memory-connection",
      "an idle connection, each end",
      "B",
      Math.round(connectionBytes()),
      "lwIP on x86-64: 240 B",
    ),
  ];
}

function speedTable(rows: Row[]): string {
  const cell = (value: number | null, unit: string) =>
    value === null ? "none" : `${value.toLocaleString("en-US", { maximumSignificantDigits: 3 })} ${unit}`;
  return [
    "| | here | lwIP native | ratio |",
    "|---|---:|---:|---:|",
    ...rows.map(
      ({ about, unit, ours, lwip, ratio }) =>
        `| ${about} | ${cell(ours, unit)} | ${cell(lwip, unit)} | ${ratio ?? ""} |`,
    ),
  ].join("\n");
}

function weightTable(rows: Row[]): string {
  return [
    "| | here | anchor |",
    "|---|---|---|",
    ...rows.map(({ about, ours, unit, note }) => `| ${about} | ${ours} ${unit} | ${note} |`),
  ].join("\n");
}

function writeDocument(name: string, text: string): void {
  writeFileSync(new URL("../../docs/" + name, import.meta.url), text);
}

const fast = await speed();
const light = weight();
if (options.json) console.log(JSON.stringify({ rows: [...fast, ...light] }));
else console.log(`${speedTable(fast)}\n\n${weightTable(light)}`);

if (options.write) {
  writeDocument(
    "performance.md",
    `# How fast

Two ends in one process and one thread over an in-memory Ethernet: MTU 1500, software checksums both ways, frames copied at the
link, windows of 256 KiB. lwIP 2.1.3 is built from Debian's source with \`gcc -O2\` (raw API, two instances) and measured in the same
run, in turns; medians, per second of processor time. Node ${process.versions.node}. Made by \`npm run bench -- --write\`; a busy or
virtual machine moves single figures by a third, the ratios by less.

${speedTable(fast)}

Without a name of its own a row is the stack with the plain-JS checksum by words. lwIP hands its application the received buffer;
our \`read\` copies into the application's. Our timestamps (RFC 7323) and SACK are on, lwIP's are off, as each has them by default.

The aims are 1.0 for TCP in one stream (1.5 with WebAssembly) and 0.7 for the others: see above how far they are. Boot (at most
0.2 ms) and an idle connection (at most 1536 bytes) are in [memory.md](memory.md).

Where the time goes (\`node --prof\`, TCP in one stream, with WebAssembly): a third in V8's builtins and the C library, which is the
copies between typed arrays and the clock; the rest spread thinly over the path of the segment, no function above 5 %.
`,
  );
  writeDocument(
    "memory.md",
    `# What a stack weighs

Ethernet, ARP, IPv4 with fragments, ICMP, UDP and TCP on Node ${process.versions.node}; heap and array buffers after a full
collection. Made by \`npm run bench -- --write\`.

${weightTable(light)}

A stack takes packet memory from its host in slabs, as it needs them, and an idle connection holds none: its buffers are
made of chunks that exist while bytes are in them. What a connection costs beyond lwIP's 240 bytes is V8's: each of the
control block's fields is a word of 8 bytes, and each object has a header.
`,
  );
}
