/** Addresses of the host's side: which are never for those behind the uplink, and where the host's resolvers are. */
import { getServers } from "node:dns";
import { BlockList, isIPv6 } from "node:net";

export interface Target {
  readonly address: string;
  readonly port: number;
}

/**
 * Not for others (RFC 6890): this network, loopback, link-local (clouds keep their credentials there), groups, reserved; and their
 * like in IPv6, with what carries an IPv4 address within.
 */
const special4 = /* @__PURE__ */ blockList("ipv4", [
  ["0.0.0.0", 8],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
]);
// A list of its own: in one that holds mapped addresses every IPv4 address is found.
const special6 = /* @__PURE__ */ blockList("ipv6", [
  ["::", 96],
  ["::ffff:0:0", 96],
  ["fe80::", 10],
  ["ff00::", 8],
]);

function blockList(family: "ipv4" | "ipv6", subnets: [network: string, length: number][]): BlockList {
  const list = new BlockList();
  for (const [network, length] of subnets) list.addSubnet(network, length, family);
  return list;
}

export function isSpecial(address: string): boolean {
  const plain = address.split("%")[0];
  return isIPv6(plain) ? special6.check(plain, "ipv6") : special4.check(plain, "ipv4");
}

/** The host's name servers: `"192.0.2.1"`, `"[2001:db8::1]:5353"`, as `dns.getServers` has them. */
export function hostServers(list: () => string[] = getServers): Target[] {
  return list().map((text) => {
    const bracket = /^\[(.*)\]:(\d+)$/.exec(text) ?? /^([\d.]+):(\d+)$/.exec(text);
    return bracket ? { address: bracket[1], port: Number(bracket[2]) } : { address: text, port: 53 };
  });
}
