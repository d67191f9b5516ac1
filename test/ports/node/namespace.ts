/** Network namespaces for tests: made, used and removed with iproute2. */
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import type { ExecutionContext } from "ava";
import { need } from "../../support/need.js";

const run = promisify(execFile);
let count = 0;

export class Namespace {
  constructor(readonly name: string) {}

  /** `ip -n NAME ...`; the words are split at spaces. */
  ip(command: string): string {
    return execFileSync("ip", ["-n", this.name, ...command.split(" ")], { encoding: "utf8", stdio: "pipe" });
  }

  /** Runs a program in the namespace. Rejects when it fails. */
  async run(program: string, ...parameters: string[]): Promise<string> {
    const { stdout } = await run("ip", ["netns", "exec", this.name, program, ...parameters]);
    return stdout;
  }
}

/** A namespace without IPv6 noise that is gone after the test, or null where the test cannot have one (see `need`). */
export function namespace(t: ExecutionContext, programs: string[] = []): Namespace | null {
  if (!need(t, { root: true, programs: ["ip", "sysctl", ...programs], files: ["/dev/net/tun"] })) return null;
  const name = `anystack-${process.pid}-${++count}`;
  execFileSync("ip", ["netns", "add", name]);
  t.teardown(() => void execFileSync("ip", ["netns", "delete", name]));
  const sysctls = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];
  execFileSync("ip", ["netns", "exec", name, "sysctl", "-q", ...sysctls]);
  return new Namespace(name);
}
