/** A gateway with one WireGuard peer as a process of its own: one argument, its options and where its devices are, as JSON. */
import { withWireguard } from "../../ports/noble/index.js";
import { nodeCrypto, nodeHost, opensslCrypto, openTap } from "../../ports/node/index.js";
import { createStack } from "../../stack/index.js";
import { arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { udp } from "../../stack/udp/udp.js";
import { wireguard } from "../../stack/wireguard/wireguard.js";

export interface WireguardSetup {
  /** Addresses with their prefix lengths. */
  lan: string;
  wan: string;
  /** Name of a TAP device, and the namespace that its other end is in. */
  lanDevice: [name: string, netns: string];
  wanDevice: [name: string, netns: string];
  /** Keys in base64; where the peer is, and the network behind it. */
  privateKey: string;
  publicKey: string;
  endpoint: { address: string; port: number };
  network: string;
  ciphers: "node" | "openssl";
}

const setup = JSON.parse(process.argv[2]!) as WireguardSetup;
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
const crypto = withWireguard(setup.ciphers === "node" ? nodeCrypto() : opensslCrypto());
const host = nodeHost({ crypto });
const [ip, router, wg] = [ipv4(), forwarding(), wireguard({ clock: Date.now })];
const stack = host.drive(
  createStack(host, [ethernet(), arp(), ip, fragments(), icmp(), udp(), router, wg], {
    packetMemory: 8 << 20,
  }),
);
const side = ([name, netns]: [string, string], address: string) =>
  ip.addAddress(stack.addInterface(openTap({ name, netns, allocate: host.allocate }), name), address);
side(setup.lanDevice, setup.lan);
side(setup.wanDevice, setup.wan);
const device = wg.create({ privateKey: bytes(setup.privateKey) });
const wg0 = stack.addInterface(device, "wg0");
router.configure(wg0, { mss: "mtu" });
const { endpoint, network } = setup;
device.addPeer({ publicKey: bytes(setup.publicKey), endpoint, allowedIps: [network] });
ip.addRoute(network, { interface: wg0 });
console.log("up");
