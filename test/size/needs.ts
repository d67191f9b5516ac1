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

/** Where the room's list is not the answer. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
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
  mdns: [...IPV4, "igmp", "udp"],
  "mdns-querier": [...IPV4, "igmp", "udp"],
  "mdns-reflector": [...IPV4, "igmp", "udp"],
  "mdns-responder": [...IPV4, "igmp", "udp"],
};

/** A stack, and what is done with it. */
export interface Recipe {
  readonly components: readonly string[];
  /**
   * A call that makes a component stands in the list in the place of the plain one, others after it. `$ike` is the component ike,
   * `$nif` the interface.
   */
  readonly calls: readonly string[];
}

/** What a part is measured by: the stack without it, and with it. */
export interface Needs {
  readonly without: Recipe;
  readonly with: Recipe;
}

function given(components: readonly string[], call: string, ...without: readonly string[]): Needs {
  return { without: { components, calls: without }, with: { components, calls: [call] } };
}

const TCP = [...IPV4, "tcp"];
const RIP = [...ROOMS.routing!, "rip"];
const BABEL = [...IPV6, "udp", "babel"];
const IPSEC = [...IPV4, "ipsec"];
const BRIDGE = ["ethernet", "bridge"];
const IKE = [...IPV4, "udp", "ike"];
const SHAPER = ["ethernet", "shaper"];

/** Parts that are no component of a stack's list, but given to one. */
const ARGUMENTS: Readonly<Record<string, Needs>> = {
  "rip-authentication": given(
    RIP,
    "$rip.enable($nif, { authentication: ripAuthentication({}) })",
    "$rip.enable($nif)",
  ),
  "babel-authentication": given(
    BABEL,
    "$babel.enable($nif, { authentication: babelAuthentication({}) })",
    "$babel.enable($nif)",
  ),
  "ipsec-link": given(IPSEC, "stack.addInterface(ipsecLink($ipsec))"),
  "cipher-queue": given(IPSEC, "ipsec({ queue: cipherQueue() })"),
  "policy-index": given(IPSEC, "ipsec({ index: policyIndex() })"),
  slip: given([...IPV4, "ip-link"], "stack.addInterface(slip(hypercalls))"),
  snooping: given(BRIDGE, "bridge({ snooping: snooping() })"),
  "spanning-tree": given(BRIDGE, "bridge({ tree: spanningTree() })"),
  napt: given([...IPV4, "firewall"], "firewall({ nat: napt() })"),
  fifo: given(SHAPER, "$shaper.add($nif, { discipline: fifo() })", "$shaper.add($nif, {})"),
  drr: given(SHAPER, "$shaper.add($nif, { discipline: drr() })", "$shaper.add($nif, {})"),
  "fq-codel": given(SHAPER, "$shaper.add($nif, { discipline: fqCodel() })", "$shaper.add($nif, {})"),
  dns64: given([...IPV4, "udp", "dns-forwarder"], "dnsForwarder({ dns64: dns64() })"),
  "name-servers": given(IPV4, "nameServers(stack)"),
  segmentation: given([...ROOMS.router!, "forwarding"], "forwarding({ segments: segmentation() })"),
  "route-tables": given(IPV4, "ipv4({ fib: routeTables() })"),
  "route-tables6": given(IPV6, "ipv6({ fib: routeTables6() })"),
  "large-table4": given(IPV4, "ipv4({ fib: largeTable4() })"),
  "large-table6": given(IPV6, "ipv6({ fib: largeTable6() })"),
  "additional-key-exchanges": given(IKE, "ike({ keyExchanges: additionalKeyExchanges() })"),
  "address-pool": given(IKE, "ike({ addresses: addressPool({}) })"),
  "certificate-auth": given(IKE, "$ike.connect({ auth: certificateAuth({}) })", "$ike.connect({})"),
  "ike-fragmentation": given(IKE, "ike({ fragmentation: ikeFragmentation() })"),
  "ike-redirect": given(IKE, "ike({ redirection: ikeRedirect() })"),
  "ike-responder": given(IKE, "ike({ responder: ikeResponder() })"),
  "ipsec-children": given([...IKE.slice(0, -1), "ipsec", "ike"], "ike({ sink: ipsecChildren($ipsec) })"),
  mobike: given(IKE, "ike({ mobility: mobike() })"),
  "postquantum-key": given(IKE, "$ike.connect({ ppk: postquantumKey({}) })", "$ike.connect({})"),
  "raw-key-auth": given(IKE, "$ike.connect({ auth: rawKeyAuth({}) })", "$ike.connect({})"),
  "virtual-address": given(IKE, "ike({ addresses: virtualAddress() })"),
  bbr: given(TCP, "tcp({ congestion: bbr() })"),
  cubic: given(TCP, "tcp({ congestion: cubic() })"),
  hystart: given(TCP, "tcp({ congestion: cubic({ slowStart: hystart() }) })", "tcp({ congestion: cubic() })"),
  pacing: given(TCP, "tcp({ congestion: pacing(cubic()) })", "tcp({ congestion: cubic() })"),
  prr: given(TCP, "tcp({ congestion: prr(cubic()) })", "tcp({ congestion: cubic() })"),
  revalidation: given(TCP, "tcp({ congestion: revalidation(cubic()) })", "tcp({ congestion: cubic() })"),
  ecn: given(TCP, "tcp({ ecn: ecn() })"),
  accecn: given(TCP, "tcp({ ecn: accecn() })"),
  rack: given(TCP, "tcp({ recovery: rack() })"),
  frto: given(TCP, "tcp({ recovery: frto(rack()) })", "tcp({ recovery: rack() })"),
  "syn-cookies": given(TCP, "tcp({ cookies: synCookies() })"),
};

/** What `name` (a file like stack/ipv4/icmp.ts) is measured on top of, and how it is given. */
export function needs(name: string, file: string): Needs {
  if (name in ARGUMENTS) return ARGUMENTS[name]!;
  const components = name in EXCEPTIONS ? EXCEPTIONS[name] : ROOMS[file.split("/")[1]!];
  if (components === undefined)
    throw new Error(`say in test/size/needs.ts what the component "${name}" needs`);
  return { without: { components, calls: [] }, with: { components: [...components, name], calls: [] } };
}
