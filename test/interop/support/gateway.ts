/**
 * A router with our stack between two kernels in namespaces: `lan` (10.1.0.2, fd01::2) and `wan` (10.2.0.2, fd02::2), each at the
 * other end of a TAP; we are .1, ::1 and fe80::1 on both. Both cables are captured, and tshark is the judge, as in host.ts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { CryptoHypercalls } from "../../../hypercall/crypto.js";
import { nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import type { Component, Interface, Stack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import type { Ipv4, Ipv4Options } from "../../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import type { Ipv6, Ipv6Options } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import { forwarding } from "../../../stack/router/forwarding.js";
import type { Forwarding } from "../../../stack/router/forwarding.js";
import { forwarding6 } from "../../../stack/router/forwarding6.js";
import type { Forwarding6 } from "../../../stack/router/forwarding6.js";
import { segmentation } from "../../../stack/router/segmentation.js";
import { udp } from "../../../stack/udp/udp.js";
import { findLeaks } from "../../support/leaks.js";
import { LimitedCapture } from "./capture.js";
import { namespace6 } from "./host6.js";
import { describe, examine } from "./judge.js";
import type { Finding } from "./judge.js";
import type { Namespace } from "./namespace.js";

/** Warnings on what a router passes on: what was lost before it came here, and Linux's other zero (`CSUM_MANGLED_0`, meant for UDP). */
const UPSTREAM =
  /^(Previous segment\(s\) not captured|ACKed segment that wasn't captured|TCP Checksum 0xffff instead of 0x0000)/;

export interface GatewayOptions {
  /** MTU of the WAN's cable. Default 1500. */
  wanMtu?: number;
  ipv4?: Ipv4Options;
  ipv6?: Ipv6Options;
  components?: Component[];
  /** Default: Node's. */
  crypto?: CryptoHypercalls;
  /** Findings of tshark that this test is about. */
  expected?: (finding: Finding) => boolean;
  /** TAPs with virtio-net headers, which of them: segments pass merged, which captures would call too large, so there are none. */
  offloads?: readonly ("lan0" | "wan0")[];
  /** Without addresses and routes at the ends: the test configures them. Default false. */
  plain?: boolean;
}

export interface Gateway {
  readonly stack: Stack;
  readonly ip: Ipv4;
  readonly ip6: Ipv6;
  readonly four: Forwarding;
  readonly six: Forwarding6;
  readonly lan: Namespace;
  readonly wan: Namespace;
  readonly lanNif: Interface;
  readonly wanNif: Interface;
}

export const LAN_HOST = "10.1.0.2";
export const WAN_HOST = "10.2.0.2";
export const LAN_HOST6 = "fd01::2";
export const WAN_HOST6 = "fd02::2";

export async function createGateway(t: ExecutionContext, options: GatewayOptions = {}): Promise<Gateway> {
  const lan = namespace6(t);
  const wan = namespace6(t);
  const folder = mkdtempSync(join(tmpdir(), "anystack-gateway-"));
  const panics: unknown[] = [];
  const host = nodeHost({
    panic: (_message, error) => panics.push(error),
    ...(options.crypto && { crypto: options.crypto }),
  });
  const segments = options.offloads ? segmentation() : undefined;
  const parts = {
    ip: ipv4(options.ipv4),
    ip6: ipv6({ linkLocal: false, ...options.ipv6 }),
    four: forwarding({ segments }),
    six: forwarding6({ segments }),
  };
  const components = [
    ethernet(),
    ipLink(),
    arp(),
    parts.ip,
    fragments(),
    icmp({ errorRate: 1000, errorBurst: 1000 }),
    parts.ip6,
    icmpv6({ errorRate: 1000, errorBurst: 1000 }),
    nd(),
    parts.four,
    parts.six,
    udp(),
    ...(options.components ?? []),
  ];
  const stack = host.drive(createStack(host, components));
  const captures: [string, LimitedCapture][] = [];
  t.teardown(async () => {
    stack.close();
    for (const [, capture] of captures) capture.close();
    if (panics.length > 0) throw panics[0];
    const left = findLeaks(stack);
    if (left.length > 0) throw new Error(left.join("; "));
    for (const [file] of captures) {
      const { findings } = await examine(file, []);
      const unexpected = findings.filter(
        (finding) => finding.ours && !UPSTREAM.test(finding.message) && !options.expected?.(finding),
      );
      if (unexpected.length > 0) throw new Error(`${file}: ${describe(unexpected)}`);
    }
    if (t.passed) rmSync(folder, { recursive: true });
    else t.log(folder);
  });
  const side = (ns: Namespace, device: "lan0" | "wan0", mtu: number) => {
    const link = openTap({ name: device, netns: ns.name, mtu, offloads: options.offloads?.includes(device) });
    ns.ip("link", "set", device, "addrgenmode", "none");
    ns.ip("link", "set", device, "up");
    if (options.offloads) return stack.addInterface(link, device);
    const file = join(folder, `${device}.pcapng`);
    const capture = new LimitedCapture(file, 8 << 20);
    captures.push([file, capture]);
    return stack.addInterface(capture.around(link, device), device);
  };
  const lanNif = side(lan, "lan0", 1500);
  const wanNif = side(wan, "wan0", options.wanMtu ?? 1500);
  if (!options.plain) {
    for (const [ns, nif, device, number] of [
      [lan, lanNif, "lan0", 1],
      [wan, wanNif, "wan0", 2],
    ] as const) {
      parts.ip.addAddress(nif, `10.${number}.0.1/24`);
      parts.ip6.addAddress(nif, `fd0${number}::1/64`);
      parts.ip6.addAddress(nif, "fe80::1/64");
      settle(ns, device, number);
    }
  }
  return { stack, ...parts, lan, wan, lanNif, wanNif };
}

/** Gives a kernel its addresses and default routes by us, on `device`. */
export function settle(ns: Namespace, device: string, number: number, host = 2): void {
  ns.ip("address", "add", `10.${number}.0.${host}/24`, "dev", device);
  ns.ip("address", "add", `fd0${number}::${host}/64`, "dev", device, "nodad");
  ns.ip("address", "add", `fe80::${host}/64`, "dev", device, "nodad");
  ns.ip("route", "add", "default", "via", `10.${number}.0.1`);
  ns.ip("-6", "route", "add", "default", "via", "fe80::1", "dev", device);
}
