/** What a test needs of the machine: with CI=true its absence is a failure, elsewhere a visible skip that says what to install. */
import { accessSync, constants, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { ExecutionContext } from "ava";

export interface Needs {
  /** The effective user must be root (network namespaces, /dev/net/tun). */
  root?: boolean;
  /** Programs that must be in PATH or in the sbin folders. */
  programs?: readonly string[];
  /** Files that must be readable: devices, for example. */
  files?: readonly string[];
  /** C headers that must be installed. */
  headers?: readonly string[];
  /** npm packages that must be installed. */
  packages?: readonly string[];
}

/** Debian's package of a program or header, where it is not named like it. */
const DEBIAN: Record<string, string> = {
  "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
  arping: "iputils-arping",
  bridge: "iproute2",
  capinfos: "wireshark-common",
  chronyd: "chrony",
  dig: "bind9-dnsutils",
  dnsmasq: "dnsmasq-base",
  duk: "duktape",
  "duktape.h": "duktape-dev",
  ip: "iproute2",
  linux: "user-mode-linux",
  mergecap: "wireshark-common",
  nc: "netcat-openbsd",
  ping: "iputils-ping",
  "stdio.h": "libc6-dev",
  "qemu-system-x86_64": "qemu-system-x86",
  tc: "iproute2",
  tracepath: "iputils-tracepath",
  xz: "xz-utils",
};

/** The full path of a program, or null. The sbin folders count, though a user's PATH may lack them. */
export function findProgram(name: string): string | null {
  for (const folder of [...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"]) {
    if (folder === "") continue;
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** What of `needs` is missing, as lines for people; empty when nothing is. */
export function missing(needs: Needs): string[] {
  const lines: string[] = [];
  if (needs.root && process.geteuid?.() !== 0) lines.push("root: run the tests with sudo");
  const absent = [
    ...(needs.programs ?? []).filter((program) => findProgram(program) === null),
    ...(needs.headers ?? []).filter((header) => !existsSync(join("/usr/include", header))),
  ];
  if (absent.length > 0) {
    const packages = [...new Set(absent.map((program) => DEBIAN[program] ?? program))];
    lines.push(`${absent.join(", ")}: apt-get install -y --no-install-recommends ${packages.join(" ")}`);
  }
  for (const file of needs.files ?? []) {
    try {
      accessSync(file, constants.R_OK);
    } catch {
      lines.push(`the file ${file}`);
    }
  }
  for (const name of needs.packages ?? []) {
    try {
      createRequire(import.meta.url).resolve(name);
    } catch {
      lines.push(`${name}: npm install`);
    }
  }
  return lines;
}

/** True when all is there. Otherwise the test has its verdict: a failure in CI, elsewhere a pass that logs what to install. */
export function need(t: ExecutionContext, needs: Needs): boolean {
  const lines = missing(needs);
  if (lines.length === 0) return true;
  if (process.env.CI === "true") t.fail(`not installed: ${lines.join("; ")}`);
  else {
    t.log(`SKIPPED, it needs ${lines.join("; ")}`);
    t.pass();
  }
  return false;
}
