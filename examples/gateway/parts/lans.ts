/** The networks behind: what their hosts are told and given, from both DHCPs and router advertisements to names and the time. */
import type { Advertisement } from "../../../stack/ipv6/router-advertiser.js";
import type { Interface } from "../../../stack/index.js";
import type { Bridge, BridgePort } from "../../../stack/link/bridge.js";
import type { VrrpRouter } from "../../../stack/routing/vrrp.js";
import type { DhcpScope } from "../../../stack/service/dhcp-server.js";
import type { Dhcpv6Scope } from "../../../stack/service/dhcpv6-server.js";
import { numberInterface, subnet } from "../../../stack/service/dhcpv6.js";
import type { Dhcp6Lease } from "../../../stack/service/dhcpv6.js";
import type { GatewayConfig } from "../config.js";
import type { LanConfig, RelayConfig, VrrpConfig } from "../config/lan.js";
import type { BridgePortConfig } from "../config/link.js";
import type { State } from "../state.js";
import type { Links } from "./links.js";
import { Made } from "./made.js";
import type { Parts } from "./stack.js";
import { bare, networkOf, networkOf6 } from "./text.js";

/** A network behind us, as it runs. */
export interface Side {
  config: LanConfig;
  readonly nif: Interface;
  scope: DhcpScope | null;
  scope6: Dhcpv6Scope | null;
  advertisement: Advertisement | null;
  /** Its /64s of what was delegated. */
  subnets: string[];
  virtual: VrrpRouter | null;
}

export class Lans {
  readonly sides: Side[] = [];
  private reachable = true;
  /** The ports of bridges, by what the configuration has of them. */
  private readonly plugged = new Map<string, { bridge: Bridge; port: BridgePort }>();
  private readonly virtual = new Made<[name: string, config: VrrpConfig]>(([name, config]) =>
    this.share(name, config),
  );
  private readonly relayed = new Made<[name: string, config: RelayConfig]>(([name, config]) =>
    this.relay(name, config),
  );
  private readonly reflected = new Made<string>((name) => {
    const { nif } = this.side(name);
    this.parts.reflector.add(nif);
    return () => this.parts.reflector.remove(nif);
  });

  constructor(
    private readonly parts: Parts,
    private readonly state: State,
    private readonly log: (line: string) => void,
    private config: GatewayConfig,
  ) {}

  async open(config: LanConfig, links: Links): Promise<void> {
    const { stack, vlans, wall, four, six, forwarder, times, full } = this.parts;
    const { link, name } = config;
    const nif =
      "vlan" in link
        ? vlans.add(stack.findInterface(link.on)!, link.vlan, name)
        : stack.addInterface(
            "bridge" in link ? this.parts.bridges.get(name)!.bridge : await links.open(name, link),
            name,
          );
    wall.assign(nif, name);
    four.addAddress(nif, config.address);
    if (config.address6) six.addAddress(nif, config.address6);
    this.sides.push({
      config,
      nif,
      scope: null,
      scope6: null,
      advertisement: null,
      subnets: [],
      virtual: null,
    });
    forwarder.serve(nif);
    times.serve(nif);
    forwarder.add(full("gateway"), bare(config.address));
  }

  /**
   * Ports of bridges: those that the configuration has no more are closed before others open, which may have their links. Returns
   * what is against those that have not opened; the next time they are tried again.
   */
  async plug(config: GatewayConfig, links: Links): Promise<string[]> {
    const wanted = new Map<string, [name: string, place: string, port: BridgePortConfig]>();
    for (const { name, link } of config.lan) {
      if (!("bridge" in link)) continue;
      for (const [i, port] of link.bridge.entries())
        wanted.set(JSON.stringify([name, port]), [name, `${name}-${i + 1}`, port]);
    }
    for (const [key, { bridge, port }] of this.plugged) {
      if (wanted.has(key)) continue;
      this.plugged.delete(key);
      bridge.removePort(port);
    }
    const failed: string[] = [];
    for (const [key, [name, place, { link, untagged, tagged, isolated, edge, cost }]] of wanted) {
      if (this.plugged.has(key)) continue;
      const { bridge } = this.parts.bridges.get(name)!;
      try {
        const port = bridge.addPort(await links.open(place, link), {
          ...{ untagged, tagged, isolated },
          tree: { cost, ...(edge && { edge, restrictedRole: true }) },
        });
        this.plugged.set(key, { bridge, port });
      } catch (error) {
        failed.push(`${place}: ${(error as Error).message}`);
      }
    }
    return failed;
  }

  side(name: string): Side {
    return this.sides.find(({ nif }) => nif.name === name)!;
  }

  /** Puts a configuration into force: at the start, and when it is reloaded. */
  apply(config: GatewayConfig): void {
    this.config = config;
    for (const side of this.sides) {
      side.config = config.lan.find(({ name }) => name === side.nif.name)!;
      side.scope?.close();
      side.scope6?.close();
      side.scope = side.scope6 = null;
    }
    this.relayed.apply(
      config.lan.flatMap((one) => (one.relay ? [[one.name, one.relay] as [string, RelayConfig]] : [])),
    );
    for (const side of this.sides) {
      this.serve(side);
      this.announce(side, this.state.lease6);
    }
    this.virtual.apply(
      config.lan.flatMap((one) => (one.vrrp ? [[one.name, one.vrrp] as [string, VrrpConfig]] : [])),
    );
    this.reflected.apply(
      config.mdns ? config.lan.filter((one) => !one.isolated).map(({ name }) => name) : [],
    );
  }

  /** A prefix was delegated to us, or has gone: each network has its /64 of it. */
  delegated(lease: Dhcp6Lease | null): void {
    this.state.lease6 = lease;
    for (const side of this.sides) {
      side.subnets = numberInterface(this.parts.six, side.nif, lease, side.config.subnet);
      this.announce(side, lease);
    }
    this.log(`delegated: ${lease?.prefixes.map((one) => one.prefix).join(", ") || "nothing"}`);
  }

  /** Without a way out another gateway may be the better one. */
  setReachable(good: boolean): void {
    if (good === this.reachable) return;
    this.reachable = good;
    for (const { virtual, config } of this.sides) {
      if (virtual && config.vrrp)
        virtual.setPriority(good ? config.vrrp.priority : config.vrrp.withoutUplink);
    }
  }

  private share(name: string, config: VrrpConfig): () => void {
    const side = this.side(name);
    const { priority, withoutUplink, ...more } = config;
    side.virtual = this.parts.vrrp.add(side.nif, {
      ...{ ...more, priority: this.reachable ? priority : withoutUplink },
      onState: (active) =>
        this.log(`${name}: ${active ? "this gateway has" : "another gateway has"} ${config.addresses[0]}`),
    });
    return () => {
      side.virtual?.remove();
      side.virtual = null;
    };
  }

  private relay(name: string, { servers, circuitId, remoteId }: RelayConfig): () => void {
    const { relay, relay6 } = this.parts;
    const { nif } = this.side(name);
    const [six, four] = [true, false].map((wanted) => servers.filter((one) => one.includes(":") === wanted));
    const names = { circuitId, ...(remoteId && { remoteId }) };
    const links = [
      ...(four.length > 0 ? [relay.open({ interface: nif, servers: four, ...names })] : []),
      ...(six.length > 0 ? [relay6.open({ interface: nif, servers: six })] : []),
    ];
    return () => links.forEach((link) => link.close());
  }

  private serve(side: Side): void {
    const { address, pool, leaseTime, reservations, vrrp } = side.config;
    // Of several gateways, hosts know the one that is always there.
    const gateway = vrrp?.addresses[0] ?? bare(address);
    side.scope?.close();
    side.scope = null;
    if (relaysFor(side.config, 4)) return;
    side.scope = this.parts.leases.serve({
      interface: side.nif,
      network: networkOf(address),
      pools: pool ? [pool] : [],
      leaseTime,
      options: {
        routers: [gateway],
        nameServers: [gateway],
        ntpServers: [gateway],
        domain: this.config.domain,
      },
      reservations: reservations.map(({ mac, address: to, name }) => ({ mac, address: to, hostName: name })),
    });
  }

  /** Advertisements and DHCPv6 of a network, after its prefixes or its configuration have changed. */
  private announce(side: Side, lease: Dhcp6Lease | null): void {
    const { six, advertiser, leases6 } = this.parts;
    const { nif } = side;
    const { address6, dhcpv6: managed, delegate } = side.config;
    const { domain, nat64 } = this.config;
    const own = six.addresses.find((entry) => entry.nif === nif && entry.bytes[0] === 0xfe);
    const resolver = address6 ? bare(address6) : own ? six.addressText(own.bytes, 0, null) : "";
    const told = { nameServers: resolver ? [resolver] : [], search: [domain] };
    const asked = managed || relaysFor(side.config, 6);
    const options = { interface: nif, ...told, managed: asked, other: true, ...(nat64 && { nat64 }) };
    if (side.advertisement) side.advertisement.update(options);
    else side.advertisement = advertiser.advertise(options);
    side.scope6?.close();
    side.scope6 = null;
    if (relaysFor(side.config, 6)) return;
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
}

/** Do servers elsewhere have this network's addresses of the family? */
const relaysFor = ({ relay }: LanConfig, family: 4 | 6): boolean =>
  relay !== null && relay.servers.some((one) => one.includes(":") === (family === 6));
