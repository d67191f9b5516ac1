/** Opens what carries an interface's frames. */
import type { Link } from "../../../hypercall/index.js";
import { openTap, openUdpFrame, openUplink } from "../../../ports/node/index.js";
import type { NodeHost, OpenUplink } from "../../../ports/node/index.js";
import type { GatewayConfig } from "../config.js";
import type { LinkConfig } from "../config/link.js";
import type { State } from "../state.js";
import { bare, networkOf6 } from "./text.js";

/** Our end of a user-mode uplink. */
export const UPLINK = {
  four: "10.0.2.15/24",
  router: "10.0.2.2",
  six: "fd00:2::15/64",
  router6: "fd00:2::2",
  dns: "10.0.2.3",
};

export class Links {
  uplink: OpenUplink | null = null;

  /** @param given links that are open already, by interface */
  constructor(
    private readonly host: NodeHost,
    private readonly state: State,
    private readonly config: GatewayConfig,
    private readonly given: Record<string, Link>,
  ) {}

  async open(name: string, link: LinkConfig): Promise<Link> {
    if (this.given[name]) return this.given[name];
    const mac = this.state.mac(name);
    if ("tap" in link)
      return openTap({
        ...{ name: link.tap, netns: link.netns, mac, offloads: link.offloads },
        allocate: this.host.allocate,
      });
    if ("udp" in link) {
      const { localPort, remotePort, address, l2tpv3 } = link.udp;
      return openUdpFrame({
        ...{ local: { port: localPort }, remote: { port: remotePort, address }, mac },
        ...(l2tpv3 && { l2tpv3: { receiveSession: l2tpv3[0], transmitSession: l2tpv3[1] } }),
      });
    }
    if (!("uplink" in link)) throw new Error("a VLAN, and a bridge, have no link of their own");
    this.uplink = openUplink({
      loopback: link.uplink.loopback ? [UPLINK.router, UPLINK.router6] : [],
      routes: this.config.lan
        .filter((one) => one.address6)
        .map((one) => ({ network: networkOf6(one.address6), gateway: bare(UPLINK.six) })),
    });
    return this.uplink.link;
  }

  close(): void {
    this.uplink?.close();
  }
}
