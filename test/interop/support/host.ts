/**
 * A host with our stack on one side of a TAP (or TUN) device, a Linux kernel in a namespace of its own on the other: 10.77.0.2
 * and 10.77.0.1. Everything on the cable is captured; when the test ends, the stack must have given all memory and timers back,
 * no callback may have thrown, and tshark must find nothing wrong in the capture.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import type { Component, Interface, Stack, StackOptions } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import type { Ipv4 } from "../../../stack/ipv4/ipv4.js";
import { pmtu } from "../../../stack/ipv4/pmtu.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import type { Tcp, TcpConfiguration } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import type { Udp } from "../../../stack/udp/udp.js";
import { findLeaks } from "../../support/leaks.js";
import { LimitedCapture } from "./capture.js";
import { describe, examine } from "./judge.js";
import type { Finding } from "./judge.js";
import { Namespace } from "./namespace.js";
import { PATIENCE } from "../../support/until.js";

/** The kernel's address, and ours. */
export const KERNEL = "10.77.0.1";
export const OURS = "10.77.0.2";

export interface HostOptions {
  /** `"tap"` (default) or `"tun"`. */
  mode?: "tap" | "tun";
  /** Virtio-net headers: the kernel completes checksums and cuts segments. Default false. */
  offloads?: boolean;
  /** Default 1500. */
  mtu?: number;
  /** Our address with its prefix; null: none (DHCP). Default `10.77.0.2/24`. */
  address?: string | null;
  /** The kernel's address with the same prefix length. Default `10.77.0.1`. */
  kernel?: string;
  /** Components besides Ethernet (or bare IP), ARP, IPv4 with fragments and path MTU discovery, ICMP, UDP and TCP. */
  components?: Component[];
  stack?: StackOptions;
  tcp?: TcpConfiguration;
  /** Bytes of the cable's traffic that are captured, from the start. Default 32 MiB. */
  captureLimit?: number;
  /** Ports whose payload tshark looks into. Default: those of DNS and DHCP. */
  payloads?: readonly number[];
  /** Findings of tshark that this test is about. */
  expected?: (finding: Finding) => boolean;
  /** A namespace to share with other hosts; default: one of its own. */
  namespace?: Namespace;
  /** Name of the kernel's interface, unless `tap0`. */
  device?: string;
}

/** A host whatever its networks are. */
export interface CabledHost {
  readonly stack: Stack;
  readonly udp: Udp;
  readonly tcp: Tcp;
  readonly nif: Interface;
  /** Where the kernel's side lives: run peers there. */
  readonly ns: Namespace;
  /** The kernel's interface. */
  readonly device: string;
  /** The capture file, complete up to this moment. */
  readonly capture: string;
  /** Errors that callbacks have thrown. The test fails with the first unless it takes it out. */
  readonly panics: unknown[];
}

export interface TestHost extends CabledHost {
  readonly ip: Ipv4;
}

/** Puts up a host for the test `t`. It is taken down, and checked, when the test ends. */
export async function createHost(t: ExecutionContext, options: HostOptions = {}): Promise<TestHost> {
  const { mode = "tap", address = `${OURS}/24`, kernel = KERNEL } = options;
  const ip = ipv4();
  const network = [...(mode === "tap" ? [arp()] : []), ip, fragments(), icmp(), pmtu()];
  const host = await createCabled(t, options, network, [`${kernel}/24`]);
  if (address !== null) ip.addAddress(host.nif, address);
  return { ...host, ip };
}

/** As `createHost`, with the components of any network, and the addresses that the kernel's side of the cable has. */
export async function createCabled(
  t: ExecutionContext,
  options: HostOptions,
  network: readonly Component[],
  kernel: readonly string[],
): Promise<CabledHost> {
  const { mode = "tap", offloads = false, mtu = 1500, device = "tap0" } = options;
  const ns = options.namespace ?? new Namespace();
  if (!options.namespace) t.teardown(() => ns.close());
  const folder = mkdtempSync(join(tmpdir(), "anystack-"));
  const file = join(folder, "capture.pcapng");
  const capture = new LimitedCapture(file, options.captureLimit ?? 8 << 20);
  const panics: unknown[] = [];

  const link = openTap({ name: device, netns: ns.name, mode, offloads, mtu });
  for (const address of kernel) ns.ip("address", "add", address, "dev", device);
  ns.ip("link", "set", device, "up");
  const host = nodeHost({ panic: (_message, error) => panics.push(error) });
  const sockets = { udp: udp(), tcp: tcp(options.tcp) };
  const components = [
    mode === "tap" ? ethernet() : ipLink(),
    ...network,
    sockets.udp,
    sockets.tcp,
    ...(options.components ?? []),
  ];
  const stack = host.drive(createStack(host, components, options.stack));
  t.teardown(async () => {
    const left = await leftovers(stack);
    capture.close();
    if (!t.passed) t.log(`capture: ${file}`);
    if (panics.length > 0) throw panics[0];
    if (left.length > 0) throw new Error(left.join("; "));
    const { frames, findings } = await examine(file, options.payloads);
    const unexpected = findings.filter((finding) => !options.expected?.(finding));
    if (unexpected.length > 0) throw new Error(`${file}: ${describe(unexpected)}`);
    if (frames === 0) throw new Error("nothing was captured");
    if (t.passed) rmSync(folder, { recursive: true });
  });
  const nif = stack.addInterface(capture.around(link, device));
  return { stack, ...sockets, nif, ns, device, capture: file, panics };
}

/** Closes the stack; says what it had not given back before, and after. The test has closed its sockets. */
async function leftovers(stack: Stack): Promise<string[]> {
  const start = performance.now();
  while ((stack.pool.used > 0 || stack.deferred) && performance.now() - start < PATIENCE) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const before = findLeaks(stack, { timers: Infinity });
  stack.close();
  return before.concat(findLeaks(stack).map((leak) => `after close: ${leak}`));
}
