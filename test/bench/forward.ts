/**
 * Throughput through our router between two namespaces, and through the kernel routing the same: rows of `npm run bench`, or `node
 * --import tsx test/bench/forward.ts` (needs root, ethtool and iperf3). Ours has two TAPs, the kernel's router two veth pairs; the rounds
 * take turns, and medians are compared.
 */
import { pathToFileURL } from "node:url";
import { ethernet, nodeHost, openTap } from "../../ports/node/index.js";
import { createStack } from "../../stack/index.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { segmentation } from "../../stack/router/segmentation.js";
import { Namespace } from "../interop/support/namespace.js";

/** A router, and whether the hosts at both sides of it leave checksums and segmentation to their links. */
const WAYS = {
  "kernel-plain": { about: "kernel, veth", hosts: false },
  plain: { about: "ours, TAP", hosts: false },
  merged: { about: "ours, TAP with virtio headers, segments merged as they come", hosts: false },
  "kernel-offloads": { about: "kernel, veth; hosts with offloads", hosts: true },
  offloads: { about: "ours, TAP with virtio headers; hosts with offloads", hosts: true },
} as const;

export type ForwardWay = keyof typeof WAYS;

export interface ForwardFigure {
  readonly way: ForwardWay;
  readonly about: string;
  /** Gbit/s of one TCP stream, per second of wall clock. */
  readonly rate: number;
  /** Per second of our process's time; NaN for the kernel. */
  readonly perCpu: number;
}

const OFF = ["tx", "tso", "gso", "gro"].flatMap((name) => [name, "off"]);

/** Two hosts and a way between them, to be measured again and again. */
class Course {
  readonly rates: number[] = [];
  readonly shares: number[] = [];
  private readonly hosts = [new Namespace(), new Namespace()] as const;
  private readonly router: Namespace | null;
  private readonly close: () => void;

  constructor(readonly way: ForwardWay) {
    const { hosts } = this;
    if (way.startsWith("kernel")) {
      const router = (this.router = new Namespace());
      router.sysctl("net.ipv4.ip_forward", 1);
      hosts.forEach((ns, i) => {
        const near = `veth${i}`;
        router.ip("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", ns.name);
        router.ip("address", "add", `10.${i}.0.1/24`, "dev", near);
        router.ip("link", "set", near, "up");
      });
      this.close = () => {};
    } else {
      this.router = null;
      const host = nodeHost();
      const ip = ipv4();
      const router = forwarding({ segments: segmentation() });
      const stack = host.drive(createStack(host, [ethernet(), arp(), ip, icmp(), router]));
      hosts.forEach((ns, i) => {
        const link = openTap({
          ...{ name: "eth0", netns: ns.name, offloads: way !== "plain", allocate: host.allocate },
        });
        ip.addAddress(stack.addInterface(link), `10.${i}.0.1/24`);
      });
      this.close = () => stack.close();
    }
    hosts.forEach((ns, i) => {
      ns.ip("address", "add", `10.${i}.0.2/24`, "dev", "eth0");
      ns.ip("link", "set", "eth0", "up");
      ns.ip("route", "add", "default", "via", `10.${i}.0.1`);
    });
  }

  async measure(seconds: number): Promise<void> {
    const [from, to] = this.hosts;
    if (this.rates.length === 0 && !WAYS[this.way].hosts) {
      for (const ns of this.hosts) await ns.run("ethtool", ["-K", "eth0", ...OFF]);
      for (const i of [0, 1]) if (this.router) await this.router.run("ethtool", ["-K", `veth${i}`, ...OFF]);
    }
    const server = await to.serve("tcp", 5201, "iperf3", ["-s", "-1"]);
    const before = process.cpuUsage();
    const { stdout } = await from.run("iperf3", ["-c", "10.1.0.2", "-J", "-t", String(seconds)], {
      timeout: 60_000,
    });
    const { user, system } = process.cpuUsage(before);
    await server.stop();
    const { bytes, bits_per_second: rate } = JSON.parse(stdout).end.sum_received;
    this.rates.push(rate / 1e9);
    this.shares.push(this.router ? NaN : (bytes * 8e-3) / (user + system));
  }

  async end(): Promise<void> {
    this.close();
    for (const ns of [...this.hosts, ...(this.router ? [this.router] : [])]) await ns.close();
  }
}

const median = (values: number[]) => [...values].sort((x, y) => x - y)[values.length >> 1]!;

/** All ways, in turns. */
export async function forwardFigures(
  rounds: number,
  seconds: number,
  ways: readonly ForwardWay[] = Object.keys(WAYS) as ForwardWay[],
): Promise<ForwardFigure[]> {
  const courses = ways.map((way) => new Course(way));
  try {
    for (let round = 0; round < rounds; round++) for (const course of courses) await course.measure(seconds);
    return courses.map(({ way, rates, shares }) => ({
      ...{ way, about: WAYS[way].about, rate: median(rates), perCpu: median(shares) },
    }));
  } finally {
    for (const course of courses) await course.end();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const ways = process.argv.slice(2) as ForwardWay[];
  const figures = await forwardFigures(
    Number(process.env.ROUNDS ?? 3),
    Number(process.env.SECONDS ?? 2),
    ways.length > 0 ? ways : undefined,
  );
  for (const { about, rate, perCpu } of figures) {
    const share = Number.isNaN(perCpu) ? "" : `, ${perCpu.toFixed(2)} per CPU second`;
    console.log(`${about}: ${rate.toFixed(2)} Gbit/s${share}`);
  }
}
