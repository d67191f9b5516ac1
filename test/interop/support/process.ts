/** Programs that a test runs: their output, a limit of time, and no way for them to outlive the test. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { PATIENCE } from "../../support/until.js";

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Milliseconds until the program is killed, which is a failure. Default 90 s: more than ping's own minute. */
  timeout?: number;
  /** What the program reads. Default: nothing. */
  input?: string | Uint8Array;
  /** Exit codes that are no failure. Default `[0]`; null: any. */
  codes?: number[] | null;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

/** Runs a program to its end. Rejects with its output when it fails. */
export async function run(command: string, parameters: string[], options: RunOptions = {}): Promise<Result> {
  const { timeout = 90_000, codes = [0], env, cwd } = options;
  const child = spawn(command, parameters, { stdio: "pipe", env: { ...process.env, ...env }, cwd });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, timeout);
  try {
    const code = await ended(child);
    const result = { code, stdout: stdout(), stderr: stderr() };
    if (late || (codes && (code === null || !codes.includes(code)))) {
      const how = late ? `did not end in ${timeout} ms` : `ended with ${code ?? child.signalCode}`;
      throw new Error(
        `${[command, ...parameters].join(" ")} ${how}\n${tail(result.stdout)}${tail(result.stderr)}`,
      );
    }
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** A program that runs until it is stopped. */
export class Daemon {
  private readonly text: () => string;
  private readonly end: Promise<number | null>;

  constructor(
    readonly title: string,
    readonly child: ChildProcess,
  ) {
    this.text = collect(child.stdout!, child.stderr!);
    this.end = ended(child);
    this.end.catch(() => {});
  }

  /** All that it has printed. */
  get output(): string {
    return this.text();
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Waits until `condition` holds of its output; rejects when it ends before or `timeout` ms have passed. */
  async until(condition: RegExp | (() => boolean | Promise<boolean>), timeout = PATIENCE): Promise<void> {
    const start = performance.now();
    while (!(condition instanceof RegExp ? condition.test(this.output) : await condition())) {
      if (!this.running) throw new Error(`${this.title} has ended\n${tail(this.output)}`);
      if (performance.now() - start > timeout)
        throw new Error(`${this.title}: nothing yet\n${tail(this.output)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Waits for its end; its exit code. */
  async ended(timeout = 30_000): Promise<number | null> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), timeout);
    const code = await this.end;
    clearTimeout(timer);
    return code;
  }

  /** Ends it, politely for two seconds. Legal twice. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.running) this.child.kill(signal);
    await this.ended(2000);
  }
}

/** Starts a program that runs until it is stopped. */
export function start(command: string, parameters: string[], env?: NodeJS.ProcessEnv): Daemon {
  const child = spawn(command, parameters, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  return new Daemon([command, ...parameters].join(" "), child);
}

function collect(...streams: NodeJS.ReadableStream[]): () => string {
  let text = "";
  for (const stream of streams) {
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => (text += chunk));
  }
  return () => text;
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code));
  });
}

function tail(text: string): string {
  return text.length > 4000 ? "..." + text.slice(-4000) : text;
}
