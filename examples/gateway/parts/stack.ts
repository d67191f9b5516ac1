/** The stack of a gateway: every component that it has, in one list. */
import { BlockList } from "node:net";
import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { leaseFile } from "../../../ports/node/index.js";
import type { NodeHost } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { firewall } from "../../../stack/filter/firewall.js";
import type { FirewallEvent } from "../../../stack/filter/firewall.js";
import { napt } from "../../../stack/filter/napt.js";
import { nptv6 } from "../../../stack/filter/nptv6.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { pmtu } from "../../../stack/ipv4/pmtu.js";
import { proxyArp } from "../../../stack/ipv4/proxy-arp.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { mld } from "../../../stack/ipv6/mld.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { proxyNd } from "../../../stack/ipv6/proxy-nd.js";
import { routerAdvertiser } from "../../../stack/ipv6/router-advertiser.js";
import { slaac } from "../../../stack/ipv6/slaac.js";
import { bridge } from "../../../stack/link/bridge.js";
import type { Bridge } from "../../../stack/link/bridge.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import { loopback } from "../../../stack/link/loopback.js";
import { snooping } from "../../../stack/link/snooping.js";
import { spanningTree } from "../../../stack/link/spanning-tree.js";
import type { SpanningTree } from "../../../stack/link/spanning-tree.js";
import { vlan } from "../../../stack/link/vlan.js";
import { pppoe } from "../../../stack/ppp/pppoe.js";
import { shaper } from "../../../stack/queue/shaper.js";
import { ping } from "../../../stack/raw/ping.js";
import { forwarding } from "../../../stack/router/forwarding.js";
import { forwarding6 } from "../../../stack/router/forwarding6.js";
import { segmentation } from "../../../stack/router/segmentation.js";
import { routeTables } from "../../../stack/router/route-tables.js";
import { routeTables6 } from "../../../stack/router/route-tables6.js";
import { babel } from "../../../stack/routing/babel.js";
import { multicast } from "../../../stack/routing/multicast.js";
import { rip } from "../../../stack/routing/rip.js";
import { ripng } from "../../../stack/routing/ripng.js";
import { vrrp } from "../../../stack/routing/vrrp.js";
import { dhcpServer } from "../../../stack/service/dhcp-server.js";
import { dhcpRelay } from "../../../stack/service/dhcp-relay.js";
import { dhcp } from "../../../stack/service/dhcp.js";
import { dhcpv6Relay } from "../../../stack/service/dhcpv6-relay.js";
import { dhcpv6Server } from "../../../stack/service/dhcpv6-server.js";
import { dhcpv6 } from "../../../stack/service/dhcpv6.js";
import type { DnsRecord } from "../../../stack/service/dns-answer.js";
import { publicOnly } from "../../../stack/service/dns-filter.js";
import { dns64 } from "../../../stack/service/dns64.js";
import { dnsForwarder } from "../../../stack/service/dns-forwarder.js";
import { dns } from "../../../stack/service/dns.js";
import { mdnsReflector } from "../../../stack/service/mdns-reflector.js";
import { ntpServer } from "../../../stack/service/ntp-server.js";
import { ntp } from "../../../stack/service/ntp.js";
import { pcpServer } from "../../../stack/service/pcp-server.js";
import { upnpIgd } from "../../../stack/service/upnp-igd.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { clat } from "../../../stack/translator/clat.js";
import { nat64 } from "../../../stack/translator/nat64.js";
import { gre } from "../../../stack/tunnel/gre.js";
import { ipTunnel } from "../../../stack/tunnel/ip-tunnel.js";
import { vxlan } from "../../../stack/tunnel/vxlan.js";
import { udp } from "../../../stack/udp/udp.js";
import { wireguard } from "../../../stack/wireguard/wireguard.js";
import type { GatewayConfig } from "../config.js";
import type { State } from "../state.js";
import { Marks } from "./marks.js";
import { rulesOf } from "./rules.js";

/** Packet memory: neighbours' queues, reassembly, the shaper, and what the status page sends. */
const BUDGET = 16 << 20;
/** Hosts behind us that are known by their hardware addresses, in each family. */
const NEIGHBOURS = 4096;
/** Events of the firewall that the page shows. */
const REFUSED = 50;

export type Parts = ReturnType<typeof createParts>;

export function createParts(config: GatewayConfig, state: State, host: NodeHost) {
  const folder = join(config.state, "leases");
  mkdirSync(folder, { recursive: true });
  const store4 = leaseFile(join(folder, "dhcp"));
  const store6 = leaseFile(join(folder, "dhcpv6"));
  const refused: (FirewallEvent & { time: number })[] = [];
  const full = (name: string) => (name.includes(".") ? name : `${name}.${config.domain}`);
  const routes = routeTables();
  const routes6 = routeTables6();
  const segments = segmentation();
  const pings = ping();
  const names = dns();
  const clock = config.ntp.length > 0 ? ntp({ servers: config.ntp, names }) : null;
  const forwarder = dnsForwarder({
    hosts: config.hosts.map((one) => ({ ...one, name: full(one.name) })),
    localDomains: [config.domain],
    ...(config.nat64 && { dns64: dns64(config.nat64) }),
    ...(config.privateNames && { filter: outsideOnly(config.privateNames, config) }),
  });
  const [first, last] = config.portMapping.ports;
  const nat = napt({ outside: "wan", forward: config.forward, askable: { first, last } });
  const base = {
    ...{
      routes,
      routes6,
      four: ipv4({ fib: routes }),
      six: ipv6({ fib: routes6 }),
      tcp: tcp(),
      pings,
      router: forwarding({ segments }),
      router6: forwarding6({ segments }),
    },
    ...{
      neighbours: arp({ limit: NEIGHBOURS }),
      neighbours6: nd({ limit: NEIGHBOURS }),
      vlans: vlan(),
      queues: shaper(),
    },
    ...{
      sessions: pppoe(),
      ips: ipTunnel(),
      gres: gre(),
      client: dhcp(),
      client6: dhcpv6(),
      relay: dhcpRelay(),
      relay6: dhcpv6Relay(),
      autoconf: slaac({ secret: state.secret, accept: (nif) => nif.name === config.wan[0].name }),
      advertiser: routerAdvertiser(),
    },
    ...{
      forwarder,
      reflector: mdnsReflector(),
      proxyArp: proxyArp(),
      proxyNd: proxyNd(),
      groups: multicast(),
      vrrp: vrrp(),
    },
    vxlans: vxlan(),
    wg: wireguard({ clock: Date.now }),
    // Each tells what the others have learnt, and what was set by hand.
    rip: rip({ update: config.rip.interval, redistribute: ["address", "manual", "babel"] }),
    ripng: ripng({ update: config.rip.interval, redistribute: ["address", "manual", "delegated", "babel"] }),
    babel: babel({ redistribute: ["address", "manual", "delegated", "rip", "ripng"] }),
    leases: dhcpServer({
      store: store4,
      probe: pings,
      onLease({ hostName, address }, present) {
        if (hostName) forwarder[present ? "add" : "remove"](full(hostName), address);
      },
    }),
    leases6: dhcpv6Server({ store: store6, duid: state.duid }),
    times: ntpServer({ source: () => clock?.last() ?? { time: Date.now(), error: 1000, stratum: 10 } }),
    pcp: pcpServer({ mapper: nat }),
    upnp: upnpIgd({ mapper: nat, uuid: state.uuid, page: `http://${full("gateway")}/` }),
    npt: nptv6(),
    xlat4: clat(),
    marks: new Marks(),
    wall: firewall({
      ...{ flows: config.flows, rules: rulesOf(config), nat },
      onLog(event) {
        refused.push({ ...event, time: Date.now() });
        if (refused.length > REFUSED) refused.shift();
      },
    }),
  };
  const bridges = bridgesOf(config, state);
  const xlat = config.nat64 ? nat64({ prefix: config.nat64 }) : null;
  const stack = host.drive(
    createStack(
      host,
      [
        ...[
          ethernet(),
          ipLink(),
          loopback(),
          fragments(),
          icmp({ errorRate: 200, errorBurst: 200 }),
          pmtu(),
          igmp(),
        ],
        ...[fragments6(), icmpv6({ errorRate: 200, errorBurst: 200 }), mld(), udp(), names],
        ...Object.values(base),
        ...(clock ? [clock] : []),
        ...(xlat ? [xlat] : []),
        ...[...bridges.values()].map((one) => one.bridge),
      ],
      { packetMemory: BUDGET },
    ),
  );
  const close = () => {
    stack.close();
    store4.close();
    store6.close();
  };
  return { ...base, stack, names, nat, clock, xlat, bridges, refused, full, close };
}

/** Which records are passed on: addresses of the inside for names in `domains` and our own alone. NAT64's stand for others. */
function outsideOnly(domains: string[], { domain, nat64 }: GatewayConfig): (record: DnsRecord) => boolean {
  const isPublic = publicOnly([domain, ...domains]);
  const translated = new BlockList();
  for (const prefix of ["64:ff9b::/96", ...(nat64 ? [nat64] : [])]) {
    const [address, length] = prefix.split("/");
    translated.addSubnet(address, Number(length), "ipv6");
  }
  return (record) =>
    isPublic(record) || (record.type === "AAAA" && translated.check(record.data as string, "ipv6"));
}

/** A bridge for each network that is one; the VLANs of others that are on it are its interface's too. */
function bridgesOf(config: GatewayConfig, state: State) {
  const bridges = new Map<string, { bridge: Bridge; tree: SpanningTree | null }>();
  for (const { name, link } of config.lan) {
    if (!("bridge" in link)) continue;
    const tree = link.rstp ? spanningTree({ priority: link.priority }) : null;
    const tagged = config.lan.flatMap((one) =>
      "vlan" in one.link && one.link.on === name ? [one.link.vlan] : [],
    );
    const mac = Uint8Array.from(Buffer.from(state.mac(name).replaceAll(":", ""), "hex"));
    const options = {
      mac,
      vlans: { tagged },
      ...(tree && { tree }),
      ...(link.snooping && { snooping: snooping() }),
    };
    bridges.set(name, { bridge: bridge(options), tree });
  }
  return bridges;
}
