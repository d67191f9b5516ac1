/**
 * What finding a packet's policy costs: `node examples/launch.js test/bench/spd.ts`, by the list and by `policyIndex()`. Policies are those
 * of a gateway: IKE's own two, then one for each peer, by a host or a network behind it. Time is this process's own; medians.
 */
import { Flow } from "../../stack/ipsec/flow.js";
import { Policy, Spd } from "../../stack/ipsec/policy.js";
import { policyIndex } from "../../stack/ipsec/policy-index.js";

const ROUNDS = 7;

const text = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join(".");

function fill(count: number, index: boolean): Spd {
  const spd = new Spd(count + 2, 0, index ? policyIndex() : null);
  for (const localPort of [500, 4500])
    spd.insert(new Policy({ action: "bypass", protocol: 17, localPort }), undefined);
  for (let i = 0; i < count; i++) {
    const remote = i % 4 ? text(0x0a100000 + i) : `${text(0x0b000000 + i * 256)}/24`;
    spd.insert(new Policy({ action: "protect", local: "172.31.0.0/16", remote }), undefined);
  }
  return spd;
}

/** Flows to all peers in turn, and as many to nobody. */
function ask(spd: Spd, count: number, looks: number): number {
  const flow = new Flow();
  flow.protocol = 17;
  flow.sourcePort = flow.destinationPort = 7;
  flow.source[0] = 0xac1f0001 | 0;
  const start = process.cpuUsage();
  let found = 0;
  for (let n = 0; n < looks; n++) {
    const i = (n * 7919) % count;
    flow.destination[0] = n & 1 ? 0x0c000000 + i : i % 4 ? 0x0a100000 + i : 0x0b000000 + i * 256 + 9;
    if (spd.lookup(flow, true)) found++;
  }
  const { user, system } = process.cpuUsage(start);
  if (found !== looks / 2) throw new Error(`${found} of ${looks}`);
  return ((user + system) * 1000) / looks;
}

const median = (list: number[]): number => list.sort((x, y) => x - y)[list.length >> 1]!;

console.log("| policies | the list, ns | the index, ns |\n|---:|---:|---:|");
for (const count of [1, 10, 100, 1000, 10000]) {
  const each = [false, true].map((index) => ({ index, spd: fill(count, index), figures: [] as number[] }));
  for (let round = 0; round < ROUNDS; round++)
    for (const { index, spd, figures } of each)
      figures.push(ask(spd, count, index || count < 1000 ? 200_000 : 2_000));
  console.log(`| ${count} | ${each.map(({ figures }) => median(figures).toFixed(0)).join(" | ")} |`);
}
