/**
 * What the same work takes of lwIP: the text of each source file on a Cortex-M3, of Debian's sources (`apt-get source lwip`), by
 * Debian's compiler. It is what our targets were taken from.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { debianSource } from "../../examples/firmware-image/debian-source.js";
import { ROOT } from "../support/files.js";

const run = promisify(execFile);

/** The combinations of test/size/combinations, in lwIP's options. */
export const PROFILES: Readonly<Record<string, readonly string[]>> = {
  udp4: [],
  tcp4: ["LWIP_TCP=1", "LWIP_DHCP=1", "LWIP_DNS=1"],
  dual: ["LWIP_TCP=1", "LWIP_DHCP=1", "LWIP_DNS=1", "LWIP_IPV6=1"],
};

export const FLAGS = "-mcpu=cortex-m3 -mthumb -Os -std=gnu11 -ffunction-sections -w".split(" ");

/** As our combinations have it: no threads, no statistics, no reassembly, no autoconfiguration, and assertions for neither. */
const OPTIONS = `
#define NO_SYS 1
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_STATS 0
#define LWIP_NOASSERT 1
#define LWIP_RAW 0
#define IP_REASSEMBLY 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_AUTOCONFIG 0
#ifndef LWIP_TCP
#define LWIP_TCP 0
#endif
`;

const PORT = `
#define LWIP_NO_UNISTD_H 1
#define LWIP_RAND() 4
#define LWIP_PLATFORM_ASSERT(text)
#define LWIP_PLATFORM_DIAG(text)
`;

const FOLDERS = ["core", "core/ipv4", "core/ipv6"];

/** Bytes of text by file (`tcp_in.c`); files without any are left out. */
export async function lwip(profile: string): Promise<Map<string, number>> {
  const source = join(debianSource(join(ROOT, "build"), "lwip", ["*/src/*"]), "src");
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(source, folder))
      .filter((name) => name.endsWith(".c"))
      .map((name) => join(source, folder, name)),
  );
  files.push(join(source, "netif/ethernet.c"));
  const scratch = mkdtempSync(join(tmpdir(), "anystack-lwip-"));
  try {
    mkdirSync(join(scratch, "arch"));
    writeFileSync(join(scratch, "lwipopts.h"), OPTIONS);
    writeFileSync(join(scratch, "arch/cc.h"), PORT);
    const parameters = [...FLAGS, ...PROFILES[profile]!.map((each) => `-D${each}`)];
    const sizes = new Map<string, number>();
    for (const file of files) {
      const object = join(scratch, `${basename(file)}.o`);
      await run("arm-none-eabi-gcc", [
        ...[...parameters, `-I${scratch}`, `-I${join(source, "include")}`],
        ...["-c", file, "-o", object],
      ]);
      const { stdout } = await run("arm-none-eabi-size", [object]);
      const text = Number(stdout.split("\n")[1]!.trim().split(/\s+/)[0]);
      if (text > 0) sizes.set(basename(file), text);
    }
    return sizes;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
