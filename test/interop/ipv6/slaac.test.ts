/** Neighbour discovery, autoconfiguration and hostile neighbours: against the kernel, radvd, ndisc6 and thc-ipv6. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { format6 } from "../../../stack/core/text6.js";
import { DEPRECATED, DUPLICATED, PREFERRED } from "../../../stack/ipv6/address.js";
import { redirect } from "../../../stack/ipv6/redirect.js";
import { temporary } from "../../../stack/ipv6/temporary.js";
import { BRIDGE, KERNEL_LINK_LOCAL, createHost6, join } from "../support/host6.js";
import type { TestHost6 } from "../support/host6.js";
import type { Namespace } from "../support/namespace.js";
import type { Daemon } from "../support/process.js";
import { until } from "../../support/until.js";

const OURS = "2001:db8:77::2";
const KERNEL = "2001:db8:77::1";
const A = "fe80::a";
const B = "fe80::b";
const FAR = "2001:db8:ffff::1";

const made = (host: TestHost6) => host.ip6.addresses.filter(({ origin }) => origin === "slaac");
const stateOf = (host: TestHost6, index = -1) => host.ip6.addresses.at(index)!.state;

async function pings(ns: Namespace, target: string, count = 3): Promise<string> {
  const { stdout } = await ns.run(
    "ping",
    ["-6", "-q", "-n", "-c", `${count}`, "-i", "0.2", "-w", "60", target],
    { codes: null },
  );
  return stdout;
}

/** Starts radvd on eth0 of a router. `body`: of its interface section. */
async function radvd(t: ExecutionContext, ns: Namespace, body: string): Promise<Daemon> {
  const folder = mkdtempSync(joinPath(tmpdir(), "anystack-radvd-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = joinPath(folder, "radvd.conf");
  writeFileSync(
    file,
    `interface eth0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; ${body} };\n`,
  );
  ns.sysctl("net.ipv6.conf.all.forwarding", 1);
  return ns.start("radvd", ["-n", "-d", "1", "-m", "stderr", "-C", file, "-p", joinPath(folder, "pid")]);
}

const prefix = (network: string, valid = 3600, preferred = 1800) =>
  `prefix ${network}/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime ${valid}; AdvPreferredLifetime ${preferred}; };`;

/** The first hop to FAR. */
function hop(host: TestHost6): string {
  const path = host.ip6.createPath();
  host.ip6.setRemote(path, FAR);
  if (host.ip6.route(path) < 0 || !path.neighbour) return "";
  return "fe80::" + (path.neighbour.a3 >>> 0).toString(16);
}

test("the kernel and we find each other", async (t) => {
  const host = await createHost6(t);
  host.ns.ip("address", "add", KERNEL + "/64", "dev", BRIDGE, "nodad");
  host.ip6.addAddress(host.nif, OURS + "/64");
  await until("address in use", () => stateOf(host) === PREFERRED);
  t.regex(await pings(host.ns, OURS), / ([3-9]|\d\d+) received/);
  t.regex(host.ns.ip("-6", "neigh", "show", OURS), /REACHABLE|DELAY/);
  const link = format6(host.ip6.addresses[0]!.bytes, 0);
  t.regex(await pings(host.ns, `${link}%${BRIDGE}`), / ([3-9]|\d\d+) received/);
  const { stdout } = await host.ns.run("ndisc6", ["-q", OURS, BRIDGE]);
  t.regex(stdout.trim(), /^([0-9A-F]{2}:){5}[0-9A-F]{2}$/i);
});

test("an address of the kernel's is no address for us, nor ours for it", async (t) => {
  const host = await createHost6(t);
  host.ns.ip("address", "add", KERNEL + "/64", "dev", BRIDGE, "nodad");
  host.ip6.addAddress(host.nif, KERNEL + "/64");
  await until("verdict", () => stateOf(host) === DUPLICATED);
  host.ip6.addAddress(host.nif, OURS + "/64");
  await until("verdict", () => stateOf(host) === PREFERRED);
  for (const scope of ["all", BRIDGE]) host.ns.sysctl(`net.ipv6.conf.${scope}.accept_dad`, 1);
  host.ns.ip("address", "add", OURS + "/64", "dev", BRIDGE);
  await until("the kernel's verdict", () =>
    host.ns.ip("-6", "address", "show", "dev", BRIDGE).includes("dadfailed"),
  );
  t.is(stateOf(host), PREFERRED);
});

test("radvd: address, router, name servers, search list", async (t) => {
  const host = await createHost6(t, { more6: [temporary()] });
  const router = join(t, host.ns, A);
  router.ip("address", "add", FAR + "/128", "dev", "lo");
  router.ip("address", "add", "2001:db8:1::1/64", "dev", "eth0", "nodad");
  await radvd(
    t,
    router,
    `${prefix("2001:db8:1::")} AdvLinkMTU 1400; RDNSS 2001:db8:1::53 { AdvRDNSSLifetime 300; }; DNSSL example.com { };`,
  );
  await until("address", () => made(host).some(({ state }) => state === PREFERRED));
  const text = format6(made(host)[0]!.bytes, 0);
  t.true(text.startsWith("2001:db8:1:"));
  t.is(hop(host), A);
  t.deepEqual(
    host.stack.nameServers!.list().map(({ address }) => address),
    ["2001:db8:1::53"],
  );
  t.deepEqual(host.stack.nameServers!.search(), ["example.com"]);
  t.regex(await pings(router, text), / ([3-9]|\d\d+) received/);
  t.true(host.ip6.addresses.some((entry) => entry.temporary));
});

test("radvd renumbers: the new prefix is used, the old one goes", async (t) => {
  const host = await createHost6(t);
  const router = join(t, host.ns, A);
  const first = await radvd(t, router, prefix("2001:db8:1::", 8, 4));
  await until("address", () => made(host).some(({ state }) => state === PREFERRED));
  // Without a farewell.
  await first.stop("SIGKILL");
  await radvd(t, router, prefix("2001:db8:2::"));
  await until("deprecated", () => made(host).some(({ state }) => state === DEPRECATED));
  await until("gone", () => made(host).every(({ bytes }) => format6(bytes, 0).startsWith("2001:db8:2:")));
  await until("in use", () => made(host).some(({ state }) => state === PREFERRED));
  t.regex(await pings(router, KERNEL_LINK_LOCAL + "%eth0"), / ([3-9]|\d\d+) received/);
  t.deepEqual(host.slaac.inspect(host.nif).prefixes, ["2001:db8:2::/64"]);
});

test("two routers with preferences; the better one falls silent, and says good-bye", async (t) => {
  const host = await createHost6(t);
  const routers = [join(t, host.ns, A), join(t, host.ns, B)] as const;
  const daemons: Daemon[] = [];
  for (const [i, preference] of ["low", "high"].entries()) {
    daemons.push(
      await radvd(
        t,
        routers[i]!,
        `AdvDefaultLifetime 60; AdvDefaultPreference ${preference}; ${prefix("2001:db8:1::")}`,
      ),
    );
  }
  await until("both", () => host.slaac.inspect(host.nif).routers.length === 2);
  await until("address", () => made(host).some(({ state }) => state === PREFERRED));
  t.is(hop(host), B);
  routers[1].ip("link", "set", "eth0", "down");
  const path = host.ip6.createPath();
  host.ip6.setRemote(path, FAR);
  await until("the other router", () => {
    const tx = host.stack.prepare(8)!;
    tx.data.fill(0, tx.start, tx.end);
    host.ip6.output(tx, path, 253);
    return hop(host) === A;
  });
  await daemons[0]!.stop();
  await until("farewell", () => !host.slaac.inspect(host.nif).routers.includes(`${A}%eth0`));
});

type Counters = { [component: string]: { [counter: string]: number } };

/** Tools of thc-ipv6 as neighbours; `ours` is our address. At last: what shows that we have seen what they send. */
const ATTACKS: [string, (ours: string) => string[], (counters: Counters) => number][] = [
  ["flood_router26", () => ["eth0"], ({ slaac }) => slaac!.advertisements!],
  ["flood_router6", () => ["eth0"], ({ slaac }) => slaac!.advertisements!],
  ["flood_advertise6", () => ["eth0"], ({ nd }) => nd!.unsolicited!],
  ["flood_solicitate6", (ours) => ["eth0", ours], ({ nd }) => nd!.advertisementsSent!],
  ["flood_redir6", (ours) => ["eth0", ours], ({ eth, redirect }) => eth!.otherGroup! + redirect!.stranger!],
  ["fake_advertise6", (ours) => ["-r", "-w", "0", "eth0", KERNEL, ours], ({ nd }) => nd!.conflict!],
  [
    "redir6",
    (ours) => ["eth0", ours, FAR, KERNEL_LINK_LOCAL, "fe80::bad"],
    ({ redirect }) => redirect!.accepted!,
  ],
  ["fragmentation6", (ours) => ["-fp", "eth0", ours, "1"], ({ frag6 }) => frag6!.received!],
  ["exploit6", (ours) => ["eth0", ours], ({ frag6 }) => frag6!.rejected!],
];

for (const [tool, parameters, seen] of ATTACKS) {
  test(`thc-ipv6 ${tool} is borne: a peer's pings are answered, tables stay small`, async (t) => {
    const host = await createHost6(t, {
      captureLimit: 1 << 20,
      expected: () => true,
      more6: [redirect(), temporary()],
    });
    host.ns.ip("address", "add", KERNEL + "/64", "dev", BRIDGE, "nodad");
    host.ip6.addAddress(host.nif, OURS + "/64");
    await until("address in use", () => stateOf(host) === PREFERRED);
    host.ip6.addRoute("::/0", { gateway: KERNEL_LINK_LOCAL, interface: host.nif });
    const attacker = join(t, host.ns, "fe80::bad");
    attacker.ip("address", "add", "2001:db8:77::bad/64", "dev", "eth0", "nodad");
    await pings(host.ns, OURS);
    const received = host.nif.counters.rxFrames;
    const daemon = attacker.start(`atk6-${tool}`, parameters(OURS));
    const output = await pings(host.ns, OURS, 20);
    const frames = host.nif.counters.rxFrames - received;
    await daemon.stop("SIGKILL");
    t.log(
      `${frames} frames; ${/\d+ received/.exec(output)?.[0]}; heap ${process.memoryUsage().heapUsed >> 20} MiB`,
    );
    t.true(seen(host.stack.counters) > 0, daemon.output + JSON.stringify(host.stack.counters));
    // The flood fills the device's queue too, where the kernel drops pings that we never see.
    t.true(Number(/(\d+) received/.exec(output)?.[1]) >= 5, output);
    t.regex(await pings(host.ns, OURS), / ([3-9]|\d\d+) received/);
    t.true(host.nd.cache.entries.length <= 64);
    t.true(host.ip6.addresses.length <= 2 + 8 + 8);
    t.true(host.ip6.fib.list().length <= 64);
    const { routers, prefixes } = host.slaac.inspect(host.nif);
    t.true(routers.length <= 4 && prefixes.length <= 8);
    t.true(host.stack.pool.used <= 64);
  });
}
