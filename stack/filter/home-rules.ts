/**
 * The rules of a home: what is inside may go anywhere, nothing from outside gets in, and this host gets from outside what it cannot do
 * without (RFC 6092, RFC 4890). Plain rules, to be added to and to be tested: `wall.test(packet, from, to)`.
 */
import type { Ports, Rule } from "./rules.js";

export interface HomeOptions {
  /** Zones inside. Default `["lan"]`. */
  inside?: readonly string[];
  /** Zone outside. Default `"wan"`. */
  outside?: string;
  /** Zones that get outside, but neither inside nor to this host's services; of these they have DHCP and DNS. Default none. */
  guests?: readonly string[];
  /** Services of this host that outside reaches: `[{ protocol: "tcp", port: 443 }]`. Default none. */
  services?: readonly { protocol: "tcp" | "udp"; port: Ports | readonly Ports[] }[];
  /** Echo requests from outside that are answered, a second; 0: none. Default 10. */
  ping?: number;
  /** Text under which a refusal is told to `onLog`, once a second at most. Default: none is. */
  log?: string;
}

/** The rules, for `firewall({ rules: homeRules() })`: all else is dropped by its policy. */
export function homeRules(options: HomeOptions = {}): Rule[] {
  const inside = options.inside || ["lan"];
  const outside = options.outside || "wan";
  const guests = options.guests || [];
  const services = options.services || [];
  const ping = options.ping === undefined ? 10 : options.ping;
  const rules: Rule[] = [];
  for (let i = 0; i < inside.length; i++) rules.push({ action: "accept", from: inside[i] });
  for (let i = 0; i < guests.length; i++) {
    const from = guests[i];
    rules.push({ action: "accept", from, to: outside });
    rules.push({ action: "accept", from, to: "self", protocol: "udp", port: [53, 67, 547] });
    rules.push({ action: "accept", from, to: "self", protocol: "tcp", port: 53 });
    rules.push({ action: "reject", from });
  }
  const own: Rule = { action: "accept", from: outside, to: "self" };
  if (ping > 0) {
    rules.push(rule(own, { protocol: "icmp", icmpType: 8, limit: { rate: ping } }));
    rules.push(rule(own, { protocol: "icmpv6", icmpType: 128, limit: { rate: ping } }));
  }
  // Leases that others begin to renew: a server answers from another address than it was asked at.
  rules.push(rule(own, { protocol: "udp", sourcePort: 67, port: 68 }));
  rules.push(rule(own, { protocol: "udp", source: "fe80::/10", port: 546 }));
  for (let i = 0; i < services.length; i++)
    rules.push(rule(own, { protocol: services[i].protocol, port: services[i].port }));
  if (options.log) rules.push({ action: "drop", from: outside, log: options.log, limit: { rate: 1 } });
  return rules;
}

function rule(base: Rule, more: Partial<Rule>): Rule {
  return {
    action: base.action,
    from: base.from,
    to: base.to,
    protocol: more.protocol,
    source: more.source,
    sourcePort: more.sourcePort,
    port: more.port,
    icmpType: more.icmpType,
    limit: more.limit,
  };
}
