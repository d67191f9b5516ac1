/** `npm run size -- --where [--write]`: where the bytes of the combinations are, beside lwIP's text for the same work; docs/size.md has it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "../support/bundle.js";
import { ROOT } from "../support/files.js";
import { OTHER, histogram } from "./functions.js";
import { FLAGS, PROFILES, lwip } from "./lwip.js";
import { align, number } from "./report.js";

/** What belongs together: our files, by the start of their paths below stack/, and lwIP's. The first line that fits counts. */
export const WORK: readonly { readonly name: string; readonly ours: RegExp; readonly theirs: string }[] = [
  { name: "UDP", ours: /^(udp\/|core\/(datagrams|transport)|wire\/udp)/, theirs: "udp" },
  { name: "TCP", ours: /^(tcp\/|core\/hash|wire\/tcp)/, theirs: "tcp tcp_in tcp_out" },
  { name: "DHCP", ours: /^(service\/(dhcp|lease)|wire\/dhcp)/, theirs: "dhcp" },
  { name: "DNS", ours: /^(service\/dns|wire\/dns|core\/name-servers)/, theirs: "dns" },
  {
    name: "IPv6, ICMPv6, ND",
    ours: /^(ipv6\/|wire\/(ipv6|icmpv6)|route\/table6|core\/(text6|membership|group))/,
    theirs: "ethip6 icmp6 ip6 ip6_addr ip6_frag mld6 nd6",
  },
  { name: "ICMP", ours: /^(ipv4\/icmp|wire\/icmp|core\/(echo|rate))/, theirs: "icmp" },
  {
    name: "Ethernet, ARP, neighbours",
    ours: /^(link\/|ipv4\/arp|wire\/(arp|ethernet))/,
    theirs: "ethernet etharp",
  },
  { name: "IPv4", ours: /^(ipv4\/|route\/|wire\/ipv4|core\/text4)/, theirs: "ip4 ip4_addr ip4_frag" },
  {
    name: "stack: interfaces, memory, timers, host",
    ours: /^(core\/|index)/,
    theirs: "def inet_chksum init ip mem memp netif pbuf timeouts",
  },
];
const REST = "between functions, and the entry";

const NAMES = Object.keys(PROFILES);
const MODES = ["open", "closed"] as const;
/** Files that have fewer bytes in each script are told together. */
const SMALL = 300;

/** Bytes by row, and by column: `udp4 open`, `udp4 closed`, `udp4 lwIP`, ... */
type Cells = Map<string, Map<string, number>>;

function add(cells: Cells, row: string, column: string, bytes: number): void {
  if (!cells.has(row)) cells.set(row, new Map());
  const columns = cells.get(row)!;
  columns.set(column, (columns.get(column) ?? 0) + bytes);
}

function table(title: string, cells: Cells, columns: readonly string[], rows: readonly string[]): string {
  const sum = (column: string) => rows.reduce((all, row) => all + (cells.get(row)?.get(column) ?? 0), 0);
  const text = (bytes: number) => (bytes === 0 ? "" : number(Math.round(bytes)));
  return align([
    [title, ...columns],
    ...rows.map((row) => [row, ...columns.map((column) => text(cells.get(row)?.get(column) ?? 0))]),
    ["together", ...columns.map((column) => text(sum(column)))],
  ]);
}

/** Which line of `WORK` a file of ours is in. */
export function workOf(file: string): string {
  const path = file.replace(/^stack\//, "");
  return file === path ? REST : (WORK.find(({ ours }) => ours.test(path))?.name ?? REST);
}

/** Three tables in Markdown: by work, by files of lwIP's, by ours. */
export async function where(): Promise<string> {
  const [work, theirs, ours]: Cells[] = [new Map(), new Map(), new Map()];
  for (const name of NAMES) {
    for (const mode of MODES) {
      const column = `${name} ${mode}`;
      const { total, files } = await histogram(name, mode === "closed");
      const { code } = await bundle(join(ROOT, `test/size/combinations/${name}.ts`), {
        closed: mode === "closed",
      });
      // The finished script is a few percent shorter than the one that can be told apart.
      const share = Buffer.byteLength(code.trimEnd()) / total;
      for (const [file, bytes] of files) {
        add(work!, workOf(file), column, bytes * share);
        add(ours!, file.startsWith("stack/") ? file.slice(6) : OTHER, column, bytes * share);
      }
    }
    for (const [file, bytes] of await lwip(name)) {
      const line = WORK.find((each) => each.theirs.split(" ").includes(file.replace(".c", "")));
      if (line === undefined) throw new Error(`say in test/size/where.ts what lwIP's ${file} does`);
      add(work!, line.name, `${name} lwIP`, bytes);
      add(theirs!, file, name, bytes);
    }
  }
  const columns = NAMES.flatMap((name) => [`${name} open`, `${name} closed`]);
  const small = new Map<string, number>();
  let others = 0;
  for (const [file, cells] of ours!) {
    if ([...cells.values()].some((bytes) => bytes >= SMALL) && file !== OTHER) continue;
    ours!.delete(file);
    if (file !== OTHER) others++;
    for (const [column, bytes] of cells) small.set(column, (small.get(column) ?? 0) + bytes);
  }
  const dual = (file: string) => ours!.get(file)?.get("dual closed") ?? 0;
  const files = [...ours!.keys()].sort((a, b) => dual(b) - dual(a));
  const rest = `${others} others, and between functions`;
  ours!.set(rest, small);
  return [
    `lwIP is ${lwipVersion()}, \`arm-none-eabi-gcc ${FLAGS.slice(0, 3).join(" ")}\`, before linking.`,
    table(
      "work",
      work!,
      NAMES.flatMap((name) => [`${name} open`, `${name} closed`, `${name} lwIP`]),
      [...WORK.map(({ name }) => name).reverse(), REST],
    ),
    table("lwIP's file", theirs!, NAMES, [...theirs!.keys()].sort()),
    table("our file", ours!, columns, [...files, rest]),
  ].join("\n\n");
}

function lwipVersion(): string {
  const text = readFileSync(join(ROOT, "build/sources/lwip/src/include/lwip/init.h"), "utf8");
  return ["MAJOR", "MINOR", "REVISION"]
    .map((part) => new RegExp(`LWIP_VERSION_${part} +(\\d+)`).exec(text)![1])
    .join(".");
}
