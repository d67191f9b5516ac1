/**
 * A sensor on Node, wherever it may be: IKEv2 gives it an address in a network behind a gateway (strongSwan, or another) and a tunnel
 * there, through NAT, and the tunnel stays when the sensor moves (MOBIKE). Its readings go to a collector in that network, and nothing
 * leaves in the clear. docs/ike.md tells how to run it beside strongSwan.
 */
import type { Link } from "../../hypercall/index.js";
import { nodeHost } from "../../ports/node/index.js";
import { ike } from "../../stack/ike/ike.js";
import { ikeFragmentation } from "../../stack/ike/ike-fragmentation.js";
import { ipsecChildren } from "../../stack/ike/ipsec-children.js";
import { mobike } from "../../stack/ike/mobike.js";
import { virtualAddress } from "../../stack/ike/virtual-address.js";
import { createStack } from "../../stack/index.js";
import type { Stack } from "../../stack/index.js";
import { esp } from "../../stack/ipsec/esp.js";
import { ipsec } from "../../stack/ipsec/ipsec.js";
import { natTraversal } from "../../stack/ipsec/nat-traversal.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { udp } from "../../stack/udp/udp.js";
import type { UdpSocket } from "../../stack/udp/udp.js";

export interface SensorOptions {
  /** Where it is to begin with: its address, with the prefix, and the router there. */
  address: string;
  router: string;
  /** The gateway, by what name it knows us, and the secret. */
  gateway: string;
  identity: string;
  psk: string;
  /** The network behind the gateway, and who collects readings there, at which UDP port. */
  network: string;
  collector: string;
  port: number;
  /** Between two readings, ms. */
  every: number;
  /** Takes a line for people. */
  log(line: string): void;
}

export interface Sensor {
  readonly stack: Stack;
  /** It is somewhere else now: another address, another router. The tunnel and its addresses stay. */
  move(address: string, router: string): void;
  close(): void;
}

/** Puts the sensor up at a link, and begins the tunnel: again whenever it has ended. */
export function createSensor(link: Link, options: SensorOptions): Sensor {
  const host = nodeHost();
  const ip = ipv4();
  const sockets = udp();
  const security = ipsec({ otherwise: "discard" });
  const mobility = mobike();
  /** The address that the gateway has given us, and what sends from it. */
  let inner = "";
  let socket: UdpSocket | null = null;
  const vpn = ike({
    sink: ipsecChildren(security),
    fragmentation: ikeFragmentation(),
    mobility,
    addresses: virtualAddress({ onAddresses: (_connection, [address]) => take(address!) }),
  });
  const stack = host.drive(
    createStack(host, [ethernet(), arp(), ip, icmp(), pmtu(), sockets, security, esp(), natTraversal(), vpn]),
  );
  const nif = stack.addInterface(link);
  let outer = options.address;
  ip.addAddress(nif, outer);
  ip.addRoute("0.0.0.0/0", { gateway: options.router });
  const tunnel = vpn.connect({
    remote: options.gateway,
    psk: options.psk,
    identity: options.identity,
    children: [{ remote: [options.network] }],
    onState: (_connection, state, code) =>
      options.log(code ? `tunnel: ${state} (${code})` : `tunnel: ${state}`),
  });

  /** The gateway may give another address each time the tunnel begins. */
  function take(address: string): void {
    options.log(`address ${address}`);
    if (address === inner) return;
    socket?.close();
    if (inner) ip.removeAddress(nif, `${inner}/32`);
    inner = address;
    ip.addAddress(nif, `${inner}/32`);
    socket = sockets.open({ address: inner });
  }

  let count = 0;
  const timer = setInterval(() => {
    if (!tunnel.established() || !socket) return;
    const reading = JSON.stringify({ sensor: options.identity, reading: ++count, at: Date.now() });
    const code = socket.sendTo(options.collector, options.port, Buffer.from(reading));
    if (code < 0) options.log(`reading ${count}: ${code}`);
  }, options.every);

  return {
    stack,
    move(address, router) {
      ip.addAddress(nif, address);
      ip.removeRoute("0.0.0.0/0");
      ip.addRoute("0.0.0.0/0", { gateway: router });
      ip.removeAddress(nif, outer);
      outer = address;
      // Without a tunnel, or with a gateway that knows no MOBIKE, the next one begins from the new address.
      if (tunnel.sa?.mobike) mobility.move(tunnel, address.split("/")[0]!);
    },
    close() {
      clearInterval(timer);
      tunnel.close();
      stack.close();
    },
  };
}
