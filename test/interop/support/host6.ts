/**
 * The host of host.ts with IPv6 alone, on a bridge in a namespace where kernels and routers of other namespaces may join:
 * `const host = await createHost6(t)`. The bridge is the kernel's neighbour of ours: fe80::1, and what a test gives it.
 */
import type { ExecutionContext } from "ava";
import type { Component } from "../../../stack/index.js";
import type { DuplicateAddressDetection } from "../../../stack/ipv6/dad.js";
import { dad } from "../../../stack/ipv6/dad.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import type { Ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import type { NeighbourDiscovery } from "../../../stack/ipv6/nd.js";
import { slaac } from "../../../stack/ipv6/slaac.js";
import type { Slaac, SlaacOptions } from "../../../stack/ipv6/slaac.js";
import { createCabled } from "./host.js";
import type { CabledHost, HostOptions } from "./host.js";
import { Namespace } from "./namespace.js";

export const BRIDGE = "br0";
export const KERNEL_LINK_LOCAL = "fe80::1";

export interface Host6Options extends HostOptions {
  slaac?: SlaacOptions;
  /** Further components of IPv6, which may need those that are there. */
  more6?: Component[];
}

export interface TestHost6 extends CabledHost {
  readonly ip6: Ipv6;
  readonly nd: NeighbourDiscovery;
  readonly dad: DuplicateAddressDetection;
  readonly slaac: Slaac;
}

/** A namespace that speaks IPv6, listens to no router, and uses its addresses at once. */
export function namespace6(t: ExecutionContext): Namespace {
  const ns = new Namespace();
  t.teardown(() => ns.close());
  for (const scope of ["all", "default"]) {
    ns.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 0);
    ns.sysctl(`net.ipv6.conf.${scope}.accept_ra`, 0);
    ns.sysctl(`net.ipv6.conf.${scope}.accept_dad`, 0);
    // As IPv4's do, addresses outlive a pulled cable.
    ns.sysctl(`net.ipv6.conf.${scope}.keep_addr_on_down`, 1);
  }
  return ns;
}

export async function createHost6(t: ExecutionContext, options: Host6Options = {}): Promise<TestHost6> {
  const ns = options.namespace ?? namespace6(t);
  ns.ip("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0");
  ns.ip("link", "set", BRIDGE, "addrgenmode", "none");
  ns.ip("link", "set", BRIDGE, "up");
  ns.ip("address", "add", KERNEL_LINK_LOCAL + "/64", "dev", BRIDGE, "nodad");
  const parts = { ip6: ipv6(), nd: nd(), dad: dad(), slaac: slaac(options.slaac) };
  const network = [
    parts.ip6,
    icmpv6(),
    // What is never complete is given back before the test looks for leaks.
    fragments6({ timeout: 2000 }),
    parts.nd,
    parts.dad,
    parts.slaac,
    ...(options.more6 ?? []),
  ];
  const host = await createCabled(t, { ...options, namespace: ns }, network, []);
  ns.sysctl(`net.ipv6.conf.${host.device}.disable_ipv6`, 1);
  ns.ip("link", "set", host.device, "master", BRIDGE);
  return { ...host, ...parts };
}

/** A namespace with a kernel on the bridge: its interface is `eth0`, its link-local address the one given. */
export function join(t: ExecutionContext, bridge: Namespace, linkLocal: string): Namespace {
  const ns = namespace6(t);
  const port = ns.name.slice(-8).replace(/^.*?-/, "p");
  bridge.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns.name);
  bridge.sysctl(`net.ipv6.conf.${port}.disable_ipv6`, 1);
  bridge.ip("link", "set", port, "master", BRIDGE, "up");
  ns.ip("link", "set", "eth0", "addrgenmode", "none");
  ns.ip("link", "set", "eth0", "up");
  ns.ip("address", "add", linkLocal + "/64", "dev", "eth0", "nodad");
  return ns;
}

/** Waits until `condition` holds; rejects after `timeout` ms. */
export async function until(what: string, condition: () => boolean, timeout = 30_000): Promise<void> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > timeout) throw new Error(`not within ${timeout} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
