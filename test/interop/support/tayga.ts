/** tayga, a NAT64 in user space, beside a kernel that forwards both families. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Namespace } from "./namespace.js";
import { scratch } from "./site.js";

/** The namespace translates what goes to `prefix`. */
export async function startTayga(t: ExecutionContext, ns: Namespace, prefix: string): Promise<void> {
  const folder = scratch(t);
  const file = join(folder, "tayga.conf");
  writeFileSync(
    file,
    `
tun-device nat64
ipv4-addr 192.168.77.1
ipv6-addr fd02:ff::1
prefix ${prefix}
dynamic-pool 192.168.77.0/24
data-dir ${folder}
`,
  );
  await ns.run("tayga", ["-c", file, "--mktun"]);
  ns.ip("link", "set", "nat64", "up");
  ns.ip("route", "add", "192.168.77.0/24", "dev", "nat64");
  ns.ip("-6", "route", "add", prefix, "dev", "nat64");
  for (const family of ["ipv4.ip_forward", "ipv6.conf.all.forwarding"]) ns.sysctl(`net.${family}`, 1);
  ns.start("tayga", ["-d", "-c", file]);
}
