/** wireguard-go (Go's, in user space) on a TUN device of a namespace. */
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Namespace } from "./namespace.js";
import type { Daemon } from "./process.js";
import { scratch } from "./site.js";

export interface WireguardGo {
  /** Of its device, which no other process on this machine may have: its socket lies in a folder that all share. */
  readonly name: string;
  readonly daemon: Daemon;
  /** Base64. */
  readonly publicKey: string;
  /** Sets what `wg set NAME peer KEY` takes; the key in base64. */
  set(key: string, ...parameters: string[]): void;
}

let serial = 0;

export async function wireguardGo(t: ExecutionContext, ns: Namespace, port: number): Promise<WireguardGo> {
  const name = `wgt${process.pid % 100000}x${++serial}`;
  t.teardown(() => rmSync(`/var/run/wireguard/${name}.sock`, { force: true }));
  const daemon = ns.start("wireguard-go", ["-f", name], { ...process.env, LOG_LEVEL: "verbose" });
  await daemon.until(/UAPI listener started/, 60_000);
  const key = execFileSync("wg", ["genkey"], { encoding: "utf8" });
  const publicKey = execFileSync("wg", ["pubkey"], { input: key, encoding: "utf8" }).trim();
  const file = join(scratch(t), "key");
  writeFileSync(file, key);
  execFileSync("wg", ["set", name, "private-key", file, "listen-port", `${port}`]);
  const set = (peer: string, ...parameters: string[]) =>
    void execFileSync("wg", ["set", name, "peer", peer, ...parameters]);
  return { name, daemon, publicKey, set };
}
