/** The kernel's ping over IPv6, fragments both ways; groups as a snooping bridge learns them. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { mld } from "../../../stack/ipv6/mld.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { pmtu6 } from "../../../stack/ipv6/pmtu.js";
import { createHost } from "../support/host.js";
import type { HostOptions } from "../support/host.js";
import { BRIDGE, createHost6, namespace6, until } from "../support/host6.js";

const KERNEL = "fd77::1";
const OURS = "fd77::2";
/** ping sends no more, over either family. */
const LARGEST = 65507;

async function setUp(t: ExecutionContext, options: HostOptions = {}) {
  const ip6 = ipv6();
  const frag = fragments6();
  const groups = mld();
  const namespace = namespace6(t);
  const components = [ip6, icmpv6(), nd(), frag, pmtu6(), groups];
  const host = await createHost(t, { captureLimit: 64 << 20, ...options, namespace, components });
  host.ns.ip("address", "add", KERNEL + "/64", "dev", host.device, "nodad");
  ip6.addAddress(host.nif, OURS + "/64");
  // The kernel takes a moment to use a new device: what is sent before goes nowhere.
  await host.ns.run("ping", ["-6", "-c", "5", "-i", "0.5", "-W", "1", OURS], { codes: null });
  return { ...host, ip6, frag, groups };
}

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
    const { ns, stack, frag } = await setUp(t, options);
    const before = stack.counters.icmp6!.echoRequests;
    const all = [0, 1, 7, 8, 40, 1231, 1232, 1233, 1440, 1448, 1452, 1453, 2000, 65000, LARGEST];
    for (let size = 4096; size < LARGEST; size += 9973) all.push(size);
    const { stdout } = await ns.run("sh", ["-c", PING_SIZES, "sh", OURS, ...all.map(String)], {
      timeout: 120_000,
    });
    t.is(stdout, "");
    t.is(stack.counters.icmp6!.echoRequests - before, all.length);
    const { received: _, sent, reassembled, evicted, timeout, ...drops } = frag.counters;
    t.true(sent > 200 && reassembled >= 9);
    t.true(Object.values(drops).every((count) => count === 0));
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
