/** The gateway: a stack with everything that a small network wants of its router, as the configuration says. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Link } from "../../hypercall/index.js";
import { leaseFile, nodeHost, openTap, openUdpFrame, openUplink } from "../../ports/node/index.js";
import type { OpenUplink } from "../../ports/node/index.js";
import { nameServers } from "../../stack/core/name-servers.js";
import { format6, parse6 } from "../../stack/core/text6.js";
import { createStack } from "../../stack/index.js";
import type { Interface } from "../../stack/index.js";
import { firewall } from "../../stack/filter/firewall.js";
import type { FirewallEvent } from "../../stack/filter/firewall.js";
import { napt } from "../../stack/filter/napt.js";
import type { Rule } from "../../stack/filter/rules.js";
import { arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { fragments6 } from "../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { mld } from "../../stack/ipv6/mld.js";
import { nd } from "../../stack/ipv6/nd.js";
import { routerAdvertiser } from "../../stack/ipv6/router-advertiser.js";
import type { Advertisement } from "../../stack/ipv6/router-advertiser.js";
import { slaac } from "../../stack/ipv6/slaac.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { ipLink } from "../../stack/link/ip.js";
import { loopback } from "../../stack/link/loopback.js";
import { vlan } from "../../stack/link/vlan.js";
import { pppoe } from "../../stack/ppp/pppoe.js";
import { fqCodel } from "../../stack/queue/fq-codel.js";
import { shaper } from "../../stack/queue/shaper.js";
import { ping } from "../../stack/raw/ping.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { forwarding6 } from "../../stack/router/forwarding6.js";
import { dhcpServer } from "../../stack/service/dhcp-server.js";
import type { DhcpScope } from "../../stack/service/dhcp-server.js";
import { dhcp } from "../../stack/service/dhcp.js";
import { dhcpv6Server } from "../../stack/service/dhcpv6-server.js";
import type { Dhcpv6Scope } from "../../stack/service/dhcpv6-server.js";
import { dhcpv6, numberInterface, subnet } from "../../stack/service/dhcpv6.js";
import type { Dhcp6Lease } from "../../stack/service/dhcpv6.js";
import { dnsForwarder } from "../../stack/service/dns-forwarder.js";
import { dns } from "../../stack/service/dns.js";
import { mdnsReflector } from "../../stack/service/mdns-reflector.js";
import { ntpServer } from "../../stack/service/ntp-server.js";
import { ntp } from "../../stack/service/ntp.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import type { GatewayConfig, LanConfig, LinkConfig } from "./config.js";
import { State } from "./state.js";

/** Packet memory: neighbours' queues, reassembly, the shaper, and what the status page sends. */
const BUDGET = 16 << 20;
/** Hosts behind us that are known by their hardware addresses, in each family. */
const NEIGHBOURS = 4096;
/** How often the time is asked for, ms. */
const CLOCK_INTERVAL = 900_000;
/** Our end of a user-mode uplink. */
const UPLINK = {
  four: "10.0.2.15/24",
  router: "10.0.2.2",
  six: "fd00:2::15/64",
  router6: "fd00:2::2",
  dns: "10.0.2.3",
};

/** A network behind us, as it runs. */
interface Side {
  config: LanConfig;
  readonly nif: Interface;
  scope: DhcpScope | null;
  scope6: Dhcpv6Scope | null;
  advertisement: Advertisement | null;
  /** Its /64s of what was delegated. */
  subnets: string[];
}

export type Gateway = Awaited<ReturnType<typeof startGateway>>;

const bare = (prefixed: string) => prefixed.split("/")[0];

/** The rules of a gateway: what the configuration says goes first. */
export function rulesOf(config: GatewayConfig): Rule[] {
  const own: Rule[] = [];
  for (const { name, isolated } of config.lan) {
    own.push({ action: "accept", from: name, to: "wan" });
    if (isolated) {
      own.push({ action: "accept", from: name, to: "self", protocol: "udp", port: [53, 67, 123, 547] });
      own.push({ action: "accept", from: name, to: "self", protocol: "tcp", port: 53 });
      own.push({ action: "accept", from: name, to: "self", protocol: "icmp", icmpType: 8 });
      own.push({ action: "accept", from: name, to: "self", protocol: "icmpv6", icmpType: 128 });
      continue;
    }
    own.push({ action: "accept", from: name, to: "self" });
    for (const other of config.lan) own.push({ action: "accept", from: name, to: other.name });
  }
  if (config.pingFromOutside) {
    own.push({
      action: "accept",
      from: "wan",
      to: "self",
      protocol: "icmp",
      icmpType: 8,
      limit: { rate: 10 },
    });
    own.push({
      action: "accept",
      from: "wan",
      to: "self",
      protocol: "icmpv6",
      icmpType: 128,
      limit: { rate: 10 },
    });
  }
  own.push({ action: "accept", from: "wan", to: "self", protocol: "udp", sourcePort: 67, port: 68 });
  own.push({ action: "accept", from: "wan", to: "self", protocol: "udp", sourcePort: 547, port: 546 });
  own.push({ action: "drop", from: "wan", log: "refused" });
  return [...config.rules, ...own];
}

/** What a reload cannot change, by name. */
function fixed(config: GatewayConfig): Record<string, string> {
  const { link, ipv4: four, ipv6: six, nameServers: servers } = config.wan;
  const parts: Record<string, unknown> = {
    "wan.link": link,
    "wan.pppoe": config.wan.pppoe,
    "wan.ipv4": four,
    "wan.ipv6": six,
    "wan.nameServers": servers,
    "lan's names": config.lan.map((one) => one.name),
    domain: config.domain,
    mdns: config.mdns,
    flows: config.flows,
    ntp: config.ntp,
    statusPort: config.statusPort,
    state: config.state,
  };
  for (const { name, link: own, address, address6, subnet: number } of config.lan) {
    parts[`the link, the addresses or the subnet of ${name}`] = [own, address, address6, number];
  }
  return Object.fromEntries(Object.entries(parts).map(([key, value]) => [key, JSON.stringify(value)]));
}

/**
 * Starts a gateway. Rejects with what its links, its state or its addresses have against it.
 *
 * @param given links that are open already, by interface: those of the configuration are not looked at then
 */
export async function startGateway(
  first: GatewayConfig,
  log: (line: string) => void,
  given: Record<string, Link> = {},
) {
  let config = first;
  const state = new State(config.state);
  mkdirSync(join(config.state, "leases"), { recursive: true });
  const store4 = leaseFile(join(config.state, "leases", "dhcp"));
  const store6 = leaseFile(join(config.state, "leases", "dhcpv6"));
  const started = Date.now();
  const refused: (FirewallEvent & { time: number })[] = [];
  const host = nodeHost({ log });
  const four = ipv4();
  const six = ipv6();
  const sockets = tcp();
  const pings = ping();
  const router = forwarding();
  const router6 = forwarding6();
  const neighbours = arp({ limit: NEIGHBOURS });
  const neighbours6 = nd({ limit: NEIGHBOURS });
  const vlans = vlan();
  const queues = shaper();
  const names = dns();
  const hostNames = config.hosts.map((one) => ({ ...one, name: full(one.name) }));
  const forwarder = dnsForwarder({ hosts: hostNames, localDomains: [config.domain] });
  const leases = dhcpServer({
    store: store4,
    probe: pings,
    onLease({ hostName, address }, present) {
      if (hostName) forwarder[present ? "add" : "remove"](full(hostName), address);
    },
  });
  const leases6 = dhcpv6Server({ store: store6, duid: state.duid });
  const client = dhcp();
  const client6 = dhcpv6();
  const advertiser = routerAdvertiser();
  const clock = config.ntp.length > 0 ? ntp({ servers: config.ntp, names }) : null;
  const times = ntpServer({
    source: () => clock?.last() ?? { time: Date.now(), error: 1000, stratum: 10 },
  });
  const sessions = pppoe();
  const reflector = mdnsReflector();
  const wall = firewall({
    flows: config.flows,
    rules: rulesOf(config),
    nat: napt({ outside: "wan", forward: config.forward }),
    onLog(event) {
      refused.push({ ...event, time: Date.now() });
      if (refused.length > 50) refused.shift();
    },
  });
  const stack = host.drive(
    createStack(
      host,
      [
        ...[
          ethernet(),
          vlans,
          neighbours,
          four,
          fragments(),
          icmp({ errorRate: 200, errorBurst: 200 }),
          pmtu(),
        ],
        ...[six, fragments6(), icmpv6({ errorRate: 200, errorBurst: 200 }), neighbours6, mld()],
        slaac({ secret: state.secret, accept: (nif) => nif.name === "wan" }),
        ...[udp(), sockets, pings, router, router6, wall, queues, names, forwarder],
        ...[
          igmp(),
          reflector,
          ipLink(),
          sessions,
          leases,
          leases6,
          client,
          client6,
          advertiser,
          times,
          ...(clock ? [clock] : []),
          loopback(),
        ],
      ],
      { budget: BUDGET },
    ),
  );
  let uplink: OpenUplink | null = null;
  let timer: NodeJS.Timeout | null = null;
  const sides: Side[] = [];

  function full(name: string): string {
    return name.includes(".") ? name : `${name}.${config.domain}`;
  }

  function close(): void {
    if (timer) clearInterval(timer);
    for (const each of client.clients.slice()) each.close();
    stack.close();
    uplink?.close();
    store4.close();
    store6.close();
  }

  async function open(name: string, link: LinkConfig): Promise<Link> {
    if (given[name]) return given[name];
    const mac = state.mac(name);
    if ("tap" in link) return openTap({ name: link.tap, netns: link.netns, mac, allocate: host.allocate });
    if ("udp" in link) {
      const { localPort, remotePort, address, l2tpv3 } = link.udp;
      return openUdpFrame({
        ...{ local: { port: localPort }, remote: { port: remotePort, address }, mac },
        ...(l2tpv3 && { l2tpv3: { receiveSession: l2tpv3[0], transmitSession: l2tpv3[1] } }),
      });
    }
    if (!("uplink" in link)) throw new Error("a VLAN has no link of its own");
    uplink = openUplink({
      loopback: link.uplink.loopback ? [UPLINK.router, UPLINK.router6] : [],
      routes: config.lan
        .filter((one) => one.address6)
        .map((one) => ({ network: networkOf6(one.address6), gateway: bare(UPLINK.six) })),
    });
    return uplink.link;
  }

  /** Advertisements and DHCPv6 of a network, after its prefixes or its configuration have changed. */
  function announce(side: Side, lease: Dhcp6Lease | null): void {
    const { nif } = side;
    const { address6, dhcpv6: managed, delegate } = side.config;
    const own = six.addresses.find((entry) => entry.nif === nif && entry.bytes[0] === 0xfe);
    const resolver = address6 ? bare(address6) : own ? six.addressText(own.bytes, 0, null) : "";
    const told = { nameServers: resolver ? [resolver] : [], search: [config.domain] };
    const options = { interface: nif, ...told, managed, other: true };
    if (side.advertisement) side.advertisement.update(options);
    else side.advertisement = advertiser.advertise(options);
    side.scope6?.close();
    const network = side.subnets[0] ?? (address6 && networkOf6(address6));
    const given = lease?.prefixes[0]?.prefix;
    const length = given ? Number(given.split("/")[1]) : 0;
    side.scope6 = leases6.serve({
      ...{ interface: nif, ...told },
      ...(managed && network && { pool: network.replace("::/64", "::1:0:0/96") }),
      // The upper half is for routers behind us, the lower one has our own networks.
      ...(given &&
        delegate > length && { delegate: { prefix: subnet(given, 1, length + 1), length: delegate } }),
    });
  }

  function delegated(lease: Dhcp6Lease | null): void {
    state.lease6 = lease;
    for (const side of sides) {
      side.subnets = numberInterface(six, side.nif, lease, side.config.subnet);
      announce(side, lease);
    }
    log(`delegated: ${lease?.prefixes.map((one) => one.prefix).join(", ") || "nothing"}`);
  }

  function serve(side: Side): void {
    const { address, pool, leaseTime, reservations } = side.config;
    side.scope?.close();
    side.scope = leases.serve({
      interface: side.nif,
      network: networkOf(address),
      pools: pool ? [pool] : [],
      leaseTime,
      options: {
        routers: [bare(address)],
        nameServers: [bare(address)],
        ntpServers: [bare(address)],
        domain: config.domain,
      },
      reservations: reservations.map(({ mac, address: to, name }) => ({ mac, address: to, hostName: name })),
    });
  }

  function dial(line: Interface, session: NonNullable<GatewayConfig["wan"]["pppoe"]>): Interface {
    return sessions.connect(line, {
      ...session,
      name: "wan",
      md5: (data) => createHash("md5").update(data).digest(),
      onChange: ({ phase, address, reason }) =>
        log(`PPPoE: ${phase} ${phase === "network" ? address : reason}`),
    }).nif;
  }

  function shape(): void {
    const { upload } = config.wan;
    queues.remove(wan);
    if (upload > 0) queues.add(wan, { discipline: fqCodel(), rate: upload * 1e6 });
  }

  let wan: Interface;
  try {
    const { pppoe: session } = config.wan;
    const line = stack.addInterface(await open("wan", config.wan.link), session ? "line" : "wan");
    wan = session ? dial(line, session) : line;
    wall.assign(wan, "wan");
    router.configure(wan, { mss: "mtu" });
    router6.configure(wan, { mss: "mtu" });
    for (const each of config.lan) {
      const { link, name } = each;
      const nif =
        "vlan" in link
          ? vlans.add(stack.findInterface(link.on)!, link.vlan, name)
          : stack.addInterface(await open(name, link), name);
      wall.assign(nif, name);
      four.addAddress(nif, each.address);
      if (each.address6) six.addAddress(nif, each.address6);
      sides.push({ config: each, nif, scope: null, scope6: null, advertisement: null, subnets: [] });
      forwarder.serve(nif);
      times.serve(nif);
      if (config.mdns && !each.isolated) reflector.add(nif);
      forwarder.add(full("gateway"), bare(each.address));
    }
    const stated = config.wan.nameServers;
    if (uplink) {
      four.addAddress(wan, UPLINK.four);
      four.addRoute("0.0.0.0/0", { gateway: UPLINK.router });
      six.addAddress(wan, UPLINK.six);
      six.addRoute("::/0", { gateway: UPLINK.router6, interface: wan });
      nameServers(stack).set("manual", null, stated.length > 0 ? stated : [UPLINK.dns], []);
    } else {
      nameServers(stack).set("manual", null, stated, []);
      upstream(config.wan);
    }
    for (const side of sides) {
      serve(side);
      announce(side, null);
    }
    shape();
  } catch (error) {
    close();
    throw error;
  }

  function upstream({ ipv4: how4, ipv6: how6 }: GatewayConfig["wan"]): void {
    if (config.wan.pppoe) log("PPPoE: calling");
    else if (how4 === "dhcp") {
      client.open(wan, {
        lease: state.lease,
        clientId: undefined,
        onBound(lease) {
          if (state.lease?.address !== lease.address) log(`WAN address ${lease.address}/${lease.prefix}`);
          state.lease = lease;
        },
        onLost: () => (state.lease = null),
      });
    } else if (how4 !== "off") {
      four.addAddress(wan, how4.address);
      four.addRoute("0.0.0.0/0", { gateway: how4.gateway });
    }
    if (how6 === "auto") {
      const lease = state.lease6;
      client6.open(wan, {
        ...{ addresses: false, prefix: { length: 56 }, duid: state.duid, iaid: 1, lease },
        onBound: delegated,
        onLost: () => delegated(null),
      });
    } else if (how6 !== "off") {
      six.addAddress(wan, how6.address);
      six.addRoute("::/0", { gateway: how6.gateway, interface: wan });
    }
  }

  if (clock) {
    const ask = () => void clock.query(() => {});
    ask();
    timer = setInterval(ask, CLOCK_INTERVAL).unref();
  }

  return {
    ...{
      stack,
      wan,
      sides,
      four,
      six,
      tcp: sockets,
      wall,
      leases,
      leases6,
      neighbours,
      neighbours6,
      refused,
      started,
      clock,
    },
    uplink: () => uplink,
    get config() {
      return config;
    },
    /**
     * Takes another configuration: rules, forwarded ports, pools, reservations, names, the upload rate. Connections go on. Throws, and
     * changes nothing, when it differs in what only a restart can change.
     */
    reload(next: GatewayConfig): void {
      const before = fixed(config);
      const after = fixed(next);
      const changed = Object.keys({ ...before, ...after }).filter((key) => before[key] !== after[key]);
      if (changed.length > 0) throw new Error(`${changed.join(", ")} changed: that needs a restart`);
      wall.load({ rules: rulesOf(next), forward: next.forward });
      for (const { name, address } of config.hosts) forwarder.remove(full(name), address);
      for (const { name, address } of next.hosts) forwarder.add(full(name), address);
      const rate = config.wan.upload;
      config = next;
      for (const side of sides) {
        side.config = next.lan.find(({ name }) => name === side.nif.name)!;
        serve(side);
        announce(side, state.lease6);
      }
      if (rate !== next.wan.upload) shape();
    },
    close,
  };
}

/** `"fd00:7::1/64"`: `"fd00:7::/64"`. */
function networkOf6(prefixed: string): string {
  const length = Number(prefixed.split("/")[1]);
  const bytes = parse6(bare(prefixed))!;
  for (let bit = length; bit < 128; bit++) bytes[bit >> 3] &= ~(0x80 >> (bit & 7));
  return `${format6(bytes, 0)}/${length}`;
}

/** `"10.1.2.1/24"`: `"10.1.2.0/24"`. */
function networkOf(prefixed: string): string {
  const [address, length] = prefixed.split("/");
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  const base = Math.floor(number / size) * size;
  return [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join(".") + `/${length}`;
}
