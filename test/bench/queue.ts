/**
 * What a ping waits behind eight downloads of kernels through our gateway, queue by queue: `node --import tsx test/bench/queue.ts [--write]`
 * (needs root, iperf3 and chrt); `--write` puts the table into docs/gateway.md. Two namespaces, a TAP each; what goes to the LAN is shaped. The
 * control is a ping at the same time from the LAN to a third namespace, over a cable (veth) that nothing of ours is in.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { nodeHost, openTap } from "../../ports/node/index.js";
import { createStack } from "../../stack/index.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import type { Discipline } from "../../stack/queue/discipline.js";
import { drr } from "../../stack/queue/drr.js";
import { fifo } from "../../stack/queue/fifo.js";
import { fqCodel } from "../../stack/queue/fq-codel.js";
import { shaper } from "../../stack/queue/shaper.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { Namespace } from "../interop/support/namespace.js";
import { ROOT } from "../support/files.js";

const RATES = [10, 50];
const SECONDS = Number(process.env.SECONDS ?? 15);
const [BEGIN, END] = ["<!-- queues between kernels -->", "<!-- end of queues -->"];
const DISCIPLINES: [name: string, make: () => Discipline][] = [
  ["FIFO", () => fifo()],
  ["DRR", () => drr()],
  ["FQ-CoDel", () => fqCodel()],
];

interface Figures {
  median: number;
  p90: number;
  p99: number;
  lost: number;
  goodput: number;
  /** The control's p99, ms. */
  control: number;
}

// What other programs want of the processors is no queue of ours: this one, all of its threads, and those that it starts, go before them. Not by
// "nice", which orders the programs of one session alone where Linux groups them by session.
execFileSync("chrt", ["--all-tasks", "--rr", "--pid", "10", `${process.pid}`]);

const [lan, wan, aside] = [new Namespace(), new Namespace(), new Namespace()];
const host = nodeHost();
const ip = ipv4();
const queues = shaper();
const parts = [ethernet(), arp(), ip, icmp(), forwarding(), queues];
const stack = host.drive(createStack(host, parts, { packetMemory: 8 << 20 }));

function side(ns: Namespace, number: number) {
  const nif = stack.addInterface(openTap({ name: "eth0", netns: ns.name }));
  ip.addAddress(nif, `10.${number}.0.1/24`);
  ns.ip("address", "add", `10.${number}.0.2/24`, "dev", "eth0");
  ns.ip("link", "set", "eth0", "up");
  ns.ip("route", "add", "default", "via", `10.${number}.0.1`);
  return nif;
}

lan.ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", aside.name);
for (const [index, ns] of [lan, aside].entries()) {
  ns.ip("address", "add", `10.3.0.${index + 1}/24`, "dev", "cable");
  ns.ip("link", "set", "cable", "up");
}

/** Round trips of pings from the LAN, 20 a second, sorted, ms. */
async function pings(address: string, count: number): Promise<number[]> {
  const options = ["-n", "-i", "0.05", "-c", `${count}`, "-W", "5", address];
  const { stdout } = await lan.run("ping", options, { codes: null, timeout: 120_000 });
  return [...stdout.matchAll(/time=([\d.]+)/g)].map(([, time]) => Number(time)).sort((a, b) => a - b);
}

const at = (times: number[], share: number) => times[Math.floor(times.length * share)] ?? NaN;

/** Pings while eight downloads come in; with `load` false without them. */
async function measure(load: boolean): Promise<Figures> {
  const count = (SECONDS - 3) * 20;
  const server = await wan.serve("tcp", 5201, "iperf3", ["-s", "-1"]);
  const download = load
    ? lan.run("iperf3", ["-c", "10.2.0.2", "-R", "-P", "8", "-J", "-t", `${SECONDS}`], { timeout: 120_000 })
    : null;
  // The downloads have filled the queue by then.
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const [times, others] = await Promise.all([pings("10.2.0.2", count), pings("10.3.0.2", count)]);
  const done = download && JSON.parse((await download).stdout);
  await server.stop();
  return {
    median: at(times, 0.5),
    p90: at(times, 0.9),
    p99: at(times, 0.99),
    lost: count - times.length,
    goodput: done ? done.end.sum_received.bits_per_second / 1e6 : 0,
    control: at(others, 0.99),
  };
}

/** What else the machine has to do is in each p99. */
const busy = () =>
  `Processors: ${availableParallelism()}; other programs that wanted one, with less of a right to it: ${loadavg()[0]!.toFixed(0)}.`;

const rows: string[] = [];
const number = (value: number) => value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
try {
  const nif = side(lan, 1);
  side(wan, 2);
  for (const rate of RATES) {
    let first = 0;
    for (const [name, make] of DISCIPLINES) {
      queues.add(nif, { discipline: make(), rate: rate * 1e6 });
      const { median, p90, p99, lost, goodput, control } = await measure(true);
      const { late, dropped } = queues.find(nif)!.counters;
      queues.remove(nif);
      first ||= p99;
      const cells = [
        name === "FIFO" ? `${rate} Mbit/s` : "",
        name,
        number(median),
        number(p90),
        number(p99),
        number(p99 / first),
      ];
      rows.push(`| ${[...cells, number(control), lost, number(goodput), late + dropped].join(" | ")} |`);
      console.log(rows.at(-1));
    }
  }
  const idle = await measure(false);
  const text = `| rate | | median, ms | p90, ms | p99, ms | p99 / FIFO's | control's p99, ms | pings lost | goodput, Mbit/s | dropped |
| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
${rows.join("\n")}

Without load the median is ${number(idle.median)} ms, the p99 ${number(idle.p99)} ms. ${busy()}`;
  console.log(text);
  if (process.argv.includes("--write")) {
    const file = join(ROOT, "docs", "gateway.md");
    const old = readFileSync(file, "utf8");
    const [at, to] = [old.indexOf(BEGIN) + BEGIN.length, old.indexOf(END)];
    writeFileSync(file, `${old.slice(0, at)}\n\n${text}\n\n${old.slice(to)}`);
  }
} finally {
  stack.close();
  for (const ns of [lan, wan, aside]) await ns.close();
}
