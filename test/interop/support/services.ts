/**
 * A host that serves the network behind its TAP: 10.77.0.1 and fd77::1 are ours, the kernel's interface has no address but what
 * its clients get it. `const gateway = await createServices(t, { components: [server] })`.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import type { Ipv4 } from "../../../stack/ipv4/ipv4.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import type { Ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { createCabled } from "./host.js";
import type { CabledHost, HostOptions } from "./host.js";
import { namespace6 } from "./host6.js";

export const GATEWAY = "10.77.0.1";
export const GATEWAY6 = "fd77::1";

export interface Services extends CabledHost {
  readonly ip: Ipv4;
  readonly ip6: Ipv6;
  /** For files of peers; gone after the test. */
  readonly folder: string;
  /** Writes a file into the folder; its path. */
  file(name: string, text: string, mode?: number): string;
}

export async function createServices(t: ExecutionContext, options: HostOptions = {}): Promise<Services> {
  const folder = mkdtempSync(join(tmpdir(), "anystack-services-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const ip = ipv4();
  const ip6 = ipv6();
  const network = [arp(), ip, fragments(), icmp(), igmp(), ip6, icmpv6(), nd(), fragments6()];
  const namespace = options.namespace ?? namespace6(t);
  const host = await createCabled(t, { ...options, namespace }, network, []);
  ip.addAddress(host.nif, GATEWAY + "/24");
  ip6.addAddress(host.nif, GATEWAY6 + "/64");
  return {
    ...host,
    ip,
    ip6,
    folder,
    file(name, text, mode = 0o644) {
      const path = join(folder, name);
      writeFileSync(path, text, { mode });
      return path;
    },
  };
}

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
