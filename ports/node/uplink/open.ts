/** The user-mode uplink as a link: the WAN of a gateway that has neither TAP nor root. */
import type { Link } from "../../../hypercall/link.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import type { Stack } from "../../../stack/core/stack.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import { memoryCable } from "../cable.js";
import { nodeHost } from "../host.js";
import { userUplink } from "./uplink.js";
import type { UplinkOptions, UserUplink } from "./uplink.js";

export interface OpenUplinkOptions extends UplinkOptions {
  /** Addresses of the uplink with their networks. Default `["10.0.2.2/24", "fd00:2::2/64"]`. */
  addresses?: string[];
  /** Networks behind the router at the near end, and its address: `{ network: "fd00:7::/48", gateway: "fd00:2::15" }`. */
  routes?: { network: string; gateway: string }[];
  /**
   * Where the hosts are: one end of a cable to virtual machines (`openUdpFrame`). Default: a cable in memory, whose other end is
   * `link` of the result.
   */
  link?: Link;
  /** MTU of the cable in memory. Default 1500. */
  mtu?: number;
  /** Packet memory of the uplink's stack, bytes. Default 32 MiB. */
  budget?: number;
}

export interface OpenUplink {
  readonly uplink: UserUplink;
  readonly stack: Stack;
  /** The near end, an Ethernet; for a stack that has it as an interface, with the uplink's first address as its router. */
  readonly link: Link;
  /** Ends all. */
  close(): void;
}

/**
 * Makes a stack with a user-mode uplink on it. `dns` is by default the third address of each network (10.0.2.3), as with slirp;
 * `loopback` is not set.
 */
export function openUplink(options: OpenUplinkOptions = {}): OpenUplink {
  const addresses = options.addresses ?? ["10.0.2.2/24", "fd00:2::2/64"];
  const dns = [options.dns ?? addresses.map(resolverOf)].flat();
  const host = nodeHost();
  const four = ipv4();
  const six = ipv6();
  const uplink = userUplink({ ...options, dns });
  const errors = { errorRate: 1000, errorBurst: 1000 };
  const limit = options.connections ?? 1024;
  const components = [
    ...[ethernet(), ipLink(), arp(), four, fragments(), icmp(errors)],
    ...[six, fragments6(), icmpv6(errors), nd(), udp()],
    // A guest may try a thousand closed ports at once, and each is to be told.
    tcp({ limit: 2 * limit, resetRate: 10_000 }),
    uplink,
  ];
  const stack = host.drive(createStack(host, components, { packetMemory: options.budget ?? 32 << 20 }));
  try {
    const [near, far] = options.link
      ? [options.link, options.link]
      : memoryCable({ mtu: options.mtu, frames: 1024 });
    const nif = stack.addInterface(far, "uplink");
    for (const address of [
      ...addresses,
      ...dns.filter((each) => !addresses.some((own) => own.split("/")[0] === each)),
    ]) {
      if (address.includes(":")) six.addAddress(nif, address.includes("/") ? address : `${address}/128`);
      else four.addAddress(nif, address.includes("/") ? address : `${address}/32`);
    }
    for (const { network, gateway } of options.routes ?? []) {
      if (network.includes(":")) six.addRoute(network, { gateway, interface: nif });
      else four.addRoute(network, { gateway });
    }
    return { uplink, stack, link: near, close: () => stack.close() };
  } catch (error) {
    stack.close();
    throw error;
  }
}

/** 10.0.2.2/24 has 10.0.2.3, fd00:2::2/64 has fd00:2::3. */
function resolverOf(address: string): string {
  return address.replace(/([0-9a-f]*)\/\d+$/, (_all, last: string) => {
    const base = address.includes(":") ? 16 : 10;
    return (parseInt(last || "0", base) + 1).toString(base);
  });
}
