/**
 * The kernel as the peer: over a TAP device to us, in a process of its own, and, for comparison, over a veth pair without
 * offloads to itself. Needs root, namespaces and a C compiler; `obstacles` says what is missing.
 */
import { execFile, execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { ROOT } from "../../support/files.js";
import { missing } from "../../support/need.js";
import { programOf } from "../program.js";
import { median } from "../rounds.js";

const run = promisify(execFile);
const BUILD = join(ROOT, "build/bench");
const PEER = join(BUILD, "peer");

/** The name of a workload, its unit, what it is, the arguments of peer.c behind the address, and those behind the time. */
interface Work {
  readonly name: string;
  readonly about: string;
  readonly unit: string;
  readonly command: string;
  readonly port: number;
  readonly size?: number;
}

export const WORKS: readonly Work[] = [
  { name: "receive", about: "TCP to us", unit: "Gbit/s", command: "send", port: 5001 },
  { name: "send", about: "TCP from us", unit: "Gbit/s", command: "receive", port: 5002 },
  { name: "rr", about: "TCP, one byte there and back", unit: "/s", command: "rr", port: 5003 },
  { name: "udp-echo-64", about: "UDP echo, 64 bytes", unit: "/s", command: "udp", port: 5001, size: 64 },
  {
    name: "udp-echo-1400",
    about: "UDP echo, 1400 bytes",
    unit: "/s",
    command: "udp",
    port: 5001,
    size: 1400,
  },
];

/** Ways for frames: to us with and without virtio-net headers, and the kernel's own. */
export const WAYS = ["offloads", "plain", "veth"] as const;
export type Way = (typeof WAYS)[number];

export interface KernelFigure {
  readonly work: string;
  readonly about: string;
  readonly unit: string;
  readonly way: Way;
  /** Per second of wall clock, with both processes on the machine. */
  readonly rate: number;
  /** Per second of our process's time, the kernel's work in its calls included; not a number for veth. */
  readonly perCpu: number;
}

/** What this machine lacks, as lines for people. */
export function obstacles(): string[] {
  return missing({
    root: true,
    programs: ["ip", "ethtool", "gcc", "curl", "sysctl"],
    files: ["/dev/net/tun"],
  });
}

/** A process that says "ready", and then a line for each line that it is given. */
class Partner {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(program: string, parameters: string[]) {
    this.child = spawn(program, parameters, {
      cwd: ROOT,
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error("a process of the benchmark has ended");
    return value as string;
  }

  /** Microseconds of processor time so far. */
  async time(): Promise<number> {
    this.child.stdin!.write("\n");
    return Number(await this.line());
  }

  /** Ends it, with the processes that it has started. */
  close(): void {
    try {
      process.kill(-this.child.pid!, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

/** Builds both programs; returns the file of ours. */
async function build(): Promise<string> {
  mkdirSync(dirname(PEER), { recursive: true });
  await run("gcc", ["-O2", "-w", join(ROOT, "test/bench/kernel/peer.c"), "-o", PEER]);
  return programOf("test/bench/kernel/subject.ts");
}

const ip = (...words: string[]) => execFileSync("ip", words, { stdio: "pipe" });

/** Sockets' buffers as large as ours. */
function large(netns: string): void {
  const settings = ["net.ipv4.tcp_wmem=4096 1000000 8000000", "net.ipv4.tcp_rmem=4096 1000000 8000000"];
  execFileSync("ip", ["netns", "exec", netns, "sysctl", "-q", "-w", ...settings]);
}

/** One way: runs `use` with the client's namespace, the server's address, and the server. */
async function along(
  way: Way,
  subject: string,
  use: (netns: string, address: string, server: Partner) => Promise<void>,
) {
  const near = `anystack-bench-${process.pid}`;
  const far = `${near}-far`;
  ip("netns", "add", near);
  let server: Partner | null = null;
  try {
    large(near);
    if (way === "veth") {
      ip("netns", "add", far);
      large(far);
      ip("-n", near, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", far);
      [near, far].forEach((netns, i) => {
        ip("-n", netns, "address", "add", `10.9.0.${i + 1}/24`, "dev", "v0");
        ip("-n", netns, "link", "set", "v0", "up");
        const off = ["tx", "rx", "sg", "tso", "gso", "gro"].flatMap((name) => [name, "off"]);
        execFileSync("ip", ["netns", "exec", netns, "ethtool", "-K", "v0", ...off], { stdio: "pipe" });
      });
      server = new Partner("ip", ["netns", "exec", far, PEER, "serve"]);
      await server.line();
    } else {
      server = new Partner(process.execPath, [subject, near, way]);
      await server.line();
      ip("-n", near, "address", "add", "10.9.0.1/24", "dev", "tap0");
      ip("-n", near, "link", "set", "tap0", "up");
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    await use(near, "10.9.0.2", server);
  } finally {
    server?.close();
    ip("netns", "delete", near);
    if (way === "veth") ip("netns", "delete", far);
  }
}

/** All workloads over all ways: medians of `rounds`. Those that have not begun at `until` (by `performance.now()`) are left out. */
export async function kernelFigures(
  rounds: number,
  milliseconds: number,
  ways: readonly Way[] = WAYS,
  until = Infinity,
) {
  const subject = await build();
  const figures: KernelFigure[] = [];
  for (const way of ways) {
    if (performance.now() > until) break;
    await along(way, subject, async (netns, address, server) => {
      const client = (...words: string[]) => run("ip", ["netns", "exec", netns, ...words]);
      for (const work of WORKS) {
        if (performance.now() > until) return;
        const once = async (time: number): Promise<number> => {
          const words = [work.command, address, work.port, time, work.size ?? ""].map(String);
          return Number((await client(PEER, ...words)).stdout);
        };
        await once(2 * milliseconds);
        const rates: number[] = [];
        const shares: number[] = [];
        for (let round = 0; round < rounds; round++) {
          const [before, start] = [way === "veth" ? NaN : await server.time(), performance.now()];
          rates.push(await once(milliseconds));
          const spent = way === "veth" ? NaN : (await server.time()) - before;
          shares.push(spent / 1000 / (performance.now() - start));
        }
        const rate = median(rates);
        const perCpu = median(rates.map((each, i) => each / shares[i]));
        figures.push({ work: work.name, about: work.about, unit: work.unit, way, rate, perCpu });
      }
      if (way === "veth" || performance.now() > until) return;
      // Where time is short so is the file.
      const bytes = way === "plain" ? 1 << 25 : until < Infinity ? 1 << 26 : 1 << 28;
      const fetch = async (size: number) => {
        const before = await server.time();
        const { stdout } = await client(
          ...["curl", "-s", "-o", "/dev/null", "-w", "%{size_download} %{speed_download}"],
          `http://${address}/${size}`,
        );
        const [got, speed] = stdout.split(" ").map(Number);
        if (got !== size) throw new Error(`curl has got ${got} of ${size} bytes`);
        return { rate: speed * 8e-9, perCpu: (size * 8e-9) / (((await server.time()) - before) * 1e-6) };
      };
      // A fetch takes 0.2 s: one alone was anything from 7.7 to 13.9 Gbit/s, the first ones mostly V8's compiler.
      await fetch(bytes);
      const fetched: { rate: number; perCpu: number }[] = [];
      for (let round = 0; round < rounds; round++) fetched.push(await fetch(bytes));
      const rate = median(fetched.map((each) => each.rate));
      const perCpu = median(fetched.map((each) => each.perCpu));
      figures.push({ work: "curl", about: "curl from us", unit: "Gbit/s", way, rate, perCpu });
    });
  }
  return figures;
}
