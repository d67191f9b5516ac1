/** Measures the same workloads in several programs, in turns: what disturbs the machine disturbs all of them. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { ROOT } from "../support/files.js";

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

/** Medians of `rounds` rates each, by subject and workload. */
export async function measureAll(
  subjects: Subject[],
  works: readonly string[],
  rounds: number,
  milliseconds: number,
): Promise<Map<Subject, Map<string, number>>> {
  const medians = new Map(subjects.map((subject) => [subject, new Map<string, number>()]));
  for (const work of works) {
    const rates = new Map(subjects.map((subject) => [subject, [] as number[]]));
    // The first round warms up: compilers, caches.
    for (let round = 0; round <= rounds; round++) {
      for (const subject of subjects) {
        const rate = await subject.measure(work, milliseconds);
        if (round > 0) rates.get(subject)!.push(rate);
      }
    }
    for (const subject of subjects) medians.get(subject)!.set(work, median(rates.get(subject)!));
  }
  return medians;
}
