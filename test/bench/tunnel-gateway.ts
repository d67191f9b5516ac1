/** A gateway of examples/site-to-site as a process of its own: one argument, its options and where its devices are, as JSON. */
import { nodeCrypto, opensslCrypto, openTap } from "../../ports/node/index.js";
import { createGateway } from "../../examples/site-to-site/gateway.js";
import type { SiteOptions } from "../../examples/site-to-site/gateway.js";

export interface GatewaySetup extends Omit<SiteOptions, "log" | "crypto"> {
  /** Name of a TAP device, and the namespace that its other end is in. */
  lanDevice: [name: string, netns: string];
  wanDevice: [name: string, netns: string];
  /** Ciphers of node:crypto, or OpenSSL's without it. */
  ciphers: "node" | "openssl";
}

const setup = JSON.parse(process.argv[2]!) as GatewaySetup;
const [lanName, lanNetns] = setup.lanDevice;
const [wanName, wanNetns] = setup.wanDevice;
const lan = openTap({ name: lanName, netns: lanNetns, offloads: true, gather: true });
createGateway(lan, openTap({ name: wanName, netns: wanNetns }), {
  ...setup,
  crypto: setup.ciphers === "node" ? nodeCrypto() : opensslCrypto(),
  log: (line) => console.log(line),
});
