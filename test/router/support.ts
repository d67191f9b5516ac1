/** A router under test between two probes: `lan` (10.0.0.0/24, 2001:db8:1::/64) and `wan` (10.1.0.0/24, 2001:db8:2::/64). */
import type { ExecutionContext } from "ava";
import { get32 } from "../../stack/core/bytes.js";
import type { Interface } from "../../stack/core/interface.js";
import type { Component } from "../../stack/core/stack.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import type { Ipv6Options } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { forwarding6 } from "../../stack/router/forwarding6.js";
import type { ForwardingOptions } from "../../stack/router/router.js";
import { ip4Bytes, ip6Bytes } from "../support/bytes.js";
import type { NetworkOptions } from "../support/network.js";
import { PROBE_MAC } from "../support/packets.js";
import { Probe, probed } from "../support/probe.js";
import type { ProbeOptions } from "../support/probe.js";

export const LAN_HOST = "10.0.0.2";
export const WAN_HOST = "10.1.0.2";
export const LAN6_HOST = "2001:db8:1::2";
export const WAN6_HOST = "2001:db8:2::2";
/** Behind the gateway 10.1.0.9, and 2001:db8:2::9. */
export const FAR = "198.51.100.7";
export const FAR6 = "2001:db8:f::7";
export const WAN_MAC = "02:00:00:00:00:11";

export interface RouterOptions extends NetworkOptions {
  probe?: ProbeOptions;
  wan?: ProbeOptions;
  forwarding?: ForwardingOptions;
  ipv6?: Ipv6Options;
  more?: Component[];
}

export function router(t: ExecutionContext | null, options: RouterOptions = {}) {
  const four = forwarding(options.forwarding);
  const six = forwarding6(options.forwarding);
  const ip6 = ipv6({ linkLocal: false, ...options.ipv6 });
  const icmp6 = icmpv6();
  const neighbours = nd();
  const node = probed(t, {
    ...options,
    gateway: "",
    components: () => [ip6, icmp6, neighbours, four, six, ...(options.more ?? [])],
  });
  const { stack, ip, world, probe: lan, nif: lanNif } = node;
  const wan = new Probe(world, { mac: WAN_MAC, ...options.wan });
  const wanNif = stack.addInterface(wan);
  ip.addAddress(wanNif, "10.1.0.1/24");
  ip.addRoute("198.51.100.0/24", { gateway: "10.1.0.9" });
  ip6.addAddress(lanNif, "fe80::1/64");
  ip6.addAddress(wanNif, "fe80::1/64");
  ip6.addAddress(lanNif, "2001:db8:1::1/64");
  ip6.addAddress(wanNif, "2001:db8:2::1/64");
  ip6.addRoute("2001:db8:f::/48", { gateway: "2001:db8:2::9" });
  /** The router knows a neighbour's hardware address. */
  const knows = (nif: Interface, address: string) => {
    if (!nif.medium.resolves) return;
    const low = (Number.parseInt(PROBE_MAC.slice(-2), 16) | 0) as number;
    if (address.includes(":")) {
      const bytes = ip6Bytes(address);
      const cache = neighbours.cache;
      const word = (i: number) => get32(bytes, i);
      cache.setStatic(cache.obtain(nif, word(0), word(4), word(8), word(12))!, 0x0200, low);
    } else {
      const cache = node.arp.cache;
      cache.setStatic(cache.obtain(nif, 0, 0, 0, get32(ip4Bytes(address), 0))!, 0x0200, low);
    }
  };
  for (const address of [WAN_HOST, "10.1.0.9", WAN6_HOST, "2001:db8:2::9"]) knows(wanNif, address);
  for (const address of [LAN_HOST, LAN6_HOST]) knows(lanNif, address);
  lan.take();
  wan.take();
  return {
    ...node,
    lan,
    wan,
    lanNif,
    wanNif,
    four,
    six,
    ip6,
    icmp6,
    nd: neighbours,
    knows,
    counters: four.router.counters,
    counters6: six.router.counters,
  };
}
