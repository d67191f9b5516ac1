/** The kernel's ping, when every echo is to come back. */
import type { ExecutionContext } from "ava";
import { until } from "../../support/until.js";
import type { Namespace } from "./namespace.js";

export interface PingOptions {
  /** Default 2. */
  readonly count?: number;
  /** Seconds between two. Default 0.05. */
  readonly interval?: number;
  /** Bytes of payload. Default 56. */
  readonly size?: number;
  /** More of ping's own options. */
  readonly options?: readonly string[];
}

/**
 * Pings `host` from `ns`; the first `count` echoes must all come back. Returns what ping printed.
 *
 * Without a deadline ping waits two round trips for its last answer, and a busy machine takes longer; with one it goes on asking
 * until it has as many answers as it wants, and takes what comes until it ends: therefore numbers count.
 */
export async function pingFrom(
  t: ExecutionContext,
  ns: Namespace,
  host: string,
  { count = 2, interval = 0.05, size = 56, options = [] }: PingOptions = {},
): Promise<string> {
  const numbers = ["-c", `${count}`, "-i", `${interval}`, "-w", "60", "-s", `${size}`];
  const { stdout } = await ns.run("ping", ["-n", ...numbers, ...options, host]);
  const answered = [...stdout.matchAll(/ bytes from .* icmp_seq=(\d+) /g)].map(([, number]) =>
    Number(number),
  );
  const all = Array.from({ length: count }, (_, i) => i + 1);
  t.deepEqual(answered.sort((a, b) => a - b).slice(0, count), all, `${host}, ${size} bytes: ${stdout}`);
  return stdout;
}

/**
 * Floods `host` with echoes until `count` of them have come back. What the kernel sent, it has all got back: answers that ping was too
 * slow to take count too.
 */
export async function floodFrom(
  t: ExecutionContext,
  ns: Namespace,
  host: string,
  { count, size }: { readonly count: number; readonly size: number },
): Promise<void> {
  const before = await echoReplies(ns, host);
  const parameters = ["-q", "-f", "-c", `${count}`, "-w", "110", "-s", `${size}`, host];
  const { stdout } = await ns.run("ping", parameters, { timeout: 120_000 });
  t.log(stdout.split("\n").slice(-2).join("").trim());
  t.regex(stdout, new RegExp(` ${count} received`));
  const sent = Number(/(\d+) packets transmitted/.exec(stdout)![1]);
  await until(`${sent} answers`, async () => (await echoReplies(ns, host)) === before + sent);
}

/** Echo replies that the kernel has got since its namespace was made. */
async function echoReplies(ns: Namespace, host: string): Promise<number> {
  if (host.includes(":")) {
    const { stdout } = await ns.run("cat", ["/proc/net/snmp6"]);
    return Number(/^Icmp6InType129\s+(\d+)$/m.exec(stdout)![1]);
  }
  const { stdout } = await ns.run("cat", ["/proc/net/snmp"]);
  const [names, values] = [...stdout.matchAll(/^Icmp: (.*)$/gm)].map(([, words]) => words!.split(" "));
  return Number(values![names!.indexOf("InEchoReps")]);
}
