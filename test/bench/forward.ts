/**
 * Throughput through our router between two namespaces, and through the kernel routing the same: a row of `npm run bench`, or `node
 * --import tsx test/bench/forward.ts` (needs root and iperf3). Ours has two TAPs, the kernel's two veth pairs, offloads off on all; the
 * rounds take turns, and medians are compared.
 */
import { execFileSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { ethernet, nodeHost, openTap } from "../../ports/node/index.js";
import { createStack } from "../../stack/index.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { Namespace } from "../interop/support/namespace.js";

function offloadsOff(ns: Namespace, device: string): void {
  execFileSync(
    "ip",
    [
      "netns",
      "exec",
      ns.name,
      "ethtool",
      "-K",
      device,
      "tx",
      "off",
      "tso",
      "off",
      "gso",
      "off",
      "gro",
      "off",
    ],
    {
      stdio: "ignore",
    },
  );
}

/** Gbit/s of one TCP stream. */
async function measure(from: Namespace, to: Namespace, address: string, seconds: number): Promise<number> {
  const server = await to.serve("tcp", 5201, "iperf3", ["-s", "-1"]);
  const { stdout } = await from.run("iperf3", ["-c", address, "-J", "-t", String(seconds)], {
    timeout: 60_000,
  });
  await server.stop();
  return JSON.parse(stdout).end.sum_received.bits_per_second / 1e9;
}

const median = (values: number[]) => [...values].sort((x, y) => x - y)[values.length >> 1]!;

/** Gbit/s of one TCP stream through us, and through the kernel. */
export async function forwardFigures(
  rounds: number,
  seconds: number,
): Promise<{ ours: number; kernel: number }> {
  const namespaces = Array.from({ length: 5 }, () => new Namespace());
  const [a, b, c, d, router] = namespaces as [Namespace, Namespace, Namespace, Namespace, Namespace];
  const host = nodeHost();
  const ip = ipv4();
  const stack = host.drive(createStack(host, [ethernet(), arp(), ip, icmp(), forwarding()]));
  try {
    for (const [ns, number] of [
      [a, 1],
      [b, 2],
    ] as const) {
      const nif = stack.addInterface(openTap({ name: "eth0", netns: ns.name }));
      ip.addAddress(nif, `10.${number}.0.1/24`);
    }
    router.sysctl("net.ipv4.ip_forward", 1);
    for (const [ns, number] of [
      [c, 1],
      [d, 2],
    ] as const) {
      router.ip("link", "add", `veth${number}`, "type", "veth", "peer", "name", "eth0", "netns", ns.name);
      router.ip("address", "add", `10.${number}.0.1/24`, "dev", `veth${number}`);
      router.ip("link", "set", `veth${number}`, "up");
      offloadsOff(router, `veth${number}`);
    }
    for (const [ns, number] of [
      [a, 1],
      [b, 2],
      [c, 1],
      [d, 2],
    ] as const) {
      ns.ip("address", "add", `10.${number}.0.2/24`, "dev", "eth0");
      ns.ip("link", "set", "eth0", "up");
      ns.ip("route", "add", "default", "via", `10.${number}.0.1`);
      offloadsOff(ns, "eth0");
    }
    const ours: number[] = [];
    const kernel: number[] = [];
    for (let round = 0; round < rounds; round++) {
      ours.push(await measure(a, b, "10.2.0.2", seconds));
      kernel.push(await measure(c, d, "10.2.0.2", seconds));
    }
    const [own, other] = [median(ours), median(kernel)];
    return { ours: own, kernel: other };
  } finally {
    stack.close();
    for (const ns of namespaces) await ns.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const { ours, kernel } = await forwardFigures(
    Number(process.env.ROUNDS ?? 3),
    Number(process.env.SECONDS ?? 2),
  );
  console.log(
    `ours ${ours.toFixed(2)} Gbit/s, kernel ${kernel.toFixed(2)} Gbit/s, ratio ${(ours / kernel).toFixed(2)}`,
  );
}
