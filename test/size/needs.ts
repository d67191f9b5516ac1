/** For the byte ledger: the smallest list of components that each component works with. */

const IPV4 = ["ethernet", "arp", "ipv4"];
const IPV6 = ["ethernet", "ipv6", "icmpv6", "nd"];

/** By room (the folder of the component's file). */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  link: [],
  ipv4: IPV4,
  ipv6: IPV6,
  raw: IPV4,
  tcp: IPV4,
  udp: IPV4,
  service: [...IPV4, "udp"],
  router: [...IPV4, "icmp"],
  filter: IPV4,
  ike: [...IPV4, "udp"],
  routing: [...IPV4, "igmp", "udp"],
  queue: ["ethernet"],
  ipsec: [...IPV4, "ipsec"],
  tunnel: [...IPV4, "ip-link"],
  wireguard: [...IPV4, "udp"],
  translator: [...IPV4, ...IPV6.slice(1), "forwarding6"],
  ppp: [...IPV4, "ip-link"],
};

/** Where the room's list is not the answer. `null`: no component of its own, its bytes belong to those that use it. */
const EXCEPTIONS: Readonly<Record<string, readonly string[] | null>> = {
  arp: ["ethernet", "ipv4"],
  bridge: ["ethernet"],
  ipv4: ["ethernet"],
  ipv6: ["ethernet"],
  icmpv6: ["ethernet", "ipv6"],
  nd: ["ethernet", "ipv6", "icmpv6"],
  "nat-traversal": [...IPV4, "ipsec", "esp"],
  "fast-open": [...IPV4, "tcp"],
  vxlan: [...IPV4, "udp"],
  "upnp-igd": [...IPV4, "udp", "tcp"],
  dhcpv6: [...IPV6, "udp"],
  "dhcpv6-relay": [...IPV6, "udp"],
  "dhcpv6-server": [...IPV6, "udp"],
  forwarding6: IPV6,
  nptv6: IPV6,
  babel: [...IPV6, "udp"],
  vrrp: [...IPV4, "igmp"],
  multicast: [...IPV4, "igmp"],
  ripng: [...IPV6, "udp"],
  ipsec: IPV4,
  // Arguments of enable() of rip() and babel().
  "rip-authentication": null,
  "babel-authentication": null,
  // Links of interfaces.
  "ipsec-link": null,
  // Arguments of ipsec().
  "cipher-queue": null,
  "policy-index": null,
  slip: null,
  // An argument of bridge().
  snooping: null,
  // An argument of bridge().
  "spanning-tree": null,
  // An argument of firewall().
  napt: null,
  // Arguments of shaper().add().
  fifo: null,
  drr: null,
  "fq-codel": null,
  // An argument of dnsForwarder().
  dns64: null,
  "name-servers": null,
  mdns: [...IPV4, "igmp", "udp"],
  "mdns-querier": [...IPV4, "igmp", "udp"],
  "mdns-reflector": [...IPV4, "igmp", "udp"],
  "mdns-responder": [...IPV4, "igmp", "udp"],
  // An argument of forwarding() and forwarding6().
  segmentation: null,
  // Arguments of ipv4() and ipv6().
  "route-tables": null,
  "route-tables6": null,
  "large-table4": null,
  "large-table6": null,
  // Arguments of ike(), and of its connections.
  "additional-key-exchanges": null,
  "address-pool": null,
  "certificate-auth": null,
  "ike-fragmentation": null,
  "ike-redirect": null,
  "ipsec-children": null,
  "ike-responder": null,
  mobike: null,
  "postquantum-key": null,
  "raw-key-auth": null,
  "virtual-address": null,
  // Arguments of tcp().
  bbr: null,
  cubic: null,
  ecn: null,
  accecn: null,
  frto: null,
  hystart: null,
  pacing: null,
  prr: null,
  rack: null,
  revalidation: null,
  "syn-cookies": null,
};

/** The components that `name` (a file like stack/ipv4/icmp.ts) is measured on top of; null: it is not measured. */
export function needs(name: string, file: string): readonly string[] | null {
  const list = name in EXCEPTIONS ? EXCEPTIONS[name]! : ROOMS[file.split("/")[1]!];
  if (list === undefined) throw new Error(`say in test/size/needs.ts what the component "${name}" needs`);
  return list;
}
