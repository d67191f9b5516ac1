/** The kernel's ping over IPv6, fragments both ways; groups as a snooping bridge learns them. */
import test from "ava";
import { mld } from "../../../stack/ipv6/mld.js";
import type { HostOptions } from "../support/host.js";
import { BRIDGE, createHost6 } from "../support/host6.js";
import { OURS6, createHostOnly6 } from "../support/only6.js";
import { until } from "../../support/until.js";
import { floodFrom } from "../support/ping.js";

/** ping sends no more, over either family. */
const LARGEST = 65507;

/** `$1`: the target, then the sizes. Prints what goes wrong; ping itself compares the bytes. */
const PING_SIZES = `
target=$1
shift
for size; do
  output=$(ping -6 -q -n -c 1 -W 5 -s $size $target 2>&1)
  case $output in
    *wrong*) echo "$size: $output" ;;
    *" 1 received, 0% packet loss"*) ;;
    *) echo "$size: $output" ;;
  esac
done
`;

const VARIANTS: [string, HostOptions][] = [
  ["TAP", {}],
  ["TAP with offloads", { offloads: true }],
  ["TUN", { mode: "tun" }],
  ["TAP, smallest MTU", { mtu: 1280 }],
];

for (const [name, options] of VARIANTS) {
  test(`ping -6 of sizes 0 to 65,507 over ${name}`, async (t) => {
    const { ns, stack } = await createHostOnly6(t, { captureLimit: 64 << 20, ...options });
    const before = stack.counters.icmp6!.echoRequests;
    const all = [0, 1, 7, 8, 40, 1231, 1232, 1233, 1440, 1448, 1452, 1453, 2000, 65000, LARGEST];
    for (let size = 4096; size < LARGEST; size += 9973) all.push(size);
    const { stdout } = await ns.run("sh", ["-c", PING_SIZES, "sh", OURS6, ...all.map(String)], {
      timeout: 120_000,
    });
    t.is(stdout, "");
    t.is(stack.counters.icmp6!.echoRequests - before, all.length);
    const { received: _, sent, reassembled, evicted, timeout, ...drops } = stack.counters.frag6!;
    t.true(sent! > 200 && reassembled! >= 9);
    t.true(Object.values(drops).every((count) => count === 0));
  });
}

for (const size of [56, 8192]) {
  test(`flood of 10,000 pings of ${size} bytes`, async (t) => {
    const { ns, stack } = await createHostOnly6(t);
    await floodFrom(t, ns, OURS6, { count: 10_000, size });
    t.true(stack.counters.icmp6!.echoRequests! >= 10_000);
  });
}

test("a bridge that snoops learns our groups, and forgets those that we leave", async (t) => {
  const groups = mld();
  const { ns, ip6, nif } = await createHost6(t, { more6: [groups] });
  ns.ip(
    "link",
    "set",
    BRIDGE,
    "type",
    "bridge",
    "mcast_snooping",
    "1",
    "mcast_querier",
    "1",
    "mcast_mld_version",
    "2",
  );
  const learned = async () => (await ns.run("bridge", ["mdb", "show", "dev", BRIDGE])).stdout;
  ip6.join("ff05::1234", nif, null);
  ip6.join("ff05::1235", nif, { exclude: false, sources: ["fd77::9"] });
  let table = "";
  const look = setInterval(() => void learned().then((text) => (table = text)), 200);
  t.teardown(() => clearInterval(look));
  await until("the groups are learned", () => table.includes("ff05::1234") && table.includes("ff05::1235"));
  t.regex(table, /ff02::1:ff/);
  await until("the querier has been heard", () => groups.counters.queries > 0);
  ip6.leave("ff05::1234", nif, null);
  await until("the group is forgotten", () => !table.includes("ff05::1234"));
  t.true(table.includes("ff05::1235"));
  clearInterval(look);
});
