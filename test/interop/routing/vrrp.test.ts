/** VRRP with keepalived on the other gateway: it takes over from us and we from it, for both families, and hosts do not notice much. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { vrrp } from "../../../stack/routing/vrrp.js";
import { createGateway } from "../support/gateway.js";
import { pause, until } from "../../support/until.js";
import { namespace6 } from "../support/host6.js";
import type { Namespace } from "../support/namespace.js";
import { heals } from "../support/routers.js";

const VIP = "10.66.0.254";
const VIP6 = "fd66::fe";
const VIRTUAL = ["00:00:5e:00:01:33", "00:00:5e:00:02:33"];

async function answers(from: Namespace): Promise<void> {
  for (const address of [VIP, VIP6]) await heals(from, address);
}

interface Places {
  /** The hardware addresses that the virtual router's have, and the bridge's ports where those are. */
  macs: (string | undefined)[];
  ports: (string | undefined)[];
}

function same({ macs, ports }: Places, wanted: readonly string[], port: string): boolean {
  return macs.join() === wanted.join() && ports.every((each) => each === port);
}

for (const virtualMac of [true, false])
  test(`keepalived and we take over from each other, ${virtualMac ? "with the virtual" : "each with its own"} hardware address`, async (t) => {
    const redundancy = vrrp();
    const net = await createGateway(t, {
      plain: true,
      components: [igmp(), redundancy],
      expected: ({ message }) => /duplicate/i.test(message),
    });
    const { lan, ip, ip6, lanNif: nif } = net;
    const folder = mkdtempSync(join(tmpdir(), "anystack-vrrp-"));
    t.teardown(() => rmSync(folder, { recursive: true }));
    ip.addAddress(nif, "10.66.0.1/24");
    ip6.addAddress(nif, "fe80::1/64");
    ip6.addAddress(nif, "fd66::1/64");
    // A host on a bridge between, and the other gateway with keepalived.
    const other = namespace6(t);
    lan.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0");
    lan.ip("link", "set", "br0", "addrgenmode", "none");
    lan.ip("link", "set", "br0", "up");
    lan.ip("link", "set", "lan0", "master", "br0");
    lan.ip("link", "add", "port", "type", "veth", "peer", "name", "eth0", "netns", other.name);
    lan.ip("link", "set", "port", "addrgenmode", "none");
    lan.ip("link", "set", "port", "master", "br0", "up");
    other.ip("link", "set", "eth0", "addrgenmode", "none");
    other.ip("link", "set", "eth0", "up");
    for (const [ns, device, number] of [
      [lan, "br0", 77],
      [other, "eth0", 2],
    ] as const) {
      ns.ip("address", "add", `10.66.0.${number}/24`, "dev", device);
      ns.ip("address", "add", `fd66::${number}/64`, "dev", device, "nodad");
      ns.ip("address", "add", `fe80::${number}/64`, "dev", device, "nodad");
    }
    const conf = join(folder, "keepalived.conf");
    writeFileSync(
      conf,
      `global_defs { vrrp_version 3 }
vrrp_instance four { VMACstate BACKUP; interface eth0; virtual_router_id 51; priority 150; advert_int 0.5
  virtual_ipaddress { ${VIP}/32 } }
vrrp_instance six { VMACstate BACKUP; interface eth0; virtual_router_id 51; priority 150; advert_int 0.5
  virtual_ipaddress { fe80::254/64
  ${VIP6}/128 } }
`
        .replaceAll("VMAC", virtualMac ? "use_vmac; " : "")
        .replaceAll("; ", "\n  "),
    );
    const start = () =>
      other.start("keepalived", ["-n", "-P", "-l", "-f", conf, "-p", `${conf}.pid`, "-r", `${conf}.vrrp`]);
    const has = () => /10\.66\.0\.254/.test(other.ip("address")) && /fd66::fe\//.test(other.ip("address"));
    const { mac } = nif.link;
    const MAC = [...mac!].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    const options = { id: 51, priority: 100, interval: 0.5, virtualMac };
    const four = redundancy.add(nif, { ...options, addresses: [VIP] });
    const six = redundancy.add(nif, { ...options, addresses: ["fe80::254", VIP6] });
    // Whom the host on the bridge sends to, and by which port of the bridge that is.
    const places = async (): Promise<Places> => {
      const neighbours = lan.ip("neigh", "show", "dev", "br0");
      const macs = [VIP, VIP6].map(
        (address) =>
          neighbours
            .split("\n")
            .find((line) => line.startsWith(`${address} `))
            ?.match(/lladdr (\S+)/)?.[1],
      );
      const { stdout } = await lan.run("bridge", ["fdb", "show", "br", "br0"]);
      const ports = macs.map(
        (mac) =>
          stdout
            .split("\n")
            .find((line) => line.startsWith(`${mac} `))
            ?.split(" ")[2],
      );
      return { macs, ports };
    };
    await until("we are alone, and active", () => four.active() && six.active());
    await answers(lan);
    const ours = virtualMac ? VIRTUAL : [MAC, MAC];
    await until("the bridge knows us", async () => same(await places(), ours, "lan0"));
    // Of higher priority: it preempts.
    let daemon = start();
    await until("keepalived is active", () => !four.active() && !six.active() && has());
    await answers(lan);
    if (virtualMac) await until("the bridge knows it", async () => same(await places(), VIRTUAL, "port"));
    t.is(ip.addresses.length, 1);
    // Its cable is pulled: not a word.
    const died = performance.now();
    lan.ip("link", "set", "port", "down");
    await until("we are active again", () => four.active() && six.active());
    await answers(lan);
    t.log(`we answer ${Math.round(performance.now() - died)} ms after its cable was pulled`);
    // It comes again, and goes politely: priority 0.
    lan.ip("link", "set", "port", "up");
    await until("keepalived is active again", () => !four.active() && !six.active() && has());
    const stopped = performance.now();
    await daemon.stop();
    await until("we are active at once", () => four.active() && six.active());
    t.log(`active ${Math.round(performance.now() - stopped)} ms after it was asked to end`);
    // We go politely, and it takes over at once; it is of lower priority than we are now.
    four.setPriority(200);
    six.setPriority(200);
    daemon = start();
    await pause(1500);
    t.true(four.active() && six.active() && !has());
    four.remove();
    six.remove();
    const left = performance.now();
    await until("keepalived takes over", has);
    t.log(`keepalived active ${Math.round(performance.now() - left)} ms after we left`);
    await daemon.stop();
    const { malformed, badsum, badTtl, badSource, addresses } = redundancy.counters;
    t.deepEqual([malformed, badsum, badTtl, badSource, addresses], [0, 0, 0, 0, 0]);
  });
