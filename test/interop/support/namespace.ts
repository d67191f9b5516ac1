/**
 * Network namespaces, each with a Linux kernel's whole stack of its own, and the programs that run in them.
 *
 * However the test ends, nothing stays behind: a guardian process waits for our end of a pipe to close, which the kernel sees
 * to even when this process is killed; then it ends what runs in the namespace, and deletes it.
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { PATIENCE } from "../../support/until.js";
import { run, start } from "./process.js";
import type { Daemon, Result, RunOptions } from "./process.js";

/** `$1`: the namespace. Programs of the namespace are asked to end, then made to. */
const GUARDIAN = `
cat
for signal in TERM KILL KILL KILL; do
  pids=$(ip netns pids "$1") || exit 0
  [ -z "$pids" ] && break
  kill -$signal $pids
  for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -z "$(ip netns pids "$1")" ] && break
    sleep 0.05
  done
done
rm -rf "/etc/netns/$1"
ip netns delete "$1"
`;

/** IPv6 off, so that nothing is on the wire but what a test asks for; errors and resets without rate limit. */
const SETTINGS = `
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
echo 0 >/proc/sys/net/ipv4/tcp_invalid_ratelimit
`;

const SLEEPER = new Int32Array(new SharedArrayBuffer(4));

let count = 0;

export class Namespace {
  private readonly guardian: ChildProcess;
  private readonly gone: Promise<void>;

  /** Makes a namespace with a loopback interface and nothing else. Needs root. */
  constructor(readonly name: string = `anystack-${process.pid}-${++count}`) {
    execFileSync("ip", ["netns", "add", name]);
    this.guardian = spawn("sh", ["-c", GUARDIAN, "guardian", name], {
      stdio: ["pipe", "ignore", "ignore"],
      // In a process group of its own: Ctrl-C ends the tests, not their guardian.
      detached: true,
    });
    this.gone = new Promise((resolve) => this.guardian.once("close", () => resolve()));
    this.guardian.unref();
    (this.guardian.stdin as unknown as { unref(): void }).unref();
    this.ip("link", "set", "lo", "up");
    execFileSync("ip", ["netns", "exec", name, "sh", "-c", SETTINGS]);
  }

  /** `ip -n NAME ...`; what it printed. An IPv6 address that is added without DAD answers when this returns. */
  ip(...parameters: string[]): string {
    const printed = execFileSync("ip", ["-n", this.name, ...parameters], { encoding: "utf8" });
    if (parameters.includes("nodad")) this.awaitAddress(parameters);
    return printed;
  }

  /**
   * The kernel joins the solicited-node group of an address (RFC 4291 section 2.7.1), and then takes datagrams to it by a route of
   * table `local`, later: from a queue that all namespaces share, on a busy machine seconds later. A device that is down gets none.
   */
  private awaitAddress(parameters: readonly string[]): void {
    const device = parameters[parameters.indexOf("dev") + 1]!;
    const address = parameters.find((parameter) => parameter.includes(":"))!.split("/")[0]!;
    const end = Date.now() + PATIENCE;
    while (this.ip("-6", "route", "show", "table", "local", "type", "local", "dev", device, address) === "") {
      const flags = /<(.*)>/.exec(this.ip("link", "show", "dev", device))![1]!.split(",");
      if (!flags.includes("UP")) return;
      if (Date.now() > end) throw new Error(`${this.name}: ${device} does not take ${address}`);
      Atomics.wait(SLEEPER, 0, 0, 10);
    }
  }

  /** Sets a kernel parameter of the namespace: `sysctl("net.ipv4.ip_forward", 1)`. */
  sysctl(name: string, value: number | string): void {
    const path = `/proc/sys/${name.replaceAll(".", "/")}`;
    execFileSync("ip", ["netns", "exec", this.name, "sh", "-c", `echo ${value} >${path}`]);
  }

  /** Runs a program in the namespace to its end. */
  run(command: string, parameters: string[], options?: RunOptions): Promise<Result> {
    return run("ip", ["netns", "exec", this.name, command, ...parameters], options);
  }

  /** Starts a program in the namespace, to be stopped by its `stop` or with the namespace. */
  start(command: string, parameters: string[], env?: NodeJS.ProcessEnv): Daemon {
    return start("ip", ["netns", "exec", this.name, command, ...parameters], env);
  }

  /** Starts a server and waits until something listens on `port`, tcp or udp. */
  async serve(protocol: "tcp" | "udp", port: number, command: string, parameters: string[]): Promise<Daemon> {
    const daemon = this.start(command, parameters);
    const query = [`-H${protocol === "tcp" ? "tln" : "uln"}`, `sport = :${port}`];
    await daemon.until(async () => (await this.run("ss", query)).stdout.includes(`:${port} `));
    return daemon;
  }

  /** Ends all programs of the namespace and deletes it. Legal twice. */
  async close(): Promise<void> {
    this.guardian.ref();
    this.guardian.stdin!.end();
    await this.gone;
  }
}
