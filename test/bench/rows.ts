/** All that `npm run bench` measures, as rows. */
import { TABLES, connectionRate, routeRate, timerRate } from "./growth.js";
import { findProgram } from "../support/need.js";
import { forwardFigures } from "./forward.js";
import { NAMES, absent, count } from "./instructions/count.js";
import type { Figures } from "./instructions/count.js";
import { WAYS, kernelFigures, obstacles } from "./kernel/rows.js";
import type { Way } from "./kernel/rows.js";
import { APT_LINE, buildLwip } from "./lwip.js";
import { programOf } from "./program.js";
import { Subject, measureAll } from "./rounds.js";
import { bootTime, connectionBytes, stackBytes } from "./weigh.js";

export interface Row {
  /** The name for machines. */
  readonly work: string;
  readonly about: string;
  readonly unit: string;
  readonly ours: number;
  /** The same workload in lwIP; null: it has none such, or could not be built (`note` says why). */
  readonly lwip: number | null;
  readonly ratio: number | null;
  /** The same workload in the kernel over a veth pair. */
  readonly kernel?: number;
  /** Per second of our process's time, where `ours` is per second of wall clock. */
  readonly perCpu?: number;
  readonly note?: string;
}

export interface Settings {
  readonly quick: boolean;
  readonly rounds: number;
  readonly milliseconds: number;
  readonly lwip: boolean;
  /** By `performance.now()`, when all is to have ended: what is measured last is measured less, or left out. */
  readonly until: number;
  log(line: string): void;
}

/** The workloads that lwIP runs as well: name, unit, what it is. */
const WORKS: readonly (readonly [string, string, string])[] = [
  ["tcp-bulk", "Gbit/s", "TCP, one stream"],
  ["tcp-rr", "/s", "TCP, one byte there and back"],
  ["udp-echo-64", "/s", "UDP echo, 64 bytes"],
  ["udp-echo-1400", "/s", "UDP echo, 1400 bytes"],
  ["tcp-connect", "/s", "TCP connections opened and closed"],
];

/** Rows of our own beside the five: the same workload with other accelerators of the host. */
const ACCELERATED: readonly (readonly [string, string, string])[] = [
  ["tcp-bulk", "wasm", "TCP, one stream; memory, copies and checksums in WebAssembly"],
  ["tcp-bulk", "none", "TCP, one stream; the stack's own bytewise checksum"],
  ["tcp-rr", "wasm", "TCP, one byte there and back; in WebAssembly"],
  ["udp-echo-64", "wasm", "UDP echo, 64 bytes; in WebAssembly"],
  ["udp-echo-1400", "wasm", "UDP echo, 1400 bytes; in WebAssembly"],
  ["udp-echo-1400", "none", "UDP echo, 1400 bytes; the stack's own bytewise checksum"],
];

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function row(work: string, about: string, unit: string, ours: number, more: Partial<Row> = {}): Row {
  return { work, about, unit, ours: rounded(ours), lwip: null, ratio: null, ...more };
}

/** When a stage is to end that has this share of the time that is left. */
function shareOf({ until }: Settings, share: number): number {
  return performance.now() + (until - performance.now()) * share;
}

/** The rows that compare with lwIP, and what they leave to the garbage collector. */
export async function speed(settings: Settings): Promise<{ speed: Row[]; garbage: Row[] }> {
  const { rounds, milliseconds, log } = settings;
  const program = await programOf("test/bench/subject.ts");
  const start = (variant: string) => new Subject(variant, process.execPath, [program, variant]);
  let lwip: Subject | null = null;
  let note: string | undefined;
  try {
    if (!settings.lwip) note = "not asked for";
    else lwip = new Subject("lwIP", await buildLwip(log));
  } catch (error) {
    note = `lwIP could not be built (${(error as Error).message}). It wants: ${APT_LINE}`;
    log(note);
  }
  const ours = { words: start("words"), wasm: start("wasm"), none: start("none") } as Record<string, Subject>;
  const rows: Row[] = [];
  const garbage: Row[] = [];
  const variants = settings.quick ? ACCELERATED.slice(0, 1) : ACCELERATED;
  const end = shareOf(settings, 0.5);
  for (const [i, [work, unit, about]] of WORKS.entries()) {
    const mine = [["", "words", about], ...variants.filter((variant) => variant[0] === work)];
    const subjects = mine.map(([, variant]) => ours[variant]);
    if (lwip) subjects.push(lwip);
    const medians = await measureAll(
      subjects,
      work,
      rounds,
      milliseconds,
      shareOf({ ...settings, until: end }, 1 / (WORKS.length - i)),
    );
    const theirs = lwip ? medians.get(lwip)! : null;
    for (const [suffix, variant, text] of mine) {
      const rate = medians.get(ours[variant])!;
      const name = suffix === "" ? work : `${work}-${variant}`;
      const lwipRow = theirs === null ? {} : { lwip: rounded(theirs), ratio: rounded(rate / theirs) };
      rows.push(row(name, text, unit, rate, { ...lwipRow, ...(note && { note }) }));
      if (variant === "none") continue;
      const time = performance.now() < end ? milliseconds : Math.min(milliseconds, 10);
      const bytes = await ours[variant].measure(`garbage:${work}`, time);
      garbage.push(row(`garbage-${name}`, text, work === "tcp-bulk" ? "B/MiB" : "B each", bytes));
    }
  }
  for (const variant of settings.quick ? ["words"] : ["words", "wasm"]) {
    const text = `pause of the collector during all this, 99th percentile (${variant})`;
    garbage.push(row(`pause-p99-${variant}`, text, "ms", await ours[variant].measure("pauses", 0)));
  }
  for (const each of [lwip, ...Object.values(ours)]) each?.close();
  return { speed: rows, garbage };
}

/** How costs grow with numbers. */
export function growth(settings: Settings): Row[] {
  const { quick, log, until } = settings;
  const time = Math.min(settings.milliseconds, 200);
  const rows: Row[] = [];
  const left: string[] = [];
  const add = (work: string, about: string, measure: () => number, more: Partial<Row> = {}) => {
    if (performance.now() < until) rows.push(row(work, about, "/s", measure(), more));
    else left.push(work);
  };
  // V8 compiles what is hot, once for all rows.
  connectionRate(1, 300);
  for (const n of quick ? [1, 100, 10_000] : [1, 100, 10_000, 100_000]) {
    const about = `TCP, one byte there and back on each of ${n.toLocaleString("en-US")} connections in turn`;
    add(`connections-${n}`, about, () => connectionRate(n, time));
  }
  for (const { name, make, counts } of TABLES) {
    for (const n of quick ? counts.filter((count) => count <= 10_000) : counts) {
      const about = `routes looked up among ${n.toLocaleString("en-US")} (${name})`;
      const work = `routes-${n}-${name.replaceAll(" ", "-")}`;
      add(work, about, () => routeRate(make, n, time), { note: name });
    }
  }
  for (const n of [1, 100, 10_000]) {
    const about = `timers moved, and due, among ${n.toLocaleString("en-US")}`;
    add(`timers-${n}`, about, () => timerRate(n, time));
  }
  if (left.length > 0) log(`SKIPPED: no time is left on this busy machine for ${left.join(", ")}`);
  return rows;
}

export function weight(): Row[] {
  const stack = stackBytes();
  const connection = connectionBytes();
  return [
    row("boot", "boot of a configured stack, median of 1000", "ms", bootTime(), {
      note: "a rump kernel: 2 to 6 ms",
    }),
    row("memory-stack", "an idle stack with one interface", "B", stack, { note: "a rump kernel: 1.6 MB" }),
    row("memory-connection", "an idle connection, each end", "B", connection, {
      note: "lwIP on x86-64: 240 B",
    }),
  ].map((each, i) => ({ ...each, ours: i === 0 ? each.ours : Math.round([stack, connection][i - 1]) }));
}

/** The kernel over TAP to us, and over veth to itself. Empty where this machine cannot: the log says why. */
export async function kernel(settings: Settings): Promise<Row[]> {
  const { quick, rounds, milliseconds, log } = settings;
  const lines = obstacles();
  if (lines.length > 0) {
    log(`SKIPPED: the kernel as a peer needs ${lines.join("; ")}`);
    return [];
  }
  const ways: readonly Way[] = quick ? ["offloads"] : WAYS;
  const end = shareOf(settings, 0.6);
  const figures = await kernelFigures(
    quick ? 1 : Math.min(rounds, 5),
    Math.min(milliseconds, 400),
    ways,
    end,
  );
  const own = figures.filter(({ way }) => way === "veth");
  const rows = figures
    .filter(({ way }) => way !== "veth")
    .map(({ work, about, unit, way, rate, perCpu }) => {
      const veth = own.find((figure) => figure.work === work);
      return row(`tap-${way}-${work}`, about, unit, rate, {
        note: way,
        perCpu: rounded(perCpu),
        ...(veth && { kernel: rounded(veth.rate) }),
      });
    });
  if (quick || !findProgram("iperf3")) return rows;
  const routed = await forwardFigures(Math.min(rounds, 5), 2);
  for (const { way, about, rate, perCpu } of routed) {
    if (way.startsWith("kernel")) continue;
    const other = routed.find(
      (each) => each.way === (way === "offloads" ? "kernel-offloads" : "kernel-plain"),
    )!;
    rows.push(
      row(`router-${way}`, about, "bit/s", rate * 1e9, {
        note: "router",
        kernel: rounded(other.rate * 1e9),
        perCpu: rounded(perCpu * 1e9),
      }),
    );
  }
  return rows;
}

/** Host instructions in the small engines. */
export async function instructions(log: Settings["log"]): Promise<{ rows: Row[]; figures: Figures }> {
  const figures: Figures = {};
  const rows: Row[] = [];
  const about = {
    "udp-echo": "UDP echo of 64 bytes, both ends",
    "tcp-segment": "TCP segment of 1448 bytes with its acknowledgment, both ends",
  };
  for (const name of NAMES) {
    const lines = absent(name);
    if (lines.length > 0) {
      log(`SKIPPED: instructions in ${name} need ${lines.join("; ")}`);
      continue;
    }
    const found = (figures[name] = await count(name));
    for (const work of ["udp-echo", "tcp-segment"] as const) {
      const text = `${about[work]}: ${name}`;
      rows.push({ ...row(`instructions-${work}-${name}`, text, "instructions", 0), ours: found[work] });
    }
  }
  return { rows, figures };
}
