/**
 * `node examples/launch.js examples/site-to-site/main.ts LAN-DEVICE WAN-DEVICE LAN WAN PEER NETWORK PSK`: the gateway over two TAP devices
 * (needs root). The kernel has the other ends: put hosts and strongSwan there, in namespaces.
 */
import { opensslCrypto, openTap } from "../../ports/node/index.js";
import { createGateway } from "./gateway.js";

const [lanDevice, wanDevice, lan, wan, peer, network, psk] = process.argv.slice(2);
if (!lanDevice || !wanDevice || !lan || !wan || !peer || !network || !psk) {
  console.error("usage: main.ts LAN-DEVICE WAN-DEVICE LAN WAN PEER NETWORK PSK");
  console.error("  e.g. lan0 wan0 10.8.0.1/16 192.0.2.2/24 192.0.2.1 10.9.0.0/24 secret");
  process.exit(2);
}
// Inside the kernel gives and takes large TCP segments; what is outside goes packet by packet.
const inside = openTap({ name: lanDevice, offloads: true, gather: true });
const outside = openTap({ name: wanDevice });
const log = (line: string) => console.log(line);
const stack = createGateway(inside, outside, { lan, wan, peer, network, psk, crypto: opensslCrypto(), log });
process.once("SIGINT", () => {
  stack.close();
  process.exit();
});
