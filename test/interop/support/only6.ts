/**
 * The host of host.ts without IPv4: no ARP, no ICMP for it, no address of it on either side of the cable. The kernel is fd77::1
 * and fe80::1, we are fd77::2 and what our link-local address is.
 */
import type { ExecutionContext } from "ava";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import type { Ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { pmtu6 } from "../../../stack/ipv6/pmtu.js";
import type { PathMtuCache6 } from "../../../stack/ipv6/pmtu.js";
import { format6 } from "../../../stack/core/text6.js";
import { createCabled } from "./host.js";
import type { CabledHost, HostOptions } from "./host.js";
import { namespace6 } from "./host6.js";
import type { Namespace } from "./namespace.js";

export const KERNEL6 = "fd77::1";
export const OURS6 = "fd77::2";
export const KERNEL_LINK = "fe80::1";
/** A host behind the kernel. */
export const FAR6 = "fd78::2";

export interface Host6 extends CabledHost {
  readonly ip6: Ipv6;
  readonly pmtu6: PathMtuCache6;
  /** Our link-local address, without a zone. */
  readonly link: string;
}

export async function createHostOnly6(t: ExecutionContext, options: HostOptions = {}): Promise<Host6> {
  const parts = { ip6: ipv6(), pmtu6: pmtu6() };
  const network = [parts.ip6, icmpv6(), nd(), fragments6(), parts.pmtu6];
  const namespace = options.namespace ?? namespace6(t);
  const host = await createCabled(t, { ...options, namespace }, network, [
    KERNEL6 + "/64",
    KERNEL_LINK + "/64",
  ]);
  const { address = OURS6 + "/64" } = options;
  if (address !== null) parts.ip6.addAddress(host.nif, address);
  const entry = parts.ip6.addresses.find(({ bytes }) => bytes[0] === 0xfe);
  const link = entry ? format6(entry.bytes, 0) : "";
  // The kernel takes a moment to use a new device: what is sent before goes nowhere.
  const target = link ? `${link}%${host.device}` : OURS6;
  await host.ns.run("ping", ["-6", "-q", "-c", "1", "-i", "0.2", "-w", "60", target]);
  return { ...host, ...parts, link };
}

/** A namespace behind the kernel's, which routes: its host is fd78::2. `mtu` of the path between us, in both directions. */
export function behind(t: ExecutionContext, host: Host6, mtu = 1500): Namespace {
  const { ns, ip6 } = host;
  const far = namespace6(t);
  ns.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", far.name);
  ns.ip("address", "add", "fd78::1/64", "dev", "veth0", "nodad");
  ns.ip("link", "set", "veth0", "up");
  far.ip("address", "add", FAR6 + "/64", "dev", "veth0", "nodad");
  far.ip("link", "set", "veth0", "up");
  far.ip("-6", "route", "add", "default", "via", "fd78::1");
  ns.sysctl("net.ipv6.conf.all.forwarding", 1);
  ip6.addRoute("::/0", { gateway: KERNEL6, interface: host.nif });
  if (mtu < 1500) shrink(host, mtu);
  return far;
}

/** From now on the kernel between us and fd78::2 forwards no packet that is larger, in either direction. */
export function shrink({ ns, device }: Host6, mtu: number): void {
  for (const [target, out] of [
    [FAR6, "veth0"],
    [OURS6, device],
  ] as const) {
    ns.ip("-6", "route", "replace", target + "/128", "dev", out, "mtu", "lock", `${mtu}`);
  }
}
