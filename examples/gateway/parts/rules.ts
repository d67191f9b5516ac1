/** The firewall's rules: what the configuration says goes first, then what its other sections mean. */
import type { Rule } from "../../../stack/filter/rules.js";
import type { GatewayConfig } from "../config.js";
import type { RelayConfig } from "../config/lan.js";
import type { TunnelConfig } from "../config/tunnel.js";

/** Protocol numbers of packets that a tunnel's are in, by kind: of IPv4 and of IPv6 in IP. */
const OUTER = { ip: [4, 41], gre: [47], vxlan: [], slip: [] };
const VXLAN_PORT = 4789;

/** @param clat the address that stands for IPv4 outside, if there is one */
export function rulesOf(config: GatewayConfig, clat?: string): Rule[] {
  const accept = (from: string, to: string, more: Partial<Rule> = {}): Rule => ({
    action: "accept",
    from,
    to,
    ...more,
  });
  const own: Rule[] = [];
  const behind = [...config.tunnels, ...config.wireguard];
  const outside = ["wan", ...behind.map(({ name }) => name), ...(config.nat64 ? ["nat64"] : [])];
  for (const { name, isolated } of config.lan) {
    for (const zone of outside) own.push(accept(name, zone));
    if (isolated) {
      own.push(accept(name, "self", { protocol: "udp", port: [53, 67, 123, 547] }));
      own.push(accept(name, "self", { protocol: "tcp", port: 53 }));
      if (config.portMapping.on.includes(name)) {
        own.push(accept(name, "self", { protocol: "udp", port: [1900, 5351] }));
        own.push(accept(name, "self", { protocol: "tcp", port: 1900 }));
      }
      own.push(...pings(name));
      continue;
    }
    own.push(accept(name, "self"));
    for (const other of config.lan) own.push(accept(name, other.name));
  }
  if (config.nat64) own.push(accept("nat64", "wan"));
  // IPv4 that has become IPv6 goes its way.
  if (clat) own.push(accept("wan", "wan", { source: clat }));
  for (const { relay } of config.lan) if (relay) own.push(...relayed(relay));
  for (const tunnel of config.tunnels) own.push(...carried(tunnel));
  for (const { port } of config.wireguard) own.push(accept("wan", "self", { protocol: "udp", port }));
  for (const each of behind) own.push(...through(each, config));
  for (const name of config.multicast)
    own.push(accept("wan", name, { protocol: "udp", destination: ["224.0.0.0/4", "ff00::/8"] }));
  if (config.pingFromOutside) own.push(...pings("wan", { limit: { rate: 10 } }));
  own.push(accept("wan", "self", { protocol: "udp", sourcePort: 67, port: 68 }));
  own.push(accept("wan", "self", { protocol: "udp", sourcePort: 547, port: 546 }));
  own.push({ action: "drop", from: "wan", log: "refused" });
  return [...config.rules, ...own];
}

function pings(from: string, more: Partial<Rule> = {}): Rule[] {
  return [
    { action: "accept", from, to: "self", protocol: "icmp", icmpType: 8, ...more },
    { action: "accept", from, to: "self", protocol: "icmpv6", icmpType: 128, ...more },
  ];
}

/** What servers answer to an agent, wherever they are. */
const relayed = ({ servers }: RelayConfig): Rule[] =>
  servers.map((source) => ({
    ...{ action: "accept", to: "self", protocol: "udp", source },
    port: source.includes(":") ? 547 : 67,
  }));

/** The tunnel's own packets, from its other end. */
function carried({ kind, remote }: TunnelConfig): Rule[] {
  const base: Rule = { action: "accept", from: "wan", to: "self", source: remote };
  if (kind === "vxlan") return [{ ...base, protocol: "udp", port: VXLAN_PORT }];
  return OUTER[kind].map((protocol) => ({ ...base, protocol }));
}

/** What comes out of it: all, or what a routing protocol says. */
function through(
  { name, trusted }: Pick<TunnelConfig, "name" | "trusted">,
  { lan, rip, babel }: GatewayConfig,
): Rule[] {
  if (trusted)
    return ["self", ...lan.map((one) => one.name)].map((to) => ({ action: "accept", from: name, to }));
  const ports = [...(rip.on.includes(name) ? [520, 521] : []), ...(babel.on.includes(name) ? [6696] : [])];
  return ports.map((port) => ({ action: "accept", from: name, to: "self", protocol: "udp", port }));
}
