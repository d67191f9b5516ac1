/** The kernel's ping, when every echo is to come back. */
import type { ExecutionContext } from "ava";
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
 * Pings `host` from `ns`; the echoes that come back must be the first ones. Returns what ping printed.
 *
 * Without a deadline ping waits two round trips for its last answer, and a busy machine takes longer; with one it goes on asking
 * until it has as many answers as it wants, therefore their numbers count.
 */
export async function pingFrom(
  t: ExecutionContext,
  ns: Namespace,
  host: string,
  { count = 2, interval = 0.05, size = 56, options = [] }: PingOptions = {},
): Promise<string> {
  const numbers = ["-c", `${count}`, "-i", `${interval}`, "-w", "10", "-s", `${size}`];
  const { stdout } = await ns.run("ping", ["-n", ...numbers, ...options, host]);
  const answered = [...stdout.matchAll(/ bytes from .* icmp_seq=(\d+) /g)].map(([, number]) =>
    Number(number),
  );
  const all = Array.from({ length: count }, (_, i) => i + 1);
  t.deepEqual(
    answered.sort((a, b) => a - b),
    all,
    `${host}, ${size} bytes: ${stdout}`,
  );
  return stdout;
}
