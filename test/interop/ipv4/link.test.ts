/** What surrounds IPv4 on an Ethernet, against the kernel: groups with a snooping bridge that asks, and addresses that are taken. */
import test from "ava";
import type { TestHost } from "../support/host.js";
import { createHost, KERNEL, OURS } from "../support/host.js";
import { acd } from "../../../stack/ipv4/acd.js";
import { TENTATIVE } from "../../../stack/ipv4/address.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { linkLocal } from "../../../stack/ipv4/linklocal.js";
import { format4 } from "../../../stack/core/text4.js";
import { until } from "../../support/until.js";

const GROUP = "239.77.1.2";

/** Puts the TAP into a bridge that snoops, and asks as a querier of `version`. */
function bridge({ ns, device }: TestHost, version: number): void {
  ns.ip("address", "flush", "dev", device);
  const options = [
    ...[
      "forward_delay",
      "0",
      "mcast_snooping",
      "1",
      "mcast_querier",
      "1",
      "mcast_igmp_version",
      String(version),
    ],
    // In hundredths of a second.
    ...["mcast_query_interval", "200", "mcast_query_response_interval", "100"],
    ...["mcast_startup_query_interval", "100", "mcast_last_member_interval", "50"],
    ...["mcast_membership_interval", "500", "mcast_query_use_ifaddr", "1"],
  ];
  ns.ip("link", "add", "br0", "type", "bridge", ...options);
  ns.ip("address", "add", `${KERNEL}/24`, "dev", "br0");
  ns.ip("link", "set", device, "master", "br0");
  ns.ip("link", "set", "br0", "up");
}

for (const version of [2, 3]) {
  test(`a snooping bridge with a querier of IGMPv${version} learns of joins, is answered, and learns of leaves`, async (t) => {
    const host = await createHost(t, { components: [igmp()] });
    const { ns, ip, udp, nif, stack, device } = host;
    bridge(host, version);
    const known = async () =>
      (await ns.run("bridge", ["-d", "mdb", "show"])).stdout.includes(`port ${device} grp ${GROUP}`);
    const counters = stack.counters.igmp!;
    await until("a query", () => counters.queries! >= 1);
    const socket = udp.open({ port: 7777 });
    t.is(socket.join(GROUP), 0);
    await until("the bridge to know the group", known);
    // Longer than the bridge remembers without an answer.
    const before = counters.sent!;
    await new Promise((resolve) => setTimeout(resolve, 7000));
    t.true(await known());
    t.true(counters.sent! > before);
    t.true(counters.queries! >= 3);
    await ns.run("python3", [
      "-c",
      `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("${KERNEL}"))
s.sendto(b"news", ("${GROUP}", 7777))`,
    ]);
    const target = new Uint8Array(10);
    await until("the datagram", () => socket.readable() > 0);
    t.is(socket.receive(target), 4);
    const reported = counters.sent!;
    socket.close();
    t.true(counters.sent! > reported);
    await until("the bridge to forget the group", async () => !(await known()));
    t.is(
      counters.malformed! + counters.badsum! + counters.badTtl! + counters.noAlert! + counters.badSource!,
      0,
    );
    t.is(ip.join!(GROUP, nif, null), 0);
    t.is(ip.leave!(GROUP, nif, null), 0);
    await new Promise((resolve) => setTimeout(resolve, version === 3 ? 1500 : 100));
  });
}

test("an address that the kernel has is not taken, one that nobody has is", async (t) => {
  const conflicts: string[] = [];
  const detection = acd({ onConflict: (_nif, address) => conflicts.push(address) });
  const { ns, ip, nif } = await createHost(t, { components: [detection], address: null });
  const results: [string, boolean][] = [];
  detection.onResult.push((address, usable) => results.push([format4(address.address), usable]));
  ip.addAddress(nif, `${KERNEL}/24`);
  ip.addAddress(nif, `${OURS}/24`);
  t.true(ip.addresses.every((address) => address.state === TENTATIVE));
  await until("both results", () => results.length === 2);
  t.deepEqual(results, [
    [KERNEL, false],
    [OURS, true],
  ]);
  t.deepEqual(conflicts, [KERNEL]);
  const { stdout } = await ns.run("ping", ["-q", "-c", "1", "-w", "60", OURS]);
  t.regex(stdout, / [1-9]\d* received/);
});

test("a link-local address that the kernel can reach", async (t) => {
  const local = linkLocal();
  const { ns, ip, nif, device } = await createHost(t, { components: [acd(), local], address: null });
  ns.ip("address", "add", "169.254.200.1/16", "dev", device);
  // The kernel has our favourite.
  local.enable(nif, "169.254.200.1");
  await until("an address", () => ip.addresses.length === 1 && ip.addresses[0]!.state !== TENTATIVE);
  const address = format4(ip.addresses[0]!.address);
  t.not(address, "169.254.200.1");
  const { stdout } = await ns.run("ping", ["-q", "-c", "1", "-w", "60", address]);
  t.regex(stdout, / [1-9]\d* received/);
});
