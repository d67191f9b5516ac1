/**
 * A gateway between a network of its own and another site: our stack routes, IPsec protects, IKEv2 makes the keys with strongSwan (or
 * another gateway) at the other site. docs/ike.md tells how to run it beside strongSwan.
 */
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import type { Link } from "../../hypercall/index.js";
import { nodeHost } from "../../ports/node/index.js";
import { ike } from "../../stack/ike/ike.js";
import type { ConnectionOptions } from "../../stack/ike/ike.js";
import { ikeFragmentation } from "../../stack/ike/ike-fragmentation.js";
import { ikeResponder } from "../../stack/ike/ike-responder.js";
import { ipsecChildren } from "../../stack/ike/ipsec-children.js";
import { createStack } from "../../stack/index.js";
import type { Stack } from "../../stack/index.js";
import { esp } from "../../stack/ipsec/esp.js";
import { ipsec } from "../../stack/ipsec/ipsec.js";
import { natTraversal } from "../../stack/ipsec/nat-traversal.js";
import { arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { segmentation } from "../../stack/router/segmentation.js";
import { udp } from "../../stack/udp/udp.js";

export interface SiteOptions {
  /** The network behind us, and our address in it: `"10.8.0.1/16"`. */
  lan: string;
  /** Our address outside, and the router there. */
  wan: string;
  router?: string;
  /** The other gateway, and the network behind it. */
  peer: string;
  network: string;
  psk: string;
  /** ESP goes inside UDP though no NAT is in the way. Default false. */
  encapsulate?: boolean;
  /** Default: those of node:crypto; `opensslCrypto()` is several times as fast. */
  crypto?: CryptoHypercalls;
  /** Takes a line for people. */
  log(line: string): void;
}

/** Puts the gateway up between two links, and begins the tunnel. What policy does not protect is discarded, but for ARP and IKE. */
export function createGateway(lan: Link, wan: Link, options: SiteOptions): Stack {
  const host = nodeHost({ crypto: options.crypto });
  const ip = ipv4();
  const security = ipsec({ otherwise: "discard" });
  const vpn = ike({
    sink: ipsecChildren(security),
    responder: ikeResponder(),
    fragmentation: ikeFragmentation(),
  });
  const stack = host.drive(
    createStack(host, [
      ethernet(),
      arp(),
      ip,
      fragments(),
      icmp(),
      pmtu(),
      forwarding({ segments: segmentation() }),
      udp(),
      security,
      esp(),
      natTraversal(),
      vpn,
    ]),
  );
  ip.addAddress(stack.addInterface(lan, "lan"), options.lan);
  ip.addAddress(stack.addInterface(wan, "wan"), options.wan);
  // Hosts of the LAN are told what is too large for the tunnel.
  security.addPolicy({
    action: "bypass",
    protocol: 1,
    remote: networkOf(options.lan),
    localPort: (3 << 8) | 4,
  });
  // What goes to the other site leaves by the WAN, inside the tunnel.
  ip.addRoute(options.network, { gateway: options.router ?? options.peer });
  const tunnel: ConnectionOptions = {
    remote: options.peer,
    psk: options.psk,
    encapsulate: options.encapsulate ?? false,
    children: [{ local: [networkOf(options.lan)], remote: [options.network] }],
    onState: (_connection, state, code) =>
      options.log(code ? `tunnel: ${state} (${code})` : `tunnel: ${state}`),
    onChild: (_connection, child, up) =>
      options.log(`child SA ${(child.spiIn >>> 0).toString(16)}: ${up ? "up" : "gone"}`),
  };
  vpn.connect(tunnel);
  return stack;
}

/** `"10.8.0.1/16"` to `"10.8.0.0/16"`: IPv4, as a selector wants it. */
function networkOf(address: string): string {
  const [text, length] = address.split("/");
  const word = text!.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const mask = Number(length) === 0 ? 0 : (-1 << (32 - Number(length))) >>> 0;
  const network = (word & mask) >>> 0;
  return [24, 16, 8, 0].map((shift) => (network >>> shift) & 255).join(".") + "/" + length;
}
