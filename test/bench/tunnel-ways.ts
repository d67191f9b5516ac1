/**
 * What benchmarks of tunnels share: two namespaces with something that encrypts between them, TCP (iperf3) through it in interleaved rounds,
 * and a table of medians between two marks of a document.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Namespace } from "../interop/support/namespace.js";
import type { Daemon } from "../interop/support/process.js";
import { ROOT } from "../support/files.js";
import { until } from "../support/until.js";
import { median } from "./rounds.js";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "4" },
    write: { type: "boolean", default: false },
  },
});

/** What is to be ended, last first: all that the tests' peers want of a test. */
export const endings: (() => unknown)[] = [];
export const t = { passed: true, log: console.error, teardown: (end: () => unknown) => endings.push(end) };

export function namespace(...addresses: [address: string, device: string][]): Namespace {
  const made = new Namespace();
  endings.push(() => made.close());
  for (const [address, device] of addresses) made.ip("address", "add", address, "dev", device);
  return made;
}

export function up(ns: Namespace, device: string, address?: string): void {
  if (address) ns.ip("address", "add", address, "dev", device);
  ns.ip("link", "set", device, "up");
}

export interface Way {
  readonly about: string;
  readonly client: Namespace;
  readonly server: Namespace;
  readonly local: string;
  readonly address: string;
  /** Who encrypts. */
  readonly ends: readonly Daemon[];
}

interface Figure {
  /** Mbit/s that arrive, and Mbit for each second of processor that the two ends have had. */
  readonly rate: number;
  readonly perCpu: number;
}

/** Seconds of processor that processes have had (proc(5); a tick is 10 ms). */
function processor(daemons: readonly Daemon[]): number {
  const ticks = daemons.map(({ child }) => {
    const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / 100;
}

async function measure({ client, server, local, address, ends }: Way): Promise<Figure> {
  const before = processor(ends);
  const daemon = await server.serve("tcp", 5201, "iperf3", ["-s", "-1"]);
  const { stdout } = await client.run("iperf3", ["-c", address, "-B", local, "-t", options.seconds, "-J"], {
    timeout: 60_000 + 2000 * Number(options.seconds),
  });
  await daemon.ended();
  const report = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number; bytes: number } } };
  const { bits_per_second, bytes } = report.end.sum_received;
  return { rate: bits_per_second / 1e6, perCpu: (bytes * 8) / 1e6 / (processor(ends) - before) };
}

/**
 * Measures them round by round, the last one being what the others are compared with; prints the table, and with `--write` puts it between the
 * marks of the document. All that was started is ended.
 */
export async function compare(
  make: () => Promise<Way[]>,
  document: string,
  [begin, end]: [string, string],
): Promise<void> {
  try {
    const ways = await make();
    const figures = ways.map(() => [] as Figure[]);
    for (const { client, local, address } of ways) {
      const ping = ["-c", "1", "-W", "5", "-I", local, address];
      await until("a way", async () => (await client.run("ping", ping, { codes: null })).code === 0);
    }
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const [i, way] of ways.entries()) {
        const figure = await measure(way);
        figures[i]!.push(figure);
        const { rate, perCpu } = figure;
        console.error(
          `bench: ${way.about}: ${rate.toFixed(0)} Mbit/s, ${perCpu.toFixed(0)} Mbit per CPU second`,
        );
      }
    }
    const medians = figures.map((list) => ({
      rate: median(list.map(({ rate }) => rate)),
      perCpu: median(list.map(({ perCpu }) => perCpu)),
    }));
    const base = medians.at(-1)!;
    const rows = ways.map(({ about }, i) => {
      const { rate, perCpu } = medians[i]!;
      const ratios = [rate / base.rate, perCpu / base.perCpu].map((ratio) => ratio.toFixed(2));
      return `| ${about} | ${rate.toFixed(0)} Mbit/s | ${ratios[0]} | ${perCpu.toFixed(0)} Mbit | ${ratios[1]} |`;
    });
    const head = "| tunnel between | TCP through it | | for a second of processor, of both ends | |";
    const table = [head, "|---|---:|---:|---:|---:|", ...rows].join("\n");
    console.log(table);
    if (options.write) {
      const file = join(ROOT, document);
      const text = readFileSync(file, "utf8");
      const [before, rest] = text.split(begin);
      const after = rest?.split(end)[1];
      if (before === undefined || after === undefined) throw new Error(`no ${begin} in ${document}`);
      writeFileSync(file, `${before}${begin}\n\n${table}\n\n${end}${after}`);
    }
  } finally {
    for (const each of endings.reverse()) await each();
  }
}
