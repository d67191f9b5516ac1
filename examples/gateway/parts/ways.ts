/** The ways out: each WAN's addresses, and which of them packets go by. */
import { createHash } from "node:crypto";
import { nameServers } from "../../../stack/core/name-servers.js";
import { parse6 } from "../../../stack/core/text6.js";
import type { Interface } from "../../../stack/index.js";
import { inspectAddresses } from "../../../stack/inspect.js";
import type { PingSocket } from "../../../stack/raw/ping.js";
import type { Route4 } from "../../../stack/route/table.js";
import type { Dhcp6Lease } from "../../../stack/service/dhcpv6.js";
import type { GatewayConfig } from "../config.js";
import { clash } from "../config/overlap.js";
import type { WanConfig } from "../config/wan.js";
import type { State } from "../state.js";
import { UPLINK } from "./links.js";
import type { Links } from "./links.js";
import type { Parts } from "./stack.js";

/** How often ways are looked at, ms; every so many looks they are probed; a way is bad after so many probes without an answer. */
const LOOK = 1000;
const PROBE = 3;
const MISSES = 3;
/** When it is told that no server of DHCP has given an address, ms. */
const PATIENCE = 30_000;
/** Metrics of the ways' own default routes: the one that is chosen, if there is a choice, goes before them. */
const METRIC = 1000;
/** Somebody on the internet (RFC 4291 section 2.4). */
const ANYBODY = parse6("2000::")!;

export class Way {
  /** The next hop, `""`: a session has none, null: there is no way. */
  gateway: string | null = null;
  good = false;
  misses = 0;
  probe: PingSocket | null = null;

  constructor(
    public config: WanConfig,
    readonly nif: Interface,
  ) {}
}

export class Ways {
  readonly list: Way[] = [];
  private chosen = "";
  private route: Route4 | null = null;
  private looks = 0;
  private readonly timer = setInterval(() => this.look(), LOOK).unref();

  constructor(
    private readonly parts: Parts,
    private readonly state: State,
    private readonly log: (line: string) => void,
    private config: GatewayConfig,
    /** Told of a prefix that was delegated, or has gone. */
    private readonly delegated: (lease: Dhcp6Lease | null) => void,
    /** Told at each look whether there is a way out. */
    private readonly reachable: (good: boolean) => void,
  ) {}

  async open(config: WanConfig, links: Links): Promise<void> {
    const { stack, vlans, wall, router, router6 } = this.parts;
    const { name, vlan, pppoe } = config;
    const names = [name, ...(vlan ? [`${name}-tag`] : []), ...(pppoe ? [`${name}-line`] : [])];
    let nif = stack.addInterface(await links.open(name, config.link), names.pop()!);
    if (vlan) nif = vlans.add(nif, vlan, names.pop()!);
    if (pppoe) nif = this.dial(nif, config, name);
    const way = new Way(config, nif);
    this.list.push(way);
    wall.assign(nif, "wan");
    router.configure(nif, { mss: "mtu" });
    router6.configure(nif, { mss: "mtu" });
    if (links.uplink && "uplink" in config.link) this.userMode(way);
    else this.upstream(way);
  }

  /** Name servers that the file names: all WANs' together. */
  setNameServers(): void {
    const stated = this.config.wan.flatMap((one) => one.nameServers);
    const given = stated.length === 0 && "uplink" in this.config.wan[0].link ? [UPLINK.dns] : stated;
    nameServers(this.parts.stack).set("manual", null, given, []);
  }

  reload(config: GatewayConfig): void {
    this.config = config;
    for (const way of this.list) way.config = config.wan.find(({ name }) => name === way.config.name)!;
    this.look();
  }

  close(): void {
    clearInterval(this.timer);
    for (const each of this.parts.client.clients.slice()) each.close();
  }

  private metric(): number {
    return METRIC + this.list.length;
  }

  private dial(line: Interface, { pppoe }: WanConfig, name: string): Interface {
    return this.parts.sessions.connect(line, {
      ...{ ...pppoe!, name, metric: this.metric() },
      md5: (data) => createHash("md5").update(data).digest(),
      onChange: ({ phase, address, reason }) => {
        this.log(`PPPoE: ${phase} ${phase === "network" ? address : reason}`);
        const way = this.list.find(({ nif }) => nif.name === name);
        if (way) way.gateway = phase === "network" ? "" : null;
      },
    }).nif;
  }

  private userMode(way: Way): void {
    const { four, six } = this.parts;
    four.addAddress(way.nif, UPLINK.four);
    four.addRoute("0.0.0.0/0", { gateway: UPLINK.router, metric: this.metric() });
    six.addAddress(way.nif, UPLINK.six);
    six.addRoute("::/0", { gateway: UPLINK.router6, interface: way.nif });
    way.gateway = UPLINK.router;
  }

  private upstream(way: Way): void {
    const { parts, state } = this;
    const { four, six, client, client6 } = parts;
    const { name, ipv4, ipv6, pppoe } = way.config;
    if (pppoe) this.log("PPPoE: calling");
    else if (ipv4 === "dhcp") {
      const label = name === "wan" ? "WAN" : name;
      const silence = setTimeout(() => this.log(`${label}: no address by DHCP yet`), PATIENCE).unref();
      client.open(way.nif, {
        lease: state.lease(name),
        metric: this.metric(),
        onBound: (lease) => {
          clearTimeout(silence);
          const own = `${lease.address}/${lease.prefix}`;
          if (state.lease(name)?.address !== lease.address) this.log(`${label} address ${own}`);
          const wrong = clash(name, own, this.config.vrf, this.config.lan);
          if (wrong) this.log(`${label}: ${wrong}: give that another`);
          state.setLease(name, lease);
          way.gateway = lease.routes.find(({ prefix }) => prefix === "0.0.0.0/0")?.gateway ?? null;
        },
        onLost: () => {
          state.setLease(name, null);
          way.gateway = null;
        },
      });
    } else if (ipv4 !== "off") {
      four.addAddress(way.nif, ipv4.address);
      four.addRoute("0.0.0.0/0", { gateway: ipv4.gateway, interface: way.nif, metric: this.metric() });
      way.gateway = ipv4.gateway;
    }
    if (ipv6 === "auto") {
      const lease = state.lease6;
      client6.open(way.nif, {
        ...{ addresses: false, prefix: { length: 56 }, duid: state.duid, iaid: 1, lease },
        onBound: (lease) => this.delegated(lease),
        onLost: () => this.delegated(null),
      });
    } else if (ipv6 !== "off") {
      six.addAddress(way.nif, ipv6.address);
      six.addRoute("::/0", { gateway: ipv6.gateway, interface: way.nif });
    }
  }

  /** Which ways are good? With several of them: which are packets to go by? */
  private look(): void {
    this.looks++;
    for (const way of this.list) {
      if (way.config.probe && this.looks % PROBE === 0) this.ask(way);
      if (way.config.ipv4 === "off") way.gateway = this.hasSix(way.nif) ? "" : null;
      way.good = way.gateway !== null && way.nif.up() && way.misses < MISSES;
    }
    this.reachable(this.list.some((way) => way.good));
    const good = this.list.filter((way) => way.good && way.config.ipv4 !== "off");
    if (this.list.length < 2) return;
    const chosen = this.config.uplinks === "failover" ? good.slice(0, 1) : good;
    const key = chosen
      .map(({ nif, gateway, config }) => `${nif.name} by ${gateway || "its session"} (${config.weight})`)
      .join(", ");
    if (key !== this.chosen) this.choose(chosen, key);
  }

  /** Is it a way out of IPv6? */
  private hasSix(nif: Interface): boolean {
    return this.parts.six.fib.lookup(ANYBODY, 0, nif, null) !== null;
  }

  private choose(chosen: Way[], key: string): void {
    const { routes, four, wall } = this.parts;
    this.chosen = key;
    if (this.route) routes.removeRoute(this.route);
    const hops = chosen.map(({ nif, gateway, config }) => ({
      ...{ interface: nif, weight: config.weight },
      ...(gateway && { gateway }),
    }));
    this.route = hops.length > 0 ? routes.addRoute("0.0.0.0/0", { hops }) : null;
    // Flows have the address of the way by which they began: on another they would be answered by nobody.
    const left = new Set(
      inspectAddresses(four)
        .filter((one) => this.list.some((way) => way.nif.name === one.interface && !chosen.includes(way)))
        .map(({ address }) => address),
    );
    const ended = wall.forget((flow) => left.has(flow.replyDestination) || left.has(flow.destination));
    this.log(`the way out: ${key || "none"}; ${ended} connections ended`);
  }

  private ask(way: Way): void {
    way.probe ??= this.parts.pings.open({
      ...{ address: way.config.probe, interface: way.nif },
      onReply: () => (way.misses = 0),
    });
    way.misses = Math.min(way.misses + 1, MISSES + 1);
    way.probe.send();
  }
}
