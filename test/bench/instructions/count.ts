/**
 * Host instructions that the small engines spend on an echo and on a segment, by valgrind's callgrind: the same program gives the
 * same figure, whatever else the machine does.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { bundle } from "../../../rollup.config.js";
import { duktape, obstacles, quickjs } from "../../engines/native.js";
import { ROOT } from "../../support/files.js";
import { missing } from "../../support/need.js";

const run = promisify(execFile);

/** Exchanges that are counted. */
const COUNT = 40;

/** By engine: what is missing for it, and how to get its program. */
const ENGINES = {
  duktape: { obstacles: () => obstacles("duktape"), program: duktape },
  quickjs: { obstacles: () => obstacles("quickjs"), program: quickjs },
};
export type EngineName = keyof typeof ENGINES;
export const NAMES = Object.keys(ENGINES) as EngineName[];

/** Host instructions for both ends together. */
export interface Instructions {
  /** A datagram of 64 bytes there and back. */
  "udp-echo": number;
  /** A segment of 1448 bytes, half an acknowledgment. */
  "tcp-segment": number;
}
export type Figures = Partial<Record<EngineName, Instructions>>;

/** The figures as they were when they were last written. */
export const COMMITTED = join(ROOT, "test/bench/instructions/committed.json");
/** By how much, in either direction, a figure may differ from the committed one before it must be looked at. */
export const TOLERANCE = 0.02;

export function committed(): Figures {
  return JSON.parse(readFileSync(COMMITTED, "utf8")) as Figures;
}

export function commit(figures: Figures): void {
  writeFileSync(COMMITTED, JSON.stringify({ ...committed(), ...figures }, null, 2) + "\n");
}

/** What is missing on this machine, as lines for people. */
export function absent(engine: EngineName): string[] {
  return [...missing({ programs: ["valgrind"] }), ...ENGINES[engine].obstacles()];
}

let program: Promise<string> | undefined;

/** Counts in one engine. */
export async function count(engine: EngineName): Promise<Instructions> {
  program ??= bundle(join(ROOT, "test/bench/instructions/program.ts")).then(({ code }) => code);
  const script = `${await program}\nanystack.exchange(${COUNT}, peak, print);`;
  const folder = mkdtempSync(join(tmpdir(), "anystack-count-"));
  try {
    const file = join(folder, "program.js");
    writeFileSync(file, script);
    // Each call of `peak` ends a part: the first is what comes before, then echoes, then segments.
    const callgrind = [
      "--tool=callgrind",
      "--dump-before=peak",
      "--callgrind-out-file=" + join(folder, "out"),
    ];
    const { stdout, stderr } = await run("valgrind", [...callgrind, await ENGINES[engine].program(), file]);
    if (stdout.trim() !== `${COUNT + 20} answers, ${(COUNT + 40) * 1448} bytes`) {
      throw new Error(`${engine} says: ${stdout}${stderr.slice(-500)}`);
    }
    const parts = readdirSync(folder)
      .filter((name) => /^out\.\d+$/.test(name))
      .sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)))
      .map((name) =>
        Number(/^(?:summary|totals): (\d+)/m.exec(readFileSync(join(folder, name), "latin1"))?.[1]),
      );
    if (parts.length !== 3) throw new Error(`${engine}: callgrind has made ${parts.length} parts`);
    return { "udp-echo": Math.round(parts[1] / COUNT), "tcp-segment": Math.round(parts[2] / COUNT) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
