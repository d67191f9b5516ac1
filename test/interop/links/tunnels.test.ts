/** Our tunnels and those of Linux (in user-mode-linux: ipip, sit, ip6tnl, ip_gre), each end with an interface of its own in them. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { nodeHost } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { pmtu } from "../../../stack/ipv4/pmtu.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { pmtu6 } from "../../../stack/ipv6/pmtu.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import { ping } from "../../../stack/raw/ping.js";
import { gre } from "../../../stack/tunnel/gre.js";
import { ipTunnel } from "../../../stack/tunnel/ip-tunnel.js";
import { findLeaks } from "../../support/leaks.js";
import { startUml } from "../support/uml.js";

async function setup(t: ExecutionContext) {
  const peer = await startUml(t, ["ipip", "sit", "ip6_tunnel", "ip_gre", "ip6_gre"]);
  const host = nodeHost();
  const parts = {
    ip: ipv4(),
    ip6: ipv6({ linkLocal: false }),
    tunnels: ipTunnel(),
    gres: gre(),
    pings: ping(),
  };
  const stack = host.drive(
    createStack(host, [
      ethernet(),
      ipLink(),
      arp(),
      parts.ip,
      fragments(),
      icmp({ errorRate: 1000 }),
      pmtu(),
      parts.ip6,
      fragments6(),
      icmpv6({ errorRate: 1000 }),
      nd(),
      pmtu6(),
      parts.tunnels,
      parts.gres,
      parts.pings,
    ]),
  );
  t.teardown(() => {
    stack.close();
    const left = findLeaks(stack);
    if (left.length > 0) throw new Error(left.join("; "));
  });
  const eth0 = stack.addInterface(peer.link, "eth0");
  parts.ip.addAddress(eth0, "10.9.0.1/24");
  parts.ip6.addAddress(eth0, "fd09::1/64");
  await peer.sh(
    "ip link set vec0 up; ip address add 10.9.0.2/24 dev vec0; ip address add fd09::2/64 dev vec0 nodad",
  );
  return { peer, stack, eth0, ...parts };
}

test("ipip, sit, ip6tnl, GRE over both families", async (t) => {
  const { peer, tunnels, gres, ip, ip6, stack } = await setup(t);
  const V4 = "local 10.9.0.2 remote 10.9.0.1";
  const V6 = "local fd09::2 remote fd09::1";
  const both = { remote: "10.9.0.2", local: "10.9.0.1" };
  const both6 = { remote: "fd09::2", local: "fd09::1" };
  const mac = Uint8Array.of(2, 0, 0, 0, 0x77, 9);
  const cases = [
    ["one", `sit mode any ${V4}`, () => tunnels.add(both, "one"), 20],
    ["four", `ip6tnl mode any encaplimit none ${V6}`, () => tunnels.add(both6, "four"), 40],
    ["five", `gre ${V4}`, () => gres.add(both, "five"), 24],
    [
      "six",
      `gre key 7 seq csum ${V4}`,
      () => gres.add({ ...both, key: 7, sequence: true, checksum: true }, "six"),
      36,
    ],
    ["seven", `ip6gre key 9 encaplimit none ${V6}`, () => gres.add({ ...both6, key: 9 }, "seven"), 48],
    ["eight", `gretap key 11 ${V4}`, () => gres.add({ ...both, key: 11, mac }, "eight"), 42],
  ] as const;
  let number = 0;
  for (const [name, how, make, overhead] of cases) {
    number++;
    await peer.sh(`ip link add ${name} type ${how} && ip link set ${name} up && ip address add 10.8.${number}.2/24 dev ${name} &&
      ip address add fd08:${number}::2/64 dev ${name} nodad`);
    const nif = make();
    ip.addAddress(nif, `10.8.${number}.1/24`);
    ip6.addAddress(nif, `fd08:${number}::1/64`);
    t.is(nif.mtu, 1500 - overhead, name);
    for (const address of [`10.8.${number}.1`, `fd08:${number}::1`]) {
      const out = await peer.sh(`ping -n -c 3 -i 0.02 -w 60 -s ${1500 - overhead - 48} -M do ${address}`);
      t.regex(out, / ([3-9]|\d\d+) received/, `${name} ${address}`);
    }
  }
  t.log(stack.counters.iptunnel, stack.counters.gre);
});
