/**
 * `npm run bench`: speed, beside lwIP native in the same run, and weight. `-- --json` prints rows for machines, `-- --quick` ends
 * within 50 seconds, `-- --write` puts the tables into docs/. `--rounds N`, `--milliseconds N`, `--without-lwip` make it smaller.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
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

/** The rows that compare with lwIP. */
async function speed(): Promise<Row[]> {
  const rounds = Number(options.rounds ?? (options.quick ? 5 : 9));
  const milliseconds = Number(options.milliseconds ?? (options.quick ? 150 : 500));
  const subject = fileURLToPath(new URL("subject.ts", import.meta.url));
  const ours = new Subject("anystack", process.execPath, ["--import=tsx", subject, "words"]);
  let lwip: Subject | null = null;
  let note: string | undefined;
  try {
    if (options["without-lwip"]) note = "not asked for";
    else lwip = new Subject("lwIP", await buildLwip(log));
  } catch (error) {
    note = `lwIP could not be built (${(error as Error).message}). It wants: ${APT_LINE}`;
    log(note);
  }
  const subjects = lwip ? [ours, lwip] : [ours];
  const works = WORKS.map(([work]) => work);
  const medians = await measureAll(subjects, works, rounds, milliseconds);
  for (const each of subjects) each.close();
  return WORKS.map(([work, unit, about]) => {
    const mine = medians.get(ours)!.get(work)!;
    const theirs = lwip ? medians.get(lwip)!.get(work)! : null;
    return {
      work,
      about,
      unit,
      ours: rounded(mine),
      lwip: theirs === null ? null : rounded(theirs),
      ratio: theirs === null ? null : rounded(mine / theirs),
      ...(note && { note }),
    };
  });
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
