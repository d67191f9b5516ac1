/** Measures the same workloads in several programs, in turns: what disturbs the machine disturbs all of them. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { ROOT } from "../support/files.js";

/** Rounds that a subject runs before it is measured: V8 takes a second of processor time to compile all that is hot. */
const WARM_UP = 6;

/** No measurement is shorter, ms. */
const SHORTEST = 10;

/** A program that answers lines of "WORK MILLISECONDS" with a rate each: subject.ts, or lwip/main.c. */
export class Subject {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(
    readonly name: string,
    program: string,
    parameters: string[] = [],
  ) {
    this.child = spawn(program, parameters, { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async measure(work: string, milliseconds: number): Promise<number> {
    this.child.stdin!.write(`${work} ${milliseconds}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.name} has ended in ${work}`);
    return Number(value);
  }

  close(): void {
    this.child.stdin!.end();
  }
}

export function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/**
 * The median of `rounds` rates of a workload, by subject: of fewer and shorter ones where `until` (by `performance.now()`) comes
 * before, of one at the least.
 */
export async function measureAll(
  subjects: Subject[],
  work: string,
  rounds: number,
  milliseconds: number,
  until = Infinity,
): Promise<Map<Subject, number>> {
  // On a busy machine a measurement takes several times what it is given.
  const fitting = (wanted: number, share: number) =>
    Math.round(Math.min(wanted, Math.max(SHORTEST, ((until - performance.now()) * share) / subjects.length)));
  for (const subject of subjects) await subject.measure(work, fitting(WARM_UP * milliseconds, 1 / 6));
  const rates = new Map(subjects.map((subject) => [subject, [] as number[]]));
  for (let round = 0; round < rounds && (round === 0 || performance.now() < until); round++) {
    for (const subject of subjects)
      rates.get(subject)!.push(await subject.measure(work, fitting(milliseconds, 1 / 6)));
  }
  return new Map(subjects.map((subject) => [subject, median(rates.get(subject)!)]));
}
