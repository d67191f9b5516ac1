/** The gateway's configuration: one file, read and checked as a whole; each error names its line. docs/gateway.md explains it. */
import type { Rule } from "../../stack/filter/rules.js";
import { forward, portMapping, rule } from "./config/filter.js";
import type { ForwardConfig, PortMappingConfig } from "./config/filter.js";
import { lan } from "./config/lan.js";
import type { LanConfig } from "./config/lan.js";
import { checkLinks, checkNetworks } from "./config/overlap.js";
import { Reader, address, domain, flag, list, oneOf, text, whole, wrong } from "./config/read.js";
import { mark, policy, route, vrf } from "./config/policy.js";
import type { MarkConfig, PolicyConfig, RouteConfig, VrfConfig } from "./config/policy.js";
import { babel, proxy, rip } from "./config/routing.js";
import type { BabelConfig, ProxyConfig, RipConfig } from "./config/routing.js";
import { clat, isPrefix64, npt } from "./config/translation.js";
import type { ClatConfig, NptConfig } from "./config/translation.js";
import { tunnel } from "./config/tunnel.js";
import type { TunnelConfig } from "./config/tunnel.js";
import { wan } from "./config/wan.js";
import { wireguard } from "./config/wireguard.js";
import type { WireguardConfig } from "./config/wireguard.js";
import type { WanConfig } from "./config/wan.js";
import { ConfigError, parseJson } from "./json.js";
import type { Node } from "./json.js";

export interface GatewayConfig {
  /** One at least; the first has IPv6. */
  wan: WanConfig[];
  /** Of several WANs the first that is good has all, or each has its share of the flows. */
  uplinks: "failover" | "balance";
  lan: LanConfig[];
  tunnels: TunnelConfig[];
  wireguard: WireguardConfig[];
  routes: RouteConfig[];
  policy: PolicyConfig[];
  marks: MarkConfig[];
  vrf: VrfConfig[];
  nptv6: NptConfig[];
  clat: ClatConfig | null;
  rip: RipConfig;
  babel: BabelConfig;
  /** Networks that get what is sent to groups outside, as television. */
  multicast: string[];
  proxy: ProxyConfig[];
  domain: string;
  hosts: { name: string; address: string }[];
  /** Domains whose names may lead to private addresses; null: any domain's. */
  privateNames: string[] | null;
  forward: ForwardConfig[];
  portMapping: PortMappingConfig;
  /** Go before those that the gateway has by itself. */
  rules: Rule[];
  pingFromOutside: boolean;
  /** What stands for IPv4 to hosts that have IPv6 alone (NAT64, DNS64, PREF64), or `""`. */
  nat64: string;
  /** How queues are served where a rate is given. */
  queue: "fq-codel" | "drr" | "fifo";
  /** Services found across our networks. */
  mdns: boolean;
  flows: number;
  ntp: string[];
  statusPort: number;
  /** Folder of leases, identifiers and secrets. */
  state: string;
}

function host(node: Node, what: string): { name: string; address: string } {
  const reader = new Reader(node, what);
  const result = { name: reader.get("name", domain), address: reader.get("address", address) };
  reader.done();
  return result;
}

const prefix64 = text(
  (value) => value === "" || isPrefix64(value),
  'a prefix of 32 to 96 bits, "64:ff9b::/96"',
);

/** Reads a configuration; throws `ConfigError`. */
export function parseConfig(source: string): GatewayConfig {
  const reader = new Reader(parseJson(source), "");
  const ways = reader.get("wan", (node, what) =>
    Array.isArray(node.value)
      ? node.value.map((one, i) => wan(i)(one, `${what}[${i}]`))
      : [wan(0)(node, what)],
  );
  const lans = reader.get("lan", list(lan));
  const tunnels = reader.get("tunnels", list(tunnel), []);
  const wireguards = reader.get("wireguard", list(wireguard), []);
  const [outer, inner] = [ways, lans].map((all) => all.map((one) => one.name));
  const behind = [...inner, ...[...tunnels, ...wireguards].map((one) => one.name)];
  const config: GatewayConfig = {
    wan: ways,
    uplinks: reader.get("uplinks", oneOf(["failover", "balance"] as const), "failover"),
    lan: lans,
    tunnels,
    wireguard: wireguards,
    routes: reader.get("routes", list(route([...outer, ...behind])), []),
    policy: reader.get("policy", list(policy([...outer, ...behind])), []),
    marks: reader.get("marks", list(mark([...outer, ...behind])), []),
    vrf: reader.get("vrf", list(vrf([...outer, ...behind])), []),
    nptv6: reader.get("nptv6", list(npt([...outer, ...behind.slice(inner.length)])), []),
    clat: reader.get<ClatConfig | null>("clat", clat, null),
    rip: reader.get("rip", rip(behind), { on: [], interval: 30, password: "", key: null }),
    babel: reader.get("babel", babel(behind), { on: [], interval: 4, keys: [], permissive: false }),
    multicast: reader.get("multicast", list(oneOf(inner, "a network")), []),
    proxy: reader.get("proxy", list(proxy([...outer, ...behind])), []),
    domain: reader.get("domain", domain, "home.arpa"),
    hosts: reader.get("hosts", list(host), []),
    privateNames: reader.get<string[] | null>("privateNames", list(domain), null),
    forward: reader.get("forward", list(forward), []),
    portMapping: reader.get("portMapping", portMapping(inner), {
      pcp: false,
      upnp: false,
      on: [],
      ports: [1024, 49151],
    }),
    rules: reader.get("rules", list(rule(["wan", "self", "nat64", ...behind])), []),
    pingFromOutside: reader.get("pingFromOutside", flag, true),
    nat64: reader.get("nat64", prefix64, ""),
    queue: reader.get("queue", oneOf(["fq-codel", "drr", "fifo"] as const), "fq-codel"),
    mdns: reader.get("mdns", flag, false),
    flows: reader.get("flows", whole(16, 1048576), 16384),
    ntp: reader.get("ntp", list(text((value) => value !== "", "a name or an address")), []),
    statusPort: reader.get("statusPort", whole(0, 65535), 80),
    state: reader.get("state", text(/^[^\0]+$/, "a folder")),
  };
  reader.done();
  const at = (key: string, i: number) => {
    const node = reader.members.get(key)!;
    return (Array.isArray(node.value) ? (node.value as Node[])[i] : node).line;
  };
  if (ways.length === 0 || ways.length > 8) wrong(reader.members.get("wan")!, "wan", "one to eight ways out");
  if (lans.length === 0) wrong(reader.members.get("lan")!, "lan", "at least one network");
  checkNames(config, at);
  checkLans(lans, (i) => at("lan", i));
  checkLinks(config, at);
  checkNetworks(config, at);
  checkVrf(config, (i) => at("vrf", i));
  if (config.clat) checkClat(config, reader.members.get("clat")!);
  wireguards.forEach((one, i) => {
    if (wireguards.findIndex((other) => other.port === one.port) < i)
      throw new ConfigError(at("wireguard", i), `port ${one.port} is another interface's already`);
  });
  config.forward.forEach((one, i) => {
    if (config.forward.findIndex((other) => other.protocol === one.protocol && other.port === one.port) < i) {
      throw new ConfigError(at("forward", i), `${one.protocol} port ${one.port} is forwarded twice`);
    }
  });
  return config;
}

/** Interfaces have names of their own, and what the stack calls its own are none. */
function checkNames(config: GatewayConfig, at: (key: string, i: number) => number): void {
  const taken = new Set(["self", "lo", "nat64", "clat", "nowhere"]);
  for (const key of ["wan", "lan", "tunnels", "wireguard"] as const) {
    config[key].forEach(({ name }, i) => {
      if (taken.has(name) || (key !== "wan" && name === "wan"))
        throw new ConfigError(at(key, i), `there is "${name}" already: it needs another name`);
      taken.add(name);
    });
  }
}

function checkLans(lans: LanConfig[], line: (i: number) => number): void {
  lans.forEach((one, i) => {
    const before = lans.slice(0, i);
    if (before.some((other) => other.subnet === one.subnet))
      throw new ConfigError(line(i), `subnet ${one.subnet} is another network's already: each needs its own`);
    if (one.delegate > 0 && before.some((other) => other.delegate > 0))
      throw new ConfigError(line(i), "one network alone can have delegate");
    const { link } = one;
    if (!("vlan" in link)) return;
    const { vlan, on } = link;
    if (!before.some((other) => other.name === on))
      throw new ConfigError(line(i), `there is no network "${on}" before this one for VLAN ${vlan}`);
    if (before.some(({ link: other }) => "vlan" in other && other.vlan === vlan && other.on === on))
      throw new ConfigError(line(i), `VLAN ${vlan} on "${on}" is another network's already`);
  });
}

function checkVrf({ vrf: list }: GatewayConfig, line: (i: number) => number): void {
  const taken = new Set<string>();
  list.forEach(({ on }, i) => {
    for (const name of on) {
      if (taken.has(name)) throw new ConfigError(line(i), `${name} has a table already`);
      taken.add(name);
    }
  });
}

/** It is the way of IPv4 where there is no other. */
function checkClat({ wan: [first, ...others], clat: xlat }: GatewayConfig, node: Node): void {
  if ([first, ...others].some((one) => one.ipv4 !== "off" || one.pppoe))
    wrong(node, "clat", 'left out, or "ipv4" of the WANs "off"');
  if (first.ipv6 === "off") wrong(node, "clat", "on a WAN with IPv6");
  if (first.ipv6 !== "auto" && (xlat!.prefix === "auto" || !xlat!.address))
    wrong(node, "clat", 'with "prefix" and "address": nobody tells them where "ipv6" is not "auto"');
}
