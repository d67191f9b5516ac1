/** Our overlay networks and the kernel's: as an interface, and as a port of our bridge with a second kernel behind it. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { bridge } from "../../../stack/link/bridge.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { vxlan } from "../../../stack/tunnel/vxlan.js";
import { udp } from "../../../stack/udp/udp.js";
import { namespace6 } from "../support/host6.js";
import { pingFrom } from "../support/ping.js";
import { curlFile, serveFile } from "../support/site.js";

function setup(t: ExecutionContext) {
  const peer = namespace6(t);
  const host = nodeHost();
  const parts = {
    ip: ipv4(),
    ip6: ipv6({ linkLocal: false }),
    overlays: vxlan(),
    lan: bridge({ mac: Uint8Array.of(2, 0, 0, 0, 9, 8), mtu: 1430 }),
  };
  const stack = host.drive(
    createStack(host, [
      ethernet(),
      arp(),
      parts.ip,
      icmp(),
      igmp(),
      parts.ip6,
      icmpv6(),
      nd(),
      udp(),
      parts.lan,
      parts.overlays,
    ]),
  );
  t.teardown(() => stack.close());
  const link = openTap({ name: "tap0", netns: peer.name });
  peer.ip("link", "set", "tap0", "addrgenmode", "none");
  peer.ip("link", "set", "tap0", "up");
  peer.ip("address", "add", "10.3.0.2/24", "dev", "tap0");
  peer.ip("address", "add", "fd03::2/64", "dev", "tap0", "nodad");
  const nif = stack.addInterface(link, "eth0");
  parts.ip.addAddress(nif, "10.3.0.1/24");
  parts.ip6.addAddress(nif, "fd03::1/64");
  return { peer, stack, nif, ...parts };
}

const MAC = Uint8Array.of(2, 0, 0, 0, 9, 7);

test("the kernel's vxlan over IPv4, over IPv6, and by a group", async (t) => {
  const { peer, stack, nif, ip, overlays } = setup(t);
  const cases = [
    [1, ["local", "10.3.0.2", "remote", "10.3.0.1"], { remotes: ["10.3.0.2"] }, 1450],
    [2, ["local", "fd03::2", "remote", "fd03::1"], { remotes: ["fd03::2"] }, 1430],
    [
      3,
      ["local", "10.3.0.2", "group", "239.3.3.3", "dev", "tap0"],
      { group: "239.3.3.3", interface: nif },
      1450,
    ],
  ] as const;
  for (const [vni, how, options, mtu] of cases) {
    const device = `vx${vni}`;
    // Each a port of its own: the kernel has one socket a family for each.
    const port = 4789 + vni;
    peer.ip("link", "add", device, "type", "vxlan", "id", `${vni}`, "dstport", `${port}`, ...how);
    peer.ip("link", "set", device, "addrgenmode", "none", "mtu", `${mtu}`);
    peer.ip("link", "set", device, "up");
    peer.ip("address", "add", `10.4.${vni}.2/24`, "dev", device);
    const overlay = stack.addInterface(overlays.create({ vni, port, mac: MAC, ...options } as never), device);
    t.is(overlay.mtu, mtu);
    ip.addAddress(overlay, `10.4.${vni}.1/24`);
    await pingFrom(t, peer, `10.4.${vni}.1`, { count: 4, size: mtu - 28, options: ["-M", "do"] });
  }
  t.is(overlays.counters.malformed + overlays.counters.unknownPeer + overlays.counters.tooBig, 0);
});

test("a second kernel behind our bridge: 16 MiB by curl through the overlay", async (t) => {
  const { peer, stack, ip, overlays, lan } = setup(t);
  const far = namespace6(t);
  lan.addPort(openTap({ name: "tap0", netns: far.name }));
  lan.addPort(overlays.create({ vni: 77, mac: MAC, remotes: ["10.3.0.2"] }));
  ip.addAddress(stack.addInterface(lan, "br0"), "10.4.0.1/24");
  peer.ip(...["link", "add", "vx", "type", "vxlan", "id", "77", "dstport", "4789"], "remote", "10.3.0.1");
  for (const [ns, device, number] of [
    [peer, "vx", 2],
    [far, "tap0", 3],
  ] as const) {
    ns.ip("link", "set", device, "addrgenmode", "none", "mtu", "1430");
    ns.ip("link", "set", device, "up");
    ns.ip("address", "add", `10.4.0.${number}/24`, "dev", device);
  }
  for (const [ns, address] of [
    [peer, "10.4.0.1"],
    [peer, "10.4.0.3"],
    [far, "10.4.0.2"],
    [far, "10.4.0.1"],
  ] as const) {
    await pingFrom(t, ns, address, { count: 3, size: 1400, options: ["-M", "do"] });
  }
  const size = 16 << 20;
  await serveFile(t, peer, ["10.4.0.2"], size);
  await curlFile(t, far, "10.4.0.2", size);
  t.true(overlays.counters.received > 10_000);
  t.true(overlays.counters.flooded < 20);
});
