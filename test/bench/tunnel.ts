/**
 * `node examples/launch.js test/bench/tunnel.ts [--rounds N] [--seconds N] [--write]`: TCP (iperf3) through AES-256-GCM tunnels, ESP in UDP,
 * between namespaces: two gateways of ours (by ciphers), one of ours and strongSwan, two strongSwans with ESP of their own in user space
 * (kernel-libipsec). All are up at once, rounds are interleaved, medians are told. Needs root, charon-systemd, swanctl, iperf3.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ExecutionContext } from "ava";
import { Charon } from "../interop/ike/charon.js";
import { Namespace } from "../interop/support/namespace.js";
import type { Daemon } from "../interop/support/process.js";
import { ROOT } from "../support/files.js";
import { until } from "../support/until.js";
import { median } from "./rounds.js";
import type { GatewaySetup } from "./tunnel-gateway.js";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "4" },
    write: { type: "boolean", default: false },
  },
});
/** What stands around the table in docs/ipsec.md. */
const [BEGIN, END] = ["<!-- tunnel -->", "<!-- end of tunnel -->"];
const PSK = "secret";

/** What is to be ended, last first: all that a charon of the tests wants of a test. */
const endings: (() => unknown)[] = [];
const t = { passed: true, log: console.error, teardown: (end: () => unknown) => endings.push(end) };

function namespace(...addresses: [address: string, device: string][]): Namespace {
  const made = new Namespace();
  endings.push(() => made.close());
  for (const [address, device] of addresses) made.ip("address", "add", address, "dev", device);
  return made;
}

function up(ns: Namespace, device: string, address?: string): void {
  if (address) ns.ip("address", "add", address, "dev", device);
  ns.ip("link", "set", device, "up");
}

async function gateway(host: Namespace, setup: GatewaySetup): Promise<Daemon> {
  const program = ["examples/launch.js", "test/bench/tunnel-gateway.ts", JSON.stringify(setup)];
  const daemon = host.start(
    process.execPath,
    program.map((word, i) => (i === 0 ? join(ROOT, word) : word)),
  );
  endings.push(() => daemon.stop());
  const exists = (name: string, netns: string) =>
    host.run("ip", ["-n", netns, "link", "show", name], { codes: null }).then(({ code }) => code === 0);
  await daemon.until(async () => (await exists(...setup.lanDevice)) && exists(...setup.wanDevice));
  const lan = setup.lan.replace(/\.1\//, ".5/");
  up(host, setup.lanDevice[0], lan);
  host.ip("route", "add", "default", "via", setup.lan.split("/")[0]!);
  return daemon;
}

function strongSwan(
  ns: Namespace,
  own: string,
  peer: string,
  local: string,
  remote: string,
): Promise<Charon> {
  const configuration = `connections { a {
    local_addrs = ${own} \n remote_addrs = ${peer}
    local { auth = psk } \n remote { auth = psk }
    children { c { esp_proposals = aes256gcm16 \n local_ts = ${local} \n remote_ts = ${remote} } }
  } }
  secrets { ike-a { secret = "${PSK}" } }`;
  return Charon.start(t as unknown as ExecutionContext, ns, configuration);
}

interface Way {
  readonly about: string;
  readonly client: Namespace;
  readonly server: Namespace;
  readonly local: string;
  readonly address: string;
  /** Who encrypts. */
  readonly ends: readonly Daemon[];
}

interface Figure {
  /** Mbit/s that arrive, and Mbit for each second of processor that the two ends have had. */
  readonly rate: number;
  readonly perCpu: number;
}

async function ours(ciphers: GatewaySetup["ciphers"]): Promise<Way> {
  const [client, server, middle] = [namespace(), namespace(), namespace()];
  middle.ip("link", "add", "br0", "type", "bridge");
  up(middle, "br0");
  const common = { psk: PSK, encapsulate: true, ciphers };
  const one = await gateway(client, {
    ...{ ...common, lan: "10.8.0.1/16", wan: "192.0.2.2/24", peer: "192.0.2.1", network: "10.9.0.0/16" },
    ...{ lanDevice: ["lan0", client.name], wanDevice: ["wan0", middle.name] },
  });
  const two = await gateway(server, {
    ...{ ...common, lan: "10.9.0.1/16", wan: "192.0.2.1/24", peer: "192.0.2.2", network: "10.8.0.0/16" },
    ...{ lanDevice: ["lan1", server.name], wanDevice: ["wan1", middle.name] },
  });
  for (const device of ["wan0", "wan1"]) {
    middle.ip("link", "set", device, "master", "br0");
    up(middle, device);
  }
  await Promise.all([one.until(/: up/), two.until(/: up/)]);
  return {
    about: `two gateways of ours, ciphers ${ciphers === "node" ? "of node:crypto" : "by `opensslCrypto`"}`,
    client,
    server,
    local: "10.8.0.5",
    address: "10.9.0.5",
    ends: [one, two],
  };
}

async function mixed(): Promise<Way> {
  const client = namespace();
  const server = namespace(["10.9.0.1/24", "lo"]);
  const setup: GatewaySetup = {
    ...{ psk: PSK, lan: "10.8.0.1/16", wan: "192.0.2.2/24", peer: "192.0.2.1", network: "10.9.0.0/24" },
    ciphers: "openssl",
    ...{ lanDevice: ["lan0", client.name], wanDevice: ["wan0", server.name] },
  };
  const daemon = await gateway(client, setup);
  up(server, "wan0", "192.0.2.1/24");
  const charon = await strongSwan(server, "192.0.2.1", "192.0.2.2", "10.9.0.0/24", "10.8.0.0/16");
  await daemon.until(/: up/);
  return {
    about: "one of ours (`opensslCrypto`), strongSwan",
    client,
    server,
    local: "10.8.0.5",
    address: "10.9.0.1",
    ends: [daemon, charon.daemon],
  };
}

async function theirs(): Promise<Way> {
  const client = namespace(["10.8.0.1/24", "lo"]);
  const server = namespace(["10.9.0.1/24", "lo"]);
  client.ip("link", "add", "wan0", "type", "veth", "peer", "name", "wan0", "netns", server.name);
  up(client, "wan0", "192.0.2.2/24");
  up(server, "wan0", "192.0.2.1/24");
  const other = await strongSwan(server, "192.0.2.1", "192.0.2.2", "10.9.0.0/24", "10.8.0.0/24");
  const charon = await strongSwan(client, "192.0.2.2", "192.0.2.1", "10.8.0.0/24", "10.9.0.0/24");
  await charon.swanctl(["--initiate", "--child", "c"]);
  return {
    about: "two strongSwans",
    client,
    server,
    local: "10.8.0.1",
    address: "10.9.0.1",
    ends: [charon.daemon, other.daemon],
  };
}

/** Seconds of processor that processes have had (proc(5); a tick is 10 ms). */
function processor(daemons: readonly Daemon[]): number {
  const ticks = daemons.map(({ child }) => {
    const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / 100;
}

async function measure({ client, server, local, address, ends }: Way): Promise<Figure> {
  const before = processor(ends);
  const daemon = await server.serve("tcp", 5201, "iperf3", ["-s", "-1"]);
  const { stdout } = await client.run("iperf3", ["-c", address, "-B", local, "-t", options.seconds, "-J"], {
    timeout: 60_000 + 2000 * Number(options.seconds),
  });
  await daemon.ended();
  const report = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number; bytes: number } } };
  const { bits_per_second, bytes } = report.end.sum_received;
  return { rate: bits_per_second / 1e6, perCpu: (bytes * 8) / 1e6 / (processor(ends) - before) };
}

try {
  const ways = [await ours("node"), await ours("openssl"), await mixed(), await theirs()];
  const figures = ways.map(() => [] as Figure[]);
  for (const { client, local, address } of ways) {
    const ping = ["-c", "1", "-W", "5", "-I", local, address];
    await until("a way", async () => (await client.run("ping", ping, { codes: null })).code === 0);
  }
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [i, way] of ways.entries()) {
      const figure = await measure(way);
      figures[i]!.push(figure);
      const { rate, perCpu } = figure;
      console.error(
        `bench: ${way.about}: ${rate.toFixed(0)} Mbit/s, ${perCpu.toFixed(0)} Mbit per CPU second`,
      );
    }
  }
  const medians = figures.map((list) => ({
    rate: median(list.map(({ rate }) => rate)),
    perCpu: median(list.map(({ perCpu }) => perCpu)),
  }));
  const base = medians.at(-1)!;
  const rows = ways.map(({ about }, i) => {
    const { rate, perCpu } = medians[i]!;
    const ratios = [rate / base.rate, perCpu / base.perCpu].map((ratio) => ratio.toFixed(2));
    return `| ${about} | ${rate.toFixed(0)} Mbit/s | ${ratios[0]} | ${perCpu.toFixed(0)} Mbit | ${ratios[1]} |`;
  });
  const head = "| tunnel between | TCP through it | | for a second of processor, of both ends | |";
  const table = [head, "|---|---:|---:|---:|---:|", ...rows].join("\n");
  console.log(table);
  if (options.write) {
    const file = join(ROOT, "docs/ipsec.md");
    const text = readFileSync(file, "utf8");
    const [before, rest] = text.split(BEGIN);
    const after = rest?.split(END)[1];
    if (before === undefined || after === undefined) throw new Error(`no ${BEGIN} in docs/ipsec.md`);
    writeFileSync(file, `${before}${BEGIN}\n\n${table}\n\n${END}${after}`);
  }
} finally {
  for (const end of endings.reverse()) await end();
}
process.exit(0);
